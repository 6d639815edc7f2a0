/* Start of a Cortex-M, and its end by semihosting. */
#include <stdint.h>

#include "board.h"

extern uint32_t ram_top, data_load, data_start, data_end, bss_start, bss_end;

static void reset(void)
{
    const uint32_t *from = &data_load;

    for (uint32_t *to = &data_start; to < &data_end; to++)
        *to = *from++;
    for (uint32_t *to = &bss_start; to < &bss_end; to++)
        *to = 0;
    main();
}

struct vectors {
    uint32_t *stack;
    void (*handlers[15])(void);
};

static void fault(void)
{
    board_exit(3);
}

__attribute__((section(".vectors"), used)) static const struct vectors vectors = {&ram_top, {reset, fault, fault}};

void board_exit(int code)
{
    register uint32_t operation __asm__("r0") = 0x18;                       /* SYS_EXIT */
    register uint32_t reason __asm__("r1") = code == 0 ? 0x20026 : 0x20024; /* application's end, or an error */

    for (;;)
        __asm__ volatile("bkpt 0xab" : : "r"(operation), "r"(reason) : "memory");
}

void board_write(const char *text)
{
    register uint32_t operation __asm__("r0") = 0x04; /* SYS_WRITE0 */
    register const char *argument __asm__("r1") = text;

    __asm__ volatile("bkpt 0xab" : "+r"(operation) : "r"(argument) : "memory");
}
