/* cli/complete.h: what TAB offers. */
#pragma once

#include "cli/text.h"

typedef struct roan_cli_candidates {
    char **items; /* whole lines, in the order of the command table */
    size_t count;
    size_t common_bytes; /* how many first bytes all items share, ignoring case */
} roan_cli_candidates;

/* Lines that `line` may be completed to: commands, subcommands, and topics behind "help ". Letters
 * follow the case that the person types in. End with roan_cli_candidates_done. */
void roan_cli_complete(const char *line, roan_cli_candidates *ret_candidates);

void roan_cli_candidates_done(roan_cli_candidates *candidates);
