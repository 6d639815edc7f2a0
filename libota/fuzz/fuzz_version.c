/* Any two texts as versions: the order is one. */
#include <string.h>

#include "accept.h"
#include "version.h"

static int take(struct ota_version *v, const uint8_t *data, size_t size)
{
    v->size = (uint8_t)size;
    memcpy(v->text, data, size);
    return ota_version_valid(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
    struct ota_version a, b;
    int order;

    if (zero == NULL || zero - data > OTA_MAX_VERSION || data + size - zero - 1 > OTA_MAX_VERSION)
        return 0;
    if (!take(&a, data, (size_t)(zero - data)) || !take(&b, zero + 1, (size_t)(data + size - zero - 1)))
        return 0;
    order = ota_version_compare(&a, &b);
    if ((order < 0) != (ota_version_compare(&b, &a) > 0) || ota_version_compare(&a, &a) != 0)
        __builtin_trap();
    return 0;
}
