/* test_command.c: what follows from a command's row: categories, key ranges, keys, argument trees, names.
 *
 * The rows here are made up from the shapes that real commands have, so that shapes of commands to come are covered;
 * at the end every row of the real index is asked the same questions. Command lines are copied into blocks of exactly
 * their size, so that a sanitizer sees a step over the edge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/number.h"
#include "engine/command_arguments.h"
#include "engine/command_keys.h"

#define WORDS_MAX 256
#define TEXT_MAX 8192

/* --- rows --- */

#define READS (ROAN_KEY_RO | ROAN_KEY_ACCESS)
#define WRITES (ROAN_KEY_OW | ROAN_KEY_UPDATE)

static const roan_command get = {.name = "get", .arity = 2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST,
                                 .group = ROAN_GROUP_STRING, .keys = {ROAN_KEY(1, READS)}};
static const roan_command ping = {.name = "ping", .arity = -1, .flags = ROAN_CMD_FAST, .group = ROAN_GROUP_CONNECTION};
static const roan_command del = {.name = "del", .arity = -2, .flags = ROAN_CMD_WRITE, .group = ROAN_GROUP_GENERIC,
                                 .keys = {ROAN_KEYS(1, -1, 1, ROAN_KEY_RM | ROAN_KEY_DELETE)}};
static const roan_command mset = {.name = "mset", .arity = -3, .flags = ROAN_CMD_WRITE, .group = ROAN_GROUP_STRING,
                                  .keys = {ROAN_KEYS(1, -1, 2, WRITES)}};
static const roan_command rename_row = {.name = "rename", .arity = 3, .flags = ROAN_CMD_WRITE,
                                        .group = ROAN_GROUP_GENERIC,
                                        .keys = {ROAN_KEY(1, READS), ROAN_KEY(2, WRITES)}};
static const roan_command bitop = {.name = "bitop", .arity = -4, .flags = ROAN_CMD_WRITE, .group = ROAN_GROUP_BITMAP,
                                   .keys = {ROAN_KEY(2, WRITES), ROAN_KEYS(3, -1, 1, READS)}};
static const roan_command blpop = {.name = "blpop", .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_BLOCKING,
                                   .group = ROAN_GROUP_LIST, .keys = {ROAN_KEYS(1, -2, 1, READS)}};
static const roan_command zunionstore = {.name = "zunionstore", .arity = -4, .flags = ROAN_CMD_WRITE,
                                         .group = ROAN_GROUP_SORTED_SET,
                                         .keys = {ROAN_KEY(1, WRITES), ROAN_KEYNUM(2, 1, 1, READS)}};
static const roan_command msetex = {.name = "msetex", .arity = -4, .flags = ROAN_CMD_WRITE,
                                    .group = ROAN_GROUP_STRING, .keys = {ROAN_KEYNUM(1, 1, 2, WRITES)}};
static const roan_command eval_ro = {.name = "eval_ro", .arity = -3,
                                     .flags = ROAN_CMD_READ | ROAN_CMD_NO_MANDATORY_KEYS, .group = ROAN_GROUP_SCRIPTING,
                                     .keys = {ROAN_KEYNUM(2, 1, 1, READS)}};
static const roan_command xread = {.name = "xread", .arity = -4, .flags = ROAN_CMD_READ, .group = ROAN_GROUP_STREAM,
                                   .keys = {ROAN_KEYWORD("STREAMS", 1, -1, 1, 2, READS)}};
static const roan_command spublish = {.name = "spublish", .arity = 3, .flags = ROAN_CMD_PUBSUB,
                                      .group = ROAN_GROUP_PUBSUB, .keys = {ROAN_KEY(1, ROAN_KEY_NOT_KEY)}};
static const roan_command set = {.name = "set", .arity = -3, .flags = ROAN_CMD_WRITE, .group = ROAN_GROUP_STRING,
                                 .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_VARIABLE_FLAGS)},
                                 .find_keys = roan_find_keys_set};
static const roan_command bitfield = {.name = "bitfield", .arity = -2, .group = ROAN_GROUP_BITMAP,
                                      .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_VARIABLE_FLAGS)},
                                      .find_keys = roan_find_keys_bitfield};
static const roan_command sort = {.name = "sort", .arity = -2, .flags = ROAN_CMD_WRITE, .group = ROAN_GROUP_GENERIC,
                                  .acl = ROAN_ACL_NO_GROUP | ROAN_ACL_LIST,
                                  .keys = {ROAN_KEY(1, READS), ROAN_KEYS_UNKNOWN(READS), ROAN_KEYS_UNKNOWN(WRITES)},
                                  .find_keys = roan_find_keys_sort};
static const roan_command sort_specs = {.name = "sort", .arity = -2, .group = ROAN_GROUP_GENERIC,
                                        .keys = {ROAN_KEY(1, READS), ROAN_KEYS_UNKNOWN(READS)}};
static const roan_command migrate = {.name = "migrate", .arity = -6, .group = ROAN_GROUP_GENERIC,
                                     .keys = {ROAN_KEY(3, READS),
                                              ROAN_KEYWORD("KEYS", -2, -1, 1, 0, READS | ROAN_KEY_INCOMPLETE)},
                                     .find_keys = roan_find_keys_migrate};
static const roan_command from_end = {.name = "fromend", .arity = -3, .group = ROAN_GROUP_GENERIC,
                                      .keys = {ROAN_KEYWORD("KEYS", -2, -1, 1, 0, READS)}};
static const roan_command georadius = {.name = "georadius", .arity = -6, .group = ROAN_GROUP_GEO,
                                       .keys = {ROAN_KEY(1, READS), ROAN_KEYWORD("STORE", 6, 0, 1, 0, WRITES)},
                                       .find_keys = roan_find_keys_georadius};

/* --- helpers --- */

/* A command line out of a text with blanks; "''" is an empty word. Every word has a block of its own. */
typedef struct command_line {
    roan_slice *argv;
    size_t argc;
} command_line;

static command_line line_make(const char *text)
{
    command_line made = {calloc(WORDS_MAX, sizeof(roan_slice)), 0};
    while (*text != '\0') {
        size_t bytes = strcspn(text, " ");
        size_t kept = bytes == 2 && text[0] == '\'' ? 0 : bytes;
        char *word = malloc(kept > 0 ? kept : 1);
        memcpy(word, text, kept);
        made.argv[made.argc++] = roan_slice_make(word, kept);
        text += bytes;
        text += *text == ' ';
    }
    roan_slice *exact = malloc(made.argc * sizeof(*exact));
    memcpy(exact, made.argv, made.argc * sizeof(*exact));
    free(made.argv);
    made.argv = exact;
    return made;
}

static void line_done(command_line *line)
{
    for (size_t i = 0; i < line->argc; i++)
        free((void *)(uintptr_t)line->argv[i].data);
    free(line->argv);
}

static size_t print(char *out, size_t used, const char *format, ...) __attribute__((format(printf, 3, 4)));
static size_t print(char *out, size_t used, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int bytes = vsnprintf(out + used, TEXT_MAX - used, format, list);
    va_end(list);
    assert_true(bytes >= 0 && used + (size_t)bytes < TEXT_MAX);
    return used + (size_t)bytes;
}

/* "a:RO+access b:OW+update", "" for no keys, "!" for a line that cannot be valid. */
static void print_keys(const roan_command *command, const char *text, char *out)
{
    command_line line = line_make(text);
    roan_key_list list;
    roan_key_list_init(&list);
    size_t used = print(out, 0, "%s", "");
    if (!roan_command_find_keys(command, line.argc, line.argv, &list)) {
        assert_int_equal(list.count, 0);
        print(out, used, "!");
    }
    for (unsigned i = 0; i < list.count; i++) {
        roan_key_ref ref = roan_key_list_refs(&list)[i];
        used = print(out, used, "%s%.*s", i > 0 ? " " : "", ROAN_SLICE_ARG(line.argv[ref.index]));
        for (unsigned bit = 0, count = 0; bit < ROAN_KEY_FLAG_COUNT; bit++)
            if (ref.flags >> bit & 1)
                used = print(out, used, "%s%s", count++ > 0 ? "+" : ":", roan_key_flag_names[bit]);
    }
    roan_key_list_done(&list);
    line_done(&line);
}

static void assert_keys(const roan_command *command, const char *text, const char *expected)
{
    char found[TEXT_MAX];
    print_keys(command, text, found);
    if (strcmp(found, expected) != 0)
        fail_msg("%s: expected '%s', found '%s'", text, expected, found);
}

static void assert_range(const roan_command *command, int first, int last, int step, bool is_movable)
{
    roan_key_range range = roan_command_key_range(command);
    assert_int_equal(range.first, first);
    assert_int_equal(range.last, last);
    assert_int_equal(range.step, step);
    assert_int_equal((roan_command_flags(command) & ROAN_CMD_MOVABLE_KEYS) != 0, is_movable);
}

/* --- categories --- */

static void categories_follow_from_flags_and_group(ROAN_MAYBE_UNUSED void **state)
{
    assert_int_equal(roan_command_categories(&get), ROAN_ACL_READ | ROAN_ACL_STRING | ROAN_ACL_FAST);
    assert_int_equal(roan_command_categories(&ping), ROAN_ACL_CONNECTION | ROAN_ACL_FAST);
    assert_int_equal(roan_command_categories(&del), ROAN_ACL_KEYSPACE | ROAN_ACL_WRITE | ROAN_ACL_SLOW);
    assert_int_equal(roan_command_categories(&blpop),
                     ROAN_ACL_WRITE | ROAN_ACL_LIST | ROAN_ACL_SLOW | ROAN_ACL_BLOCKING);
    assert_int_equal(roan_command_categories(&spublish), ROAN_ACL_PUBSUB | ROAN_ACL_SLOW);
}

static void admin_commands_are_dangerous(ROAN_MAYBE_UNUSED void **state)
{
    const roan_command shutdown = {.name = "shutdown", .flags = ROAN_CMD_ADMIN, .group = ROAN_GROUP_SERVER};
    assert_int_equal(roan_command_categories(&shutdown), ROAN_ACL_ADMIN | ROAN_ACL_DANGEROUS | ROAN_ACL_SLOW);
}

static void reading_scripts_are_not_in_the_read_category(ROAN_MAYBE_UNUSED void **state)
{
    assert_int_equal(roan_command_categories(&eval_ro), ROAN_ACL_SCRIPTING | ROAN_ACL_SLOW);
}

static void a_row_can_decline_the_category_of_its_group(ROAN_MAYBE_UNUSED void **state)
{
    assert_int_equal(roan_command_categories(&sort), ROAN_ACL_LIST | ROAN_ACL_WRITE | ROAN_ACL_SLOW);
}

static void categories_are_found_by_name(ROAN_MAYBE_UNUSED void **state)
{
    for (unsigned bit = 0; bit < ROAN_ACL_CATEGORY_COUNT; bit++)
        assert_int_equal(roan_acl_category_find(roan_slice_from_text(roan_acl_category_names[bit])), 1u << bit);
    assert_int_equal(roan_acl_category_find(ROAN_LITERAL("SortedSet")), ROAN_ACL_SORTEDSET);
    assert_int_equal(roan_acl_category_find(ROAN_LITERAL("@read")), 0);
    assert_int_equal(roan_acl_category_find(ROAN_LITERAL("")), 0);
}

/* --- the legacy range --- */

static void one_range_is_the_legacy_range(ROAN_MAYBE_UNUSED void **state)
{
    assert_range(&ping, 0, 0, 0, false);
    assert_range(&get, 1, 1, 1, false);
    assert_range(&del, 1, -1, 1, false);
    assert_range(&mset, 1, -1, 2, false);
    assert_range(&blpop, 1, -2, 1, false);
    assert_range(&set, 1, 1, 1, false);
}

static void adjacent_ranges_are_merged(ROAN_MAYBE_UNUSED void **state)
{
    assert_range(&rename_row, 1, 2, 1, false);
    assert_range(&bitop, 2, -1, 1, false);
}

static void what_is_no_range_makes_keys_movable(ROAN_MAYBE_UNUSED void **state)
{
    assert_range(&zunionstore, 1, 1, 1, true);
    assert_range(&eval_ro, 0, 0, 0, true);
    assert_range(&xread, 0, 0, 0, true);
    assert_range(&sort, 1, 1, 1, true);
    assert_range(&migrate, 3, 3, 1, true);
}

static void ranges_with_a_gap_are_not_merged(ROAN_MAYBE_UNUSED void **state)
{
    const roan_command gap = {.name = "gap", .keys = {ROAN_KEY(1, READS), ROAN_KEY(3, READS)}};
    assert_range(&gap, 1, 1, 1, true);
}

/* --- keys --- */

static void keys_at_fixed_places(ROAN_MAYBE_UNUSED void **state)
{
    assert_keys(&get, "get a", "a:RO+access");
    assert_keys(&rename_row, "rename a b", "a:RO+access b:OW+update");
    assert_keys(&ping, "ping a", "");
    assert_keys(&spublish, "spublish a b", "");
    assert_keys(&get, "get ''", ":RO+access");
}

static void keys_up_to_the_end(ROAN_MAYBE_UNUSED void **state)
{
    assert_keys(&del, "del a", "a:RM+delete");
    assert_keys(&del, "del a b a", "a:RM+delete b:RM+delete a:RM+delete");
    assert_keys(&mset, "mset a 1 b 2", "a:OW+update b:OW+update");
    assert_keys(&mset, "mset a 1 b", "a:OW+update b:OW+update");
    assert_keys(&bitop, "bitop not d s", "d:OW+update s:RO+access");
    assert_keys(&blpop, "blpop a b 0", "a:RO+access b:RO+access");
    assert_keys(&blpop, "blpop 0", "!");
    assert_keys(&bitop, "bitop not d", "!");
}

static void keys_by_number(ROAN_MAYBE_UNUSED void **state)
{
    assert_keys(&zunionstore, "zunionstore d 2 a b WEIGHTS 1 2", "d:OW+update a:RO+access b:RO+access");
    assert_keys(&msetex, "msetex 2 a 1 b 2 NX", "a:OW+update b:OW+update");
    assert_keys(&msetex, "msetex 2 a 1 b", "a:OW+update b:OW+update");
    assert_keys(&eval_ro, "eval_ro code 1 a b", "a:RO+access");
}

static void a_wrong_number_of_keys_is_noticed(ROAN_MAYBE_UNUSED void **state)
{
    static const char *const counts[] = {"0", "-1", "3", "x", "''", "1x", "99999999999999999999", "4294967297"};
    for (size_t i = 0; i < ROAN_COUNT_OF(counts); i++) {
        char text[64];
        snprintf(text, sizeof(text), "zunionstore d %s a b", counts[i]);
        assert_keys(&zunionstore, text, "!");
    }
    assert_keys(&zunionstore, "zunionstore d 1", "!");
    assert_keys(&zunionstore, "zunionstore d", "!");
    assert_keys(&msetex, "msetex 3 a 1 b 2", "!");
}

static void keys_behind_a_word(ROAN_MAYBE_UNUSED void **state)
{
    assert_keys(&xread, "xread streams a b 1 2", "a:RO+access b:RO+access");
    assert_keys(&xread, "xread COUNT 2 Streams a 1", "a:RO+access");
    assert_keys(&xread, "xread streams a b 1", "a:RO+access");
    assert_keys(&xread, "xread count 1 block 1", "");
    assert_keys(&xread, "xread count 1 streams", "");
    assert_keys(&from_end, "fromend x KEYS a b", "a:RO+access b:RO+access");
    assert_keys(&from_end, "fromend KEYS x keys a", "a:RO+access");
    assert_keys(&from_end, "fromend a b", "");
}

static void unknown_specs_find_nothing(ROAN_MAYBE_UNUSED void **state)
{
    assert_keys(&sort_specs, "sort a", "!");
}

static void set_reads_only_with_get(ROAN_MAYBE_UNUSED void **state)
{
    assert_keys(&set, "set a b", "a:OW+update");
    assert_keys(&set, "set a get", "a:OW+update");
    assert_keys(&set, "set a b NX Get", "a:RW+access+update");
}

static void bitfield_writes_only_with_set_or_incrby(ROAN_MAYBE_UNUSED void **state)
{
    assert_keys(&bitfield, "bitfield a", "a:RO+access");
    assert_keys(&bitfield, "bitfield a get u8 0 GET i5 1", "a:RO+access");
    assert_keys(&bitfield, "bitfield a get u8 0 set u8 0 1", "a:RW+access+update");
    assert_keys(&bitfield, "bitfield a overflow sat get u8 0", "a:RO+access");
    assert_keys(&bitfield, "bitfield a overflow sat incrby u8 0 1", "a:RW+access+update");
    assert_keys(&bitfield, "bitfield a get u8", "a:RW+access+update");
    assert_keys(&bitfield, "bitfield a nonsense", "a:RW+access+update");
}

static void sort_stores_where_the_last_store_says(ROAN_MAYBE_UNUSED void **state)
{
    assert_keys(&sort, "sort a", "a:RO+access");
    assert_keys(&sort, "sort a by store get store limit store 1 alpha", "a:RO+access");
    assert_keys(&sort, "sort a store b STORE c", "a:RO+access c:OW+update");
    assert_keys(&sort, "sort a store", "a:RO+access");
    assert_keys(&georadius, "georadius a 1 2 3 km store b storedist c", "a:RO+access c:OW+update");
    assert_keys(&georadius, "georadius a 1 2 3 km asc", "a:RO+access");
}

static void migrate_takes_one_key_or_a_list(ROAN_MAYBE_UNUSED void **state)
{
    assert_keys(&migrate, "migrate h 1 a 0 9", "a:RW+access+delete");
    assert_keys(&migrate, "migrate h 1 '' 0 9 COPY KEYS a b", "a:RW+access+delete b:RW+access+delete");
    assert_keys(&migrate, "migrate h 1 '' 0 9 auth keys KEYS a", "a:RW+access+delete");
    assert_keys(&migrate, "migrate h 1 '' 0 9 auth2 keys keys keys b", "b:RW+access+delete");
    assert_keys(&migrate, "migrate h 1 a 0 9 KEYS b", "!");
}

static void many_keys_outgrow_the_room(ROAN_MAYBE_UNUSED void **state)
{
    roan_slice argv[WORDS_MAX];
    roan_key_list list;
    roan_key_list_init(&list);
    for (size_t argc = 2; argc <= WORDS_MAX; argc++) {
        for (size_t i = 0; i < argc; i++)
            argv[i] = ROAN_LITERAL("k");
        assert_true(roan_command_find_keys(&del, argc, argv, &list));
        assert_int_equal(list.count, argc - 1);
        for (unsigned i = 0; i < list.count; i++)
            assert_int_equal(roan_key_list_refs(&list)[i].index, i + 1);
    }
    roan_key_list_done(&list);
    assert_int_equal(list.capacity, 0);
}

static void a_single_fixed_key_is_seen_without_looking(ROAN_MAYBE_UNUSED void **state)
{
    assert_int_equal(roan_command_single_key(&get), 1);
    assert_int_equal(roan_command_single_key(&set), 1);
    assert_int_equal(roan_command_single_key(&del), 0);
    assert_int_equal(roan_command_single_key(&rename_row), 0);
    assert_int_equal(roan_command_single_key(&eval_ro), 0);
    assert_int_equal(roan_command_single_key(&spublish), 0);
    assert_int_equal(roan_command_single_key(&ping), 0);
    assert_true(roan_command_has_keys(&get) && roan_command_has_keys(&sort) && roan_command_has_keys(&xread));
    assert_false(roan_command_has_keys(&ping) || roan_command_has_keys(&spublish));
}

static void arity_is_exact_or_a_minimum(ROAN_MAYBE_UNUSED void **state)
{
    assert_true(roan_command_accepts_count(&get, 2));
    assert_false(roan_command_accepts_count(&get, 1) || roan_command_accepts_count(&get, 3));
    assert_true(roan_command_accepts_count(&del, 2) && roan_command_accepts_count(&del, 200));
    assert_false(roan_command_accepts_count(&del, 1));
}

/* --- arguments --- */

static size_t print_argument(const roan_argument *argument, char *out, size_t used)
{
    used = print(out, used, "(%s %.*s", roan_argument_type_names[argument->type], ROAN_SLICE_ARG(argument->name));
    if (argument->text.data != NULL && !roan_slice_equal(argument->text, argument->name))
        used = print(out, used, " shown=%.*s", ROAN_SLICE_ARG(argument->text));
    if (argument->token.data != NULL && argument->type != ROAN_ARGUMENT_PURE_TOKEN)
        used = print(out, used, " token=%.*s", ROAN_SLICE_ARG(argument->token));
    if (argument->key_spec >= 0)
        used = print(out, used, " #%d", argument->key_spec);
    if (argument->since.data != NULL)
        used = print(out, used, " since=%.*s", ROAN_SLICE_ARG(argument->since));
    for (unsigned bit = 0; bit < ROAN_ARGUMENT_FLAG_COUNT; bit++)
        if (argument->flags >> bit & 1)
            used = print(out, used, " %s", roan_argument_flag_names[bit]);
    const roan_argument *part = argument + 1;
    for (unsigned i = 0; i < argument->child_count; i++) {
        used = print_argument(part, out, print(out, used, " "));
        part += part->span;
    }
    assert_ptr_equal(part, argument + argument->span);
    return print(out, used, ")");
}

static void assert_arguments(const char *text, const char *expected)
{
    roan_arguments arguments;
    char printed[TEXT_MAX] = "";
    size_t used = 0;
    assert_true(roan_arguments_parse(text, 2, &arguments));
    const roan_argument *argument = arguments.list;
    for (unsigned i = 0; i < arguments.top_count; i++) {
        used = print_argument(argument, printed, used);
        argument += argument->span;
    }
    assert_string_equal(printed, expected);
    assert_ptr_equal(argument, arguments.list + arguments.count);
}

static void arguments_have_names_types_and_suffixes(ROAN_MAYBE_UNUSED void **state)
{
    assert_arguments(NULL, "");
    assert_arguments("", "");
    assert_arguments("message", "(string message)");
    assert_arguments("n:integer d:double p:pattern t:unix-time",
                     "(integer n)(double d)(pattern p)(unix-time t)");
    assert_arguments("a:key b:key c:key", "(key a #0)(key b #1)(key c #1)");
    assert_arguments("a:key#1 n:integer#0", "(key a #1)(integer n #0)");
    assert_arguments("addr=ip:port^6.2.0 k:key#1=text^1.2.3...",
                     "(string addr shown=ip:port since=6.2.0)(key k shown=text #1 since=1.2.3 multiple)");
}

static void tokens_stand_alone_or_before_a_value(ROAN_MAYBE_UNUSED void **state)
{
    assert_arguments("[GET^6.2.0]", "(pure-token GET since=6.2.0 optional)");
    assert_arguments("[CH@change^3.0.2]", "(pure-token change since=3.0.2 optional)");
    assert_arguments("NO@no ONE", "(pure-token no)(pure-token ONE)");
    assert_arguments("NODE@node-token node-id", "(pure-token node-token)(string node-id)");
    assert_arguments("[COUNT count:integer]", "(integer count token=COUNT optional)");
    assert_arguments("[GET pattern....]", "(string pattern token=GET optional multiple multiple_token)");
    assert_arguments("op<=@equal|~@about|*>", "(oneof op (pure-token equal) (pure-token about) (pure-token *))");
    assert_arguments("key<k:key|''@nothing>", "(oneof key (key k #0) (pure-token nothing))");
}

static void oneofs_and_blocks_nest(ROAN_MAYBE_UNUSED void **state)
{
    assert_arguments("[c^7.0.0<NX|EX s:integer>]",
                     "(oneof c since=7.0.0 optional (pure-token NX) (integer s token=EX))");
    assert_arguments("data{key:key value}...", "(block data multiple (key key #0) (string value))");
    assert_arguments("LIMIT limit{a b}", "(block limit token=LIMIT (string a) (string b))");
    assert_arguments("a<b{c<D|E> [F]}|g...>...",
                     "(oneof a multiple (block b (oneof c (pure-token D) (pure-token E)) (pure-token F optional)) "
                     "(string g multiple))");
}

static void malformed_arguments_are_refused(ROAN_MAYBE_UNUSED void **state)
{
    static const char *const texts[] = {
        " a", "a ", "a  b", "[a", "a]", "[a b]", "[]", "a<", "a<>", "a<b", "a<b|>", "a{", "a{}", "a{b", "a{b ]", "a:",
        "a:nothing", "a:block", "a#", "a#x", "a^", "a^x", "a=", "a..", "a.....", "A@", ":key", "a|b", "[[a]]",
        "TOKEN {a}",
    };
    roan_arguments arguments;
    for (size_t i = 0; i < ROAN_COUNT_OF(texts); i++)
        if (roan_arguments_parse(texts[i], 1, &arguments))
            fail_msg("'%s' was accepted", texts[i]);
}

static void too_many_arguments_are_refused(ROAN_MAYBE_UNUSED void **state)
{
    char text[4 * ROAN_ARGUMENTS_MAX] = "";
    static roan_arguments arguments;
    for (unsigned count = 1; count <= ROAN_ARGUMENTS_MAX + 1; count++) {
        size_t bytes = strlen(text);
        snprintf(text + bytes, sizeof(text) - bytes, bytes > 0 ? " a" : "a");
        assert_int_equal(roan_arguments_parse(text, 0, &arguments), count <= ROAN_ARGUMENTS_MAX);
    }
    memset(text, '[', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_false(roan_arguments_parse(text, 0, &arguments));
}

/* --- the real index --- */

static roan_slice upper_copy(const char *text, size_t bytes, char *out)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 'a' + 'A' : text[i]);
    return roan_slice_make(out, bytes);
}

static void every_command_is_found_by_its_name(ROAN_MAYBE_UNUSED void **state)
{
    assert_true(roan_command_index_count > 0);
    for (unsigned i = 0; i < roan_command_index_count; i++) {
        const roan_command *command = roan_command_index[i];
        char upper[128], mixed[128];
        roan_slice name = upper_copy(command->name, strlen(command->name), upper);
        assert_int_equal(command->id, i);
        assert_ptr_equal(roan_command_find(name), command);
        assert_ptr_equal(roan_command_find(roan_slice_from_text(command->name)), command);
        name.bytes--;
        assert_ptr_not_equal(roan_command_find(name), command);
        size_t bytes = (size_t)snprintf(mixed, sizeof(mixed), "%sx", command->name);
        assert_ptr_not_equal(roan_command_find(roan_slice_make(mixed, bytes)), command);
    }
}

static void every_command_is_found_by_its_words(ROAN_MAYBE_UNUSED void **state)
{
    for (unsigned i = 0; i < roan_command_index_count; i++) {
        const roan_command *command = roan_command_index[i];
        const char *bar = strchr(command->name, '|');
        roan_slice whole = roan_slice_from_text(command->name);
        assert_int_equal(bar != NULL, roan_command_is_subcommand(command));
        if (bar == NULL) {
            assert_ptr_equal(roan_command_find_words(1, &whole), command);
            continue;
        }
        char upper[128];
        roan_slice words[] = {roan_slice_make(command->name, (size_t)(bar - command->name)),
                              upper_copy(bar + 1, strlen(bar + 1), upper)};
        assert_ptr_equal(roan_command_find_words(2, words), command);
        assert_null(roan_command_find_words(1, &whole));
        words[1].bytes--;
        assert_ptr_not_equal(roan_command_find_words(2, words), command);
    }
}

static void unknown_names_are_not_found(ROAN_MAYBE_UNUSED void **state)
{
    static const char *const names[] = {"",   "|",  "x", "get\t", "gets", "ge", "getgetgetgetgetgetgetgetget",
                                        "client|", "|list"};
    for (size_t i = 0; i < ROAN_COUNT_OF(names); i++)
        assert_null(roan_command_find(roan_slice_from_text(names[i])));
    assert_null(roan_command_find(roan_slice_make("get\0", 4)));
    assert_null(roan_command_find(roan_slice_make("get\0get", 7)));
    roan_slice words[] = {ROAN_LITERAL("command"), ROAN_LITERAL("nothing")};
    assert_null(roan_command_find_words(2, words));
}

static void subcommands_stand_behind_their_parent(ROAN_MAYBE_UNUSED void **state)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < roan_command_index_count; i++) {
        unsigned count;
        const roan_command *parent = roan_command_index[i];
        const roan_command *const *rows = roan_command_subcommands(parent, &count);
        for (unsigned row = 0; row < count; row++) {
            size_t bytes = strlen(parent->name);
            assert_memory_equal(rows[row]->name, parent->name, bytes);
            assert_int_equal(rows[row]->name[bytes], '|');
        }
        sum += count + !roan_command_is_subcommand(parent);
    }
    assert_int_equal(sum, roan_command_index_count);
}

/* A row's sentences, specs and flags fit together. */
static void every_row_is_sound(ROAN_MAYBE_UNUSED void **state)
{
    static roan_arguments arguments;
    for (unsigned i = 0; i < roan_command_index_count; i++) {
        const roan_command *command = roan_command_index[i];
        unsigned specs = roan_command_key_spec_count(command);
        if (!roan_arguments_parse(command->arguments, specs, &arguments))
            fail_msg("%s: the arguments are malformed", command->name);
        for (unsigned node = 0; node < arguments.count; node++)
            assert_true(arguments.list[node].key_spec < (int)specs);
        char last = command->summary[strlen(command->summary) - 1];
        if (last != '.' && last != '?')
            fail_msg("%s: the summary is a sentence", command->name);
        if (command->lock == ROAN_LOCK_K && !roan_command_has_keys(command))
            fail_msg("%s: locks keys and has none", command->name);
        if (command->lock == ROAN_LOCK_L && roan_command_has_keys(command))
            fail_msg("%s: has keys and no lock", command->name);
        if ((command->flags & ROAN_CMD_WRITE) && (command->flags & ROAN_CMD_READ))
            fail_msg("%s: reads only and writes", command->name);
        assert_int_not_equal(command->arity, 0);
        assert_true(roan_command_categories(command) != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(categories_follow_from_flags_and_group),
        cmocka_unit_test(admin_commands_are_dangerous),
        cmocka_unit_test(reading_scripts_are_not_in_the_read_category),
        cmocka_unit_test(a_row_can_decline_the_category_of_its_group),
        cmocka_unit_test(categories_are_found_by_name),
        cmocka_unit_test(one_range_is_the_legacy_range),
        cmocka_unit_test(adjacent_ranges_are_merged),
        cmocka_unit_test(what_is_no_range_makes_keys_movable),
        cmocka_unit_test(ranges_with_a_gap_are_not_merged),
        cmocka_unit_test(keys_at_fixed_places),
        cmocka_unit_test(keys_up_to_the_end),
        cmocka_unit_test(keys_by_number),
        cmocka_unit_test(a_wrong_number_of_keys_is_noticed),
        cmocka_unit_test(keys_behind_a_word),
        cmocka_unit_test(unknown_specs_find_nothing),
        cmocka_unit_test(set_reads_only_with_get),
        cmocka_unit_test(bitfield_writes_only_with_set_or_incrby),
        cmocka_unit_test(sort_stores_where_the_last_store_says),
        cmocka_unit_test(migrate_takes_one_key_or_a_list),
        cmocka_unit_test(many_keys_outgrow_the_room),
        cmocka_unit_test(a_single_fixed_key_is_seen_without_looking),
        cmocka_unit_test(arity_is_exact_or_a_minimum),
        cmocka_unit_test(arguments_have_names_types_and_suffixes),
        cmocka_unit_test(tokens_stand_alone_or_before_a_value),
        cmocka_unit_test(oneofs_and_blocks_nest),
        cmocka_unit_test(malformed_arguments_are_refused),
        cmocka_unit_test(too_many_arguments_are_refused),
        cmocka_unit_test(every_command_is_found_by_its_name),
        cmocka_unit_test(every_command_is_found_by_its_words),
        cmocka_unit_test(unknown_names_are_not_found),
        cmocka_unit_test(subcommands_stand_behind_their_parent),
        cmocka_unit_test(every_row_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
