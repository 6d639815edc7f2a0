#include "bytes.h"

#include "ota/crypto.h"
#include "ota/err.h"

void ota_copy(void *to, const void *from, size_t size)
{
    uint8_t *t = to;
    const uint8_t *f = from;

    while (size-- > 0)
        *t++ = *f++;
}

void ota_fill(void *to, uint8_t value, size_t size)
{
    uint8_t *t = to;

    while (size-- > 0)
        *t++ = value;
}

int ota_is_zero(const void *bytes, size_t size)
{
    const uint8_t *b = bytes;
    uint8_t any = 0;

    while (size-- > 0)
        any |= *b++;
    return any == 0;
}

size_t ota_length(const char *text)
{
    size_t size = 0;

    while (text != NULL && text[size] != '\0')
        size++;
    return size;
}

uint32_t ota_load32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void ota_store32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* The verdict is made by arithmetic, and the count of the bytes that were really
 * compared goes into it: there is no branch whose skipping says "equal". */
ota_verdict ota_equal(const void *a, const void *b, size_t size)
{
    const volatile uint8_t *x = a;
    const volatile uint8_t *y = b;
    uint32_t differ = 0;
    size_t i;

    for (i = 0; i < size; i++)
        differ |= (uint32_t)(x[i] ^ y[i]);
    return (OTA_PASS & (0u - ((differ - 1u) >> 31))) ^ (ota_verdict)(i ^ size);
}
