/* client/scripted.c: the world of scripted peers: its clock, what will happen, and the transport the client sees.
 *
 *     script --add--> events (by time) --run--> state of the peer, bytes that have arrived --receive--> client
 *     client --send--> log, requests --handler--> script
 *
 * Nothing happens by itself: events whose time has come are carried out whenever somebody looks (every function of the
 * transport begins with run()). A wait that finds nothing moves the clock to the next event or to its own end. When
 * neither exists, or the clock is the test's to move, only another thread can help: then the wait looks again every
 * millisecond of real time.
 *
 * One recursive lock protects the world; handlers run with it held. A peer is the far end of one stream and outlives
 * it, so that tests can read its log after the client has closed. */
#include "client/scripted_inside.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "base/macros.h"

enum {
    FIRST_NOW_US = 1000000,
    PAUSE_MS = 1,
    PAUSES_MAX = 20000, /* then nobody will ever come */
    PEERS_MAX = 1000000,
};

void roan_scripted_lock(roan_scripted *world)
{
    pthread_mutex_lock(&world->lock);
}

void roan_scripted_unlock(roan_scripted *world)
{
    pthread_mutex_unlock(&world->lock);
}

static roan_peer *peer_of(roan_stream *stream)
{
    return (roan_peer *)stream;
}

/* --- events ------------------------------------------------------------------------------------------------------- */

roan_scripted_event *roan_scripted_event_create(roan_peer *peer, roan_scripted_kind kind, int64_t after_us,
                                                roan_slice data)
{
    roan_scripted_event *event = roan_alloc_zero(sizeof *event + data.bytes);
    event->peer = peer;
    event->kind = kind;
    event->at_us = after_us > 0 ? after_us : 0;
    event->bytes = data.bytes;
    if (data.bytes > 0)
        memcpy(event->data, data.data, data.bytes);
    return event;
}

static void free_event(roan_scripted_event *event)
{
    roan_free(event, sizeof *event + event->bytes);
}

static void insert_after(roan_scripted_events *events, roan_scripted_event *place, roan_scripted_event *event)
{
    event->previous = place;
    event->next = place != NULL ? place->next : events->first;
    *(event->previous != NULL ? &event->previous->next : &events->first) = event;
    *(event->next != NULL ? &event->next->previous : &events->last) = event;
}

static void insert_by_time(roan_scripted_events *events, roan_scripted_event *event)
{
    roan_scripted_event *place = events->last;
    while (place != NULL && place->at_us > event->at_us)
        place = place->previous;
    insert_after(events, place, event);
}

static void unlink_event(roan_scripted_events *events, roan_scripted_event *event)
{
    *(event->previous != NULL ? &event->previous->next : &events->first) = event->next;
    *(event->next != NULL ? &event->next->previous : &events->last) = event->previous;
}

void roan_scripted_append(roan_scripted_events *events, roan_scripted_event *event)
{
    insert_after(events, events->last, event);
}

void roan_scripted_clear_events(roan_scripted_events *events)
{
    while (events->first != NULL) {
        roan_scripted_event *event = events->first;
        unlink_event(events, event);
        free_event(event);
    }
}

void roan_scripted_add(roan_peer *peer, roan_scripted_event *event)
{
    if (peer->is_closed || peer->is_over || peer->state == ROAN_PEER_FAILED) {
        free_event(event); /* nobody will know */
        return;
    }
    if (peer->state != ROAN_PEER_OPEN && event->kind != ROAN_SCRIPTED_CONNECT) {
        insert_by_time(&peer->later, event);
        return;
    }
    event->at_us += peer->world->now_us;
    insert_by_time(&peer->world->events, event);
}

static void forget_events_of(roan_peer *peer)
{
    roan_scripted_events *events = &peer->world->events;
    for (roan_scripted_event *event = events->first, *next; event != NULL; event = next) {
        next = event->next;
        if (event->peer == peer) {
            unlink_event(events, event);
            free_event(event);
        }
    }
    roan_scripted_clear_events(&peer->later);
}

void roan_peer_break(roan_peer *peer, int os_errno)
{
    peer->broken_errno = os_errno;
    peer->has_ended |= os_errno == 0;
    peer->is_over = true;
    forget_events_of(peer);
}

void roan_peer_check_cuts(roan_peer *peer)
{
    if (peer->state != ROAN_PEER_OPEN || peer->is_over)
        return;
    if (peer->received == peer->cut_received) {
        roan_scripted_clear_events(&peer->arrived);
        roan_peer_break(peer, peer->cut_received_errno);
    } else if (peer->log.bytes == peer->cut_sent) {
        roan_peer_break(peer, peer->cut_sent_errno);
    }
}

static void connect_peer(roan_peer *peer, int os_errno)
{
    if (os_errno != 0) {
        peer->state = ROAN_PEER_FAILED;
        peer->plan_errno = os_errno;
        return;
    }
    peer->state = ROAN_PEER_OPEN;
    while (peer->later.first != NULL) {
        roan_scripted_event *event = peer->later.first;
        unlink_event(&peer->later, event);
        roan_scripted_add(peer, event);
    }
    peer->last_us += peer->world->now_us;
    roan_peer_check_cuts(peer);
}

/* Carries out an event that has been taken off the list, and owns it. */
static void happen(roan_scripted_event *event)
{
    roan_peer *peer = event->peer;
    switch (event->kind) {
    case ROAN_SCRIPTED_CONNECT:
        connect_peer(peer, event->os_errno);
        break;
    case ROAN_SCRIPTED_DATA:
        roan_scripted_append(&peer->arrived, event);
        return;
    case ROAN_SCRIPTED_END:
        peer->has_ended = true;
        break;
    case ROAN_SCRIPTED_RESET:
        roan_peer_break(peer, event->os_errno);
        break;
    case ROAN_SCRIPTED_TAKE:
        peer->window = event->amount < 0 ? INT64_MAX : event->amount;
        break;
    }
    free_event(event);
}

void roan_scripted_run(roan_scripted *world)
{
    while (world->events.first != NULL && world->events.first->at_us <= world->now_us) {
        roan_scripted_event *event = world->events.first;
        unlink_event(&world->events, event);
        happen(event);
    }
}

void roan_scripted_run_until(roan_scripted *world, int64_t us)
{
    roan_scripted_run(world);
    while (world->events.first != NULL && world->events.first->at_us <= us) {
        world->now_us = world->events.first->at_us;
        roan_scripted_run(world);
    }
    world->now_us = ROAN_MAX(world->now_us, us);
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

typedef struct waiter {
    int64_t deadline_us;
    int wake_fd;
    unsigned pauses;
} waiter;

static waiter make_waiter(const roan_scripted *world, int64_t wait_us, int wake_fd)
{
    bool is_endless = wait_us < 0 || wait_us > INT64_MAX - world->now_us;
    return (waiter){.deadline_us = is_endless ? INT64_MAX : world->now_us + wait_us, .wake_fd = wake_fd};
}

static bool is_woken(const waiter *w, int ms)
{
    struct pollfd item = {.fd = w->wake_fd, .events = POLLIN};
    return (w->wake_fd >= 0 || ms > 0) && poll(&item, 1, ms) > 0;
}

/* Only another thread can change something. */
static void pause_for_others(roan_scripted *world, waiter *w)
{
    if (world->mode == ROAN_CLOCK_JUMPS && w->wake_fd < 0 && ++w->pauses > PAUSES_MAX)
        ROAN_UNREACHABLE("a wait without end, nothing scripted, and no other thread that does something");
    roan_scripted_unlock(world);
    ROAN_IGNORE(is_woken(w, PAUSE_MS)); /* looked at again by the caller */
    roan_scripted_lock(world);
}

/* Lets time go on. False: the waiter's time is over. */
static bool wait_on(roan_scripted *world, waiter *w)
{
    if (world->now_us >= w->deadline_us)
        return false;
    int64_t next_us = world->events.first != NULL ? world->events.first->at_us : INT64_MAX;
    next_us = ROAN_MIN(next_us, w->deadline_us);
    if (world->mode == ROAN_CLOCK_MANUAL || next_us == INT64_MAX)
        pause_for_others(world, w);
    else
        world->now_us = ROAN_MAX(world->now_us, next_us);
    roan_scripted_run(world);
    return true;
}

static bool take_interrupt(roan_peer *peer)
{
    bool was_interrupted = peer->is_interrupted;
    peer->is_interrupted = false;
    return was_interrupted;
}

/* --- the transport ------------------------------------------------------------------------------------------------ */

static int64_t scripted_now_us(void *state)
{
    return roan_scripted_now(state);
}

static uint64_t scripted_random(void *state)
{
    roan_scripted *world = state;
    roan_scripted_lock(world);
    uint64_t value = roan_random_next(&world->random);
    roan_scripted_unlock(world);
    return value;
}

static void begin_connecting(roan_peer *peer)
{
    roan_scripted *world = peer->world;
    peer->state = ROAN_PEER_OPENING;
    if (peer->is_ignored)
        return;
    roan_scripted_event *event = roan_scripted_event_create(
        peer, ROAN_SCRIPTED_CONNECT, peer->has_plan ? peer->plan_after_us : world->connect_after_us, (roan_slice){0});
    event->os_errno = peer->has_plan ? peer->plan_errno : world->connect_errno;
    roan_scripted_add(peer, event);
}

static roan_status scripted_open(void *state, const roan_endpoint *endpoint, roan_stream **ret_stream,
                                 roan_error *reterr)
{
    (void)reterr;
    roan_scripted *world = state;
    roan_scripted_lock(world);
    roan_scripted_run(world);
    roan_peer *peer = roan_scripted_peer(world, world->opened++);
    if (endpoint->path != NULL)
        snprintf(peer->endpoint, sizeof peer->endpoint, "%s", endpoint->path);
    else
        snprintf(peer->endpoint, sizeof peer->endpoint, "%.100s:%u", endpoint->host, (unsigned)endpoint->port);
    begin_connecting(peer);
    world->open_streams++;
    *ret_stream = &peer->stream;
    roan_scripted_unlock(world);
    return ROAN_OK;
}

static roan_progress scripted_progress(roan_stream *stream, roan_error *reterr)
{
    roan_peer *peer = peer_of(stream);
    roan_progress progress = ROAN_PROGRESS_OPENING;
    roan_scripted_lock(peer->world);
    roan_scripted_run(peer->world);
    peer->is_told_open = peer->state == ROAN_PEER_OPEN;
    if (peer->is_told_open)
        progress = ROAN_PROGRESS_OPEN;
    if (peer->state == ROAN_PEER_FAILED) {
        progress = ROAN_PROGRESS_FAILED;
        ROAN_IGNORE(roan_error_set_errno(reterr, peer->plan_errno, "cannot connect to %s", peer->endpoint));
        if (reterr != NULL)
            reterr->code = ROAN_E_CONNECT;
    }
    roan_scripted_unlock(peer->world);
    return progress;
}

static int scripted_fd(roan_stream *stream)
{
    (void)stream;
    return -1;
}

/* What may be received before the peer's cut; takes it off. */
static size_t take_arrived(roan_peer *peer, char *data, size_t room)
{
    if (peer->give_max > 0)
        room = ROAN_MIN(room, peer->give_max);
    room = (size_t)ROAN_MIN((uint64_t)room, peer->cut_received - peer->received);
    size_t taken = 0;
    bool is_piece = false;
    while (peer->arrived.first != NULL && taken < room && !is_piece) {
        roan_scripted_event *event = peer->arrived.first;
        if (event->is_piece && taken > 0)
            break;
        is_piece = event->is_piece;
        size_t bytes = ROAN_MIN(room - taken, event->bytes - event->taken);
        memcpy(data + taken, event->data + event->taken, bytes);
        taken += bytes;
        event->taken += bytes;
        if (event->taken == event->bytes) {
            unlink_event(&peer->arrived, event);
            free_event(event);
        }
    }
    peer->received += taken;
    return taken;
}

static ssize_t receive_now(roan_peer *peer, void *data, size_t bytes)
{
    if (peer->state != ROAN_PEER_OPEN)
        return -ENOTCONN;
    size_t taken = take_arrived(peer, data, bytes);
    if (taken > 0) {
        roan_peer_check_cuts(peer);
        return (ssize_t)taken;
    }
    if (peer->broken_errno != 0)
        return -peer->broken_errno;
    return peer->has_ended ? 0 : -EAGAIN;
}

static ssize_t scripted_receive(roan_stream *stream, void *data, size_t bytes, int64_t wait_us)
{
    roan_peer *peer = peer_of(stream);
    roan_scripted *world = peer->world;
    roan_scripted_lock(world);
    roan_scripted_run(world);
    waiter w = make_waiter(world, wait_us, -1);
    ssize_t received;
    do
        received = receive_now(peer, data, bytes);
    while (received == -EAGAIN && wait_us != 0 && !take_interrupt(peer) && wait_on(world, &w));
    roan_scripted_unlock(world);
    return received;
}

/* How much of one send() the peer takes. */
static size_t room_for(const roan_peer *peer)
{
    uint64_t room = (uint64_t)peer->window;
    room = ROAN_MIN(room, peer->cut_sent - peer->log.bytes);
    if (peer->take_max > 0)
        room = ROAN_MIN(room, peer->take_max);
    return (size_t)room;
}

static size_t gather(roan_buffer *to, const struct iovec *iov, unsigned count, size_t room)
{
    for (unsigned i = 0; i < count && to->bytes < room; i++)
        roan_buffer_append(to, iov[i].iov_base, ROAN_MIN(iov[i].iov_len, room - to->bytes));
    return to->bytes;
}

static ssize_t send_now(roan_peer *peer, const struct iovec *iov, unsigned count)
{
    if (peer->state != ROAN_PEER_OPEN)
        return -ENOTCONN;
    if (peer->broken_errno != 0)
        return -peer->broken_errno;
    size_t room = peer->has_ended ? SIZE_MAX : room_for(peer);
    if (room == 0)
        return -EAGAIN;
    roan_buffer taken = {0};
    size_t bytes = gather(&taken, iov, count, room);
    if (bytes > 0) {
        peer->sends++;
        if (!peer->has_ended) {
            peer->window -= peer->window == INT64_MAX ? 0 : (int64_t)bytes;
            roan_peer_arrive(peer, taken.data, bytes);
        }
    }
    roan_buffer_done(&taken);
    return (ssize_t)bytes;
}

static ssize_t scripted_send(roan_stream *stream, const struct iovec *iov, unsigned count)
{
    roan_peer *peer = peer_of(stream);
    roan_scripted_lock(peer->world);
    roan_scripted_run(peer->world);
    ssize_t sent = send_now(peer, iov, count);
    roan_scripted_unlock(peer->world);
    return sent;
}

static bool is_ready(const roan_wait_item *item)
{
    const roan_peer *peer = peer_of(item->stream);
    if (peer == NULL || peer->state != ROAN_PEER_OPEN)
        return peer != NULL && peer->state == ROAN_PEER_FAILED;
    if (peer->broken_errno != 0 || !peer->is_told_open)
        return true;
    if (item->want_receive && (peer->arrived.first != NULL || peer->has_ended))
        return true;
    return item->want_send && (peer->has_ended || room_for(peer) > 0);
}

static unsigned count_ready(roan_wait_item *items, unsigned count)
{
    unsigned ready = 0;
    for (unsigned i = 0; i < count; i++) {
        items[i].is_ready = is_ready(&items[i]);
        ready += items[i].is_ready;
    }
    return ready;
}

static bool take_interrupts(const roan_wait_item *items, unsigned count)
{
    bool is_any = false;
    for (unsigned i = 0; i < count; i++)
        is_any |= items[i].stream != NULL && take_interrupt(peer_of(items[i].stream));
    return is_any;
}

static unsigned scripted_wait(void *state, roan_wait_item *items, unsigned count, int wake_fd, int64_t wait_us)
{
    roan_scripted *world = state;
    roan_scripted_lock(world);
    roan_scripted_run(world);
    waiter w = make_waiter(world, wait_us, wake_fd);
    unsigned ready;
    do
        ready = count_ready(items, count);
    while (ready == 0 && wait_us != 0 && !take_interrupts(items, count) && !is_woken(&w, 0) && wait_on(world, &w));
    roan_scripted_unlock(world);
    return ready;
}

static void scripted_interrupt(roan_stream *stream)
{
    roan_peer *peer = peer_of(stream);
    roan_scripted_lock(peer->world);
    peer->is_interrupted = true;
    roan_scripted_unlock(peer->world);
}

static void scripted_close(roan_stream *stream, bool in_child)
{
    (void)in_child;
    roan_peer *peer = peer_of(stream);
    roan_scripted *world = peer->world;
    roan_scripted_lock(world);
    ROAN_ASSERT(!peer->is_closed);
    roan_scripted_run(world);
    forget_events_of(peer);
    roan_scripted_clear_events(&peer->arrived);
    peer->is_closed = true;
    world->open_streams--;
    roan_scripted_unlock(world);
}

/* --- the world ---------------------------------------------------------------------------------------------------- */

roan_scripted *roan_scripted_create(uint64_t seed)
{
    roan_scripted *world = roan_alloc_zero(sizeof *world);
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&world->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    world->now_us = FIRST_NOW_US;
    roan_random_seed(&world->random, seed);
    roan_random_seed(&world->pieces, ~seed);
    world->transport = (roan_transport){
        .size = sizeof world->transport,
        .state = world,
        .now_us = scripted_now_us,
        .random = scripted_random,
        .open = scripted_open,
        .progress = scripted_progress,
        .fd = scripted_fd,
        .receive = scripted_receive,
        .send = scripted_send,
        .wait = scripted_wait,
        .interrupt = scripted_interrupt,
        .close = scripted_close,
    };
    return world;
}

roan_scripted *roan_scripted_free(roan_scripted *world)
{
    if (world == NULL)
        return NULL;
    roan_scripted_clear_events(&world->events);
    for (unsigned i = 0; i < world->peer_count; i++)
        roan_peer_free(world->peers[i]);
    roan_free(world->peers, world->peer_count * sizeof(roan_peer *));
    roan_scripted_store_free(world->store);
    pthread_mutex_destroy(&world->lock);
    roan_free(world, sizeof *world);
    return NULL;
}

const roan_transport *roan_scripted_transport(roan_scripted *world)
{
    return &world->transport;
}

void roan_scripted_set_clock(roan_scripted *world, roan_clock_mode mode)
{
    roan_scripted_lock(world);
    world->mode = mode;
    roan_scripted_unlock(world);
}

int64_t roan_scripted_now(roan_scripted *world)
{
    roan_scripted_lock(world);
    int64_t now_us = world->now_us;
    roan_scripted_unlock(world);
    return now_us;
}

void roan_scripted_advance(roan_scripted *world, int64_t us)
{
    roan_scripted_lock(world);
    roan_scripted_run_until(world, world->now_us + us);
    roan_scripted_unlock(world);
}

roan_peer *roan_scripted_peer(roan_scripted *world, unsigned index)
{
    ROAN_ASSERT(index < PEERS_MAX);
    roan_scripted_lock(world);
    if (index >= world->peer_count) {
        unsigned count = ROAN_MAX(index + 1, world->peer_count * 2);
        world->peers = roan_realloc(world->peers, world->peer_count * sizeof(roan_peer *), count * sizeof(roan_peer *));
        for (unsigned i = world->peer_count; i < count; i++)
            world->peers[i] = NULL;
        world->peer_count = count;
    }
    if (world->peers[index] == NULL)
        world->peers[index] = roan_peer_create(world, index);
    roan_peer *peer = world->peers[index];
    roan_scripted_unlock(world);
    return peer;
}

unsigned roan_scripted_opened(roan_scripted *world)
{
    roan_scripted_lock(world);
    unsigned count = world->opened;
    roan_scripted_unlock(world);
    return count;
}

unsigned roan_scripted_open_streams(roan_scripted *world)
{
    roan_scripted_lock(world);
    unsigned count = world->open_streams;
    roan_scripted_unlock(world);
    return count;
}

void roan_scripted_handle(roan_scripted *world, roan_peer_fn handler, void *argument)
{
    roan_scripted_lock(world);
    world->handler = handler;
    world->handler_argument = argument;
    roan_scripted_unlock(world);
}

void roan_scripted_set_connecting(roan_scripted *world, int64_t after_us, int os_errno)
{
    roan_scripted_lock(world);
    world->connect_after_us = after_us;
    world->connect_errno = os_errno;
    roan_scripted_unlock(world);
}

roan_status roan_scripted_check(roan_scripted *world, roan_error *reterr)
{
    roan_scripted_lock(world);
    roan_status status = ROAN_OK;
    if (world->problem[0] != '\0')
        status = roan_error_set(reterr, ROAN_E_INVALID, "%s", world->problem);
    for (unsigned i = 0; i < world->peer_count && status == ROAN_OK; i++) {
        const roan_peer *peer = world->peers[i];
        if (peer != NULL && peer->expectations != NULL)
            status = roan_error_set(reterr, ROAN_E_INVALID, "connection %u: after %zu requests one more was expected",
                                    i, peer->request_count);
    }
    roan_scripted_unlock(world);
    return status;
}
