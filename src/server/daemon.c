/* server/daemon.c: `daemonize yes`.
 *
 *     parent: fork() ---- waits for a byte ------> exits with it (1 when the child died without a word)
 *     child:  setsid() -> starts the server -> roan_daemon_tell()
 */
#include "server/daemon.h"

#include "base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

ROAN_NORETURN static void wait_for_child(int fd)
{
    unsigned char exit_code = 1;
    while (read(fd, &exit_code, 1) < 0 && errno == EINTR)
        ;
    _exit(exit_code);
}

roan_status roan_daemon_start(int *ret_tell_fd, roan_error *reterr)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return roan_error_set_errno(reterr, errno, "daemonize: pipe");
    pid_t pid = fork();
    if (pid < 0) {
        int problem = errno;
        close(ends[0]);
        close(ends[1]);
        return roan_error_set_errno(reterr, problem, "daemonize: fork");
    }
    close(ends[pid > 0]);
    if (pid > 0)
        wait_for_child(ends[0]);
    setsid();
    *ret_tell_fd = ends[1];
    return ROAN_OK;
}

void roan_daemon_tell(int tell_fd, int exit_code)
{
    int null = exit_code == 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
    for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    if (null > STDERR_FILENO)
        close(null);
    unsigned char byte = (unsigned char)exit_code;
    ROAN_IGNORE(write(tell_fd, &byte, 1)); /* the parent may have been killed */
    close(tell_fd);
}
