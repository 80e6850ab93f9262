/* cli/interactive.h: the prompt. */
#pragma once

#include "cli/session.h"

/* Reads commands from standard input and runs them until it ends. Returns the exit status. */
int roan_cli_interactive(roan_cli_session *session);
