/* RSASSA-PSS (RFC 8017 section 8.1.2) with SHA-256, MGF1-SHA-256 and salt 32;
 * verify only, exponent 65537. Everything here is public, so that nothing has to
 * run in constant time.
 *
 * Numbers are limbs, the least significant first, below R = 2^OTA_RSA_BITS but not
 * always below the modulus n, whose highest bit is set. */
#include "bytes.h"
#include "ota/crypto.h"
#include "ota/rsa.h"
#include "rsa_row.h"

#define LIMBS OTA_RSA_LIMBS
#define BYTES OTA_RSA_BYTES
#define LIMB_BYTES (OTA_LIMB_BITS / 8)

/* Subtracts n and returns the borrow. */
static ota_limb subtract(ota_limb *a, const ota_limb *n)
{
    ota_limb borrow = 0;

    for (unsigned i = 0; i < LIMBS; i++) {
        ota_wide d = (ota_wide)a[i] - n[i] - borrow;

        a[i] = (ota_limb)d;
        borrow = (ota_limb)(d >> OTA_LIMB_BITS) & 1;
    }
    return borrow;
}

/* Limb i of a big-endian number of BYTES bytes. */
static ota_limb limb_of(const uint8_t *bytes, unsigned i)
{
    const uint8_t *p = bytes + BYTES - LIMB_BYTES * (i + 1);
    ota_limb v = 0;

    for (unsigned b = 0; b < LIMB_BYTES; b++)
        v = (ota_limb)((ota_wide)v << 8 | p[b]);
    return v;
}

/* What stays the same in all multiplications of one verification. */
struct job {
    const struct ota_keyring *ring;
    const struct ota_rsa_key *key;
    const uint8_t *signature;
};

/* Sets t to x * y / R modulo n (Montgomery); y NULL stands for the signature. For
 * each limb of y, x times it is added, and then that multiple of n which makes the
 * lowest limb zero and falls out on shifting. t is neither x nor y, and the limb
 * before it is scratch. */
static void multiply(const struct job *job, ota_limb *t, const ota_limb *x, const ota_limb *y)
{
    const struct ota_rsa_key *key = job->key;
    ota_wide top = 0;

    ota_fill(t, 0, BYTES);
    for (unsigned i = 0; i < LIMBS; i++) {
        top += ota_rsa_row(t, t, x, y != NULL ? y[i] : limb_of(job->signature, i));
        top += ota_rsa_row(t - 1, t, key->n, (ota_limb)(t[0] * key->n0));
        t[LIMBS - 1] = (ota_limb)top;
        top >>= OTA_LIMB_BITS;
    }
    if (top != 0)
        (void)subtract(t, key->n);
    if (job->ring->feed != NULL)
        job->ring->feed(job->ring->ctx);
}

/* 1 if the signature is not below n: then it is another one's twin. */
static int out_of_range(const struct ota_rsa_key *key, const uint8_t *signature)
{
    unsigned i = LIMBS;

    while (i-- > 0) {
        ota_limb s = limb_of(signature, i);

        if (s != key->n[i])
            return s > key->n[i];
    }
    return 1;
}

/* EM = maskedDB ‖ H ‖ 0xbc, DB = zeros ‖ 0x01 ‖ salt, one bit shorter than n. */
#define DB_SIZE (BYTES - OTA_SHA256_SIZE - 1)
#define SALT_SIZE 32
#define ONE_AT (DB_SIZE - SALT_SIZE - 1)

struct pss {
    struct ota_sha256 sha;
    uint8_t digest[OTA_SHA256_SIZE];
    uint8_t h[OTA_SHA256_SIZE + 4]; /* and the counter of MGF1 */
};

static OTA_NOINLINE void hash(struct pss *w, const uint8_t *data, size_t size)
{
    ota_sha256_init(&w->sha);
    ota_sha256_update(&w->sha, data, size);
    ota_sha256_final(&w->sha, w->digest);
}

/* Checks EM against the message (RFC 8017 section 9.1.2), in place. */
static ota_verdict check(struct pss *w, uint8_t *em, const struct ota_span *message, unsigned count)
{
    const uint8_t zero = 0;
    uint8_t wrong = (uint8_t)((em[0] & 0x80) | (em[BYTES - 1] ^ 0xbc));

    ota_copy(w->h, em + DB_SIZE, OTA_SHA256_SIZE);
    for (unsigned i = 0; i < DB_SIZE; i++) {
        if (i % OTA_SHA256_SIZE == 0) {
            ota_store32(w->h + OTA_SHA256_SIZE, i / OTA_SHA256_SIZE);
            hash(w, w->h, sizeof w->h);
        }
        em[i] ^= w->digest[i % OTA_SHA256_SIZE];
    }
    em[0] &= 0x7f;
    em[ONE_AT] ^= 1;
    for (unsigned i = 0; i <= ONE_AT; i++)
        wrong |= em[i];

    /* M' = eight zeros ‖ hash of the message ‖ salt: the zeros and the salt are
     * there, the hash goes between them. */
    ota_sha256_init(&w->sha);
    if (ota_sha256_spans(&w->sha, message, count) != OTA_OK)
        return OTA_FAIL;
    ota_sha256_final(&w->sha, em + ONE_AT + 1 - OTA_SHA256_SIZE);
    hash(w, em + ONE_AT + 1 - OTA_SHA256_SIZE - 8, 8 + OTA_SHA256_SIZE + SALT_SIZE);
    return ota_equal(w->digest, w->h, OTA_SHA256_SIZE) & ota_equal(&wrong, &zero, 1) &
           ota_equal(em + DB_SIZE, w->digest, OTA_SHA256_SIZE);
}

ota_verdict ota_verify(const struct ota_keyring *ring, int alg, const void *key, const struct ota_span *message,
                       unsigned count, const uint8_t *signature, size_t size)
{
    const struct job job = {ring, key, signature};
    ota_limb room[LIMBS + 1], *a = room + 1;
    uint8_t *em = (uint8_t *)room;
    union {
        ota_limb room[LIMBS + 1];
        struct pss pss;
    } u;
    ota_limb *b = u.room + 1;

    if (alg != OTA_PS256 || size != BYTES || out_of_range(job.key, signature))
        return OTA_FAIL;
    multiply(&job, a, job.key->rr, NULL); /* signature * R */
    for (unsigned i = 0; i < 8; i++) {
        multiply(&job, b, a, a);
        multiply(&job, a, b, b);
    }
    multiply(&job, b, a, NULL); /* signature^65537, or n more */
    if (b[LIMBS - 1] >> (OTA_LIMB_BITS - 1) != 0)
        (void)subtract(b, job.key->n); /* EM is below 2^(OTA_RSA_BITS-1), which is below n */
    for (unsigned i = 0; i < BYTES; i++)
        em[BYTES - 1 - i] = (uint8_t)(b[i / LIMB_BYTES] >> 8 * (i % LIMB_BYTES));
    return check(&u.pss, em, message, count);
}

/* A COSE_Key of RSA in the form of its thumbprint input (RFC 9679, RFC 8230):
 * {1: 3, -1: n, -2: 65537}. */
#define PREFIX_SIZE 7

int ota_rsa_prepare(const struct ota_keyring *ring, struct ota_rsa_key *key, uint8_t id[OTA_SHA256_SIZE],
                    const uint8_t *cose_key, size_t size)
{
    static const uint8_t prefix[PREFIX_SIZE] = {0xa3, 0x01, 0x03, 0x20, 0x59, BYTES >> 8, BYTES & 0xff};
    static const uint8_t suffix[5] = {0x21, 0x43, 0x01, 0x00, 0x01};
    const struct job job = {ring, key, NULL};
    ota_limb room[LIMBS + 1], *square = room + 1, *t = key->rr;
    struct ota_sha256 sha;
    ota_limb top;

    if (size != OTA_RSA_COSE_SIZE || ota_equal(cose_key, prefix, sizeof prefix) != OTA_PASS ||
        ota_equal(cose_key + PREFIX_SIZE + BYTES, suffix, sizeof suffix) != OTA_PASS)
        return OTA_ERR_UNSUPPORTED;
    ota_sha256_init(&sha);
    ota_sha256_update(&sha, cose_key, size);
    ota_sha256_final(&sha, id);
    for (unsigned i = 0; i < LIMBS; i++)
        key->n[i] = limb_of(cose_key + PREFIX_SIZE, i);
    if ((key->n[0] & 1) == 0 || key->n[LIMBS - 1] >> (OTA_LIMB_BITS - 1) == 0)
        return OTA_ERR_UNSUPPORTED;

    /* Newton's iteration doubles the bits that are right, from three. */
    uint32_t low = ota_load32(cose_key + PREFIX_SIZE + BYTES - 4), inverse = low;
    for (unsigned i = 0; i < 4; i++)
        inverse *= 2u - low * inverse;
    key->n0 = 0u - inverse;

    /* R modulo n is R - n; doubled, it is R * 2^(OTA_RSA_BITS/32), and five squares
     * make that R * 2^OTA_RSA_BITS. */
    ota_fill(t, 0, BYTES);
    (void)subtract(t, key->n);
    for (unsigned i = 0; i < OTA_RSA_BITS / 32; i++) {
        top = 0;
        for (unsigned j = 0; j < LIMBS; j++) {
            ota_limb limb = t[j];

            t[j] = (ota_limb)((ota_wide)limb << 1 | top);
            top = limb >> (OTA_LIMB_BITS - 1);
        }
        while (top != 0)
            top = (ota_limb)(top - subtract(t, key->n));
    }
    for (unsigned i = 0; i < 5; i++) {
        multiply(&job, square, t, t);
        ota_copy(t, square, BYTES);
    }
    if (subtract(t, key->n) != 0) /* it was below n */
        ota_copy(t, square, BYTES);
    return OTA_OK;
}
