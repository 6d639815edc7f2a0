/* What psa/update.h stands on. The API has no context: there is one binding. */
#ifndef OTA_PSA_UPDATE_H
#define OTA_PSA_UPDATE_H

#include "ota/update.h"

struct psa_update {
    struct ota_update *session;      /* opened */
    const struct ota_keyset *held;   /* as ota_update_held or ota_keyset_anchor gave it */
    const struct ota_device *device;
    const struct ota_check_response *answer; /* that names the manifest; NULL on a device without a key */
    void (*reboot)(void); /* resets; the specification demands one, NULL is for an application that resets by itself */

    /* Its own. */
    uint8_t state;
    int32_t error; /* a psa_status_t */
};

/* Binds the API to a session. p and what it points to must outlive it. */
void psa_update_bind(struct psa_update *p);

#endif
