/* tests/client/fault_proxy.c: one thread, one poll loop, two pipes per connection.
 *
 *     pipe: source socket -> buffer -> (faults by position) -> destination socket
 *
 * A pipe reads when its buffer is empty, and passes bytes up to the next fault's position; there the fault comes into
 * effect at once, whether or not more bytes are waiting (only CORRUPT needs one). A stalled pipe does not read either,
 * as a stalled network would not. */
#include "fault_proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_BYTES = 65536, CONNECTIONS_MAX = 64, BACKLOG = 64 };

typedef struct faulty_pipe {
    int from, to;         /* the connection's */
    char data[BUFFER_BYTES];
    size_t bytes, taken;
    uint64_t passed;      /* also the position of the next byte */
    bool has_ended;       /* the source has; passed on when the buffer is empty */
    bool is_shut;         /* the destination was told */
    bool is_split;
    unsigned split_ms;
    int64_t stalled_until_ms; /* INT64_MAX: for ever */
} faulty_pipe;

typedef struct connection {
    faulty_pipe pipes[FAULT_SIDES];
    fault faults[FAULTS_MAX];
    bool has_fired[FAULTS_MAX];
    unsigned fault_count;
    bool is_dead;
} connection;

typedef struct growing {
    char *data;
    size_t bytes, capacity;
} growing;

struct fault_proxy {
    pthread_t thread;
    pthread_mutex_t lock; /* guards what is below it */
    fault faults[FAULTS_MAX];
    unsigned fault_count, planned_connections;
    unsigned accepted, fired;
    growing sent[FAULT_SIDES];
    bool is_ending;

    int listener, wake_fd;
    uint16_t port, server_port;
    connection *connections[CONNECTIONS_MAX];
    unsigned count;
};

static const char *const NAMES[FAULT_KINDS] = {"cut", "end", "half-close", "stall", "split", "corrupt"};

const char *fault_kind_name(fault_kind kind)
{
    return kind < FAULT_KINDS ? NAMES[kind] : NULL;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static void remember(fault_proxy *proxy, fault_side side, const char *data, size_t bytes)
{
    pthread_mutex_lock(&proxy->lock);
    growing *g = &proxy->sent[side];
    if (g->capacity - g->bytes < bytes) {
        g->capacity = (g->capacity + bytes) * 2;
        g->data = must(realloc(g->data, g->capacity));
    }
    memcpy(g->data + g->bytes, data, bytes);
    g->bytes += bytes;
    pthread_mutex_unlock(&proxy->lock);
}

static void count_fired(fault_proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->fired++;
    pthread_mutex_unlock(&proxy->lock);
}

/* --- connections -------------------------------------------------------------------------------------------------- */

static void end_connection(connection *c, bool is_reset)
{
    if (c->is_dead)
        return;
    int fds[] = {c->pipes[FAULT_TO_SERVER].from, c->pipes[FAULT_TO_SERVER].to};
    for (int i = 0; i < 2; i++) {
        struct linger at_once = {.l_onoff = 1};
        if (is_reset)
            setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        else
            shutdown(fds[i], SHUT_WR);
        /* an orderly close with unread bytes would send a reset */
        char rest[4096];
        while (!is_reset && recv(fds[i], rest, sizeof rest, MSG_DONTWAIT) > 0)
            ;
        close(fds[i]);
    }
    c->is_dead = true;
}

static int connect_server(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void accept_one(fault_proxy *proxy)
{
    int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0)
        return;
    int server = proxy->count < CONNECTIONS_MAX ? connect_server(proxy->server_port) : -1;
    if (server < 0) {
        close(client);
        return;
    }
    int one = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connection *c = must(calloc(1, sizeof *c));
    c->pipes[FAULT_TO_SERVER].from = c->pipes[FAULT_TO_CLIENT].to = client;
    c->pipes[FAULT_TO_SERVER].to = c->pipes[FAULT_TO_CLIENT].from = server;
    pthread_mutex_lock(&proxy->lock);
    if (proxy->planned_connections > 0) {
        proxy->planned_connections--;
        memcpy(c->faults, proxy->faults, sizeof c->faults);
        c->fault_count = proxy->fault_count;
    }
    proxy->accepted++;
    pthread_mutex_unlock(&proxy->lock);
    proxy->connections[proxy->count++] = c;
}

/* --- pipes -------------------------------------------------------------------------------------------------------- */

/* The nearest fault of a direction that has not fired, or NULL. */
static const fault *next_fault(const connection *c, fault_side side)
{
    const fault *next = NULL;
    for (unsigned i = 0; i < c->fault_count; i++) {
        if (c->faults[i].side == side && !c->has_fired[i] && (next == NULL || c->faults[i].at < next->at))
            next = &c->faults[i];
    }
    return next;
}

static void stall(faulty_pipe *p, unsigned ms)
{
    p->stalled_until_ms = ms == 0 ? INT64_MAX : now_ms() + ms;
}

static void fire(connection *c, faulty_pipe *p, const fault *f)
{
    switch (f->kind) {
    case FAULT_CUT: end_connection(c, true); break;
    case FAULT_END: end_connection(c, false); break;
    case FAULT_HALF_CLOSE:
        shutdown(p->to, SHUT_WR);
        p->is_shut = true;
        break;
    case FAULT_STALL: stall(p, f->ms); break;
    case FAULT_SPLIT:
        p->is_split = true;
        p->split_ms = f->ms;
        break;
    case FAULT_CORRUPT: p->data[p->taken] = (char)((unsigned char)p->data[p->taken] ^ f->mask); break;
    case FAULT_KINDS: break;
    }
}

static void fire_due(fault_proxy *proxy, connection *c, fault_side side)
{
    faulty_pipe *p = &c->pipes[side];
    const fault *f;
    while (!c->is_dead && p->stalled_until_ms == 0 && (f = next_fault(c, side)) != NULL && f->at <= p->passed) {
        if (f->kind == FAULT_CORRUPT && p->taken == p->bytes)
            return;
        c->has_fired[f - c->faults] = true;
        count_fired(proxy); /* before anybody can see it */
        fire(c, p, f);
    }
}

static void read_source(fault_proxy *proxy, connection *c, fault_side side)
{
    faulty_pipe *p = &c->pipes[side];
    ssize_t bytes = recv(p->from, p->data, sizeof p->data, MSG_DONTWAIT);
    if (bytes > 0) {
        remember(proxy, side, p->data, (size_t)bytes);
        p->taken = 0;
        p->bytes = (size_t)bytes;
    } else if (bytes == 0) {
        p->has_ended = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        end_connection(c, true);
    }
}

/* Passes what it may; returns whether there was progress. */
static bool pass(connection *c, fault_side side)
{
    faulty_pipe *p = &c->pipes[side];
    const fault *f = next_fault(c, side);
    size_t bytes = p->bytes - p->taken;
    if (f != NULL && f->at > p->passed && bytes > f->at - p->passed)
        bytes = (size_t)(f->at - p->passed);
    if (f != NULL && f->at <= p->passed)
        bytes = 0;
    if (p->is_split && bytes > 1)
        bytes = 1;
    if (bytes == 0)
        return false;
    if (p->is_shut) { /* into the void */
        p->taken = p->bytes;
        return true;
    }
    ssize_t sent = send(p->to, p->data + p->taken, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            end_connection(c, true);
        return false;
    }
    p->taken += (size_t)sent;
    p->passed += (uint64_t)sent;
    if (p->is_split && p->split_ms > 0)
        stall(p, p->split_ms);
    return true;
}

static void run_pipe(fault_proxy *proxy, connection *c, fault_side side)
{
    faulty_pipe *p = &c->pipes[side];
    bool is_going_on = true;
    while (is_going_on && !c->is_dead) {
        if (p->stalled_until_ms != 0 && p->stalled_until_ms <= now_ms())
            p->stalled_until_ms = 0;
        fire_due(proxy, c, side);
        if (c->is_dead || p->stalled_until_ms != 0)
            return;
        if (p->taken == p->bytes && !p->has_ended) {
            read_source(proxy, c, side);
            if (!c->is_dead)
                fire_due(proxy, c, side);
        }
        is_going_on = !c->is_dead && p->stalled_until_ms == 0 && pass(c, side);
    }
    if (!c->is_dead && p->has_ended && p->taken == p->bytes && !p->is_shut) {
        shutdown(p->to, SHUT_WR);
        p->is_shut = true;
    }
}

static void run_connection(fault_proxy *proxy, connection *c)
{
    run_pipe(proxy, c, FAULT_TO_SERVER);
    if (!c->is_dead)
        run_pipe(proxy, c, FAULT_TO_CLIENT);
    if (!c->is_dead && c->pipes[0].has_ended && c->pipes[1].has_ended && c->pipes[0].is_shut && c->pipes[1].is_shut)
        end_connection(c, false);
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static short wanted_from(const connection *c, int fd)
{
    short events = 0;
    for (int side = 0; side < FAULT_SIDES; side++) {
        const faulty_pipe *p = &c->pipes[side];
        if (p->stalled_until_ms != 0)
            continue;
        if (p->from == fd && p->taken == p->bytes && !p->has_ended)
            events |= POLLIN;
        if (p->to == fd && p->taken < p->bytes)
            events |= POLLOUT;
    }
    return events;
}

static int next_due_ms(const fault_proxy *proxy)
{
    int64_t due = INT64_MAX, now = now_ms();
    for (unsigned i = 0; i < proxy->count; i++) {
        for (int side = 0; side < FAULT_SIDES; side++) {
            int64_t until = proxy->connections[i]->pipes[side].stalled_until_ms;
            if (until != 0 && until < due)
                due = until;
        }
    }
    return due == INT64_MAX ? -1 : due <= now ? 0 : (int)(due - now);
}

static void drop_dead(fault_proxy *proxy)
{
    for (unsigned i = 0; i < proxy->count;) {
        if (!proxy->connections[i]->is_dead) {
            i++;
            continue;
        }
        free(proxy->connections[i]);
        proxy->connections[i] = proxy->connections[--proxy->count];
    }
}

static void poll_once(fault_proxy *proxy)
{
    struct pollfd items[2 + 2 * CONNECTIONS_MAX];
    items[0] = (struct pollfd){.fd = proxy->wake_fd, .events = POLLIN};
    items[1] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
    for (unsigned i = 0; i < proxy->count; i++) {
        for (int side = 0; side < FAULT_SIDES; side++) {
            int fd = proxy->connections[i]->pipes[side].from;
            short events = wanted_from(proxy->connections[i], fd);
            /* an fd with nothing wanted is left out: its hang-up would wake us for ever */
            items[2 + 2 * i + (unsigned)side] = (struct pollfd){.fd = events != 0 ? fd : -1, .events = events};
        }
    }
    poll(items, 2 + 2 * proxy->count, next_due_ms(proxy));
    if ((items[1].revents & POLLIN) != 0)
        accept_one(proxy);
}

static void *run(void *argument)
{
    fault_proxy *proxy = argument;
    for (;;) {
        pthread_mutex_lock(&proxy->lock);
        bool is_ending = proxy->is_ending;
        pthread_mutex_unlock(&proxy->lock);
        if (is_ending)
            break;
        poll_once(proxy);
        for (unsigned i = 0; i < proxy->count; i++)
            run_connection(proxy, proxy->connections[i]);
        drop_dead(proxy);
    }
    for (unsigned i = 0; i < proxy->count; i++)
        end_connection(proxy->connections[i], true);
    drop_dead(proxy);
    return NULL;
}

/* --- outside ------------------------------------------------------------------------------------------------------ */

fault_proxy *fault_proxy_create(uint16_t port, uint16_t server_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0)
        return NULL;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, bytes) != 0 || listen(listener, BACKLOG) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &bytes) != 0) {
        close(listener);
        return NULL;
    }
    fault_proxy *proxy = must(calloc(1, sizeof *proxy));
    proxy->listener = listener;
    proxy->port = ntohs(at.sin_port);
    proxy->server_port = server_port;
    proxy->wake_fd = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&proxy->lock, NULL);
    if (proxy->wake_fd < 0 || pthread_create(&proxy->thread, NULL, run, proxy) != 0)
        abort();
    return proxy;
}

void fault_proxy_free(fault_proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->is_ending = true;
    pthread_mutex_unlock(&proxy->lock);
    uint64_t wake = 1;
    if (write(proxy->wake_fd, &wake, sizeof wake) != sizeof wake)
        abort();
    pthread_join(proxy->thread, NULL);
    close(proxy->listener);
    close(proxy->wake_fd);
    pthread_mutex_destroy(&proxy->lock);
    for (int side = 0; side < FAULT_SIDES; side++)
        free(proxy->sent[side].data);
    free(proxy);
}

uint16_t fault_proxy_port(const fault_proxy *proxy)
{
    return proxy->port;
}

void fault_proxy_plan(fault_proxy *proxy, const fault *faults, unsigned count, unsigned connections)
{
    if (count > FAULTS_MAX)
        abort();
    pthread_mutex_lock(&proxy->lock);
    if (count > 0)
        memcpy(proxy->faults, faults, count * sizeof *faults);
    proxy->fault_count = count;
    proxy->planned_connections = connections;
    pthread_mutex_unlock(&proxy->lock);
}

unsigned fault_proxy_accepted(fault_proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    unsigned accepted = proxy->accepted;
    pthread_mutex_unlock(&proxy->lock);
    return accepted;
}

unsigned fault_proxy_fired(fault_proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    unsigned fired = proxy->fired;
    pthread_mutex_unlock(&proxy->lock);
    return fired;
}

char *fault_proxy_sent(fault_proxy *proxy, fault_side side, size_t *ret_bytes)
{
    pthread_mutex_lock(&proxy->lock);
    *ret_bytes = proxy->sent[side].bytes;
    char *copy = must(malloc(*ret_bytes + 1));
    if (*ret_bytes > 0)
        memcpy(copy, proxy->sent[side].data, *ret_bytes);
    copy[*ret_bytes] = '\0';
    pthread_mutex_unlock(&proxy->lock);
    return copy;
}

void fault_proxy_forget(fault_proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    for (int side = 0; side < FAULT_SIDES; side++)
        proxy->sent[side].bytes = 0;
    pthread_mutex_unlock(&proxy->lock);
}
