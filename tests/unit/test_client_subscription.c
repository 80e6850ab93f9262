/* test_client_subscription.c: publish/subscribe as wishes, on a scripted peer and a virtual clock: nothing here sleeps.
 *
 * What is sent for which wishes, confirmations between replies, refusals, the fence, reconnecting with its gaps, backlogs,
 * callbacks, RESP2 with its own connection. The scripted transport has no descriptors, so callers drive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "base/macros.h"
#include "roan/client.h"
#include "roan/scripted.h"
#include "roan/subscription.h"
#include "client_world.h"

#define MS 1000LL

static int set_up(void **state)
{
    (void)state;
    begin_world(5, roan_scripted_redis);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return end_world();
}

static roan_subscription *subscribe(const roan_subscription_options *options)
{
    roan_subscription *subscription = roan_subscription_create(client, options);

    assert_non_null(subscription);
    return subscription;
}

static void add(roan_subscription *subscription, roan_channel_kind kind, const char *name)
{
    roan_slice channel = roan_slice_from_text(name);

    assert_int_equal(roan_subscription_add(subscription, kind, &channel, 1), ROAN_OK);
}

static void drop(roan_subscription *subscription, roan_channel_kind kind, const char *name)
{
    roan_slice channel = roan_slice_from_text(name);

    assert_int_equal(roan_subscription_remove(subscription, kind, &channel, 1), ROAN_OK);
}

static void expect_ready(roan_subscription *subscription)
{
    if (roan_subscription_ready(subscription, 5000) != ROAN_OK)
        fail_msg("%s", roan_last_failure()->text);
}

static roan_subscription *subscribe_to(const char *name)
{
    roan_subscription *subscription = subscribe(NULL);

    add(subscription, ROAN_CHANNEL_EXACT, name);
    expect_ready(subscription);
    return subscription;
}

static int64_t run_integer(const char *text)
{
    roan_slice words[16];
    roan_value *reply;
    int64_t value;

    if (roan_do(client, split(text, words), words, &reply, NULL) != ROAN_OK)
        fail_msg("%s: %s", text, roan_last_failure()->text);
    value = reply->integer;
    roan_value_free(reply);
    return value;
}

static void run(const char *text)
{
    ROAN_IGNORE(run_integer(text));
}

/* The next message is this one. */
static void expect_lost(roan_subscription *subscription, const char *channel, const char *payload, uint64_t lost)
{
    roan_message message;

    if (roan_subscription_next(subscription, &message, 5000) != ROAN_OK)
        fail_msg("%s instead of %s", roan_last_failure()->text, payload);
    assert_int_equal(message.channel.bytes, strlen(channel));
    assert_memory_equal(message.channel.data, channel, strlen(channel));
    assert_int_equal(message.payload.bytes, strlen(payload));
    assert_memory_equal(message.payload.data, payload, strlen(payload));
    assert_int_equal(message.lost_before, lost);
    roan_message_done(&message);
    assert_null(message.owned);
}

static void expect(roan_subscription *subscription, const char *channel, const char *payload)
{
    expect_lost(subscription, channel, payload, 0);
}

static void expect_status(roan_subscription *subscription, int timeout_ms, roan_status status)
{
    roan_message message;

    assert_int_equal(roan_subscription_next(subscription, &message, timeout_ms), status);
    assert_int_equal(roan_last_failure()->code, status);
    assert_null(message.owned);
}

static void expect_nothing(roan_subscription *subscription)
{
    expect_status(subscription, 10, ROAN_E_TIMEOUT);
}

static roan_subscription_stats figures(roan_subscription *subscription)
{
    roan_subscription_stats stats = {.size = sizeof stats};

    roan_subscription_get_stats(subscription, &stats);
    return stats;
}

/* How often the peer was asked for this, and where it was first. */
static size_t count_requests(unsigned peer_index, const char *text, size_t *ret_first)
{
    roan_peer *peer = roan_scripted_peer(world, peer_index);
    size_t count = 0;

    for (size_t i = roan_peer_request_count(peer); i-- > 0;)
        if (roan_peer_request_is(peer, i, text)) {
            count++;
            if (ret_first != NULL)
                *ret_first = i;
        }
    return count;
}

static bool was_asked(const char *text)
{
    for (unsigned i = 0; i < roan_scripted_opened(world); i++)
        if (count_requests(i, text, NULL) > 0)
            return true;
    return false;
}

/* ---- wishes ---- */

static void test_every_kind_is_heard(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_subscription *subscription = subscribe(NULL);
    roan_message message;
    add(subscription, ROAN_CHANNEL_EXACT, "news");
    add(subscription, ROAN_CHANNEL_PATTERN, "shop.*");
    add(subscription, ROAN_CHANNEL_SHARDED, "slot");
    expect_ready(subscription);
    assert_int_equal(figures(subscription).confirmed, 3);
    run("PUBLISH news hello");
    run("PUBLISH shop.one sold");
    run("SPUBLISH slot moved");
    run("PUBLISH other nothing");
    expect(subscription, "news", "hello");
    assert_int_equal(roan_subscription_next(subscription, &message, 1000), ROAN_OK);
    assert_int_equal(message.kind, ROAN_CHANNEL_PATTERN);
    assert_int_equal(message.sequence, 2);
    assert_memory_equal(message.pattern.data, "shop.*", 6);
    assert_memory_equal(message.channel.data, "shop.one", 8);
    assert_memory_equal(message.payload.data, "sold", 4);
    roan_message_done(&message);
    assert_int_equal(roan_subscription_next(subscription, &message, 1000), ROAN_OK);
    assert_int_equal(message.kind, ROAN_CHANNEL_SHARDED);
    assert_int_equal(message.pattern.bytes, 0);
    roan_message_done(&message);
    expect_nothing(subscription);
    assert_int_equal(roan_scripted_opened(world), 1); /* RESP3 shares the connection */
    roan_subscription_free(subscription);
}

static void test_one_request_with_a_fence_for_all_wishes(void **state)
{
    (void)state;
    size_t at = 0;
    open_with("", NULL);
    roan_subscription *subscription = subscribe(NULL);
    add(subscription, ROAN_CHANNEL_EXACT, "a");
    add(subscription, ROAN_CHANNEL_EXACT, "b");
    add(subscription, ROAN_CHANNEL_PATTERN, "c*");
    expect_ready(subscription);
    assert_int_equal(count_requests(0, "SUBSCRIBE a", &at), 1);
    assert_true(roan_peer_request_is(roan_scripted_peer(world, 0), at + 1, "SUBSCRIBE b"));
    assert_true(roan_peer_request_is(roan_scripted_peer(world, 0), at + 2, "PSUBSCRIBE c*"));
    assert_true(roan_peer_request_is(roan_scripted_peer(world, 0), at + 3, "PING"));
    assert_int_equal(roan_peer_sends(roan_scripted_peer(world, 0)), 2); /* the handshake, and this */
    roan_subscription_free(subscription);
    run("PING");
    assert_true(was_asked("UNSUBSCRIBE a") && was_asked("UNSUBSCRIBE b") && was_asked("PUNSUBSCRIBE c*"));
}

static void test_subscriptions_share_what_the_server_keeps(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_subscription *one = subscribe_to("news");
    roan_subscription *two = subscribe_to("news");
    assert_int_equal(count_requests(0, "SUBSCRIBE news", NULL), 1);
    run("PUBLISH news first");
    expect(one, "news", "first");
    drop(one, ROAN_CHANNEL_EXACT, "news");
    run("PUBLISH news second");
    assert_false(was_asked("UNSUBSCRIBE news"));
    expect(two, "news", "first");
    expect(two, "news", "second");
    expect_nothing(one);
    roan_subscription_free(two);
    assert_int_equal(run_integer("PUBLISH news third"), 0);
    assert_int_equal(count_requests(0, "UNSUBSCRIBE news", NULL), 1);
    roan_subscription_free(one);
}

static void test_wishes_that_change_before_the_connection_is_there(void **state)
{
    (void)state;
    roan_peer_accept(roan_scripted_peer(world, 0), 50 * MS);
    open_with("", NULL);
    roan_subscription *subscription = subscribe(NULL);
    add(subscription, ROAN_CHANNEL_EXACT, "kept");
    add(subscription, ROAN_CHANNEL_EXACT, "dropped");
    add(subscription, ROAN_CHANNEL_EXACT, "back");
    drop(subscription, ROAN_CHANNEL_EXACT, "back");
    expect_status(subscription, 10, ROAN_E_TIMEOUT); /* connecting */
    drop(subscription, ROAN_CHANNEL_EXACT, "dropped");
    add(subscription, ROAN_CHANNEL_EXACT, "back");
    expect_ready(subscription);
    assert_true(was_asked("SUBSCRIBE kept") && was_asked("SUBSCRIBE back"));
    assert_false(was_asked("SUBSCRIBE dropped") || was_asked("UNSUBSCRIBE dropped"));
    assert_int_equal(run_integer("PUBLISH back here"), 1);
    expect(subscription, "back", "here");
    roan_subscription_free(subscription);
}

static void test_wishes_that_change_while_the_server_is_asked(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_subscription *subscription = subscribe_to("base");
    roan_peer_set_latency(roan_scripted_peer(world, 0), 5 * MS);
    add(subscription, ROAN_CHANNEL_EXACT, "fickle");
    drop(subscription, ROAN_CHANNEL_EXACT, "fickle"); /* SUBSCRIBE is under way */
    add(subscription, ROAN_CHANNEL_EXACT, "other");
    expect_ready(subscription);
    run("PING");
    run("PING");
    assert_int_equal(count_requests(0, "SUBSCRIBE fickle", NULL), 1);
    assert_int_equal(count_requests(0, "UNSUBSCRIBE fickle", NULL), 1);
    drop(subscription, ROAN_CHANNEL_EXACT, "other");
    add(subscription, ROAN_CHANNEL_EXACT, "other"); /* UNSUBSCRIBE is under way */
    expect_ready(subscription);
    assert_int_equal(count_requests(0, "SUBSCRIBE other", NULL), 2);
    assert_int_equal(run_integer("PUBLISH other here"), 1);
    assert_int_equal(run_integer("PUBLISH fickle here"), 0);
    expect(subscription, "other", "here");
    roan_subscription_free(subscription);
}

static void test_what_is_not_wished_is_not_asked_for(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_subscription *subscription = subscribe_to("news");
    drop(subscription, ROAN_CHANNEL_EXACT, "never");
    drop(subscription, ROAN_CHANNEL_PATTERN, "news");
    add(subscription, ROAN_CHANNEL_EXACT, "news");
    run("PING");
    assert_false(was_asked("UNSUBSCRIBE never") || was_asked("PUNSUBSCRIBE news"));
    assert_int_equal(count_requests(0, "SUBSCRIBE news", NULL), 1);
    assert_int_equal(figures(subscription).wishes, 1);
    assert_int_equal(roan_subscription_add(subscription, ROAN_CHANNEL_NONE, NULL, 0), ROAN_E_INVALID);
    roan_subscription_free(subscription);
}

static void test_binary_and_empty_names(void **state)
{
    (void)state;
    open_with("?key_prefix=app:", NULL);
    roan_subscription *subscription = subscribe(NULL);
    roan_slice names[] = {{"", 0}, {"a\0b\r\n", 5}};
    roan_slice publish[] = {ROAN_LITERAL("PUBLISH"), names[1], {"\r\n\0", 3}};
    roan_message message;
    assert_int_equal(roan_subscription_add(subscription, ROAN_CHANNEL_EXACT, names, 2), ROAN_OK);
    add(subscription, ROAN_CHANNEL_EXACT, "__keyspace@0__:app:x"); /* prefixed by the program alone */
    expect_ready(subscription);
    assert_true(was_asked("SUBSCRIBE __keyspace@0__:app:x"));
    assert_int_equal(roan_do(client, 3, publish, NULL, NULL), ROAN_OK);
    assert_int_equal(roan_subscription_next(subscription, &message, 100), ROAN_OK);
    assert_int_equal(message.channel.bytes, 5);
    assert_memory_equal(message.channel.data, "a\0b\r\n", 5);
    assert_int_equal(message.payload.bytes, 3);
    roan_message_done(&message);
    roan_message_done(&message); /* empty now */
    roan_subscription_free(subscription);
}

static void test_many_wishes(void **state)
{
    (void)state;
    char names[2000][8];
    roan_slice channels[2000];
    for (size_t i = 0; i < 2000; i++)
        channels[i] = roan_slice_make(names[i], (size_t)snprintf(names[i], sizeof names[i], "c%zu", i));
    open_with("", NULL);
    roan_subscription *subscription = subscribe(NULL);
    assert_int_equal(roan_subscription_add(subscription, ROAN_CHANNEL_EXACT, channels, 2000), ROAN_OK);
    expect_ready(subscription);
    assert_int_equal(figures(subscription).confirmed, 2000);
    run("PUBLISH c1999 x");
    expect(subscription, "c1999", "x");
    assert_int_equal(roan_subscription_remove(subscription, ROAN_CHANNEL_EXACT, channels, 1999), ROAN_OK);
    run("PUBLISH c1999 y");
    expect(subscription, "c1999", "y");
    assert_int_equal(run_integer("PUBLISH c0 z"), 0);
    roan_subscription_free(subscription);
}

/* ---- between the replies of others ---- */

static void test_confirmations_and_messages_between_replies(void **state)
{
    (void)state;
    static const char *const early[] = {"SET k v", "GET k", "PUBLISH news one", "GET k"};
    roan_future *futures[40];
    roan_slice words[8];
    size_t count = 0;
    roan_peer_set_pieces(roan_scripted_peer(world, 0), ROAN_PIECES_RANDOM, 10);
    open_with("", NULL);
    roan_subscription *subscription = subscribe_to("news");
    for (unsigned round = 0; round < 10; round++) {
        char name[16];
        ROAN_IGNORE(snprintf(name, sizeof name, "extra%u", round));
        for (size_t i = 0; i < ROAN_COUNT_OF(early); i++) {
            futures[count++] = roan_go(client, split(early[i], words), words, NULL);
            if (i == 1)
                add(subscription, ROAN_CHANNEL_EXACT, name);
        }
    }
    for (size_t i = 0; i < count; i++) {
        roan_value *reply;
        assert_int_equal(roan_take(futures[i], &reply, NULL), ROAN_OK);
        if (i % 4 == 1 || i % 4 == 3)
            assert_memory_equal(reply->text.data, "v", 1);
        else if (i % 4 == 2)
            assert_int_equal(reply->integer, 1);
        roan_value_free(reply);
    }
    expect_ready(subscription);
    for (unsigned round = 0; round < 10; round++)
        expect(subscription, "news", "one");
    expect_nothing(subscription);
    roan_subscription_free(subscription);
}

static void test_rubbish_pushes_are_ignored(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_subscription *subscription = subscribe_to("news");
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_peer_sendf(peer, 0, ">3\r\n+message\r\n$4\r\nnews\r\n:1\r\n");
    roan_peer_sendf(peer, 0, ">3\r\n+message\r\n$4\r\nnews\r\n*1\r\n:1\r\n");
    roan_peer_sendf(peer, 0, ">4\r\n+message\r\n$4\r\nnews\r\n$1\r\nx\r\n$1\r\ny\r\n");
    roan_peer_sendf(peer, 0, ">3\r\n+message\r\n$7\r\nunknown\r\n$1\r\nx\r\n");
    roan_peer_sendf(peer, 0, ">3\r\n+subscribe\r\n$7\r\nunknown\r\n:7\r\n");
    roan_peer_sendf(peer, 0, ">3\r\n+unsubscribe\r\n_\r\n:0\r\n");
    roan_peer_sendf(peer, 0, ">2\r\n+invalidate\r\n_\r\n");
    roan_peer_sendf(peer, 0, ">0\r\n");
    run("PUBLISH news fine");
    expect(subscription, "news", "fine");
    roan_subscription_free(subscription);
}

/* ---- reconnecting ---- */

static void test_a_lost_connection_is_restored_and_leaves_a_gap(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_subscription *subscription = subscribe_to("news");
    add(subscription, ROAN_CHANNEL_PATTERN, "p*");
    expect_ready(subscription);
    roan_scripted_advance(world, 2000 * MS); /* it was a good connection */
    run("PUBLISH news before");
    roan_peer_reset(roan_scripted_peer(world, 0), 0, ECONNRESET);
    expect(subscription, "news", "before"); /* it came before the gap */
    expect_nothing(subscription);
    expect_ready(subscription);
    assert_int_equal(count_requests(1, "SUBSCRIBE news", NULL), 1);
    assert_int_equal(count_requests(1, "PSUBSCRIBE p*", NULL), 1);
    run("PUBLISH news after");
    run("PUBLISH pink later");
    expect_lost(subscription, "news", "after", ROAN_LOST_UNKNOWN);
    expect(subscription, "pink", "later");
    assert_int_equal(figures(subscription).interruptions, 1);
    roan_subscription_free(subscription);
}

static void test_a_gap_can_be_told_at_once(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_subscription *subscription = subscribe(ROAN_SUBSCRIPTION_OPTIONS(.tells_gaps = true));
    roan_message message;
    add(subscription, ROAN_CHANNEL_EXACT, "news");
    expect_ready(subscription);
    roan_scripted_advance(world, 2000 * MS);
    roan_peer_reset(roan_scripted_peer(world, 0), 0, ECONNRESET);
    assert_int_equal(roan_subscription_next(subscription, &message, 1000), ROAN_OK);
    assert_int_equal(message.kind, ROAN_CHANNEL_NONE);
    assert_true(message.lost_before == ROAN_LOST_UNKNOWN);
    roan_message_done(&message);
    assert_int_equal(figures(subscription).confirmed, 1);
    run("PUBLISH news after");
    expect(subscription, "news", "after");
    roan_subscription_free(subscription);
}

static void test_only_who_was_subscribed_has_a_gap(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_subscription *old = subscribe_to("news");
    roan_subscription *young = subscribe(NULL);
    roan_scripted_advance(world, 2000 * MS);
    roan_peer_reset(roan_scripted_peer(world, 0), 0, ECONNRESET);
    expect_nothing(old);
    add(young, ROAN_CHANNEL_EXACT, "news");
    expect_ready(young);
    expect_ready(old);
    run("PUBLISH news x");
    expect_lost(old, "news", "x", ROAN_LOST_UNKNOWN);
    expect(young, "news", "x");
    roan_subscription_free(old);
    roan_subscription_free(young);
}

static void test_wishes_survive_attempts_that_fail(void **state)
{
    (void)state;
    roan_peer_refuse(roan_scripted_peer(world, 0), 0, ECONNREFUSED);
    roan_peer_refuse(roan_scripted_peer(world, 1), 0, ECONNREFUSED);
    open_with("", NULL);
    roan_subscription *subscription = subscribe(NULL);
    add(subscription, ROAN_CHANNEL_EXACT, "news");
    assert_int_equal(roan_subscription_ready(subscription, 20), ROAN_E_TIMEOUT);
    assert_non_null(strstr(roan_last_failure()->text, "refused"));
    expect_ready(subscription);
    assert_int_equal(roan_scripted_opened(world), 3);
    run("PUBLISH news x");
    expect(subscription, "news", "x"); /* nothing had begun, so there is no gap */
    roan_subscription_free(subscription);
}

static void test_without_reconnect_it_is_told(void **state)
{
    (void)state;
    open_with("?reconnect=-1", NULL);
    roan_subscription *subscription = subscribe_to("news");
    roan_scripted_advance(world, 2000 * MS);
    run("PUBLISH news x");
    roan_peer_reset(roan_scripted_peer(world, 0), 0, ECONNRESET);
    expect(subscription, "news", "x");
    expect_status(subscription, 1000, ROAN_E_LOST);
    assert_int_equal(roan_scripted_opened(world), 1);
    expect_nothing(subscription); /* that opens a new one */
    expect_ready(subscription);
    run("PUBLISH news y");
    expect_lost(subscription, "news", "y", ROAN_LOST_UNKNOWN);
    roan_subscription_free(subscription);
}

/* The first connection breaks after every number of bytes; afterwards everything is as it should be, and a message that
 * can have been missed is announced. */
static void test_a_connection_cut_at_every_byte(void **state)
{
    size_t cuts = 0;

    for (uint64_t bytes = 1;; bytes++) {
        roan_message message;
        bool got_first;
        roan_peer_cut_received(roan_scripted_peer(world, 0), bytes, bytes % 2 == 0 ? ECONNRESET : 0);
        open_with("", NULL);
        roan_subscription *subscription = subscribe(NULL);
        add(subscription, ROAN_CHANNEL_EXACT, "news");
        add(subscription, ROAN_CHANNEL_PATTERN, "x*");
        while (roan_subscription_ready(subscription, 5000) != ROAN_OK)
            assert_int_equal(roan_last_failure()->code, ROAN_E_TIMEOUT);
        roan_peer_sendf(roan_scripted_peer(world, 0), 0, ">3\r\n+message\r\n$4\r\nnews\r\n$1\r\na\r\n");
        got_first = roan_subscription_next(subscription, &message, 100) == ROAN_OK;
        roan_message_done(&message);
        expect_ready(subscription);
        bool was_cut = roan_scripted_opened(world) > 1;
        roan_peer_sendf(roan_scripted_peer(world, was_cut ? 1 : 0), 0, ">3\r\n+message\r\n$4\r\nnews\r\n$1\r\nb\r\n");
        if (roan_subscription_next(subscription, &message, 100) != ROAN_OK) {
            assert_true(got_first && !was_cut); /* the second one was cut */
            was_cut = true;
            expect_ready(subscription);
            roan_peer_sendf(roan_scripted_peer(world, 1), 0, ">3\r\n+message\r\n$4\r\nnews\r\n$1\r\nb\r\n");
            assert_int_equal(roan_subscription_next(subscription, &message, 100), ROAN_OK);
            assert_true(message.lost_before == ROAN_LOST_UNKNOWN);
        }
        assert_memory_equal(message.payload.data, "b", 1);
        if (!got_first && figures(subscription).interruptions > 0)
            assert_true(message.lost_before == ROAN_LOST_UNKNOWN);
        if (!was_cut)
            assert_true(got_first && message.lost_before == 0);
        roan_message_done(&message);
        roan_subscription_free(subscription);
        cuts += was_cut;
        assert_int_equal(tear_down(state), 0);
        set_up(state); /* a new world */
        if (!was_cut)
            break;
    }
    assert_true(cuts > 100);
}

/* ---- refusals and fences ---- */

typedef struct odd_server {
    const char *refuses; /* this channel */
    const char *words;   /* with these */
    unsigned times;
    const char *ping;    /* the answer to PING, or NULL */
} odd_server;

static void answer_oddly(void *argument, roan_peer *peer, size_t argc, const roan_slice *argv)
{
    odd_server *server = argument;

    if (argc == 2 && server->refuses != NULL && server->times > 0 && argv[1].bytes == strlen(server->refuses) &&
        memcmp(argv[1].data, server->refuses, argv[1].bytes) == 0) {
        server->times--;
        roan_peer_sendf(peer, 0, "%s", server->words);
    } else if (argc == 1 && server->ping != NULL && argv[0].bytes == 4 && memcmp(argv[0].data, "PING", 4) == 0) {
        roan_peer_sendf(peer, 0, "%s", server->ping);
    } else {
        roan_scripted_redis(NULL, peer, argc, argv);
    }
}

static void test_a_refused_channel_is_told_once(void **state)
{
    (void)state;
    odd_server server = {.refuses = "secret", .words = "-NOPERM no such luck\r\n", .times = 3};
    roan_scripted_handle(world, answer_oddly, &server);
    open_with("", NULL);
    roan_subscription *subscription = subscribe(NULL);
    add(subscription, ROAN_CHANNEL_EXACT, "secret");
    add(subscription, ROAN_CHANNEL_EXACT, "news");
    expect_status(subscription, 1000, ROAN_E_SERVER);
    assert_string_equal(roan_last_failure()->server_code, "NOPERM");
    assert_string_equal(roan_last_failure()->node, "shop:7000");
    expect_nothing(subscription);
    assert_int_equal(roan_subscription_ready(subscription, 1000), ROAN_E_SERVER); /* it still is */
    assert_int_equal(figures(subscription).refused, 1);
    run("PUBLISH news x");
    expect(subscription, "news", "x");
    roan_scripted_advance(world, 2000 * MS);
    roan_peer_reset(roan_scripted_peer(world, 0), 0, ECONNRESET);
    expect_status(subscription, 1000, ROAN_E_SERVER); /* asked again, refused again */
    add(subscription, ROAN_CHANNEL_EXACT, "secret");  /* asked again expressly */
    expect_status(subscription, 1000, ROAN_E_SERVER);
    add(subscription, ROAN_CHANNEL_EXACT, "secret");
    expect_ready(subscription);
    drop(subscription, ROAN_CHANNEL_EXACT, "secret");
    run("PUBLISH news y");
    expect_lost(subscription, "news", "y", ROAN_LOST_UNKNOWN);
    roan_subscription_free(subscription);
}

static void test_a_refused_channel_can_be_given_up(void **state)
{
    (void)state;
    odd_server server = {.refuses = "secret", .words = "-NOPERM no\r\n", .times = 1};
    roan_scripted_handle(world, answer_oddly, &server);
    open_with("", NULL);
    roan_subscription *subscription = subscribe(NULL);
    add(subscription, ROAN_CHANNEL_EXACT, "secret");
    assert_int_equal(roan_subscription_ready(subscription, 1000), ROAN_E_SERVER);
    drop(subscription, ROAN_CHANNEL_EXACT, "secret");
    expect_ready(subscription);
    expect_nothing(subscription);
    run("PING");
    assert_false(was_asked("UNSUBSCRIBE secret"));
    roan_subscription_free(subscription);
}

static void test_a_server_that_cannot_now_is_asked_again(void **state)
{
    (void)state;
    odd_server server = {.refuses = "news", .words = "-LOADING not yet\r\n", .times = 3};
    roan_scripted_handle(world, answer_oddly, &server);
    open_with("", NULL);
    int64_t begun_us = roan_scripted_now(world);
    roan_subscription *subscription = subscribe_to("news");
    assert_true(roan_scripted_now(world) - begun_us >= 750 * MS);
    assert_true(roan_scripted_now(world) - begun_us < 1000 * MS);
    assert_int_equal(count_requests(0, "SUBSCRIBE news", NULL), 4);
    roan_subscription_free(subscription);
}

static void test_a_fence_that_comes_back_as_an_error(void **state)
{
    (void)state;
    odd_server server = {.refuses = "secret", .words = "-NOPERM no\r\n", .times = 1, .ping = "-LOADING or NOPERM\r\n"};
    roan_scripted_handle(world, answer_oddly, &server);
    open_with("", NULL);
    roan_subscription *subscription = subscribe_to("news");
    add(subscription, ROAN_CHANNEL_EXACT, "secret");
    assert_int_equal(roan_subscription_ready(subscription, 1000), ROAN_E_SERVER);
    add(subscription, ROAN_CHANNEL_EXACT, "more");
    run("SET k v");
    run("PUBLISH news x");
    run("PUBLISH more y");
    expect(subscription, "news", "x");
    expect(subscription, "more", "y");
    roan_subscription_free(subscription);
}

static void test_an_unsubscription_that_is_refused(void **state)
{
    (void)state;
    odd_server server = {0};
    roan_scripted_handle(world, answer_oddly, &server);
    open_with("", NULL);
    roan_subscription *subscription = subscribe_to("news");
    server = (odd_server){.refuses = "news", .words = "-NOPERM stay\r\n", .times = 100};
    drop(subscription, ROAN_CHANNEL_EXACT, "news");
    run("PING");
    run("PUBLISH x y");
    assert_int_equal(count_requests(0, "UNSUBSCRIBE news", NULL), 1);
    add(subscription, ROAN_CHANNEL_EXACT, "news"); /* it still has it */
    expect_ready(subscription);
    roan_subscription_free(subscription);
}

/* A server that never confirms, but answers the fence. */
static void test_what_is_never_confirmed_is_refused(void **state)
{
    (void)state;
    odd_server server = {.refuses = "news", .words = "", .times = 1};
    roan_scripted_handle(world, answer_oddly, &server);
    open_with("", NULL);
    roan_subscription *subscription = subscribe(NULL);
    add(subscription, ROAN_CHANNEL_EXACT, "news");
    assert_int_equal(roan_subscription_ready(subscription, 1000), ROAN_E_PROTOCOL);
    run("SET k v");
    roan_subscription_free(subscription);
}

static void test_the_server_takes_a_subscription_away(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_subscription *subscription = subscribe(NULL);
    add(subscription, ROAN_CHANNEL_SHARDED, "slot");
    add(subscription, ROAN_CHANNEL_EXACT, "news");
    expect_ready(subscription);
    roan_peer_sendf(roan_scripted_peer(world, 0), 0, ">3\r\n+sunsubscribe\r\n$4\r\nslot\r\n:0\r\n");
    expect_nothing(subscription);
    expect_ready(subscription);
    assert_int_equal(count_requests(0, "SSUBSCRIBE slot", NULL), 2);
    run("SPUBLISH slot x");
    expect_lost(subscription, "slot", "x", ROAN_LOST_UNKNOWN);
    drop(subscription, ROAN_CHANNEL_SHARDED, "slot"); /* both at once */
    roan_peer_sendf(roan_scripted_peer(world, 0), 0, ">3\r\n+sunsubscribe\r\n$4\r\nslot\r\n:0\r\n");
    run("SET k v");
    run("PUBLISH news y");
    expect(subscription, "news", "y");
    roan_subscription_free(subscription);
}

static void test_a_silent_connection_is_probed_and_replaced(void **state)
{
    (void)state;
    open_with("?silence_timeout_ms=1000", NULL);
    roan_subscription *subscription = subscribe_to("news");
    expect_status(subscription, 4500, ROAN_E_TIMEOUT);
    assert_true(count_requests(0, "PING", NULL) >= 4); /* the fence and the probes */
    roan_peer_handle(roan_scripted_peer(world, 0), NULL, NULL);
    odd_server silent = {.ping = ""};
    roan_peer_handle(roan_scripted_peer(world, 0), answer_oddly, &silent);
    expect_status(subscription, 4500, ROAN_E_TIMEOUT);
    assert_int_equal(roan_scripted_opened(world), 2);
    expect_ready(subscription);
    run("PUBLISH news x");
    expect_lost(subscription, "news", "x", ROAN_LOST_UNKNOWN);
    roan_subscription_free(subscription);
}

/* ---- backlogs ---- */

static void publish_numbers(const char *channel, unsigned from, unsigned to)
{
    char text[64];

    for (unsigned i = from; i < to; i++) {
        ROAN_IGNORE(snprintf(text, sizeof text, "PUBLISH %s %u", channel, i));
        run(text);
    }
}

static void test_the_oldest_are_dropped(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_subscription *subscription = subscribe(ROAN_SUBSCRIPTION_OPTIONS(.backlog_max = 3));
    add(subscription, ROAN_CHANNEL_EXACT, "n");
    expect_ready(subscription);
    publish_numbers("n", 0, 8);
    expect_lost(subscription, "n", "5", 5);
    publish_numbers("n", 8, 10);
    expect_lost(subscription, "n", "7", 1);
    expect(subscription, "n", "8");
    expect(subscription, "n", "9");
    assert_int_equal(figures(subscription).dropped, 6);
    assert_int_equal(figures(subscription).messages, 10);
    expect_nothing(subscription);
    roan_subscription_free(subscription);
}

static void test_the_newest_are_dropped(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_subscription *subscription =
        subscribe(ROAN_SUBSCRIPTION_OPTIONS(.backlog_max = 3, .when_full = ROAN_FULL_DROP_NEWEST));
    roan_message message;
    add(subscription, ROAN_CHANNEL_EXACT, "n");
    expect_ready(subscription);
    publish_numbers("n", 0, 8);
    expect(subscription, "n", "0");
    publish_numbers("n", 8, 10);
    expect(subscription, "n", "1");
    expect(subscription, "n", "2");
    assert_int_equal(roan_subscription_next(subscription, &message, 100), ROAN_OK);
    assert_int_equal(message.lost_before, 5);
    assert_int_equal(message.sequence, 9);
    assert_memory_equal(message.payload.data, "8", 1);
    roan_message_done(&message);
    expect_nothing(subscription);
    publish_numbers("n", 10, 11);
    expect_lost(subscription, "n", "10", 1);
    roan_subscription_free(subscription);
}

static void test_a_full_backlog_can_end_it(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_subscription *subscription = subscribe(ROAN_SUBSCRIPTION_OPTIONS(.backlog_max = 2, .when_full = ROAN_FULL_END));
    roan_subscription *other = subscribe_to("n");
    add(subscription, ROAN_CHANNEL_EXACT, "n");
    add(subscription, ROAN_CHANNEL_EXACT, "m");
    expect_ready(subscription);
    publish_numbers("n", 0, 4);
    expect(subscription, "n", "0");
    expect(subscription, "n", "1");
    expect_status(subscription, 100, ROAN_E_QUEUE_FULL);
    expect_status(subscription, 100, ROAN_E_QUEUE_FULL);
    assert_true(was_asked("UNSUBSCRIBE m"));
    assert_false(was_asked("UNSUBSCRIBE n"));
    roan_slice name = ROAN_LITERAL("n");
    assert_int_equal(roan_subscription_add(subscription, ROAN_CHANNEL_EXACT, &name, 1), ROAN_E_CLOSED);
    expect(other, "n", "0");
    roan_subscription_free(subscription);
    roan_subscription_free(other);
}

static void test_a_backlog_is_bounded_in_bytes(void **state)
{
    (void)state;
    char text[3000];
    open_with("", NULL);
    roan_subscription *subscription = subscribe(ROAN_SUBSCRIPTION_OPTIONS(.backlog_bytes_max = 5000));
    add(subscription, ROAN_CHANNEL_EXACT, "n");
    expect_ready(subscription);
    for (unsigned i = 0; i < 10; i++) {
        ROAN_IGNORE(snprintf(text, sizeof text, "PUBLISH n %02500u", i));
        run(text);
        assert_true(figures(subscription).backlog_bytes <= 5000);
    }
    assert_int_equal(figures(subscription).backlog, 1);
    roan_message message;
    assert_int_equal(roan_subscription_next(subscription, &message, 100), ROAN_OK);
    assert_int_equal(message.lost_before, 9);
    roan_message_done(&message);
    assert_int_equal(figures(subscription).backlog_bytes, 0);
    roan_subscription_free(subscription);
}

static void test_bad_options(void **state)
{
    (void)state;
    open_with("", NULL);
    assert_null(roan_subscription_create(client, ROAN_SUBSCRIPTION_OPTIONS(.backlog_max = -2)));
    assert_int_equal(roan_last_failure()->code, ROAN_E_INVALID);
    assert_null(roan_subscription_create(client, ROAN_SUBSCRIPTION_OPTIONS(.when_full = (roan_when_full)9)));
    roan_subscription_free(NULL);
}

/* ---- waiting and ending ---- */

static void test_waiting_takes_as_long_as_it_says(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_subscription *subscription = subscribe_to("news");
    int64_t begun_us = roan_scripted_now(world);
    expect_status(subscription, 1500, ROAN_E_TIMEOUT);
    assert_in_range(roan_scripted_now(world) - begun_us, 1500 * MS, 1501 * MS);
    begun_us = roan_scripted_now(world);
    expect_status(subscription, 0, ROAN_E_TIMEOUT);
    assert_true(roan_scripted_now(world) - begun_us < 100);
    roan_peer_sendf(roan_scripted_peer(world, 0), 700 * MS, ">3\r\n+message\r\n$4\r\nnews\r\n$1\r\na\r\n");
    expect(subscription, "news", "a");
    assert_in_range(roan_scripted_now(world) - begun_us, 700 * MS, 701 * MS);
    roan_subscription_free(subscription);
}

static void test_an_end_comes_after_the_backlog(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_subscription *subscription = subscribe_to("news");
    run("PUBLISH news last");
    roan_subscription_end(subscription);
    expect(subscription, "news", "last");
    expect_status(subscription, -1, ROAN_E_CLOSED);
    assert_int_equal(roan_subscription_ready(subscription, 10), ROAN_E_CLOSED);
    assert_int_equal(run_integer("PUBLISH news x"), 0);
    roan_subscription_free(subscription);
}

static void test_a_closed_handle_ends_its_subscriptions(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_subscription *subscription = subscribe_to("news");
    roan_slice name = ROAN_LITERAL("n");
    run("PUBLISH news last");
    assert_int_equal(roan_close(client, 100), ROAN_OK);
    client = NULL;
    expect(subscription, "news", "last");
    expect_status(subscription, 10, ROAN_E_CLOSED);
    assert_int_equal(roan_subscription_add(subscription, ROAN_CHANNEL_EXACT, &name, 1), ROAN_E_CLOSED);
    assert_int_equal(roan_subscription_remove(subscription, ROAN_CHANNEL_EXACT, &name, 1), ROAN_E_CLOSED);
    roan_subscription_end(subscription);
    roan_subscription_free(subscription);
}

/* ---- callbacks ---- */

typedef struct calls {
    roan_subscription *subscription;
    unsigned count;
    roan_status last_failure;
    bool frees, was_refused;
    char text[256];
} calls;

static void note_call(void *argument, const roan_message *message, const roan_failure *failure)
{
    calls *all = argument;
    roan_message unused;

    all->count++;
    if (failure != NULL) {
        assert_null(message);
        all->last_failure = failure->code;
        return;
    }
    strncat(all->text, message->payload.data, message->payload.bytes);
    all->was_refused = roan_subscription_next(all->subscription, &unused, 10) == ROAN_E_USAGE;
    if (all->frees) {
        roan_subscription_free(all->subscription);
        all->subscription = NULL;
    }
}

static void test_callbacks_in_order(void **state)
{
    (void)state;
    odd_server server = {.refuses = "secret", .words = "-NOPERM no\r\n", .times = 1};
    roan_scripted_handle(world, answer_oddly, &server);
    open_with("?drive=loop", NULL);
    calls all = {.subscription = subscribe_to("n")};
    publish_numbers("n", 0, 2); /* before there is a callback */
    assert_int_equal(roan_subscription_on(all.subscription, note_call, &all), ROAN_OK);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    assert_string_equal(all.text, "01");
    publish_numbers("n", 2, 6);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    assert_string_equal(all.text, "012345");
    assert_true(all.was_refused);
    roan_message message;
    assert_int_equal(roan_subscription_next(all.subscription, &message, 10), ROAN_E_USAGE);
    add(all.subscription, ROAN_CHANNEL_EXACT, "secret");
    for (unsigned i = 0; i < 10 && all.last_failure == ROAN_OK; i++)
        assert_int_equal(roan_turn(client, 10), ROAN_OK);
    assert_int_equal(all.last_failure, ROAN_E_SERVER);
    roan_subscription_end(all.subscription);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    assert_int_equal(all.last_failure, ROAN_E_CLOSED);
    assert_int_equal(all.count, 8);
    roan_subscription_free(all.subscription);
}

static void test_a_callback_may_free_its_subscription(void **state)
{
    (void)state;
    open_with("", NULL);
    calls all = {.subscription = subscribe_to("n"), .frees = true};
    assert_int_equal(roan_subscription_on(all.subscription, note_call, &all), ROAN_OK);
    roan_peer_sendf(roan_scripted_peer(world, 0), 0,
                    ">3\r\n+message\r\n+n\r\n+a\r\n>3\r\n+message\r\n+n\r\n+b\r\n>3\r\n+message\r\n+n\r\n+c\r\n");
    run("PING");
    run("PING");
    assert_string_equal(all.text, "a");
    assert_null(all.subscription);
}

static void test_a_flood_of_callbacks_is_left_to_the_loop(void **state)
{
    (void)state;
    open_with("?drive=loop", NULL);
    calls all = {.subscription = subscribe_to("n")};
    roan_peer *peer = roan_scripted_peer(world, 0);
    for (unsigned i = 0; i < 3000; i++)
        roan_peer_sendf(peer, 0, ">3\r\n+message\r\n+n\r\n$0\r\n\r\n");
    run("PING"); /* receives them all */
    assert_int_equal(figures(all.subscription).backlog, 3000);
    assert_int_equal(roan_subscription_on(all.subscription, note_call, &all), ROAN_OK);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    assert_int_equal(all.count, 1024); /* then it is the turn of others */
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    assert_int_equal(all.count, 3000);
    roan_subscription_free(all.subscription);
}

/* ---- RESP2 ---- */

static void check_resp2(void)
{
    roan_subscription *subscription = subscribe_to("news");
    assert_int_equal(roan_scripted_opened(world), 2);
    assert_int_equal(count_requests(0, "SUBSCRIBE news", NULL), 0);
    assert_int_equal(count_requests(1, "SUBSCRIBE news", NULL), 1);
    add(subscription, ROAN_CHANNEL_PATTERN, "p*");
    add(subscription, ROAN_CHANNEL_SHARDED, "s");
    expect_ready(subscription);
    run("PUBLISH news one");
    run("PUBLISH pink two");
    run("SPUBLISH s three");
    expect(subscription, "news", "one");
    expect(subscription, "pink", "two");
    expect(subscription, "s", "three");
    roan_scripted_advance(world, 2000 * MS);
    roan_peer_reset(roan_scripted_peer(world, 1), 0, ECONNRESET);
    expect_nothing(subscription);
    expect_ready(subscription);
    run("PUBLISH pink x");
    expect_lost(subscription, "pink", "x", ROAN_LOST_UNKNOWN);
    drop(subscription, ROAN_CHANNEL_EXACT, "news");
    drop(subscription, ROAN_CHANNEL_PATTERN, "p*");
    drop(subscription, ROAN_CHANNEL_SHARDED, "s"); /* PING is not answered by an array any more */
    add(subscription, ROAN_CHANNEL_EXACT, "last");
    expect_ready(subscription);
    expect_nothing(subscription);
    run("PUBLISH last y");
    expect(subscription, "last", "y");
    assert_int_equal(run_integer("PUBLISH news z"), 0);
    roan_subscription_free(subscription);
}

static void test_resp2_has_a_connection_of_its_own(void **state)
{
    (void)state;
    open_with("?protocol=2", NULL);
    assert_int_equal(roan_ready(client, 1000), ROAN_OK); /* so that it is the first one */
    check_resp2();
}

static void test_an_old_server_gets_a_connection_for_it(void **state)
{
    (void)state;
    roan_scripted_set_redis(world, &(roan_scripted_redis_options){.size = sizeof(roan_scripted_redis_options),
                                                                  .lacks_hello = true});
    open_with("", NULL);
    check_resp2();
}

static void test_a_known_old_server_too(void **state)
{
    (void)state;
    roan_scripted_set_redis(world, &(roan_scripted_redis_options){.size = sizeof(roan_scripted_redis_options),
                                                                  .lacks_resp3 = true});
    open_with("", NULL);
    run("SET k v");
    check_resp2();
}

static void test_resp2_refusals_and_probes(void **state)
{
    (void)state;
    odd_server server = {.refuses = "secret", .words = "-NOPERM no\r\n", .times = 1};
    roan_scripted_handle(world, answer_oddly, &server);
    open_with("?protocol=2&silence_timeout_ms=1000", NULL);
    roan_subscription *subscription = subscribe_to("news");
    add(subscription, ROAN_CHANNEL_EXACT, "secret");
    assert_int_equal(roan_subscription_ready(subscription, 500), ROAN_E_SERVER);
    expect_status(subscription, 5500, ROAN_E_TIMEOUT); /* probes are answered by ["pong", ""] */
    assert_true(count_requests(0, "PING", NULL) >= 5);
    assert_int_equal(roan_scripted_opened(world), 1);
    roan_peer_sendf(roan_scripted_peer(world, 0), 0, "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n");
    expect(subscription, "news", "x");
    roan_subscription_free(subscription);
}

/* An array that looks like a message is the reply that it is. */
static void test_replies_that_look_like_messages(void **state)
{
    (void)state;
    roan_slice words[] = {ROAN_LITERAL("LRANGE"), ROAN_LITERAL("l"), ROAN_LITERAL("0"), ROAN_LITERAL("-1")};
    open_with("", NULL);
    roan_subscription *subscription = subscribe_to("news");
    roan_value *reply;
    roan_peer_expect(roan_scripted_peer(world, 0), 0, "LRANGE l 0 -1",
                     "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n");
    assert_int_equal(roan_do(client, 4, words, &reply, NULL), ROAN_OK);
    assert_int_equal(reply->count, 3);
    roan_value_free(reply);
    expect_nothing(subscription);
    roan_subscription_free(subscription);
}

#define SUB_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SUB_TEST(test_every_kind_is_heard),
        SUB_TEST(test_one_request_with_a_fence_for_all_wishes),
        SUB_TEST(test_subscriptions_share_what_the_server_keeps),
        SUB_TEST(test_wishes_that_change_before_the_connection_is_there),
        SUB_TEST(test_wishes_that_change_while_the_server_is_asked),
        SUB_TEST(test_what_is_not_wished_is_not_asked_for),
        SUB_TEST(test_binary_and_empty_names),
        SUB_TEST(test_many_wishes),
        SUB_TEST(test_confirmations_and_messages_between_replies),
        SUB_TEST(test_rubbish_pushes_are_ignored),
        SUB_TEST(test_a_lost_connection_is_restored_and_leaves_a_gap),
        SUB_TEST(test_a_gap_can_be_told_at_once),
        SUB_TEST(test_only_who_was_subscribed_has_a_gap),
        SUB_TEST(test_wishes_survive_attempts_that_fail),
        SUB_TEST(test_without_reconnect_it_is_told),
        SUB_TEST(test_a_connection_cut_at_every_byte),
        SUB_TEST(test_a_refused_channel_is_told_once),
        SUB_TEST(test_a_refused_channel_can_be_given_up),
        SUB_TEST(test_a_server_that_cannot_now_is_asked_again),
        SUB_TEST(test_a_fence_that_comes_back_as_an_error),
        SUB_TEST(test_an_unsubscription_that_is_refused),
        SUB_TEST(test_what_is_never_confirmed_is_refused),
        SUB_TEST(test_the_server_takes_a_subscription_away),
        SUB_TEST(test_a_silent_connection_is_probed_and_replaced),
        SUB_TEST(test_the_oldest_are_dropped),
        SUB_TEST(test_the_newest_are_dropped),
        SUB_TEST(test_a_full_backlog_can_end_it),
        SUB_TEST(test_a_backlog_is_bounded_in_bytes),
        SUB_TEST(test_bad_options),
        SUB_TEST(test_waiting_takes_as_long_as_it_says),
        SUB_TEST(test_an_end_comes_after_the_backlog),
        SUB_TEST(test_a_closed_handle_ends_its_subscriptions),
        SUB_TEST(test_callbacks_in_order),
        SUB_TEST(test_a_callback_may_free_its_subscription),
        SUB_TEST(test_a_flood_of_callbacks_is_left_to_the_loop),
        SUB_TEST(test_resp2_has_a_connection_of_its_own),
        SUB_TEST(test_an_old_server_gets_a_connection_for_it),
        SUB_TEST(test_a_known_old_server_too),
        SUB_TEST(test_resp2_refusals_and_probes),
        SUB_TEST(test_replies_that_look_like_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
