/* roan/lease.h: a connection for oneself, and optimistic transactions on it.
 *
 * Most programs never need one: everything that several callers can share goes over one connection, and commands that
 * block take a connection of the pool by themselves. A lease is for what a connection remembers: WATCH, MULTI command
 * by command, SELECT, CLIENT TRACKING.
 *
 *     roan_lease *lease;
 *     if (roan_lease_take(client, &lease, 0) == ROAN_OK) {
 *         roan *own = roan_lease_client(lease);
 *         ... roan_do(own, ...), roan_go(own, ...), batches, the functions of roan/client_commands.h ...
 *         roan_lease_return(lease);
 *     }
 *
 * At most leases_max connections of the pool are in use; who comes later waits in line, first come first served. A
 * connection that comes back dirty is closed (option on_dirty=destroy) or cleaned (on_dirty=cleanup): with a
 * transaction that was begun, watched keys, subscriptions, another database or user, tracking, a changed reply mode,
 * replies that are still to come or a push that nobody expected; and after a command that this library does not know,
 * for it may have done anything. SUBSCRIBE and MONITOR are better done elsewhere: replies to nothing end a lease's
 * connection.
 *
 * A connection that is lost is not opened again under a lease, because what it remembered is gone: everything fails
 * with ROAN_E_LOST, and the lease is good for nothing but to be returned. After fork() the child's calls on leases of
 * the parent fail with ROAN_E_FORKED; returning them is right there, too.
 */
#ifndef ROAN_LEASE_H
#define ROAN_LEASE_H

#include "roan/batch.h"
#include "roan/client.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct roan_lease roan_lease;

/* Takes a connection out of the pool, or a new one, which connects with its first command. timeout_ms is for waiting in
 * line and for checking a connection that was idle for long (0: the option lease_timeout_ms; -1: none). ROAN_E_TIMEOUT:
 * all were in use. `client` may be a lease's handle; the pool is the same. Not from a callback. */
ROAN_API roan_status roan_lease_take(roan *client, roan_lease **ret_lease, int timeout_ms) ROAN_MUST_CHECK;

/* A handle over this connection, for every function that takes one; valid until the lease is returned. roan_close()
 * refuses it. On it, commands are legal that change the state of a connection, and commands that block block it. */
ROAN_API roan *roan_lease_client(roan_lease *lease);

/* Gives the connection back, cleaned or closed if it is dirty. What is still under way on it fails with ROAN_E_CLOSED.
 * With on_dirty=cleanup it waits for the server, a second at most. Accepts NULL. */
ROAN_API void roan_lease_return(roan_lease *lease);

/* Gives it back to be closed, whatever its state. Accepts NULL. */
ROAN_API void roan_lease_destroy(roan_lease *lease);

/* Takes a lease, calls fn with its handle, and returns the lease. The result is fn's, or why there was no lease. */
typedef roan_status (*roan_with_fn)(roan *own, void *argument);
ROAN_API roan_status roan_with(roan *client, roan_with_fn fn, void *argument);

/* Runs an optimistic transaction: watches the keys, calls fn, which reads through `own` and adds commands to the batch,
 * and runs the batch as a transaction. When one of the keys was changed by somebody else in the meantime, nothing was
 * run and everything begins again after a short random wait, max_tries times in all (0: 16); then ROAN_E_ABORTED.
 *
 * fn may be called more than once and must have no other effects. It does not run or free the batch. When it returns
 * something else than ROAN_OK, nothing is run and that is the result. A batch that is left empty: nothing is sent, and
 * the result is an array without elements. *ret_replies (may be NULL) as of roan_batch_run().
 *
 * On a lease's handle it runs on that lease, else it takes one. Not from a callback. */
typedef roan_status (*roan_watch_fn)(roan *own, roan_batch *batch, void *argument);
ROAN_API roan_status roan_watch(roan *client, const roan_slice *keys, size_t count, int max_tries, roan_watch_fn fn,
                                void *argument, roan_value **ret_replies);

#ifdef __cplusplus
}
#endif
#endif
