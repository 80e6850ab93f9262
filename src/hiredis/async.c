/* hiredis/async.c: an asynchronous context's life: connecting, reading, writing, ending; replies to callbacks.
 *
 *     connecting --first event--> connected --redisAsyncDisconnect()--> draining --last reply--> ended
 *          |                          |                                     |
 *          '-- failed: onConnect(ERR) '---------- error or time-out --------'--> ended
 *
 * Ended means: the adapter is detached, callbacks that wait get NULL, onDisconnect is told, the context is freed. With
 * REDIS_NO_AUTO_FREE an error only detaches the adapter, and the rest happens in redisAsyncFree().
 *
 * No callback runs inside another one, and the context is never freed under a callback: redisAsyncFree() and
 * redisAsyncDisconnect() only set a flag while REDIS_IN_CALLBACK is set, and whoever ran the callback looks at it
 * afterwards. Functions below that may have freed the context say so with their result.
 */
#include "hiredis/async_internal.h"

#include <string.h>

/* ---- the adapter's hooks ----------------------------------------------------------------------------------------- */

static void set_timer(redisAsyncContext *context)
{
    const struct timeval *timeout =
        context->c.flags & REDIS_CONNECTED ? context->c.command_timeout : context->c.connect_timeout;

    if (timeout != NULL && context->ev.scheduleTimer != NULL && (timeout->tv_sec != 0 || timeout->tv_usec != 0))
        context->ev.scheduleTimer(context->ev.data, *timeout);
}

static void want_read(redisAsyncContext *context)
{
    set_timer(context);
    if (context->ev.addRead != NULL)
        context->ev.addRead(context->ev.data);
}

void roan_hiredis_want_write(redisAsyncContext *context)
{
    set_timer(context);
    if (context->ev.addWrite != NULL)
        context->ev.addWrite(context->ev.data);
}

static void detach(redisAsyncContext *context)
{
    if (context->ev.cleanup != NULL)
        context->ev.cleanup(context->ev.data);
    memset(&context->ev, 0, sizeof context->ev);
}

/* ---- made -------------------------------------------------------------------------------------------------------- */

static void copy_error(redisAsyncContext *context)
{
    context->err = context->c.err;
    context->errstr = context->c.errstr;
}

static bool create_topics(roan_hiredis_async *self)
{
    self->base.sub.channels = roan_hiredis_topics_create();
    self->base.sub.patterns = roan_hiredis_topics_create();
    self->shards = roan_hiredis_topics_create();
    return self->base.sub.channels != NULL && self->base.sub.patterns != NULL && self->shards != NULL;
}

static void free_topics(roan_hiredis_async *self)
{
    roan_hiredis_topics_free(self->base.sub.channels);
    roan_hiredis_topics_free(self->base.sub.patterns);
    roan_hiredis_topics_free(self->shards);
}

redisAsyncContext *redisAsyncConnectWithOptions(const redisOptions *options)
{
    redisOptions own = *options;
    redisAsyncContext *context;

    own.push_cb = NULL;
    own.options |= REDIS_OPT_NONBLOCK | REDIS_OPT_NO_PUSH_AUTOFREE;
    context = (redisAsyncContext *)roan_hiredis_context_create(sizeof(roan_hiredis_async), &own);
    if (context == NULL)
        return NULL;
    if (!create_topics(roan_hiredis_async_of(context))) {
        free_topics(roan_hiredis_async_of(context));
        redisFree(&context->c);
        return NULL;
    }
    roan_hiredis_context_connect(&context->c, &own);
    context->c.flags &= ~REDIS_CONNECTED; /* the first event will tell */
    context->saddr = context->c.saddr;
    context->addrlen = context->c.addrlen;
    context->push_cb = options->async_push_cb;
    copy_error(context);
    return context;
}

static redisAsyncContext *connect_tcp(const char *ip, int port, const char *source_addr, int options_bits)
{
    redisOptions options = {.type = REDIS_CONN_TCP, .options = options_bits};

    options.endpoint.tcp.ip = ip;
    options.endpoint.tcp.port = port;
    options.endpoint.tcp.source_addr = source_addr;
    return redisAsyncConnectWithOptions(&options);
}

redisAsyncContext *redisAsyncConnect(const char *ip, int port)
{
    return connect_tcp(ip, port, NULL, 0);
}

redisAsyncContext *redisAsyncConnectBind(const char *ip, int port, const char *source_addr)
{
    return connect_tcp(ip, port, source_addr, 0);
}

redisAsyncContext *redisAsyncConnectBindWithReuse(const char *ip, int port, const char *source_addr)
{
    return connect_tcp(ip, port, source_addr, REDIS_OPT_REUSEADDR);
}

redisAsyncContext *redisAsyncConnectUnix(const char *path)
{
    redisOptions options = {.type = REDIS_CONN_UNIX};

    options.endpoint.unix_socket = path;
    return redisAsyncConnectWithOptions(&options);
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

/* A connection is seen to stand when the socket can be written. */
static int set_connect_callback(redisAsyncContext *context, redisConnectCallback *function,
                                redisConnectCallbackNC *function_nc)
{
    if (context->onConnect != NULL || context->onConnectNC != NULL)
        return REDIS_ERR;
    context->onConnect = function;
    context->onConnectNC = function_nc;
    roan_hiredis_want_write(context);
    return REDIS_OK;
}

int redisAsyncSetConnectCallback(redisAsyncContext *context, redisConnectCallback *function)
{
    return set_connect_callback(context, function, NULL);
}

int redisAsyncSetConnectCallbackNC(redisAsyncContext *context, redisConnectCallbackNC *function)
{
    return set_connect_callback(context, NULL, function);
}

int redisAsyncSetDisconnectCallback(redisAsyncContext *context, redisDisconnectCallback *function)
{
    if (context->onDisconnect != NULL)
        return REDIS_ERR;
    context->onDisconnect = function;
    return REDIS_OK;
}

redisAsyncPushFn *redisAsyncSetPushCallback(redisAsyncContext *context, redisAsyncPushFn *function)
{
    redisAsyncPushFn *before = context->push_cb;

    context->push_cb = function;
    return before;
}

int redisAsyncSetTimeout(redisAsyncContext *context, struct timeval timeout)
{
    if (roan_hiredis_copy_timeout(&context->c.command_timeout, &timeout) == REDIS_OK)
        return REDIS_OK;
    roan_hiredis_fail(&context->c, REDIS_ERR_OOM, "Out of memory");
    copy_error(context);
    return REDIS_ERR;
}

/* ---- ended ------------------------------------------------------------------------------------------------------- */

void roan_hiredis_run(redisAsyncContext *context, const redisCallback *callback, void *reply)
{
    int was_inside = context->c.flags & REDIS_IN_CALLBACK;

    if (callback->fn == NULL)
        return;
    roan_hiredis_async_of(context)->has_run = true;
    context->c.flags |= REDIS_IN_CALLBACK;
    callback->fn(context, reply, callback->privdata);
    if (!was_inside)
        context->c.flags &= ~REDIS_IN_CALLBACK;
}

/* Every callback that waits gets NULL; those of subscriptions once per name. */
static void end_callbacks(redisAsyncContext *context)
{
    roan_hiredis_command *command;

    while ((command = roan_hiredis_first_command(context)) != NULL) {
        redisCallback callback = command->callback;
        bool is_own = command->role != ROAN_HIREDIS_SUBSCRIBE && command->role != ROAN_HIREDIS_UNSUBSCRIBE;
        roan_hiredis_pop_command(context);
        if (is_own)
            roan_hiredis_run(context, &callback, NULL);
    }
    roan_hiredis_end_topics(context);
}

/* The end of the context; not from inside a callback. */
static void free_context(redisAsyncContext *context)
{
    bool is_wanted = (context->c.flags & REDIS_FREEING) || context->err == 0;

    context->c.flags |= REDIS_FREEING; /* callbacks send nothing any more */
    end_callbacks(context);
    detach(context);
    context->c.flags |= REDIS_IN_CALLBACK;
    if (context->onDisconnect != NULL && (context->c.flags & REDIS_CONNECTED))
        context->onDisconnect(context, is_wanted ? REDIS_OK : REDIS_ERR);
    if (context->dataCleanup != NULL)
        context->dataCleanup(context->data);
    free_topics(roan_hiredis_async_of(context));
    redisFree(&context->c);
}

void redisAsyncFree(redisAsyncContext *context)
{
    if (context == NULL)
        return;
    context->c.flags |= REDIS_FREEING;
    if (!(context->c.flags & REDIS_IN_CALLBACK))
        free_context(context);
}

/* The connection is over; the context is gone afterwards unless REDIS_NO_AUTO_FREE is set. */
static void end_connection(redisAsyncContext *context)
{
    copy_error(context);
    if (context->err != 0)
        context->c.flags |= REDIS_DISCONNECTING;
    detach(context);
    if (!(context->c.flags & REDIS_NO_AUTO_FREE))
        free_context(context);
}

void redisAsyncDisconnect(redisAsyncContext *context)
{
    context->c.flags |= REDIS_DISCONNECTING;
    context->c.flags &= ~REDIS_NO_AUTO_FREE;
    if (!(context->c.flags & REDIS_IN_CALLBACK) && context->replies.head == NULL)
        end_connection(context);
}

/* After a callback: does what it asked for. True: the context is gone. */
static bool end_if_asked(redisAsyncContext *context)
{
    if (context->c.flags & REDIS_FREEING) {
        free_context(context);
        return true;
    }
    if ((context->c.flags & REDIS_DISCONNECTING) && context->replies.head == NULL) {
        end_connection(context);
        return true;
    }
    return false;
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

static void run_connect_callback(redisAsyncContext *context, int status)
{
    redisConnectCallback *function = context->onConnect;
    redisConnectCallbackNC *function_nc = context->onConnectNC;

    context->c.flags |= REDIS_IN_CALLBACK;
    if (function != NULL)
        function(context, status);
    else if (function_nc != NULL)
        function_nc(context, status);
    context->c.flags &= ~REDIS_IN_CALLBACK;
}

static void connect_failed(redisAsyncContext *context)
{
    copy_error(context);
    context->c.flags |= REDIS_DISCONNECTING;
    run_connect_callback(context, REDIS_ERR);
    if (context->c.flags & REDIS_FREEING)
        free_context(context);
    else
        end_connection(context);
}

/* An event on a socket that connects. True: connected, and the context goes on. */
static bool connect_happened(redisAsyncContext *context)
{
    bool is_done;

    if (roan_hiredis_connect_check(&context->c, &is_done) != REDIS_OK) {
        connect_failed(context);
        return false;
    }
    if (!is_done)
        return false;
    context->c.flags |= REDIS_CONNECTED;
    run_connect_callback(context, REDIS_OK);
    return !end_if_asked(context);
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */

/* "1700000000.123456 [0 127.0.0.1:5000] ..." */
static bool is_monitor_line(const redisReply *reply)
{
    return reply->len > 0 && reply->str[0] >= '0' && reply->str[0] <= '9' && strstr(reply->str, " [") != NULL;
}

/* A reply of the command in front: what it changes, then its callback. */
static void answer_first(redisAsyncContext *context, redisReply *reply, int type)
{
    roan_hiredis_async *self = roan_hiredis_async_of(context);
    roan_hiredis_command *first = roan_hiredis_first_command(context);
    redisCallback callback = first->callback;

    switch (type == REDIS_REPLY_ERROR && first->role != ROAN_HIREDIS_SUBSCRIBE ? ROAN_HIREDIS_PLAIN : first->role) {
    case ROAN_HIREDIS_SUBSCRIBE:
        if (type == REDIS_REPLY_ERROR)
            roan_hiredis_subscribe_undo(context, first);
        else
            roan_hiredis_subscribe_queued(context, first);
        break;
    case ROAN_HIREDIS_MONITOR:
        self->monitor = callback;
        self->has_monitor = type == REDIS_REPLY_STATUS;
        break;
    case ROAN_HIREDIS_RESET:
        roan_hiredis_end_topics(context);
        context->c.flags &= ~REDIS_SUPPORTS_PUSH;
        break;
    case ROAN_HIREDIS_HELLO:
        if (type == REDIS_REPLY_MAP)
            context->c.flags |= REDIS_SUPPORTS_PUSH;
        else
            context->c.flags &= ~REDIS_SUPPORTS_PUSH;
        break;
    default: break;
    }
    roan_hiredis_pop_command(context);
    roan_hiredis_run(context, &callback, reply);
}

static void take_push(redisAsyncContext *context, redisReply *reply)
{
    context->c.flags |= REDIS_SUPPORTS_PUSH;
    if (roan_hiredis_take_topic_reply(context, reply, true) || context->push_cb == NULL)
        return;
    roan_hiredis_async_of(context)->has_run = true;
    context->c.flags |= REDIS_IN_CALLBACK;
    context->push_cb(context, reply);
    context->c.flags &= ~REDIS_IN_CALLBACK;
}

/* Can an array be a message or a confirmation? In RESP3 it cannot. */
static bool may_be_topic(const redisAsyncContext *context)
{
    const roan_hiredis_command *first = roan_hiredis_first_command(context);

    return !(context->c.flags & REDIS_SUPPORTS_PUSH) &&
           ((context->c.flags & REDIS_SUBSCRIBED) || (first != NULL && first->role == ROAN_HIREDIS_UNSUBSCRIBE));
}

/* Finds the callback that a reply is for. False: it is for none, and the connection is at its end: err is set. */
static bool take_reply(redisAsyncContext *context, redisReply *reply, int type)
{
    roan_hiredis_async *self = roan_hiredis_async_of(context);

    if (type == REDIS_REPLY_PUSH) {
        take_push(context, reply);
        return true;
    }
    if (type == REDIS_REPLY_ARRAY && may_be_topic(context) && roan_hiredis_take_topic_reply(context, reply, false))
        return true;
    if (type == REDIS_REPLY_STATUS && self->has_monitor && (context->replies.head == NULL || is_monitor_line(reply))) {
        roan_hiredis_run(context, &self->monitor, reply);
        return true;
    }
    if (context->replies.head != NULL) {
        answer_first(context, reply, type);
        return true;
    }
    /* "-ERR max number of clients reached", for instance. */
    if (type == REDIS_REPLY_ERROR)
        roan_hiredis_fail(&context->c, REDIS_ERR_OTHER, reply->str);
    else
        roan_hiredis_fail(&context->c, REDIS_ERR_PROTOCOL, "A reply came that no command waits for");
    return false;
}

/* A reply that no callback has seen is always freed. */
static void free_reply(redisAsyncContext *context, void *reply)
{
    if (!(context->c.flags & REDIS_NO_AUTO_FREE_REPLIES) || !roan_hiredis_async_of(context)->has_run)
        roan_hiredis_reader_free_reply(context->c.reader, reply);
}

/* All replies that have been read. The context may be gone afterwards. */
static void take_replies(redisAsyncContext *context)
{
    void *reply;

    while (redisGetReplyFromReader(&context->c, &reply) == REDIS_OK) {
        bool is_taken;
        if (reply == NULL) {
            end_if_asked(context);
            return;
        }
        roan_hiredis_async_of(context)->has_run = false;
        is_taken = take_reply(context, reply, roan_hiredis_reader_last_type(context->c.reader));
        free_reply(context, reply);
        if (!is_taken)
            break;
        if (context->c.flags & REDIS_FREEING) {
            free_context(context);
            return;
        }
    }
    end_connection(context);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

void redisAsyncRead(redisAsyncContext *context)
{
    if (redisBufferRead(&context->c) != REDIS_OK) {
        end_connection(context);
        return;
    }
    want_read(context);
    take_replies(context);
}

void redisAsyncHandleRead(redisAsyncContext *context)
{
    if ((context->c.flags & REDIS_CONNECTED) || connect_happened(context))
        context->c.funcs->async_read(context);
}

void redisAsyncWrite(redisAsyncContext *context)
{
    int is_done = 0;

    if (redisBufferWrite(&context->c, &is_done) != REDIS_OK) {
        end_connection(context);
        return;
    }
    if (!is_done)
        roan_hiredis_want_write(context);
    else if (context->ev.delWrite != NULL)
        context->ev.delWrite(context->ev.data);
    want_read(context);
}

void redisAsyncHandleWrite(redisAsyncContext *context)
{
    if ((context->c.flags & REDIS_CONNECTED) || connect_happened(context))
        context->c.funcs->async_write(context);
}

void redisAsyncHandleTimeout(redisAsyncContext *context)
{
    bool is_connected = context->c.flags & REDIS_CONNECTED;

    /* Nothing is due, or the timer is that of a connection that stands by now. */
    if (is_connected && (context->replies.head == NULL || context->c.command_timeout == NULL))
        return;
    if (context->c.err == 0)
        roan_hiredis_fail(&context->c, REDIS_ERR_TIMEOUT, "Timeout");
    if (!is_connected) {
        connect_failed(context);
        return;
    }
    copy_error(context);
    context->c.flags |= REDIS_DISCONNECTING;
    end_callbacks(context);
    if (context->c.flags & REDIS_FREEING)
        free_context(context);
    else
        end_connection(context);
}
