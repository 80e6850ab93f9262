/* engine/cmd/stream.h: what the commands on streams have in common: ids as arguments, entries as replies, effects. */
#pragma once

#include "engine/call.h"
#include "types/stream.h"

/* ---- keys ---- */

/* The stream at the place, NULL when the key is absent. The type was checked. */
static inline roan_stream *roan_place_stream(const roan_place *place)
{
    return place->entry == NULL ? NULL : roan_stream_of(roan_place_value(place));
}

/* A change of groups and pending entries: counted, but the key's value does not count as changed, as in the reference:
 * who watches the key, has a copy of it or waits for it is not told. */
static inline void roan_stream_changed_quietly(roan_call *call)
{
    call->dirty++;
}

/* The same with an event. */
void roan_stream_event(roan_call *call, const roan_place *place, const char *event);

/* ---- arguments ---- */

/* An id in argv[index]; false after an error was sent. A missing sequence is 0. */
bool roan_stream_id_argument(roan_call *call, size_t index, roan_stream_id *ret_id);
/* The same, but "-" and "+" are the lowest and the highest id. */
bool roan_stream_id_or_edge(roan_call *call, size_t index, uint64_t missing_seq, roan_stream_id *ret_id);
/* Ends of a range, with "(" the open ones: as the lowest and the highest id that are inside. */
bool roan_stream_range_start(roan_call *call, size_t index, roan_stream_id *ret_id);
bool roan_stream_range_end(roan_call *call, size_t index, roan_stream_id *ret_id);

/* argv[first] and all behind it, up to `end`; NULL after an error was sent. Valid during the call (the lane's
 * scratch). */
const roan_stream_id *roan_stream_id_arguments(roan_call *call, size_t first, size_t end);

/* KEEPREF, DELREF or ACKED; false: another word. */
bool roan_stream_policy_argument(const roan_call *call, size_t index, roan_stream_policy *ret_policy);

/* "ERR unknown subcommand or wrong number of arguments for '...'" */
void roan_stream_subcommand_error(roan_call *call);

/* "NOGROUP No such consumer group ... for key name ..." */
void roan_stream_no_group_for_key(roan_call *call, roan_slice group, roan_slice key);
/* "NOGROUP No such key ... or consumer group ..." */
void roan_stream_no_key_or_group(roan_call *call, roan_slice key, roan_slice group);

/* ---- replies ---- */

void roan_stream_reply_id(roan_out *out, roan_stream_id id);
/* [id, [name, value, ...]] */
void roan_stream_reply_entry(roan_out *out, roan_stream_entry *entry);
/* The entry of that id alone; false, and nothing is sent, when there is none. */
bool roan_stream_reply_one(roan_out *out, const roan_stream *stream, roan_stream_id id);
/* At most `count` entries (0: all) as an array. */
void roan_stream_reply_entries(roan_out *out, roan_stream_iterator *iterator, uint64_t count);

/* ---- groups ---- */

/* The consumer of that name, made when there is none: with its event, counted as a change. *ret_is_new may be NULL. */
roan_stream_consumer *roan_stream_need_consumer(roan_call *call, const roan_place *place, roan_stream_group *group,
                                                roan_slice name, bool *ret_is_new);

/* What replicas do about a pending entry (XCLAIM), about how far a group has read (XGROUP SETID), and about a consumer
 * (XGROUP CREATECONSUMER). */
void roan_stream_effect_claim(roan_call *call, roan_slice key, const roan_stream_group *group, roan_stream_id id,
                              const roan_stream_pending *pending);
void roan_stream_effect_position(roan_call *call, roan_slice key, const roan_stream_group *group);
void roan_stream_effect_consumer(roan_call *call, roan_slice key, const roan_stream_group *group, roan_slice consumer);
