/* hiredis/async_internal.h: what an asynchronous context holds besides its public struct. */
#pragma once

#include "hiredis/internal.h"
#include "hiredis/topics.h"

/* What a command changes about the replies that follow. */
typedef enum roan_hiredis_role {
    ROAN_HIREDIS_PLAIN,       /* one reply */
    ROAN_HIREDIS_SUBSCRIBE,   /* a confirmation per name, then messages */
    ROAN_HIREDIS_UNSUBSCRIBE, /* a confirmation per name, or per name that there is */
    ROAN_HIREDIS_MONITOR,     /* OK, then lines */
    ROAN_HIREDIS_RESET,       /* ends subscriptions, MONITOR and RESP3 */
    ROAN_HIREDIS_HELLO        /* chooses the protocol */
} roan_hiredis_role;

typedef enum roan_hiredis_kind {
    ROAN_HIREDIS_CHANNEL,
    ROAN_HIREDIS_PATTERN,
    ROAN_HIREDIS_SHARD,
    ROAN_HIREDIS_KIND_COUNT
} roan_hiredis_kind;

#define ROAN_HIREDIS_ALL_NAMES -1 /* UNSUBSCRIBE without names; counted when its first confirmation comes */

/* A command without an answer, in redisAsyncContext.replies. */
typedef struct roan_hiredis_command {
    redisCallback callback;
    roan_hiredis_role role;
    roan_hiredis_kind kind;
    long long confirmations; /* to come, or ROAN_HIREDIS_ALL_NAMES */
    sds text;                /* SUBSCRIBE: as sent, for its names; else NULL */
} roan_hiredis_command;

typedef struct roan_hiredis_async {
    redisAsyncContext base;
    struct dict *shards;
    redisCallback monitor;
    bool has_monitor; /* OK has come */
    bool has_run;     /* a callback has seen the reply at hand */
} roan_hiredis_async;

static inline roan_hiredis_async *roan_hiredis_async_of(redisAsyncContext *context)
{
    return (roan_hiredis_async *)context;
}

static inline roan_hiredis_command *roan_hiredis_first_command(const redisAsyncContext *context)
{
    return (roan_hiredis_command *)context->replies.head;
}

/* ---- commands (async_command.c) ---------------------------------------------------------------------------------- */

/* Words of a command as sent. */
typedef struct roan_hiredis_cursor {
    const char *at;
    const char *end;
} roan_hiredis_cursor;

/* At the first word; false when the bytes are no command. */
bool roan_hiredis_cursor_start(roan_hiredis_cursor *cursor, const char *command, size_t bytes);
/* False behind the last. */
bool roan_hiredis_cursor_next(roan_hiredis_cursor *cursor, const char **ret_word, size_t *ret_bytes);

/* Takes the first command out of the queue and frees it. */
void roan_hiredis_pop_command(redisAsyncContext *context);

/* ---- subscriptions (subscriptions.c) ----------------------------------------------------------------------------- */

struct dict *roan_hiredis_topics_of(redisAsyncContext *context, roan_hiredis_kind kind);

/* Registers fn and privdata of a SUBSCRIBE for each of its names. REDIS_ERR when out of memory, and then none. */
int roan_hiredis_subscribe(redisAsyncContext *context, const roan_hiredis_command *command);
/* It failed, or was never sent: undoes that. */
void roan_hiredis_subscribe_undo(redisAsyncContext *context, const roan_hiredis_command *command);
/* Is the reply a message or a confirmation? Then callbacks are run and true is returned; the reply stays the caller's. */
bool roan_hiredis_take_topic_reply(redisAsyncContext *context, redisReply *reply, bool is_push);
/* The first command, a SUBSCRIBE, was queued by MULTI: its names count as confirmed. */
void roan_hiredis_subscribe_queued(redisAsyncContext *context, const roan_hiredis_command *command);
/* Runs all subscriptions' and MONITOR's callbacks with NULL and forgets them. */
void roan_hiredis_end_topics(redisAsyncContext *context);

/* ---- callbacks (async.c) ----------------------------------------------------------------------------------------- */

void roan_hiredis_run(redisAsyncContext *context, const redisCallback *callback, void *reply);
/* Tells the adapter that there is something to write. */
void roan_hiredis_want_write(redisAsyncContext *context);
