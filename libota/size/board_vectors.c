/* The vectors on a board: those of one header, which size/board_vectors.py writes. */
#include "board.h"
#include "bytes.h"
#include "cbor.h"
#include "ota/ota.h"
#include "version.h"

struct bytes {
    const uint8_t *at;
    uint32_t size;
};

/* A public key. prepared is NULL if this build cannot use it. */
struct known_key {
    uint8_t id[OTA_SHA256_SIZE];
    const struct ota_rsa_key *prepared;
};

/* What is known when an object arrives. */
struct world {
    struct bytes held; /* keyset, or an anchor */
    uint8_t is_anchor;
    struct bytes keys; /* at hand: indexes of known keys */
    struct ota_history history;
    struct ota_device device;
    const char *device_id;
    const uint8_t *down;
    uint64_t nonce;
};

/* expect: 0 or a reason. */
struct judged {
    const char *name;
    const struct world *world;
    struct bytes object;
    uint8_t kind, expect;
};

struct written {
    const char *name;
    const uint8_t *up;
    struct bytes object;
    uint8_t is_report;
    struct ota_check_request request;
    struct ota_report report;
};

struct signature {
    const char *name;
    uint8_t key;
    struct bytes message, signature;
    uint8_t passes;
};

struct mac {
    const char *name;
    struct bytes key, message, tag;
    uint8_t passes;
};

struct text {
    const char *name;
    struct ota_version version, other;
    uint8_t is_valid, is_order;
    int8_t order;
};

struct own_return {
    const char *name;
    struct ota_history history;
    struct ota_release retained;
    uint32_t keyset_floor;
    uint8_t expect;
};

enum { ITEM, KEY, KEYSET, MANIFEST, RESPONSE };

#include "board_vectors.h"

static unsigned count, failures, other_build;
static const struct world *now;
static int asked_unusable;

static void expect(const char *name, int is_right)
{
    count++;
    if (is_right)
        return;
    failures++;
    board_write("FAIL ");
    board_write(name);
    board_write("\n");
}

static const void *find(void *ctx, const uint8_t id[OTA_SHA256_SIZE], int alg)
{
    (void)ctx;
    for (uint32_t i = 0; i < now->keys.size; i++) {
        const struct known_key *k = &known_keys[now->keys.at[i]];

        if (ota_equal(k->id, id, OTA_SHA256_SIZE) != OTA_PASS)
            continue;
        if (k->prepared == NULL)
            asked_unusable = 1;
        else if (alg == OTA_PS256)
            return k->prepared;
    }
    return NULL;
}

static const struct ota_keyring ring = {find, NULL, NULL};

static int judge_item(const struct ota_source *from, ota_verdict *verdict)
{
    struct cbor_reader r;

    cbor_list(&r, from, 0);
    cbor_skip(&r);
    *verdict = cbor_close(&r) == OTA_OK ? OTA_PASS : OTA_FAIL;
    return r.err;
}

/* Of a key only the fact of a refusal is judged, and its id. */
static void judge_key(const struct judged *v)
{
    struct ota_rsa_key key;
    uint8_t id[OTA_SHA256_SIZE];
    int err = ota_rsa_prepare(&ring, &key, id, v->object.at, v->object.size);

    if (err != OTA_OK && v->expect == 0)
        other_build++;
    else
        expect(v->name, (err == OTA_OK) == (v->expect == 0));
}

static int judge_object(const struct judged *v, ota_verdict *verdict)
{
    struct ota_source object = ota_source_buffer(v->object.at, v->object.size);
    struct ota_source held_in = ota_source_buffer(now->held.at, now->held.size);
    ota_verdict may = OTA_FAIL;
    struct ota_check_response response;
    struct ota_device device;
    struct ota_keyset held, next;
    struct ota_manifest m;
    int err;

    if (v->kind == ITEM)
        return judge_item(&object, verdict);
    if (v->kind == RESPONSE)
        return ota_check_response_open(&response, v->object.at, v->object.size, now->down, now->device_id, now->nonce,
                                       verdict);
    err = now->is_anchor ? ota_keyset_anchor(&held, &held_in) : ota_keyset_open(&held, &held_in);
    if (err != OTA_OK)
        return err;
    if (v->kind == KEYSET)
        return ota_keyset_accept(&next, &object, &held, &ring, verdict);
    ota_copy(&device, &now->device, sizeof device);
    device.keyset_floor = held.security_floor;
    err = ota_manifest_verify(&m, &object, &held, &ring, verdict);
    if (err == OTA_OK)
        err = ota_rollback_check(&now->history, &m, &device, &may);
    *verdict &= may;
    return err;
}

static void run_judged(const struct judged *v)
{
    ota_verdict verdict = OTA_FAIL;
    int err;

    now = v->world;
    asked_unusable = 0;
    if (v->kind == KEY) {
        judge_key(v);
        return;
    }
    err = judge_object(v, &verdict);
    if (asked_unusable)
        other_build++;
    else
        expect(v->name, err == -(int)v->expect && (verdict == OTA_PASS) == (err == OTA_OK));
}

static void run_written(const struct written *v)
{
    uint8_t out[OTA_MAX_MESSAGE];
    size_t size = 0;
    int err = v->is_report ? ota_report_encode(&v->report, v->up, out, sizeof out, &size)
                           : ota_check_request_encode(&v->request, v->up, out, sizeof out, &size);

    expect(v->name, err == OTA_OK && size == v->object.size && ota_equal(out, v->object.at, size) == OTA_PASS);
}

static void run_signature(const struct signature *v)
{
    struct ota_source from = ota_source_buffer(v->message.at, v->message.size);
    struct ota_span all = {&from, 0, from.size};
    const void *key = known_keys[v->key].prepared;

    if (key == NULL)
        other_build++;
    else
        expect(v->name, (ota_verify(&ring, OTA_PS256, key, &all, 1, v->signature.at, v->signature.size) == OTA_PASS) ==
                            (v->passes == 1));
}

static void run_mac(const struct mac *v)
{
    struct ota_source from = ota_source_buffer(v->message.at, v->message.size);
    struct ota_span all = {&from, 0, from.size};
    uint8_t mac[OTA_SHA256_SIZE];
    int passed = ota_hmac_sha256(v->key.at, &all, 1, mac) == OTA_OK && v->tag.size <= sizeof mac &&
                 ota_equal(mac, v->tag.at, v->tag.size) == OTA_PASS;

    expect(v->name, passed == (v->passes == 1));
}

static void run_text(const struct text *v)
{
    int order = ota_version_compare(&v->version, &v->other);

    if (v->is_order)
        expect(v->name, (order > 0) - (order < 0) == v->order);
    else
        expect(v->name, ota_version_valid(&v->version) == v->is_valid);
}

static void run_return(const struct own_return *v)
{
    ota_verdict verdict = OTA_FAIL;
    int err = ota_rollback_check_return(&v->history, &v->retained, v->keyset_floor, &verdict);

    expect(v->name, err == -(int)v->expect && (verdict == OTA_PASS) == (err == OTA_OK));
}

#define RUN_ALL(vectors, run)                                          \
    for (unsigned i = 0; i < sizeof vectors / sizeof *vectors - 1; i++) \
        run(&vectors[i])

int main(void)
{
    RUN_ALL(judged, run_judged);
    RUN_ALL(written, run_written);
    RUN_ALL(signatures, run_signature);
    RUN_ALL(macs, run_mac);
    RUN_ALL(texts, run_text);
    RUN_ALL(returns, run_return);
    board_write_number(count);
    board_write_number(other_build);
    board_write_number(failures);
    board_write("\n");
    board_exit(failures != 0 || count == 0);
}
