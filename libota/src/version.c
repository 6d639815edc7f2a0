#include "version.h"

#include "bytes.h"

/* The character at a place, 0 at the end. */
static OTA_NOINLINE char at(const struct ota_version *v, unsigned i)
{
    return i < v->size ? v->text[i] : '\0';
}

/* Kinds of characters: between, in numbers and words, and in words only. */
enum { SEPARATOR, DIGIT, WORD };

static OTA_NOINLINE unsigned kind_at(const struct ota_version *v, unsigned i)
{
    char c = at(v, i);

    if ((uint8_t)(c - '0') < 10)
        return DIGIT;
    return (uint8_t)((c | 0x20) - 'a') < 26 || c == '-' ? WORD : SEPARATOR;
}

enum { CORE, PRERELEASE, BUILD }; /* sections of a version */

int ota_version_valid(const struct ota_version *v)
{
    unsigned section = CORE, dots = 0, i = 0;

    for (;; i++) {
        unsigned start = i, is_number = 1, kind;
        char c;

        for (; kind = kind_at(v, i), kind == DIGIT || (kind == WORD && section != CORE); i++)
            is_number &= kind; /* DIGIT is 1 */
        c = at(v, i);

        /* Numbers are ordered, so each has one spelling; of build metadata nothing is
         * ordered. */
        if (i == start || (is_number && section != BUILD && at(v, start) == '0' && i > start + 1))
            return 0;
        if (section == CORE && (c == '.') != (dots++ < 2))
            return 0;
        if (c == '\0')
            return i == v->size;
        if (c == '-') /* of the core, otherwise it is part of a word */
            section = PRERELEASE;
        else if (c == '+' && section != BUILD)
            section = BUILD;
        else if (c != '.')
            return 0;
    }
}

/* The order of characters, where a part that ends comes before one that goes on, and
 * the end of all before both. Build metadata does not count. */
static OTA_NOINLINE int rank(const struct ota_version *v, unsigned i)
{
    char c = at(v, i);

    return c == '\0' || c == '+' ? 0 : c == '.' ? 1 : c;
}

/* The end of the number that a part is. Words come after all numbers. */
static OTA_NOINLINE int number_end(const struct ota_version *v, unsigned i, int in_core)
{
    while (kind_at(v, i) == DIGIT)
        i++;
    return kind_at(v, i) == WORD && !in_core ? OTA_MAX_VERSION + 1 : (int)i;
}

int ota_version_compare(const struct ota_version *a, const struct ota_version *b)
{
    unsigned i = 0, part = 0; /* part: where the one begins in which they differ */
    int in_core = 1, x, y, p, q;

    while ((x = rank(a, i)) == (y = rank(b, i))) {
        if (x == 0)
            return 0;
        i++;
        if (x == 1 || (x == '-' && in_core)) {
            part = i;
            in_core = in_core && x == 1;
        }
    }
    /* Without leading zeros the longer number is the greater. */
    p = number_end(a, part, in_core);
    q = number_end(b, part, in_core);
    if (p != q)
        return p - q;
    if (in_core && (x == 0 || y == 0))
        return y - x; /* a release is newer than its prereleases */
    return x - y;
}
