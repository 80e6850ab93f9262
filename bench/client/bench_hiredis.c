/* bench/client/bench_hiredis.c: what a GET costs a program that uses hiredis: the figure a client library is measured
 * by.
 *
 *     bench_hiredis [--port N] [--host H] [--unix PATH] [--threads T] [--depth N] [--bytes N] [--seconds S]
 *
 * Three measurements, a line each:
 *
 *     sync        T threads, one connection each, redisCommand("GET %b") in a loop
 *     pipelined   one thread appends `depth` GETs and then takes their replies, over and over
 *     argv        as pipelined, with redisAppendCommandArgv(): no format to read
 *
 * with the commands per second, the client's processor time per command (user and system, getrusage) and the median and
 * 99th percentile of a round (one command, or one pipeline). Every reply's type and length are looked at.
 *
 * The same source measures the original and libroan-hiredis:
 *
 *     cc -O2 bench_hiredis.c -o bench_hiredis -lhiredis -lpthread
 *     cc -O2 -Iinclude/roan-hiredis bench_hiredis.c -o bench_roan_hiredis -lroan-hiredis -lpthread */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <hiredis/hiredis.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define THREADS_MAX 64
#define ROUNDS_MAX  (1 << 22) /* durations kept per thread; later ones are not */
#define KEY         "bench:hiredis"

typedef struct options {
    const char *host;
    const char *path;
    int port;
    int threads;
    int depth;
    size_t bytes;
    double seconds;
} options;

static options opt = {.host = "127.0.0.1", .port = 6379, .threads = 4, .depth = 100, .bytes = 64, .seconds = 3};
static atomic_bool is_over;

typedef struct worker {
    pthread_t thread;
    redisContext *context;
    uint64_t commands;
    uint32_t *round_ns;
    size_t rounds;
} worker;

static void die(const char *what, const redisContext *context)
{
    fprintf(stderr, "%s: %s\n", what, context != NULL ? context->errstr : "out of memory");
    exit(1);
}

static redisContext *connect_server(void)
{
    redisContext *context = opt.path != NULL ? redisConnectUnix(opt.path) : redisConnect(opt.host, opt.port);

    if (context == NULL || context->err != 0)
        die("cannot connect", context);
    return context;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void end_round(worker *self, uint64_t started)
{
    uint64_t took = now_ns() - started;

    if (self->rounds < ROUNDS_MAX)
        self->round_ns[self->rounds++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

static void check(redisContext *context, redisReply *reply)
{
    if (reply == NULL)
        die("no reply", context);
    if (reply->type != REDIS_REPLY_STRING || reply->len != opt.bytes)
        die("the reply is not the value", context);
    freeReplyObject(reply);
}

/* ---- the loops --------------------------------------------------------------------------------------------------- */

static void *run_sync(void *argument)
{
    worker *self = argument;

    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        uint64_t started = now_ns();
        check(self->context, redisCommand(self->context, "GET %b", KEY, sizeof KEY - 1));
        self->commands++;
        end_round(self, started);
    }
    return NULL;
}

static void take_pipeline(worker *self, uint64_t started)
{
    for (int i = 0; i < opt.depth; i++) {
        redisReply *reply = NULL;
        if (redisGetReply(self->context, (void **)&reply) != REDIS_OK)
            die("no reply", self->context);
        check(self->context, reply);
    }
    self->commands += (uint64_t)opt.depth;
    end_round(self, started);
}

static void *run_pipelined(void *argument)
{
    worker *self = argument;

    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        uint64_t started = now_ns();
        for (int i = 0; i < opt.depth; i++)
            if (redisAppendCommand(self->context, "GET %b", KEY, sizeof KEY - 1) != REDIS_OK)
                die("cannot append", self->context);
        take_pipeline(self, started);
    }
    return NULL;
}

static void *run_argv(void *argument)
{
    static const char *words[] = {"GET", KEY};
    static const size_t lengths[] = {3, sizeof KEY - 1};
    worker *self = argument;

    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        uint64_t started = now_ns();
        for (int i = 0; i < opt.depth; i++)
            if (redisAppendCommandArgv(self->context, 2, words, lengths) != REDIS_OK)
                die("cannot append", self->context);
        take_pipeline(self, started);
    }
    return NULL;
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static double processor_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int compare_ns(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one;
    uint32_t b = *(const uint32_t *)other;

    return (a > b) - (a < b);
}

static void report(const char *name, const worker *workers, int count, double seconds, double processor)
{
    uint64_t commands = 0;
    size_t rounds = 0;
    uint32_t *all;

    for (int i = 0; i < count; i++) {
        commands += workers[i].commands;
        rounds += workers[i].rounds;
    }
    all = malloc((rounds + 1) * sizeof *all);
    if (all == NULL || rounds == 0)
        die("nothing to report", NULL);
    rounds = 0;
    for (int i = 0; i < count; i++) {
        memcpy(all + rounds, workers[i].round_ns, workers[i].rounds * sizeof *all);
        rounds += workers[i].rounds;
    }
    qsort(all, rounds, sizeof *all, compare_ns);
    printf(
        "%-10s threads %2d depth %4d  %9.0f commands/s  %7.0f ns client CPU/command  round p50 %8.1f us  p99 %8.1f us\n",
        name, count, strcmp(name, "sync") == 0 ? 1 : opt.depth, (double)commands / seconds,
        processor * 1e9 / (double)commands, all[rounds / 2] / 1e3, all[rounds * 99 / 100] / 1e3);
    fflush(stdout);
    free(all);
}

static void measure(const char *name, void *(*loop)(void *), int count)
{
    worker workers[THREADS_MAX] = {0};
    double processor;
    uint64_t started;

    for (int i = 0; i < count; i++) {
        workers[i].context = connect_server();
        workers[i].round_ns = malloc(ROUNDS_MAX * sizeof *workers[i].round_ns);
        if (workers[i].round_ns == NULL)
            die("cannot start", NULL);
    }
    atomic_store(&is_over, false);
    processor = processor_seconds();
    started = now_ns();
    for (int i = 0; i < count; i++)
        if (pthread_create(&workers[i].thread, NULL, loop, &workers[i]) != 0)
            die("cannot start a thread", NULL);
    nanosleep(&(struct timespec){.tv_sec = (time_t)opt.seconds,
                                 .tv_nsec = (long)((opt.seconds - (double)(time_t)opt.seconds) * 1e9)},
              NULL);
    atomic_store(&is_over, true);
    for (int i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    processor = processor_seconds() - processor;
    report(name, workers, count, (double)(now_ns() - started) / 1e9, processor);
    for (int i = 0; i < count; i++) {
        redisFree(workers[i].context);
        free(workers[i].round_ns);
    }
}

static void store_value(void)
{
    redisContext *context = connect_server();
    char *value = calloc(1, opt.bytes + 1);
    redisReply *reply;

    if (value == NULL)
        die("cannot start", NULL);
    memset(value, 'v', opt.bytes);
    reply = redisCommand(context, "SET %s %b", KEY, value, opt.bytes);
    if (reply == NULL || reply->type != REDIS_REPLY_STATUS)
        die("SET failed", context);
    freeReplyObject(reply);
    free(value);
    redisFree(context);
}

/* The number behind a flag, at least `min` and at most `max`. */
static double number(const char *flag, const char *text, double min, double max)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= min && value <= max)) {
        fprintf(stderr, "%s %s: a number from %g to %g\n", flag, text, min, max);
        exit(2);
    }
    return value;
}

static void read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        const char *flag = argv[i];
        const char *value = argv[i + 1]; /* NULL at the end */
        if (value == NULL) {
            fprintf(stderr,
                    "usage: %s [--host H] [--port N] [--unix PATH] [--threads T] [--depth N] [--bytes N] "
                    "[--seconds S]\n",
                    argv[0]);
            exit(2);
        }
        if (strcmp(flag, "--host") == 0)
            opt.host = value;
        else if (strcmp(flag, "--unix") == 0)
            opt.path = value;
        else if (strcmp(flag, "--port") == 0)
            opt.port = (int)number(flag, value, 1, 65535);
        else if (strcmp(flag, "--threads") == 0)
            opt.threads = (int)number(flag, value, 1, THREADS_MAX);
        else if (strcmp(flag, "--depth") == 0)
            opt.depth = (int)number(flag, value, 1, 1000000);
        else if (strcmp(flag, "--bytes") == 0)
            opt.bytes = (size_t)number(flag, value, 0, 1e9);
        else if (strcmp(flag, "--seconds") == 0)
            opt.seconds = number(flag, value, 0.1, 3600);
        else {
            fprintf(stderr, "%s: no such option\n", flag);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    store_value();
    measure("sync", run_sync, opt.threads);
    measure("pipelined", run_pipelined, 1);
    measure("argv", run_argv, 1);
    return 0;
}
