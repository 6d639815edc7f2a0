#ifndef ACCEPT_H
#define ACCEPT_H

#include "ota/crypto.h"

extern uint8_t accept_mac[OTA_SHA256_SIZE];   /* what every MAC is */
extern const struct ota_keyring accept_ring; /* has every key */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
