/* Bytes: copies, comparisons and big-endian numbers, for any endianness and
 * alignment, without a libc. */
#ifndef OTA_BYTES_H
#define OTA_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* For a function whose frame must not stand on the stack below a verification. */
#if defined(__GNUC__)
#define OTA_NOINLINE __attribute__((noinline))
#else
#define OTA_NOINLINE
#endif

void ota_copy(void *to, const void *from, size_t size);
void ota_fill(void *to, uint8_t value, size_t size);

/* 1 if all bytes are zero. */
int ota_is_zero(const void *bytes, size_t size);

/* The length of a terminated text; of NULL 0. */
size_t ota_length(const char *text);

uint32_t ota_load32(const uint8_t *p);
void ota_store32(uint8_t *p, uint32_t v);

#endif
