/* engine/cmd/stream_common.c: ids as arguments, entries as replies, and the effects of reading in groups; see
 * stream.h. */
#include "engine/cmd/stream.h"

#include "base/macros.h"
#include "engine/notify.h"

#define COUNT_AHEAD_MAX 64 /* longer arrays are opened before their size is known */

void roan_stream_event(roan_call *call, const roan_place *place, const char *event)
{
    roan_stream_changed_quietly(call);
    roan_notify(call->lane, place->db, ROAN_EVENT_STREAM, event, place->name);
}

/* ---- arguments ---- */

static bool invalid_id(roan_call *call)
{
    roan_call_error(call, "ERR Invalid stream ID specified as stream command argument");
    return false;
}

bool roan_stream_id_argument(roan_call *call, size_t index, roan_stream_id *ret_id)
{
    return roan_stream_id_parse(call->argv[index], 0, ret_id, NULL) || invalid_id(call);
}

bool roan_stream_id_or_edge(roan_call *call, size_t index, uint64_t missing_seq, roan_stream_id *ret_id)
{
    roan_slice text = call->argv[index];
    if (text.bytes == 1 && (text.data[0] == '-' || text.data[0] == '+')) {
        *ret_id = text.data[0] == '-' ? ROAN_STREAM_ID_MIN : ROAN_STREAM_ID_MAX;
        return true;
    }
    return roan_stream_id_parse(text, missing_seq, ret_id, NULL) || invalid_id(call);
}

static bool parse_range_end(roan_call *call, size_t index, uint64_t missing_seq, roan_stream_id *ret_id,
                            bool *ret_is_open)
{
    roan_slice text = call->argv[index];
    *ret_is_open = text.bytes > 1 && text.data[0] == '(';
    if (!*ret_is_open)
        return roan_stream_id_or_edge(call, index, missing_seq, ret_id);
    return roan_stream_id_parse(roan_slice_make(text.data + 1, text.bytes - 1), missing_seq, ret_id, NULL) ||
           invalid_id(call);
}

bool roan_stream_range_start(roan_call *call, size_t index, roan_stream_id *ret_id)
{
    bool is_open;
    if (!parse_range_end(call, index, 0, ret_id, &is_open))
        return false;
    if (!is_open || roan_stream_id_step_up(ret_id))
        return true;
    roan_call_error(call, "ERR invalid start ID for the interval");
    return false;
}

bool roan_stream_range_end(roan_call *call, size_t index, roan_stream_id *ret_id)
{
    bool is_open;
    if (!parse_range_end(call, index, UINT64_MAX, ret_id, &is_open))
        return false;
    if (!is_open || roan_stream_id_step_down(ret_id))
        return true;
    roan_call_error(call, "ERR invalid end ID for the interval");
    return false;
}

const roan_stream_id *roan_stream_id_arguments(roan_call *call, size_t first, size_t end)
{
    roan_buffer *scratch = &call->lane->scratch;
    scratch->bytes = 0;
    roan_buffer_reserve(scratch, (end - first) * sizeof(roan_stream_id));
    roan_stream_id *ids = (roan_stream_id *)(void *)scratch->data;
    for (size_t i = first; i < end; i++)
        if (!roan_stream_id_argument(call, i, &ids[i - first]))
            return NULL;
    return ids;
}

bool roan_stream_policy_argument(const roan_call *call, size_t index, roan_stream_policy *ret_policy)
{
    static const char *const words[] = {
        [ROAN_STREAM_KEEPREF] = "keepref", [ROAN_STREAM_DELREF] = "delref", [ROAN_STREAM_ACKED] = "acked"};
    for (unsigned i = 0; i < ROAN_COUNT_OF(words); i++)
        if (roan_call_is(call, index, words[i])) {
            *ret_policy = (roan_stream_policy)i;
            return true;
        }
    return false;
}

void roan_stream_subcommand_error(roan_call *call)
{
    const char *name = roan_slice_is(call->argv[0], "xinfo") ? "XINFO" : "XGROUP";
    roan_slice sub = call->argv[1];
    roan_call_error_printf(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.",
                           (int)ROAN_MIN(sub.bytes, 128u), sub.data, name);
}

void roan_stream_no_group_for_key(roan_call *call, roan_slice group, roan_slice key)
{
    roan_call_error_printf(call, "NOGROUP No such consumer group '%.*s' for key name '%.*s'", ROAN_SLICE_ARG(group),
                           ROAN_SLICE_ARG(key));
}

void roan_stream_no_key_or_group(roan_call *call, roan_slice key, roan_slice group)
{
    roan_call_error_printf(call, "NOGROUP No such key '%.*s' or consumer group '%.*s'", ROAN_SLICE_ARG(key),
                           ROAN_SLICE_ARG(group));
}

/* ---- replies ---- */

void roan_stream_reply_id(roan_out *out, roan_stream_id id)
{
    char text[ROAN_STREAM_ID_TEXT_MAX];
    roan_out_bulk(out, roan_slice_make(text, roan_stream_id_format(text, id)));
}

static ROAN_ALWAYS_INLINE void reply_item(roan_out *out, const roan_packed *item)
{
    char scratch[ROAN_I64_TEXT_MAX];
    roan_out_bulk(out, roan_packed_text(item, scratch));
}

void roan_stream_reply_entry(roan_out *out, roan_stream_entry *entry)
{
    roan_out_array(out, 2);
    roan_stream_reply_id(out, entry->id);
    roan_out_array(out, 2 * entry->field_count);
    for (size_t i = 0; i < entry->field_count; i++) {
        roan_packed name, value;
        roan_stream_entry_next(entry, &name, &value);
        reply_item(out, &name);
        reply_item(out, &value);
    }
}

bool roan_stream_reply_one(roan_out *out, const roan_stream *stream, roan_stream_id id)
{
    roan_stream_iterator iterator;
    roan_stream_entry entry;
    roan_stream_iterate(&iterator, stream, id, id, false);
    if (!roan_stream_next(&iterator, &entry))
        return false;
    roan_stream_reply_entry(out, &entry);
    return true;
}

void roan_stream_reply_entries(roan_out *out, roan_stream_iterator *iterator, uint64_t count)
{
    roan_stream_entry entry;
    roan_stream_iterator ahead = *iterator;
    uint64_t limit = count == 0 ? UINT64_MAX : count, found = 0;
    while (found < limit && found <= COUNT_AHEAD_MAX && roan_stream_next(&ahead, &entry))
        found++;
    if (found <= COUNT_AHEAD_MAX) {
        roan_out_array(out, found);
        for (uint64_t i = 0; i < found && roan_stream_next(iterator, &entry); i++)
            roan_stream_reply_entry(out, &entry);
        return;
    }
    roan_out_mark mark = roan_out_open(out);
    for (found = 0; found < limit && roan_stream_next(iterator, &entry); found++)
        roan_stream_reply_entry(out, &entry);
    roan_out_close_array(out, mark, found);
}

/* ---- groups ---- */

roan_stream_consumer *roan_stream_need_consumer(roan_call *call, const roan_place *place, roan_stream_group *group,
                                                roan_slice name, bool *ret_is_new)
{
    roan_stream_consumer *consumer = roan_stream_group_consumer(group, name);
    bool is_new = consumer == NULL;
    if (is_new) {
        consumer = roan_stream_group_add_consumer(group, name, call->now_ms);
        roan_stream_event(call, place, "xgroup-createconsumer");
    }
    if (ret_is_new != NULL)
        *ret_is_new = is_new;
    return consumer;
}

static roan_slice id_text(char out[ROAN_STREAM_ID_TEXT_MAX], roan_stream_id id)
{
    return roan_slice_make(out, roan_stream_id_format(out, id));
}

void roan_stream_effect_claim(roan_call *call, roan_slice key, const roan_stream_group *group, roan_stream_id id,
                              const roan_stream_pending *pending)
{
    if (call->engine->on_effect == NULL)
        return;
    char id_out[ROAN_STREAM_ID_TEXT_MAX], last_out[ROAN_STREAM_ID_TEXT_MAX];
    char time_out[ROAN_I64_TEXT_MAX], count_out[ROAN_I64_TEXT_MAX];
    roan_slice argv[] = {
        ROAN_LITERAL("XCLAIM"),
        key,
        group->name,
        pending->consumer->name,
        ROAN_LITERAL("0"),
        id_text(id_out, id),
        ROAN_LITERAL("TIME"),
        roan_slice_make(time_out, roan_format_i64(time_out, pending->delivered_ms)),
        ROAN_LITERAL("RETRYCOUNT"),
        roan_slice_make(count_out, roan_format_i64(count_out, (int64_t)pending->deliveries)),
        ROAN_LITERAL("FORCE"),
        ROAN_LITERAL("JUSTID"),
        ROAN_LITERAL("LASTID"),
        id_text(last_out, group->last_id),
    };
    roan_call_effect(call, ROAN_COUNT_OF(argv), argv);
}

void roan_stream_effect_position(roan_call *call, roan_slice key, const roan_stream_group *group)
{
    if (call->engine->on_effect == NULL)
        return;
    char id_out[ROAN_STREAM_ID_TEXT_MAX], read_out[ROAN_I64_TEXT_MAX];
    roan_slice argv[] = {
        ROAN_LITERAL("XGROUP"),
        ROAN_LITERAL("SETID"),
        key,
        group->name,
        id_text(id_out, group->last_id),
        ROAN_LITERAL("ENTRIESREAD"),
        roan_slice_make(read_out, roan_format_i64(read_out, group->entries_read)),
    };
    roan_call_effect(call, ROAN_COUNT_OF(argv), argv);
}

void roan_stream_effect_consumer(roan_call *call, roan_slice key, const roan_stream_group *group, roan_slice consumer)
{
    if (call->engine->on_effect == NULL)
        return;
    roan_slice argv[] = {ROAN_LITERAL("XGROUP"), ROAN_LITERAL("CREATECONSUMER"), key, group->name, consumer};
    roan_call_effect(call, ROAN_COUNT_OF(argv), argv);
}
