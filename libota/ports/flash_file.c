#define _POSIX_C_SOURCE 200809L
#include "flash_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads or writes all of it, whatever the system does at a time. */
static int transfer(const struct flash_file *f, uint32_t at, uint8_t *to, const uint8_t *from, size_t size)
{
    while (size > 0) {
        ssize_t n = to != NULL ? pread(f->descriptor, to, size, (off_t)at)
                               : pwrite(f->descriptor, from, size, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return OTA_ERR_STORAGE; /* an end of the file is one too: the flash is longer */
        if (to != NULL)
            to += n;
        else
            from += n;
        at += (uint32_t)n;
        size -= (size_t)n;
    }
    return OTA_OK;
}

static int file_read(void *ctx, uint32_t at, void *to, size_t size)
{
    return transfer(ctx, at, to, NULL, size);
}

static int file_write(void *ctx, uint32_t at, const void *from, size_t size)
{
    const struct flash_file *f = ctx;

    if (transfer(f, at, NULL, from, size) != OTA_OK || fdatasync(f->descriptor) != 0)
        return OTA_ERR_STORAGE;
    return OTA_OK;
}

static int file_erase(void *ctx, uint32_t at)
{
    const struct flash_file *f = ctx;
    uint8_t blank[512];
    uint32_t end = at + f->pages.size;

    memset(blank, f->port.erased, sizeof blank);
    while (at < end) {
        uint32_t n = end - at < sizeof blank ? end - at : (uint32_t)sizeof blank;

        if (transfer(f, at, NULL, blank, n) != OTA_OK)
            return OTA_ERR_STORAGE;
        at += n;
    }
    return fdatasync(f->descriptor) != 0 ? OTA_ERR_STORAGE : OTA_OK;
}

int flash_file_open(struct flash_file *f, const char *path, uint32_t page, uint32_t count, uint16_t unit)
{
    struct stat now;

    memset(f, 0, sizeof *f);
    f->pages.size = page;
    f->pages.count = count;
    f->port.read = file_read;
    f->port.write = file_write;
    f->port.erase = file_erase;
    f->port.ctx = f;
    f->port.pages = &f->pages;
    f->port.runs = 1;
    f->port.erased = 0xff;
    f->port.writes = 2;
    f->port.unit = unit;
    f->descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (f->descriptor < 0 || fstat(f->descriptor, &now) != 0)
        return OTA_ERR_STORAGE;
    /* A page that the file holds in part is taken for one that was never written. */
    for (uint32_t i = (uint32_t)((uintmax_t)now.st_size / page); i < count; i++)
        if (file_erase(f, i * page) != OTA_OK)
            return OTA_ERR_STORAGE;
    return OTA_OK;
}

void flash_file_close(struct flash_file *f)
{
    if (f->descriptor >= 0)
        (void)close(f->descriptor);
    f->descriptor = -1;
}
