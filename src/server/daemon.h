/* server/daemon.h: going to the background. */
#pragma once

#include "roan/base.h"

/* Forks. The parent never returns: it waits and exits with what roan_daemon_tell is told, so that whoever started the
 * server sees errors and, after exit code 0, can connect. The child leaves the terminal's session but keeps its output
 * until then. Before other threads start. */
roan_status roan_daemon_start(int *ret_tell_fd, roan_error *reterr) ROAN_MUST_CHECK;

/* In the child: ends the parent. With exit code 0 standard input, output and error are given up, too. */
void roan_daemon_tell(int tell_fd, int exit_code);
