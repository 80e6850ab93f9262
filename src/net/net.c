/* net/net.c: the loop's front: checks the caller's side of the contract, picks a backend, wakes loops.
 *
 * Everything that both backends must promise alike and that can be asserted without knowing them is asserted here, so
 * that a test on one backend catches a mistake that would only hurt on the other.
 *
 * Waking: the waker marks the loop and writes to its eventfd only when the loop sleeps or is about to. The loop says
 * that it goes to sleep with a compare-and-swap that fails when a mark is there, so a wake is never lost; at worst the
 * eventfd is written for a loop that has just woken up by itself, which costs one empty turn.
 */
#include "net/net.h"

#include "net/net_internal.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static bool is_power_of_two(unsigned n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

static roan_status complete_options(roan_net_options *options, roan_error *reterr)
{
    if (options->buffer_count == 0)
        options->buffer_count = ROAN_NET_DEFAULT_BUFFER_COUNT;
    if (options->buffer_bytes == 0)
        options->buffer_bytes = ROAN_NET_DEFAULT_BUFFER_BYTES;
    if (!is_power_of_two(options->buffer_count) || options->buffer_count > ROAN_NET_BUFFER_COUNT_MAX)
        return roan_error_set(reterr, ROAN_E_INVALID, "%u receive buffers: not a power of two up to %d",
                              options->buffer_count, ROAN_NET_BUFFER_COUNT_MAX);
    if (options->buffer_bytes > INT32_MAX)
        return roan_error_set(reterr, ROAN_E_INVALID, "receive buffers of %u bytes are too large",
                              options->buffer_bytes);
    return ROAN_OK;
}

static roan_status create_with(const roan_net_backend *backend, const roan_net_options *options, roan_net **ret_net,
                               roan_error *reterr)
{
    roan_net *net;
    roan_status status = backend->create(options, &net, reterr);
    if (status != ROAN_OK)
        return status;
    ROAN_ASSERT(net->wake_fd >= 0);
    net->backend = backend;
    net->lazy_sent = options->lazy_sent;
    *ret_net = net;
    return ROAN_OK;
}

roan_status roan_net_create(const roan_net_options *options, roan_net **ret_net, roan_error *reterr)
{
    roan_net_options complete = {0};
    if (options != NULL)
        complete = *options;
    roan_status status = complete_options(&complete, reterr);
    if (status != ROAN_OK)
        return status;

    if (complete.kind != ROAN_NET_EPOLL) {
#if defined(ROAN_URING)
        status = create_with(&roan_net_uring_backend, &complete, ret_net, reterr);
#else
        status = roan_error_set(reterr, ROAN_E_UNSUPPORTED, "this program was built without io_uring");
#endif
        if (status == ROAN_OK || complete.kind == ROAN_NET_URING)
            return status;
    }
    return create_with(&roan_net_epoll_backend, &complete, ret_net, reterr);
}

roan_net *roan_net_free(roan_net *net)
{
    if (net != NULL)
        net->backend->free(net);
    return NULL;
}

const char *roan_net_name(const roan_net *net)
{
    return net->backend->name;
}

static void open_socket(roan_net_socket *socket, int fd, uint32_t flags)
{
    ROAN_ASSERT(fd >= 0);
    ROAN_ASSERT(socket->flags == 0);
    ROAN_ASSERT(socket->operations == 0);
    socket->fd = fd;
    socket->flags = ROAN_NET_OPEN | flags;
}

roan_status roan_net_listen(roan_net *net, roan_net_socket *socket, int fd, roan_error *reterr)
{
    open_socket(socket, fd, ROAN_NET_LISTENER);
    roan_status status = net->backend->listen(net, socket, reterr);
    if (status != ROAN_OK)
        socket->flags = 0;
    return status;
}

roan_status roan_net_attach(roan_net *net, roan_net_socket *socket, int fd, roan_error *reterr)
{
    open_socket(socket, fd, 0);
    roan_status status = net->backend->attach(net, socket, reterr);
    if (status != ROAN_OK)
        socket->flags = 0;
    return status;
}

void roan_net_pause(roan_net *net, roan_net_socket *socket)
{
    ROAN_ASSERT(socket->flags & ROAN_NET_OPEN);
    if (socket->flags & (ROAN_NET_PAUSED | ROAN_NET_CLOSING))
        return;
    socket->flags |= ROAN_NET_PAUSED;
    net->backend->pause(net, socket);
}

void roan_net_resume(roan_net *net, roan_net_socket *socket)
{
    ROAN_ASSERT(socket->flags & ROAN_NET_OPEN);
    if ((socket->flags & (ROAN_NET_PAUSED | ROAN_NET_CLOSING)) != ROAN_NET_PAUSED)
        return;
    socket->flags &= ~(uint32_t)ROAN_NET_PAUSED;
    net->backend->resume(net, socket);
}

bool roan_net_send(roan_net *net, roan_net_socket *socket, const struct iovec *iov, unsigned count)
{
    ROAN_ASSERT((socket->flags & (ROAN_NET_OPEN | ROAN_NET_LISTENER | ROAN_NET_CLOSING | ROAN_NET_SENDING)) ==
                ROAN_NET_OPEN);
    ROAN_ASSERT(count > 0);
    socket->flags |= ROAN_NET_SENDING;
    socket->sending = iov;
    socket->sending_count = count;
    socket->sending_offset = 0;
    return net->backend->send(net, socket);
}

bool roan_net_is_sending(const roan_net_socket *socket)
{
    return (socket->flags & ROAN_NET_SENDING) != 0;
}

void roan_net_want_sent(roan_net *net, roan_net_socket *socket)
{
    if (socket->flags & ROAN_NET_SENDING)
        net->backend->want_sent(net, socket);
}

void roan_net_close(roan_net *net, roan_net_socket *socket)
{
    ROAN_ASSERT(socket->flags & ROAN_NET_OPEN);
    if (socket->flags & ROAN_NET_CLOSING)
        return;
    socket->flags |= ROAN_NET_CLOSING;
    net->backend->close(net, socket);
}

unsigned roan_net_wait(roan_net *net, int64_t timeout_us, roan_net_event *events, unsigned events_max)
{
    ROAN_ASSERT(events_max >= 2);
    ROAN_ASSERT(timeout_us >= -1);
    return net->backend->wait(net, timeout_us, events, events_max);
}

void roan_net_recycle(roan_net *net)
{
    net->backend->recycle(net, 0);
}

size_t roan_net_lent(const roan_net *net)
{
    return net->backend->lent(net);
}

void roan_net_recycle_from(roan_net *net, size_t lent)
{
    net->backend->recycle(net, lent);
}

void roan_net_flush(roan_net *net)
{
    net->backend->flush(net);
}

void roan_net_wake(roan_net *net)
{
    /* A read-modify-write also over a pending wake: the loop's own exchange then sees what was written before. */
    if (atomic_exchange(&net->sleep_state, ROAN_NET_WAKE_PENDING) == ROAN_NET_SLEEPING)
        ROAN_IGNORE(eventfd_write(net->wake_fd, 1)); /* fails only when 2^64 - 2 wakes are pending */
}

bool roan_net_advance_sending(roan_net_socket *socket, size_t bytes)
{
    while (socket->sending_count > 0 && bytes >= socket->sending->iov_len - socket->sending_offset) {
        bytes -= socket->sending->iov_len - socket->sending_offset;
        socket->sending_offset = 0;
        socket->sending++;
        socket->sending_count--;
    }
    socket->sending_offset += bytes;
    ROAN_ASSERT(bytes == 0 || socket->sending_count > 0);
    return socket->sending_count == 0;
}

bool roan_net_accept_error_is_lasting(int error)
{
    switch (error) {
    /* The connection, not the listener, failed (accept(2), "Error handling"), or somebody else was faster. */
    case EAGAIN:
    case EINTR:
    case ECANCELED:
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case EOPNOTSUPP:
        return false;
    default: /* EMFILE, ENFILE, ENOBUFS, ENOMEM and whatever else would come again at once */
        return true;
    }
}

int64_t roan_net_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
