/* Judges the library by the files of testvectors/, given as arguments, and by what
 * can be derived from them: every bit of what is accepted flipped, every beginning of
 * it, every read of a source failing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cbor.h"
#include "version.h"
#include "world.h"

static size_t failures, other_build, other_side, derived;

static void fail(const struct vector *v, const char *what, long got, long want)
{
    fprintf(stderr, "%s: %s: %s: %ld, want %ld\n", v->file, v->name, what, got, want);
    failures++;
}

static void want(const struct vector *v, const char *key, uint64_t got)
{
    if (vector_nth(v, key, 0) != NULL && vector_number(v, key) != got)
        fail(v, key, (long)got, (long)vector_number(v, key));
}

static void want_bytes(const struct vector *v, const char *key, const uint8_t *got, size_t size)
{
    static uint8_t bytes[MAX_BYTES];

    if (vector_nth(v, key, 0) != NULL && (vector_bytes(v, key, bytes) != size || memcmp(bytes, got, size) != 0))
        fail(v, key, 0, 1);
}

/* ---- sources ------------------------------------------------------------- */

/* A source whose n-th read fails. */
struct frail {
    const uint8_t *bytes;
    unsigned reads, fail_at;
};

static int frail_read(void *ctx, uint32_t offset, void *to, size_t size)
{
    struct frail *f = ctx;

    if (++f->reads == f->fail_at)
        return OTA_ERR_STORAGE;
    memcpy(to, f->bytes + offset, size);
    return OTA_OK;
}

/* ---- what follows from a vector -------------------------------------------- */

/* An object that is accepted is refused when a bit of it is flipped, a byte is
 * missing or added, or a read fails. */
static void derive(const struct vector *v, judge *judge, uint8_t *bytes, size_t size)
{
    struct ota_source object = ota_source_buffer(bytes, size), short_of;
    struct frail frail = {bytes, 0, 0};
    struct ota_source breaking = {frail_read, &frail, (uint32_t)size};
    ota_verdict verdict = OTA_FAIL;
    unsigned reads;

    for (size_t i = 0; i < 8 * size; i++, derived++) {
        int err;

        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        err = judge(v, &object, &verdict);
        if (err == OTA_OK || verdict == OTA_PASS)
            fail(v, "accepted with a bit flipped", (long)i, -1);
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t i = 0; i <= size + 1; i++, derived++) {
        if (i == size)
            continue;
        bytes[size] = 0;
        short_of = ota_source_buffer(bytes, i);
        if (judge(v, &short_of, &verdict) == OTA_OK || verdict == OTA_PASS)
            fail(v, "accepted with another length", (long)i, (long)size);
    }
    if (judge(v, &breaking, &verdict) != OTA_OK)
        fail(v, "not accepted from a source with a callback", 0, 1);
    reads = frail.reads;
    for (frail.fail_at = 1; frail.fail_at <= reads; frail.fail_at++, derived++) {
        int err;

        frail.reads = 0;
        err = judge(v, &breaking, &verdict);
        if (verdict == OTA_PASS || (err != OTA_ERR_STORAGE && err != OTA_ERR_BAD_SIGNATURE))
            fail(v, "a read fails", err, OTA_ERR_STORAGE);
    }
}

static enum { NONE, FIRST, ALL } derive_from = FIRST; /* of what is accepted in a file */
static int every_key;

static void judge_object(const struct vector *v, judge *judge)
{
    static uint8_t bytes[MAX_BYTES + 1];
    static const char *derived_from;
    static struct ota_source object; /* what was decoded refers to it */
    size_t size = vector_bytes(v, "object", bytes);
    ota_verdict verdict = OTA_PASS;
    int err;

    object = ota_source_buffer(bytes, size);
    asked_unusable = 0;
    err = judge(v, &object, &verdict);
    if (asked_unusable) {
        other_build++;
        return;
    }
    if (err != v->expect)
        fail(v, "result", err, v->expect);
    if ((verdict == OTA_PASS) != (err == OTA_OK))
        fail(v, "verdict", (long)verdict, err);
    if (err == OTA_OK && v->expect == OTA_OK && derive_from != NONE &&
        (derive_from == ALL || derived_from != v->file)) {
        derived_from = v->file;
        derive(v, judge, bytes, size);
        (void)!judge(v, &object, &verdict);
    }
}

static void run_keyset(const struct vector *v)
{
    int err = load_held(v);

    if (err != OTA_OK) {
        if (err != v->expect)
            fail(v, "held", err, v->expect);
        return;
    }
    judge_object(v, judge_keyset);
    if (v->expect != OTA_OK)
        return;
    want(v, "keyset-version", keyset.version);
    want(v, "root-threshold", keyset.roots.threshold);
    want(v, "release-threshold", keyset.releases.threshold);
    want(v, "security-floor", keyset.security_floor);
    want(v, "service-skips-freshness", keyset.service_skips_freshness);
}

static void run_manifest(const struct vector *v)
{
    if (load_held(v) != OTA_OK) {
        fail(v, "held keyset is refused", 0, 1);
        return;
    }
    load_device(v);
    judge_object(v, judge_manifest);
    if (v->expect != OTA_OK || asked_unusable)
        return;
    want(v, "sequence", manifest.sequence);
    want(v, "security-counter", manifest.security_counter);
    want(v, "image-size", manifest.image_size);
    want(v, "keyset-version", manifest.keyset_version);
    want(v, "expires", manifest.expires);
    want(v, "flags", manifest.flags);
    want(v, "oldest-return", manifest.oldest_return);
    want_bytes(v, "image-digest", manifest.image_digest, 32);
    want_bytes(v, "release-digest", manifest.release_digest, 32);
    if (vector_nth(v, "version", 0) != NULL) {
        struct ota_version version;

        if (ota_manifest_version(&manifest, &version) != OTA_OK || version.size != strlen(vector_text(v, "version")) ||
            memcmp(version.text, vector_text(v, "version"), version.size) != 0)
            fail(v, "version", 0, 1);
    }
}

static void want_no_answer_without_a_key(const struct vector *v)
{
    static const uint8_t none[OTA_KEY_SIZE];
    static uint8_t message[MAX_BYTES];
    struct ota_check_response r;
    ota_verdict verdict = OTA_PASS;
    int err = ota_check_response_open(&r, message, vector_bytes(v, "object", message), none, vector_text(v, "device"),
                                      vector_number(v, "nonce"), &verdict);

    if (err != OTA_ERR_NO_DEVICE_KEY || verdict == OTA_PASS)
        fail(v, "opened without a key", err, OTA_ERR_NO_DEVICE_KEY);
}

static void run_response(const struct vector *v)
{
    judge_object(v, judge_response);
    if (v->expect != OTA_OK)
        return;
    want_no_answer_without_a_key(v);
    want(v, "server-time", response.server_time);
    want(v, "keyset-version", response.keyset_version);
    want(v, "retry-seconds", response.retry_seconds);
    want(v, "manifest-size", response.manifest_size);
    want(v, "retry-rejected", response.retry_rejected);
    want_bytes(v, "manifest-hash", response.manifest_hash, 32);
    want(v, "patch-format", response.patch.format);
    want(v, "patch-size", response.patch.size);
    if (response.patch_entry.size != 0)
        want_bytes(v, "patch-digest", response.patch.digest, 32);
}

/* Messages that a device writes: what is accepted has to come out the same. */
static void run_written(const struct vector *v)
{
    static uint8_t object[MAX_BYTES], up[MAX_BYTES], digest[MAX_BYTES];
    uint8_t out[OTA_MAX_MESSAGE];
    size_t size = vector_bytes(v, "object", object), written = 0;
    int err, is_report = strcmp(v->kind, "report") == 0;
    struct ota_check_request request = {0};
    struct ota_report report = {0};

    if (v->expect != OTA_OK || vector_nth(v, "nonce", 0) == NULL || vector_nth(v, "image-digest", 0) == NULL ||
        vector_bytes(v, "up-key", up) != 32) {
        other_side++;
        return;
    }
    (void)vector_bytes(v, "image-digest", digest);
    memcpy(request.image_digest, digest, 32);
    memcpy(report.image_digest, digest, 32);
    request.device = report.device = vector_text(v, "device");
    request.device_type = report.device_type = vector_text(v, "device-type");
    request.nonce = report.nonce = vector_number(v, "nonce");
    request.sequence = report.sequence = vector_number(v, "sequence");
    request.keyset_version = (uint32_t)vector_number(v, "keyset-version");
    request.boot = (uint32_t)vector_number(v, "boot");
    request.last_error = (uint32_t)vector_number(v, "last-error");
    request.hardware = vector_text(v, "hardware");
    request.capabilities = (uint32_t)vector_number(v, "capabilities");
    report.event = (uint32_t)vector_number(v, "event");
    report.reason = (uint32_t)vector_number(v, "reason");
    report.detail = vector_text(v, "detail");
    if (vector_bytes(v, "target", digest) == 32)
        memcpy(report.target, digest, 32);
    for (size_t capacity = 0; capacity <= sizeof out; capacity++) {
        err = is_report ? ota_report_encode(&report, up, out, capacity, &written)
                        : ota_check_request_encode(&request, up, out, capacity, &written);
        if (err != (capacity < size ? OTA_ERR_TOO_LARGE : OTA_OK))
            fail(v, "encode", err, (long)capacity);
    }
    if (written != size || memcmp(out, object, size) != 0)
        fail(v, "written otherwise", (long)written, (long)size);
    memset(up, 0, 32);
    if (ota_report_encode(&report, up, out, sizeof out, &written) != OTA_ERR_NO_DEVICE_KEY)
        fail(v, "encoded without a key", 0, OTA_ERR_NO_DEVICE_KEY);
}

static void run_cbor(const struct vector *v)
{
    static uint8_t item[MAX_BYTES];
    struct ota_field all = {0, (uint16_t)vector_bytes(v, "item", item)};
    struct ota_source from = ota_source_buffer(item, all.size);
    struct cbor_reader r;
    int err;

    cbor_open(&r, &from, &all);
    cbor_skip(&r);
    err = cbor_close(&r);
    if (err != v->expect)
        fail(v, "item", err, v->expect);
}

/* The forms of a key differ from port to port, so that only the fact of a refusal is
 * judged. */
static void run_cose_key(const struct vector *v)
{
    static uint8_t cose[MAX_BYTES];
    size_t size = vector_bytes(v, "object", cose);
    struct key k;

    if (key_load(&k, cose, size) != 0) {
        other_build += v->expect == OTA_OK;
        return;
    }
    if (v->expect != OTA_OK)
        fail(v, "key", OTA_OK, v->expect);
    want_bytes(v, "id", k.id, 32);
}

static void run_bare(const struct vector *v)
{
    static uint8_t message[MAX_BYTES], signature[MAX_BYTES];
    size_t size = vector_bytes(v, "signature", signature);
    struct ota_source from = ota_source_buffer(message, vector_bytes(v, "message", message));
    const struct ota_span spans[2] = {{&from, 0, from.size / 3}, {&from, from.size / 3, from.size - from.size / 3}};
    const struct key *key;
    int passed;

    load_keys(v);
    key = first_key();
    if (key == NULL) {
        other_build++;
        return;
    }
    /* Bare files are verified elsewhere, which refuses what looks like a Sig_structure
     * and keys that are not RSA-2048. */
    if (v->expect == OTA_ERR_WRONG_KIND || v->expect == OTA_ERR_INVALID_FIELD) {
        other_side++;
        return;
    }
    passed = ota_verify(&ring, OTA_PS256, key->form.bytes, spans, 2, signature, size) == OTA_PASS;
    if (passed != (v->expect == OTA_OK))
        fail(v, "passed", passed, v->expect);
}

static void run_hmac(const struct vector *v)
{
    static uint8_t key[MAX_BYTES], message[MAX_BYTES], tag[MAX_BYTES];
    size_t key_size = vector_bytes(v, "mac-key", key), tag_size = vector_bytes(v, "tag", tag);
    struct ota_source from = ota_source_buffer(message, vector_bytes(v, "message", message));
    const struct ota_span spans[2] = {{&from, 0, from.size / 2}, {&from, from.size / 2, from.size - from.size / 2}};
    uint8_t mac[32];
    int passed;

    /* RFC 2104: a shorter key is filled up with zeros, one longer than a block hashed. */
    if (key_size < 32) {
        memset(key + key_size, 0, 32 - key_size);
    } else if (key_size > 64) {
        struct ota_sha256 sha;

        ota_sha256_init(&sha);
        ota_sha256_update(&sha, key, key_size);
        ota_sha256_final(&sha, key);
    }
    passed = ota_hmac_sha256(key, spans, 2, mac) == OTA_OK && tag_size <= 32 && ota_equal(mac, tag, tag_size) == OTA_PASS;
    if (passed != (v->expect == OTA_OK))
        fail(v, "passed", passed, v->expect);
}

static int load_version(struct ota_version *to, const struct vector *v, const char *key)
{
    static uint8_t text[MAX_BYTES];
    size_t size = vector_bytes(v, key, text);

    if (size > OTA_MAX_VERSION)
        return 0;
    to->size = (uint8_t)size;
    memcpy(to->text, text, size);
    return ota_version_valid(to);
}

static void run_version(const struct vector *v)
{
    struct ota_version version;
    int valid = load_version(&version, v, "text");

    if (valid != (v->expect == OTA_OK))
        fail(v, "valid", valid, v->expect);
}

static void run_version_order(const struct vector *v)
{
    const char *want = vector_text(v, "order");
    struct ota_version a, b;
    int order;

    if (!load_version(&a, v, "text") || !load_version(&b, v, "other")) {
        fail(v, "valid", 0, 1);
        return;
    }
    order = ota_version_compare(&a, &b);
    if (strcmp(want, order < 0 ? "older" : order > 0 ? "newer" : "same") != 0)
        fail(v, "order", order, want[0]);
}

static void run_return(const struct vector *v)
{
    struct ota_release retained = {0};
    ota_verdict verdict = OTA_PASS;
    int err;

    memset(&history, 0, sizeof history);
    history.installed.sequence = vector_number(v, "installed-sequence");
    history.installed.oldest_return = vector_number(v, "oldest-return");
    history.floor_epoch = (uint32_t)vector_number(v, "floor-epoch");
    history.floor_counter = (uint32_t)vector_number(v, "floor-counter");
    retained.sequence = vector_number(v, "retained-sequence");
    retained.security_counter = (uint32_t)vector_number(v, "retained-counter");
    retained.confirmed = vector_number(v, "retained-confirmed") != 0;
    err = ota_rollback_check_return(&history, &retained, (uint32_t)vector_number(v, "keyset-floor"), &verdict);
    if (err != v->expect || (verdict == OTA_PASS) != (err == OTA_OK))
        fail(v, "return", err, v->expect);
}

static void run(const struct vector *v)
{
    static const struct {
        const char *kind;
        void (*run)(const struct vector *);
    } kinds[] = {
        {"keyset", run_keyset},   {"manifest", run_manifest}, {"check-response", run_response},
        {"cbor", run_cbor},       {"cose-key", run_cose_key}, {"check-request", run_written},
        {"report", run_written},  {"bare", run_bare},         {"hmac", run_hmac},
        {"return", run_return},   {"version", run_version},   {"version-order", run_version_order},
    };

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(v->kind, kinds[i].kind) == 0) {
            kinds[i].run(v);
            return;
        }
    fprintf(stderr, "%s: kind %s is not known\n", v->file, v->kind);
    exit(2);
}

int main(int argc, char **argv)
{
    size_t count = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-derive-none") == 0)
            derive_from = NONE;
        else if (strcmp(argv[i], "-derive-all") == 0)
            derive_from = ALL;
        else if (strcmp(argv[i], "-every-key") == 0)
            every_key = 1;
        else
            count += vectors_read(argv[i], run);
    }
    if (feeds == 0)
        fprintf(stderr, "the watchdog was not fed\n");
    printf("%zu vectors, of which %zu need a key that this build cannot use and %zu are of the server's side; "
           "%zu derived from them; %zu failures\n",
           count, other_build, other_side, derived, failures);
    return failures != 0 || count == 0 || (every_key && other_build != 0);
}
