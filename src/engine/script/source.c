/* engine/script/source.c: see source.h. Knows as much of Lua's syntax as is needed to find where a call ends: words, strings,
 * comments and brackets. */
#include "engine/script/source.h"

#include "base/macros.h"

#include <ctype.h>

/* What gives exactly one value and is written in C. */
static const char *const one_valued[] = {
    "redis.call",     "redis.pcall",    "redis.sha1hex",  "redis.acl_check_cmd", "redis.set_repl", "redis.setresp",
    "redis.log",      "server.call",    "server.pcall",   "server.sha1hex",      "server.acl_check_cmd",
    "server.set_repl", "server.setresp", "server.log",    "cjson.encode",        "cjson.decode",   "cmsgpack.pack",
    "struct.pack",    "struct.size",    "error",          "tonumber",            "tostring",       "type",
    "rawget",         "rawset",         "rawequal",       "setmetatable",        "getmetatable",   "string.rep",
    "string.format",  "string.char",    "string.len",     "string.lower",        "string.upper",   "string.sub",
    "string.reverse", "table.concat",   "table.getn",     "table.maxn",          "math.floor",     "math.ceil",
    "math.abs",       "math.random",    "math.max",       "math.min",            "bit.band",       "bit.bor",
    "bit.bxor",       "bit.lshift",     "bit.rshift",     "bit.tohex",           "bit.tobit",      "bit.bnot"};

/* What may follow the last statement of a block. */
static const char *const block_ends[] = {"end", "else", "elseif", "until"};

static bool is_word_start(char c)
{
    return isalpha((unsigned char)c) || c == '_';
}

static const char *skip_word(const char *at, const char *end)
{
    while (at < end && (isalnum((unsigned char)*at) || *at == '_'))
        at++;
    return at;
}

/* Behind a long bracket [[ ]] or [==[ ]==] that starts here; NULL: there is none. */
static const char *skip_long(const char *at, const char *end)
{
    const char *open = at + 1;
    while (open < end && *open == '=')
        open++;
    if (open >= end || *open != '[')
        return NULL;
    size_t level = (size_t)(open - at) - 1;
    for (at = open + 1; at < end; at++) {
        if (*at != ']' || (size_t)(end - at) < level + 2)
            continue;
        size_t same = 0;
        while (same < level && at[1 + same] == '=')
            same++;
        if (same == level && at[1 + level] == ']')
            return at + level + 2;
    }
    return end;
}

static const char *skip_quoted(const char *at, const char *end)
{
    char quote = *at++;
    while (at < end && *at != quote && *at != '\n')
        at += *at == '\\' ? 2 : 1;
    return at < end ? at + 1 : end;
}

static const char *skip_comment(const char *at, const char *end)
{
    const char *behind = at + 2 < end && at[2] == '[' ? skip_long(at + 2, end) : NULL;
    if (behind != NULL)
        return behind;
    while (at < end && *at != '\n')
        at++;
    return at;
}

/* Behind one token that is no word. */
static const char *skip_token(const char *at, const char *end)
{
    if (*at == '"' || *at == '\'')
        return skip_quoted(at, end);
    if (*at == '-' && at + 1 < end && at[1] == '-')
        return skip_comment(at, end);
    const char *behind = *at == '[' ? skip_long(at, end) : NULL;
    return behind != NULL ? behind : at + 1;
}

static const char *skip_blank(const char *at, const char *end)
{
    for (;;) {
        while (at < end && isspace((unsigned char)*at))
            at++;
        if (at + 1 >= end || at[0] != '-' || at[1] != '-')
            return at;
        at = skip_comment(at, end);
    }
}

static bool is_in(const char *at, size_t bytes, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(words[i]) == bytes && memcmp(words[i], at, bytes) == 0)
            return true;
    return false;
}

/* Behind the bracket that closes the one here; NULL: it is not closed. */
static const char *skip_brackets(const char *at, const char *end)
{
    int depth = 0;
    while (at < end) {
        if (strchr("([{", *at) != NULL && (*at != '[' || skip_long(at, end) == NULL))
            depth++;
        else if (strchr(")]}", *at) != NULL && --depth == 0)
            return at + 1;
        at = is_word_start(*at) ? skip_word(at, end) : skip_token(at, end);
    }
    return NULL;
}

/* Behind the call that is all that `return` gives here; NULL: it is none of those. */
static const char *skip_call(const char *at, const char *end)
{
    const char *name = at;
    at = skip_word(at, end);
    if (at < end && *at == '.')
        at = skip_word(at + 1, end);
    if (!is_in(name, (size_t)(at - name), one_valued, ROAN_COUNT_OF(one_valued)))
        return NULL;
    at = skip_blank(at, end);
    const char *behind = at < end && *at == '(' ? skip_brackets(at, end) : NULL;
    if (behind == NULL)
        return NULL;
    const char *next = skip_blank(behind, end);
    const char *next_end = skip_word(next, end);
    bool is_last = next == end || *next == ';' ||
                   is_in(next, (size_t)(next_end - next), block_ends, ROAN_COUNT_OF(block_ends));
    return is_last ? behind : NULL;
}

void roan_source_keep_places(roan_slice code, roan_buffer *out)
{
    const char *at = code.data, *end = code.data + code.bytes, *copied = at;
    while (at < end) {
        if (!is_word_start(*at)) {
            at = skip_token(at, end);
            continue;
        }
        const char *word = at;
        at = skip_word(at, end);
        bool is_field = word > code.data && (word[-1] == '.' || word[-1] == ':');
        if (at - word != 6 || memcmp(word, "return", 6) != 0 || is_field)
            continue;
        const char *value = skip_blank(at, end);
        const char *behind = skip_call(value, end);
        if (behind == NULL)
            continue;
        roan_buffer_append(out, copied, (size_t)(value - copied));
        roan_buffer_append_char(out, '(');
        roan_buffer_append(out, value, (size_t)(behind - value));
        roan_buffer_append_char(out, ')');
        at = copied = behind;
    }
    roan_buffer_append(out, copied, (size_t)(end - copied));
}
