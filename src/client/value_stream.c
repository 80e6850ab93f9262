/* client/value_stream.c: values in and out piece by piece, on a raw connection.
 *
 * A future is made for the call as for every other one: it checks and encodes the words, applies the prefix, and
 * carries the result to hooks and caller. But its bytes never enter a queue; they go out here:
 *
 *     reading:  request ->            <- $<length> CRLF | value ... to the sink | CRLF
 *     writing:  head $<total> CRLF | value ... from the source | CRLF tail ->      <- reply
 *
 * The last piece of a source is held back until the source has said that there is no more: until then the server cannot
 * have run anything. Replies without a large string in them are read by the ordinary reader.
 */
#include "roan/value_stream.h"

#include "base/macros.h"
#include "client/faces.h"
#include "client/handle.h"
#include "client/raw.h"
#include "resp/reply_reader.h"
#include "resp/reply_scan.h"
#include "roan/client_commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "$68719476736\r\n" and a little more. */
#define HEADER_BYTES_MAX 32

/* What the reader may hold of a reply that was to be one string. */
#define OTHER_REPLY_BYTES_MAX ((size_t)1024 * 1024)

#define VERBATIM_FORMAT_BYTES 4 /* "txt:" */

typedef struct transfer {
    roan *client;
    roan_future *future;
    roan_raw raw;
    roan_failure failure;
    roan_fate fate;       /* of a failure now */
    bool has_touched;     /* the sink or source was called: no other try */
    bool is_clean;        /* everything that was asked for has come */
    roan_sink_fn sink;
    roan_source_fn source; /* or NULL */
    void *argument;
    size_t index;         /* of the word that is the source's */
    uint64_t total_bytes;
    roan_value *reply;    /* of a writing call */
} transfer;

static roan_status fail(transfer *job, roan_status code, const char *text)
{
    roan_failure_set(&job->failure, code, job->fate, "%s", text);
    return code;
}

/* ---- receiving ---- */

static size_t buffered(const transfer *job)
{
    return job->raw.end - job->raw.start;
}

static int64_t ms_to_us(int ms)
{
    return ms < 0 ? -1 : (int64_t)ms * 1000;
}

/* More bytes of an answer that has begun. */
static roan_status receive_more(transfer *job)
{
    return roan_raw_receive(&job->raw, ms_to_us(job->client->root->settings->options.silence_timeout_ms),
                            &job->failure);
}

/* The first byte of an answer. */
static roan_status receive_first(transfer *job)
{
    int wait_ms = job->client->root->settings->options.request_timeout_ms;
    bool has_whole = job->raw.deadline_us != ROAN_NO_DEADLINE;
    int64_t begun_us = roan_now_us(job->client);
    roan_status status;

    if (buffered(job) > 0)
        return ROAN_OK;
    if (has_whole || wait_ms < 0)
        return receive_more(job);
    job->raw.deadline_us = begun_us + (int64_t)wait_ms * 1000;
    status = receive_more(job);
    job->raw.deadline_us = ROAN_NO_DEADLINE;
    if (status == ROAN_E_TIMEOUT)
        roan_failure_set(&job->failure, ROAN_E_TIMEOUT, job->fate, "no answer to %s within %d ms",
                         job->future->traits->name, wait_ms);
    return status;
}

/* The next whole reply by the ordinary reader; pushes on the way go to the program's hook. */
static roan_status read_value(transfer *job, roan_reply_reader *reader, size_t bytes_max, roan_value **ret_value)
{
    roan_error error;
    roan_status status = receive_first(job);

    while (status == ROAN_OK) {
        size_t bytes = buffered(job);
        size_t left;
        status = roan_reply_reader_feed(reader, job->raw.buffer + job->raw.start, bytes);
        if (status != ROAN_OK)
            return fail(job, status, "out of memory for a reply");
        status = roan_reply_reader_next(reader, ret_value, &error);
        if (status != ROAN_OK)
            return fail(job, status, status == ROAN_E_PROTOCOL ? error.text : "out of memory for a reply");
        left = *ret_value != NULL ? roan_reply_reader_buffered(reader) : 0;
        job->raw.start += bytes - left; /* what is left belongs to what comes next */
        if (*ret_value != NULL)
            return ROAN_OK;
        if (roan_reply_reader_expected(reader) > bytes_max || roan_reply_reader_buffered(reader) > bytes_max)
            return fail(job, ROAN_E_TYPE, "the reply is not a single string");
        status = receive_more(job);
    }
    return status;
}

static void pass_on_push(transfer *job, roan_value *push)
{
    roan_outcome outcome;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&job->raw.link->lock);
    roan_outcome_push(job->raw.link, push, &outcome);
    pthread_mutex_unlock(&job->raw.link->lock);
    roan_outcome_finish(job->client, &outcome);
}

/* The next reply that is no push. */
static roan_status read_reply(transfer *job, size_t bytes_max, roan_value **ret_value)
{
    roan_reply_reader *reader = roan_reply_reader_create();
    roan_status status;

    *ret_value = NULL;
    if (reader == NULL)
        return fail(job, ROAN_E_NOMEM, "out of memory for a reply");
    status = read_value(job, reader, bytes_max, ret_value);
    roan_reply_reader_free(reader);
    return status;
}

static roan_status fail_with_reply(transfer *job, roan_value *reply)
{
    roan_failure_of_reply(&job->failure, reply);
    roan_value_free(reply);
    job->fate = ROAN_FATE_RAN;
    return ROAN_E_SERVER;
}

/* ---- reading ---- */

static roan_status give_piece(transfer *job, roan_slice piece, uint64_t total_bytes)
{
    if (piece.bytes == 0)
        return ROAN_OK;
    job->has_touched = true;
    return job->sink(job->argument, piece, total_bytes) ? ROAN_OK
                                                        : fail(job, ROAN_E_CANCELED, "the sink of the value stopped");
}

/* The line "$123\r\n" or "=123\r\n" at the front of the buffer. -1: null. */
static roan_status take_header(transfer *job, int64_t *ret_length)
{
    const char *first;
    const char *at;
    const char *end;
    int64_t length = 0;

    while ((end = memchr(job->raw.buffer + job->raw.start, '\n', buffered(job))) == NULL) {
        roan_status status;
        if (buffered(job) > HEADER_BYTES_MAX)
            return fail(job, ROAN_E_PROTOCOL, "the length of a string is too long");
        status = receive_more(job);
        if (status != ROAN_OK)
            return status;
    }
    first = at = job->raw.buffer + job->raw.start + 1;
    job->raw.start = (size_t)(end + 1 - job->raw.buffer);
    if (end - at == 3 && memcmp(at, "-1\r", 3) == 0) {
        *ret_length = -1;
        return ROAN_OK;
    }
    for (; at < end - 1 && *at >= '0' && *at <= '9' && length <= ROAN_REPLY_BULK_BYTES_MAX; at++)
        length = length * 10 + (*at - '0');
    if (at == first || end - at != 1 || *at != '\r' || length > ROAN_REPLY_BULK_BYTES_MAX)
        return fail(job, ROAN_E_PROTOCOL, "the length of a string is not a number, or too large");
    *ret_length = length;
    return ROAN_OK;
}

/* At least `bytes` bytes into the buffer. */
static roan_status need(transfer *job, size_t bytes)
{
    roan_status status = ROAN_OK;

    while (status == ROAN_OK && buffered(job) < bytes)
        status = receive_more(job);
    return status;
}

static roan_status pass_value(transfer *job, uint64_t total_bytes)
{
    uint64_t left = total_bytes;
    roan_status status = ROAN_OK;

    while (left > 0 && status == ROAN_OK) {
        size_t bytes = (size_t)ROAN_MIN(left, (uint64_t)buffered(job));
        roan_slice piece = {job->raw.buffer + job->raw.start, bytes};
        job->raw.start += bytes;
        left -= bytes;
        status = give_piece(job, piece, total_bytes);
        if (left > 0 && status == ROAN_OK)
            status = receive_more(job);
    }
    if (status == ROAN_OK)
        status = need(job, 2);
    if (status != ROAN_OK)
        return status;
    if (memcmp(job->raw.buffer + job->raw.start, "\r\n", 2) != 0)
        return fail(job, ROAN_E_PROTOCOL, "a string does not end where its length says");
    job->raw.start += 2;
    job->is_clean = true;
    return ROAN_OK;
}

static roan_status read_string(transfer *job)
{
    bool is_verbatim = job->raw.buffer[job->raw.start] == '=';
    int64_t length = 0;
    roan_status status = take_header(job, &length);

    if (status != ROAN_OK)
        return status;
    job->fate = ROAN_FATE_RAN;
    if (length < 0) {
        job->is_clean = true;
        return ROAN_NIL;
    }
    if (is_verbatim) {
        if (length < VERBATIM_FORMAT_BYTES)
            return fail(job, ROAN_E_PROTOCOL, "a verbatim string without a format");
        status = need(job, VERBATIM_FORMAT_BYTES);
        if (status != ROAN_OK)
            return status;
        job->raw.start += VERBATIM_FORMAT_BYTES;
        length -= VERBATIM_FORMAT_BYTES;
    }
    return pass_value(job, (uint64_t)length);
}

/* Not a string by itself: an error, a null, a string with attributes before it, or something else. */
static roan_status take_other(transfer *job, roan_value *reply)
{
    roan_status status = ROAN_NIL;

    job->is_clean = true;
    job->fate = ROAN_FATE_RAN;
    if (reply->type == ROAN_REPLY_ERROR)
        return fail_with_reply(job, reply);
    if (reply->type == ROAN_REPLY_BULK || reply->type == ROAN_REPLY_VERBATIM)
        status = give_piece(job, reply->text, reply->text.bytes);
    else if (reply->type != ROAN_REPLY_NULL)
        status = fail(job, ROAN_E_TYPE, "the reply is not a string");
    roan_value_free(reply);
    return status;
}

static roan_status read_answer(transfer *job)
{
    for (;;) {
        roan_value *reply;
        roan_status status = receive_first(job);
        char type;
        if (status != ROAN_OK)
            return status;
        type = job->raw.buffer[job->raw.start];
        if (type == '$' || type == '=')
            return read_string(job);
        status = read_reply(job, OTHER_REPLY_BYTES_MAX, &reply);
        if (status != ROAN_OK)
            return status;
        if (reply->type != ROAN_REPLY_PUSH)
            return take_other(job, reply);
        pass_on_push(job, reply);
    }
}

static roan_status read_through(transfer *job)
{
    struct iovec request = {job->future->request, job->future->request_bytes};
    roan_status status = roan_raw_send(&job->raw, &request, 1, &job->failure);

    if (job->raw.sent > 0)
        job->fate = ROAN_FATE_MAY_HAVE_RUN;
    return status == ROAN_OK ? read_answer(job) : status;
}

/* ---- writing ---- */

/* Where the empty word `index` stands in the encoded request: *ret_head bytes are before "$0\r\n\r\n". */
static size_t find_word(const roan_future *future, size_t index)
{
    const char *at = (const char *)memchr(future->request, '\n', future->request_bytes) + 1;

    for (size_t i = 0; i < index; i++) {
        size_t bytes = 0;
        for (const char *digit = at + 1; *digit != '\r'; digit++) /* our own: whole and right */
            bytes = bytes * 10 + (size_t)(*digit - '0');
        at = (const char *)memchr(at, '\n', future->request_bytes - (size_t)(at - future->request)) + 1 + bytes + 2;
    }
    ROAN_ASSERT(memcmp(at, "$0\r\n\r\n", 6) == 0);
    return (size_t)(at - future->request);
}

/* *ret_bytes: 0 at the end. */
static roan_status ask_source(transfer *job, char *buffer, size_t room, uint64_t given, size_t *ret_bytes)
{
    int64_t bytes;

    job->has_touched = true;
    bytes = job->source(job->argument, buffer, room);
    if (bytes < 0) {
        roan_failure_set(&job->failure, ROAN_E_CANCELED, ROAN_FATE_NOT_SENT,
                         "the source of the value failed after %" PRIu64 " of %" PRIu64 " bytes", given,
                         job->total_bytes);
        return ROAN_E_CANCELED;
    }
    if ((uint64_t)bytes > room)
        return fail(job, ROAN_E_INVALID, "the source of the value wrote more than there was room for");
    *ret_bytes = (size_t)bytes;
    return ROAN_OK;
}

/* Behind the last byte. */
static roan_status check_end(transfer *job)
{
    char one;
    size_t bytes;
    roan_status status = ask_source(job, &one, 1, job->total_bytes, &bytes);

    if (status == ROAN_OK && bytes > 0) {
        roan_failure_set(&job->failure, ROAN_E_INVALID, ROAN_FATE_NOT_SENT,
                         "the source of the value has more than the %" PRIu64 " bytes that were announced",
                         job->total_bytes);
        return ROAN_E_INVALID;
    }
    return status;
}

/* Everything up to the last piece, which stays in the buffer. */
static roan_status send_value(transfer *job, char *buffer, size_t *ret_bytes)
{
    uint64_t given = 0;
    roan_status status;

    *ret_bytes = 0;
    while (given < job->total_bytes) {
        struct iovec piece = {buffer, 0};
        status = ask_source(job, buffer, (size_t)ROAN_MIN(job->total_bytes - given, (uint64_t)ROAN_RAW_BUFFER_BYTES),
                            given, &piece.iov_len);
        if (status != ROAN_OK)
            return status;
        if (piece.iov_len == 0) {
            roan_failure_set(&job->failure, ROAN_E_INVALID, ROAN_FATE_NOT_SENT,
                             "the source of the value ended after %" PRIu64 " of %" PRIu64 " bytes", given,
                             job->total_bytes);
            return ROAN_E_INVALID;
        }
        given += piece.iov_len;
        if (given == job->total_bytes) {
            *ret_bytes = piece.iov_len;
            return check_end(job);
        }
        status = roan_raw_send(&job->raw, &piece, 1, &job->failure);
        if (status != ROAN_OK)
            return status;
    }
    return check_end(job); /* an empty value */
}

static roan_status send_parts(transfer *job, char *buffer)
{
    roan_future *future = job->future;
    size_t head_bytes = find_word(future, job->index);
    size_t tail_at = head_bytes + sizeof "$0\r\n" - 1;
    char header[HEADER_BYTES_MAX];
    int header_bytes = snprintf(header, sizeof header, "$%" PRIu64 "\r\n", job->total_bytes);
    struct iovec begin[] = {{future->request, head_bytes}, {header, (size_t)header_bytes}};
    struct iovec end[] = {{buffer, 0}, {future->request + tail_at, future->request_bytes - tail_at}};
    roan_status status = roan_raw_send(&job->raw, begin, 2, &job->failure);

    if (status == ROAN_OK)
        status = send_value(job, buffer, &end[0].iov_len);
    if (status != ROAN_OK)
        return status;
    return roan_raw_send(&job->raw, end, 2, &job->failure);
}

/* What the server says to a request, or to the part of it that it has seen. */
static roan_status read_verdict(transfer *job)
{
    int64_t bytes_max = job->client->root->settings->options.reply_bytes_max;
    roan_value *reply;
    roan_status status;

    for (;;) {
        status = read_reply(job, bytes_max < 0 ? SIZE_MAX : (size_t)bytes_max, &reply);
        if (status != ROAN_OK)
            return status;
        if (reply->type != ROAN_REPLY_PUSH)
            break;
        pass_on_push(job, reply);
    }
    if (reply->type == ROAN_REPLY_ERROR)
        return fail_with_reply(job, reply);
    if (reply->type == ROAN_REPLY_NULL) {
        roan_value_free(reply);
        return ROAN_NIL;
    }
    job->reply = reply;
    return ROAN_OK;
}

static roan_status write_through(transfer *job)
{
    char *buffer = malloc(ROAN_RAW_BUFFER_BYTES);
    roan_status status;

    if (buffer == NULL)
        return fail(job, ROAN_E_NOMEM, "out of memory for a stream's buffer");
    status = send_parts(job, buffer);
    free(buffer);
    if (status == ROAN_E_SERVER) { /* it did not want to see the end */
        roan_failure early = job->failure;
        if (read_verdict(job) != ROAN_E_SERVER)
            job->failure = early;
        job->fate = ROAN_FATE_NOT_SENT;
        return ROAN_E_SERVER;
    }
    if (status != ROAN_OK)
        return status;
    job->fate = ROAN_FATE_MAY_HAVE_RUN;
    status = read_verdict(job);
    job->is_clean = status == ROAN_OK || status == ROAN_NIL || status == ROAN_E_SERVER;
    return status;
}

/* ---- a call ---- */

static roan_status attempt(transfer *job)
{
    roan_status status = roan_raw_open(&job->raw, job->client, job->future->deadline_us, &job->failure);

    if (status != ROAN_OK)
        return status;
    job->future->sent_us = roan_now_us(job->client);
    job->fate = ROAN_FATE_NOT_SENT;
    job->is_clean = false;
    status = job->source != NULL ? write_through(job) : read_through(job);
    pthread_mutex_lock(&job->raw.link->lock);
    job->raw.link->states |= job->future->traits->states;
    pthread_mutex_unlock(&job->raw.link->lock);
    roan_raw_close(&job->raw, job->is_clean && buffered(job) == 0);
    if (status < 0)
        job->failure.fate = job->fate;
    return status;
}

static bool may_try_again(const transfer *job)
{
    const roan_future *future = job->future;
    const roan_options *options = &job->client->root->settings->options;

    if (job->failure.code != ROAN_E_LOST || job->has_touched || job->client != job->client->root)
        return false;
    if (future->retry < 0 || options->retries_max < 0 || future->attempts > (unsigned)options->retries_max)
        return false;
    return job->failure.fate == ROAN_FATE_NOT_SENT || future->retry == 1 || future->retry_class == ROAN_RETRY_READ;
}

static void settle(transfer *job, roan_status status)
{
    roan_future *future = job->future;
    roan_outcome outcome;

    roan_link_node_name(job->client->link, job->failure.node, sizeof job->failure.node);
    roan_outcome_begin(&outcome);
    roan_future_settle(future, status, job->reply, &job->failure);
    if (future->was_begun) {
        future->outcome_next = NULL;
        outcome.first = outcome.last = roan_keep(future);
    }
    roan_outcome_finish(job->client, &outcome);
}

static roan_status run(transfer *job, roan_value **ret_reply)
{
    roan_status status;

    if (roan_is_settled(job->future))
        return roan_do_future(job->future, ret_reply);
    roan_future_tell_start(job->client, job->future);
    for (;;) {
        status = attempt(job);
        if (status >= 0 || !may_try_again(job))
            break;
        job->future->attempts++;
    }
    settle(job, status);
    return roan_do_future(job->future, ret_reply);
}

static roan_future *prepare(roan *client, size_t argc, const roan_slice *argv, const roan_call *call)
{
    roan_future *future = roan_future_prepare(client, argc, argv, call);

    if (roan_is_settled(future))
        return future;
    if (call == NULL || call->timeout_ms == 0)
        future->deadline_us = ROAN_NO_DEADLINE;
    if (future->block_us >= 0) {
        roan_drop(future);
        return roan_go_refused(client, ROAN_E_USAGE, "a command that blocks cannot be streamed", call);
    }
    return future;
}

roan_status roan_do_stream(roan *client, size_t argc, const roan_slice *argv, roan_sink_fn sink, void *argument,
                           const roan_call *call)
{
    transfer job = {.client = client, .sink = sink, .argument = argument};

    if (roan_is_in_callback())
        return roan_fail(ROAN_E_USAGE, "a synchronous call from inside a callback would wait for itself");
    job.future = prepare(client, argc, argv, call);
    return run(&job, NULL);
}

roan_status roan_get_stream(roan *client, roan_slice key, roan_sink_fn sink, void *argument, const roan_call *call)
{
    roan_slice words[] = {ROAN_LITERAL("GET"), key};

    return roan_do_stream(client, ROAN_COUNT_OF(words), words, sink, argument, call);
}

roan_status roan_do_source(roan *client, size_t argc, const roan_slice *argv, size_t index, uint64_t total_bytes,
                           roan_source_fn source, void *argument, roan_value **ret_reply, const roan_call *call)
{
    transfer job = {
        .client = client, .source = source, .argument = argument, .index = index, .total_bytes = total_bytes};

    if (ret_reply != NULL)
        *ret_reply = NULL;
    if (roan_is_in_callback())
        return roan_fail(ROAN_E_USAGE, "a synchronous call from inside a callback would wait for itself");
    if (index == 0 || index >= argc || argv[index].bytes > 0)
        return roan_fail(ROAN_E_USAGE, "the word that a source gives is an empty one behind the command's name");
    job.future = prepare(client, argc, argv, call);
    return run(&job, ret_reply);
}

roan_status roan_set_stream(roan *client, roan_slice key, uint64_t total_bytes, roan_source_fn source, void *argument,
                            const roan_set_options *options, const roan_call *call)
{
    roan_words words;
    roan_status status;

    roan_words_init(&words);
    roan_encode_set(&words, key, ROAN_LITERAL(""), options);
    if (options != NULL && options->get)
        roan_words_fail(&words, ROAN_E_USAGE, "SET: a stream does not give the old value");
    if (words.status == ROAN_OK)
        status = roan_do_source(client, words.count, words.words, 2, total_bytes, source, argument, NULL, call);
    else
        status = roan_fail(words.status, "%s", words.problem);
    roan_words_done(&words);
    return status;
}
