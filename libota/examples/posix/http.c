#define _POSIX_C_SOURCE 200809L
#include "http.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Seconds for a head, for a piece of a body, and without a byte. */
#ifndef HTTP_PATIENCE
#define HTTP_PATIENCE 30
#endif

static time_t now(void)
{
    struct timespec t = {0, 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

void http_close(struct http *h)
{
    if (h->socket >= 0)
        (void)close(h->socket);
    h->socket = -1;
    h->at = h->size = h->left = h->total = 0;
}

static int connect_to(struct http *h)
{
    struct addrinfo hints, *all, *a;
    struct timeval patience = {HTTP_PATIENCE, 0};

    if (h->socket >= 0)
        return OTA_OK;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(h->host, h->service, &hints, &all) != 0)
        return OTA_ERR_TRANSPORT;
    for (a = all; a != NULL && h->socket < 0; a = a->ai_next) {
        h->socket = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (h->socket >= 0 &&
            (setsockopt(h->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
             setsockopt(h->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
             connect(h->socket, a->ai_addr, a->ai_addrlen) != 0))
            http_close(h);
    }
    freeaddrinfo(all);
    return h->socket >= 0 ? OTA_OK : OTA_ERR_TRANSPORT;
}

static int send_all(struct http *h, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;

    while (size > 0) {
        ssize_t n = send(h->socket, from, size, MSG_NOSIGNAL);

        if (n <= 0)
            return OTA_ERR_TRANSPORT;
        from += n;
        size -= (size_t)n;
    }
    return OTA_OK;
}

/* Has the buffer hold more than it did. */
static int receive(struct http *h)
{
    ssize_t n;

    memmove(h->buffer, h->buffer + h->at, h->size);
    h->at = 0;
    if (h->size == sizeof h->buffer)
        return OTA_ERR_TRANSPORT; /* a line longer than that is none of ours */
    if (now() >= h->deadline)
        return OTA_ERR_TRANSPORT; /* a server that says a byte now and then says nothing */
    n = recv(h->socket, h->buffer + h->size, sizeof h->buffer - h->size, 0);
    if (n <= 0)
        return OTA_ERR_TRANSPORT;
    h->size += (size_t)n;
    return OTA_OK;
}

static int read_line(struct http *h, char line[512])
{
    const uint8_t *end;
    size_t n;

    while ((end = memchr(h->buffer + h->at, '\n', h->size)) == NULL)
        if (receive(h) != OTA_OK)
            return OTA_ERR_TRANSPORT;
    n = (size_t)(end - (h->buffer + h->at)) + 1;
    snprintf(line, 512, "%.*s", (int)(n < 511 ? n : 511), (const char *)h->buffer + h->at);
    line[strcspn(line, "\r\n")] = '\0';
    h->at += n;
    h->size -= n;
    return OTA_OK;
}

/* Reads status and headers. *first becomes the offset that a part begins at. */
static int read_head(struct http *h, int *status, uint32_t *first)
{
    static const char length[] = "Content-Length:", range[] = "Content-Range: bytes ";
    char line[512];

    h->deadline = now() + HTTP_PATIENCE;
    h->left = h->total = *first = 0;
    if (read_line(h, line) != OTA_OK || sscanf(line, "HTTP/1.%*1d %3d", status) != 1)
        return OTA_ERR_TRANSPORT;
    while (read_line(h, line) == OTA_OK) {
        if (line[0] == '\0')
            return OTA_OK;
        if (strncasecmp(line, length, sizeof length - 1) == 0)
            h->left = (uint32_t)strtoul(line + sizeof length - 1, NULL, 10);
        if (strncasecmp(line, range, sizeof range - 1) == 0)
            *first = (uint32_t)strtoul(line + sizeof range - 1, NULL, 10);
    }
    return OTA_ERR_TRANSPORT;
}

/* Sends a request and reads the head of the answer. A connection that the server closed in the meantime is
 * opened again, once. */
static int request(struct http *h, const char *method, const char *path, const char *header, const uint8_t *body,
                   size_t size, int *status, uint32_t *first)
{
    char head[512];
    int n = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: %s:%s\r\n%sContent-Length: %zu\r\n\r\n", method, path,
                     h->host, h->service, header, size);

    if (n < 0 || n >= (int)sizeof head)
        return OTA_ERR_TOO_LARGE;
    if (h->left > 0) /* of an answer that nobody wants any more */
        http_close(h);
    for (int again = h->socket >= 0;; again = 0) {
        if (connect_to(h) == OTA_OK && send_all(h, head, (size_t)n) == OTA_OK && send_all(h, body, size) == OTA_OK &&
            read_head(h, status, first) == OTA_OK)
            return OTA_OK;
        http_close(h);
        if (!again)
            return OTA_ERR_TRANSPORT;
    }
}

/* Has the buffer hold the next piece of the body: all of it, or as much as there is room for. */
static int read_piece(struct http *h, struct transport_piece *p)
{
    size_t want = h->left < sizeof h->buffer ? h->left : sizeof h->buffer;

    h->deadline = now() + HTTP_PATIENCE;
    while (h->size < want)
        if (receive(h) != OTA_OK) {
            http_close(h);
            return OTA_ERR_TRANSPORT;
        }
    p->bytes = h->buffer + h->at;
    p->size = want;
    p->total = h->total;
    h->at += want;
    h->size -= want;
    h->left -= (uint32_t)want;
    return OTA_OK;
}

static int post(struct http *h, const char *path, const uint8_t *message, size_t size, int want,
                struct transport_piece *answer)
{
    uint32_t first;
    int status, err;

    err = request(h, "POST", path, "Content-Type: application/cose\r\n", message, size, &status, &first);
    if (err == OTA_OK)
        err = read_piece(h, answer);
    if (h->left > 0)
        http_close(h); /* more than a message: not to be taken for a piece of an image */
    return err == OTA_OK && status != want ? OTA_ERR_TRANSPORT : err;
}

static int http_check(void *ctx, const uint8_t *message, size_t size, struct transport_piece *answer)
{
    return post(ctx, "/v1/check", message, size, 200, answer);
}

static int http_report(void *ctx, const uint8_t *message, size_t size)
{
    struct transport_piece nothing;

    return post(ctx, "/v1/report", message, size, 204, &nothing);
}

static void path_of(const struct http *h, const struct transport_object *o, char path[256])
{
    static const char *const kinds[] = {"manifest", "keyset", "key", "firmware"};
    char hex[65];

    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", o->hash[i]);
    if (o->kind == TRANSPORT_KEYSET)
        snprintf(path, 256, "/v1/keyset/%s/%lu", o->type, (unsigned long)o->version);
    else
        snprintf(path, 256, "/v1/%s/%s%s%s", kinds[o->kind], hex, o->kind == TRANSPORT_IMAGE ? "?device=" : "",
                 o->kind == TRANSPORT_IMAGE ? h->device : "");
}

/* An image is one request for as long as it is read on, piece by piece; after a break it is asked for from
 * there. */
static int http_get(void *ctx, const struct transport_object *o, uint32_t offset, struct transport_piece *piece)
{
    struct http *h = ctx;
    char path[256], range[64];
    uint32_t first;
    int status;

    if (h->left == 0 || offset != h->offset || memcmp(h->hash, o->hash, sizeof h->hash) != 0) {
        path_of(h, o, path);
        snprintf(range, sizeof range, "Range: bytes=%lu-\r\n", (unsigned long)offset);
        if (request(h, "GET", path, range, NULL, 0, &status, &first) != OTA_OK)
            return OTA_ERR_TRANSPORT;
        if ((status != 206 || first != offset) && (status != 200 || offset != 0)) {
            http_close(h);
            return OTA_ERR_TRANSPORT;
        }
        h->offset = offset;
        h->total = offset + h->left;
        memcpy(h->hash, o->hash, sizeof h->hash);
    }
    if (read_piece(h, piece) != OTA_OK)
        return OTA_ERR_TRANSPORT;
    h->offset += (uint32_t)piece->size;
    return OTA_OK;
}

int http_open(struct http *h, const char *url)
{
    memset(h, 0, sizeof *h);
    h->socket = -1;
    h->port.check = http_check;
    h->port.report = http_report;
    h->port.get = http_get;
    h->port.ctx = h;
    return sscanf(url, "http://%127[^:/]:%7[0-9]", h->host, h->service) == 2 ? 0 : -1;
}
