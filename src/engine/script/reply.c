/* engine/script/reply.c: see reply.h.
 *
 *   reply                 RESP2 script              RESP3 script
 *   :n                    number                    number
 *   $n                    string                    string
 *   $-1 *-1 _             false                     nil
 *   +text                 {ok=text}
 *   -text                 {err=text}
 *   *n                    {1, 2, ...}
 *   %n ~n                                           {map={}} {set={}}
 *   ,x (n =txt #t                                   {double=} {big_number=} {verbatim_string={}} boolean
 *
 * The way back is the same; an array ends at its first nil.
 */
#include "engine/script/reply.h"

#include "base/macros.h"

#include <lauxlib.h>
#include <string.h>

#define DEPTH_MAX 4000 /* of nested tables: each is a frame on the stack here, and a slot on Lua's */

/* ---- replies to Lua ---- */

static const char *push_one(lua_State *lua, const char *at);

static const char *read_number(const char *at, int64_t *ret_number)
{
    const char *end = memchr(at, '\r', ROAN_I64_TEXT_MAX + 1);
    ROAN_ASSERT(end != NULL && roan_parse_i64(roan_slice_make(at, (size_t)(end - at)), ret_number));
    return end + 2;
}

/* Pushes the rest of a line, which has an end: the server itself has written it. */
static const char *push_line(lua_State *lua, const char *at)
{
    const char *end = rawmemchr(at, '\r');
    lua_pushlstring(lua, at, (size_t)(end - at));
    return end + 2;
}

static const char *push_in_table(lua_State *lua, const char *at, const char *field)
{
    lua_createtable(lua, 0, 1);
    at = push_line(lua, at);
    lua_setfield(lua, -2, field);
    return at;
}

static const char *push_bulk(lua_State *lua, const char *at)
{
    int64_t bytes;
    at = read_number(at, &bytes);
    if (bytes < 0) {
        lua_pushboolean(lua, 0);
        return at;
    }
    lua_pushlstring(lua, at, (size_t)bytes);
    return at + bytes + 2;
}

static const char *push_array(lua_State *lua, const char *at)
{
    int64_t count;
    at = read_number(at, &count);
    if (count < 0) {
        lua_pushboolean(lua, 0);
        return at;
    }
    lua_createtable(lua, (int)ROAN_MIN(count, 1 << 20), 0);
    for (int64_t i = 1; i <= count; i++) {
        at = push_one(lua, at);
        lua_rawseti(lua, -2, (int)i);
    }
    return at;
}

/* {map = {key = value}} or {set = {member = true}} */
static const char *push_keyed(lua_State *lua, const char *at, const char *field, bool has_values)
{
    int64_t count;
    at = read_number(at, &count);
    lua_createtable(lua, 0, 1);
    lua_createtable(lua, 0, (int)ROAN_MIN(count, 1 << 20));
    for (int64_t i = 0; i < count; i++) {
        at = push_one(lua, at);
        if (has_values)
            at = push_one(lua, at);
        else
            lua_pushboolean(lua, 1);
        if (lua_isnil(lua, -2))
            lua_pop(lua, 2);
        else
            lua_rawset(lua, -3);
    }
    lua_setfield(lua, -2, field);
    return at;
}

static const char *push_double(lua_State *lua, const char *at)
{
    const char *end = rawmemchr(at, '\r');
    double value = 0;
    if (!roan_parse_double(roan_slice_make(at, (size_t)(end - at)), &value))
        value = __builtin_nan("");
    lua_createtable(lua, 0, 1);
    lua_pushnumber(lua, value);
    lua_setfield(lua, -2, "double");
    return end + 2;
}

static const char *push_verbatim(lua_State *lua, const char *at)
{
    int64_t bytes;
    at = read_number(at, &bytes);
    lua_createtable(lua, 0, 1);
    lua_createtable(lua, 0, 2);
    lua_pushlstring(lua, at, 3);
    lua_setfield(lua, -2, "format");
    lua_pushlstring(lua, at + 4, (size_t)bytes - 4);
    lua_setfield(lua, -2, "string");
    lua_setfield(lua, -2, "verbatim_string");
    return at + bytes + 2;
}

/* Attributes are passed over. */
static const char *push_behind_attributes(lua_State *lua, const char *at)
{
    int64_t pairs;
    at = read_number(at, &pairs);
    for (int64_t i = 0; i < 2 * pairs; i++) {
        at = push_one(lua, at);
        lua_pop(lua, 1);
    }
    return push_one(lua, at);
}

static const char *push_one(lua_State *lua, const char *at)
{
    int64_t number;
    luaL_checkstack(lua, 8, "reply is nested too deeply");
    switch (*at++) {
    case ':':
        at = read_number(at, &number);
        lua_pushnumber(lua, (lua_Number)number);
        return at;
    case '$': return push_bulk(lua, at);
    case '*': return push_array(lua, at);
    case '+': return push_in_table(lua, at, "ok");
    case '-': return push_in_table(lua, at, "err");
    case '%': return push_keyed(lua, at, "map", true);
    case '~': return push_keyed(lua, at, "set", false);
    case '>': return push_array(lua, at);
    case '_': lua_pushnil(lua); return at + 2;
    case '#': lua_pushboolean(lua, *at == 't'); return at + 3;
    case ',': return push_double(lua, at);
    case '(': return push_in_table(lua, at, "big_number");
    case '=': return push_verbatim(lua, at);
    case '|': return push_behind_attributes(lua, at);
    default: ROAN_UNREACHABLE("a reply of our own is well-formed");
    }
}

void roan_lua_push_reply(lua_State *lua, const char *reply)
{
    ROAN_IGNORE(push_one(lua, reply)); /* the end */
}

/* ---- Lua to replies ---- */

typedef struct sender {
    lua_State *lua;
    roan_out *out;
    int protocol;
    unsigned depth;
} sender;

static void send_value(sender *to);

static roan_slice top_text(lua_State *lua)
{
    roan_slice text;
    text.data = lua_tolstring(lua, -1, &text.bytes);
    return text;
}

static void send_number(roan_out *out, double number)
{
    bool fits = number >= -9223372036854775808.0 && number < 9223372036854775808.0;
    roan_out_integer(out, fits ? (int64_t)number : INT64_MIN);
}

/* A line: its breaks become spaces. */
static void send_line(roan_out *out, char type, roan_slice text)
{
    roan_out_raw(out, &type, 1);
    for (size_t i = 0, end; i < text.bytes; i = end + 1) {
        for (end = i; end < text.bytes && text.data[end] != '\r' && text.data[end] != '\n'; end++) {
        }
        roan_out_raw(out, text.data + i, end - i);
        if (end < text.bytes)
            roan_out_raw(out, " ", 1);
    }
    roan_out_raw(out, "\r\n", 2);
}

static void send_big_number(roan_out *out, roan_slice digits)
{
    char text[64];
    if (out->protocol >= 3) {
        send_line(out, '(', digits);
        return;
    }
    if (digits.bytes > sizeof text || (memchr(digits.data, '\r', digits.bytes) == NULL &&
                                       memchr(digits.data, '\n', digits.bytes) == NULL)) {
        roan_out_bulk(out, digits);
        return;
    }
    for (size_t i = 0; i < digits.bytes; i++)
        text[i] = digits.data[i] == '\r' || digits.data[i] == '\n' ? ' ' : digits.data[i];
    roan_out_bulk(out, roan_slice_make(text, digits.bytes));
}

static int raw_field(lua_State *lua, const char *name)
{
    lua_pushstring(lua, name);
    lua_rawget(lua, -2);
    return lua_type(lua, -1);
}

/* The pairs of the table on top: all of them, or the keys alone. */
static void send_pairs(sender *to, bool is_set)
{
    lua_State *lua = to->lua;
    size_t count = 0;
    roan_out_mark mark = roan_out_open(to->out);
    lua_pushnil(lua);
    while (lua_next(lua, -2)) {
        lua_pushvalue(lua, -2);
        send_value(to); /* a copy of the key: it must stay as it is */
        lua_pop(lua, 1);
        if (!is_set)
            send_value(to);
        lua_pop(lua, 1);
        count++;
    }
    if (is_set)
        roan_out_close_set(to->out, mark, count);
    else
        roan_out_close_map(to->out, mark, count);
}

static bool send_verbatim(sender *to)
{
    lua_State *lua = to->lua;
    char format[4] = "   ";
    bool has_format = raw_field(lua, "format") == LUA_TSTRING;
    if (has_format) {
        roan_slice text = top_text(lua);
        memcpy(format, text.data, ROAN_MIN(text.bytes, 3u));
    }
    lua_pop(lua, 1);
    bool is_sent = has_format && raw_field(lua, "string") == LUA_TSTRING;
    if (is_sent)
        roan_out_verbatim(to->out, format, top_text(lua));
    if (has_format)
        lua_pop(lua, 1);
    return is_sent;
}

/* A table with one of the special fields; the field is on top. */
static bool send_special_field(sender *to, const char *name)
{
    lua_State *lua = to->lua;
    switch (name[0]) {
    case 'e':
    case 'o':
        if (lua_type(lua, -1) != LUA_TSTRING)
            return false;
        send_line(to->out, name[0] == 'e' ? '-' : '+', top_text(lua));
        return true;
    case 'd':
        if (lua_type(lua, -1) != LUA_TNUMBER)
            return false;
        roan_out_double(to->out, lua_tonumber(lua, -1));
        return true;
    case 'b':
        if (lua_type(lua, -1) != LUA_TSTRING)
            return false;
        send_big_number(to->out, top_text(lua));
        return true;
    case 'v':
        return lua_type(lua, -1) == LUA_TTABLE && send_verbatim(to);
    default:
        if (lua_type(lua, -1) != LUA_TTABLE)
            return false;
        send_pairs(to, name[0] == 's');
        return true;
    }
}

static bool send_special(sender *to)
{
    static const char *const names[] = {"err", "ok", "double", "map", "set", "big_number", "verbatim_string"};
    for (size_t i = 0; i < ROAN_COUNT_OF(names); i++) {
        int type = raw_field(to->lua, names[i]);
        bool is_sent = type != LUA_TNIL && send_special_field(to, names[i]);
        lua_pop(to->lua, 1);
        if (is_sent)
            return true;
    }
    return false;
}

static void send_array(sender *to)
{
    roan_out_mark mark = roan_out_open(to->out);
    int count = 0;
    for (;; count++) {
        lua_rawgeti(to->lua, -1, count + 1);
        if (lua_isnil(to->lua, -1))
            break;
        send_value(to);
        lua_pop(to->lua, 1);
    }
    lua_pop(to->lua, 1);
    roan_out_close_array(to->out, mark, (size_t)count);
}

static void send_table(sender *to)
{
    if (to->depth >= DEPTH_MAX || !lua_checkstack(to->lua, 8)) {
        roan_out_error(to->out, ROAN_LITERAL("ERR reached lua stack limit"));
        return;
    }
    to->depth++;
    if (!send_special(to))
        send_array(to);
    to->depth--;
}

static void send_value(sender *to)
{
    lua_State *lua = to->lua;
    switch (lua_type(lua, -1)) {
    case LUA_TSTRING:
        roan_out_bulk(to->out, top_text(lua));
        break;
    case LUA_TNUMBER:
        send_number(to->out, lua_tonumber(lua, -1));
        break;
    case LUA_TBOOLEAN:
        if (to->protocol >= 3)
            roan_out_bool(to->out, lua_toboolean(lua, -1));
        else if (lua_toboolean(lua, -1))
            roan_out_integer(to->out, 1);
        else
            roan_out_null(to->out);
        break;
    case LUA_TTABLE:
        send_table(to);
        break;
    default:
        roan_out_null(to->out);
    }
}

void roan_lua_send(lua_State *lua, roan_out *out, int protocol)
{
    sender to = {lua, out, protocol, 0};
    send_value(&to);
}
