/* cli/bench_request.h: requests built once and sent many times with new numbers in them. */
#pragma once

#include "roan/base.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Kind 0 is __rand_int__ (a number per place); kinds 1 to 9 are __rand_1st__ ... __rand_9th__ (a
 * number per unit, the same at all its places). */
#define ROAN_BENCH_NUMBER_KINDS 10
#define ROAN_BENCH_NUMBER_BYTES 12

typedef struct roan_bench_place {
    size_t offset; /* of the first of 12 digits, from the start of the unit */
    unsigned kind;
} roan_bench_place;

/* The bytes of one unit: one request, or all requests of a sequence. Constant once built, so
 * threads share it. Zero-initialise before building; free with roan_bench_request_done. */
typedef struct roan_bench_request {
    char *bytes;
    size_t bytes_count;
    unsigned replies;               /* requests in the unit, each answered once */
    roan_bench_place *places;       /* in order of offset */
    size_t places_count;
    unsigned places_of_kind[ROAN_BENCH_NUMBER_KINDS];
} roan_bench_request;

/* How a request is built. */
typedef struct roan_bench_shape {
    roan_slice data;  /* what __data__ stands for */
    bool has_numbers; /* with -r: placeholders become digits */
} roan_bench_shape;

/* Appends a line ("PING\r\n"). */
roan_status roan_bench_request_add_line(roan_bench_request *request, roan_slice line)
    ROAN_MUST_CHECK;

/* Appends a request from words separated by single spaces (see bench_tests.c for '|'). */
roan_status roan_bench_request_add_text(roan_bench_request *request, const char *words,
                                        const roan_bench_shape *shape) ROAN_MUST_CHECK;

/* Appends the user's words: requests separated by ";", each may have a repeat count in front. */
roan_status roan_bench_request_add_words(roan_bench_request *request, size_t count,
                                         const roan_slice *words, const roan_bench_shape *shape,
                                         roan_error *reterr) ROAN_MUST_CHECK;

/* Frees everything; the request is empty and usable again. */
void roan_bench_request_done(roan_bench_request *request);

/* Where the numbers of one thread come from. `counters` (ROAN_BENCH_NUMBER_KINDS of them, shared by
 * all threads) is NULL for random numbers. */
typedef struct roan_bench_numbers {
    uint64_t state;
    uint64_t keyspace; /* numbers are below it; 0 and 1 always give 0 */
    _Atomic uint64_t *counters;
} roan_bench_numbers;

/* Writes new numbers into `units` consecutive copies of the unit. Every place must hold 12 digits
 * from an earlier call or from the build. */
void roan_bench_request_patch(const roan_bench_request *request, roan_bench_numbers *numbers,
                              char *copies, size_t units);
