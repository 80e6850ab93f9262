/* engine/cmd/bits.h: counting and finding bits in bytes; bit 0 is the highest bit of the first byte. Pure functions. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A run of bits: from <= bit < to. */
typedef struct roan_bit_range {
    uint64_t from, to;
} roan_bit_range;

/* One bits in whole bytes, and in a range of bits (which lies within the bytes behind `data`). */
uint64_t roan_bits_count(const char *data, size_t bytes);
uint64_t roan_bits_count_range(const char *data, roan_bit_range range);

/* The first bit of the value within the range; range.to when there is none. */
uint64_t roan_bits_find(const char *data, roan_bit_range range, bool value);

static inline bool roan_bit_get(const char *data, uint64_t bit)
{
    return ((unsigned char)data[bit >> 3] >> (7 - (bit & 7)) & 1) != 0;
}
