/* The CBOR profile of docs/spec/objects.md section 1: a reader that refuses
 * everything else, and a writer. Neither recurses nor allocates. What an object
 * holds is told by tables, which take less room than code. */
#ifndef OTA_CBOR_H
#define OTA_CBOR_H

#include <stddef.h>
#include <stdint.h>

#include "ota/source.h"

#define CBOR_MAX_DEPTH 6
#define CBOR_MAX_ELEMENTS 64

enum cbor_type { CBOR_UINT, CBOR_NEGATIVE, CBOR_BYTES, CBOR_TEXT, CBOR_ARRAY, CBOR_MAP, CBOR_TAG, CBOR_SIMPLE };

/* A reader walks over a part of a source. The first error stays: OTA_ERR_MALFORMED
 * for what is not accepted, or the source's. After it every number read is 0, so
 * that loops end, and it is enough to look at err before something is used. */
struct cbor_reader {
    const struct ota_source *from;
    uint32_t at; /* where the next byte is read */
    uint32_t end;
    int err;
    uint32_t arg;  /* argument of the head read last, lower half */
    uint32_t high; /* upper half */
    uint16_t contents; /* of the item whose head was read last: where they begin */
    uint8_t type;      /* of that item */
    uint8_t is_name;   /* 1: the text read last is one */
    unsigned flaws;    /* of the members read last */
};

/* Copies a field by its members: as a whole some compilers copy it with memcpy. */
static inline void cbor_keep(struct ota_field *to, const struct ota_field *from)
{
    to->at = from->at;
    to->size = from->size;
}

/* Starts at the contents of a string. */
void cbor_open(struct cbor_reader *r, const struct ota_source *from, const struct ota_field *contents);

/* Starts at the first element of a list, or at the beginning of a source. */
void cbor_list(struct cbor_reader *r, const struct ota_source *from, uint16_t at);

/* Returns the error, which it is too if something is left to be read. */
OTA_MUST_USE int cbor_close(struct cbor_reader *r);

/* Refuses what was read. */
void cbor_fail(struct cbor_reader *r);

/* Reads a byte. */
uint8_t cbor_byte(struct cbor_reader *r);

/* Skips an item and checks everything in it. */
void cbor_skip(struct cbor_reader *r);

/* Kinds of value: a type, and flags. What is read goes to the C type named. */
enum {
    CBOR_U32 = CBOR_UINT,            /* uint32_t */
    CBOR_U64 = CBOR_UINT | 0x08,     /* uint64_t */
    CBOR_FORMAT = CBOR_UINT | 0x10,  /* the format version, 1; goes nowhere */
    CBOR_INT = CBOR_NEGATIVE,        /* int32_t, of either sign; 0 or -1 if it does not fit */
    CBOR_DIGEST = CBOR_BYTES | 0x08, /* uint8_t[32] */
    CBOR_STRING = CBOR_BYTES,        /* struct ota_field */
    /* CBOR_TEXT: struct ota_field when it is read; when it is written a const char *,
     * where NULL is empty */
    CBOR_NAME = CBOR_TEXT | 0x08, /* struct ota_field; a name or empty */
    CBOR_LIST = CBOR_ARRAY,       /* struct ota_field */
    CBOR_TRUE = CBOR_SIMPLE,      /* uint32_t, 1 */

    CBOR_TYPE = 0x07,
    CBOR_WIDE = 0x08,
    CBOR_NONZERO = 0x40, /* neither 0 nor empty */
    CBOR_OPTIONAL = 0xc0 /* of a member: absent when it is 0 or empty, and only then */
};

/* A member of a map, or an element of an array counted from 1, and where it goes in a
 * struct. They stand in ascending order of their keys. */
struct cbor_member {
    uint8_t key;
    uint8_t kind;
    uint8_t offset;
};

/* Reads a value of that kind. */
void cbor_read(struct cbor_reader *r, uint8_t kind, void *out);

/* Reads an array or map that holds exactly these members. */
void cbor_read_all(struct cbor_reader *r, uint8_t type, const struct cbor_member *members, unsigned count, void *out);

/* Reads a payload: a map that is one item of the profile and has the members, each as
 * its kind says, the format first, and beside them only what may be skipped. Members that
 * are absent are left as they are. */
OTA_MUST_USE int cbor_read_payload(const struct ota_source *from, const struct ota_field *payload,
                                   const struct cbor_member *members, unsigned count, void *out);

/* Compares bytes: below 0 is an error of a source. */
enum { CBOR_SAME = 0, CBOR_BEFORE = 1, CBOR_AFTER = 2 };
OTA_MUST_USE int cbor_compare(const struct ota_source *a, const struct ota_field *in_a, const struct ota_source *b,
                              const struct ota_field *in_b);

/* Compares two texts: OTA_OK if they are the same, otherwise if not, or the error of
 * a source. */
OTA_MUST_USE int cbor_same(const struct ota_source *a, const struct ota_field *in_a, const struct ota_source *b,
                           const struct ota_field *in_b, int otherwise);

/* The same with a terminated text in RAM; NULL is empty. */
OTA_MUST_USE int cbor_same_text(const struct ota_source *a, const struct ota_field *in_a, const char *text,
                                int otherwise);

/* Demands that the bytes a come before the bytes b, and keeps b in their place. */
void cbor_ascend(struct cbor_reader *r, struct ota_field *a, const struct ota_field *b);

/* A writer counts every byte, and writes those that fit. */
struct cbor_writer {
    uint8_t *out;
    size_t capacity;
    size_t size;
};

void cbor_put(struct cbor_writer *w, const void *bytes, size_t size);
void cbor_put_head(struct cbor_writer *w, uint8_t type, uint64_t arg);
void cbor_write_payload(struct cbor_writer *w, const struct cbor_member *members, unsigned count, const void *in);

#endif
