/* model_hash.c: random edits of a hash and of a naive twin under a clock that moves on, compared at each step; runs
 * with few fields that fit into a pack, and with many that do not.
 *
 * Also: different random fields are different, all of them come up, and a scan returns what is there from its start to
 * its end.
 *
 *     model_hash [seed]       the seed is printed; the same seed repeats the run
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "types/hash.h"

#define FIELDS_MAX 1500
#define NAME_BYTES_MAX 300
#define VALUE_BYTES_MAX 400
#define STEPS 12000
#define LIVES_MS 60000
#define TICK_MS 40

typedef struct twin_field {
    bool is_there;
    char value[VALUE_BYTES_MAX];
    size_t value_bytes;
    int64_t expiry_ms;
} twin_field;

typedef struct hash_model {
    roan_type_context context;
    roan_value hash;
    twin_field *fields;
    size_t field_count; /* how many names are in use */
    size_t there;       /* how many fields the twin has */
    int64_t now_ms;
} hash_model;

static uint64_t seed;
static roan_random source;

static uint64_t draw(uint64_t bound)
{
    return roan_random_below(&source, bound);
}

/* Names of many shapes, with their number in the last four digits: integers, short ones, and long ones. */
static roan_slice name_of(size_t number, char scratch[NAME_BYTES_MAX])
{
    if (number % 7 == 0)
        return roan_slice_make(scratch, roan_format_u64(scratch, (number * number + 1) * 10000 + number));
    size_t pad = number % 31 == 0 ? 250 : number % 5;
    memset(scratch, '-', pad);
    return roan_slice_make(scratch, pad + (size_t)snprintf(scratch + pad, NAME_BYTES_MAX - pad, "%04zu", number));
}

static size_t number_of(roan_slice name)
{
    assert_true(name.bytes >= 4);
    return (size_t)strtoul((char[5]){name.data[name.bytes - 4], name.data[name.bytes - 3], name.data[name.bytes - 2],
                                     name.data[name.bytes - 1]}, NULL, 10);
}

static roan_slice value_of(const twin_field *twin)
{
    return roan_slice_make(twin->value, twin->value_bytes);
}

static void draw_value(twin_field *twin)
{
    switch (draw(4)) {
    case 0:
        twin->value_bytes = roan_format_i64(twin->value, (int64_t)(roan_random_next(&source) >> draw(64)));
        return;
    case 1:
        twin->value_bytes = draw(draw(20) == 0 ? VALUE_BYTES_MAX : 64);
        break;
    default:
        twin->value_bytes = draw(12);
    }
    for (size_t i = 0; i < twin->value_bytes; i++)
        twin->value[i] = (char)draw(256);
}

static bool twin_is_expired(const hash_model *m, const twin_field *twin)
{
    return twin->expiry_ms != ROAN_HASH_NEVER && twin->expiry_ms <= m->now_ms;
}

static void assert_field(const hash_model *m, size_t number)
{
    char name[NAME_BYTES_MAX], scratch[ROAN_I64_TEXT_MAX];
    const twin_field *twin = &m->fields[number];
    roan_hash_place place;
    roan_slice field = name_of(number, name), value;
    assert_int_equal(roan_hash_find(m->hash, field, &place), twin->is_there);
    bool is_live = twin->is_there && !twin_is_expired(m, twin);
    assert_int_equal(roan_hash_get(m->hash, field, m->now_ms, scratch, &value), is_live);
    if (!twin->is_there)
        return;
    assert_int_equal(roan_hash_place_expiry(&place), twin->expiry_ms);
    assert_true(roan_slice_equal(roan_hash_place_value(&place, scratch), value_of(twin)));
    int64_t integer, twin_integer = 0;
    bool is_integer = roan_parse_i64(value_of(twin), &twin_integer);
    assert_int_equal(roan_hash_place_integer(&place, &integer), is_integer);
    if (is_integer)
        assert_true(integer == twin_integer);
}

/* Batches of random names, in the pairs' step of two. */
static void assert_batch(const hash_model *m)
{
    char names[ROAN_ELEMENT_BATCH][NAME_BYTES_MAX], scratch[ROAN_I64_TEXT_MAX];
    size_t numbers[ROAN_ELEMENT_BATCH], count = 1 + draw(ROAN_ELEMENT_BATCH);
    roan_slice words[2 * ROAN_ELEMENT_BATCH];
    roan_hash_place places[ROAN_ELEMENT_BATCH];
    for (size_t i = 0; i < count; i++) {
        numbers[i] = draw(m->field_count);
        words[2 * i] = words[2 * i + 1] = name_of(numbers[i], names[i]);
    }
    roan_hash_prefetch(m->hash, words, 2, count);
    roan_hash_find_batch(m->hash, words, 2, count, places);
    for (size_t i = 0; i < count; i++) {
        const twin_field *twin = &m->fields[numbers[i]];
        assert_int_equal(roan_hash_place_is_there(&places[i]), twin->is_there);
        if (twin->is_there)
            assert_true(roan_slice_equal(roan_hash_place_value(&places[i], scratch), value_of(twin)));
    }
}

typedef struct census {
    const hash_model *m;
    bool *seen;
    size_t count;
    bool is_distinct;
} census;

static void count_field(const roan_hash_field *field, void *context)
{
    census *all = context;
    size_t number = number_of(field->field);
    const twin_field *twin = &all->m->fields[number];
    assert_true(twin->is_there && !twin_is_expired(all->m, twin));
    assert_true(roan_slice_equal(field->value, value_of(twin)));
    assert_true(field->expiry_ms == twin->expiry_ms);
    assert_true(!all->is_distinct || !all->seen[number]);
    all->seen[number] = true;
    all->count++;
}

static size_t live_count(const hash_model *m)
{
    size_t count = 0;
    for (size_t i = 0; i < m->field_count; i++)
        count += m->fields[i].is_there && !twin_is_expired(m, &m->fields[i]);
    return count;
}

static void assert_all(const hash_model *m)
{
    roan_hash_ops.check(m->hash);
    assert_int_equal(roan_hash_count(m->hash), m->there);
    int64_t soonest = roan_hash_soonest(m->hash);
    for (size_t i = 0; i < m->field_count; i++) {
        assert_field(m, i);
        if (m->fields[i].is_there && m->fields[i].expiry_ms != ROAN_HASH_NEVER)
            assert_true(soonest <= m->fields[i].expiry_ms);
    }
    assert_batch(m);
    size_t live = live_count(m);
    census all = {.m = m, .seen = calloc(m->field_count, sizeof(bool)), .is_distinct = true};
    roan_hash_each(m->hash, m->now_ms, count_field, &all);
    assert_int_equal(all.count, live);
    size_t wanted = draw(m->there + 3);
    memset(all.seen, 0, m->field_count);
    all.count = 0;
    roan_hash_sample(m->hash, &source, wanted, m->now_ms, count_field, &all);
    assert_int_equal(all.count, ROAN_MIN(wanted, live));
    free(all.seen);
}

static bool may_be_pack(const hash_model *m)
{
    char scratch[NAME_BYTES_MAX];
    for (size_t i = 0; i < m->field_count; i++)
        if (m->fields[i].is_there &&
            (m->fields[i].expiry_ms != ROAN_HASH_NEVER || m->fields[i].value_bytes > m->context.hash_value_bytes_max ||
             name_of(i, scratch).bytes > m->context.hash_value_bytes_max))
            return false;
    return m->there <= m->context.hash_entries_max;
}

static int64_t draw_expiry(const hash_model *m)
{
    return draw(3) == 0 ? m->now_ms + 1 + (int64_t)draw(LIVES_MS) : ROAN_HASH_NEVER;
}

static void put(hash_model *m, size_t number, bool expires)
{
    char name[NAME_BYTES_MAX];
    roan_slice field = name_of(number, name);
    twin_field *twin = &m->fields[number];
    roan_hash_place place;
    roan_hash_find(m->hash, field, &place);
    draw_value(twin);
    twin->expiry_ms = expires ? draw_expiry(m) : ROAN_HASH_NEVER;
    int64_t integer;
    if (roan_parse_i64(value_of(twin), &integer))
        roan_hash_put_integer(&m->hash, &m->context, &place, field, integer, twin->expiry_ms);
    else
        roan_hash_put(&m->hash, &m->context, &place, field, value_of(twin), twin->expiry_ms);
    m->there += !twin->is_there;
    twin->is_there = true;
    assert_field(m, number);
}

static void take(hash_model *m, size_t number)
{
    char name[NAME_BYTES_MAX];
    assert_int_equal(roan_hash_remove(&m->hash, name_of(number, name)), m->fields[number].is_there);
    m->there -= m->fields[number].is_there;
    m->fields[number].is_there = false;
    assert_field(m, number);
}

static void set_expiry(hash_model *m, size_t number, int64_t expiry_ms)
{
    char name[NAME_BYTES_MAX];
    roan_slice field = name_of(number, name);
    roan_hash_place place;
    if (!roan_hash_find(m->hash, field, &place))
        return;
    m->fields[number].expiry_ms = expiry_ms;
    roan_hash_set_expiry_at(&m->hash, &m->context, &place, field, expiry_ms);
    assert_field(m, number);
}

static void expired_field(const roan_hash_field *field, void *context)
{
    hash_model *m = context;
    twin_field *twin = &m->fields[number_of(field->field)];
    assert_true(twin->is_there && twin_is_expired(m, twin));
    assert_true(roan_slice_equal(field->value, value_of(twin)));
    twin->is_there = false;
    m->there--;
}

/* Fields that expired by then are certainly taken out; later ones perhaps (table.h). */
#define LATE_MS 128

static size_t overdue_count(hash_model *m)
{
    m->now_ms -= LATE_MS;
    size_t count = m->there - live_count(m);
    m->now_ms += LATE_MS;
    return count;
}

/* Expires in batches until nothing is due; the bound must then be right. */
static void expire_all(hash_model *m)
{
    size_t due = m->there - live_count(m), overdue = overdue_count(m), gone = 0;
    if (due > 0)
        assert_true(roan_hash_soonest(m->hash) <= m->now_ms);
    for (size_t batch = 1; batch != 0; gone += batch)
        batch = roan_hash_expire(&m->hash, m->now_ms, 1 + draw(ROAN_HASH_EXPIRE_MAX), expired_field, m);
    assert_in_range(gone, overdue, due);
    assert_int_equal(overdue_count(m), 0);
    bool any_expires = false;
    for (size_t i = 0; i < m->field_count; i++)
        any_expires |= m->fields[i].is_there && m->fields[i].expiry_ms != ROAN_HASH_NEVER;
    assert_int_equal(roan_hash_soonest(m->hash) != INT64_MAX, any_expires);
    assert_true(roan_hash_soonest(m->hash) > m->now_ms - 256);
}

static void open_model(hash_model *m, size_t field_count, size_t entries_max)
{
    *m = (hash_model){.field_count = field_count, .now_ms = 1000000000000};
    m->context.hash_entries_max = entries_max;
    m->context.hash_value_bytes_max = 64;
    m->context.fields = (roan_table_context){.ops = &roan_field_table_ops, .epoch_ms = m->now_ms};
    roan_hash_secret_init(&m->context.fields.secret, seed);
    m->fields = calloc(field_count, sizeof *m->fields);
    m->hash = roan_hash_create();
}

static void close_model(hash_model *m)
{
    roan_hash_ops.free_value(m->hash);
    free(m->fields);
}

static void assert_copy(const hash_model *m)
{
    hash_model twin = *m;
    twin.hash = roan_hash_ops.copy_value(m->hash);
    assert_int_equal(twin.hash.encoding, m->hash.encoding);
    assert_all(&twin);
    assert_true(roan_hash_ops.memory(twin.hash, 0) > 0 && roan_hash_ops.effort(twin.hash) > 0);
    roan_hash_ops.free_value(twin.hash);
}

static void run_model(size_t field_count, size_t entries_max, bool expires)
{
    hash_model m;
    open_model(&m, field_count, entries_max);
    for (unsigned step = 0; step < STEPS; step++) {
        size_t number = draw(field_count);
        unsigned kind = (unsigned)draw(10);
        if (kind < 5)
            put(&m, number, expires);
        else if (kind < 8 || !expires)
            take(&m, number);
        else
            set_expiry(&m, number, draw_expiry(&m));
        assert_true(m.hash.encoding == ROAN_HASH_TABLE || field_count > 100 || may_be_pack(&m));
        m.now_ms += (int64_t)draw(TICK_MS);
        if (draw(200) == 0)
            expire_all(&m);
        if (draw(step < 300 ? 10 : 600) == 0)
            assert_all(&m);
    }
    assert_all(&m);
    assert_true(m.hash.encoding == ROAN_HASH_TABLE || may_be_pack(&m));
    if (m.there > 0)
        assert_copy(&m);
    close_model(&m);
}

static void a_small_hash_holds_what_was_put_into_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        run_model(1 + draw(31), 512, false);
}

static void a_hash_grows_out_of_its_pack(void **state)
{
    (void)state;
    run_model(60, 20, false);
    run_model(600, 512, false);
}

static void a_large_hash_holds_what_was_put_into_it(void **state)
{
    (void)state;
    run_model(FIELDS_MAX, 128, false);
}

static void fields_expire_when_they_are_due(void **state)
{
    (void)state;
    run_model(20, 512, true);
    run_model(300, 512, true);
    run_model(FIELDS_MAX, 512, true);
}

static void a_new_hash_has_the_last_value_of_each_field(void **state)
{
    (void)state;
    for (unsigned run = 0; run < 300; run++) {
        hash_model m;
        open_model(&m, 1 + draw(50), draw(4) == 0 ? 8 : 512);
        roan_hash_ops.free_value(m.hash);
        size_t count = 1 + draw(40);
        roan_slice pairs[80];
        char names[40][NAME_BYTES_MAX], values[40][VALUE_BYTES_MAX];
        for (size_t i = 0; i < count; i++) {
            size_t number = draw(m.field_count);
            twin_field *twin = &m.fields[number];
            draw_value(twin);
            twin->expiry_ms = ROAN_HASH_NEVER;
            m.there += !twin->is_there;
            twin->is_there = true;
            memcpy(values[i], twin->value, twin->value_bytes);
            pairs[2 * i] = name_of(number, names[i]);
            pairs[2 * i + 1] = roan_slice_make(values[i], twin->value_bytes);
        }
        m.hash = roan_hash_create_from(&m.context, pairs, count);
        assert_true(may_be_pack(&m) || m.hash.encoding == ROAN_HASH_TABLE);
        assert_all(&m);
        close_model(&m);
    }
}

/* ---- random fields ---- */

typedef struct tally {
    size_t *drawn;
} tally;

static void tally_field(const roan_hash_field *field, void *context)
{
    tally *all = context;
    all->drawn[number_of(field->field)]++;
}

/* Every field is drawn about equally often, one by one and in samples. */
static void assert_fair(size_t field_count, size_t wanted)
{
    hash_model m;
    open_model(&m, field_count, 512);
    for (size_t i = 0; i < field_count; i++)
        put(&m, i, false);
    tally all = {.drawn = calloc(field_count, sizeof(size_t))};
    size_t rounds = 400 * field_count / wanted;
    for (size_t i = 0; i < rounds; i++)
        if (wanted == 1)
            assert_true(roan_hash_random(m.hash, &source, m.now_ms, tally_field, &all));
        else
            roan_hash_sample(m.hash, &source, wanted, m.now_ms, tally_field, &all);
    for (size_t i = 0; i < field_count; i++)
        assert_in_range(all.drawn[i], 250, 560); /* 400 with a deviation of 20 */
    free(all.drawn);
    close_model(&m);
}

static void random_fields_are_fair(void **state)
{
    (void)state;
    assert_fair(20, 1);
    assert_fair(20, 7);
    assert_fair(60, 1);
    assert_fair(60, 8);
    assert_fair(60, 50);
}

static void random_fields_are_not_expired(void **state)
{
    (void)state;
    hash_model m;
    open_model(&m, 100, 512);
    for (size_t i = 0; i < 100; i++) {
        put(&m, i, false);
        if (i != 50)
            set_expiry(&m, i, m.now_ms + 1);
    }
    m.now_ms += 1;
    census all = {.m = &m, .seen = calloc(100, sizeof(bool))};
    roan_hash_sample(m.hash, &source, 5, m.now_ms, count_field, &all);
    assert_int_equal(all.count, 1);
    for (unsigned i = 0; i < 200; i++)
        ROAN_IGNORE(roan_hash_random(m.hash, &source, m.now_ms, count_field, &all)); /* may give up */
    take(&m, 50);
    assert_false(roan_hash_random(m.hash, &source, m.now_ms, count_field, &all));
    free(all.seen);
    close_model(&m);
}

/* ---- scanning ---- */

static void mark_seen(const roan_hash_field *field, void *context)
{
    census *all = context;
    all->seen[number_of(field->field)] = true;
}

/* While a scan goes on, other fields come and go in numbers. */
static void scans_return_what_stays(void **state)
{
    (void)state;
    for (unsigned run = 0; run < 20; run++) {
        hash_model m;
        open_model(&m, FIELDS_MAX, 32);
        bool *stays = calloc(FIELDS_MAX, sizeof *stays), grows = draw(2) == 0;
        for (size_t i = 0; i < FIELDS_MAX; i++)
            if (draw(grows ? 8 : 2) == 0)
                put(&m, i, false);
        for (size_t i = 0; i < FIELDS_MAX; i++)
            stays[i] = m.fields[i].is_there && draw(grows ? 2 : 20) == 0;
        census all = {.m = &m, .seen = calloc(FIELDS_MAX, sizeof(bool))};
        uint64_t cursor = 0;
        do {
            cursor = roan_hash_scan(m.hash, cursor, 1 + draw(30), m.now_ms, mark_seen, &all);
            for (size_t i = 0; i < 60; i++) {
                size_t number = draw(FIELDS_MAX);
                if (grows)
                    put(&m, number, false);
                else if (!stays[number])
                    take(&m, number);
            }
        } while (cursor != 0);
        for (size_t i = 0; i < FIELDS_MAX; i++)
            assert_true(!stays[i] || all.seen[i]);
        free(all.seen);
        free(stays);
        close_model(&m);
    }
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : roan_random_entropy() | 1;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    roan_random_seed(&source, seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_hash_holds_what_was_put_into_it),
        cmocka_unit_test(a_hash_grows_out_of_its_pack),
        cmocka_unit_test(a_large_hash_holds_what_was_put_into_it),
        cmocka_unit_test(fields_expire_when_they_are_due),
        cmocka_unit_test(a_new_hash_has_the_last_value_of_each_field),
        cmocka_unit_test(random_fields_are_fair),
        cmocka_unit_test(random_fields_are_not_expired),
        cmocka_unit_test(scans_return_what_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
