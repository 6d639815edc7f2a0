#include "ota/rollback.h"

#include "bytes.h"
#include "cbor.h"
#include "lists.h"

static int check_order(const struct ota_history *h, const struct ota_manifest *m)
{
    struct ota_version version;
    int err;

    /* The same again: done over after a power cut. */
    if (m->sequence == h->installed.sequence &&
        ota_equal(m->image_digest, h->installed.image_digest, OTA_SHA256_SIZE) == OTA_PASS)
        return OTA_OK;
    if (m->sequence <= h->installed.sequence)
        return OTA_ERR_OLD_SEQUENCE;
    if ((m->flags & OTA_FLAG_DOWNGRADE) != 0)
        return ota_manifest_for_sequence(m, h->installed.sequence);
    err = ota_manifest_version(m, &version);
    if (err == OTA_OK && ota_version_compare(&version, &h->installed.version) < 0)
        err = OTA_ERR_OLD_VERSION;
    return err;
}

/* The floor for manifests of a key epoch. A newer epoch starts again from the
 * keyset's, which repairs a counter that a stolen key drove to its maximum. */
static uint32_t floor_for(const struct ota_history *h, uint32_t epoch, uint32_t keyset_floor)
{
    return epoch > h->floor_epoch || keyset_floor > h->floor_counter ? keyset_floor : h->floor_counter;
}

static int was_rejected(const struct ota_history *h, const uint8_t *digest)
{
    for (unsigned i = 0; i < OTA_MAX_REJECTED; i++)
        if (ota_equal(h->rejected[i], digest, OTA_REJECTED_BYTES) == OTA_PASS)
            return 1;
    return 0;
}

int ota_rollback_check(const struct ota_history *h, const struct ota_manifest *m, const struct ota_device *d,
                       ota_verdict *verdict)
{
    uint32_t floor = floor_for(h, (uint32_t)(m->sequence >> 32), d->keyset_floor);
    volatile uint32_t counter = m->security_counter;
    int err;

    *verdict = OTA_FAIL;
    err = ota_manifest_for_hardware(m, d->hardware);
    if (err == OTA_OK)
        err = cbor_same_text(m->from, &m->component, d->component, OTA_ERR_WRONG_COMPONENT);
    if (err == OTA_OK && m->expires != 0 && d->now > m->expires)
        err = OTA_ERR_EXPIRED;
    if (err == OTA_OK)
        err = check_order(h, m);
    if (err != OTA_OK)
        return err;
    if (counter < floor)
        return OTA_ERR_BELOW_FLOOR;
    if (m->image_size > d->slot_size)
        return OTA_ERR_IMAGE_SIZE;
    if (!d->retry_rejected && was_rejected(h, m->image_digest))
        return OTA_ERR_REJECTED_BEFORE;
    if (counter >= floor && m->sequence >= h->installed.sequence)
        *verdict = OTA_PASS;
    return OTA_OK;
}

int ota_rollback_check_return(const struct ota_history *h, const struct ota_release *retained, uint32_t keyset_floor,
                              ota_verdict *verdict)
{
    /* Whatever the epoch of the retained image: a new epoch lowers the bar for what
     * it signs itself, not for what was there before. */
    uint32_t floor = floor_for(h, 0, keyset_floor);
    volatile uint32_t counter = retained->security_counter;

    *verdict = OTA_FAIL;
    if (retained->confirmed != 1)
        return OTA_ERR_NOTHING_RETAINED;
    if (h->installed.oldest_return == 0 || retained->sequence < h->installed.oldest_return)
        return OTA_ERR_OUTSIDE_WINDOW;
    if (counter < floor)
        return OTA_ERR_BELOW_FLOOR;
    if (counter >= floor)
        *verdict = OTA_PASS;
    return OTA_OK;
}

int ota_release_of(struct ota_release *r, const struct ota_manifest *m)
{
    ota_fill(r, 0, sizeof *r);
    r->sequence = m->sequence;
    r->oldest_return = m->oldest_return;
    r->security_counter = m->security_counter;
    r->image_size = m->image_size;
    ota_copy(r->image_digest, m->image_digest, OTA_SHA256_SIZE);
    return ota_manifest_version(m, &r->version);
}

/* Takes an entry out and moves those before it up, so that the first place is
 * free. */
static void make_room(struct ota_history *h, const uint8_t *digest)
{
    unsigned i = 0;

    while (i < OTA_MAX_REJECTED - 1 && ota_equal(h->rejected[i], digest, OTA_REJECTED_BYTES) != OTA_PASS)
        i++;
    for (; i > 0; i--)
        ota_copy(h->rejected[i], h->rejected[i - 1], OTA_REJECTED_BYTES);
}

void ota_rollback_confirmed(struct ota_history *h, const struct ota_release *r)
{
    uint32_t epoch = (uint32_t)(r->sequence >> 32);

    ota_rollback_returned(h, r);
    h->installed.confirmed = 1;
    if (epoch > h->floor_epoch || (epoch == h->floor_epoch && r->security_counter > h->floor_counter)) {
        h->floor_epoch = epoch;
        h->floor_counter = r->security_counter;
    }
    for (unsigned i = 0; i < OTA_MAX_REJECTED; i++)
        if (ota_equal(h->rejected[i], r->image_digest, OTA_REJECTED_BYTES) == OTA_PASS)
            ota_fill(h->rejected[i], 0, OTA_REJECTED_BYTES);
}

void ota_rollback_returned(struct ota_history *h, const struct ota_release *r)
{
    ota_copy(&h->installed, r, sizeof *r);
}

void ota_rollback_rejected(struct ota_history *h, const uint8_t image_digest[OTA_SHA256_SIZE])
{
    make_room(h, image_digest);
    ota_copy(h->rejected[0], image_digest, OTA_REJECTED_BYTES);
}
