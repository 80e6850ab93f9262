/* tests/client/loop_kit_epoll.c: see loop_kit.h. */
#include "loop_kit.h"

#include "roan/loop_epoll.h"

#include <assert.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <unistd.h>

const char *const kit_name = "epoll";

static int epoll_fd = -1;
static int timer_fd = -1;
static void (*tick)(void);

void kit_open(void (*on_tick)(void))
{
    struct itimerspec every = {{0, KIT_TICK_MS * 1000000}, {0, KIT_TICK_MS * 1000000}};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    tick = on_tick;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int problem = timerfd_settime(timer_fd, 0, &every, NULL) | epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event);
    assert(problem == 0);
}

roan_status kit_attach(roan *client)
{
    return roan_epoll_attach(client, epoll_fd, client);
}

void kit_detach(roan *client)
{
    roan_epoll_detach(client, epoll_fd);
}

/* One event at a time: a callback may detach a handle whose event would be among the next. */
void kit_step(void)
{
    struct epoll_event event;
    uint64_t expired;

    if (epoll_wait(epoll_fd, &event, 1, 1000) <= 0)
        return;
    if (event.data.ptr != NULL)
        (void)roan_turn(event.data.ptr, 0);
    else if (read(timer_fd, &expired, sizeof expired) > 0)
        tick();
}

void kit_close(void)
{
    close(timer_fd);
    close(epoll_fd);
}
