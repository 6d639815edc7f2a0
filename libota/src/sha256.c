/* SHA-256 (FIPS 180-4), small: the block is gathered as sixteen big-endian words
 * and turned into the message schedule in place. */
#include "bytes.h"
#include "ota/crypto.h"

#define STATE 0  /* eight words */
#define COUNT 8  /* bytes hashed */
#define BLOCK 9  /* sixteen words */

static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static void compress(uint32_t *state, uint32_t *w)
{
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];

    for (unsigned i = 0; i < 64; i++) {
        uint32_t *now = &w[i & 15];
        uint32_t t = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (g ^ (e & (f ^ g))) + constants[i] + *now;
        uint32_t next = w[(i + 1) & 15], last = w[(i + 14) & 15];

        *now += (rotate(next, 7) ^ rotate(next, 18) ^ next >> 3) + w[(i + 9) & 15] +
                (rotate(last, 17) ^ rotate(last, 19) ^ last >> 10);
        h = g;
        g = f;
        f = e;
        e = d + t;
        t += (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) | (c & (a | b)));
        d = c;
        c = b;
        b = a;
        a = t;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

void ota_sha256_init(struct ota_sha256 *s)
{
    ota_copy(s->words, initial, sizeof initial);
    s->words[COUNT] = 0;
}

static void put(struct ota_sha256 *s, uint32_t byte)
{
    uint32_t *word = &s->words[BLOCK + (s->words[COUNT] >> 2 & 15)];

    *word = *word << 8 | byte;
    if ((++s->words[COUNT] & 63) == 0)
        compress(&s->words[STATE], &s->words[BLOCK]);
}

void ota_sha256_update(struct ota_sha256 *s, const void *data, size_t size)
{
    const uint8_t *byte = data;

    while (size-- > 0)
        put(s, *byte++);
}

void ota_sha256_final(struct ota_sha256 *s, uint8_t digest[OTA_SHA256_SIZE])
{
    uint32_t count = s->words[COUNT];

    put(s, 0x80);
    while ((s->words[COUNT] & 63) != 56)
        put(s, 0);
    s->words[BLOCK + 14] = count >> 29;
    s->words[BLOCK + 15] = count << 3;
    compress(&s->words[STATE], &s->words[BLOCK]);
    for (unsigned i = 0; i < 8; i++)
        ota_store32(digest + 4 * i, s->words[STATE + i]);
}
