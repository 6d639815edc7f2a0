/* HMAC-SHA-256 (RFC 2104) from the port's SHA-256. */
#include "bytes.h"
#include "ota/crypto.h"

#define BLOCK 64
#define IPAD 0x36
#define OPAD 0x5c

static void start(struct ota_sha256 *s, const uint8_t key[32], uint8_t pad)
{
    uint8_t block[BLOCK];

    ota_fill(block, pad, sizeof block);
    for (unsigned i = 0; i < 32; i++)
        block[i] ^= key[i];
    ota_sha256_init(s);
    ota_sha256_update(s, block, sizeof block);
}

int ota_hmac_sha256(const uint8_t key[32], const struct ota_span *message, unsigned count,
                    uint8_t mac[OTA_SHA256_SIZE])
{
    struct ota_sha256 s;
    int err;

    start(&s, key, IPAD);
    err = ota_sha256_spans(&s, message, count);
    ota_sha256_final(&s, mac); /* also after an error: a port may have to release something */
    if (err != OTA_OK)
        return err;
    start(&s, key, OPAD);
    ota_sha256_update(&s, mac, OTA_SHA256_SIZE);
    ota_sha256_final(&s, mac);
    return OTA_OK;
}
