/* client/drive.h: waiting callers drive the link themselves.
 *
 * A caller that waits takes the driver's role if it is free and keeps it until its own future has settled; on the way it
 * settles those of others. Then it passes the role on to the waiter that waits longest. A caller that finds another one
 * driving sends its request itself and sleeps. When many callers wait at once for many rounds, the background takes the
 * role for good (then nobody but it sends, which gathers the requests of all), and gives it back when it gets quiet.
 */
#pragma once

#include "client/link.h"

/* Is what we wait for here? Called with the link's lock held. */
typedef bool (*roan_ready_fn)(const void *argument);

/* Lock held; released around waiting and held on return. Waits until is_ready() or until_us. `node` is in a list of
 * waiters that whoever makes it ready wakes. */
void roan_drive_wait(roan_link *link, roan_ready_fn is_ready, const void *argument, roan_wait_node *node,
                     int64_t until_us, roan_outcome *outcome);

/* Lock held: the role is free. Gives it to a waiter or the background if there is something to drive for. */
void roan_drive_pass_on(roan_link *link, roan_outcome *outcome);

/* Lock held: after a submit for which nobody is going to wait. */
void roan_drive_asynchronously(roan_link *link, roan_outcome *outcome);

/* Must nobody but the background drive this link now? */
bool roan_drive_is_background(const roan_link *link);
