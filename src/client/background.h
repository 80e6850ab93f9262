/* client/background.h: what drives links when no caller does: a thread of the library, or the program's loop.
 *
 * A round visits every link of the handle. Where something has to be done and nobody drives, it takes the driver's
 * role, sends, and waits for all of them at once; then it receives what came. In AUTO a caller takes the role away
 * from a round that sleeps; the round notices when it wakes.
 */
#pragma once

#include "client/link.h"

typedef struct roan_background {
    pthread_mutex_t lock; /* of `links`, the thread's life */
    roan_link *links;     /* of the handle, by `next` */
    struct roan_visit *visits; /* links of one round */
    roan_wait_item *items;     /* what it waits for */
    size_t visits_max;
    pthread_t thread;
    bool is_running;
    _Atomic bool has_thread; /* as is_running, without the lock */
    _Atomic bool is_stopping;
    _Atomic bool is_notified;
    _Atomic bool is_asleep;
    _Atomic bool is_turning; /* somebody does a round in place of a thread */
    _Atomic bool has_turned; /* by the program */
    _Atomic pthread_t loop_thread; /* who did it last, at first who opened the handle */
    roan_outcome deferred;   /* LOOP: callbacks for the next turn */
    int wake_fd;          /* eventfd, -1 until needed */
    int epoll_fd, timer_fd; /* LOOP: what the program polls */
    int64_t timer_us;       /* what the timer is set to */
} roan_background;

roan_status roan_background_init(roan *client, roan_error *reterr);
/* Ends the thread. */
void roan_background_stop(roan *client);
void roan_background_done(roan *client);

/* All links, each kept until roan_background_list_done(); none when out of memory. So nobody locks a link under the
 * background's lock, which is taken after a link's. ret_past (may be NULL): the counters of links that are gone. */
typedef struct roan_link_list {
    roan_link **links;
    size_t count;
    roan_link *few[20];
} roan_link_list;

void roan_background_list(roan *client, roan_link_list *list, roan_counters *ret_past);
void roan_background_list_done(roan_link_list *list);

/* A link of the handle begins and ends to be visited. Its lock is not held; when it ends the link is closed, and what
 * it has counted is kept. */
void roan_background_attach(roan *client, roan_link *link);
void roan_background_detach(roan *client, roan_link *link);

/* Of all links, also of those that are gone. */
void roan_background_count(roan *client, roan_counters *ret_sum);

/* Lock of the link held: is this inside a callback of a round, which sends at its end what was begun? */
bool roan_background_sends_later(roan_link *link);

/* Something changed: the next round must come soon. Any thread, with or without a link's lock. */
void roan_background_notify(roan_background *background);

/* Makes sure that somebody does rounds: starts the thread (AUTO, THREAD) or notifies the loop. */
void roan_background_wake(roan *client);

/* One round that waits at most wait_us (-1: for ever). The thread's, and of roan_background_turn(). */
void roan_background_round(roan *client, int64_t wait_us);

/* LOOP: makes the program's descriptor tell of everything that the next round waits for. */
void roan_background_watch(roan *client);
/* Lock of the link held, before its descriptor is closed: a child process that still has it would keep it watched. */
void roan_background_unwatch(roan_link *link);
/* LOOP: one round, and everything is watched again. False: another thread is inside, nothing was done. */
bool roan_background_turn(roan *client, int64_t wait_us);
/* This thread waits, at most wait_us (-1: for ever). Is it the one that must do the rounds meanwhile, as no other will
 * (the loop's own; without descriptors any)? Then does one of at most 100 ms. False: it may sleep. */
bool roan_background_help(roan *client, int64_t wait_us);
/* When the next round is due; ROAN_NO_DEADLINE. Any thread, also from a callback. */
int64_t roan_background_due_us(roan *client);

/* After fork(): nothing of it is left in the child. */
void roan_background_forget(roan *client);
