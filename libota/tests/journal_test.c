/* The journal by itself. test_J1 to test_J8 are the rows of the table in
 * include/ota/journal.h. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "../ports/flash_emu.h"
#include "bytes.h"
#include "crc32.h"
#include "expect.h"
#include "ota/journal.h"

int failures;

/* Two halves of one page each. */
static struct ota_pages pages = {0, 4096, 2};
static struct flash_emu flash;
static struct ota_area half[2];
static struct ota_journal journal;
static struct ota_state state;
static jmp_buf power_off;

static void off(void *ctx)
{
    (void)ctx;
    longjmp(power_off, 1);
}

static struct ota_entry entry_of(uint64_t sequence, const char *version)
{
    struct ota_entry e;

    memset(&e, 0, sizeof e);
    e.release.sequence = sequence;
    e.release.oldest_return = sequence - 1;
    e.release.security_counter = 7;
    e.release.image_size = 100000;
    memset(e.release.image_digest, 0x5a, sizeof e.release.image_digest);
    memset(e.manifest_hash, 0xa5, sizeof e.manifest_hash);
    e.release.version.size = (uint8_t)strlen(version);
    memcpy(e.release.version.text, version, e.release.version.size);
    return e;
}

/* A journal that was written, with a state of one try. */
static void set_up(uint16_t unit, uint8_t erased, uint8_t writes, uint32_t page)
{
    struct ota_entry made_with = entry_of(1, "1.0.0");

    if (flash.bytes != NULL)
        emu_free(&flash);
    pages.size = page;
    emu_init(&flash, &pages, 1, unit, erased, writes);
    flash.off = off;
    for (unsigned p = 0; p < 2; p++) {
        half[p].flash = &flash.port;
        half[p].at = p * page;
        half[p].size = page;
    }
    memset(&state, 0, sizeof state);
    state.tries = 1;
    EXPECT(ota_journal_format(&journal, half, &state, &made_with, 3) == OTA_OK);
}

static void set_tries(uint8_t tries)
{
    state.tries = tries;
    EXPECT(ota_journal_set_state(&journal, &state) == OTA_OK);
}

/* Stores a state of that many tries and has the power cut. */
static void cut_set_tries(uint8_t tries, uint32_t op, enum emu_mode mode, uint32_t seed)
{
    flash.ops = 0;
    flash.next = 0;
    flash.cuts = 1;
    flash.plan[0].after = op;
    flash.plan[0].mode = mode;
    flash.plan[0].seed = seed;
    if (setjmp(power_off) == 0) {
        set_tries(tries);
        EXPECT(!"the power was cut");
    }
    flash.cuts = 0;
}

/* The number of tries after a reset. A record that was cut off late may read right when the journal is
 * opened and wrong after it: a start that does not settle it looks again. */
static unsigned tries_now(void)
{
    struct ota_state s;
    int err = OTA_ERR_STORAGE;

    memset(&s, 0xee, sizeof s);
    for (unsigned i = 0; i < 20 && err == OTA_ERR_STORAGE; i++) {
        EXPECT(ota_journal_open(&journal, half) == OTA_OK);
        err = ota_journal_state(&journal, &s);
    }
    EXPECT(err == OTA_OK);
    return s.tries;
}

/* The journal takes new values, and no rule of the part was broken. */
static void goes_on(void)
{
    uint32_t erases = flash.erases;

    state.tries = 77;
    EXPECT(ota_journal_settle(&journal) == OTA_OK);
    set_tries(77);
    EXPECT(tries_now() == 77);
    EXPECT(!journal.lacks);
    EXPECT(flash.erases - erases <= 2 * half[0].size / pages.size);
    EXPECT(flash.broken == NULL);
}

static const enum emu_mode torn[] = {EMU_TORN_PREFIX, EMU_TORN_BITS, EMU_UNSTABLE};

static void test_J1(void)
{
    set_up(4, 0xff, 2, 1024);
    cut_set_tries(2, 0, EMU_BEFORE, 0);
    EXPECT(tries_now() == 1);
    EXPECT(!journal.lacks);
    goes_on();
}

static void test_J2(void)
{
    for (unsigned i = 0; i < 3 * 50; i++) {
        unsigned tries;

        set_up(4, i & 1 ? 0xff : 0x00, 2, 1024);
        cut_set_tries(2, 0, torn[i % 3], i);
        tries = tries_now();
        /* An unstable last unit may read right: then it happened. */
        EXPECT(tries == 1 || (torn[i % 3] != EMU_TORN_PREFIX && tries == 2));
        goes_on();
    }
}

static void test_J3(void)
{
    set_up(4, 0xff, 2, 1024);
    cut_set_tries(2, 1, EMU_BEFORE, 0);
    EXPECT(tries_now() == 2);
    EXPECT(journal.lacks && journal.first == 1);
    goes_on();
}

static void test_J4(void)
{
    for (unsigned i = 0; i < 3 * 50; i++) {
        set_up(8, 0xff, i & 1 ? 1 : 2, 1024);
        cut_set_tries(2, 1, torn[i % 3], i);
        EXPECT(tries_now() == 2);
        goes_on();
    }
}

static void test_J5(void)
{
    set_up(4, 0xff, 2, 1024);
    cut_set_tries(2, 1, EMU_AFTER, 0);
    EXPECT(tries_now() == 2);
    EXPECT(!journal.lacks);
    goes_on();
}

/* Fills the journal until the next state needs an erase; the last has that many tries. */
static uint8_t fill(void)
{
    uint8_t tries = 1;
    uint32_t erases = flash.erases;

    for (;;) {
        struct flash_emu before;

        emu_init(&before, &pages, 1, flash.port.unit, flash.port.erased, flash.port.writes);
        memcpy(before.bytes, flash.bytes, 3 * flash.size);
        set_tries((uint8_t)(tries + 1));
        if (flash.erases != erases) {
            memcpy(flash.bytes, before.bytes, 3 * flash.size);
            emu_free(&before);
            EXPECT(tries_now() == tries);
            return tries;
        }
        emu_free(&before);
        tries++;
    }
}

static void test_J6(void)
{
    for (uint32_t i = 0; i < EMU_MODES * 20; i++) {
        uint8_t tries;

        set_up(i & 1 ? 2 : 16, 0xff, i & 1 ? 2 : 1, 1024);
        tries = fill();
        cut_set_tries((uint8_t)(tries + 1), 0, (enum emu_mode)(i % EMU_MODES), i);
        EXPECT(tries_now() == tries);
        goes_on();
    }
}

static void test_J7(void)
{
    for (uint32_t i = 0; i < 4 * 3 * 20; i++) {
        uint8_t tries;

        set_up(i & 1 ? 2 : 16, 0x00, i & 1 ? 2 : 1, 1024);
        tries = fill();
        /* Operation 0 is the erase, 1 to 4 write the records that were there. */
        cut_set_tries((uint8_t)(tries + 1), 1 + i % 4, torn[i / 4 % 3], i);
        EXPECT(tries_now() == tries);
        goes_on();
    }
}

static void test_J8(void)
{
    for (uint32_t at = 0; at < 2 * 1024; at++)
        for (uint32_t seed = 0; seed < 16; seed += 5) {
            struct ota_history h;
            uint32_t generation = 0;

            if (at % 13 != seed % 13 && at % 1024 > 64)
                continue;
            set_up(8, 0xff, seed & 1 ? 1 : 2, 1024);
            set_tries(2);
            set_tries(3);
            emu_rot(&flash, at, seed);
            EXPECT(tries_now() == 3);
            EXPECT(ota_journal_history(&journal, &state, &h) == OTA_OK && h.installed.sequence == 1);
            EXPECT(ota_journal_generation(&journal, &generation) == OTA_OK && generation == 3);
            goes_on();
        }
}

static void test_values_come_back_as_they_were_stored(void)
{
    static const uint16_t units[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};

    for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++) {
        const char *longest = "1.0.0-abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz.1234";
        struct ota_entry stored = entry_of(0x0102030405060708u, longest), got;
        struct ota_history h;
        struct ota_state s;

        set_up(units[i], i & 1 ? 0x00 : 0xff, i & 2 ? 1 : 2, units[i] > 32 ? 2048 : 1024);
        EXPECT(strlen(longest) == OTA_MAX_VERSION);
        EXPECT(ota_journal_entry(&journal, 1, &got) == OTA_ERR_NO_DEVICE_KEY);
        EXPECT(ota_journal_set_entry(&journal, 1, &stored) == OTA_OK);
        state.installed = 1;
        state.floor_epoch = 0x11223344;
        state.floor_counter = 0x55667788;
        state.keyset_version = 0x99aabbcc;
        state.mark = 0xddeeff00;
        state.phase = OTA_REVERTED;
        state.reason = 34;
        state.flags = OTA_SAVED | OTA_CHECKED;
        set_tries(9);
        EXPECT(ota_journal_history(&journal, &state, &h) == OTA_OK);
        ota_rollback_rejected(&h, stored.release.image_digest);
        EXPECT(ota_journal_set_rejected(&journal, &h) == OTA_OK);

        EXPECT(tries_now() == 9);
        memset(&s, 0, sizeof s);
        EXPECT(ota_journal_state(&journal, &s) == OTA_OK && memcmp(&s, &state, sizeof s) == 0);
        EXPECT(ota_journal_entry(&journal, 1, &got) == OTA_OK && memcmp(&got, &stored, sizeof got) == 0);
        memset(&h, 0, sizeof h);
        EXPECT(ota_journal_history(&journal, &s, &h) == OTA_OK);
        EXPECT(h.installed.sequence == stored.release.sequence && h.installed.confirmed == 1);
        EXPECT(h.floor_epoch == 0x11223344 && h.floor_counter == 0x55667788);
        EXPECT(memcmp(h.rejected[0], stored.release.image_digest, OTA_REJECTED_BYTES) == 0);
        /* Many more than a page holds. */
        for (unsigned n = 0; n < 300; n++) {
            EXPECT(ota_journal_set_entry(&journal, n & 1, &stored) == OTA_OK);
            set_tries((uint8_t)n);
        }
        EXPECT(tries_now() == (uint8_t)299);
        EXPECT(flash.broken == NULL);
    }
}

static void test_a_lost_journal_is_told_from_one_that_fails(void)
{
    struct ota_state s;

    set_up(4, 0xff, 2, 1024);
    EXPECT(ota_area_erase(&half[0], 0) == OTA_OK);
    EXPECT(tries_now() == 1);
    EXPECT(ota_area_erase(&half[1], 0) == OTA_OK);
    EXPECT(ota_journal_open(&journal, half) == OTA_ERR_NO_DEVICE_KEY);
    EXPECT(ota_journal_state(&journal, &s) == OTA_ERR_NO_DEVICE_KEY);

    /* Both copies rot after it was opened: that is no reason to start from nothing. */
    set_up(4, 0xff, 2, 1024);
    EXPECT(tries_now() == 1);
    for (unsigned p = 0; p < 2; p++)
        emu_rot(&flash, half[p].at + (journal.page[p].at[OTA_KIND_STATE] - 1u) * 8 + 12, 1);
    EXPECT(ota_journal_state(&journal, &s) == OTA_ERR_STORAGE);
}

/* The counter alone is lost: the device sends nothing until it gets a new generation. */
static void test_a_lost_counter(void)
{
    struct ota_nonces n = {0, 0};
    struct ota_history h;
    uint64_t nonce;

    set_up(4, 0xff, 2, 1024);
    for (unsigned p = 0; p < 2; p++)
        emu_rot(&flash, half[p].at + (journal.page[p].at[OTA_KIND_NONCE] - 1u) * 8 + 12, 1);
    EXPECT(tries_now() == 1);
    EXPECT(ota_journal_nonce(&journal, &n, &nonce) == OTA_ERR_NO_DEVICE_KEY);
    EXPECT(ota_journal_set_generation(&journal, 1) == OTA_OK);
    EXPECT(ota_journal_nonce(&journal, &n, &nonce) == OTA_OK && nonce == 1);

    set_up(4, 0xff, 2, 1024);
    for (unsigned p = 0; p < 2; p++)
        emu_rot(&flash, half[p].at + (journal.page[p].at[OTA_KIND_ENTRY_0] - 1u) * 8 + 12, 1);
    EXPECT(ota_journal_history(&journal, &state, &h) == OTA_ERR_STORAGE);
    EXPECT(tries_now() == 1);
    EXPECT(ota_journal_history(&journal, &state, &h) == OTA_ERR_NO_DEVICE_KEY);
}

/* A record that is whole, of the highest number, and shorter than a state of ours. */
static void test_a_record_of_another_format(void)
{
    uint8_t r[16];
    struct ota_state s;

    for (unsigned last = 0; last < 2; last++) {
        set_up(8, 0xff, 2, 1024);
        memset(r, 0xff, sizeof r);
        r[0] = 0xa0 | OTA_KIND_STATE;
        r[1] = 4;
        ota_store32(r + 2, 1000);
        ota_store32(r + 10, ota_crc32(0, r, 10));
        for (unsigned p = 0; p < 2; p++)
            EXPECT(ota_area_write(&half[p], last ? 1024 - 16 : journal.page[p].end, r, sizeof r) == OTA_OK);
        EXPECT(ota_journal_open(&journal, half) == OTA_OK);
        EXPECT(ota_journal_state(&journal, &s) == OTA_ERR_STORAGE);
        /* It is no reason not to write: in the last place there is no room behind it. */
        set_tries(9);
        EXPECT(tries_now() == 9);
        EXPECT(flash.broken == NULL);
    }
}

static void test_a_flash_that_does_not_answer(void)
{
    struct ota_history h;

    set_up(8, 0xff, 1, 1024);
    flash.fault = EMU_DEAD;
    flash.fault_at = 0;
    EXPECT(ota_journal_history(&journal, &state, &h) == OTA_ERR_STORAGE);
    EXPECT(ota_journal_open(&journal, half) == OTA_ERR_STORAGE);
    flash.fault = EMU_NO_FAULT;
    /* One page is blank, and what the other has is not known. */
    EXPECT(ota_area_erase(&half[0], 0) == OTA_OK);
    half[1].at = flash.size;
    EXPECT(ota_journal_open(&journal, half) == OTA_ERR_STORAGE);
}

/* The copy that was written last is in doubt, in whichever page, and the other one is not touched
 * before it is sure: a second cut never meets an erased page and a copy that reads wrong. */
static void test_the_copy_in_doubt_is_known(void)
{
    /* Each page takes five operations to write anew; the last one is the copy. */
    for (uint32_t op = 4; op < 10; op += 5)
        for (uint32_t then = 0; then < 5; then++)
            for (uint32_t seed = 0; seed < 300; seed++) {
                set_up(8, 0xff, 1, 1024);
                EXPECT(tries_now() == 1);
                cut_set_tries(2, op, EMU_UNSTABLE, seed);
                EXPECT(tries_now() == 1);
                cut_set_tries(2, then, EMU_PARTIAL_ERASE, 41 * seed + op);
                EXPECT(tries_now() == 1);
            }
}

static void test_two_faults_leave_the_state(void)
{
    struct ota_state s;

    /* The first page lost the counter, the second the state. */
    set_up(4, 0xff, 2, 1024);
    set_tries(5);
    emu_rot(&flash, half[0].at + (journal.page[0].at[OTA_KIND_NONCE] - 1u) * 8 + 7, 1);
    emu_rot(&flash, half[1].at + (journal.page[1].at[OTA_KIND_STATE] - 1u) * 8 + 7, 1);
    EXPECT(tries_now() == 5);
    EXPECT(journal.lacks);
    EXPECT(ota_journal_state(&journal, &s) == OTA_OK);
    EXPECT(ota_journal_settle(&journal) == OTA_OK);
    EXPECT(tries_now() == 5);
}

static void test_a_page_without_room_is_refused(void)
{
    struct ota_entry e = entry_of(1, "1.0.0");

    set_up(4, 0xff, 2, 1024);
    half[0].size = half[1].size = 256;
    pages.size = 256;
    half[1].at = 256;
    EXPECT(ota_journal_format(&journal, half, &state, &e, 1) == OTA_ERR_TOO_LARGE);
    /* Nor is one whose records are further off than 16 bits can tell. */
    half[0].size = half[1].size = 0x80000;
    EXPECT(ota_journal_format(&journal, half, &state, &e, 1) == OTA_ERR_TOO_LARGE);
}

/* What cannot be is not stored, and what is there stays. */
static void test_a_first_journal_that_makes_no_sense(void)
{
    struct ota_entry e = entry_of(1, "1.0.0");

    set_up(4, 0xff, 2, 1024);
    state.installed = 2;
    EXPECT(ota_journal_format(&journal, half, &state, &e, 1) == OTA_ERR_INVALID_FIELD);
    state.installed = 1;
    e.release.version.size = OTA_MAX_VERSION + 1;
    EXPECT(ota_journal_format(&journal, half, &state, &e, 1) == OTA_ERR_INVALID_FIELD);
    EXPECT(tries_now() == 1);
}

static void test_nonces_never_come_twice(void)
{
    uint64_t last = 0, nonce = 0;

    set_up(8, 0xff, 1, 1024);
    for (unsigned start = 0; start < 40; start++) {
        struct ota_nonces n = {0, 0};

        EXPECT(ota_journal_open(&journal, half) == OTA_OK);
        for (unsigned i = 0; i < start * 5; i++) {
            EXPECT(ota_journal_nonce(&journal, &n, &nonce) == OTA_OK);
            EXPECT(nonce > last);
            last = nonce;
        }
    }
}

static void test_a_nonce_is_not_given_before_its_block_is_in_both_pages(void)
{
    for (uint32_t fault = 0; fault < 40; fault++) {
        struct ota_nonces n = {0, 0};
        uint64_t nonce = 0;

        set_up(8, 0xff, 1, 1024);
        EXPECT(ota_journal_open(&journal, half) == OTA_OK);
        flash.fault = EMU_FAIL;
        flash.fault_at = flash.calls + fault;
        if (ota_journal_nonce(&journal, &n, &nonce) != OTA_OK)
            continue;
        EXPECT(nonce == 1);
        flash.fault = EMU_NO_FAULT;
        /* Whichever page is lost, the next start goes on behind the block. */
        EXPECT(ota_area_erase(&half[fault & 1], 0) == OTA_OK);
        EXPECT(ota_journal_open(&journal, half) == OTA_OK);
        memset(&n, 0, sizeof n);
        EXPECT(ota_journal_nonce(&journal, &n, &nonce) == OTA_OK && nonce > OTA_NONCE_BLOCK);
    }
}

static void test_a_new_generation_starts_the_counter_again(void)
{
    struct ota_nonces n = {0, 0};
    uint32_t generation = 0;
    uint64_t nonce = 0;

    set_up(8, 0xff, 1, 1024);
    EXPECT(ota_journal_nonce(&journal, &n, &nonce) == OTA_OK && nonce == 1);
    EXPECT(ota_journal_set_generation(&journal, 3) == OTA_ERR_WRONG_NONCE);
    EXPECT(ota_journal_set_generation(&journal, 4) == OTA_OK);
    EXPECT(ota_journal_generation(&journal, &generation) == OTA_OK && generation == 4);
    memset(&n, 0, sizeof n);
    EXPECT(ota_journal_nonce(&journal, &n, &nonce) == OTA_OK && nonce == 1);
}

/* Call n fails, for every n: the value is the old or the new one, and the next attempt
 * stores it. */
static void test_every_call_failing(void)
{
    static const enum emu_fault faults[] = {EMU_FAIL, EMU_FAIL_LATE, EMU_SHORT_READ, EMU_LYING_READ, EMU_DEAD, EMU_READ_ONLY};
    int failed = 1;

    for (unsigned f = 0; f < 6; f++)
        for (uint32_t call = 0; failed || call < 60; call++) {
            uint8_t tries;

            set_up(f & 1 ? 4 : 8, 0xff, f & 1 ? 2 : 1, 1024);
            tries = fill();
            state.tries = (uint8_t)(tries + 1);
            flash.fault = faults[f];
            flash.fault_at = flash.calls + call;
            failed = ota_journal_set_state(&journal, &state) != OTA_OK;
            flash.fault = EMU_NO_FAULT;
            EXPECT(tries_now() - tries <= 1u);
            EXPECT(failed || tries_now() == tries + 1u);
            goes_on();
        }
}

int main(void)
{
    test_J1();
    test_J2();
    test_J3();
    test_J4();
    test_J5();
    test_J6();
    test_J7();
    test_J8();
    test_values_come_back_as_they_were_stored();
    test_a_lost_journal_is_told_from_one_that_fails();
    test_a_lost_counter();
    test_a_record_of_another_format();
    test_a_flash_that_does_not_answer();
    test_the_copy_in_doubt_is_known();
    test_two_faults_leave_the_state();
    test_a_page_without_room_is_refused();
    test_a_first_journal_that_makes_no_sense();
    test_nonces_never_come_twice();
    test_a_nonce_is_not_given_before_its_block_is_in_both_pages();
    test_a_new_generation_starts_the_counter_again();
    test_every_call_failing();
    emu_free(&flash);
    printf("journal: %s\n", failures == 0 ? "ok" : "failed");
    return failures != 0;
}
