/* server/main.c: `roan server`: read the configuration, listen, serve until a signal or SHUTDOWN, exit with its code. */
#include "roan/server.h"

#include "base/macros.h"
#include "server/apply.h"
#include "server/startup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

static roan_server *running; /* for the signal handler only */
static volatile sig_atomic_t signal_count;

static void on_signal(int signal_number)
{
    if (++signal_count > 1)
        _exit(128 + signal_number); /* asked twice: at once */
    if (running != NULL)
        roan_server_stop(running, 0);
}

static void handle_signals(roan_server *server)
{
    struct sigaction action = {.sa_handler = on_signal};
    running = server;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static void log_remarks(roan_server *server, const roan_startup *startup)
{
    for (const char *text = NULL; (text = roan_startup_remark(startup, text)) != NULL;)
        roan_log_write(&server->log, ROAN_LOG_WARNING, "%s", text);
}

/* Leaves the terminal: the parent exits, the child goes on in a session of its own. */
static roan_status become_daemon(roan_error *reterr)
{
    pid_t pid = fork();
    if (pid < 0)
        return roan_error_set(reterr, ROAN_E_SYSTEM, "daemonize: fork failed");
    if (pid > 0)
        _exit(0);
    setsid();
    int null = open("/dev/null", O_RDWR);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        if (null > STDERR_FILENO)
            close(null);
    }
    return ROAN_OK;
}

static void write_pid_file(const roan_config *config)
{
    const char *path = config->pidfile[0] != '\0' ? config->pidfile : config->daemonize ? "/var/run/roan.pid" : "";
    FILE *file = path[0] == '\0' ? NULL : fopen(path, "w");
    if (file == NULL)
        return;
    fprintf(file, "%d\n", (int)getpid());
    fclose(file);
}

static int serve(roan_startup *startup, const char *name)
{
    roan_error error;
    roan_server *server = NULL;
    int exit_code = 1;
    roan_status status = startup->config.daemonize ? become_daemon(&error) : ROAN_OK;
    if (status == ROAN_OK)
        status = roan_server_create(&startup->config, startup->config_path, &server, &error);
    if (status == ROAN_OK) {
        roan_server_apply_at_start(server);
        status = roan_server_listen(server, &error);
    }
    if (status == ROAN_OK) {
        handle_signals(server);
        write_pid_file(&startup->config);
        log_remarks(server, startup);
        exit_code = roan_server_run(server);
        if (startup->config.pidfile[0] != '\0')
            ROAN_IGNORE(unlink(startup->config.pidfile)); /* it may be gone */
    } else {
        fprintf(stderr, "%s: %s\n", name, error.text);
    }
    running = NULL;
    roan_server_free(server);
    return exit_code;
}

int roan_server_main(int argc, char **argv)
{
    roan_startup startup;
    int exit_code = 0;
    if (roan_startup_read(&startup, argc, argv, environ, stdout, stderr, &exit_code))
        exit_code = serve(&startup, argv[0]);
    roan_startup_done(&startup);
    return exit_code;
}
