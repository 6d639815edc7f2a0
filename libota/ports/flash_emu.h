/* A flash for the host that fails as real ones do. It enforces the rules of the part it
 * stands for, and cuts the power in the middle of an operation: (operation, mode, seed). */
#ifndef FLASH_EMU_H
#define FLASH_EMU_H

#include "ota/flash.h"

/* How an operation is cut off. What a mode does not fit is not an operation to cut. */
enum emu_mode {
    EMU_BEFORE,        /* nothing of it happened */
    EMU_AFTER,         /* all of it happened */
    EMU_TORN_PREFIX,   /* the first bytes */
    EMU_TORN_BITS,     /* whole units, then some bits of one; an erase: some bits of the page */
    EMU_UNSTABLE,      /* whole units, then one that reads differently each time, or after each power
                          cut, or always as erased; an erase: the whole page does, or reads as before */
    EMU_PARTIAL_ERASE, /* an erase: some units are erased, some not, some neither */
    EMU_MODES
};

struct emu_cut {
    uint32_t after; /* operations since the last cut, or since the start, from 0 */
    enum emu_mode mode;
    uint32_t seed;
};

enum emu_kind { EMU_WRITE = 1, EMU_ERASE = 2 };

/* A failure that is not a power cut: call number n of that kind, from 0, goes wrong. */
enum emu_fault {
    EMU_NO_FAULT,
    EMU_FAIL,       /* returns an error, and did nothing */
    EMU_FAIL_LATE,  /* returns an error, and did it */
    EMU_SHORT_READ, /* a read gives half of the bytes, and returns how many, as POSIX does */
    EMU_LYING_READ, /* a read gives other bytes, and says it is fine */
    EMU_DEAD,       /* from that call on every call returns an error */
    EMU_READ_ONLY,  /* from that call on every write and erase does */
    EMU_FAULTS
};

struct flash_emu {
    struct ota_flash port; /* what the library is given */

    uint32_t size;    /* bytes, from address 0 */
    uint8_t *bytes;   /* what is read */
    uint8_t *other;   /* what is read at other times, where it differs from bytes */
    uint8_t *state;   /* of the unit, and of the page, at each first byte */
    uint32_t random;
    uint32_t mood;    /* changes with each power cut */
    uint8_t marginal; /* something does not read the same each time, and perhaps looks untouched */
    uint8_t odd;      /* some bytes were torn or rotted */

    struct emu_cut plan[3]; /* in order */
    unsigned cuts;          /* how many there are */
    unsigned next;          /* which comes next */
    void (*off)(void *ctx); /* called when the power goes; does not return */
    void *ctx;

    enum emu_fault fault;
    uint32_t fault_at; /* call, of any kind */

    uint32_t calls;   /* reads, writes and erases */
    uint32_t ops;     /* writes and erases since the last cut */
    uint32_t erases;
    uint8_t *kinds;   /* if set, takes the kind of each operation */
    uint8_t fed;
    const char *broken; /* the rule that was broken, or NULL */
};

/* A flash of pages, erased, with that write unit and erased value. writes is 1 for a part
 * with ECC: there, a unit that was torn cannot be read either, sometimes. */
void emu_init(struct flash_emu *e, const struct ota_pages *pages, uint8_t runs, uint16_t unit, uint8_t erased,
              uint8_t writes);
void emu_free(struct flash_emu *e);

/* Makes the contents of e those of from, which has the same geometry; no cut is planned. */
void emu_copy(struct flash_emu *e, const struct flash_emu *from);

/* Flips a bit that is at rest. */
void emu_rot(struct flash_emu *e, uint32_t at, uint32_t seed);

/* 1 if these bytes read so every time. */
int emu_holds(const struct flash_emu *e, uint32_t at, const void *bytes, uint32_t size);

#endif
