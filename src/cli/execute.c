/* cli/execute.c: one command, from the words to what is shown.
 *
 *   words --> help? --> reconnect? --> send --> reply --> redirected? go there, send again
 *                                       |         \--> note what it changed --> show
 *                                       +--> MONITOR, SUBSCRIBE: a stream of replies
 *
 * A command is sent once per server: when the connection breaks after that, nobody knows whether it
 * ran, so it is reported and not repeated. Redirections are the exception, because the server says
 * that it did not run the command; there are at most REDIRECTS_MAX of them.
 */
#include "cli/execute.h"

#include "cli/help.h"
#include "cli/interrupt.h"
#include "cli/mode.h"
#include "cli/subscribe.h"
#include "cli/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define REDIRECTS_MAX 16

static bool word_is(const roan_cli_words *words, size_t index, const char *text)
{
    return index < words->count && roan_cli_is_word(words->items[index], text);
}

/* Reports that are made to be read as they are. */
static bool is_report(const roan_cli_words *words)
{
    static const char *const reports[][2] = {
        {"info", NULL},           {"lolwut", NULL},         {"client", "list"},
        {"client", "info"},       {"cluster", "nodes"},     {"cluster", "info"},
        {"memory", "doctor"},     {"latency", "doctor"},    {"latency", "graph"},
        {"debug", "htstats"},     {"debug", "htstats-key"}, {"debug", "client-eviction"},
        {"memory", "malloc-stats"},
    };

    for (size_t i = 0; i < sizeof reports / sizeof reports[0]; i++)
        if (word_is(words, 0, reports[i][0]) &&
            (reports[i][1] == NULL || word_is(words, 1, reports[i][1])))
            return true;
    return false;
}

static void replace_slice(char **field, roan_slice text)
{
    free(*field);
    *field = roan_cli_copy_slice(text);
}

static int64_t integer_of(roan_slice text)
{
    char *copy = roan_cli_copy_slice(text);
    int64_t value = strtoll(copy, NULL, 10);

    free(copy);
    return value;
}

static void note_credentials(roan_cli_session *session, const roan_cli_words *words, size_t first)
{
    if (first + 1 < words->count) {
        replace_slice(&session->user, words->items[first]);
        replace_slice(&session->password, words->items[first + 1]);
    } else if (first < words->count) {
        free(session->user);
        session->user = NULL;
        replace_slice(&session->password, words->items[first]);
    }
}

static void note_reset(roan_cli_session *session)
{
    session->db = 0;
    session->protocol = 2;
    session->protocol_wanted = 0;
    session->is_in_transaction = false;
    session->channels = session->patterns = session->shards = 0;
}

static void note_hello(roan_cli_session *session, const roan_cli_words *words)
{
    session->protocol = words->count > 1 && integer_of(words->items[1]) == 3 ? 3 : 2;
    session->protocol_wanted = session->protocol;
    for (size_t i = 2; i + 2 < words->count; i++)
        if (word_is(words, i, "auth"))
            note_credentials(session, words, i + 1);
}

/* The transaction ended; what was queued in it took effect when `is_run`. */
static void note_transaction_end(roan_cli_session *session, bool is_run)
{
    if (is_run)
        session->db = session->db_after_exec;
    session->is_in_transaction = false;
}

/* Remembers what a command that went well changed on the server's side of the conversation. */
static void note_change(roan_cli_session *session, const roan_cli_words *words,
                        const roan_value *reply)
{
    bool is_error = reply->type == ROAN_REPLY_ERROR;
    bool is_queued = reply->type == ROAN_REPLY_STATUS && roan_cli_is_word(reply->text, "queued");

    if (word_is(words, 0, "exec") || word_is(words, 0, "discard")) {
        bool is_discard = word_is(words, 0, "discard");
        if (!is_error || !is_discard)
            note_transaction_end(session, !is_discard && !is_error &&
                                              reply->type != ROAN_REPLY_NULL);
    } else if (is_error) {
        return;
    } else if (is_queued) {
        if (word_is(words, 0, "select") && words->count == 2)
            session->db_after_exec = integer_of(words->items[1]);
    } else if (word_is(words, 0, "select") && words->count == 2) {
        session->db = integer_of(words->items[1]);
    } else if (word_is(words, 0, "auth")) {
        note_credentials(session, words, 1);
    } else if (word_is(words, 0, "hello")) {
        note_hello(session, words);
    } else if (word_is(words, 0, "multi")) {
        session->is_in_transaction = true;
        session->db_after_exec = session->db;
    } else if (word_is(words, 0, "reset")) {
        note_reset(session);
    }
}

/* Reads "MOVED slot host:port" or "ASK slot host:port". False when the reply is neither. */
static bool read_redirection(const roan_cli_session *session, const roan_value *reply,
                             bool *ret_is_ask, int *ret_slot, char **ret_host, int *ret_port)
{
    char kind[8];
    char address[512];
    char *text = roan_cli_copy_slice(reply->text);
    char *colon;
    bool is_redirection;

    is_redirection = sscanf(text, "%7s %d %511s", kind, ret_slot, address) == 3 &&
                     (strcmp(kind, "MOVED") == 0 || strcmp(kind, "ASK") == 0);
    free(text);
    if (!is_redirection)
        return false;
    colon = strrchr(address, ':');
    if (colon == NULL)
        return false;
    *colon = '\0';
    *ret_is_ask = kind[0] == 'A';
    *ret_host = roan_cli_copy(address[0] != '\0' ? address : session->host);
    *ret_port = (int)strtol(colon + 1, NULL, 10);
    return true;
}

/* Goes to the server that a reply points to. False when it points nowhere, or nobody answers there.
 * */
static bool follow_redirection(roan_cli_session *session, const roan_value *reply, bool *ret_failed)
{
    bool is_ask;
    int slot;
    int port;
    char *host;

    *ret_failed = false;
    if (!session->options->follows_cluster || reply->type != ROAN_REPLY_ERROR ||
        !read_redirection(session, reply, &is_ask, &slot, &host, &port))
        return false;
    if (session->is_interactive)
        printf("-> Redirected to slot [%d] located at %s:%d\n", slot, host, port);
    roan_cli_session_set_address(session, host, port);
    free(host);
    *ret_failed = !roan_cli_session_connect(session);
    if (!*ret_failed && is_ask) {
        roan_slice asking = ROAN_LITERAL("ASKING");
        roan_value *value;
        *ret_failed = roan_cli_session_call(session, 1, &asking, &value, NULL) != ROAN_OK;
        if (!*ret_failed)
            roan_value_free(value);
    }
    return !*ret_failed;
}

/* The conversation broke, or was broken off with Ctrl-C. */
static roan_cli_outcome report_failure(roan_cli_session *session, const roan_cli_words *words,
                                       const roan_error *error)
{
    bool is_interrupted = error->code == ROAN_E_SYSTEM && error->os_errno == EINTR;

    roan_cli_session_disconnect(session);
    if (is_interrupted)
        return ROAN_CLI_INTERRUPTED;
    if (error->code == ROAN_E_CLOSED && word_is(words, 0, "shutdown"))
        return ROAN_CLI_DONE;
    roan_cli_flush();
    fprintf(stderr, "Error: %s\n", error->text);
    return ROAN_CLI_FAILED;
}

static roan_cli_outcome show_reply(roan_cli_session *session, const roan_cli_words *words,
                                   const roan_value *reply)
{
    bool is_error = reply->type == ROAN_REPLY_ERROR;

    if (is_error && session->options->fails_on_error && !session->is_interactive) {
        roan_cli_flush();
        fprintf(stderr, "%.*s\n", ROAN_SLICE_ARG(reply->text));
    } else {
        roan_cli_session_show(session, reply, is_report(words));
    }
    return is_error ? ROAN_CLI_ERROR_REPLY : ROAN_CLI_DONE;
}

/* Shows everything the server sends until it stops or a person does. */
static roan_cli_outcome watch_stream(roan_cli_session *session, const roan_cli_words *words)
{
    roan_value *value;
    roan_error error;

    while (roan_cli_connection_receive(&session->connection, &value, &error) == ROAN_OK) {
        roan_cli_session_show(session, value, false);
        roan_value_free(value);
    }
    return report_failure(session, words, &error);
}

/* CLIENT REPLY OFF and SKIP have no reply to wait for, nor has what comes after them: everything
 * until CLIENT REPLY ON, or one command. */
static bool has_no_reply(roan_cli_session *session, const roan_cli_words *words)
{
    bool is_client_reply = word_is(words, 0, "client") && word_is(words, 1, "reply");
    bool is_skipped = session->is_reply_skipped;

    session->is_reply_skipped = is_client_reply && word_is(words, 2, "skip");
    if (is_client_reply && word_is(words, 2, "on"))
        session->is_reply_off = is_skipped = false;
    else if (is_client_reply && word_is(words, 2, "off"))
        session->is_reply_off = true;
    return session->is_reply_off || session->is_reply_skipped || is_skipped;
}

/* Sends the command to the server we are at and takes its answer, which may be a redirection. */
static roan_cli_outcome run_here(roan_cli_session *session, const roan_cli_words *words,
                                 bool *ret_redirected)
{
    roan_value *reply = NULL;
    roan_error error;
    roan_cli_outcome outcome;
    bool is_failed;

    *ret_redirected = false;
    if (roan_cli_is_subscription(words))
        return roan_cli_subscribe(session, words);
    if (has_no_reply(session, words)) {
        roan_cli_connection_queue(&session->connection, words->count, words->items);
        if (roan_cli_connection_flush(&session->connection, &error) != ROAN_OK)
            return report_failure(session, words, &error);
        return ROAN_CLI_DONE;
    }
    if (roan_cli_session_call(session, words->count, words->items, &reply, &error) != ROAN_OK)
        return report_failure(session, words, &error);
    *ret_redirected = follow_redirection(session, reply, &is_failed);
    if (*ret_redirected || is_failed) {
        roan_value_free(reply);
        return is_failed ? ROAN_CLI_FAILED : ROAN_CLI_DONE;
    }
    note_change(session, words, reply);
    outcome = show_reply(session, words, reply);
    roan_value_free(reply);
    if (word_is(words, 0, "monitor") && outcome == ROAN_CLI_DONE && !session->is_in_transaction)
        outcome = watch_stream(session, words);
    return outcome;
}

static roan_cli_outcome run_once(roan_cli_session *session, const roan_cli_words *words)
{
    bool is_redirected = true;
    roan_cli_outcome outcome = ROAN_CLI_DONE;

    if (word_is(words, 0, "help") || word_is(words, 0, "?")) {
        roan_cli_help_print(words, session->options->format == ROAN_CLI_FORMAT_TTY);
        return ROAN_CLI_DONE;
    }
    if (!session->is_connected || roan_cli_connection_is_dead(&session->connection))
        if (!roan_cli_session_connect(session))
            return ROAN_CLI_FAILED;
    if (word_is(words, 0, "sync") || word_is(words, 0, "psync")) {
        roan_cli_mode_replica(session);
        return roan_cli_interrupt_is_set() ? ROAN_CLI_INTERRUPTED : ROAN_CLI_FAILED;
    }
    for (int i = 0; i <= REDIRECTS_MAX && is_redirected; i++)
        outcome = run_here(session, words, &is_redirected);
    if (is_redirected) {
        fprintf(stderr, "Error: redirected more than %d times\n", REDIRECTS_MAX);
        return ROAN_CLI_FAILED;
    }
    return outcome;
}

/* Sleeps between repetitions; Ctrl-C ends it. */
static void pause_for(double seconds)
{
    roan_cli_interrupt_poll(NULL, 0, seconds > 1000000 ? 1000000000 : (int)(seconds * 1000));
}

roan_cli_outcome roan_cli_execute(roan_cli_session *session, const roan_cli_words *words,
                                  int64_t repeat)
{
    roan_cli_outcome outcome = ROAN_CLI_DONE;
    bool has_error = false;

    for (int64_t i = 0; repeat < 0 || i < repeat; i++) {
        if (i > 0 && session->options->interval_s > 0)
            pause_for(session->options->interval_s);
        if (roan_cli_interrupt_is_set())
            return ROAN_CLI_INTERRUPTED;
        outcome = run_once(session, words);
        has_error |= outcome == ROAN_CLI_ERROR_REPLY;
        if (outcome == ROAN_CLI_FAILED || outcome == ROAN_CLI_INTERRUPTED)
            return outcome;
        if (has_error && session->options->fails_on_error)
            return outcome;
    }
    return has_error ? ROAN_CLI_ERROR_REPLY : outcome;
}
