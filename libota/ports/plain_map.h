/* Maps of CBOR with numbers as keys, and numbers or strings as values: what the frames of the serial
 * line are. For what nobody signs; libota has a reader of its own for what
 * is signed, which is stricter. */
#ifndef PLAIN_MAP_H
#define PLAIN_MAP_H

#include <stddef.h>
#include <stdint.h>

enum plain_type { PLAIN_NUMBER = 0, PLAIN_BYTES = 2, PLAIN_TEXT = 3 };

struct plain_map {
    const uint8_t *at, *end;
    uint32_t pairs; /* still to come */
    int failed;     /* 1: these bytes are no such map */
};

/* A key and its value. */
struct plain_pair {
    uint32_t key;
    enum plain_type type;
    uint32_t value;       /* a number, or the length of a string */
    const uint8_t *bytes; /* of a string */
};

void plain_open(struct plain_map *m, const uint8_t *bytes, size_t size);

/* Reads the next pair; those with keys from 128 on are passed over, whatever their value is. 0 at the end, or if it
 * failed. */
int plain_next(struct plain_map *m, struct plain_pair *pair);

/* 1 if the map was read to its end, and nothing stands behind it. */
int plain_closed(const struct plain_map *m);

/* Collects a map; what does not fit is counted and not written. */
struct plain_writer {
    uint8_t *to;
    size_t size, capacity;
};

/* Begins a map of so many pairs: the numbers of plain_put_number that are not 0, and the strings of
 * plain_put_string that are not empty. */
void plain_put_map(struct plain_writer *w, unsigned pairs);

/* A field is absent if it is 0 or empty. */
void plain_put_number(struct plain_writer *w, uint32_t key, uint32_t value);
void plain_put_string(struct plain_writer *w, uint32_t key, enum plain_type type, const void *bytes, size_t size);

/* A number where it stands, 0 too, and bytes in big-endian order. */
void plain_put_head(struct plain_writer *w, unsigned type, uint32_t value);
void plain_put_raw(struct plain_writer *w, uint32_t value, unsigned bytes);

#endif
