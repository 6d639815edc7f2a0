/* The flash port: what a chip, or a file that stands for one, has to do. Flash is
 * described, not assumed. */
#ifndef OTA_FLASH_H
#define OTA_FLASH_H

#include <stddef.h>
#include <stdint.h>

#include "ota/err.h"

/* The largest write unit, in bytes, a power of two from 16 to 256: a buffer of that
 * size is on the stack and in an update session. */
#ifndef OTA_MAX_UNIT
#define OTA_MAX_UNIT 32
#endif
#if OTA_MAX_UNIT < 16 || OTA_MAX_UNIT > 256 || (OTA_MAX_UNIT & (OTA_MAX_UNIT - 1)) != 0
#error "OTA_MAX_UNIT has to be a power of two from 16 to 256"
#endif

/* A run of equal pages. A page is what one erase clears. */
struct ota_pages {
    uint32_t at;    /* address of the first */
    uint32_t size;  /* bytes of each */
    uint32_t count;
};

/* One flash. The callbacks return 0, and anything else is a failure: a count of
 * bytes, as POSIX would return it, is one too. Buffers may have any alignment. */
struct ota_flash {
    int (*read)(void *ctx, uint32_t at, void *to, size_t size);

    /* Writes whole units. The library writes a unit once between erases, whatever
     * the part would allow: an ECC word is never written twice, and no bit is
     * cleared in place. Must be on the medium when it returns. */
    int (*write)(void *ctx, uint32_t at, const void *from, size_t size);

    /* Erases the page that begins at address at. */
    int (*erase)(void *ctx, uint32_t at);

    /* Called before every access, which is a page to erase, or at most 512 bytes to read or write:
     * feed the watchdog. What a port has to survive without it is one erase. May be NULL. */
    void (*feed)(void *ctx);

    void *ctx; /* of all of them */

    const struct ota_pages *pages; /* ascending, without overlap */
    uint8_t runs;                  /* how many of them */
    uint8_t erased;                /* what an erased byte reads as: 0x00 or 0xff */

    /* How often a unit can be programmed: 1 where a word carries ECC, 2 where not.
     * The library uses the second only if it has to: a write that was cut off may
     * have left a unit that reads as erased and is not. With 2 the journal goes
     * on behind the next unit; with 1 the first write after a reset begins by
     * erasing, which costs two erases for each start that writes. */
    uint8_t writes;

    uint16_t unit; /* write unit in bytes, a power of two from 1 to OTA_MAX_UNIT */
};

/* A part of a flash: whole pages. size 0: there is none. */
struct ota_area {
    const struct ota_flash *flash;
    uint32_t at;   /* address */
    uint32_t size; /* bytes */
};

/* Says whether an area can be used as described: units, erased value, whole pages.
 * OTA_ERR_INVALID_FIELD if not. */
OTA_MUST_USE int ota_area_check(const struct ota_area *a);

/* Read, and write whole units, within the area. OTA_ERR_STORAGE if the flash fails
 * or the range is not in the area. */
OTA_MUST_USE int ota_area_read(const struct ota_area *a, uint32_t offset, void *to, size_t size);
OTA_MUST_USE int ota_area_write(const struct ota_area *a, uint32_t offset, const void *from, size_t size);

/* Writes bytes that may end within a unit. It is filled up behind them with erased bytes, for which
 * there has to be room. */
OTA_MUST_USE int ota_area_put(const struct ota_area *a, uint32_t offset, uint8_t *bytes, size_t size);

/* The size of the page that begins at offset; 0 if none does. */
uint32_t ota_area_page(const struct ota_area *a, uint32_t offset);

/* Erases the page that begins at offset, and all pages. */
OTA_MUST_USE int ota_area_erase(const struct ota_area *a, uint32_t offset);
OTA_MUST_USE int ota_area_clear(const struct ota_area *a);

#endif
