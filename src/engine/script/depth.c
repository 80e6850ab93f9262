/* engine/script/depth.c: functions of the standard library that call functions of the script, or start coroutines.
 *
 * Each of them is a frame on the C stack, and gsub's are large. LuaJIT counts the slots of its own stacks only, so a script
 * could run over the end of the thread's. Here they look at how much of it is left before they begin: it may take
 * ROAN_LUA_C_STACK_BYTES beyond where the script was entered. What calls without such a frame (pcall, tostring, metamethods
 * of operators) stays as it is.
 *
 * The originals run in place of the guard, as the same function of the same caller: errors name it, and the line.
 */
#include "engine/script/interp.h"

#include "base/macros.h"

#define OVERFLOW_TEXT "C stack overflow"

void roan_interp_enter(roan_interp *interp)
{
    interp->stack_end = (uintptr_t)__builtin_frame_address(0) - ROAN_LUA_C_STACK_BYTES;
}

static bool is_deep(lua_State *lua)
{
    return (uintptr_t)__builtin_frame_address(0) < roan_interp_of(lua)->stack_end;
}

void roan_lua_check_depth(lua_State *lua)
{
    if (!is_deep(lua))
        return;
    lua_pushliteral(lua, OVERFLOW_TEXT);
    lua_error(lua);
}

/* Upvalue: the function. */
static int call_guarded(lua_State *lua)
{
    const lua_CFunction *function = lua_touserdata(lua, lua_upvalueindex(1));
    roan_lua_check_depth(lua);
    return (*function)(lua);
}

void roan_lua_guard(lua_State *lua, const char *const *names)
{
    for (; *names != NULL; names++) {
        lua_getfield(lua, -1, *names);
        lua_CFunction function = lua_tocfunction(lua, -1);
        lua_pop(lua, 1);
        if (function == NULL)
            continue; /* LuaJIT has it in Lua */
        lua_CFunction *kept = lua_newuserdata(lua, sizeof(lua_CFunction));
        *kept = function;
        lua_pushcclosure(lua, call_guarded, 1);
        lua_setfield(lua, -2, *names);
    }
}

/* ---- coroutines ---- */

/* Calls LuaJIT's resume, which is upvalue 1, with the whole stack. */
static int resume_all(lua_State *lua)
{
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
    return lua_gettop(lua);
}

static int coroutine_resume(lua_State *lua)
{
    luaL_argcheck(lua, lua_type(lua, 1) == LUA_TTHREAD, 1, "coroutine expected");
    if (!is_deep(lua))
        return resume_all(lua);
    lua_pushboolean(lua, 0);
    lua_pushliteral(lua, OVERFLOW_TEXT);
    return 2;
}

/* What wrap has returned. Upvalue 2: the coroutine. */
static int call_wrapped(lua_State *lua)
{
    if (is_deep(lua)) {
        lua_settop(lua, 0);
        lua_pushboolean(lua, 0);
        lua_pushliteral(lua, OVERFLOW_TEXT);
    } else {
        lua_pushvalue(lua, lua_upvalueindex(2));
        lua_insert(lua, 1);
        ROAN_IGNORE(resume_all(lua)); /* the stack says it */
    }
    if (lua_toboolean(lua, 1))
        return lua_gettop(lua) - 1;
    if (lua_type(lua, 2) == LUA_TSTRING) {
        luaL_where(lua, 1);
        lua_insert(lua, 2);
        lua_concat(lua, 2);
    }
    return lua_error(lua);
}

static int coroutine_wrap(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TFUNCTION);
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_State *coroutine = lua_newthread(lua);
    lua_pushvalue(lua, 1);
    lua_xmove(lua, coroutine, 1);
    lua_pushcclosure(lua, call_wrapped, 2);
    return 1;
}

void roan_lua_guard_coroutines(lua_State *lua)
{
    lua_getfield(lua, -1, "resume");
    lua_pushvalue(lua, -1);
    lua_pushcclosure(lua, coroutine_resume, 1);
    lua_setfield(lua, -3, "resume");
    lua_pushcclosure(lua, coroutine_wrap, 1);
    lua_setfield(lua, -2, "wrap");
}
