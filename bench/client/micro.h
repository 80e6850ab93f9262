/* bench/client/micro.h: timing of small functions, and the replies that micro.c and micro_hiredis.c both read. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS         15 /* the least one counts: whatever disturbs makes it slower */
#define RUN_NS       20000000.0
#define PIECE_BYTES  16384
#define STREAM_BYTES (1 << 20)

static const char key[] = "bench:client:key:0001"; /* 21 bytes */
static char value[64];

static double micro_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The least time of one of `per_call` things that fn() does; printed. */
static void time_it(const char *name, void (*fn)(void *argument), void *argument, double per_call)
{
    double best = 1e18;
    double started;
    long calls = 1;

    do { /* how many calls fill a run */
        calls *= 2;
        started = micro_now_ns();
        for (long i = 0; i < calls; i++)
            fn(argument);
    } while (micro_now_ns() - started < RUN_NS / 4);
    for (int run = 0; run < RUNS; run++) {
        started = micro_now_ns();
        for (long i = 0; i < calls; i++)
            fn(argument);
        double took = (micro_now_ns() - started) / (double)calls / per_call;
        best = took < best ? took : best;
    }
    printf("%-40s %10.1f ns\n", name, best);
    fflush(stdout);
}

/* ---- replies ---- */

/* Many times the same reply. */
typedef struct replies {
    char *data;
    size_t bytes;
    size_t count;
} replies;

static void add_bulk(char **at, size_t bytes)
{
    *at += sprintf(*at, "$%zu\r\n", bytes);
    memset(*at, 'v', bytes);
    *at += bytes;
    *(*at)++ = '\r';
    *(*at)++ = '\n';
}

enum { REPLY_OK, REPLY_INTEGER, REPLY_16, REPLY_1024, REPLY_ARRAY, REPLY_KINDS };
static const char *const reply_names[REPLY_KINDS] = {"parse +OK", "parse an integer", "parse 16 B", "parse 1 KiB",
                                                     "parse an array of 100 x 16 B"};

static replies replies_of_kind(int kind)
{
    replies all = {.data = malloc(STREAM_BYTES)};
    char *at = all.data;

    if (at == NULL)
        exit(1);
    while (at - all.data < STREAM_BYTES - 8192) {
        if (kind == REPLY_OK)
            at += sprintf(at, "+OK\r\n");
        else if (kind == REPLY_INTEGER)
            at += sprintf(at, ":1234567\r\n");
        else if (kind == REPLY_16 || kind == REPLY_1024)
            add_bulk(&at, kind == REPLY_16 ? 16 : 1024);
        else {
            at += sprintf(at, "*100\r\n");
            for (int i = 0; i < 100; i++)
                add_bulk(&at, 16);
        }
        all.count++;
    }
    all.bytes = (size_t)(at - all.data);
    return all;
}
