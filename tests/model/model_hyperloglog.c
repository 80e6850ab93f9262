/* model_hyperloglog.c: registers of a HyperLogLog rise at random, and those of a naive twin with them.
 *
 * Registers come from a small or a large part of all, ranks from few or all, in random or in ascending order, so that
 * runs are cut, joined, and searched for from the start or from the last place; values become dense early, late, or
 * never.
 *
 *     model_hyperloglog [seed]      the seed is printed; the same seed repeats the run
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
#include "types/hyperloglog.h"

#define ROUNDS 300
#define STEPS_MAX 400
#define STEPS_BETWEEN_CHECKS 20

typedef struct model {
    roan_random random;
    roan_hll_draft draft;
    roan_hll_registers twin;
    unsigned first, count, rank_max; /* registers and ranks of this round */
    bool is_ascending;
} model;

static uint64_t seed;

static unsigned draw(model *m, unsigned bound)
{
    return (unsigned)roan_random_below(&m->random, bound);
}

static void check(const model *m)
{
    roan_slice value = roan_hll_draft_value(&m->draft);
    roan_hll_registers found;
    uint64_t count;
    memset(&found, 0, sizeof found);
    assert_true(roan_hll_merge(&found, value));
    assert_memory_equal(&found, &m->twin, sizeof found);
    assert_true(roan_hll_count(value, &count));
    assert_int_equal(count, roan_hll_count_registers(&m->twin));
    assert_true(roan_hll_is_dense(value) || value.bytes <= m->draft.sparse_bytes_max);
}

static void raise_one(model *m, unsigned step)
{
    unsigned place = m->is_ascending ? step * m->count / STEPS_MAX : draw(m, m->count);
    roan_hll_mark mark = {(uint16_t)(m->first + place), (uint8_t)(1 + draw(m, m->rank_max))};
    uint8_t *rank = &m->twin.rank[mark.index];
    roan_hll_raise expected = mark.rank > *rank ? ROAN_HLL_RAISED : ROAN_HLL_SAME;
    assert_int_equal(roan_hll_draft_raise(&m->draft, mark), expected);
    *rank = ROAN_MAX(*rank, mark.rank);
}

static void choose_round(model *m)
{
    static const unsigned counts[] = {1, 8, 100, 1000, ROAN_HLL_REGISTER_COUNT};
    static const unsigned ranks[] = {1, 2, 5, 32, ROAN_HLL_RANK_MAX};
    static const uint64_t limits[] = {ROAN_HLL_EMPTY_BYTES, 40, 300, 3000, 16000};
    m->count = counts[draw(m, ROAN_COUNT_OF(counts))];
    m->first = draw(m, ROAN_HLL_REGISTER_COUNT - m->count + 1);
    m->rank_max = ranks[draw(m, ROAN_COUNT_OF(ranks))];
    m->is_ascending = draw(m, 4) == 0;
    memset(&m->twin, 0, sizeof m->twin);
    roan_hll_draft_init(&m->draft, roan_slice_make(roan_hll_empty, sizeof roan_hll_empty),
                        limits[draw(m, ROAN_COUNT_OF(limits))]);
}

/* Storing all registers at once in another draft gives the same registers. */
static void check_store(const model *m)
{
    roan_hll_draft other;
    roan_hll_registers found;
    memset(&found, 0, sizeof found);
    roan_hll_draft_init(&other, roan_slice_make(roan_hll_empty, sizeof roan_hll_empty), m->draft.sparse_bytes_max);
    assert_true(roan_hll_draft_store(&other, &m->twin));
    assert_true(roan_hll_merge(&found, roan_hll_draft_value(&other)));
    assert_memory_equal(&found, &m->twin, sizeof found);
    roan_hll_draft_done(&other);
}

static void registers_are_those_of_the_twin(void **state)
{
    (void)state;
    model m = {0};
    roan_random_seed(&m.random, seed);
    for (unsigned round = 0; round < ROUNDS; round++) {
        choose_round(&m);
        for (unsigned step = 0; step < STEPS_MAX; step++) {
            raise_one(&m, step);
            if (step % STEPS_BETWEEN_CHECKS == 0)
                check(&m);
        }
        check(&m);
        check_store(&m);
        roan_hll_draft_done(&m.draft);
    }
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : roan_random_entropy();
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {cmocka_unit_test(registers_are_those_of_the_twin)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
