/* types/element.c: making, changing and freeing the items of tables of elements; see element.h for the bytes.
 *
 * Invariant 1: lengths are stored in the shortest form.
 * Invariant 2: the allocation is exactly as long as the parts, in the eyes of the arena.
 */
#include "types/element.h"

#include "base/alloc.h"

static unsigned length_form(size_t length)
{
    return length <= UINT8_MAX ? 0 : length <= UINT16_MAX ? 1 : 2;
}

static size_t bytes_of_parts(const roan_element_parts *parts)
{
    return 1 + ((size_t)1 << length_form(parts->key.bytes)) + parts->key.bytes +
           (parts->has_value ? ((size_t)1 << length_form(parts->value.bytes)) + parts->value.bytes : 0) +
           (parts->has_number ? sizeof(uint64_t) : 0);
}

static size_t bytes_of(const roan_element *element)
{
    roan_element_view view = roan_element_look(element);
    return (size_t)(view.value + view.value_bytes - (const char *)element);
}

static char *write_length(char *at, size_t length)
{
    if (length <= UINT8_MAX) {
        *at = (char)length;
        return at + 1;
    }
    if (length <= UINT16_MAX) {
        uint16_t short_length = (uint16_t)length;
        memcpy(at, &short_length, sizeof short_length);
        return at + sizeof short_length;
    }
    ROAN_ASSERT(length <= UINT32_MAX);
    uint32_t long_length = (uint32_t)length;
    memcpy(at, &long_length, sizeof long_length);
    return at + sizeof long_length;
}

static char *write_slice(char *at, roan_slice bytes)
{
    if (bytes.bytes > 0)
        memmove(at, bytes.data, bytes.bytes);
    return at + bytes.bytes;
}

/* Everything but the key's bytes, whose place is returned. */
static char *write_front(char *at, const roan_element_parts *parts, bool is_paged)
{
    *at++ = (char)((is_paged ? ROAN_ELEMENT_PAGED : 0) | (parts->has_number ? ROAN_ELEMENT_HAS_NUMBER : 0) |
                   (parts->has_value ? ROAN_ELEMENT_HAS_VALUE : 0) |
                   length_form(parts->key.bytes) << ROAN_ELEMENT_KEY_SHIFT |
                   (parts->has_value ? length_form(parts->value.bytes) : 0) << ROAN_ELEMENT_VALUE_SHIFT);
    at = write_length(at, parts->key.bytes);
    if (parts->has_value)
        at = write_length(at, parts->value.bytes);
    if (parts->has_number)
        memcpy(at, &parts->number, sizeof parts->number);
    return at + (parts->has_number ? sizeof parts->number : 0);
}

roan_element *roan_element_create(roan_table *table, const roan_element_parts *parts)
{
    bool is_paged;
    char *memory = roan_arena_alloc(roan_table_arena(table), bytes_of_parts(parts), &is_paged);
    char *at = write_slice(write_front(memory, parts, is_paged), parts->key);
    if (parts->has_value)
        write_slice(at, parts->value);
    return (roan_element *)(void *)memory;
}

void roan_element_free(roan_table *table, roan_element *element)
{
    roan_arena_release(table->arena, element, bytes_of(element), roan_element_flags(element) & ROAN_ELEMENT_PAGED);
}

/* The new parts take the same room in the arena or allocator. */
static bool fits_in_place(const roan_element *element, const roan_element_parts *parts)
{
    size_t before = bytes_of(element), after = bytes_of_parts(parts);
    bool is_paged = roan_element_flags(element) & ROAN_ELEMENT_PAGED;
    return before == after || ((before <= ROAN_ARENA_BYTES_MAX) == (after <= ROAN_ARENA_BYTES_MAX) &&
                               (before + 7) / 8 == (after + 7) / 8 &&
                               roan_arena_good_size(before, is_paged) == roan_arena_good_size(after, is_paged));
}

roan_element *roan_element_change(roan_table *table, roan_element *element, const roan_element_parts *parts)
{
    if (!fits_in_place(element, parts)) {
        roan_element *changed = roan_element_create(table, parts);
        roan_element_free(table, element);
        return changed;
    }
    /* The key may move within the element: last things first when it moves up, and the front only after the key is
     * safe. */
    char *start = (char *)element;
    size_t front = bytes_of_parts(parts) - parts->key.bytes - (parts->has_value ? parts->value.bytes : 0);
    bool is_paged = roan_element_flags(element) & ROAN_ELEMENT_PAGED;
    roan_element_parts moved = *parts;
    moved.key.data = start + front;
    memmove(start + front, parts->key.data, parts->key.bytes);
    write_front(start, &moved, is_paged);
    if (parts->has_value)
        write_slice(start + front + parts->key.bytes, parts->value);
    return element;
}

roan_element_parts roan_element_parts_of(const roan_element *element)
{
    roan_element_view view = roan_element_look(element);
    roan_element_parts parts = {.key = roan_slice_make(view.key, view.key_bytes),
                                .value = roan_slice_make(view.value, view.value_bytes),
                                .has_value = roan_element_flags(element) & ROAN_ELEMENT_HAS_VALUE,
                                .has_number = roan_element_has_number(element)};
    if (parts.has_number)
        parts.number = roan_element_number(element);
    return parts;
}

void roan_element_find_batch(const roan_table *table, const roan_slice *keys, size_t count, roan_element **ret_elements)
{
    uint64_t hashes[ROAN_ELEMENT_BATCH];
    roan_spot spot;
    ROAN_ASSERT(count <= ROAN_ELEMENT_BATCH);
    for (size_t i = 0; i < count; i++) {
        hashes[i] = roan_table_hash(table, keys[i]);
        roan_table_prefetch_segment(table, hashes[i]);
    }
    for (size_t i = 0; i < count; i++)
        roan_table_prefetch_slots(table, hashes[i]);
    for (size_t i = 0; i < count; i++)
        roan_table_prefetch_item(table, hashes[i]);
    for (size_t i = 0; i < count; i++)
        ret_elements[i] = roan_table_find_with(table, hashes[i], keys[i], &spot, roan_element_key_of_item);
}

size_t roan_element_memory(const roan_element *element)
{
    return roan_arena_good_size(bytes_of(element), roan_element_flags(element) & ROAN_ELEMENT_PAGED);
}

typedef struct weighing {
    size_t bytes, count;
} weighing;

static void weigh(void *item, void *context)
{
    weighing *sum = context;
    sum->bytes += roan_element_memory(item);
    sum->count++;
}

size_t roan_elements_memory(const roan_table *table, size_t samples)
{
    weighing sum = {0};
    ROAN_IGNORE(roan_table_scan(table, 0, samples == 0 ? SIZE_MAX : samples, weigh, &sum)); /* only a part is wanted */
    size_t bytes = sum.count == 0 ? 0 : (size_t)((double)sum.bytes / (double)sum.count * (double)table->count);
    return bytes + roan_table_overhead_bytes(table) + roan_arena_overhead_bytes(table->arena);
}

static void copy_element(void *item, void *context)
{
    roan_table *target = context;
    roan_element_parts parts = roan_element_parts_of(item);
    uint64_t hash;
    roan_spot spot;
    ROAN_ASSERT(roan_element_find(target, parts.key, &hash, &spot) == NULL);
    roan_element_insert(target, hash, &spot, &parts);
}

void roan_elements_copy(roan_table *target, const roan_table *source)
{
    roan_table_reserve(target, source->count);
    ROAN_IGNORE(roan_table_scan(source, 0, SIZE_MAX, copy_element, target)); /* always the end */
}

/* ---- what tables must know ---- */

static roan_slice item_key(const void *item)
{
    return roan_element_key(item);
}

static int64_t field_due_ms(const void *item, bool *ret_is_own)
{
    *ret_is_own = roan_element_has_number(item);
    return roan_element_expiry(item);
}

static bool field_is_expired(const void *item, int64_t now_ms)
{
    return roan_element_has_number(item) && roan_element_expiry(item) <= now_ms;
}

static void free_loose(void *item)
{
    if (!(roan_element_flags(item) & ROAN_ELEMENT_PAGED))
        roan_free(item, bytes_of(item));
}

const roan_table_ops roan_element_table_ops = {
    .key = item_key, .free_with_arena = free_loose, .check = roan_element_check};

const roan_table_ops roan_field_table_ops = {.key = item_key,
                                             .due_ms = field_due_ms,
                                             .is_expired = field_is_expired,
                                             .free_with_arena = free_loose,
                                             .check = roan_element_check};

void roan_element_check(const void *element)
{
    roan_element_view view = roan_element_look(element);
    unsigned flags = roan_element_flags(element);
    ROAN_ASSERT((flags >> ROAN_ELEMENT_KEY_SHIFT & 3) == length_form(view.key_bytes));
    ROAN_ASSERT((flags >> ROAN_ELEMENT_VALUE_SHIFT & 3) == length_form(view.value_bytes));
    ROAN_ASSERT(flags & ROAN_ELEMENT_HAS_VALUE || view.value_bytes == 0);
}
