/* types/hyperloglog_sparse.c: the sparse form of a HyperLogLog: runs of equal registers, in order, together all 16384.
 *
 *   00llllll             l + 1 registers of rank 0
 *   01llllll llllllll    l + 1 registers of rank 0, the higher bits first
 *   1rrrrrll             l + 1 registers of rank r + 1
 *
 * Raising a register cuts its run in up to three and joins equal neighbours afterwards: the run before it and the four
 * that follow are looked at, as in Redis, so that the bytes come out the same. A rank above 32, or more bytes than
 * allowed, make the value dense.
 *
 * Most of the work is finding the run of a register. Runs of one byte are added up eight at a time, in a word.
 */
#include "types/hyperloglog_inside.h"

#include "base/macros.h"

#include <string.h>

#define RANK_MAX 32u       /* in the sparse form */
#define RANK_RUN_MAX 4u    /* registers in a run of rank 1 and above */
#define SHORT_ZEROS_MAX 64u
#define SPLIT_BYTES_MAX 5u /* two long runs of zeros and a register between them */
#define JOIN_STEPS 5

typedef struct run {
    uint32_t length;
    uint8_t rank;
    uint8_t bytes; /* 0: there is none, its second byte is missing */
} run;

static bool is_zeros(unsigned char first)
{
    return first < 0x80;
}

static bool is_long_zeros(unsigned char first)
{
    return (first & 0xc0) == 0x40;
}

/* The run at `at`, which is before `end`. */
static run read_run(const char *at, const char *end)
{
    unsigned char first = (unsigned char)*at;
    if (!is_zeros(first))
        return (run){.length = (first & 3u) + 1, .rank = (uint8_t)((first >> 2 & 31) + 1), .bytes = 1};
    if (!is_long_zeros(first))
        return (run){.length = first + 1u, .bytes = 1};
    if (end - at < 2)
        return (run){.length = ((first & 0x3fu) << 8) + 1};
    return (run){.length = ((first & 0x3fu) << 8 | (unsigned char)at[1]) + 1, .bytes = 2};
}

static char *write_zeros(char *at, uint32_t length)
{
    if (length > SHORT_ZEROS_MAX)
        *at++ = (char)(0x40 | (length - 1) >> 8);
    *at++ = (char)(length - 1);
    return at;
}

static char *write_ranks(char *at, unsigned rank, uint32_t length)
{
    *at++ = (char)(0x80 | (rank - 1) << 2 | (length - 1));
    return at;
}

/* ---- all runs ---- */

bool roan_hll_sparse_histogram(roan_slice value, roan_hll_histogram *histogram)
{
    const char *at = value.data + ROAN_HLL_HEADER_BYTES, *end = value.data + value.bytes;
    uint32_t total = 0;
    memset(histogram, 0, sizeof *histogram);
    while (at < end) {
        run next = read_run(at, end);
        total += next.length;
        if (next.bytes == 0 || total > ROAN_HLL_REGISTER_COUNT)
            return false;
        histogram->count[next.rank] += next.length;
        at += next.bytes;
    }
    return total == ROAN_HLL_REGISTER_COUNT;
}

bool roan_hll_sparse_merge(roan_hll_registers *registers, roan_slice value)
{
    const char *at = value.data + ROAN_HLL_HEADER_BYTES, *end = value.data + value.bytes;
    uint32_t total = 0;
    while (at < end) {
        run next = read_run(at, end);
        if (next.bytes == 0 || next.length > ROAN_HLL_REGISTER_COUNT - total)
            return false;
        for (uint32_t i = 0; next.rank > 0 && i < next.length; i++)
            registers->rank[total + i] = ROAN_MAX(registers->rank[total + i], next.rank);
        total += next.length;
        at += next.bytes;
    }
    return total == ROAN_HLL_REGISTER_COUNT;
}

void roan_hll_describe(roan_slice value, roan_buffer *text)
{
    const char *at = value.data + ROAN_HLL_HEADER_BYTES, *end = value.data + value.bytes;
    while (at < end) {
        run next = read_run(at, end);
        const char *space = text->bytes > 0 ? " " : "";
        if (next.rank > 0)
            roan_buffer_printf(text, "%sv:%u,%u", space, next.rank, next.length);
        else
            roan_buffer_printf(text, "%s%c:%u", space, next.bytes == 1 ? 'z' : 'Z', next.length);
        at += ROAN_MAX(next.bytes, 1);
    }
}

/* ---- finding the run of a register ---- */

typedef struct run_spot {
    uint32_t at;     /* its first byte */
    uint32_t before; /* that of the run before it; 0: there is none, or it is not known */
    uint32_t first;  /* its first register */
} run_spot;

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The registers of the runs in the lowest `count` bytes of the word, none of them a first byte of long zeros. */
static ROAN_ALWAYS_INLINE uint32_t add_lengths(uint64_t word, unsigned count)
{
    if (count < 8)
        word &= (UINT64_C(1) << 8 * count) - 1;
    uint64_t is_ranks = (word >> 7 & EACH_BYTE(1)) * 0xff;
    uint64_t lengths = word & (EACH_BYTE(0x3f) ^ (is_ranks & EACH_BYTE(0x3c))); /* less one each */
    lengths = (lengths & UINT64_C(0x00ff00ff00ff00ff)) + (lengths >> 8 & UINT64_C(0x00ff00ff00ff00ff));
    return (uint32_t)(lengths * UINT64_C(0x0001000100010001) >> 48) + count;
}

/* Moves the spot on by whole words, or long runs of zeros, while the register is behind them. */
static void skip_words(roan_slice value, uint32_t index, run_spot *spot)
{
    while (value.bytes - spot->at >= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, value.data + spot->at, sizeof word);
        uint64_t long_zeros = word & ~(word >> 1) & EACH_BYTE(0x40);
        unsigned count = long_zeros == 0 ? 8 : (unsigned)__builtin_ctzll(long_zeros) / 8;
        unsigned bytes = count;
        uint32_t length;
        if (count > 0) {
            length = add_lengths(word, count);
        } else {
            length = (uint32_t)((word & 0x3f) << 8 | (word >> 8 & 0xff)) + 1;
            bytes = 2;
        }
        if (spot->first + length > index)
            return;
        spot->before = spot->at + (count > 0 ? count - 1 : 0);
        spot->at += bytes;
        spot->first += length;
    }
}

/* Goes on from the spot to the run of the register; false when there is none. */
static bool find_run(roan_slice value, uint32_t index, run_spot *spot, run *found)
{
    skip_words(value, index, spot);
    while (spot->at < value.bytes) {
        *found = read_run(value.data + spot->at, value.data + value.bytes);
        if (found->bytes == 0)
            return false;
        if (spot->first + found->length > index)
            return true;
        spot->before = spot->at;
        spot->at += found->bytes;
        spot->first += found->length;
    }
    return false;
}

/* The search begins where the last one ended, if that is not behind the register, and again when it ends at once: the
 * run before is needed as well. */
static bool find_run_of_draft(roan_hll_draft *draft, uint32_t index, run_spot *spot, run *found)
{
    roan_slice value = roan_hll_draft_value(draft);
    *spot = (run_spot){.at = ROAN_HLL_HEADER_BYTES};
    if (draft->from_index <= index) {
        spot->at = draft->from;
        spot->first = draft->from_index;
    }
    if (!find_run(value, index, spot, found))
        return false;
    if (spot->before == 0 && spot->at > ROAN_HLL_HEADER_BYTES) {
        *spot = (run_spot){.at = ROAN_HLL_HEADER_BYTES};
        return find_run(value, index, spot, found);
    }
    return true;
}

/* ---- raising ---- */

/* The run with one register raised; returns the end. */
static char *write_split(char *at, const run *old, uint32_t left, unsigned rank)
{
    uint32_t right = old->length - left - 1;
    if (left > 0)
        at = old->rank == 0 ? write_zeros(at, left) : write_ranks(at, old->rank, left);
    at = write_ranks(at, rank, 1);
    if (right > 0)
        at = old->rank == 0 ? write_zeros(at, right) : write_ranks(at, old->rank, right);
    return at;
}

/* Puts `bytes` bytes in place of `old_bytes` at an offset of the draft. */
static void replace_bytes(roan_hll_draft *draft, uint32_t offset, size_t old_bytes, const char *bytes, size_t count)
{
    roan_hll_draft_data(draft);
    roan_buffer *copy = &draft->copy;
    if (count > old_bytes)
        roan_buffer_reserve(copy, count - old_bytes);
    char *at = copy->data + offset;
    memmove(at + count, at + old_bytes, copy->bytes - offset - old_bytes);
    memcpy(at, bytes, count);
    copy->bytes = copy->bytes - old_bytes + count;
}

/* Joins neighbours of the same rank, from the run at `offset` on. */
static void join_runs(roan_hll_draft *draft, uint32_t offset)
{
    roan_buffer *copy = &draft->copy;
    for (int steps = JOIN_STEPS; steps > 0 && offset < copy->bytes; steps--) {
        const char *end = copy->data + copy->bytes;
        char *at = copy->data + offset;
        run one = read_run(at, end);
        bool is_joined = false;
        if (one.rank > 0 && at + 1 < end) {
            run two = read_run(at + 1, end);
            is_joined = two.rank == one.rank && one.length + two.length <= RANK_RUN_MAX;
            if (is_joined) {
                write_ranks(at, one.rank, one.length + two.length);
                memmove(at + 1, at + 2, (size_t)(end - at) - 2);
                copy->bytes--;
            }
        }
        if (!is_joined)
            offset += ROAN_MAX(one.bytes, 1);
    }
}

/* The next search may begin at the run before this one: whatever was joined, a run begins there, with the same
 * register. */
static void remember_spot(roan_hll_draft *draft, const run_spot *spot)
{
    roan_slice value = roan_hll_draft_value(draft);
    draft->from = ROAN_HLL_HEADER_BYTES;
    draft->from_index = 0;
    if (spot->before == 0)
        return;
    draft->from = spot->before;
    draft->from_index = spot->first - read_run(value.data + spot->before, value.data + value.bytes).length;
}

static roan_hll_raise raise_dense(roan_hll_draft *draft, roan_hll_mark mark)
{
    if (!roan_hll_draft_make_dense(draft))
        return ROAN_HLL_CORRUPT;
    return roan_hll_dense_raise(roan_hll_draft_data(draft), mark) ? ROAN_HLL_RAISED : ROAN_HLL_SAME;
}

roan_hll_raise roan_hll_draft_raise(roan_hll_draft *draft, roan_hll_mark mark)
{
    roan_slice value = roan_hll_draft_value(draft);
    run_spot spot;
    run old;
    char split[SPLIT_BYTES_MAX];
    if (mark.rank > RANK_MAX || roan_hll_is_dense(value))
        return raise_dense(draft, mark);
    if (!find_run_of_draft(draft, mark.index, &spot, &old))
        return ROAN_HLL_CORRUPT;
    remember_spot(draft, &spot);
    if (old.rank >= mark.rank)
        return ROAN_HLL_SAME;
    size_t bytes = (size_t)(write_split(split, &old, mark.index - spot.first, mark.rank) - split);
    if (bytes > old.bytes && value.bytes + (bytes - old.bytes) > draft->sparse_bytes_max)
        return raise_dense(draft, mark);
    replace_bytes(draft, spot.at, old.bytes, split, bytes);
    join_runs(draft, spot.before > 0 ? spot.before : spot.at);
    return ROAN_HLL_RAISED;
}
