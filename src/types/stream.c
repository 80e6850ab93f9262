/* types/stream.c: appending to, reading and removing from a stream.
 *
 *     nodes     id of first entry -> node (stream_node.h)     a B+ tree (id_tree.h); some hundred entries a node
 *
 * Only the last node is appended to. When it is full it gives back the room it does not need, and the next one is made
 * as large as it was, so that most appends allocate nothing. An entry that is deleted is flagged; a node goes when
 * its last entry does.
 *
 * When a node is full is decided as the reference decides: by the number of its entries, or by what it would take
 * there.
 *
 * Invariant: length is the sum of the nodes' live entries; first_id is the first of them; no id is above last_id.
 * Checked by roan_stream_ops.check() in stream_value.c.
 */
#include "types/stream.h"

#include "base/alloc.h"

#define FIRST_NODE_BYTES 128u
#define EXPECTED_BYTES_MAX ((size_t)64 * 1024) /* what a new node is made ready for, at most */

/* The place of a node in the tree's record. */
static roan_stream_node *node_at(const roan_stream *stream, const roan_id_cursor *cursor)
{
    roan_stream_node *node;
    memcpy(&node, roan_id_cursor_record(&stream->nodes, cursor), sizeof node);
    return node;
}

static void set_node_at(const roan_stream *stream, const roan_id_cursor *cursor, roan_stream_node *node)
{
    memcpy(roan_id_cursor_record(&stream->nodes, cursor), &node, sizeof node);
}

/* ---- appending ---- */

bool roan_stream_next_id(const roan_stream *stream, uint64_t now_ms, roan_stream_id *ret_id)
{
    *ret_id = (roan_stream_id){now_ms, 0};
    if (now_ms > stream->last_id.ms)
        return true;
    *ret_id = stream->last_id;
    return roan_stream_id_step_up(ret_id);
}

static size_t node_bytes_max(const roan_type_context *context)
{
    size_t bytes = context->stream_node_bytes_max;
    return bytes == 0 || bytes > ROAN_STREAM_NODE_BYTES_MAX ? ROAN_STREAM_NODE_BYTES_MAX : bytes;
}

static bool is_full(roan_stream *stream, const roan_type_context *context, const roan_stream_node *node,
                    roan_stream_id base, roan_stream_fields fields)
{
    size_t bytes = 0;
    if (stream->tail_reference_bytes == 0)
        stream->tail_reference_bytes = roan_stream_node_reference_bytes(node, base);
    for (size_t i = 0; i < 2 * fields.count; i++)
        bytes += fields.words[i].bytes;
    bytes += stream->tail_reference_bytes + roan_stream_node_reference_counters(node);
    if (bytes >= node_bytes_max(context))
        return true;
    return context->stream_node_entries_max > 0 && node->count >= context->stream_node_entries_max;
}

static void append_in_new_node(roan_stream *stream, roan_stream_id id, roan_stream_fields fields, size_t expected_bytes)
{
    bool is_new;
    roan_stream_node *node = roan_stream_node_create(fields, expected_bytes);
    stream->tail_reference_bytes = roan_stream_node_reference_header(fields);
    node = roan_stream_node_append(node, id, id, fields, &stream->tail_reference_bytes);
    memcpy(roan_id_tree_insert(&stream->nodes, id, &is_new), &node, sizeof node);
    ROAN_ASSERT(is_new);
}

static void append_entry(roan_stream *stream, const roan_type_context *context, roan_stream_id id,
                         roan_stream_fields fields)
{
    roan_id_cursor tail = roan_id_tree_last(&stream->nodes);
    if (ROAN_UNLIKELY(tail.leaf == NULL)) {
        append_in_new_node(stream, id, fields, FIRST_NODE_BYTES);
        return;
    }
    roan_stream_node *node = node_at(stream, &tail);
    roan_stream_id base = roan_id_cursor_id(&tail);
    if (is_full(stream, context, node, base, fields)) {
        size_t bytes = ROAN_MIN(node->bytes, node_bytes_max(context));
        set_node_at(stream, &tail, roan_stream_node_fit(node));
        append_in_new_node(stream, id, fields, ROAN_MIN(bytes + bytes / 8, EXPECTED_BYTES_MAX));
        return;
    }
    roan_stream_node *grown = roan_stream_node_append(node, base, id, fields, &stream->tail_reference_bytes);
    if (grown != node)
        set_node_at(stream, &tail, grown);
}

void roan_stream_append(roan_stream *stream, const roan_type_context *context, roan_stream_id id,
                        roan_stream_fields fields)
{
    ROAN_ASSERT(roan_stream_id_is_less(stream->last_id, id) && fields.count > 0);
    append_entry(stream, context, id, fields);
    if (stream->length++ == 0)
        stream->first_id = id;
    stream->entries_added++;
    stream->last_id = id;
}

/* ---- reading ---- */

/* Goes to the node at the cursor and to its first entry, or to the place behind its last one. */
static void enter_node(roan_stream_iterator *iterator)
{
    if (iterator->cursor.leaf == NULL) {
        iterator->node = NULL;
        return;
    }
    iterator->node = node_at(iterator->stream, &iterator->cursor);
    iterator->base = roan_id_cursor_id(&iterator->cursor);
    iterator->index = iterator->is_backwards ? iterator->node->count : 0;
}

void roan_stream_iterate(roan_stream_iterator *iterator, const roan_stream *stream, roan_stream_id first,
                         roan_stream_id last, bool is_backwards)
{
    *iterator = (roan_stream_iterator){.stream = stream, .first = first, .last = last, .is_backwards = is_backwards};
    roan_stream_id from = is_backwards ? last : first;
    iterator->cursor = roan_id_tree_at_most(&stream->nodes, from);
    if (iterator->cursor.leaf == NULL && !is_backwards)
        iterator->cursor = roan_id_tree_first(&stream->nodes);
    enter_node(iterator);
    if (iterator->node == NULL)
        return;
    iterator->index = roan_stream_node_find(iterator->node, iterator->base, from);
    if (is_backwards && iterator->index < iterator->node->count &&
        roan_stream_id_is_equal(roan_stream_node_id(iterator->node, iterator->base, iterator->index), from))
        iterator->index++;
}

/* The next entry, live or not. */
static bool step(roan_stream_iterator *iterator, roan_stream_entry *ret_entry)
{
    if (iterator->node == NULL)
        return false;
    while (iterator->index == (iterator->is_backwards ? 0 : iterator->node->count)) {
        if (iterator->is_backwards)
            roan_id_cursor_previous(&iterator->cursor);
        else
            roan_id_cursor_next(&iterator->cursor);
        enter_node(iterator);
        if (iterator->node == NULL)
            return false;
    }
    unsigned index = iterator->is_backwards ? --iterator->index : iterator->index++;
    roan_stream_node_entry(iterator->node, iterator->base, index, ret_entry);
    return true;
}

bool roan_stream_next(roan_stream_iterator *iterator, roan_stream_entry *ret_entry)
{
    while (step(iterator, ret_entry)) {
        bool is_over = iterator->is_backwards ? roan_stream_id_is_less(ret_entry->id, iterator->first)
                                              : roan_stream_id_is_less(iterator->last, ret_entry->id);
        if (is_over)
            break;
        if (ROAN_LIKELY(!ret_entry->is_deleted))
            return true;
    }
    iterator->node = NULL;
    return false;
}

/* The node that has the live entry, and its place in it. */
static roan_stream_node *locate(const roan_stream *stream, roan_stream_id id, roan_id_cursor *ret_cursor,
                                unsigned *ret_index)
{
    *ret_cursor = roan_id_tree_at_most(&stream->nodes, id);
    if (ret_cursor->leaf == NULL)
        return NULL;
    roan_stream_node *node = node_at(stream, ret_cursor);
    roan_stream_id base = roan_id_cursor_id(ret_cursor);
    unsigned index = roan_stream_node_find(node, base, id);
    if (index == node->count || !roan_stream_id_is_equal(roan_stream_node_id(node, base, index), id) ||
        roan_stream_node_is_deleted(node, index))
        return NULL;
    *ret_index = index;
    return node;
}

bool roan_stream_contains(const roan_stream *stream, roan_stream_id id)
{
    roan_id_cursor cursor;
    unsigned index;
    return locate(stream, id, &cursor, &index) != NULL;
}

roan_stream_id roan_stream_last_live_id(const roan_stream *stream)
{
    roan_stream_iterator iterator;
    roan_stream_entry entry;
    roan_stream_iterate(&iterator, stream, ROAN_STREAM_ID_MIN, ROAN_STREAM_ID_MAX, true);
    bool is_found = roan_stream_next(&iterator, &entry);
    ROAN_ASSERT(is_found);
    return entry.id;
}

/* ---- removing ---- */

static void renew_first_id(roan_stream *stream)
{
    roan_stream_iterator iterator;
    roan_stream_entry entry;
    stream->first_id = ROAN_STREAM_ID_MIN;
    if (stream->length == 0)
        return;
    roan_stream_iterate(&iterator, stream, ROAN_STREAM_ID_MIN, ROAN_STREAM_ID_MAX, false);
    if (roan_stream_next(&iterator, &entry))
        stream->first_id = entry.id;
}

static void remove_node(roan_stream *stream, roan_stream_id base, roan_stream_node *node)
{
    roan_id_cursor tail = roan_id_tree_last(&stream->nodes);
    if (roan_stream_id_is_equal(roan_id_cursor_id(&tail), base))
        stream->tail_reference_bytes = 0;
    roan_stream_node_free(node);
    roan_id_tree_remove(&stream->nodes, base);
}

void roan_stream_set_last_id(roan_stream *stream, roan_stream_id id)
{
    stream->last_id = id;
    while (stream->nodes.count > 0) {
        roan_id_cursor tail = roan_id_tree_last(&stream->nodes);
        roan_stream_node *node = node_at(stream, &tail);
        roan_stream_id base = roan_id_cursor_id(&tail);
        if (!roan_stream_id_is_less(id, roan_stream_node_id(node, base, node->count - 1)))
            return;
        stream->tail_reference_bytes = 0;
        roan_stream_node_drop_last(node);
        if (node->count == 0)
            remove_node(stream, base, node);
    }
}

bool roan_stream_delete(roan_stream *stream, roan_stream_id id)
{
    roan_id_cursor cursor;
    unsigned index;
    roan_stream_node *node = locate(stream, id, &cursor, &index);
    if (node == NULL)
        return false;
    roan_stream_node_delete(node, index);
    if (roan_stream_node_live(node) == 0)
        remove_node(stream, roan_id_cursor_id(&cursor), node);
    stream->length--;
    if (roan_stream_id_is_equal(id, stream->first_id))
        renew_first_id(stream);
    if (roan_stream_id_is_less(stream->max_deleted_id, id))
        stream->max_deleted_id = id;
    return true;
}

bool roan_stream_is_referenced(const roan_stream *stream, roan_stream_id id)
{
    for (uint32_t i = 0; i < stream->groups.count; i++) {
        const roan_stream_group *group = stream->groups.items[i];
        if (roan_stream_id_is_less(group->last_id, id) || roan_stream_group_pending(group, id) != NULL)
            return true;
    }
    return false;
}

unsigned roan_stream_drop_references(roan_stream *stream, roan_stream_id id)
{
    unsigned dropped = 0;
    for (uint32_t i = 0; i < stream->groups.count; i++)
        dropped += roan_stream_group_forget(stream->groups.items[i], id);
    return dropped;
}

/* Has nothing more to go? */
static bool is_trimmed(const roan_stream *stream, const roan_stream_trim *trim, roan_stream_id id)
{
    if (trim->strategy == ROAN_TRIM_LENGTH)
        return stream->length <= trim->length_max;
    return !roan_stream_id_is_less(id, trim->min_id);
}

/* May all live entries of the node go? */
static bool covers_node(const roan_stream *stream, const roan_stream_trim *trim, const roan_stream_node *node,
                        roan_stream_id base)
{
    if (trim->strategy == ROAN_TRIM_LENGTH)
        return stream->length - roan_stream_node_live(node) >= trim->length_max;
    return roan_stream_id_is_less(roan_stream_node_id(node, base, node->count - 1), trim->min_id);
}

/* Flags the entries of a node that are to go; returns how many. `is_whole`: all, if the policy lets them. */
static uint64_t trim_entries(roan_stream *stream, const roan_stream_trim *trim, roan_stream_node *node,
                             roan_stream_id base, bool is_whole)
{
    uint64_t removed = 0;
    for (unsigned i = 0; i < node->count; i++) {
        roan_stream_id id = roan_stream_node_id(node, base, i);
        if (!is_whole && is_trimmed(stream, trim, id))
            break;
        if (roan_stream_node_is_deleted(node, i) ||
            (trim->policy == ROAN_STREAM_ACKED && roan_stream_is_referenced(stream, id)))
            continue;
        if (trim->policy == ROAN_STREAM_DELREF)
            roan_stream_drop_references(stream, id);
        roan_stream_node_delete(node, i);
        stream->length--;
        removed++;
    }
    return removed;
}

uint64_t roan_stream_apply_trim(roan_stream *stream, const roan_stream_trim *trim)
{
    uint64_t removed = 0;
    bool keeps_referenced = trim->policy == ROAN_STREAM_ACKED && stream->groups.count > 0;
    bool is_plain = trim->policy == ROAN_STREAM_KEEPREF || stream->groups.count == 0;
    roan_id_cursor cursor = roan_id_tree_first(&stream->nodes);
    while (cursor.leaf != NULL) {
        roan_stream_node *node = node_at(stream, &cursor);
        roan_stream_id base = roan_id_cursor_id(&cursor);
        unsigned live = roan_stream_node_live(node);
        if (trim->strategy == ROAN_TRIM_LENGTH && stream->length <= trim->length_max)
            break;
        if (trim->limit > 0 && removed + live > trim->limit)
            break;
        bool is_whole = covers_node(stream, trim, node, base);
        if (!is_whole && trim->is_approximate)
            break;
        if (is_whole && is_plain) {
            removed += live;
            stream->length -= live;
        } else {
            removed += trim_entries(stream, trim, node, base, is_whole);
        }
        if (is_whole && (is_plain || roan_stream_node_live(node) == 0)) {
            remove_node(stream, base, node);
            cursor = roan_id_tree_at_least(&stream->nodes, base);
        } else if (keeps_referenced) {
            roan_id_cursor_next(&cursor);
        } else {
            break;
        }
    }
    if (removed > 0 || stream->length == 0)
        renew_first_id(stream);
    return removed;
}

/* ---- groups ---- */

bool roan_stream_has_deleted_behind(const roan_stream *stream, roan_stream_id id)
{
    return stream->length > 0 && !roan_stream_id_is_zero(stream->max_deleted_id) &&
           !roan_stream_id_is_less(stream->max_deleted_id, id);
}

int64_t roan_stream_history_before(const roan_stream *stream, roan_stream_id id)
{
    roan_stream_id deleted = stream->max_deleted_id;
    int64_t before_first = (int64_t)(stream->entries_added - stream->length);
    if (stream->entries_added == 0)
        return 0;
    bool is_last = roan_stream_id_is_equal(id, stream->last_id);
    if (is_last || (stream->length == 0 && roan_stream_id_is_less(id, stream->last_id)))
        return (int64_t)stream->entries_added;
    if (roan_stream_id_is_less(stream->last_id, id))
        return ROAN_STREAM_READ_UNKNOWN;
    if (!roan_stream_id_is_zero(deleted) && !roan_stream_id_is_less(deleted, stream->first_id))
        return ROAN_STREAM_READ_UNKNOWN; /* there are gaps between the entries */
    if (roan_stream_id_is_equal(id, stream->first_id))
        return before_first + 1;
    bool is_behind_gaps = roan_stream_id_is_zero(id) || !roan_stream_id_is_less(id, deleted);
    return roan_stream_id_is_less(id, stream->first_id) && is_behind_gaps ? before_first : ROAN_STREAM_READ_UNKNOWN;
}

bool roan_stream_group_lag(const roan_stream *stream, const roan_stream_group *group, int64_t *ret_lag)
{
    int64_t read = 0;
    if (stream->entries_added > 0) {
        read = group->entries_read;
        if (read == ROAN_STREAM_READ_UNKNOWN || roan_stream_has_deleted_behind(stream, group->last_id))
            read = roan_stream_history_before(stream, group->last_id);
        if (read == ROAN_STREAM_READ_UNKNOWN)
            return false;
    }
    *ret_lag = (int64_t)(stream->entries_added - (uint64_t)read);
    return true;
}

bool roan_stream_group_advance(const roan_stream *stream, roan_stream_group *group, roan_stream_id id)
{
    if (!roan_stream_id_is_less(group->last_id, id))
        return false;
    bool is_among = !roan_stream_id_is_less(group->last_id, stream->first_id);
    if (group->entries_read != ROAN_STREAM_READ_UNKNOWN && is_among &&
        !roan_stream_has_deleted_behind(stream, group->last_id))
        group->entries_read++;
    else if (stream->entries_added > 0)
        group->entries_read = roan_stream_history_before(stream, id);
    group->last_id = id;
    return true;
}
