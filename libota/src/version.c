#include "version.h"

/* A dot-separated part of a version. */
struct part {
    unsigned end; /* where it ends */
    int is_number;
};

/* The character at a place, 0 at the end. */
static char at(const struct ota_version *v, unsigned i)
{
    return i < v->size ? v->text[i] : '\0';
}

/* Finds the end of the part that begins at i: letters, digits and, but in the three
 * numbers of the core, hyphens. It may be empty. */
static struct part part_at(const struct ota_version *v, unsigned i, int in_core)
{
    struct part p = {i, 1};

    for (;; p.end++) {
        char c = at(v, p.end);

        if (c >= '0' && c <= '9')
            continue;
        if ((uint8_t)((c | 0x20) - 'a') >= 26 && (c != '-' || in_core))
            return p;
        p.is_number = 0;
    }
}

int ota_version_valid(const struct ota_version *v)
{
    unsigned i = 0, numbers = 0;
    int in_core = 1, in_build = 0;

    for (;; i++) {
        struct part p = part_at(v, i, in_core);
        char c = at(v, p.end);

        /* Numbers are ordered, so each has one spelling; of build metadata nothing is
         * ordered. */
        if (p.end == i || (in_core && !p.is_number) || (!in_build && p.is_number && at(v, i) == '0' && p.end > i + 1))
            return 0;
        i = p.end;
        if (in_core && ++numbers < 3 && c != '.')
            return 0;
        if (c == '.' && numbers == 3 && in_core)
            return 0;
        if (c == '\0')
            return i == v->size;
        if (c != '.' && (c != '-' || !in_core) && (c != '+' || in_build))
            return 0;
        if (c != '.')
            in_core = 0;
        if (c == '+')
            in_build = 1;
    }
}

/* The order of characters, where a part that ends comes before one that goes on, and
 * the end of all before both. Build metadata does not count. */
static int rank(const struct ota_version *v, unsigned i)
{
    char c = at(v, i);

    return c == '\0' || c == '+' ? 0 : c == '.' ? 1 : c;
}

int ota_version_compare(const struct ota_version *a, const struct ota_version *b)
{
    unsigned i = 0, part = 0; /* part: where the one begins in which they differ */
    int in_core = 1, x, y;
    struct part p, q;

    for (;; i++) {
        x = rank(a, i);
        y = rank(b, i);
        if (x != y)
            break;
        if (x == 0)
            return 0;
        if (x == 1 || (x == '-' && in_core)) {
            part = i + 1;
            in_core = in_core && x == 1;
        }
    }
    p = part_at(a, part, in_core);
    q = part_at(b, part, in_core);
    if (p.is_number != q.is_number)
        return q.is_number - p.is_number; /* numbers come before words */
    if (p.is_number && p.end != q.end)
        return (int)p.end - (int)q.end; /* without leading zeros the longer is the greater */
    if (in_core && (x == 0 || y == 0))
        return y - x; /* a release is newer than its prereleases */
    return x - y;
}
