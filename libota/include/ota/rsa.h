/* Keys of the built-in verifier (src/rsa_pss.c): RSASSA-PSS with SHA-256,
 * MGF1-SHA-256, salt 32, exponent 65537, one modulus size. */
#ifndef OTA_RSA_H
#define OTA_RSA_H

#include <stddef.h>
#include <stdint.h>

#include "ota/config.h"
#include "ota/crypto.h"

#define OTA_RSA_BYTES (OTA_RSA_BITS / 8)
#define OTA_RSA_LIMBS (OTA_RSA_BITS / OTA_LIMB_BITS)

#if OTA_LIMB_BITS == 32
typedef uint32_t ota_limb;
#else
typedef uint16_t ota_limb;
#endif

/* A key with what Montgomery's multiplication needs. It is made by
 * ota_rsa_prepare on the device or by the provisioning tool, stored where only
 * the device writes, and never taken from the wire. Limbs are in the device's
 * byte order, the least significant first: on a little-endian part the bytes
 * are the same whatever the size of a limb. */
struct ota_rsa_key {
    uint32_t n0;                  /* -1/n modulo 2^32 */
    ota_limb n[OTA_RSA_LIMBS];    /* modulus */
    ota_limb rr[OTA_RSA_LIMBS];   /* 2^(2*OTA_RSA_BITS) modulo n */
};

/* The length of the COSE_Key of an RSA key of that size. */
#define OTA_RSA_COSE_SIZE (OTA_RSA_BYTES + 12)

/* Prepares a key from its COSE_Key, in the one form that its thumbprint is taken
 * of, and computes its id, which the caller holds against the one it asked for. Of
 * the ring only feed is used. Refuses another size, another exponent, an even
 * modulus and whatever else is not such a key with OTA_ERR_UNSUPPORTED. */
OTA_MUST_USE int ota_rsa_prepare(const struct ota_keyring *ring, struct ota_rsa_key *key, uint8_t id[OTA_SHA256_SIZE],
                                 const uint8_t *cose_key, size_t size);

#endif
