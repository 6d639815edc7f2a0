/* Who this device is. It stands in the device area, so that one firmware serves all devices. */
#ifndef IDENTITY_H
#define IDENTITY_H

#include "ota/check.h"
#include "ota/slot.h"

struct identity {
    struct ota_device_keys keys;
    char device[OTA_MAX_NAME + 1];
    char device_type[OTA_MAX_NAME + 1];
    char hardware[OTA_MAX_NAME + 1]; /* empty: has no revision */
};

/* Reads it. OTA_ERR_NO_DEVICE_KEY if there is none: the device was not provisioned. */
OTA_MUST_USE int identity_read(struct identity *i, const struct ota_area *area);

#endif
