/* Tests of the asynchronous side of libroan-hiredis, against a peer that says what the test wants.
 *
 * The context sits on one end of a socket pair, with the adapter for poll(); the test writes the server's bytes into the
 * other end and turns the context until nothing happens. Every callback writes its name and what it got into a log,
 * which is compared as text. Nothing sleeps. Run as a cmocka program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hiredis/adapters/poll.h"
#include "hiredis/async.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_BYTES_MAX 4096

static char log_text[LOG_BYTES_MAX];
static redisAsyncContext *context; /* NULL when it has been freed */
static int peer;                   /* the server's end */
static redisReply *kept;

static void note(const char *text)
{
    size_t used = strlen(log_text);

    snprintf(log_text + used, LOG_BYTES_MAX - used, "%s", text);
}

static void note_reply(const redisReply *reply)
{
    char number[32];

    if (reply == NULL) {
        note("NULL");
    } else if (reply->type == REDIS_REPLY_NIL) {
        note("nil");
    } else if (reply->type == REDIS_REPLY_INTEGER) {
        snprintf(number, sizeof number, "%lld", reply->integer);
        note(number);
    } else if (reply->element != NULL) {
        for (size_t i = 0; i < reply->elements; i++) {
            note(i == 0 ? "[" : " ");
            note_reply(reply->element[i]);
        }
        note("]");
    } else {
        note(reply->str);
    }
}

/* privdata: the name in the log. */
static void on_reply(redisAsyncContext *from, void *reply, void *privdata)
{
    assert_ptr_equal(from, context);
    note(privdata);
    note(":");
    note_reply(reply);
    note(";");
}

static void on_reply_free(redisAsyncContext *from, void *reply, void *privdata)
{
    on_reply(from, reply, privdata);
    redisAsyncFree(from);
}

static void on_reply_disconnect(redisAsyncContext *from, void *reply, void *privdata)
{
    on_reply(from, reply, privdata);
    redisAsyncDisconnect(from);
}

static void on_reply_send(redisAsyncContext *from, void *reply, void *privdata)
{
    on_reply(from, reply, privdata);
    note(redisAsyncCommand(from, on_reply, (void *)(uintptr_t) "again", "AGAIN") == REDIS_OK ? "sent;" : "refused;");
}

static void on_reply_keep(redisAsyncContext *from, void *reply, void *privdata)
{
    on_reply(from, reply, privdata);
    kept = reply;
}

static void on_push(redisAsyncContext *from, void *reply)
{
    on_reply(from, reply, (void *)(uintptr_t) "push");
}

static void on_connect(const redisAsyncContext *from, int status)
{
    (void)from;
    note(status == REDIS_OK ? "connected;" : "not connected;");
}

static void on_disconnect(const redisAsyncContext *from, int status)
{
    assert_ptr_equal(from, context);
    note(status == REDIS_OK ? "disconnected;" : "disconnected ");
    if (status != REDIS_OK) {
        char number[16];
        snprintf(number, sizeof number, "%d ", from->err);
        note(number);
        note(from->errstr);
        note(";");
    }
}

static void on_gone(void *data)
{
    assert_ptr_equal(data, log_text);
    note("gone");
    context = NULL;
}

/* ---- the two ends ------------------------------------------------------------------------------------------------ */

static void turn(void)
{
    while (context != NULL && context->ev.data != NULL && redisPollTick(context, 0) > 0)
        if (context != NULL && context->ev.data != NULL && sdslen(context->c.obuf) > 0)
            break; /* the peer does not read */
}

static void open_pair(int options_bits)
{
    int ends[2];
    redisOptions options = {.type = REDIS_CONN_USERFD, .options = options_bits};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    peer = ends[1];
    assert_int_equal(fcntl(peer, F_SETFL, O_NONBLOCK), 0);
    options.endpoint.fd = ends[0];
    log_text[0] = '\0';
    kept = NULL;
    context = redisAsyncConnectWithOptions(&options);
    assert_non_null(context);
    assert_int_equal(context->err, 0);
    assert_int_equal(redisPollAttach(context), REDIS_OK);
    assert_int_equal(redisPollAttach(context), REDIS_ERR);
    context->data = log_text;
    context->dataCleanup = on_gone;
    assert_int_equal(redisAsyncSetConnectCallback(context, on_connect), REDIS_OK);
    assert_int_equal(redisAsyncSetDisconnectCallback(context, on_disconnect), REDIS_OK);
    turn();
    assert_string_equal(log_text, "connected;");
    log_text[0] = '\0';
}

static void send_command(const char *name, const char *text)
{
    assert_int_equal(redisAsyncCommand(context, on_reply, (void *)(uintptr_t)name, text), REDIS_OK);
}

/* The server says so. */
static void say(const char *text)
{
    assert_int_equal(write(peer, text, strlen(text)), (ssize_t)strlen(text));
    turn();
}

/* The log must read so; it is emptied. */
static void expect_log(const char *expected)
{
    assert_string_equal(log_text, expected);
    log_text[0] = '\0';
}

static void close_peer(void)
{
    char sink[4096];

    while (peer >= 0 && read(peer, sink, sizeof sink) > 0)
        continue; /* closing with bytes unread would be a reset */
    if (peer >= 0)
        close(peer);
    peer = -1;
    turn();
}

static int tear_down(void **state)
{
    (void)state;
    if (context != NULL)
        redisAsyncFree(context);
    assert_null(context);
    close_peer();
    return 0;
}

/* ---- commands and endings ---------------------------------------------------------------------------------------- */

static void test_replies_go_to_their_callbacks_in_order(void **state)
{
    char sent[256] = "";

    (void)state;
    open_pair(0);
    send_command("a", "GET a");
    assert_int_equal(redisAsyncCommand(context, NULL, NULL, "SET %s %b", "x", "y z", (size_t)3), REDIS_OK);
    send_command("c", "GET c");
    turn();
    assert_int_equal(read(peer, sent, sizeof sent - 1), 69);
    assert_string_equal(sent, "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$3\r\ny z\r\n"
                              "*2\r\n$3\r\nGET\r\n$1\r\nc\r\n");
    say("$1\r\n1\r\n+O");
    expect_log("a:1;");
    say("K\r\n*2\r\n:3\r\n$-1\r\n");
    expect_log("c:[3 nil];");
    assert_int_equal(redisAsyncSetConnectCallback(context, on_connect), REDIS_ERR);
    assert_int_equal(redisAsyncSetDisconnectCallback(context, on_disconnect), REDIS_ERR);
    redisAsyncFree(context);
    expect_log("disconnected;gone");
}

static void test_a_command_may_be_sent_from_a_callback(void **state)
{
    (void)state;
    open_pair(0);
    redisAsyncCommand(context, on_reply_send, (void *)(uintptr_t) "first", "X");
    turn();
    say("+1\r\n");
    expect_log("first:1;sent;");
    say("+2\r\n");
    expect_log("again:2;");
}

static void test_freeing_gives_null_to_those_who_wait(void **state)
{
    (void)state;
    open_pair(0);
    send_command("a", "A");
    redisAsyncCommand(context, on_reply_send, (void *)(uintptr_t) "b", "B");
    send_command("sub", "SUBSCRIBE x y");
    redisAsyncFree(context);
    expect_log("a:NULL;b:NULL;refused;sub:NULL;sub:NULL;disconnected;gone");
    assert_null(context);
}

static void test_freeing_inside_a_callback_waits_until_it_returns(void **state)
{
    (void)state;
    open_pair(0);
    redisAsyncCommand(context, on_reply_free, (void *)(uintptr_t) "free", "A");
    send_command("b", "B");
    turn();
    say("+1\r\n+2\r\n");
    expect_log("free:1;b:NULL;disconnected;gone");
}

static void test_disconnecting_waits_for_the_replies(void **state)
{
    (void)state;
    open_pair(0);
    send_command("a", "A");
    send_command("b", "B");
    redisAsyncDisconnect(context);
    assert_int_equal(redisAsyncCommand(context, on_reply, NULL, "C"), REDIS_ERR);
    turn();
    say("+1\r\n");
    expect_log("a:1;");
    say("+2\r\n");
    expect_log("b:2;disconnected;gone");
}

static void test_disconnecting_inside_a_callback(void **state)
{
    (void)state;
    open_pair(0);
    redisAsyncCommand(context, on_reply_disconnect, (void *)(uintptr_t) "a", "A");
    send_command("b", "B");
    turn();
    say("+1\r\n");
    expect_log("a:1;");
    say("+2\r\n");
    expect_log("b:2;disconnected;gone");
    open_pair(0);
    redisAsyncDisconnect(context);
    expect_log("disconnected;gone");
}

static void test_the_server_closes(void **state)
{
    (void)state;
    open_pair(0);
    send_command("a", "A");
    send_command("sub", "SUBSCRIBE x");
    turn();
    say("+1\r\n");
    close_peer();
    expect_log("a:1;sub:NULL;disconnected 3 Server closed the connection;gone");
}

static void test_what_is_no_protocol_ends_the_connection(void **state)
{
    (void)state;
    open_pair(0);
    send_command("a", "A");
    turn();
    say("+1\r\n?");
    expect_log("a:1;disconnected 4 Protocol error, got \"?\" as reply type byte;gone");
}

static void test_replies_that_nobody_waits_for_end_the_connection(void **state)
{
    (void)state;
    open_pair(0);
    send_command("a", "A");
    turn();
    say("+1\r\n-ERR max number of clients reached\r\n");
    expect_log("a:1;disconnected 2 ERR max number of clients reached;gone");
    open_pair(0);
    send_command("a", "A");
    turn();
    say("+1\r\n+2\r\n");
    expect_log("a:1;disconnected 4 A reply came that no command waits for;gone");
}

static void test_no_auto_free_keeps_the_context_after_an_error(void **state)
{
    (void)state;
    open_pair(REDIS_OPT_NOAUTOFREE);
    send_command("a", "A");
    turn();
    close_peer();
    expect_log("");
    assert_non_null(context);
    assert_int_equal(context->err, REDIS_ERR_EOF);
    assert_null(context->ev.data);
    assert_int_equal(redisAsyncCommand(context, on_reply, NULL, "B"), REDIS_ERR);
    redisAsyncFree(context);
    expect_log("a:NULL;disconnected;gone");
}

static void test_no_auto_free_replies_gives_them_to_the_callback(void **state)
{
    (void)state;
    open_pair(REDIS_OPT_NOAUTOFREEREPLIES);
    redisAsyncCommand(context, on_reply_keep, (void *)(uintptr_t) "a", "A");
    redisAsyncCommand(context, NULL, NULL, "B");
    turn();
    say("$4\r\nkept\r\n$5\r\nnever\r\n");
    expect_log("a:kept;");
    assert_string_equal(kept->str, "kept");
    freeReplyObject(kept);
}

static void test_timeouts(void **state)
{
    (void)state;
    open_pair(0);
    redisAsyncHandleTimeout(context); /* nothing is due */
    send_command("a", "A");
    redisAsyncHandleTimeout(context); /* no time-out is set: it was that of connecting */
    turn();
    expect_log("");
    assert_int_equal(redisAsyncSetTimeout(context, (struct timeval){.tv_sec = 100}), REDIS_OK);
    send_command("sub", "SUBSCRIBE x");
    assert_true(((redisPollEvents *)context->ev.data)->deadline > 0);
    redisAsyncHandleTimeout(context);
    expect_log("a:NULL;sub:NULL;disconnected 6 Timeout;gone");
}

static void test_a_refused_connection_calls_the_connect_callback(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int unused = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    log_text[0] = '\0';
    peer = -1;
    assert_int_equal(bind(unused, (struct sockaddr *)&address, bytes), 0); /* bound, not listening: refuses */
    assert_int_equal(getsockname(unused, (struct sockaddr *)&address, &bytes), 0);
    context = redisAsyncConnect("127.0.0.1", ntohs(address.sin_port));
    if (context->err == 0) {
        context->data = log_text;
        context->dataCleanup = on_gone;
        redisPollAttach(context);
        redisAsyncSetConnectCallback(context, on_connect);
        redisAsyncSetDisconnectCallback(context, on_disconnect);
        send_command("a", "A");
        while (context != NULL)
            assert_true(redisPollTick(context, 5) > 0);
        expect_log("not connected;a:NULL;gone");
    }
    close(unused);
}

static void test_output_that_the_socket_does_not_take_at_once(void **state)
{
    enum { BYTES = 4 << 20 };
    char *large = malloc(BYTES);
    char *received = malloc(BYTES + 100);
    size_t total = 0;

    (void)state;
    open_pair(0);
    for (size_t i = 0; i < BYTES; i++)
        large[i] = (char)('a' + i % 23);
    assert_int_equal(redisAsyncCommand(context, on_reply, (void *)(uintptr_t) "a", "SET %b", large, (size_t)BYTES),
                     REDIS_OK);
    while (sdslen(context->c.obuf) > 0 || total == 0) {
        ssize_t count;
        turn();
        while ((count = read(peer, received + total, BYTES + 100 - total)) > 0)
            total += (size_t)count;
    }
    assert_int_equal(total, BYTES + 4 + 9 + 10 + 2);
    assert_memory_equal(received + 23, large, BYTES);
    say("+OK\r\n");
    expect_log("a:OK;");
    free(large);
    free(received);
}

static void test_a_timer_ends_a_silent_connection(void **state)
{
    (void)state;
    open_pair(0);
    redisAsyncSetTimeout(context, (struct timeval){.tv_usec = 1000});
    send_command("a", "A");
    while (context != NULL)
        redisPollTick(context, 10);
    expect_log("a:NULL;disconnected 6 Timeout;gone");
}

/* ---- subscriptions ----------------------------------------------------------------------------------------------- */

static void test_subscriptions_of_resp2(void **state)
{
    (void)state;
    open_pair(0);
    send_command("before", "LRANGE l 0 -1");
    send_command("sub", "SUBSCRIBE a b");
    send_command("pat", "psubscribe p*");
    send_command("ping", "PING");
    turn();
    /* A list that reads like a message, before the subscription. */
    say("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n");
    expect_log("before:[message a x];");
    say("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
    expect_log("sub:[subscribe a 1];sub:[subscribe b 2];");
    say("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nm1\r\n"); /* in between the confirmations */
    say("*3\r\n$10\r\npsubscribe\r\n$2\r\np*\r\n:3\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    expect_log("sub:[message a m1];pat:[psubscribe p* 3];ping:[pong ];");
    say("*4\r\n$8\r\npmessage\r\n$2\r\np*\r\n$2\r\npq\r\n$2\r\nm2\r\n*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$2\r\nm3\r\n");
    expect_log("pat:[pmessage p* pq m2];sub:[message b m3];");
    assert_true(context->c.flags & REDIS_SUBSCRIBED);
    /* The callback of UNSUBSCRIBE is not used; that of the subscription is. All names, and some that are none. */
    send_command("never", "UNSUBSCRIBE");
    send_command("never", "PUNSUBSCRIBE x p* x");
    send_command("after", "GET k");
    turn();
    say("*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:2\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n");
    expect_log("sub:[unsubscribe b 2];sub:[unsubscribe a 1];");
    assert_true(context->c.flags & REDIS_SUBSCRIBED);
    say("*3\r\n$12\r\npunsubscribe\r\n$1\r\nx\r\n:1\r\n*3\r\n$12\r\npunsubscribe\r\n$2\r\np*\r\n:0\r\n"
        "*3\r\n$12\r\npunsubscribe\r\n$1\r\nx\r\n:0\r\n");
    expect_log("pat:[punsubscribe p* 0];");
    assert_false(context->c.flags & REDIS_SUBSCRIBED);
    say("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n");
    expect_log("after:[message a x];");
    send_command("never", "UNSUBSCRIBE");
    send_command("last", "GET k");
    turn();
    say("*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n+v\r\n");
    expect_log("last:v;");
}

static void test_subscriptions_of_resp3(void **state)
{
    (void)state;
    open_pair(0);
    redisAsyncSetPushCallback(context, on_push);
    send_command("hello", "HELLO 3");
    send_command("sub", "SUBSCRIBE a");
    send_command("shard", "SSUBSCRIBE s");
    send_command("get", "GET k");
    turn();
    say("%1\r\n+proto\r\n:3\r\n>3\r\n+subscribe\r\n+a\r\n:1\r\n>3\r\n+ssubscribe\r\n+s\r\n:1\r\n+v\r\n");
    expect_log("hello:[proto 3];sub:[subscribe a 1];shard:[ssubscribe s 1];get:v;");
    say(">3\r\n+message\r\n+a\r\n+m1\r\n>3\r\n+smessage\r\n+s\r\n+m2\r\n>2\r\n+invalidate\r\n*1\r\n+k\r\n");
    expect_log("sub:[message a m1];shard:[smessage s m2];push:[invalidate [k]];");
    send_command("list", "LRANGE l 0 -1");
    turn();
    say("*3\r\n+message\r\n+a\r\n+x\r\n"); /* no push: a list */
    expect_log("list:[message a x];");
    say(">3\r\n+message\r\n+unknown\r\n+m\r\n>3\r\n+sunsubscribe\r\n+s\r\n:0\r\n"); /* the slot moved */
    expect_log("shard:[sunsubscribe s 0];");
    say(">3\r\n+smessage\r\n+s\r\n+m\r\n");
    expect_log("");
    send_command("hello", "HELLO 2");
    turn();
    say("*2\r\n+proto\r\n:2\r\n*3\r\n+message\r\n+a\r\n+m3\r\n");
    expect_log("hello:[proto 2];sub:[message a m3];");
    redisAsyncFree(context);
    expect_log("sub:NULL;disconnected;gone");
}

static void test_subscribing_again_before_the_end_is_confirmed(void **state)
{
    (void)state;
    open_pair(0);
    send_command("one", "SUBSCRIBE a");
    send_command("never", "UNSUBSCRIBE a");
    send_command("two", "SUBSCRIBE a");
    turn();
    say("*3\r\n+subscribe\r\n+a\r\n:1\r\n*3\r\n+unsubscribe\r\n+a\r\n:0\r\n");
    assert_true(context->c.flags & REDIS_SUBSCRIBED);
    say("*3\r\n+subscribe\r\n+a\r\n:1\r\n*3\r\n+message\r\n+a\r\n+m\r\n");
    expect_log("two:[subscribe a 1];two:[unsubscribe a 0];two:[subscribe a 1];two:[message a m];");
}

static void test_a_subscribe_that_fails_tells_its_callback(void **state)
{
    (void)state;
    open_pair(0);
    send_command("sub", "SUBSCRIBE a b");
    send_command("get", "GET k");
    turn();
    say("-NOPERM no\r\n+v\r\n");
    expect_log("sub:NOPERM no;get:v;");
    assert_false(context->c.flags & REDIS_SUBSCRIBED);
    send_command("none", "SUBSCRIBE");
    send_command("get", "GET k");
    turn();
    say("-ERR wrong number of arguments\r\n+w\r\n");
    expect_log("none:ERR wrong number of arguments;get:w;");
    redisAsyncFree(context);
    expect_log("disconnected;gone");
}

static void test_a_subscribe_in_a_transaction(void **state)
{
    (void)state;
    open_pair(0);
    send_command("multi", "MULTI");
    send_command("sub", "SUBSCRIBE a");
    send_command("exec", "EXEC");
    turn();
    say("+OK\r\n+QUEUED\r\n*1\r\n*3\r\n+subscribe\r\n+a\r\n:1\r\n");
    expect_log("multi:OK;sub:QUEUED;exec:[[subscribe a 1]];");
    say("*3\r\n+message\r\n+a\r\n+m\r\n");
    expect_log("sub:[message a m];");
}

static void test_monitor_and_reset(void **state)
{
    (void)state;
    open_pair(0);
    send_command("mon", "MONITOR");
    send_command("get", "GET k");
    turn();
    assert_true(context->c.flags & REDIS_MONITORING);
    say("+OK\r\n+1700000000.123456 [0 127.0.0.1:1] \"GET\" \"k\"\r\n+v\r\n");
    expect_log("mon:OK;mon:1700000000.123456 [0 127.0.0.1:1] \"GET\" \"k\";get:v;");
    say("+1700000000.123457 [0 127.0.0.1:1] \"SET\" \"k\"\r\n");
    expect_log("mon:1700000000.123457 [0 127.0.0.1:1] \"SET\" \"k\";");
    send_command("sub", "SUBSCRIBE a");
    turn();
    say("*3\r\n+subscribe\r\n+a\r\n:1\r\n");
    send_command("reset", "RESET");
    turn();
    log_text[0] = '\0';
    say("+RESET\r\n");
    expect_log("sub:NULL;mon:NULL;reset:RESET;");
    assert_int_equal(context->c.flags & (REDIS_SUBSCRIBED | REDIS_MONITORING), 0);
    send_command("mon", "MONITOR");
    turn();
    say("-NOPERM no\r\n");
    expect_log("mon:NOPERM no;");
}

static void test_many_subscriptions(void **state)
{
    enum { COUNT = 1000 };
    char text[64];

    (void)state;
    open_pair(0);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(redisAsyncCommand(context, on_reply, (void *)(uintptr_t) "s", "SUBSCRIBE c:%d", i), REDIS_OK);
    while (sdslen(context->c.obuf) > 0) {
        char sink[65536];
        turn();
        while (read(peer, sink, sizeof sink) > 0)
            continue;
    }
    for (int i = 0; i < COUNT; i++) {
        log_text[0] = '\0';
        snprintf(text, sizeof text, "*3\r\n+subscribe\r\n+c:%d\r\n:%d\r\n", i, i + 1);
        say(text);
        assert_non_null(strstr(log_text, "s:[subscribe c:"));
    }
    log_text[0] = '\0';
    say("*3\r\n+message\r\n+c:777\r\n+m\r\n");
    expect_log("s:[message c:777 m];");
}

static void test_bytes_that_are_no_command_are_a_plain_one(void **state)
{
    static const char *const texts[] = {
        "", "*", "*1", "*1\r\n$", "*1\r\n$9\r\nsub", "PING\r\n", "*1\r\n$99999999999999999999\r\n"};

    (void)state;
    open_pair(0);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(
            redisAsyncFormattedCommand(context, on_reply, (void *)(uintptr_t) "x", texts[i], strlen(texts[i])),
            REDIS_OK);
    turn();
    say("+1\r\n+2\r\n+3\r\n+4\r\n+5\r\n+6\r\n+7\r\n");
    expect_log("x:1;x:2;x:3;x:4;x:5;x:6;x:7;");
}

/* ---- out of memory ----------------------------------------------------------------------------------------------- */

static long calls_left;

static void *failing_malloc(size_t bytes)
{
    return calls_left-- > 0 ? malloc(bytes) : NULL;
}

static void *failing_calloc(size_t count, size_t bytes)
{
    return calls_left-- > 0 ? calloc(count, bytes) : NULL;
}

static void *failing_realloc(void *memory, size_t bytes)
{
    return calls_left-- > 0 ? realloc(memory, bytes) : NULL;
}

static char *failing_strdup(const char *text)
{
    return calls_left-- > 0 ? strdup(text) : NULL;
}

static int callbacks_due, callbacks_run;

static void on_counted(redisAsyncContext *from, void *reply, void *privdata)
{
    (void)from;
    (void)reply;
    (void)privdata;
    callbacks_run++;
}

/* A whole life. True: nothing failed. The log does not matter, only that each callback runs once. */
static bool live_with_little_memory(void)
{
    static const char replies[] = "+OK\r\n*3\r\n+subscribe\r\n+a\r\n:1\r\n*3\r\n+subscribe\r\n+b\r\n:2\r\n"
                                  "*3\r\n+message\r\n+a\r\n+m\r\n*2\r\n$3\r\nabc\r\n*1\r\n:1\r\n";
    int ends[2];
    redisOptions options = {.type = REDIS_CONN_USERFD};
    bool is_whole = true;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    peer = ends[1];
    options.endpoint.fd = ends[0];
    callbacks_due = callbacks_run = 0;
    context = redisAsyncConnectWithOptions(&options);
    if (context == NULL) {
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    context->data = log_text;
    context->dataCleanup = on_gone;
    is_whole &= redisPollAttach(context) == REDIS_OK;
    is_whole &= redisAsyncSetTimeout(context, (struct timeval){.tv_sec = 9}) == REDIS_OK;
    if (redisAsyncCommand(context, on_counted, NULL, "SET %s %d", "k", 1) == REDIS_OK)
        callbacks_due++;
    is_whole &= redisAsyncCommand(context, NULL, NULL, "SUBSCRIBE a b") == REDIS_OK;
    if (redisAsyncCommand(context, on_counted, NULL, "LRANGE l 0 -1") == REDIS_OK)
        callbacks_due++;
    is_whole &= callbacks_due == 2;
    if (is_whole) {
        turn();
        if (context != NULL)
            assert_int_equal(write(peer, replies, sizeof replies - 1), (ssize_t)sizeof replies - 1);
        turn();
    }
    is_whole &= context != NULL;
    if (context != NULL)
        redisAsyncFree(context);
    assert_null(context);
    assert_int_equal(callbacks_run, callbacks_due);
    close(peer);
    peer = -1;
    return is_whole;
}

static void test_running_out_of_memory_anywhere(void **state)
{
    hiredisAllocFuncs functions = {failing_malloc, failing_calloc, failing_realloc, failing_strdup, free};
    bool is_whole = false;

    (void)state;
    hiredisSetAllocators(&functions);
    for (long calls = 0; !is_whole; calls++) {
        log_text[0] = '\0';
        calls_left = calls;
        is_whole = live_with_little_memory();
        assert_true(calls < 500);
    }
    hiredisResetAllocators();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_replies_go_to_their_callbacks_in_order, tear_down),
        cmocka_unit_test_teardown(test_a_command_may_be_sent_from_a_callback, tear_down),
        cmocka_unit_test_teardown(test_freeing_gives_null_to_those_who_wait, tear_down),
        cmocka_unit_test_teardown(test_freeing_inside_a_callback_waits_until_it_returns, tear_down),
        cmocka_unit_test_teardown(test_disconnecting_waits_for_the_replies, tear_down),
        cmocka_unit_test_teardown(test_disconnecting_inside_a_callback, tear_down),
        cmocka_unit_test_teardown(test_the_server_closes, tear_down),
        cmocka_unit_test_teardown(test_what_is_no_protocol_ends_the_connection, tear_down),
        cmocka_unit_test_teardown(test_replies_that_nobody_waits_for_end_the_connection, tear_down),
        cmocka_unit_test_teardown(test_no_auto_free_keeps_the_context_after_an_error, tear_down),
        cmocka_unit_test_teardown(test_no_auto_free_replies_gives_them_to_the_callback, tear_down),
        cmocka_unit_test_teardown(test_timeouts, tear_down),
        cmocka_unit_test_teardown(test_a_refused_connection_calls_the_connect_callback, tear_down),
        cmocka_unit_test_teardown(test_output_that_the_socket_does_not_take_at_once, tear_down),
        cmocka_unit_test_teardown(test_a_timer_ends_a_silent_connection, tear_down),
        cmocka_unit_test_teardown(test_subscriptions_of_resp2, tear_down),
        cmocka_unit_test_teardown(test_subscriptions_of_resp3, tear_down),
        cmocka_unit_test_teardown(test_subscribing_again_before_the_end_is_confirmed, tear_down),
        cmocka_unit_test_teardown(test_a_subscribe_that_fails_tells_its_callback, tear_down),
        cmocka_unit_test_teardown(test_a_subscribe_in_a_transaction, tear_down),
        cmocka_unit_test_teardown(test_monitor_and_reset, tear_down),
        cmocka_unit_test_teardown(test_many_subscriptions, tear_down),
        cmocka_unit_test_teardown(test_bytes_that_are_no_command_are_a_plain_one, tear_down),
        cmocka_unit_test_teardown(test_running_out_of_memory_anywhere, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
