#include "cose.h"

#include "bytes.h"
#include "ota/check.h"
#include "ota/keyset.h"

#define MEMBER(key, kind, member) {key, kind, offsetof(struct cose_object, member)}

/* A COSE_Sign; without its last element a COSE_Signature. */
static const struct cbor_member signed_members[] = {
    MEMBER(1, CBOR_STRING, protected),
    MEMBER(2, CBOR_MAP, unprotected),
    MEMBER(3, CBOR_STRING, payload),
    MEMBER(4, CBOR_LIST, proof),
};

static const struct cbor_member maced_members[] = {
    MEMBER(1, CBOR_STRING, protected),
    MEMBER(2, CBOR_MAP, unprotected),
    MEMBER(3, CBOR_STRING, payload),
    MEMBER(4, CBOR_STRING, proof),
};

enum { SIGNATURE = 3, BODY = 4 }; /* elements */

/* RFC 9052 section 3.1, RFC 9596. */
static const struct cbor_member header_members[] = {
    MEMBER(1, CBOR_INT, header.alg),
    MEMBER(4, CBOR_STRING, header.kid),
    MEMBER(16, CBOR_U64, header.typ),
};

/* Parses the protected header, which holds exactly count of the parameters from first. */
static int parse_header(struct cose_object *o, unsigned first, unsigned count)
{
    struct cbor_reader r;

    cbor_open(&r, o->from, &o->protected);
    cbor_read_all(&r, CBOR_MAP, header_members + first, count, o);
    return cbor_close(&r);
}

/* Reads the array of an object or a signature. */
static void read_array(struct cbor_reader *r, const struct cbor_member *members, unsigned count,
                       struct cose_object *o)
{
    o->from = r->from;
    o->start = r->at + 1;
    cbor_read_all(r, CBOR_ARRAY, members, count, o);
}

/* Parses the tag, the array behind it, which are all of the object, and the header. */
static int parse_body(struct cose_object *o, const struct ota_source *from, uint16_t tag,
                      const struct cbor_member *members, unsigned first, unsigned count)
{
    struct cbor_reader r;
    int err;

    cbor_list(&r, from, 0);
    if ((tag > UINT8_MAX && cbor_byte(&r) != tag >> 8) || cbor_byte(&r) != (uint8_t)tag)
        cbor_fail(&r);
    read_array(&r, members, BODY, o);
    if (r.err == OTA_OK && o->unprotected.size != 0)
        cbor_fail(&r);
    err = cbor_close(&r);
    return err != OTA_OK ? err : parse_header(o, first, count);
}

int cose_read_signature(const struct ota_source *from, uint16_t *at, struct cose_object *s)
{
    struct cbor_reader r;

    cbor_list(&r, from, *at);
    read_array(&r, signed_members, SIGNATURE, s);
    *at = (uint16_t)r.at;
    return r.err != OTA_OK ? r.err : parse_header(s, 0, 2);
}

/* Checks a signature whose structure is right, and that its kid comes after the last. */
static int check_signature(struct cose_object *s, struct ota_field *last)
{
    struct cbor_reader order;
    int err = parse_header(s, 0, 2);

    if (err != OTA_OK)
        return err;
    if (s->unprotected.size != 0 || s->header.kid.size != COSE_KID_SIZE || s->payload.size == 0)
        return OTA_ERR_MALFORMED;
    if (s->payload.size > COSE_MAX_SIGNATURE)
        return OTA_ERR_TOO_LARGE;
    cbor_list(&order, s->from, 0);
    cbor_ascend(&order, last, &s->header.kid);
    return order.err;
}

int cose_parse_signed(struct cose_object *o, const struct ota_source *from, uint16_t typ)
{
    struct ota_field last = {0, 0};
    struct cose_object s;
    struct cbor_reader r;
    int err;

    if (from->size > OTA_MAX_OBJECT)
        return OTA_ERR_TOO_LARGE;
    err = parse_body(o, from, COSE_TAG_SIGN, signed_members, 2, 1);
    if (err != OTA_OK)
        return err;

    /* Structure first: what else is wrong counts only if that is right throughout. */
    if (o->header.typ != typ)
        err = OTA_ERR_WRONG_KIND;
    else if (o->proof.size > COSE_MAX_SIGNATURES)
        err = OTA_ERR_TOO_LARGE;
    cbor_list(&r, from, o->proof.at);
    for (unsigned i = 0; i < o->proof.size; i++) {
        read_array(&r, signed_members, SIGNATURE, &s);
        if (err == OTA_OK && r.err == OTA_OK)
            err = check_signature(&s, &last);
    }
    return r.err != OTA_OK ? r.err : err;
}

int cose_parse_maced(struct cose_object *o, const struct ota_source *from, uint16_t typ)
{
    int err;

    if (from->size > OTA_MAX_MESSAGE)
        return OTA_ERR_TOO_LARGE;
    err = parse_body(o, from, COSE_TAG_MAC0, maced_members, 0, 3);
    if (err == OTA_OK && o->header.typ != typ)
        err = OTA_ERR_WRONG_KIND;
    if (err == OTA_OK && (o->header.alg != COSE_HMAC_256 || o->header.kid.size != COSE_KID_SIZE ||
                          o->proof.size != OTA_SHA256_SIZE))
        err = OTA_ERR_MALFORMED;
    return err;
}

static void add(struct cose_message *m, const struct ota_source *from, uint32_t at, uint32_t end)
{
    struct ota_span *span = &m->spans[m->count++];

    span->from = from;
    span->at = at;
    span->size = end - at;
}

static const uint8_t constants[] = {0x85, 0x69, 'S', 'i', 'g', 'n', 'a', 't', 'u', 'r',
                                    'e',  0x84, 0x64, 'M', 'A', 'C', '0', 0x40};

/* The context is not const for the sake of sources that write; this one does not. */
static const struct ota_source constant = {ota_buffer_read, (void *)constants, sizeof constants};

/* Strings are hashed with their heads as they stand. Between the protected header and the
 * payload is an empty map, one byte. */
void cose_message(struct cose_message *m, const struct cose_object *o, const struct cose_object *signature)
{
    uint32_t end = (uint32_t)o->protected.at + o->protected.size;
    unsigned is_signed = signature != NULL;

    m->count = 0;
    add(m, &constant, is_signed ? 0 : 11, is_signed ? 11 : 17);
    add(m, o->from, o->start, end);
    if (is_signed)
        add(m, o->from, signature->start, (uint32_t)signature->protected.at + signature->protected.size);
    add(m, &constant, sizeof constants - 1, sizeof constants); /* external_aad is empty */
    add(m, o->from, end + 1, (uint32_t)o->payload.at + o->payload.size);
}
