/* types/stream.h: a stream: entries with ascending ids, appended at the end, removed anywhere, and groups that read
 * them.
 *
 * Appending, and trimming at the beginning, take O(1) (amortised over a node); finding an id takes O(log n).
 */
#pragma once

#include "types/context.h"
#include "types/stream_group.h"
#include "types/stream_node.h"
#include "types/value.h"

typedef struct roan_stream {
    roan_id_tree nodes;            /* roan_stream_node *, by the id of their first entry */
    uint64_t length;               /* live entries */
    uint64_t entries_added;        /* ever */
    roan_stream_id last_id;        /* the highest id ever used */
    roan_stream_id first_id;       /* of the first live entry; zero: none */
    roan_stream_id max_deleted_id; /* the highest that was deleted; zero: none */
    size_t tail_reference_bytes;   /* of the last node, without its counters; 0: not known */
    roan_stream_names groups;      /* roan_stream_group */
} roan_stream;

extern const roan_type_ops roan_stream_ops;

roan_value roan_stream_create(void);

static inline roan_stream *roan_stream_of(roan_value value)
{
    return value.data;
}

static inline roan_stream_group *roan_stream_group_find(const roan_stream *stream, roan_slice name)
{
    return roan_stream_names_find(&stream->groups, name);
}

/* The id that follows the last one in time: the given time, or the step behind the last id. False: ids have run out. */
bool roan_stream_next_id(const roan_stream *stream, uint64_t now_ms, roan_stream_id *ret_id);

/* Appends an entry. Its id is above last_id, and the words' bytes are at most ROAN_STREAM_NODE_BYTES_MAX together. */
void roan_stream_append(roan_stream *stream, const roan_type_context *context, roan_stream_id id,
                        roan_stream_fields fields);

/* XSETID: not below the last live entry. Deleted entries above it are forgotten. */
void roan_stream_set_last_id(roan_stream *stream, roan_stream_id id);

/* Is there a live entry of that id? */
bool roan_stream_contains(const roan_stream *stream, roan_stream_id id);

/* The last live entry's id; the stream is not empty. */
roan_stream_id roan_stream_last_live_id(const roan_stream *stream);

/* ---- reading ---- */

typedef struct roan_stream_iterator {
    const roan_stream *stream;
    const roan_stream_node *node; /* NULL: at the end */
    roan_id_cursor cursor;        /* of the node */
    roan_stream_id base;          /* its first id */
    roan_stream_id first, last;   /* the range */
    unsigned index;               /* the next entry; backwards: the one behind it */
    bool is_backwards;
} roan_stream_iterator;

/* Live entries from id `first` to id `last`, both included; backwards from `last` to `first`. */
void roan_stream_iterate(roan_stream_iterator *iterator, const roan_stream *stream, roan_stream_id first,
                         roan_stream_id last, bool is_backwards);
/* False: there are no more. The stream must not change in between. */
bool roan_stream_next(roan_stream_iterator *iterator, roan_stream_entry *ret_entry);

/* ---- removing ---- */

/* Deletes an entry; false: there is none. Notes max_deleted_id. */
bool roan_stream_delete(roan_stream *stream, roan_stream_id id);

/* What happens to an entry that groups refer to: it goes and they keep their references; their references go, too; it
 * stays. A group refers to an entry that is pending in it, or that it has not read yet. */
typedef enum roan_stream_policy { ROAN_STREAM_KEEPREF, ROAN_STREAM_DELREF, ROAN_STREAM_ACKED } roan_stream_policy;

bool roan_stream_is_referenced(const roan_stream *stream, roan_stream_id id);
/* No group has the entry pending any more; returns how many had it. */
unsigned roan_stream_drop_references(roan_stream *stream, roan_stream_id id);

typedef struct roan_stream_trim {
    enum { ROAN_TRIM_NONE, ROAN_TRIM_LENGTH, ROAN_TRIM_ID } strategy;
    roan_stream_policy policy;
    bool is_approximate;   /* whole nodes only */
    uint64_t limit;        /* of entries removed when approximate; 0: none */
    uint64_t length_max;   /* LENGTH */
    roan_stream_id min_id; /* ID: what is below goes */
} roan_stream_trim;

/* Removes entries from the beginning; returns how many. */
uint64_t roan_stream_apply_trim(roan_stream *stream, const roan_stream_trim *trim);

/* ---- groups: how far they are ---- */

/* May the stream lack a deleted entry at or behind `id`? False for an empty stream. */
bool roan_stream_has_deleted_behind(const roan_stream *stream, roan_stream_id id);

/* How many entries were ever added up to this id; ROAN_STREAM_READ_UNKNOWN where that cannot be told. */
int64_t roan_stream_history_before(const roan_stream *stream, roan_stream_id id);

/* How many entries the group has not read; false: not known. */
bool roan_stream_group_lag(const roan_stream *stream, const roan_stream_group *group, int64_t *ret_lag);

/* The group was given an entry: its last id and its count of entries read follow. False: it was before its last id. */
bool roan_stream_group_advance(const roan_stream *stream, roan_stream_group *group, roan_stream_id id);
