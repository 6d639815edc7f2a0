/* Areas and their bounds. */
#include "rig.h"

#include <string.h>

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

void flash_tests(void)
{
    test_areas_that_make_no_sense_are_refused();
}
