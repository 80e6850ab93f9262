/* client/socket_transport.c: TCP and Unix sockets under a handle, and sockets that somebody else has connected.
 *
 *     open -> race (race.c) -> a connected socket, in blocking mode -> close
 *     open -> connect() of a roan_descriptor_source -------^
 *
 * The socket blocks because of the commonest case: one caller, one command, one reply. It shall cost two system calls:
 * a send, and a receive that sleeps in the kernel until the reply is there. Everything that must not block says so per
 * call (MSG_DONTWAIT), which does not disturb other users of the descriptor.
 *
 * How long a blocking receive sleeps is a property of the socket (SO_RCVTIMEO), and setting it is a system call as
 * well. So it is set to one of few steps and left alone as long as it does no harm:
 *
 *     wait       0              24 ms                            108 ms
 *                |--- ppoll ----|--- 16 ... 64 ms, never beyond ---|--- 100 ms, again and again ---
 *
 * It is lowered when it would sleep past the wanted time (kernels count ticks of up to 8 ms), and raised only after a
 * sleep in vain, when time was lost anyway. 100 ms is also how soon an interrupt() is noticed: it is a flag that is
 * looked at between sleeps, as waking a sleeping receive by other means would either end the stream or need a signal.
 *  */
#include "roan/transport.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/macros.h"
#include "base/random.h"
#include "client/race.h"

enum {
    SLEEP_MS_MAX = ROAN_INTERRUPT_MS,
    SLEEP_MS_MIN = 16, /* shorter ones are ppoll's */
    SLEEP_LATE_MS = 8, /* two ticks of a kernel with 250 a second */
    POLL_ITEMS_MAX = 64, /* with more, memory is allocated */
};

typedef struct socket_stream {
    roan_stream stream;
    roan_race *race; /* while opening */
    int fd;          /* once open, else -1 */
    int sleep_ms;    /* SO_RCVTIMEO of the socket; 0: still the kernel's default, for ever */
    atomic_bool is_interrupted;
} socket_stream;

static socket_stream *stream_of(roan_stream *stream)
{
    return (socket_stream *)stream;
}

static int64_t socket_now_us(void *state)
{
    (void)state;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The kernel's tick is at most 10 ms (HZ=100). */
static int64_t socket_coarse_now_us(void *state)
{
    struct timespec time;

    (void)state;
    ROAN_IGNORE(clock_gettime(CLOCK_MONOTONIC_COARSE, &time));
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static uint64_t socket_random(void *state)
{
    (void)state;
    return roan_random_entropy(); /* rarely asked for: jitter */
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

/* All streams are the socket transport's, whoever connected them: that one is always there. */
static socket_stream *create_stream(roan_error *reterr)
{
    socket_stream *s = roan_try_alloc(sizeof *s);
    if (s == NULL) {
        ROAN_IGNORE(roan_error_set(reterr, ROAN_E_NOMEM, "out of memory")); /* told by NULL */
        return NULL;
    }
    memset(s, 0, sizeof *s);
    s->stream.transport = roan_socket_transport();
    s->fd = -1;
    atomic_init(&s->is_interrupted, false);
    return s;
}

static roan_status socket_open(void *state, const roan_endpoint *endpoint, roan_stream **ret_stream,
                               roan_error *reterr)
{
    (void)state;
    socket_stream *s = create_stream(reterr);
    if (s == NULL)
        return ROAN_E_NOMEM;
    roan_status status = roan_race_start(endpoint, &s->race, reterr);
    if (status == ROAN_OK)
        *ret_stream = &s->stream;
    else
        roan_free(s, sizeof *s);
    return status;
}

static roan_status descriptor_open(void *state, const roan_endpoint *endpoint, roan_stream **ret_stream,
                                   roan_error *reterr)
{
    const roan_descriptor_source *source = state;
    socket_stream *s = create_stream(reterr);
    if (s == NULL)
        return ROAN_E_NOMEM;
    roan_status status = source->connect(source->state, endpoint, &s->fd, reterr);
    if (status == ROAN_OK)
        *ret_stream = &s->stream;
    else
        roan_free(s, sizeof *s);
    return status;
}

static roan_progress socket_progress(roan_stream *stream, roan_error *reterr)
{
    socket_stream *s = stream_of(stream);
    if (s->race == NULL)
        return ROAN_PROGRESS_OPEN;
    roan_progress progress = roan_race_progress(s->race, &s->fd, reterr);
    if (progress == ROAN_PROGRESS_OPEN)
        s->race = roan_race_free(s->race, false);
    return progress;
}

static int socket_fd(roan_stream *stream)
{
    const socket_stream *s = stream_of(stream);
    return s->race != NULL ? roan_race_fd(s->race) : s->fd;
}

static void socket_close(roan_stream *stream, bool in_child)
{
    socket_stream *s = stream_of(stream);
    s->race = roan_race_free(s->race, in_child);
    if (s->fd >= 0) {
        if (!in_child)
            shutdown(s->fd, SHUT_RDWR); /* also if a child process still has the descriptor */
        close(s->fd);
    }
    roan_free(s, sizeof *s);
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

static bool take_interrupt(socket_stream *s)
{
    return atomic_load_explicit(&s->is_interrupted, memory_order_relaxed) &&
           atomic_exchange_explicit(&s->is_interrupted, false, memory_order_acquire);
}

/* The longest step that ends in time, or 0: none does. */
static int step_for(int64_t wait_us)
{
    int64_t wait_ms = wait_us / 1000 - SLEEP_LATE_MS;
    int step = SLEEP_MS_MAX;
    for (int next = 64; step > wait_ms && step > 0; next /= 2)
        step = next >= SLEEP_MS_MIN ? next : 0;
    return step;
}

static int set_sleep(socket_stream *s, int ms)
{
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    if (setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0)
        return errno;
    s->sleep_ms = ms;
    return 0;
}

static struct timespec timespec_of(int64_t us)
{
    return (struct timespec){.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};
}

static ssize_t receive_once(const socket_stream *s, void *data, size_t bytes, int flags)
{
    ssize_t received = recv(s->fd, data, bytes, flags);
    if (received >= 0)
        return received;
    return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

/* A last bit of waiting, to the microsecond. */
static ssize_t receive_precisely(const socket_stream *s, void *data, size_t bytes, int64_t wait_us)
{
    struct pollfd item = {.fd = s->fd, .events = POLLIN};
    struct timespec wait = timespec_of(wait_us);
    int ready = ppoll(&item, 1, &wait, NULL);
    if (ready < 0)
        return -errno;
    return ready == 0 ? -EAGAIN : receive_once(s, data, bytes, MSG_DONTWAIT);
}

/* Sleeps once for at most about left_us. */
static ssize_t receive_sleeping(socket_stream *s, void *data, size_t bytes, int64_t left_us, bool was_in_vain)
{
    int step = step_for(left_us);
    if (step == 0)
        return receive_precisely(s, data, bytes, left_us);
    if (s->sleep_ms == 0 || s->sleep_ms > step || (was_in_vain && s->sleep_ms < step)) {
        int problem = set_sleep(s, step);
        if (problem != 0)
            return -problem;
    }
    return receive_once(s, data, bytes, 0);
}

static ssize_t socket_receive(roan_stream *stream, void *data, size_t bytes, int64_t wait_us)
{
    socket_stream *s = stream_of(stream);
    if (s->fd < 0)
        return -ENOTCONN;
    if (wait_us == 0) {
        ssize_t received = receive_once(s, data, bytes, MSG_DONTWAIT);
        return received == -EINTR ? -EAGAIN : received;
    }
    int64_t deadline_us = wait_us < 0 ? INT64_MAX : socket_now_us(NULL) + wait_us;
    int64_t left_us = wait_us < 0 ? INT64_MAX : wait_us;
    for (bool was_in_vain = false;; was_in_vain = true) {
        if (take_interrupt(s))
            return -EAGAIN;
        ssize_t received = receive_sleeping(s, data, bytes, left_us, was_in_vain);
        if (received == -EINTR)
            return -EAGAIN; /* the program may want to act on its signal */
        if (received != -EAGAIN)
            return received;
        if (wait_us > 0)
            left_us = deadline_us - socket_now_us(NULL);
        if (left_us <= 0)
            return -EAGAIN;
    }
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static ssize_t socket_send(roan_stream *stream, const struct iovec *iov, unsigned count)
{
    const socket_stream *s = stream_of(stream);
    if (s->fd < 0)
        return -ENOTCONN;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov,
                             .msg_iovlen = ROAN_MIN(count, (unsigned)IOV_MAX)};
    ssize_t sent;
    do
        sent = count == 1 ? send(s->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT) /* the cheaper one */
                          : sendmsg(s->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return sent;
    return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

static void socket_interrupt(roan_stream *stream)
{
    atomic_store_explicit(&stream_of(stream)->is_interrupted, true, memory_order_release);
}

/* --- waiting for several ------------------------------------------------------------------------------------------ */

static void fill_polled(struct pollfd *polled, const roan_wait_item *items, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const socket_stream *s = stream_of(items[i].stream);
        short wanted = (short)((items[i].want_receive ? POLLIN : 0) | (items[i].want_send ? POLLOUT : 0));
        polled[i] = (struct pollfd){.fd = -1};
        if (s != NULL)
            polled[i] = (struct pollfd){.fd = socket_fd(items[i].stream), .events = s->race != NULL ? POLLIN : wanted};
    }
}

static unsigned take_ready(const struct pollfd *polled, roan_wait_item *items, unsigned count)
{
    unsigned ready = 0;
    for (unsigned i = 0; i < count; i++) {
        items[i].is_ready = polled[i].revents != 0;
        ready += items[i].is_ready;
    }
    return ready;
}

static bool take_interrupts(roan_wait_item *items, unsigned count)
{
    bool is_any = false;
    for (unsigned i = 0; i < count; i++)
        is_any |= items[i].stream != NULL && take_interrupt(stream_of(items[i].stream));
    return is_any;
}

/* polled has one more for wake_fd. */
static unsigned wait_polled(struct pollfd *polled, roan_wait_item *items, unsigned count, int wake_fd,
                            int64_t wait_us)
{
    int64_t deadline_us = wait_us <= 0 ? 0 : socket_now_us(NULL) + wait_us;
    int64_t left_us = wait_us < 0 ? INT64_MAX : wait_us;
    fill_polled(polled, items, count);
    polled[count] = (struct pollfd){.fd = wake_fd, .events = POLLIN}; /* -1 is ignored */
    for (;;) {
        int64_t slice_us = count == 0 ? left_us : ROAN_MIN(left_us, (int64_t)SLEEP_MS_MAX * 1000);
        if (left_us > 0 && take_interrupts(items, count))
            left_us = slice_us = 0;
        struct timespec wait = timespec_of(slice_us);
        int found = ppoll(polled, count + 1, slice_us == INT64_MAX ? NULL : &wait, NULL);
        if (found > 0)
            return take_ready(polled, items, count);
        if (wait_us > 0 && left_us > 0)
            left_us = deadline_us - socket_now_us(NULL);
        if (found < 0 || left_us <= 0)
            break;
    }
    for (unsigned i = 0; i < count; i++)
        items[i].is_ready = false;
    return 0;
}

static unsigned socket_wait(void *state, roan_wait_item *items, unsigned count, int wake_fd, int64_t wait_us)
{
    (void)state;
    struct pollfd few[POLL_ITEMS_MAX + 1];
    if (count <= POLL_ITEMS_MAX)
        return wait_polled(few, items, count, wake_fd, wait_us);
    size_t bytes = (count + 1) * sizeof(struct pollfd);
    struct pollfd *many = roan_try_alloc(bytes);
    if (many == NULL) { /* then the others are called ready: trying them is correct, only not cheap */
        unsigned ready = wait_polled(few, items, POLL_ITEMS_MAX, wake_fd, wait_us == 0 ? 0 : 1000);
        for (unsigned i = POLL_ITEMS_MAX; i < count; i++) {
            items[i].is_ready = items[i].stream != NULL;
            ready += items[i].is_ready;
        }
        return ready;
    }
    unsigned ready = wait_polled(many, items, count, wake_fd, wait_us);
    roan_free(many, bytes);
    return ready;
}

const roan_transport *roan_socket_transport(void)
{
    static const roan_transport transport = {
        .size = sizeof transport,
        .has_descriptors = true,
        .now_us = socket_now_us,
        .coarse_now_us = socket_coarse_now_us,
        .random = socket_random,
        .open = socket_open,
        .progress = socket_progress,
        .fd = socket_fd,
        .receive = socket_receive,
        .send = socket_send,
        .wait = socket_wait,
        .interrupt = socket_interrupt,
        .close = socket_close,
    };
    return &transport;
}

void roan_descriptor_transport(const roan_descriptor_source *source, roan_transport *ret_transport)
{
    *ret_transport = *roan_socket_transport();
    ret_transport->state = (void *)(uintptr_t)source; /* only read */
    ret_transport->open = descriptor_open;
}
