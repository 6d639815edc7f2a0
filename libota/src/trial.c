/* The end of an update: confirm, reject, return. */
#include "session.h"

/* The list of rejected images is stored before the state that goes with it: each is true by itself. */
int ota_update_confirm(struct ota_update *u)
{
    struct ota_state *s = &u->state;
    unsigned other = ota_update_other(u);
    struct ota_history h;
    struct ota_entry e;
    int err;

    if (s->phase != OTA_TRIAL || u->running != other)
        return OTA_ERR_INTERNAL;
    err = ota_update_load(u, &h, &e);
    if (err != OTA_OK)
        return err;
    if ((s->flags & OTA_RETURNING) == 0)
        ota_rollback_confirmed(&h, &e.release);
    else if (s->reason == -OTA_ERR_OPERATOR_REQUESTED)
        /* What the operator left would be offered again at once. */
        ota_rollback_rejected(&h, h.installed.image_digest);
    err = ota_journal_set_rejected(&u->journal, &h);
    if (err != OTA_OK)
        return err;
    s->floor_epoch = h.floor_epoch;
    s->floor_counter = h.floor_counter;
    s->installed = (uint8_t)other;
    s->phase = OTA_IDLE;
    s->reason = 0;
    s->flags = (s->flags & (OTA_SAVED | OTA_RETURNING)) == OTA_SAVED ? OTA_RETAINED : 0;
    return ota_update_store(u);
}

int ota_update_reject(struct ota_update *u, int reason)
{
    struct ota_state *s = &u->state;
    uint8_t phase = s->phase;
    int err;

    if (phase != OTA_INSTALL && phase != OTA_TRIAL)
        return OTA_ERR_INTERNAL;
    if (phase == OTA_TRIAL && (s->flags & OTA_SAVED) == 0)
        return OTA_ERR_NOTHING_RETAINED;
    /* What was not installed yet leaves nothing to go back from. */
    s->phase = phase == OTA_INSTALL ? OTA_REVERTED : OTA_REVERT;
    s->reason = (uint8_t)-reason;
    s->mark = 0;
    err = ota_update_store(u);
    return err == OTA_OK && phase == OTA_INSTALL ? ota_update_note_failed(u) : err;
}

int ota_update_return(struct ota_update *u, uint32_t keyset_floor)
{
    const struct ota_slots *slots = u->config->slots;
    ota_verdict allowed = OTA_FAIL, whole = OTA_FAIL;
    struct ota_history h;
    struct ota_entry e;
    int err;

    if (u->state.phase != OTA_IDLE || (u->state.flags & OTA_RETAINED) == 0)
        return OTA_ERR_NOTHING_RETAINED;
    err = ota_update_load(u, &h, &e);
    if (err != OTA_OK)
        return err;
    e.release.confirmed = 1;
    err = ota_rollback_check_return(&h, &e.release, keyset_floor, &allowed);
    if (err == OTA_OK)
        err = ota_image_check(&slots->image[slots->layout->keeps[ota_update_other(u)]], &e.release, &whole);
    if (err != OTA_OK)
        return err;
    u->state.reason = -OTA_ERR_OPERATOR_REQUESTED;
    return allowed == OTA_PASS && whole == OTA_PASS ? ota_update_order(u, OTA_RETURNING) : OTA_ERR_INTERNAL;
}
