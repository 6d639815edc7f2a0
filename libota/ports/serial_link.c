#include "serial_link.h"

#include "crc32.h"
#include "plain_map.h"

#define HASH 32u
#define HEAD 2u /* length of the body */
#define TAIL 4u /* CRC of length and body */
#define MOST_DATA 4096u

/* docs/spec/serial.md section 5: the first wait, the longest, in milliseconds, and how often. */
#define FIRST_WAIT 500u
#define LONGEST_WAIT 4000u
#define TIMES 12

/* A line that never falls silent is no reason to listen for ever, nor is one that says a byte now and then: what
 * counts is all the silence, in steps of so many milliseconds, and all the bytes of a question's answers. */
#define STEP 100u
#define MOST_BYTES 65536u

/* ---- a question --------------------------------------------------------------- */

static size_t length(const char *text)
{
    size_t n = 0;

    while (text != NULL && text[n] != '\0')
        n++;
    return n;
}

static void put_body(struct plain_writer *w, uint32_t number, uint32_t room, const struct serial_question *q)
{
    size_t hash = q->hash != NULL ? HASH : 0, type = length(q->type);

    plain_put_map(w, 3u + (room != 0) + (hash != 0) + (type != 0) + (q->version != 0) + (q->offset != 0) +
                         (q->size != 0));
    plain_put_head(w, PLAIN_NUMBER, 0);
    plain_put_head(w, PLAIN_NUMBER, 1); /* format */
    plain_put_head(w, PLAIN_NUMBER, 1);
    plain_put_head(w, PLAIN_NUMBER, number);
    plain_put_number(w, 2, q->kind);
    plain_put_number(w, 3, room);
    plain_put_string(w, 4, PLAIN_BYTES, q->hash, hash);
    plain_put_string(w, 5, PLAIN_TEXT, q->type, type);
    plain_put_number(w, 6, q->version);
    plain_put_number(w, 7, q->offset);
    plain_put_string(w, 8, PLAIN_BYTES, q->message, q->size);
}

/* The most data that an answer may hold. */
static uint32_t room_for_data(const struct serial_link *l)
{
    return l->size - SERIAL_OVERHEAD < MOST_DATA ? (uint32_t)(l->size - SERIAL_OVERHEAD) : MOST_DATA;
}

/* Builds the frame in the buffer. *crc is what its answer will name. */
static int build(struct serial_link *l, const struct serial_question *q, size_t *size, uint32_t *crc)
{
    struct plain_writer w = {l->buffer, HEAD, l->size};

    put_body(&w, l->number, q->kind == SERIAL_REPORT ? 0 : room_for_data(l), q);
    if (w.size > l->size - TAIL)
        return OTA_ERR_TOO_LARGE;
    *size = w.size;
    w.size = 0;
    plain_put_raw(&w, (uint32_t)(*size - HEAD), HEAD);
    *crc = ota_crc32(0, l->buffer, *size);
    w.size = *size;
    plain_put_raw(&w, *crc, TAIL);
    *size = w.size;
    return OTA_OK;
}

/* COBS: the frame is cut behind each zero, and behind one that is thought at its end. */
static void send_frame(const struct serial_link *l, size_t size)
{
    l->send(l->ctx, 0); /* ends what noise may have begun */
    for (size_t at = 0; at <= size;) {
        uint8_t run = 0;

        while (run < 254 && at + run < size && l->buffer[at + run] != 0)
            run++;
        l->send(l->ctx, (uint8_t)(run + 1));
        for (uint8_t i = 0; i < run; i++)
            l->send(l->ctx, l->buffer[at + i]);
        at += run + (run < 254 ? 1u : 0u);
    }
    l->send(l->ctx, 0);
}

/* ---- an answer ---------------------------------------------------------------- */

static void begin_frame(struct serial_link *l)
{
    l->at = 0;
    l->block = l->left = l->broken = 0;
}

static void keep(struct serial_link *l, uint8_t byte)
{
    if (l->at == l->size)
        l->broken = 1;
    else
        l->buffer[l->at++] = byte;
}

/* Takes a byte that is not zero, and takes COBS off as it comes. */
static void take(struct serial_link *l, uint8_t byte)
{
    if (l->left == 0) {
        if (l->block != 0 && l->block != 255)
            keep(l, 0);
        l->block = byte;
        l->left = (uint8_t)(byte - 1);
    } else {
        keep(l, byte);
        l->left--;
    }
}

static uint32_t big_endian(const uint8_t *p, unsigned bytes)
{
    uint32_t v = 0;

    while (bytes-- > 0)
        v = v << 8 | *p++;
    return v;
}

/* Says whether what stands in the buffer is a whole frame. */
static int is_frame(const struct serial_link *l)
{
    return !l->broken && l->left == 0 && l->at > HEAD + TAIL && big_endian(l->buffer, HEAD) == l->at - HEAD - TAIL &&
           big_endian(l->buffer + l->at - TAIL, TAIL) == ota_crc32(0, l->buffer, l->at - TAIL);
}

/* Reads the answer in the buffer. Says whether it is the one to the question whose frame had that CRC. */
static int read_answer(const struct serial_link *l, uint32_t crc, struct serial_answer *a)
{
    enum { FORMAT, TO, STATUS, TOTAL, DATA, REASON, RETRY, FIELDS };
    uint32_t field[FIELDS] = {0};
    struct plain_map m;
    struct plain_pair p;

    a->data = NULL;
    plain_open(&m, l->buffer + HEAD, l->at - HEAD - TAIL);
    while (plain_next(&m, &p)) {
        if (p.key >= FIELDS || p.type != (p.key == DATA ? PLAIN_BYTES : PLAIN_NUMBER))
            return 0;
        field[p.key] = p.value;
        if (p.key == DATA)
            a->data = p.bytes;
    }
    a->size = field[DATA];
    a->total = field[TOTAL];
    a->status = field[STATUS];
    a->reason = field[REASON];
    a->retry = field[RETRY];
    return plain_closed(&m) && field[FORMAT] == 1 && field[TO] == crc;
}

/* Waits for the answer. 0 if it did not come within so many milliseconds of silence, or *bytes. */
static int await(struct serial_link *l, uint32_t wait, uint32_t *bytes, uint32_t crc, struct serial_answer *a)
{
    begin_frame(l);
    while (wait > 0 && *bytes > 0) {
        int byte = l->receive(l->ctx, STEP);

        if (byte < 0) {
            wait -= STEP;
            continue;
        }
        --*bytes;
        if (byte > 0)
            take(l, (uint8_t)byte);
        else if (is_frame(l) && read_answer(l, crc, a))
            return 1;
        else
            begin_frame(l);
    }
    return 0;
}

int serial_ask(struct serial_link *l, const struct serial_question *q, struct serial_answer *a)
{
    uint32_t wait = FIRST_WAIT, bytes = MOST_BYTES, crc;
    size_t size;

    if (l->size < SERIAL_SMALLEST)
        return OTA_ERR_TOO_LARGE;
    l->number++;
    for (int i = 0; i < TIMES && bytes > 0; i++) {
        int err = build(l, q, &size, &crc); /* anew each time: what came in took its place */

        if (err != OTA_OK)
            return err;
        send_frame(l, size);
        if (await(l, wait, &bytes, crc, a))
            return a->status == 0 ? OTA_OK : a->status == 5 ? OTA_ERR_TOO_LARGE : OTA_ERR_TRANSPORT;
        wait = wait < LONGEST_WAIT ? 2 * wait : LONGEST_WAIT;
    }
    return OTA_ERR_TRANSPORT;
}
