/* Any bytes as a manifest that the held keyset's keys signed, and as one that a device
 * in the middle of its life may or may not install. */
#include "accept.h"
#include "ota/rollback.h"
#include "objects.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ota_history history = {
        {0x100000004, 0, 1, 1, {1}, {5, "2.0.0"}, 1}, 1, 1, {{0}}};
    static const struct ota_device device = {"B", "modem", 1790000000, 65536, 2, 0};
    struct ota_source from = ota_source_buffer(data, size), keyset = ota_source_buffer(world_keyset, sizeof world_keyset);
    ota_verdict verdict;
    struct ota_keyset held;
    struct ota_manifest m;
    struct ota_release r;
    int err;

    if (ota_keyset_open(&held, &keyset) != OTA_OK)
        __builtin_trap();
    err = ota_manifest_verify(&m, &from, &held, &accept_ring, &verdict);
    if ((err == OTA_OK) != (verdict == OTA_PASS))
        __builtin_trap();
    if (err != OTA_OK)
        return 0;
    if (ota_release_of(&r, &m) != OTA_OK || r.version.size == 0 || r.image_size == 0)
        __builtin_trap();
    err = ota_rollback_check(&history, &m, &device, &verdict);
    if ((err == OTA_OK) != (verdict == OTA_PASS))
        __builtin_trap();
    return 0;
}
