/* What a porter does wrong and a failing flash makes of it: calls after one that failed, in an order that nobody
 * meant, with arguments that cannot be. Nothing is lost by it. */
#include "rig.h"

#include <string.h>

/* Every call that may store something, on a session whose opening failed. */
static void use_it_all_the_same(void)
{
    struct ota_keyset held;
    uint32_t offset;

    EXPECT(ota_keyset_open(&held, &d.keyset[1].source) == OTA_OK);
    EXPECT(ota_update_begin(&u, &d.manifest[4].source, &held, &about, NULL, &offset) != OTA_OK);
    EXPECT(ota_update_keyset(&u, &d.keyset[2].source, &held) != OTA_OK);
    EXPECT(ota_update_confirm(&u) != OTA_OK);
    EXPECT(ota_update_reject(&u, OTA_ERR_HEALTH_CHECK) != OTA_OK);
    EXPECT(ota_update_return(&u, 0) != OTA_OK);
    EXPECT(ota_update_install(&u) != OTA_OK);
}

/* Such a session knows no floor: nothing is stored on its word, even if the flash answers again. */
static void test_a_session_that_did_not_open_stores_nothing(void)
{
    static const enum emu_fault faults[] = {EMU_DEAD, EMU_READ_ONLY};
    unsigned failed = 0;

    for (unsigned f = 0; f < 2; f++)
        for (uint32_t n = 0;; n += f == 0 ? 5 : 1) {
            struct ota_state before, after;
            int err;

            set_up(0, AB);
            take_steps(START, INSTALL);
            take_steps(TRIAL, CONFIRM);
            before = state_now();
            EXPECT(before.floor_epoch == 1 && before.floor_counter == 2);
            /* There is something to settle. */
            emu_rot(&d.flash, d.slots.journal[0].at + (u.journal.page[0].at[OTA_KIND_STATE] - 1u) * 8 + 12, 1);
            d.flash.fault = faults[f];
            d.flash.fault_at = d.flash.calls + n;
            err = ota_update_open(&u, &d.config, before.installed);
            d.flash.fault = EMU_NO_FAULT;
            if (d.flash.calls <= d.flash.fault_at)
                break;
            if (err == OTA_OK)
                continue;
            failed++;
            use_it_all_the_same();
            after = state_now();
            EXPECT(after.floor_epoch == before.floor_epoch && after.floor_counter == before.floor_counter);
            EXPECT(after.phase == before.phase && after.installed == before.installed);
            EXPECT(after.keyset_version == before.keyset_version);
        }
    EXPECT(failed > 100);
}

static void test_what_was_called_off_is_not_installed_again(void)
{
    uint32_t offset;

    set_up(0, AB);
    take_steps(START, INSTALL);
    EXPECT(ota_update_reject(&u, OTA_ERR_OPERATOR_REQUESTED) == OTA_OK);
    EXPECT(ota_update_install(&u) == OTA_ERR_INTERNAL);
    EXPECT(start() == 2);
    EXPECT(begin(3, &offset) == OTA_ERR_REJECTED_BEFORE);
}

/* Whoever calls begin again for good measure gets on. */
static void test_begin_after_finish(void)
{
    uint32_t offset;

    for (int rotten = 0; rotten < 2; rotten++) {
        set_up(0, AB);
        take_steps(START, FINISH);
        EXPECT(begin(3, &offset) == OTA_OK && offset == d.release[3].size);
        if (rotten)
            rot_image(0);
        EXPECT(ota_update_finish(&u) == (rotten ? OTA_ERR_IMAGE_DIGEST : OTA_OK));
        EXPECT(ota_update_install(&u) == (rotten ? OTA_ERR_INTERNAL : OTA_OK));
        completes();
    }
}

/* A new keyset may be the one that revokes who signed what is being received. */
static void test_a_new_keyset_has_begin_called_again(void)
{
    for (enum step last = RECEIVE; last <= FINISH; last++) {
        uint32_t offset;

        set_up(0, AB);
        take_steps(START, last);
        EXPECT(take_step(KEYSET) == OTA_OK);
        EXPECT(ota_update_finish(&u) == OTA_ERR_INTERNAL);
        EXPECT(ota_update_install(&u) == OTA_ERR_INTERNAL);
        EXPECT(begin(3, &offset) == OTA_OK && receive(3, offset, d.release[3].size) == OTA_OK);
        EXPECT(ota_update_finish(&u) == OTA_OK && ota_update_install(&u) == OTA_OK);
        completes();
    }
}

/* All keysets rot, and the device walks again from what it was made with: what was revoked on the way stays
 * revoked. */
static void test_older_keysets_do_not_lower_the_version_that_was_accepted(void)
{
    struct ota_keyset held;
    struct ota_source stored;
    uint32_t offset;

    set_up(0, AB);
    EXPECT(start() == 2);
    u.state.keyset_version = 5;
    EXPECT(ota_update_held(&u, &stored, &held) == OTA_ERR_KEYSET_TOO_OLD && held.version == 1);
    EXPECT(ota_update_keyset(&u, &d.keyset[2].source, &held) == OTA_OK);
    EXPECT(u.state.keyset_version == 5 && state_now().keyset_version == 5);
    EXPECT(ota_update_held(&u, &stored, &held) == OTA_ERR_KEYSET_TOO_OLD && held.version == 2);
    EXPECT(begin(3, &offset) == OTA_ERR_KEYSET_TOO_OLD);
}

static void test_a_device_whose_application_keeps_the_keysets(void)
{
    static const struct ota_area none = {NULL, 0, 0};
    struct ota_keyset held;
    struct ota_source stored;

    set_up(0, AB);
    d.slots.keyset[0] = d.slots.keyset[1] = none;
    EXPECT(start() == 2);
    EXPECT(ota_update_held(&u, &stored, &held) == OTA_ERR_STORAGE);
    EXPECT(ota_keyset_open(&held, &d.keyset[1].source) == OTA_OK);
    EXPECT(ota_update_keyset(&u, &d.keyset[2].source, &held) == OTA_ERR_TOO_LARGE);
    EXPECT(u.state.keyset_version == 1);
}

/* What the boot stage handed over is a byte of RAM that nobody wrote. */
static void test_the_release_that_runs_is_one_of_two(void)
{
    struct ota_device_info info;
    uint32_t offset;

    set_up(0, AB);
    for (unsigned running = 2; running < 256; running++)
        EXPECT(ota_update_open(&u, &d.config, running) == OTA_ERR_INTERNAL);
    /* Not the one that the journal says: what runs is not written over. */
    EXPECT(start() == 2);
    EXPECT(ota_update_open(&u, &d.config, 1u - u.state.installed) == OTA_OK);
    EXPECT(ota_device_info(&u, &info) == OTA_OK);
    EXPECT(begin(3, &offset) == OTA_ERR_INTERNAL);
    completes();
}

void update_misuse_tests(void)
{
    test_a_session_that_did_not_open_stores_nothing();
    test_what_was_called_off_is_not_installed_again();
    test_begin_after_finish();
    test_a_new_keyset_has_begin_called_again();
    test_older_keysets_do_not_lower_the_version_that_was_accepted();
    test_a_device_whose_application_keeps_the_keysets();
    test_the_release_that_runs_is_one_of_two();
}
