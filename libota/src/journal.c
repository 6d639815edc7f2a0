#include "ota/journal.h"

#include "bytes.h"
#include "crc32.h"

#define HEAD 6 /* kind, size, number */
#define CRC 4
#define STEP 8 /* records begin at multiples of it, or of the write unit if that is larger */
#define MARK 0xa0   /* of a kind: neither of the values that an erased byte can have */
#define SECOND 0x08 /* of a record that was written when the other page had it already */

#define STATE_SIZE 21
#define ENTRY_FIXED (24 + 2 * OTA_SHA256_SIZE)
#define ENTRY_MAX (ENTRY_FIXED + OTA_MAX_VERSION)
#define REJECTED_SIZE (OTA_MAX_REJECTED * OTA_REJECTED_BYTES)
#define NONCE_SIZE 12
#define MAX_RECORD (HEAD + ENTRY_MAX + CRC)

/* An entry is the largest record. */
typedef char rejected_fits[REJECTED_SIZE <= ENTRY_MAX ? 1 : -1];

/* A record as it stands on flash, with room for the padding. */
struct record {
    uint8_t bytes[(MAX_RECORD + OTA_MAX_UNIT - 1) / OTA_MAX_UNIT * OTA_MAX_UNIT];
};

static unsigned kind_of(const struct record *r)
{
    return r->bytes[0] & (unsigned)~(MARK | SECOND);
}

static uint32_t number_of(const struct record *r)
{
    return ota_load32(r->bytes + 2);
}

/* A size, rounded up to where the next record begins. */
static uint32_t padded(const struct ota_journal_page *p, uint32_t size)
{
    return (size + p->step - 1) & ~(uint32_t)(p->step - 1);
}

/* Reads the record at offset at. Returns its size without the padding, or 0 if
 * there is no whole one: torn, rotten, or unreadable, it does not count. */
static unsigned load(const struct ota_journal_page *p, uint32_t at, struct record *r)
{
    unsigned body;

    if (ota_area_read(p->area, at, r->bytes, HEAD) != OTA_OK)
        return 0;
    body = HEAD + (unsigned)r->bytes[1];
    if ((r->bytes[0] & MARK) != MARK || kind_of(r) >= OTA_KINDS || body > HEAD + ENTRY_MAX)
        return 0;
    if (ota_area_read(p->area, at + HEAD, r->bytes + HEAD, body - HEAD + CRC) != OTA_OK)
        return 0;
    return ota_crc32(0, r->bytes, body) == ota_load32(r->bytes + body) ? body + CRC : 0;
}

/* Loads the record of a kind, if the page has the newest. */
static unsigned load_kind(const struct ota_journal_page *p, unsigned kind, struct record *r)
{
    uint32_t at = p->at[kind];

    return at == 0 ? 0 : load(p, (at - 1) * STEP, r);
}

/* Loads the newest record of a kind from either page, size bytes of payload at least. */
static int newest(const struct ota_journal *j, unsigned kind, struct record *r, unsigned size)
{
    for (const struct ota_journal_page *p = j->page; p < j->page + 2; p++)
        if (load_kind(p, kind, r) != 0 && r->bytes[1] >= size)
            return OTA_OK;
    /* What was there and cannot be read is not taken for what never was. */
    return j->page[0].at[kind] != 0 || j->page[1].at[kind] != 0 ? OTA_ERR_STORAGE : OTA_ERR_NO_DEVICE_KEY;
}

static int is_blank(const struct ota_journal_page *p, uint32_t at)
{
    uint8_t bytes[OTA_MAX_UNIT];
    size_t size = p->step;
    uint8_t differ = 0;

    if (ota_area_read(p->area, at, bytes, size) != OTA_OK)
        return 0;
    while (size-- > 0)
        differ |= bytes[size] ^ p->area->flash->erased;
    return differ == 0;
}

/* Goes over the record at offset at: where the next one goes. */
static void pass(struct ota_journal_page *p, uint32_t at, const struct record *r, uint32_t size)
{
    p->at[kind_of(r)] = (uint16_t)(at / STEP + 1);
    p->end = at + padded(p, size);
}

/* Finds the records of a page, and where it ends. */
static void scan(struct ota_journal *j, unsigned which)
{
    struct ota_journal_page *p = &j->page[which];
    struct record r;
    uint32_t at = 0;

    p->open = p->area->flash->writes > 1;
    while (at < p->area->size) {
        unsigned size = load(p, at, &r);

        if (size == 0) {
            /* Torn, if nothing follows; where a word cannot be programmed twice, a page
             * of an earlier start is not trusted at all. */
            p->open &= (uint8_t)is_blank(p, at);
            at += p->step;
            continue;
        }
        pass(p, at, &r, size);
        at = p->end;
        p->open = p->area->flash->writes > 1;
        if (number_of(&r) >= j->number) {
            j->number = number_of(&r);
            j->last = (uint8_t)kind_of(&r);
            if ((r.bytes[0] & SECOND) != 0)
                j->doubt = (uint8_t)which;
        }
    }
    /* A write may have begun behind the last record and left no trace: that unit is passed over. */
    p->end += p->step;
    p->renew = 1;
}

/* The number of the last record of a kind in a page, 0 if there is none. */
static uint32_t number_in(const struct ota_journal_page *p, unsigned kind)
{
    struct record r;

    return load_kind(p, kind, &r) != 0 ? number_of(&r) : 0;
}

/* Tells a journal that is lost from a flash that does not answer. */
static int is_readable(const struct ota_area *area)
{
    uint8_t byte;

    return ota_area_read(area, 0, &byte, 1) == OTA_OK;
}

static void attach(struct ota_journal *j, const struct ota_area area[2])
{
    ota_fill(j, 0, sizeof *j);
    for (unsigned i = 0; i < 2; i++) {
        struct ota_journal_page *p = &j->page[i];

        p->area = &area[i];
        p->step = p->area->flash->unit < STEP ? STEP : p->area->flash->unit;
        p->whole = 1;
    }
}

int ota_journal_open(struct ota_journal *j, const struct ota_area area[2])
{
    attach(j, area);
    scan(j, 0);
    scan(j, 1);
    for (unsigned kind = 0; kind < OTA_KINDS; kind++) {
        uint32_t first = number_in(&j->page[0], kind), second = number_in(&j->page[1], kind);
        unsigned older = second < first;

        if (first == second)
            continue;
        j->page[older].at[kind] = 0;
        /* If each lacks something, two faults have met; the state, which comes first, says
         * which page is the one to keep. */
        j->page[older].whole = !j->page[1 - older].whole;
    }
    if (j->page[0].at[OTA_KIND_STATE] != 0 || j->page[1].at[OTA_KIND_STATE] != 0)
        return OTA_OK;
    return is_readable(&area[0]) && is_readable(&area[1]) ? OTA_ERR_NO_DEVICE_KEY : OTA_ERR_STORAGE;
}

/* Writes a record to the end of a page and reads it back. */
static int put(struct ota_journal_page *p, struct record *r, unsigned second)
{
    unsigned body = HEAD + (unsigned)r->bytes[1], size = body + CRC;
    uint32_t at = p->end;
    int err;

    r->bytes[0] = (uint8_t)(MARK | kind_of(r) | second);
    ota_store32(r->bytes + body, ota_crc32(0, r->bytes, body));
    ota_fill(r->bytes + size, p->area->flash->erased, sizeof r->bytes - size);
    err = ota_area_write(p->area, at, r->bytes, (size_t)padded(p, size));
    if (err != OTA_OK)
        return err;
    if (load(p, at, r) != size)
        return OTA_ERR_STORAGE;
    pass(p, at, r, size);
    return OTA_OK;
}

static int erase(struct ota_journal_page *p)
{
    const struct ota_area *area = p->area;

    p->whole = 0;
    p->end = 0;
    ota_fill(p->at, 0, sizeof p->at);
    for (uint32_t at = 0; at < area->size; at += ota_area_page(area, at)) {
        int err = ota_area_erase(area, at);

        if (err != OTA_OK)
            return err;
    }
    return OTA_OK;
}

/* Erases a page and writes it anew from the other one. The last record comes from RAM: all others
 * were followed by one, but this one may read right now and wrong the next time. */
static int rewrite(struct ota_journal *j, unsigned which, unsigned second)
{
    struct ota_journal_page *p = &j->page[which], *from = &j->page[1 - which];
    struct record last, r;
    int err = newest(j, j->last, &last, 0);

    if (err == OTA_OK)
        err = erase(p);
    for (unsigned kind = 0; kind < OTA_KINDS && err == OTA_OK; kind++) {
        if (kind == j->last || from->at[kind] == 0)
            continue;
        err = load_kind(from, kind, &r) == 0 ? OTA_ERR_STORAGE : put(p, &r, SECOND);
    }
    return err != OTA_OK ? err : put(p, &last, second);
}

/* Whether records can be appended to a page as it is. There has to be room for two of the
 * largest, whatever comes: a page that was full before an erase that left no trace is full
 * after it too, and is erased again. */
static int is_usable(const struct ota_journal_page *p)
{
    return p->whole && p->open && p->end + 2 * padded(p, MAX_RECORD) <= p->area->size;
}

/* Makes a page such that a record can be appended and that all it holds was written to the end.
 * Where an earlier start was the last to write, its last record is written again: this is also
 * where a write that left no trace is found out. */
static int prepare(struct ota_journal *j, unsigned which, unsigned second)
{
    struct ota_journal_page *p = &j->page[which];
    int err = OTA_ERR_STORAGE;

    if (is_usable(p)) {
        struct record last;

        if (!p->renew)
            return OTA_OK;
        err = newest(j, j->last, &last, 0);
        if (err == OTA_OK)
            err = put(p, &last, second);
    }
    if (err != OTA_OK)
        err = rewrite(j, which, second);
    if (err != OTA_OK)
        return err;
    p->whole = p->open = 1;
    p->renew = 0;
    return OTA_OK;
}

/* Prepares both pages, first one that lacks something or is in doubt: it is written anew from
 * the other, which must therefore still be whole. Says which was first. */
static int prepare_both(struct ota_journal *j, unsigned *first)
{
    int err;

    *first = !j->page[0].whole ? 0 : !j->page[1].whole ? 1 : j->doubt;
    err = prepare(j, *first, 0);
    return err != OTA_OK ? err : prepare(j, 1 - *first, SECOND);
}

int ota_journal_settle(struct ota_journal *j)
{
    unsigned first;
    int err = OTA_OK;

    for (unsigned i = 0; i < 3; i++) {
        if (j->page[0].whole && j->page[1].whole)
            return err;
        err = prepare_both(j, &first);
        /* Look again: what was there may not be any more. */
        if (err != OTA_OK)
            err = ota_journal_open(j, j->page[0].area);
    }
    return OTA_ERR_STORAGE;
}

static int append(struct ota_journal *j, unsigned kind, struct record *r, unsigned size)
{
    struct ota_journal_page *p;
    unsigned first;
    int err = prepare_both(j, &first);

    if (err != OTA_OK)
        return err;
    r->bytes[0] = (uint8_t)kind;
    r->bytes[1] = (uint8_t)size;
    ota_store32(r->bytes + 2, ++j->number); /* even if this fails: no two values share a number */
    p = &j->page[first];
    err = put(p, r, 0);
    p->whole = err == OTA_OK;
    if (err != OTA_OK)
        return err;
    j->last = (uint8_t)kind;
    p = &j->page[1 - first];
    p->at[kind] = 0; /* is not the newest any more */
    err = put(p, r, SECOND);
    p->whole = err == OTA_OK;
    return err;
}

int ota_journal_state(const struct ota_journal *j, struct ota_state *s)
{
    struct record r;
    const uint8_t *from = r.bytes + HEAD;
    int err = newest(j, OTA_KIND_STATE, &r, STATE_SIZE);

    if (err != OTA_OK)
        return err;
    s->floor_epoch = ota_load32(from);
    s->floor_counter = ota_load32(from + 4);
    s->keyset_version = ota_load32(from + 8);
    s->mark = ota_load32(from + 12);
    s->installed = from[16] & 1;
    s->phase = from[17];
    s->tries = from[18];
    s->reason = from[19];
    s->flags = from[20];
    return OTA_OK;
}

int ota_journal_set_state(struct ota_journal *j, const struct ota_state *s)
{
    struct record r;
    uint8_t *to = r.bytes + HEAD;

    ota_store32(to, s->floor_epoch);
    ota_store32(to + 4, s->floor_counter);
    ota_store32(to + 8, s->keyset_version);
    ota_store32(to + 12, s->mark);
    to[16] = s->installed;
    to[17] = s->phase;
    to[18] = s->tries;
    to[19] = s->reason;
    to[20] = s->flags;
    return append(j, OTA_KIND_STATE, &r, STATE_SIZE);
}

static uint64_t load64(const uint8_t *from)
{
    return (uint64_t)ota_load32(from) << 32 | ota_load32(from + 4);
}

static void store64(uint8_t *to, uint64_t v)
{
    ota_store32(to, (uint32_t)(v >> 32));
    ota_store32(to + 4, (uint32_t)v);
}

int ota_journal_entry(const struct ota_journal *j, unsigned which, struct ota_entry *e)
{
    struct record r;
    const uint8_t *from = r.bytes + HEAD;
    struct ota_release *release = &e->release;
    int err = newest(j, OTA_KIND_ENTRY_0 + which, &r, ENTRY_FIXED);

    if (err != OTA_OK)
        return err;
    ota_fill(e, 0, sizeof *e);
    release->sequence = load64(from);
    release->oldest_return = load64(from + 8);
    release->security_counter = ota_load32(from + 16);
    release->image_size = ota_load32(from + 20);
    ota_copy(release->image_digest, from + 24, OTA_SHA256_SIZE);
    ota_copy(e->manifest_hash, from + 24 + OTA_SHA256_SIZE, OTA_SHA256_SIZE);
    release->version.size = (uint8_t)(r.bytes[1] - ENTRY_FIXED);
    ota_copy(release->version.text, from + ENTRY_FIXED, release->version.size);
    return OTA_OK;
}

int ota_journal_set_entry(struct ota_journal *j, unsigned which, const struct ota_entry *e)
{
    struct record r;
    uint8_t *to = r.bytes + HEAD;
    const struct ota_release *release = &e->release;

    store64(to, release->sequence);
    store64(to + 8, release->oldest_return);
    ota_store32(to + 16, release->security_counter);
    ota_store32(to + 20, release->image_size);
    ota_copy(to + 24, release->image_digest, OTA_SHA256_SIZE);
    ota_copy(to + 24 + OTA_SHA256_SIZE, e->manifest_hash, OTA_SHA256_SIZE);
    ota_copy(to + ENTRY_FIXED, release->version.text, release->version.size);
    return append(j, OTA_KIND_ENTRY_0 + which, &r, ENTRY_FIXED + (unsigned)release->version.size);
}

static int load_rejected(const struct ota_journal *j, struct ota_history *h)
{
    struct record r;
    int err = newest(j, OTA_KIND_REJECTED, &r, REJECTED_SIZE);

    if (err == OTA_OK)
        ota_copy(h->rejected, r.bytes + HEAD, REJECTED_SIZE);
    return err;
}

int ota_journal_history(const struct ota_journal *j, const struct ota_state *s, struct ota_history *h)
{
    struct ota_entry installed;
    int err = load_rejected(j, h);

    if (err == OTA_OK)
        err = ota_journal_entry(j, s->installed, &installed);
    if (err != OTA_OK)
        return err;
    ota_copy(&h->installed, &installed.release, sizeof h->installed);
    h->installed.confirmed = 1;
    h->floor_epoch = s->floor_epoch;
    h->floor_counter = s->floor_counter;
    return OTA_OK;
}

int ota_journal_set_rejected(struct ota_journal *j, const struct ota_history *h)
{
    struct record r;

    ota_copy(r.bytes + HEAD, h->rejected, REJECTED_SIZE);
    return append(j, OTA_KIND_REJECTED, &r, REJECTED_SIZE);
}

/* The counter: highest nonce that may have been used, and the generation of the key. */
static int load_counter(const struct ota_journal *j, uint64_t *used, uint32_t *generation)
{
    struct record r;
    int err = newest(j, OTA_KIND_NONCE, &r, NONCE_SIZE);

    if (err != OTA_OK)
        return err;
    *used = load64(r.bytes + HEAD);
    *generation = ota_load32(r.bytes + HEAD + 8);
    return OTA_OK;
}

static int store_counter(struct ota_journal *j, uint64_t used, uint32_t generation)
{
    struct record r;

    store64(r.bytes + HEAD, used);
    ota_store32(r.bytes + HEAD + 8, generation);
    return append(j, OTA_KIND_NONCE, &r, NONCE_SIZE);
}

int ota_journal_nonce(struct ota_journal *j, struct ota_nonces *n, uint64_t *nonce)
{
    if (n->left == 0) {
        uint32_t generation;
        uint64_t used;
        int err = load_counter(j, &used, &generation);

        if (err == OTA_OK)
            err = store_counter(j, used + OTA_NONCE_BLOCK, generation);
        if (err != OTA_OK)
            return err;
        n->last = used;
        n->left = OTA_NONCE_BLOCK;
    }
    n->left--;
    *nonce = ++n->last;
    return OTA_OK;
}

int ota_journal_generation(const struct ota_journal *j, uint32_t *generation)
{
    uint64_t used;

    return load_counter(j, &used, generation);
}

int ota_journal_set_generation(struct ota_journal *j, uint32_t generation)
{
    uint32_t old;

    if (ota_journal_generation(j, &old) == OTA_OK && generation <= old)
        return OTA_ERR_WRONG_NONCE;
    return store_counter(j, 0, generation);
}

/* Whether a page holds one record of each kind, and two of the largest more. */
static int has_room(const struct ota_journal_page *p)
{
    uint32_t all = padded(p, HEAD + STATE_SIZE + CRC) + padded(p, HEAD + REJECTED_SIZE + CRC) +
                   padded(p, HEAD + NONCE_SIZE + CRC) + 4 * padded(p, MAX_RECORD);

    return all <= p->area->size;
}

int ota_journal_format(struct ota_journal *j, const struct ota_area area[2], const struct ota_state *state,
                       const struct ota_entry *made_with, uint32_t generation)
{
    struct ota_history none;
    int err = OTA_OK;

    ota_fill(&none, 0, sizeof none);
    attach(j, area);
    for (struct ota_journal_page *p = j->page; p < j->page + 2 && err == OTA_OK; p++) {
        err = has_room(p) ? erase(p) : OTA_ERR_TOO_LARGE;
        p->whole = p->open = 1;
    }
    if (err == OTA_OK)
        err = store_counter(j, 0, generation);
    if (err == OTA_OK)
        err = ota_journal_set_rejected(j, &none);
    if (err == OTA_OK)
        err = ota_journal_set_entry(j, state->installed, made_with);
    /* The state comes last: without it the journal counts as lost, with it, all is there. */
    return err != OTA_OK ? err : ota_journal_set_state(j, state);
}
