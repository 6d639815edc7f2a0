/* The next part of something larger than RAM. */
#ifndef OTA_PART_H
#define OTA_PART_H

#include <stddef.h>
#include <stdint.h>

/* left bytes, but at most so many. */
static inline size_t ota_part(uint32_t left, size_t most)
{
    return left < most ? (size_t)left : most;
}

#endif
