/* server/log.h: the server's log file: levels, one line per event, reopened never (use copytruncate or a pipe). */
#pragma once

#include "engine/config.h"
#include "roan/base.h"

#include <pthread.h>
#include <stdbool.h>

typedef struct roan_log {
    pthread_mutex_t lock;
    char *path;          /* "": standard output */
    int level;
} roan_log;

void roan_log_init(roan_log *log, const char *path, int level);
void roan_log_done(roan_log *log);
/* Changes level or file while running. */
void roan_log_set_level(roan_log *log, int level);

/* Any thread. Lines look like the reference's: pid:role date time level text. */
void roan_log_write(roan_log *log, int level, const char *format, ...) ROAN_PRINTF(3, 4);
