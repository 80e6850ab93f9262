/* cli/hint.h: which arguments a half-typed command still takes. */
#pragma once

#include "cli/text.h"

/* Appends to `out` what may follow `line`, which is being typed: "key value [NX | XX]" after "set
 * ". Words that are complete, with white space behind them, are matched against the command's
 * syntax and left out; nothing is added when they do not fit it. */
void roan_cli_hint(const char *line, roan_cli_text *out);
