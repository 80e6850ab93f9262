/* client/raw.h: an exclusive connection whose bytes the calling thread reads and writes itself, past the link's queue.
 *
 *     roan_raw_open: pool (or lease) --connected--> the caller holds the driver's role
 *     roan_raw_send, roan_raw_receive ...
 *     roan_raw_close: clean: back to the pool; else closed
 *
 * While it is open nobody else drives the link, so silence is looked after here. One thread.
 */
#pragma once

#include "client/link.h"
#include "roan/lease.h"

#include <sys/uio.h>

#define ROAN_RAW_BUFFER_BYTES ((size_t)256 * 1024)

typedef struct roan_raw {
    roan *client;        /* the lease's handle */
    roan_lease *lease;   /* taken for this, or NULL */
    roan_link *link;
    roan_wire *wire;
    int64_t deadline_us; /* of the whole; ROAN_NO_DEADLINE */
    int64_t begun_us;
    uint64_t sent;       /* bytes that went out */
    char *buffer;        /* what was received and not taken: buffer[start..end) */
    size_t start, end;
} roan_raw;

/* Fails with the link given back. */
roan_status roan_raw_open(roan_raw *raw, roan *client, int64_t deadline_us, roan_failure *ret_failure);

/* Sends all of it; the pieces are used up. An error that the server sends meanwhile ends it with ROAN_E_SERVER, and
 * waits in the buffer: there is no other reason for an answer to half a request. */
roan_status roan_raw_send(roan_raw *raw, struct iovec *pieces, unsigned count, roan_failure *ret_failure);

/* Receives something into the buffer, which must not be full. silence_us: for so long nothing may come (-1: as long as
 * the deadline allows). */
roan_status roan_raw_receive(roan_raw *raw, int64_t silence_us, roan_failure *ret_failure);

/* `is_clean`: everything that was asked for has been received. */
void roan_raw_close(roan_raw *raw, bool is_clean);
