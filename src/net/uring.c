/* net/uring.c: the loop over io_uring.
 *
 * One ring per loop, created and used by one thread, whose completions are only produced while that thread is in
 * io_uring_enter (deferred task work). One enter per wait submits the whole batch of sends and collects what arrived.
 *
 * Receiving: one multishot receive per socket, filling buffers the kernel takes from a ring shared by all. A receive
 * ends when buffers run out, the completion queue is full, or it is cancelled; the socket then goes on the ready list,
 * and run_ready() is the one place where receives and accepts are armed. A socket that found no buffer (STARVED) waits
 * in `starved` or `fed` until some come back, and no more of them are armed than there are buffers.
 *
 *                  run_ready()            completion without MORE
 *     ready list ------------> ARMED --------------------------------> ready list (or starved, fed, delayed, nothing)
 *
 * Sending: two ways.
 *   fast: MSG_DONTWAIT | MSG_WAITALL with CQE_SKIP_SUCCESS. The kernel executes it inside the enter that submits it and
 *         never keeps it: either every byte went into the socket buffer and there is no completion, or there is one
 *         that says how many bytes went or why none did. So once the enter is over and all completions up to the
 *         queue's tail have been looked at, no news is proof: the bytes are the owner's again. (Without MSG_DONTWAIT
 *         silence would prove nothing, because a full socket buffer leaves the request armed.)
 *   slow: what a fast send left over, and what is too large for it. Plain MSG_WAITALL; the kernel keeps the request
 *         until the peer reads, and its completion is always seen.
 *
 *     send() -> FAST in sending list --resolve_sends()--> SENT | SEND_FAILED | slow --completion--> SENT | SEND_FAILED
 *
 * Invariant 1: socket->operations counts the completions still to come plus one while the socket is in the sending
 *              list; CLOSED is reported only at zero, so no completion can name memory that was given back. Checked by
 *              report_closed().
 * Invariant 2: a socket is LISTED (ready, starved, fed, delayed) or ARMED, never both. Checked by arm(), make_ready().
 * Invariant 3: `lent` holds the ids of exactly those buffers the owner may be looking at.
 */
#include "net/net_internal.h"

#include <errno.h>
#include <liburing.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"

enum {
    ARMED = ROAN_NET_BACKEND_FLAG,           /* a receive or accept is in flight */
    CANCELLING = ROAN_NET_BACKEND_FLAG << 1, /* and so is its cancellation */
    FED = ROAN_NET_BACKEND_FLAG << 2,        /* it received something since it was armed */
    STARVED = ROAN_NET_BACKEND_FLAG << 3,    /* its last receive found no buffer */
    SUSPECT = ROAN_NET_BACKEND_FLAG << 4,    /* in the ring of suspects */
    FAST = ROAN_NET_BACKEND_FLAG << 5,       /* in the sending list */
    FELL_SHORT = ROAN_NET_BACKEND_FLAG << 6, /* its fast send completed with sending_result */
    SLOW = ROAN_NET_BACKEND_FLAG << 7,       /* a slow send is in flight */
};

enum {
    SUBMISSION_ENTRIES = 512,
    COMPLETION_ENTRIES = 8192,
    BUFFER_GROUP = 0,
    BUFFERS_AT_FIRST = 8,
    BUFFER_SKEW = ROAN_CACHE_LINE,  /* neighbours start in different cache sets */
    SWEEP_INTERVAL_US = 50 * 1000,
    SWEEP_COUNT_MAX = 512,          /* suspects looked at per wait */
};

/* What a completion belongs to: the low bits of user_data; the rest is the socket. */
enum { TAG_RECEIVE, TAG_ACCEPT, TAG_SEND_FAST, TAG_SEND_SLOW, TAG_CANCEL, TAG_WAKE, TAG_MASK = 7 };

_Static_assert(_Alignof(roan_net_socket) > TAG_MASK, "the tag needs the low bits of a socket's address");

typedef struct net_uring {
    roan_net base;
    struct io_uring ring;
    struct io_uring_buf_ring *buffer_ring;
    char *buffers;
    size_t buffer_stride;
    unsigned buffer_count, buffer_bytes;
    unsigned offered;         /* buffers in use: few at first, so that memory stays small; more when they run out */
    unsigned lent_count;      /* buffers the owner holds */
    uint16_t *lent;           /* their ids */
    struct msghdr *headers;   /* one per submission slot */
    roan_net_socket *sending_first, *sending_last; /* fast sends in order of submission */
    unsigned scanned;         /* completions before this position were searched for fast sends */
    bool fast_sends;
    bool sent_wanted;
    bool wake_armed;
    roan_net_list ready;        /* to be armed, or to report CLOSED */
    roan_net_list starved, fed; /* STARVED: those that got nothing since they were armed, the others */
    roan_net_list delayed;      /* listeners that wait until accepting is worth another try */
    int64_t delayed_until_us;
    roan_net_socket **suspects; /* a ring; closed sockets leave NULL */
    uint32_t suspects_capacity, suspects_head, suspects_tail, sweep_end;
    int64_t sweep_due_us;       /* 0: not set */
} net_uring;

static net_uring *from_base(roan_net *base)
{
    return (net_uring *)base;
}

static roan_net_socket *socket_of(uint64_t user_data)
{
    return (roan_net_socket *)(uintptr_t)(user_data & ~(uint64_t)TAG_MASK);
}

static struct io_uring_sqe *next_sqe(net_uring *net)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&net->ring);
    if (ROAN_UNLIKELY(sqe == NULL)) {
        io_uring_submit(&net->ring);
        sqe = io_uring_get_sqe(&net->ring);
        ROAN_ASSERT(sqe != NULL); /* the kernel takes none of 512 requests: no memory left for it */
    }
    return sqe;
}

static void tag_sqe(struct io_uring_sqe *sqe, roan_net_socket *socket, unsigned tag)
{
    sqe->user_data = (uint64_t)(uintptr_t)socket | tag;
    socket->operations++;
}

/* --- buffers ------------------------------------------------------------------------------------------------------ */

static void give_buffer(net_uring *net, unsigned id, unsigned offset)
{
    io_uring_buf_ring_add(net->buffer_ring, net->buffers + id * net->buffer_stride, net->buffer_bytes,
                          (unsigned short)id, (int)net->buffer_count - 1, (int)offset);
}

static size_t uring_lent(const roan_net *base)
{
    return ((const net_uring *)base)->lent_count;
}

static void uring_recycle(roan_net *base, size_t from)
{
    net_uring *net = from_base(base);
    unsigned kept = (unsigned)from;
    for (unsigned i = kept; i < net->lent_count; i++)
        give_buffer(net, net->lent[i], i - kept);
    io_uring_buf_ring_advance(net->buffer_ring, (int)(net->lent_count - kept));
    net->lent_count = kept;
}

/* Brings further buffers into use, up to `offered` of them. */
static void offer_buffers(net_uring *net, unsigned offered)
{
    offered = ROAN_MIN(offered, net->buffer_count);
    for (unsigned id = net->offered; id < offered; id++)
        give_buffer(net, id, id - net->offered);
    io_uring_buf_ring_advance(net->buffer_ring, (int)(offered - net->offered));
    net->offered = offered;
}

/* Puts a buffer back that nobody looked at. */
static void return_buffer(net_uring *net, const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_BUFFER))
        return;
    give_buffer(net, cqe->flags >> IORING_CQE_BUFFER_SHIFT, 0);
    io_uring_buf_ring_advance(net->buffer_ring, 1);
}

/* --- receiving and accepting -------------------------------------------------------------------------------------- */

static void prepare_receive(struct io_uring_sqe *sqe, int fd)
{
    /* Not with IORING_RECVSEND_POLL_FIRST: on Linux 6.18 that loses the end of a stream whose last bytes and whose end
     * are both there already. */
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
}

static void arm(net_uring *net, roan_net_socket *socket)
{
    ROAN_ASSERT(!(socket->flags & (ARMED | ROAN_NET_LISTED)));
    struct io_uring_sqe *sqe = next_sqe(net);
    if (socket->flags & ROAN_NET_LISTENER) {
        io_uring_prep_multishot_accept(sqe, socket->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        tag_sqe(sqe, socket, TAG_ACCEPT);
    } else {
        prepare_receive(sqe, socket->fd);
        tag_sqe(sqe, socket, TAG_RECEIVE);
    }
    socket->flags |= ARMED;
    socket->flags &= ~(uint32_t)(STARVED | FED);
}

static void make_ready(net_uring *net, roan_net_socket *socket)
{
    if (!(socket->flags & (ROAN_NET_LISTED | ARMED)))
        roan_net_list_push(&net->ready, socket);
}

/* For one that found no buffer. Who got something last time comes after all that got nothing, or one flood that is
 * first in line would take every buffer every time. */
static void make_starved(net_uring *net, roan_net_socket *socket)
{
    roan_net_list_push(socket->flags & FED ? &net->fed : &net->starved, socket);
}

static void cancel(net_uring *net, roan_net_socket *socket, unsigned tag)
{
    struct io_uring_sqe *sqe = next_sqe(net);
    io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)socket | tag, 0);
    tag_sqe(sqe, socket, TAG_CANCEL);
}

/* Ends the receive or accept in flight; its completion makes the socket ready unless it is paused. */
static void disarm(net_uring *net, roan_net_socket *socket)
{
    if ((socket->flags & (ARMED | CANCELLING)) != ARMED)
        return;
    socket->flags |= CANCELLING;
    cancel(net, socket, socket->flags & ROAN_NET_LISTENER ? TAG_ACCEPT : TAG_RECEIVE);
}

static void report_closed(roan_net_batch *batch, roan_net_socket *socket)
{
    ROAN_ASSERT(socket->operations == 0);
    ROAN_ASSERT(!(socket->flags & (ARMED | SUSPECT | FAST | SLOW | ROAN_NET_LISTED)));
    if (!(socket->flags & ROAN_NET_LISTENER))
        close(socket->fd);
    socket->fd = -1;
    socket->flags = 0;
    roan_net_batch_add(batch, ROAN_NET_CLOSED, socket);
}

/* For a closing socket one of whose operations has ended; there must be room for an event. */
static void finish_closing(roan_net_batch *batch, roan_net_socket *socket)
{
    if (socket->operations == 0 && !(socket->flags & ROAN_NET_LISTED))
        report_closed(batch, socket);
}

/* Arms what waits to be armed and reports the closed sockets that had nothing in flight. Brings more buffers into use
 * when there were too few since the last turn. */
static void run_ready(net_uring *net, roan_net_batch *batch)
{
    bool is_short = net->starved.first != NULL || net->fed.first != NULL;
    if (ROAN_UNLIKELY(is_short) && net->offered < net->buffer_count)
        offer_buffers(net, net->offered * 2);
    unsigned free_buffers = net->offered - net->lent_count;
    if (ROAN_UNLIKELY(is_short) && free_buffers > 0) {
        roan_net_list_append(&net->ready, &net->starved);
        roan_net_list_append(&net->ready, &net->fed);
    }
    if (ROAN_UNLIKELY(net->delayed.first != NULL) && roan_net_now_us() >= net->delayed_until_us)
        roan_net_list_append(&net->ready, &net->delayed);

    for (unsigned left = net->ready.count; left > 0 && roan_net_batch_has_room(batch); left--) {
        roan_net_socket *socket = roan_net_list_pop(&net->ready);
        if (socket->flags & ROAN_NET_CLOSING) {
            finish_closing(batch, socket);
        } else if (socket->flags & (ROAN_NET_PAUSED | ROAN_NET_AT_EOF)) {
            continue;
        } else if (!(socket->flags & STARVED)) {
            arm(net, socket);
        } else if (free_buffers > 0) {
            free_buffers--;
            arm(net, socket);
        } else {
            make_starved(net, socket);
        }
    }
}

/* --- suspects ----------------------------------------------------------------------------------------------------- *
 *
 * Linux forgets the end of a stream in a multishot receive when the peer's last bytes and its end are there before the
 * receive runs: it delivers the bytes, sees nothing left, and waits for a wake-up that has already been (6.18, and more
 * often before). So every socket that received something is looked at once more within SWEEP_INTERVAL_US, many with
 * one poll(2), and if its peer has hung up the receive is armed anew, which notices. A peer that hangs up later wakes
 * the receive by that alone. */

static void grow_suspects(net_uring *net)
{
    uint32_t capacity = ROAN_MAX(net->suspects_capacity * 2, 64u);
    roan_net_socket **suspects = roan_alloc_zero(capacity * sizeof *suspects);
    for (uint32_t i = net->suspects_head; i != net->suspects_tail; i++)
        suspects[i & (capacity - 1)] = net->suspects[i & (net->suspects_capacity - 1)];
    roan_free(net->suspects, net->suspects_capacity * sizeof *suspects);
    net->suspects = suspects;
    net->suspects_capacity = capacity;
}

static void add_suspect(net_uring *net, roan_net_socket *socket)
{
    if (net->suspects_tail - net->suspects_head == net->suspects_capacity)
        grow_suspects(net);
    socket->flags |= SUSPECT;
    socket->suspect_position = net->suspects_tail++;
    net->suspects[socket->suspect_position & (net->suspects_capacity - 1)] = socket;
}

static void remove_suspect(net_uring *net, roan_net_socket *socket)
{
    if (!(socket->flags & SUSPECT))
        return;
    socket->flags &= ~(uint32_t)SUSPECT;
    net->suspects[socket->suspect_position & (net->suspects_capacity - 1)] = NULL;
}

static void sweep_some(net_uring *net)
{
    struct pollfd polls[SWEEP_COUNT_MAX];
    roan_net_socket *sockets[SWEEP_COUNT_MAX];
    unsigned count = 0;
    for (; count < SWEEP_COUNT_MAX && net->suspects_head != net->sweep_end; net->suspects_head++) {
        roan_net_socket *socket = net->suspects[net->suspects_head & (net->suspects_capacity - 1)];
        if (socket == NULL)
            continue;
        remove_suspect(net, socket);
        sockets[count] = socket;
        polls[count++] = (struct pollfd){.fd = socket->fd, .events = POLLRDHUP};
    }
    if (poll(polls, count, 0) <= 0)
        return; /* with nothing, usually; with ENOMEM the peers' next bytes make them suspects again */
    for (unsigned i = 0; i < count; i++) {
        if (polls[i].revents != 0)
            disarm(net, sockets[i]);
    }
}

static int64_t coarse_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Does what is due; returns how long the loop may sleep, -1 for ever. */
static int64_t sweep_suspects(net_uring *net)
{
    if (net->suspects_head == net->suspects_tail) {
        net->sweep_due_us = 0;
        return -1;
    }
    int64_t now_us = coarse_now_us();
    if (net->sweep_due_us == 0)
        net->sweep_due_us = now_us + SWEEP_INTERVAL_US;
    if (now_us < net->sweep_due_us)
        return net->sweep_due_us - now_us;
    if (net->suspects_head == net->sweep_end)
        net->sweep_end = net->suspects_tail;
    sweep_some(net);
    if (net->suspects_head != net->sweep_end)
        return 0;
    net->sweep_due_us = now_us + SWEEP_INTERVAL_US;
    return net->suspects_head == net->suspects_tail ? -1 : SWEEP_INTERVAL_US;
}

/* --- completions of receives and accepts -------------------------------------------------------------------------- */

static void report_eof(roan_net_batch *batch, roan_net_socket *socket, int error)
{
    socket->flags |= ROAN_NET_AT_EOF;
    roan_net_batch_add(batch, ROAN_NET_EOF, socket)->error = error;
}

static void complete_receive(net_uring *net, roan_net_batch *batch, roan_net_socket *socket,
                             const struct io_uring_cqe *cqe)
{
    if (ROAN_UNLIKELY(!(cqe->flags & IORING_CQE_F_MORE))) {
        socket->flags &= ~(uint32_t)ARMED;
        socket->operations--;
    }
    if (ROAN_UNLIKELY(socket->flags & ROAN_NET_CLOSING)) {
        return_buffer(net, cqe);
        finish_closing(batch, socket);
        return;
    }
    if (ROAN_LIKELY(cqe->res > 0)) {
        ROAN_ASSERT(cqe->flags & IORING_CQE_F_BUFFER);
        unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        roan_net_event *event = roan_net_batch_add(batch, ROAN_NET_RECEIVED, socket);
        event->data = net->buffers + id * net->buffer_stride;
        event->bytes = (size_t)cqe->res;
        net->lent[net->lent_count++] = (uint16_t)id;
        socket->flags |= FED;
        if (!(socket->flags & SUSPECT))
            add_suspect(net, socket);
        make_ready(net, socket);
        return;
    }
    return_buffer(net, cqe);
    switch (-cqe->res) {
    case ENOBUFS:
        socket->flags |= STARVED;
        make_starved(net, socket);
        return;
    case ECANCELED: /* by pause(); a resume() may have come since */
    case EAGAIN:
    case EINTR:
        break;
    default:
        report_eof(batch, socket, -cqe->res);
        return;
    }
    make_ready(net, socket);
}

static void complete_accept(net_uring *net, roan_net_batch *batch, roan_net_socket *socket,
                            const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        socket->flags &= ~(uint32_t)ARMED;
        socket->operations--;
    }
    if (socket->flags & ROAN_NET_CLOSING) {
        if (cqe->res >= 0)
            close(cqe->res);
        finish_closing(batch, socket);
        return;
    }
    if (cqe->res >= 0) {
        roan_net_batch_add(batch, ROAN_NET_ACCEPTED, socket)->fd = cqe->res;
    } else if (roan_net_accept_error_is_lasting(-cqe->res) && !(socket->flags & (ARMED | ROAN_NET_LISTED))) {
        roan_net_batch_add(batch, ROAN_NET_ACCEPT_FAILED, socket)->error = -cqe->res;
        net->delayed_until_us = roan_net_now_us() + ROAN_NET_ACCEPT_RETRY_US;
        roan_net_list_push(&net->delayed, socket);
        return;
    }
    make_ready(net, socket);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

/* How many iovecs the next operation takes: one turn's worth, at least one, which may have to be cut. Cutting also
 * keeps every operation far from the 2 GiB that a system call silently stops at. */
static unsigned count_turn(const roan_net_socket *socket)
{
    unsigned count = 1;
    size_t bytes = socket->sending->iov_len;
    while (count < socket->sending_count && count < IOV_MAX) {
        bytes += socket->sending[count].iov_len;
        if (bytes > ROAN_NET_SEND_BYTES_PER_TURN)
            break;
        count++;
    }
    return count;
}

/* Prepares one turn's worth and tells whether that is all there is. The rest of a half-sent iovec goes alone, so that
 * none has to be copied or changed. */
static bool prepare_send(net_uring *net, struct io_uring_sqe *sqe, const roan_net_socket *socket, int flags)
{
    const struct iovec *first = socket->sending;
    unsigned count = socket->sending_offset > 0 ? 1 : count_turn(socket);
    if (count == 1) {
        size_t bytes = first->iov_len - socket->sending_offset;
        size_t turn_bytes = ROAN_MIN(bytes, (size_t)ROAN_NET_SEND_BYTES_PER_TURN);
        const char *data = first->iov_base;
        if (socket->sending_offset > 0)
            data += socket->sending_offset;
        io_uring_prep_send(sqe, socket->fd, data, turn_bytes, flags);
        return socket->sending_count == 1 && turn_bytes == bytes;
    }
    struct msghdr *header = &net->headers[sqe - net->ring.sq.sqes];
    *header = (struct msghdr){.msg_iov = (struct iovec *)(uintptr_t)first, .msg_iovlen = count};
    io_uring_prep_sendmsg(sqe, socket->fd, header, (unsigned)flags);
    return socket->sending_count == count;
}

static void start_slow_send(net_uring *net, roan_net_socket *socket)
{
    struct io_uring_sqe *sqe = next_sqe(net);
    ROAN_IGNORE(prepare_send(net, sqe, socket, MSG_WAITALL | MSG_NOSIGNAL)); /* its completion says how much */
    tag_sqe(sqe, socket, TAG_SEND_SLOW);
    socket->flags |= SLOW;
}

static bool uring_send(roan_net *base, roan_net_socket *socket)
{
    net_uring *net = from_base(base);
    struct io_uring_sqe *sqe = next_sqe(net);
    bool is_whole = prepare_send(net, sqe, socket, MSG_WAITALL | MSG_NOSIGNAL);
    if (ROAN_UNLIKELY(!is_whole || !net->fast_sends)) {
        tag_sqe(sqe, socket, TAG_SEND_SLOW);
        socket->flags |= SLOW;
        return false;
    }
    sqe->msg_flags |= MSG_DONTWAIT;
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    tag_sqe(sqe, socket, TAG_SEND_FAST);

    socket->flags |= FAST;
    socket->sending_position = net->ring.sq.sqe_tail - 1;
    socket->next_sending = NULL;
    if (net->sending_first == NULL)
        net->sending_first = socket;
    else
        net->sending_last->next_sending = socket;
    net->sending_last = socket;
    return false;
}

static void uring_want_sent(roan_net *base, roan_net_socket *socket)
{
    if (socket->flags & FAST)
        from_base(base)->sent_wanted = true;
}

static void report_sent(roan_net_batch *batch, roan_net_socket *socket)
{
    socket->flags &= ~(uint32_t)ROAN_NET_SENDING;
    roan_net_batch_add(batch, ROAN_NET_SENT, socket);
}

static void report_send_failed(roan_net_batch *batch, roan_net_socket *socket, int error)
{
    socket->flags &= ~(uint32_t)ROAN_NET_SENDING;
    roan_net_batch_add(batch, ROAN_NET_SEND_FAILED, socket)->error = error;
}

/* A send completed with `result` and the socket is not closing: report it or send what is left. */
static void continue_send(net_uring *net, roan_net_batch *batch, roan_net_socket *socket, int result)
{
    if (result == -EAGAIN || result == -EINTR) {
        start_slow_send(net, socket);
    } else if (result < 0) {
        report_send_failed(batch, socket, -result);
    } else if (roan_net_advance_sending(socket, (size_t)result)) {
        report_sent(batch, socket);
    } else {
        start_slow_send(net, socket);
    }
}

static void complete_slow_send(net_uring *net, roan_net_batch *batch, roan_net_socket *socket, int result)
{
    socket->operations--;
    socket->flags &= ~(uint32_t)SLOW;
    if (socket->flags & ROAN_NET_CLOSING)
        finish_closing(batch, socket);
    else
        continue_send(net, batch, socket, result);
}

/* Notes the fast sends that did not go out whole: all that completed up to the queue's tail. */
static void scan_completions(net_uring *net)
{
    const struct io_uring_cq *queue = &net->ring.cq;
    unsigned tail = io_uring_smp_load_acquire(queue->ktail);
    if (net->sending_first == NULL) {
        net->scanned = tail;
        return;
    }
    for (; net->scanned != tail; net->scanned++) {
        const struct io_uring_cqe *cqe = &queue->cqes[net->scanned & queue->ring_mask];
        if ((cqe->user_data & TAG_MASK) != TAG_SEND_FAST)
            continue;
        roan_net_socket *socket = socket_of(cqe->user_data);
        ROAN_ASSERT(socket->flags & FAST);
        socket->flags |= FELL_SHORT;
        socket->sending_result = cqe->res;
    }
}

static void resolve_send(net_uring *net, roan_net_batch *batch, roan_net_socket *socket)
{
    bool fell_short = (socket->flags & FELL_SHORT) != 0;
    socket->flags &= ~(uint32_t)(FAST | FELL_SHORT);
    socket->operations--;
    if (ROAN_UNLIKELY(socket->flags & ROAN_NET_CLOSING))
        finish_closing(batch, socket);
    else if (ROAN_UNLIKELY(fell_short))
        continue_send(net, batch, socket, socket->sending_result);
    else
        report_sent(batch, socket);
}

/* Ends the fast sends that the kernel has executed, which is all it has taken from the submission queue. */
static void resolve_sends(net_uring *net, roan_net_batch *batch)
{
    unsigned executed = *net->ring.sq.khead;
    scan_completions(net);
    if (io_uring_cq_has_overflow(&net->ring))
        return; /* some completions are not in the queue yet; the next enter brings them */

    /* Leave room for what was received. */
    unsigned room = batch->max - batch->count;
    if (io_uring_cq_ready(&net->ring) > 0)
        room = (room + 1) / 2;
    while (net->sending_first != NULL && room > 0) {
        roan_net_socket *socket = net->sending_first;
        if (!(socket->flags & FELL_SHORT) && (int32_t)(socket->sending_position - executed) >= 0)
            break;
        net->sending_first = socket->next_sending;
        resolve_send(net, batch, socket);
        room--;
    }
}

/* --- closing ------------------------------------------------------------------------------------------------------ */

static void uring_pause(roan_net *base, roan_net_socket *socket)
{
    disarm(from_base(base), socket);
}

static void uring_resume(roan_net *base, roan_net_socket *socket)
{
    /* Still armed: the cancellation is under way, and its completion makes the socket ready. */
    make_ready(from_base(base), socket);
}

/* Each operation is cancelled by its own name, as the kernel would look through all operations of the ring for those of
 * a descriptor. The shutdown ends what a cancellation comes too late for. */
static void uring_close(roan_net *base, roan_net_socket *socket)
{
    net_uring *net = from_base(base);
    if (!(socket->flags & ROAN_NET_LISTENER))
        ROAN_IGNORE(shutdown(socket->fd, SHUT_RDWR)); /* ENOTCONN: the peer was faster */
    disarm(net, socket);
    if (socket->flags & SLOW)
        cancel(net, socket, TAG_SEND_SLOW);
    remove_suspect(net, socket);
    if (socket->flags & ROAN_NET_LISTED) {
        roan_net_list_append(&net->ready, &net->starved);
        roan_net_list_append(&net->ready, &net->fed);
        roan_net_list_append(&net->ready, &net->delayed);
    }
    make_ready(net, socket);
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

static void complete_cancel(net_uring *net, roan_net_batch *batch, roan_net_socket *socket)
{
    socket->operations--;
    socket->flags &= ~(uint32_t)CANCELLING;
    if (socket->flags & ROAN_NET_CLOSING)
        finish_closing(batch, socket);
    else if (socket->flags & ROAN_NET_PAUSED)
        disarm(net, socket); /* it was armed once more behind the cancellation, and then paused */
}

/* Turns completions into events, one at most for each, as far as there is room. */
static void take_completions(net_uring *net, roan_net_batch *batch)
{
    const struct io_uring_cq *queue = &net->ring.cq;
    unsigned head = *queue->khead;
    unsigned tail = net->scanned;
    for (; head != tail && roan_net_batch_has_room(batch); head++) {
        const struct io_uring_cqe *cqe = &queue->cqes[head & queue->ring_mask];
        roan_net_socket *socket = socket_of(cqe->user_data);
        switch (cqe->user_data & TAG_MASK) {
        case TAG_RECEIVE:
            complete_receive(net, batch, socket, cqe);
            break;
        case TAG_ACCEPT:
            complete_accept(net, batch, socket, cqe);
            break;
        case TAG_SEND_FAST: /* dealt with by resolve_sends() */
            break;
        case TAG_SEND_SLOW:
            complete_slow_send(net, batch, socket, cqe->res);
            break;
        case TAG_CANCEL:
            complete_cancel(net, batch, socket);
            break;
        case TAG_WAKE: /* sleep_state has the news */
            if (!(cqe->flags & IORING_CQE_F_MORE))
                net->wake_armed = false;
            break;
        default:
            ROAN_UNREACHABLE("a completion of nothing we submit");
        }
    }
    io_uring_smp_store_release(queue->khead, head);
}

static void arm_wake(net_uring *net)
{
    struct io_uring_sqe *sqe = next_sqe(net);
    io_uring_prep_poll_multishot(sqe, net->base.wake_fd, POLLIN);
    sqe->user_data = TAG_WAKE;
    net->wake_armed = true;
}

/* How long to sleep, given what is still to be done; 0 when there is something to report. */
static int64_t sleep_time(const net_uring *net, int64_t timeout_us, const roan_net_batch *batch)
{
    if (batch->count > 0 || net->ready.first != NULL)
        return 0;
    if (net->sending_first != NULL && (net->sent_wanted || !net->base.lazy_sent))
        return 0;
    if ((net->starved.first != NULL || net->fed.first != NULL) && net->lent_count < net->offered)
        return 0;
    if (net->delayed.first != NULL) {
        int64_t left_us = ROAN_MAX(net->delayed_until_us - roan_net_now_us(), 0);
        if (timeout_us < 0 || left_us < timeout_us)
            return left_us;
    }
    return timeout_us;
}

/* A signal, the time-out and a kernel short of memory leave everything in place for the next turn. Anything else is a
 * mistake of ours (another thread than the creating one: EEXIST) or lost completions (EBADR), and no way to go on. */
static void check_entered(int result)
{
    ROAN_ASSERT(result >= 0 || result == -EINTR || result == -ETIME || result == -EAGAIN || result == -EBUSY ||
                result == -ENOMEM);
}

/* Submits, lets completions happen, and sleeps when nothing else is to be done. */
static void enter(net_uring *net, int64_t timeout_us, unsigned room)
{
    unsigned waiting = io_uring_cq_ready(&net->ring);
    if (ROAN_UNLIKELY(waiting >= room)) { /* enough to do; more would pile up */
        if (io_uring_sq_ready(&net->ring) > 0)
            check_entered(io_uring_submit(&net->ring));
        return;
    }
    if (waiting > 0 || timeout_us == 0 || !roan_net_begin_sleep(&net->base)) {
        check_entered(io_uring_submit_and_get_events(&net->ring));
        return;
    }
    if (timeout_us < 0) {
        check_entered(io_uring_submit_and_wait(&net->ring, 1));
    } else {
        struct __kernel_timespec time = {.tv_sec = timeout_us / 1000000, .tv_nsec = timeout_us % 1000000 * 1000};
        struct io_uring_cqe *cqe;
        check_entered(io_uring_submit_and_wait_timeout(&net->ring, &cqe, 1, &time, NULL));
    }
    roan_net_end_sleep(&net->base);
}

static unsigned uring_wait(roan_net *base, int64_t timeout_us, roan_net_event *events, unsigned events_max)
{
    net_uring *net = from_base(base);
    roan_net_batch batch = {.events = events, .count = 0, .max = events_max};
    if (ROAN_UNLIKELY(!net->wake_armed))
        arm_wake(net);
    int64_t sweep_us = sweep_suspects(net);
    if (sweep_us >= 0 && (timeout_us < 0 || sweep_us < timeout_us))
        timeout_us = sweep_us;
    run_ready(net, &batch);
    enter(net, sleep_time(net, timeout_us, &batch), batch.max - batch.count);
    roan_net_take_wake(base, &batch);
    resolve_sends(net, &batch);
    take_completions(net, &batch);
    net->sent_wanted = false;
    return batch.count;
}

static void uring_flush(roan_net *base)
{
    io_uring_submit(&from_base(base)->ring);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static size_t buffer_ring_bytes(const net_uring *net)
{
    return net->buffer_count * sizeof(struct io_uring_buf);
}

static void *map_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static roan_status create_ring(net_uring *net, roan_error *reterr)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
        .cq_entries = COMPLETION_ENTRIES,
    };
    int error = -io_uring_queue_init_params(SUBMISSION_ENTRIES, &net->ring, &params);
    net->ring.ring_fd = error == 0 ? net->ring.ring_fd : -1;
    switch (error) {
    case 0:
        break;
    case ENOSYS:
        return roan_error_set_errno(reterr, error, "io_uring: this kernel has none");
    case EPERM:
    case EACCES:
        return roan_error_set_errno(reterr, error, "io_uring is forbidden (kernel.io_uring_disabled or seccomp)");
    case EINVAL:
        return roan_error_set_errno(reterr, error, "io_uring: the kernel has no deferred task work (Linux 6.1)");
    default:
        return roan_error_set_errno(reterr, error, "io_uring: create a ring");
    }
    if (!(params.features & IORING_FEAT_NODROP) || !(params.features & IORING_FEAT_EXT_ARG) ||
        !(params.features & IORING_FEAT_SUBMIT_STABLE))
        return roan_error_set(reterr, ROAN_E_UNSUPPORTED, "io_uring: kernel features are missing");
    ROAN_IGNORE(io_uring_register_ring_fd(&net->ring)); /* only saves a look-up */
    ROAN_IGNORE(io_uring_ring_dontfork(&net->ring));    /* no child has any business with it */
    return ROAN_OK;
}

static roan_status create_buffers(net_uring *net, roan_error *reterr)
{
    net->buffer_stride = net->buffer_bytes + BUFFER_SKEW;
    net->buffers = map_memory(net->buffer_count * net->buffer_stride);
    net->buffer_ring = map_memory(buffer_ring_bytes(net));
    if (net->buffers == NULL || net->buffer_ring == NULL)
        return roan_error_set_errno(reterr, errno, "%u receive buffers of %u bytes", net->buffer_count,
                                    net->buffer_bytes);
    net->lent = roan_alloc(net->buffer_count * sizeof *net->lent);
    net->headers = roan_alloc(SUBMISSION_ENTRIES * sizeof *net->headers);

    ROAN_IGNORE(madvise(net->buffer_ring, buffer_ring_bytes(net), MADV_DONTFORK)); /* as the ring itself */

    struct io_uring_buf_reg registration = {.ring_addr = (uintptr_t)net->buffer_ring,
                                            .ring_entries = net->buffer_count,
                                            .bgid = BUFFER_GROUP};
    int error = -io_uring_register_buf_ring(&net->ring, &registration, 0);
    if (error != 0)
        return roan_error_set_errno(reterr, error, "io_uring: register a ring of %u receive buffers",
                                    net->buffer_count);
    io_uring_buf_ring_init(net->buffer_ring);
    offer_buffers(net, BUFFERS_AT_FIRST);
    return ROAN_OK;
}

/* Takes the next completion if there is one; returns its result, or INT_MIN. */
static int take_probe_result(net_uring *net, unsigned *ret_flags)
{
    struct io_uring_cqe *cqe;
    io_uring_submit_and_get_events(&net->ring);
    if (io_uring_cq_ready(&net->ring) == 0)
        return INT_MIN;
    cqe = &net->ring.cq.cqes[*net->ring.cq.khead & net->ring.cq.ring_mask];
    int result = cqe->res;
    *ret_flags = cqe->flags;
    return_buffer(net, cqe);
    io_uring_cq_advance(&net->ring, 1);
    return result;
}

/* Does a fast send that goes out in part say how much went? Kernels before 6.1 said EAGAIN. */
static bool probe_fast_send(net_uring *net, int fd)
{
    enum { PIECES = 256, PIECE_BYTES = 4096 }; /* 1 MiB, more than the socket buffer takes */
    static const char filler[PIECE_BYTES];
    struct iovec iov[PIECES];
    struct msghdr header = {.msg_iov = iov, .msg_iovlen = PIECES};
    int small = PIECE_BYTES;
    ROAN_IGNORE(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small)); /* the default would be small enough */
    for (unsigned i = 0; i < PIECES; i++)
        iov[i] = (struct iovec){.iov_base = (char *)(uintptr_t)filler, .iov_len = PIECE_BYTES};

    struct io_uring_sqe *sqe = next_sqe(net);
    io_uring_prep_sendmsg(sqe, fd, &header, MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = TAG_SEND_FAST;
    unsigned flags;
    int result = take_probe_result(net, &flags);
    return result > 0 && result < PIECES * PIECE_BYTES;
}

/* Does a multishot receive go on after the first buffer? Leaves nothing in flight. */
static bool probe_receive(net_uring *net, int fd, int peer_fd)
{
    struct io_uring_sqe *sqe = next_sqe(net);
    prepare_receive(sqe, fd);
    sqe->user_data = TAG_RECEIVE;
    unsigned flags;
    int result = take_probe_result(net, &flags);
    bool works = result > 0 && (flags & IORING_CQE_F_BUFFER) != 0;
    ROAN_IGNORE(shutdown(peer_fd, SHUT_RDWR)); /* cannot fail on a pair of ours; the bound below holds anyway */
    for (unsigned i = 0; i < 4096 && result > 0; i++)
        result = take_probe_result(net, &flags);
    return works;
}

static roan_status probe_kernel(net_uring *net, roan_error *reterr)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return roan_error_set_errno(reterr, errno, "io_uring: a socket pair to try it on");
    net->fast_sends = probe_fast_send(net, pair[0]);
    if (!net->fast_sends)
        ROAN_IGNORE(send(pair[0], "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL)); /* the next probe tells whether it went */
    bool can_receive = probe_receive(net, pair[1], pair[0]);
    close(pair[0]);
    close(pair[1]);
    net->scanned = *net->ring.cq.khead;
    if (!can_receive)
        return roan_error_set(reterr, ROAN_E_UNSUPPORTED,
                              "io_uring: the kernel has no multishot receive into a buffer ring (Linux 6.0)");
    return ROAN_OK;
}

/* Waits until the kernel has let go of all descriptors and memory, so that a listener's port is free again. */
static void cancel_everything(net_uring *net)
{
    struct io_uring_sync_cancel_reg registration = {
        .fd = -1, .flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL, .timeout = {.tv_sec = 1}};
    ROAN_IGNORE(io_uring_register_sync_cancel(&net->ring, &registration)); /* ENOENT: there was nothing */
    io_uring_get_events(&net->ring);
}

static void uring_free(roan_net *base)
{
    net_uring *net = from_base(base);
    if (net->ring.ring_fd >= 0) {
        cancel_everything(net);
        io_uring_queue_exit(&net->ring);
    }
    if (net->buffers != NULL)
        munmap(net->buffers, net->buffer_count * net->buffer_stride);
    if (net->buffer_ring != NULL)
        munmap(net->buffer_ring, buffer_ring_bytes(net));
    roan_free(net->suspects, net->suspects_capacity * sizeof *net->suspects);
    roan_free(net->lent, net->buffer_count * sizeof *net->lent);
    roan_free(net->headers, SUBMISSION_ENTRIES * sizeof *net->headers);
    if (base->wake_fd >= 0)
        close(base->wake_fd);
    roan_free(net, sizeof *net);
}

static roan_status uring_create(const roan_net_options *options, roan_net **ret_net, roan_error *reterr)
{
    net_uring *net = roan_alloc_aligned(_Alignof(net_uring), sizeof *net);
    *net = (net_uring){
        .buffer_count = options->buffer_count, .buffer_bytes = options->buffer_bytes, .ring = {.ring_fd = -1}};
    net->base.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    roan_status status = ROAN_OK;
    if (net->base.wake_fd < 0)
        status = roan_error_set_errno(reterr, errno, "io_uring: create an eventfd");
    if (status == ROAN_OK)
        status = create_ring(net, reterr);
    if (status == ROAN_OK)
        status = create_buffers(net, reterr);
    if (status == ROAN_OK)
        status = probe_kernel(net, reterr);
    if (status != ROAN_OK) {
        uring_free(&net->base);
        return status;
    }
    *ret_net = &net->base;
    return ROAN_OK;
}

static roan_status uring_open(roan_net *base, roan_net_socket *socket, roan_error *reterr)
{
    (void)reterr; /* the kernel's opinion comes as an event */
    make_ready(from_base(base), socket);
    return ROAN_OK;
}

const roan_net_backend roan_net_uring_backend = {
    .name = "io_uring",
    .create = uring_create,
    .free = uring_free,
    .listen = uring_open,
    .attach = uring_open,
    .pause = uring_pause,
    .resume = uring_resume,
    .send = uring_send,
    .want_sent = uring_want_sent,
    .close = uring_close,
    .wait = uring_wait,
    .lent = uring_lent,
    .recycle = uring_recycle,
    .flush = uring_flush,
};
