/* roan/commands.h: what every command of the server looks like, for programs that help people type them.
 *
 * Generated from the same rows that the server answers COMMAND from. All memory is static.
 */
#ifndef ROAN_COMMANDS_H
#define ROAN_COMMANDS_H

#include "roan/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct roan_command_help {
    const char *name;       /* lower case; subcommands as "client|list" */
    const char *arguments;  /* human syntax, e.g. "key value [NX | XX] [EX seconds]"; "" for none */
    const char *summary;    /* one sentence */
    const char *group;      /* "string", "generic", "connection", ... */
    const char *since;      /* "1.0.0" */
    const char *complexity; /* "O(1)" */
    int arity;              /* as in COMMAND: negative means at least -arity words */
} roan_command_help;

/* The commands in alphabetical order of their names; *ret_count receives how many. Any thread. */
ROAN_API const roan_command_help *roan_command_help_list(size_t *ret_count);

#ifdef __cplusplus
}
#endif
#endif
