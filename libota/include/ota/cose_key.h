/* The form of a public key that the verifiers over crypto libraries take
 * (ports/crypto_mbedtls.c, ports/crypto_openssl.c). */
#ifndef OTA_COSE_KEY_H
#define OTA_COSE_KEY_H

#include <stddef.h>
#include <stdint.h>

/* A COSE_Key as it is transferred, whose id was held against the one asked for. */
struct ota_cose_key {
    const uint8_t *bytes;
    size_t size;
};

#endif
