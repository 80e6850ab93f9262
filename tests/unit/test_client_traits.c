/* Tests of the client's table of commands: lookup, keys, waiting, retry classes, connection state, description.
 *
 * Calls are written as one line of words separated by spaces; '' is the empty word. The table itself is checked against
 * the reference's facts by tools/gen_client_commands.py --check; whether keys are found as servers find them, against
 * running servers by tests/client/keys.py. Run as a cmocka program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "base/number.h"
#include "client/command_row.h"

#include <ctype.h>
#include <stdio.h>

#define WORDS_MAX 64
#define US_PER_S 1000000

typedef struct call {
    size_t argc;
    roan_slice argv[WORDS_MAX];
    const roan_command_traits *traits;
} call;

static call call_from(const char *line)
{
    call result = {.argc = 0};

    while (*line != '\0') {
        size_t bytes = strcspn(line, " ");
        assert_true(result.argc < WORDS_MAX);
        result.argv[result.argc++] = bytes == 2 && memcmp(line, "''", 2) == 0 ? roan_slice_make(line, 0)
                                                                              : roan_slice_make(line, bytes);
        line += bytes;
        line += *line == ' ';
    }
    result.traits = roan_command_traits_find(result.argc, result.argv);
    return result;
}

/* --- lookup --- */

static void every_row_is_found_by_its_name_in_any_case(void **state)
{
    (void)state;
    assert_true(roan_command_row_count > 400);
    for (unsigned i = 0; i < roan_command_row_count; i++) {
        const roan_command_row *row = &roan_command_rows[i];
        char text[64];
        const char *bar = strchr(row->traits.name, '|');
        for (int mode = 0; mode < 3; mode++) {
            size_t bytes = strlen(row->traits.name);
            roan_slice words[2];
            for (size_t at = 0; at < bytes; at++) {
                char c = row->traits.name[at];
                bool is_upper = mode == 1 || (mode == 2 && at % 2 == 0);
                text[at] = (char)(is_upper ? toupper(c) : c);
            }
            words[0] = roan_slice_make(text, bar != NULL ? (size_t)(bar - row->traits.name) : bytes);
            words[1] = roan_slice_make(text + words[0].bytes + 1, bytes - words[0].bytes - (bar != NULL));
            assert_ptr_equal(roan_command_traits_find(bar != NULL ? 2 : 1, words), &row->traits);
        }
        assert_true(row->traits.is_known);
        assert_ptr_equal(row->traits.inside, row);
    }
}

static void unknown_names_have_traits_that_promise_nothing(void **state)
{
    static const char *const lines[] = {"gett key", "ge", "g", "getter", "get| k", "client|list", "acl|",
                                        "georadiusbymember_roo k", "''", "a-name-that-is-longer-than-any-of-ours x",
                                        "GE\xd4 key", "\xe7\x65\x74 k"};
    (void)state;
    for (size_t i = 0; i < ROAN_COUNT_OF(lines); i++) {
        call unknown = call_from(lines[i]);
        assert_false(unknown.traits->is_known);
        assert_string_equal(unknown.traits->name, "");
        assert_int_equal(roan_command_retry_class(unknown.traits, unknown.argc, unknown.argv), ROAN_RETRY_NEVER);
        assert_int_equal(unknown.traits->states, ROAN_STATE_UNKNOWN);
        assert_int_equal(roan_command_block_us(unknown.traits, unknown.argc, unknown.argv), -1);
        assert_true(roan_command_key_positions(unknown.traits, unknown.argc, unknown.argv, NULL, 0) == SIZE_MAX);
    }
}

static void a_name_with_zero_bytes_is_no_name(void **state)
{
    roan_slice word = ROAN_LITERAL("get\0");

    (void)state;
    assert_false(roan_command_traits_find(1, &word)->is_known);
}

static void a_subcommand_wins_over_its_container(void **state)
{
    (void)state;
    assert_string_equal(call_from("CLIENT REPLY OFF").traits->name, "client|reply");
    assert_string_equal(call_from("client Kill").traits->name, "client|kill");
    assert_string_equal(call_from("CLIENT nonsense").traits->name, "client");
    assert_string_equal(call_from("CLIENT").traits->name, "client");
    assert_string_equal(call_from("XGROUP CREATE s g 0").traits->name, "xgroup|create");
    assert_string_equal(call_from("CLUSTER COUNT-FAILURE-REPORTS x").traits->name, "cluster|count-failure-reports");
    assert_string_equal(call_from("GET list").traits->name, "get");
    assert_string_equal(call_from("COMMAND").traits->name, "command");
}

/* --- keys --- */

typedef struct key_case {
    const char *line;
    const char *positions; /* "1 3", "?" for unknown */
} key_case;

static const key_case key_cases[] = {
    {"GET k", "1"},
    {"GET", ""},
    {"MGET a b c", "1 2 3"},
    {"MSET a 1 b 2", "1 3"},
    {"MSETEX 2 a 1 b 2 NX", "2 4"},
    {"BLPOP a b 0", "1 2"},
    {"RENAME a b", "1 2"},
    {"LCS a b LEN", "1 2"},
    {"BITOP AND d a b", "2 3 4"},
    {"ZUNIONSTORE d 2 a b WEIGHTS 1 2", "1 3 4"},
    {"ZUNION 2 a b", "2 3"},
    {"ZUNION x a b", "?"},
    {"ZUNION 3 a b", "?"},
    {"ZUNION -1 a b", "?"},
    {"ZUNION 99999999999999999999 a", "?"},
    {"LMPOP 2 a b LEFT", "2 3"},
    {"BLMPOP 0 2 a b LEFT", "3 4"},
    {"EVAL return 0", ""},
    {"EVAL return 2 a b arg", "3 4"},
    {"EVAL return 4 a b arg", "?"},
    {"FCALL_RO f 1 a b", "3"},
    {"SORT k", "1"},
    {"SORT k BY STORE GET STORE LIMIT 0 STORE STORE d", "1 10"},
    {"SORT k STORE a STORE b", "1 5"},
    {"SORT_RO k BY w_*", "1"},
    {"GEORADIUS k 1 2 3 m", "1"},
    {"GEORADIUS k 1 2 3 m STORE d", "1 7"},
    {"GEORADIUS k 1 2 3 m STORE d STOREDIST e", "1 9"},
    {"GEORADIUSBYMEMBER STORE STORE 3 m STOREDIST d", "1 6"},
    {"XREAD COUNT 2 BLOCK 0 STREAMS a b 0 0", "6 7"},
    {"XREAD STREAMS streams 0", "2"},
    {"XREAD STREAMS a b 0", "?"},
    {"XREADGROUP GROUP STREAMS c COUNT 1 STREAMS a >", "7"},
    {"MIGRATE h 1 k 0 100", "3"},
    {"MIGRATE h 1 '' 0 100 COPY AUTH KEYS KEYS a b", "10 11"},
    {"MIGRATE h 1 '' 0 100 AUTH2 KEYS KEYS KEYS a", "10"},
    {"OBJECT ENCODING k", "2"},
    {"OBJECT NOTHING k", "?"},
    {"MEMORY USAGE k", "2"},
    {"XINFO STREAM k", "2"},
    {"XGROUP CREATE k g 0", "2"},
    {"DEBUG OBJECT k", "2"},
    {"DEBUG SLEEP 1", ""},
    {"DEBUG POPULATE 10", "?"},
    {"SPUBLISH channel m", ""},
    {"SUBSCRIBE a b", ""},
    {"PING", ""},
    {"COMMAND", ""},
    {"COMMAND GETKEYS GET k", ""},
    {"CLUSTER KEYSLOT k", ""},
    {"RESTORE k 0 x", "1"},
    {"VADD k FP32 x e", "1"},
    {"PFDEBUG ENCODING k", "2"},
    {"ZRANGESTORE d s 0 1", "1 2"},
};

static void keys_are_where_the_command_has_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROAN_COUNT_OF(key_cases); i++) {
        call one = call_from(key_cases[i].line);
        unsigned positions[WORDS_MAX];
        size_t count = roan_command_key_positions(one.traits, one.argc, one.argv, positions, WORDS_MAX);
        char text[256] = "";
        size_t used = 0;
        for (size_t key = 0; count != SIZE_MAX && key < count; key++)
            used += (size_t)snprintf(text + used, sizeof text - used, key > 0 ? " %u" : "%u", positions[key]);
        if (strcmp(count == SIZE_MAX ? "?" : text, key_cases[i].positions) != 0)
            fail_msg("%s: keys at %s", key_cases[i].line, count == SIZE_MAX ? "?" : text);
    }
}

static void keys_are_counted_beyond_the_room_for_them(void **state)
{
    call one = call_from("DEL a b c d");
    unsigned positions[3] = {0, 0, 77};

    (void)state;
    assert_int_equal(roan_command_key_positions(one.traits, one.argc, one.argv, positions, 2), 4);
    assert_int_equal(positions[1], 2);
    assert_int_equal(positions[2], 77);
}

/* --- waiting --- */

typedef struct block_case {
    const char *line;
    int64_t us;
} block_case;

static const block_case block_cases[] = {
    {"GET k", -1},
    {"BLPOP k 1.5", 1500000},
    {"BLPOP k 0", INT64_MAX},
    {"BLPOP k 0.0001", 1000},
    {"BLPOP 5 6 nonsense", 0},
    {"BLPOP k -1", 0},
    {"BLPOP k inf", 0},
    {"BLPOP k 1e300", INT64_MAX},
    {"BLPOP", 0},
    {"BRPOP a b 2", 2 * US_PER_S},
    {"BRPOPLPUSH a b 2", 2 * US_PER_S},
    {"BLMOVE a b LEFT RIGHT 3", 3 * US_PER_S},
    {"BZPOPMIN a 4", 4 * US_PER_S},
    {"BZPOPMAX a 4", 4 * US_PER_S},
    {"BLMPOP 7 1 a LEFT", 7 * US_PER_S},
    {"BZMPOP 0 1 a MIN", INT64_MAX},
    {"XREAD STREAMS BLOCK 0", -1},
    {"XREAD BLOCK 250 STREAMS a 0", 250000},
    {"XREAD COUNT 1 BLOCK 0 STREAMS a 0", INT64_MAX},
    {"XREAD BLOCK", 0},
    {"XREADGROUP GROUP BLOCK 9 STREAMS a >", -1},
    {"XREADGROUP GROUP g c BLOCK 10 NOACK STREAMS a >", 10000},
    {"WAIT 1 100", 100000},
    {"WAIT 1 0", INT64_MAX},
    {"WAITAOF 1 1 20", 20000},
    {"WAIT 1 9223372036854775807", INT64_MAX},
    {"CLIENT PAUSE 1000", -1},
    {"MIGRATE h 1 k 0 0", US_PER_S},
    {"MIGRATE h 1 k 0 20", 20000},
};

static void the_time_to_wait_is_read_in_its_place_and_unit(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROAN_COUNT_OF(block_cases); i++) {
        call one = call_from(block_cases[i].line);
        int64_t us = roan_command_block_us(one.traits, one.argc, one.argv);
        if (us != block_cases[i].us)
            fail_msg("%s: waits %lld us", block_cases[i].line, (long long)us);
        assert_int_equal(one.traits->may_block, us != -1 || strncmp(one.traits->name, "xread", 5) == 0);
    }
}

/* --- again? --- */

typedef struct retry_case {
    const char *line;
    roan_retry_class class;
} retry_case;

#define READ ROAN_RETRY_READ
#define IDEMPOTENT ROAN_RETRY_IDEMPOTENT
#define NEVER ROAN_RETRY_NEVER

static const retry_case retry_cases[] = {
    {"GET k", READ},
    {"PING", READ},
    {"SET k v", IDEMPOTENT},
    {"SET k v EX 10", IDEMPOTENT},
    {"SET k v KEEPTTL", IDEMPOTENT},
    {"SET k NX", IDEMPOTENT},
    {"SET k v nx", NEVER},
    {"SET k v XX", NEVER},
    {"SET k v GET", NEVER},
    {"SET k v IFEQ x", NEVER},
    {"SETNX k v", NEVER},
    {"GETSET k v", NEVER},
    {"GETDEL k", NEVER},
    {"GETEX k", READ},
    {"GETEX k EX 5", IDEMPOTENT},
    {"INCR k", NEVER},
    {"APPEND k v", NEVER},
    {"DEL k", IDEMPOTENT},
    {"EXPIREAT k 1", IDEMPOTENT},
    {"EXPIRE k 1 NX", NEVER},
    {"HSET k f v", IDEMPOTENT},
    {"SADD k m", IDEMPOTENT},
    {"ZADD k 1 m", IDEMPOTENT},
    {"ZADD k INCR 1 m", NEVER},
    {"ZADD k NX 1 m", NEVER},
    {"LPUSH k v", NEVER},
    {"LTRIM k 1 -1", NEVER},
    {"XADD k * f v", NEVER},
    {"XACK k g 1-1", IDEMPOTENT},
    {"PUBLISH c m", NEVER},
    {"EVAL s 0", NEVER},
    {"EVAL_RO s 0", READ},
    {"SORT k", READ},
    {"SORT k STORE d", IDEMPOTENT},
    {"SORT k STORE k", NEVER},
    {"GEORADIUS k 1 2 3 m", READ},
    {"GEORADIUS k 1 2 3 m STORE d", IDEMPOTENT},
    {"SUNIONSTORE d a b", IDEMPOTENT},
    {"SUNIONSTORE d a d", NEVER},
    {"ZUNIONSTORE d 2 a d", NEVER},
    {"BITOP NOT d d", NEVER},
    {"BITOP NOT d s", IDEMPOTENT},
    {"BITFIELD k GET u8 0", READ},
    {"BITFIELD k INCRBY u8 0 1", NEVER},
    {"COPY a b", NEVER},
    {"COPY a b REPLACE", IDEMPOTENT},
    {"RESTORE k 0 REPLACE", NEVER},
    {"RESTORE k 0 x REPLACE", IDEMPOTENT},
    {"FUNCTION LOAD x", NEVER},
    {"FUNCTION LOAD REPLACE x", IDEMPOTENT},
    {"CONFIG SET a b", IDEMPOTENT},
    {"SHUTDOWN", NEVER},
};

static void the_retry_class_is_that_of_the_very_call(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROAN_COUNT_OF(retry_cases); i++) {
        call one = call_from(retry_cases[i].line);
        roan_retry_class class = roan_command_retry_class(one.traits, one.argc, one.argv);
        if (class != retry_cases[i].class)
            fail_msg("%s: class %d", retry_cases[i].line, (int)class);
    }
}

static void no_write_is_a_read_unless_its_arguments_say_so(void **state)
{
    (void)state;
    for (unsigned i = 0; i < roan_command_row_count; i++) {
        const roan_command_row *row = &roan_command_rows[i];
        if (row->traits.is_write && row->traits.retry == ROAN_RETRY_READ && row->word_count == 0)
            fail_msg("%s writes and is a read", row->traits.name);
    }
}

/* --- connection state --- */

static void what_changes_a_connection_is_refused_with_advice(void **state)
{
    static const char *const lines[] = {"MULTI", "EXEC", "DISCARD", "WATCH k", "UNWATCH", "SUBSCRIBE c", "PSUBSCRIBE c",
                                        "SSUBSCRIBE c", "UNSUBSCRIBE", "SELECT 1", "AUTH p", "HELLO 3", "MONITOR",
                                        "SYNC", "PSYNC ? -1", "CLIENT REPLY OFF", "CLIENT TRACKING ON",
                                        "CLIENT CACHING YES", "CLIENT SETNAME n", "CLIENT NO-EVICT ON", "READONLY",
                                        "READWRITE", "ASKING", "QUIT", "RESET", "SCRIPT DEBUG YES"};
    (void)state;
    for (size_t i = 0; i < ROAN_COUNT_OF(lines); i++) {
        call one = call_from(lines[i]);
        assert_true(one.traits->is_refused_shared);
        assert_non_null(one.traits->instead);
        assert_true((one.traits->states | one.traits->ends) != 0);
    }
    assert_true(call_from("WAIT 1 0").traits->is_refused_shared);
    assert_true(call_from("WAITAOF 1 1 0").traits->is_refused_shared);
    assert_false(call_from("GET k").traits->is_refused_shared);
    assert_false(call_from("CLIENT KILL ID 1").traits->is_refused_shared);
    assert_false(call_from("MODULE.COMMAND").traits->is_refused_shared);
}

static void every_state_has_a_command_that_begins_it_and_reset_ends_it(void **state)
{
    uint32_t begun = 0;
    const roan_command_traits *reset = call_from("RESET").traits;

    (void)state;
    for (unsigned i = 0; i < roan_command_row_count; i++) {
        const roan_command_traits *traits = &roan_command_rows[i].traits;
        begun |= traits->states;
        if (traits->states != 0 && traits->states != ROAN_STATE_UNKNOWN)
            assert_true(traits->is_refused_shared);
    }
    assert_int_equal(begun, 2 * ROAN_STATE_UNKNOWN - 1);
    assert_int_equal(reset->ends & ROAN_STATE_MULTI, ROAN_STATE_MULTI);
    assert_int_equal(call_from("EXEC").traits->ends, ROAN_STATE_MULTI | ROAN_STATE_WATCH);
    assert_int_equal(call_from("UNWATCH").traits->ends, ROAN_STATE_WATCH);
}

/* --- description --- */

static void a_description_never_shows_arguments(void **state)
{
    static const struct {
        const char *line;
        const char *text;
    } cases[] = {
        {"SET key secret", "set: 1 key, 3 words, 12 bytes"},
        {"AUTH user secret", "auth: 3 words, 14 bytes"},
        {"CONFIG SET requirepass secret", "config|set: 4 words, 26 bytes"},
        {"MGET a b", "mget: 2 keys, 3 words, 6 bytes"},
        {"PING", "ping: 1 word, 4 bytes"},
        {"JSON.GET doc", "JSON.GET: 2 words, 11 bytes"},
        {"p@ssw0rd!", "unknown command: 1 word, 9 bytes"},
        {"a-word-that-is-much-too-long-for-the-name-of-a-command", "unknown command: 1 word, 54 bytes"},
    };
    char text[64];

    (void)state;
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++) {
        call one = call_from(cases[i].line);
        roan_command_describe(one.traits, one.argc, one.argv, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
    memset(text, 'x', sizeof text);
    call one = call_from("SET key secret");
    roan_command_describe(one.traits, one.argc, one.argv, text, 6);
    assert_string_equal(text, "set: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_found_by_its_name_in_any_case),
        cmocka_unit_test(unknown_names_have_traits_that_promise_nothing),
        cmocka_unit_test(a_name_with_zero_bytes_is_no_name),
        cmocka_unit_test(a_subcommand_wins_over_its_container),
        cmocka_unit_test(keys_are_where_the_command_has_them),
        cmocka_unit_test(keys_are_counted_beyond_the_room_for_them),
        cmocka_unit_test(the_time_to_wait_is_read_in_its_place_and_unit),
        cmocka_unit_test(the_retry_class_is_that_of_the_very_call),
        cmocka_unit_test(no_write_is_a_read_unless_its_arguments_say_so),
        cmocka_unit_test(what_changes_a_connection_is_refused_with_advice),
        cmocka_unit_test(every_state_has_a_command_that_begins_it_and_reset_ends_it),
        cmocka_unit_test(a_description_never_shows_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
