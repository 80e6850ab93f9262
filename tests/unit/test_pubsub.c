/* test_pubsub.c: messages with several lanes: all subscribers of a channel see the same messages in the same order, who
 * subscribes for a while sees exactly those of that while, and publishers are told the truth. Meant for a thread
 * sanitizer, too. */
#include "engine_harness.h"

#include <pthread.h>

#include "engine/pubsub.h"

#define LANES 4
#define CHANNELS 3
#define ROUNDS 3000
#define MESSAGES_MAX (LANES * ROUNDS)

/* What a session was sent, as bytes. */
typedef struct inbox {
    roan_session session;
    roan_buffer text;
} inbox;

typedef struct worker {
    roan_engine *engine;
    unsigned index;
    roan_random random;
    inbox listener; /* to all channels all the time, by name or by pattern */
    inbox visitor;  /* to one channel for a while */
    inbox publisher;
    unsigned published[CHANNELS];
    pthread_barrier_t *all_done;
} worker;

static void empty(inbox *box)
{
    size_t bytes = roan_out_bytes(&box->session.out);
    if (bytes == 0)
        return;
    roan_buffer_reserve(&box->text, bytes);
    roan_out_copy(&box->session.out, box->text.data + box->text.bytes);
    box->text.bytes += bytes;
    roan_out_rollback(&box->session.out, 0);
}

static void run(worker *w, inbox *box, const char *const *words)
{
    roan_slice argv[HARNESS_WORDS_MAX];
    roan_request request = {.argv = argv};
    while (words[request.argc] != NULL) {
        argv[request.argc] = roan_slice_from_text(words[request.argc]);
        request.argc++;
    }
    roan_gate_pass(&w->engine->lanes[w->index]);
    roan_request_prepare(&box->session, &request);
    assert_int_equal(roan_execute(&box->session, &request), ROAN_DONE);
    empty(box);
}

#define RUN(w, box, ...) run((w), (box), (const char *const[]){__VA_ARGS__, NULL})

static void publish(worker *w, unsigned channel)
{
    char name[32], text[32];
    snprintf(name, sizeof name, "channel:%u", channel);
    snprintf(text, sizeof text, "%u", w->index * ROUNDS + w->published[channel]++);
    RUN(w, &w->publisher, "PUBLISH", name, text);
}

static void come_or_go(worker *w, unsigned channel)
{
    char name[32];
    snprintf(name, sizeof name, "channel:%u", channel);
    if (roan_pubsub_count(&w->visitor.session, ROAN_TOPIC_CHANNEL) > 0)
        RUN(w, &w->visitor, "UNSUBSCRIBE");
    else
        RUN(w, &w->visitor, "SUBSCRIBE", name);
}

static void deliver(worker *w)
{
    roan_lane_deliver_mail(&w->engine->lanes[w->index]);
    empty(&w->listener);
    empty(&w->visitor);
}

static void open_inboxes(worker *w)
{
    roan_lane *lane = &w->engine->lanes[w->index];
    roan_session_init(&w->listener.session, lane, &harness_ops);
    roan_session_init(&w->visitor.session, lane, &harness_ops);
    roan_session_init(&w->publisher.session, lane, &harness_ops);
    if (w->index % 2 == 0)
        RUN(w, &w->listener, "SUBSCRIBE", "channel:0", "channel:1", "channel:2");
    else
        RUN(w, &w->listener, "PSUBSCRIBE", "channel:?");
}

static void *work(void *context)
{
    worker *w = context;
    roan_lane *lane = &w->engine->lanes[w->index];
    roan_gate_enter(lane);
    open_inboxes(w);
    roan_gate_leave(lane);
    pthread_barrier_wait(w->all_done); /* all listen */
    roan_gate_enter(lane);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned channel = (unsigned)roan_random_below(&w->random, CHANNELS);
        switch (roan_random_below(&w->random, 8)) {
        case 0: come_or_go(w, channel); break;
        case 1:
        case 2: deliver(w); break;
        default: publish(w, channel); break;
        }
    }
    RUN(w, &w->visitor, "UNSUBSCRIBE");
    roan_gate_leave(lane);
    pthread_barrier_wait(w->all_done);
    roan_gate_enter(lane);
    deliver(w);
    roan_session_done(&w->listener.session);
    roan_session_done(&w->visitor.session);
    roan_session_done(&w->publisher.session);
    roan_gate_leave(lane);
    return NULL;
}

/* ---- looking at what came ---- */

/* The next event of an inbox: a message (returns its number), or the begin or end of a subscription. */
enum { BEGIN = -1, END = -2, NOTHING = -3 };

static const char *next_word(const char **at, size_t *ret_bytes)
{
    const char *header = strchr(*at, '$');
    if (header == NULL)
        return NULL;
    char *text;
    *ret_bytes = strtoul(header + 1, &text, 10);
    *at = text + 2 + *ret_bytes;
    return text + 2;
}

static int next_event(const char **at, unsigned *ret_channel)
{
    size_t bytes;
    const char *word;
    while ((word = next_word(at, &bytes)) != NULL) {
        bool is_message = strncmp(word, "message", bytes) == 0, is_pattern = strncmp(word, "pmessage", bytes) == 0;
        bool is_begin = strncmp(word, "subscribe", bytes) == 0, is_end = strncmp(word, "unsubscribe", bytes) == 0;
        if (!is_message && !is_pattern && !is_begin && !is_end)
            continue;
        if (is_pattern)
            next_word(at, &bytes);
        word = next_word(at, &bytes);
        *ret_channel = (unsigned)(word[bytes - 1] - '0');
        if (is_begin || is_end)
            return is_begin ? BEGIN : END;
        word = next_word(at, &bytes);
        return (int)strtol(word, NULL, 10);
    }
    return NOTHING;
}

/* Where in the order of a channel a message stands, by its number. */
static int places[CHANNELS][MESSAGES_MAX];
static int order[CHANNELS][MESSAGES_MAX];
static int order_count[CHANNELS];

static void take_order(const inbox *box)
{
    const char *at = box->text.data;
    unsigned channel;
    for (int event = next_event(&at, &channel); event != NOTHING; event = next_event(&at, &channel)) {
        if (event < 0)
            continue;
        places[channel][event] = order_count[channel];
        order[channel][order_count[channel]++] = event;
    }
}

static void check_order(const inbox *box)
{
    int seen[CHANNELS] = {0};
    const char *at = box->text.data;
    unsigned channel;
    for (int event = next_event(&at, &channel); event != NOTHING; event = next_event(&at, &channel))
        if (event >= 0)
            assert_int_equal(order[channel][seen[channel]++], event);
    for (channel = 0; channel < CHANNELS; channel++)
        assert_int_equal(seen[channel], order_count[channel]);
}

/* What the publisher was told about how many get his messages. */
static size_t sum_replies(const inbox *box)
{
    size_t sum = 0;
    for (const char *at = strchr(box->text.data, ':'); at != NULL; at = strchr(at + 1, ':'))
        sum += strtoul(at + 1, NULL, 10);
    return sum;
}

/* Messages come only within a subscription, and one after the other in the channel's order. */
static size_t check_visits(const inbox *box)
{
    const char *at = box->text.data;
    int last = -1;
    bool is_in = false;
    unsigned channel, visited = 0;
    size_t messages = 0;
    for (int event = next_event(&at, &channel); event != NOTHING; event = next_event(&at, &channel)) {
        if (event < 0) {
            is_in = event == BEGIN;
            visited = channel;
            last = -1;
            continue;
        }
        assert_true(is_in && channel == visited);
        int place = places[channel][event];
        assert_true(last < 0 || place == last + 1);
        last = place;
        messages++;
    }
    return messages;
}

static void every_subscriber_sees_one_order(void **state)
{
    (void)state;
    static worker workers[LANES];
    pthread_t threads[LANES];
    pthread_barrier_t all_done;
    roan_engine *engine = roan_engine_create(&(roan_engine_options){.lanes = LANES, .seed = 1});
    pthread_barrier_init(&all_done, NULL, LANES);
    for (unsigned i = 0; i < LANES; i++) {
        workers[i] = (worker){.engine = engine, .index = i, .all_done = &all_done};
        roan_random_seed(&workers[i].random, i + 1);
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < LANES; i++)
        pthread_join(threads[i], NULL);
    int published[CHANNELS] = {0};
    for (unsigned i = 0; i < LANES; i++)
        for (unsigned channel = 0; channel < CHANNELS; channel++)
            published[channel] += (int)workers[i].published[channel];
    for (unsigned i = 0; i < LANES; i++) {
        roan_buffer_append(&workers[i].listener.text, "", 1);
        roan_buffer_append(&workers[i].visitor.text, "", 1);
        roan_buffer_append(&workers[i].publisher.text, "", 1);
    }
    take_order(&workers[0].listener);
    for (unsigned channel = 0; channel < CHANNELS; channel++)
        assert_int_equal(order_count[channel], published[channel]);
    size_t visited = 0, told = 0, heard = 0;
    for (unsigned channel = 0; channel < CHANNELS; channel++)
        heard += (size_t)order_count[channel] * LANES;
    for (unsigned i = 0; i < LANES; i++) {
        told += sum_replies(&workers[i].publisher);
        check_order(&workers[i].listener);
        visited += check_visits(&workers[i].visitor);
        roan_buffer_done(&workers[i].listener.text);
        roan_buffer_done(&workers[i].visitor.text);
        roan_buffer_done(&workers[i].publisher.text);
    }
    assert_true(visited > 0);
    assert_int_equal(told, heard + visited);
    pthread_barrier_destroy(&all_done);
    roan_engine_free(engine);
}

/* ---- one lane ---- */

static void what_nobody_hears_leaves_nothing(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    assert_int_equal(harness_integer(&h, "PUBLISH", "x", "y"), 0);
    harness_run(&h, "SUBSCRIBE", "x", "y", "z");
    harness_run(&h, "PSUBSCRIBE", "a*", "b*");
    harness_run(&h, "SSUBSCRIBE", "x");
    assert_int_equal(h.session.modes, ROAN_MODE_SUBSCRIBED);
    assert_int_equal(roan_topics_count(h.engine->topics, ROAN_TOPIC_CHANNEL), 3);
    assert_int_equal(roan_topics_count(h.engine->topics, ROAN_TOPIC_PATTERN), 2);
    assert_true(roan_pubsub_bytes(&h.session) > 0);
    harness_run(&h, "RESET");
    assert_int_equal(h.session.modes, 0);
    assert_null(h.session.subscriptions);
    for (unsigned kind = 0; kind < ROAN_TOPIC_KIND_COUNT; kind++)
        assert_int_equal(roan_topics_count(h.engine->topics, (roan_topic_kind)kind), 0);
    harness_close(&h);
}

static void a_message_on_its_way_is_not_for_who_comes_later(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 2);
    roan_session other;
    roan_session_init(&other, &h.engine->lanes[1], &harness_ops);
    roan_pubsub_subscribe(&other, ROAN_TOPIC_CHANNEL, ROAN_LITERAL("x"));
    assert_int_equal(harness_integer(&h, "PUBLISH", "x", "early"), 1);
    roan_session late;
    roan_session_init(&late, &h.engine->lanes[1], &harness_ops);
    roan_pubsub_subscribe(&late, ROAN_TOPIC_CHANNEL, ROAN_LITERAL("x"));
    roan_pubsub_subscribe(&late, ROAN_TOPIC_PATTERN, ROAN_LITERAL("*"));
    assert_int_equal(roan_out_bytes(&other.out), 0);
    roan_lane_deliver_mail(&h.engine->lanes[1]);
    assert_true(roan_out_bytes(&other.out) > 0);
    assert_int_equal(roan_out_bytes(&late.out), 0);
    assert_int_equal(harness_integer(&h, "PUBLISH", "x", "now"), 3);
    roan_pubsub_unsubscribe(&late, ROAN_TOPIC_CHANNEL, ROAN_LITERAL("x"));
    assert_true(roan_out_bytes(&late.out) > 0); /* it was published before */
    roan_session_done(&other);
    roan_session_done(&late);
    assert_int_equal(harness_integer(&h, "PUBLISH", "x", "nobody"), 0);
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_hears_leaves_nothing),
        cmocka_unit_test(a_message_on_its_way_is_not_for_who_comes_later),
        cmocka_unit_test(every_subscriber_sees_one_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
