/* cli/histogram.h: counts of values with a bounded relative error in constant memory.
 *
 * A value is kept to 11 significant bits: what comes back is at most 1/1024 (less than 0.1 %) above
 * what was recorded, so three significant digits are right. Values may be anything; the unit is the
 * caller's. One histogram belongs to one thread.
 */
#pragma once

#include <stdint.h>

typedef struct roan_histogram roan_histogram;

/* Values from here on share the last bucket; with nanoseconds this is 2.4 hours. */
#define ROAN_HISTOGRAM_VALUE_LIMIT (UINT64_C(1) << 43)

/* An empty histogram (about 280 KB), or NULL when out of memory. */
roan_histogram *roan_histogram_create(void);

/* Frees it; accepts NULL; returns NULL. */
roan_histogram *roan_histogram_free(roan_histogram *histogram);

/* Empties it. */
void roan_histogram_clear(roan_histogram *histogram);

/* Adds `value`, `times` times. */
void roan_histogram_record(roan_histogram *histogram, uint64_t value, uint64_t times);

/* Adds everything that `source` holds to `target`. */
void roan_histogram_merge(roan_histogram *target, const roan_histogram *source);

/* How many values were recorded. */
uint64_t roan_histogram_count(const roan_histogram *histogram);

/* Exact smallest, largest and mean value; 0 when empty. */
uint64_t roan_histogram_min(const roan_histogram *histogram);
uint64_t roan_histogram_max(const roan_histogram *histogram);
double roan_histogram_mean(const roan_histogram *histogram);

/* The smallest value that at least `percentile` percent (0 to 100) of the recorded ones do not
 * exceed, rounded up to the end of its bucket but never above the maximum; 0 when empty. */
uint64_t roan_histogram_at_percentile(const roan_histogram *histogram, double percentile);

/* The value at `rank` in ascending order, counted from 1 and limited to the count; rounded up as
 * above. */
uint64_t roan_histogram_at_rank(const roan_histogram *histogram, uint64_t rank);

/* How many recorded values are at most `value`, counting the whole bucket that `value` is in. */
uint64_t roan_histogram_count_up_to(const roan_histogram *histogram, uint64_t value);
