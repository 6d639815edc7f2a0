#include "ota/check.h"

#include "bytes.h"
#include "cbor.h"
#include "cose.h"

#define MEMBER(key, kind, type, member) {key, kind, offsetof(struct type, member)}
#define COUNT(members) (sizeof(members) / sizeof *(members))

static const struct cbor_member request_members[] = {
    {0, CBOR_FORMAT, 0},
    MEMBER(1, CBOR_TEXT, ota_check_request, device),
    MEMBER(2, CBOR_TEXT, ota_check_request, device_type),
    MEMBER(3, CBOR_U64, ota_check_request, nonce),
    MEMBER(4, CBOR_U64, ota_check_request, sequence),
    MEMBER(5, CBOR_DIGEST, ota_check_request, image_digest),
    MEMBER(6, CBOR_U32, ota_check_request, keyset_version),
    MEMBER(7, CBOR_U32 | CBOR_OPTIONAL, ota_check_request, boot),
    MEMBER(8, CBOR_U32 | CBOR_OPTIONAL, ota_check_request, last_error),
    MEMBER(9, CBOR_TEXT | CBOR_OPTIONAL, ota_check_request, hardware),
    MEMBER(10, CBOR_U32 | CBOR_OPTIONAL, ota_check_request, capabilities),
};

static const struct cbor_member report_members[] = {
    {0, CBOR_FORMAT, 0},
    MEMBER(1, CBOR_TEXT, ota_report, device),
    MEMBER(2, CBOR_TEXT, ota_report, device_type),
    MEMBER(3, CBOR_U64, ota_report, nonce),
    MEMBER(4, CBOR_U32, ota_report, event),
    MEMBER(5, CBOR_U64, ota_report, sequence),
    MEMBER(6, CBOR_DIGEST, ota_report, image_digest),
    MEMBER(7, CBOR_DIGEST | CBOR_OPTIONAL, ota_report, target),
    MEMBER(8, CBOR_U32 | CBOR_OPTIONAL, ota_report, reason),
    MEMBER(9, CBOR_TEXT | CBOR_OPTIONAL, ota_report, detail),
};

static const struct cbor_member response_members[] = {
    {0, CBOR_FORMAT, 0},
    MEMBER(1, CBOR_NAME | CBOR_NONZERO, ota_check_response, device),
    MEMBER(3, CBOR_U64, ota_check_response, nonce),
    MEMBER(4, CBOR_U64, ota_check_response, server_time),
    MEMBER(5, CBOR_U32, ota_check_response, keyset_version),
    MEMBER(6, CBOR_U32, ota_check_response, retry_seconds),
    MEMBER(7, CBOR_DIGEST | CBOR_OPTIONAL, ota_check_response, manifest_hash),
    MEMBER(8, CBOR_U32 | CBOR_OPTIONAL, ota_check_response, manifest_size),
    MEMBER(9, CBOR_LIST | CBOR_OPTIONAL, ota_check_response, patch_entry),
    MEMBER(10, CBOR_TRUE | CBOR_OPTIONAL, ota_check_response, retry_rejected),
};

#define KID_AT 8       /* in a message */
#define PREFIX_SIZE 21 /* up to the payload */

/* The kid of a device key: the beginning of the thumbprint of the symmetric
 * COSE_Key {1: 4, -1: key}. */
static void kid_of(const uint8_t key[OTA_KEY_SIZE], uint8_t kid[OTA_SHA256_SIZE])
{
    static const uint8_t head[6] = {0xa2, 0x01, 0x04, 0x20, 0x58, OTA_KEY_SIZE};
    struct ota_sha256 sha;

    ota_sha256_init(&sha);
    ota_sha256_update(&sha, head, sizeof head);
    ota_sha256_update(&sha, key, OTA_KEY_SIZE);
    ota_sha256_final(&sha, kid);
}

static int mac_of(const struct cose_object *o, const uint8_t key[OTA_KEY_SIZE], uint8_t mac[OTA_SHA256_SIZE])
{
    struct cose_message m;

    cose_message(&m, o, NULL);
    return ota_hmac_sha256(key, m.spans, m.count, mac);
}

/* Writes a COSE_Mac0 around a payload whose size is found by writing it twice. */
static int seal(uint8_t typ, const struct cbor_member *members, unsigned count, const void *payload,
                const uint8_t key[OTA_KEY_SIZE], uint8_t *out, size_t capacity, size_t *size)
{
    /* Tag, array, and the protected header but for kid and the last byte of typ, as it goes
     * on behind the kid. */
    static const uint8_t head[KID_AT] = {COSE_TAG_MAC0, 0x84, 0x51, 0xa3, 0x01, COSE_HMAC_256, 0x04, 0x40 | COSE_KID_SIZE};
    static const uint8_t tail[3] = {16, 0x19, COSE_CHECK_REQUEST >> 8};
    static const uint8_t tag_head[2] = {0x58, OTA_SHA256_SIZE};
    uint8_t prefix[KID_AT + OTA_SHA256_SIZE];
    struct cbor_writer w = {NULL, 0, 0};
    struct ota_source from = ota_source_buffer(out, capacity);
    struct cose_object o;

    if (ota_is_zero(key, OTA_KEY_SIZE))
        return OTA_ERR_NO_DEVICE_KEY;
    cbor_write_payload(&w, members, count, payload);
    o.payload.size = (uint16_t)w.size;
    if (w.size > OTA_MAX_MESSAGE)
        return OTA_ERR_TOO_LARGE;

    kid_of(key, prefix + KID_AT);
    ota_copy(prefix, head, sizeof head);
    ota_copy(prefix + KID_AT + COSE_KID_SIZE, tail, sizeof tail);
    prefix[PREFIX_SIZE - 2] = typ;
    prefix[PREFIX_SIZE - 1] = 0xa0; /* the unprotected header is empty */
    w.out = out;
    w.capacity = capacity < OTA_MAX_MESSAGE ? capacity : OTA_MAX_MESSAGE;
    w.size = 0;
    cbor_put(&w, prefix, PREFIX_SIZE);
    cbor_put_head(&w, CBOR_BYTES, o.payload.size);
    o.payload.at = (uint16_t)w.size;
    cbor_write_payload(&w, members, count, payload);
    cbor_put(&w, tag_head, sizeof tag_head);
    *size = w.size + OTA_SHA256_SIZE;
    if (*size > w.capacity)
        return OTA_ERR_TOO_LARGE;
    o.from = &from;
    o.start = 2;
    o.protected.at = 3;
    o.protected.size = PREFIX_SIZE - 4;
    return mac_of(&o, key, out + w.size);
}

int ota_check_request_encode(const struct ota_check_request *r, const uint8_t up[OTA_KEY_SIZE], uint8_t *out,
                             size_t capacity, size_t *size)
{
    return seal(COSE_CHECK_REQUEST & 0xff, request_members, COUNT(request_members), r, up, out, capacity, size);
}

int ota_report_encode(const struct ota_report *r, const uint8_t up[OTA_KEY_SIZE], uint8_t *out, size_t capacity,
                      size_t *size)
{
    return seal(COSE_REPORT & 0xff, report_members, COUNT(report_members), r, up, out, capacity, size);
}

/* Verifies a message under the down key. */
static int check_mac(const struct cose_object *o, const uint8_t down[OTA_KEY_SIZE], ota_verdict *verdict)
{
    uint8_t want[OTA_SHA256_SIZE], got[OTA_SHA256_SIZE];
    int err;

    if (ota_is_zero(down, OTA_KEY_SIZE))
        return OTA_ERR_NO_DEVICE_KEY;
    kid_of(down, want);
    err = ota_source_read(o->from, o->header.kid.at, got, COSE_KID_SIZE);
    if (err == OTA_OK && ota_equal(got, want, COSE_KID_SIZE) != OTA_PASS)
        err = OTA_ERR_BAD_MAC;
    if (err == OTA_OK)
        err = ota_source_read(o->from, o->proof.at, got, sizeof got);
    if (err == OTA_OK)
        err = mac_of(o, down, want);
    if (err != OTA_OK)
        return err;
    *verdict = ota_equal(got, want, sizeof got) & ota_equal(want, got, sizeof got);
    return *verdict == OTA_PASS ? OTA_OK : OTA_ERR_BAD_MAC;
}

static const struct cbor_member patch_members[] = {
    {1, CBOR_U32, offsetof(struct ota_patch, format)},
    {2, CBOR_U32, offsetof(struct ota_patch, size)},
    {3, CBOR_DIGEST, offsetof(struct ota_patch, digest)},
};

static int check_fields(struct ota_check_response *r, const struct ota_source *from)
{
    struct cbor_reader list;

    cbor_list(&list, from, (uint16_t)(r->patch_entry.at - 1)); /* at its head, which is a byte if there are three */
    if (r->patch_entry.size != 0) {
        cbor_read_all(&list, CBOR_ARRAY, patch_members, COUNT(patch_members), &r->patch);
        if (r->manifest_size == 0 || r->patch.format > UINT8_MAX)
            cbor_fail(&list);
    }
    if (ota_is_zero(r->manifest_hash, OTA_SHA256_SIZE) != (r->manifest_size == 0))
        cbor_fail(&list);
    return list.err == OTA_ERR_MALFORMED ? OTA_ERR_INVALID_FIELD : list.err;
}

int ota_check_response_open(struct ota_check_response *r, const uint8_t *message, size_t size,
                            const uint8_t down[OTA_KEY_SIZE], const char *device, uint64_t nonce,
                            ota_verdict *verdict)
{
    struct ota_source from = ota_source_buffer(message, size);
    ota_verdict by_server = OTA_FAIL;
    struct cose_object o;
    int err;

    *verdict = OTA_FAIL;
    ota_fill(r, 0, sizeof *r);
    if (size == 0 || message[0] != COSE_TAG_MAC0)
        return OTA_ERR_UNAUTHENTICATED; /* a device with a key does not fall back to anything */
    err = cose_parse_maced(&o, &from, COSE_CHECK_RESPONSE);
    if (err == OTA_OK)
        err = check_mac(&o, down, &by_server);
    if (err == OTA_OK)
        err = cbor_read_payload(&from, &o.payload, response_members, COUNT(response_members), r);
    if (err == OTA_OK)
        err = check_fields(r, &from);
    if (err == OTA_OK)
        err = cbor_same_text(&from, &r->device, device, OTA_ERR_WRONG_DEVICE);
    if (err == OTA_OK && r->nonce != nonce)
        err = OTA_ERR_WRONG_NONCE;
    if (err == OTA_OK)
        *verdict = by_server;
    return err;
}

int ota_check_named(const struct ota_check_response *r, const struct ota_source *manifest, ota_verdict *verdict)
{
    uint8_t digest[OTA_SHA256_SIZE];
    int err = ota_source_hash(manifest, digest);

    *verdict = OTA_FAIL;
    if (err != OTA_OK)
        return err;
    if (r->manifest_size == manifest->size)
        *verdict = ota_equal(digest, r->manifest_hash, OTA_SHA256_SIZE) &
                   ota_equal(r->manifest_hash, digest, OTA_SHA256_SIZE);
    return *verdict == OTA_PASS ? OTA_OK : OTA_ERR_NOT_NAMED;
}
