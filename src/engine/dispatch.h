/* engine/dispatch.h: what dispatch offers to the rest of the engine besides the door itself (engine.h): running a
 * command inside another one, and the stripes a command asks for. */
#pragma once

#include "engine/call.h"

/* Adds the stripes of the keys of a call (of class K) to the set; false when it had better run alone: there are too
 * many, or its words make no sense. */
bool roan_call_add_stripes(const roan_call *call, roan_lock_set *set);

/* Runs a prepared request inside a call that is running (EXEC, a script), for `session`, under its locks: the body with
 * its effects, counters and logs. It does not block and is not refused. */
void roan_call_run_inner(roan_call *outer, roan_session *session, const roan_request *request);
