/* server/server.h: what turns an engine into a server: worker threads with their loops, listeners, background freeing.
 *
 *   create -> listen -> start (threads run) -> run -> ... -> stop requested (signal, SHUTDOWN) -> run returns -> free
 *
 * Worker 0 is the calling thread; it owns the listeners and hands new connections to the workers in turn. A worker owns
 * its loop, its lane and its connections; whatever concerns another worker's connection is mail to its lane.
 */
#pragma once

#include "engine/engine.h"
#include "net/net.h"
#include "server/listeners.h"
#include "server/log.h"
#include "server/process.h"

#include <pthread.h>
#include <signal.h>

typedef struct roan_server roan_server;
typedef struct roan_worker roan_worker;
typedef struct roan_connection roan_connection;

#define ROAN_BATCH_MAX 64
#define ROAN_BATCH_WORDS 1024

/* A request of the batch that is being gathered. */
typedef struct roan_batch_item {
    roan_connection *connection;
    const char *start, *end; /* its bytes, to be kept if it cannot run now */
    roan_request request;
} roan_batch_item;

struct roan_worker {
    roan_server *server;
    roan_lane *lane;
    roan_net *net;
    pthread_t thread;
    pthread_barrier_t opened; /* its thread has opened the loop, or failed to; of all but worker 0 */
    roan_connection *dirty;   /* has output to hand over */
    roan_connection *fed;     /* has input in the current batch */
    roan_connection *ready;   /* may go on with its unread input */
    roan_connection *continuing; /* those of them whose turn it is in this round */
    const roan_net_event *events; /* of the round; those from event_at on are still to be handled */
    unsigned event_at, event_count;
    struct roan_visit *visits; /* of its thread, for the end of the round; server/visit.h */
    struct roan_overrun *overrun; /* while a script has overrun, server/overrun.h; NULL before the first time */
    size_t item_count, word_count;
    size_t item_at;           /* the item that runs */
    roan_batch_item items[ROAN_BATCH_MAX];
    roan_slice words[ROAN_BATCH_WORDS];
    int64_t next_cron_us; /* monotonic: the wall clock may be set back */
    _Atomic size_t client_bytes; /* of its connections, kept while maxmemory-clients is set; see client_memory.h */
};

struct roan_server {
    roan_engine *engine;
    roan_log log;
    unsigned worker_count;
    roan_worker *workers;
    unsigned next_worker;      /* round robin; worker 0 only */
    roan_listeners listeners;
    roan_process *process;     /* borrowed; NULL: the process belongs to another program (roan/embedded.h) */
    roan_config_hooks hooks;
    _Atomic uint32_t connection_count;
    _Atomic int stopping;      /* 0: no; else exit code + 1 */
    _Atomic int stop_signal;   /* that asked for it; 0: none did */
    struct roan_reaper *reaper; /* frees big values in the background */
    char config_path[4096];    /* absolute; "" when started without a file */
    char executable[4096];
};

typedef struct roan_server_options {
    const roan_config *config; /* copied */
    const char *config_path;   /* NULL: none */
    /* Borrowed. NULL: the process is another program's. Its title, limits, folder, signal handlers and locale stay as
     * they are, and nothing is listened on. */
    roan_process *process;
    roan_clock *clock;         /* borrowed; NULL: the real one */
    uint64_t seed;             /* of everything random; 0: from the operating system */
} roan_server_options;

/* A server that does not listen yet. */
roan_status roan_server_create(const roan_server_options *options, roan_server **ret_server,
                               roan_error *reterr) ROAN_MUST_CHECK;
roan_server *roan_server_free(roan_server *server);

/* Opens the listeners of the configuration. */
roan_status roan_server_listen(roan_server *server, roan_error *reterr) ROAN_MUST_CHECK;

/* Opens all loops and starts the other workers: connections are accepted. After a failure no thread is left. */
roan_status roan_server_start(roan_server *server, roan_error *reterr) ROAN_MUST_CHECK;

/* Serves until it is stopped; returns the exit code. Worker 0 is the calling thread, which has called start. */
int roan_server_run(roan_server *server);

/* Any thread, while the server runs: the descriptor is a new client's, as if it had been accepted. It is closed when there
 * are too many clients, or when the server ends. */
void roan_server_adopt(roan_server *server, int fd);

/* Any thread, any signal handler. */
void roan_server_stop(roan_server *server, int exit_code);

/* worker.c. Closes the descriptor when there are too many clients; of worker 0. */
void roan_worker_accept(roan_worker *worker, int fd);
void roan_worker_init(roan_worker *worker, roan_server *server, unsigned index);
void roan_worker_done(roan_worker *worker);
roan_status roan_worker_open_net(roan_worker *worker, roan_error *reterr) ROAN_MUST_CHECK;
void roan_worker_run(roan_worker *worker);
/* Of worker 0, inside the gate: accepts on the listeners that are wanted now. */
void roan_worker_sync_listeners(roan_worker *worker);
void roan_worker_handle_event(roan_worker *worker, const roan_net_event *event);
/* Executes what was gathered. */
void roan_worker_run_batch(roan_worker *worker);
/* Goes on with the connections that may, except for those that are set aside (overrun.h). */
void roan_worker_continue_ready(roan_worker *worker);
/* From inside of the request that runs: executes the batch's requests of other connections and lets these go; only one
 * that is being parsed stays. */
void roan_worker_finish_others(roan_worker *worker);
