/* cli/session.h: what `roan cli` knows about its conversation with the server. */
#pragma once

#include "cli/connection.h"
#include "cli/options.h"
#include "cli/words.h"

/* Initialise with roan_cli_session_init, end with roan_cli_session_done. */
typedef struct roan_cli_session {
    const roan_cli_options *options;
    roan_cli_connection connection;
    char *host; /* where we are: redirections and `connect` change it */
    int port;
    char *user; /* credentials that worked, or the ones to try; NULL for none */
    char *password;
    int64_t db;            /* selected */
    int64_t db_after_exec; /* SELECT was queued in a transaction */
    int protocol;          /* 2 or 3: what the server sends now */
    int protocol_wanted;   /* 0: leave it as it is */
    bool is_protocol_optional; /* do not complain when the server refuses it */
    bool is_connected;
    bool is_interactive;     /* Ctrl-C ends commands, not the program */
    bool is_in_transaction;
    bool is_reply_off;       /* CLIENT REPLY OFF */
    bool is_reply_skipped;   /* CLIENT REPLY SKIP came last */
    bool has_handshake_failed;
    bool shows_pushes;
    size_t channels;         /* subscriptions of the three kinds */
    size_t patterns;
    size_t shards;
} roan_cli_session;

void roan_cli_session_init(roan_cli_session *session, const roan_cli_options *options);
void roan_cli_session_done(roan_cli_session *session);

/* Moves the session to another server; the next connect goes there. */
void roan_cli_session_set_address(roan_cli_session *session, const char *host, int port);

/* "host:port" or the socket's path. */
void roan_cli_session_print_address(const roan_cli_session *session, char *out, size_t out_bytes);

/* Connects and brings the server to the state the session remembers: user, database, protocol.
 * False after printing why not. What the server refuses is printed and does not end the session. */
bool roan_cli_session_connect(roan_cli_session *session);
void roan_cli_session_disconnect(roan_cli_session *session);

/* Sends one request and waits for its reply; pushes on the way are shown or dropped. */
roan_status roan_cli_session_call(roan_cli_session *session, size_t argc, const roan_slice *argv,
                                  roan_value **ret_value, roan_error *reterr) ROAN_MUST_CHECK;

/* Waits for the reply to a request that was sent, as roan_cli_session_call does. */
roan_status roan_cli_session_receive(roan_cli_session *session, roan_value **ret_value,
                                     roan_error *reterr) ROAN_MUST_CHECK;

/* roan_cli_session_call for the modes, which cannot go on without an answer: prints a failure, an
 * error reply included, and ends the program with status 1. The words end with NULL. */
roan_value *roan_cli_session_must_call(roan_cli_session *session, const char *word, ...)
    __attribute__((sentinel));

/* Shows a reply on stdout in the format of the options. */
void roan_cli_session_show(const roan_cli_session *session, const roan_value *value,
                           bool is_verbatim);

/* Shows a push message in its own form: what was invalidated, or the message itself. */
void roan_cli_session_show_push(const roan_cli_session *session, const roan_value *push);

static inline bool roan_cli_session_is_subscribed(const roan_cli_session *session)
{
    return session->channels + session->patterns + session->shards > 0;
}
