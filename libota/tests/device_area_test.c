/* What provisioning wrote, and what somebody else might have written. */
#include "rig.h"

#include <string.h>

#include "bytes.h"
#include "crc32.h"
#include "ota/device.h"

static uint8_t flash_bytes[8192];
static uint32_t reads, fails_at;

static int read_flash(void *ctx, uint32_t at, void *to, size_t size)
{
    (void)ctx;
    if (reads++ == fails_at)
        return 1;
    EXPECT(at <= sizeof flash_bytes && size <= sizeof flash_bytes - at);
    memcpy(to, flash_bytes + at, size);
    return 0;
}

static const struct ota_pages page = {0, sizeof flash_bytes, 1};
static struct ota_flash flash = {read_flash, NULL, NULL, NULL, NULL, &page, 1, 0xff, 1, 4};
static const struct ota_area area = {&flash, 0, sizeof flash_bytes};

/* {0: 1, 1: "acme", 2: "sensor_v1", 3: "dev-0001", 4: 7, 5: up, 6: down, 7: "B"}, and what may be skipped. */
static const uint8_t before_keys[] = {0xa9, 0, 1, 1, 0x64, 'a', 'c', 'm', 'e', 2, 0x69, 's', 'e', 'n', 's', 'o', 'r', '_',
                                      'v', '1', 3, 0x68, 'd', 'e', 'v', '-', '0', '0', '0', '1', 4, 7};
static const uint8_t after_keys[] = {7, 0x61, 'B', 0x18, 200, 0x82, 1, 0x61, 'x'};
#define IDENTITY (sizeof before_keys + 2 * 35 + sizeof after_keys)

static void make_identity(uint8_t to[IDENTITY])
{
    memcpy(to, before_keys, sizeof before_keys);
    to += sizeof before_keys;
    for (uint8_t key = 5; key < 7; key++, to += 35) {
        to[0] = key;
        to[1] = 0x58;
        to[2] = 32;
        memset(to + 3, 0x50 + key, 32);
    }
    memcpy(to, after_keys, sizeof after_keys);
}

/* Appends an object whose head says that size. Returns where the next one goes. */
static uint32_t put_object(uint32_t at, uint32_t kind, const void *content, uint32_t size)
{
    uint32_t head = flash.unit > 16 ? flash.unit : 16;
    uint8_t *to = flash_bytes + at;

    ota_store32(to, size);
    ota_store32(to + 4, kind);
    if (content != NULL) {
        ota_store32(to + 8, ota_crc32(0, content, size));
        memcpy(to + head, content, size);
    }
    ota_store32(to + 12, ota_crc32(0, to, 12));
    return at + head + (size + head - 1) / head * head;
}

static struct {
    uint8_t id[OTA_SHA256_SIZE];
    struct ota_rsa_key key;
} stored;

/* An area with everything. Returns where it ends. */
static uint32_t make_area(void)
{
    uint8_t identity[IDENTITY];
    uint32_t at;

    memset(flash_bytes, 0xff, sizeof flash_bytes);
    make_identity(identity);
    at = put_object(0, OTA_DEVICE_IDENTITY, identity, sizeof identity);
    at = put_object(at, OTA_DEVICE_ANCHOR, "anchor", 6);
    at = put_object(at, 99, "of a later format", 17);
    at = put_object(at, OTA_DEVICE_RSA_KEY, "too short", 9);
    for (uint8_t k = 1; k <= 2; k++) {
        memset(&stored, k, sizeof stored);
        at = put_object(at, OTA_DEVICE_RSA_KEY, &stored, sizeof stored);
    }
    return put_object(at, OTA_DEVICE_COSE_KEY, "", 0);
}

static void test_what_provisioning_wrote_is_found(void)
{
    static const uint16_t units[] = {1, 8, 16, 64, 256};
    struct ota_device_row r;
    struct ota_identity i;
    struct ota_rsa_key key;
    uint8_t id[OTA_SHA256_SIZE], bytes[6];

    for (unsigned n = 0; n < sizeof units / sizeof *units; n++) {
        flash.unit = units[n];
        EXPECT(make_area() <= sizeof flash_bytes);
        EXPECT(ota_identity_read(&i, &area) == OTA_OK);
        EXPECT(strcmp(i.device_type, "sensor_v1") == 0 && strcmp(i.device, "dev-0001") == 0);
        EXPECT(strcmp(i.hardware, "B") == 0 && i.generation == 7 && i.keys.up[31] == 0x55 && i.keys.down[0] == 0x56);
        EXPECT(ota_device_first(&r, &area, OTA_DEVICE_ANCHOR) && r.object.size == 6);
        EXPECT(ota_source_read(&r.object, 0, bytes, 6) == OTA_OK && memcmp(bytes, "anchor", 6) == 0);
        EXPECT(!ota_device_next(&r, OTA_DEVICE_ANCHOR));
        EXPECT(ota_device_first(&r, &area, OTA_DEVICE_COSE_KEY) && r.object.size == 0);
        memset(id, 2, sizeof id);
        EXPECT(ota_device_rsa_key(&area, id, &key) && memcmp(&key, &stored.key, sizeof key) == 0);
        memset(id, 3, sizeof id);
        EXPECT(!ota_device_rsa_key(&area, id, &key));
    }
    flash.unit = 4;
}

static int is_terminated(const char text[OTA_MAX_NAME + 1])
{
    return memchr(text, '\0', OTA_MAX_NAME + 1) != NULL;
}

/* Right, with texts that end, or all zero. */
static int open_identity(const uint8_t *bytes, size_t size)
{
    static const struct ota_identity zero;
    struct ota_source from = ota_source_buffer(bytes, size);
    struct ota_identity i;
    int err;

    memset(&i, 0xee, sizeof i);
    err = ota_identity_open(&i, &from);
    EXPECT(err == OTA_OK || memcmp(&i, &zero, sizeof i) == 0);
    EXPECT(is_terminated(i.device_type) && is_terminated(i.device) && is_terminated(i.hardware));
    EXPECT(err != OTA_OK || (i.device[0] != '\0' && i.device_type[0] != '\0' && i.generation != 0));
    return err;
}

static void test_an_identity_is_read_strictly(void)
{
    static uint8_t large[OTA_MAX_PAYLOAD + 1];
    uint8_t bytes[IDENTITY + 64];

    make_identity(bytes);
    EXPECT(open_identity(bytes, IDENTITY) == OTA_OK);
    for (size_t size = 0; size < IDENTITY; size++)
        EXPECT(open_identity(bytes, size) == OTA_ERR_MALFORMED);
    EXPECT(open_identity(bytes, IDENTITY + 1) == OTA_ERR_MALFORMED);
    for (size_t bit = 0; bit < 8 * IDENTITY; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        (void)open_identity(bytes, IDENTITY);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    bytes[2] = 2;
    EXPECT(open_identity(bytes, IDENTITY) == OTA_ERR_UNSUPPORTED);
    bytes[2] = 1;
    memset(bytes + sizeof before_keys + 3, 0, 32); /* no key */
    EXPECT(open_identity(bytes, IDENTITY) == OTA_ERR_INVALID_FIELD);
    memcpy(large, bytes, IDENTITY);
    EXPECT(open_identity(large, sizeof large) == OTA_ERR_TOO_LARGE);
}

/* A name of so many bytes, of 64 at most. */
static void test_the_longest_name(void)
{
    for (size_t size = 62; size < 67; size++) {
        uint8_t bytes[IDENTITY + 64], rest[IDENTITY];
        size_t at = 20;

        make_identity(rest);
        memcpy(bytes, rest, at);
        bytes[at++] = 3;
        bytes[at++] = 0x78;
        bytes[at++] = (uint8_t)size;
        memset(bytes + at, 'n', size);
        at += size;
        memcpy(bytes + at, rest + 30, IDENTITY - 30);
        at += IDENTITY - 30;
        EXPECT(open_identity(bytes, at) == (size <= OTA_MAX_NAME ? OTA_OK : OTA_ERR_INVALID_FIELD));
    }
}

/* Heads whose CRC is right and that say what cannot be: the walk ends, and stays in the area. */
static void test_heads_that_lie(void)
{
    static const uint32_t sizes[] = {0xffffffff, 0xfffffff0, 0x80000000, 8193, 8192, 8177, 8176, 8145};
    struct ota_device_row r;
    struct ota_identity i;
    struct ota_area part;
    unsigned found = 0;

    for (unsigned n = 0; n < sizeof sizes / sizeof *sizes; n++) {
        memset(flash_bytes, 0xff, sizeof flash_bytes);
        (void)put_object(put_object(0, 9, "", 0), OTA_DEVICE_IDENTITY, NULL, sizes[n]);
        EXPECT(ota_identity_read(&i, &area) == OTA_ERR_NO_DEVICE_KEY);
        EXPECT(!ota_device_first(&r, &area, OTA_DEVICE_IDENTITY) && !ota_device_next(&r, OTA_DEVICE_IDENTITY));
    }
    for (uint32_t at = 0; at < sizeof flash_bytes;)
        at = put_object(at, OTA_DEVICE_ANCHOR, "", 0);
    for (int more = ota_device_first(&r, &area, OTA_DEVICE_ANCHOR); more; more = ota_device_next(&r, OTA_DEVICE_ANCHOR))
        found++;
    EXPECT(found == sizeof flash_bytes / 16);
    EXPECT(!ota_device_first(&r, &area, OTA_DEVICE_IDENTITY));
    /* Areas of any size, also such as are no whole units. */
    for (uint32_t size = 0; size < 200; size++) {
        part = area;
        part.size = size;
        flash.unit = size & 1 ? 64 : 4;
        (void)make_area();
        EXPECT((ota_identity_read(&i, &part) == OTA_OK) == (size >= (flash.unit == 64 ? 64 : 16) + IDENTITY));
    }
    flash.unit = 4;
}

static void test_reads_that_fail(void)
{
    struct ota_identity i;
    struct ota_rsa_key key;
    uint8_t id[OTA_SHA256_SIZE];
    int err = OTA_ERR_NO_DEVICE_KEY, found = 0;

    (void)make_area();
    memset(id, 1, sizeof id);
    for (uint32_t n = 0; err != OTA_OK; n++) {
        reads = 0;
        fails_at = n;
        err = ota_identity_read(&i, &area);
        EXPECT(err == (reads <= n ? OTA_OK : OTA_ERR_NO_DEVICE_KEY));
    }
    for (uint32_t n = 0; !found; n++) {
        reads = 0;
        fails_at = n;
        found = ota_device_rsa_key(&area, id, &key);
        EXPECT(found == (reads <= n));
    }
    fails_at = 0xffffffff;
}

void device_area_tests(void)
{
    fails_at = 0xffffffff;
    test_what_provisioning_wrote_is_found();
    test_an_identity_is_read_strictly();
    test_the_longest_name();
    test_heads_that_lie();
    test_reads_that_fail();
}
