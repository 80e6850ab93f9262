/* server/server.c: building a server from a configuration, its listeners, its threads, and what the engine asks of it. */
#include "server/server.h"

#include "base/macros.h"
#include "engine/stats.h"
#include "server/apply.h"
#include "server/housekeeping.h"
#include "server/host_info.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* ---- what the engine asks for ---- */

static void host_shutdown(void *context, int exit_code)
{
    roan_server_stop(context, exit_code);
}

static void host_free_later(void *context, roan_entry *entry)
{
    roan_reaper_add(((roan_server *)context)->reaper, entry);
}

static void host_free_tables_later(void *context, roan_table *tables, unsigned count)
{
    roan_reaper_add_tables(((roan_server *)context)->reaper, tables, count);
}

static void host_log(void *context, int level, const char *text)
{
    roan_log_write(&((roan_server *)context)->log, level, "%s", text);
}

static void host_sleep(void *context, int64_t us)
{
    (void)context;
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

static void host_wake(void *context, roan_lane *lane)
{
    (void)context;
    roan_worker *worker = lane->host_lane;
    if (worker != NULL && worker->net != NULL)
        roan_net_wake(worker->net);
}

/* ---- life ---- */

static void find_executable(roan_server *server)
{
    ssize_t bytes = readlink("/proc/self/exe", server->executable, sizeof server->executable - 1);
    server->executable[bytes < 0 ? 0 : bytes] = '\0';
}

roan_status roan_server_create(const roan_config *config, const char *config_path, roan_server **ret_server,
                               roan_error *reterr)
{
    if (config->threads > ROAN_LANES_MAX)
        return roan_error_set(reterr, ROAN_E_CONFIG, "threads %lld: at most %d", (long long)config->threads,
                              ROAN_LANES_MAX);
    roan_server *server = roan_alloc_zero(sizeof *server);
    snprintf(server->config_path, sizeof server->config_path, "%s", config_path);
    find_executable(server);
    roan_server_init_hooks(server);
    roan_log_init(&server->log, config->logfile, (int)config->loglevel);
    server->reaper = roan_reaper_create();
    roan_engine_options options = {
        .lanes = (unsigned)config->threads,
        .config = config,
        .host = {.context = server,
                 .shutdown = host_shutdown,
                 .config_hooks = &server->hooks,
                 .free_later = host_free_later,
                 .free_tables_later = host_free_tables_later,
                 .log = host_log,
                 .describe = roan_server_describe,
                 .sleep = host_sleep,
                 .wake = host_wake},
    };
    server->engine = roan_engine_create(&options);
    server->worker_count = server->engine->lane_count;
    server->workers = roan_alloc_aligned(ROAN_CACHE_LINE, server->worker_count * sizeof *server->workers);
    for (unsigned i = 0; i < server->worker_count; i++)
        roan_worker_init(&server->workers[i], server, i);
    *ret_server = server;
    return ROAN_OK;
}

roan_server *roan_server_free(roan_server *server)
{
    if (server == NULL)
        return NULL;
    for (unsigned i = 0; i < server->worker_count; i++)
        roan_worker_done(&server->workers[i]);
    roan_listeners_close(&server->listeners);
    roan_listeners_close(&server->next_listeners);
    roan_free(server->accepting, ROAN_LISTENERS_MAX * sizeof *server->accepting);
    for (size_t i = 0; i < server->retired_count; i++)
        roan_free(server->retired[i], ROAN_LISTENERS_MAX * sizeof *server->accepting);
    roan_free(server->retired, server->retired_count * sizeof *server->retired);
    roan_reaper_free(server->reaper); /* its tables belong to the engine's context */
    roan_engine_free(server->engine);
    roan_free(server->workers, server->worker_count * sizeof *server->workers);
    roan_log_done(&server->log);
    roan_free(server, sizeof *server);
    return NULL;
}

/* ---- listening ---- */

/* Tells the loop of worker 0 about the sockets. */
static roan_status accept_on_all(roan_server *server, roan_error *reterr)
{
    const roan_listeners *listeners = &server->listeners;
    server->accepting = roan_alloc_zero(ROAN_LISTENERS_MAX * sizeof *server->accepting);
    for (size_t i = 0; i < listeners->count; i++) {
        roan_status status = roan_net_listen(server->workers[0].net, &server->accepting[i], listeners->fds[i], reterr);
        if (status != ROAN_OK)
            return status;
    }
    return ROAN_OK;
}

roan_status roan_server_listen(roan_server *server, roan_error *reterr)
{
    roan_status status = roan_listeners_open(&server->engine->config, &server->listeners, reterr);
    if (status == ROAN_OK && server->listeners.count == 0)
        return roan_error_set(reterr, ROAN_E_CONFIG, "port is 0 and unixsocket is not set: nowhere to listen");
    return status;
}

/* The old listeners' memory stays with the server: their CLOSED events may come much later, and CONFIG SET port is rare. */
void roan_server_switch_listeners(roan_server *server)
{
    roan_error error;
    roan_listeners *next = &server->next_listeners, *old = &server->listeners;
    if (old->unix_path[0] != '\0') { /* always the last one */
        next->fds[next->count++] = old->fds[--old->count];
        memcpy(next->unix_path, old->unix_path, sizeof next->unix_path);
        old->unix_path[0] = '\0';
    }
    for (size_t i = 0; i < ROAN_LISTENERS_MAX; i++)
        if (server->accepting[i].fd > 0)
            roan_net_close(server->workers[0].net, &server->accepting[i]);
    roan_listeners_close(&server->listeners);
    server->listeners = server->next_listeners;
    server->next_listeners = (roan_listeners){0};
    server->retired = roan_realloc(server->retired, server->retired_count * sizeof *server->retired,
                                   (server->retired_count + 1) * sizeof *server->retired);
    server->retired[server->retired_count++] = server->accepting;
    if (accept_on_all(server, &error) != ROAN_OK)
        roan_log_write(&server->log, ROAN_LOG_WARNING, "accepting on the new port: %s", error.text);
}

/* ---- running ---- */

void roan_server_stop(roan_server *server, int exit_code)
{
    atomic_store(&server->stopping, exit_code + 1);
    for (unsigned i = 0; i < server->worker_count; i++)
        if (server->workers[i].net != NULL)
            roan_net_wake(server->workers[i].net);
}

typedef struct thread_start {
    roan_worker *worker;
    pthread_barrier_t *opened;
    roan_status status;
    roan_error error;
} thread_start;

static void *run_thread(void *argument)
{
    thread_start *start = argument;
    roan_worker *worker = start->worker;
    start->status = roan_worker_open_net(worker, &start->error);
    bool failed = start->status != ROAN_OK;
    pthread_barrier_wait(start->opened); /* `start` is gone after this */
    if (!failed)
        roan_worker_run(worker);
    return NULL;
}

/* Starts workers 1.. and opens the loop of worker 0; all loops are open, or none is used. */
static roan_status start_threads(roan_server *server, roan_error *reterr)
{
    pthread_barrier_t opened;
    thread_start starts[ROAN_LANES_MAX];
    roan_status status = roan_worker_open_net(&server->workers[0], reterr);
    ROAN_ASSERT(pthread_barrier_init(&opened, NULL, server->worker_count) == 0);
    for (unsigned i = 1; i < server->worker_count; i++) {
        starts[i] = (thread_start){.worker = &server->workers[i], .opened = &opened};
        ROAN_ASSERT(pthread_create(&server->workers[i].thread, NULL, run_thread, &starts[i]) == 0);
    }
    if (server->worker_count > 1)
        pthread_barrier_wait(&opened);
    for (unsigned i = 1; i < server->worker_count && status == ROAN_OK; i++) {
        status = starts[i].status;
        if (status != ROAN_OK && reterr != NULL)
            *reterr = starts[i].error;
    }
    return status;
}

int roan_server_run(roan_server *server)
{
    roan_error error;
    roan_status status = start_threads(server, &error);
    if (status == ROAN_OK)
        status = accept_on_all(server, &error);
    if (status != ROAN_OK) {
        fprintf(stderr, "roan server: %s\n", error.text);
        roan_server_stop(server, 1);
    } else {
        roan_log_write(&server->log, ROAN_LOG_NOTICE, "Ready to accept connections: port %lld, %u worker%s, %s",
                       (long long)server->engine->config.port, server->worker_count, server->worker_count == 1 ? "" : "s",
                       roan_net_name(server->workers[0].net));
        server->engine->startup_bytes = roan_alloc_used_bytes();
        roan_worker_run(&server->workers[0]);
    }
    for (unsigned i = 1; i < server->worker_count; i++)
        pthread_join(server->workers[i].thread, NULL);
    return atomic_load(&server->stopping) - 1;
}
