/* types/table_inside.h: what table.c and look-ups for one kind of item share: the words of a table.
 *
 *   slot word:  | tag 20 bits | item address / 8, 44 bits |       0: empty
 *
 * A tag holds 20 bits of the hash from bit `window` on. Since all items of a segment share its first `depth` bits and
 * window <= depth, the tag's last 20 - (depth - window) bits say where in the segment the item wants to be (its home).
 */
#pragma once

#include "base/macros.h"
#include "base/number.h"
#include "types/table.h"

#include <stdatomic.h>

#define TAG_BITS 20
#define ADDRESS_BITS (64 - TAG_BITS)
#define ADDRESS_MASK ((UINT64_C(1) << ADDRESS_BITS) - 1)
#define SLACK_SLOTS_MAX 8u
#define VIEW_DEPTH_SHIFT 48
#define VIEW_ADDRESS_MASK ((UINT64_C(1) << VIEW_DEPTH_SHIFT) - 1)

struct roan_segment {
    uint16_t capacity;
    uint16_t count;
    uint8_t depth;
    uint8_t window;
    uint16_t expiring;
    uint32_t *column; /* per slot: when something is due, see update_column; 0: never; NULL: for all slots */
    uint64_t slots[];
};

static ROAN_ALWAYS_INLINE uint64_t tag_of_hash(uint64_t hash, unsigned window)
{
    return (hash << window) >> (64 - TAG_BITS);
}

static ROAN_ALWAYS_INLINE uint64_t tag_of_word(uint64_t word)
{
    return word >> ADDRESS_BITS;
}

static ROAN_ALWAYS_INLINE void *item_of_word(uint64_t word)
{
    return (void *)(uintptr_t)((word & ADDRESS_MASK) << 3);
}

static ROAN_ALWAYS_INLINE uint64_t make_word(uint64_t tag, const void *item)
{
    return tag << ADDRESS_BITS | (uint64_t)(uintptr_t)item >> 3;
}

static ROAN_ALWAYS_INLINE unsigned home_of_tag(const roan_segment *segment, uint64_t tag)
{
    unsigned bits = TAG_BITS - (unsigned)(segment->depth - segment->window);
    unsigned slack = segment->capacity > 4 * SLACK_SLOTS_MAX ? SLACK_SLOTS_MAX : segment->capacity / 4;
    return (unsigned)(((tag & ((UINT64_C(1) << bits) - 1)) * (segment->capacity - slack)) >> bits);
}

typedef roan_segment *_Atomic *segment_directory;

static ROAN_ALWAYS_INLINE uint64_t load_view(const roan_table *table)
{
    return atomic_load_explicit(&table->view, memory_order_acquire);
}

static ROAN_ALWAYS_INLINE segment_directory directory_of_view(uint64_t view)
{
    return (segment_directory)(uintptr_t)(view & VIEW_ADDRESS_MASK);
}

static ROAN_ALWAYS_INLINE unsigned depth_of_view(uint64_t view)
{
    return (unsigned)(view >> VIEW_DEPTH_SHIFT);
}

static ROAN_ALWAYS_INLINE unsigned depth_of(const roan_table *table)
{
    return depth_of_view(load_view(table));
}

static ROAN_ALWAYS_INLINE roan_segment *segment_at(const roan_table *table, size_t slot)
{
    return atomic_load_explicit(&directory_of_view(load_view(table))[slot], memory_order_relaxed);
}

static ROAN_ALWAYS_INLINE size_t slot_in_view(uint64_t view, uint64_t hash)
{
    unsigned depth = depth_of_view(view);
    return depth == 0 ? 0 : (size_t)(hash >> (64 - depth));
}

static ROAN_ALWAYS_INLINE size_t directory_slot(const roan_table *table, uint64_t hash)
{
    return slot_in_view(load_view(table), hash);
}

static ROAN_ALWAYS_INLINE roan_segment *segment_of(const roan_table *table, uint64_t hash)
{
    uint64_t view = load_view(table);
    return atomic_load_explicit(&directory_of_view(view)[slot_in_view(view, hash)], memory_order_acquire);
}

/* roan_table_find() with the key function known to the compiler. */
static ROAN_ALWAYS_INLINE void *roan_table_find_with(const roan_table *table, uint64_t hash, roan_slice key,
                                                     roan_spot *spot, roan_slice (*key_of)(const void *item))
{
    roan_segment *segment = segment_of(table, hash);
    spot->segment = segment;
    spot->index = 0;
    if (segment == NULL)
        return NULL;
    uint64_t tag = tag_of_hash(hash, segment->window);
    unsigned index = home_of_tag(segment, tag);
    const uint64_t *slots = segment->slots;
    while (index < segment->capacity && slots[index] != 0 && tag_of_word(slots[index]) < tag)
        index++;
    for (; index < segment->capacity && slots[index] != 0 && tag_of_word(slots[index]) == tag; index++) {
        void *item = item_of_word(slots[index]);
        if (ROAN_LIKELY(roan_slice_equal(key_of(item), key))) {
            spot->index = index;
            return item;
        }
    }
    spot->index = index;
    return NULL;
}
