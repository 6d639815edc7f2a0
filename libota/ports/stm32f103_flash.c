/* STM32F103: reference manual RM0008 (memory map) and programming manual PM0075 (flash). The CPU
 * stalls while the flash it runs from is written (70 us for a half-word at most) or erased (40 ms
 * for a page at most): that is the longest time without the watchdog's being fed. */
#include "stm32f103_flash.h"

#define FLASH_BASE 0x08000000u

/* Registers of the flash controller. */
struct controller {
    volatile uint32_t acr;
    volatile uint32_t keyr;
    volatile uint32_t optkeyr;
    volatile uint32_t sr;
    volatile uint32_t cr;
    volatile uint32_t ar;
};
#define CONTROLLER ((struct controller *)0x40022000u)

#define KEY1 0x45670123u
#define KEY2 0xcdef89abu

#define SR_BSY (1u << 0)
#define SR_PGERR (1u << 2)   /* the half-word was not erased */
#define SR_WRPRTERR (1u << 4) /* the page is write-protected */
#define SR_EOP (1u << 5)

#define CR_PG (1u << 0)
#define CR_PER (1u << 1)
#define CR_STRT (1u << 6)
#define CR_LOCK (1u << 7)

/* The independent watchdog, if the option bytes or the program have started it. */
#define IWDG_KR (*(volatile uint32_t *)0x40003000u)
#define IWDG_RELOAD 0xaaaau

static void unlock(void)
{
    if ((CONTROLLER->cr & CR_LOCK) != 0) {
        CONTROLLER->keyr = KEY1;
        CONTROLLER->keyr = KEY2;
    }
    CONTROLLER->sr = SR_EOP | SR_PGERR | SR_WRPRTERR; /* written 1, they clear */
}

/* Waits for the end of an operation; what it says of it. */
static int finish(void)
{
    while ((CONTROLLER->sr & SR_BSY) != 0)
        ;
    CONTROLLER->cr = CR_LOCK;
    return (CONTROLLER->sr & (SR_PGERR | SR_WRPRTERR)) != 0 ? OTA_ERR_STORAGE : OTA_OK;
}

static int flash_read(void *ctx, uint32_t at, void *to, size_t size)
{
    const volatile uint8_t *from = (const volatile uint8_t *)(FLASH_BASE + at);
    uint8_t *byte = to;

    (void)ctx;
    while (size-- > 0)
        *byte++ = *from++;
    return OTA_OK;
}

static int flash_write(void *ctx, uint32_t at, const void *from, size_t size)
{
    volatile uint16_t *to = (volatile uint16_t *)(FLASH_BASE + at);
    const uint8_t *byte = from;

    (void)ctx;
    for (; size > 0; size -= 2, byte += 2, to++) {
        uint16_t value = (uint16_t)(byte[0] | byte[1] << 8);

        unlock();
        CONTROLLER->cr = CR_PG;
        *to = value;
        if (finish() != OTA_OK || *to != value)
            return OTA_ERR_STORAGE;
    }
    return OTA_OK;
}

static int flash_erase(void *ctx, uint32_t at)
{
    (void)ctx;
    unlock();
    CONTROLLER->cr = CR_PER;
    CONTROLLER->ar = FLASH_BASE + at;
    CONTROLLER->cr = CR_PER | CR_STRT;
    return finish();
}

static void feed(void *ctx)
{
    (void)ctx;
    IWDG_KR = IWDG_RELOAD;
}

void stm32f103_flash_init(struct stm32f103_flash *f, uint32_t page, uint32_t count)
{
    f->pages.at = 0;
    f->pages.size = page;
    f->pages.count = count;
    f->port.read = flash_read;
    f->port.write = flash_write;
    f->port.erase = flash_erase;
    f->port.feed = feed;
    f->port.ctx = f;
    f->port.pages = &f->pages;
    f->port.runs = 1;
    f->port.erased = 0xff;
    f->port.unit = 2;
    /* A half-word that is not erased cannot be written again: 1. But the controller looks itself, so
     * that a half-word which only seems erased is refused, and found by the library's reading back. */
    f->port.writes = 2;
}
