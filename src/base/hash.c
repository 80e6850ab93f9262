/* base/hash.c: table hash over XXH3 (libxxhash, inlined) and the cluster's CRC16, eight bytes at a time.
 *
 * CRC16 by slicing: tables[k][b] is the CRC of byte b followed by k zero bytes, so eight look-ups replace eight
 * dependent steps. Polynomial 0x1021, no reflection, start value 0. */
#define XXH_INLINE_ALL
#define XXH_NO_STREAM
#include <xxhash.h>

#include "base/hash.h"

#include "base/macros.h"

#include <pthread.h>

#define SLICES 8

static uint16_t tables[SLICES][256];

__attribute__((constructor)) static void build_tables(void)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned crc = byte << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1) ^ (crc & 0x8000 ? 0x1021u : 0);
        tables[0][byte] = (uint16_t)crc;
    }
    for (unsigned slice = 1; slice < SLICES; slice++)
        for (unsigned byte = 0; byte < 256; byte++) {
            unsigned crc = tables[slice - 1][byte];
            tables[slice][byte] = (uint16_t)((crc << 8) ^ tables[0][crc >> 8]);
        }
}

uint16_t roan_crc16(const char *data, size_t bytes)
{
    const uint8_t *at = (const uint8_t *)data;
    unsigned crc = 0;
    for (; bytes >= SLICES; bytes -= SLICES, at += SLICES) {
        crc = tables[7][at[0] ^ (crc >> 8)] ^ tables[6][at[1] ^ (crc & 255)] ^ tables[5][at[2]] ^ tables[4][at[3]] ^
              tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^ tables[0][at[7]];
    }
    for (; bytes > 0; bytes--, at++)
        crc = ((crc << 8) & 0xffff) ^ tables[0][(crc >> 8) ^ *at];
    return (uint16_t)crc;
}

unsigned roan_key_slot(roan_slice key)
{
    const char *open = key.bytes > 0 ? memchr(key.data, '{', key.bytes) : NULL;
    if (open != NULL) {
        size_t left = key.bytes - (size_t)(open + 1 - key.data);
        const char *close = left > 0 ? memchr(open + 1, '}', left) : NULL;
        if (close != NULL && close != open + 1)
            return roan_crc16(open + 1, (size_t)(close - open - 1)) & (ROAN_SLOT_COUNT - 1);
    }
    return roan_crc16(key.data, key.bytes) & (ROAN_SLOT_COUNT - 1);
}

void roan_hash_secret_init(roan_hash_secret *secret, uint64_t seed)
{
    _Static_assert(sizeof secret->words >= XXH3_SECRET_SIZE_MIN, "secret is large enough for XXH3");
    uint64_t state = seed;
    for (size_t i = 0; i < ROAN_COUNT_OF(secret->words); i++) { /* splitmix64 */
        uint64_t z = state += 0x9e3779b97f4a7c15ull;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        secret->words[i] = z ^ (z >> 31);
    }
}

uint64_t roan_hash(const roan_hash_secret *secret, const char *data, size_t bytes)
{
    return XXH3_64bits_withSecret(data, bytes, secret->words, sizeof secret->words);
}
