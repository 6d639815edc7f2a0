/* The end of an update: confirm, reject, return. */
#include "bytes.h"
#include "session.h"

/* What confirming r makes of the history. The list of rejected images is stored before the state
 * that goes with it: each is true by itself. */
static int confirm_history(struct ota_update *u, const struct ota_release *r, struct ota_state *next)
{
    struct ota_history h;
    int err = ota_journal_history(&u->journal, &u->state, &h);

    if (err != OTA_OK)
        return err;
    if ((next->flags & OTA_RETURNING) == 0)
        ota_rollback_confirmed(&h, r);
    else {
        /* What the operator left would be offered again at once. */
        if (next->reason == -OTA_ERR_OPERATOR_REQUESTED)
            ota_rollback_rejected(&h, h.installed.image_digest);
        ota_rollback_returned(&h, r);
    }
    next->floor_epoch = h.floor_epoch;
    next->floor_counter = h.floor_counter;
    return ota_journal_set_rejected(&u->journal, &h);
}

int ota_update_confirm(struct ota_update *u)
{
    struct ota_state next = u->state;
    unsigned other = ota_update_other(u);
    struct ota_entry e;
    int err;

    if (next.phase != OTA_TRIAL || u->running != other)
        return OTA_ERR_INTERNAL;
    err = ota_journal_entry(&u->journal, other, &e);
    if (err == OTA_OK)
        err = confirm_history(u, &e.release, &next);
    if (err != OTA_OK)
        return err;
    next.installed = (uint8_t)other;
    next.phase = OTA_IDLE;
    next.reason = 0;
    next.flags = (next.flags & (OTA_SAVED | OTA_RETURNING)) == OTA_SAVED ? OTA_RETAINED : 0;
    return ota_update_change(u, &next);
}

int ota_update_reject(struct ota_update *u, int reason)
{
    struct ota_state next = u->state;
    int err;

    if (next.phase != OTA_INSTALL && next.phase != OTA_TRIAL)
        return OTA_ERR_INTERNAL;
    if (next.phase == OTA_TRIAL && (next.flags & OTA_SAVED) == 0)
        return OTA_ERR_NOTHING_RETAINED;
    /* What was not installed yet leaves nothing to go back from. */
    next.phase = next.phase == OTA_INSTALL ? OTA_REVERTED : OTA_REVERT;
    next.reason = (uint8_t)-reason;
    next.mark = 0;
    err = ota_update_change(u, &next);
    return err == OTA_OK && next.phase == OTA_REVERTED ? ota_update_note_failed(u) : err;
}

int ota_update_return(struct ota_update *u, uint32_t keyset_floor)
{
    const struct ota_slots *slots = u->config->slots;
    unsigned other = ota_update_other(u);
    struct ota_state next = u->state;
    ota_verdict allowed = OTA_FAIL, whole = OTA_FAIL;
    struct ota_history h;
    struct ota_entry e;
    int err;

    if (next.phase != OTA_IDLE || (next.flags & OTA_RETAINED) == 0)
        return OTA_ERR_NOTHING_RETAINED;
    err = ota_journal_history(&u->journal, &next, &h);
    if (err == OTA_OK)
        err = ota_journal_entry(&u->journal, other, &e);
    if (err != OTA_OK)
        return err;
    e.release.confirmed = 1;
    err = ota_rollback_check_return(&h, &e.release, keyset_floor, &allowed);
    if (err == OTA_OK)
        err = ota_image_check(&slots->image[slots->layout->keeps[other]], &e.release, &whole);
    if (err != OTA_OK)
        return err;
    if (allowed != OTA_PASS || whole != OTA_PASS)
        return OTA_ERR_INTERNAL;
    next.phase = OTA_INSTALL;
    next.mark = 0;
    next.reason = -OTA_ERR_OPERATOR_REQUESTED;
    next.flags = ota_update_flags(u, OTA_RETURNING);
    return ota_update_change(u, &next);
}
