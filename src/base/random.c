/* base/random.c: xoshiro256** (Blackman and Vigna), seeded through splitmix64. Not for secrets: those come from the
 * operating system (roan_random_entropy). */
#include "base/random.h"

#include "base/macros.h"

#include <sys/random.h>

static uint64_t rotate_left(uint64_t value, int bits)
{
    return (value << bits) | (value >> (64 - bits));
}

void roan_random_seed(roan_random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15ull;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        random->state[i] = z ^ (z >> 31);
    }
}

uint64_t roan_random_next(roan_random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t roan_random_below(roan_random *random, uint64_t bound)
{
    ROAN_ASSERT(bound > 0);
    return (uint64_t)(((unsigned __int128)roan_random_next(random) * bound) >> 64);
}

uint64_t roan_random_entropy(void)
{
    uint64_t value = 0;
    ROAN_ASSERT(getrandom(&value, sizeof value, 0) == (ssize_t)sizeof value);
    return value;
}

void roan_random_hex(roan_random *random, char *out, unsigned digits)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < digits; i++, bits >>= 4) {
        if (i % 16 == 0)
            bits = roan_random_next(random);
        out[i] = "0123456789abcdef"[bits & 15];
    }
    out[digits] = '\0';
}
