/* base/hash.h: the two hashes of a key: its cluster slot (CRC16, public and fixed) and its place in a table (XXH3 with
 * a secret, so that nobody outside can choose keys that collide). */
#pragma once

#include "roan/base.h"

#include <stdint.h>

#define ROAN_SLOT_COUNT 16384

/* The secret of the table hash. Created once per engine; a seed makes it reproducible. */
typedef struct roan_hash_secret {
    uint64_t words[24]; /* XXH3's minimum secret is 136 bytes */
} roan_hash_secret;

void roan_hash_secret_init(roan_hash_secret *secret, uint64_t seed);

uint64_t roan_hash(const roan_hash_secret *secret, const char *data, size_t bytes);

/* CRC16 (XMODEM) as the cluster specification defines it. */
uint16_t roan_crc16(const char *data, size_t bytes);

/* The cluster slot of a key: CRC16 of the part between the first '{' and the next '}' if that part is not empty, of
 * the whole key otherwise, modulo 16384. */
unsigned roan_key_slot(roan_slice key);
