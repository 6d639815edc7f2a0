/* A transport over HTTP/1.1 and plain sockets. What it carries is MAC'ed or signed, or named by
 * its digest: docs/spec/device-protocol.md section 1. */
#ifndef HTTP_H
#define HTTP_H

#include <time.h>

#include "transport.h"

struct http {
    struct transport port; /* what the agent is given */
    char host[128], service[8];
    const char *device; /* id, a hint for the server: it counts who downloads */

    int socket;             /* -1: not connected */
    time_t deadline;        /* of what is being waited for */
    uint8_t buffer[4096];   /* what came in and was not taken yet: from at, size bytes */
    size_t at, size;
    uint32_t left;          /* bytes of the body that are still to come */

    uint8_t hash[32];       /* the image that is being streamed, */
    uint32_t offset, total; /* the next byte of it, and how many there are, as the server says */
};

/* Takes http://HOST:PORT. -1 if it is something else. The struct must not be moved. */
int http_open(struct http *h, const char *url);
void http_close(struct http *h);

#endif
