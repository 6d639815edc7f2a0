/* libota: secure firmware updates for small devices. All of its headers but
 * those of the ports. */
#ifndef OTA_OTA_H
#define OTA_OTA_H

#include "ota/check.h"
#include "ota/config.h"
#include "ota/crypto.h"
#include "ota/err.h"
#include "ota/keyset.h"
#include "ota/manifest.h"
#include "ota/rollback.h"
#include "ota/rsa.h"
#include "ota/source.h"

#endif
