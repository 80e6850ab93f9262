/* engine/script/library.c: libraries of functions; see library.h.
 *
 * A library is loaded on the side: its code runs with other globals, which only let it register functions; what it registered
 * is checked, and only then does it replace an older library and become visible. So every failure changes nothing.
 */
#include "engine/script/library.h"

#include "base/macros.h"
#include "engine/script/payload.h"

#include <ctype.h>
#include <stdio.h>

#define CHUNK_NAME "@user_function"
#define NAME_RULE "can only contain letters, numbers, or underscores(_) and must be at least one character long"

typedef char problem_text[256];

/* ---- names ---- */

static uint64_t hash_name(const roan_scripts *scripts, roan_slice name)
{
    return roan_hash(&scripts->engine->table_context.secret, name.data, name.bytes);
}

static uint64_t hash_lower(const roan_scripts *scripts, roan_slice name)
{
    char lower[256];
    size_t bytes = ROAN_MIN(name.bytes, sizeof lower);
    for (size_t i = 0; i < bytes; i++)
        lower[i] = (char)tolower((unsigned char)name.data[i]);
    return hash_name(scripts, roan_slice_make(lower, bytes));
}

static bool is_name(const char *name)
{
    const char *at = name;
    while (isalnum((unsigned char)*at) || *at == '_')
        at++;
    return at > name && *at == '\0';
}

roan_library *roan_library_find(roan_scripts *scripts, roan_slice name)
{
    for (roan_hash_node *node = roan_hash_set_first(&scripts->libraries, hash_name(scripts, name)); node != NULL;
         node = roan_hash_node_next(node))
        if (roan_slice_equal(name, roan_slice_from_text(((roan_library *)node)->name)))
            return (roan_library *)node;
    return NULL;
}

roan_function *roan_function_find(roan_scripts *scripts, roan_slice name)
{
    for (roan_hash_node *node = roan_hash_set_first(&scripts->function_names, hash_lower(scripts, name)); node != NULL;
         node = roan_hash_node_next(node))
        if (roan_slice_is(name, ((roan_function *)node)->name))
            return (roan_function *)node;
    return NULL;
}

/* ---- life ---- */

static void free_library(roan_scripts *scripts, roan_library *library)
{
    for (roan_function *f = library->functions, *next; f != NULL; f = next) {
        next = f->next;
        luaL_unref(scripts->functions.lua, LUA_REGISTRYINDEX, f->function);
        roan_text_free(f->name);
        roan_text_free(f->description);
        roan_free(f, sizeof *f);
    }
    roan_text_free(library->name);
    roan_free(library, sizeof *library + library->bytes);
}

static void link_library(roan_scripts *scripts, roan_library *library)
{
    pthread_mutex_lock(&scripts->lock);
    roan_hash_set_insert(&scripts->libraries, &library->node, hash_name(scripts, roan_slice_from_text(library->name)));
    for (roan_function *f = library->functions; f != NULL; f = f->next)
        roan_hash_set_insert(&scripts->function_names, &f->node, hash_lower(scripts, roan_slice_from_text(f->name)));
    pthread_mutex_unlock(&scripts->lock);
    scripts->library_bytes += sizeof *library + library->bytes;
}

static void unlink_library(roan_scripts *scripts, roan_library *library)
{
    pthread_mutex_lock(&scripts->lock);
    roan_hash_set_remove(&scripts->libraries, &library->node);
    for (roan_function *f = library->functions; f != NULL; f = f->next)
        roan_hash_set_remove(&scripts->function_names, &f->node);
    pthread_mutex_unlock(&scripts->lock);
    scripts->library_bytes -= sizeof *library + library->bytes;
}

void roan_library_delete(roan_scripts *scripts, roan_library *library)
{
    unlink_library(scripts, library);
    free_library(scripts, library);
}

void roan_libraries_flush(roan_scripts *scripts)
{
    for (roan_hash_node *node; (node = roan_hash_set_walk(&scripts->libraries, NULL)) != NULL;)
        roan_library_delete(scripts, (roan_library *)node);
}

/* ---- registering ---- */

static int raise_error(lua_State *lua, const char *text)
{
    roan_interp_push_error(lua, roan_slice_from_text(text));
    return lua_error(lua);
}

/* What a call of register_function gives; indexes of the stack, 0: not given. */
typedef struct registration {
    int name, callback, description;
    unsigned flags;
} registration;

static unsigned read_flags(lua_State *lua, int index)
{
    unsigned flags = 0;
    if (lua_type(lua, index) != LUA_TTABLE)
        raise_error(lua, "ERR flags argument to server.register_function must be a table representing function flags");
    for (int i = 1;; i++) {
        lua_rawgeti(lua, index, i);
        if (lua_isnil(lua, -1))
            break;
        unsigned flag = lua_type(lua, -1) == LUA_TSTRING ? roan_script_flag_find(roan_slice_from_text(lua_tostring(lua, -1))) : 0;
        if (flag == 0)
            raise_error(lua, "ERR unknown flag given");
        flags |= flag;
        lua_pop(lua, 1);
    }
    lua_pop(lua, 1);
    return flags;
}

/* The named argument whose key and value are on top of the stack. */
static void read_named(lua_State *lua, registration *given)
{
    int value = lua_gettop(lua);
    const char *key = lua_type(lua, -2) == LUA_TSTRING ? lua_tostring(lua, -2) : "";
    if (strcmp(key, "function_name") == 0) {
        if (!lua_isstring(lua, value))
            raise_error(lua, "ERR function_name argument given to server.register_function must be a string");
        lua_pushvalue(lua, value);
        lua_replace(lua, given->name = 2);
    } else if (strcmp(key, "description") == 0) {
        if (!lua_isstring(lua, value))
            raise_error(lua, "ERR description argument given to server.register_function must be a string");
        lua_pushvalue(lua, value);
        lua_replace(lua, given->description = 3);
    } else if (strcmp(key, "callback") == 0) {
        if (!lua_isfunction(lua, value))
            raise_error(lua, "ERR callback argument given to server.register_function must be a function");
        lua_pushvalue(lua, value);
        lua_replace(lua, given->callback = 4);
    } else if (strcmp(key, "flags") == 0) {
        given->flags = read_flags(lua, value);
    } else {
        raise_error(lua, "ERR unknown argument given to server.register_function");
    }
}

static void read_registration(lua_State *lua, registration *given)
{
    int count = lua_gettop(lua);
    *given = (registration){0};
    if (count < 1 || count > 2)
        raise_error(lua, "ERR wrong number of arguments to server.register_function");
    if (count == 2) {
        if (!lua_isstring(lua, 1))
            raise_error(lua, "ERR first argument to server.register_function must be a string");
        if (!lua_isfunction(lua, 2))
            raise_error(lua, "ERR second argument to server.register_function must be a function");
        given->name = 1;
        given->callback = 2;
        return;
    }
    if (lua_type(lua, 1) != LUA_TTABLE)
        raise_error(lua, "ERR calling server.register_function with a single argument is only applicable to Lua table "
                         "(representing named arguments).");
    lua_settop(lua, 4);
    lua_pushnil(lua);
    while (lua_next(lua, 1)) {
        read_named(lua, given);
        lua_pop(lua, 1);
    }
    if (given->name == 0)
        raise_error(lua, "ERR server.register_function must get a function name argument");
    if (given->callback == 0)
        raise_error(lua, "ERR server.register_function must get a callback argument");
}

int roan_library_register(lua_State *lua)
{
    roan_scripts *scripts = roan_interp_of(lua)->scripts;
    roan_library *library = scripts->loading;
    registration given;
    read_registration(lua, &given);
    if (library == NULL)
        return raise_error(lua, "ERR server.register_function can only be called on FUNCTION LOAD command");
    size_t name_bytes;
    const char *name = lua_tolstring(lua, given.name, &name_bytes);
    if (strlen(name) != name_bytes)
        name = ""; /* no name has a NUL inside: it is refused later, as others are */
    const char *description = given.description == 0 ? NULL : lua_tostring(lua, given.description);
    lua_pushvalue(lua, given.callback);
    int reference = luaL_ref(lua, LUA_REGISTRYINDEX); /* from here on nothing is raised */
    roan_function *function = roan_alloc(sizeof *function);
    *function = (roan_function){.library = library,
                                .function = reference,
                                .flags = given.flags,
                                .name = roan_text_dup(name),
                                .description = description == NULL ? NULL : roan_text_dup(description)};
    *(library->functions == NULL ? &library->functions : &library->last_function->next) = function;
    library->last_function = function;
    library->function_count++;
    return 0;
}

/* ---- loading ---- */

/* The next word of the first line, and what is left. */
static bool next_word(roan_slice *line, roan_slice *ret_word)
{
    while (line->bytes > 0 && *line->data == ' ') {
        line->data++;
        line->bytes--;
    }
    size_t bytes = 0;
    while (bytes < line->bytes && line->data[bytes] != ' ')
        bytes++;
    *ret_word = roan_slice_make(line->data, bytes);
    line->data += bytes;
    line->bytes -= bytes;
    return bytes > 0;
}

static roan_slice without_quotes(roan_slice word)
{
    bool is_quoted = word.bytes >= 2 && (word.data[0] == '"' || word.data[0] == '\'') && word.data[word.bytes - 1] == word.data[0];
    return is_quoted ? roan_slice_make(word.data + 1, word.bytes - 2) : word;
}

/* #!lua name=...; the name is the caller's to free. */
static bool parse_first_line(roan_slice code, char **ret_name, roan_slice *ret_body, problem_text problem)
{
    if (code.bytes < 2 || code.data[0] != '#' || code.data[1] != '!') {
        snprintf(problem, sizeof(problem_text), "ERR Missing library metadata");
        return false;
    }
    const char *end = memchr(code.data, '\n', code.bytes);
    if (end == NULL) {
        snprintf(problem, sizeof(problem_text), "ERR Invalid library metadata");
        return false;
    }
    roan_slice line = roan_slice_make(code.data + 2, (size_t)(end - code.data) - 2), word, engine, name = {NULL, 0};
    engine = roan_slice_make(line.data, 0);
    if (line.bytes > 0 && *line.data != ' ')
        ROAN_IGNORE(next_word(&line, &engine)); /* there is one */
    while (next_word(&line, &word)) {
        if (word.bytes < 5 || memcmp(word.data, "name=", 5) != 0) {
            snprintf(problem, sizeof(problem_text), "ERR Invalid metadata value given: %.*s",
                     (int)ROAN_MIN(word.bytes, 128u), word.data);
            return false;
        }
        if (name.data != NULL) {
            snprintf(problem, sizeof(problem_text), "ERR Invalid metadata value, name argument was given multiple times");
            return false;
        }
        name = without_quotes(roan_slice_make(word.data + 5, word.bytes - 5));
    }
    if (name.data == NULL) {
        snprintf(problem, sizeof(problem_text), "ERR Library name was not given");
        return false;
    }
    *ret_name = roan_text_dup_bytes(name.data, name.bytes);
    if (!is_name(*ret_name) || strlen(*ret_name) != name.bytes) {
        snprintf(problem, sizeof(problem_text), "ERR Library names " NAME_RULE);
    } else if (!roan_slice_is(engine, "lua")) {
        snprintf(problem, sizeof(problem_text), "ERR Engine '%.*s' not found", (int)ROAN_MIN(engine.bytes, 128u), engine.data);
    } else {
        *ret_body = roan_slice_make(end, code.bytes - (size_t)(end - code.data));
        return true;
    }
    roan_text_free(*ret_name);
    return false;
}

/* Runs the code of a library, which registers its functions in scripts->loading. */
static bool run_code(roan_scripts *scripts, roan_slice body, problem_text problem)
{
    roan_interp *interp = &scripts->functions;
    lua_State *lua = interp->lua;
    lua_rawgeti(lua, LUA_REGISTRYINDEX, interp->handler);
    bool is_compiled = roan_interp_compile(interp, body, CHUNK_NAME);
    bool is_done = false;
    if (!is_compiled) {
        snprintf(problem, sizeof(problem_text), "ERR Error compiling function: %s", lua_tostring(lua, -1));
    } else {
        scripts->loading_since = roan_clock_ticks(scripts->engine->clock);
        roan_interp_enter(interp);
        roan_interp_enter_loading(interp);
        is_done = lua_pcall(lua, 0, 0, 1) == 0;
        roan_interp_leave_loading(interp);
    }
    if (is_compiled && !is_done) {
        if (lua_type(lua, -1) == LUA_TTABLE)
            lua_getfield(lua, -1, "err");
        const char *text = lua_tostring(lua, -1);
        snprintf(problem, sizeof(problem_text), "ERR Error registering functions: %s", text == NULL ? "ERR unknown error" : text);
    }
    lua_settop(lua, 0);
    return is_done;
}

static bool check_functions(const roan_library *library, problem_text problem)
{
    for (const roan_function *f = library->functions; f != NULL; f = f->next) {
        if (!is_name(f->name)) {
            snprintf(problem, sizeof(problem_text), "ERR Function names " NAME_RULE);
            return false;
        }
        for (const roan_function *other = library->functions; other != f; other = other->next)
            if (roan_slice_is(roan_slice_from_text(f->name), other->name)) {
                snprintf(problem, sizeof(problem_text), "ERR Function already exists in the library");
                return false;
            }
    }
    if (library->functions == NULL)
        snprintf(problem, sizeof(problem_text), "ERR No functions registered");
    return library->functions != NULL;
}

/* Loads a library on the side; `name` becomes its. NULL: see `problem`. */
static roan_library *build(roan_scripts *scripts, roan_slice code, char *name, roan_slice body, problem_text problem)
{
    roan_library *library = roan_alloc(sizeof *library + code.bytes);
    *library = (roan_library){.name = name, .bytes = code.bytes};
    memcpy(library->code, code.data, code.bytes);
    scripts->loading = library;
    bool is_right = run_code(scripts, body, problem) && check_functions(library, problem);
    scripts->loading = NULL;
    if (is_right)
        return library;
    free_library(scripts, library);
    return NULL;
}

/* A function of the library has the name of one in another library than `old`. */
static bool collides(roan_scripts *scripts, const roan_library *library, const roan_library *old, problem_text problem)
{
    for (const roan_function *f = library->functions; f != NULL; f = f->next) {
        const roan_function *other = roan_function_find(scripts, roan_slice_from_text(f->name));
        if (other != NULL && other->library != old) {
            snprintf(problem, sizeof(problem_text), "ERR Function %.128s already exists", f->name);
            return true;
        }
    }
    return false;
}

roan_library *roan_library_load(roan_call *call, roan_slice code, bool replaces)
{
    roan_scripts *scripts = call->engine->scripts;
    problem_text problem;
    char *name;
    roan_slice body;
    if (!parse_first_line(code, &name, &body, problem)) {
        roan_call_error(call, problem);
        return NULL;
    }
    roan_library *old = roan_library_find(scripts, roan_slice_from_text(name));
    if (old != NULL && !replaces) {
        roan_call_error_printf(call, "ERR Library '%s' already exists", name);
        roan_text_free(name);
        return NULL;
    }
    roan_library *library = build(scripts, code, name, body, problem);
    if (library == NULL || collides(scripts, library, old, problem)) {
        if (library != NULL)
            free_library(scripts, library);
        roan_call_error(call, problem);
        return NULL;
    }
    if (old != NULL)
        roan_library_delete(scripts, old);
    link_library(scripts, library);
    return library;
}

/* ---- dump and restore ---- */

void roan_libraries_dump(roan_scripts *scripts, roan_buffer *out)
{
    for (roan_hash_node *node = roan_hash_set_walk(&scripts->libraries, NULL); node != NULL;
         node = roan_hash_set_walk(&scripts->libraries, node)) {
        const roan_library *library = (const roan_library *)node;
        roan_payload_add(out, roan_slice_make(library->code, library->bytes));
    }
    roan_payload_end(out);
}

/* The libraries of a payload, loaded on the side. */
typedef struct restored {
    roan_library *first, **end;
} restored;

static void drop_restored(roan_scripts *scripts, restored *libraries)
{
    for (roan_library *library = libraries->first, *next; library != NULL; library = next) {
        next = library->next;
        free_library(scripts, library);
    }
}

static bool collide(const roan_library *a, const roan_library *b, problem_text problem)
{
    if (strcmp(a->name, b->name) == 0) {
        snprintf(problem, sizeof(problem_text), "ERR Library '%.128s' already exists", a->name);
        return true;
    }
    for (const roan_function *f = a->functions; f != NULL; f = f->next)
        for (const roan_function *g = b->functions; g != NULL; g = g->next)
            if (roan_slice_is(roan_slice_from_text(f->name), g->name)) {
                snprintf(problem, sizeof(problem_text), "ERR Function %.128s already exists", f->name);
                return true;
            }
    return false;
}

static bool add_restored(roan_scripts *scripts, restored *libraries, roan_slice code, problem_text problem)
{
    char *name;
    roan_slice body;
    if (!parse_first_line(code, &name, &body, problem))
        return false;
    roan_library *library = build(scripts, code, name, body, problem);
    if (library == NULL)
        return false;
    *libraries->end = library;
    for (const roan_library *other = libraries->first; other != library; other = other->next)
        if (collide(library, other, problem))
            return false;
    libraries->end = &library->next;
    return true;
}

static bool read_payload(roan_scripts *scripts, roan_slice payload, restored *libraries, problem_text problem)
{
    roan_buffer code = {0};
    roan_payload_result result;
    bool is_right = true;
    while (is_right && (result = roan_payload_next(&payload, &code)) != ROAN_PAYLOAD_END) {
        is_right = result == ROAN_PAYLOAD_CODE;
        if (is_right)
            is_right = add_restored(scripts, libraries, roan_buffer_slice(&code), problem);
        else
            snprintf(problem, sizeof(problem_text), "%s",
                     result == ROAN_PAYLOAD_NO_FUNCTION ? "ERR given type is not a function"
                                                        : "ERR failed loading functions payload");
    }
    roan_buffer_done(&code);
    return is_right;
}

/* The libraries that stay must not have what the new ones bring. */
static bool check_restored(roan_scripts *scripts, const restored *libraries, bool replaces, problem_text problem)
{
    for (const roan_library *library = libraries->first; library != NULL; library = library->next) {
        const roan_library *old = roan_library_find(scripts, roan_slice_from_text(library->name));
        if (old != NULL && !replaces) {
            snprintf(problem, sizeof(problem_text), "ERR Library %.128s already exists", library->name);
            return false;
        }
        for (const roan_function *f = library->functions; f != NULL; f = f->next) {
            const roan_function *other = roan_function_find(scripts, roan_slice_from_text(f->name));
            bool goes = false; /* its library is replaced, too */
            for (const roan_library *l = libraries->first; other != NULL && l != NULL; l = l->next)
                goes = goes || strcmp(l->name, other->library->name) == 0;
            if (other != NULL && !goes) {
                snprintf(problem, sizeof(problem_text), "ERR Function %.128s already exists", f->name);
                return false;
            }
        }
    }
    return true;
}

static void install_restored(roan_scripts *scripts, restored *libraries)
{
    for (const roan_library *library = libraries->first; library != NULL; library = library->next) {
        roan_library *old = roan_library_find(scripts, roan_slice_from_text(library->name));
        if (old != NULL)
            roan_library_delete(scripts, old);
    }
    for (roan_library *library = libraries->first, *next; library != NULL; library = next) {
        next = library->next;
        library->next = NULL;
        link_library(scripts, library);
    }
}

bool roan_libraries_restore(roan_call *call, roan_slice payload, roan_restore_policy policy)
{
    roan_scripts *scripts = call->engine->scripts;
    restored libraries = {0};
    problem_text problem;
    libraries.end = &libraries.first;
    if (!roan_payload_open(&payload)) {
        roan_call_error(call, "ERR DUMP payload version or checksum are wrong");
        return false;
    }
    bool flushes = policy == ROAN_RESTORE_FLUSH;
    if (!read_payload(scripts, payload, &libraries, problem) ||
        (!flushes && !check_restored(scripts, &libraries, policy == ROAN_RESTORE_REPLACE, problem))) {
        drop_restored(scripts, &libraries);
        roan_call_error(call, problem);
        return false;
    }
    if (flushes)
        roan_libraries_flush(scripts);
    install_restored(scripts, &libraries);
    return true;
}
