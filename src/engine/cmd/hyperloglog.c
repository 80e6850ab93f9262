/* engine/cmd/hyperloglog.c: counting different elements: PFADD, PFCOUNT, PFMERGE, and PFDEBUG and PFSELFTEST.
 *
 * The values are strings that begin with HYLL (types/hyperloglog.h). A sparse value is changed in a draft and stored
 * when all went well, so an error leaves no trace; raising a register of a dense one cannot fail and is done in
 * place. PFCOUNT of one key keeps its result in the value: a read that changes it, as the reference has it.
 */
#include "engine/call.h"
#include "engine/command_keys.h"
#include "types/hyperloglog.h"

#include <math.h>

static void corrupt_error(roan_call *call)
{
    roan_call_error(call, "INVALIDOBJ Corrupted HLL object detected");
}

/* The value at the place (`absent` when there is none); false after an error was sent. It is borrowed until the place
 * changes. */
static bool get_value(roan_call *call, const roan_place *place, roan_slice absent, roan_slice *ret_value)
{
    char scratch[ROAN_I64_TEXT_MAX];
    if (!roan_call_is_type(call, place, ROAN_TYPE_STRING))
        return false;
    *ret_value = place->entry == NULL ? absent : roan_entry_string(place->entry, scratch);
    if (place->entry == NULL || roan_hll_is_valid(*ret_value))
        return true;
    roan_call_error(call, "WRONGTYPE Key is not a valid HyperLogLog string value.");
    return false;
}

static roan_slice empty_value(void)
{
    return roan_slice_make(roan_hll_empty, sizeof roan_hll_empty);
}

/* A long string that can take so many bytes as it is. */
static bool has_room(const roan_place *place, size_t bytes)
{
    return place->entry != NULL && place->entry->encoding == ROAN_STRING_BLOB &&
           ((const roan_blob *)roan_entry_pointer(place->entry))->capacity >= bytes;
}

/* Stores the bytes and returns them, now those of the key; NULL after an error was sent. What is long takes no more
 * room than it needs: it hardly grows any more. */
static char *store(roan_call *call, roan_place *place, roan_slice value)
{
    if (value.bytes > ROAN_INLINE_BYTES_MAX && !has_room(place, value.bytes)) {
        roan_place_set_text(call, place, value);
        return roan_place_resize_string(call, place, value.bytes);
    }
    char *data = roan_place_resize_string(call, place, value.bytes);
    if (data != NULL)
        memcpy(data, value.data, value.bytes);
    return data;
}

/* ---- PFADD ---- */

static uint64_t add_dense(char *value, const roan_slice *elements, size_t count)
{
    uint64_t raised = 0;
    for (size_t i = 0; i < count; i++)
        raised += roan_hll_dense_raise(value, roan_hll_mark_of(elements[i]));
    return raised;
}

/* False when the draft is corrupt. */
static bool add_sparse(roan_hll_draft *draft, const roan_slice *elements, size_t count, uint64_t *raised)
{
    for (size_t i = 0; i < count; i++) {
        roan_hll_raise result = roan_hll_draft_raise(draft, roan_hll_mark_of(elements[i]));
        if (result == ROAN_HLL_CORRUPT)
            return false;
        *raised += result == ROAN_HLL_RAISED;
    }
    return true;
}

/* Adds the elements of the call to the value and stores it when it changed (`changes` counts); returns the bytes of
 * the key, or NULL after an error was sent or when nothing changed. */
static char *add_elements(roan_call *call, roan_place *place, roan_slice value, uint64_t *changes)
{
    const roan_slice *elements = call->argv + 2;
    size_t count = call->argc - 2;
    if (roan_hll_is_dense(value)) {
        char *data = roan_place_resize_string(call, place, value.bytes);
        if (data != NULL)
            *changes += add_dense(data, elements, count);
        return data;
    }
    roan_hll_draft draft;
    char *data = NULL;
    roan_hll_draft_init(&draft, value, call->engine->config.hll_sparse_max_bytes);
    if (!add_sparse(&draft, elements, count, changes))
        corrupt_error(call);
    else if (*changes > 0)
        data = store(call, place, roan_hll_draft_value(&draft));
    roan_hll_draft_done(&draft);
    return data;
}

ROAN_COMMAND(pfadd, .arity = -2, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_INSERT)}, .group = ROAN_GROUP_HYPERLOGLOG, .since = "2.8.9",
             .complexity = "O(1) for each element.",
             .summary = "Adds elements to a HyperLogLog, and tells whether its estimate may have changed.",
             .arguments = "key:key [element...]")
{
    roan_place place;
    roan_slice value;
    roan_call_find_write(call, 1, &place);
    if (!get_value(call, &place, empty_value(), &value))
        return;
    uint64_t changes = place.entry == NULL;
    char *data = add_elements(call, &place, value, &changes);
    if (call->has_failed)
        return;
    if (changes > 0) {
        roan_hll_invalidate_count(data);
        roan_call_changed(call, &place, ROAN_EVENT_STRING, "pfadd");
        call->dirty += changes - 1;
    }
    roan_out_integer(call->out, changes > 0);
}

/* ---- PFCOUNT ---- */

/* The count of one key, kept in the value. */
static void count_key(roan_call *call)
{
    roan_place place;
    roan_slice value;
    uint64_t count = 0;
    roan_call_find_read(call, 1, &place);
    if (!get_value(call, &place, empty_value(), &value))
        return;
    if (place.entry != NULL && !roan_hll_cached_count(value, &count)) {
        if (!roan_hll_count(value, &count)) {
            corrupt_error(call);
            return;
        }
        char *data = roan_place_resize_string(call, &place, value.bytes);
        if (data == NULL)
            return;
        roan_hll_set_cached_count(data, count);
        roan_call_changed(call, &place, 0, NULL);
    }
    roan_out_integer(call->out, (int64_t)count);
}

/* Raises the registers to those of the key in argv[index]; false after an error was sent. */
static bool merge_key(roan_call *call, size_t index, roan_hll_registers *registers, bool *ret_is_dense)
{
    roan_place place;
    roan_slice value;
    roan_call_find_read(call, index, &place);
    if (!get_value(call, &place, empty_value(), &value))
        return false;
    *ret_is_dense = roan_hll_is_dense(value);
    if (place.entry == NULL || roan_hll_merge(registers, value))
        return true;
    corrupt_error(call);
    return false;
}

ROAN_COMMAND(pfcount, .arity = -2, .flags = ROAN_CMD_READ | ROAN_CMD_MAY_REPLICATE, .lock = ROAN_LOCK_K,
             .keys = {{.flags = ROAN_KEY_RW | ROAN_KEY_ACCESS, .begin = ROAN_BEGIN_INDEX, .index = 1, .last = -1,
                       .step = 1, .notes = "RW because the estimate is kept in the value."}},
             .group = ROAN_GROUP_HYPERLOGLOG, .since = "2.8.9",
             .complexity = "O(1) for one key whose estimate is known, O(N) for N keys, with a large constant.",
             .summary = "Estimates how many different elements were added to one HyperLogLog, or to any of several.",
             .arguments = "key:key...")
{
    roan_hll_registers registers;
    bool is_dense;
    if (call->argc == 2) {
        count_key(call);
        return;
    }
    memset(&registers, 0, sizeof registers);
    for (size_t i = 1; i < call->argc; i++)
        if (!merge_key(call, i, &registers, &is_dense))
            return;
    roan_out_integer(call->out, (int64_t)roan_hll_count_registers(&registers));
}

/* ---- PFMERGE ---- */

/* Makes the value, not a dense one, these registers; returns the bytes of the key or NULL after an error was sent. */
static char *store_registers(roan_call *call, roan_place *place, roan_slice value, const roan_hll_registers *registers,
                             bool is_dense)
{
    roan_hll_draft draft;
    char *data = NULL;
    roan_hll_draft_init(&draft, value, call->engine->config.hll_sparse_max_bytes);
    if ((is_dense && !roan_hll_draft_make_dense(&draft)) || !roan_hll_draft_store(&draft, registers))
        corrupt_error(call);
    else
        data = store(call, place, roan_hll_draft_value(&draft));
    roan_hll_draft_done(&draft);
    return data;
}

/* Stores the registers, which include its own, in argv[1], dense if asked; false after an error was sent. */
static bool store_merged(roan_call *call, roan_place *place, const roan_hll_registers *registers, bool is_dense)
{
    roan_slice value;
    char *data;
    roan_call_find_write(call, 1, place);
    if (!get_value(call, place, empty_value(), &value))
        return false;
    if (roan_hll_is_dense(value)) {
        data = roan_place_resize_string(call, place, value.bytes);
        if (data != NULL)
            roan_hll_dense_store(data, registers);
    } else {
        data = store_registers(call, place, value, registers, is_dense);
    }
    if (data != NULL)
        roan_hll_invalidate_count(data);
    return data != NULL;
}

ROAN_COMMAND(pfmerge, .arity = -2, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_INSERT),
                      ROAN_KEYS(2, -1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .group = ROAN_GROUP_HYPERLOGLOG, .since = "2.8.9",
             .complexity = "O(N) for N keys, with a large constant.",
             .summary = "Adds to a HyperLogLog the elements of others.",
             .arguments = "destkey:key [sourcekey:key...]")
{
    roan_hll_registers registers;
    roan_place place;
    bool is_any_dense = false, is_dense;
    memset(&registers, 0, sizeof registers);
    for (size_t i = 1; i < call->argc; i++) {
        if (!merge_key(call, i, &registers, &is_dense))
            return;
        is_any_dense |= is_dense;
    }
    if (!store_merged(call, &place, &registers, is_any_dense))
        return;
    roan_call_changed(call, &place, ROAN_EVENT_STRING, "pfadd");
    roan_out_ok(call->out);
}

/* ---- PFDEBUG ---- */

/* Makes the value dense if it is not; false after an error was sent. */
static bool make_dense(roan_call *call, roan_place *place, roan_slice *value, bool *ret_was_sparse)
{
    *ret_was_sparse = !roan_hll_is_dense(*value);
    if (!*ret_was_sparse)
        return true;
    roan_hll_draft draft;
    char *data = NULL;
    roan_hll_draft_init(&draft, *value, 0);
    if (!roan_hll_draft_make_dense(&draft))
        corrupt_error(call);
    else
        data = store(call, place, roan_hll_draft_value(&draft));
    roan_hll_draft_done(&draft);
    if (data == NULL)
        return false;
    *value = roan_slice_make(data, ROAN_HLL_DENSE_BYTES);
    roan_call_changed(call, place, 0, NULL);
    return true;
}

static void debug_registers(roan_call *call, roan_place *place, roan_slice value)
{
    roan_hll_registers registers;
    bool was_sparse;
    if (!make_dense(call, place, &value, &was_sparse))
        return;
    memset(&registers, 0, sizeof registers);
    ROAN_IGNORE(roan_hll_merge(&registers, value)); /* a dense value cannot be corrupt */
    roan_out_array(call->out, ROAN_HLL_REGISTER_COUNT);
    for (unsigned i = 0; i < ROAN_HLL_REGISTER_COUNT; i++)
        roan_out_integer(call->out, registers.rank[i]);
}

static void debug_decode(roan_call *call, roan_slice value)
{
    if (roan_hll_is_dense(value)) {
        roan_call_error(call, "ERR HLL encoding is not sparse");
        return;
    }
    roan_buffer text = {0};
    roan_hll_describe(value, &text);
    roan_out_bulk(call->out, roan_buffer_slice(&text));
    roan_buffer_done(&text);
}

static void debug_key(roan_call *call)
{
    roan_place place;
    roan_slice value;
    bool was_sparse;
    if (!roan_call_find_write(call, 2, &place)) {
        roan_call_error(call, "ERR The specified key does not exist");
        return;
    }
    if (!get_value(call, &place, empty_value(), &value))
        return;
    if (roan_call_is(call, 1, "GETREG")) {
        debug_registers(call, &place, value);
    } else if (roan_call_is(call, 1, "DECODE")) {
        debug_decode(call, value);
    } else if (roan_call_is(call, 1, "ENCODING")) {
        roan_out_status(call->out, roan_hll_is_dense(value) ? "dense" : "sparse");
    } else if (roan_call_is(call, 1, "TODENSE")) {
        if (make_dense(call, &place, &value, &was_sparse))
            roan_out_integer(call->out, was_sparse);
    } else {
        roan_call_error_printf(call, "ERR Unknown PFDEBUG subcommand '%.*s'", ROAN_SLICE_ARG(call->argv[1]));
    }
}

/* There is nothing to switch: the processor decides. */
static void debug_simd(roan_call *call)
{
    bool is_on = roan_call_is(call, 2, "ON");
    if (!is_on && !roan_call_is(call, 2, "OFF"))
        roan_call_error(call, "ERR Argument must be ON or OFF");
    else
        roan_out_status(call->out, is_on ? "enabled" : "disabled");
}

ROAN_COMMAND(pfdebug, .arity = 3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_ADMIN, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(2, ROAN_KEY_RW | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_HYPERLOGLOG, .since = "2.8.9",
             .complexity = "N/A", .summary = "Shows the inside of a HyperLogLog.",
             .arguments = "subcommand key:key", .is_system = true)
{
    if (roan_call_is(call, 1, "SIMD"))
        debug_simd(call);
    else
        debug_key(call);
}

/* ---- PFSELFTEST ---- */

#define TEST_ROUNDS 100
#define TEST_ELEMENTS 300000u
#define TEST_CHECKS_FROM 100u
#define TEST_ERROR_MAX 0.05 /* six standard errors */

/* Random registers survive the dense form. */
static bool test_registers(roan_call *call, char *dense)
{
    roan_hll_registers expected, found;
    for (unsigned round = 0; round < TEST_ROUNDS; round++) {
        for (unsigned i = 0; i < ROAN_HLL_REGISTER_COUNT; i++)
            expected.rank[i] = (uint8_t)roan_random_below(&call->lane->random, 64);
        memset(&found, 0, sizeof found);
        roan_hll_dense_store(dense, &expected);
        ROAN_IGNORE(roan_hll_merge(&found, roan_slice_make(dense, ROAN_HLL_DENSE_BYTES))); /* compared next */
        if (memcmp(&found, &expected, sizeof found) != 0) {
            roan_call_error(call, "TESTFAILED Registers of a dense value are not those that were stored");
            return false;
        }
    }
    return true;
}

static bool test_estimate(roan_call *call, roan_hll_draft *draft, uint64_t expected)
{
    uint64_t count = 0;
    if (roan_hll_count(roan_hll_draft_value(draft), &count) &&
        fabs((double)count - (double)expected) <= TEST_ERROR_MAX * (double)expected)
        return true;
    roan_call_error_printf(call, "TESTFAILED Too big error: %llu for %llu elements", (unsigned long long)count,
                           (unsigned long long)expected);
    return false;
}

/* Elements are counted well enough, and alike in both forms, at each power of ten and in the end. */
static bool test_counting(roan_call *call, roan_hll_draft *sparse, roan_hll_draft *dense)
{
    uint64_t seed = roan_random_next(&call->lane->random), next_check = TEST_CHECKS_FROM;
    for (uint64_t i = 1; i <= TEST_ELEMENTS; i++) {
        uint64_t element = seed + i;
        roan_hll_mark mark = roan_hll_mark_of(roan_slice_make((const char *)&element, sizeof element));
        if (roan_hll_draft_raise(sparse, mark) != roan_hll_draft_raise(dense, mark)) {
            roan_call_error(call, "TESTFAILED dense/sparse disagree");
            return false;
        }
        if (i != next_check && i != TEST_ELEMENTS)
            continue;
        next_check *= 10;
        if (!test_estimate(call, sparse, i) || !test_estimate(call, dense, i))
            return false;
    }
    return true;
}

ROAN_COMMAND(pfselftest, .arity = 1, .flags = ROAN_CMD_ADMIN, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_HYPERLOGLOG,
             .since = "2.8.9", .complexity = "N/A", .summary = "Tests the counting of HyperLogLogs on random elements.",
             .is_system = true)
{
    roan_hll_draft sparse, dense;
    roan_hll_draft_init(&sparse, empty_value(), call->engine->config.hll_sparse_max_bytes);
    roan_hll_draft_init(&dense, empty_value(), 0);
    ROAN_IGNORE(roan_hll_draft_make_dense(&dense)); /* an empty value is not corrupt */
    if (test_counting(call, &sparse, &dense) && test_registers(call, dense.copy.data))
        roan_out_ok(call->out);
    roan_hll_draft_done(&sparse);
    roan_hll_draft_done(&dense);
}
