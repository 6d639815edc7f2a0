#include "bytes.h"
#include "crc32.h"
#include "object.h"
#include "ota/slot.h"
#include "part.h"

static int object_read(void *ctx, uint32_t offset, void *to, size_t size)
{
    const struct ota_area *a = ctx;

    return ota_area_read(a, (uint32_t)object_head_size(a) + offset, to, size);
}

/* Goes over an object, and takes it to an area if there is one. */
static int go_over(const struct ota_source *object, const struct ota_area *to, uint32_t *crc)
{
    uint8_t part[OTA_MAX_UNIT];

    *crc = 0;
    for (uint32_t at = 0; at < object->size;) {
        size_t n = ota_part(object->size - at, sizeof part);
        int err = ota_source_read(object, at, part, n);

        *crc = ota_crc32(*crc, part, n);
        if (err == OTA_OK && to != NULL)
            err = ota_area_put(to, (uint32_t)object_head_size(to) + at, part, n);
        if (err != OTA_OK)
            return err;
        at += (uint32_t)n;
    }
    return OTA_OK;
}

/* The head is written last: size, version, CRC of the object, CRC of the head. */
int ota_object_write(const struct ota_area *a, const struct ota_source *object, uint32_t version)
{
    uint8_t head[OTA_MAX_UNIT];
    struct ota_source written;
    uint32_t crc;
    int err;

    if (a->size == 0 || a->size < object_head_size(a) || object->size > a->size - object_head_size(a))
        return OTA_ERR_TOO_LARGE;
    err = ota_area_clear(a);
    if (err == OTA_OK)
        err = go_over(object, a, &crc);
    if (err != OTA_OK)
        return err;
    ota_store32(head, object->size);
    ota_store32(head + 4, version);
    ota_store32(head + 8, crc);
    ota_store32(head + 12, ota_crc32(0, head, 12));
    err = ota_area_put(a, 0, head, OBJECT_HEAD);
    return err != OTA_OK ? err : ota_object_open(a, &written, &version);
}

int ota_object_open(const struct ota_area *a, struct ota_source *object, uint32_t *version)
{
    /* A source's context is for ports of their own that write, hence not const. */
    union {
        const struct ota_area *from;
        void *to;
    } ctx;
    uint8_t head[OBJECT_HEAD];
    uint32_t crc;
    int err;

    ctx.from = a;
    object->read = object_read;
    object->ctx = ctx.to;
    object->size = 0;
    err = ota_area_read(a, 0, head, sizeof head);
    if (err != OTA_OK)
        return err;
    if (ota_crc32(0, head, 12) != ota_load32(head + 12) || ota_load32(head) > a->size - object_head_size(a))
        return OTA_ERR_STORAGE;
    object->size = ota_load32(head);
    *version = ota_load32(head + 4);
    err = go_over(object, NULL, &crc);
    return err == OTA_OK && crc != ota_load32(head + 8) ? OTA_ERR_STORAGE : err;
}
