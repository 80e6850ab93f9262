/* roan/loop_epoll.h: a handle in a loop of the program's own, upon epoll or poll.
 *
 *     roan_open(&client, uri, ROAN_OPTIONS(.drive = ROAN_DRIVE_LOOP), &error);
 *     roan_epoll_attach(client, epoll_fd, client);       the last argument comes back as data.ptr of its events
 *     for (;;) {
 *         count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
 *         for (i = 0; i < count; i++)
 *             if (events[i].data.ptr == client)
 *                 roan_turn(client, 0);                  callbacks run in here
 *             else ...
 *     }
 *     roan_epoll_detach(client, epoll_fd);
 *     roan_close(client, 1000);
 *
 * With poll(): roan_poll_fill(client, &items[0]); poll(items, count, -1); roan_poll_turn(client, &items[0]).
 *
 * No time-out is needed for the handle's sake: a timer is inside of its descriptor. Every function of the handle may be
 * called from any thread, and wakes the loop; roan_turn() belongs to one thread at a time. Synchronous calls work, too,
 * but on the loop's thread they hold the loop up, and from inside a callback they are refused.
 *
 * After fork() the child makes an epoll descriptor of its own and attaches anew: the descriptor of the handle is
 * another one there.
 */
#ifndef ROAN_LOOP_EPOLL_H
#define ROAN_LOOP_EPOLL_H

#include "roan/client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Level-triggered. ROAN_E_USAGE: the handle was not opened with ROAN_DRIVE_LOOP, or it is attached already.
 * ROAN_E_NOMEM: the kernel refuses to watch more. */
static inline roan_status roan_epoll_attach(roan *client, int epoll_fd, void *data_ptr)
{
    struct epoll_event event;

    if (roan_fd(client) < 0)
        return ROAN_E_USAGE;
    memset(&event, 0, sizeof event);
    event.events = EPOLLIN;
    event.data.ptr = data_ptr;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, roan_fd(client), &event) == 0)
        return ROAN_OK;
    return errno == EEXIST || errno == EBADF || errno == EINVAL || errno == ELOOP ? ROAN_E_USAGE : ROAN_E_NOMEM;
}

/* Before roan_close(), also from inside a callback. Events that epoll_wait() has brought already must not be acted
 * on. */
static inline void roan_epoll_detach(roan *client, int epoll_fd)
{
    struct epoll_event unused; /* for kernels before 2.6.9 only; never read */

    memset(&unused, 0, sizeof unused);
    (void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, roan_fd(client), &unused);
}

/* What to poll() for. */
static inline void roan_poll_fill(const roan *client, struct pollfd *ret_item)
{
    ret_item->fd = roan_fd(client);
    ret_item->events = POLLIN;
    ret_item->revents = 0;
}

/* After poll(): does what is due. True: there was something. */
static inline bool roan_poll_turn(roan *client, const struct pollfd *item)
{
    if (item->revents == 0)
        return false;
    (void)roan_turn(client, 0);
    return true;
}

#ifdef __cplusplus
}
#endif
#endif
