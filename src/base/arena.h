/* base/arena.h: memory for the small entries of one table, without rounding to the allocator's size classes.
 *
 * Small entries of a size (in steps of 8 bytes) share pages of 4 KiB. An arena belongs to a table and is used under its
 * stripe's lock, so it needs no locks of its own, and emptying a table gives all pages back at once. A size that only a
 * few entries have is left to the allocator: a page pays from about half full.
 *
 * Whoever frees says whether the memory came from a page (roan_entry keeps that in a flag).
 */
#pragma once

#include "base/alloc.h"
#include "base/pages.h"

#include <stdbool.h>

#define ROAN_ARENA_BYTES_MAX 256u

typedef struct roan_arena roan_arena;

/* Takes its pages from `pages` (NULL: from the allocator). */
roan_arena *roan_arena_create(roan_page_pool *pages);
/* Frees all pages, whatever is still in them. */
void roan_arena_free(roan_arena *arena);

/* Memory for `bytes`; arena may be NULL: the allocator's. *ret_is_paged tells where it came from. */
void *roan_arena_alloc(roan_arena *arena, size_t bytes, bool *ret_is_paged);
void roan_arena_release(roan_arena *arena, void *memory, size_t bytes, bool is_paged);

/* What an allocation of that size and origin really takes. */
static inline size_t roan_arena_good_size(size_t bytes, bool is_paged)
{
    return is_paged ? (bytes + 7) & ~(size_t)7 : roan_alloc_good_size(bytes);
}

/* The arena itself, and bytes of pages that can hold no entry. */
size_t roan_arena_overhead_bytes(const roan_arena *arena);
