/* server/startup.h: what the server was told before it starts: flags, environment, files.
 *
 * Weakest first: the defaults, the configuration file, standard input (`-`), the environment, flags.
 */
#pragma once

#include "base/buffer.h"
#include "engine/config.h"

#include <stdio.h>

typedef struct roan_startup {
    roan_config config;
    char *config_path;   /* absolute; "" when started without a file */
    roan_buffer remarks; /* texts to log once the log is open, each with its NUL; see roan_startup_remark */
} roan_startup;

/* Reads everything. True: start the server with startup->config. False: it was --help or the like, or there was an
 * error, which `err` has been told; leave with *ret_exit_code. argv[0] is the name for messages ("roan server"). The
 * working directory is now config.dir. Always pair with roan_startup_done. */
bool roan_startup_read(roan_startup *startup, int argc, char *const *argv, char *const *environment, FILE *out,
                       FILE *err, int *ret_exit_code) ROAN_MUST_CHECK;
void roan_startup_done(roan_startup *startup);

/* For a server inside another program: `defaults` (name, value, name, value ...), then the text of a configuration file,
 * then flags as on a command line, each stronger than what is before it. No environment, no working directory, and what
 * would need the whole process is refused. Always pair with roan_startup_done. */
roan_status roan_startup_read_inside(roan_startup *startup, const char *const *defaults, size_t default_count,
                                     const char *text, char *const *flags, int flag_count,
                                     roan_error *reterr) ROAN_MUST_CHECK;

/* The remark after `previous` (NULL: the first one); NULL after the last. */
const char *roan_startup_remark(const roan_startup *startup, const char *previous);
