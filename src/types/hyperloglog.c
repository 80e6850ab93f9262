/* types/hyperloglog.c: HyperLogLog values as a whole: hashing, the header, the dense form, the estimate; see
 * hyperloglog.h.
 *
 * The hash is MurmurHash64A (Austin Appleby, public domain) with the seed that Redis chose: other servers must find
 * the same registers. Its lowest 14 bits choose the register; the rank is the place of the lowest one bit in the
 * rest.
 *
 * The estimate is that of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), which
 * needs no tables and no corrections for small counts. It is computed in the order of his paper, so that the
 * rounding, and with it every bit of the cached count, is the same everywhere.
 */
#include "types/hyperloglog.h"

#include "base/macros.h"
#include "types/hyperloglog_inside.h"

#include <math.h>
#include <string.h>

#define HASH_SEED UINT64_C(0xadc83b19)
#define INDEX_BITS 14
#define RANK_BITS (64 - INDEX_BITS)
#define HALF_OVER_LN2 0.721347520444481703680 /* the limit of the bias correction for many registers */

enum { ENCODING_AT = 4, COUNT_AT = 8, COUNT_BYTES = 8, DENSE = 0, SPARSE = 1 };

const char roan_hll_empty[ROAN_HLL_EMPTY_BYTES] = {
    'H', 'Y', 'L', 'L', SPARSE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, (char)0xff,
};

/* ---- elements ---- */

#define MURMUR_MULTIPLIER UINT64_C(0xc6a4a7935bd1e995)
#define MURMUR_SHIFT 47

static uint64_t murmur_step(uint64_t hash, uint64_t word)
{
    word *= MURMUR_MULTIPLIER;
    word ^= word >> MURMUR_SHIFT;
    word *= MURMUR_MULTIPLIER;
    return (hash ^ word) * MURMUR_MULTIPLIER;
}

static uint64_t murmur(roan_slice text)
{
    uint64_t hash = HASH_SEED ^ text.bytes * MURMUR_MULTIPLIER, word;
    size_t at = 0;
    for (; text.bytes - at >= sizeof word; at += sizeof word) {
        memcpy(&word, text.data + at, sizeof word);
        hash = murmur_step(hash, word);
    }
    if (at < text.bytes) {
        word = 0;
        memcpy(&word, text.data + at, text.bytes - at);
        hash = (hash ^ word) * MURMUR_MULTIPLIER;
    }
    hash = (hash ^ hash >> MURMUR_SHIFT) * MURMUR_MULTIPLIER;
    return hash ^ hash >> MURMUR_SHIFT;
}

roan_hll_mark roan_hll_mark_of(roan_slice element)
{
    uint64_t hash = murmur(element);
    uint64_t rest = hash >> INDEX_BITS | UINT64_C(1) << RANK_BITS; /* there is a one bit even in zero */
    return (roan_hll_mark){(uint16_t)(hash % ROAN_HLL_REGISTER_COUNT), (uint8_t)(__builtin_ctzll(rest) + 1)};
}

/* ---- the header ---- */

bool roan_hll_is_valid(roan_slice value)
{
    if (value.bytes < ROAN_HLL_HEADER_BYTES || memcmp(value.data, roan_hll_empty, ENCODING_AT) != 0)
        return false;
    unsigned encoding = (unsigned char)value.data[ENCODING_AT];
    return encoding == SPARSE || (encoding == DENSE && value.bytes == ROAN_HLL_DENSE_BYTES);
}

bool roan_hll_is_dense(roan_slice value)
{
    return value.data[ENCODING_AT] == DENSE;
}

bool roan_hll_cached_count(roan_slice value, uint64_t *ret_count)
{
    uint64_t count = 0;
    for (unsigned i = COUNT_BYTES; i-- > 0;)
        count = count << 8 | (unsigned char)value.data[COUNT_AT + i];
    if (count >> 63)
        return false;
    *ret_count = count;
    return true;
}

void roan_hll_set_cached_count(char *value, uint64_t count)
{
    for (unsigned i = 0; i < COUNT_BYTES; i++, count >>= 8)
        value[COUNT_AT + i] = (char)(count & 0xff);
}

void roan_hll_invalidate_count(char *value)
{
    value[COUNT_AT + COUNT_BYTES - 1] |= (char)0x80;
}

/* ---- the estimate ---- */

static double sigma(double x)
{
    if (x == 1.)
        return INFINITY;
    double sum = x, before, power = 1;
    do {
        before = sum;
        x *= x;
        sum += x * power;
        power += power;
    } while (sum != before);
    return sum;
}

static double tau(double x)
{
    if (x == 0. || x == 1.)
        return 0.;
    double sum = 1 - x, before, power = 1;
    do {
        before = sum;
        x = sqrt(x);
        power *= 0.5;
        sum -= (1 - x) * (1 - x) * power;
    } while (sum != before);
    return sum / 3;
}

static uint64_t estimate(const roan_hll_histogram *histogram)
{
    const double m = ROAN_HLL_REGISTER_COUNT;
    double sum = m * tau((m - histogram->count[RANK_BITS + 1]) / m);
    for (unsigned rank = RANK_BITS; rank >= 1; rank--) {
        sum += histogram->count[rank];
        sum *= 0.5;
    }
    sum += m * sigma(histogram->count[0] / m);
    return (uint64_t)llround(HALF_OVER_LN2 * m * m / sum);
}

uint64_t roan_hll_count_registers(const roan_hll_registers *registers)
{
    roan_hll_histogram histogram;
    roan_hll_registers_histogram(registers, &histogram);
    return estimate(&histogram);
}

bool roan_hll_count(roan_slice value, uint64_t *ret_count)
{
    roan_hll_histogram histogram;
    if (roan_hll_is_dense(value)) {
        roan_hll_registers registers;
        memset(&registers, 0, sizeof registers);
        roan_hll_raise_to_packed(&registers, value.data + ROAN_HLL_HEADER_BYTES);
        roan_hll_registers_histogram(&registers, &histogram);
    } else if (!roan_hll_sparse_histogram(value, &histogram)) {
        return false;
    }
    *ret_count = estimate(&histogram);
    return true;
}

/* ---- registers ---- */

bool roan_hll_merge(roan_hll_registers *registers, roan_slice value)
{
    if (!roan_hll_is_dense(value))
        return roan_hll_sparse_merge(registers, value);
    roan_hll_raise_to_packed(registers, value.data + ROAN_HLL_HEADER_BYTES);
    return true;
}

/* A register may lie across two bytes; the last one does not. */
bool roan_hll_dense_raise(char *value, roan_hll_mark mark)
{
    ROAN_ASSERT(mark.index < ROAN_HLL_REGISTER_COUNT);
    unsigned bit = mark.index * 6u, shift = bit % 8;
    unsigned char *at = (unsigned char *)value + ROAN_HLL_HEADER_BYTES + bit / 8;
    bool is_split = shift > 2;
    unsigned bits = at[0] | (is_split ? (unsigned)at[1] << 8 : 0);
    if ((bits >> shift & 0x3f) >= mark.rank)
        return false;
    bits = (bits & ~(0x3fu << shift)) | (unsigned)mark.rank << shift;
    at[0] = (unsigned char)bits;
    if (is_split)
        at[1] = (unsigned char)(bits >> 8);
    return true;
}

void roan_hll_dense_store(char *value, const roan_hll_registers *registers)
{
    roan_hll_pack(value + ROAN_HLL_HEADER_BYTES, registers);
}

/* ---- drafts ---- */

void roan_hll_draft_init(roan_hll_draft *draft, roan_slice source, uint64_t sparse_bytes_max)
{
    ROAN_ASSERT(roan_hll_is_valid(source));
    *draft = (roan_hll_draft){.source = source, .sparse_bytes_max = sparse_bytes_max, .from = ROAN_HLL_HEADER_BYTES};
}

void roan_hll_draft_done(roan_hll_draft *draft)
{
    roan_buffer_done(&draft->copy);
}

char *roan_hll_draft_data(roan_hll_draft *draft)
{
    if (draft->copy.bytes == 0)
        roan_buffer_append_slice(&draft->copy, draft->source);
    return draft->copy.data;
}

bool roan_hll_draft_make_dense(roan_hll_draft *draft)
{
    roan_slice value = roan_hll_draft_value(draft);
    if (roan_hll_is_dense(value))
        return true;
    roan_hll_registers registers;
    memset(&registers, 0, sizeof registers);
    if (!roan_hll_sparse_merge(&registers, value))
        return false;
    roan_buffer dense = {0};
    roan_buffer_reserve(&dense, ROAN_HLL_DENSE_BYTES);
    memcpy(dense.data, value.data, ROAN_HLL_HEADER_BYTES);
    dense.data[ENCODING_AT] = DENSE;
    dense.bytes = ROAN_HLL_DENSE_BYTES;
    roan_hll_dense_store(dense.data, &registers);
    roan_buffer_done(&draft->copy);
    draft->copy = dense;
    return true;
}

bool roan_hll_draft_store(roan_hll_draft *draft, const roan_hll_registers *registers)
{
    for (unsigned i = 0; i < ROAN_HLL_REGISTER_COUNT; i++) {
        if (roan_hll_is_dense(roan_hll_draft_value(draft))) {
            roan_hll_dense_store(roan_hll_draft_data(draft), registers);
            return true;
        }
        roan_hll_mark mark = {(uint16_t)i, registers->rank[i]};
        if (mark.rank > 0 && roan_hll_draft_raise(draft, mark) == ROAN_HLL_CORRUPT)
            return false;
    }
    return true;
}
