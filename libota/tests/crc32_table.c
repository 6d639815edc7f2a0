/* The CRC of src/crc32.c by a table: most of what a campaign of power cuts does is to read
 * journals, and this one does it in a fifth of the time. tests/journal_test.c and
 * tests/update_test.c run with the one that devices have. */
#include "crc32.h"

uint32_t ota_crc32(uint32_t crc, const uint8_t *bytes, size_t size)
{
    static uint32_t table[256];

    for (uint32_t i = 0; table[255] == 0 && i < 256; i++) {
        uint32_t entry = i;

        for (unsigned bit = 0; bit < 8; bit++)
            entry = entry >> 1 ^ (0xedb88320u & (0u - (entry & 1u)));
        table[i] = entry;
    }
    crc = ~crc;
    while (size-- > 0)
        crc = crc >> 8 ^ table[(crc ^ *bytes++) & 0xff];
    return ~crc;
}
