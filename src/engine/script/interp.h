/* engine/script/interp.h: a Lua interpreter for scripts: its memory, its sandbox, and the tables scripts see.
 *
 * LuaJIT with its compiler off. An engine has one interpreter for EVAL and one for functions; whoever holds the script turn
 * (engine/lock.h) uses them. Everything that a script could keep for the next one is behind a proxy: an empty table whose
 * metatable leads to the real one and refuses to write. The functions of the base library that look past metatables know
 * proxies. Bytecode is never loaded.
 */
#pragma once

#include "base/alloc.h"
#include "roan/base.h"

#include <lauxlib.h>
#include <lua.h>

typedef struct roan_scripts roan_scripts;

typedef struct roan_interp {
    lua_State *lua;
    roan_scripts *scripts;
    size_t bytes;      /* memory in use */
    size_t bytes_max;
    bool ran_out;      /* of memory, since this was last looked at */
    bool is_for_functions;
    uintptr_t stack_end; /* of what the running script may use of its thread's C stack, which grows downwards */
    int globals;       /* registry: the real table of globals */
    int loading;       /* functions: the globals while a library is loaded */
    int global_meta;   /* metatable of the proxy that scripts have as _G */
    int runner;        /* registry: what sets up the arguments and calls a script, see run.c */
    int handler;       /* adds where it was to an error */
} roan_interp;

#define ROAN_LUA_BYTES_MAX ((size_t)1 << 30) /* of one interpreter */
#define ROAN_LUA_C_STACK_BYTES ((size_t)1 << 20) /* threads have 2 MiB at least */

/* A new state with its libraries; the `redis` tables come from roan_interp_open_api. */
void roan_interp_init(roan_interp *interp, roan_scripts *scripts, bool is_for_functions);
void roan_interp_done(roan_interp *interp);

/* The interpreter that a state, or a coroutine of it, belongs to. */
static inline roan_interp *roan_interp_of(lua_State *lua)
{
    void *interp;
    lua_getallocf(lua, &interp);
    return interp;
}

/* Must be called by whoever calls into Lua, on the thread that will. */
void roan_interp_enter(roan_interp *interp);

/* Replaces the table on top of the stack by a proxy for it. */
void roan_interp_protect(lua_State *lua);

/* Pushes {err = text}. */
void roan_interp_push_error(lua_State *lua, roan_slice text);

/* Compiles text (never bytecode); pushes the function, or an error message and returns false. `chunk` begins with '@'. */
bool roan_interp_compile(roan_interp *interp, roan_slice text, const char *chunk);

/* Functions: what globals mean while a library is loaded, and afterwards. */
void roan_interp_enter_loading(roan_interp *interp);
void roan_interp_leave_loading(roan_interp *interp);

/* ---- for the interpreter: the libraries of our own ---- */

/* Pushes the table of the library. */
void roan_lua_push_struct(lua_State *lua);
void roan_lua_push_cmsgpack(lua_State *lua);

/* depth.c: raises an error when too little of the C stack is left. */
void roan_lua_check_depth(lua_State *lua);

/* Makes the named functions of the table on top do so, or resume and wrap. */
void roan_lua_guard(lua_State *lua, const char *const *names);
void roan_lua_guard_coroutines(lua_State *lua);

/* Pushes the table `redis` (api.c): for scripts, for functions, or for the loading of libraries. */
typedef enum roan_lua_api { ROAN_LUA_EVAL, ROAN_LUA_FUNCTIONS, ROAN_LUA_LOADING } roan_lua_api;
void roan_lua_push_api(lua_State *lua, roan_lua_api api);
