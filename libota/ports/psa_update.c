/* Arm IHI 0093, PSA Certified Firmware Update API 1.0.1: the calls of chapter 5 over the states of chapter 4.2, with volatile
 * staging (appendix C.2). tests/psa_update_test.c makes every call in every state. */
#include "psa_update.h"

#include "bytes.h"
#include "psa/update.h"
#include "session.h"

static struct psa_update *bound;

/* What the manifest says and this device may not take is a matter of policy: most of reasons.md. */
static psa_status_t status_of(int err)
{
    switch (err) {
    case OTA_OK:
        return PSA_SUCCESS;
    case OTA_ERR_MALFORMED:
    case OTA_ERR_WRONG_KIND:
    case OTA_ERR_UNSUPPORTED:
    case OTA_ERR_INVALID_FIELD:
        return PSA_ERROR_INVALID_ARGUMENT;
    case OTA_ERR_NOT_ENOUGH_SIGNERS:
    case OTA_ERR_BAD_SIGNATURE:
    case OTA_ERR_IMAGE_DIGEST:
        return PSA_ERROR_INVALID_SIGNATURE;
    case OTA_ERR_IMAGE_SIZE:
    case OTA_ERR_TOO_LARGE:
        return PSA_ERROR_INSUFFICIENT_STORAGE;
    case OTA_ERR_STORAGE:
        return PSA_ERROR_STORAGE_FAILURE;
    case OTA_ERR_TRANSPORT:
        return PSA_ERROR_COMMUNICATION_FAILURE;
    case OTA_ERR_INTERNAL:
        return PSA_ERROR_GENERIC_ERROR; /* and not BAD_STATE, which says that nothing was done */
    default:
        return PSA_ERROR_NOT_PERMITTED;
    }
}

/* What the journal says goes before what happened since the last reset. */
static uint8_t state_of(const struct psa_update *p)
{
    switch (p->session->state.phase) {
    case OTA_INSTALL:
    case OTA_COPY:
        return PSA_FWU_STAGED;
    case OTA_TRIAL:
        return PSA_FWU_TRIAL;
    case OTA_REVERT:
    case OTA_REVERTED:
        return PSA_FWU_REJECTED;
    default:
        return p->state;
    }
}

/* For calls that are about all components: PSA_SUCCESS if there is one in one of those states. */
static psa_status_t demand_any(unsigned states)
{
    return bound != NULL && (states >> state_of(bound) & 1) != 0 ? PSA_SUCCESS : PSA_ERROR_BAD_STATE;
}

static psa_status_t demand(psa_fwu_component_t component, unsigned states)
{
    return bound == NULL || component != 0 ? PSA_ERROR_DOES_NOT_EXIST : demand_any(states);
}

/* An update that failed is cleaned up before the next one. */
static psa_status_t enter(int err, uint8_t state)
{
    bound->error = status_of(err);
    bound->state = err == OTA_OK ? state : PSA_FWU_FAILED;
    return bound->error;
}

void psa_update_bind(struct psa_update *p)
{
    p->state = PSA_FWU_READY;
    p->error = PSA_SUCCESS;
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
    const struct ota_update *u;
    const struct ota_slots *slots;
    unsigned at = 0, other;
    uint32_t receives, runs;
    struct ota_entry running;
    int err;

    if (bound == NULL || component != 0)
        return PSA_ERROR_DOES_NOT_EXIST;
    u = bound->session;
    slots = u->config->slots;
    other = ota_update_other(u);
    receives = slots->image[slots->layout->receives[other]].size;
    runs = ota_slots_running(slots, other)->size;
    ota_fill(info, 0, sizeof *info);
    info->state = state_of(bound);
    if (info->state == PSA_FWU_FAILED || info->state == PSA_FWU_REJECTED)
        info->error = bound->error;
    info->max_size = receives < runs ? receives : runs;
    info->flags = PSA_FWU_FLAG_VOLATILE_STAGING;
    info->impl.reason = u->state.reason;
    err = ota_journal_entry(&u->journal, u->running, &running);
    if (err != OTA_OK)
        return status_of(err);
    info->version.major = (uint8_t)next_number(&running.release.version, &at, UINT8_MAX);
    info->version.minor = (uint8_t)next_number(&running.release.version, &at, UINT8_MAX);
    info->version.patch = (uint16_t)next_number(&running.release.version, &at, UINT16_MAX);
    info->version.build = (uint32_t)running.release.sequence;
    return PSA_SUCCESS;
}

psa_status_t psa_fwu_start(psa_fwu_component_t component, const void *manifest, size_t manifest_size)
{
    psa_status_t status = demand(component, 1u << PSA_FWU_READY);
    struct ota_update *u;
    struct ota_source source;
    uint32_t offset;
    int err;

    if (status != PSA_SUCCESS)
        return status;
    if (manifest == NULL || manifest_size == 0)
        return PSA_ERROR_INVALID_ARGUMENT;
    u = bound->session;
    /* The session would go on where it was. Here an image that a reset or a cancel cut off is discarded: the bytes that
     * had come may be why it was cancelled. */
    if (u->state.phase == OTA_RECEIVING)
        u->state.phase = OTA_IDLE;
    source = ota_source_buffer(manifest, manifest_size);
    err = ota_update_begin(u, &source, bound->held, bound->device, bound->answer, &offset);
    if (err == OTA_OK)
        bound->state = PSA_FWU_WRITING; /* otherwise it stays ready */
    return status_of(err);
}

psa_status_t psa_fwu_write(psa_fwu_component_t component, size_t image_offset, const void *block, size_t block_size)
{
    psa_status_t status = demand(component, 1u << PSA_FWU_WRITING);
    struct ota_update *u;
    int err;

    if (status != PSA_SUCCESS)
        return status;
    u = bound->session;
    if (block_size == 0 || block_size > PSA_FWU_MAX_WRITE_SIZE || image_offset > u->received ||
        block_size > u->size - image_offset)
        return PSA_ERROR_INVALID_ARGUMENT;
    err = ota_update_write(u, (uint32_t)image_offset, block, block_size);
    return enter(err, PSA_FWU_WRITING);
}

psa_status_t psa_fwu_finish(psa_fwu_component_t component)
{
    psa_status_t status = demand(component, 1u << PSA_FWU_WRITING);
    struct ota_update *u;

    if (status != PSA_SUCCESS)
        return status;
    u = bound->session;
    return enter(u->received == u->size ? ota_update_finish(u) : OTA_ERR_INVALID_FIELD, PSA_FWU_CANDIDATE);
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

    return status != PSA_SUCCESS ? status : enter(OTA_OK, PSA_FWU_READY);
}

psa_status_t psa_fwu_install(void)
{
    psa_status_t status = demand_any(1u << PSA_FWU_CANDIDATE);

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

/* Takes back what install ordered. Unlike ota_update_reject it holds nothing against the image, which nobody has
 * tried. */
static int unstage(struct ota_update *u)
{
    if (u->state.phase != OTA_INSTALL)
        return OTA_ERR_INTERNAL;
    u->state.phase = OTA_IDLE;
    u->state.flags &= (uint8_t)OTA_CHECKED;
    return ota_update_store(u);
}

psa_status_t psa_fwu_reject(psa_status_t error)
{
    psa_status_t status = demand_any(1u << PSA_FWU_STAGED | 1u << PSA_FWU_TRIAL);
    int err;

    if (status != PSA_SUCCESS)
        return status;
    /* The server is told one reason for whatever an application finds. */
    err = state_of(bound) == PSA_FWU_STAGED ? unstage(bound->session)
                                            : ota_update_reject(bound->session, OTA_ERR_HEALTH_CHECK);
    if (err != OTA_OK)
        return status_of(err);
    bound->state = PSA_FWU_FAILED;
    bound->error = error;
    return state_of(bound) == PSA_FWU_REJECTED ? PSA_SUCCESS_REBOOT : PSA_SUCCESS;
}

psa_status_t psa_fwu_accept(void)
{
    psa_status_t status = demand_any(1u << PSA_FWU_TRIAL);
    int err;

    if (status != PSA_SUCCESS)
        return status;
    err = ota_update_confirm(bound->session);
    if (err == OTA_OK)
        bound->state = PSA_FWU_UPDATED; /* otherwise it is still on trial */
    return status_of(err);
}
