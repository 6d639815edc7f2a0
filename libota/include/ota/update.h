/* The update session of an application: from a signed manifest to a confirmed image.
 *
 *     begin → write, write, … → finish → install → (reset, trial) → confirm | reject
 *
 * It can be cut off after any byte and by any reset, and is taken up again by begin
 * with the same manifest.
 *
 *   interrupted                       what is on flash                 what the next start does
 *   --------------------------------  -------------------------------  ------------------------------
 *   U1 before OTA_RECEIVING           installed image; the retained    starts the installed image
 *                                     one may be given up
 *   U2 in receiving                   installed image, part of the     starts the installed image; begin
 *                                     candidate up to the mark         goes on at the mark, which is
 *                                                                      where a page begins
 *   U3 after finish                   installed image and candidate    as U2
 *   U4 after install                  OTA_INSTALL, both whole          installs the candidate (for a
 *                                                                      copying layout see
 *                                                                      src/slot_overwrite.c), starts it
 *   U5 in the trial                   OTA_TRIAL and the tries left     starts the candidate again, or,
 *                                                                      without tries, goes back
 *   U6 in confirm                     OTA_TRIAL, or confirmed          as U5, or starts the confirmed
 *   U7 after reject                   OTA_REVERT                       goes back
 *   U8 after going back               OTA_REVERTED                     starts the installed image;
 *                                                                      ota_update_open notes the
 *                                                                      rejected one
 *   U9 in that note                   OTA_REVERTED, the image may be   as U8
 *                                     noted
 *   U10 in ota_update_keyset          the keyset before, whole, and    holds one of the two; accepting it
 *                                     all, part or nothing of the new  again completes it
 *   U11 in ota_update_return          OTA_IDLE, or OTA_INSTALL of the  starts the installed image, or the
 *                                     retained image; both whole       retained one, on trial
 *
 * tests/update_cut_test.c has a test for each row. */
#ifndef OTA_UPDATE_H
#define OTA_UPDATE_H

#include <stdint.h>

#include "ota/check.h"
#include "ota/err.h"
#include "ota/journal.h"
#include "ota/keyset.h"
#include "ota/manifest.h"
#include "ota/slot.h"

/* What sessions are made with. */
struct ota_update_config {
    const struct ota_slots *slots;
    const struct ota_keyring *ring;

    /* Called when bytes of the image were accepted, with how many of how many there are. May be NULL; makes no call of
     * the session. */
    void (*progress)(void *ctx, uint32_t done, uint32_t size);
    void *ctx;

    /* 1: the device has a device key, and installs only what a MAC'ed response to its own
     * question names. Fixed when the device is provisioned, never negotiated. */
    uint8_t keyed;
};

/* A session; its fields are its own, but for journal, which serves for nonces too. */
struct ota_update {
    struct ota_state state;
    uint8_t running;   /* release that runs */
    uint8_t step;      /* what may come next */
    uint16_t filled;   /* bytes of pending */
    uint32_t size;     /* bytes of the image */
    uint32_t received;
    uint32_t page_end; /* of the page that is being written */
    const struct ota_update_config *config;
    struct ota_journal journal;
    uint8_t pending[OTA_MAX_UNIT]; /* what is not written yet */
};

/* Opens the session of this start. There is one at a time: two write over each other's records. running is the
 * release that runs: ota_start.release of the boot stage, handed over, or told from the address that the program
 * runs at. Notes a candidate that was given up. OTA_ERR_NO_DEVICE_KEY: the journal is lost, nothing can be updated
 * or sent until the device is provisioned again. OTA_ERR_INTERNAL: running is neither 0 nor 1. A session that did
 * not open refuses whatever would change something, as it knows no floor. */
OTA_MUST_USE int ota_update_open(struct ota_update *u, const struct ota_update_config *config, unsigned running);

/* Accepts a release: verifies the manifest under the keyset held, that answer names it (NULL only on a device
 * without a key), and that this device may install it; slot_size, keyset_floor and retry_rejected of device are
 * filled in. *offset is where write has to go on, 0 for a new one. Nothing changes when it refuses.
 * OTA_ERR_INTERNAL: an update waits for its start or is on trial, another image runs than the journal says, or the
 * session has to be opened again. */
OTA_MUST_USE int ota_update_begin(struct ota_update *u, const struct ota_source *manifest,
                                  const struct ota_keyset *held, const struct ota_device *device,
                                  const struct ota_check_response *answer, uint32_t *offset);

/* Takes the next bytes of the image. Bytes before what was received already are passed over; a gap is
 * OTA_ERR_INTERNAL, more than the image has OTA_ERR_IMAGE_SIZE. After OTA_ERR_STORAGE call begin again; if that is
 * OTA_ERR_INTERNAL, open the session again. */
OTA_MUST_USE int ota_update_write(struct ota_update *u, uint32_t offset, const void *bytes, size_t size);

/* Checks the whole image as it stands in flash. OTA_ERR_INTERNAL if it is not all there. OTA_ERR_IMAGE_DIGEST: it
 * is not the signed one, and begin starts at 0; the release is not rejected for it, or who can change a byte on the
 * way could keep it from ever being installed. */
OTA_MUST_USE int ota_update_finish(struct ota_update *u);

/* Has the next start install what finish found whole: reset. OTA_ERR_INTERNAL if it did not, or if a keyset was
 * accepted since: begin decides again, under that one. */
OTA_MUST_USE int ota_update_install(struct ota_update *u);

/* Ends the trial of the running image: it has proved itself, stays, and only now the floor
 * rises. OTA_ERR_INTERNAL if no image is on trial, or another one runs. */
OTA_MUST_USE int ota_update_confirm(struct ota_update *u);

/* Ends the trial, or what install ordered: the next start goes back and the image is not tried again. reason is an
 * ota_err, to be reported; not OTA_ERR_IMAGE_DIGEST, which is the flash's fault and not remembered.
 * OTA_ERR_INTERNAL if there is nothing to end, OTA_ERR_NOTHING_RETAINED if there is nothing to go back to. */
OTA_MUST_USE int ota_update_reject(struct ota_update *u, int reason);

/* Has the next start return to the retained image, on trial, if the window of the installed release and the floor
 * allow: reset. OTA_ERR_NOTHING_RETAINED, OTA_ERR_OUTSIDE_WINDOW or OTA_ERR_BELOW_FLOOR if they do not,
 * OTA_ERR_IMAGE_DIGEST if what was retained is damaged. */
OTA_MUST_USE int ota_update_return(struct ota_update *u, uint32_t keyset_floor);

/* Accepts a keyset under the one held and stores it in the keyset slot that does not hold
 * the newest. The errors of ota_keyset_accept; OTA_ERR_TOO_LARGE if it does not fit, or there are no such slots. What is
 * being received has to begin again: this keyset may revoke who signed it. The version that begin demands never falls,
 * whatever is accepted on the way from an older one. */
OTA_MUST_USE int ota_update_keyset(struct ota_update *u, const struct ota_source *object,
                                   const struct ota_keyset *held);

/* Opens the newest keyset that is stored. OTA_ERR_KEYSET_TOO_OLD: a newer one was accepted and cannot be read any
 * more; *held serves to accept that one again, and ota_update_begin refuses it. OTA_ERR_NO_DEVICE_KEY: none was
 * stored, the anchor of provisioning is what is held. OTA_ERR_STORAGE: all that were cannot be read any more; the
 * anchor serves as after OTA_ERR_KEYSET_TOO_OLD. */
OTA_MUST_USE int ota_update_held(const struct ota_update *u, struct ota_source *object, struct ota_keyset *held);

/* What a device tells of itself. */
struct ota_device_info {
    struct ota_entry running;   /* image_digest as it was read back from flash */
    uint8_t manifest_hash[OTA_SHA256_SIZE]; /* of the release that the state is about, for reports */
    uint32_t floor_epoch;
    uint32_t floor_counter;
    uint32_t keyset_version;
    uint32_t received;      /* bytes of the release that is being received; 0 before begin */
    uint8_t phase;          /* enum ota_phase */
    uint8_t boot;           /* enum ota_boot */
    uint8_t last_error;     /* minus an ota_err; 0: none */
    uint8_t capabilities;   /* OTA_CAP_… */
};

/* Reads the running image to the end. OTA_ERR_STORAGE if that or the journal cannot be read. */
OTA_MUST_USE int ota_device_info(const struct ota_update *u, struct ota_device_info *info);

#endif
