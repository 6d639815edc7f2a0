/* The crypto port. A firmware links one implementation of the functions below:
 *
 *   src/{sha256,rsa_pss,rsa_row}.c    our own: RSA-PSS, verify only
 *   ports/crypto_mbedtls.c           mbedTLS: RSA-PSS and P-256
 *   ports/crypto_openssl.c           OpenSSL: RSA-PSS, P-256 and Ed25519
 *
 * or one of its own over a crypto engine. HMAC is made from the SHA-256
 * (src/hmac.c). */
#ifndef OTA_CRYPTO_H
#define OTA_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#include "ota/config.h"
#include "ota/err.h"
#include "ota/source.h"

#define OTA_SHA256_SIZE 32

/* COSE algorithms of signatures. */
enum ota_alg { OTA_PS256 = -37, OTA_ED25519 = -19, OTA_ESP256 = -9 };

/* The state of a SHA-256; what is in it is the port's. Messages are shorter
 * than 2^32 bytes. */
struct ota_sha256 {
    uint32_t words[OTA_SHA256_WORDS];
};

void ota_sha256_init(struct ota_sha256 *s);
void ota_sha256_update(struct ota_sha256 *s, const void *data, size_t size);
void ota_sha256_final(struct ota_sha256 *s, uint8_t digest[OTA_SHA256_SIZE]);

/* Hashes parts of sources, one after the other; fails as their reads do. */
OTA_MUST_USE int ota_sha256_spans(struct ota_sha256 *s, const struct ota_span *spans, unsigned count);

/* Hashes a whole object: what a response and a report name it by. */
OTA_MUST_USE int ota_source_hash(const struct ota_source *s, uint8_t digest[OTA_SHA256_SIZE]);

/* The public keys at hand. Being in a ring gives a key no authority: a keyset
 * names the ids that have it. */
struct ota_keyring {
    /* Returns the key with that id (SHA-256 of its COSE Key Thumbprint), in the
     * form that the linked verifier takes, or NULL if it is not at hand or of
     * another algorithm. */
    const void *(*find)(void *ctx, const uint8_t id[OTA_SHA256_SIZE], int alg);
    /* Called between parts of long computations, to feed a watchdog: about
     * eighteen times in one verification. May be NULL. */
    void (*feed)(void *ctx);
    void *ctx; /* of both */
};

/* Verifies a signature by key over a message in pieces. The key is in the form of the verifier's own header or file. Returns
 * OTA_PASS, or any other value if the signature does not verify, the algorithm
 * or the key is not supported, or a span cannot be read. */
OTA_MUST_USE ota_verdict ota_verify(const struct ota_keyring *ring, int alg, const void *key,
                                    const struct ota_span *message, unsigned count, const uint8_t *signature,
                                    size_t size);

/* HMAC-SHA-256 over a message in pieces, under a key of 32 bytes. */
OTA_MUST_USE int ota_hmac_sha256(const uint8_t key[32], const struct ota_span *message, unsigned count,
                                 uint8_t mac[OTA_SHA256_SIZE]);

/* Compares in a time that does not depend on the contents. */
OTA_MUST_USE ota_verdict ota_equal(const void *a, const void *b, size_t size);

#endif
