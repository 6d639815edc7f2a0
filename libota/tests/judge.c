/* Judges a stream of objects, for whoever compares its judgement with another's: in the
 * world of the first vector of a file, each object on standard input, behind its length in
 * four bytes, gets a byte on standard output: 0, or the reason of its refusal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "world.h"

static void stream(const struct vector *v)
{
    static uint8_t length[4], bytes[1 << 16];
    judge *judge = strcmp(v->kind, "keyset") == 0     ? judge_keyset
                   : strcmp(v->kind, "manifest") == 0 ? judge_manifest
                                                      : judge_response;

    if (judge != judge_response && load_held(v) != OTA_OK)
        exit(2);
    load_device(v);
    while (fread(length, 1, sizeof length, stdin) == sizeof length) {
        size_t size = ota_load32(length);
        struct ota_source object = ota_source_buffer(bytes, size);
        ota_verdict verdict = OTA_PASS;
        int err;

        if (size > sizeof bytes || fread(bytes, 1, size, stdin) != size)
            exit(2);
        err = judge(v, &object, &verdict);
        if ((verdict == OTA_PASS) != (err == OTA_OK))
            exit(3);
        putchar(-err);
        fflush(stdout);
    }
    exit(ferror(stdin) ? 2 : 0);
}

int main(int argc, char **argv)
{
    if (argc == 2)
        (void)vectors_read(argv[1], stream);
    return 2;
}
