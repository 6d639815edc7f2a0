/* The device's end of a serial line to a server, through a gateway that is trusted with
 * nothing: docs/spec/serial.md. One question at a time, one buffer, no interrupts needed.
 *
 * For a line that is its own: two callbacks that move a byte, and a buffer. */
#ifndef SERIAL_LINK_H
#define SERIAL_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "ota/err.h"

enum serial_kind {
    SERIAL_CHECK = 1,
    SERIAL_REPORT = 2,
    SERIAL_MANIFEST = 3,
    SERIAL_KEYSET = 4,
    SERIAL_KEY = 5,
    SERIAL_IMAGE = 6
};

/* What is asked. What a kind does not need is zero. */
struct serial_question {
    enum serial_kind kind;
    const uint8_t *hash;    /* of manifest, key or image: 32 bytes */
    const char *type;       /* of a keyset: the device type, terminated */
    uint32_t version;       /* of a keyset */
    uint32_t offset;        /* of the first byte wanted */
    const uint8_t *message; /* check or report */
    size_t size;            /* of the message */
};

/* What the gateway says. All of it is a hint but the data, and that is noise until its
 * MAC, signature or digest was found right. */
struct serial_answer {
    const uint8_t *data; /* in the buffer of the link, until the next question */
    size_t size;
    uint32_t total;  /* bytes of the whole object */
    uint32_t status; /* docs/spec/serial.md section 3 */
    uint32_t reason; /* why the server refused; 0: not told */
    uint32_t retry;  /* seconds after which to ask again; 0: not told */
};

/* An end of a line. The first four fields are the caller's, all others zero in the beginning. */
struct serial_link {
    void (*send)(void *ctx, uint8_t byte);

    /* The next byte, or -1 if none came for that many milliseconds. Feeds the watchdog. It has
     * to keep what comes in while the link is not listening no longer than to the next question. */
    int (*receive)(void *ctx, uint32_t milliseconds);

    void *ctx; /* of both */

    uint8_t *buffer; /* holds a question, then its answer */
    size_t size;     /* bytes of it: SERIAL_OVERHEAD more than the data of an answer or a message
                        to send, and at least SERIAL_SMALLEST */

    uint32_t number; /* of the last question */
    size_t at;       /* bytes of the frame so far */
    uint8_t block;   /* COBS: length byte of the block */
    uint8_t left;    /* and bytes of it to come */
    uint8_t broken;  /* the frame is none: drop up to the next zero */
};

/* What a frame has beside its data or message, and the longest question without one. */
#define SERIAL_OVERHEAD 30
#define SERIAL_SMALLEST 100

/* Asks, and waits for the answer, repeating the question as long as none comes: 40 s on a silent line, less than two
 * hours on the worst.
 *
 * OTA_OK: a->data is what was asked for. OTA_ERR_TRANSPORT: nobody answers, or a->status says why there is none.
 * OTA_ERR_TOO_LARGE: the question or its answer does not fit into the buffer. */
OTA_MUST_USE int serial_ask(struct serial_link *l, const struct serial_question *q, struct serial_answer *a);

#endif
