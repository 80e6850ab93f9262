/* server/visit.c: see visit.h.
 *
 * A visit belongs to both sides: the one who waits and the worker, and who leaves last frees it. Its lock is held while the
 * work is done, so that one who has stopped waiting knows that the work is over or will never be. Each worker has a visit of
 * its own: one that works may have to wait at the gate for another one, which therefore must not wait for a lock of the
 * first. */
#include "server/visit.h"

#include "base/macros.h"

#include <errno.h>
#include <time.h>

#define LOOK_MS 20 /* how often who waits looks whether the server still runs */

typedef enum visit_state { VISIT_WAITING, VISIT_DONE, VISIT_REFUSED, VISIT_LEFT } visit_state;

typedef struct roan_visit roan_visit;
struct roan_visit {
    roan_mail mail;
    roan_visit *next; /* of the worker's list */
    roan_server_visit_fn work;
    void *argument;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    visit_state state;
    unsigned owners;
};

static void leave(roan_visit *visit)
{
    pthread_mutex_lock(&visit->lock);
    bool is_last = --visit->owners == 0;
    pthread_mutex_unlock(&visit->lock);
    if (!is_last)
        return;
    pthread_cond_destroy(&visit->changed);
    pthread_mutex_destroy(&visit->lock);
    roan_free(visit, sizeof *visit);
}

/* ---- the worker ---- */

static void refuse(roan_visit *visit)
{
    pthread_mutex_lock(&visit->lock);
    if (visit->state == VISIT_WAITING)
        visit->state = VISIT_REFUSED;
    pthread_cond_signal(&visit->changed);
    pthread_mutex_unlock(&visit->lock);
    leave(visit);
}

static void deliver_visit(roan_mail *mail, void *receiver)
{
    roan_visit *visit = (roan_visit *)mail;
    roan_worker *worker = ((roan_lane *)receiver)->host_lane;
    if (worker->net == NULL) {
        refuse(visit);
        return;
    }
    visit->next = worker->visits;
    worker->visits = visit;
}

/* False: to be kept. */
static bool receive(roan_worker *worker, roan_visit *visit)
{
    pthread_mutex_lock(&visit->lock);
    if (visit->state == VISIT_WAITING && visit->work(worker, visit->argument))
        visit->state = VISIT_DONE;
    bool is_over = visit->state != VISIT_WAITING;
    pthread_cond_signal(&visit->changed);
    pthread_mutex_unlock(&visit->lock);
    if (is_over)
        leave(visit);
    return is_over;
}

void roan_worker_receive_visits(roan_worker *worker)
{
    roan_visit *visits = worker->visits;
    worker->visits = NULL;
    while (visits != NULL) {
        roan_visit *visit = visits;
        visits = visit->next;
        if (receive(worker, visit))
            continue;
        visit->next = worker->visits;
        worker->visits = visit;
    }
}

void roan_worker_refuse_visits(roan_worker *worker)
{
    while (worker->visits != NULL) {
        roan_visit *visit = worker->visits;
        worker->visits = visit->next;
        refuse(visit);
    }
}

/* ---- who waits ---- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static roan_visit *send_visit(roan_worker *worker, roan_server_visit_fn work, void *argument)
{
    roan_visit *visit = roan_alloc_zero(sizeof *visit);
    pthread_condattr_t attributes;
    visit->mail.deliver = deliver_visit;
    visit->work = work;
    visit->argument = argument;
    visit->owners = 2;
    ROAN_ASSERT(pthread_mutex_init(&visit->lock, NULL) == 0);
    ROAN_ASSERT(pthread_condattr_init(&attributes) == 0);
    ROAN_ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    ROAN_ASSERT(pthread_cond_init(&visit->changed, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
    roan_lane_send(worker->lane, &visit->mail);
    return visit;
}

/* Lock held: sleeps for a moment. */
static void wait_a_moment(roan_visit *visit)
{
    int64_t until_ms = now_ms() + LOOK_MS;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    ROAN_IGNORE(pthread_cond_timedwait(&visit->changed, &visit->lock, &until)); /* it is looked at again */
}

static roan_status wait_for(const roan_server *server, roan_visit *visit, int64_t deadline_ms, roan_error *reterr)
{
    pthread_mutex_lock(&visit->lock);
    bool has_ended = false, is_late = false;
    while (visit->state == VISIT_WAITING && !has_ended && !is_late) {
        wait_a_moment(visit);
        has_ended = atomic_load_explicit(&server->stopping, memory_order_relaxed) != 0;
        is_late = now_ms() >= deadline_ms;
    }
    bool is_done = visit->state == VISIT_DONE, was_refused = visit->state == VISIT_REFUSED;
    if (visit->state == VISIT_WAITING)
        visit->state = VISIT_LEFT;
    pthread_mutex_unlock(&visit->lock);
    leave(visit);
    if (is_done)
        return ROAN_OK;
    if (was_refused || has_ended)
        return roan_error_set(reterr, ROAN_E_CLOSED, "the server has ended");
    return roan_error_set(reterr, ROAN_E_TIMEOUT, "the server is busy; does a script run?");
}

roan_status roan_server_visit(roan_server *server, unsigned first, unsigned end, roan_server_visit_fn work, void *argument,
                              int64_t timeout_ms, roan_error *reterr)
{
    roan_visit *visits[ROAN_LANES_MAX];
    roan_status status = ROAN_OK;
    int64_t deadline_ms = now_ms() + timeout_ms;
    for (unsigned i = first; i < end; i++)
        visits[i] = send_visit(&server->workers[i], work, argument);
    for (unsigned i = first; i < end; i++) {
        roan_error error;
        roan_status result = wait_for(server, visits[i], deadline_ms, &error);
        if (result != ROAN_OK && status == ROAN_OK)
            status = roan_error_set(reterr, result, "%s", error.text);
    }
    return status;
}
