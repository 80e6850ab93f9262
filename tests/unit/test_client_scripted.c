/* test_client_scripted.c: the scripted transport itself: its clock, its faults, and its small server.
 *
 * What the tests of the client take for granted is checked here, through the transport's functions alone. Time is
 * compared exactly: it is virtual. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/macros.h"
#include "roan/scripted.h"

static roan_scripted *world;
static const roan_transport *transport;

static int set_up(void **state)
{
    (void)state;
    world = roan_scripted_create(7);
    transport = roan_scripted_transport(world);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    roan_error error;
    roan_status status = roan_scripted_check(world, &error);
    if (status != ROAN_OK)
        print_error("%s\n", error.text);
    bool is_clean = roan_scripted_open_streams(world) == 0;
    world = roan_scripted_free(world);
    return status == ROAN_OK && is_clean ? 0 : -1;
}

static roan_stream *begin(void)
{
    roan_endpoint endpoint = {.host = "shop", .port = 6379};
    roan_stream *stream = NULL;
    assert_int_equal(transport->open(transport->state, &endpoint, &stream, NULL), ROAN_OK);
    return stream;
}

static roan_stream *open_stream(void)
{
    roan_stream *stream = begin();
    roan_wait_item item = {.stream = stream};
    assert_int_equal(transport->wait(transport->state, &item, 1, -1, -1), 1);
    assert_int_equal(transport->progress(stream, NULL), ROAN_PROGRESS_OPEN);
    return stream;
}

static ssize_t send_text(roan_stream *stream, const char *text)
{
    struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
    return transport->send(stream, &iov, 1);
}

static void send_all(roan_stream *stream, const char *text)
{
    assert_int_equal(send_text(stream, text), (ssize_t)strlen(text));
}

/* One receive() gives exactly this. */
static void assert_receives(roan_stream *stream, int64_t wait_us, const char *expected)
{
    char data[1024];
    ssize_t bytes = transport->receive(stream, data, sizeof data - 1, wait_us);
    if (bytes < 0)
        fail_msg("receive: %s, expected %s", strerror((int)-bytes), expected);
    data[bytes] = '\0';
    assert_string_equal(data, expected);
}

static void assert_gives(roan_stream *stream, int64_t wait_us, ssize_t expected)
{
    char data[1024];
    assert_int_equal(transport->receive(stream, data, sizeof data, wait_us), expected);
}

static int64_t now(void)
{
    return roan_scripted_now(world);
}

/* --- the clock ---------------------------------------------------------------------------------------------------- */

static void test_time_passes_only_by_waiting(void **state)
{
    (void)state;
    roan_stream *stream = open_stream();
    int64_t began = now();
    assert_gives(stream, 0, -EAGAIN);
    assert_int_equal(now(), began);
    assert_gives(stream, 5000000, -EAGAIN);
    assert_int_equal(now(), began + 5000000);
    assert_int_equal(transport->wait(transport->state, NULL, 0, -1, 70), 0);
    roan_scripted_advance(world, 30);
    assert_int_equal(now(), began + 5000100);
    assert_int_equal(transport->now_us(transport->state), now());
    transport->close(stream, false);
}

static void test_a_wait_ends_with_the_next_event(void **state)
{
    (void)state;
    roan_stream *stream = open_stream();
    roan_peer *peer = roan_scripted_peer(world, 0);
    int64_t began = now();
    roan_peer_send(peer, 3000, ROAN_LITERAL("second"));
    roan_peer_send(peer, 1000, ROAN_LITERAL("behind")); /* does not overtake */
    roan_peer_take(peer, 500, -1);                      /* an event that is nothing to receive */
    assert_receives(stream, 10000, "secondbehind");
    assert_int_equal(now(), began + 3000);

    roan_peer_send(peer, 2000, ROAN_LITERAL("x"));
    roan_wait_item item = {.stream = stream, .want_receive = true};
    assert_int_equal(transport->wait(transport->state, &item, 1, -1, 1999), 0);
    assert_int_equal(transport->wait(transport->state, &item, 1, -1, -1), 1);
    assert_true(item.is_ready);
    assert_int_equal(now(), began + 5000);
    assert_receives(stream, 0, "x");
    transport->close(stream, false);
}

static void test_the_wake_descriptor_ends_a_wait(void **state)
{
    (void)state;
    int wake = eventfd(1, EFD_CLOEXEC);
    int64_t began = now();
    roan_wait_item nothing = {.want_receive = true, .want_send = true};
    assert_int_equal(transport->wait(transport->state, &nothing, 1, wake, 1000), 0);
    assert_int_equal(now(), began);
    close(wake);
}

static void *interrupt_later(void *argument)
{
    usleep(3000);
    transport->interrupt(argument);
    return NULL;
}

static void *advance_later(void *unused)
{
    usleep(3000);
    roan_scripted_advance(world, 1000);
    return unused;
}

static void test_other_threads_end_a_wait(void **state)
{
    (void)state;
    roan_stream *stream = open_stream();
    pthread_t thread;
    pthread_create(&thread, NULL, interrupt_later, stream);
    assert_gives(stream, -1, -EAGAIN);
    pthread_join(thread, NULL);

    roan_scripted_set_clock(world, ROAN_CLOCK_MANUAL);
    int64_t began = now();
    pthread_create(&thread, NULL, advance_later, NULL);
    assert_gives(stream, 900, -EAGAIN); /* waits for the clock of the other thread */
    assert_int_equal(now(), began + 1000);
    pthread_join(thread, NULL);

    roan_peer_send(roan_scripted_peer(world, 0), 500, ROAN_LITERAL("due"));
    pthread_create(&thread, NULL, advance_later, NULL);
    assert_receives(stream, -1, "due");
    pthread_join(thread, NULL);
    transport->close(stream, false);
}

static void test_a_seed_gives_the_same_numbers(void **state)
{
    (void)state;
    roan_scripted *other = roan_scripted_create(7), *third = roan_scripted_create(8);
    const roan_transport *others = roan_scripted_transport(other), *thirds = roan_scripted_transport(third);
    for (int i = 0; i < 10; i++) {
        uint64_t number = transport->random(transport->state);
        assert_true(others->random(others->state) == number);
        assert_true(thirds->random(thirds->state) != number);
    }
    roan_scripted_free(other);
    roan_scripted_free(third);
}

/* --- connecting --------------------------------------------------------------------------------------------------- */

static void test_connecting_follows_the_plan(void **state)
{
    (void)state;
    roan_peer_accept(roan_scripted_peer(world, 0), 700);
    roan_peer_refuse(roan_scripted_peer(world, 1), 200, ECONNREFUSED);
    roan_peer_ignore(roan_scripted_peer(world, 2));
    roan_scripted_set_connecting(world, 50, ENETUNREACH);

    int64_t began = now();
    roan_stream *streams[4];
    for (int i = 0; i < 4; i++)
        streams[i] = begin();
    roan_wait_item items[4];
    for (int i = 0; i < 4; i++) {
        items[i] = (roan_wait_item){.stream = streams[i]};
        assert_int_equal(transport->progress(streams[i], NULL), ROAN_PROGRESS_OPENING);
        assert_int_equal(transport->fd(streams[i]), -1);
    }
    roan_error error;
    assert_int_equal(transport->wait(transport->state, items, 4, -1, -1), 1);
    assert_true(items[3].is_ready);
    assert_int_equal(now(), began + 50);
    assert_int_equal(transport->progress(streams[3], &error), ROAN_PROGRESS_FAILED);
    assert_int_equal(error.os_errno, ENETUNREACH);

    assert_int_equal(transport->wait(transport->state, items, 3, -1, -1), 1);
    assert_int_equal(now(), began + 200);
    assert_int_equal(transport->progress(streams[1], &error), ROAN_PROGRESS_FAILED);
    assert_int_equal(error.code, ROAN_E_CONNECT);
    assert_string_equal(error.text, "cannot connect to shop:6379: Connection refused");
    items[1] = items[2];

    assert_int_equal(transport->wait(transport->state, items, 2, -1, 10000), 1);
    assert_int_equal(now(), began + 700);
    assert_gives(streams[2], 0, -ENOTCONN);
    assert_int_equal(transport->progress(streams[0], NULL), ROAN_PROGRESS_OPEN);
    assert_int_equal(transport->wait(transport->state, items, 2, -1, 10000), 0); /* nothing new */
    assert_int_equal(now(), began + 10700);
    assert_int_equal(roan_scripted_opened(world), 4);
    assert_int_equal(roan_scripted_open_streams(world), 4);
    for (int i = 0; i < 4; i++)
        transport->close(streams[i], false);
    assert_true(roan_peer_is_closed(roan_scripted_peer(world, 2)));
    assert_string_equal(roan_peer_endpoint(roan_scripted_peer(world, 2)), "shop:6379");
}

static void test_what_is_said_before_connecting_counts_from_it(void **state)
{
    (void)state;
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_peer_accept(peer, 1000);
    roan_peer_send(peer, 300, ROAN_LITERAL("banner"));
    roan_peer_end(peer, 0);
    roan_scripted_advance(world, 5000);
    int64_t began = now();
    roan_stream *stream = open_stream();
    assert_int_equal(now(), began + 1000);
    assert_receives(stream, -1, "banner");
    assert_int_equal(now(), began + 1300);
    assert_gives(stream, -1, 0);
    transport->close(stream, false);
}

/* --- answering ---------------------------------------------------------------------------------------------------- */

static void test_expectations_answer_in_order(void **state)
{
    (void)state;
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_peer_expect(peer, 0, "GET a", "$1\r\n1\r\n");
    roan_peer_expect(peer, 250, "*", "+any\r\n");
    roan_slice words[] = {ROAN_LITERAL("SET"), ROAN_LITERAL("a b"), ROAN_LITERAL("")};
    roan_peer_expect_words(peer, 0, 3, words, ROAN_LITERAL("+OK\r\n"));
    roan_stream *stream = open_stream();
    int64_t began = now();
    send_all(stream, "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nPI");
    assert_receives(stream, 0, "$1\r\n1\r\n");
    assert_int_equal(roan_peer_request_count(peer), 1);
    send_all(stream, "NG\r\n");
    assert_receives(stream, 1000, "+any\r\n");
    assert_int_equal(now(), began + 250);
    send_all(stream, "*3\r\n$3\r\nSET\r\n$3\r\na b\r\n$0\r\n\r\n");
    assert_receives(stream, 0, "+OK\r\n");

    assert_true(roan_peer_request_is(peer, 0, "GET a"));
    assert_true(roan_peer_request_is(peer, 2, "SET a b "));
    assert_false(roan_peer_request_is(peer, 0, "GET"));
    assert_false(roan_peer_request_is(peer, 0, "GET ab"));
    assert_false(roan_peer_request_is(peer, 3, ""));
    int64_t at_us;
    const roan_slice *argv;
    assert_int_equal(roan_peer_request(peer, 2, &argv, &at_us), 3);
    assert_int_equal(at_us, began + 250);
    assert_int_equal(argv[1].bytes, 3);
    assert_int_equal(roan_peer_request(peer, 3, &argv, &at_us), 0);
    assert_int_equal(roan_peer_log(peer).bytes, 20 + 14 + 28);
    assert_int_equal(roan_peer_sends(peer), 3);
    assert_int_equal(roan_peer_received_bytes(peer), 7 + 6 + 5);
    transport->close(stream, false);
}

static void test_a_mismatch_is_told(void **state)
{
    (void)state;
    roan_scripted *other = roan_scripted_create(1);
    transport = roan_scripted_transport(other);
    roan_peer *peer = roan_scripted_peer(other, 0);
    roan_peer_expect(peer, 0, "GET a", "+1\r\n");
    roan_error error;
    assert_int_equal(roan_scripted_check(other, &error), ROAN_E_INVALID);
    assert_string_equal(error.text, "connection 0: after 0 requests one more was expected");
    roan_stream *stream = open_stream();
    send_all(stream, "GET b\r\n"); /* inline */
    assert_gives(stream, 0, -ECONNRESET);
    assert_int_equal(roan_scripted_check(other, &error), ROAN_E_INVALID);
    assert_string_equal(error.text, "connection 0, request 0: expected \"GET\" \"a\", got \"GET\" \"b\"");
    transport->close(stream, false);

    stream = open_stream(); /* what is no request is a mismatch, too */
    send_all(stream, "*1\r\n+\r\n");
    assert_gives(stream, 0, -ECONNRESET);
    transport->close(stream, false);
    roan_scripted_free(other);
}

static void count_requests(void *argument, roan_peer *peer, size_t argc, const roan_slice *argv)
{
    ++*(unsigned *)argument;
    roan_peer_sendf(peer, 10, ":%zu %.*s\r\n", argc, ROAN_SLICE_ARG(argv[0]));
}

static void test_handlers_answer_what_nobody_expects(void **state)
{
    (void)state;
    unsigned all = 0, own = 0;
    roan_scripted_handle(world, count_requests, &all);
    roan_peer_handle(roan_scripted_peer(world, 1), count_requests, &own);
    roan_peer_handle(roan_scripted_peer(world, 2), NULL, NULL);
    roan_peer_expect(roan_scripted_peer(world, 0), 0, "A", "+a\r\n");
    roan_peer_set_latency(roan_scripted_peer(world, 1), 90);
    roan_stream *streams[3];
    for (int i = 0; i < 3; i++) {
        streams[i] = open_stream();
        send_all(streams[i], "A\r\nB x\r\n");
    }
    int64_t began = now();
    assert_receives(streams[0], 0, "+a\r\n");
    assert_receives(streams[0], -1, ":2 B\r\n");
    assert_int_equal(now(), began + 10);
    assert_receives(streams[1], -1, ":1 A\r\n:2 B\r\n");
    assert_int_equal(now(), began + 100);
    assert_gives(streams[2], 1000, -EAGAIN);
    assert_int_equal(all, 1);
    assert_int_equal(own, 2);
    for (int i = 0; i < 3; i++)
        transport->close(streams[i], false);
}

static void test_answers_come_in_pieces(void **state)
{
    (void)state;
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_stream *stream = open_stream();
    roan_peer_set_pieces(peer, 2, 0);
    roan_peer_send(peer, 0, ROAN_LITERAL("abcde"));
    assert_receives(stream, 0, "ab");
    assert_receives(stream, 0, "cd");
    assert_receives(stream, 0, "e");

    int64_t began = now();
    roan_peer_set_pieces(peer, 1, 100);
    roan_peer_send(peer, 50, ROAN_LITERAL("xyz"));
    assert_receives(stream, -1, "x");
    assert_int_equal(now(), began + 50);
    assert_gives(stream, 0, -EAGAIN);
    assert_receives(stream, -1, "y");
    assert_receives(stream, -1, "z");
    assert_int_equal(now(), began + 250);

    roan_peer_set_pieces(peer, ROAN_PIECES_RANDOM, 0);
    char text[400], got[400];
    memset(text, 'r', sizeof text);
    roan_peer_send(peer, 0, roan_slice_make(text, sizeof text));
    size_t total = 0;
    unsigned pieces = 0, sizes = 0;
    while (total < sizeof text) {
        ssize_t bytes = transport->receive(stream, got, sizeof got, 0);
        assert_in_range(bytes, 1, 16);
        total += (size_t)bytes;
        sizes |= 1u << bytes;
        pieces++;
    }
    assert_true(pieces >= 25 && (sizes & (sizes - 1)) != 0);

    roan_peer_set_pieces(peer, 0, 0);
    roan_peer_set_give_max(peer, 3);
    roan_peer_send(peer, 0, ROAN_LITERAL("whole"));
    assert_receives(stream, 0, "who");
    assert_receives(stream, 0, "le");
    transport->close(stream, false);
}

/* --- failing ------------------------------------------------------------------------------------------------------ */

static void test_the_end_comes_behind_the_bytes(void **state)
{
    (void)state;
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_scripted_handle(world, roan_scripted_redis, NULL);
    roan_stream *stream = open_stream();
    roan_peer_send(peer, 500, ROAN_LITERAL("last"));
    roan_peer_end(peer, 100);
    roan_peer_send(peer, 0, ROAN_LITERAL("never"));
    assert_receives(stream, -1, "last");
    assert_gives(stream, -1, 0);
    assert_gives(stream, 0, 0);
    send_all(stream, "PING\r\n"); /* is lost */
    assert_int_equal(roan_peer_log(peer).bytes, 0);
    assert_gives(stream, 0, 0);
    transport->close(stream, false);
}

static void test_a_reset_keeps_what_arrived(void **state)
{
    (void)state;
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_stream *stream = open_stream();
    roan_peer_send(peer, 100, ROAN_LITERAL("in time"));
    roan_peer_send(peer, 300, ROAN_LITERAL("too late"));
    roan_peer_reset(peer, 200, ETIMEDOUT);
    roan_scripted_advance(world, 1000);
    assert_receives(stream, 0, "in time");
    assert_gives(stream, -1, -ETIMEDOUT);
    assert_int_equal(send_text(stream, "x"), -ETIMEDOUT);
    roan_wait_item item = {.stream = stream};
    assert_int_equal(transport->wait(transport->state, &item, 1, -1, -1), 1);
    transport->close(stream, false);
}

static void test_cuts_count_bytes(void **state)
{
    (void)state;
    roan_scripted_handle(world, roan_scripted_redis, NULL);
    for (unsigned cut = 0; cut <= 8; cut++) {
        bool is_end = cut % 2 == 0;
        roan_peer *peer = roan_scripted_peer(world, cut);
        roan_peer_cut_received(peer, cut, is_end ? 0 : ECONNRESET);
        roan_stream *stream = open_stream();
        if (cut > 0) {
            send_all(stream, "PING\r\n");
            char expected[16] = "+PONG\r\n";
            expected[cut] = '\0';
            assert_receives(stream, 0, expected);
        }
        if (cut == 8)
            assert_gives(stream, 0, -EAGAIN); /* not reached */
        else
            assert_gives(stream, 0, is_end ? 0 : -ECONNRESET);
        transport->close(stream, false);
    }
    const char *request = "*1\r\n$4\r\nPING\r\n";
    for (unsigned cut = 0; cut <= 15; cut++) {
        roan_peer *peer = roan_scripted_peer(world, 9 + cut);
        roan_peer_cut_sent(peer, cut, EPIPE);
        roan_stream *stream = open_stream();
        ssize_t sent = send_text(stream, request);
        assert_int_equal(sent, cut == 0 ? -EPIPE : ROAN_MIN((ssize_t)cut, 14));
        assert_int_equal(roan_peer_log(peer).bytes, ROAN_MIN(cut, 14));
        assert_int_equal(roan_peer_request_count(peer), cut >= 14);
        if (cut == 15)
            assert_receives(stream, 0, "+PONG\r\n");
        else
            assert_gives(stream, 0, -EPIPE);
        transport->close(stream, false);
    }
}

static void test_a_peer_stops_reading(void **state)
{
    (void)state;
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_stream *stream = open_stream();
    roan_peer_take(peer, 0, 4);
    roan_peer_take(peer, 1000, 2);
    roan_peer_take(peer, 2000, -1);
    assert_int_equal(send_text(stream, "abcdef"), 4);
    assert_int_equal(send_text(stream, "ef"), -EAGAIN);
    roan_wait_item item = {.stream = stream, .want_send = true};
    int64_t began = now();
    assert_int_equal(transport->wait(transport->state, &item, 1, -1, -1), 1);
    assert_int_equal(now(), began + 1000);
    struct iovec iov[] = {{(void *)(uintptr_t)"e", 1}, {(void *)(uintptr_t)"fgh", 3}};
    assert_int_equal(transport->send(stream, iov, 2), 2);
    assert_int_equal(transport->wait(transport->state, &item, 1, -1, -1), 1);
    roan_peer_set_take_max(peer, 1);
    assert_int_equal(send_text(stream, "ghi"), 1);
    roan_peer_set_take_max(peer, 0);
    assert_int_equal(send_text(stream, "hi"), 2);
    assert_memory_equal(roan_peer_log(peer).data, "abcdefghi", 9);
    transport->close(stream, false);
}

/* --- the small server --------------------------------------------------------------------------------------------- */

static void assert_dialogue(roan_stream *stream, const char *const *rows)
{
    for (; rows[0] != NULL; rows += 2) {
        send_all(stream, rows[0]);
        send_all(stream, "\r\n");
        assert_receives(stream, 0, rows[1]);
    }
}

static void test_the_small_server_answers(void **state)
{
    (void)state;
    roan_scripted_handle(world, roan_scripted_redis, NULL);
    roan_stream *stream = open_stream();
    const char *const rows[] = {
        "PING",
        "+PONG\r\n",
        "echo hi",
        "$2\r\nhi\r\n",
        "GET k",
        "$-1\r\n",
        "SET k v",
        "+OK\r\n",
        "GET k",
        "$1\r\nv\r\n",
        "SET k w NX",
        "$-1\r\n",
        "SET k w XX GET",
        "$1\r\nv\r\n",
        "SET k w BAD",
        "-ERR syntax error\r\n",
        "APPEND k xx",
        ":3\r\n",
        "STRLEN k",
        ":3\r\n",
        "INCR k",
        "-ERR value is not an integer or out of range\r\n",
        "INCR n",
        ":1\r\n",
        "INCRBY n 41",
        ":42\r\n",
        "MSET a 1 b 2",
        "+OK\r\n",
        "MGET a b zz",
        "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n",
        "EXISTS a b zz",
        ":2\r\n",
        "DEL a b zz",
        ":2\r\n",
        "DBSIZE",
        ":2\r\n",
        "SELECT 3",
        "+OK\r\n",
        "GET k",
        "$-1\r\n",
        "SELECT 16",
        "-ERR DB index is out of range\r\n",
        "SELECT 0",
        "+OK\r\n",
        "CLIENT SETNAME me",
        "+OK\r\n",
        "CLIENT GETNAME",
        "$2\r\nme\r\n",
        "CLIENT ID",
        ":1\r\n",
        "GET",
        "-ERR wrong number of arguments for 'GET' command\r\n",
        "NOPE",
        "-ERR unknown command 'NOPE'\r\n",
        "SET t 1 PX 1500",
        "+OK\r\n",
        "HELLO 4",
        "-NOPROTO unsupported protocol version\r\n",
        "HELLO 3",
        "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.4.0\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n"
        ":1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n",
        "GET zz",
        "_\r\n",
        "FLUSHALL",
        "+OK\r\n",
        "SET t 1 PX 1500",
        "+OK\r\n",
        NULL,
    };
    assert_dialogue(stream, rows);
    roan_scripted_advance(world, 1499000);
    const char *const before[] = {"EXISTS t", ":1\r\n", NULL};
    assert_dialogue(stream, before);
    roan_scripted_advance(world, 1000);
    const char *const after[] = {"EXISTS t", ":0\r\n", "QUIT", "+OK\r\n", NULL};
    assert_dialogue(stream, after);
    assert_gives(stream, 0, 0);
    transport->close(stream, false);
}

static void test_the_small_server_blocks(void **state)
{
    (void)state;
    roan_scripted_handle(world, roan_scripted_redis, NULL);
    roan_stream *stream = open_stream();
    int64_t began = now();
    send_all(stream, "BLPOP q 1.5\r\nPING\r\n");
    assert_receives(stream, -1, "*-1\r\n+PONG\r\n");
    assert_int_equal(now(), began + 1500000);
    send_all(stream, "BLPOP q 0\r\nPING\r\n");
    assert_gives(stream, 3600000000, -EAGAIN);
    transport->close(stream, false);
}

static void test_the_small_server_wants_a_login(void **state)
{
    (void)state;
    roan_scripted_redis_options options = {.size = sizeof options, .username = "ann", .password = "pw"};
    roan_scripted_set_redis(world, &options);
    roan_scripted_handle(world, roan_scripted_redis, NULL);
    roan_stream *stream = open_stream();
    const char *const rows[] = {
        "GET k", "-NOAUTH Authentication required.\r\n",
        "HELLO 3", "-NOAUTH HELLO must be called with the client already authenticated, or with AUTH\r\n",
        "AUTH pw", "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        "AUTH ann no", "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        "AUTH ann pw", "+OK\r\n",
        "GET k", "$-1\r\n",
        "RESET", "+RESET\r\n",
        "GET k", "-NOAUTH Authentication required.\r\n",
        NULL,
    };
    assert_dialogue(stream, rows);
    send_all(stream, "HELLO 3 AUTH ann pw SETNAME shop\r\n");
    char data[256];
    assert_true(transport->receive(stream, data, sizeof data, 0) > 0);
    assert_int_equal(data[0], '%');
    const char *const more[] = {"CLIENT GETNAME", "$4\r\nshop\r\n", NULL};
    assert_dialogue(stream, more);
    transport->close(stream, false);

    options = (roan_scripted_redis_options){.size = sizeof options, .lacks_hello = true};
    roan_scripted_set_redis(world, &options);
    stream = open_stream();
    const char *const old[] = {
        "HELLO 3", "-ERR unknown command 'HELLO'\r\n",
        "CLIENT SETINFO LIB-NAME roan", "-ERR unknown subcommand 'SETINFO'. Try CLIENT HELP.\r\n",
        "AUTH x", "-ERR AUTH <password> called without any password configured for the default user.\r\n",
        "PING", "+PONG\r\n",
        NULL,
    };
    assert_dialogue(stream, old);
    transport->close(stream, false);
}

static void test_the_small_server_has_transactions(void **state)
{
    (void)state;
    roan_scripted_handle(world, roan_scripted_redis, NULL);
    roan_stream *stream = open_stream(), *other = open_stream();
    const char *const rows[] = {
        "EXEC", "-ERR EXEC without MULTI\r\n",
        "WATCH k", "+OK\r\n",
        "MULTI", "+OK\r\n",
        "SET k 1", "+QUEUED\r\n",
        "INCR k", "+QUEUED\r\n",
        "EXEC", "*2\r\n+OK\r\n:2\r\n",
        "MULTI", "+OK\r\n",
        "GET", "-ERR wrong number of arguments for 'GET' command\r\n",
        "GET k", "+QUEUED\r\n",
        "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n",
        "GET k", "$1\r\n2\r\n",
        "MULTI", "+OK\r\n",
        "DISCARD", "+OK\r\n",
        "WATCH k", "+OK\r\n",
        NULL,
    };
    assert_dialogue(stream, rows);
    const char *const meanwhile[] = {"SET k 9", "+OK\r\n", NULL};
    assert_dialogue(other, meanwhile);
    const char *const conflict[] = {"MULTI", "+OK\r\n", "GET k", "+QUEUED\r\n", "EXEC", "*-1\r\n", NULL};
    assert_dialogue(stream, conflict);
    transport->close(stream, false);
    transport->close(other, false);
}

static void test_the_small_server_publishes(void **state)
{
    (void)state;
    roan_scripted_handle(world, roan_scripted_redis, NULL);
    roan_stream *old = open_stream(), *sender = open_stream();
    const char *const subscribe[] = {
        "SUBSCRIBE a b",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n",
        "PSUBSCRIBE ne?s.*",
        "*3\r\n$10\r\npsubscribe\r\n$6\r\nne?s.*\r\n:3\r\n",
        "PING",
        "*2\r\n$4\r\npong\r\n$0\r\n\r\n",
        "GET k",
        "-ERR Can't execute 'GET': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "
        "this context\r\n",
        NULL,
    };
    assert_dialogue(old, subscribe);
    const char *const publish[] = {
        "PUBLISH a 1", ":1\r\n", "PUBLISH c 2", ":0\r\n", "PUBLISH news.x 3", ":1\r\n", "SPUBLISH a 4", ":0\r\n", NULL,
    };
    assert_dialogue(sender, publish);
    assert_receives(old, 0, "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n"
                            "*4\r\n$8\r\npmessage\r\n$6\r\nne?s.*\r\n$6\r\nnews.x\r\n$1\r\n3\r\n");
    const char *const unsubscribe[] = {
        "UNSUBSCRIBE b", "*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:2\r\n",
        "UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n",
        "UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:1\r\n",
        "PUNSUBSCRIBE", "*3\r\n$12\r\npunsubscribe\r\n$6\r\nne?s.*\r\n:0\r\n",
        "PING", "+PONG\r\n",
        NULL,
    };
    assert_dialogue(old, unsubscribe);
    send_all(sender, "HELLO 3\r\n");
    char data[256];
    assert_true(transport->receive(sender, data, sizeof data, 0) > 0);
    const char *const own[] = {
        "SSUBSCRIBE s", ">3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n",
        "SPUBLISH s x", ">3\r\n$8\r\nsmessage\r\n$1\r\ns\r\n$1\r\nx\r\n:1\r\n",
        "PING", "+PONG\r\n",
        NULL,
    };
    assert_dialogue(sender, own);
    transport->close(old, false);
    transport->close(sender, false);
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

static void *ping_many(void *unused)
{
    roan_endpoint endpoint = {.path = "/s"};
    for (int i = 0; i < 50; i++) {
        roan_stream *stream = NULL;
        assert_int_equal(transport->open(transport->state, &endpoint, &stream, NULL), ROAN_OK);
        assert_int_equal(transport->progress(stream, NULL), ROAN_PROGRESS_OPEN);
        struct iovec iov = {(void *)(uintptr_t)"INCR n\r\n", 8};
        assert_int_equal(transport->send(stream, &iov, 1), 8);
        char data[32];
        assert_true(transport->receive(stream, data, sizeof data, -1) > 3);
        transport->random(transport->state);
        transport->close(stream, false);
    }
    return unused;
}

static void test_several_threads_share_a_world(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    roan_scripted_handle(world, roan_scripted_redis, NULL);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ping_many, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    roan_stream *stream = open_stream();
    const char *const rows[] = {"GET n", "$3\r\n200\r\n", NULL};
    assert_dialogue(stream, rows);
    transport->close(stream, false);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_time_passes_only_by_waiting),
        TEST(test_a_wait_ends_with_the_next_event),
        TEST(test_the_wake_descriptor_ends_a_wait),
        TEST(test_other_threads_end_a_wait),
        TEST(test_a_seed_gives_the_same_numbers),
        TEST(test_connecting_follows_the_plan),
        TEST(test_what_is_said_before_connecting_counts_from_it),
        TEST(test_expectations_answer_in_order),
        TEST(test_a_mismatch_is_told),
        TEST(test_handlers_answer_what_nobody_expects),
        TEST(test_answers_come_in_pieces),
        TEST(test_the_end_comes_behind_the_bytes),
        TEST(test_a_reset_keeps_what_arrived),
        TEST(test_cuts_count_bytes),
        TEST(test_a_peer_stops_reading),
        TEST(test_the_small_server_answers),
        TEST(test_the_small_server_blocks),
        TEST(test_the_small_server_wants_a_login),
        TEST(test_the_small_server_has_transactions),
        TEST(test_the_small_server_publishes),
        TEST(test_several_threads_share_a_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
