#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "cbor.h"
#include "key.h"

/* ---- keys ---------------------------------------------------------------- */

/* Keys are loaded once: preparing one costs as much as verifying with it. */
struct slot {
    struct key key;
    const char *hex; /* of the vector that is judged now, NULL: not at hand */
    uint8_t cose[MAX_BYTES / 16];
    size_t size;
    int usable;
};

static struct slot slots[64];
int asked_unusable; /* a key was asked for that the port cannot use */

static struct slot *slot_of(const uint8_t *cose, size_t size)
{
    for (struct slot *s = slots; s < slots + 64; s++) {
        if (s->size == size && memcmp(s->cose, cose, size) == 0)
            return s;
        if (s->size == 0 && size > 0 && size <= sizeof s->cose) {
            memcpy(s->cose, cose, size);
            s->size = size;
            s->usable = key_load(&s->key, s->cose, size) == 0;
            if (!s->usable) {
                struct ota_sha256 sha;

                ota_sha256_init(&sha);
                ota_sha256_update(&sha, cose, size);
                ota_sha256_final(&sha, s->key.id);
            }
            return s;
        }
    }
    fprintf(stderr, "too many keys\n");
    exit(2);
}

static const void *find(void *ctx, const uint8_t id[32], int alg)
{
    (void)ctx;
    for (struct slot *s = slots; s < slots + 64 && s->size != 0; s++) {
        if (s->hex == NULL || memcmp(s->key.id, id, 32) != 0)
            continue;
        if (!s->usable)
            asked_unusable = 1;
        else if (s->key.alg == alg)
            return s->key.form.bytes;
    }
    return NULL;
}

unsigned feeds;

static void feed(void *ctx)
{
    (void)ctx;
    feeds++;
}

const struct ota_keyring ring = {find, feed, NULL};

void load_keys(const struct vector *v)
{
    static uint8_t cose[MAX_BYTES];
    const char *hex;

    for (struct slot *s = slots; s < slots + 64; s++)
        s->hex = NULL;
    for (size_t i = 0; (hex = vector_nth(v, "key", i)) != NULL; i++)
        slot_of(cose, from_hex(hex, cose))->hex = hex;
}

/* ---- kinds --------------------------------------------------------------- */

static uint8_t held_bytes[MAX_BYTES];
static struct ota_source held_source;
struct ota_keyset held;

/* Encodes the anchor of a vector. */
static void load_anchor(const struct vector *v)
{
    static uint8_t id[MAX_BYTES];
    struct cbor_writer w = {held_bytes, sizeof held_bytes, 0};
    const char *text, *fields[] = {"anchor-vendor", "anchor-type"};
    size_t roots = 0;

    cbor_put_head(&w, CBOR_MAP, 5);
    cbor_put(&w, "\x00\x01", 2);
    for (size_t i = 0; i < 2; i++) {
        text = vector_text(v, fields[i]);
        cbor_put_head(&w, CBOR_UINT, i + 1);
        cbor_put_head(&w, CBOR_TEXT, strlen(text));
        cbor_put(&w, text, strlen(text));
    }
    while (vector_nth(v, "anchor-root", roots) != NULL)
        roots++;
    cbor_put_head(&w, CBOR_UINT, 4);
    cbor_put_head(&w, CBOR_ARRAY, roots);
    for (size_t i = 0; i < roots; i++) {
        char hex[65] = {0};
        int alg;

        text = vector_nth(v, "anchor-root", i);
        memcpy(hex, text, 64);
        alg = atoi(text + 65);
        cbor_put_head(&w, CBOR_ARRAY, 2);
        cbor_put_head(&w, CBOR_BYTES, from_hex(hex, id));
        cbor_put(&w, id, 32);
        cbor_put_head(&w, CBOR_NEGATIVE, (uint64_t)(-1 - alg));
    }
    cbor_put_head(&w, CBOR_UINT, 5);
    cbor_put_head(&w, CBOR_UINT, vector_number(v, "anchor-threshold"));
    held_source = ota_source_buffer(held_bytes, w.size);
}

int load_held(const struct vector *v)
{
    int is_anchor = vector_text(v, "held")[0] == '\0';

    load_keys(v);
    if (is_anchor)
        load_anchor(v);
    else
        held_source = ota_source_buffer(held_bytes, vector_bytes(v, "held", held_bytes));
    return is_anchor ? ota_keyset_anchor(&held, &held_source) : ota_keyset_open(&held, &held_source);
}

struct ota_keyset keyset;

int judge_keyset(const struct vector *v, const struct ota_source *object, ota_verdict *verdict)
{
    (void)v;
    return ota_keyset_accept(&keyset, object, &held, &ring, verdict);
}

struct ota_history history;
static struct ota_device device;
struct ota_manifest manifest;

static void copy_text(struct ota_version *to, const char *from)
{
    to->size = (uint8_t)strlen(from);
    memcpy(to->text, from, to->size);
}

void load_device(const struct vector *v)
{
    static uint8_t bytes[MAX_BYTES];

    memset(&history, 0, sizeof history);
    memset(&device, 0, sizeof device);
    history.installed.sequence = vector_number(v, "installed-sequence");
    copy_text(&history.installed.version, vector_text(v, "installed-version"));
    if (vector_bytes(v, "installed-digest", bytes) == 32)
        memcpy(history.installed.image_digest, bytes, 32);
    history.floor_epoch = (uint32_t)vector_number(v, "floor-epoch");
    history.floor_counter = (uint32_t)vector_number(v, "floor-counter");
    for (size_t i = 0; vector_nth(v, "rejected", i) != NULL; i++)
        if (from_hex(vector_nth(v, "rejected", i), bytes) == 32)
            ota_rollback_rejected(&history, bytes);
    device.hardware = vector_text(v, "hardware");
    device.component = vector_text(v, "component");
    device.now = vector_number(v, "now");
    device.slot_size = (uint32_t)vector_number(v, "slot-size");
    device.retry_rejected = vector_number(v, "retry-rejected") != 0;
    device.keyset_floor = held.security_floor;
}

int judge_manifest(const struct vector *v, const struct ota_source *object, ota_verdict *verdict)
{
    ota_verdict is_signed, may = OTA_FAIL;
    int err = ota_manifest_verify(&manifest, object, &held, &ring, &is_signed);

    (void)v;
    if (err == OTA_OK)
        err = ota_rollback_check(&history, &manifest, &device, &may);
    *verdict = is_signed & may;
    return err;
}

struct ota_check_response response;

int judge_response(const struct vector *v, const struct ota_source *object, ota_verdict *verdict)
{
    static uint8_t message[MAX_BYTES], down_key[MAX_BYTES];
    int err = ota_source_read(object, 0, message, object->size);

    *verdict = OTA_FAIL;
    if (err != OTA_OK)
        return err;
    if (vector_bytes(v, "down-key", down_key) != 32)
        memset(down_key, 0, 32);
    return ota_check_response_open(&response, message, object->size, down_key, vector_text(v, "device"),
                                   vector_number(v, "nonce"), verdict);
}


const struct key *first_key(void)
{
    struct slot *s = slots;

    while (s->size != 0 && s->hex == NULL)
        s++;
    return s->size != 0 && s->usable ? &s->key : NULL;
}
