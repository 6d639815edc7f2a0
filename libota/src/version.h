#ifndef OTA_VERSION_H
#define OTA_VERSION_H

#include "ota/manifest.h"

/* 1 if the text is a semantic version (semver.org 2.0.0). */
int ota_version_valid(const struct ota_version *v);

#endif
