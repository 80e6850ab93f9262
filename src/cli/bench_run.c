/* cli/bench_run.c: one test: sets up the workers, starts them together, watches, and merges.
 *
 *   workers prepared -> threads open their connections -> all ready: the clock starts ->
 *   workers send until -n is used up or --duration is over -> joined -> histograms merged
 *
 * The time to open connections is not part of the result. The calling thread only sleeps and
 * reports, so that with one worker one core is enough.
 *
 * The first failure anywhere sets is_stopped and makes stop_fd readable, which wakes every
 * epoll_wait; all threads are joined before the failure is returned. */
#include "cli/bench_run.h"

#include "cli/bench_worker.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000u

void roan_bench_load_stop(roan_bench_load *load, const roan_error *error)
{
    const uint64_t one = 1;
    ssize_t written;

    pthread_mutex_lock(&load->mutex);
    if (load->error.code == ROAN_OK)
        load->error = *error;
    atomic_store(&load->is_stopped, true);
    pthread_cond_broadcast(&load->changed);
    pthread_mutex_unlock(&load->mutex);
    written = write(load->stop_fd, &one, sizeof one);
    (void)written; /* fails only when the counter is full, and then stop_fd is readable anyway */
}

static roan_status prepare_copies(roan_bench_worker *worker)
{
    const roan_bench_request *request = worker->load->plan->request;
    const size_t count = (size_t)worker->load->plan->options->pipeline;
    size_t bytes;

    if (__builtin_mul_overflow(request->bytes_count, count, &bytes))
        return ROAN_E_NOMEM;
    worker->copies = malloc(bytes);
    if (worker->copies == NULL)
        return ROAN_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        memcpy(worker->copies + i * request->bytes_count, request->bytes, request->bytes_count);
    return ROAN_OK;
}

static size_t thread_count(const roan_bench_options *options)
{
    size_t threads = options->threads > 0 ? (size_t)options->threads : 1;

    return threads < (size_t)options->clients ? threads : (size_t)options->clients;
}

/* Prepares the zeroed `worker` with the index-th share of the connections. */
static roan_status init_worker(roan_bench_worker *worker, roan_bench_load *load, size_t index)
{
    const roan_bench_options *options = load->plan->options;
    const size_t clients = (size_t)options->clients;
    const size_t threads = thread_count(options);
    const double batch = (double)options->pipeline * load->plan->request->replies;
    struct epoll_event stop_event = {.events = EPOLLIN, .data.ptr = NULL};

    worker->load = load;
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->connections_count = clients / threads + (index < clients % threads);
    worker->has_pushes = options->is_resp3 && options->is_tracking;
    worker->numbers = (roan_bench_numbers){
        .state = (uint64_t)options->seed + index * UINT64_C(0xD1342543DE82EF95),
        .keyspace = options->keyspace > 0 ? (uint64_t)options->keyspace : 0,
        .counters = options->is_sequential ? load->counters : NULL,
    };
    if (options->rps > 0)
        worker->batch_interval_ns = batch * NS_PER_SECOND / (double)options->rps *
                                    (double)clients / (double)worker->connections_count;
    worker->latency = roan_histogram_create();
    worker->input = malloc(ROAN_BENCH_INPUT_BYTES);
    worker->waiting = calloc(worker->connections_count, sizeof *worker->waiting);
    worker->connections = calloc(worker->connections_count, sizeof *worker->connections);
    for (size_t i = 0; worker->connections != NULL && i < worker->connections_count; i++)
        worker->connections[i].fd = -1;
    if (worker->latency == NULL || worker->input == NULL || worker->waiting == NULL ||
        worker->connections == NULL || prepare_copies(worker) != ROAN_OK)
        return ROAN_E_NOMEM;
    if (worker->epoll_fd < 0 ||
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, load->stop_fd, &stop_event) != 0)
        return ROAN_E_SYSTEM;
    return ROAN_OK;
}

static void done_worker(roan_bench_worker *worker)
{
    for (size_t i = 0; worker->connections != NULL && i < worker->connections_count; i++) {
        if (worker->connections[i].fd >= 0)
            close(worker->connections[i].fd);
        free(worker->connections[i].unsent);
        free(worker->connections[i].kept);
    }
    free(worker->connections);
    free(worker->waiting);
    free(worker->copies);
    free(worker->input);
    roan_histogram_free(worker->latency);
    if (worker->load != NULL && worker->epoll_fd >= 0)
        close(worker->epoll_fd);
}

static roan_status init_load(roan_bench_load *load, const roan_bench_plan *plan)
{
    const int64_t replies = plan->request->replies;
    pthread_condattr_t attributes;

    *load = (roan_bench_load){.plan = plan, .deadline_ns = UINT64_MAX};
    atomic_store(&load->units_left, (plan->options->requests + replies - 1) / replies);
    pthread_mutex_init(&load->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&load->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    load->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return load->stop_fd < 0 ? ROAN_E_SYSTEM : ROAN_OK;
}

static void done_load(roan_bench_load *load)
{
    if (load->stop_fd >= 0)
        close(load->stop_fd);
    pthread_cond_destroy(&load->changed);
    pthread_mutex_destroy(&load->mutex);
}

/* Waits until all connections are open, then lets the clock start. */
static void start_together(roan_bench_load *load, size_t threads)
{
    const roan_bench_options *options = load->plan->options;

    pthread_mutex_lock(&load->mutex);
    while (load->ready < threads && load->error.code == ROAN_OK)
        pthread_cond_wait(&load->changed, &load->mutex);
    load->count_from_ns = roan_bench_now_ns() + (uint64_t)(options->warmup_s * NS_PER_SECOND);
    if (options->duration_s > 0)
        load->deadline_ns = load->count_from_ns + (uint64_t)(options->duration_s * NS_PER_SECOND);
    load->has_started = true;
    pthread_cond_broadcast(&load->changed);
    pthread_mutex_unlock(&load->mutex);
}

static void report(const roan_bench_load *load, const roan_bench_worker *workers, size_t threads,
                   uint64_t now_ns, void *context, roan_bench_tick_fn on_tick)
{
    const uint64_t warmup_ns = (uint64_t)(load->plan->options->warmup_s * NS_PER_SECOND);
    roan_bench_progress progress = {.is_warmup = now_ns < load->count_from_ns};

    progress.elapsed_ns = now_ns + (progress.is_warmup ? warmup_ns : 0) - load->count_from_ns;
    for (size_t i = 0; i < threads; i++) {
        const roan_bench_worker *worker = &workers[i];
        progress.replies += atomic_load_explicit(
            progress.is_warmup ? &worker->warmup_replies : &worker->replies, memory_order_relaxed);
        progress.latency_sum_ns += atomic_load_explicit(
            progress.is_warmup ? &worker->warmup_latency_sum_ns : &worker->latency_sum_ns,
            memory_order_relaxed);
    }
    on_tick(context, &progress);
}

/* Sleeps until the workers are through, reporting every tick. */
static void watch_workers(roan_bench_load *load, const roan_bench_worker *workers, size_t threads,
                          uint64_t tick_ns, void *context, roan_bench_tick_fn on_tick)
{
    uint64_t next_ns = roan_bench_now_ns() + tick_ns;
    bool is_over = false;

    while (!is_over) {
        const struct timespec until = {(time_t)(next_ns / NS_PER_SECOND),
                                       (long)(next_ns % NS_PER_SECOND)};
        uint64_t now_ns;
        pthread_mutex_lock(&load->mutex);
        while (load->finished < threads &&
               pthread_cond_timedwait(&load->changed, &load->mutex, &until) == 0)
            continue;
        is_over = load->finished == threads;
        pthread_mutex_unlock(&load->mutex);
        now_ns = roan_bench_now_ns();
        if (!is_over || !atomic_load(&load->is_stopped))
            report(load, workers, threads, now_ns, context, on_tick);
        while (next_ns <= now_ns)
            next_ns += tick_ns;
    }
}

/* Starts the threads; returns how many run. */
static size_t start_threads(roan_bench_load *load, roan_bench_worker *workers, size_t threads)
{
    for (size_t i = 0; i < threads; i++) {
        int failure = pthread_create(&workers[i].thread, NULL, roan_bench_worker_main, &workers[i]);
        if (failure != 0) {
            roan_error error;
            roan_error_set_errno(&error, failure, "Starting thread %zu", i + 1);
            roan_bench_load_stop(load, &error);
            return i;
        }
    }
    return threads;
}

static void merge_results(const roan_bench_load *load, const roan_bench_worker *workers,
                          size_t threads, roan_histogram *latency, roan_bench_outcome *ret_outcome)
{
    uint64_t last_ns = load->count_from_ns;

    *ret_outcome = (roan_bench_outcome){0};
    for (size_t i = 0; i < threads; i++) {
        roan_histogram_merge(latency, workers[i].latency);
        ret_outcome->replies += atomic_load(&workers[i].replies);
        if (workers[i].last_reply_ns > last_ns)
            last_ns = workers[i].last_reply_ns;
    }
    ret_outcome->elapsed_ns = last_ns - load->count_from_ns;
}

roan_status roan_bench_run(const roan_bench_plan *plan, uint64_t tick_ns, roan_histogram *latency,
                           roan_bench_outcome *ret_outcome, roan_error *reterr, void *context,
                           roan_bench_tick_fn on_tick)
{
    const size_t threads = thread_count(plan->options);
    size_t running = 0;
    roan_bench_load load;
    roan_status status = init_load(&load, plan);
    roan_bench_worker *workers =
        aligned_alloc(_Alignof(roan_bench_worker), threads * sizeof *workers);

    if (workers == NULL)
        status = ROAN_E_NOMEM;
    else
        memset(workers, 0, threads * sizeof *workers);
    for (size_t i = 0; status == ROAN_OK && i < threads; i++)
        status = init_worker(&workers[i], &load, i);
    if (status == ROAN_E_SYSTEM)
        roan_error_set_errno(reterr, errno, "Preparing the load");
    else if (status != ROAN_OK)
        roan_error_set(reterr, status, "out of memory for the requests");
    if (status == ROAN_OK) {
        running = start_threads(&load, workers, threads);
        start_together(&load, running);
        watch_workers(&load, workers, running, tick_ns, context, on_tick);
        for (size_t i = 0; i < running; i++)
            pthread_join(workers[i].thread, NULL);
        status = load.error.code;
        if (status == ROAN_OK)
            merge_results(&load, workers, running, latency, ret_outcome);
        else if (reterr != NULL)
            *reterr = load.error;
    }
    for (size_t i = 0; workers != NULL && i < threads; i++)
        done_worker(&workers[i]);
    free(workers);
    done_load(&load);
    return status;
}
