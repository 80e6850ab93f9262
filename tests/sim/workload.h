/* workload.h: what the clients of the simulation send: lines of words, made from a random source. */
#ifndef ROAN_TEST_WORKLOAD_H
#define ROAN_TEST_WORKLOAD_H

#include "base/random.h"

#include <stdbool.h>
#include <stddef.h>

#define WORKLOAD_LINE_MAX 256
#define WORKLOAD_KINDS "slhzex" /* first letters of keys, by type */
#define WORKLOAD_TYPES 6

/* What kinds of requests there are in one run. */
typedef struct workload {
    roan_random *random;
    unsigned keys;         /* names per type */
    unsigned alone;        /* requests that run alone, per thousand */
    unsigned transactions; /* per thousand */
    unsigned blocking;     /* per thousand */
    unsigned session_count;
    bool has_expiry;       /* keys live for a few milliseconds */
    unsigned values;       /* so far: no value comes twice */
} workload;

/* Where a client is: in a transaction, or about to begin one. */
typedef struct workload_client {
    unsigned left;      /* requests before EXEC; 0: none is open */
    bool is_in_multi;
} workload_client;

/* Writes the client's next request. */
void workload_next(workload *workload, workload_client *client, char line[WORKLOAD_LINE_MAX]);

/* The request may give a key another type than its name says (or is an EXEC that may have such ones in it). */
bool workload_mixes(const char *line);

/* Brings the client out of a transaction; false: it is in none, nothing was written. */
bool workload_end(workload_client *client, char line[WORKLOAD_LINE_MAX]);

#endif
