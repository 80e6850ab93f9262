/* cli/connection.c: one blocking conversation over a socket that itself never blocks.
 *
 *   queue() --> out buffer --flush()--> socket --receive()--> reply reader --> value
 *
 * The socket is non-blocking and every wait is a poll with a limit, so connecting can be given up,
 * a Ctrl-C is noticed, and a server that answers before it has read everything cannot lock both
 * sides.
 */
#include "cli/connection.h"

#include "cli/interrupt.h"
#include "cli/text.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES 65536

int64_t roan_cli_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t roan_cli_now_ms(void)
{
    return roan_cli_now_us() / 1000;
}

/* Waits for `events`; ROAN_E_TIMEOUT at `deadline_ms` (-1: none), EINTR only for Ctrl-C. */
static roan_status wait_for(const roan_cli_connection *connection, int fd, short events,
                            int64_t deadline_ms, roan_error *reterr)
{
    for (;;) {
        struct pollfd entry = {.fd = fd, .events = events};
        int64_t left = deadline_ms < 0 ? -1 : deadline_ms - roan_cli_now_ms();
        int ready;
        if (connection->is_interruptible && roan_cli_interrupt_is_set())
            return roan_error_set_errno(reterr, EINTR, "interrupted");
        if (deadline_ms >= 0 && left <= 0)
            return roan_error_set(reterr, ROAN_E_TIMEOUT, "Connection timed out");
        ready = roan_cli_interrupt_poll(&entry, 1, left > 1000000 ? 1000000 : (int)left);
        if (ready > 0)
            return ROAN_OK;
        if (ready < 0 && errno != EINTR)
            return roan_error_set_errno(reterr, errno, "poll");
    }
}

static int64_t deadline_after(int64_t timeout_ms)
{
    return timeout_ms < 0 ? -1 : roan_cli_now_ms() + timeout_ms;
}

/* The system's words alone. */
static roan_status set_system_error(roan_error *reterr, int os_errno)
{
    roan_error_set(reterr, ROAN_E_SYSTEM, "%s", strerror(os_errno));
    if (reterr != NULL)
        reterr->os_errno = os_errno;
    return ROAN_E_SYSTEM;
}

/* Starts a connection to one address and waits for its result. On success *ret_fd is the socket. */
static roan_status connect_address(const roan_cli_connection *connection, int family,
                                   const struct sockaddr *address, socklen_t bytes,
                                   int64_t deadline_ms, int *ret_fd, roan_error *reterr)
{
    int fd = socket(family, SOCK_STREAM, 0);
    int result = 0;
    socklen_t result_bytes = sizeof result;
    roan_status status = ROAN_OK;

    if (fd < 0)
        return set_system_error(reterr, errno);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (connect(fd, address, bytes) != 0) {
        result = errno;
        if (result == EINPROGRESS || result == EINTR) {
            status = wait_for(connection, fd, POLLOUT, deadline_ms, reterr);
            result = 0;
            if (status == ROAN_OK)
                getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &result_bytes);
        }
        if (status == ROAN_OK && result != 0)
            status = set_system_error(reterr, result);
    }
    if (status != ROAN_OK) {
        close(fd);
        return status;
    }
    *ret_fd = fd;
    return ROAN_OK;
}

static roan_status connect_unix(const roan_cli_connection *connection,
                                const roan_cli_target *target, int64_t deadline_ms, int *ret_fd,
                                roan_error *reterr)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(target->socket_path) >= sizeof address.sun_path)
        return set_system_error(reterr, ENAMETOOLONG);
    memcpy(address.sun_path, target->socket_path, strlen(target->socket_path));
    return connect_address(connection, AF_UNIX, (const struct sockaddr *)&address, sizeof address,
                           deadline_ms, ret_fd, reterr);
}

/* Tries the addresses of a name in order, those of the preferred family first. */
static roan_status connect_tcp(const roan_cli_connection *connection,
                               const roan_cli_target *target, int64_t deadline_ms, int *ret_fd,
                               roan_error *reterr)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses;
    char port[16];
    int failure;
    roan_status status = ROAN_E_NO_ENTRY;

    snprintf(port, sizeof port, "%d", target->port);
    failure = getaddrinfo(target->host, port, &hints, &addresses);
    if (failure != 0)
        return roan_error_set(reterr, ROAN_E_NO_ENTRY, "%s", gai_strerror(failure));
    for (int round = 0; round < 2 && status != ROAN_OK; round++) {
        for (struct addrinfo *a = addresses; a != NULL && status != ROAN_OK; a = a->ai_next) {
            bool is_preferred = target->address_family == AF_UNSPEC ||
                                a->ai_family == target->address_family;
            if (is_preferred == (round == 0))
                status = connect_address(connection, a->ai_family, a->ai_addr, a->ai_addrlen,
                                         deadline_ms, ret_fd, reterr);
        }
    }
    freeaddrinfo(addresses);
    if (status == ROAN_OK) {
        int on = 1;
        setsockopt(*ret_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(*ret_fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    return status;
}

roan_status roan_cli_connection_open(roan_cli_connection *connection, const roan_cli_target *target,
                                     roan_error *reterr)
{
    int64_t deadline_ms = deadline_after(target->timeout_ms);
    roan_status status;

    roan_cli_connection_close(connection);
    status = target->socket_path != NULL
                 ? connect_unix(connection, target, deadline_ms, &connection->fd, reterr)
                 : connect_tcp(connection, target, deadline_ms, &connection->fd, reterr);
    if (status != ROAN_OK)
        return status;
    connection->reader = roan_reply_reader_create();
    if (connection->reader == NULL) {
        roan_cli_connection_close(connection);
        return roan_error_set(reterr, ROAN_E_NOMEM, "%s", roan_status_text(ROAN_E_NOMEM));
    }
    return ROAN_OK;
}

void roan_cli_connection_close(roan_cli_connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
    connection->reader = roan_reply_reader_free(connection->reader);
    roan_request_buffer_done(&connection->out);
}

void roan_cli_connection_queue(roan_cli_connection *connection, size_t argc, const roan_slice *argv)
{
    if (roan_request_append(&connection->out, argc, argv) != ROAN_OK)
        roan_cli_realloc(NULL, SIZE_MAX / 2); /* ends the program */
}

/* Moves what has arrived into the reader. *ret_bytes 0: nothing is there. */
static roan_status take_in(roan_cli_connection *connection, size_t *ret_bytes, roan_error *reterr)
{
    char buffer[READ_BYTES];
    ssize_t bytes = read(connection->fd, buffer, sizeof buffer);

    *ret_bytes = 0;
    if (bytes == 0)
        return roan_error_set(reterr, ROAN_E_CLOSED, "Server closed the connection");
    if (bytes < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return ROAN_OK;
        return set_system_error(reterr, errno);
    }
    *ret_bytes = (size_t)bytes;
    if (roan_reply_reader_feed(connection->reader, buffer, (size_t)bytes) != ROAN_OK)
        return roan_error_set(reterr, ROAN_E_NOMEM, "no memory for what the server sent");
    return ROAN_OK;
}

roan_status roan_cli_connection_flush(roan_cli_connection *connection, roan_error *reterr)
{
    size_t sent = 0;
    roan_status status = ROAN_OK;

    while (sent < connection->out.bytes && status == ROAN_OK) {
        ssize_t bytes = send(connection->fd, connection->out.data + sent,
                             connection->out.bytes - sent, MSG_NOSIGNAL);
        size_t read_bytes;
        if (bytes >= 0)
            sent += (size_t)bytes;
        else if (errno == EAGAIN)
            status = wait_for(connection, connection->fd, POLLIN | POLLOUT, -1, reterr);
        else if (errno != EINTR)
            status = set_system_error(reterr, errno);
        if (bytes < 0 && status == ROAN_OK)
            status = take_in(connection, &read_bytes, reterr);
    }
    roan_request_buffer_done(&connection->out);
    return status;
}

roan_status roan_cli_connection_poll(roan_cli_connection *connection, roan_value **ret_value,
                                     roan_error *reterr)
{
    roan_status status = roan_reply_reader_next(connection->reader, ret_value, reterr);
    size_t bytes;

    if (status != ROAN_OK || *ret_value != NULL)
        return status;
    status = take_in(connection, &bytes, reterr);
    if (status != ROAN_OK || bytes == 0)
        return status;
    return roan_reply_reader_next(connection->reader, ret_value, reterr);
}

roan_status roan_cli_connection_receive(roan_cli_connection *connection, roan_value **ret_value,
                                        roan_error *reterr)
{
    int64_t deadline_ms = deadline_after(connection->timeout_ms);

    for (;;) {
        roan_status status = roan_cli_connection_poll(connection, ret_value, reterr);
        if (status != ROAN_OK || *ret_value != NULL)
            return status;
        status = wait_for(connection, connection->fd, POLLIN, deadline_ms, reterr);
        if (status != ROAN_OK)
            return status;
    }
}

roan_status roan_cli_connection_read(roan_cli_connection *connection, char *out, size_t out_bytes,
                                     size_t *ret_bytes, roan_error *reterr)
{
    for (;;) {
        ssize_t bytes = read(connection->fd, out, out_bytes);
        roan_status status;
        if (bytes == 0)
            return roan_error_set(reterr, ROAN_E_CLOSED, "Server closed the connection");
        if (bytes > 0) {
            *ret_bytes = (size_t)bytes;
            return ROAN_OK;
        }
        if (errno != EAGAIN && errno != EINTR)
            return set_system_error(reterr, errno);
        status = wait_for(connection, connection->fd, POLLIN, -1, reterr);
        if (status != ROAN_OK)
            return status;
    }
}

bool roan_cli_connection_is_dead(const roan_cli_connection *connection)
{
    char byte;
    ssize_t bytes;

    if (connection->fd < 0)
        return true;
    bytes = recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return bytes == 0 || (bytes < 0 && errno != EAGAIN && errno != EINTR);
}
