/* hiredis/async_command.c: commands of an asynchronous context: what they are, and into the queue with them.
 *
 * Each command is one entry of the queue, in the order of sending, SUBSCRIBE and its like too: so an error in place of
 * their confirmations finds the right callback, and the replies behind it theirs. The role is read from the command as
 * it is sent; bytes that are no command (the program may send any) are taken for a plain one.
 */
#include "hiredis/async_internal.h"

#include <string.h>
#include <strings.h>

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* "Xn CRLF" at the cursor. */
static bool read_head(roan_hiredis_cursor *cursor, char type, size_t *ret_value)
{
    const char *at = cursor->at;
    size_t value = 0;

    if (at == cursor->end || *at++ != type)
        return false;
    for (; at < cursor->end && *at >= '0' && *at <= '9'; at++) {
        if (value > SIZE_MAX / 16)
            return false;
        value = value * 10 + (size_t)(*at - '0');
    }
    if (cursor->end - at < 2 || at[0] != '\r' || at[1] != '\n')
        return false;
    cursor->at = at + 2;
    *ret_value = value;
    return true;
}

bool roan_hiredis_cursor_start(roan_hiredis_cursor *cursor, const char *command, size_t bytes)
{
    size_t words;

    *cursor = (roan_hiredis_cursor){.at = command, .end = command + bytes};
    return read_head(cursor, '*', &words) && words > 0;
}

bool roan_hiredis_cursor_next(roan_hiredis_cursor *cursor, const char **ret_word, size_t *ret_bytes)
{
    size_t bytes;

    if (!read_head(cursor, '$', &bytes) || (size_t)(cursor->end - cursor->at) < bytes)
        return false;
    *ret_word = cursor->at;
    *ret_bytes = bytes;
    cursor->at += bytes;
    cursor->at += cursor->end - cursor->at < 2 ? cursor->end - cursor->at : 2;
    return true;
}

/* ---- roles ------------------------------------------------------------------------------------------------------- */

typedef struct role_row {
    const char *name;
    roan_hiredis_role role;
    roan_hiredis_kind kind;
} role_row;

static const role_row role_rows[] = {
    {"subscribe", ROAN_HIREDIS_SUBSCRIBE, ROAN_HIREDIS_CHANNEL},
    {"psubscribe", ROAN_HIREDIS_SUBSCRIBE, ROAN_HIREDIS_PATTERN},
    {"ssubscribe", ROAN_HIREDIS_SUBSCRIBE, ROAN_HIREDIS_SHARD},
    {"unsubscribe", ROAN_HIREDIS_UNSUBSCRIBE, ROAN_HIREDIS_CHANNEL},
    {"punsubscribe", ROAN_HIREDIS_UNSUBSCRIBE, ROAN_HIREDIS_PATTERN},
    {"sunsubscribe", ROAN_HIREDIS_UNSUBSCRIBE, ROAN_HIREDIS_SHARD},
    {"monitor", ROAN_HIREDIS_MONITOR, ROAN_HIREDIS_CHANNEL},
    {"reset", ROAN_HIREDIS_RESET, ROAN_HIREDIS_CHANNEL},
    {"hello", ROAN_HIREDIS_HELLO, ROAN_HIREDIS_CHANNEL},
};

/* Role, kind and confirmations from the command as sent. */
static void read_role(roan_hiredis_command *command, const char *text, size_t bytes)
{
    roan_hiredis_cursor cursor;
    const char *word;
    size_t word_bytes;

    if (!roan_hiredis_cursor_start(&cursor, text, bytes) || !roan_hiredis_cursor_next(&cursor, &word, &word_bytes))
        return;
    for (size_t i = 0; i < sizeof role_rows / sizeof role_rows[0]; i++) {
        const role_row *row = &role_rows[i];
        if (strlen(row->name) == word_bytes && strncasecmp(row->name, word, word_bytes) == 0) {
            command->role = row->role;
            command->kind = row->kind;
        }
    }
    if (command->role != ROAN_HIREDIS_SUBSCRIBE && command->role != ROAN_HIREDIS_UNSUBSCRIBE)
        return;
    while (roan_hiredis_cursor_next(&cursor, &word, &word_bytes))
        command->confirmations++;
    if (command->confirmations == 0 && command->role == ROAN_HIREDIS_UNSUBSCRIBE)
        command->confirmations = ROAN_HIREDIS_ALL_NAMES;
}

/* ---- the queue --------------------------------------------------------------------------------------------------- */

static void free_command(roan_hiredis_command *command)
{
    sdsfree(command->text);
    hi_free(command);
}

void roan_hiredis_pop_command(redisAsyncContext *context)
{
    roan_hiredis_command *command = roan_hiredis_first_command(context);

    context->replies.head = command->callback.next;
    if (context->replies.head == NULL)
        context->replies.tail = NULL;
    free_command(command);
}

static void push_command(redisAsyncContext *context, roan_hiredis_command *command)
{
    if (context->replies.tail == NULL)
        context->replies.head = &command->callback;
    else
        context->replies.tail->next = &command->callback;
    context->replies.tail = &command->callback;
}

/* NULL when out of memory. */
static roan_hiredis_command *create_command(redisCallbackFn *fn, void *privdata, const char *text, size_t bytes)
{
    roan_hiredis_command *command = hi_calloc(1, sizeof *command);

    if (command == NULL)
        return NULL;
    command->callback.fn = fn;
    command->callback.privdata = privdata;
    read_role(command, text, bytes);
    if (command->role != ROAN_HIREDIS_SUBSCRIBE)
        return command;
    command->text = sdsnewlen(text, bytes);
    if (command->text == NULL) {
        hi_free(command);
        return NULL;
    }
    return command;
}

static int fail_memory(redisAsyncContext *context)
{
    roan_hiredis_fail(&context->c, REDIS_ERR_OOM, "Out of memory");
    context->err = context->c.err;
    return REDIS_ERR;
}

int redisAsyncFormattedCommand(redisAsyncContext *context, redisCallbackFn *fn, void *privdata, const char *text,
                               size_t bytes)
{
    roan_hiredis_command *command;

    if (context->c.flags & (REDIS_DISCONNECTING | REDIS_FREEING))
        return REDIS_ERR;
    command = create_command(fn, privdata, text, bytes);
    if (command == NULL)
        return fail_memory(context);
    if (command->role == ROAN_HIREDIS_SUBSCRIBE && roan_hiredis_subscribe(context, command) != REDIS_OK) {
        free_command(command);
        return fail_memory(context);
    }
    if (redisAppendFormattedCommand(&context->c, text, bytes) != REDIS_OK) {
        if (command->role == ROAN_HIREDIS_SUBSCRIBE)
            roan_hiredis_subscribe_undo(context, command);
        free_command(command);
        return fail_memory(context);
    }
    if (command->role == ROAN_HIREDIS_SUBSCRIBE && command->confirmations > 0)
        context->c.flags |= REDIS_SUBSCRIBED;
    if (command->role == ROAN_HIREDIS_MONITOR)
        context->c.flags |= REDIS_MONITORING;
    push_command(context, command);
    roan_hiredis_want_write(context);
    return REDIS_OK;
}

/* ---- the other forms --------------------------------------------------------------------------------------------- */

int redisvAsyncCommand(redisAsyncContext *context, redisCallbackFn *fn, void *privdata, const char *format,
                       va_list arguments)
{
    char *text;
    int bytes = redisvFormatCommand(&text, format, arguments);
    int result;

    if (bytes < 0)
        return REDIS_ERR;
    result = redisAsyncFormattedCommand(context, fn, privdata, text, (size_t)bytes);
    redisFreeCommand(text);
    return result;
}

int redisAsyncCommand(redisAsyncContext *context, redisCallbackFn *fn, void *privdata, const char *format, ...)
{
    va_list arguments;
    int result;

    va_start(arguments, format);
    result = redisvAsyncCommand(context, fn, privdata, format, arguments);
    va_end(arguments);
    return result;
}

int redisAsyncCommandArgv(redisAsyncContext *context, redisCallbackFn *fn, void *privdata, int argc, const char **argv,
                          const size_t *argvlen)
{
    char *text;
    long long bytes = redisFormatCommandArgv(&text, argc, argv, argvlen);
    int result;

    if (bytes < 0)
        return REDIS_ERR;
    result = redisAsyncFormattedCommand(context, fn, privdata, text, (size_t)bytes);
    redisFreeCommand(text);
    return result;
}
