/* types/intset.h: a set of integers as a sorted array of 16-, 32- or 64-bit numbers.
 *
 * The width is that of the widest member there ever was. One allocation of exactly the allocator's size for what is in
 * it, so memory needs no capacity of its own; membership is a binary search, order is numeric order.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No more members than this, whatever the configuration says. */
#define ROAN_INTSET_COUNT_MAX ((size_t)1 << 30)

typedef struct roan_intset roan_intset;

roan_intset *roan_intset_create(void);
roan_intset *roan_intset_free(roan_intset *set); /* accepts NULL, returns NULL */
roan_intset *roan_intset_copy(const roan_intset *set);

size_t roan_intset_count(const roan_intset *set);
bool roan_intset_contains(const roan_intset *set, int64_t value);

/* The member with `index` smaller ones; index below the count. */
int64_t roan_intset_at(const roan_intset *set, size_t index);

/* False when it is a member already. The set may move. Below ROAN_INTSET_COUNT_MAX members only. */
bool roan_intset_add(roan_intset **set, int64_t value);

/* False when it is no member. The set may move. */
bool roan_intset_remove(roan_intset **set, int64_t value);

/* Bytes it holds, the allocator's rounding included. */
size_t roan_intset_memory(const roan_intset *set);

/* States the invariants: sorted, no value twice. */
void roan_intset_check(const roan_intset *set);
