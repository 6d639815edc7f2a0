/* Signed objects in flash: keysets, manifests. */
#include "rig.h"

#include <string.h>

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

void held_tests(void)
{
    test_keysets_alternate_between_their_slots();
    test_objects();
    test_the_manifest_is_kept_where_there_is_a_place();
}
