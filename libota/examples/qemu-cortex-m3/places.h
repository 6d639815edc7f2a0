/* Where everything lies on the flash. The boot stage and the application agree on this, and
 * with what `ota device provision` writes: docs/spec/provisioning.md. */
#ifndef PLACES_H
#define PLACES_H

#include "ota/slot.h"

extern const struct ota_area place_device;  /* who the device is; written by provisioning alone */
extern const struct ota_slots place_slots;  /* journal, keysets, images */
extern const struct ota_area place_staging; /* keysets and manifests that are being verified */

#define PLACE_KEYS 5
extern const struct ota_area place_keys[PLACE_KEYS]; /* public keys that were asked for */

#endif
