/* cli/interrupt.h: Ctrl-C as a flag. */
#pragma once

#include <poll.h>
#include <stdbool.h>

/* From now on SIGINT sets the flag instead of ending the program, and only inside
 * roan_cli_interrupt_poll, so that none comes between looking at the flag and going to sleep. */
void roan_cli_interrupt_catch(void);

/* poll(2) that a SIGINT ends with EINTR. */
int roan_cli_interrupt_poll(struct pollfd *entries, nfds_t count, int timeout_ms);

/* The first SIGINT sets the flag, at any time; a second one ends the program. */
void roan_cli_interrupt_catch_once(void);

/* True when SIGINT came since the last clear. */
bool roan_cli_interrupt_is_set(void);
void roan_cli_interrupt_clear(void);
