/* What the files of an update session share. */
#ifndef OTA_SESSION_H
#define OTA_SESSION_H

#include "ota/update.h"

/* What may come next in a session. What did not open, or lost sight of the journal, stores nothing: it knows no
 * floor. */
enum { OTA_SHUT = 0, OTA_CLOSED = 1, OTA_OPEN = 2, OTA_WHOLE = 3 };

/* Has begin come next again, if the session is open. */
void ota_update_close(struct ota_update *u);

/* The release that is not the installed one. */
unsigned ota_update_other(const struct ota_update *u);

/* Stores the state of the session. If that fails the session goes on with what the journal says. */
OTA_MUST_USE int ota_update_store(struct ota_update *u);

/* Loads the history, and the entry of the release that is not the installed one. */
OTA_MUST_USE int ota_update_load(const struct ota_update *u, struct ota_history *h, struct ota_entry *other);

/* Ends phase OTA_REVERTED: notes that the candidate was given up. */
OTA_MUST_USE int ota_update_note_failed(struct ota_update *u);

/* Has the next start install the candidate, with those flags. */
OTA_MUST_USE int ota_update_order(struct ota_update *u, unsigned flags);

#endif
