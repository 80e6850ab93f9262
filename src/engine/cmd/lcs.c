/* engine/cmd/lcs.c: LCS: the longest common subsequence of two strings by dynamic programming.
 *
 * table[i][j] is the length for the first i bytes of one and the first j of the other string, in 32 bits. The way back
 * through the table gives the bytes and the ranges of consecutive matches, last one first.
 */
#include "engine/call.h"
#include "engine/command_keys.h"

typedef struct lcs_options {
    bool length_only, ranges, with_lengths;
    int64_t length_min;
} lcs_options;

static bool parse_options(roan_call *call, lcs_options *options)
{
    *options = (lcs_options){0};
    for (size_t at = 3; at < call->argc; at++) {
        if (roan_call_is(call, at, "IDX")) {
            options->ranges = true;
        } else if (roan_call_is(call, at, "LEN")) {
            options->length_only = true;
        } else if (roan_call_is(call, at, "WITHMATCHLEN")) {
            options->with_lengths = true;
        } else if (roan_call_is(call, at, "MINMATCHLEN") && at + 1 < call->argc) {
            if (!roan_call_integer(call, ++at, &options->length_min, NULL))
                return false;
            options->length_min = ROAN_MAX(options->length_min, 0);
        } else {
            roan_call_syntax_error(call);
            return false;
        }
    }
    if (!options->ranges || !options->length_only)
        return true;
    roan_call_error(call, "ERR If you want both the length and indexes, please just use IDX.");
    return false;
}

static void fill_table(uint32_t *table, roan_slice a, roan_slice b)
{
    size_t width = b.bytes + 1;
    memset(table, 0, width * sizeof *table);
    for (size_t i = 1; i <= a.bytes; i++) {
        uint32_t *row = table + i * width, *above = row - width;
        row[0] = 0;
        for (size_t j = 1; j <= b.bytes; j++)
            row[j] = a.data[i - 1] == b.data[j - 1] ? above[j - 1] + 1 : ROAN_MAX(above[j], row[j - 1]);
    }
}

/* A run of matching bytes, as half-open positions: a_end - length .. a_end. */
typedef struct lcs_run {
    size_t a_end, b_end, length;
} lcs_run;

static void reply_run(roan_call *call, const lcs_run *run, bool with_length)
{
    roan_out *out = call->out;
    roan_out_array(out, with_length ? 3 : 2);
    roan_out_array(out, 2);
    roan_out_integer(out, (int64_t)(run->a_end - run->length));
    roan_out_integer(out, (int64_t)run->a_end - 1);
    roan_out_array(out, 2);
    roan_out_integer(out, (int64_t)(run->b_end - run->length));
    roan_out_integer(out, (int64_t)run->b_end - 1);
    if (with_length)
        roan_out_integer(out, (int64_t)run->length);
}

/* Walks back from the corner. Bytes of the subsequence go to `bytes` (from its end); runs that are long enough are sent
 * when options->ranges. Returns how many runs were sent. */
static size_t walk_back(roan_call *call, const uint32_t *table, roan_slice a, roan_slice b, const lcs_options *options,
                        char *bytes)
{
    size_t width = b.bytes + 1, i = a.bytes, j = b.bytes, sent = 0;
    size_t at = table[i * width + j];
    lcs_run run = {0};
    while (i > 0 && j > 0) {
        if (a.data[i - 1] == b.data[j - 1]) {
            bytes[--at] = a.data[i - 1];
            if (run.length == 0 || run.a_end - run.length != i || run.b_end - run.length != j)
                run = (lcs_run){.a_end = i, .b_end = j};
            run.length++;
            i--;
            j--;
            bool goes_on = i > 0 && j > 0 && a.data[i - 1] == b.data[j - 1];
            if (!goes_on && options->ranges && run.length >= (size_t)options->length_min) {
                reply_run(call, &run, options->with_lengths);
                sent++;
            }
        } else if (table[(i - 1) * width + j] > table[i * width + j - 1]) {
            i--;
        } else {
            j--;
        }
    }
    return sent;
}

static void reply(roan_call *call, const uint32_t *table, roan_slice a, roan_slice b, const lcs_options *options)
{
    uint32_t length = table[a.bytes * (b.bytes + 1) + b.bytes];
    if (options->length_only) {
        roan_out_integer(call->out, length);
        return;
    }
    char *bytes = roan_alloc(length + 1);
    if (options->ranges) {
        roan_out_map(call->out, 2);
        roan_out_bulk_text(call->out, "matches");
        roan_out_mark mark = roan_out_open(call->out);
        roan_out_close_array(call->out, mark, walk_back(call, table, a, b, options, bytes));
        roan_out_bulk_text(call->out, "len");
        roan_out_integer(call->out, length);
    } else {
        walk_back(call, table, a, b, options, bytes);
        roan_out_bulk(call->out, roan_slice_make(bytes, length));
    }
    roan_free(bytes, length + 1);
}

static bool is_string(const roan_place *place)
{
    return place->entry == NULL || place->entry->type == ROAN_TYPE_STRING;
}

ROAN_COMMAND(lcs, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYS(1, 1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .group = ROAN_GROUP_STRING, .since = "7.0.0",
             .complexity = "O(N*M) for strings of N and M bytes.",
             .summary = "Finds the longest sequence of bytes that two strings have in common, "
                        "gaps allowed.",
             .arguments = "key1:key key2:key [LEN] [IDX] [MINMATCHLEN min-match-len:integer] "
                          "[WITHMATCHLEN]")
{
    lcs_options options;
    roan_place place_a, place_b;
    char scratch_a[ROAN_I64_TEXT_MAX], scratch_b[ROAN_I64_TEXT_MAX];
    roan_call_find_read(call, 1, &place_a);
    roan_call_find_read(call, 2, &place_b);
    if (!is_string(&place_a) || !is_string(&place_b)) {
        roan_call_error(call, "ERR The specified keys must contain string values");
        return;
    }
    if (!parse_options(call, &options))
        return;
    roan_slice a = place_a.entry == NULL ? roan_slice_make("", 0) : roan_entry_string(place_a.entry, scratch_a);
    roan_slice b = place_b.entry == NULL ? roan_slice_make("", 0) : roan_entry_string(place_b.entry, scratch_b);
    if (a.bytes >= UINT32_MAX - 1 || b.bytes >= UINT32_MAX - 1) {
        roan_call_error(call, "ERR String too long for LCS");
        return;
    }
    size_t cells, table_bytes;
    uint32_t *table = NULL;
    if (!__builtin_mul_overflow(a.bytes + 1, b.bytes + 1, &cells) &&
        !__builtin_mul_overflow(cells, sizeof *table, &table_bytes))
        table = roan_try_alloc(table_bytes);
    if (table == NULL) {
        roan_call_error(call, "ERR Insufficient memory, failed allocating transient memory for LCS");
        return;
    }
    fill_table(table, a, b);
    reply(call, table, a, b, &options);
    roan_free(table, table_bytes);
}
