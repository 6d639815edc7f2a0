#include "plain_map.h"

#define MAP 5u

static uint32_t read_head(struct plain_map *m, unsigned *type)
{
    unsigned info, bytes;
    uint32_t value = 0;

    *type = PLAIN_NUMBER;
    if (m->failed || m->at == m->end)
        return m->failed = 1, 0;
    *type = *m->at >> 5;
    info = *m->at++ & 31u;
    if (info < 24)
        return info;
    bytes = 1u << (info - 24);
    if (info > 26 || bytes > (size_t)(m->end - m->at))
        return m->failed = 1, 0;
    while (bytes-- > 0)
        value = value << 8 | *m->at++;
    return value;
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
        m->failed |= type != PLAIN_NUMBER;
        pair->value = read_head(m, &type);
        pair->type = (enum plain_type)type;
        pair->bytes = m->at;
        if (type == PLAIN_BYTES || type == PLAIN_TEXT) {
            if (pair->value > (size_t)(m->end - m->at))
                m->failed = 1;
            else
                m->at += pair->value;
        } else if (type != PLAIN_NUMBER) {
            m->failed = 1;
        }
        if (!m->failed && pair->key < 128)
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
