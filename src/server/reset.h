/* server/reset.h: makes a running server as it was at its start, with its connections: for tests (roan/embedded.h). */
#pragma once

#include "engine/engine.h"

typedef struct roan_reset roan_reset;

/* Remembers configuration, users and the state of the random sources. Before the engine runs. */
roan_reset *roan_reset_create(const roan_engine *engine);
roan_reset *roan_reset_free(roan_reset *reset);

/* On the lane's thread, inside the gate, holding no stripe. False: a script is running; try again later. */
bool roan_reset_run(const roan_reset *reset, roan_lane *lane) ROAN_MUST_CHECK;
