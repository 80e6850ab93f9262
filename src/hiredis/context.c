/* hiredis/context.c: a context's life: made, connected, reconnected, freed; its options and errors.
 *
 * A context owns its socket, its output (obuf, an sds) and its reader. The first failure sets err and errstr; from then
 * on reading and writing refuse until redisReconnect(). Texts and values of time-outs are copies, so that reconnecting
 * does not depend on what the caller did with his.
 */
#include "hiredis/internal.h"
#include "hiredis/async.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const redisContextFuncs socket_functions = {
    .close = roan_hiredis_close,
    .free_privctx = NULL,
    .async_read = redisAsyncRead,
    .async_write = redisAsyncWrite,
    .read = roan_hiredis_receive,
    .write = roan_hiredis_send,
};

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static const char *errno_text(int os_errno, char *buffer, size_t bytes)
{
    return strerror_r(os_errno, buffer, bytes); /* GNU's: the result need not be the buffer */
}

int roan_hiredis_fail(redisContext *context, int err, const char *text)
{
    int os_errno = errno;
    char buffer[sizeof context->errstr];

    if (text == NULL)
        text = errno_text(os_errno, buffer, sizeof buffer);
    context->err = err;
    snprintf(context->errstr, sizeof context->errstr, "%s", text);
    errno = os_errno;
    return REDIS_ERR;
}

int roan_hiredis_fail_call(redisContext *context, const char *prefix)
{
    int os_errno = errno;
    char buffer[sizeof context->errstr];
    char text[sizeof context->errstr];

    snprintf(text, sizeof text, "%s: %s", prefix, errno_text(os_errno, buffer, sizeof buffer));
    roan_hiredis_fail(context, REDIS_ERR_IO, text);
    errno = os_errno;
    return REDIS_ERR;
}

static int fail_memory(redisContext *context)
{
    return roan_hiredis_fail(context, REDIS_ERR_OOM, "Out of memory");
}

/* ---- made and freed ---------------------------------------------------------------------------------------------- */

/* The push handler of those who did not ask for pushes. */
static void drop_push(void *privdata, void *reply)
{
    (void)privdata;
    freeReplyObject(reply);
}

static int flags_of_options(int options)
{
    static const struct {
        int option;
        int flag;
    } rows[] = {
        {REDIS_OPT_REUSEADDR, REDIS_REUSEADDR},
        {REDIS_OPT_NOAUTOFREE, REDIS_NO_AUTO_FREE},
        {REDIS_OPT_NOAUTOFREEREPLIES, REDIS_NO_AUTO_FREE_REPLIES},
        {REDIS_OPT_PREFER_IPV4, REDIS_PREFER_IPV4},
        {REDIS_OPT_PREFER_IPV6, REDIS_PREFER_IPV6},
        {REDIS_OPT_SET_SOCK_CLOEXEC, ROAN_HIREDIS_CLOEXEC},
    };
    int flags = options & REDIS_OPT_NONBLOCK ? 0 : REDIS_BLOCK;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (options & rows[i].option)
            flags |= rows[i].flag;
    return flags;
}

redisContext *roan_hiredis_context_create(size_t bytes, const redisOptions *options)
{
    redisContext *context = hi_calloc(1, bytes);

    if (context == NULL)
        return NULL;
    context->funcs = &socket_functions;
    context->fd = REDIS_INVALID_FD;
    context->flags = flags_of_options(options->options);
    context->obuf = sdsempty();
    context->reader = redisReaderCreate();
    if (context->obuf == NULL || context->reader == NULL) {
        redisFree(context);
        return NULL;
    }
    context->privdata = options->privdata;
    context->free_privdata = options->free_privdata;
    context->push_cb = options->push_cb;
    if (context->push_cb == NULL && !(options->options & REDIS_OPT_NO_PUSH_AUTOFREE))
        context->push_cb = drop_push;
    return context;
}

static void free_privctx(redisContext *context)
{
    if (context->privctx != NULL && context->funcs->free_privctx != NULL)
        context->funcs->free_privctx(context->privctx);
    context->privctx = NULL;
}

void redisFree(redisContext *context)
{
    if (context == NULL)
        return;
    if (context->funcs != NULL && context->funcs->close != NULL)
        context->funcs->close(context);
    sdsfree(context->obuf);
    redisReaderFree(context->reader);
    hi_free(context->tcp.host);
    hi_free(context->tcp.source_addr);
    hi_free(context->unix_sock.path);
    hi_free(context->connect_timeout);
    hi_free(context->command_timeout);
    hi_free(context->saddr);
    if (context->privdata != NULL && context->free_privdata != NULL)
        context->free_privdata(context->privdata);
    free_privctx(context);
    memset(context, 0xff, sizeof *context); /* a use after this shows soon */
    hi_free(context);
}

redisFD redisFreeKeepFd(redisContext *context)
{
    redisFD fd = context->fd;

    context->fd = REDIS_INVALID_FD;
    redisFree(context);
    return fd;
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

int roan_hiredis_copy_timeout(struct timeval **to, const struct timeval *timeout)
{
    if (timeout == NULL || (timeout->tv_sec == 0 && timeout->tv_usec == 0)) {
        hi_free(*to);
        *to = NULL;
        return REDIS_OK;
    }
    if (*to == NULL)
        *to = hi_malloc(sizeof **to);
    if (*to == NULL)
        return REDIS_ERR;
    **to = *timeout;
    return REDIS_OK;
}

/* A copy of the text in *to; NULL stays NULL. False when out of memory. */
static bool copy_text(char **to, const char *text)
{
    if (text == NULL)
        return true;
    *to = hi_strdup(text);
    return *to != NULL;
}

static int take_fd(redisContext *context, redisFD fd)
{
    int flags;

    context->fd = fd;
    context->flags |= REDIS_CONNECTED;
    if (context->flags & REDIS_BLOCK)
        return REDIS_OK;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return roan_hiredis_fail_call(context, "fcntl(F_GETFL)");
    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return roan_hiredis_fail_call(context, "fcntl(F_SETFL)");
    return REDIS_OK;
}

/* To the place that the context holds a copy of. */
static int open_connection(redisContext *context)
{
    int result = context->connection_type == REDIS_CONN_TCP ? roan_hiredis_connect_tcp(context)
                                                            : roan_hiredis_connect_unix(context);

    if (result == REDIS_OK && context->command_timeout != NULL && (context->flags & REDIS_BLOCK))
        result = roan_hiredis_apply_timeout(context);
    return result;
}

void roan_hiredis_context_connect(redisContext *context, const redisOptions *options)
{
    context->connection_type = (enum redisConnectionType)options->type;
    if (roan_hiredis_copy_timeout(&context->connect_timeout, options->connect_timeout) != REDIS_OK ||
        roan_hiredis_copy_timeout(&context->command_timeout, options->command_timeout) != REDIS_OK) {
        fail_memory(context);
        return;
    }
    switch (options->type) {
    case REDIS_CONN_TCP:
        context->tcp.port = options->endpoint.tcp.port;
        if (options->endpoint.tcp.ip == NULL)
            roan_hiredis_fail(context, REDIS_ERR_OTHER, "No host to connect to");
        else if (!copy_text(&context->tcp.host, options->endpoint.tcp.ip) ||
                 !copy_text(&context->tcp.source_addr, options->endpoint.tcp.source_addr))
            fail_memory(context);
        else
            open_connection(context);
        break;
    case REDIS_CONN_UNIX:
        if (options->endpoint.unix_socket == NULL)
            roan_hiredis_fail(context, REDIS_ERR_OTHER, "No path to connect to");
        else if (!copy_text(&context->unix_sock.path, options->endpoint.unix_socket))
            fail_memory(context);
        else
            open_connection(context);
        break;
    case REDIS_CONN_USERFD:
        if (take_fd(context, options->endpoint.fd) == REDIS_OK && context->command_timeout != NULL &&
            (context->flags & REDIS_BLOCK))
            roan_hiredis_apply_timeout(context);
        break;
    default: roan_hiredis_fail(context, REDIS_ERR_OTHER, "Unknown type of connection"); break;
    }
}

redisContext *redisConnectWithOptions(const redisOptions *options)
{
    redisContext *context = roan_hiredis_context_create(sizeof *context, options);

    if (context != NULL)
        roan_hiredis_context_connect(context, options);
    return context;
}

int redisReconnect(redisContext *context)
{
    char *output;

    context->err = 0;
    context->errstr[0] = '\0';
    if (context->privctx != NULL) {
        free_privctx(context);
        if (context->funcs->close != NULL)
            context->funcs->close(context);
        context->funcs = &socket_functions; /* what replaced them worked on privctx */
    }
    roan_hiredis_close(context);
    context->flags &= ~REDIS_CONNECTED;
    output = sdsempty();
    if (output == NULL || roan_hiredis_reader_reset(context->reader) != REDIS_OK) {
        sdsfree(output);
        return fail_memory(context);
    }
    sdsfree(context->obuf);
    context->obuf = output;
    if ((context->connection_type == REDIS_CONN_TCP && context->tcp.host != NULL) ||
        (context->connection_type == REDIS_CONN_UNIX && context->unix_sock.path != NULL))
        return open_connection(context);
    return roan_hiredis_fail(context, REDIS_ERR_OTHER, "Not enough information to reconnect");
}

/* ---- the short forms --------------------------------------------------------------------------------------------- */

static redisContext *connect_tcp(const char *ip, int port, const char *source_addr, const struct timeval *timeout,
                                 int options_bits)
{
    redisOptions options = {.type = REDIS_CONN_TCP, .options = options_bits, .connect_timeout = timeout};

    options.endpoint.tcp.ip = ip;
    options.endpoint.tcp.port = port;
    options.endpoint.tcp.source_addr = source_addr;
    return redisConnectWithOptions(&options);
}

static redisContext *connect_unix(const char *path, const struct timeval *timeout, int options_bits)
{
    redisOptions options = {.type = REDIS_CONN_UNIX, .options = options_bits, .connect_timeout = timeout};

    options.endpoint.unix_socket = path;
    return redisConnectWithOptions(&options);
}

redisContext *redisConnect(const char *ip, int port)
{
    return connect_tcp(ip, port, NULL, NULL, 0);
}

redisContext *redisConnectWithTimeout(const char *ip, int port, const struct timeval timeout)
{
    return connect_tcp(ip, port, NULL, &timeout, 0);
}

redisContext *redisConnectNonBlock(const char *ip, int port)
{
    return connect_tcp(ip, port, NULL, NULL, REDIS_OPT_NONBLOCK);
}

redisContext *redisConnectBindNonBlock(const char *ip, int port, const char *source_addr)
{
    return connect_tcp(ip, port, source_addr, NULL, REDIS_OPT_NONBLOCK);
}

redisContext *redisConnectBindNonBlockWithReuse(const char *ip, int port, const char *source_addr)
{
    return connect_tcp(ip, port, source_addr, NULL, REDIS_OPT_NONBLOCK | REDIS_OPT_REUSEADDR);
}

redisContext *redisConnectUnix(const char *path)
{
    return connect_unix(path, NULL, 0);
}

redisContext *redisConnectUnixWithTimeout(const char *path, const struct timeval timeout)
{
    return connect_unix(path, &timeout, 0);
}

redisContext *redisConnectUnixNonBlock(const char *path)
{
    return connect_unix(path, NULL, REDIS_OPT_NONBLOCK);
}

redisContext *redisConnectFd(redisFD fd)
{
    redisOptions options = {.type = REDIS_CONN_USERFD};

    options.endpoint.fd = fd;
    return redisConnectWithOptions(&options);
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

redisPushFn *redisSetPushCallback(redisContext *context, redisPushFn *function)
{
    redisPushFn *before = context->push_cb;

    context->push_cb = function;
    return before;
}

int redisSetTimeout(redisContext *context, const struct timeval timeout)
{
    if (!(context->flags & REDIS_BLOCK))
        return REDIS_ERR;
    if (roan_hiredis_copy_timeout(&context->command_timeout, &timeout) != REDIS_OK)
        return fail_memory(context);
    return roan_hiredis_apply_timeout(context);
}

int redisEnableKeepAlive(redisContext *context)
{
    return redisEnableKeepAliveWithInterval(context, REDIS_KEEPALIVE_INTERVAL);
}
