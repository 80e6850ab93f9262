/* cli/editor.h: a line editor for a person at a terminal. */
#pragma once

#include "cli/input.h"

typedef struct roan_cli_editor roan_cli_editor;

/* An editor on the standard streams, or NULL when the terminal cannot do it. `erases_echo` as for
 * roan_cli_input_create. */
roan_cli_editor *roan_cli_editor_create(int history_lines_max, bool erases_echo);

/* Gives the terminal back as it was; accepts NULL. */
roan_cli_editor *roan_cli_editor_free(roan_cli_editor *editor);

roan_cli_input_result roan_cli_editor_read(roan_cli_editor *editor, const char *prompt,
                                           const char **ret_line);
void roan_cli_editor_remember(roan_cli_editor *editor, const char *line);
void roan_cli_editor_show_hints(roan_cli_editor *editor, bool is_on);

/* Between lines: single keys can be waited for (true), or the terminal works in lines (false). */
void roan_cli_editor_set_raw(roan_cli_editor *editor, bool is_raw);
