/* engine/cmd/stream.c: entries of streams: XADD, XLEN, XRANGE, XREVRANGE, XTRIM, XSETID.
 *
 * XADD and XTRIM share one parser of options. Replicas are told what came of them: XADD with the id it chose, and
 * trimming that was approximate or limited as the exact one that leaves the same entries.
 */
#include "engine/cmd/stream.h"
#include "engine/command_keys.h"

#include "base/macros.h"

#define LIMIT_NODES 100            /* of approximate trimming, when no LIMIT is given */
#define LIMIT_DEFAULT 10000        /* the same where nodes have no limit */
#define LIMIT_MAX INT64_C(1000000)

typedef struct add_options {
    roan_stream_trim trim;
    bool no_mkstream;
    bool has_policy;
    bool has_limit;
    bool has_id;              /* XADD: not "*" */
    bool has_partial_id;      /* "ms-*" */
    roan_stream_id id;
    size_t id_index;          /* XADD: where the id stands */
    size_t strategy_index;    /* MAXLEN or MINID */
    size_t threshold_index;
    size_t limit_index;       /* LIMIT; 0: none */
} add_options;

/* ---- options ---- */

/* The threshold behind MAXLEN or MINID at argv[*index], which is moved to it. */
static bool parse_strategy(roan_call *call, size_t *index, bool is_length, add_options *options)
{
    roan_stream_trim *trim = &options->trim;
    size_t at = *index;
    if (trim->strategy != ROAN_TRIM_NONE) {
        roan_call_error(call, "ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
        return false;
    }
    options->strategy_index = at++;
    if (at + 1 < call->argc && (roan_call_is(call, at, "~") || roan_call_is(call, at, "=")))
        trim->is_approximate = roan_call_is(call, at++, "~");
    options->threshold_index = at;
    *index = at;
    if (!is_length) {
        trim->strategy = ROAN_TRIM_ID;
        return roan_stream_id_argument(call, at, &trim->min_id);
    }
    int64_t length;
    trim->strategy = ROAN_TRIM_LENGTH;
    if (!roan_call_integer(call, at, &length, NULL))
        return false;
    if (length < 0) {
        roan_call_error(call, "ERR The MAXLEN argument must be >= 0.");
        return false;
    }
    trim->length_max = (uint64_t)length;
    return true;
}

static bool parse_limit(roan_call *call, size_t index, add_options *options)
{
    int64_t limit;
    if (!roan_call_integer(call, index + 1, &limit, NULL))
        return false;
    if (limit < 0) {
        roan_call_error(call, "ERR The LIMIT argument must be >= 0.");
        return false;
    }
    options->limit_index = index;
    options->has_limit = true;
    options->trim.limit = (uint64_t)limit;
    return true;
}

static bool parse_policy(roan_call *call, size_t index, add_options *options)
{
    if (!roan_stream_policy_argument(call, index, &options->trim.policy))
        return false;
    if (!options->has_policy) {
        options->has_policy = true;
        return true;
    }
    roan_call_syntax_error(call);
    return false;
}

static bool parse_new_id(roan_call *call, size_t index, add_options *options)
{
    options->id_index = index;
    if (roan_call_is(call, index, "*"))
        return true;
    options->has_id = true;
    if (roan_stream_id_parse(call->argv[index], 0, &options->id, &options->has_partial_id))
        return true;
    roan_call_error(call, "ERR Invalid stream ID specified as stream command argument");
    return false;
}

/* One option at argv[*index], which is moved to its last word; false: an error was sent, or it is no option. */
static bool parse_option(roan_call *call, bool is_add, size_t *index, add_options *options)
{
    bool has_more = *index + 1 < call->argc;
    if (has_more && (roan_call_is(call, *index, "maxlen") || roan_call_is(call, *index, "minid")))
        return parse_strategy(call, index, roan_call_is(call, *index, "maxlen"), options);
    if (has_more && roan_call_is(call, *index, "limit"))
        return parse_limit(call, (*index)++, options);
    if (is_add && roan_call_is(call, *index, "nomkstream")) {
        options->no_mkstream = true;
        return true;
    }
    return parse_policy(call, *index, options);
}

/* What the options say together. */
static bool settle_limit(roan_call *call, bool is_add, add_options *options)
{
    roan_stream_trim *trim = &options->trim;
    if (trim->limit > 0 && trim->strategy == ROAN_TRIM_NONE) {
        roan_call_error(call, "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
        return false;
    }
    if (!is_add && trim->strategy == ROAN_TRIM_NONE) {
        roan_call_error(call, "ERR syntax error, XTRIM must be called with a trimming strategy");
        return false;
    }
    if (options->has_limit && !trim->is_approximate) {
        roan_call_error(call, "ERR syntax error, LIMIT cannot be used without the special ~ option");
        return false;
    }
    if (trim->is_approximate && !options->has_limit) {
        size_t entries = call->engine->types.stream_node_entries_max;
        trim->limit = entries == 0                         ? LIMIT_DEFAULT
                      : entries >= LIMIT_MAX / LIMIT_NODES ? LIMIT_MAX
                                                           : entries * LIMIT_NODES;
    }
    return true;
}

/* Options of XADD, and its id, or of XTRIM; false after an error was sent. */
static bool parse_options(roan_call *call, bool is_add, add_options *options)
{
    *options = (add_options){0};
    for (size_t i = 2; i < call->argc; i++) {
        if (is_add && call->argv[i].bytes == 1 && call->argv[i].data[0] == '*') {
            options->id_index = i;
            break;
        }
        if (parse_option(call, is_add, &i, options))
            continue;
        if (call->has_failed)
            return false;
        if (!is_add) {
            roan_call_syntax_error(call);
            return false;
        }
        if (!parse_new_id(call, i, options))
            return false;
        break;
    }
    return settle_limit(call, is_add, options);
}

/* ---- effects ---- */

/* The call again with its id, its strategy and its threshold replaced, exact and without a limit. */
static void effect_exact(roan_call *call, const add_options *options, const roan_stream *stream, roan_stream_id id)
{
    roan_buffer words = {0};
    char id_text[ROAN_STREAM_ID_TEXT_MAX], threshold_text[ROAN_STREAM_ID_TEXT_MAX];
    const roan_stream_trim *trim = &options->trim;
    bool by_id = trim->strategy == ROAN_TRIM_ID && trim->policy != ROAN_STREAM_ACKED && stream->length > 0;
    roan_buffer_reserve(&words, call->argc * sizeof(roan_slice));
    roan_slice *argv = (roan_slice *)(void *)words.data;
    size_t argc = 0;
    for (size_t i = 0; i < call->argc; i++) {
        if (options->limit_index != 0 && i == options->limit_index) {
            i++;
            continue;
        }
        argv[argc] = call->argv[i];
        if (options->id_index != 0 && i == options->id_index)
            argv[argc] = roan_slice_make(id_text, roan_stream_id_format(id_text, id));
        if (trim->is_approximate && i == options->strategy_index)
            argv[argc] = by_id ? ROAN_LITERAL("MINID") : ROAN_LITERAL("MAXLEN");
        if (trim->is_approximate && i + 1 == options->threshold_index)
            argv[argc] = ROAN_LITERAL("=");
        if (trim->is_approximate && i == options->threshold_index)
            argv[argc] = roan_slice_make(threshold_text,
                                         by_id ? roan_stream_id_format(threshold_text, stream->first_id)
                                               : roan_format_u64(threshold_text, stream->length));
        argc++;
    }
    roan_call_effect(call, argc, argv);
    roan_buffer_done(&words);
}

/* ---- XADD ---- */

/* The id of the new entry; false after an error was sent. */
static bool choose_id(roan_call *call, const add_options *options, const roan_stream *stream, roan_stream_id *ret_id)
{
    roan_stream_id last = stream->last_id, id = options->id;
    bool is_fine = true;
    if (last.ms == UINT64_MAX && last.seq == UINT64_MAX) {
        roan_call_error(call, "ERR The stream has exhausted the last possible ID, unable to add more items");
        return false;
    }
    if (!options->has_id) {
        is_fine = roan_stream_next_id(stream, (uint64_t)call->now_ms, &id);
    } else if (options->has_partial_id && id.ms == last.ms) {
        is_fine = last.seq < UINT64_MAX;
        id.seq = last.seq + 1;
    }
    if (is_fine && roan_stream_id_is_less(last, id)) {
        *ret_id = id;
        return true;
    }
    roan_call_error(call, "ERR The ID specified in XADD is equal or smaller than the target stream top item");
    return false;
}

static bool fits(roan_call *call, roan_stream_fields fields)
{
    size_t bytes = 0;
    for (size_t i = 0; i < 2 * fields.count; i++)
        bytes += fields.words[i].bytes;
    if (ROAN_LIKELY(bytes <= ROAN_STREAM_NODE_BYTES_MAX))
        return true;
    roan_call_error(call, "ERR Elements are too large to be stored");
    return false;
}

/* Appends to the stream at the place, which is made when it is missing, and trims it. */
static void add(roan_call *call, roan_place *place, const add_options *options, roan_stream_fields fields)
{
    static const roan_stream empty = {0};
    roan_stream *stream = roan_place_stream(place);
    roan_stream_id id;
    if (!choose_id(call, options, stream == NULL ? &empty : stream, &id) || !fits(call, fields))
        return;
    if (stream == NULL) {
        roan_value value = roan_stream_create();
        stream = roan_stream_of(value);
        roan_place_create(call, place, ROAN_TYPE_STREAM, value, ROAN_EXPIRY_NONE);
    }
    roan_stream_append(stream, &call->engine->types, id, fields);
    roan_stream_reply_id(call->out, id);
    roan_call_changed(call, place, ROAN_EVENT_STREAM, "xadd");
    if (options->trim.strategy != ROAN_TRIM_NONE && roan_stream_apply_trim(stream, &options->trim) > 0)
        roan_call_changed_event(call, place, ROAN_EVENT_STREAM, "xtrim");
    if (call->engine->on_effect != NULL &&
        (!options->has_id || options->has_partial_id || options->trim.is_approximate))
        effect_exact(call, options, stream, id);
}

ROAN_COMMAND(xadd, .arity = -5, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY_NOTED(1, "An update, as it may remove entries, too.", ROAN_KEY_RW | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_STREAM, .since = "5.0.0",
             .complexity = "O(1), and O(N) for N entries that are trimmed.",
             .summary = "Appends an entry to a stream, which is made if needed, and may trim it.",
             .arguments = "key:key [NOMKSTREAM^6.2.0] "
                          "[trim{strategy<MAXLEN|MINID^6.2.0> [operator<=@equal|~@approximately>] threshold "
                          "[LIMIT count:integer^6.2.0]}] id-selector<*@auto-id|id> data{field value}...",
             .tips = "nondeterministic_output",
             .history = "6.2.0|Options NOMKSTREAM and LIMIT, trimming by MINID.\n7.0.0|Ids of the form `ms-*`.")
{
    add_options options;
    roan_place place;
    if (!parse_options(call, true, &options))
        return;
    size_t fields_at = options.id_index + 1;
    if (options.id_index == 0 || call->argc < fields_at + 2 || (call->argc - fields_at) % 2 != 0) {
        roan_call_arity_error(call);
        return;
    }
    if (options.has_id && !options.has_partial_id && roan_stream_id_is_zero(options.id)) {
        roan_call_error(call, "ERR The ID specified in XADD must be greater than 0-0");
        return;
    }
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STREAM))
        return;
    if (place.entry == NULL && options.no_mkstream) {
        roan_out_null(call->out);
        return;
    }
    roan_stream_fields fields = {.words = call->argv + fields_at, .count = (call->argc - fields_at) / 2};
    add(call, &place, &options, fields);
}

/* ---- looking ---- */

ROAN_COMMAND(xlen, .arity = 2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0", .complexity = "O(1)",
             .summary = "Counts the entries of a stream.", .arguments = "key:key")
{
    roan_place place;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STREAM))
        return;
    const roan_stream *stream = roan_place_stream(&place);
    roan_out_integer(call->out, stream == NULL ? 0 : (int64_t)stream->length);
}

/* COUNT n, which may be repeated, from argv[4] on; -1: none. */
static bool parse_range_count(roan_call *call, int64_t *ret_count)
{
    *ret_count = -1;
    for (size_t i = 4; i < call->argc; i += 2) {
        if (!roan_call_is(call, i, "count") || i + 1 == call->argc) {
            roan_call_syntax_error(call);
            return false;
        }
        if (!roan_call_integer(call, i + 1, ret_count, NULL))
            return false;
        *ret_count = ROAN_MAX(*ret_count, 0);
    }
    return true;
}

static void range(roan_call *call, bool is_backwards)
{
    roan_stream_id first, last;
    roan_stream_iterator iterator;
    roan_place place;
    int64_t count;
    if (!roan_stream_range_start(call, is_backwards ? 3 : 2, &first) ||
        !roan_stream_range_end(call, is_backwards ? 2 : 3, &last) || !parse_range_count(call, &count))
        return;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STREAM))
        return;
    if (place.entry == NULL) {
        roan_out_array(call->out, 0);
        return;
    }
    if (count == 0) {
        roan_out_null_array(call->out);
        return;
    }
    roan_stream_iterate(&iterator, roan_place_stream(&place), first, last, is_backwards);
    roan_stream_reply_entries(call->out, &iterator, count < 0 ? 0 : (uint64_t)count);
}

ROAN_COMMAND(xrange, .arity = -4, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
             .complexity = "O(log N + M) for M of N entries.",
             .summary = "Reads the entries of a stream between two ids.",
             .arguments = "key:key start end [COUNT count:integer]", .history = "6.2.0|Ranges with open ends.")
{
    range(call, false);
}

ROAN_COMMAND(xrevrange, .arity = -4, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
             .complexity = "O(log N + M) for M of N entries.",
             .summary = "Reads the entries of a stream between two ids, the last ones first.",
             .arguments = "key:key end start [COUNT count:integer]", .history = "6.2.0|Ranges with open ends.")
{
    range(call, true);
}

/* ---- trimming ---- */

ROAN_COMMAND(xtrim, .arity = -4, .flags = ROAN_CMD_WRITE, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
             .complexity = "O(N) for N removed entries; whole nodes of them go at once.",
             .summary = "Removes entries from the beginning of a stream.",
             .arguments = "key:key trim{strategy<MAXLEN|MINID^6.2.0> [operator<=@equal|~@approximately>] threshold "
                          "[LIMIT count:integer^6.2.0]}",
             .tips = "nondeterministic_output",
             .history = "6.2.0|Trimming by MINID, option LIMIT.")
{
    add_options options;
    roan_place place;
    if (!parse_options(call, false, &options))
        return;
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STREAM))
        return;
    roan_stream *stream = roan_place_stream(&place);
    uint64_t removed = stream == NULL ? 0 : roan_stream_apply_trim(stream, &options.trim);
    if (removed > 0) {
        roan_call_changed(call, &place, ROAN_EVENT_STREAM, "xtrim");
        call->dirty += removed - 1;
        if (call->engine->on_effect != NULL && options.trim.is_approximate)
            effect_exact(call, &options, stream, ROAN_STREAM_ID_MIN);
    }
    roan_out_integer(call->out, (int64_t)removed);
}

/* ---- XSETID ---- */

typedef struct set_id_options {
    int64_t entries_added; /* -1: not given */
    roan_stream_id max_deleted_id;
} set_id_options;

static bool parse_set_id(roan_call *call, roan_stream_id id, set_id_options *options)
{
    *options = (set_id_options){.entries_added = -1};
    for (size_t i = 3; i < call->argc; i += 2) {
        bool has_more = i + 1 < call->argc;
        if (has_more && roan_call_is(call, i, "entriesadded")) {
            if (!roan_call_integer(call, i + 1, &options->entries_added, NULL))
                return false;
            if (options->entries_added < 0) {
                roan_call_error(call, "ERR entries_added must be positive");
                return false;
            }
        } else if (has_more && roan_call_is(call, i, "maxdeletedid")) {
            if (!roan_stream_id_argument(call, i + 1, &options->max_deleted_id))
                return false;
            if (roan_stream_id_is_less(id, options->max_deleted_id)) {
                roan_call_error(call,
                                "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
                return false;
            }
        } else {
            roan_call_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* What does not go with the stream as it is; NULL: nothing. */
static const char *set_id_problem(const roan_stream *stream, roan_stream_id id, const set_id_options *options)
{
    if (roan_stream_id_is_less(id, stream->max_deleted_id))
        return "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";
    if (stream->length == 0)
        return NULL;
    if (roan_stream_id_is_less(id, roan_stream_last_live_id(stream)))
        return "ERR The ID specified in XSETID is smaller than the target stream top item";
    if (options->entries_added >= 0 && stream->length > (uint64_t)options->entries_added)
        return "ERR The entries_added specified in XSETID is smaller than the target stream length";
    return NULL;
}

ROAN_COMMAND(xsetid, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
             .complexity = "O(1)", .summary = "Sets the last id of a stream, and its counters; made for replication.",
             .arguments = "key:key last-id [ENTRIESADDED entries-added:integer^7.0.0] "
                          "[MAXDELETEDID max-deleted-id^7.0.0]",
             .history = "7.0.0|Options ENTRIESADDED and MAXDELETEDID.")
{
    roan_stream_id id;
    set_id_options options;
    roan_place place;
    if (!roan_stream_id_argument(call, 2, &id) || !parse_set_id(call, id, &options))
        return;
    if (!roan_call_find_write(call, 1, &place)) {
        roan_call_error(call, "ERR no such key");
        return;
    }
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STREAM))
        return;
    roan_stream *stream = roan_place_stream(&place);
    const char *problem = set_id_problem(stream, id, &options);
    if (problem != NULL) {
        roan_call_error(call, problem);
        return;
    }
    roan_stream_set_last_id(stream, id);
    if (options.entries_added >= 0)
        stream->entries_added = (uint64_t)options.entries_added;
    if (!roan_stream_id_is_zero(options.max_deleted_id))
        stream->max_deleted_id = options.max_deleted_id;
    roan_stream_event(call, &place, "xsetid");
    roan_out_ok(call->out);
}
