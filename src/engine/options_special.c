/* engine/options_special.c: options with a syntax of their own.
 *
 *     bind 127.0.0.1 -::1                          save 900 1 300 10
 *     client-output-buffer-limit CLASS HARD SOFT SECONDS ...      latency-tracking-info-percentiles 50 99 99.9
 *     notify-keyspace-events KEg$                  oom-score-adj-values 0 200 800
 *
 * Each parse function reads all words before it stores anything. What is kept as text is kept in canonical form, so
 * that two ways to write the same value compare equal. No words at all (the empty text) mean an empty list.
 */
#include "base/number.h"
#include "engine/options_rows.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_TEXT_MAX 32

static char **text_field(roan_config *config, const roan_option *option)
{
    return (char **)(void *)((char *)config + option->offset);
}

/* A decimal number as strtoll reads it: a sign and leading zeroes are fine, blanks and overflow are not. */
static bool parse_decimal(roan_slice text, int64_t *ret_value)
{
    char copy[NUMBER_TEXT_MAX], *end;
    if (text.bytes == 0 || text.bytes >= sizeof copy || text.data[0] == ' ' || text.data[0] == '\t')
        return false;
    memcpy(copy, text.data, text.bytes);
    copy[text.bytes] = '\0';
    errno = 0;
    *ret_value = strtoll(copy, &end, 10);
    return errno == 0 && *end == '\0';
}

static void join_words(size_t argc, const roan_slice *argv, roan_buffer *ret_text)
{
    for (size_t i = 0; i < argc; i++) {
        if (i > 0)
            roan_buffer_append_char(ret_text, ' ');
        roan_buffer_append_slice(ret_text, argv[i]);
    }
}

/* --- lists kept as text ------------------------------------------------------------------------------------------- */

ROAN_ROW_FORMAT(roan_option_format_words)
{
    roan_buffer_append_text(ret_text, *(char *const *)(const void *)((const char *)config + option->offset));
}

ROAN_ROW_PARSE(roan_option_parse_bind)
{
    (void)at_start;
    if (argc > ROAN_BIND_ADDRESSES_MAX)
        return roan_error_set(reterr, ROAN_E_INVALID, "Too many bind addresses specified.");
    if (argc == 1 && argv[0].bytes == 0)
        argc = 0;
    roan_buffer text = {0};
    join_words(argc, argv, &text);
    roan_config_set_string(text_field(config, option), roan_buffer_slice(&text));
    roan_buffer_done(&text);
    return ROAN_OK;
}

ROAN_ROW_PARSE(roan_option_parse_save)
{
    if (argc == 1 && argv[0].bytes == 0)
        argc = 0;
    roan_buffer text = {0};
    char **field = text_field(config, option);
    bool adds = at_start && !config->save_is_default && argc > 0;
    if (adds)
        roan_buffer_append_text(&text, *field);
    for (size_t i = 0; i < argc; i += 2) {
        int64_t seconds, changes;
        if (argc % 2 != 0 || !parse_decimal(argv[i], &seconds) || !parse_decimal(argv[i + 1], &changes) ||
            seconds < 1 || changes < 0 || changes > INT_MAX) {
            roan_buffer_done(&text);
            return roan_error_set(reterr, ROAN_E_INVALID, "Invalid save parameters");
        }
        roan_buffer_printf(&text, "%s%lld %lld", text.bytes > 0 ? " " : "", (long long)seconds, (long long)changes);
    }
    if (at_start)
        config->save_is_default = false;
    roan_config_set_string(field, roan_buffer_slice(&text));
    roan_buffer_done(&text);
    return ROAN_OK;
}

ROAN_ROW_PARSE(roan_option_parse_percentiles)
{
    (void)at_start;
    roan_buffer text = {0};
    roan_status status = ROAN_OK;
    if (argc == 1 && argv[0].bytes == 0)
        argc = 0;
    if (argc > ROAN_PERCENTILES_MAX)
        return roan_error_set(reterr, ROAN_E_INVALID, "at most %d percentiles", ROAN_PERCENTILES_MAX);
    for (size_t i = 0; i < argc && status == ROAN_OK; i++) {
        double percent;
        if (!roan_parse_double(argv[i], &percent)) {
            status = roan_error_set(reterr, ROAN_E_INVALID, "Invalid latency-tracking-info-percentiles parameters");
        } else if (percent < 0 || percent > 100) {
            status = roan_error_set(reterr, ROAN_E_INVALID,
                                    "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
        } else {
            roan_buffer_printf(&text, "%s%f", i > 0 ? " " : "", fabs(percent)); /* -0 becomes 0 */
            while (text.data[text.bytes - 1] == '0')
                text.bytes--;
            if (text.data[text.bytes - 1] == '.')
                text.bytes--;
        }
    }
    if (status == ROAN_OK)
        roan_config_set_string(text_field(config, option), roan_buffer_slice(&text));
    roan_buffer_done(&text);
    return status;
}

/* --- client-output-buffer-limit ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;      /* in CONFIG GET, where clients expect the old word */
    const char *file_name;
} client_classes[ROAN_CLIENT_CLASS_COUNT] = {
    [ROAN_CLIENT_NORMAL] = {"normal", "normal"},
    [ROAN_CLIENT_REPLICA] = {"slave", "replica"},
    [ROAN_CLIENT_PUBSUB] = {"pubsub", "pubsub"},
};

static bool find_client_class(roan_slice name, unsigned *ret_class)
{
    for (unsigned i = 0; i < ROAN_CLIENT_CLASS_COUNT; i++)
        if (roan_slice_is(name, client_classes[i].name) || roan_slice_is(name, client_classes[i].file_name)) {
            *ret_class = i;
            return true;
        }
    return false;
}

ROAN_ROW_PARSE(roan_option_parse_output_limits)
{
    (void)option, (void)at_start;
    roan_output_limit limits[ROAN_CLIENT_CLASS_COUNT];
    memcpy(limits, config->output_limits, sizeof limits);
    if (argc % 4 != 0)
        return roan_error_set(reterr, ROAN_E_INVALID, "Wrong number of arguments in buffer limit configuration.");
    for (size_t i = 0; i < argc; i += 4) {
        unsigned class;
        roan_output_limit limit;
        if (!find_client_class(argv[i], &class))
            return roan_error_set(reterr, ROAN_E_INVALID,
                                  "Invalid client class specified in buffer limit configuration.");
        if (!roan_parse_memory(argv[i + 1], &limit.hard_bytes) || !roan_parse_memory(argv[i + 2], &limit.soft_bytes) ||
            !parse_decimal(argv[i + 3], &limit.soft_seconds) || limit.soft_seconds < 0)
            return roan_error_set(reterr, ROAN_E_INVALID,
                                  "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
        limits[class] = limit;
    }
    memcpy(config->output_limits, limits, sizeof limits);
    return ROAN_OK;
}

ROAN_ROW_FORMAT(roan_option_format_output_limits)
{
    (void)option;
    for (unsigned i = 0; i < ROAN_CLIENT_CLASS_COUNT; i++) {
        const roan_output_limit *limit = &config->output_limits[i];
        roan_buffer_printf(ret_text, "%s%s %llu %llu %lld", i > 0 ? " " : "", client_classes[i].name,
                           (unsigned long long)limit->hard_bytes, (unsigned long long)limit->soft_bytes,
                           (long long)limit->soft_seconds);
    }
}

/* One class a line, as every version of the reference reads it. */
bool roan_option_line_output_limits(const roan_config *config, unsigned line, roan_buffer *ret_text)
{
    if (line >= ROAN_CLIENT_CLASS_COUNT)
        return false;
    const roan_output_limit *limit = &config->output_limits[line];
    roan_buffer_append_text(ret_text, client_classes[line].file_name);
    roan_buffer_append_char(ret_text, ' ');
    roan_format_memory(limit->hard_bytes, ret_text);
    roan_buffer_append_char(ret_text, ' ');
    roan_format_memory(limit->soft_bytes, ret_text);
    roan_buffer_printf(ret_text, " %lld", (long long)limit->soft_seconds);
    return true;
}

/* --- numbers and letters ------------------------------------------------------------------------------------------ */

ROAN_ROW_PARSE(roan_option_parse_oom_values)
{
    (void)option, (void)at_start;
    int64_t values[ROAN_COUNT_OF(config->oom_score_adj_values)];
    if (argc != ROAN_COUNT_OF(values))
        return roan_error_set(reterr, ROAN_E_INVALID, "wrong number of arguments");
    for (size_t i = 0; i < argc; i++)
        if (!parse_decimal(argv[i], &values[i]) || values[i] < -2000 || values[i] > 2000)
            return roan_error_set(reterr, ROAN_E_INVALID,
                                  "Invalid oom-score-adj-values, elements must be between -2000 and 2000.");
    memcpy(config->oom_score_adj_values, values, sizeof values);
    return ROAN_OK;
}

ROAN_ROW_FORMAT(roan_option_format_oom_values)
{
    (void)option;
    const int64_t *values = config->oom_score_adj_values;
    roan_buffer_printf(ret_text, "%lld %lld %lld", (long long)values[0], (long long)values[1], (long long)values[2]);
}

static const char event_letters[] = {
#define EVENT_LETTER(name, letter) letter,
    ROAN_EVENT_LIST(EVENT_LETTER)
#undef EVENT_LETTER
};
_Static_assert(ROAN_COUNT_OF(event_letters) == ROAN_EVENT_COUNT, "one letter each");

ROAN_ROW_PARSE(roan_option_parse_events)
{
    (void)option, (void)at_start;
    int64_t events = 0;
    ROAN_ASSERT(argc == 1);
    for (size_t i = 0; i < argv[0].bytes; i++) {
        const char *found = memchr(event_letters, argv[0].data[i], sizeof event_letters);
        if (argv[0].data[i] == 'A')
            events |= ROAN_EVENT_ALL;
        else if (found != NULL)
            events |= INT64_C(1) << (found - event_letters);
        else
            return roan_error_set(reterr, ROAN_E_INVALID,
                                  "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
    }
    config->notify_keyspace_events = events;
    return ROAN_OK;
}

/* The reference leaves out n behind A, and so forgets it in CONFIG REWRITE; we do not. */
ROAN_ROW_FORMAT(roan_option_format_events)
{
    (void)option;
    int64_t events = config->notify_keyspace_events;
    if ((events & ROAN_EVENT_ALL) == ROAN_EVENT_ALL) {
        roan_buffer_append_char(ret_text, 'A');
        events &= ~(int64_t)ROAN_EVENT_ALL;
    }
    for (unsigned bit = 0; bit < ROAN_EVENT_COUNT; bit++)
        if ((events >> bit & 1) != 0)
            roan_buffer_append_char(ret_text, event_letters[bit]);
}

/* Only "no one" until there is replication. */
ROAN_ROW_PARSE(roan_option_parse_replicaof)
{
    (void)config, (void)at_start;
    bool is_nobody = argc == 0 || (argc == 1 && argv[0].bytes == 0) ||
                     (argc == 2 && roan_slice_is(argv[0], "no") && roan_slice_is(argv[1], "one"));
    int64_t port;
    if (is_nobody)
        return ROAN_OK;
    if (argc != 2)
        return roan_error_set(reterr, ROAN_E_INVALID, "wrong number of arguments");
    if (!parse_decimal(argv[1], &port) || port < 0 || port > 65535)
        return roan_error_set(reterr, ROAN_E_INVALID, "Invalid primary port");
    return roan_error_set(reterr, ROAN_E_UNSUPPORTED, "not available in this version: there is no %s yet",
                          option->needs);
}

ROAN_ROW_FORMAT(roan_option_format_nothing)
{
    (void)config, (void)option, (void)ret_text;
}
