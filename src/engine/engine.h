/* engine/engine.h: the data server without sockets: keyspace, lanes, one door.
 *
 *     roan_session_init(...);
 *     roan_request request = {.argc = n, .argv = words};
 *     roan_request_prepare(session, &request);
 *     roan_execute(session, &request);       replies are in session->out
 *
 * A lane is one thread's share of the engine: its place at the gate, counters, random source, the time of the current
 * batch. Threads, sockets, files and the real clock are the host's; the engine reaches them through roan_host.
 *
 * Where state lives: databases and stripes in roan_engine (under stripes or the shut gate), counters per lane (added
 * up with the gate shut), configuration in roan_engine.config (changed with the gate shut), sessions in their lane.
 */
#pragma once

#include "base/clock.h"
#include "base/hash.h"
#include "base/random.h"
#include "engine/command.h"
#include "engine/config.h"
#include "engine/lock.h"
#include "engine/session.h"
#include "engine/entry.h"
#include "types/context.h"

#include <locale.h>

struct roan_host_info; /* engine/info.h */
struct roan_stats;     /* engine/stats.h */

typedef struct roan_db {
    unsigned number;
    roan_table *tables; /* one per stripe */
} roan_db;

/* Places where other lanes may come in between, for tests/sim: see roan_at_point. */
typedef enum roan_point {
    ROAN_POINT_LOCKING, /* in the middle of taking a lock or giving it back */
    ROAN_POINT_WAITING, /* nothing goes on before another lane has run */
    ROAN_POINT_UNIT,    /* the locks are held; what happens at once begins */
    ROAN_POINT_INSIDE,  /* in the middle of it */
    ROAN_POINT_SERVING, /* a waiter is about to be served: nobody else can do that or end its waiting now */
    ROAN_POINT_DONE,    /* it has happened; the locks are still held */
} roan_point;

/* What the engine asks of the program around it. All may be NULL but context. Called with the gate shut unless
 * noted. */
typedef struct roan_host {
    void *context;
    /* SHUTDOWN was accepted: stop serving soon. */
    void (*shutdown)(void *context, int exit_code);
    /* CONFIG SET stored these: make them true. An error undoes the change. See engine/config.h. */
    const struct roan_config_hooks *config_hooks;
    /* Frees an entry later, on another thread, or now. Any lane. */
    void (*free_later)(void *context, roan_entry *entry);
    /* The same for whole tables, whose array is freed, too. */
    void (*free_tables_later)(void *context, roan_table *tables, unsigned count);
    /* Lines for the server's log. Any lane. level: 0 debug .. 3 warning */
    void (*log)(void *context, int level, const char *text);
    /* Writes INFO's host-side numbers (memory, CPU, connections, executable, ...). See engine/info.h. */
    void (*describe)(void *context, struct roan_host_info *info);
    /* Appends the line of CLIENT LIST, without its end, of the session whose call it is. Any lane. */
    void (*describe_session)(void *context, const roan_call *call, roan_buffer *ret_line);
    /* Stands still for that long (DEBUG SLEEP). */
    void (*sleep)(void *context, int64_t us);
    /* Wakes a lane's thread so that it looks into its mailbox. Any thread. */
    void (*wake)(void *context, roan_lane *lane);
    /* Only in checked builds: a simulation lets other lanes run before this returns. */
    void (*at_point)(void *context, roan_point point);
    /* A script runs on this lane for too long: serves the lane's other connections for a moment. On the lane, from
     * inside of roan_execute; nothing that is executed then touches keys. False: the server stops. */
    bool (*serve_others)(void *context, roan_lane *lane);
} roan_host;

/* A change of the keyspace as replicas and logs will see it: the command, or what it was rewritten to. Nobody listens
 * in this version unless a test does. Called under the locks of the change, in order per key. */
typedef void (*roan_effect_fn)(void *context, unsigned db, size_t argc, const roan_slice *argv);

/* Prefixes of client tracking, sorted by name; engine/broadcast.h. */
typedef struct roan_prefix_list {
    struct roan_prefix **items;
    size_t count, capacity;
} roan_prefix_list;

struct roan_lane {
    _Alignas(ROAN_CACHE_LINE) _Atomic uint32_t inside; /* the gate's view of this lane */
    _Atomic uint64_t epoch;   /* in which it entered, see engine/retire.h; 0: outside */
    _Alignas(ROAN_CACHE_LINE) roan_engine *engine;
    unsigned index;
    bool is_alone;            /* holds the gate */
    bool serves_others;       /* while a script of it stands still */
    bool may_interrupt;       /* what it wants to be alone for may come in the middle of a script that overruns */
    int64_t now_us, now_ms;   /* wall clock of the current batch */
    uint64_t ticks;           /* when the last command ended */
    roan_random random;
    struct roan_stats *stats;
    roan_session *sessions;
    size_t session_count, blocked_count, monitor_count;
    roan_session **timers;    /* heap of blocked sessions with a deadline */
    size_t timer_count, timer_capacity;
    roan_out_pool out_pool;
    struct roan_lane_pubsub *pubsub; /* engine/pubsub.h */
    roan_session *talking;    /* whose command runs, when it may get pushes or wants no replies; else NULL */
    roan_out pushes;          /* for it: they follow the reply */
    roan_buffer event_channel; /* engine/notify.c */
    roan_out *talk_out;       /* where they are put: `pushes`, or into a reply that is made of pushes */
    roan_mailbox mailbox;
    roan_mailbox messages; /* to channels, and of changed keys (engine/pubsub.h, tracking.h): looked into more often */
    _Atomic uint32_t stripe_freed; /* a stripe that sessions of this lane parked at was released */
    size_t held_count;             /* sessions whose next request is held */
    bool is_paused;                /* some of them are held by CLIENT PAUSE */
    uint32_t expire_db, expire_stripe, expire_slot; /* where active expiry goes on */
    int64_t expire_slack_ms;  /* not 0: it looks at what is due until then as well, so that it misses nothing */
    int64_t next_work_us;     /* when roan_lane_work wants to go on; INT64_MAX: nothing is left to do */
    struct roan_waiter_queue *ready_queues,
        *ready_queues_last;             /* of keys that the running call changed, engine/blocking.h */
    struct roan_waiting *stale_waiting; /* ended, but not yet out of all queues */
    roan_buffer waiter_name;
    struct roan_tracking_hold *tracking_hold; /* engine/tracking.h; NULL: none */
    roan_tracker *ended_trackers;  /* of sessions that ended, not yet out of everything */
    unsigned tracking_effort;      /* times in a row that too many keys were recorded */
    bool broadcast_is_pending;     /* changed keys were collected, engine/broadcast.h */
    struct roan_keys_ahead *ahead; /* of the call that runs, engine/call.h */
    roan_buffer scratch;      /* for one command at a time */
    roan_buffer effects;      /* of the call that runs, or of the transaction; see engine/effects.c */
    size_t effect_count;
    uint64_t dirty;           /* changes not yet added to the engine's */
    void *host_lane;          /* the host's own thread struct */
};

struct roan_engine {
    roan_config config;
    roan_clock *clock;
    roan_clock own_clock;     /* used when the host brings none */
    roan_host host;
    _Atomic uint64_t epoch;   /* for engine/retire.h */
    struct roan_retired *retired; /* memory that lanes may still be looking at; NULL with one lane */
    roan_table_context table_context; /* of the tables of keys: the secret of the hash, and when expiry columns begin */
    roan_type_context types;  /* what the values share */
    unsigned lane_count;
    roan_lane *lanes;
    unsigned stripe_count;    /* a power of two, at most ROAN_SLOT_COUNT */
    roan_stripe *stripes;
    roan_gate gate;
    roan_db *_Atomic *dbs;    /* config.databases pointers, created on first use */
    pthread_mutex_t dbs_lock;
    roan_effect_fn on_effect;
    void *effect_context;
    _Atomic uint64_t next_session_id;
    _Atomic uint64_t dirty;   /* changes since the last save */
    locale_t collation;       /* of SORT ALPHA, the host's; 0: by bytes. Changed with the gate shut */
    _Atomic uint32_t monitor_count;
    _Atomic uint64_t waiting_links; /* places in queues of commands that wait for keys */
    roan_table_context waiter_context; /* of the tables of those queues */
    /* CLIENT PAUSE */
    _Atomic int64_t pause_until_ms; /* 0: not paused */
    _Atomic int pause_all;          /* 1: every command, 0: writes only */
    bool active_expire_is_on; /* DEBUG SET-ACTIVE-EXPIRE */
    bool cron_is_paused;      /* DEBUG PAUSE-CRON */
    struct roan_watches *watches; /* engine/watch.h */
    struct roan_topics *topics;   /* engine/topics.h */
    bool tracking_is_used;        /* somebody has used CLIENT TRACKING; changed with the gate shut */
    _Atomic uint32_t tracking_clients;
    _Atomic uint64_t tracked_keys; /* recorded in all stripes, engine/tracking.h */
    roan_table_context tracked_context;
    roan_prefix_list prefixes;    /* of BCAST mode; changed with the gate shut */
    struct roan_acl *acl;     /* users, engine/acl.h */
    struct roan_scripts *scripts; /* engine/script/script.h */
    struct roan_logs *logs;   /* command logs and latency events, engine/logs.h */
    int64_t started_ms;
    size_t startup_bytes;         /* memory in use when it began to serve */
    _Atomic size_t peak_bytes;    /* most memory in use so far, see roan_engine_note_memory */
    size_t lazy_freed_before;     /* values freed in the background before CONFIG RESETSTAT */
    char run_id[41], replication_id[41];
};

/* True: a simulation has let other lanes run, so what waits looks again instead of sleeping. No code outside
 * checked builds. */
static inline bool roan_at_point(const roan_engine *engine, roan_point point)
{
#ifdef ROAN_CHECKED
    if (engine->host.at_point == NULL)
        return false;
    engine->host.at_point(engine->host.context, point);
    return true;
#else
    (void)engine;
    (void)point;
    return false;
#endif
}

typedef struct roan_engine_options {
    unsigned lanes;      /* 0: 1 */
    unsigned stripes;    /* 0: chosen by the number of lanes */
    roan_clock *clock;   /* borrowed; NULL: the real one */
    uint64_t seed;       /* of every random source; 0: from the operating system */
    roan_host host;
    const roan_config *config; /* copied; NULL: defaults */
} roan_engine_options;

/* Never NULL; starts empty. Free after all sessions are done. */
roan_engine *roan_engine_create(const roan_engine_options *options);
roan_engine *roan_engine_free(roan_engine *engine);

/* Database `number`, created when it was not used before; NULL when out of range. Any lane. */
roan_db *roan_engine_db(roan_engine *engine, int64_t number);
/* The same, or NULL when nobody used it yet. */
roan_db *roan_engine_db_if_used(roan_engine *engine, unsigned number);

/* An empty table for every stripe. */
roan_table *roan_tables_create(roan_engine *engine);

/* Keys in a database; exact with the gate shut. */
uint64_t roan_db_count(const roan_engine *engine, const roan_db *db);
uint64_t roan_db_expiring_count(const roan_engine *engine, const roan_db *db);

/* The configuration changed: copies the limits of compact encodings for the types. The gate is shut. */
void roan_engine_take_limits(roan_engine *engine);

/* Looks whether more memory is in use than ever before. Any lane. */
void roan_engine_note_memory(roan_engine *engine);

/* CLIENT PAUSE is in force: nothing expires or is evicted, and commands are held by roan_execute. */
static inline bool roan_engine_is_paused(const roan_engine *engine, int64_t now_ms)
{
    int64_t until_ms = atomic_load_explicit(&engine->pause_until_ms, memory_order_relaxed);
    return ROAN_UNLIKELY(until_ms != 0) && until_ms > now_ms;
}

/* The lane's notion of now, read once per batch. */
void roan_lane_update_time(roan_lane *lane);
/* The same after a command that may have taken long, whose duration is still to be measured. */
void roan_lane_update_time_keeping_ticks(roan_lane *lane);

/* Takes and delivers mail, and resumes sessions whose stripe was released. Inside the gate. */
void roan_lane_deliver_mail(roan_lane *lane);
/* There is mail; the lane's own thread asks before it sleeps, as nobody wakes it for what it sent to itself. */
static inline bool roan_lane_has_mail(const roan_lane *lane)
{
    return atomic_load_explicit(&lane->mailbox.newest, memory_order_relaxed) != NULL ||
           atomic_load_explicit(&lane->messages.newest, memory_order_relaxed) != NULL;
}
/* Any thread. */
void roan_lane_send(roan_lane *lane, roan_mail *mail);

/* Every lane tries its held sessions again. Any lane. */
void roan_lanes_wake_held(roan_engine *engine);

/* Housekeeping, about `hz` times a second: speeds, and a slice of work. Inside the gate, holding no stripe. */
void roan_lane_cron(roan_lane *lane);
/* A slice of active expiry and eviction, at most about a millisecond of each: for this lane's share of the stripes.
 * To be called when lane->next_work_us has come. Inside the gate, holding no stripe. */
void roan_lane_work(roan_lane *lane);
/* Ends blocked sessions whose deadline has passed; returns microseconds until the next one, or -1. */
int64_t roan_lane_run_timers(roan_lane *lane);

/* ---- the door ---- */

typedef struct roan_request {
    const roan_slice *argv; /* valid until roan_execute returns */
    size_t argc;
    size_t bytes;           /* on the wire; 0 when there is none */
    /* filled in by roan_request_prepare: */
    const roan_command *command; /* NULL: unknown */
    uint64_t hash;               /* of the first key */
    uint32_t stripe;             /* of the first key */
    uint32_t key_index;          /* argument of the first key; 0: no key known */
    roan_table *table;           /* of the first key */
} roan_request;

typedef enum roan_outcome {
    ROAN_DONE,    /* executed or refused: the answer is in session->out */
    ROAN_BLOCKED, /* executed, answers later: ops->resume() tells; send nothing more for this session until then */
    ROAN_HELD,    /* not executed: try the same request again after ops->resume() */
} roan_outcome;

/* Looks the command up, hashes its first key and asks for its segment. Cheap; any time before execution. */
void roan_request_prepare(roan_session *session, roan_request *request);
/* Ask for the slots and then the entry of the first key: each for all requests of a batch before the next step. */
void roan_request_prefetch_slots(const roan_request *request);
void roan_request_prefetch_entry(const roan_request *request);

/* Runs the request on its session's lane, inside the gate. */
roan_outcome roan_execute(roan_session *session, roan_request *request);
