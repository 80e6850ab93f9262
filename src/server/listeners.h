/* server/listeners.h: the sockets a server accepts connections on. */
#pragma once

#include "engine/config.h"
#include "net/net.h"

#define ROAN_LISTENERS_MAX 17 /* 16 addresses and the unix socket */

typedef struct roan_listeners {
    size_t count;
    int fds[ROAN_LISTENERS_MAX];
    char unix_path[108]; /* of the socket file that is ours to remove; "" for none */
} roan_listeners;

/* Opens all addresses of bind:port and the unix socket of a configuration. */
roan_status roan_listeners_open(const roan_config *config, roan_listeners *ret_listeners, roan_error *reterr) ROAN_MUST_CHECK;

/* Closes what is open; also for a zeroed struct. */
void roan_listeners_close(roan_listeners *listeners);
