/* engine/cmd/scan_options.c: reads the arguments of the SCAN family and frames its replies. */
#include "engine/cmd/scan_options.h"

#include "engine/command_keys.h"

#include <errno.h>
#include <stdlib.h>

static bool parse_type(roan_call *call, size_t index, int *ret_type)
{
    for (int type = 0; type < ROAN_TYPE_COUNT; type++)
        if (roan_call_is(call, index, roan_type_name((roan_type)type))) {
            *ret_type = type;
            return true;
        }
    roan_call_error_printf(call, "ERR unknown type name '%.*s'", ROAN_SLICE_ARG(call->argv[index]));
    return false;
}

/* Strictly decimal as a rule, but what strtoull makes of leading blanks, signs and zeroes is accepted as well. */
static bool parse_cursor(roan_slice text, uint64_t *ret_cursor)
{
    char copy[64];
    int64_t integer;
    if (roan_parse_i64(text, &integer)) {
        *ret_cursor = (uint64_t)integer;
        return integer >= 0;
    }
    if (text.bytes == 0 || text.bytes >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.bytes);
    copy[text.bytes] = '\0';
    char *end;
    errno = 0;
    *ret_cursor = strtoull(copy, &end, 10);
    return errno == 0 && end != copy && end == copy + text.bytes;
}

static bool parse_count(roan_call *call, size_t index, size_t *ret_count)
{
    int64_t count;
    if (!roan_call_integer(call, index, &count, NULL))
        return false;
    if (count < 1) {
        roan_call_syntax_error(call);
        return false;
    }
    *ret_count = (size_t)count;
    return true;
}

/* NOVALUES and NOSCORES, each for one command only. */
static bool parse_without(roan_call *call, bool is_for_it, const char *error, bool *ret_without)
{
    if (!is_for_it) {
        roan_call_error(call, error);
        return false;
    }
    *ret_without = true;
    return true;
}

/* The option at `at`; returns how many words it has, 0 after an error was sent. */
static size_t parse_option(roan_call *call, roan_scan_kind kind, size_t at, roan_scan_options *options)
{
    bool has_value = at + 1 < call->argc;
    if (has_value && roan_call_is(call, at, "COUNT"))
        return parse_count(call, at + 1, &options->count) ? 2 : 0;
    if (has_value && roan_call_is(call, at, "MATCH")) {
        roan_slice pattern = call->argv[at + 1];
        bool takes_all = pattern.bytes == 1 && pattern.data[0] == '*';
        options->pattern = takes_all ? roan_slice_make(NULL, 0) : pattern;
        return 2;
    }
    if (has_value && kind == ROAN_SCAN_KEYS && roan_call_is(call, at, "TYPE"))
        return parse_type(call, at + 1, &options->type) ? 2 : 0;
    if (roan_call_is(call, at, "NOVALUES"))
        return parse_without(call, kind == ROAN_SCAN_HASH, "ERR NOVALUES option can only be used in HSCAN",
                             &options->without_values);
    if (roan_call_is(call, at, "NOSCORES"))
        return parse_without(call, kind == ROAN_SCAN_ZSET, "ERR NOSCORES option can only be used in ZSCAN",
                             &options->without_values);
    roan_call_syntax_error(call);
    return 0;
}

static size_t cursor_index(roan_scan_kind kind)
{
    return kind == ROAN_SCAN_KEYS ? 1 : 2;
}

bool roan_scan_parse_cursor(roan_call *call, roan_scan_kind kind, roan_scan_options *ret_options)
{
    *ret_options = (roan_scan_options){.count = 10, .type = -1};
    if (parse_cursor(call->argv[cursor_index(kind)], &ret_options->cursor))
        return true;
    roan_call_error(call, "ERR invalid cursor");
    return false;
}

bool roan_scan_parse_options(roan_call *call, roan_scan_kind kind, roan_scan_options *options)
{
    for (size_t at = cursor_index(kind) + 1; at < call->argc;) {
        size_t words = parse_option(call, kind, at, options);
        if (words == 0)
            return false;
        at += words;
    }
    return true;
}

bool roan_scan_parse(roan_call *call, roan_scan_kind kind, roan_scan_options *ret_options)
{
    return roan_scan_parse_cursor(call, kind, ret_options) && roan_scan_parse_options(call, kind, ret_options);
}

roan_scan_reply roan_scan_reply_open(roan_call *call)
{
    roan_scan_reply reply;
    roan_out_array(call->out, 2);
    reply.cursor = roan_out_open(call->out);
    reply.elements = roan_out_open(call->out);
    return reply;
}

void roan_scan_reply_close(roan_call *call, roan_scan_reply reply, uint64_t cursor, size_t count)
{
    char text[ROAN_I64_TEXT_MAX];
    roan_out_close_bulk(call->out, reply.cursor, roan_slice_make(text, roan_format_u64(text, cursor)));
    roan_out_close_array(call->out, reply.elements, count);
}
