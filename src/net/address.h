/* net/address.h: listening sockets, socket options, and addresses as CLIENT LIST shows them.
 *
 * Every descriptor returned here is non-blocking and close-on-exec.
 */
#pragma once

#include "roan/base.h"

#include <stdbool.h>
#include <stddef.h>

/* Longest name roan_net_peer_name() and roan_net_local_name() write, with its NUL: a socket file's path and ":0". */
#define ROAN_NET_NAME_BYTES_MAX 128

/* Listens on one address of redis.conf's `bind`: an IPv4 or IPv6 address, a host name (its first address), "*" (all of
 * IPv4) or "::*" (all of IPv6). IPv6 sockets never take IPv4 connections, so that "*" and "::*" go together on one
 * port. Port 0 picks a free one: ask roan_net_local_port(). With shared_port several sockets may listen on the port and
 * the kernel spreads connections over them (SO_REUSEPORT).
 * EADDRNOTAVAIL, EAFNOSUPPORT and the like are in reterr->os_errno, for `bind` addresses marked optional. */
roan_status roan_net_listen_tcp(const char *host, int port, int backlog, bool shared_port, int *ret_fd,
                                roan_error *reterr) ROAN_MUST_CHECK;

/* Listens on a socket file with the given permissions (0: as the umask says). A file that a dead server left is
 * replaced; one that somebody listens on, or that is no socket, is left alone (EADDRINUSE). The caller unlinks it at
 * the end. */
roan_status roan_net_listen_unix(const char *path, unsigned permissions, int backlog, int *ret_fd,
                                 roan_error *reterr) ROAN_MUST_CHECK;

/* The port a TCP socket is bound to, or -1. */
int roan_net_local_port(int fd);

/* Writes "127.0.0.1:1234", "[::1]:1234", "/path:0" for sockets on a file, or "?:0" when it cannot be told (the peer is
 * gone). Always terminates; text that does not fit is cut. Returns the length written. For a Unix socket both names are
 * the server's path, as the client has none. */
size_t roan_net_peer_name(int fd, char *buffer, size_t size);
size_t roan_net_local_name(int fd, char *buffer, size_t size);

/* Probes a silent peer after `seconds`, three times in the next `seconds`; 0 switches probing off. TCP only. */
roan_status roan_net_set_keepalive(int fd, int seconds, roan_error *reterr);

/* Sends small segments at once. Harmless on sockets that are not TCP. */
roan_status roan_net_set_nodelay(int fd, roan_error *reterr);
