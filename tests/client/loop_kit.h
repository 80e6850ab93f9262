/* tests/client/loop_kit.h: one event loop with a timer of 10 ms, the same for every library; each kit is a file.
 *
 * The timer never turns a handle: what makes progress does so because the handle's descriptor woke the loop.
 */
#pragma once

#include "roan/client.h"

#define KIT_TICK_MS     10
#define KIT_HANDLES_MAX 4

extern const char *const kit_name;

/* A new loop; its timer calls on_tick. */
void kit_open(void (*on_tick)(void));
roan_status kit_attach(roan *client);
/* Also from a callback of the handle. */
void kit_detach(roan *client);
/* One iteration: sleeps until something happens, at most until the next tick, and deals with it. */
void kit_step(void);
/* Everything was detached. */
void kit_close(void);
