/* CRC-32 (ISO-HDLC, that of zip and Ethernet). It finds accidents; it is no defence
 * against who can write the flash. */
#ifndef OTA_CRC32_H
#define OTA_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Continues from crc, which is 0 in the beginning. */
uint32_t ota_crc32(uint32_t crc, const uint8_t *bytes, size_t size);

#endif
