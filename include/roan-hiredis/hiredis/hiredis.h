/* hiredis/hiredis.h: the blocking interface of hiredis 1.x, by Roan's own code.
 *
 * A context is one connection and belongs to one thread at a time. Functions with a context return REDIS_OK or
 * REDIS_ERR, or a reply or NULL; what went wrong is in its fields err and errstr, and after that it can only be
 * reconnected or freed. docs/hiredis.md says what differs from the original.
 */
#ifndef ROAN_HIREDIS_HIREDIS_HIREDIS_H
#define ROAN_HIREDIS_HIREDIS_HIREDIS_H

#include "read.h"

#include <stdarg.h>
#include <stdint.h>
#include <sys/time.h>
#include <sys/types.h>

#include "alloc.h"
#include "sds.h"

#define HIREDIS_MAJOR  1
#define HIREDIS_MINOR  5
#define HIREDIS_PATCH  0
#define HIREDIS_SONAME 1.5.0

#define ROAN_HIREDIS 1 /* for programs that want to know */

/* Bits of redisContext.flags. */
#define REDIS_BLOCK                0x1
#define REDIS_CONNECTED            0x2
#define REDIS_DISCONNECTING        0x4   /* async: no new commands, ends after the last reply */
#define REDIS_FREEING              0x8   /* async: ends when the callback returns */
#define REDIS_IN_CALLBACK          0x10  /* async: a callback runs */
#define REDIS_SUBSCRIBED           0x20  /* async: there are subscriptions */
#define REDIS_MONITORING           0x40  /* async: MONITOR is on */
#define REDIS_REUSEADDR            0x80  /* SO_REUSEADDR before bind() */
#define REDIS_SUPPORTS_PUSH        0x100 /* async: the server has sent a push */
#define REDIS_NO_AUTO_FREE         0x200 /* async: an error does not free the context */
#define REDIS_NO_AUTO_FREE_REPLIES 0x400 /* async: replies belong to the callback */
#define REDIS_PREFER_IPV4          0x800 /* both: whatever the resolver says first */
#define REDIS_PREFER_IPV6          0x1000

#define REDIS_KEEPALIVE_INTERVAL 15 /* seconds */
#define REDIS_CONNECT_RETRIES    10 /* when bind() with SO_REUSEADDR met a used pair of addresses */

struct redisAsyncContext;
struct redisContext;

#define redisIsPushReply(reply_) (((redisReply *)(reply_))->type == REDIS_REPLY_PUSH)

/* The context's privdata and the push, which the function frees. */
typedef void(redisPushFn)(void *privdata, void *reply);
/* The push is freed afterwards, unless REDIS_OPT_NOAUTOFREEREPLIES is set. */
typedef void(redisAsyncPushFn)(struct redisAsyncContext *context, void *reply);

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

typedef struct redisReply {
    int type;                    /* REDIS_REPLY_* */
    long long integer;           /* INTEGER; BOOL: 0 or 1 */
    double dval;                 /* DOUBLE */
    size_t len;                  /* bytes of str */
    char *str;                   /* STRING, STATUS, ERROR, VERB, BIGNUM; DOUBLE as sent. Terminated */
    char vtype[4];               /* VERB: three letters, terminated */
    size_t elements;             /* ARRAY, SET, PUSH; MAP and ATTR: twice the pairs */
    struct redisReply **element; /* NULL when there are none */
} redisReply;

redisReader *redisReaderCreate(void);

/* Accepts NULL. */
void freeReplyObject(void *reply);

/* Commands from a format: words are separated by spaces; %s a text, %b bytes and their size_t, %% a percent sign, and
 * the integer and floating point conversions of printf with flags, width, precision and hh, h, l, ll. What is put in is
 * never split. *target is set to the command as sent, which redisFreeCommand() frees; the result is its length.
 * redisvFormatCommand(): -1 out of memory, -2 the format is wrong. redisFormatCommand(): -1 for both. */
int redisvFormatCommand(char **target, const char *format, va_list arguments);
int redisFormatCommand(char **target, const char *format, ...);
/* From words; argvlen NULL: they are texts. -1 when out of memory. */
long long redisFormatCommandArgv(char **target, int argc, const char **argv, const size_t *argvlen);
long long redisFormatSdsCommandArgv(sds *target, int argc, const char **argv, const size_t *argvlen);
void redisFreeCommand(char *command);
void redisFreeSdsCommand(sds command);

enum redisConnectionType { REDIS_CONN_TCP, REDIS_CONN_UNIX, REDIS_CONN_USERFD };

struct redisSsl;

#define REDIS_OPT_NONBLOCK          0x01
#define REDIS_OPT_REUSEADDR         0x02
#define REDIS_OPT_NOAUTOFREE        0x04 /* async: an error does not free the context */
#define REDIS_OPT_NO_PUSH_AUTOFREE  0x08 /* pushes come in between the replies unless there is a push_cb */
#define REDIS_OPT_NOAUTOFREEREPLIES 0x10 /* async: replies belong to the callback */
#define REDIS_OPT_PREFER_IPV4       0x20
#define REDIS_OPT_PREFER_IPV6       0x40
#define REDIS_OPT_PREFER_IP_UNSPEC  (REDIS_OPT_PREFER_IPV4 | REDIS_OPT_PREFER_IPV6)
#define REDIS_OPT_SET_SOCK_CLOEXEC  0x80 /* programs that are started do not inherit the socket */

typedef int redisFD;
#define REDIS_INVALID_FD -1

/* Set all of it to zero first. Everything is copied. */
typedef struct {
    int type;                              /* enum redisConnectionType: which member of endpoint counts */
    int options;                           /* REDIS_OPT_* */
    const struct timeval *connect_timeout; /* NULL or zero: none */
    const struct timeval *command_timeout; /* of one read or write; NULL or zero: none */
    union {
        struct {
            const char *source_addr; /* the local address, or NULL */
            const char *ip;          /* or a name */
            int port;
        } tcp;
        const char *unix_socket;
        redisFD fd; /* connected already; belongs to the context from then on */
    } endpoint;

    void *privdata;
    void (*free_privdata)(void *);

    redisPushFn *push_cb;
    redisAsyncPushFn *async_push_cb;
} redisOptions;

#define REDIS_OPTIONS_SET_TCP(opts, ip_, port_) \
    do {                                        \
        (opts)->type = REDIS_CONN_TCP;          \
        (opts)->endpoint.tcp.ip = ip_;          \
        (opts)->endpoint.tcp.port = port_;      \
    } while (0)

#define REDIS_OPTIONS_SET_UNIX(opts, path)     \
    do {                                       \
        (opts)->type = REDIS_CONN_UNIX;        \
        (opts)->endpoint.unix_socket = (path); \
    } while (0)

#define REDIS_OPTIONS_SET_PRIVDATA(opts, data, dtor) \
    do {                                             \
        (opts)->privdata = data;                     \
        (opts)->free_privdata = dtor;                \
    } while (0)

/* How a context reads and writes; something else may be put in its place, TLS for instance. */
typedef struct redisContextFuncs {
    void (*close)(struct redisContext *);
    void (*free_privctx)(void *);
    void (*async_read)(struct redisAsyncContext *);
    void (*async_write)(struct redisAsyncContext *);
    /* Bytes, 0: nothing now, negative: failed with err set. write sends from obuf and leaves it as it is. */
    ssize_t (*read)(struct redisContext *, char *, size_t);
    ssize_t (*write)(struct redisContext *);
} redisContextFuncs;

typedef struct redisContext {
    const redisContextFuncs *funcs;

    int err;          /* REDIS_ERR_*, 0: none */
    char errstr[128]; /* terminated */
    redisFD fd;
    int flags;
    char *obuf; /* an sds: what is still to be sent */
    redisReader *reader;

    enum redisConnectionType connection_type;
    struct timeval *connect_timeout;
    struct timeval *command_timeout;

    struct {
        char *host;
        char *source_addr;
        int port;
    } tcp;

    struct {
        char *path;
    } unix_sock;

    struct sockaddr *saddr; /* where it connected to */
    size_t addrlen;

    void *privdata; /* the program's */
    void (*free_privdata)(void *);

    void *privctx; /* of whoever replaced funcs; freed with funcs->free_privctx */

    redisPushFn *push_cb; /* NULL: pushes come in between the replies */
} redisContext;

/* Each returns a context whose err must be looked at, or NULL when out of memory. The non-blocking ones return before
 * the connection stands. */
redisContext *redisConnectWithOptions(const redisOptions *options);
redisContext *redisConnect(const char *ip, int port);
redisContext *redisConnectWithTimeout(const char *ip, int port, const struct timeval timeout);
redisContext *redisConnectNonBlock(const char *ip, int port);
redisContext *redisConnectBindNonBlock(const char *ip, int port, const char *source_addr);
redisContext *redisConnectBindNonBlockWithReuse(const char *ip, int port, const char *source_addr);
redisContext *redisConnectUnix(const char *path);
redisContext *redisConnectUnixWithTimeout(const char *path, const struct timeval timeout);
redisContext *redisConnectUnixNonBlock(const char *path);
redisContext *redisConnectFd(redisFD fd);

/* Closes and connects anew, to the same place and with the same time-outs. What was not sent and what was not read is
 * forgotten, and so are keepalive and the user time-out. */
int redisReconnect(redisContext *context);

/* Returns the one before. */
redisPushFn *redisSetPushCallback(redisContext *context, redisPushFn *function);
/* Of one read or write, blocking contexts only. Zero: none. */
int redisSetTimeout(redisContext *context, const struct timeval timeout);
int redisEnableKeepAlive(redisContext *context);
int redisEnableKeepAliveWithInterval(redisContext *context, int interval_seconds);
int redisSetTcpUserTimeout(redisContext *context, unsigned int timeout_ms);
/* Accepts NULL. */
void redisFree(redisContext *context);
redisFD redisFreeKeepFd(redisContext *context);
/* One read into the reader; one write from obuf, *done (may be NULL) says if it is empty now. */
int redisBufferRead(redisContext *context);
int redisBufferWrite(redisContext *context, int *done);

/* The next reply. A blocking context sends what waits and reads until there is one; another one gives NULL when there
 * is none yet. `reply` NULL: it is freed. */
int redisGetReply(redisContext *context, void **reply);
int redisGetReplyFromReader(redisContext *context, void **reply);

/* Put a command behind those that wait to be sent. */
int redisAppendFormattedCommand(redisContext *context, const char *command, size_t bytes);
int redisvAppendCommand(redisContext *context, const char *format, va_list arguments);
int redisAppendCommand(redisContext *context, const char *format, ...);
int redisAppendCommandArgv(redisContext *context, int argc, const char **argv, const size_t *argvlen);

/* Append and, on a blocking context, wait for the reply. */
void *redisvCommand(redisContext *context, const char *format, va_list arguments);
void *redisCommand(redisContext *context, const char *format, ...);
void *redisCommandArgv(redisContext *context, int argc, const char **argv, const size_t *argvlen);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
