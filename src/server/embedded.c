/* server/embedded.c: a server inside another program. See roan/embedded.h.
 *
 *   start: configuration -> server -> thread of worker 0, which starts the others -> registered by name
 *   stop:  unregistered -> the workers end -> joined -> freed
 *
 * A connection is one end of a socket pair; the other end is given to worker 0 as if it had been accepted. What concerns
 * all workers (the clock has moved, reset) is done by them between two rounds: visit.h.
 *
 * All signals are blocked while the server's threads are made, which inherit that: signals are for the program's threads,
 * and nobody here dies of SIGPIPE.
 */
#include "roan/embedded.h"

#include "base/macros.h"
#include "server/apply.h"
#include "server/embedded_link.h"
#include "server/reset.h"
#include "server/server.h"
#include "server/startup.h"
#include "server/users.h"
#include "server/visit.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define VISIT_MS_MAX 10000
#define CLOCK_US_MAX (INT64_C(253402300799) * 1000000) /* the end of the year 9999 */
#define EXPIRY_SLICES_MAX 100000                       /* of a millisecond */
#define THREADS_DEFAULT 1

struct roan_embedded {
    roan_server *server;
    pthread_t thread;      /* of worker 0 */
    pthread_barrier_t started; /* it has started the server, or failed to */
    pthread_mutex_t lock;  /* one change of the clock or reset at a time */
    roan_clock clock;
    roan_reset *reset;     /* how it was at the start */
    roan_embedded_link *link;
    pid_t process;
    void (*on_log)(void *argument, int level, const char *line);
    void *log_argument;
};

/* ---- options ---- */

/* The caller's options, whose struct may be an older and shorter one. */
static roan_status take_options(const roan_embedded_options *given, roan_embedded_options *ret_options,
                                roan_error *reterr)
{
    *ret_options = (roan_embedded_options){.size = sizeof *ret_options};
    if (given == NULL)
        return ROAN_OK;
    if (given->size < offsetof(roan_embedded_options, threads) || given->size > sizeof *ret_options)
        return roan_error_set(reterr, ROAN_E_INVALID, "options: size is %zu, which is no roan_embedded_options",
                              given->size);
    memcpy(ret_options, given, given->size);
    ret_options->size = sizeof *ret_options;
    if (ret_options->clock_us < 0 || ret_options->clock_us > CLOCK_US_MAX)
        return roan_error_set(reterr, ROAN_E_INVALID, "clock_us is not between 1970 and the year 9999");
    if (ret_options->argument_count > INT_MAX || (ret_options->argument_count > 0 && ret_options->arguments == NULL))
        return roan_error_set(reterr, ROAN_E_INVALID, "arguments: argument_count says %zu", ret_options->argument_count);
    if (ret_options->threads < 0 || ret_options->databases < 0)
        return roan_error_set(reterr, ROAN_E_INVALID, "%s is negative",
                              ret_options->threads < 0 ? "threads" : "databases");
    return ROAN_OK;
}

/* The configuration of an embedded server differs from a program's in these. */
static roan_status read_config(const roan_embedded_options *options, roan_startup *startup, roan_error *reterr)
{
    char threads[16], databases[16], maxmemory[24];
    const char *defaults[] = {"io", "epoll", "threads", threads, "maxmemory", maxmemory, "databases", databases};
    size_t count = ROAN_COUNT_OF(defaults) - (options->databases == 0 ? 2 : 0);
    snprintf(threads, sizeof threads, "%d", options->threads > 0 ? options->threads : THREADS_DEFAULT);
    snprintf(maxmemory, sizeof maxmemory, "%llu", (unsigned long long)options->maxmemory);
    snprintf(databases, sizeof databases, "%d", options->databases);
    roan_status status = roan_startup_read_inside(startup, defaults, count, options->config,
                                                  (char *const *)(uintptr_t)options->arguments,
                                                  (int)options->argument_count, reterr);
    if (status != ROAN_OK && reterr != NULL)
        reterr->code = ROAN_E_CONFIG; /* whatever is wrong with it */
    return status != ROAN_OK ? ROAN_E_CONFIG : ROAN_OK;
}

/* ---- log ---- */

static void write_log(void *context, int level, const char *text)
{
    const roan_embedded *embedded = context;
    if (embedded->on_log != NULL)
        embedded->on_log(embedded->log_argument, level, text);
}

static void log_remarks(roan_server *server, const roan_startup *startup)
{
    for (const char *text = NULL; (text = roan_startup_remark(startup, text)) != NULL;)
        roan_log_write(&server->log, ROAN_LOG_WARNING, "%s", text);
}

/* ---- starting ---- */

static roan_status create_server(roan_embedded *embedded, const roan_embedded_options *options,
                                 const roan_startup *startup, roan_error *reterr)
{
    roan_server_options server_options = {
        .config = &startup->config, .clock = &embedded->clock, .seed = options->seed};
    roan_status status = roan_server_create(&server_options, &embedded->server, reterr);
    if (status != ROAN_OK)
        return status;
    if (startup->config.logfile[0] == '\0')
        roan_log_divert(&embedded->server->log, write_log, embedded);
    log_remarks(embedded->server, startup);
    roan_server_apply_at_start(embedded->server);
    status = roan_users_load_at_start(embedded->server->engine, reterr);
    if (status == ROAN_OK)
        embedded->reset = roan_reset_create(embedded->server->engine);
    return status;
}

/* What the starting thread of worker 0 tells the one that starts it. */
typedef struct first_start {
    roan_embedded *embedded;
    roan_status status;
    roan_error error;
} first_start;

static void *run_first(void *argument)
{
    first_start *start = argument;
    roan_embedded *embedded = start->embedded;
    roan_server *server = embedded->server;
    roan_status status = start->status = roan_server_start(server, &start->error);
    pthread_barrier_wait(&embedded->started); /* `start` is gone after this */
    if (status == ROAN_OK)
        ROAN_IGNORE(roan_server_run(server)); /* the exit code of a process */
    return NULL;
}

static roan_status run_server(roan_embedded *embedded, roan_error *reterr)
{
    first_start start = {.embedded = embedded};
    int problem = pthread_create(&embedded->thread, NULL, run_first, &start);
    if (problem != 0)
        return roan_error_set_errno(reterr, problem, "cannot start a thread");
    pthread_barrier_wait(&embedded->started);
    if (start.status == ROAN_OK)
        return ROAN_OK;
    pthread_join(embedded->thread, NULL);
    return roan_error_set(reterr, start.status, "%s", start.error.text);
}

/* Of the calling thread; what the processor raises stays. */
static void block_signals(sigset_t *ret_before)
{
    static const int of_the_processor[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t blocked;
    sigfillset(&blocked);
    for (size_t i = 0; i < ROAN_COUNT_OF(of_the_processor); i++)
        sigdelset(&blocked, of_the_processor[i]);
    ROAN_ASSERT(pthread_sigmask(SIG_SETMASK, &blocked, ret_before) == 0);
}

static roan_status create_running(roan_embedded *embedded, const roan_embedded_options *options, roan_error *reterr)
{
    roan_startup startup;
    sigset_t before;
    roan_status status = read_config(options, &startup, reterr);
    block_signals(&before);
    if (status == ROAN_OK)
        status = create_server(embedded, options, &startup, reterr);
    if (status == ROAN_OK)
        status = run_server(embedded, reterr);
    ROAN_ASSERT(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    roan_startup_done(&startup);
    return status;
}

static void free_embedded(roan_embedded *embedded)
{
    roan_server_free(embedded->server);
    roan_reset_free(embedded->reset);
    roan_embedded_link_free(embedded->link);
    pthread_mutex_destroy(&embedded->lock);
    pthread_barrier_destroy(&embedded->started);
    roan_free(embedded, sizeof *embedded);
}

static void end_threads(roan_embedded *embedded)
{
    roan_server_stop(embedded->server, 0);
    pthread_join(embedded->thread, NULL);
}

roan_status roan_embedded_start(roan_embedded **ret_server, const roan_embedded_options *given, roan_error *reterr)
{
    roan_embedded_options options;
    *ret_server = NULL;
    roan_status status = take_options(given, &options, reterr);
    if (status != ROAN_OK)
        return status;
    roan_embedded *embedded = roan_alloc_zero(sizeof *embedded);
    ROAN_ASSERT(pthread_mutex_init(&embedded->lock, NULL) == 0);
    ROAN_ASSERT(pthread_barrier_init(&embedded->started, NULL, 2) == 0);
    embedded->process = getpid();
    embedded->on_log = options.on_log;
    embedded->log_argument = options.log_argument;
    roan_clock_init(&embedded->clock);
    if (options.is_stopped)
        roan_clock_stop_wall(&embedded->clock);
    if (options.clock_us != 0)
        roan_clock_set_wall(&embedded->clock, options.clock_us);
    status = create_running(embedded, &options, reterr);
    if (status == ROAN_OK) {
        status = roan_embedded_link_create(embedded, options.name, &embedded->link, reterr);
        if (status != ROAN_OK)
            end_threads(embedded);
    }
    if (status == ROAN_OK)
        *ret_server = embedded;
    else
        free_embedded(embedded);
    return status;
}

void roan_embedded_stop(roan_embedded *server)
{
    if (server == NULL)
        return;
    roan_embedded_link_cut(server->link);
    if (server->process != getpid())
        return; /* its threads are the parent's */
    end_threads(server);
    free_embedded(server);
}

/* ---- connections ---- */

static bool has_ended(const roan_embedded *server)
{
    return atomic_load(&server->server->stopping) != 0;
}

roan_status roan_embedded_connect(roan_embedded *server, int *ret_fd, roan_error *reterr)
{
    int pair[2];
    *ret_fd = -1;
    if (server->process != getpid())
        return roan_error_set(reterr, ROAN_E_FORKED, "the embedded server runs in the parent process");
    if (has_ended(server))
        return roan_error_set(reterr, ROAN_E_CONNECT, "the embedded server has ended: somebody sent SHUTDOWN");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        ROAN_IGNORE(roan_error_set_errno(reterr, errno, "connecting to the embedded server")); /* the code is ours */
        if (reterr != NULL)
            reterr->code = ROAN_E_CONNECT;
        return ROAN_E_CONNECT;
    }
    roan_server_adopt(server->server, pair[1]);
    *ret_fd = pair[0];
    return ROAN_OK;
}

const struct roan_transport *roan_embedded_transport(const roan_embedded *server)
{
    return roan_embedded_link_transport(server->link);
}

/* ---- clock ---- */

/* Does at once what is due at the new time. */
static bool catch_up(roan_worker *worker, void *argument)
{
    (void)argument;
    roan_lane *lane = worker->lane;
    roan_lane_update_time_keeping_ticks(lane);
    ROAN_IGNORE(roan_lane_run_timers(lane)); /* the loop looks at them again */
    lane->next_work_us = lane->now_us;
    lane->expire_slack_ms = ROAN_TABLE_TIME_UNIT_MS;
    for (unsigned i = 0; i < EXPIRY_SLICES_MAX && lane->next_work_us != INT64_MAX; i++)
        roan_lane_work(lane);
    lane->expire_slack_ms = 0;
    return true;
}

/* Lock held. */
static roan_status move_clock(roan_embedded *server, int64_t wall_us, roan_error *reterr)
{
    if (wall_us < 0 || wall_us > CLOCK_US_MAX)
        return roan_error_set(reterr, ROAN_E_INVALID, "the clock goes from 1970 to the year 9999");
    roan_clock_set_wall(&server->clock, wall_us);
    if (has_ended(server))
        return roan_error_set(reterr, ROAN_E_CLOSED, "the server has ended");
    return roan_server_visit(server->server, 0, server->server->worker_count, catch_up, NULL, VISIT_MS_MAX, reterr);
}

roan_status roan_embedded_clock_set(roan_embedded *server, int64_t wall_us, roan_error *reterr)
{
    pthread_mutex_lock(&server->lock);
    roan_status status = move_clock(server, wall_us, reterr);
    pthread_mutex_unlock(&server->lock);
    return status;
}

roan_status roan_embedded_clock_advance(roan_embedded *server, int64_t us, roan_error *reterr)
{
    if (us < 0 || us > CLOCK_US_MAX)
        return roan_error_set(reterr, ROAN_E_INVALID, "a clock is advanced by 0 or more microseconds, not by %lld",
                              (long long)us);
    pthread_mutex_lock(&server->lock);
    roan_status status = move_clock(server, roan_clock_wall_us(&server->clock) + us, reterr);
    pthread_mutex_unlock(&server->lock);
    return status;
}

void roan_embedded_clock_freeze(roan_embedded *server)
{
    pthread_mutex_lock(&server->lock);
    roan_clock_stop_wall(&server->clock);
    pthread_mutex_unlock(&server->lock);
}

void roan_embedded_clock_thaw(roan_embedded *server)
{
    pthread_mutex_lock(&server->lock);
    roan_clock_run_wall(&server->clock);
    pthread_mutex_unlock(&server->lock);
}

int64_t roan_embedded_clock_us(const roan_embedded *server)
{
    return roan_clock_wall_us(&server->clock);
}

/* ---- reset ---- */

static bool reset_server(roan_worker *worker, void *argument)
{
    return roan_reset_run(argument, worker->lane);
}

roan_status roan_embedded_reset(roan_embedded *server, roan_error *reterr)
{
    if (has_ended(server))
        return roan_error_set(reterr, ROAN_E_CLOSED, "the server has ended");
    pthread_mutex_lock(&server->lock);
    roan_status status = roan_server_visit(server->server, 0, 1, reset_server, server->reset, VISIT_MS_MAX, reterr);
    pthread_mutex_unlock(&server->lock);
    return status;
}
