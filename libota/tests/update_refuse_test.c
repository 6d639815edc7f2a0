/* What a session refuses: calls out of order, releases that are not for this device, images that are not
 * what was signed, sources and crypto that fail. */
#include "rig.h"

#include <string.h>

static void test_calls_out_of_order_are_refused(void)
{
    struct ota_device_info info;
    uint32_t offset = 0, size;
    uint8_t byte = 0;

    set_up(0, AB);
    size = d.release[3].size;
    EXPECT(start() == 2);
    EXPECT(ota_update_write(&u, 0, &byte, 1) == OTA_ERR_INTERNAL);
    EXPECT(ota_update_finish(&u) == OTA_ERR_INTERNAL);
    EXPECT(ota_update_install(&u) == OTA_ERR_INTERNAL);
    EXPECT(ota_update_confirm(&u) == OTA_ERR_INTERNAL);
    EXPECT(ota_update_reject(&u, OTA_ERR_HEALTH_CHECK) == OTA_ERR_INTERNAL);
    EXPECT(begin(3, &offset) == OTA_OK && offset == 0);
    EXPECT(ota_update_write(&u, 1, &byte, 1) == OTA_ERR_INTERNAL);
    EXPECT(ota_update_finish(&u) == OTA_ERR_INTERNAL);
    EXPECT(receive(3, 0, 700) == OTA_OK);
    EXPECT(receive(3, 0, 650) == OTA_OK); /* had already */
    EXPECT(receive(3, 650, size) == OTA_OK); /* in part */
    EXPECT(ota_update_write(&u, size, &byte, 1) == OTA_ERR_IMAGE_SIZE);
    EXPECT(ota_update_write(&u, size, &byte, 0) == OTA_OK);
    EXPECT(ota_update_return(&u, 0) == OTA_ERR_NOTHING_RETAINED);
    EXPECT(ota_update_finish(&u) == OTA_OK);
    EXPECT(begin(3, &offset) == OTA_OK && offset == size);
    EXPECT(ota_update_install(&u) == OTA_OK);
    EXPECT(begin(3, &offset) == OTA_ERR_INTERNAL);
    /* Another image runs than the one on trial. */
    EXPECT(start() == 3);
    EXPECT(ota_update_open(&u, &d.config, u.state.installed) == OTA_OK);
    EXPECT(ota_update_confirm(&u) == OTA_ERR_INTERNAL);
    EXPECT(ota_device_info(&u, &info) == OTA_OK && info.boot == OTA_BOOT_CONFIRMED);
    completes();
}

static void test_an_installation_can_be_called_off(void)
{
    uint32_t offset;

    for (int layout = 0; layout < LAYOUTS; layout++) {
        set_up(1, (enum layout)layout);
        take_steps(START, INSTALL);
        EXPECT(ota_update_reject(&u, OTA_ERR_OPERATOR_REQUESTED) == OTA_OK);
        EXPECT(u.state.phase == OTA_IDLE);
        EXPECT(begin(3, &offset) == OTA_ERR_REJECTED_BEFORE);
        EXPECT(start() == 2);
    }
}

static void test_a_keyed_device_installs_only_what_its_answer_names(void)
{
    struct ota_check_response answer;
    struct ota_keyset held;
    struct ota_source stored;
    struct ota_sha256 hash;
    uint32_t offset = 1, ops;

    set_up(0, AB);
    d.config.keyed = 1;
    EXPECT(start() == 2);
    EXPECT(ota_update_held(&u, &stored, &held) == OTA_OK);
    memset(&answer, 0, sizeof answer);
    ops = d.flash.ops;
    EXPECT(ota_update_begin(&u, &d.manifest[3].source, &held, &about, NULL, &offset) == OTA_ERR_UNAUTHENTICATED);
    EXPECT(ota_update_begin(&u, &d.manifest[3].source, &held, &about, &answer, &offset) == OTA_ERR_NOT_NAMED);
    answer.manifest_size = d.manifest[3].source.size;
    ota_sha256_init(&hash);
    ota_sha256_update(&hash, d.manifest[3].bytes, d.manifest[3].source.size);
    ota_sha256_final(&hash, answer.manifest_hash);
    EXPECT(ota_update_begin(&u, &d.manifest[4].source, &held, &about, &answer, &offset) == OTA_ERR_NOT_NAMED);
    EXPECT(d.flash.ops == ops);
    EXPECT(ota_update_begin(&u, &d.manifest[3].source, &held, &about, &answer, &offset) == OTA_OK && offset == 0);
    /* A rejected image comes again if the answer says so. */
    EXPECT(receive(3, 0, d.release[3].size) == OTA_OK && ota_update_finish(&u) == OTA_OK);
    EXPECT(ota_update_install(&u) == OTA_OK && ota_update_reject(&u, OTA_ERR_HEALTH_CHECK) == OTA_OK);
    EXPECT(ota_update_begin(&u, &d.manifest[3].source, &held, &about, &answer, &offset) == OTA_ERR_REJECTED_BEFORE);
    answer.retry_rejected = 1;
    EXPECT(ota_update_begin(&u, &d.manifest[3].source, &held, &about, &answer, &offset) == OTA_OK);
    d.config.keyed = 0;
}

static void test_what_is_refused_changes_nothing(void)
{
    uint32_t offset, ops;

    set_up(0, AB);
    EXPECT(start() == 2);
    ops = d.flash.ops;
    EXPECT(begin(1, &offset) == OTA_ERR_OLD_SEQUENCE);
    d.manifest[3].bytes[40] ^= 1;
    EXPECT(begin(3, &offset) == OTA_ERR_BAD_SIGNATURE || begin(3, &offset) == OTA_ERR_MALFORMED);
    d.manifest[3].bytes[40] ^= 1;
    d.slots.image[0].size = 512;
    EXPECT(begin(3, &offset) == OTA_ERR_IMAGE_SIZE);
    u.state.keyset_version = 2;
    EXPECT(begin(3, &offset) == OTA_ERR_KEYSET_TOO_OLD);
    EXPECT(d.flash.ops == ops);
}

/* Call number n of the crypto says no: the update is refused and nothing changes. */
static void test_crypto_that_fails(void)
{
    for (uint32_t n = 0;; n++) {
        uint32_t offset, ops;

        set_up(0, AB);
        EXPECT(start() == 2);
        ops = d.flash.ops;
        signed_calls = 0;
        signed_fail_at = n;
        if (begin(3, &offset) == OTA_OK) {
            EXPECT(n >= 2);
            break;
        }
        EXPECT(d.flash.ops == ops && u.state.phase == OTA_IDLE);
        signed_fail_at = 0xffffffff;
        completes();
    }
    signed_fail_at = 0xffffffff;
    for (uint32_t n = 0;; n++) {
        struct ota_keyset held;
        struct ota_source stored;

        set_up(0, AB);
        EXPECT(start() == 2);
        EXPECT(ota_update_held(&u, &stored, &held) == OTA_OK);
        signed_calls = 0;
        signed_fail_at = n;
        if (ota_update_keyset(&u, &d.keyset[2].source, &held) == OTA_OK) {
            EXPECT(n >= 2);
            break;
        }
        EXPECT(u.state.keyset_version == 1);
        signed_fail_at = 0xffffffff;
    }
    signed_fail_at = 0xffffffff;
}

static void test_other_bytes_are_refused_and_the_release_may_come_again(void)
{
    for (unsigned part = 0; part < 2; part++) {
        uint32_t offset, size;

        set_up(part, AB);
        size = d.release[3].size;
        EXPECT(start() == 2 && begin(3, &offset) == OTA_OK);
        d.image[3][size - 1] ^= 1;
        EXPECT(receive(3, 0, size) == OTA_OK);
        EXPECT(ota_update_finish(&u) == OTA_ERR_IMAGE_DIGEST);
        EXPECT(ota_update_install(&u) == OTA_ERR_INTERNAL);
        d.image[3][size - 1] ^= 1;
        EXPECT(begin(3, &offset) == OTA_OK && offset == 0);
        /* Without a mark there is nothing to take back. */
        EXPECT(begin(4, &offset) == OTA_OK && offset == 0);
        EXPECT(receive(3, 0, size - 1) == OTA_OK);
        EXPECT(receive(4, size - 1, d.release[4].size) == OTA_OK);
        EXPECT(ota_update_finish(&u) == OTA_ERR_IMAGE_DIGEST);
        completes();
    }
}

static void test_what_rots_before_the_read_back_is_refused(void)
{
    uint32_t offset;

    set_up(0, OVERWRITE);
    EXPECT(start() == 2 && begin(3, &offset) == OTA_OK);
    EXPECT(receive(3, 0, d.release[3].size) == OTA_OK);
    emu_rot(&d.flash, d.slots.image[1].at + 100, 3);
    EXPECT(ota_update_finish(&u) == OTA_ERR_IMAGE_DIGEST);
    completes();
}

/* 0 is the sequence of what a device was made with: a list may name it, and the rest of the manifest is held to
 * the rules as ever. */
static void test_a_downgrade_from_the_first_image(void)
{
    struct signed_release *r = &d.release[3];
    uint32_t offset;

    set_up(0, AB);
    EXPECT(start() == 2);
    r->from_zero = 1;
    signed_manifest(&d.manifest[3], r);
    EXPECT(begin(3, &offset) == OTA_ERR_NOT_APPLICABLE);
    r->version = "1.0.01";
    signed_manifest(&d.manifest[3], r);
    EXPECT(begin(3, &offset) == OTA_ERR_INVALID_FIELD);
    r->version = "1.0.0-that-is-longer-than-the-sixty-four-bytes-of-the-longest-version";
    signed_manifest(&d.manifest[3], r);
    EXPECT(begin(3, &offset) == OTA_ERR_INVALID_FIELD);
}

static uint32_t reads, read_fails_at;

static int read_that_fails(void *ctx, uint32_t offset, void *to, size_t size)
{
    if (reads++ == read_fails_at)
        return OTA_ERR_TRANSPORT;
    memcpy(to, (const uint8_t *)ctx + offset, size);
    return OTA_OK;
}

/* Read number n of the manifest or of the keyset fails: what is said is what the source said. */
static void test_sources_that_fail(void)
{
    struct ota_source manifest, keyset;
    struct ota_keyset held;
    struct ota_source stored;
    uint32_t offset = 0;
    int err = OTA_ERR_TRANSPORT;

    for (uint32_t n = 0; err != OTA_OK; n++) {
        set_up(0, AB);
        d.slots.manifest[0] = d.slots.manifest[1] = d.slots.keyset[1];
        manifest = d.manifest[3].source;
        manifest.read = read_that_fails;
        EXPECT(start() == 2 && ota_update_held(&u, &stored, &held) == OTA_OK);
        reads = 0;
        read_fails_at = n;
        err = ota_update_begin(&u, &manifest, &held, &about, NULL, &offset);
        EXPECT(err == OTA_OK || err == OTA_ERR_TRANSPORT || err == OTA_ERR_BAD_SIGNATURE);
        EXPECT(offset == 0);
        completes();
    }
    err = OTA_ERR_TRANSPORT;
    for (uint32_t n = 0; err != OTA_OK; n++) {
        set_up(0, AB);
        keyset = d.keyset[2].source;
        keyset.read = read_that_fails;
        EXPECT(start() == 2 && ota_update_held(&u, &stored, &held) == OTA_OK);
        reads = 0;
        read_fails_at = n;
        err = ota_update_keyset(&u, &keyset, &held);
        EXPECT(err == OTA_OK || err == OTA_ERR_TRANSPORT || err == OTA_ERR_BAD_SIGNATURE);
        EXPECT(u.state.keyset_version == (err == OTA_OK ? 2 : 1));
    }
}

static void rot_entry(unsigned which)
{
    for (unsigned p = 0; p < 2; p++)
        emu_rot(&d.flash, d.slots.journal[p].at + (u.journal.page[p].at[OTA_KIND_ENTRY_0 + which] - 1u) * 8 + 20, 1);
}

static void test_a_lost_entry_of_the_candidate(void)
{
    uint32_t offset = 1;

    set_up(0, AB);
    EXPECT(start() == 2 && begin(3, &offset) == OTA_OK && receive(3, 0, 1100) == OTA_OK);
    rot_entry(1u - u.state.installed);
    EXPECT(begin(3, &offset) == OTA_OK && offset == 0);
    completes();
    /* Of the retained one: there is nothing to return to. */
    set_up(0, AB);
    EXPECT(start() == 2);
    rot_entry(1u - u.state.installed);
    EXPECT(ota_update_return(&u, 0) == OTA_ERR_STORAGE);
    rot_image(1);
    EXPECT(boot_only() == 0);
}

void update_refuse_tests(void)
{
    test_calls_out_of_order_are_refused();
    test_an_installation_can_be_called_off();
    test_a_keyed_device_installs_only_what_its_answer_names();
    test_what_is_refused_changes_nothing();
    test_crypto_that_fails();
    test_other_bytes_are_refused_and_the_release_may_come_again();
    test_what_rots_before_the_read_back_is_refused();
    test_a_downgrade_from_the_first_image();
    test_sources_that_fail();
    test_a_lost_entry_of_the_candidate();
}
