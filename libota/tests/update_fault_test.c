/* Flash calls that fail, one at a time, in every call of the library and in whole updates. */
#include "rig.h"

#include <string.h>

static uint32_t stride, whole_stride; /* every so many calls fail: in single calls, and in whole updates */

/* Each call of the session and of the boot stage, with each of its flash calls failing: it says so
 * or gets over it, and the update completes. */
static void fail_in(enum layout layout, const enum step *steps, unsigned count)
{
    for (int f = EMU_FAIL; f < EMU_FAULTS; f++)
        for (uint32_t n = (uint32_t)f % stride;; n += stride) {
            struct ota_state s;
            uint32_t calls;

            set_up(layout == OVERWRITE ? 1 : 0, layout);
            for (unsigned i = 0; i + 1 < count; i++)
                EXPECT(take_step(steps[i]) == OTA_OK);
            calls = d.flash.calls;
            d.flash.fault = (enum emu_fault)f;
            d.flash.fault_at = calls + n;
            (void)take_step(steps[count - 1]);
            d.flash.fault = EMU_NO_FAULT;
            if (d.flash.calls <= calls + n)
                break;
            EXPECT(device_run(&d, 20));
            EXPECT(device_installed(&d, &s) == 3 || d.refused == OTA_ERR_REJECTED_BEFORE);
            EXPECT(s.phase == OTA_IDLE);
        }
}

#define FAIL_IN(...)                                                              \
    do {                                                                          \
        static const enum step steps[] = {__VA_ARGS__};                           \
        for (int layout = 0; layout < LAYOUTS; layout++)                          \
            fail_in((enum layout)layout, steps, sizeof steps / sizeof steps[0]);  \
    } while (0)

static void test_each_call_with_each_flash_call_failing(void)
{
    static const enum step back[] = {START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL, REJECT, GO_BACK, NOTE};
    static const enum step again[] = {START, RETURN};

    FAIL_IN(START);
    FAIL_IN(START, INFO);
    FAIL_IN(START, KEYSET);
    FAIL_IN(START, BEGIN);
    FAIL_IN(START, BEGIN, RECEIVE);
    FAIL_IN(START, BEGIN, RECEIVE, START, BEGIN);
    FAIL_IN(START, BEGIN, RECEIVE, FINISH);
    FAIL_IN(START, BEGIN, RECEIVE, FINISH, INSTALL);
    FAIL_IN(START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL);
    FAIL_IN(START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL, CONFIRM);
    for (int layout = 0; layout < LAYOUTS; layout += 2) {
        fail_in((enum layout)layout, again, 2);
        for (unsigned count = 7; count <= 9; count++)
            fail_in((enum layout)layout, back, count);
    }
}

/* Call number n of the flash fails, for every n: nothing that must not happen happens, and the
 * update completes. */
static void test_every_flash_call_failing(void)
{
    static const enum emu_fault faults[] = {EMU_FAIL, EMU_FAIL_LATE, EMU_SHORT_READ, EMU_LYING_READ};
    static struct device start_of;
    unsigned long runs = 0;

    for (int layout = 0; layout < LAYOUTS; layout++)
        for (unsigned f = 0; f < 4; f++)
            for (int back = 0; back < 2; back++) {
                set_up(layout == AB ? 0 : 1, (enum layout)layout);
                emu_init(&start_of.flash, d.pages, 2, d.geometry->unit, d.geometry->erased, d.geometry->writes);
                emu_copy(&start_of.flash, &d.flash);
                for (uint32_t n = f; runs < 1000000; n += whole_stride) {
                    struct ota_state s;

                    emu_copy(&d.flash, &start_of.flash);
                    device_forget(&d);
                    d.last_nonce = 0;
                    d.floor = d.seen_floor = 1;
                    d.forgiving = 1;
                    d.behaviour[3] = back ? REJECTS : CONFIRMS;
                    d.flash.fault = faults[f];
                    d.flash.fault_at = n;
                    EXPECT(device_run(&d, 30));
                    if (d.wrong != NULL && failures < 20)
                        printf("     layout %d, fault %u, call %u: %s (%d)\n", layout, f, n, d.wrong, d.err);
                    if (!back)
                        EXPECT(device_installed(&d, &s) == 3);
                    runs++;
                    if (d.flash.calls <= n)
                        break;
                }
                emu_free(&start_of.flash);
            }
    printf("update: %lu runs with a flash call that failed\n", runs);
    d.forgiving = 0;
    d.behaviour[3] = CONFIRMS;
}

void update_fault_tests(uint32_t of_calls, uint32_t of_updates)
{
    stride = of_calls;
    whole_stride = of_updates;
    test_each_call_with_each_flash_call_failing();
    test_every_flash_call_failing();
}
