/* client/link_connect.c: from an address to a connection that is ready: opening, and the handshake.
 *
 * The handshake goes out in one write: HELLO 3 with AUTH and SETNAME inside, SELECT, CLIENT SETINFO. A server that does
 * not know HELLO (or RESP3) gets a second round with AUTH, CLIENT SETNAME and SELECT by themselves and speaks RESP2.
 * Only what the program asked for can fail it: a password, a database, a demanded protocol.
 */
#include "client/handle.h"
#include "client/link.h"

#include "base/macros.h"
#include "resp/reply_reader.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum step { STEP_HELLO, STEP_AUTH, STEP_SETNAME, STEP_SELECT, STEP_SETINFO } step;

/* All requests of a handshake without the texts of the program. */
#define HANDSHAKE_BYTES 512

void roan_link_want(roan_link *link, int64_t now_us, roan_outcome *outcome)
{
    if (link->state == ROAN_LINK_BACKOFF && now_us < link->backoff_until_us)
        return;
    if (link->state == ROAN_LINK_IDLE || link->state == ROAN_LINK_BACKOFF)
        roan_link_open(link, now_us, outcome);
}

void roan_link_open(roan_link *link, int64_t now_us, roan_outcome *outcome)
{
    const roan_settings *settings = link->client->root->settings;
    const roan_transport *transport = link->client->transport;
    roan_endpoint endpoint = {.host = settings->host, .path = settings->path, .port = settings->port};
    roan_error error;
    roan_failure failure;
    roan_wire *wire = calloc(1, sizeof *wire);

    ROAN_ASSERT(link->wire == NULL);
    link->state = ROAN_LINK_OPENING;
    now_us = roan_now_us(link->client); /* the caller's may be coarse */
    link->connect_deadline_us = now_us + (int64_t)settings->options.connect_timeout_ms * 1000;
    roan_error_set(&error, ROAN_E_NOMEM, "out of memory");
    if (wire != NULL)
        wire->reader = roan_reply_reader_create();
    if (wire == NULL || wire->reader == NULL ||
        transport->open(transport->state, &endpoint, &wire->stream, &error) != ROAN_OK) {
        if (wire != NULL)
            roan_reply_reader_free(wire->reader);
        free(wire);
        roan_failure_set(&failure, ROAN_E_CONNECT, ROAN_FATE_NOT_SENT, "%s", error.text);
        failure.os_errno = error.os_errno;
        roan_link_connect_failed(link, &failure, false, outcome);
        return;
    }
    link->wire = wire;
    outcome->wakes_background |= link->driver == ROAN_DRIVER_NONE && (link->async_count > 0 || link->is_wanted);
    roan_link_progress(link, outcome); /* a Unix socket is there at once */
}

/* ---- what is sent ---- */

/* The requests hold the password: they are wiped, and never moved while they grow. */
void roan_link_forget_handshake(roan_link *link)
{
    if (link->handshake.request != NULL)
        explicit_bzero(link->handshake.request, link->handshake.request_capacity);
    free(link->handshake.request);
    link->handshake.request = NULL;
    link->handshake.request_bytes = link->handshake.request_sent = link->handshake.request_capacity = 0;
}

static size_t text_bytes(const char *text)
{
    return text != NULL ? strlen(text) : 0;
}

static bool add_request(roan_link *link, step kind, size_t argc, const roan_slice *argv)
{
    roan_request_buffer buffer = {link->handshake.request, link->handshake.request_bytes,
                                  link->handshake.request_capacity};
    bool is_added = link->handshake.count < ROAN_HANDSHAKE_STEPS_MAX &&
                    roan_request_append(&buffer, argc, argv) == ROAN_OK;

    link->handshake.request = buffer.data;
    link->handshake.request_bytes = buffer.bytes;
    link->handshake.request_capacity = buffer.capacity;
    if (is_added)
        link->handshake.steps[link->handshake.count++] = (uint8_t)kind;
    return is_added;
}

typedef struct credentials {
    const char *username, *password; /* NULL: none */
} credentials;

static bool add_hello(roan_link *link, const roan_options *options, credentials who)
{
    roan_slice words[8];
    size_t count = 0;

    words[count++] = ROAN_LITERAL("HELLO");
    words[count++] = ROAN_LITERAL("3");
    if (who.password != NULL) {
        words[count++] = ROAN_LITERAL("AUTH");
        words[count++] = who.username != NULL ? roan_slice_from_text(who.username) : ROAN_LITERAL("default");
        words[count++] = roan_slice_from_text(who.password);
    }
    if (options->client_name != NULL) {
        words[count++] = ROAN_LITERAL("SETNAME");
        words[count++] = roan_slice_from_text(options->client_name);
    }
    return add_request(link, STEP_HELLO, count, words);
}

static bool add_auth(roan_link *link, credentials who)
{
    roan_slice words[3];
    size_t count = 0;

    if (who.password == NULL)
        return true;
    words[count++] = ROAN_LITERAL("AUTH");
    if (who.username != NULL)
        words[count++] = roan_slice_from_text(who.username);
    words[count++] = roan_slice_from_text(who.password);
    return add_request(link, STEP_AUTH, count, words);
}

static bool add_setname(roan_link *link, const roan_options *options)
{
    roan_slice words[3] = {ROAN_LITERAL("CLIENT"), ROAN_LITERAL("SETNAME"), {NULL, 0}};

    if (options->client_name == NULL)
        return true;
    words[2] = roan_slice_from_text(options->client_name);
    return add_request(link, STEP_SETNAME, 3, words);
}

static bool add_select(roan_link *link, int database)
{
    char number[16];
    roan_slice words[2] = {ROAN_LITERAL("SELECT"), {number, 0}};

    if (database == 0)
        return true;
    words[1].bytes = (size_t)snprintf(number, sizeof number, "%d", database);
    return add_request(link, STEP_SELECT, 2, words);
}

static bool add_setinfo(roan_link *link)
{
    const roan_slice name[] = {ROAN_LITERAL("CLIENT"), ROAN_LITERAL("SETINFO"), ROAN_LITERAL("LIB-NAME"),
                               ROAN_LITERAL("roan")};
    const roan_slice version[] = {ROAN_LITERAL("CLIENT"), ROAN_LITERAL("SETINFO"), ROAN_LITERAL("LIB-VER"),
                                  ROAN_LITERAL(ROAN_VERSION)};

    return add_request(link, STEP_SETINFO, 4, name) && add_request(link, STEP_SETINFO, 4, version);
}

static void begin_round(roan_link *link, bool is_second_round, roan_outcome *outcome)
{
    const roan_options *options = &link->client->root->settings->options;
    credentials who = {options->username, options->password};
    char node[ROAN_NODE_MAX];
    roan_status status = ROAN_OK;
    roan_failure failure;
    bool is_whole;

    roan_link_node_name(link, node, sizeof node);
    if (options->credentials != NULL)
        status = options->credentials(options->credentials_argument, node, &who.username, &who.password);
    if (status != ROAN_OK) {
        roan_failure_set(&failure, ROAN_E_CONNECT, ROAN_FATE_NOT_SENT, "no credentials for this connection: %s",
                         roan_status_text(status));
        roan_link_connect_failed(link, &failure, true, outcome);
        return;
    }
    roan_link_forget_handshake(link);
    link->handshake.request_capacity =
        HANDSHAKE_BYTES + text_bytes(who.username) + text_bytes(who.password) + text_bytes(options->client_name);
    link->handshake.request = malloc(link->handshake.request_capacity);
    if (link->handshake.request == NULL)
        link->handshake.request_capacity = 0;
    link->handshake.count = link->handshake.done = 0;
    link->handshake.round = link->handshake.round == UINT_MAX ? 1 : link->handshake.round + 1;
    link->handshake.is_refused = link->handshake.has_failed = false;
    if (link->handshake.request == NULL)
        is_whole = false;
    else if (options->protocol != 2 && !is_second_round)
        is_whole = add_hello(link, options, who);
    else
        is_whole = add_auth(link, who) && add_setname(link, options);
    is_whole = is_whole && add_select(link, options->database) && add_setinfo(link);
    if (is_whole)
        return;
    roan_failure_set(&failure, ROAN_E_CONNECT, ROAN_FATE_NOT_SENT, "out of memory");
    roan_link_connect_failed(link, &failure, false, outcome);
}

void roan_link_handshake_begin(roan_link *link, roan_outcome *outcome)
{
    link->state = ROAN_LINK_HANDSHAKE;
    link->protocol = 2;
    link->received_us = link->sent_us = roan_now_us(link->client);
    begin_round(link, false, outcome);
}

/* ---- what comes back ---- */

static void become_ready(roan_link *link, roan_outcome *outcome)
{
    roan_link_forget_handshake(link);
    link->state = ROAN_LINK_READY;
    link->was_ready = true;
    link->ready_us = roan_now_us(link->client);
    link->connect_failure.code = ROAN_OK;
    link->counters.connects++;
    roan_outcome_event(link, ROAN_EVENT_CONNECTED, NULL, outcome);
    for (roan_wait_node *node = link->watchers; node != NULL; node = node->next)
        roan_outcome_wake(outcome, node->word);
    if (link->on_ready != NULL)
        link->on_ready(link, outcome);
}

static bool starts_with(roan_slice text, const char *start)
{
    return text.bytes >= strlen(start) && memcmp(text.data, start, strlen(start)) == 0;
}

/* "-NOPROTO ..." or "-ERR unknown command ..." */
static bool says_no_hello(roan_slice text)
{
    return starts_with(text, "NOPROTO") || starts_with(text, "ERR unknown command") ||
           starts_with(text, "ERR unknown or unsupported command");
}

static void note_error(roan_link *link, step kind, roan_slice text)
{
    const roan_options *options = &link->client->root->settings->options;
    roan_slice shown = roan_error_text(text); /* a server that knows no HELLO repeats the password */
    const char *space = memchr(text.data, ' ', text.bytes);
    size_t code_bytes = space != NULL ? (size_t)(space - text.data) : text.bytes;
    roan_failure *failure = &link->handshake.failure;

    if (kind == STEP_SETINFO || kind == STEP_SETNAME)
        return; /* a courtesy: old servers and restricted users do without */
    if (kind == STEP_HELLO && says_no_hello(text) && options->protocol != 3) {
        link->handshake.is_refused = true;
        return;
    }
    if (link->handshake.has_failed || (link->handshake.is_refused && kind != STEP_HELLO))
        return;
    link->handshake.has_failed = true;
    roan_failure_set(failure, ROAN_E_CONNECT, ROAN_FATE_NOT_SENT, "the server refused %s: %.*s",
                     kind == STEP_SELECT ? "the database" : kind == STEP_AUTH ? "the login" : "the connection",
                     (int)ROAN_MIN(shown.bytes, (size_t)180), shown.data);
    memcpy(failure->server_code, text.data, ROAN_MIN(code_bytes, sizeof failure->server_code - 1));
    failure->server_code[ROAN_MIN(code_bytes, sizeof failure->server_code - 1)] = '\0';
}

void roan_link_handshake_reply(roan_link *link, const roan_value *reply, roan_outcome *outcome)
{
    step kind;
    roan_failure failure;

    if (link->handshake.done == link->handshake.count) {
        roan_failure_set(&failure, ROAN_E_PROTOCOL, ROAN_FATE_NOT_SENT, "more replies than requests in the handshake");
        roan_link_connect_failed(link, &failure, false, outcome);
        return;
    }
    kind = (step)link->handshake.steps[link->handshake.done++];
    if (reply->type == ROAN_REPLY_ERROR)
        note_error(link, kind, reply->text);
    else if (kind == STEP_HELLO)
        link->protocol = 3;
    if (link->handshake.done < link->handshake.count && !link->handshake.has_failed)
        return;
    if (link->handshake.has_failed) {
        failure = link->handshake.failure;
        roan_link_connect_failed(link, &failure, strcmp(failure.server_code, "LOADING") != 0, outcome);
    } else if (link->handshake.is_refused) {
        begin_round(link, true, outcome);
    } else {
        become_ready(link, outcome);
    }
}
