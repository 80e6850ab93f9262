/* cli/editor.c: libedit, with hints that it knows nothing about.
 *
 * libedit asks us for every key (EL_GETCFN) after it has brought the screen up to date. That is the
 * moment to draw: when the cursor is at the end of the line, the hint is written behind it in grey,
 * the cursor goes back by the hint's width, and before the key is handed on everything right of the
 * cursor is erased. So libedit never sees a screen that differs from its own idea of it. A hint is
 * cut to what is left of the row; nothing ever wraps or scrolls because of it.
 *
 * Waiting for a key is a poll, so Ctrl-C and a change of the window's size are noticed at once.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* wcwidth */
#endif

#include "cli/editor.h"

#include "cli/complete.h"
#include "cli/hint.h"
#include "cli/interrupt.h"
#include "cli/text.h"

#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define HINT_START "\033[90m"
#define HINT_END "\033[0m"
#define ERASE_RIGHT "\033[K"
#define ERASE_BELOW "\033[J"
#define COLUMNS_DEFAULT 80
#define LISTED_MAX 400 /* completions shown at once */

struct roan_cli_editor {
    EditLine *libedit;
    History *history;
    roan_cli_text prompt;
    roan_cli_text line;
    roan_cli_text hint;
    mbstate_t decoder; /* of a character whose bytes arrive one by one */
    bool erases_echo;
    bool shows_hints;
    bool is_hint_drawn;
    bool is_interrupted;
};

static roan_cli_editor *editor_of(EditLine *libedit)
{
    void *editor = NULL;

    el_get(libedit, EL_CLIENTDATA, &editor);
    return editor;
}

static char *give_prompt(EditLine *libedit)
{
    return (char *)(uintptr_t)roan_cli_text_string(&editor_of(libedit)->prompt);
}

static void on_screen_change(int signal_number)
{
    (void)signal_number; /* its purpose is to end poll() */
}

static size_t terminal_columns(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return COLUMNS_DEFAULT;
    return size.ws_col;
}

/* Columns that `bytes` of text take. */
static size_t text_width(const char *text, size_t bytes)
{
    mbstate_t state = {0};
    size_t width = 0;

    while (bytes > 0) {
        wchar_t c;
        size_t used = mbrtowc(&c, text, bytes, &state);
        int columns;
        if (used == (size_t)-1 || used == (size_t)-2 || used == 0)
            return width + bytes;
        columns = wcwidth(c);
        width += columns > 0 ? (size_t)columns : 0;
        text += used;
        bytes -= used;
    }
    return width;
}

/* Takes over what is in libedit's line; false when the cursor is not at its end. */
static bool copy_line(roan_cli_editor *editor)
{
    const LineInfo *info = el_line(editor->libedit);

    roan_cli_text_clear(&editor->line);
    roan_cli_text_append(&editor->line, info->buffer, (size_t)(info->lastchar - info->buffer));
    return info->cursor == info->lastchar;
}

static void draw_hint(roan_cli_editor *editor)
{
    size_t columns = terminal_columns();
    size_t column;
    size_t room;

    if (!editor->shows_hints || !copy_line(editor) || editor->line.bytes == 0)
        return;
    roan_cli_text_clear(&editor->hint);
    roan_cli_hint(roan_cli_text_string(&editor->line), &editor->hint);
    column = text_width(editor->prompt.data, editor->prompt.bytes) +
             text_width(editor->line.data, editor->line.bytes);
    column %= columns;
    /* In the first column libedit may still stand behind the last one of the row above. */
    if (editor->hint.bytes == 0 || column == 0 || columns - column < 3)
        return;
    room = columns - column - 1;
    printf(HINT_START);
    if (editor->line.data[editor->line.bytes - 1] != ' ') {
        putchar(' ');
        room--;
    }
    if (editor->hint.bytes < room)
        room = editor->hint.bytes;
    printf("%.*s" HINT_END "\033[%zuD", (int)room, editor->hint.data,
           room + (editor->line.data[editor->line.bytes - 1] != ' '));
    fflush(stdout);
    editor->is_hint_drawn = true;
}

static void erase_hint(roan_cli_editor *editor)
{
    if (!editor->is_hint_drawn)
        return;
    printf(ERASE_RIGHT);
    fflush(stdout);
    editor->is_hint_drawn = false;
}

/* The window has another size, and the terminal has wrapped our line anew; or we were stopped, and
 * others have used it. Erase the line from its first row on and let libedit, which forgets the
 * screen when it is resized, draw it again. */
static void draw_again(roan_cli_editor *editor)
{
    const LineInfo *info = el_line(editor->libedit);
    size_t width = text_width(editor->prompt.data, editor->prompt.bytes) +
                   text_width(info->buffer, (size_t)(info->cursor - info->buffer));
    size_t rows_above = width / terminal_columns();

    putchar('\r');
    if (rows_above > 0)
        printf("\033[%zuA", rows_above);
    fputs(ERASE_BELOW, stdout);
    fflush(stdout);
    editor->is_hint_drawn = false;
    roan_cli_editor_set_raw(editor, false);
    roan_cli_editor_set_raw(editor, true);
    el_resize(editor->libedit);
    el_set(editor->libedit, EL_REFRESH);
}

/* True when more is typed or pasted already: drawing can wait for the last of it. */
static bool has_pending_input(void)
{
    struct pollfd entry = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&entry, 1, 0) > 0;
}

/* Waits for a byte of input. 1: there is one, 0: end of input, -1: Ctrl-C. */
static int read_byte(roan_cli_editor *editor, char *ret_byte)
{
    for (;;) {
        struct pollfd entry = {.fd = STDIN_FILENO, .events = POLLIN};
        ssize_t bytes;
        if (roan_cli_interrupt_is_set()) {
            editor->is_interrupted = true;
            return -1;
        }
        if (roan_cli_interrupt_poll(&entry, 1, -1) < 0) {
            if (errno != EINTR)
                return 0;
            if (!roan_cli_interrupt_is_set())
                draw_again(editor);
            continue;
        }
        bytes = read(STDIN_FILENO, ret_byte, 1);
        if (bytes >= 0)
            return (int)bytes;
        if (errno != EINTR)
            return 0;
    }
}

/* EL_GETCFN: the next character. */
static int read_character(EditLine *libedit, wchar_t *ret_character)
{
    roan_cli_editor *editor = editor_of(libedit);
    int result;

    if (!has_pending_input())
        draw_hint(editor);
    for (;;) {
        char byte;
        size_t used;
        result = read_byte(editor, &byte);
        if (result <= 0)
            break;
        used = mbrtowc(ret_character, &byte, 1, &editor->decoder);
        if (used == (size_t)-2)
            continue;
        if (used == (size_t)-1) {
            memset(&editor->decoder, 0, sizeof editor->decoder);
            *ret_character = (wchar_t)(unsigned char)byte;
        }
        break;
    }
    erase_hint(editor);
    return result;
}

/* Lists candidates below the line, in columns. */
static void list_candidates(const roan_cli_candidates *list)
{
    size_t width = 2;
    size_t per_row;
    size_t shown = list->count < LISTED_MAX ? list->count : LISTED_MAX;

    for (size_t i = 0; i < shown; i++)
        if (strlen(list->items[i]) + 2 > width)
            width = strlen(list->items[i]) + 2;
    per_row = terminal_columns() / width;
    if (per_row == 0)
        per_row = 1;
    putchar('\n');
    for (size_t i = 0; i < shown; i++) {
        bool ends_row = (i + 1) % per_row == 0 || i + 1 == shown;
        printf("%-*s%s", ends_row ? 0 : (int)width, list->items[i], ends_row ? "\n" : "");
    }
    if (shown < list->count)
        printf("... and %zu more\n", list->count - shown);
    fflush(stdout);
}

/* What TAB does: complete as far as all candidates agree, then list them. */
static unsigned char complete_line(EditLine *libedit, int character)
{
    roan_cli_editor *editor = editor_of(libedit);
    roan_cli_candidates list;
    unsigned char result = CC_ERROR;
    size_t typed;

    (void)character;
    if (!copy_line(editor))
        return CC_ERROR;
    typed = editor->line.bytes;
    roan_cli_complete(roan_cli_text_string(&editor->line), &list);
    if (list.common_bytes > typed || list.count == 1) {
        if (list.common_bytes > typed) {
            roan_slice rest = {list.items[0] + typed, list.common_bytes - typed};
            char *copy = roan_cli_copy_slice(rest);
            el_insertstr(libedit, copy);
            free(copy);
        }
        if (list.count == 1)
            el_insertstr(libedit, " ");
        result = CC_REFRESH;
    } else if (list.count > 1) {
        list_candidates(&list);
        result = CC_REDISPLAY;
    }
    roan_cli_candidates_done(&list);
    return result;
}

/* libedit reads bytes as the locale says; where it says nothing, they are UTF-8. */
static void set_locale(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static void bind_keys(EditLine *libedit)
{
    static const char *const bindings[][2] = {
        {"^I", "roan-complete"},        {"^R", "em-inc-search-prev"},
        {"\\e[A", "ed-prev-history"},   {"\\e[B", "ed-next-history"},
        {"\\eOA", "ed-prev-history"},   {"\\eOB", "ed-next-history"},
        {"\\e[C", "ed-next-char"},      {"\\e[D", "ed-prev-char"},
        {"\\e[H", "ed-move-to-beg"},    {"\\e[F", "ed-move-to-end"},
        {"\\e[1~", "ed-move-to-beg"},   {"\\e[4~", "ed-move-to-end"},
        {"\\e[3~", "ed-delete-next-char"}, {"\\e[1;5C", "em-next-word"},
        {"\\e[1;5D", "ed-prev-word"},   {"^W", "ed-delete-prev-word"},
        {"^L", "ed-clear-screen"},      {"^T", "ed-transpose-chars"},
    };

    el_wset(libedit, EL_ADDFN, L"roan-complete", L"Complete a command", complete_line);
    for (size_t i = 0; i < sizeof bindings / sizeof bindings[0]; i++)
        el_set(libedit, EL_BIND, bindings[i][0], bindings[i][1], NULL);
}

roan_cli_editor *roan_cli_editor_create(int history_lines_max, bool erases_echo)
{
    roan_cli_editor *editor = roan_cli_alloc(sizeof *editor);
    const char *terminal = getenv("TERM");
    struct sigaction action = {.sa_handler = on_screen_change};
    HistEvent event;

    set_locale();
    editor->erases_echo = erases_echo;
    editor->libedit = el_init("roan cli", stdin, stdout, stderr);
    editor->history = history_init();
    if (editor->libedit == NULL || editor->history == NULL)
        return roan_cli_editor_free(editor);
    history(editor->history, &event, H_SETSIZE, history_lines_max);
    el_set(editor->libedit, EL_CLIENTDATA, editor);
    el_set(editor->libedit, EL_PROMPT, give_prompt);
    el_set(editor->libedit, EL_EDITOR, "emacs");
    el_set(editor->libedit, EL_HIST, history, editor->history);
    el_set(editor->libedit, EL_GETCFN, read_character);
    bind_keys(editor->libedit);
    sigemptyset(&action.sa_mask);
    sigaction(SIGWINCH, &action, NULL);
    sigaction(SIGCONT, &action, NULL);
    editor->shows_hints = terminal != NULL && strcmp(terminal, "dumb") != 0;
    return editor;
}

roan_cli_editor *roan_cli_editor_free(roan_cli_editor *editor)
{
    if (editor != NULL) {
        if (editor->libedit != NULL)
            el_end(editor->libedit);
        if (editor->history != NULL)
            history_end(editor->history);
        roan_cli_text_done(&editor->prompt);
        roan_cli_text_done(&editor->line);
        roan_cli_text_done(&editor->hint);
        free(editor);
    }
    return NULL;
}

roan_cli_input_result roan_cli_editor_read(roan_cli_editor *editor, const char *prompt,
                                           const char **ret_line)
{
    int bytes = 0;
    const char *line;

    roan_cli_text_clear(&editor->prompt);
    roan_cli_text_put(&editor->prompt, prompt);
    memset(&editor->decoder, 0, sizeof editor->decoder);
    editor->is_interrupted = false;
    roan_cli_interrupt_clear(); /* Ctrl-C that came too late for a command is not meant for us */
    roan_cli_editor_set_raw(editor, true); /* before the prompt invites to type */
    if (editor->erases_echo)
        fputs("\r" ERASE_RIGHT, stdout);
    line = el_gets(editor->libedit, &bytes);
    if (editor->is_interrupted) {
        copy_line(editor);
        *ret_line = roan_cli_text_string(&editor->line);
        putchar('\n');
        return ROAN_CLI_INPUT_INTERRUPTED;
    }
    if (line == NULL || bytes <= 0)
        return ROAN_CLI_INPUT_END;
    roan_cli_text_clear(&editor->line);
    roan_cli_text_append(&editor->line, line, strcspn(line, "\r\n"));
    *ret_line = roan_cli_text_string(&editor->line);
    return ROAN_CLI_INPUT_LINE;
}

void roan_cli_editor_remember(roan_cli_editor *editor, const char *line)
{
    HistEvent event;

    history(editor->history, &event, H_ENTER, line);
}

void roan_cli_editor_show_hints(roan_cli_editor *editor, bool is_on)
{
    editor->shows_hints = is_on;
}

void roan_cli_editor_set_raw(roan_cli_editor *editor, bool is_raw)
{
    el_set(editor->libedit, EL_PREP_TERM, is_raw ? 1 : 0);
}
