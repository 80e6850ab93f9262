/* server/apply.h: what CONFIG SET does besides storing values: the rows' apply hooks for options that touch the
 * process. */
#pragma once

#include "server/server.h"

void roan_server_init_hooks(roan_server *server);

/* Applies what start-up has to: file limits, locale, OOM score. Failures that the server can live with are logged. */
void roan_server_apply_at_start(roan_server *server);
