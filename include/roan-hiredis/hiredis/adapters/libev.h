/* hiredis/adapters/libev.h: an asynchronous context in a loop of libev. */
#ifndef ROAN_HIREDIS_HIREDIS_ADAPTERS_LIBEV_H
#define ROAN_HIREDIS_HIREDIS_ADAPTERS_LIBEV_H

#include "../async.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

typedef struct redisLibevEvents {
    redisAsyncContext *context;
    struct ev_loop *loop;
    ev_io rev, wev;
    ev_timer timer;
} redisLibevEvents;

static void redisLibevReadEvent(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    redisAsyncHandleRead(((redisLibevEvents *)watcher->data)->context);
}

static void redisLibevWriteEvent(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    redisAsyncHandleWrite(((redisLibevEvents *)watcher->data)->context);
}

static void redisLibevTimeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    redisAsyncHandleTimeout(((redisLibevEvents *)timer->data)->context);
}

/* Starting what runs and stopping what does not are no-ops of libev. */
static void redisLibevAddRead(void *data)
{
    redisLibevEvents *self = (redisLibevEvents *)data;

    ev_io_start(self->loop, &self->rev);
}

static void redisLibevDelRead(void *data)
{
    redisLibevEvents *self = (redisLibevEvents *)data;

    ev_io_stop(self->loop, &self->rev);
}

static void redisLibevAddWrite(void *data)
{
    redisLibevEvents *self = (redisLibevEvents *)data;

    ev_io_start(self->loop, &self->wev);
}

static void redisLibevDelWrite(void *data)
{
    redisLibevEvents *self = (redisLibevEvents *)data;

    ev_io_stop(self->loop, &self->wev);
}

static void redisLibevCleanup(void *data)
{
    redisLibevEvents *self = (redisLibevEvents *)data;

    ev_io_stop(self->loop, &self->rev); /* which also forgets events that are pending */
    ev_io_stop(self->loop, &self->wev);
    ev_timer_stop(self->loop, &self->timer);
    hi_free(self);
}

static void redisLibevSetTimeout(void *data, struct timeval timeout)
{
    redisLibevEvents *self = (redisLibevEvents *)data;

    self->timer.repeat = (double)timeout.tv_sec + (double)timeout.tv_usec / 1e6;
    ev_timer_again(self->loop, &self->timer);
}

/* EV_P_ is the loop where libev is built with several of them. REDIS_ERR: an adapter is attached already, or out of
 * memory. */
static int redisLibevAttach(EV_P_ redisAsyncContext *context)
{
    redisLibevEvents *self;

    if (context->ev.data != NULL)
        return REDIS_ERR;
    self = (redisLibevEvents *)hi_calloc(1, sizeof *self);
    if (self == NULL)
        return REDIS_ERR;
    self->context = context;
#if EV_MULTIPLICITY
    self->loop = EV_A;
#endif
    ev_io_init(&self->rev, redisLibevReadEvent, context->c.fd, EV_READ);
    ev_io_init(&self->wev, redisLibevWriteEvent, context->c.fd, EV_WRITE);
    ev_init(&self->timer, redisLibevTimeout);
    self->rev.data = self->wev.data = self->timer.data = self;
    context->ev.data = self;
    context->ev.addRead = redisLibevAddRead;
    context->ev.delRead = redisLibevDelRead;
    context->ev.addWrite = redisLibevAddWrite;
    context->ev.delWrite = redisLibevDelWrite;
    context->ev.cleanup = redisLibevCleanup;
    context->ev.scheduleTimer = redisLibevSetTimeout;
    return REDIS_OK;
}

#endif
