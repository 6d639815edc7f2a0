/* What carries the messages of a device to the server and brings objects: a serial line, HTTP,
 * a radio. It is trusted with nothing; what it changes is refused. */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

#include "ota/err.h"

enum transport_kind { TRANSPORT_MANIFEST, TRANSPORT_KEYSET, TRANSPORT_KEY, TRANSPORT_IMAGE };

/* An object of the server. */
struct transport_object {
    enum transport_kind kind;
    uint8_t hash[32];  /* of a manifest or image; of a key its id */
    const char *type;  /* of a keyset: the device type */
    uint32_t version;  /* of a keyset */
};

/* Bytes in the transport's own buffer, which stay there until its next call. */
struct transport_piece {
    const uint8_t *bytes;
    size_t size;
    uint32_t total; /* bytes of the whole object, as the transport was told */
};

/* The calls return OTA_OK, OTA_ERR_TRANSPORT if nothing came through, or OTA_ERR_TOO_LARGE. They
 * feed the watchdog and wait as long as the line may take, but not for ever, whatever the other end does: a
 * watchdog that a stuck line keeps fed is none. */
struct transport {
    int (*check)(void *ctx, const uint8_t *message, size_t size, struct transport_piece *answer);
    int (*report)(void *ctx, const uint8_t *message, size_t size);

    /* Gets a piece of an object, from offset on. Only the last piece may be of a size that is not
     * a multiple of 64; behind the end of the object a piece is empty. */
    int (*get)(void *ctx, const struct transport_object *o, uint32_t offset, struct transport_piece *piece);

    void *ctx; /* of all of them */
};

#endif
