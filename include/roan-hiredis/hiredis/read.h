/* hiredis/read.h: the reply reader: takes bytes in pieces of any size, gives replies, built by functions of the
 * caller's choice.
 *
 * RESP2 and RESP3. A reader belongs to one thread at a time. After an error it stays broken; free it.
 */
#ifndef ROAN_HIREDIS_HIREDIS_READ_H
#define ROAN_HIREDIS_HIREDIS_READ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(__HIREDIS_READ_H)
#error "the headers of hiredis and of roan-hiredis are both in use: take one of the two out of the include path"
#endif

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

#define REDIS_OK  0
#define REDIS_ERR -1

/* The field `err` of a context or a reader; 0 is no error, errstr says more. */
#define REDIS_ERR_IO       1 /* a system call failed: errno */
#define REDIS_ERR_OTHER    2
#define REDIS_ERR_EOF      3 /* the server closed the connection */
#define REDIS_ERR_PROTOCOL 4 /* what came is no RESP */
#define REDIS_ERR_OOM      5
#define REDIS_ERR_TIMEOUT  6

#define REDIS_REPLY_STRING  1
#define REDIS_REPLY_ARRAY   2
#define REDIS_REPLY_INTEGER 3
#define REDIS_REPLY_NIL     4
#define REDIS_REPLY_STATUS  5
#define REDIS_REPLY_ERROR   6
#define REDIS_REPLY_DOUBLE  7
#define REDIS_REPLY_BOOL    8
#define REDIS_REPLY_MAP     9
#define REDIS_REPLY_SET     10
#define REDIS_REPLY_ATTR    11
#define REDIS_REPLY_PUSH    12
#define REDIS_REPLY_BIGNUM  13
#define REDIS_REPLY_VERB    14

#define REDIS_READER_MAX_BUF            (1024 * 16)       /* bytes an idle reader keeps allocated */
#define REDIS_READER_MAX_ARRAY_ELEMENTS ((1LL << 32) - 1) /* of one aggregate */
#define REDIS_READER_MAX_REPLY_DEPTH    1024              /* aggregates inside each other */

/* The value being built; the functions below get it. */
typedef struct redisReadTask {
    int type;                     /* REDIS_REPLY_* */
    long long elements;           /* of an aggregate; a map of n pairs has 2 n */
    int idx;                      /* which element of its parent it is */
    void *obj;                    /* what createArray returned */
    struct redisReadTask *parent; /* NULL at the top */
    void *privdata;               /* the reader's */
} redisReadTask;

/* Each returns the object it made or NULL when out of memory, and puts it into task->parent->obj itself. Any of them
 * may be NULL: then the object is the type's number, cast to a pointer. */
typedef struct redisReplyObjectFunctions {
    /* STRING, STATUS, ERROR, BIGNUM, VERB. For VERB the text starts with three letters and ':'. */
    void *(*createString)(const redisReadTask *task, char *text, size_t bytes);
    /* ARRAY, MAP, SET, PUSH, ATTR. */
    void *(*createArray)(const redisReadTask *task, size_t elements);
    void *(*createInteger)(const redisReadTask *task, long long value);
    void *(*createDouble)(const redisReadTask *task, double value, char *text, size_t bytes);
    void *(*createNil)(const redisReadTask *task);
    void *(*createBool)(const redisReadTask *task, int value);
    void (*freeObject)(void *object);
} redisReplyObjectFunctions;

typedef struct redisReader {
    int err;          /* 0, REDIS_ERR_PROTOCOL or REDIS_ERR_OOM */
    char errstr[128]; /* terminated */

    char *buf; /* unread bytes are buf[pos..len); an sds */
    size_t pos;
    size_t len;
    size_t maxbuf;         /* free an empty buffer larger than this; 0: never */
    long long maxelements; /* of one aggregate; 0: no limit */

    redisReadTask **task; /* the path from the top to the value being read */
    int tasks;            /* allocated */
    int ridx;             /* index of the last one, -1 between replies */
    void *reply;          /* the top's object */

    redisReplyObjectFunctions *fn; /* may be replaced before the first reply; NULL: objects are the types' numbers */
    void *privdata;

    int maxdepth; /* aggregates inside each other; 0: no limit */
} redisReader;

/* Made by redisReaderCreateWithFunctions() or redisReaderCreate() (hiredis.h) only. NULL when out of memory. */
redisReader *redisReaderCreateWithFunctions(redisReplyObjectFunctions *fn);
void redisReaderFree(redisReader *reader);

/* Copies the bytes. REDIS_ERR when the reader is broken or out of memory. */
int redisReaderFeed(redisReader *reader, const char *bytes, size_t count);

/* REDIS_OK and *reply set: a reply, or NULL when it is not complete yet. REDIS_ERR: the reader is broken, *reply is
 * NULL. `reply` NULL: a complete reply is freed. */
int redisReaderGetReply(redisReader *reader, void **reply);

#define redisReaderSetPrivdata(reader_, privdata_) (((redisReader *)(reader_))->privdata = (privdata_))
#define redisReaderGetObject(reader_)              (((redisReader *)(reader_))->reply)
#define redisReaderGetError(reader_)               (((redisReader *)(reader_))->errstr)

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
