/* client/link_io.c: the bytes of a link: what waits goes out, what comes in finds the request it answers.
 *
 * Requests stay in the memory of their futures until they are answered. For one send() they are gathered: small ones
 * are copied side by side into a block on the sender's stack, large ones are pointed to. Where the socket stopped is
 * known by counting bytes, so a partial send just gathers again from there.
 *
 * What comes in goes into a buffer that the reader has only while something is in it; between, the process keeps a few
 * spare ones for all links. A small reply is built in the memory of the request it answers (see future.h).
 */
#include "client/handle.h"
#include "client/link.h"

#include "base/macros.h"
#include "base/number.h"
#include "resp/reply_reader.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define BLOCK_BYTES 16384
#define COPY_BYTES_MAX 2048 /* larger requests are sent from where they are */
#define PIECES_MAX 64
#define RECEIVE_BYTES 16384

typedef struct gathered {
    unsigned pieces;
    unsigned held_count;
    size_t block_bytes;
    struct iovec iov[PIECES_MAX];
    roan_future *held[PIECES_MAX]; /* pointed to: must live until the system call is over */
    char block[BLOCK_BYTES];
} gathered;

bool roan_link_has_output(const roan_link *link)
{
    if (link->state == ROAN_LINK_HANDSHAKE)
        return link->handshake.request_sent < link->handshake.request_bytes;
    return link->state == ROAN_LINK_READY && link->sending_at != NULL;
}

/* Adds data to the pieces, copied when it is small. False: full. */
static bool add_piece(gathered *out, roan_future *future, const char *data, size_t bytes)
{
    if (bytes > COPY_BYTES_MAX) {
        if (out->pieces == PIECES_MAX)
            return false;
        out->iov[out->pieces++] = (struct iovec){(char *)data, bytes};
        out->held[out->held_count++] = roan_keep(future);
        return true;
    }
    if (bytes > BLOCK_BYTES - out->block_bytes)
        return false;
    char *at = out->block + out->block_bytes;
    struct iovec *last = out->pieces > 0 ? &out->iov[out->pieces - 1] : NULL;
    if (last != NULL && (char *)last->iov_base + last->iov_len == at)
        last->iov_len += bytes;
    else if (out->pieces < PIECES_MAX)
        out->iov[out->pieces++] = (struct iovec){at, bytes};
    else
        return false;
    memcpy(at, data, bytes);
    out->block_bytes += bytes;
    return true;
}

static void stage(roan_link *link, roan_future *future, int64_t now_us)
{
    future->out_start = link->staged_total;
    future->out_end = link->staged_total += future->request_bytes;
    future->is_sent = true;
    future->sent_us = now_us;
    future->received_before = link->received_total;
    link->unsent = future->next;
    link->waiting_count--;
    link->waiting_bytes -= future->request_bytes;
}

/* What fits into one send(). The last request that ends in it carries the mark by which writes under way are
 * counted. */
static void gather(roan_link *link, gathered *out, int64_t now_us)
{
    roan_future *last = NULL;

    for (roan_future *at = link->sending_at; at != NULL; at = at->next) {
        size_t done = at->is_sent && at->out_start < link->sent_total ? (size_t)(link->sent_total - at->out_start) : 0;
        if (!add_piece(out, at, at->request + done, at->request_bytes - done))
            break;
        if (!at->is_sent)
            stage(link, at, now_us);
        last = at;
    }
    if (last != NULL && !last->ends_batch) {
        last->ends_batch = true;
        link->batches++;
    }
}

/* Copied: the handshake may fail, and its requests be wiped, while somebody is inside of send(). */
static void gather_handshake(const roan_link *link, gathered *out)
{
    size_t bytes = ROAN_MIN(link->handshake.request_bytes - link->handshake.request_sent, (size_t)BLOCK_BYTES);

    memcpy(out->block, link->handshake.request + link->handshake.request_sent, bytes);
    out->iov[out->pieces++] = (struct iovec){out->block, bytes};
}

static void fail_protocol(roan_link *link, const char *what, roan_outcome *outcome)
{
    roan_failure failure;

    roan_failure_set(&failure, ROAN_E_PROTOCOL, ROAN_FATE_MAY_HAVE_RUN, "%s", what);
    roan_link_lose(link, &failure, outcome);
}

static void fail_system(roan_link *link, int error, const char *doing, roan_outcome *outcome)
{
    roan_failure failure;

    if (error == 0)
        roan_failure_set(&failure, ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN, "the server closed the connection");
    else
        roan_failure_set(&failure, ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN, "%s: %s", doing, strerror(error));
    failure.os_errno = error;
    roan_link_lose(link, &failure, outcome);
}

/* Whoever drives waits for input only, if it began to wait before: it must look at output, too. */
static void note_blocked(roan_link *link)
{
    link->is_blocked = true;
    if (link->blocked_since_us == 0)
        link->blocked_since_us = link->sent_us;
    if (link->driver == ROAN_DRIVER_CALLER && !pthread_equal(link->driver_thread, pthread_self()))
        link->wire->stream->transport->interrupt(link->wire->stream);
    else if (link->driver == ROAN_DRIVER_BACKGROUND && link->is_polled)
        roan_background_notify(&link->client->root->background);
}

/* `round`: of the handshake, 0 for requests. While send() was under way the driver may have received all answers: the
 * handshake is over then, or in its next round. */
static void note_sent(roan_link *link, ssize_t sent, unsigned round, int64_t now_us, roan_outcome *outcome)
{
    link->sent_us = now_us;
    if (sent < 0) {
        if (sent != -EAGAIN)
            fail_system(link, (int)-sent, "sending", outcome);
        else
            note_blocked(link);
        return;
    }
    link->blocked_since_us = 0;
    link->counters.writes++;
    link->counters.sent_bytes += (uint64_t)sent;
    if (round > 0) {
        if (link->state == ROAN_LINK_HANDSHAKE && link->handshake.round == round)
            link->handshake.request_sent += (size_t)sent;
        return;
    }
    link->sent_total += (uint64_t)sent;
    while (link->sending_at != NULL && link->sending_at->is_sent && link->sending_at->out_end <= link->sent_total)
        link->sending_at = link->sending_at->next;
    if (link->answered_end > link->sent_total)
        fail_protocol(link, "the server answered a request before it was sent", outcome);
}

/* One send(). */
static void send_some(roan_link *link, roan_outcome *outcome)
{
    roan_wire *wire = link->wire;
    gathered out;
    unsigned round = link->state == ROAN_LINK_HANDSHAKE ? link->handshake.round : 0;
    int64_t now_us = roan_now_us(link->client);
    size_t wanted = 0;
    ssize_t sent;

    out.pieces = out.held_count = 0;
    out.block_bytes = 0;
    if (round > 0)
        gather_handshake(link, &out);
    else
        gather(link, &out, now_us);
    for (unsigned i = 0; i < out.pieces; i++)
        wanted += out.iov[i].iov_len;
    wire->users++;
    link->is_sending = true;
    pthread_mutex_unlock(&link->lock);
    sent = wire->stream->transport->send(wire->stream, out.iov, out.pieces);
    pthread_mutex_lock(&link->lock);
    for (unsigned i = 0; i < out.held_count; i++)
        roan_drop(out.held[i]);
    if (round > 0)
        explicit_bzero(out.block, wanted);
    link->is_sending = false;
    if (!roan_link_leave_wire(link, wire))
        return;
    note_sent(link, sent, round, now_us, outcome);
    if (link->wire == wire && sent > 0 && (size_t)sent < wanted)
        note_blocked(link); /* the socket is full: spare the call that would say so */
}

void roan_link_flush(roan_link *link, roan_outcome *outcome)
{
    while (!link->is_sending && !link->is_blocked && roan_link_has_output(link))
        send_some(link, outcome);
    ROAN_VERIFY(roan_link_check(link));
}

/* ---- replies ---- */

static void copy_text(char *to, size_t to_bytes, const char *from, size_t bytes)
{
    bytes = ROAN_MIN(bytes, to_bytes - 1);
    memcpy(to, from, bytes);
    to[bytes] = '\0';
}

roan_slice roan_error_text(roan_slice text)
{
    static const char arguments[] = ", with args beginning with";
    const char *at = memmem(text.data, text.bytes, arguments, sizeof arguments - 1);

    return roan_slice_make(text.data, at != NULL ? (size_t)(at - text.data) : text.bytes);
}

void roan_failure_of_reply(roan_failure *failure, const roan_value *reply)
{
    roan_slice text = roan_error_text(reply->text);
    const char *space = memchr(text.data, ' ', text.bytes);

    roan_failure_set(failure, ROAN_E_SERVER, ROAN_FATE_RAN, "%s", "");
    copy_text(failure->server_code, sizeof failure->server_code, text.data,
              space != NULL ? (size_t)(space - text.data) : text.bytes);
    copy_text(failure->text, sizeof failure->text, text.data, text.bytes);
}

static bool begins_with(roan_slice text, const char *start)
{
    return text.bytes >= strlen(start) && memcmp(text.data, start, strlen(start)) == 0;
}

void roan_link_note_states(roan_link *link, const roan_command_traits *traits, const roan_value *reply)
{
    if ((traits->states | traits->ends) == 0 || !link->is_exclusive)
        return;
    if (reply->type == ROAN_REPLY_ERROR) { /* what it would have begun counts as begun */
        if (begins_with(reply->text, "EXECABORT"))
            link->states &= ~traits->ends;
        return;
    }
    if (reply->type == ROAN_REPLY_STATUS && begins_with(reply->text, "QUEUED"))
        return; /* not run yet */
    link->states = (link->states & ~traits->ends) | traits->states;
}

/* SUBSCRIBE and the like are answered by one confirmation for each channel, with RESP3 a push. */
static bool is_confirmation(const roan_link *link, const roan_future *head, const roan_value *value)
{
    return link->is_exclusive && head != NULL && head->is_sent && (head->states & ROAN_STATE_SUBSCRIBE) != 0 &&
           head->finish == NULL && (value->type == ROAN_REPLY_PUSH || value->type == ROAN_REPLY_ARRAY) &&
           value->count > 0 && roan_slice_is(value->elements[0].text, head->traits->name);
}

/* The head was answered by `reply`: it leaves the queue. */
static void answer_one(roan_link *link, roan_future *future, roan_value *reply, roan_outcome *outcome)
{
    roan_failure failure;
    bool is_settled = atomic_load_explicit(&future->is_settled, memory_order_relaxed);

    roan_link_note_states(link, future->traits, reply);
    roan_link_unqueue(link, future);
    if (is_settled) {
        roan_value_free(reply);
    } else if (reply->type == ROAN_REPLY_ERROR) {
        roan_failure_of_reply(&failure, reply);
        roan_value_free(reply);
        if (future->on_error != NULL && future->on_error(link, future, &failure))
            roan_link_queue(link, future);
        else if (!roan_link_try_again(link, future, &failure, link->received_us))
            roan_link_settle(link, future, ROAN_E_SERVER, NULL, &failure, outcome);
    } else {
        if (future->strips_prefix)
            roan_prefix_strip(link->client->root->settings->options.key_prefix, future->traits, reply);
        roan_link_settle(link, future, reply->type == ROAN_REPLY_NULL ? ROAN_NIL : ROAN_OK, reply, NULL, outcome);
    }
    roan_drop(future);
}

static void answer_batch(roan_link *link, roan_future *future, roan_value *reply, roan_outcome *outcome)
{
    roan_status status;

    if (future->replies == NULL) { /* settled while under way: nobody wants them */
        roan_value_free(reply);
        future->replies_count++;
    } else {
        future->replies[future->replies_count++] = reply;
    }
    if (future->replies_count < future->replies_due)
        return;
    roan_link_unqueue(link, future);
    if (!atomic_load_explicit(&future->is_settled, memory_order_relaxed)) {
        roan_value *result = NULL;
        roan_failure failure;
        roan_value **values = future->replies;
        size_t count = future->replies_count;
        roan_failure_set(&failure, ROAN_OK, ROAN_FATE_RAN, "%s", "");
        future->replies = NULL;
        future->replies_count = 0;
        status = future->finish(future, values, count, &result, &failure);
        roan_link_settle(link, future, status, result, &failure, outcome);
    }
    roan_drop(future);
}

/* What must have been sent for the next reply to it: of a batch, which may be sent in parts, the beginning, until it is
 * the last reply. */
static uint64_t answered_end(const roan_future *head)
{
    return head->replies_count + 1 < head->replies_due ? head->out_start + 1 : head->out_end;
}

void roan_link_handle(roan_link *link, roan_value *value, size_t bytes, roan_outcome *outcome)
{
    roan_future *head = link->head;

    if (link->state == ROAN_LINK_HANDSHAKE) {
        if (value->type != ROAN_REPLY_PUSH)
            roan_link_handshake_reply(link, value, outcome);
        roan_value_free(value);
        return;
    }
    if (link->on_push != NULL && link->on_push(link, value, outcome))
        return;
    if (is_confirmation(link, head, value)) {
        if (++head->replies_count < head->replies_due) {
            roan_value_free(value);
            return;
        }
    } else if (value->type == ROAN_REPLY_PUSH) {
        link->states |= link->is_exclusive ? ROAN_STATE_PUSHED : 0;
        roan_outcome_push(link, value, outcome);
        return;
    }
    if (head == NULL || !head->is_sent || (answered_end(head) > link->sent_total && !link->is_sending)) {
        char what[128];
        roan_slice text = value->type == ROAN_REPLY_ERROR ? roan_error_text(value->text) : ROAN_LITERAL("");
        ROAN_IGNORE(snprintf(what, sizeof what, "a reply that nobody asked for: %.*s",
                             (int)ROAN_MIN(text.bytes, (size_t)80), text.data));
        roan_value_free(value);
        fail_protocol(link, what, outcome);
        return;
    }
    link->answered_end = answered_end(head);
    if (head->ends_batch && head->replies_count + 1 >= head->replies_due) {
        head->ends_batch = false;
        link->batches--;
    }
    head->received_bytes += bytes;
    if (head->finish != NULL)
        answer_batch(link, head, value, outcome);
    else
        answer_one(link, head, value, outcome);
}

/* The request that the next reply will answer for certain, unless it is an error or a push, and which then needs its cell
 * no more; else NULL. */
static roan_future *next_answered(const roan_link *link)
{
    roan_future *head = link->head;

    if (link->state != ROAN_LINK_READY || head == NULL || head->cell == NULL || head->finish != NULL ||
        !head->is_sent || (head->out_end > link->sent_total && !link->is_sending))
        return NULL;
    if (link->is_exclusive && (link->states | head->states) != 0) /* values may come that nobody asked for */
        return NULL;
    return link->on_push == NULL || link->protocol == 3 ? head : NULL;
}

/* As roan_reply_reader_next(). */
static roan_status next_reply(roan_link *link, roan_wire *wire, roan_value **ret_value, roan_error *reterr)
{
    roan_future *head = next_answered(link);
    roan_reply_place place = {.bytes = ROAN_CELL_BYTES, .release = roan_cell_release};
    roan_status status;

    if (head == NULL)
        return roan_reply_reader_next(wire->reader, ret_value, reterr);
    place.memory = head->cell;
    status = roan_reply_reader_next_at(wire->reader, &place, ret_value, reterr);
    if (place.memory == NULL)
        roan_future_lose_cell(head);
    return status;
}

static void handle_input(roan_link *link, roan_wire *wire, roan_outcome *outcome)
{
    int64_t bytes_max = link->client->root->settings->options.reply_bytes_max;
    roan_value *value;
    roan_error error;

    while (link->wire == wire) {
        size_t before = roan_reply_reader_buffered(wire->reader);
        roan_status status = next_reply(link, wire, &value, &error);
        if (status == ROAN_OK && value == NULL) {
            if (bytes_max >= 0 && roan_reply_reader_expected(wire->reader) > (size_t)bytes_max)
                fail_protocol(link, "a reply is larger than reply_bytes_max", outcome);
            return;
        }
        if (status == ROAN_E_NOMEM) {
            fail_system(link, ENOMEM, "receiving", outcome);
            return;
        }
        if (status != ROAN_OK) {
            fail_protocol(link, error.text, outcome);
            return;
        }
        roan_link_handle(link, value, before - roan_reply_reader_buffered(wire->reader), outcome);
    }
}

/* ---- receiving ---- */

/* Spare buffers of RECEIVE_BYTES, of the whole process. */
#define SPARE_MAX 8
static _Atomic(char *) spare_buffers[SPARE_MAX];

static unsigned first_slot_of(const roan_link *link)
{
    return (unsigned)((uintptr_t)link / sizeof *link % SPARE_MAX);
}

static void lend_buffer(const roan_link *link, roan_reply_reader *reader)
{
    unsigned slot = first_slot_of(link);
    char *buffer = NULL;

    if (roan_reply_reader_has_buffer(reader))
        return;
    for (unsigned i = 0; i < SPARE_MAX && buffer == NULL; i++, slot = (slot + 1) % SPARE_MAX)
        if (atomic_load_explicit(&spare_buffers[slot], memory_order_relaxed) != NULL)
            buffer = atomic_exchange_explicit(&spare_buffers[slot], NULL, memory_order_acquire);
    if (buffer == NULL)
        buffer = malloc(RECEIVE_BYTES);
    if (buffer != NULL)
        roan_reply_reader_lend(reader, buffer, RECEIVE_BYTES);
}

/* If nothing is in it. One that has grown stays as long as more replies are due. */
static void take_buffer_back(const roan_link *link, roan_reply_reader *reader)
{
    unsigned slot = first_slot_of(link);
    size_t bytes;
    char *buffer;

    if (link->head != NULL && roan_reply_reader_room(reader) > RECEIVE_BYTES)
        return;
    buffer = roan_reply_reader_take_buffer(reader, &bytes);
    for (unsigned i = 0; i < SPARE_MAX && buffer != NULL && bytes == RECEIVE_BYTES; i++, slot = (slot + 1) % SPARE_MAX)
        if (atomic_load_explicit(&spare_buffers[slot], memory_order_relaxed) == NULL)
            buffer = atomic_exchange_explicit(&spare_buffers[slot], buffer, memory_order_acq_rel);
    free(buffer);
}

bool roan_link_receive(roan_link *link, int64_t wait_us, roan_outcome *outcome)
{
    roan_wire *wire = link->wire;
    char *room;
    size_t room_bytes = RECEIVE_BYTES;
    ssize_t got;

    lend_buffer(link, wire->reader);
    if (roan_reply_reader_reserve(wire->reader, &room, &room_bytes) != ROAN_OK) {
        fail_system(link, ENOMEM, "receiving", outcome);
        return false;
    }
    wire->users++;
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(link->client, outcome);
    got = wire->stream->transport->receive(wire->stream, room, room_bytes, wait_us);
    pthread_mutex_lock(&link->lock);
    if (!roan_link_leave_wire(link, wire))
        return false;
    if (got == -EAGAIN || got == -EINTR) {
        take_buffer_back(link, wire->reader);
        return false;
    }
    if (got <= 0) {
        fail_system(link, (int)-got, "receiving", outcome);
        return false;
    }
    roan_reply_reader_commit(wire->reader, (size_t)got);
    link->has_drained = (size_t)got < room_bytes;
    link->received_total += (uint64_t)got;
    link->received_us = roan_now_us(link->client);
    link->counters.received_bytes += (uint64_t)got;
    handle_input(link, wire, outcome);
    if (link->wire == wire)
        take_buffer_back(link, wire->reader);
    ROAN_VERIFY(roan_link_check(link));
    return true;
}
