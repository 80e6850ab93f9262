/* base/clock.c: the real clock over clock_gettime and the processor's counter, and the virtual one.
 *
 * The counter's rate is measured against CLOCK_MONOTONIC once, over a few milliseconds, before main(); a processor
 * without a constant counter falls back to clock_gettime. Ticks become nanoseconds by one multiplication (32.32 fixed
 * point). */
#include "base/clock.h"

#include "base/macros.h"

#include <stdatomic.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#define CALIBRATION_NS 2000000

static bool use_counter;
static uint64_t ns_per_tick_32; /* nanoseconds per tick, times 2^32 */

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static ROAN_ALWAYS_INLINE uint64_t read_counter(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#elif defined(__aarch64__)
    uint64_t value;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
    return value;
#else
    return 0;
#endif
}

static bool counter_is_constant(void)
{
#if defined(__x86_64__)
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & (1u << 8)) != 0; /* invariant TSC */
#elif defined(__aarch64__)
    return true;
#else
    return false;
#endif
}

__attribute__((constructor)) static void calibrate(void)
{
    use_counter = counter_is_constant();
    if (!use_counter)
        return;
    uint64_t start_ns = monotonic_ns(), start = read_counter(), now_ns;
    do
        now_ns = monotonic_ns();
    while (now_ns - start_ns < CALIBRATION_NS);
    uint64_t ticks = read_counter() - start;
    ns_per_tick_32 = (uint64_t)(((unsigned __int128)(now_ns - start_ns) << 32) / (ticks > 0 ? ticks : 1));
}

void roan_clock_init(roan_clock *clock)
{
    clock->is_virtual = false;
    atomic_init(&clock->virtual_us, 0);
    atomic_init(&clock->stopped_us, ROAN_CLOCK_RUNS);
    atomic_init(&clock->shift_us, 0);
}

void roan_clock_init_virtual(roan_clock *clock, int64_t wall_us)
{
    clock->is_virtual = true;
    atomic_init(&clock->virtual_us, wall_us);
    atomic_init(&clock->stopped_us, ROAN_CLOCK_RUNS);
    atomic_init(&clock->shift_us, 0);
}

void roan_clock_advance(roan_clock *clock, int64_t delta_us)
{
    ROAN_ASSERT(clock->is_virtual);
    atomic_fetch_add(&clock->virtual_us, delta_us);
}

static int64_t system_wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t roan_clock_wall_us(const roan_clock *clock)
{
    if (ROAN_UNLIKELY(clock->is_virtual))
        return atomic_load_explicit(&clock->virtual_us, memory_order_relaxed);
    int64_t stopped_us = atomic_load_explicit(&clock->stopped_us, memory_order_acquire);
    if (ROAN_UNLIKELY(stopped_us != ROAN_CLOCK_RUNS))
        return stopped_us;
    return system_wall_us() + atomic_load_explicit(&clock->shift_us, memory_order_relaxed);
}

void roan_clock_set_wall(roan_clock *clock, int64_t wall_us)
{
    ROAN_ASSERT(!clock->is_virtual && wall_us != ROAN_CLOCK_RUNS);
    if (atomic_load(&clock->stopped_us) != ROAN_CLOCK_RUNS)
        atomic_store(&clock->stopped_us, wall_us);
    else
        atomic_store(&clock->shift_us, wall_us - system_wall_us());
}

void roan_clock_stop_wall(roan_clock *clock)
{
    ROAN_ASSERT(!clock->is_virtual);
    atomic_store(&clock->stopped_us, roan_clock_wall_us(clock));
}

void roan_clock_run_wall(roan_clock *clock)
{
    int64_t stopped_us = atomic_load(&clock->stopped_us);
    ROAN_ASSERT(!clock->is_virtual);
    if (stopped_us == ROAN_CLOCK_RUNS)
        return;
    atomic_store(&clock->shift_us, stopped_us - system_wall_us());
    atomic_store(&clock->stopped_us, ROAN_CLOCK_RUNS);
}

uint64_t roan_clock_ticks_real(void)
{
    return ROAN_LIKELY(use_counter) ? read_counter() : monotonic_ns();
}

uint64_t roan_clock_ticks(const roan_clock *clock)
{
    if (ROAN_UNLIKELY(clock->is_virtual))
        return (uint64_t)atomic_load_explicit(&clock->virtual_us, memory_order_relaxed);
    return roan_clock_ticks_real();
}

uint64_t roan_clock_ticks_to_ns(const roan_clock *clock, uint64_t ticks)
{
    if (ROAN_UNLIKELY(clock->is_virtual))
        return ticks * 1000;
    if (!use_counter)
        return ticks;
    return (uint64_t)(((unsigned __int128)ticks * ns_per_tick_32) >> 32);
}

int64_t roan_clock_monotonic_us(const roan_clock *clock)
{
    return roan_clock_ticks_to_us(clock, roan_clock_ticks(clock));
}
