/* cli/mode_replica.c: being a replica for a moment: --rdb, --functions-rdb, --replica.
 *
 *   REPLCONF ..., SYNC --> "$bytes CRLF" data              of known length
 *                     \--> "$EOF:mark CRLF" data mark      while the server writes it
 *
 * Empty lines in front of the header say that the server is still preparing. The end mark has
 * MARK_BYTES bytes, so the last MARK_BYTES received are held back until more come or they are the
 * mark. Behind the snapshot comes the stream of commands, which is RESP and is shown like replies.
 */
#include "cli/mode.h"

#include "cli/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MARK_BYTES 40
#define READ_BYTES 65536
#define HEADER_BYTES_MAX 128
#define ACK_EVERY_MS 1000

typedef struct transfer {
    roan_cli_session *session;
    int file; /* -1: throw the snapshot away */
    bool has_mark;
    char mark[MARK_BYTES];
    uint64_t bytes_left; /* without a mark */
    uint64_t bytes_done;
    roan_cli_text held; /* received and not yet known to be data */
} transfer;

static bool complain(const char *what, const char *detail)
{
    fprintf(stderr, "%s: %s\n", what, detail);
    return false;
}

/* Tells the server something about us; older servers may not understand, which is fine. */
static void send_replconf(roan_cli_session *session, const char *name, const char *value)
{
    roan_slice argv[3] = {ROAN_LITERAL("REPLCONF"), roan_slice_from_text(name),
                          roan_slice_from_text(value)};
    roan_value *reply;
    roan_error error;

    fprintf(stderr, "sending REPLCONF %s %s\n", name, value);
    if (roan_cli_session_call(session, 3, argv, &reply, &error) != ROAN_OK) {
        complain("Error", error.text);
        exit(1);
    }
    if (reply->type == ROAN_REPLY_ERROR)
        fprintf(stderr, "REPLCONF %s error: %.*s\n", name, ROAN_SLICE_ARG(reply->text));
    roan_value_free(reply);
}

/* Reads the line in front of the snapshot. */
static bool read_header(roan_cli_session *session, char *line)
{
    size_t used = 0;
    size_t bytes;
    roan_error error;

    while (used < HEADER_BYTES_MAX - 1) {
        if (roan_cli_connection_read(&session->connection, line + used, 1, &bytes, &error) !=
            ROAN_OK)
            return complain("Error", error.text);
        if (line[used] == '\n') {
            while (used > 0 && line[used - 1] == '\r')
                used--;
            if (used > 0) {
                line[used] = '\0';
                return true;
            }
        } else {
            used++;
        }
    }
    return complain("Error", "no snapshot header from the server");
}

/* Asks for a snapshot and reads how it will come. */
static bool start_transfer(transfer *state)
{
    char line[HEADER_BYTES_MAX];
    roan_slice sync = ROAN_LITERAL("SYNC");
    roan_error error;

    roan_cli_connection_queue(&state->session->connection, 1, &sync);
    if (roan_cli_connection_flush(&state->session->connection, &error) != ROAN_OK)
        return complain("Error", error.text);
    if (!read_header(state->session, line))
        return false;
    if (line[0] != '$')
        return complain("SYNC failed", line);
    state->has_mark = strncmp(line, "$EOF:", 5) == 0;
    if (!state->has_mark)
        state->bytes_left = strtoull(line + 1, NULL, 10);
    else if (strlen(line + 5) != MARK_BYTES)
        return complain("SYNC failed", "the end mark has the wrong length");
    else
        memcpy(state->mark, line + 5, MARK_BYTES);
    return true;
}

static bool write_data(transfer *state, const char *data, size_t bytes)
{
    state->bytes_done += bytes;
    while (bytes > 0 && state->file >= 0) {
        ssize_t written = write(state->file, data, bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return complain("Error writing the snapshot", strerror(errno));
        data += written;
        bytes -= (size_t)written;
    }
    return true;
}

/* Takes what is surely data out of `held`. *ret_over: the snapshot is complete. */
static bool take_held(transfer *state, bool *ret_over)
{
    roan_cli_text *held = &state->held;
    size_t bytes = held->bytes;

    *ret_over = false;
    if (!state->has_mark) {
        if (bytes > state->bytes_left)
            bytes = (size_t)state->bytes_left;
        state->bytes_left -= bytes;
        *ret_over = state->bytes_left == 0;
    } else {
        const char *found = memmem(held->data, bytes, state->mark, MARK_BYTES);
        *ret_over = found != NULL;
        bytes = found != NULL ? (size_t)(found - held->data)
                : bytes < MARK_BYTES ? 0
                                     : bytes - MARK_BYTES;
    }
    if (!write_data(state, held->data, bytes))
        return false;
    if (*ret_over && state->has_mark)
        bytes += MARK_BYTES;
    held->bytes -= bytes;
    memmove(held->data, held->data + bytes, held->bytes);
    return true;
}

/* Receives the whole snapshot; what came behind it stays in `held`. */
static bool receive_snapshot(transfer *state)
{
    bool is_over = !state->has_mark && state->bytes_left == 0;

    while (!is_over) {
        char buffer[READ_BYTES];
        size_t bytes;
        roan_error error;
        if (roan_cli_connection_read(&state->session->connection, buffer, sizeof buffer, &bytes,
                                     &error) != ROAN_OK)
            return complain("Error", error.text);
        roan_cli_text_append(&state->held, buffer, bytes);
        if (!take_held(state, &is_over))
            return false;
    }
    return true;
}

/* "12345 bytes" or how the end is known. */
static void print_plan(const transfer *state, const char *what, const char *file)
{
    if (state->has_mark)
        fprintf(stderr, "%s bytes of bulk transfer until EOF marker", what);
    else
        fprintf(stderr, "%s %" PRIu64 " bytes", what, state->bytes_left);
    if (file != NULL)
        fprintf(stderr, " to '%s'", file);
    fputc('\n', stderr);
}

int roan_cli_mode_rdb(roan_cli_session *session)
{
    const char *name = session->options->file;
    bool is_stdout = strcmp(name, "-") == 0;
    transfer state = {.session = session, .file = STDOUT_FILENO};
    bool is_good;

    send_replconf(session, "capa", "eof");
    send_replconf(session, "rdb-only", "1");
    if (session->options->mode == ROAN_CLI_FUNCTIONS_RDB)
        send_replconf(session, "rdb-filter-only", "functions");
    if (!start_transfer(&state))
        return 1;
    print_plan(&state, "SYNC sent to master, writing", name);
    if (!is_stdout)
        state.file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (state.file < 0) {
        fprintf(stderr, "Error opening '%s': %s\n", name, strerror(errno));
        return 1;
    }
    is_good = receive_snapshot(&state);
    if (!is_stdout) {
        if (is_good && fsync(state.file) != 0 && errno != EINVAL && errno != EROFS)
            is_good = complain("Error writing the snapshot", strerror(errno));
        if (close(state.file) != 0 && is_good)
            is_good = complain("Error writing the snapshot", strerror(errno));
    }
    roan_cli_text_done(&state.held);
    roan_cli_session_disconnect(session);
    if (is_good)
        fprintf(stderr, "Transfer finished with success after %" PRIu64 " bytes\n",
                state.bytes_done);
    return is_good ? 0 : 1;
}

/* Says that we are here: servers wait for the first one, and drop replicas that stay silent. */
static bool send_ack(roan_cli_session *session)
{
    roan_slice argv[3] = {ROAN_LITERAL("REPLCONF"), ROAN_LITERAL("ACK"), ROAN_LITERAL("0")};
    roan_error error;

    roan_cli_connection_queue(&session->connection, 3, argv);
    if (roan_cli_connection_flush(&session->connection, &error) != ROAN_OK)
        return complain("Error", error.text);
    return true;
}

/* Shows the stream of commands until it ends. */
static void show_stream(roan_cli_session *session)
{
    roan_error error;
    roan_status status = ROAN_E_TIMEOUT; /* an ACK is due: now, and after each silence */

    session->connection.timeout_ms = ACK_EVERY_MS;
    while (status == ROAN_OK || status == ROAN_E_TIMEOUT) {
        roan_value *value = NULL;
        if (status == ROAN_E_TIMEOUT && !send_ack(session))
            break;
        status = roan_cli_connection_receive(&session->connection, &value, &error);
        if (status == ROAN_OK)
            roan_cli_session_show(session, value, false);
        roan_value_free(value);
    }
    if (status != ROAN_OK && status != ROAN_E_TIMEOUT && error.os_errno != EINTR)
        complain("Error", error.text);
}

int roan_cli_mode_replica(roan_cli_session *session)
{
    transfer state = {.session = session, .file = -1};
    bool is_good;

    send_replconf(session, "capa", "eof");
    is_good = start_transfer(&state);
    if (is_good) {
        print_plan(&state, "SYNC with master, discarding", NULL);
        is_good = receive_snapshot(&state);
    }
    if (is_good) {
        fprintf(stderr, "SYNC done after %" PRIu64 " bytes. Logging commands from master.\n",
                state.bytes_done);
        if (roan_reply_reader_feed(session->connection.reader, state.held.data,
                                   state.held.bytes) == ROAN_OK)
            show_stream(session);
    }
    roan_cli_text_done(&state.held);
    roan_cli_session_disconnect(session);
    return 1;
}
