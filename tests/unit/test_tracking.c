/* test_tracking.c: client tracking. With several lanes: caches that follow the news hold nothing that is stale once all
 * news have come, whatever mode they use, while clients come and go, keys are forgotten, databases flushed. Meant for
 * a thread sanitizer, too. With one lane: many clients of a key, many keys of a message, what is counted. */
#include "engine_harness.h"

#include <pthread.h>

#include "engine/broadcast.h"
#include "engine/pubsub.h"

#define LANES 4
#define KEYS 24
#define ROUNDS 400
#define STEPS 60   /* in a round; after it the world stands still and caches are looked at */
#define LIMIT 16   /* of recorded keys */
#define NOT_CACHED UINT64_MAX

typedef enum cache_mode { MODE_DEFAULT, MODE_NOLOOP, MODE_OPTIN, MODE_BROADCAST, MODE_COUNT } cache_mode;

typedef struct cache {
    roan_session session;
    cache_mode mode;
    uint64_t values[KEYS]; /* 0: no such key */
} cache;

typedef struct world {
    roan_engine *engine;
    pthread_barrier_t barrier;
    _Atomic uint64_t next_value;
    _Atomic uint64_t news, hits;
} world;

typedef struct worker {
    world *world;
    unsigned index;
    roan_random random;
    cache caches[MODE_COUNT];
    roan_session writer, redirecting, listener;
    bool is_redirecting;
    char *text; /* output that is being read */
    size_t text_room;
} worker;

static roan_lane *lane_of(const worker *w)
{
    return &w->world->engine->lanes[w->index];
}

static void execute(worker *w, roan_session *session, const char *const *words)
{
    roan_slice argv[HARNESS_WORDS_MAX];
    roan_request request = {.argv = argv};
    for (; words[request.argc] != NULL; request.argc++)
        argv[request.argc] = roan_slice_from_text(words[request.argc]);
    for (;;) {
        roan_gate_pass(lane_of(w));
        roan_request_prepare(session, &request);
        roan_outcome outcome = roan_execute(session, &request);
        if (outcome == ROAN_DONE)
            return;
        assert_int_equal(outcome, ROAN_HELD); /* the stripe was busy */
        session->is_held = false;
        lane_of(w)->held_count--;
    }
}

#define EXECUTE(w, session, ...) execute((w), (session), (const char *const[]){__VA_ARGS__, NULL})

/* ---- reading what came ---- */

static const char *take_output(worker *w, roan_session *session)
{
    size_t bytes = roan_out_bytes(&session->out);
    if (bytes + 1 > w->text_room) {
        w->text_room = bytes + 1024;
        w->text = realloc(w->text, w->text_room);
        assert_non_null(w->text);
    }
    roan_out_copy(&session->out, w->text);
    w->text[bytes] = '\0';
    roan_out_rollback(&session->out, 0);
    return w->text;
}

static const char *after_line(const char *at)
{
    const char *end = strstr(at, "\r\n");
    assert_non_null(end);
    return end + 2;
}

/* A bulk string "$n\r\n...\r\n"; *at moves behind it. */
static const char *read_bulk(const char **at)
{
    char *text;
    assert_int_equal(**at, '$');
    size_t bytes = strtoul(*at + 1, &text, 10);
    *at = text + 2 + bytes + 2;
    return text + 2;
}

static unsigned key_of(const char *name)
{
    return (unsigned)strtoul(name + strlen("key:"), NULL, 10);
}

static const char *forget(worker *w, cache *c, const char *at)
{
    at = after_line(after_line(after_line(at))); /* >2, $10, invalidate */
    atomic_fetch_add(&w->world->news, 1);
    if (*at == '_') {
        for (unsigned i = 0; i < KEYS; i++)
            c->values[i] = NOT_CACHED;
        return after_line(at);
    }
    assert_int_equal(*at, '*');
    unsigned long count = strtoul(at + 1, NULL, 10);
    at = after_line(at);
    for (unsigned long i = 0; i < count; i++)
        c->values[key_of(read_bulk(&at))] = NOT_CACHED;
    return at;
}

/* In the order in which a client gets it: the reply to the GET of a key (KEYS: none is expected), and news. */
static void follow(worker *w, cache *c, unsigned key)
{
    for (const char *at = take_output(w, &c->session); *at != '\0';) {
        if (*at == '>')
            at = forget(w, c, at);
        else if (*at == '+')
            at = after_line(at);
        else if (*at == '_') {
            c->values[key] = 0;
            at = after_line(at);
        } else {
            c->values[key] = strtoull(read_bulk(&at), NULL, 10);
        }
    }
}

/* ---- what is done ---- */

static void switch_on(worker *w, cache *c)
{
    c->session.out.protocol = 3;
    switch (c->mode) {
    case MODE_NOLOOP: EXECUTE(w, &c->session, "CLIENT", "TRACKING", "ON", "NOLOOP"); break;
    case MODE_OPTIN: EXECUTE(w, &c->session, "CLIENT", "TRACKING", "ON", "OPTIN"); break;
    case MODE_BROADCAST: EXECUTE(w, &c->session, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "key:"); break;
    default: EXECUTE(w, &c->session, "CLIENT", "TRACKING", "ON"); break;
    }
    follow(w, c, KEYS);
}

static void open_cache(worker *w, cache *c, cache_mode mode)
{
    *c = (cache){.mode = mode};
    for (unsigned i = 0; i < KEYS; i++)
        c->values[i] = NOT_CACHED;
    roan_session_init(&c->session, lane_of(w), &harness_ops);
    switch_on(w, c);
}

static void read_key(worker *w, cache *c, unsigned key)
{
    char name[32];
    snprintf(name, sizeof name, "key:%u", key);
    if (c->values[key] != NOT_CACHED) {
        atomic_fetch_add(&w->world->hits, 1);
        return;
    }
    if (c->mode == MODE_OPTIN)
        EXECUTE(w, &c->session, "CLIENT", "CACHING", "YES");
    EXECUTE(w, &c->session, "GET", name);
    follow(w, c, key);
}

static void write_key(worker *w, roan_session *session, unsigned key, uint64_t value)
{
    char name[32], text[32];
    snprintf(name, sizeof name, "key:%u", key);
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    if (value == 0)
        EXECUTE(w, session, "DEL", name);
    else
        EXECUTE(w, session, "SET", name, text);
}

static void write_some(worker *w, unsigned key)
{
    uint64_t value = roan_random_below(&w->random, 8) == 0 ? 0 : atomic_fetch_add(&w->world->next_value, 1);
    cache *c = &w->caches[roan_random_below(&w->random, MODE_COUNT)];
    if (roan_random_below(&w->random, 2) == 0) {
        write_key(w, &w->writer, key, value);
        roan_out_rollback(&w->writer.out, 0);
        return;
    }
    c->values[key] = NOT_CACHED; /* who does not hear of its own changes forgets by itself */
    write_key(w, &c->session, key, value);
    const char *at = take_output(w, &c->session);
    while (*at != '\0')
        at = *at == '>' ? forget(w, c, at) : after_line(at);
}

static void come_and_go(worker *w)
{
    cache_mode mode = (cache_mode)roan_random_below(&w->random, MODE_COUNT);
    cache *c = &w->caches[mode];
    if (roan_random_below(&w->random, 2) == 0) {
        roan_session_done(&c->session);
        open_cache(w, c, mode);
        return;
    }
    EXECUTE(w, &c->session, "CLIENT", "TRACKING", "OFF");
    follow(w, c, KEYS);
    for (unsigned i = 0; i < KEYS; i++)
        c->values[i] = NOT_CACHED;
    switch_on(w, c);
}

/* Sends its news to a session of any lane, which may have ended. */
static void redirect(worker *w)
{
    char id[32];
    snprintf(id, sizeof id, "%u", 1 + (unsigned)roan_random_below(&w->random, 64));
    if (w->is_redirecting)
        roan_session_done(&w->redirecting);
    roan_session_init(&w->redirecting, lane_of(w), &harness_ops);
    w->redirecting.out.protocol = 3;
    EXECUTE(w, &w->redirecting, "CLIENT", "TRACKING", "ON", "REDIRECT", id);
    EXECUTE(w, &w->redirecting, "MGET", "key:1", "key:2", "key:3");
    w->is_redirecting = true;
}

static void open_listener(worker *w)
{
    roan_session_init(&w->listener, lane_of(w), &harness_ops);
    w->listener.out.protocol = (uint8_t)(2 + roan_random_below(&w->random, 2));
}

static void deliver(worker *w)
{
    roan_broadcast_flush(lane_of(w));
    roan_lane_deliver_mail(lane_of(w));
    for (unsigned i = 0; i < MODE_COUNT; i++)
        follow(w, &w->caches[i], KEYS);
    roan_out_rollback(&w->listener.out, 0);
    if (w->is_redirecting)
        roan_out_rollback(&w->redirecting.out, 0);
}

static void step(worker *w)
{
    unsigned key = (unsigned)roan_random_below(&w->random, KEYS);
    uint64_t what = roan_random_below(&w->random, 1000);
    if (what < 600)
        read_key(w, &w->caches[roan_random_below(&w->random, MODE_COUNT)], key);
    else if (what < 900)
        write_some(w, key);
    else if (what < 985)
        deliver(w);
    else if (what < 992)
        redirect(w);
    else if (what < 996)
        come_and_go(w);
    else if (what < 998) {
        roan_session_done(&w->listener);
        open_listener(w);
    } else {
        EXECUTE(w, &w->writer, what == 998 ? "FLUSHALL" : "FLUSHDB");
        roan_out_rollback(&w->writer.out, 0);
    }
}

/* Nothing changes now, and all news have come. */
static void check_caches(worker *w)
{
    for (unsigned i = 0; i < MODE_COUNT; i++)
        for (unsigned key = 0; key < KEYS; key++) {
            char name[32];
            if (w->caches[i].values[key] == NOT_CACHED)
                continue;
            snprintf(name, sizeof name, "key:%u", key);
            EXECUTE(w, &w->writer, "GET", name);
            const char *reply = take_output(w, &w->writer);
            uint64_t value = *reply == '$' && reply[1] != '-' ? strtoull(read_bulk(&reply), NULL, 10) : 0;
            assert_int_equal(w->caches[i].values[key], value);
        }
}

/* Everybody has come here: nobody is inside the gate while he waits. */
static void meet(worker *w)
{
    roan_gate_leave(lane_of(w));
    pthread_barrier_wait(&w->world->barrier);
    roan_gate_enter(lane_of(w));
}

static void *work(void *context)
{
    worker *w = context;
    roan_gate_enter(lane_of(w));
    roan_session_init(&w->writer, lane_of(w), &harness_ops);
    open_listener(w);
    for (unsigned i = 0; i < MODE_COUNT; i++)
        open_cache(w, &w->caches[i], (cache_mode)i);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < STEPS; i++)
            step(w);
        roan_broadcast_flush(lane_of(w));
        meet(w); /* all have changed what they change */
        deliver(w);
        meet(w); /* all news have come, those of broken redirections excepted */
        check_caches(w);
        meet(w);
    }
    for (unsigned i = 0; i < MODE_COUNT; i++)
        roan_session_done(&w->caches[i].session);
    roan_session_done(&w->writer);
    roan_session_done(&w->listener);
    if (w->is_redirecting)
        roan_session_done(&w->redirecting);
    roan_gate_leave(lane_of(w));
    free(w->text);
    return NULL;
}

static void caches_hold_nothing_stale(void **state)
{
    (void)state;
    static world shared;
    static worker workers[LANES];
    pthread_t threads[LANES];
    shared.engine = roan_engine_create(&(roan_engine_options){.lanes = LANES, .seed = 1});
    shared.engine->config.tracking_table_max_keys = LIMIT;
    shared.next_value = 1;
    pthread_barrier_init(&shared.barrier, NULL, LANES);
    for (unsigned i = 0; i < LANES; i++) {
        workers[i] = (worker){.world = &shared, .index = i};
        roan_random_seed(&workers[i].random, i + 1);
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < LANES; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&shared.engine->tracking_clients), 0);
    roan_engine_free(shared.engine);
    pthread_barrier_destroy(&shared.barrier);
    assert_true(atomic_load(&shared.news) > 1000);
    assert_true(atomic_load(&shared.hits) > 1000);
}

/* ---- with one lane ---- */

#define CLIENTS 300

static void run_for(harness *h, roan_session *session, const char *const *words)
{
    roan_slice argv[HARNESS_WORDS_MAX];
    roan_request request = {.argv = argv};
    (void)h;
    for (; words[request.argc] != NULL; request.argc++)
        argv[request.argc] = roan_slice_from_text(words[request.argc]);
    roan_request_prepare(session, &request);
    assert_int_equal(roan_execute(session, &request), ROAN_DONE);
}

#define RUN_FOR(h, session, ...) run_for((h), (session), (const char *const[]){__VA_ARGS__, NULL})

static void many_clients_of_a_key_are_told_once_each(void **state)
{
    (void)state;
    static roan_session sessions[CLIENTS];
    harness h;
    harness_open(&h, 1);
    for (unsigned i = 0; i < CLIENTS; i++) {
        roan_session_init(&sessions[i], &h.engine->lanes[0], &harness_ops);
        sessions[i].out.protocol = 3;
        RUN_FOR(&h, &sessions[i], "CLIENT", "TRACKING", "ON");
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        unsigned place = i * 7 % CLIENTS;
        RUN_FOR(&h, &sessions[place], "GET", "k");
        RUN_FOR(&h, &sessions[place], "GET", "k");
        roan_out_rollback(&sessions[place].out, 0);
    }
    assert_int_equal(harness_info(&h, "stats", "tracking_total_keys"), 1);
    assert_int_equal(harness_info(&h, "stats", "tracking_total_items"), CLIENTS);
    assert_int_equal(harness_info(&h, "clients", "tracking_clients"), CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i += 2) /* those that went are not told */
        roan_session_done(&sessions[i]);
    harness_run(&h, "SET", "k", "1");
    harness_run(&h, "SET", "k", "2");
    const char expected[] = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n";
    for (unsigned i = 1; i < CLIENTS; i += 2) {
        char text[sizeof expected] = "";
        assert_int_equal(roan_out_bytes(&sessions[i].out), sizeof expected - 1);
        roan_out_copy(&sessions[i].out, text);
        assert_string_equal(text, expected);
        roan_session_done(&sessions[i]);
    }
    assert_int_equal(harness_info(&h, "stats", "tracking_total_items"), 0);
    harness_close(&h);
}

static void keys_above_the_limit_are_forgotten(void **state)
{
    (void)state;
    harness h;
    char name[32];
    harness_open(&h, 1);
    harness_run(&h, "CONFIG", "SET", "tracking-table-max-keys", "1000");
    harness_run(&h, "CLIENT", "TRACKING", "ON");
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "k%u", i);
        harness_run(&h, "GET", name);
    }
    assert_int_equal(harness_info(&h, "stats", "tracking_total_keys"), 1000);
    for (unsigned i = 1000; i < 1100; i++) {
        snprintf(name, sizeof name, "k%u", i);
        harness_run(&h, "GET", name);
    }
    harness_run(&h, "PING");
    assert_int_equal(harness_info(&h, "stats", "tracking_total_keys"), 1000);
    harness_run(&h, "CONFIG", "SET", "tracking-table-max-keys", "100");
    for (unsigned i = 0; i < 4; i++) /* 100 at first, and 100 more each time */
        harness_run(&h, "PING");
    assert_int_equal(harness_info(&h, "stats", "tracking_total_keys"), 100);
    harness_run(&h, "CONFIG", "SET", "tracking-table-max-keys", "0"); /* no limit */
    for (unsigned i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "k%u", i);
        harness_run(&h, "GET", name);
    }
    assert_true(harness_info(&h, "stats", "tracking_total_keys") >= 500);
    harness_run(&h, "FLUSHALL");
    assert_int_equal(harness_info(&h, "stats", "tracking_total_keys"), 0);
    harness_close(&h);
}

/* More names than a message takes make several; each name comes once. */
static void many_changes_are_broadcast_once_each(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    static unsigned char seen[COUNT];
    harness h;
    roan_session listener;
    harness_open(&h, 1);
    roan_session_init(&listener, &h.engine->lanes[0], &harness_ops);
    listener.out.protocol = 3;
    RUN_FOR(&h, &listener, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "key:");
    roan_out_rollback(&listener.out, 0);
    for (unsigned i = 0; i < 3 * COUNT; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s:%u", i % 3 == 2 ? "other" : "key", i / 3);
        harness_run(&h, "SET", name, "v");
    }
    roan_broadcast_flush(&h.engine->lanes[0]);
    size_t bytes = roan_out_bytes(&listener.out);
    char *text = calloc(1, bytes + 1);
    assert_non_null(text);
    roan_out_copy(&listener.out, text);
    unsigned messages = 0;
    for (const char *at = text; *at != '\0'; messages++) {
        at = after_line(after_line(after_line(at)));
        unsigned long count = strtoul(at + 1, NULL, 10);
        at = after_line(at);
        for (unsigned long i = 0; i < count; i++)
            seen[key_of(read_bulk(&at))]++;
    }
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(seen[i], 1);
    assert_int_equal(messages, 3);
    free(text);
    roan_session_done(&listener);
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_clients_of_a_key_are_told_once_each),
        cmocka_unit_test(keys_above_the_limit_are_forgotten),
        cmocka_unit_test(many_changes_are_broadcast_once_each),
        cmocka_unit_test(caches_hold_nothing_stale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
