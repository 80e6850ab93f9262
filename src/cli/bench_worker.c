/* cli/bench_worker.c: one thread, one epoll set, a share of the connections.
 *
 * A connection sends a batch (-P units), counts the replies that come back and, at the last one,
 * sends the next batch:
 *
 *   CONNECTING --on_connected()--> GREETING --take_replies()--> IDLE --send_batch()--> BUSY
 *        \--- nothing to greet with: on_ready() --------------->/ ^                     |
 *                                                                  \-- finish_batch() ---+
 *   CONNECTING <-- open_connection() -- CLOSED <-- finish_batch() with -k 0 -------------/
 *
 * What a request costs here is a share of one send, one recv and one epoll_wait, the digits that
 * change and the search for the end of its reply. The batch is one buffer per thread that stays in
 * the cache; a connection owns memory only for what the socket did not take and for a reply that is
 * not whole yet.
 *
 * The latency of a reply runs from the send of its batch to the recv that completed the reply. One
 * clock reading per recv serves both.
 *
 * Failure: the first error reply, lost connection or broken reply stops all threads of the test. */
#include "cli/bench_worker.h"

#include "cli/bench_replies.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define OPENING_MAX 64 /* connections of a thread that are being opened at the same time */
#define PACE_BACKLOG_NS 10e6 /* --rps: how far behind a thread may try to catch up */

static void on_ready(roan_bench_worker *worker, roan_bench_connection *connection, uint64_t now_ns);
static void open_connection(roan_bench_worker *worker, roan_bench_connection *connection);

uint64_t roan_bench_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void fail(roan_bench_worker *worker, roan_status code, int os_errno, const char *text)
{
    roan_error error;
    const char *name = worker->load->plan->endpoint->name;

    if (os_errno != 0)
        roan_error_set_errno(&error, os_errno, "%s %s", text, name);
    else
        roan_error_set(&error, code, "%s", text);
    roan_bench_load_stop(worker->load, &error);
}

static bool is_stopped(const roan_bench_worker *worker)
{
    return atomic_load_explicit(&worker->load->is_stopped, memory_order_relaxed);
}

/* ---- sending ---- */

static void watch(roan_bench_worker *worker, roan_bench_connection *connection, int operation,
                  uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};

    if (epoll_ctl(worker->epoll_fd, operation, connection->fd, &event) != 0)
        fail(worker, ROAN_E_SYSTEM, errno, "Watching the connection to");
}

/* Keeps what the socket did not take, for flush(). */
static void keep_unsent(roan_bench_worker *worker, roan_bench_connection *connection,
                        const char *data, size_t bytes)
{
    if (bytes > connection->unsent_capacity) {
        char *grown = realloc(connection->unsent, bytes);
        if (grown == NULL) {
            fail(worker, ROAN_E_NOMEM, 0, "out of memory");
            return;
        }
        connection->unsent = grown;
        connection->unsent_capacity = bytes;
    }
    memcpy(connection->unsent, data, bytes);
    connection->unsent_offset = 0;
    connection->unsent_bytes = bytes;
    watch(worker, connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

/* How much the socket took; 0 when it is full. */
static size_t send_some(roan_bench_worker *worker, int fd, const char *data, size_t bytes)
{
    ssize_t sent = send(fd, data, bytes, MSG_NOSIGNAL);

    if (sent >= 0)
        return (size_t)sent;
    if (errno != EAGAIN && errno != EINTR)
        fail(worker, ROAN_E_CLOSED, errno, "Writing to");
    return 0;
}

static void transmit(roan_bench_worker *worker, roan_bench_connection *connection, const char *data,
                     size_t bytes)
{
    size_t sent = send_some(worker, connection->fd, data, bytes);

    if (sent < bytes)
        keep_unsent(worker, connection, data + sent, bytes - sent);
}

static void flush(roan_bench_worker *worker, roan_bench_connection *connection)
{
    size_t sent = send_some(worker, connection->fd, connection->unsent + connection->unsent_offset,
                            connection->unsent_bytes);

    connection->unsent_offset += sent;
    connection->unsent_bytes -= sent;
    if (connection->unsent_bytes == 0)
        watch(worker, connection, EPOLL_CTL_MOD, EPOLLIN);
}

/* Takes up to -P units from what is left to send; 0 when the test is over. */
static size_t claim_units(roan_bench_worker *worker, uint64_t now_ns, bool *is_counted)
{
    roan_bench_load *load = worker->load;
    const int64_t batch = load->plan->options->pipeline;
    int64_t left;

    *is_counted = now_ns >= load->count_from_ns;
    if (!*is_counted)
        return (size_t)batch;
    if (load->deadline_ns != UINT64_MAX)
        return now_ns < load->deadline_ns ? (size_t)batch : 0;
    left = atomic_fetch_sub_explicit(&load->units_left, batch, memory_order_relaxed);
    return left <= 0 ? 0 : (size_t)(left < batch ? left : batch);
}

static void send_batch(roan_bench_worker *worker, roan_bench_connection *connection,
                       uint64_t now_ns)
{
    const roan_bench_request *request = worker->load->plan->request;
    size_t units = claim_units(worker, now_ns, &connection->is_counted);

    assert(connection->state == ROAN_BENCH_IDLE && connection->unsent_bytes == 0);
    if (units == 0) {
        worker->is_exhausted = true;
        return;
    }
    roan_bench_request_patch(request, &worker->numbers, worker->copies, units);
    connection->pending = units * request->replies;
    connection->state = ROAN_BENCH_BUSY;
    connection->sent_ns = now_ns;
    worker->busy++;
    transmit(worker, connection, worker->copies, units * request->bytes_count);
}

/* ---- pacing: with --rps a connection waits in a ring until the thread may send again ---- */

static void release_waiting(roan_bench_worker *worker, uint64_t now_ns)
{
    const double now = (double)now_ns;

    if (worker->next_batch_ns < now - PACE_BACKLOG_NS)
        worker->next_batch_ns = now - PACE_BACKLOG_NS;
    while (worker->waiting_count > 0 && worker->next_batch_ns <= now && !worker->is_exhausted) {
        size_t index = worker->waiting[worker->waiting_first];
        worker->waiting_first = (worker->waiting_first + 1) % worker->connections_count;
        worker->waiting_count--;
        worker->next_batch_ns += worker->batch_interval_ns;
        send_batch(worker, &worker->connections[index], now_ns);
    }
}

static void begin_batch(roan_bench_worker *worker, roan_bench_connection *connection,
                        uint64_t now_ns)
{
    size_t slot;

    if (worker->batch_interval_ns == 0) {
        send_batch(worker, connection, now_ns);
        return;
    }
    assert(worker->waiting_count < worker->connections_count);
    slot = (worker->waiting_first + worker->waiting_count++) % worker->connections_count;
    worker->waiting[slot] = (size_t)(connection - worker->connections);
    release_waiting(worker, now_ns);
}

/* ---- receiving ---- */

static void add_relaxed(_Atomic uint64_t *counter, uint64_t amount)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}

static void count_replies(roan_bench_worker *worker, const roan_bench_connection *connection,
                          size_t replies, uint64_t now_ns)
{
    uint64_t latency_ns = now_ns - connection->sent_ns;

    if (!connection->is_counted) {
        add_relaxed(&worker->warmup_replies, replies);
        add_relaxed(&worker->warmup_latency_sum_ns, latency_ns * replies);
        return;
    }
    worker->last_reply_ns = now_ns;
    roan_histogram_record(worker->latency, latency_ns, replies);
    add_relaxed(&worker->replies, replies);
    add_relaxed(&worker->latency_sum_ns, latency_ns * replies);
}

/* Ends the test with the words of the server. */
static void fail_with_reply(roan_bench_worker *worker, const char *data, size_t bytes)
{
    roan_slice text = roan_bench_replies_error(data, bytes);
    roan_error error;

    roan_error_set(&error, ROAN_E_PROTOCOL, "Error from server: %.*s", ROAN_SLICE_ARG(text));
    roan_bench_load_stop(worker->load, &error);
}

/* Moves the rest, the beginning of a reply, to where the next recv continues it. */
static bool keep_rest(roan_bench_worker *worker, roan_bench_connection *connection,
                      const char *rest, size_t bytes)
{
    if (bytes + ROAN_BENCH_INPUT_BYTES > connection->kept_capacity && bytes > 0) {
        size_t capacity = 2 * (bytes + ROAN_BENCH_INPUT_BYTES);
        char *grown = malloc(capacity);
        if (grown == NULL) {
            fail(worker, ROAN_E_NOMEM, 0, "out of memory");
            return false;
        }
        memcpy(grown, rest, bytes);
        free(connection->kept);
        connection->kept = grown;
        connection->kept_capacity = capacity;
    } else if (bytes > 0) {
        memmove(connection->kept, rest, bytes);
    }
    connection->kept_bytes = bytes;
    return true;
}

static void finish_batch(roan_bench_worker *worker, roan_bench_connection *connection,
                         uint64_t now_ns)
{
    const roan_bench_load *load = worker->load;

    connection->state = ROAN_BENCH_IDLE;
    worker->busy--;
    if (load->plan->options->keep_alive) {
        begin_batch(worker, connection, now_ns);
        return;
    }
    close(connection->fd);
    connection->fd = -1;
    connection->state = ROAN_BENCH_CLOSED;
    connection->kept_bytes = 0;
    if (now_ns >= load->deadline_ns ||
        (atomic_load_explicit(&load->units_left, memory_order_relaxed) <= 0 &&
         load->deadline_ns == UINT64_MAX && now_ns >= load->count_from_ns))
        worker->is_exhausted = true;
    else
        open_connection(worker, connection);
}

/* What the replies in data[0..bytes) mean for the connection; a rest is kept. */
static void take_replies(roan_bench_worker *worker, roan_bench_connection *connection,
                         const char *data, size_t bytes, uint64_t now_ns)
{
    size_t replies, errors;
    size_t used = roan_bench_replies_skip(data, bytes, connection->pending, worker->has_pushes,
                                          &replies, &errors);

    if (used == SIZE_MAX) {
        fail(worker, ROAN_E_PROTOCOL, 0, "Protocol error: the server's reply is not RESP");
        return;
    }
    if (errors > 0) {
        fail_with_reply(worker, data, bytes);
        return;
    }
    connection->pending -= replies;
    if (connection->pending == 0 && used < bytes && !worker->has_pushes) {
        fail(worker, ROAN_E_PROTOCOL, 0, "Protocol error: more replies than requests");
        return;
    }
    if (!keep_rest(worker, connection, data + used, bytes - used))
        return;
    if (connection->state == ROAN_BENCH_BUSY && replies > 0)
        count_replies(worker, connection, replies, now_ns);
    if (connection->pending > 0)
        return;
    if (connection->state == ROAN_BENCH_BUSY)
        finish_batch(worker, connection, now_ns);
    else if (connection->state == ROAN_BENCH_GREETING)
        on_ready(worker, connection, now_ns);
}

static void receive(roan_bench_worker *worker, roan_bench_connection *connection)
{
    const size_t kept = connection->kept_bytes;
    char *input = kept > 0 ? connection->kept : worker->input;
    size_t capacity = kept > 0 ? connection->kept_capacity : ROAN_BENCH_INPUT_BYTES;
    ssize_t got = recv(connection->fd, input + kept, capacity - kept, 0);

    if (got > 0)
        take_replies(worker, connection, input, kept + (size_t)got, roan_bench_now_ns());
    else if (got == 0)
        fail(worker, ROAN_E_CLOSED, 0, "Server closed the connection");
    else if (errno != EAGAIN && errno != EINTR)
        fail(worker, ROAN_E_CLOSED, errno, "Reading from");
}

/* ---- opening ---- */

static void open_connection(roan_bench_worker *worker, roan_bench_connection *connection)
{
    bool is_connected;

    connection->fd = roan_bench_connect(worker->load->plan->endpoint, &is_connected);
    if (connection->fd < 0) {
        fail(worker, ROAN_E_SYSTEM, errno, "Could not connect to server at");
        return;
    }
    /* Also when connected already: the first event then comes at once and takes the same way. */
    connection->state = ROAN_BENCH_CONNECTING;
    worker->busy++;
    watch(worker, connection, EPOLL_CTL_ADD, EPOLLOUT);
}

static void open_more(roan_bench_worker *worker)
{
    while (worker->opened < worker->connections_count &&
           worker->opened - worker->greeted < OPENING_MAX && !is_stopped(worker))
        open_connection(worker, &worker->connections[worker->opened++]);
}

static void on_connected(roan_bench_worker *worker, roan_bench_connection *connection)
{
    const roan_bench_greeting *greeting = worker->load->plan->greeting;
    int failure = 0;
    socklen_t bytes = sizeof failure;

    if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &failure, &bytes) != 0)
        failure = errno;
    if (failure != 0) {
        fail(worker, ROAN_E_SYSTEM, failure, "Could not connect to server at");
        return;
    }
    watch(worker, connection, EPOLL_CTL_MOD, EPOLLIN);
    if (greeting->replies == 0) {
        on_ready(worker, connection, roan_bench_now_ns());
        return;
    }
    connection->state = ROAN_BENCH_GREETING;
    connection->pending = greeting->replies;
    transmit(worker, connection, greeting->bytes.data, greeting->bytes.bytes);
}

/* The connection may send. Before the common start it waits; a reconnected one goes on at once. */
static void on_ready(roan_bench_worker *worker, roan_bench_connection *connection, uint64_t now_ns)
{
    connection->state = ROAN_BENCH_IDLE;
    worker->busy--;
    if (worker->greeted < worker->connections_count) {
        worker->greeted++;
        open_more(worker);
    } else {
        begin_batch(worker, connection, now_ns);
    }
}

/* ---- the loop ---- */

static void on_event(roan_bench_worker *worker, roan_bench_connection *connection, uint32_t events)
{
    if (connection->state == ROAN_BENCH_CONNECTING) {
        on_connected(worker, connection);
        return;
    }
    if ((events & EPOLLOUT) != 0 && connection->unsent_bytes > 0)
        flush(worker, connection);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        receive(worker, connection);
}

/* Until the next paced batch is due, at least to the nanosecond where the kernel can. */
static int wait_for_turn(const roan_bench_worker *worker, struct epoll_event *events)
{
    double wait_ns = worker->next_batch_ns - (double)roan_bench_now_ns();
    struct timespec timeout;
    int count;

    if (wait_ns < 0)
        wait_ns = 0;
    timeout.tv_sec = (time_t)(wait_ns / 1e9);
    timeout.tv_nsec = (long)(wait_ns - (double)timeout.tv_sec * 1e9);
    count = epoll_pwait2(worker->epoll_fd, events, EVENTS_MAX, &timeout, NULL);
    if (count < 0 && errno == ENOSYS)
        count = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, (int)(wait_ns / 1e6) + 1);
    return count;
}

static void poll_once(roan_bench_worker *worker)
{
    struct epoll_event events[EVENTS_MAX];
    int count = worker->waiting_count > 0 && !worker->is_exhausted ? wait_for_turn(worker, events)
                                          : epoll_wait(worker->epoll_fd, events, EVENTS_MAX, -1);

    if (count < 0 && errno != EINTR)
        fail(worker, ROAN_E_SYSTEM, errno, "Waiting for");
    for (int i = 0; i < count && !is_stopped(worker); i++)
        if (events[i].data.ptr != NULL)
            on_event(worker, events[i].data.ptr, events[i].events);
    if (worker->waiting_count > 0 && !is_stopped(worker))
        release_waiting(worker, roan_bench_now_ns());
}

/* Tells that the connections are open and waits until those of all workers are. */
static void wait_for_start(roan_bench_load *load)
{
    pthread_mutex_lock(&load->mutex);
    load->ready++;
    pthread_cond_broadcast(&load->changed);
    while (!load->has_started && load->error.code == ROAN_OK)
        pthread_cond_wait(&load->changed, &load->mutex);
    pthread_mutex_unlock(&load->mutex);
}

void *roan_bench_worker_main(void *argument)
{
    roan_bench_worker *worker = argument;
    roan_bench_load *load = worker->load;

    open_more(worker);
    while (worker->greeted < worker->connections_count && !is_stopped(worker))
        poll_once(worker);
    wait_for_start(load);
    worker->next_batch_ns = (double)roan_bench_now_ns();
    for (size_t i = 0; i < worker->connections_count && !is_stopped(worker); i++)
        if (worker->connections[i].state == ROAN_BENCH_IDLE)
            begin_batch(worker, &worker->connections[i], roan_bench_now_ns());
    while ((worker->busy > 0 || !worker->is_exhausted) && !is_stopped(worker))
        poll_once(worker);
    pthread_mutex_lock(&load->mutex);
    load->finished++;
    pthread_cond_broadcast(&load->changed);
    pthread_mutex_unlock(&load->mutex);
    return NULL;
}
