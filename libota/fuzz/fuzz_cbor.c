/* Any bytes as one CBOR item. */
#include "accept.h"
#include "cbor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ota_source from = ota_source_buffer(data, size);
    struct cbor_reader r;

    if (size > UINT16_MAX)
        return 0;
    cbor_list(&r, &from, 0);
    cbor_skip(&r);
    if (cbor_close(&r) == OTA_OK && r.at != size)
        __builtin_trap();
    return 0;
}
