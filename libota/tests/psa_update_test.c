/* The PSA Firmware Update API over a session: every state and every way between them. */
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

static psa_fwu_component_info_t query(void)
{
    psa_fwu_component_info_t info;

    memset(&info, 0xee, sizeof info);
    EXPECT(psa_fwu_query(0, &info) == PSA_SUCCESS);
    return info;
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

static void stage(unsigned id)
{
    EXPECT(begin(id) == PSA_SUCCESS && query().state == PSA_FWU_WRITING);
    write_all(id);
    EXPECT(psa_fwu_finish(0) == PSA_SUCCESS && query().state == PSA_FWU_CANDIDATE);
    EXPECT(psa_fwu_install() == PSA_SUCCESS_REBOOT && query().state == PSA_FWU_STAGED);
}

static void an_update_that_is_accepted(void)
{
    EXPECT(start() == 1);
    EXPECT(query().state == PSA_FWU_READY && query().error == PSA_SUCCESS);
    stage(2);
    EXPECT(start() == 2 && query().state == PSA_FWU_TRIAL);
    EXPECT(query().version.major == 1 && query().version.minor == 1 && query().version.patch == 0);
    EXPECT(query().version.build == 2 && query().max_size == d.slots.image[0].size);
    EXPECT(psa_fwu_accept() == PSA_SUCCESS && query().state == PSA_FWU_UPDATED);
    EXPECT(begin(3) == PSA_ERROR_BAD_STATE);
    EXPECT(psa_fwu_clean(0) == PSA_SUCCESS && query().state == PSA_FWU_READY);
    EXPECT(start() == 2 && query().state == PSA_FWU_READY);
}

static void an_update_that_is_rejected(void)
{
    stage(3);
    EXPECT(start() == 3 && query().state == PSA_FWU_TRIAL);
    EXPECT(psa_fwu_reject(PSA_ERROR_GENERIC_ERROR) == PSA_SUCCESS_REBOOT && query().state == PSA_FWU_REJECTED);
    EXPECT(psa_fwu_clean(0) == PSA_ERROR_BAD_STATE);
    EXPECT(start() == 2 && query().state == PSA_FWU_FAILED && query().error != PSA_SUCCESS);
    EXPECT(query().impl.reason == -OTA_ERR_HEALTH_CHECK);
    EXPECT(begin(3) == PSA_ERROR_BAD_STATE);
    EXPECT(psa_fwu_clean(0) == PSA_SUCCESS && start() == 2 && query().state == PSA_FWU_READY);
    EXPECT(begin(3) == PSA_ERROR_NOT_PERMITTED && query().state == PSA_FWU_READY);
    /* Before it was installed. */
    stage(4);
    EXPECT(psa_fwu_reject(0) == PSA_SUCCESS && query().state == PSA_FWU_FAILED);
    EXPECT(psa_fwu_clean(0) == PSA_SUCCESS && start() == 2);
}

static void what_is_not_signed(void)
{
    uint8_t last = 0;

    EXPECT(psa_fwu_start(0, NULL, 0) == PSA_ERROR_INVALID_ARGUMENT);
    d.manifest[2].bytes[d.manifest[2].source.size - 1] ^= 1;
    EXPECT(begin(2) == PSA_ERROR_INVALID_SIGNATURE && query().state == PSA_FWU_READY);
    d.manifest[2].bytes[d.manifest[2].source.size - 1] ^= 1;
    EXPECT(begin(1) == PSA_ERROR_NOT_PERMITTED);
    d.release[4].number = 9;
    d.image[4][0] ^= 1;
    {
        struct ota_sha256 hash;

        ota_sha256_init(&hash);
        ota_sha256_update(&hash, d.image[4], d.release[4].size);
        ota_sha256_final(&hash, d.release[4].digest);
    }
    signed_manifest(&d.manifest[4], &d.release[4]);
    EXPECT(begin(4) == PSA_SUCCESS);
    EXPECT(psa_fwu_write(0, 5, &last, 1) == PSA_ERROR_INVALID_ARGUMENT);
    d.image[4][7] ^= 1;
    write_all(4);
    d.image[4][7] ^= 1;
    EXPECT(psa_fwu_finish(0) == PSA_ERROR_INVALID_SIGNATURE && query().state == PSA_FWU_FAILED);
    EXPECT(query().error == PSA_ERROR_INVALID_SIGNATURE);
    EXPECT(psa_fwu_clean(0) == PSA_SUCCESS && begin(4) == PSA_SUCCESS);
    EXPECT(psa_fwu_cancel(0) == PSA_SUCCESS && query().state == PSA_FWU_FAILED);
    EXPECT(psa_fwu_clean(0) == PSA_SUCCESS);
    /* A reset in between. */
    EXPECT(begin(4) == PSA_SUCCESS && start() == 2 && query().state == PSA_FWU_READY);
    stage(4);
    EXPECT(start() == 4 && psa_fwu_accept() == PSA_SUCCESS && psa_fwu_clean(0) == PSA_SUCCESS);
}

static void calls_out_of_order(void)
{
    psa_fwu_component_info_t info;
    uint8_t byte = 0;

    EXPECT(psa_fwu_query(1, &info) == PSA_ERROR_DOES_NOT_EXIST);
    EXPECT(psa_fwu_start(1, &byte, 1) == PSA_ERROR_DOES_NOT_EXIST);
    EXPECT(psa_fwu_write(0, 0, &byte, 1) == PSA_ERROR_BAD_STATE);
    EXPECT(psa_fwu_finish(0) == PSA_ERROR_BAD_STATE);
    EXPECT(psa_fwu_cancel(0) == PSA_ERROR_BAD_STATE);
    EXPECT(psa_fwu_clean(0) == PSA_ERROR_BAD_STATE);
    EXPECT(psa_fwu_install() == PSA_ERROR_BAD_STATE);
    EXPECT(psa_fwu_reject(0) == PSA_ERROR_BAD_STATE);
    EXPECT(psa_fwu_accept() == PSA_ERROR_BAD_STATE);
    EXPECT(psa_fwu_request_reboot() == PSA_SUCCESS && reboots == 1);
    binding.reboot = NULL;
    EXPECT(psa_fwu_request_reboot() == PSA_ERROR_NOT_SUPPORTED);
    d.flash.fault = EMU_DEAD;
    d.flash.fault_at = d.flash.calls;
    EXPECT(psa_fwu_query(0, &info) == PSA_ERROR_STORAGE_FAILURE);
}

int main(void)
{
    device_init(&d, &part, AB);
    EXPECT(psa_fwu_install() == PSA_ERROR_DOES_NOT_EXIST);
    an_update_that_is_accepted();
    an_update_that_is_rejected();
    what_is_not_signed();
    calls_out_of_order();
    device_free(&d);
    printf("psa: %s\n", failures == 0 ? "ok" : "failed");
    return failures != 0;
}
