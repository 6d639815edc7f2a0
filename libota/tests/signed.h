/* Signed manifests and keysets for tests, made on the spot. They are the objects of
 * docs/spec and go through the library's own decoder; only the signature algorithm is a
 * stand-in (tests/signed.c), so that a campaign of 100,000 updates takes seconds. */
#ifndef SIGNED_H
#define SIGNED_H

#include "ota/ota.h"

struct signed_object {
    uint8_t bytes[512];
    struct ota_source source;
};

/* What a manifest of a test says. */
struct signed_release {
    uint32_t number; /* of epoch 1 */
    uint32_t counter;
    uint32_t size;
    uint32_t oldest_return; /* 0: none */
    uint8_t digest[OTA_SHA256_SIZE];
    const char *version;
    int from_zero; /* 1: a downgrade, from the sequence 0 alone */
};

void signed_manifest(struct signed_object *o, const struct signed_release *r);
void signed_keyset(struct signed_object *o, uint32_t version);

/* A ring that has all keys. */
extern const struct ota_keyring signed_ring;

/* Crypto that fails: call number n of ota_verify and of the ring, from 0, says no. */
extern uint32_t signed_calls, signed_fail_at;

#endif
