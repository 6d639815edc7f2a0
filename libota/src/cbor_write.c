#include "bytes.h"
#include "cbor.h"
#include "ota/crypto.h"

void cbor_put(struct cbor_writer *w, const void *bytes, size_t size)
{
    const uint8_t *b = bytes;

    for (; size > 0; size--, w->size++, b++)
        if (w->size < w->capacity)
            w->out[w->size] = *b;
}

void cbor_put_head(struct cbor_writer *w, uint8_t type, uint64_t arg)
{
    uint8_t wide[9];
    unsigned size = 0, info = (unsigned)arg;

    ota_store32(wide + 1, (uint32_t)(arg >> 32));
    ota_store32(wide + 5, (uint32_t)arg);
    if (arg >= 24) {
        info = 24;
        for (size = 1; size < 8 && !ota_is_zero(wide + 1, 8 - size); size *= 2)
            info++;
    }
    wide[8 - size] = (uint8_t)((unsigned)type << 5 | info);
    cbor_put(w, wide + 8 - size, size + 1);
}

void cbor_write_payload(struct cbor_writer *w, const struct cbor_member *members, unsigned count, const void *in)
{
    struct cbor_writer head = {w->out, w->capacity, w->size};
    uint8_t pairs = 0;

    cbor_put_head(w, CBOR_MAP, pairs);
    for (const struct cbor_member *m = members; m < members + count; m++) {
        const void *at = (const uint8_t *)in + m->offset, *bytes = NULL;
        uint8_t type = m->kind & CBOR_TYPE;
        uint64_t arg = 1;

        if (type == CBOR_TEXT) {
            bytes = *(const char *const *)at;
            arg = ota_length(bytes);
        } else if (type == CBOR_BYTES) {
            bytes = at;
            arg = (m->kind & CBOR_OPTIONAL) == CBOR_OPTIONAL && ota_is_zero(at, OTA_SHA256_SIZE) ? 0 : OTA_SHA256_SIZE;
        } else if (m->kind != CBOR_FORMAT) {
            arg = (m->kind & CBOR_WIDE) != 0 ? *(const uint64_t *)at : *(const uint32_t *)at;
        }
        if (arg == 0 && (m->kind & CBOR_OPTIONAL) == CBOR_OPTIONAL)
            continue;
        cbor_put_head(w, CBOR_UINT, m->key);
        cbor_put_head(w, type, arg);
        if (bytes != NULL)
            cbor_put(w, bytes, (size_t)arg);
        pairs++;
    }
    cbor_put_head(&head, CBOR_MAP, pairs); /* below 24, hence as long as before */
}
