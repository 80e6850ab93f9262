/* types/table.c: the hash-ordered segmented table; see table.h for the idea and table_inside.h for its words.
 *
 * Splits move a segment's depth on and leave the tags alone; every fourth split reads the keys again and refreshes the
 * window.
 *
 * Invariant 1: the occupied slots of a segment are sorted by tag.
 * Invariant 2: every slot between an item's home and its place is occupied.
 * Invariant 3: directory slots i with the same leading `depth` bits point to the same segment.
 * Invariant 4: the column, where there is one, matches what the items say is due; soonest is no later than any of them.
 *              All checked by roan_table_check().
 */
#include "types/table.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "types/table_inside.h"

#define WINDOW_LAG_MAX 4
#define DEPTH_MAX 40
#define SEGMENT_BYTES_MAX 4096u
#define NEVER UINT32_MAX
#define ARENA_ENTRIES_MIN 16 /* fewer are left to the allocator: an arena costs as much as they do */
#define COLUMN_UNIT_SHIFT ROAN_TABLE_TIME_UNIT_SHIFT
#define COLUMN_UNITS_MAX (UINT64_C(0x7fffffff) - 1)
#define COLUMN_INSIDE 1u

/* Allocation sizes a segment goes through: the allocator's own size classes, so nothing is lost to rounding. */
static const uint16_t segment_bytes[] = {64,   112,  192,  320,  512,  768,  1024, 1280,
                                         1536, 1792, 2048, 2560, 3072, 3584, 4096};

static unsigned capacity_of(size_t bytes)
{
    return (unsigned)((bytes - sizeof(roan_segment)) / sizeof(uint64_t));
}

static size_t bytes_of(const roan_segment *segment)
{
    return sizeof *segment + segment->capacity * sizeof(uint64_t);
}

#define SLOTS_MAX ((SEGMENT_BYTES_MAX - sizeof(roan_segment)) / sizeof(uint64_t))
#define SLOTS_DRAWN (SLOTS_MAX + 64) /* an odd distribution may need a few slots more than the largest class has */
#define RESERVED_MIN 16        /* tables laid out for fewer items gain nothing */
#define RESERVED_ITEMS 300u    /* in a segment of a table that is laid out: room for half as many again */
#define RESERVED_DEPTH_MAX 24u /* whatever is expected */
#define OVERSIZE_STEP 16u

static unsigned load_max(unsigned capacity)
{
    return ROAN_MIN(capacity - capacity / 16 - 1, (unsigned)SLOTS_MAX - 2);
}

/* The smallest capacity that holds `count` entries and leaves a sixth for growth. */
static unsigned roomy_capacity(unsigned count)
{
    for (size_t i = 0; i < ROAN_COUNT_OF(segment_bytes); i++)
        if (capacity_of(segment_bytes[i]) * 5 / 6 >= count + 1)
            return capacity_of(segment_bytes[i]);
    return capacity_of(SEGMENT_BYTES_MAX);
}

static unsigned next_capacity(unsigned capacity)
{
    for (size_t i = 0; i < ROAN_COUNT_OF(segment_bytes); i++)
        if (capacity_of(segment_bytes[i]) > capacity)
            return capacity_of(segment_bytes[i]);
    return 0;
}

static void publish_view(roan_table *table, segment_directory directory, unsigned depth)
{
    uint64_t view = (uint64_t)(uintptr_t)directory | (uint64_t)depth << VIEW_DEPTH_SHIFT;
    ROAN_ASSERT(((uint64_t)(uintptr_t)directory & ~VIEW_ADDRESS_MASK) == 0);
    atomic_store_explicit(&table->view, view, memory_order_release);
}

/* Frees what a prefetch on another lane may be reading. */
static void retire(const roan_table *table, void *memory, size_t bytes)
{
    if (table->context->retire != NULL)
        table->context->retire(table->context->retire_context, memory, bytes);
    else
        roan_free(memory, bytes);
}

static uint64_t hash_of_item(const roan_table *table, const void *item)
{
    return roan_table_hash(table, table->context->ops->key(item));
}

static roan_segment *segment_create(unsigned capacity, unsigned depth, unsigned window, bool with_column)
{
    roan_segment *segment = roan_alloc_zero(sizeof *segment + capacity * sizeof(uint64_t));
    segment->capacity = (uint16_t)capacity;
    segment->depth = (uint8_t)depth;
    segment->window = (uint8_t)window;
    if (with_column)
        segment->column = roan_alloc_zero(capacity * sizeof *segment->column);
    return segment;
}

static void segment_free(const roan_table *table, roan_segment *segment)
{
    roan_free(segment->column, segment->capacity * sizeof *segment->column);
    retire(table, segment, bytes_of(segment));
}

/* ---- expiry columns ---- */

/* Times count in units from the context's epoch, above a bit that says that only something inside of the item is
 * due. */
static uint32_t column_of_time(const roan_table *table, int64_t when_ms, bool is_own)
{
    int64_t since = 0;
    if (__builtin_sub_overflow(when_ms, table->context->epoch_ms, &since))
        since = when_ms < 0 ? 0 : INT64_MAX;
    uint64_t units = since <= 0 ? 1 : ROAN_MIN(((uint64_t)since >> COLUMN_UNIT_SHIFT) + 1, COLUMN_UNITS_MAX);
    return (uint32_t)units << 1 | !is_own;
}

static uint32_t column_time(const roan_table *table, const void *item)
{
    bool is_own = false;
    if (table->context->ops->due_ms == NULL)
        return 0;
    int64_t when_ms = table->context->ops->due_ms(item, &is_own);
    return when_ms == INT64_MAX && !is_own ? 0 : column_of_time(table, when_ms, is_own);
}

/* Everything with a time up to this is due. */
static uint32_t due_time(const roan_table *table, int64_t now_ms)
{
    int64_t since = ROAN_MAX(now_ms - table->context->epoch_ms, 0);
    return (uint32_t)ROAN_MIN(ROAN_MAX((uint64_t)since >> COLUMN_UNIT_SHIFT, 1), COLUMN_UNITS_MAX) << 1 | COLUMN_INSIDE;
}

static void note_soonest(roan_table *table, uint64_t hash, uint32_t time)
{
    size_t slots = (size_t)1 << depth_of(table);
    if (table->soonest == NULL) {
        table->soonest = roan_alloc(slots * sizeof *table->soonest);
        memset(table->soonest, 0xff, slots * sizeof *table->soonest);
    }
    uint32_t *soonest = &table->soonest[directory_slot(table, hash)];
    *soonest = ROAN_MIN(*soonest, time);
}

/* Counts a column's time in (1) or out (-1). */
static void count_column(roan_table *table, roan_segment *segment, uint32_t time, int change)
{
    if (time == 0)
        return;
    segment->expiring = (uint16_t)(segment->expiring + change);
    if (time & COLUMN_INSIDE)
        table->inside_count += (uint32_t)change;
    else
        table->expiring_count += (uint64_t)(int64_t)change;
}

static void drop_column_if_unused(roan_segment *segment)
{
    if (segment->expiring != 0)
        return;
    roan_free(segment->column, segment->capacity * sizeof *segment->column);
    segment->column = NULL;
}

/* Writes the column for the slot from its item. */
static void update_column(roan_table *table, uint64_t hash, roan_segment *segment, unsigned index, const void *item)
{
    uint32_t time = column_time(table, item);
    uint32_t before = segment->column == NULL ? 0 : segment->column[index];
    if (time == before)
        return;
    if (segment->column == NULL)
        segment->column = roan_alloc_zero(segment->capacity * sizeof *segment->column);
    segment->column[index] = time;
    count_column(table, segment, before, -1);
    count_column(table, segment, time, 1);
    if (time != 0)
        note_soonest(table, hash, time);
    drop_column_if_unused(segment);
}

/* ---- slots of one segment ---- */

/* Appends items in tag order; used to fill a fresh segment. *place is the first slot not yet used. */
static void append_sorted(roan_segment *segment, unsigned *place, uint64_t word, uint32_t time)
{
    unsigned at = ROAN_MAX(home_of_tag(segment, tag_of_word(word)), *place);
    ROAN_ASSERT(at < segment->capacity);
    segment->slots[at] = word;
    if (time != 0) {
        segment->column[at] = time;
        segment->expiring++;
    }
    segment->count++;
    *place = at + 1;
}

/* The last slots could overflow when filled in order: tells whether words[0..count) fit. */
static bool fits_sorted(const roan_segment *shape, const uint64_t *words, unsigned count)
{
    unsigned place = 0;
    for (unsigned i = 0; i < count; i++)
        place = ROAN_MAX(home_of_tag(shape, tag_of_word(words[i])), place) + 1;
    return place <= shape->capacity;
}

/* A segment of at least `capacity` slots with these words, which are sorted. */
static roan_segment *segment_build(unsigned capacity, unsigned depth, unsigned window, const uint64_t *words,
                                   const uint32_t *times, unsigned count)
{
    bool with_column = false;
    for (unsigned i = 0; times != NULL && i < count && !with_column; i++)
        with_column = times[i] != 0;
    roan_segment shape = {.capacity = (uint16_t)capacity, .depth = (uint8_t)depth, .window = (uint8_t)window};
    while (!fits_sorted(&shape, words, count)) {
        unsigned larger = next_capacity(shape.capacity);
        shape.capacity = (uint16_t)(larger != 0 ? larger : shape.capacity + OVERSIZE_STEP);
    }
    roan_segment *segment = segment_create(shape.capacity, depth, window, with_column);
    unsigned place = 0;
    for (unsigned i = 0; i < count; i++)
        append_sorted(segment, &place, words[i], times == NULL ? 0 : times[i]);
    return segment;
}

/* The occupied slots in order. */
static unsigned collect(const roan_segment *segment, uint64_t *words, uint32_t *times)
{
    unsigned count = 0;
    for (unsigned i = 0; i < segment->capacity; i++) {
        if (segment->slots[i] == 0)
            continue;
        words[count] = segment->slots[i];
        times[count++] = segment->column == NULL ? 0 : segment->column[i];
    }
    ROAN_ASSERT(count == segment->count);
    return count;
}

/* ---- directory ---- */

static uint32_t *soonest_resize(const roan_table *table, unsigned old_depth, unsigned depth)
{
    size_t after = (size_t)1 << depth;
    if (table->soonest == NULL)
        return NULL;
    uint32_t *soonest = roan_alloc(after * sizeof *soonest);
    for (size_t i = 0; i < after; i++) {
        if (depth >= old_depth) {
            soonest[i] = table->soonest[i >> (depth - old_depth)];
            continue;
        }
        unsigned shift = old_depth - depth;
        soonest[i] = NEVER;
        for (size_t j = 0; j < (size_t)1 << shift; j++)
            soonest[i] = ROAN_MIN(soonest[i], table->soonest[(i << shift) + j]);
    }
    roan_free(table->soonest, sizeof *soonest << old_depth);
    return soonest;
}

static void directory_resize(roan_table *table, unsigned depth)
{
    unsigned old_depth = depth_of(table);
    segment_directory old = directory_of_view(load_view(table)), directory = &table->single;
    table->soonest = soonest_resize(table, old_depth, depth);
    if (depth == 0) {
        atomic_store_explicit(&table->single, old[0], memory_order_relaxed);
    } else {
        directory = roan_alloc(sizeof *directory << depth);
        for (size_t i = 0; i < (size_t)1 << depth; i++)
            atomic_init(&directory[i], old[depth > old_depth ? i >> (depth - old_depth) : i << (old_depth - depth)]);
    }
    publish_view(table, directory, depth);
    if (old_depth > 0)
        retire(table, old, sizeof *old << old_depth);
}

/* Points the directory slots of a segment's range at it. */
static void directory_point(roan_table *table, uint64_t hash, roan_segment *segment)
{
    size_t width = (size_t)1 << (depth_of(table) - segment->depth);
    size_t first = directory_slot(table, hash) & ~(width - 1);
    segment_directory directory = directory_of_view(load_view(table));
    for (size_t i = first; i < first + width; i++)
        atomic_store_explicit(&directory[i], segment, memory_order_release);
}

/* Every directory slot of the range learns the range's earliest time, so that the range may be cut anywhere. */
static void directory_spread_soonest(roan_table *table, uint64_t hash, unsigned depth)
{
    if (table->soonest == NULL)
        return;
    size_t width = (size_t)1 << (depth_of(table) - depth);
    size_t first = directory_slot(table, hash) & ~(width - 1);
    uint32_t soonest = NEVER;
    for (size_t i = first; i < first + width; i++)
        soonest = ROAN_MIN(soonest, table->soonest[i]);
    for (size_t i = first; i < first + width; i++)
        table->soonest[i] = soonest;
}

/* ---- growing and shrinking ---- */

static void rebuild(roan_table *table, uint64_t hash, roan_segment *segment, unsigned capacity)
{
    uint64_t words[SLOTS_MAX];
    uint32_t times[SLOTS_MAX];
    unsigned count = collect(segment, words, times);
    roan_segment *fresh = segment_build(capacity, segment->depth, segment->window, words, times, count);
    directory_point(table, hash, fresh);
    segment_free(table, segment);
}

/* Tags from the keys themselves with the window at `window`. Order does not change: it is the order of the hash as far
 * as it was known, so equal old tags may need sorting (insertion sort: they are few). */
static void refresh_tags(const roan_table *table, uint64_t *words, uint32_t *times, unsigned count, unsigned window)
{
    for (unsigned i = 0; i < count; i++)
        ROAN_PREFETCH(item_of_word(words[i]));
    for (unsigned i = 0; i < count; i++) {
        void *item = item_of_word(words[i]);
        uint64_t word = make_word(tag_of_hash(hash_of_item(table, item), window), item);
        uint32_t time = times[i];
        unsigned at = i;
        for (; at > 0 && tag_of_word(words[at - 1]) > tag_of_word(word); at--) {
            words[at] = words[at - 1];
            times[at] = times[at - 1];
        }
        words[at] = word;
        times[at] = time;
    }
}

static void split(roan_table *table, uint64_t hash, roan_segment *segment)
{
    uint64_t words[SLOTS_MAX];
    uint32_t times[SLOTS_MAX];
    unsigned count = collect(segment, words, times);
    unsigned depth = segment->depth + 1u, window = segment->window;
    ROAN_ASSERT(depth <= DEPTH_MAX);
    /* Where the new bit turns from 0 to 1, by the old tags. */
    uint64_t bit = UINT64_C(1) << (TAG_BITS - 1 - (segment->depth - window));
    unsigned middle = 0;
    while (middle < count && !(tag_of_word(words[middle]) & bit))
        middle++;
    if (depth - window > WINDOW_LAG_MAX) {
        window = depth;
        refresh_tags(table, words, times, middle, window);
        refresh_tags(table, words + middle, times + middle, count - middle, window);
    }
    if (segment->depth == depth_of(table)) {
        directory_resize(table, depth);
        table->deepest_count = 0;
    }
    directory_spread_soonest(table, hash, segment->depth);
    uint64_t low_hash = segment->depth == 0 ? 0 : hash >> (64 - segment->depth) << (64 - segment->depth);
    uint64_t high_hash = low_hash | UINT64_C(1) << (64 - depth);
    roan_segment *low = segment_build(roomy_capacity(middle), depth, window, words, times, middle);
    roan_segment *high =
        segment_build(roomy_capacity(count - middle), depth, window, words + middle, times + middle, count - middle);
    directory_point(table, low_hash, low);
    directory_point(table, high_hash, high);
    if (depth == depth_of(table))
        table->deepest_count += 2;
    segment_free(table, segment);
}

/* The segment had no room: makes some. */
static void make_room(roan_table *table, uint64_t hash, roan_segment *segment)
{
    unsigned capacity = next_capacity(segment->capacity);
    if (capacity != 0)
        rebuild(table, hash, segment, capacity);
    else
        split(table, hash, segment);
}

static void directory_shrink(roan_table *table)
{
    while (depth_of(table) > 0 && table->deepest_count == 0) {
        directory_resize(table, depth_of(table) - 1u);
        for (size_t i = 0; i < (size_t)1 << depth_of(table); i++)
            table->deepest_count += segment_at(table, i)->depth == depth_of(table);
    }
}

/* Joins the segment with its other half where both are small. */
static bool merge(roan_table *table, uint64_t hash, roan_segment *segment)
{
    if (segment->depth == 0)
        return false;
    uint64_t bit = UINT64_C(1) << (64 - segment->depth);
    roan_segment *low = segment_of(table, hash & ~bit), *high = segment_of(table, hash | bit);
    if (low->depth != high->depth || low->count + high->count > SLOTS_MAX / 3)
        return false;
    uint64_t words[SLOTS_MAX];
    uint32_t times[SLOTS_MAX];
    unsigned count = collect(low, words, times);
    count += collect(high, words + count, times + count);
    unsigned depth = segment->depth - 1u, window = ROAN_MIN(low->window, high->window);
    if (low->window != high->window || window > depth) {
        window = depth;
        refresh_tags(table, words, times, count, window);
    }
    if (segment->depth == depth_of(table))
        table->deepest_count -= 2;
    directory_spread_soonest(table, hash, depth);
    roan_segment *joined = segment_build(roomy_capacity(count), depth, window, words, times, count);
    directory_point(table, hash, joined);
    segment_free(table, low);
    segment_free(table, high);
    directory_shrink(table);
    return true;
}

static void give_room_back(roan_table *table, uint64_t hash, roan_segment *segment)
{
    if (merge(table, hash, segment))
        return;
    unsigned capacity = roomy_capacity(segment->count);
    if (capacity < segment->capacity)
        rebuild(table, hash, segment, capacity);
}

/* ---- public ---- */

void roan_table_init(roan_table *table, const roan_table_context *context)
{
    *table = (roan_table){.context = context};
    publish_view(table, &table->single, 0);
}

void roan_table_move(roan_table *to, roan_table *from)
{
    memcpy(to, from, sizeof *to);
    if (depth_of(from) == 0)
        publish_view(to, &to->single, 0);
    roan_table_init(from, to->context);
}

roan_arena *roan_table_arena(roan_table *table)
{
    if (ROAN_UNLIKELY(table->arena == NULL) && table->count >= ARENA_ENTRIES_MIN)
        table->arena = roan_arena_create(table->context->pages);
    return table->arena;
}

/* Frees segments and directory; the items are somebody else's. */
static void drop_segments(roan_table *table)
{
    for (size_t i = 0; i < (size_t)1 << depth_of(table) && segment_at(table, i) != NULL;) {
        roan_segment *segment = segment_at(table, i);
        i += (size_t)1 << (depth_of(table) - segment->depth);
        segment_free(table, segment);
    }
    unsigned depth = depth_of(table);
    segment_directory directory = directory_of_view(load_view(table));
    roan_free(table->soonest, sizeof *table->soonest << depth);
    atomic_store_explicit(&table->single, NULL, memory_order_relaxed);
    publish_view(table, &table->single, 0);
    table->soonest = NULL;
    table->count = table->expiring_count = 0;
    table->deepest_count = table->inside_count = 0;
    if (depth > 0)
        retire(table, directory, sizeof *directory << depth);
}

/* Empty segments for so many items. */
static void lay_out(roan_table *table, uint64_t expected)
{
    unsigned depth = 0;
    while (expected >> depth > RESERVED_ITEMS && depth < RESERVED_DEPTH_MAX)
        depth++;
    unsigned capacity = roomy_capacity((unsigned)ROAN_MIN(expected >> depth, SLOTS_MAX));
    segment_directory directory = depth == 0 ? &table->single : roan_alloc(sizeof *directory << depth);
    for (size_t i = 0; i < (size_t)1 << depth; i++)
        atomic_init(&directory[i], segment_create(capacity, depth, depth, false));
    publish_view(table, directory, depth);
    table->deepest_count = 1u << depth;
}

typedef struct item_list {
    void **items;
    size_t count;
} item_list;

static void list_item(void *item, void *context)
{
    item_list *list = context;
    list->items[list->count++] = item;
}

void roan_table_reserve(roan_table *table, uint64_t expected)
{
    if (expected < RESERVED_MIN || expected <= table->count)
        return;
    size_t count = table->count;
    item_list list = {.items = roan_alloc((count + 1) * sizeof *list.items)};
    roan_table_scan(table, 0, SIZE_MAX, list_item, &list);
    drop_segments(table);
    lay_out(table, expected);
    for (size_t i = 0; i < count; i++) {
        roan_spot spot;
        uint64_t hash = hash_of_item(table, list.items[i]);
        roan_table_find(table, hash, table->context->ops->key(list.items[i]), &spot);
        roan_table_insert(table, hash, &spot, list.items[i]);
    }
    roan_free(list.items, (count + 1) * sizeof *list.items);
}

#define FREED_AHEAD 8

/* Frees the items of one segment; those a few slots ahead are fetched meanwhile. */
static void free_items(const roan_table *table, const roan_segment *segment)
{
    for (unsigned i = 0; i < segment->capacity; i++) {
        if (i + FREED_AHEAD < segment->capacity)
            ROAN_PREFETCH(item_of_word(segment->slots[i + FREED_AHEAD]));
        if (segment->slots[i] != 0)
            table->context->ops->free_with_arena(item_of_word(segment->slots[i]));
    }
}

void roan_table_clear(roan_table *table)
{
    for (size_t i = 0; i < (size_t)1 << depth_of(table) && segment_at(table, i) != NULL;) {
        const roan_segment *segment = segment_at(table, i);
        i += (size_t)1 << (depth_of(table) - segment->depth);
        free_items(table, segment);
    }
    drop_segments(table);
    roan_arena_free(table->arena);
    table->arena = NULL;
}

void *roan_table_find(const roan_table *table, uint64_t hash, roan_slice key, roan_spot *spot)
{
    return roan_table_find_with(table, hash, key, spot, table->context->ops->key);
}

/* Opens a gap at `index` by moving the run behind it one to the right; false when the segment has no slot for it. */
static bool open_gap(roan_segment *segment, unsigned index)
{
    if (index >= segment->capacity || segment->count >= load_max(segment->capacity))
        return false;
    unsigned gap = index;
    while (gap < segment->capacity && segment->slots[gap] != 0)
        gap++;
    if (gap == segment->capacity)
        return false;
    memmove(segment->slots + index + 1, segment->slots + index, (gap - index) * sizeof *segment->slots);
    if (segment->column != NULL) {
        memmove(segment->column + index + 1, segment->column + index, (gap - index) * sizeof *segment->column);
        segment->column[index] = 0;
    }
    return true;
}

void roan_table_insert(roan_table *table, uint64_t hash, roan_spot *spot, void *item)
{
    ROAN_ASSERT(((uintptr_t)item & 7) == 0 && (uintptr_t)item >> 3 <= ADDRESS_MASK);
    if (spot->segment == NULL) {
        ROAN_ASSERT(depth_of(table) == 0 && table->count == 0);
        atomic_store_explicit(&table->single, segment_create(capacity_of(segment_bytes[0]), 0, 0, false),
                              memory_order_release);
        table->deepest_count = 1;
        roan_table_find(table, hash, table->context->ops->key(item), spot);
    }
    while (!open_gap(spot->segment, spot->index)) {
        make_room(table, hash, spot->segment);
        ROAN_ASSERT(roan_table_find(table, hash, table->context->ops->key(item), spot) == NULL);
    }
    roan_segment *segment = spot->segment;
    segment->slots[spot->index] = make_word(tag_of_hash(hash, segment->window), item);
    segment->count++;
    table->count++;
    update_column(table, hash, segment, spot->index, item);
}

void roan_table_replace(roan_table *table, uint64_t hash, roan_spot *spot, void *item)
{
    roan_segment *segment = spot->segment;
    ROAN_ASSERT(segment->slots[spot->index] != 0);
    segment->slots[spot->index] = make_word(tag_of_word(segment->slots[spot->index]), item);
    update_column(table, hash, segment, spot->index, item);
}

/* Closes the gap at `index`: everything behind it that is not at home moves one to the left. */
static void close_gap(roan_table *table, roan_segment *segment, unsigned index)
{
    if (segment->column != NULL)
        count_column(table, segment, segment->column[index], -1);
    unsigned end = index + 1;
    while (end < segment->capacity && segment->slots[end] != 0 &&
           home_of_tag(segment, tag_of_word(segment->slots[end])) < end)
        end++;
    memmove(segment->slots + index, segment->slots + index + 1, (end - index - 1) * sizeof *segment->slots);
    segment->slots[end - 1] = 0;
    if (segment->column != NULL) {
        memmove(segment->column + index, segment->column + index + 1, (end - index - 1) * sizeof *segment->column);
        segment->column[end - 1] = 0;
        drop_column_if_unused(segment);
    }
    segment->count--;
    table->count--;
}

void *roan_table_remove(roan_table *table, uint64_t hash, roan_spot *spot)
{
    roan_segment *segment = spot->segment;
    void *item = item_of_word(segment->slots[spot->index]);
    close_gap(table, segment, spot->index);
    if (table->count == 0)
        drop_segments(table);
    else if (segment->count < segment->capacity / 4)
        give_room_back(table, hash, segment);
    *spot = (roan_spot){0};
    return item;
}

/* These three race with the holder of the stripe, knowingly: see table.h. */
#define RACES_KNOWINGLY __attribute__((no_sanitize("thread")))

RACES_KNOWINGLY void roan_table_prefetch_segment(const roan_table *table, uint64_t hash)
{
    ROAN_PREFETCH(segment_of(table, hash));
}

RACES_KNOWINGLY void roan_table_prefetch_slots(const roan_table *table, uint64_t hash)
{
    const roan_segment *segment = segment_of(table, hash);
    if (segment != NULL)
        ROAN_PREFETCH(&segment->slots[home_of_tag(segment, tag_of_hash(hash, segment->window))]);
}

RACES_KNOWINGLY void roan_table_prefetch_item(const roan_table *table, uint64_t hash)
{
    const roan_segment *segment = segment_of(table, hash);
    if (segment == NULL)
        return;
    uint64_t tag = tag_of_hash(hash, segment->window), word = 0;
    for (unsigned index = home_of_tag(segment, tag); index < segment->capacity; index++) {
        word = *(const volatile uint64_t *)&segment->slots[index];
        if (word == 0 || tag_of_word(word) >= tag)
            break;
    }
    if (word == 0 || tag_of_word(word) != tag)
        return;
    const char *item = item_of_word(word);
    ROAN_PREFETCH(item);
    ROAN_PREFETCH(item + ROAN_CACHE_LINE);
}

/* Where on the hash axis a tag of a segment begins. */
static uint64_t position_of_tag(const roan_segment *segment, uint64_t from, uint64_t tag)
{
    uint64_t prefix = segment->window == 0 ? 0 : from >> (64 - segment->window) << (64 - segment->window);
    return prefix | tag << (64 - TAG_BITS) >> segment->window;
}

#define SCAN_ROUND (~(UINT64_MAX >> ROAN_SCAN_BITS))

/* The part of a scan that lies in one segment. Returns the position behind it, or where to go on in it. */
static uint64_t scan_segment(const roan_segment *segment, uint64_t from, size_t wanted, size_t *visited,
                             roan_visit_fn visit, void *context)
{
    uint64_t start = tag_of_hash(from, segment->window);
    unsigned index = home_of_tag(segment, start);
    uint64_t last_position = UINT64_MAX;
    for (; index < segment->capacity; index++) {
        uint64_t word = segment->slots[index];
        if (word == 0 || tag_of_word(word) < start)
            continue;
        uint64_t position = position_of_tag(segment, from, tag_of_word(word)) & SCAN_ROUND;
        if (*visited >= wanted && position != last_position && position > from)
            return position; /* never between items that a cursor cannot tell apart */
        last_position = position;
        visit(item_of_word(word), context);
        ++*visited;
    }
    uint64_t width = segment->depth == 0 ? 0 : UINT64_C(1) << (64 - segment->depth);
    return segment->depth == 0 ? 0 : (from & ~(width - 1)) + width;
}

uint64_t roan_table_scan(const roan_table *table, uint64_t from, size_t wanted, roan_visit_fn visit, void *context)
{
    size_t visited = 0;
    do {
        const roan_segment *segment = segment_of(table, from);
        if (segment == NULL)
            return 0;
        from = scan_segment(segment, from, wanted, &visited, visit, context);
    } while (from != 0 && visited < wanted);
    return from;
}

#define DRAWS_MAX 512 /* a balanced directory needs about three */

/* The item with that many before it in the order of the hash. */
static void *item_by_rank(const roan_table *table, uint64_t rank)
{
    size_t at = 0;
    for (; rank >= segment_at(table, at)->count; at += (size_t)1 << (depth_of(table) - segment_at(table, at)->depth))
        rank -= segment_at(table, at)->count;
    const roan_segment *segment = segment_at(table, at);
    unsigned index = 0;
    while (segment->slots[index] == 0 || rank-- > 0)
        index++;
    return item_of_word(segment->slots[index]);
}

void *roan_table_random(const roan_table *table, roan_random *random)
{
    if (table->count == 0)
        return NULL;
    unsigned slots = depth_of(table) == 0 ? table->single->capacity : (unsigned)SLOTS_DRAWN;
    for (unsigned draws = 0; draws < DRAWS_MAX; draws++) {
        size_t at = (size_t)roan_random_below(random, UINT64_C(1) << depth_of(table));
        const roan_segment *segment = segment_at(table, at);
        size_t width = (size_t)1 << (depth_of(table) - segment->depth);
        unsigned index = (unsigned)roan_random_below(random, slots);
        if (at % width == 0 && index < segment->capacity && segment->slots[index] != 0)
            return item_of_word(segment->slots[index]);
    }
    return item_by_rank(table,
                        roan_random_below(random, table->count)); /* a lopsided directory: keys that do not hash well */
}

#define SAMPLE_SEGMENTS_MAX 8

static bool may_sample(const roan_segment *segment, unsigned index, bool expiring_only)
{
    return segment->slots[index] != 0 &&
           (!expiring_only || (segment->column[index] != 0 && !(segment->column[index] & COLUMN_INSIDE)));
}

size_t roan_table_sample(const roan_table *table, roan_random *random, bool expiring_only, size_t wanted,
                         void **ret_items)
{
    size_t found = 0;
    if (table->count == 0 || (expiring_only && table->expiring_count == 0))
        return 0;
    size_t directory_slots = (size_t)1 << depth_of(table);
    size_t at = (size_t)roan_random_below(random, directory_slots);
    for (size_t tries = 0; found < wanted && tries < directory_slots; at = (at + 1) % directory_slots, tries++) {
        const roan_segment *segment = segment_at(table, at);
        if (expiring_only && segment->expiring == 0)
            continue;
        unsigned index = (unsigned)roan_random_below(random, segment->capacity);
        for (unsigned i = 0; i < segment->capacity && found < wanted; i++, index++) {
            index = index >= segment->capacity ? 0 : index;
            if (may_sample(segment, index, expiring_only))
                ret_items[found++] = item_of_word(segment->slots[index]);
        }
    }
    return found;
}

bool roan_table_may_have_expired(const roan_table *table, int64_t now_ms)
{
    if (table->soonest == NULL || table->expiring_count + table->inside_count == 0)
        return false;
    uint32_t due = due_time(table, now_ms);
    for (size_t i = 0; i < (size_t)1 << depth_of(table); i++)
        if (table->soonest[i] <= due)
            return true;
    return false;
}

int64_t roan_table_soonest_ms(const roan_table *table)
{
    uint32_t soonest = NEVER;
    if (table->soonest == NULL || table->expiring_count + table->inside_count == 0)
        return INT64_MAX;
    for (size_t i = 0; i < (size_t)1 << depth_of(table); i++)
        soonest = ROAN_MIN(soonest, table->soonest[i]);
    /* The first unit holds everything before the epoch as well; a directory that says never is wrong. */
    ROAN_ASSERT(soonest != NEVER);
    uint64_t units = soonest >> 1;
    return units <= 1 ? 0 : table->context->epoch_ms + (int64_t)((units - 1) << COLUMN_UNIT_SHIFT);
}

/* Handles the due items of one segment; *ret_soonest is the earliest time that remains. True: `due` was full. */
static bool take_from_segment(roan_table *table, roan_segment *segment, uint32_t limit, int64_t now_ms, roan_due *due,
                              uint32_t *ret_soonest)
{
    const roan_table_ops *ops = table->context->ops;
    bool is_full = false, is_own;
    uint32_t soonest = NEVER;
    for (unsigned index = 0; index < segment->capacity && segment->column != NULL;) {
        uint32_t time = segment->column[index];
        bool is_due = time != 0 && time <= limit;
        bool has_room = due->taken_count < due->max && due->inside_count < due->max;
        void *item = item_of_word(segment->slots[index]);
        is_full = is_full || (is_due && !has_room);
        if (is_due && has_room && ops->is_expired(item, now_ms)) {
            due->taken[due->taken_count++] = item;
            close_gap(table, segment, index); /* the next one, if it moved, is at `index` now */
            continue;
        }
        if (is_due && has_room && ops->due_ms(item, &is_own) <= now_ms)
            due->inside[due->inside_count++] = item;
        soonest = time == 0 ? soonest : ROAN_MIN(soonest, time);
        index++;
    }
    *ret_soonest = soonest;
    return is_full;
}

void roan_table_take_expired(roan_table *table, int64_t now_ms, uint32_t *from_slot, roan_due *due)
{
    bool is_full = false;
    uint32_t limit = due_time(table, now_ms + due->slack_ms);
    size_t at = *from_slot;
    due->taken_count = due->inside_count = 0;
    while (!is_full && table->expiring_count + table->inside_count > 0 && at < (size_t)1 << depth_of(table)) {
        if (table->soonest[at] > limit) {
            at++;
            continue;
        }
        roan_segment *segment = segment_at(table, at);
        size_t width = (size_t)1 << (depth_of(table) - segment->depth), first = at & ~(width - 1);
        size_t taken_before = due->taken_count;
        uint32_t soonest;
        is_full = take_from_segment(table, segment, limit, now_ms, due, &soonest);
        for (size_t i = first; i < first + width; i++)
            table->soonest[i] = soonest;
        if (due->taken_count > taken_before && table->count > 0 && segment->count < segment->capacity / 4) {
            uint64_t hash = depth_of(table) == 0 ? 0 : (uint64_t)first << (64 - depth_of(table));
            unsigned depth = depth_of(table);
            give_room_back(table, hash, segment);
            if (depth_of(table) != depth) /* the directory shrank: walk on from the same place on the hash axis */
                first = depth_of(table) == 0 ? 0 : (size_t)(hash >> (64 - depth_of(table)));
            at = first + 1; /* at worst a joined neighbour waits for the next walk */
            continue;
        }
        at = is_full ? first : first + width;
    }
    if (table->count == 0 && due->taken_count > 0)
        drop_segments(table);
    *from_slot = at >= (size_t)1 << depth_of(table) || table->expiring_count + table->inside_count == 0 ? 0 : (uint32_t)at;
}

size_t roan_table_slot_count(const roan_table *table)
{
    size_t slots = 0;
    for (size_t i = 0; i < (size_t)1 << depth_of(table) && segment_at(table, i) != NULL;) {
        slots += segment_at(table, i)->capacity;
        i += (size_t)1 << (depth_of(table) - segment_at(table, i)->depth);
    }
    return slots;
}

size_t roan_table_overhead_bytes(const roan_table *table)
{
    size_t slots = (size_t)1 << depth_of(table);
    size_t bytes = (depth_of(table) > 0 ? slots * sizeof(void *) : 0) + (table->soonest != NULL ? slots * 4 : 0);
    for (size_t i = 0; i < slots && segment_at(table, i) != NULL;) {
        const roan_segment *segment = segment_at(table, i);
        bytes += bytes_of(segment) + (segment->column != NULL ? segment->capacity * sizeof *segment->column : 0);
        i += (size_t)1 << (depth_of(table) - segment->depth);
    }
    return bytes;
}

static void check_segment(const roan_table *table, size_t at, const roan_segment *segment)
{
    unsigned count = 0, expiring = 0;
    uint64_t last_tag = 0;
    for (unsigned i = 0; i < segment->capacity; i++) {
        uint64_t word = segment->slots[i];
        if (word == 0) {
            ROAN_ASSERT(segment->column == NULL || segment->column[i] == 0);
            continue;
        }
        const void *item = item_of_word(word);
        uint64_t hash = hash_of_item(table, item);
        table->context->ops->check(item);
        ROAN_ASSERT(tag_of_word(word) == tag_of_hash(hash, segment->window));
        ROAN_ASSERT(tag_of_word(word) >= last_tag);
        ROAN_ASSERT(segment_at(table, directory_slot(table, hash)) == segment);
        unsigned home = home_of_tag(segment, tag_of_word(word));
        ROAN_ASSERT(home <= i);
        for (unsigned j = home; j < i; j++)
            ROAN_ASSERT(segment->slots[j] != 0);
        uint32_t time = column_time(table, item);
        ROAN_ASSERT(time == (segment->column == NULL ? 0 : segment->column[i]));
        if (time != 0) {
            uint32_t soonest = NEVER;
            size_t width = (size_t)1 << (depth_of(table) - segment->depth);
            for (size_t j = at; j < at + width; j++)
                soonest = ROAN_MIN(soonest, table->soonest[j]);
            ROAN_ASSERT(soonest <= time);
        }
        last_tag = tag_of_word(word);
        expiring += time != 0;
        count++;
    }
    ROAN_ASSERT(count == segment->count && expiring == segment->expiring);
}

void roan_table_check(const roan_table *table)
{
    uint64_t count = 0, expiring = 0;
    uint32_t deepest = 0;
    for (size_t i = 0; i < (size_t)1 << depth_of(table) && segment_at(table, i) != NULL;) {
        const roan_segment *segment = segment_at(table, i);
        ROAN_ASSERT(segment->depth <= depth_of(table) && segment->window <= segment->depth);
        ROAN_ASSERT(segment->depth - segment->window <= WINDOW_LAG_MAX);
        size_t width = (size_t)1 << (depth_of(table) - segment->depth);
        for (size_t j = i; j < i + width; j++)
            ROAN_ASSERT(segment_at(table, j) == segment);
        check_segment(table, i, segment);
        count += segment->count;
        expiring += segment->expiring;
        deepest += segment->depth == depth_of(table);
        i += width;
    }
    ROAN_ASSERT(count == table->count && expiring == table->expiring_count + table->inside_count);
    ROAN_ASSERT(depth_of(table) == 0 || deepest == table->deepest_count);
}
