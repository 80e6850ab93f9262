/* hiredis/format.h: a printf-like format taken apart into the words of a command. */
#pragma once

#include "hiredis/hiredis.h"

/* Results of redisvFormatCommand() that are no lengths. */
#define ROAN_HIREDIS_FORMAT_NOMEM -1
#define ROAN_HIREDIS_FORMAT_WRONG -2

/* The words of a command: their bytes one after the other, and where each ends. Zero-initialise it. */
typedef struct roan_hiredis_words {
    sds bytes;
    size_t *ends;
    size_t count;
    size_t capacity;
    int is_open; /* bytes behind the last end belong to a word that goes on */
} roan_hiredis_words;

/* 0, or one of the results above. The words must be freed in any case. */
int roan_hiredis_words_read(roan_hiredis_words *words, const char *format, va_list arguments);
void roan_hiredis_words_done(roan_hiredis_words *words);
