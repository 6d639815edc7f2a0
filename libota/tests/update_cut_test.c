/* The power is cut in every flash operation of every step. test_U1 to test_U11 are the rows of the table in
 * include/ota/update.h, test_O1 to test_O6 those in src/slot_overwrite.c. */
#include "rig.h"

#include <string.h>

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
    take_steps(START, FINISH);
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
    take_steps(START, INSTALL);
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

static unsigned seen_old, seen_new;

static void check_U10(void)
{
    struct ota_keyset held;
    struct ota_source stored;
    uint32_t offset;

    EXPECT(start() == 2);
    EXPECT(ota_update_held(&u, &stored, &held) == OTA_OK && held.version >= u.state.keyset_version);
    seen_old += held.version == 1;
    seen_new += held.version == 2;
    EXPECT(ota_update_keyset(&u, &d.keyset[2].source, &held) == (held.version == 1 ? OTA_OK : OTA_ERR_KEYSET_NOT_NEWER));
    EXPECT(ota_update_held(&u, &stored, &held) == OTA_OK && held.version == 2);
    EXPECT(begin(3, &offset) == OTA_OK && u.state.keyset_version == 2);
    completes();
}

static void test_U10(void)
{
    EACH_CUT(AB, check_U10, START, KEYSET);
    EXPECT(seen_old > 0 && seen_new > 0);
}

static void check_U11(void)
{
    unsigned runs = start();

    EXPECT(runs == (u.state.phase == OTA_TRIAL ? 1 : 2));
    EXPECT(u.state.phase == OTA_TRIAL ? ota_update_confirm(&u) == OTA_OK : (u.state.flags & OTA_RETAINED) != 0);
    completes();
}

static void test_U11(void)
{
    EACH_CUT(AB, check_U11, START, RETURN);
    EACH_CUT(OVERWRITE_BACKUP, check_U11, START, RETURN);
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

void update_cut_tests(void)
{
    test_U1();
    test_U2();
    test_U3();
    test_U4();
    test_U5();
    test_U6();
    test_U7();
    test_U8();
    test_U9();
    test_U10();
    test_U11();
    test_O1_to_O4();
    test_O5_O6();
}
