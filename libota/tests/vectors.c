#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *path, const char *why)
{
    fprintf(stderr, "%s: %s\n", path, why);
    exit(2);
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text;
    long size = -1;

    if (f == NULL)
        die(path, "cannot be opened");
    if (fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET) != 0)
        die(path, "cannot be measured");
    text = malloc((size_t)size + 1);
    if (text == NULL || fread(text, 1, (size_t)size, f) != (size_t)size)
        die(path, "cannot be read");
    text[size] = '\0';
    fclose(f);
    return text;
}

static int parse_expect(const char *path, const char *text)
{
    if (strcmp(text, "accept") == 0)
        return 0;
    if (strncmp(text, "refuse ", 7) != 0)
        die(path, "expect is neither accept nor refuse");
    return -atoi(text + 7);
}

size_t vectors_read(const char *path, void (*run)(const struct vector *))
{
    char *text = read_file(path), *next = text;
    struct vector v = {0};
    size_t count = 0;

    v.file = path;
    while (next != NULL && *next != '\0') {
        char *line = next, *colon;
        struct line *l;
        size_t *n;

        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        if (line[0] == '\0' || line[0] == '#')
            continue;
        colon = strchr(line, ':');
        if (colon == NULL)
            die(path, "a line without a colon");
        *colon = '\0';
        colon += colon[1] == ' ' ? 2 : 1;
        if (v.kind == NULL) {
            if (strcmp(line, "kind") != 0)
                die(path, "does not begin with its kind");
            v.kind = colon;
            continue;
        }
        if (strcmp(line, "vector") == 0) {
            v.name = colon;
            v.own = 0;
            continue;
        }
        if (strcmp(line, "expect") == 0) {
            v.expect = parse_expect(path, colon);
            run(&v);
            count++;
            continue;
        }
        n = v.name == NULL ? &v.context : &v.own;
        if (*n == MAX_LINES)
            die(path, "too many lines");
        l = &v.lines[v.name == NULL][(*n)++];
        l->key = line;
        l->value = colon;
    }
    free(text);
    return count;
}

const char *vector_nth(const struct vector *v, const char *key, size_t n)
{
    size_t own = 0;

    for (size_t i = 0; i < v->own; i++)
        if (strcmp(v->lines[0][i].key, key) == 0 && own++ == n)
            return v->lines[0][i].value;
    for (size_t i = 0; own == 0 && i < v->context; i++)
        if (strcmp(v->lines[1][i].key, key) == 0 && n-- == 0)
            return v->lines[1][i].value;
    return NULL;
}

const char *vector_text(const struct vector *v, const char *key)
{
    const char *value = vector_nth(v, key, 0);

    return value != NULL ? value : "";
}

uint64_t vector_number(const struct vector *v, const char *key)
{
    return strtoull(vector_text(v, key), NULL, 10);
}

static unsigned digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    die("vector", "is not lower case hex");
    return 0;
}

size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;

    for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2, n++) {
        if (n == MAX_BYTES)
            die("vector", "is too long");
        out[n] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
    }
    if (hex[0] != '\0')
        die("vector", "has half a byte");
    return n;
}

size_t vector_bytes(const struct vector *v, const char *key, uint8_t *out)
{
    return from_hex(vector_text(v, key), out);
}
