#include "keyring.h"

#include "bytes.h"
#include "ota/device.h"

/* As it is stored: the id, then the prepared key, n0 first. */
#define STORED (OTA_SHA256_SIZE + sizeof(struct ota_rsa_key))

const void *keyring_find(void *ctx, const uint8_t id[OTA_SHA256_SIZE], int alg)
{
    struct keyring *k = ctx;

    if (alg != OTA_PS256)
        return NULL;
    if (ota_device_rsa_key(k->device, id, &k->key))
        return &k->key;
    for (unsigned i = 0; i < k->count; i++)
        if (ota_device_rsa_key(&k->pages[i], id, &k->key))
            return &k->key;
    ota_copy(k->missing, id, sizeof k->missing);
    k->is_missing = 1;
    return NULL;
}

/* The key in RAM, with its id, as an object to be stored. */
static int read_stored(void *ctx, uint32_t offset, void *to, size_t size)
{
    const struct keyring *k = ctx;
    uint8_t *byte = to;

    for (; size > 0; size--, offset++)
        *byte++ = offset < OTA_SHA256_SIZE ? k->missing[offset] : ((const uint8_t *)&k->key)[offset - OTA_SHA256_SIZE];
    return OTA_OK;
}

int keyring_add(struct keyring *k, const struct ota_keyring *port, const uint8_t *cose_key, size_t size)
{
    struct ota_source stored = {read_stored, k, STORED};
    uint8_t id[OTA_SHA256_SIZE];
    int err = ota_rsa_prepare(port, &k->key, id, cose_key, size);

    if (err == OTA_OK && ota_equal(id, k->missing, sizeof id) != OTA_PASS)
        err = OTA_ERR_UNSUPPORTED;
    if (err != OTA_OK)
        return err;
    k->is_missing = 0;
    k->next = (uint8_t)((k->next + 1u) % k->count);
    return ota_object_write(&k->pages[k->next], &stored, OTA_DEVICE_RSA_KEY);
}
