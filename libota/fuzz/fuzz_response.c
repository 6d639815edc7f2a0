/* Any bytes as a check response whose MAC is right whatever it is: the last 32 bytes. */
#include <string.h>

#include "accept.h"
#include "ota/check.h"
#include "objects.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ota_check_response r;
    ota_verdict verdict;
    int err;

    if (size < OTA_SHA256_SIZE)
        return 0;
    memcpy(accept_mac, data + size - OTA_SHA256_SIZE, OTA_SHA256_SIZE);
    err = ota_check_response_open(&r, data, size, world_down, WORLD_DEVICE, WORLD_NONCE, &verdict);
    if ((err == OTA_OK) != (verdict == OTA_PASS) || (err == OTA_OK && r.nonce != WORLD_NONCE))
        __builtin_trap();
    return 0;
}
