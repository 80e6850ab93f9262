/* engine/cmd/string_range.c: parts of strings: APPEND, STRLEN, SETRANGE, GETRANGE, SUBSTR. */
#include "engine/call.h"
#include "engine/command_keys.h"

/* True when a string of offset + bytes is allowed; otherwise the error was sent. */
static bool length_is_allowed(roan_call *call, uint64_t offset, uint64_t bytes)
{
    uint64_t total;
    if (!__builtin_add_overflow(offset, bytes, &total) && total <= call->engine->config.proto_max_bulk_len)
        return true;
    roan_call_error(call, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return false;
}

ROAN_COMMAND(append, .arity = 3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K, .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_INSERT)},
             .group = ROAN_GROUP_STRING, .since = "2.0.0",
             .complexity = "O(M) for M appended bytes; growing the string copies it only now and "
                           "then.",
             .summary = "Adds bytes to the end of a string, starting from an empty one when the "
                        "key is missing.",
             .arguments = "key:key value")
{
    roan_place place;
    roan_slice tail = call->argv[2];
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        return;
    size_t before = place.entry == NULL ? 0 : roan_entry_string_bytes(place.entry);
    if (!length_is_allowed(call, before, tail.bytes))
        return;
    if (place.entry == NULL) {
        roan_place_set_string(call, &place, tail, ROAN_EXPIRY_NONE);
    } else {
        char *data = roan_place_resize_string(call, &place, before + tail.bytes);
        if (data == NULL)
            return;
        if (tail.bytes > 0)
            memcpy(data + before, tail.data, tail.bytes);
    }
    roan_call_changed(call, &place, ROAN_EVENT_STRING, "append");
    roan_out_integer(call->out, (int64_t)(before + tail.bytes));
}

ROAN_COMMAND(strlen, .arity = 2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO)}, .group = ROAN_GROUP_STRING, .since = "2.2.0",
             .complexity = "O(1)", .summary = "Tells how many bytes a string has.",
             .arguments = "key:key")
{
    roan_place place;
    roan_call_find_read(call, 1, &place);
    if (roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        roan_out_integer(call->out, place.entry == NULL ? 0 : (int64_t)roan_entry_string_bytes(place.entry));
}

ROAN_COMMAND(setrange, .arity = 4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_STRING,
             .since = "2.2.0", .complexity = "O(M) for M bytes written.",
             .summary = "Overwrites a part of a string, extending it with zero bytes if needed.",
             .arguments = "key:key offset:integer value")
{
    roan_place place;
    int64_t offset;
    roan_slice part = call->argv[3];
    if (!roan_call_integer(call, 2, &offset, NULL))
        return;
    if (offset < 0) {
        roan_call_error(call, "ERR offset is out of range");
        return;
    }
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        return;
    size_t before = place.entry == NULL ? 0 : roan_entry_string_bytes(place.entry);
    if (part.bytes == 0) {
        roan_out_integer(call->out, (int64_t)before);
        return;
    }
    if (!length_is_allowed(call, (uint64_t)offset, part.bytes))
        return;
    size_t after = ROAN_MAX(before, (size_t)offset + part.bytes);
    char *data = roan_place_resize_string(call, &place, after);
    if (data == NULL)
        return;
    memcpy(data + offset, part.data, part.bytes);
    roan_call_changed(call, &place, ROAN_EVENT_STRING, "setrange");
    roan_out_integer(call->out, (int64_t)after);
}

/* Turns a range with negative ends into a part of `value`. */
static roan_slice take_part(roan_slice value, int64_t start, int64_t end)
{
    int64_t bytes = (int64_t)value.bytes;
    if (start < 0 && end < 0 && start > end)
        return roan_slice_make("", 0);
    start = start < 0 ? ROAN_MAX(start + bytes, 0) : start;
    end = end < 0 ? ROAN_MAX(end + bytes, 0) : ROAN_MIN(end, bytes - 1);
    if (bytes == 0 || start > end || start >= bytes)
        return roan_slice_make("", 0);
    return roan_slice_make(value.data + start, (size_t)(end - start + 1));
}

static void get_range(roan_call *call)
{
    roan_place place;
    int64_t start, end;
    char scratch[ROAN_I64_TEXT_MAX];
    if (!roan_call_integer(call, 2, &start, NULL) || !roan_call_integer(call, 3, &end, NULL))
        return;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        return;
    roan_slice value = place.entry == NULL ? roan_slice_make("", 0) : roan_entry_string(place.entry, scratch);
    roan_out_bulk(call->out, take_part(value, start, end));
}

ROAN_COMMAND(getrange, .arity = 4, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_STRING,
             .since = "2.4.0", .complexity = "O(N) for N bytes in the answer.",
             .summary = "Reads a part of a string.",
             .arguments = "key:key start:integer end:integer")
{
    get_range(call);
}

ROAN_COMMAND(substr, .arity = 4, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_STRING,
             .since = "1.0.0", .complexity = "O(N) for N bytes in the answer.",
             .summary = "Reads a part of a string; the old name of GETRANGE.",
             .arguments = "key:key start:integer end:integer")
{
    get_range(call);
}
