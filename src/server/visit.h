/* server/visit.h: something that another thread wants done by a worker, between its rounds.
 *
 *     other thread: visit ---mail---> worker: end of the round: work() ---> other thread goes on
 *                     \--- the server ends, or it takes too long: work() will not run any more ---> goes on with an error
 */
#pragma once

#include "server/server.h"

/* Runs on the worker's thread, inside the gate, holding no stripe, when no request is under way. True: done. False: to be
 * tried again after the next round. */
typedef bool (*roan_server_visit_fn)(roan_worker *worker, void *argument);

/* Has `work` done by the workers from `first` to before `end`, by all at the same time, and waits for them. Not on a thread
 * of the server. Fails with ROAN_E_CLOSED when the server ends, ROAN_E_TIMEOUT after timeout_ms of the real time; then it
 * may have been done by some. */
roan_status roan_server_visit(roan_server *server, unsigned first, unsigned end, roan_server_visit_fn work, void *argument,
                              int64_t timeout_ms, roan_error *reterr) ROAN_MUST_CHECK;

/* Of the worker: at the end of a round, and when there will be no further round. */
void roan_worker_receive_visits(roan_worker *worker);
void roan_worker_refuse_visits(roan_worker *worker);
