/* engine/script/script.h: scripts and functions of an engine: what is cached, and how one of them runs.
 *
 * One script runs at a time: its lane has the turn (engine/lock.h), and with it the interpreters, the cache and the
 * libraries. What other lanes look at meanwhile (is one running for too long, kill it) is atomic, or under `lock`.
 */
#pragma once

#include "base/hash_set.h"
#include "engine/call.h"
#include "engine/script/interp.h"

#include <pthread.h>
#include <stdatomic.h>

/* Flags of a script, in its first line or at its registration. */
enum {
    ROAN_SCRIPT_NO_WRITES = 1,
    ROAN_SCRIPT_ALLOW_OOM = 2,
    ROAN_SCRIPT_ALLOW_STALE = 4,
    ROAN_SCRIPT_NO_CLUSTER = 8,
    ROAN_SCRIPT_ALLOW_CROSS_SLOT = 16,
    ROAN_SCRIPT_UNDECLARED = 32, /* an EVAL script without a first line that declares them */
};

/* The flag of that name, or 0. */
unsigned roan_script_flag_find(roan_slice name);
extern const char *const roan_script_flag_names[5]; /* by bit */

typedef struct roan_script roan_script;     /* cache.c */
typedef struct roan_library roan_library;   /* library.h */

typedef enum roan_script_kind { ROAN_SCRIPT_NONE, ROAN_SCRIPT_EVAL, ROAN_SCRIPT_FUNCTION } roan_script_kind;

/* What is to be run. */
typedef struct roan_script_start {
    roan_script_kind kind;
    int function;      /* reference in the registry of the kind's interpreter */
    unsigned flags;
    bool is_read_only; /* asked for by a command that ends in _RO */
    roan_slice name;   /* of a function */
    size_t keys;       /* argv[3...] of the call; the rest are arguments */
} roan_script_start;

/* The running script. Its lane's, except for what is atomic in roan_scripts. */
typedef struct roan_script_run {
    roan_call *call;
    roan_interp *interp;
    roan_session session; /* stands in for the caller's: has its own database and protocol */
    unsigned flags;
    roan_slice name;
    bool is_read_only;
    bool is_out_of_memory;
    bool lacks_replicas;
    bool has_written;
    bool is_long;         /* the time was looked at: others may have waited */
    bool was_in_exec;     /* which had shut the gate; it has opened for answers meanwhile */
    int repl;             /* who gets its effects */
    uint64_t start_ticks;
} roan_script_run;

struct roan_scripts {
    roan_engine *engine;
    pthread_mutex_t lock; /* of the cache's and libraries' names, against look-ups without the turn */
    roan_interp eval, functions;
    bool allows_denied;   /* DEBUG SET-DISABLE-DENY-SCRIPTS */
    roan_script_run *run; /* NULL: none */
    roan_script_run run_room;
    roan_slice *argv;     /* words of redis.call */
    size_t argv_room;
    roan_buffer reply;    /* of redis.call, when it came in several chunks */
    /* the cache of EVAL */
    roan_hash_set by_text, by_sha;
    roan_script *oldest, *newest; /* of those that may be evicted */
    size_t evictable_count, script_bytes;
    /* libraries */
    roan_hash_set libraries, function_names;
    roan_library *loading;  /* being loaded, since */
    uint64_t loading_since;
    size_t library_bytes;
    /* stripes that the running script has taken */
    uint32_t *held;
    size_t held_count;
    /* for everybody */
    _Atomic int running;       /* roan_script_kind */
    _Atomic int busy;          /* the same when it has run for too long */
    _Atomic bool is_killed;
    _Atomic bool has_written;
    _Atomic uint64_t started_ticks;
    roan_buffer running_name, running_command; /* under `lock`; for FUNCTION STATS */
};

roan_scripts *roan_scripts_create(roan_engine *engine);
void roan_scripts_free(roan_scripts *scripts);

/* Parses the number of keys in argv[2]; false after an error was sent. */
bool roan_script_parse_keys(roan_call *call, const char *error, size_t *ret_keys);

/* Runs it and answers. The turn is the lane's. */
void roan_script_run_now(roan_call *call, const roan_script_start *start);

/* The script has ended: gives back the stripes it took, or opens the gate. */
void roan_script_release(roan_lane *lane);

/* A script that overruns must not keep other lanes from answering: if it is alone it gives up the gate. */
void roan_script_let_others_answer(roan_lane *lane);

/* For refusals: the flags that the script of this call gives it, instead of those of its row. Any lane, without the turn. */
uint32_t roan_script_command_flags(const roan_call *call);

/* redis.call and redis.pcall: the words are on the stack. Pushes the reply. */
int roan_script_call(lua_State *lua, bool raises);

/* Answers with an error that the interpreter left on top of the stack. */
void roan_script_send_error(roan_call *call, lua_State *lua);

/* An interpreter, new. */
void roan_scripts_open_one(roan_scripts *scripts, roan_interp *interp);

/* From now on the interpreter looks around now and then: overrun.c. */
void roan_script_watch(lua_State *lua);

/* Answers with what FUNCTION STATS says of the function that runs; a null when none does, or not for long yet. */
void roan_script_show_running(roan_call *call);

/* What others are told meanwhile. */
const char *roan_script_busy_text(int kind);

/* SCRIPT KILL, FUNCTION KILL. */
void roan_script_kill(roan_call *call, roan_script_kind kind);

/* ---- the cache of EVAL: cache.c ---- */

struct roan_script {
    roan_hash_node by_text, by_sha;
    roan_script *older, *newer; /* while it may be evicted */
    int function;
    unsigned flags;
    bool is_evictable;
    char sha[41];
    size_t bytes;
    char text[];
};

/* The script of that text, compiled now when it is new; NULL after an error was sent. */
roan_script *roan_script_get(roan_call *call, roan_slice text, bool is_evictable);
/* The script of that digest, in any case; NULL: there is none. */
roan_script *roan_script_find(roan_scripts *scripts, roan_slice sha);
void roan_script_used(roan_scripts *scripts, roan_script *script);
void roan_script_keep(roan_scripts *scripts, roan_script *script);
void roan_script_flush(roan_scripts *scripts);
void roan_script_free_all(roan_scripts *scripts);
