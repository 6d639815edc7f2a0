/* A plugin for QEMU's translator (API version 1): between two functions, size_begin and
 * size_end, it counts the instructions executed and notes the lowest address stored to.
 * Both are the same from run to run.
 *
 *   qemu-system-… -plugin count.so,begin=0x…,end=0x…,stack=0x…
 *
 * It prints one line for each such stretch: instructions, and bytes of stack below the
 * last store before size_begin, which the program makes on its stack. The stack goes down
 * to the address stack, if that is given; what is stored below is none of it.
 *
 * Debian has no package with qemu-plugin.h, so the part of it that is used stands here. */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
enum { CB_NO_REGS = 0, MEM_W = 2 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*cb)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*cb)(unsigned, void *), int flags,
                                            void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, void (*cb)(unsigned, uint32_t, uint64_t, void *),
                                      int flags, int rw, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

EXPORT int qemu_plugin_version = 1;

/* How far down a stack goes whose end is not known. */
#define MOST_STACK 0x100000

/* One program, one measurement at a time. */
static uint64_t begin, end, stack, count, base, lowest;
static bool counting;

static void executed(unsigned cpu, void *data)
{
    uint64_t at = (uint64_t)(uintptr_t)data;

    (void)cpu;
    if (at == begin) {
        counting = true;
        count = 0;
        lowest = base;
    } else if (at == end && counting) {
        counting = false;
        fprintf(stderr, "%" PRIu64 " %" PRIu64 "\n", count, base - lowest);
    }
    count++;
}

static void stored(unsigned cpu, uint32_t info, uint64_t address, void *data)
{
    (void)cpu;
    (void)info;
    (void)data;
    if (!counting)
        base = address;
    else if (address < lowest && address >= (stack != 0 ? stack : base - MOST_STACK))
        lowest = address;
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        void *at = (void *)(uintptr_t)qemu_plugin_insn_vaddr(insn);

        qemu_plugin_register_vcpu_insn_exec_cb(insn, executed, CB_NO_REGS, at);
        qemu_plugin_register_vcpu_mem_cb(insn, stored, CB_NO_REGS, MEM_W, NULL);
    }
}

EXPORT int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "begin=", 6) == 0)
            begin = strtoull(argv[i] + 6, NULL, 0);
        else if (strncmp(argv[i], "end=", 4) == 0)
            end = strtoull(argv[i] + 4, NULL, 0);
        else if (strncmp(argv[i], "stack=", 6) == 0)
            stack = strtoull(argv[i] + 6, NULL, 0);
    }
    if (begin == 0 || end == 0)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
