/* client/future.h: one request on its way to its answer; at the same time its place in a link's queue.
 *
 *     created --submit--> queued --sent--> in flight --reply, deadline, loss, cancel--> settled
 *
 * References: the caller's (given up by take, drop or passed to a callback) and the queue's. A future that is settled
 * while its request is in flight (deadline, cancel) stays in the queue to receive the late reply, which is dropped.
 * Everything but the reference count and `is_settled` is guarded by the lock of the link that it was submitted to;
 * before and after that it belongs to whoever settles or holds it.
 */
#pragma once

#include "client/command_traits.h"
#include "roan/client.h"

#include <stdatomic.h>

typedef struct roan_link roan_link;
typedef struct roan_wait_node roan_wait_node;

/* A cell is memory for a small request and, once that is answered, for a small reply, which the program then frees. Every
 * thread keeps some of both futures and cells. As a rule the thread that begins a command also frees its reply, so that
 * there is no call of the heap for a small command, whichever thread drives the link. */
#define ROAN_CELL_BYTES 264

#define ROAN_NO_DEADLINE INT64_MAX

/* Turns the replies of a batch into its result; values[0..count) and the array become the callee's. Runs when the last
 * one came, with the link's lock held. Fills *ret_failure when it returns a failure. */
typedef roan_status (*roan_finish_fn)(roan_future *future, roan_value **values, size_t count, roan_value **ret_result,
                                      roan_failure *ret_failure);

/* Looks at an error that answers the request, with the link's lock held and the future in no queue. True: it is sent
 * once more, under the same deadline; the request may have been exchanged (roan_future_exchange). */
typedef bool (*roan_error_fn)(roan_link *link, roan_future *future, const roan_failure *failure);

struct roan_future {
    _Atomic uint32_t references;
    _Atomic bool is_settled; /* written last: with it the result may be read without the lock */
    bool is_queued;
    bool holds_link;         /* it keeps an exclusive link alive */
    bool was_begun;          /* the hooks have heard of it */
    roan *client;
    roan_link *_Atomic link; /* where it was submitted; NULL while it waits for an exclusive link */
    roan_future *previous, *next; /* in the queue */
    roan_future *outcome_next;
    roan_wait_node *waiters;
    bool is_on_lease;        /* its connection is exclusive: it may change its state */
    bool is_awaited;         /* a thread waits for it (or is about to) */
    bool may_have_run;       /* an earlier attempt; what fails now is not NOT_SENT any more */

    const roan_command_traits *traits;
    char *cell;              /* NULL: a reply is in it */
    char *request;           /* encoded; the cell or allocated; NULL: answered */
    size_t request_bytes;
    size_t request_capacity;
    size_t replies_due;      /* 1, or more for a batch */
    size_t replies_count;
    roan_value **replies;    /* of a batch: those that have come */
    roan_finish_fn finish;   /* of a batch */
    const roan_command_traits **parts; /* of a batch: its commands, from malloc */
    size_t parts_count;
    uint32_t states;         /* what it may leave on an exclusive link */
    roan_error_fn on_error;  /* or NULL */
    void *plan;              /* on_error's; freed by free_plan with the future */
    void (*free_plan)(void *plan);
    char *old_request;       /* exchanged: a send() may still read it */
    int retry;               /* as in roan_call */
    roan_retry_class retry_class;
    int64_t block_us;        /* how long the server may block: -1 not at all, INT64_MAX for ever */
    unsigned attempts;
    bool strips_prefix;
    bool is_internal;        /* PING of the probe and the like: no hooks, no statistics */
    int64_t begun_us;
    int64_t deadline_us;     /* ROAN_NO_DEADLINE */
    int64_t due_us;          /* while it waits to be tried again */
    int64_t sent_us;
    uint64_t out_start, out_end; /* its bytes in the stream of this connection, once they were handed over */
    bool ends_batch;         /* the last whole request of a write */
    bool is_sent;            /* out_start and out_end are valid for the present connection */
    uint64_t received_before; /* received_total of the link when it was sent */
    size_t received_bytes;
    uint64_t id;

    roan_status status;
    roan_value *reply;
    roan_failure *failure;   /* NULL when there was no memory for it */
    roan_then_fn then;
    void *then_argument;
    void (*release)(roan_future *future); /* of what a lease keeps for it; called when settled */
    void *owner;
};

/* A future with one reference and an empty request, or the static one that is settled with NOMEM. */
roan_future *roan_future_create(roan *client);

/* One of the library's own, for this command: no hooks, no statistics, no second try. Nothing is encoded yet. */
roan_future *roan_future_create_internal(roan *root, size_t argc, const roan_slice *argv, int64_t deadline_us);

bool roan_future_is_static(const roan_future *future);
/* The static one. */
roan_future *roan_future_of_no_memory(void);

/* The reply was put into the cell, which roan_cell_release() gets back when the program frees it. */
void roan_future_lose_cell(roan_future *future);
void roan_cell_release(void *cell);

/* Appends one request to what it will send. False: out of memory. */
bool roan_future_encode(roan_future *future, size_t argc, const roan_slice *argv);

/* Room for `bytes` more in the request, or NULL. */
char *roan_future_reserve(roan_future *future, size_t bytes);

/* It sends these bytes from now on, from malloc, which it owns; `replies_due` answers come. Once only. */
void roan_future_exchange(roan_future *future, char *request, size_t bytes, size_t replies_due);

/* Sets the result; the caller then hands it to an outcome (drive.h), which wakes and calls back. `failure` (may be NULL
 * for ROAN_OK and ROAN_NIL) is copied. Once only. */
void roan_future_settle(roan_future *future, roan_status status, roan_value *reply, const roan_failure *failure);

/* Waits of threads. A node lives on the waiting thread's stack. */
struct roan_wait_node {
    _Atomic uint32_t *word; /* the thread's futex: 0 asleep, 1 woken */
    roan_wait_node *next;
};

/* The calling thread's futex word. */
_Atomic uint32_t *roan_park_word(void);
/* Sleeps until the word is not 0 or wait_us passed (-1: for ever); sets it back to 0. */
void roan_park(_Atomic uint32_t *word, int64_t wait_us);
void roan_unpark(_Atomic uint32_t *word);

/* The failure of a settled future whose status is negative. */
const roan_failure *roan_future_failure(const roan_future *future);

/* Failures. */
void roan_failure_set(roan_failure *failure, roan_status code, roan_fate fate, const char *format, ...)
    ROAN_PRINTF(4, 5);
/* The thread's last failure, to be filled. */
roan_failure *roan_failure_of_thread(void);
/* Notes a failure of a synchronous call and returns its code. */
roan_status roan_fail(roan_status code, const char *format, ...) ROAN_PRINTF(2, 3);
