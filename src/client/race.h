/* client/race.h: connecting to an endpoint: its name is resolved, its addresses are raced, the first socket to connect
 * wins. Nothing here ever blocks.
 */
#pragma once

#include "roan/transport.h"

typedef struct roan_race roan_race;

/* Begins. What fails later, or at once but as the network's answer, is told by roan_race_progress(). ROAN_E_NOMEM,
 * ROAN_E_CONFIG (a Unix socket's path does not fit, no host), or ROAN_E_CONNECT: not even begun. */
roan_status roan_race_start(const roan_endpoint *endpoint, roan_race **ret_race, roan_error *reterr) ROAN_MUST_CHECK;

/* Readable when roan_race_progress() has something to do. */
int roan_race_fd(const roan_race *race);

/* Goes on. OPEN: *ret_fd is the connected socket, in blocking mode, the caller's from now on; the race is over. FAILED:
 * ROAN_E_CONNECT with the most telling failure. */
roan_progress roan_race_progress(roan_race *race, int *ret_fd, roan_error *reterr);

/* Ends it at any stage. in_child: after fork(): closes descriptors and touches nothing the parent still uses. Accepts
 * NULL; returns NULL. */
roan_race *roan_race_free(roan_race *race, bool in_child);
