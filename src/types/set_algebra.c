/* types/set_algebra.c: all of it is one operation, done in batches: the members of one set that are (or are not) in
 * others.
 *
 *     intersection    of the smallest set, those that are in all others
 *     difference      of the first set, those that are in none of the others
 *     union           of each set, those that are in none of the sets before it
 *
 * A batch of members passes one other set after the other and gets smaller; in a table, the look-ups of a batch wait
 * for memory together, and since all tables are walked in the order of the same hash, they lie close to each other.
 * Nothing has to be built, except where many small sets would be asked again and again: those are merged into one table
 * first.
 *
 * What is stored must have the form that the reference gives it, and that depends on the order in which its algorithms
 * add: the union in the order of the sets, the intersection in that of the smallest one into a pack, and a difference
 * whose subtrahends are small first gets all of the first set and then loses the others, in the form which that led to.
 */
#include "types/set_algebra.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "types/set_inside.h"

#define UNITE_SETS_MAX 4 /* more are merged instead of compared pairwise */

/* ---- members of one set that are, or are not, in others ---- */

typedef struct filter {
    const roan_value *others;
    size_t count;
    bool wants;   /* to be in all others; else to be in none */
    size_t *seen; /* members looked at so far */
    roan_set_batch_fn visit;
    void *context;
} filter;

/* The members of a batch that are still in question, as items and as texts. */
typedef struct batch {
    size_t count;
    bool is_canonical, has_texts;
    roan_packed items[ROAN_SET_BATCH];
    roan_slice texts[ROAN_SET_BATCH];
    char scratch[ROAN_SET_BATCH][ROAN_I64_TEXT_MAX];
} batch;

static void make_texts(batch *b)
{
    for (size_t i = 0; i < b->count && !b->has_texts; i++)
        b->texts[i] = roan_packed_text(&b->items[i], b->scratch[i]);
    b->has_texts = true;
}

static void make_canonical(batch *b)
{
    for (size_t i = 0; i < b->count && !b->is_canonical; i++)
        b->items[i] = set_canonical(&b->items[i]);
    b->is_canonical = true;
}

static void find_batch(roan_value other, batch *b, bool *ret_found)
{
    if (other.encoding == ROAN_SET_TABLE) {
        make_texts(b);
        roan_set_contains_many(other, b->texts, b->count, ret_found);
        return;
    }
    make_canonical(b);
    for (size_t i = 0; i < b->count; i++) {
        const roan_packed *item = &b->items[i];
        ret_found[i] = other.encoding == ROAN_SET_PACK
                           ? roan_set_find_packed(set_pack(other), item) != NULL
                           : item->is_integer && roan_intset_contains(set_ints(other), item->integer);
    }
}

/* Keeps those that were found as they should be. */
static void narrow(batch *b, const bool *found, bool wants)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->count; i++) {
        if (found[i] != wants)
            continue;
        b->items[kept] = b->items[i];
        if (b->has_texts)
            b->texts[kept] = b->texts[i];
        kept++;
    }
    b->count = kept;
}

static bool filter_batch(void *context, const roan_packed *items, size_t count)
{
    filter *f = context;
    bool found[ROAN_SET_BATCH];
    batch b;
    *f->seen += count;
    b.count = count;
    b.is_canonical = b.has_texts = false;
    memcpy(b.items, items, count * sizeof *items);
    for (size_t i = 0; i < f->count && b.count > 0; i++) {
        find_batch(f->others[i], &b, found);
        narrow(&b, found, f->wants);
    }
    return b.count == 0 || f->visit(f->context, b.items, b.count);
}

/* `seen` (may be NULL) is counted up before a batch is visited. */
static void visit_filtered(roan_value set, const roan_value *others, size_t count, bool wants, roan_set_batch_fn visit,
                           void *context, size_t *seen)
{
    size_t unseen = 0;
    filter f = {.others = others, .count = count, .wants = wants, .visit = visit, .context = context,
                .seen = seen != NULL ? seen : &unseen};
    roan_set_each_batch(set, filter_batch, &f);
}

/* ---- helpers ---- */

typedef struct sized_set {
    roan_value set;
    size_t size, index;
} sized_set;

static int compare_sizes(const void *left, const void *right)
{
    const sized_set *a = left, *b = right;
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* The smallest first, or last; equally large ones keep their order when the smallest is first. */
static void sort_by_size(roan_value *sets, size_t count, bool smallest_first)
{
    if (count < 2)
        return;
    sized_set *sized = roan_alloc(count * sizeof *sized);
    for (size_t i = 0; i < count; i++)
        sized[i] = (sized_set){.set = sets[i], .size = roan_set_count(sets[i]), .index = i};
    qsort(sized, count, sizeof *sized, compare_sizes);
    for (size_t i = 0; i < count; i++)
        sets[i] = sized[smallest_first ? i : count - 1 - i].set;
    roan_free(sized, count * sizeof *sized);
}

static bool is_among(const roan_value *sets, size_t count, const void *data)
{
    for (size_t i = 0; i < count; i++)
        if (sets[i].data == data)
            return true;
    return false;
}

static size_t sum_of_sizes(const roan_value *sets, size_t count)
{
    size_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += roan_set_count(sets[i]);
    return sum;
}

/* ---- visiting ---- */

static void intersect_sorted(roan_value *sets, size_t count, roan_set_batch_fn visit, void *context, size_t *seen)
{
    size_t others = 1;
    for (size_t i = 1; i < count; i++)
        if (sets[i].data != sets[0].data)
            sets[others++] = sets[i];
    visit_filtered(sets[0], sets + 1, others - 1, true, visit, context, seen);
}

void roan_set_intersect(roan_value *sets, size_t count, roan_set_batch_fn visit, void *context)
{
    sort_by_size(sets, count, true);
    intersect_sorted(sets, count, visit, context, NULL);
}

/* What was seen already, with those who want to know what was not. */
typedef struct merging {
    const roan_type_context *types;
    roan_value seen; /* a table */
    roan_set_batch_fn visit;
    void *context;
    bool has_stopped;
} merging;

static bool merge_batch(void *context, const roan_packed *items, size_t count)
{
    merging *m = context;
    m->has_stopped = !m->visit(m->context, items, count);
    roan_set_add_items(&m->seen, m->types, items, count);
    return !m->has_stopped;
}

static void unite_many(const roan_type_context *types, const roan_value *sets, size_t count, roan_set_batch_fn visit,
                       void *context)
{
    merging m = {.types = types, .visit = visit, .context = context};
    m.seen = roan_set_create_as(types, ROAN_SET_TABLE);
    roan_table_reserve(set_table(m.seen), sum_of_sizes(sets, count) / count);
    for (size_t i = 0; i < count && !m.has_stopped; i++)
        visit_filtered(sets[i], &m.seen, 1, false, merge_batch, &m, NULL);
    roan_set_free(m.seen);
}

/* Notices that the visitor has had enough, across several sets. */
typedef struct stopper {
    roan_set_batch_fn visit;
    void *context;
    bool has_stopped;
} stopper;

static bool visit_or_stop(void *context, const roan_packed *items, size_t count)
{
    stopper *s = context;
    s->has_stopped = !s->visit(s->context, items, count);
    return !s->has_stopped;
}

void roan_set_unite(const roan_type_context *types, roan_value *sets, size_t count, roan_set_batch_fn visit,
                    void *context)
{
    if (count > UNITE_SETS_MAX) {
        unite_many(types, sets, count, visit, context);
        return;
    }
    stopper s = {.visit = visit, .context = context};
    sort_by_size(sets, count, false); /* members of small sets are looked for in large ones */
    for (size_t i = 0; i < count && !s.has_stopped; i++)
        if (!is_among(sets, i, sets[i].data))
            visit_filtered(sets[i], sets, i, false, visit_or_stop, &s, NULL);
}

/* The reference's choice: asking all others for each member of the first set, or going through all sets once. */
static bool is_asking_cheaper(const roan_value *sets, size_t count)
{
    return roan_set_count(sets[0]) * count / 2 <= sum_of_sizes(sets, count);
}

/* A set that is filled with a part of the members of another, which has `total` and was `seen` so far. */
typedef struct target {
    const roan_type_context *types;
    roan_value set;
    size_t total, seen;
} target;

/* A set that has just become a table gets the room that it will need, going by what the members seen so far have led
 * to. */
static void lay_out_target(const target *t)
{
    double ratio = (double)roan_set_count(t->set) / (double)ROAN_MAX(t->seen, 1u);
    roan_table_reserve(set_table(t->set), (uint64_t)(ratio * (double)t->total));
}

static bool add_batch(void *context, const roan_packed *items, size_t count)
{
    target *t = context;
    bool was_table = t->set.encoding == ROAN_SET_TABLE;
    roan_set_add_items(&t->set, t->types, items, count);
    if (!was_table && t->set.encoding == ROAN_SET_TABLE && t->seen < t->total)
        lay_out_target(t);
    return true;
}

static void add_all(target *t, const roan_value *sets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        roan_set_each_batch(sets[i], add_batch, t);
}

/* Asking each other set beats merging them into a table first, unless they are many and small, or one that is slow to
 * ask. */
static bool is_asking_better(const roan_value *sets, size_t count)
{
    if (count < 2 || (count == 2 && sets[1].encoding != ROAN_SET_PACK))
        return true;
    return sum_of_sizes(sets + 1, count - 1) / (count - 1) >= roan_set_count(sets[0]) / 4;
}

void roan_set_subtract(const roan_type_context *types, roan_value *sets, size_t count, roan_set_batch_fn visit,
                       void *context)
{
    if (is_among(sets + 1, count - 1, sets[0].data))
        return;
    if (is_asking_better(sets, count)) {
        sort_by_size(sets + 1, count - 1, false);
        visit_filtered(sets[0], sets + 1, count - 1, false, visit, context, NULL);
        return;
    }
    target merged = {.types = types, .set = roan_set_create_as(types, ROAN_SET_TABLE)};
    roan_table_reserve(set_table(merged.set), sum_of_sizes(sets + 1, count - 1) / (count - 1));
    add_all(&merged, sets + 1, count - 1);
    visit_filtered(sets[0], &merged.set, 1, false, visit, context, NULL);
    roan_set_free(merged.set);
}

/* ---- storing ---- */

static size_t int_entries_max(const roan_type_context *types)
{
    return ROAN_MIN(types->set_int_entries_max, ROAN_INTSET_COUNT_MAX);
}

/* An empty set that will get at least `expected` members of any kind: integers until it is known better, but a table at
 * once where it must become one. */
static target create_target(const roan_type_context *types, size_t expected)
{
    bool is_large = expected > ROAN_MAX(int_entries_max(types), types->set_entries_max);
    target t = {.types = types, .set = roan_set_create_as(types, is_large ? ROAN_SET_TABLE : ROAN_SET_INTS)};
    if (is_large)
        roan_table_reserve(set_table(t.set), expected);
    return t;
}

roan_value roan_set_union(const roan_type_context *types, const roan_value *sets, size_t count)
{
    size_t largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = ROAN_MAX(largest, roan_set_count(sets[i]));
    target t = create_target(types, largest);
    add_all(&t, sets, count);
    return t.set;
}

typedef struct intersection {
    target target;
    bool has_only_integers;
} intersection;

static bool add_common(void *context, const roan_packed *items, size_t count)
{
    intersection *common = context;
    for (size_t i = 0; i < count && common->has_only_integers; i++)
        common->has_only_integers = set_canonical(&items[i]).is_integer;
    return add_batch(&common->target, items, count);
}

static bool add_integers(void *context, const roan_packed *items, size_t count)
{
    roan_value *ints = context;
    roan_intset *set = set_ints(*ints);
    for (size_t i = 0; i < count; i++)
        roan_intset_add(&set, set_canonical(&items[i]).integer);
    ints->data = set;
    return true;
}

roan_value roan_set_intersection(const roan_type_context *types, roan_value *sets, size_t count)
{
    intersection common = {.target.types = types, .has_only_integers = true};
    sort_by_size(sets, count, true);
    common.target.total = roan_set_count(sets[0]);
    common.target.set = roan_set_create_as(types, sets[0].encoding == ROAN_SET_INTS ? ROAN_SET_INTS : ROAN_SET_PACK);
    intersect_sorted(sets, count, add_common, &common, &common.target.seen);
    roan_value set = common.target.set;
    if (!common.has_only_integers || set.encoding == ROAN_SET_INTS || roan_set_count(set) > int_entries_max(types))
        return set;
    roan_value ints = roan_set_create();
    roan_set_each_batch(set, add_integers, &ints);
    roan_set_free(set);
    return ints;
}

static bool remove_batch(void *context, const roan_packed *items, size_t count)
{
    target *t = context;
    roan_set_remove_items(&t->set, items, count);
    return roan_set_count(t->set) > 0;
}

roan_value roan_set_difference(const roan_type_context *types, roan_value *sets, size_t count)
{
    if (is_among(sets + 1, count - 1, sets[0].data))
        return roan_set_create();
    if (is_asking_cheaper(sets, count)) {
        target t = create_target(types, 0);
        t.total = roan_set_count(sets[0]);
        sort_by_size(sets + 1, count - 1, false);
        visit_filtered(sets[0], sets + 1, count - 1, false, add_batch, &t, &t.seen);
        return t.set;
    }
    target t = create_target(types, roan_set_count(sets[0]));
    add_all(&t, sets, 1);
    for (size_t i = 1; i < count && roan_set_count(t.set) > 0; i++)
        roan_set_each_batch(sets[i], remove_batch, &t);
    return t.set;
}
