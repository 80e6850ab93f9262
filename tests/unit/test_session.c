/* test_session.c: an engine without sockets, threads or a real clock: execute, expire, block with a deadline,
 * effects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "engine/call.h"

#define START_US INT64_C(1700000000000000)
#define WORDS_MAX 16

typedef struct fixture {
    roan_clock clock;
    roan_engine *engine;
    roan_session session;
    unsigned resumed;
    char effects[4096];
} fixture;

static void on_describe(const roan_session *session, roan_transport_info *info)
{
    (void)session;
    (void)info;
}

static void on_close(roan_session *session, bool after_replies)
{
    (void)session;
    (void)after_replies;
}

static void on_output(roan_session *session)
{
    (void)session;
}

static void on_resume(roan_session *session)
{
    fixture *f = (fixture *)(void *)((char *)session - offsetof(fixture, session));
    f->resumed++;
}

static const roan_session_ops ops = {on_describe, on_close, on_output, on_resume};

static void on_effect(void *context, unsigned db, size_t argc, const roan_slice *argv)
{
    fixture *f = context;
    size_t used = strlen(f->effects);
    used += (size_t)snprintf(f->effects + used, sizeof f->effects - used, "%u:", db);
    for (size_t i = 0; i < argc; i++)
        used += (size_t)snprintf(f->effects + used, sizeof f->effects - used, " %.*s", ROAN_SLICE_ARG(argv[i]));
    snprintf(f->effects + used, sizeof f->effects - used, "\n");
}

static void begin(fixture *f)
{
    memset(f, 0, sizeof *f);
    roan_clock_init_virtual(&f->clock, START_US);
    f->engine = roan_engine_create(&(roan_engine_options){.clock = &f->clock, .seed = 1});
    f->engine->on_effect = on_effect;
    f->engine->effect_context = f;
    f->engine->config.enable_debug_command = ROAN_ALLOW_YES;
    roan_session_init(&f->session, &f->engine->lanes[0], &ops);
}

static void end(fixture *f)
{
    roan_session_done(&f->session);
    f->engine = roan_engine_free(f->engine);
}

/* Executes a line of words; the reply, if there is one already, is put to `reply`. */
static roan_outcome execute(fixture *f, const char *line, char reply[256])
{
    roan_slice argv[WORDS_MAX];
    roan_request request = {.argv = argv};
    for (const char *at = line; *at != '\0'; at += *at == ' ') {
        size_t bytes = strcspn(at, " ");
        argv[request.argc++] = roan_slice_make(at, bytes);
        at += bytes;
    }
    roan_lane_update_time(&f->engine->lanes[0]);
    roan_request_prepare(&f->session, &request);
    roan_outcome outcome = roan_execute(&f->session, &request);
    size_t bytes = roan_out_bytes(&f->session.out);
    assert_true(bytes < 256);
    roan_out_copy(&f->session.out, reply);
    reply[bytes] = '\0';
    roan_out_rollback(&f->session.out, 0);
    return outcome;
}

static void expect(fixture *f, const char *line, const char *expected)
{
    char reply[256];
    assert_int_equal(execute(f, line, reply), ROAN_DONE);
    assert_string_equal(reply, expected);
}

static void expect_effects(fixture *f, const char *expected)
{
    assert_string_equal(f->effects, expected);
    f->effects[0] = '\0';
}

static void commands_answer_without_a_socket(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    expect(&f, "SET k v", "+OK\r\n");
    expect(&f, "GET k", "$1\r\nv\r\n");
    expect(&f, "GET", "-ERR wrong number of arguments for 'get' command\r\n");
    expect(&f, "NOSUCH a", "-ERR unknown command 'NOSUCH', with args beginning with: 'a' \r\n");
    end(&f);
}

static void time_passes_when_the_test_says_so(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    expect(&f, "SET k v PX 100", "+OK\r\n");
    roan_clock_advance(&f.clock, 99000);
    expect(&f, "PTTL k", ":1\r\n");
    roan_clock_advance(&f.clock, 1000);
    expect(&f, "GET k", "$-1\r\n");
    expect(&f, "SET k v PX 100", "+OK\r\n");
    roan_clock_advance(&f.clock, 1000000);
    roan_lane_update_time(&f.engine->lanes[0]);
    roan_lane_cron(&f.engine->lanes[0]);
    expect(&f, "DBSIZE", ":0\r\n");
    end(&f);
}

static void effects_have_absolute_times_and_no_repeated_decisions(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    expect(&f, "SET k v EX 10", "+OK\r\n");
    expect_effects(&f, "0: SET k v PXAT 1700000010000\n");
    expect(&f, "EXPIRE k 20 GT", ":1\r\n");
    expect_effects(&f, "0: PEXPIREAT k 1700000020000\n");
    expect(&f, "GETEX k PERSIST", "$1\r\nv\r\n");
    expect_effects(&f, "0: PERSIST k\n");
    expect(&f, "INCRBYFLOAT n 1.5", "$3\r\n1.5\r\n");
    expect_effects(&f, "0: SET n 1.5 KEEPTTL\n");
    expect(&f, "GETDEL n", "$3\r\n1.5\r\n");
    expect_effects(&f, "0: DEL n\n");
    expect(&f, "EXPIRE k -1", ":1\r\n");
    expect_effects(&f, "0: UNLINK k\n");
    expect(&f, "SET k v PXAT 1", "+OK\r\n");
    expect(&f, "DEL k", ":0\r\n");
    expect(&f, "SETBIT b 1 0", ":0\r\n");
    expect_effects(&f, "0: SETBIT b 1 0\n");
    expect(&f, "SETBIT b 1 0", ":0\r\n");
    expect_effects(&f, "");
    end(&f);
}

static void blocked_sessions_wake_at_their_deadline(void **state)
{
    (void)state;
    fixture f;
    char reply[256];
    begin(&f);
    roan_lane *lane = &f.engine->lanes[0];
    assert_int_equal(execute(&f, "WAIT 1 50", reply), ROAN_BLOCKED);
    assert_string_equal(reply, "");
    roan_clock_advance(&f.clock, 49000);
    roan_lane_update_time(lane);
    assert_int_equal(roan_lane_run_timers(lane), 1000);
    assert_int_equal(f.resumed, 0);
    roan_clock_advance(&f.clock, 1000);
    roan_lane_update_time(lane);
    assert_int_equal(roan_lane_run_timers(lane), -1);
    assert_int_equal(f.resumed, 1);
    assert_int_equal(roan_out_bytes(&f.session.out), 4);
    roan_out_rollback(&f.session.out, 0);
    assert_int_equal(execute(&f, "WAIT 1 0", reply), ROAN_BLOCKED); /* for ever; ends with the session */
    assert_int_equal(roan_lane_run_timers(lane), -1);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_answer_without_a_socket),
        cmocka_unit_test(time_passes_when_the_test_says_so),
        cmocka_unit_test(effects_have_absolute_times_and_no_repeated_decisions),
        cmocka_unit_test(blocked_sessions_wake_at_their_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
