/* The keyset slots. They stand outside the journal: a keyset is larger than a page's share,
 * and says itself which one is newer. */
#include "session.h"

/* Opens the newest keyset that is stored; returns its slot, or -1. */
static int newest(const struct ota_slots *slots, struct ota_source *object, uint32_t *version)
{
    int found = -1;

    *version = 0;
    for (int i = 0; i < 2; i++) {
        struct ota_source s;
        uint32_t v;

        if (ota_object_open(&slots->keyset[i], &s, &v) != OTA_OK || v <= *version)
            continue;
        *object = s;
        *version = v;
        found = i;
    }
    return found;
}

int ota_update_held(const struct ota_update *u, struct ota_source *object, struct ota_keyset *held)
{
    uint32_t version;
    int err;

    if (newest(u->config->slots, object, &version) < 0)
        return u->state.keyset_version != 0 ? OTA_ERR_STORAGE : OTA_ERR_NO_DEVICE_KEY;
    err = ota_keyset_open(held, object);
    return err == OTA_OK && held->version < u->state.keyset_version ? OTA_ERR_KEYSET_TOO_OLD : err;
}

int ota_update_keyset(struct ota_update *u, const struct ota_source *object, const struct ota_keyset *held)
{
    struct ota_state next = u->state;
    ota_verdict verdict = OTA_FAIL;
    struct ota_keyset accepted;
    struct ota_source stored;
    uint32_t version;
    int err = ota_keyset_accept(&accepted, object, held, u->config->ring, &verdict);

    if (err != OTA_OK)
        return err;
    if (verdict != OTA_PASS)
        return OTA_ERR_INTERNAL;
    err = ota_object_write(&u->config->slots->keyset[newest(u->config->slots, &stored, &version) == 0], object,
                           accepted.version);
    if (err != OTA_OK)
        return err;
    next.keyset_version = accepted.version;
    return ota_update_change(u, &next);
}
