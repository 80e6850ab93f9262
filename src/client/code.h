/* client/code.h: code that a server may or may not know: what scripts and libraries have in common.
 *
 * A run is sent in its short form (EVALSHA, FCALL). When the server misses the code, the future's request is exchanged
 * for one that brings it along:
 *
 *     short form --missing--> somebody's body is ahead of us: short form again --missing--+
 *                     |                                                                  |
 *                     +--nobody's--> body and run <--------------------------------------+
 *
 * Answers come in the order of requests, so a body that went out on the same connection after our short form did will
 * be known by the time the short form arrives once more. Each body that goes out gets the next serial number, and
 * every run remembers the number at its start: a record with a higher one is such a body.
 */
#pragma once

#include "client/link.h"
#include "roan/batch.h"

#define ROAN_CODE_RECORDS 4

typedef struct roan_code roan_code;

/* The kind of code. Runs with the link's lock held. */
typedef struct roan_code_kind {
    bool (*is_missing)(const roan_failure *failure);
    /* Exchanges the future's request for one with the body. False: out of memory. */
    bool (*bring_body)(const roan_code *code, roan_future *future);
    void (*free)(roan_code *code);
} roan_code_kind;

/* The first member of scripts and libraries; shared by the program and the runs under way. */
struct roan_code {
    _Atomic uint32_t references;
    uint64_t id;          /* of this process */
    const roan_code_kind *kind;
    char *body;
    size_t body_bytes;
    pthread_mutex_t lock; /* taken after a link's, never before it */
    uint64_t serial;
    unsigned next_record;
    struct {
        const roan_link *link; /* only compared: it may be gone */
        uint64_t epoch, serial;
    } records[ROAN_CODE_RECORDS];
};

/* A new object of `bytes` bytes, zeroed behind its code, whose body is the parts one after another; or NULL. */
roan_code *roan_code_create(size_t bytes, const roan_code_kind *kind, size_t part_count, const roan_slice *parts);
void roan_code_unref(roan_code *code);

/* Prepares the run `command name key_count keys... args...`; what is wrong has settled it. */
roan_future *roan_code_prepare(roan *client, roan_code *code, roan_slice command, roan_slice name, size_t key_count,
                               const roan_slice *keys, size_t arg_count, const roan_slice *args, const roan_call *call);

/* roan_code_prepare and the rest of a call. */
roan_status roan_code_run(roan *client, roan_code *code, roan_slice command, roan_slice name, size_t key_count,
                          const roan_slice *keys, size_t arg_count, const roan_slice *args, roan_value **ret_reply,
                          const roan_call *call);
roan_future *roan_code_go(roan *client, roan_code *code, roan_slice command, roan_slice name, size_t key_count,
                          const roan_slice *keys, size_t arg_count, const roan_slice *args, const roan_call *call);

/* Adds `command name key_count keys... args...` to a batch. */
void roan_code_add(roan_batch *batch, roan_slice command, roan_slice name, size_t key_count, const roan_slice *keys,
                   size_t arg_count, const roan_slice *args);

/* In batch.c. Does this batch bring the body of that code already? If not, it does so from now on. */
bool roan_batch_brings(roan_batch *batch, uint64_t code);
