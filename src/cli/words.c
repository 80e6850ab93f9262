/* cli/words.c: splits what a person typed into the words of a command.
 *
 * One block holds the bytes of all words: unquoting never makes a word longer than what was typed.
 *
 *   PLAIN --"--> DOUBLE --"--> end of word      \ starts an escape in DOUBLE
 *   PLAIN --'--> SINGLE --'--> end of word      \' is the only escape in SINGLE
 *   PLAIN --space or end--> end of word
 *
 * A quote may open in the middle of a word, but after a closing one the word must end.
 */
#include "cli/words.h"

#include "cli/text.h"

#include <ctype.h>
#include <stdlib.h>

void roan_cli_words_add(roan_cli_words *words, roan_slice word)
{
    if (words->count == words->capacity) {
        words->capacity = words->capacity == 0 ? 8 : words->capacity * 2;
        words->items = roan_cli_realloc(words->items, words->capacity * sizeof *words->items);
    }
    words->items[words->count++] = word;
}

void roan_cli_words_done(roan_cli_words *words)
{
    free(words->items);
    free(words->bytes);
    *words = (roan_cli_words){0};
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads the escape behind a backslash at *at; moves behind it. */
static char take_escape(const char **at)
{
    static const char letters[] = "nrtba";
    static const char bytes[] = "\n\r\t\b\a";
    const char *p = *at;
    const char *found;

    if (p[0] == 'x' && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0) {
        *at += 3;
        return (char)(hex_digit(p[1]) * 16 + hex_digit(p[2]));
    }
    *at += 1;
    found = strchr(letters, p[0]);
    return found != NULL ? bytes[found - letters] : p[0];
}

/* Reads up to the closing quote; *at is behind the opening one. False when the quoting is wrong. */
static bool take_quoted(const char **at, char quote, char **out)
{
    const char *p = *at;

    while (*p != quote) {
        if (*p == '\0')
            return false;
        if (quote == '"' && p[0] == '\\' && p[1] != '\0') {
            p++;
            *(*out)++ = take_escape(&p);
        } else if (quote == '\'' && p[0] == '\\' && p[1] == '\'') {
            *(*out)++ = '\'';
            p += 2;
        } else {
            *(*out)++ = *p++;
        }
    }
    p++;
    *at = p;
    return *p == '\0' || isspace((unsigned char)*p);
}

/* Reads the word at *at, which is not a space. */
static bool take_word(const char **at, char **out)
{
    const char *p = *at;
    bool is_good = true;

    while (*p != '\0' && !isspace((unsigned char)*p)) {
        if (*p == '"' || *p == '\'') {
            char quote = *p++;
            is_good = take_quoted(&p, quote, out);
            break;
        }
        *(*out)++ = *p++;
    }
    *at = p;
    return is_good;
}

bool roan_cli_words_split(const char *line, roan_cli_words *ret_words)
{
    roan_cli_words words = {0};
    char *out;

    words.bytes = roan_cli_alloc(strlen(line) + 1);
    out = words.bytes;
    for (;;) {
        char *start = out;
        while (isspace((unsigned char)*line))
            line++;
        if (*line == '\0')
            break;
        if (!take_word(&line, &out)) {
            roan_cli_words_done(&words);
            return false;
        }
        roan_cli_words_add(&words, roan_slice_make(start, (size_t)(out - start)));
    }
    *ret_words = words;
    return true;
}

bool roan_cli_unquote(const char *text, roan_slice *ret_word)
{
    roan_cli_words words;
    bool is_one;

    if (!roan_cli_words_split(text, &words))
        return false;
    is_one = words.count == 1;
    if (is_one)
        *ret_word = roan_slice_make(roan_cli_copy_slice(words.items[0]), words.items[0].bytes);
    roan_cli_words_done(&words);
    return is_one;
}
