/* client/link_timers.c: what happens to a link as time goes by: connecting goes on or takes too long, delayed requests
 * are tried again, silence, output that the server does not take.
 *
 * roan_link_due_us() says when roan_link_progress() will have something to do even if nothing is received. Deadlines of
 * requests are roan_link_expire()'s, in link.c.
 */
#include "client/handle.h"
#include "client/link.h"

#include "base/macros.h"

#include <errno.h>

/* When a connection with replies due has been silent for too long; ROAN_NO_DEADLINE. */
static int64_t silence_due_us(const roan_link *link)
{
    const roan_options *options = &link->client->root->settings->options;
    int64_t since_us;

    if (link->state != ROAN_LINK_READY || options->silence_timeout_ms < 0)
        return ROAN_NO_DEADLINE;
    if (link->head != NULL && !link->head->is_sent)
        return ROAN_NO_DEADLINE; /* to be sent first; see blocked_due_us() */
    if (link->head == NULL) /* idle: a probe is due */
        return link->is_wanted || options->drive != ROAN_DRIVE_AUTO || link->is_owned
                   ? link->received_us + (int64_t)options->silence_timeout_ms * 1000
                   : ROAN_NO_DEADLINE;
    if (link->head->block_us == INT64_MAX)
        return ROAN_NO_DEADLINE;
    since_us = ROAN_MAX(link->received_us, link->head->sent_us) + (int64_t)options->silence_timeout_ms * 1000;
    return __builtin_add_overflow(since_us, ROAN_MAX(link->head->block_us, 0), &since_us) ? ROAN_NO_DEADLINE : since_us;
}

static int64_t blocked_due_us(const roan_link *link)
{
    const roan_options *options = &link->client->root->settings->options;

    if (link->blocked_since_us == 0 || options->write_timeout_ms < 0)
        return ROAN_NO_DEADLINE;
    return link->blocked_since_us + (int64_t)options->write_timeout_ms * 1000;
}

int64_t roan_link_due_us(const roan_link *link)
{
    int64_t due_us = link->next_deadline_us;

    if (link->delayed != NULL)
        due_us = ROAN_MIN(due_us, link->delayed->due_us);
    switch (link->state) {
    case ROAN_LINK_OPENING:
    case ROAN_LINK_HANDSHAKE:
        return ROAN_MIN(due_us, link->connect_deadline_us);
    case ROAN_LINK_BACKOFF:
        return link->head != NULL || link->is_wanted ? ROAN_MIN(due_us, link->backoff_until_us) : due_us;
    case ROAN_LINK_READY:
        return ROAN_MIN(due_us, ROAN_MIN(silence_due_us(link), blocked_due_us(link)));
    default:
        return due_us;
    }
}

static void requeue_delayed(roan_link *link, int64_t now_us, roan_outcome *outcome)
{
    while (link->delayed != NULL && link->delayed->due_us <= now_us) {
        roan_future *future = link->delayed;
        link->delayed = future->next;
        roan_link_queue(link, future);
        roan_drop(future); /* the list's reference */
        if (link->state != ROAN_LINK_READY)
            roan_link_want(link, now_us, outcome);
    }
}

static void probe(roan_link *link, int64_t now_us, roan_outcome *outcome)
{
    static const roan_slice ping = {"PING", 4};
    int64_t span_us = (int64_t)link->client->root->settings->options.silence_timeout_ms * 1000;
    roan_future *future = roan_future_create_internal(link->client, 1, &ping, now_us + span_us);

    link->received_us = now_us; /* the next one not before another span */
    if (!roan_future_is_static(future) && roan_future_encode(future, 1, &ping))
        roan_link_submit(link, future, false, outcome);
    roan_drop(future);
}

static void check_silence(roan_link *link, int64_t now_us, roan_outcome *outcome)
{
    roan_failure failure;

    if (now_us >= blocked_due_us(link)) {
        roan_failure_set(&failure, ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN, "the server took no bytes for %d ms",
                         link->client->root->settings->options.write_timeout_ms);
        roan_link_lose(link, &failure, outcome);
    } else if (now_us >= silence_due_us(link)) {
        if (link->head == NULL) {
            probe(link, now_us, outcome);
            return;
        }
        roan_failure_set(&failure, ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN, "nothing was received for %d ms",
                         link->client->root->settings->options.silence_timeout_ms);
        roan_link_lose(link, &failure, outcome);
    }
}

static void progress_opening(roan_link *link, roan_outcome *outcome)
{
    roan_error error;
    roan_failure failure;

    roan_background_unwatch(link); /* the descriptor may change */
    switch (link->wire->stream->transport->progress(link->wire->stream, &error)) {
    case ROAN_PROGRESS_OPENING:
        return;
    case ROAN_PROGRESS_OPEN:
        roan_link_handshake_begin(link, outcome);
        return;
    case ROAN_PROGRESS_FAILED:
        roan_failure_set(&failure, ROAN_E_CONNECT, ROAN_FATE_NOT_SENT, "%s", error.text);
        failure.os_errno = error.os_errno;
        roan_link_connect_failed(link, &failure, false, outcome);
        return;
    }
}

void roan_link_progress(roan_link *link, roan_outcome *outcome)
{
    int64_t now_us = roan_now_us(link->client);
    roan_failure failure;

    if (link->state == ROAN_LINK_OPENING)
        progress_opening(link, outcome);
    roan_link_expire(link, now_us, outcome);
    requeue_delayed(link, now_us, outcome);
    switch (link->state) {
    case ROAN_LINK_OPENING:
    case ROAN_LINK_HANDSHAKE:
        if (now_us < link->connect_deadline_us)
            return;
        roan_failure_set(&failure, ROAN_E_CONNECT, ROAN_FATE_NOT_SENT, "not connected within %d ms",
                         link->client->root->settings->options.connect_timeout_ms);
        failure.os_errno = ETIMEDOUT;
        roan_link_connect_failed(link, &failure, false, outcome);
        return;
    case ROAN_LINK_BACKOFF:
        if (now_us >= link->backoff_until_us && (link->head != NULL || link->is_wanted))
            roan_link_open(link, now_us, outcome);
        return;
    case ROAN_LINK_READY:
        check_silence(link, now_us, outcome);
        return;
    default:
        return;
    }
}
