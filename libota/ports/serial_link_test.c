/* The serial link against the bytes of docs/spec/serial.md, and on lines that lose, double and
 * change bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "plain_map.h"
#include "serial_link.h"
#include "../tests/expect.h"

int failures;

static const uint8_t example_question[] = {
    0x00, 0x01, 0x03, 0x32, 0xa6, 0x09, 0x01, 0x01, 0x07, 0x02, 0x06, 0x03, 0x19, 0x01, 0x04, 0x04, 0x58,
    0x20, 0x23, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
    0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x07,
    0x19, 0x10, 0x05, 0x64, 0x06, 0x41, 0x5c, 0x00};

static const uint8_t example_answer[] = {
    0x00, 0x01, 0x03, 0x1b, 0xa5, 0x09, 0x01, 0x01, 0x1a, 0x64, 0x06, 0x41, 0x5c, 0x02, 0x03, 0x03,
    0x1a, 0x06, 0x01, 0x11, 0x70, 0x04, 0x48, 0x02, 0x20, 0x02, 0x20, 0x08, 0x01, 0x02, 0x03, 0x8f,
    0x92, 0x4c, 0xbe, 0x00};

/* A gateway that answers every question with bytes of an object, over a bad line. */
struct line {
    uint8_t asked[2048]; /* what the device sends */
    size_t asked_size;
    uint8_t answer[8192]; /* what comes back */
    size_t answer_size, at;
    const uint8_t *object;
    uint32_t total;
    unsigned badness; /* of 10,000 bytes so many are changed, lost or doubled */
    uint32_t random;
    const struct serial_question *question; /* what a whole frame must be */
    uint32_t room;
    unsigned questions;
};

static uint32_t next_random(struct line *w)
{
    w->random = w->random * 1103515245u + 12345u;
    return w->random >> 8;
}

static size_t pack(const uint8_t *raw, size_t size, uint8_t *wire)
{
    size_t n = 0;

    wire[n++] = 0;
    for (size_t at = 0; at <= size;) {
        size_t run = 0;

        while (run < 254 && at + run < size && raw[at + run] != 0)
            run++;
        wire[n++] = (uint8_t)(run + 1);
        memcpy(wire + n, raw + at, run);
        n += run;
        at += run + (run < 254);
        if (run == 254 && at == size)
            break; /* the final block that may be there or not */
    }
    wire[n++] = 0;
    return n;
}

static size_t frame(const uint8_t *body, size_t size, uint8_t *wire)
{
    uint8_t raw[8192];
    uint32_t crc;

    raw[0] = (uint8_t)(size >> 8);
    raw[1] = (uint8_t)size;
    memcpy(raw + 2, body, size);
    crc = ota_crc32(0, raw, size + 2);
    for (int i = 0; i < 4; i++)
        raw[size + 2 + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
    return pack(raw, size + 6, wire);
}

/* Finds the whole question that was sent last; its body's length, or 0. */
static size_t unpack(const struct line *w, uint8_t *raw)
{
    size_t end = w->asked_size - 1, start = end, n = 0;
    uint32_t crc = 0;

    while (start > 0 && w->asked[start - 1] != 0)
        start--;
    for (size_t at = start; at < end;) {
        uint8_t block = w->asked[at++];

        for (uint8_t i = 1; i < block && at < end; i++)
            raw[n++] = w->asked[at++];
        if (block < 255 && at < end)
            raw[n++] = 0;
    }
    if (n < 7)
        return 0;
    for (int i = 0; i < 4; i++)
        crc = crc << 8 | raw[n - 4 + (size_t)i];
    return crc == ota_crc32(0, raw, n - 4) ? n - 6 : 0;
}

static void answer(struct line *w)
{
    uint8_t raw[2048], body[4200];
    struct plain_writer out = {body, 0, sizeof body};
    size_t size = unpack(w, raw);
    uint32_t offset = w->question->offset, n = w->total - offset, to = 0;

    if (size == 0)
        return;
    w->questions++;
    n = n < w->room - 12 ? n : w->room - 12; /* what this one skips takes 11 */
    for (int i = 0; i < 4; i++)
        to = to << 8 | raw[size + 2 + (size_t)i];
    plain_put_map(&out, 6);
    plain_put_head(&out, PLAIN_NUMBER, 0);
    plain_put_head(&out, PLAIN_NUMBER, 1);
    plain_put_number(&out, 1, to);
    plain_put_head(&out, PLAIN_NUMBER, 2);
    plain_put_head(&out, PLAIN_NUMBER, 0);
    plain_put_number(&out, 3, w->total);
    plain_put_string(&out, 4, PLAIN_BYTES, w->object + offset, n);
    plain_put_string(&out, 128, PLAIN_TEXT, "skipped", 7);
    w->answer_size = frame(body, out.size, w->answer);
    w->at = 0;
}

static void line_send(void *ctx, uint8_t byte)
{
    struct line *w = ctx;

    if (w->badness != 0 && next_random(w) % 10000 < w->badness)
        byte ^= (uint8_t)(1 + next_random(w) % 255);
    if (w->asked_size < sizeof w->asked)
        w->asked[w->asked_size++] = byte;
    if (byte == 0 && w->total != 0) {
        if (w->asked_size > 1)
            answer(w);
        w->asked_size = 0;
    }
}

static int line_receive(void *ctx, uint32_t milliseconds)
{
    struct line *w = ctx;
    uint8_t byte;

    (void)milliseconds;
    if (w->at >= w->answer_size)
        return -1;
    byte = w->answer[w->at++];
    if (w->badness != 0 && next_random(w) % 10000 < w->badness)
        switch (next_random(w) % 3) {
        case 0:
            return byte ^ (int)(1 + next_random(w) % 255);
        case 1:
            return line_receive(ctx, milliseconds); /* lost */
        default:
            w->at--; /* doubled */
        }
    return byte;
}

static void test_example(void)
{
    uint8_t buffer[256 + SERIAL_OVERHEAD], hash[32];
    struct line w;
    struct serial_link l;
    struct serial_answer a;
    struct serial_question q;

    memset(&w, 0, sizeof w);
    memset(&l, 0, sizeof l);
    memset(&q, 0, sizeof q);
    for (uint8_t i = 0; i < 32; i++)
        hash[i] = i;
    l.send = line_send;
    l.receive = line_receive;
    l.ctx = &w;
    l.buffer = buffer;
    l.size = sizeof buffer;
    l.number = 6;
    q.kind = SERIAL_IMAGE;
    q.hash = hash;
    q.offset = 4096;
    memcpy(w.answer, example_answer, sizeof example_answer);
    w.answer_size = sizeof example_answer;
    EXPECT(serial_ask(&l, &q, &a) == OTA_OK);
    EXPECT(w.asked_size == sizeof example_question && memcmp(w.asked, example_question, w.asked_size) == 0);
    EXPECT(a.total == 70000 && a.size == 8 && memcmp(a.data, "\x00\x20\x00\x20\x00\x01\x02\x03", 8) == 0);

    /* Every byte changed, left out, or doubled: nothing is taken for the answer. */
    for (size_t i = 0; i < sizeof example_answer; i++)
        for (int how = 0; how < 3; how++) {
            memcpy(w.answer, example_answer, sizeof example_answer);
            w.answer_size = sizeof example_answer;
            w.at = 0;
            l.number = 6;
            if (how == 0)
                w.answer[i] ^= 0x55;
            else if (how == 1)
                memmove(w.answer + i, w.answer + i + 1, --w.answer_size - i);
            else
                memmove(w.answer + i + 1, w.answer + i, w.answer_size++ - i);
            if ((how == 2 || i == 0) && example_answer[i] == 0)
                continue; /* a zero twice, or none in front, is the same line */
            EXPECT(serial_ask(&l, &q, &a) == OTA_ERR_TRANSPORT);
        }
}

/* An object of every kind of run, in every size of buffer, over a line that gets worse. */
static void test_lines(void)
{
    static uint8_t object[5000], got[5000], buffer[3000];
    unsigned repeats = 0;

    for (size_t i = 0; i < sizeof object; i++)
        object[i] = (uint8_t)(i < 1000 ? 1 + i % 251 : i < 2000 ? i % 3 : i < 3000 ? 0 : i * i);
    for (unsigned badness = 0; badness <= 12; badness++)
        for (size_t size = 300; size <= sizeof buffer; size += 67) {
            struct line w;
            struct serial_link l;
            struct serial_answer a;
            struct serial_question q;
            uint32_t asked = 0;

            memset(&w, 0, sizeof w);
            memset(&l, 0, sizeof l);
            memset(&q, 0, sizeof q);
            l.send = line_send;
            l.receive = line_receive;
            l.ctx = &w;
            l.buffer = buffer;
            l.size = size;
            w.object = object;
            w.question = &q;
            w.room = (uint32_t)size - SERIAL_OVERHEAD;
            w.total = sizeof object;
            w.badness = badness;
            w.random = badness * 7919 + (uint32_t)size;
            q.kind = SERIAL_IMAGE;
            q.hash = object;
            for (q.offset = 0; q.offset < sizeof object; q.offset += (uint32_t)a.size) {
                int err = serial_ask(&l, &q, &a);

                asked++;
                if (err != OTA_OK || a.size == 0 || a.size > sizeof got - q.offset) {
                    EXPECT(err == OTA_ERR_TRANSPORT && badness > 5); /* twelve times in a row: it may */
                    break;
                }
                memcpy(got + q.offset, a.data, a.size);
            }
            EXPECT(q.offset < sizeof object || memcmp(got, object, sizeof got) == 0);
            repeats += w.questions - asked;
            EXPECT(badness != 0 || w.questions == asked);
        }
    EXPECT(repeats > 100);
    printf("%u repeats, ", repeats);
}

/* What a reader passes over may be any item that CBOR has; what is none is found out, and so is a size that is not there. */
static void test_skips(void)
{
    static const struct {
        size_t size;
        const char *bytes;
    } items[] = {
        {1, "\x00"}, {2, "\x18\xff"}, {9, "\x1b\x80\x00\x00\x00\x00\x00\x00\x00"}, {1, "\x20"},
        {9, "\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"}, {1, "\x40"}, {4, "\x43" "abc"}, {4, "\x63" "abc"}, {1, "\x80"},
        {5, "\x83\x01\x41\x00\xf5"}, {1, "\xa0"}, {7, "\xa2\x01\x02\x61x\x81\x00"}, {1, "\xf4"}, {1, "\xf5"},
        {3, "\xf9\x3c\x00"}, {9, "\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00"}, {3, "\xd8\x62\x80"},
        {9, "\x81\x81\x81\x81\x81\x81\x81\x81\x00"}, {8, "\x82\xa1\x01\x82\x02\x03\x81\xa0"},
    };
    static const char *const none[] = {"\xff", "\x9f\xff", "\xbf\xff", "\x5f\xff", "\x1c", "\xfc"};
    static const uint8_t key[] = {0x18, 0x80, 0x1b, 0x01, 0, 0, 0, 0, 0, 0, 0x80}; /* 128, or one of 64 bits */
    uint8_t bytes[32], deep[64];
    struct plain_map m;
    struct plain_pair p;

    for (unsigned wide = 0; wide < 2; wide++)
        for (unsigned i = 0; i < sizeof items / sizeof *items; i++) {
            size_t n = 0;

            bytes[n++] = 0xa2;
            memcpy(bytes + n, wide ? key + 2 : key, wide ? 9 : 2);
            n += wide ? 9 : 2;
            memcpy(bytes + n, items[i].bytes, items[i].size);
            n += items[i].size;
            bytes[n++] = 1;
            bytes[n++] = 5;
            plain_open(&m, bytes, n);
            EXPECT(plain_next(&m, &p) == 1 && p.key == 1 && p.type == PLAIN_NUMBER && p.value == 5);
            EXPECT(plain_next(&m, &p) == 0 && plain_closed(&m));
            for (size_t less = 0; less < n; less++) {
                uint8_t *exact = malloc(less + 1); /* so that the sanitizer sees a byte too many */

                memcpy(exact, bytes, less);
                plain_open(&m, exact, less);
                while (plain_next(&m, &p))
                    ;
                EXPECT(!plain_closed(&m));
                free(exact);
            }
        }
    for (unsigned i = 0; i < sizeof none / sizeof *none; i++) {
        memcpy(bytes, "\xa1\x18\x80", 3);
        memcpy(bytes + 3, none[i], strlen(none[i]));
        plain_open(&m, bytes, 3 + strlen(none[i]));
        EXPECT(plain_next(&m, &p) == 0 && !plain_closed(&m));
    }
    /* Lists of more than there is, in lists of more than there is. */
    for (unsigned head = 0x9a; head <= 0xba; head += 0x20)
        for (unsigned most = 0; most < 256; most += 15) {
            memcpy(deep, "\xa1\x18\x80", 3);
            for (size_t at = 3; at < sizeof deep; at++)
                deep[at] = (uint8_t)((at - 3) % 5 == 0 ? head : most);
            plain_open(&m, deep, sizeof deep);
            EXPECT(plain_next(&m, &p) == 0 && !plain_closed(&m));
        }
    /* A number of 64 bits is none that this reader gives, and neither is a list. */
    memcpy(bytes, "\xa1\x01\x1b\x01\x00\x00\x00\x00\x00\x00\x05", 11);
    plain_open(&m, bytes, 11);
    EXPECT(plain_next(&m, &p) == 0 && !plain_closed(&m));
    plain_open(&m, (const uint8_t *)"\xa1\x01\x81\x05", 4);
    EXPECT(plain_next(&m, &p) == 0 && !plain_closed(&m));
}

/* Whatever stands in a whole frame, the answer lies within the buffer. */
static void test_hostile(void)
{
    static const uint8_t tries[][12] = {{0xa1}, {0xbf}, {0xa1, 4, 0x5a, 0xff, 0xff, 0xff, 0xff}, {0xa1, 0x18, 0x80, 0x9b},
                                        {0xa2, 0x18, 0x80, 0x98, 0x40}, {0xba, 0xff, 0xff, 0xff, 0xff, 0x18, 0x80, 0}};
    uint8_t buffer[256 + SERIAL_OVERHEAD], body[64];
    uint32_t random = 1, accepted = 0;

    for (unsigned i = 0; i < 50000; i++) {
        struct line w;
        struct serial_link l;
        struct serial_answer a;
        struct serial_question q;
        size_t size;

        memset(&w, 0, sizeof w);
        memset(&l, 0, sizeof l);
        memset(&q, 0, sizeof q);
        l.send = line_send;
        l.receive = line_receive;
        l.ctx = &w;
        l.buffer = buffer;
        l.size = sizeof buffer;
        l.number = 6;
        q.kind = SERIAL_IMAGE;
        q.offset = 4096;
        size = 1 + i % sizeof body;
        for (size_t k = 0; k < size; k++)
            body[k] = (uint8_t)((random = random * 1103515245u + 12345u) >> 16);
        if (i < sizeof tries / sizeof *tries)
            memcpy(body, tries[i], size = sizeof tries[i]);
        else if (i % 2 == 0 && size > 14) /* nearly right */
            memcpy(body, "\xa5\x00\x01\x01\x1a\x00\x00\x00\x00\x02\x00\x03\x18\x40\x04", 15);
        w.answer_size = frame(body, size, w.answer);
        if (serial_ask(&l, &q, &a) == OTA_OK) {
            accepted++;
            EXPECT(a.size == 0 || (a.data >= buffer && a.data + a.size <= buffer + sizeof buffer));
        }
    }
    EXPECT(accepted == 0); /* none of them names the question */
}

static void test_limits(void)
{
    uint8_t buffer[SERIAL_SMALLEST], message[512] = {1};
    char type[65];
    struct line w;
    struct serial_link l;
    struct serial_answer a;
    struct serial_question q;

    memset(&w, 0, sizeof w);
    memset(&l, 0, sizeof l);
    memset(&q, 0, sizeof q);
    memset(type, 'x', 64);
    type[64] = '\0';
    l.send = line_send;
    l.receive = line_receive;
    l.ctx = &w;
    l.buffer = buffer;
    l.size = sizeof buffer;
    l.number = 0xfffffff0;
    q.kind = SERIAL_KEYSET; /* the longest question without a message fits */
    q.type = type;
    q.version = 0xffffffff;
    q.offset = 0xffffffff;
    EXPECT(serial_ask(&l, &q, &a) == OTA_ERR_TRANSPORT);
    memset(&q, 0, sizeof q);
    q.kind = SERIAL_REPORT;
    q.message = message;
    q.size = sizeof buffer - SERIAL_OVERHEAD;
    EXPECT(serial_ask(&l, &q, &a) == OTA_ERR_TRANSPORT);
    q.size = sizeof message;
    EXPECT(serial_ask(&l, &q, &a) == OTA_ERR_TOO_LARGE);
}

/* A line that says a byte whenever it would be given up. */
struct drip {
    uint64_t milliseconds;
    uint8_t byte;
};

static void drip_send(void *ctx, uint8_t byte)
{
    (void)ctx;
    (void)byte;
}

static int drip_receive(void *ctx, uint32_t milliseconds)
{
    struct drip *d = ctx;

    d->milliseconds += milliseconds;
    return d->byte;
}

static void test_endless(void)
{
    for (int byte = 0; byte < 256; byte++) {
        uint8_t buffer[SERIAL_SMALLEST];
        struct drip d = {0, (uint8_t)byte};
        struct serial_link l = {drip_send, drip_receive, &d, buffer, sizeof buffer, 0, 0, 0, 0, 0};
        struct serial_question q = {SERIAL_IMAGE, NULL, NULL, 0, 0, NULL, 0};
        struct serial_answer a;

        EXPECT(serial_ask(&l, &q, &a) == OTA_ERR_TRANSPORT);
        EXPECT(d.milliseconds < 2 * 3600 * 1000);
    }
}

int main(void)
{
    test_example();
    test_lines();
    test_skips();
    test_hostile();
    test_limits();
    test_endless();
    printf("%s\n", failures == 0 ? "passed" : "FAILED");
    return failures != 0;
}
