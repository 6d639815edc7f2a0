/* Return to the retained image, and what a device says of itself. */
#include "rig.h"

#include <string.h>

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

void update_return_tests(void)
{
    test_return_to_the_retained_image();
    test_what_a_device_says_of_itself();
}
