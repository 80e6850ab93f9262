/* cli/input.h: lines from standard input, edited by a person or written by a program. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct roan_cli_input roan_cli_input;

typedef enum roan_cli_input_result {
    ROAN_CLI_INPUT_LINE,
    ROAN_CLI_INPUT_END,        /* end of file, or Ctrl-D */
    ROAN_CLI_INPUT_INTERRUPTED /* Ctrl-C; *ret_line holds what was discarded */
} roan_cli_input_result;

/* With a terminal: editing, history in `history_path` (NULL: none), completion and hints. Else
 * lines as they come. `erases_echo`: what is printed always ends its row, so anything in front of a
 * prompt is the echo of keys pressed too early, and is erased. Never NULL. */
roan_cli_input *roan_cli_input_create(const char *history_path, bool erases_echo);
roan_cli_input *roan_cli_input_free(roan_cli_input *input);

/* Reads a line without its end. The line belongs to the input until the next call. */
roan_cli_input_result roan_cli_input_read(roan_cli_input *input, const char *prompt,
                                          const char **ret_line);

/* Waits until there is something to read from the person (*ret_input) or from `fd` (*ret_fd). False
 * when Ctrl-C came instead. */
bool roan_cli_input_wait(roan_cli_input *input, int fd, bool *ret_input, bool *ret_fd);

/* True when a person sits there. */
bool roan_cli_input_is_terminal(const roan_cli_input *input);

/* Adds a line to the history and its file. */
void roan_cli_input_remember(roan_cli_input *input, const char *line);

void roan_cli_input_show_hints(roan_cli_input *input, bool is_on);
