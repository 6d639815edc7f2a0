/* The lists of a manifest: checked and searched in one walk. */
#ifndef OTA_LISTS_H
#define OTA_LISTS_H

#include <stdint.h>

#include "ota/manifest.h"

/* OTA_OK if the release is for that revision (terminated; NULL: none), OTA_ERR_WRONG_HARDWARE
 * if not. OTA_ERR_MALFORMED if the list is not one of sorted names. */
OTA_MUST_USE int ota_manifest_for_hardware(const struct ota_manifest *m, const char *revision);

/* OTA_OK if the downgrade applies to that installed release, OTA_ERR_NOT_APPLICABLE if not.
 * OTA_ERR_MALFORMED if the list is not as it has to be. */
OTA_MUST_USE int ota_manifest_for_sequence(const struct ota_manifest *m, uint64_t installed);

#endif
