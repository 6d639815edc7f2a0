#include "flash_emu.h"

#include <stdlib.h>
#include <string.h>

/* States of a unit, at its first byte, and bit flags of it; of a page, likewise. */
#define WRITTEN 1u     /* a write of it was completed */
#define BEGUN 2u       /* a write of it was cut off */
#define HALF_ERASED 4u /* of a page: an erase of it was cut off */
#define UNREADABLE 8u  /* the ECC of the unit does not hold */
#define MOODY 16u      /* the unit reads the same from a power cut to the next one */

static uint32_t draw(struct flash_emu *e)
{
    e->random ^= e->random << 13;
    e->random ^= e->random >> 17;
    e->random ^= e->random << 5;
    return e->random;
}

static int broken(struct flash_emu *e, const char *rule)
{
    if (e->broken == NULL)
        e->broken = rule;
    return OTA_ERR_STORAGE;
}

/* Page that holds at: its address and size. */
static uint32_t page_of(const struct flash_emu *e, uint32_t at, uint32_t *size)
{
    for (unsigned i = 0; i < e->port.runs; i++) {
        const struct ota_pages *run = &e->port.pages[i];

        if (at >= run->at && at - run->at < run->size * run->count) {
            *size = run->size;
            return run->at + (at - run->at) / run->size * run->size;
        }
    }
    *size = 0;
    return 0;
}

static uint32_t unit_of(const struct flash_emu *e, uint32_t at)
{
    return at & ~(e->port.unit - 1u);
}

/* Puts a byte down so that it reads so every time. */
static void settle(struct flash_emu *e, uint32_t at, uint8_t value)
{
    e->bytes[at] = e->other[at] = value;
}

/* What is left when value is written over what is there: bits go one way only. */
static uint8_t over(const struct flash_emu *e, uint32_t at, uint8_t value)
{
    return e->port.erased == 0xff ? e->bytes[at] & e->other[at] & value : e->bytes[at] | e->other[at] | value;
}

static void program(struct flash_emu *e, uint32_t at, const uint8_t *from, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        e->bytes[at + i] = over(e, at + i, from[i]);
        if (e->state[unit_of(e, at + i)] & BEGUN)
            e->other[at + i] = from[i]; /* never sure again */
        else
            e->other[at + i] = e->bytes[at + i];
        e->state[unit_of(e, at + i)] |= WRITTEN;
    }
}

/* Part of a unit, in a way of the mode. */
static void tear_unit(struct flash_emu *e, uint32_t at, const uint8_t *from, enum emu_mode mode)
{
    int traceless = mode == EMU_UNSTABLE && (draw(e) & 3) == 0;

    for (uint32_t i = 0; i < e->port.unit; i++) {
        uint8_t some = mode == EMU_TORN_BITS ? (uint8_t)draw(e) : 0xff;
        uint8_t value = (uint8_t)((e->port.erased & ~some) | (from[i] & some));

        if (traceless)
            continue;
        if (mode == EMU_UNSTABLE)
            e->other[at + i] = value; /* and bytes as it was */
        else
            settle(e, at + i, over(e, at + i, value));
    }
    e->state[at] |= BEGUN;
    if (mode == EMU_UNSTABLE && (draw(e) & 1))
        e->state[at] |= MOODY;
    e->marginal |= mode == EMU_UNSTABLE;
    e->odd = 1;
    if (e->port.writes == 1 && !traceless && (draw(e) & 1))
        e->state[at] |= UNREADABLE;
}

static void tear_write(struct flash_emu *e, uint32_t at, const uint8_t *from, uint32_t size, enum emu_mode mode)
{
    uint32_t whole, unit = e->port.unit;

    if (mode == EMU_BEFORE)
        return;
    if (mode == EMU_AFTER) {
        program(e, at, from, size);
        return;
    }
    whole = draw(e) % size / unit * unit;
    program(e, at, from, whole);
    if (mode == EMU_TORN_PREFIX) {
        uint8_t part[256];

        memset(part, e->port.erased, sizeof part);
        memcpy(part, from + whole, draw(e) % unit);
        tear_unit(e, at + whole, part, mode);
    } else
        tear_unit(e, at + whole, from + whole, mode);
}

static void clear(struct flash_emu *e, uint32_t at, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        settle(e, at + i, e->port.erased);
        e->state[at + i] = 0;
    }
}

static void tear_erase(struct flash_emu *e, uint32_t at, uint32_t size, enum emu_mode mode)
{
    uint32_t prefix = draw(e) % size;

    if (mode == EMU_BEFORE)
        return;
    if (mode == EMU_AFTER) {
        clear(e, at, size);
        return;
    }
    if (mode == EMU_UNSTABLE && e->marginal)
        mode = EMU_PARTIAL_ERASE; /* one marginal thing at a time: this one leaves a trace */
    e->marginal |= mode == EMU_UNSTABLE;
    e->state[at] |= HALF_ERASED;
    e->odd = 1;
    if (mode == EMU_UNSTABLE && (draw(e) & 3) == 0)
        return; /* it left no trace */
    for (uint32_t i = 0; i < size; i++) {
        uint8_t was = e->bytes[at + i], some = 0;

        if (mode == EMU_TORN_PREFIX)
            some = i < prefix ? 0xff : 0;
        else if (mode == EMU_TORN_BITS)
            some = (uint8_t)draw(e);
        else if (mode == EMU_PARTIAL_ERASE) {
            uint32_t how = (at + i) / 8 * 2654435761u ^ prefix * 40503u;

            some = (how >> 8) % 3 == 0 ? 0xff : (how >> 8) % 3 == 1 ? 0 : (uint8_t)draw(e);
        }
        settle(e, at + i, (uint8_t)((was & ~some) | (e->port.erased & some)));
        if (mode == EMU_UNSTABLE)
            e->other[at + i] = e->port.erased;
    }
    for (uint32_t i = 0; i < size; i += e->port.unit) {
        if (mode != EMU_TORN_PREFIX && e->port.writes == 1 && (draw(e) & 7) == 0)
            e->state[at + i] |= UNREADABLE;
        if (mode == EMU_UNSTABLE && (prefix & 1))
            e->state[at + i] |= MOODY;
    }
}

/* 1 if the power goes in this operation. */
static const struct emu_cut *cut_now(struct flash_emu *e, enum emu_kind kind)
{
    const struct emu_cut *cut;
    uint32_t op = e->ops++;

    if (e->kinds != NULL)
        e->kinds[op] = (uint8_t)kind;
    if (e->next >= e->cuts || op != e->plan[e->next].after)
        return NULL;
    cut = &e->plan[e->next++];
    e->mood = cut->seed * 2246822519u + e->next * 3266489917u;
    e->ops = 0;
    e->random = cut->seed * 2654435761u | 1u;
    (void)draw(e);
    (void)draw(e);
    return cut;
}

/* The fault of this call. */
static enum emu_fault fault_now(struct flash_emu *e, int read)
{
    uint32_t call = e->calls++;

    if (!e->fed && call != 0)
        (void)broken(e, "the watchdog was not fed since the last access");
    e->fed = 0;
    if (call >= e->fault_at && (e->fault == EMU_DEAD || (e->fault == EMU_READ_ONLY && !read)))
        return EMU_FAIL;
    if (call != e->fault_at || e->fault == EMU_READ_ONLY)
        return EMU_NO_FAULT;
    return read && e->fault == EMU_FAIL_LATE ? EMU_FAIL : e->fault;
}

/* 1 if all units of a range can be read, and read the same each time. */
static int is_settled(const struct flash_emu *e, uint32_t at, uint32_t size)
{
    if (!e->odd)
        return 1;
    if (memcmp(e->bytes + at, e->other + at, size) != 0)
        return 0;
    for (uint32_t u = unit_of(e, at); u < at + size; u += e->port.unit)
        if (e->state[u] & UNREADABLE)
            return 0;
    return 1;
}

/* Which bits of a byte read as in other: how is 0 for none, 1 for all, otherwise some. */
static uint8_t mixture(struct flash_emu *e, uint32_t at, uint32_t how)
{
    if (how < 2)
        return (uint8_t)(0u - how);
    return (uint8_t)(e->state[unit_of(e, at)] & MOODY ? (at * 2654435761u ^ e->mood) >> 11 : draw(e));
}

/* How a unit that is not settled reads this time. */
static uint32_t mood_of(struct flash_emu *e, uint32_t unit)
{
    uint32_t how = draw(e) & 3;

    if (e->state[unit] & MOODY)
        how = 1 + ((unit * 2654435761u ^ e->mood) >> 13 & 1);
    return how;
}

static int emu_read(void *ctx, uint32_t at, void *to, size_t size)
{
    struct flash_emu *e = ctx;
    uint8_t *byte = to;
    uint32_t how = 0;
    enum emu_fault fault = fault_now(e, 1);

    if (at > e->size || size > e->size - at)
        return broken(e, "read outside of the flash");
    if (fault == EMU_FAIL)
        return OTA_ERR_STORAGE;
    if (fault == EMU_NO_FAULT && is_settled(e, at, (uint32_t)size)) {
        memcpy(to, e->bytes + at, size);
        return OTA_OK;
    }
    for (uint32_t i = 0; i < size; i++) {
        uint32_t unit = unit_of(e, at + i);
        uint8_t some;

        if (i == 0 || unit == at + i)
            how = mood_of(e, unit);
        some = mixture(e, at + i, how);
        if (e->state[unit] & UNREADABLE)
            return OTA_ERR_STORAGE;
        byte[i] = (uint8_t)((e->bytes[at + i] & ~some) | (e->other[at + i] & some));
        if (fault == EMU_SHORT_READ && i == size / 2)
            return (int)i + 1;
        if (fault == EMU_LYING_READ)
            byte[i] = (uint8_t)draw(e);
    }
    return OTA_OK;
}

static int check_write(struct flash_emu *e, uint32_t at, uint32_t size)
{
    uint32_t page, page_size;

    if (at > e->size || size > e->size - at || size == 0)
        return broken(e, "write outside of the flash");
    if (at % e->port.unit != 0 || size % e->port.unit != 0)
        return broken(e, "write of a part of a unit");
    for (uint32_t u = at; u < at + size; u += e->port.unit) {
        page = page_of(e, u, &page_size);
        if (e->state[page] & HALF_ERASED)
            return broken(e, "write to a page whose erase was cut off");
        if (e->state[u] & WRITTEN)
            return broken(e, "unit written twice");
        if ((e->state[u] & BEGUN) && e->port.writes == 1)
            return broken(e, "ECC word written again that was begun");
    }
    return OTA_OK;
}

static int emu_write(void *ctx, uint32_t at, const void *from, size_t size)
{
    struct flash_emu *e = ctx;
    enum emu_fault fault = fault_now(e, 0);
    const struct emu_cut *cut = cut_now(e, EMU_WRITE);
    int err = check_write(e, at, (uint32_t)size);

    if (err != OTA_OK)
        return err;
    if (cut != NULL) {
        tear_write(e, at, from, (uint32_t)size, cut->mode);
        e->off(e->ctx);
    }
    if (fault == EMU_FAIL)
        return OTA_ERR_STORAGE;
    program(e, at, from, (uint32_t)size);
    return fault == EMU_FAIL_LATE ? OTA_ERR_STORAGE : OTA_OK;
}

static int emu_erase(void *ctx, uint32_t at)
{
    struct flash_emu *e = ctx;
    enum emu_fault fault = fault_now(e, 0);
    const struct emu_cut *cut = cut_now(e, EMU_ERASE);
    uint32_t size;

    if (page_of(e, at, &size) != at || size == 0)
        return broken(e, "erase of what is not a page");
    e->erases++;
    if (cut != NULL) {
        tear_erase(e, at, size, cut->mode);
        e->off(e->ctx);
    }
    if (fault == EMU_FAIL)
        return OTA_ERR_STORAGE;
    clear(e, at, size);
    return fault == EMU_FAIL_LATE ? OTA_ERR_STORAGE : OTA_OK;
}

static void emu_feed(void *ctx)
{
    struct flash_emu *e = ctx;

    e->fed = 1;
}

void emu_init(struct flash_emu *e, const struct ota_pages *pages, uint8_t runs, uint16_t unit, uint8_t erased,
              uint8_t writes)
{
    memset(e, 0, sizeof *e);
    e->port.read = emu_read;
    e->port.write = emu_write;
    e->port.erase = emu_erase;
    e->port.feed = emu_feed;
    e->port.ctx = e;
    e->port.pages = pages;
    e->port.runs = runs;
    e->port.unit = unit;
    e->port.erased = erased;
    e->port.writes = writes;
    e->random = 1;
    for (unsigned i = 0; i < runs; i++)
        if (pages[i].at + pages[i].size * pages[i].count > e->size)
            e->size = pages[i].at + pages[i].size * pages[i].count;
    e->bytes = malloc(3 * (size_t)e->size);
    if (e->bytes == NULL)
        abort();
    e->other = e->bytes + e->size;
    e->state = e->other + e->size;
    clear(e, 0, e->size);
}

void emu_free(struct flash_emu *e)
{
    free(e->bytes);
}

void emu_copy(struct flash_emu *e, const struct flash_emu *from)
{
    memcpy(e->bytes, from->bytes, 3 * (size_t)e->size);
    e->random = 1;
    e->odd = from->odd;
    e->mood = 0;
    e->marginal = 0;
    e->cuts = e->next = 0;
    e->fault = EMU_NO_FAULT;
    e->calls = e->ops = e->erases = 0;
    e->kinds = NULL;
    e->broken = NULL;
    e->fed = 0;
}

void emu_rot(struct flash_emu *e, uint32_t at, uint32_t seed)
{
    e->bytes[at] ^= (uint8_t)(1u << (seed & 7));
    e->other[at] = e->bytes[at];
    e->odd = 1;
    if (e->port.writes == 1 && (seed & 8))
        e->state[unit_of(e, at)] |= UNREADABLE;
}

int emu_holds(const struct flash_emu *e, uint32_t at, const void *bytes, uint32_t size)
{
    return memcmp(e->bytes + at, bytes, size) == 0 && is_settled(e, at, size);
}
