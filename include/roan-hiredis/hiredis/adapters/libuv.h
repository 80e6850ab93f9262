/* hiredis/adapters/libuv.h: an asynchronous context in a loop of libuv 1. */
#ifndef ROAN_HIREDIS_HIREDIS_ADAPTERS_LIBUV_H
#define ROAN_HIREDIS_HIREDIS_ADAPTERS_LIBUV_H

#include "../async.h"

#include <string.h>
#include <uv.h>

/* Freed when the loop has closed both handles, which is after the context is gone. */
typedef struct redisLibuvEvents {
    redisAsyncContext *context; /* NULL: gone */
    uv_poll_t handle;
    uv_timer_t timer;
    int events;
    int open; /* handles that are not closed */
} redisLibuvEvents;

static void redisLibuvPoll(uv_poll_t *handle, int status, int events)
{
    redisLibuvEvents *self = (redisLibuvEvents *)handle->data;
    int happened = status < 0 ? self->events : events; /* a failed socket: reading or writing finds out why */

    if ((happened & UV_READABLE) && self->context != NULL)
        redisAsyncHandleRead(self->context);
    if ((happened & UV_WRITABLE) && self->context != NULL)
        redisAsyncHandleWrite(self->context);
}

static void redisLibuvTimeout(uv_timer_t *timer)
{
    redisLibuvEvents *self = (redisLibuvEvents *)timer->data;

    if (self->context != NULL)
        redisAsyncHandleTimeout(self->context);
}

static void redisLibuvChange(redisLibuvEvents *self, int events)
{
    if (self->events == events)
        return;
    self->events = events;
    if (events == 0)
        uv_poll_stop(&self->handle);
    else
        uv_poll_start(&self->handle, events, redisLibuvPoll);
}

static void redisLibuvAddRead(void *data)
{
    redisLibuvChange((redisLibuvEvents *)data, ((redisLibuvEvents *)data)->events | UV_READABLE);
}

static void redisLibuvDelRead(void *data)
{
    redisLibuvChange((redisLibuvEvents *)data, ((redisLibuvEvents *)data)->events & ~UV_READABLE);
}

static void redisLibuvAddWrite(void *data)
{
    redisLibuvChange((redisLibuvEvents *)data, ((redisLibuvEvents *)data)->events | UV_WRITABLE);
}

static void redisLibuvDelWrite(void *data)
{
    redisLibuvChange((redisLibuvEvents *)data, ((redisLibuvEvents *)data)->events & ~UV_WRITABLE);
}

static void redisLibuvClosed(uv_handle_t *handle)
{
    redisLibuvEvents *self = (redisLibuvEvents *)handle->data;

    if (--self->open == 0)
        hi_free(self);
}

static void redisLibuvCleanup(void *data)
{
    redisLibuvEvents *self = (redisLibuvEvents *)data;

    self->context = NULL;
    uv_poll_stop(&self->handle);
    uv_timer_stop(&self->timer);
    uv_close((uv_handle_t *)&self->handle, redisLibuvClosed);
    uv_close((uv_handle_t *)&self->timer, redisLibuvClosed);
}

static void redisLibuvSetTimeout(void *data, struct timeval timeout)
{
    redisLibuvEvents *self = (redisLibuvEvents *)data;
    uint64_t milliseconds = (uint64_t)timeout.tv_sec * 1000 + ((uint64_t)timeout.tv_usec + 999) / 1000;

    uv_timer_start(&self->timer, redisLibuvTimeout, milliseconds, 0);
}

/* REDIS_ERR: an adapter is attached already, out of memory, or libuv refuses the socket. */
static int redisLibuvAttach(redisAsyncContext *context, uv_loop_t *loop)
{
    redisLibuvEvents *self;

    if (context->ev.data != NULL)
        return REDIS_ERR;
    self = (redisLibuvEvents *)hi_calloc(1, sizeof *self);
    if (self == NULL)
        return REDIS_ERR;
    if (uv_poll_init(loop, &self->handle, context->c.fd) != 0) {
        hi_free(self);
        return REDIS_ERR;
    }
    uv_timer_init(loop, &self->timer);
    self->handle.data = self->timer.data = self;
    self->context = context;
    self->open = 2;
    context->ev.data = self;
    context->ev.addRead = redisLibuvAddRead;
    context->ev.delRead = redisLibuvDelRead;
    context->ev.addWrite = redisLibuvAddWrite;
    context->ev.delWrite = redisLibuvDelWrite;
    context->ev.cleanup = redisLibuvCleanup;
    context->ev.scheduleTimer = redisLibuvSetTimeout;
    return REDIS_OK;
}

#endif
