/* May this device go to that release? The rules of docs/spec/objects.md sections
 * 7 and 8, and what has to be remembered for them. */
#ifndef OTA_ROLLBACK_H
#define OTA_ROLLBACK_H

#include <stdint.h>

#include "ota/crypto.h"
#include "ota/err.h"
#include "ota/manifest.h"

/* How many rejected images are remembered; the oldest is forgotten first. */
#ifndef OTA_MAX_REJECTED
#define OTA_MAX_REJECTED 4
#endif
#define OTA_REJECTED_BYTES OTA_SHA256_SIZE

/* A release as it was installed. All zero: none. */
struct ota_release {
    uint64_t sequence;
    uint64_t oldest_return;
    uint32_t security_counter;
    uint32_t image_size; /* bytes */
    uint8_t image_digest[OTA_SHA256_SIZE];
    struct ota_version version;
    uint8_t confirmed; /* 1: it ran and was confirmed */
};

/* What a device remembers about versions. All zero: it has installed nothing.
 * The journal stores it; it is changed by the functions below alone. */
struct ota_history {
    struct ota_release installed; /* the running, confirmed release */
    uint32_t floor_epoch;
    uint32_t floor_counter;
    uint8_t rejected[OTA_MAX_REJECTED][OTA_REJECTED_BYTES]; /* newest first; zero: none */
};

/* What the rules look at besides. Texts are terminated. */
struct ota_device {
    const char *hardware;   /* revision; NULL or empty: has none, takes only releases for all */
    const char *component;  /* NULL or empty: the main firmware */
    uint64_t now;           /* seconds since 1970; 0: no clock, expiry is not checked */
    uint32_t slot_size;     /* bytes */
    uint32_t keyset_floor;  /* security_floor of the keyset held */
    uint8_t retry_rejected; /* 1: an authenticated response asks to try a rejected image again */
};

/* Says whether the device may install a verified manifest, with the first reason
 * in the order hardware, component, expiry, sequence, downgrade, version, floor,
 * size, rejected before. The installed release itself passes, so that an
 * installation can be done again after a power cut. *verdict becomes OTA_PASS
 * exactly if it may. */
OTA_MUST_USE int ota_rollback_check(const struct ota_history *h, const struct ota_manifest *m,
                                    const struct ota_device *d, ota_verdict *verdict);

/* Says whether the device may return by itself from the installed release to the
 * retained one: once confirmed, within the window that the installed manifest
 * signs, not below the floor. */
OTA_MUST_USE int ota_rollback_check_return(const struct ota_history *h, const struct ota_release *retained,
                                           uint32_t keyset_floor, ota_verdict *verdict);

/* Makes the record of a release, not confirmed. */
OTA_MUST_USE int ota_release_of(struct ota_release *r, const struct ota_manifest *m);

/* Notes that r was confirmed: it becomes the installed release, and only now the
 * floor rises. */
void ota_rollback_confirmed(struct ota_history *h, const struct ota_release *r);

/* Notes that the device went back by itself to r. The floor stays. */
void ota_rollback_returned(struct ota_history *h, const struct ota_release *r);

/* Remembers an image that was rejected or reverted. */
void ota_rollback_rejected(struct ota_history *h, const uint8_t image_digest[OTA_SHA256_SIZE]);

#endif
