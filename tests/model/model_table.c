/* model_table.c: random operations on the engine's table and on a naive twin, compared at each step.
 *
 * The twin is an array indexed by the key's number: which entry is there, and when it expires. Keys come from a small
 * universe, so that every operation meets present and absent keys. Three universes: any keys; keys whose hashes begin
 * with the same bits (deep, lopsided directories); few keys (tables that empty again and again). In checked builds the
 * table's own check runs after each step while the table is small, otherwise now and then.
 *
 *     model_table [seed]      the seed is printed; the same seed repeats the run
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
#include "engine/entry.h"

#define KEYS_MAX 20000
#define EPOCH_MS INT64_C(1700000000000)
#define NO_EXPIRY INT64_C(-1)

typedef struct model_key {
    char name[24];
    size_t bytes;
    uint64_t hash;
    roan_entry *entry;  /* NULL: absent */
    int64_t expiry_ms;
    bool is_pinned;     /* must be seen by the scan that runs */
    bool was_seen;
} model_key;

typedef struct model {
    roan_table_context context;
    roan_table table;
    roan_random random;
    model_key *keys;
    uint32_t *places;   /* open hash table over the keys: place in keys + 1 */
    size_t place_mask;
    size_t key_count, present, expiring;
    int64_t now_ms;
    uint32_t expire_slot;
    uint64_t steps;
    bool is_scanning;
    uint64_t scan_at;
} model;

static uint64_t seed;

/* ---- set-up ---- */

/* Fills the universe with keys whose hashes share their first `shared_bits`. */
static void choose_keys(model *m, size_t count, unsigned shared_bits)
{
    m->keys = calloc(count, sizeof *m->keys);
    m->key_count = count;
    uint64_t number = 0;
    for (size_t i = 0; i < count; number++) {
        model_key *key = &m->keys[i];
        key->bytes = (size_t)snprintf(key->name, sizeof key->name, "k%llu", (unsigned long long)number);
        key->hash = roan_hash(&m->context.secret, key->name, key->bytes);
        if (shared_bits == 0 || key->hash >> (64 - shared_bits) == UINT64_C(0x5a5a5a5a5a5a5a5a) >> (64 - shared_bits))
            i++;
    }
}

static void index_keys(model *m)
{
    m->place_mask = 1;
    while (m->place_mask < 4 * m->key_count)
        m->place_mask *= 2;
    m->places = calloc(m->place_mask--, sizeof *m->places);
    for (size_t i = 0; i < m->key_count; i++) {
        size_t place = m->keys[i].hash & m->place_mask;
        while (m->places[place] != 0)
            place = (place + 1) & m->place_mask;
        m->places[place] = (uint32_t)i + 1;
    }
}

static void model_init(model *m, size_t count, unsigned shared_bits)
{
    memset(m, 0, sizeof *m);
    roan_hash_secret_init(&m->context.secret, seed);
    m->context.ops = &roan_entry_table_ops;
    m->context.epoch_ms = EPOCH_MS;
    m->now_ms = EPOCH_MS + 1000000;
    roan_random_seed(&m->random, seed + count + shared_bits);
    roan_table_init(&m->table, &m->context);
    choose_keys(m, count, shared_bits);
    index_keys(m);
}

static void model_done(model *m)
{
    roan_table_clear(&m->table);
    roan_table_check(&m->table);
    assert_int_equal(m->table.count, 0);
    free(m->keys);
    free(m->places);
}

static uint64_t draw(model *m, uint64_t bound)
{
    return roan_random_below(&m->random, bound);
}

static roan_slice name_of(const model_key *key)
{
    return roan_slice_make(key->name, key->bytes);
}

static model_key *key_of_entry(model *m, const roan_entry *entry)
{
    roan_slice name = roan_entry_key(entry);
    uint64_t hash = roan_hash(&m->context.secret, name.data, name.bytes);
    for (size_t place = hash & m->place_mask; m->places[place] != 0; place = (place + 1) & m->place_mask)
        if (roan_slice_equal(name_of(&m->keys[m->places[place] - 1]), name))
            return &m->keys[m->places[place] - 1];
    fail_msg("an entry that was never inserted");
    return NULL;
}

/* ---- operations ---- */

static int64_t draw_expiry(model *m)
{
    switch (draw(m, 4)) {
    case 0:
        return m->now_ms + 1 + (int64_t)draw(m, 1000);
    case 1:
        return m->now_ms + (int64_t)draw(m, 10000000);
    case 2:
        return draw(m, 8) == 0 ? INT64_MAX - (int64_t)draw(m, 3) : m->now_ms + 200;
    default:
        return NO_EXPIRY;
    }
}

static roan_entry *make_entry(model *m, const model_key *key, int64_t expiry_ms)
{
    char value[300];
    size_t bytes = draw(m, draw(m, 8) == 0 ? sizeof value : 24);
    memset(value, 'v', sizeof value);
    return roan_entry_create_string(roan_table_arena(&m->table), name_of(key), roan_slice_make(value, bytes),
                                    expiry_ms != NO_EXPIRY, expiry_ms == NO_EXPIRY ? 0 : expiry_ms);
}

static void note(model *m, model_key *key, roan_entry *entry, int64_t expiry_ms)
{
    m->expiring -= key->entry != NULL && key->expiry_ms != NO_EXPIRY;
    m->present -= key->entry != NULL;
    key->entry = entry;
    key->expiry_ms = expiry_ms;
    m->present += entry != NULL;
    m->expiring += entry != NULL && expiry_ms != NO_EXPIRY;
    if (entry == NULL)
        key->is_pinned = false;
}

static void find(model *m, model_key *key, roan_spot *spot)
{
    roan_table_prefetch_slots(&m->table, key->hash);
    roan_table_prefetch_item(&m->table, key->hash);
    assert_ptr_equal(roan_table_find(&m->table, key->hash, name_of(key), spot), key->entry);
}

static void put(model *m, model_key *key)
{
    roan_spot spot;
    int64_t expiry_ms = draw_expiry(m);
    find(m, key, &spot);
    roan_entry *entry = make_entry(m, key, expiry_ms), *old = key->entry;
    if (old == NULL)
        roan_table_insert(&m->table, key->hash, &spot, entry);
    else
        roan_table_replace(&m->table, key->hash, &spot, entry);
    note(m, key, entry, expiry_ms);
    if (old != NULL)
        roan_entry_free(m->table.arena, old);
    find(m, key, &spot);
}

static void take(model *m, model_key *key)
{
    roan_spot spot;
    find(m, key, &spot);
    if (key->entry == NULL)
        return;
    roan_entry *entry = roan_table_remove(&m->table, key->hash, &spot);
    assert_ptr_equal(entry, key->entry);
    roan_entry_free(m->table.arena, entry);
    note(m, key, NULL, NO_EXPIRY);
    find(m, key, &spot);
}

static void change_expiry(model *m, model_key *key)
{
    roan_spot spot;
    int64_t expiry_ms = draw_expiry(m);
    find(m, key, &spot);
    if (key->entry == NULL)
        return;
    roan_entry *entry = key->entry;
    if (entry->flags & ROAN_ENTRY_EXPIRES && expiry_ms != NO_EXPIRY)
        memcpy(entry + 1, &expiry_ms, sizeof expiry_ms);
    else
        entry = roan_entry_move(m->table.arena, m->table.arena, entry, name_of(key), expiry_ms != NO_EXPIRY, expiry_ms);
    roan_table_replace(&m->table, key->hash, &spot, entry);
    note(m, key, entry, expiry_ms);
}

static void take_expired(model *m)
{
    void *expired[16], *inside[16];
    roan_due due = {.max = 1 + draw(m, ROAN_COUNT_OF(expired)), .taken = expired, .inside = inside};
    m->now_ms += (int64_t)draw(m, 300);
    roan_table_take_expired(&m->table, m->now_ms, &m->expire_slot, &due);
    assert_true(due.taken_count <= due.max && due.inside_count == 0);
    for (size_t i = 0; i < due.taken_count; i++) {
        model_key *key = key_of_entry(m, expired[i]);
        assert_ptr_equal(key->entry, expired[i]);
        assert_true(key->expiry_ms != NO_EXPIRY && key->expiry_ms <= m->now_ms);
        note(m, key, NULL, NO_EXPIRY);
        roan_entry_free(m->table.arena, expired[i]);
    }
}

/* Everything that is due by now goes within few walks, and nothing else. */
static void take_all_expired(model *m)
{
    m->now_ms += 256; /* columns are a little coarse: what is due now is seen then */
    for (unsigned walks = 0; walks < 8;) {
        void *expired[16], *inside[16];
        roan_due due = {.max = ROAN_COUNT_OF(expired), .taken = expired, .inside = inside};
        roan_table_take_expired(&m->table, m->now_ms, &m->expire_slot, &due);
        for (size_t i = 0; i < due.taken_count; i++) {
            note(m, key_of_entry(m, expired[i]), NULL, NO_EXPIRY);
            roan_entry_free(m->table.arena, expired[i]);
        }
        walks += m->expire_slot == 0;
    }
    for (size_t i = 0; i < m->key_count; i++)
        if (m->keys[i].entry != NULL && m->keys[i].expiry_ms != NO_EXPIRY)
            assert_true(m->keys[i].expiry_ms > m->now_ms - 256);
}

/* ---- looking ---- */

static void visit(void *item, void *context)
{
    const roan_entry *entry = item;
    model *m = context;
    model_key *key = key_of_entry(m, entry);
    assert_ptr_equal(key->entry, entry);
    key->was_seen = true;
}

/* A scan goes on a little: what was there all the time must have been seen at its end. */
static void scan_on(model *m)
{
    if (!m->is_scanning) {
        for (size_t i = 0; i < m->key_count; i++) {
            m->keys[i].is_pinned = m->keys[i].entry != NULL;
            m->keys[i].was_seen = false;
        }
        m->scan_at = 0;
    }
    m->scan_at = roan_table_scan(&m->table, m->scan_at, 1 + draw(m, 20), visit, m);
    m->is_scanning = m->scan_at != 0;
    assert_int_equal(m->scan_at & (UINT64_MAX >> ROAN_SCAN_BITS), 0);
    for (size_t i = 0; !m->is_scanning && i < m->key_count; i++)
        if (m->keys[i].is_pinned)
            assert_true(m->keys[i].was_seen);
}

static void look_around(model *m)
{
    void *sample[8];
    const roan_entry *entry = roan_table_random(&m->table, &m->random);
    assert_int_equal(entry == NULL, m->present == 0);
    if (entry != NULL)
        assert_ptr_equal(key_of_entry(m, entry)->entry, entry);
    bool expiring_only = draw(m, 2) == 0;
    size_t count = roan_table_sample(&m->table, &m->random, expiring_only, ROAN_COUNT_OF(sample), sample);
    assert_int_equal(count == 0, (expiring_only ? m->expiring : m->present) == 0);
    for (size_t i = 0; i < count; i++) {
        const model_key *key = key_of_entry(m, sample[i]);
        assert_ptr_equal(key->entry, sample[i]);
        assert_true(!expiring_only || key->expiry_ms != NO_EXPIRY);
        for (size_t j = 0; j < i; j++)
            assert_ptr_not_equal(sample[i], sample[j]);
    }
}

static void check(model *m)
{
    assert_int_equal(m->table.count, m->present);
    assert_int_equal(m->table.expiring_count, m->expiring);
    if (ROAN_IS_CHECKED ? m->present < 60 || m->steps % 64 == 0 : m->steps % 256 == 0)
        roan_table_check(&m->table);
}

/* ---- the runs ---- */

/* `growth` of 100 steps insert, the others take away; the rest of the operations in between. */
static void run_phase(model *m, unsigned steps, unsigned growth)
{
    for (unsigned i = 0; i < steps; i++, m->steps++) {
        model_key *key = &m->keys[draw(m, m->key_count)];
        switch (draw(m, 16)) {
        case 0:
            change_expiry(m, key);
            break;
        case 1:
            if (draw(m, 4) == 0)
                take_expired(m);
            break;
        case 2:
            scan_on(m);
            break;
        case 3:
            look_around(m);
            break;
        default:
            if (draw(m, 100) < growth)
                put(m, key);
            else
                take(m, key);
            break;
        }
        check(m);
    }
}

static void run(size_t keys, unsigned shared_bits, unsigned phases)
{
    model m;
    model_init(&m, keys, shared_bits);
    unsigned steps = (unsigned)ROAN_MIN(keys * 2, (size_t)6000);
    for (unsigned phase = 0; phase < phases; phase++) {
        run_phase(&m, steps, 20 + (unsigned)draw(&m, 79));
        run_phase(&m, steps, 95);
        run_phase(&m, steps, 3);
        take_all_expired(&m);
    }
    model_done(&m);
}

static void any_keys(void **state)
{
    (void)state;
    run(3000, 0, 1);
}

static void keys_with_a_common_beginning_of_their_hashes(void **state)
{
    (void)state;
    run(2000, 5, 1);
    run(300, 8, 1);
}

static void tables_that_empty_again_and_again(void **state)
{
    (void)state;
    for (size_t keys = 1; keys < 60; keys += 1 + keys / 3)
        run(keys, 0, 8);
}

static void random_entries_are_uniform(void **state)
{
    (void)state;
    model m;
    enum { KEYS = 1000, DRAWS = 200 * KEYS };
    model_init(&m, KEYS, 0);
    for (size_t i = 0; i < KEYS; i++)
        put(&m, &m.keys[i]);
    unsigned *hits = calloc(KEYS, sizeof *hits);
    roan_entry **sorted = calloc(KEYS, sizeof(*sorted));
    for (size_t i = 0; i < KEYS; i++)
        sorted[i] = m.keys[i].entry;
    for (size_t gap = KEYS / 2; gap > 0; gap /= 2) /* by address, to be found quickly */
        for (size_t i = gap; i < KEYS; i++)
            for (size_t j = i; j >= gap && sorted[j - gap] > sorted[j]; j -= gap) {
                roan_entry *swapped = sorted[j];
                sorted[j] = sorted[j - gap];
                sorted[j - gap] = swapped;
            }
    for (size_t i = 0; i < DRAWS; i++) {
        const roan_entry *entry = roan_table_random(&m.table, &m.random);
        size_t low = 0, high = KEYS;
        while (high - low > 1)
            *(sorted[(low + high) / 2] <= entry ? &low : &high) = (low + high) / 2;
        assert_ptr_equal(sorted[low], entry);
        hits[low]++;
    }
    double chi = 0, expected = (double)DRAWS / KEYS;
    for (size_t i = 0; i < KEYS; i++)
        chi += (hits[i] - expected) * (hits[i] - expected) / expected;
    assert_true(chi > KEYS - 6 * 45 && chi < KEYS + 6 * 45); /* six deviations of sqrt(2 * KEYS) */
    free(hits);
    free((void *)sorted);
    model_done(&m);
}

/* Grows to many segments under a running scan and shrinks again. */
static void a_scan_survives_growth_and_shrinking(void **state)
{
    (void)state;
    model m;
    model_init(&m, KEYS_MAX / 4, 0);
    for (size_t i = 0; i < 500; i++)
        put(&m, &m.keys[i]);
    scan_on(&m);
    for (size_t i = 500; i < m.key_count; i++) {
        put(&m, &m.keys[i]);
        if (i % 100 == 0 && m.is_scanning)
            scan_on(&m);
    }
    while (m.is_scanning)
        scan_on(&m);
    scan_on(&m);
    for (size_t i = m.key_count; i > 50; i--) {
        take(&m, &m.keys[i - 1]);
        if (i % 40 == 0 && m.is_scanning)
            scan_on(&m);
    }
    while (m.is_scanning)
        scan_on(&m);
    roan_table_check(&m.table);
    model_done(&m);
}

/* Laid out for too many, too few and about as many as come; what was there stays. */
static void a_table_that_is_laid_out_is_the_same_table(void **state)
{
    (void)state;
    static const size_t expected[] = {10, 300, 2000, KEYS_MAX / 4, 8 * KEYS_MAX};
    for (size_t round = 0; round < ROAN_COUNT_OF(expected); round++) {
        model m;
        model_init(&m, KEYS_MAX / 4, 0);
        for (size_t i = 0; i < 200 * round; i++)
            put(&m, &m.keys[i]);
        roan_table_reserve(&m.table, expected[round]);
        roan_table_check(&m.table);
        for (size_t i = 0; i < m.key_count; i++)
            put(&m, &m.keys[i]);
        roan_table_check(&m.table);
        scan_on(&m);
        while (m.is_scanning)
            scan_on(&m);
        for (size_t i = 0; i < m.key_count; i++) {
            take(&m, &m.keys[i]);
            if (i % 1000 == 0)
                roan_table_check(&m.table);
        }
        model_done(&m);
    }
}

/* There and back again; where it has been nothing is left, and it can be used. */
static void a_table_that_moves_is_the_same_table(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 20, 3000, KEYS_MAX / 4};
    for (size_t round = 0; round < ROAN_COUNT_OF(counts); round++) {
        model m;
        roan_table elsewhere;
        model_init(&m, KEYS_MAX / 4, 0);
        for (size_t i = 0; i < counts[round]; i++)
            put(&m, &m.keys[i]);
        uint64_t count = m.table.count;
        roan_table_move(&elsewhere, &m.table);
        assert_int_equal(m.table.count, 0);
        assert_int_equal(elsewhere.count, count);
        roan_table_check(&m.table);
        roan_table_check(&elsewhere);
        roan_table_clear(&m.table);
        roan_table_move(&m.table, &elsewhere);
        roan_table_check(&elsewhere);
        for (size_t i = 0; i < m.key_count; i++) {
            put(&m, &m.keys[i]);
            if (i % 1000 == 0)
                roan_table_check(&m.table);
        }
        scan_on(&m);
        while (m.is_scanning)
            scan_on(&m);
        model_done(&m);
    }
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : roan_random_entropy() | 1;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_keys),
        cmocka_unit_test(keys_with_a_common_beginning_of_their_hashes),
        cmocka_unit_test(tables_that_empty_again_and_again),
        cmocka_unit_test(random_entries_are_uniform),
        cmocka_unit_test(a_scan_survives_growth_and_shrinking),
        cmocka_unit_test(a_table_that_is_laid_out_is_the_same_table),
        cmocka_unit_test(a_table_that_moves_is_the_same_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
