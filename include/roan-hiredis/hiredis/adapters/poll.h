/* hiredis/adapters/poll.h: an asynchronous context without an event loop: the program calls redisPollTick().
 *
 *     redisPollAttach(context);
 *     while (...)
 *         redisPollTick(context, 0.1);
 *
 * Not after the context has been freed: a callback or dataCleanup tells.
 */
#ifndef ROAN_HIREDIS_HIREDIS_ADAPTERS_POLL_H
#define ROAN_HIREDIS_HIREDIS_ADAPTERS_POLL_H

#include "../async.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>

/* What redisPollTick() did. */
#define REDIS_POLL_HANDLED_READ    1
#define REDIS_POLL_HANDLED_WRITE   2
#define REDIS_POLL_HANDLED_TIMEOUT 4

typedef struct redisPollEvents {
    redisAsyncContext *context;
    redisFD fd;
    char reading, writing;
    char in_tick; /* redisPollTick() is at work and frees this itself */
    char deleted;
    double deadline; /* seconds, 0: none */
} redisPollEvents;

static double redisPollGetNow(void)
{
    struct timeval now;

    gettimeofday(&now, NULL);
    return (double)now.tv_sec + (double)now.tv_usec / 1e6;
}

/* For poll(): what is left of `timeout` seconds (negative: no limit) and of the deadline, rounded up. */
static int redisPollMilliseconds(const redisPollEvents *events, double timeout)
{
    double wait = timeout;

    if (events->deadline > 0) {
        double left = events->deadline - redisPollGetNow();
        if (left < 0)
            left = 0;
        if (wait < 0 || left < wait)
            wait = left;
    }
    if (wait < 0)
        return -1;
    if (wait > 86400)
        wait = 86400;
    return (int)(wait * 1000 + 0.999);
}

/* Waits at most `timeout` seconds (0: not at all, negative: without a limit) and handles what has come. Returns
 * REDIS_POLL_HANDLED_ bits, or -1 with errno. */
static int redisPollTick(redisAsyncContext *context, double timeout)
{
    redisPollEvents *events = (redisPollEvents *)context->ev.data;
    struct pollfd entry;
    int handled = 0;
    int count;

    if (events == NULL)
        return 0;
    memset(&entry, 0, sizeof entry);
    entry.fd = events->fd;
    entry.events = (short)((events->reading ? POLLIN : 0) | (events->writing ? POLLOUT : 0));
    if (entry.events == 0)
        entry.fd = -1;
    count = poll(&entry, 1, redisPollMilliseconds(events, timeout));
    if (count < 0)
        return errno == EINTR ? 0 : -1;

    events->in_tick = 1;
    /* A socket that failed is shown to whoever waits, reader first. */
    if (count > 0 && events->reading && (entry.revents & (POLLIN | POLLERR | POLLHUP))) {
        redisAsyncHandleRead(context);
        handled |= REDIS_POLL_HANDLED_READ;
    }
    if (count > 0 && !events->deleted && events->writing && (entry.revents & (POLLOUT | POLLERR | POLLHUP))) {
        redisAsyncHandleWrite(context);
        handled |= REDIS_POLL_HANDLED_WRITE;
    }
    if (!events->deleted && handled == 0 && events->deadline > 0 && redisPollGetNow() >= events->deadline) {
        events->deadline = 0;
        redisAsyncHandleTimeout(context);
        handled |= REDIS_POLL_HANDLED_TIMEOUT;
    }
    events->in_tick = 0;
    if (events->deleted)
        hi_free(events);
    return handled;
}

static void redisPollAddRead(void *data)
{
    ((redisPollEvents *)data)->reading = 1;
}

static void redisPollDelRead(void *data)
{
    ((redisPollEvents *)data)->reading = 0;
}

static void redisPollAddWrite(void *data)
{
    ((redisPollEvents *)data)->writing = 1;
}

static void redisPollDelWrite(void *data)
{
    ((redisPollEvents *)data)->writing = 0;
}

static void redisPollCleanup(void *data)
{
    redisPollEvents *events = (redisPollEvents *)data;

    events->deleted = 1;
    if (!events->in_tick)
        hi_free(events);
}

static void redisPollScheduleTimer(void *data, struct timeval timeout)
{
    ((redisPollEvents *)data)->deadline = redisPollGetNow() + (double)timeout.tv_sec + (double)timeout.tv_usec / 1e6;
}

/* REDIS_ERR: an adapter is attached already, or out of memory. */
static int redisPollAttach(redisAsyncContext *context)
{
    redisPollEvents *events;

    if (context->ev.data != NULL)
        return REDIS_ERR;
    events = (redisPollEvents *)hi_calloc(1, sizeof *events);
    if (events == NULL)
        return REDIS_ERR;
    events->context = context;
    events->fd = context->c.fd;
    context->ev.data = events;
    context->ev.addRead = redisPollAddRead;
    context->ev.delRead = redisPollDelRead;
    context->ev.addWrite = redisPollAddWrite;
    context->ev.delWrite = redisPollDelWrite;
    context->ev.cleanup = redisPollCleanup;
    context->ev.scheduleTimer = redisPollScheduleTimer;
    return REDIS_OK;
}

#endif
