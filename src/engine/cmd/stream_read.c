/* engine/cmd/stream_read.c: XREAD and XREADGROUP: new entries of several streams, or what a consumer has not
 * acknowledged.
 *
 * First all streams are looked at and their ids understood, then those that have something are served. When none has
 * and BLOCK was given, the session waits, and the same command runs again whenever one of the streams changes; `$`
 * and `+` mean what they meant when it began to wait. While it runs again some of the streams may be out of reach:
 * they have nothing.
 *
 * Nothing of XREADGROUP is repeated by replicas as it was sent: they are told what became pending, and how far a
 * group is.
 */
#include "engine/blocking.h"
#include "engine/cmd/stream.h"
#include "engine/command_keys.h"

#include "base/macros.h"

typedef struct read_options {
    int64_t timeout_ms; /* -1: does not wait */
    uint64_t count;     /* 0: all */
    size_t group_index; /* 0: none; the consumer stands behind it */
    size_t first_key;   /* 0: STREAMS is missing */
    size_t key_count;   /* as many ids follow them */
    bool is_group;      /* XREADGROUP */
    bool no_ack;
} read_options;

/* One of the streams. */
typedef struct source {
    roan_place place;
    roan_stream *stream;      /* NULL: absent or out of reach */
    roan_stream_group *group;
    roan_stream_id after;     /* entries behind this id */
    bool is_new;              /* ">": what the group has not read */
} source;

/* ---- arguments ---- */

static bool parse_streams(roan_call *call, size_t index, read_options *options)
{
    size_t words = call->argc - index - 1;
    if (words % 2 != 0) {
        roan_call_error_printf(
            call, "ERR Unbalanced '%s' list of streams: for each stream key an ID or '%c' must be specified.",
            call->command->name, options->is_group ? '>' : '$');
        return false;
    }
    options->first_key = index + 1;
    options->key_count = words / 2;
    return true;
}

static bool only_for_groups(roan_call *call, const char *option)
{
    roan_call_error_printf(call, "ERR The %s option is only supported by XREADGROUP. You called XREAD instead.",
                           option);
    return false;
}

static bool parse_read_count(roan_call *call, size_t index, read_options *options)
{
    int64_t count;
    if (!roan_call_integer(call, index, &count, NULL))
        return false;
    options->count = (uint64_t)ROAN_MAX(count, 0);
    return true;
}

/* The option at argv[*index], which is moved to its last word; false after an error was sent. */
static bool parse_option(roan_call *call, size_t *index, read_options *options)
{
    size_t at = *index, more = call->argc - at - 1;
    if (roan_call_is(call, at, "block") && more >= 1) {
        ++*index;
        return roan_call_timeout_ms(call, at + 1, &options->timeout_ms);
    }
    if (roan_call_is(call, at, "count") && more >= 1) {
        ++*index;
        return parse_read_count(call, at + 1, options);
    }
    if (roan_call_is(call, at, "group") && more >= 2) {
        options->group_index = at + 1;
        *index += 2;
        return options->is_group || only_for_groups(call, "GROUP");
    }
    if (roan_call_is(call, at, "noack")) {
        options->no_ack = true;
        return options->is_group || only_for_groups(call, "NOACK");
    }
    roan_call_syntax_error(call);
    return false;
}

static bool parse_options(roan_call *call, bool is_group, read_options *options)
{
    *options = (read_options){.timeout_ms = -1, .is_group = is_group};
    for (size_t i = 1; i < call->argc && options->first_key == 0; i++) {
        if (roan_call_is(call, i, "streams") && i + 1 < call->argc) {
            if (!parse_streams(call, i, options))
                return false;
        } else if (!parse_option(call, &i, options)) {
            return false;
        }
    }
    if (options->first_key == 0) {
        roan_call_syntax_error(call);
        return false;
    }
    if (is_group && options->group_index == 0) {
        roan_call_error(call, "ERR Missing GROUP option for XREADGROUP");
        return false;
    }
    return true;
}

/* ---- looking at the streams ---- */

static bool meaningless(roan_call *call, char id)
{
    roan_call_error_printf(
        call,
        "ERR The %c ID is meaningless in the context of XREADGROUP: you want to read the history of "
        "this consumer by specifying a proper ID, or use the > ID to get new messages. The %c ID would "
        "just return an empty result set.",
        id, id);
    return false;
}

/* Understands the id in argv[index] for the stream; false after an error was sent. */
static bool resolve_id(roan_call *call, const read_options *options, size_t index, source *from)
{
    roan_slice text = call->argv[index];
    char sign = text.bytes == 1 ? text.data[0] : '\0';
    from->is_new = false;
    from->after = ROAN_STREAM_ID_MIN;
    if (sign == '$' || sign == '+') {
        if (options->is_group)
            return meaningless(call, sign);
        if (from->stream == NULL)
            return true;
        from->after = from->stream->last_id;
        if (sign == '+')
            ROAN_IGNORE(roan_stream_id_step_down(&from->after)); /* nothing was ever added: nothing will be found */
        return true;
    }
    if (sign == '>') {
        from->is_new = true;
        if (options->is_group)
            return true;
        roan_call_error(call, "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> "
                              "<consumer> option.");
        return false;
    }
    if (!roan_stream_id_argument(call, index, &from->after))
        return false;
    from->is_new =
        options->is_group && roan_stream_id_is_equal(from->after, ROAN_STREAM_ID_MAX); /* as in the reference */
    return true;
}

/* Finds the stream, its group and id number i; false after an error was sent. */
static bool look_at(roan_call *call, const read_options *options, size_t i, source *from)
{
    size_t key_index = options->first_key + i;
    *from = (source){0};
    bool is_reached = roan_call_reaches(call, key_index);
    if (call->has_failed)
        return false;
    if (is_reached) {
        roan_call_find_read(call, key_index, &from->place);
        if (!roan_call_is_type(call, &from->place, ROAN_TYPE_STREAM))
            return false;
        from->stream = roan_place_stream(&from->place);
    }
    if (is_reached && options->is_group) {
        roan_slice group = call->argv[options->group_index], key = call->argv[key_index];
        if (from->stream != NULL)
            from->group = roan_stream_group_find(from->stream, group);
        if (from->group == NULL) {
            roan_call_error_printf(
                call, "NOGROUP No such key '%.*s' or consumer group '%.*s' in XREADGROUP with GROUP option",
                ROAN_SLICE_ARG(key), ROAN_SLICE_ARG(group));
            return false;
        }
    }
    return resolve_id(call, options, key_index + options->key_count, from);
}

/* All streams, in the lane's scratch; NULL after an error was sent. */
static source *look_at_all(roan_call *call, const read_options *options)
{
    roan_buffer *scratch = &call->lane->scratch;
    scratch->bytes = 0;
    roan_buffer_reserve(scratch, options->key_count * sizeof(source));
    source *sources = (source *)(void *)scratch->data;
    for (size_t i = 0; i < options->key_count; i++)
        if (!look_at(call, options, i, &sources[i]))
            return NULL;
    return sources;
}

/* ---- serving ---- */

/* The reply as it grows: opened for the first stream that has something. */
typedef struct reading {
    const read_options *options;
    roan_out_mark mark;
    size_t served;
} reading;

static void open_stream(roan_call *call, reading *state, size_t i)
{
    if (state->served++ == 0) {
        if (state->options->key_count > 1)
            state->mark = roan_out_open(call->out);
        else if (call->out->protocol == 3)
            roan_out_map(call->out, 1);
        else
            roan_out_array(call->out, 1);
    }
    if (call->out->protocol == 2)
        roan_out_array(call->out, 2);
    roan_out_bulk(call->out, call->argv[state->options->first_key + i]);
}

/* Entries from `from->after` on, without the id itself; false: there are none. */
static bool seek(const source *from, roan_stream_id after, roan_stream_iterator *iterator)
{
    if (from->stream->length == 0 || !roan_stream_id_is_less(after, from->stream->last_id))
        return false;
    roan_stream_entry entry;
    ROAN_IGNORE(roan_stream_id_step_up(&after)); /* something is above it */
    roan_stream_iterate(iterator, from->stream, after, ROAN_STREAM_ID_MAX, false);
    roan_stream_iterator ahead = *iterator;
    return roan_stream_next(&ahead, &entry);
}

static void serve_plain(roan_call *call, reading *state, size_t i, const source *from)
{
    roan_stream_iterator iterator;
    if (!seek(from, from->after, &iterator))
        return;
    open_stream(call, state, i);
    roan_stream_reply_entries(call->out, &iterator, state->options->count);
}

/* An entry was given to a consumer for the first time, or again after XGROUP SETID. */
static void make_pending(roan_call *call, const source *from, roan_stream_consumer *consumer, roan_stream_id id)
{
    bool is_new;
    roan_stream_pending *pending = roan_stream_group_assign(from->group, consumer, id, &is_new);
    pending->delivered_ms = call->now_ms;
    pending->deliveries = 1;
    consumer->active_ms = call->now_ms;
    roan_stream_effect_claim(call, from->place.name, from->group, id, pending);
}

#define COUNT_AHEAD_MAX 64 /* longer arrays are opened before their size is known */

/* How many entries will be sent, as far as that is worth knowing; COUNT_AHEAD_MAX + 1: more. */
static uint64_t count_ahead(roan_stream_iterator ahead, uint64_t limit)
{
    roan_stream_entry entry;
    uint64_t found = 0;
    while (found < limit && found <= COUNT_AHEAD_MAX && roan_stream_next(&ahead, &entry))
        found++;
    return found;
}

static void serve_new(roan_call *call, reading *state, const source *from, roan_stream_consumer *consumer,
                      roan_stream_iterator *iterator)
{
    roan_stream_entry entry;
    const read_options *options = state->options;
    bool has_moved = false;
    uint64_t limit = options->count == 0 ? UINT64_MAX : options->count, sent = 0;
    uint64_t expected = count_ahead(*iterator, limit);
    roan_out_mark mark = {0};
    if (expected <= COUNT_AHEAD_MAX)
        roan_out_array(call->out, expected);
    else
        mark = roan_out_open(call->out);
    for (; sent < limit && roan_stream_next(iterator, &entry); sent++) {
        roan_stream_id id = entry.id;
        has_moved |= roan_stream_group_advance(from->stream, from->group, id);
        roan_stream_reply_entry(call->out, &entry);
        if (!options->no_ack)
            make_pending(call, from, consumer, id);
    }
    if (expected > COUNT_AHEAD_MAX)
        roan_out_close_array(call->out, mark, sent);
    if (has_moved)
        roan_stream_effect_position(call, from->place.name, from->group);
}

/* What the consumer has and did not acknowledge, behind an id. Entries that were deleted come without fields. */
static void serve_history(roan_call *call, const read_options *options, const source *from,
                          const roan_stream_consumer *consumer)
{
    roan_out_mark mark = roan_out_open(call->out);
    uint64_t limit = options->count == 0 ? UINT64_MAX : options->count, sent = 0;
    roan_stream_id first = from->after;
    ROAN_IGNORE(roan_stream_id_step_up(&first)); /* the highest id means what is new */
    roan_id_cursor at = roan_id_tree_at_least(&consumer->pending, first);
    for (; at.leaf != NULL && sent < limit; roan_id_cursor_next(&at), sent++) {
        roan_stream_id id = roan_id_cursor_id(&at);
        if (roan_stream_reply_one(call->out, from->stream, id)) {
            roan_stream_pending *pending = roan_stream_group_pending(from->group, id);
            pending->delivered_ms = call->now_ms;
            pending->deliveries++;
            continue;
        }
        roan_out_array(call->out, 2);
        roan_stream_reply_id(call->out, id);
        roan_out_null_array(call->out);
    }
    roan_out_close_array(call->out, mark, sent);
}

static void serve_group(roan_call *call, reading *state, size_t i, const source *from)
{
    const read_options *options = state->options;
    roan_stream_iterator iterator;
    bool is_new_consumer, has_new = from->is_new && seek(from, from->group->last_id, &iterator);
    roan_slice name = call->argv[options->group_index + 1];
    roan_stream_consumer *consumer = roan_stream_need_consumer(call, &from->place, from->group, name, &is_new_consumer);
    if (is_new_consumer && options->no_ack)
        roan_stream_effect_consumer(call, from->place.name, from->group, name);
    consumer->seen_ms = call->now_ms;
    if (from->is_new && !has_new)
        return;
    open_stream(call, state, i);
    if (has_new)
        serve_new(call, state, from, consumer, &iterator);
    else
        serve_history(call, options, from, consumer);
    roan_stream_changed_quietly(call);
}

/* ---- waiting ---- */

/* Waits with `$` and `+` replaced by the ids that they are now. */
static void wait_for_streams(roan_call *call, const read_options *options, const source *sources)
{
    roan_block block = {.first_key = options->first_key, .key_count = options->key_count, .key_step = 1,
                        .type = ROAN_TYPE_STREAM, .wakes_without_key = options->is_group, .null_array = true,
                        .timeout_ms = options->timeout_ms};
    size_t ids_at = options->first_key + options->key_count, resolved = 0;
    for (size_t i = 0; i < options->key_count; i++)
        resolved += roan_call_is(call, ids_at + i, "$") || roan_call_is(call, ids_at + i, "+");
    if (resolved == 0 || call->retry != NULL) {
        roan_call_block_on_keys(call, &block);
        return;
    }
    size_t words_bytes = call->argc * sizeof(roan_slice), bytes = words_bytes + resolved * ROAN_STREAM_ID_TEXT_MAX;
    roan_slice *argv = roan_alloc(bytes);
    char *text = (char *)argv + words_bytes;
    memcpy(argv, call->argv, words_bytes);
    for (size_t i = 0; i < options->key_count; i++)
        if (roan_call_is(call, ids_at + i, "$") || roan_call_is(call, ids_at + i, "+")) {
            argv[ids_at + i] = roan_slice_make(text, roan_stream_id_format(text, sources[i].after));
            text += ROAN_STREAM_ID_TEXT_MAX;
        }
    block.argv = argv;
    block.argc = call->argc;
    roan_call_block_on_keys(call, &block);
    roan_free(argv, bytes);
}

static void read_streams(roan_call *call, bool is_group)
{
    read_options options;
    if (!parse_options(call, is_group, &options))
        return;
    if (is_group)
        roan_call_no_effect(call);
    const source *sources = look_at_all(call, &options);
    if (sources == NULL)
        return;
    reading state = {.options = &options};
    for (size_t i = 0; i < options.key_count; i++) {
        if (sources[i].stream == NULL)
            continue;
        if (is_group)
            serve_group(call, &state, i, &sources[i]);
        else
            serve_plain(call, &state, i, &sources[i]);
    }
    if (state.served > 0 && options.key_count > 1 && call->out->protocol == 3)
        roan_out_close_map(call->out, state.mark, state.served);
    else if (state.served > 0 && options.key_count > 1)
        roan_out_close_array(call->out, state.mark, state.served);
    else if (state.served == 0 && options.timeout_ms >= 0)
        wait_for_streams(call, &options, sources);
    else if (state.served == 0)
        roan_out_null_array(call->out);
}

ROAN_COMMAND(xread, .arity = -4, .flags = ROAN_CMD_READ | ROAN_CMD_BLOCKING, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYWORD("STREAMS", 1, -1, 1, 2, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .find_keys = roan_find_keys_xread, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
             .complexity = "O(log N + M) for each stream, with M entries that are read.",
             .summary = "Reads what is new in several streams, and waits for it if asked.",
             .arguments = "[COUNT count:integer] [BLOCK milliseconds:integer] STREAMS streams{key:key... id...}")
{
    read_streams(call, false);
}

ROAN_COMMAND(xreadgroup, .arity = -7, .flags = ROAN_CMD_WRITE | ROAN_CMD_BLOCKING, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYWORD("STREAMS", 4, -1, 1, 2, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .find_keys = roan_find_keys_xread, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
             .complexity = "O(log N + M log P) for each stream, with M entries that are read and P pending ones.",
             .summary = "Reads entries for a consumer of a group: new ones, or those it has not acknowledged.",
             .arguments = "GROUP group-block{group consumer} [COUNT count:integer] [BLOCK milliseconds:integer] "
                          "[NOACK] STREAMS streams{key:key... id...}")
{
    read_streams(call, true);
}
