#include "board.h"

#include <stddef.h>

#include "qemu_mps2_flash.h"

#define REGISTER(at) (*(volatile uint32_t *)(at))

/* CMSDK UARTs (ARM DDI 0479). */
#define CONSOLE 0x40004000u
#define LINE 0x40005000u
#define UART_DATA(uart) REGISTER((uart) + 0x00)
#define UART_STATE(uart) REGISTER((uart) + 0x04)
#define UART_CTRL(uart) REGISTER((uart) + 0x08)
#define UART_INTCLEAR(uart) REGISTER((uart) + 0x0c)
#define UART_BAUDDIV(uart) REGISTER((uart) + 0x10)
#define STATE_TX_FULL 1u
#define STATE_RX_FULL 2u
#define CTRL_TX 1u
#define CTRL_RX 2u
#define CTRL_RX_INTERRUPT 8u
#define INT_RX 2u
#define LINE_RX_IRQ 2u

/* CMSDK watchdog: counts down twice, after the second time it resets. */
#define WDOGLOAD REGISTER(0x40008000u)
#define WDOGCONTROL REGISTER(0x40008008u)
#define WDOGLOCK REGISTER(0x40008c00u)
#define WDOG_KEY 0x1acce551u
#define WDOG_COUNT_AND_RESET 3u
#define CLOCK 25000000u /* Hz */

/* Cortex-M3. */
#define SYST_CSR REGISTER(0xe000e010u)
#define SYST_RVR REGISTER(0xe000e014u)
#define NVIC_ISER0 REGISTER(0xe000e100u)
#define NVIC_ICER0 REGISTER(0xe000e180u)
#define NVIC_ICPR0 REGISTER(0xe000e280u)
#define SCB_ICSR REGISTER(0xe000ed04u)
#define SCB_VTOR REGISTER(0xe000ed08u)
#define SCB_AIRCR REGISTER(0xe000ed0cu)
#define ICSR_CLEAR_SYSTICK (1u << 25)
#define MPU_CTRL REGISTER(0xe000ed94u)
#define MPU_RBAR REGISTER(0xe000ed9cu)
#define MPU_RASR REGISTER(0xe000eda0u)
#define AIRCR_RESET 0x05fa0004u
#define TICK 10u /* milliseconds */

/* Given by the linker script. */
extern uint32_t data_load, data_start, data_end, bss_start, bss_end, stack_end, stack_top;

__attribute__((section(".handover"))) struct board_handover board_handover;

/* ---- start ---------------------------------------------------------------------- */

#define PAINT 0xa5a5a5a5u

static void start_devices(void)
{
    UART_BAUDDIV(CONSOLE) = CLOCK / 115200;
    UART_BAUDDIV(LINE) = CLOCK / 115200;
    UART_CTRL(CONSOLE) = CTRL_TX;
    UART_CTRL(LINE) = CTRL_TX | CTRL_RX | CTRL_RX_INTERRUPT;
    /* Interrupts are never taken, they only end the sleep of wait(). */
    NVIC_ISER0 = 1u << LINE_RX_IRQ;
    SYST_RVR = CLOCK / 1000 * TICK - 1;
    SYST_CSR = 7;
}

/* A stack that overflows leaves the RAM. A part's bus makes that a fault; this one answers, and drops what is written:
 * the 256 MiB below the RAM are closed. */
static void guard_stack(void)
{
    MPU_RBAR = 0x10000010u; /* region 0 */
    MPU_RASR = 27u << 1 | 1;
    MPU_CTRL = 5; /* all else as without it */
    __asm__ volatile("dsb\n isb" : : : "memory");
}

static void reset(void)
{
    const uint32_t *from = &data_load;

    __asm__ volatile("cpsid i");
    guard_stack();
    for (uint32_t *to = &data_start; to < &data_end; to++)
        *to = *from++;
    for (uint32_t *to = &bss_start; to < &bss_end; to++)
        *to = 0;
    for (volatile uint32_t *to = &stack_end; to < (uint32_t *)__builtin_frame_address(0) - 16; to++)
        *to = PAINT;
    start_devices();
    main();
    board_reset();
}

/* A program that crashes is reset. It did not end by itself, so the handover stays as it is. Nothing is put on the
 * stack, which may be what has no room. */
static void fault(void)
{
    SCB_AIRCR = AIRCR_RESET;
    for (;;)
        ;
}

/* The watchdog's first time: the second one resets. */
static void hang(void)
{
    for (;;)
        ;
}

struct vectors {
    uint32_t *stack;
    void (*handlers[15])(void);
};

extern const struct vectors board_vectors;
__attribute__((section(".vectors"))) const struct vectors board_vectors = {
    &stack_top, {reset, hang, fault, fault, fault, fault}};

void board_jump(uint32_t at)
{
    const struct vectors *v = (const struct vectors *)at;

    /* As a reset leaves it: nothing is enabled or pending, and interrupts are on. */
    SYST_CSR = 0;
    SCB_ICSR = ICSR_CLEAR_SYSTICK;
    NVIC_ICER0 = ~0u;
    NVIC_ICPR0 = ~0u;
    SCB_VTOR = at;
    __asm__ volatile("dsb\n isb\n msr msp, %0\n cpsie i\n bx %1" : : "r"(v->stack), "r"(v->handlers[0]) : "memory");
}

void board_reset(void)
{
    board_handover.magic = 0;
    fault();
}

/* ---- devices --------------------------------------------------------------------- */

void board_feed(void *ctx)
{
    qemu_mps2_flash.feed(ctx);
}

void board_start_watchdog(void)
{
    WDOGLOCK = WDOG_KEY;
    WDOGLOAD = CLOCK;
    WDOGCONTROL = WDOG_COUNT_AND_RESET;
    WDOGLOCK = 0; /* a program that has gone mad does not stop it by accident */
}

static void put(uint32_t uart, uint8_t byte)
{
    while ((UART_STATE(uart) & STATE_TX_FULL) != 0)
        ;
    UART_DATA(uart) = byte;
}

void board_print(const char *text)
{
    while (*text != '\0')
        put(CONSOLE, (uint8_t)*text++);
}

void board_print_number(uint32_t n)
{
    if (n >= 10)
        board_print_number(n / 10);
    put(CONSOLE, (uint8_t)('0' + n % 10));
}

void board_send(void *ctx, uint8_t byte)
{
    board_feed(ctx);
    put(LINE, byte);
}

/* Sleeps until a byte comes or a tick is over. 1: a tick was. */
static int wait(void)
{
    __asm__ volatile("wfi" : : : "memory");
    board_feed(NULL);
    if ((SCB_ICSR & (1u << 26)) == 0)
        return 0;
    SCB_ICSR = ICSR_CLEAR_SYSTICK;
    return 1;
}

int board_receive(void *ctx, uint32_t milliseconds)
{
    for (uint32_t passed = 0; passed <= milliseconds;) {
        board_feed(ctx);
        if ((UART_STATE(LINE) & STATE_RX_FULL) != 0) {
            UART_INTCLEAR(LINE) = INT_RX;
            NVIC_ICPR0 = 1u << LINE_RX_IRQ;
            return (int)UART_DATA(LINE);
        }
        if (wait())
            passed += TICK;
    }
    return -1;
}

void board_sleep(uint32_t milliseconds)
{
    for (uint32_t passed = 0; passed < milliseconds;)
        if (wait())
            passed += TICK;
}

/* ---- what it costs ----------------------------------------------------------------- */

uint32_t board_stack_used(void)
{
    const uint32_t *deepest = &stack_end;

    while (*deepest == PAINT)
        deepest++;
    return (uint32_t)(&stack_top - deepest) * 4;
}

uint32_t board_static_ram(void)
{
    return (uint32_t)(&bss_end - &data_start) * 4 + sizeof board_handover;
}

/* ---- what a compiler expects of a libc ----------------------------------------------- */

void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);

void *memcpy(void *to, const void *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    return to;
}

void *memset(void *to, int value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = (uint8_t)value;
    return to;
}
