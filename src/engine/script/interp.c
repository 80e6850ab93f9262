/* engine/script/interp.c: the sandbox; see interp.h.
 *
 *   _G of scripts (proxy) --__index--> globals --__index--> error: no such global
 *   string, math, ... (proxies) --__index--> their real tables
 *
 * registry[&proxies] maps every proxy to its real table, for the functions that must know. Nothing else leads to a real
 * table: pairs() of a proxy walks with a `next` that knows proxies, and metatables of proxies cannot be had.
 */
#include "engine/script/interp.h"

#include "base/macros.h"
#include "engine/script/source.h"

#include <luajit.h>
#include <lualib.h>
#include <string.h>

#define PCALL_CHUNK "=pcall"
#define PLACE_LEVELS 16 /* how far up an error's place is looked for */

int luaopen_cjson(lua_State *lua); /* of the library lua-cjson, whose header is for another Lua */

static const char proxies = 0; /* its address is the registry's key */

/* ---- memory ---- */

static void *allocate(void *context, void *memory, size_t old_bytes, size_t new_bytes)
{
    roan_interp *interp = context;
    if (new_bytes == 0) {
        roan_free(memory, old_bytes);
        interp->bytes -= old_bytes;
        return NULL;
    }
    if (new_bytes > old_bytes && interp->bytes + (new_bytes - old_bytes) > interp->bytes_max) {
        interp->ran_out = true;
        return NULL;
    }
    void *moved = memory == NULL ? roan_try_alloc(new_bytes) : roan_try_realloc(memory, old_bytes, new_bytes);
    if (moved != NULL)
        interp->bytes = interp->bytes - old_bytes + new_bytes;
    return moved;
}

/* ---- errors ---- */

void roan_interp_push_error(lua_State *lua, roan_slice text)
{
    lua_createtable(lua, 0, 1);
    lua_pushlstring(lua, text.data, text.bytes);
    lua_setfield(lua, -2, "err");
}

/* Makes the error value on top a table with `err`. */
static void normalize_error(lua_State *lua)
{
    if (lua_type(lua, -1) == LUA_TTABLE) {
        lua_getfield(lua, -1, "err");
        bool has_text = lua_type(lua, -1) == LUA_TSTRING;
        lua_pop(lua, 1);
        if (has_text)
            return;
        lua_pop(lua, 1);
        roan_interp_push_error(lua, ROAN_LITERAL("ERR unknown error"));
        return;
    }
    size_t bytes = 3;
    const char *text = lua_type(lua, -1) == LUA_TSTRING ? lua_tolstring(lua, -1, &bytes) : "nil";
    lua_pushliteral(lua, "ERR ");
    lua_pushlstring(lua, text, bytes);
    lua_concat(lua, 2);
    lua_createtable(lua, 0, 3);
    lua_insert(lua, -2);
    lua_setfield(lua, -2, "err");
    lua_replace(lua, -2);
}

/* LuaJIT does not say in which line the stack overflowed. */
static void say_where_it_overflowed(lua_State *lua, const lua_Debug *place)
{
    lua_getfield(lua, -1, "err");
    const char *text = lua_tostring(lua, -1);
    bool is_overflow = strcmp(text, "ERR stack overflow") == 0;
    lua_pop(lua, 1);
    if (!is_overflow)
        return;
    lua_pushfstring(lua, "ERR %s:%d: stack overflow", place->short_src, place->currentline);
    lua_setfield(lua, -2, "err");
}

/* The handler of errors that end a script: notes the place in the script that was reached. */
static int note_place(lua_State *lua)
{
    lua_Debug place;
    lua_settop(lua, 1);
    normalize_error(lua);
    for (int level = 1; level < PLACE_LEVELS && lua_getstack(lua, level, &place); level++) {
        lua_getinfo(lua, "Sl", &place);
        if (place.currentline < 0 || strcmp(place.source, PCALL_CHUNK) == 0)
            continue;
        lua_pushstring(lua, place.source);
        lua_setfield(lua, -2, "source");
        lua_pushinteger(lua, place.currentline);
        lua_setfield(lua, -2, "line");
        say_where_it_overflowed(lua, &place);
        break;
    }
    return 1;
}

/* ---- proxies ---- */

/* Replaces the value at index 1, if it is a proxy, by its real table. */
static bool resolve(lua_State *lua)
{
    if (lua_type(lua, 1) != LUA_TTABLE)
        return false;
    lua_pushlightuserdata(lua, (void *)(uintptr_t)&proxies);
    lua_rawget(lua, LUA_REGISTRYINDEX);
    lua_pushvalue(lua, 1);
    lua_rawget(lua, -2);
    bool is_proxy = !lua_isnil(lua, -1);
    if (is_proxy)
        lua_replace(lua, 1);
    lua_settop(lua, is_proxy ? lua_gettop(lua) - 1 : lua_gettop(lua) - 2);
    return is_proxy;
}

static int refuse_to_write(lua_State *lua)
{
    return luaL_error(lua, "Attempt to modify a readonly table");
}

/* The same from a function of the base library: errors of those tell no line. */
static int refuse_to_write_raw(lua_State *lua)
{
    lua_pushliteral(lua, "Attempt to modify a readonly table");
    return lua_error(lua);
}

/* Pushes a metatable that leads to the table on top, which it takes. */
static void push_proxy_meta(lua_State *lua)
{
    lua_createtable(lua, 0, 3);
    lua_insert(lua, -2);
    lua_setfield(lua, -2, "__index");
    lua_pushcfunction(lua, refuse_to_write);
    lua_setfield(lua, -2, "__newindex");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
}

/* Turns the table on top into a proxy for the real table at `real`. */
static void note_proxy(lua_State *lua, int real)
{
    int proxy = lua_gettop(lua);
    lua_pushlightuserdata(lua, (void *)(uintptr_t)&proxies);
    lua_rawget(lua, LUA_REGISTRYINDEX);
    lua_pushvalue(lua, proxy);
    lua_pushvalue(lua, real);
    lua_rawset(lua, -3);
    lua_pop(lua, 1);
}

void roan_interp_protect(lua_State *lua)
{
    int real = lua_gettop(lua);
    lua_newtable(lua);
    note_proxy(lua, real);
    lua_pushvalue(lua, real);
    push_proxy_meta(lua);
    lua_setmetatable(lua, -2);
    lua_replace(lua, real);
}

static int no_such_global(lua_State *lua)
{
    return luaL_error(lua, "Script attempted to access nonexistent global variable '%s'", luaL_checkstring(lua, 2));
}

/* ---- functions of the base library that look past metatables ---- */

static int base_next(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_settop(lua, 2);
    ROAN_IGNORE(resolve(lua));
    if (lua_next(lua, 1))
        return 2;
    lua_pushnil(lua);
    return 1;
}

/* Upvalues: the fast next for ordinary tables, and the one above. */
static int base_pairs(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_settop(lua, 1);
    lua_pushvalue(lua, 1);
    bool is_proxy = resolve(lua);
    lua_pushvalue(lua, lua_upvalueindex(is_proxy ? 2 : 1));
    lua_insert(lua, 2);
    lua_pushnil(lua);
    return 3;
}

static int base_rawget(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    luaL_checkany(lua, 2);
    lua_settop(lua, 2);
    ROAN_IGNORE(resolve(lua));
    lua_rawget(lua, 1);
    return 1;
}

static int base_rawset(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    luaL_checkany(lua, 2);
    luaL_checkany(lua, 3);
    lua_settop(lua, 3);
    lua_pushvalue(lua, 1);
    if (resolve(lua))
        return refuse_to_write_raw(lua);
    lua_settop(lua, 3);
    lua_rawset(lua, 1);
    return 1;
}

static int base_setmetatable(lua_State *lua)
{
    int type = lua_type(lua, 2);
    luaL_checktype(lua, 1, LUA_TTABLE);
    luaL_argcheck(lua, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table expected");
    lua_settop(lua, 2);
    lua_pushvalue(lua, 1);
    if (resolve(lua))
        return refuse_to_write_raw(lua);
    lua_settop(lua, 2);
    if (luaL_getmetafield(lua, 1, "__metatable"))
        return luaL_error(lua, "cannot change a protected metatable");
    lua_setmetatable(lua, 1);
    return 1;
}

/* Upvalues: the proxy of globals and what passes for its metatable. */
static int base_getmetatable(lua_State *lua)
{
    luaL_checkany(lua, 1);
    lua_settop(lua, 1);
    if (lua_rawequal(lua, 1, lua_upvalueindex(1))) {
        lua_pushvalue(lua, lua_upvalueindex(2));
        return 1;
    }
    if (!lua_getmetatable(lua, 1)) {
        lua_pushnil(lua);
        return 1;
    }
    lua_getfield(lua, -1, "__metatable");
    if (lua_isnil(lua, -1)) {
        lua_pop(lua, 1);
        return 1;
    }
    if (lua_isboolean(lua, -1) && resolve(lua)) /* of a proxy: there is none to be seen */
        lua_pushnil(lua);
    return 1;
}

/* Text only. Returns the function, or nil and a message. */
static int load_text(lua_State *lua, const char *text, size_t bytes, const char *name)
{
    if (luaL_loadbufferx(lua, text, bytes, name, "t") == 0)
        return 1;
    lua_pushnil(lua);
    lua_insert(lua, -2);
    return 2;
}

static int base_loadstring(lua_State *lua)
{
    size_t bytes;
    const char *text = luaL_checklstring(lua, 1, &bytes);
    return load_text(lua, text, bytes, luaL_optstring(lua, 2, text));
}

static int base_load(lua_State *lua)
{
    roan_lua_check_depth(lua);
    luaL_checktype(lua, 1, LUA_TFUNCTION);
    const char *name = luaL_optstring(lua, 2, "=(load)");
    lua_settop(lua, 2);
    lua_pushliteral(lua, "");
    for (;;) {
        lua_pushvalue(lua, 1);
        lua_call(lua, 0, 1);
        if (lua_isnil(lua, -1) || (lua_type(lua, -1) == LUA_TSTRING && lua_objlen(lua, -1) == 0))
            break;
        if (lua_type(lua, -1) != LUA_TSTRING)
            return luaL_error(lua, "reader function must return a string");
        lua_concat(lua, 2);
    }
    lua_pop(lua, 1);
    size_t bytes;
    const char *text = lua_tolstring(lua, -1, &bytes);
    return load_text(lua, text, bytes, name);
}

/* Counts, collects and steps; what would change the collector for later scripts does nothing. Upvalue: the original. */
static int base_collectgarbage(lua_State *lua)
{
    const char *what = luaL_optstring(lua, 1, "collect");
    if (strcmp(what, "stop") == 0 || strcmp(what, "restart") == 0 || strncmp(what, "setp", 4) == 0 ||
        strncmp(what, "sets", 4) == 0) {
        lua_pushinteger(lua, 0);
        return 1;
    }
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, 1);
    return 1;
}

static int table_insert(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    int count = lua_gettop(lua);
    lua_pushvalue(lua, 1);
    if (resolve(lua))
        return refuse_to_write_raw(lua);
    lua_settop(lua, count);
    int at = (int)lua_objlen(lua, 1) + 1;
    if (count == 3) {
        int place = luaL_checkint(lua, 2);
        for (int i = ROAN_MAX(at, place); i > place; i--) {
            lua_rawgeti(lua, 1, i - 1);
            lua_rawseti(lua, 1, i);
        }
        at = place;
    } else if (count != 2) {
        return luaL_error(lua, "wrong number of arguments to 'insert'");
    }
    lua_rawseti(lua, 1, at);
    return 0;
}

/* Negative widths mean capitals; the least of them has no positive counterpart, which LuaJIT overlooks. Upvalue: its
 * function. */
static int bit_tohex(lua_State *lua)
{
    if (lua_gettop(lua) > 2)
        lua_settop(lua, 2);
    if (lua_type(lua, 2) == LUA_TNUMBER && lua_tonumber(lua, 2) < -8) {
        lua_settop(lua, 1);
        lua_pushinteger(lua, -8);
    }
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, 1);
    return 1;
}

static int table_setn(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    return luaL_error(lua, "'setn' is obsolete");
}

/* ---- building ---- */

static const char *const base_names[] = {"_VERSION", "assert",   "error",    "gcinfo", "ipairs", "rawequal", "select",
                                         "tonumber", "tostring", "type",     "unpack", "xpcall", NULL};
static const char *const coroutine_names[] = {"create", "resume", "running", "status", "wrap", "yield", NULL};
/* They call functions of the script. */
static const char *const string_callers[] = {"format", "gsub", NULL};
static const char *const table_callers[] = {"foreach", "foreachi", "sort", NULL};
static const char *const string_names[] = {"byte", "char", "dump",  "find", "format", "gmatch",  "gsub", "len",
                                           "lower", "match", "rep", "reverse", "sub", "upper", NULL};
static const char *const table_names[] = {"concat", "foreach", "foreachi", "getn", "maxn", "remove", "sort", NULL};
static const char *const math_names[] = {"abs",  "acos",  "asin",  "atan2", "atan", "ceil", "cos",        "cosh", "deg",
                                         "exp",  "floor", "fmod",  "frexp", "huge", "ldexp", "log10",     "log",  "max",
                                         "min",  "modf",  "pi",    "pow",   "rad",  "random", "randomseed", "sin",
                                         "sinh", "sqrt",  "tan",   "tanh",  NULL};
static const char *const os_names[] = {"clock", NULL};
static const char *const bit_names[] = {"arshift", "band", "bnot", "bor", "bswap", "bxor", "lshift",
                                        "rol", "ror", "rshift", "tobit", "tohex", NULL};

static void open_library(lua_State *lua, const char *name, lua_CFunction open)
{
    lua_pushcfunction(lua, open);
    lua_pushstring(lua, name);
    lua_call(lua, 1, 0);
}

/* Copies the named fields of the table at `from` to the table at `to`. */
static void copy_fields(lua_State *lua, int from, int to, const char *const *names)
{
    for (; *names != NULL; names++) {
        lua_getfield(lua, from, *names);
        ROAN_ASSERT(!lua_isnil(lua, -1));
        lua_setfield(lua, to, *names);
    }
}

/* Pushes a new table with the named fields of the standard library `name`. */
static void push_library(lua_State *lua, const char *name, const char *const *names)
{
    lua_getfield(lua, LUA_GLOBALSINDEX, name);
    lua_newtable(lua);
    copy_fields(lua, lua_gettop(lua) - 1, lua_gettop(lua), names);
    lua_remove(lua, -2);
}

static void alias(lua_State *lua, const char *name, const char *other)
{
    lua_getfield(lua, -1, name);
    lua_setfield(lua, -2, other);
}

static void set_function(lua_State *lua, int table, const char *name, lua_CFunction function)
{
    lua_pushcfunction(lua, function);
    lua_setfield(lua, table, name);
}

/* The string library, and the metatable of strings, which leads to it. */
static void open_string(lua_State *lua, int globals)
{
    push_library(lua, "string", string_names);
    roan_lua_guard(lua, string_callers);
    alias(lua, "gmatch", "gfind");
    roan_interp_protect(lua);
    int proxy = lua_gettop(lua);
    lua_newtable(lua); /* what getmetatable("") shows */
    lua_pushvalue(lua, proxy);
    lua_setfield(lua, -2, "__index");
    roan_interp_protect(lua);
    lua_pushliteral(lua, "");
    ROAN_IGNORE(lua_getmetatable(lua, -1)); /* strings have one */
    lua_pushvalue(lua, -3);
    lua_setfield(lua, -2, "__metatable");
    lua_pushvalue(lua, proxy);
    lua_setfield(lua, -2, "__index");
    lua_pushvalue(lua, proxy);
    lua_setfield(lua, globals, "string");
    lua_settop(lua, proxy - 1);
}

static void open_libraries(lua_State *lua, int globals)
{
    open_string(lua, globals);
    push_library(lua, "table", table_names);
    roan_lua_guard(lua, table_callers);
    set_function(lua, lua_gettop(lua), "insert", table_insert);
    set_function(lua, lua_gettop(lua), "setn", table_setn);
    roan_interp_protect(lua);
    lua_setfield(lua, globals, "table");
    push_library(lua, "math", math_names);
    alias(lua, "fmod", "mod");
    roan_interp_protect(lua);
    lua_setfield(lua, globals, "math");
    static const struct {
        const char *name;
        const char *const *names;
    } plain[] = {{"coroutine", coroutine_names}, {"os", os_names}, {"bit", bit_names}};
    for (size_t i = 0; i < ROAN_COUNT_OF(plain); i++) {
        push_library(lua, plain[i].name, plain[i].names);
        if (plain[i].names == coroutine_names)
            roan_lua_guard_coroutines(lua);
        if (plain[i].names == bit_names) {
            lua_getfield(lua, -1, "tohex");
            lua_pushcclosure(lua, bit_tohex, 1);
            lua_setfield(lua, -2, "tohex");
        }
        roan_interp_protect(lua);
        lua_setfield(lua, globals, plain[i].name);
    }
}

static void open_own_libraries(lua_State *lua, int globals)
{
    lua_pushcfunction(lua, luaopen_cjson);
    lua_call(lua, 0, 1);
    roan_interp_protect(lua);
    lua_setfield(lua, globals, "cjson");
    roan_lua_push_struct(lua);
    roan_interp_protect(lua);
    lua_setfield(lua, globals, "struct");
    roan_lua_push_cmsgpack(lua);
    roan_interp_protect(lua);
    lua_setfield(lua, globals, "cmsgpack");
}

/* pcall shows the text of an error table instead of the table. In Lua, so that coroutines can yield across it. */
static const char pcall_source[] = "local try, type, rawget = ...\n"
                                   "local function show(ok, e, ...)\n"
                                   "    if not ok and type(e) == 'table' then\n"
                                   "        local text = rawget(e, 'err')\n"
                                   "        if type(text) == 'string' then return ok, text end\n"
                                   "    end\n"
                                   "    return ok, e, ...\n"
                                   "end\n"
                                   "return function(...) return show(try(...)) end\n";

static void open_pcall(lua_State *lua, int globals)
{
    ROAN_ASSERT(luaL_loadbufferx(lua, pcall_source, sizeof pcall_source - 1, PCALL_CHUNK, "t") == 0);
    lua_getfield(lua, LUA_GLOBALSINDEX, "pcall");
    lua_getfield(lua, LUA_GLOBALSINDEX, "type");
    lua_getfield(lua, LUA_GLOBALSINDEX, "rawget");
    lua_call(lua, 3, 1);
    lua_setfield(lua, globals, "pcall");
}

/* `proxy` is what scripts have as _G. */
static void open_base(lua_State *lua, int globals, int proxy)
{
    copy_fields(lua, LUA_GLOBALSINDEX, globals, base_names);
    set_function(lua, globals, "next", base_next);
    set_function(lua, globals, "rawget", base_rawget);
    set_function(lua, globals, "rawset", base_rawset);
    set_function(lua, globals, "setmetatable", base_setmetatable);
    set_function(lua, globals, "load", base_load);
    set_function(lua, globals, "loadstring", base_loadstring);
    open_pcall(lua, globals);
    lua_getfield(lua, LUA_GLOBALSINDEX, "next");
    lua_getfield(lua, globals, "next");
    lua_pushcclosure(lua, base_pairs, 2);
    lua_setfield(lua, globals, "pairs");
    lua_getfield(lua, LUA_GLOBALSINDEX, "collectgarbage");
    lua_pushcclosure(lua, base_collectgarbage, 1);
    lua_setfield(lua, globals, "collectgarbage");
    lua_pushvalue(lua, proxy);
    lua_newtable(lua);
    roan_interp_protect(lua);
    lua_pushcclosure(lua, base_getmetatable, 2);
    lua_setfield(lua, globals, "getmetatable");
    lua_pushvalue(lua, proxy);
    lua_setfield(lua, globals, "_G");
}

/* Reading what a table of globals has not is an error. */
static void close_globals(lua_State *lua, int globals)
{
    lua_createtable(lua, 0, 1);
    lua_pushcfunction(lua, no_such_global);
    lua_setfield(lua, -2, "__index");
    lua_setmetatable(lua, globals);
}

static void open_api(lua_State *lua, int globals, roan_lua_api api)
{
    roan_lua_push_api(lua, api);
    if (api == ROAN_LUA_LOADING)
        close_globals(lua, lua_gettop(lua)); /* says more clearly what is missing */
    roan_interp_protect(lua);
    lua_pushvalue(lua, -1);
    lua_setfield(lua, globals, "redis");
    lua_setfield(lua, globals, "server");
}

static void open_standard(lua_State *lua)
{
    open_library(lua, "", luaopen_base);
    open_library(lua, LUA_STRLIBNAME, luaopen_string);
    open_library(lua, LUA_TABLIBNAME, luaopen_table);
    open_library(lua, LUA_MATHLIBNAME, luaopen_math);
    open_library(lua, LUA_OSLIBNAME, luaopen_os);
    open_library(lua, LUA_BITLIBNAME, luaopen_bit);
}

/* Runs inside of lua_cpcall. */
static int build(lua_State *lua)
{
    roan_interp *interp = lua_touserdata(lua, 1);
    lua_pushlightuserdata(lua, (void *)(uintptr_t)&proxies);
    lua_newtable(lua);
    lua_rawset(lua, LUA_REGISTRYINDEX);
    open_standard(lua);
    lua_newtable(lua);
    int globals = lua_gettop(lua);
    lua_newtable(lua);
    int proxy = lua_gettop(lua);
    note_proxy(lua, globals);
    open_base(lua, globals, proxy);
    open_libraries(lua, globals);
    open_own_libraries(lua, globals);
    open_api(lua, globals, interp->is_for_functions ? ROAN_LUA_FUNCTIONS : ROAN_LUA_EVAL);
    if (!interp->is_for_functions) {
        set_function(lua, globals, "__redis__err__handler", note_place);
        set_function(lua, globals, "__server__err__handler", note_place);
    }
    close_globals(lua, globals);
    lua_newtable(lua);
    int loading = lua_gettop(lua);
    open_api(lua, loading, ROAN_LUA_LOADING);
    close_globals(lua, loading);
    lua_pushvalue(lua, globals);
    push_proxy_meta(lua);
    lua_pushvalue(lua, -1);
    interp->global_meta = luaL_ref(lua, LUA_REGISTRYINDEX);
    lua_setmetatable(lua, proxy);
    lua_pushcfunction(lua, note_place);
    interp->handler = luaL_ref(lua, LUA_REGISTRYINDEX);
    interp->loading = luaL_ref(lua, LUA_REGISTRYINDEX);
    lua_pushvalue(lua, proxy);
    lua_replace(lua, LUA_GLOBALSINDEX);
    lua_pushvalue(lua, globals);
    interp->globals = luaL_ref(lua, LUA_REGISTRYINDEX);
    return 0;
}

void roan_interp_init(roan_interp *interp, roan_scripts *scripts, bool is_for_functions)
{
    *interp = (roan_interp){.scripts = scripts, .is_for_functions = is_for_functions, .bytes_max = ROAN_LUA_BYTES_MAX};
    interp->lua = lua_newstate(allocate, interp);
    ROAN_ASSERT(interp->lua != NULL);
    ROAN_IGNORE(luaJIT_setmode(interp->lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF)); /* off already without its library */
    ROAN_ASSERT(lua_cpcall(interp->lua, build, interp) == 0);
    /* In the main thread itself: lua_cpcall has set the globals of this very thread. */
}

void roan_interp_done(roan_interp *interp)
{
    if (interp->lua == NULL)
        return;
    lua_close(interp->lua);
    interp->lua = NULL;
    ROAN_ASSERT(interp->bytes == 0);
}

bool roan_interp_compile(roan_interp *interp, roan_slice text, const char *chunk)
{
    roan_buffer source = {0};
    roan_source_keep_places(text, &source);
    bool is_compiled = luaL_loadbufferx(interp->lua, source.bytes == 0 ? "" : source.data, source.bytes, chunk, "t") == 0;
    roan_buffer_done(&source);
    return is_compiled;
}

static void set_global_target(roan_interp *interp, int target)
{
    lua_State *lua = interp->lua;
    lua_rawgeti(lua, LUA_REGISTRYINDEX, interp->global_meta);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, target);
    lua_setfield(lua, -2, "__index");
    lua_pop(lua, 1);
}

void roan_interp_enter_loading(roan_interp *interp)
{
    set_global_target(interp, interp->loading);
}

void roan_interp_leave_loading(roan_interp *interp)
{
    set_global_target(interp, interp->globals);
}
