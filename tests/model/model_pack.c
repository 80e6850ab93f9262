/* model_pack.c: random edits of a pack and of a table of elements, and of naive twins, compared at each step.
 *
 * Texts are drawn so that every form of a packed item occurs: short, middle and long strings, integers of every
 * width, and texts that only look like integers.
 *
 *     model_pack [seed]       the seed is printed; the same seed repeats the run
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
#include "types/element.h"
#include "types/pack.h"

#define TEXT_BYTES_MAX 5000
#define ITEMS_MAX 60
#define STEPS 20000

typedef struct text {
    char data[TEXT_BYTES_MAX];
    size_t bytes;
} text;

static uint64_t seed;
static roan_random source;

static uint64_t draw(uint64_t bound)
{
    return roan_random_below(&source, bound);
}

static roan_slice slice_of(const text *t)
{
    return roan_slice_make(t->data, t->bytes);
}

static void draw_text(text *t)
{
    static const char *const odd[] = {"",
                                      "0",
                                      "-0",
                                      "00",
                                      "+1",
                                      "127",
                                      "128",
                                      "-1",
                                      "4095",
                                      "4096",
                                      "-4096",
                                      "-4097",
                                      "32767",
                                      "-32769",
                                      "8388607",
                                      "-8388609",
                                      "2147483647",
                                      "2147483648",
                                      "9223372036854775807",
                                      "-9223372036854775808",
                                      "9223372036854775808",
                                      "1.5",
                                      " 1",
                                      "1 "};
    switch (draw(5)) {
    case 0:
        t->bytes = (size_t)snprintf(t->data, sizeof t->data, "%s", odd[draw(ROAN_COUNT_OF(odd))]);
        return;
    case 1:
        t->bytes = roan_format_i64(t->data, (int64_t)(roan_random_next(&source) >> draw(64)) * (draw(2) == 0 ? 1 : -1));
        return;
    default:
        t->bytes = draw(draw(16) == 0 ? TEXT_BYTES_MAX : draw(4) == 0 ? 100 : 20);
        for (size_t i = 0; i < t->bytes; i++)
            t->data[i] = (char)draw(256);
    }
}

static void assert_text(const roan_packed *item, const text *t)
{
    char scratch[ROAN_I64_TEXT_MAX];
    assert_true(roan_slice_equal(roan_packed_text(item, scratch), slice_of(t)));
    assert_true(roan_packed_equals(item, slice_of(t)));
}

static void assert_same(const roan_pack *pack, const text *twin, size_t count)
{
    roan_pack_check(pack);
    assert_int_equal(pack->count, count);
    const char *at = roan_pack_first(pack);
    for (size_t i = 0; i < count; i++) {
        roan_packed item;
        assert_ptr_equal(at, roan_pack_at(pack, i));
        at = roan_packed_read(at, &item);
        assert_text(&item, &twin[i]);
    }
    assert_ptr_equal(at, roan_pack_end(pack));
}

static void find_in_pack(const roan_pack *pack, const text *twin, size_t count)
{
    text wanted;
    unsigned stride = 1 + (unsigned)draw(3);
    if (count > 0 && draw(2) == 0)
        wanted = twin[draw(count)];
    else
        draw_text(&wanted);
    const char *found = roan_pack_find(pack, slice_of(&wanted), stride);
    size_t place = 0;
    while (place < count && !roan_slice_equal(slice_of(&twin[place]), slice_of(&wanted)))
        place += stride;
    if (place >= count)
        assert_null(found);
    else
        assert_ptr_equal(found, roan_pack_at(pack, place));
}

static roan_pack *insert(roan_pack *pack, text *twin, size_t *count)
{
    size_t added = 1 + draw(3), at = draw(*count + 1);
    roan_packed items[3];
    const char *place;
    memmove(twin + at + added, twin + at, (*count - at) * sizeof *twin);
    for (size_t i = 0; i < added; i++) {
        draw_text(&twin[at + i]);
        items[i] = roan_packed_from_text(slice_of(&twin[at + i]));
    }
    pack = roan_pack_insert(pack, roan_pack_at(pack, at), items, added, &place);
    *count += added;
    assert_ptr_equal(place, roan_pack_at(pack, at));
    return pack;
}

static roan_pack *take(roan_pack *pack, text *twin, size_t *count)
{
    size_t at = draw(*count), removed = 1 + draw(ROAN_MIN(*count - at, 3));
    const char *place;
    pack = roan_pack_remove(pack, roan_pack_at(pack, at), removed, &place);
    memmove(twin + at, twin + at + removed, (*count - at - removed) * sizeof *twin);
    *count -= removed;
    assert_ptr_equal(place, roan_pack_at(pack, at));
    return pack;
}

static roan_pack *replace(roan_pack *pack, text *twin, size_t count)
{
    size_t at = draw(count);
    const char *place;
    draw_text(&twin[at]);
    roan_packed item = roan_packed_from_text(slice_of(&twin[at]));
    pack = roan_pack_replace(pack, roan_pack_at(pack, at), &item, &place);
    assert_ptr_equal(place, roan_pack_at(pack, at));
    return pack;
}

static void a_pack_holds_what_was_put_into_it(void **state)
{
    (void)state;
    text *twin = calloc(ITEMS_MAX + 4, sizeof *twin);
    size_t count = 0;
    roan_pack *pack = roan_pack_create();
    for (unsigned step = 0; step < STEPS / 4; step++) {
        switch (draw(4)) {
        case 0:
            pack = count < ITEMS_MAX ? insert(pack, twin, &count) : pack;
            break;
        case 1:
            pack = count > 0 ? take(pack, twin, &count) : pack;
            break;
        case 2:
            pack = count > 0 ? replace(pack, twin, count) : pack;
            break;
        default:
            find_in_pack(pack, twin, count);
        }
        assert_same(pack, twin, count);
    }
    roan_pack *copy = roan_pack_copy(pack);
    roan_pack_free(pack);
    assert_same(copy, twin, count);
    roan_pack_free(copy);
    free(twin);
}

/* ---- elements ---- */

#define KEYS 500

typedef struct twin_element {
    text value;
    uint64_t number;
    bool is_there, has_value, has_number;
} twin_element;

static roan_slice key_of(size_t number, char scratch[400])
{
    /* Lengths around the borders of the length forms. */
    size_t bytes = (size_t)snprintf(scratch, 400, "key:%zu:", number);
    size_t padding = number % 7 == 0 ? 300 - bytes : number % 5 == 0 ? 255 - bytes : number % 30;
    memset(scratch + bytes, 'x', padding);
    return roan_slice_make(scratch, bytes + padding);
}

static void assert_element(const roan_element *element, roan_slice key, const twin_element *twin)
{
    roan_element_check(element);
    assert_true(roan_slice_equal(roan_element_key(element), key));
    assert_true(roan_slice_equal(roan_element_value(element),
                                 twin->has_value ? slice_of(&twin->value) : roan_slice_make("", 0)));
    assert_int_equal(roan_element_has_number(element), twin->has_number);
    if (twin->has_number)
        assert_int_equal(roan_element_number(element), twin->number);
}

static void put_element(roan_table *table, twin_element *twin, size_t number)
{
    char scratch[400];
    roan_slice key = key_of(number, scratch);
    uint64_t hash;
    roan_spot spot;
    roan_element *element = roan_element_find(table, key, &hash, &spot);
    assert_int_equal(element != NULL, twin->is_there);
    twin->has_value = twin->is_there ? twin->has_value : draw(2) == 0;
    twin->has_number = draw(2) == 0;
    twin->number = roan_random_next(&source);
    if (twin->has_value)
        draw_text(&twin->value);
    roan_element_parts parts = {.key = element != NULL ? roan_element_key(element) : key,
                                .value = slice_of(&twin->value),
                                .has_value = twin->has_value,
                                .has_number = twin->has_number,
                                .number = twin->number};
    if (element == NULL)
        roan_element_insert(table, hash, &spot, &parts);
    else
        roan_table_replace(table, hash, &spot, roan_element_change(table, element, &parts));
    twin->is_there = true;
    assert_element(roan_element_find(table, key, &hash, &spot), key, twin);
}

static void take_element(roan_table *table, twin_element *twin, size_t number)
{
    char scratch[400];
    roan_slice key = key_of(number, scratch);
    uint64_t hash;
    roan_spot spot;
    assert_int_equal(roan_element_find(table, key, &hash, &spot) != NULL, twin->is_there);
    if (twin->is_there)
        roan_element_remove(table, hash, &spot);
    twin->is_there = false;
    assert_null(roan_element_find(table, key, &hash, &spot));
}

static void assert_all(const roan_table *table, const twin_element *twins)
{
    char scratch[ROAN_ELEMENT_BATCH][400];
    for (size_t first = 0; first < KEYS; first += ROAN_ELEMENT_BATCH) {
        roan_slice keys[ROAN_ELEMENT_BATCH];
        roan_element *found[ROAN_ELEMENT_BATCH];
        size_t count = ROAN_MIN(KEYS - first, ROAN_ELEMENT_BATCH);
        for (size_t i = 0; i < count; i++)
            keys[i] = key_of(first + i, scratch[i]);
        roan_element_find_batch(table, keys, count, found);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(found[i] != NULL, twins[first + i].is_there);
            if (found[i] != NULL)
                assert_element(found[i], keys[i], &twins[first + i]);
        }
    }
}

static void elements_keep_key_value_and_number(void **state)
{
    (void)state;
    roan_table_context context = {.ops = &roan_element_table_ops};
    roan_hash_secret_init(&context.secret, seed);
    roan_table table, copy;
    roan_table_init(&table, &context);
    roan_table_init(&copy, &context);
    twin_element *twins = calloc(KEYS, sizeof *twins);
    for (unsigned step = 0; step < STEPS; step++) {
        size_t number = draw(KEYS);
        if (draw(3) == 0)
            take_element(&table, &twins[number], number);
        else
            put_element(&table, &twins[number], number);
    }
    roan_table_check(&table);
    assert_all(&table, twins);
    roan_elements_copy(&copy, &table);
    size_t bytes = roan_elements_memory(&table, 0);
    assert_true(bytes > table.count * 16 && roan_elements_memory(&table, 50) > bytes / 4);
    roan_table_clear(&table);
    roan_table_check(&copy);
    assert_all(&copy, twins);
    roan_table_clear(&copy);
    free(twins);
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : roan_random_entropy() | 1;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    roan_random_seed(&source, seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pack_holds_what_was_put_into_it),
        cmocka_unit_test(elements_keep_key_value_and_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
