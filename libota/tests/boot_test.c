/* The boot stage: what it starts, and what it does when an image or the journal is not what it was. */
#include "rig.h"

#include <string.h>

static void test_policies(void)
{
    struct ota_state s;

    for (uint8_t policy = 0; policy < 3; policy++) {
        set_up(0, AB);
        d.boot.policy = policy;
        EXPECT(boot_only() == 2);
        EXPECT(boot_only() == 2);
        s = state_now();
        EXPECT(((s.flags & OTA_CHECKED) != 0) == (policy == OTA_CHECK_ONCE));
        rot_image(1);
        /* Only who looks finds it, and returns to what is retained. */
        EXPECT(boot_only() == (policy == OTA_CHECK_ALWAYS ? 1 : 0));
        s = state_now();
        EXPECT(s.phase == (policy == OTA_CHECK_ALWAYS ? OTA_TRIAL : OTA_IDLE));
    }
}

static void test_a_damaged_image_gives_way_to_the_retained_one(void)
{
    struct ota_start s;

    for (int layout = 0; layout < LAYOUTS; layout++) {
        set_up(0, (enum layout)layout);
        rot_image(layout == AB ? 1 : 0);
        if (layout == OVERWRITE) {
            EXPECT(ota_boot(&d.boot, 0, &s) == OTA_ERR_NOTHING_RETAINED && s.image == NULL);
            continue;
        }
        EXPECT(start() == 1);
        EXPECT(u.state.phase == OTA_TRIAL && u.state.reason == -OTA_ERR_IMAGE_DIGEST);
        EXPECT(ota_update_confirm(&u) == OTA_OK);
        completes();
    }
    /* Not outside of the window, and not below the keyset's floor. */
    set_up(0, AB);
    rot_image(1);
    d.boot.keyset_floor = 2;
    EXPECT(ota_boot(&d.boot, 0, &s) == OTA_ERR_NOTHING_RETAINED && s.image == NULL);
    d.boot.keyset_floor = 0;
    EXPECT(start() == 1);
    /* The retained one is damaged too. */
    set_up(0, AB);
    rot_image(0);
    rot_image(1);
    EXPECT(ota_boot(&d.boot, 0, &s) == OTA_ERR_NOTHING_RETAINED && s.image == NULL);
    set_up(0, OVERWRITE_BACKUP);
    rot_image(0);
    rot_image(2);
    EXPECT(ota_boot(&d.boot, 0, &s) == OTA_ERR_NOTHING_RETAINED && s.image == NULL);
}

static void test_a_candidate_that_rots_is_given_up_but_not_remembered(void)
{
    for (int layout = 0; layout < LAYOUTS; layout++)
        for (int on_trial = 0; on_trial < 2; on_trial++) {
            set_up(1, (enum layout)layout);
            take_steps(START, INSTALL);
            if (on_trial)
                EXPECT(boot_only() == 3);
            rot_image(layout == AB ? 0 : on_trial ? 0 : 1);
            /* Without a backup it is copied once more. */
            EXPECT(start() == (layout == OVERWRITE && on_trial ? 3 : 2));
            completes();
        }
}

static void test_without_a_backup_the_last_image_stays(void)
{
    struct ota_device_info info;
    struct ota_start s;

    set_up(0, OVERWRITE);
    take_steps(START, INSTALL);
    for (int i = 0; i < 3 * TRIES; i++)
        EXPECT(boot_only() == 3);
    EXPECT(start() == 3);
    EXPECT(ota_device_info(&u, &info) == OTA_OK && info.capabilities == OTA_CAP_NO_REVERT);
    EXPECT(ota_update_reject(&u, OTA_ERR_HEALTH_CHECK) == OTA_ERR_NOTHING_RETAINED);
    rot_image(0);
    rot_image(1);
    EXPECT(ota_boot(&d.boot, 0, &s) == OTA_ERR_NOTHING_RETAINED && s.image == NULL);
}

/* A backup area that the image does not fit into is none. */
static void test_a_backup_area_that_is_too_small(void)
{
    struct ota_device_info info;

    for (uint32_t less = 0; less < 2; less++) {
        set_up(0, OVERWRITE_BACKUP);
        d.slots.image[2].size -= less * d.geometry->page;
        EXPECT(start() == 2 && ota_device_info(&u, &info) == OTA_OK);
        EXPECT(info.capabilities == (less != 0 ? OTA_CAP_NO_REVERT : 0));
        take_steps(BEGIN, INSTALL);
        EXPECT(start() == 3);
        EXPECT(((u.state.flags & OTA_SAVED) != 0) == (less == 0));
    }
}

static void test_what_was_saved_rots(void)
{
    for (int layout = 0; layout < LAYOUTS; layout += 2) {
        set_up(0, (enum layout)layout);
        d.behaviour[3] = HANGS;
        take_steps(START, INSTALL);
        EXPECT(boot_only() == 3);
        rot_image(layout == AB ? 1 : 2);
        for (int i = 0; i < 3 * TRIES; i++)
            EXPECT(boot_only() == 3);
        if (layout == AB) {
            struct flash_emu kept;

            /* And then the candidate rots: nothing is left. */
            emu_init(&kept, d.pages, 2, d.geometry->unit, d.geometry->erased, d.geometry->writes);
            emu_copy(&kept, &d.flash);
            rot_image(0);
            EXPECT(boot_only() == 0);
            emu_copy(&d.flash, &kept);
            emu_free(&kept);
        }
        d.behaviour[3] = CONFIRMS;
        EXPECT(start() == 3 && ota_update_confirm(&u) == OTA_OK);
        /* What rotted is not kept for a return. */
        EXPECT((u.state.flags & OTA_RETAINED) == 0);
        completes();
    }
}

static void test_the_reason_of_a_revert_is_known(void)
{
    for (uint8_t watchdog = 0; watchdog < 2; watchdog++) {
        struct ota_device_info info;
        struct ota_start s;
        int err = OTA_OK;

        set_up(0, AB);
        take_steps(START, INSTALL);
        for (int i = 0; i < TRIES + 1; i++)
            err = ota_boot(&d.boot, watchdog, &s);
        EXPECT(err == OTA_OK && device_image_in(&d, s.image) == 2 && s.trial == 0);
        EXPECT(start() == 2 && ota_device_info(&u, &info) == OTA_OK);
        EXPECT(info.last_error == -(watchdog ? OTA_ERR_WATCHDOG_RESET : OTA_ERR_TRIES_EXHAUSTED));
        EXPECT(info.boot == OTA_BOOT_REVERTED && info.capabilities == 0);
    }
}

static ota_verdict admits;
static unsigned asked, admit_only;

static ota_verdict admit(void *ctx, const struct ota_slots *slots, unsigned release, const struct ota_area *image)
{
    EXPECT(ctx == &d && slots == &d.slots && release < 2 && image != NULL);
    if (++asked > admit_only && admit_only != 0)
        return OTA_FAIL;
    /* When the journal is lost: only what is whole. */
    return admits == OTA_PASS && device_image_in(&d, image) != 0 ? OTA_PASS : OTA_FAIL;
}

static void test_a_boot_stage_that_asks(void)
{
    struct ota_start s;

    for (int layout = 0; layout < LAYOUTS; layout++) {
        set_up(0, (enum layout)layout);
        d.boot.admit = admit;
        d.boot.ctx = &d;
        admits = OTA_FAIL;
        asked = 0;
        take_steps(START, INSTALL);
        EXPECT(start() == 2 && asked == 1);
        admits = OTA_PASS;
        completes();
        /* The journal is lost. */
        EXPECT(ota_area_erase(&d.slots.journal[0], 0) == OTA_OK);
        EXPECT(ota_area_erase(&d.slots.journal[1], 0) == OTA_OK);
        EXPECT(ota_boot(&d.boot, 0, &s) == OTA_ERR_NO_DEVICE_KEY);
        EXPECT(s.image != NULL && device_image_in(&d, s.image) != 0);
        EXPECT(ota_update_open(&u, &d.config, 0) == OTA_ERR_NO_DEVICE_KEY);
        admits = OTA_FAIL;
        EXPECT(ota_boot(&d.boot, 0, &s) == OTA_ERR_NO_DEVICE_KEY && s.image == NULL);
        d.boot.admit = NULL;
        EXPECT(ota_boot(&d.boot, 0, &s) == OTA_ERR_NO_DEVICE_KEY && s.image == NULL);
    }
}

/* An answer that changes between the copy and the start does not make the stage go round for
 * ever. */
static void test_a_boot_stage_comes_to_an_end(void)
{
    struct ota_start s;

    set_up(0, OVERWRITE);
    d.boot.admit = admit;
    d.boot.ctx = &d;
    admits = OTA_PASS;
    asked = 0;
    admit_only = 1;
    take_steps(START, INSTALL);
    EXPECT(ota_boot(&d.boot, 0, &s) == OTA_ERR_STORAGE && s.image == NULL);
    EXPECT(asked > 2 && asked < 12);
    admit_only = 0;
    d.boot.admit = NULL;
    completes();
}

/* A device whose first image is not known to the journal. */
static void made_with_unknown(enum layout layout)
{
    struct ota_journal j;
    struct ota_state s;
    struct ota_entry made_with;

    if (d.flash.bytes != NULL)
        device_free(&d);
    device_init(&d, &parts[0], layout);
    memset(&s, 0, sizeof s);
    memset(&made_with, 0, sizeof made_with);
    EXPECT(ota_journal_format(&j, d.slots.journal, &s, &made_with, 1) == OTA_OK);
    d.target = 3;
}

/* The image that a device was made with need not be known. */
static void test_a_first_image_of_unknown_size(void)
{
    struct ota_device_info info;

    for (int layout = 0; layout < LAYOUTS; layout++) {
        made_with_unknown((enum layout)layout);
        EXPECT(start() == 1);
        EXPECT(ota_device_info(&u, &info) == OTA_OK && info.running.release.sequence == 0);
        /* It cannot be saved, which the server is told before it offers something. */
        EXPECT(info.capabilities == (layout == AB ? 0 : OTA_CAP_NO_REVERT));
        take_steps(BEGIN, INSTALL);
        EXPECT(start() == 3 && ota_update_confirm(&u) == OTA_OK);
        /* What cannot be checked cannot be saved, but a slot of its own it keeps. */
        EXPECT(((u.state.flags & OTA_RETAINED) != 0) == (layout == AB));
    }
}

/* Nor is it found whole by that once it is being written over: the flash fails in each call of the start that
 * installs, and half of a candidate is not what a device was made with. */
static void test_a_first_image_of_unknown_size_that_is_half_gone(void)
{
    static const enum emu_fault faults[] = {EMU_FAIL, EMU_DEAD, EMU_READ_ONLY};

    for (int layout = 0; layout < LAYOUTS; layout++)
        for (unsigned f = 0; f < 3; f++)
            for (uint32_t n = 0;; n++) {
                struct ota_start s;
                uint32_t calls;
                int err;

                made_with_unknown((enum layout)layout);
                EXPECT(start() == 1);
                take_steps(BEGIN, INSTALL);
                calls = d.flash.calls;
                d.flash.fault = faults[f];
                d.flash.fault_at = calls + n;
                err = ota_boot(&d.boot, 0, &s);
                d.flash.fault = EMU_NO_FAULT;
                EXPECT(s.image == NULL ? err != OTA_OK : device_image_in(&d, s.image) != 0);
                if (d.flash.calls <= calls + n)
                    break;
                EXPECT(start() == 3 && ota_update_confirm(&u) == OTA_OK);
            }
}

void boot_tests(void)
{
    test_policies();
    test_a_damaged_image_gives_way_to_the_retained_one();
    test_a_candidate_that_rots_is_given_up_but_not_remembered();
    test_without_a_backup_the_last_image_stays();
    test_what_was_saved_rots();
    test_the_reason_of_a_revert_is_known();
    test_a_boot_stage_that_asks();
    test_a_boot_stage_comes_to_an_end();
    test_a_first_image_of_unknown_size();
    test_a_first_image_of_unknown_size_that_is_half_gone();
    test_a_backup_area_that_is_too_small();
}
