/* A test of one adapter of libroan-hiredis in its event loop, against a running server.
 *
 *     test_hiredis_adapters_LOOP ROAN_PROGRAM
 *
 * Compiled once per event library that is installed, with ADAPTER_LOOP defined. Commands in both directions, a
 * message, a time-out that fires while the server is silent, and a connection that the server ends: after each the
 * loop must run empty by itself, which it does only when the adapter gives back all it registered. Exit status 0: all
 * is well.
 */
#include "hiredis/async.h"

#if defined(ADAPTER_LIBUV)
#include "hiredis/adapters/libuv.h"
#define ATTACH(context) redisLibuvAttach(context, uv_default_loop())
#define RUN()           uv_run(uv_default_loop(), UV_RUN_DEFAULT)
#elif defined(ADAPTER_LIBEV)
#include "hiredis/adapters/libev.h"
#define ATTACH(context) redisLibevAttach(ev_default_loop(0), context)
#define RUN()           ev_run(ev_default_loop(0), 0)
#elif defined(ADAPTER_LIBEVENT)
#include "hiredis/adapters/libevent.h"
static struct event_base *base;
#define ATTACH(context) redisLibeventAttach(context, base)
#define RUN()           event_base_dispatch(base)
#elif defined(ADAPTER_GLIB)
#include "hiredis/adapters/glib.h"
static GMainLoop *main_loop;
static int attach(redisAsyncContext *context)
{
    GSource *source = redis_source_new(context);

    if (source == NULL)
        return REDIS_ERR;
    g_source_attach(source, NULL);
    g_source_unref(source);
    return REDIS_OK;
}
#define ATTACH(context) attach(context)
#define RUN()           g_main_loop_run(main_loop)
#endif

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS           2000
#define VALUE_BYTES        (1 << 20)
#define START_ATTEMPTS_MAX 1000 /* 10 ms apart */
#define SECONDS_MAX        60

static int port;
static int answers, messages, nulls, disconnects, last_status, last_err;

#define REQUIRE(condition)                                                   \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fprintf(stderr, "failed: %s (line %d)\n", #condition, __LINE__); \
            exit(1);                                                         \
        }                                                                    \
    } while (0)

/* ---- the server -------------------------------------------------------------------------------------------------- */

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    REQUIRE(bind(fd, (struct sockaddr *)&address, bytes) == 0);
    REQUIRE(getsockname(fd, (struct sockaddr *)&address, &bytes) == 0);
    close(fd);
    return ntohs(address.sin_port);
}

static pid_t start_server(const char *program, char *folder)
{
    char number[16];
    pid_t pid;

    REQUIRE(mkdtemp(folder) != NULL);
    port = free_port();
    snprintf(number, sizeof number, "%d", port);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (freopen("/dev/null", "w", stdout) != NULL)
            execl(program, program, "server", "--port", number, "--dir", folder, "--save", "", (char *)NULL);
        _exit(127);
    }
    for (int attempt = 0; attempt < START_ATTEMPTS_MAX; attempt++) {
        redisContext *context = redisConnect("127.0.0.1", port);
        redisReply *reply = redisCommand(context, "PING");
        int is_ready = reply != NULL;
        freeReplyObject(reply);
        redisFree(context);
        if (is_ready)
            return pid;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fprintf(stderr, "%s does not start\n", program);
    exit(1);
}

/* ---- callbacks --------------------------------------------------------------------------------------------------- */

static void on_disconnect(const redisAsyncContext *context, int status)
{
    disconnects++;
    last_status = status;
    last_err = context->err;
}

static void on_gone(void *data)
{
    (void)data;
#if defined(ADAPTER_GLIB)
    g_main_loop_quit(main_loop); /* GLib's loop does not end by itself */
#endif
}

static void on_answer(redisAsyncContext *context, void *reply, void *privdata)
{
    (void)context;
    (void)privdata;
    answers += reply != NULL;
    nulls += reply == NULL;
}

static void on_last(redisAsyncContext *context, void *reply, void *privdata)
{
    on_answer(context, reply, privdata);
    redisAsyncDisconnect(context);
}

static void on_message(redisAsyncContext *context, void *reply, void *privdata)
{
    redisReply *parts = reply;
    const char *word = parts == NULL ? "" : parts->element[0]->str;

    (void)privdata;
    if (strcmp(word, "subscribe") == 0) {
        redisContext *publisher = redisConnect("127.0.0.1", port);
        freeReplyObject(redisCommand(publisher, "PUBLISH ch hello"));
        redisFree(publisher);
    } else if (strcmp(word, "message") == 0) {
        messages++;
        redisAsyncFree(context);
    }
}

static redisAsyncContext *connect_async(void)
{
    redisAsyncContext *context = redisAsyncConnect("127.0.0.1", port);

    REQUIRE(context != NULL && context->err == 0);
    REQUIRE(ATTACH(context) == REDIS_OK);
    REQUIRE(ATTACH(context) != REDIS_OK);
    REQUIRE(redisAsyncSetDisconnectCallback(context, on_disconnect) == REDIS_OK);
    context->data = &answers;
    context->dataCleanup = on_gone;
    answers = messages = nulls = disconnects = 0;
    return context;
}

/* ---- what must work ---------------------------------------------------------------------------------------------- */

static void test_commands(void)
{
    redisAsyncContext *context = connect_async();
    char *value = calloc(1, VALUE_BYTES);

    REQUIRE(value != NULL);
    for (int i = 0; i < COMMANDS; i++)
        redisAsyncCommand(context, on_answer, NULL, "INCR n");
    for (int i = 0; i < 8; i++)
        redisAsyncCommand(context, on_answer, NULL, "ECHO %b", value, (size_t)VALUE_BYTES);
    redisAsyncCommand(context, on_last, NULL, "PING");
    free(value);
    RUN();
    REQUIRE(answers == COMMANDS + 9 && nulls == 0);
    REQUIRE(disconnects == 1 && last_status == REDIS_OK);
}

static void test_message(void)
{
    redisAsyncCommand(connect_async(), on_message, NULL, "SUBSCRIBE ch");
    RUN();
    REQUIRE(messages == 1 && disconnects == 1 && last_status == REDIS_OK);
}

static void test_timeout(void)
{
    redisAsyncContext *context = connect_async();

    redisAsyncSetTimeout(context, (struct timeval){.tv_usec = 30000});
    redisAsyncCommand(context, on_answer, NULL, "BLPOP none 0");
    RUN();
    REQUIRE(answers == 0 && nulls == 1);
    REQUIRE(disconnects == 1 && last_status == REDIS_ERR && last_err == REDIS_ERR_TIMEOUT);
}

static void test_end(void)
{
    redisAsyncContext *context = connect_async();

    redisAsyncCommand(context, on_answer, NULL, "QUIT");
    redisAsyncCommand(context, on_answer, NULL, "PING");
    RUN();
    REQUIRE(answers == 1 && nulls == 1);
    REQUIRE(disconnects == 1 && last_status == REDIS_ERR);
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/test-hiredis-adapters-XXXXXX";
    pid_t pid;

    if (argc != 2) {
        fprintf(stderr, "usage: %s ROAN_PROGRAM\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    alarm(SECONDS_MAX); /* a loop that never runs empty */
    pid = start_server(argv[1], folder);
#if defined(ADAPTER_LIBEVENT)
    base = event_base_new();
#elif defined(ADAPTER_GLIB)
    main_loop = g_main_loop_new(NULL, FALSE);
#endif
    test_commands();
    test_message();
    test_timeout();
    test_end();
#if defined(ADAPTER_LIBEVENT)
    event_base_free(base);
#elif defined(ADAPTER_GLIB)
    g_main_loop_unref(main_loop);
#elif defined(ADAPTER_LIBUV)
    REQUIRE(uv_loop_close(uv_default_loop()) == 0); /* no handle is left */
#endif
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    rmdir(folder);
    printf("4 passed, 0 failed, 0 skipped\n");
    return 0;
}
