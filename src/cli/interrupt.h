/* cli/interrupt.h: Ctrl-C as a flag. */
#pragma once

#include <stdbool.h>

/* From now on SIGINT sets the flag instead of ending the program. System calls return EINTR. */
void roan_cli_interrupt_catch(void);

/* As roan_cli_interrupt_catch for the first SIGINT; a second one ends the program. */
void roan_cli_interrupt_catch_once(void);

/* True when SIGINT came since the last clear. */
bool roan_cli_interrupt_is_set(void);
void roan_cli_interrupt_clear(void);
