/* engine/cmd/bitmap.c: strings as rows of bits: SETBIT, GETBIT, BITCOUNT, BITPOS. Bit 0 is the highest of the first
 * byte.
 *
 * BITCOUNT and BITPOS share the reading of ranges: start and end, inclusive, in bytes or bits, from the end when
 * negative.
 */
#include "engine/cmd/bitmap.h"

#include "engine/cmd/bits.h"
#include "engine/command_keys.h"

bool roan_parse_bit_offset(roan_call *call, size_t index, unsigned width, uint64_t *ret_offset)
{
    roan_slice text = call->argv[index];
    int64_t offset, scale = 1;
    if (width > 0 && text.bytes > 0 && text.data[0] == '#') {
        text = roan_slice_make(text.data + 1, text.bytes - 1);
        scale = width;
    }
    bool is_good = roan_parse_i64(text, &offset) && !__builtin_mul_overflow(offset, scale, &offset) && offset >= 0;
    if (!is_good || (uint64_t)offset >> 3 >= call->engine->config.proto_max_bulk_len) {
        roan_call_error(call, "ERR bit offset is not an integer or out of range");
        return false;
    }
    *ret_offset = (uint64_t)offset;
    return true;
}

char *roan_place_grow_for_bits(roan_call *call, roan_place *place, uint64_t last_bit, bool *ret_has_grown)
{
    size_t before = place->entry == NULL ? 0 : roan_entry_string_bytes(place->entry);
    size_t after = ROAN_MAX(before, (size_t)(last_bit >> 3) + 1);
    *ret_has_grown = after != before;
    return roan_place_resize_string(call, place, after);
}

ROAN_COMMAND(setbit, .arity = 4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_BITMAP, .since = "2.2.0", .complexity = "O(1)",
             .summary = "Writes one bit of a string, extending it with zeros if needed.",
             .arguments = "key:key offset:integer value:integer")
{
    uint64_t offset;
    int64_t value;
    roan_place place;
    bool has_grown;
    if (!roan_parse_bit_offset(call, 2, 0, &offset) ||
        !roan_call_integer_in(call, 3, 0, 1, &value, "ERR bit is not an integer or out of range"))
        return;
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        return;
    char *data = roan_place_grow_for_bits(call, &place, offset, &has_grown);
    if (data == NULL)
        return;
    bool before = roan_bit_get(data, offset);
    if (has_grown || before != (value == 1)) {
        unsigned mask = 0x80u >> (offset & 7);
        data[offset >> 3] = (char)(value == 1 ? (unsigned char)data[offset >> 3] | mask
                                              : (unsigned char)data[offset >> 3] & ~mask);
        roan_call_changed(call, &place, ROAN_EVENT_STRING, "setbit");
    }
    roan_out_integer(call->out, before);
}

ROAN_COMMAND(getbit, .arity = 3, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_BITMAP,
             .since = "2.2.0", .complexity = "O(1)", .summary = "Reads one bit of a string.",
             .arguments = "key:key offset:integer")
{
    uint64_t offset;
    roan_place place;
    char scratch[ROAN_I64_TEXT_MAX];
    if (!roan_parse_bit_offset(call, 2, 0, &offset))
        return;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        return;
    roan_slice value = place.entry == NULL ? roan_slice_make("", 0) : roan_entry_string(place.entry, scratch);
    roan_out_integer(call->out, offset >> 3 < value.bytes && roan_bit_get(value.data, offset));
}

/* ---- ranges ---- */

typedef struct range_options {
    int64_t start, end;
    bool has_end, in_bits;
} range_options;

/* [start [end [BYTE|BIT]]] from argv[first] on; false after an error was sent. */
static bool parse_range(roan_call *call, size_t first, range_options *options)
{
    *options = (range_options){.end = -1};
    if (call->argc > first + 3) {
        roan_call_syntax_error(call);
        return false;
    }
    if (call->argc > first && !roan_call_integer(call, first, &options->start, NULL))
        return false;
    if (call->argc > first + 2) {
        options->in_bits = roan_call_is(call, first + 2, "BIT");
        if (!options->in_bits && !roan_call_is(call, first + 2, "BYTE")) {
            roan_call_syntax_error(call);
            return false;
        }
    }
    options->has_end = call->argc > first + 1;
    return !options->has_end || roan_call_integer(call, first + 1, &options->end, NULL);
}

/* The bits meant in a value of that many bytes; from == to when there are none. */
static roan_bit_range resolve_range(const range_options *options, size_t bytes)
{
    int64_t units = (int64_t)(options->in_bits ? bytes * 8 : bytes), start = options->start, end = options->end;
    start = start < 0 ? ROAN_MAX(start + units, 0) : start;
    end = end < 0 ? ROAN_MAX(end + units, 0) : end;
    end = ROAN_MIN(end, units - 1);
    if (start > end)
        return (roan_bit_range){0, 0};
    unsigned unit_bits = options->in_bits ? 1 : 8;
    return (roan_bit_range){(uint64_t)start * unit_bits, ((uint64_t)end + 1) * unit_bits};
}

ROAN_COMMAND(bitcount, .arity = -2, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_BITMAP,
             .since = "2.6.0", .complexity = "O(N) for N bytes looked at.",
             .summary = "Counts the one bits in a string or in a part of it.",
             .arguments = "key:key [range{start:integer [end-unit-block{end:integer "
                          "[unit^7.0.0<BYTE|BIT>]}]}]",
             .history = "7.0.0|The range may be given in bits with BIT.\n8.0.0|The end of the "
                        "range may be left out.")
{
    range_options options;
    roan_place place;
    char scratch[ROAN_I64_TEXT_MAX];
    if (!parse_range(call, 2, &options))
        return;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        return;
    roan_slice value = place.entry == NULL ? roan_slice_make("", 0) : roan_entry_string(place.entry, scratch);
    roan_bit_range range = resolve_range(&options, value.bytes);
    bool is_reversed = options.start < 0 && options.end < options.start; /* even where both are cut to the first byte */
    roan_out_integer(call->out, is_reversed ? 0 : (int64_t)roan_bits_count_range(value.data, range));
}

/* Behind a value without given end stand endless zeros. */
static int64_t find_bit(const roan_slice value, const range_options *options, bool bit)
{
    roan_bit_range range = resolve_range(options, value.bytes);
    if (range.from == range.to)
        return -1;
    uint64_t found = roan_bits_find(value.data, range, bit);
    bool is_found = found < range.to || (!bit && !options->has_end);
    return is_found ? (int64_t)found : -1;
}

ROAN_COMMAND(bitpos, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_BITMAP,
             .since = "2.8.7", .complexity = "O(N) for N bytes looked at.",
             .summary = "Finds the position of the first bit with the given value.",
             .arguments = "key:key bit:integer [range{start:integer [end-unit-block{end:integer "
                          "[unit^7.0.0<BYTE|BIT>]}]}]",
             .history = "7.0.0|The range may be given in bits with BIT.")
{
    range_options options;
    int64_t bit;
    roan_place place;
    char scratch[ROAN_I64_TEXT_MAX];
    if (!roan_call_integer(call, 2, &bit, NULL))
        return;
    if (bit != 0 && bit != 1) {
        roan_call_error(call, "ERR The bit argument must be 1 or 0.");
        return;
    }
    if (!parse_range(call, 3, &options))
        return;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        return;
    if (place.entry == NULL)
        roan_out_integer(call->out, -bit);
    else
        roan_out_integer(call->out, find_bit(roan_entry_string(place.entry, scratch), &options, bit == 1));
}
