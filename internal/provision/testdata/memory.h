/* A flash in memory, for the programs beside this file. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ota/ota.h"
#include "ota/slot.h"

struct memory {
    struct ota_flash port;
    struct ota_pages pages;
    uint8_t *bytes;
};

static int memory_read(void *ctx, uint32_t at, void *to, size_t size)
{
    const struct memory *m = ctx;

    memcpy(to, m->bytes + at, size);
    return 0;
}

static int memory_write(void *ctx, uint32_t at, const void *from, size_t size)
{
    struct memory *m = ctx;

    if (at % m->port.unit != 0 || size % m->port.unit != 0)
        return -1;
    for (size_t i = 0; i < size; i++)
        if (m->bytes[at + i] != m->port.erased)
            return -1;
    memcpy(m->bytes + at, from, size);
    return 0;
}

static int memory_erase(void *ctx, uint32_t at)
{
    struct memory *m = ctx;

    memset(m->bytes + at, m->port.erased, m->pages.size);
    return 0;
}

static void memory_init(struct memory *m, uint8_t *bytes, uint32_t at, uint32_t page, uint32_t count, uint16_t unit,
                        uint8_t erased)
{
    memset(m, 0, sizeof *m);
    m->bytes = bytes;
    m->pages.at = at;
    m->pages.size = page;
    m->pages.count = count;
    m->port.read = memory_read;
    m->port.write = memory_write;
    m->port.erase = memory_erase;
    m->port.ctx = m;
    m->port.pages = &m->pages;
    m->port.runs = 1;
    m->port.erased = erased;
    m->port.writes = 1;
    m->port.unit = unit;
}

static struct ota_area memory_area(const struct memory *m, uint32_t at, uint32_t size)
{
    struct ota_area a;

    a.flash = &m->port;
    a.at = at;
    a.size = size;
    return a;
}

static uint32_t number(const char *text)
{
    return (uint32_t)strtoul(text, NULL, 0);
}

/* Reads a whole file. */
static uint8_t *load_file(const char *name, size_t *size)
{
    uint8_t *bytes = malloc(1 << 20);
    FILE *f = fopen(name, "rb");

    if (f == NULL || bytes == NULL) {
        fprintf(stderr, "cannot read %s\n", name);
        exit(1);
    }
    *size = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    return bytes;
}

static void check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

#endif
