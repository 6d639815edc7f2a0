/* The power-cut campaign: cuts the power in every flash operation of an update, in every
 * mode, on many parts, and in pairs and triples, and holds each run against the oracle of
 * tests/device.c: a signed image runs, never one below the floor, a retry completes, no
 * nonce is used twice, and the erases stay within a bound.
 *
 *     powercut [ci|full|hunt] [jobs]     prints how many points were run; 1 if one failed; hunt
 *                                        is ci that ends with the first that fails */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

static const struct geometry geometries[] = {
    /* name, unit, erased, writes, page, slot pages, journal page, pages of a half, base, odd, chunk */
    {"unit 1, 256-byte pages", 1, 0xff, 2, 256, 6, 1024, 1, 0, 0, 700},
    {"unit 1, erased 0", 1, 0x00, 2, 512, 3, 1024, 1, 4096, 1, 1},
    {"unit 2, STM32F1", 2, 0xff, 2, 1024, 2, 1024, 1, 0x800, 1, 100},
    {"unit 2, erased 0", 2, 0x00, 2, 256, 5, 256, 4, 0, 1, 33},
    {"unit 4, nRF5", 4, 0xff, 2, 1024, 2, 1024, 1, 0, 3, 4096},
    {"unit 4, erased 0, STM32L0", 4, 0x00, 1, 128, 12, 128, 8, 128, 2, 13},
    {"unit 8, STM32G0", 8, 0xff, 1, 2048, 1, 2048, 1, 0, 7, 256},
    {"unit 8, small journal pages", 8, 0xff, 1, 256, 6, 256, 4, 512, 1, 60},
    {"unit 16, STM32U5", 16, 0xff, 1, 1024, 2, 2048, 1, 0, 15, 500},
    {"unit 16, erased 0", 16, 0x00, 1, 512, 3, 1024, 1, 1024, 0, 17},
    {"unit 32, STM32H7", 32, 0xff, 1, 2048, 1, 2048, 1, 0, 1, 64},
    {"unit 32, writes 2", 32, 0xff, 2, 512, 3, 1024, 1, 0, 31, 1000},
    {"unit 64", 64, 0xff, 1, 512, 3, 2048, 1, 0, 63, 128},
    {"unit 128, erased 0", 128, 0x00, 1, 1024, 2, 4096, 1, 0, 5, 999},
    {"unit 256, SPI NOR", 256, 0xff, 2, 1024, 2, 4096, 1, 4096, 255, 1460},
    {"unit 256, ECC", 256, 0xff, 1, 2048, 1, 4096, 1, 0, 128, 48},
};

enum { GEOMETRIES = sizeof geometries / sizeof geometries[0], MAX_OPS = 4096 };

struct scenario {
    const char *name;
    unsigned target;
    enum behaviour behaviour; /* of the target */
    int go_back;
    uint32_t keyset_to;
};

static const struct scenario scenarios[] = {
    {"update", 3, CONFIRMS, 0, 0},
    {"update that hangs", 3, HANGS, 0, 0},
    {"update that rejects itself", 3, REJECTS, 0, 0},
    {"return", 0, CONFIRMS, 1, 0},
    {"keyset and update", 3, CONFIRMS, 0, 2},
};

enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

/* Shared by the processes. */
struct tally {
    unsigned long points, failures, rots;
    unsigned long max_cycles, max_erases;
};

/* How much is run. */
enum size { CI, FULL, HUNT };

/* A device in the state from which every run starts: image 2 installed, 1 retained. */
struct bench {
    struct device d;
    struct flash_emu start;
    uint64_t nonce;
    uint32_t floor;
    const struct scenario *scenario;
    uint8_t kinds[MAX_OPS]; /* operations of the run without a cut */
    uint32_t ops;
    uint32_t erases;
    struct tally *tally;
    volatile int *found; /* set by the first process that has a failure, when only one is wanted */
};

static void restore(struct bench *b)
{
    struct device *d = &b->d;

    emu_copy(&d->flash, &b->start);
    device_forget(d);
    d->last_nonce = b->nonce;
    d->floor = d->seen_floor = b->floor;
    d->target = b->scenario->target;
    d->go_back = b->scenario->go_back;
    d->keyset_to = b->scenario->keyset_to;
    d->behaviour[3] = b->scenario->behaviour;
}

/* What has to be true in the end. */
static void check_end(struct bench *b, int rotten)
{
    const struct scenario *s = b->scenario;
    struct device *d = &b->d;
    struct ota_state state;
    unsigned installed = device_installed(d, &state);
    int stuck = state.phase == OTA_TRIAL && (state.flags & OTA_SAVED) == 0 && d->running == 3;

    if (d->wrong != NULL)
        return;
    if (s->behaviour == CONFIRMS) {
        unsigned want = s->go_back ? (rotten ? d->running : 1) : s->target;

        if (installed != want || d->running != want || state.phase != OTA_IDLE)
            (void)device_wrong(d, "the retry did not complete", (int)installed);
    } else if (stuck) {
        if (d->layout != OVERWRITE && !rotten)
            (void)device_wrong(d, "it does not go back", 0);
    } else if (d->refused != OTA_ERR_REJECTED_BEFORE || d->running == 3 || installed != d->running)
        (void)device_wrong(d, "the failed image is not refused", d->refused);
    if (s->keyset_to != 0 && state.keyset_version != s->keyset_to)
        (void)device_wrong(d, "the keyset is not the new one", (int)state.keyset_version);
}

/* What a cut may cost: in each of three copies the pages since the mark, the journal once
 * for the boot stage and once for the application, and a keyset slot. */
static uint32_t erase_bound(const struct bench *b, unsigned cuts)
{
    const struct geometry *g = b->d.geometry;
    uint32_t again = 3 * (g->slot_pages / 16 + 2) + 2 * 2 * 2 * g->half_pages;

    if (b->scenario->keyset_to != 0)
        again += b->d.slots.keyset[0].size / g->journal_page;
    return b->erases + cuts * again;
}

static void count_failure(struct bench *b)
{
    b->tally->failures++;
    if (b->found != NULL)
        *b->found = 1;
}

/* Ends the process if another one, or this one, has found what was looked for. */
static void end_if_found(const struct bench *b)
{
    if (b->found != NULL && *b->found)
        exit(0);
}

static int run(struct bench *b, const struct emu_cut *plan, unsigned cuts)
{
    struct device *d = &b->d;
    struct tally *t = b->tally;

    end_if_found(b);
    restore(b);
    memcpy(d->flash.plan, plan, cuts * sizeof *plan);
    d->flash.cuts = cuts;
    (void)device_run(d, 14 + 5 * cuts);
    if (d->flash.next < cuts)
        return 0; /* the last one was not reached */
    check_end(b, 0);
    if (d->flash.erases > erase_bound(b, cuts))
        (void)device_wrong(d, "too many erases", (int)d->flash.erases);
    t->points++;
    if (d->cycles > t->max_cycles)
        t->max_cycles = d->cycles;
    if (d->flash.erases - b->erases > t->max_erases && d->flash.erases > b->erases)
        t->max_erases = d->flash.erases - b->erases;
    if (d->wrong == NULL)
        return 1;
    count_failure(b);
    if (t->failures < 20) {
        printf("FAIL %s, layout %d, %s:", d->geometry->name, (int)d->layout, b->scenario->name);
        for (unsigned i = 0; i < cuts; i++)
            printf(" (%u, %d, %u)", plan[i].after, (int)plan[i].mode, plan[i].seed);
        printf(": %s (%d)\n", d->wrong, d->err);
        fflush(stdout);
    }
    return 1;
}

/* Modes that differ from each other for an operation: what is after one is before the next. */
static int fits(const struct bench *b, uint32_t op, enum emu_mode mode)
{
    if (mode == EMU_AFTER)
        return op + 1 == b->ops;
    return mode != EMU_PARTIAL_ERASE || b->kinds[op] == EMU_ERASE;
}

static int is_torn(enum emu_mode mode)
{
    return mode != EMU_BEFORE && mode != EMU_AFTER;
}

static void singles(struct bench *b, uint32_t seeds)
{
    for (uint32_t op = 0; op < b->ops; op++)
        for (int m = 0; m < EMU_MODES; m++)
            for (uint32_t seed = 0; fits(b, op, (enum emu_mode)m) && seed < (is_torn((enum emu_mode)m) ? seeds : 1); seed++) {
                struct emu_cut cut = {op, (enum emu_mode)m, seed * 7919 + op};

                (void)run(b, &cut, 1);
            }
}

/* Every pair of operations; the modes go through all of their pairs. */
static void pairs(struct bench *b)
{
    unsigned n = 0;

    for (uint32_t op = 0; op < b->ops; op++)
        for (uint32_t then = 0;; then++, n++) {
            struct emu_cut plan[2] = {{op, (enum emu_mode)(n % EMU_MODES), n}, {then, (enum emu_mode)(n / EMU_MODES % EMU_MODES), n}};

            if (!run(b, plan, 2))
                break;
        }
}

/* A cell that is not sure, and a second cut soon after it, when it may be all there is. */
static void close_pairs(struct bench *b)
{
    static const enum emu_mode second[] = {EMU_TORN_BITS, EMU_UNSTABLE, EMU_PARTIAL_ERASE};

    for (uint32_t op = 0; op < b->ops; op++)
        for (uint32_t then = 0; then < 8; then++)
            for (unsigned m = 0; m < 3; m++) {
                struct emu_cut plan[2] = {{op, EMU_UNSTABLE, op + 13 * then + m}, {then, second[m], 7 * op + then}};

                (void)run(b, plan, 2);
            }
}

static void triples(struct bench *b, uint32_t count)
{
    uint32_t random = 4711;

    while (count > 0) {
        struct emu_cut plan[3];

        for (unsigned i = 0; i < 3; i++) {
            random = random * 1664525u + 1013904223u;
            plan[i].after = (random >> 8) % b->ops / (i + 1);
            plan[i].mode = (enum emu_mode)((random >> 4) % EMU_MODES);
            plan[i].seed = random;
        }
        count -= (uint32_t)run(b, plan, 3);
    }
}

/* A bit that rots between two starts. */
static void rot(struct bench *b, uint32_t at, uint32_t cycle, uint32_t seed)
{
    struct device *d = &b->d;

    end_if_found(b);
    restore(b);
    for (uint32_t i = 0; i < cycle; i++)
        if (device_cycle(d))
            return;
    emu_rot(&d->flash, at, seed);
    (void)device_run(d, 24);
    check_end(b, 1);
    b->tally->rots++;
    if (d->wrong == NULL)
        return;
    count_failure(b);
    printf("FAIL %s, layout %d, %s: rot at %u before start %u, seed %u: %s (%d)\n", d->geometry->name, (int)d->layout,
           b->scenario->name, at, cycle, seed, d->wrong, d->err);
}

static void rots(struct bench *b)
{
    const struct ota_slots *s = &b->d.slots;

    for (uint32_t cycle = 0; cycle < 4; cycle++) {
        for (unsigned p = 0; p < 2; p++)
            for (uint32_t i = 0; i < s->journal[p].size; i += 29)
                rot(b, s->journal[p].at + i, cycle, i);
        /* Without a backup there is nothing to fall back on when what runs rots. */
        for (unsigned n = b->d.layout == OVERWRITE ? 1 : 0; n < 3; n++)
            for (uint32_t i = 0; i < s->image[n].size; i += 499)
                rot(b, s->image[n].at + i, cycle, i);
    }
}

static void set_up(struct bench *b, const struct geometry *g, enum layout layout)
{
    static const struct scenario first = {"first update", 2, CONFIRMS, 0, 0};
    struct device *d = &b->d;

    device_init(d, g, layout);
    b->scenario = &first;
    d->target = 2;
    if (!device_run(d, 10)) {
        printf("FAIL %s, layout %d: without a cut: %s (%d)\n", g->name, (int)layout, d->wrong, d->err);
        count_failure(b);
        exit(1);
    }
    emu_init(&b->start, d->pages, 2, g->unit, g->erased, g->writes);
    emu_copy(&b->start, &d->flash);
    b->nonce = d->last_nonce;
    b->floor = d->floor;
}

/* The run without a cut, which the others are measured by. */
static int golden(struct bench *b)
{
    struct device *d = &b->d;

    end_if_found(b);
    restore(b);
    memset(b->kinds, 0, sizeof b->kinds);
    d->flash.kinds = b->kinds;
    (void)device_run(d, 14);
    b->ops = d->flash.ops;
    b->erases = d->flash.erases;
    check_end(b, 0);
    if (d->wrong == NULL)
        return 1;
    count_failure(b);
    printf("FAIL %s, layout %d, %s: without a cut: %s (%d)\n", d->geometry->name, (int)d->layout, b->scenario->name,
           d->wrong, d->err);
    return 0;
}

static void campaign(unsigned part, enum size size, struct tally *t, volatile int *found)
{
    static const uint32_t seeds[] = {1, 5, 1}, threes[] = {40, 600, 40}, every[] = {16, 3, 16};
    static struct bench b;
    const struct geometry *g = &geometries[part / LAYOUTS];
    enum layout layout = (enum layout)(part % LAYOUTS);


    b.tally = t;
    b.found = found;
    set_up(&b, g, layout);
    for (unsigned i = 0; i < SCENARIOS; i++) {
        b.scenario = &scenarios[i];
        if ((b.scenario->go_back && layout == OVERWRITE) || !golden(&b))
            continue;
        singles(&b, seeds[size]);
        triples(&b, threes[size]);
        if (i < 2)
            rots(&b);
        if (i == 0 && part / LAYOUTS % every[size] == 6 % every[size])
            pairs(&b);
        if (i == 0 && (size == FULL || part / LAYOUTS % 6 == 0))
            close_pairs(&b);
    }
    emu_free(&b.start);
    device_free(&b.d);
}

static void add(struct tally *sum, const struct tally *t)
{
    sum->points += t->points;
    sum->failures += t->failures;
    sum->rots += t->rots;
    if (t->max_cycles > sum->max_cycles)
        sum->max_cycles = t->max_cycles;
    if (t->max_erases > sum->max_erases)
        sum->max_erases = t->max_erases;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "ci";
    enum size size = strcmp(name, "full") == 0 ? FULL : strcmp(name, "hunt") == 0 ? HUNT : CI;
    long jobs = argc > 2 ? strtol(argv[2], NULL, 10) : sysconf(_SC_NPROCESSORS_ONLN);
    struct tally sum = {0, 0, 0, 0, 0}, *t;
    volatile int *found;
    int bad = 0, status;

    if (jobs < 1)
        jobs = 1;
    t = mmap(NULL, ((size_t)jobs + 1) * sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    found = (volatile int *)&t[jobs].failures;
    for (long job = 0; job < jobs; job++)
        if (fork() == 0) {
            for (unsigned part = (unsigned)job; part < GEOMETRIES * LAYOUTS; part += (unsigned)jobs)
                campaign(part, size, &t[job], size == HUNT ? found : NULL);
            exit(0);
        }
    while (wait(&status) > 0)
        bad |= status != 0;
    for (long job = 0; job < jobs; job++)
        add(&sum, &t[job]);
    printf("power cuts: %lu points on %d parts x %d layouts, %lu rotten bits: %lu failed; at most %lu starts, "
           "at most %lu erases more than without a cut\n",
           sum.points, (int)GEOMETRIES, (int)LAYOUTS, sum.rots, sum.failures, sum.max_cycles,
           sum.max_erases);
    return bad || sum.failures != 0;
}
