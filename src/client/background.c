/* client/background.c: see background.h. */
#include "client/background.h"

#include "base/macros.h"
#include "client/drive.h"
#include "client/handle.h"
#include "client/wishes.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* How often one round receives from one link before the others get their turn. */
#define RECEIVES_MAX 64

/* A link that the thread took over under contention goes back to its callers after so many rounds with so little
 * to do. */
#define QUIET_CALLERS 4
#define QUIET_ROUNDS 256

/* A link in one round. */
typedef struct roan_visit {
    roan_link *link;
    roan_wire *wire; /* the connection it had when the round began to wait, or NULL */
    size_t item;     /* with a wire: its place among the items */
} roan_visit;

/* The handle whose callbacks this thread runs as a part of a round. */
static __thread const roan *round_of;

static int add_to_epoll(int epoll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

roan_status roan_background_init(roan *client, roan_error *reterr)
{
    roan_background *background = &client->background;
    bool is_loop = client->settings->options.drive == ROAN_DRIVE_LOOP;

    ROAN_ASSERT(pthread_mutex_init(&background->lock, NULL) == 0);
    background->epoll_fd = background->timer_fd = -1;
    roan_outcome_begin(&background->deferred);
    atomic_store(&background->loop_thread, pthread_self());
    atomic_store(&background->is_asleep, is_loop);
    background->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (background->wake_fd >= 0 && !is_loop)
        return ROAN_OK;
    if (background->wake_fd >= 0) {
        background->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        background->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        if (background->epoll_fd >= 0 && background->timer_fd >= 0 &&
            add_to_epoll(background->epoll_fd, background->wake_fd) == 0 &&
            add_to_epoll(background->epoll_fd, background->timer_fd) == 0)
            return ROAN_OK;
    }
    roan_status status = roan_error_set_errno(reterr, errno, "cannot make the descriptors of the event loop");
    roan_background_done(client);
    return status;
}

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void roan_background_done(roan *client)
{
    roan_background *background = &client->background;

    close_if_open(&background->wake_fd);
    close_if_open(&background->epoll_fd);
    close_if_open(&background->timer_fd);
    free(background->items);
    free(background->visits);
    background->items = NULL;
    background->visits = NULL;
    pthread_mutex_destroy(&background->lock);
}

static void add_counters(roan_counters *sum, const roan_counters *more)
{
    sum->commands += more->commands;
    sum->failures += more->failures;
    sum->timeouts += more->timeouts;
    sum->retries += more->retries;
    sum->connects += more->connects;
    sum->disconnects += more->disconnects;
    sum->sent_bytes += more->sent_bytes;
    sum->received_bytes += more->received_bytes;
    sum->writes += more->writes;
}

void roan_background_list(roan *client, roan_link_list *list, roan_counters *ret_past)
{
    roan_background *background = &client->root->background;
    size_t wanted = 0;

    pthread_mutex_lock(&background->lock);
    if (ret_past != NULL)
        *ret_past = client->root->past;
    for (roan_link *at = background->links; at != NULL; at = at->next)
        wanted++;
    list->count = 0;
    list->links = wanted > ROAN_COUNT_OF(list->few) ? malloc(wanted * sizeof(roan_link *)) : list->few;
    for (roan_link *at = background->links; at != NULL && list->links != NULL; at = at->next) {
        roan_link_keep(at);
        list->links[list->count++] = at;
    }
    pthread_mutex_unlock(&background->lock);
}

void roan_background_list_done(roan_link_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        roan_link_drop(list->links[i]);
    if (list->links != list->few)
        free(list->links);
}

void roan_background_count(roan *client, roan_counters *ret_sum)
{
    roan_link_list list;

    roan_background_list(client, &list, ret_sum);
    for (size_t i = 0; i < list.count; i++) {
        pthread_mutex_lock(&list.links[i]->lock);
        add_counters(ret_sum, &list.links[i]->counters);
        pthread_mutex_unlock(&list.links[i]->lock);
    }
    roan_background_list_done(&list);
}

void roan_background_attach(roan *client, roan_link *link)
{
    roan_background *background = &client->root->background;

    pthread_mutex_lock(&background->lock);
    link->next = background->links;
    background->links = link;
    pthread_mutex_unlock(&background->lock);
}

void roan_background_detach(roan *client, roan_link *link)
{
    roan_background *background = &client->root->background;

    pthread_mutex_lock(&link->lock); /* a round may be at it still */
    pthread_mutex_lock(&background->lock);
    for (roan_link **at = &background->links; *at != NULL; at = &(*at)->next)
        if (*at == link) {
            *at = link->next;
            add_counters(&client->root->past, &link->counters);
            break;
        }
    pthread_mutex_unlock(&background->lock);
    pthread_mutex_unlock(&link->lock);
}

void roan_background_notify(roan_background *background)
{
    const uint64_t one = 1;

    if (!atomic_exchange(&background->is_notified, true) && atomic_load(&background->is_asleep))
        ROAN_IGNORE(write(background->wake_fd, &one, sizeof one));
}

/* ---- a round ---- */

/* Is there something that only the background will do? */
static bool needs_background(const roan_link *link)
{
    return roan_drive_is_background(link) || link->async_count > 0 || link->delayed != NULL ||
           (link->is_wanted && !roan_link_is_attended(link)) ||
           link->client->root->settings->options.drive == ROAN_DRIVE_LOOP;
}

static void take_role(roan_link *link)
{
    link->driver = ROAN_DRIVER_BACKGROUND;
    link->driver_thread = pthread_self();
    atomic_store_explicit(&link->baton, NULL, memory_order_relaxed);
}

/* First visit: sends, and says what to wait for. False: somebody else drives it or there is nothing to do. */
static bool prepare(roan_link *link, roan_wait_item *item, int64_t *due_us)
{
    roan_outcome outcome;
    bool is_ours;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&link->lock);
    roan_link_expire(link, roan_now_us(link->client), &outcome);
    is_ours = !roan_drive_is_held(link, roan_now_us(link->client), due_us) && link->driver == ROAN_DRIVER_NONE &&
              needs_background(link);
    if (is_ours) {
        take_role(link);
        roan_link_progress(link, &outcome);
        roan_link_flush(link, &outcome);
        is_ours = needs_background(link); /* it may have become ready and idle */
        if (!is_ours) {
            link->driver = ROAN_DRIVER_NONE;
            roan_drive_pass_on(link, &outcome);
            outcome.wakes_background = false;
        }
    }
    link->looks_us = ROAN_NO_DEADLINE;
    if (is_ours) {
        *due_us = ROAN_MIN(*due_us, roan_link_due_us(link));
        *item = (roan_wait_item){.want_receive = true, .want_send = link->is_blocked};
        link->polled_wire = link->wire;
        if (link->wire != NULL) {
            item->stream = link->wire->stream;
            link->wire->users++;
        }
        link->is_polled = true;
        link->polled_until_us = roan_link_due_us(link);
    } else if (link->async_count > 0) {
        *due_us = ROAN_MIN(*due_us, link->next_deadline_us); /* a caller drives; deadlines are ours */
    }
    if (!is_ours && link->is_wanted && roan_link_is_attended(link)) {
        link->looks_us = atomic_load_explicit(&link->attended_us, memory_order_relaxed) + ROAN_ATTEND_US;
        *due_us = ROAN_MIN(*due_us, link->looks_us);
    }
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(link->client, &outcome);
    return is_ours;
}

/* Gives the role up unless it is the background's for good. */
static void give_role(roan_link *link, roan_outcome *outcome)
{
    bool wakes;

    if (link->is_owned) {
        link->quiet_rounds = atomic_load_explicit(&link->callers, memory_order_relaxed) <= QUIET_CALLERS
                                 ? link->quiet_rounds + 1 : 0;
        if (link->quiet_rounds >= QUIET_ROUNDS)
            link->is_owned = false;
    }
    link->driver = ROAN_DRIVER_NONE;
    if (roan_drive_is_background(link) || link->async_count > 0)
        return; /* the next round takes it again */
    wakes = outcome->wakes_background;
    roan_drive_pass_on(link, outcome);
    outcome->wakes_background = wakes; /* the next round comes by itself */
}

/* A caller took the role while we slept on the same stream: an interrupt that was meant for it may have woken us. */
static void pass_on_interrupt(const roan_link *link, const roan_wire *wire)
{
    if (link->driver == ROAN_DRIVER_CALLER && wire->users > 1 && (wire->is_dead || link->is_blocked))
        wire->stream->transport->interrupt(wire->stream);
}

/* Second visit: receives. */
static void attend(roan_link *link, roan_wire *wire, bool is_ready)
{
    roan_outcome outcome;
    bool is_current = true;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&link->lock);
    link->is_polled = false;
    link->is_in_round = true;
    if (wire != NULL) {
        pass_on_interrupt(link, wire);
        is_current = roan_link_leave_wire(link, wire);
    }
    if (link->driver == ROAN_DRIVER_BACKGROUND) {
        if (is_current && is_ready && link->wire != NULL) {
            link->is_blocked = false;
            if (link->state != ROAN_LINK_OPENING)
                for (unsigned i = 0; i < RECEIVES_MAX && link->wire == wire && roan_link_receive(link, 0, &outcome);
                     i++)
                    if (link->has_drained)
                        break;
        }
        roan_link_progress(link, &outcome);
        roan_link_flush(link, &outcome);
        give_role(link, &outcome);
    }
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(link->client, &outcome);
}

/* Third visit: sends what callbacks have begun meanwhile, all of it at once. */
static void send_begun(roan_link *link)
{
    roan_outcome outcome;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&link->lock);
    link->is_in_round = false;
    if (link->has_begun) {
        link->has_begun = false;
        roan_link_flush(link, &outcome);
        outcome.wakes_background |= link->client->background.epoll_fd < 0 || link->state != ROAN_LINK_READY;
    }
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(link->client, &outcome);
}

bool roan_background_sends_later(roan_link *link)
{
    if (round_of != link->client->root || !link->is_in_round)
        return false;
    link->has_begun = true;
    return true;
}

static bool make_room(roan_background *background, size_t count)
{
    roan_visit *visits;
    roan_wait_item *items;

    if (count <= background->visits_max)
        return true;
    count = ROAN_MAX(count, background->visits_max * 2);
    visits = realloc(background->visits, count * sizeof *visits);
    if (visits != NULL)
        background->visits = visits;
    items = realloc(background->items, count * sizeof *items);
    if (items != NULL)
        background->items = items;
    if (visits == NULL || items == NULL)
        return false;
    background->visits_max = count;
    return true;
}

/* All links, each with a reference. */
static size_t list_links(roan_background *background)
{
    size_t count = 0;

    pthread_mutex_lock(&background->lock);
    for (roan_link *at = background->links; at != NULL; at = at->next) {
        if (!make_room(background, count + 1))
            break;
        roan_link_keep(at);
        background->visits[count++] = (roan_visit){.link = at};
    }
    pthread_mutex_unlock(&background->lock);
    return count;
}

/* Only when somebody may have woken us. With something else ready a wake-up can be left for the next time. */
static void drain_wake(roan_background *background, unsigned ready)
{
    uint64_t value;

    if (ready > 0 && !atomic_load(&background->is_notified))
        return;
    ROAN_IGNORE(read(background->wake_fd, &value, sizeof value));
}

static int64_t sleep_us(const roan *client, int64_t due_us, int64_t wait_us)
{
    int64_t left_us;

    if (atomic_load(&client->background.is_notified) || atomic_load(&client->background.is_stopping))
        return 0; /* the round may have begun with clearing the notification of the end */
    if (due_us == ROAN_NO_DEADLINE)
        return wait_us;
    left_us = ROAN_MAX(due_us - roan_now_us(client), 0);
    return wait_us < 0 ? left_us : ROAN_MIN(left_us, wait_us);
}

void roan_background_round(roan *client, int64_t wait_us)
{
    roan_background *background = &client->background;
    size_t count;
    size_t used = 0;
    unsigned items = 0;
    unsigned ready;
    int64_t due_us;

    atomic_store(&background->is_asleep, false);
    atomic_store(&background->is_notified, false);
    roan_subscriptions_call_late(client);
    due_us = roan_pool_expire(client, roan_now_us(client));
    count = list_links(background);
    for (size_t i = 0; i < count; i++) {
        roan_link *link = background->visits[i].link;
        if (!prepare(link, &background->items[items], &due_us)) {
            roan_link_drop(link);
            continue;
        }
        background->visits[used++] =
            (roan_visit){link, link->polled_wire, items}; /* only a round changes polled_wire */
        items += link->polled_wire != NULL;
    }
    atomic_store(&background->is_asleep, true);
    wait_us = sleep_us(client, due_us, wait_us);
    ready = client->transport->wait(client->transport->state, background->items, items, background->wake_fd, wait_us);
    atomic_store(&background->is_asleep, false);
    drain_wake(background, ready);
    round_of = client;
    for (size_t i = 0; i < used; i++) {
        roan_visit *visit = &background->visits[i];
        attend(visit->link, visit->wire, visit->wire != NULL && background->items[visit->item].is_ready);
    }
    round_of = NULL;
    for (size_t i = 0; i < used; i++) {
        send_begun(background->visits[i].link);
        roan_link_drop(background->visits[i].link);
    }
    if (background->epoll_fd < 0)
        return;
    atomic_store(&background->is_asleep, true); /* until the next roan_turn() */
    if (atomic_exchange(&background->is_notified, false))
        roan_background_notify(background);
}

/* ---- the thread ---- */

static void *run(void *argument)
{
    roan *client = argument;

    while (!atomic_load(&client->background.is_stopping))
        roan_background_round(client, -1);
    return NULL;
}

static bool start(roan *client)
{
    roan_background *background = &client->background;
    sigset_t all, old;
    bool is_running;

    pthread_mutex_lock(&background->lock);
    if (!background->is_running && !atomic_load(&background->is_stopping)) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        background->is_running = pthread_create(&background->thread, NULL, run, client) == 0;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (background->is_running)
            ROAN_IGNORE(pthread_setname_np(background->thread, "roan-client"));
    }
    is_running = background->is_running;
    pthread_mutex_unlock(&background->lock);
    return is_running;
}

void roan_background_wake(roan *client)
{
    client = client->root;
    if (!client->transport->has_descriptors)
        return;
    if (client->settings->options.drive != ROAN_DRIVE_LOOP && !atomic_load(&client->background.has_thread)) {
        if (!start(client))
            return; /* callers drive, or nobody: the deadline of whoever waits still holds */
        atomic_store(&client->background.has_thread, true);
    }
    roan_background_notify(&client->background);
}


void roan_background_stop(roan *client)
{
    roan_background *background = &client->background;
    bool was_running;

    pthread_mutex_lock(&background->lock);
    was_running = background->is_running;
    background->is_running = false;
    atomic_store(&background->is_stopping, true);
    pthread_mutex_unlock(&background->lock);
    if (!was_running)
        return;
    roan_background_notify(background);
    pthread_join(background->thread, NULL);
}

void roan_background_forget(roan *client)
{
    roan_background *background = &client->background;

    close_if_open(&background->wake_fd);
    close_if_open(&background->epoll_fd);
    close_if_open(&background->timer_fd);
    background->is_running = false;
    atomic_store(&background->is_stopping, false);
    atomic_store(&background->has_thread, false);
    atomic_store(&background->is_notified, false);
    atomic_store(&background->is_asleep, false);
    atomic_store(&background->is_turning, false);
    atomic_store(&background->has_turned, false);
    roan_outcome_forget(&background->deferred); /* the parent's */
    background->timer_us = 0;
    free(background->items);
    free(background->visits);
    background->items = NULL;
    background->visits = NULL;
    background->visits_max = 0;
    background->links = NULL;
    ROAN_ASSERT(pthread_mutex_init(&background->lock, NULL) == 0);
}
