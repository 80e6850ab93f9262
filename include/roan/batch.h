/* roan/batch.h: commands that are sent together, with or without a transaction around them.
 *
 *     roan_batch *batch = roan_batch_create(client, true);            // MULTI ... EXEC
 *     roan_batch_add(batch, 3, (roan_slice[]){ROAN_LITERAL("SET"), key, value});
 *     roan_batch_add(batch, 2, (roan_slice[]){ROAN_LITERAL("INCR"), counter});
 *     roan_value *replies;
 *     if (roan_batch_run(batch, &replies, NULL) == ROAN_OK)           // an array with two elements
 *         ...
 *     roan_value_free(replies);
 *
 * A batch goes out as one piece: on one connection, with nothing of others in between, however large it is; and it has
 * one deadline. Without a transaction the commands of others may still run between its own on the server. On a lease's
 * handle (roan/lease.h) it runs on the lease's connection.
 *
 * Nothing needs a check on the way: the first thing that goes wrong is remembered and reported when the batch runs, and
 * then nothing of it is sent. A batch belongs to one thread at a time.
 */
#ifndef ROAN_BATCH_H
#define ROAN_BATCH_H

#include "roan/base.h"
#include "roan/client.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct roan_batch roan_batch;

/* An empty batch of this handle. is_atomic: a transaction, all of it runs at once or not at all. NULL when out of
 * memory; every function here accepts that, and running it says so. */
ROAN_API roan_batch *roan_batch_create(roan *client, bool is_atomic);

/* Adds a command; the words are copied, and with the option key_prefix its keys get the prefix. What is wrong shows
 * when the batch runs.
 *
 * Refused (ROAN_E_USAGE): on the shared handle what changes the state of a connection, as by roan_do(), and unless the
 * batch is atomic, where they do not block, commands that block (BLPOP ...); in an atomic batch what does not go
 * inside a transaction (MULTI, EXEC, WATCH ...); and everywhere what has no reply of its own (SUBSCRIBE, MONITOR,
 * CLIENT REPLY). */
ROAN_API void roan_batch_add(roan_batch *batch, size_t argc, const roan_slice *argv);

/* How many commands were added and not refused. */
ROAN_API size_t roan_batch_count(const roan_batch *batch);

/* Runs it and waits. Whatever the result, the batch is gone afterwards.
 *
 * ROAN_OK: *ret_replies (may be NULL: not wanted) is an array with the reply to each command in order. Replies may be
 * ROAN_REPLY_ERROR: a command that fails does not fail the batch; nor does it take back the others of a transaction. A
 * batch without commands gives an array without elements, and sends nothing.
 *
 * Atomic: ROAN_E_SERVER when the server did not accept one of the commands, with the first reason; then none was run.
 * ROAN_E_ABORTED: none was run because a watched key had changed (only on a lease that has sent WATCH; see roan_watch).
 *
 * When the connection is lost: fate ROAN_FATE_NOT_SENT when nothing of it was sent, else ROAN_FATE_MAY_HAVE_RUN, and
 * any number of its commands, from the first on, can have run (of an atomic one: all or none). What was not sent is
 * sent again by itself while the deadline allows; what may have run only with .retry = 1.
 *
 * Deadline: call->timeout_ms, else request_timeout_ms, on a lease longer by what commands that block may wait. */
ROAN_API roan_status roan_batch_run(roan_batch *batch, roan_value **ret_replies, const roan_call *call);

/* Begins it. Consumes the batch; never NULL; the future's result is as above. */
ROAN_API roan_future *roan_batch_go(roan_batch *batch, const roan_call *call);

/* Gives up a batch that shall not run. Accepts NULL; returns NULL. */
ROAN_API roan_batch *roan_batch_free(roan_batch *batch);

#ifdef __cplusplus
}
#endif
#endif
