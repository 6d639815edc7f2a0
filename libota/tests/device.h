/* A device for tests: an emulated flash, a boot stage, an application that behaves as it
 * is told, and an oracle that knows what must never happen. */
#ifndef DEVICE_H
#define DEVICE_H

#include <setjmp.h>

#include "../ports/flash_emu.h"
#include "ota/boot.h"
#include "ota/update.h"
#include "signed.h"

enum { IMAGES = 4, MAX_IMAGE = 4096, TRIES = 4 /* more than a run has cuts: each is a start */ };

/* A part, and how an update lies on it. */
struct geometry {
    const char *name;
    uint16_t unit;
    uint8_t erased;
    uint8_t writes;
    uint32_t page;         /* bytes of a page of the slots */
    uint32_t slot_pages;
    uint32_t journal_page; /* bytes of a page of the journal */
    uint32_t half_pages;   /* pages of each of its halves */
    uint32_t base;         /* where the flash begins */
    int odd;               /* bytes by which an image is off a multiple of the unit */
    uint32_t chunk;        /* bytes that arrive at a time */
};

enum layout { AB, OVERWRITE, OVERWRITE_BACKUP, LAYOUTS };

/* What the application of an image does when it is on trial. */
enum behaviour { CONFIRMS, HANGS, REJECTS };

struct device {
    const struct geometry *geometry;
    enum layout layout;
    struct ota_pages pages[3];
    struct flash_emu flash;
    struct ota_slots slots;
    struct ota_update_config config;
    struct ota_boot_config boot;

    /* Images 1 to IMAGES; 0 is none. */
    uint8_t image[IMAGES + 1][MAX_IMAGE];
    struct signed_release release[IMAGES + 1];
    struct signed_object manifest[IMAGES + 1];
    struct signed_object keyset[3];
    enum behaviour behaviour[IMAGES + 1];

    /* What the server and the operator want. */
    unsigned target;    /* image that is offered; 0: none */
    int go_back;        /* 1: the operator asks for the retained image */
    uint32_t keyset_to; /* version that is offered; 0: none */

    int forgiving; /* 1: calls may fail: the device starts again */

    /* What happened. */
    unsigned running;
    uint32_t cycles;
    uint64_t last_nonce;
    uint32_t floor;           /* highest security counter that was confirmed */
    uint32_t seen_floor;      /* highest that the device said */
    unsigned confirmed;       /* image that confirm was done for */
    int refused;              /* error with which begin refused the target */
    int went_back;
    const char *wrong;        /* what must not happen and did */
    int err;                  /* with it */

    jmp_buf power_off;
};

/* A device that was provisioned with image 1. */
void device_init(struct device *d, const struct geometry *g, enum layout layout);
void device_free(struct device *d);

/* Forgets what happened. */
void device_forget(struct device *d);

/* From one reset to the next. Returns 1 if there is nothing left to do. */
int device_cycle(struct device *d);

/* Cycles until there is nothing left to do, at most so many; a power cut is a reset.
 * 0 if something went wrong. */
int device_run(struct device *d, uint32_t cycles);

/* Notes that something went wrong, once. Returns 1, to end the run. */
int device_wrong(struct device *d, const char *what, int err);

/* The image that stands in an area, 0 if none does. */
unsigned device_image_in(const struct device *d, const struct ota_area *area);

/* The image that the journal says is installed, and its phase. */
unsigned device_installed(struct device *d, struct ota_state *s);

#endif
