/* client/loop_watch.c: a handle in the program's event loop: what its descriptor tells of, and rounds by the program's
 * own threads. See background.h.
 *
 * The descriptor is an epoll instance with the connections, a timer for what is due, and the eventfd by which others
 * ask for a round. It is brought up to date after every round.
 */
#include "client/background.h"

#include "base/macros.h"
#include "client/handle.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

/* A waiting caller that does the rounds looks at what it waits for so often; nobody wakes it. */
#define HELP_US_MAX INT64_C(100000)
#define HELP_SLEEP_US INT64_C(1000) /* while another one does them */

/* LOOP: how soon a connection that a caller drove is watched again when nobody says that it is free. */
#define LOOK_AGAIN_US 10000

void roan_background_unwatch(roan_link *link)
{
    roan_background *background = &link->client->root->background;

    if (link->watched_fd < 0)
        return;
    ROAN_IGNORE(epoll_ctl(background->epoll_fd, EPOLL_CTL_DEL, link->watched_fd, NULL));
    link->watched_fd = -1;
}

/* Lock of the link held. While a waiting caller drives, its replies are no matter of the loop: it would be woken for each
 * of them, for nothing. It looks again after a while, unless somebody who leaves something to do wakes it first. */
static void watch(roan_background *background, roan_link *link, int64_t *due_us)
{
    int fd = link->wire != NULL ? link->wire->stream->transport->fd(link->wire->stream) : -1;
    uint32_t events = EPOLLIN | (link->is_blocked ? (uint32_t)EPOLLOUT : 0);

    if (fd >= 0 && link->driver == ROAN_DRIVER_CALLER) {
        events = 0;
        *due_us = ROAN_MIN(*due_us, roan_now_us(link->client) + LOOK_AGAIN_US);
    }
    if (fd == link->watched_fd && events == link->watched_events)
        return;
    if (fd != link->watched_fd)
        roan_background_unwatch(link);
    struct epoll_event event = {.events = events};
    if (fd >= 0 &&
        epoll_ctl(background->epoll_fd, link->watched_fd >= 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0)
        return; /* the timer still calls for rounds */
    link->watched_fd = fd;
    link->watched_events = events;
}

/* When the next round is due; on the way the descriptor is told of all links. Not by way of `visits`: callbacks inside
 * of a round may ask for it, too. */
static int64_t watch_links(roan *client)
{
    roan_background *background = &client->background;
    int64_t due_us = ROAN_NO_DEADLINE;
    roan_link_list list;

    roan_background_list(client, &list, NULL);
    for (size_t i = 0; i < list.count; i++) {
        roan_link *link = list.links[i];
        pthread_mutex_lock(&link->lock);
        due_us = ROAN_MIN(due_us, roan_link_due_us(link));
        if (background->epoll_fd >= 0)
            watch(background, link, &due_us);
        pthread_mutex_unlock(&link->lock);
    }
    roan_background_list_done(&list);
    return due_us;
}

int64_t roan_background_due_us(roan *client)
{
    int64_t due_us = roan_pool_due_us(client);

    return ROAN_MIN(due_us, watch_links(client));
}

void roan_background_watch(roan *client)
{
    int64_t due_us = roan_background_due_us(client);
    int64_t left_us = due_us == ROAN_NO_DEADLINE ? 0 : ROAN_MAX(due_us - roan_now_us(client), 1);
    struct itimerspec timer = {.it_value = {left_us / 1000000, left_us % 1000000 * 1000}};

    if (due_us == client->background.timer_us)
        return;
    client->background.timer_us = due_us;
    ROAN_IGNORE(timerfd_settime(client->background.timer_fd, 0, &timer, NULL));
}

static bool try_round(roan *client, int64_t wait_us)
{
    if (atomic_exchange(&client->background.is_turning, true))
        return false;
    roan_outcome_finish_deferred(client);
    roan_background_round(client, wait_us);
    roan_background_watch(client);
    atomic_store(&client->background.is_turning, false);
    return true;
}

bool roan_background_turn(roan *client, int64_t wait_us)
{
    atomic_store(&client->background.loop_thread, pthread_self());
    atomic_store(&client->background.has_turned, true);
    return try_round(client, wait_us);
}

bool roan_background_help(roan *client, int64_t wait_us)
{
    roan_background *background = &client->background;
    bool is_loop = client->settings->options.drive == ROAN_DRIVE_LOOP;

    if (!is_loop && client->transport->has_descriptors)
        return false;
    if (is_loop && atomic_load(&background->has_turned) &&
        !pthread_equal(atomic_load(&background->loop_thread), pthread_self()))
        return false;
    wait_us = wait_us < 0 ? HELP_US_MAX : ROAN_MIN(wait_us, HELP_US_MAX);
    if (!try_round(client, wait_us)) /* another waiting thread is at it, but may leave before we have what we want */
        roan_park(roan_park_word(), ROAN_MIN(wait_us, HELP_SLEEP_US));
    return true;
}
