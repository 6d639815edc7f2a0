#include "ota/source.h"

#include "bytes.h"
#include "ota/crypto.h"

int ota_buffer_read(void *bytes, uint32_t offset, void *to, size_t size)
{
    ota_copy(to, (const uint8_t *)bytes + offset, size);
    return OTA_OK;
}

int ota_source_read(const struct ota_source *s, uint32_t offset, void *to, size_t size)
{
    if (offset > s->size || size > s->size - offset)
        return OTA_ERR_MALFORMED;
    return s->read(s->ctx, offset, to, size);
}

int ota_sha256_spans(struct ota_sha256 *s, const struct ota_span *spans, unsigned count)
{
    for (; count > 0; count--, spans++) {
        uint32_t at = spans->at, end = at + spans->size;

        while (at < end) {
            uint8_t part[16];
            size_t size = end - at < sizeof part ? (size_t)(end - at) : sizeof part;
            int err = ota_source_read(spans->from, at, part, size);

            if (err != OTA_OK)
                return err;
            ota_sha256_update(s, part, size);
            at += (uint32_t)size;
        }
    }
    return OTA_OK;
}

int ota_source_hash(const struct ota_source *s, uint8_t digest[OTA_SHA256_SIZE])
{
    struct ota_span all = {s, 0, s->size};
    struct ota_sha256 sha;
    int err;

    ota_sha256_init(&sha);
    err = ota_sha256_spans(&sha, &all, 1);
    ota_sha256_final(&sha, digest);
    return err;
}
