/* Updates from the manifest to the confirmed image, on emulated parts. test_U1 to test_U9 are the
 * rows of the table in include/ota/update.h, test_O1 to test_O6 those in src/slot_overwrite.c.
 *
 *     update_test [stride [stride]]     of the flash calls that are made to fail, every so many:
 *                                       in single calls, and in whole updates */
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "expect.h"

int failures;

static const struct geometry parts[] = {
    {"unit 4, nRF5", 4, 0xff, 2, 512, 4, 1024, 1, 0, 3, 100},
    {"unit 8, STM32G0", 8, 0xff, 1, 512, 4, 1024, 1, 0, 5, 1},
    {"unit 4, many pages", 4, 0xff, 2, 64, 36, 1024, 1, 0, 0, 50},
};

static struct device d;
static struct ota_update u;
static struct ota_device about;

/* A device that runs image 2 and keeps image 1. */
static void set_up(unsigned part, enum layout layout)
{
    if (d.flash.bytes != NULL)
        device_free(&d);
    device_init(&d, &parts[part], layout);
    d.target = 2;
    EXPECT(device_run(&d, 10));
    d.target = 3;
}

static unsigned start(void)
{
    struct ota_start s;

    if (ota_boot(&d.boot, 0, &s) != OTA_OK || s.image == NULL)
        return 0;
    d.running = device_image_in(&d, s.image);
    if (ota_update_open(&u, &d.config, s.release) != OTA_OK)
        return 0;
    return d.running;
}

/* What the boot stage starts, without an application. */
static unsigned boot_only(void)
{
    struct ota_start s;

    return ota_boot(&d.boot, 0, &s) == OTA_OK && s.image != NULL ? device_image_in(&d, s.image) : 0;
}

static int begin(unsigned id, uint32_t *offset)
{
    struct ota_keyset held;
    struct ota_source stored;
    int err = ota_update_held(&u, &stored, &held);

    return err != OTA_OK ? err : ota_update_begin(&u, &d.manifest[id].source, &held, &about, NULL, offset);
}

static int receive(unsigned id, uint32_t from, uint32_t to)
{
    int err = OTA_OK;

    for (uint32_t at = from; at < to && err == OTA_OK; at += 97)
        err = ota_update_write(&u, at, d.image[id] + at, to - at < 97 ? to - at : 97);
    return err;
}

/* The steps of an update, to be cut off in one of them. */
enum step { START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL, CONFIRM, REJECT, GO_BACK, NOTE, INFO, KEYSET, RETURN };

static int take_step(enum step s)
{
    uint32_t offset;
    struct ota_start st;
    struct ota_device_info info;
    struct ota_keyset held;
    struct ota_source stored;
    int err;

    switch (s) {
    case START:
        return start() == 2 ? OTA_OK : OTA_ERR_INTERNAL;
    case BEGIN:
        return begin(3, &offset);
    case RECEIVE:
        return receive(3, 0, d.release[3].size);
    case FINISH:
        return ota_update_finish(&u);
    case INSTALL:
        return ota_update_install(&u);
    case TRIAL:
        return start() == 3 ? OTA_OK : OTA_ERR_INTERNAL;
    case CONFIRM:
        return ota_update_confirm(&u);
    case REJECT:
        return ota_update_reject(&u, OTA_ERR_HEALTH_CHECK);
    case GO_BACK:
        return ota_boot(&d.boot, 0, &st);
    case NOTE:
        return ota_update_open(&u, &d.config, u.state.installed);
    case INFO:
        return ota_device_info(&u, &info);
    case KEYSET:
        err = ota_update_held(&u, &stored, &held);
        return err != OTA_OK ? err : ota_update_keyset(&u, &d.keyset[2].source, &held);
    default:
        return ota_update_return(&u, 0);
    }
}

/* Takes the steps up to and with last, which is cut off in operation op. 0 if it has not as
 * many. */
static int cut_in(const enum step *steps, unsigned count, uint32_t op, enum emu_mode mode)
{
    for (volatile unsigned i = 0; i + 1 < count; i++)
        EXPECT(take_step(steps[i]) == OTA_OK);
    d.flash.ops = 0;
    d.flash.next = 0;
    d.flash.cuts = 1;
    d.flash.plan[0].after = op;
    d.flash.plan[0].mode = mode;
    d.flash.plan[0].seed = op + 1;
    if (setjmp(d.power_off) == 0) {
        EXPECT(take_step(steps[count - 1]) == OTA_OK);
        d.flash.cuts = 0;
        return 0;
    }
    d.flash.cuts = 0;
    return 1;
}

/* As it reads now: a record that was cut off late may read right when the journal is opened and wrong
 * after it. */
static struct ota_state state_now(void)
{
    struct ota_state s;

    memset(&s, 0xee, sizeof s);
    for (unsigned i = 0; i < 20 && device_installed(&d, &s) == 0; i++)
        ;
    return s;
}

/* In the end image 3 runs, confirmed, and no rule was broken. */
static void completes(void)
{
    struct ota_state s;

    EXPECT(device_run(&d, 12));
    EXPECT(device_installed(&d, &s) == 3 && s.phase == OTA_IDLE);
    if (d.wrong != NULL && failures < 20)
        printf("     %s (%d)\n", d.wrong, d.err);
}

/* Runs check after every cut in the last of the steps. */
static unsigned each_cut(enum layout layout, const enum step *steps, unsigned count, void (*check)(void))
{
    unsigned cuts = 0;

    for (unsigned part = 0; part < 2; part++)
        for (int mode = 0; mode < EMU_MODES; mode++)
            for (uint32_t op = 0;; op++) {
                set_up(part, layout);
                if (!cut_in(steps, count, op, (enum emu_mode)mode))
                    break;
                cuts++;
                check();
            }
    return cuts;
}

#define EACH_CUT(layout, check, ...)                                                                  \
    do {                                                                                              \
        static const enum step steps[] = {__VA_ARGS__};                                               \
        EXPECT(each_cut((layout), steps, sizeof steps / sizeof steps[0], (check)) > 10);              \
    } while (0)

static void check_U1(void)
{
    EXPECT(start() == 2);
    EXPECT(u.state.phase == OTA_IDLE || u.state.phase == OTA_RECEIVING);
    /* What the state says is retained is there. */
    EXPECT((u.state.flags & OTA_RETAINED) == 0 || device_image_in(&d, &d.slots.image[d.layout == AB ? 0 : 2]) == 1);
    completes();
}

static void test_U1(void)
{
    EACH_CUT(AB, check_U1, START, BEGIN);
    EACH_CUT(OVERWRITE_BACKUP, check_U1, START, BEGIN);
}

static void check_U2(void)
{
    uint32_t offset = 1;

    EXPECT(start() == 2);
    EXPECT(u.state.phase == OTA_RECEIVING);
    EXPECT(begin(3, &offset) == OTA_OK);
    EXPECT(offset == u.state.mark && offset % d.geometry->page == 0);
    EXPECT(receive(3, offset, d.release[3].size) == OTA_OK);
    EXPECT(ota_update_finish(&u) == OTA_OK);
    completes();
}

static void test_U2(void)
{
    EACH_CUT(AB, check_U2, START, BEGIN, RECEIVE);
    EACH_CUT(OVERWRITE, check_U2, START, BEGIN, RECEIVE);
}

static void test_U3(void)
{
    set_up(0, AB);
    for (enum step s = START; s <= FINISH; s++)
        EXPECT(take_step(s) == OTA_OK);
    check_U2();
}

static void check_U4(void)
{
    unsigned runs = start();

    EXPECT(runs == (u.state.phase == OTA_TRIAL ? 3 : 2));
    completes();
}

static void test_U4(void)
{
    EACH_CUT(AB, check_U4, START, BEGIN, RECEIVE, FINISH, INSTALL);
    EACH_CUT(OVERWRITE_BACKUP, check_U4, START, BEGIN, RECEIVE, FINISH, INSTALL);
    set_up(1, AB);
    for (enum step s = START; s <= INSTALL; s++)
        EXPECT(take_step(s) == OTA_OK);
    EXPECT(start() == 3 && u.state.phase == OTA_TRIAL && u.state.tries == TRIES - 1);
}

/* Started without ever confirming: a start that was cut off counts or not, and no more than
 * the tries there are. */
static void check_U5(void)
{
    unsigned starts = 0;

    while (starts <= TRIES && boot_only() == 3)
        starts++;
    EXPECT(starts <= TRIES && starts + 1 >= TRIES);
    EXPECT(start() == 2 && u.state.phase == OTA_IDLE);
    EXPECT(u.state.reason == -OTA_ERR_TRIES_EXHAUSTED && (u.state.flags & OTA_FAILED) != 0);
}

static void test_U5(void)
{
    EACH_CUT(AB, check_U5, START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL);
    EACH_CUT(OVERWRITE_BACKUP, check_U5, START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL);
}

static void check_U6(void)
{
    struct ota_state s;

    EXPECT(start() == 3);
    EXPECT(u.state.phase == OTA_TRIAL || (u.state.phase == OTA_IDLE && device_installed(&d, &s) == 3));
    completes();
}

static void test_U6(void)
{
    EACH_CUT(AB, check_U6, START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL, CONFIRM);
}

static void check_U7(void)
{
    unsigned runs = start();

    EXPECT(runs == 2 || (runs == 3 && u.state.phase == OTA_TRIAL));
    d.behaviour[3] = REJECTS;
    EXPECT(device_run(&d, 12));
    EXPECT(d.running == 2 && d.refused == OTA_ERR_REJECTED_BEFORE);
    d.behaviour[3] = CONFIRMS;
}

static void test_U7(void)
{
    EACH_CUT(AB, check_U7, START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL, REJECT);
    EACH_CUT(OVERWRITE_BACKUP, check_U7, START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL, REJECT);
}

static void check_U8(void)
{
    uint32_t offset;

    EXPECT(start() == 2);
    EXPECT(u.state.phase == OTA_IDLE && u.state.reason == -OTA_ERR_HEALTH_CHECK);
    EXPECT(begin(3, &offset) == OTA_ERR_REJECTED_BEFORE);
}

static void test_U8(void)
{
    EACH_CUT(AB, check_U8, START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL, REJECT, GO_BACK);
    EACH_CUT(OVERWRITE_BACKUP, check_U8, START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL, REJECT, GO_BACK);
}

static void test_U9(void)
{
    EACH_CUT(AB, check_U8, START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL, REJECT, GO_BACK, NOTE);
}

/* O1 to O4: in the start that installs. */
static unsigned seen_saving, seen_saved, seen_copying, seen_copied;

static void check_O1_to_O4(void)
{
    struct ota_state s = state_now();
    unsigned run = device_image_in(&d, &d.slots.image[0]), backup = device_image_in(&d, &d.slots.image[2]);

    EXPECT(s.phase == OTA_INSTALL || s.phase == OTA_COPY || s.phase == OTA_TRIAL);
    EXPECT(device_image_in(&d, &d.slots.image[1]) == 3);
    if (s.phase == OTA_INSTALL) {
        EXPECT(run == 2);
        seen_saving += backup != 2;
        seen_saved += backup == 2;
    } else {
        EXPECT(backup == 2);
        seen_copying += run != 3;
        seen_copied += run == 3;
    }
    EXPECT(start() == 3);
    completes();
    EXPECT(device_image_in(&d, &d.slots.image[2]) == 2);
}

static void test_O1_to_O4(void)
{
    EACH_CUT(OVERWRITE_BACKUP, check_O1_to_O4, START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL);
    EXPECT(seen_saving > 0 && seen_saved > 0 && seen_copying > 0 && seen_copied > 0);
}

/* O5 and O6: in the start that goes back. */
static void check_O5_O6(void)
{
    EXPECT(device_image_in(&d, &d.slots.image[2]) == 2);
    check_U8();
}

static void test_O5_O6(void)
{
    EACH_CUT(OVERWRITE_BACKUP, check_O5_O6, START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL, REJECT, GO_BACK);
}

/* ---- what is refused ------------------------------------------------------- */

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
        for (enum step s = START; s <= INSTALL; s++)
            EXPECT(take_step(s) == OTA_OK);
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

static void rot_image(unsigned area)
{
    emu_rot(&d.flash, d.slots.image[area].at + 1000, 5);
}

/* ---- images that are not what was signed ------------------------------------- */

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

static void test_every_chunk_size(void)
{
    static struct geometry g;

    for (uint32_t chunk = 1; chunk < 1200; chunk += chunk < 40 ? 1 : 77)
        for (unsigned part = 0; part < 2; part++) {
            if (d.flash.bytes != NULL)
                device_free(&d);
            g = parts[part];
            g.chunk = chunk;
            device_init(&d, &g, OVERWRITE_BACKUP);
            d.target = 3;
            completes();
        }
}

static uint32_t progress_done, progress_size;

static void progress(void *ctx, uint32_t done, uint32_t size)
{
    EXPECT(ctx == &d && done >= progress_done);
    progress_done = done;
    progress_size = size;
}

/* Makes image id shorter. */
static void shorten(unsigned id, uint32_t size)
{
    struct ota_sha256 hash;

    d.release[id].size = size;
    ota_sha256_init(&hash);
    ota_sha256_update(&hash, d.image[id], size);
    ota_sha256_final(&hash, d.release[id].digest);
    signed_manifest(&d.manifest[id], &d.release[id]);
}

static void test_many_pages_have_few_marks(void)
{
    uint32_t offset, before;

    for (int layout = 0; layout < LAYOUTS; layout++) {
        set_up(2, (enum layout)layout);
        EXPECT(start() == 2 && begin(3, &offset) == OTA_OK);
        before = u.journal.number;
        EXPECT(receive(3, 0, d.release[3].size) == OTA_OK);
        EXPECT(u.journal.number - before <= 16);
        EXPECT(ota_update_finish(&u) == OTA_OK);
        completes();
    }
    /* An image that is shorter than the way to the first mark, and is not what was signed. */
    set_up(2, AB);
    shorten(3, 61);
    EXPECT(start() == 2 && begin(3, &offset) == OTA_OK && receive(2, 0, 61) == OTA_OK);
    EXPECT(ota_update_finish(&u) == OTA_ERR_IMAGE_DIGEST);
    completes();
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

static void test_progress_is_told(void)
{
    set_up(0, AB);
    d.config.progress = progress;
    d.config.ctx = &d;
    progress_done = 0;
    completes();
    EXPECT(progress_done == d.release[3].size && progress_size == progress_done);
    d.config.progress = NULL;
}

/* ---- the boot stage ---------------------------------------------------------- */

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
            for (enum step s = START; s <= INSTALL; s++)
                EXPECT(take_step(s) == OTA_OK);
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
    for (enum step st = START; st <= INSTALL; st++)
        EXPECT(take_step(st) == OTA_OK);
    for (int i = 0; i < 3 * TRIES; i++)
        EXPECT(boot_only() == 3);
    EXPECT(start() == 3);
    EXPECT(ota_device_info(&u, &info) == OTA_OK && info.capabilities == OTA_CAP_NO_REVERT);
    EXPECT(ota_update_reject(&u, OTA_ERR_HEALTH_CHECK) == OTA_ERR_NOTHING_RETAINED);
    rot_image(0);
    rot_image(1);
    EXPECT(ota_boot(&d.boot, 0, &s) == OTA_ERR_NOTHING_RETAINED && s.image == NULL);
}

static void test_what_was_saved_rots(void)
{
    for (int layout = 0; layout < LAYOUTS; layout += 2) {
        set_up(0, (enum layout)layout);
        d.behaviour[3] = HANGS;
        for (enum step s = START; s <= INSTALL; s++)
            EXPECT(take_step(s) == OTA_OK);
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
        for (enum step st = START; st <= INSTALL; st++)
            EXPECT(take_step(st) == OTA_OK);
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
        for (enum step st = START; st <= INSTALL; st++)
            EXPECT(take_step(st) == OTA_OK);
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
    for (enum step st = START; st <= INSTALL; st++)
        EXPECT(take_step(st) == OTA_OK);
    EXPECT(ota_boot(&d.boot, 0, &s) == OTA_ERR_STORAGE && s.image == NULL);
    EXPECT(asked > 2 && asked < 12);
    admit_only = 0;
    d.boot.admit = NULL;
    completes();
}

/* The image that a device was made with need not be known. */
static void test_a_first_image_of_unknown_size(void)
{
    struct ota_journal j;
    struct ota_state s;
    struct ota_entry made_with;
    struct ota_device_info info;

    for (int layout = 0; layout < LAYOUTS; layout++) {
        set_up(0, (enum layout)layout);
        device_free(&d);
        device_init(&d, &parts[0], (enum layout)layout);
        memset(&s, 0, sizeof s);
        memset(&made_with, 0, sizeof made_with);
        EXPECT(ota_journal_format(&j, d.slots.journal, &s, &made_with, 1) == OTA_OK);
        EXPECT(start() == 1);
        EXPECT(ota_device_info(&u, &info) == OTA_OK && info.running.release.sequence == 0);
        for (enum step st = BEGIN; st <= INSTALL; st++)
            EXPECT(take_step(st) == OTA_OK);
        EXPECT(start() == 3 && ota_update_confirm(&u) == OTA_OK);
        /* What cannot be checked cannot be saved, but a slot of its own it keeps. */
        EXPECT(((u.state.flags & OTA_RETAINED) != 0) == (layout == AB));
    }
}

/* ---- return, keyset, info ------------------------------------------------------ */

static void test_return_to_the_retained_image(void)
{
    uint32_t offset;

    for (int layout = 0; layout < LAYOUTS; layout += 2) {
        set_up(0, (enum layout)layout);
        EXPECT(start() == 2);
        EXPECT(ota_update_return(&u, 2) == OTA_ERR_BELOW_FLOOR);
        EXPECT(ota_update_return(&u, 0) == OTA_OK);
        EXPECT(start() == 1 && u.state.phase == OTA_TRIAL);
        EXPECT(ota_update_confirm(&u) == OTA_OK && u.state.flags == 0);
        EXPECT(ota_update_return(&u, 0) == OTA_ERR_NOTHING_RETAINED);
        /* What the operator left does not come back by itself. */
        EXPECT(begin(2, &offset) == OTA_ERR_REJECTED_BEFORE);
        completes();

        /* A return that is not confirmed. */
        set_up(0, (enum layout)layout);
        EXPECT(start() == 2 && ota_update_return(&u, 0) == OTA_OK);
        for (int i = 0; i < TRIES; i++)
            EXPECT(boot_only() == 1);
        EXPECT(start() == 2 && u.state.reason == -OTA_ERR_TRIES_EXHAUSTED);
        completes();

        /* What is retained rots. */
        set_up(0, (enum layout)layout);
        EXPECT(start() == 2);
        rot_image(layout == AB ? 0 : 2);
        EXPECT(ota_update_return(&u, 0) == OTA_ERR_IMAGE_DIGEST);
    }
}

static void test_keysets_alternate_between_their_slots(void)
{
    struct ota_keyset held;
    struct ota_source stored;
    uint32_t offset;

    set_up(1, AB);
    EXPECT(start() == 2);
    EXPECT(ota_update_held(&u, &stored, &held) == OTA_OK && held.version == 1);
    EXPECT(ota_update_keyset(&u, &d.keyset[1].source, &held) == OTA_ERR_KEYSET_NOT_NEWER);
    EXPECT(ota_update_keyset(&u, &d.keyset[2].source, &held) == OTA_OK);
    EXPECT(ota_update_held(&u, &stored, &held) == OTA_OK && held.version == 2);
    EXPECT(stored.ctx == &d.slots.keyset[1]);
    EXPECT(begin(3, &offset) == OTA_OK);
    /* The newer one rots: the older one may only let it in again. */
    emu_rot(&d.flash, d.slots.keyset[1].at + 60, 2);
    EXPECT(begin(3, &offset) == OTA_ERR_KEYSET_TOO_OLD);
    EXPECT(ota_update_held(&u, &stored, &held) == OTA_ERR_KEYSET_TOO_OLD && held.version == 1);
    EXPECT(ota_update_begin(&u, &d.manifest[3].source, &held, &about, NULL, &offset) == OTA_ERR_KEYSET_TOO_OLD);
    EXPECT(ota_update_keyset(&u, &d.keyset[2].source, &held) == OTA_OK);
    EXPECT(begin(3, &offset) == OTA_OK);
    /* The newer one in the first slot. */
    EXPECT(ota_object_write(&d.slots.keyset[1], &d.keyset[1].source, 1) == OTA_OK);
    EXPECT(ota_object_write(&d.slots.keyset[0], &d.keyset[2].source, 2) == OTA_OK);
    EXPECT(ota_update_held(&u, &stored, &held) == OTA_OK && stored.ctx == &d.slots.keyset[0]);
    /* Both rot. */
    emu_rot(&d.flash, d.slots.keyset[0].at + 3, 2);
    emu_rot(&d.flash, d.slots.keyset[1].at + 3, 2);
    EXPECT(ota_update_held(&u, &stored, &held) == OTA_ERR_STORAGE);
    u.state.keyset_version = 0;
    EXPECT(ota_update_held(&u, &stored, &held) == OTA_ERR_NO_DEVICE_KEY);
}

static void test_objects(void)
{
    struct ota_area small;
    struct ota_source stored;
    uint32_t version = 0, unit;

    for (unsigned part = 0; part < 2; part++) {
        set_up(part, AB);
        unit = d.geometry->unit;
        small = d.slots.keyset[1];
        EXPECT(ota_object_write(&small, &d.keyset[2].source, 7) == OTA_OK);
        EXPECT(ota_object_open(&small, &stored, &version) == OTA_OK && version == 7);
        EXPECT(stored.size == d.keyset[2].source.size);
        small.size = stored.size;
        EXPECT(ota_object_write(&small, &d.keyset[2].source, 7) == OTA_ERR_TOO_LARGE);
        EXPECT(ota_object_open(&small, &stored, &version) == OTA_ERR_STORAGE);
        small.size = unit;
        EXPECT(ota_object_write(&small, &d.keyset[2].source, 7) == OTA_ERR_TOO_LARGE);
        EXPECT(ota_object_open(&small, &stored, &version) == OTA_ERR_STORAGE);
    }
}

static void test_the_manifest_is_kept_where_there_is_a_place(void)
{
    struct ota_source stored;
    uint32_t version, offset;
    uint8_t bytes[512];

    set_up(0, OVERWRITE);
    /* The third slot's pages are free in this layout. */
    d.slots.manifest[0] = d.slots.manifest[1] = d.slots.image[1];
    d.slots.manifest[0].at += d.slots.image[1].size;
    d.slots.manifest[1].at += d.slots.image[1].size + 1024;
    d.slots.manifest[0].size = d.slots.manifest[1].size = 1024;
    EXPECT(start() == 2 && begin(3, &offset) == OTA_OK);
    EXPECT(ota_object_open(&d.slots.manifest[1 - u.state.installed], &stored, &version) == OTA_OK);
    EXPECT(stored.size == d.manifest[3].source.size && ota_source_read(&stored, 0, bytes, stored.size) == OTA_OK);
    EXPECT(memcmp(bytes, d.manifest[3].bytes, stored.size) == 0);
}

static void test_what_a_device_says_of_itself(void)
{
    struct ota_device_info info;
    uint32_t offset;

    set_up(0, AB);
    EXPECT(start() == 2 && ota_device_info(&u, &info) == OTA_OK);
    EXPECT(info.boot == OTA_BOOT_CONFIRMED && info.phase == OTA_IDLE && info.last_error == 0);
    EXPECT(info.running.release.sequence == ((uint64_t)1 << 32 | 2));
    EXPECT(info.floor_epoch == 1 && info.floor_counter == 1 && info.keyset_version == 1 && info.received == 0);
    EXPECT(memcmp(info.running.release.image_digest, d.release[2].digest, 32) == 0);
    EXPECT(begin(3, &offset) == OTA_OK && receive(3, 0, 500) == OTA_OK);
    EXPECT(ota_device_info(&u, &info) == OTA_OK);
    EXPECT(info.phase == OTA_RECEIVING && info.received == 500);
    EXPECT(receive(3, 500, d.release[3].size) == OTA_OK && ota_update_finish(&u) == OTA_OK);
    EXPECT(ota_update_install(&u) == OTA_OK && start() == 3);
    EXPECT(ota_device_info(&u, &info) == OTA_OK && info.boot == OTA_BOOT_TRIAL);
    EXPECT(info.running.release.security_counter == 2 && info.floor_counter == 1);
    EXPECT(ota_update_confirm(&u) == OTA_OK && ota_device_info(&u, &info) == OTA_OK);
    EXPECT(info.boot == OTA_BOOT_CONFIRMED && info.floor_counter == 2);
    /* Read back, not remembered. */
    rot_image(0);
    EXPECT(ota_device_info(&u, &info) == OTA_OK);
    EXPECT(memcmp(info.running.release.image_digest, d.release[3].digest, 32) != 0);
}

static void test_areas_that_make_no_sense_are_refused(void)
{
    static const struct ota_pages odd = {512, 96, 4};
    struct ota_flash f;
    struct ota_area a;
    uint8_t byte;

    set_up(0, AB);
    f = d.flash.port;
    a = d.slots.image[0];
    a.flash = &f;
    EXPECT(ota_area_check(&a) == OTA_OK);
    f.unit = 3;
    EXPECT(ota_area_check(&a) == OTA_ERR_INVALID_FIELD);
    f.unit = 0;
    EXPECT(ota_area_check(&a) == OTA_ERR_INVALID_FIELD);
    f.unit = 2 * OTA_MAX_UNIT;
    EXPECT(ota_area_check(&a) == OTA_ERR_INVALID_FIELD);
    f.unit = 4;
    f.erased = 0x55;
    EXPECT(ota_area_check(&a) == OTA_ERR_INVALID_FIELD);
    f.erased = 0x00;
    EXPECT(ota_area_check(&a) == OTA_OK);
    f.writes = 0;
    EXPECT(ota_area_check(&a) == OTA_ERR_INVALID_FIELD);
    f.writes = 1;
    d.flash.fault = EMU_FAIL;
    d.flash.fault_at = d.flash.calls;
    EXPECT(ota_area_clear(&a) == OTA_ERR_STORAGE);
    d.flash.fault = EMU_NO_FAULT;
    EXPECT(ota_area_clear(&a) == OTA_OK);
    f.feed = NULL;
    EXPECT(ota_area_read(&a, a.size, &byte, 0) == OTA_OK);
    EXPECT(ota_area_read(&a, a.size, &byte, 1) == OTA_ERR_STORAGE);
    EXPECT(ota_area_read(&a, a.size + 1, &byte, 0) == OTA_ERR_STORAGE);
    EXPECT(ota_area_write(&a, a.size, &byte, 4) == OTA_ERR_STORAGE);
    EXPECT(ota_area_erase(&a, 4) == OTA_ERR_STORAGE);
    EXPECT(ota_area_erase(&a, a.size) == OTA_ERR_STORAGE);
    a.at += 4;
    EXPECT(ota_area_check(&a) == OTA_ERR_INVALID_FIELD);
    a.at -= 4;
    a.size -= 4;
    EXPECT(ota_area_check(&a) == OTA_ERR_INVALID_FIELD);
    a.size = 0;
    EXPECT(ota_area_check(&a) == OTA_ERR_INVALID_FIELD);
    a.size = 512;
    a.at = 1 << 20;
    EXPECT(ota_area_check(&a) == OTA_ERR_INVALID_FIELD && ota_area_erase(&a, 0) == OTA_ERR_STORAGE);
    /* Pages that are no multiple of the unit; an area before the first page. */
    f.pages = &odd;
    f.runs = 1;
    f.unit = 64;
    a.at = 512;
    a.size = 192;
    EXPECT(ota_area_check(&a) == OTA_ERR_INVALID_FIELD);
    f.unit = 32;
    EXPECT(ota_area_check(&a) == OTA_OK);
    a.at = 416;
    EXPECT(ota_area_check(&a) == OTA_ERR_INVALID_FIELD);
}

/* ---- calls that fail ----------------------------------------------------------- */

static uint32_t stride = 1, whole_stride = 1;

/* Each call of the session and of the boot stage, with each of its flash calls failing: it says so
 * or gets over it, and the update completes. */
static void fail_in(enum layout layout, const enum step *steps, unsigned count)
{
    for (int f = EMU_FAIL; f < EMU_FAULTS; f++)
        for (uint32_t n = (uint32_t)f % stride;; n += stride) {
            struct ota_state s;
            uint32_t calls;

            set_up(layout == OVERWRITE ? 1 : 0, layout);
            for (unsigned i = 0; i + 1 < count; i++)
                EXPECT(take_step(steps[i]) == OTA_OK);
            calls = d.flash.calls;
            d.flash.fault = (enum emu_fault)f;
            d.flash.fault_at = calls + n;
            (void)take_step(steps[count - 1]);
            d.flash.fault = EMU_NO_FAULT;
            if (d.flash.calls <= calls + n)
                break;
            EXPECT(device_run(&d, 20));
            EXPECT(device_installed(&d, &s) == 3 || d.refused == OTA_ERR_REJECTED_BEFORE);
            EXPECT(s.phase == OTA_IDLE);
        }
}

#define FAIL_IN(...)                                                              \
    do {                                                                          \
        static const enum step steps[] = {__VA_ARGS__};                           \
        for (int layout = 0; layout < LAYOUTS; layout++)                          \
            fail_in((enum layout)layout, steps, sizeof steps / sizeof steps[0]);  \
    } while (0)

static void test_each_call_with_each_flash_call_failing(void)
{
    static const enum step back[] = {START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL, REJECT, GO_BACK, NOTE};
    static const enum step again[] = {START, RETURN};

    FAIL_IN(START);
    FAIL_IN(START, INFO);
    FAIL_IN(START, KEYSET);
    FAIL_IN(START, BEGIN);
    FAIL_IN(START, BEGIN, RECEIVE);
    FAIL_IN(START, BEGIN, RECEIVE, START, BEGIN);
    FAIL_IN(START, BEGIN, RECEIVE, FINISH);
    FAIL_IN(START, BEGIN, RECEIVE, FINISH, INSTALL);
    FAIL_IN(START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL);
    FAIL_IN(START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL, CONFIRM);
    for (int layout = 0; layout < LAYOUTS; layout += 2) {
        fail_in((enum layout)layout, again, 2);
        for (unsigned count = 7; count <= 9; count++)
            fail_in((enum layout)layout, back, count);
    }
}

/* Call number n of the flash fails, for every n: nothing that must not happen happens, and the
 * update completes. */
static void test_every_flash_call_failing(void)
{
    static const enum emu_fault faults[] = {EMU_FAIL, EMU_FAIL_LATE, EMU_SHORT_READ, EMU_LYING_READ};
    static struct device start_of;
    unsigned long runs = 0;

    for (int layout = 0; layout < LAYOUTS; layout++)
        for (unsigned f = 0; f < 4; f++)
            for (int back = 0; back < 2; back++) {
                set_up(layout == AB ? 0 : 1, (enum layout)layout);
                emu_init(&start_of.flash, d.pages, 2, d.geometry->unit, d.geometry->erased, d.geometry->writes);
                emu_copy(&start_of.flash, &d.flash);
                for (uint32_t n = f; runs < 1000000; n += whole_stride) {
                    struct ota_state s;

                    emu_copy(&d.flash, &start_of.flash);
                    device_forget(&d);
                    d.last_nonce = 0;
                    d.floor = d.seen_floor = 1;
                    d.forgiving = 1;
                    d.behaviour[3] = back ? REJECTS : CONFIRMS;
                    d.flash.fault = faults[f];
                    d.flash.fault_at = n;
                    EXPECT(device_run(&d, 30));
                    if (d.wrong != NULL && failures < 20)
                        printf("     layout %d, fault %u, call %u: %s (%d)\n", layout, f, n, d.wrong, d.err);
                    if (!back)
                        EXPECT(device_installed(&d, &s) == 3);
                    runs++;
                    if (d.flash.calls <= n)
                        break;
                }
                emu_free(&start_of.flash);
            }
    printf("update: %lu runs with a flash call that failed\n", runs);
    d.forgiving = 0;
    d.behaviour[3] = CONFIRMS;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        stride = whole_stride = (uint32_t)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        whole_stride = (uint32_t)strtoul(argv[2], NULL, 10);
    test_U1();
    test_U2();
    test_U3();
    test_U4();
    test_U5();
    test_U6();
    test_U7();
    test_U8();
    test_U9();
    test_O1_to_O4();
    test_O5_O6();
    test_calls_out_of_order_are_refused();
    test_an_installation_can_be_called_off();
    test_a_keyed_device_installs_only_what_its_answer_names();
    test_what_is_refused_changes_nothing();
    test_crypto_that_fails();
    test_other_bytes_are_refused_and_the_release_may_come_again();
    test_what_rots_before_the_read_back_is_refused();
    test_every_chunk_size();
    test_many_pages_have_few_marks();
    test_sources_that_fail();
    test_a_lost_entry_of_the_candidate();
    test_progress_is_told();
    test_policies();
    test_a_damaged_image_gives_way_to_the_retained_one();
    test_a_candidate_that_rots_is_given_up_but_not_remembered();
    test_without_a_backup_the_last_image_stays();
    test_what_was_saved_rots();
    test_the_reason_of_a_revert_is_known();
    test_a_boot_stage_that_asks();
    test_a_boot_stage_comes_to_an_end();
    test_a_first_image_of_unknown_size();
    test_return_to_the_retained_image();
    test_keysets_alternate_between_their_slots();
    test_objects();
    test_the_manifest_is_kept_where_there_is_a_place();
    test_what_a_device_says_of_itself();
    test_areas_that_make_no_sense_are_refused();
    test_each_call_with_each_flash_call_failing();
    test_every_flash_call_failing();
    device_free(&d);
    printf("update: %s\n", failures == 0 ? "ok" : "failed");
    return failures != 0;
}
