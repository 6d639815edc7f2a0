#include "ota/journal.h"

#include <stddef.h>

#include "apart.h"
#include "bytes.h"
#include "crc32.h"

#define HEAD 6 /* kind, size, number */
#define CRC 4
#define STEP 8 /* records begin at multiples of it, or of the write unit if that is larger */
#define MARK 0xa0u /* of a kind: neither of the values that an erased byte can have */

/* Two bits beside the kind. Of the two copies of a record the later one has the turn of the earlier one
 * and NEXT, modulo TURN: it may have been cut off so late that it reads right now and wrong the next
 * time, so its page is the one to write first. */
#define TURN 0x18u
#define NEXT 0x08u

#define STATE_WORDS 4
#define STATE_SIZE (4 * STATE_WORDS + 5)
#define ENTRY_FIXED (24 + 2 * OTA_SHA256_SIZE)
#define ENTRY_MAX (ENTRY_FIXED + OTA_MAX_VERSION)
#define REJECTED_SIZE (OTA_MAX_REJECTED * OTA_REJECTED_BYTES)
#define NONCE_SIZE 12
#define MAX_RECORD (HEAD + ENTRY_MAX + CRC)

/* An entry is the largest record; a state is words and then bytes. */
typedef char rejected_fits[REJECTED_SIZE <= ENTRY_MAX ? 1 : -1];
typedef char state_is_flat[offsetof(struct ota_state, flags) == STATE_SIZE - 1 ? 1 : -1];

/* How often a record is looked at. */
#define LOOKS 3

/* What has to be done to a page before a record is appended. */
enum need {
    NOTHING,
    RENEW,  /* an earlier start wrote the last record */
    REWRITE /* it is full, or something in it is torn or rotten */
};

/* A record as it stands on flash, with room for the padding. */
struct record {
    uint8_t bytes[(MAX_RECORD + OTA_MAX_UNIT - 1) / OTA_MAX_UNIT * OTA_MAX_UNIT];
};

/* OTA_KINDS or more: it is none. */
static unsigned kind_of(const struct record *r)
{
    return (r->bytes[0] & ~TURN) - MARK;
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
    if (kind_of(r) >= OTA_KINDS || body > HEAD + ENTRY_MAX)
        return 0;
    if (ota_area_read(p->area, at + HEAD, r->bytes + HEAD, body - HEAD + CRC) != OTA_OK)
        return 0;
    return ota_crc32(0, r->bytes, body) == ota_load32(r->bytes + body) ? body + CRC : 0;
}

/* Loads the record at offset at and goes over it: the next one comes behind. One that was cut off late
 * may read right only now and then. It counts if it does so each time that is looked, and is then
 * looked for as often: it is not there once and gone the next moment. */
static unsigned pass(struct ota_journal_page *p, uint32_t at, struct record *r)
{
    unsigned size = 0;

    for (unsigned looks = LOOKS; looks > 0; looks--) {
        size = load(p, at, r);
        if (size == 0)
            return 0;
    }
    p->at[kind_of(r)] = (uint16_t)(at / STEP + 1);
    p->end = at + padded(p, size);
    return size;
}

/* Loads the newest record of a kind from either page, size bytes of payload at least. */
static int newest(const struct ota_journal *j, unsigned kind, struct record *r, unsigned size)
{
    int err = OTA_ERR_NO_DEVICE_KEY;

    for (unsigned look = 0; look < 2 * LOOKS; look++) {
        const struct ota_journal_page *p = &j->page[look & 1];
        uint32_t at = p->at[kind];

        if (at == 0)
            continue;
        if (load(p, (at - 1) * STEP, r) != 0 && r->bytes[1] >= size)
            return OTA_OK;
        /* What was there and cannot be read is not taken for what never was. */
        err = OTA_ERR_STORAGE;
    }
    return err;
}

static int is_blank(const struct ota_journal_page *p, uint32_t at, struct record *r)
{
    size_t size = p->step;
    uint8_t differ = 0;

    if (ota_area_read(p->area, at, r->bytes, size) != OTA_OK)
        return 0;
    while (size-- > 0)
        differ |= r->bytes[size] ^ p->area->flash->erased;
    return differ == 0;
}

/* Finds the records of a page, and where it ends. number takes those of the last of each kind. */
static void scan(struct ota_journal *j, struct ota_journal_page *p, uint32_t number[OTA_KINDS])
{
    struct record r;
    uint32_t at = 0;

    ota_fill(number, 0, OTA_KINDS * sizeof *number);
    while (at < p->area->size) {
        unsigned kind;
        uint32_t n;

        if (pass(p, at, &r) == 0) {
            if (!is_blank(p, at, &r)) {
                /* It may be a record that reads wrong now and right the next time: nothing is to
                 * be done before it is gone. */
                p->need = REWRITE;
                j->lacks = 1;
            }
            at += p->step;
            continue;
        }
        at = p->end;
        n = ota_load32(r.bytes + 2);
        kind = kind_of(&r);
        number[kind] = n;
        if (n >= j->number) {
            j->number = n;
            j->last = (uint8_t)kind;
            p->turn = r.bytes[0] & TURN;
        }
    }
    /* A write may have begun behind the last record and left no trace: that unit is passed over. */
    p->end += p->step;
}

static void attach(struct ota_journal *j, const struct ota_area area[2])
{
    ota_fill(j, 0, sizeof *j);
    for (struct ota_journal_page *p = j->page; p < j->page + 2; p++, area++) {
        const struct ota_flash *f = area->flash;

        p->area = area;
        p->step = f->unit < STEP ? STEP : f->unit;
        /* Where a word cannot be programmed twice, a page of an earlier start is not trusted. */
        p->need = f->writes > 1 ? RENEW : REWRITE;
    }
}

int ota_journal_open(struct ota_journal *j, const struct ota_area area[2])
{
    uint32_t number[2][OTA_KINDS];
    int err = OTA_ERR_NO_DEVICE_KEY, richer = 0;
    uint8_t byte;

    attach(j, area);
    for (unsigned i = 0; i < 2; i++) {
        scan(j, &j->page[i], number[i]);
        /* A journal that is lost is told from a flash that does not answer. */
        if (ota_area_read(&area[i], 0, &byte, 1) != OTA_OK)
            err = OTA_ERR_STORAGE;
    }
    j->first = ((j->page[0].turn + NEXT) & TURN) == j->page[1].turn;
    /* A page that has lost much is one whose erase was cut off: what it still has does not count, lest
     * it is a record that reads right only now. */
    for (unsigned kind = OTA_KINDS; kind-- > 0;)
        richer += (number[0][kind] != 0) - (number[1][kind] != 0);
    if (richer > 1 || richer < -1)
        ota_fill(number[richer > 1], 0, sizeof number[0]);
    /* If each page lacks something, two faults have met; the state, which comes last here, says which
     * page is the one to keep. */
    for (unsigned kind = OTA_KINDS; kind-- > 0;) {
        unsigned older = number[1][kind] < number[0][kind];

        if (number[0][kind] == number[1][kind])
            continue;
        j->page[older].at[kind] = 0;
        j->first = (uint8_t)older;
        j->lacks = 1;
    }
    return number[0][OTA_KIND_STATE] != 0 || number[1][OTA_KIND_STATE] != 0 ? OTA_OK : err;
}

/* Writes a record to the end of a page and reads it back. */
static int put(struct ota_journal_page *p, struct record *r, unsigned turn)
{
    unsigned body = HEAD + (unsigned)r->bytes[1], size = body + CRC;
    int err;

    p->turn = turn & TURN;
    r->bytes[0] = (uint8_t)((r->bytes[0] & ~TURN) | p->turn);
    ota_store32(r->bytes + body, ota_crc32(0, r->bytes, body));
    err = ota_area_put(p->area, p->end, r->bytes, size);
    return err == OTA_OK && pass(p, p->end, r) != size ? OTA_ERR_STORAGE : err;
}

static int erase(struct ota_journal_page *p)
{
    p->end = 0;
    ota_fill(p->at, 0, sizeof p->at);
    return ota_area_clear(p->area);
}

/* Erases a page and copies to it what the other one has, but for the last record. */
static int copy_others(const struct ota_journal *j, struct ota_journal_page *p)
{
    struct record r;
    int err = erase(p);

    for (unsigned kind = 0; kind < OTA_KINDS && err == OTA_OK; kind++) {
        if (kind == j->last)
            continue;
        err = newest(j, kind, &r, 0);
        if (err == OTA_OK)
            err = put(p, &r, 0);
        else if (err == OTA_ERR_NO_DEVICE_KEY)
            err = OTA_OK;
    }
    return err;
}

/* Where an earlier start was the last to write, its last record is written again: this is also
 * where a write that left no trace is found out. It is held in RAM while the page is erased: all
 * others were followed by one, but this one may read right now and wrong the next time. */
static OTA_APART int renew(struct ota_journal *j, struct ota_journal_page *p, unsigned turn)
{
    for (;;) {
        unsigned need = p->need;
        struct record last;
        int err = newest(j, j->last, &last, 0);

        if (err == OTA_OK && need == REWRITE) {
            j->lacks = 1;
            err = copy_others(j, p);
        }
        if (err == OTA_OK)
            err = put(p, &last, turn);
        p->need = err != OTA_OK ? REWRITE : NOTHING;
        if (err == OTA_OK || need == REWRITE)
            return err;
    }
}

/* Makes the page that is first such that a record can be appended and that all it holds was written to
 * the end; then the other one is first. There has to be room for two of the largest, whatever comes:
 * a page that was full before an erase that left no trace is full after it too, and is erased again. */
static int prepare(struct ota_journal *j)
{
    struct ota_journal_page *p = &j->page[j->first];
    int err = OTA_OK;

    if (j->lacks || p->end + 2 * padded(p, MAX_RECORD) > p->area->size)
        p->need = REWRITE;
    if (p->need != NOTHING)
        err = renew(j, p, j->page[1 - j->first].turn + NEXT);
    if (err != OTA_OK)
        return err;
    j->lacks = 0;
    j->first ^= 1;
    return OTA_OK;
}

/* Prepares both pages, first one that lacks something or is in doubt: it is written anew from
 * the other, which must therefore still be whole. */
static int prepare_both(struct ota_journal *j)
{
    int err = prepare(j);

    return err != OTA_OK ? err : prepare(j);
}

int ota_journal_settle(struct ota_journal *j)
{
    int err = OTA_OK;

    for (unsigned i = 0; j->lacks && i < 3; i++) {
        err = prepare_both(j);
        /* Look again: what was there may not be any more. */
        if (err != OTA_OK)
            err = ota_journal_open(j, j->page[0].area);
    }
    return j->lacks ? OTA_ERR_STORAGE : err;
}

static int append(struct ota_journal *j, unsigned kind, struct record *r, unsigned size)
{
    int err = prepare_both(j);

    if (err != OTA_OK)
        return err;
    r->bytes[0] = (uint8_t)(MARK | kind);
    r->bytes[1] = (uint8_t)size;
    ota_store32(r->bytes + 2, ++j->number); /* even if this fails: no two values share a number */
    j->lacks = 1;
    for (unsigned turn = 0; turn <= NEXT; turn += NEXT) {
        struct ota_journal_page *p = &j->page[j->first];

        p->at[kind] = 0; /* is not the newest any more */
        err = put(p, r, turn);
        if (err != OTA_OK)
            return err;
        j->last = (uint8_t)kind;
        j->first ^= 1;
    }
    j->lacks = 0;
    return OTA_OK;
}

int ota_journal_state(const struct ota_journal *j, struct ota_state *s)
{
    struct record r;
    uint32_t *words = &s->floor_epoch;
    int err = newest(j, OTA_KIND_STATE, &r, STATE_SIZE);

    if (err != OTA_OK)
        return err;
    for (unsigned i = 0; i < STATE_WORDS; i++)
        words[i] = ota_load32(r.bytes + HEAD + 4 * i);
    ota_copy(words + STATE_WORDS, r.bytes + HEAD + 4 * STATE_WORDS, STATE_SIZE - 4 * STATE_WORDS);
    s->installed &= 1;
    return OTA_OK;
}

int ota_journal_set_state(struct ota_journal *j, const struct ota_state *s)
{
    struct record r;
    const uint32_t *words = &s->floor_epoch;

    for (unsigned i = 0; i < STATE_WORDS; i++)
        ota_store32(r.bytes + HEAD + 4 * i, words[i]);
    ota_copy(r.bytes + HEAD + 4 * STATE_WORDS, words + STATE_WORDS, STATE_SIZE - 4 * STATE_WORDS);
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

/* Whether a page holds one record of each kind, and two of the largest more, and all of it can be told in steps of
 * 16 bits. */
static int has_room(const struct ota_journal_page *p)
{
    uint32_t all = padded(p, HEAD + STATE_SIZE + CRC) + padded(p, HEAD + REJECTED_SIZE + CRC) +
                   padded(p, HEAD + NONCE_SIZE + CRC) + 4 * padded(p, MAX_RECORD);

    return all <= p->area->size && p->area->size <= (uint32_t)STEP * UINT16_MAX;
}

int ota_journal_format(struct ota_journal *j, const struct ota_area area[2], const struct ota_state *state,
                       const struct ota_entry *made_with, uint32_t generation)
{
    struct ota_history none;
    int err = OTA_OK;

    if (state->installed > 1 || made_with->release.version.size > OTA_MAX_VERSION)
        return OTA_ERR_INVALID_FIELD;
    ota_fill(&none, 0, sizeof none);
    attach(j, area);
    for (struct ota_journal_page *p = j->page; p < j->page + 2 && err == OTA_OK; p++) {
        err = has_room(p) ? erase(p) : OTA_ERR_TOO_LARGE;
        p->need = NOTHING;
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
