/* Prints what a provisioning header holds. */
#include <stdio.h>

#include "provisioning.h"
#include "provisioning.h"

#define PRINT(array) fwrite(array, 1, sizeof array, stdout)

static void print_key(const struct ota_rsa_key *key)
{
    fwrite(key, 1, sizeof *key, stdout);
}

int main(void)
{
    PRINT(unit_7_vendor);
    PRINT(unit_7_device_type);
    PRINT(unit_7_device);
    PRINT(unit_7_hardware);
    PRINT(unit_7_keys.up);
    PRINT(unit_7_keys.down);
    PRINT(unit_7_anchor);
    PRINT(unit_7_keyset);
    PRINT(unit_7_key_1_id);
    PRINT(unit_7_key_2_id);
    PRINT(unit_7_key_3_id);
    PRINT(unit_7_key_4_id);
    print_key(&unit_7_key_1);
    print_key(&unit_7_key_2);
    print_key(&unit_7_key_3);
    print_key(&unit_7_key_4);
    return unit_7_generation != 1;
}
