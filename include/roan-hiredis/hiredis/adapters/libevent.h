/* hiredis/adapters/libevent.h: an asynchronous context in a loop of libevent 2. */
#ifndef ROAN_HIREDIS_HIREDIS_ADAPTERS_LIBEVENT_H
#define ROAN_HIREDIS_HIREDIS_ADAPTERS_LIBEVENT_H

#include "../async.h"

#include <event2/event.h>
#include <string.h>

/* One event for both directions; assigned anew whenever what it waits for changes. It holds a reference for the context
 * and one while its handler runs, because handling may free the context. */
typedef struct redisLibeventEvents {
    redisAsyncContext *context; /* NULL: gone */
    struct event *event;
    struct event_base *base;
    struct timeval timeout; /* zero: none */
    short flags;            /* EV_READ, EV_WRITE */
    int references;
} redisLibeventEvents;

static void redisLibeventUnref(redisLibeventEvents *events)
{
    if (--events->references == 0) {
        event_free(events->event);
        hi_free(events);
    }
}

static void redisLibeventHandler(evutil_socket_t fd, short what, void *argument)
{
    redisLibeventEvents *events = (redisLibeventEvents *)argument;

    (void)fd;
    events->references++;
    if ((what & EV_TIMEOUT) && events->context != NULL)
        redisAsyncHandleTimeout(events->context);
    if ((what & EV_READ) && events->context != NULL)
        redisAsyncHandleRead(events->context);
    if ((what & EV_WRITE) && events->context != NULL)
        redisAsyncHandleWrite(events->context);
    redisLibeventUnref(events);
}

/* Waits for events->flags, or for nothing. */
static void redisLibeventArm(redisLibeventEvents *events)
{
    int has_timeout = events->timeout.tv_sec != 0 || events->timeout.tv_usec != 0;

    event_del(events->event);
    event_assign(events->event, events->base, events->context->c.fd, (short)(events->flags | EV_PERSIST),
                 redisLibeventHandler, events);
    if (events->flags != 0)
        event_add(events->event, has_timeout ? &events->timeout : NULL);
}

static void redisLibeventChange(void *data, short flags)
{
    redisLibeventEvents *events = (redisLibeventEvents *)data;

    if (events->flags == flags)
        return;
    events->flags = flags;
    redisLibeventArm(events);
}

static void redisLibeventAddRead(void *data)
{
    redisLibeventChange(data, (short)(((redisLibeventEvents *)data)->flags | EV_READ));
}

static void redisLibeventDelRead(void *data)
{
    redisLibeventChange(data, (short)(((redisLibeventEvents *)data)->flags & ~EV_READ));
}

static void redisLibeventAddWrite(void *data)
{
    redisLibeventChange(data, (short)(((redisLibeventEvents *)data)->flags | EV_WRITE));
}

static void redisLibeventDelWrite(void *data)
{
    redisLibeventChange(data, (short)(((redisLibeventEvents *)data)->flags & ~EV_WRITE));
}

static void redisLibeventCleanup(void *data)
{
    redisLibeventEvents *events = (redisLibeventEvents *)data;

    event_del(events->event);
    events->context = NULL;
    redisLibeventUnref(events);
}

static void redisLibeventSetTimeout(void *data, struct timeval timeout)
{
    redisLibeventEvents *events = (redisLibeventEvents *)data;

    events->timeout = timeout;
    if (events->flags != 0)
        event_add(events->event, &events->timeout); /* pending already: only the time changes */
}

/* REDIS_ERR: an adapter is attached already, or out of memory. */
static int redisLibeventAttach(redisAsyncContext *context, struct event_base *base)
{
    redisLibeventEvents *events;

    if (context->ev.data != NULL)
        return REDIS_ERR;
    events = (redisLibeventEvents *)hi_calloc(1, sizeof *events);
    if (events == NULL)
        return REDIS_ERR;
    events->event = event_new(base, context->c.fd, EV_PERSIST, redisLibeventHandler, events);
    if (events->event == NULL) {
        hi_free(events);
        return REDIS_ERR;
    }
    events->context = context;
    events->base = base;
    events->references = 1;
    context->ev.data = events;
    context->ev.addRead = redisLibeventAddRead;
    context->ev.delRead = redisLibeventDelRead;
    context->ev.addWrite = redisLibeventAddWrite;
    context->ev.delWrite = redisLibeventDelWrite;
    context->ev.cleanup = redisLibeventCleanup;
    context->ev.scheduleTimer = redisLibeventSetTimeout;
    return REDIS_OK;
}

#endif
