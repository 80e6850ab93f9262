/* engine/session.c: life of a session, the lane's heap of deadlines, blocking and its end.
 *
 *   ready --roan_session_block()--> blocked --roan_session_unblock()--> ready (ops->resume)
 *
 * Invariant 1: timers[] is a heap by deadline; timers[s->timer_index - 1] == s for every session in it.
 */
#include "engine/session.h"

#include "base/macros.h"
#include "engine/command.h"
#include "engine/acl.h"
#include "engine/blocking.h"
#include "engine/pubsub.h"
#include "engine/stats.h"
#include "engine/tracking.h"
#include "engine/transaction.h"
#include "engine/watch.h"

/* ---- deadlines ---- */

static void timer_place(roan_lane *lane, size_t index, roan_session *session)
{
    lane->timers[index] = session;
    session->timer_index = index + 1;
}

static void timer_up(roan_lane *lane, size_t index)
{
    roan_session *session = lane->timers[index];
    while (index > 0 && lane->timers[(index - 1) / 2]->deadline_us > session->deadline_us) {
        timer_place(lane, index, lane->timers[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    timer_place(lane, index, session);
}

static void timer_down(roan_lane *lane, size_t index)
{
    roan_session *session = lane->timers[index];
    for (size_t child = 2 * index + 1; child < lane->timer_count; child = 2 * index + 1) {
        if (child + 1 < lane->timer_count && lane->timers[child + 1]->deadline_us < lane->timers[child]->deadline_us)
            child++;
        if (lane->timers[child]->deadline_us >= session->deadline_us)
            break;
        timer_place(lane, index, lane->timers[child]);
        index = child;
    }
    timer_place(lane, index, session);
}

static void timer_add(roan_session *session)
{
    roan_lane *lane = session->lane;
    if (lane->timer_count == lane->timer_capacity) {
        size_t capacity = lane->timer_capacity == 0 ? 16 : lane->timer_capacity * 2;
        lane->timers = roan_realloc(lane->timers, lane->timer_capacity * sizeof *lane->timers,
                                    capacity * sizeof *lane->timers);
        lane->timer_capacity = capacity;
    }
    timer_place(lane, lane->timer_count++, session);
    timer_up(lane, lane->timer_count - 1);
}

static void timer_remove(roan_session *session)
{
    if (session->timer_index == 0)
        return;
    roan_lane *lane = session->lane;
    size_t index = session->timer_index - 1;
    roan_session *last = lane->timers[--lane->timer_count];
    session->timer_index = 0;
    if (last == session)
        return;
    timer_place(lane, index, last);
    timer_up(lane, index);
    timer_down(lane, last->timer_index - 1);
}

int64_t roan_lane_run_timers(roan_lane *lane)
{
    while (lane->timer_count > 0) {
        roan_session *session = lane->timers[0];
        if (session->deadline_us > lane->now_us)
            return session->deadline_us - lane->now_us;
        roan_session_unblock(session, ROAN_UNBLOCK_TIMEOUT);
    }
    return -1;
}

/* ---- life ---- */

/* Connections begin as the default user, logged in when that is possible without a password. */
static void set_first_user(roan_session *session)
{
    const roan_acl *acl = session->lane->engine->acl;
    roan_acl_set_session_user(session, acl->default_user);
    session->is_trusted = session->is_authenticated = roan_acl_is_open(acl);
}

void roan_session_init(roan_session *session, roan_lane *lane, const roan_session_ops *ops)
{
    roan_engine *engine = lane->engine;
    *session = (roan_session){.lane = lane, .ops = ops};
    session->id = atomic_fetch_add_explicit(&engine->next_session_id, 1, memory_order_relaxed);
    set_first_user(session);
    session->created_ms = session->last_command_ms = lane->now_ms;
    roan_out_init(&session->out, &lane->out_pool, 2);
    session->next = lane->sessions;
    if (lane->sessions != NULL)
        lane->sessions->previous = session;
    lane->sessions = session;
    lane->session_count++;
}

static void end_monitor(roan_session *session)
{
    if (!(session->modes & ROAN_MODE_MONITOR))
        return;
    session->modes &= (uint8_t)~ROAN_MODE_MONITOR;
    session->lane->monitor_count--;
    atomic_fetch_sub(&session->lane->engine->monitor_count, 1);
}

void roan_session_done(roan_session *session)
{
    roan_lane *lane = session->lane;
    if (session->is_blocked)
        roan_session_unblock(session, ROAN_UNBLOCK_CLOSED);
    end_monitor(session);
    roan_transaction_end(session);
    roan_watch_done(session);
    roan_pubsub_end(session);
    roan_tracking_end(session);
    lane->held_count -= session->is_held;
    lane->blocked_count -= session->is_paused;
    roan_text_free(session->name);
    roan_text_free(session->lib_name);
    roan_text_free(session->lib_version);
    roan_out_done(&session->out);
    if (session->previous != NULL)
        session->previous->next = session->next;
    else
        lane->sessions = session->next;
    if (session->next != NULL)
        session->next->previous = session->previous;
    lane->session_count--;
}

void roan_session_reset(roan_session *session)
{
    end_monitor(session);
    roan_transaction_end(session);
    roan_pubsub_end(session);
    roan_tracking_off(session);
    roan_text_free(session->name);
    session->name = NULL;
    session->db = 0;
    session->out.protocol = 2;
    if (session->reply_mode != ROAN_REPLY_SKIP_THIS) /* that ends with this command */
        session->reply_mode = ROAN_REPLY_ON;
    session->no_evict = session->no_touch = session->import_source = session->capa_redirect = false;
    set_first_user(session);
}

void roan_session_close(roan_session *session, bool after_replies)
{
    session->is_closing = true;
    roan_tracking_closes(session);
    session->is_gone = session->is_gone || !after_replies;
    session->ops->close(session, after_replies);
}

/* ---- blocking ---- */

void roan_session_block(roan_session *session, int64_t deadline_us, roan_unblock_fn on_unblock)
{
    ROAN_ASSERT(!session->is_blocked);
    session->is_blocked = true;
    session->deadline_us = deadline_us;
    session->on_unblock = on_unblock;
    session->lane->blocked_count++;
    if (deadline_us != INT64_MAX)
        timer_add(session);
}

/* The command that has waited was executed; its own time is what it took before and after that. */
static void count_command(roan_session *session, roan_unblock_reason reason, uint64_t ns)
{
    roan_lane *lane = session->lane;
    unsigned id = session->last_command->id;
    session->commands++;
    lane->stats->commands++;
    roan_stats_record_call(lane->stats, id, ns, lane->engine->config.latency_tracking);
    lane->stats->commands_by_id[id].failed += reason == ROAN_UNBLOCK_ERROR;
}

void roan_session_unblock(roan_session *session, roan_unblock_reason reason)
{
    ROAN_ASSERT(session->is_blocked);
    timer_remove(session);
    if (session->waiting != NULL && reason != ROAN_UNBLOCK_SERVED && !roan_waiting_end(session->waiting) &&
        reason != ROAN_UNBLOCK_CLOSED)
        return;
    size_t out_bytes_before = roan_out_bytes(&session->out);
    bool was_refused = session->waiting != NULL && roan_waiting_is_refused(session->waiting);
    bool is_counted = reason != ROAN_UNBLOCK_CLOSED && !was_refused;
    roan_waiting *waiting = is_counted ? roan_waiting_keep(session->waiting) : NULL;
    uint64_t ns = session->blocked_ns;
    if (waiting != NULL && reason == ROAN_UNBLOCK_SERVED)
        ns += roan_waiting_served_ns(waiting);
    session->is_blocked = false;
    session->lane->blocked_count--;
    session->on_unblock(session, reason);
    if (is_counted)
        count_command(session, reason, ns);
    if (waiting != NULL)
        roan_waiting_log(waiting, session, ns, roan_out_bytes(&session->out) - out_bytes_before);
    session->caching_given = false;
    if (session->reply_mode != ROAN_REPLY_ON) { /* CLIENT REPLY: only OFF, or SKIP of the command that ends here */
        roan_out_rollback(&session->out, out_bytes_before);
        if (session->reply_mode == ROAN_REPLY_SKIP_THIS)
            session->reply_mode = ROAN_REPLY_ON;
    }
    if (reason == ROAN_UNBLOCK_CLOSED)
        return;
    session->ops->output_ready(session);
    session->ops->resume(session);
}

/* ---- all sessions ---- */

static roan_session *first_from_lane(roan_engine *engine, unsigned lane)
{
    for (; lane < engine->lane_count; lane++)
        if (engine->lanes[lane].sessions != NULL)
            return engine->lanes[lane].sessions;
    return NULL;
}

roan_session *roan_sessions_first(roan_engine *engine)
{
    return first_from_lane(engine, 0);
}

roan_session *roan_sessions_next(roan_session *session)
{
    return session->next != NULL ? session->next : first_from_lane(session->lane->engine, session->lane->index + 1);
}

roan_session *roan_sessions_find(roan_engine *engine, uint64_t id)
{
    for (roan_session *s = roan_sessions_first(engine); s != NULL; s = roan_sessions_next(s))
        if (s->id == id)
            return s;
    return NULL;
}
