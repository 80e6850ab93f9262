/* cli/bench_tests.h: the built-in tests of `roan bench`. */
#pragma once

#include "roan/base.h"

#include <stdbool.h>

typedef enum roan_bench_test_kind {
    ROAN_BENCH_TEST_USUAL,
    ROAN_BENCH_TEST_INLINE, /* sent as a line instead of an array of bulk strings */
    ROAN_BENCH_TEST_EXTRA   /* not in the default list */
} roan_bench_test_kind;

typedef struct roan_bench_test {
    const char *names;    /* what -t calls it; several, separated by spaces */
    const char *title;    /* how reports call it */
    const char *words;    /* the request, words separated by single spaces, placeholders included */
    roan_bench_test_kind kind;
} roan_bench_test;

/* The rows in the order in which they run. */
const roan_bench_test *roan_bench_tests(size_t *ret_count);

/* Whether `selection` (comma-separated names in any case; NULL: the default list) contains the
 * test. */
bool roan_bench_test_is_selected(const roan_bench_test *test, const char *selection);

/* ROAN_E_INVALID, with the offender in reterr, when a name in `selection` belongs to no test. */
roan_status roan_bench_tests_check(const char *selection, roan_error *reterr) ROAN_MUST_CHECK;
