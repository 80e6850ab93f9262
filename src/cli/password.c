/* cli/password.c: a password typed at the terminal, shown as one '*' per character.
 *
 * The terminal's echo is off while the person types and back on whatever happens: Ctrl-C and Ctrl-D
 * arrive as bytes and end the question. Backspace takes one byte back, Ctrl-U all of them.
 */
#include "cli/password.h"

#include "cli/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#define CTRL_C 3
#define CTRL_D 4
#define CTRL_U 21
#define BACKSPACE 8
#define DELETE 127

static void erase_star(roan_cli_text *typed)
{
    if (typed->bytes > 0) {
        typed->bytes--;
        fputs("\b \b", stderr);
    }
}

/* Reads up to the end of the line; false when the person gives up. */
static bool read_stars(roan_cli_text *typed)
{
    for (;;) {
        char c;
        if (read(STDIN_FILENO, &c, 1) != 1 || c == CTRL_C || c == CTRL_D)
            return false;
        if (c == '\r' || c == '\n')
            return true;
        if (c == BACKSPACE || c == DELETE) {
            erase_star(typed);
        } else if (c == CTRL_U) {
            while (typed->bytes > 0)
                erase_star(typed);
        } else {
            roan_cli_text_put_char(typed, c);
            fputc('*', stderr);
        }
        fflush(stderr);
    }
}

bool roan_cli_ask_password(char **password)
{
    roan_cli_text typed = {0};
    struct termios before;
    struct termios quiet;
    bool is_good;

    if (tcgetattr(STDIN_FILENO, &before) != 0) {
        char *line = NULL;
        size_t capacity = 0;
        is_good = getline(&line, &capacity, stdin) >= 0;
        if (is_good)
            roan_cli_text_append(&typed, line, strcspn(line, "\r\n"));
        free(line);
    } else {
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet); /* before the question invites to type */
        fputs("Please input password: ", stderr);
        is_good = read_stars(&typed);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (is_good) {
        free(*password);
        *password = roan_cli_copy(roan_cli_text_string(&typed));
    }
    roan_cli_text_done(&typed);
    return is_good;
}
