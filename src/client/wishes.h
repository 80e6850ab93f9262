/* client/wishes.h: what the subscriptions of a handle wish for, and what the server knows of it.
 *
 * A wish is a channel (or pattern, or sharded channel) with those subscriptions that want it. Its state is what the
 * server is believed to have:
 *
 *     OFF --SUBSCRIBE sent--> TURNING_ON --confirmed--> ON --UNSUBSCRIBE sent--> TURNING_OFF --confirmed--> OFF
 *                                 \--error--> REFUSED
 *
 * A lost connection makes every state OFF. Wishes whose state is not what is wanted are in the list `dirty`; one request
 * at a time (a fence: the commands for all of them and a PING behind) makes the server agree. Confirmations come as
 * pushes (RESP2: as arrays) in the order of the commands, so they are matched against the list `asked`; the PING's
 * reply says that all have come.
 *
 * Locks: a link's lock, then `lock` of the hub; nothing is taken after that. The hub's lock guards wishes, subscriptions
 * and backlogs; `fence` is guarded by the lock of `link`, which changes with both locks held.
 */
#pragma once

#include "client/link.h"
#include "roan/subscription.h"

typedef struct roan_wish roan_wish;
typedef struct roan_membership roan_membership;
typedef struct roan_letter roan_letter;

typedef enum roan_wish_state {
    ROAN_WISH_OFF,
    ROAN_WISH_TURNING_ON,
    ROAN_WISH_ON,
    ROAN_WISH_TURNING_OFF,
    ROAN_WISH_REFUSED
} roan_wish_state;

/* One subscription wants one wish. */
struct roan_membership {
    roan_subscription *subscription;
    roan_wish *wish;
    roan_membership *previous, *next;           /* of the subscription */
    roan_membership *wish_previous, *wish_next; /* of the wish */
    bool refusal_is_due;                        /* to be told */
};

struct roan_wish {
    roan_wish *next; /* in its bucket */
    uint64_t hash;
    roan_channel_kind kind;
    uint8_t state;   /* roan_wish_state */
    bool is_dirty;
    bool is_stuck;   /* the server does not let go of it */
    roan_wish *dirty_previous, *dirty_next;
    roan_wish *asked_next;
    roan_membership *members;
    roan_failure *refusal; /* REFUSED; may be NULL when there was no memory */
    size_t name_bytes;
    char name[];
};

/* A received message, shared by all backlogs it is in. */
struct roan_letter {
    _Atomic uint32_t references;
    roan_channel_kind kind;
    roan_value *value; /* as received; the slices point into it */
    roan_slice channel, pattern, payload;
    size_t bytes;      /* of memory, about */
};

typedef struct roan_backlog_entry {
    roan_letter *letter; /* NULL: tells a gap */
    uint64_t lost_before;
    uint64_t sequence;
} roan_backlog_entry;

typedef struct roan_subscriptions roan_subscriptions;

struct roan_subscription {
    _Atomic uint32_t references; /* the program's, an outcome's, the hub's list of late calls */
    roan_subscriptions *hub;
    roan_subscription *previous, *next; /* of the hub */
    roan_membership *members;
    size_t members_count;
    int64_t backlog_max, backlog_bytes_max; /* INT64_MAX: none */
    roan_when_full when_full;
    bool tells_gaps;

    roan_backlog_entry *ring;
    size_t ring_capacity; /* a power of two, or 0 */
    size_t first, count;
    size_t bytes;
    uint64_t lost;        /* before the next message that comes */
    uint64_t sequence, dropped, interruptions;

    _Atomic bool has_news; /* there is something for next() to return */
    size_t refusals_due;   /* memberships with refusal_is_due */
    bool has_failure;      /* to be told once */
    roan_failure failure;
    roan_status end;       /* ROAN_OK, or why it has ended */
    bool end_is_told;      /* to the callback */
    bool is_restoring;     /* interrupted, and not everything is ON again */
    uint64_t interrupted_at; /* the hub's `losses` then */
    roan_wait_node *waiters;

    roan_message_fn fn;
    void *fn_argument;
    bool is_calling;
    bool is_listed;        /* for being called: in an outcome, or in late_calls */
    bool is_late;          /* in late_calls */
    roan_subscription *call_next;
};

struct roan_subscriptions {
    pthread_mutex_t lock;
    pthread_cond_t calls;        /* a callback has returned */
    _Atomic uint32_t references; /* the handle's, and one for each subscription */
    roan *_Atomic client;        /* NULL after roan_close() */
    roan_link *_Atomic link;
    roan_link *own_link;         /* RESP2, or NULL */
    roan_subscription *first;
    roan_subscription *late_calls; /* called by the next round of the background */
    roan_wish **buckets;
    size_t buckets_count, wishes_count;
    uint64_t seed;
    size_t wanted_count;         /* wishes that somebody has */
    roan_wish *dirty, *dirty_last;
    roan_wish *asked, *asked_last;
    roan_future *fence;          /* under way, or to be sent later */
    bool is_transient;           /* the server could not answer now: ask again a little later */
    uint64_t losses;             /* of connections and of what the server took away */
    bool is_asleep;              /* in the child of a fork(), until somebody uses a subscription there */
    _Atomic uint64_t version;    /* of all states */
};

/* ---- wishes.c; the hub's lock is held ---- */

roan_wish *roan_wish_find(const roan_subscriptions *hub, roan_channel_kind kind, roan_slice name);
/* Makes the wish if need be. NULL: out of memory. */
roan_membership *roan_wish_join(roan_subscriptions *hub, roan_subscription *subscription, roan_channel_kind kind,
                                roan_slice name, bool *ret_is_new);
void roan_wish_leave(roan_subscriptions *hub, roan_membership *membership);
roan_membership *roan_wish_member(const roan_wish *wish, const roan_subscription *subscription);
/* Its state changed, or who wants it: it may have to be asked for. */
void roan_wish_touch(roan_subscriptions *hub, roan_wish *wish);
/* Takes it out of the list `dirty`. */
void roan_wish_clean(roan_subscriptions *hub, roan_wish *wish);
void roan_wish_set(roan_subscriptions *hub, roan_wish *wish, roan_wish_state state);
/* Frees it if nobody wants it and the server does not have it. */
bool roan_wish_free_if_unused(roan_subscriptions *hub, roan_wish *wish);
void roan_wishes_done(roan_subscriptions *hub);

/* ---- backlog.c; the hub's lock is held ---- */

void roan_letter_drop(roan_letter *letter);
/* A message for this subscription; letter NULL: it was lost for want of memory. */
void roan_backlog_put(roan_subscription *subscription, roan_letter *letter, roan_outcome *outcome);
void roan_backlog_put_gap(roan_subscription *subscription, roan_outcome *outcome);
/* Messages may be missing from here on. */
void roan_backlog_interrupt(roan_subscription *subscription);
/* Is there a failure, a message or the end to tell? */
bool roan_subscription_has_news(const roan_subscription *subscription);
/* Takes the first of them. True: *ret_status and what belongs to it (a message, or the failure) are filled. The end
 * stays. */
bool roan_subscription_take(roan_subscription *subscription, roan_message *ret_message, roan_status *ret_status,
                            roan_failure *ret_failure);
void roan_subscription_leave_all(roan_subscription *subscription);
/* Wakes all who wait for it. */
void roan_subscription_wake(const roan_subscription *subscription, roan_outcome *outcome);
/* False: empty. */
bool roan_backlog_take(roan_subscription *subscription, roan_message *ret_message);
void roan_backlog_clear(roan_subscription *subscription);
/* Something to tell: wakes who waits, or has the callback called. */
void roan_subscription_tell(roan_subscription *subscription, roan_outcome *outcome);
void roan_subscription_fail(roan_subscription *subscription, const roan_failure *why, roan_outcome *outcome);
void roan_subscription_finish(roan_subscription *subscription, roan_status why, roan_outcome *outcome);

/* The hub's lock is not held. */
void roan_subscription_drop(roan_subscription *subscription);
/* Inside an outcome: calls the callback for what is here. Takes the list's reference. */
void roan_subscription_call(roan_subscription *subscription);
/* A round of the background: the callbacks that were left for it. */
void roan_subscriptions_call_late(roan *client);

/* ---- agree.c; the link's lock and the hub's are held ---- */

/* Asks the server for what is dirty, if it can be asked now. */
void roan_agree(roan_subscriptions *hub, roan_link *link, roan_outcome *outcome);
/* The server has forgotten everything. The hub's lock alone will do. */
void roan_agree_forget(roan_subscriptions *hub);
/* Sets the link's hooks; the link's lock will do. */
void roan_agree_attach(roan_link *link);

/* ---- hub.c ---- */

/* Both locks held; nothing is asked for on the present link. */
void roan_hub_use_own_link(roan_subscriptions *hub, roan_outcome *outcome);

/* The handle's hub, made if need be. NULL: out of memory. */
roan_subscriptions *roan_subscriptions_of(roan *client);
void roan_subscriptions_drop(roan_subscriptions *hub);
/* No lock held. Asks the server for what changed, connecting if need be. */
void roan_subscriptions_kick(roan_subscriptions *hub);
/* Locks the link that messages come on, and returns it. */
roan_link *roan_subscriptions_lock_link(roan_subscriptions *hub);
void roan_subscriptions_close(roan *client); /* at the handle's end: no background any more */
void roan_subscriptions_revive(roan *client); /* after fork() */
void roan_subscriptions_attach(roan *client); /* after fork(), once there is a background again */
