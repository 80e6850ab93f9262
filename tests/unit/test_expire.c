/* test_expire.c: active expiry by a virtual clock.
 *
 * Promises: what is due goes within a second without being asked for, what is not due stays; memory comes back; expiry
 * that was moved or taken away is obeyed; the pause of CLIENT PAUSE and DEBUG holds it back. */
#include "engine_harness.h"

#include "engine/expire.h"

#define KEYS 20000

static void fill(harness *h, int keys, int64_t spread_ms)
{
    char key[32], ttl[32];
    for (int i = 0; i < keys; i++) {
        snprintf(key, sizeof key, "key:%d", i);
        snprintf(ttl, sizeof ttl, "%lld", (long long)(1000 + (int64_t)i * spread_ms / keys));
        harness_run(h, "SET", key, "some value of some size", "PX", ttl);
    }
}

static void due_keys_go_by_themselves(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    harness_run(&h, "SET", "stays", "v");
    fill(&h, 1000, 1000); /* what is made once stays */
    harness_advance(&h, 5000000);
    assert_int_equal(harness_integer(&h, "DBSIZE"), 1);
    harness_info(&h, "memory", "used_memory");
    harness_run(&h, "CONFIG", "RESETSTAT");
    harness_run(&h, "SET", "stays", "v");
    harness_integer(&h, "DBSIZE");
    int64_t empty = harness_info(&h, "memory", "used_memory");
    fill(&h, KEYS, 10000);
    int64_t full = harness_info(&h, "memory", "used_memory");
    assert_int_equal(harness_integer(&h, "DBSIZE"), KEYS + 1);
    harness_advance(&h, 900000);
    assert_int_equal(harness_integer(&h, "DBSIZE"), KEYS + 1); /* nothing goes too early */
    for (int second = 1; second <= 9; second++) {
        harness_advance(&h, 1000000);
        int64_t due = (int64_t)KEYS * (900 + second * 1000 - 1000) / 10000,
                gone = KEYS + 1 - harness_integer(&h, "DBSIZE");
        assert_true(gone <= due + 1);
        assert_true(gone >= due - KEYS / 10); /* at most a second late */
        int64_t used = harness_info(&h, "memory", "used_memory"), left = KEYS - gone;
        assert_true(used - empty <= (full - empty) * left / KEYS + (full - empty) / 5);
    }
    harness_advance(&h, 3000000);
    assert_int_equal(harness_integer(&h, "DBSIZE"), 1);
    assert_int_equal(harness_info(&h, "stats", "expired_keys"), KEYS);
    int64_t after = harness_info(&h, "memory", "used_memory");
    assert_true(after - empty < (full - empty) / 100);
    harness_close(&h);
}

static void moved_expiry_is_obeyed(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    harness_run(&h, "SET", "later", "v", "EX", "2");
    harness_run(&h, "SET", "never", "v", "EX", "2");
    harness_run(&h, "SET", "sooner", "v", "EX", "1000");
    harness_run(&h, "EXPIRE", "later", "10");
    harness_run(&h, "PERSIST", "never");
    harness_run(&h, "EXPIRE", "sooner", "1");
    harness_advance(&h, 5000000);
    assert_int_equal(harness_integer(&h, "DBSIZE"), 2);
    assert_int_equal(harness_integer(&h, "EXISTS", "sooner"), 0);
    harness_advance(&h, 7000000);
    assert_int_equal(harness_integer(&h, "DBSIZE"), 1);
    assert_int_equal(harness_integer(&h, "EXISTS", "never"), 1);
    harness_close(&h);
}

static void all_databases_are_looked_at(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    for (int db = 0; db < 16; db++) {
        char number[16];
        snprintf(number, sizeof number, "%d", db);
        harness_run(&h, "SELECT", number);
        harness_run(&h, "SET", "key", "v", "PX", "500");
    }
    harness_advance(&h, 2000000);
    assert_int_equal(harness_info(&h, "stats", "expired_keys"), 16);
    assert_null(strstr(harness_run(&h, "INFO", "keyspace"), "db"));
    harness_close(&h);
}

/* Slices without any time get on as well, by a table each. */
static void a_slice_out_of_time_gets_on(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    roan_lane *lane = &h.engine->lanes[0];
    fill(&h, 1000, 1000);
    roan_clock_advance(&h.clock, 5000000);
    roan_lane_update_time(lane);
    for (int i = 0; i < 1000; i++)
        ROAN_IGNORE(roan_expire_cycle(lane, 0)); /* always more to look at */
    assert_int_equal(harness_integer(&h, "DBSIZE"), 0);
    harness_close(&h);
}

static void a_pause_holds_it_back(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    harness_run(&h, "SET", "key", "v", "PX", "500");
    harness_run(&h, "CLIENT", "PAUSE", "3000", "WRITE");
    harness_advance(&h, 2000000);
    assert_int_equal(harness_integer(&h, "DBSIZE"), 1);
    harness_advance(&h, 2000000);
    assert_int_equal(harness_integer(&h, "DBSIZE"), 0);
    h.engine->active_expire_is_on = false;
    harness_run(&h, "SET", "key", "v", "PX", "500");
    harness_advance(&h, 3000000);
    assert_int_equal(harness_integer(&h, "DBSIZE"), 1);
    assert_int_equal(harness_integer(&h, "EXISTS", "key"), 0); /* not even seen */
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(due_keys_go_by_themselves),
        cmocka_unit_test(moved_expiry_is_obeyed),
        cmocka_unit_test(all_databases_are_looked_at),
        cmocka_unit_test(a_slice_out_of_time_gets_on),
        cmocka_unit_test(a_pause_holds_it_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
