/* cli/histogram.c: a log-linear histogram.
 *
 * The first 2048 buckets hold the values 0 to 2047 exactly. After them every doubling of the value
 * is cut into 1024 buckets of equal width, so a bucket is never wider than 1/1024 of its lowest
 * value:
 *
 *   values       0 .. 2047      2048 .. 4095      4096 .. 8191      ...
 *   width            1               2                 4            ...
 *   buckets      0 .. 2047      2048 .. 3071      3072 .. 4095      ...
 *
 * Recording is a count of leading zeros, a shift and an add. Minimum, maximum and sum are kept
 * exactly beside the buckets.
 *
 * Invariant: the bucket counts add up to `count`; min <= max whenever count > 0. */
#include "cli/histogram.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_BITS 11
#define STEPS (UINT64_C(1) << (KEPT_BITS - 1)) /* buckets of one doubling */
#define VALUE_BITS 43
#define BUCKET_COUNT ((size_t)(VALUE_BITS - KEPT_BITS + 2) * STEPS)

_Static_assert(ROAN_HISTOGRAM_VALUE_LIMIT == UINT64_C(1) << VALUE_BITS, "one limit");

struct roan_histogram {
    uint64_t count;
    uint64_t min;
    uint64_t max;
    double sum;
    uint64_t buckets[BUCKET_COUNT];
};

static size_t bucket_of(uint64_t value)
{
    unsigned shift;

    if (value >= ROAN_HISTOGRAM_VALUE_LIMIT)
        value = ROAN_HISTOGRAM_VALUE_LIMIT - 1;
    if (value < 2 * STEPS)
        return (size_t)value;
    shift = (unsigned)(64 - KEPT_BITS) - (unsigned)__builtin_clzll(value);
    return (size_t)(shift * STEPS + (value >> shift));
}

/* The largest value that falls into the bucket. */
static uint64_t bucket_top(size_t bucket)
{
    uint64_t shift;

    if (bucket < 2 * STEPS)
        return bucket;
    shift = bucket / STEPS - 1;
    return ((bucket - shift * STEPS + 1) << shift) - 1;
}

roan_histogram *roan_histogram_create(void)
{
    return calloc(1, sizeof(roan_histogram));
}

roan_histogram *roan_histogram_free(roan_histogram *histogram)
{
    free(histogram);
    return NULL;
}

void roan_histogram_clear(roan_histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

void roan_histogram_record(roan_histogram *histogram, uint64_t value, uint64_t times)
{
    size_t bucket = bucket_of(value);

    assert(bucket < BUCKET_COUNT);
    if (times == 0)
        return;
    if (histogram->count == 0 || value < histogram->min)
        histogram->min = value;
    if (value > histogram->max)
        histogram->max = value;
    histogram->buckets[bucket] += times;
    histogram->count += times;
    histogram->sum += (double)value * (double)times;
}

void roan_histogram_merge(roan_histogram *target, const roan_histogram *source)
{
    assert(target != source);
    if (source->count == 0)
        return;
    if (target->count == 0 || source->min < target->min)
        target->min = source->min;
    if (source->max > target->max)
        target->max = source->max;
    target->count += source->count;
    target->sum += source->sum;
    for (size_t i = 0; i < BUCKET_COUNT; i++)
        target->buckets[i] += source->buckets[i];
}

uint64_t roan_histogram_count(const roan_histogram *histogram)
{
    return histogram->count;
}

uint64_t roan_histogram_min(const roan_histogram *histogram)
{
    return histogram->min;
}

uint64_t roan_histogram_max(const roan_histogram *histogram)
{
    return histogram->max;
}

double roan_histogram_mean(const roan_histogram *histogram)
{
    return histogram->count == 0 ? 0.0 : histogram->sum / (double)histogram->count;
}

/* The rank, counted from 1, of the value that `percentile` asks for. The small term undoes the
 * rounding of percentages that have no exact binary form: 99.9 % of 1000 is rank 999, not 1000. */
static uint64_t rank_of(uint64_t count, double percentile)
{
    double exact = percentile / 100.0 * (double)count;
    double slack = exact * 1e-12 + 1e-9;
    uint64_t rank = exact <= slack ? 0 : (uint64_t)(exact - slack) + 1;

    return rank > count ? count : rank;
}

uint64_t roan_histogram_at_rank(const roan_histogram *histogram, uint64_t rank)
{
    uint64_t seen = 0;

    if (histogram->count == 0)
        return 0;
    if (rank > histogram->count)
        rank = histogram->count;
    if (rank == 0)
        rank = 1;
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank) {
            uint64_t top = i == BUCKET_COUNT - 1 ? histogram->max : bucket_top(i);
            return top < histogram->max ? top : histogram->max;
        }
    }
    assert(seen == histogram->count); /* and rank <= count, so this is not reached */
    return histogram->max;
}

uint64_t roan_histogram_at_percentile(const roan_histogram *histogram, double percentile)
{
    return roan_histogram_at_rank(histogram, rank_of(histogram->count, percentile));
}

uint64_t roan_histogram_count_up_to(const roan_histogram *histogram, uint64_t value)
{
    size_t last = bucket_of(value);
    uint64_t seen = 0;

    for (size_t i = 0; i <= last; i++)
        seen += histogram->buckets[i];
    return seen;
}
