/* roan/loop_ev.h: a handle in a libev loop.
 *
 *     static roan_ev ev;
 *     roan_open(&client, uri, ROAN_OPTIONS(.drive = ROAN_DRIVE_LOOP), &error);
 *     roan_ev_attach(&ev, client, EV_DEFAULT);
 *     roan_then(roan_set_go(...), on_set, ...);           callbacks run in the loop, on its thread
 *     ev_run(EV_DEFAULT, 0);
 *     roan_ev_detach(&ev);
 *     roan_close(client, 1000);
 *
 * attach and detach belong to the loop's thread; every other function of the handle may be called from any thread, and
 * wakes the loop. Synchronous calls work, too, but on the loop's thread they hold the loop up, and from inside a
 * callback they are refused.
 *
 * An attached handle keeps ev_run() going until it is detached (or ev_unref() is called). After fork() the child
 * makes a loop of its own and attaches anew: the descriptor of the handle is another one there.
 *
 * Header only: libroan itself does not depend on libev. Not for libevent's header event.h, nor for a libev whose macros
 * EV_MULTIPLICITY and EV_COMMON were changed.
 */
#ifndef ROAN_LOOP_EV_H
#define ROAN_LOOP_EV_H

#include "roan/client.h"

#include <ev.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The program's memory; valid from attach to detach. */
typedef struct roan_ev {
    ev_io io;
    struct ev_loop *loop; /* NULL: not attached */
} roan_ev;

static inline void roan_ev_on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    (void)roan_turn((roan *)io->data, 0); /* a callback may detach: nothing is touched any more */
}

/* ROAN_E_USAGE: the handle was not opened with ROAN_DRIVE_LOOP. */
static inline roan_status roan_ev_attach(roan_ev *ev, roan *client, struct ev_loop *loop)
{
    ev->loop = NULL;
    if (roan_fd(client) < 0)
        return ROAN_E_USAGE;
    ev_io_init(&ev->io, roan_ev_on_readable, roan_fd(client), EV_READ);
    ev->io.data = client;
    ev->loop = loop;
    ev_io_start(loop, &ev->io);
    return ROAN_OK;
}

/* Before roan_close(), also from inside a callback. The handle goes on where somebody waits for it; it can be attached
 * again. Nothing happens when it is not attached. */
static inline void roan_ev_detach(roan_ev *ev)
{
    if (ev->loop == NULL)
        return;
    ev_io_stop(ev->loop, &ev->io);
    ev->loop = NULL;
}

#ifdef __cplusplus
}
#endif
#endif
