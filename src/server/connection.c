/* server/connection.c: see connection.h. Input: parse, gather into the worker's batch, keep what cannot run yet.
 * Output: hand chunks to the loop, watch the limits, close when it is time.
 *
 * Invariant 1: bytes of a connection are executed in order: nothing of it is parsed while it is blocked or held, and
 * what
 *              was parsed ahead goes back to `query` when an earlier request stops it.
 * Invariant 2: the loop holds at most one send of a connection.
 */
#include "server/connection.h"

#include "base/macros.h"
#include "engine/acl.h"
#include "engine/pubsub.h"
#include "engine/stats.h"
#include "engine/broadcast.h"
#include "engine/transaction.h"
#include "net/address.h"
#include "server/client_memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUERY_KEPT_BYTES_MAX (32 * 1024)
#define QUERY_BYTES_MIN (16 * 1024) /* room of a new `query` */
#define QUERY_IDLE_MS 2000          /* then a `query` keeps only what it must */
#define REPLY_ROOM_MIN 1024u
#define REPLY_ROOM_MAX 16384u
#define OUTPUT_BYTES_SOON (256 * 1024) /* of replies: handed over before the round ends */

/* ---- opening ---- */

static bool is_loopback_address(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_UNIX)
        return true;
    if (address->ss_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24) == 127;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
}

static void say_and_close(int fd, const char *text)
{
    ROAN_IGNORE(send(fd, text, strlen(text), MSG_NOSIGNAL)); /* the peer may be gone already */
    close(fd);
}

static bool protected_mode_refuses(const roan_engine *engine, bool is_local)
{
    return engine->config.protected_mode && engine->acl->default_user->needs_no_password && !is_local;
}

static const char protected_mode_text[] =
    "-DENIED Roan is running in protected mode because protected mode is enabled and no password is set for the default "
    "user. In this mode connections are only accepted from the loopback interface. To connect from elsewhere, either set "
    "a password with 'CONFIG SET requirepass' from a local connection, or, if nobody untrusted can reach this port, "
    "disable protected mode with 'CONFIG SET protected-mode no'.\r\n";

static void remember_addresses(roan_connection *connection, int fd)
{
    char name[ROAN_NET_NAME_BYTES_MAX];
    roan_net_peer_name(fd, name, sizeof name);
    connection->peer = roan_text_dup(name);
    roan_net_local_name(fd, name, sizeof name);
    connection->local = roan_text_dup(name);
}

static void free_connection(roan_connection *connection)
{
    roan_text_free(connection->peer);
    roan_text_free(connection->local);
    roan_session_done(&connection->session);
    atomic_fetch_sub(&connection->worker->server->connection_count, 1);
    roan_free(connection, sizeof *connection);
}

void roan_connection_open(roan_worker *worker, int fd)
{
    roan_server *server = worker->server;
    const roan_config *config = &server->engine->config;
    struct sockaddr_storage address = {0};
    socklen_t address_bytes = sizeof address;
    ROAN_IGNORE(getsockname(fd, (struct sockaddr *)&address, &address_bytes)); /* family stays 0 on failure */
    bool is_unix = address.ss_family == AF_UNIX, is_local = is_unix;
    if (!is_unix) {
        address_bytes = sizeof address;
        ROAN_IGNORE(getpeername(fd, (struct sockaddr *)&address, &address_bytes)); /* gone: the first read tells */
        is_local = is_loopback_address(&address);
        /* Without these the connection is slower, not broken. */
        ROAN_IGNORE(roan_net_set_nodelay(fd, NULL));
        if (config->tcp_keepalive_s > 0)
            ROAN_IGNORE(roan_net_set_keepalive(fd, (int)config->tcp_keepalive_s, NULL));
    }
    if (protected_mode_refuses(server->engine, is_local)) {
        worker->lane->stats->rejected_connections++;
        atomic_fetch_sub(&server->connection_count, 1);
        say_and_close(fd, protected_mode_text);
        return;
    }
    roan_connection *connection = roan_alloc_zero(sizeof *connection);
    roan_session_init(&connection->session, worker->lane, &roan_connection_ops);
    connection->worker = worker;
    connection->socket.owner = connection;
    connection->is_unix = is_unix;
    connection->is_loopback = is_local;
    connection->reply_room = REPLY_ROOM_MAX;
    remember_addresses(connection, fd);
    roan_error error;
    if (roan_net_attach(worker->net, &connection->socket, fd, &error) != ROAN_OK) {
        roan_log_write(&server->log, ROAN_LOG_WARNING, "accepting a client: %s", error.text);
        close(fd);
        free_connection(connection);
        return;
    }
    worker->lane->stats->connections++;
}

/* ---- closing ---- */

void roan_connection_close_now(roan_connection *connection)
{
    if (connection->is_closing)
        return;
    connection->is_closing = connection->session.is_closing = connection->session.is_gone = true;
    roan_tracking_closes(&connection->session);
    roan_client_memory_forget(connection);
    if (connection->session.is_blocked)
        roan_session_unblock(&connection->session, ROAN_UNBLOCK_CLOSED);
    roan_net_close(connection->worker->net, &connection->socket);
}

void roan_connection_mark_dirty(roan_connection *connection)
{
    if (connection->is_dirty)
        return;
    connection->is_dirty = true;
    connection->next_dirty = connection->worker->dirty;
    connection->worker->dirty = connection;
}

/* ops->close: may run on another thread with the gate shut, so it only leaves marks that the worker acts upon. */
static void op_close(roan_session *session, bool after_replies)
{
    roan_connection *connection = roan_connection_of_session(session);
    connection->closes_after_replies = connection->closes_after_replies || after_replies;
    connection->is_at_end = connection->is_at_end || !after_replies;
    roan_connection_mark_dirty(connection);
    roan_net_wake(connection->worker->net);
}

static void free_chunks(roan_connection *connection, const roan_out_chunk *end)
{
    while (connection->sending != end) {
        roan_out_chunk *next = connection->sending->next;
        connection->sending_bytes -= connection->sending->bytes;
        roan_out_chunk_free(connection->session.out.pool, connection->sending);
        connection->sending = next;
    }
    if (connection->sending == NULL)
        connection->sending_last = NULL;
}

static void unlink_from(roan_connection **list, roan_connection *connection, size_t next_offset)
{
    for (roan_connection **at = list; *at != NULL;) {
        roan_connection **next = (roan_connection **)(void *)((char *)*at + next_offset);
        if (*at == connection) {
            *at = *next;
            return;
        }
        at = next;
    }
}

void roan_connection_closed(roan_connection *connection)
{
    roan_worker *worker = connection->worker;
    if (connection->is_dirty)
        unlink_from(&worker->dirty, connection, offsetof(roan_connection, next_dirty));
    if (connection->is_ready) {
        unlink_from(&worker->ready, connection, offsetof(roan_connection, next_ready));
        unlink_from(&worker->continuing, connection, offsetof(roan_connection, next_ready));
    }
    ROAN_ASSERT(!connection->is_fed);
    free_chunks(connection, NULL);
    roan_buffer_done(&connection->query);
    roan_request_reader_done(&connection->reader);
    roan_client_memory_forget(connection);
    free_connection(connection);
}

/* Without an error the peer only stopped sending: it may still read what it asked for. Who waits for something else to
 * happen is gone, as in the reference. */
void roan_connection_ended(roan_connection *connection, int error)
{
    const roan_session *session = &connection->session;
    if (error != 0 || session->is_blocked || session->is_paused) {
        roan_connection_close_now(connection);
        return;
    }
    connection->has_ended = true;
    roan_connection_mark_dirty(connection);
}

/* All input of a peer that stopped sending has been executed: nothing more will come. */
static void end_input(roan_connection *connection)
{
    if (connection->session.is_held || connection->is_ready)
        return;
    if (connection->session.is_blocked) { /* its last request waits */
        roan_connection_close_now(connection);
        return;
    }
    connection->session.is_closing = connection->closes_after_replies = true;
}

/* ---- input ---- */

static roan_parse_limits parse_limits(const roan_connection *connection)
{
    const roan_config *config = &connection->worker->server->engine->config;
    return (roan_parse_limits){.bulk_bytes_max = config->proto_max_bulk_len,
                               .is_authenticated = connection->session.is_authenticated};
}

static void protocol_error(roan_connection *connection, roan_slice text)
{
    roan_session *session = &connection->session;
    char line[128] = "ERR ";
    size_t length = ROAN_MIN(text.bytes, sizeof line - 4) + 4;
    memcpy(line + 4, text.data, length - 4);
    roan_worker_run_batch(connection->worker); /* answers to earlier requests come first */
    if (session->is_closing || session->is_blocked || session->is_held)
        return;
    roan_stats_record_error(connection->worker->lane->stats, roan_slice_make(line, length));
    if (session->reply_mode == ROAN_REPLY_ON)
        roan_out_error(&session->out, roan_slice_make(line, length));
    connection->input_at = connection->input_end;
    roan_session_close(session, true);
}

static void add_to_batch(roan_connection *connection, const roan_slice *argv, size_t argc, const char *start,
                         const char *end)
{
    roan_worker *worker = connection->worker;
    roan_batch_item *item = &worker->items[worker->item_count++];
    item->connection = connection;
    item->start = start;
    item->end = end;
    item->request = (roan_request){.argv = argv, .argc = argc, .bytes = (size_t)(end - start)};
    roan_request_prepare(&connection->session, &item->request);
    if (!connection->is_fed) {
        connection->is_fed = true;
        connection->next_fed = worker->fed;
        worker->fed = connection;
    }
}

static bool can_go_on(const roan_connection *connection)
{
    const roan_session *session = &connection->session;
    return !session->is_closing && !session->is_blocked && !session->is_held;
}

/* Reads one request with the connection's own reader, from `query`. False: stop parsing for now. */
static bool parse_slowly(roan_connection *connection)
{
    roan_worker *worker = connection->worker;
    roan_parse_limits limits = parse_limits(connection);
    size_t missing;
    roan_slice error = {0};
    if (connection->is_fed) { /* what the reader remembers holds from here on: nothing before it may still block */
        roan_worker_run_batch(worker);
        if (!can_go_on(connection))
            return false;
    }
    const char *start = connection->input_at;
    roan_parse_result result = roan_request_reader_read(
        &connection->reader, start, (size_t)(connection->input_end - start), &limits, &missing, &error);
    if (result == ROAN_PARSE_ERROR) {
        protocol_error(connection, error);
        return false;
    }
    if (result == ROAN_PARSE_MORE) {
        /* The bytes move to `query` when the batch is done; there, room for what is announced is made at once. */
        connection->announced_bytes = missing;
        return false;
    }
    const char *end = start + connection->reader.at;
    connection->input_at = end;
    if (connection->reader.argc > 0) {
        add_to_batch(connection, connection->reader.argv, connection->reader.argc, start, end);
        roan_worker_run_batch(worker); /* its words are in the reader, which the next request may need */
    }
    roan_request_reader_clear(&connection->reader);
    return can_go_on(connection);
}

static void parse(roan_connection *connection)
{
    roan_worker *worker = connection->worker;
    roan_parse_limits limits = parse_limits(connection);
    while (connection->input_at < connection->input_end && can_go_on(connection)) {
        if (worker->item_count == ROAN_BATCH_MAX || worker->word_count == ROAN_BATCH_WORDS) {
            roan_worker_run_batch(worker);
            limits = parse_limits(connection);
            continue;
        }
        roan_slice *argv = worker->words + worker->word_count;
        size_t argc, bytes;
        roan_slice error = {0};
        const char *start = connection->input_at;
        roan_parse_result result =
            connection->reader.at > 0 || connection->reader.words > 0
                ? ROAN_PARSE_SLOW
                : roan_request_parse(start, (size_t)(connection->input_end - start), &limits, argv,
                                     ROAN_BATCH_WORDS - worker->word_count, &argc, &bytes, &error);
        if (ROAN_LIKELY(result == ROAN_PARSE_DONE)) {
            connection->input_at = start + bytes;
            worker->word_count += argc;
            if (argc > 0)
                add_to_batch(connection, argv, argc, start, start + bytes);
            if (ROAN_UNLIKELY(!limits.is_authenticated)) { /* AUTH may change the limits of what follows */
                roan_worker_run_batch(worker);
                limits = parse_limits(connection);
            }
            continue;
        }
        if (result == ROAN_PARSE_ERROR) {
            protocol_error(connection, error);
            return;
        }
        if (result == ROAN_PARSE_MORE || !parse_slowly(connection))
            return;
    }
}

static void feed(roan_connection *connection, const char *data, size_t bytes, bool is_query)
{
    connection->input_at = data;
    connection->input_end = data + bytes;
    connection->input_is_query = is_query;
    connection->is_parsing = true;
    parse(connection);
    connection->is_parsing = false;
    if (!connection->is_fed)
        roan_connection_keep_rest(connection);
}

static void query_limit_reached(roan_connection *connection)
{
    roan_worker *worker = connection->worker;
    worker->lane->stats->client_query_limit_disconnections++;
    roan_log_write(&worker->server->log, ROAN_LOG_WARNING,
                   "Closing client that reached max query buffer length: id=%llu unread=%zu bytes",
                   (unsigned long long)connection->session.id, connection->query.bytes - connection->query_at);
    roan_connection_close_now(connection);
}

void roan_connection_keep_rest(roan_connection *connection)
{
    size_t bytes = (size_t)(connection->input_end - connection->input_at);
    if (connection->session.is_closing)
        bytes = 0;
    if (bytes == 0) { /* the room stays for a while: see roan_connection_tidy */
        connection->query.bytes = connection->query_at = 0;
    } else if (connection->input_is_query) {
        connection->query_at = (size_t)(connection->input_at - connection->query.data);
    } else {
        size_t wanted = bytes + connection->announced_bytes;
        if (connection->query.capacity < wanted)
            roan_buffer_reserve(&connection->query, ROAN_MAX(wanted, (size_t)QUERY_BYTES_MIN));
        roan_buffer_append(&connection->query, connection->input_at, bytes);
        connection->query_at = 0;
    }
    connection->announced_bytes = 0;
    connection->input_at = connection->input_end = NULL;
    if (ROAN_LIKELY(bytes == 0))
        return;
    connection->query_peak = ROAN_MAX(connection->query_peak, connection->query.bytes);
    if (bytes > connection->worker->server->engine->config.client_query_buffer_limit)
        query_limit_reached(connection);
    else
        roan_client_memory_grown(connection);
}

/* Moves unread bytes to the front when what was read is worth it. */
static void compact_query(roan_connection *connection)
{
    size_t unread = connection->query.bytes - connection->query_at;
    if (connection->query_at == 0 || (unread > QUERY_KEPT_BYTES_MAX && connection->query_at < unread))
        return;
    memmove(connection->query.data, connection->query.data + connection->query_at, unread);
    connection->query.bytes = unread;
    connection->query_at = 0;
}

void roan_connection_received(roan_connection *connection, char *data, size_t bytes)
{
    roan_worker *worker = connection->worker;
    worker->lane->stats->bytes_in += bytes;
    worker->lane->stats->reads++;
    connection->session.bytes_in += bytes;
    connection->session.last_command_ms = worker->lane->now_ms;
    if (connection->session.is_closing)
        return;
    if (connection->is_fed)
        roan_worker_run_batch(worker);
    if (ROAN_LIKELY(connection->query.bytes == 0 && can_go_on(connection))) {
        feed(connection, data, bytes, false);
        return;
    }
    compact_query(connection);
    if (connection->reader.bulk_bytes > 0) { /* room for the announced word at once, not by doubling */
        size_t wanted = connection->reader.at + (size_t)connection->reader.bulk_bytes + 1;
        size_t unread = connection->query.bytes - connection->query_at;
        if (wanted > unread)
            roan_buffer_reserve(&connection->query, ROAN_MAX(wanted - unread, bytes));
    }
    roan_buffer_append(&connection->query, data, bytes);
    connection->query_peak = ROAN_MAX(connection->query_peak, connection->query.bytes);
    roan_connection_continue(connection);
}

void roan_connection_continue(roan_connection *connection)
{
    size_t unread = connection->query.bytes - connection->query_at;
    if (unread > connection->worker->server->engine->config.client_query_buffer_limit) {
        query_limit_reached(connection);
        return;
    }
    if (unread > 0 && can_go_on(connection))
        feed(connection, connection->query.data + connection->query_at, unread, true);
    if (connection->has_ended)
        roan_connection_mark_dirty(connection);
}

/* Makes the room of `query` at most `room`, or what its unread bytes need. */
static void shrink_query(roan_connection *connection, size_t room)
{
    roan_buffer *query = &connection->query;
    size_t unread = query->bytes - connection->query_at;
    if (unread == 0 && room == 0) {
        roan_buffer_done(query);
        connection->query_at = 0;
        return;
    }
    size_t capacity = roan_alloc_good_size(ROAN_MAX(unread, room));
    if (capacity >= query->capacity)
        return;
    memmove(query->data, query->data + connection->query_at, unread);
    query->data = roan_realloc(query->data, query->capacity, capacity);
    *query = (roan_buffer){.data = query->data, .bytes = unread, .capacity = capacity};
    connection->query_at = 0;
}

/* `reply_room` is what the reference would hold as the connection's own reply buffer: it follows the peak of the
 * replies up at once and down by halves. Ours come from the lane's pool and go back there; the number is for CLIENT
 * LIST. */
static uint32_t reply_room(const roan_connection *connection)
{
    uint32_t room = connection->reply_room;
    while (room < connection->reply_peak && room < REPLY_ROOM_MAX)
        room *= 2;
    return room;
}

void roan_connection_tidy(roan_connection *connection)
{
    int64_t idle_ms = connection->worker->lane->now_ms - connection->session.last_command_ms;
    if (connection->query.capacity > 0) {
        if (idle_ms > QUERY_IDLE_MS)
            shrink_query(connection, 0);
        else if (connection->query.capacity > QUERY_KEPT_BYTES_MAX && connection->reader.bulk_bytes == 0 &&
                 connection->query_peak < connection->query.capacity / 2)
            shrink_query(connection, ROAN_MAX(connection->query_peak, (size_t)QUERY_BYTES_MIN));
        connection->query_peak = connection->query.bytes;
    }
    connection->reply_room = reply_room(connection);
    if (connection->reply_peak < connection->reply_room / 2 && connection->reply_room > REPLY_ROOM_MIN)
        connection->reply_room /= 2;
    connection->reply_peak = 0;
}

/* ops->resume: may run on another thread with the gate shut. */
static void op_resume(roan_session *session)
{
    roan_connection *connection = roan_connection_of_session(session);
    if (connection->is_ready || connection->is_closing)
        return;
    connection->is_ready = true;
    connection->next_ready = connection->worker->ready;
    connection->worker->ready = connection;
    roan_net_wake(connection->worker->net);
}

/* ---- output ---- */

static void send_next(roan_connection *connection)
{
    while (!connection->is_sending && connection->sending != NULL && !connection->is_closing) {
        unsigned count = 0;
        roan_out_chunk *chunk = connection->sending;
        for (; chunk != NULL && count < ROAN_CONNECTION_IOVECS; chunk = chunk->next)
            if (chunk->bytes > 0)
                connection->iovecs[count++] = (struct iovec){.iov_base = chunk->data, .iov_len = chunk->bytes};
        connection->sending_end = chunk;
        connection->worker->lane->stats->writes++;
        if (count == 0 || roan_net_send(connection->worker->net, &connection->socket, connection->iovecs, count))
            free_chunks(connection, chunk);
        else
            connection->is_sending = true;
    }
}

/* True when the client's unsent replies broke a limit of client-output-buffer-limit. */
static bool output_is_over_limit(roan_connection *connection, size_t bytes)
{
    const roan_config *config = &connection->worker->server->engine->config;
    roan_session *session = &connection->session;
    bool is_subscribed = session->modes & ROAN_MODE_SUBSCRIBED;
    const roan_output_limit *limit = &config->output_limits[is_subscribed ? ROAN_CLIENT_PUBSUB : ROAN_CLIENT_NORMAL];
    if (limit->hard_bytes > 0 && bytes >= limit->hard_bytes)
        return true;
    if (limit->soft_bytes == 0 || bytes < limit->soft_bytes) {
        session->soft_limit_since_ms = 0;
        return false;
    }
    int64_t now_ms = connection->worker->lane->now_ms;
    if (session->soft_limit_since_ms == 0)
        session->soft_limit_since_ms = now_ms;
    return now_ms - session->soft_limit_since_ms > limit->soft_seconds * 1000;
}

static void take_output(roan_connection *connection)
{
    size_t bytes = roan_out_bytes(&connection->session.out);
    roan_out_chunk *last = connection->session.out.last;
    roan_out_chunk *chunks = roan_out_take(&connection->session.out);
    connection->sending_bytes += bytes;
    connection->session.bytes_out += bytes;
    connection->worker->lane->stats->bytes_out += bytes;
    if (bytes > connection->reply_peak)
        connection->reply_peak = (uint32_t)ROAN_MIN(bytes, REPLY_ROOM_MAX);
    if (connection->sending == NULL)
        connection->sending = chunks;
    else
        connection->sending_last->next = chunks;
    connection->sending_last = last;
}

static void output_limit_reached(roan_connection *connection)
{
    roan_worker *worker = connection->worker;
    worker->lane->stats->client_output_limit_disconnections++;
    roan_log_write(
        &worker->server->log, ROAN_LOG_WARNING,
        "Closing a client whose unread replies are over client-output-buffer-limit: id=%llu addr=%s bytes=%zu",
        (unsigned long long)connection->session.id, connection->peer, roan_connection_output_bytes(connection));
    roan_connection_close_now(connection);
}

/* Output that does not fit one chunk, or waits behind other output, counts against the limits before it is sent. */
static bool output_may_be_over_limit(const roan_connection *connection)
{
    return connection->session.out.sealed_bytes > 0 || connection->sending != NULL;
}

/* ops->output_ready: what is pushed to a client that does not read must not grow until the end of the round, so the
 * limits are looked at now, and acted upon later: this may run on another thread with the gate shut. The worker's own
 * round ends with sending what is dirty; only another one's has to be woken. */
static void op_output_ready(roan_session *session)
{
    roan_connection *connection = roan_connection_of_session(session);
    if (ROAN_UNLIKELY(output_may_be_over_limit(connection)) &&
        output_is_over_limit(connection, roan_connection_output_bytes(connection)))
        connection->is_over_limit = session->is_closing = true;
    roan_connection_mark_dirty(connection);
    if (ROAN_UNLIKELY(roan_gate_running_lane(session->lane) != session->lane))
        roan_net_wake(connection->worker->net);
}

void roan_connection_flush(roan_connection *connection)
{
    roan_session *session = &connection->session;
    if (connection->is_closing)
        return;
    if (connection->is_at_end) {
        roan_connection_close_now(connection);
        return;
    }
    if (ROAN_UNLIKELY(connection->has_ended && !connection->closes_after_replies)) {
        end_input(connection);
        if (connection->is_closing)
            return;
    }
    if (ROAN_UNLIKELY(output_may_be_over_limit(connection)) &&
        (connection->is_over_limit || output_is_over_limit(connection, roan_connection_output_bytes(connection)))) {
        output_limit_reached(connection);
        return;
    }
    roan_broadcast_flush(connection->worker->lane); /* the news are on their way before any reply */
    if (!connection->is_sending && session->out.first != NULL) {
        take_output(connection);
        send_next(connection);
    }
    size_t bytes = roan_connection_output_bytes(connection);
    if (ROAN_LIKELY(bytes == 0)) {
        if (connection->closes_after_replies)
            roan_connection_close_now(connection);
        session->soft_limit_since_ms = 0;
        return;
    }
    /* Only who has something to do after the send is told of its end at once. */
    if (connection->is_sending &&
        (session->out.first != NULL || connection->sending_end != NULL || connection->closes_after_replies))
        roan_net_want_sent(connection->worker->net, &connection->socket);
    if (ROAN_UNLIKELY(bytes > ROAN_OUT_CHUNK_BYTES))
        roan_client_memory_grown(connection);
}

void roan_connection_flush_early(roan_connection *connection)
{
    if (ROAN_UNLIKELY(roan_out_bytes(&connection->session.out) > OUTPUT_BYTES_SOON))
        roan_connection_flush(connection);
}

void roan_connection_sent(roan_connection *connection, int error)
{
    connection->is_sending = false;
    connection->session.last_command_ms = connection->worker->lane->now_ms;
    free_chunks(connection, connection->sending_end);
    if (error != 0) {
        roan_connection_close_now(connection);
        return;
    }
    send_next(connection);
    roan_connection_flush(connection);
}

/* ---- description ---- */

size_t roan_connection_memory(const roan_connection *connection)
{
    size_t output_bytes = roan_connection_output_bytes(connection);
    return sizeof *connection + connection->query.capacity + connection->reader.room * sizeof(roan_slice) +
           connection->reader.text.capacity + (output_bytes > ROAN_OUT_CHUNK_BYTES ? output_bytes : 0) +
           roan_transaction_bytes(&connection->session) + roan_pubsub_bytes(&connection->session);
}

/* Words of a request that is being received count as arguments, the rest of its bytes as input. */
static void describe_input(const roan_connection *connection, roan_transport_info *info)
{
    const roan_request_reader *reader = &connection->reader;
    size_t unread = connection->query.bytes - connection->query_at;
    info->query_bytes = unread - (reader->words > 0 ? ROAN_MIN(reader->at, unread) : 0);
    info->query_free_bytes = connection->query.capacity - connection->query.bytes;
    for (size_t i = 0; i < reader->argc; i++)
        info->argument_bytes += reader->argv[i].bytes;
}

static void op_describe(const roan_session *session, roan_transport_info *info)
{
    const roan_connection *connection = (const roan_connection *)session;
    *info = (roan_transport_info){.fd = connection->socket.fd, .peer = connection->peer, .local = connection->local};
    describe_input(connection, info);
    info->reply_buffer_bytes = reply_room(connection);
    info->reply_buffer_peak = connection->reply_peak;
    info->reply_buffer_used = roan_out_bytes(&session->out);
    for (const roan_out_chunk *chunk = connection->sending; chunk != NULL; chunk = chunk->next) {
        info->output_chunks++;
        info->output_bytes += sizeof *chunk + chunk->capacity;
    }
    info->total_bytes = roan_connection_memory(connection);
    info->is_unix = connection->is_unix;
    info->is_loopback = connection->is_loopback;
    info->writable_wanted = connection->is_sending;
}

const roan_session_ops roan_connection_ops = {
    .describe = op_describe,
    .close = op_close,
    .output_ready = op_output_ready,
    .resume = op_resume,
};
