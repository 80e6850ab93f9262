/* client/drive.h: waiting callers drive the link themselves.
 *
 * A caller that waits takes the driver's role if it is free and keeps it until its own future has settled; on the way
 * it settles those of others. Then it passes the role on to the waiter that waits longest. A caller that finds
 * another one driving sends its request itself and sleeps. When many callers wait at once for many rounds, the
 * background takes the role for good (then nobody but it sends, which gathers the requests of all), and gives it back
 * when it gets quiet.
 *
 * Asynchronous calls are sent at once, as long as few writes are under way, and the background receives the replies.
 * What is begun inside of a callback of the background is sent when all callbacks of its round have run.
 * But a program that begins many calls and then waits for them is served best when nothing moves before it waits:
 * then one write and one read do for all. Such a program shows by waiting. For it (AUTO) the link is only held: the
 * caller drives when it comes to wait, and the background, ticking once in HELD_US, takes over when it does not come.
 */
#pragma once

#include "client/link.h"

/* Is what we wait for here? Called with the link's lock held. */
typedef bool (*roan_ready_fn)(const void *argument);

/* Lock held; released around waiting and held on return. Waits until is_ready() or until_us. `node` is in a list of
 * waiters that whoever makes it ready wakes. */
void roan_drive_wait(roan_link *link, roan_ready_fn is_ready, const void *argument, roan_wait_node *node,
                     int64_t until_us, roan_outcome *outcome);

/* The same for a future of this link, in whose list of waiters `node` is. The lock is NOT held on return, and not taken
 * again when the future settled while we slept. */
void roan_drive_wait_settled(roan_link *link, roan_future *future, roan_wait_node *node, int64_t until_us,
                             roan_outcome *outcome);

/* Lock not held. Behind roan_drive_wait_settled() and all that follows from it: from here on this thread does not touch
 * the link or its handle any more, which may be closed. */
void roan_drive_leave(roan_link *link);

/* Lock held: the role is free. Gives it to a waiter or the background if there is something to drive for. */
void roan_drive_pass_on(roan_link *link, roan_outcome *outcome);

/* Lock held: after a submit for which nobody is going to wait. */
void roan_drive_asynchronously(roan_link *link, roan_outcome *outcome);

/* Lock held. A program came to wait for a call that it had begun asynchronously, or showed that it will not. */
void roan_drive_note_wait(roan_link *link);
void roan_drive_note_no_wait(roan_link *link);

/* Lock held, for the background: is the link held for a caller still? Then *due_us is lowered to when that ends. */
bool roan_drive_is_held(roan_link *link, int64_t now_us, int64_t *due_us);

/* Must nobody but the background drive this link now? */
bool roan_drive_is_background(const roan_link *link);
