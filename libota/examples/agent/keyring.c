#include "keyring.h"

#include "bytes.h"
#include "row.h"

/* As it is stored: the id, then the prepared key, n0 first. */
#define STORED (OTA_SHA256_SIZE + sizeof(struct ota_rsa_key))

/* Loads the key of an object if it has that id. */
static int load(struct keyring *k, const struct ota_source *object, uint32_t kind, const uint8_t id[OTA_SHA256_SIZE])
{
    uint8_t is[OTA_SHA256_SIZE];

    return kind == ROW_PREPARED_KEY && object->size == STORED && ota_source_read(object, 0, is, sizeof is) == OTA_OK &&
           ota_equal(is, id, sizeof is) == OTA_PASS &&
           ota_source_read(object, sizeof is, &k->key, sizeof k->key) == OTA_OK;
}

const void *keyring_find(void *ctx, const uint8_t id[OTA_SHA256_SIZE], int alg)
{
    struct keyring *k = ctx;
    struct ota_source object;
    uint32_t kind;
    struct row r;

    if (alg != OTA_PS256)
        return NULL;
    for (int more = row_first(&r, k->device); more; more = row_next(&r))
        if (load(k, &r.object, r.kind, id))
            return &k->key;
    for (unsigned i = 0; i < k->count; i++)
        if (ota_object_open(&k->pages[i], &object, &kind) == OTA_OK && load(k, &object, kind, id))
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
    return ota_object_write(&k->pages[k->next], &stored, ROW_PREPARED_KEY);
}
