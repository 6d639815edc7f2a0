/* Reads the files of testvectors/ (format: testvectors/README.md). */
#ifndef VECTORS_H
#define VECTORS_H

#include <stddef.h>
#include <stdint.h>

#define MAX_LINES 48
#define MAX_BYTES 16384

struct line {
    const char *key;
    const char *value;
};

/* A vector: its own lines, and those of the file's context. */
struct vector {
    const char *file;
    const char *kind;
    const char *name;
    int expect; /* 0: accept; otherwise minus a reason */
    size_t own, context;
    struct line lines[2][MAX_LINES];
};

/* Calls run for every vector of a file and returns their number. Whatever is wrong
 * with the file ends the program. */
size_t vectors_read(const char *path, void (*run)(const struct vector *));

/* The n-th value of a key, NULL if there is none. */
const char *vector_nth(const struct vector *v, const char *key, size_t n);

/* The value of a key, "" if it is absent. */
const char *vector_text(const struct vector *v, const char *key);
uint64_t vector_number(const struct vector *v, const char *key);

/* Decodes hex into out, of at least MAX_BYTES, and returns the number of bytes. */
size_t from_hex(const char *hex, uint8_t *out);
size_t vector_bytes(const struct vector *v, const char *key, uint8_t *out);

#endif
