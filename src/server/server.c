/* server/server.c: building a server from a configuration, its listeners, its threads, and what the engine asks of
 * it. */
#include "server/server.h"

#include "base/macros.h"
#include "engine/stats.h"
#include "server/apply.h"
#include "server/housekeeping.h"
#include "server/host_info.h"
#include "server/cmd/client_list.h"
#include "server/overrun.h"

#include <errno.h>
#include <locale.h>
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

static bool host_serve_others(void *context, roan_lane *lane)
{
    (void)context;
    return roan_overrun_serve(lane->host_lane);
}

static void find_executable(roan_server *server)
{
    ssize_t bytes = readlink("/proc/self/exe", server->executable, sizeof server->executable - 1);
    server->executable[bytes < 0 ? 0 : bytes] = '\0';
}

roan_status roan_server_create(const roan_server_options *options, roan_server **ret_server, roan_error *reterr)
{
    const roan_config *config = options->config;
    if (config->threads > ROAN_LANES_MAX)
        return roan_error_set(reterr, ROAN_E_CONFIG, "threads %lld: at most %d", (long long)config->threads,
                              ROAN_LANES_MAX);
    roan_server *server = roan_alloc_zero(sizeof *server);
    server->process = options->process;
    if (options->config_path != NULL)
        snprintf(server->config_path, sizeof server->config_path, "%s", options->config_path);
    find_executable(server);
    roan_server_init_hooks(server);
    roan_log_init(&server->log, config);
    server->reaper = roan_reaper_create();
    roan_engine_options engine_options = {
        .lanes = (unsigned)config->threads,
        .clock = options->clock,
        .seed = options->seed,
        .config = config,
        .host = {.context = server,
                 .shutdown = host_shutdown,
                 .config_hooks = &server->hooks,
                 .free_later = host_free_later,
                 .free_tables_later = host_free_tables_later,
                 .log = host_log,
                 .describe = roan_server_describe,
                 .describe_session = roan_client_describe_caller,
                 .sleep = host_sleep,
                 .wake = host_wake,
                 .serve_others = host_serve_others},
    };
    server->engine = roan_engine_create(&engine_options);
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
    roan_listeners_done(&server->listeners);
    roan_reaper_free(server->reaper); /* its tables belong to the engine's context */
    locale_t collation = server->engine->collation;
    roan_engine_free(server->engine);
    roan_free(server->workers, server->worker_count * sizeof *server->workers);
    if (collation != (locale_t)0)
        freelocale(collation);
    roan_log_done(&server->log);
    roan_free(server, sizeof *server);
    return NULL;
}

/* ---- running ---- */

roan_status roan_server_listen(roan_server *server, roan_error *reterr)
{
    roan_status status = roan_listeners_change(&server->listeners, &server->engine->config, true, reterr);
    if (status == ROAN_OK && roan_listeners_count(&server->listeners) == 0)
        return roan_error_set(reterr, ROAN_E_CONFIG, "nowhere to listen: this machine has no address of 'bind %s'",
                              server->engine->config.bind);
    return status;
}

typedef struct adopt_mail {
    roan_mail mail;
    int fd;
} adopt_mail;

static void deliver_adopted(roan_mail *mail, void *receiver)
{
    roan_worker *worker = ((roan_lane *)receiver)->host_lane;
    int fd = ((adopt_mail *)mail)->fd;
    roan_free(mail, sizeof(adopt_mail));
    if (worker->net != NULL)
        roan_worker_accept(worker, fd);
    else /* the server has ended */
        close(fd);
}

void roan_server_adopt(roan_server *server, int fd)
{
    adopt_mail *message = roan_alloc(sizeof *message);
    *message = (adopt_mail){.mail.deliver = deliver_adopted, .fd = fd};
    roan_lane_send(&server->engine->lanes[0], &message->mail);
}

void roan_server_stop(roan_server *server, int exit_code)
{
    atomic_store(&server->stopping, exit_code + 1);
    for (unsigned i = 0; i < server->worker_count; i++)
        if (server->workers[i].net != NULL)
            roan_net_wake(server->workers[i].net);
}

/* What a starting thread tells the one that starts it. */
typedef struct thread_start {
    roan_worker *worker;
    roan_status status;
    roan_error error;
} thread_start;

static void *run_thread(void *argument)
{
    thread_start *start = argument;
    roan_worker *worker = start->worker;
    start->status = roan_worker_open_net(worker, &start->error);
    bool is_open = start->status == ROAN_OK;
    pthread_barrier_wait(&worker->opened); /* `start` is gone after this */
    if (is_open)
        roan_worker_run(worker);
    return NULL;
}

static void join_thread(roan_worker *worker)
{
    pthread_join(worker->thread, NULL);
    pthread_barrier_destroy(&worker->opened);
}

/* Starts the thread of a worker and waits until its loop is open. */
static roan_status start_thread(roan_worker *worker, roan_error *reterr)
{
    thread_start start = {.worker = worker};
    ROAN_ASSERT(pthread_barrier_init(&worker->opened, NULL, 2) == 0);
    int problem = pthread_create(&worker->thread, NULL, run_thread, &start);
    if (problem != 0) {
        pthread_barrier_destroy(&worker->opened);
        return roan_error_set_errno(reterr, problem, "threads %u: cannot start another one",
                                    worker->server->worker_count);
    }
    pthread_barrier_wait(&worker->opened);
    if (start.status == ROAN_OK)
        return ROAN_OK;
    join_thread(worker);
    return roan_error_set(reterr, start.status, "%s", start.error.text);
}

static void join_threads(roan_server *server, unsigned end)
{
    for (unsigned i = 1; i < end; i++)
        join_thread(&server->workers[i]);
}

roan_status roan_server_start(roan_server *server, roan_error *reterr)
{
    unsigned started = 1;
    roan_status status = roan_worker_open_net(&server->workers[0], reterr);
    while (status == ROAN_OK && started < server->worker_count) {
        status = start_thread(&server->workers[started], reterr);
        started += status == ROAN_OK;
    }
    if (status == ROAN_OK)
        status = roan_listeners_sync(&server->listeners, server->workers[0].net, reterr);
    if (status == ROAN_OK)
        return ROAN_OK;
    roan_server_stop(server, 1);
    join_threads(server, started);
    return status;
}

int roan_server_run(roan_server *server)
{
    server->engine->startup_bytes = roan_alloc_used_bytes();
    roan_worker_run(&server->workers[0]);
    join_threads(server, server->worker_count);
    return atomic_load(&server->stopping) - 1;
}
