/* engine/lock.h: how commands on many lanes stay out of each other's way: a gate, and striped locks under it.
 *
 * Gate: a lane is inside while it works and outside while it sleeps. roan_gate_shut() waits until every other lane is
 * outside and keeps it there: whoever holds the gate may touch anything, sessions and connections of other lanes
 * included. Lanes look at the gate between commands.
 *
 * Turn: one lane at a time may shut the gate or run a script. A script keeps the turn while other lanes go on: it
 * holds the stripes it has touched (it waits for them while it holds others, which nobody else does, so that this
 * ends) and, when a command of it must be alone, shuts the gate itself. Who finds a script running gives up and
 * parks; the end of the turn wakes it. While a script that overruns lets its lane serve others (engine/script),
 * commands that must be alone may have the gate although the turn is the script's: then they are none that change keys.
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
#include "roan/base.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct roan_lane roan_lane;

typedef struct roan_stripe {
    _Alignas(ROAN_CACHE_LINE) _Atomic uint32_t state; /* bit 0: held; bit 1: somebody parked here */
    _Atomic uint32_t holder;                          /* lane index + 1, for the held-stripe assertion */
    _Atomic uint64_t parked_lanes;                    /* lanes to tell at the next release, by bit */
    struct roan_waiters *waiters; /* who waits for keys of the stripe, engine/blocking.h; NULL: nobody yet */
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
    _Atomic uint32_t turn;                           /* ROAN_TURN_* */
    _Atomic uint32_t turn_waiters;                   /* lanes that sleep until it is nobody's */
    _Atomic uint64_t turn_parked;                    /* lanes to tell when it is nobody's, by bit */
    _Atomic uint64_t turn_wanted;                    /* those of them that may interrupt a script that overruns */
    _Atomic uint32_t turn_lane;                      /* index + 1 of the lane that runs a script */
    _Atomic uint32_t alone;                          /* who has shut it: index of the lane + 1; 0: nobody */
} roan_gate;

#define ROAN_LANES_MAX 64

/* Whose the turn is:
 *
 *     free <--> gate                              somebody shuts the gate
 *     free <--> script <--> script-yields <--> gate-in-script
 *     gate <--> script                            an EXEC with a script in it that overruns
 *
 * A script that yields stands still while somebody has the gate. */
enum { ROAN_TURN_FREE, ROAN_TURN_GATE, ROAN_TURN_SCRIPT, ROAN_TURN_SCRIPT_YIELDS, ROAN_TURN_GATE_IN_SCRIPT };

void roan_gate_init(roan_gate *gate);

/* Before a lane touches shared state, and after it has finished for now. Not nested. */
void roan_gate_enter(roan_lane *lane);
void roan_gate_leave(roan_lane *lane);

/* Between commands: steps outside for as long as another lane wants to be alone. */
void roan_gate_pass(roan_lane *lane);

/* The calling lane is inside and wants to be alone; holds no stripe. False: a script is running; the lane will get a
 * ROAN_MAIL_STRIPE mail when it has ended. */
bool roan_gate_shut(roan_lane *lane) ROAN_MUST_CHECK;
void roan_gate_open(roan_lane *lane);

/* A script is about to run on this lane. False: it is not its turn yet, and the lane will be told as above. */
bool roan_script_turn_take(roan_lane *lane) ROAN_MUST_CHECK;
void roan_script_turn_release(roan_lane *lane);

/* The lane that runs a script wants to be alone until the script has ended. */
void roan_gate_shut_in_script(roan_lane *lane);
void roan_gate_open_in_script(roan_lane *lane);

/* A script that overruns is alone, by a command of its own or by the EXEC that it is part of. The gate opens, so that
 * other lanes can answer what they are asked; the lane has the turn of scripts, and the caller has taken all stripes. */
void roan_gate_open_for_answers(roan_lane *lane);
/* The script has ended, and the rest of its EXEC goes on alone. */
void roan_gate_shut_after_answers(roan_lane *lane);

/* The script lets commands that must be alone have the gate, or does no longer. Of its lane, at a point where it
 * may. */
void roan_gate_let_in_script(roan_lane *lane, bool lets);
/* This lane runs a script. */
bool roan_script_turn_is_mine(const roan_lane *lane);

/* The lane whose thread runs this: the given one (the caller's or that of an object it may touch), or the one that
 * is alone. */
roan_lane *roan_gate_running_lane(roan_lane *lane);
/* False: it is full. */
bool roan_lock_set_add(roan_lock_set *set, uint32_t stripe);

/* Takes the stripes (sorted, distinct). False: one was busy; nothing is held, and the lane will get a
 * ROAN_MAIL_STRIPE mail when that one is released. */
bool roan_stripes_take(roan_lane *lane, const uint32_t *stripes, size_t count);
void roan_stripes_release(roan_lane *lane, const uint32_t *stripes, size_t count);

/* Takes one stripe, however long that lasts: for the lane that runs a script alone. */
void roan_stripe_wait(roan_lane *lane, uint32_t stripe);

/* Takes one stripe only if it is free, without parking. For housekeeping. */
bool roan_stripe_try(roan_lane *lane, uint32_t stripe);

/* This lane may touch keys of the stripe now: it holds it, or is alone, or there is only one lane. */
bool roan_stripe_is_held(const roan_lane *lane, uint32_t stripe);
