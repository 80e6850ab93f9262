/* hiredis/async.h: the interface of hiredis for event loops, by Roan's own code.
 *
 * An adapter (hiredis/adapters) sets the hooks in `ev` and calls redisAsyncHandleRead() and its brothers when the
 * socket or the timer is due. A context belongs to one thread. Every command's callback is called exactly once, with
 * NULL when the connection ended first; a subscription's once per message and confirmation. Replies are freed after
 * the callback.
 *
 * A connection that fails or ends frees its context after the connect or disconnect callback, unless
 * REDIS_OPT_NOAUTOFREE is set. A context that has err set when it is made must be freed by the program.
 */
#ifndef ROAN_HIREDIS_HIREDIS_ASYNC_H
#define ROAN_HIREDIS_HIREDIS_ASYNC_H

#include "hiredis.h"

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

struct redisAsyncContext;
struct dict;

typedef void(redisCallbackFn)(struct redisAsyncContext *context, void *reply, void *privdata);

typedef struct redisCallback {
    struct redisCallback *next;
    redisCallbackFn *fn;
    int pending_subs;
    int unsubscribe_sent;
    void *privdata;
} redisCallback;

typedef struct redisCallbackList {
    redisCallback *head, *tail;
} redisCallbackList;

/* status: REDIS_OK or REDIS_ERR with err and errstr set in the context. */
typedef void(redisDisconnectCallback)(const struct redisAsyncContext *context, int status);
typedef void(redisConnectCallback)(const struct redisAsyncContext *context, int status);
typedef void(redisConnectCallbackNC)(struct redisAsyncContext *context, int status);
typedef void(redisTimerCallback)(void *timer, void *privdata);

typedef struct redisAsyncContext {
    redisContext c;

    int err; /* as in c */
    char *errstr;

    void *data; /* the program's */
    void (*dataCleanup)(void *privdata);

    /* The adapter's. Each may be called when it changes nothing. */
    struct {
        void *data;
        void (*addRead)(void *privdata);
        void (*delRead)(void *privdata);
        void (*addWrite)(void *privdata);
        void (*delWrite)(void *privdata);
        void (*cleanup)(void *privdata);
        void (*scheduleTimer)(void *privdata, struct timeval tv);
    } ev;

    redisDisconnectCallback *onDisconnect;
    redisConnectCallback *onConnect;
    redisConnectCallbackNC *onConnectNC;

    redisCallbackList replies; /* commands without an answer, in order */

    struct sockaddr *saddr; /* as in c */
    size_t addrlen;

    struct {
        redisCallbackList replies; /* not used */
        struct dict *channels;
        struct dict *patterns;
        int pending_unsubs;
    } sub;

    redisAsyncPushFn *push_cb;
} redisAsyncContext;

redisAsyncContext *redisAsyncConnectWithOptions(const redisOptions *options);
redisAsyncContext *redisAsyncConnect(const char *ip, int port);
redisAsyncContext *redisAsyncConnectBind(const char *ip, int port, const char *source_addr);
redisAsyncContext *redisAsyncConnectBindWithReuse(const char *ip, int port, const char *source_addr);
redisAsyncContext *redisAsyncConnectUnix(const char *path);

/* Once per context; REDIS_ERR the second time. The two forms of the connect callback exclude each other. */
int redisAsyncSetConnectCallback(redisAsyncContext *context, redisConnectCallback *function);
int redisAsyncSetConnectCallbackNC(redisAsyncContext *context, redisConnectCallbackNC *function);
int redisAsyncSetDisconnectCallback(redisAsyncContext *context, redisDisconnectCallback *function);

/* For pushes that are no pub/sub message; returns the one before. */
redisAsyncPushFn *redisAsyncSetPushCallback(redisAsyncContext *context, redisAsyncPushFn *function);
/* Silence for so long while replies are due ends the connection with REDIS_ERR_TIMEOUT. Zero: never. */
int redisAsyncSetTimeout(redisAsyncContext *context, struct timeval timeout);
/* Ends after the replies that are due have come. */
void redisAsyncDisconnect(redisAsyncContext *context);
/* Ends now, or when the callback that runs returns. */
void redisAsyncFree(redisAsyncContext *context);

/* For adapters: the socket can be read, can be written, the timer ran out. They may free the context. */
void redisAsyncHandleRead(redisAsyncContext *context);
void redisAsyncHandleWrite(redisAsyncContext *context);
void redisAsyncHandleTimeout(redisAsyncContext *context);
/* What funcs->async_read and async_write are, for those who replace them. */
void redisAsyncRead(redisAsyncContext *context);
void redisAsyncWrite(redisAsyncContext *context);

/* `fn` may be NULL. REDIS_ERR when the context is ending or out of memory; `fn` is not called then. */
int redisvAsyncCommand(redisAsyncContext *context, redisCallbackFn *fn, void *privdata, const char *format,
                       va_list arguments);
int redisAsyncCommand(redisAsyncContext *context, redisCallbackFn *fn, void *privdata, const char *format, ...);
int redisAsyncCommandArgv(redisAsyncContext *context, redisCallbackFn *fn, void *privdata, int argc, const char **argv,
                          const size_t *argvlen);
/* One command as sent. */
int redisAsyncFormattedCommand(redisAsyncContext *context, redisCallbackFn *fn, void *privdata, const char *command,
                               size_t bytes);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
