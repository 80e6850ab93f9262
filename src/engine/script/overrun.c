/* engine/script/overrun.c: scripts that run for long: the hook that looks at the clock, what others are told, killing.
 *
 * The interpreter calls look_around() every HOOK_INSTRUCTIONS. Once a script has run longer than busy-reply-threshold, the
 * lane serves its connections from inside of it, and every lane refuses what is not allowed meanwhile. A script that was
 * killed fails at each further instruction, so that nothing in it can catch the error for good.
 */
#include "engine/script/script.h"

#include "base/macros.h"

#define HOOK_INSTRUCTIONS 100000 /* between two looks at the clock */
#define LOAD_MS_MAX 500          /* for the code of a library */

static int64_t ms_since(const roan_engine *engine, uint64_t ticks)
{
    return (int64_t)(roan_clock_ticks_to_ns(engine->clock, roan_clock_ticks(engine->clock) - ticks) / 1000000);
}

/* The name and the words of what has overrun, for roan_script_show_running. */
static void note_running(roan_scripts *scripts)
{
    const roan_script_run *run = scripts->run;
    roan_buffer *words = &scripts->running_command;
    pthread_mutex_lock(&scripts->lock);
    scripts->running_name.bytes = words->bytes = 0;
    roan_buffer_append_slice(&scripts->running_name, run->name);
    roan_buffer_printf(words, "*%zu\r\n", run->call->argc);
    for (size_t i = 0; i < run->call->argc; i++) {
        roan_buffer_printf(words, "$%zu\r\n", run->call->argv[i].bytes);
        roan_buffer_append_slice(words, run->call->argv[i]);
        roan_buffer_append_text(words, "\r\n");
    }
    pthread_mutex_unlock(&scripts->lock);
}

/* The script has overrun: others are told so, and the lane serves its connections for a moment. */
static void serve_others(roan_lane *lane)
{
    roan_engine *engine = lane->engine;
    roan_scripts *scripts = engine->scripts;
    int running = atomic_load_explicit(&scripts->running, memory_order_relaxed);
    if (atomic_load_explicit(&scripts->busy, memory_order_relaxed) == 0)
        note_running(scripts);
    if (atomic_exchange_explicit(&scripts->busy, running, memory_order_seq_cst) == 0)
        roan_lanes_wake_held(engine); /* who waits for our stripes is told instead */
    if (engine->host.serve_others == NULL)
        return;
    roan_script_let_others_answer(lane);
    uint64_t ticks = lane->ticks;
    roan_gate_let_in_script(lane, true);
    lane->serves_others = true;
    if (!engine->host.serve_others(engine->host.context, lane))
        atomic_store_explicit(&scripts->is_killed, true, memory_order_relaxed);
    lane->serves_others = false;
    roan_gate_let_in_script(lane, false);
    lane->ticks = ticks;
}

static void look_around(lua_State *lua, lua_Debug *place)
{
    (void)place;
    roan_scripts *scripts = roan_interp_of(lua)->scripts;
    roan_engine *engine = scripts->engine;
    roan_script_run *run = scripts->run;
    if (scripts->loading != NULL && ms_since(engine, scripts->loading_since) >= LOAD_MS_MAX)
        luaL_error(lua, "FUNCTION LOAD timeout");
    if (run == NULL)
        return;
    run->is_long = true;
    int64_t threshold_ms = engine->config.busy_reply_threshold_ms;
    if (threshold_ms > 0 && ms_since(engine, run->start_ticks) >= threshold_ms)
        serve_others(run->call->lane);
    if (!atomic_load_explicit(&scripts->is_killed, memory_order_relaxed))
        return;
    lua_sethook(lua, look_around, LUA_MASKCOUNT, 1); /* whatever catches this does not get far */
    roan_interp_push_error(lua, run->interp->is_for_functions
                                    ? ROAN_LITERAL("ERR Script killed by user with FUNCTION KILL.")
                                    : ROAN_LITERAL("ERR Script killed by user with SCRIPT KILL."));
    lua_error(lua);
}

void roan_script_watch(lua_State *lua)
{
    lua_sethook(lua, look_around, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
}

/* ---- commands of others ---- */

void roan_script_show_running(roan_call *call)
{
    roan_scripts *scripts = call->engine->scripts;
    if (atomic_load(&scripts->busy) != ROAN_SCRIPT_FUNCTION) {
        roan_out_null(call->out);
        return;
    }
    pthread_mutex_lock(&scripts->lock);
    roan_out_map(call->out, 3);
    roan_out_bulk_text(call->out, "name");
    roan_out_bulk(call->out, roan_buffer_slice(&scripts->running_name));
    roan_out_bulk_text(call->out, "command");
    roan_out_raw(call->out, scripts->running_command.data, scripts->running_command.bytes);
    roan_out_bulk_text(call->out, "duration_ms");
    roan_out_integer(call->out, ms_since(call->engine, atomic_load(&scripts->started_ticks)));
    pthread_mutex_unlock(&scripts->lock);
}

const char *roan_script_busy_text(int kind)
{
    return kind == ROAN_SCRIPT_EVAL
               ? "BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
               : "BUSY Valkey is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
}

void roan_script_kill(roan_call *call, roan_script_kind kind)
{
    roan_scripts *scripts = call->engine->scripts;
    int running = atomic_load(&scripts->running);
    if (running == ROAN_SCRIPT_NONE)
        roan_call_error(call, "NOTBUSY No scripts in execution right now.");
    else if (atomic_load(&scripts->has_written))
        roan_call_error(call, "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either "
                              "wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE "
                              "command.");
    else if (running != (int)kind)
        roan_call_error(call, roan_script_busy_text(running));
    else {
        atomic_store(&scripts->is_killed, true);
        roan_out_ok(call->out);
    }
}
