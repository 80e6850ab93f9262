/* types/table.h: a hash table kept in the order of the hash: the keys of one stripe and database, the members of a
 * large set or sorted set, the fields of a large hash.
 *
 * Items lie in segments of at most 4 KiB, sorted by their hash, with gaps (linear probing with ordered insertion). A
 * directory indexed by the leading bits of the hash finds the segment. A full segment grows by one size class, the
 * largest splits in two on its next hash bit; nothing else moves, so growth has no pauses and costs about nine bytes an
 * item at any size.
 *
 * What follows from the order: a SCAN cursor is a position on the hash axis. An item's position never changes while it
 * lives, so a scan that sweeps the axis once returns everything that was there from start to end, whatever splits and
 * merges happen meanwhile.
 *
 * Expiry: a segment in which an item expires has a column of 32-bit times beside its slots, and the directory one of
 * earliest times. Active expiry compares small integers and touches only what is due; changing an expiry writes one
 * number; nothing has to be unlinked. Something inside of an item may be due as well (a field of a hash): the column
 * has the earlier of both times.
 *
 * An item is any memory whose address is a multiple of 8; what the table must know of it stands in roan_table_ops.
 */
#pragma once

#include "base/arena.h"
#include "base/hash.h"
#include "base/random.h"

typedef struct roan_segment roan_segment;

/* What a table must know of its items. */
typedef struct roan_table_ops {
    roan_slice (*key)(const void *item);
    /* When something is due: the item itself, which expires (*ret_is_own, which is false before the call), or
     * something inside of it, whichever is earlier; INT64_MAX: nothing. NULL: items never expire. */
    int64_t (*due_ms)(const void *item, bool *ret_is_own);
    /* The item itself has expired. */
    bool (*is_expired)(const void *item, int64_t now_ms);
    /* Frees what is not in the arena, which is freed as a whole afterwards. */
    void (*free_with_arena)(void *item);
    /* States the item's invariants. */
    void (*check)(const void *item);
} roan_table_ops;

/* What all tables of a kind share. */
typedef struct roan_table_context {
    const roan_table_ops *ops;
    roan_hash_secret secret;
    int64_t epoch_ms;              /* expiry columns count from here */
    /* Frees memory that other lanes may be looking at (see roan_table_prefetch_slots); NULL: free it at once. */
    void (*retire)(void *retire_context, void *memory, size_t bytes);
    void *retire_context;
    roan_page_pool *pages;         /* for items; NULL: from the allocator */
} roan_table_context;

typedef struct roan_table {
    _Atomic uint64_t view;         /* directory of 2^depth segments (low 48 bits) and depth, changed together */
    roan_segment *_Atomic single;  /* the directory while depth is 0 */
    uint32_t *soonest;             /* per directory slot, no later than the earliest expiry; NULL: nothing expires */
    const roan_table_context *context;
    roan_arena *arena;             /* memory of the items; NULL until there is one */
    uint64_t count;
    uint64_t expiring_count;       /* items that expire themselves */
    uint32_t deepest_count;        /* segments whose depth is the directory's */
    uint32_t inside_count;         /* items that do not, but have something inside that does */
} roan_table;

_Static_assert(sizeof(roan_table) <= ROAN_CACHE_LINE, "a table's front is one cache line");

/* Where a key is, or would be: valid until the table changes. */
typedef struct roan_spot {
    roan_segment *segment;
    uint32_t index;
} roan_spot;

void roan_table_init(roan_table *table, const roan_table_context *context);

static inline uint64_t roan_table_hash(const roan_table *table, roan_slice key)
{
    return roan_hash(&table->context->secret, key.data, key.bytes);
}

/* The arena that items of this table are made in; NULL while there are few. */
roan_arena *roan_table_arena(roan_table *table);

/* Frees everything, items included. The table is empty and usable again. */
void roan_table_clear(roan_table *table);

/* The contents of `from`, which is empty and usable again, become those of `to`, whose own are none: it needs no init. */
void roan_table_move(roan_table *to, roan_table *from);

/* Lays the table out for about so many items in all. Worth it before many are added in the order of the hash (those of
 * another table), which otherwise crowd the places that are there. What is too much stays unused, what is too little
 * grows. */
void roan_table_reserve(roan_table *table, uint64_t expected);

/* The item, or NULL with `spot` telling where it belongs. (table_inside.h has the same for a key function that the
 * compiler knows.) */
void *roan_table_find(const roan_table *table, uint64_t hash, roan_slice key, roan_spot *spot);

/* Adds an item that roan_table_find did not find; `spot` is what it returned and is updated. */
void roan_table_insert(roan_table *table, uint64_t hash, roan_spot *spot, void *item);

/* The item at a spot was replaced by another with the same key, or what is due in it changed. The old one is the
 * caller's. */
void roan_table_replace(roan_table *table, uint64_t hash, roan_spot *spot, void *item);

/* Takes the item out; it is the caller's. The spot is no longer valid. */
void *roan_table_remove(roan_table *table, uint64_t hash, roan_spot *spot);

/* Brings what a later find will touch closer to the processor, one step after the other: the segment's header, its
 * slots, the item. Each step reads what the one before has fetched, so leave time between them. The only functions
 * that may be called without holding the table's stripe: they read what others may be changing, follow only memory that
 * is retired and not freed under them, and their worst mistake is a useless prefetch. */
void roan_table_prefetch_segment(const roan_table *table, uint64_t hash);
void roan_table_prefetch_slots(const roan_table *table, uint64_t hash);
void roan_table_prefetch_item(const roan_table *table, uint64_t hash);

/* Visits items from position `from` on the hash axis until about `wanted` were visited or the end is reached. Returns
 * the position to go on from, or 0 at the end. The visitor must not change the table. Positions are multiples of
 * 2^(64 - ROAN_SCAN_BITS). */
#define ROAN_SCAN_BITS 48
typedef void (*roan_visit_fn)(void *item, void *context);
uint64_t roan_table_scan(const roan_table *table, uint64_t from, size_t wanted, roan_visit_fn visit, void *context);

/* A uniformly random item; NULL when empty. */
void *roan_table_random(const roan_table *table, roan_random *random);

/* Up to `wanted` items near a random position, for eviction; only expiring ones when asked. Returns how many. */
size_t roan_table_sample(const roan_table *table, roan_random *random, bool expiring_only, size_t wanted,
                         void **ret_items);

/* Times are kept in units of so much, rounded up: by themselves, items are found to have expired so much later at most. */
#define ROAN_TABLE_TIME_UNIT_SHIFT 7
#define ROAN_TABLE_TIME_UNIT_MS (1 << ROAN_TABLE_TIME_UNIT_SHIFT)

/* What roan_table_take_expired found. */
typedef struct roan_due {
    size_t max;             /* room in each of the arrays */
    int64_t slack_ms;       /* ROAN_TABLE_TIME_UNIT_MS: to the millisecond, which means to touch what is due soon; else 0 */
    void **taken;           /* expired and taken out; the caller's now */
    void **inside;          /* still there, but something inside is due: handle it and call roan_table_replace() */
    size_t taken_count, inside_count;
} roan_due;

/* Takes out items that expired by now_ms, in hash order beginning at directory slot *from_slot, until `due` is full.
 * *from_slot moves on; it is 0 again when the table was walked once. Only what is due is touched. */
void roan_table_take_expired(roan_table *table, int64_t now_ms, uint32_t *from_slot, roan_due *due);

/* Something in the table may have expired by now_ms: a quick look that may err towards yes. */
bool roan_table_may_have_expired(const roan_table *table, int64_t now_ms);

/* No later than the first thing in the table is due; INT64_MAX: nothing is. At most one column unit too early after
 * roan_table_take_expired has walked the table. */
int64_t roan_table_soonest_ms(const roan_table *table);

/* Bytes of segments, columns and directory. */
size_t roan_table_overhead_bytes(const roan_table *table);
size_t roan_table_slot_count(const roan_table *table);

/* Walks everything and states the invariants. */
void roan_table_check(const roan_table *table);
