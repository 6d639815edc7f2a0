/* The internal flash of an STM32F103: the worked example of docs/porting.md. */
#ifndef STM32F103_FLASH_H
#define STM32F103_FLASH_H

#include "ota/flash.h"

/* The flash of a medium-density part (F103x8, F103xB): 1 KiB pages, written in half-words that
 * the controller refuses to write twice. Add the count of pages of the part: 64 or 128. A
 * high-density part (F103xC and up) has 2 KiB pages. */
struct stm32f103_flash {
    struct ota_flash port; /* what the library is given */
    struct ota_pages pages;
};

void stm32f103_flash_init(struct stm32f103_flash *f, uint32_t page, uint32_t count);

#endif
