/* test_lock.c: the gate and the stripes with real threads: nobody is where another one is. Meant for a thread
 * sanitizer, too: the counters are plain on purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"

#define LANES 4
#define STRIPES 64
#define ROUNDS 20000

typedef struct shared {
    roan_engine *engine;
    uint64_t by_stripe[STRIPES]; /* under the stripes */
    uint64_t by_all;             /* under the shut gate */
} shared;

typedef struct worker {
    shared *shared;
    unsigned index;
    uint64_t taken, alone, busy;
} worker;

/* Moves one from stripe to stripe, so that the sum shows lost updates. */
static void use_stripes(worker *w, roan_lane *lane, uint32_t a, uint32_t b)
{
    uint32_t stripes[2] = {a < b ? a : b, a < b ? b : a};
    size_t count = a == b ? 1 : 2;
    if (!roan_stripes_take(lane, stripes, count)) {
        w->busy++;
        return;
    }
    assert_true(roan_stripe_is_held(lane, a) && roan_stripe_is_held(lane, b));
    w->shared->by_stripe[a]++;
    w->shared->by_stripe[b]++;
    w->taken += 2;
    roan_stripes_release(lane, stripes, count);
}

static void be_alone(worker *w, roan_lane *lane)
{
    assert_true(roan_gate_shut(lane));
    w->shared->by_all++;
    for (size_t i = 0; i < STRIPES; i++)
        w->shared->by_stripe[i]++;
    roan_gate_open(lane);
    w->alone++;
}

static void *run_worker(void *context)
{
    worker *w = context;
    roan_lane *lane = &w->shared->engine->lanes[w->index];
    uint64_t random = w->index + 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        if (round % 16 == 0)
            roan_gate_enter(lane);
        if ((random >> 40) % 100 == 0)
            be_alone(w, lane);
        else
            use_stripes(w, lane, (uint32_t)(random >> 50) % 4, (uint32_t)(random >> 58) % STRIPES);
        if (round % 16 == 15)
            roan_gate_leave(lane);
        else
            roan_gate_pass(lane);
    }
    return NULL;
}

static void nothing_is_lost_between_stripes_and_gate(void **state)
{
    (void)state;
    shared s = {.engine = roan_engine_create(&(roan_engine_options){.lanes = LANES, .stripes = STRIPES, .seed = 1})};
    worker workers[LANES] = {{0}};
    pthread_t threads[LANES];
    for (unsigned i = 0; i < LANES; i++) {
        workers[i] = (worker){.shared = &s, .index = i};
        assert_int_equal(pthread_create(&threads[i], NULL, run_worker, &workers[i]), 0);
    }
    uint64_t taken = 0, alone = 0, sum = 0;
    for (unsigned i = 0; i < LANES; i++) {
        pthread_join(threads[i], NULL);
        taken += workers[i].taken;
        alone += workers[i].alone;
        assert_int_equal(workers[i].taken / 2 + workers[i].alone + workers[i].busy, ROUNDS);
    }
    for (size_t i = 0; i < STRIPES; i++)
        sum += s.by_stripe[i];
    assert_int_equal(s.by_all, alone);
    assert_int_equal(sum, taken + alone * STRIPES);
    assert_true(taken > 0 && alone > 0);
    roan_engine_free(s.engine);
}

static void a_busy_stripe_is_refused_and_its_release_tells(void **state)
{
    (void)state;
    roan_engine *engine = roan_engine_create(&(roan_engine_options){.lanes = 2, .stripes = STRIPES, .seed = 1});
    roan_lane *a = &engine->lanes[0], *b = &engine->lanes[1];
    uint32_t both[] = {3, 5}, one[] = {5};
    roan_gate_enter(a);
    roan_gate_enter(b);
    assert_true(roan_stripes_take(a, both, 2));
    assert_false(roan_stripes_take(b, one, 1));
    assert_false(roan_stripe_try(b, 3));
    assert_false(roan_stripe_is_held(b, 5));
    assert_int_equal(atomic_load(&b->stripe_freed), 0);
    roan_stripes_release(a, both, 2);
    assert_int_equal(atomic_load(&b->stripe_freed), 1);
    assert_true(roan_stripes_take(b, both, 2));
    roan_stripes_release(b, both, 2);
    roan_gate_leave(a);
    roan_gate_leave(b);
    roan_engine_free(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_between_stripes_and_gate),
        cmocka_unit_test(a_busy_stripe_is_refused_and_its_release_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
