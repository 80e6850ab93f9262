/* engine/lock.h: how commands on many lanes stay out of each other's way: a gate, and striped locks under it.
 *
 * Gate: a lane is inside while it works and outside while it sleeps. roan_gate_shut() waits until every other lane is
 * outside and keeps it there: whoever holds the gate may touch anything, sessions and connections of other lanes
 * included. Lanes look at the gate between commands.
 *
 * Stripe: a lock for the keys whose cluster slot has the stripe's low bits. Nobody waits long for one: try, spin for
 * about a microsecond, then give everything back and park the session; the holder's release sends the lanes that
 * parked there a mail.
 *
 * With one lane nothing here is executed: every function returns at its first branch.
 */
#pragma once

#include "base/macros.h"
#include "base/mailbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct roan_lane roan_lane;

typedef struct roan_stripe {
    _Alignas(ROAN_CACHE_LINE) _Atomic uint32_t state; /* bit 0: held; bit 1: somebody parked here */
    _Atomic uint32_t holder;                          /* lane index + 1, for the held-stripe assertion */
    _Atomic uint64_t parked_lanes;                    /* lanes to tell at the next release, by bit */
    struct roan_waiters *waiters;                     /* who waits for keys of the stripe, engine/blocking.h; NULL: nobody yet */
    _Atomic uint32_t watched_keys;                    /* see engine/watch.h */
    _Atomic uint32_t tracked_keys;                    /* how many `tracked` has, see engine/tracking.h */
    struct roan_tracked *tracked;                     /* NULL: none yet */
} roan_stripe;

#define ROAN_STRIPES_PER_CALL_MAX 64 /* a command that needs more runs alone */

/* The stripes a command needs, sorted and distinct. */
typedef struct roan_lock_set {
    size_t count;
    uint32_t stripes[ROAN_STRIPES_PER_CALL_MAX];
} roan_lock_set;

typedef struct roan_gate {
    _Alignas(ROAN_CACHE_LINE) _Atomic uint32_t shut; /* 1 while somebody wants to be or is alone */
    pthread_mutex_t turn;                            /* whoever wants to shut the gate */
    _Atomic uint32_t alone;                          /* who has shut it: index of the lane + 1; 0: nobody */
} roan_gate;

#define ROAN_LANES_MAX 64

void roan_gate_init(roan_gate *gate);
void roan_gate_done(roan_gate *gate);

/* Before a lane touches shared state, and after it has finished for now. Not nested. */
void roan_gate_enter(roan_lane *lane);
void roan_gate_leave(roan_lane *lane);

/* Between commands: steps outside for as long as another lane wants to be alone. */
void roan_gate_pass(roan_lane *lane);

/* The calling lane is inside and wants to be alone; holds no stripe. */
void roan_gate_shut(roan_lane *lane);
void roan_gate_open(roan_lane *lane);

/* The lane whose thread runs this: the given one (the caller's or that of an object it may touch), or the one that is alone. */
roan_lane *roan_gate_running_lane(roan_lane *lane);
/* False: it is full. */
bool roan_lock_set_add(roan_lock_set *set, uint32_t stripe);

/* Takes the stripes (sorted, distinct). False: one was busy; nothing is held, and the lane will get a
 * ROAN_MAIL_STRIPE mail when that one is released. */
bool roan_stripes_take(roan_lane *lane, const uint32_t *stripes, size_t count);
void roan_stripes_release(roan_lane *lane, const uint32_t *stripes, size_t count);

/* Takes one stripe only if it is free, without parking. For housekeeping. */
bool roan_stripe_try(roan_lane *lane, uint32_t stripe);

/* This lane may touch keys of the stripe now: it holds it, or is alone, or there is only one lane. */
bool roan_stripe_is_held(const roan_lane *lane, uint32_t stripe);
