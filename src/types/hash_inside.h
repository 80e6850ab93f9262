/* types/hash_inside.h: what the files of hashes share: the table form, and showing elements and pairs. */
#pragma once

#include "types/hash.h"

#define TABLE_BATCH 16 /* elements fetched ahead while all are walked */

typedef struct hash_table {
    roan_table table;
    int64_t soonest_ms; /* no later than the first field expires; INT64_MAX: none does */
} hash_table;

static inline roan_pack *pack_of(roan_value value)
{
    ROAN_ASSERT(value.encoding == ROAN_HASH_PACK);
    return value.data;
}

static inline hash_table *table_of(roan_value value)
{
    ROAN_ASSERT(value.encoding == ROAN_HASH_TABLE);
    return value.data;
}

static inline roan_hash_field field_of_element(const roan_element *element)
{
    roan_element_view view = roan_element_look(element);
    return (roan_hash_field){.field = roan_slice_make(view.key, view.key_bytes),
                             .value = roan_slice_make(view.value, view.value_bytes),
                             .expiry_ms = roan_element_has_number(element) ? (int64_t)roan_element_number(element)
                                                                           : ROAN_HASH_NEVER};
}

static inline bool element_is_expired(const roan_element *element, int64_t now_ms)
{
    return roan_element_has_number(element) && (int64_t)roan_element_number(element) <= now_ms;
}
