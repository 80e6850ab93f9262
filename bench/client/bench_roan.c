/* bench/client/bench_roan.c: what a GET costs a program that uses libroan; the counterpart of bench_hiredis.c, with the
 * same options and the same output.
 *
 *     bench_roan [--port N] [--host H] [--unix PATH] [--threads T] [--depth N] [--bytes N] [--seconds S]
 *                [--drive auto|thread|loop] [--only NAME]
 *
 * Five measurements, a line each:
 *
 *     sync        T threads, one handle, roan_do(GET) in a loop
 *     pipelined   one thread begins `depth` GETs (roan_go) and then takes their results (roan_take), over and over
 *     batch       as pipelined, with a roan_batch of `depth` GETs
 *     window      one thread keeps `depth` GETs under way: takes the oldest and begins another
 *     callbacks   `depth` GETs are under way, the callback of each begins the next (roan_then); the program's thread
 *                 sleeps, or with --drive loop turns the handle
 *
 * With --drive loop only the last one is measured: nobody turns the loop of the others. A round of `window` and
 * `callbacks` is `depth` commands. Every reply's type and length are looked at.
 *
 *     cc -O2 bench_roan.c -o bench_roan -lroan -lpthread */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "measure.h"

#include <roan/batch.h>
#include <roan/client.h>

#define URI_BYTES 512
#define DRAIN_MS  5000
#define TURN_MS   50

static roan *handle;
static const roan_slice get_words[] = {ROAN_LITERAL("GET"), ROAN_LITERAL(KEY)};

static void die_with(const char *what)
{
    die(what, roan_last_failure()->text);
}

static void check(roan_status status, roan_value *reply, const char *why)
{
    if (status != ROAN_OK)
        die("no reply", status == ROAN_NIL ? "there is no value" : why);
    if (reply->type != ROAN_REPLY_BULK || reply->text.bytes != opt.bytes)
        die("the reply is not the value", "");
    roan_value_free(reply);
}

static void take(roan_future *future)
{
    roan_failure failure; /* filled when there is one */
    roan_value *reply;
    roan_status status = roan_take(future, &reply, &failure);

    check(status, reply, status == ROAN_OK ? "" : failure.text);
}

/* ---- the loops --------------------------------------------------------------------------------------------------- */

static void *run_sync(void *argument)
{
    worker *self = argument;

    while (must_go_on()) {
        uint64_t started = now_ns();
        roan_value *reply;
        roan_status status = roan_do(handle, 2, get_words, &reply, NULL);
        check(status, reply, status == ROAN_OK ? "" : roan_last_failure()->text);
        self->commands++;
        end_round(self, started);
    }
    return NULL;
}

static roan_future **futures_of_depth(void)
{
    roan_future **futures = calloc((size_t)opt.depth, sizeof *futures);

    if (futures == NULL)
        die("cannot start", "out of memory");
    return futures;
}

static void *run_pipelined(void *argument)
{
    worker *self = argument;
    roan_future **futures = futures_of_depth();

    while (must_go_on()) {
        uint64_t started = now_ns();
        for (int i = 0; i < opt.depth; i++)
            futures[i] = roan_go(handle, 2, get_words, NULL);
        for (int i = 0; i < opt.depth; i++)
            take(futures[i]);
        self->commands += (uint64_t)opt.depth;
        end_round(self, started);
    }
    free(futures);
    return NULL;
}

static void *run_batch(void *argument)
{
    worker *self = argument;

    while (must_go_on()) {
        uint64_t started = now_ns();
        roan_batch *batch = roan_batch_create(handle, false);
        roan_value *replies;
        for (int i = 0; i < opt.depth; i++)
            roan_batch_add(batch, 2, get_words);
        if (roan_batch_run(batch, &replies, NULL) != ROAN_OK)
            die_with("no replies");
        for (size_t i = 0; i < replies->count; i++)
            if (replies->elements[i].type != ROAN_REPLY_BULK || replies->elements[i].text.bytes != opt.bytes)
                die("the reply is not the value", "");
        self->commands += replies->count;
        roan_value_free(replies);
        end_round(self, started);
    }
    return NULL;
}

static void *run_window(void *argument)
{
    worker *self = argument;
    roan_future **futures = futures_of_depth();

    for (int i = 0; i < opt.depth; i++)
        futures[i] = roan_go(handle, 2, get_words, NULL);
    while (must_go_on()) {
        uint64_t started = now_ns();
        for (int i = 0; i < opt.depth; i++) {
            take(futures[i]);
            futures[i] = roan_go(handle, 2, get_words, NULL);
        }
        self->commands += (uint64_t)opt.depth;
        end_round(self, started);
    }
    for (int i = 0; i < opt.depth; i++)
        take(futures[i]);
    free(futures);
    return NULL;
}

/* ---- callbacks --------------------------------------------------------------------------------------------------- */

typedef struct chain {
    worker *self;
    uint64_t count;
    uint64_t round_started;
    _Atomic int under_way;
} chain;

/* Callbacks of one handle run one at a time here: one link, one driver. */
static void go_on(roan_future *future, void *argument)
{
    chain *all = argument;

    take(future);
    all->self->commands++;
    if (++all->count % (uint64_t)opt.depth == 0) {
        end_round(all->self, all->round_started);
        all->round_started = now_ns();
    }
    if (must_go_on())
        roan_then(roan_go(handle, 2, get_words, NULL), go_on, all);
    else
        atomic_fetch_sub(&all->under_way, 1);
}

static void *run_callbacks(void *argument)
{
    chain all = {.self = argument, .round_started = now_ns(), .under_way = opt.depth};
    bool turns = strcmp(opt.drive, "loop") == 0;

    for (int i = 0; i < opt.depth; i++)
        roan_then(roan_go(handle, 2, get_words, NULL), go_on, &all);
    while (atomic_load(&all.under_way) > 0)
        if (!turns)
            nap(0.002);
        else if (roan_turn(handle, TURN_MS) != ROAN_OK)
            die_with("cannot turn");
    return NULL;
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static void *the_handle(void)
{
    return handle;
}

static void keep_handle(void *unused)
{
    (void)unused;
}

static void open_handle(void)
{
    char uri[URI_BYTES];
    roan_error error;

    if (opt.path != NULL)
        snprintf(uri, sizeof uri, "unix://%s?drive=%s", opt.path, opt.drive);
    else
        snprintf(uri, sizeof uri, "redis://%s:%d?drive=%s", opt.host, opt.port, opt.drive);
    if (roan_open(&handle, uri, NULL, &error) != ROAN_OK)
        die(uri, error.text);
    if (roan_ready(handle, -1) != ROAN_OK)
        die_with("cannot connect");
}

static void store_value(void)
{
    char *value = calloc(1, opt.bytes + 1);
    roan_slice words[] = {ROAN_LITERAL("SET"), ROAN_LITERAL(KEY), {value, opt.bytes}};

    if (value == NULL)
        die("cannot start", "out of memory");
    memset(value, 'v', opt.bytes);
    if (roan_do(handle, 3, words, NULL, NULL) != ROAN_OK)
        die_with("SET failed");
    free(value);
}

int main(int argc, char **argv)
{
    bool is_loop;

    read_options(argc, argv);
    is_loop = strcmp(opt.drive, "loop") == 0;
    open_handle();
    store_value();
    if (!is_loop && is_chosen("sync"))
        measure("sync", run_sync, opt.threads, 1, the_handle, keep_handle);
    if (!is_loop && is_chosen("pipelined"))
        measure("pipelined", run_pipelined, 1, opt.depth, the_handle, keep_handle);
    if (!is_loop && is_chosen("batch"))
        measure("batch", run_batch, 1, opt.depth, the_handle, keep_handle);
    if (!is_loop && is_chosen("window"))
        measure("window", run_window, 1, opt.depth, the_handle, keep_handle);
    if (is_chosen("callbacks"))
        measure("callbacks", run_callbacks, 1, opt.depth, the_handle, keep_handle);
    return roan_close(handle, DRAIN_MS) == ROAN_OK ? 0 : 1;
}
