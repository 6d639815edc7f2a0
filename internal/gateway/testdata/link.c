/* A device's end of the line in C, with libota's serial link: fetches an image over file descriptor 3
 * and writes it to standard output.
 *
 *     link HASH-IN-HEX BUFFER-SIZE */
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "serial_link.h"

static void send_byte(void *ctx, uint8_t byte)
{
    (void)ctx;
    if (write(3, &byte, 1) != 1)
        exit(3);
}

static int receive_byte(void *ctx, uint32_t milliseconds)
{
    struct pollfd line = {3, POLLIN, 0};
    uint8_t byte;

    (void)ctx;
    if (poll(&line, 1, (int)milliseconds) <= 0)
        return -1;
    return read(3, &byte, 1) == 1 ? byte : -1;
}

int main(int argc, char **argv)
{
    static uint8_t buffer[8192], hash[32];
    struct serial_link link = {send_byte, receive_byte, NULL, buffer, 0, 0, 0, 0, 0, 0};
    struct serial_question question = {SERIAL_IMAGE, hash, NULL, 0, 0, NULL, 0};
    struct serial_answer answer;

    if (argc != 3)
        return 2;
    for (unsigned i = 0; i < sizeof hash; i++) {
        unsigned byte;

        if (sscanf(argv[1] + 2 * i, "%2x", &byte) != 1)
            return 2;
        hash[i] = (uint8_t)byte;
    }
    link.size = (size_t)atoi(argv[2]);
    do {
        int err = serial_ask(&link, &question, &answer);

        if (err != 0) {
            fprintf(stderr, "error %d, status %lu\n", err, (unsigned long)answer.status);
            return 1;
        }
        fwrite(answer.data, 1, answer.size, stdout);
        question.offset += (uint32_t)answer.size;
    } while (question.offset < answer.total);
    return 0;
}
