/* types/set_walk.c: visiting the members of a set, in batches, one by one, or a part of them at a time.
 *
 * Compact forms come in their own order: ascending, or as the members came. A table comes in the order of the hash, the
 * same for all sets of an engine: what is looked for in another table by the way lies beside what was looked for
 * before.
 */
#include "types/set_inside.h"

#define SCAN_CHUNK 256 /* a visitor that stops is noticed after so many elements */

/* Collects the elements of a table until a batch is full; reading them begins when they are collected. */
typedef struct collector {
    roan_set_batch_fn visit;
    void *context;
    size_t count;
    bool has_stopped;
    const void *elements[ROAN_SET_BATCH];
} collector;

static void hand_over(collector *batch)
{
    roan_packed items[ROAN_SET_BATCH];
    for (size_t i = 0; i < batch->count; i++)
        items[i] = roan_packed_from_bytes(roan_element_key(batch->elements[i]));
    if (batch->count > 0 && !batch->has_stopped)
        batch->has_stopped = !batch->visit(batch->context, items, batch->count);
    batch->count = 0;
}

static void collect(void *item, void *context)
{
    collector *batch = context;
    ROAN_PREFETCH(item);
    batch->elements[batch->count++] = item;
    if (batch->count == ROAN_SET_BATCH)
        hand_over(batch);
}

static void walk_table(const roan_table *table, roan_set_batch_fn visit, void *context)
{
    collector batch = {.visit = visit, .context = context};
    uint64_t position = 0;
    do
        position = roan_table_scan(table, position, SCAN_CHUNK, collect, &batch);
    while (position != 0 && !batch.has_stopped);
    hand_over(&batch);
}

static void walk_ints(const roan_intset *ints, roan_set_batch_fn visit, void *context)
{
    roan_packed items[ROAN_SET_BATCH];
    for (size_t i = 0, count = roan_intset_count(ints); i < count;) {
        size_t n = 0;
        for (; i < count && n < ROAN_SET_BATCH; i++, n++)
            items[n] = roan_packed_from_integer(roan_intset_at(ints, i));
        if (!visit(context, items, n))
            return;
    }
}

static void walk_pack(const roan_pack *pack, roan_set_batch_fn visit, void *context)
{
    roan_packed items[ROAN_SET_BATCH];
    const char *at = roan_pack_first(pack);
    while (at < roan_pack_end(pack)) {
        size_t n = 0;
        for (; at < roan_pack_end(pack) && n < ROAN_SET_BATCH; n++)
            at = roan_packed_read(at, &items[n]);
        if (!visit(context, items, n))
            return;
    }
}

void roan_set_each_batch(roan_value set, roan_set_batch_fn visit, void *context)
{
    switch ((roan_set_encoding)set.encoding) {
    case ROAN_SET_INTS:
        walk_ints(set_ints(set), visit, context);
        break;
    case ROAN_SET_PACK:
        walk_pack(set_pack(set), visit, context);
        break;
    case ROAN_SET_TABLE:
        walk_table(set_table(set), visit, context);
        break;
    }
}

typedef struct each_one {
    roan_set_visit_fn visit;
    void *context;
} each_one;

static bool visit_each(void *context, const roan_packed *items, size_t count)
{
    const each_one *each = context;
    char scratch[ROAN_I64_TEXT_MAX];
    for (size_t i = 0; i < count; i++)
        if (!each->visit(each->context, roan_packed_text(&items[i], scratch)))
            return false;
    return true;
}

void roan_set_each(roan_value set, roan_set_visit_fn visit, void *context)
{
    each_one each = {.visit = visit, .context = context};
    roan_set_each_batch(set, visit_each, &each);
}

static void visit_element(void *item, void *context)
{
    const each_one *each = context;
    each->visit(each->context, roan_element_key(item));
}

uint64_t roan_set_scan(roan_value set, uint64_t from, size_t wanted, roan_set_visit_fn visit, void *context)
{
    if (set.encoding != ROAN_SET_TABLE) {
        roan_set_each(set, visit, context);
        return 0;
    }
    each_one each = {.visit = visit, .context = context};
    return roan_table_scan(set_table(set), from, wanted, visit_element, &each);
}
