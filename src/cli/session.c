/* cli/session.c: connecting, the handshake, and single questions to the server.
 *
 * A connection is made ready in the order AUTH, SELECT, HELLO, from what the session remembers, so
 * that reconnecting restores user, database and protocol. A step that the server refuses is
 * reported on stderr and the session goes on, except under -e, where the program's exit status
 * tells.
 *
 * Only the handshake is subject to -t beyond connecting: a command may take as long as it needs.
 */
#include "cli/session.h"

#include "cli/format.h"
#include "cli/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WORDS_MAX 16

void roan_cli_session_init(roan_cli_session *session, const roan_cli_options *options)
{
    bool is_json = options->format == ROAN_CLI_FORMAT_JSON ||
                   options->format == ROAN_CLI_FORMAT_QUOTED_JSON;

    *session = (roan_cli_session){
        .options = options,
        .connection = ROAN_CLI_CONNECTION_INIT,
        .host = roan_cli_copy(options->host),
        .port = (int)options->port,
        .user = roan_cli_copy(options->user),
        .password = roan_cli_copy(options->password),
        .db = options->db > 0 ? options->db : 0,
        .protocol = 2,
        .shows_pushes = options->shows_pushes,
    };
    if (options->resp3 || (is_json && !options->resp2))
        session->protocol_wanted = 3;
    session->is_protocol_optional = !options->resp3;
}

void roan_cli_session_done(roan_cli_session *session)
{
    roan_cli_session_disconnect(session);
    free(session->host);
    free(session->user);
    free(session->password);
}

void roan_cli_session_set_address(roan_cli_session *session, const char *host, int port)
{
    char *copy = roan_cli_copy(host);

    free(session->host);
    session->host = copy;
    session->port = port;
}

void roan_cli_session_print_address(const roan_cli_session *session, char *out, size_t out_bytes)
{
    bool is_ipv6 = strchr(session->host, ':') != NULL;

    if (session->options->socket_path != NULL)
        snprintf(out, out_bytes, "%s", session->options->socket_path);
    else
        snprintf(out, out_bytes, is_ipv6 ? "[%s]:%d" : "%s:%d", session->host, session->port);
}

void roan_cli_session_disconnect(roan_cli_session *session)
{
    roan_cli_connection_close(&session->connection);
    session->is_connected = false;
    session->is_in_transaction = false;
    session->is_reply_off = session->is_reply_skipped = false;
    session->channels = session->patterns = session->shards = 0;
    session->protocol = 2;
}

void roan_cli_session_show(const roan_cli_session *session, const roan_value *value,
                           bool is_verbatim)
{
    roan_cli_text out = {0};

    roan_cli_format_reply(&out, value, session->options, is_verbatim);
    if (is_verbatim && session->is_interactive && session->options->format == ROAN_CLI_FORMAT_TTY &&
        out.bytes > 0 && out.data[out.bytes - 1] != '\n')
        roan_cli_text_put_char(&out, '\n'); /* the prompt wants a line of its own */
    roan_cli_text_write(&out, stdout);
    roan_cli_text_done(&out);
    roan_cli_flush();
}

static bool is_invalidation(const roan_value *push)
{
    return push->count == 2 && roan_cli_is_word(push->elements[0].text, "invalidate") &&
           push->elements[1].type == ROAN_REPLY_ARRAY;
}

void roan_cli_session_show_push(const roan_cli_session *session, const roan_value *push)
{
    roan_cli_text out = {0};

    if (is_invalidation(push) && session->options->format == ROAN_CLI_FORMAT_TTY) {
        const roan_value *keys = &push->elements[1];
        roan_cli_text_put(&out, "-> invalidate: ");
        for (size_t i = 0; i < keys->count; i++) {
            roan_cli_text_put(&out, i == 0 ? "'" : ", '");
            roan_cli_text_put_slice(&out, keys->elements[i].text);
            roan_cli_text_put_char(&out, '\'');
        }
        roan_cli_text_put_char(&out, '\n');
    } else {
        roan_cli_format_reply(&out, push, session->options, false);
    }
    roan_cli_text_write(&out, stdout);
    roan_cli_text_done(&out);
    roan_cli_flush();
}

roan_status roan_cli_session_receive(roan_cli_session *session, roan_value **ret_value,
                                     roan_error *reterr)
{
    for (;;) {
        roan_status status =
            roan_cli_connection_receive(&session->connection, ret_value, reterr);
        if (status != ROAN_OK || (*ret_value)->type != ROAN_REPLY_PUSH)
            return status;
        if (session->shows_pushes || roan_cli_session_is_subscribed(session))
            roan_cli_session_show_push(session, *ret_value);
        *ret_value = roan_value_free(*ret_value);
    }
}

roan_status roan_cli_session_call(roan_cli_session *session, size_t argc, const roan_slice *argv,
                                  roan_value **ret_value, roan_error *reterr)
{
    roan_error send_error;
    roan_status send_status;
    roan_status status;

    *ret_value = NULL;
    roan_cli_connection_queue(&session->connection, argc, argv);
    send_status = roan_cli_connection_flush(&session->connection, &send_error);
    /* A server that turns us away answers first and closes then: look for the answer either way. */
    status = roan_cli_session_receive(session, ret_value, reterr);
    if (status != ROAN_OK && send_status != ROAN_OK && status != ROAN_E_CLOSED && reterr != NULL)
        *reterr = send_error;
    return status;
}

/* Collects "word, word, ..., NULL". */
static size_t collect_words(const char *word, va_list more, roan_slice *argv)
{
    size_t argc = 0;

    for (; word != NULL && argc < WORDS_MAX; word = va_arg(more, const char *))
        argv[argc++] = roan_slice_from_text(word);
    return argc;
}

roan_value *roan_cli_session_must_call(roan_cli_session *session, const char *word, ...)
{
    roan_slice argv[WORDS_MAX];
    roan_value *value;
    roan_error error;
    va_list more;
    size_t argc;

    va_start(more, word);
    argc = collect_words(word, more, argv);
    va_end(more);
    if (roan_cli_session_call(session, argc, argv, &value, &error) != ROAN_OK) {
        roan_cli_flush();
        fprintf(stderr, "\nI/O error\nError: %s\n", error.text);
        exit(1);
    }
    if (value->type == ROAN_REPLY_ERROR) {
        roan_cli_flush();
        fprintf(stderr, "%s failed: %.*s\n", word, ROAN_SLICE_ARG(value->text));
        exit(1);
    }
    return value;
}

/* One step of the handshake. False when the connection broke; *ret_accepted tells what the server
 * said. */
static bool run_step(roan_cli_session *session, size_t argc, const roan_slice *argv,
                     const char *failure, bool *ret_accepted)
{
    roan_value *value;
    roan_error error;

    *ret_accepted = false;
    if (roan_cli_session_call(session, argc, argv, &value, &error) != ROAN_OK) {
        fprintf(stderr, "Error: %s\n", error.text);
        return false;
    }
    *ret_accepted = value->type != ROAN_REPLY_ERROR;
    if (!*ret_accepted && failure != NULL)
        fprintf(stderr, "%s failed: %.*s\n", failure, ROAN_SLICE_ARG(value->text));
    roan_value_free(value);
    return true;
}

static bool authenticate(roan_cli_session *session)
{
    roan_slice argv[3] = {ROAN_LITERAL("AUTH")};
    size_t argc = 1;
    bool is_accepted;

    if (session->password == NULL)
        return true;
    if (session->user != NULL)
        argv[argc++] = roan_slice_from_text(session->user);
    argv[argc++] = roan_slice_from_text(session->password);
    if (!run_step(session, argc, argv, "AUTH", &is_accepted))
        return false;
    session->has_handshake_failed |= !is_accepted;
    return true;
}

static bool select_db(roan_cli_session *session)
{
    char number[32];
    char failure[48];
    roan_slice argv[2] = {ROAN_LITERAL("SELECT")};
    bool is_accepted;

    if (session->db == 0)
        return true;
    snprintf(number, sizeof number, "%lld", (long long)session->db);
    snprintf(failure, sizeof failure, "SELECT %s", number);
    argv[1] = roan_slice_from_text(number);
    if (!run_step(session, 2, argv, failure, &is_accepted))
        return false;
    if (!is_accepted) {
        session->db = 0;
        session->has_handshake_failed = true;
    }
    return true;
}

static bool switch_protocol(roan_cli_session *session)
{
    roan_slice argv[2] = {ROAN_LITERAL("HELLO"), ROAN_LITERAL("3")};
    bool is_accepted;

    if (session->protocol_wanted != 3)
        return true;
    if (!run_step(session, 2, argv, session->is_protocol_optional ? NULL : "HELLO 3", &is_accepted))
        return false;
    if (is_accepted)
        session->protocol = 3;
    else
        session->has_handshake_failed |= !session->is_protocol_optional;
    return true;
}

bool roan_cli_session_connect(roan_cli_session *session)
{
    const roan_cli_options *options = session->options;
    roan_cli_target target = {
        .host = session->host,
        .port = session->port,
        .socket_path = options->socket_path,
        .address_family = options->address_family,
        .timeout_ms = options->timeout_s > 0 ? (int64_t)(options->timeout_s * 1000) : -1,
    };
    roan_error error;

    roan_cli_session_disconnect(session);
    session->has_handshake_failed = false;
    if (roan_cli_connection_open(&session->connection, &target, &error) != ROAN_OK) {
        roan_cli_flush();
        if (options->socket_path != NULL)
            fprintf(stderr, "Could not connect to Redis at %s: %s\n", options->socket_path,
                    error.text);
        else
            fprintf(stderr, "Could not connect to Redis at %s:%d: %s\n", session->host,
                    session->port, error.text);
        return false;
    }
    session->connection.timeout_ms = target.timeout_ms;
    session->is_connected = authenticate(session) && select_db(session) && switch_protocol(session);
    session->connection.timeout_ms = -1;
    if (!session->is_connected)
        roan_cli_connection_close(&session->connection);
    return session->is_connected;
}
