/* engine/dispatch.c: the one door: from words to an executed command.
 *
 *   prepare: look up, hash the first key, prefetch
 *   execute: refuse? -> make memory -> queue it? -> locks -> body -> effects -> monitors -> unlock -> counters and logs
 *
 * Everything a command may or may not do is read from its row, here and nowhere else. Refusals are in the reference's
 * order: authentication, unknown, arity, transaction, rights, memory, replicas, mode of the session, pause. What is refused
 * between MULTI and EXEC makes EXEC fail; EXEC itself, when it is refused, ends the transaction.
 *
 * A unit is what happens at once under its locks: one body, or that of EXEC with all that it runs inside.
 */
#include "engine/dispatch.h"

#include "base/macros.h"
#include "engine/acl.h"
#include "engine/blocking.h"
#include "engine/command_keys.h"
#include "engine/effects.h"
#include "engine/evict.h"
#include "engine/logs.h"
#include "engine/monitor.h"
#include "engine/pubsub.h"
#include "engine/script/script.h"
#include "engine/stats.h"
#include "engine/tracking.h"
#include "engine/transaction.h"

#include <stdio.h>

#define NAME_TABLE_SIZE 2048 /* a power of two, several times the number of top-level commands */
#define PARK_ROUNDS_MAX 3    /* then the command runs alone, so that it cannot starve */

/* ---- looking up ---- */

typedef struct name_slot {
    const roan_command *command;
    bool is_parent;
} name_slot;

static name_slot name_table[NAME_TABLE_SIZE]; /* written once before main() */

static ROAN_ALWAYS_INLINE uint32_t name_hash(const char *name, size_t bytes)
{
    uint64_t head = 0, tail = 0;
    if (bytes >= 8) {
        memcpy(&head, name, 8);
        memcpy(&tail, name + bytes - 8, 8);
    } else if (bytes >= 4) {
        uint32_t a, b;
        memcpy(&a, name, 4);
        memcpy(&b, name + bytes - 4, 4);
        head = (uint64_t)a << 32 | b;
    } else if (bytes > 0) {
        head = (uint64_t)(unsigned char)name[0] << 16 | (uint64_t)(unsigned char)name[bytes / 2] << 8 |
               (unsigned char)name[bytes - 1];
    }
    uint64_t folded = (head | 0x2020202020202020ull) ^ ((tail | 0x2020202020202020ull) * 31) ^ bytes;
    return (uint32_t)((folded * 0x9e3779b97f4a7c15ull) >> 53) & (NAME_TABLE_SIZE - 1);
}

__attribute__((constructor)) static void build_name_table(void)
{
    for (unsigned i = 0; i < roan_command_index_count; i++) {
        const roan_command *command = roan_command_index[i];
        if (roan_command_is_subcommand(command))
            continue;
        unsigned children;
        ROAN_IGNORE(roan_command_subcommands(command, &children));
        uint32_t slot = name_hash(command->name, strlen(command->name));
        while (name_table[slot].command != NULL)
            slot = (slot + 1) & (NAME_TABLE_SIZE - 1);
        name_table[slot] = (name_slot){command, children > 0};
    }
}

static ROAN_ALWAYS_INLINE const roan_command *look_up(size_t argc, const roan_slice *argv)
{
    roan_slice name = argv[0];
    for (uint32_t slot = name_hash(name.data, name.bytes);; slot = (slot + 1) & (NAME_TABLE_SIZE - 1)) {
        const name_slot *found = &name_table[slot];
        if (found->command == NULL)
            return NULL;
        if (!roan_slice_is(name, found->command->name))
            continue;
        if (ROAN_LIKELY(!found->is_parent))
            return found->command;
        return roan_command_find_words(argc, argv);
    }
}

void roan_request_prepare(roan_session *session, roan_request *request)
{
    request->key_index = 0;
    request->command = look_up(request->argc, request->argv);
    if (ROAN_UNLIKELY(request->command == NULL))
        return;
    int first = request->command->keys[0].begin == ROAN_BEGIN_INDEX ? request->command->keys[0].index : 0;
    if (first <= 0 || (size_t)first >= request->argc || request->command->keys[0].find != ROAN_FIND_RANGE)
        return;
    roan_engine *engine = session->lane->engine;
    roan_slice key = request->argv[first];
    request->key_index = (uint32_t)first;
    request->hash = roan_hash(&engine->table_context.secret, key.data, key.bytes);
    request->stripe = roan_key_slot(key) & (engine->stripe_count - 1);
    request->table = &roan_engine_db_if_used(engine, session->db)->tables[request->stripe];
    roan_table_prefetch_segment(request->table, request->hash);
}

void roan_request_prefetch_slots(const roan_request *request)
{
    if (request->key_index != 0)
        roan_table_prefetch_slots(request->table, request->hash);
}

void roan_request_prefetch_entry(const roan_request *request)
{
    if (request->key_index != 0)
        roan_table_prefetch_item(request->table, request->hash);
}

/* ---- refusing ---- */

static bool is_exec(const roan_call *call)
{
    return call->command != NULL && call->command->id == ROAN_COMMAND_ID_exec;
}

/* The error that a command gets instead of being executed. An EXEC says what its transaction is discarded for. */
static void refuse_with(roan_call *call, const char *text)
{
    if (!is_exec(call)) {
        roan_call_error(call, text);
        return;
    }
    bool has_own_code = strncmp(text, "ERR ", 4) != 0;
    roan_call_error_printf(call, "EXECABORT Transaction discarded because of: %s", has_own_code ? text : text + 4);
}

static void refuse_unknown(roan_call *call)
{
    roan_slice name = call->argv[0];
    const roan_slice *argv = call->argv;
    if (roan_command_find_words(1, argv) != NULL) {
        roan_call_unknown_subcommand(call);
        return;
    }
    roan_buffer *text = &call->lane->scratch;
    text->bytes = 0;
    roan_buffer_printf(text, "ERR unknown command '%.*s', with args beginning with: ", (int)ROAN_MIN(name.bytes, 128u),
                       name.data);
    size_t start = text->bytes;
    for (size_t i = 1; i < call->argc && text->bytes - start < 128; i++)
        roan_buffer_printf(text, "'%.*s' ", (int)ROAN_MIN(argv[i].bytes, 128 - (text->bytes - start)), argv[i].data);
    roan_call_error_printf(call, "%.*s", (int)text->bytes, text->data);
}

static bool arity_is_right(const roan_command *command, size_t argc)
{
    return command->arity >= 0 ? argc == (size_t)command->arity : argc >= (size_t)-command->arity;
}

static void refuse_arity(roan_call *call)
{
    if (is_exec(call))
        refuse_with(call, "ERR wrong number of arguments for 'exec' command");
    else
        roan_call_arity_error(call);
}

/* The first words of an HTTP request: somebody makes a browser talk to us. */
static bool is_http(const roan_call *call)
{
    return call->command == NULL && (roan_call_is(call, 0, "post") || roan_call_is(call, 0, "host:"));
}

static void refuse_http(roan_call *call)
{
    roan_host *host = &call->engine->host;
    if (host->log != NULL)
        host->log(host->context, ROAN_LOG_WARNING,
                  "Closing a connection that speaks HTTP: somebody may be trying to attack through a browser");
    roan_session_close(call->session, false);
}

static bool refuse_for_rights(roan_call *call)
{
    roan_buffer *text = &call->lane->scratch;
    if (!(call->session->modes & ROAN_MODE_RESTRICTED) || !roan_acl_refuses(call, text))
        return false;
    refuse_with(call, text->data);
    return true;
}

/* What is wrong with a request whose session or command is not an ordinary one. */
static bool refuse_unusual(roan_call *call)
{
    const roan_command *command = call->command;
    if (is_http(call))
        refuse_http(call);
    else if (!call->session->is_authenticated && (command == NULL || !(command->flags & ROAN_CMD_NO_AUTH)))
        refuse_with(call, "NOAUTH Authentication required.");
    else if (command == NULL)
        refuse_unknown(call);
    else if (!arity_is_right(command, call->argc))
        refuse_arity(call);
    else if (call->session->modes & ROAN_MODE_TRANSACTION && command->flags & ROAN_CMD_NO_MULTI)
        roan_call_error_printf(call, "ERR Command '%s' not allowed inside a transaction", command->name);
    else
        return refuse_for_rights(call);
    return true;
}

/* The same for every request. */
static ROAN_ALWAYS_INLINE bool refuse_for_form(roan_call *call)
{
    const roan_command *command = call->command;
    const roan_session *session = call->session;
    bool is_usual = command != NULL && session->is_authenticated && session->modes == 0;
    return !(ROAN_LIKELY(is_usual && arity_is_right(command, call->argc)) || !refuse_unusual(call));
}

/* The flags of the command; an EXEC has those of what it will run, too, and a script its own. */
static uint32_t effective_flags(const roan_call *call)
{
    if (ROAN_UNLIKELY(call->command->lock == ROAN_LOCK_T))
        return roan_script_command_flags(call);
    return call->command->flags | (is_exec(call) ? roan_transaction_flags(call->session) : 0);
}

static bool refuse_for_memory(roan_call *call)
{
    roan_evict_result result = roan_evict_to_limit(call->lane);
    if (call->session->modes & ROAN_MODE_TRACKED && call->session->reply_mode == ROAN_REPLY_ON)
        roan_talk_flush(call->session); /* what went is news from before the command */
    if (result != ROAN_EVICT_FAILED || !(effective_flags(call) & ROAN_CMD_DENY_OOM))
        return false;
    refuse_with(call, "OOM command not allowed when used memory > 'maxmemory'.");
    return true;
}

/* There is no replication yet, so there are never enough replicas. */
static bool refuse_for_replicas(roan_call *call)
{
    const roan_config *config = &call->engine->config;
    if (config->min_replicas_to_write == 0 || config->min_replicas_max_lag == 0 ||
        !(effective_flags(call) & ROAN_CMD_WRITE))
        return false;
    refuse_with(call, "NOREPLICAS Not enough good replicas to write.");
    return true;
}

/* A script has run for too long; nothing is evicted under it. */
static bool is_busy(const roan_engine *engine)
{
    return atomic_load_explicit(&engine->scripts->busy, memory_order_relaxed) != 0;
}

/* A quick look whether refuse_for_state has anything to look at. */
static ROAN_ALWAYS_INLINE bool may_refuse_for_state(const roan_engine *engine)
{
    return (engine->config.maxmemory | (uint64_t)engine->config.min_replicas_to_write) != 0;
}

/* What the configuration and the state of the server refuse. */
static bool refuse_for_state(roan_call *call)
{
    const roan_config *config = &call->engine->config;
    return (config->maxmemory > 0 && !is_busy(call->engine) && refuse_for_memory(call)) || refuse_for_replicas(call);
}

/* With RESP2 a message looks like a reply: a session that gets messages may send little. */
static bool is_for_subscribers(const roan_command *command)
{
    switch (command->id) {
    case ROAN_COMMAND_ID_ping:
    case ROAN_COMMAND_ID_subscribe:
    case ROAN_COMMAND_ID_ssubscribe:
    case ROAN_COMMAND_ID_psubscribe:
    case ROAN_COMMAND_ID_unsubscribe:
    case ROAN_COMMAND_ID_sunsubscribe:
    case ROAN_COMMAND_ID_punsubscribe:
    case ROAN_COMMAND_ID_quit:
    case ROAN_COMMAND_ID_reset:
        return true;
    default:
        return false;
    }
}

/* What a session may not do because of what it is. */
static bool refuse_for_mode(roan_call *call)
{
    const roan_session *session = call->session;
    const uint32_t keyspace = ROAN_CMD_READ | ROAN_CMD_WRITE | ROAN_CMD_MAY_REPLICATE;
    if (session->modes & ROAN_MODE_SUBSCRIBED && session->out.protocol == 2 && !is_for_subscribers(call->command)) {
        char text[192];
        snprintf(text, sizeof text, "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
                                    "are allowed in this context", call->command->name);
        refuse_with(call, text);
        return true;
    }
    if (session->modes & ROAN_MODE_MONITOR && effective_flags(call) & keyspace) {
        refuse_with(call, "ERR Replica can't interact with the keyspace");
        return true;
    }
    return false;
}

/* A script has run for too long. */
static bool refuse_for_script(roan_call *call, int kind)
{
    if (call->command->flags & ROAN_CMD_ALLOW_BUSY)
        return false;
    refuse_with(call, roan_script_busy_text(kind));
    return true;
}

/* True when the request was answered with an error instead of being executed. */
static ROAN_ALWAYS_INLINE bool refuse(roan_call *call)
{
    int busy = atomic_load_explicit(&call->engine->scripts->busy, memory_order_relaxed);
    return ROAN_UNLIKELY(refuse_for_form(call)) || (may_refuse_for_state(call->engine) && refuse_for_state(call)) ||
           (ROAN_UNLIKELY(call->session->modes != 0) && refuse_for_mode(call)) ||
           (ROAN_UNLIKELY(busy != 0) && refuse_for_script(call, busy));
}

/* What a refusal leaves behind: a count, and a transaction that will not be executed. */
static void finish_refusal(roan_call *call)
{
    if (call->command != NULL)
        call->lane->stats->commands_by_id[call->command->id].rejected++;
    if (is_exec(call)) {
        roan_transaction_end(call->session);
        if (atomic_load_explicit(&call->engine->monitor_count, memory_order_relaxed) > 0)
            roan_monitor_feed(call); /* they have seen MULTI */
    } else if (call->session->transaction != NULL) {
        roan_transaction_refuse(call->session);
    }
}

static bool is_paused(const roan_call *call)
{
    return roan_engine_is_paused(call->engine, call->now_ms) &&
           (atomic_load_explicit(&call->engine->pause_all, memory_order_relaxed) != 0 ||
            effective_flags(call) & (ROAN_CMD_WRITE | ROAN_CMD_MAY_REPLICATE));
}

/* ---- queueing ---- */

static bool is_to_be_queued(const roan_call *call)
{
    if (!(call->session->modes & ROAN_MODE_TRANSACTION))
        return false;
    switch (call->command->id) {
    case ROAN_COMMAND_ID_exec:
    case ROAN_COMMAND_ID_discard:
    case ROAN_COMMAND_ID_quit:
    case ROAN_COMMAND_ID_reset:
        return false;
    default:
        return true;
    }
}

static void queue(roan_call *call)
{
    if (roan_transaction_add(call)) {
        roan_out_status(call->out, "QUEUED");
        return;
    }
    refuse_with(call, "OOM command not allowed: there is no memory to queue it");
    finish_refusal(call);
}

/* ---- locks ---- */

bool roan_call_add_stripes(const roan_call *call, roan_lock_set *set)
{
    if (ROAN_LIKELY(roan_command_single_key(call->command) != 0))
        return roan_lock_set_add(set, call->request->stripe);
    roan_key_list keys;
    roan_key_list_init(&keys);
    bool fits = roan_command_find_keys(call->command, call->argc, call->argv, &keys);
    const roan_key_ref *refs = roan_key_list_refs(&keys);
    for (unsigned i = 0; i < keys.count && fits; i++)
        fits = roan_lock_set_add(set, roan_key_slot(call->argv[refs[i].index]) & (call->engine->stripe_count - 1));
    roan_key_list_done(&keys);
    return fits;
}

/* What the call must hold; false: the gate. */
static ROAN_ALWAYS_INLINE bool collect_stripes(const roan_call *call, roan_lock_set *set)
{
    set->count = 0;
    switch ((roan_lock)call->command->lock) {
    case ROAN_LOCK_L:
        return true;
    case ROAN_LOCK_K:
        return call->engine->lane_count == 1 || roan_call_add_stripes(call, set);
    case ROAN_LOCK_E:
        return roan_transaction_collect(call->session, set);
    case ROAN_LOCK_T:
    case ROAN_LOCK_X:
        break;
    }
    return false;
}

/* ---- running ---- */

static void count_call(roan_call *call, size_t out_bytes_before)
{
    roan_lane *lane = call->lane;
    uint64_t ticks = roan_clock_ticks(call->engine->clock);
    uint64_t ns = roan_clock_ticks_to_ns(call->engine->clock, ticks - lane->ticks);
    lane->ticks = ticks;
    lane->stats->commands++;
    roan_stats_record_call(lane->stats, call->command->id, ns, call->engine->config.latency_tracking);
    if (ROAN_UNLIKELY(call->has_failed))
        lane->stats->commands_by_id[call->command->id].failed++;
    roan_logs_note(call, ns, call->request->bytes, roan_out_bytes(call->out) - out_bytes_before);
}

/* It is counted when its waiting ends. */
static void count_blocked(roan_call *call)
{
    roan_lane *lane = call->lane;
    uint64_t ticks = roan_clock_ticks(call->engine->clock);
    call->session->blocked_ns = roan_clock_ticks_to_ns(call->engine->clock, ticks - lane->ticks);
    lane->ticks = ticks;
}

/* A body, with what it leaves behind by itself. */
static void run_body(roan_call *call)
{
    call->command->body(call);
    roan_tracking_note_reads(call);
    roan_effects_collect(call);
    if (ROAN_UNLIKELY(atomic_load_explicit(&call->engine->monitor_count, memory_order_relaxed) > 0) &&
        !(call->command->flags & (ROAN_CMD_SKIP_MONITOR | ROAN_CMD_ADMIN)))
        roan_monitor_feed(call);
}

/* It looks at keys that nobody has named. */
static bool touches_any_key(const roan_command *command)
{
    return command->id == ROAN_COMMAND_ID_scan || command->id == ROAN_COMMAND_ID_randomkey;
}

/* What follows when all that happens at once has happened, still under its locks. */
static void finish_unit(roan_call *call)
{
    if (ROAN_UNLIKELY(call->lane->serves_others))
        return; /* what there is belongs to the script that stands still */
    if (ROAN_UNLIKELY(call->lane->effect_count > 0))
        roan_effects_hand_over_slowly(call->lane, !touches_any_key(call->command));
    roan_blocking_serve(call->lane);
}

static void run_unit(roan_call *call)
{
    roan_at_point(call->engine, ROAN_POINT_UNIT);
    run_body(call);
    roan_at_point(call->engine, ROAN_POINT_INSIDE);
    finish_unit(call);
    roan_at_point(call->engine, ROAN_POINT_DONE);
}

void roan_call_run_inner(roan_call *outer, roan_session *session, const roan_request *request)
{
    roan_call call = {
        .engine = outer->engine,
        .lane = outer->lane,
        .session = session,
        .command = request->command,
        .db = roan_engine_db_if_used(outer->engine, session->db),
        .argv = request->argv,
        .argc = request->argc,
        .out = &session->out,
        .now_ms = outer->now_ms,
        .request = request,
        .outer = outer,
        .may_not_block = true,
    };
    size_t out_bytes_before = roan_out_bytes(call.out);
    roan_at_point(call.engine, ROAN_POINT_INSIDE);
    run_body(&call);
    ROAN_ASSERT(!call.is_blocked);
    count_call(&call, out_bytes_before);
    session->commands++;
}

static roan_outcome hold(roan_call *call)
{
    if (!call->session->is_held) {
        call->session->is_held = true;
        call->lane->held_count++;
    }
    return ROAN_HELD;
}

/* A session that CLIENT PAUSE holds counts as blocked. */
static roan_outcome hold_paused(roan_call *call)
{
    ROAN_ASSERT(!call->session->is_paused);
    call->session->is_paused = true;
    call->lane->blocked_count++;
    call->lane->is_paused = true;
    return hold(call);
}

/* Somebody waits for a key of these stripes whose command needs other stripes as well, and may get it now. */
static bool wakes_far_waiters(const roan_call *call, const roan_lock_set *set)
{
    return ROAN_UNLIKELY(roan_blocking_is_used(call->engine)) && effective_flags(call) & ROAN_CMD_WRITE &&
           roan_blocking_needs_gate(call->engine, set->stripes, set->count);
}

/* A script that overruns has some stripes to its end; what is allowed meanwhile (WATCH) comes in between, alone. */
static bool is_held_by_script(const roan_call *call, const roan_lock_set *set)
{
    return set->count > 0 && is_busy(call->engine);
}

static roan_outcome park(roan_call *call)
{
    call->lane->stats->parked++;
    return hold(call);
}

/* The way to the gate leads outside: another lane may have paused the clients, or closed this one, before we are
 * alone. A script on another lane has to end first. */
static roan_outcome run_alone(roan_call *call)
{
    call->lane->may_interrupt = call->command->flags & ROAN_CMD_ALLOW_BUSY;
    if (!roan_gate_shut(call->lane))
        return park(call);
    call->lane->stats->gate_shut++;
    bool is_late = is_paused(call), is_closed = call->session->is_closing;
    if (ROAN_LIKELY(!is_late && !is_closed))
        run_unit(call);
    roan_gate_open(call->lane);
    roan_lane_update_time_keeping_ticks(call->lane); /* it may have taken long */
    return is_late && !is_closed ? hold_paused(call) : ROAN_DONE;
}

/* A script has the turn of scripts, and takes and gives back its locks itself. */
static roan_outcome run_script(roan_call *call)
{
    if (!roan_script_turn_take(call->lane))
        return park(call);
    run_unit(call);
    roan_script_release(call->lane);
    roan_script_turn_release(call->lane);
    return ROAN_DONE;
}

/* Runs the call under the locks its row asks for; ROAN_HELD when a stripe was busy. */
static roan_outcome run_locked(roan_call *call)
{
    roan_lock_set set;
    roan_outcome outcome = ROAN_DONE;
    if (ROAN_UNLIKELY(call->command->lock == ROAN_LOCK_T))
        return run_script(call);
    bool has_set = collect_stripes(call, &set);
    if (!has_set || ROAN_UNLIKELY(call->session->park_rounds >= PARK_ROUNDS_MAX || is_held_by_script(call, &set))) {
        outcome = run_alone(call);
    } else if (!roan_stripes_take(call->lane, set.stripes, set.count)) {
        call->session->park_rounds++;
        return park(call);
    } else if (wakes_far_waiters(call, &set)) {
        roan_stripes_release(call->lane, set.stripes, set.count);
        outcome = run_alone(call);
    } else {
        run_unit(call);
        roan_stripes_release(call->lane, set.stripes, set.count);
    }
    if (outcome == ROAN_DONE)
        call->session->park_rounds = 0;
    return outcome;
}

/* CLIENT REPLY: takes back what must not be sent. What switches replies on again is answered. */
static void apply_reply_mode(roan_session *session, size_t out_bytes_before)
{
    if (session->reply_mode != ROAN_REPLY_ON)
        roan_out_rollback(&session->out, out_bytes_before);
    if (session->reply_mode == ROAN_REPLY_SKIP_NEXT)
        session->reply_mode = ROAN_REPLY_SKIP_THIS;
    else if (session->reply_mode == ROAN_REPLY_SKIP_THIS)
        session->reply_mode = ROAN_REPLY_ON;
}

static ROAN_ALWAYS_INLINE roan_outcome execute(roan_call *call)
{
    roan_session *session = call->session;
    size_t out_bytes_before = roan_out_bytes(&session->out);
    if (ROAN_UNLIKELY(refuse(call))) {
        finish_refusal(call);
    } else if (ROAN_UNLIKELY(is_paused(call))) {
        return hold_paused(call);
    } else if (ROAN_UNLIKELY(is_to_be_queued(call))) {
        queue(call);
    } else {
        if (ROAN_UNLIKELY(run_locked(call) == ROAN_HELD))
            return ROAN_HELD;
        if (ROAN_UNLIKELY(call->is_blocked))
            count_blocked(call);
        else
            count_call(call, out_bytes_before);
        session->commands += !call->is_blocked;
    }
    session->last_command_ms = call->lane->now_ms;
    if (ROAN_UNLIKELY(session->reply_mode != ROAN_REPLY_ON) && !call->is_blocked)
        apply_reply_mode(session, out_bytes_before);
    return call->is_blocked ? ROAN_BLOCKED : ROAN_DONE;
}

roan_outcome roan_execute(roan_session *session, roan_request *request)
{
    roan_lane *lane = session->lane;
    roan_engine *engine = lane->engine;
    roan_call call = {
        .engine = engine,
        .lane = lane,
        .session = session,
        .command = request->command,
        .db = roan_engine_db_if_used(engine, session->db),
        .argv = request->argv,
        .argc = request->argc,
        .out = &session->out,
        .now_ms = lane->now_ms,
        .request = request,
    };
    ROAN_VERIFY(engine->lane_count == 1 || atomic_load_explicit(&lane->inside, memory_order_relaxed) != 0);
    session->last_command = call.command;
    if (ROAN_UNLIKELY(engine->tracking_is_used))
        roan_tracking_limit(lane);
    roan_talk talk;
    bool is_special = (session->modes & ~ROAN_MODE_RESTRICTED) | session->reply_mode;
    if (ROAN_UNLIKELY(is_special)) /* pushes for it wait until its reply is complete */
        roan_talk_begin(session, &talk);
    roan_outcome outcome = execute(&call);
    if (ROAN_UNLIKELY(is_special))
        roan_talk_end(session, &talk);
    if (ROAN_UNLIKELY(session->caching_given) && outcome == ROAN_DONE)
        roan_tracking_command_ended(session, call.command);
    return outcome;
}
