/* model_stream.c: random operations on a stream, its groups and the tree of ids, and on naive twins, compared at each
 * step.
 *
 * The twin of the tree is a sorted array. The twin of a stream is an array of entries, each with the seed its fields
 * were made from; the twin of a group a list of who has which entry. Small limits of nodes make many of them.
 *
 *     model_stream [seed]      the seed is printed; the same seed repeats the run
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/random.h"
#include "types/stream.h"

#define TREE_IDS_MAX 6000
#define TREE_STEPS 60000
#define ENTRIES_MAX 4000
#define STREAM_STEPS 20000
#define FIELDS_MAX 4
#define CONSUMERS 5

static uint64_t seed;

/* ---- the tree ---- */

typedef struct twin_tree {
    roan_stream_id ids[TREE_IDS_MAX];
    uint64_t values[TREE_IDS_MAX];
    size_t count;
} twin_tree;

static size_t twin_place(const twin_tree *twin, roan_stream_id id)
{
    size_t low = 0, high = twin->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (roan_stream_id_is_less(twin->ids[middle], id))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool twin_has(const twin_tree *twin, size_t place, roan_stream_id id)
{
    return place < twin->count && roan_stream_id_is_equal(twin->ids[place], id);
}

static void insert_both(roan_id_tree *tree, twin_tree *twin, roan_stream_id id, uint64_t value)
{
    bool is_new;
    size_t place = twin_place(twin, id);
    bool expected = !twin_has(twin, place, id);
    if (expected && twin->count == TREE_IDS_MAX)
        return;
    uint64_t *record = roan_id_tree_insert(tree, id, &is_new);
    assert_int_equal(is_new, expected);
    if (expected) {
        memmove(twin->ids + place + 1, twin->ids + place, (twin->count - place) * sizeof *twin->ids);
        memmove(twin->values + place + 1, twin->values + place, (twin->count - place) * sizeof *twin->values);
        twin->ids[place] = id;
        twin->count++;
    } else {
        assert_true(*record == twin->values[place]);
    }
    *record = twin->values[place] = value;
}

static void remove_both(roan_id_tree *tree, twin_tree *twin, roan_stream_id id)
{
    size_t place = twin_place(twin, id);
    bool expected = twin_has(twin, place, id);
    assert_int_equal(roan_id_tree_remove(tree, id), expected);
    if (!expected)
        return;
    twin->count--;
    memmove(twin->ids + place, twin->ids + place + 1, (twin->count - place) * sizeof *twin->ids);
    memmove(twin->values + place, twin->values + place + 1, (twin->count - place) * sizeof *twin->values);
}

static void look_both(const roan_id_tree *tree, const twin_tree *twin, roan_stream_id id)
{
    size_t place = twin_place(twin, id);
    bool has = twin_has(twin, place, id);
    const uint64_t *record = roan_id_tree_find(tree, id);
    assert_int_equal(record != NULL, has);
    assert_true(!has || *record == twin->values[place]);
    roan_id_cursor cursor = roan_id_tree_at_least(tree, id);
    assert_int_equal(cursor.leaf != NULL, place < twin->count);
    for (size_t i = place; i < place + 5 && cursor.leaf != NULL; i++, roan_id_cursor_next(&cursor))
        assert_true(roan_stream_id_is_equal(roan_id_cursor_id(&cursor), twin->ids[i]));
    cursor = roan_id_tree_at_most(tree, id);
    size_t behind = has ? place + 1 : place;
    assert_int_equal(cursor.leaf != NULL, behind > 0);
    for (size_t i = behind; i-- > 0 && cursor.leaf != NULL; roan_id_cursor_previous(&cursor))
        assert_true(roan_stream_id_is_equal(roan_id_cursor_id(&cursor), twin->ids[i]));
}

/* Phases that mostly add, mostly remove, or do both, at the ends or anywhere. */
static void test_tree(void **state)
{
    (void)state;
    roan_random random;
    roan_random_seed(&random, seed);
    twin_tree *twin = calloc(1, sizeof *twin);
    roan_id_tree tree;
    roan_id_tree_init(&tree, sizeof(uint64_t));
    uint64_t next = 1, universe = 100, adds = 50, appends = 0;
    for (unsigned i = 0; i < TREE_STEPS; i++) {
        if (i % 3000 == 0) {
            universe = roan_random_below(&random, 2) == 0 ? 50 : 20000;
            adds = 10 + roan_random_below(&random, 80);
            appends = roan_random_below(&random, 3) * 50;
        }
        uint64_t drawn = roan_random_below(&random, universe);
        roan_stream_id id = {drawn / 7, drawn % 7};
        bool is_append = roan_random_below(&random, 100) < appends;
        if (roan_random_below(&random, 100) < adds)
            insert_both(&tree, twin, is_append ? (roan_stream_id){100000 + next++, 0} : id, roan_random_next(&random));
        else
            remove_both(&tree, twin, is_append && twin->count > 0 ? twin->ids[0] : id);
        look_both(&tree, twin, id);
        if (i % 500 == 0)
            roan_id_tree_check(&tree);
    }
    while (twin->count > 0)
        remove_both(&tree, twin, twin->ids[roan_random_below(&random, twin->count)]);
    roan_id_tree_check(&tree);
    assert_int_equal(tree.count, 0);
    roan_id_tree_done(&tree);
    free(twin);
}

/* ---- streams ---- */

typedef struct twin_entry {
    roan_stream_id id;
    uint64_t seed;
    bool is_live;
    int consumer; /* whose pending entry it is; -1: none */
} twin_entry;

typedef struct model {
    roan_type_context context;
    roan_random random;
    roan_stream *stream;
    roan_stream_group *group;
    twin_entry entries[ENTRIES_MAX];
    size_t count; /* of entries; forgotten ones at the front are dropped now and then */
} model;

/* The words of an entry: most entries have the same names; values are integers of all sizes and strings. */
static void make_fields(uint64_t entry_seed, char texts[2 * FIELDS_MAX][80], roan_slice words[2 * FIELDS_MAX],
                        roan_stream_fields *fields)
{
    roan_random random;
    roan_random_seed(&random, entry_seed);
    bool is_usual = roan_random_below(&random, 5) > 0;
    fields->count = is_usual ? 2 : 1 + roan_random_below(&random, FIELDS_MAX);
    fields->words = words;
    for (size_t i = 0; i < 2 * fields->count; i++) {
        int length;
        if (i % 2 == 0 && is_usual)
            length = snprintf(texts[i], 80, "%s", i == 0 ? "name" : "7");
        else if (roan_random_below(&random, 2) == 0)
            length = snprintf(texts[i], 80, "%lld",
                              (long long)(roan_random_next(&random) >> roan_random_below(&random, 64)));
        else
            length = snprintf(texts[i], 80, "%0*d", (int)roan_random_below(&random, 79), 0);
        words[i] = roan_slice_make(texts[i], (size_t)length);
    }
}

static void check_entry(const twin_entry *twin, roan_stream_entry entry)
{
    char texts[2 * FIELDS_MAX][80], scratch[ROAN_I64_TEXT_MAX];
    roan_slice words[2 * FIELDS_MAX];
    roan_stream_fields fields;
    assert_true(roan_stream_id_is_equal(twin->id, entry.id));
    make_fields(twin->seed, texts, words, &fields);
    assert_int_equal(entry.field_count, fields.count);
    for (size_t i = 0; i < fields.count; i++) {
        roan_packed name, value;
        roan_stream_entry_next(&entry, &name, &value);
        assert_true(roan_slice_equal(roan_packed_text(&name, scratch), words[2 * i]));
        assert_true(roan_slice_equal(roan_packed_text(&value, scratch), words[2 * i + 1]));
    }
}

static roan_stream_id draw_id(model *m)
{
    if (m->count == 0 || roan_random_below(&m->random, 20) == 0)
        return (roan_stream_id){roan_random_below(&m->random, 3), 0};
    roan_stream_id id = m->entries[roan_random_below(&m->random, m->count)].id;
    id.seq += roan_random_below(&m->random, 5) == 0;
    return id;
}

static twin_entry *find_entry(model *m, roan_stream_id id)
{
    for (size_t i = 0; i < m->count; i++)
        if (roan_stream_id_is_equal(m->entries[i].id, id))
            return &m->entries[i];
    return NULL;
}

static void check_range(model *m, const roan_stream *stream, roan_stream_id first, roan_stream_id last,
                        bool is_backwards)
{
    roan_stream_iterator iterator;
    roan_stream_entry entry;
    roan_stream_iterate(&iterator, stream, first, last, is_backwards);
    for (size_t i = 0; i < m->count; i++) {
        const twin_entry *twin = &m->entries[is_backwards ? m->count - 1 - i : i];
        if (!twin->is_live || roan_stream_id_is_less(twin->id, first) || roan_stream_id_is_less(last, twin->id))
            continue;
        assert_true(roan_stream_next(&iterator, &entry));
        check_entry(twin, entry);
    }
    assert_false(roan_stream_next(&iterator, &entry));
}

static size_t live_count(const model *m)
{
    size_t count = 0;
    for (size_t i = 0; i < m->count; i++)
        count += m->entries[i].is_live;
    return count;
}

/* Forgets entries at the front that are neither live nor pending. */
static void tidy_twin(model *m)
{
    size_t gone = 0;
    while (gone < m->count && !m->entries[gone].is_live && m->entries[gone].consumer < 0)
        gone++;
    memmove(m->entries, m->entries + gone, (m->count - gone) * sizeof *m->entries);
    m->count -= gone;
}

static void step_append(model *m)
{
    char texts[2 * FIELDS_MAX][80];
    roan_slice words[2 * FIELDS_MAX];
    roan_stream_fields fields;
    roan_stream_id id;
    tidy_twin(m);
    if (m->count == ENTRIES_MAX)
        return;
    uint64_t jump = roan_random_below(&m->random, 4) == 0
                        ? roan_random_next(&m->random) >> (24 + roan_random_below(&m->random, 40))
                        : 0;
    assert_true(roan_stream_next_id(m->stream, m->stream->last_id.ms + jump, &id));
    uint64_t entry_seed = roan_random_next(&m->random);
    make_fields(entry_seed, texts, words, &fields);
    roan_stream_append(m->stream, &m->context, id, fields);
    m->entries[m->count++] = (twin_entry){.id = id, .seed = entry_seed, .is_live = true, .consumer = -1};
}

static void step_delete(model *m)
{
    roan_stream_id id = draw_id(m);
    twin_entry *twin = find_entry(m, id);
    bool expected = twin != NULL && twin->is_live;
    assert_int_equal(roan_stream_contains(m->stream, id), expected);
    assert_int_equal(roan_stream_delete(m->stream, id), expected);
    if (expected)
        twin->is_live = false;
}

/* Exact trimming as the twin would do it. */
static uint64_t trim_twin(model *m, const roan_stream_trim *trim)
{
    uint64_t removed = 0;
    size_t live = live_count(m);
    for (size_t i = 0; i < m->count; i++) {
        twin_entry *twin = &m->entries[i];
        if (trim->strategy == ROAN_TRIM_LENGTH ? live <= trim->length_max
                                               : !roan_stream_id_is_less(twin->id, trim->min_id))
            break;
        bool is_referenced = roan_stream_id_is_less(m->group->last_id, twin->id) || twin->consumer >= 0;
        if (!twin->is_live || (trim->policy == ROAN_STREAM_ACKED && is_referenced))
            continue;
        if (trim->policy == ROAN_STREAM_DELREF)
            twin->consumer = -1;
        twin->is_live = false;
        live--;
        removed++;
    }
    return removed;
}

static void step_trim(model *m)
{
    roan_stream_trim trim = {.policy = (roan_stream_policy)roan_random_below(&m->random, 3)};
    if (roan_random_below(&m->random, 2) == 0) {
        trim.strategy = ROAN_TRIM_ID;
        trim.min_id = draw_id(m);
    } else {
        trim.strategy = ROAN_TRIM_LENGTH;
        trim.length_max = roan_random_below(&m->random, m->count + 10);
    }
    trim.is_approximate = roan_random_below(&m->random, 2) == 0;
    if (trim.is_approximate)
        trim.limit = roan_random_below(&m->random, 40);
    uint64_t removed = roan_stream_apply_trim(m->stream, &trim);
    if (trim.is_approximate) { /* the same again, exactly: what a replica would be told */
        trim.strategy = ROAN_TRIM_LENGTH;
        trim.length_max = m->stream->length;
    }
    assert_int_equal(removed, trim_twin(m, &trim));
}

static void step_assign(model *m)
{
    char name[8];
    bool is_new;
    if (m->count == 0)
        return;
    twin_entry *twin = &m->entries[roan_random_below(&m->random, m->count)];
    int number = (int)roan_random_below(&m->random, CONSUMERS);
    int length = snprintf(name, sizeof name, "c%d", number);
    roan_slice slice = roan_slice_make(name, (size_t)length);
    roan_stream_consumer *consumer = roan_stream_group_consumer(m->group, slice);
    if (consumer == NULL)
        consumer = roan_stream_group_add_consumer(m->group, slice, 5);
    roan_stream_pending *pending = roan_stream_group_assign(m->group, consumer, twin->id, &is_new);
    assert_int_equal(is_new, twin->consumer < 0);
    assert_ptr_equal(pending->consumer, consumer);
    twin->consumer = number;
    roan_stream_group_advance(m->stream, m->group, twin->id);
}

static void step_forget(model *m)
{
    if (m->count == 0)
        return;
    twin_entry *twin = &m->entries[roan_random_below(&m->random, m->count)];
    assert_int_equal(roan_stream_group_forget(m->group, twin->id), twin->consumer >= 0);
    twin->consumer = -1;
}

static void step_remove_consumer(model *m)
{
    if (m->group->consumers.count == 0)
        return;
    roan_stream_consumer *consumer =
        m->group->consumers.items[roan_random_below(&m->random, m->group->consumers.count)];
    int number = consumer->name.data[1] - '0';
    roan_stream_group *taken = roan_stream_group_take_consumer(m->group, consumer);
    assert_int_equal(taken->consumers.count, 1);
    roan_stream_group_free(taken);
    for (size_t i = 0; i < m->count; i++)
        if (m->entries[i].consumer == number)
            m->entries[i].consumer = -1;
}

static void step_set_last_id(model *m)
{
    roan_stream_id id = m->stream->length > 0 ? roan_stream_last_live_id(m->stream) : m->stream->last_id;
    roan_stream_set_last_id(m->stream, id);
    for (size_t i = 0; i < m->count; i++)
        if (roan_stream_id_is_less(id, m->entries[i].id)) {
            roan_stream_group_forget(m->group, m->entries[i].id);
            m->entries[i].consumer = -1;
        }
    while (m->count > 0 && roan_stream_id_is_less(id, m->entries[m->count - 1].id))
        m->count--;
}

static void check_copy(model *m)
{
    roan_value copy = roan_stream_ops.copy_value((roan_value){.data = m->stream});
    roan_stream_ops.check(copy);
    check_range(m, copy.data, ROAN_STREAM_ID_MIN, ROAN_STREAM_ID_MAX, false);
    assert_true(roan_stream_ops.memory(copy, 0) > 0 && roan_stream_ops.effort(copy) > 0);
    assert_int_equal(roan_stream_group_find(copy.data, ROAN_LITERAL("g"))->pending.count, m->group->pending.count);
    roan_stream_ops.free_value(copy);
}

static void step(model *m, unsigned appends)
{
    uint64_t drawn = roan_random_below(&m->random, 1000);
    if (drawn < appends)
        step_append(m);
    else if (drawn < 850)
        step_delete(m);
    else if (drawn < 930)
        step_assign(m);
    else if (drawn < 980)
        step_forget(m);
    else if (drawn < 990)
        step_trim(m);
    else if (drawn < 995)
        step_remove_consumer(m);
    else
        step_set_last_id(m);
}

static void run(uint64_t run_seed, size_t node_bytes, size_t node_entries)
{
    model *m = calloc(1, sizeof *m);
    roan_random_seed(&m->random, run_seed);
    m->context.stream_node_bytes_max = node_bytes;
    m->context.stream_node_entries_max = node_entries;
    roan_value value = roan_stream_create();
    m->stream = roan_stream_of(value);
    m->group = roan_stream_group_create(ROAN_LITERAL("g"), ROAN_STREAM_ID_MIN, 0);
    roan_stream_groups_add(&m->stream->groups, m->group);
    for (unsigned i = 0; i < STREAM_STEPS; i++) {
        step(m, i % 4000 < 2000 ? 700 : 300);
        assert_int_equal(m->stream->length, live_count(m));
        if (i % 40 != 0)
            continue;
        roan_stream_id a = draw_id(m), b = draw_id(m);
        check_range(m, m->stream, a, b, roan_random_below(&m->random, 2) == 0);
        roan_stream_ops.check(value);
        if (i % 2000 == 0)
            check_copy(m);
    }
    check_range(m, m->stream, ROAN_STREAM_ID_MIN, ROAN_STREAM_ID_MAX, true);
    roan_stream_ops.free_value(value);
    free(m);
}

static void test_stream(void **state)
{
    (void)state;
    run(seed + 1, 4096, 100);
    run(seed + 2, 300, 5);
    run(seed + 3, 0, 0);
    run(seed + 4, 70000, 50);
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tree), cmocka_unit_test(test_stream)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
