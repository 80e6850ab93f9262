/* types/hyperloglog_inside.h: what the files of hyperloglog_*.c share. */
#pragma once

#include "types/hyperloglog.h"

/* How many registers have each rank; ranks above ROAN_HLL_RANK_MAX occur only in values that somebody made up. */
typedef struct roan_hll_histogram {
    uint32_t count[64];
} roan_hll_histogram;

/* Raises registers to the six-bit registers behind a dense header, and writes those. */
void roan_hll_raise_to_packed(roan_hll_registers *registers, const char *packed);
void roan_hll_pack(char *packed, const roan_hll_registers *registers);

void roan_hll_registers_histogram(const roan_hll_registers *registers, roan_hll_histogram *histogram);

/* The same for the sparse form; false when it is corrupt. `value` has its header. */
bool roan_hll_sparse_histogram(roan_slice value, roan_hll_histogram *histogram);
bool roan_hll_sparse_merge(roan_hll_registers *registers, roan_slice value);

/* The draft's own bytes, copied now if they were not yet. */
char *roan_hll_draft_data(roan_hll_draft *draft);
