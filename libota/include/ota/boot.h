/* The boot stage: what runs first after a reset, chooses the image and starts it.
 *
 * A trial is counted down before the jump, so that an image that never comes back has
 * used up its try. The stage writes only when the state changes: not in an ordinary
 * start. */
#ifndef OTA_BOOT_H
#define OTA_BOOT_H

#include <stdint.h>

#include "ota/err.h"
#include "ota/slot.h"

/* When the installed image is read and compared with its digest. A candidate always is. */
enum ota_policy {
    OTA_CHECK_ALWAYS = 0,
    OTA_CHECK_ONCE = 1,    /* at the first start after it was confirmed */
    OTA_CHECK_ON_TRIAL = 2 /* not at all: only candidates */
};

/* What a boot stage is made with. */
struct ota_boot_config {
    const struct ota_slots *slots;
    uint8_t tries;  /* starts that an image gets to confirm itself, from 1 */
    uint8_t policy; /* enum ota_policy */
    uint32_t keyset_floor; /* security floor of the keyset, for a return to the retained image */

    /* Asked before a candidate is installed and before it is started, after its digest was
     * found right: OTA_PASS lets it through. For a boot stage that does not trust the
     * application, which verifies the signed manifest that is kept beside (ota_slots.manifest).
     * Also asked when the journal is lost, to find an image that can be started. NULL: the
     * digest decides. */
    ota_verdict (*admit)(void *ctx, const struct ota_slots *slots, unsigned release, const struct ota_area *image);
    void *ctx;
};

/* What is to be started. */
struct ota_start {
    const struct ota_area *image; /* NULL: nothing */
    uint8_t release;              /* 0 or 1 */
    uint8_t trial;                /* 1: it has to confirm itself */
};

/* Chooses the image. watchdog is 1 if the watchdog caused this reset.
 *
 * OTA_OK: start->image is what is to be started. Otherwise nothing may be started unless start->image is not
 * NULL: OTA_ERR_STORAGE, a flash or the journal failed and a reset may help; OTA_ERR_NOTHING_RETAINED,
 * the image is damaged and there is no other (recovery, service port); OTA_ERR_NO_DEVICE_KEY, the journal is
 * lost: start->image is what admit let through, or NULL, and the device sends nothing until it is
 * provisioned again. */
OTA_MUST_USE int ota_boot(const struct ota_boot_config *c, uint8_t watchdog, struct ota_start *start);

#endif
