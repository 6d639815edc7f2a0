/* The inner loop of RSA, and nearly all of its time. A file of its own, so that a
 * part can have it in assembly. */
#include "rsa_row.h"

/* Two limbs a turn, or four short ones: the loop around them costs as much as one. */
ota_limb ota_rsa_row(ota_limb *out, const ota_limb *t, const ota_limb *x, ota_limb f)
{
    const ota_limb *end = x + OTA_RSA_LIMBS;
    ota_wide sum = 0;

    do {
        sum = (ota_wide)*x++ * f + *t++ + (sum >> OTA_LIMB_BITS);
        *out++ = (ota_limb)sum;
        sum = (ota_wide)*x++ * f + *t++ + (sum >> OTA_LIMB_BITS);
        *out++ = (ota_limb)sum;
#if OTA_LIMB_BITS == 16
        sum = (ota_wide)*x++ * f + *t++ + (sum >> OTA_LIMB_BITS);
        *out++ = (ota_limb)sum;
        sum = (ota_wide)*x++ * f + *t++ + (sum >> OTA_LIMB_BITS);
        *out++ = (ota_limb)sum;
#endif
    } while (x != end);
    return (ota_limb)(sum >> OTA_LIMB_BITS);
}
