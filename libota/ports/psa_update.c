#include "psa_update.h"

#include "bytes.h"
#include "psa/update.h"
#include "session.h"

static struct psa_update *bound;

static psa_status_t status_of(int err)
{
    switch (err) {
    case OTA_OK:
        return PSA_SUCCESS;
    case OTA_ERR_NOT_ENOUGH_SIGNERS:
    case OTA_ERR_BAD_SIGNATURE:
    case OTA_ERR_IMAGE_DIGEST:
    case OTA_ERR_BAD_MAC:
    case OTA_ERR_MALFORMED:
        return PSA_ERROR_INVALID_SIGNATURE;
    case OTA_ERR_KEYSET_TOO_OLD:
        return PSA_ERROR_DEPENDENCY_NEEDED;
    case OTA_ERR_UNSUPPORTED:
        return PSA_ERROR_NOT_SUPPORTED;
    case OTA_ERR_IMAGE_SIZE:
    case OTA_ERR_TOO_LARGE:
        return PSA_ERROR_INSUFFICIENT_STORAGE;
    case OTA_ERR_STORAGE:
        return PSA_ERROR_STORAGE_FAILURE;
    case OTA_ERR_TRANSPORT:
        return PSA_ERROR_COMMUNICATION_FAILURE;
    case OTA_ERR_NOTHING_RETAINED:
    case OTA_ERR_UNAUTHENTICATED:
    case OTA_ERR_NOT_NAMED:
    case OTA_ERR_OLD_SEQUENCE:
    case OTA_ERR_OLD_VERSION:
    case OTA_ERR_NOT_APPLICABLE:
    case OTA_ERR_BELOW_FLOOR:
    case OTA_ERR_REJECTED_BEFORE:
        return PSA_ERROR_NOT_PERMITTED;
    case OTA_ERR_INTERNAL:
        return PSA_ERROR_BAD_STATE;
    default:
        return PSA_ERROR_GENERIC_ERROR;
    }
}

/* What the journal says goes before what happened since the last reset. */
static uint8_t state_of(const struct psa_update *p)
{
    const struct ota_state *s = &p->session->state;

    switch (s->phase) {
    case OTA_INSTALL:
    case OTA_COPY:
        return PSA_FWU_STAGED;
    case OTA_TRIAL:
        return PSA_FWU_TRIAL;
    case OTA_REVERT:
    case OTA_REVERTED:
        return PSA_FWU_REJECTED;
    default:
        if (p->state != PSA_FWU_READY)
            return p->state;
        return (s->flags & OTA_FAILED) != 0 ? PSA_FWU_FAILED : PSA_FWU_READY;
    }
}

/* PSA_SUCCESS if the component is there and in one of those states. */
static psa_status_t demand(psa_fwu_component_t component, unsigned states)
{
    if (bound == NULL || component != 0)
        return PSA_ERROR_DOES_NOT_EXIST;
    return (states >> state_of(bound) & 1) != 0 ? PSA_SUCCESS : PSA_ERROR_BAD_STATE;
}

/* An update that failed is cleaned up before the next one. */
static psa_status_t enter(int err, uint8_t state)
{
    bound->error = err;
    bound->state = err == OTA_OK ? state : PSA_FWU_FAILED;
    return status_of(err);
}

void psa_update_bind(struct psa_update *p)
{
    p->state = PSA_FWU_READY;
    p->error = OTA_OK;
    bound = p;
}

/* The next number of a version, as far as it fits. */
static uint32_t next_number(const struct ota_version *v, unsigned *at, uint32_t most)
{
    uint32_t n = 0;

    for (; *at < v->size && v->text[*at] >= '0' && v->text[*at] <= '9'; ++*at)
        n = n > most ? n : n * 10 + (uint32_t)(v->text[*at] - '0');
    ++*at;
    return n > most ? most : n;
}

psa_status_t psa_fwu_query(psa_fwu_component_t component, psa_fwu_component_info_t *info)
{
    const struct ota_slots *slots;
    struct ota_device_info about;
    unsigned at = 0, other;
    uint32_t receives, runs;
    int err;

    if (demand(component, 0xff) != PSA_SUCCESS)
        return PSA_ERROR_DOES_NOT_EXIST;
    err = ota_device_info(bound->session, &about);
    if (err != OTA_OK)
        return status_of(err);
    slots = bound->session->config->slots;
    other = ota_update_other(bound->session);
    receives = slots->image[slots->layout->receives[other]].size;
    runs = ota_slots_running(slots, other)->size;
    ota_fill(info, 0, sizeof *info);
    info->state = state_of(bound);
    if (info->state == PSA_FWU_FAILED || info->state == PSA_FWU_REJECTED)
        info->error = status_of(bound->error != OTA_OK ? bound->error : -(int)about.last_error);
    info->version.major = (uint8_t)next_number(&about.running.release.version, &at, UINT8_MAX);
    info->version.minor = (uint8_t)next_number(&about.running.release.version, &at, UINT8_MAX);
    info->version.patch = (uint16_t)next_number(&about.running.release.version, &at, UINT16_MAX);
    info->version.build = (uint32_t)about.running.release.sequence;
    info->max_size = receives < runs ? receives : runs;
    info->flags = PSA_FWU_FLAG_VOLATILE_STAGING;
    ota_copy(info->impl.image_digest, about.running.release.image_digest, OTA_SHA256_SIZE);
    info->impl.reason = about.last_error;
    return PSA_SUCCESS;
}

psa_status_t psa_fwu_start(psa_fwu_component_t component, const void *manifest, size_t manifest_size)
{
    psa_status_t status = demand(component, 1u << PSA_FWU_READY);
    struct ota_source source;
    uint32_t offset;
    int err;

    if (status != PSA_SUCCESS)
        return status;
    if (manifest == NULL || manifest_size == 0)
        return PSA_ERROR_INVALID_ARGUMENT;
    source = ota_source_buffer(manifest, manifest_size);
    err = ota_update_begin(bound->session, &source, bound->held, bound->device, bound->answer, &offset);
    if (err == OTA_OK)
        bound->state = PSA_FWU_WRITING; /* otherwise it stays ready */
    return status_of(err);
}

psa_status_t psa_fwu_write(psa_fwu_component_t component, size_t image_offset, const void *block, size_t block_size)
{
    psa_status_t status = demand(component, 1u << PSA_FWU_WRITING);
    int err;

    if (status != PSA_SUCCESS)
        return status;
    if (block_size > PSA_FWU_MAX_WRITE_SIZE || image_offset > bound->session->received)
        return PSA_ERROR_INVALID_ARGUMENT;
    err = ota_update_write(bound->session, (uint32_t)image_offset, block, block_size);
    return err == OTA_OK ? PSA_SUCCESS : enter(err, PSA_FWU_FAILED);
}

psa_status_t psa_fwu_finish(psa_fwu_component_t component)
{
    psa_status_t status = demand(component, 1u << PSA_FWU_WRITING);

    return status != PSA_SUCCESS ? status : enter(ota_update_finish(bound->session), PSA_FWU_CANDIDATE);
}

psa_status_t psa_fwu_cancel(psa_fwu_component_t component)
{
    psa_status_t status = demand(component, 1u << PSA_FWU_WRITING | 1u << PSA_FWU_CANDIDATE);

    if (status == PSA_SUCCESS)
        bound->state = PSA_FWU_FAILED;
    return status;
}

psa_status_t psa_fwu_clean(psa_fwu_component_t component)
{
    psa_status_t status = demand(component, 1u << PSA_FWU_FAILED | 1u << PSA_FWU_UPDATED);
    struct ota_state *s;

    if (status != PSA_SUCCESS)
        return status;
    s = &bound->session->state;
    bound->state = PSA_FWU_READY;
    bound->error = OTA_OK;
    if ((s->flags & OTA_FAILED) == 0)
        return PSA_SUCCESS;
    s->flags &= (uint8_t)~OTA_FAILED;
    return status_of(ota_update_store(bound->session));
}

psa_status_t psa_fwu_install(void)
{
    psa_status_t status = demand(0, 1u << PSA_FWU_CANDIDATE);

    if (status == PSA_SUCCESS)
        status = enter(ota_update_install(bound->session), PSA_FWU_READY);
    return status == PSA_SUCCESS ? PSA_SUCCESS_REBOOT : status;
}

psa_status_t psa_fwu_request_reboot(void)
{
    if (bound == NULL || bound->reboot == NULL)
        return PSA_ERROR_NOT_SUPPORTED;
    bound->reboot();
    return PSA_SUCCESS;
}

psa_status_t psa_fwu_reject(psa_status_t error)
{
    psa_status_t status = demand(0, 1u << PSA_FWU_STAGED | 1u << PSA_FWU_TRIAL);
    int err;

    (void)error; /* a report knows one reason for what an application finds */
    if (status != PSA_SUCCESS)
        return status;
    err = ota_update_reject(bound->session, OTA_ERR_HEALTH_CHECK);
    if (err != OTA_OK)
        return status_of(err);
    return state_of(bound) == PSA_FWU_REJECTED ? PSA_SUCCESS_REBOOT : PSA_SUCCESS;
}

psa_status_t psa_fwu_accept(void)
{
    psa_status_t status = demand(0, 1u << PSA_FWU_TRIAL);
    int err;

    if (status != PSA_SUCCESS)
        return status;
    err = ota_update_confirm(bound->session);
    if (err == OTA_OK)
        bound->state = PSA_FWU_UPDATED; /* otherwise it is still on trial */
    return status_of(err);
}
