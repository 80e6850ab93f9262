/* roan/transport.h: what libroan needs from the world: byte streams, a clock and random numbers.
 *
 * The built-in one speaks TCP and Unix sockets. Tests plug in a scripted peer with a clock of its own
 * (roan/scripted.h), so that every rule about time is tried without sleeping.
 *
 *     open() -> OPENING --progress()--> OPEN --receive()/send()--> close()
 *                                  \--> failed: close()
 *
 * No function blocks except receive() and wait(), at most as long as they are told. A stream belongs to one thread at a
 * time, with one exception: send() may run beside receive() or wait() of the same stream. now_us() and random() are
 * called from any thread.
 */
#ifndef ROAN_TRANSPORT_H
#define ROAN_TRANSPORT_H

#include "roan/client.h"

#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where to connect to. Texts are terminated and borrowed for the call. */
typedef struct roan_endpoint {
    const char *host; /* name or address, without brackets; NULL with a path */
    const char *path; /* of a Unix socket, or NULL */
    uint16_t port;
} roan_endpoint;

/* The transport's; embedded as the first member of its own struct. */
typedef struct roan_stream {
    const roan_transport *transport;
} roan_stream;

typedef enum roan_progress { ROAN_PROGRESS_OPENING, ROAN_PROGRESS_OPEN, ROAN_PROGRESS_FAILED } roan_progress;

typedef struct roan_wait_item {
    roan_stream *stream; /* NULL: nothing to wait for here, never ready */
    bool want_receive, want_send; /* while opening both are ignored: it is ready when progress() has something to do */
    bool is_ready;                /* set by wait(): something can be received or sent, or it ended */
} roan_wait_item;

/* The longest a wait goes on without noticing interrupt(). */
#define ROAN_INTERRUPT_MS 100

/* How far the coarse clock may be behind. */
#define ROAN_COARSE_US 10000

struct roan_transport {
    size_t size;
    void *state;
    bool has_descriptors; /* fd() gives descriptors; without them only waiting callers and roan_turn() drive */

    /* Microseconds of a clock that only goes forward. */
    int64_t (*now_us)(void *state);
    uint64_t (*random)(void *state);

    /* Begins to connect; name resolution and trying several addresses are part of OPENING. Fails only when nothing
     * could be begun (out of memory, bad path). */
    roan_status (*open)(void *state, const roan_endpoint *endpoint, roan_stream **ret_stream, roan_error *reterr);
    /* Goes on with connecting. FAILED fills *reterr (CONNECT, with os_errno where there is one). */
    roan_progress (*progress)(roan_stream *stream, roan_error *reterr);
    /* A descriptor that is readable when there is something to do while opening, and the socket once open; the two may
     * differ. -1: this transport has none, so only callers and roan_turn() can drive it. */
    int (*fd)(roan_stream *stream);
    /* Up to `bytes` bytes, waiting for the first at most wait_us (0: not at all, -1: for ever). > 0 bytes, 0 the peer
     * has ended the stream, -EAGAIN nothing came, or another negated errno. -EAGAIN may come before the time is up
     * (interrupt(), a signal): whoever has a deadline looks at the clock and calls again. */
    ssize_t (*receive)(roan_stream *stream, void *data, size_t bytes, int64_t wait_us);
    /* Bytes taken, -EAGAIN when none can be taken now, or another negated errno. Never blocks, never raises SIGPIPE. */
    ssize_t (*send)(roan_stream *stream, const struct iovec *iov, unsigned count);
    /* Waits until one of the items is ready, wake_fd (-1: none) is readable or wait_us passed (-1: for ever). Returns
     * how many items are ready; 0 may come early, as -EAGAIN above. */
    unsigned (*wait)(void *state, roan_wait_item *items, unsigned count, int wake_fd, int64_t wait_us);
    /* Makes a receive() or wait() of another thread on this stream return within ROAN_INTERRUPT_MS, the next one if
     * none is waiting now. Not for urgent matters: those have wait()'s wake_fd. The stream itself goes on. */
    void (*interrupt)(roan_stream *stream);
    /* Ends the stream at any stage and frees it. in_child: after fork(): closes descriptors, sends nothing. */
    void (*close)(roan_stream *stream, bool in_child);
    /* As now_us(), cheaper, and behind it by at most ROAN_COARSE_US. NULL: use now_us(). */
    int64_t (*coarse_now_us)(void *state);
};

/* TCP and Unix sockets, CLOCK_MONOTONIC and the system's random numbers. Names are resolved on a thread of their own
 * and all addresses are raced (RFC 8305). A path that begins with '@' is in Linux's abstract namespace.
 *
 * A lone caller's command costs two system calls: one send and one blocking receive. Waits of less than 24 ms cost one
 * more, for a precise timer; longer ones may be late by the kernel's tick. */
ROAN_API const roan_transport *roan_socket_transport(void);

/* ---- connected descriptors --------------------------------------------------------------------------------------- */

/* Somebody who brings connected stream sockets: a server inside this process, a tunnel, a socket that was handed over. */
typedef struct roan_descriptor_source {
    void *state;
    /* A connected stream socket in blocking mode, which then belongs to the caller. Must not block. Any thread, several
     * at once. Fails with *reterr filled in (CONNECT, with os_errno where there is one). */
    roan_status (*connect)(void *state, const roan_endpoint *endpoint, int *ret_fd, roan_error *reterr);
} roan_descriptor_source;

/* Fills in a transport that asks `source` for its connections and is otherwise the one of sockets. `source` is borrowed
 * for as long as a handle uses the transport. */
ROAN_API void roan_descriptor_transport(const roan_descriptor_source *source, roan_transport *ret_transport);

/* Makes `source` what embedded://name leads to in this process. The name: at most 64 letters, digits and . _ -, or ""
 * for embedded:// alone. Handles ask by name for every connection, so that they survive the source: when it has been
 * unregistered they cannot connect, and when one of that name comes again, they can. Fails with ROAN_E_INVALID (not such a
 * name), ROAN_E_USAGE (the name is taken) or NOMEM. */
ROAN_API roan_status roan_descriptor_source_register(const char *name, const roan_descriptor_source *source,
                                                     roan_error *reterr) ROAN_MUST_CHECK;

/* Forgets it; one that is not registered is no matter. When this returns, its connect() is not running for a name and will
 * not be called for one again. Not from inside of connect(). */
ROAN_API void roan_descriptor_source_unregister(const roan_descriptor_source *source);

#ifdef __cplusplus
}
#endif
#endif
