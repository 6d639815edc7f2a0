/* What is measured under QEMU: the library at work on a keyset, a manifest and messages
 * of the test vectors (size/objects.h, written by size/objects.py). A result that is not the
 * right one ends the program with a failure. */
#include <stddef.h>
#include <stdint.h>

#include "board.h"
#include "cbor.h"
#include "cose.h"
#include "ota/ota.h"
#include "objects.h"
#include "update_bench.h"

/* The plugin counts between these two. */
__attribute__((noinline)) void size_begin(void)
{
    __asm__ volatile("");
}

__attribute__((noinline)) void size_end(void)
{
    __asm__ volatile("");
}

static const void *find(void *ctx, const uint8_t id[OTA_SHA256_SIZE], int alg)
{
    (void)ctx;
    for (unsigned i = 0; alg == OTA_PS256 && i < sizeof keys / sizeof *keys; i++)
        if (ota_equal(keys[i].id, id, OTA_SHA256_SIZE) == OTA_PASS)
            return &keys[i].key;
    return NULL;
}

static const struct ota_keyring ring = {find, NULL, NULL};
static struct ota_source keyset_source, next_source, manifest_source;
static struct ota_keyset keyset, next;
static struct ota_manifest manifest;
static struct ota_rsa_key prepared;
static struct ota_check_response response;
static uint8_t signature[OTA_RSA_BYTES], room[512];
static struct cose_object object;
static struct cose_object signer;
static struct cose_message message;

static int nothing(void)
{
    return 1;
}

static int verify(void)
{
    return ota_verify(&ring, OTA_PS256, &keys[KEY_RELEASE].key, message.spans, message.count, signature,
                      sizeof signature) == OTA_PASS;
}

static int verify_manifest(void)
{
    ota_verdict verdict;

    return ota_manifest_verify(&manifest, &manifest_source, &keyset, &ring, &verdict) == OTA_OK && verdict == OTA_PASS;
}

static int accept_keyset(void)
{
    ota_verdict verdict;

    return ota_keyset_accept(&next, &next_source, &keyset, &ring, &verdict) == OTA_OK && verdict == OTA_PASS;
}

static int check_rollback(void)
{
    static const struct ota_history history;
    static const struct ota_device device = {"B", NULL, 0, 0xffffffff, 0, 0};
    ota_verdict verdict;

    return ota_rollback_check(&history, &manifest, &device, &verdict) == OTA_OK && verdict == OTA_PASS;
}

static int open_response(void)
{
    ota_verdict verdict;

    return ota_check_response_open(&response, world_response, sizeof world_response, world_down, WORLD_DEVICE,
                                   WORLD_NONCE, &verdict) == OTA_OK &&
           verdict == OTA_PASS;
}

static int encode_request(void)
{
    static const struct ota_check_request request = {WORLD_DEVICE, "sensor_v1", "B", 1, 1, 1, 0, 0, 0, {1}};
    size_t size;

    return ota_check_request_encode(&request, world_down, room, sizeof room, &size) == OTA_OK;
}

static int prepare_key(void)
{
    uint8_t id[OTA_SHA256_SIZE];

    return ota_rsa_prepare(&ring, &prepared, id, world_cose_key, sizeof world_cose_key) == OTA_OK &&
           ota_equal(&prepared, &keys[KEY_RELEASE].key, sizeof prepared) == OTA_PASS;
}

static int hash_256(void)
{
    struct ota_sha256 sha;
    uint8_t digest[OTA_SHA256_SIZE];

    ota_sha256_init(&sha);
    ota_sha256_update(&sha, world_cose_key, 256);
    ota_sha256_final(&sha, digest);
    return 1;
}

/* In the order of the names in size/size.py. */
static int (*const measured[])(void) = {nothing,        verify,        verify_manifest, accept_keyset, check_rollback,
                                        open_response, encode_request, prepare_key,     hash_256};

__attribute__((noinline)) static int measure(int (*run)(void))
{
    volatile uint32_t base;
    int good;

    base = 0; /* its address is where the stack of run begins */
    size_begin();
    good = run();
    size_end();
    return good + (int)base;
}

static int prepare_world(void)
{
    keyset_source = ota_source_buffer(world_keyset, sizeof world_keyset);
    next_source = ota_source_buffer(world_next_keyset, sizeof world_next_keyset);
    manifest_source = ota_source_buffer(world_manifest, sizeof world_manifest);
    if (ota_keyset_open(&keyset, &keyset_source) != OTA_OK ||
        cose_parse_signed(&object, &manifest_source, COSE_MANIFEST) != OTA_OK ||
        cose_read_signature(&manifest_source, &object.proof.at, &signer) != OTA_OK)
        return 0;
    cose_message(&message, &object, &signer);
    return ota_source_read(&manifest_source, signer.payload.at, signature, sizeof signature) == OTA_OK;
}

int main(void)
{
    int good = prepare_world() && update_bench_prepare();

    for (unsigned i = 0; good && i < sizeof measured / sizeof *measured; i++)
        good = measure(measured[i]);
    for (unsigned i = 0; good && i < update_bench_count; i++)
        good = measure(update_bench_steps[i]);
    board_write_number(update_bench_state);
    board_write_number(update_bench_keyed);
    board_write_number(0); /* a line of three is none of the plugin's */
    board_write("\n");
    board_exit(good ? 0 : 1);
}
