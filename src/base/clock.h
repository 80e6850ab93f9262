/* base/clock.h: time comes from outside. An engine asks its roan_clock; the real one asks the kernel, a virtual one
 * says what the test told it.
 *
 * Two kinds of time: wall (microseconds since 1970, what EXPIREAT means) and ticks (a cheap monotonic counter for
 * durations; on x86-64 and arm64 the processor's own). A virtual clock stands still unless it is advanced. The wall time
 * of a real clock can be moved and stopped; its ticks go on, so that whatever takes time is still measured. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct roan_clock {
    bool is_virtual;
    _Atomic int64_t virtual_us; /* wall time and ticks of a virtual clock, in microseconds */
    _Atomic int64_t stopped_us; /* where the wall time of a real clock stands, or ROAN_CLOCK_RUNS */
    _Atomic int64_t shift_us;   /* while it runs: what is added to the system's */
} roan_clock;

#define ROAN_CLOCK_RUNS INT64_MIN

/* The real clock. */
void roan_clock_init(roan_clock *clock);

/* A clock that shows wall_us until somebody changes it. */
void roan_clock_init_virtual(roan_clock *clock, int64_t wall_us);

/* Moves a virtual clock by delta_us (which may be negative). */
void roan_clock_advance(roan_clock *clock, int64_t delta_us);

/* Wall time of a real clock: shows wall_us from now on, stands still, goes on from where it stands. From one thread at a
 * time; others may read meanwhile. */
void roan_clock_set_wall(roan_clock *clock, int64_t wall_us);
void roan_clock_stop_wall(roan_clock *clock);
void roan_clock_run_wall(roan_clock *clock);

int64_t roan_clock_wall_us(const roan_clock *clock);

/* Monotonic ticks; convert differences with roan_clock_ticks_to_us or _ns. */
uint64_t roan_clock_ticks_real(void);
uint64_t roan_clock_ticks(const roan_clock *clock);
uint64_t roan_clock_ticks_to_ns(const roan_clock *clock, uint64_t ticks);

static inline int64_t roan_clock_ticks_to_us(const roan_clock *clock, uint64_t ticks)
{
    return (int64_t)(roan_clock_ticks_to_ns(clock, ticks) / 1000);
}

/* Monotonic microseconds. */
int64_t roan_clock_monotonic_us(const roan_clock *clock);
