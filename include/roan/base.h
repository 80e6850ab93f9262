/* roan/base.h: the words every Roan library shares: a borrowed byte slice, a status, an error with a text.
 *
 * C99 and C++ compatible. Everything here is a plain value; nothing allocates.
 */
#ifndef ROAN_BASE_H
#define ROAN_BASE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define ROAN_API __attribute__((visibility("default")))
#define ROAN_MUST_CHECK __attribute__((warn_unused_result))
#define ROAN_PRINTF(format_index, first_index) \
    __attribute__((format(printf, format_index, first_index)))
#else
#define ROAN_API
#define ROAN_MUST_CHECK
#define ROAN_PRINTF(format_index, first_index)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that belong to somebody else. Passed by value, never freed through the slice, not NUL-terminated. */
typedef struct roan_slice {
    const char *data; /* may be NULL only when bytes is 0 */
    size_t bytes;
} roan_slice;

/* A slice over a string literal: ROAN_LITERAL("PING"). */
#ifdef __cplusplus
#define ROAN_LITERAL(text) (roan_slice{"" text, sizeof(text) - 1})
#else
#define ROAN_LITERAL(text) ((roan_slice){"" text, sizeof(text) - 1})
#endif

/* Arguments for "%.*s". */
#define ROAN_SLICE_ARG(slice) (int)(slice).bytes, (slice).data

/* The slice over a NUL-terminated string, without its NUL. */
static inline roan_slice roan_slice_from_text(const char *text)
{
    roan_slice slice = {text, strlen(text)};
    return slice;
}

static inline roan_slice roan_slice_make(const char *data, size_t bytes)
{
    roan_slice slice = {data, bytes};
    return slice;
}

/* Every way a Roan call can fail:  name, value, errno, default text. Values are never reused. */
#define ROAN_STATUS_LIST(X)                                              \
    X(NOMEM, 1, ENOMEM, "out of memory")                                 \
    X(INVALID, 2, EINVAL, "invalid argument")                            \
    X(PROTOCOL, 3, EPROTO, "protocol error")                             \
    X(SYSTEM, 4, EIO, "system call failed")                              \
    X(NO_ENTRY, 5, ENOENT, "no such entry")                              \
    X(CONFIG, 6, EINVAL, "bad configuration")                            \
    X(CLOSED, 7, ECONNRESET, "connection closed")                        \
    X(TIMEOUT, 8, ETIMEDOUT, "timed out")                                \
    X(UNSUPPORTED, 9, ENOTSUP, "not supported here")                     \
    X(CONNECT, 10, ECONNREFUSED, "cannot connect")                       \
    X(LOST, 11, ECONNRESET, "connection lost")                           \
    X(QUEUE_FULL, 12, ENOBUFS, "too many commands wait")                 \
    X(CANCELED, 13, ECANCELED, "canceled")                               \
    X(SERVER, 14, EREMOTEIO, "the server answered with an error")        \
    X(TYPE, 15, EBADMSG, "the reply has another type")                   \
    X(ABORTED, 16, EAGAIN, "a watched key changed")                      \
    X(USAGE, 17, EPERM, "not to be used like this")                      \
    X(FORKED, 18, ECHILD, "made before fork() and used in the child")

#define ROAN_STATUS_ENUM(name, value, os_errno, text) ROAN_E_##name = -(value),
typedef enum roan_status {
    ROAN_OK = 0,
    ROAN_NIL = 1, /* the client's: the server answered null, which is no failure */
    ROAN_STATUS_LIST(ROAN_STATUS_ENUM) ROAN_STATUS_LAST_ = -1000
} roan_status;
#undef ROAN_STATUS_ENUM

#define ROAN_ERROR_TEXT_MAX 256

/* What went wrong, for programs (code, os_errno) and for people (text, always terminated). */
typedef struct roan_error {
    roan_status code;
    int os_errno; /* 0 when no system call was involved */
    char text[ROAN_ERROR_TEXT_MAX];
} roan_error;

/* The name of a status without its prefix ("NOMEM"); "OK" for ROAN_OK, "UNKNOWN" for a foreign value. */
ROAN_API const char *roan_status_name(roan_status status);

/* The default text of a status. Never NULL. */
ROAN_API const char *roan_status_text(roan_status status);

/* Fills `reterr` (which may be NULL) and returns `code`, so that a failure is noticed, described and
 * returned in one line. Never allocates. */
ROAN_API roan_status roan_error_set(roan_error *reterr, roan_status code, const char *format, ...)
    ROAN_PRINTF(3, 4);

/* As roan_error_set, with errno kept in os_errno and its text appended after ": ". */
ROAN_API roan_status roan_error_set_errno(roan_error *reterr, int os_errno, const char *format, ...)
    ROAN_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif
#endif
