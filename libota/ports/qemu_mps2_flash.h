/* A flash for QEMU's machine mps2-an385, which has none: its PSRAM, mapped at 0x21000000, with a
 * file of the host behind it that outlives resets and QEMU itself:
 *
 *     -machine mps2-an385,memory-backend=flash
 *     -object memory-backend-file,id=flash,share=on,mem-path=flash.bin,size=16M
 *
 * It behaves like NOR flash, which the memory does not do by itself: a word is written once between
 * erases, and both take their time, so that a QEMU that is killed leaves a page half erased or half
 * written. Programs run where they lie. */
#ifndef QEMU_MPS2_FLASH_H
#define QEMU_MPS2_FLASH_H

#include "ota/flash.h"

#define QEMU_MPS2_FLASH_BASE 0x21000000u
#define QEMU_MPS2_FLASH_PAGE 4096u
#define QEMU_MPS2_FLASH_UNIT 4u

/* 256 KiB of it, 64 pages. */
extern const struct ota_flash qemu_mps2_flash;

#endif
