/* client/handle.h: what a roan * points to: settings, the shared link, the pool of exclusive links, the background. */
#pragma once

#include "base/macros.h"
#include "client/background.h"
#include "client/link.h"
#include "client/options.h"
#include "client/pool.h"

#define ROAN_HANDLE_MAGIC 0x726f616eu

struct roan {
    uint32_t magic;
    uint32_t fork_generation;  /* of the process that its connections belong to */
    const roan_transport *transport;
    roan_settings *settings;
    roan_link *link;           /* the shared one; of a lease's handle: its own */
    roan *root;                /* of a lease's handle: the handle it was taken from; else itself */
    roan_pool pool;            /* root only */
    roan_background background; /* root only */
    struct roan_subscriptions *_Atomic subscriptions; /* root only, see wishes.h; NULL until the first */
    _Atomic uint64_t next_id;
    roan_counters past;        /* of links that are gone; the background's lock */
    _Atomic bool is_closing;
    _Atomic uint32_t inside;   /* root only: threads that wait inside of a call, see roan_handle_enter() */
};

/* A thread that is about to wait for something that roan_close() ends, and back: closing waits until it has left. NULL:
 * nothing. Those who wait for the shared link in roan_link_run() are counted by the link, see roan_drive_leave(). */
static inline void roan_handle_enter(roan *root)
{
    if (root != NULL)
        atomic_fetch_add_explicit(&root->inside, 1, memory_order_relaxed);
}

static inline void roan_handle_leave(roan *root)
{
    if (root != NULL)
        atomic_fetch_sub_explicit(&root->inside, 1, memory_order_release);
}

static inline int64_t roan_now_us(const roan *client)
{
    return client->transport->now_us(client->transport->state);
}

/* The built-in transport for this address. */
roan_status roan_transport_of(const roan_settings *settings, const roan_transport **ret_transport, roan_error *reterr);

/* Fork: has the process been forked since the handle was made or used? Makes the handle usable in the child. */
void roan_handle_revive(roan *client);
uint32_t roan_fork_generation(void);

static inline void roan_handle_check_fork(roan *client)
{
    if (ROAN_UNLIKELY(client->root->fork_generation != roan_fork_generation()))
        roan_handle_revive(client->root);
}

/* Of a lease that was taken before fork(), in the child: nothing can be done with it. */
static inline bool roan_is_of_parent(const roan *client)
{
    return client != client->root && client->fork_generation != client->root->fork_generation;
}

/* A future for this request, checked and encoded, or one that is settled already. */
roan_future *roan_future_prepare(roan *client, size_t argc, const roan_slice *argv, const roan_call *call);

/* Settles it, not sent. */
roan_future *roan_future_refuse(roan_future *future, roan_status code, const char *text);

/* Sets when it begins, now, and when it must have settled. */
void roan_future_set_deadline(roan *client, roan_future *future, const roan_call *call);

/* Checks one request and appends it to what the future sends. */
roan_status roan_future_add(roan_future *future, size_t argc, const roan_slice *argv, roan_error *reterr);

/* Lock held: submits it, for nobody who waits now. */
void roan_link_begin(roan_link *link, roan_future *future, roan_outcome *outcome);

/* Begins a prepared future on the handle's link, or on a leased one when it blocks. */
void roan_future_begin(roan *client, roan_future *future);

/* Tells the hooks that it begins. */
void roan_future_tell_start(roan *client, roan_future *future);

/* Runs a prepared future. May it wait here? (checked by the caller: roan_is_in_callback) */
roan_status roan_do_prepared(roan *client, roan_future *future, roan_value **ret_reply);

/* Runs a future on this link, waiting and driving. */
void roan_link_run(roan_link *link, roan_future *future);

/* Waits for the result and leaves a failure where roan_last_failure() finds it. */
roan_status roan_do_future(roan_future *future, roan_value **ret_reply);
