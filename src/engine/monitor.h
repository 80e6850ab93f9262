/* engine/monitor.h: the feed of MONITOR. */
#pragma once

#include "engine/call.h"

/* Tells every monitoring session about the call that ran. Under its locks, so that the lines about one key
 * come in the order of execution. */
void roan_monitor_feed(roan_call *call);

/* Turns the calling session into a monitor. The gate is shut. */
void roan_monitor_start(roan_session *session);
