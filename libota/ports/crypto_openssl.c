/* The crypto port over OpenSSL 3: RSA-PSS of every size, P-256 and Ed25519. Keys are
 * struct ota_cose_key. */
#define OPENSSL_API_COMPAT 0x10101000L /* SHA256_Init and its kind need no heap */
#include "ota/crypto.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#include "ota/cose_key.h"

typedef char state_fits[sizeof(SHA256_CTX) <= sizeof(struct ota_sha256) ? 1 : -1];

static SHA256_CTX *state_of(struct ota_sha256 *s)
{
    return (SHA256_CTX *)(void *)s->words;
}

void ota_sha256_init(struct ota_sha256 *s)
{
    (void)SHA256_Init(state_of(s));
}

void ota_sha256_update(struct ota_sha256 *s, const void *data, size_t size)
{
    (void)SHA256_Update(state_of(s), data, size);
}

void ota_sha256_final(struct ota_sha256 *s, uint8_t digest[OTA_SHA256_SIZE])
{
    (void)SHA256_Final(digest, state_of(s));
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

/* RSA: {1: 3, -1: n, -2: 65537}, with a modulus of 256 bytes or more. */
#define RSA_PREFIX 7
#define RSA_SUFFIX 5

static EVP_PKEY *rsa_key(const struct ota_cose_key *k)
{
    static const uint8_t suffix[RSA_SUFFIX] = {0x21, 0x43, 0x01, 0x00, 0x01};
    OSSL_PARAM_BLD *build;
    EVP_PKEY *key = NULL;
    size_t size;
    BIGNUM *n;

    if (k->size < RSA_PREFIX + 256 + RSA_SUFFIX || k->bytes[2] != 3)
        return NULL;
    size = k->size - RSA_PREFIX - RSA_SUFFIX;
    if (ota_equal(k->bytes + RSA_PREFIX + size, suffix, sizeof suffix) != OTA_PASS)
        return NULL;
    build = OSSL_PARAM_BLD_new();
    n = BN_bin2bn(k->bytes + RSA_PREFIX, (int)size, NULL);
    if (build != NULL && n != NULL && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_uint(build, OSSL_PKEY_PARAM_RSA_E, 65537) == 1)
        key = from_params("RSA", build);
    BN_free(n);
    OSSL_PARAM_BLD_free(build);
    return key;
}

/* P-256: {1: 2, -1: 1, -2: x, -3: y}. */
#define EC_X 8
#define EC_Y 43
#define EC_SIZE 75

static EVP_PKEY *p256_key(const struct ota_cose_key *k)
{
    uint8_t point[65] = {4};
    OSSL_PARAM_BLD *build;
    EVP_PKEY *key = NULL;

    if (k->size != EC_SIZE || k->bytes[2] != 2)
        return NULL;
    for (unsigned i = 0; i < 32; i++) {
        point[1 + i] = k->bytes[EC_X + i];
        point[33 + i] = k->bytes[EC_Y + i];
    }
    build = OSSL_PARAM_BLD_new();
    if (build != NULL && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) == 1)
        key = from_params("EC", build);
    OSSL_PARAM_BLD_free(build);
    return key;
}

/* Ed25519: {1: 1, -1: 6, -2: x}. */
#define ED_X 8
#define ED_SIZE 40

static EVP_PKEY *ed25519_key(const struct ota_cose_key *k)
{
    if (k->size != ED_SIZE || k->bytes[2] != 1)
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, k->bytes + ED_X, 32);
}

/* Ed25519 wants the message whole: the longest payload and what is before it. */
#define MAX_WHOLE (2048 + 64)

static int check_ed25519(EVP_MD_CTX *md, EVP_PKEY *key, const struct ota_span *message, unsigned count,
                         const uint8_t *signature, size_t size)
{
    uint8_t whole[MAX_WHOLE];
    size_t done = 0;

    for (; count > 0; count--, message++) {
        if (message->size > sizeof whole - done ||
            ota_source_read(message->from, message->at, whole + done, message->size) != OTA_OK)
            return 0;
        done += message->size;
    }
    return EVP_DigestVerifyInit(md, NULL, NULL, NULL, key) == 1 &&
           EVP_DigestVerify(md, signature, size, whole, done) == 1;
}

static int feed(EVP_MD_CTX *md, const struct ota_span *message, unsigned count)
{
    for (; count > 0; count--, message++) {
        uint32_t at = message->at, end = at + message->size;

        while (at < end) {
            uint8_t part[64];
            size_t size = end - at < sizeof part ? end - at : sizeof part;

            if (ota_source_read(message->from, at, part, size) != OTA_OK || EVP_DigestVerifyUpdate(md, part, size) != 1)
                return 0;
            at += (uint32_t)size;
        }
    }
    return 1;
}

static int check_pss(EVP_MD_CTX *md, EVP_PKEY *key, const struct ota_span *message, unsigned count,
                     const uint8_t *signature, size_t size)
{
    EVP_PKEY_CTX *ctx; /* md's */

    return EVP_DigestVerifyInit(md, &ctx, EVP_sha256(), NULL, key) == 1 &&
           EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, OTA_SHA256_SIZE) == 1 && feed(md, message, count) &&
           EVP_DigestVerifyFinal(md, signature, size) == 1;
}

/* A positive integer of 32 bytes in DER: without zeros in front, but one where the
 * number would else be negative. */
static size_t put_integer(uint8_t *out, const uint8_t *bytes)
{
    size_t skip = 0, pad;

    while (skip < 31 && bytes[skip] == 0)
        skip++;
    pad = bytes[skip] >> 7;
    out[0] = 0x02;
    out[1] = (uint8_t)(32 - skip + pad);
    out[2] = 0;
    for (size_t i = skip; i < 32; i++)
        out[2 + pad + i - skip] = bytes[i];
    return 2 + pad + 32 - skip;
}

/* COSE has r ‖ s, OpenSSL wants DER. */
static int check_p256(EVP_MD_CTX *md, EVP_PKEY *key, const struct ota_span *message, unsigned count,
                      const uint8_t *signature, size_t size)
{
    uint8_t der[2 + 2 * 35] = {0x30};
    size_t n = 2;

    if (size != 64)
        return 0;
    n += put_integer(der + n, signature);
    n += put_integer(der + n, signature + 32);
    der[1] = (uint8_t)(n - 2);
    return EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1 && feed(md, message, count) &&
           EVP_DigestVerifyFinal(md, der, n) == 1;
}

ota_verdict ota_verify(const struct ota_keyring *ring, int alg, const void *key, const struct ota_span *message,
                       unsigned count, const uint8_t *signature, size_t size)
{
    EVP_PKEY *pkey = alg == OTA_PS256 ? rsa_key(key) : alg == OTA_ESP256 ? p256_key(key) : ed25519_key(key);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    int good = 0;

    if (pkey != NULL && md != NULL) {
        if (alg == OTA_PS256)
            good = check_pss(md, pkey, message, count, signature, size);
        else if (alg == OTA_ESP256)
            good = check_p256(md, pkey, message, count, signature, size);
        else if (alg == OTA_ED25519)
            good = check_ed25519(md, pkey, message, count, signature, size);
    }
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(pkey);
    if (ring->feed != NULL)
        ring->feed(ring->ctx);
    return good == 1 ? OTA_PASS : OTA_FAIL;
}
