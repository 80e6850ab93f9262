/* server/process.c: title, OOM score, huge pages, supervisor. Linux only; what is missing elsewhere is left out.
 *
 * Title: the kernel shows the memory where exec put the arguments, so a title is written over them; when it is longer,
 * the kernel reads on into the environment, which is why that is copied elsewhere first.
 *
 *     | argv[0] \0 argv[1] \0 ... | NAME=value \0 ... |    ->    | title \0 \0 \0 ... |
 *     ^ title_room                                    ^ title_room + title_bytes
 */
#include "server/process.h"

#include "base/number.h"
#include "server/files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ARGUMENT_BYTES_MAX ((size_t)4 << 20)
#define TITLE_NAME "roan-server"
#define OOM_SCORE_PATH "/proc/self/oom_score_adj"
#define OOM_SCORE_MAX 1000 /* the kernel's range is -1000 to 1000 */

extern char **environ;

/* --- title -------------------------------------------------------------------------------------------------------- */

/* Copies the strings of the environment, so that the room they take behind the arguments becomes free (the array that
 * points to them is elsewhere). The copies belong to libc and are never freed. Returns the end of the room. */
static char *move_environment(char *end)
{
    for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
        char *copy = strdup(*variable);
        if (copy == NULL)
            return end;
        if (*variable == end)
            end += strlen(end) + 1;
        *variable = copy;
    }
    return end;
}

void roan_process_init(roan_process *process)
{
    roan_buffer arguments = {0};
    *process = (roan_process){0};
    char *room = program_invocation_name; /* glibc keeps where argv[0] was, whatever became of argv */
    roan_status status = roan_file_read("/proc/self/cmdline", ARGUMENT_BYTES_MAX, &arguments, NULL);
    if (status == ROAN_OK && arguments.bytes > 0 && memcmp(room, arguments.data, strlen(room) + 1) == 0) {
        char *name = strdup(room);
        if (name != NULL) {
            program_invocation_name = name;
            process->title_room = room;
            process->title_bytes = (size_t)(move_environment(room + arguments.bytes) - room);
        }
    }
    roan_buffer_done(&arguments);
}

typedef struct title_context {
    const roan_config *config;
    const char *config_path;
} title_context;

static void append_listen_address(const roan_config *config, roan_buffer *ret_text)
{
    if (config->port == 0) {
        roan_buffer_append_text(ret_text, config->unixsocket);
        return;
    }
    const char *address = config->bind + (config->bind[0] == '-');
    size_t bytes = strcspn(address, " ");
    roan_buffer_printf(ret_text, "%.*s:%lld", bytes > 0 ? (int)bytes : 1, bytes > 0 ? address : "*",
                       (long long)config->port);
}

static bool append_variable(void *context, roan_slice name, roan_buffer *ret_text)
{
    const title_context *title = context;
    if (roan_slice_is(name, "title"))
        roan_buffer_append_text(ret_text, TITLE_NAME);
    else if (roan_slice_is(name, "listen-addr"))
        append_listen_address(title->config, ret_text);
    else if (roan_slice_is(name, "port"))
        roan_buffer_printf(ret_text, "%lld", (long long)title->config->port);
    else if (roan_slice_is(name, "tls-port"))
        roan_buffer_append_text(ret_text, "0");
    else if (roan_slice_is(name, "unixsocket"))
        roan_buffer_append_text(ret_text, title->config->unixsocket);
    else if (roan_slice_is(name, "config-file"))
        roan_buffer_append_text(ret_text, title->config_path);
    return true; /* server-mode is empty for a server on its own; other names were refused when the option was set */
}

void roan_process_title(const roan_config *config, const char *config_path, roan_buffer *ret_title)
{
    title_context title = {config, config_path};
    size_t start = ret_title->bytes;
    ROAN_ASSERT(roan_config_expand_title(roan_slice_from_text(config->proc_title_template), append_variable, &title,
                                         ret_title));
    while (ret_title->bytes > start && ret_title->data[ret_title->bytes - 1] == ' ')
        ret_title->bytes--;
}

void roan_process_show_title(roan_process *process, const roan_config *config, const char *config_path)
{
    if (process->title_room == NULL || !config->set_proc_title)
        return;
    roan_buffer title = {0};
    roan_process_title(config, config_path, &title);
    size_t bytes = ROAN_MIN(title.bytes, process->title_bytes - 1);
    memset(process->title_room, 0, process->title_bytes);
    if (bytes > 0)
        memcpy(process->title_room, title.data, bytes);
    roan_buffer_done(&title);
}

/* --- the kernel --------------------------------------------------------------------------------------------------- */

static bool read_oom_score(int64_t *ret_score)
{
    roan_buffer text = {0};
    bool is_read = roan_file_read(OOM_SCORE_PATH, 64, &text, NULL) == ROAN_OK;
    while (text.bytes > 0 && text.data[text.bytes - 1] == '\n')
        text.bytes--;
    is_read = is_read && roan_parse_i64(roan_buffer_slice(&text), ret_score);
    roan_buffer_done(&text);
    return is_read;
}

static bool write_oom_score(int64_t score)
{
    char text[ROAN_I64_TEXT_MAX];
    size_t bytes = roan_format_i64(text, ROAN_MAX(-OOM_SCORE_MAX, ROAN_MIN(OOM_SCORE_MAX, score)));
    int fd = open(OOM_SCORE_PATH, O_WRONLY | O_CLOEXEC);
    bool is_written = fd >= 0 && write(fd, text, bytes) == (ssize_t)bytes;
    if (fd >= 0)
        close(fd);
    return is_written;
}

roan_status roan_process_set_oom_score(roan_process *process, const roan_config *config, roan_error *reterr)
{
    int64_t wanted = config->oom_score_adj_values[0];
    if (config->oom_score_adj == ROAN_OOM_SCORE_NO) {
        if (!process->has_oom_score)
            return ROAN_OK;
        wanted = process->oom_score_before;
    } else {
        if (!process->has_oom_score && !read_oom_score(&process->oom_score_before))
            return roan_error_set(reterr, ROAN_E_SYSTEM, "Failed to set current oom_score_adj. Check server logs.");
        if (config->oom_score_adj == ROAN_OOM_SCORE_RELATIVE)
            wanted += process->oom_score_before;
    }
    if (!write_oom_score(wanted))
        return roan_error_set(reterr, ROAN_E_SYSTEM, "Failed to set current oom_score_adj. Check server logs.");
    process->has_oom_score = config->oom_score_adj != ROAN_OOM_SCORE_NO;
    return ROAN_OK;
}

roan_status roan_process_disable_huge_pages(roan_error *reterr)
{
    if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0)
        return roan_error_set_errno(reterr, errno, "cannot turn transparent huge pages off");
    return ROAN_OK;
}

/* --- supervisors -------------------------------------------------------------------------------------------------- */

/* The protocol of sd_notify(3): one datagram to the socket that NOTIFY_SOCKET names; '@' is the abstract namespace. */
static roan_status tell_systemd(const char *path, roan_error *reterr)
{
    static const char message[] = "STATUS=Ready to accept connections\nREADY=1\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t bytes = strlen(path);
    if (bytes >= sizeof address.sun_path)
        return roan_error_set_errno(reterr, ENAMETOOLONG, "supervised systemd: NOTIFY_SOCKET");
    memcpy(address.sun_path, path, bytes);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return roan_error_set_errno(reterr, errno, "supervised systemd");
    socklen_t address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
    ssize_t sent = sendto(fd, message, sizeof message - 1, MSG_NOSIGNAL, (const struct sockaddr *)&address,
                          address_bytes);
    int failure = sent < 0 ? errno : 0;
    close(fd);
    return failure == 0 ? ROAN_OK : roan_error_set_errno(reterr, failure, "supervised systemd: '%s'", path);
}

roan_status roan_process_tell_ready(const roan_config *config, roan_error *reterr)
{
    const char *socket_path = getenv("NOTIFY_SOCKET"), *job = getenv("UPSTART_JOB");
    bool is_auto = config->supervised == ROAN_SUPERVISED_AUTO;
    if (config->supervised == ROAN_SUPERVISED_NO)
        return ROAN_OK;
    if (config->supervised == ROAN_SUPERVISED_SYSTEMD || (is_auto && socket_path != NULL)) {
        if (socket_path == NULL)
            return roan_error_set(reterr, ROAN_E_NO_ENTRY,
                                  "supervised systemd: NOTIFY_SOCKET is not set; is it a unit with Type=notify?");
        return tell_systemd(socket_path, reterr);
    }
    if (job == NULL && is_auto)
        return ROAN_OK;
    if (job == NULL)
        return roan_error_set(reterr, ROAN_E_NO_ENTRY, "supervised upstart: UPSTART_JOB is not set");
    unsetenv("UPSTART_JOB");
    ROAN_IGNORE(raise(SIGSTOP)); /* upstart waits for just this, and wakes us */
    return ROAN_OK;
}
