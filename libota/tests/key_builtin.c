#include <string.h>

#include "key.h"
#include "ota/rsa.h"

int key_load(struct key *k, const uint8_t *cose, size_t size)
{
    struct ota_keyring quiet = {NULL, NULL, NULL};
    struct ota_rsa_key rsa;

    if (ota_rsa_prepare(&quiet, &rsa, k->id, cose, size) != OTA_OK)
        return -1;
    memcpy(k->form.bytes, &rsa, sizeof rsa);
    k->alg = OTA_PS256;
    return 0;
}
