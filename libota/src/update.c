#include "ota/update.h"

#include "apart.h"
#include "bytes.h"
#include "part.h"
#include "session.h"

/* What may come next in a session. */
enum { CLOSED = 0, RECEIVING = 1, WHOLE = 2 };

unsigned ota_update_other(const struct ota_update *u)
{
    return 1u - u->state.installed;
}

int ota_update_change(struct ota_update *u, const struct ota_state *next)
{
    int err = ota_journal_set_state(&u->journal, next);

    if (err == OTA_OK)
        ota_copy(&u->state, next, sizeof u->state);
    return err;
}

uint8_t ota_update_flags(const struct ota_update *u, unsigned flags)
{
    return (uint8_t)(u->config->slots->layout->install == NULL ? flags | OTA_SAVED : flags);
}

int ota_update_note_failed(struct ota_update *u)
{
    struct ota_state next = u->state;
    struct ota_history h;
    struct ota_entry failed;
    int err = OTA_OK;

    /* What rotted in its slot is not the release's fault: it may come again. */
    if (next.reason != -OTA_ERR_IMAGE_DIGEST) {
        err = ota_journal_history(&u->journal, &u->state, &h);
        if (err == OTA_OK)
            err = ota_journal_entry(&u->journal, ota_update_other(u), &failed);
        if (err == OTA_OK) {
            ota_rollback_rejected(&h, failed.release.image_digest);
            err = ota_journal_set_rejected(&u->journal, &h);
        }
    }
    if (err != OTA_OK)
        return err;
    next.phase = OTA_IDLE;
    next.flags = (uint8_t)((next.flags & OTA_CHECKED) | OTA_FAILED);
    return ota_update_change(u, &next);
}

int ota_update_open(struct ota_update *u, const struct ota_update_config *config, unsigned running)
{
    int err;

    ota_fill(u, 0, sizeof *u);
    u->config = config;
    u->running = (uint8_t)running;
    err = ota_journal_open(&u->journal, config->slots->journal);
    if (err == OTA_OK)
        err = ota_journal_settle(&u->journal);
    if (err == OTA_OK)
        err = ota_journal_state(&u->journal, &u->state);
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
    struct ota_device d = *device;
    ota_verdict verdict = OTA_FAIL;
    struct ota_history h;
    int err;

    d.slot_size = receives->size < runs->size ? receives->size : runs->size;
    d.keyset_floor = held->security_floor;
    d.retry_rejected = answer != NULL && answer->retry_rejected == 1;
    err = ota_journal_history(&u->journal, &u->state, &h);
    if (err == OTA_OK)
        err = ota_rollback_check(&h, m, &d, &verdict);
    return err == OTA_OK && verdict != OTA_PASS ? OTA_ERR_INTERNAL : err;
}

static OTA_APART int hash_object(const struct ota_source *object, uint8_t hash[OTA_SHA256_SIZE])
{
    struct ota_span all = {object, 0, object->size};
    struct ota_sha256 state;
    int err;

    ota_sha256_init(&state);
    err = ota_sha256_spans(&state, &all, 1);
    ota_sha256_final(&state, hash);
    return err;
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
    struct ota_state next = u->state;
    int err = OTA_OK;

    next.flags &= (uint8_t)~OTA_RETAINED;
    next.mark = 0;
    next.phase = OTA_IDLE;
    next.keyset_version = keyset;
    if (u->state.phase != OTA_IDLE || u->state.flags != next.flags)
        err = ota_update_change(u, &next);
    if (err == OTA_OK)
        err = ota_journal_set_entry(&u->journal, other, e);
    if (err == OTA_OK && kept->size != 0)
        err = ota_object_write(kept, manifest, 0);
    next.phase = OTA_RECEIVING;
    return err != OTA_OK ? err : ota_update_change(u, &next);
}

/* Goes on at the mark: a page begins there, and what is before it is read again. */
static int resume(struct ota_update *u, const struct ota_release *r)
{
    int err;

    ota_sha256_init(&u->hash);
    err = ota_image_hash(receiving_area(u), u->state.mark, &u->hash);
    if (err != OTA_OK)
        return err;
    u->size = r->image_size;
    u->received = u->page_end = u->state.mark;
    u->step = RECEIVING;
    return OTA_OK;
}

static OTA_APART int accept(struct ota_update *u, const struct ota_manifest *m, uint32_t keyset, uint32_t *offset)
{
    struct ota_entry e;
    int err = ota_release_of(&e.release, m);

    if (err == OTA_OK)
        err = hash_object(m->from, e.manifest_hash);
    if (err != OTA_OK)
        return err;
    if (!is_same(u, &e)) {
        u->step = CLOSED;
        err = receive(u, &e, m->from, keyset);
    }
    if (err == OTA_OK && u->step == CLOSED)
        err = resume(u, &e.release);
    *offset = u->received;
    return err;
}

int ota_update_begin(struct ota_update *u, const struct ota_source *manifest, const struct ota_keyset *held,
                     const struct ota_device *device, const struct ota_check_response *answer, uint32_t *offset)
{
    ota_verdict named = OTA_FAIL, verified = OTA_FAIL;
    struct ota_manifest m;
    int err = OTA_OK;

    if (u->state.phase != OTA_IDLE && u->state.phase != OTA_RECEIVING)
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
    if (verified != OTA_PASS || (u->config->keyed && named != OTA_PASS))
        return OTA_ERR_INTERNAL;
    return accept(u, &m, held->version, offset);
}

static int begin_page(struct ota_update *u, const struct ota_area *area)
{
    u->page_end += ota_area_page(area, u->received);
    return ota_area_erase(area, u->received);
}

/* Takes as many bytes as make whole units of one page, or go into the pending one. */
static int take(struct ota_update *u, const struct ota_area *area, const uint8_t *bytes, size_t *size)
{
    size_t unit = area->flash->unit, filled = (size_t)u->received & (unit - 1);

    *size = ota_part(u->page_end - u->received, *size);
    if (filled == 0 && *size >= unit) {
        *size &= ~(unit - 1);
        return ota_area_write(area, u->received, bytes, *size);
    }
    if (*size > unit - filled)
        *size = unit - filled;
    ota_copy(u->pending + filled, bytes, *size);
    return filled + *size < unit ? OTA_OK : ota_area_write(area, u->received - (uint32_t)filled, u->pending, unit);
}

/* Sixteen marks at most: what a reset can cost, against what the journal wears. */
static int set_mark(struct ota_update *u, const struct ota_area *area)
{
    struct ota_state next = u->state;

    if (u->received != u->page_end || u->received - next.mark < area->size >> 4)
        return OTA_OK;
    next.mark = u->received;
    return ota_update_change(u, &next);
}

static int receive_part(struct ota_update *u, const uint8_t *bytes, size_t *size)
{
    const struct ota_area *area = receiving_area(u);
    int err = u->received == u->page_end ? begin_page(u, area) : OTA_OK;

    if (err == OTA_OK)
        err = take(u, area, bytes, size);
    if (err != OTA_OK)
        return err;
    ota_sha256_update(&u->hash, bytes, *size);
    u->received += (uint32_t)*size;
    return set_mark(u, area);
}

int ota_update_write(struct ota_update *u, uint32_t offset, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;

    if (u->step != RECEIVING || offset > u->received)
        return OTA_ERR_INTERNAL;
    if (size > u->size - offset)
        return OTA_ERR_IMAGE_SIZE;
    while (offset + size > u->received) {
        size_t part = size - (size_t)(u->received - offset);
        int err = receive_part(u, from + (u->received - offset), &part);

        if (err != OTA_OK) {
            u->step = CLOSED;
            return err;
        }
    }
    if (u->config->progress != NULL)
        u->config->progress(u->config->ctx, u->received, u->size);
    return OTA_OK;
}

/* Writes the last unit, filled up. */
static int flush(const struct ota_update *u, const struct ota_area *area)
{
    size_t unit = area->flash->unit, filled = (size_t)u->received & (unit - 1);
    uint8_t last[OTA_MAX_UNIT];

    if (filled == 0)
        return OTA_OK;
    ota_fill(last, area->flash->erased, sizeof last);
    ota_copy(last, u->pending, filled);
    return ota_area_write(area, u->received - (uint32_t)filled, last, unit);
}

/* The image as it was received, and again as it stands in flash. */
static int check_whole(struct ota_update *u)
{
    uint8_t digest[OTA_SHA256_SIZE];
    ota_verdict stored = OTA_FAIL;
    struct ota_entry e;
    int err = ota_journal_entry(&u->journal, ota_update_other(u), &e);

    if (err == OTA_OK)
        err = flush(u, receiving_area(u));
    if (err != OTA_OK)
        return err;
    ota_sha256_final(&u->hash, digest);
    if (ota_equal(digest, e.release.image_digest, sizeof digest) != OTA_PASS)
        return OTA_ERR_IMAGE_DIGEST;
    err = ota_image_check(receiving_area(u), &e.release, &stored);
    if (err == OTA_OK && stored == OTA_PASS)
        u->step = WHOLE;
    return err;
}

int ota_update_finish(struct ota_update *u)
{
    struct ota_state next = u->state;
    int err;

    if (u->step != RECEIVING || u->received != u->size)
        return OTA_ERR_INTERNAL;
    u->step = CLOSED;
    err = check_whole(u);
    if (err != OTA_ERR_IMAGE_DIGEST || next.mark == 0)
        return err;
    next.mark = 0;
    err = ota_update_change(u, &next);
    return err != OTA_OK ? err : OTA_ERR_IMAGE_DIGEST;
}

int ota_update_install(struct ota_update *u)
{
    struct ota_state next = u->state;

    if (u->step != WHOLE)
        return OTA_ERR_INTERNAL;
    next.phase = OTA_INSTALL;
    next.mark = 0;
    next.reason = 0;
    next.flags = ota_update_flags(u, 0);
    return ota_update_change(u, &next);
}
