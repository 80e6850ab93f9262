/* hiredis/reader.c: RESP2 and RESP3 from bytes to calls of object functions, in steps.
 *
 * The reader keeps the path from the top of the reply to the value it is at, one task per level:
 *
 *     *2 | $1 a | *1 | :5        task[0] ARRAY idx -1    task[1] ARRAY idx 1    task[2] INTEGER idx 0
 *
 * A step reads one value, or the head of an aggregate, or finds that bytes are missing and changes nothing but the type
 * it has seen. Nothing recurses, so the depth costs a task per level, bounded by maxdepth. An unfinished line is
 * searched only once (`scanned`). Read bytes are cut off when half of the buffer is read, so the time stays linear.
 */
#include "hiredis/internal.h"
#include "hiredis/scalar.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define TASKS_FIRST           9
#define ROOM_BYTES_MAX        ((size_t)1 << 20) /* that a waiting text may ask for at a time */
#define VERBATIM_PREFIX_BYTES 4
#define DOUBLE_BYTES_MAX      325 /* the longest a double is written with %f */

typedef struct reader {
    redisReader base;
    size_t scanned; /* bytes behind base.pos without an end of line */
    size_t missing; /* of the text that is being waited for */
    int task_room;  /* pointers that base.task has room for */
    int last_type;
} reader;

/* What a step found. */
typedef enum step {
    STEP_VALUE, /* a whole value: go on behind it */
    STEP_DOWN,  /* the head of an aggregate with elements: go on with the first */
    STEP_INCOMPLETE,
    STEP_BROKEN
} step;

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* One more level of the path. */
static bool add_task(redisReader *r)
{
    reader *all = (reader *)r;

    if (r->tasks == all->task_room) {
        int room = r->tasks == 0 ? TASKS_FIRST : r->tasks <= INT_MAX / 2 ? 2 * r->tasks : r->tasks;
        redisReadTask **task = hi_realloc(r->task, (size_t)room * sizeof *task);
        if (task == NULL)
            return false;
        r->task = task;
        if (room == r->tasks)
            return false; /* as deep as an int can count */
        all->task_room = room;
    }
    r->task[r->tasks] = hi_calloc(1, sizeof **r->task);
    if (r->task[r->tasks] == NULL)
        return false;
    r->tasks++;
    return true;
}

redisReader *redisReaderCreateWithFunctions(redisReplyObjectFunctions *fn)
{
    redisReader *r = hi_calloc(1, sizeof(reader));

    if (r == NULL)
        return NULL;
    r->buf = sdsempty();
    r->fn = fn;
    r->maxbuf = REDIS_READER_MAX_BUF;
    r->maxelements = REDIS_READER_MAX_ARRAY_ELEMENTS;
    r->maxdepth = REDIS_READER_MAX_REPLY_DEPTH;
    r->ridx = -1;
    while (r->buf != NULL && r->tasks < TASKS_FIRST)
        if (!add_task(r))
            break;
    if (r->buf == NULL || r->tasks < TASKS_FIRST) {
        redisReaderFree(r);
        return NULL;
    }
    return r;
}

void roan_hiredis_reader_free_reply(const redisReader *r, void *reply)
{
    if (reply != NULL && r->fn != NULL && r->fn->freeObject != NULL)
        r->fn->freeObject(reply);
}

void redisReaderFree(redisReader *r)
{
    if (r == NULL)
        return;
    roan_hiredis_reader_free_reply(r, r->reply);
    for (int i = 0; i < r->tasks; i++)
        hi_free(r->task[i]);
    hi_free(r->task);
    sdsfree(r->buf);
    hi_free(r);
}

int roan_hiredis_reader_reset(redisReader *r)
{
    reader *all = (reader *)r;
    char *buffer = sdsempty();

    if (buffer == NULL)
        return REDIS_ERR;
    roan_hiredis_reader_free_reply(r, r->reply);
    sdsfree(r->buf);
    r->buf = buffer;
    r->reply = NULL;
    r->err = 0;
    r->errstr[0] = '\0';
    r->pos = r->len = 0;
    r->ridx = -1;
    all->scanned = all->missing = 0;
    return REDIS_OK;
}

int roan_hiredis_reader_last_type(const redisReader *r)
{
    return ((const reader *)r)->last_type;
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

/* Breaks the reader for good: what was built and what was not read is freed. */
static step fail(redisReader *r, int err, const char *text)
{
    size_t bytes = strlen(text);

    roan_hiredis_reader_free_reply(r, r->reply);
    r->reply = NULL;
    sdsfree(r->buf);
    r->buf = NULL;
    r->pos = r->len = 0;
    r->ridx = -1;
    r->err = err;
    bytes = bytes < sizeof r->errstr ? bytes : sizeof r->errstr - 1;
    memcpy(r->errstr, text, bytes);
    r->errstr[bytes] = '\0';
    return STEP_BROKEN;
}

static step fail_protocol(redisReader *r, const char *text)
{
    return fail(r, REDIS_ERR_PROTOCOL, text);
}

static step fail_memory(redisReader *r)
{
    return fail(r, REDIS_ERR_OOM, "Out of memory");
}

static step fail_type(redisReader *r, char byte)
{
    static const char plain[] = "\n\r\t\a\b\"\\";
    static const char letters[] = "nrtab\"\\";
    const char *found = byte == '\0' ? NULL : strchr(plain, byte);
    char name[8];
    char text[64];

    if (found != NULL)
        snprintf(name, sizeof name, "\\%c", letters[found - plain]);
    else if (byte >= ' ' && byte < 127)
        snprintf(name, sizeof name, "%c", byte);
    else
        snprintf(name, sizeof name, "\\x%02x", (unsigned char)byte);
    snprintf(text, sizeof text, "Protocol error, got \"%s\" as reply type byte", name);
    return fail_protocol(r, text);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

/* Moves the unread bytes to the front, or lets go of an empty buffer that grew large. */
static bool tidy_buffer(redisReader *r)
{
    if (r->len == 0 && r->maxbuf != 0 && sdsalloc(r->buf) > r->maxbuf) {
        char *buffer = sdsempty();
        if (buffer == NULL)
            return false;
        sdsfree(r->buf);
        r->buf = buffer;
        r->pos = 0;
    } else if (r->pos > 0 && r->pos >= r->len / 2) {
        r->len -= r->pos;
        memmove(r->buf, r->buf + r->pos, r->len);
        sdssetlen(r->buf, r->len);
        r->buf[r->len] = '\0';
        r->pos = 0;
    }
    return true;
}

char *roan_hiredis_reader_room(redisReader *r, size_t bytes_min, size_t *ret_bytes)
{
    reader *all = (reader *)r;
    size_t want = all->missing < ROOM_BYTES_MAX ? all->missing : ROOM_BYTES_MAX;
    char *buffer;

    if (r->err != 0)
        return NULL;
    if (!tidy_buffer(r)) {
        (void)fail_memory(r); /* r->err says it */
        return NULL;
    }
    buffer = sdsMakeRoomFor(r->buf, want > bytes_min ? want : bytes_min);
    if (buffer == NULL) {
        (void)fail_memory(r); /* r->err says it */
        return NULL;
    }
    r->buf = buffer;
    *ret_bytes = sdsavail(buffer);
    return buffer + r->len;
}

void roan_hiredis_reader_added(redisReader *r, size_t bytes)
{
    r->len += bytes;
    sdssetlen(r->buf, r->len);
    r->buf[r->len] = '\0';
}

int redisReaderFeed(redisReader *r, const char *bytes, size_t count)
{
    size_t room;
    char *to;

    if (r->err != 0)
        return REDIS_ERR;
    if (bytes == NULL || count == 0)
        return REDIS_OK;
    to = roan_hiredis_reader_room(r, count, &room);
    if (to == NULL)
        return REDIS_ERR;
    memcpy(to, bytes, count);
    roan_hiredis_reader_added(r, count);
    return REDIS_OK;
}

/* The line at the cursor without its end; the cursor stays. NULL: not there yet. */
static char *find_line(redisReader *r, size_t *ret_bytes)
{
    reader *all = (reader *)r;
    char *start = r->buf + r->pos;
    char *end = r->buf + r->len;
    char *at = start + all->scanned;

    while (at < end) {
        at = memchr(at, '\r', (size_t)(end - at));
        if (at == NULL) {
            at = end;
        } else if (at + 1 == end) {
            break;
        } else if (at[1] == '\n') {
            all->scanned = 0;
            *ret_bytes = (size_t)(at - start);
            return start;
        } else {
            at++;
        }
    }
    all->scanned = (size_t)(at - start);
    return NULL;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void *type_as_object(int type)
{
    return (void *)(uintptr_t)type;
}

/* The value is read: remembers the object; the top's is the reply. */
static step finish_value(redisReader *r, redisReadTask *task, void *object, step result)
{
    if (object == NULL)
        return fail_memory(r);
    task->obj = object;
    if (r->ridx == 0)
        r->reply = object;
    return result;
}

static step finish_nil(redisReader *r, redisReadTask *task)
{
    bool has_function = r->fn != NULL && r->fn->createNil != NULL;

    return finish_value(r, task, has_function ? r->fn->createNil(task) : type_as_object(REDIS_REPLY_NIL), STEP_VALUE);
}

static step finish_text(redisReader *r, redisReadTask *task, char *text, size_t bytes)
{
    bool has_function = r->fn != NULL && r->fn->createString != NULL;

    return finish_value(r, task, has_function ? r->fn->createString(task, text, bytes) : type_as_object(task->type),
                        STEP_VALUE);
}

static step finish_integer(redisReader *r, redisReadTask *task, const char *text, size_t bytes)
{
    bool has_function = r->fn != NULL && r->fn->createInteger != NULL;
    long long value;

    if (!roan_hiredis_read_integer(text, bytes, &value))
        return fail_protocol(r, "Bad integer value");
    return finish_value(r, task, has_function ? r->fn->createInteger(task, value) : type_as_object(task->type),
                        STEP_VALUE);
}

static step finish_double(redisReader *r, redisReadTask *task, char *text, size_t bytes)
{
    bool has_function = r->fn != NULL && r->fn->createDouble != NULL;
    double value;

    if (bytes > DOUBLE_BYTES_MAX)
        return fail_protocol(r, "Double value is too large");
    if (!roan_hiredis_read_double(text, bytes, &value))
        return fail_protocol(r, "Bad double value");
    return finish_value(
        r, task, has_function ? r->fn->createDouble(task, value, text, bytes) : type_as_object(task->type), STEP_VALUE);
}

static step finish_bool(redisReader *r, redisReadTask *task, const char *text, size_t bytes)
{
    bool has_function = r->fn != NULL && r->fn->createBool != NULL;
    bool value;

    if (bytes != 1 || strchr("tTfF", text[0]) == NULL)
        return fail_protocol(r, "Bad bool value");
    value = text[0] == 't' || text[0] == 'T';
    return finish_value(r, task, has_function ? r->fn->createBool(task, value) : type_as_object(task->type),
                        STEP_VALUE);
}

/* +, -, :, ",", _, # and (: everything is in one line. */
static step read_line_value(redisReader *r, redisReadTask *task)
{
    size_t bytes;
    char *text = find_line(r, &bytes);
    step result;

    if (text == NULL)
        return STEP_INCOMPLETE;
    switch (task->type) {
    case REDIS_REPLY_INTEGER: result = finish_integer(r, task, text, bytes); break;
    case REDIS_REPLY_DOUBLE: result = finish_double(r, task, text, bytes); break;
    case REDIS_REPLY_NIL: result = bytes != 0 ? fail_protocol(r, "Bad nil value") : finish_nil(r, task); break;
    case REDIS_REPLY_BOOL: result = finish_bool(r, task, text, bytes); break;
    case REDIS_REPLY_BIGNUM:
        result = roan_hiredis_is_big_number(text, bytes) ? finish_text(r, task, text, bytes)
                                                         : fail_protocol(r, "Bad bignum value");
        break;
    default: /* STATUS, ERROR */
        result = memchr(text, '\r', bytes) != NULL || memchr(text, '\n', bytes) != NULL
                     ? fail_protocol(r, "Bad simple string value")
                     : finish_text(r, task, text, bytes);
        break;
    }
    if (result == STEP_VALUE)
        r->pos += bytes + 2;
    return result;
}

/* $ and =: a length in a line, then so many bytes and an end of line. */
static step read_bulk(redisReader *r, redisReadTask *task)
{
    reader *all = (reader *)r;
    size_t line_bytes, bytes, here;
    char *line = find_line(r, &line_bytes);
    char *text;
    long long length;
    step result;

    if (line == NULL)
        return STEP_INCOMPLETE;
    if (!roan_hiredis_read_integer(line, line_bytes, &length))
        return fail_protocol(r, "Bad bulk string length");
    if (length < -1 || length > (long long)(PTRDIFF_MAX - 2))
        return fail_protocol(r, "Bulk string length out of range");
    if (length == -1) {
        result = finish_nil(r, task);
        r->pos += result == STEP_VALUE ? line_bytes + 2 : 0;
        return result;
    }
    text = line + line_bytes + 2;
    here = (size_t)(r->buf + r->len - text);
    bytes = (size_t)length;
    if (here < bytes + 2) {
        all->missing = bytes + 2 - here;
        return STEP_INCOMPLETE;
    }
    all->missing = 0;
    if (text[bytes] != '\r' || text[bytes + 1] != '\n')
        return fail_protocol(r, "Bulk string is not followed by CRLF");
    if (task->type == REDIS_REPLY_VERB && (bytes < VERBATIM_PREFIX_BYTES || text[VERBATIM_PREFIX_BYTES - 1] != ':'))
        return fail_protocol(r, "Verbatim string 4 bytes of content type are missing or incorrectly encoded.");
    result = finish_text(r, task, text, bytes);
    r->pos += result == STEP_VALUE ? line_bytes + 2 + bytes + 2 : 0;
    return result;
}

/* *, %, ~, > and |: how many, in a line. */
static step read_aggregate(redisReader *r, redisReadTask *task)
{
    bool has_function = r->fn != NULL && r->fn->createArray != NULL;
    size_t bytes;
    char *line = find_line(r, &bytes);
    long long count;
    step result;

    if (r->maxdepth > 0 && r->ridx >= r->maxdepth)
        return fail_protocol(r, "Max nesting depth exceeded");
    if (line == NULL)
        return STEP_INCOMPLETE;
    if (!roan_hiredis_read_integer(line, bytes, &count))
        return fail_protocol(r, "Bad multi-bulk length");
    if (count < -1 || (r->maxelements > 0 && count > r->maxelements))
        return fail_protocol(r, "Multi-bulk length out of range");
    if (count == -1) {
        result = finish_nil(r, task);
        r->pos += result == STEP_VALUE ? bytes + 2 : 0;
        return result;
    }
    if (task->type == REDIS_REPLY_MAP || task->type == REDIS_REPLY_ATTR) {
        if (count > LLONG_MAX / 2)
            return fail_protocol(r, "Multi-bulk length out of range");
        count *= 2;
    }
    task->elements = count;
    result = finish_value(r, task, has_function ? r->fn->createArray(task, (size_t)count) : type_as_object(task->type),
                          count > 0 ? STEP_DOWN : STEP_VALUE);
    if (result == STEP_BROKEN)
        return result;
    if (count > INT_MAX) /* redisReadTask.idx could not count them */
        return fail_protocol(r, "Multi-bulk length out of range");
    r->pos += bytes + 2;
    return result;
}

/* REDIS_REPLY_* of a first byte, or -1. */
static int type_of_byte(char byte)
{
    switch (byte) {
    case '+': return REDIS_REPLY_STATUS;
    case '-': return REDIS_REPLY_ERROR;
    case ':': return REDIS_REPLY_INTEGER;
    case '$': return REDIS_REPLY_STRING;
    case '*': return REDIS_REPLY_ARRAY;
    case '_': return REDIS_REPLY_NIL;
    case ',': return REDIS_REPLY_DOUBLE;
    case '#': return REDIS_REPLY_BOOL;
    case '(': return REDIS_REPLY_BIGNUM;
    case '=': return REDIS_REPLY_VERB;
    case '%': return REDIS_REPLY_MAP;
    case '~': return REDIS_REPLY_SET;
    case '>': return REDIS_REPLY_PUSH;
    case '|': return REDIS_REPLY_ATTR;
    default: return -1;
    }
}

static step read_value(redisReader *r, redisReadTask *task)
{
    if (task->type < 0) {
        if (r->pos == r->len)
            return STEP_INCOMPLETE;
        task->type = type_of_byte(r->buf[r->pos]);
        if (task->type < 0)
            return fail_type(r, r->buf[r->pos]);
        r->pos++;
    }
    switch (task->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_VERB: return read_bulk(r, task);
    case REDIS_REPLY_ARRAY:
    case REDIS_REPLY_MAP:
    case REDIS_REPLY_SET:
    case REDIS_REPLY_PUSH:
    case REDIS_REPLY_ATTR: return read_aggregate(r, task);
    default: return read_line_value(r, task);
    }
}

/* ---- the path ---------------------------------------------------------------------------------------------------- */

static void start_task(redisReader *r, int index)
{
    redisReadTask *parent = r->ridx > 0 ? r->task[r->ridx - 1] : NULL;

    *r->task[r->ridx] = (redisReadTask){
        .type = -1, .elements = -1, .idx = index, .obj = NULL, .parent = parent, .privdata = r->privdata};
}

/* Behind a value: to the next element, or up as many levels as end with it. */
static void move_on(redisReader *r)
{
    while (r->ridx > 0) {
        int next = r->task[r->ridx]->idx + 1;
        if (next < r->task[r->ridx - 1]->elements) {
            start_task(r, next);
            return;
        }
        r->ridx--;
    }
    ((reader *)r)->last_type = r->task[0]->type;
    r->ridx = -1;
}

static step move_down(redisReader *r)
{
    if (r->ridx + 1 == r->tasks && !add_task(r))
        return fail_memory(r);
    r->ridx++;
    start_task(r, 0);
    return STEP_DOWN;
}

/* Until the reply is whole or bytes are missing. */
static step read_reply(redisReader *r)
{
    step result = STEP_VALUE;

    if (r->ridx == -1) {
        if (r->pos == r->len)
            return STEP_INCOMPLETE;
        r->ridx = 0;
        start_task(r, -1);
    }
    while (r->ridx >= 0) {
        result = read_value(r, r->task[r->ridx]);
        if (result == STEP_DOWN)
            result = move_down(r);
        else if (result == STEP_VALUE)
            move_on(r);
        if (result == STEP_INCOMPLETE || result == STEP_BROKEN)
            break;
    }
    return result;
}

int redisReaderGetReply(redisReader *r, void **reply)
{
    step result;

    if (reply != NULL)
        *reply = NULL;
    if (r->err != 0)
        return REDIS_ERR;
    result = read_reply(r);
    if (result == STEP_BROKEN)
        return REDIS_ERR;
    if (r->pos == r->len) {
        sdsclear(r->buf);
        r->pos = r->len = 0;
    }
    if (result == STEP_INCOMPLETE)
        return REDIS_OK;
    if (reply != NULL)
        *reply = r->reply;
    else
        roan_hiredis_reader_free_reply(r, r->reply);
    r->reply = NULL;
    return REDIS_OK;
}
