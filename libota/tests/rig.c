#include "rig.h"

#include <string.h>

const struct geometry parts[] = {
    /* name, unit, erased, writes, page, slot pages, journal page, pages of a half, base, odd, chunk */
    {"unit 4, nRF5", 4, 0xff, 2, 512, 4, 1024, 1, 0, 3, 100},
    {"unit 8, STM32G0", 8, 0xff, 1, 512, 4, 1024, 1, 0, 5, 1},
    {"unit 4, many pages", 4, 0xff, 2, 64, 36, 1024, 1, 0, 0, 50},
};

struct device d;
struct ota_update u;
struct ota_device about;

void set_up(unsigned part, enum layout layout)
{
    if (d.flash.bytes != NULL)
        device_free(&d);
    device_init(&d, &parts[part], layout);
    d.target = 2;
    EXPECT(device_run(&d, 10));
    d.target = 3;
}

unsigned start(void)
{
    struct ota_start s;

    if (ota_boot(&d.boot, 0, &s) != OTA_OK || s.image == NULL)
        return 0;
    d.running = device_image_in(&d, s.image);
    if (ota_update_open(&u, &d.config, s.release) != OTA_OK)
        return 0;
    return d.running;
}

unsigned boot_only(void)
{
    struct ota_start s;

    return ota_boot(&d.boot, 0, &s) == OTA_OK && s.image != NULL ? device_image_in(&d, s.image) : 0;
}

int begin(unsigned id, uint32_t *offset)
{
    struct ota_keyset held;
    struct ota_source stored;
    int err = ota_update_held(&u, &stored, &held);

    return err != OTA_OK ? err : ota_update_begin(&u, &d.manifest[id].source, &held, &about, NULL, offset);
}

int receive(unsigned id, uint32_t from, uint32_t to)
{
    int err = OTA_OK;

    for (uint32_t at = from; at < to && err == OTA_OK; at += 97)
        err = ota_update_write(&u, at, d.image[id] + at, to - at < 97 ? to - at : 97);
    return err;
}

int take_step(enum step s)
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

void take_steps(enum step from, enum step to)
{
    for (enum step s = from; s <= to; s++)
        EXPECT(take_step(s) == OTA_OK);
}

/* As it reads now: a record that was cut off late may read right when the journal is opened and wrong
 * after it. */
struct ota_state state_now(void)
{
    struct ota_state s;

    memset(&s, 0xee, sizeof s);
    for (unsigned i = 0; i < 20 && device_installed(&d, &s) == 0; i++)
        ;
    return s;
}

void completes(void)
{
    struct ota_state s;

    EXPECT(device_run(&d, 12));
    EXPECT(device_installed(&d, &s) == 3 && s.phase == OTA_IDLE);
    if (d.wrong != NULL && failures < 20)
        printf("     %s (%d)\n", d.wrong, d.err);
}

void rot_image(unsigned area)
{
    emu_rot(&d.flash, d.slots.image[area].at + 1000, 5);
}
