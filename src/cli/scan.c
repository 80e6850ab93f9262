/* cli/scan.c: SCAN from cursor to cursor, and questions about the keys it finds.
 *
 * Questions about the keys of one step are sent together and answered together, so a step costs one
 * or two round trips whatever it holds. A key may be gone or be another thing by the time it is
 * asked about: that is told on stderr and counts as size 0. Types this program does not know have
 * no length, and everything else works for them.
 */
#include "cli/scan.h"

#include "cli/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static _Noreturn void fail(const char *what, const char *text, size_t bytes)
{
    roan_cli_flush();
    fprintf(stderr, "%s: %.*s\n", what, (int)bytes, text);
    exit(1);
}

/* The next reply to requests that were queued together. */
static roan_value *must_receive(roan_cli_session *session)
{
    roan_value *value;
    roan_error error;

    if (roan_cli_session_receive(session, &value, &error) != ROAN_OK)
        fail("Error", error.text, strlen(error.text));
    return value;
}

static void must_flush(roan_cli_session *session)
{
    roan_error error;

    if (roan_cli_connection_flush(&session->connection, &error) != ROAN_OK)
        fail("Error", error.text, strlen(error.text));
}

roan_value *roan_cli_scan_next(roan_cli_session *session, roan_cli_scan *scan)
{
    const roan_cli_options *options = session->options;
    roan_slice argv[6] = {ROAN_LITERAL("SCAN")};
    size_t argc = 2;
    char count[32];
    roan_value *value;
    roan_error error;

    if (scan->is_finished)
        return NULL;
    if (!scan->is_started && scan->cursor[0] == '\0')
        snprintf(scan->cursor, sizeof scan->cursor, "0");
    scan->is_started = true;
    argv[1] = roan_slice_from_text(scan->cursor);
    if (options->pattern != NULL) {
        argv[argc++] = ROAN_LITERAL("MATCH");
        argv[argc++] = roan_slice_make(options->pattern, options->pattern_bytes);
    }
    if (options->scan_count != 10) {
        snprintf(count, sizeof count, "%lld", (long long)options->scan_count);
        argv[argc++] = ROAN_LITERAL("COUNT");
        argv[argc++] = roan_slice_from_text(count);
    }
    if (roan_cli_session_call(session, argc, argv, &value, &error) != ROAN_OK)
        fail("Error", error.text, strlen(error.text));
    if (value->type == ROAN_REPLY_ERROR)
        fail("SCAN error", value->text.data, value->text.bytes);
    if (value->type != ROAN_REPLY_ARRAY || value->count != 2 ||
        value->elements[1].type != ROAN_REPLY_ARRAY ||
        value->elements[0].text.bytes >= sizeof scan->cursor)
        fail("SCAN error", "the reply is no cursor with keys", 32);
    snprintf(scan->cursor, sizeof scan->cursor, "%.*s", ROAN_SLICE_ARG(value->elements[0].text));
    scan->is_finished = strcmp(scan->cursor, "0") == 0;
    scan->steps++;
    return value;
}

void roan_cli_scan_pause(const roan_cli_session *session, const roan_cli_scan *scan,
                         uint64_t steps_per_pause)
{
    double seconds = session->options->interval_s;
    struct timespec span = {.tv_sec = (time_t)seconds};

    if (seconds <= 0 || scan->is_finished || scan->steps % steps_per_pause != 0)
        return;
    roan_cli_flush();
    span.tv_nsec = (long)((seconds - (double)span.tv_sec) * 1e9);
    nanosleep(&span, NULL);
}

uint64_t roan_cli_count_keys(roan_cli_session *session)
{
    roan_value *value = roan_cli_session_must_call(session, "DBSIZE", NULL);
    uint64_t keys = value->type == ROAN_REPLY_INTEGER ? (uint64_t)value->integer : 0;

    roan_value_free(value);
    return keys;
}

static roan_cli_type *add_type(roan_cli_type_list *types, roan_slice name, const char *size_command,
                               const char *unit)
{
    roan_cli_type *type = roan_cli_alloc(sizeof *type);

    type->name = roan_cli_copy_slice(name);
    type->size_command = size_command;
    type->unit = unit;
    types->items = roan_cli_realloc(types->items, (types->count + 1) * sizeof *types->items);
    types->items[types->count++] = type;
    return type;
}

void roan_cli_types_init(roan_cli_type_list *types)
{
    static const char *const known[][3] = {
        {"list", "LLEN", "items"},     {"hash", "HLEN", "fields"}, {"stream", "XLEN", "entries"},
        {"string", "STRLEN", "bytes"}, {"set", "SCARD", "members"}, {"zset", "ZCARD", "members"},
    };

    *types = (roan_cli_type_list){0};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        add_type(types, roan_slice_from_text(known[i][0]), known[i][1], known[i][2]);
}

void roan_cli_types_done(roan_cli_type_list *types)
{
    for (size_t i = 0; i < types->count; i++) {
        free(types->items[i]->name);
        free(types->items[i]->biggest_key);
        free(types->items[i]->biggest_memory_key);
        free(types->items[i]);
    }
    free(types->items);
    *types = (roan_cli_type_list){0};
}

roan_cli_type *roan_cli_types_find(roan_cli_type_list *types, roan_slice name)
{
    if (roan_cli_is_word(name, "none"))
        return NULL;
    for (size_t i = 0; i < types->count; i++)
        if (roan_cli_is_word(name, types->items[i]->name))
            return types->items[i];
    return add_type(types, name, NULL, "?");
}

void roan_cli_ask_types(roan_cli_session *session, const roan_value *keys, size_t count,
                        roan_cli_type_list *types, roan_cli_type **ret_types)
{
    for (size_t i = 0; i < count; i++) {
        roan_slice argv[2] = {ROAN_LITERAL("TYPE"), keys[i].text};
        roan_cli_connection_queue(&session->connection, 2, argv);
    }
    must_flush(session);
    for (size_t i = 0; i < count; i++) {
        roan_value *value = must_receive(session);
        if (value->type != ROAN_REPLY_STATUS)
            fail("TYPE error", value->text.data, value->text.bytes);
        ret_types[i] = roan_cli_types_find(types, value->text);
        roan_value_free(value);
    }
}

/* Queues the question about one key; false when there is none for its type. */
static bool queue_size(roan_cli_session *session, roan_slice key, const roan_cli_type *type,
                       bool is_memory)
{
    roan_slice argv[5];
    size_t argc = 0;
    char samples[32];

    if (type == NULL || (!is_memory && type->size_command == NULL))
        return false;
    if (!is_memory) {
        argv[argc++] = roan_slice_from_text(type->size_command);
        argv[argc++] = key;
    } else {
        argv[argc++] = ROAN_LITERAL("MEMORY");
        argv[argc++] = ROAN_LITERAL("USAGE");
        argv[argc++] = key;
        if (session->options->mode_number >= 0) {
            snprintf(samples, sizeof samples, "%lld", (long long)session->options->mode_number);
            argv[argc++] = ROAN_LITERAL("SAMPLES");
            argv[argc++] = roan_slice_from_text(samples);
        }
    }
    roan_cli_connection_queue(&session->connection, argc, argv);
    return true;
}

void roan_cli_ask_sizes(roan_cli_session *session, const roan_value *keys, size_t count,
                        roan_cli_type *const *types, bool is_memory, uint64_t *ret_sizes)
{
    for (size_t i = 0; i < count; i++)
        ret_sizes[i] = queue_size(session, keys[i].text, types[i], is_memory);
    must_flush(session);
    for (size_t i = 0; i < count; i++) {
        roan_value *value;
        if (ret_sizes[i] == 0)
            continue;
        value = must_receive(session);
        ret_sizes[i] = 0;
        if (value->type == ROAN_REPLY_INTEGER)
            ret_sizes[i] = (uint64_t)value->integer;
        else
            fprintf(stderr, "Warning:  %s on '%.*s' failed (may have changed type)\n",
                    is_memory ? "MEMORY USAGE" : types[i]->size_command,
                    ROAN_SLICE_ARG(keys[i].text));
        roan_value_free(value);
    }
}
