/* base/macros.h: assertions and the few compiler words we use everywhere.
 *
 * ROAN_ASSERT is always on and costs constant time: it catches our own mistakes, never bad input.
 * ROAN_VERIFY is on in checked builds (-Dverify=true: all tests) and may walk whole structures.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define ROAN_LIKELY(x) __builtin_expect(!!(x), 1)
#define ROAN_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define ROAN_MAYBE_UNUSED __attribute__((unused))
#define ROAN_NORETURN __attribute__((noreturn))
#define ROAN_ALWAYS_INLINE inline __attribute__((always_inline))
#define ROAN_NOINLINE __attribute__((noinline))
#define ROAN_COLD __attribute__((cold, noinline))
#define ROAN_PREFETCH(p) __builtin_prefetch(p)
#define ROAN_PREFETCH_WRITE(p) __builtin_prefetch((p), 1)
#define ROAN_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define ROAN_MIN(a, b) ((a) < (b) ? (a) : (b))
#define ROAN_MAX(a, b) ((a) > (b) ? (a) : (b))
#define ROAN_CACHE_LINE 64

/* A result that is deliberately not looked at; the reason stands beside it. */
#define ROAN_IGNORE(call)                     \
    do {                                      \
        __typeof__(call) ignored_ = (call);   \
        (void)ignored_;                       \
    } while (0)

ROAN_NORETURN ROAN_COLD void roan_assert_failed(const char *condition, const char *file, int line,
                                                const char *function);

#define ROAN_ASSERT(condition)                                                   \
    (ROAN_LIKELY(condition) ? (void)0                                            \
                            : roan_assert_failed(#condition, __FILE__, __LINE__, __func__))

#if defined(ROAN_CHECKED)
#define ROAN_VERIFY(condition) ROAN_ASSERT(condition)
#define ROAN_IS_CHECKED 1
#else
#define ROAN_VERIFY(condition) ((void)sizeof((condition) ? 1 : 0))
#define ROAN_IS_CHECKED 0
#endif

#define ROAN_UNREACHABLE(why) roan_assert_failed("unreachable: " why, __FILE__, __LINE__, __func__)
