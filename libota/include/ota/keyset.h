/* Keysets: whom a device trusts, and how that changes. */
#ifndef OTA_KEYSET_H
#define OTA_KEYSET_H

#include <stdint.h>

#include "ota/crypto.h"
#include "ota/err.h"
#include "ota/source.h"

/* Limits of docs/spec/objects.md, in bytes. */
#define OTA_MAX_OBJECT 8192  /* a signed keyset or manifest */
#define OTA_MAX_PAYLOAD 2048 /* its payload */

/* Who may sign: a CBOR array of [key id, algorithm] or, of release keys, [key id,
 * algorithm, epoch], and how many of them have to. */
struct ota_signers {
    const struct ota_source *from;
    struct ota_field list;
    uint32_t threshold;
    unsigned elements; /* of an entry: two, or three with the epoch */
};

/* A keyset is a view of its object: the ids of the keys stay in the source, which
 * must outlive it. So sixteen keys need no more RAM than one. */
struct ota_keyset {
    const struct ota_source *from;
    uint32_t version; /* from 1; 0: an anchor */
    uint32_t security_floor;
    struct ota_field vendor;
    struct ota_field device_type;
    struct ota_signers roots;
    struct ota_signers releases;
    uint32_t service_skips_freshness; /* 1: a physical service port may install without a response */
};

/* Reads back a keyset from the device's own storage, where only what
 * ota_keyset_accept or the provisioning let in is written. It is decoded as
 * strictly as ever, but its signatures are not verified. */
OTA_MUST_USE int ota_keyset_open(struct ota_keyset *ks, const struct ota_source *object);

/* Reads the anchor with which a device was provisioned: the map {0 => 1, 1 => vendor,
 * 2 => device type, 4 => roots, 5 => root threshold} with the fields of a
 * keyset's payload, unsigned. It serves as the held keyset of a device that has
 * none yet. */
OTA_MUST_USE int ota_keyset_anchor(struct ota_keyset *ks, const struct ota_source *anchor);

/* The one rule of rotation: next is accepted if and only if the root threshold of
 * held and its own root threshold signed it, it is for the same vendor and
 * device type, and its version is higher. *verdict becomes OTA_PASS exactly then;
 * otherwise the result is the first reason of docs/spec/objects.md section 7. */
OTA_MUST_USE int ota_keyset_accept(struct ota_keyset *next, const struct ota_source *object,
                                   const struct ota_keyset *held, const struct ota_keyring *ring,
                                   ota_verdict *verdict);

#endif
