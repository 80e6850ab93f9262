/* bench/client/measure.h: what the benchmarks of a client library have in common: options, threads that run for so long,
 * and the line that is printed. Included once by each program (bench_hiredis.c, bench_roan.c).
 *
 * A program gives workers a loop; each worker counts its commands in `commands` and calls end_round() after each round
 * trip or pipeline. A measurement is a line:
 *
 *     NAME  threads T depth N  R commands/s  C ns client CPU/command  round p50 .. us  p99 .. us
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define THREADS_MAX 256
#define ROUNDS_MAX  (1 << 22) /* durations kept, of all threads together; later ones are not */
#define KEY         "bench:hiredis"

typedef struct options {
    const char *host;
    const char *path;
    const char *only;  /* the one measurement to do, or NULL: all */
    const char *drive; /* of libroan: auto, thread, loop */
    int port;
    int threads;
    int depth;
    size_t bytes;
    double seconds;
} options;

static options opt = {
    .host = "127.0.0.1", .drive = "auto", .port = 6379, .threads = 4, .depth = 100, .bytes = 64, .seconds = 3};
static atomic_bool is_over;

typedef struct worker {
    pthread_t thread;
    void *connection; /* the library's */
    uint64_t commands;
    uint32_t *round_ns;
    size_t rounds, rounds_max;
} worker;

static worker workers[THREADS_MAX];

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool must_go_on(void)
{
    return !atomic_load_explicit(&is_over, memory_order_relaxed);
}

static void end_round(worker *self, uint64_t started)
{
    uint64_t took = now_ns() - started;

    if (self->rounds < self->rounds_max)
        self->round_ns[self->rounds++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

/* User and system time of the whole program. */
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

static void report(const char *name, int count, int depth, double seconds, double processor)
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
        die(name, "nothing to report");
    rounds = 0;
    for (int i = 0; i < count; i++) {
        memcpy(all + rounds, workers[i].round_ns, workers[i].rounds * sizeof *all);
        rounds += workers[i].rounds;
    }
    qsort(all, rounds, sizeof *all, compare_ns);
    printf(
        "%-10s threads %2d depth %4d  %9.0f commands/s  %7.0f ns client CPU/command  round p50 %8.1f us  p99 %8.1f us\n",
        name, count, depth, (double)commands / seconds, processor * 1e9 / (double)commands, all[rounds / 2] / 1e3,
        all[rounds * 99 / 100] / 1e3);
    fflush(stdout);
    free(all);
}

static void nap(double seconds)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)},
              NULL);
}

/* Shall this one be done? */
static bool is_chosen(const char *name)
{
    return opt.only == NULL || strcmp(opt.only, name) == 0;
}

/* Runs `loop` in `count` threads; connect() makes each one's connection and disconnect() ends it. Depth is that of the
 * line only. */
static void measure(const char *name, void *(*loop)(void *), int count, int depth, void *(*connect)(void),
                    void (*disconnect)(void *connection))
{
    double processor;
    uint64_t started;

    memset(workers, 0, sizeof workers);
    for (int i = 0; i < count; i++) {
        workers[i].connection = connect();
        workers[i].rounds_max = ROUNDS_MAX / (size_t)count;
        workers[i].round_ns = malloc(workers[i].rounds_max * sizeof *workers[i].round_ns);
        if (workers[i].round_ns == NULL)
            die(name, "out of memory");
    }
    atomic_store(&is_over, false);
    processor = processor_seconds();
    started = now_ns();
    for (int i = 0; i < count; i++)
        if (pthread_create(&workers[i].thread, NULL, loop, &workers[i]) != 0)
            die(name, "cannot start a thread");
    nap(opt.seconds);
    atomic_store(&is_over, true);
    for (int i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    processor = processor_seconds() - processor;
    report(name, count, depth, (double)(now_ns() - started) / 1e9, processor);
    for (int i = 0; i < count; i++) {
        disconnect(workers[i].connection);
        free(workers[i].round_ns);
    }
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

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

static void usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [--host H] [--port N] [--unix PATH] [--threads T] [--depth N] [--bytes N] [--seconds S] "
            "[--only NAME] [--drive auto|thread|loop]\n",
            program);
    exit(2);
}

static void read_option(const char *flag, const char *value)
{
    if (strcmp(flag, "--host") == 0)
        opt.host = value;
    else if (strcmp(flag, "--unix") == 0)
        opt.path = value;
    else if (strcmp(flag, "--only") == 0)
        opt.only = value;
    else if (strcmp(flag, "--drive") == 0)
        opt.drive = value;
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

static void read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        if (argv[i + 1] == NULL)
            usage(argv[0]);
        read_option(argv[i], argv[i + 1]);
    }
}
