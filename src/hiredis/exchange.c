/* hiredis/exchange.c: commands out and replies in, over a context.
 *
 * A reply is looked for in the reader first. Only when it has none, a blocking context sends all of obuf and reads until
 * there is one: this is what makes appended commands one write. Pushes go to push_cb between the replies, if there is
 * one.
 */
#include "hiredis/format.h"
#include "hiredis/internal.h"

#include <string.h>

#define READ_BYTES_MIN        8000  /* doubled and with its header it stays below REDIS_READER_MAX_BUF */
#define IDLE_OUTPUT_BYTES_MAX 65536 /* that an empty obuf keeps */

static int fail_memory(redisContext *context)
{
    return roan_hiredis_fail(context, REDIS_ERR_OOM, "Out of memory");
}

/* ---- the socket and the buffers ---------------------------------------------------------------------------------- */

int redisBufferRead(redisContext *context)
{
    size_t room;
    ssize_t count;
    char *to;

    if (context->err != 0)
        return REDIS_ERR;
    to = roan_hiredis_reader_room(context->reader, READ_BYTES_MIN, &room);
    if (to == NULL)
        return roan_hiredis_fail(context, context->reader->err, context->reader->errstr);
    count = context->funcs->read(context, to, room);
    if (count < 0)
        return REDIS_ERR;
    roan_hiredis_reader_added(context->reader, (size_t)count);
    return REDIS_OK;
}

/* So many bytes of obuf are sent. False when out of memory. */
static bool cut_output(redisContext *context, size_t sent)
{
    char *fresh;

    if (sent < sdslen(context->obuf))
        return sdsrange(context->obuf, (ssize_t)sent, -1) == 0;
    sdsclear(context->obuf);
    if (sdsalloc(context->obuf) <= IDLE_OUTPUT_BYTES_MAX)
        return true;
    fresh = sdsempty();
    if (fresh == NULL)
        return false;
    sdsfree(context->obuf);
    context->obuf = fresh;
    return true;
}

int redisBufferWrite(redisContext *context, int *done)
{
    if (context->err != 0)
        return REDIS_ERR;
    if (sdslen(context->obuf) > 0) {
        ssize_t sent = context->funcs->write(context);
        if (sent < 0)
            return REDIS_ERR;
        if (sent > 0 && !cut_output(context, (size_t)sent))
            return fail_memory(context);
    }
    if (done != NULL)
        *done = sdslen(context->obuf) == 0;
    return REDIS_OK;
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */

int redisGetReplyFromReader(redisContext *context, void **reply)
{
    if (redisReaderGetReply(context->reader, reply) == REDIS_OK)
        return REDIS_OK;
    return roan_hiredis_fail(context, context->reader->err, context->reader->errstr);
}

/* The next one that is no push, or NULL. */
static int read_in_band(redisContext *context, void **ret_reply)
{
    for (;;) {
        if (redisGetReplyFromReader(context, ret_reply) != REDIS_OK)
            return REDIS_ERR;
        if (*ret_reply == NULL || context->push_cb == NULL ||
            roan_hiredis_reader_last_type(context->reader) != REDIS_REPLY_PUSH)
            return REDIS_OK;
        context->push_cb(context->privdata, *ret_reply);
    }
}

static int send_all(redisContext *context)
{
    int is_done = 0;

    while (!is_done)
        if (redisBufferWrite(context, &is_done) != REDIS_OK)
            return REDIS_ERR;
    return REDIS_OK;
}

int redisGetReply(redisContext *context, void **reply)
{
    void *found = NULL;

    if (reply != NULL)
        *reply = NULL;
    if (read_in_band(context, &found) != REDIS_OK)
        return REDIS_ERR;
    if (found == NULL && (context->flags & REDIS_BLOCK)) {
        if (send_all(context) != REDIS_OK)
            return REDIS_ERR;
        while (found == NULL)
            if (redisBufferRead(context) != REDIS_OK || read_in_band(context, &found) != REDIS_OK)
                return REDIS_ERR;
    }
    if (reply != NULL)
        *reply = found;
    else
        roan_hiredis_reader_free_reply(context->reader, found);
    return REDIS_OK;
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

int redisAppendFormattedCommand(redisContext *context, const char *command, size_t bytes)
{
    sds longer = sdscatlen(context->obuf, command, bytes);

    if (longer == NULL)
        return fail_memory(context);
    context->obuf = longer;
    return REDIS_OK;
}

int redisvAppendCommand(redisContext *context, const char *format, va_list arguments)
{
    char *command;
    int length = redisvFormatCommand(&command, format, arguments);
    int result;

    if (length == ROAN_HIREDIS_FORMAT_WRONG)
        return roan_hiredis_fail(context, REDIS_ERR_OTHER, "Invalid format string");
    if (length < 0)
        return fail_memory(context);
    result = redisAppendFormattedCommand(context, command, (size_t)length);
    redisFreeCommand(command);
    return result;
}

int redisAppendCommand(redisContext *context, const char *format, ...)
{
    va_list arguments;
    int result;

    va_start(arguments, format);
    result = redisvAppendCommand(context, format, arguments);
    va_end(arguments);
    return result;
}

int redisAppendCommandArgv(redisContext *context, int argc, const char **argv, const size_t *argvlen)
{
    char *command;
    long long length = redisFormatCommandArgv(&command, argc, argv, argvlen);
    int result;

    if (length < 0)
        return fail_memory(context);
    result = redisAppendFormattedCommand(context, command, (size_t)length);
    redisFreeCommand(command);
    return result;
}

static void *wait_for_reply(redisContext *context)
{
    void *reply = NULL;

    if (!(context->flags & REDIS_BLOCK) || redisGetReply(context, &reply) != REDIS_OK)
        return NULL;
    return reply;
}

void *redisvCommand(redisContext *context, const char *format, va_list arguments)
{
    return redisvAppendCommand(context, format, arguments) == REDIS_OK ? wait_for_reply(context) : NULL;
}

void *redisCommand(redisContext *context, const char *format, ...)
{
    va_list arguments;
    void *reply;

    va_start(arguments, format);
    reply = redisvCommand(context, format, arguments);
    va_end(arguments);
    return reply;
}

void *redisCommandArgv(redisContext *context, int argc, const char **argv, const size_t *argvlen)
{
    return redisAppendCommandArgv(context, argc, argv, argvlen) == REDIS_OK ? wait_for_reply(context) : NULL;
}
