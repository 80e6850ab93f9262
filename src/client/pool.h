/* client/pool.h: exclusive links: for leases, and for commands that block their connection.
 *
 * A link of the pool is idle, or in use by one lease or one blocking command. Who finds all in use waits in line, at
 * most lease_timeout_ms. A link that comes back with something on it (a transaction, a subscription, a reply that is
 * still to come, another database) is closed, or cleaned when the options say so.
 *
 *     (none) --take--> in use --clean--> idle --take--> in use
 *                        |                 |
 *                        +---dirty---------+---idle for too long---> closed
 */
#pragma once

#include "client/link.h"

/* Somebody who waits for a link: a future (blocking command) or a thread (lease). */
typedef struct roan_ticket {
    struct roan_ticket *next;
    roan_future *future;      /* or NULL */
    _Atomic uint32_t *word;   /* of the thread */
    roan_link *granted;
    bool is_late;             /* of a thread: until_us has passed */
    int64_t until_us;
} roan_ticket;

typedef struct roan_pool {
    pthread_mutex_t lock;
    roan_link *idle;          /* by `pool_next`, most recently used first */
    roan_link *blocked;       /* by `pool_next`: in use by a command */
    uint32_t idle_count, active_count;
    roan_ticket *first, *last; /* waiting */
    uint32_t waiting_count;
    uint64_t destroyed;
    bool is_closed;
    int64_t due_us;           /* when the background comes to look, at the latest */
    int64_t warm_us;          /* not before: connections are opened in reserve again; 0: none has been */
    int64_t warm_wait_us;     /* grows while that fails */
} roan_pool;

void roan_pool_init(roan *client);
/* Closes idle links and those in use by commands; a lease's is closed when it comes back. Fails who waits. */
void roan_pool_close(roan *client, const roan_failure *why);
/* Are there commands on links of the pool, or in line for one? */
bool roan_pool_is_busy(roan *client);
void roan_pool_done(roan *client);
void roan_pool_forget(roan *client); /* after fork() */

/* Begins a blocking command on a link of its own. */
void roan_pool_begin(roan *client, roan_future *future);

/* Takes a link, waiting for it until until_us. */
roan_status roan_pool_take(roan *client, int64_t until_us, roan_link **ret_link, roan_failure *ret_failure);
/* Gives it back; nobody else uses it. */
void roan_pool_give(roan *client, roan_link *link);
/* Gives it back to be closed, whatever its state. */
void roan_pool_destroy(roan *client, roan_link *link);

/* As long as the future waits in line: waits for its link, or until it settles, or until_us. */
void roan_pool_wait(roan_future *future, int64_t until_us);

/* Locks what guards the future now: its link, or the pool while it waits in line. */
pthread_mutex_t *roan_pool_lock_future(roan_future *future);
/* Pool's lock held: it waits in line no longer and settles. */
void roan_pool_cancel(roan_future *future, const roan_failure *why, roan_outcome *outcome);

/* Those who waited too long; idle links that nobody needs or that have ended; links in reserve (leases_min). Returns
 * when to come again. */
int64_t roan_pool_expire(roan *client, int64_t now_us);
/* When that is due, without doing anything. */
int64_t roan_pool_due_us(roan *client);
/* Opens links until there are leases_min. */
void roan_pool_warm(roan *client);

/* Nothing is left on it? Its lock is not held. */
bool roan_pool_is_clean(roan_link *link);
