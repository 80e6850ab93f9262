/* cli/bench_run.h: one test under load, from opening its connections to the merged result. */
#pragma once

#include "cli/bench_connect.h"
#include "cli/bench_options.h"
#include "cli/bench_request.h"
#include "cli/histogram.h"

/* What to send where. Borrowed; unchanged while the test runs. */
typedef struct roan_bench_plan {
    const roan_bench_options *options;
    const roan_bench_endpoint *endpoint;
    const roan_bench_greeting *greeting;
    const roan_bench_request *request;
} roan_bench_plan;

/* How far a running test is. */
typedef struct roan_bench_progress {
    bool is_warmup;          /* nothing counts yet: the numbers are those of the warm-up */
    uint64_t elapsed_ns;
    uint64_t replies;
    uint64_t latency_sum_ns;
} roan_bench_progress;

/* Called on the thread that called roan_bench_run. */
typedef void (*roan_bench_tick_fn)(void *context, const roan_bench_progress *progress);

typedef struct roan_bench_outcome {
    uint64_t replies;
    uint64_t elapsed_ns; /* from the first request that counts to the last reply */
} roan_bench_outcome;

/* Runs the test. Every `tick_ns` on_tick is called with the progress so far, and once at the end.
 * Latencies in nanoseconds are added to `latency`. ROAN_E_PROTOCOL with "Error from server: ..." as
 * soon as any reply is an error. */
roan_status roan_bench_run(const roan_bench_plan *plan, uint64_t tick_ns, roan_histogram *latency,
                           roan_bench_outcome *ret_outcome, roan_error *reterr, void *context,
                           roan_bench_tick_fn on_tick) ROAN_MUST_CHECK;
