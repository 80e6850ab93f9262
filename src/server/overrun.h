/* server/overrun.h: serving a worker's connections from inside of a script that runs for too long.
 *
 * The script was called by a round that stands still: its batch, its words and what they point to must stay as they are.
 * So the connection of the script (and one whose input is being parsed) is set aside: what happens to it is kept for later.
 * All others leave that round and are served by short rounds of their own, in which the engine refuses nearly everything
 * with BUSY.
 */
#pragma once

#include "server/server.h"

/* One short round. False: the server stops. */
bool roan_overrun_serve(roan_worker *worker);

/* The round goes on: handles what was kept. */
void roan_overrun_end(roan_worker *worker);

void roan_overrun_done(roan_worker *worker);
