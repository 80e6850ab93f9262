/* tests/client/loop_kit_poll.c: see loop_kit.h. */
#include "loop_kit.h"

#include "roan/loop_epoll.h"

#include <assert.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <unistd.h>

const char *const kit_name = "poll";

static int timer_fd = -1;
static void (*tick)(void);
static roan *attached[KIT_HANDLES_MAX];

void kit_open(void (*on_tick)(void))
{
    struct itimerspec every = {{0, KIT_TICK_MS * 1000000}, {0, KIT_TICK_MS * 1000000}};

    tick = on_tick;
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int problem = timerfd_settime(timer_fd, 0, &every, NULL);
    assert(problem == 0);
}

static roan **place_of(const roan *client)
{
    for (int i = 0; i < KIT_HANDLES_MAX; i++)
        if (attached[i] == client)
            return &attached[i];
    assert(!"a handle too many or unknown");
    return NULL;
}

roan_status kit_attach(roan *client)
{
    if (roan_fd(client) < 0)
        return ROAN_E_USAGE;
    *place_of(NULL) = client;
    return ROAN_OK;
}

void kit_detach(roan *client)
{
    *place_of(client) = NULL;
}

void kit_step(void)
{
    struct pollfd items[KIT_HANDLES_MAX + 1];
    roan *clients[KIT_HANDLES_MAX];
    uint64_t expired;
    nfds_t count = 0;

    for (int i = 0; i < KIT_HANDLES_MAX; i++)
        if (attached[i] != NULL) {
            roan_poll_fill(attached[i], &items[count]);
            clients[count++] = attached[i];
        }
    items[count] = (struct pollfd){.fd = timer_fd, .events = POLLIN};
    if (poll(items, count + 1, 1000) <= 0)
        return;
    for (nfds_t i = 0; i < count; i++)
        for (int k = 0; k < KIT_HANDLES_MAX; k++)
            if (attached[k] == clients[i] && roan_poll_turn(clients[i], &items[i])) /* unless detached meanwhile */
                break;
    if (items[count].revents != 0 && read(timer_fd, &expired, sizeof expired) > 0)
        tick();
}

void kit_close(void)
{
    close(timer_fd);
}
