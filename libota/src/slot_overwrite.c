/* L3: the image is copied from the staging slot to where it runs, after the one that
 * runs there was saved, if there is a backup area. A device that returns to the saved
 * image uses the staging slot as backup and the backup as staging slot.
 *
 *   interrupted                    what is on flash                  what the next start does
 *   -----------------------------  --------------------------------  ------------------------------
 *   O1 in saving                   running image whole               saves on from the mark
 *   O2 after it, before OTA_COPY   running image and backup whole    reads the backup, goes on
 *   O3 in copying                  backup and staging slot whole     copies on from the mark
 *   O4 after it, before OTA_TRIAL  all three whole                   reads the copy, goes on
 *   O5 in copying back             backup whole                      copies back on from the mark
 *   O6 after it, before            backup and copy whole             reads the copy, goes on
 *      OTA_REVERTED
 *
 * tests/update_cut_test.c has a test for each row. */
#include "bytes.h"
#include "ota/slot.h"
#include "part.h"

#define RUN 0
#define STAGING 1
#define BACKUP 2

/* Copies what belongs into a page. */
static int copy_page(const struct ota_area *from, const struct ota_area *to, uint32_t at, uint32_t end)
{
    uint8_t part[OTA_MAX_UNIT];
    int err = ota_area_erase(to, at);

    while (err == OTA_OK && at < end) {
        size_t n = ota_part(end - at, sizeof part);

        err = ota_area_read(from, at, part, n);
        if (err == OTA_OK)
            err = ota_area_put(to, at, part, n);
        at += (uint32_t)n;
    }
    return err;
}

static int copy_pages(struct ota_journal *j, struct ota_state *s, const struct ota_area *from,
                      const struct ota_area *to, uint32_t size)
{
    for (uint32_t at = s->mark; at < size;) {
        uint32_t next = at + ota_area_page(to, at);
        int err = copy_page(from, to, at, next < size ? next : size);

        if (err == OTA_OK && next - s->mark >= to->size >> 4) {
            s->mark = next;
            err = ota_journal_set_state(j, s);
        }
        if (err != OTA_OK)
            return err;
        at = next;
    }
    return OTA_OK;
}

/* Copies an image from the mark on and reads the copy back. OTA_ERR_IMAGE_DIGEST: the original is
 * damaged. Otherwise a copy that failed is made again from the start. */
static int copy(struct ota_journal *j, struct ota_state *s, const struct ota_area *from, const struct ota_area *to,
                const struct ota_release *r)
{
    ota_verdict verdict = OTA_FAIL;
    int err = copy_pages(j, s, from, to, r->image_size);

    if (err == OTA_OK && ota_image_check(to, r, &verdict) == OTA_OK && verdict == OTA_PASS)
        return OTA_OK;
    if (ota_image_check(from, r, &verdict) != OTA_OK)
        return OTA_ERR_IMAGE_DIGEST;
    s->mark = 0;
    err = ota_journal_set_state(j, s);
    return err != OTA_OK ? err : OTA_ERR_STORAGE;
}

/* Saves the running image, if there is where to and if it is still worth it. */
static int save(const struct ota_slots *slots, struct ota_journal *j, struct ota_state *s)
{
    const struct ota_area *backup = ota_slots_origin(slots, s, 0);
    struct ota_entry installed;
    int err = ota_journal_entry(j, s->installed, &installed);

    if (err != OTA_OK)
        return err;
    if (installed.release.image_size != 0 && installed.release.image_size <= backup->size) {
        err = copy(j, s, &slots->image[RUN], backup, &installed.release);
        if (err == OTA_OK)
            s->flags |= OTA_SAVED;
        else if (err != OTA_ERR_IMAGE_DIGEST)
            return err;
    }
    s->phase = OTA_COPY;
    s->mark = 0;
    err = ota_journal_set_state(j, s);
    if (err != OTA_OK)
        s->phase = OTA_INSTALL; /* nothing was written over yet */
    return err;
}

static int install(const struct ota_slots *slots, struct ota_journal *j, struct ota_state *s)
{
    struct ota_entry candidate;
    int err = OTA_OK;

    if (s->phase == OTA_INSTALL)
        err = save(slots, j, s);
    if (err == OTA_OK)
        err = ota_journal_entry(j, 1u - s->installed, &candidate);
    return err != OTA_OK ? err : copy(j, s, ota_slots_origin(slots, s, 1), &slots->image[RUN], &candidate.release);
}

static int revert(const struct ota_slots *slots, struct ota_journal *j, struct ota_state *s)
{
    struct ota_entry installed;
    int err = ota_journal_entry(j, s->installed, &installed);

    return err != OTA_OK ? err : copy(j, s, ota_slots_origin(slots, s, 0), &slots->image[RUN], &installed.release);
}

const struct ota_layout ota_layout_overwrite = {{RUN, RUN}, {STAGING, STAGING}, {BACKUP, BACKUP}, install, revert};
