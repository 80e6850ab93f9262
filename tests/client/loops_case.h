/* tests/client/loops_case.h: what the tests of loops share: the server, handles in the kit's loop, running it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop_kit.h"
#include "base/macros.h"
#include "roan/client_commands.h"
#include "server_process.h"
#include "ticks.h"

#define K(text) ROAN_LITERAL(text)
#define RUN_MS  10000

static server_process server;
static void (*at_tick)(void); /* the test's, for every tick */
static unsigned tick_count, step_count;
static pthread_t loop_thread;

static void on_tick(void)
{
    tick_count++;
    if (at_tick != NULL)
        at_tick();
}

/* A handle for 127.0.0.1:port, attached. `query`: "&name=value..." or "". */
static roan *open_attached_to(const char *host, int port, const char *query, const roan_options *options)
{
    char uri[256];
    roan_error error;
    roan *client;

    snprintf(uri, sizeof uri, "redis://%s:%d?drive=loop%s", host, port, query);
    if (roan_open(&client, uri, options, &error) != ROAN_OK)
        fail_msg("%s: %s", uri, error.text);
    assert_int_equal(kit_attach(client), ROAN_OK);
    return client;
}

static inline roan *open_attached(const char *query)
{
    return open_attached_to("127.0.0.1", server.port, query, NULL);
}

static inline roan_status close_attached(roan *client)
{
    kit_detach(client);
    return roan_close(client, 0);
}

/* Runs the loop until *number is at least `wanted`. False: the time is up. */
static inline bool run_until(const int *number, int wanted, int timeout_ms)
{
    int64_t until_us = ticks_now_us() + (int64_t)timeout_ms * 1000;

    while (*number < wanted && ticks_now_us() < until_us) {
        kit_step();
        step_count++;
    }
    return *number >= wanted;
}

static inline void run_for(int ms)
{
    const int never = 0;

    ROAN_IGNORE(run_until(&never, 1, ms));
}

/* What came of calls. */
typedef struct tally {
    int settled, good;
    roan_status last;
    roan_failure failure;
    int64_t last_us;
    int elsewhere; /* settled on another thread than the loop's */
} tally;

static inline void on_settled(roan_future *future, void *argument)
{
    tally *of = argument;

    of->last = roan_take(future, NULL, &of->failure);
    of->last_us = ticks_now_us();
    of->elsewhere += !pthread_equal(pthread_self(), loop_thread);
    of->good += of->last >= 0;
    of->settled++;
}

static int run_loop_tests(int argc, char **argv, int (*run)(void))
{
    int result;

    if (argc < 2) {
        fprintf(stderr, "usage: %s SERVER-COMMAND ...\n", argv[0]);
        return 2;
    }
    server.command = argv + 1;
    server.port = server_free_port();
    if (!server_start(&server)) {
        fprintf(stderr, "%s does not start\n", argv[1]);
        return errno == ENOENT ? 77 : 1;
    }
    loop_thread = pthread_self();
    kit_open(on_tick);
    result = run();
    kit_close();
    server_kill(&server);
    return result;
}
