/* The PSA Certified Firmware Update API over an update session, so that an application that was written for TF-M runs on
 * a part without it. It follows Arm IHI 0093, version 1.0.1: names, types and values of chapter 5, states of chapter 4.2 in the
 * form of appendix C.2, figure 12: reboot and trial required, volatile staging. What the specification leaves open is
 * said here. There is one component, 0: the firmware that the session is about.
 *
 *   READY --start--> WRITING --finish--> CANDIDATE --install--> STAGED --(reset)--> TRIAL
 *   TRIAL --accept--> UPDATED --clean--> READY
 *   TRIAL --reject--> REJECTED --(reset)--> READY
 *   WRITING, CANDIDATE --cancel--> FAILED;  STAGED --reject--> FAILED --clean--> READY
 *   a write or finish that fails, and an install: FAILED, but after PSA_ERROR_INVALID_ARGUMENT of write, and after
 *   PSA_ERROR_BAD_STATE and PSA_ERROR_DOES_NOT_EXIST, which change nothing
 *
 * After a reset all but a staged image is READY, also after a trial that failed: psa_fwu_impl_info_t says why it did. A trial ends
 * with the next reset if ota_boot_config.tries is 1, as the specification has it; with more it goes on, TRIAL again. */
#ifndef PSA_UPDATE_H
#define PSA_UPDATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PSA_FWU_API_VERSION_MAJOR 1
#define PSA_FWU_API_VERSION_MINOR 0

/* Also in psa/error.h and psa/crypto.h of others, with the same values. */
#ifndef PSA_SUCCESS
typedef int32_t psa_status_t;
#define PSA_SUCCESS ((psa_status_t)0)
#define PSA_ERROR_GENERIC_ERROR ((psa_status_t)-132)
#define PSA_ERROR_NOT_PERMITTED ((psa_status_t)-133)
#define PSA_ERROR_NOT_SUPPORTED ((psa_status_t)-134)
#define PSA_ERROR_INVALID_ARGUMENT ((psa_status_t)-135)
#define PSA_ERROR_BAD_STATE ((psa_status_t)-137)
#define PSA_ERROR_DOES_NOT_EXIST ((psa_status_t)-140)
#define PSA_ERROR_INSUFFICIENT_MEMORY ((psa_status_t)-141)
#define PSA_ERROR_INSUFFICIENT_STORAGE ((psa_status_t)-142)
#define PSA_ERROR_COMMUNICATION_FAILURE ((psa_status_t)-145)
#define PSA_ERROR_STORAGE_FAILURE ((psa_status_t)-146)
#define PSA_ERROR_INVALID_SIGNATURE ((psa_status_t)-149)
#endif
#define PSA_SUCCESS_REBOOT ((psa_status_t)+1)
#define PSA_SUCCESS_RESTART ((psa_status_t)+2)
#define PSA_ERROR_DEPENDENCY_NEEDED ((psa_status_t)-156)
#define PSA_ERROR_FLASH_ABUSE ((psa_status_t)-160)
#define PSA_ERROR_INSUFFICIENT_POWER ((psa_status_t)-161)

#define PSA_FWU_READY 0u
#define PSA_FWU_WRITING 1u
#define PSA_FWU_CANDIDATE 2u
#define PSA_FWU_STAGED 3u
#define PSA_FWU_FAILED 4u
#define PSA_FWU_TRIAL 5u
#define PSA_FWU_REJECTED 6u
#define PSA_FWU_UPDATED 7u

#define PSA_FWU_FLAG_VOLATILE_STAGING 0x00000001u
#define PSA_FWU_FLAG_ENCRYPTION 0x00000002u

/* Blocks of 1 byte to the most, at any alignment, one behind the other. */
#define PSA_FWU_LOG2_WRITE_ALIGN 0
#define PSA_FWU_MAX_WRITE_SIZE 1024u

typedef uint8_t psa_fwu_component_t;

/* Of a release 1.2.3 with the sequence 4.7: 1, 2, 3, 7. A number that does not fit is the largest that does. */
typedef struct psa_fwu_image_version_t {
    uint8_t major;
    uint8_t minor;
    uint16_t patch;
    uint32_t build;
} psa_fwu_image_version_t;

typedef struct psa_fwu_impl_info_t {
    uint8_t reason; /* why the device last went back to the image before: a number of docs/spec/reasons.md; 0: it did not */
} psa_fwu_impl_info_t;

typedef struct psa_fwu_component_info_t {
    uint8_t state;
    psa_status_t error; /* in FAILED and REJECTED: why; PSA_SUCCESS after cancel */
    psa_fwu_image_version_t version; /* of the running image */
    uint32_t max_size; /* bytes of an image */
    uint32_t flags;    /* PSA_FWU_FLAG_VOLATILE_STAGING */
    uint32_t location; /* always 0 */
    psa_fwu_impl_info_t impl;
} psa_fwu_component_info_t;

/* PSA_ERROR_STORAGE_FAILURE: the version could not be read; the rest of *info is right. */
psa_status_t psa_fwu_query(psa_fwu_component_t component, psa_fwu_component_info_t *info);

/* The manifest is the signed one, detached from the image; there has to be one. If it is refused the component stays READY. */
psa_status_t psa_fwu_start(psa_fwu_component_t component, const void *manifest, size_t manifest_size);

/* What lies before the end of what was written is passed over; a gap is PSA_ERROR_INVALID_ARGUMENT, and so is what lies beyond
 * the size that the manifest gives. */
psa_status_t psa_fwu_write(psa_fwu_component_t component, size_t image_offset, const void *block, size_t block_size);

/* PSA_ERROR_INVALID_SIGNATURE: it is not the signed image; PSA_ERROR_INVALID_ARGUMENT: not all of it was written. */
psa_status_t psa_fwu_finish(psa_fwu_component_t component);
psa_status_t psa_fwu_cancel(psa_fwu_component_t component);

/* Takes no time: a page is erased when it is written. */
psa_status_t psa_fwu_clean(psa_fwu_component_t component);

/* PSA_SUCCESS_REBOOT: the next start installs. */
psa_status_t psa_fwu_install(void);

/* PSA_ERROR_NOT_SUPPORTED if the binding has no reboot. */
psa_status_t psa_fwu_request_reboot(void);

/* A trial: PSA_SUCCESS_REBOOT, the next start goes back, and this image is not taken again unless the server asks for that;
 * PSA_ERROR_NOT_PERMITTED if the device kept no image to go back to. What waits for its start: PSA_SUCCESS, and it may be started again.
 * error is what psa_fwu_query says until the next reset. */
psa_status_t psa_fwu_reject(psa_status_t error);
psa_status_t psa_fwu_accept(void);

#ifdef __cplusplus
}
#endif

#endif
