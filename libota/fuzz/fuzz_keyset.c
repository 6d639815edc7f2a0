/* Any bytes as a signed keyset, as an anchor, and as a keyset that follows itself. */
#include "accept.h"
#include "ota/keyset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ota_source from = ota_source_buffer(data, size);
    struct ota_keyset held, next;
    ota_verdict verdict;

    if (ota_keyset_anchor(&held, &from) == OTA_OK && (held.roots.list.size == 0 || held.roots.threshold == 0))
        __builtin_trap();
    if (ota_keyset_open(&held, &from) != OTA_OK)
        return 0;
    if (held.version == 0 || held.roots.threshold == 0 || held.roots.threshold > held.roots.list.size ||
        held.releases.threshold == 0 || held.releases.threshold > held.releases.list.size)
        __builtin_trap();
    if (ota_keyset_accept(&next, &from, &held, &accept_ring, &verdict) == OTA_OK || verdict == OTA_PASS)
        __builtin_trap(); /* its version does not rise */
    held.version = 0;
    if ((ota_keyset_accept(&next, &from, &held, &accept_ring, &verdict) == OTA_OK) != (verdict == OTA_PASS))
        __builtin_trap();
    return 0;
}
