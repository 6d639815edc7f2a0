/* The device area: who a device is, whom it trusts and the keys that it was made with, as provisioning writes it
 * (docs/spec/provisioning.md section 2). A device only reads it. */
#ifndef OTA_DEVICE_H
#define OTA_DEVICE_H

#include <stdint.h>

#include "ota/check.h"
#include "ota/err.h"
#include "ota/flash.h"
#include "ota/rsa.h"
#include "ota/source.h"

/* Kinds of objects in it. */
enum ota_device_kind { OTA_DEVICE_IDENTITY = 1, OTA_DEVICE_ANCHOR = 2, OTA_DEVICE_RSA_KEY = 3, OTA_DEVICE_COSE_KEY = 4 };

/* A place in the row of objects. It is not copied: object reads from rest. */
struct ota_device_row {
    struct ota_area rest;     /* from the object on */
    struct ota_source object; /* its content */
    uint32_t kind;
};

/* Goes to the first object of a kind, and from there to the next one; what is of another kind is passed over. 0 if
 * there is none, or it cannot be read. An anchor is for ota_keyset_anchor, a key of a crypto library (its id, then its
 * COSE_Key) for the port's ota_cose_key. */
OTA_MUST_USE int ota_device_first(struct ota_device_row *r, const struct ota_area *area, enum ota_device_kind kind);
OTA_MUST_USE int ota_device_next(struct ota_device_row *r, enum ota_device_kind kind);

/* Who the device is. Texts are terminated. The vendor is the keyset's to say. */
struct ota_identity {
    struct ota_device_keys keys;
    uint32_t generation; /* of these keys, from 1 */
    char device_type[OTA_MAX_NAME + 1];
    char device[OTA_MAX_NAME + 1];
    char hardware[OTA_MAX_NAME + 1]; /* revision; empty: has none */
};

/* Decodes an identity: OTA_ERR_MALFORMED, OTA_ERR_TOO_LARGE, OTA_ERR_UNSUPPORTED or OTA_ERR_INVALID_FIELD if it is none,
 * or the source's error; *i is then all zero. */
OTA_MUST_USE int ota_identity_open(struct ota_identity *i, const struct ota_source *object);

/* Reads the identity of the device area. OTA_ERR_NO_DEVICE_KEY if there is none: the device was not provisioned. */
OTA_MUST_USE int ota_identity_read(struct ota_identity *i, const struct ota_area *area);

/* Loads the prepared key with that id, for the find of an ota_keyring over the built-in verifier. 1 if there is one of
 * OTA_RSA_BITS. For little-endian parts, as all of these objects; *key is written to even if there is none. */
OTA_MUST_USE int ota_device_rsa_key(const struct ota_area *area, const uint8_t id[OTA_SHA256_SIZE],
                                    struct ota_rsa_key *key);

#endif
