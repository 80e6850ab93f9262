/* test_client_value_stream.c: values streamed in and out over a scripted peer: any size in any pieces, every kind of
 * answer, cuts at every byte, sinks that stop, sources with less or more than they said, and every limit on time.
 */
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
#include "base/number.h"
#include "roan/client_commands.h"
#include "roan/scripted.h"
#include "roan/value_stream.h"
#include "client_world.h"

static roan_peer *peer; /* the connection of the pool, once it is warm */

static const roan_slice key = {"big", 3};

/* What a sink has got. */
typedef struct heap {
    char *data;
    size_t bytes, capacity;
    size_t stop_at; /* it stops once it has so much; 0: never */
    uint64_t total_bytes;
    unsigned calls;
} heap;

static bool keep(void *argument, roan_slice piece, uint64_t total_bytes)
{
    heap *all = argument;
    assert_true(piece.bytes > 0);
    if (all->bytes + piece.bytes > all->capacity) {
        all->capacity = 2 * (all->bytes + piece.bytes);
        all->data = realloc(all->data, all->capacity);
    }
    memcpy(all->data + all->bytes, piece.data, piece.bytes);
    all->bytes += piece.bytes;
    all->total_bytes = total_bytes;
    all->calls++;
    return all->stop_at == 0 || all->bytes < all->stop_at;
}

static void assert_kept(heap *all, const char *expected)
{
    assert_int_equal(all->bytes, strlen(expected));
    if (all->bytes > 0)
        assert_memory_equal(all->data, expected, all->bytes);
    free(all->data);
    *all = (heap){0};
}

/* Gives bytes that depend on their position. */
typedef struct spring {
    uint64_t given, has; /* it ends at `has` */
    size_t piece_max;    /* 0: as much as there is room for */
    int64_t fails_at;    /* -1: never */
    unsigned calls;
} spring;

static char byte_at(uint64_t position)
{
    return (char)(position * 7 + (position >> 8) * 3 + (position >> 16));
}

static int64_t give(void *argument, char *buffer, size_t room)
{
    spring *from = argument;
    size_t bytes = from->piece_max > 0 ? ROAN_MIN(room, from->piece_max) : room;
    from->calls++;
    assert_true(room > 0);
    if (from->fails_at >= 0 && from->given >= (uint64_t)from->fails_at)
        return -1;
    bytes = (size_t)ROAN_MIN((uint64_t)bytes, from->has - from->given);
    for (size_t i = 0; i < bytes; i++)
        buffer[i] = byte_at(from->given + i);
    from->given += bytes;
    return (int64_t)bytes;
}

static roan_status fetch(heap *all, const roan_call *call)
{
    return roan_get_stream(client, key, keep, all, call);
}

static roan_status store(uint64_t announced, spring *from)
{
    return roan_set_stream(client, key, announced, give, from, NULL, NULL);
}

static void open_client(const char *uri)
{
    heap all = {0};
    peer = roan_scripted_peer(world, roan_scripted_opened(world));
    open_uri(uri, NULL);
    assert_int_equal(fetch(&all, NULL), ROAN_NIL); /* now the pool has a connection */
    assert_int_equal(all.calls, 0);
}

static int set_up(void **state)
{
    (void)state;
    begin_world(3, roan_scripted_redis);
    open_client("redis://shop");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return end_world();
}

static void reopen(const char *uri)
{
    roan_close(client, 0);
    open_client(uri);
}

/* How many connections of the pool were not good enough to be kept. */
static uint64_t destroyed(void)
{
    roan_client_stats stats = {.size = sizeof stats};
    roan_get_stats(client, &stats);
    assert_int_equal(stats.leases_active, 0);
    return stats.leases_destroyed;
}

static void assert_fails(roan_status status, roan_status expected, roan_fate fate, const char *text)
{
    const roan_failure *failure = roan_last_failure();
    if (status != expected || failure->fate != fate || strstr(failure->text, text) == NULL)
        fail_msg("%d, fate %d: %s, expected %d, fate %d: %s", status, failure->fate, failure->text, expected, fate,
                 text);
    assert_int_equal(failure->code, expected);
}

/* ---- whole values ---- */

static void round_trip(uint64_t bytes, size_t piece_max)
{
    spring from = {.has = bytes, .piece_max = piece_max, .fails_at = -1};
    heap all = {0};
    assert_int_equal(store(bytes, &from), ROAN_OK);
    assert_int_equal(fetch(&all, NULL), ROAN_OK);
    assert_int_equal(all.bytes, bytes);
    assert_true(bytes == 0 ? all.calls == 0 : all.total_bytes == bytes);
    for (uint64_t i = 0; i < bytes; i++)
        if (all.data[i] != byte_at(i))
            fail_msg("byte %llu of %llu", (unsigned long long)i, (unsigned long long)bytes);
    free(all.data);
}

static void test_values_of_all_sizes(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 2, 9, 10, 1000, 262143, 262144, 262145, 524288, 3000000};
    for (size_t i = 0; i < ROAN_COUNT_OF(sizes); i++)
        round_trip(sizes[i], 0);
    assert_int_equal(roan_scripted_opened(world), 1); /* one connection for all of it */
    assert_int_equal(destroyed(), 0);
}

static void test_any_pieces(void **state)
{
    (void)state;
    roan_peer_set_take_max(peer, 1000);
    roan_peer_set_give_max(peer, 777);
    round_trip(100000, 13);
    roan_peer_set_pieces(peer, ROAN_PIECES_RANDOM, 10);
    round_trip(5000, 1);
    roan_peer_set_take_max(peer, 1);
    roan_peer_set_give_max(peer, 1);
    round_trip(300, 0);
    assert_int_equal(destroyed(), 0);
}

static void test_other_commands(void **state)
{
    (void)state;
    roan_slice words[] = {ROAN_LITERAL("APPEND"), key, ROAN_LITERAL("")};
    roan_value *reply;
    spring from = {.has = 5, .fails_at = -1};
    assert_int_equal(roan_do_source(client, 3, words, 2, 5, give, &from, &reply, NULL), ROAN_OK);
    assert_int_equal(reply->integer, 5);
    roan_value_free(reply);
    heap all = {0};
    roan_peer_expect(peer, 0, "GETDEL big", "$3\r\nabc\r\n");
    roan_slice getdel[] = {ROAN_LITERAL("GETDEL"), key};
    assert_int_equal(roan_do_stream(client, 2, getdel, keep, &all, NULL), ROAN_OK);
    assert_kept(&all, "abc");
}

static void test_options_of_set(void **state)
{
    (void)state;
    spring from = {.has = 2, .fails_at = -1};
    roan_slice words[] = {ROAN_LITERAL("SET"), key, {"\0\7", 2}, ROAN_LITERAL("NX"), ROAN_LITERAL("PX"),
                          ROAN_LITERAL("50")};
    roan_peer_expect_words(peer, 0, 6, words, ROAN_LITERAL("_\r\n"));
    assert_int_equal(roan_set_stream(client, key, 2, give, &from,
                                     ROAN_SET_OPTIONS(.nx = true, .px = ROAN_SOME(50)), NULL), ROAN_NIL);
    assert_fails(roan_set_stream(client, key, 2, give, &from, ROAN_SET_OPTIONS(.get = true), NULL), ROAN_E_USAGE,
                 ROAN_FATE_NOT_SENT, "old value");
    assert_fails(roan_set_stream(client, key, 2, give, &from, ROAN_SET_OPTIONS(.nx = true, .xx = true), NULL),
                 ROAN_E_USAGE, ROAN_FATE_NOT_SENT, "at most one");
}

static void test_the_prefix_is_applied(void **state)
{
    (void)state;
    reopen("redis://shop?key_prefix=app:");
    spring from = {.has = 1, .fails_at = -1};
    heap all = {0};
    roan_slice words[] = {ROAN_LITERAL("SET"), ROAN_LITERAL("app:big"), {"\0", 1}};
    roan_peer_expect_words(peer, 0, 3, words, ROAN_LITERAL("+OK\r\n"));
    assert_int_equal(store(1, &from), ROAN_OK);
    roan_peer_expect(peer, 0, "GET app:big", "$1\r\nx\r\n");
    assert_int_equal(fetch(&all, NULL), ROAN_OK);
    assert_kept(&all, "x");
}

/* ---- answers ---- */

static void test_answers_that_keep_the_connection(void **state)
{
    (void)state;
    heap all = {0};
    static const char *const nulls[] = {"_\r\n", "$-1\r\n", "*-1\r\n", ">1\r\n+push\r\n_\r\n"};
    for (size_t i = 0; i < ROAN_COUNT_OF(nulls); i++) {
        roan_peer_expect(peer, 0, "GET big", nulls[i]);
        assert_int_equal(fetch(&all, NULL), ROAN_NIL);
    }
    static const char *const texts[] = {"=7\r\ntxt:abc\r\n", ">2\r\n$1\r\na\r\n:1\r\n>0\r\n$3\r\nabc\r\n",
                                        "|1\r\n+ttl\r\n:3\r\n$3\r\nabc\r\n"};
    for (size_t i = 0; i < ROAN_COUNT_OF(texts); i++) {
        roan_peer_expect(peer, 0, "GET big", texts[i]);
        assert_int_equal(fetch(&all, NULL), ROAN_OK);
        assert_kept(&all, "abc");
    }
    static const char *const others[] = {":3\r\n", "+OK\r\n",  "*2\r\n$1\r\na\r\n*0\r\n",
                                         "%0\r\n", ",1.5\r\n", "#t\r\n"};
    for (size_t i = 0; i < ROAN_COUNT_OF(others); i++) {
        roan_peer_expect(peer, 0, "GET big", others[i]);
        assert_fails(fetch(&all, NULL), ROAN_E_TYPE, ROAN_FATE_RAN, "not a string");
    }
    roan_peer_expect(peer, 0, "GET big", "-WRONGTYPE of another kind\r\n");
    assert_fails(fetch(&all, NULL), ROAN_E_SERVER, ROAN_FATE_RAN, "WRONGTYPE of another kind");
    assert_string_equal(roan_last_failure()->server_code, "WRONGTYPE");
    assert_string_equal(roan_last_failure()->node, "shop:6379");
    assert_int_equal(all.calls, 0);
    assert_int_equal(destroyed(), 0);
    assert_int_equal(roan_scripted_opened(world), 1);
}

static void test_the_same_in_any_pieces(void **state)
{
    (void)state;
    roan_peer_set_pieces(peer, 1, 1);
    test_answers_that_keep_the_connection(state);
}

static void test_broken_answers(void **state)
{
    (void)state;
    static const char *const broken[] = {"$\r\n",
                                         "$x\r\n",
                                         "$3x\r\n",
                                         "$-2\r\n",
                                         "$3\nabc",
                                         "$99999999999\r\n",
                                         "=3\r\n",
                                         "$11111111111111111111111111111111111111111111",
                                         "$3\r\nabcd\r\n",
                                         "?\r\n",
                                         "$18446744073709551617\r\n"};
    heap all = {0};
    for (size_t i = 0; i < ROAN_COUNT_OF(broken); i++) {
        roan_peer_expect(roan_scripted_peer(world, roan_scripted_opened(world) - 1), 0, "GET big", broken[i]);
        roan_status status = fetch(&all, NULL);
        if (status != ROAN_E_PROTOCOL)
            fail_msg("%zu: %d", i, status);
        assert_int_equal(destroyed(), i + 1);
        assert_int_equal(fetch(&all, NULL), ROAN_NIL);
    }
    free(all.data);
}

static void test_a_large_reply_of_another_type_is_not_gathered(void **state)
{
    (void)state;
    heap all = {0};
    roan_peer_expect(peer, 0, "GET big", "*2\r\n$90000000\r\nabc");
    assert_fails(fetch(&all, NULL), ROAN_E_TYPE, ROAN_FATE_MAY_HAVE_RUN, "not a single string");
    assert_int_equal(destroyed(), 1);
}

static void test_more_than_was_asked_for(void **state)
{
    (void)state;
    heap all = {0};
    roan_peer_expect(peer, 0, "GET big", "$3\r\nabc\r\n$1\r\nx\r\n");
    assert_int_equal(fetch(&all, NULL), ROAN_OK);
    assert_kept(&all, "abc");
    assert_int_equal(destroyed(), 1);
}

/* ---- sinks and sources that stop ---- */

static void test_a_sink_that_stops(void **state)
{
    (void)state;
    spring from = {.has = 1000000, .fails_at = -1};
    heap all = {.stop_at = 1};
    assert_int_equal(store(1000000, &from), ROAN_OK);
    assert_fails(fetch(&all, NULL), ROAN_E_CANCELED, ROAN_FATE_RAN, "sink");
    assert_true(all.bytes <= 262144);
    assert_int_equal(all.calls, 1);
    assert_int_equal(destroyed(), 1);
    all.stop_at = all.bytes = 0;
    assert_int_equal(fetch(&all, NULL), ROAN_OK); /* the next one has another connection */
    assert_int_equal(all.bytes, 1000000);
    assert_int_equal(roan_scripted_opened(world), 2);
    free(all.data);
}

static void check_source(spring from, uint64_t announced, roan_status expected, const char *text)
{
    uint64_t before = destroyed();
    roan_peer *now = roan_scripted_peer(world, roan_scripted_opened(world) - 1);
    size_t requests = roan_peer_request_count(now);
    heap all = {0};
    assert_fails(store(announced, &from), expected, ROAN_FATE_NOT_SENT, text);
    assert_int_equal(roan_peer_request_count(now), requests); /* nothing that could run */
    assert_int_equal(destroyed(), before + 1);
    assert_int_equal(fetch(&all, NULL), ROAN_NIL);
}

static void test_sources_with_less_or_more(void **state)
{
    (void)state;
    check_source((spring){.has = 0, .fails_at = -1}, 1, ROAN_E_INVALID, "ended after 0 of 1 bytes");
    check_source((spring){.has = 999999, .fails_at = -1}, 1000000, ROAN_E_INVALID, "ended after 999999 of 1000000");
    check_source((spring){.has = 1, .fails_at = -1}, 0, ROAN_E_INVALID, "more than the 0 bytes");
    check_source((spring){.has = 1000001, .fails_at = -1}, 1000000, ROAN_E_INVALID, "more than the 1000000 bytes");
    check_source((spring){.has = 9, .fails_at = 0}, 9, ROAN_E_CANCELED, "failed after 0 of 9");
    check_source((spring){.has = 1000000, .fails_at = 300000}, 1000000, ROAN_E_CANCELED, "of 1000000 bytes");
    check_source((spring){.has = 9, .fails_at = 9}, 9, ROAN_E_CANCELED, "failed after 9 of 9");
}

static int64_t overrun(void *argument, char *buffer, size_t room)
{
    (void)argument;
    (void)buffer;
    return (int64_t)room + 1;
}

static void test_a_source_that_lies(void **state)
{
    (void)state;
    assert_fails(roan_set_stream(client, key, 9, overrun, NULL, NULL, NULL), ROAN_E_INVALID, ROAN_FATE_NOT_SENT,
                 "room");
}

/* ---- time ---- */

/* Answers GET in pieces, each a step after the one before. */
typedef struct drip {
    int64_t step_us;
    const char *pieces[8];
} drip;

static void serve_slowly(void *argument, roan_peer *on, size_t argc, const roan_slice *argv)
{
    const drip *from = argument;
    (void)argc;
    assert_true(roan_slice_is(argv[0], "GET"));
    for (int i = 0; from->pieces[i] != NULL; i++)
        roan_peer_sendf(on, i * from->step_us, "%s", from->pieces[i]);
}

static int64_t took_us(int64_t since_us)
{
    return roan_scripted_now(world) - since_us;
}

static void test_no_answer(void **state)
{
    (void)state;
    heap all = {0};
    int64_t since_us = roan_scripted_now(world);
    roan_peer_expect(peer, 0, "GET big", "");
    assert_fails(fetch(&all, NULL), ROAN_E_TIMEOUT, ROAN_FATE_MAY_HAVE_RUN, "no answer to get within 5000 ms");
    assert_in_range(took_us(since_us), 5000000, 5001000);
    assert_int_equal(destroyed(), 1);
}

static void test_silence_in_the_middle(void **state)
{
    (void)state;
    reopen("redis://shop?silence_timeout_ms=300");
    heap all = {0};
    int64_t since_us = roan_scripted_now(world);
    drip slow = {200000, {"$9\r\nabc", "de", "f"}}; /* that is progress */
    roan_peer_handle(peer, serve_slowly, &slow);
    assert_fails(fetch(&all, NULL), ROAN_E_LOST, ROAN_FATE_RAN, "nothing was received for 300 ms");
    assert_in_range(took_us(since_us), 700000, 701000);
    assert_kept(&all, "abcdef");
}

static void test_the_whole_may_have_a_deadline(void **state)
{
    (void)state;
    heap all = {0};
    int64_t since_us = roan_scripted_now(world);
    drip slow = {100000, {"$9\r\nabc", "d", "d", "d", "d", "d"}};
    roan_peer_handle(peer, serve_slowly, &slow);
    assert_fails(fetch(&all, ROAN_WITH(.timeout_ms = 350)), ROAN_E_TIMEOUT, ROAN_FATE_RAN, "not done within 350 ms");
    assert_in_range(took_us(since_us), 350000, 351000);
    assert_kept(&all, "abcddd");
}

static void test_without_a_deadline_a_slow_value_comes_through(void **state)
{
    (void)state;
    heap all = {0};
    drip slow = {20000000, {"$5\r\n", "d", "d", "d", "d", "d\r\n"}}; /* a hundred seconds */
    roan_peer_handle(peer, serve_slowly, &slow);
    assert_int_equal(fetch(&all, NULL), ROAN_OK);
    assert_kept(&all, "ddddd");
}

static void test_a_server_that_takes_nothing(void **state)
{
    (void)state;
    reopen("redis://shop?write_timeout_ms=400");
    spring from = {.has = 1000000, .fails_at = -1};
    int64_t since_us = roan_scripted_now(world);
    roan_peer_take(peer, 0, 100000);
    roan_peer_take(peer, 250000, 100000); /* that is progress */
    assert_fails(store(1000000, &from), ROAN_E_LOST, ROAN_FATE_NOT_SENT, "took no bytes for 400 ms");
    assert_in_range(took_us(since_us), 650000, 651000);
    assert_int_equal(destroyed(), 1);
}

static void test_a_deadline_while_writing(void **state)
{
    (void)state;
    spring from = {.has = 1000000, .fails_at = -1};
    roan_peer_take(peer, 0, 100000);
    assert_fails(roan_set_stream(client, key, 1000000, give, &from, NULL, ROAN_WITH(.timeout_ms = 70)), ROAN_E_TIMEOUT,
                 ROAN_FATE_NOT_SENT, "not done within 70 ms");
}

static void test_no_verdict(void **state)
{
    (void)state;
    spring from = {.has = 3, .fails_at = -1};
    roan_peer_expect(peer, 0, "*", "");
    assert_fails(store(3, &from), ROAN_E_TIMEOUT, ROAN_FATE_MAY_HAVE_RUN, "no answer to set within 5000 ms");
}

static void test_a_server_that_refuses_early(void **state)
{
    (void)state;
    spring from = {.has = 1000000, .fails_at = -1};
    roan_peer_take(peer, 0, 10000);
    roan_peer_sendf(peer, 50000, "-ERR Protocol error: inv");
    roan_peer_sendf(peer, 60000, "alid bulk length\r\n");
    assert_fails(store(1000000, &from), ROAN_E_SERVER, ROAN_FATE_NOT_SENT, "ERR Protocol error: invalid bulk length");
    assert_int_equal(destroyed(), 1);
}

static void test_connecting_fails(void **state)
{
    (void)state;
    heap all = {.stop_at = 1};
    roan_peer_expect(peer, 0, "GET big", "$1\r\nx\r\n");
    assert_fails(fetch(&all, NULL), ROAN_E_CANCELED, ROAN_FATE_RAN, "sink"); /* it is gone */
    roan_peer_refuse(roan_scripted_peer(world, 1), 1000, ECONNREFUSED);
    assert_fails(fetch(&all, NULL), ROAN_E_CONNECT, ROAN_FATE_NOT_SENT, "");
    roan_peer_ignore(roan_scripted_peer(world, 2));
    assert_fails(fetch(&all, ROAN_WITH(.timeout_ms = 80)), ROAN_E_TIMEOUT, ROAN_FATE_NOT_SENT, "80 ms");
    assert_int_equal(destroyed(), 3);
    free(all.data);
}

/* ---- losing the connection ---- */

/* Whatever happens to a connection at whatever byte: it ends, with what the sink has got a prefix of the value, and
 * every read that had given nothing to the sink is done again. */
static void test_reading_cut_at_every_byte(void **state)
{
    (void)state;
    static const char value[] = "a value of some forty bytes, more or less";
    for (int is_sent = 0; is_sent < 2; is_sent++)
        for (uint64_t cut = 0;; cut++) {
            heap all = {0};
            roan *before = client;
            roan_scripted *world_before = world;
            world = roan_scripted_create(cut);
            roan_scripted_handle(world, roan_scripted_redis, NULL);
            roan_slice words[] = {ROAN_LITERAL("SET"), key, roan_slice_from_text(value)};
            open_client("redis://shop");
            assert_int_equal(roan_do(client, 3, words, NULL, NULL), ROAN_OK); /* over another connection */
            uint64_t at = is_sent ? roan_peer_log(peer).bytes : roan_peer_received_bytes(peer);
            if (is_sent)
                roan_peer_cut_sent(peer, at + cut, ECONNRESET);
            else
                roan_peer_cut_received(peer, at + cut, cut % 2 == 0 ? 0 : ECONNRESET);
            roan_status status = fetch(&all, NULL);
            assert_true(all.bytes <= sizeof value - 1 && (all.bytes == 0 || memcmp(all.data, value, all.bytes) == 0));
            if (status == ROAN_OK)
                assert_int_equal(all.bytes, sizeof value - 1);
            else
                assert_true(status == ROAN_E_LOST && all.bytes > 0 && roan_last_failure()->fate == ROAN_FATE_RAN);
            bool is_over = roan_scripted_opened(world) == 2 && status == ROAN_OK;
            free(all.data);
            assert_true(destroyed() <= (is_over ? 0 : 1)); /* the pool may have noticed by itself */
            roan_close(client, 0);
            assert_int_equal(roan_scripted_open_streams(world), 0);
            roan_scripted_free(world);
            client = before;
            world = world_before;
            if (is_over)
                break;
            assert_true(cut < 100);
        }
}

static void test_writing_cut_at_every_byte(void **state)
{
    (void)state;
    for (uint64_t cut = 0;; cut++) {
        roan *before = client;
        roan_scripted *world_before = world;
        world = roan_scripted_create(cut);
        roan_scripted_handle(world, roan_scripted_redis, NULL);
        open_client("redis://shop");
        roan_peer_set_take_max(peer, 3);
        spring from = {.has = 40, .piece_max = 7, .fails_at = -1};
        roan_peer_cut_sent(peer, roan_peer_log(peer).bytes + cut, ECONNRESET);
        roan_status status = store(40, &from);
        bool is_over = status == ROAN_OK && roan_scripted_opened(world) == 1;
        if (status != ROAN_OK) { /* once the source was asked there is no other try */
            assert_int_equal(status, ROAN_E_LOST);
            assert_true(from.calls > 0);
            assert_true(roan_last_failure()->fate == ROAN_FATE_NOT_SENT ||
                        roan_peer_log(peer).bytes - cut > 0);
        } else if (!is_over) {
            assert_int_equal(from.calls, 7); /* only on the second connection */
        }
        assert_true(destroyed() <= (is_over ? 0 : 1)); /* the pool may have noticed by itself */
        roan_close(client, 0);
        assert_int_equal(roan_scripted_open_streams(world), 0);
        roan_scripted_free(world);
        client = before;
        world = world_before;
        if (is_over)
            break;
        assert_true(cut < 200);
    }
}

static void test_retries_are_the_callers(void **state)
{
    (void)state;
    heap all = {0};
    roan_peer_expect(peer, 0, "GET big", "");
    roan_peer_reset(peer, 10000, ECONNRESET);
    assert_fails(fetch(&all, ROAN_WITH(.retry = -1)), ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN, "");
    assert_int_equal(roan_last_failure()->attempts, 1);
    assert_int_equal(roan_last_failure()->os_errno, ECONNRESET);
}

static void test_a_write_is_not_run_twice(void **state)
{
    (void)state;
    spring from = {.has = 3, .fails_at = -1};
    roan_peer_expect(peer, 0, "*", "");
    roan_peer_reset(peer, 10000, ECONNRESET);
    assert_fails(store(3, &from), ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN, "");
    heap all = {0};
    roan_slice getdel[] = {ROAN_LITERAL("GETDEL"), key};
    assert_int_equal(fetch(&all, NULL), ROAN_NIL);
    roan_peer *second = roan_scripted_peer(world, 1);
    roan_peer_expect(second, 0, "GETDEL big", "");
    roan_peer_reset(second, 10000, ECONNRESET);
    assert_fails(roan_do_stream(client, 2, getdel, keep, &all, NULL), ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN, "");
}

/* ---- around it ---- */

static void test_what_cannot_be_streamed(void **state)
{
    (void)state;
    roan_slice blocking[] = {ROAN_LITERAL("BRPOPLPUSH"), key, key, ROAN_LITERAL("0")};
    roan_slice state_changing[] = {ROAN_LITERAL("SELECT"), ROAN_LITERAL("1")};
    roan_slice set[] = {ROAN_LITERAL("SET"), key, ROAN_LITERAL("")};
    heap all = {0};
    spring from = {.has = 3, .fails_at = -1};
    size_t requests = roan_peer_request_count(peer);
    assert_fails(roan_do_stream(client, 4, blocking, keep, &all, NULL), ROAN_E_USAGE, ROAN_FATE_NOT_SENT, "blocks");
    assert_fails(roan_do_stream(client, 2, state_changing, keep, &all, NULL), ROAN_E_USAGE, ROAN_FATE_NOT_SENT,
                 "state");
    assert_fails(roan_do_stream(client, 0, NULL, keep, &all, NULL), ROAN_E_USAGE, ROAN_FATE_NOT_SENT, "name");
    assert_fails(roan_do_source(client, 3, set, 0, 3, give, &from, NULL, NULL), ROAN_E_USAGE, ROAN_FATE_NOT_SENT,
                 "word");
    assert_fails(roan_do_source(client, 3, set, 1, 3, give, &from, NULL, NULL), ROAN_E_USAGE, ROAN_FATE_NOT_SENT,
                 "word");
    assert_fails(roan_do_source(client, 3, set, 3, 3, give, &from, NULL, NULL), ROAN_E_USAGE, ROAN_FATE_NOT_SENT,
                 "word");
    assert_int_equal(from.calls, 0);
    assert_int_equal(roan_peer_request_count(peer), requests);
}

typedef struct nested {
    roan_status inner;
    unsigned calls;
} nested;

static bool stream_inside(void *argument, roan_slice piece, uint64_t total_bytes)
{
    nested *own = argument;
    heap all = {0};
    (void)piece;
    (void)total_bytes;
    own->calls++;
    own->inner = fetch(&all, NULL);
    free(all.data);
    return true;
}

static void test_sinks_may_use_the_client(void **state)
{
    (void)state;
    nested own = {0};
    roan_peer_expect(peer, 0, "GET big", "$1\r\nx\r\n");
    assert_int_equal(roan_get_stream(client, key, stream_inside, &own, NULL), ROAN_OK);
    assert_int_equal(own.calls, 1);
    assert_int_equal(own.inner, ROAN_NIL);
    assert_int_equal(roan_scripted_opened(world), 2);
}

typedef struct tally {
    unsigned starts, ends, failures;
    char command[32];
} tally;

static void count_start(void *argument, uint64_t id, const char *command)
{
    tally *sum = argument;
    assert_true(id > 0);
    sum->starts++;
    snprintf(sum->command, sizeof sum->command, "%s", command);
}

static void count_end(void *argument, uint64_t id, const roan_failure *failure, int64_t waited_ns, int64_t wire_ns,
                      size_t sent_bytes, size_t received_bytes)
{
    tally *sum = argument;
    (void)received_bytes;
    assert_true(id > 0 && waited_ns >= 0 && wire_ns >= 0 && sent_bytes > 0);
    sum->ends++;
    sum->failures += failure != NULL;
}

static void test_hooks_hear_of_it(void **state)
{
    (void)state;
    tally sum = {0};
    roan_hooks hooks = {.size = sizeof hooks, .argument = &sum, .on_start = count_start, .on_end = count_end};
    heap all = {0};
    roan_close(client, 0);
    peer = roan_scripted_peer(world, roan_scripted_opened(world));
    assert_int_equal(roan_open(&client, "redis://shop",
                               ROAN_OPTIONS(.transport = roan_scripted_transport(world), .hooks = &hooks), NULL),
                     ROAN_OK);
    assert_int_equal(fetch(&all, NULL), ROAN_NIL);
    roan_peer_expect(peer, 0, "GET big", "-ERR no\r\n");
    assert_int_equal(fetch(&all, NULL), ROAN_E_SERVER);
    assert_int_equal(sum.starts, 2);
    assert_int_equal(sum.ends, 2);
    assert_int_equal(sum.failures, 1);
    assert_string_equal(sum.command, "get");
    roan_client_stats stats = {.size = sizeof stats};
    roan_get_stats(client, &stats);
    assert_int_equal(stats.commands, 2);
    assert_true(stats.sent_bytes > 0 && stats.received_bytes > 0);
}

static void test_with_a_thread_of_the_library(void **state)
{
    (void)state;
    reopen("redis://shop?drive=thread");
    for (unsigned i = 0; i < 20; i++)
        round_trip(i * 30000, 0);
    assert_int_equal(destroyed(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_values_of_all_sizes),
        TEST(test_any_pieces),
        TEST(test_other_commands),
        TEST(test_options_of_set),
        TEST(test_the_prefix_is_applied),
        TEST(test_answers_that_keep_the_connection),
        TEST(test_the_same_in_any_pieces),
        TEST(test_broken_answers),
        TEST(test_a_large_reply_of_another_type_is_not_gathered),
        TEST(test_more_than_was_asked_for),
        TEST(test_a_sink_that_stops),
        TEST(test_sources_with_less_or_more),
        TEST(test_a_source_that_lies),
        TEST(test_no_answer),
        TEST(test_silence_in_the_middle),
        TEST(test_the_whole_may_have_a_deadline),
        TEST(test_without_a_deadline_a_slow_value_comes_through),
        TEST(test_a_server_that_takes_nothing),
        TEST(test_a_deadline_while_writing),
        TEST(test_no_verdict),
        TEST(test_a_server_that_refuses_early),
        TEST(test_connecting_fails),
        TEST(test_reading_cut_at_every_byte),
        TEST(test_writing_cut_at_every_byte),
        TEST(test_retries_are_the_callers),
        TEST(test_a_write_is_not_run_twice),
        TEST(test_what_cannot_be_streamed),
        TEST(test_sinks_may_use_the_client),
        TEST(test_hooks_hear_of_it),
        TEST(test_with_a_thread_of_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
