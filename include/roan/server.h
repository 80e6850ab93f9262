/* roan/server.h: the Roan data server as a program.
 *
 * roan_server_main() is what `roan server` runs: it reads redis.conf files and flags, serves until SIGTERM, SIGINT or
 * SHUTDOWN, and returns the exit code of the process.
 */
#ifndef ROAN_SERVER_H
#define ROAN_SERVER_H

#include "roan/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* argv[0] is the name for messages ("roan server"); returns 0, or 1 after a message on standard error. */
ROAN_API int roan_server_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
