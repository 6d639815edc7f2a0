/* Opens an image as a device does, and prints what it sees:
 *
 *     look UNIT PAGE ERASED AREA-PAGES IMAGE MANIFEST
 *
 * The keyset is accepted under the anchor, and the manifest is verified, with the prepared keys of the
 * image alone; then a check request is MAC'ed with the device's key and printed in hex. */
#include "memory.h"

#include "ota/rsa.h"

/* Who the device is. */
struct identity {
    char vendor[OTA_MAX_NAME + 1], device_type[OTA_MAX_NAME + 1], device[OTA_MAX_NAME + 1], hardware[OTA_MAX_NAME + 1];
    uint32_t generation;
    uint8_t up[32], down[32];
};

static struct {
    uint8_t id[OTA_SHA256_SIZE];
    struct ota_rsa_key key;
} keys[16];
static unsigned key_count;

static const void *find(void *ctx, const uint8_t id[OTA_SHA256_SIZE], int alg)
{
    (void)ctx;
    for (unsigned i = 0; i < key_count; i++)
        if (alg == OTA_PS256 && memcmp(keys[i].id, id, OTA_SHA256_SIZE) == 0)
            return &keys[i].key;
    return NULL;
}

static const struct ota_keyring ring = {find, NULL, NULL};

static void print_hex(const char *what, const uint8_t *bytes, size_t size)
{
    printf("%s ", what);
    while (size-- > 0)
        printf("%02x", *bytes++);
    printf("\n");
}

/* Reads a head of at most four bytes of argument, and the contents if it is a string. */
static uint32_t item(const struct ota_source *from, uint32_t *at, unsigned type, void *contents, uint32_t most)
{
    uint8_t head, wide[4];
    uint32_t value, width;

    check(ota_source_read(from, (*at)++, &head, 1) == OTA_OK && head >> 5 == type && (head & 31) < 27, "a head");
    value = head & 31;
    width = value < 24 ? 0 : 1u << (value - 24);
    check(ota_source_read(from, *at, wide, width) == OTA_OK, "an argument");
    *at += width;
    for (uint32_t i = 0; i < width; i++)
        value = (i == 0 ? 0 : value << 8) | wide[i];
    if (contents != NULL) {
        check(value <= most && ota_source_read(from, *at, contents, value) == OTA_OK, "contents");
        *at += value;
    }
    return value;
}

static void read_identity(const struct ota_source *from, struct identity *who)
{
    char *texts[] = {who->vendor, who->device_type, who->device};
    uint32_t at = 0, pairs = item(from, &at, 5, NULL, 0);

    memset(who, 0, sizeof *who);
    check(item(from, &at, 0, NULL, 0) == 0 && item(from, &at, 0, NULL, 0) == 1, "format");
    for (uint32_t key = 1; key < pairs; key++) {
        check(item(from, &at, 0, NULL, 0) == key, "a key");
        if (key <= 3)
            item(from, &at, 3, texts[key - 1], OTA_MAX_NAME);
        else if (key == 4)
            who->generation = item(from, &at, 0, NULL, 0);
        else if (key <= 6)
            check(item(from, &at, 2, key == 5 ? who->up : who->down, 32) == 32, "a device key");
        else
            item(from, &at, 3, who->hardware, OTA_MAX_NAME);
    }
    check(at == from->size, "behind the identity");
}

static void look_at_journal(const struct ota_area journal[2])
{
    struct ota_journal j;
    struct ota_state s;
    struct ota_entry e;
    struct ota_history h;
    struct ota_nonces n = {0, 0};
    uint32_t generation;
    uint64_t nonce;

    check(ota_journal_open(&j, journal) == OTA_OK, "ota_journal_open");
    check(ota_journal_settle(&j) == OTA_OK && ota_journal_state(&j, &s) == OTA_OK, "ota_journal_state");
    check(ota_journal_entry(&j, s.installed, &e) == OTA_OK, "ota_journal_entry");
    check(ota_journal_history(&j, &s, &h) == OTA_OK, "ota_journal_history");
    check(ota_journal_generation(&j, &generation) == OTA_OK, "ota_journal_generation");
    check(s.installed == 0 && s.phase == OTA_IDLE && s.flags == 0 && s.tries == 0, "not at rest");
    printf("state keyset %lu floor %lu.%lu generation %lu\n", (unsigned long)s.keyset_version,
           (unsigned long)s.floor_epoch, (unsigned long)s.floor_counter, (unsigned long)generation);
    printf("entry sequence %lu.%lu counter %lu size %lu version %.*s\n", (unsigned long)(e.release.sequence >> 32),
           (unsigned long)(e.release.sequence & 0xffffffffu), (unsigned long)e.release.security_counter,
           (unsigned long)e.release.image_size, e.release.version.size, e.release.version.text);
    print_hex("image", e.release.image_digest, sizeof e.release.image_digest);
    check(ota_journal_nonce(&j, &n, &nonce) == OTA_OK && nonce == 1, "the first nonce is not 1");
}

int main(int argc, char **argv)
{
    static struct memory flash;
    static struct ota_source anchor, identity, stored;
    static struct ota_area rest[32];
    ota_verdict verdict = OTA_FAIL;
    struct ota_keyset trusted, held;
    struct ota_area area, journal[2], keyset[2];
    struct ota_manifest m;
    struct identity who;
    struct ota_source manifest;
    struct ota_check_request request;
    uint8_t message[OTA_MAX_MESSAGE];
    size_t size;
    uint32_t page, unit, each, kind, version;
    uint8_t *bytes;

    check(argc == 7, "usage");
    unit = number(argv[1]), page = number(argv[2]), each = page * number(argv[4]);
    bytes = load_file(argv[5], &size);
    check(size >= 5 * each, "the image is too short");
    memory_init(&flash, bytes, 0, page, 5 * each / page, (uint16_t)unit, (uint8_t)number(argv[3]));

    area = memory_area(&flash, 0, each);
    for (unsigned i = 0; i < 32 && area.size > 0; i++) {
        uint32_t step = unit < 16 ? 16 : unit, used;
        struct ota_source object;

        rest[i] = area;
        if (ota_object_open(&rest[i], &object, &kind) != OTA_OK)
            break;
        if (kind == 1)
            identity = object;
        if (kind == 2)
            anchor = object;
        if (kind == 3) {
            check(object.size == sizeof keys[0], "a prepared key of another size");
            check(ota_source_read(&object, 0, &keys[key_count++], sizeof keys[0]) == OTA_OK, "read a key");
        }
        used = step + (object.size + step - 1) / step * step;
        area.at += used;
        area.size -= used;
    }
    read_identity(&identity, &who);
    printf("device %s/%s/%s hardware %s generation %lu\n", who.vendor, who.device_type, who.device, who.hardware,
           (unsigned long)who.generation);

    journal[0] = memory_area(&flash, each, each);
    journal[1] = memory_area(&flash, 2 * each, each);
    look_at_journal(journal);

    check(ota_keyset_anchor(&trusted, &anchor) == OTA_OK, "ota_keyset_anchor");
    keyset[0] = memory_area(&flash, 3 * each, each);
    keyset[1] = memory_area(&flash, 4 * each, each);
    check(ota_object_open(&keyset[0], &stored, &version) == OTA_OK, "the keyset slot");
    check(ota_keyset_accept(&held, &stored, &trusted, &ring, &verdict) == OTA_OK && verdict == OTA_PASS, "the keyset");
    printf("keyset version %lu of %lu, keys %u\n", (unsigned long)held.version, (unsigned long)version, key_count);
    check(ota_object_open(&keyset[1], &stored, &version) != OTA_OK, "the other keyset slot is not empty");
    check(ota_object_open(&keyset[0], &stored, &version) == OTA_OK, "the keyset slot");

    bytes = load_file(argv[6], &size);
    manifest = ota_source_buffer(bytes, size);
    check(ota_manifest_verify(&m, &manifest, &held, &ring, &verdict) == OTA_OK && verdict == OTA_PASS, "the manifest");

    memset(&request, 0, sizeof request);
    request.device = who.device;
    request.device_type = who.device_type;
    request.nonce = 1;
    request.keyset_version = held.version;
    check(ota_check_request_encode(&request, who.up, message, sizeof message, &size) == OTA_OK, "the check request");
    print_hex("request", message, size);
    return 0;
}
