/* types/stream_value.c: what everybody must know of streams (types/value.h): making, copying, measuring, freeing
 * them. */
#include "types/stream.h"

#include "base/alloc.h"

static roan_stream_node *node_at(const roan_stream *stream, const roan_id_cursor *cursor)
{
    roan_stream_node *node;
    memcpy(&node, roan_id_cursor_record(&stream->nodes, cursor), sizeof node);
    return node;
}

roan_value roan_stream_create(void)
{
    roan_stream *stream = roan_alloc_zero(sizeof *stream);
    roan_id_tree_init(&stream->nodes, sizeof(roan_stream_node *));
    return (roan_value){.data = stream};
}

static void free_stream(roan_value value)
{
    roan_stream *stream = value.data;
    roan_id_tree *nodes = &stream->nodes;
    for (roan_id_cursor at = roan_id_tree_first(nodes); at.leaf != NULL; roan_id_cursor_next(&at))
        roan_stream_node_free(node_at(stream, &at));
    roan_id_tree_done(nodes);
    roan_stream_groups_done(&stream->groups);
    roan_free(stream, sizeof *stream);
}

static roan_value copy_stream(roan_value value)
{
    const roan_stream *stream = value.data;
    roan_stream *copy = roan_alloc(sizeof *copy);
    *copy = *stream;
    copy->groups = (roan_stream_names){0};
    roan_id_tree_init(&copy->nodes, sizeof(roan_stream_node *));
    for (roan_id_cursor at = roan_id_tree_first(&stream->nodes); at.leaf != NULL; roan_id_cursor_next(&at)) {
        roan_stream_node *node = roan_stream_node_copy(node_at(stream, &at));
        bool is_new;
        memcpy(roan_id_tree_insert(&copy->nodes, roan_id_cursor_id(&at), &is_new), &node, sizeof node);
    }
    for (uint32_t i = 0; i < stream->groups.count; i++)
        roan_stream_groups_add(&copy->groups, roan_stream_group_copy(stream->groups.items[i]));
    return (roan_value){.data = copy};
}

/* The nodes: some are measured, the others are taken to be like them; the last one, which is not full, by itself. */
static size_t nodes_memory(const roan_stream *stream, size_t samples)
{
    const roan_id_tree *nodes = &stream->nodes;
    size_t bytes = roan_id_tree_memory(nodes);
    if (nodes->count == 0)
        return bytes;
    roan_id_cursor last = roan_id_tree_last(nodes);
    bytes += roan_alloc_good_size(node_at(stream, &last)->capacity);
    uint64_t others = nodes->count - 1, measured = 0;
    size_t measured_bytes = 0;
    for (roan_id_cursor at = roan_id_tree_first(nodes); measured < others && (samples == 0 || measured < samples);
         measured++) {
        measured_bytes += roan_alloc_good_size(node_at(stream, &at)->capacity);
        roan_id_cursor_next(&at);
    }
    return measured == 0 ? bytes : bytes + (size_t)((double)measured_bytes / (double)measured * (double)others);
}

static size_t memory(roan_value value, size_t samples)
{
    const roan_stream *stream = value.data;
    size_t bytes = roan_alloc_good_size(sizeof *stream) + nodes_memory(stream, samples);
    if (stream->groups.capacity > 0)
        bytes += roan_alloc_good_size(stream->groups.capacity * sizeof *stream->groups.items);
    for (uint32_t i = 0; i < stream->groups.count; i++)
        bytes += roan_stream_group_memory(stream->groups.items[i]);
    return bytes;
}

static size_t effort(roan_value value)
{
    const roan_stream *stream = value.data;
    size_t sum = 1 + stream->nodes.count + stream->nodes.leaf_count;
    for (uint32_t i = 0; i < stream->groups.count; i++)
        sum += roan_stream_group_effort(stream->groups.items[i]);
    return sum;
}

static const char *encoding_name(roan_value value)
{
    (void)value;
    return "stream";
}

static void check(roan_value value)
{
    const roan_stream *stream = value.data;
    uint64_t length = 0;
    roan_stream_id before = ROAN_STREAM_ID_MIN, first = ROAN_STREAM_ID_MIN;
    roan_id_tree_check(&stream->nodes);
    for (roan_id_cursor at = roan_id_tree_first(&stream->nodes); at.leaf != NULL; roan_id_cursor_next(&at)) {
        const roan_stream_node *node = node_at(stream, &at);
        roan_stream_id base = roan_id_cursor_id(&at);
        roan_stream_node_check(node, base);
        ROAN_ASSERT(length == 0 || roan_stream_id_is_less(before, base));
        before = roan_stream_node_id(node, base, node->count - 1);
        for (unsigned i = 0; length == 0 && i < node->count && roan_stream_id_is_zero(first); i++)
            if (!roan_stream_node_is_deleted(node, i))
                first = roan_stream_node_id(node, base, i);
        length += roan_stream_node_live(node);
    }
    ROAN_ASSERT(length == stream->length && !roan_stream_id_is_less(stream->last_id, before));
    ROAN_ASSERT(roan_stream_id_is_equal(first, stream->first_id));
    for (uint32_t i = 0; i < stream->groups.count; i++)
        roan_stream_group_check(stream->groups.items[i]);
}

const roan_type_ops roan_stream_ops = {
    .name = "stream",
    .free_value = free_stream,
    .copy_value = copy_stream,
    .memory = memory,
    .effort = effort,
    .encoding_name = encoding_name,
    .check = check,
};
