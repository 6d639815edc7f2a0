#include "bytes.h"
#include "session.h"

/* The digest of what runs is read from flash: what a report says is what is there. */
static int read_back(const struct ota_update *u, struct ota_release *running)
{
    struct ota_sha256 hash;
    int err;

    if (running->image_size == 0)
        return OTA_OK;
    ota_sha256_init(&hash);
    err = ota_image_hash(ota_slots_running(u->config->slots, u->running), running->image_size, &hash);
    ota_sha256_final(&hash, running->image_digest);
    return err;
}

/* Says whether the image that runs is kept when another one is installed: save of src/slot_overwrite.c. */
static int is_kept(const struct ota_slots *slots, uint32_t size)
{
    return slots->layout->install == NULL || (size != 0 && size <= slots->image[slots->layout->keeps[0]].size);
}

static enum ota_boot boot_state(const struct ota_update *u)
{
    if (u->state.phase == OTA_TRIAL && u->running != u->state.installed)
        return OTA_BOOT_TRIAL;
    return (u->state.flags & OTA_FAILED) != 0 ? OTA_BOOT_REVERTED : OTA_BOOT_CONFIRMED;
}

int ota_device_info(const struct ota_update *u, struct ota_device_info *info)
{
    const struct ota_slots *slots = u->config->slots;
    const struct ota_state *s = &u->state;
    struct ota_entry about;
    int err;

    ota_fill(info, 0, sizeof *info);
    if (ota_journal_entry(&u->journal, ota_update_other(u), &about) == OTA_OK &&
        (s->phase != OTA_IDLE || (s->flags & OTA_FAILED) != 0))
        ota_copy(info->manifest_hash, about.manifest_hash, OTA_SHA256_SIZE);
    info->floor_epoch = s->floor_epoch;
    info->floor_counter = s->floor_counter;
    info->keyset_version = s->keyset_version;
    info->received = u->received;
    info->phase = s->phase;
    info->boot = (uint8_t)boot_state(u);
    info->last_error = s->reason;
    err = ota_journal_entry(&u->journal, u->running, &info->running);
    if (!is_kept(slots, info->running.release.image_size))
        info->capabilities = OTA_CAP_NO_REVERT;
    return err != OTA_OK ? err : read_back(u, &info->running.release);
}
