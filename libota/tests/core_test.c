/* What no vector says: values that do not fit, sources that fail, an authentic response that makes no
 * sense, and messages that have no room. */
#include <string.h>

#include "bytes.h"
#include "cbor.h"
#include "cose.h"
#include "expect.h"
#include "ota/ota.h"
#include "ota/rsa.h"
#include "version.h"

int failures;

static const uint8_t key[32] = {1, 2, 3};

static int fails(void *ctx, uint32_t offset, void *to, size_t size)
{
    (void)ctx, (void)offset, (void)to, (void)size;
    return OTA_ERR_TRANSPORT;
}

static const struct ota_source broken = {fails, NULL, 64};

/* ---- values -------------------------------------------------------------------- */

static struct {
    int32_t number;
    uint8_t digest[OTA_SHA256_SIZE];
} got;

static int read_as(uint8_t kind, uint8_t offset, const uint8_t *bytes, size_t size)
{
    struct cbor_member members[2] = {{0, CBOR_FORMAT, 0}, {1, CBOR_INT, 0}};
    struct ota_source from = ota_source_buffer(bytes, size);
    struct ota_field all = {0, (uint16_t)size};

    members[1].kind = kind;
    members[1].offset = offset;
    return cbor_read_payload(&from, &all, members, 2, &got);
}

#define READ(kind, member, ...) \
    read_as((kind), offsetof(__typeof__(got), member), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void numbers_that_do_not_fit(void)
{
    EXPECT(READ(CBOR_INT, number, 0xa2, 0, 1, 1, 0x38, 0x24) == OTA_OK && got.number == -37);
    EXPECT(READ(CBOR_INT, number, 0xa2, 0, 1, 1, 0x1a, 0x7f, 0xff, 0xff, 0xff) == OTA_OK && got.number == 0x7fffffff);
    EXPECT(READ(CBOR_INT, number, 0xa2, 0, 1, 1, 0x1a, 0x80, 0, 0, 0) == OTA_OK && got.number == 0);
    EXPECT(READ(CBOR_INT, number, 0xa2, 0, 1, 1, 0x3b, 0, 0, 0, 1, 0, 0, 0, 0) == OTA_OK && got.number == -1);
    EXPECT(READ(CBOR_INT, number, 0xa2, 0, 1, 1, 0x1b, 0xff, 0, 0, 0, 0, 0, 0, 0) == OTA_ERR_INVALID_FIELD);
    EXPECT(READ(CBOR_INT, number, 0xa2, 0, 1, 1, 0x61, 'a') == OTA_ERR_INVALID_FIELD);
    /* A format of 1 and 2^32. */
    EXPECT(READ(CBOR_INT, number, 0xa2, 0, 0x1b, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0) == OTA_ERR_UNSUPPORTED);
    EXPECT(READ(CBOR_DIGEST, digest, 0xa2, 0, 1, 1, 0x58, 0x20, 7, 7, 7) == OTA_ERR_MALFORMED);
}

static void versions_with_hyphens(void)
{
    static const struct ota_version older = {9, "1.0.0-a-b"}, newer = {9, "1.0.0-a-c"};

    EXPECT(ota_version_compare(&older, &newer) < 0);
    EXPECT(ota_version_compare(&newer, &older) > 0);
}

/* ---- sources ------------------------------------------------------------------- */

static void a_source_that_fails_is_no_verdict(void)
{
    static const struct ota_check_response named = {.manifest_size = 64};
    struct ota_span all = {&broken, 0, 64};
    ota_verdict verdict = OTA_PASS;
    uint8_t mac[32], byte;

    EXPECT(ota_hmac_sha256(key, &all, 1, mac) == OTA_ERR_TRANSPORT);
    EXPECT(ota_check_named(&named, &broken, &verdict) == OTA_ERR_TRANSPORT && verdict != OTA_PASS);
    EXPECT(ota_source_read(&broken, 65, &byte, 0) == OTA_ERR_MALFORMED);
    EXPECT(ota_source_read(&broken, 64, &byte, 1) == OTA_ERR_MALFORMED);
}

/* Its size in 16 bits would be that of an anchor. */
static void an_anchor_has_an_end(void)
{
    static const struct ota_source large = {fails, NULL, 0x10010};
    struct ota_keyset held;

    EXPECT(ota_keyset_anchor(&held, &large) == OTA_ERR_TOO_LARGE);
}

static void a_verifier_knows_its_algorithm_and_size(void)
{
    static const struct ota_keyring none = {NULL, NULL, NULL};
    static const uint8_t signature[OTA_RSA_BYTES];
    static const struct ota_rsa_key zero;

    EXPECT(ota_verify(&none, OTA_ED25519, &zero, NULL, 0, signature, sizeof signature) != OTA_PASS);
    EXPECT(ota_verify(&none, OTA_PS256, &zero, NULL, 0, signature, sizeof signature - 1) != OTA_PASS);
}

/* A number that doubles modulo another one, limb by limb. */
static void double_modulo(ota_limb *r, const ota_limb *n)
{
    ota_limb less[OTA_RSA_LIMBS], carry = 0, borrow = 0;

    for (unsigned i = 0; i < OTA_RSA_LIMBS; i++) {
        ota_limb high = r[i] >> (OTA_LIMB_BITS - 1);

        r[i] = (ota_limb)(r[i] << 1 | carry);
        carry = high;
    }
    for (unsigned i = 0; i < OTA_RSA_LIMBS; i++) {
        less[i] = (ota_limb)(r[i] - n[i] - borrow);
        borrow = r[i] < n[i] || (r[i] == n[i] && borrow);
    }
    if (carry || !borrow)
        memcpy(r, less, sizeof less);
}

/* What is stored of a key is what the provisioning tool would have stored, to the byte: R * R modulo n, below n. */
static void a_prepared_key_is_reduced(void)
{
    static const struct ota_keyring none = {NULL, NULL, NULL};
    uint8_t cose_key[OTA_RSA_COSE_SIZE] = {0xa3, 0x01, 0x03, 0x20, 0x59, OTA_RSA_BYTES >> 8, OTA_RSA_BYTES & 0xff};
    static const uint8_t suffix[5] = {0x21, 0x43, 0x01, 0x00, 0x01};
    uint32_t random = 1;

    memcpy(cose_key + 7 + OTA_RSA_BYTES, suffix, sizeof suffix);
    for (unsigned k = 0; k < 40; k++) {
        ota_limb want[OTA_RSA_LIMBS] = {1};
        uint8_t id[OTA_SHA256_SIZE];
        struct ota_rsa_key prepared;

        for (unsigned i = 0; i < OTA_RSA_BYTES; i++) {
            random = random * 1103515245u + 12345u;
            cose_key[7 + i] = (uint8_t)(random >> 16);
        }
        cose_key[7] |= 0x80;
        cose_key[6 + OTA_RSA_BYTES] |= 1;
        EXPECT(ota_rsa_prepare(&none, &prepared, id, cose_key, sizeof cose_key) == OTA_OK);
        for (unsigned i = 0; i < 2 * OTA_RSA_BITS; i++)
            double_modulo(want, prepared.n);
        EXPECT(memcmp(prepared.rr, want, sizeof want) == 0);
    }
}

/* ---- messages ------------------------------------------------------------------- */

static void put(struct cbor_writer *w, const void *bytes, size_t size)
{
    cbor_put_head(w, CBOR_BYTES, size);
    cbor_put(w, bytes, size);
}

/* A response that the server's key is under. */
static int open_response(const uint8_t *payload, size_t size)
{
    static const uint8_t thumbprint[6] = {0xa2, 0x01, 0x04, 0x20, 0x58, 32};
    uint8_t protected[17] = {0xa3, 1, COSE_HMAC_256, 4, 0x40 | COSE_KID_SIZE};
    uint8_t kid[32], mac[32], message[256], signed_bytes[256];
    struct cbor_writer w = {message, sizeof message, 0}, s = {signed_bytes, sizeof signed_bytes, 0};
    struct ota_check_response r;
    struct ota_source from;
    struct ota_span all = {&from, 0, 0};
    struct ota_sha256 sha;
    ota_verdict verdict = OTA_PASS;
    int err;

    ota_sha256_init(&sha);
    ota_sha256_update(&sha, thumbprint, sizeof thumbprint);
    ota_sha256_update(&sha, key, sizeof key);
    ota_sha256_final(&sha, kid);
    memcpy(protected + 5, kid, COSE_KID_SIZE);
    protected[13] = 16;
    protected[14] = 0x19;
    protected[15] = COSE_CHECK_RESPONSE >> 8;
    protected[16] = COSE_CHECK_RESPONSE & 0xff;

    cbor_put_head(&s, CBOR_ARRAY, 4);
    cbor_put_head(&s, CBOR_TEXT, 4);
    cbor_put(&s, "MAC0", 4);
    put(&s, protected, sizeof protected);
    put(&s, "", 0);
    put(&s, payload, size);
    from = ota_source_buffer(signed_bytes, s.size);
    all.size = from.size;
    EXPECT(ota_hmac_sha256(key, &all, 1, mac) == OTA_OK);

    cbor_put_head(&w, CBOR_TAG, 17);
    cbor_put_head(&w, CBOR_ARRAY, 4);
    put(&w, protected, sizeof protected);
    cbor_put_head(&w, CBOR_MAP, 0);
    put(&w, payload, size);
    put(&w, mac, sizeof mac);
    err = ota_check_response_open(&r, message, w.size, key, "d", 5, &verdict);
    EXPECT((verdict == OTA_PASS) == (err == OTA_OK));
    return err;
}

static void responses_that_make_no_sense(void)
{
    /* {0: 1, 1: "d", 3: 5, 4: 0, 5: 1, 6: 0}, then 9: a patch without a manifest, then that with
     * 7: a hash, 8: a size, and a format that none has. */
    uint8_t payload[120] = {0xa6, 0, 1, 1, 0x61, 'd', 3, 5, 4, 0, 5, 1, 6, 0};
    static const uint8_t patch[] = {9, 0x83, 1, 2, 0x58, 0x20}, format[] = {9, 0x83, 0x19, 1, 0, 2, 0x58, 0x20};
    static const uint8_t hash[] = {7, 0x58, 0x20, 1}, manifest[] = {8, 9};

    EXPECT(open_response(payload, 14) == OTA_OK);
    payload[7] = 6;
    EXPECT(open_response(payload, 14) == OTA_ERR_WRONG_NONCE);
    payload[0]++;
    payload[7] = 5;
    memcpy(payload + 14, patch, sizeof patch);
    EXPECT(open_response(payload, 14 + sizeof patch + 32) == OTA_ERR_INVALID_FIELD);
    payload[0] += 2;
    memset(payload + 14, 0, 40);
    memcpy(payload + 14, hash, sizeof hash);
    memcpy(payload + 49, manifest, sizeof manifest);
    memcpy(payload + 51, patch, sizeof patch);
    EXPECT(open_response(payload, 51 + sizeof patch + 32) == OTA_OK);
    memcpy(payload + 51, format, sizeof format);
    EXPECT(open_response(payload, 51 + sizeof format + 32) == OTA_ERR_INVALID_FIELD);
}

static void messages_say_what_is_there(void)
{
    static char name[3000];
    static uint8_t message[4096];
    struct ota_check_request request = {"d", "t", NULL, 1, 0, 0, 0, 0, 0, {0}};
    struct ota_report report;
    size_t without = 0, size = 0;

    EXPECT(ota_check_request_encode(&request, key, message, sizeof message, &size) == OTA_OK);
    memset(name, 'a', sizeof name - 1);
    request.device = name;
    EXPECT(ota_check_request_encode(&request, key, message, sizeof message, &size) == OTA_ERR_TOO_LARGE);

    memset(&report, 0, sizeof report);
    report.device = report.device_type = "d";
    EXPECT(ota_report_encode(&report, key, message, sizeof message, &without) == OTA_OK);
    report.target[0] = 1;
    EXPECT(ota_report_encode(&report, key, message, sizeof message, &size) == OTA_OK);
    EXPECT(size == without + 1 + 2 + OTA_SHA256_SIZE);
}

int main(void)
{
    numbers_that_do_not_fit();
    versions_with_hyphens();
    a_source_that_fails_is_no_verdict();
    an_anchor_has_an_end();
    a_verifier_knows_its_algorithm_and_size();
    a_prepared_key_is_reduced();
    responses_that_make_no_sense();
    messages_say_what_is_there();
    printf("core: %s\n", failures == 0 ? "ok" : "failed");
    return failures != 0;
}
