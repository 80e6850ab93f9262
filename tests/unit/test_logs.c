/* test_logs.c: the command logs and the latency series.
 *
 * Promises: entries are cut as documented and carry ids that go on; a log keeps its newest entries; secrets never get
 * in; a series keeps one sample a second and the worst of it, wraps around, and counts everything. */
#include "engine_harness.h"

#include "engine/logs.h"

static const roan_command *command_of(const char *name)
{
    const roan_command *command = roan_command_find(roan_slice_from_text(name));
    assert_non_null(command);
    return command;
}

/* Logs a call that ran for so many microseconds. */
static void log_call(harness *h, const char *name, size_t argc, const roan_slice *argv, uint64_t us)
{
    roan_call call = {.engine = h->engine,
                      .lane = &h->engine->lanes[0],
                      .session = &h->session,
                      .command = command_of(name),
                      .argc = argc,
                      .argv = argv};
    roan_logs_note(&call, us * 1000, 0, 0);
}

static void copy_first(const roan_log_entry *entry, void *context)
{
    roan_log_entry *first = context;
    if (first->argv == NULL)
        *first = *entry;
}

static void entries_are_cut(void **state)
{
    (void)state;
    harness h;
    char longest[ROAN_LOG_WORD_BYTES_MAX + 11];
    roan_slice argv[40];
    roan_log_entry entry = {0};
    harness_open(&h, 1);
    memset(longest, 'x', sizeof longest);
    for (size_t i = 0; i < 40; i++)
        argv[i] = roan_slice_make(longest, i == 1 ? sizeof longest : 3);
    log_call(&h, "mget", 40, argv, 20000);
    assert_int_equal(roan_logs_visit(h.engine->logs, ROAN_COMMANDLOG_SLOW, 10, copy_first, &entry), 1);
    assert_int_equal(entry.argc, ROAN_LOG_WORDS_MAX);
    assert_int_equal(entry.value, 20000);
    assert_int_equal(entry.argv[0].bytes, 3);
    assert_int_equal(entry.argv[1].bytes, ROAN_LOG_WORD_BYTES_MAX + strlen("... (11 more bytes)"));
    assert_memory_equal(entry.argv[1].data + ROAN_LOG_WORD_BYTES_MAX, "... (11 more bytes)", 19);
    assert_true(roan_slice_equal(entry.argv[31], ROAN_LITERAL("... (9 more arguments)")));
    assert_true(roan_slice_equal(entry.peer, ROAN_LITERAL("127.0.0.1:5000")));
    harness_close(&h);
}

static void a_log_keeps_the_newest(void **state)
{
    (void)state;
    harness h;
    roan_slice argv[] = {ROAN_LITERAL("PING")};
    roan_log_entry entry = {0};
    harness_open(&h, 1);
    h.engine->config.commandlog_length[ROAN_COMMANDLOG_SLOW] = 3;
    for (uint64_t i = 0; i < 10; i++)
        log_call(&h, "ping", 1, argv, 10000 + i);
    assert_int_equal(roan_logs_visit(h.engine->logs, ROAN_COMMANDLOG_SLOW, SIZE_MAX, copy_first, &entry), 3);
    assert_int_equal(entry.id, 9);
    assert_int_equal(entry.value, 10009);
    roan_logs_clear(h.engine->logs, ROAN_COMMANDLOG_SLOW);
    assert_int_equal(roan_logs_visit(h.engine->logs, ROAN_COMMANDLOG_SLOW, SIZE_MAX, NULL, NULL), 0);
    log_call(&h, "ping", 1, argv, 10000);
    entry = (roan_log_entry){0};
    roan_logs_visit(h.engine->logs, ROAN_COMMANDLOG_SLOW, 1, copy_first, &entry);
    assert_int_equal(entry.id, 10); /* ids go on */
    h.engine->config.commandlog_length[ROAN_COMMANDLOG_SLOW] = 0;
    log_call(&h, "ping", 1, argv, 10000);
    assert_int_equal(roan_logs_visit(h.engine->logs, ROAN_COMMANDLOG_SLOW, 9, NULL, NULL), 1);
    harness_close(&h);
}

static void thresholds_decide(void **state)
{
    (void)state;
    harness h;
    roan_slice argv[] = {ROAN_LITERAL("EXEC")};
    harness_open(&h, 1);
    log_call(&h, "ping", 1, argv, 9999); /* the default is 10000 */
    assert_int_equal(roan_logs_visit(h.engine->logs, ROAN_COMMANDLOG_SLOW, 9, NULL, NULL), 0);
    h.engine->config.commandlog_threshold[ROAN_COMMANDLOG_SLOW] = -1;
    log_call(&h, "ping", 1, argv, 1000000);
    assert_int_equal(roan_logs_visit(h.engine->logs, ROAN_COMMANDLOG_SLOW, 9, NULL, NULL), 0);
    h.engine->config.commandlog_threshold[ROAN_COMMANDLOG_SLOW] = 0;
    log_call(&h, "ping", 1, argv, 0);
    assert_int_equal(roan_logs_visit(h.engine->logs, ROAN_COMMANDLOG_SLOW, 9, NULL, NULL), 1);
    harness_close(&h);
}

static void secrets_stay_out(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    harness_run(&h, "CONFIG", "SET", "slowlog-log-slower-than", "0");
    harness_run(&h, "AUTH", "default", "hunter2");
    harness_run(&h, "HELLO", "2", "AUTH", "default", "hunter2");
    harness_run(&h, "CONFIG", "SET", "primaryauth", "hunter2");
    harness_run(&h, "CONFIG", "SET", "maxmemory-samples", "7");
    const char *log = harness_run(&h, "SLOWLOG", "GET", "-1");
    assert_null(strstr(log, "hunter2"));
    assert_non_null(strstr(log, "(redacted)"));
    assert_non_null(strstr(log, "maxmemory-samples\r\n$1\r\n7\r\n"));
    harness_close(&h);
}

static void arguments_far_behind_are_redacted_together(void **state)
{
    (void)state;
    roan_slice argv[80];
    for (size_t i = 0; i < 80; i++)
        argv[i] = ROAN_LITERAL("word");
    roan_call call = {.argv = argv, .argc = 80};
    roan_call_redact(&call, 2);
    assert_true(roan_slice_equal(roan_call_shown_argument(&call, 2), ROAN_LITERAL("(redacted)")));
    assert_true(roan_slice_equal(roan_call_shown_argument(&call, 70), ROAN_LITERAL("word")));
    roan_call_redact(&call, 75);
    assert_true(roan_slice_equal(roan_call_shown_argument(&call, 70), ROAN_LITERAL("(redacted)")));
    assert_true(roan_slice_equal(roan_call_shown_argument(&call, 62), ROAN_LITERAL("word")));
}

static void series_keep_the_worst_of_a_second(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    roan_latency_note(h.engine, "command", 1000, 999000);
    assert_null(roan_latency_first(h.engine->logs)); /* off by default */
    h.engine->config.latency_monitor_threshold_ms = 10;
    roan_latency_note(h.engine, "command", 1000, 9999);
    assert_null(roan_latency_first(h.engine->logs));
    roan_latency_note(h.engine, "command", 1000, 10000);
    roan_latency_note(h.engine, "command", 1999, 30500);
    roan_latency_note(h.engine, "command", 1999, 20000);
    const roan_latency_event *event = roan_latency_find(h.engine->logs, ROAN_LITERAL("command"));
    assert_non_null(event);
    assert_int_equal(event->sample_count, 1);
    assert_int_equal(roan_latency_sample_at(event, 0)->ms, 30);
    assert_int_equal(event->sum_ms, 60);
    assert_int_equal(event->count, 3);
    harness_close(&h);
}

static void series_wrap_around(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    h.engine->config.latency_monitor_threshold_ms = 1;
    for (int64_t i = 0; i < 500; i++)
        roan_latency_note(h.engine, "expire-cycle", i * 1000, (uint64_t)(1000 - i) * 1000);
    const roan_latency_event *event = roan_latency_find(h.engine->logs, ROAN_LITERAL("expire-cycle"));
    assert_int_equal(event->sample_count, ROAN_LATENCY_SAMPLES_MAX);
    for (size_t i = 0; i < event->sample_count; i++)
        assert_int_equal(roan_latency_sample_at(event, i)->time_s, 500 - ROAN_LATENCY_SAMPLES_MAX + (int)i);
    assert_int_equal(event->max_ms, 1000);
    assert_int_equal(roan_latency_forget(h.engine->logs, ROAN_LITERAL("command")), 0);
    assert_int_equal(roan_latency_forget(h.engine->logs, ROAN_LITERAL("expire-cycle")), 1);
    assert_null(roan_latency_first(h.engine->logs));
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_cut),
        cmocka_unit_test(a_log_keeps_the_newest),
        cmocka_unit_test(thresholds_decide),
        cmocka_unit_test(secrets_stay_out),
        cmocka_unit_test(arguments_far_behind_are_redacted_together),
        cmocka_unit_test(series_keep_the_worst_of_a_second),
        cmocka_unit_test(series_wrap_around),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
