/* types/intset.c: sorted arrays of integers.
 *
 *   | count u32 | width u32 (2, 4 or 8) | value 0 | value 1 | ...
 *
 * A value that needs more bits than the array has is smaller or larger than everything in it, so widening and adding
 * are one pass. The allocation grows and shrinks with the count; roan_realloc does nothing while the size class stays.
 *
 * Invariant 1: the values ascend strictly.
 * Invariant 2: width is 2, 4 or 8, and no value was ever added that did not fit.
 */
#include "types/intset.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <string.h>

struct roan_intset {
    uint32_t count;
    uint32_t width;
    char values[];
};

static size_t bytes_for(size_t count, size_t width)
{
    return sizeof(roan_intset) + ROAN_MAX(count, (size_t)1) * width;
}

static uint32_t width_of_value(int64_t value)
{
    if (value >= INT16_MIN && value <= INT16_MAX)
        return sizeof(int16_t);
    return value >= INT32_MIN && value <= INT32_MAX ? sizeof(int32_t) : sizeof(int64_t);
}

/* The array begins 8-byte aligned, so the elements are aligned to their width. */
static ROAN_ALWAYS_INLINE int64_t read_value(const roan_intset *set, size_t width, size_t index)
{
    const void *values = set->values;
    if (width == sizeof(int16_t))
        return ((const int16_t *)values)[index];
    return width == sizeof(int32_t) ? ((const int32_t *)values)[index] : ((const int64_t *)values)[index];
}

static ROAN_ALWAYS_INLINE void write_value(roan_intset *set, size_t index, int64_t value)
{
    void *values = set->values;
    if (set->width == sizeof(int16_t))
        ((int16_t *)values)[index] = (int16_t)value;
    else if (set->width == sizeof(int32_t))
        ((int32_t *)values)[index] = (int32_t)value;
    else
        ((int64_t *)values)[index] = value;
}

/* How many values are smaller: a search without unpredictable branches. */
static ROAN_ALWAYS_INLINE size_t search_width(const roan_intset *set, size_t width, int64_t value)
{
    size_t first = 0, count = set->count;
    while (count > 0) {
        size_t half = count / 2;
        bool is_right = read_value(set, width, first + half) < value;
        first = is_right ? first + half + 1 : first;
        count = is_right ? count - half - 1 : half;
    }
    return first;
}

static size_t search(const roan_intset *set, int64_t value)
{
    switch (set->width) {
    case sizeof(int16_t):
        return search_width(set, sizeof(int16_t), value);
    case sizeof(int32_t):
        return search_width(set, sizeof(int32_t), value);
    default:
        return search_width(set, sizeof(int64_t), value);
    }
}

static bool is_at(const roan_intset *set, size_t index, int64_t value)
{
    return index < set->count && read_value(set, set->width, index) == value;
}

roan_intset *roan_intset_create(void)
{
    roan_intset *set = roan_alloc(bytes_for(0, sizeof(int16_t)));
    *set = (roan_intset){.count = 0, .width = sizeof(int16_t)};
    return set;
}

roan_intset *roan_intset_free(roan_intset *set)
{
    if (set != NULL)
        roan_free(set, bytes_for(set->count, set->width));
    return NULL;
}

roan_intset *roan_intset_copy(const roan_intset *set)
{
    size_t bytes = bytes_for(set->count, set->width);
    roan_intset *copy = roan_alloc(bytes);
    memcpy(copy, set, sizeof *set + set->count * set->width);
    return copy;
}

size_t roan_intset_count(const roan_intset *set)
{
    return set->count;
}

bool roan_intset_contains(const roan_intset *set, int64_t value)
{
    return width_of_value(value) <= set->width && is_at(set, search(set, value), value);
}

int64_t roan_intset_at(const roan_intset *set, size_t index)
{
    ROAN_ASSERT(index < set->count);
    return read_value(set, set->width, index);
}

static roan_intset *resize(roan_intset *set, size_t count, uint32_t width)
{
    return roan_realloc(set, bytes_for(set->count, set->width), bytes_for(count, width));
}

/* Adds a value that is wider than all others, and therefore the first or the last. */
static roan_intset *add_wider(roan_intset *set, int64_t value)
{
    uint32_t count = set->count, old_width = set->width, width = width_of_value(value);
    size_t shift = value < 0 ? 1 : 0;
    set = resize(set, (size_t)count + 1, width);
    set->width = width;
    for (size_t i = count; i-- > 0;)
        write_value(set, i + shift, read_value(set, old_width, i));
    write_value(set, value < 0 ? 0 : count, value);
    set->count = count + 1;
    return set;
}

bool roan_intset_add(roan_intset **set, int64_t value)
{
    roan_intset *old = *set;
    ROAN_ASSERT(old->count < ROAN_INTSET_COUNT_MAX);
    if (width_of_value(value) > old->width) {
        *set = add_wider(old, value);
        return true;
    }
    size_t index = search(old, value), width = old->width;
    if (is_at(old, index, value))
        return false;
    roan_intset *grown = resize(old, (size_t)old->count + 1, old->width);
    char *place = grown->values + index * width;
    memmove(place + width, place, (grown->count - index) * width);
    write_value(grown, index, value);
    grown->count++;
    *set = grown;
    return true;
}

bool roan_intset_remove(roan_intset **set, int64_t value)
{
    roan_intset *old = *set;
    size_t width = old->width;
    if (width_of_value(value) > width)
        return false;
    size_t index = search(old, value);
    if (!is_at(old, index, value))
        return false;
    char *place = old->values + index * width;
    memmove(place, place + width, (old->count - index - 1) * width);
    roan_intset *shrunk = resize(old, (size_t)old->count - 1, old->width);
    shrunk->count--;
    *set = shrunk;
    return true;
}

size_t roan_intset_memory(const roan_intset *set)
{
    return roan_alloc_good_size(bytes_for(set->count, set->width));
}

void roan_intset_check(const roan_intset *set)
{
    ROAN_ASSERT(set->width == sizeof(int16_t) || set->width == sizeof(int32_t) || set->width == sizeof(int64_t));
    ROAN_ASSERT(set->count <= ROAN_INTSET_COUNT_MAX);
    for (size_t i = 1; i < set->count; i++)
        ROAN_ASSERT(read_value(set, set->width, i - 1) < read_value(set, set->width, i));
}
