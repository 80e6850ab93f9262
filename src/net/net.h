/* net/net.h: one event loop per worker thread, the same interface over io_uring and epoll.
 *
 * Completion style: the worker calls roan_net_wait() and gets a batch of events; bytes that arrived stay valid until
 * roan_net_recycle(), so that parsed requests can point straight into them; replies are handed over with
 * roan_net_send() and go out in the next roan_net_wait() or roan_net_flush(), one submission for the whole batch.
 *
 * A loop and its sockets belong to one thread. Only roan_net_wake() may be called from anywhere.
 * The loop knows nothing of commands or keys.
 *
 *     wait() -> ACCEPTED | RECEIVED | SENT | CLOSED | WOKEN ...  -> handle -> recycle() -> wait() ...
 *
 *     socket:  open --close()--> closing (operations in flight are cancelled) --CLOSED event--> memory may be reused
 *
 * No call blocks except roan_net_wait(), and what one wait does is bounded by events_max. A socket that floods gets
 * its turn and then waits for the others'. Within one batch WOKEN comes first and SENT before RECEIVED, so that a
 * connection has its output buffer back before its next requests are looked at.
 */
#pragma once

#include "roan/base.h"

#include <stdbool.h>
#include <sys/uio.h>

typedef struct roan_net roan_net;

typedef enum roan_net_kind { ROAN_NET_AUTO, ROAN_NET_URING, ROAN_NET_EPOLL } roan_net_kind;

/* A socket of a loop: embedded at any place in the owner's connection struct, zeroed by its owner. */
typedef struct roan_net_socket {
    int fd;
    uint32_t flags;            /* the loop's; everything below `owner` as well */
    void *owner;               /* for the owner; the loop never looks at it */
    uint32_t operations;       /* operations in flight */
    uint32_t sending_count;    /* of `sending` */
    const struct iovec *sending; /* what has not gone out yet; the owner's memory */
    size_t sending_offset;     /* bytes of sending[0] that have gone out */
    union {
        uint32_t sending_position; /* of its operation in the submission queue */
        int32_t sending_result;    /* of its operation, which fell short or failed */
    };
    uint32_t suspect_position; /* its place among those to be looked at again */
    struct roan_net_socket *next_ready;
    struct roan_net_socket *next_sending;
} roan_net_socket;

typedef enum roan_net_event_type {
    ROAN_NET_ACCEPTED, /* listener `socket`: new descriptor `fd` (non-blocking, close-on-exec), now the caller's */
    ROAN_NET_ACCEPT_FAILED, /* accepting fails with `error` (EMFILE, ...); the listener tries again in 100 ms */
    ROAN_NET_RECEIVED, /* data[0..bytes) arrived; valid until roan_net_recycle() */
    ROAN_NET_EOF,      /* the peer closed its sending side or the connection failed; error is 0 or an errno.
                          Reported once; nothing is received after it. Sending may still work. */
    ROAN_NET_SENT,     /* everything handed to roan_net_send() went out; the iovecs and bytes are the owner's again */
    ROAN_NET_SEND_FAILED, /* sending failed with `error`; the buffers are the owner's again */
    ROAN_NET_CLOSED,   /* the last event of a socket after roan_net_close(); its memory may be reused */
    ROAN_NET_WOKEN,    /* roan_net_wake() was called at least once since the last wait */
} roan_net_event_type;

typedef struct roan_net_event {
    roan_net_event_type type;
    int fd;                  /* ACCEPTED */
    int error;
    roan_net_socket *socket; /* NULL for WOKEN */
    char *data;              /* RECEIVED */
    size_t bytes;
} roan_net_event;

typedef struct roan_net_options {
    roan_net_kind kind;
    unsigned buffer_count;  /* receive buffers shared by all sockets, a power of two, 32768 at most; 0: 256 */
    unsigned buffer_bytes;  /* size of each; 0: 16 KiB */
    bool lazy_sent;         /* a SENT that is due does not end a wait by itself: see roan_net_want_sent() */
} roan_net_options;

/* A loop for the calling thread (io_uring insists that the creating thread is the using one). AUTO picks io_uring where
 * the kernel can do all we need (multishot receive, buffer rings, deferred task work: Linux 6.1) and epoll otherwise;
 * URING fails with a text that says what is missing. NULL options are all zero. */
roan_status roan_net_create(const roan_net_options *options, roan_net **ret_net, roan_error *reterr) ROAN_MUST_CHECK;

/* On the loop's thread: drops the loop and cancels what is in flight. Sockets that have not reported CLOSED are
 * forgotten: their descriptors are the caller's again. Memory handed to roan_net_send() is no longer looked at. Accepts
 * NULL, returns NULL. */
roan_net *roan_net_free(roan_net *net);

/* "io_uring" or "epoll". */
const char *roan_net_name(const roan_net *net);

/* Starts accepting on a listening descriptor; the loop does not own or close it. Several loops may listen on the same
 * descriptor. */
roan_status roan_net_listen(roan_net *net, roan_net_socket *socket, int fd, roan_error *reterr) ROAN_MUST_CHECK;

/* Starts receiving on a connected descriptor, which the loop owns from now on (closed before CLOSED is reported). When
 * it fails the descriptor is still the caller's. */
roan_status roan_net_attach(roan_net *net, roan_net_socket *socket, int fd, roan_error *reterr) ROAN_MUST_CHECK;

/* Stops and resumes receiving (back-pressure). Bytes that had already arrived may still be reported. The end of the
 * connection is not noticed while paused. Pausing a listener stops accepting. Both are harmless when repeated. */
void roan_net_pause(roan_net *net, roan_net_socket *socket);
void roan_net_resume(roan_net *net, roan_net_socket *socket);

/* Hands over bytes to send: `iov` and what it points to must stay untouched until SENT or SEND_FAILED. At most one send
 * per socket at a time (asserted). Returns true when everything went out at once (then no SENT event follows): only
 * the epoll backend does that. Not after roan_net_close(). */
bool roan_net_send(roan_net *net, roan_net_socket *socket, const struct iovec *iov, unsigned count);

/* Is a send in flight, its SENT or SEND_FAILED not reported yet? */
bool roan_net_is_sending(const roan_net_socket *socket);

/* With lazy_sent: the caller has a reason to learn soon that the send in flight went out (more output is queued behind
 * it, or the connection is to be closed after it): the next wait comes back for it instead of sleeping. Without it, a
 * SENT is reported by whatever wait has something else to report, which saves a system call per batch when the loop is
 * not saturated. Harmless without lazy_sent. */
void roan_net_want_sent(roan_net *net, roan_net_socket *socket);

/* Cancels what is in flight, shuts the socket down and closes it. A pending send is given up, never waited for. Later
 * waits report nothing but CLOSED for this socket; the current batch may hold older events of it. Calling it twice is
 * harmless. A listener's descriptor stays open and the caller's. */
void roan_net_close(roan_net *net, roan_net_socket *socket);

/* Submits pending operations and waits until something happened or timeout_us passed (0: poll, -1: for ever).
 * Fills at most events_max (at least 2) events and returns how many; 0 on time-out or signal, or when what happened was
 * of no interest. */
unsigned roan_net_wait(roan_net *net, int64_t timeout_us, roan_net_event *events, unsigned events_max);

/* Gives the receive buffers of the waits so far back to the loop. A loop without free buffers receives nothing until
 * then, but goes on sending, accepting and closing. */
void roan_net_recycle(roan_net *net);

/* For a wait inside of a round: how much is lent now, and giving back only what was lent since then. */
size_t roan_net_lent(const roan_net *net);
void roan_net_recycle_from(roan_net *net, size_t lent);

/* Submits pending operations without waiting. */
void roan_net_flush(roan_net *net);

/* Makes the loop's roan_net_wait() return with a WOKEN event. Any thread, any time; costs no system call when a wake is
 * already pending or the loop is not asleep. What the caller wrote before is visible after WOKEN. */
void roan_net_wake(roan_net *net);
