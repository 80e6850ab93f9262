/* server/process.h: the process as the system around it sees it: title, OOM score, huge pages, supervisor.
 *
 * One roan_process per program; it belongs to the main thread, or to whoever holds the engine's gate.
 */
#pragma once

#include "base/buffer.h"
#include "engine/config.h"

typedef struct roan_process {
    char *title_room; /* where ps finds the command line; NULL: the title cannot be changed */
    size_t title_bytes;
    int64_t oom_score_before; /* what the process started with */
    bool has_oom_score;       /* and it has been changed since */
} roan_process;

/* Finds the room for the title, which moves the environment. Before other threads start. */
void roan_process_init(roan_process *process);

/* Appends what proc-title-template makes of the configuration. config_path may be "". */
void roan_process_title(const roan_config *config, const char *config_path, roan_buffer *ret_title);

/* Shows the title in ps and top, unless set-proc-title says no. Cut when it is longer than the room. */
void roan_process_show_title(roan_process *process, const roan_config *config, const char *config_path);

/* Makes oom-score-adj true for a primary. */
roan_status roan_process_set_oom_score(roan_process *process, const roan_config *config,
                                       roan_error *reterr) ROAN_MUST_CHECK;

/* disable-thp. */
roan_status roan_process_disable_huge_pages(roan_error *reterr) ROAN_MUST_CHECK;

/* `supervised`: tells systemd or upstart that the server serves. Fails when they were asked for and are not there. */
roan_status roan_process_tell_ready(const roan_config *config, roan_error *reterr) ROAN_MUST_CHECK;
