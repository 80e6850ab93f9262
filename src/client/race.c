/* client/race.c: happy eyeballs (RFC 8305) with three kinds of descriptors in one epoll set.
 *
 *     RESOLVING --eventfd--> RACING --a socket connects--> WON
 *          \                   | timerfd or a failure: the next address is tried as well
 *           \--> LOST <--------/ all addresses failed
 *
 * Addresses alternate between families, beginning with the resolver's favourite. One attempt starts every
 * STAGGER_MS, or at once when one fails; all stay in the race until one wins.
 *
 * The outcome may be known before anybody polled (a Unix socket, a refusal by the loopback device): then the timer
 * fires at once, so that the epoll descriptor is readable and a poll cannot miss it.
 *
 * Two surprises of the kernel. A Unix socket whose listener's backlog is full says EAGAIN instead of being in progress:
 * it is tried again by the timer, at growing intervals. A TCP socket that connects to a free local port may by chance
 * get that very port as its own and connect to itself: that is taken for the refusal it should have been. */
#include "client/race.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/macros.h"
#include "client/resolve.h"

enum {
    ADDRESSES_MAX = 16, /* a name with more: the first ones are tried */
    STAGGER_MS = 250,
    UNIX_RETRY_FIRST_MS = 2,
    UNIX_RETRY_MAX_MS = 100,
    KEEPALIVE_IDLE_S = 60,
    KEEPALIVE_INTERVAL_S = 15,
    KEEPALIVE_PROBES = 4,
    LABEL_MAX = 128,

    /* What an epoll event is about, besides the index of an attempt. */
    EVENT_RESOLVED = ADDRESSES_MAX,
    EVENT_TIMER,
    EVENTS_MAX,
};

typedef union any_address {
    struct sockaddr generic;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un file;
    struct sockaddr_storage storage;
} any_address;

typedef struct attempt {
    any_address address;
    socklen_t address_bytes;
    int fd; /* -1: not started, or failed */
} attempt;

struct roan_race {
    int epoll_fd, timer_fd;
    roan_resolve *resolve; /* while RESOLVING */
    attempt attempts[ADDRESSES_MAX];
    unsigned count, started;
    unsigned running; /* attempts with a descriptor */
    unsigned retry_ms; /* of a Unix socket whose listener is busy; 0: not yet */
    uint16_t port;
    int won_fd; /* -1: not won */
    bool is_lost;
    int failed_errno; /* of the most telling failure; 0: none yet */
    unsigned failed;  /* which attempt it was */
    bool is_named;    /* the endpoint is a name: failures tell the address as well */
    roan_error error; /* when the resolver failed */
    char label[LABEL_MAX]; /* "host:port" or the path */
};

/* --- telling ------------------------------------------------------------------------------------------------------ */

/* A machine without IPv6 should hear that its server refused, not that it has no IPv6. */
static int telling_rank(int os_errno)
{
    switch (os_errno) {
    case EAFNOSUPPORT:
    case EADDRNOTAVAIL:
    case ENETUNREACH: return 1;
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN: return 2;
    case ETIMEDOUT: return 3;
    default: return 4;
    }
}

static void note_failure(roan_race *race, unsigned index, int os_errno)
{
    if (race->failed_errno != 0 && telling_rank(os_errno) < telling_rank(race->failed_errno))
        return;
    race->failed_errno = os_errno;
    race->failed = index;
}

static void write_address(const any_address *address, char *text, size_t size)
{
    char numeric[INET6_ADDRSTRLEN] = "?";
    if (address->generic.sa_family == AF_INET)
        ROAN_IGNORE(inet_ntop(AF_INET, &address->v4.sin_addr, numeric, sizeof numeric)); /* stays "?" */
    else if (address->generic.sa_family == AF_INET6)
        ROAN_IGNORE(inet_ntop(AF_INET6, &address->v6.sin6_addr, numeric, sizeof numeric));
    snprintf(text, size, "%s", numeric);
}

static roan_progress tell_failure(const roan_race *race, roan_error *reterr)
{
    if (reterr == NULL)
        return ROAN_PROGRESS_FAILED;
    if (race->error.code != ROAN_OK) {
        *reterr = race->error;
        return ROAN_PROGRESS_FAILED;
    }
    char address[INET6_ADDRSTRLEN];
    write_address(&race->attempts[race->failed].address, address, sizeof address);
    if (race->is_named)
        ROAN_IGNORE(roan_error_set_errno(reterr, race->failed_errno, "cannot connect to %s (%s)", race->label,
                                         address)); /* fills only */
    else
        ROAN_IGNORE(roan_error_set_errno(reterr, race->failed_errno, "cannot connect to %s", race->label));
    reterr->code = ROAN_E_CONNECT;
    return ROAN_PROGRESS_FAILED;
}

/* --- descriptors -------------------------------------------------------------------------------------------------- */

static int watch(const roan_race *race, int fd, uint32_t events, uint32_t what)
{
    struct epoll_event event = {.events = events, .data.u32 = what};
    return epoll_ctl(race->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

/* ms 0: at once. */
static void set_timer(const roan_race *race, unsigned ms)
{
    struct itimerspec when = {.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms == 0 ? 1 : (long)(ms % 1000) * 1000000}};
    ROAN_ASSERT(timerfd_settime(race->timer_fd, 0, &when, NULL) == 0);
}

static void read_timer(const roan_race *race)
{
    uint64_t expirations;
    ROAN_IGNORE(read(race->timer_fd, &expirations, sizeof expirations)); /* EAGAIN: it was set again meanwhile */
}

static bool is_over(const roan_race *race)
{
    return race->won_fd >= 0 || race->is_lost;
}

static void close_socket(int fd, bool in_child)
{
    if (!in_child)
        shutdown(fd, SHUT_RDWR); /* ends it even if a child process holds the descriptor, too */
    close(fd);
}

static void set_option(int fd, int level, int option, int value)
{
    ROAN_IGNORE(setsockopt(fd, level, option, &value, sizeof value)); /* a connection without it is better than none */
}

/* The options of a connected socket. */
static void prepare_socket(int fd, int family)
{
    if (family != AF_UNIX) {
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
        set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
        set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    }
    int flags = fcntl(fd, F_GETFL);
    ROAN_ASSERT(flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0);
}

/* --- attempts ----------------------------------------------------------------------------------------------------- */

static bool is_connected_to_itself(int fd, int family)
{
    if (family == AF_UNIX)
        return false;
    any_address own, far;
    memset(&own, 0, sizeof own);
    memset(&far, 0, sizeof far);
    socklen_t own_bytes = sizeof own, far_bytes = sizeof far;
    if (getsockname(fd, &own.generic, &own_bytes) != 0 || getpeername(fd, &far.generic, &far_bytes) != 0)
        return false;
    return own_bytes == far_bytes && memcmp(&own, &far, own_bytes) == 0;
}

static void win(roan_race *race, unsigned index)
{
    attempt *winner = &race->attempts[index];
    race->won_fd = winner->fd;
    winner->fd = -1;
    for (unsigned i = 0; i < race->started; i++) {
        if (race->attempts[i].fd >= 0)
            close_socket(race->attempts[i].fd, false);
        race->attempts[i].fd = -1;
    }
    race->running = 0;
    prepare_socket(race->won_fd, winner->address.generic.sa_family);
}

static void drop_attempt(roan_race *race, unsigned index, int os_errno)
{
    attempt *a = &race->attempts[index];
    note_failure(race, index, os_errno);
    if (a->fd < 0)
        return;
    epoll_ctl(race->epoll_fd, EPOLL_CTL_DEL, a->fd, NULL); /* closing is not enough when a child process has it, too */
    close_socket(a->fd, false);
    a->fd = -1;
    race->running--;
}

/* An attempt has connected, as far as the kernel says. Returns whether it won. */
static bool check_winner(roan_race *race, unsigned index)
{
    attempt *a = &race->attempts[index];
    if (is_connected_to_itself(a->fd, a->address.generic.sa_family)) {
        drop_attempt(race, index, ECONNREFUSED);
        return false;
    }
    win(race, index);
    return true;
}

typedef enum outcome { OUTCOME_WON, OUTCOME_RUNNING, OUTCOME_FAILED } outcome;

static outcome connect_attempt(roan_race *race, unsigned index)
{
    attempt *a = &race->attempts[index];
    int result;
    do
        result = connect(a->fd, &a->address.generic, a->address_bytes);
    while (result != 0 && errno == EINTR && a->address.generic.sa_family == AF_UNIX);
    if (result == 0)
        return check_winner(race, index) ? OUTCOME_WON : OUTCOME_FAILED;
    if (errno == EAGAIN && a->address.generic.sa_family == AF_UNIX) {
        race->retry_ms = race->retry_ms == 0 ? UNIX_RETRY_FIRST_MS : ROAN_MIN(race->retry_ms * 2, UNIX_RETRY_MAX_MS);
        set_timer(race, race->retry_ms);
        return OUTCOME_RUNNING;
    }
    int problem = errno == EINPROGRESS || errno == EINTR ? 0 : errno;
    if (problem == 0)
        problem = watch(race, a->fd, EPOLLOUT, index);
    if (problem == 0)
        return OUTCOME_RUNNING;
    drop_attempt(race, index, problem);
    return OUTCOME_FAILED;
}

static outcome start_attempt(roan_race *race, unsigned index)
{
    attempt *a = &race->attempts[index];
    a->fd = socket(a->address.generic.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (a->fd < 0) {
        note_failure(race, index, errno);
        return OUTCOME_FAILED;
    }
    race->running++;
    return connect_attempt(race, index);
}

/* Starts attempts until one runs; without any left and none running the race is lost. */
static void start_next(roan_race *race)
{
    outcome result = OUTCOME_FAILED;
    while (result == OUTCOME_FAILED && race->started < race->count)
        result = start_attempt(race, race->started++);
    if (result == OUTCOME_RUNNING && race->started < race->count)
        set_timer(race, STAGGER_MS);
    if (result == OUTCOME_FAILED && race->running == 0)
        race->is_lost = true;
}

/* --- addresses ---------------------------------------------------------------------------------------------------- */

static const struct addrinfo *next_usable(const struct addrinfo *list, bool is_family, int family)
{
    for (; list != NULL; list = list->ai_next) {
        bool is_ip = list->ai_family == AF_INET || list->ai_family == AF_INET6;
        if (is_ip && list->ai_addrlen <= sizeof(any_address) && (list->ai_family == family) == is_family)
            return list;
    }
    return NULL;
}

static void add_address(roan_race *race, const struct addrinfo *from)
{
    attempt *a = &race->attempts[race->count++];
    memcpy(&a->address, from->ai_addr, from->ai_addrlen);
    a->address_bytes = from->ai_addrlen;
    if (from->ai_family == AF_INET)
        a->address.v4.sin_port = htons(race->port);
    else
        a->address.v6.sin6_port = htons(race->port);
}

/* Takes addresses from the two families in turn, as long as there are any. */
static void take_addresses(roan_race *race, const struct addrinfo *list)
{
    int favourite = list->ai_family;
    const struct addrinfo *first = next_usable(list, true, favourite), *other = next_usable(list, false, favourite);
    while ((first != NULL || other != NULL) && race->count < ADDRESSES_MAX) {
        if (first != NULL) {
            add_address(race, first);
            first = next_usable(first->ai_next, true, favourite);
        }
        if (other != NULL && race->count < ADDRESSES_MAX) {
            add_address(race, other);
            other = next_usable(other->ai_next, false, favourite);
        }
    }
}

static void take_resolved(roan_race *race)
{
    const struct addrinfo *list;
    if (roan_resolve_fd(race->resolve) >= 0)
        epoll_ctl(race->epoll_fd, EPOLL_CTL_DEL, roan_resolve_fd(race->resolve), NULL); /* it may outlive us */
    if (roan_resolve_result(race->resolve, &list, &race->error) == ROAN_OK)
        take_addresses(race, list);
    else
        race->is_lost = true;
    race->resolve = roan_resolve_free(race->resolve, false);
    if (!race->is_lost && race->count == 0)
        note_failure(race, 0, EAFNOSUPPORT);
    if (!race->is_lost)
        start_next(race);
}

/* "@name" is in Linux's abstract namespace. */
static roan_status begin_unix(roan_race *race, const char *path, roan_error *reterr)
{
    attempt *a = &race->attempts[0];
    size_t bytes = strlen(path);
    if (bytes == 0 || bytes >= sizeof a->address.file.sun_path)
        return roan_error_set(reterr, ROAN_E_CONFIG, "a Unix socket's path has 1 to %zu bytes, not %zu",
                              sizeof a->address.file.sun_path - 1, bytes);
    a->address.file.sun_family = AF_UNIX;
    memcpy(a->address.file.sun_path, path, bytes);
    size_t used = offsetof(struct sockaddr_un, sun_path) + bytes + 1;
    if (path[0] == '@') {
        a->address.file.sun_path[0] = '\0';
        used--;
    }
    a->address_bytes = (socklen_t)used;
    snprintf(race->label, sizeof race->label, "%s", path);
    race->count = 1;
    start_next(race);
    return ROAN_OK;
}

static roan_status begin_host(roan_race *race, const roan_endpoint *endpoint, roan_error *reterr)
{
    race->port = endpoint->port;
    bool is_v6 = strchr(endpoint->host, ':') != NULL;
    snprintf(race->label, sizeof race->label, is_v6 ? "[%.100s]:%u" : "%.100s:%u", endpoint->host,
             (unsigned)endpoint->port);
    roan_status status = roan_resolve_start(endpoint->host, &race->resolve, reterr);
    if (status != ROAN_OK)
        return status;
    int fd = roan_resolve_fd(race->resolve);
    race->is_named = fd >= 0;
    if (fd < 0) {
        take_resolved(race);
        return ROAN_OK;
    }
    int problem = watch(race, fd, EPOLLIN, EVENT_RESOLVED);
    if (problem == 0)
        return ROAN_OK;
    ROAN_IGNORE(roan_error_set_errno(reterr, problem, "cannot connect to %s", race->label)); /* fills only */
    if (reterr != NULL)
        reterr->code = ROAN_E_CONNECT;
    return ROAN_E_CONNECT;
}

/* --- the race ----------------------------------------------------------------------------------------------------- */

static roan_status create_race(roan_race **ret_race, roan_error *reterr)
{
    roan_race *race = roan_try_alloc(sizeof *race);
    if (race == NULL)
        return roan_error_set(reterr, ROAN_E_NOMEM, "out of memory");
    memset(race, 0, sizeof *race);
    race->won_fd = -1;
    for (unsigned i = 0; i < ADDRESSES_MAX; i++)
        race->attempts[i].fd = -1;
    race->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    race->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    int problem = race->epoll_fd < 0 || race->timer_fd < 0 ? errno : 0;
    if (problem == 0)
        problem = watch(race, race->timer_fd, EPOLLIN, EVENT_TIMER);
    if (problem == 0) {
        *ret_race = race;
        return ROAN_OK;
    }
    roan_race_free(race, false);
    ROAN_IGNORE(roan_error_set_errno(reterr, problem, "cannot connect")); /* fills only */
    if (reterr != NULL)
        reterr->code = ROAN_E_CONNECT;
    return ROAN_E_CONNECT;
}

roan_status roan_race_start(const roan_endpoint *endpoint, roan_race **ret_race, roan_error *reterr)
{
    bool is_unix = endpoint->path != NULL;
    if (!is_unix && (endpoint->host == NULL || endpoint->host[0] == '\0'))
        return roan_error_set(reterr, ROAN_E_CONFIG, "no host to connect to");
    roan_race *race = NULL;
    roan_status status = create_race(&race, reterr);
    if (status != ROAN_OK)
        return status;
    status = is_unix ? begin_unix(race, endpoint->path, reterr) : begin_host(race, endpoint, reterr);
    if (status != ROAN_OK) {
        roan_race_free(race, false);
        return status;
    }
    if (is_over(race))
        set_timer(race, 0);
    *ret_race = race;
    return ROAN_OK;
}

int roan_race_fd(const roan_race *race)
{
    return race->epoll_fd;
}

/* A socket is writable: it has connected or failed. */
static void finish_attempt(roan_race *race, unsigned index)
{
    if (race->attempts[index].fd < 0)
        return;
    int problem = 0;
    socklen_t bytes = sizeof problem;
    if (getsockopt(race->attempts[index].fd, SOL_SOCKET, SO_ERROR, &problem, &bytes) != 0)
        problem = errno;
    if (problem == 0 && check_winner(race, index))
        return;
    if (problem != 0)
        drop_attempt(race, index, problem);
    start_next(race);
}

static void handle_timer(roan_race *race)
{
    read_timer(race);
    if (race->retry_ms > 0 && race->attempts[0].fd >= 0) {
        if (connect_attempt(race, 0) == OUTCOME_FAILED)
            start_next(race);
    } else if (race->started < race->count) {
        start_next(race);
    }
}

static void handle_event(roan_race *race, uint32_t what)
{
    if (what == EVENT_TIMER)
        handle_timer(race);
    else if (what < ADDRESSES_MAX)
        finish_attempt(race, what);
    else if (race->resolve != NULL && roan_resolve_is_done(race->resolve))
        take_resolved(race);
}

roan_progress roan_race_progress(roan_race *race, int *ret_fd, roan_error *reterr)
{
    struct epoll_event events[EVENTS_MAX];
    int count = is_over(race) ? 0 : epoll_wait(race->epoll_fd, events, EVENTS_MAX, 0);
    for (int i = 0; i < count && !is_over(race); i++)
        handle_event(race, events[i].data.u32);
    if (race->won_fd >= 0) {
        *ret_fd = race->won_fd;
        race->won_fd = -1;
        race->is_lost = true; /* nothing more to be had here */
        return ROAN_PROGRESS_OPEN;
    }
    if (!race->is_lost)
        return ROAN_PROGRESS_OPENING;
    return tell_failure(race, reterr);
}

roan_race *roan_race_free(roan_race *race, bool in_child)
{
    if (race == NULL)
        return NULL;
    for (unsigned i = 0; i < race->started; i++) {
        if (race->attempts[i].fd >= 0)
            close_socket(race->attempts[i].fd, in_child);
    }
    if (race->won_fd >= 0)
        close_socket(race->won_fd, in_child);
    race->resolve = roan_resolve_free(race->resolve, in_child);
    if (race->timer_fd >= 0)
        close(race->timer_fd);
    if (race->epoll_fd >= 0)
        close(race->epoll_fd);
    roan_free(race, sizeof *race);
    return NULL;
}
