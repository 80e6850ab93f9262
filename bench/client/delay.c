/* bench/client/delay.c: a TCP relay that makes the way longer without making it narrower.
 *
 *     delay PORT TARGET_PORT ROUND_TRIP_US
 *
 * Listens on 127.0.0.1:PORT, connects each client to 127.0.0.1:TARGET_PORT, and passes on what comes from either side
 * half of ROUND_TRIP_US after it came. Prints a line when it listens. Ends with SIGTERM or SIGINT.
 *
 * One thread and one epoll descriptor. What was received together is a chunk with the time at which it is due; chunks
 * of one direction are a list, chunks of all directions are due in the order in which they came, so that one list of
 * them tells how long to sleep. A direction holds at most HELD_BYTES_MAX; then its source is not read for a while.
 *
 *     socket A --receive--> chunk, due in d/2 --> ... --> send --> socket B
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_BYTES    65536
#define HELD_BYTES_MAX (16u << 20)
#define EVENTS_MAX     256
#define BACKLOG        512
#define ROUND_TRIP_MAX 10000000 /* us */

typedef struct chunk {
    struct chunk *next;      /* of its direction */
    struct chunk *next_due;  /* of all */
    struct way *way;         /* NULL: its connection has ended */
    int64_t due_ns;
    size_t bytes, sent;      /* 0 bytes: the end of the stream */
    char data[];
} chunk;

/* One direction of a connection. */
typedef struct way {
    struct pair *pair;
    int from, to;
    chunk *first, *last;
    size_t held_bytes;
    bool is_paused;  /* not read: too much is held */
    bool is_full;    /* `to` takes nothing now */
    bool has_ended;  /* `from` was closed */
} way;

typedef struct end {
    struct pair *pair; /* NULL: the listening socket */
    int fd;
    way *in, *out;     /* what is read from it, what is written to it */
} end;

typedef struct pair {
    way ways[2];
    end ends[2];
    bool is_dead;
    struct pair *next_dead;
} pair;

static int poll_fd;
static int64_t half_ns;
static uint16_t target_port;
static chunk *first_due, *last_due;
static pair *dead;
static volatile sig_atomic_t is_over;

static void die(const char *what)
{
    fprintf(stderr, "delay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

static void watch(const end *at, int operation)
{
    struct epoll_event event = {.data.ptr = (void *)(uintptr_t)at};

    event.events = (at->in->is_paused || at->in->has_ended ? 0u : (uint32_t)EPOLLIN) |
                   (at->out->is_full ? (uint32_t)EPOLLOUT : 0u);
    if (epoll_ctl(poll_fd, operation, at->fd, &event) != 0)
        die("epoll_ctl");
}

/* Freed once no event of this round can name it. */
static void end_pair(pair *it)
{
    if (it->is_dead)
        return;
    it->is_dead = true;
    for (int i = 0; i < 2; i++) {
        for (chunk *at = it->ways[i].first; at != NULL; at = at->next)
            at->way = NULL;
        close(it->ends[i].fd);
    }
    it->next_dead = dead;
    dead = it;
}

static void accept_one(int listener)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(target_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fds[2] = {accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), -1};
    pair *it = calloc(1, sizeof *it);
    int one = 1;

    if (fds[0] < 0 || it == NULL) {
        free(it);
        if (fds[0] >= 0)
            close(fds[0]);
        return;
    }
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fds[1] < 0 || connect(fds[1], (struct sockaddr *)&address, sizeof address) != 0) { /* loopback: at once */
        for (int i = 0; i < 2; i++)
            if (fds[i] >= 0)
                close(fds[i]);
        free(it);
        return;
    }
    for (int i = 0; i < 2; i++) {
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        it->ways[i] = (way){.pair = it, .from = fds[i], .to = fds[1 - i]};
        it->ends[i] = (end){.pair = it, .fd = fds[i], .in = &it->ways[i], .out = &it->ways[1 - i]};
    }
    watch(&it->ends[0], EPOLL_CTL_ADD);
    watch(&it->ends[1], EPOLL_CTL_ADD);
}

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

static void add_chunk(way *on, const char *data, size_t bytes)
{
    chunk *it = malloc(sizeof *it + bytes);

    if (it == NULL)
        die("malloc");
    *it = (chunk){.way = on, .due_ns = now_ns() + half_ns, .bytes = bytes};
    memcpy(it->data, data, bytes);
    if (on->last != NULL)
        on->last->next = it;
    else
        on->first = it;
    on->last = it;
    if (last_due != NULL)
        last_due->next_due = it;
    else
        first_due = it;
    last_due = it;
    on->held_bytes += bytes;
}

static void receive(end *at)
{
    static char data[CHUNK_BYTES];
    way *in = at->in;

    while (!in->has_ended && in->held_bytes < HELD_BYTES_MAX) {
        ssize_t got = recv(at->fd, data, sizeof data, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got < 0) {
            end_pair(at->pair);
            return;
        }
        in->has_ended = got == 0;
        add_chunk(in, data, (size_t)got);
        if (got > 0 && (size_t)got < sizeof data)
            return;
    }
    in->is_paused = !in->has_ended;
    watch(at, EPOLL_CTL_MOD);
}

/* Sends the chunks that are due. */
static void send_due(pair *it, int index, int64_t now)
{
    way *on = &it->ways[index];

    while (!it->is_dead && on->first != NULL && on->first->due_ns <= now && !on->is_full) {
        chunk *at = on->first;
        ssize_t sent = at->bytes == 0 ? shutdown(on->to, SHUT_WR)
                                      : send(on->to, at->data + at->sent, at->bytes - at->sent,
                                             MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) {
            on->is_full = true;
            watch(&it->ends[1 - index], EPOLL_CTL_MOD);
            return;
        }
        if (sent < 0) {
            end_pair(it);
            return;
        }
        at->sent += (size_t)sent;
        if (at->sent < at->bytes)
            continue;
        on->held_bytes -= at->bytes;
        on->first = at->next;
        if (on->first == NULL)
            on->last = NULL;
        at->way = NULL; /* the list of all frees it */
        if (on->is_paused && on->held_bytes < HELD_BYTES_MAX / 2) {
            on->is_paused = false;
            watch(&it->ends[index], EPOLL_CTL_MOD);
        }
    }
    if (!it->is_dead && it->ways[0].has_ended && it->ways[1].has_ended && it->ways[0].first == NULL &&
        it->ways[1].first == NULL)
        end_pair(it);
}

/* Sends what is due on all connections, drops what was sent. Nanoseconds until the next one, -1: none. */
static int64_t send_all_due(void)
{
    int64_t now = now_ns();

    for (chunk *at = first_due; at != NULL && at->due_ns <= now; at = at->next_due)
        if (at->way != NULL) {
            pair *it = at->way->pair;
            send_due(it, at->way == &it->ways[1], now);
        }
    while (first_due != NULL && first_due->way == NULL) {
        chunk *gone = first_due;
        first_due = gone->next_due;
        if (first_due == NULL)
            last_due = NULL;
        free(gone);
    }
    for (chunk *at = first_due; at != NULL; at = at->next_due)
        if (at->due_ns > now) /* one that is due and still there waits for its socket */
            return at->due_ns - now;
    return -1;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void handle_event(const struct epoll_event *event, end *listener)
{
    end *at = event->data.ptr;

    if (at == listener) {
        accept_one(at->fd);
        return;
    }
    if (at->pair->is_dead)
        return;
    if ((event->events & EPOLLERR) != 0 || ((event->events & EPOLLHUP) != 0 && at->in->has_ended)) {
        end_pair(at->pair);
        return;
    }
    if ((event->events & EPOLLOUT) != 0) {
        at->out->is_full = false;
        watch(at, EPOLL_CTL_MOD);
        send_due(at->pair, at->out == &at->pair->ways[1], now_ns());
    }
    if (!at->pair->is_dead && (event->events & (EPOLLIN | EPOLLHUP)) != 0)
        receive(at);
}

static void bury(void)
{
    while (dead != NULL) {
        pair *gone = dead;
        dead = gone->next_dead;
        free(gone);
    }
}

static void on_signal(int number)
{
    (void)number;
    is_over = 1;
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0)
        die("cannot listen");
    return fd;
}

static long number(const char *text, long max)
{
    char *last;
    long value = strtol(text, &last, 10);

    if (last == text || *last != '\0' || value < 1 || value > max) {
        fprintf(stderr, "delay: %s: a number from 1 to %ld\n", text, max);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    end listener = {0};
    struct epoll_event events[EVENTS_MAX] = {{.events = EPOLLIN, .data.ptr = &listener}};

    if (argc != 4) {
        fprintf(stderr, "usage: delay PORT TARGET_PORT ROUND_TRIP_US\n");
        return 2;
    }
    target_port = (uint16_t)number(argv[2], 65535);
    half_ns = number(argv[3], ROUND_TRIP_MAX) * 1000 / 2;
    listener.fd = listen_on((uint16_t)number(argv[1], 65535));
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poll_fd < 0 || epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener.fd, &events[0]) != 0)
        die("epoll");
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    printf("listening on 127.0.0.1:%s\n", argv[1]);
    fflush(stdout);
    while (!is_over) {
        int64_t wait_ns = send_all_due();
        struct timespec wait = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
        bury();
        int count = epoll_pwait2(poll_fd, events, EVENTS_MAX, wait_ns < 0 ? NULL : &wait, NULL);
        if (count < 0 && errno != EINTR)
            die("epoll_pwait2");
        for (int i = 0; i < count; i++)
            handle_event(&events[i], &listener);
    }
    return 0;
}
