#include "ota/flash.h"

/* The flash of an area, fed, if the range is in the area; otherwise NULL. */
static const struct ota_flash *reach(const struct ota_area *a, uint32_t offset, uint32_t size)
{
    const struct ota_flash *f = a->flash;

    if (offset > a->size || size > a->size - offset)
        return NULL;
    if (f->feed != NULL)
        f->feed(f->ctx);
    return f;
}

int ota_area_read(const struct ota_area *a, uint32_t offset, void *to, size_t size)
{
    const struct ota_flash *f = reach(a, offset, (uint32_t)size);

    return f == NULL || f->read(f->ctx, a->at + offset, to, size) != 0 ? OTA_ERR_STORAGE : OTA_OK;
}

int ota_area_write(const struct ota_area *a, uint32_t offset, const void *from, size_t size)
{
    const struct ota_flash *f = reach(a, offset, (uint32_t)size);

    return f == NULL || f->write(f->ctx, a->at + offset, from, size) != 0 ? OTA_ERR_STORAGE : OTA_OK;
}

int ota_area_put(const struct ota_area *a, uint32_t offset, uint8_t *bytes, size_t size)
{
    while ((size & (a->flash->unit - 1u)) != 0)
        bytes[size++] = a->flash->erased;
    return ota_area_write(a, offset, bytes, size);
}

uint32_t ota_area_page(const struct ota_area *a, uint32_t offset)
{
    const struct ota_pages *run = a->flash->pages;
    uint32_t at = a->at + offset;

    for (unsigned i = 0; i < a->flash->runs; i++, run++) {
        uint32_t from = at - run->at;

        /* No division: the smallest parts have none. */
        for (uint32_t n = 0; n < run->count && at >= run->at; n++, from -= run->size)
            if (from == 0)
                return run->size;
            else if (from < run->size)
                return 0;
    }
    return 0;
}

int ota_area_erase(const struct ota_area *a, uint32_t offset)
{
    uint32_t size = ota_area_page(a, offset);
    const struct ota_flash *f = reach(a, offset, size);

    return size == 0 || f == NULL || f->erase(f->ctx, a->at + offset) != 0 ? OTA_ERR_STORAGE : OTA_OK;
}

int ota_area_clear(const struct ota_area *a)
{
    int err = OTA_OK;

    for (uint32_t at = 0; at < a->size && err == OTA_OK; at += ota_area_page(a, at))
        err = ota_area_erase(a, at);
    return err;
}

int ota_area_check(const struct ota_area *a)
{
    const struct ota_flash *f = a->flash;
    uint32_t at = 0;

    if (f->unit == 0 || f->unit > OTA_MAX_UNIT || (f->unit & (f->unit - 1)) != 0)
        return OTA_ERR_INVALID_FIELD;
    if ((f->erased != 0x00 && f->erased != 0xff) || f->writes == 0)
        return OTA_ERR_INVALID_FIELD;
    while (at < a->size) {
        uint32_t page = ota_area_page(a, at);

        if (page == 0 || page > a->size - at || (page & (f->unit - 1u)) != 0)
            return OTA_ERR_INVALID_FIELD;
        at += page;
    }
    return a->size == 0 ? OTA_ERR_INVALID_FIELD : OTA_OK;
}
