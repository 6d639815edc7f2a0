#include "cbor.h"

#include "bytes.h"
#include "ota/check.h"
#include "ota/keyset.h"

void cbor_list(struct cbor_reader *r, const struct ota_source *from, uint16_t at)
{
    r->from = from;
    r->at = at;
    r->end = from->size;
    r->err = OTA_OK;
    r->flaws = 0;
}

void cbor_open(struct cbor_reader *r, const struct ota_source *from, const struct ota_field *contents)
{
    cbor_list(r, from, contents->at);
    r->end = r->at + contents->size;
}

int cbor_close(struct cbor_reader *r)
{
    if (r->at != r->end)
        cbor_fail(r);
    return r->err;
}

void cbor_fail(struct cbor_reader *r)
{
    if (r->err == OTA_OK)
        r->err = OTA_ERR_MALFORMED;
    r->arg = 0;
    r->high = 0;
}

uint8_t cbor_byte(struct cbor_reader *r)
{
    uint8_t byte = 0;

    if (r->at >= r->end)
        cbor_fail(r);
    if (r->err == OTA_OK)
        r->err = ota_source_read(r->from, r->at++, &byte, 1);
    return byte;
}

/* Reads the head of an item in its one shortest form, of a type of the profile. The
 * contents of a string are within the reader. */
static void head(struct cbor_reader *r)
{
    uint8_t initial = cbor_byte(r);
    unsigned info = initial & 0x1f, size = 0;
    uint32_t least = 0; /* what the argument has to be at least, or else a shorter form would do */

    r->type = initial >> 5;
    r->high = 0;
    r->arg = info;
    if (info >= 24) {
        size = 1u << (info & 3);
        least = size == 1 ? 24 : 1u << (4 * size & 31);
        r->arg = 0;
    }
    for (; size > 0; size--) {
        r->high = r->high << 8 | r->arg >> 24;
        r->arg = r->arg << 8 | cbor_byte(r);
    }
    /* Of the simple values there are false, 20, and true, 21. */
    if (info > 27 || (info == 27 ? r->high : r->arg) < least || r->type == CBOR_TAG ||
        (r->type == CBOR_SIMPLE && (info | 1) != 21) || (r->type == CBOR_NEGATIVE && r->high >> 31 != 0) ||
        ((r->type | 1) == CBOR_TEXT && (r->high != 0 || r->arg > r->end - r->at)) || r->err != OTA_OK)
        cbor_fail(r);
    r->contents = (uint16_t)r->at;
}

/* Reads the contents of a text and checks that they are UTF-8 (RFC 3629): no overlong
 * forms, no surrogates, nothing above U+10FFFF. Says too whether they are a name: at most
 * 64 letters, digits, '.', '_', '-' and ':', the first a letter or digit. */
static void read_text(struct cbor_reader *r)
{
    uint32_t start = r->at, end = start + r->arg;
    uint8_t low = 0x80, high = 0xbf; /* bounds of the next byte of a sequence */
    unsigned left = 0;               /* bytes of the sequence still to come */
    uint8_t is_name = r->arg <= OTA_MAX_NAME;

    while (r->at < end && r->err == OTA_OK) {
        int first = r->at == start;
        uint8_t c = cbor_byte(r);

        if ((uint8_t)(c - '0') >= 10 && (uint8_t)((c | 0x20) - 'a') >= 26 &&
            (first || (c != '.' && c != '_' && c != '-' && c != ':')))
            is_name = 0;
        if (left > 0 ? c < low || c > high : (c >= 0x80 && c < 0xc2) || c > 0xf4)
            cbor_fail(r);
        low = 0x80;
        high = 0xbf;
        if (left > 0) {
            left--;
        } else if (c >= 0x80) {
            left = 1u + (c >= 0xe0) + (c >= 0xf0);
            if (c == 0xe0)
                low = 0xa0;
            if (c == 0xed)
                high = 0x9f;
            if (c == 0xf0)
                low = 0x90;
            if (c == 0xf4)
                high = 0x8f;
        }
    }
    if (left > 0)
        cbor_fail(r);
    r->is_name = is_name;
}

int cbor_compare(const struct ota_source *a, const struct ota_field *in_a, const struct ota_source *b,
                 const struct ota_field *in_b)
{
    for (uint32_t i = 0; i < in_a->size && i < in_b->size; i++) {
        uint8_t x = 0, y = 0;
        int err = ota_source_read(a, in_a->at + i, &x, 1);

        if (err == OTA_OK)
            err = ota_source_read(b, in_b->at + i, &y, 1);
        if (err == OTA_OK && x != y)
            err = x < y ? CBOR_BEFORE : CBOR_AFTER;
        if (err != OTA_OK)
            return err;
    }
    return in_a->size < in_b->size ? CBOR_BEFORE : in_a->size > in_b->size ? CBOR_AFTER : CBOR_SAME;
}

int cbor_same(const struct ota_source *a, const struct ota_field *in_a, const struct ota_source *b,
              const struct ota_field *in_b, int otherwise)
{
    int order = cbor_compare(a, in_a, b, in_b);

    return order > CBOR_SAME ? otherwise : order;
}

int cbor_same_text(const struct ota_source *a, const struct ota_field *in_a, const char *text, int otherwise)
{
    struct ota_field all = {0, (uint16_t)ota_length(text)};
    struct ota_source memory = ota_source_buffer(text, all.size);

    return cbor_same(a, in_a, &memory, &all, otherwise);
}

void cbor_ascend(struct cbor_reader *r, struct ota_field *a, const struct ota_field *b)
{
    int order = r->err != OTA_OK ? r->err : cbor_compare(r->from, a, r->from, b);

    if (order < 0)
        r->err = order;
    else if (order != CBOR_BEFORE)
        cbor_fail(r);
    cbor_keep(a, b);
}

/* Keys from UNCRITICAL on may be skipped, all of them as this one; END is behind them. */
enum { UNCRITICAL = 128, END = 255 };

/* What can be wrong with members; see cbor_read_payload. */
enum { SKIPPED = 1, INVALID = 2, UNSUPPORTED = 4, NO_FORMAT = 8 };

/* Takes the value whose head was read, and the contents too if it is a string. Returns what is
 * wrong with it. What is stored counts only if there is no error. */
static unsigned take(struct cbor_reader *r, uint8_t kind, void *out)
{
    uint32_t any = r->arg | r->high, *number = out;
    struct ota_field *field = out;
    uint8_t type = kind & CBOR_TYPE;
    int bad = r->type != type;

    if (kind == CBOR_FORMAT)
        return bad ? NO_FORMAT : r->arg != 1 || r->high != 0 ? UNSUPPORTED : 0;
    if (type <= CBOR_NEGATIVE) {
        if (type == CBOR_NEGATIVE) {
            bad = r->type > CBOR_NEGATIVE || r->high >> 31 != 0;
            if ((r->high | r->arg >> 31) != 0)
                r->arg = 0;
            r->arg ^= 0u - r->type; /* ~x is -1 - x */
        } else if ((kind & CBOR_WIDE) == 0) {
            bad |= r->high != 0;
        }
        if ((kind & CBOR_WIDE) != 0)
            *(uint64_t *)out = (uint64_t)r->high << 32 | r->arg;
        else
            *number = r->arg;
    } else if (type == CBOR_SIMPLE) {
        any = *number = r->arg & 1; /* 20 is false, 21 is true */
    } else if (type == CBOR_BYTES && (kind & CBOR_WIDE) != 0) {
        bad |= r->arg != OTA_SHA256_SIZE;
        if (!bad) { /* hence no error either: after one the argument is 0 */
            r->err = ota_source_read(r->from, r->contents, out, OTA_SHA256_SIZE);
            any = !ota_is_zero(out, OTA_SHA256_SIZE);
        }
    } else {
        bad |= (kind & CBOR_WIDE) != 0 && !r->is_name;
        field->at = r->contents;
        field->size = (uint16_t)r->arg;
    }
    return bad || (any == 0 && (kind & CBOR_NONZERO) != 0) ? INVALID : 0;
}

/* A container that is being read. */
struct level {
    struct ota_field key; /* the one before */
    uint8_t left;         /* items still to come */
    uint8_t is_map;       /* then an even number left means that a key comes next */
};

/* What is taken of an item: the members of the container at that depth, where the item
 * itself is the one element of a container at depth 0. */
struct shape {
    unsigned depth;
    uint8_t type; /* of the container at depth 1 */
    const struct cbor_member *next, *end;
    void *out;
};

/* Takes the value of the member with that key, whose head was read; but first notes what is
 * missing before it. */
static void take_member(struct cbor_reader *r, struct shape *s, uint32_t key)
{
    for (; s->next < s->end && s->next->key < key; s->next++)
        if ((s->next->kind & CBOR_OPTIONAL) != CBOR_OPTIONAL)
            r->flaws |= s->next->kind == CBOR_FORMAT ? NO_FORMAT : INVALID;
    if (s->next < s->end && s->next->key == key) {
        r->flaws |= take(r, s->next->kind, (uint8_t *)s->out + s->next->offset);
        s->next++;
    } else {
        r->flaws |= key < UNCRITICAL ? UNSUPPORTED : key == UNCRITICAL ? SKIPPED : 0;
    }
}

/* The key of a member whose head was read: an integer that fits 64 bits with a sign. */
static uint32_t key_of(struct cbor_reader *r)
{
    if (r->type > CBOR_NEGATIVE || r->high >> 31 != 0)
        cbor_fail(r);
    if (r->type != CBOR_UINT)
        r->flaws |= UNSUPPORTED;
    return r->type != CBOR_UINT || r->high != 0 || r->arg > UNCRITICAL ? UNCRITICAL : r->arg;
}

/* Reads an item and checks everything in it. */
static void walk(struct cbor_reader *r, struct shape *s)
{
    struct level levels[CBOR_MAX_DEPTH + 1], *now = levels;
    uint32_t key = 0; /* of the member that comes next */

    now->left = 1;
    now->is_map = 0;
    while (r->err == OTA_OK) {
        struct ota_field text = {(uint16_t)r->at, 0};
        int is_member = now == levels + s->depth;

        if (now->left == 0) {
            if (is_member)
                take_member(r, s, END);
            if (now-- == levels)
                return;
            continue;
        }
        head(r);
        if (now == levels && s->depth == 1 && r->type != s->type)
            cbor_fail(r);
        if (r->type == CBOR_TEXT)
            read_text(r);
        if (r->type == CBOR_BYTES)
            r->at += r->arg;
        if (now->is_map && now->left % 2 == 0) {
            text.size = (uint16_t)(r->at - text.at);
            if (r->type > CBOR_TEXT)
                cbor_fail(r);
            cbor_ascend(r, &now->key, &text);
            if (is_member)
                key = key_of(r);
        } else if (is_member) {
            key += !now->is_map;
            take_member(r, s, key);
        }
        now->left--;
        if (r->type == CBOR_ARRAY || r->type == CBOR_MAP) {
            if (now == &levels[CBOR_MAX_DEPTH] || r->high != 0 || r->arg > CBOR_MAX_ELEMENTS) {
                cbor_fail(r);
                break;
            }
            now++;
            now->key.size = 0;
            now->is_map = r->type == CBOR_MAP;
            now->left = (uint8_t)((uint8_t)r->arg << now->is_map);
        }
    }
}

void cbor_skip(struct cbor_reader *r)
{
    struct shape none = {CBOR_MAX_DEPTH + 1, 0, NULL, NULL, NULL};

    walk(r, &none);
}

void cbor_read(struct cbor_reader *r, uint8_t kind, void *out)
{
    struct cbor_member itself = {1, kind, 0};
    struct shape s = {0, 0, &itself, &itself + 1, out};

    walk(r, &s);
    if (r->flaws > SKIPPED)
        cbor_fail(r);
}

void cbor_read_all(struct cbor_reader *r, uint8_t type, const struct cbor_member *members, unsigned count, void *out)
{
    struct shape s = {1, type, members, members + count, out};

    walk(r, &s);
    if (r->flaws != 0)
        cbor_fail(r);
}

int cbor_read_payload(const struct ota_source *from, const struct ota_field *payload,
                      const struct cbor_member *members, unsigned count, void *out)
{
    struct shape s = {1, CBOR_MAP, members, members + count, out};
    struct cbor_reader r;

    if (payload->size > OTA_MAX_PAYLOAD)
        return OTA_ERR_TOO_LARGE;
    cbor_open(&r, from, payload);
    walk(&r, &s);
    if (cbor_close(&r) != OTA_OK)
        return r.err;
    /* The format goes before what it knows, and that before what is wrong in it. */
    if ((r.flaws & (NO_FORMAT | UNSUPPORTED)) == UNSUPPORTED)
        return OTA_ERR_UNSUPPORTED;
    return r.flaws > SKIPPED ? OTA_ERR_INVALID_FIELD : OTA_OK;
}
