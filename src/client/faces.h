/* client/faces.h: how a command that could not be put together is reported, each in its place: as a synchronous call's
 * result (and roan_last_failure), as a future that has settled, as the failure of a batch when it runs. The command was
 * not sent. `text` is copied; it names no values. */
#pragma once

#include "roan/batch.h"
#include "roan/client.h"

roan_status roan_do_refused(roan *client, roan_status code, const char *text);
roan_future *roan_go_refused(roan *client, roan_status code, const char *text, const roan_call *call);
void roan_batch_refused(roan_batch *batch, roan_status code, const char *text);

/* A reply came, but not of the type that was asked for: makes it this thread's last failure (fate: it ran). */
roan_status roan_do_mistyped(roan *client, roan_status code, const char *text);
