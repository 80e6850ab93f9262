/* cli/connection.h: a connection to a server: requests out, replies in, nothing waits for ever
 * unasked. */
#pragma once

#include "roan/base.h"
#include "roan/resp.h"

#include <stdbool.h>

/* Zero-initialise with fd -1 (ROAN_CLI_CONNECTION_INIT); end with roan_cli_connection_close. */
typedef struct roan_cli_connection {
    int fd;
    roan_reply_reader *reader;
    roan_request_buffer out;
    int64_t timeout_ms;    /* longest wait for a reply, -1 for none */
    bool is_interruptible; /* Ctrl-C ends waits; otherwise only whoever caught it notices */
} roan_cli_connection;

#define ROAN_CLI_CONNECTION_INIT {.fd = -1, .timeout_ms = -1}

/* Where to connect to: a socket path, or a host and a port. */
typedef struct roan_cli_target {
    const char *host;
    int port;
    const char *socket_path; /* or NULL */
    int address_family;      /* the preferred one, or AF_UNSPEC */
    int64_t timeout_ms;      /* -1 for what the system does */
} roan_cli_target;

/* Connects. The text of an error is what the system said, without context. */
roan_status roan_cli_connection_open(roan_cli_connection *connection, const roan_cli_target *target,
                                     roan_error *reterr) ROAN_MUST_CHECK;

/* Closes and forgets what was buffered; may be called twice. */
void roan_cli_connection_close(roan_cli_connection *connection);

/* Queues a request; roan_cli_connection_flush sends. */
void roan_cli_connection_queue(roan_cli_connection *connection, size_t argc,
                               const roan_slice *argv);

/* Sends what is queued. Takes in replies while the server does not read, so it cannot deadlock. */
roan_status roan_cli_connection_flush(roan_cli_connection *connection,
                                      roan_error *reterr) ROAN_MUST_CHECK;

/* Waits for the next reply of any kind, pushes included. ROAN_E_CLOSED when the server closed,
 * ROAN_E_TIMEOUT after timeout_ms, ROAN_E_SYSTEM with EINTR when the person pressed Ctrl-C. */
roan_status roan_cli_connection_receive(roan_cli_connection *connection, roan_value **ret_value,
                                        roan_error *reterr) ROAN_MUST_CHECK;

/* Takes a reply that is already here, without waiting; NULL when there is none. */
roan_status roan_cli_connection_poll(roan_cli_connection *connection, roan_value **ret_value,
                                     roan_error *reterr) ROAN_MUST_CHECK;

/* Reads bytes that are no replies, waiting for at least one. Only before any reply is left unread.
 * */
roan_status roan_cli_connection_read(roan_cli_connection *connection, char *out, size_t out_bytes,
                                     size_t *ret_bytes, roan_error *reterr) ROAN_MUST_CHECK;

/* True when the server has closed an idle connection. */
bool roan_cli_connection_is_dead(const roan_cli_connection *connection);

/* Milliseconds of a clock that never goes back; and microseconds of it. */
int64_t roan_cli_now_ms(void);
int64_t roan_cli_now_us(void);
