/* test_hash_set.c: nodes are found by their hash among others with the same one, whatever is put in and taken out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash_set.h"
#include "base/random.h"

#define ITEMS 4000
#define HASHES 1500 /* fewer than items: some are equal */

typedef struct item {
    roan_hash_node node;
    int id;
    int is_in;
} item;

static item items[ITEMS];

static uint64_t hash_of(int id)
{
    return (uint64_t)(id % HASHES) * UINT64_C(0x9e3779b97f4a7c15);
}

static int is_found(const roan_hash_set *set, const item *wanted)
{
    for (roan_hash_node *node = roan_hash_set_first(set, hash_of(wanted->id)); node != NULL;
         node = roan_hash_node_next(node))
        if (node == &wanted->node)
            return 1;
    return 0;
}

static size_t walk(const roan_hash_set *set)
{
    size_t count = 0;
    for (roan_hash_node *node = roan_hash_set_walk(set, NULL); node != NULL; node = roan_hash_set_walk(set, node)) {
        assert_true(((item *)node)->is_in);
        count++;
    }
    return count;
}

static void what_is_in_is_found(void **state)
{
    (void)state;
    roan_hash_set set = {0};
    roan_random random;
    roan_random_seed(&random, 1);
    assert_null(roan_hash_set_first(&set, 1));
    assert_null(roan_hash_set_walk(&set, NULL));
    for (unsigned round = 0; round < 40000; round++) {
        /* Grows for a while, then shrinks. */
        size_t bound = round < 20000 ? ITEMS : 50;
        item *it = &items[roan_random_below(&random, bound)];
        it->id = (int)(it - items);
        if (it->is_in)
            roan_hash_set_remove(&set, &it->node);
        else
            roan_hash_set_insert(&set, &it->node, hash_of(it->id));
        it->is_in = !it->is_in;
        assert_int_equal(is_found(&set, it), it->is_in);
        if (round % 4000 == 0)
            assert_int_equal(walk(&set), set.count);
    }
    for (int i = 0; i < ITEMS; i++)
        if (items[i].is_in)
            assert_true(is_found(&set, &items[i]));
    roan_hash_set_done(&set);
    memset(items, 0, sizeof items);
}

static void a_walk_may_remove_what_it_visits(void **state)
{
    (void)state;
    roan_hash_set set = {0};
    for (int i = 0; i < ITEMS; i++) {
        items[i].id = i;
        roan_hash_set_insert(&set, &items[i].node, hash_of(i));
    }
    size_t visited = 0;
    for (roan_hash_node *node = roan_hash_set_walk(&set, NULL), *next; node != NULL; node = next) {
        next = roan_hash_set_walk(&set, node);
        roan_hash_set_remove(&set, node);
        visited++;
    }
    assert_int_equal(visited, ITEMS);
    assert_int_equal(set.count, 0);
    for (int i = 0; i < 3; i++)
        roan_hash_set_insert(&set, &items[i].node, hash_of(i));
    assert_true(set.bucket_count < ITEMS);
    roan_hash_set_done(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_is_found),
        cmocka_unit_test(a_walk_may_remove_what_it_visits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
