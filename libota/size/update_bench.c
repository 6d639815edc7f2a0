#include "update_bench.h"

#include "bytes.h"
#include "ota/boot.h"
#include "ota/update.h"
#include "objects.h"

#define PAGE 1024
#define CHUNK 256

static uint8_t memory[2 * PAGE + 2 * UPDATE_SIZE]; /* journal, two slots */

static int flash_read(void *ctx, uint32_t at, void *to, size_t size)
{
    (void)ctx;
    ota_copy(to, memory + at, size);
    return 0;
}

static int flash_write(void *ctx, uint32_t at, const void *from, size_t size)
{
    (void)ctx;
    ota_copy(memory + at, from, size);
    return 0;
}

static int flash_erase(void *ctx, uint32_t at)
{
    (void)ctx;
    ota_fill(memory + at, 0xff, PAGE);
    return 0;
}

static const struct ota_pages pages = {0, PAGE, sizeof memory / PAGE};
static const struct ota_flash flash = {flash_read, flash_write, flash_erase, NULL, NULL, &pages, 1, 0xff, 2, 8};
static const struct ota_slots slots = {
    &ota_layout_ab,
    {{&flash, 2 * PAGE, UPDATE_SIZE}, {&flash, 2 * PAGE + UPDATE_SIZE, UPDATE_SIZE}, {&flash, 0, 0}},
    {{&flash, 0, PAGE}, {&flash, PAGE, PAGE}},
    {{&flash, 0, 0}, {&flash, 0, 0}},
    {{&flash, 0, 0}, {&flash, 0, 0}},
};

static const void *find(void *ctx, const uint8_t id[OTA_SHA256_SIZE], int alg)
{
    (void)ctx;
    return alg == OTA_PS256 && ota_equal(id, update_key_id, OTA_SHA256_SIZE) == OTA_PASS ? &update_key : NULL;
}

static const struct ota_keyring ring = {find, NULL, NULL};
static const struct ota_update_config config = {&slots, &ring, NULL, NULL, 0};
static const struct ota_boot_config boot = {&slots, 3, OTA_CHECK_ALWAYS, 0, NULL, NULL};

/* What an application keeps. */
static struct {
    struct ota_update update;
    struct ota_keyset held;
    struct ota_source keyset, manifest;
} state;

const unsigned update_bench_state = sizeof state, update_bench_keyed = sizeof state + sizeof(struct ota_check_response);

int update_bench_prepare(void)
{
    static const struct ota_state first = {1, 0, 1, 0, 0, OTA_IDLE, 0, 0, 0};
    static struct ota_entry made_with; /* size 0: it is not known, and never checked */
    struct ota_journal j;

    state.keyset = ota_source_buffer(update_keyset, sizeof update_keyset);
    state.manifest = ota_source_buffer(update_manifest, sizeof update_manifest);
    return ota_keyset_open(&state.held, &state.keyset) == OTA_OK &&
           ota_journal_format(&j, slots.journal, &first, &made_with, 1) == OTA_OK;
}

static int starts(unsigned release, unsigned trial)
{
    struct ota_start start;

    return ota_boot(&boot, 0, &start) == OTA_OK && start.release == release && start.trial == trial;
}

static int start_installed(void)
{
    return starts(0, 0);
}

static int open_session(void)
{
    return ota_update_open(&state.update, &config, 0) == OTA_OK;
}

static int begin_from(const struct ota_source *manifest)
{
    static const struct ota_device device = {"B", NULL, 0, 0, 0, 0};
    uint32_t offset = 1;

    return ota_update_begin(&state.update, manifest, &state.held, &device, NULL, &offset) == OTA_OK && offset == 0;
}

static int begin(void)
{
    return begin_from(&state.manifest);
}

static int bus_read(void *ctx, uint32_t offset, void *to, size_t size)
{
    (void)ctx;
    ota_copy(to, update_manifest + offset, size);
    return OTA_OK;
}

/* Again, with the manifest on a chip that has no addresses: its signature is copied. */
static int begin_over_bus(void)
{
    static const struct ota_source chip = {bus_read, NULL, sizeof update_manifest};

    return begin_from(&chip);
}

/* Writes bytes of the image, in chunks from RAM as a transport has them. */
static int write_to(uint32_t end)
{
    uint8_t chunk[CHUNK];
    int good = 1;

    for (uint32_t at = state.update.received; at < end && good; at += CHUNK) {
        for (uint32_t i = 0; i < CHUNK; i++)
            chunk[i] = (uint8_t)((at + i) * 31 ^ (at + i) >> 8);
        good = ota_update_write(&state.update, at, chunk, CHUNK) == OTA_OK;
    }
    return good;
}

static int write_page(void)
{
    return write_to(PAGE);
}

static int write_rest(void)
{
    return write_to(UPDATE_SIZE);
}

static int finish(void)
{
    return ota_update_finish(&state.update) == OTA_OK;
}

static int install(void)
{
    return ota_update_install(&state.update) == OTA_OK;
}

static int start_trial(void)
{
    return starts(1, 1);
}

static int confirm(void)
{
    return ota_update_confirm(&state.update) == OTA_OK;
}

static int open_on_trial(void)
{
    return ota_update_open(&state.update, &config, 1) == OTA_OK;
}

int (*const update_bench_steps[])(void) = {start_installed, open_session, begin,       begin_over_bus, write_page, write_rest,
                                          finish,          install,      start_trial, open_on_trial, confirm};
const unsigned update_bench_count = sizeof update_bench_steps / sizeof *update_bench_steps;
