#ifndef OTA_RSA_ROW_H
#define OTA_RSA_ROW_H

#include <stdint.h>

#include "ota/rsa.h"

#if OTA_LIMB_BITS == 32
typedef uint64_t ota_wide;
#else
typedef uint32_t ota_wide;
#endif

/* Writes the lower OTA_RSA_LIMBS limbs of t + x * f to out, and returns the one
 * above them. out may be t, or start a limb before it. */
ota_limb ota_rsa_row(ota_limb *out, const ota_limb *t, const ota_limb *x, ota_limb f);

#endif
