/* client/link.h: one connection to a server that comes back when it breaks, and the queue of requests for it.
 *
 *     IDLE --wanted--> OPENING --> HANDSHAKE --> READY
 *       ^                 |            |           |
 *       |                 v            v           v  lost
 *       +---nobody wants  BACKOFF <----+-----------+
 *
 * The queue is one list in the order of requests: first those in flight, then from `unsent` on those that wait.
 *
 *     head -> sent -> sent -> unsent -> ... -> tail
 *
 * One thread at a time is the driver: it receives, and it alone changes the state. Anybody may send (one at a time).
 * Everything is guarded by `lock`, which is released around system calls; a wire (one connection's stream and reader)
 * is freed when the last thread inside a system call on it has come back.
 *
 * What happened is gathered in an outcome while the lock is held and carried out after it was released: wake-ups and
 * callbacks.
 */
#pragma once

#include "client/future.h"
#include "roan/transport.h"

#include <pthread.h>

typedef enum roan_link_state {
    ROAN_LINK_IDLE,
    ROAN_LINK_BACKOFF,
    ROAN_LINK_OPENING,
    ROAN_LINK_HANDSHAKE,
    ROAN_LINK_READY,
    ROAN_LINK_CLOSED
} roan_link_state;

typedef enum roan_driver { ROAN_DRIVER_NONE, ROAN_DRIVER_CALLER, ROAN_DRIVER_BACKGROUND } roan_driver;

typedef struct roan_wire {
    roan_stream *stream;
    roan_reply_reader *reader;
    uint32_t users; /* threads inside a system call on it */
    bool is_dead;
} roan_wire;

/* Something to tell the program's hooks. */
typedef struct roan_notice {
    struct roan_notice *next;
    roan_event event;
    roan_value *push; /* a push nobody took, instead of an event */
    roan_failure failure;
    char node[ROAN_NODE_MAX];
} roan_notice;

/* What must be done once the lock is released. */
#define ROAN_OUTCOME_WORDS 64
typedef struct roan_outcome {
    roan_future *first, *last; /* settled, with a callback or hooks; each with a reference */
    roan_notice *first_notice, *last_notice;
    struct roan_subscription *first_call; /* with messages for their callbacks; each with a reference */
    bool wakes_background;
    size_t words_count;
    _Atomic uint32_t *words[ROAN_OUTCOME_WORDS]; /* threads to wake */
} roan_outcome;

static inline void roan_outcome_begin(roan_outcome *outcome)
{
    outcome->first = outcome->last = NULL;
    outcome->first_notice = outcome->last_notice = NULL;
    outcome->first_call = NULL;
    outcome->wakes_background = false;
    outcome->words_count = 0;
}

#define ROAN_HANDSHAKE_STEPS_MAX 8

/* See roan_client_stats. */
typedef struct roan_counters {
    uint64_t commands, failures, timeouts, retries, connects, disconnects, sent_bytes, received_bytes, writes;
} roan_counters;
/* Beside the states of command_traits.h: a push came that nobody took. */
#define ROAN_STATE_PUSHED (1u << 31)

struct roan_link {
    pthread_mutex_t lock;
    roan *client;
    roan_link *next;          /* of the client's links, see background.c */
    roan_link_state state;
    roan_driver driver;
    pthread_t driver_thread;  /* with a driver: who must not wait for itself */
    roan_wire *wire;
    bool is_sending;
    bool is_blocked;          /* the socket took nothing: who waits for it to be writable clears this */
    bool is_exclusive;        /* a lease's */
    bool is_owned;            /* contention: the background keeps the driver's role */
    bool is_polled;           /* the background sleeps in wait() with this link among its items */
    bool is_in_round;         /* a round of the background visits it, and sends at its end ... */
    bool has_begun;           /* ... what its callbacks began meanwhile */
    bool has_drained;         /* the last receive() took all there was */
    roan_wire *polled_wire;   /* with is_polled: which one */
    int64_t polled_until_us;  /* with is_polled: when the background wakes by itself */
    int watched_fd;           /* LOOP: what the epoll descriptor watches of it */
    uint32_t watched_events;
    roan_link *pool_next;     /* idle in the pool */
    int64_t idle_since_us;
    _Atomic uint32_t references; /* the owner, futures of an exclusive link, a round of the background */
    bool was_ready;           /* once: from now on lost connections are opened again while requests wait */
    bool is_fenced;           /* closing: no new requests */

    roan_future *head, *tail;
    roan_future *unsent;      /* first that was not handed over to send() */
    roan_future *sending_at;  /* first whose bytes the socket has not taken altogether */
    size_t queue_count;       /* in the list */
    size_t waiting_count;     /* of them unsent */
    size_t waiting_bytes;
    size_t pending_count;     /* in the list and not settled */
    size_t async_count;       /* of the pending: without a thread that waits */
    roan_future *delayed;     /* to be tried again, by due_us */
    int64_t next_deadline_us; /* no pending deadline is earlier */

    uint64_t sent_total, staged_total; /* of this connection: taken by the socket; handed over to send() */
    uint64_t answered_end;    /* out_end of the last request that was answered */
    uint64_t received_total;
    uint64_t epoch;           /* counts connections */
    int64_t received_us, sent_us; /* last progress */
    int64_t blocked_since_us; /* output waits for the socket since; 0: it does not */
    int64_t used_us;          /* last time something was submitted */
    int64_t ready_us;         /* when this connection became ready */

    int64_t connect_deadline_us;
    int64_t backoff_until_us;
    unsigned connect_attempts; /* failed in a row */
    roan_failure connect_failure;
    unsigned protocol;         /* 2 or 3 as agreed, 0 unknown */
    uint32_t states;           /* ROAN_STATE_*: what is left on it; exclusive links only */
    struct {
        uint8_t steps[ROAN_HANDSHAKE_STEPS_MAX];
        unsigned count, done;
        unsigned round;        /* counts all of this link; from 1 */
        bool is_refused;       /* HELLO is not known there */
        char *request;
        size_t request_bytes, request_sent, request_capacity;
        roan_failure failure;
        bool has_failed;
    } handshake;

    _Atomic uint32_t callers; /* threads that wait for a future of this link or were just woken */
    _Atomic(_Atomic uint32_t *) baton; /* the waiter who was asked to drive and has not begun yet */
    uint32_t busy_rounds, quiet_rounds; /* see the change of drive in drive.c */
    uint8_t waits_seen;        /* asynchronous calls that somebody came to wait for, of late; see drive.h */
    bool is_held;              /* work was left for a caller who is expected to wait */
    bool is_ticking;           /* the background looks after that every millisecond */
    int64_t held_since_us;
    uint32_t batches;          /* writes with an answer that is still to come */
    roan_counters counters;
    roan_wait_node *watchers;  /* roan_ready() */

    /* Pub/sub and other uses hook in here; called with the lock held. */
    void (*on_ready)(roan_link *link, roan_outcome *outcome);
    /* A ready connection ended, or an attempt to connect failed. */
    void (*on_lost)(roan_link *link, const roan_failure *why, roan_outcome *outcome);
    /* Sees everything that comes, not only pushes. True: it took the value, and frees it. */
    bool (*on_push)(roan_link *link, roan_value *value, roan_outcome *outcome);
    void *owner;
    bool is_wanted;            /* keep it connected even with nothing to send */
    _Atomic int64_t attended_us; /* see roan_link_attend() */
    int64_t driven_us;         /* last time a caller drove it */
    int64_t looks_us;          /* when the background looks at it again, though somebody else attends to it */
};

roan_link *roan_link_create(roan *client);
/* Gives up a reference; frees the link with the last one. Then nobody drives it and nothing is queued. */
void roan_link_drop(roan_link *link);
static inline void roan_link_keep(roan_link *link)
{
    atomic_fetch_add_explicit(&link->references, 1, memory_order_relaxed);
}

/* Lock held. Puts the future into the queue (which takes a reference) and begins to connect if need be. Settles it at
 * once when the queue is full or the link is closed. `is_waited_for`: a thread is about to wait for it. */
void roan_link_submit(roan_link *link, roan_future *future, bool is_waited_for, roan_outcome *outcome);

/* As roan_link_submit, but into the queue only at due_us. */
void roan_link_submit_later(roan_link *link, roan_future *future, int64_t due_us);

/* A caller that takes messages from a wanted link says that it is there: for ATTEND_US the background leaves the link to
 * it, if nothing else is to be done on it. So nobody takes the driver's role to and fro, and who takes messages fast
 * enough receives no more than he can take: the rest waits in the socket. Any thread, no lock. */
#define ROAN_ATTEND_US 20000
void roan_link_attend(roan_link *link);
/* Lock held. It has, just now, and not only from what it had received long ago. */
bool roan_link_is_attended(const roan_link *link);

/* Lock held. Begins to connect unless it is connected or waits for the next attempt. */
void roan_link_want(roan_link *link, int64_t now_us, roan_outcome *outcome);

/* Lock held. Sends what waits until all is sent or the socket is full; releases the lock around system calls. */
void roan_link_flush(roan_link *link, roan_outcome *outcome);
/* Is there something that roan_link_flush could send? */
bool roan_link_has_output(const roan_link *link);

/* Lock held, the driver only. Receives for at most wait_us and handles what came. False: nothing came. */
bool roan_link_receive(roan_link *link, int64_t wait_us, roan_outcome *outcome);

/* Lock held, the driver only. Goes on with connecting; timers of all kinds. */
void roan_link_progress(roan_link *link, roan_outcome *outcome);
/* Lock held, anybody: deadlines that have passed. */
void roan_link_expire(roan_link *link, int64_t now_us, roan_outcome *outcome);
/* Lock held. When something is due even if nothing is received; ROAN_NO_DEADLINE. */
int64_t roan_link_due_us(const roan_link *link);

/* Lock held. Ends the connection: what may be sent again stays in the queue, the rest fails. Opens again if wanted. */
void roan_link_lose(roan_link *link, const roan_failure *why, roan_outcome *outcome);
/* Lock held. For good: everything fails with `why`. */
void roan_link_close(roan_link *link, const roan_failure *why, roan_outcome *outcome);

/* Lock held. A thread gives up waiting for a future, or it has settled. */
void roan_link_leave_waiters(roan_link *link, roan_future *future, roan_wait_node *node, roan_outcome *outcome);

/* Lock held. Takes the future's result from the caller's cancel or deadline. */
void roan_link_settle(roan_link *link, roan_future *future, roan_status status, roan_value *reply,
                      const roan_failure *failure, roan_outcome *outcome);
void roan_link_cancel(roan_link *link, roan_future *future, const roan_failure *why, roan_outcome *outcome);

/* Internal to link*.c */
void roan_link_open(roan_link *link, int64_t now_us, roan_outcome *outcome);
void roan_link_connect_failed(roan_link *link, const roan_failure *why, bool is_final, roan_outcome *outcome);
void roan_link_forget_handshake(roan_link *link);
void roan_link_handshake_begin(roan_link *link, roan_outcome *outcome);
void roan_link_handshake_reply(roan_link *link, const roan_value *reply, roan_outcome *outcome);
void roan_link_unqueue(roan_link *link, roan_future *future);
void roan_link_queue(roan_link *link, roan_future *future);
/* The queue's order and counts are true, or it aborts; for ROAN_VERIFY. */
bool roan_link_check(const roan_link *link);
/* Leaves a wire after a system call. False: the link has another one or none by now. */
bool roan_link_leave_wire(roan_link *link, roan_wire *wire);
void roan_link_handle(roan_link *link, roan_value *value, size_t bytes, roan_outcome *outcome);
void roan_wire_close(roan_wire *wire);
roan_fate roan_link_fate_of(const roan_link *link, const roan_future *future);
/* Of a server's error, what may be shown: without the arguments that some servers repeat in it. */
roan_slice roan_error_text(roan_slice text);
/* The server says that nothing ran, whatever the command: it was not able to for now (LOADING, BUSY). */
bool roan_failure_is_transient(const roan_failure *why);
/* Of a reply that is an error. */
void roan_failure_of_reply(roan_failure *failure, const roan_value *reply);
/* Puts an answered or lost request back if the rules allow another try. */
bool roan_link_try_again(roan_link *link, roan_future *future, const roan_failure *why, int64_t now_us);
void roan_link_node_name(const roan_link *link, char *text, size_t text_bytes);
/* Of an exclusive link: what the reply to a command says about the connection's state. Until then, what the command may
 * leave behind counts (roan_link_submit). */
void roan_link_note_states(roan_link *link, const roan_command_traits *traits, const roan_value *reply);

/* Lock not held. Wakes and calls back. */
void roan_outcome_finish(roan *client, roan_outcome *outcome);
/* Lock held. */
void roan_outcome_wake(roan_outcome *outcome, _Atomic uint32_t *word);
void roan_outcome_event(roan_link *link, roan_event event, const roan_failure *failure, roan_outcome *outcome);
void roan_outcome_push(roan_link *link, roan_value *push, roan_outcome *outcome); /* takes the push */
/* Settled: it is called back for; the outcome takes the reference. */
void roan_outcome_add(roan_outcome *outcome, roan_future *future);
/* Adds what `from` holds to `to`. */
void roan_outcome_move(roan_outcome *to, roan_outcome *from);
/* LOOP: callbacks that were put off, because another thread than the loop's drove, are called by the next turn. */
void roan_outcome_finish_deferred(roan *root);
/* Nobody is told. */
void roan_outcome_forget(roan_outcome *outcome);
/* Is this thread inside of a callback? Then it must not wait. */
bool roan_is_in_callback(void);
void roan_callback_begin(void);
void roan_callback_end(void);
