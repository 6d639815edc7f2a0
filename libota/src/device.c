#include "ota/device.h"

#include <stddef.h>

#include "bytes.h"
#include "cbor.h"
#include "object.h"
#include "ota/keyset.h"
#include "ota/slot.h"

/* ---- the row ------------------------------------------------------------------ */

/* Goes over the object. 0 if nothing can follow it. */
static int step_over(struct ota_device_row *r)
{
    uint32_t head = (uint32_t)object_head_size(&r->rest);
    uint32_t size = head + ((r->object.size + head - 1) & ~(head - 1));

    if (size >= r->rest.size)
        return 0;
    r->rest.at += size;
    r->rest.size -= size;
    return 1;
}

/* Finds one of that kind, from here on. */
static int find(struct ota_device_row *r, uint32_t kind)
{
    do {
        if (ota_object_open(&r->rest, &r->object, &r->kind) != OTA_OK)
            return 0;
        if (r->kind == kind)
            return 1;
    } while (step_over(r));
    return 0;
}

int ota_device_first(struct ota_device_row *r, const struct ota_area *area, enum ota_device_kind kind)
{
    ota_copy(&r->rest, area, sizeof r->rest);
    return find(r, (uint32_t)kind);
}

int ota_device_next(struct ota_device_row *r, enum ota_device_kind kind)
{
    return step_over(r) && find(r, (uint32_t)kind);
}

/* ---- what is in it ------------------------------------------------------------- */

/* An identity as it stands there. */
struct fields {
    uint8_t up[OTA_KEY_SIZE];
    uint8_t down[OTA_KEY_SIZE];
    uint32_t generation;
    struct ota_field vendor;
    struct ota_field device_type;
    struct ota_field device;
    struct ota_field hardware;
};

#define COUNT(members) (sizeof(members) / sizeof *(members))
#define MEMBER(key, kind, member) {key, kind, offsetof(struct fields, member)}

static const struct cbor_member members[] = {
    {0, CBOR_FORMAT, 0},
    MEMBER(1, CBOR_NAME, vendor),
    MEMBER(2, CBOR_NAME | CBOR_NONZERO, device_type),
    MEMBER(3, CBOR_NAME | CBOR_NONZERO, device),
    MEMBER(4, CBOR_U32 | CBOR_NONZERO, generation),
    MEMBER(5, CBOR_DIGEST | CBOR_NONZERO, up),
    MEMBER(6, CBOR_DIGEST | CBOR_NONZERO, down),
    MEMBER(7, CBOR_NAME | CBOR_OPTIONAL, hardware),
};

/* Copies a name, which the reader has found short enough, into what is zero behind it. */
static int copy_name(char *to, const struct ota_source *from, const struct ota_field *name)
{
    return ota_source_read(from, name->at, to, name->size);
}

static int open(struct ota_identity *i, const struct ota_source *object)
{
    struct ota_field all = {0, (uint16_t)object->size};
    struct fields f;
    int err;

    if (object->size > OTA_MAX_PAYLOAD)
        return OTA_ERR_TOO_LARGE;
    ota_fill(&f, 0, sizeof f);
    err = cbor_read_payload(object, &all, members, COUNT(members), &f);
    if (err == OTA_OK)
        err = copy_name(i->device_type, object, &f.device_type);
    if (err == OTA_OK)
        err = copy_name(i->device, object, &f.device);
    if (err == OTA_OK)
        err = copy_name(i->hardware, object, &f.hardware);
    ota_copy(i->keys.up, f.up, OTA_KEY_SIZE);
    ota_copy(i->keys.down, f.down, OTA_KEY_SIZE);
    i->generation = f.generation;
    return err;
}

int ota_identity_open(struct ota_identity *i, const struct ota_source *object)
{
    int err;

    ota_fill(i, 0, sizeof *i);
    err = open(i, object);
    if (err != OTA_OK)
        ota_fill(i, 0, sizeof *i);
    return err;
}

int ota_identity_read(struct ota_identity *i, const struct ota_area *area)
{
    struct ota_device_row r;

    ota_fill(i, 0, sizeof *i);
    return ota_device_first(&r, area, OTA_DEVICE_IDENTITY) && ota_identity_open(i, &r.object) == OTA_OK
               ? OTA_OK
               : OTA_ERR_NO_DEVICE_KEY;
}

int ota_device_rsa_key(const struct ota_area *area, const uint8_t id[OTA_SHA256_SIZE], struct ota_rsa_key *key)
{
    uint8_t is[OTA_SHA256_SIZE];
    struct ota_device_row r;

    for (int more = ota_device_first(&r, area, OTA_DEVICE_RSA_KEY); more; more = ota_device_next(&r, OTA_DEVICE_RSA_KEY))
        if (r.object.size == sizeof is + sizeof *key && ota_source_read(&r.object, 0, is, sizeof is) == OTA_OK &&
            ota_equal(is, id, sizeof is) == OTA_PASS)
            return ota_source_read(&r.object, sizeof is, key, sizeof *key) == OTA_OK;
    return 0;
}
