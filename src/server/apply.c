/* server/apply.c: applying configuration to the running process.
 *
 * Listeners: the new sockets are opened at once, so that an error reaches the client and the old ones stay; the loop of
 * worker 0 switches to them when it gets the mail. A listener that is closing stays in memory until its last event.
 */
#include "server/apply.h"

#include "base/macros.h"
#include "server/client_memory.h"
#include "server/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES_RESERVED 32 /* descriptors that are no clients */

static roan_status raise_file_limit(int64_t clients, roan_error *reterr)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)clients + FILES_RESERVED;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return roan_error_set_errno(reterr, errno, "reading the limit of open files");
    if (limit.rlim_cur >= wanted)
        return ROAN_OK;
    struct rlimit raised = {.rlim_cur = wanted, .rlim_max = ROAN_MAX(limit.rlim_max, wanted)};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
        return ROAN_OK;
    return roan_error_set(reterr, ROAN_E_SYSTEM,
                          "The operating system is not able to handle the specified number of clients, try with %lld",
                          (long long)limit.rlim_cur - FILES_RESERVED);
}

static roan_status apply_maxclients(void *context, roan_config *config, roan_error *reterr)
{
    (void)context;
    return raise_file_limit(config->maxclients, reterr);
}

static roan_status apply_log(void *context, roan_config *config, roan_error *reterr)
{
    (void)reterr;
    roan_log_set_level(&((roan_server *)context)->log, (int)config->loglevel);
    return ROAN_OK;
}

static roan_status apply_dir(void *context, roan_config *config, roan_error *reterr)
{
    (void)context;
    char path[PATH_MAX];
    if (chdir(config->dir) != 0 || getcwd(path, sizeof path) == NULL)
        return roan_error_set(reterr, ROAN_E_SYSTEM, "%s", strerror(errno));
    roan_config_set_string(&config->dir, roan_slice_from_text(path));
    return ROAN_OK;
}

static roan_status apply_locale(void *context, roan_config *config, roan_error *reterr)
{
    (void)context;
    if (setlocale(LC_COLLATE, config->locale_collate) == NULL)
        return roan_error_set(reterr, ROAN_E_CONFIG, "Invalid locale name");
    return ROAN_OK;
}

static roan_status apply_client_memory(void *context, roan_config *config, roan_error *reterr)
{
    (void)config;
    (void)reterr;
    roan_client_memory_limit_changed(&((roan_server *)context)->engine->lanes[0]);
    return ROAN_OK;
}

/* ---- listeners ---- */

typedef struct switch_mail {
    roan_mail mail;
    roan_server *server;
} switch_mail;

static void deliver_switch(roan_mail *mail, void *receiver)
{
    (void)receiver;
    roan_server *server = ((switch_mail *)mail)->server;
    roan_free(mail, sizeof(switch_mail));
    roan_server_switch_listeners(server);
}

static roan_status apply_listen(void *context, roan_config *config, roan_error *reterr)
{
    roan_server *server = context;
    roan_listeners fresh;
    roan_config tcp_only = *config; /* the unix socket cannot change and stays */
    tcp_only.unixsocket = (char[]){""};
    if (roan_listeners_open(&tcp_only, &fresh, reterr) != ROAN_OK)
        return roan_error_set(reterr, ROAN_E_SYSTEM, "Failed to bind to specified addresses.");
    roan_listeners_close(&server->next_listeners);
    server->next_listeners = fresh;
    switch_mail *message = roan_alloc(sizeof *message);
    *message = (switch_mail){.mail.deliver = deliver_switch, .server = server};
    roan_lane_send(&server->engine->lanes[0], &message->mail);
    return ROAN_OK;
}

void roan_server_init_hooks(roan_server *server)
{
    roan_config_hooks *hooks = &server->hooks;
    *hooks = (roan_config_hooks){.rewrite = server->config_path[0] == '\0' ? NULL : roan_file_rewrite_config,
                                 .rewrite_context = server->config_path};
    hooks->at[ROAN_APPLY_LISTEN] = (roan_config_hook){apply_listen, server};
    hooks->at[ROAN_APPLY_MAXCLIENTS] = (roan_config_hook){apply_maxclients, server};
    hooks->at[ROAN_APPLY_LOG] = (roan_config_hook){apply_log, server};
    hooks->at[ROAN_APPLY_DIR] = (roan_config_hook){apply_dir, server};
    hooks->at[ROAN_APPLY_LOCALE] = (roan_config_hook){apply_locale, server};
    hooks->at[ROAN_APPLY_CLIENT_MEMORY] = (roan_config_hook){apply_client_memory, server};
}

void roan_server_apply_at_start(roan_server *server)
{
    roan_config *config = &server->engine->config;
    roan_error error;
    struct rlimit limit;
    if (raise_file_limit(config->maxclients, &error) != ROAN_OK && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        int64_t possible = ROAN_MAX((int64_t)limit.rlim_cur - FILES_RESERVED, 1);
        roan_log_write(&server->log, ROAN_LOG_WARNING,
                       "maxclients is %lld but the system allows %lld open files: serving at most %lld clients",
                       (long long)config->maxclients, (long long)limit.rlim_cur, (long long)possible);
        config->maxclients = ROAN_MIN(config->maxclients, possible);
    }
    if (apply_locale(server, config, &error) != ROAN_OK)
        roan_log_write(&server->log, ROAN_LOG_WARNING, "locale-collate '%s': %s", config->locale_collate, error.text);
}
