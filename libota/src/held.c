/* The keyset slots. They stand outside the journal: a keyset is larger than a page's share,
 * and says itself which one is newer. */
#include "bytes.h"
#include "session.h"

/* Opens the newest keyset that is stored, and says in which slot it is. *version is 0 if there is none. */
static unsigned newest(const struct ota_slots *slots, struct ota_source *object, uint32_t *version)
{
    struct ota_source stored[2];
    uint32_t versions[2];
    unsigned found;

    for (unsigned i = 0; i < 2; i++)
        if (ota_object_open(&slots->keyset[i], &stored[i], &versions[i]) != OTA_OK)
            versions[i] = 0;
    found = versions[1] > versions[0];
    ota_copy(object, &stored[found], sizeof *object);
    *version = versions[found];
    return found;
}

int ota_update_held(const struct ota_update *u, struct ota_source *object, struct ota_keyset *held)
{
    uint32_t version;
    int err;

    (void)newest(u->config->slots, object, &version);
    if (version == 0)
        return u->state.keyset_version != 0 ? OTA_ERR_STORAGE : OTA_ERR_NO_DEVICE_KEY;
    err = ota_keyset_open(held, object);
    return err == OTA_OK && held->version < u->state.keyset_version ? OTA_ERR_KEYSET_TOO_OLD : err;
}

int ota_update_keyset(struct ota_update *u, const struct ota_source *object, const struct ota_keyset *held)
{
    const struct ota_slots *slots = u->config->slots;
    ota_verdict verdict = OTA_FAIL;
    struct ota_keyset accepted;
    struct ota_source stored;
    uint32_t version;
    unsigned slot;
    int err = ota_keyset_accept(&accepted, object, held, u->config->ring, &verdict);

    if (err != OTA_OK || verdict != OTA_PASS)
        return err != OTA_OK ? err : OTA_ERR_INTERNAL;
    /* What is being received may be of those whom this keyset revokes: begin decides again. */
    ota_update_close(u);
    slot = newest(slots, &stored, &version);
    err = ota_object_write(&slots->keyset[1 - slot], object, accepted.version);
    if (err != OTA_OK)
        return err;
    if (accepted.version > u->state.keyset_version)
        u->state.keyset_version = accepted.version;
    return ota_update_store(u);
}
