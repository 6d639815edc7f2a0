/* Keys of the ports over crypto libraries. Which COSE_Keys there are, the Go code
 * decides; here they only have to be told from each other. */
#include <string.h>

#include "key.h"
#include "ota/cose_key.h"
#include "ota/crypto.h"

/* 1 if a COSE_Key is RSA within the policy. */
static int is_rsa(const uint8_t *cose, size_t size)
{
    size_t bytes = size - 12;

    return (bytes == 256 || bytes == 384 || bytes == 512) && memcmp(cose, "\xa3\x01\x03\x20\x59", 5) == 0 &&
           cose[5] == bytes >> 8 && cose[6] == (bytes & 0xff) && cose[7] >= 0x80 && cose[6 + bytes] % 2 == 1 &&
           memcmp(cose + 7 + bytes, "\x21\x43\x01\x00\x01", 5) == 0;
}

int key_load(struct key *k, const uint8_t *cose, size_t size)
{
    struct ota_cose_key form = {k->cose, size};
    struct ota_sha256 sha;

    k->alg = 0;
    if (size > sizeof k->cose)
        return -1;
    if (size > 12 && is_rsa(cose, size))
        k->alg = OTA_PS256;
    else if (size == 75 && memcmp(cose, "\xa4\x01\x02\x20\x01\x21\x58\x20", 8) == 0)
        k->alg = OTA_ESP256;
#ifdef WITH_ED25519
    else if (size == 40 && memcmp(cose, "\xa3\x01\x01\x20\x06\x21\x58\x20", 8) == 0)
        k->alg = OTA_ED25519;
#endif
    if (k->alg == 0)
        return -1;
    memcpy(k->cose, cose, size);
    memcpy(k->form.bytes, &form, sizeof form);
    ota_sha256_init(&sha);
    ota_sha256_update(&sha, cose, size);
    ota_sha256_final(&sha, k->id);
    return 0;
}
