#include "plain_map.h"

#define ARRAY 4u
#define MAP 5u
#define TAG 6u
#define WIDE 8u /* beside a type: the number of the head has more than 32 bits, and is read as UINT32_MAX */

static void pass(struct plain_map *m, uint32_t bytes)
{
    if (bytes > (size_t)(m->end - m->at))
        m->failed = 1;
    else
        m->at += bytes;
}

static uint32_t read_head(struct plain_map *m, unsigned *type)
{
    uint32_t value = 0, high = 0;
    const uint8_t *digit;
    unsigned info;

    *type = PLAIN_NUMBER;
    if (m->failed || m->at == m->end)
        return m->failed = 1, 0;
    *type = *m->at >> 5;
    info = *m->at++ & 31u;
    if (info < 24)
        return info;
    if (info > 27)
        return m->failed = 1, 0;
    digit = m->at;
    pass(m, 1u << (info - 24));
    if (m->failed)
        return 0;
    for (; digit < m->at; digit++) {
        high = high << 8 | value >> 24;
        value = value << 8 | *digit;
    }
    if (high == 0)
        return value;
    *type |= WIDE;
    return UINT32_MAX;
}

/* Passes over an item, whatever it is and whatever is in it. */
static void skip(struct plain_map *m)
{
    for (uint32_t items = 1; items > 0 && !m->failed; items--) {
        unsigned type;
        uint32_t value = read_head(m, &type);
        size_t left = (size_t)(m->end - m->at);

        if ((type & 7u) == PLAIN_BYTES || (type & 7u) == PLAIN_TEXT)
            pass(m, value);
        else if ((type & 7u) == TAG)
            items++;
        else if ((type & 7u) == ARRAY || (type & 7u) == MAP)
            items += value > left ? UINT32_MAX / 2 : (type & 7u) == MAP ? 2 * value : value;
        m->failed |= items > left + 1; /* each of them has a byte */
    }
}

void plain_open(struct plain_map *m, const uint8_t *bytes, size_t size)
{
    unsigned type;

    m->at = bytes;
    m->end = bytes + size;
    m->failed = 0;
    m->pairs = read_head(m, &type);
    m->failed |= type != MAP;
}

int plain_next(struct plain_map *m, struct plain_pair *pair)
{
    unsigned type;

    while (m->pairs > 0 && !m->failed) {
        m->pairs--;
        pair->key = read_head(m, &type);
        m->failed |= (type & 7u) != PLAIN_NUMBER;
        if (pair->key >= 128) {
            skip(m);
            continue;
        }
        pair->value = read_head(m, &type);
        pair->type = (enum plain_type)type;
        pair->bytes = m->at;
        if (type == PLAIN_BYTES || type == PLAIN_TEXT)
            pass(m, pair->value);
        else if (type != PLAIN_NUMBER)
            m->failed = 1;
        if (!m->failed)
            return 1;
    }
    return 0;
}

int plain_closed(const struct plain_map *m)
{
    return !m->failed && m->pairs == 0 && m->at == m->end;
}

void plain_put_raw(struct plain_writer *w, uint32_t value, unsigned bytes)
{
    while (bytes-- > 0) {
        if (w->size < w->capacity)
            w->to[w->size] = (uint8_t)(value >> (8 * bytes));
        w->size++;
    }
}

void plain_put_head(struct plain_writer *w, unsigned type, uint32_t value)
{
    static const uint8_t infos[] = {0, 24, 25, 0, 26};
    unsigned bytes = value < 24 ? 0 : value <= 0xff ? 1 : value <= 0xffff ? 2 : 4;

    plain_put_raw(w, type << 5 | (bytes == 0 ? value : infos[bytes]), 1);
    plain_put_raw(w, value, bytes);
}

void plain_put_map(struct plain_writer *w, unsigned pairs)
{
    plain_put_head(w, MAP, pairs);
}

void plain_put_number(struct plain_writer *w, uint32_t key, uint32_t value)
{
    if (value == 0)
        return;
    plain_put_head(w, PLAIN_NUMBER, key);
    plain_put_head(w, PLAIN_NUMBER, value);
}

void plain_put_string(struct plain_writer *w, uint32_t key, enum plain_type type, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;

    if (size == 0)
        return;
    plain_put_head(w, PLAIN_NUMBER, key);
    plain_put_head(w, type, (uint32_t)size);
    for (; size > 0; size--)
        plain_put_raw(w, *from++, 1);
}
