#include "signed.h"

#include <string.h>

static const uint8_t root_id[32] = {0x11, 1, 2, 3, 4, 5, 6, 7, 8, 9};
static const uint8_t release_id[32] = {0x22, 1, 2, 3, 4, 5, 6, 7, 8, 9};

uint32_t signed_calls, signed_fail_at = 0xffffffff;

/* The stand-in for a signature: the hash of the key's id and the message. */
ota_verdict ota_verify(const struct ota_keyring *ring, int alg, const void *key, const struct ota_span *message,
                       unsigned count, const uint8_t *signature, size_t size)
{
    uint8_t want[OTA_SHA256_SIZE];
    struct ota_sha256 hash;

    (void)ring;
    if (signed_calls++ == signed_fail_at)
        return OTA_FAIL;
    ota_sha256_init(&hash);
    ota_sha256_update(&hash, key, 32);
    if (alg != OTA_ESP256 || size != sizeof want || ota_sha256_spans(&hash, message, count) != OTA_OK)
        return OTA_FAIL;
    ota_sha256_final(&hash, want);
    return ota_equal(want, signature, size);
}

static const void *find(void *ctx, const uint8_t id[32], int alg)
{
    (void)ctx;
    (void)alg;
    if (signed_calls++ == signed_fail_at)
        return NULL;
    if (memcmp(id, root_id, 32) == 0)
        return root_id;
    return memcmp(id, release_id, 32) == 0 ? release_id : NULL;
}

const struct ota_keyring signed_ring = {find, NULL, NULL};

/* A CBOR writer for what is needed here. */
struct out {
    uint8_t *at;
};

static void head(struct out *o, unsigned major, uint64_t v)
{
    unsigned more = v < 24 ? 0 : v < 0x100 ? 1 : v < 0x10000 ? 2 : v < 0x100000000 ? 4 : 8;
    unsigned info = more == 0 ? (unsigned)v : more == 1 ? 24 : more == 2 ? 25 : more == 4 ? 26 : 27;

    *o->at++ = (uint8_t)(major << 5 | info);
    while (more-- > 0)
        *o->at++ = (uint8_t)(v >> (8 * more));
}

static void string(struct out *o, unsigned major, const void *bytes, size_t size)
{
    head(o, major, size);
    memcpy(o->at, bytes, size);
    o->at += size;
}

static void field(struct out *o, unsigned key, uint64_t v)
{
    head(o, 0, key);
    head(o, 0, v);
}

static void text_field(struct out *o, unsigned key, const char *text)
{
    head(o, 0, key);
    string(o, 3, text, strlen(text));
}

static void key_field(struct out *o, unsigned key, const uint8_t id[32], unsigned epoch)
{
    head(o, 0, key);
    head(o, 4, 1);
    head(o, 4, epoch == 0 ? 2 : 3);
    string(o, 2, id, 32);
    head(o, 1, 8); /* -9 */
    if (epoch != 0)
        head(o, 0, epoch);
}

/* Wraps a payload and signs it by one key. */
static void wrap(struct signed_object *object, unsigned typ, const uint8_t *payload, size_t size, const uint8_t *id)
{
    uint8_t body[] = {0xa1, 0x10, 0x19, (uint8_t)(typ >> 8), (uint8_t)typ};
    uint8_t protected[13] = {0xa2, 0x01, 0x28, 0x04, 0x48};
    uint8_t message[512], signature[OTA_SHA256_SIZE];
    struct out o = {message};
    struct ota_sha256 hash;

    memcpy(protected + 5, id, 8);
    head(&o, 4, 5);
    string(&o, 3, "Signature", 9);
    string(&o, 2, body, sizeof body);
    string(&o, 2, protected, sizeof protected);
    string(&o, 2, "", 0);
    string(&o, 2, payload, size);
    ota_sha256_init(&hash);
    ota_sha256_update(&hash, id, 32);
    ota_sha256_update(&hash, message, (size_t)(o.at - message));
    ota_sha256_final(&hash, signature);

    o.at = object->bytes;
    head(&o, 6, 98);
    head(&o, 4, 4);
    string(&o, 2, body, sizeof body);
    head(&o, 5, 0);
    string(&o, 2, payload, size);
    head(&o, 4, 1);
    head(&o, 4, 3);
    string(&o, 2, protected, sizeof protected);
    head(&o, 5, 0);
    string(&o, 2, signature, sizeof signature);
    object->source = ota_source_buffer(object->bytes, (size_t)(o.at - object->bytes));
}

void signed_manifest(struct signed_object *object, const struct signed_release *r)
{
    uint8_t payload[256];
    struct out o = {payload};

    head(&o, 5, 10u + (r->oldest_return != 0) + (r->from_zero ? 2 : 0));
    field(&o, 0, 1);
    text_field(&o, 1, "acme");
    text_field(&o, 2, "sensor_v1");
    field(&o, 5, (uint64_t)1 << 32 | r->number);
    text_field(&o, 6, r->version);
    field(&o, 7, r->counter);
    field(&o, 8, r->size);
    head(&o, 0, 9);
    string(&o, 2, r->digest, sizeof r->digest);
    field(&o, 10, 0);
    field(&o, 11, 1);
    if (r->from_zero) {
        field(&o, 13, OTA_FLAG_DOWNGRADE);
        head(&o, 0, 14);
        head(&o, 4, 1);
        head(&o, 0, 0);
    }
    if (r->oldest_return != 0)
        field(&o, 15, (uint64_t)1 << 32 | r->oldest_return);
    wrap(object, 65102, payload, (size_t)(o.at - payload), release_id);
}

void signed_keyset(struct signed_object *object, uint32_t version)
{
    uint8_t payload[256];
    struct out o = {payload};

    head(&o, 5, 9);
    field(&o, 0, 1);
    text_field(&o, 1, "acme");
    text_field(&o, 2, "sensor_v1");
    field(&o, 3, version);
    key_field(&o, 4, root_id, 0);
    field(&o, 5, 1);
    key_field(&o, 6, release_id, 1);
    field(&o, 7, 1);
    field(&o, 8, 0);
    wrap(object, 65101, payload, (size_t)(o.at - payload), root_id);
}
