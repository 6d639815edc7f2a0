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
}

/* Reads the head of a container, or of a key of one, with that argument. */
static void exactly(struct cbor_reader *r, uint8_t type, uint32_t arg)
{
    head(r);
    if (r->type != type || r->high != 0 || r->arg != arg)
        cbor_fail(r);
}

/* Skips the contents of a text and checks that they are UTF-8 (RFC 3629): no overlong
 * forms, no surrogates, nothing above U+10FFFF. */
static void skip_text(struct cbor_reader *r)
{
    uint8_t low = 0x80, high = 0xbf; /* bounds of the next byte of a sequence */
    unsigned left = 0;               /* bytes of the sequence still to come */

    for (uint32_t end = r->at + r->arg; r->at < end && r->err == OTA_OK;) {
        uint8_t c = cbor_byte(r);

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
}

void cbor_ascending(struct cbor_reader *r, const struct ota_field *a, const struct ota_field *b)
{
    uint32_t back = r->at;

    for (unsigned i = 0; i <= a->size && r->err == OTA_OK; i++) {
        int p = -1, q = -1; /* the end comes first */

        r->at = (uint32_t)a->at + i;
        if (i < a->size)
            p = cbor_byte(r);
        r->at = (uint32_t)b->at + i;
        if (i < b->size)
            q = cbor_byte(r);
        if (p < q)
            break;
        if (p > q || p < 0)
            cbor_fail(r);
    }
    r->at = back;
}

/* A container that is being read. */
struct level {
    struct ota_field key; /* the one before */
    uint8_t left;         /* items still to come */
    uint8_t is_map;       /* then an even number left means that a key comes next */
};

void cbor_skip(struct cbor_reader *r)
{
    struct level levels[CBOR_MAX_DEPTH + 1], *now = levels; /* the first stands for the item itself */

    now->left = 1;
    now->is_map = 0;
    while (r->err == OTA_OK) {
        struct ota_field key = {(uint16_t)r->at, 0};

        for (; now->left == 0; now--)
            if (now == levels)
                return;
        head(r);
        if (r->type == CBOR_TEXT)
            skip_text(r);
        if (r->type == CBOR_BYTES)
            r->at += r->arg;
        if (now->is_map && now->left % 2 == 0) {
            key.size = (uint16_t)(r->at - key.at);
            if (r->type > CBOR_TEXT)
                cbor_fail(r);
            cbor_ascending(r, &now->key, &key);
            cbor_keep(&now->key, &key);
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

int cbor_same(const struct ota_source *a, const struct ota_field *in_a, const struct ota_source *b,
              const struct ota_field *in_b, int otherwise)
{
    struct cbor_reader x, y;

    cbor_open(&x, a, in_a);
    cbor_open(&y, b, in_b);
    if (in_a->size != in_b->size)
        return otherwise;
    while (x.at < x.end) {
        uint8_t p = cbor_byte(&x), q = cbor_byte(&y);

        if (x.err != OTA_OK || y.err != OTA_OK)
            return x.err != OTA_OK ? x.err : y.err;
        if (p != q)
            return otherwise;
    }
    return OTA_OK;
}

int cbor_same_text(const struct ota_source *a, const struct ota_field *in_a, const char *text, int otherwise)
{
    struct ota_field all = {0, (uint16_t)ota_length(text)};
    struct ota_source memory = ota_source_buffer(text, all.size);

    return cbor_same(a, in_a, &memory, &all, otherwise);
}

/* Checks that the text before the reader is a name: at most 64 letters, digits, '.', '_',
 * '-' and ':', the first a letter or digit. */
static void check_name(struct cbor_reader *r)
{
    uint32_t size = r->arg;
    int bad = size > OTA_MAX_NAME;

    for (uint32_t i = 0; i < size && !bad; i++) {
        uint8_t c = cbor_byte(r);

        bad = (uint8_t)(c - '0') >= 10 && (uint8_t)((c | 0x20) - 'a') >= 26 &&
              (i == 0 || (c != '.' && c != '_' && c != '-' && c != ':'));
    }
    if (bad)
        cbor_fail(r);
}

/* Reads a value of that kind, and leaves the reader anywhere in it. What is stored
 * counts only if there is no error. */
static void read_value(struct cbor_reader *r, uint8_t kind, void *out)
{
    uint8_t type = kind & CBOR_TYPE, form = kind & (CBOR_TYPE | CBOR_WIDE | CBOR_NARROW);
    struct ota_field *field = out;
    uint32_t *number = out;
    uint32_t any;
    int bad;

    head(r);
    bad = r->type != type;
    any = r->arg | r->high;
    if (form == CBOR_INT) {
        bad = r->type > CBOR_NEGATIVE || r->high >> 31 != 0;
        if (r->high != 0 || r->arg > INT32_MAX)
            r->arg = 0;
        *number = r->type == CBOR_NEGATIVE ? ~r->arg : r->arg; /* ~x is -1 - x */
    } else if (form == CBOR_U64) {
        *(uint64_t *)out = (uint64_t)r->high << 32 | r->arg;
    } else if (form == CBOR_DIGEST) {
        bad |= r->arg != OTA_SHA256_SIZE;
        if (!bad && r->err == OTA_OK) {
            r->err = ota_source_read(r->from, r->at, out, OTA_SHA256_SIZE);
            any = r->err != OTA_OK || !ota_is_zero(out, OTA_SHA256_SIZE);
        }
    } else if (form == CBOR_TRUE) {
        any = r->arg == 21;
        *number = any;
    } else if (r->high != 0) {
        bad = 1;
    } else if (type == CBOR_UINT) {
        *number = r->arg;
        bad |= form == CBOR_U8 && r->arg > UINT8_MAX;
    } else {
        field->at = (uint16_t)r->at;
        field->size = (uint16_t)r->arg;
        bad |= r->arg > OTA_MAX_OBJECT;
        if (form == CBOR_NAME)
            check_name(r);
    }
    if (bad || (any == 0 && (kind & CBOR_NONZERO) != 0))
        cbor_fail(r);
}

void cbor_read(struct cbor_reader *r, uint8_t kind, void *out)
{
    uint32_t start = r->at;

    read_value(r, kind, out);
    r->at = start;
    cbor_skip(r);
}

void cbor_read_all(struct cbor_reader *r, uint8_t type, const struct cbor_member *members, unsigned count, void *out)
{
    exactly(r, type, count);
    for (; count > 0; count--, members++) {
        if (type == CBOR_MAP)
            exactly(r, CBOR_UINT, members->key);
        cbor_read(r, members->kind, (uint8_t *)out + members->offset);
    }
}

int cbor_read_payload(const struct ota_source *from, const struct ota_field *payload,
                      const struct cbor_member *members, unsigned count, void *out)
{
    int format = OTA_ERR_INVALID_FIELD, unknown = OTA_OK, invalid = OTA_OK;
    const struct cbor_member *end = members + count;
    struct cbor_reader r;
    uint64_t version;

    if (payload->size > OTA_MAX_PAYLOAD)
        return OTA_ERR_TOO_LARGE;
    cbor_open(&r, from, payload);
    cbor_skip(&r);
    if (r.at != r.end)
        cbor_fail(&r);
    r.at = payload->at;
    head(&r);
    if (r.type != CBOR_MAP)
        cbor_fail(&r);

    /* A key that is not an integer decides, wherever it stands; then the format, then
     * unknown critical keys, then the members. */
    for (uint32_t pairs = r.arg; r.err == OTA_OK; pairs--) {
        uint32_t key = 128, value;

        if (pairs > 0) {
            head(&r);
            if (r.type > CBOR_NEGATIVE || r.high >> 31 != 0)
                cbor_fail(&r);
            if (r.type == CBOR_UINT && r.high == 0 && r.arg < key)
                key = r.arg;
            if (r.type == CBOR_NEGATIVE)
                unknown = OTA_ERR_UNSUPPORTED;
        }
        for (; members < end && members->key < key; members++)
            if ((members->kind & CBOR_OPTIONAL) != CBOR_OPTIONAL)
                invalid = OTA_ERR_INVALID_FIELD;
        if (pairs == 0 || r.err != OTA_OK)
            break;

        value = r.at;
        if (key == 0) {
            read_value(&r, CBOR_U64, &version);
            if (r.err == OTA_OK)
                format = version == 1 ? OTA_OK : OTA_ERR_UNSUPPORTED;
        } else if (members < end && members->key == key) {
            read_value(&r, members->kind, (uint8_t *)out + members->offset);
            members++;
            if (r.err == OTA_ERR_MALFORMED)
                invalid = OTA_ERR_INVALID_FIELD;
        } else if (key < 128) {
            unknown = OTA_ERR_UNSUPPORTED;
        }
        if (r.err == OTA_ERR_MALFORMED)
            r.err = OTA_OK;
        r.at = value;
        cbor_skip(&r);
    }
    if (r.err != OTA_OK)
        return r.err;
    return format != OTA_OK ? format : unknown != OTA_OK ? unknown : invalid;
}
