/* Any bytes as an identity, and as a device area whose heads are right. */
#include <string.h>

#include "accept.h"
#include "bytes.h"
#include "crc32.h"
#include "ota/device.h"

static uint8_t area_bytes[8192];
static size_t area_size;

static int read_area(void *ctx, uint32_t at, void *to, size_t size)
{
    (void)ctx;
    if (at > area_size || size > area_size - at)
        __builtin_trap(); /* beyond the area */
    memcpy(to, area_bytes + at, size);
    return 0;
}

/* Gives what begins at each multiple of a head the CRCs of an object, where it has room for one. */
static void seal(size_t head)
{
    for (size_t at = 0; at + head <= area_size; at += head) {
        uint8_t *p = area_bytes + at;
        uint32_t size = ota_load32(p);

        if (size > area_size - at - head)
            continue;
        ota_store32(p + 8, ota_crc32(0, p + head, size));
        ota_store32(p + 12, ota_crc32(0, p, 12));
        at += (size + head - 1) / head * head;
    }
}

static int ends(const char text[OTA_MAX_NAME + 1])
{
    return memchr(text, '\0', OTA_MAX_NAME + 1) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t id[OTA_SHA256_SIZE];
    static const struct ota_pages page = {0, sizeof area_bytes, 1};
    struct ota_flash flash = {read_area, NULL, NULL, NULL, NULL, &page, 1, 0xff, 1, 4};
    struct ota_area area = {&flash, 0, (uint32_t)size};
    struct ota_source from = ota_source_buffer(data, size);
    struct ota_device_row r;
    struct ota_identity i;
    struct ota_rsa_key key;
    unsigned found = 0;

    if (ota_identity_open(&i, &from) == OTA_OK && (i.device[0] == '\0' || i.generation == 0))
        __builtin_trap();
    if (!ends(i.device_type) || !ends(i.device) || !ends(i.hardware))
        __builtin_trap();
    if (size == 0 || size > sizeof area_bytes)
        return 0;
    flash.unit = (uint16_t)(1u << (data[size - 1] & 7));
    area_size = size;
    memcpy(area_bytes, data, size);
    seal(flash.unit > 16 ? flash.unit : 16);
    for (int more = ota_device_first(&r, &area, OTA_DEVICE_ANCHOR); more; more = ota_device_next(&r, OTA_DEVICE_ANCHOR))
        found++;
    if (found > size / 16)
        __builtin_trap();
    (void)(ota_identity_read(&i, &area) == OTA_OK);
    (void)(ota_device_rsa_key(&area, id, &key) != 0);
    return 0;
}
