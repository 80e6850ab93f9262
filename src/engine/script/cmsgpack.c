/* engine/script/cmsgpack.c: the library `cmsgpack` of scripts: MessagePack of Lua values.
 *
 * Integral numbers become integers, others the shortest float that is exact. A table is an array when its keys are 1 to n,
 * otherwise a map; what is nested deeper than DEPTH_MAX, and what MessagePack does not know, becomes nil.
 */
#include "engine/script/interp.h"

#include "base/macros.h"

#include <limits.h>
#include <string.h>

#define DEPTH_MAX 16        /* of tables that are packed */
#define READ_DEPTH_MAX 1000 /* of arrays and maps that are read: each is a frame on the stack */

/* ---- packing ---- */

/* Bytes in a userdata at a fixed place of the stack, which also frees them after an error. Doubled when full. */
typedef struct packed {
    lua_State *lua;
    int place;
    char *data;
    size_t bytes, capacity;
} packed;

static void add_bytes(packed *out, const char *data, size_t bytes)
{
    if (bytes > out->capacity - out->bytes) {
        size_t capacity = ROAN_MAX(out->capacity * 2, out->bytes + bytes);
        char *moved = lua_newuserdata(out->lua, capacity);
        memcpy(moved, out->data, out->bytes);
        lua_replace(out->lua, out->place);
        out->data = moved;
        out->capacity = capacity;
    }
    if (bytes > 0)
        memcpy(out->data + out->bytes, data, bytes);
    out->bytes += bytes;
}

static void add_char(packed *out, char c)
{
    add_bytes(out, &c, 1);
}

static void pack_value(lua_State *lua, packed *out, int index, unsigned depth);

static void add_number(packed *out, unsigned char type, uint64_t value, unsigned bytes)
{
    add_char(out, (char)type);
    while (bytes-- > 0)
        add_char(out, (char)(value >> (8 * bytes)));
}

static void pack_integer(packed *out, int64_t n)
{
    if (n >= 0) {
        if (n <= 0x7f)
            add_char(out, (char)n);
        else if (n <= UINT8_MAX)
            add_number(out, 0xcc, (uint64_t)n, 1);
        else if (n <= UINT16_MAX)
            add_number(out, 0xcd, (uint64_t)n, 2);
        else if (n <= UINT32_MAX)
            add_number(out, 0xce, (uint64_t)n, 4);
        else
            add_number(out, 0xcf, (uint64_t)n, 8);
    } else if (n >= -32) {
        add_char(out, (char)n);
    } else if (n >= INT8_MIN) {
        add_number(out, 0xd0, (uint64_t)n, 1);
    } else if (n >= INT16_MIN) {
        add_number(out, 0xd1, (uint64_t)n, 2);
    } else if (n >= INT32_MIN) {
        add_number(out, 0xd2, (uint64_t)n, 4);
    } else {
        add_number(out, 0xd3, (uint64_t)n, 8);
    }
}

static void pack_number(packed *out, lua_Number number)
{
    bool fits = number >= -9223372036854775808.0 && number < 9223372036854775808.0;
    if (fits && (lua_Number)(int64_t)number == number) {
        pack_integer(out, (int64_t)number);
        return;
    }
    float small = (float)number;
    uint32_t small_bits;
    uint64_t bits;
    if ((double)small == number) {
        memcpy(&small_bits, &small, sizeof small_bits);
        add_number(out, 0xca, small_bits, 4);
        return;
    }
    memcpy(&bits, &number, sizeof bits);
    add_number(out, 0xcb, bits, 8);
}

static void pack_string(packed *out, const char *data, size_t bytes)
{
    if (bytes < 32)
        add_char(out, (char)(0xa0 | bytes));
    else if (bytes <= UINT8_MAX)
        add_number(out, 0xd9, bytes, 1);
    else if (bytes <= UINT16_MAX)
        add_number(out, 0xda, bytes, 2);
    else
        add_number(out, 0xdb, bytes, 4);
    add_bytes(out, data, bytes);
}

static void add_count(packed *out, size_t count, unsigned char fixed, unsigned char type)
{
    if (count <= 15)
        add_char(out, (char)(fixed | count));
    else if (count <= UINT16_MAX)
        add_number(out, type, count, 2);
    else
        add_number(out, (unsigned char)(type + 1), count, 4);
}

/* Its keys are 1 to n; also counts them. */
static bool is_array(lua_State *lua, int index, size_t *ret_count)
{
    size_t count = 0, highest = 0;
    bool are_places = true;
    lua_pushnil(lua);
    while (lua_next(lua, index)) {
        lua_pop(lua, 1);
        count++;
        lua_Number key = lua_type(lua, -1) == LUA_TNUMBER ? lua_tonumber(lua, -1) : 0;
        if (!(key >= 1 && key <= INT_MAX && key == (lua_Number)(int)key))
            are_places = false;
        else if ((size_t)key > highest)
            highest = (size_t)key;
    }
    *ret_count = count;
    return are_places && highest == count;
}

static void pack_table(lua_State *lua, packed *out, int index, unsigned depth)
{
    size_t count;
    if (is_array(lua, index, &count)) {
        add_count(out, count, 0x90, 0xdc);
        for (size_t i = 1; i <= count; i++) {
            lua_rawgeti(lua, index, (int)i);
            pack_value(lua, out, lua_gettop(lua), depth + 1);
            lua_pop(lua, 1);
        }
        return;
    }
    add_count(out, count, 0x80, 0xde);
    lua_pushnil(lua);
    while (lua_next(lua, index)) {
        int value = lua_gettop(lua);
        pack_value(lua, out, value - 1, depth + 1);
        pack_value(lua, out, value, depth + 1);
        lua_pop(lua, 1);
    }
}

static void pack_value(lua_State *lua, packed *out, int index, unsigned depth)
{
    size_t bytes;
    luaL_checkstack(lua, 6, "table is nested too deeply");
    switch (lua_type(lua, index)) {
    case LUA_TSTRING: {
        const char *data = lua_tolstring(lua, index, &bytes);
        pack_string(out, data, bytes);
        return;
    }
    case LUA_TBOOLEAN: add_char(out, lua_toboolean(lua, index) ? '\xc3' : '\xc2'); return;
    case LUA_TNUMBER: pack_number(out, lua_tonumber(lua, index)); return;
    case LUA_TTABLE:
        if (depth < DEPTH_MAX) {
            pack_table(lua, out, index, depth);
            return;
        }
        break;
    default: break;
    }
    add_char(out, '\xc0');
}

static int pack(lua_State *lua)
{
    int count = lua_gettop(lua);
    if (count == 0)
        return luaL_argerror(lua, 0, "MessagePack pack needs input.");
    packed out = {.lua = lua, .place = count + 1, .capacity = 256};
    out.data = lua_newuserdata(lua, out.capacity);
    for (int i = 1; i <= count; i++)
        pack_value(lua, &out, i, 0);
    lua_pushlstring(lua, out.data, out.bytes);
    return 1;
}

/* ---- unpacking ---- */

typedef struct source {
    lua_State *lua;
    const unsigned char *at;
    size_t left;
    unsigned depth;
} source;

static void read_value(source *in);

static void need(source *in, uint64_t bytes)
{
    if (in->left < bytes)
        luaL_error(in->lua, "Missing bytes in input.");
}

static uint64_t read_number(source *in, unsigned bytes)
{
    uint64_t value = 0;
    need(in, bytes);
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | in->at[i];
    in->at += bytes;
    in->left -= bytes;
    return value;
}

static void read_string(source *in, uint64_t bytes)
{
    need(in, bytes);
    lua_pushlstring(in->lua, (const char *)in->at, (size_t)bytes);
    in->at += bytes;
    in->left -= (size_t)bytes;
}

static void enter(source *in)
{
    if (++in->depth > READ_DEPTH_MAX)
        luaL_error(in->lua, "Bad data format in input.");
    luaL_checkstack(in->lua, 4, "input is nested too deeply");
}

static void read_array(source *in, uint64_t count)
{
    enter(in);
    lua_newtable(in->lua);
    for (uint64_t i = 1; i <= count; i++) {
        read_value(in);
        lua_rawseti(in->lua, -2, (int)i);
    }
    in->depth--;
}

static void read_map(source *in, uint64_t count)
{
    enter(in);
    lua_newtable(in->lua);
    for (uint64_t i = 0; i < count; i++) {
        read_value(in);
        read_value(in);
        lua_settable(in->lua, -3); /* raises for keys that Lua does not take */
    }
    in->depth--;
}

static lua_Number read_signed(source *in, unsigned bytes)
{
    unsigned unused = 64 - 8 * bytes;
    return (lua_Number)((int64_t)(read_number(in, bytes) << unused) >> unused);
}

static lua_Number read_float(source *in, unsigned bytes)
{
    uint64_t bits = read_number(in, bytes);
    uint32_t small_bits = (uint32_t)bits;
    float small;
    double number;
    memcpy(&small, &small_bits, sizeof small);
    memcpy(&number, &bits, sizeof number);
    return bytes == 4 ? small : number;
}

static void read_value(source *in)
{
    lua_State *lua = in->lua;
    unsigned type = (unsigned)read_number(in, 1);
    switch (type) {
    case 0xc0: lua_pushnil(lua); return;
    case 0xc2: case 0xc3: lua_pushboolean(lua, type == 0xc3); return;
    case 0xd9: read_string(in, read_number(in, 1)); return;
    case 0xda: read_string(in, read_number(in, 2)); return;
    case 0xdb: read_string(in, read_number(in, 4)); return;
    case 0xca: lua_pushnumber(lua, read_float(in, 4)); return;
    case 0xcb: lua_pushnumber(lua, read_float(in, 8)); return;
    case 0xcc: case 0xcd: case 0xce: case 0xcf: lua_pushnumber(lua, (lua_Number)read_number(in, 1u << (type - 0xcc))); return;
    case 0xd0: case 0xd1: case 0xd2: case 0xd3: lua_pushnumber(lua, read_signed(in, 1u << (type - 0xd0))); return;
    case 0xdc: read_array(in, read_number(in, 2)); return;
    case 0xdd: read_array(in, read_number(in, 4)); return;
    case 0xde: read_map(in, read_number(in, 2)); return;
    case 0xdf: read_map(in, read_number(in, 4)); return;
    default: break;
    }
    if (type <= 0x7f)
        lua_pushinteger(lua, (lua_Integer)type);
    else if (type >= 0xe0)
        lua_pushinteger(lua, (lua_Integer)type - 256);
    else if (type <= 0x8f)
        read_map(in, type & 15);
    else if (type <= 0x9f)
        read_array(in, type & 15);
    else if (type <= 0xbf)
        read_string(in, type & 31);
    else
        luaL_error(lua, "Bad data format in input.");
}

/* Reads at most `limit` values from an offset; with `tells_end` the next offset, or -1, comes first. */
static int read_values(lua_State *lua, int limit, int offset, bool tells_end)
{
    size_t bytes;
    const char *data = luaL_checklstring(lua, 1, &bytes);
    if (offset < 0 || limit < 0)
        return luaL_error(lua, "Invalid request to unpack with offset of %d and limit of %d.", offset, limit);
    if ((size_t)offset > bytes)
        return luaL_error(lua, "Start offset %d greater than input length %d.", offset, (int)bytes);
    source in = {lua, (const unsigned char *)data + offset, bytes - (size_t)offset, 0};
    int count = 0;
    lua_settop(lua, 1);
    for (; in.left > 0 && count < limit; count++) {
        luaL_checkstack(lua, 4, "too many results");
        read_value(&in);
    }
    if (!tells_end)
        return count;
    luaL_checkstack(lua, 1, "too many results");
    lua_pushinteger(lua, in.left == 0 ? -1 : (lua_Integer)(bytes - in.left));
    lua_insert(lua, 2);
    return count + 1;
}

static int unpack(lua_State *lua)
{
    return read_values(lua, INT_MAX, 0, false);
}

static int unpack_one(lua_State *lua)
{
    return read_values(lua, 1, (int)luaL_optinteger(lua, 2, 0), true);
}

static int unpack_limit(lua_State *lua)
{
    int limit = (int)luaL_checkinteger(lua, 2), offset = (int)luaL_optinteger(lua, 3, 0);
    bool is_all = limit == 0 && offset == 0;
    return read_values(lua, is_all ? INT_MAX : limit, offset, !is_all);
}

void roan_lua_push_cmsgpack(lua_State *lua)
{
    static const luaL_Reg functions[] = {
        {"pack", pack}, {"unpack", unpack}, {"unpack_one", unpack_one}, {"unpack_limit", unpack_limit}, {NULL, NULL}};
    lua_newtable(lua);
    for (const luaL_Reg *f = functions; f->name != NULL; f++) {
        lua_pushcfunction(lua, f->func);
        lua_setfield(lua, -2, f->name);
    }
    lua_pushliteral(lua, "cmsgpack");
    lua_setfield(lua, -2, "_NAME");
    lua_pushliteral(lua, "lua-cmsgpack 0.4.0");
    lua_setfield(lua, -2, "_VERSION");
    lua_pushliteral(lua, "Copyright (C) 2012, Redis Ltd.");
    lua_setfield(lua, -2, "_COPYRIGHT");
    lua_pushliteral(lua, "MessagePack C implementation for Lua");
    lua_setfield(lua, -2, "_DESCRIPTION");
}
