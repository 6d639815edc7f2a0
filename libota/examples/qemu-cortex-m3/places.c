#include "places.h"

#include "qemu_mps2_flash.h"

#define AREA(at, size) {&qemu_mps2_flash, at, size}

const struct ota_area place_device = AREA(0x00000, 0x1000);
const struct ota_area place_staging = AREA(0x05000, 0x2000);
const struct ota_area place_keys[PLACE_KEYS] = {
    AREA(0x07000, 0x1000), AREA(0x08000, 0x1000), AREA(0x09000, 0x1000), AREA(0x0a000, 0x1000), AREA(0x0b000, 0x1000),
};

/* L3: the image runs in the first slot, is received in the second, and the one that ran before is
 * kept in the third. application.ld links for the first. */
const struct ota_slots place_slots = {
    &ota_layout_overwrite,
    {AREA(0x10000, 0x10000), AREA(0x20000, 0x10000), AREA(0x30000, 0x10000)},
    {AREA(0x01000, 0x1000), AREA(0x02000, 0x1000)},
    {AREA(0x03000, 0x1000), AREA(0x04000, 0x1000)},
    {AREA(0, 0), AREA(0, 0)},
};
