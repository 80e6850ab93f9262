/* client/resolve.h: a host name becomes addresses without the caller ever waiting.
 *
 * A numeric address is done at once. Anything else is looked up by getaddrinfo() on a thread of its own, as that
 * function may take a minute and cannot be stopped. Whoever asked may lose interest at any time: the request is shared
 * by the asker and the thread, and the last one to let go frees it.
 */
#pragma once

#include "roan/base.h"

#include <netdb.h>
#include <stdbool.h>

typedef struct roan_resolve roan_resolve;

/* Begins. ROAN_E_NOMEM, or ROAN_E_CONNECT when no thread or descriptor could be had. */
roan_status roan_resolve_start(const char *host, roan_resolve **ret_resolve, roan_error *reterr) ROAN_MUST_CHECK;

/* Readable once it is done; stays so. Belongs to the request. -1 when it was done at once. */
int roan_resolve_fd(const roan_resolve *resolve);

bool roan_resolve_is_done(const roan_resolve *resolve);

/* Only when done: the addresses (stream sockets, port 0, borrowed until roan_resolve_free), at least one. Or
 * ROAN_E_CONNECT: "cannot resolve 'host': Name or service not known". */
roan_status roan_resolve_result(const roan_resolve *resolve, const struct addrinfo **ret_list, roan_error *reterr)
    ROAN_MUST_CHECK;

/* Lets go, done or not. in_child: after fork(), where the thread does not exist. Accepts NULL; returns NULL. */
roan_resolve *roan_resolve_free(roan_resolve *resolve, bool in_child);
