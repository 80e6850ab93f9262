/* engine/script/cache.c: compiled EVAL scripts, found by their text (EVAL) or its SHA-1 (EVALSHA).
 *
 * A text is hashed with the engine's own hash, so that an EVAL that was seen before computes no digest. Scripts that came with
 * EVAL may be evicted: the one that was not used for longest goes when there are more than EVICTABLE_MAX. SCRIPT LOAD
 * keeps a script for good.
 */
#include "engine/script/script.h"

#include "base/macros.h"
#include "base/sha1.h"
#include "engine/script/library.h"
#include "engine/stats.h"

#include <ctype.h>

#define EVICTABLE_MAX 500
#define CHUNK_NAME "@user_script"

const char *const roan_script_flag_names[5] = {"no-writes", "allow-oom", "allow-stale", "no-cluster",
                                               "allow-cross-slot-keys"};

unsigned roan_script_flag_find(roan_slice name)
{
    for (unsigned i = 0; i < ROAN_COUNT_OF(roan_script_flag_names); i++)
        if (roan_slice_equal(name, roan_slice_from_text(roan_script_flag_names[i])))
            return 1u << i;
    return 0;
}

static uint64_t hash(const roan_scripts *scripts, const char *data, size_t bytes)
{
    return roan_hash(&scripts->engine->table_context.secret, data, bytes);
}

/* ---- eviction order ---- */

static void leave_order(roan_scripts *scripts, roan_script *script)
{
    *(script->older == NULL ? &scripts->oldest : &script->older->newer) = script->newer;
    *(script->newer == NULL ? &scripts->newest : &script->newer->older) = script->older;
    scripts->evictable_count--;
}

static void enter_order(roan_scripts *scripts, roan_script *script)
{
    script->older = scripts->newest;
    script->newer = NULL;
    *(scripts->newest == NULL ? &scripts->oldest : &scripts->newest->newer) = script;
    scripts->newest = script;
    scripts->evictable_count++;
}

void roan_script_used(roan_scripts *scripts, roan_script *script)
{
    if (!script->is_evictable || scripts->newest == script)
        return;
    leave_order(scripts, script);
    enter_order(scripts, script);
}

void roan_script_keep(roan_scripts *scripts, roan_script *script)
{
    if (!script->is_evictable)
        return;
    leave_order(scripts, script);
    script->is_evictable = false;
}

/* ---- life ---- */

static void remove_script(roan_scripts *scripts, roan_script *script)
{
    luaL_unref(scripts->eval.lua, LUA_REGISTRYINDEX, script->function);
    roan_script_keep(scripts, script);
    pthread_mutex_lock(&scripts->lock);
    roan_hash_set_remove(&scripts->by_text, &script->by_text);
    roan_hash_set_remove(&scripts->by_sha, &script->by_sha);
    pthread_mutex_unlock(&scripts->lock);
    scripts->script_bytes -= sizeof *script + script->bytes;
    roan_free(script, sizeof *script + script->bytes);
}

static roan_script *of_sha_node(roan_hash_node *node)
{
    return (roan_script *)(void *)((char *)node - offsetof(roan_script, by_sha));
}

void roan_script_free_all(roan_scripts *scripts)
{
    for (roan_hash_node *node = roan_hash_set_walk(&scripts->by_sha, NULL), *next; node != NULL; node = next) {
        next = roan_hash_set_walk(&scripts->by_sha, node);
        remove_script(scripts, of_sha_node(node));
    }
}

void roan_script_flush(roan_scripts *scripts)
{
    roan_script_free_all(scripts);
    roan_interp_done(&scripts->eval);
    roan_scripts_open_one(scripts, &scripts->eval);
}

static void write_sha(roan_slice text, char sha[41])
{
    unsigned char digest[ROAN_SHA1_BYTES];
    roan_sha1(text.data, text.bytes, digest);
    for (unsigned i = 0; i < ROAN_SHA1_BYTES; i++) {
        sha[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        sha[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    sha[40] = '\0';
}

/* ---- the first line: #!lua flags=no-writes,allow-oom ---- */

static bool next_word(roan_slice *rest, char separator, roan_slice *ret_word)
{
    while (rest->bytes > 0 && rest->data[0] == separator) {
        rest->data++;
        rest->bytes--;
    }
    if (rest->bytes == 0)
        return false;
    const char *end = memchr(rest->data, separator, rest->bytes);
    size_t bytes = end == NULL ? rest->bytes : (size_t)(end - rest->data);
    *ret_word = roan_slice_make(rest->data, bytes);
    rest->data += bytes;
    rest->bytes -= bytes;
    return true;
}

static bool parse_flags(roan_call *call, roan_slice list, unsigned *flags)
{
    while (list.bytes > 0 || list.data == NULL) {
        const char *comma = list.data == NULL ? NULL : memchr(list.data, ',', list.bytes);
        roan_slice word = roan_slice_make(list.data == NULL ? "" : list.data,
                                          comma == NULL ? list.bytes : (size_t)(comma - list.data));
        list = comma == NULL ? ROAN_LITERAL("") : roan_slice_make(comma + 1, list.bytes - word.bytes - 1);
        if (comma != NULL && list.bytes == 0)
            list.data = NULL; /* an empty word is still to come */
        unsigned flag = roan_script_flag_find(word);
        if (flag == 0) {
            if (call != NULL)
                roan_call_error_printf(call, "ERR Unexpected flag in script shebang: %.*s", ROAN_SLICE_ARG(word));
            return false;
        }
        *flags |= flag;
    }
    return true;
}

/* Finds the flags of a script, and its code, which begins behind the first line's words. False after an error was sent
 * (call NULL: nobody wants to know). */
static bool parse_first_line(roan_call *call, roan_slice text, unsigned *ret_flags, roan_slice *ret_code)
{
    *ret_code = text;
    *ret_flags = ROAN_SCRIPT_UNDECLARED;
    if (text.bytes < 2 || text.data[0] != '#' || text.data[1] != '!')
        return true;
    const char *end = memchr(text.data, '\n', text.bytes);
    if (end == NULL) {
        if (call != NULL)
            roan_call_error(call, "ERR Invalid script shebang");
        return false;
    }
    roan_slice line = roan_slice_make(text.data + 2, (size_t)(end - text.data) - 2), word = ROAN_LITERAL("");
    bool has_engine = line.bytes > 0 && line.data[0] != ' ' && next_word(&line, ' ', &word);
    if (!has_engine || !roan_slice_is(word, "lua")) {
        if (call != NULL)
            roan_call_error_printf(call, "ERR Could not find scripting engine '%.*s'", ROAN_SLICE_ARG(word));
        return false;
    }
    *ret_flags = 0;
    while (next_word(&line, ' ', &word)) {
        if (word.bytes < 6 || memcmp(word.data, "flags=", 6) != 0) {
            if (call != NULL)
                roan_call_error_printf(call, "ERR Unknown lua shebang option: %.*s", ROAN_SLICE_ARG(word));
            return false;
        }
        if (!parse_flags(call, roan_slice_make(word.data + 6, word.bytes - 6), ret_flags))
            return false;
    }
    *ret_code = roan_slice_make(end, text.bytes - (size_t)(end - text.data));
    return true;
}

/* ---- finding and adding ---- */

static roan_script *find_text(const roan_scripts *scripts, roan_slice text, uint64_t text_hash)
{
    for (roan_hash_node *node = roan_hash_set_first(&scripts->by_text, text_hash); node != NULL;
         node = roan_hash_node_next(node)) {
        roan_script *script = (roan_script *)node;
        if (script->bytes == text.bytes && (text.bytes == 0 || memcmp(script->text, text.data, text.bytes) == 0))
            return script;
    }
    return NULL;
}

static roan_script *add(roan_scripts *scripts, roan_slice text, uint64_t text_hash, unsigned flags)
{
    roan_script *script = roan_alloc(sizeof *script + text.bytes);
    *script = (roan_script){.flags = flags, .bytes = text.bytes};
    if (text.bytes > 0)
        memcpy(script->text, text.data, text.bytes);
    script->function = luaL_ref(scripts->eval.lua, LUA_REGISTRYINDEX);
    write_sha(text, script->sha);
    pthread_mutex_lock(&scripts->lock);
    roan_hash_set_insert(&scripts->by_text, &script->by_text, text_hash);
    roan_hash_set_insert(&scripts->by_sha, &script->by_sha, hash(scripts, script->sha, 40));
    pthread_mutex_unlock(&scripts->lock);
    scripts->script_bytes += sizeof *script + text.bytes;
    return script;
}

static void evict(roan_scripts *scripts, roan_lane *lane)
{
    while (scripts->evictable_count >= EVICTABLE_MAX) {
        remove_script(scripts, scripts->oldest);
        lane->stats->evicted_scripts++;
    }
}

roan_script *roan_script_get(roan_call *call, roan_slice text, bool is_evictable)
{
    roan_scripts *scripts = call->engine->scripts;
    uint64_t text_hash = hash(scripts, text.data, text.bytes);
    roan_script *script = find_text(scripts, text, text_hash);
    if (ROAN_LIKELY(script != NULL))
        return script;
    unsigned flags;
    roan_slice code;
    if (!parse_first_line(call, text, &flags, &code))
        return NULL;
    lua_State *lua = scripts->eval.lua;
    if (!roan_interp_compile(&scripts->eval, code, CHUNK_NAME)) {
        roan_call_error_printf(call, "ERR Error compiling script (new function): %s", lua_tostring(lua, -1));
        lua_pop(lua, 1);
        return NULL;
    }
    if (is_evictable)
        evict(scripts, call->lane);
    script = add(scripts, text, text_hash, flags);
    script->is_evictable = is_evictable;
    if (is_evictable)
        enter_order(scripts, script);
    return script;
}

roan_script *roan_script_find(roan_scripts *scripts, roan_slice sha)
{
    char lower[40];
    if (sha.bytes != sizeof lower)
        return NULL;
    for (unsigned i = 0; i < sizeof lower; i++)
        lower[i] = (char)tolower((unsigned char)sha.data[i]);
    for (roan_hash_node *node = roan_hash_set_first(&scripts->by_sha, hash(scripts, lower, sizeof lower)); node != NULL;
         node = roan_hash_node_next(node))
        if (memcmp(of_sha_node(node)->sha, lower, sizeof lower) == 0)
            return of_sha_node(node);
    return NULL;
}

/* ---- for refusals ---- */

/* The flags of the script, or ROAN_SCRIPT_UNDECLARED when it is not to be found. */
static unsigned flags_of_call(const roan_call *call)
{
    const roan_function *function;
    roan_scripts *scripts = call->engine->scripts;
    unsigned flags = ROAN_SCRIPT_UNDECLARED;
    roan_slice code;
    switch (call->command->id) {
    case ROAN_COMMAND_ID_eval:
    case ROAN_COMMAND_ID_eval_ro:
        return parse_first_line(NULL, call->argv[1], &flags, &code) ? flags : ROAN_SCRIPT_UNDECLARED;
    case ROAN_COMMAND_ID_fcall:
    case ROAN_COMMAND_ID_fcall_ro:
        pthread_mutex_lock(&scripts->lock);
        function = roan_function_find(scripts, call->argv[1]);
        if (function != NULL)
            flags = function->flags;
        pthread_mutex_unlock(&scripts->lock);
        return flags;
    case ROAN_COMMAND_ID_evalsha:
    case ROAN_COMMAND_ID_evalsha_ro:
        break;
    default:
        return flags;
    }
    pthread_mutex_lock(&scripts->lock);
    const roan_script *script = roan_script_find(scripts, call->argv[1]);
    if (script != NULL)
        flags = script->flags;
    pthread_mutex_unlock(&scripts->lock);
    return flags;
}

uint32_t roan_script_command_flags(const roan_call *call)
{
    unsigned flags = flags_of_call(call);
    uint32_t row = call->command->flags;
    if (flags & ROAN_SCRIPT_UNDECLARED)
        return row;
    row &= ~(uint32_t)(ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_MAY_REPLICATE);
    if (flags & ROAN_SCRIPT_NO_WRITES)
        return row | ROAN_CMD_READ;
    return row | ROAN_CMD_WRITE | (flags & ROAN_SCRIPT_ALLOW_OOM ? 0u : (uint32_t)ROAN_CMD_DENY_OOM);
}
