/* hiredis/adapters/glib.h: an asynchronous context as a GSource.
 *
 *     GSource *source = redis_source_new(context);
 *     g_source_attach(source, NULL);
 *
 * The context's end removes the source from its loop. The reference is the program's; when the last one goes, the
 * loop's too, the context is left without an adapter.
 */
#ifndef ROAN_HIREDIS_HIREDIS_ADAPTERS_GLIB_H
#define ROAN_HIREDIS_HIREDIS_ADAPTERS_GLIB_H

#include "../async.h"

#include <glib.h>

typedef struct RedisSource {
    GSource source;
    redisAsyncContext *ac; /* NULL: gone */
    GPollFD poll_fd;
    gint64 deadline; /* of g_get_monotonic_time(), 0: none */
} RedisSource;

static void redis_source_change(gpointer data, gushort add, gushort drop)
{
    RedisSource *self = (RedisSource *)data;

    self->poll_fd.events = (gushort)((self->poll_fd.events | add) & ~drop);
    if (g_source_get_context(&self->source) != NULL)
        g_main_context_wakeup(g_source_get_context(&self->source));
}

static void redis_source_add_read(gpointer data)
{
    redis_source_change(data, G_IO_IN, 0);
}

static void redis_source_del_read(gpointer data)
{
    redis_source_change(data, 0, G_IO_IN);
}

static void redis_source_add_write(gpointer data)
{
    redis_source_change(data, G_IO_OUT, 0);
}

static void redis_source_del_write(gpointer data)
{
    redis_source_change(data, 0, G_IO_OUT);
}

static void redis_source_cleanup(gpointer data)
{
    RedisSource *self = (RedisSource *)data;

    self->ac = NULL;
    self->deadline = 0;
    if (!g_source_is_destroyed(&self->source)) {
        g_source_remove_poll(&self->source, &self->poll_fd);
        g_source_destroy(&self->source); /* the loop's reference ends: it may be gone now */
    }
}

static void redis_source_schedule_timer(gpointer data, struct timeval timeout)
{
    ((RedisSource *)data)->deadline =
        g_get_monotonic_time() + (gint64)timeout.tv_sec * G_USEC_PER_SEC + (gint64)timeout.tv_usec;
}

static gboolean redis_source_prepare(GSource *source, gint *timeout)
{
    RedisSource *self = (RedisSource *)source;

    *timeout = -1;
    if (self->deadline != 0) {
        gint64 left = (self->deadline - g_get_monotonic_time() + 999) / 1000;
        *timeout = (gint)(left < 0 ? 0 : left > G_MAXINT ? G_MAXINT : left);
    }
    return FALSE;
}

static gboolean redis_source_check(GSource *source)
{
    RedisSource *self = (RedisSource *)source;

    return self->poll_fd.revents != 0 || (self->deadline != 0 && g_get_monotonic_time() >= self->deadline);
}

static gboolean redis_source_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    RedisSource *self = (RedisSource *)source;
    gushort failed = self->poll_fd.revents & (G_IO_ERR | G_IO_HUP) ? (G_IO_IN | G_IO_OUT) : 0;
    gushort happened = (gushort)((self->poll_fd.revents | failed) & self->poll_fd.events);

    if ((happened & G_IO_IN) && self->ac != NULL)
        redisAsyncHandleRead(self->ac);
    if ((happened & G_IO_OUT) && self->ac != NULL)
        redisAsyncHandleWrite(self->ac);
    if (happened == 0 && self->ac != NULL && self->deadline != 0 && g_get_monotonic_time() >= self->deadline) {
        self->deadline = 0;
        redisAsyncHandleTimeout(self->ac);
    }
    if (callback != NULL && self->ac != NULL)
        return callback(user_data);
    return self->ac != NULL ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* The source may go first, with its loop: then the context has no adapter any more. */
static void redis_source_finalize(GSource *source)
{
    RedisSource *self = (RedisSource *)source;

    if (self->ac != NULL) {
        self->ac->ev.data = NULL;
        self->ac->ev.addRead = self->ac->ev.delRead = NULL;
        self->ac->ev.addWrite = self->ac->ev.delWrite = NULL;
        self->ac->ev.cleanup = NULL;
        self->ac->ev.scheduleTimer = NULL;
    }
}

/* NULL: an adapter is attached already. */
static GSource *redis_source_new(redisAsyncContext *context)
{
    static GSourceFuncs functions = {
        redis_source_prepare, redis_source_check, redis_source_dispatch, redis_source_finalize, NULL, NULL};
    RedisSource *self;

    if (context->ev.data != NULL)
        return NULL;
    self = (RedisSource *)g_source_new(&functions, sizeof(RedisSource));
    self->ac = context;
    self->deadline = 0;
    self->poll_fd.fd = context->c.fd;
    self->poll_fd.events = 0;
    self->poll_fd.revents = 0;
    g_source_add_poll(&self->source, &self->poll_fd);
    context->ev.data = self;
    context->ev.addRead = redis_source_add_read;
    context->ev.delRead = redis_source_del_read;
    context->ev.addWrite = redis_source_add_write;
    context->ev.delWrite = redis_source_del_write;
    context->ev.cleanup = redis_source_cleanup;
    context->ev.scheduleTimer = redis_source_schedule_timer;
    return &self->source;
}

#endif
