/* roan/embedded.h: libroan-server, a Roan data server inside the calling process. A program's own tests need no server
 * to be started, no port, no sleep():
 *
 *     roan_embedded *server;
 *     roan *client;
 *     if (roan_embedded_start(&server, ROAN_EMBEDDED(.name = "test", .is_stopped = true), &error) != ROAN_OK) ...
 *     if (roan_open(&client, "embedded://test", NULL, &error) != ROAN_OK) ...
 *     ... SET session 1 EX 60 ...
 *     roan_embedded_clock_advance(server, 61 * 1000000, &error);          now it has expired
 *     roan_close(client, 1000);
 *     roan_embedded_stop(server);
 *
 * It is the same server as `roan server`, with threads, databases, users, scripts and all, and it does not touch what
 * is the process's: it listens nowhere, handles no signals (its threads have them all blocked), writes no files unless
 * an option says so, and leaves title, limits, locale, working directory and standard output alone. What it shares
 * with other servers in the process is the count of memory: maxmemory and INFO's used_memory see all of them together.
 * Running out of memory ends the process.
 *
 * Threads: every function may be called from any thread but the server's own (from on_log that is). Stopping must not
 * overlap with other calls for the same server. After fork() a child can only stop it, which frees nothing.
 */
#ifndef ROAN_EMBEDDED_H
#define ROAN_EMBEDDED_H

#include "roan/base.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct roan_transport; /* roan/transport.h */

typedef struct roan_embedded roan_embedded;

/* Everything is optional: 0 or NULL means the default. Texts are copied. */
typedef struct roan_embedded_options {
    size_t size; /* sizeof(roan_embedded_options); grows at the end, never reorders */

    const char *name;       /* (none) makes it embedded://NAME in this process: see roan_descriptor_source_register */
    int threads;            /* (1) that serve; with one, equal programs get equal answers */
    int databases;          /* (16) */
    uint64_t maxmemory;     /* (0: none) bytes */
    const char *config;     /* (none) the text of a configuration file: "requirepass x\nloglevel debug\n" */
    const char *const *arguments; /* (none) flags of `roan server`, stronger than config: "--maxmemory", "1gb" */
    size_t argument_count;

    uint64_t seed;          /* (0: from the operating system) of everything random: RANDOMKEY, SRANDMEMBER, the order of
                               SCAN, eviction, ids. With one thread equal seeds give equal answers */
    int64_t clock_us;       /* (0: now) the wall time it starts with, microseconds since 1970 */
    bool is_stopped;        /* (no) the clock stands still until it is moved: see roan_embedded_clock_freeze */

    /* (none) gets what the server logs, from its threads, one line at a time. level: 0 debug, 1 verbose, 2 notice,
     * 3 warning, from `loglevel` on. With a `logfile` lines go to that file instead. Must not call into this server. */
    void (*on_log)(void *argument, int level, const char *line);
    void *log_argument;
} roan_embedded_options;

#define ROAN_EMBEDDED(...) (&(roan_embedded_options){.size = sizeof(roan_embedded_options), __VA_ARGS__})

/* Starts a server; options may be NULL. When this returns ROAN_OK it answers. Fails with ROAN_E_CONFIG or INVALID (the
 * text names the option; options that need the whole process, like port, dir or daemonize, are refused), USAGE (the
 * name is taken) or SYSTEM; then nothing is left. */
ROAN_API roan_status roan_embedded_start(roan_embedded **ret_server, const roan_embedded_options *options,
                                         roan_error *reterr) ROAN_MUST_CHECK;

/* Ends it and frees it, with all data, within a second, or when a script that runs has been stopped (at most
 * busy-reply-threshold later). Its connections are closed; handles that came by name stay usable, and connect again
 * when there is a server of that name again. Handles with roan_embedded_transport() must have been closed. Accepts
 * NULL. */
ROAN_API void roan_embedded_stop(roan_embedded *server);

/* A new connection: a connected Unix stream socket in blocking mode that speaks RESP. It belongs to the caller, who
 * closes it. Fails with ROAN_E_CONNECT (the server has ended by SHUTDOWN, or no descriptors are left) or FORKED.
 * Beyond maxclients the server answers with an error and closes. */
ROAN_API roan_status roan_embedded_connect(roan_embedded *server, int *ret_fd, roan_error *reterr) ROAN_MUST_CHECK;

/* For roan_options.transport, whatever the URI says then. Lives as long as the server. */
ROAN_API const struct roan_transport *roan_embedded_transport(const roan_embedded *server);

/* ---- the clock --------------------------------------------------------------------------------------------------
 *
 * What follows it: expiry of keys and fields, timeouts of blocking commands, CLIENT PAUSE, TIME, ids of streams, idle
 * times (OBJECT IDLETIME, LRU and LFU, `timeout`), times in the logs of commands. What does not: whatever measures how
 * long something takes (SLOWLOG and INFO durations, busy-reply-threshold, the shares of time that expiry and eviction
 * may take), how often housekeeping happens, the times of log lines, DEBUG SLEEP, and the time limits of clients.
 *
 * When one of these functions returns ROAN_OK every worker has seen the time: who waited until then has been answered,
 * and keys that have expired are gone with their keyspace events (unless CLIENT PAUSE is on or a script holds them;
 * then they are only not found any more). They fail with ROAN_E_INVALID, and with CLOSED (SHUTDOWN) or TIMEOUT (a
 * worker has run a script for ten seconds) when the time has moved but not all have seen it yet. */

/* Shows this time from now on: goes on from there, or stands still there. May be earlier. From 0 to the year 9999. */
ROAN_API roan_status roan_embedded_clock_set(roan_embedded *server, int64_t wall_us, roan_error *reterr);

/* Moves it forward by so many microseconds, 0 or more. */
ROAN_API roan_status roan_embedded_clock_advance(roan_embedded *server, int64_t us, roan_error *reterr);

/* Stands still, until it is set, advanced or let go. */
ROAN_API void roan_embedded_clock_freeze(roan_embedded *server);

/* Goes on from where it stands. */
ROAN_API void roan_embedded_clock_thaw(roan_embedded *server);

/* What it shows, in microseconds since 1970. */
ROAN_API int64_t roan_embedded_clock_us(const roan_embedded *server);

/* ---- between two tests ------------------------------------------------------------------------------------------ */

/* Makes it as it was at its start, at one moment for all clients: databases, scripts and functions are empty,
 * configuration, users and random sources are those of the start, statistics and logs of commands begin anew, CLIENT
 * PAUSE is over. Connections stay as they are, with their subscriptions, transactions (watched keys have changed),
 * names and blocked commands; those of users that are gone are closed. The clock stays. Fails with ROAN_E_CLOSED or
 * TIMEOUT. */
ROAN_API roan_status roan_embedded_reset(roan_embedded *server, roan_error *reterr);

#ifdef __cplusplus
}
#endif
#endif
