#include "row.h"

int row_first(struct row *r, const struct ota_area *area)
{
    r->rest = *area;
    return ota_object_open(&r->rest, &r->object, &r->kind) == OTA_OK;
}

int row_next(struct row *r)
{
    uint32_t step = r->rest.flash->unit > 16 ? r->rest.flash->unit : 16; /* an object's head */
    uint32_t size = step + ((r->object.size + step - 1) & ~(step - 1));

    if (size >= r->rest.size)
        return 0;
    r->rest.at += size;
    r->rest.size -= size;
    return ota_object_open(&r->rest, &r->object, &r->kind) == OTA_OK;
}
