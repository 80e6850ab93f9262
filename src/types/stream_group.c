/* types/stream_group.c: see stream_group.h.
 *
 * Invariant: the ids in the maps of a group's consumers are disjoint, and together those of the group's map; each
 * record of that names the consumer whose map has the id. Checked by roan_stream_group_check().
 */
#include "types/stream_group.h"

#include "base/alloc.h"

/* ---- names ---- */

static roan_slice name_of(const void *item)
{
    return *(const roan_slice *)item;
}

static int compare_names(roan_slice a, roan_slice b)
{
    size_t bytes = ROAN_MIN(a.bytes, b.bytes);
    int order = bytes == 0 ? 0 : memcmp(a.data, b.data, bytes);
    return order != 0 ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

/* The first place whose name is not below `name`. */
static uint32_t find_place(const roan_stream_names *names, roan_slice name)
{
    uint32_t low = 0, high = names->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare_names(name_of(names->items[middle]), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void *roan_stream_names_find(const roan_stream_names *names, roan_slice name)
{
    uint32_t place = find_place(names, name);
    if (place == names->count || compare_names(name_of(names->items[place]), name) != 0)
        return NULL;
    return names->items[place];
}

static void set_capacity(roan_stream_names *names, uint32_t capacity)
{
    names->items = roan_realloc(names->items, names->capacity * sizeof *names->items, capacity * sizeof *names->items);
    names->capacity = capacity;
}

static void names_add(roan_stream_names *names, void *item)
{
    if (names->count == names->capacity)
        set_capacity(names, names->capacity < 2 ? 2 : names->capacity * 2);
    uint32_t place = find_place(names, name_of(item));
    memmove(names->items + place + 1, names->items + place, (names->count - place) * sizeof *names->items);
    names->items[place] = item;
    names->count++;
}

static void names_take(roan_stream_names *names, const void *item)
{
    uint32_t place = find_place(names, name_of(item));
    ROAN_ASSERT(place < names->count && names->items[place] == item);
    names->count--;
    memmove(names->items + place, names->items + place + 1, (names->count - place) * sizeof *names->items);
    if (names->capacity > 8 && names->count < names->capacity / 4)
        set_capacity(names, names->capacity / 2);
}

static void names_done(roan_stream_names *names)
{
    roan_free(names->items, names->capacity * sizeof *names->items);
    *names = (roan_stream_names){0};
}

/* ---- consumers ---- */

static roan_stream_consumer *create_consumer(roan_slice name)
{
    roan_stream_consumer *consumer = roan_alloc(sizeof *consumer + name.bytes);
    if (name.bytes > 0)
        memcpy(consumer->name_bytes, name.data, name.bytes);
    consumer->name = roan_slice_make(consumer->name_bytes, name.bytes);
    consumer->active_ms = -1;
    roan_id_tree_init(&consumer->pending, 0);
    return consumer;
}

static void free_consumer(roan_stream_consumer *consumer)
{
    roan_id_tree_done(&consumer->pending);
    roan_free(consumer, sizeof *consumer + consumer->name.bytes);
}

roan_stream_consumer *roan_stream_group_add_consumer(roan_stream_group *group, roan_slice name, int64_t now_ms)
{
    roan_stream_consumer *consumer = create_consumer(name);
    consumer->seen_ms = now_ms;
    names_add(&group->consumers, consumer);
    return consumer;
}

/* ---- groups ---- */

roan_stream_group *roan_stream_group_create(roan_slice name, roan_stream_id last_id, int64_t entries_read)
{
    roan_stream_group *group = roan_alloc(sizeof *group + name.bytes);
    *group = (roan_stream_group){.last_id = last_id, .entries_read = entries_read};
    if (name.bytes > 0)
        memcpy(group->name_bytes, name.data, name.bytes);
    group->name = roan_slice_make(group->name_bytes, name.bytes);
    roan_id_tree_init(&group->pending, sizeof(roan_stream_pending));
    return group;
}

/* What is pending for the consumer leaves the group's map: one by one, or with the map when it is all there is. */
static void take_pending(roan_stream_group *from, roan_stream_group *to, const roan_stream_consumer *consumer)
{
    const roan_id_tree *pending = &consumer->pending;
    if (pending->count == from->pending.count) {
        to->pending = from->pending;
        roan_id_tree_init(&from->pending, sizeof(roan_stream_pending));
        return;
    }
    for (roan_id_cursor at = roan_id_tree_first(pending); at.leaf != NULL; roan_id_cursor_next(&at))
        roan_id_tree_remove(&from->pending, roan_id_cursor_id(&at));
}

roan_stream_group *roan_stream_group_take_consumer(roan_stream_group *group, roan_stream_consumer *consumer)
{
    roan_stream_group *taken = roan_stream_group_create(ROAN_LITERAL(""), group->last_id, group->entries_read);
    take_pending(group, taken, consumer);
    names_take(&group->consumers, consumer);
    names_add(&taken->consumers, consumer);
    return taken;
}

void roan_stream_group_free(roan_stream_group *group)
{
    for (uint32_t i = 0; i < group->consumers.count; i++)
        free_consumer(group->consumers.items[i]);
    names_done(&group->consumers);
    roan_id_tree_done(&group->pending);
    roan_free(group, sizeof *group + group->name.bytes);
}

roan_stream_group *roan_stream_group_copy(const roan_stream_group *group)
{
    roan_stream_group *copy = roan_stream_group_create(group->name, group->last_id, group->entries_read);
    for (uint32_t i = 0; i < group->consumers.count; i++) {
        const roan_stream_consumer *consumer = group->consumers.items[i];
        roan_stream_consumer *added = roan_stream_group_add_consumer(copy, consumer->name, consumer->seen_ms);
        added->active_ms = consumer->active_ms;
    }
    const roan_id_tree *pending = &group->pending;
    for (roan_id_cursor at = roan_id_tree_first(pending); at.leaf != NULL; roan_id_cursor_next(&at)) {
        const roan_stream_pending *record = roan_id_cursor_record(pending, &at);
        bool is_new;
        roan_stream_consumer *consumer = roan_stream_group_consumer(copy, record->consumer->name);
        roan_stream_pending *added = roan_stream_group_assign(copy, consumer, roan_id_cursor_id(&at), &is_new);
        added->delivered_ms = record->delivered_ms;
        added->deliveries = record->deliveries;
    }
    return copy;
}

size_t roan_stream_group_memory(const roan_stream_group *group)
{
    size_t bytes = roan_alloc_good_size(sizeof *group + group->name.bytes) + roan_id_tree_memory(&group->pending);
    if (group->consumers.capacity > 0)
        bytes += roan_alloc_good_size(group->consumers.capacity * sizeof *group->consumers.items);
    for (uint32_t i = 0; i < group->consumers.count; i++) {
        const roan_stream_consumer *consumer = group->consumers.items[i];
        bytes +=
            roan_alloc_good_size(sizeof *consumer + consumer->name.bytes) + roan_id_tree_memory(&consumer->pending);
    }
    return bytes;
}

size_t roan_stream_group_effort(const roan_stream_group *group)
{
    /* The consumers' maps have no more pages than the group's, and at most one each beside them. */
    return 1 + 2 * (size_t)group->pending.leaf_count + 2 * (size_t)group->consumers.count;
}

void roan_stream_groups_add(roan_stream_names *groups, roan_stream_group *group)
{
    names_add(groups, group);
}

void roan_stream_groups_take(roan_stream_names *groups, const roan_stream_group *group)
{
    names_take(groups, group);
}

void roan_stream_groups_done(roan_stream_names *groups)
{
    for (uint32_t i = 0; i < groups->count; i++)
        roan_stream_group_free(groups->items[i]);
    names_done(groups);
}

/* ---- pending entries ---- */

roan_stream_pending *roan_stream_group_assign(roan_stream_group *group, roan_stream_consumer *consumer,
                                              roan_stream_id id, bool *ret_is_new)
{
    bool is_added;
    roan_stream_pending *record = roan_id_tree_insert(&group->pending, id, ret_is_new);
    if (*ret_is_new)
        *record = (roan_stream_pending){0};
    if (record->consumer == consumer)
        return record;
    if (record->consumer != NULL)
        roan_id_tree_remove(&record->consumer->pending, id);
    record->consumer = consumer;
    roan_id_tree_insert(&consumer->pending, id, &is_added);
    ROAN_ASSERT(is_added);
    return record;
}

bool roan_stream_group_forget(roan_stream_group *group, roan_stream_id id)
{
    const roan_stream_pending *record = roan_stream_group_pending(group, id);
    if (record == NULL)
        return false;
    roan_id_tree_remove(&record->consumer->pending, id);
    roan_id_tree_remove(&group->pending, id);
    return true;
}

void roan_stream_group_check(const roan_stream_group *group)
{
    uint64_t count = 0;
    roan_id_tree_check(&group->pending);
    for (uint32_t i = 0; i < group->consumers.count; i++) {
        const roan_stream_consumer *consumer = group->consumers.items[i];
        const roan_id_tree *pending = &consumer->pending;
        ROAN_ASSERT(i == 0 || compare_names(name_of(group->consumers.items[i - 1]), consumer->name) < 0);
        roan_id_tree_check(pending);
        for (roan_id_cursor at = roan_id_tree_first(pending); at.leaf != NULL; roan_id_cursor_next(&at)) {
            const roan_stream_pending *record = roan_stream_group_pending(group, roan_id_cursor_id(&at));
            ROAN_ASSERT(record != NULL && record->consumer == consumer);
        }
        count += pending->count;
    }
    ROAN_ASSERT(count == group->pending.count);
}
