/* engine/lock.c: the gate and the stripes; see lock.h for what they promise.
 *
 * Gate protocol (Dekker style, sequentially consistent): a lane writes inside = 1 and then reads shut; whoever shuts
 * writes shut = 1 and then reads every inside. One of the two sees the other. Nobody waits for the gate while inside,
 * and who waits for the turn is outside, so no cycle exists.
 *
 * Parking: the lane sets its bit and the stripe's PARKED bit, then tries once more; a release that sees PARKED takes
 * the bits and mails those lanes. A release between the two is seen by the second try.
 */
#include "engine/lock.h"

#include "engine/engine.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STRIPE_HELD 1u
#define STRIPE_PARKED 2u
#define SPINS_MAX 200 /* about a microsecond */
#define GATE_SPINS_MAX 2000
#define INTERRUPT_YIELDS_MAX 4000 /* a millisecond or two, for a lane that has been woken */

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void roan_gate_init(roan_gate *gate)
{
    atomic_init(&gate->shut, 0);
    atomic_init(&gate->turn, ROAN_TURN_FREE);
}

static void wait_until_open(roan_engine *engine)
{
    roan_gate *gate = &engine->gate;
    while (atomic_load_explicit(&gate->shut, memory_order_acquire) != 0 && roan_at_point(engine, ROAN_POINT_WAITING)) {
    }
    for (int i = 0; i < GATE_SPINS_MAX; i++) {
        if (atomic_load_explicit(&gate->shut, memory_order_acquire) == 0)
            return;
        relax();
    }
    while (atomic_load_explicit(&gate->shut, memory_order_acquire) != 0)
        syscall(SYS_futex, &gate->shut, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
}

/* From here on the lane may look at tables without their stripes (engine/retire.h). */
static void note_epoch(roan_lane *lane)
{
    atomic_store_explicit(&lane->epoch, atomic_load_explicit(&lane->engine->epoch, memory_order_seq_cst),
                          memory_order_seq_cst);
}

void roan_gate_enter(roan_lane *lane)
{
    roan_engine *engine = lane->engine;
    if (engine->lane_count == 1)
        return;
    for (;;) {
        atomic_store_explicit(&lane->inside, 1, memory_order_seq_cst);
        roan_at_point(engine, ROAN_POINT_LOCKING);
        if (ROAN_LIKELY(atomic_load_explicit(&engine->gate.shut, memory_order_seq_cst) == 0)) {
            note_epoch(lane);
            return;
        }
        atomic_store_explicit(&lane->inside, 0, memory_order_release);
        wait_until_open(engine);
    }
}

void roan_gate_leave(roan_lane *lane)
{
    if (lane->engine->lane_count == 1)
        return;
    ROAN_ASSERT(!lane->is_alone);
    atomic_store_explicit(&lane->epoch, 0, memory_order_release);
    atomic_store_explicit(&lane->inside, 0, memory_order_release);
}

void roan_gate_pass(roan_lane *lane)
{
    if (lane->engine->lane_count == 1 ||
        ROAN_LIKELY(atomic_load_explicit(&lane->engine->gate.shut, memory_order_relaxed) == 0))
        return;
    roan_gate_leave(lane);
    roan_gate_enter(lane);
}

static void wait_until_outside(const roan_lane *lane)
{
    for (unsigned spins = 0; atomic_load_explicit(&lane->inside, memory_order_seq_cst) != 0; spins++) {
        if (roan_at_point(lane->engine, ROAN_POINT_WAITING))
            continue;
        if (spins < GATE_SPINS_MAX)
            relax();
        else
            sched_yield();
    }
}

/* ---- turns ---- */

static bool take_turn_from(roan_gate *gate, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong_explicit(&gate->turn, &from, to, memory_order_seq_cst, memory_order_seq_cst);
}

static void wake_lanes(roan_engine *engine, uint64_t lanes)
{
    for (unsigned i = 0; lanes != 0 && i < engine->lane_count; i++) {
        if (!(lanes >> i & 1))
            continue;
        atomic_store_explicit(&engine->lanes[i].stripe_freed, 1, memory_order_release);
        if (engine->host.wake != NULL)
            engine->host.wake(engine->host.context, &engine->lanes[i]);
    }
}

/* The turn becomes `to`, and who waits for a change of it looks again. */
static void pass_turn(roan_engine *engine, uint32_t to)
{
    roan_gate *gate = &engine->gate;
    atomic_store_explicit(&gate->turn, to, memory_order_seq_cst);
    if (atomic_load_explicit(&gate->turn_waiters, memory_order_seq_cst) != 0)
        syscall(SYS_futex, &gate->turn, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    wake_lanes(engine, atomic_exchange_explicit(&gate->turn_parked, 0, memory_order_seq_cst));
}

/* Leaves the lane's name. A turn that ended meanwhile makes it try again in the next round. */
static void park_at_turn(roan_lane *lane, uint32_t seen)
{
    roan_gate *gate = &lane->engine->gate;
    atomic_fetch_or_explicit(&gate->turn_parked, UINT64_C(1) << lane->index, memory_order_seq_cst);
    if (atomic_load_explicit(&gate->turn, memory_order_seq_cst) != seen)
        atomic_store_explicit(&lane->stripe_freed, 1, memory_order_release);
}

/* Sleeps outside the gate until the turn is no longer `seen`. */
static void wait_for_turn(roan_engine *engine, uint32_t seen)
{
    roan_gate *gate = &engine->gate;
    for (int i = 0; i < GATE_SPINS_MAX; i++) {
        if (atomic_load_explicit(&gate->turn, memory_order_seq_cst) != seen)
            return;
        if (roan_at_point(engine, ROAN_POINT_WAITING))
            i = 0;
        relax();
    }
    atomic_fetch_add_explicit(&gate->turn_waiters, 1, memory_order_seq_cst);
    while (atomic_load_explicit(&gate->turn, memory_order_seq_cst) == seen)
        syscall(SYS_futex, &gate->turn, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub_explicit(&gate->turn_waiters, 1, memory_order_seq_cst);
}

/* Takes the turn for shutting the gate; false: a script has it. On return with true the lane may be outside. */
static bool take_gate_turn(roan_lane *lane)
{
    roan_gate *gate = &lane->engine->gate;
    for (;;) {
        uint32_t seen = atomic_load_explicit(&gate->turn, memory_order_seq_cst);
        if (seen == ROAN_TURN_FREE || (seen == ROAN_TURN_SCRIPT_YIELDS && lane->may_interrupt)) {
            uint32_t to = seen == ROAN_TURN_FREE ? ROAN_TURN_GATE : ROAN_TURN_GATE_IN_SCRIPT;
            if (take_turn_from(gate, seen, to)) {
                atomic_fetch_and_explicit(&gate->turn_wanted, ~(UINT64_C(1) << lane->index), memory_order_seq_cst);
                return true;
            }
            continue;
        }
        if (seen == ROAN_TURN_SCRIPT || seen == ROAN_TURN_SCRIPT_YIELDS) {
            if (lane->may_interrupt)
                atomic_fetch_or_explicit(&gate->turn_wanted, UINT64_C(1) << lane->index, memory_order_seq_cst);
            park_at_turn(lane, seen);
            return false;
        }
        atomic_store_explicit(&lane->inside, 0, memory_order_release); /* who has the turn may be waiting for us */
        wait_for_turn(lane->engine, seen);
    }
}

static void shut_others_out(roan_lane *lane)
{
    roan_engine *engine = lane->engine;
    atomic_store_explicit(&engine->gate.shut, 1, memory_order_seq_cst);
    roan_at_point(engine, ROAN_POINT_LOCKING);
    for (unsigned i = 0; i < engine->lane_count; i++)
        if (&engine->lanes[i] != lane)
            wait_until_outside(&engine->lanes[i]);
    atomic_store_explicit(&engine->gate.alone, lane->index + 1, memory_order_relaxed);
}

static void let_others_in(roan_engine *engine)
{
    atomic_store_explicit(&engine->gate.alone, 0, memory_order_relaxed);
    atomic_store_explicit(&engine->gate.shut, 0, memory_order_seq_cst);
    syscall(SYS_futex, &engine->gate.shut, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

bool roan_gate_shut(roan_lane *lane)
{
    ROAN_ASSERT(!lane->is_alone);
    if (lane->engine->lane_count > 1) {
        if (!take_gate_turn(lane)) {
            if (atomic_load_explicit(&lane->inside, memory_order_relaxed) == 0)
                roan_gate_enter(lane);
            return false;
        }
        atomic_store_explicit(&lane->inside, 0, memory_order_release);
        shut_others_out(lane);
        atomic_store_explicit(&lane->inside, 1, memory_order_relaxed);
    }
    lane->is_alone = true;
    return true;
}

void roan_gate_open(roan_lane *lane)
{
    roan_engine *engine = lane->engine;
    ROAN_ASSERT(lane->is_alone);
    lane->is_alone = false;
    if (engine->lane_count == 1)
        return;
    bool is_in_script = atomic_load_explicit(&engine->gate.turn, memory_order_relaxed) == ROAN_TURN_GATE_IN_SCRIPT;
    atomic_store_explicit(&lane->inside, 0, memory_order_release);
    roan_at_point(engine, ROAN_POINT_LOCKING);
    let_others_in(engine);
    pass_turn(engine, is_in_script ? ROAN_TURN_SCRIPT_YIELDS : ROAN_TURN_FREE);
    roan_gate_enter(lane);
}

bool roan_script_turn_take(roan_lane *lane)
{
    roan_gate *gate = &lane->engine->gate;
    if (lane->engine->lane_count == 1)
        return true;
    if (take_turn_from(gate, ROAN_TURN_FREE, ROAN_TURN_SCRIPT)) {
        atomic_store_explicit(&gate->turn_lane, lane->index + 1, memory_order_relaxed);
        return true;
    }
    uint32_t seen = atomic_load_explicit(&gate->turn, memory_order_seq_cst);
    if (seen == ROAN_TURN_FREE)
        atomic_store_explicit(&lane->stripe_freed, 1, memory_order_release);
    else
        park_at_turn(lane, seen);
    return false;
}

bool roan_script_turn_is_mine(const roan_lane *lane)
{
    return atomic_load_explicit(&lane->engine->gate.turn_lane, memory_order_relaxed) == lane->index + 1;
}

/* The script yields for a moment; who has been told of that needs longer to wake up. He may have changed his mind. */
static void wait_for_interrupts(roan_gate *gate)
{
    for (unsigned i = 0; i < INTERRUPT_YIELDS_MAX; i++) {
        if (atomic_load_explicit(&gate->turn_wanted, memory_order_seq_cst) == 0 ||
            atomic_load_explicit(&gate->turn, memory_order_seq_cst) != ROAN_TURN_SCRIPT_YIELDS)
            return;
        sched_yield();
    }
    atomic_store_explicit(&gate->turn_wanted, 0, memory_order_seq_cst);
}

void roan_gate_let_in_script(roan_lane *lane, bool lets)
{
    roan_gate *gate = &lane->engine->gate;
    if (lane->engine->lane_count == 1 || lane->is_alone)
        return;
    if (lets) {
        pass_turn(lane->engine, ROAN_TURN_SCRIPT_YIELDS);
        return;
    }
    wait_for_interrupts(gate);
    while (!take_turn_from(gate, ROAN_TURN_SCRIPT_YIELDS,
                           ROAN_TURN_SCRIPT)) { /* somebody has the gate and needs us outside */
        roan_gate_leave(lane);
        wait_for_turn(lane->engine, ROAN_TURN_GATE_IN_SCRIPT);
        roan_gate_enter(lane);
    }
}

void roan_script_turn_release(roan_lane *lane)
{
    if (lane->engine->lane_count == 1)
        return;
    ROAN_ASSERT(roan_script_turn_is_mine(lane) && !lane->is_alone);
    atomic_store_explicit(&lane->engine->gate.turn_lane, 0, memory_order_relaxed);
    pass_turn(lane->engine, ROAN_TURN_FREE);
}

void roan_gate_shut_in_script(roan_lane *lane)
{
    ROAN_ASSERT(roan_script_turn_is_mine(lane));
    shut_others_out(lane);
    lane->is_alone = true;
}

void roan_gate_open_in_script(roan_lane *lane)
{
    lane->is_alone = false;
    let_others_in(lane->engine);
}

void roan_gate_open_for_answers(roan_lane *lane)
{
    roan_engine *engine = lane->engine;
    ROAN_ASSERT(lane->is_alone && engine->lane_count > 1);
    lane->is_alone = false;
    atomic_store_explicit(&engine->gate.turn_lane, lane->index + 1, memory_order_relaxed);
    let_others_in(engine);
    pass_turn(engine, ROAN_TURN_SCRIPT);
}

void roan_gate_shut_after_answers(roan_lane *lane)
{
    roan_engine *engine = lane->engine;
    if (!lane->is_alone)
        roan_gate_shut_in_script(lane);
    atomic_store_explicit(&engine->gate.turn_lane, 0, memory_order_relaxed);
    pass_turn(engine, ROAN_TURN_GATE);
}

/* Nobody else runs while somebody is alone, so whoever asks then is that lane. */
roan_lane *roan_gate_running_lane(roan_lane *lane)
{
    uint32_t alone = atomic_load_explicit(&lane->engine->gate.alone, memory_order_relaxed);
    return alone != 0 ? &lane->engine->lanes[alone - 1] : lane;
}

static bool try_stripe(roan_lane *lane, roan_stripe *stripe)
{
    uint32_t state = atomic_load_explicit(&stripe->state, memory_order_relaxed);
    while (!(state & STRIPE_HELD))
        if (atomic_compare_exchange_weak_explicit(&stripe->state, &state, state | STRIPE_HELD, memory_order_acquire,
                                                  memory_order_relaxed)) {
            atomic_store_explicit(&stripe->holder, lane->index + 1, memory_order_relaxed);
            return true;
        }
    return false;
}

static bool try_stripe_spinning(roan_lane *lane, roan_stripe *stripe)
{
    for (int i = 0; i < SPINS_MAX; i++) {
        if (try_stripe(lane, stripe))
            return true;
        if (roan_at_point(lane->engine, ROAN_POINT_WAITING))
            return try_stripe(lane, stripe);
        relax();
    }
    return false;
}

static void release_stripe(roan_lane *lane, roan_stripe *stripe)
{
    atomic_store_explicit(&stripe->holder, 0, memory_order_relaxed);
    uint32_t before = atomic_exchange_explicit(&stripe->state, 0, memory_order_release);
    ROAN_ASSERT(before & STRIPE_HELD);
    if (ROAN_LIKELY(!(before & STRIPE_PARKED)))
        return;
    wake_lanes(lane->engine, atomic_exchange_explicit(&stripe->parked_lanes, 0, memory_order_seq_cst));
}

/* Leaves the lane's name at a busy stripe. True: it was released meanwhile and is ours now. */
static bool park(roan_lane *lane, roan_stripe *stripe)
{
    atomic_fetch_or_explicit(&stripe->parked_lanes, UINT64_C(1) << lane->index, memory_order_seq_cst);
    roan_at_point(lane->engine, ROAN_POINT_LOCKING);
    uint32_t state = atomic_load_explicit(&stripe->state, memory_order_seq_cst);
    for (;;) {
        if (!(state & STRIPE_HELD))
            return try_stripe(lane, stripe);
        if (atomic_compare_exchange_weak_explicit(&stripe->state, &state, state | STRIPE_PARKED, memory_order_seq_cst,
                                                  memory_order_seq_cst))
            return false;
    }
}

bool roan_stripes_take(roan_lane *lane, const uint32_t *stripes, size_t count)
{
    roan_engine *engine = lane->engine;
    if (engine->lane_count == 1)
        return true;
    for (size_t i = 0; i < count; i++) {
        roan_stripe *stripe = &engine->stripes[stripes[i]];
        roan_at_point(engine, ROAN_POINT_LOCKING);
        if (ROAN_LIKELY(try_stripe(lane, stripe)) || try_stripe_spinning(lane, stripe))
            continue;
        /* Give everything back first: whoever parks holds nothing. */
        roan_stripes_release(lane, stripes, i);
        if (park(lane, stripe)) {
            release_stripe(lane, stripe);
            atomic_store_explicit(&lane->stripe_freed, 1, memory_order_relaxed); /* try again in the next round */
        }
        return false;
    }
    return true;
}

void roan_stripes_release(roan_lane *lane, const uint32_t *stripes, size_t count)
{
    if (lane->engine->lane_count == 1)
        return;
    for (size_t i = count; i-- > 0;)
        release_stripe(lane, &lane->engine->stripes[stripes[i]]);
}

void roan_stripe_wait(roan_lane *lane, uint32_t stripe)
{
    ROAN_ASSERT(lane->engine->lane_count == 1 || roan_script_turn_is_mine(lane));
    while (lane->engine->lane_count > 1 && !try_stripe_spinning(lane, &lane->engine->stripes[stripe]))
        sched_yield(); /* its holder may have lost the processor */
}

bool roan_stripe_try(roan_lane *lane, uint32_t stripe)
{
    return lane->engine->lane_count == 1 || try_stripe(lane, &lane->engine->stripes[stripe]);
}

bool roan_stripe_is_held(const roan_lane *lane, uint32_t stripe)
{
    const roan_engine *engine = lane->engine;
    return engine->lane_count == 1 || lane->is_alone ||
           atomic_load_explicit(&engine->stripes[stripe].holder, memory_order_relaxed) == lane->index + 1;
}

bool roan_lock_set_add(roan_lock_set *set, uint32_t stripe)
{
    size_t at = set->count;
    while (at > 0 && set->stripes[at - 1] > stripe)
        at--;
    if (at > 0 && set->stripes[at - 1] == stripe)
        return true;
    if (set->count == ROAN_STRIPES_PER_CALL_MAX)
        return false;
    memmove(set->stripes + at + 1, set->stripes + at, (set->count - at) * sizeof *set->stripes);
    set->stripes[at] = stripe;
    set->count++;
    return true;
}
