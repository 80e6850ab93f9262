/* base/sort.c: sorting the first few of many: a heap holds the best ones so far, the worst of them on top. What is
 * not better than that one, nearly everything when few are wanted, costs one comparison. When many are wanted,
 * sorting all is as good.
 *
 * Numbers are sorted a byte at a time, the lowest first (radix sort), which compares nothing. Bytes that are the same
 * in all numbers, most of them usually, are left out.
 */
#include "base/sort.h"

#include "base/macros.h"

#include <stdlib.h>

#define HEAP_SHARE 4 /* a heap is used for less than that part of all */

typedef struct best_heap {
    char *items;
    size_t count, item_bytes;
    roan_compare_fn *compare;
    void *context;
} best_heap;

static void swap_items(char *a, char *b, size_t bytes)
{
    char kept[64];
    for (size_t done = 0; done < bytes; done += sizeof kept) {
        size_t part = ROAN_MIN(sizeof kept, bytes - done);
        memcpy(kept, a + done, part);
        memcpy(a + done, b + done, part);
        memcpy(b + done, kept, part);
    }
}

static char *item_at(const best_heap *heap, size_t index)
{
    return heap->items + index * heap->item_bytes;
}

static void sink(const best_heap *heap, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count)
            return;
        if (child + 1 < heap->count && heap->compare(item_at(heap, child + 1), item_at(heap, child), heap->context) > 0)
            child++;
        if (heap->compare(item_at(heap, at), item_at(heap, child), heap->context) >= 0)
            return;
        swap_items(item_at(heap, at), item_at(heap, child), heap->item_bytes);
        at = child;
    }
}

/* Moves the first of all items to the front, in any order. */
static void select_first(const best_heap *heap, size_t count)
{
    for (size_t i = heap->count / 2; i-- > 0;)
        sink(heap, i);
    for (size_t i = heap->count; i < count; i++) {
        if (heap->compare(item_at(heap, i), heap->items, heap->context) >= 0)
            continue;
        swap_items(item_at(heap, i), heap->items, heap->item_bytes);
        sink(heap, 0);
    }
}

void roan_sort_first(void *items, size_t count, size_t item_bytes, size_t wanted, roan_compare_fn *compare,
                     void *context)
{
    if (wanted == 0 || count == 0)
        return;
    if (wanted < count / HEAP_SHARE) {
        best_heap best = {items, wanted, item_bytes, compare, context};
        select_first(&best, count);
        count = wanted;
    }
    qsort_r(items, count, item_bytes, compare, context);
}

#define KEY_BYTES sizeof(uint64_t)
#define BYTE_VALUES 256u

static unsigned key_byte(uint64_t key, unsigned at)
{
    return (unsigned)(key >> 8 * at) & (BYTE_VALUES - 1);
}

/* Moves all keys to the target, in the order of that byte; counts become places. */
static void move_by_byte(const roan_sort_key *keys, roan_sort_key *target, size_t count, unsigned at, size_t *counts)
{
    size_t place = 0;
    for (unsigned value = 0; value < BYTE_VALUES; value++) {
        size_t here = counts[value];
        counts[value] = place;
        place += here;
    }
    for (size_t i = 0; i < count; i++)
        target[counts[key_byte(keys[i].key, at)]++] = keys[i];
}

void roan_sort_keys(roan_sort_key *keys, roan_sort_key *spare, size_t count)
{
    size_t counts[KEY_BYTES][BYTE_VALUES] = {{0}};
    roan_sort_key *from = keys, *to = spare;
    for (size_t i = 0; i < count; i++)
        for (unsigned at = 0; at < KEY_BYTES; at++)
            counts[at][key_byte(keys[i].key, at)]++;
    for (unsigned at = 0; at < KEY_BYTES && count > 0; at++) {
        if (counts[at][key_byte(keys[0].key, at)] == count)
            continue;
        move_by_byte(from, to, count, at, counts[at]);
        roan_sort_key *moved = to;
        to = from;
        from = moved;
    }
    if (from != keys)
        memcpy(keys, from, count * sizeof *keys);
}
