/* Slots: where images, signed objects and the journal lie, and how an image gets
 * from where it is received to where it runs. */
#ifndef OTA_SLOT_H
#define OTA_SLOT_H

#include <stdint.h>

#include "ota/crypto.h"
#include "ota/err.h"
#include "ota/flash.h"
#include "ota/journal.h"
#include "ota/source.h"

struct ota_slots;

/* A layout. Each number is an index into ota_slots.image, for release 0 and 1. */
struct ota_layout {
    uint8_t runs[2];     /* where the release runs */
    uint8_t receives[2]; /* where it is received */
    uint8_t keeps[2];    /* where it is kept when another one is installed */

    /* Bring the candidate of phase OTA_INSTALL or OTA_COPY to where it runs, and the
     * installed image back in phase OTA_REVERT. They may be cut off anywhere and called
     * again. NULL: an image runs where it was received. */
    int (*install)(const struct ota_slots *slots, struct ota_journal *j, struct ota_state *s);
    int (*revert)(const struct ota_slots *slots, struct ota_journal *j, struct ota_state *s);
};

/* L1: two slots, each release runs where it was received, and the boot stage flips
 * between them. image[0] and image[1]. Reverts always. */
extern const struct ota_layout ota_layout_ab;

/* L3: the image runs in image[0] and is received in image[1], which may be on another
 * flash. image[2] is the backup area of the installed image; without one (size 0)
 * there is no revert, and ota_device_info says so. */
extern const struct ota_layout ota_layout_overwrite;

/* The places of a device. */
struct ota_slots {
    const struct ota_layout *layout;
    struct ota_area image[3];
    struct ota_area journal[2];
    struct ota_area keyset[2];   /* signed keysets; size 0: the application keeps them */
    struct ota_area manifest[2]; /* signed manifest of release 0 and 1; size 0: not kept */
};

/* Reads an image and says whether it is the one of that release: size and SHA-256. One that
 * cannot be read, twice, is damaged: OTA_ERR_IMAGE_DIGEST. */
OTA_MUST_USE int ota_image_check(const struct ota_area *image, const struct ota_release *r, ota_verdict *verdict);

/* Adds size bytes from offset 0 on to a hash. */
OTA_MUST_USE int ota_image_hash(const struct ota_area *image, uint32_t size, struct ota_sha256 *hash);

/* Where a release runs. */
const struct ota_area *ota_slots_running(const struct ota_slots *slots, unsigned release);

/* Where the candidate (1) comes from, and where the installed image (0) is kept while the
 * candidate is on trial. For a device that returns to the retained image the one is
 * where the other is otherwise. */
const struct ota_area *ota_slots_origin(const struct ota_slots *slots, const struct ota_state *s, unsigned candidate);

/* A signed object in an area of its own, with its size and a CRC, which are written last: a cut leaves no object
 * rather than half of one. What is written must not be read from that very area, which is erased first.
 * OTA_ERR_TOO_LARGE if it does not fit, or there is no area. The source that is opened reads from the area, which
 * must outlive it. version is the caller's. */
OTA_MUST_USE int ota_object_write(const struct ota_area *a, const struct ota_source *object, uint32_t version);
OTA_MUST_USE int ota_object_open(const struct ota_area *a, struct ota_source *object, uint32_t *version);

#endif
