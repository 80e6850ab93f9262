/* test_evict.c: eviction by every policy.
 *
 * Promises: memory ends within its limit; the policies that may touch only expiring keys leave the others alone; the
 * least recently or least frequently used keys, or those with the shortest time to live, go first; without candidates
 * writes are refused and reads are not. */
#include "engine_harness.h"

#include "engine/evict.h"

#define KEYS 4000
#define STORED "a value of about a hundred bytes, so that keys rather than tables take the memory: 0123456789 012345"

static void set(harness *h, const char *prefix, int number, const char *ttl)
{
    char key[32];
    snprintf(key, sizeof key, "%s:%d", prefix, number);
    if (ttl == NULL)
        harness_run(h, "SET", key, STORED);
    else
        harness_run(h, "SET", key, STORED, "EX", ttl);
    assert_string_equal(h->reply, "+OK\r\n");
}

static int count_left(harness *h, const char *prefix, int first, int step)
{
    int left = 0;
    for (int i = first; i < KEYS; i += step) {
        char key[32];
        snprintf(key, sizeof key, "%s:%d", prefix, i);
        left += (int)harness_integer(h, "EXISTS", key);
    }
    return left;
}

/* From now on nothing more fits. */
static void close_memory(harness *h, roan_maxmemory_policy policy)
{
    h->engine->config.maxmemory_policy = policy;
    h->engine->config.maxmemory_eviction_tenacity = 100;
    h->engine->config.maxmemory = roan_memory_counted(h->engine);
}

static void set_policy(harness *h, roan_maxmemory_policy policy)
{
    h->engine->config.maxmemory_policy = policy; /* decides what new entries' clocks mean */
}

static void assert_within_limit(harness *h)
{
    assert_true(roan_memory_counted(h->engine) <= h->engine->config.maxmemory + 65536);
}

static void read_every_second(harness *h, int times)
{
    for (int round = 0; round < times; round++) {
        for (int i = 0; i < KEYS; i += 2) {
            char key[32];
            snprintf(key, sizeof key, "old:%d", i);
            harness_run(h, "GET", key);
        }
    }
}

/* Fills, uses every second key, and makes room for a quarter more. The used ones must be left alone (nearly). */
static void check_usage_policy(roan_maxmemory_policy policy, const char *ttl)
{
    harness h;
    harness_open(&h, 1);
    set_policy(&h, policy);
    for (int i = 0; i < KEYS; i++)
        set(&h, "old", i, ttl);
    for (int i = 0; i < 100 && ttl != NULL; i++)
        set(&h, "permanent", i, NULL);
    harness_advance(&h, 10000000);
    read_every_second(&h, 20);
    close_memory(&h, policy);
    for (int i = 0; i < KEYS / 4; i++)
        set(&h, "new", i, ttl);
    assert_within_limit(&h);
    int used = count_left(&h, "old", 0, 2), unused = count_left(&h, "old", 1, 2);
    assert_true(used >= KEYS / 2 - KEYS / 200);
    assert_true(unused <= KEYS / 2 - KEYS / 8);
    if (ttl != NULL)
        assert_int_equal(count_left(&h, "permanent", 0, 1), 100);
    harness_close(&h);
}

static void lru_keeps_what_was_used(void **state)
{
    (void)state;
    check_usage_policy(ROAN_POLICY_ALLKEYS_LRU, NULL);
    check_usage_policy(ROAN_POLICY_VOLATILE_LRU, "10000");
}

static void lfu_keeps_what_is_used_often(void **state)
{
    (void)state;
    check_usage_policy(ROAN_POLICY_ALLKEYS_LFU, NULL);
    check_usage_policy(ROAN_POLICY_VOLATILE_LFU, "10000");
}

static void ttl_evicts_the_soonest(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    for (int i = 0; i < KEYS; i++) {
        char ttl[16];
        snprintf(ttl, sizeof ttl, "%d", 1000 + i);
        set(&h, "old", i, ttl);
    }
    for (int i = 0; i < 100; i++)
        set(&h, "permanent", i, NULL);
    close_memory(&h, ROAN_POLICY_VOLATILE_TTL);
    for (int i = 0; i < KEYS / 4; i++)
        set(&h, "new", i, "100000");
    int sooner = 0, later = 0;
    for (int i = 0; i < KEYS; i++) {
        char key[32];
        snprintf(key, sizeof key, "old:%d", i);
        *(i < KEYS / 2 ? &sooner : &later) += (int)harness_integer(&h, "EXISTS", key);
    }
    assert_true(later - sooner > KEYS / 8);
    assert_int_equal(count_left(&h, "permanent", 0, 1), 100);
    assert_within_limit(&h);
    harness_close(&h);
}

static void check_random_policy(roan_maxmemory_policy policy, bool spares_permanent)
{
    harness h;
    harness_open(&h, 1);
    for (int i = 0; i < KEYS; i++)
        set(&h, i % 2 == 0 ? "old" : "permanent", i, i % 2 == 0 ? "10000" : NULL);
    close_memory(&h, policy);
    for (int i = 0; i < KEYS / 4; i++)
        set(&h, "new", i, "10000");
    int permanent = count_left(&h, "permanent", 1, 2);
    assert_int_equal(permanent == KEYS / 2, spares_permanent);
    assert_true(count_left(&h, "old", 0, 2) < KEYS / 2);
    assert_within_limit(&h);
    harness_close(&h);
}

static void random_takes_anything(void **state)
{
    (void)state;
    check_random_policy(ROAN_POLICY_ALLKEYS_RANDOM, false);
    check_random_policy(ROAN_POLICY_VOLATILE_RANDOM, true);
}

static void writes_are_refused_when_nothing_can_go(void **state)
{
    (void)state;
    static const roan_maxmemory_policy policies[] = {ROAN_POLICY_NOEVICTION, ROAN_POLICY_VOLATILE_LRU,
                                                     ROAN_POLICY_VOLATILE_TTL};
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        harness h;
        harness_open(&h, 1);
        set(&h, "old", 1, NULL);
        close_memory(&h, policies[i]);
        h.engine->config.maxmemory /= 2;
        assert_string_equal(harness_run(&h, "SET", "k", "v"),
                            "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
        assert_int_equal(harness_integer(&h, "EXISTS", "old:1"), 1);
        assert_int_equal(harness_integer(&h, "DEL", "old:1"), 1);
        harness_close(&h);
    }
}

static void small_databases_are_sampled_whole(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    set_policy(&h, ROAN_POLICY_ALLKEYS_LRU);
    for (int i = 0; i < 10; i++) { /* fewer keys than stripes */
        set(&h, "old", i, NULL);
        harness_advance(&h, 2000000);
    }
    harness_run(&h, "PING");
    harness_run(&h, "DBSIZE");
    harness_run(&h, "EXISTS", "nothing"); /* all statistics exist by now */
    close_memory(&h, ROAN_POLICY_ALLKEYS_LRU);
    h.engine->config.maxmemory--;
    harness_run(&h, "PING");
    h.engine->config.maxmemory = 0;
    assert_int_equal(harness_integer(&h, "EXISTS", "old:0"), 0); /* the oldest of all */
    assert_int_equal(harness_integer(&h, "DBSIZE"), 9);
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lru_keeps_what_was_used),
        cmocka_unit_test(lfu_keeps_what_is_used_often),
        cmocka_unit_test(ttl_evicts_the_soonest),
        cmocka_unit_test(random_takes_anything),
        cmocka_unit_test(writes_are_refused_when_nothing_can_go),
        cmocka_unit_test(small_databases_are_sampled_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
