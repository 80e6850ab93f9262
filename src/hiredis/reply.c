/* hiredis/reply.c: redisReply trees: how the reader builds them by default, and how they are freed.
 *
 * Memory follows the bytes that came, never an announced length: an aggregate starts with room for at most
 * ELEMENTS_FIRST elements and doubles as they arrive; `elements` counts those that are there, so that a half-read tree
 * can be freed at any moment. Freeing walks with the tree's own fields instead of recursing: an aggregate has no text,
 * so its `str` holds the way back up while its elements are freed from the end.
 */
#include "hiredis/internal.h"

#include <string.h>

#define ELEMENTS_FIRST        1024 /* a power of two */
#define VERBATIM_PREFIX_BYTES 4

static bool is_aggregate(int type)
{
    return type == REDIS_REPLY_ARRAY || type == REDIS_REPLY_MAP || type == REDIS_REPLY_SET ||
           type == REDIS_REPLY_PUSH || type == REDIS_REPLY_ATTR;
}

void freeReplyObject(void *object)
{
    redisReply *node = object;

    if (node != NULL && is_aggregate(node->type))
        node->str = NULL;
    while (node != NULL) {
        redisReply *up = NULL;
        if (is_aggregate(node->type)) {
            if (node->elements > 0 && node->element != NULL) {
                redisReply *child = node->element[--node->elements];
                if (child != NULL && is_aggregate(child->type)) {
                    child->str = (char *)node;
                    node = child;
                } else if (child != NULL) {
                    hi_free(child->str);
                    hi_free(child);
                }
                continue;
            }
            up = (redisReply *)(void *)node->str;
            hi_free(node->element);
        } else {
            hi_free(node->str);
        }
        hi_free(node);
        node = up;
    }
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

/* Room for element number `index` of `parent`, which is to have `total`. */
static bool reserve_element(redisReply *parent, size_t index, size_t total)
{
    redisReply **element;
    size_t room;

    if (index != 0 && (index < ELEMENTS_FIRST || (index & (index - 1)) != 0))
        return true;
    room = index == 0 ? ELEMENTS_FIRST : 2 * index;
    room = room < total ? room : total;
    element = hi_realloc(parent->element, room * sizeof(redisReply *));
    if (element == NULL)
        return false;
    parent->element = element;
    return true;
}

/* A new reply, already in its parent; NULL when out of memory. */
static redisReply *create_reply(const redisReadTask *task, int type)
{
    redisReply *parent = task->parent == NULL ? NULL : task->parent->obj;
    redisReply *reply;

    if (parent != NULL && !reserve_element(parent, (size_t)task->idx, (size_t)task->parent->elements))
        return NULL;
    reply = hi_calloc(1, sizeof *reply);
    if (reply == NULL)
        return NULL;
    reply->type = type;
    if (parent != NULL) {
        parent->element[task->idx] = reply;
        parent->elements = (size_t)task->idx + 1;
    }
    return reply;
}

/* Takes a reply that could not be finished out of the tree again. */
static void *drop_reply(const redisReadTask *task, redisReply *reply)
{
    if (task->parent != NULL)
        ((redisReply *)task->parent->obj)->elements--;
    hi_free(reply);
    return NULL;
}

static redisReply *create_text(const redisReadTask *task, const char *text, size_t bytes)
{
    redisReply *reply = create_reply(task, task->type);

    if (reply == NULL)
        return NULL;
    reply->str = hi_malloc(bytes + 1);
    if (reply->str == NULL)
        return drop_reply(task, reply);
    memcpy(reply->str, text, bytes);
    reply->str[bytes] = '\0';
    reply->len = bytes;
    return reply;
}

static void *create_string(const redisReadTask *task, char *text, size_t bytes)
{
    redisReply *reply;

    if (task->type != REDIS_REPLY_VERB)
        return create_text(task, text, bytes);
    reply = create_text(task, text + VERBATIM_PREFIX_BYTES, bytes - VERBATIM_PREFIX_BYTES);
    if (reply != NULL)
        memcpy(reply->vtype, text, sizeof reply->vtype - 1);
    return reply;
}

static void *create_array(const redisReadTask *task, size_t elements)
{
    return elements > SIZE_MAX / sizeof(redisReply *) ? NULL : create_reply(task, task->type);
}

static void *create_integer(const redisReadTask *task, long long value)
{
    redisReply *reply = create_reply(task, REDIS_REPLY_INTEGER);

    if (reply != NULL)
        reply->integer = value;
    return reply;
}

static void *create_double(const redisReadTask *task, double value, char *text, size_t bytes)
{
    redisReply *reply = create_text(task, text, bytes);

    if (reply != NULL)
        reply->dval = value;
    return reply;
}

static void *create_nil(const redisReadTask *task)
{
    return create_reply(task, REDIS_REPLY_NIL);
}

static void *create_bool(const redisReadTask *task, int value)
{
    redisReply *reply = create_reply(task, REDIS_REPLY_BOOL);

    if (reply != NULL)
        reply->integer = value != 0;
    return reply;
}

redisReplyObjectFunctions roan_hiredis_reply_functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createDouble = create_double,
    .createNil = create_nil,
    .createBool = create_bool,
    .freeObject = freeReplyObject,
};

redisReader *redisReaderCreate(void)
{
    return redisReaderCreateWithFunctions(&roan_hiredis_reply_functions);
}
