/* A crypto port that finds every signature good and every MAC right, so that a fuzzer
 * gets behind them. For fuzzing only. */
#include "accept.h"

#include "ota/crypto.h"

uint8_t accept_mac[OTA_SHA256_SIZE];

ota_verdict ota_verify(const struct ota_keyring *ring, int alg, const void *key, const struct ota_span *message,
                       unsigned count, const uint8_t *signature, size_t size)
{
    struct ota_sha256 sha;
    uint8_t digest[OTA_SHA256_SIZE];

    (void)ring;
    (void)alg;
    (void)key;
    (void)signature;
    (void)size;
    ota_sha256_init(&sha);
    if (ota_sha256_spans(&sha, message, count) != OTA_OK) /* its spans are within the object */
        return OTA_FAIL;
    ota_sha256_final(&sha, digest);
    return OTA_PASS;
}

int ota_hmac_sha256(const uint8_t key[32], const struct ota_span *message, unsigned count,
                    uint8_t mac[OTA_SHA256_SIZE])
{
    struct ota_sha256 sha;

    (void)key;
    ota_sha256_init(&sha);
    if (ota_sha256_spans(&sha, message, count) != OTA_OK)
        return OTA_ERR_STORAGE;
    for (unsigned i = 0; i < OTA_SHA256_SIZE; i++)
        mac[i] = accept_mac[i];
    return OTA_OK;
}

static const void *find(void *ctx, const uint8_t id[OTA_SHA256_SIZE], int alg)
{
    (void)ctx;
    (void)alg;
    return id;
}

const struct ota_keyring accept_ring = {find, NULL, NULL};
