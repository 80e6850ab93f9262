/* roan/client.h: libroan, the Redis client that never hangs.
 *
 * One handle, used from any number of threads, synchronously and asynchronously at the same time. What different
 * threads ask for at the same moment shares one connection and one write (automatic pipelining). The handle reconnects
 * by itself; every call has a deadline and every future settles.
 *
 *     roan *client;
 *     roan_value *reply;
 *     roan_slice words[] = {ROAN_LITERAL("GET"), ROAN_LITERAL("stock")};
 *
 *     if (roan_open(&client, "redis://localhost", NULL, NULL) != ROAN_OK) ...
 *     if (roan_do(client, 2, words, &reply, NULL) == ROAN_OK) ... reply->text ... roan_value_free(reply);
 *     roan_close(client, 1000);
 *
 * Results: ROAN_OK, ROAN_NIL (the server answered null: an answer, not a failure) or a negative status. After a failure
 * of a synchronous call roan_last_failure() tells this thread the rest: the server's words, and whether the command can
 * have run (its fate).
 *
 * Memory: arguments are copied before a call returns; replies belong to the caller (roan_value_free). Threads: every
 * function may be called from any thread unless its comment says otherwise. A batch, a lease, a subscription's iterator
 * and a scan belong to one thread at a time.
 *
 * Typed functions for every command are in roan/client_commands.h.
 */
#ifndef ROAN_CLIENT_H
#define ROAN_CLIENT_H

#include "roan/base.h"
#include "roan/resp.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- failures ------------------------------------------------------------------------------------------------- */

/* Can the command have had its effect? Decides whether doing it again is safe. */
typedef enum roan_fate {
    ROAN_FATE_NOT_SENT,     /* not a byte of it left this process */
    ROAN_FATE_MAY_HAVE_RUN, /* it was sent, at least in part, and no answer came */
    ROAN_FATE_RAN           /* the server answered (that it failed) */
} roan_fate;

#define ROAN_SERVER_CODE_MAX 24
#define ROAN_NODE_MAX 112

typedef struct roan_failure {
    roan_status code;
    roan_fate fate;
    int os_errno;                           /* 0 when no system call was involved */
    unsigned attempts;                      /* how often it was tried, 1 without retries */
    char server_code[ROAN_SERVER_CODE_MAX]; /* SERVER: first word of the error, "WRONGTYPE"; else "" */
    char node[ROAN_NODE_MAX];               /* the server: "host:port" or the socket's path; "" if none was involved */
    char text[ROAN_ERROR_TEXT_MAX];         /* for people, terminated; never holds values or secrets */
} roan_failure;

/* Of the last call on this thread that took a roan * and failed. Valid until the next one. Never NULL. */
ROAN_API const roan_failure *roan_last_failure(void);

/* ---- options -------------------------------------------------------------------------------------------------- */

typedef struct roan roan;
typedef struct roan_future roan_future;
typedef struct roan_transport roan_transport; /* roan/transport.h */

/* Who reads and writes the sockets. */
typedef enum roan_drive {
    ROAN_DRIVE_AUTO,   /* a waiting caller does it; a thread of the library takes over under contention and for
                          asynchronous calls */
    ROAN_DRIVE_THREAD, /* always a thread of the library */
    ROAN_DRIVE_LOOP    /* the program's event loop: it polls roan_fd() and calls roan_turn() */
} roan_drive;

/* What a deadline that passes does to the connection that others share. */
typedef enum roan_late {
    ROAN_LATE_AUTO,   /* abandon the reply if anything arrived since the call was sent, reset the connection if not */
    ROAN_LATE_RESET,  /* always reset */
    ROAN_LATE_ABANDON /* never reset; the late reply is dropped when it comes */
} roan_late;

/* What happens to a leased connection that comes back with state on it (MULTI, WATCH, SELECT, ...). */
typedef enum roan_on_dirty {
    ROAN_ON_DIRTY_DESTROY, /* close it; the next lease opens a new one */
    ROAN_ON_DIRTY_CLEANUP  /* RESET (or DISCARD, UNWATCH, ...), and close it if that fails */
} roan_on_dirty;

/* What reconnecting and a handle's life report; see roan_hooks. */
typedef enum roan_event {
    ROAN_EVENT_CONNECTED,    /* ready: the handshake is done */
    ROAN_EVENT_DISCONNECTED, /* a ready connection ended; the failure says why */
    ROAN_EVENT_CONNECT_FAILED,
    ROAN_EVENT_CLOSED
} roan_event;

/* Called on the thread that drives the connection, with drive=loop on the one that calls roan_turn() (before the first
 * time: that opened the handle) or roan_close(); but on_start where the command begins. They must return quickly and may
 * call asynchronous functions only: a synchronous call from inside fails with ROAN_E_USAGE. Every pointer may be NULL. */
typedef struct roan_hooks {
    size_t size; /* sizeof(roan_hooks) */
    void *argument;
    void (*on_event)(void *argument, roan_event event, const char *node, const roan_failure *failure);
    /* A command begins and ends; `command` is its name in lower case, "client|list" for a subcommand. Nanoseconds it
     * waited to be sent and was under way; bytes sent and received. */
    void (*on_start)(void *argument, uint64_t id, const char *command);
    void (*on_end)(void *argument, uint64_t id, const roan_failure *failure, int64_t waited_ns, int64_t wire_ns,
                   size_t sent_bytes, size_t received_bytes);
    /* A line for a log, redacted: names, counts and sizes, never values. level: 0 debug, 1 notice, 2 warning. */
    void (*on_log)(void *argument, int level, const char *line);
    /* A RESP3 push that is neither a message nor an invalidation. Borrowed. */
    void (*on_push)(void *argument, const roan_value *push);
} roan_hooks;

/* Everything is optional: 0 or NULL means the default. Where a limit can be absent, -1 means none. Every scalar field
 * is a query key of a URI, too, under the same name: "redis://host/2?request_timeout_ms=250&client_name=shop". What
 * the URI says wins over the struct; there, a number is always a value and never "the default". Texts are copied, at
 * most 64 KiB each. Names in parentheses: defaults. docs/client-options.md has the bounds. */
typedef struct roan_options {
    size_t size; /* sizeof(roan_options); grows at the end, never reorders */

    const char *username;    /* (none) also in a URI's user part; without a password: with an empty one */
    const char *password;    /* (none) also in a URI's user part */
    const char *client_name; /* (none) CLIENT SETNAME */
    roan_slice key_prefix;   /* (none) put before every key and taken off again in replies */
    int database;            /* (0) also a URI's path */
    int protocol;            /* (0: RESP3 where the server has it) 2 or 3 */
    roan_drive drive;        /* (auto) auto, thread, loop */

    int connect_timeout_ms;  /* (10000) name resolution, connecting and handshake together */
    int request_timeout_ms;  /* (5000, -1 none) from the call to its reply, waiting and retries included */
    int silence_timeout_ms;  /* (30000, -1 none) nothing received while replies are due: the connection is dead. With
                                nothing due a PING goes out after so long, where a thread or loop drives */
    int write_timeout_ms;    /* (30000, -1 none) the socket accepts nothing while output waits */
    int blocking_grace_ms;   /* (2000) a blocking command's deadline is its own timeout plus this */
    roan_late late;          /* (auto) auto, reset, abandon */

    int reconnect;              /* (1) -1: a lost connection is not opened again */
    int backoff_first_ms;       /* (100) before the second attempt; doubles */
    int backoff_max_ms;         /* (60000) */
    int backoff_jitter_percent; /* (25, -1 none) each wait varies by so much up or down */
    int queue_commands_max;     /* (1000, -1 none) that wait while there is no connection; beyond: QUEUE_FULL */
    int64_t queue_bytes_max;    /* (64 MiB, -1 none) of them together */
    int64_t reply_bytes_max;    /* (-1: none) of one reply; beyond: PROTOCOL, and the connection is reset */
    int retries_max;            /* (3, -1: nothing is tried again) see roan_call.retry */

    int leases_min;           /* (0) exclusive connections kept open */
    int leases_max;           /* (16) open at a time */
    int lease_idle_ms;        /* (60000, -1 none) beyond leases_min, idle ones are closed after this */
    int lease_timeout_ms;     /* (5000, -1 none) wait for one when all are in use */
    int lease_check_idle_ms;  /* (5000, -1 never) idle for so long: PING before it is handed out */
    roan_on_dirty on_dirty;   /* (destroy) destroy, cleanup */

    /* How long to wait before the command is tried again, in ms, or -1 to give up; asked instead of the built-in rule.
     * `attempt` is 1 after the first failure. Called on the driving thread; must not block, nor call the library. */
    int (*retry)(void *argument, unsigned attempt, const roan_failure *failure, const char *command);
    void *retry_argument;
    /* Fills in who to log in as, for every connection anew. The texts are copied at once. Not ROAN_OK: connecting
     * fails. Called on the driving thread; must not block, nor call the library. */
    roan_status (*credentials)(void *argument, const char *node, const char **ret_username, const char **ret_password);
    void *credentials_argument;

    const roan_hooks *hooks;         /* copied */
    const roan_transport *transport; /* (TCP and Unix sockets); must outlive the handle */
} roan_options;

#define ROAN_OPTIONS(...) (&(roan_options){.size = sizeof(roan_options), __VA_ARGS__})

/* ---- the handle ----------------------------------------------------------------------------------------------- */

/* Checks the URI and the options (NULL: defaults) and makes a handle. Connecting is lazy: it begins with the first call
 * or with roan_ready(). URIs:
 *     redis://[user[:password]@][host][:port][/database][?option=value&...]     valkey://  roan://  alike
 *     unix://[user[:password]@]/path[?option=value&...]                         redis+unix://  valkey+unix://  alike
 *     embedded://[name][/database][?option=value&...]                           a server inside this process (roan/embedded.h)
 * The host is localhost and the port 6379 when left out; an IPv6 host is written in brackets. User, password, socket
 * path and the query are percent-encoded; `db` is `database`. Unknown options, options given twice, and whatever else
 * is not in this grammar are refused. rediss:// fails with ROAN_E_UNSUPPORTED: TLS is not built in yet; so do
 * redis+cluster:// and redis+sentinel://. Fails with ROAN_E_CONFIG (the text names the part, never a value),
 * NO_ENTRY (no server of that name runs in this process), UNSUPPORTED or NOMEM. */
ROAN_API roan_status roan_open(roan **ret_client, const char *uri, const roan_options *options, roan_error *reterr)
    ROAN_MUST_CHECK;

/* Connects if need be and waits until commands can be sent (timeout_ms -1: connect_timeout_ms). ROAN_OK, or why not. */
ROAN_API roan_status roan_ready(roan *client, int timeout_ms);

/* Refuses new calls, waits at most drain_ms for those under way, fails the rest with ROAN_E_CLOSED, and frees the
 * handle. Threads that wait inside of a call at that time come back with what became of it; nobody may begin one. Futures
 * that are still held stay valid until they are dropped; leases, subscriptions and scans must have been given back.
 * Accepts NULL. Not from a callback. ROAN_OK when everything had been answered, else ROAN_E_TIMEOUT. */
ROAN_API roan_status roan_close(roan *client, int drain_ms);

/* DRIVE_LOOP: a descriptor that becomes readable when roan_turn() has something to do. The same for the handle's whole
 * life. -1 with another drive. */
ROAN_API int roan_fd(const roan *client);

/* DRIVE_LOOP: milliseconds until roan_turn() must be called even if the descriptor stays quiet; -1: no need. roan_fd()
 * has a timer inside, so that polling the descriptor alone is enough. */
ROAN_API int roan_turn_due_ms(roan *client);

/* DRIVE_LOOP: does what is due: reads, writes, time-outs, callbacks. wait_ms 0: never blocks; -1: until something
 * happened. From one thread at a time. */
ROAN_API roan_status roan_turn(roan *client, int wait_ms);

/* Sends what asynchronous calls have gathered. Not needed: it happens soon by itself, and at once when one waits. */
ROAN_API void roan_flush(roan *client);

/* What the handle is doing, for metrics. */
typedef struct roan_client_stats {
    size_t size;          /* sizeof(roan_client_stats), set by the caller */
    uint64_t commands;    /* begun */
    uint64_t failures;    /* ended without an answer of the server */
    uint64_t timeouts;    /* of these, deadlines that passed */
    uint64_t retries;
    uint64_t connects;    /* handshakes that succeeded */
    uint64_t disconnects; /* of ready connections */
    uint64_t sent_bytes, received_bytes;
    uint64_t writes;      /* send system calls; commands / writes shows the pipelining */
    uint64_t leases_destroyed;
    uint32_t pending;     /* calls without an answer now: waiting to be sent or under way */
    uint32_t leases_active, leases_idle, leases_waiting;
    bool is_ready;
} roan_client_stats;

ROAN_API void roan_get_stats(roan *client, roan_client_stats *ret_stats);

/* ---- calls ---------------------------------------------------------------------------------------------------- */

/* Per call; NULL means defaults. ROAN_WITH(.timeout_ms = 50) makes one. */
typedef struct roan_call {
    size_t size;
    int timeout_ms; /* 0: request_timeout_ms, or the command's own timeout and grace; -1: none. Kept to the millisecond
                       below one second, to 10 ms above */
    int retry;      /* 0: reads again when the connection fails, any command when the server said that nothing ran
                       (LOADING, BUSY, TRYAGAIN, CLUSTERDOWN, MASTERDOWN); -1: never; 1: the caller says that running
                       it twice does no harm */
} roan_call;

#define ROAN_WITH(...) (&(roan_call){.size = sizeof(roan_call), __VA_ARGS__})

/* One command, any command: argv[0] is its name. Waits for the reply, at most until the deadline. *ret_reply (may be
 * NULL: not wanted) is set on ROAN_OK and to NULL otherwise. A reply that is an error is ROAN_E_SERVER.
 *
 * Commands that change the state of a connection (SELECT, MULTI, WATCH, SUBSCRIBE, AUTH, MONITOR, CLIENT REPLY, ...)
 * fail with ROAN_E_USAGE on the shared handle; the text names what to use instead. Commands that block the connection
 * (BLPOP, XREAD BLOCK, ...) take a leased one by themselves. WAIT and WAITAOF ask about the writes of their own
 * connection: on the shared handle they are refused, too. */
ROAN_API roan_status roan_do(roan *client, size_t argc, const roan_slice *argv, roan_value **ret_reply,
                             const roan_call *call);

/* Begins one command. Never NULL, never fails at once: what is wrong shows when the future settles. */
ROAN_API roan_future *roan_go(roan *client, size_t argc, const roan_slice *argv, const roan_call *call);

/* ---- futures: settle exactly once, always --------------------------------------------------------------------- */

/* Waits at most timeout_ms (-1: until it settles, which its deadline bounds). ROAN_OK: settled. ROAN_E_TIMEOUT: not
 * yet; the call goes on. ROAN_E_USAGE: called from a callback of the same handle. */
ROAN_API roan_status roan_wait(roan_future *future, int timeout_ms);

/* Waits until one of them has settled and returns its index; `count` after timeout_ms (-1: none). */
ROAN_API size_t roan_wait_any(roan_future *const *futures, size_t count, int timeout_ms);

/* Has it settled? Never blocks, never drives. */
ROAN_API bool roan_is_settled(const roan_future *future);

/* The result, waiting for it if need be, and gives up the reference: the future must not be used afterwards.
 * *ret_reply (may be NULL) as in roan_do; *ret_failure (may be NULL) is filled unless the result is ROAN_OK or
 * ROAN_NIL. */
ROAN_API roan_status roan_take(roan_future *future, roan_value **ret_reply, roan_failure *ret_failure);

/* Calls fn(future, argument) once it has settled: on the driving thread (drive=loop: the one that calls roan_turn(), and
 * no other that waits for something), or right here when it has settled already. One per future. The reference passes to
 * fn, which ends it with roan_take() or roan_drop(). */
typedef void (*roan_then_fn)(roan_future *future, void *argument);
ROAN_API void roan_then(roan_future *future, roan_then_fn fn, void *argument);

/* Another reference to the same future. */
ROAN_API roan_future *roan_keep(roan_future *future);

/* Settles it with ROAN_E_CANCELED unless it has settled. What was not sent yet never is; a reply that still comes is
 * dropped. */
ROAN_API void roan_cancel(roan_future *future);

/* Gives up the reference; the command goes on. Fire and forget: roan_drop(roan_go(...)). Accepts NULL. */
ROAN_API void roan_drop(roan_future *future);

#ifdef __cplusplus
}
#endif
#endif
