/* engine/script/run.c: running a script: its arguments, the commands it calls, its locks, its end.
 *
 * A script runs for a session that stands in for the caller's, whose replies are turned into Lua values. All effects of its
 * commands belong to the unit of the calling EVAL.
 *
 * Locks, with several lanes: the lane has the turn of scripts. A command of the script takes the stripes of its keys by waiting
 * for them, whatever keys were declared; they stay taken until the script has ended. That cannot deadlock: nobody else waits
 * while holding a stripe. A command that must be alone shuts the gate until the script has ended, or overruns: then the lane
 * has all stripes instead, so that others can be told that it is busy. The same goes for an EXEC with a script in it.
 */
#include "engine/script/script.h"

#include "base/macros.h"
#include "engine/acl.h"
#include "engine/blocking.h"
#include "engine/dispatch.h"
#include "engine/evict.h"
#include "engine/script/library.h"
#include "engine/script/reply.h"
#include "engine/stats.h"

#include <stdio.h>

#define ARGV_ROOM_MIN 64
#define ARGV_ROOM_KEPT_MAX 4096
#define REPLY_KEPT_BYTES_MAX (1 << 20)

static int run_inside(lua_State *lua);

/* ---- life ---- */

void roan_scripts_open_one(roan_scripts *scripts, roan_interp *interp)
{
    roan_interp_init(interp, scripts, interp == &scripts->functions);
    lua_State *lua = interp->lua;
    roan_script_watch(lua);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, interp->globals);
    lua_pushliteral(lua, "KEYS");
    lua_pushliteral(lua, "ARGV");
    lua_pushcclosure(lua, run_inside, 3);
    interp->runner = luaL_ref(lua, LUA_REGISTRYINDEX);
}

roan_scripts *roan_scripts_create(roan_engine *engine)
{
    roan_scripts *scripts = roan_alloc_zero(sizeof *scripts);
    scripts->engine = engine;
    ROAN_ASSERT(pthread_mutex_init(&scripts->lock, NULL) == 0);
    scripts->argv_room = ARGV_ROOM_MIN;
    scripts->argv = roan_alloc(ARGV_ROOM_MIN * sizeof *scripts->argv);
    scripts->held = roan_alloc(engine->stripe_count * sizeof *scripts->held);
    roan_scripts_open_one(scripts, &scripts->eval);
    roan_scripts_open_one(scripts, &scripts->functions);
    return scripts;
}

void roan_scripts_free(roan_scripts *scripts)
{
    if (scripts == NULL)
        return;
    roan_script_free_all(scripts);
    roan_libraries_flush(scripts);
    roan_hash_set_done(&scripts->libraries);
    roan_hash_set_done(&scripts->function_names);
    roan_hash_set_done(&scripts->by_text);
    roan_hash_set_done(&scripts->by_sha);
    roan_interp_done(&scripts->eval);
    roan_interp_done(&scripts->functions);
    roan_buffer_done(&scripts->reply);
    roan_buffer_done(&scripts->running_name);
    roan_buffer_done(&scripts->running_command);
    roan_free(scripts->argv, scripts->argv_room * sizeof *scripts->argv);
    roan_free(scripts->held, scripts->engine->stripe_count * sizeof *scripts->held);
    pthread_mutex_destroy(&scripts->lock);
    roan_free(scripts, sizeof *scripts);
}

/* ---- the locks of a script ---- */

static void take_stripe(roan_scripts *scripts, roan_lane *lane, uint32_t stripe)
{
    if (roan_stripe_is_held(lane, stripe))
        return;
    roan_stripe_wait(lane, stripe);
    scripts->held[scripts->held_count++] = stripe;
}

/* Somebody waits for a key of the stripes with a command that needs other stripes, too. */
static bool wakes_far_waiters(const roan_engine *engine, const roan_command *command, const roan_lock_set *set)
{
    return roan_blocking_is_used(engine) && command->flags & ROAN_CMD_WRITE &&
           roan_blocking_needs_gate(engine, set->stripes, set->count);
}

static void take_locks(roan_script_run *run, const roan_request *request)
{
    roan_lane *lane = run->call->lane;
    roan_scripts *scripts = lane->engine->scripts;
    const roan_command *command = request->command;
    if (lane->engine->lane_count == 1 || lane->is_alone || command->lock == ROAN_LOCK_L)
        return;
    roan_lock_set set;
    set.count = 0;
    roan_call words = {.engine = lane->engine,
                       .lane = lane,
                       .session = &run->session,
                       .command = command,
                       .argv = request->argv,
                       .argc = request->argc,
                       .request = request};
    if (command->lock == ROAN_LOCK_K && roan_call_add_stripes(&words, &set)) {
        for (size_t i = 0; i < set.count; i++)
            take_stripe(scripts, lane, set.stripes[i]);
        if (!wakes_far_waiters(lane->engine, command, &set))
            return;
    }
    roan_gate_shut_in_script(lane);
}

/* From here on it is the stripes that keep others from the keys. A later command that must be alone shuts the gate
 * again. */
void roan_script_let_others_answer(roan_lane *lane)
{
    roan_scripts *scripts = lane->engine->scripts;
    if (lane->engine->lane_count == 1 || !lane->is_alone)
        return;
    for (uint32_t i = 0; i < lane->engine->stripe_count; i++)
        if (roan_stripe_try(lane, i)) /* otherwise it is the script's already: nobody else is inside */
            scripts->held[scripts->held_count++] = i;
    scripts->run->was_in_exec |= !roan_script_turn_is_mine(lane);
    roan_gate_open_for_answers(lane);
}

void roan_script_release(roan_lane *lane)
{
    roan_scripts *scripts = lane->engine->scripts;
    roan_stripes_release(lane, scripts->held, scripts->held_count);
    scripts->held_count = 0;
    if (lane->is_alone)
        roan_gate_open_in_script(lane);
}

/* ---- commands of a script ---- */

/* Pushes the error; raises it when it is redis.call. */
static int fail(lua_State *lua, bool raises, const char *text)
{
    roan_interp_push_error(lua, roan_slice_from_text(text));
    return raises ? lua_error(lua) : 1;
}

/* The same for a command that is refused: it counts as an error now, whatever becomes of it. */
static int refuse(lua_State *lua, bool raises, const char *text)
{
    roan_stats_record_error(roan_interp_of(lua)->scripts->run->call->lane->stats, roan_slice_from_text(text));
    roan_interp_push_error(lua, roan_slice_from_text(text));
    lua_pushboolean(lua, 1);
    lua_setfield(lua, -2, "ignore_error_stats_update");
    return raises ? lua_error(lua) : 1;
}

static bool arity_is_right(const roan_request *request)
{
    return roan_command_accepts_count(request->command, request->argc);
}

/* What the user may not do, or NULL. */
static const char *refusal_for_rights(const roan_script_run *run, const roan_request *request)
{
    roan_acl_refusal refusal = roan_acl_ask(&run->session, request->command, request->argc, request->argv);
    if (ROAN_LIKELY(refusal.reason == ROAN_ACL_ALLOWED))
        return NULL;
    roan_buffer *text = &run->call->lane->scratch;
    roan_acl_report(run->call, request->command, request->argv, refusal, ROAN_ACL_CONTEXT_SCRIPT);
    text->bytes = 0;
    roan_buffer_append_text(text, "ERR ACL failure in script: ");
    roan_acl_refusal_text(run->session.user, request->command, request->argv, refusal, false, text);
    roan_buffer_append_char(text, '\0');
    return text->data;
}

/* Why the command may not run, or NULL. */
static const char *refusal(const roan_script_run *run, const roan_request *request)
{
    bool allows_denied = run->call->engine->scripts->allows_denied;
    const roan_command *command = request->command;
    if (!arity_is_right(request))
        return "ERR Wrong number of args calling command from script";
    if (command->flags & ROAN_CMD_NO_SCRIPT && !allows_denied)
        return "ERR This Valkey command is not allowed from script";
    const char *denial = refusal_for_rights(run, request);
    if (denial != NULL)
        return denial;
    if (!(command->flags & (ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM)))
        return NULL;
    if (command->flags & ROAN_CMD_WRITE && run->is_read_only)
        return "ERR Write commands are not allowed from read-only scripts.";
    if (command->flags & ROAN_CMD_WRITE && run->lacks_replicas)
        return "NOREPLICAS Not enough good replicas to write.";
    if (command->flags & ROAN_CMD_DENY_OOM && run->is_out_of_memory && !run->has_written)
        return "OOM command not allowed when used memory > 'maxmemory'.";
    return NULL;
}

static roan_slice *words_room(roan_scripts *scripts, size_t count)
{
    if (ROAN_UNLIKELY(count > scripts->argv_room)) {
        roan_free(scripts->argv, scripts->argv_room * sizeof *scripts->argv);
        scripts->argv_room = count;
        scripts->argv = roan_alloc(count * sizeof *scripts->argv);
    }
    return scripts->argv;
}

/* The word at a place of the stack, which keeps it alive; false: it is none. Numbers become strings there. */
static bool read_word(lua_State *lua, int index, roan_slice *ret_word)
{
    switch (lua_type(lua, index)) {
    case LUA_TNUMBER: {
        char text[ROAN_DOUBLE_TEXT_MAX];
        double number = lua_tonumber(lua, index);
        bool is_integer = number >= -9007199254740992.0 && number <= 9007199254740992.0 && number == (double)(int64_t)number;
        size_t bytes = is_integer ? roan_format_i64(text, (int64_t)number) : roan_format_double(text, number);
        lua_pushlstring(lua, text, bytes);
        lua_replace(lua, index);
    }
        /* fall through */
    case LUA_TSTRING:
        ret_word->data = lua_tolstring(lua, index, &ret_word->bytes);
        return true;
    default:
        return false;
    }
}

/* The reply of the command as one piece of memory. */
static const char *reply_bytes(roan_scripts *scripts, roan_out *out)
{
    if (ROAN_LIKELY(out->first == out->last))
        return out->first->data;
    size_t bytes = roan_out_bytes(out);
    scripts->reply.bytes = 0;
    roan_buffer_reserve(&scripts->reply, bytes);
    roan_out_copy(out, scripts->reply.data);
    return scripts->reply.data;
}

static const char *unknown_command(const roan_request *request, char text[256])
{
    if (roan_command_find_words(1, request->argv) == NULL)
        return "ERR Unknown command called from script";
    char name[64];
    size_t bytes = ROAN_MIN(request->argv[0].bytes, sizeof name - 1);
    for (size_t i = 0; i < bytes; i++)
        name[i] = (char)(request->argv[0].data[i] >= 'a' && request->argv[0].data[i] <= 'z' ? request->argv[0].data[i] - 32
                                                                                               : request->argv[0].data[i]);
    name[bytes] = '\0';
    snprintf(text, 256, "ERR unknown subcommand '%.*s'. Try %s HELP.", (int)ROAN_MIN(request->argv[1].bytes, 128u),
             request->argv[1].data, name);
    return text;
}

static int push_failure(lua_State *lua, const char *reply, bool raises)
{
    const char *end = rawmemchr(reply, '\r');
    lua_createtable(lua, 0, 2);
    lua_pushlstring(lua, reply + 1, (size_t)(end - reply) - 1);
    lua_setfield(lua, -2, "err");
    lua_pushboolean(lua, 1);
    lua_setfield(lua, -2, "ignore_error_stats_update");
    return raises ? lua_error(lua) : 1;
}

int roan_script_call(lua_State *lua, bool raises)
{
    roan_scripts *scripts = roan_interp_of(lua)->scripts;
    roan_script_run *run = scripts->run;
    int argc = lua_gettop(lua);
    if (argc == 0)
        return fail(lua, raises, "ERR Please specify at least one argument for this call");
    if (run == NULL)
        return fail(lua, raises, "ERR redis.call/pcall can only be called inside a script invocation");
    roan_request request = {.argv = words_room(scripts, (size_t)argc), .argc = (size_t)argc};
    for (int i = 0; i < argc; i++)
        if (ROAN_UNLIKELY(!read_word(lua, i + 1, &scripts->argv[i])))
            return fail(lua, raises, "ERR Command arguments must be strings or integers");
    roan_request_prepare(&run->session, &request);
    char text[256];
    if (ROAN_UNLIKELY(request.command == NULL))
        return refuse(lua, raises, unknown_command(&request, text));
    const char *problem = refusal(run, &request);
    if (ROAN_UNLIKELY(problem != NULL)) {
        run->call->lane->stats->commands_by_id[request.command->id].rejected++;
        return refuse(lua, raises, problem);
    }
    if (request.command->flags & ROAN_CMD_WRITE && !run->has_written) {
        run->has_written = true;
        atomic_store_explicit(&scripts->has_written, true, memory_order_relaxed);
    }
    take_locks(run, &request);
    roan_out_rollback(&run->session.out, 0);
    roan_call_run_inner(run->call, &run->session, &request);
    const char *reply = reply_bytes(scripts, &run->session.out);
    lua_settop(lua, 0); /* room for the reply */
    if (ROAN_UNLIKELY(*reply == '-'))
        return push_failure(lua, reply, raises);
    roan_lua_push_reply(lua, reply);
    return 1;
}

/* ---- running ---- */

bool roan_script_parse_keys(roan_call *call, const char *error, size_t *ret_keys)
{
    int64_t count;
    if (!roan_call_integer(call, 2, &count, error))
        return false;
    if (count > (int64_t)call->argc - 3) {
        roan_call_error(call, "ERR Number of keys can't be greater than number of args");
        return false;
    }
    if (count < 0) {
        roan_call_error(call, "ERR Number of keys can't be negative");
        return false;
    }
    *ret_keys = (size_t)count;
    return true;
}

static void describe_script(const roan_session *session, roan_transport_info *info)
{
    (void)session;
    *info = (roan_transport_info){.peer = "lua", .local = ""};
}

static void never(roan_session *session)
{
    (void)session;
}

static void never_close(roan_session *session, bool after_replies)
{
    (void)session;
    (void)after_replies;
}

static const roan_session_ops script_ops = {
    .describe = describe_script, .close = never_close, .output_ready = never, .resume = never};

static void open_session(roan_session *session, const roan_session *caller)
{
    *session = (roan_session){.lane = caller->lane,
                              .ops = &script_ops,
                              .id = caller->id,
                              .db = caller->db,
                              .is_authenticated = true,
                              .is_trusted = true,
                              .is_embedded = true,
                              .no_touch = caller->no_touch,
                              .import_source = caller->import_source,
                              .caching_given = caller->caching_given,
                              .tracker = caller->tracker};
    roan_acl_set_session_user(session, caller->user);
    roan_out_init(&session->out, &caller->lane->out_pool, 2);
}

static bool is_out_of_memory(roan_call *call)
{
    return call->engine->config.maxmemory > 0 && roan_evict_to_limit(call->lane) == ROAN_EVICT_FAILED;
}

static bool lacks_replicas(const roan_config *config)
{
    return config->min_replicas_to_write != 0 && config->min_replicas_max_lag != 0;
}

static roan_script_run *begin(roan_call *call, const roan_script_start *start)
{
    roan_scripts *scripts = call->engine->scripts;
    roan_script_run *run = &scripts->run_room;
    ROAN_ASSERT(scripts->run == NULL);
    *run = (roan_script_run){.call = call,
                             .interp = start->kind == ROAN_SCRIPT_EVAL ? &scripts->eval : &scripts->functions,
                             .flags = start->flags,
                             .name = start->name,
                             .is_read_only = start->is_read_only || start->flags & ROAN_SCRIPT_NO_WRITES,
                             .is_out_of_memory = !(start->flags & ROAN_SCRIPT_ALLOW_OOM) && is_out_of_memory(call),
                             .lacks_replicas = lacks_replicas(&call->engine->config),
                             .repl = 3,
                             .start_ticks = call->lane->ticks};
    open_session(&run->session, call->session);
    scripts->run = run;
    atomic_store_explicit(&scripts->started_ticks, run->start_ticks, memory_order_relaxed);
    atomic_store_explicit(&scripts->has_written, false, memory_order_relaxed);
    atomic_store_explicit(&scripts->is_killed, false, memory_order_relaxed);
    atomic_store_explicit(&scripts->running, (int)start->kind, memory_order_release);
    return run;
}

/* The EXEC that had shut the gate is alone again. */
static void go_on_in_exec(roan_lane *lane)
{
    roan_scripts *scripts = lane->engine->scripts;
    roan_gate_shut_after_answers(lane);
    roan_stripes_release(lane, scripts->held, scripts->held_count);
    scripts->held_count = 0;
}

static void end(roan_script_run *run)
{
    roan_scripts *scripts = run->call->engine->scripts;
    atomic_store_explicit(&scripts->running, ROAN_SCRIPT_NONE, memory_order_release);
    if (ROAN_UNLIKELY(atomic_load_explicit(&scripts->busy, memory_order_relaxed) != 0))
        atomic_store_explicit(&scripts->busy, 0, memory_order_release);
    if (ROAN_UNLIKELY(atomic_load_explicit(&scripts->is_killed, memory_order_relaxed)))
        roan_script_watch(run->interp->lua);
    if (ROAN_UNLIKELY(run->interp->ran_out)) { /* what the script has left must not stand in the next one's way */
        ROAN_IGNORE(lua_gc(run->interp->lua, LUA_GCCOLLECT, 0));
        run->interp->ran_out = false;
    }
    roan_out_done(&run->session.out);
    if (ROAN_UNLIKELY(run->was_in_exec))
        go_on_in_exec(run->call->lane);
    if (ROAN_UNLIKELY(run->is_long))
        roan_lane_update_time_keeping_ticks(run->call->lane);
    run->call->lane->ticks = run->start_ticks; /* its own duration is that of all it did */
    scripts->run = NULL;
    if (ROAN_UNLIKELY(scripts->argv_room > ARGV_ROOM_KEPT_MAX)) {
        roan_free(scripts->argv, scripts->argv_room * sizeof *scripts->argv);
        scripts->argv = roan_alloc(ARGV_ROOM_MIN * sizeof *scripts->argv);
        scripts->argv_room = ARGV_ROOM_MIN;
    }
    if (ROAN_UNLIKELY(scripts->reply.capacity > REPLY_KEPT_BYTES_MAX))
        roan_buffer_done(&scripts->reply);
}

/* What runs inside of lua_pcall: it may run out of memory. */
typedef struct start_context {
    const roan_script_start *start;
    const roan_call *call;
} start_context;

static void push_words(lua_State *lua, const roan_slice *words, size_t count)
{
    lua_createtable(lua, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(lua, words[i].data, words[i].bytes);
        lua_rawseti(lua, -2, (int)i + 1);
    }
}

/* Upvalues: the globals, and the names of the two that change. */
static int run_inside(lua_State *lua)
{
    const start_context *context = lua_touserdata(lua, 1);
    const roan_script_start *start = context->start;
    const roan_slice *words = context->call->argv + 3;
    size_t arguments = context->call->argc - 3 - start->keys;
    lua_settop(lua, 0);
    if (start->kind == ROAN_SCRIPT_FUNCTION) {
        lua_rawgeti(lua, LUA_REGISTRYINDEX, start->function);
        push_words(lua, words, start->keys);
        push_words(lua, words + start->keys, arguments);
        lua_call(lua, 2, 1);
        return 1;
    }
    lua_pushvalue(lua, lua_upvalueindex(2));
    push_words(lua, words, start->keys);
    lua_rawset(lua, lua_upvalueindex(1));
    lua_pushvalue(lua, lua_upvalueindex(3));
    push_words(lua, words + start->keys, arguments);
    lua_rawset(lua, lua_upvalueindex(1));
    lua_rawgeti(lua, LUA_REGISTRYINDEX, start->function);
    lua_call(lua, 0, 1);
    return 1;
}

void roan_script_send_error(roan_call *call, lua_State *lua)
{
    roan_buffer *text = &call->lane->scratch;
    bool is_counted = false;
    text->bytes = 0;
    if (lua_type(lua, -1) != LUA_TTABLE) { /* out of memory, or an error of the handler */
        const char *message = lua_tostring(lua, -1);
        roan_buffer_printf(text, "ERR %s", message == NULL ? "unknown error" : message);
    } else {
        lua_getfield(lua, -1, "ignore_error_stats_update");
        is_counted = lua_toboolean(lua, -1);
        lua_getfield(lua, -2, "err");
        roan_buffer_append_text(text, lua_tostring(lua, -1));
        lua_getfield(lua, -3, "source");
        if (lua_type(lua, -1) == LUA_TSTRING) {
            lua_getfield(lua, -4, "line");
            roan_buffer_printf(text, " script: on %s:%d.", lua_tostring(lua, -2), (int)lua_tointeger(lua, -1));
            lua_pop(lua, 1);
        }
        lua_pop(lua, 3);
    }
    call->has_failed = true;
    if (!is_counted)
        roan_stats_record_error(call->lane->stats, roan_buffer_slice(text));
    roan_out_error(call->out, roan_buffer_slice(text));
}

/* The value on top is {err = text}: an answer that is counted as an error, unless the command that failed was. */
static void note_error_reply(roan_call *call, lua_State *lua)
{
    if (lua_type(lua, -1) != LUA_TTABLE)
        return;
    lua_pushliteral(lua, "err");
    lua_rawget(lua, -2);
    if (lua_type(lua, -1) == LUA_TSTRING) {
        call->has_failed = true;
        lua_pushliteral(lua, "ignore_error_stats_update");
        lua_rawget(lua, -3);
        if (!lua_toboolean(lua, -1))
            roan_stats_record_error(call->lane->stats, roan_slice_from_text(lua_tostring(lua, -2)));
        lua_pop(lua, 1);
    }
    lua_pop(lua, 1);
}

void roan_script_run_now(roan_call *call, const roan_script_start *start)
{
    roan_lane *lane = call->lane;
    size_t effect_bytes = lane->effects.bytes, effect_count = lane->effect_count;
    roan_script_run *run = begin(call, start);
    lua_State *lua = run->interp->lua;
    start_context context = {start, call};
    lua_rawgeti(lua, LUA_REGISTRYINDEX, run->interp->handler);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, run->interp->runner);
    lua_pushlightuserdata(lua, &context);
    roan_interp_enter(run->interp);
    if (ROAN_UNLIKELY(lua_pcall(lua, 1, 1, 1) != 0)) {
        roan_script_send_error(call, lua);
    } else {
        note_error_reply(call, lua);
        roan_lua_send(lua, call->out, run->session.out.protocol);
    }
    lua_settop(lua, 0);
    if (ROAN_UNLIKELY(run->repl == 0)) {
        lane->effects.bytes = effect_bytes;
        lane->effect_count = effect_count;
    }
    end(run);
}
