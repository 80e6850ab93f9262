/* cli/bench_options.h: what the command line of `roan bench` says. */
#pragma once

#include "roan/base.h"

#include <stdbool.h>

#define ROAN_BENCH_THREADS_MAX 500
#define ROAN_BENCH_PIPELINE_MAX 100000
#define ROAN_BENCH_DATA_BYTES_MAX (1024L * 1024 * 1024)
#define ROAN_BENCH_KEYSPACE_MAX 1000000000000L /* placeholders are 12 digits wide */

struct roan_cli_options;

/* Plain values after parsing; texts point into argv or into uri_parts. */
typedef struct roan_bench_options {
    const char *host;
    long port;
    const char *socket_path; /* NULL: TCP */
    const char *user;        /* NULL: the default user */
    const char *password;    /* NULL: no AUTH */
    const char *uri;
    struct roan_cli_options *uri_parts; /* what the texts point into after -u; owned */
    long clients;
    long requests;
    double duration_s;       /* 0: -n counts */
    double warmup_s;
    long data_bytes;
    long database;
    bool is_resp3;
    long threads;            /* 0: --threads was not given, one is used */
    bool is_tracking;
    long keep_alive;
    long keyspace;           /* -1: no -r, placeholders stay as they are */
    bool is_sequential;
    long pipeline;
    bool is_quiet;
    bool is_csv;
    long precision;          /* decimal places of printed latencies */
    bool is_loop;
    const char *tests;       /* -t, NULL: the default list */
    bool is_idle;
    bool has_stdin_argument; /* -x */
    long rps;                /* 0: as fast as possible */
    long seed;
    const char *plot_path;
    int command_argc;        /* 0: the built-in tests */
    char **command_argv;
} roan_bench_options;

typedef enum roan_bench_parsed {
    ROAN_BENCH_PARSED_RUN,   /* go on */
    ROAN_BENCH_PARSED_DONE,  /* --help or --version was printed: exit 0 */
    ROAN_BENCH_PARSED_WRONG  /* the complaint was printed to stderr: exit 1 */
} roan_bench_parsed;

/* Reads the command line; argv[0] is skipped. Call roan_bench_options_done whatever is returned. */
roan_bench_parsed roan_bench_options_parse(roan_bench_options *options, int argc, char **argv);

/* Frees what parsing allocated. */
void roan_bench_options_done(roan_bench_options *options);
