#include "qemu_mps2_flash.h"

/* Typical of a small part, in microseconds. */
#define WRITE_TIME 40u    /* a word */
#define ERASE_TIME 20000u /* a page */

#define PAGES 64u
#define WORD(at) (*(volatile uint32_t *)(QEMU_MPS2_FLASH_BASE + (at)))
#define ERASED 0xffffffffu

/* The FPGA's I/O block (ARM DAI 0385): a counter of 20 MHz. */
#define FPGAIO_COUNTER (*(volatile uint32_t *)0x40028018u)
#define COUNTS_PER_MICROSECOND 20u

/* The watchdog (CMSDK, ARM DDI 0479): any write to INTCLR starts it again, if it is not locked. */
#define WDOGINTCLR (*(volatile uint32_t *)0x4000800cu)
#define WDOGLOCK (*(volatile uint32_t *)0x40008c00u)
#define WDOG_KEY 0x1acce551u

static void take_time(uint32_t microseconds)
{
    uint32_t start = FPGAIO_COUNTER;

    while (FPGAIO_COUNTER - start < microseconds * COUNTS_PER_MICROSECOND)
        ;
}

static int flash_read(void *ctx, uint32_t at, void *to, size_t size)
{
    const volatile uint8_t *from = (const volatile uint8_t *)(QEMU_MPS2_FLASH_BASE + at);
    uint8_t *byte = to;

    (void)ctx;
    while (size-- > 0)
        *byte++ = *from++;
    return OTA_OK;
}

static int flash_write(void *ctx, uint32_t at, const void *from, size_t size)
{
    const uint8_t *byte = from;

    (void)ctx;
    for (; size > 0; size -= 4, at += 4, byte += 4) {
        uint32_t word = (uint32_t)byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 | (uint32_t)byte[3] << 24;

        if (WORD(at) != ERASED)
            return OTA_ERR_STORAGE; /* as a controller says, with its error flag */
        WORD(at) = word;
        take_time(WRITE_TIME);
    }
    return OTA_OK;
}

static int flash_erase(void *ctx, uint32_t at)
{
    (void)ctx;
    for (uint32_t i = 0; i < QEMU_MPS2_FLASH_PAGE; i += 4) {
        WORD(at + i) = ERASED;
        if (i % 64 == 0)
            take_time(ERASE_TIME / (QEMU_MPS2_FLASH_PAGE / 64));
    }
    return OTA_OK;
}

static void feed(void *ctx)
{
    (void)ctx;
    WDOGLOCK = WDOG_KEY;
    WDOGINTCLR = 1;
    WDOGLOCK = 0;
}

static const struct ota_pages pages = {0, QEMU_MPS2_FLASH_PAGE, PAGES};

const struct ota_flash qemu_mps2_flash = {
    flash_read, flash_write, flash_erase, feed, NULL, &pages, 1, 0xff, 2, QEMU_MPS2_FLASH_UNIT,
};
