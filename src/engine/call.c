/* engine/call.c: what bodies share: error replies, HELP, blocking, argument parsing. */
#include "engine/call.h"

#include "base/macros.h"
#include "engine/stats.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

static void send_error(roan_call *call, roan_slice text)
{
    call->has_failed = true;
    roan_stats_record_error(call->lane->stats, text);
    roan_out_error(call->out, text);
}

void roan_call_error(roan_call *call, const char *text)
{
    send_error(call, roan_slice_from_text(text));
}

/* Long names of keys or groups make long texts; those find room on the heap. */
void roan_call_error_printf(roan_call *call, const char *format, ...)
{
    char text[1024], *long_text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ROAN_ASSERT(length >= 0);
    size_t room = (size_t)length + 1;
    if (ROAN_UNLIKELY(room > sizeof text)) {
        long_text = roan_alloc(room);
        va_start(arguments, format);
        ROAN_IGNORE(vsnprintf(long_text, room, format, arguments)); /* as long as it was before */
        va_end(arguments);
    }
    send_error(call, roan_slice_make(long_text != NULL ? long_text : text, (size_t)length));
    if (ROAN_UNLIKELY(long_text != NULL))
        roan_free(long_text, room);
}

void roan_call_syntax_error(roan_call *call)
{
    roan_call_error(call, "ERR syntax error");
}

void roan_call_arity_error(roan_call *call)
{
    roan_call_error_printf(call, "ERR wrong number of arguments for '%s' command", call->command->name);
}

static void upper_case_name(roan_slice name, char *out, size_t out_bytes)
{
    size_t bytes = ROAN_MIN(name.bytes, out_bytes - 1);
    for (size_t i = 0; i < bytes; i++)
        out[i] = (char)toupper((unsigned char)name.data[i]);
    out[bytes] = '\0';
}

void roan_call_unknown_subcommand(roan_call *call)
{
    char name[64];
    upper_case_name(call->argv[0], name, sizeof name);
    roan_slice sub = call->argv[1];
    roan_call_error_printf(call, "ERR unknown subcommand '%.*s'. Try %s HELP.", (int)ROAN_MIN(sub.bytes, 128u),
                           sub.data, name);
}

void roan_call_help(roan_call *call, const char *const *lines)
{
    char name[64];
    upper_case_name(call->argv[0], name, sizeof name);
    size_t count = 0;
    while (lines[count] != NULL)
        count++;
    char first[160];
    snprintf(first, sizeof first, "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", name);
    roan_out_array(call->out, count + 3);
    roan_out_status(call->out, first);
    for (size_t i = 0; i < count; i++)
        roan_out_status(call->out, lines[i]);
    roan_out_status(call->out, "HELP");
    roan_out_status(call->out, "    Print this help.");
}

void roan_call_block(roan_call *call, int64_t timeout_ms, roan_unblock_fn on_unblock)
{
    int64_t deadline_us = INT64_MAX, timeout_us;
    if (call->may_not_block) {
        on_unblock(call->session, ROAN_UNBLOCK_TIMEOUT);
        return;
    }
    if (timeout_ms > 0 && !__builtin_mul_overflow(timeout_ms, 1000, &timeout_us) &&
        __builtin_add_overflow(call->lane->now_us, timeout_us, &deadline_us))
        deadline_us = INT64_MAX;
    call->is_blocked = true;
    roan_session_block(call->session, deadline_us, on_unblock);
}

bool roan_call_integer(roan_call *call, size_t index, int64_t *ret_value, const char *error)
{
    if (roan_parse_i64(call->argv[index], ret_value))
        return true;
    roan_call_error(call, error != NULL ? error : "ERR value is not an integer or out of range");
    return false;
}

bool roan_call_integer_in(roan_call *call, size_t index, int64_t low, int64_t high, int64_t *ret_value,
                          const char *error)
{
    int64_t value;
    if (error == NULL && low == 0 && high == INT64_MAX)
        error = "ERR value is out of range, must be positive";
    if (!roan_call_integer(call, index, &value, error))
        return false;
    if (value >= low && value <= high) {
        *ret_value = value;
        return true;
    }
    if (error != NULL)
        roan_call_error(call, error);
    else
        roan_call_error_printf(call, "ERR value is out of range, value must between %lld and %lld", (long long)low,
                               (long long)high);
    return false;
}

bool roan_call_double(roan_call *call, size_t index, double *ret_value, const char *error)
{
    if (roan_parse_double(call->argv[index], ret_value))
        return true;
    roan_call_error(call, error != NULL ? error : "ERR value is not a valid float");
    return false;
}
