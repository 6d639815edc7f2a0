/* The file port: what is written is there after it was closed and opened again.
 *
 *     flash_file_test FILE      the file is written over and removed */
#define _POSIX_C_SOURCE 200809L
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../ports/flash_file.h"
#include "expect.h"
#include "ota/journal.h"

int failures;

static const char *path;

static void place(const struct flash_file *f, struct ota_area half[2])
{
    for (unsigned p = 0; p < 2; p++) {
        half[p].flash = &f->port;
        half[p].at = p * 1024;
        half[p].size = 1024;
        EXPECT(ota_area_check(&half[p]) == OTA_OK);
    }
}

static void test_a_journal_outlives_the_program(void)
{
    struct ota_area half[2];
    struct flash_file f;
    struct ota_journal j;
    struct ota_state s;
    struct ota_entry e;

    memset(&s, 0, sizeof s);
    memset(&e, 0, sizeof e);
    EXPECT(flash_file_open(&f, path, 1024, 4, 8) == OTA_OK);
    place(&f, half);
    EXPECT(ota_journal_open(&j, half) == OTA_ERR_NO_DEVICE_KEY);
    s.tries = 3;
    EXPECT(ota_journal_format(&j, half, &s, &e, 1) == OTA_OK);
    for (s.tries = 0; s.tries < 99; s.tries++)
        EXPECT(ota_journal_set_state(&j, &s) == OTA_OK);
    flash_file_close(&f);
    EXPECT(flash_file_open(&f, path, 1024, 4, 8) == OTA_OK);
    EXPECT(ota_journal_open(&j, half) == OTA_OK && ota_journal_state(&j, &s) == OTA_OK && s.tries == 98);
    flash_file_close(&f);
}

/* It stands for a flash that holds a device's keys. */
static void test_nobody_else_reads_it(void)
{
    mode_t mask = umask(0);
    struct flash_file f;
    struct stat now;

    (void)unlink(path);
    EXPECT(flash_file_open(&f, path, 1024, 4, 8) == OTA_OK);
    flash_file_close(&f);
    EXPECT(stat(path, &now) == 0 && (now.st_mode & 0777) == 0600);
    (void)umask(mask);
}

static void test_a_file_that_is_too_short(void)
{
    struct ota_area a;
    struct flash_file f;
    uint8_t bytes[16];

    EXPECT(truncate(path, 1500) == 0);
    EXPECT(flash_file_open(&f, path, 1024, 4, 8) == OTA_OK);
    a.flash = &f.port;
    a.at = 0;
    a.size = 4096;
    EXPECT(ota_area_read(&a, 4080, bytes, 16) == OTA_OK && bytes[0] == 0xff && bytes[15] == 0xff);
    EXPECT(ota_area_read(&a, 1024, bytes, 16) == OTA_OK && bytes[0] == 0xff);
    /* It becomes shorter while it is in use: a short read is a failure, not half of the bytes. */
    EXPECT(truncate(path, 1030) == 0);
    EXPECT(ota_area_read(&a, 1024, bytes, 16) == OTA_ERR_STORAGE);
    flash_file_close(&f);
    EXPECT(ota_area_read(&a, 0, bytes, 16) == OTA_ERR_STORAGE);
    EXPECT(ota_area_write(&a, 0, bytes, 16) == OTA_ERR_STORAGE);
    EXPECT(ota_area_erase(&a, 0) == OTA_ERR_STORAGE);
    EXPECT(flash_file_open(&f, "/nowhere/at all", 1024, 4, 8) == OTA_ERR_STORAGE);
}

int main(int argc, char **argv)
{
    path = argc > 1 ? argv[1] : "flash.bin";
    (void)unlink(path);
    test_nobody_else_reads_it();
    test_a_journal_outlives_the_program();
    test_a_file_that_is_too_short();
    (void)unlink(path);
    printf("flash_file: %s\n", failures == 0 ? "ok" : "failed");
    return failures != 0;
}
