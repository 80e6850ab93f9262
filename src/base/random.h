/* base/random.h: a small fast pseudo-random generator (xoshiro256**), seeded by its owner, and the system's entropy. */
#pragma once

#include <stdint.h>

typedef struct roan_random {
    uint64_t state[4];
} roan_random;

void roan_random_seed(roan_random *random, uint64_t seed);

uint64_t roan_random_next(roan_random *random);

/* Uniform in [0, bound); bound above 0. */
uint64_t roan_random_below(roan_random *random, uint64_t bound);

/* 64 bits from the operating system. */
uint64_t roan_random_entropy(void);

/* Writes `digits` lower-case hexadecimal digits and a NUL. */
void roan_random_hex(roan_random *random, char *out, unsigned digits);
