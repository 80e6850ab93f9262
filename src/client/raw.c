/* client/raw.c: see raw.h. */
#include "client/raw.h"

#include "base/macros.h"
#include "client/drive.h"
#include "client/handle.h"
#include "resp/reply_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How long to sleep while the background is about to let go of a link. */
#define YIELD_US 200

/* ---- opening ---- */

static bool is_connected_or_failed(const void *argument)
{
    const roan_link *link = argument;

    return link->state == ROAN_LINK_READY || link->state == ROAN_LINK_CLOSED;
}

/* Lock held. Connects if need be. */
static void connect_link(roan_raw *raw, roan_outcome *outcome)
{
    roan_link *link = raw->link;
    roan_wait_node node = {.word = roan_park_word(), .next = link->watchers};

    link->watchers = &node;
    roan_link_want(link, roan_now_us(raw->client), outcome);
    roan_drive_wait(link, is_connected_or_failed, link, &node, raw->deadline_us, outcome);
    for (roan_wait_node **at = &link->watchers; *at != NULL; at = &(*at)->next)
        if (*at == &node) {
            *at = node.next;
            break;
        }
}

/* Lock held; released while the background is in the middle of something. */
static void take_role(roan_raw *raw, roan_outcome *outcome)
{
    roan_link *link = raw->link;

    while (link->driver != ROAN_DRIVER_NONE && !(link->driver == ROAN_DRIVER_BACKGROUND && link->is_polled)) {
        pthread_mutex_unlock(&link->lock);
        roan_outcome_finish(raw->client, outcome);
        roan_park(roan_park_word(), YIELD_US);
        pthread_mutex_lock(&link->lock);
    }
    link->driver = ROAN_DRIVER_CALLER;
    link->driver_thread = pthread_self();
}

static void fail_deadline(const roan_raw *raw, roan_failure *failure)
{
    roan_failure_set(failure, ROAN_E_TIMEOUT, ROAN_FATE_NOT_SENT, "not done within %" PRId64 " ms",
                     (raw->deadline_us - raw->begun_us) / 1000);
}

/* Lock held. Can this link be used now? */
static roan_status check_link(roan_raw *raw, roan_failure *failure)
{
    roan_link *link = raw->link;

    if (link->state == ROAN_LINK_CLOSED && link->connect_failure.code != ROAN_OK)
        *failure = link->connect_failure;
    else if (link->state == ROAN_LINK_CLOSED)
        roan_failure_set(failure, ROAN_E_LOST, ROAN_FATE_NOT_SENT, "the connection of the lease is lost");
    else if (link->state != ROAN_LINK_READY)
        fail_deadline(raw, failure);
    else if (link->head != NULL || link->delayed != NULL)
        roan_failure_set(failure, ROAN_E_USAGE, ROAN_FATE_NOT_SENT, "something is under way on this lease already");
    else if (roan_reply_reader_buffered(link->wire->reader) > 0)
        roan_failure_set(failure, ROAN_E_LOST, ROAN_FATE_NOT_SENT, "the server sent something that nobody asked for");
    else
        return ROAN_OK;
    return failure->code;
}

/* A lease, unless the handle is one. */
static roan_status take_link(roan_raw *raw, roan_failure *failure)
{
    int64_t left_ms = raw->deadline_us == ROAN_NO_DEADLINE ? INT64_MAX : (raw->deadline_us - raw->begun_us) / 1000 + 1;
    int line_ms = raw->client->settings->options.lease_timeout_ms;

    if (raw->client == raw->client->root) {
        line_ms = line_ms < 0 && left_ms == INT64_MAX ? -1 : (int)ROAN_MIN(left_ms, line_ms < 0 ? INT32_MAX : line_ms);
        if (roan_lease_take(raw->client, &raw->lease, line_ms) != ROAN_OK) {
            *failure = *roan_last_failure();
            return failure->code;
        }
        raw->client = roan_lease_client(raw->lease);
    }
    raw->link = raw->client->link;
    return ROAN_OK;
}

roan_status roan_raw_open(roan_raw *raw, roan *client, int64_t deadline_us, roan_failure *ret_failure)
{
    roan_outcome outcome;
    roan_status status;

    *raw = (roan_raw){.client = client, .deadline_us = deadline_us, .begun_us = roan_now_us(client)};
    raw->buffer = malloc(ROAN_RAW_BUFFER_BYTES);
    if (raw->buffer == NULL) {
        roan_failure_set(ret_failure, ROAN_E_NOMEM, ROAN_FATE_NOT_SENT, "out of memory for a stream's buffer");
        return ROAN_E_NOMEM;
    }
    status = take_link(raw, ret_failure);
    if (status != ROAN_OK) {
        free(raw->buffer);
        return status;
    }
    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&raw->link->lock);
    if (!is_connected_or_failed(raw->link))
        connect_link(raw, &outcome);
    take_role(raw, &outcome);
    status = check_link(raw, ret_failure);
    raw->link->counters.commands += status == ROAN_OK;
    raw->wire = raw->link->wire;
    if (raw->wire != NULL)
        raw->wire->users++;
    pthread_mutex_unlock(&raw->link->lock);
    roan_outcome_finish(client, &outcome);
    if (status != ROAN_OK)
        roan_raw_close(raw, status == ROAN_E_USAGE);
    return status;
}

/* ---- closing ---- */

void roan_raw_close(roan_raw *raw, bool is_clean)
{
    roan_link *link = raw->link;
    roan *root = raw->client->root;
    roan_outcome outcome;
    roan_failure failure;

    free(raw->buffer);
    raw->buffer = NULL;
    roan_failure_set(&failure, ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN, "the stream of a value ended in the middle");
    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&link->lock);
    link->driver = ROAN_DRIVER_NONE;
    link->is_blocked = false;
    link->used_us = roan_now_us(root);
    if (raw->wire != NULL)
        ROAN_IGNORE(roan_link_leave_wire(link, raw->wire)); /* gone or not, the pool looks for itself */
    if (!is_clean && link->state == ROAN_LINK_READY)
        roan_link_lose(link, &failure, &outcome);
    roan_drive_pass_on(link, &outcome);
    outcome.wakes_background |= root->settings->options.drive != ROAN_DRIVE_AUTO; /* it looks after idle links */
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(raw->client, &outcome);
    if (is_clean)
        roan_lease_return(raw->lease);
    else
        roan_lease_destroy(raw->lease);
}

/* ---- bytes ---- */

static void note_progress(roan_raw *raw, size_t sent, size_t received)
{
    int64_t now_us = roan_now_us(raw->client);
    roan_link *link = raw->link;

    pthread_mutex_lock(&link->lock);
    if (received > 0)
        link->received_us = now_us;
    if (sent > 0) {
        link->sent_us = now_us;
        link->counters.writes++;
    }
    link->counters.sent_bytes += sent;
    link->counters.received_bytes += received;
    pthread_mutex_unlock(&link->lock);
}

static roan_status fail_system(int error, const char *doing, roan_failure *failure)
{
    if (error == 0)
        roan_failure_set(failure, ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN, "the server closed the connection");
    else
        roan_failure_set(failure, ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN, "%s: %s", doing, strerror(error));
    failure->os_errno = error;
    return ROAN_E_LOST;
}

/* One receive(). 0: nothing came. */
static ssize_t receive_once(roan_raw *raw, int64_t wait_us, roan_failure *failure)
{
    roan_stream *stream = raw->wire->stream;
    ssize_t got;

    if (raw->start == raw->end)
        raw->start = raw->end = 0;
    if (raw->end == ROAN_RAW_BUFFER_BYTES && raw->start > 0) {
        memmove(raw->buffer, raw->buffer + raw->start, raw->end - raw->start);
        raw->end -= raw->start;
        raw->start = 0;
    }
    ROAN_ASSERT(raw->end < ROAN_RAW_BUFFER_BYTES);
    got = stream->transport->receive(stream, raw->buffer + raw->end, ROAN_RAW_BUFFER_BYTES - raw->end, wait_us);
    if (got == -EAGAIN || got == -EINTR)
        return 0;
    if (got <= 0)
        return fail_system((int)-got, "receiving", failure);
    raw->end += (size_t)got;
    note_progress(raw, 0, (size_t)got);
    return got;
}

roan_status roan_raw_receive(roan_raw *raw, int64_t silence_us, roan_failure *ret_failure)
{
    int64_t now_us = roan_now_us(raw->client);
    int64_t silent_us = silence_us < 0 ? ROAN_NO_DEADLINE : now_us + silence_us;
    int64_t until_us = ROAN_MIN(raw->deadline_us, silent_us);

    for (;;) {
        ssize_t got =
            receive_once(raw, until_us == ROAN_NO_DEADLINE ? -1 : ROAN_MAX(until_us - now_us, 0), ret_failure);
        if (got != 0)
            return got > 0 ? ROAN_OK : (roan_status)got;
        now_us = roan_now_us(raw->client);
        if (now_us >= raw->deadline_us) {
            fail_deadline(raw, ret_failure);
            return ROAN_E_TIMEOUT;
        }
        if (now_us >= silent_us) {
            roan_failure_set(ret_failure, ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN,
                             "nothing was received for %" PRId64 " ms", silence_us / 1000);
            return ROAN_E_LOST;
        }
    }
}

static bool has_early_error(const roan_raw *raw)
{
    return raw->end > raw->start && raw->buffer[raw->start] == '-';
}

static roan_status fail_early(roan_failure *failure)
{
    roan_failure_set(failure, ROAN_E_SERVER, ROAN_FATE_NOT_SENT, "the server refused the request before its end");
    return ROAN_E_SERVER;
}

/* The socket is full: waits until it takes more, and looks for an early answer. */
static roan_status wait_for_room(roan_raw *raw, int64_t until_us, roan_failure *failure)
{
    const roan_transport *transport = raw->client->transport;
    int64_t now_us = roan_now_us(raw->client);
    bool wants_receive = raw->end < ROAN_RAW_BUFFER_BYTES;
    roan_wait_item item = {.stream = raw->wire->stream, .want_send = true, .want_receive = wants_receive};

    ROAN_IGNORE(transport->wait(transport->state, &item, 1, -1, /* how it ended shows */
                                until_us == ROAN_NO_DEADLINE ? -1 : ROAN_MAX(until_us - now_us, 0)));
    if (wants_receive && receive_once(raw, 0, failure) < 0)
        return failure->code;
    return has_early_error(raw) ? fail_early(failure) : ROAN_OK;
}

/* The connection broke: did the server say why? */
static roan_status fail_sending(roan_raw *raw, int error, roan_failure *failure)
{
    if (raw->end < ROAN_RAW_BUFFER_BYTES)
        ROAN_IGNORE(receive_once(raw, 0, failure)); /* the failure to send is the one that counts */
    return has_early_error(raw) ? fail_early(failure) : fail_system(error, "sending", failure);
}

static unsigned use_up(struct iovec **pieces, unsigned count, size_t bytes)
{
    while (count > 0 && bytes >= (*pieces)->iov_len) {
        bytes -= (*pieces)->iov_len;
        (*pieces)++;
        count--;
    }
    if (count > 0) {
        (*pieces)->iov_base = (char *)(*pieces)->iov_base + bytes;
        (*pieces)->iov_len -= bytes;
    }
    return count;
}

roan_status roan_raw_send(roan_raw *raw, struct iovec *pieces, unsigned count, roan_failure *ret_failure)
{
    roan_stream *stream = raw->wire->stream;
    int write_ms = raw->client->root->settings->options.write_timeout_ms;
    int64_t blocked_us = -1; /* since */

    count = use_up(&pieces, count, 0);
    while (count > 0) {
        ssize_t sent = stream->transport->send(stream, pieces, count);
        int64_t now_us = roan_now_us(raw->client);
        int64_t stalled_us;
        roan_status status;
        if (now_us >= raw->deadline_us) {
            fail_deadline(raw, ret_failure);
            return ROAN_E_TIMEOUT;
        }
        if (sent >= 0) {
            raw->sent += (uint64_t)sent;
            note_progress(raw, (size_t)sent, 0);
            count = use_up(&pieces, count, (size_t)sent);
            blocked_us = -1;
            continue;
        }
        if (sent != -EAGAIN)
            return fail_sending(raw, (int)-sent, ret_failure);
        blocked_us = blocked_us >= 0 ? blocked_us : now_us;
        stalled_us = write_ms < 0 ? ROAN_NO_DEADLINE : blocked_us + (int64_t)write_ms * 1000;
        if (now_us >= stalled_us) {
            roan_failure_set(ret_failure, ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN, "the server took no bytes for %d ms",
                             write_ms);
            return ROAN_E_LOST;
        }
        status = wait_for_room(raw, ROAN_MIN(raw->deadline_us, stalled_us), ret_failure);
        if (status != ROAN_OK)
            return status;
    }
    return ROAN_OK;
}
