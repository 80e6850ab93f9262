/* model_list.c: random edits of a list and of a naive twin, an array of texts, compared all the time.
 *
 * Every limit of nodes that the configuration knows is tried. Texts come from a small set, so that equal ones meet, and
 * from everything a packed item can be: integers of all widths, short, middle and long strings, some too large for a
 * node. The list grows and shrinks in turns, through both of its forms.
 *
 *     model_list [seed]       the seed is printed; the same seed repeats the run
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
#include "base/random.h"
#include "types/list.h"

#define TEXTS 400
#define COUNT_MAX 3000
#define STEPS 6000
#define COMPARE_EVERY 40

static uint64_t seed;
static roan_random source;
static roan_slice texts[TEXTS];

typedef struct twin {
    roan_slice items[COUNT_MAX]; /* borrowed from `texts` */
    size_t count;
} twin;

typedef struct pair {
    roan_type_context context;
    roan_value list;
    twin twin;
} pair;

static uint64_t draw(uint64_t bound)
{
    return roan_random_below(&source, bound);
}

static size_t draw_bytes(void)
{
    switch (draw(20)) {
    case 0:
        return draw(70000);
    case 1:
        return draw(9000);
    case 2:
    case 3:
        return draw(300);
    default:
        return draw(30);
    }
}

static void draw_text(roan_slice *text)
{
    if (draw(4) == 0) {
        char number[ROAN_I64_TEXT_MAX];
        int64_t value = (int64_t)(roan_random_next(&source) >> draw(64)) * (draw(2) == 0 ? 1 : -1);
        *text = roan_slice_make(malloc(ROAN_I64_TEXT_MAX), roan_format_i64(number, value));
        memcpy((char *)(uintptr_t)text->data, number, text->bytes);
        return;
    }
    size_t bytes = draw_bytes();
    char *data = malloc(bytes + 1);
    memset(data, (int)draw(256), bytes);
    *text = roan_slice_make(data, bytes);
}

static roan_slice any_text(void)
{
    return texts[draw(draw(3) == 0 ? 8 : TEXTS)];
}

/* ---- the twin ---- */

static void twin_put(twin *t, size_t at, roan_slice text)
{
    memmove(t->items + at + 1, t->items + at, (t->count - at) * sizeof *t->items);
    t->items[at] = text;
    t->count++;
}

static void twin_take(twin *t, size_t at, size_t count)
{
    memmove(t->items + at, t->items + at + count, (t->count - at - count) * sizeof *t->items);
    t->count -= count;
}

/* ---- comparing ---- */

static void assert_item(const roan_packed *item, roan_slice text)
{
    char scratch[ROAN_I64_TEXT_MAX];
    assert_true(roan_slice_equal(roan_packed_text(item, scratch), text));
}

static void walk(const pair *p, roan_value list, size_t start, bool is_backwards)
{
    roan_list_iterator it;
    roan_packed item;
    roan_list_iterator_init(&it, list, start, is_backwards);
    size_t left = is_backwards ? start + 1 : p->twin.count - start;
    for (size_t i = 0; i < left; i++) {
        assert_true(roan_list_next(&it, &item));
        assert_item(&item, p->twin.items[is_backwards ? start - i : start + i]);
    }
    assert_false(roan_list_next(&it, &item));
    assert_false(roan_list_next(&it, &item));
}

static void assert_same(const pair *p, roan_value list)
{
    roan_packed item;
    roan_list_ops.check(list);
    assert_int_equal(roan_list_count(list), p->twin.count);
    assert_false(roan_list_get(list, p->twin.count, &item));
    if (p->twin.count == 0)
        return;
    walk(p, list, 0, false);
    walk(p, list, p->twin.count - 1, true);
    walk(p, list, draw(p->twin.count), draw(2));
    size_t index = draw(p->twin.count);
    assert_true(roan_list_get(list, index, &item));
    assert_item(&item, p->twin.items[index]);
}

static void assert_copy(const pair *p)
{
    roan_value copy = roan_list_ops.copy_value(p->list);
    assert_int_equal(copy.encoding, p->list.encoding);
    assert_same(p, copy);
    size_t bytes = roan_list_ops.memory(copy, 0);
    assert_true(bytes > 0 && bytes <= roan_list_ops.memory(p->list, 0));
    roan_list_ops.free_value(copy);
}

/* ---- edits ---- */

static void push(pair *p)
{
    roan_slice some[20];
    bool at_tail = draw(2);
    size_t count = draw(4) == 0 ? 1 + draw(ROAN_COUNT_OF(some)) : 1;
    count = ROAN_MIN(count, COUNT_MAX - p->twin.count);
    for (size_t i = 0; i < count; i++) {
        some[i] = any_text();
        twin_put(&p->twin, at_tail ? p->twin.count : 0, some[i]);
    }
    roan_list_push_all(&p->list, &p->context, some, count, at_tail);
}

static void drop(pair *p)
{
    bool at_tail = draw(2);
    size_t at = at_tail ? p->twin.count - 1 : 0;
    roan_packed item = roan_list_peek(p->list, at_tail);
    assert_item(&item, p->twin.items[at]);
    roan_list_drop(&p->list, &p->context, at_tail);
    twin_take(&p->twin, at, 1);
}

static void remove_some(pair *p)
{
    size_t start = draw(p->twin.count + 1), many = draw(20) == 0 ? COUNT_MAX : 30;
    size_t count = draw(ROAN_MIN(p->twin.count - start, many) + 1);
    roan_list_remove(&p->list, &p->context, start, count);
    twin_take(&p->twin, start, count);
}

static void remove_equal(pair *p)
{
    roan_slice text = any_text();
    uint64_t limit = draw(3) == 0 ? UINT64_MAX : 1 + draw(5), removed = 0;
    bool from_tail = draw(2);
    for (size_t i = 0; i < p->twin.count && removed < limit;) {
        size_t at = from_tail ? p->twin.count - 1 - i : i;
        if (roan_slice_equal(p->twin.items[at], text)) {
            twin_take(&p->twin, at, 1);
            removed++;
        } else {
            i++;
        }
    }
    assert_int_equal(roan_list_remove_equal(&p->list, &p->context, text, limit, from_tail), removed);
}

static void insert(pair *p)
{
    roan_slice pivot = any_text(), text = any_text();
    bool after = draw(2);
    size_t at = 0;
    while (at < p->twin.count && !roan_slice_equal(p->twin.items[at], pivot))
        at++;
    bool is_there = at < p->twin.count;
    assert_int_equal(roan_list_insert(&p->list, &p->context, pivot, text, after), is_there);
    if (is_there)
        twin_put(&p->twin, at + after, text);
}

static void replace(pair *p)
{
    size_t at = draw(p->twin.count);
    p->twin.items[at] = any_text();
    roan_list_replace(&p->list, &p->context, at, p->twin.items[at]);
}

static void rotate(pair *p)
{
    bool from_tail = draw(2), to_tail = draw(2);
    size_t at = from_tail ? p->twin.count - 1 : 0;
    roan_slice text = p->twin.items[at];
    roan_list_rotate(&p->list, &p->context, from_tail, to_tail);
    twin_take(&p->twin, at, 1);
    twin_put(&p->twin, to_tail ? p->twin.count : 0, text);
}

static void edit(pair *p, bool is_growing)
{
    unsigned kind = (unsigned)draw(20);
    if (p->twin.count == 0 || (kind < (is_growing ? 12 : 5) && p->twin.count < COUNT_MAX))
        push(p);
    else if (kind < 14)
        drop(p);
    else if (kind < 15 && !is_growing)
        remove_some(p);
    else if (kind < 16)
        remove_equal(p);
    else if (kind < 18 && p->twin.count < COUNT_MAX)
        insert(p);
    else if (kind < 19)
        rotate(p);
    else
        replace(p);
}

static void run(int64_t size_class)
{
    pair *p = calloc(1, sizeof *p);
    p->context.list_size = size_class;
    p->list = roan_list_create(&p->context);
    for (unsigned step = 0; step < STEPS; step++) {
        edit(p, step / 700 % 2 == 0);
        if (step % COMPARE_EVERY == 0)
            assert_same(p, p->list);
        if (step % 1000 == 0)
            assert_copy(p);
    }
    assert_same(p, p->list);
    roan_list_ops.free_value(p->list);
    free(p);
}

static void a_list_holds_what_was_put_into_it(void **state)
{
    (void)state;
    static const int64_t classes[] = {-2, -1, -3, -5, -9, 0, 1, 2, 7, 128, 100000};
    for (size_t i = 0; i < ROAN_COUNT_OF(classes); i++)
        run(classes[i]);
}

/* What the memory of a list of many short items is made of: the items, their two bytes of frame, and little else. */
static void a_million_items_take_little_more_than_themselves(void **state)
{
    (void)state;
    roan_type_context context = {.list_size = -2};
    roan_value list = roan_list_create(&context);
    for (unsigned i = 0; i < 1000000; i++) {
        char text[24];
        size_t bytes = (size_t)snprintf(text, sizeof text, "element-%012u", i);
        roan_list_push(&list, &context, roan_slice_make(text, bytes), i % 2);
    }
    assert_string_equal(roan_list_ops.encoding_name(list), "quicklist");
    size_t bytes = roan_list_ops.memory(list, 0);
    printf("bytes per item: %.2f\n", (double)bytes / 1e6);
    assert_true(bytes < 22400000);
    assert_true(roan_list_ops.effort(list) > 2000);
    roan_list_ops.free_value(list);
}

/* A queue of a few items in a small list must not move them all at each step, nor grow. */
static void a_short_queue_keeps_its_room(void **state)
{
    (void)state;
    roan_type_context context = {.list_size = -2};
    roan_value list = roan_list_create(&context);
    for (unsigned i = 0; i < 50000; i++) {
        roan_list_push(&list, &context, ROAN_LITERAL("a job of some twenty bytes"), false);
        if (i >= 10)
            roan_list_drop(&list, &context, true);
    }
    assert_string_equal(roan_list_ops.encoding_name(list), "listpack");
    assert_true(roan_list_ops.memory(list, 0) <= 640);
    roan_list_ops.free_value(list);
}

static void a_list_becomes_small_again_at_half_of_the_limit(void **state)
{
    (void)state;
    roan_type_context context = {.list_size = 100};
    roan_value list = roan_list_create(&context);
    for (unsigned i = 0; i < 100; i++)
        roan_list_push(&list, &context, ROAN_LITERAL("x"), true);
    assert_int_equal(list.encoding, ROAN_LIST_SMALL);
    roan_list_push(&list, &context, ROAN_LITERAL("x"), true);
    assert_int_equal(list.encoding, ROAN_LIST_LARGE);
    roan_list_remove(&list, &context, 0, 50);
    assert_int_equal(list.encoding, ROAN_LIST_LARGE);
    roan_list_drop(&list, &context, true);
    roan_list_drop(&list, &context, false);
    assert_int_equal(list.encoding, ROAN_LIST_SMALL);
    assert_int_equal(roan_list_count(list), 49);
    roan_list_ops.free_value(list);
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : roan_random_entropy() | 1;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    roan_random_seed(&source, seed);
    for (size_t i = 0; i < TEXTS; i++)
        draw_text(&texts[i]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_holds_what_was_put_into_it),
        cmocka_unit_test(a_million_items_take_little_more_than_themselves),
        cmocka_unit_test(a_short_queue_keeps_its_room),
        cmocka_unit_test(a_list_becomes_small_again_at_half_of_the_limit),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < TEXTS; i++)
        free((char *)(uintptr_t)texts[i].data);
    return failed;
}
