/* cli/text.h: growing text and memory for a program that has nothing better to do than end when
 * memory runs out. */
#pragma once

#include "roan/base.h"

#include <stdbool.h>
#include <stdio.h>

/* Zero-initialise; end with roan_cli_text_done. `data` is NULL while nothing was added. */
typedef struct roan_cli_text {
    char *data;
    size_t bytes;
    size_t capacity;
} roan_cli_text;

void roan_cli_text_append(roan_cli_text *text, const char *data, size_t bytes);
void roan_cli_text_put(roan_cli_text *text, const char *string);
void roan_cli_text_put_slice(roan_cli_text *text, roan_slice slice);
void roan_cli_text_put_char(roan_cli_text *text, char c);
void roan_cli_text_put_spaces(roan_cli_text *text, size_t count);
void roan_cli_text_printf(roan_cli_text *text, const char *format, ...) ROAN_PRINTF(2, 3);

/* Appends "bytes" in double quotes with everything but printable ASCII escaped, as the server's
 * logs do. */
void roan_cli_text_quote(roan_cli_text *text, roan_slice bytes);

/* The text as a NUL-terminated string, "" when empty; valid until the next change. */
const char *roan_cli_text_string(roan_cli_text *text);

/* Empties the text and keeps its memory. */
void roan_cli_text_clear(roan_cli_text *text);
void roan_cli_text_done(roan_cli_text *text);

/* Writes the text to a stream. */
void roan_cli_text_write(const roan_cli_text *text, FILE *stream);

/* Hands over what was printed to stdout; ends the program when nobody reads it any more. */
void roan_cli_flush(void);

/* Memory that is always there: the program ends with a message otherwise. */
void *roan_cli_alloc(size_t bytes);
void *roan_cli_realloc(void *memory, size_t bytes);
char *roan_cli_copy(const char *string);
char *roan_cli_copy_slice(roan_slice slice);

/* True when `slice` is `word`, whatever the case of its ASCII letters. */
bool roan_cli_is_word(roan_slice slice, const char *word);

/* A size the way people read it: 512B, 1.50K, 20.12M, 3.00G. Returns `out`. */
const char *roan_cli_human_size(uint64_t bytes, char *out, size_t out_bytes);
