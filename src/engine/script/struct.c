/* engine/script/struct.c: the library `struct` of scripts: packs values into bytes as a format says, and back.
 *
 *   > < byte order   ! n alignment   x filler   b B h H l L T i n I n integers   f d floats   s zero-terminated   c n bytes
 *
 * Without '!' nothing is aligned. c0 takes a whole string, and reads as many bytes as the number before it says.
 */
#include "engine/script/interp.h"

#include "base/macros.h"

#include <ctype.h>
#include <string.h>

#define INTEGER_BYTES_MAX 32
#define ALIGNMENT_MAX 8 /* of '!' without a number */

typedef struct layout {
    lua_State *lua;
    const char *at; /* in the format, which ends with a NUL */
    bool is_little;
    size_t alignment;
    size_t offset;
} layout;

typedef struct item {
    char type; /* 'i' for all signed, 'I' for all unsigned integers */
    size_t bytes;
    size_t padding;
} item;

static size_t read_count(layout *format, size_t otherwise)
{
    size_t count = 0;
    if (!isdigit((unsigned char)*format->at))
        return otherwise;
    while (isdigit((unsigned char)*format->at)) {
        if (count > (INT32_MAX / 10) || count * 10 > (size_t)(INT32_MAX - (*format->at - '0')))
            luaL_error(format->lua, "integral size overflow");
        count = count * 10 + (size_t)(*format->at++ - '0');
    }
    return count;
}

static size_t integer_bytes(layout *format)
{
    size_t bytes = read_count(format, sizeof(int));
    if (bytes > INTEGER_BYTES_MAX)
        luaL_error(format->lua, "integral size %d is larger than limit of %d", (int)bytes, INTEGER_BYTES_MAX);
    return bytes;
}

static void read_alignment(layout *format)
{
    size_t alignment = read_count(format, ALIGNMENT_MAX);
    if (alignment == 0 || (alignment & (alignment - 1)) != 0)
        luaL_error(format->lua, "alignment %d is not a power of 2", (int)alignment);
    format->alignment = alignment;
}

/* The type and size that a letter stands for; false when it only says something about what follows. */
static bool read_letter(layout *format, item *next)
{
    char letter = *format->at++;
    *next = (item){.type = islower((unsigned char)letter) ? 'i' : 'I'};
    switch (letter) {
    case 'b': case 'B': next->bytes = 1; return true;
    case 'h': case 'H': next->bytes = sizeof(short); return true;
    case 'l': case 'L': next->bytes = sizeof(long); return true;
    case 'T': next->bytes = sizeof(size_t); return true;
    case 'i': case 'I': next->bytes = integer_bytes(format); return true;
    case 'f': *next = (item){'f', sizeof(float), 0}; return true;
    case 'd': *next = (item){'d', sizeof(double), 0}; return true;
    case 'x': *next = (item){'x', 1, 0}; return true;
    case 's': *next = (item){'s', 0, 0}; return true;
    case 'c': *next = (item){'c', read_count(format, 1), 0}; return true;
    case ' ': return false;
    case '>': format->is_little = false; return false;
    case '<': format->is_little = true; return false;
    case '!': read_alignment(format); return false;
    default:
        lua_pushfstring(format->lua, "invalid format option '%c'", letter);
        luaL_argerror(format->lua, 1, lua_tostring(format->lua, -1));
        return false;
    }
}

/* The next item of the format and the bytes in front of it; false at the end. */
static bool next_item(layout *format, item *next)
{
    while (*format->at != '\0') {
        if (!read_letter(format, next))
            continue;
        size_t alignment = ROAN_MIN(next->bytes, format->alignment);
        if (alignment > 1 && next->type != 'c')
            next->padding = (alignment - (format->offset & (alignment - 1))) & (alignment - 1);
        return true;
    }
    return false;
}

static void open_layout(layout *format, lua_State *lua)
{
    *format = (layout){.lua = lua, .at = luaL_checkstring(lua, 1), .is_little = true, .alignment = 1};
}

/* ---- packing ---- */

static void reverse(char *bytes, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        char swapped = bytes[i];
        bytes[i] = bytes[count - 1 - i];
        bytes[count - 1 - i] = swapped;
    }
}

static void add_ordered(const layout *format, luaL_Buffer *out, char *little, size_t bytes)
{
    if (!format->is_little)
        reverse(little, bytes);
    luaL_addlstring(out, little, bytes);
}

static void pack_integer(const layout *format, luaL_Buffer *out, size_t bytes, lua_Number number)
{
    char little[INTEGER_BYTES_MAX];
    bool is_signed = number < 0;
    uint64_t value = is_signed ? (uint64_t)(number < -9223372036854775808.0 ? INT64_MIN : (int64_t)number)
                               : number >= 18446744073709551616.0 ? UINT64_MAX : (uint64_t)number;
    for (size_t i = 0; i < bytes; i++)
        little[i] = i < 8 ? (char)(value >> (8 * i)) : is_signed ? '\xff' : '\0';
    add_ordered(format, out, little, bytes);
}

/* Numbers only: a string is none here. */
static lua_Number check_number(lua_State *lua, int index)
{
    luaL_checktype(lua, index, LUA_TNUMBER);
    return lua_tonumber(lua, index);
}

static void pack_float(const layout *format, luaL_Buffer *out, const item *next, lua_Number number)
{
    char bytes[sizeof(double)];
    float small = (float)number;
    if (next->type == 'f')
        memcpy(bytes, &small, sizeof small);
    else
        memcpy(bytes, &number, sizeof number);
    add_ordered(format, out, bytes, next->bytes);
}

/* Returns how many bytes it added. */
static size_t pack_text(luaL_Buffer *out, lua_State *lua, const item *next, int index)
{
    size_t length;
    const char *text = luaL_checklstring(lua, index, &length);
    size_t bytes = next->type == 'c' && next->bytes > 0 ? next->bytes : length;
    luaL_argcheck(lua, length >= bytes, index + 1, "string too short");
    luaL_addlstring(out, text, bytes);
    if (next->type == 's')
        luaL_addchar(out, '\0');
    return bytes + (next->type == 's');
}

static int pack(lua_State *lua)
{
    layout format;
    item next;
    int index = 2;
    luaL_Buffer out;
    open_layout(&format, lua);
    lua_pushnil(lua); /* behind the arguments: a missing one is nil */
    luaL_buffinit(lua, &out);
    while (next_item(&format, &next)) {
        for (size_t i = 0; i < next.padding; i++)
            luaL_addchar(&out, '\0');
        size_t bytes = next.bytes;
        switch (next.type) {
        case 'x': luaL_addchar(&out, '\0'); break;
        case 'f': case 'd': pack_float(&format, &out, &next, check_number(lua, index++)); break;
        case 's': case 'c': bytes = pack_text(&out, lua, &next, index++); break;
        default: pack_integer(&format, &out, next.bytes, check_number(lua, index++));
        }
        format.offset += next.padding + bytes;
    }
    luaL_pushresult(&out);
    return 1;
}

/* ---- unpacking ---- */

static lua_Number unpack_integer(const layout *format, const char *data, const item *next)
{
    uint64_t value = 0;
    size_t bytes = ROAN_MIN(next->bytes, 8u);
    const unsigned char *at = (const unsigned char *)data;
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)at[format->is_little ? i : next->bytes - 1 - i] << (8 * i);
    if (next->type == 'I' && bytes < 8)
        return (lua_Number)value;
    if (next->type == 'I')
        return (lua_Number)value;
    unsigned unused = 64 - 8 * (unsigned)bytes;
    return bytes == 0 ? 0 : (lua_Number)((int64_t)(value << unused) >> unused);
}

static lua_Number unpack_float(const layout *format, const char *data, const item *next)
{
    char bytes[sizeof(double)];
    float small;
    double number;
    memcpy(bytes, data, next->bytes);
    if (!format->is_little)
        reverse(bytes, next->bytes);
    if (next->type == 'f') {
        memcpy(&small, bytes, sizeof small);
        return small;
    }
    memcpy(&number, bytes, sizeof number);
    return number;
}

/* How many bytes c0 or s takes from the data. */
static size_t text_bytes(lua_State *lua, const item *next, roan_slice left, int pushed)
{
    if (next->type == 's') {
        const char *end = memchr(left.data, '\0', left.bytes);
        if (end == NULL)
            luaL_error(lua, "unfinished string in data");
        return (size_t)(end - left.data) + 1;
    }
    if (next->bytes > 0)
        return next->bytes;
    if (pushed == 0 || lua_type(lua, -1) != LUA_TNUMBER)
        luaL_error(lua, "format 'c0' needs a previous size");
    lua_Number count = lua_tonumber(lua, -1);
    lua_pop(lua, 1);
    return count >= 0 && count <= (lua_Number)left.bytes ? (size_t)count : SIZE_MAX;
}

static int unpack(lua_State *lua)
{
    layout format;
    item next;
    size_t length;
    open_layout(&format, lua);
    const char *data = luaL_checklstring(lua, 2, &length);
    lua_Number first = luaL_optnumber(lua, 3, 1);
    luaL_argcheck(lua, first >= 1, 3, "offset must be 1 or greater");
    format.offset = first > (lua_Number)length ? length + 1 : (size_t)first - 1;
    lua_settop(lua, 2);
    while (next_item(&format, &next)) {
        size_t padding = next.padding, bytes = next.bytes;
        luaL_argcheck(lua, format.offset <= length && padding <= length - format.offset &&
                               bytes <= length - format.offset - padding, 2, "data string too short");
        luaL_checkstack(lua, 2, "too many results");
        format.offset += padding;
        const char *at = data + format.offset;
        switch (next.type) {
        case 'x': break;
        case 'f': case 'd': lua_pushnumber(lua, unpack_float(&format, at, &next)); break;
        case 's': case 'c':
            bytes = text_bytes(lua, &next, roan_slice_make(at, length - format.offset), lua_gettop(lua) - 2);
            luaL_argcheck(lua, bytes <= length - format.offset, 2, "data string too short");
            lua_pushlstring(lua, at, bytes - (next.type == 's'));
            break;
        default: lua_pushnumber(lua, unpack_integer(&format, at, &next));
        }
        format.offset += bytes;
    }
    lua_pushinteger(lua, (lua_Integer)format.offset + 1);
    return lua_gettop(lua) - 2;
}

static int size(lua_State *lua)
{
    layout format;
    item next;
    open_layout(&format, lua);
    while (next_item(&format, &next)) {
        luaL_argcheck(lua, next.type != 's', 1, "option 's' has no fixed size");
        luaL_argcheck(lua, next.type != 'c' || next.bytes > 0, 1, "option 'c0' has no fixed size");
        format.offset += next.padding + next.bytes;
    }
    lua_pushinteger(lua, (lua_Integer)format.offset);
    return 1;
}

void roan_lua_push_struct(lua_State *lua)
{
    lua_createtable(lua, 0, 3);
    lua_pushcfunction(lua, pack);
    lua_setfield(lua, -2, "pack");
    lua_pushcfunction(lua, unpack);
    lua_setfield(lua, -2, "unpack");
    lua_pushcfunction(lua, size);
    lua_setfield(lua, -2, "size");
}
