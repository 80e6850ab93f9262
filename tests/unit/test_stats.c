/* test_stats.c: counters, error names, rates and the latency histogram.
 *
 * Promises: a percentile is at least the exact value and at most a sixteenth above it; counts up to a bound are exact
 * at powers of two; error names beyond the limit are counted together; a reset leaves nothing behind. */
#include "engine_harness.h"

#include "engine/info.h"
#include "engine/stats.h"

static void percentiles_are_near(void **state)
{
    (void)state;
    roan_stats *stats = roan_stats_create();
    for (uint64_t us = 1; us <= 10000; us++)
        roan_stats_record_call(stats, 0, us * 1000, true);
    const roan_latency_histogram *histogram = stats->commands_by_id[0].latency;
    assert_int_equal(histogram->count, 10000);
    for (unsigned percent = 1; percent <= 100; percent++) {
        uint64_t exact = (uint64_t)percent * 100 * 1000, told = roan_latency_percentile(histogram, percent);
        assert_true(told >= exact);
        assert_true(told <= exact + exact / 16 + 1024);
    }
    assert_int_equal(stats->commands_by_id[0].calls, 10000);
    assert_int_equal(stats->commands_by_id[0].ns, UINT64_C(50005000) * 1000);
    roan_stats_free(stats);
}

static void counts_up_to_powers_of_two_are_exact(void **state)
{
    (void)state;
    roan_stats *stats = roan_stats_create();
    for (unsigned bit = 11; bit < 30; bit++) {
        roan_stats_record_call(stats, 0, (UINT64_C(1) << bit) - 1, true);
        roan_stats_record_call(stats, 0, UINT64_C(1) << bit, true);
    }
    for (unsigned bit = 11; bit < 30; bit++)
        assert_int_equal(roan_latency_count_up_to(stats->commands_by_id[0].latency, (UINT64_C(1) << bit) - 1),
                         2 * (bit - 11) + 1);
    roan_stats_free(stats);
}

static void extremes_fall_into_the_outer_buckets(void **state)
{
    (void)state;
    roan_stats *stats = roan_stats_create();
    roan_stats_record_call(stats, 0, 0, true);
    roan_stats_record_call(stats, 0, UINT64_MAX / 2, true);
    const roan_latency_histogram *histogram = stats->commands_by_id[0].latency;
    assert_int_equal(histogram->buckets[0], 1);
    assert_int_equal(histogram->buckets[ROAN_LATENCY_BUCKETS - 1], 1);
    roan_stats_free(stats);
}

static void rates_are_averages(void **state)
{
    (void)state;
    roan_stats *stats = roan_stats_create();
    int64_t now_us = HARNESS_START_US;
    roan_stats_sample_rates(stats, now_us);
    for (int i = 0; i < ROAN_RATE_SAMPLES; i++) {
        stats->commands += 100;
        now_us += ROAN_RATE_PERIOD_US;
        roan_stats_sample_rates(stats, now_us);
        roan_stats_sample_rates(stats, now_us + 1); /* too early: nothing happens */
    }
    assert_true(roan_stats_rate(stats, ROAN_RATE_commands) > 999.9 &&
                roan_stats_rate(stats, ROAN_RATE_commands) < 1000.1);
    roan_stats_free(stats);
}

static void info_counts_what_happened(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    harness_run(&h, "SET", "k", "v");
    harness_run(&h, "GET", "k");
    harness_run(&h, "GET", "missing");
    harness_run(&h, "SET", "k");
    harness_run(&h, "INCR", "k");
    harness_run(&h, "NOSUCH");
    assert_int_equal(harness_info(&h, "stats", "keyspace_hits"), 1);
    assert_int_equal(harness_info(&h, "stats", "keyspace_misses"), 1);
    assert_int_equal(harness_info(&h, "stats", "total_error_replies"), 3);
    const char *text = harness_run(&h, "INFO", "commandstats", "errorstats");
    assert_non_null(strstr(text, "cmdstat_set:calls=1,"));
    assert_non_null(strstr(text, ",rejected_calls=1,failed_calls=0\r\n"));
    assert_non_null(strstr(text, "errorstat_ERR:count=3\r\n"));
    harness_run(&h, "CONFIG", "RESETSTAT");
    assert_int_equal(harness_info(&h, "stats", "keyspace_hits"), 0);
    assert_int_equal(harness_info(&h, "stats", "total_error_replies"), 0);
    assert_null(strstr(harness_run(&h, "INFO", "commandstats"), "cmdstat_set:"));
    harness_close(&h);
}

static void human_sizes(void **state)
{
    (void)state;
    static const struct {
        size_t bytes;
        const char *text;
    } cases[] = {{0, "0B"},
                 {1023, "1023B"},
                 {1024, "1.00K"},
                 {1536, "1.50K"},
                 {(size_t)5 << 20, "5.00M"},
                 {(size_t)3 << 30, "3.00G"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[ROAN_HUMAN_TEXT_MAX];
        roan_format_human(text, cases[i].bytes);
        assert_string_equal(text, cases[i].text);
    }
}

static void average_ttl_is_estimated(void **state)
{
    (void)state;
    harness h;
    char key[32];
    harness_open(&h, 1);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key:%d", i);
        harness_run(&h, "SET", key, "v", "EX", i % 2 == 0 ? "100" : "300");
    }
    int64_t ttl_ms = roan_info_average_ttl(&h.engine->lanes[0], roan_engine_db(h.engine, 0));
    assert_in_range(ttl_ms, 160000, 240000);
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_near),
        cmocka_unit_test(counts_up_to_powers_of_two_are_exact),
        cmocka_unit_test(extremes_fall_into_the_outer_buckets),
        cmocka_unit_test(rates_are_averages),
        cmocka_unit_test(info_counts_what_happened),
        cmocka_unit_test(human_sizes),
        cmocka_unit_test(average_ttl_is_estimated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
