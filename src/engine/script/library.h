/* engine/script/library.h: libraries of functions: loading, finding, listing, and their serialised form. */
#pragma once

#include "engine/script/script.h"

typedef struct roan_function roan_function;
struct roan_function {
    roan_hash_node node;      /* by name, in lower case */
    roan_function *next;      /* of the library */
    roan_library *library;
    int function;             /* in the registry of the functions' interpreter */
    unsigned flags;
    char *name, *description; /* description: NULL for none */
};

struct roan_library {
    roan_hash_node node; /* by name */
    roan_library *next;  /* while several are loaded together */
    char *name;
    roan_function *functions, *last_function;
    size_t function_count;
    size_t bytes;        /* of the code */
    char code[];
};

typedef enum roan_restore_policy { ROAN_RESTORE_APPEND, ROAN_RESTORE_REPLACE, ROAN_RESTORE_FLUSH } roan_restore_policy;

/* Loads a library from its code. Returns it, or NULL after an error was sent and nothing changed. */
roan_library *roan_library_load(roan_call *call, roan_slice code, bool replaces);

/* The library of that name, or NULL. */
roan_library *roan_library_find(roan_scripts *scripts, roan_slice name);
void roan_library_delete(roan_scripts *scripts, roan_library *library);
void roan_libraries_flush(roan_scripts *scripts);

/* The function of that name, in any case, or NULL. */
roan_function *roan_function_find(roan_scripts *scripts, roan_slice name);

/* All libraries as FUNCTION DUMP gives them. */
void roan_libraries_dump(roan_scripts *scripts, roan_buffer *out);

/* FUNCTION RESTORE; false after an error was sent and nothing changed. */
bool roan_libraries_restore(roan_call *call, roan_slice payload, roan_restore_policy policy);

/* redis.register_function */
int roan_library_register(lua_State *lua);
