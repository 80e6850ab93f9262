/* server/listeners.h: the sockets a server accepts connections on, at start and while CONFIG SET changes them.
 *
 *     (nothing) --change()--> wanted --sync()--> accepting
 *     accepting --change()--> shut down, not wanted --sync()--> closing --CLOSED: roan_listeners_closed()--> freed
 *                                      \--change() back--> wanted
 *
 * change() runs with the gate shut, on any thread; sync() and closed() belong to the thread of the loop, inside the
 * gate. Unix sockets never change.
 */
#pragma once

#include "engine/config.h"
#include "net/net.h"

typedef struct roan_listener roan_listener;

typedef struct roan_listeners {
    roan_listener *first;
} roan_listeners;

/* Listens on what bind, port and, at start, unixsocket ask for, and no longer on anything else. Sockets of addresses
 * that stay are kept with the connections that wait on them. On failure everything is as before. The loop learns of it
 * in roan_listeners_sync. */
roan_status roan_listeners_change(roan_listeners *listeners, const roan_config *config, bool is_start,
                                  roan_error *reterr) ROAN_MUST_CHECK;

/* Sockets that are listened on. */
size_t roan_listeners_count(const roan_listeners *listeners);

/* Makes the loop accept on them, and on nothing else. After a failure the others are accepted on. */
roan_status roan_listeners_sync(roan_listeners *listeners, roan_net *net, roan_error *reterr) ROAN_MUST_CHECK;

/* The loop reported CLOSED for a listener's socket: forgets it. */
void roan_listeners_closed(roan_listeners *listeners, const roan_net_socket *socket);

/* Closes all and removes the socket file. The loop is gone or was never told. */
void roan_listeners_done(roan_listeners *listeners);
