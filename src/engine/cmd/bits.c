/* engine/cmd/bits.c: counting and finding bits, eight bytes at a time.
 *
 * Counting uses the processor's own instruction where the machine has it: the compiler makes two versions of the same
 * loop, and the first call chooses. Four sums at once keep the additions from waiting for each other.
 */
#include "engine/cmd/bits.h"

#include "base/macros.h"

#include <string.h>

#define WORD_BYTES sizeof(uint64_t)

static ROAN_ALWAYS_INLINE uint64_t load_word(const char *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

static ROAN_ALWAYS_INLINE uint64_t count_words(const char *data, size_t bytes)
{
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (; bytes >= 4 * WORD_BYTES; data += 4 * WORD_BYTES, bytes -= 4 * WORD_BYTES) {
        a += (unsigned)__builtin_popcountll(load_word(data));
        b += (unsigned)__builtin_popcountll(load_word(data + WORD_BYTES));
        c += (unsigned)__builtin_popcountll(load_word(data + 2 * WORD_BYTES));
        d += (unsigned)__builtin_popcountll(load_word(data + 3 * WORD_BYTES));
    }
    for (; bytes >= WORD_BYTES; data += WORD_BYTES, bytes -= WORD_BYTES)
        a += (unsigned)__builtin_popcountll(load_word(data));
    uint64_t rest = 0;
    memcpy(&rest, data, bytes);
    return a + b + c + d + (unsigned)__builtin_popcountll(rest);
}

#if defined(__x86_64__)
__attribute__((target("popcnt"))) static uint64_t count_by_instruction(const char *data, size_t bytes)
{
    return count_words(data, bytes);
}

uint64_t roan_bits_count(const char *data, size_t bytes)
{
    return __builtin_cpu_supports("popcnt") ? count_by_instruction(data, bytes) : count_words(data, bytes);
}
#else
uint64_t roan_bits_count(const char *data, size_t bytes)
{
    return count_words(data, bytes);
}
#endif

/* The bits of a byte from place `first` (0: the highest) up to, not including, `end` (at most 8). */
static unsigned byte_mask(unsigned first, unsigned end)
{
    return 0xffu >> first & 0xff00u >> end;
}

uint64_t roan_bits_count_range(const char *data, roan_bit_range range)
{
    if (range.from >= range.to)
        return 0;
    size_t first = range.from >> 3, last = range.to >> 3;
    unsigned head = range.from & 7, tail = range.to & 7;
    if (first == last)
        return (unsigned)__builtin_popcount((unsigned char)data[first] & byte_mask(head, tail));
    uint64_t count = 0;
    if (head > 0)
        count += (unsigned)__builtin_popcount((unsigned char)data[first++] & byte_mask(head, 8));
    if (tail > 0)
        count += (unsigned)__builtin_popcount((unsigned char)data[last] & byte_mask(0, tail));
    return count + roan_bits_count(data + first, last - first);
}

/* The first bit of the value in [from, to), one by one: for the ends of a range. */
static uint64_t find_slowly(const char *data, uint64_t from, uint64_t to, bool value)
{
    while (from < to && roan_bit_get(data, from) != value)
        from++;
    return from;
}

/* Four words are all the same. */
static ROAN_ALWAYS_INLINE bool words_are(const char *data, uint64_t word)
{
    uint64_t difference = (load_word(data) ^ word) | (load_word(data + WORD_BYTES) ^ word) |
                          (load_word(data + 2 * WORD_BYTES) ^ word) | (load_word(data + 3 * WORD_BYTES) ^ word);
    return difference == 0;
}

uint64_t roan_bits_find(const char *data, roan_bit_range range, bool value)
{
    uint64_t aligned = ROAN_MIN((range.from + 7) & ~UINT64_C(7), range.to);
    uint64_t at = find_slowly(data, range.from, aligned, value);
    if (at < aligned)
        return at;
    uint64_t skipped = value ? 0 : UINT64_MAX;
    while (at + 256 <= range.to && words_are(data + (at >> 3), skipped))
        at += 256;
    while (at + 64 <= range.to && load_word(data + (at >> 3)) == skipped)
        at += 64;
    while (at + 8 <= range.to && (unsigned char)data[at >> 3] == (unsigned char)skipped)
        at += 8;
    return find_slowly(data, at, range.to, value);
}
