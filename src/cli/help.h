/* cli/help.h: what the commands of the server are, for people. */
#pragma once

#include "cli/words.h"

/* Shows help for `words`: alone how to get help, "@group" the commands of a group, else the
 * commands whose name begins with the words. The first word, "help", is skipped. */
void roan_cli_help_print(const roan_cli_words *words, bool has_colours);
