/* The PSA Firmware Update API over a session, held against Arm IHI 0093 1.0.1: every call in every state, every way
 * between the states, over a reset too, and what each call may return. */
#include <string.h>

#include "../ports/psa_update.h"
#include "device.h"
#include "expect.h"
#include "psa/update.h"

int failures;

static const struct geometry part = {"unit 4, nRF5", 4, 0xff, 2, 512, 4, 1024, 1, 0, 3, 100};
static struct device d;
static struct ota_update u;
static struct ota_keyset held;
static struct ota_source stored;
static struct ota_device about;
static unsigned reboots;
static psa_fwu_component_info_t info;

static void reboot(void)
{
    reboots++;
}

static struct psa_update binding = {&u, &held, &about, NULL, reboot, 0, 0};

/* Starts the device; returns the image that runs. */
static unsigned start(void)
{
    struct ota_start s;

    EXPECT(ota_boot(&d.boot, 0, &s) == OTA_OK);
    EXPECT(ota_update_open(&u, &d.config, s.release) == OTA_OK);
    EXPECT(ota_update_held(&u, &stored, &held) == OTA_OK);
    psa_update_bind(&binding);
    return device_image_in(&d, s.image);
}

/* The state, if error and flags are as they have to be in it. */
static int is(uint8_t state, psa_status_t error)
{
    memset(&info, 0xee, sizeof info);
    return psa_fwu_query(0, &info) == PSA_SUCCESS && info.state == state && info.error == error &&
           info.flags == PSA_FWU_FLAG_VOLATILE_STAGING && info.location == 0;
}

static psa_status_t begin(unsigned id)
{
    return psa_fwu_start(0, d.manifest[id].bytes, d.manifest[id].source.size);
}

static void write_all(unsigned id)
{
    for (uint32_t at = 0; at < d.release[id].size; at += 300) {
        uint32_t n = d.release[id].size - at < 300 ? d.release[id].size - at : 300;

        EXPECT(psa_fwu_write(0, at, d.image[id] + at, n) == PSA_SUCCESS);
    }
}

static void prepare(unsigned id)
{
    EXPECT(begin(id) == PSA_SUCCESS && is(PSA_FWU_WRITING, PSA_SUCCESS));
    write_all(id);
    EXPECT(psa_fwu_finish(0) == PSA_SUCCESS && is(PSA_FWU_CANDIDATE, PSA_SUCCESS));
}

static void stage(unsigned id)
{
    prepare(id);
    EXPECT(psa_fwu_install() == PSA_SUCCESS_REBOOT && is(PSA_FWU_STAGED, PSA_SUCCESS));
}

static void clean(void)
{
    EXPECT(psa_fwu_clean(0) == PSA_SUCCESS && is(PSA_FWU_READY, PSA_SUCCESS));
}

/* Gives an image other bytes, and signs it with that number, and with a version that does not fit into the fields
 * of the API. */
static void release(unsigned id, unsigned number)
{
    struct ota_sha256 hash;

    d.release[id].number = d.release[id].counter = number;
    d.release[id].version = "300.7.70000";
    d.image[id][0] = (uint8_t)number;
    ota_sha256_init(&hash);
    ota_sha256_update(&hash, d.image[id], d.release[id].size);
    ota_sha256_final(&hash, d.release[id].digest);
    signed_manifest(&d.manifest[id], &d.release[id]);
}

enum call { START, WRITE, FINISH, CANCEL, CLEAN, INSTALL, REJECT, ACCEPT, CALLS };

static psa_status_t call(enum call c)
{
    static const uint8_t byte;

    switch (c) {
    case START:
        return psa_fwu_start(0, &byte, 1);
    case WRITE:
        return psa_fwu_write(0, 0, &byte, 1);
    case FINISH:
        return psa_fwu_finish(0);
    case CANCEL:
        return psa_fwu_cancel(0);
    case CLEAN:
        return psa_fwu_clean(0);
    case INSTALL:
        return psa_fwu_install();
    case REJECT:
        return psa_fwu_reject(0);
    default:
        return psa_fwu_accept();
    }
}

/* Which calls each state allows (chapter 4.2, figure 12). */
static const unsigned allowed[] = {
    [PSA_FWU_READY] = 1u << START,
    [PSA_FWU_WRITING] = 1u << WRITE | 1u << FINISH | 1u << CANCEL,
    [PSA_FWU_CANDIDATE] = 1u << INSTALL | 1u << CANCEL,
    [PSA_FWU_STAGED] = 1u << REJECT,
    [PSA_FWU_FAILED] = 1u << CLEAN,
    [PSA_FWU_TRIAL] = 1u << ACCEPT | 1u << REJECT,
    [PSA_FWU_REJECTED] = 0,
    [PSA_FWU_UPDATED] = 1u << CLEAN,
};

/* Makes every call that the state does not allow: it says so, and changes nothing. */
static void refuses_the_rest(uint8_t state, psa_status_t error)
{
    unsigned c;

    EXPECT(is(state, error));
    for (c = 0; c < CALLS; c++)
        if ((allowed[state] >> c & 1) == 0)
            EXPECT(call((enum call)c) == PSA_ERROR_BAD_STATE && is(state, error));
}

static void calls_out_of_order(void)
{
    EXPECT(start() == 1);
    refuses_the_rest(PSA_FWU_READY, PSA_SUCCESS);
    EXPECT(begin(2) == PSA_SUCCESS);
    refuses_the_rest(PSA_FWU_WRITING, PSA_SUCCESS);
    write_all(2);
    EXPECT(psa_fwu_finish(0) == PSA_SUCCESS);
    refuses_the_rest(PSA_FWU_CANDIDATE, PSA_SUCCESS);
    EXPECT(psa_fwu_cancel(0) == PSA_SUCCESS);
    refuses_the_rest(PSA_FWU_FAILED, PSA_SUCCESS);
    clean();
    stage(2);
    refuses_the_rest(PSA_FWU_STAGED, PSA_SUCCESS);
    EXPECT(start() == 2);
    refuses_the_rest(PSA_FWU_TRIAL, PSA_SUCCESS);
    EXPECT(psa_fwu_accept() == PSA_SUCCESS);
    refuses_the_rest(PSA_FWU_UPDATED, PSA_SUCCESS);
    EXPECT(info.version.major == 1 && info.version.minor == 1 && info.version.patch == 0 && info.version.build == 2);
    EXPECT(info.max_size == d.slots.image[0].size);
    clean();
    stage(3);
    EXPECT(start() == 3 && psa_fwu_reject(-1000) == PSA_SUCCESS_REBOOT);
    refuses_the_rest(PSA_FWU_REJECTED, -1000);
    EXPECT(start() == 2 && is(PSA_FWU_READY, PSA_SUCCESS) && info.impl.reason == -OTA_ERR_HEALTH_CHECK);
    /* Whoever rejected it does not want it again. */
    EXPECT(begin(3) == PSA_ERROR_NOT_PERMITTED && is(PSA_FWU_READY, PSA_SUCCESS));
}

/* Staging is volatile: each state but STAGED ends with a reset. */
static void resets(void)
{
    EXPECT(begin(4) == PSA_SUCCESS);
    EXPECT(psa_fwu_write(0, 0, d.image[4], 1000) == PSA_SUCCESS);
    EXPECT(start() == 2 && is(PSA_FWU_READY, PSA_SUCCESS));
    prepare(4);
    EXPECT(start() == 2 && is(PSA_FWU_READY, PSA_SUCCESS));
    EXPECT(begin(4) == PSA_SUCCESS && psa_fwu_cancel(0) == PSA_SUCCESS);
    EXPECT(start() == 2 && is(PSA_FWU_READY, PSA_SUCCESS));
    /* A trial that nobody accepts. */
    d.boot.tries = 1;
    stage(4);
    EXPECT(start() == 4 && is(PSA_FWU_TRIAL, PSA_SUCCESS));
    EXPECT(start() == 2 && is(PSA_FWU_READY, PSA_SUCCESS) && info.impl.reason == -OTA_ERR_TRIES_EXHAUSTED);
    d.boot.tries = TRIES;
    release(4, 5);
    stage(4);
    EXPECT(start() == 4 && start() == 4 && is(PSA_FWU_TRIAL, PSA_SUCCESS));
    EXPECT(psa_fwu_accept() == PSA_SUCCESS && is(PSA_FWU_UPDATED, PSA_SUCCESS) && info.impl.reason == 0);
    EXPECT(start() == 4 && is(PSA_FWU_READY, PSA_SUCCESS) && info.version.build == 5);
    EXPECT(info.version.major == UINT8_MAX && info.version.minor == 7 && info.version.patch == UINT16_MAX);
}

/* What waits for its start can be taken back, and staged again. */
static void a_staged_image_that_is_rejected(void)
{
    release(3, 6);
    stage(3);
    EXPECT(psa_fwu_reject(PSA_ERROR_INSUFFICIENT_POWER) == PSA_SUCCESS);
    EXPECT(is(PSA_FWU_FAILED, PSA_ERROR_INSUFFICIENT_POWER) && u.state.flags == 0);
    EXPECT(start() == 4 && is(PSA_FWU_READY, PSA_SUCCESS));
    stage(3);
    EXPECT(psa_fwu_reject(0) == PSA_SUCCESS && is(PSA_FWU_FAILED, PSA_SUCCESS));
    clean();
    stage(3);
    EXPECT(start() == 3 && psa_fwu_accept() == PSA_SUCCESS);
    clean();
}

static void what_is_not_signed(void)
{
    EXPECT(psa_fwu_start(0, NULL, 0) == PSA_ERROR_INVALID_ARGUMENT);
    EXPECT(psa_fwu_start(0, "", 1) == PSA_ERROR_INVALID_ARGUMENT);
    release(4, 7);
    d.manifest[4].bytes[d.manifest[4].source.size - 1] ^= 1;
    EXPECT(begin(4) == PSA_ERROR_INVALID_SIGNATURE && is(PSA_FWU_READY, PSA_SUCCESS));
    d.manifest[4].bytes[d.manifest[4].source.size - 1] ^= 1;
    EXPECT(begin(1) == PSA_ERROR_NOT_PERMITTED && is(PSA_FWU_READY, PSA_SUCCESS)); /* too old */
    EXPECT(begin(4) == PSA_SUCCESS);
    d.image[4][7] ^= 1;
    write_all(4);
    d.image[4][7] ^= 1;
    EXPECT(psa_fwu_finish(0) == PSA_ERROR_INVALID_SIGNATURE);
    EXPECT(is(PSA_FWU_FAILED, PSA_ERROR_INVALID_SIGNATURE));
    clean();
    /* Cancelled because of what was written: that is gone. */
    EXPECT(begin(4) == PSA_SUCCESS);
    d.image[4][7] ^= 1;
    EXPECT(psa_fwu_write(0, 0, d.image[4], 1000) == PSA_SUCCESS);
    d.image[4][7] ^= 1;
    EXPECT(psa_fwu_cancel(0) == PSA_SUCCESS);
    clean();
    prepare(4);
    EXPECT(psa_fwu_cancel(0) == PSA_SUCCESS);
    clean();
}

static void writes(void)
{
    uint32_t size = d.release[4].size;

    EXPECT(begin(4) == PSA_SUCCESS);
    EXPECT(psa_fwu_write(0, 0, d.image[4], 0) == PSA_ERROR_INVALID_ARGUMENT);
    EXPECT(psa_fwu_write(0, 1, d.image[4], 1) == PSA_ERROR_INVALID_ARGUMENT);
    EXPECT(psa_fwu_write(0, 0, d.image[4], PSA_FWU_MAX_WRITE_SIZE + 1) == PSA_ERROR_INVALID_ARGUMENT);
    EXPECT(is(PSA_FWU_WRITING, PSA_SUCCESS));
    EXPECT(psa_fwu_write(0, 0, d.image[4], PSA_FWU_MAX_WRITE_SIZE) == PSA_SUCCESS);
    EXPECT(psa_fwu_write(0, 1, d.image[4] + 1, 1) == PSA_SUCCESS);
    write_all(4);
    EXPECT(psa_fwu_write(0, size, d.image[4], 1) == PSA_ERROR_INVALID_ARGUMENT);
    EXPECT(psa_fwu_write(0, size - 1, d.image[4], 2) == PSA_ERROR_INVALID_ARGUMENT);
    EXPECT(psa_fwu_write(0, SIZE_MAX, d.image[4], 2) == PSA_ERROR_INVALID_ARGUMENT);
    EXPECT(is(PSA_FWU_WRITING, PSA_SUCCESS) && psa_fwu_finish(0) == PSA_SUCCESS);
    EXPECT(psa_fwu_cancel(0) == PSA_SUCCESS);
    clean();
    /* Not all of it. */
    EXPECT(begin(4) == PSA_SUCCESS && psa_fwu_write(0, 0, d.image[4], 100) == PSA_SUCCESS);
    EXPECT(psa_fwu_finish(0) == PSA_ERROR_INVALID_ARGUMENT && is(PSA_FWU_FAILED, PSA_ERROR_INVALID_ARGUMENT));
    clean();
}

static void components(void)
{
    static const uint8_t byte;

    EXPECT(psa_fwu_query(1, &info) == PSA_ERROR_DOES_NOT_EXIST);
    EXPECT(psa_fwu_start(1, &byte, 1) == PSA_ERROR_DOES_NOT_EXIST);
    EXPECT(psa_fwu_write(1, 0, &byte, 1) == PSA_ERROR_DOES_NOT_EXIST);
    EXPECT(psa_fwu_finish(1) == PSA_ERROR_DOES_NOT_EXIST);
    EXPECT(psa_fwu_cancel(1) == PSA_ERROR_DOES_NOT_EXIST);
    EXPECT(psa_fwu_clean(1) == PSA_ERROR_DOES_NOT_EXIST);
}

static void nothing_is_bound(void)
{
    unsigned c;

    EXPECT(psa_fwu_query(0, &info) == PSA_ERROR_DOES_NOT_EXIST);
    for (c = 0; c < CALLS; c++)
        EXPECT(call((enum call)c) == (c < INSTALL ? PSA_ERROR_DOES_NOT_EXIST : PSA_ERROR_BAD_STATE));
    EXPECT(psa_fwu_request_reboot() == PSA_ERROR_NOT_SUPPORTED);
}

static void die(void)
{
    d.flash.fault = EMU_DEAD;
    d.flash.fault_at = d.flash.calls;
}

static void live(void)
{
    d.flash.fault = EMU_NO_FAULT;
}

static void a_flash_that_fails(void)
{
    EXPECT(psa_fwu_request_reboot() == PSA_SUCCESS && reboots == 1);
    binding.reboot = NULL;
    EXPECT(psa_fwu_request_reboot() == PSA_ERROR_NOT_SUPPORTED);
    EXPECT(begin(4) == PSA_SUCCESS);
    die();
    EXPECT(psa_fwu_write(0, 0, d.image[4], 1000) == PSA_ERROR_STORAGE_FAILURE);
    EXPECT(psa_fwu_query(0, &info) == PSA_ERROR_STORAGE_FAILURE);
    EXPECT(info.state == PSA_FWU_FAILED && info.error == PSA_ERROR_STORAGE_FAILURE);
    live();
    clean();
    stage(4);
    d.flash.fault = EMU_READ_ONLY;
    d.flash.fault_at = d.flash.calls;
    EXPECT(psa_fwu_reject(0) == PSA_ERROR_STORAGE_FAILURE && is(PSA_FWU_STAGED, PSA_SUCCESS));
    live();
    EXPECT(start() == 4 && is(PSA_FWU_TRIAL, PSA_SUCCESS));
    d.flash.fault = EMU_READ_ONLY;
    d.flash.fault_at = d.flash.calls;
    EXPECT(psa_fwu_accept() == PSA_ERROR_STORAGE_FAILURE && is(PSA_FWU_TRIAL, PSA_SUCCESS));
    EXPECT(psa_fwu_reject(0) == PSA_ERROR_STORAGE_FAILURE && is(PSA_FWU_TRIAL, PSA_SUCCESS));
    live();
    EXPECT(psa_fwu_accept() == PSA_SUCCESS && is(PSA_FWU_UPDATED, PSA_SUCCESS));
}

/* A device that keeps no image cannot go back. */
static void nothing_to_go_back_to(void)
{
    device_init(&d, &part, OVERWRITE);
    EXPECT(start() == 1);
    stage(2);
    EXPECT(start() == 2 && psa_fwu_reject(0) == PSA_ERROR_NOT_PERMITTED && is(PSA_FWU_TRIAL, PSA_SUCCESS));
    EXPECT(psa_fwu_accept() == PSA_SUCCESS);
}

int main(void)
{
    nothing_is_bound();
    device_init(&d, &part, AB);
    calls_out_of_order();
    resets();
    a_staged_image_that_is_rejected();
    what_is_not_signed();
    writes();
    components();
    a_flash_that_fails();
    device_free(&d);
    nothing_to_go_back_to();
    device_free(&d);
    printf("psa: %s\n", failures == 0 ? "ok" : "failed");
    return failures != 0;
}
