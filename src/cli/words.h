/* cli/words.h: a command line as a list of words, with the quoting rules people know from
 * redis-cli. */
#pragma once

#include "roan/base.h"

#include <stdbool.h>

/* Words and the memory they point into. Zero-initialise; end with roan_cli_words_done. */
typedef struct roan_cli_words {
    roan_slice *items;
    size_t count;
    size_t capacity;
    char *bytes;
} roan_cli_words;

/* Splits `line` at white space. "double quotes" know \n \r \t \b \a \xHH and \ before any other
 * byte; 'single quotes' know \' only; a closing quote must end its word. False when quotes do not
 * match. */
bool roan_cli_words_split(const char *line, roan_cli_words *ret_words);

/* Adds a word that the list does not own. */
void roan_cli_words_add(roan_cli_words *words, roan_slice word);
void roan_cli_words_done(roan_cli_words *words);

/* Reads one word in quotes; false when `text` is not exactly one. The caller frees ret_word->data.
 * */
bool roan_cli_unquote(const char *text, roan_slice *ret_word);
