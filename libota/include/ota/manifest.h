/* Manifests: what a release says, and who says so. */
#ifndef OTA_MANIFEST_H
#define OTA_MANIFEST_H

#include <stdint.h>

#include "ota/crypto.h"
#include "ota/err.h"
#include "ota/keyset.h"
#include "ota/source.h"

#define OTA_MAX_VERSION 64 /* bytes of a semantic version */

/* Flags of a manifest. */
#define OTA_FLAG_DOWNGRADE 1u /* older code under a higher sequence */
#define OTA_FLAG_SECURITY 2u  /* fixes a vulnerability */

/* A semantic version, not terminated. size 0: none. */
struct ota_version {
    uint8_t size;
    char text[OTA_MAX_VERSION];
};

/* A verified manifest. Texts and lists are read from its source when a rule asks
 * for them. */
struct ota_manifest {
    const struct ota_source *from;
    uint64_t sequence;      /* key epoch << 32 | release number */
    uint64_t oldest_return; /* oldest sequence to which a device may return by itself; 0: none */
    uint64_t expires;       /* seconds since 1970; 0: never */
    uint32_t security_counter;
    uint32_t image_size; /* bytes */
    uint32_t keyset_version;
    uint8_t image_digest[OTA_SHA256_SIZE];
    uint8_t release_digest[OTA_SHA256_SIZE]; /* of the release document; zero: there is none */
    struct ota_field vendor;
    struct ota_field device_type;
    struct ota_field component;      /* empty: main firmware */
    struct ota_field hardware;       /* list of texts; none: all revisions */
    struct ota_field downgrade_from; /* list of sequences */
    struct ota_field version;        /* semantic version */
    uint32_t encoding; /* 0: the image itself */
    uint32_t flags;
};

/* Verifies a signed manifest under the keyset held: signatures of its release
 * threshold, each counted key in its own epoch, vendor, device type and keyset
 * version. *verdict becomes OTA_PASS exactly then, and only then *m is to be used.
 * Whether this device may install it is ota_rollback_check's to say. */
OTA_MUST_USE int ota_manifest_verify(struct ota_manifest *m, const struct ota_source *object,
                                     const struct ota_keyset *held, const struct ota_keyring *ring,
                                     ota_verdict *verdict);

/* Reads the version of a manifest. */
OTA_MUST_USE int ota_manifest_version(const struct ota_manifest *m, struct ota_version *v);

/* Compares by precedence (semver.org, item 11): below 0 if a is older than b,
 * above if newer. No version is older than every other. */
int ota_version_compare(const struct ota_version *a, const struct ota_version *b);

#endif
