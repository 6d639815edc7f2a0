#include "ota/keyset.h"

#include "bytes.h"
#include "cbor.h"
#include "cose.h"
#include "signers.h"

#define MAX_SIGNERS 8
#define COUNT(members) (sizeof(members) / sizeof *(members))
#define MEMBER(key, kind, member) {key, kind, offsetof(struct ota_keyset, member)}

static const struct cbor_member members[] = {
    {0, CBOR_FORMAT, 0},
    MEMBER(1, CBOR_NAME, vendor),
    MEMBER(2, CBOR_NAME | CBOR_NONZERO, device_type),
    MEMBER(3, CBOR_U32 | CBOR_NONZERO, version),
    MEMBER(4, CBOR_LIST | CBOR_NONZERO, roots.list),
    MEMBER(5, CBOR_U32 | CBOR_NONZERO, roots.threshold),
    MEMBER(6, CBOR_LIST | CBOR_NONZERO, releases.list),
    MEMBER(7, CBOR_U32 | CBOR_NONZERO, releases.threshold),
    MEMBER(8, CBOR_U32, security_floor),
    MEMBER(9, CBOR_TRUE | CBOR_OPTIONAL, service_skips_freshness),
};

static const struct cbor_member anchor_members[] = {
    {0, CBOR_FORMAT, 0},
    MEMBER(1, CBOR_NAME, vendor),
    MEMBER(2, CBOR_NAME | CBOR_NONZERO, device_type),
    MEMBER(4, CBOR_LIST | CBOR_NONZERO, roots.list),
    MEMBER(5, CBOR_U32 | CBOR_NONZERO, roots.threshold),
};

/* An entry of a list of signers. Its kid is the beginning of its id. */
struct signer {
    struct ota_field id;
    int32_t alg;
    uint32_t epoch; /* of a root 0 */
};

static const struct cbor_member signer_members[] = {
    {1, CBOR_STRING, offsetof(struct signer, id)},
    {2, CBOR_INT, offsetof(struct signer, alg)},
    {3, CBOR_U32, offsetof(struct signer, epoch)},
};

enum { ROOT = 2, RELEASE = 3 }; /* elements of an entry */

/* Reads the next entry of a list. */
static OTA_NOINLINE void read_signer(struct cbor_reader *r, const struct ota_signers *signers, struct signer *s)
{
    s->epoch = 0;
    cbor_read_all(r, CBOR_ARRAY, signer_members, signers->elements, s);
    if (s->id.size != OTA_SHA256_SIZE)
        cbor_fail(r);
    s->id.size = COSE_KID_SIZE;
}

/* Finds an entry by kid. */
static int signer_of(const struct ota_signers *signers, const struct ota_source *from, const struct ota_field *kid,
                     struct signer *s)
{
    struct cbor_reader r;
    int err = OTA_ERR_NOT_ENOUGH_SIGNERS;

    cbor_list(&r, signers->from, signers->list.at);
    for (unsigned i = 0; i < signers->list.size && err == OTA_ERR_NOT_ENOUGH_SIGNERS; i++) {
        read_signer(&r, signers, s);
        err = r.err != OTA_OK ? r.err : cbor_same(signers->from, &s->id, from, kid, OTA_ERR_NOT_ENOUGH_SIGNERS);
    }
    return err;
}

/* Reads a list and checks its form. Kids ascend, since two keys of one kid could not both
 * sign. */
static int read_signers(const struct ota_signers *signers, struct signer *s)
{
    struct ota_field last = {0, 0};
    struct cbor_reader r;

    cbor_list(&r, signers->from, signers->list.at);
    if (signers->list.size > MAX_SIGNERS || signers->threshold > signers->list.size)
        cbor_fail(&r);
    for (unsigned i = 0; i < signers->list.size && r.err == OTA_OK; i++, s++) {
        read_signer(&r, signers, s);
        cbor_ascend(&r, &last, &s->id);
    }
    return r.err == OTA_ERR_MALFORMED ? OTA_ERR_INVALID_FIELD : r.err;
}

/* Checks both lists. What their entries say counts only if their form is right. No key is
 * both root and release key: that would put the offline key on the build machine. And
 * one epoch has to have as many keys as the threshold asks for. */
static int check_signers(const struct ota_keyset *ks)
{
    struct signer s[2 * MAX_SIGNERS], root;
    unsigned roots = ks->roots.list.size, all = roots + ks->releases.list.size, enough = 0;
    int err = read_signers(&ks->roots, s);

    if (err == OTA_OK)
        err = read_signers(&ks->releases, s + roots);
    for (unsigned i = 0; i < all && err == OTA_OK; i++) {
        unsigned of_epoch = 0;

        if (s[i].alg != OTA_PS256 && s[i].alg != OTA_ESP256 && s[i].alg != OTA_ED25519)
            return OTA_ERR_UNSUPPORTED;
        if (i < roots)
            continue;
        err = signer_of(&ks->roots, ks->from, &s[i].id, &root);
        if (err == OTA_OK || s[i].epoch == 0)
            return OTA_ERR_INVALID_FIELD;
        if (err == OTA_ERR_NOT_ENOUGH_SIGNERS)
            err = OTA_OK;
        for (unsigned j = roots; j < all; j++)
            of_epoch += s[i].epoch == s[j].epoch;
        enough |= of_epoch >= ks->releases.threshold;
    }
    return err == OTA_OK && !enough ? OTA_ERR_INVALID_FIELD : err;
}

static OTA_NOINLINE int decode(struct ota_keyset *ks, struct cose_object *o, const struct ota_source *object)
{
    int err = cose_parse_signed(o, object, COSE_KEYSET);

    ota_fill(ks, 0, sizeof *ks);
    ks->from = ks->roots.from = ks->releases.from = object;
    ks->roots.elements = ROOT;
    ks->releases.elements = RELEASE;
    if (err == OTA_OK)
        err = cbor_read_payload(object, &o->payload, members, COUNT(members), ks);
    return err != OTA_OK ? err : check_signers(ks);
}

int ota_keyset_open(struct ota_keyset *ks, const struct ota_source *object)
{
    struct cose_object o;

    return decode(ks, &o, object);
}

int ota_keyset_anchor(struct ota_keyset *ks, const struct ota_source *anchor)
{
    struct ota_field all = {0, (uint16_t)anchor->size};
    int err;

    ota_fill(ks, 0, sizeof *ks);
    if (anchor->size > OTA_MAX_PAYLOAD)
        return OTA_ERR_TOO_LARGE;
    ks->from = anchor;
    err = cbor_read_payload(anchor, &all, anchor_members, COUNT(anchor_members), ks);
    ks->roots.from = anchor;
    ks->roots.elements = ROOT;
    return err;
}

int ota_keyset_is_for(const struct ota_keyset *held, const struct ota_source *object, const struct ota_field *vendor,
                      const struct ota_field *device_type)
{
    int err = cbor_same(object, vendor, held->from, &held->vendor, OTA_ERR_WRONG_VENDOR);

    return err != OTA_OK ? err
                         : cbor_same(object, device_type, held->from, &held->device_type, OTA_ERR_WRONG_TYPE);
}

int ota_keyset_accept(struct ota_keyset *next, const struct ota_source *object, const struct ota_keyset *held,
                      const struct ota_keyring *ring, ota_verdict *verdict)
{
    ota_verdict by_held = OTA_FAIL, by_own = OTA_FAIL;
    uint32_t epoch; /* roots have none */
    struct cose_object o;
    int err;

    *verdict = OTA_FAIL;
    err = decode(next, &o, object);
    if (err == OTA_OK)
        err = ota_signers_count(&o, &held->roots, ring, &epoch, &by_held);
    if (err == OTA_OK)
        err = ota_signers_count(&o, &next->roots, ring, &epoch, &by_own);
    if (err == OTA_OK)
        err = ota_keyset_is_for(held, object, &next->vendor, &next->device_type);
    if (err == OTA_OK && next->version <= held->version)
        err = OTA_ERR_KEYSET_NOT_NEWER;
    if (err == OTA_OK)
        *verdict = by_held & by_own;
    return err;
}

/* Finds the key of a signature, and its epoch. *key becomes NULL if the signer has no
 * say, or its key is not at hand. */
static OTA_NOINLINE int find_key(const struct cose_object *sig, const struct ota_source *from,
                                 const struct ota_signers *signers, const struct ota_keyring *ring, const void **key,
                                 uint32_t *epoch)
{
    uint8_t id[OTA_SHA256_SIZE];
    struct signer s;
    int err = signer_of(signers, from, &sig->header.kid, &s);

    *key = NULL;
    if (err == OTA_ERR_NOT_ENOUGH_SIGNERS || (err == OTA_OK && s.alg != sig->header.alg))
        return OTA_OK;
    if (err == OTA_OK)
        err = ota_source_read(signers->from, s.id.at, id, sizeof id);
    if (err != OTA_OK)
        return err;
    *key = ring->find(ring->ctx, id, (int)s.alg);
    *epoch = s.epoch;
    return OTA_OK;
}

static OTA_NOINLINE ota_verdict verify_at(const struct cose_object *o, const struct cose_object *sig, const void *key,
                                          const struct ota_keyring *ring, const uint8_t *value)
{
    struct cose_message m;

    cose_message(&m, o, sig);
    return ota_verify(ring, (int)sig->header.alg, key, m.spans, m.count, value, sig->payload.size);
}

/* The same with a signature that is read into RAM first. */
static OTA_NOINLINE int verify_copy(const struct cose_object *o, const struct cose_object *sig, const void *key,
                                    const struct ota_keyring *ring, ota_verdict *verdict)
{
    uint8_t value[OTA_MAX_SIGNATURE];
    int err = ota_source_read(o->from, sig->payload.at, value, sig->payload.size);

    *verdict &= err == OTA_OK ? verify_at(o, sig, key, ring, value) : OTA_FAIL;
    return err;
}

static int verify_one(const struct cose_object *o, const struct cose_object *sig, const void *key,
                      const struct ota_keyring *ring, ota_verdict *verdict)
{
    int err = OTA_OK;

    if (sig->payload.size > OTA_MAX_SIGNATURE)
        return OTA_ERR_BAD_SIGNATURE;
    /* What can be reached by an address is verified where it stands. */
    if (o->from->read == ota_buffer_read)
        *verdict &= verify_at(o, sig, key, ring, (const uint8_t *)o->from->ctx + sig->payload.at);
    else
        err = verify_copy(o, sig, key, ring, verdict);
    if (err != OTA_OK)
        return err;
    return *verdict == OTA_PASS ? OTA_OK : OTA_ERR_BAD_SIGNATURE;
}

int ota_signers_count(const struct cose_object *o, const struct ota_signers *signers, const struct ota_keyring *ring,
                      uint32_t *epoch, ota_verdict *enough)
{
    volatile uint32_t owed = signers->threshold; /* may fall below 0 */
    uint32_t counted = 0;
    ota_verdict all = OTA_PASS;
    uint16_t at = o->proof.at;

    *enough = OTA_FAIL;
    for (unsigned i = 0; i < o->proof.size; i++) {
        struct cose_object sig;
        const void *key = NULL;
        uint32_t of_key;
        int err = cose_read_signature(o->from, &at, &sig);

        if (err == OTA_OK)
            err = find_key(&sig, o->from, signers, ring, &key, &of_key);
        if (err == OTA_OK && key != NULL)
            err = verify_one(o, &sig, key, ring, &all);
        if (err != OTA_OK)
            return err;
        if (key == NULL)
            continue;
        *epoch = counted == 0 || *epoch == of_key ? of_key : 0;
        counted++;
        owed--;
    }
    if (counted < signers->threshold)
        return OTA_ERR_NOT_ENOUGH_SIGNERS;
    if (owed + counted == signers->threshold) /* the same again, from a count of its own */
        *enough = all;
    return OTA_OK;
}
