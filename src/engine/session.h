/* engine/session.h: one client of the engine, whatever it is connected by.
 *
 * A session belongs to one lane: only that lane's thread touches it, except while the gate is shut. What depends on the
 * kind of connection goes through `ops`; the network server, the embedded library and tests each bring their own.
 *
 *     open --roan_session_close()--> closing (its owner frees it when it sees fit)
 *     ready --block()--> blocked --deadline, unblock or event--> ready
 */
#pragma once

#include "base/buffer.h"
#include "engine/config.h"
#include "resp/out.h"

#include <stdbool.h>

typedef struct roan_engine roan_engine;
typedef struct roan_lane roan_lane;
typedef struct roan_command roan_command;
typedef struct roan_session roan_session;
typedef struct roan_waiting roan_waiting;         /* engine/blocking.h */
typedef struct roan_transaction roan_transaction; /* engine/transaction.h */
typedef struct roan_acl_user roan_acl_user;       /* engine/acl_user.h */
typedef struct roan_watcher roan_watcher;         /* engine/watch.h */
typedef struct roan_tracker roan_tracker;         /* engine/tracking.h */

/* What CLIENT LIST shows of a connection. */
typedef struct roan_transport_info {
    const char *peer, *local;             /* "127.0.0.1:5000"; NULL: no addresses; valid while the session is */
    int fd;
    size_t query_bytes, query_free_bytes; /* unread input and room behind it */
    size_t argument_bytes;                /* arguments of a request that is being received */
    size_t reply_buffer_bytes;            /* size of the first output buffer (rbs), its peak (rbp), bytes used (obl) */
    size_t reply_buffer_peak, reply_buffer_used;
    size_t output_chunks, output_bytes;   /* oll, omem */
    size_t total_bytes;                   /* tot-mem */
    bool writable_wanted;                 /* waiting to write */
    bool is_unix, is_loopback;
} roan_transport_info;

typedef struct roan_session_ops {
    void (*describe)(const roan_session *session, roan_transport_info *info);
    /* Close the connection: at once, or when the replies so far are out. Called on the session's lane or with the gate
     * shut. */
    void (*close)(roan_session *session, bool after_replies);
    /* Output was added from outside of a request (a push, a mail): send it. Same threads as close. */
    void (*output_ready)(roan_session *session);
    /* The session may go on with its requests: it was blocked, parked or paused. Same threads as close. */
    void (*resume)(roan_session *session);
} roan_session_ops;

typedef enum roan_reply_mode {
    ROAN_REPLY_ON,
    ROAN_REPLY_OFF,
    ROAN_REPLY_SKIP_NEXT,
    ROAN_REPLY_SKIP_THIS
} roan_reply_mode;

/* What makes a session unlike others: dispatch looks closer at every command while one of these is set. */
enum {
    ROAN_MODE_MONITOR = 1,
    ROAN_MODE_TRANSACTION = 2, /* between MULTI and EXEC */
    ROAN_MODE_SUBSCRIBED = 4,
    ROAN_MODE_TRACKED = 8,     /* has a tracker: may be sent news of changed keys */
    ROAN_MODE_RESTRICTED = 16, /* its user may not do everything */
};

typedef enum roan_unblock_reason {
    ROAN_UNBLOCK_TIMEOUT,
    ROAN_UNBLOCK_ERROR,
    ROAN_UNBLOCK_SERVED,
    ROAN_UNBLOCK_CLOSED
} roan_unblock_reason;

/* Answers for a blocked session when its waiting ends. Runs on its lane (or with the gate shut). */
typedef void (*roan_unblock_fn)(roan_session *session, roan_unblock_reason reason);

struct roan_session {
    roan_lane *lane;
    const roan_session_ops *ops;
    roan_session *previous, *next; /* all sessions of the lane */
    uint64_t id;
    roan_out out;                  /* replies not yet handed to the transport */
    uint32_t db;
    uint8_t reply_mode;            /* roan_reply_mode */
    bool is_authenticated;         /* may run commands: is_trusted, or the default user needs no password at present */
    bool is_trusted;               /* logged in, or came while the default user needed no password */
    bool is_closing;               /* nothing more is executed for it */
    uint8_t modes;                 /* ROAN_MODE_* */
    bool is_blocked;
    bool is_held;                  /* its next request waits for a stripe or a pause */
    bool is_paused;                /* it is held by CLIENT PAUSE and counts as blocked */
    bool is_gone;                  /* closed at once: not listed or counted any more */
    bool no_evict, no_touch, import_source, capa_redirect;
    bool caching_given;            /* CLIENT CACHING was said for the command that runs next */
    bool is_embedded;              /* not a connection: never evicted, limited or listed */
    uint8_t park_rounds;           /* times in a row that its request found a stripe busy */
    char *name, *lib_name, *lib_version; /* NULL: not set */
    roan_acl_user *user;           /* never NULL; set by roan_acl_set_session_user */
    int64_t created_ms, last_command_ms;
    const roan_command *last_command;
    uint64_t commands, bytes_in, bytes_out;
    roan_transaction *transaction; /* since MULTI; NULL: none */
    roan_watcher *watcher;         /* NULL: it never watched a key */
    roan_tracker *tracker;         /* NULL: it never tracked, and nobody redirected to it */
    struct roan_subscriptions *subscriptions; /* engine/pubsub.h; NULL: none */
    int64_t soft_limit_since_ms;   /* output above the soft limit since; 0: it is not */
    /* blocked */
    int64_t deadline_us;           /* INT64_MAX: no time limit; wall clock */
    size_t timer_index;            /* place in the lane's timer heap + 1; 0: none */
    uint64_t blocked_ns;           /* that its command took until it began to wait */
    roan_unblock_fn on_unblock;
    struct roan_waiting *waiting;  /* for keys, engine/blocking.h; NULL: not so */
};

/* A new session on a lane: zeroed storage is the caller's (usually the head of a connection struct). */
void roan_session_init(roan_session *session, roan_lane *lane, const roan_session_ops *ops);

/* Unlinks it from everything and frees what it holds. */
void roan_session_done(roan_session *session);

/* Back to the state of a new session, as RESET does (the name of the connection included). */
void roan_session_reset(roan_session *session);

/* The session waits: its replies come from on_unblock. deadline_us INT64_MAX: for ever. */
void roan_session_block(roan_session *session, int64_t deadline_us, roan_unblock_fn on_unblock);

/* Ends the waiting, unless an answer is on its way already (is_blocked tells). Own lane, or gate shut. */
void roan_session_unblock(roan_session *session, roan_unblock_reason reason);

/* Marks it for closing and tells the transport. Own lane, or gate shut. */
void roan_session_close(roan_session *session, bool after_replies);

/* Walks all sessions of the engine; the gate is shut. */
roan_session *roan_sessions_first(roan_engine *engine);
roan_session *roan_sessions_next(roan_session *session);
roan_session *roan_sessions_find(roan_engine *engine, uint64_t id);
