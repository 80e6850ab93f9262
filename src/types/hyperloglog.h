/* types/hyperloglog.h: HyperLogLog values: how many different elements were seen, in 16384 registers of six bits.
 *
 * A value is a string of bytes, the same that Redis and Valkey make of the same elements, so values can be copied
 * from one server to another:
 *
 *   | "HYLL" | encoding u8: 0 dense, 1 sparse | 3 zero bytes | cached count, 8 bytes little-endian | registers ...
 *
 * The highest bit of the cached count says that it is out of date. The dense form has all registers, 12288 bytes; the
 * sparse form has runs of equal registers (see hyperloglog_sparse.c). Values come from clients: whatever the bytes
 * are, nothing here reads outside of them, and what makes no sense is reported as corrupt.
 */
#pragma once

#include "base/buffer.h"
#include "roan/base.h"

#include <stdbool.h>
#include <stdint.h>

#define ROAN_HLL_REGISTER_COUNT 16384u
#define ROAN_HLL_RANK_MAX 51u /* 64 bits of hash, 14 choose the register, so a rank is 1 to 51 */
#define ROAN_HLL_HEADER_BYTES 16u
#define ROAN_HLL_REGISTER_BYTES 12288u
#define ROAN_HLL_DENSE_BYTES (ROAN_HLL_HEADER_BYTES + ROAN_HLL_REGISTER_BYTES)
#define ROAN_HLL_EMPTY_BYTES (ROAN_HLL_HEADER_BYTES + 2u)

/* One byte per register: the form in which values are merged and counted. */
typedef struct roan_hll_registers {
    _Alignas(32) uint8_t rank[ROAN_HLL_REGISTER_COUNT];
} roan_hll_registers;

/* Where an element belongs, and what it says there. */
typedef struct roan_hll_mark {
    uint16_t index;
    uint8_t rank;
} roan_hll_mark;

roan_hll_mark roan_hll_mark_of(roan_slice element);

/* A sparse value without elements. */
extern const char roan_hll_empty[ROAN_HLL_EMPTY_BYTES];

/* ---- looking at a value ---- */

/* Is this the beginning of a HyperLogLog, and has a dense one its right length? The functions below take only such. */
bool roan_hll_is_valid(roan_slice value);
bool roan_hll_is_dense(roan_slice value);

/* The cached count; false when it is out of date. */
bool roan_hll_cached_count(roan_slice value, uint64_t *ret_count);

/* The estimate from the registers; false for a corrupt value. */
bool roan_hll_count(roan_slice value, uint64_t *ret_count);
uint64_t roan_hll_count_registers(const roan_hll_registers *registers);

/* Raises every register to that of the value; false for a corrupt value (some registers may have changed). */
bool roan_hll_merge(roan_hll_registers *registers, roan_slice value);

/* The runs of a sparse value, corrupt or not, as text for people: "Z:8436 v:1,1 z:3". */
void roan_hll_describe(roan_slice value, roan_buffer *text);

/* ---- changing the bytes of a value ---- */

void roan_hll_set_cached_count(char *value, uint64_t count);
void roan_hll_invalidate_count(char *value);

/* Raises one register of a dense value; true when it was lower. */
bool roan_hll_dense_raise(char *value, roan_hll_mark mark);
/* Replaces all registers of a dense value. */
void roan_hll_dense_store(char *value, const roan_hll_registers *registers);

/* ---- a value under construction ---- */

/* A copy of a value, made when it changes first. It becomes dense when a register or the whole gets too large
 * for the sparse form. After a failure it is useless, and the value still is what it was. */
typedef struct roan_hll_draft {
    roan_slice source;
    roan_buffer copy;        /* once anything changed */
    uint64_t sparse_bytes_max;
    uint32_t from;           /* raising registers in ascending order: the search begins at this byte, */
    uint32_t from_index;     /* where the run of this register begins */
} roan_hll_draft;

typedef enum roan_hll_raise {
    ROAN_HLL_CORRUPT = -1,
    ROAN_HLL_SAME = 0,
    ROAN_HLL_RAISED = 1,
} roan_hll_raise;

void roan_hll_draft_init(roan_hll_draft *draft, roan_slice source, uint64_t sparse_bytes_max);
void roan_hll_draft_done(roan_hll_draft *draft);

roan_hll_raise roan_hll_draft_raise(roan_hll_draft *draft, roan_hll_mark mark);
/* Makes the registers these, none of which may be lower than the value's; false when it is corrupt. */
bool roan_hll_draft_store(roan_hll_draft *draft, const roan_hll_registers *registers);
/* False when it was corrupt. */
bool roan_hll_draft_make_dense(roan_hll_draft *draft);

/* The value as it is now. */
static inline roan_slice roan_hll_draft_value(const roan_hll_draft *draft)
{
    return draft->copy.bytes > 0 ? roan_buffer_slice(&draft->copy) : draft->source;
}
