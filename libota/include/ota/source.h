/* Where objects are read from: RAM, memory-mapped flash, or a chip behind a bus. */
#ifndef OTA_SOURCE_H
#define OTA_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "ota/err.h"

/* A source holds one object, size bytes from offset 0. read copies size bytes at
 * offset, which is within the object, and returns OTA_OK or an error (normally
 * OTA_ERR_STORAGE), which the caller of the library gets back.
 *
 * An object is read more than once: first its signature is verified, then it is
 * used. What a source gives must not change in between. Where an attacker can
 * reach the bus of an external chip, copy the object to RAM first. */
struct ota_source {
    int (*read)(void *ctx, uint32_t offset, void *to, size_t size);
    void *ctx;
    uint32_t size;
};

/* A part of a source: size bytes from offset at. */
struct ota_span {
    const struct ota_source *from;
    uint32_t at;
    uint32_t size;
};

/* A text or a list within an object: it stays where it is, and is read from there
 * when it is needed. size is in bytes, of a list in elements. */
struct ota_field {
    uint16_t at;
    uint16_t size;
};

/* Reads from bytes in RAM or memory-mapped flash, which are the context. */
int ota_buffer_read(void *bytes, uint32_t offset, void *to, size_t size);

/* Returns a source over such bytes. They must outlive it. */
static inline struct ota_source ota_source_buffer(const void *bytes, size_t size)
{
    /* The context is for sources of their own that write, hence not const. */
    union {
        const void *from;
        void *to;
    } ctx;
    struct ota_source s;

    ctx.from = bytes;
    s.read = ota_buffer_read;
    s.ctx = ctx.to;
    s.size = (uint32_t)size;
    return s;
}

/* Copies size bytes at offset. A range beyond the end is OTA_ERR_MALFORMED: the
 * object ends within what it claims to hold. */
OTA_MUST_USE int ota_source_read(const struct ota_source *s, uint32_t offset, void *to, size_t size);

#endif
