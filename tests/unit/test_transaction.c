/* test_transaction.c: EXEC with several lanes is all or nothing, and WATCH notices everything: money is moved between
 * accounts in every way there is, and whoever looks at all of them sees the same sum. Also what a transaction hands
 * over as its effects. Meant for a thread sanitizer, too. */
#include "engine_harness.h"
#include "engine/transaction.h"

#include <pthread.h>

#define LANES 4
#define STRIPES 64
#define ROUNDS 8000
#define ACCOUNTS 12
#define START_MONEY 1000
#define TRIES_MAX 100000

/* ---- one lane ---- */

static char effects[1024];

static void note_effect(void *context, unsigned db, size_t argc, const roan_slice *argv)
{
    (void)context;
    size_t used = strlen(effects);
    used += (size_t)snprintf(effects + used, sizeof effects - used, "%u", db);
    for (size_t i = 0; i < argc; i++)
        used += (size_t)snprintf(effects + used, sizeof effects - used, " %.*s", ROAN_SLICE_ARG(argv[i]));
    snprintf(effects + used, sizeof effects - used, "\n");
}

static void expect_effects(const char *expected)
{
    assert_string_equal(effects, expected);
    effects[0] = '\0';
}

static void exec_hands_over_one_unit(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    h.engine->on_effect = note_effect;
    harness_run(&h, "MULTI");
    harness_run(&h, "SET", "a", "1");
    harness_run(&h, "GET", "a");
    harness_run(&h, "SELECT", "2");
    harness_run(&h, "SET", "b", "2");
    harness_run(&h, "DEL", "none");
    assert_string_equal(harness_run(&h, "EXEC"), "*5\r\n+OK\r\n$1\r\n1\r\n+OK\r\n+OK\r\n:0\r\n");
    expect_effects("0 MULTI\n0 SET a 1\n2 SET b 2\n0 EXEC\n");
    harness_run(&h, "MULTI");
    harness_run(&h, "SET", "a", "1");
    harness_run(&h, "EXEC");
    expect_effects("2 SET a 1\n");
    harness_run(&h, "MULTI");
    harness_run(&h, "GET", "a");
    harness_run(&h, "EXEC");
    harness_run(&h, "MULTI");
    harness_run(&h, "SET", "a", "2");
    harness_run(&h, "DISCARD");
    expect_effects("");
    harness_close(&h);
}

static void what_expires_on_the_way_belongs_to_the_unit(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    harness_run(&h, "SET", "a", "1", "PX", "10");
    roan_clock_advance(&h.clock, 20000);
    roan_lane_update_time(&h.engine->lanes[0]);
    h.engine->on_effect = note_effect;
    harness_run(&h, "GET", "a");
    expect_effects("0 UNLINK a\n");
    harness_run(&h, "SET", "b", "1", "PX", "10");
    roan_clock_advance(&h.clock, 20000);
    roan_lane_update_time(&h.engine->lanes[0]);
    effects[0] = '\0';
    harness_run(&h, "APPEND", "b", "2");
    expect_effects("0 MULTI\n0 UNLINK b\n0 APPEND b 2\n0 EXEC\n");
    harness_close(&h);
}

static void what_a_scan_finds_expired_does_not_belong_together(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    h.engine->active_expire_is_on = false;
    harness_run(&h, "MSET", "a", "1", "b", "1");
    harness_run(&h, "PEXPIRE", "a", "10");
    harness_run(&h, "PEXPIRE", "b", "10");
    roan_clock_advance(&h.clock, 20000);
    roan_lane_update_time(&h.engine->lanes[0]);
    h.engine->on_effect = note_effect;
    harness_run(&h, "SCAN", "0");
    assert_non_null(strstr(effects, "0 UNLINK a\n"));
    assert_non_null(strstr(effects, "0 UNLINK b\n"));
    assert_null(strstr(effects, "MULTI"));
    effects[0] = '\0';
    harness_close(&h);
}

static void a_message_is_an_effect(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    h.engine->on_effect = note_effect;
    harness_run(&h, "PUBLISH", "x", "y");
    expect_effects("0 PUBLISH x y\n");
    harness_run(&h, "MULTI");
    harness_run(&h, "SPUBLISH", "x", "y");
    harness_run(&h, "SET", "k", "v");
    harness_run(&h, "EXEC");
    expect_effects("0 MULTI\n0 SPUBLISH x y\n0 SET k v\n0 EXEC\n");
    harness_close(&h);
}

static void a_transaction_takes_no_memory_when_it_is_over(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    harness_run(&h, "MULTI");
    harness_run(&h, "EXEC");
    size_t before = roan_alloc_used_bytes();
    harness_run(&h, "WATCH", "a", "b", "c");
    harness_run(&h, "MULTI");
    for (int i = 0; i < 10000; i++)
        harness_run(&h, "GET", "some-key-of-a-certain-length");
    assert_true(h.session.transaction->memory_bytes > 10000 * 64);
    harness_run(&h, "DISCARD");
    assert_null(h.session.transaction);
    assert_int_equal(h.session.modes, 0);
    assert_true(roan_alloc_used_bytes() < before + 65536);
    harness_close(&h);
}

/* ---- many lanes ---- */

typedef struct worker {
    roan_engine *engine;
    unsigned index;
    roan_random random;
    roan_session session;
    char reply[4096];
    uint64_t moved, refused, looked;
} worker;

/* Runs a line of words, however often it is held back. */
static void run(worker *w, const char *line)
{
    roan_lane *lane = &w->engine->lanes[w->index];
    roan_slice argv[HARNESS_WORDS_MAX];
    roan_request request = {.argv = argv};
    for (const char *at = line; *at != '\0'; at += *at == ' ') {
        size_t bytes = strcspn(at, " ");
        argv[request.argc++] = roan_slice_make(at, bytes);
        at += bytes;
    }
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        roan_gate_pass(lane);
        roan_request_prepare(&w->session, &request);
        roan_outcome outcome = roan_execute(&w->session, &request);
        if (outcome == ROAN_DONE)
            break;
        assert_int_equal(outcome, ROAN_HELD);
        w->session.is_held = false; /* as if it had been resumed */
        lane->held_count--;
    }
    size_t bytes = roan_out_bytes(&w->session.out);
    assert_true(bytes < sizeof w->reply);
    roan_out_copy(&w->session.out, w->reply);
    w->reply[bytes] = '\0';
    roan_out_rollback(&w->session.out, 0);
}

ROAN_PRINTF(2, 3) static void run_printf(worker *w, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    run(w, line);
}

static long long get_account(worker *w, unsigned account)
{
    run_printf(w, "GET account:%u", account);
    return strtoll(strchr(w->reply, '\n') + 1, NULL, 10);
}

static void note_exec(worker *w)
{
    *(w->reply[1] == '-' ? &w->refused : &w->moved) += 1;
}

/* Read, compute, write: right only because WATCH notices who came in between. */
static void move_watched(worker *w, unsigned from, unsigned to)
{
    run_printf(w, "WATCH account:%u account:%u", from, to);
    long long a = get_account(w, from), b = get_account(w, to);
    run(w, "MULTI");
    run_printf(w, "SET account:%u %lld", from, a - 1);
    run_printf(w, "SET account:%u %lld", to, b + 1);
    run(w, "EXEC");
    note_exec(w);
}

static void move_blindly(worker *w, unsigned from, unsigned to, bool alone)
{
    run(w, "MULTI");
    run_printf(w, "DECR account:%u", from);
    if (alone)
        run(w, "DBSIZE");
    run_printf(w, "INCR account:%u", to);
    run(w, "EXEC");
    note_exec(w);
}

static void unwatch_and_close(worker *w, unsigned account)
{
    run_printf(w, "WATCH account:%u none:%u", account, account);
    if (account % 2 == 0) {
        run(w, "UNWATCH");
        return;
    }
    roan_session_done(&w->session);
    roan_session_init(&w->session, &w->engine->lanes[w->index], &harness_ops);
}

static void look_at_all(worker *w)
{
    run(w, "MULTI");
    for (unsigned i = 0; i < ACCOUNTS; i++)
        run_printf(w, "GET account:%u", i);
    run(w, "EXEC");
    long long sum = 0;
    const char *at = w->reply;
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        at = strchr(at, '$');
        assert_non_null(at);
        at = strchr(at, '\n') + 1;
        sum += strtoll(at, NULL, 10);
    }
    assert_int_equal(sum, ACCOUNTS * START_MONEY);
    w->looked++;
}

static void *work(void *context)
{
    worker *w = context;
    roan_lane *lane = &w->engine->lanes[w->index];
    roan_gate_enter(lane);
    roan_session_init(&w->session, lane, &harness_ops);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned from = (unsigned)roan_random_below(&w->random, ACCOUNTS);
        unsigned to = (from + 1 + (unsigned)roan_random_below(&w->random, ACCOUNTS - 1)) % ACCOUNTS;
        switch (roan_random_below(&w->random, 8)) {
        case 0: look_at_all(w); break;
        case 1: unwatch_and_close(w, from); break;
        case 2: move_blindly(w, from, to, roan_random_below(&w->random, 8) == 0); break;
        case 3: move_blindly(w, from, to, false); break;
        default: move_watched(w, from, to); break;
        }
    }
    roan_session_done(&w->session);
    roan_gate_leave(lane);
    return NULL;
}

static void open_accounts(roan_engine *engine)
{
    worker w = {.engine = engine};
    roan_gate_enter(&engine->lanes[0]);
    roan_session_init(&w.session, &engine->lanes[0], &harness_ops);
    for (unsigned i = 0; i < ACCOUNTS; i++)
        run_printf(&w, "SET account:%u %d", i, START_MONEY);
    roan_session_done(&w.session);
    roan_gate_leave(&engine->lanes[0]);
}

static void money_is_neither_made_nor_lost(void **state)
{
    (void)state;
    roan_engine *engine = roan_engine_create(&(roan_engine_options){.lanes = LANES, .stripes = STRIPES, .seed = 1});
    static worker workers[LANES];
    pthread_t threads[LANES];
    open_accounts(engine);
    for (unsigned i = 0; i < LANES; i++) {
        workers[i] = (worker){.engine = engine, .index = i};
        roan_random_seed(&workers[i].random, i + 1);
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    uint64_t moved = 0, refused = 0, looked = 0;
    for (unsigned i = 0; i < LANES; i++) {
        pthread_join(threads[i], NULL);
        moved += workers[i].moved;
        looked += workers[i].looked;
        refused += workers[i].refused;
    }
    assert_true(moved > 0 && refused > 0 && looked > 0);
    for (unsigned i = 0; i < STRIPES; i++)
        assert_int_equal(atomic_load(&engine->stripes[i].watched_keys), 0);
    roan_engine_free(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exec_hands_over_one_unit),
        cmocka_unit_test(what_expires_on_the_way_belongs_to_the_unit),
        cmocka_unit_test(what_a_scan_finds_expired_does_not_belong_together),
        cmocka_unit_test(a_message_is_an_effect),
        cmocka_unit_test(a_transaction_takes_no_memory_when_it_is_over),
        cmocka_unit_test(money_is_neither_made_nor_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
