/* tests/client/ticks.h: the proof that nothing holds up the caller's event loop.
 *
 *     ticks_begin(&ticks);                       a timer of the loop calls ticks_note(&ticks) every 10 ms ...
 *     ... the loop runs while the client works, at least 150 ms ...
 *     ticks_end(&ticks);
 *     ticks_judge(&ticks, text, sizeof text)     NULL, or what was wrong
 *
 * At least 80 % of the ticks must have come, and each half of the time must have between 30 and 70 % of them. What a
 * busy machine takes from every thread is not the client's fault: a thread of its own that only sleeps ticks
 * alongside, and no more is asked of the loop than of it. Sanitizers make everything slow, so 50 % do for them.
 *
 * For a test that has no loop of its own, ticks_run() is one, upon poll(): it drives a handle with drive=loop until
 * is_done() or timeout_ms.
 */
#pragma once

#include "roan/loop_epoll.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TICKS_MS          10
#define TICKS_MAX         4096
#define TICKS_SHORTEST_MS 150

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TICKS_PERCENT_MIN 50
#else
#define TICKS_PERCENT_MIN 80
#endif

typedef struct ticks {
    int64_t begin_us, end_us;
    unsigned count;
    int64_t at_us[TICKS_MAX];
    pthread_t beside;
    _Atomic bool is_over;
    _Atomic unsigned beside_count;
} ticks;

static inline int64_t ticks_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A timer that ticks like those of event loops: what came too late is not made up for. */
static inline int ticks_timer(void)
{
    struct itimerspec every = {{0, TICKS_MS * 1000000}, {0, TICKS_MS * 1000000}};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

    if (fd >= 0)
        (void)timerfd_settime(fd, 0, &every, NULL);
    return fd;
}

static inline void *ticks_beside(void *argument)
{
    ticks *of = (ticks *)argument;
    int fd = ticks_timer();
    uint64_t expired;

    while (!atomic_load(&of->is_over) && read(fd, &expired, sizeof expired) > 0)
        atomic_fetch_add(&of->beside_count, 1);
    close(fd);
    return NULL;
}

static inline void ticks_begin(ticks *of)
{
    of->count = 0;
    atomic_store(&of->is_over, false);
    atomic_store(&of->beside_count, 0);
    of->begin_us = ticks_now_us();
    if (pthread_create(&of->beside, NULL, ticks_beside, of) != 0)
        abort();
}

static inline void ticks_note(ticks *of)
{
    if (of->count < TICKS_MAX)
        of->at_us[of->count++] = ticks_now_us();
}

static inline void ticks_end(ticks *of)
{
    of->end_us = ticks_now_us();
    atomic_store(&of->is_over, true);
    pthread_join(of->beside, NULL);
}

/* NULL: the loop was never held up. */
static inline const char *ticks_judge(const ticks *of, char *text, size_t text_bytes)
{
    int64_t elapsed_us = of->end_us - of->begin_us;
    unsigned expected = (unsigned)(elapsed_us / (TICKS_MS * 1000));
    unsigned beside = atomic_load(&of->beside_count);
    unsigned first_half = 0;

    expected = beside < expected ? beside : expected;
    for (unsigned i = 0; i < of->count; i++)
        first_half += of->at_us[i] - of->begin_us < elapsed_us / 2;
    snprintf(text, text_bytes, "%u ticks of %u in %lld ms, %u of them in the first half", of->count, expected,
             (long long)(elapsed_us / 1000), first_half);
    if (elapsed_us < TICKS_SHORTEST_MS * 1000 || of->count == TICKS_MAX)
        return text; /* proves nothing */
    if (of->count * 100 < expected * TICKS_PERCENT_MIN)
        return text;
    return first_half * 100 < of->count * 30 || first_half * 100 > of->count * 70 ? text : NULL;
}

/* False: the time was up. */
static inline bool ticks_run(ticks *of, roan *client, bool (*is_done)(void *argument), void *argument, int timeout_ms)
{
    int64_t until_us = ticks_now_us() + (int64_t)timeout_ms * 1000;
    struct pollfd items[2];
    uint64_t expired;
    bool done = is_done(argument);

    roan_poll_fill(client, &items[0]);
    items[1].fd = ticks_timer();
    items[1].events = POLLIN;
    while (!done && ticks_now_us() < until_us) {
        items[0].revents = items[1].revents = 0;
        (void)poll(items, 2, -1);
        if (items[1].revents != 0 && read(items[1].fd, &expired, sizeof expired) > 0)
            ticks_note(of);
        (void)roan_poll_turn(client, &items[0]);
        done = is_done(argument);
    }
    close(items[1].fd);
    return done;
}
