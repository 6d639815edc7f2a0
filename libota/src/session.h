/* What the files of an update session share. */
#ifndef OTA_SESSION_H
#define OTA_SESSION_H

#include "ota/update.h"

/* The release that is not the installed one. */
unsigned ota_update_other(const struct ota_update *u);

/* Stores a state. If that fails the session goes on with the old one. */
OTA_MUST_USE int ota_update_change(struct ota_update *u, const struct ota_state *next);

/* Ends phase OTA_REVERTED: notes that the candidate was given up. */
OTA_MUST_USE int ota_update_note_failed(struct ota_update *u);

/* Flags with which a candidate is installed, besides those that are given. Where an image runs
 * as it was received, the installed one stays as it is. */
uint8_t ota_update_flags(const struct ota_update *u, unsigned flags);

#endif
