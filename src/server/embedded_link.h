/* server/embedded_link.h: what ties an embedded server to libroan: its transport and its name. Apart from the rest of the
 * server, as the client's public header and the engine's have different things of the same names. */
#pragma once

#include "roan/embedded.h"

typedef struct roan_embedded_link roan_embedded_link;

/* Makes the transport and, unless `name` is NULL, registers the name. */
roan_status roan_embedded_link_create(roan_embedded *server, const char *name, roan_embedded_link **ret_link,
                                      roan_error *reterr) ROAN_MUST_CHECK;

/* The name leads nowhere from now on. */
void roan_embedded_link_cut(roan_embedded_link *link);
roan_embedded_link *roan_embedded_link_free(roan_embedded_link *link);

const struct roan_transport *roan_embedded_link_transport(const roan_embedded_link *link);
