/* base/sha1.c: SHA-1 over a whole text in memory: blocks of 64 bytes, the last one padded with a 1 bit and the
 * length. */
#include "base/sha1.h"

#include "base/macros.h"

#include <string.h>

#define BLOCK_BYTES 64

static uint32_t rotate(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

static uint32_t load_big_endian(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void expand_block(const unsigned char *block, uint32_t words[80])
{
    for (unsigned i = 0; i < 16; i++)
        words[i] = load_big_endian(block + 4 * i);
    for (unsigned i = 16; i < 80; i++)
        words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
}

/* The round's function and constant: choose, parity, majority, parity. */
static uint32_t mix_round(unsigned round, uint32_t b, uint32_t c, uint32_t d)
{
    if (round < 20)
        return ((b & c) | (~b & d)) + 0x5a827999;
    if (round < 40)
        return (b ^ c ^ d) + 0x6ed9eba1;
    if (round < 60)
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    return (b ^ c ^ d) + 0xca62c1d6;
}

static void take_block(uint32_t state[5], const unsigned char *block)
{
    uint32_t words[80];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    expand_block(block, words);
    for (unsigned i = 0; i < 80; i++) {
        uint32_t next = rotate(a, 5) + mix_round(i, b, c, d) + e + words[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

void roan_sha1(const char *data, size_t bytes, unsigned char ret_digest[ROAN_SHA1_BYTES])
{
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    size_t whole = bytes / BLOCK_BYTES * BLOCK_BYTES, rest = bytes - whole;
    for (size_t at = 0; at < whole; at += BLOCK_BYTES)
        take_block(state, (const unsigned char *)data + at);
    unsigned char tail[2 * BLOCK_BYTES] = {0};
    if (rest > 0)
        memcpy(tail, data + whole, rest);
    tail[rest] = 0x80;
    size_t tail_bytes = rest < BLOCK_BYTES - sizeof(uint64_t) ? BLOCK_BYTES : sizeof tail;
    for (unsigned i = 0; i < sizeof(uint64_t); i++)
        tail[tail_bytes - 1 - i] = (unsigned char)((uint64_t)bytes * 8 >> 8 * i);
    for (size_t at = 0; at < tail_bytes; at += BLOCK_BYTES)
        take_block(state, tail + at);
    for (unsigned i = 0; i < ROAN_SHA1_BYTES; i++)
        ret_digest[i] = (unsigned char)(state[i / 4] >> (24 - 8 * (i % 4)));
}
