/* The verification of the measured program through whichever crypto port is linked, and the
 * heap it takes. */
#include "peer.h"

#include <stdlib.h>

#include "../tests/key.h"
#include "cbor.h"
#include "cose.h"
#include "objects.h"
#include "ota/ota.h"

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void __real_free(void *p);
void __wrap_free(void *p);

/* Blocks in use, each behind its size. */
static size_t used, peak;

void *__wrap_calloc(size_t count, size_t size)
{
    max_align_t *block = __real_calloc(1, count * size + sizeof *block);

    if (block == NULL)
        return NULL;
    *(size_t *)(void *)block = count * size;
    used += count * size;
    if (used > peak)
        peak = used;
    return block + 1;
}

void __wrap_free(void *p)
{
    if (p == NULL)
        return;
    used -= *(size_t *)(void *)((max_align_t *)p - 1);
    __real_free((max_align_t *)p - 1);
}

__attribute__((noinline)) void size_begin(void)
{
    __asm__ volatile("");
}

__attribute__((noinline)) void size_end(void)
{
    __asm__ volatile("");
}

static const struct ota_keyring ring;
static struct key key;
static uint8_t signature[OTA_RSA_BYTES];
static struct cose_message message;

static int nothing(void)
{
    return 1;
}

static int verify(void)
{
    return ota_verify(&ring, OTA_PS256, key.form.bytes, message.spans, message.count, signature, sizeof signature) ==
           OTA_PASS;
}

static __attribute__((noinline)) int measure(int (*run)(void))
{
    volatile uint32_t base;
    int good;

    base = 0;
    size_begin();
    good = run();
    size_end();
    return good + (int)base;
}

int peer(size_t *heap)
{
    struct ota_source source = ota_source_buffer(world_manifest, sizeof world_manifest);
    struct cose_object object, signer;

    if (key_load(&key, world_cose_key, sizeof world_cose_key) != 0 ||
        cose_parse_signed(&object, &source, COSE_MANIFEST) != OTA_OK ||
        cose_read_signature(&source, &object.proof.at, &signer) != OTA_OK)
        return 0;
    cose_message(&message, &object, &signer);
    if (ota_source_read(&source, signer.payload.at, signature, sizeof signature) != OTA_OK)
        return 0;
    if (!measure(nothing) || !measure(verify))
        return 0;
    *heap = peak;
    return used == 0;
}
