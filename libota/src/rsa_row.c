/* The inner loop of RSA, and nearly all of its time. A file of its own, so that a
 * part can have it in assembly. */
#include "rsa_row.h"

/* Four limbs a turn: the loop around them costs as much as one. */
ota_limb ota_rsa_row(ota_limb *out, const ota_limb *t, const ota_limb *x, ota_limb f)
{
    const ota_limb *end = x + OTA_RSA_LIMBS;
    ota_wide sum = 0;

    do {
        sum = (ota_wide)x[0] * f + t[0] + (sum >> OTA_LIMB_BITS);
        out[0] = (ota_limb)sum;
        sum = (ota_wide)x[1] * f + t[1] + (sum >> OTA_LIMB_BITS);
        out[1] = (ota_limb)sum;
        sum = (ota_wide)x[2] * f + t[2] + (sum >> OTA_LIMB_BITS);
        out[2] = (ota_limb)sum;
        sum = (ota_wide)x[3] * f + t[3] + (sum >> OTA_LIMB_BITS);
        out[3] = (ota_limb)sum;
        x += 4;
        t += 4;
        out += 4;
    } while (x != end);
    return (ota_limb)(sum >> OTA_LIMB_BITS);
}
