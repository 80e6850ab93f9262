/* engine/config_file.h: the syntax of redis.conf: text in, values out, and text again.
 *
 *     # comment
 *     option word "quoted word" 'another one'        option names in any case
 *     include conf.d/[a-z].conf                      handed to the loader's include function
 *
 * Nothing here touches a file: the text comes from the caller, and what CONFIG REWRITE would write is returned.
 */
#pragma once

#include "engine/config.h"

#define ROAN_CONFIG_INCLUDE_DEPTH_MAX 16

/* The words of a line, without their quotes. Zero-initialise it; free with roan_config_words_done. */
typedef struct roan_config_words {
    roan_slice *items; /* point into `bytes` */
    size_t count, capacity;
    roan_buffer bytes;
} roan_config_words;

/* Splits a line at blanks, as redis-cli and redis.conf do: "a\x00\n" and 'a\'b' are quoted words. False: a quote is not
 * closed, or a closing one is not followed by a blank. */
bool roan_config_split(roan_slice line, roan_config_words *words);
void roan_config_words_done(roan_config_words *words);

typedef struct roan_config_loader roan_config_loader;
struct roan_config_loader {
    roan_config *config;
    void *context;

    /* Loads the files that the pattern of an include line means, with roan_config_load. NULL: include is an error. */
    roan_status (*include)(roan_config_loader *loader, roan_slice pattern, roan_error *reterr);

    /* Called after each option that was set, so that what cannot work (a directory that is not there) is reported with
     * its line. May be NULL. */
    roan_status (*on_set)(roan_config_loader *loader, const roan_option *option, roan_error *reterr);

    unsigned depth; /* of include */
};

/* Reads a whole configuration. `source` is its name in errors: "redis.conf line 12: 'maxmemmory 1gb': unknown option;
 * did you mean 'maxmemory'?" Stops at the first error; the lines before it are in effect. */
roan_status roan_config_load(roan_config_loader *loader, const char *source, roan_slice text,
                             roan_error *reterr) ROAN_MUST_CHECK;

/* One directive, already in words (words[0] is its name), from a place that has no lines: flags, the environment. */
roan_status roan_config_load_words(roan_config_loader *loader, size_t count, const roan_slice *words,
                                   roan_error *reterr) ROAN_MUST_CHECK;

/* The new text of a configuration file whose old text is given (or "" for none). A line whose option still has that
 * value stays as it is, byte for byte, as do comments and includes. Other lines are replaced in place, or go when there
 * are more of them than needed. Options that are in no line and differ from the default are added at the end, all of
 * them when is_full. Lines nobody understands become comments. */
void roan_config_rewrite(const roan_config *config, roan_slice old_text, bool is_full, roan_buffer *ret_text);

/* The commented sample file, and the reference in Markdown. */
void roan_config_print_sample(roan_buffer *ret_text);
void roan_config_print_reference(roan_buffer *ret_text);

/* What one option is for, in a few lines for a terminal. */
void roan_config_print_option(const roan_option *option, roan_buffer *ret_text);
