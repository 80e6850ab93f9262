/* Scripts in an engine: limits of memory, effects as one unit, what stays and goes in the interpreter, the rewriting of
 * last calls, serialised libraries, and locks with several lanes. */
#include "engine_harness.h"

#include "engine/script/payload.h"
#include "engine/script/script.h"
#include "engine/script/source.h"

#define BYTES_MAX ((size_t)16 << 20)

static void expect_prefix(const char *reply, const char *prefix)
{
    if (strncmp(reply, prefix, strlen(prefix)) != 0)
        fail_msg("expected %s..., got %s", prefix, reply);
}

/* ---- memory ---- */

static void a_script_that_takes_too_much_memory_fails_alone(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    h.engine->scripts->eval.bytes_max = BYTES_MAX;
    static const char *const greedy[] = {
        "local s = 'x' while true do s = s .. s end", "local t = {} for i = 1, 1e9 do t[i] = {} end",
        "return string.rep('x', 2e9)", "local t = {} while true do t[#t + 1] = string.rep('y', 1000) .. #t end",
        "return cmsgpack.pack(string.rep('x', 9e6), string.rep('x', 9e6))"};
    for (size_t i = 0; i < sizeof greedy / sizeof *greedy; i++) {
        expect_prefix(harness_run(&h, "EVAL", greedy[i], "0"), "-ERR not enough memory");
        assert_string_equal(harness_run(&h, "EVAL", "return #string.rep('x', 1000000)", "0"), ":1000000\r\n");
        assert_true(h.engine->scripts->eval.bytes <= BYTES_MAX);
    }
    harness_close(&h);
}

static void memory_of_scripts_does_not_grow_with_their_number(void **state)
{
    (void)state;
    harness h;
    char text[64];
    size_t early = 0;
    harness_open(&h, 1);
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "return {%d, 'x', ARGV[1]}", i);
        harness_run(&h, "EVAL", text, "0", "argument");
        if (i == 1000)
            early = h.engine->scripts->eval.bytes;
    }
    assert_int_equal(h.engine->scripts->by_sha.count, 500);
    assert_true(h.engine->scripts->eval.bytes < 3 * early);
    harness_close(&h);
}

static void a_deep_script_ends_in_an_error(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    expect_prefix(harness_run(&h, "EVAL", "local function f(x) return f(x) + 1 end return f(1)", "0"),
                  "-ERR user_script:1: stack overflow");
    harness_run(&h, "EVAL", "local t = {} t[1] = t return t", "0");
    harness_run(&h, "EVAL", "local t = {} for i = 1, 100000 do t = {t} end return t", "0");
    harness_run(&h, "EVAL", "return cmsgpack.unpack(string.rep('\\145', 100000))", "0");
    harness_run(&h, "EVAL", "return tostring(loadstring('return ' .. string.rep('(', 100000)))", "0");
    harness_run(&h, "EVAL", "return ('x'):rep(50):find(('x?'):rep(20) .. ('x'):rep(20))", "0");
    assert_string_equal(harness_run(&h, "EVAL", "return 1", "0"), ":1\r\n");
    harness_close(&h);
}

/* ---- effects ---- */

typedef struct effects {
    char text[1024];
    size_t bytes;
} effects;

static void note_effect(void *context, unsigned db, size_t argc, const roan_slice *argv)
{
    effects *noted = context;
    (void)db;
    for (size_t i = 0; i < argc; i++)
        noted->bytes += (size_t)snprintf(noted->text + noted->bytes, sizeof noted->text - noted->bytes, "%.*s%s",
                                         (int)argv[i].bytes, argv[i].data, i + 1 < argc ? " " : ";");
}

static void effects_of_a_script_are_one_unit(void **state)
{
    (void)state;
    harness h;
    effects noted = {0};
    harness_open(&h, 1);
    h.engine->on_effect = note_effect;
    h.engine->effect_context = &noted;
    harness_run(&h, "EVAL", "redis.call('set','a','1') redis.call('get','a') redis.call('incr','a') return 1", "0");
    assert_string_equal(noted.text, "MULTI;set a 1;incr a;EXEC;");
    noted = (effects){0};
    harness_run(&h, "EVAL", "redis.call('set','a','1') error('x')", "0");
    assert_string_equal(noted.text, "set a 1;");
    noted = (effects){0};
    harness_run(&h, "EVAL", "redis.set_repl(redis.REPL_NONE) redis.call('set','a','1')", "0");
    harness_run(&h, "EVAL", "return redis.call('get','a')", "0");
    assert_string_equal(noted.text, "");
    harness_run(&h, "FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() end)");
    expect_prefix(noted.text, "FUNCTION LOAD #!lua");
    harness_close(&h);
}

/* ---- last calls ---- */

static void expect_source(const char *code, const char *expected)
{
    roan_buffer out = {0};
    roan_source_keep_places(roan_slice_from_text(code), &out);
    roan_buffer_append_char(&out, '\0');
    assert_string_equal(out.data, expected);
    roan_buffer_done(&out);
}

static void last_calls_get_parentheses_where_nothing_changes(void **state)
{
    (void)state;
    expect_source("return redis.call('get', KEYS[1])", "return (redis.call('get', KEYS[1]))");
    expect_source("if x then return redis.pcall(a(b), {c}) end", "if x then return (redis.pcall(a(b), {c})) end");
    expect_source("return redis.call('a') -- the end\n", "return (redis.call('a')) -- the end\n");
    expect_source("return redis.call(')') ; x", "return (redis.call(')')) ; x");
    expect_source("return redis.call([==[)]==], \"\\\")\")", "return (redis.call([==[)]==], \"\\\")\"))");
    expect_source("return redis.call('a') + 1", "return redis.call('a') + 1");
    expect_source("return redis.call('a'), 2", "return redis.call('a'), 2");
    expect_source("return redis.call('a')[1]", "return redis.call('a')[1]");
    expect_source("return f(redis.call('a'))", "return f(redis.call('a'))");
    expect_source("return unpack(redis.call('a'))", "return unpack(redis.call('a'))");
    expect_source("-- return redis.call('a')\n", "-- return redis.call('a')\n");
    expect_source("x = 'return redis.call()'", "x = 'return redis.call()'");
    expect_source("--[[ return redis.call() ]] return error('x')", "--[[ return redis.call() ]] return (error('x'))");
    expect_source("t.return_ = 1 returned()", "t.return_ = 1 returned()");
    expect_source("return redis.call(", "return redis.call(");
    expect_source("return redis.call('", "return redis.call('");
    expect_source("return redis.call([[", "return redis.call([[");
    expect_source("return", "return");
    expect_source("", "");
    expect_source("'\\", "'\\");
}

static void any_text_is_rewritten_without_harm(void **state)
{
    (void)state;
    static const char pieces[] = "return redis.call('x')\"[[]]=-\\\n(){};end";
    roan_random random;
    roan_random_seed(&random, 7);
    for (int round = 0; round < 20000; round++) {
        char text[48];
        size_t bytes = (size_t)(roan_random_next(&random) % sizeof text);
        for (size_t i = 0; i < bytes; i++)
            text[i] = pieces[roan_random_next(&random) % (sizeof pieces - 1)];
        char *exact = malloc(bytes + 1); /* so that a sanitizer sees a byte too many */
        assert_non_null(exact);
        memcpy(exact, text, bytes);
        roan_buffer out = {0};
        roan_source_keep_places(roan_slice_make(exact, bytes), &out);
        assert_true(out.bytes >= bytes);
        roan_buffer_done(&out);
        free(exact);
    }
}

/* ---- payloads ---- */

static void broken_payloads_are_refused(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    harness_run(&h, "FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 'f' end)");
    roan_buffer payload = {0};
    roan_payload_add(&payload, ROAN_LITERAL("#!lua name=l\nredis.register_function('f', function() return 'g' end)"));
    roan_payload_end(&payload);
    roan_slice argv[] = {ROAN_LITERAL("FUNCTION"), ROAN_LITERAL("RESTORE"), {payload.data, payload.bytes},
                         ROAN_LITERAL("REPLACE")};
    for (size_t i = 0; i < payload.bytes; i++) {
        for (int bit = 0; bit < 8; bit++) {
            payload.data[i] = (char)(payload.data[i] ^ 1 << bit);
            expect_prefix(harness_run_words(&h, 4, argv), "-");
            payload.data[i] = (char)(payload.data[i] ^ 1 << bit);
        }
        argv[2].bytes = i;
        expect_prefix(harness_run_words(&h, 4, argv), "-");
        argv[2].bytes = payload.bytes;
    }
    assert_string_equal(harness_run(&h, "FCALL", "f", "0"), "$1\r\nf\r\n");
    assert_string_equal(harness_run_words(&h, 4, argv), "+OK\r\n");
    assert_string_equal(harness_run(&h, "FCALL", "f", "0"), "$1\r\ng\r\n");
    roan_buffer_done(&payload);
    harness_close(&h);
}

static void random_payloads_are_read_without_harm(void **state)
{
    (void)state;
    roan_random random;
    roan_random_seed(&random, 11);
    for (int round = 0; round < 50000; round++) {
        size_t bytes = 1 + (size_t)(roan_random_next(&random) % 40);
        char *data = malloc(bytes);
        assert_non_null(data);
        for (size_t i = 0; i < bytes; i++)
            data[i] = (char)roan_random_next(&random);
        data[0] = (char)0xf5;
        if (bytes > 3 && round % 2 == 0) {
            data[1] = (char)0xc3;
            data[2] = (char)(data[2] & 31);
            data[3] = (char)(data[3] & 63);
        }
        roan_slice payload = roan_slice_make(data, bytes);
        roan_buffer code = {0};
        while (roan_payload_next(&payload, &code) == ROAN_PAYLOAD_CODE) {
        }
        roan_buffer_done(&code);
        free(data);
    }
}

/* ---- lanes ---- */


static roan_outcome run_on(roan_session *session, size_t argc, const roan_slice *argv)
{
    roan_request request = {.argv = argv, .argc = argc};
    roan_request_prepare(session, &request);
    return roan_execute(session, &request);
}

static void a_script_and_who_wants_to_be_alone_take_turns(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 2);
    roan_lane *first = &h.engine->lanes[0], *other = &h.engine->lanes[1];
    roan_session session = {0};
    roan_session_init(&session, other, &harness_ops);
    roan_slice eval[] = {ROAN_LITERAL("EVAL"), ROAN_LITERAL("return redis.call('dbsize')"), ROAN_LITERAL("0")};
    roan_slice keys[] = {ROAN_LITERAL("KEYS"), ROAN_LITERAL("*")};
    roan_slice get[] = {ROAN_LITERAL("GET"), ROAN_LITERAL("k")};
    assert_true(roan_script_turn_take(first)); /* a script runs on the first lane */
    roan_stripe_wait(first, roan_key_slot(get[1]) & (h.engine->stripe_count - 1));
    roan_gate_enter(other);
    assert_int_equal(run_on(&session, 3, eval), ROAN_HELD);
    assert_int_equal(run_on(&session, 2, keys), ROAN_HELD);
    assert_int_equal(run_on(&session, 2, get), ROAN_HELD);
    get[1] = ROAN_LITERAL("another");
    assert_int_equal(run_on(&session, 2, get), ROAN_DONE);
    other->stripe_freed = 0;
    roan_stripes_release(first, &(uint32_t){roan_key_slot(ROAN_LITERAL("k")) & (h.engine->stripe_count - 1)}, 1);
    roan_script_turn_release(first);
    assert_int_equal(other->stripe_freed, 1);
    roan_gate_leave(first);
    assert_int_equal(run_on(&session, 3, eval), ROAN_DONE);
    assert_int_equal(run_on(&session, 2, keys), ROAN_DONE);
    roan_lane_deliver_mail(other);
    roan_gate_leave(other);
    roan_gate_enter(first);
    roan_session_done(&session);
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_script_that_takes_too_much_memory_fails_alone),
        cmocka_unit_test(memory_of_scripts_does_not_grow_with_their_number),
        cmocka_unit_test(a_deep_script_ends_in_an_error),
        cmocka_unit_test(effects_of_a_script_are_one_unit),
        cmocka_unit_test(last_calls_get_parentheses_where_nothing_changes),
        cmocka_unit_test(any_text_is_rewritten_without_harm),
        cmocka_unit_test(broken_payloads_are_refused),
        cmocka_unit_test(random_payloads_are_read_without_harm),
        cmocka_unit_test(a_script_and_who_wants_to_be_alone_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
