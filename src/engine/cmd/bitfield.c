/* engine/cmd/bitfield.c: BITFIELD and BITFIELD_RO: integers of any width from 1 to 64 bits, packed into a string.
 *
 * All operations are parsed before the first is executed. Sums are made in 128 bits, so that every overflow is visible;
 * what happens then is the latest OVERFLOW word: wrap around, stay at the limit, or fail (the answer is null and
 * nothing is written).
 */
#include "engine/cmd/bitmap.h"
#include "engine/command_keys.h"

#define OPERATIONS_INLINE 16

__extension__ typedef __int128 wide_int;

typedef enum field_action { FIELD_GET, FIELD_SET, FIELD_INCRBY } field_action;
typedef enum field_overflow { OVERFLOW_WRAP, OVERFLOW_SAT, OVERFLOW_FAIL } field_overflow;

typedef struct field_operation {
    uint64_t offset;  /* of its first bit */
    int64_t argument; /* value or increment */
    uint8_t action, overflow;
    uint8_t bits;
    bool is_signed;
} field_operation;

typedef struct field_plan {
    size_t count, room;
    field_operation *operations;
    bool writes;
    uint64_t last_bit; /* the highest that is written */
    field_operation operations_inline[OPERATIONS_INLINE];
} field_plan;

static void plan_init(field_plan *plan)
{
    plan->count = 0;
    plan->room = OPERATIONS_INLINE;
    plan->operations = plan->operations_inline;
    plan->writes = false;
    plan->last_bit = 0;
}

static void plan_done(field_plan *plan)
{
    if (plan->operations != plan->operations_inline)
        roan_free(plan->operations, plan->room * sizeof *plan->operations);
}

static void plan_add(field_plan *plan, const field_operation *operation)
{
    size_t bytes = plan->room * sizeof *plan->operations;
    if (plan->count == plan->room && plan->operations == plan->operations_inline) {
        plan->operations = roan_alloc(2 * bytes);
        memcpy(plan->operations, plan->operations_inline, bytes);
        plan->room *= 2;
    } else if (plan->count == plan->room) {
        plan->operations = roan_realloc(plan->operations, bytes, 2 * bytes);
        plan->room *= 2;
    }
    plan->operations[plan->count++] = *operation;
    if (operation->action == FIELD_GET)
        return;
    plan->writes = true;
    plan->last_bit = ROAN_MAX(plan->last_bit, operation->offset + operation->bits - 1);
}

/* ---- parsing ---- */

/* "i16", "u8": up to 64 bits signed, 63 unsigned. */
static bool parse_type(roan_call *call, size_t index, field_operation *operation)
{
    roan_slice text = call->argv[index];
    int64_t bits = 0;
    operation->is_signed = text.bytes > 0 && text.data[0] == 'i';
    bool has_sign = operation->is_signed || (text.bytes > 0 && text.data[0] == 'u');
    if (!has_sign || !roan_parse_i64(roan_slice_make(text.data + 1, text.bytes - 1), &bits) || bits < 1 ||
        bits > (operation->is_signed ? 64 : 63)) {
        roan_call_error(call, "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported "
                              "but i64 is.");
        return false;
    }
    operation->bits = (uint8_t)bits;
    return true;
}

static bool parse_overflow(roan_call *call, size_t index, uint8_t *ret_overflow)
{
    static const char *const words[] = {[OVERFLOW_WRAP] = "WRAP", [OVERFLOW_SAT] = "SAT", [OVERFLOW_FAIL] = "FAIL"};
    for (uint8_t i = 0; i < ROAN_COUNT_OF(words); i++)
        if (roan_call_is(call, index, words[i])) {
            *ret_overflow = i;
            return true;
        }
    roan_call_error(call, "ERR Invalid OVERFLOW type specified");
    return false;
}

/* What argv[at] begins, if enough words follow. */
static bool parse_action(const roan_call *call, size_t at, uint8_t *ret_action)
{
    size_t behind = call->argc - at - 1;
    if (behind >= 2 && roan_call_is(call, at, "GET"))
        *ret_action = FIELD_GET;
    else if (behind >= 3 && roan_call_is(call, at, "SET"))
        *ret_action = FIELD_SET;
    else if (behind >= 3 && roan_call_is(call, at, "INCRBY"))
        *ret_action = FIELD_INCRBY;
    else
        return false;
    return true;
}

static bool parse_plan(roan_call *call, field_plan *plan)
{
    field_operation operation = {.overflow = OVERFLOW_WRAP};
    for (size_t at = 2; at < call->argc;) {
        if (roan_call_is(call, at, "OVERFLOW") && at + 1 < call->argc) {
            if (!parse_overflow(call, at + 1, &operation.overflow))
                return false;
            at += 2;
            continue;
        }
        if (!parse_action(call, at, &operation.action)) {
            roan_call_syntax_error(call);
            return false;
        }
        if (!parse_type(call, at + 1, &operation) ||
            !roan_parse_bit_offset(call, at + 2, operation.bits, &operation.offset))
            return false;
        bool has_argument = operation.action != FIELD_GET;
        if (has_argument && !roan_call_integer(call, at + 3, &operation.argument, NULL))
            return false;
        plan_add(plan, &operation);
        at += has_argument ? 4 : 3;
    }
    return true;
}

/* ---- fields ---- */

/* Reads at most nine bytes; what lies behind the end of the string is zero. */
static uint64_t load_bits(roan_slice value, uint64_t offset, unsigned bits)
{
    unsigned char window[9] = {0};
    size_t first = offset >> 3;
    if (first < value.bytes)
        memcpy(window, value.data + first, ROAN_MIN(sizeof window, value.bytes - first));
    uint64_t word = 0;
    for (size_t i = 0; i < 8; i++)
        word = word << 8 | window[i];
    unsigned shift = offset & 7;
    word = word << shift | (unsigned)window[8] >> (8 - shift);
    return word >> (64 - bits);
}

/* Writes the lowest `bits` of `word`; the string is long enough. */
static void store_bits(char *data, uint64_t offset, unsigned bits, uint64_t word)
{
    for (unsigned left = bits; left > 0;) {
        unsigned at = offset & 7, taken = ROAN_MIN(8 - at, left);
        unsigned mask = (0xffu >> (8 - taken)) << (8 - at - taken);
        unsigned part = (unsigned)(word >> (left - taken)) << (8 - at - taken) & mask;
        char *byte = &data[offset >> 3];
        *byte = (char)(((unsigned char)*byte & ~mask) | part);
        offset += taken;
        left -= taken;
    }
}

/* The lowest bits as the number they stand for. */
static int64_t number_of_bits(const field_operation *operation, uint64_t word)
{
    unsigned unused = 64u - operation->bits;
    return operation->is_signed ? (int64_t)(word << unused) >> unused : (int64_t)(word << unused >> unused);
}

/* The reference takes a SET to so low a value that the distance overflows for one above the limit. */
static bool is_above(const field_operation *operation, wide_int wanted, wide_int high)
{
    return wanted > high || (operation->action == FIELD_SET && wanted < high - INT64_MAX);
}

/* The number to store for `wanted`; false when it does not fit and the operation fails then. */
static bool fit_number(const field_operation *operation, wide_int wanted, int64_t *ret_number)
{
    wide_int span = (wide_int)1 << operation->bits;
    wide_int low = operation->is_signed ? -(span / 2) : 0;
    wide_int high = low + span - 1;
    if (wanted >= low && wanted <= high)
        *ret_number = (int64_t)wanted;
    else if (operation->overflow == OVERFLOW_WRAP)
        *ret_number = number_of_bits(operation, (uint64_t)wanted);
    else if (operation->overflow == OVERFLOW_SAT)
        *ret_number = (int64_t)(is_above(operation, wanted, high) ? high : low);
    else
        return false;
    return true;
}

/* An unsigned field takes a negative value as the large number with the same bits. */
static wide_int wanted_number(const field_operation *operation, int64_t before)
{
    if (operation->action == FIELD_INCRBY)
        return (wide_int)before + operation->argument;
    return operation->is_signed ? (wide_int)operation->argument : (wide_int)(uint64_t)operation->argument;
}

/* Executes a SET or INCRBY and answers it; true when it counts as a change. */
static bool write_field(roan_call *call, const field_operation *operation, char *data, size_t bytes, bool has_grown)
{
    uint64_t word = load_bits(roan_slice_make(data, bytes), operation->offset, operation->bits);
    int64_t before = number_of_bits(operation, word), after;
    if (!fit_number(operation, wanted_number(operation, before), &after)) {
        roan_out_null(call->out);
        return false;
    }
    store_bits(data, operation->offset, operation->bits, (uint64_t)after);
    roan_out_integer(call->out, operation->action == FIELD_SET ? before : after);
    return has_grown || before != after;
}

/* ---- the commands ---- */

static void execute_reads(roan_call *call, const field_plan *plan)
{
    roan_place place;
    char scratch[ROAN_I64_TEXT_MAX];
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        return;
    roan_slice value = place.entry == NULL ? roan_slice_make("", 0) : roan_entry_string(place.entry, scratch);
    roan_out_array(call->out, plan->count);
    for (size_t i = 0; i < plan->count; i++) {
        const field_operation *operation = &plan->operations[i];
        roan_out_integer(call->out, number_of_bits(operation, load_bits(value, operation->offset, operation->bits)));
    }
}

static void execute_writes(roan_call *call, const field_plan *plan)
{
    roan_place place;
    bool has_grown;
    uint64_t changes = 0;
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        return;
    char *data = roan_place_grow_for_bits(call, &place, plan->last_bit, &has_grown);
    if (data == NULL)
        return;
    size_t bytes = roan_entry_string_bytes(place.entry);
    roan_out_array(call->out, plan->count);
    for (size_t i = 0; i < plan->count; i++) {
        const field_operation *operation = &plan->operations[i];
        if (operation->action != FIELD_GET)
            changes += write_field(call, operation, data, bytes, has_grown);
        else
            roan_out_integer(call->out, number_of_bits(operation, load_bits(roan_slice_make(data, bytes),
                                                                            operation->offset, operation->bits)));
    }
    if (changes > 0) {
        roan_call_changed(call, &place, ROAN_EVENT_STRING, "setbit");
        call->dirty += changes - 1;
    } else if (has_grown) {
        roan_call_force_effect(call); /* longer by zeros, although every write failed */
    }
}

static void execute_plan(roan_call *call, const field_plan *plan, bool is_read_only)
{
    if (!plan->writes)
        execute_reads(call, plan);
    else if (!is_read_only)
        execute_writes(call, plan);
    else
        roan_call_error(call, "ERR BITFIELD_RO only supports the GET subcommand");
}

static void bitfield(roan_call *call, bool is_read_only)
{
    field_plan plan;
    plan_init(&plan);
    if (parse_plan(call, &plan))
        execute_plan(call, &plan, is_read_only);
    plan_done(&plan);
}

ROAN_COMMAND(bitfield, .arity = -2, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM,
             .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY_NOTED(1, "Written only by SET and INCRBY; GET alone reads.",
                                     ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE |
                                     ROAN_KEY_VARIABLE_FLAGS)},
             .find_keys = roan_find_keys_bitfield, .group = ROAN_GROUP_BITMAP, .since = "3.2.0",
             .complexity = "O(1) for each operation.",
             .summary = "Reads, writes and increments integers of any width packed into a string.",
             .arguments = "key:key [operation<GET get-block{encoding offset:integer}|"
                          "write{[OVERFLOW overflow-block<WRAP|SAT|FAIL>] "
                          "write-operation<SET set-block{encoding offset:integer value:integer}|"
                          "INCRBY incrby-block{encoding offset:integer increment:integer}>}>...]")
{
    bitfield(call, false);
}

ROAN_COMMAND(bitfield_ro, .arity = -2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_BITMAP,
             .since = "6.0.0", .complexity = "O(1) for each operation.",
             .summary = "Reads integers of any width packed into a string.",
             .arguments = "key:key [GET get-block{encoding offset:integer}....]")
{
    bitfield(call, true);
}
