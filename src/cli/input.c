/* cli/input.c: one interface over edited and plain lines, and the history file.
 *
 * The history file holds one line per entry, oldest first, as other clients keep it; it is readable
 * by its owner only. Every entry is appended at once, so that nothing is lost and two sessions can
 * share the file. A file that has grown past twice HISTORY_LINES_MAX is cut when it is loaded.
 */
#include "cli/input.h"

#include "cli/editor.h"
#include "cli/interrupt.h"
#include "cli/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HISTORY_LINES_MAX 1000
#define READ_BYTES 16384

struct roan_cli_input {
    roan_cli_editor *editor; /* NULL: plain lines */
    char *history_path;
    char *last_remembered;
    roan_cli_text line;
    roan_cli_text pending; /* bytes read and not yet part of a line */
    bool is_at_end;
};

/* Writes the last lines of a history that has grown too long. */
static void cut_history(const char *path, char **lines, size_t count)
{
    roan_cli_text temporary = {0};
    int fd;
    FILE *file;

    roan_cli_text_printf(&temporary, "%s.%ld", path, (long)getpid());
    fd = open(roan_cli_text_string(&temporary), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file != NULL) {
        for (size_t i = count - HISTORY_LINES_MAX; i < count; i++)
            fprintf(file, "%s\n", lines[i]);
        if (fclose(file) == 0)
            rename(roan_cli_text_string(&temporary), path);
    }
    roan_cli_text_done(&temporary);
}

static void load_history(roan_cli_input *input)
{
    FILE *file = fopen(input->history_path, "r");
    char **lines = NULL;
    size_t count = 0;
    char *line = NULL;
    size_t line_capacity = 0;

    if (file == NULL)
        return;
    while (getline(&line, &line_capacity, file) >= 0) {
        line[strcspn(line, "\r\n")] = '\0';
        lines = roan_cli_realloc(lines, (count + 1) * sizeof *lines);
        lines[count++] = roan_cli_copy(line);
    }
    fclose(file);
    free(line);
    for (size_t i = count > HISTORY_LINES_MAX ? count - HISTORY_LINES_MAX : 0; i < count; i++)
        roan_cli_editor_remember(input->editor, lines[i]);
    if (count > 2 * HISTORY_LINES_MAX)
        cut_history(input->history_path, lines, count);
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
    free(lines);
}

roan_cli_input *roan_cli_input_create(const char *history_path, bool erases_echo)
{
    roan_cli_input *input = roan_cli_alloc(sizeof *input);

    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        input->editor = roan_cli_editor_create(HISTORY_LINES_MAX, erases_echo);
    input->history_path = roan_cli_copy(history_path);
    if (input->editor != NULL && history_path != NULL)
        load_history(input);
    return input;
}

roan_cli_input *roan_cli_input_free(roan_cli_input *input)
{
    if (input != NULL) {
        roan_cli_editor_free(input->editor);
        roan_cli_text_done(&input->line);
        roan_cli_text_done(&input->pending);
        free(input->history_path);
        free(input->last_remembered);
        free(input);
    }
    return NULL;
}

bool roan_cli_input_is_terminal(const roan_cli_input *input)
{
    return input->editor != NULL;
}

void roan_cli_input_show_hints(roan_cli_input *input, bool is_on)
{
    if (input->editor != NULL)
        roan_cli_editor_show_hints(input->editor, is_on);
}

void roan_cli_input_remember(roan_cli_input *input, const char *line)
{
    int fd;

    if (input->editor == NULL || line[0] == '\0')
        return;
    if (input->last_remembered != NULL && strcmp(input->last_remembered, line) == 0)
        return;
    free(input->last_remembered);
    input->last_remembered = roan_cli_copy(line);
    roan_cli_editor_remember(input->editor, line);
    if (input->history_path == NULL)
        return;
    fd = open(input->history_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd >= 0) {
        dprintf(fd, "%s\n", line);
        close(fd);
    }
}

/* Moves the next line out of `pending`; false when none is complete. */
static bool take_line(roan_cli_input *input)
{
    char *end = input->pending.bytes == 0
                    ? NULL
                    : memchr(input->pending.data, '\n', input->pending.bytes);
    size_t bytes;

    if (end == NULL && !(input->is_at_end && input->pending.bytes > 0))
        return false;
    bytes = end != NULL ? (size_t)(end - input->pending.data) : input->pending.bytes;
    roan_cli_text_clear(&input->line);
    roan_cli_text_append(&input->line, input->pending.data, bytes);
    bytes += end != NULL;
    input->pending.bytes -= bytes;
    memmove(input->pending.data, input->pending.data + bytes, input->pending.bytes);
    return true;
}

static roan_cli_input_result read_plain(roan_cli_input *input, const char **ret_line)
{
    while (!take_line(input)) {
        char buffer[READ_BYTES];
        ssize_t bytes;
        if (input->is_at_end)
            return ROAN_CLI_INPUT_END;
        bytes = read(STDIN_FILENO, buffer, sizeof buffer);
        if (bytes > 0)
            roan_cli_text_append(&input->pending, buffer, (size_t)bytes);
        else if (bytes == 0 || errno != EINTR)
            input->is_at_end = true;
        else if (roan_cli_interrupt_is_set())
            return ROAN_CLI_INPUT_INTERRUPTED;
    }
    *ret_line = roan_cli_text_string(&input->line);
    return ROAN_CLI_INPUT_LINE;
}

roan_cli_input_result roan_cli_input_read(roan_cli_input *input, const char *prompt,
                                          const char **ret_line)
{
    *ret_line = "";
    if (input->editor == NULL)
        return read_plain(input, ret_line);
    return roan_cli_editor_read(input->editor, prompt, ret_line);
}

bool roan_cli_input_wait(roan_cli_input *input, int fd, bool *ret_input, bool *ret_fd)
{
    struct pollfd entries[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                {.fd = fd, .events = POLLIN}};
    int ready;

    *ret_input = *ret_fd = false;
    if (input->pending.bytes > 0 &&
        memchr(input->pending.data, '\n', input->pending.bytes) != NULL) {
        *ret_input = true;
        return true;
    }
    if (input->editor != NULL)
        roan_cli_editor_set_raw(input->editor, true);
    do
        ready = roan_cli_interrupt_poll(entries, 2, -1);
    while (ready < 0 && errno == EINTR && !roan_cli_interrupt_is_set());
    if (input->editor != NULL)
        roan_cli_editor_set_raw(input->editor, false);
    if (roan_cli_interrupt_is_set())
        return false;
    *ret_input = entries[0].revents != 0;
    *ret_fd = entries[1].revents != 0;
    return true;
}
