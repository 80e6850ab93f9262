/* engine/options_rows.h: what the options_*.c files share: short ways to write a row, and the groups they make up.
 *
 *     {.name = "timeout", ROAN_ROW_INTEGER(timeout_s, 0, INT_MAX), .initial = "0",
 *      .text = "Close a connection after so many seconds without a request. 0 keeps idle connections."},
 *
 * A row whose field has another type than the row says does not compile.
 */
#pragma once

#include "engine/config.h"

#include <limits.h>

/* 0, or no compilation when the field is not of that type. */
#define ROAN_ROW_CHECK(field, type)                                                                         \
    (0 * sizeof(struct {                                                                                    \
        _Static_assert(_Generic(((roan_config *)0)->field, type: 1, default: 0), "field of another type"); \
        int unused;                                                                                         \
    }))
#define ROAN_ROW_AT(type_, field, c_type) \
    .type = ROAN_OPTION_##type_, .offset = offsetof(roan_config, field) + ROAN_ROW_CHECK(field, c_type)

#define ROAN_ROW_BOOL(field) ROAN_ROW_AT(BOOL, field, bool)
#define ROAN_ROW_TEXT(field) ROAN_ROW_AT(TEXT, field, char *)
#define ROAN_ROW_BYTES(field) ROAN_ROW_AT(BYTES, field, roan_slice)
#define ROAN_ROW_INTEGER(field, min_, max_) ROAN_ROW_AT(INTEGER, field, int64_t), .min = (min_), .max = (max_)
#define ROAN_ROW_MEMORY(field, min_, max_) ROAN_ROW_AT(MEMORY, field, uint64_t), .min = (min_), .max = (max_)
#define ROAN_ROW_ENUM(field, choices_) ROAN_ROW_AT(ENUM, field, int64_t), .choices = (choices_)
#define ROAN_ROW_SPECIAL(field, parse_, format_) \
    .type = ROAN_OPTION_SPECIAL, .offset = offsetof(roan_config, field), .parse = (parse_), .format = (format_)

/* Features that are not there: these rows have no field. */
#define ROAN_ROW_FIXED_BOOL(flags_, feature) \
    .type = ROAN_OPTION_BOOL, .flags = (flags_) | ROAN_OPTION_FIXED, .needs = (feature)

extern const roan_option_group roan_options_network, roan_options_general, roan_options_log, roan_options_access,
    roan_options_memory, roan_options_admin, roan_options_types, roan_options_persistence, roan_options_replication,
    roan_options_cluster;

#define ROAN_OPTION_GROUP(title_, text_, rows) \
    {.title = (title_), .text = (text_), .options = (rows), .count = (unsigned)ROAN_COUNT_OF(rows)}

/* Options with a syntax of their own: options_special.c. */
#define ROAN_ROW_PARSE(name)                                                                              \
    roan_status name(roan_config *config, const roan_option *option, bool at_start, size_t argc,          \
                     const roan_slice *argv, roan_error *reterr)
#define ROAN_ROW_FORMAT(name) void name(const roan_config *config, const roan_option *option, roan_buffer *ret_text)

ROAN_ROW_FORMAT(roan_option_format_words);
ROAN_ROW_PARSE(roan_option_parse_bind);
ROAN_ROW_PARSE(roan_option_parse_save);
ROAN_ROW_PARSE(roan_option_parse_percentiles);
ROAN_ROW_PARSE(roan_option_parse_output_limits);
ROAN_ROW_FORMAT(roan_option_format_output_limits);
bool roan_option_line_output_limits(const roan_config *config, unsigned line, roan_buffer *ret_text);
ROAN_ROW_PARSE(roan_option_parse_oom_values);
ROAN_ROW_FORMAT(roan_option_format_oom_values);
ROAN_ROW_PARSE(roan_option_parse_events);
ROAN_ROW_FORMAT(roan_option_format_events);
ROAN_ROW_PARSE(roan_option_parse_user);
bool roan_option_line_user(const roan_config *config, unsigned line, roan_buffer *ret_text);
ROAN_ROW_PARSE(roan_option_parse_replicaof);
ROAN_ROW_FORMAT(roan_option_format_nothing);

/* Checks of values the type allows. */
#define ROAN_ROW_REFUSE(name) \
    roan_status name(const roan_option *option, roan_slice text, int64_t number, roan_error *reterr)

ROAN_ROW_REFUSE(roan_option_check_file_name);   /* not empty, no path */
ROAN_ROW_REFUSE(roan_option_check_dir_name);
ROAN_ROW_REFUSE(roan_option_check_not_empty);
ROAN_ROW_REFUSE(roan_option_check_title);
ROAN_ROW_REFUSE(roan_option_check_shutdown);
ROAN_ROW_REFUSE(roan_option_check_ipv4);
ROAN_ROW_REFUSE(roan_option_check_ipv6);
ROAN_ROW_REFUSE(roan_option_check_hostname);
ROAN_ROW_REFUSE(roan_option_check_printable);   /* names that travel on the cluster bus */
