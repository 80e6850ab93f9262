/* cli/cli_main.c: the entry of `roan cli`: options, then the one thing they ask for.
 *
 * Exit status: 0 when everything asked for was done; 1 when there was no connection, no answer, or
 * wrong usage, and under -e also when the server answered with an error or refused the login, the
 * database or the protocol. Words that come from standard input (-x, -X) are read before
 * connecting.
 */
#include "cli/cli.h"

#include "cli/execute.h"
#include "cli/interactive.h"
#include "cli/mode.h"
#include "cli/password.h"
#include "cli/text.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES 65536

static void read_stream(FILE *stream, roan_cli_text *out)
{
    char buffer[READ_BYTES];
    size_t bytes;

    while ((bytes = fread(buffer, 1, sizeof buffer, stream)) > 0)
        roan_cli_text_append(out, buffer, bytes);
}

/* Makes the words of the command out of what is left of argv and, where asked, standard input. What
 * had to be copied is left in `input` and unquoted[i]. */
static bool collect_words(const roan_cli_options *options, roan_cli_text *input,
                          char **unquoted, roan_cli_words *words)
{
    bool is_tag_used = options->stdin_tag == NULL;

    if (options->reads_last_word || options->stdin_tag != NULL)
        read_stream(stdin, input);
    for (int i = 0; i < options->word_count; i++) {
        roan_slice word = roan_slice_from_text(options->words[i]);
        if (options->stdin_tag != NULL && strcmp(options->words[i], options->stdin_tag) == 0) {
            word = roan_slice_make(roan_cli_text_string(input), input->bytes);
            is_tag_used = true;
        } else if (options->is_input_quoted) {
            if (!roan_cli_unquote(options->words[i], &word)) {
                puts("Invalid quoted string");
                return false;
            }
            unquoted[i] = (char *)(uintptr_t)word.data;
        }
        roan_cli_words_add(words, word);
    }
    if (!is_tag_used) {
        fprintf(stderr, "Using -X option but stdin tag not match.\n");
        return false;
    }
    if (options->reads_last_word)
        roan_cli_words_add(words, roan_slice_make(roan_cli_text_string(input), input->bytes));
    return true;
}

/* Connects, runs the words and turns the outcome into a status. */
static int run_words(roan_cli_session *session, const roan_cli_words *words)
{
    const roan_cli_options *options = session->options;
    roan_cli_outcome outcome;

    if (!roan_cli_is_word(words->items[0], "help") && !roan_cli_session_connect(session))
        return 1;
    if (options->fails_on_error && session->has_handshake_failed)
        return 1;
    outcome = roan_cli_execute(session, words, options->repeat);
    if (outcome == ROAN_CLI_FAILED || outcome == ROAN_CLI_INTERRUPTED)
        return 1;
    return outcome == ROAN_CLI_ERROR_REPLY && options->fails_on_error ? 1 : 0;
}

static int run_command(roan_cli_session *session)
{
    const roan_cli_options *options = session->options;
    roan_cli_words words = {0};
    roan_cli_text input = {0};
    char **unquoted;
    int status = 1;

    if (options->word_count == 0 && !options->reads_last_word && options->stdin_tag == NULL)
        return roan_cli_interactive(session);
    unquoted = roan_cli_alloc((size_t)options->word_count * sizeof *unquoted);
    if (collect_words(options, &input, unquoted, &words))
        status = run_words(session, &words);
    for (int i = 0; i < options->word_count; i++)
        free(unquoted[i]);
    free(unquoted);
    roan_cli_words_done(&words);
    roan_cli_text_done(&input);
    return status;
}

/* --eval file key ... , argument ... */
static int run_eval(roan_cli_session *session)
{
    const roan_cli_options *options = session->options;
    FILE *file = fopen(options->file, "r");
    roan_cli_text script = {0};
    roan_cli_words words = {0};
    char key_count[16];
    int keys = 0;
    int status;

    if (file == NULL) {
        fprintf(stderr, "Can't open file '%s': %s\n", options->file, strerror(errno));
        return 1;
    }
    read_stream(file, &script);
    fclose(file);
    while (keys < options->word_count && strcmp(options->words[keys], ",") != 0)
        keys++;
    snprintf(key_count, sizeof key_count, "%d", keys);
    roan_cli_words_add(&words, ROAN_LITERAL("EVAL"));
    roan_cli_words_add(&words, roan_slice_make(roan_cli_text_string(&script), script.bytes));
    roan_cli_words_add(&words, roan_slice_from_text(key_count));
    for (int i = 0; i < options->word_count; i++)
        if (i != keys)
            roan_cli_words_add(&words, roan_slice_from_text(options->words[i]));
    status = run_words(session, &words);
    roan_cli_words_done(&words);
    roan_cli_text_done(&script);
    return status;
}

/* A mode that talks to the server. */
static int run_connected(roan_cli_session *session, int (*mode)(roan_cli_session *session))
{
    if (!roan_cli_session_connect(session))
        return 1;
    if (session->options->fails_on_error && session->has_handshake_failed)
        return 1;
    return mode(session);
}

static int run_mode(roan_cli_session *session, const char *program)
{
    switch (session->options->mode) {
    case ROAN_CLI_COMMAND:
        return run_command(session);
    case ROAN_CLI_EVAL:
        return run_eval(session);
    case ROAN_CLI_STAT:
        return run_connected(session, roan_cli_mode_stat);
    case ROAN_CLI_LATENCY:
    case ROAN_CLI_LATENCY_HISTORY:
        return run_connected(session, roan_cli_mode_latency);
    case ROAN_CLI_LATENCY_DIST:
        return run_connected(session, roan_cli_mode_latency_dist);
    case ROAN_CLI_INTRINSIC_LATENCY:
        return roan_cli_mode_intrinsic_latency(session);
    case ROAN_CLI_SCAN:
        return run_connected(session, roan_cli_mode_scan);
    case ROAN_CLI_BIG_KEYS:
    case ROAN_CLI_MEM_KEYS:
        return run_connected(session, roan_cli_mode_keys);
    case ROAN_CLI_KEY_STATS:
        return run_connected(session, roan_cli_mode_key_stats);
    case ROAN_CLI_HOT_KEYS:
        return run_connected(session, roan_cli_mode_hot_keys);
    case ROAN_CLI_PIPE:
        return run_connected(session, roan_cli_mode_pipe);
    case ROAN_CLI_RDB:
    case ROAN_CLI_FUNCTIONS_RDB:
        return run_connected(session, roan_cli_mode_rdb);
    case ROAN_CLI_REPLICA:
        return run_connected(session, roan_cli_mode_replica);
    case ROAN_CLI_HINT_FILE:
        return roan_cli_mode_hint_file(session);
    case ROAN_CLI_USAGE:
        roan_cli_print_usage(program);
        return 0;
    case ROAN_CLI_SHOW_VERSION:
        printf("%s %s\n", program, ROAN_VERSION);
        return 0;
    }
    return 1;
}

int roan_cli_main(int argc, char **argv)
{
    const char *program = argc > 0 ? argv[0] : "roan cli";
    roan_cli_options options;
    roan_cli_session session;
    int status;

    signal(SIGPIPE, SIG_IGN);
    if (!roan_cli_options_parse(&options, argc, argv)) {
        roan_cli_options_done(&options);
        return 1;
    }
    if (options.asks_password && !roan_cli_ask_password(&options.password)) {
        roan_cli_options_done(&options);
        return 1;
    }
    roan_cli_session_init(&session, &options);
    status = run_mode(&session, program);
    roan_cli_session_done(&session);
    roan_cli_options_done(&options);
    if (fflush(stdout) != 0 && status == 0)
        status = 1; /* whoever should read the output is gone, or the disk is full */
    return status;
}
