/* server/log.h: the server's log: levels, three forms of a line, a file or standard output, and the system's log.
 *
 * The file is opened for every line, so that it can be moved away at any time. Line forms are the reference's:
 *
 *     1234:M 21 Nov 2026 02:01:41.869 * text
 *     pid=1234 role=primary timestamp="21 Nov 2026 02:01:41.869" level=notice message="text"
 *     {"pid":1234,"role":"primary","timestamp":"2026-11-21T02:01:41.869+00:00","level":"notice","message":"text"}
 */
#pragma once

#include "engine/config.h"
#include "roan/base.h"

#include <pthread.h>
#include <stdbool.h>

typedef struct roan_log {
    pthread_mutex_t lock;
    char *path;             /* absolute; "": standard output */
    int level, format, timestamp_format;
    char *syslog_ident;     /* NULL: not to the system's log */
    void (*sink)(void *context, int level, const char *text); /* NULL: a file or standard output */
    void *sink_context;
} roan_log;

/* Takes file, level, forms and the system's log from the configuration. One log per process may use the system's. */
void roan_log_init(roan_log *log, const roan_config *config);
void roan_log_done(roan_log *log);

/* Lines go to `sink` from now on, as bare texts and one at a time, instead of to a file or standard output. */
void roan_log_divert(roan_log *log, void (*sink)(void *context, int level, const char *text), void *context);

/* Level and forms while the server runs. Any thread. */
void roan_log_configure(roan_log *log, const roan_config *config);

/* Any thread. Long texts are cut. */
void roan_log_write(roan_log *log, int level, const char *format, ...) ROAN_PRINTF(3, 4);

/* Appends what roan_log_write would write. `now_us` is wall-clock time. */
void roan_log_format(const roan_log *log, int level, int64_t now_us, const char *text, roan_buffer *ret_line);
