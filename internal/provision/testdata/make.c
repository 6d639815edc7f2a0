/* Makes with libota what ota device provision makes, and writes it to standard output:
 *
 *     make UNIT PAGE ERASED AREA-PAGES GENERATION KEYSET-VERSION FLOOR-EPOCH FLOOR-COUNTER ENTRY KEYSET IDENTITY ANCHOR KEY…
 *
 * with five areas of AREA-PAGES pages each: device, journal, journal, keyset, keyset. The last
 * arguments are files; ENTRY is what the journal notes of the firmware: sequence(8) oldest return(8)
 * counter(4) size(4) digest(32) hash(32) version. */
#include "memory.h"

#include "ota/rsa.h"

static struct memory flash;

static uint64_t big(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;

    while (size-- > 0)
        v = v << 8 | *p++;
    return v;
}

static void read_entry(const char *name, struct ota_entry *e)
{
    size_t size;
    uint8_t *p = load_file(name, &size);

    memset(e, 0, sizeof *e);
    e->release.sequence = big(p, 8);
    e->release.oldest_return = big(p + 8, 8);
    e->release.security_counter = (uint32_t)big(p + 16, 4);
    e->release.image_size = (uint32_t)big(p + 20, 4);
    memcpy(e->release.image_digest, p + 24, 32);
    memcpy(e->manifest_hash, p + 56, 32);
    e->release.version.size = (uint8_t)(size - 88);
    memcpy(e->release.version.text, p + 88, size - 88);
}

/* An object behind another one, in the same page: for libota a flash of one page. */
static uint32_t append(uint32_t at, uint32_t end, const uint8_t *bytes, size_t size, uint32_t version)
{
    uint32_t step = flash.port.unit < 16 ? 16 : flash.port.unit;
    struct ota_source object = ota_source_buffer(bytes, size);
    struct memory rest;
    struct ota_area a;

    memory_init(&rest, flash.bytes, at, end - at, 1, flash.port.unit, flash.port.erased);
    a = memory_area(&rest, at, end - at);
    check(ota_object_write(&a, &object, version) == OTA_OK, "ota_object_write");
    return at + step + ((uint32_t)size + step - 1) / step * step;
}

static uint32_t append_file(uint32_t at, uint32_t end, const char *name, uint32_t version)
{
    size_t size;
    uint8_t *bytes = load_file(name, &size);

    return append(at, end, bytes, size, version);
}

/* libota takes any R² that is the right one modulo n, and makes one that may be n too large. The
 * tool writes the one below n. */
static void reduce(struct ota_rsa_key *key)
{
    uint64_t borrow = 0;
    unsigned i = OTA_RSA_LIMBS;

    while (i > 0 && key->rr[i - 1] == key->n[i - 1])
        i--;
    if (i > 0 && key->rr[i - 1] < key->n[i - 1])
        return;
    for (i = 0; i < OTA_RSA_LIMBS; i++) {
        uint64_t d = (uint64_t)key->rr[i] - key->n[i] - borrow;

        key->rr[i] = (ota_limb)d;
        borrow = d >> 63;
    }
}

static uint32_t append_key(uint32_t at, uint32_t end, const char *name)
{
    static struct {
        uint8_t id[OTA_SHA256_SIZE];
        struct ota_rsa_key key;
    } prepared;
    struct ota_keyring ring = {0};
    size_t size;
    uint8_t *cose = load_file(name, &size);

    check(ota_rsa_prepare(&ring, &prepared.key, prepared.id, cose, size) == OTA_OK, "ota_rsa_prepare");
    reduce(&prepared.key);
    return append(at, end, (const uint8_t *)&prepared, sizeof prepared, 3);
}

int main(int argc, char **argv)
{
    uint32_t unit, page, erased, area, at;
    struct ota_area journal[2], keyset;
    struct ota_source object;
    struct ota_journal j;
    struct ota_state state;
    struct ota_entry entry;
    size_t size;
    uint8_t *bytes;

    check(argc > 12, "usage");
    unit = number(argv[1]), page = number(argv[2]), erased = number(argv[3]), area = page * number(argv[4]);
    bytes = malloc(5 * area);
    memset(bytes, (int)erased, 5 * area);
    memory_init(&flash, bytes, 0, page, 5 * area / page, (uint16_t)unit, (uint8_t)erased);

    memset(&state, 0, sizeof state);
    state.keyset_version = number(argv[6]);
    state.floor_epoch = number(argv[7]);
    state.floor_counter = number(argv[8]);
    read_entry(argv[9], &entry);
    for (unsigned i = 0; i < 2; i++) {
        journal[i] = memory_area(&flash, (i + 1) * area, area);
        check(ota_area_check(&journal[i]) == OTA_OK, "ota_area_check");
    }
    check(ota_journal_format(&j, journal, &state, &entry, number(argv[5])) == OTA_OK, "ota_journal_format");

    bytes = load_file(argv[10], &size);
    object = ota_source_buffer(bytes, size);
    keyset = memory_area(&flash, 3 * area, area);
    check(ota_object_write(&keyset, &object, state.keyset_version) == OTA_OK, "ota_object_write keyset");

    at = append_file(0, area, argv[11], 1);
    at = append_file(at, area, argv[12], 2);
    for (int i = 13; i < argc; i++)
        at = append_key(at, area, argv[i]);
    fwrite(flash.bytes, 1, 5 * area, stdout);
    return 0;
}
