/* roan/subscription.h: publish/subscribe as a set of wishes that the client keeps true.
 *
 * A subscription says which channels a program wants to hear. The client makes the server agree: it subscribes what is
 * wished, unsubscribes what is not wished any more, says everything again after a lost connection, and marks the place
 * in the stream of messages where some may be missing.
 *
 *     roan_subscription *news = roan_subscription_create(client, NULL);
 *     roan_slice channel = ROAN_LITERAL("news");
 *     roan_message message;
 *
 *     if (roan_subscription_add(news, ROAN_CHANNEL_EXACT, &channel, 1) != ROAN_OK) ...
 *     while (roan_subscription_next(news, &message, -1) == ROAN_OK) {
 *         if (message.lost_before > 0) ... some are missing: look at the truth again
 *         ... message.payload ...
 *         roan_message_done(&message);
 *     }
 *     roan_subscription_free(news);
 *
 * Messages are taken one by one (roan_subscription_next) or come to a callback (roan_subscription_on). Several
 * subscriptions of one handle that wish for the same channel share what the server keeps for it.
 *
 * With RESP3 messages share the connection of the handle's commands; with RESP2 they have one of their own. The handle's
 * key prefix is not put before channels, so that messages about changed keys ("__keyspace@0__:...") can be heard.
 *
 * Threads: every function may be called from any thread at any time, also while another one sits in
 * roan_subscription_next(), with these exceptions: one thread at a time takes messages from one subscription; nobody may
 * use it during or after roan_subscription_free(). Subscriptions are freed before roan_close().
 *
 * Failures are statuses; roan_last_failure() tells the rest.
 */
#ifndef ROAN_SUBSCRIPTION_H
#define ROAN_SUBSCRIPTION_H

#include "roan/client.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct roan_subscription roan_subscription;

typedef enum roan_channel_kind {
    ROAN_CHANNEL_EXACT,   /* SUBSCRIBE: a channel's name */
    ROAN_CHANNEL_PATTERN, /* PSUBSCRIBE: a glob pattern */
    ROAN_CHANNEL_SHARDED, /* SSUBSCRIBE: the name of a sharded channel */
    ROAN_CHANNEL_NONE     /* of a message only: it tells of a gap and nothing else, see tells_gaps */
} roan_channel_kind;

/* A message that finds the backlog full. The backlog is what was received and not taken yet. */
typedef enum roan_when_full {
    ROAN_FULL_DROP_OLDEST, /* makes room; the next message says how many were lost */
    ROAN_FULL_DROP_NEWEST, /* is lost; the next one that finds room says how many were */
    ROAN_FULL_END          /* ends the subscription: after the backlog comes ROAN_E_QUEUE_FULL */
} roan_when_full;

/* 0 or NULL means the default. Names in parentheses: defaults. */
typedef struct roan_subscription_options {
    size_t size;               /* sizeof(roan_subscription_options) */
    int64_t backlog_max;       /* (65536, -1 none) messages */
    int64_t backlog_bytes_max; /* (64 MiB, -1 none) of memory for them; one message always fits */
    roan_when_full when_full;  /* (drop oldest) */
    bool tells_gaps;           /* (false) as soon as everything is subscribed again after an interruption, a message of
                                  kind ROAN_CHANNEL_NONE says so. Else the next real message does */
} roan_subscription_options;

#define ROAN_SUBSCRIPTION_OPTIONS(...) \
    (&(roan_subscription_options){.size = sizeof(roan_subscription_options), __VA_ARGS__})

/* Nobody knows how many: the connection was interrupted. */
#define ROAN_LOST_UNKNOWN UINT64_MAX

/* A message; roan_message_done() frees what the slices point to. */
typedef struct roan_message {
    roan_channel_kind kind;
    roan_slice channel;   /* where it was published */
    roan_slice pattern;   /* PATTERN: the wish that it matches; else empty */
    roan_slice payload;
    uint64_t lost_before; /* messages missing between the one taken before and this one: 0, or how many did not fit into
                             the backlog, or ROAN_LOST_UNKNOWN */
    uint64_t sequence;    /* counts the messages of this subscription from 1, with those that did not fit */
    void *owned;          /* libroan's */
} roan_message;

/* Frees the message's memory and empties it. Accepts an empty (zeroed) one. */
ROAN_API void roan_message_done(roan_message *message);

/* A subscription without wishes, or NULL: out of memory, bad options, or a closed handle (roan_last_failure). */
ROAN_API roan_subscription *roan_subscription_create(roan *client, const roan_subscription_options *options);

/* Ends the wishes, drops the backlog and frees it. When a callback runs on another thread, waits for its end (unless
 * called from a callback itself). Accepts NULL. */
ROAN_API void roan_subscription_free(roan_subscription *subscription);

/* Wishes for channels; what is wished already stays so. Returns at once: the server is asked when there is a connection.
 * ROAN_OK, NOMEM (nothing was added), CLOSED (it has ended), INVALID (a kind that does not exist). Channels may be
 * empty or binary. */
ROAN_API roan_status roan_subscription_add(roan_subscription *subscription, roan_channel_kind kind,
                                           const roan_slice *channels, size_t count);

/* Gives up wishes; those it does not have are ignored. Messages that came before stay in the backlog. */
ROAN_API roan_status roan_subscription_remove(roan_subscription *subscription, roan_channel_kind kind,
                                              const roan_slice *channels, size_t count);

/* Waits at most timeout_ms (-1: for ever) until the server has confirmed all wishes: from then on nothing published is
 * missed. ROAN_OK (also without wishes); TIMEOUT; SERVER: it refused one, with its words; LOST or CONNECT with
 * reconnect=-1; CLOSED; USAGE from inside a callback. */
ROAN_API roan_status roan_subscription_ready(roan_subscription *subscription, int timeout_ms);

/* Takes the next message, waiting for it at most timeout_ms (0: only what is here or can be received at once, -1: for
 * ever). ROAN_OK: *ret_message is filled. Else it is empty:
 *     TIMEOUT      none came
 *     SERVER       the server refused a wish (told once for each; tried again after every reconnect)
 *     LOST CONNECT with reconnect=-1: the connection ended; calling again opens a new one
 *     QUEUE_FULL   it has ended because of ROAN_FULL_END
 *     CLOSED       roan_subscription_end() or roan_close()
 *     USAGE        called from inside a callback, or it has a callback */
ROAN_API roan_status roan_subscription_next(roan_subscription *subscription, roan_message *ret_message, int timeout_ms);

/* From now on messages go to fn, on whatever thread drives the connection, one at a time and in order. `message` is
 * borrowed until fn returns. With message NULL, `failure` tells what roan_subscription_next() would have returned. fn
 * must return quickly and may call asynchronous functions only. The backlog's limits hold for what comes while fn is
 * running. NULL: no callback again. Not while another thread is in roan_subscription_next(). */
typedef void (*roan_message_fn)(void *argument, const roan_message *message, const roan_failure *failure);
ROAN_API roan_status roan_subscription_on(roan_subscription *subscription, roan_message_fn fn, void *argument);

/* Ends it: gives up all wishes; who sits in roan_subscription_next() takes what is left and then gets ROAN_E_CLOSED. */
ROAN_API void roan_subscription_end(roan_subscription *subscription);

typedef struct roan_subscription_stats {
    size_t size;            /* sizeof(roan_subscription_stats), set by the caller */
    uint64_t messages;      /* that came for it */
    uint64_t dropped;       /* of these, for want of room */
    uint64_t interruptions; /* gaps of unknown size */
    size_t backlog, backlog_bytes;
    size_t wishes, confirmed, refused;
} roan_subscription_stats;

ROAN_API void roan_subscription_get_stats(roan_subscription *subscription, roan_subscription_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
