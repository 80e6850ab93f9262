/* net/net_internal.h: what the loop's backends share: the table of operations, the flags of a socket, the batch of
 * events being filled, lists of sockets, and the sleep protocol behind roan_net_wake().
 *
 * Only files of src/net include it. A backend embeds roan_net as its first member.
 */
#pragma once

#include "base/macros.h"
#include "net/net.h"

#include <stdatomic.h>

/* One backend of the loop. The functions are those of net.h. */
typedef struct roan_net_backend {
    const char *name;
    roan_status (*create)(const roan_net_options *options, roan_net **ret_net, roan_error *reterr);
    void (*free)(roan_net *net);
    roan_status (*listen)(roan_net *net, roan_net_socket *socket, roan_error *reterr);
    roan_status (*attach)(roan_net *net, roan_net_socket *socket, roan_error *reterr);
    void (*pause)(roan_net *net, roan_net_socket *socket);
    void (*resume)(roan_net *net, roan_net_socket *socket);
    bool (*send)(roan_net *net, roan_net_socket *socket);
    void (*want_sent)(roan_net *net, roan_net_socket *socket);
    void (*close)(roan_net *net, roan_net_socket *socket);
    unsigned (*wait)(roan_net *net, int64_t timeout_us, roan_net_event *events, unsigned events_max);
    size_t (*lent)(const roan_net *net);
    void (*recycle)(roan_net *net, size_t from);
    void (*flush)(roan_net *net);
} roan_net_backend;

extern const roan_net_backend roan_net_epoll_backend;
extern const roan_net_backend roan_net_uring_backend;

/* Where the loop's thread is, as wakers see it. Only a sleeping loop needs the eventfd.
 *
 *     RUNNING --begin_sleep()--> SLEEPING --end_sleep()--> RUNNING
 *        \--wake()--> PENDING <--wake(), eventfd--/         PENDING --take_wake()--> RUNNING
 */
enum { ROAN_NET_RUNNING, ROAN_NET_SLEEPING, ROAN_NET_WAKE_PENDING };

struct roan_net {
    const roan_net_backend *backend;
    int wake_fd;    /* an eventfd; never read: both backends react to the write itself */
    bool lazy_sent;
    _Alignas(ROAN_CACHE_LINE) _Atomic unsigned sleep_state; /* written by other threads: a line of its own */
};

_Static_assert(sizeof(roan_net) == 2 * ROAN_CACHE_LINE, "what a backend puts behind it starts a new line");

enum {
    ROAN_NET_DEFAULT_BUFFER_COUNT = 256,
    ROAN_NET_DEFAULT_BUFFER_BYTES = 16384,
    ROAN_NET_BUFFER_COUNT_MAX = 32768,
    ROAN_NET_ACCEPT_RETRY_US = 100 * 1000,
    ROAN_NET_SEND_BYTES_PER_TURN = 1 << 20, /* of one socket before others get theirs */
};

enum roan_net_socket_flag {
    ROAN_NET_OPEN = 1 << 0,
    ROAN_NET_LISTENER = 1 << 1,
    ROAN_NET_CLOSING = 1 << 2,
    ROAN_NET_PAUSED = 1 << 3,
    ROAN_NET_AT_EOF = 1 << 4,     /* EOF was reported */
    ROAN_NET_SENDING = 1 << 5,    /* from roan_net_send() to SENT or SEND_FAILED */
    ROAN_NET_LISTED = 1 << 6,     /* in one of the lists linked by next_ready */
    ROAN_NET_BACKEND_FLAG = 1 << 7, /* the first of those that a backend defines for itself */
};

/* The events of one wait. */
typedef struct roan_net_batch {
    roan_net_event *events;
    unsigned count, max;
} roan_net_batch;

static inline bool roan_net_batch_has_room(const roan_net_batch *batch)
{
    return batch->count < batch->max;
}

/* The next free event with its type and socket set; the caller fills the rest. There must be room. */
static inline roan_net_event *roan_net_batch_add(roan_net_batch *batch, roan_net_event_type type,
                                                 roan_net_socket *socket)
{
    ROAN_VERIFY(batch->count < batch->max);
    roan_net_event *event = &batch->events[batch->count++];
    event->type = type;
    event->error = 0;
    event->socket = socket;
    return event;
}

/* A first-in-first-out list linked by next_ready. A socket is in at most one (LISTED says so). */
typedef struct roan_net_list {
    roan_net_socket *first, *last;
    unsigned count;
} roan_net_list;

static inline void roan_net_list_push(roan_net_list *list, roan_net_socket *socket)
{
    ROAN_ASSERT(!(socket->flags & ROAN_NET_LISTED));
    socket->flags |= ROAN_NET_LISTED;
    socket->next_ready = NULL;
    if (list->first == NULL)
        list->first = socket;
    else
        list->last->next_ready = socket;
    list->last = socket;
    list->count++;
}

static inline roan_net_socket *roan_net_list_pop(roan_net_list *list)
{
    roan_net_socket *socket = list->first;
    list->first = socket->next_ready;
    list->count--;
    socket->flags &= ~(uint32_t)ROAN_NET_LISTED;
    return socket;
}

/* Puts all of `source` behind `target` and empties it. */
static inline void roan_net_list_append(roan_net_list *target, roan_net_list *source)
{
    if (source->first == NULL)
        return;
    if (target->first == NULL)
        target->first = source->first;
    else
        target->last->next_ready = source->first;
    target->last = source->last;
    target->count += source->count;
    *source = (roan_net_list){0};
}

/* Announces that the thread is about to sleep; false when a wake is pending and it must not. */
static inline bool roan_net_begin_sleep(roan_net *net)
{
    unsigned expected = ROAN_NET_RUNNING;
    return atomic_compare_exchange_strong(&net->sleep_state, &expected, ROAN_NET_SLEEPING);
}

/* Ends what begin_sleep() began; a wake that came meanwhile stays pending. */
static inline void roan_net_end_sleep(roan_net *net)
{
    unsigned expected = ROAN_NET_SLEEPING;
    atomic_compare_exchange_strong(&net->sleep_state, &expected, ROAN_NET_RUNNING);
}

/* Reports a pending wake, if there is one and room for it. */
static inline void roan_net_take_wake(roan_net *net, roan_net_batch *batch)
{
    if (ROAN_LIKELY(atomic_load_explicit(&net->sleep_state, memory_order_relaxed) != ROAN_NET_WAKE_PENDING))
        return;
    if (!roan_net_batch_has_room(batch))
        return;
    atomic_exchange(&net->sleep_state, ROAN_NET_RUNNING);
    roan_net_batch_add(batch, ROAN_NET_WOKEN, NULL);
}

/* Counts `bytes` as gone out: moves `sending` forward. True when nothing is left. */
bool roan_net_advance_sending(roan_net_socket *socket, size_t bytes);

/* Do errors of accept(2) mean that trying again at once is pointless? */
bool roan_net_accept_error_is_lasting(int error);

/* Monotonic microseconds. */
int64_t roan_net_now_us(void);
