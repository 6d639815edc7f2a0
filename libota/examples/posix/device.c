/* A device in one process: a boot stage, an application that keeps itself up to date, and a flash
 * in a file. It is what a small Linux or RTOS part would do, with libota alone.
 *
 *     device FLASH http://HOST:PORT [--once]
 *
 * FLASH was made by `ota device provision`; --once ends when there is nothing to install. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "flash_file.h"
#include "http.h"
#include "ota/boot.h"

#define PAGE 4096u
#define SLOT 0x100000u /* 1 MiB */
#define KEYS 5
#define PAGES ((0x10000u + 3 * SLOT) / PAGE)

/* Where everything lies: what `ota device provision` writes by default, then what is ours. */
static struct flash_file flash;
#define AREA(at, size) {&flash.port, at, size}
static const struct ota_area device_area = AREA(0x0000, PAGE), staging = AREA(0x5000, 2 * PAGE);
static const struct ota_area key_pages[KEYS] = {
    AREA(0x7000, PAGE), AREA(0x8000, PAGE), AREA(0x9000, PAGE), AREA(0xa000, PAGE), AREA(0xb000, PAGE)};
static const struct ota_slots slots = {
    &ota_layout_overwrite,
    {AREA(0x10000, SLOT), AREA(0x10000 + SLOT, SLOT), AREA(0x10000 + 2 * SLOT, SLOT)},
    {AREA(0x1000, PAGE), AREA(0x2000, PAGE)},
    {AREA(0x3000, PAGE), AREA(0x4000, PAGE)},
    {AREA(0, 0), AREA(0, 0)},
};

static void say(const char *what)
{
    printf("%s\n", what);
    fflush(stdout); /* who kills it wants to know how far it was */
}

static void tell(enum ota_event event, int reason)
{
    static const char *const words[] = {
        "", "downloading", "installed", "on trial", "confirmed", "went back", "refused", "failed", "new keyset"};

    if (reason == OTA_OK)
        printf("device: %s\n", words[event]);
    else
        printf("device: %s, reason %d\n", words[event], -reason);
    fflush(stdout);
}

/* Tells each 64 KiB. */
static void progress(void *ctx, uint32_t done, uint32_t size)
{
    uint32_t *told = ctx;

    if (done != size && done - *told < 0x10000)
        return;
    *told = done;
    printf("device: %lu of %lu bytes\n", (unsigned long)done, (unsigned long)size);
    fflush(stdout);
}

/* What the boot stage starts. Returns when it wants to be started again; done becomes 1 if it
 * does not. */
static int run(struct http *http, unsigned running, int once, int *done)
{
    struct keyring keys = {&device_area, key_pages, KEYS, {0, {0}, {0}}, {0}, 0, 0};
    struct ota_keyring ring = {keyring_find, NULL, &keys};
    uint32_t told = 0;
    struct ota_update_config update = {&slots, &ring, progress, &told, 1};
    struct ota_identity identity;
    struct agent_config config = {&update, &http->port, &identity, &keys, &staging, tell};
    struct ota_device_info info;
    struct agent agent;
    int restart = 0, err = ota_identity_read(&identity, &device_area);

    if (err == OTA_OK)
        err = agent_open(&agent, &config, running);
    if (err == OTA_OK)
        err = ota_device_info(&agent.update, &info);
    if (err != OTA_OK)
        return err;
    http->device = identity.device;
    printf("device: %s runs %.*s\n", identity.device, (int)info.running.release.version.size, info.running.release.version.text);
    while (!restart) {
        err = agent_check(&agent, &restart);
        if (once && !restart) {
            *done = 1;
            return err;
        }
        if (!restart)
            (void)sleep(agent.wait);
    }
    return OTA_OK;
}

int main(int argc, char **argv)
{
    static const struct ota_boot_config boot = {&slots, 3, OTA_CHECK_ALWAYS, 0, NULL, NULL};
    static struct http http;
    int once = argc == 4 && strcmp(argv[3], "--once") == 0, done = 0, err = OTA_OK;

    if ((argc != 3 && !once) || http_open(&http, argv[2]) != 0) {
        fprintf(stderr, "usage: device FLASH http://HOST:PORT [--once]\n");
        return 2;
    }
    if (access(argv[1], F_OK) != 0 || flash_file_open(&flash, argv[1], PAGE, PAGES, 4) != OTA_OK) {
        perror(argv[1]);
        return 1;
    }
    while (err == OTA_OK && !done) {
        struct ota_start start;

        err = ota_boot(&boot, 0, &start);
        if (err != OTA_OK)
            break;
        say(start.trial ? "boot: starts the new image on trial" : "boot: starts the image");
        err = run(&http, start.release, once, &done);
    }
    if (err != OTA_OK)
        fprintf(stderr, "device: ended with reason %d of docs/spec/reasons.md\n", -err);
    http_close(&http);
    flash_file_close(&flash);
    return err != OTA_OK;
}
