/* types/hyperloglog_registers.c: all registers at once: six bits each to a byte each and back, maxima, and counting
 * ranks.
 *
 * Register i stands in bits 6i to 6i + 5 of the packed form, the lowest bit of a byte first, so three bytes hold
 * four:
 *
 *   packed   byte 0 |1100 0000|  byte 1 |2222 1111|  byte 2 |3333 3322|
 *   spread   byte 0 |..00 0000|  byte 1 |..11 1111|  byte 2 |..22 2222|  byte 3 |..33 3333|
 *
 * Eight registers are converted in one 64-bit word, or 32 in one vector where the machine has AVX2. Ranks are counted
 * four at a time until every register was counted: each pass compares 32 registers at once, and there are few passes,
 * since all registers of a value are near the logarithm of its count.
 */
#include "types/hyperloglog_inside.h"

#include "base/macros.h"

#include <string.h>

#define GROUP_REGISTERS 8u /* in a word */
#define GROUP_BYTES 6u
#define BLOCK_REGISTERS 32u /* in a vector */
#define BLOCK_BYTES 24u
#define BLOCK_COUNT (ROAN_HLL_REGISTER_COUNT / BLOCK_REGISTERS)

/* Vectors of bytes; a compiler makes two of one where the machine's are shorter. */
typedef uint8_t bytes16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint8_t bytes32 __attribute__((vector_size(32), aligned(1), may_alias));
typedef int8_t signed32 __attribute__((vector_size(32), aligned(1), may_alias));
typedef uint32_t words8 __attribute__((vector_size(32), aligned(1), may_alias));

/* ---- words ---- */

static void unpack_group(uint8_t *rank, const char *packed)
{
    uint64_t bits = 0;
    memcpy(&bits, packed, GROUP_BYTES);
    bits = (bits & 0xffffff) | (bits & 0xffffff000000) << 8;
    bits = (bits & 0x0000003f0000003f) | (bits << 2 & 0x00003f0000003f00) | (bits << 4 & 0x003f0000003f0000) |
           (bits << 6 & 0x3f0000003f000000);
    memcpy(rank, &bits, sizeof bits);
}

static void pack_group(char *packed, const uint8_t *rank)
{
    uint64_t bits;
    memcpy(&bits, rank, sizeof bits);
    bits = (bits & 0x0000003f0000003f) | (bits >> 2 & 0x00000fc000000fc0) | (bits >> 4 & 0x0003f0000003f000) |
           (bits >> 6 & 0x00fc000000fc0000);
    bits = (bits & 0xffffff) | (bits >> 8 & 0xffffff000000);
    memcpy(packed, &bits, GROUP_BYTES);
}

/* Raises the registers from `first` on to the packed ones. */
static void raise_by_words(roan_hll_registers *registers, const char *packed, unsigned first)
{
    for (unsigned i = first; i < ROAN_HLL_REGISTER_COUNT; i += GROUP_REGISTERS) {
        uint8_t *rank = registers->rank + i, other[GROUP_REGISTERS];
        unpack_group(other, packed + i / GROUP_REGISTERS * GROUP_BYTES);
        for (unsigned j = 0; j < GROUP_REGISTERS; j++)
            rank[j] = ROAN_MAX(rank[j], other[j]);
    }
}

static void pack_by_words(char *packed, const roan_hll_registers *registers, unsigned first)
{
    for (unsigned i = first; i < ROAN_HLL_REGISTER_COUNT; i += GROUP_REGISTERS)
        pack_group(packed + i / GROUP_REGISTERS * GROUP_BYTES, registers->rank + i);
}

/* ---- counting ---- */

enum { PASS_RANKS = 4, ROUND_BLOCKS = 128 };
_Static_assert(BLOCK_COUNT % ROUND_BLOCKS == 0, "rounds are whole");
_Static_assert(ROUND_BLOCKS <= UINT8_MAX, "the sums of one lane in a round fit into a byte");

static ROAN_ALWAYS_INLINE uint32_t add_lanes(const bytes32 *sums)
{
    uint32_t total = 0;
    for (unsigned i = 0; i < sizeof *sums; i++)
        total += (*sums)[i];
    return total;
}

/* Counts the registers of PASS_RANKS ranks, beginning with `rank`, and returns how many they are together. */
static ROAN_ALWAYS_INLINE uint32_t count_pass(const roan_hll_registers *registers, unsigned rank, uint32_t *counts)
{
    for (unsigned block = 0; block < BLOCK_COUNT; block += ROUND_BLOCKS) {
        const uint8_t *at = registers->rank + block * BLOCK_REGISTERS;
        bytes32 a = {0}, b = {0}, c = {0}, d = {0};
        for (unsigned i = 0; i < ROUND_BLOCKS; i++, at += BLOCK_REGISTERS) {
            bytes32 ranks = *(const bytes32 *)at - (uint8_t)rank;
            a -= (bytes32)(ranks == 0);
            b -= (bytes32)(ranks == 1);
            c -= (bytes32)(ranks == 2);
            d -= (bytes32)(ranks == 3);
        }
        counts[0] += add_lanes(&a);
        counts[1] += add_lanes(&b);
        counts[2] += add_lanes(&c);
        counts[3] += add_lanes(&d);
    }
    return counts[0] + counts[1] + counts[2] + counts[3];
}

static ROAN_ALWAYS_INLINE void count_ranks(const roan_hll_registers *registers, roan_hll_histogram *histogram)
{
    uint32_t left = ROAN_HLL_REGISTER_COUNT;
    memset(histogram, 0, sizeof *histogram);
    for (unsigned rank = 0; left > 0; rank += PASS_RANKS) {
        ROAN_ASSERT(rank < ROAN_COUNT_OF(histogram->count));
        left -= count_pass(registers, rank, histogram->count + rank);
    }
}

/* ---- with AVX2 ---- */

#if defined(__x86_64__)
#define USES_AVX2 __attribute__((target("avx2")))

/* Each half of a vector has its own twelve bytes, so that bytes move within halves only. */
USES_AVX2 static void raise_avx2(roan_hll_registers *registers, const char *packed)
{
    for (unsigned block = 0; block < BLOCK_COUNT - 1; block++) {
        const char *at = packed + block * BLOCK_BYTES;
        bytes16 low = *(const bytes16 *)at, high = *(const bytes16 *)(at + BLOCK_BYTES / 2);
        words8 bits = (words8)__builtin_shufflevector(low, high, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12,
                                                      16, 17, 18, 19, 19, 20, 21, 22, 22, 23, 24, 25, 25, 26, 27, 28);
        bits = (bits & 0x3f) | (bits << 2 & 0x3f00) | (bits << 4 & 0x3f0000) | (bits << 6 & 0x3f000000);
        signed32 *rank = (signed32 *)(registers->rank + block * BLOCK_REGISTERS);
        signed32 ours = *rank, theirs = (signed32)bits, is_higher = (signed32)(theirs > ours);
        *rank = (theirs & is_higher) | (ours & ~is_higher);
    }
    raise_by_words(registers, packed, (BLOCK_COUNT - 1) * BLOCK_REGISTERS);
}

/* Every half writes four bytes too many, which the next one overwrites. */
USES_AVX2 static void pack_avx2(char *packed, const roan_hll_registers *registers)
{
    for (unsigned block = 0; block < BLOCK_COUNT - 1; block++) {
        char *at = packed + block * BLOCK_BYTES;
        words8 bits = *(const words8 *)(registers->rank + block * BLOCK_REGISTERS);
        bits = (bits & 0x3f) | (bits >> 2 & 0xfc0) | (bits >> 4 & 0x3f000) | (bits >> 6 & 0xfc0000);
        bytes32 raw = (bytes32)bits;
        raw = __builtin_shufflevector(raw, raw, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 7, 11, 15, 16, 17, 18, 20,
                                      21, 22, 24, 25, 26, 28, 29, 30, 19, 23, 27, 31);
        *(bytes16 *)at = __builtin_shufflevector(raw, raw, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        *(bytes16 *)(at + BLOCK_BYTES / 2) =
            __builtin_shufflevector(raw, raw, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
    }
    pack_by_words(packed, registers, (BLOCK_COUNT - 1) * BLOCK_REGISTERS);
}

USES_AVX2 static void count_ranks_avx2(const roan_hll_registers *registers, roan_hll_histogram *histogram)
{
    count_ranks(registers, histogram);
}

#define CHOOSE(name, plain, ...)                  \
    if (__builtin_cpu_supports("avx2"))           \
        name##_avx2(__VA_ARGS__);                 \
    else                                          \
        plain
#else
#define CHOOSE(name, plain, ...) plain
#endif

void roan_hll_raise_to_packed(roan_hll_registers *registers, const char *packed)
{
    CHOOSE(raise, raise_by_words(registers, packed, 0), registers, packed);
}

void roan_hll_pack(char *packed, const roan_hll_registers *registers)
{
    CHOOSE(pack, pack_by_words(packed, registers, 0), packed, registers);
}

void roan_hll_registers_histogram(const roan_hll_registers *registers, roan_hll_histogram *histogram)
{
    CHOOSE(count_ranks, count_ranks(registers, histogram), registers, histogram);
}
