/* server/log.c: log lines in the reference's format. The file is opened per line, so it can be moved away at any time. */
#include "server/log.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

void roan_log_init(roan_log *log, const char *path, int level)
{
    ROAN_ASSERT(pthread_mutex_init(&log->lock, NULL) == 0);
    log->path = roan_text_dup(path == NULL ? "" : path);
    log->level = level;
}

void roan_log_done(roan_log *log)
{
    pthread_mutex_destroy(&log->lock);
    roan_text_free(log->path);
}

void roan_log_set_level(roan_log *log, int level)
{
    pthread_mutex_lock(&log->lock);
    log->level = level;
    pthread_mutex_unlock(&log->lock);
}

static void write_line(roan_log *log, int level, const char *text)
{
    static const char marks[] = ".-*#";
    struct timeval now;
    struct tm parts;
    char when[64];
    gettimeofday(&now, NULL);
    localtime_r(&now.tv_sec, &parts);
    strftime(when, sizeof when, "%d %b %Y %H:%M:%S", &parts);
    FILE *file = log->path[0] == '\0' ? stdout : fopen(log->path, "a");
    if (file == NULL)
        return; /* there is nowhere to report it */
    fprintf(file, "%d:M %s.%03d %c %s\n", (int)getpid(), when, (int)(now.tv_usec / 1000), marks[level], text);
    fflush(file);
    if (file != stdout)
        fclose(file);
}

void roan_log_write(roan_log *log, int level, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    ROAN_IGNORE(vsnprintf(text, sizeof text, format, arguments)); /* cut lines are fine */
    va_end(arguments);
    pthread_mutex_lock(&log->lock);
    if (level >= log->level)
        write_line(log, level, text);
    pthread_mutex_unlock(&log->lock);
}
