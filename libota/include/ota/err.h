/* Results of every call. 0 is fine; an error is minus the number of
 * docs/spec/reasons.md, so that a refusal is reported as it stands. */
#ifndef OTA_ERR_H
#define OTA_ERR_H

#include <stdint.h>

/* What the caller must not ignore. */
#if defined(__GNUC__)
#define OTA_MUST_USE __attribute__((warn_unused_result))
#else
#define OTA_MUST_USE
#endif

enum ota_err {
    OTA_OK = 0,
    OTA_ERR_MALFORMED = -1,            /* not deterministic CBOR, wrong structure, trailing bytes */
    OTA_ERR_TOO_LARGE = -2,            /* over a limit of docs/spec/objects.md */
    OTA_ERR_WRONG_KIND = -3,           /* typ names another kind of object */
    OTA_ERR_UNSUPPORTED = -4,          /* format, critical field, flag or encoding not known here */
    OTA_ERR_INVALID_FIELD = -5,        /* a field is missing or outside its bounds */
    OTA_ERR_NOT_ENOUGH_SIGNERS = -6,   /* fewer valid signatures than the threshold */
    OTA_ERR_BAD_SIGNATURE = -7,        /* a signature by a listed key does not verify */
    OTA_ERR_WRONG_EPOCH = -8,          /* sequence and signing key are of different key epochs */
    OTA_ERR_WRONG_VENDOR = -9,
    OTA_ERR_WRONG_TYPE = -10,
    OTA_ERR_WRONG_HARDWARE = -11,
    OTA_ERR_WRONG_COMPONENT = -12,
    OTA_ERR_KEYSET_TOO_OLD = -13,      /* the manifest needs a newer keyset than the one held */
    OTA_ERR_KEYSET_NOT_NEWER = -14,    /* a keyset whose version does not rise */
    OTA_ERR_EXPIRED = -15,
    OTA_ERR_OLD_SEQUENCE = -16,        /* sequence not above the installed one */
    OTA_ERR_OLD_VERSION = -17,         /* version below the installed one, no downgrade flag */
    OTA_ERR_NOT_APPLICABLE = -18,      /* a downgrade that does not name the installed sequence */
    OTA_ERR_BELOW_FLOOR = -19,         /* security counter below the security floor */
    OTA_ERR_IMAGE_SIZE = -20,          /* image empty or larger than the slot */
    OTA_ERR_IMAGE_DIGEST = -21,        /* the image does not hash to the signed digest */
    OTA_ERR_REJECTED_BEFORE = -22,     /* this image was rejected or reverted */
    OTA_ERR_BAD_MAC = -23,
    OTA_ERR_WRONG_NONCE = -24,         /* an answer to another question */
    OTA_ERR_WRONG_DEVICE = -25,
    OTA_ERR_UNAUTHENTICATED = -26,     /* a device with a key was offered an unauthenticated answer */
    OTA_ERR_NOT_NAMED = -27,           /* the manifest is not the one the response named */
    OTA_ERR_NO_DEVICE_KEY = -28,       /* the counter or the key of the device is lost */
    OTA_ERR_OUTSIDE_WINDOW = -29,      /* own rollback outside the signed rollback window */
    OTA_ERR_NOTHING_RETAINED = -30,    /* own rollback without a retained, once confirmed image */
    OTA_ERR_STORAGE = -31,             /* reading or writing storage failed */
    OTA_ERR_TRANSPORT = -32,
    OTA_ERR_HEALTH_CHECK = -33,        /* the new image ran and its health check failed */
    OTA_ERR_TRIES_EXHAUSTED = -34,     /* the new image did not confirm within its boots */
    OTA_ERR_WATCHDOG_RESET = -35,
    OTA_ERR_OPERATOR_REQUESTED = -36,
    OTA_ERR_INTERNAL = -37             /* a defect, or a call out of order */
};

/* A verdict that opens a door. Only OTA_PASS does; every other value is "no",
 * so that a skipped instruction or a flipped bit of a register is not "yes".
 * A verdict starts as OTA_FAIL. */
typedef uint32_t ota_verdict;
#define OTA_PASS ((ota_verdict)0x3ca5965au)
#define OTA_FAIL ((ota_verdict)0x00000000u)

#endif
