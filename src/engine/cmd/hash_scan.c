/* engine/cmd/hash_scan.c: HSCAN and HRANDFIELD.
 *
 * A positive count asks for different fields, a negative one for so many draws. In RESP3 fields come with their values
 * as pairs.
 */
#include "engine/call.h"
#include "engine/cmd/hash_edit.h"
#include "engine/cmd/scan_options.h"
#include "engine/command_keys.h"

/* ---- HSCAN ---- */

typedef struct field_scan {
    roan_call *call;
    const roan_scan_options *options;
    size_t sent;
} field_scan;

static void scan_field(const roan_hash_field *field, void *context)
{
    field_scan *scan = context;
    roan_out *out = scan->call->out;
    if (!roan_scan_takes(scan->options, field->field))
        return;
    roan_out_bulk(out, field->field);
    scan->sent++;
    if (scan->options->without_values)
        return;
    roan_out_bulk(out, field->value);
    scan->sent++;
}

static void reply_empty_scan(roan_call *call)
{
    roan_scan_reply reply = roan_scan_reply_open(call);
    roan_scan_reply_close(call, reply, 0, 0);
}

ROAN_COMMAND(hscan, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_HASH,
             .since = "2.8.0",
             .complexity = "O(1) for each call, O(N) for a full walk over N fields.",
             .summary = "Walks over the fields of a hash, a few at each call.",
             .arguments = "key:key cursor:integer [MATCH pattern:pattern] [COUNT count:integer] "
                          "[NOVALUES]",
             .tips = "nondeterministic_output")
{
    roan_scan_options options;
    roan_value hash;
    bool is_absent;
    if (!roan_scan_parse_cursor(call, ROAN_SCAN_HASH, &options))
        return;
    if (!roan_hash_find_read(call, &hash, &is_absent)) {
        if (is_absent)
            reply_empty_scan(call);
        return;
    }
    if (!roan_scan_parse_options(call, ROAN_SCAN_HASH, &options))
        return;
    field_scan scan = {.call = call, .options = &options};
    roan_scan_reply reply = roan_scan_reply_open(call);
    uint64_t next = roan_hash_scan(hash, options.cursor, options.count, roan_hash_now(call), scan_field, &scan);
    roan_scan_reply_close(call, reply, next, scan.sent);
}

/* ---- HRANDFIELD ---- */

/* With a negative count the reply may be as long as somebody likes: this many bytes of it are enough. */
#define REPLY_BYTES_MAX ((size_t)1 << 30)

typedef struct field_drawing {
    roan_out *out;
    bool with_values;
    size_t count;
} field_drawing;

static void send_drawn(const roan_hash_field *field, void *context)
{
    field_drawing *drawing = context;
    roan_out *out = drawing->out;
    drawing->count++;
    if (drawing->with_values && out->protocol == 3)
        roan_out_array(out, 2);
    roan_out_bulk(out, field->field);
    if (drawing->with_values)
        roan_out_bulk(out, field->value);
}

/* Draws again and again, until nothing is found any more; false after an error was sent. */
static bool draw_many(roan_call *call, roan_value hash, uint64_t wanted, field_drawing *drawing)
{
    size_t before = roan_out_bytes(call->out);
    for (uint64_t i = 0; i < wanted; i++) {
        if (!roan_hash_random(hash, &call->lane->random, roan_hash_now(call), send_drawn, drawing))
            break;
        if (ROAN_UNLIKELY(roan_out_bytes(call->out) - before > REPLY_BYTES_MAX)) {
            roan_out_rollback(call->out, before);
            return false;
        }
    }
    return true;
}

static void draw(roan_call *call, int64_t count, bool with_values)
{
    field_drawing drawing = {.out = call->out, .with_values = with_values};
    roan_value hash;
    bool is_absent;
    if (!roan_hash_find_read(call, &hash, &is_absent)) {
        if (is_absent)
            roan_out_array(call->out, 0);
        return;
    }
    size_t before = roan_out_bytes(call->out);
    roan_out_mark mark = roan_out_open(call->out);
    if (count >= 0) {
        roan_hash_sample(hash, &call->lane->random, (size_t)count, roan_hash_now(call), send_drawn, &drawing);
    } else if (!draw_many(call, hash, (uint64_t)-count, &drawing)) {
        roan_out_rollback(call->out, before);
        roan_call_error(call, "ERR the reply would be too large");
        return;
    }
    roan_out_close_array(call->out, mark, with_values && call->out->protocol == 2 ? 2 * drawing.count : drawing.count);
}

static void draw_one(roan_call *call)
{
    field_drawing drawing = {.out = call->out};
    roan_value hash;
    bool is_absent, is_there = roan_hash_find_read(call, &hash, &is_absent);
    if (!is_there && !is_absent)
        return;
    if (is_absent || !roan_hash_random(hash, &call->lane->random, roan_hash_now(call), send_drawn, &drawing))
        roan_out_null(call->out);
}

ROAN_COMMAND(hrandfield, .arity = -2, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_HASH,
             .since = "6.2.0", .complexity = "O(N) for N fields in the reply.",
             .summary = "Picks fields of a hash at random.",
             .arguments = "key:key [options{count:integer [WITHVALUES]}]",
             .tips = "nondeterministic_output")
{
    int64_t count;
    if (call->argc == 2) {
        draw_one(call);
        return;
    }
    if (!roan_call_integer_in(call, 2, -INT64_MAX, INT64_MAX, &count, NULL))
        return;
    bool with_values = call->argc == 4 && roan_call_is(call, 3, "WITHVALUES");
    if (call->argc > 4 || (call->argc == 4 && !with_values)) {
        roan_call_syntax_error(call);
        return;
    }
    if (with_values && (count < -INT64_MAX / 2 || count > INT64_MAX / 2)) {
        roan_call_error(call, "ERR value is out of range");
        return;
    }
    draw(call, count, with_values);
}
