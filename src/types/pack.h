/* types/pack.h: a sequence of packed items in one allocation: small hashes, sets and sorted sets.
 *
 *     | bytes u32 | count u32 | item item item ... |
 *
 * The allocation always has the allocator's good size for what is in it, so it needs no capacity of its own. A place
 * is a pointer to the first byte of an item, or to the end; it is valid until the pack changes. Functions that change
 * a pack return it, as it may have moved.
 */
#pragma once

#include "types/packed.h"

typedef struct roan_pack {
    uint32_t bytes; /* of all items */
    uint32_t count; /* items */
    char items[];
} roan_pack;

#define ROAN_PACK_BYTES_MAX UINT32_MAX

/* An empty one. */
roan_pack *roan_pack_create(void);
void roan_pack_free(roan_pack *pack);
roan_pack *roan_pack_copy(const roan_pack *pack);

static inline const char *roan_pack_first(const roan_pack *pack)
{
    return pack->items;
}

static inline const char *roan_pack_end(const roan_pack *pack)
{
    return pack->items + pack->bytes;
}

/* The place of item number `index`; the end for index == count. */
const char *roan_pack_at(const roan_pack *pack, size_t index);

/* The place of the item that equals `text`, looking at every stride-th item from the first; NULL: none. */
const char *roan_pack_find(const roan_pack *pack, roan_slice text, unsigned stride);

/* `bytes` more (all items together) would be too many for a pack. */
static inline bool roan_pack_would_overflow(const roan_pack *pack, size_t bytes)
{
    return bytes > ROAN_PACK_BYTES_MAX - sizeof *pack - pack->bytes;
}

/* Puts `count` items before `place`. *ret_place (may be NULL) is where the first of them is. */
roan_pack *roan_pack_insert(roan_pack *pack, const char *place, const roan_packed *items, size_t count,
                            const char **ret_place);

/* The same at the end. */
static inline roan_pack *roan_pack_append(roan_pack *pack, const roan_packed *items, size_t count)
{
    return roan_pack_insert(pack, roan_pack_end(pack), items, count, NULL);
}

/* Takes out `count` items from `place` on. *ret_place (may be NULL) is where the one behind them is now. */
roan_pack *roan_pack_remove(roan_pack *pack, const char *place, size_t count, const char **ret_place);

/* Puts another item where one is; `item` must not point into the pack. *ret_place (may be NULL) is where it is now. */
roan_pack *roan_pack_replace(roan_pack *pack, const char *place, const roan_packed *item, const char **ret_place);

/* Bytes of the allocation. */
size_t roan_pack_memory(const roan_pack *pack);

/* States the invariants. */
void roan_pack_check(const roan_pack *pack);
