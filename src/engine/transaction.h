/* engine/transaction.h: what a session has queued between MULTI and EXEC.
 *
 *   none --MULTI--> open --command refused--> refused
 *     ^               |                          |
 *     +---------------+--- EXEC, DISCARD, RESET -+
 *
 * A queued command is a copy of its request, hashed and looked up already, with its words behind it. What EXEC needs to
 * know of all of them together (flags, stripes, whether it must run alone) is kept up to date while they are queued, so
 * that EXEC itself takes its locks as any other command does. The commands: engine/cmd/transaction.c.
 */
#pragma once

#include "engine/call.h"

typedef struct roan_queued roan_queued;
struct roan_queued {
    roan_queued *next;
    roan_request request; /* its words stand behind it */
};

typedef struct roan_transaction {
    size_t count;
    roan_queued *first, *last;
    uint32_t flags;         /* of all queued commands */
    bool is_refused;        /* a command was refused: EXEC will be, too */
    bool runs_alone;        /* a queued command asks for it, or there are too many stripes */
    size_t argument_bytes;  /* as CLIENT LIST counts them */
    size_t memory_bytes;    /* all of it */
    roan_lock_set stripes;  /* of all queued keys */
    struct roan_transaction_block *blocks; /* memory of what is queued, newest first */
    char *at, *end;         /* free in the newest one */
} roan_transaction;

/* MULTI: the session has none. */
void roan_transaction_begin(roan_session *session);

/* Copies the call's request to the end of the queue, unless EXEC would not run it anyway. False: there is no memory for
 * it. */
bool roan_transaction_add(roan_call *call);

/* A command was refused while the session has a transaction: EXEC will answer with an error. */
void roan_transaction_refuse(roan_session *session);

/* Drops the transaction, if there is one, and what the session watches. */
void roan_transaction_end(roan_session *session);

/* For EXEC: adds the stripes of all queued and watched keys to `set`. False: it has to run alone. */
bool roan_transaction_collect(const roan_session *session, roan_lock_set *set);

/* EXEC's effective flags: those of the command and of what is queued. */
static inline uint32_t roan_transaction_flags(const roan_session *session)
{
    return session->transaction != NULL ? session->transaction->flags : 0;
}

/* Memory of what the session has queued. */
static inline size_t roan_transaction_bytes(const roan_session *session)
{
    return session->transaction != NULL ? session->transaction->memory_bytes : 0;
}

/* EXEC: runs what is queued, in order; answers with an array. The locks of all are held. */
void roan_transaction_run(roan_call *exec);
