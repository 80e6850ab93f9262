/* server/apply.c: applying configuration to the running process.
 *
 * Hooks run with the gate shut, on the thread of whichever worker got the CONFIG SET. What belongs to worker 0's loop
 * (accepting on other sockets) is mailed to it; everything else is done when the hook returns.
 */
#include "server/apply.h"

#include "base/macros.h"
#include "engine/acl.h"
#include "engine/evict.h"
#include "server/client_memory.h"
#include "server/crash.h"
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

/* Not of a server inside another program: what concerns the process is that program's. */
static bool owns_process(const roan_server *server)
{
    return server->process != NULL;
}

static roan_status apply_maxclients(void *context, roan_config *config, roan_error *reterr)
{
    return owns_process(context) ? raise_file_limit(config->maxclients, reterr) : ROAN_OK;
}

static roan_status apply_log(void *context, roan_config *config, roan_error *reterr)
{
    (void)reterr;
    roan_server *server = context;
    roan_log_configure(&server->log, config);
    if (owns_process(server))
        roan_crash_watch(server->log.path, config->crash_log_enabled);
    return ROAN_OK;
}

static roan_status apply_dir(void *context, roan_config *config, roan_error *reterr)
{
    char path[PATH_MAX];
    if (!owns_process(context))
        return roan_error_set(reterr, ROAN_E_SYSTEM,
                              "the server runs inside another program, whose working directory it leaves alone");
    if (chdir(config->dir) != 0 || getcwd(path, sizeof path) == NULL)
        return roan_error_set(reterr, ROAN_E_SYSTEM, "%s", strerror(errno));
    roan_config_set_string(&config->dir, roan_slice_from_text(path));
    return ROAN_OK;
}

static roan_status apply_locale(void *context, roan_config *config, roan_error *reterr)
{
    roan_engine *engine = ((roan_server *)context)->engine;
    locale_t collation = newlocale(LC_COLLATE_MASK, config->locale_collate, (locale_t)0);
    if (collation == (locale_t)0)
        return roan_error_set(reterr, ROAN_E_CONFIG, "Invalid locale name");
    if (engine->collation != (locale_t)0)
        freelocale(engine->collation);
    engine->collation = collation;
    return ROAN_OK;
}

static roan_status apply_client_memory(void *context, roan_config *config, roan_error *reterr)
{
    (void)config;
    (void)reterr;
    roan_client_memory_limit_changed(&((roan_server *)context)->engine->lanes[0]);
    return ROAN_OK;
}

static roan_status apply_password(void *context, roan_config *config, roan_error *reterr)
{
    (void)config;
    (void)reterr;
    roan_acl_password_changed(((roan_server *)context)->engine);
    return ROAN_OK;
}

/* Lane 0 begins to evict at once, and goes on until memory is below the limit. */
static roan_status apply_maxmemory(void *context, roan_config *config, roan_error *reterr)
{
    (void)reterr;
    roan_server *server = context;
    roan_lane *lane = &server->engine->lanes[0];
    size_t used = roan_memory_counted(server->engine);
    if (config->maxmemory == 0 || used <= config->maxmemory)
        return ROAN_OK;
    roan_log_write(&server->log, ROAN_LOG_WARNING,
                   "maxmemory is now %llu bytes, but %zu are in use: keys are evicted as maxmemory-policy allows, and "
                   "writes refused",
                   (unsigned long long)config->maxmemory, used);
    lane->next_work_us = 0;
    server->engine->host.wake(server->engine->host.context, lane);
    return ROAN_OK;
}

/* ---- the process ---- */

static void show_title(roan_server *server, const roan_config *config)
{
    if (owns_process(server))
        roan_process_show_title(server->process, config, server->config_path);
}

static roan_status apply_title(void *context, roan_config *config, roan_error *reterr)
{
    (void)reterr;
    show_title(context, config);
    return ROAN_OK;
}

static roan_status apply_oom_score(void *context, roan_config *config, roan_error *reterr)
{
    roan_server *server = context;
    return owns_process(server) ? roan_process_set_oom_score(server->process, config, reterr) : ROAN_OK;
}

/* ---- listeners ---- */

typedef struct sync_mail {
    roan_mail mail;
    roan_server *server;
} sync_mail;

static void deliver_sync(roan_mail *mail, void *receiver)
{
    (void)receiver;
    roan_server *server = ((sync_mail *)mail)->server;
    roan_free(mail, sizeof(sync_mail));
    roan_worker_sync_listeners(&server->workers[0]);
}

static roan_status apply_listen(void *context, roan_config *config, roan_error *reterr)
{
    roan_server *server = context;
    if (!owns_process(server) && config->port != 0)
        return roan_error_set(reterr, ROAN_E_SYSTEM, "the server runs inside another program and does not listen");
    roan_status status = roan_listeners_change(&server->listeners, config, false, reterr);
    if (status != ROAN_OK)
        return status;
    sync_mail *message = roan_alloc(sizeof *message);
    *message = (sync_mail){.mail.deliver = deliver_sync, .server = server};
    roan_lane_send(&server->engine->lanes[0], &message->mail);
    show_title(server, config);
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
    hooks->at[ROAN_APPLY_TITLE] = (roan_config_hook){apply_title, server};
    hooks->at[ROAN_APPLY_OOM_SCORE] = (roan_config_hook){apply_oom_score, server};
    hooks->at[ROAN_APPLY_LOCALE] = (roan_config_hook){apply_locale, server};
    hooks->at[ROAN_APPLY_PASSWORD] = (roan_config_hook){apply_password, server};
    hooks->at[ROAN_APPLY_MAXMEMORY] = (roan_config_hook){apply_maxmemory, server};
    hooks->at[ROAN_APPLY_CLIENT_MEMORY] = (roan_config_hook){apply_client_memory, server};
}

/* ---- at start ---- */

/* As many clients as the system allows, when those that are wanted are too many. */
static void limit_clients(roan_server *server, roan_config *config)
{
    roan_error error;
    struct rlimit limit;
    if (raise_file_limit(config->maxclients, &error) == ROAN_OK || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    int64_t possible = ROAN_MAX((int64_t)limit.rlim_cur - FILES_RESERVED, 1);
    roan_log_write(&server->log, ROAN_LOG_WARNING,
                   "maxclients is %lld but the system allows %lld open files: serving at most %lld clients (see "
                   "ulimit -n)",
                   (long long)config->maxclients, (long long)limit.rlim_cur, (long long)possible);
    config->maxclients = ROAN_MIN(config->maxclients, possible);
}

static void prepare_process(roan_server *server, roan_config *config)
{
    roan_error error;
    roan_crash_watch(server->log.path, config->crash_log_enabled);
    show_title(server, config);
    if (config->disable_thp && roan_process_disable_huge_pages(&error) != ROAN_OK)
        roan_log_write(&server->log, ROAN_LOG_WARNING, "disable-thp: %s", error.text);
    if (apply_oom_score(server, config, &error) != ROAN_OK)
        roan_log_write(&server->log, ROAN_LOG_WARNING, "oom-score-adj: the system refuses the new score");
}

void roan_server_apply_at_start(roan_server *server)
{
    roan_config *config = &server->engine->config;
    roan_error error;
    if (owns_process(server)) {
        limit_clients(server, config);
        prepare_process(server, config);
    }
    if (apply_locale(server, config, &error) != ROAN_OK)
        roan_log_write(&server->log, ROAN_LOG_WARNING, "locale-collate '%s': %s", config->locale_collate, error.text);
}
