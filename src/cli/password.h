/* cli/password.h: asking for a password. */
#pragma once

#include <stdbool.h>

/* Asks on the terminal, or reads a line of standard input when there is none. Replaces *password.
 * */
bool roan_cli_ask_password(char **password);
