/* cli/bench_worker.h: the threads that send the load. Only bench_run.c uses this. */
#pragma once

#include "cli/bench_run.h"

#include <pthread.h>

#define ROAN_BENCH_CACHE_LINE 64
#define ROAN_BENCH_INPUT_BYTES (64 * 1024)

/* What the threads of one test share. */
typedef struct roan_bench_load {
    const roan_bench_plan *plan;
    int stop_fd;                /* eventfd in every epoll set; readable once is_stopped */
    _Atomic bool is_stopped;    /* an error happened; everybody leaves */
    _Atomic int64_t units_left; /* still to be sent; below 0 when all are taken */
    _Atomic uint64_t counters[ROAN_BENCH_NUMBER_KINDS]; /* --sequential */

    pthread_mutex_t mutex; /* the fields below; the two times are constant once has_started */
    pthread_cond_t changed;
    unsigned ready;         /* workers whose connections are open */
    unsigned finished;
    bool has_started;
    uint64_t count_from_ns; /* requests sent earlier are warm-up */
    uint64_t deadline_ns;   /* UINT64_MAX without --duration */
    roan_error error;       /* the first one; code is ROAN_OK before */
} roan_bench_load;

typedef enum roan_bench_connection_state {
    ROAN_BENCH_CLOSED,
    ROAN_BENCH_CONNECTING,
    ROAN_BENCH_GREETING, /* the answers to the greeting are to come */
    ROAN_BENCH_IDLE,
    ROAN_BENCH_BUSY      /* the answers to a batch are to come */
} roan_bench_connection_state;

typedef struct roan_bench_connection {
    int fd;               /* -1 when closed */
    roan_bench_connection_state state;
    bool is_counted;      /* the batch is not part of the warm-up */
    size_t pending;       /* replies to come */
    uint64_t sent_ns;
    char *unsent;         /* what the socket did not take yet */
    size_t unsent_offset, unsent_bytes, unsent_capacity;
    char *kept;           /* the beginning of a reply that is not whole */
    size_t kept_bytes, kept_capacity;
} roan_bench_connection;

/* One thread with its connections. */
typedef struct roan_bench_worker {
    _Alignas(ROAN_BENCH_CACHE_LINE) roan_bench_load *load;
    pthread_t thread;
    roan_histogram *latency;
    roan_bench_numbers numbers;
    size_t connections_count;
    roan_bench_connection *connections;
    size_t opened;        /* connections whose first connect was started */
    size_t greeted;       /* of those, how many became ready */
    size_t busy;          /* connections that wait for the server */
    bool is_exhausted;    /* no more requests to send */
    bool has_pushes;      /* RESP3 pushes may stand between replies */
    int epoll_fd;
    char *copies;         /* -P copies of the unit, numbers patched before every send */
    char *input;          /* where replies are received */
    size_t *waiting;      /* --rps: ring of connections that wait for their turn */
    size_t waiting_first, waiting_count;
    double batch_interval_ns; /* --rps: 0 without */
    double next_batch_ns;
    uint64_t last_reply_ns;   /* of a request that counts */

    /* Written by this thread, read by the reporting one. */
    _Alignas(ROAN_BENCH_CACHE_LINE) _Atomic uint64_t replies;
    _Atomic uint64_t latency_sum_ns;
    _Atomic uint64_t warmup_replies;
    _Atomic uint64_t warmup_latency_sum_ns;
} roan_bench_worker;

/* CLOCK_MONOTONIC. */
uint64_t roan_bench_now_ns(void);

/* The thread's body, for pthread_create; `worker` is a roan_bench_worker whose fields are prepared
 * by bench_run.c. Always returns NULL. */
void *roan_bench_worker_main(void *worker);

/* Records the first failure of the test and makes all workers leave. Any thread. */
void roan_bench_load_stop(roan_bench_load *load, const roan_error *error);
