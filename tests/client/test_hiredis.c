/* Tests of libroan-hiredis against running servers.
 *
 *     test_hiredis ROAN_PROGRAM
 *
 * Every test runs against Roan and, where redis-server is installed, against Redis: what differs between the two is not
 * the library's. The servers are started here, on a free port and a socket in a folder of their own, and end with this
 * program. Run as a cmocka program.
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
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_ATTEMPTS_MAX 1000 /* 10 ms apart */

/* ---- servers ----------------------------------------------------------------------------------------------------- */

typedef struct server {
    pid_t pid;
    int port;
    char folder[64];
    char socket_path[80];
} server;

static server at; /* the one that is tested */

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(fd, (struct sockaddr *)&address, bytes) != 0 || getsockname(fd, (struct sockaddr *)&address, &bytes) != 0)
        abort();
    close(fd);
    return ntohs(address.sin_port);
}

/* program [first] --port ... */
static void run_server(const char *program, const char *first)
{
    char port[16];
    const char *argv[16];
    int argc = 0;

    snprintf(port, sizeof port, "%d", at.port);
    argv[argc++] = program;
    if (first != NULL)
        argv[argc++] = first;
    argv[argc++] = "--port";
    argv[argc++] = port;
    argv[argc++] = "--dir";
    argv[argc++] = at.folder;
    argv[argc++] = "--unixsocket";
    argv[argc++] = at.socket_path;
    argv[argc++] = "--save";
    argv[argc++] = "";
    argv[argc] = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
        _exit(126);
    execvp(program, (char *const *)(uintptr_t)argv);
    _exit(127);
}

static void stop_server(void)
{
    pid_t remover;

    if (at.pid > 0) {
        kill(at.pid, SIGTERM);
        waitpid(at.pid, NULL, 0);
    }
    at.pid = 0;
    remover = fork();
    if (remover == 0) {
        execlp("rm", "rm", "-rf", at.folder, (char *)NULL);
        _exit(127);
    }
    waitpid(remover, NULL, 0);
}

/* False: it cannot be started. */
static bool start_server(const char *program, const char *first)
{
    at.port = free_port();
    snprintf(at.folder, sizeof at.folder, "/tmp/test-hiredis-XXXXXX");
    if (mkdtemp(at.folder) == NULL)
        abort();
    snprintf(at.socket_path, sizeof at.socket_path, "%s/s", at.folder);
    at.pid = fork();
    if (at.pid == 0)
        run_server(program, first);
    for (int attempt = 0; attempt < START_ATTEMPTS_MAX; attempt++) {
        redisContext *context = redisConnect("127.0.0.1", at.port);
        redisReply *reply = context->err == 0 ? redisCommand(context, "PING") : NULL;
        bool is_ready = reply != NULL && reply->type == REDIS_REPLY_STATUS && access(at.socket_path, F_OK) == 0;
        freeReplyObject(reply);
        redisFree(context);
        if (is_ready)
            return true;
        if (waitpid(at.pid, NULL, WNOHANG) == at.pid) {
            at.pid = 0;
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    stop_server();
    return false;
}

static redisContext *connect_server(void)
{
    redisContext *context = redisConnect("127.0.0.1", at.port);

    assert_non_null(context);
    assert_string_equal(context->errstr, "");
    assert_int_equal(context->err, 0);
    assert_true(context->flags & REDIS_CONNECTED);
    return context;
}

static int flush(void **state)
{
    redisContext *context = connect_server();

    (void)state;
    freeReplyObject(redisCommand(context, "FLUSHALL"));
    redisFree(context);
    return 0;
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */

/* Sends the command; the reply must have this type. */
#define CALL(context, expected_type, ...) call_checked(redisCommand(context, __VA_ARGS__), context, expected_type)

static redisReply *call_checked(redisReply *reply, redisContext *context, int type)
{
    if (reply == NULL)
        fail_msg("no reply: %s", context->errstr);
    if (reply->type != type)
        fail_msg("type %d instead of %d: %s", reply->type, type, reply->str == NULL ? "" : reply->str);
    return reply;
}

#define DO(context, expected_type, ...) freeReplyObject(CALL(context, expected_type, __VA_ARGS__))

static void test_replies_of_resp2(void **state)
{
    redisContext *c = connect_server();
    redisReply *reply;

    (void)state;
    reply = CALL(c, REDIS_REPLY_STATUS, "SET %b %b", "k\0", (size_t)2, "a\0b\r\n", (size_t)5);
    assert_string_equal(reply->str, "OK");
    freeReplyObject(reply);
    reply = CALL(c, REDIS_REPLY_STRING, "GET %b", "k\0", (size_t)2);
    assert_int_equal(reply->len, 5);
    assert_memory_equal(reply->str, "a\0b\r\n", 6);
    freeReplyObject(reply);
    DO(c, REDIS_REPLY_NIL, "GET none");
    reply = CALL(c, REDIS_REPLY_INTEGER, "INCRBY n %lld", -5000000000LL);
    assert_int_equal(reply->integer, -5000000000LL);
    freeReplyObject(reply);
    reply = CALL(c, REDIS_REPLY_ERROR, "LPUSH n x");
    assert_memory_equal(reply->str, "WRONGTYPE ", 10);
    freeReplyObject(reply);
    assert_int_equal(c->err, 0); /* the server's errors are replies */
    DO(c, REDIS_REPLY_INTEGER, "RPUSH l one two");
    DO(c, REDIS_REPLY_STATUS, "MULTI");
    DO(c, REDIS_REPLY_STATUS, "LRANGE l 0 -1");
    DO(c, REDIS_REPLY_STATUS, "GET none");
    reply = CALL(c, REDIS_REPLY_ARRAY, "EXEC");
    assert_int_equal(reply->elements, 2);
    assert_int_equal(reply->element[0]->elements, 2);
    assert_string_equal(reply->element[0]->element[1]->str, "two");
    assert_int_equal(reply->element[1]->type, REDIS_REPLY_NIL);
    freeReplyObject(reply);
    redisFree(c);
}

static void test_replies_of_resp3(void **state)
{
    redisContext *c = connect_server();
    redisReply *reply;

    (void)state;
    DO(c, REDIS_REPLY_MAP, "HELLO 3");
    DO(c, REDIS_REPLY_INTEGER, "HSET h f v");
    reply = CALL(c, REDIS_REPLY_MAP, "HGETALL h");
    assert_int_equal(reply->elements, 2);
    assert_string_equal(reply->element[1]->str, "v");
    freeReplyObject(reply);
    DO(c, REDIS_REPLY_INTEGER, "SADD s m");
    reply = CALL(c, REDIS_REPLY_SET, "SMEMBERS s");
    assert_int_equal(reply->elements, 1);
    freeReplyObject(reply);
    DO(c, REDIS_REPLY_INTEGER, "ZADD z 1.5 m");
    reply = CALL(c, REDIS_REPLY_DOUBLE, "ZSCORE z m");
    assert_true(reply->dval == 1.5);
    assert_string_equal(reply->str, "1.5");
    freeReplyObject(reply);
    reply = CALL(c, REDIS_REPLY_VERB, "CLIENT INFO");
    assert_string_equal(reply->vtype, "txt");
    assert_memory_equal(reply->str, "id=", 3);
    freeReplyObject(reply);
    reply = CALL(c, REDIS_REPLY_BOOL, "EVAL %s 0", "redis.setresp(3) return true");
    assert_int_equal(reply->integer, 1);
    freeReplyObject(reply);
    DO(c, REDIS_REPLY_NIL, "GET none");
    redisFree(c);
}

static void test_a_pipeline_is_answered_in_order(void **state)
{
    enum { COUNT = 20000 };
    redisContext *c = connect_server();

    (void)state;
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(redisAppendCommand(c, "ECHO %d", i), REDIS_OK);
    for (int i = 0; i < COUNT; i++) {
        redisReply *reply;
        char expected[16];
        assert_int_equal(redisGetReply(c, (void **)&reply), REDIS_OK);
        snprintf(expected, sizeof expected, "%d", i);
        assert_string_equal(reply->str, expected);
        freeReplyObject(reply);
    }
    assert_int_equal(sdslen(c->obuf), 0);
    redisFree(c);
}

static void test_large_values(void **state)
{
    enum { BYTES = 24 << 20 };
    redisContext *c = connect_server();
    char *value = malloc(BYTES);
    redisReply *reply;

    (void)state;
    for (size_t i = 0; i < BYTES; i++)
        value[i] = (char)(i * 7 + i / 1000);
    DO(c, REDIS_REPLY_STATUS, "SET large %b", value, (size_t)BYTES);
    assert_true(sdsalloc(c->obuf) < BYTES); /* given back */
    reply = CALL(c, REDIS_REPLY_STRING, "GET large");
    assert_int_equal(reply->len, BYTES);
    assert_memory_equal(reply->str, value, BYTES);
    freeReplyObject(reply);
    DO(c, REDIS_REPLY_STATUS, "PING");
    free(value);
    redisFree(c);
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

static void test_a_timeout_breaks_the_context_until_it_reconnects(void **state)
{
    redisContext *c = connect_server();
    redisReply *reply;

    (void)state;
    assert_int_equal(redisSetTimeout(c, (struct timeval){.tv_usec = 20000}), REDIS_OK);
    assert_int_equal(c->command_timeout->tv_usec, 20000);
    errno = 0;
    reply = redisCommand(c, "BLPOP none 10");
    assert_null(reply);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(c->err, REDIS_ERR_IO);
    assert_string_equal(c->errstr, "Resource temporarily unavailable");
    assert_null(redisCommand(c, "PING")); /* its reply would be another's */
    assert_int_equal(redisReconnect(c), REDIS_OK);
    assert_int_equal(c->err, 0);
    DO(c, REDIS_REPLY_STATUS, "PING");
    assert_int_equal(redisSetTimeout(c, (struct timeval){0}), REDIS_OK);
    assert_null(c->command_timeout);
    redisFree(c);
}

static void test_the_end_of_the_connection_is_told(void **state)
{
    redisContext *c = connect_server();
    redisContext *other = connect_server();
    redisReply *reply = CALL(c, REDIS_REPLY_INTEGER, "CLIENT ID");

    (void)state;
    DO(other, REDIS_REPLY_INTEGER, "CLIENT KILL ID %lld", reply->integer);
    freeReplyObject(reply);
    assert_null(redisCommand(c, "PING"));
    assert_true(c->err == REDIS_ERR_EOF || c->err == REDIS_ERR_IO); /* IO: the write met the reset */
    if (c->err == REDIS_ERR_EOF)
        assert_string_equal(c->errstr, "Server closed the connection");
    assert_int_equal(redisReconnect(c), REDIS_OK);
    DO(c, REDIS_REPLY_STATUS, "PING");
    redisFree(c);
    redisFree(other);
}

static void test_unix_sockets_and_foreign_descriptors(void **state)
{
    redisContext *c = redisConnectUnix(at.socket_path);
    redisFD fd;

    (void)state;
    assert_int_equal(c->err, 0);
    assert_int_equal(c->connection_type, REDIS_CONN_UNIX);
    DO(c, REDIS_REPLY_STATUS, "PING");
    assert_int_equal(redisEnableKeepAlive(c), REDIS_ERR);
    assert_int_equal(c->err, 0);
    assert_int_equal(redisReconnect(c), REDIS_OK);
    DO(c, REDIS_REPLY_STATUS, "PING");
    fd = redisFreeKeepFd(c);
    c = redisConnectFd(fd);
    assert_int_equal(c->fd, fd);
    DO(c, REDIS_REPLY_STATUS, "PING");
    assert_int_equal(redisReconnect(c), REDIS_ERR);
    assert_string_equal(c->errstr, "Not enough information to reconnect");
    redisFree(c);
    c = redisConnectUnixWithTimeout(at.socket_path, (struct timeval){.tv_sec = 2});
    DO(c, REDIS_REPLY_STATUS, "PING");
    redisFree(c);
}

static void test_connections_that_fail_say_why(void **state)
{
    char path[200];
    redisContext *c = redisConnect("127.0.0.1", free_port());

    (void)state;
    assert_int_equal(c->err, REDIS_ERR_IO);
    assert_string_equal(c->errstr, "Connection refused");
    assert_null(redisCommand(c, "PING"));
    redisFree(c);
    c = redisConnectUnix("/nowhere/at/all");
    assert_int_equal(c->err, REDIS_ERR_IO);
    assert_string_equal(c->errstr, "No such file or directory");
    redisFree(c);
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    c = redisConnectUnix(path);
    assert_string_equal(c->errstr, "File name too long");
    redisFree(c);
    c = redisConnectWithTimeout("127.0.0.1", at.port, (struct timeval){.tv_usec = 1000001});
    assert_string_equal(c->errstr, "Invalid timeout specified");
    redisFree(c);
    c = redisConnect(NULL, at.port);
    assert_int_equal(c->err, REDIS_ERR_OTHER);
    redisFree(c);
    c = redisConnect("127.0.0.1", 123456789);
    assert_int_equal(c->err, REDIS_ERR_OTHER);
    redisFree(c);
}

static void test_options_of_the_socket(void **state)
{
    redisOptions options = {.options = REDIS_OPT_REUSEADDR | REDIS_OPT_SET_SOCK_CLOEXEC | REDIS_OPT_PREFER_IP_UNSPEC};
    struct timeval timeout = {.tv_sec = 5};
    redisContext *c;

    (void)state;
    REDIS_OPTIONS_SET_TCP(&options, "127.0.0.1", at.port);
    options.endpoint.tcp.source_addr = "127.0.0.1";
    options.connect_timeout = &timeout;
    options.command_timeout = &timeout;
    c = redisConnectWithOptions(&options);
    assert_string_equal(c->errstr, "");
    assert_true(fcntl(c->fd, F_GETFD) & FD_CLOEXEC);
    DO(c, REDIS_REPLY_STATUS, "PING");
    assert_int_equal(redisEnableKeepAliveWithInterval(c, 2), REDIS_OK);
    assert_int_equal(redisSetTcpUserTimeout(c, 5000), REDIS_OK);
    redisFree(c);
    options.endpoint.tcp.source_addr = "192.0.2.1"; /* nobody's */
    c = redisConnectWithOptions(&options);
    assert_int_equal(c->err, REDIS_ERR_OTHER);
    assert_memory_equal(c->errstr, "Can't bind socket: ", 19);
    redisFree(c);
}

static void test_a_non_blocking_context_by_hand(void **state)
{
    redisContext *c = redisConnectNonBlock("127.0.0.1", at.port);
    redisReply *reply = NULL;
    int done = 0;

    (void)state;
    assert_int_equal(c->err, 0);
    assert_int_equal(redisSetTimeout(c, (struct timeval){.tv_sec = 1}), REDIS_ERR);
    assert_null(redisCommand(c, "PING")); /* appended only */
    while (!done) {
        struct pollfd entry = {.fd = c->fd, .events = POLLOUT};
        assert_int_equal(poll(&entry, 1, 5000), 1);
        assert_int_equal(redisBufferWrite(c, &done), REDIS_OK);
    }
    while (reply == NULL) {
        struct pollfd entry = {.fd = c->fd, .events = POLLIN};
        assert_int_equal(redisGetReply(c, (void **)&reply), REDIS_OK);
        if (reply == NULL) {
            assert_int_equal(poll(&entry, 1, 5000), 1);
            assert_int_equal(redisBufferRead(c), REDIS_OK);
        }
    }
    assert_string_equal(reply->str, "PONG");
    freeReplyObject(reply);
    redisFree(c);
}

static void test_a_blocking_subscriber(void **state)
{
    redisContext *c = connect_server();
    redisContext *other = connect_server();
    redisReply *reply;

    (void)state;
    DO(c, REDIS_REPLY_ARRAY, "SUBSCRIBE ch");
    DO(other, REDIS_REPLY_INTEGER, "PUBLISH ch one");
    DO(other, REDIS_REPLY_INTEGER, "PUBLISH ch two");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(redisGetReply(c, (void **)&reply), REDIS_OK);
        assert_string_equal(reply->element[2]->str, i == 0 ? "one" : "two");
        freeReplyObject(reply);
    }
    redisFree(c);
    redisFree(other);
}

static int pushes;

static void count_push(void *privdata, void *reply)
{
    assert_ptr_equal(privdata, &pushes);
    assert_true(redisIsPushReply(reply));
    pushes++;
    freeReplyObject(reply);
}

static void test_pushes_between_replies(void **state)
{
    redisContext *c = connect_server();
    redisPushFn *before;

    (void)state;
    pushes = 0;
    c->privdata = &pushes;
    DO(c, REDIS_REPLY_MAP, "HELLO 3");
    DO(c, REDIS_REPLY_STATUS, "CLIENT TRACKING ON");
    DO(c, REDIS_REPLY_NIL, "GET k");
    DO(c, REDIS_REPLY_STATUS, "SET k 1"); /* dropped */
    DO(c, REDIS_REPLY_STATUS, "PING");
    before = redisSetPushCallback(c, count_push);
    assert_non_null(before);
    DO(c, REDIS_REPLY_STRING, "GET k");
    DO(c, REDIS_REPLY_STATUS, "SET k 2");
    DO(c, REDIS_REPLY_STATUS, "PING");
    assert_int_equal(pushes, 1);
    assert_ptr_equal(redisSetPushCallback(c, before), count_push);
    redisFree(c);
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

/* True: nothing failed. */
static bool talk_with_little_memory(void)
{
    struct timeval timeout = {.tv_sec = 5};
    redisOptions options = {.connect_timeout = &timeout, .command_timeout = &timeout};
    redisReply *replies[3] = {NULL};
    redisContext *c;
    bool is_whole;

    REDIS_OPTIONS_SET_TCP(&options, "127.0.0.1", at.port);
    options.endpoint.tcp.source_addr = "127.0.0.1";
    c = redisConnectWithOptions(&options);
    if (c == NULL)
        return false;
    replies[0] = redisCommand(c, "MSET %s %b k2 %d", "k", "one", (size_t)3, 2);
    if (c->err == 0 && redisReconnect(c) == REDIS_OK)
        replies[1] = redisCommand(c, "MGET k k2");
    if (c->err == 0)
        replies[2] = redisCommandArgv(c, 1, (const char *[]){"PING"}, NULL);
    is_whole = replies[2] != NULL;
    assert_int_equal(c->err, is_whole ? 0 : REDIS_ERR_OOM);
    for (int i = 0; i < 3; i++)
        freeReplyObject(replies[i]);
    redisFree(c);
    return is_whole;
}

static void test_running_out_of_memory_anywhere(void **state)
{
    hiredisAllocFuncs functions = {failing_malloc, failing_calloc, failing_realloc, failing_strdup, free};
    bool is_whole = false;

    (void)state;
    hiredisSetAllocators(&functions);
    for (long calls = 0; !is_whole; calls++) {
        calls_left = calls;
        is_whole = talk_with_little_memory();
        assert_true(calls < 500);
    }
    hiredisResetAllocators();
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static void *count_up(void *argument)
{
    redisContext *c = redisConnect("127.0.0.1", at.port);
    intptr_t failures = c->err != 0;

    (void)argument;
    for (int i = 0; i < 500 && failures == 0; i++) {
        redisReply *reply = redisCommand(c, "INCR shared");
        failures += reply == NULL || reply->type != REDIS_REPLY_INTEGER;
        freeReplyObject(reply);
    }
    redisFree(c);
    return (void *)failures;
}

static void test_a_context_per_thread(void **state)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    redisContext *c = connect_server();
    redisReply *reply;

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failures;
        pthread_join(threads[i], &failures);
        assert_null(failures);
    }
    reply = CALL(c, REDIS_REPLY_STRING, "GET shared");
    assert_string_equal(reply->str, "2000");
    freeReplyObject(reply);
    redisFree(c);
}

/* ---- asynchronous ------------------------------------------------------------------------------------------------ */

typedef struct counts {
    redisAsyncContext *context; /* NULL when it is gone */
    int connected;
    int replies;
    int messages;
    int nulls;
    int status;
} counts;

static void on_connected(const redisAsyncContext *context, int status)
{
    ((counts *)context->data)->connected = status == REDIS_OK ? 1 : -1;
}

static void on_disconnected(const redisAsyncContext *context, int status)
{
    ((counts *)context->data)->status = status;
}

static void on_gone(void *data)
{
    ((counts *)data)->context = NULL;
}

static void on_number(redisAsyncContext *context, void *reply, void *privdata)
{
    counts *to = context->data;
    redisReply *answer = reply;

    if (answer == NULL) {
        to->nulls++;
        return;
    }
    assert_int_equal(answer->type, REDIS_REPLY_INTEGER);
    assert_int_equal(answer->integer, (intptr_t)privdata);
    to->replies++;
}

static void on_message(redisAsyncContext *context, void *reply, void *privdata)
{
    counts *to = context->data;
    redisReply *answer = reply;

    (void)privdata;
    if (answer == NULL)
        to->nulls++;
    else if (strcmp(answer->element[0]->str, "message") == 0)
        to->messages++;
}

static void connect_async(counts *to, bool is_unix)
{
    memset(to, 0, sizeof *to);
    to->status = -2;
    to->context = is_unix ? redisAsyncConnectUnix(at.socket_path) : redisAsyncConnect("127.0.0.1", at.port);
    assert_int_equal(to->context->err, 0);
    to->context->data = to;
    to->context->dataCleanup = on_gone;
    assert_int_equal(redisPollAttach(to->context), REDIS_OK);
    redisAsyncSetConnectCallback(to->context, on_connected);
    redisAsyncSetDisconnectCallback(to->context, on_disconnected);
}

static void test_async_commands(void **state)
{
    enum { COUNT = 2000 };

    (void)state;
    for (int is_unix = 0; is_unix < 2; is_unix++) {
        counts got;
        connect_async(&got, is_unix);
        assert_int_equal(redisAsyncCommand(got.context, NULL, NULL, "DEL n"), REDIS_OK);
        for (intptr_t i = 1; i <= COUNT; i++)
            assert_int_equal(redisAsyncCommand(got.context, on_number, (void *)i, "INCR n"), REDIS_OK);
        redisAsyncDisconnect(got.context);
        while (got.context != NULL)
            assert_true(redisPollTick(got.context, 10) > 0);
        assert_int_equal(got.connected, 1);
        assert_int_equal(got.replies, COUNT);
        assert_int_equal(got.status, REDIS_OK);
    }
}

static void test_async_subscriptions(void **state)
{
    enum { COUNT = 200 };
    redisContext *publisher = connect_server();

    (void)state;
    for (int protocol = 2; protocol <= 3; protocol++) {
        counts got;
        connect_async(&got, false);
        redisAsyncCommand(got.context, NULL, NULL, "HELLO %d", protocol);
        redisAsyncCommand(got.context, on_message, NULL, "SUBSCRIBE ch other");
        for (int i = 0; i < COUNT;) {
            redisReply *reply = CALL(publisher, REDIS_REPLY_INTEGER, "PUBLISH ch %d", i);
            i += reply->integer == 1; /* 0: not subscribed yet */
            freeReplyObject(reply);
            redisPollTick(got.context, 0);
        }
        while (got.messages < COUNT)
            assert_true(redisPollTick(got.context, 10) > 0);
        redisAsyncCommand(got.context, NULL, NULL, "UNSUBSCRIBE");
        redisAsyncCommand(got.context, NULL, NULL, "DEL n");
        redisAsyncCommand(got.context, on_number, (void *)1, "INCR n");
        while (got.replies == 0)
            assert_true(redisPollTick(got.context, 10) > 0);
        assert_int_equal(got.nulls, 0);
        redisAsyncFree(got.context);
        assert_int_equal(got.status, REDIS_OK);
    }
    redisFree(publisher);
}

static void test_async_ends_when_the_server_ends_it(void **state)
{
    redisContext *killer = connect_server();
    counts got;

    (void)state;
    connect_async(&got, false);
    redisAsyncCommand(got.context, NULL, NULL, "DEL n none");
    redisAsyncCommand(got.context, on_number, (void *)1, "INCR n");
    while (got.replies == 0)
        assert_true(redisPollTick(got.context, 10) > 0);
    redisAsyncCommand(got.context, on_number, (void *)1, "BLPOP none 0");
    redisPollTick(got.context, 1);
    DO(killer, REDIS_REPLY_INTEGER, "CLIENT KILL TYPE normal SKIPME yes");
    while (got.context != NULL)
        redisPollTick(got.context, 10);
    assert_int_equal(got.nulls, 1);
    assert_int_equal(got.status, REDIS_ERR);
    redisFree(killer);
}

static int run_all(const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_replies_of_resp2, flush),
        cmocka_unit_test_setup(test_replies_of_resp3, flush),
        cmocka_unit_test_setup(test_a_pipeline_is_answered_in_order, flush),
        cmocka_unit_test_setup(test_large_values, flush),
        cmocka_unit_test_setup(test_a_timeout_breaks_the_context_until_it_reconnects, flush),
        cmocka_unit_test_setup(test_the_end_of_the_connection_is_told, flush),
        cmocka_unit_test_setup(test_unix_sockets_and_foreign_descriptors, flush),
        cmocka_unit_test_setup(test_connections_that_fail_say_why, flush),
        cmocka_unit_test_setup(test_options_of_the_socket, flush),
        cmocka_unit_test_setup(test_a_non_blocking_context_by_hand, flush),
        cmocka_unit_test_setup(test_a_blocking_subscriber, flush),
        cmocka_unit_test_setup(test_pushes_between_replies, flush),
        cmocka_unit_test_setup(test_running_out_of_memory_anywhere, flush),
        cmocka_unit_test_setup(test_a_context_per_thread, flush),
        cmocka_unit_test_setup(test_async_commands, flush),
        cmocka_unit_test_setup(test_async_subscriptions, flush),
        cmocka_unit_test_setup(test_async_ends_when_the_server_ends_it, flush),
    };

    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    int failed = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: %s ROAN_PROGRAM\n", argv[0]);
        return 2;
    }
    if (!start_server(argv[1], "server")) {
        fprintf(stderr, "%s does not start\n", argv[1]);
        return 1;
    }
    failed += run_all("Roan");
    stop_server();
    if (start_server("redis-server", NULL)) {
        failed += run_all("Redis");
        stop_server();
    }
    return failed != 0;
}
