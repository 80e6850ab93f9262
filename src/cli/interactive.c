/* cli/interactive.c: read a command, run it, show its reply; for a person or for a pipe.
 *
 *   prompt --line--> own word (quit, clear, connect, :set) or command --> prompt
 *      ^                                                        |
 *      +--key or line-- waiting for messages <--subscribed------+
 *
 * Ctrl-C at the prompt discards what was typed, and leaves when nothing was. While a command runs
 * it gives up waiting: the connection, on which the late reply would come, is replaced by a new
 * one. Commands that carry passwords do not go into the history.
 */
#include "cli/interactive.h"

#include "cli/execute.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/subscribe.h"
#include "cli/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SLOW_COMMAND_MS 500
#define READING_TEXT "Reading messages... (press Ctrl-C to quit or any key to type command)\r"
#define ERASE_RIGHT "\033[K"

typedef struct prompt_loop {
    roan_cli_session *session;
    roan_cli_input *input;
    roan_cli_text prompt;
    bool has_failed; /* some command got an error reply or no reply */
} prompt_loop;

static bool is_tty_format(const prompt_loop *loop)
{
    return loop->session->options->format == ROAN_CLI_FORMAT_TTY;
}

/* host:port[db](TX)> */
static const char *make_prompt(prompt_loop *loop)
{
    const roan_cli_session *session = loop->session;
    char address[512];

    roan_cli_text_clear(&loop->prompt);
    if (!session->is_connected) {
        roan_cli_text_put(&loop->prompt, "not connected> ");
        return roan_cli_text_string(&loop->prompt);
    }
    roan_cli_session_print_address(session, address, sizeof address);
    if (session->options->socket_path != NULL)
        roan_cli_text_put(&loop->prompt, "redis ");
    roan_cli_text_put(&loop->prompt, address);
    if (session->db != 0)
        roan_cli_text_printf(&loop->prompt, "[%lld]", (long long)session->db);
    if (session->is_in_transaction)
        roan_cli_text_put(&loop->prompt, "(TX)");
    if (roan_cli_session_is_subscribed(session))
        roan_cli_text_put(&loop->prompt, "(subscribed mode)");
    roan_cli_text_put(&loop->prompt, "> ");
    return roan_cli_text_string(&loop->prompt);
}

static bool word_is(const roan_cli_words *words, size_t index, const char *text)
{
    return index < words->count && roan_cli_is_word(words->items[index], text);
}

static bool has_word(const roan_cli_words *words, size_t from, const char *text)
{
    for (size_t i = from; i < words->count; i++)
        if (word_is(words, i, text))
            return true;
    return false;
}

static bool has_secret(const roan_cli_words *words)
{
    if (word_is(words, 0, "auth") || has_word(words, 1, "auth-pass"))
        return true;
    if (word_is(words, 0, "acl"))
        return word_is(words, 1, "setuser");
    if (word_is(words, 0, "hello"))
        return has_word(words, 2, "auth");
    if (word_is(words, 0, "migrate"))
        return has_word(words, 5, "auth") || has_word(words, 5, "auth2");
    if (word_is(words, 0, "config"))
        return has_word(words, 2, "requirepass") || has_word(words, 2, "masterauth") ||
               has_word(words, 2, "primaryauth") || has_word(words, 2, "masteruser") ||
               has_word(words, 2, "tls-key-file-pass");
    return false;
}

/* ":set hints" and the like, from the prompt or the preferences file. */
static void set_preference(prompt_loop *loop, const roan_cli_words *words)
{
    if (word_is(words, 0, ":set") && word_is(words, 1, "hints"))
        roan_cli_input_show_hints(loop->input, true);
    else if (word_is(words, 0, ":set") && word_is(words, 1, "nohints"))
        roan_cli_input_show_hints(loop->input, false);
    else
        printf("unknown roan cli internal command '%.*s'\n", ROAN_SLICE_ARG(words->items[0]));
}

/* The path that an environment variable gives, or a file in the home directory; the caller frees
 * it. */
static char *user_file(const char *variable, const char *other_variable, const char *name)
{
    const char *path = getenv(variable);
    const char *home = getenv("HOME");
    roan_cli_text text = {0};
    char *copy;

    if (path == NULL)
        path = getenv(other_variable);
    if (path != NULL)
        return path[0] == '\0' || strcmp(path, "/dev/null") == 0 ? NULL : roan_cli_copy(path);
    if (home == NULL || home[0] == '\0')
        return NULL;
    roan_cli_text_printf(&text, "%s/%s", home, name);
    copy = roan_cli_copy(roan_cli_text_string(&text));
    roan_cli_text_done(&text);
    return copy;
}

static void load_preferences(prompt_loop *loop)
{
    char *path = user_file("ROANCLI_RCFILE", "REDISCLI_RCFILE", ".roanclirc");
    FILE *file = path != NULL ? fopen(path, "r") : NULL;
    char *line = NULL;
    size_t capacity = 0;

    free(path);
    if (file == NULL)
        return;
    while (getline(&line, &capacity, file) >= 0) {
        roan_cli_words words;
        if (!roan_cli_words_split(line, &words))
            continue;
        if (words.count > 0 && words.items[0].bytes > 0 && words.items[0].data[0] == ':')
            set_preference(loop, &words);
        roan_cli_words_done(&words);
    }
    free(line);
    fclose(file);
}

/* Takes a leading number off the words: "5 ping". False when it is there and makes no sense. */
static bool take_repeat(roan_cli_words *words, int64_t *ret_repeat)
{
    roan_slice first = words->items[0];
    size_t sign = first.bytes > 0 && (first.data[0] == '-' || first.data[0] == '+');
    char *copy;
    char *end;
    bool is_good;

    *ret_repeat = 1;
    if (words->count < 2 || first.bytes == sign)
        return true;
    for (size_t i = sign; i < first.bytes; i++)
        if (!isdigit((unsigned char)first.data[i]))
            return true;
    copy = roan_cli_copy_slice(first);
    errno = 0;
    *ret_repeat = strtoll(copy, &end, 10);
    is_good = errno == 0 && *ret_repeat > 0;
    free(copy);
    words->count--;
    memmove(words->items, words->items + 1, words->count * sizeof *words->items);
    return is_good;
}

static void go_to(prompt_loop *loop, const roan_cli_words *words)
{
    char *host = roan_cli_copy_slice(words->items[1]);
    char *port = roan_cli_copy_slice(words->items[2]);

    roan_cli_session_set_address(loop->session, host, (int)strtol(port, NULL, 10));
    free(host);
    free(port);
    roan_cli_session_connect(loop->session);
    roan_cli_interrupt_clear();
}

static void run_command(prompt_loop *loop, roan_cli_words *words)
{
    int64_t repeat;
    int64_t start_ms = roan_cli_now_ms();
    int64_t spent_ms;
    roan_cli_outcome outcome;

    if (!take_repeat(words, &repeat)) {
        puts("Invalid roan cli repeat command option value.");
        roan_cli_flush();
        return;
    }
    outcome = roan_cli_execute(loop->session, words, repeat);
    loop->has_failed |= outcome == ROAN_CLI_ERROR_REPLY || outcome == ROAN_CLI_FAILED;
    if (outcome == ROAN_CLI_INTERRUPTED) {
        roan_cli_interrupt_clear();
        putchar('\n');
        roan_cli_session_connect(loop->session);
    }
    roan_cli_interrupt_clear(); /* it ended this command, not the next line */
    spent_ms = roan_cli_now_ms() - start_ms;
    if (spent_ms >= SLOW_COMMAND_MS && is_tty_format(loop))
        printf("(%.2fs)\n", (double)spent_ms / 1000);
    roan_cli_flush();
}

/* Runs what was typed. False when it means to leave. */
static bool run_line(prompt_loop *loop, const char *line)
{
    roan_cli_words words;
    bool goes_on = true;

    if (!roan_cli_words_split(line, &words)) {
        roan_cli_input_remember(loop->input, line);
        puts("Invalid argument(s)");
        roan_cli_flush();
        return true;
    }
    if (words.count > 0) {
        if (!has_secret(&words))
            roan_cli_input_remember(loop->input, line);
        if (word_is(&words, 0, "quit") || word_is(&words, 0, "exit")) {
            goes_on = false;
        } else if (words.items[0].bytes > 0 && words.items[0].data[0] == ':') {
            set_preference(loop, &words);
        } else if (words.count == 1 && word_is(&words, 0, "clear")) {
            if (is_tty_format(loop))
                fputs("\033[H\033[2J", stdout);
        } else if (words.count == 3 && word_is(&words, 0, "connect")) {
            go_to(loop, &words);
        } else {
            run_command(loop, &words);
        }
    }
    roan_cli_flush();
    roan_cli_words_done(&words);
    return goes_on;
}

/* Shows messages until somebody wants to type, or Ctrl-C ends the subscriptions. */
static void wait_for_messages(prompt_loop *loop)
{
    roan_cli_session *session = loop->session;

    if (session->is_connected && roan_cli_session_is_subscribed(session) &&
        !roan_cli_show_messages(session))
        return;
    while (session->is_connected && roan_cli_session_is_subscribed(session)) {
        bool has_input;
        bool has_message;
        bool goes_on;
        if (is_tty_format(loop))
            fputs(READING_TEXT, stdout);
        roan_cli_flush();
        goes_on = roan_cli_input_wait(loop->input, session->connection.fd, &has_input,
                                      &has_message);
        if (is_tty_format(loop))
            fputs(ERASE_RIGHT, stdout);
        if (!goes_on) {
            roan_cli_interrupt_clear();
            roan_cli_session_connect(session); /* a new connection has no subscriptions */
            return;
        }
        if (has_message && !roan_cli_show_messages(session))
            return;
        if (has_input)
            return;
    }
}

static void read_and_run(prompt_loop *loop)
{
    for (;;) {
        const char *line;
        roan_cli_input_result result;
        wait_for_messages(loop);
        result = roan_cli_input_read(loop->input, make_prompt(loop), &line);
        if (result == ROAN_CLI_INPUT_END) {
            if (roan_cli_input_is_terminal(loop->input))
                putchar('\n');
            return;
        }
        if (result == ROAN_CLI_INPUT_INTERRUPTED) {
            roan_cli_interrupt_clear();
            if (line[0] == '\0')
                return;
            continue;
        }
        if (!run_line(loop, line))
            return;
    }
}

int roan_cli_interactive(roan_cli_session *session)
{
    char *history_path = user_file("ROANCLI_HISTFILE", "REDISCLI_HISTFILE", ".roancli_history");
    prompt_loop loop = {.session = session};

    loop.input = roan_cli_input_create(history_path, is_tty_format(&loop));
    free(history_path);
    session->is_interactive = true;
    if (roan_cli_input_is_terminal(loop.input)) {
        roan_cli_interrupt_catch();
        session->connection.is_interruptible = true;
        load_preferences(&loop);
    }
    roan_cli_session_connect(session);
    read_and_run(&loop);
    roan_cli_input_free(loop.input);
    roan_cli_text_done(&loop.prompt);
    return session->options->fails_on_error && loop.has_failed ? 1 : 0;
}
