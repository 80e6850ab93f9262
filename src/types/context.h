/* types/context.h: what the values of an engine share: limits of compact encodings, and what tables of elements need.
 *
 * Belongs to the engine, which copies the limits from its configuration whenever that changes.
 */
#pragma once

#include "types/table.h"

typedef struct roan_type_context {
    /* Compact forms hold at most this many elements, none longer than so many bytes. */
    size_t hash_entries_max, hash_value_bytes_max;
    size_t set_int_entries_max, set_entries_max, set_value_bytes_max;
    size_t zset_entries_max, zset_value_bytes_max;
    int64_t list_size;            /* list-max-listpack-size: elements of a node, or (negative) a class of bytes */
    int64_t list_compress_depth;
    size_t stream_node_bytes_max; /* 0: no limit */
    size_t stream_node_entries_max;
    roan_table_context elements;  /* tables of roan_element that do not expire: members of sets and sorted sets */
    roan_table_context fields;    /* tables of roan_element whose number is an expiry: fields of hashes */
} roan_type_context;
