/* cli/mode.h: what `roan cli` does besides running commands. Each runs until it is done or stopped
 * and returns the exit status. The session is connected, except where noted. */
#pragma once

#include "cli/session.h"

int roan_cli_mode_stat(roan_cli_session *session);              /* --stat */
int roan_cli_mode_latency(roan_cli_session *session);           /* --latency, --latency-history */
int roan_cli_mode_latency_dist(roan_cli_session *session);      /* --latency-dist */
int roan_cli_mode_intrinsic_latency(roan_cli_session *session); /* not connected */
int roan_cli_mode_scan(roan_cli_session *session);              /* --scan */
int roan_cli_mode_keys(roan_cli_session *session);              /* --bigkeys, --memkeys */
int roan_cli_mode_key_stats(roan_cli_session *session);         /* --keystats */
int roan_cli_mode_hot_keys(roan_cli_session *session);          /* --hotkeys */
int roan_cli_mode_pipe(roan_cli_session *session);              /* --pipe */
int roan_cli_mode_rdb(roan_cli_session *session);               /* --rdb, --functions-rdb */
int roan_cli_mode_replica(roan_cli_session *session);           /* --replica, SYNC, PSYNC */
int roan_cli_mode_hint_file(roan_cli_session *session);         /* --test_hint_file, no server */
