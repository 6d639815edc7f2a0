#include "ota/boot.h"

#include "apart.h"
#include "bytes.h"
#include "ota/rollback.h"

struct stage {
    const struct ota_boot_config *config;
    struct ota_journal journal;
    struct ota_state state;
};

/* More steps than this in one start are a flash that answers differently each time. */
#define MAX_STEPS 8

/* A step's result: look at the phase again. Not an error, and never handed on. */
#define AGAIN 1

static unsigned other(const struct stage *b)
{
    return 1u - b->state.installed;
}

/* Says whether an image may be started or installed: OTA_ERR_IMAGE_DIGEST if not. */
static int examine(const struct stage *b, unsigned which, const struct ota_area *image)
{
    const struct ota_boot_config *c = b->config;
    ota_verdict verdict = OTA_FAIL;
    struct ota_entry e;
    int err = ota_journal_entry(&b->journal, which, &e);

    if (err != OTA_OK)
        return err;
    if (which == b->state.installed && e.release.image_size == 0)
        return OTA_OK;
    err = ota_image_check(image, &e.release, &verdict);
    if (verdict == OTA_PASS && which != b->state.installed && c->admit != NULL)
        verdict = c->admit(c->ctx, c->slots, which, image);
    return verdict != OTA_PASS ? OTA_ERR_IMAGE_DIGEST : err;
}

/* The same of an image where it runs. */
static int examine_running(const struct stage *b, unsigned which)
{
    return examine(b, which, ota_slots_running(b->config->slots, which));
}

/* Enters a phase. */
static int enter(struct stage *b, uint8_t phase)
{
    int err;

    b->state.phase = phase;
    b->state.mark = 0;
    err = ota_journal_set_state(&b->journal, &b->state);
    return err != OTA_OK ? err : AGAIN;
}

/* Gives an image up. */
static int give_up(struct stage *b, uint8_t phase, int reason)
{
    b->state.reason = (uint8_t)-reason;
    return enter(b, phase);
}

static int start_image(const struct stage *b, unsigned which, struct ota_start *start)
{
    start->image = ota_slots_running(b->config->slots, which);
    start->release = (uint8_t)which;
    start->trial = which != b->state.installed;
    return OTA_OK;
}

static int install(struct stage *b)
{
    const struct ota_slots *slots = b->config->slots;
    struct ota_state *s = &b->state;
    int err = OTA_OK;

    if (slots->layout->install != NULL) {
        /* Nothing is overwritten by what would not be started. */
        if (s->phase == OTA_INSTALL)
            err = examine(b, other(b), ota_slots_origin(slots, s));
        if (err == OTA_ERR_IMAGE_DIGEST)
            return give_up(b, OTA_REVERTED, err);
        if (err == OTA_OK)
            err = slots->layout->install(slots, &b->journal, s);
        if (err == OTA_ERR_IMAGE_DIGEST)
            return (s->flags & OTA_SAVED) != 0 ? give_up(b, OTA_REVERT, err) : OTA_ERR_NOTHING_RETAINED;
        if (err != OTA_OK)
            return err;
    }
    s->tries = b->config->tries;
    return enter(b, OTA_TRIAL);
}

static int try_candidate(struct stage *b, uint8_t watchdog, struct ota_start *start)
{
    struct ota_state *s = &b->state;
    int err = watchdog ? OTA_ERR_WATCHDOG_RESET : OTA_ERR_TRIES_EXHAUSTED;

    if (s->tries != 0 || (s->flags & OTA_SAVED) == 0)
        err = examine_running(b, other(b));
    if (err != OTA_OK && err != OTA_ERR_STORAGE) {
        if ((s->flags & OTA_SAVED) != 0)
            return give_up(b, OTA_REVERT, err);
        /* Nothing to go back to, but perhaps what it was copied from is still whole. */
        return b->config->slots->layout->install != NULL ? enter(b, OTA_COPY) : OTA_ERR_NOTHING_RETAINED;
    }
    if (err == OTA_OK && s->tries != 0) {
        s->tries--;
        err = ota_journal_set_state(&b->journal, s);
    }
    return err != OTA_OK ? err : start_image(b, other(b), start);
}

static int revert(struct stage *b)
{
    const struct ota_slots *slots = b->config->slots;
    struct ota_state *s = &b->state;
    int err = OTA_OK;

    if (s->mark == 0)
        err = examine(b, s->installed, ota_slots_saved(slots, s));
    if (err == OTA_OK && slots->layout->revert != NULL)
        err = slots->layout->revert(slots, &b->journal, s);
    if (err == OTA_ERR_IMAGE_DIGEST) {
        /* A candidate that did not confirm is better than none. */
        s->flags &= (uint8_t)~OTA_SAVED;
        return enter(b, OTA_TRIAL);
    }
    return err != OTA_OK ? err : enter(b, OTA_REVERTED);
}

/* The installed image is damaged: returns to the retained one, if the rules allow. */
static OTA_APART int come_back(struct stage *b)
{
    struct ota_state *s = &b->state;
    ota_verdict verdict = OTA_FAIL;
    struct ota_history h;
    struct ota_entry e;

    if ((s->flags & OTA_RETAINED) == 0 || ota_journal_entry(&b->journal, s->installed, &e) != OTA_OK)
        return OTA_ERR_NOTHING_RETAINED;
    ota_copy(&h.installed, &e.release, sizeof h.installed);
    h.floor_epoch = s->floor_epoch;
    h.floor_counter = s->floor_counter;
    if (ota_journal_entry(&b->journal, other(b), &e) != OTA_OK)
        return OTA_ERR_NOTHING_RETAINED;
    e.release.confirmed = 1;
    if (ota_rollback_check_return(&h, &e.release, b->config->keyset_floor, &verdict) != OTA_OK ||
        verdict != OTA_PASS)
        return OTA_ERR_NOTHING_RETAINED;
    s->flags = OTA_RETURNING;
    return give_up(b, OTA_INSTALL, OTA_ERR_IMAGE_DIGEST);
}

static int start_settled(struct stage *b, struct ota_start *start)
{
    struct ota_state *s = &b->state;
    uint8_t policy = b->config->policy;
    int err = OTA_OK;

    if (policy == OTA_CHECK_ALWAYS || (policy == OTA_CHECK_ONCE && (s->flags & OTA_CHECKED) == 0)) {
        err = examine_running(b, s->installed);
        if (err == OTA_ERR_IMAGE_DIGEST)
            return come_back(b);
        s->flags |= OTA_CHECKED;
        if (err == OTA_OK && policy == OTA_CHECK_ONCE)
            err = ota_journal_set_state(&b->journal, s);
    }
    return err != OTA_OK ? err : start_image(b, s->installed, start);
}

static int step(struct stage *b, uint8_t watchdog, struct ota_start *start)
{
    switch (b->state.phase) {
    case OTA_INSTALL:
    case OTA_COPY:
        return install(b);
    case OTA_TRIAL:
        return try_candidate(b, watchdog, start);
    case OTA_REVERT:
        return revert(b);
    default:
        return start_settled(b, start);
    }
}

/* The journal cannot be written or an access failed: what is whole is started, without a
 * trace. The candidate only if it already was on trial. */
static int start_anyway(const struct stage *b, struct ota_start *start)
{
    unsigned which = b->state.installed;

    if (examine_running(b, which) == OTA_OK)
        return start_image(b, which, start);
    which = other(b);
    if (b->state.phase == OTA_TRIAL && examine_running(b, which) == OTA_OK)
        return start_image(b, which, start);
    return OTA_ERR_STORAGE;
}

static int start_lost(struct stage *b, struct ota_start *start)
{
    const struct ota_boot_config *c = b->config;

    b->state.installed = 0;
    for (unsigned which = 0; c->admit != NULL && which < 2; which++)
        if (c->admit(c->ctx, c->slots, which, ota_slots_running(c->slots, which)) == OTA_PASS) {
            (void)start_image(b, which, start);
            break;
        }
    start->trial = 0;
    return OTA_ERR_NO_DEVICE_KEY;
}

static int load(struct stage *b)
{
    int err = ota_journal_open(&b->journal, b->config->slots->journal);

    if (err != OTA_OK)
        return err;
    (void)ota_journal_settle(&b->journal); /* a journal that cannot be written is no reason not to start */
    return ota_journal_state(&b->journal, &b->state);
}

int ota_boot(const struct ota_boot_config *c, uint8_t watchdog, struct ota_start *start)
{
    struct stage b;
    int err;

    start->image = NULL;
    start->release = start->trial = 0;
    b.config = c;
    err = load(&b);
    if (err == OTA_ERR_STORAGE) /* a record that does not read the same each time */
        err = load(&b);
    if (err == OTA_ERR_NO_DEVICE_KEY)
        return start_lost(&b, start);
    if (err != OTA_OK)
        return err;
    err = AGAIN;
    for (unsigned i = 0; err == AGAIN && i < MAX_STEPS; i++)
        err = step(&b, watchdog, start);
    return err == AGAIN || err == OTA_ERR_STORAGE ? start_anyway(&b, start) : err;
}
