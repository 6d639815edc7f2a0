/* A public key in the form that the linked crypto port takes. */
#ifndef KEY_H
#define KEY_H

#include <stddef.h>
#include <stdint.h>

#define MAX_KEY 2200

struct key {
    uint8_t id[32];
    int alg;
    union {
        uint64_t align;
        uint8_t bytes[MAX_KEY];
    } form;
    uint8_t cose[544];
};

/* Loads a COSE_Key. Returns 0, or -1 if the port cannot verify with it. */
int key_load(struct key *k, const uint8_t *cose, size_t size);

#endif
