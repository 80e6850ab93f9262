/* base/sort.h: sorting the first few of many, and sorting by numbers. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Below 0: a comes before b. Never 0 for two different items if their order shall be certain. */
typedef int roan_compare_fn(const void *a, const void *b, void *context);

/* Brings the first `wanted` items in order to the front, sorted; the others follow in any order. When few are wanted
 * this takes about one comparison per item. */
void roan_sort_first(void *items, size_t count, size_t item_bytes, size_t wanted, roan_compare_fn *compare,
                     void *context);

/* Numbers and what they belong to. */
typedef struct roan_sort_key {
    uint64_t key;
    size_t index;
} roan_sort_key;

/* Sorts by key; equal keys keep their order. `spare` has as much room as `keys`. */
void roan_sort_keys(roan_sort_key *keys, roan_sort_key *spare, size_t count);

/* A key that has the order of doubles, -0 and 0 being the same; no NaN. */
static inline uint64_t roan_sort_key_of_double(double value)
{
    uint64_t bits;
    value += 0.0; /* -0 becomes 0 */
    memcpy(&bits, &value, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}
