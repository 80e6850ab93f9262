/* types/stream_id.h: the id of a stream's entry: milliseconds and a sequence number, ordered as one 128-bit number. */
#pragma once

#include "roan/base.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct roan_stream_id {
    uint64_t ms, seq;
} roan_stream_id;

#define ROAN_STREAM_ID_TEXT_MAX 41 /* two numbers of 20 digits and a dash */
#define ROAN_STREAM_ID_MIN ((roan_stream_id){0, 0})
#define ROAN_STREAM_ID_MAX ((roan_stream_id){UINT64_MAX, UINT64_MAX})

static inline bool roan_stream_id_is_less(roan_stream_id a, roan_stream_id b)
{
    return ((unsigned __int128)a.ms << 64 | a.seq) < ((unsigned __int128)b.ms << 64 | b.seq);
}

static inline bool roan_stream_id_is_equal(roan_stream_id a, roan_stream_id b)
{
    return a.ms == b.ms && a.seq == b.seq;
}

static inline bool roan_stream_id_is_zero(roan_stream_id id)
{
    return id.ms == 0 && id.seq == 0;
}

/* Steps to the id behind or before it; false at the end of the numbers, where it stays. */
static inline bool roan_stream_id_step_up(roan_stream_id *id)
{
    if (id->ms == UINT64_MAX && id->seq == UINT64_MAX)
        return false;
    if (id->seq++ == UINT64_MAX)
        id->ms++;
    return true;
}

static inline bool roan_stream_id_step_down(roan_stream_id *id)
{
    if (roan_stream_id_is_zero(*id))
        return false;
    if (id->seq-- == 0)
        id->ms--;
    return true;
}

/* Reads "ms-seq", or "ms" alone with `missing_seq`. The numbers may have signs, leading zeroes and spaces as strtoull
 * takes them. With ret_is_partial "ms-*" is read as well, sets it, and gives seq 0. */
bool roan_stream_id_parse(roan_slice text, uint64_t missing_seq, roan_stream_id *ret_id, bool *ret_is_partial);

/* Writes "ms-seq"; returns its length. */
size_t roan_stream_id_format(char out[ROAN_STREAM_ID_TEXT_MAX], roan_stream_id id);
