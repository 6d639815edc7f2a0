#include "ota/slot.h"
#include "part.h"

#include "bytes.h"

const struct ota_layout ota_layout_ab = {{0, 1}, {0, 1}, {0, 1}, NULL, NULL};

int ota_image_hash(const struct ota_area *image, uint32_t size, struct ota_sha256 *hash)
{
    uint8_t part[64];

    for (uint32_t at = 0; at < size;) {
        size_t n = ota_part(size - at, sizeof part);
        int err = ota_area_read(image, at, part, n);

        if (err != OTA_OK)
            return err;
        ota_sha256_update(hash, part, n);
        at += (uint32_t)n;
    }
    return OTA_OK;
}

int ota_image_check(const struct ota_area *image, const struct ota_release *r, ota_verdict *verdict)
{
    uint8_t digest[OTA_SHA256_SIZE];
    struct ota_sha256 hash;
    int err = OTA_ERR_STORAGE;

    *verdict = OTA_FAIL;
    for (unsigned i = 0; i < 2 && err != OTA_OK; i++) {
        ota_sha256_init(&hash);
        err = ota_image_hash(image, r->image_size, &hash);
    }
    ota_sha256_final(&hash, digest);
    if (err == OTA_OK)
        *verdict = ota_equal(digest, r->image_digest, sizeof digest);
    return *verdict == OTA_PASS ? OTA_OK : OTA_ERR_IMAGE_DIGEST;
}

const struct ota_area *ota_slots_running(const struct ota_slots *slots, unsigned release)
{
    return &slots->image[slots->layout->runs[release]];
}

const struct ota_area *ota_slots_origin(const struct ota_slots *slots, const struct ota_state *s, unsigned candidate)
{
    const struct ota_layout *layout = slots->layout;
    unsigned returning = (s->flags & OTA_RETURNING) != 0;

    return &slots->image[(candidate != returning ? layout->receives : layout->keeps)[s->installed ^ candidate]];
}
