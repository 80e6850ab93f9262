/* engine/script/api.c: the table `redis` (also called `server`) of scripts, of functions, and of libraries that are being
 * loaded. */
#include "engine/script/library.h"
#include "engine/script/script.h"

#include "base/macros.h"
#include "base/sha1.h"
#include "engine/acl.h"
#include "engine/compat.h"

#include <string.h>

enum { REPL_AOF = 1, REPL_REPLICA = 2, REPL_ALL = 3 };

/* Raises {err = text}. */
static int raise_error(lua_State *lua, const char *text)
{
    roan_interp_push_error(lua, roan_slice_from_text(text));
    return lua_error(lua);
}

static roan_script_run *current_run(lua_State *lua)
{
    return roan_interp_of(lua)->scripts->run;
}

static int api_call(lua_State *lua)
{
    return roan_script_call(lua, true);
}

static int api_pcall(lua_State *lua)
{
    return roan_script_call(lua, false);
}

/* The words behind the level, separated by spaces. */
static int api_log(lua_State *lua)
{
    int count = lua_gettop(lua);
    if (count < 2)
        return raise_error(lua, "ERR server.log() requires two arguments or more.");
    if (!lua_isnumber(lua, 1))
        return raise_error(lua, "ERR First argument must be a number (log level).");
    int level = (int)lua_tonumber(lua, 1);
    if (level < ROAN_LOG_DEBUG || level > ROAN_LOG_WARNING)
        return raise_error(lua, "ERR Invalid log level.");
    luaL_Buffer text;
    luaL_buffinit(lua, &text);
    for (int i = 2; i <= count; i++) {
        size_t bytes;
        const char *word = lua_tolstring(lua, i, &bytes);
        if (word == NULL)
            continue;
        if (i > 2)
            luaL_addchar(&text, ' ');
        luaL_addlstring(&text, word, bytes);
    }
    luaL_pushresult(&text);
    const roan_host *host = &roan_interp_of(lua)->scripts->engine->host;
    if (host->log != NULL)
        host->log(host->context, level, lua_tostring(lua, -1));
    return 0;
}

static int api_sha1hex(lua_State *lua)
{
    unsigned char digest[ROAN_SHA1_BYTES];
    char text[2 * ROAN_SHA1_BYTES];
    size_t bytes;
    if (lua_gettop(lua) != 1)
        return raise_error(lua, "ERR wrong number of arguments");
    const char *data = lua_tolstring(lua, 1, &bytes);
    if (data == NULL) {
        data = "";
        bytes = 0;
    }
    roan_sha1(data, bytes, digest);
    for (unsigned i = 0; i < ROAN_SHA1_BYTES; i++) {
        text[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    lua_pushlstring(lua, text, sizeof text);
    return 1;
}

static bool is_one_string(lua_State *lua)
{
    return lua_gettop(lua) == 1 && lua_type(lua, 1) == LUA_TSTRING;
}

/* A leading '-' goes; a text of one word gets the general code. */
static int api_error_reply(lua_State *lua)
{
    if (!is_one_string(lua)) {
        roan_interp_push_error(lua, ROAN_LITERAL("ERR wrong number or type of arguments"));
        return 1;
    }
    roan_slice text;
    text.data = lua_tolstring(lua, 1, &text.bytes);
    if (text.bytes > 0 && text.data[0] == '-')
        text = roan_slice_make(text.data + 1, text.bytes - 1);
    if (memchr(text.data, ' ', text.bytes) == NULL) {
        lua_pushliteral(lua, "ERR ");
        lua_pushlstring(lua, text.data, text.bytes);
        lua_concat(lua, 2);
        text.data = lua_tolstring(lua, -1, &text.bytes);
    }
    roan_interp_push_error(lua, text);
    return 1;
}

static int api_status_reply(lua_State *lua)
{
    if (!is_one_string(lua)) {
        roan_interp_push_error(lua, ROAN_LITERAL("ERR wrong number or type of arguments"));
        return 1;
    }
    lua_createtable(lua, 0, 1);
    lua_pushvalue(lua, 1);
    lua_setfield(lua, -2, "ok");
    return 1;
}

static int api_setresp(lua_State *lua)
{
    if (lua_gettop(lua) != 1)
        return raise_error(lua, "ERR server.setresp() requires one argument.");
    int protocol = (int)lua_tonumber(lua, 1);
    if (protocol != 2 && protocol != 3)
        return raise_error(lua, "ERR RESP version must be 2 or 3.");
    if (current_run(lua) != NULL)
        current_run(lua)->session.out.protocol = (uint8_t)protocol;
    return 0;
}

static int api_set_repl(lua_State *lua)
{
    if (lua_gettop(lua) != 1)
        return raise_error(lua, "ERR server.set_repl() requires one argument.");
    int flags = (int)lua_tonumber(lua, 1);
    if (flags & ~REPL_ALL)
        return raise_error(lua, "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
    if (current_run(lua) != NULL)
        current_run(lua)->repl = flags;
    return 0;
}

/* May the caller's user run this command, with these keys? */
static int api_acl_check_cmd(lua_State *lua)
{
    int count = lua_gettop(lua);
    if (count == 0)
        return raise_error(lua, "ERR Please specify at least one argument for this call");
    roan_slice *words = lua_newuserdata(lua, (size_t)count * sizeof *words);
    for (int i = 0; i < count; i++) {
        if (lua_type(lua, i + 1) != LUA_TSTRING && lua_type(lua, i + 1) != LUA_TNUMBER)
            return raise_error(lua, "ERR Command arguments must be strings or integers");
        words[i].data = lua_tolstring(lua, i + 1, &words[i].bytes);
    }
    const roan_command *command = roan_command_find_words((size_t)count, words);
    if (command == NULL || current_run(lua) == NULL || !roan_command_accepts_count(command, (size_t)count))
        return raise_error(lua, "ERR Invalid command passed to server.acl_check_cmd()");
    roan_acl_refusal refusal = roan_acl_ask(&current_run(lua)->session, command, (size_t)count, words);
    lua_pushboolean(lua, refusal.reason == ROAN_ACL_ALLOWED);
    return 1;
}

static int api_true(lua_State *lua)
{
    lua_pushboolean(lua, 1);
    return 1;
}

static int api_false(lua_State *lua)
{
    lua_pushboolean(lua, 0);
    return 1;
}

static int api_nothing(lua_State *lua)
{
    (void)lua;
    return 0;
}

enum { IN_EVAL = 1 << ROAN_LUA_EVAL, IN_FUNCTIONS = 1 << ROAN_LUA_FUNCTIONS, IN_LOADING = 1 << ROAN_LUA_LOADING };

static const struct {
    const char *name;
    lua_CFunction function;
    unsigned where;
} functions[] = {
    {"call", api_call, IN_EVAL | IN_FUNCTIONS},
    {"pcall", api_pcall, IN_EVAL | IN_FUNCTIONS},
    {"log", api_log, IN_EVAL | IN_FUNCTIONS | IN_LOADING},
    {"sha1hex", api_sha1hex, IN_EVAL | IN_FUNCTIONS},
    {"error_reply", api_error_reply, IN_EVAL | IN_FUNCTIONS},
    {"status_reply", api_status_reply, IN_EVAL | IN_FUNCTIONS},
    {"setresp", api_setresp, IN_EVAL | IN_FUNCTIONS},
    {"set_repl", api_set_repl, IN_EVAL | IN_FUNCTIONS},
    {"acl_check_cmd", api_acl_check_cmd, IN_EVAL | IN_FUNCTIONS},
    {"replicate_commands", api_true, IN_EVAL},
    {"breakpoint", api_false, IN_EVAL},
    {"debug", api_nothing, IN_EVAL},
    {"register_function", roan_library_register, IN_LOADING},
};

static const struct {
    const char *name;
    int value;
} numbers[] = {{"LOG_DEBUG", ROAN_LOG_DEBUG},   {"LOG_VERBOSE", ROAN_LOG_VERBOSE},
               {"LOG_NOTICE", ROAN_LOG_NOTICE}, {"LOG_WARNING", ROAN_LOG_WARNING},
               {"REPL_NONE", 0},                {"REPL_AOF", REPL_AOF},
               {"REPL_SLAVE", REPL_REPLICA},    {"REPL_REPLICA", REPL_REPLICA},
               {"REPL_ALL", REPL_ALL}};

/* 0x00MMmmpp from "M.m.p". */
static int version_number(const char *text)
{
    int parts[3] = {0};
    for (int i = 0; *text != '\0' && i < 3; text++) {
        if (*text == '.')
            i++;
        else
            parts[i] = parts[i] * 10 + (*text - '0');
    }
    return parts[0] << 16 | parts[1] << 8 | parts[2];
}

static void set_version(lua_State *lua, const char *name, const char *number_name, const char *version)
{
    lua_pushstring(lua, version);
    lua_setfield(lua, -2, name);
    lua_pushinteger(lua, version_number(version));
    lua_setfield(lua, -2, number_name);
}

void roan_lua_push_api(lua_State *lua, roan_lua_api api)
{
    lua_newtable(lua);
    for (size_t i = 0; i < ROAN_COUNT_OF(functions); i++) {
        if (!(functions[i].where >> api & 1))
            continue;
        lua_pushcfunction(lua, functions[i].function);
        lua_setfield(lua, -2, functions[i].name);
    }
    for (size_t i = 0; i < ROAN_COUNT_OF(numbers); i++) {
        if (api == ROAN_LUA_LOADING && numbers[i].name[0] == 'R')
            continue;
        lua_pushinteger(lua, numbers[i].value);
        lua_setfield(lua, -2, numbers[i].name);
    }
    set_version(lua, "REDIS_VERSION", "REDIS_VERSION_NUM", ROAN_COMPAT_REDIS);
    set_version(lua, "VALKEY_VERSION", "VALKEY_VERSION_NUM", ROAN_COMPAT_VALKEY);
    lua_pushliteral(lua, "valkey");
    lua_setfield(lua, -2, "SERVER_NAME");
}
