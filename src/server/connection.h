/* server/connection.h: a network client: a session, a socket, unread input, output on its way.
 *
 * Belongs to one worker. Input arrives in the loop's buffers and is parsed in place; only what cannot be executed yet
 * is copied to `query`. Output is built by the session into chunks, of which one run is handed to the loop at a time.
 *
 *   open --close(after replies)--> draining --all sent--> closing --CLOSED--> freed
 *        \--close(at once) or error---------------------> closing
 */
#pragma once

#include "resp/request.h"
#include "server/server.h"

#define ROAN_CONNECTION_IOVECS 8

struct roan_connection {
    roan_session session;  /* first: a session of ours is its connection */
    roan_net_socket socket;
    roan_worker *worker;
    roan_buffer query;     /* input that was not executed yet, from query_at on */
    size_t query_at;
    roan_request_reader reader;
    const char *input_at;  /* what of the current input is not yet parsed (or has to be kept) */
    const char *input_end;
    roan_connection *next_dirty, *next_fed, *next_ready;
    roan_out_chunk *sending;       /* handed to the loop */
    roan_out_chunk *sending_last;  /* the last of them */
    roan_out_chunk *sending_end;   /* first chunk behind those in iovecs */
    size_t sending_bytes;          /* all of `sending`, those not yet in iovecs included */
    struct iovec iovecs[ROAN_CONNECTION_IOVECS];
    size_t announced_bytes; /* of a word that is being received: still to come */
    size_t query_peak;      /* most bytes in `query` since the last sweep */
    size_t counted_bytes;   /* its share of worker->client_bytes */
    uint32_t reply_room;    /* the buffer its replies needed lately, see roan_connection_tidy */
    uint32_t reply_peak;    /* most bytes of replies at once since the last sweep */
    char *peer, *local;     /* addresses as CLIENT LIST shows them */
    bool is_dirty, is_fed, is_ready;
    bool is_parsing;       /* in feed(): the batch may run meanwhile */
    bool is_sending;
    bool is_set_aside;     /* a script overruns, and this is of the round that it interrupts; see overrun.h */
    bool closes_after_replies, is_closing, is_at_end;
    bool is_over_limit;    /* its unread replies are too many: to be closed */
    bool has_ended;        /* the peer sends nothing more, but there is still input to execute */
    bool is_unix, is_loopback;
    bool input_is_query;   /* input_at points into `query` */
};

/* Takes over a connected descriptor. */
void roan_connection_open(roan_worker *worker, int fd);

/* Loop events. */
void roan_connection_received(roan_connection *connection, char *data, size_t bytes);
void roan_connection_ended(roan_connection *connection, int error);
void roan_connection_sent(roan_connection *connection, int error);
void roan_connection_closed(roan_connection *connection);

/* Goes on with unread input. */
void roan_connection_continue(roan_connection *connection);

/* The batch has been executed: keeps what was not. */
void roan_connection_keep_rest(roan_connection *connection);

/* To be flushed at the end of the round. */
void roan_connection_mark_dirty(roan_connection *connection);

/* Hands output to the loop and applies the output limits. */
void roan_connection_flush(roan_connection *connection);

/* The same if so much has gathered that it should not wait for the end of the round. */
void roan_connection_flush_early(roan_connection *connection);

/* Bytes of replies that have not left yet. */
static inline size_t roan_connection_output_bytes(const roan_connection *connection)
{
    return connection->sending_bytes + roan_out_bytes(&connection->session.out);
}

/* Closes it without waiting for its replies. */
void roan_connection_close_now(roan_connection *connection);

/* Now and then: gives back memory of a connection that does not need it any more. */
void roan_connection_tidy(roan_connection *connection);

/* Everything the connection holds in memory. A chunk of output is on loan from its lane and does not count. */
size_t roan_connection_memory(const roan_connection *connection);

static inline roan_connection *roan_connection_of_session(roan_session *session)
{
    return (roan_connection *)session;
}

extern const roan_session_ops roan_connection_ops;
