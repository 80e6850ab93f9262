/* server/log.c: see log.h. A line goes out in one write(2), so that lines of several processes on one file stay
 * whole. */
#include "server/log.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define TEXT_BYTES_MAX 2048

/* By ROAN_LOG_*. */
static const struct {
    char mark;
    const char *name;
    int priority;
} levels[] = {
    [ROAN_LOG_DEBUG] = {'.', "debug", LOG_DEBUG},
    [ROAN_LOG_VERBOSE] = {'-', "info", LOG_INFO},
    [ROAN_LOG_NOTICE] = {'*', "notice", LOG_NOTICE},
    [ROAN_LOG_WARNING] = {'#', "warning", LOG_WARNING},
};

/* ---- life ---- */

/* `dir` may change while the server runs; the log stays where it is. */
static char *absolute_path(const roan_config *config)
{
    char folder[PATH_MAX];
    if (config->logfile[0] == '\0' || config->logfile[0] == '/' || getcwd(folder, sizeof folder) == NULL)
        return roan_text_dup(config->logfile);
    roan_buffer path = {0};
    roan_buffer_printf(&path, "%s/%s", folder, config->logfile);
    char *text = roan_text_dup_bytes(path.data, path.bytes);
    roan_buffer_done(&path);
    return text;
}

void roan_log_init(roan_log *log, const roan_config *config)
{
    *log = (roan_log){.path = absolute_path(config)};
    ROAN_ASSERT(pthread_mutex_init(&log->lock, NULL) == 0);
    roan_log_configure(log, config);
    if (!config->syslog_enabled)
        return;
    log->syslog_ident = roan_text_dup(config->syslog_ident); /* openlog() keeps the pointer */
    openlog(log->syslog_ident, LOG_PID | LOG_NDELAY, (int)config->syslog_facility);
}

void roan_log_done(roan_log *log)
{
    if (log->syslog_ident != NULL)
        closelog();
    pthread_mutex_destroy(&log->lock);
    roan_text_free(log->path);
    roan_text_free(log->syslog_ident);
}

void roan_log_divert(roan_log *log, void (*sink)(void *context, int level, const char *text), void *context)
{
    pthread_mutex_lock(&log->lock);
    log->sink = sink;
    log->sink_context = context;
    pthread_mutex_unlock(&log->lock);
}

void roan_log_configure(roan_log *log, const roan_config *config)
{
    pthread_mutex_lock(&log->lock);
    log->level = (int)config->loglevel;
    log->format = (int)config->log_format;
    log->timestamp_format = (int)config->log_timestamp_format;
    pthread_mutex_unlock(&log->lock);
}

/* ---- lines ---- */

static void append_time(const roan_log *log, int64_t now_us, roan_buffer *ret_line)
{
    char when[64];
    struct tm parts;
    time_t now_s = (time_t)(now_us / 1000000);
    int ms = (int)(now_us / 1000 % 1000);
    if (log->timestamp_format == ROAN_LOG_TIME_MILLISECONDS) {
        roan_buffer_printf(ret_line, "%lld", (long long)(now_us / 1000));
        return;
    }
    localtime_r(&now_s, &parts);
    if (log->timestamp_format == ROAN_LOG_TIME_LEGACY) {
        strftime(when, sizeof when, "%d %b %Y %H:%M:%S", &parts);
        roan_buffer_printf(ret_line, "%s.%03d", when, ms);
        return;
    }
    long minutes = parts.tm_gmtoff / 60, distance = minutes < 0 ? -minutes : minutes;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &parts);
    roan_buffer_printf(ret_line, "%s.%03d%c%02ld:%02ld", when, ms, minutes < 0 ? '-' : '+', distance / 60,
                       distance % 60);
}

/* What must not stand in quotes as it is, in the way of JSON, which logfmt's readers understand, too. */
static void append_escaped(const char *text, roan_buffer *ret_line)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            roan_buffer_printf(ret_line, "\\%c", c);
        else if (c == '\n')
            roan_buffer_append_text(ret_line, "\\n");
        else if (c < ' ')
            roan_buffer_printf(ret_line, "\\u%04x", c);
        else
            roan_buffer_append_char(ret_line, (char)c);
    }
}

void roan_log_format(const roan_log *log, int level, int64_t now_us, const char *text, roan_buffer *ret_line)
{
    int pid = (int)getpid();
    switch (log->format) {
    case ROAN_LOG_FORMAT_JSON:
        roan_buffer_printf(ret_line, "{\"pid\":%d,\"role\":\"primary\",\"timestamp\":\"", pid);
        append_time(log, now_us, ret_line);
        roan_buffer_printf(ret_line, "\",\"level\":\"%s\",\"message\":\"", levels[level].name);
        append_escaped(text, ret_line);
        roan_buffer_append_text(ret_line, "\"}\n");
        return;
    case ROAN_LOG_FORMAT_LOGFMT:
        roan_buffer_printf(ret_line, "pid=%d role=primary timestamp=\"", pid);
        append_time(log, now_us, ret_line);
        roan_buffer_printf(ret_line, "\" level=%s message=\"", levels[level].name);
        append_escaped(text, ret_line);
        roan_buffer_append_text(ret_line, "\"\n");
        return;
    default:
        roan_buffer_printf(ret_line, "%d:M ", pid);
        append_time(log, now_us, ret_line);
        roan_buffer_printf(ret_line, " %c %s\n", levels[level].mark, text);
    }
}

/* ---- writing ---- */

static void write_line(const roan_log *log, const roan_buffer *line)
{
    bool is_file = log->path[0] != '\0';
    int fd = is_file ? open(log->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : STDOUT_FILENO;
    if (fd < 0)
        return; /* there is nowhere to report it */
    for (size_t sent = 0; sent < line->bytes;) {
        ssize_t bytes = write(fd, line->data + sent, line->bytes - sent);
        if (bytes < 0 && errno != EINTR)
            break;
        sent += bytes > 0 ? (size_t)bytes : 0;
    }
    if (is_file)
        close(fd);
}

void roan_log_write(roan_log *log, int level, const char *format, ...)
{
    char text[TEXT_BYTES_MAX];
    struct timespec now;
    roan_buffer line = {0};
    va_list arguments;
    va_start(arguments, format);
    ROAN_IGNORE(vsnprintf(text, sizeof text, format, arguments)); /* cut lines are fine */
    va_end(arguments);
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&log->lock);
    if (level >= log->level && level < ROAN_LOG_NOTHING) {
        if (log->sink != NULL) {
            log->sink(log->sink_context, level, text);
        } else {
            roan_log_format(log, level, (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000, text, &line);
            write_line(log, &line);
        }
        if (log->syslog_ident != NULL)
            syslog(levels[level].priority, "%s", text);
    }
    pthread_mutex_unlock(&log->lock);
    roan_buffer_done(&line);
}
