/* client/scripted_peer.c: one scripted peer: what it sends and how, what arrived, who answers it.
 *
 * A peer keeps the order of its bytes like a stream: `last_us` is when the last byte sent so far arrives, and nothing
 * that is sent later overtakes it. Arriving bytes are logged and cut into requests; each goes to the first expectation
 * that is left, or to the peer's handler, or to the world's. */
#include "client/scripted_inside.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/macros.h"
#include "base/number.h"

enum { RANDOM_PIECE_MAX = 16, SHOWN_WORDS_MAX = 8 };

/* --- requests ----------------------------------------------------------------------------------------------------- */

roan_scripted_request *roan_scripted_request_create(size_t argc, const roan_slice *argv, int64_t at_us)
{
    size_t bytes = sizeof(roan_scripted_request) + argc * sizeof(roan_slice);
    char *text;
    for (size_t i = 0; i < argc; i++)
        bytes += argv[i].bytes;
    roan_scripted_request *request = roan_alloc(bytes);
    request->at_us = at_us;
    request->argc = argc;
    request->block_bytes = bytes;
    text = (char *)&request->argv[argc];
    for (size_t i = 0; i < argc; i++) {
        if (argv[i].bytes > 0)
            memcpy(text, argv[i].data, argv[i].bytes);
        request->argv[i] = roan_slice_make(text, argv[i].bytes);
        text += argv[i].bytes;
    }
    return request;
}

void roan_scripted_request_free(roan_scripted_request *request)
{
    if (request != NULL)
        roan_free(request, request->block_bytes);
}

static roan_scripted_request *keep_request(roan_peer *peer, size_t argc, const roan_slice *argv)
{
    if (peer->request_count == peer->request_room) {
        size_t room = ROAN_MAX(peer->request_room * 2, 16u);
        peer->requests = roan_realloc(peer->requests, peer->request_room * sizeof *peer->requests,
                                      room * sizeof *peer->requests);
        peer->request_room = room;
    }
    roan_scripted_request *request = roan_scripted_request_create(argc, argv, peer->world->now_us);
    peer->requests[peer->request_count++] = request;
    return request;
}

static void append_words(roan_buffer *text, const roan_scripted_request *request)
{
    for (size_t i = 0; i < request->argc && i < SHOWN_WORDS_MAX; i++) {
        if (i > 0)
            roan_buffer_append_char(text, ' ');
        roan_buffer_append_quoted(text, request->argv[i]);
    }
    if (request->argc > SHOWN_WORDS_MAX)
        roan_buffer_append_text(text, " ...");
}

static void note_mismatch(roan_peer *peer, const roan_scripted_request *expected, const roan_scripted_request *got)
{
    if (peer->world->problem[0] != '\0')
        return;
    roan_buffer text = {0};
    roan_buffer_printf(&text, "connection %u, request %zu: expected ", peer->index, peer->request_count - 1);
    append_words(&text, expected);
    roan_buffer_append_text(&text, ", got ");
    append_words(&text, got);
    snprintf(peer->world->problem, sizeof peer->world->problem, "%.*s", (int)text.bytes, text.data);
    roan_buffer_done(&text);
}

static bool is_expected(const roan_scripted_request *expected, const roan_scripted_request *got)
{
    bool is_equal = expected->argc == 0 || expected->argc == got->argc;
    for (size_t i = 0; is_equal && i < expected->argc; i++)
        is_equal = roan_slice_equal(expected->argv[i], got->argv[i]);
    return is_equal;
}

static void free_expectation(roan_scripted_expectation *expectation)
{
    roan_scripted_request_free(expectation->request);
    roan_buffer_done(&expectation->answer);
    roan_free(expectation, sizeof *expectation);
}

static void meet_expectation(roan_peer *peer, const roan_scripted_request *request)
{
    roan_scripted_expectation *expectation = peer->expectations;
    peer->expectations = expectation->next;
    if (is_expected(expectation->request, request)) {
        roan_peer_send(peer, expectation->after_us, roan_buffer_slice(&expectation->answer));
    } else {
        note_mismatch(peer, expectation->request, request);
        roan_peer_break(peer, ECONNRESET);
    }
    free_expectation(expectation);
}

static void answer_request(roan_peer *peer, const roan_scripted_request *request)
{
    const roan_scripted *world = peer->world;
    if (peer->is_over || peer->has_ended)
        return;
    if (peer->expectations != NULL)
        meet_expectation(peer, request);
    else if (peer->has_handler && peer->handler != NULL)
        peer->handler(peer->handler_argument, peer, request->argc, request->argv);
    else if (!peer->has_handler && world->handler != NULL)
        world->handler(world->handler_argument, peer, request->argc, request->argv);
}

/* Takes one request off what has arrived. False: there is none yet. */
static bool read_request(roan_peer *peer)
{
    const roan_parse_limits limits = {.bulk_bytes_max = UINT64_C(1) << 40, .is_authenticated = true};
    roan_slice error = {0};
    size_t missing;
    roan_parse_result result = roan_request_reader_read(&peer->reader, peer->log.data + peer->parsed,
                                                        peer->log.bytes - peer->parsed, &limits, &missing, &error);
    if (result == ROAN_PARSE_MORE)
        return false;
    if (result == ROAN_PARSE_ERROR) {
        if (peer->world->problem[0] == '\0')
            snprintf(peer->world->problem, sizeof peer->world->problem, "connection %u, request %zu: %.*s", peer->index,
                     peer->request_count, (int)error.bytes, error.data);
        roan_peer_break(peer, ECONNRESET);
        return false;
    }
    roan_scripted_request *request = NULL;
    if (peer->reader.argc > 0)
        request = keep_request(peer, peer->reader.argc, peer->reader.argv);
    peer->parsed += peer->reader.at;
    roan_request_reader_clear(&peer->reader);
    if (request != NULL)
        answer_request(peer, request);
    return true;
}

void roan_peer_arrive(roan_peer *peer, const char *data, size_t bytes)
{
    roan_buffer_append(&peer->log, data, bytes);
    roan_peer_check_cuts(peer);
    while (peer->parsed < peer->log.bytes && read_request(peer))
        ;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

roan_peer *roan_peer_create(roan_scripted *world, unsigned index)
{
    roan_peer *peer = roan_alloc_zero(sizeof *peer);
    peer->stream.transport = &world->transport;
    peer->world = world;
    peer->index = index;
    peer->window = INT64_MAX;
    peer->cut_received = peer->cut_sent = UINT64_MAX;
    return peer;
}

void roan_peer_free(roan_peer *peer)
{
    if (peer == NULL)
        return;
    roan_scripted_clear_events(&peer->later);
    roan_scripted_clear_events(&peer->arrived);
    while (peer->expectations != NULL) {
        roan_scripted_expectation *next = peer->expectations->next;
        free_expectation(peer->expectations);
        peer->expectations = next;
    }
    for (size_t i = 0; i < peer->request_count; i++)
        roan_scripted_request_free(peer->requests[i]);
    roan_free(peer->requests, peer->request_room * sizeof *peer->requests);
    roan_request_reader_done(&peer->reader);
    roan_buffer_done(&peer->log);
    roan_scripted_client_free(peer->client);
    roan_free(peer, sizeof *peer);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

/* When something said now for after_us happens, in the terms of an event: not before what was sent already. */
static int64_t ordered_after(roan_peer *peer, int64_t after_us)
{
    int64_t base_us = peer->state == ROAN_PEER_OPEN ? peer->world->now_us : 0;
    int64_t at_us = base_us + ROAN_MAX(after_us, 0);
    peer->last_us = ROAN_MAX(peer->last_us, at_us);
    return peer->last_us - base_us;
}

static void send_piece(roan_peer *peer, int64_t after_us, roan_slice bytes, bool is_piece)
{
    roan_scripted_event *event =
        roan_scripted_event_create(peer, ROAN_SCRIPTED_DATA, ordered_after(peer, after_us), bytes);
    event->is_piece = is_piece;
    roan_scripted_add(peer, event);
}

static size_t next_piece(roan_peer *peer, size_t left)
{
    size_t piece = peer->piece_bytes;
    if (piece == ROAN_PIECES_RANDOM)
        piece = 1 + (size_t)roan_random_below(&peer->world->pieces, RANDOM_PIECE_MAX);
    return ROAN_MIN(piece, left);
}

static void send_pieces(roan_peer *peer, int64_t after_us, roan_slice bytes)
{
    size_t at = 0;
    for (int64_t gap_us = 0; at < bytes.bytes; gap_us = peer->gap_us) {
        size_t piece = next_piece(peer, bytes.bytes - at);
        int64_t base_us = peer->state == ROAN_PEER_OPEN ? peer->world->now_us : 0;
        int64_t behind_us = at > 0 ? peer->last_us - base_us + gap_us : after_us;
        send_piece(peer, behind_us, roan_slice_make(bytes.data + at, piece), true);
        at += piece;
    }
}

void roan_peer_send(roan_peer *peer, int64_t after_us, roan_slice bytes)
{
    roan_scripted_lock(peer->world);
    after_us += peer->latency_us;
    if (peer->is_ending || peer->is_over || bytes.bytes == 0)
        ; /* nobody will see it */
    else if (peer->piece_bytes > 0)
        send_pieces(peer, after_us, bytes);
    else
        send_piece(peer, after_us, bytes, false);
    roan_scripted_unlock(peer->world);
}

void roan_peer_sendf(roan_peer *peer, int64_t after_us, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = NULL;
    int bytes = vasprintf(&text, format, arguments);
    va_end(arguments);
    ROAN_ASSERT(bytes >= 0);
    roan_peer_send(peer, after_us, roan_slice_make(text, (size_t)bytes));
    free(text);
}

void roan_peer_set_latency(roan_peer *peer, int64_t us)
{
    roan_scripted_lock(peer->world);
    peer->latency_us = us;
    roan_scripted_unlock(peer->world);
}

void roan_peer_set_pieces(roan_peer *peer, size_t piece_bytes, int64_t gap_us)
{
    roan_scripted_lock(peer->world);
    peer->piece_bytes = piece_bytes;
    peer->gap_us = gap_us;
    roan_scripted_unlock(peer->world);
}

/* --- expecting ---------------------------------------------------------------------------------------------------- */

void roan_peer_expect_words(roan_peer *peer, int64_t after_us, size_t argc, const roan_slice *argv, roan_slice answer)
{
    roan_scripted_lock(peer->world);
    roan_scripted_expectation *expectation = roan_alloc_zero(sizeof *expectation);
    expectation->after_us = after_us;
    expectation->request = roan_scripted_request_create(argc, argv, 0);
    roan_buffer_append_slice(&expectation->answer, answer);
    roan_scripted_expectation **end = &peer->expectations;
    while (*end != NULL)
        end = &(*end)->next;
    *end = expectation;
    roan_scripted_unlock(peer->world);
}

void roan_peer_expect(roan_peer *peer, int64_t after_us, const char *request, const char *answer)
{
    size_t argc = 0, room = strlen(request) + 1;
    roan_slice *argv = roan_alloc_zero(room * sizeof *argv);
    for (const char *word = request, *end; strcmp(request, "*") != 0; word = end + 1) {
        end = strchrnul(word, ' ');
        argv[argc++] = roan_slice_make(word, (size_t)(end - word));
        if (*end == '\0')
            break;
    }
    roan_peer_expect_words(peer, after_us, argc, argv, roan_slice_from_text(answer));
    roan_free(argv, room * sizeof *argv);
}

void roan_peer_handle(roan_peer *peer, roan_peer_fn handler, void *argument)
{
    roan_scripted_lock(peer->world);
    peer->handler = handler;
    peer->handler_argument = argument;
    peer->has_handler = true;
    roan_scripted_unlock(peer->world);
}

/* --- connecting and failing --------------------------------------------------------------------------------------- */

static void plan_connecting(roan_peer *peer, int64_t after_us, int os_errno, bool is_ignored)
{
    roan_scripted_lock(peer->world);
    ROAN_ASSERT(peer->state == ROAN_PEER_PLANNED);
    peer->has_plan = true;
    peer->plan_after_us = after_us;
    peer->plan_errno = os_errno;
    peer->is_ignored = is_ignored;
    roan_scripted_unlock(peer->world);
}

void roan_peer_accept(roan_peer *peer, int64_t after_us)
{
    plan_connecting(peer, after_us, 0, false);
}

void roan_peer_refuse(roan_peer *peer, int64_t after_us, int os_errno)
{
    ROAN_ASSERT(os_errno != 0);
    plan_connecting(peer, after_us, os_errno, false);
}

void roan_peer_ignore(roan_peer *peer)
{
    plan_connecting(peer, 0, 0, true);
}

static void plan_event(roan_peer *peer, roan_scripted_kind kind, int64_t after_us, int os_errno, int64_t amount)
{
    roan_scripted_lock(peer->world);
    if (kind == ROAN_SCRIPTED_END) {
        after_us = ordered_after(peer, after_us);
        peer->is_ending = true;
    }
    roan_scripted_event *event = roan_scripted_event_create(peer, kind, after_us, (roan_slice){0});
    event->os_errno = os_errno;
    event->amount = amount;
    roan_scripted_add(peer, event);
    roan_scripted_unlock(peer->world);
}

void roan_peer_end(roan_peer *peer, int64_t after_us)
{
    plan_event(peer, ROAN_SCRIPTED_END, after_us, 0, 0);
}

void roan_peer_reset(roan_peer *peer, int64_t after_us, int os_errno)
{
    ROAN_ASSERT(os_errno != 0);
    plan_event(peer, ROAN_SCRIPTED_RESET, after_us, os_errno, 0);
}

void roan_peer_take(roan_peer *peer, int64_t after_us, int64_t bytes)
{
    plan_event(peer, ROAN_SCRIPTED_TAKE, after_us, 0, bytes);
}

void roan_peer_cut_received(roan_peer *peer, uint64_t bytes, int os_errno)
{
    roan_scripted_lock(peer->world);
    peer->cut_received = ROAN_MAX(bytes, peer->received);
    peer->cut_received_errno = os_errno;
    roan_peer_check_cuts(peer);
    roan_scripted_unlock(peer->world);
}

void roan_peer_cut_sent(roan_peer *peer, uint64_t bytes, int os_errno)
{
    roan_scripted_lock(peer->world);
    peer->cut_sent = ROAN_MAX(bytes, (uint64_t)peer->log.bytes);
    peer->cut_sent_errno = os_errno;
    roan_peer_check_cuts(peer);
    roan_scripted_unlock(peer->world);
}

void roan_peer_set_take_max(roan_peer *peer, size_t bytes)
{
    roan_scripted_lock(peer->world);
    peer->take_max = bytes;
    roan_scripted_unlock(peer->world);
}

void roan_peer_set_give_max(roan_peer *peer, size_t bytes)
{
    roan_scripted_lock(peer->world);
    peer->give_max = bytes;
    roan_scripted_unlock(peer->world);
}

/* --- what the client did ------------------------------------------------------------------------------------------ */

roan_slice roan_peer_log(roan_peer *peer)
{
    roan_scripted_lock(peer->world);
    roan_slice log = roan_buffer_slice(&peer->log);
    roan_scripted_unlock(peer->world);
    return log;
}

size_t roan_peer_request_count(roan_peer *peer)
{
    roan_scripted_lock(peer->world);
    size_t count = peer->request_count;
    roan_scripted_unlock(peer->world);
    return count;
}

size_t roan_peer_request(roan_peer *peer, size_t index, const roan_slice **ret_argv, int64_t *ret_at_us)
{
    size_t argc = 0;
    roan_scripted_lock(peer->world);
    if (index < peer->request_count) {
        const roan_scripted_request *request = peer->requests[index];
        argc = request->argc;
        if (ret_argv != NULL)
            *ret_argv = request->argv;
        if (ret_at_us != NULL)
            *ret_at_us = request->at_us;
    }
    roan_scripted_unlock(peer->world);
    return argc;
}

bool roan_peer_request_is(roan_peer *peer, size_t index, const char *text)
{
    const roan_slice *argv = NULL;
    size_t argc = roan_peer_request(peer, index, &argv, NULL), left = strlen(text);
    for (size_t i = 0; i < argc; i++) {
        if (i > 0 && (left == 0 || *text++ != ' ' || left-- == 0))
            return false;
        if (argv[i].bytes > left || memcmp(argv[i].data, text, argv[i].bytes) != 0)
            return false;
        text += argv[i].bytes;
        left -= argv[i].bytes;
    }
    return argc > 0 && left == 0;
}

unsigned roan_peer_index(roan_peer *peer)
{
    return peer->index;
}

roan_scripted *roan_peer_world(roan_peer *peer)
{
    return peer->world;
}

const char *roan_peer_endpoint(roan_peer *peer)
{
    return peer->endpoint;
}

bool roan_peer_is_closed(roan_peer *peer)
{
    roan_scripted_lock(peer->world);
    bool is_closed = peer->is_closed;
    roan_scripted_unlock(peer->world);
    return is_closed;
}

uint64_t roan_peer_sends(roan_peer *peer)
{
    roan_scripted_lock(peer->world);
    uint64_t sends = peer->sends;
    roan_scripted_unlock(peer->world);
    return sends;
}

uint64_t roan_peer_received_bytes(roan_peer *peer)
{
    roan_scripted_lock(peer->world);
    uint64_t received = peer->received;
    roan_scripted_unlock(peer->world);
    return received;
}
