/* types/set_inside.h: what the files of the set type share. */
#pragma once

#include "types/element.h"
#include "types/intset.h"
#include "types/pack.h"
#include "types/set.h"

static inline roan_intset *set_ints(roan_value set)
{
    ROAN_ASSERT(set.encoding == ROAN_SET_INTS);
    return set.data;
}

static inline roan_pack *set_pack(roan_value set)
{
    ROAN_ASSERT(set.encoding == ROAN_SET_PACK);
    return set.data;
}

static inline roan_table *set_table(roan_value set)
{
    ROAN_ASSERT(set.encoding == ROAN_SET_TABLE);
    return set.data;
}

/* An item of whatever origin as the one item that equals it in compact forms. */
static inline roan_packed set_canonical(const roan_packed *item)
{
    return item->is_integer ? *item : roan_packed_from_text(item->text);
}

/* The place of a canonical item in a pack; NULL: it is not there. */
const char *roan_set_find_packed(const roan_pack *pack, const roan_packed *wanted);

/* Appends an item to a set that is a pack, whatever the limits say; it is not there yet. */
void roan_set_append_packed(roan_value *set, const roan_packed *item);
