/* Who signed an object, of those who have a say. */
#ifndef OTA_SIGNERS_H
#define OTA_SIGNERS_H

#include <stdint.h>

#include "cose.h"
#include "ota/crypto.h"
#include "ota/keyset.h"

/* Counts the valid signatures of o by signers and sets *enough to OTA_PASS if they reach
 * the threshold. OTA_ERR_BAD_SIGNATURE if one of a key that has a say does not verify,
 * OTA_ERR_NOT_ENOUGH_SIGNERS if too few do. *epoch becomes the key epoch of those that
 * were counted, or 0, which no sequence has, if they differ. */
OTA_MUST_USE int ota_signers_count(const struct cose_object *o, const struct ota_signers *signers,
                                   const struct ota_keyring *ring, uint32_t *epoch, ota_verdict *enough);

/* Says whether an object is for the vendor and device type of a keyset. */
OTA_MUST_USE int ota_keyset_is_for(const struct ota_keyset *held, const struct ota_source *object,
                                   const struct ota_field *vendor, const struct ota_field *device_type);

#endif
