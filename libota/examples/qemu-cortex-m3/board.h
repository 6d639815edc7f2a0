/* The board: what is not flash and not libota. QEMU's mps2-an385, a Cortex-M3 of 25 MHz. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/* The console, UART 0. */
void board_print(const char *text);
void board_print_number(uint32_t n);

/* The serial line to the gateway, UART 1. A byte, or -1 if none came for so long; both feed the watchdog. */
void board_send(void *ctx, uint8_t byte);
int board_receive(void *ctx, uint32_t milliseconds);

/* Lets time pass, and feeds the watchdog. */
void board_sleep(uint32_t milliseconds);

/* Starts the watchdog, which cannot be stopped: a program that does not feed it for two seconds
 * is reset. */
void board_start_watchdog(void);
void board_feed(void *ctx);

/* Resets the whole board. */
void board_reset(void);

/* What the boot stage and the application tell each other, in RAM that neither clears. */
struct board_handover {
    uint32_t magic;   /* the application was started and did not end by itself */
    uint16_t release; /* that runs: 0 or 1 */
    uint16_t trial;   /* 1: it has to confirm itself */
};
extern struct board_handover board_handover;
#define BOARD_STARTED 0x6f746131u

/* Starts the program whose vector table stands at that address. */
void board_jump(uint32_t at);

/* The stack that was used so far, at most, and RAM that is not stack; in bytes. */
uint32_t board_stack_used(void);
uint32_t board_static_ram(void);

int main(void);

#endif
