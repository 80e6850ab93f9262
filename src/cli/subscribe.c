/* cli/subscribe.c: subscriptions.
 *
 * A subscribing command is confirmed by one message per channel named, arrays in RESP2 and pushes
 * in RESP3, with messages for other channels in between. The last element of a confirmation is the
 * number of subscriptions: channels and patterns counted together, shard channels on their own. An
 * unsubscribing command without names is confirmed once per subscription of its kind, and once when
 * there is none. One reply of any other type (an error, QUEUED) answers the whole command.
 */
#include "cli/subscribe.h"

#include "cli/text.h"

#include <errno.h>
#include <stdio.h>

static const char *const verbs[] = {"subscribe",  "unsubscribe",  "psubscribe",
                                    "punsubscribe", "ssubscribe", "sunsubscribe"};

enum { VERB_COUNT = sizeof verbs / sizeof verbs[0] };

/* Index into `verbs`, or VERB_COUNT. */
static int find_verb(roan_slice word)
{
    int verb = 0;

    while (verb < VERB_COUNT && !roan_cli_is_word(word, verbs[verb]))
        verb++;
    return verb;
}

bool roan_cli_is_subscription(const roan_cli_words *words)
{
    return words->count > 0 && find_verb(words->items[0]) < VERB_COUNT;
}

static size_t *counter_of(roan_cli_session *session, int verb)
{
    return verb < 2 ? &session->channels : verb < 4 ? &session->patterns : &session->shards;
}

/* Which confirmation a message is, VERB_COUNT for other messages. */
static int read_confirmation(const roan_value *message, size_t *ret_total)
{
    int verb;

    if ((message->type != ROAN_REPLY_ARRAY && message->type != ROAN_REPLY_PUSH) ||
        message->count != 3 || message->elements[2].type != ROAN_REPLY_INTEGER)
        return VERB_COUNT;
    verb = find_verb(message->elements[0].text);
    *ret_total = (size_t)message->elements[2].integer;
    return verb;
}

/* Keeps count of the subscriptions; returns the verb that was confirmed. */
static int note_confirmation(roan_cli_session *session, const roan_value *message)
{
    size_t total = 0;
    int verb = read_confirmation(message, &total);
    size_t others;

    if (verb == VERB_COUNT)
        return verb;
    others = verb < 2 ? session->patterns : verb < 4 ? session->channels : 0;
    *counter_of(session, verb) = total > others ? total - others : 0;
    return verb;
}

void roan_cli_take_message(roan_cli_session *session, const roan_value *message)
{
    note_confirmation(session, message);
    if (message->type == ROAN_REPLY_PUSH)
        roan_cli_session_show_push(session, message);
    else
        roan_cli_session_show(session, message, false);
}

static bool is_message(const roan_value *value)
{
    return value->type == ROAN_REPLY_PUSH || value->type == ROAN_REPLY_ARRAY;
}

static roan_cli_outcome report_end(roan_cli_session *session, const roan_error *error)
{
    bool is_interrupted = error->code == ROAN_E_SYSTEM && error->os_errno == EINTR;

    roan_cli_session_disconnect(session);
    if (is_interrupted)
        return ROAN_CLI_INTERRUPTED;
    roan_cli_flush();
    fprintf(stderr, "Error: %s\n", error->text);
    return ROAN_CLI_FAILED;
}

/* Shows messages until `count` confirmations of `verb` came, or a reply that is no message. */
static roan_cli_outcome take_confirmations(roan_cli_session *session, int verb, size_t count)
{
    while (count > 0) {
        roan_value *value;
        roan_error error;
        bool is_last;
        if (roan_cli_connection_receive(&session->connection, &value, &error) != ROAN_OK)
            return report_end(session, &error);
        if (!is_message(value)) {
            bool is_error = value->type == ROAN_REPLY_ERROR;
            if (is_error && session->options->fails_on_error)
                fprintf(stderr, "%.*s\n", ROAN_SLICE_ARG(value->text));
            else
                roan_cli_session_show(session, value, false);
            roan_value_free(value);
            return is_error ? ROAN_CLI_ERROR_REPLY : ROAN_CLI_DONE;
        }
        is_last = note_confirmation(session, value) == verb;
        roan_cli_take_message(session, value);
        roan_value_free(value);
        count -= is_last;
    }
    return ROAN_CLI_DONE;
}

roan_cli_outcome roan_cli_subscribe(roan_cli_session *session, const roan_cli_words *words)
{
    int verb = find_verb(words->items[0]);
    size_t count = words->count - 1;
    roan_error error;
    roan_cli_outcome outcome;

    if (count == 0 && verb % 2 == 1 && *counter_of(session, verb) > 0)
        count = *counter_of(session, verb);
    else if (count == 0)
        count = 1;
    roan_cli_connection_queue(&session->connection, words->count, words->items);
    if (roan_cli_connection_flush(&session->connection, &error) != ROAN_OK)
        return report_end(session, &error);
    outcome = take_confirmations(session, verb, count);
    if (session->is_interactive || outcome != ROAN_CLI_DONE)
        return outcome;
    while (roan_cli_session_is_subscribed(session)) {
        roan_value *value;
        if (roan_cli_connection_receive(&session->connection, &value, &error) != ROAN_OK)
            return report_end(session, &error);
        roan_cli_take_message(session, value);
        roan_value_free(value);
    }
    return outcome;
}

bool roan_cli_show_messages(roan_cli_session *session)
{
    for (;;) {
        roan_value *value;
        roan_error error;
        if (roan_cli_connection_poll(&session->connection, &value, &error) != ROAN_OK) {
            report_end(session, &error);
            return false;
        }
        if (value == NULL)
            return true;
        roan_cli_take_message(session, value);
        roan_value_free(value);
    }
}
