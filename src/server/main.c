/* server/main.c: `roan server`: read the configuration, listen, serve until a signal or SHUTDOWN, exit with its
 * code. */
#include "roan/server.h"

#include "base/macros.h"
#include "server/apply.h"
#include "server/crash.h"
#include "server/daemon.h"
#include "server/startup.h"
#include "server/users.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* ---- signals ---- */

static roan_server *_Atomic running; /* for the signal handler only */

/* The first one asks the server to end in order, the next one ends it at once. */
static void on_signal(int signal_number)
{
    roan_server *server = running;
    if (server == NULL || atomic_exchange(&server->stop_signal, signal_number) != 0)
        _exit(128 + signal_number);
    roan_server_stop(server, 0);
}

static void handle_signals(roan_server *server)
{
    struct sigaction action = {.sa_handler = on_signal};
    running = server;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

static void ignore_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGHUP, &action, NULL); /* the log needs no reopening, and the server outlives its terminal */
}

/* ---- the file with the process number ---- */

/* Writes the file; its absolute path, as `dir` may change, or "" when there is none. Free it with roan_text_free. */
static char *write_pid_file(roan_server *server)
{
    const roan_config *config = &server->engine->config;
    char path[PATH_MAX];
    int bytes = snprintf(path, sizeof path, "%s%s%s", config->pidfile[0] == '/' ? "" : config->dir,
                         config->pidfile[0] == '/' ? "" : "/", config->pidfile);
    if (config->pidfile[0] == '\0')
        return roan_text_dup("");
    FILE *file = bytes < (int)sizeof path ? fopen(path, "we") : NULL;
    bool is_written = file != NULL && fprintf(file, "%d\n", (int)getpid()) > 0;
    if (file == NULL || fclose(file) != 0 || !is_written) {
        roan_log_write(&server->log, ROAN_LOG_WARNING, "pidfile '%s': %s", config->pidfile, strerror(errno));
        return roan_text_dup("");
    }
    return roan_text_dup(path);
}

/* ---- running ---- */

static void log_start(roan_server *server, const roan_startup *startup)
{
    roan_log_write(&server->log, ROAN_LOG_NOTICE, "Roan " ROAN_VERSION " starts as process %d, %s%s", (int)getpid(),
                   server->config_path[0] == '\0' ? "without a configuration file" : "configured by ",
                   server->config_path);
    for (const char *text = NULL; (text = roan_startup_remark(startup, text)) != NULL;)
        roan_log_write(&server->log, ROAN_LOG_WARNING, "%s", text);
}

static void log_ready(roan_server *server)
{
    const roan_config *config = &server->engine->config;
    char tcp[32] = "";
    if (config->port != 0 && config->bind[0] != '\0')
        snprintf(tcp, sizeof tcp, "port %lld", (long long)config->port);
    roan_log_write(&server->log, ROAN_LOG_NOTICE, "Ready to accept connections: %s%s%s, %u worker%s, %s", tcp,
                   tcp[0] != '\0' && config->unixsocket[0] != '\0' ? ", " : "", config->unixsocket,
                   server->worker_count, server->worker_count == 1 ? "" : "s", roan_net_name(server->workers[0].net));
}

static roan_status start(roan_startup *startup, roan_process *process, roan_server **ret_server, roan_error *reterr)
{
    roan_server_options options = {
        .config = &startup->config, .config_path = startup->config_path, .process = process};
    roan_status status = roan_server_create(&options, ret_server, reterr);
    if (status != ROAN_OK)
        return status;
    roan_server *server = *ret_server;
    log_start(server, startup);
    roan_server_apply_at_start(server);
    status = roan_users_load_at_start(server->engine, reterr);
    if (status == ROAN_OK)
        status = roan_server_listen(server, reterr);
    if (status == ROAN_OK)
        status = roan_server_start(server, reterr);
    if (status != ROAN_OK && server->log.path[0] != '\0')
        roan_log_write(&server->log, ROAN_LOG_WARNING, "The server cannot start: %s", reterr->text);
    return status;
}

static int run(roan_server *server, int tell_fd)
{
    roan_error error;
    handle_signals(server);
    char *pid_path = write_pid_file(server);
    log_ready(server);
    if (roan_process_tell_ready(&server->engine->config, &error) != ROAN_OK)
        roan_log_write(&server->log, ROAN_LOG_WARNING, "%s", error.text);
    if (tell_fd >= 0)
        roan_daemon_tell(tell_fd, 0);
    int exit_code = roan_server_run(server);
    if (pid_path[0] != '\0')
        ROAN_IGNORE(unlink(pid_path)); /* it may be gone */
    roan_text_free(pid_path);
    roan_log_write(&server->log, ROAN_LOG_NOTICE, "Roan has ended");
    return exit_code;
}

static int serve(roan_startup *startup, roan_process *process, const char *name)
{
    roan_error error;
    roan_server *server = NULL;
    int exit_code = 1, tell_fd = -1;
    ignore_signals();
    roan_status status = startup->config.daemonize ? roan_daemon_start(&tell_fd, &error) : ROAN_OK;
    if (status == ROAN_OK)
        status = start(startup, process, &server, &error);
    if (status == ROAN_OK) {
        exit_code = run(server, tell_fd);
    } else {
        fprintf(stderr, "%s: %s\n", name, error.text);
        if (tell_fd >= 0)
            roan_daemon_tell(tell_fd, exit_code);
    }
    running = NULL;
    roan_server_free(server);
    return exit_code;
}

int roan_server_main(int argc, char **argv)
{
    roan_startup startup;
    roan_process process;
    int exit_code = 0;
    roan_process_init(&process);
    if (roan_startup_read(&startup, argc, argv, environ, stdout, stderr, &exit_code))
        exit_code = serve(&startup, &process, argv[0]);
    roan_startup_done(&startup);
    return exit_code;
}
