/* The journal: what a device remembers, so that no power cut and no single rotten
 * or torn record loses it.
 *
 * It is two pages (areas of whole pages), and both hold everything. A page is a log: a
 * record is appended to the first page, then to the second, and the newest whole
 * record of its kind counts, in whichever page it stands. A page without room, or
 * one that lacks something, is erased and written anew from the other; the two are
 * never erased in one step.
 *
 *     record := kind(1) size(1) number(4) payload(size) crc32(4), padded with erased
 *               bytes to whole write units, and to 8 bytes
 *
 * The kind has two bits beside it that tell the later of the two copies from the earlier one (src/journal.c).
 * Numbers rise by one from record to record; integers are big-endian. A record shares no write
 * unit with another one, and no unit is written twice.
 *
 *   interrupted                     what is on flash             what the next start does
 *   ------------------------------  ---------------------------  ---------------------------------
 *   J1 before the first page        both pages as before         the change did not happen
 *   J2 in the record, first page    a torn record there          skips it; the first append writes
 *                                                                that page anew from the second
 *   J3 between the pages            first new, second old        the change happened; the first
 *                                                                append writes the second anew
 *   J4 in the record, second page   first new, second torn       as J3
 *   J5 after the second page        both pages new               the change happened
 *   J6 in an erase                  that page is anything        the other page has everything; as J2
 *   J7 while a page is written      some records of it           as J6
 *      anew
 *   J8 nothing; a record rots       the other page has it        as J2
 *
 * "Anything" includes a page, or a unit, that reads as erased and is not: see
 * ota_flash.writes. tests/journal_test.c has a test for each row. */
#ifndef OTA_JOURNAL_H
#define OTA_JOURNAL_H

#include <stdint.h>

#include "ota/crypto.h"
#include "ota/err.h"
#include "ota/flash.h"
#include "ota/rollback.h"

/* How far an update has come. */
enum ota_phase {
    OTA_IDLE = 0,
    OTA_RECEIVING = 1, /* the place where releases are received holds nothing that counts */
    OTA_INSTALL = 2,   /* it holds a whole image, the next start brings it to where it runs */
    OTA_COPY = 3,      /* it is being copied to where it runs */
    OTA_TRIAL = 4,     /* it runs, and has to be confirmed */
    OTA_REVERT = 5,    /* it failed, the next start goes back */
    OTA_REVERTED = 6   /* the installed image runs again; the application has yet to note it */
};

/* Flags of a state. */
#define OTA_RETAINED 1u  /* the image before the installed one is kept */
#define OTA_FAILED 2u    /* the last trial was not confirmed */
#define OTA_CHECKED 4u   /* the boot stage has checked the installed image once */
#define OTA_RETURNING 8u /* the candidate is the retained image, not a new one */
#define OTA_SAVED 16u    /* during a trial: the installed image is kept */

/* The state of the device: one record, so that it changes in one step. There are two
 * releases, 0 and 1: the installed one, and the other, which is by phase and flags
 * the candidate, the retained one, or nothing. */
struct ota_state {
    uint32_t floor_epoch; /* rollback floor: security counter of a key epoch */
    uint32_t floor_counter;
    uint32_t keyset_version; /* of the newest keyset accepted */
    uint32_t mark;           /* bytes of the candidate that are safe where they are going */
    uint8_t installed;       /* 0 or 1: which release is the installed one */
    uint8_t phase;           /* enum ota_phase */
    uint8_t tries;           /* starts left to the trial */
    uint8_t reason;          /* why the last trial failed or the device returned; minus an ota_err */
    uint8_t flags;
};

/* A release and the hash of its manifest's transferred bytes, for reports. */
struct ota_entry {
    struct ota_release release;
    uint8_t manifest_hash[OTA_SHA256_SIZE];
};

/* Kinds of records. */
enum ota_kind { OTA_KIND_STATE, OTA_KIND_ENTRY_0, OTA_KIND_ENTRY_1, OTA_KIND_REJECTED, OTA_KIND_NONCE, OTA_KINDS };

/* One page of an open journal. */
struct ota_journal_page {
    const struct ota_area *area;
    uint32_t end;           /* where the next record goes */
    uint16_t step;          /* records begin at multiples of it: 8, or the write unit if that is larger */
    uint16_t at[OTA_KINDS]; /* newest record of each kind, in steps of 8 bytes, from 1; 0: not here */
    uint8_t turn;           /* of its last record */
    uint8_t need;           /* what is to be done before a record is appended */
};

/* An open journal; its fields are its own. */
struct ota_journal {
    uint32_t number; /* of the last record */
    uint8_t last;    /* its kind */
    uint8_t first;   /* page that is written first: it lacks something, or was the last one written */
    uint8_t lacks;   /* 1: it does not have the newest of every kind, the other page does */
    struct ota_journal_page page[2];
};

/* Reads the journal on two pages. 1,024 bytes each do for units up to 32, 2,048 for all of them; more wear less, up
 * to 512 KiB less 8 bytes. One journal is open at a time, which is that of the session where there is one: what
 * another one writes is not seen. OTA_ERR_NO_DEVICE_KEY if no state is found: the journal is lost or was never
 * written; OTA_ERR_STORAGE if the flash does not answer. Nothing is written. */
OTA_MUST_USE int ota_journal_open(struct ota_journal *j, const struct ota_area area[2]);

/* Brings both pages to the same, if a cut left one behind. A record that stands in one page only may
 * have been cut off so late that it reads right now and wrong the next time: nothing is
 * to be done on the strength of it before this. If it fails, the next setter tries again. */
int ota_journal_settle(struct ota_journal *j);

/* Writes the first journal of a device: its state, the entry of the image it was made with (sequence 0; image_size
 * 0 if that is not known, the boot stage then never checks it), and the generation of its key. Everything that was
 * there is forgotten, the floor and the nonces too: for provisioning only. OTA_ERR_TOO_LARGE if a page is too
 * small, or too large to be told in steps of 8 bytes and 16 bits; OTA_ERR_INVALID_FIELD if there is no such release
 * or version. */
OTA_MUST_USE int ota_journal_format(struct ota_journal *j, const struct ota_area area[2],
                                    const struct ota_state *state, const struct ota_entry *made_with,
                                    uint32_t generation);

/* The values. Getters return OTA_ERR_NO_DEVICE_KEY if there is none, OTA_ERR_STORAGE if
 * it cannot be read any more. Setters return when
 * both pages hold the value; after an error, either value may be found by the next
 * start, and the setter can be called again. */
OTA_MUST_USE int ota_journal_state(const struct ota_journal *j, struct ota_state *s);
OTA_MUST_USE int ota_journal_set_state(struct ota_journal *j, const struct ota_state *s);
OTA_MUST_USE int ota_journal_entry(const struct ota_journal *j, unsigned which, struct ota_entry *e);
OTA_MUST_USE int ota_journal_set_entry(struct ota_journal *j, unsigned which, const struct ota_entry *e);

/* What the rollback rules look at. */
OTA_MUST_USE int ota_journal_history(const struct ota_journal *j, const struct ota_state *s, struct ota_history *h);
OTA_MUST_USE int ota_journal_set_rejected(struct ota_journal *j, const struct ota_history *h);

/* How many nonces are reserved at a time: one record for so many messages. */
#ifndef OTA_NONCE_BLOCK
#define OTA_NONCE_BLOCK 64
#endif

/* The counter of a start. All zero: nothing is reserved yet. Where it outlives a sleep in RAM, it needs a check value of
 * the application's; and it is made zero with each new generation, or its rest is given twice. */
struct ota_nonces {
    uint64_t last;
    uint8_t left;
};

/* Gives a nonce that was never given before, under that generation of the device key.
 * A block is reserved in both pages before its first is used; what a start leaves of its
 * block is not used again. OTA_ERR_NO_DEVICE_KEY if the counter is lost: the device
 * sends nothing until it is provisioned with a newer key generation. */
OTA_MUST_USE int ota_journal_nonce(struct ota_journal *j, struct ota_nonces *n, uint64_t *nonce);

/* The generation of the device key that the counter belongs to. A new one starts the
 * counter again at 0; one that does not rise is refused with OTA_ERR_WRONG_NONCE. If the counter is lost nobody
 * knows which were used: call it for a key that was made since, never for the one at hand. */
OTA_MUST_USE int ota_journal_generation(const struct ota_journal *j, uint32_t *generation);
OTA_MUST_USE int ota_journal_set_generation(struct ota_journal *j, uint32_t generation);

#endif
