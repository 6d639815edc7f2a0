#include "ota/boot.h"

#include "apart.h"
#include "bytes.h"
#include "ota/rollback.h"

struct stage {
    struct ota_state state; /* first, where it is reached by the shortest instructions */
    const struct ota_boot_config *config;
    struct ota_journal journal;
    int exhausted; /* why a trial ends whose tries are used up */
};

/* What a step hands back: the phase that comes next, or START and flags, or an error. What changed
 * is stored before it is acted upon. */
#define START 8
#define CANDIDATE 1 /* not the installed image */
#define QUIET 16    /* the state is as it was */

/* More steps than this in one start are a flash that answers differently each time. */
#define MAX_STEPS 8

/* The release that is the candidate (1), or the installed one (0). */
static unsigned release(const struct stage *b, unsigned candidate)
{
    return b->state.installed ^ candidate;
}

/* Whether the installed image is still somewhere, even if nobody knows its digest: an unknown one cannot be saved by a
 * copy, and a candidate that is copied to where it runs takes its place. */
static int is_there(const struct stage *b)
{
    return b->state.phase - (unsigned)OTA_COPY > 1u || (b->state.flags & OTA_SAVED) != 0;
}

/* Says whether an image may be started or installed: OTA_ERR_IMAGE_DIGEST if not. */
static int examine(const struct stage *b, unsigned candidate, const struct ota_area *image)
{
    const struct ota_boot_config *c;
    ota_verdict verdict = OTA_FAIL;
    struct ota_entry e;
    int err = ota_journal_entry(&b->journal, release(b, candidate), &e);

    if (err != OTA_OK)
        return err;
    if (!candidate && e.release.image_size == 0 && is_there(b))
        return OTA_OK;
    err = ota_image_check(image, &e.release, &verdict);
    c = b->config;
    if (verdict == OTA_PASS && candidate && c->admit != NULL)
        verdict = c->admit(c->ctx, c->slots, release(b, candidate), image);
    return verdict != OTA_PASS ? OTA_ERR_IMAGE_DIGEST : err;
}

/* The same where it runs, */
static int examine_running(const struct stage *b, unsigned candidate)
{
    return examine(b, candidate, ota_slots_running(b->config->slots, release(b, candidate)));
}

/* and where it comes from: the candidate was received there, the installed image is kept there. */
static int examine_origin(const struct stage *b, unsigned candidate)
{
    return examine(b, candidate, ota_slots_origin(b->config->slots, &b->state, candidate));
}

/* Gives an image up. */
static int give_up(struct stage *b, int phase, int reason)
{
    b->state.reason = (uint8_t)-reason;
    return phase;
}

typedef int copier(const struct ota_slots *slots, struct ota_journal *j, struct ota_state *s);

/* Has a layout copy an image, if it does. */
static int run(struct stage *b, copier *copy)
{
    return copy == NULL ? OTA_OK : copy(b->config->slots, &b->journal, &b->state);
}

static int install(struct stage *b)
{
    struct ota_state *s = &b->state;
    int err = OTA_OK;

    /* Nothing is overwritten by what would not be started. */
    if (s->phase == OTA_INSTALL)
        err = examine_origin(b, CANDIDATE);
    if (err == OTA_OK)
        err = run(b, b->config->slots->layout->install);
    if (err == OTA_ERR_IMAGE_DIGEST) {
        if (s->phase == OTA_INSTALL)
            return give_up(b, OTA_REVERTED, err);
        return (s->flags & OTA_SAVED) != 0 ? give_up(b, OTA_REVERT, err) : OTA_ERR_NOTHING_RETAINED;
    }
    s->tries = b->config->tries;
    return err != OTA_OK ? err : OTA_TRIAL;
}

static int try_candidate(struct stage *b)
{
    struct ota_state *s = &b->state;
    unsigned saved = s->flags & OTA_SAVED;
    int err = b->exhausted;

    if (s->tries != 0 || !saved)
        err = examine_running(b, CANDIDATE);
    if (err == OTA_OK) {
        if (s->tries == 0)
            return START | CANDIDATE | QUIET;
        s->tries--;
        return START | CANDIDATE;
    }
    if (err == OTA_ERR_STORAGE)
        return err;
    if (saved)
        return give_up(b, OTA_REVERT, err);
    /* Nothing to go back to, but perhaps what it was copied from is still whole. */
    return b->config->slots->layout->install != NULL ? OTA_COPY : OTA_ERR_NOTHING_RETAINED;
}

static int revert(struct stage *b)
{
    struct ota_state *s = &b->state;
    int err = OTA_OK;

    if (s->mark == 0)
        err = examine_origin(b, 0);
    if (err == OTA_OK)
        err = run(b, b->config->slots->layout->revert);
    if (err == OTA_ERR_IMAGE_DIGEST) {
        /* A candidate that did not confirm is better than none. */
        s->flags &= (uint8_t)~OTA_SAVED;
        return OTA_TRIAL;
    }
    return err != OTA_OK ? err : OTA_REVERTED;
}

/* The installed image is damaged: returns to the retained one, if the rules allow. */
static OTA_APART int come_back(struct stage *b)
{
    struct ota_state *s = &b->state;
    ota_verdict verdict = OTA_FAIL;
    struct ota_history h;
    struct ota_entry e;

    if ((s->flags & OTA_RETAINED) == 0 || ota_journal_entry(&b->journal, release(b, 0), &e) != OTA_OK)
        return OTA_ERR_NOTHING_RETAINED;
    ota_copy(&h.installed, &e.release, sizeof h.installed);
    h.floor_epoch = s->floor_epoch;
    h.floor_counter = s->floor_counter;
    if (ota_journal_entry(&b->journal, release(b, CANDIDATE), &e) != OTA_OK)
        return OTA_ERR_NOTHING_RETAINED;
    e.release.confirmed = 1;
    if (ota_rollback_check_return(&h, &e.release, b->config->keyset_floor, &verdict) != OTA_OK ||
        verdict != OTA_PASS)
        return OTA_ERR_NOTHING_RETAINED;
    s->flags = OTA_RETURNING;
    return give_up(b, OTA_INSTALL, OTA_ERR_IMAGE_DIGEST);
}

static int start_settled(struct stage *b)
{
    struct ota_state *s = &b->state;
    uint8_t policy = b->config->policy;
    int err;

    if (policy == OTA_CHECK_ON_TRIAL || (policy == OTA_CHECK_ONCE && (s->flags & OTA_CHECKED) != 0))
        return START | QUIET;
    err = examine_running(b, 0);
    if (err == OTA_ERR_IMAGE_DIGEST)
        return come_back(b);
    s->flags |= OTA_CHECKED;
    if (err != OTA_OK)
        return err;
    return policy == OTA_CHECK_ONCE ? START : START | QUIET;
}

static OTA_APART int step(struct stage *b)
{
    switch (b->state.phase) {
    case OTA_INSTALL:
    case OTA_COPY:
        return install(b);
    case OTA_TRIAL:
        return try_candidate(b);
    case OTA_REVERT:
        return revert(b);
    default:
        return start_settled(b);
    }
}

static OTA_APART int choose(struct stage *b)
{
    for (unsigned i = 0; i < MAX_STEPS; i++) {
        int next = step(b), err = OTA_OK;

        if (next < 0)
            return next;
        if (next < START) {
            b->state.phase = (uint8_t)next;
            b->state.mark = 0;
        }
        if ((next & QUIET) == 0)
            err = ota_journal_set_state(&b->journal, &b->state);
        if (err != OTA_OK)
            return err;
        if (next >= START)
            return next;
    }
    return OTA_ERR_STORAGE;
}

/* The journal cannot be written or an access failed: what is whole is started, without a
 * trace. The candidate only if it already was on trial. */
static int choose_anyway(const struct stage *b)
{
    if (examine_running(b, 0) == OTA_OK)
        return START;
    if (b->state.phase == OTA_TRIAL && examine_running(b, CANDIDATE) == OTA_OK)
        return START | CANDIDATE;
    return OTA_ERR_STORAGE;
}

/* The journal is lost: what somebody vouches for is started. */
static int choose_lost(struct stage *b)
{
    const struct ota_boot_config *c = b->config;

    for (unsigned which = 0; c->admit != NULL && which < 2; which++)
        if (c->admit(c->ctx, c->slots, which, ota_slots_running(c->slots, which)) == OTA_PASS) {
            b->state.installed = (uint8_t)which;
            return START;
        }
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
    int err, next;

    start->image = NULL;
    start->release = start->trial = 0;
    b.config = c;
    b.exhausted = watchdog ? OTA_ERR_WATCHDOG_RESET : OTA_ERR_TRIES_EXHAUSTED;
    err = load(&b);
    if (err == OTA_ERR_STORAGE) /* a record that does not read the same each time */
        err = load(&b);
    if (err == OTA_ERR_STORAGE)
        return err;
    next = err != OTA_OK ? choose_lost(&b) : choose(&b);
    if (next == OTA_ERR_STORAGE)
        next = choose_anyway(&b);
    if (next < 0)
        return next;
    start->trial = next & CANDIDATE;
    start->release = (uint8_t)release(&b, start->trial);
    start->image = ota_slots_running(c->slots, start->release);
    return err;
}
