#include "device.h"

#include <string.h>

static void off(void *ctx)
{
    struct device *d = ctx;

    longjmp(d->power_off, 1);
}

static void place(const struct device *d, struct ota_area *a, uint32_t *at, uint32_t size)
{
    a->flash = &d->flash.port;
    a->at = *at;
    a->size = size;
    *at += size;
}

static void make_images(struct device *d)
{
    const struct geometry *g = d->geometry;
    static const char *versions[] = {"", "1.0.0", "1.1.0", "1.2.0-rc.1", "2.0.0"};
    uint32_t random = 12345;

    for (unsigned id = 1; id <= IMAGES; id++) {
        struct signed_release *r = &d->release[id];
        struct ota_sha256 hash;

        r->number = id;
        r->counter = id < 3 ? 1 : id - 1; /* 2 may go back to 1 */
        r->oldest_return = 1;
        r->version = versions[id];
        r->size = (uint32_t)((int)(g->page * g->slot_pages / 4 * 3 / g->unit * g->unit) + (id == 1 ? 0 : g->odd));
        if (r->size > MAX_IMAGE)
            r->size = MAX_IMAGE - g->unit + (uint32_t)(g->odd + g->unit) % g->unit;
        for (uint32_t i = 0; i < r->size; i++) {
            random = random * 1103515245u + 12345u;
            d->image[id][i] = (uint8_t)(random >> 16);
        }
        ota_sha256_init(&hash);
        ota_sha256_update(&hash, d->image[id], r->size);
        ota_sha256_final(&hash, r->digest);
        signed_manifest(&d->manifest[id], r);
    }
    for (uint32_t v = 1; v <= 2; v++)
        signed_keyset(&d->keyset[v], v);
}

static void provision(struct device *d)
{
    const struct ota_area *image = &d->slots.image[0];
    uint32_t unit = d->geometry->unit, size = d->release[1].size;
    struct ota_journal j;
    struct ota_state state;
    struct ota_entry made_with;

    memset(&state, 0, sizeof state);
    memset(&made_with, 0, sizeof made_with);
    state.keyset_version = 1;
    state.floor_epoch = 1;
    made_with.release.sequence = (uint64_t)1 << 32 | 1;
    made_with.release.security_counter = 1;
    made_with.release.image_size = size;
    made_with.release.oldest_return = (uint64_t)1 << 32 | 1;
    memcpy(made_with.release.image_digest, d->release[1].digest, OTA_SHA256_SIZE);
    for (uint32_t at = 0; at < size; at += unit)
        if (ota_area_write(image, at, d->image[1] + at, unit) != OTA_OK)
            (void)device_wrong(d, "provisioning", 0);
    if (ota_object_write(&d->slots.keyset[0], &d->keyset[1].source, 1) != OTA_OK ||
        ota_journal_format(&j, d->slots.journal, &state, &made_with, 1) != OTA_OK)
        (void)device_wrong(d, "provisioning", 0);
}

void device_init(struct device *d, const struct geometry *g, enum layout layout)
{
    uint32_t slot = g->page * g->slot_pages, at = g->base;
    uint32_t keyset_page = g->journal_page < 1024 ? 1024 / g->journal_page * g->journal_page : g->journal_page;

    memset(d, 0, sizeof *d);
    d->geometry = g;
    d->layout = layout;
    d->pages[0].at = at;
    d->pages[0].size = g->journal_page;
    d->pages[0].count = (2 * g->half_pages * g->journal_page + 2 * keyset_page) / g->journal_page;
    d->pages[1].at = at + d->pages[0].size * d->pages[0].count;
    d->pages[1].size = g->page;
    d->pages[1].count = 3 * g->slot_pages;
    emu_init(&d->flash, d->pages, 2, g->unit, g->erased, g->writes);
    d->flash.off = off;
    d->flash.ctx = d;

    d->slots.layout = layout == AB ? &ota_layout_ab : &ota_layout_overwrite;
    for (unsigned i = 0; i < 2; i++)
        place(d, &d->slots.journal[i], &at, g->half_pages * g->journal_page);
    for (unsigned i = 0; i < 2; i++)
        place(d, &d->slots.keyset[i], &at, keyset_page);
    for (unsigned i = 0; i < (layout == OVERWRITE_BACKUP ? 3u : 2u); i++)
        place(d, &d->slots.image[i], &at, slot);
    d->slots.image[2].flash = &d->flash.port;

    d->config.slots = &d->slots;
    d->config.ring = &signed_ring;
    d->boot.slots = &d->slots;
    d->boot.tries = TRIES;
    make_images(d);
    provision(d);
    device_forget(d);
}

void device_free(struct device *d)
{
    emu_free(&d->flash);
}

void device_forget(struct device *d)
{
    d->cycles = 0;
    d->confirmed = 0;
    d->refused = 0;
    d->went_back = 0;
    d->wrong = NULL;
    d->err = 0;
}

int device_wrong(struct device *d, const char *what, int err)
{
    if (d->wrong == NULL) {
        d->wrong = what;
        d->err = err;
    }
    return 1;
}

/* A call that failed: a device that may meet a failure starts again and tries again. */
static int failed(struct device *d, const char *what, int err)
{
    return d->forgiving ? 0 : device_wrong(d, what, err);
}

unsigned device_image_in(const struct device *d, const struct ota_area *area)
{
    for (unsigned id = 1; id <= IMAGES; id++)
        if (emu_holds(&d->flash, area->at, d->image[id], d->release[id].size))
            return id;
    return 0;
}

static unsigned id_of(const struct device *d, const struct ota_release *r)
{
    for (unsigned id = 1; id <= IMAGES; id++)
        if (memcmp(r->image_digest, d->release[id].digest, OTA_SHA256_SIZE) == 0)
            return id;
    return 0;
}

unsigned device_installed(struct device *d, struct ota_state *s)
{
    struct ota_journal j;
    struct ota_entry e;

    if (ota_journal_open(&j, d->slots.journal) != OTA_OK || ota_journal_state(&j, s) != OTA_OK ||
        ota_journal_entry(&j, s->installed, &e) != OTA_OK)
        return 0;
    return id_of(d, &e.release);
}

/* Uses a nonce, as a check or a report would. */
static int use_nonce(struct device *d, struct ota_update *u, struct ota_nonces *n)
{
    uint64_t nonce;
    int err = ota_journal_nonce(&u->journal, n, &nonce);

    if (err != OTA_OK)
        return failed(d, "no nonce", err);
    if (nonce <= d->last_nonce)
        return device_wrong(d, "a nonce was used twice", 0);
    d->last_nonce = nonce;
    return 0;
}

static int watch_floor(struct device *d, const struct ota_update *u)
{
    if (u->state.floor_counter < d->seen_floor || u->state.floor_counter < d->floor)
        return device_wrong(d, "the floor fell", (int)u->state.floor_counter);
    d->seen_floor = u->state.floor_counter;
    return 0;
}

static int confirm(struct device *d, struct ota_update *u)
{
    int err = ota_update_confirm(u);

    if (err != OTA_OK)
        return failed(d, "confirm", err);
    d->confirmed = d->running;
    if (d->release[d->running].counter > d->floor)
        d->floor = d->release[d->running].counter;
    return 0;
}

static int download(struct device *d, struct ota_update *u, uint32_t offset)
{
    const struct signed_release *r = &d->release[d->target];
    int err = OTA_OK;

    while (err == OTA_OK && offset < r->size) {
        uint32_t n = r->size - offset < d->geometry->chunk ? r->size - offset : d->geometry->chunk;

        err = ota_update_write(u, offset, d->image[d->target] + offset, n);
        offset += n;
    }
    if (err != OTA_OK)
        return failed(d, "write", err);
    err = ota_update_finish(u);
    if (err != OTA_OK)
        return failed(d, "finish", err);
    err = ota_update_install(u);
    return err != OTA_OK ? failed(d, "install", err) : 0;
}

static int update(struct device *d, struct ota_update *u)
{
    struct ota_device about;
    struct ota_keyset held;
    struct ota_source stored;
    uint32_t offset;
    int err;

    memset(&about, 0, sizeof about);
    err = ota_update_held(u, &stored, &held);
    if (err == OTA_ERR_KEYSET_TOO_OLD || (err == OTA_OK && d->keyset_to > held.version)) {
        err = ota_update_keyset(u, &d->keyset[d->keyset_to].source, &held);
        if (err == OTA_OK)
            err = ota_update_held(u, &stored, &held);
    }
    if (err != OTA_OK)
        return failed(d, "keyset", err);
    d->refused = ota_update_begin(u, &d->manifest[d->target].source, &held, &about, NULL, &offset);
    if (d->refused == OTA_ERR_REJECTED_BEFORE)
        return 1;
    if (d->refused != OTA_OK)
        return failed(d, "begin", d->refused);
    return download(d, u, offset);
}

static int go_back(struct device *d, struct ota_update *u)
{
    int err = ota_update_return(u, 0);

    d->went_back = 1;
    return err != OTA_OK ? failed(d, "return", err) : 0;
}

static int behave(struct device *d, struct ota_update *u)
{
    int err;

    switch (d->behaviour[d->running]) {
    case CONFIRMS:
        return confirm(d, u);
    case REJECTS:
        err = ota_update_reject(u, OTA_ERR_HEALTH_CHECK);
        return err == OTA_OK || err == OTA_ERR_NOTHING_RETAINED ? err != OTA_OK : failed(d, "reject", err);
    default:
        return 0;
    }
}

static int application(struct device *d, const struct ota_start *start)
{
    struct ota_device_info info;
    struct ota_nonces nonces = {0, 0};
    struct ota_update u;
    int err = ota_update_open(&u, &d->config, start->release);

    if (err != OTA_OK)
        return failed(d, "open", err);
    if (watch_floor(d, &u))
        return 1;
    err = ota_device_info(&u, &info);
    if ((err != OTA_OK || memcmp(info.running.release.image_digest, d->release[d->running].digest, 32) != 0) &&
        failed(d, "the device does not know what runs", err))
        return 1;
    if (u.state.phase == OTA_TRIAL && d->behaviour[d->running] == HANGS)
        return (u.state.flags & OTA_SAVED) == 0 && u.state.tries == 0; /* it hangs for ever: no revert */
    if (use_nonce(d, &u, &nonces) || use_nonce(d, &u, &nonces))
        return 1;
    if (u.state.phase == OTA_TRIAL && behave(d, &u))
        return 1;
    if (u.state.phase != OTA_IDLE && u.state.phase != OTA_RECEIVING)
        return 0;
    if (d->go_back && (u.state.flags & OTA_RETAINED) != 0)
        return go_back(d, &u);
    if (d->target == 0 || d->running == d->target)
        return 1;
    return update(d, &u);
}

int device_cycle(struct device *d)
{
    struct ota_start start;
    int err = ota_boot(&d->boot, 0, &start);

    d->cycles++;
    if (err != OTA_OK || start.image == NULL)
        return failed(d, "nothing to boot", err);
    d->running = device_image_in(d, start.image);
    if (d->running == 0)
        return device_wrong(d, "bytes run that nobody signed", 0);
    if (d->release[d->running].counter < d->floor)
        return device_wrong(d, "an image below the floor runs", 0);
    return application(d, &start);
}

int device_run(struct device *d, uint32_t cycles)
{
    volatile uint32_t left = cycles;

    while (left-- > 0) {
        if (setjmp(d->power_off) != 0)
            continue;
        if (device_cycle(d))
            break;
        if (left == 0)
            (void)device_wrong(d, "it does not come to an end", 0);
    }
    if (d->flash.broken != NULL)
        (void)device_wrong(d, d->flash.broken, 0);
    return d->wrong == NULL;
}
