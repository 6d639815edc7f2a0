/* The public keys of a device: those it was provisioned with, and those it asked for later,
 * which have pages of their own. Being in the ring gives a key no authority: a keyset does. */
#ifndef KEYRING_H
#define KEYRING_H

#include "ota/rsa.h"
#include "ota/slot.h"

struct keyring {
    const struct ota_area *device; /* the device area */
    const struct ota_area *pages;  /* one for each key that was asked for, a row of one */
    unsigned count;                /* of the pages: at least as many as sign one keyset */

    struct ota_rsa_key key;          /* the one that was found last: one at a time is in RAM */
    uint8_t missing[OTA_SHA256_SIZE]; /* the id of one that was looked for and not found */
    uint8_t is_missing;
    uint8_t next; /* page that the next key goes to */
};

/* Finds a key; for struct ota_keyring, whose context is the keyring. */
const void *keyring_find(void *ctx, const uint8_t id[OTA_SHA256_SIZE], int alg);

/* Adds the missing key, given as COSE_Key. OTA_ERR_UNSUPPORTED: it is another key, or one that is not
 * for the built-in verifier. */
OTA_MUST_USE int keyring_add(struct keyring *k, const struct ota_keyring *port, const uint8_t *cose_key, size_t size);

#endif
