/* server/listeners.c: opening and exchanging the sockets that `bind`, `port` and `unixsocket` ask for, all or none.
 *
 * A change opens what is new first. Where the kernel refuses because an old socket is in the way (`*` after 127.0.0.1
 * on the same port), the sockets that are to go are shut down and it is tried once more: shutdown(2) ends listening but
 * keeps the descriptor bound, so that listen(2) alone brings it back when the change fails after all or is undone. It
 * also takes effect at once, while the loop, which may hold an accept in flight, lets go of the socket only in its next
 * turn.
 */
#include "server/listeners.h"

#include "base/macros.h"
#include "net/address.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANY_PORT (-1)

struct roan_listener {
    roan_net_socket socket; /* while the loop knows it */
    roan_listener *next;
    int fd;                 /* -1: the loop is to say CLOSED, and then it is gone */
    int port;               /* 0: a Unix socket */
    char *address;          /* as `bind` has it, without a minus sign, or the path of the socket file */
    bool is_wanted, was_wanted;
    bool is_listening;      /* false: it was shut down */
    bool is_accepting;      /* the loop knows it */
};

static bool is_unix(const roan_listener *listener)
{
    return listener->port == 0;
}

static void add_listener(roan_listeners *listeners, int fd, const char *address, int port)
{
    roan_listener *listener = roan_alloc_zero(sizeof *listener);
    *listener = (roan_listener){
        .fd = fd, .port = port, .address = roan_text_dup(address), .is_wanted = true, .is_listening = true};
    roan_listener **end = &listeners->first;
    while (*end != NULL)
        end = &(*end)->next;
    *end = listener;
}

static void remove_listener(roan_listener **link)
{
    roan_listener *listener = *link;
    *link = listener->next;
    if (listener->fd >= 0)
        close(listener->fd);
    roan_text_free(listener->address);
    roan_free(listener, sizeof *listener);
}

size_t roan_listeners_count(const roan_listeners *listeners)
{
    size_t count = 0;
    for (const roan_listener *listener = listeners->first; listener != NULL; listener = listener->next)
        count += listener->is_wanted;
    return count;
}

/* ---- one address ---- */

static bool is_missing_address(int os_errno)
{
    return os_errno == EADDRNOTAVAIL || os_errno == EAFNOSUPPORT || os_errno == EPROTONOSUPPORT;
}

/* Wants the socket of the address again, if there is one. An address that is asked for twice is not found twice: the
 * kernel then refuses the second. */
static bool keep_listener(roan_listeners *listeners, const roan_config *config, const char *address)
{
    for (roan_listener *listener = listeners->first; listener != NULL; listener = listener->next) {
        if (listener->is_wanted || listener->fd < 0 || listener->port != config->port ||
            strcmp(listener->address, address) != 0)
            continue;
        if (!listener->is_listening && listen(listener->fd, (int)config->tcp_backlog) != 0)
            return false; /* somebody else took the port meanwhile: opening it anew will say so */
        listener->is_listening = listener->is_wanted = true;
        return true;
    }
    return false;
}

static roan_status describe_failure(const char *address, const roan_config *config, const roan_error *problem,
                                    roan_error *reterr)
{
    roan_status status =
        problem->os_errno == EADDRINUSE
            ? roan_error_set(reterr, problem->code,
                             "cannot listen on '%s' port %lld: it is in use, perhaps by another server; choose "
                             "another port (--port N)",
                             address, (long long)config->port)
        : problem->os_errno == EACCES
            ? roan_error_set(
                  reterr, problem->code,
                  "cannot listen on '%s' port %lld: permission denied; ports below 1024 are for root, choose "
                  "another one (--port N)",
                  address, (long long)config->port)
            : roan_error_set(reterr, problem->code, "cannot listen: %s", problem->text);
    if (reterr != NULL)
        reterr->os_errno = problem->os_errno;
    return status;
}

/* The words of `bind`, and which of them have their socket. */
typedef struct wanted_list {
    size_t count;
    struct {
        const char *address;
        bool is_optional; /* a leading '-' makes an address that does not exist harmless */
        bool is_there;
    } at[ROAN_BIND_ADDRESSES_MAX];
    char *text; /* what the addresses point into */
} wanted_list;

static void read_wanted(const roan_config *config, wanted_list *wanted)
{
    *wanted = (wanted_list){.text = roan_text_dup(config->port == 0 ? "" : config->bind)};
    char *rest = wanted->text;
    for (char *word; (word = strsep(&rest, " \t")) != NULL;) {
        if (word[0] == '\0')
            continue;
        ROAN_ASSERT(wanted->count < ROAN_BIND_ADDRESSES_MAX); /* the option takes no more */
        bool is_optional = word[0] == '-';
        wanted->at[wanted->count].address = word + is_optional;
        wanted->at[wanted->count++].is_optional = is_optional;
    }
}

static roan_status open_address(roan_listeners *listeners, const roan_config *config, const char *address,
                                bool is_optional, roan_error *reterr)
{
    int fd;
    roan_error problem;
    if (roan_net_listen_tcp(address, (int)config->port, (int)config->tcp_backlog, false, &fd, &problem) == ROAN_OK) {
        add_listener(listeners, fd, address, (int)config->port);
        return ROAN_OK;
    }
    if (is_optional && is_missing_address(problem.os_errno))
        return ROAN_OK;
    return describe_failure(address, config, &problem, reterr);
}

/* ---- all of them ---- */

static void keep_wanted(roan_listeners *listeners, const roan_config *config, wanted_list *wanted)
{
    for (size_t i = 0; i < wanted->count; i++)
        if (!wanted->at[i].is_there)
            wanted->at[i].is_there = keep_listener(listeners, config, wanted->at[i].address);
}

static roan_status open_wanted(roan_listeners *listeners, const roan_config *config, wanted_list *wanted,
                               roan_error *reterr)
{
    for (size_t i = 0; i < wanted->count; i++) {
        if (wanted->at[i].is_there)
            continue;
        roan_status status =
            open_address(listeners, config, wanted->at[i].address, wanted->at[i].is_optional, reterr);
        if (status != ROAN_OK)
            return status;
        wanted->at[i].is_there = true;
    }
    return ROAN_OK;
}

/* Ends listening on what is not wanted any more, on one port or any. Returns how many sockets that concerned. */
static size_t shut_unwanted(roan_listeners *listeners, int port)
{
    size_t count = 0;
    for (roan_listener *listener = listeners->first; listener != NULL; listener = listener->next) {
        if (listener->is_wanted || !listener->is_listening || (port != ANY_PORT && port != listener->port))
            continue;
        ROAN_IGNORE(shutdown(listener->fd, SHUT_RDWR)); /* cannot fail on a socket that listens */
        listener->is_listening = false;
        count++;
    }
    return count;
}

static roan_status want_unix(roan_listeners *listeners, const roan_config *config, roan_error *reterr)
{
    int fd;
    roan_error problem;
    if (config->unixsocket[0] == '\0')
        return ROAN_OK;
    roan_status status = roan_net_listen_unix(config->unixsocket, (unsigned)config->unixsocketperm,
                                              (int)config->tcp_backlog, &fd, &problem);
    if (status != ROAN_OK)
        return roan_error_set(reterr, status, "cannot listen on unixsocket '%s': %s%s", config->unixsocket,
                              problem.os_errno != 0 ? strerror(problem.os_errno) : problem.text,
                              problem.os_errno == EADDRINUSE ? "; another server listens on it, or it is no socket"
                                                             : "");
    char path[PATH_MAX]; /* `dir` may change before it is removed */
    bool is_absolute = config->unixsocket[0] == '/';
    snprintf(path, sizeof path, "%s%s%s", is_absolute ? "" : config->dir, is_absolute ? "" : "/", config->unixsocket);
    add_listener(listeners, fd, path, 0);
    return ROAN_OK;
}

/* Back to what was wanted before the change that failed. */
static void restore(roan_listeners *listeners, const roan_config *config)
{
    for (roan_listener **link = &listeners->first, *listener; (listener = *link) != NULL;) {
        bool is_new = !listener->was_wanted && !listener->is_accepting && listener->fd >= 0;
        listener->is_wanted = listener->was_wanted;
        if (is_new)
            remove_listener(link);
        else
            link = &listener->next;
    }
    ROAN_IGNORE(shut_unwanted(listeners, ANY_PORT)); /* those that are closing and were wanted for a moment */
    for (roan_listener *listener = listeners->first; listener != NULL; listener = listener->next)
        if (listener->is_wanted && !listener->is_listening)
            listener->is_listening = listen(listener->fd, (int)config->tcp_backlog) == 0;
}

static roan_status want_tcp(roan_listeners *listeners, const roan_config *config, roan_error *reterr)
{
    wanted_list wanted;
    read_wanted(config, &wanted);
    for (roan_listener *listener = listeners->first; listener != NULL; listener = listener->next)
        listener->is_wanted = is_unix(listener);
    keep_wanted(listeners, config, &wanted);
    roan_error problem = {0};
    roan_status status = open_wanted(listeners, config, &wanted, &problem);
    if (status != ROAN_OK && problem.os_errno == EADDRINUSE &&
        shut_unwanted(listeners, (int)config->port) > 0) {
        keep_wanted(listeners, config, &wanted);
        status = open_wanted(listeners, config, &wanted, &problem);
    }
    roan_text_free(wanted.text);
    return status == ROAN_OK ? ROAN_OK : roan_error_set(reterr, status, "%s", problem.text);
}

roan_status roan_listeners_change(roan_listeners *listeners, const roan_config *config, bool is_start,
                                  roan_error *reterr)
{
    for (roan_listener *listener = listeners->first; listener != NULL; listener = listener->next)
        listener->was_wanted = listener->is_wanted;
    roan_status status = want_tcp(listeners, config, reterr);
    if (status == ROAN_OK && is_start)
        status = want_unix(listeners, config, reterr);
    if (status != ROAN_OK)
        restore(listeners, config);
    else
        ROAN_IGNORE(shut_unwanted(listeners, ANY_PORT)); /* nobody asks how many */
    return status;
}

/* ---- the loop ---- */

/* Stops accepting, or drops a socket that the loop never knew. Returns whether it is gone from the list. */
static bool let_go(roan_listener **link, roan_net *net)
{
    roan_listener *listener = *link;
    if (!listener->is_accepting) {
        remove_listener(link);
        return true;
    }
    roan_net_close(net, &listener->socket);
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
    return false;
}

roan_status roan_listeners_sync(roan_listeners *listeners, roan_net *net, roan_error *reterr)
{
    roan_status status = ROAN_OK;
    for (roan_listener **link = &listeners->first, *listener; (listener = *link) != NULL;) {
        if (!listener->is_wanted) {
            if (!let_go(link, net))
                link = &listener->next;
            continue;
        }
        if (!listener->is_accepting) {
            roan_status result = roan_net_listen(net, &listener->socket, listener->fd, reterr);
            listener->is_accepting = result == ROAN_OK;
            status = result != ROAN_OK ? result : status;
        }
        link = &listener->next;
    }
    return status;
}

void roan_listeners_closed(roan_listeners *listeners, const roan_net_socket *socket)
{
    for (roan_listener **link = &listeners->first; *link != NULL; link = &(*link)->next)
        if (&(*link)->socket == socket) {
            remove_listener(link);
            return;
        }
}

void roan_listeners_done(roan_listeners *listeners)
{
    while (listeners->first != NULL) {
        if (is_unix(listeners->first))
            ROAN_IGNORE(unlink(listeners->first->address)); /* somebody may have removed it */
        remove_listener(&listeners->first);
    }
}
