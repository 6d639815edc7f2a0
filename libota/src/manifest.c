#include "ota/manifest.h"

#include "bytes.h"
#include "cbor.h"
#include "cose.h"
#include "lists.h"
#include "signers.h"
#include "version.h"

#define MAX_HARDWARE 16
#define MAX_DOWNGRADE_FROM 32
#define KNOWN_FLAGS (OTA_FLAG_DOWNGRADE | OTA_FLAG_SECURITY)

#define COUNT(members) (sizeof(members) / sizeof *(members))
#define MEMBER(key, kind, member) {key, kind, offsetof(struct ota_manifest, member)}

static const struct cbor_member members[] = {
    {0, CBOR_FORMAT, 0},
    MEMBER(1, CBOR_NAME, vendor),
    MEMBER(2, CBOR_NAME | CBOR_NONZERO, device_type),
    MEMBER(3, CBOR_LIST | CBOR_OPTIONAL, hardware),
    MEMBER(4, CBOR_NAME | CBOR_OPTIONAL, component),
    MEMBER(5, CBOR_U64, sequence),
    MEMBER(6, CBOR_TEXT, version),
    MEMBER(7, CBOR_U32, security_counter),
    MEMBER(8, CBOR_U32, image_size),
    MEMBER(9, CBOR_DIGEST | CBOR_NONZERO, image_digest),
    MEMBER(10, CBOR_U32, encoding),
    MEMBER(11, CBOR_U32 | CBOR_NONZERO, keyset_version),
    MEMBER(12, CBOR_U64 | CBOR_OPTIONAL, expires),
    MEMBER(13, CBOR_U32 | CBOR_OPTIONAL, flags),
    MEMBER(14, CBOR_LIST | CBOR_OPTIONAL, downgrade_from),
    MEMBER(15, CBOR_U64 | CBOR_OPTIONAL, oldest_return),
    MEMBER(16, CBOR_DIGEST | CBOR_OPTIONAL, release_digest),
};

/* The revisions are names, sorted, each once. */
int ota_manifest_for_hardware(const struct ota_manifest *m, const char *revision)
{
    int found = m->hardware.size == 0 ? OTA_OK : OTA_ERR_WRONG_HARDWARE;
    struct ota_field last = {0, 0}, now;
    struct cbor_reader r;

    cbor_list(&r, m->from, m->hardware.at);
    if (m->hardware.size > MAX_HARDWARE)
        cbor_fail(&r);
    for (unsigned i = 0; i < m->hardware.size && r.err == OTA_OK; i++) {
        cbor_read(&r, CBOR_NAME | CBOR_NONZERO, &now);
        cbor_ascend(&r, &last, &now);
        if (found == OTA_ERR_WRONG_HARDWARE)
            found = cbor_same_text(m->from, &now, revision, OTA_ERR_WRONG_HARDWARE);
    }
    return r.err != OTA_OK ? r.err : found;
}

/* The sequences rise and stay below the manifest's own. */
int ota_manifest_for_sequence(const struct ota_manifest *m, uint64_t installed)
{
    int found = OTA_ERR_NOT_APPLICABLE;
    uint64_t last = 0, now = 0;
    struct cbor_reader r;

    cbor_list(&r, m->from, m->downgrade_from.at);
    if (m->downgrade_from.size > MAX_DOWNGRADE_FROM ||
        ((m->flags & OTA_FLAG_DOWNGRADE) != 0) != (m->downgrade_from.size > 0))
        cbor_fail(&r);
    for (unsigned i = 0; i < m->downgrade_from.size && r.err == OTA_OK; i++) {
        cbor_read(&r, CBOR_U64, &now);
        if ((i > 0 && now <= last) || now >= m->sequence)
            cbor_fail(&r);
        if (now == installed)
            found = OTA_OK;
        last = now;
    }
    return r.err != OTA_OK ? r.err : found;
}

int ota_manifest_version(const struct ota_manifest *m, struct ota_version *v)
{
    if (m->version.size > sizeof v->text)
        return OTA_ERR_MALFORMED;
    v->size = (uint8_t)m->version.size;
    return ota_source_read(m->from, m->version.at, v->text, v->size);
}

static OTA_NOINLINE int check_fields(const struct ota_manifest *m)
{
    struct ota_version version;
    int err = ota_manifest_for_hardware(m, NULL);

    if (err == OTA_OK || err == OTA_ERR_WRONG_HARDWARE)
        err = ota_manifest_for_sequence(m, 0);
    if (err == OTA_OK || err == OTA_ERR_NOT_APPLICABLE)
        err = ota_manifest_version(m, &version);
    if (err == OTA_OK && (!ota_version_valid(&version) || m->sequence >> 32 == 0 || (uint32_t)m->sequence == 0 ||
                          m->oldest_return > m->sequence || m->expires >> 40 != 0 ||
                          (m->encoding | m->flags) > UINT8_MAX))
        err = OTA_ERR_MALFORMED;
    if (err != OTA_OK)
        return err == OTA_ERR_MALFORMED ? OTA_ERR_INVALID_FIELD : err;
    if (m->image_size == 0)
        return OTA_ERR_IMAGE_SIZE;
    return m->encoding != 0 || (m->flags & ~KNOWN_FLAGS) != 0 ? OTA_ERR_UNSUPPORTED : OTA_OK;
}

int ota_manifest_verify(struct ota_manifest *m, const struct ota_source *object, const struct ota_keyset *held,
                        const struct ota_keyring *ring, ota_verdict *verdict)
{
    ota_verdict signed_by_enough = OTA_FAIL;
    uint32_t epoch = 0;
    struct cose_object o;
    int err;

    *verdict = OTA_FAIL;
    ota_fill(m, 0, sizeof *m);
    m->from = object;
    err = cose_parse_signed(&o, object, COSE_MANIFEST);
    if (err == OTA_OK)
        err = ota_signers_count(&o, &held->releases, ring, &epoch, &signed_by_enough);
    if (err == OTA_OK)
        err = cbor_read_payload(object, &o.payload, members, COUNT(members), m);
    if (err == OTA_OK)
        err = check_fields(m);
    if (err != OTA_OK)
        return err;
    if (m->sequence >> 32 != epoch) /* a stolen old key must not sign above the new one's epoch */
        return OTA_ERR_WRONG_EPOCH;
    err = ota_keyset_is_for(held, object, &m->vendor, &m->device_type);
    if (err == OTA_OK && m->keyset_version > held->version)
        err = OTA_ERR_KEYSET_TOO_OLD;
    if (err == OTA_OK)
        *verdict = signed_by_enough;
    return err;
}
