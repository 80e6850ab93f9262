/* test_zset.c: what the commands of sorted sets leave to replicas and logs.
 *
 * Promises: a command that changes nothing has no effect; what takes from the first of several keys, or has waited,
 * becomes a ZPOPMIN or ZPOPMAX of the key it took from; all others repeat as they are. */
#include "engine_harness.h"

#define EFFECTS_MAX 16
#define EFFECT_BYTES_MAX 200

typedef struct recorder {
    size_t count;
    char text[EFFECTS_MAX][EFFECT_BYTES_MAX];
} recorder;

static void record(void *context, unsigned db, size_t argc, const roan_slice *argv)
{
    (void)db;
    recorder *r = context;
    assert_true(r->count < EFFECTS_MAX);
    size_t at = 0;
    for (size_t i = 0; i < argc && at + argv[i].bytes + 2 < EFFECT_BYTES_MAX; i++)
        at += (size_t)snprintf(r->text[r->count] + at, EFFECT_BYTES_MAX - at, "%s%.*s", i > 0 ? " " : "",
                               ROAN_SLICE_ARG(argv[i]));
    r->count++;
}

static void open_recorded(harness *h, recorder *r)
{
    harness_open(h, 1);
    *r = (recorder){0};
    h->engine->on_effect = record;
    h->engine->effect_context = r;
}

#define assert_effects(r, ...) check_effects((r), (const char *const[]){__VA_ARGS__, NULL})

static void check_effects(recorder *r, const char *const *expected)
{
    size_t count = 0;
    for (; expected[count] != NULL; count++) {
        assert_true(count < r->count);
        assert_string_equal(r->text[count], expected[count]);
    }
    assert_int_equal(r->count, count);
    r->count = 0;
}

static void changes_are_repeated_and_nothing_else(void **state)
{
    (void)state;
    harness h;
    recorder r;
    open_recorded(&h, &r);
    harness_run(&h, "ZADD", "z", "1", "a", "2", "b", "3", "c");
    assert_effects(&r, "ZADD z 1 a 2 b 3 c");
    harness_run(&h, "ZADD", "z", "1", "a");
    harness_run(&h, "ZADD", "z", "NX", "5", "a");
    harness_run(&h, "ZADD", "z", "GT", "0", "a");
    harness_run(&h, "ZADD", "nosuch", "XX", "0", "a");
    harness_run(&h, "ZINCRBY", "z", "0", "a");
    harness_run(&h, "ZREM", "z", "x");
    harness_run(&h, "ZPOPMIN", "z", "0");
    harness_run(&h, "ZPOPMIN", "nosuch");
    harness_run(&h, "ZMPOP", "1", "nosuch", "MIN");
    harness_run(&h, "ZREMRANGEBYRANK", "z", "5", "9");
    harness_run(&h, "ZUNIONSTORE", "d", "1", "nosuch");
    harness_run(&h, "ZRANGESTORE", "d", "nosuch", "0", "1");
    assert_int_equal(r.count, 0);
    harness_run(&h, "ZINCRBY", "z", "1.5", "a");
    harness_run(&h, "ZREM", "z", "x", "a");
    harness_run(&h, "ZRANGESTORE", "d", "z", "0", "-1");
    harness_run(&h, "ZUNIONSTORE", "d", "2", "z", "d");
    harness_run(&h, "ZREMRANGEBYSCORE", "d", "-inf", "inf");
    harness_run(&h, "ZPOPMAX", "z");
    assert_effects(&r, "ZINCRBY z 1.5 a", "ZREM z x a", "ZRANGESTORE d z 0 -1", "ZUNIONSTORE d 2 z d",
                   "ZREMRANGEBYSCORE d -inf inf", "ZPOPMAX z");
    harness_close(&h);
}

static void taking_from_several_keys_names_the_one(void **state)
{
    (void)state;
    harness h;
    recorder r;
    open_recorded(&h, &r);
    harness_run(&h, "ZADD", "z", "1", "a", "2", "b", "3", "c", "4", "d", "5", "e", "6", "f");
    r.count = 0;
    harness_run(&h, "ZMPOP", "2", "nosuch", "z", "MAX");
    harness_run(&h, "BZPOPMIN", "nosuch", "z", "0");
    harness_run(&h, "BZPOPMAX", "z", "1.5");
    harness_run(&h, "BZMPOP", "0", "1", "z", "MIN", "COUNT", "2");
    harness_run(&h, "ZMPOP", "1", "z", "MIN", "COUNT", "100");
    assert_effects(&r, "ZPOPMAX z 1", "ZPOPMIN z", "ZPOPMAX z", "ZPOPMIN z 2", "ZPOPMIN z 1");
    assert_int_equal(harness_integer(&h, "EXISTS", "z"), 0);
    harness_close(&h);
}

/* Changes are counted as the reference counts them. */
static void changes_are_counted_one_by_one(void **state)
{
    (void)state;
    harness h;
    recorder r;
    open_recorded(&h, &r);
    uint64_t before = h.engine->dirty;
    harness_run(&h, "ZADD", "z", "1", "a", "2", "b", "3", "c", "4", "d");
    assert_int_equal(h.engine->dirty - before, 4);
    harness_run(&h, "ZADD", "z", "1", "a", "3", "b", "5", "e");
    assert_int_equal(h.engine->dirty - before, 6);
    harness_run(&h, "ZPOPMIN", "z", "2");
    assert_int_equal(h.engine->dirty - before, 8);
    harness_run(&h, "ZUNIONSTORE", "d", "1", "z");
    assert_int_equal(h.engine->dirty - before, 9);
    harness_run(&h, "ZREMRANGEBYRANK", "z", "0", "-1");
    assert_int_equal(h.engine->dirty - before, 12);
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_repeated_and_nothing_else),
        cmocka_unit_test(taking_from_several_keys_names_the_one),
        cmocka_unit_test(changes_are_counted_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
