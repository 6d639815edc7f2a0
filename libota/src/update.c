#include "ota/update.h"

#include "apart.h"
#include "bytes.h"
#include "part.h"
#include "session.h"

void ota_update_close(struct ota_update *u)
{
    if (u->step != OTA_SHUT)
        u->step = OTA_CLOSED;
}

unsigned ota_update_other(const struct ota_update *u)
{
    return 1u - u->state.installed;
}

int ota_update_store(struct ota_update *u)
{
    int err = OTA_ERR_INTERNAL;

    if (u->step != OTA_SHUT)
        err = ota_journal_set_state(&u->journal, &u->state);
    if (err != OTA_OK && ota_journal_state(&u->journal, &u->state) != OTA_OK)
        u->step = OTA_SHUT;
    return err;
}

int ota_update_load(const struct ota_update *u, struct ota_history *h, struct ota_entry *other)
{
    int err = ota_journal_history(&u->journal, &u->state, h);

    return err != OTA_OK ? err : ota_journal_entry(&u->journal, ota_update_other(u), other);
}

int ota_update_order(struct ota_update *u, unsigned flags)
{
    /* Where an image runs as it was received, the installed one stays as it is. */
    if (u->config->slots->layout->install == NULL)
        flags |= OTA_SAVED;
    u->state.flags = (uint8_t)flags;
    u->state.phase = OTA_INSTALL;
    u->state.mark = 0;
    return ota_update_store(u);
}

int ota_update_note_failed(struct ota_update *u)
{
    struct ota_history h;
    struct ota_entry failed;
    int err;

    /* What rotted in its slot is not the release's fault: it may come again. */
    if (u->state.reason != -OTA_ERR_IMAGE_DIGEST) {
        err = ota_update_load(u, &h, &failed);
        if (err != OTA_OK)
            return err;
        ota_rollback_rejected(&h, failed.release.image_digest);
        err = ota_journal_set_rejected(&u->journal, &h);
        if (err != OTA_OK)
            return err;
    }
    u->state.phase = OTA_IDLE;
    u->state.flags = (uint8_t)((u->state.flags & OTA_CHECKED) | OTA_FAILED);
    return ota_update_store(u);
}

int ota_update_open(struct ota_update *u, const struct ota_update_config *config, unsigned running)
{
    int err = OTA_ERR_INTERNAL;

    ota_fill(u, 0, sizeof *u);
    u->config = config;
    u->running = (uint8_t)running;
    if (running <= 1)
        err = ota_journal_open(&u->journal, config->slots->journal);
    if (err == OTA_OK)
        err = ota_journal_settle(&u->journal);
    if (err == OTA_OK)
        err = ota_journal_state(&u->journal, &u->state);
    if (err == OTA_OK)
        u->step = OTA_CLOSED;
    if (err == OTA_OK && u->state.phase == OTA_REVERTED)
        err = ota_update_note_failed(u);
    return err;
}

static const struct ota_area *receiving_area(const struct ota_update *u)
{
    const struct ota_slots *slots = u->config->slots;

    return &slots->image[slots->layout->receives[ota_update_other(u)]];
}

/* Whether this device may install m. */
static OTA_APART int judge(const struct ota_update *u, const struct ota_manifest *m, const struct ota_keyset *held,
                 const struct ota_device *device, const struct ota_check_response *answer)
{
    const struct ota_area *receives = receiving_area(u);
    const struct ota_area *runs = ota_slots_running(u->config->slots, ota_update_other(u));
    ota_verdict verdict = OTA_FAIL;
    struct ota_history h;
    struct ota_device d;
    int err;

    ota_copy(&d, device, sizeof d);
    d.slot_size = receives->size < runs->size ? receives->size : runs->size;
    d.keyset_floor = held->security_floor;
    d.retry_rejected = answer != NULL && answer->retry_rejected == 1;
    err = ota_journal_history(&u->journal, &u->state, &h);
    if (err == OTA_OK)
        err = ota_rollback_check(&h, m, &d, &verdict);
    return err == OTA_OK && verdict != OTA_PASS ? OTA_ERR_INTERNAL : err;
}

/* Whether e is what is being received already. */
static OTA_APART int is_same(const struct ota_update *u, const struct ota_entry *e)
{
    struct ota_entry now;

    return u->state.phase == OTA_RECEIVING && ota_journal_entry(&u->journal, ota_update_other(u), &now) == OTA_OK &&
           ota_equal(now.manifest_hash, e->manifest_hash, OTA_SHA256_SIZE) == OTA_PASS;
}

/* Enters OTA_RECEIVING from 0 on. What the other release was is given up first: no
 * state says more of a slot than is true. keyset is the version of the one that is held: storing
 * it may have been cut off before the state was told. */
static int receive(struct ota_update *u, const struct ota_entry *e, const struct ota_source *manifest, uint32_t keyset)
{
    unsigned other = ota_update_other(u);
    const struct ota_area *kept = &u->config->slots->manifest[other];
    int err;

    u->state.flags &= (uint8_t)~OTA_RETAINED;
    u->state.mark = 0;
    u->state.phase = OTA_IDLE;
    u->state.keyset_version = keyset;
    err = ota_update_store(u);
    if (err == OTA_OK)
        err = ota_journal_set_entry(&u->journal, other, e);
    if (err == OTA_OK && kept->size != 0)
        err = ota_object_write(kept, manifest, 0);
    if (err != OTA_OK)
        return err;
    u->state.phase = OTA_RECEIVING;
    return ota_update_store(u);
}

static OTA_APART int accept(struct ota_update *u, const struct ota_manifest *m, uint32_t keyset, uint32_t *offset)
{
    struct ota_entry e;
    int err = ota_release_of(&e.release, m);

    if (err == OTA_OK)
        err = ota_source_hash(m->from, e.manifest_hash);
    if (err != OTA_OK)
        return err;
    if (!is_same(u, &e)) {
        u->step = OTA_CLOSED;
        err = receive(u, &e, m->from, keyset);
    }
    if (err == OTA_OK && u->step == OTA_CLOSED) {
        /* On at the mark: a page begins there. */
        u->size = e.release.image_size;
        u->received = u->page_end = u->state.mark;
        u->filled = 0;
        u->step = OTA_OPEN;
    }
    *offset = u->received;
    return err;
}

int ota_update_begin(struct ota_update *u, const struct ota_source *manifest, const struct ota_keyset *held,
                     const struct ota_device *device, const struct ota_check_response *answer, uint32_t *offset)
{
    ota_verdict named = OTA_FAIL, verified = OTA_FAIL;
    struct ota_manifest m;
    int err = OTA_OK;

    /* What runs is not written over, whatever the boot stage handed over. */
    if (u->step == OTA_SHUT || u->running != u->state.installed ||
        (u->state.phase != OTA_IDLE && u->state.phase != OTA_RECEIVING))
        return OTA_ERR_INTERNAL;
    if (answer == NULL && u->config->keyed)
        return OTA_ERR_UNAUTHENTICATED;
    if (held->version < u->state.keyset_version)
        return OTA_ERR_KEYSET_TOO_OLD;
    if (answer != NULL)
        err = ota_check_named(answer, manifest, &named);
    if (err == OTA_OK)
        err = ota_manifest_verify(&m, manifest, held, u->config->ring, &verified);
    if (err == OTA_OK)
        err = judge(u, &m, held, device, answer);
    if (err != OTA_OK)
        return err;
    return verified == OTA_PASS && (!u->config->keyed || named == OTA_PASS) ? accept(u, &m, held->version, offset)
                                                                            : OTA_ERR_INTERNAL;
}

/* Writes what is pending. */
static int flush(struct ota_update *u, const struct ota_area *area)
{
    size_t size = u->filled;

    u->filled = 0;
    return size == 0 ? OTA_OK : ota_area_put(area, u->received - (uint32_t)size, u->pending, size);
}

/* Ends a page. Sixteen marks at most: what a reset can cost, against what the journal wears. */
static int end_page(struct ota_update *u, const struct ota_area *area)
{
    int err = flush(u, area);

    if (err != OTA_OK || u->received - u->state.mark < area->size >> 4)
        return err;
    u->state.mark = u->received;
    return ota_update_store(u);
}

/* Takes as many bytes as go into one page and into what is pending. */
static int take(struct ota_update *u, const struct ota_area *area, const uint8_t *bytes, size_t *size)
{
    if (u->received == u->page_end) {
        int err = ota_area_erase(area, u->received);

        if (err != OTA_OK)
            return err;
        u->page_end += ota_area_page(area, u->received);
    }
    *size = ota_part(u->page_end - u->received, *size);
    *size = ota_part((uint32_t)(sizeof u->pending - u->filled), *size);
    ota_copy(u->pending + u->filled, bytes, *size);
    u->filled = (uint16_t)(u->filled + *size);
    u->received += (uint32_t)*size;
    if (u->received == u->page_end)
        return end_page(u, area);
    return u->filled == sizeof u->pending ? flush(u, area) : OTA_OK;
}

int ota_update_write(struct ota_update *u, uint32_t offset, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;

    if (u->step != OTA_OPEN || offset > u->received)
        return OTA_ERR_INTERNAL;
    if (size > u->size - offset)
        return OTA_ERR_IMAGE_SIZE;
    while (offset + size > u->received) {
        size_t had = (size_t)(u->received - offset), part = size - had;
        int err = take(u, receiving_area(u), from + had, &part);

        if (err != OTA_OK) {
            ota_update_close(u);
            return err;
        }
    }
    if (u->config->progress != NULL)
        u->config->progress(u->config->ctx, u->received, u->size);
    return OTA_OK;
}

int ota_update_finish(struct ota_update *u)
{
    const struct ota_area *area = receiving_area(u);
    ota_verdict whole = OTA_FAIL;
    struct ota_entry e;
    int err;

    if (u->step < OTA_OPEN || u->received != u->size)
        return OTA_ERR_INTERNAL;
    u->step = OTA_CLOSED;
    err = flush(u, area);
    if (err == OTA_OK)
        err = ota_journal_entry(&u->journal, ota_update_other(u), &e);
    if (err == OTA_OK)
        err = ota_image_check(area, &e.release, &whole);
    if (whole == OTA_PASS)
        u->step = OTA_WHOLE;
    if (err != OTA_ERR_IMAGE_DIGEST)
        return err;
    u->state.mark = 0;
    err = ota_update_store(u);
    return err != OTA_OK ? err : OTA_ERR_IMAGE_DIGEST;
}

int ota_update_install(struct ota_update *u)
{
    if (u->step != OTA_WHOLE || u->state.phase != OTA_RECEIVING)
        return OTA_ERR_INTERNAL;
    u->state.reason = 0;
    return ota_update_order(u, 0);
}
