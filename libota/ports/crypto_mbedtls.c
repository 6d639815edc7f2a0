/* The crypto port over mbedTLS 2.28 or 3: RSA-PSS of every size and P-256. Keys are
 * struct ota_cose_key. mbedTLS has no Ed25519: such a signature does not verify, so a
 * keyring should not offer those keys. */
#include "ota/crypto.h"

#include <mbedtls/ecdsa.h>
#include <mbedtls/rsa.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>

#include "ota/cose_key.h"

/* Compiling fails where the state does not fit. */
typedef char state_fits[sizeof(mbedtls_sha256_context) <= sizeof(struct ota_sha256) ? 1 : -1];

static mbedtls_sha256_context *state_of(struct ota_sha256 *s)
{
    return (mbedtls_sha256_context *)(void *)s->words;
}

/* The calls below fail only where a hardware engine does. Then the digest is wrong,
 * and a wrong digest is refused. */
#if MBEDTLS_VERSION_NUMBER < 0x03000000
#define mbedtls_sha256_starts mbedtls_sha256_starts_ret
#define mbedtls_sha256_update mbedtls_sha256_update_ret
#define mbedtls_sha256_finish mbedtls_sha256_finish_ret
#endif

void ota_sha256_init(struct ota_sha256 *s)
{
    mbedtls_sha256_init(state_of(s));
    (void)!mbedtls_sha256_starts(state_of(s), 0);
}

void ota_sha256_update(struct ota_sha256 *s, const void *data, size_t size)
{
    (void)!mbedtls_sha256_update(state_of(s), data, size);
}

void ota_sha256_final(struct ota_sha256 *s, uint8_t digest[OTA_SHA256_SIZE])
{
    (void)!mbedtls_sha256_finish(state_of(s), digest);
    mbedtls_sha256_free(state_of(s));
}

/* RSA: {1: 3, -1: n, -2: 65537}, with a modulus of 256 bytes or more. */
#define RSA_PREFIX 7
#define RSA_SUFFIX 5

static int check_rsa(const struct ota_cose_key *k, const uint8_t *digest, const uint8_t *signature, size_t size)
{
    static const uint8_t suffix[RSA_SUFFIX] = {0x21, 0x43, 0x01, 0x00, 0x01};
    const uint8_t *n = k->bytes + RSA_PREFIX;
    mbedtls_rsa_context rsa;
    size_t n_size;
    int err;

    if (k->size < RSA_PREFIX + 256 + RSA_SUFFIX || k->bytes[2] != 3)
        return -1;
    n_size = k->size - RSA_PREFIX - RSA_SUFFIX;
    if (ota_equal(n + n_size, suffix, sizeof suffix) != OTA_PASS || size != n_size)
        return -1;
#if MBEDTLS_VERSION_NUMBER < 0x03000000
    mbedtls_rsa_init(&rsa, MBEDTLS_RSA_PKCS_V21, MBEDTLS_MD_SHA256);
#else
    mbedtls_rsa_init(&rsa);
    err = mbedtls_rsa_set_padding(&rsa, MBEDTLS_RSA_PKCS_V21, MBEDTLS_MD_SHA256);
    if (err != 0)
        return err;
#endif
    err = mbedtls_rsa_import_raw(&rsa, n, n_size, NULL, 0, NULL, 0, NULL, 0, suffix + 2, 3);
    if (err == 0)
        err = mbedtls_rsa_complete(&rsa);
    if (err == 0)
#if MBEDTLS_VERSION_NUMBER < 0x03000000
        err = mbedtls_rsa_rsassa_pss_verify_ext(&rsa, NULL, NULL, MBEDTLS_RSA_PUBLIC, MBEDTLS_MD_SHA256,
                                                OTA_SHA256_SIZE, digest, MBEDTLS_MD_SHA256, OTA_SHA256_SIZE, signature);
#else
        err = mbedtls_rsa_rsassa_pss_verify_ext(&rsa, MBEDTLS_MD_SHA256, OTA_SHA256_SIZE, digest, MBEDTLS_MD_SHA256,
                                                OTA_SHA256_SIZE, signature);
#endif
    mbedtls_rsa_free(&rsa);
    return err;
}

#ifdef MBEDTLS_ECDSA_C
/* P-256: {1: 2, -1: 1, -2: x, -3: y}; the signature is r ‖ s. */
#define EC_X 8
#define EC_Y 43
#define EC_SIZE 75

static int check_p256(const struct ota_cose_key *k, const uint8_t *digest, const uint8_t *signature, size_t size)
{
    uint8_t point[65] = {4};
    mbedtls_ecp_group group;
    mbedtls_ecp_point q;
    mbedtls_mpi r, s;
    int err;

    if (k->size != EC_SIZE || k->bytes[2] != 2 || size != 64)
        return -1;
    for (unsigned i = 0; i < 32; i++) {
        point[1 + i] = k->bytes[EC_X + i];
        point[33 + i] = k->bytes[EC_Y + i];
    }
    mbedtls_ecp_group_init(&group);
    mbedtls_ecp_point_init(&q);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    err = mbedtls_ecp_group_load(&group, MBEDTLS_ECP_DP_SECP256R1);
    if (err == 0)
        err = mbedtls_ecp_point_read_binary(&group, &q, point, sizeof point);
    if (err == 0)
        err = mbedtls_ecp_check_pubkey(&group, &q);
    if (err == 0)
        err = mbedtls_mpi_read_binary(&r, signature, 32);
    if (err == 0)
        err = mbedtls_mpi_read_binary(&s, signature + 32, 32);
    if (err == 0)
        err = mbedtls_ecdsa_verify(&group, digest, OTA_SHA256_SIZE, &q, &r, &s);
    mbedtls_mpi_free(&s);
    mbedtls_mpi_free(&r);
    mbedtls_ecp_point_free(&q);
    mbedtls_ecp_group_free(&group);
    return err;
}
#else
/* An mbedTLS without curves. */
static int check_p256(const struct ota_cose_key *k, const uint8_t *digest, const uint8_t *signature, size_t size)
{
    (void)k;
    (void)digest;
    (void)signature;
    (void)size;
    return -1;
}
#endif

ota_verdict ota_verify(const struct ota_keyring *ring, int alg, const void *key, const struct ota_span *message,
                       unsigned count, const uint8_t *signature, size_t size)
{
    uint8_t digest[OTA_SHA256_SIZE];
    struct ota_sha256 sha;
    int err;

    ota_sha256_init(&sha);
    err = ota_sha256_spans(&sha, message, count);
    ota_sha256_final(&sha, digest);
    if (err != OTA_OK)
        return OTA_FAIL;
    err = -1;
    if (alg == OTA_PS256)
        err = check_rsa(key, digest, signature, size);
    else if (alg == OTA_ESP256)
        err = check_p256(key, digest, signature, size);
    if (ring->feed != NULL)
        ring->feed(ring->ctx);
    return err == 0 ? OTA_PASS : OTA_FAIL;
}
