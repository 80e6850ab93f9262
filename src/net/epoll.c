/* net/epoll.c: the loop over epoll, for kernels without a usable io_uring.
 *
 * Sockets are registered once, edge-triggered, for reading and writing, and never touched again: pausing, resuming and
 * half-finished sends cost no system call. An edge is noted in the socket's flags (READABLE, WRITABLE) and puts it on
 * the ready list; each wait gives every listed socket one turn, in order, so that a flood from one cannot hold up the
 * others. READABLE goes away when a receive finds less than it had room for (epoll(7), "Questions and answers", 9),
 * unless the peer has hung up: then there is one more receive to come, the one that says so.
 *
 *     edge ---> ready list --turn--> off the list: nothing left to read, or paused
 *                  ^  \------------> back to its end: more to read, or no event left in the batch
 *                  |   \-----------> starved: no receive buffer; back when there are free ones
 *
 * Listeners are level-triggered and exclusive, so that of several loops on one descriptor one wakes up.
 *
 * Received bytes are packed one after the other into an arena, which recycle() empties: a batch of small requests
 * touches few cache lines, always the same ones.
 */
#include "net/net_internal.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"

enum {
    READABLE = ROAN_NET_BACKEND_FLAG,        /* a receive or accept may find something */
    WRITABLE = ROAN_NET_BACKEND_FLAG << 1,   /* a send may get on */
    HUNG_UP = ROAN_NET_BACKEND_FLAG << 2,    /* the end of the stream is near */
    SEND_FAILED = ROAN_NET_BACKEND_FLAG << 3, /* to be reported; sending_result is the errno */
};

enum {
    EDGES_MAX = 512,         /* taken from the kernel per wait; the rest stays there */
    ACCEPTS_PER_TURN = 32,
    WINDOW_IOVECS = 64,      /* per sendmsg(2) */
};

typedef struct net_epoll {
    roan_net base;
    int epoll_fd;
    char *arena;
    size_t arena_bytes, arena_used;
    size_t buffer_bytes;      /* room a receive must find, and the most it takes */
    roan_net_list ready, starved, delayed;
    int64_t delayed_until_us;
    bool has_precise_wait;    /* epoll_pwait2(2), Linux 5.11 */
    struct epoll_event edges[EDGES_MAX];
} net_epoll;

static net_epoll *from_base(roan_net *base)
{
    return (net_epoll *)base;
}

static bool has_buffer(const net_epoll *net)
{
    return net->arena_bytes - net->arena_used >= net->buffer_bytes;
}

static void make_ready(net_epoll *net, roan_net_socket *socket)
{
    if (!(socket->flags & ROAN_NET_LISTED))
        roan_net_list_push(&net->ready, socket);
}

/* As make_ready, for something that needs no receive buffer: takes the socket out of `starved`, and the others with it
 * because that is simple and rare. */
static void make_ready_to_send(net_epoll *net, roan_net_socket *socket)
{
    if (socket->flags & ROAN_NET_LISTED)
        roan_net_list_append(&net->ready, &net->starved);
    make_ready(net, socket);
}

static void starve(net_epoll *net, roan_net_socket *socket)
{
    if (!(socket->flags & ROAN_NET_LISTED)) /* it may have a send to go on with */
        roan_net_list_push(&net->starved, socket);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

/* Copies the iovecs of the next system call: where the last one stopped, up to one turn's worth. */
static unsigned fill_window(const roan_net_socket *socket, struct iovec window[WINDOW_IOVECS])
{
    size_t room = ROAN_NET_SEND_BYTES_PER_TURN;
    size_t offset = socket->sending_offset;
    unsigned count = 0;
    for (; count < WINDOW_IOVECS && count < socket->sending_count && room > 0; count++) {
        const struct iovec *piece = &socket->sending[count];
        size_t bytes = ROAN_MIN(piece->iov_len - offset, room);
        window[count] = *piece;
        if (offset > 0)
            window[count].iov_base = (char *)piece->iov_base + offset;
        window[count].iov_len = bytes;
        room -= bytes;
        offset = 0;
    }
    return count;
}

/* One system call; the kernel takes a single piece without the ceremony of a message. */
static ssize_t send_once(const roan_net_socket *socket)
{
    struct iovec window[WINDOW_IOVECS];
    unsigned count = fill_window(socket, window);
    if (ROAN_LIKELY(count == 1))
        return send(socket->fd, window[0].iov_base, window[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    struct msghdr message = {.msg_iov = window, .msg_iovlen = count};
    return sendmsg(socket->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Sends one turn's worth: 0 when all is out, EAGAIN when the socket buffer is full (an edge will come), EINPROGRESS
 * when it is time for other sockets, else an error. */
static int send_more(roan_net_socket *socket)
{
    size_t sent = 0;
    while (sent < ROAN_NET_SEND_BYTES_PER_TURN) {
        ssize_t bytes = send_once(socket);
        if (ROAN_LIKELY(bytes >= 0)) {
            if (ROAN_LIKELY(roan_net_advance_sending(socket, (size_t)bytes)))
                return 0;
            sent += (size_t)bytes;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return EINPROGRESS;
}

static bool epoll_send(roan_net *base, roan_net_socket *socket)
{
    int error = send_more(socket);
    if (ROAN_LIKELY(error == 0)) {
        socket->flags &= ~(uint32_t)ROAN_NET_SENDING;
        return true;
    }
    socket->flags &= ~(uint32_t)WRITABLE; /* EAGAIN: the next edge is ours */
    if (error == EAGAIN)
        return false;
    if (error == EINPROGRESS) {
        socket->flags |= WRITABLE;
    } else {
        socket->flags |= SEND_FAILED;
        socket->sending_result = error;
    }
    make_ready_to_send(from_base(base), socket);
    return false;
}

static void report_send_failed(roan_net_batch *batch, roan_net_socket *socket, int error)
{
    socket->flags &= ~(uint32_t)(ROAN_NET_SENDING | SEND_FAILED);
    roan_net_batch_add(batch, ROAN_NET_SEND_FAILED, socket)->error = error;
}

/* A send in flight may get on. There must be room for an event. */
static void continue_send(net_epoll *net, roan_net_batch *batch, roan_net_socket *socket)
{
    int error = send_more(socket);
    if (error == EINPROGRESS) {
        make_ready(net, socket);
        return;
    }
    socket->flags &= ~(uint32_t)WRITABLE;
    if (error == 0) {
        socket->flags &= ~(uint32_t)ROAN_NET_SENDING;
        roan_net_batch_add(batch, ROAN_NET_SENT, socket);
    } else if (error != EAGAIN) {
        report_send_failed(batch, socket, error);
    }
}

static void epoll_want_sent(roan_net *base, roan_net_socket *socket)
{
    (void)base;
    (void)socket; /* never deferred */
}

static void epoll_flush(roan_net *base)
{
    (void)base; /* sends are not deferred */
}

/* --- receiving and accepting -------------------------------------------------------------------------------------- */

static void report_eof(roan_net_batch *batch, roan_net_socket *socket, int error)
{
    socket->flags &= ~(uint32_t)READABLE;
    socket->flags |= ROAN_NET_AT_EOF;
    roan_net_batch_add(batch, ROAN_NET_EOF, socket)->error = error;
}

/* One receive. There must be room for an event and a buffer. */
static void receive(net_epoll *net, roan_net_batch *batch, roan_net_socket *socket)
{
    char *data = net->arena + net->arena_used;
    ssize_t bytes = recv(socket->fd, data, net->buffer_bytes, MSG_DONTWAIT);
    if (ROAN_LIKELY(bytes > 0)) {
        roan_net_event *event = roan_net_batch_add(batch, ROAN_NET_RECEIVED, socket);
        event->data = data;
        event->bytes = (size_t)bytes;
        size_t used = ((size_t)bytes + ROAN_CACHE_LINE - 1) & ~(size_t)(ROAN_CACHE_LINE - 1);
        net->arena_used = ROAN_MIN(net->arena_used + used, net->arena_bytes);
        if ((size_t)bytes < net->buffer_bytes && !(socket->flags & HUNG_UP))
            socket->flags &= ~(uint32_t)READABLE;
    } else if (bytes == 0) {
        report_eof(batch, socket, 0);
    } else if (errno == EAGAIN) {
        socket->flags &= ~(uint32_t)READABLE;
    } else if (errno != EINTR) {
        report_eof(batch, socket, errno);
    }
}

static roan_status watch_listener(net_epoll *net, roan_net_socket *socket, roan_error *reterr)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = socket};
    if (epoll_ctl(net->epoll_fd, EPOLL_CTL_ADD, socket->fd, &event) != 0 && errno != EEXIST)
        return roan_error_set_errno(reterr, errno, "epoll: watch a listener");
    return ROAN_OK;
}

static void unwatch(net_epoll *net, const roan_net_socket *socket)
{
    ROAN_IGNORE(epoll_ctl(net->epoll_fd, EPOLL_CTL_DEL, socket->fd, NULL)); /* ENOENT: it was not watched */
}

static void delay_listener(net_epoll *net, roan_net_socket *socket)
{
    unwatch(net, socket);
    socket->flags &= ~(uint32_t)READABLE;
    net->delayed_until_us = roan_net_now_us() + ROAN_NET_ACCEPT_RETRY_US;
    roan_net_list_push(&net->delayed, socket);
}

/* The turn of a listener. What it leaves is reported by the kernel again. */
static void accept_some(net_epoll *net, roan_net_batch *batch, roan_net_socket *socket)
{
    socket->flags &= ~(uint32_t)READABLE;
    for (unsigned i = 0; i < ACCEPTS_PER_TURN && roan_net_batch_has_room(batch); i++) {
        int fd = accept4(socket->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            roan_net_batch_add(batch, ROAN_NET_ACCEPTED, socket)->fd = fd;
        } else if (roan_net_accept_error_is_lasting(errno)) {
            roan_net_batch_add(batch, ROAN_NET_ACCEPT_FAILED, socket)->error = errno;
            delay_listener(net, socket);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static void report_closed(roan_net_batch *batch, roan_net_socket *socket)
{
    socket->fd = -1;
    socket->flags = 0;
    roan_net_batch_add(batch, ROAN_NET_CLOSED, socket);
}

static bool wants_send(const roan_net_socket *socket)
{
    return (socket->flags & (ROAN_NET_SENDING | WRITABLE)) == (ROAN_NET_SENDING | WRITABLE);
}

static bool wants_receive(const roan_net_socket *socket)
{
    return (socket->flags & (READABLE | ROAN_NET_PAUSED | ROAN_NET_AT_EOF)) == READABLE;
}

/* Gives a socket that is on no list its turn; there must be room for one event. */
static void take_turn(net_epoll *net, roan_net_batch *batch, roan_net_socket *socket)
{
    if (ROAN_UNLIKELY(socket->flags & ROAN_NET_CLOSING)) {
        report_closed(batch, socket);
        return;
    }
    if (ROAN_UNLIKELY(socket->flags & ROAN_NET_LISTENER)) {
        if (wants_receive(socket))
            accept_some(net, batch, socket);
        return;
    }
    if (ROAN_UNLIKELY(socket->flags & SEND_FAILED))
        report_send_failed(batch, socket, socket->sending_result);
    else if (ROAN_UNLIKELY(wants_send(socket)))
        continue_send(net, batch, socket);

    if (ROAN_LIKELY(wants_receive(socket))) {
        if (ROAN_UNLIKELY(!roan_net_batch_has_room(batch))) {
            make_ready(net, socket);
        } else if (ROAN_UNLIKELY(!has_buffer(net))) {
            starve(net, socket);
        } else {
            receive(net, batch, socket);
            if (ROAN_UNLIKELY(wants_receive(socket)))
                make_ready(net, socket);
        }
    }
}

static void run_ready(net_epoll *net, roan_net_batch *batch)
{
    for (unsigned left = net->ready.count; left > 0 && roan_net_batch_has_room(batch); left--)
        take_turn(net, batch, roan_net_list_pop(&net->ready));
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

static void note_edge(net_epoll *net, const struct epoll_event *edge)
{
    roan_net_socket *socket = edge->data.ptr;
    if (socket == NULL)
        return; /* the eventfd: sleep_state has the news */
    uint32_t flags = 0;
    if (edge->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        flags |= READABLE;
    if (edge->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        flags |= HUNG_UP;
    if (edge->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        flags |= WRITABLE;
    socket->flags |= flags;
    if (wants_send(socket))
        make_ready_to_send(net, socket);
    else if (wants_receive(socket))
        make_ready(net, socket);
}

static int64_t sleep_time(net_epoll *net, int64_t timeout_us)
{
    if (net->ready.first != NULL)
        return 0;
    if (net->delayed.first != NULL) {
        int64_t left_us = ROAN_MAX(net->delayed_until_us - roan_net_now_us(), 0);
        if (timeout_us < 0 || left_us < timeout_us)
            return left_us;
    }
    return timeout_us;
}

/* As epoll_wait(2), to the microsecond where the kernel can. */
static int wait_for_edges(net_epoll *net, int64_t timeout_us)
{
    if (net->has_precise_wait && timeout_us > 0 && timeout_us % 1000 != 0) {
        struct timespec time = {.tv_sec = timeout_us / 1000000, .tv_nsec = timeout_us % 1000000 * 1000};
        int count = epoll_pwait2(net->epoll_fd, net->edges, EDGES_MAX, &time, NULL);
        if (count >= 0 || errno == EINTR)
            return count;
        net->has_precise_wait = false;
    }
    int64_t timeout_ms = timeout_us < 0 ? -1 : (timeout_us + 999) / 1000;
    return epoll_wait(net->epoll_fd, net->edges, EDGES_MAX, (int)ROAN_MIN(timeout_ms, (int64_t)INT_MAX));
}

static unsigned take_edges(net_epoll *net, int64_t timeout_us)
{
    int count;
    if (timeout_us != 0 && roan_net_begin_sleep(&net->base)) {
        count = wait_for_edges(net, timeout_us);
        roan_net_end_sleep(&net->base);
    } else {
        count = wait_for_edges(net, 0);
    }
    return count < 0 ? 0 : (unsigned)count;
}

static void restart_listeners(net_epoll *net)
{
    for (unsigned left = net->delayed.count; left > 0; left--) {
        roan_net_socket *socket = roan_net_list_pop(&net->delayed);
        if (socket->flags & ROAN_NET_PAUSED)
            continue; /* resume() watches it */
        if (watch_listener(net, socket, NULL) != ROAN_OK)
            delay_listener(net, socket);
    }
}

static unsigned epoll_wait_events(roan_net *base, int64_t timeout_us, roan_net_event *events, unsigned events_max)
{
    net_epoll *net = from_base(base);
    roan_net_batch batch = {.events = events, .count = 0, .max = events_max};
    if (ROAN_UNLIKELY(net->starved.first != NULL) && has_buffer(net))
        roan_net_list_append(&net->ready, &net->starved);
    if (ROAN_UNLIKELY(net->delayed.first != NULL) && roan_net_now_us() >= net->delayed_until_us)
        restart_listeners(net);

    unsigned count = take_edges(net, sleep_time(net, timeout_us));
    roan_net_take_wake(base, &batch);
    for (unsigned i = 0; i < count; i++)
        note_edge(net, &net->edges[i]);
    run_ready(net, &batch);
    return batch.count;
}

static size_t epoll_lent(const roan_net *base)
{
    return ((const net_epoll *)base)->arena_used;
}

static void epoll_recycle(roan_net *base, size_t from)
{
    from_base(base)->arena_used = from;
}

/* --- sockets ------------------------------------------------------------------------------------------------------ */

static roan_status epoll_listen(roan_net *base, roan_net_socket *socket, roan_error *reterr)
{
    return watch_listener(from_base(base), socket, reterr);
}

static roan_status epoll_attach(roan_net *base, roan_net_socket *socket, roan_error *reterr)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = socket};
    if (epoll_ctl(from_base(base)->epoll_fd, EPOLL_CTL_ADD, socket->fd, &event) != 0)
        return roan_error_set_errno(reterr, errno, "epoll: watch a socket");
    return ROAN_OK;
}

static void epoll_pause(roan_net *base, roan_net_socket *socket)
{
    if (socket->flags & ROAN_NET_LISTENER)
        unwatch(from_base(base), socket);
}

static void epoll_resume(roan_net *base, roan_net_socket *socket)
{
    net_epoll *net = from_base(base);
    if (socket->flags & ROAN_NET_LISTENER) {
        if (!(socket->flags & ROAN_NET_LISTED) && watch_listener(net, socket, NULL) != ROAN_OK)
            delay_listener(net, socket);
    } else if (wants_receive(socket)) {
        make_ready(net, socket);
    }
}

static void epoll_close_socket(roan_net *base, roan_net_socket *socket)
{
    net_epoll *net = from_base(base);
    unwatch(net, socket);
    if (!(socket->flags & ROAN_NET_LISTENER)) {
        ROAN_IGNORE(shutdown(socket->fd, SHUT_RDWR)); /* ENOTCONN: the peer was faster */
        close(socket->fd);
    }
    if (socket->flags & ROAN_NET_LISTED) {
        roan_net_list_append(&net->ready, &net->starved);
        roan_net_list_append(&net->ready, &net->delayed);
    }
    make_ready(net, socket);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void epoll_free(roan_net *base)
{
    net_epoll *net = from_base(base);
    if (net->arena != NULL)
        munmap(net->arena, net->arena_bytes);
    if (net->epoll_fd >= 0)
        close(net->epoll_fd);
    if (base->wake_fd >= 0)
        close(base->wake_fd);
    roan_free(net, sizeof *net);
}

static roan_status open_descriptors(net_epoll *net, roan_error *reterr)
{
    net->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (net->epoll_fd < 0)
        return roan_error_set_errno(reterr, errno, "epoll: create");
    net->base.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (net->base.wake_fd < 0)
        return roan_error_set_errno(reterr, errno, "epoll: create an eventfd");
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (epoll_ctl(net->epoll_fd, EPOLL_CTL_ADD, net->base.wake_fd, &event) != 0)
        return roan_error_set_errno(reterr, errno, "epoll: watch the eventfd");
    return ROAN_OK;
}

static roan_status epoll_create_loop(const roan_net_options *options, roan_net **ret_net, roan_error *reterr)
{
    net_epoll *net = roan_alloc_aligned(_Alignof(net_epoll), sizeof *net);
    memset(net, 0, sizeof *net);
    net->epoll_fd = -1;
    net->base.wake_fd = -1;
    net->has_precise_wait = true;
    net->buffer_bytes = options->buffer_bytes;
    size_t bytes = (size_t)options->buffer_count * options->buffer_bytes;
    void *arena = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    roan_status status;
    if (arena == MAP_FAILED) {
        status = roan_error_set_errno(reterr, errno, "epoll: %zu bytes of receive buffers", bytes);
    } else {
        net->arena = arena;
        net->arena_bytes = bytes;
        status = open_descriptors(net, reterr);
    }
    if (status != ROAN_OK) {
        epoll_free(&net->base);
        return status;
    }
    *ret_net = &net->base;
    return ROAN_OK;
}

const roan_net_backend roan_net_epoll_backend = {
    .name = "epoll",
    .create = epoll_create_loop,
    .free = epoll_free,
    .listen = epoll_listen,
    .attach = epoll_attach,
    .pause = epoll_pause,
    .resume = epoll_resume,
    .send = epoll_send,
    .want_sent = epoll_want_sent,
    .close = epoll_close_socket,
    .wait = epoll_wait_events,
    .lent = epoll_lent,
    .recycle = epoll_recycle,
    .flush = epoll_flush,
};
