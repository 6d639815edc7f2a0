/* Messages between a device that has a key and the server: check request, check
 * response, report. docs/spec/objects.md section 5. */
#ifndef OTA_CHECK_H
#define OTA_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "ota/crypto.h"
#include "ota/err.h"
#include "ota/source.h"

#define OTA_MAX_MESSAGE 1024 /* bytes of a message */
#define OTA_MAX_NAME 64      /* bytes of a device id and other names */
#define OTA_MAX_DETAIL 256   /* bytes of a report's detail */
#define OTA_KEY_SIZE 32

/* What the boot stage says of the running image. */
enum ota_boot { OTA_BOOT_CONFIRMED = 0, OTA_BOOT_TRIAL = 1, OTA_BOOT_REVERTED = 2 };

/* Capabilities. */
#define OTA_CAP_NO_REVERT 1u /* no image is retained: a bad release cannot revert by itself */

/* What a report tells. */
enum ota_event {
    OTA_EVENT_DOWNLOADING = 1,
    OTA_EVENT_INSTALLED = 2,
    OTA_EVENT_TRIAL = 3,
    OTA_EVENT_CONFIRMED = 4,
    OTA_EVENT_REVERTED = 5,
    OTA_EVENT_REFUSED = 6,
    OTA_EVENT_FAILED = 7,
    OTA_EVENT_KEYSET = 8
};

/* The two keys of a device. With one for both directions its own message could be
 * sent back to it as an answer. All zero: it has none. */
struct ota_device_keys {
    uint8_t up[OTA_KEY_SIZE];   /* MACs requests and reports */
    uint8_t down[OTA_KEY_SIZE]; /* MACs responses */
};

/* Texts are terminated; NULL or empty where it says so. */
struct ota_check_request {
    const char *device;
    const char *device_type;
    const char *hardware; /* revision; may be NULL */
    uint64_t nonce;       /* counter, never used twice, over checks and reports */
    uint64_t sequence;    /* of the running image; 0: nothing was installed */
    uint32_t keyset_version;
    uint32_t boot;       /* enum ota_boot */
    uint32_t last_error; /* a reason: minus an ota_err; 0: none */
    uint32_t capabilities;
    uint8_t image_digest[OTA_SHA256_SIZE]; /* of the running image, read back from flash */
};

/* A patch that is offered beside the whole image. No key signs it; the MAC names it. */
struct ota_patch {
    uint32_t format;
    uint32_t size; /* bytes */
    uint8_t digest[OTA_SHA256_SIZE];
};

struct ota_check_response {
    uint64_t nonce;
    uint64_t server_time; /* seconds since 1970; a hint only */
    uint32_t keyset_version;
    uint32_t retry_seconds;
    uint32_t manifest_size;                 /* bytes; 0: nothing to install */
    uint8_t manifest_hash[OTA_SHA256_SIZE]; /* of the manifest's transferred bytes */
    struct ota_patch patch;
    uint32_t retry_rejected; /* 1: try again what was rejected */
    struct ota_field device;
    struct ota_field patch_entry; /* size 0: no patch is offered */
};

struct ota_report {
    const char *device;
    const char *device_type;
    const char *detail; /* printable ASCII, at most OTA_MAX_DETAIL bytes; may be NULL */
    uint64_t nonce;
    uint64_t sequence; /* of the running image */
    uint32_t event;    /* enum ota_event */
    uint32_t reason;   /* minus an ota_err; 0: none */
    uint8_t image_digest[OTA_SHA256_SIZE];
    uint8_t target[OTA_SHA256_SIZE]; /* hash of the manifest concerned; zero: none */
};

/* Write a message of *size bytes under the up key. OTA_ERR_TOO_LARGE if it does
 * not fit into capacity bytes or OTA_MAX_MESSAGE, OTA_ERR_NO_DEVICE_KEY if the key is
 * all zero. The texts are not validated: they are the device's own. */
OTA_MUST_USE int ota_check_request_encode(const struct ota_check_request *r, const uint8_t up[OTA_KEY_SIZE],
                                          uint8_t *out, size_t capacity, size_t *size);
OTA_MUST_USE int ota_report_encode(const struct ota_report *r, const uint8_t up[OTA_KEY_SIZE], uint8_t *out,
                                   size_t capacity, size_t *size);

/* Verifies and decodes the answer to the request with that device id and nonce.
 * *verdict becomes OTA_PASS exactly if it is MAC'ed with the down key and to this
 * question of this device; only then *r is to be used, for this one check. */
OTA_MUST_USE int ota_check_response_open(struct ota_check_response *r, const uint8_t *message, size_t size,
                                         const uint8_t down[OTA_KEY_SIZE], const char *device, uint64_t nonce,
                                         ota_verdict *verdict);

/* Says whether a manifest, as it was transferred, is the very one that the
 * response names: OTA_ERR_NOT_NAMED if not. */
OTA_MUST_USE int ota_check_named(const struct ota_check_response *r, const struct ota_source *manifest,
                                 ota_verdict *verdict);

#endif
