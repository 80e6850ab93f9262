/* cli/bench_connect.c: finding the server before the load starts, and opening connections to it.
 *
 * Everything that can be wrong with the address, the password or the database is found once, on one
 * blocking connection, so that it is reported once and in the server's words. The workers then open
 * their connections to the address that answered, without blocking.
 *
 * Failure modes: no address, nobody listening, the server closes or answers with an error. Each
 * ends with a status and a text; nothing here prints. */
#include "cli/bench_connect.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define REPLY_CHUNK_BYTES 4096

static roan_status greet(roan_bench_greeting *greeting, size_t count, const char *const *words)
{
    roan_slice list[4];

    for (size_t i = 0; i < count; i++)
        list[i] = roan_slice_from_text(words[i]);
    greeting->replies++;
    return roan_request_append(&greeting->bytes, count, list);
}

roan_status roan_bench_greeting_build(const roan_bench_options *options,
                                      roan_bench_greeting *greeting)
{
    roan_status status = ROAN_OK;
    char database[24];

    *greeting = (roan_bench_greeting){0};
    if (options->password != NULL && options->user != NULL)
        status = greet(greeting, 3, (const char *[]){"AUTH", options->user, options->password});
    else if (options->password != NULL)
        status = greet(greeting, 2, (const char *[]){"AUTH", options->password});
    if (status == ROAN_OK && options->is_resp3)
        status = greet(greeting, 2, (const char *[]){"HELLO", "3"});
    if (status == ROAN_OK && options->database != 0) {
        snprintf(database, sizeof database, "%ld", options->database);
        status = greet(greeting, 2, (const char *[]){"SELECT", database});
    }
    if (status == ROAN_OK && options->is_tracking)
        status = greet(greeting, 3, (const char *[]){"CLIENT", "TRACKING", "ON"});
    return status;
}

void roan_bench_greeting_done(roan_bench_greeting *greeting)
{
    roan_request_buffer_done(&greeting->bytes);
}

/* One blocking connection with a reader behind it. */
typedef struct probe_link {
    int fd;
    roan_reply_reader *reader;
    const char *name;
} probe_link;

static roan_status probe_send(const probe_link *probe, roan_slice bytes, roan_error *reterr)
{
    while (bytes.bytes > 0) {
        ssize_t sent = send(probe->fd, bytes.data, bytes.bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return roan_error_set_errno(reterr, errno, "Writing to %s", probe->name);
        if (sent > 0)
            bytes = roan_slice_make(bytes.data + sent, bytes.bytes - (size_t)sent);
    }
    return ROAN_OK;
}

/* Waits for one reply; the caller frees *ret_value. */
static roan_status probe_receive(const probe_link *probe, roan_value **ret_value,
                                 roan_error *reterr)
{
    for (;;) {
        char chunk[REPLY_CHUNK_BYTES];
        ssize_t got;
        roan_status status = roan_reply_reader_next(probe->reader, ret_value, reterr);
        if (status != ROAN_OK || *ret_value != NULL)
            return status;
        got = recv(probe->fd, chunk, sizeof chunk, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return roan_error_set_errno(reterr, errno, "Reading from %s", probe->name);
        if (got == 0)
            return roan_error_set(reterr, ROAN_E_CLOSED, "Server closed the connection");
        status = roan_reply_reader_feed(probe->reader, chunk, (size_t)got);
        if (status != ROAN_OK)
            return roan_error_set(reterr, status, "out of memory");
    }
}

static roan_status probe_greet(const probe_link *probe, const roan_bench_greeting *greeting,
                               roan_error *reterr)
{
    roan_status status =
        probe_send(probe, roan_slice_make(greeting->bytes.data, greeting->bytes.bytes), reterr);

    for (unsigned i = 0; status == ROAN_OK && i < greeting->replies; i++) {
        roan_value *reply = NULL;
        status = probe_receive(probe, &reply, reterr);
        if (status == ROAN_OK && reply->type == ROAN_REPLY_ERROR)
            status = roan_error_set(reterr, ROAN_E_PROTOCOL, "Error from server: %.*s",
                                    ROAN_SLICE_ARG(reply->text));
        roan_value_free(reply);
    }
    return status;
}

/* CONFIG GET of one setting into `target`; false when the server has no such thing to say. */
static bool probe_setting(const probe_link *probe, const char *setting, char *target,
                          size_t capacity)
{
    roan_request_buffer request = {0};
    roan_value *reply = NULL;
    const roan_slice words[] = {ROAN_LITERAL("CONFIG"), ROAN_LITERAL("GET"),
                                roan_slice_from_text(setting)};
    bool is_known = roan_request_append(&request, 3, words) == ROAN_OK &&
                    probe_send(probe, roan_slice_make(request.data, request.bytes), NULL) ==
                        ROAN_OK &&
                    probe_receive(probe, &reply, NULL) == ROAN_OK;

    is_known = is_known &&
               ((reply->type == ROAN_REPLY_ARRAY && reply->count == 2) ||
                (reply->type == ROAN_REPLY_MAP && reply->count == 1)) &&
               reply->elements[1].type == ROAN_REPLY_BULK;
    if (is_known)
        snprintf(target, capacity, "%.*s", ROAN_SLICE_ARG(reply->elements[1].text));
    roan_value_free(reply);
    roan_request_buffer_done(&request);
    return is_known;
}

static roan_status probe_server(int fd, const roan_bench_greeting *greeting, const char *name,
                                roan_bench_server_facts *ret_facts, roan_error *reterr)
{
    probe_link probe = {.fd = fd, .reader = roan_reply_reader_create(), .name = name};
    roan_status status;

    if (probe.reader == NULL)
        return roan_error_set(reterr, ROAN_E_NOMEM, "out of memory");
    status = probe_greet(&probe, greeting, reterr);
    if (status == ROAN_OK && ret_facts != NULL)
        ret_facts->is_known =
            probe_setting(&probe, "save", ret_facts->save, sizeof ret_facts->save) &&
            probe_setting(&probe, "appendonly", ret_facts->append_only,
                          sizeof ret_facts->append_only);
    roan_reply_reader_free(probe.reader);
    return status;
}

/* A blocking connection to the endpoint, or -1 with errno. */
static int connect_blocking(const roan_bench_endpoint *endpoint)
{
    int fd = socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&endpoint->address,
                           endpoint->address_bytes) != 0) {
        int os_errno = errno;
        close(fd);
        errno = os_errno;
        fd = -1;
    }
    return fd;
}

static roan_status connect_path(const char *path, roan_bench_endpoint *endpoint, int *ret_fd,
                                roan_error *reterr)
{
    struct sockaddr_un *address = (struct sockaddr_un *)&endpoint->address;

    snprintf(endpoint->name, sizeof endpoint->name, "%s", path);
    if (strlen(path) >= sizeof address->sun_path)
        return roan_error_set(reterr, ROAN_E_INVALID, "-s: the path '%s' is too long", path);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, strlen(path) + 1);
    endpoint->address_bytes = sizeof *address;
    *ret_fd = connect_blocking(endpoint);
    if (*ret_fd < 0)
        return roan_error_set_errno(reterr, errno, "Could not connect to server at %s", path);
    return ROAN_OK;
}

/* Tries all addresses of the host in the resolver's order. */
static roan_status connect_host(const char *host, long port, roan_bench_endpoint *endpoint,
                                int *ret_fd, roan_error *reterr)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses;
    char service[16];
    int failure;

    snprintf(service, sizeof service, "%ld", port);
    snprintf(endpoint->name, sizeof endpoint->name, "%s:%ld", host, port);
    failure = getaddrinfo(host, service, &hints, &addresses);
    if (failure != 0)
        return roan_error_set(reterr, ROAN_E_SYSTEM, "Could not connect to server at %s: %s",
                              endpoint->name, gai_strerror(failure));
    *ret_fd = -1;
    errno = EADDRNOTAVAIL;
    for (const struct addrinfo *a = addresses; a != NULL && *ret_fd < 0; a = a->ai_next) {
        memcpy(&endpoint->address, a->ai_addr, a->ai_addrlen);
        endpoint->address_bytes = a->ai_addrlen;
        *ret_fd = connect_blocking(endpoint);
    }
    failure = errno;
    freeaddrinfo(addresses);
    if (*ret_fd < 0)
        return roan_error_set_errno(reterr, failure, "Could not connect to server at %s",
                                    endpoint->name);
    return ROAN_OK;
}

roan_status roan_bench_find_server(const roan_bench_options *options,
                                   const roan_bench_greeting *greeting,
                                   roan_bench_endpoint *ret_endpoint,
                                   roan_bench_server_facts *ret_facts, roan_error *reterr)
{
    int fd = -1;
    roan_status status;

    *ret_endpoint = (roan_bench_endpoint){0};
    if (ret_facts != NULL)
        *ret_facts = (roan_bench_server_facts){0};
    if (options->socket_path != NULL)
        status = connect_path(options->socket_path, ret_endpoint, &fd, reterr);
    else
        status = connect_host(options->host, options->port, ret_endpoint, &fd, reterr);
    if (status != ROAN_OK)
        return status;
    status = probe_server(fd, greeting, ret_endpoint->name, ret_facts, reterr);
    close(fd);
    return status;
}

int roan_bench_connect(const roan_bench_endpoint *endpoint, bool *ret_is_connected)
{
    /* A Unix connect either succeeds, fails or waits for room in the backlog; there is no "in
     * progress" to poll for, so it is done blocking. */
    const bool is_local = endpoint->address.ss_family == AF_UNIX;
    const int one = 1;
    int fd = socket(endpoint->address.ss_family,
                    SOCK_STREAM | SOCK_CLOEXEC | (is_local ? 0 : SOCK_NONBLOCK), 0);
    int failure;

    if (fd < 0)
        return -1;
    if (!is_local)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    *ret_is_connected = connect(fd, (const struct sockaddr *)&endpoint->address,
                                endpoint->address_bytes) == 0;
    failure = *ret_is_connected || errno == EINPROGRESS ? 0 : errno;
    if (failure == 0 && is_local && fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        failure = errno;
    if (failure == 0)
        return fd;
    close(fd);
    errno = failure;
    return -1;
}
