/* hiredis/socket.c: sockets of a context: opened within a time, set up, read and written.
 *
 * Every address of a name is tried in turn; connect_timeout covers all of them together, name resolution excepted. The
 * error that stays is that of the last address. A non-blocking context takes the first address where connecting could
 * begin. TCP sockets are connected non-blocking and made blocking afterwards; Unix sockets, which cannot be polled
 * while they connect, are bounded with SO_SNDTIMEO.
 *
 * Sending never raises SIGPIPE.
 */
#include "hiredis/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define KEEPALIVE_PROBES 3
#define PORT_BYTES_MAX   12
#define PORT_MAX         65535
#define USEC_MAX         1000000
#define SEC_MAX          ((LONG_MAX - 999) / 1000)

/* ---- small things ------------------------------------------------------------------------------------------------ */

void roan_hiredis_close(redisContext *context)
{
    if (context->fd != REDIS_INVALID_FD) {
        close(context->fd);
        context->fd = REDIS_INVALID_FD;
    }
}

/* The errno of a failed call, then closed; always REDIS_ERR. */
static int fail_and_close(redisContext *context, const char *prefix)
{
    if (prefix != NULL)
        roan_hiredis_fail_call(context, prefix);
    else
        roan_hiredis_fail(context, REDIS_ERR_IO, NULL);
    roan_hiredis_close(context);
    return REDIS_ERR;
}

static int fail_with_text(redisContext *context, const char *prefix, const char *text)
{
    char whole[sizeof context->errstr];

    snprintf(whole, sizeof whole, "%s: %s", prefix, text);
    roan_hiredis_fail(context, REDIS_ERR_OTHER, whole);
    roan_hiredis_close(context);
    return REDIS_ERR;
}

static int set_blocking(redisContext *context, bool is_blocking)
{
    int flags = fcntl(context->fd, F_GETFL);

    if (flags < 0)
        return fail_and_close(context, "fcntl(F_GETFL)");
    flags = is_blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
    return fcntl(context->fd, F_SETFL, flags) < 0 ? fail_and_close(context, "fcntl(F_SETFL)") : REDIS_OK;
}

static int set_number(redisContext *context, int level, int option, int value)
{
    return setsockopt(context->fd, level, option, &value, sizeof value);
}

static int open_socket(redisContext *context, int family, int protocol)
{
    int type = SOCK_STREAM | (context->flags & ROAN_HIREDIS_CLOEXEC ? SOCK_CLOEXEC : 0);

    context->fd = socket(family, type, protocol);
    return context->fd == REDIS_INVALID_FD ? roan_hiredis_fail(context, REDIS_ERR_IO, NULL) : REDIS_OK;
}

static int keep_address(redisContext *context, const struct sockaddr *address, size_t bytes)
{
    struct sockaddr *copy = hi_malloc(bytes);

    if (copy == NULL) {
        roan_hiredis_close(context);
        return roan_hiredis_fail(context, REDIS_ERR_OOM, "Out of memory");
    }
    memcpy(copy, address, bytes);
    hi_free(context->saddr);
    context->saddr = copy;
    context->addrlen = bytes;
    return REDIS_OK;
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The moment connect_timeout runs out; LLONG_MAX: never. */
static int connect_deadline(redisContext *context, long long *ret_ms)
{
    const struct timeval *timeout = context->connect_timeout;

    *ret_ms = LLONG_MAX;
    if (timeout == NULL)
        return REDIS_OK;
    if (timeout->tv_usec > USEC_MAX || timeout->tv_usec < 0 || timeout->tv_sec < 0 || timeout->tv_sec > SEC_MAX)
        return roan_hiredis_fail(context, REDIS_ERR_IO, "Invalid timeout specified");
    if (timeout->tv_sec < SEC_MAX / 2)
        *ret_ms = now_ms() + (long long)timeout->tv_sec * 1000 + (timeout->tv_usec + 999) / 1000;
    return REDIS_OK;
}

/* Until the socket can be written or the deadline passes. */
static int wait_writable(redisContext *context, long long deadline_ms)
{
    struct pollfd entry = {.fd = context->fd, .events = POLLOUT};

    for (;;) {
        long long left = deadline_ms == LLONG_MAX ? -1 : deadline_ms - now_ms();
        int count;
        if (deadline_ms != LLONG_MAX && left < 0)
            left = 0;
        count = poll(&entry, 1, left > INT_MAX ? INT_MAX : (int)left);
        if (count > 0)
            return REDIS_OK;
        if (count < 0 && errno != EINTR)
            return fail_and_close(context, "poll(2)");
        if (count == 0 && left <= INT_MAX) {
            errno = ETIMEDOUT;
            return fail_and_close(context, NULL);
        }
    }
}

static int check_socket_error(redisContext *context)
{
    int error = 0;
    socklen_t bytes = sizeof error;

    if (getsockopt(context->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
        return roan_hiredis_fail_call(context, "getsockopt(SO_ERROR)");
    if (error == 0)
        return REDIS_OK;
    errno = error;
    return roan_hiredis_fail(context, REDIS_ERR_IO, NULL);
}

int roan_hiredis_connect_check(redisContext *context, bool *ret_is_done)
{
    struct pollfd entry = {.fd = context->fd, .events = POLLOUT};

    *ret_is_done = false;
    if (poll(&entry, 1, 0) <= 0)
        return REDIS_OK;
    if (check_socket_error(context) != REDIS_OK)
        return REDIS_ERR;
    *ret_is_done = true;
    return REDIS_OK;
}

/* ---- TCP --------------------------------------------------------------------------------------------------------- */

/* Binds to source_addr. */
static int bind_source(redisContext *context, int family)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    bool is_bound = false;
    int result;

    if ((context->flags & REDIS_REUSEADDR) && set_number(context, SOL_SOCKET, SO_REUSEADDR, 1) < 0)
        return fail_and_close(context, "setsockopt(SO_REUSEADDR)");
    result = getaddrinfo(context->tcp.source_addr, NULL, &hints, &found);
    if (result != 0)
        return fail_with_text(context, "Can't get addr", gai_strerror(result));
    for (struct addrinfo *at = found; at != NULL && !is_bound; at = at->ai_next)
        is_bound = bind(context->fd, at->ai_addr, at->ai_addrlen) == 0;
    if (!is_bound) {
        char buffer[sizeof context->errstr];
        fail_with_text(context, "Can't bind socket", strerror_r(errno, buffer, sizeof buffer));
    }
    freeaddrinfo(found);
    return is_bound ? REDIS_OK : REDIS_ERR;
}

/* A socket for the address, non-blocking, bound if asked for. */
static int prepare_tcp(redisContext *context, const struct addrinfo *address)
{
    if (open_socket(context, address->ai_family, address->ai_protocol) != REDIS_OK ||
        set_blocking(context, false) != REDIS_OK)
        return REDIS_ERR;
    if (context->tcp.source_addr != NULL && bind_source(context, address->ai_family) != REDIS_OK)
        return REDIS_ERR;
    return keep_address(context, address->ai_addr, address->ai_addrlen);
}

static int finish_tcp(redisContext *context)
{
    if ((context->flags & REDIS_BLOCK) && set_blocking(context, true) != REDIS_OK)
        return REDIS_ERR;
    if (set_number(context, IPPROTO_TCP, TCP_NODELAY, 1) < 0)
        return fail_and_close(context, "setsockopt(TCP_NODELAY)");
    /* hiredis sets it when connecting has only begun, too; async.c knows better. */
    context->flags |= REDIS_CONNECTED;
    return REDIS_OK;
}

static int try_address(redisContext *context, const struct addrinfo *address, long long deadline_ms)
{
    for (int attempt = 0;; attempt++) {
        if (prepare_tcp(context, address) != REDIS_OK)
            return REDIS_ERR;
        if (connect(context->fd, address->ai_addr, address->ai_addrlen) == 0)
            return finish_tcp(context);
        if (errno == EINPROGRESS)
            break;
        if (errno != EADDRNOTAVAIL || !(context->flags & REDIS_REUSEADDR) || attempt == REDIS_CONNECT_RETRIES)
            return fail_and_close(context, NULL);
        roan_hiredis_close(context);
    }
    if (!(context->flags & REDIS_BLOCK))
        return finish_tcp(context);
    if (wait_writable(context, deadline_ms) != REDIS_OK)
        return REDIS_ERR;
    if (check_socket_error(context) != REDIS_OK) {
        int os_errno = errno;
        roan_hiredis_close(context);
        errno = os_errno;
        return REDIS_ERR;
    }
    return finish_tcp(context);
}

/* The addresses of the host: of the family that is preferred, or if there are none, of the other. */
static int resolve(redisContext *context, struct addrinfo **ret_found)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    char port[PORT_BYTES_MAX];
    int result;

    if (context->tcp.port < 0 || context->tcp.port > PORT_MAX) /* getaddrinfo() would take it modulo 65536 */
        return roan_hiredis_fail(context, REDIS_ERR_OTHER, "Port out of range");
    snprintf(port, sizeof port, "%d", context->tcp.port);
    if ((context->flags & REDIS_PREFER_IPV6) && (context->flags & REDIS_PREFER_IPV4))
        hints.ai_family = AF_UNSPEC;
    else if (context->flags & REDIS_PREFER_IPV6)
        hints.ai_family = AF_INET6;
    result = getaddrinfo(context->tcp.host, port, &hints, ret_found);
    if (result != 0 && hints.ai_family != AF_UNSPEC) {
        int first = result;
        hints.ai_family = hints.ai_family == AF_INET ? AF_INET6 : AF_INET;
        result = getaddrinfo(context->tcp.host, port, &hints, ret_found);
        if (result == EAI_ADDRFAMILY || result == EAI_NODATA)
            result = first;
    }
    return result == 0 ? REDIS_OK : roan_hiredis_fail(context, REDIS_ERR_OTHER, gai_strerror(result));
}

int roan_hiredis_connect_tcp(redisContext *context)
{
    struct addrinfo *found;
    long long deadline_ms;
    int result = REDIS_ERR;

    if (connect_deadline(context, &deadline_ms) != REDIS_OK || resolve(context, &found) != REDIS_OK)
        return REDIS_ERR;
    for (struct addrinfo *at = found; at != NULL && result != REDIS_OK; at = at->ai_next) {
        context->err = 0;
        context->errstr[0] = '\0';
        result = try_address(context, at, deadline_ms);
        if (result != REDIS_OK && deadline_ms <= now_ms())
            break;
    }
    freeaddrinfo(found);
    return result;
}

/* ---- Unix -------------------------------------------------------------------------------------------------------- */

/* Bounds a blocking connect(); NULL lifts the bound. */
static int bound_connect(redisContext *context, const struct timeval *timeout)
{
    struct timeval none = {0};

    if (timeout == NULL)
        timeout = &none;
    return setsockopt(context->fd, SOL_SOCKET, SO_SNDTIMEO, timeout, sizeof *timeout) < 0
               ? fail_and_close(context, "setsockopt(SO_SNDTIMEO)")
               : REDIS_OK;
}

static int connect_unix_socket(redisContext *context, const struct sockaddr_un *address)
{
    bool is_blocking = context->flags & REDIS_BLOCK;
    int result;

    if (is_blocking && context->connect_timeout != NULL && bound_connect(context, context->connect_timeout) != REDIS_OK)
        return REDIS_ERR;
    if (!is_blocking && set_blocking(context, false) != REDIS_OK)
        return REDIS_ERR;
    do
        result = connect(context->fd, (const struct sockaddr *)address, sizeof *address);
    while (result < 0 && errno == EINTR && is_blocking);
    if (result < 0 && !(errno == EINPROGRESS && !is_blocking)) {
        if (errno == EAGAIN && is_blocking)
            errno = ETIMEDOUT;
        return fail_and_close(context, NULL);
    }
    if (is_blocking && context->connect_timeout != NULL && bound_connect(context, NULL) != REDIS_OK)
        return REDIS_ERR;
    context->flags |= REDIS_CONNECTED;
    return REDIS_OK;
}

int roan_hiredis_connect_unix(redisContext *context)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t bytes = strlen(context->unix_sock.path);
    long long deadline_ms;

    if (connect_deadline(context, &deadline_ms) != REDIS_OK)
        return REDIS_ERR;
    if (bytes >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return roan_hiredis_fail(context, REDIS_ERR_IO, NULL);
    }
    memcpy(address.sun_path, context->unix_sock.path, bytes);
    if (open_socket(context, AF_UNIX, 0) != REDIS_OK ||
        keep_address(context, (struct sockaddr *)&address, sizeof address) != REDIS_OK)
        return REDIS_ERR;
    return connect_unix_socket(context, &address);
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

int roan_hiredis_apply_timeout(redisContext *context)
{
    struct timeval none = {0};
    const struct timeval *timeout = context->command_timeout != NULL ? context->command_timeout : &none;

    if (setsockopt(context->fd, SOL_SOCKET, SO_RCVTIMEO, timeout, sizeof *timeout) < 0)
        return roan_hiredis_fail_call(context, "setsockopt(SO_RCVTIMEO)");
    if (setsockopt(context->fd, SOL_SOCKET, SO_SNDTIMEO, timeout, sizeof *timeout) < 0)
        return roan_hiredis_fail_call(context, "setsockopt(SO_SNDTIMEO)");
    return REDIS_OK;
}

int redisEnableKeepAliveWithInterval(redisContext *context, int interval_seconds)
{
    int between = interval_seconds / 3 > 0 ? interval_seconds / 3 : 1;

    if (context->connection_type == REDIS_CONN_UNIX)
        return REDIS_ERR; /* there is no such thing; the connection stays as it is */
    if (set_number(context, SOL_SOCKET, SO_KEEPALIVE, 1) < 0)
        return fail_and_close(context, "setsockopt(SO_KEEPALIVE)");
    if (set_number(context, IPPROTO_TCP, TCP_KEEPIDLE, interval_seconds) < 0)
        return fail_and_close(context, "setsockopt(TCP_KEEPIDLE)");
    if (set_number(context, IPPROTO_TCP, TCP_KEEPINTVL, between) < 0)
        return fail_and_close(context, "setsockopt(TCP_KEEPINTVL)");
    if (set_number(context, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES) < 0)
        return fail_and_close(context, "setsockopt(TCP_KEEPCNT)");
    return REDIS_OK;
}

int redisSetTcpUserTimeout(redisContext *context, unsigned timeout_ms)
{
    if (setsockopt(context->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms) < 0)
        return fail_and_close(context, "setsockopt(TCP_USER_TIMEOUT)");
    return REDIS_OK;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static bool is_nothing_yet(const redisContext *context)
{
    return (errno == EAGAIN || errno == EWOULDBLOCK) && !(context->flags & REDIS_BLOCK);
}

ssize_t roan_hiredis_receive(redisContext *context, char *bytes, size_t count)
{
    ssize_t received = recv(context->fd, bytes, count, 0);

    if (received > 0)
        return received;
    if (received == 0)
        return roan_hiredis_fail(context, REDIS_ERR_EOF, "Server closed the connection");
    if (errno == EINTR || is_nothing_yet(context))
        return 0;
    if (errno == ETIMEDOUT && (context->flags & REDIS_BLOCK))
        return roan_hiredis_fail(context, REDIS_ERR_TIMEOUT, "recv timeout");
    return roan_hiredis_fail(context, REDIS_ERR_IO, NULL);
}

/* As much of obuf as the socket takes, in as many calls as that needs: obuf is cut once afterwards. */
ssize_t roan_hiredis_send(redisContext *context)
{
    size_t total = sdslen(context->obuf);
    size_t sent = 0;

    while (sent < total) {
        ssize_t count = send(context->fd, context->obuf + sent, total - sent, MSG_NOSIGNAL);
        if (count > 0)
            sent += (size_t)count;
        else if (count < 0 && errno != EINTR)
            break;
    }
    if (sent > 0 || total == 0 || is_nothing_yet(context))
        return (ssize_t)sent;
    return roan_hiredis_fail(context, REDIS_ERR_IO, NULL);
}
