#include "cose.h"

#include "bytes.h"
#include "ota/check.h"
#include "ota/keyset.h"

#define COUNT(members) (sizeof(members) / sizeof *(members))

static const struct cbor_member body_members[] = {
    {0, CBOR_STRING, offsetof(struct cose_object, protected)},
    {0, CBOR_MAP, offsetof(struct cose_object, unprotected)},
    {0, CBOR_STRING, offsetof(struct cose_object, payload)},
    {0, CBOR_LIST, offsetof(struct cose_object, proof)},
};

static const struct cbor_member maced_members[] = {
    {0, CBOR_STRING, offsetof(struct cose_object, protected)},
    {0, CBOR_MAP, offsetof(struct cose_object, unprotected)},
    {0, CBOR_STRING, offsetof(struct cose_object, payload)},
    {0, CBOR_STRING, offsetof(struct cose_object, proof)},
};

static const struct cbor_member signature_members[] = {
    {0, CBOR_STRING, offsetof(struct cose_signature, protected)},
    {0, CBOR_MAP, offsetof(struct cose_signature, unprotected)},
    {0, CBOR_STRING, offsetof(struct cose_signature, value)},
};

/* RFC 9052 section 3.1, RFC 9596. */
static const struct cbor_member header_members[] = {
    {1, CBOR_INT, offsetof(struct cose_header, alg)},
    {4, CBOR_STRING, offsetof(struct cose_header, kid)},
    {16, CBOR_U64, offsetof(struct cose_header, typ)},
};

/* Parses a protected header that holds exactly count of the parameters from first. */
static int parse_header(const struct ota_source *from, const struct ota_field *raw, unsigned first, unsigned count,
                        struct cose_header *h)
{
    struct cbor_reader r;

    cbor_open(&r, from, raw);
    cbor_read_all(&r, CBOR_MAP, header_members + first, count, h);
    return cbor_close(&r);
}

/* Parses the tag and the array of four behind it, which are all of the object. */
static int parse_body(struct cose_object *o, const struct ota_source *from, uint16_t tag,
                      const struct cbor_member *members)
{
    struct cbor_reader r;

    o->from = from;
    cbor_list(&r, from, 0);
    if ((tag > UINT8_MAX && cbor_byte(&r) != tag >> 8) || cbor_byte(&r) != (uint8_t)tag)
        cbor_fail(&r);
    cbor_read_all(&r, CBOR_ARRAY, members, COUNT(body_members), o);
    if (r.err == OTA_OK && o->unprotected.size != 0)
        cbor_fail(&r);
    return cbor_close(&r);
}

static int parse_signer(const struct ota_source *from, struct cose_signature *s)
{
    return parse_header(from, &s->protected, 0, 2, &s->header);
}

void cose_read_signature(struct cbor_reader *r, struct cose_signature *s)
{
    cbor_read_all(r, CBOR_ARRAY, signature_members, COUNT(signature_members), s);
    if (r->err == OTA_OK)
        r->err = parse_signer(r->from, s);
}

/* Checks a signature whose structure is right, and that its kid comes after the last. */
static int check_signature(struct cbor_reader *r, struct cose_signature *s, struct ota_field *last)
{
    struct cbor_reader order = {r->from, 0, r->end, OTA_OK, 0, 0, 0};
    int err = parse_signer(r->from, s);

    if (err != OTA_OK)
        return err;
    if (s->unprotected.size != 0 || s->header.kid.size != COSE_KID_SIZE || s->value.size == 0)
        return OTA_ERR_MALFORMED;
    if (s->value.size > COSE_MAX_SIGNATURE)
        return OTA_ERR_TOO_LARGE;
    cbor_ascending(&order, last, &s->header.kid);
    cbor_keep(last, &s->header.kid);
    return order.err;
}

int cose_parse_signed(struct cose_object *o, const struct ota_source *from, uint16_t typ)
{
    struct ota_field last = {0, 0};
    struct cose_signature s;
    struct cbor_reader r;
    int err;

    if (from->size > OTA_MAX_OBJECT)
        return OTA_ERR_TOO_LARGE;
    err = parse_body(o, from, COSE_TAG_SIGN, body_members);
    if (err != OTA_OK)
        return err;

    /* Structure first: what else is wrong counts only if that is right throughout. */
    err = parse_header(from, &o->protected, 2, 1, &o->header);
    if (err == OTA_OK && o->header.typ != typ)
        err = OTA_ERR_WRONG_KIND;
    if (err == OTA_OK && o->proof.size > COSE_MAX_SIGNATURES)
        err = OTA_ERR_TOO_LARGE;
    cbor_list(&r, from, o->proof.at);
    for (unsigned i = 0; i < o->proof.size; i++) {
        cbor_read_all(&r, CBOR_ARRAY, signature_members, COUNT(signature_members), &s);
        if (err == OTA_OK && r.err == OTA_OK)
            err = check_signature(&r, &s, &last);
    }
    return r.err != OTA_OK ? r.err : err;
}

int cose_parse_maced(struct cose_object *o, const struct ota_source *from, uint16_t typ)
{
    int err;

    if (from->size > OTA_MAX_MESSAGE)
        return OTA_ERR_TOO_LARGE;
    err = parse_body(o, from, COSE_TAG_MAC0, maced_members);
    if (err == OTA_OK)
        err = parse_header(from, &o->protected, 0, 3, &o->header);
    if (err == OTA_OK && o->header.typ != typ)
        err = OTA_ERR_WRONG_KIND;
    if (err == OTA_OK && (o->header.alg != COSE_HMAC_256 || o->header.kid.size != COSE_KID_SIZE ||
                          o->proof.size != OTA_SHA256_SIZE))
        err = OTA_ERR_MALFORMED;
    return err;
}

static void add(struct cose_message *m, const struct ota_source *from, uint32_t at, uint32_t size)
{
    struct ota_span *span = &m->spans[m->count++];

    span->from = from;
    span->at = at;
    span->size = size;
}

/* Adds a byte string with its head. */
static void add_string(struct cose_message *m, const struct ota_source *from, const struct ota_field *contents)
{
    uint32_t head = contents->size < 24 ? 1 : contents->size <= UINT8_MAX ? 2 : 3;

    add(m, from, contents->at - head, contents->size + head);
}

void cose_message(struct cose_message *m, const struct ota_source *from, const struct ota_field *protected,
                  const struct ota_field *signer, const struct ota_field *payload)
{
    static const uint8_t constants[] = {0x85, 0x69, 'S', 'i', 'g', 'n', 'a', 't', 'u', 'r',
                                        'e',  0x84, 0x64, 'M', 'A', 'C', '0', 0x40};

    m->constants = ota_source_buffer(constants, sizeof constants);
    m->count = 0;
    add(m, &m->constants, signer != NULL ? 0 : 11, signer != NULL ? 11 : 6);
    add_string(m, from, protected);
    if (signer != NULL)
        add_string(m, from, signer);
    add(m, &m->constants, sizeof constants - 1, 1); /* external_aad is empty */
    add_string(m, from, payload);
}
