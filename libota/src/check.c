#include "ota/check.h"

#include "bytes.h"
#include "cbor.h"
#include "cose.h"

#define MEMBER(key, kind, type, member) {key, kind, offsetof(struct type, member)}
#define COUNT(members) (sizeof(members) / sizeof *(members))

static const struct cbor_member request_members[] = {
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

static int mac_of(const struct ota_source *from, const struct ota_field *protected, const struct ota_field *payload,
                  const uint8_t key[OTA_KEY_SIZE], uint8_t mac[OTA_SHA256_SIZE])
{
    struct cose_message m;

    cose_message(&m, from, protected, NULL, payload);
    return ota_hmac_sha256(key, m.spans, m.count, mac);
}

/* Writes a COSE_Mac0 around a payload whose size is found by writing it twice. */
static int seal(uint16_t typ, const struct cbor_member *members, unsigned count, const void *payload,
                const uint8_t key[OTA_KEY_SIZE], uint8_t *out, size_t capacity, size_t *size)
{
    static const uint8_t head[] = {COSE_TAG_MAC0, 0x84, 0x51, 0xa3, 0x01, COSE_HMAC_256, 0x04, 0x40 | COSE_KID_SIZE};
    static const uint8_t tag_head[] = {0x58, OTA_SHA256_SIZE};
    static const struct ota_field protected = {3, 17};
    struct cbor_writer w = {NULL, 0, 0};
    struct ota_source from = ota_source_buffer(out, capacity);
    uint8_t thumbprint[OTA_SHA256_SIZE];
    struct ota_field body;

    if (ota_is_zero(key, OTA_KEY_SIZE))
        return OTA_ERR_NO_DEVICE_KEY;
    cbor_write_payload(&w, members, count, payload);
    body.size = (uint16_t)w.size;
    if (w.size > OTA_MAX_MESSAGE)
        return OTA_ERR_TOO_LARGE;

    w.out = out;
    w.capacity = capacity < OTA_MAX_MESSAGE ? capacity : OTA_MAX_MESSAGE;
    w.size = 0;
    kid_of(key, thumbprint);
    cbor_put(&w, head, sizeof head);
    cbor_put(&w, thumbprint, COSE_KID_SIZE);
    cbor_put_head(&w, CBOR_UINT, 16);
    cbor_put_head(&w, CBOR_UINT, typ);
    cbor_put_head(&w, CBOR_MAP, 0);
    cbor_put_head(&w, CBOR_BYTES, body.size);
    body.at = (uint16_t)w.size;
    cbor_write_payload(&w, members, count, payload);
    cbor_put(&w, tag_head, sizeof tag_head);
    if (w.size + OTA_SHA256_SIZE > w.capacity)
        return OTA_ERR_TOO_LARGE;
    *size = w.size + OTA_SHA256_SIZE;
    return mac_of(&from, &protected, &body, key, out + w.size);
}

int ota_check_request_encode(const struct ota_check_request *r, const uint8_t up[OTA_KEY_SIZE], uint8_t *out,
                             size_t capacity, size_t *size)
{
    return seal(COSE_CHECK_REQUEST, request_members, COUNT(request_members), r, up, out, capacity, size);
}

int ota_report_encode(const struct ota_report *r, const uint8_t up[OTA_KEY_SIZE], uint8_t *out, size_t capacity,
                      size_t *size)
{
    return seal(COSE_REPORT, report_members, COUNT(report_members), r, up, out, capacity, size);
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
        err = mac_of(o->from, &o->protected, &o->payload, down, want);
    if (err != OTA_OK)
        return err;
    *verdict = ota_equal(got, want, sizeof got) & ota_equal(want, got, sizeof got);
    return *verdict == OTA_PASS ? OTA_OK : OTA_ERR_BAD_MAC;
}

static const struct cbor_member patch_members[] = {
    {0, CBOR_U8, offsetof(struct ota_patch, format)},
    {0, CBOR_U32, offsetof(struct ota_patch, size)},
    {0, CBOR_DIGEST, offsetof(struct ota_patch, digest)},
};

static int check_fields(struct ota_check_response *r, const struct ota_source *from)
{
    struct cbor_reader list;

    cbor_list(&list, from, (uint16_t)(r->patch_entry.at - 1)); /* at its head, which is a byte if there are three */
    if (r->patch_entry.size != 0) {
        cbor_read_all(&list, CBOR_ARRAY, patch_members, COUNT(patch_members), &r->patch);
        if (r->manifest_size == 0)
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
    struct ota_span all = {manifest, 0, manifest->size};
    uint8_t digest[OTA_SHA256_SIZE];
    struct ota_sha256 sha;
    int err;

    *verdict = OTA_FAIL;
    ota_sha256_init(&sha);
    err = ota_sha256_spans(&sha, &all, 1);
    ota_sha256_final(&sha, digest);
    if (err != OTA_OK)
        return err;
    if (r->manifest_size != manifest->size)
        return OTA_ERR_NOT_NAMED;
    *verdict = ota_equal(digest, r->manifest_hash, OTA_SHA256_SIZE) &
               ota_equal(r->manifest_hash, digest, OTA_SHA256_SIZE);
    return *verdict == OTA_PASS ? OTA_OK : OTA_ERR_NOT_NAMED;
}
