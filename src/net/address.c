/* net/address.c: promises listening descriptors that are ready for a loop, and names that are always terminated.
 *
 * Listening is a sequence of system calls, each of which can fail for a reason the operator must read; a failure closes
 * the descriptor and says which step on which address it was.
 *
 * A socket file may be there already. Connecting to it tells whether its server lives: ECONNREFUSED is the one answer
 * that allows removing it. Between that answer and bind(2) another server may take the name; then bind fails, and the
 * other server's file stays.
 */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/macros.h"

typedef union any_address {
    struct sockaddr generic;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un file;
    struct sockaddr_storage storage;
} any_address;

/* --- listening ---------------------------------------------------------------------------------------------------- */

static roan_status set_option(int fd, int level, int option, int value, const char *name, roan_error *reterr)
{
    if (setsockopt(fd, level, option, &value, sizeof value) != 0)
        return roan_error_set_errno(reterr, errno, "set socket option %s to %d", name, value);
    return ROAN_OK;
}

/* Finds the address `host` stands for; the port is not set yet. */
static roan_status resolve_host(const char *host, any_address *ret_address, socklen_t *ret_bytes, roan_error *reterr)
{
    if (strcmp(host, "*") == 0)
        host = "0.0.0.0";
    else if (strcmp(host, "::*") == 0)
        host = "::";

    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    int problem = getaddrinfo(host, NULL, &hints, &found);
    if (problem == EAI_SYSTEM)
        return roan_error_set_errno(reterr, errno, "resolve '%s'", host);
    if (problem != 0) {
        roan_status status = roan_error_set(reterr, ROAN_E_SYSTEM, "resolve '%s': %s", host, gai_strerror(problem));
        if (reterr != NULL)
            reterr->os_errno = EADDRNOTAVAIL;
        return status;
    }
    memcpy(ret_address, found->ai_addr, found->ai_addrlen);
    *ret_bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return ROAN_OK;
}

static roan_status prepare_tcp(int fd, int family, bool shared_port, roan_error *reterr)
{
    roan_status status = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR", reterr);
    if (status == ROAN_OK && family == AF_INET6)
        status = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY", reterr);
    if (status == ROAN_OK && shared_port)
        status = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT", reterr);
    return status;
}

static roan_status bind_tcp(int fd, const char *host, int port, int backlog, const any_address *address,
                            socklen_t bytes, roan_error *reterr)
{
    if (bind(fd, &address->generic, bytes) != 0)
        return roan_error_set_errno(reterr, errno, "bind '%s' port %d", host, port);
    if (listen(fd, backlog) != 0)
        return roan_error_set_errno(reterr, errno, "listen on '%s' port %d", host, port);
    return ROAN_OK;
}

roan_status roan_net_listen_tcp(const char *host, int port, int backlog, bool shared_port, int *ret_fd,
                                roan_error *reterr)
{
    if (port < 0 || port > 65535)
        return roan_error_set(reterr, ROAN_E_INVALID, "port %d is not between 0 and 65535", port);
    any_address address;
    socklen_t bytes = 0;
    roan_status status = resolve_host(host, &address, &bytes, reterr);
    if (status != ROAN_OK)
        return status;
    if (address.generic.sa_family == AF_INET6)
        address.v6.sin6_port = htons((uint16_t)port);
    else
        address.v4.sin_port = htons((uint16_t)port);

    int fd = socket(address.generic.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return roan_error_set_errno(reterr, errno, "create a socket for '%s'", host);
    status = prepare_tcp(fd, address.generic.sa_family, shared_port, reterr);
    if (status == ROAN_OK)
        status = bind_tcp(fd, host, port, backlog, &address, bytes, reterr);
    if (status != ROAN_OK) {
        close(fd);
        return status;
    }
    *ret_fd = fd;
    return ROAN_OK;
}

/* Removes the socket file of a server that is gone. Anything else in the way is for bind(2) to complain about. */
static void remove_stale_file(const struct sockaddr_un *address)
{
    struct stat info;
    if (lstat(address->sun_path, &info) != 0 || !S_ISSOCK(info.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED)
        ROAN_IGNORE(unlink(address->sun_path)); /* bind(2) reports what is still there */
    close(fd);
}

static roan_status bind_unix(int fd, const struct sockaddr_un *address, unsigned permissions, int backlog,
                             roan_error *reterr)
{
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) != 0)
        return roan_error_set_errno(reterr, errno, "bind '%s'", address->sun_path);
    int problem = 0;
    if (permissions != 0 && chmod(address->sun_path, permissions) != 0)
        problem = errno;
    else if (listen(fd, backlog) != 0)
        problem = errno;
    if (problem == 0)
        return ROAN_OK;
    ROAN_IGNORE(unlink(address->sun_path)); /* ours since bind; the first failure is the one to report */
    return roan_error_set_errno(reterr, problem, "listen on '%s'", address->sun_path);
}

roan_status roan_net_listen_unix(const char *path, unsigned permissions, int backlog, int *ret_fd, roan_error *reterr)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path)
        return roan_error_set(reterr, ROAN_E_INVALID, "socket file '%s': its name must have 1 to %zu bytes", path,
                              sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, length + 1);

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return roan_error_set_errno(reterr, errno, "create a socket for '%s'", path);
    remove_stale_file(&address);
    roan_status status = bind_unix(fd, &address, permissions, backlog, reterr);
    if (status != ROAN_OK) {
        close(fd);
        return status;
    }
    *ret_fd = fd;
    return ROAN_OK;
}

/* --- names -------------------------------------------------------------------------------------------------------- */

int roan_net_local_port(int fd)
{
    any_address address;
    socklen_t bytes = sizeof address;
    if (getsockname(fd, &address.generic, &bytes) != 0)
        return -1;
    if (address.generic.sa_family == AF_INET)
        return ntohs(address.v4.sin_port);
    if (address.generic.sa_family == AF_INET6)
        return ntohs(address.v6.sin6_port);
    return -1;
}

/* The length of what snprintf() wrote, not of what it wanted to write. */
static size_t written(int wanted, size_t size)
{
    if (wanted < 0 || size == 0)
        return 0;
    return ROAN_MIN((size_t)wanted, size - 1);
}

static size_t format_unknown(char *buffer, size_t size)
{
    return written(snprintf(buffer, size, "?:0"), size);
}

/* `bytes` is how much of the path the kernel filled in; a path of 108 bytes has no NUL. */
static size_t format_file(const struct sockaddr_un *address, socklen_t bytes, char *buffer, size_t size)
{
    size_t path_bytes = 0;
    if (bytes > offsetof(struct sockaddr_un, sun_path))
        path_bytes = strnlen(address->sun_path, bytes - offsetof(struct sockaddr_un, sun_path));
    return written(snprintf(buffer, size, "%.*s:0", (int)path_bytes, address->sun_path), size);
}

static size_t format_internet(const any_address *address, char *buffer, size_t size)
{
    char text[INET6_ADDRSTRLEN];
    if (address->generic.sa_family == AF_INET) {
        if (inet_ntop(AF_INET, &address->v4.sin_addr, text, sizeof text) == NULL)
            return format_unknown(buffer, size);
        return written(snprintf(buffer, size, "%s:%u", text, (unsigned)ntohs(address->v4.sin_port)), size);
    }
    if (inet_ntop(AF_INET6, &address->v6.sin6_addr, text, sizeof text) == NULL)
        return format_unknown(buffer, size);
    return written(snprintf(buffer, size, "[%s]:%u", text, (unsigned)ntohs(address->v6.sin6_port)), size);
}

static size_t format_name(const any_address *address, socklen_t bytes, char *buffer, size_t size)
{
    switch (address->generic.sa_family) {
    case AF_UNIX:
        return format_file(&address->file, bytes, buffer, size);
    case AF_INET:
    case AF_INET6:
        return format_internet(address, buffer, size);
    default:
        return format_unknown(buffer, size);
    }
}

size_t roan_net_local_name(int fd, char *buffer, size_t size)
{
    any_address address = {0};
    socklen_t bytes = sizeof address;
    if (getsockname(fd, &address.generic, &bytes) != 0)
        return format_unknown(buffer, size);
    return format_name(&address, bytes, buffer, size);
}

size_t roan_net_peer_name(int fd, char *buffer, size_t size)
{
    any_address address = {0};
    socklen_t bytes = sizeof address;
    if (getpeername(fd, &address.generic, &bytes) != 0)
        return format_unknown(buffer, size);
    if (address.generic.sa_family == AF_UNIX)
        return roan_net_local_name(fd, buffer, size);
    return format_name(&address, bytes, buffer, size);
}

/* --- options ------------------------------------------------------------------------------------------------------ */

roan_status roan_net_set_keepalive(int fd, int seconds, roan_error *reterr)
{
    enum { PROBES = 3 };
    if (seconds <= 0)
        return set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 0, "SO_KEEPALIVE", reterr);
    int interval = ROAN_MAX(seconds / PROBES, 1);
    roan_status status = set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE", reterr);
    if (status == ROAN_OK)
        status = set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds, "TCP_KEEPIDLE", reterr);
    if (status == ROAN_OK)
        status = set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval, "TCP_KEEPINTVL", reterr);
    if (status == ROAN_OK)
        status = set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES, "TCP_KEEPCNT", reterr);
    return status;
}

roan_status roan_net_set_nodelay(int fd, roan_error *reterr)
{
    int one = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 && errno != EOPNOTSUPP)
        return roan_error_set_errno(reterr, errno, "set socket option TCP_NODELAY");
    return ROAN_OK;
}
