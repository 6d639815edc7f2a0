/* Start of QEMU's Xtensa simulator, and its end by a simulator call. */
#include <stdint.h>

#include "board.h"

__asm__(".section .vectors,\"ax\"\n"
        ".literal_position\n"
        ".globl start\n"
        "start: movi sp, ram_top\n"
        "  movi a2, bss_start\n"
        "  movi a3, bss_end\n"
        "  movi a4, 0\n"
        "1: bgeu a2, a3, 2f\n"
        "  s32i a4, a2, 0\n"
        "  addi a2, a2, 4\n"
        "  j 1b\n"
        "2: call0 main\n"
        ".text\n");

void board_exit(int code)
{
    register int operation __asm__("a2") = 1; /* exit */
    register int argument __asm__("a3") = code;

    for (;;)
        __asm__ volatile("simcall" : : "r"(operation), "r"(argument) : "memory");
}

void board_write(const char *text)
{
    register int operation __asm__("a2") = 4; /* write */
    register int file __asm__("a3") = 1;
    register const char *argument __asm__("a4") = text;
    register int size __asm__("a5") = 0;

    while (text[size] != '\0')
        size++;
    __asm__ volatile("simcall" : "+r"(operation), "+r"(file) : "r"(argument), "r"(size) : "memory");
}
