/* client/command_keys.c: where the keys of a call are.
 *
 * Mostly by the key specs of the table, which are those of COMMAND INFO. Where a spec cannot say it (an option that may
 * stand anywhere, a keyword that may also be a value) the options are read as the server reads them. Positions are
 * gathered in the order in which the server reports them; only as many as the caller has room for are written.
 */
#include "client/command_row.h"

#include "base/macros.h"
#include "base/number.h"

typedef struct key_list {
    unsigned *positions;
    size_t positions_max;
    size_t count;
} key_list;

static void add(key_list *list, size_t position)
{
    if (list->count < list->positions_max)
        list->positions[list->count] = (unsigned)position;
    list->count++;
}

/* --- by specs --- */

/* The argument after the keyword of a spec, or 0. */
static size_t find_keyword(const roan_command_spec *spec, size_t argc, const roan_slice *argv)
{
    size_t at;

    if (spec->at >= 0) {
        for (at = (size_t)spec->at; at < argc; at++) {
            if (roan_slice_is(argv[at], spec->keyword))
                return at + 1;
        }
        return 0;
    }
    at = argc >= (size_t)-spec->at ? argc - (size_t)-spec->at : 0;
    for (; at > 0; at--) {
        if (roan_slice_is(argv[at], spec->keyword))
            return at + 1;
    }
    return 0;
}

static bool add_range(const roan_command_spec *spec, size_t first, size_t argc, key_list *list)
{
    size_t end; /* behind the last key */

    if (first >= argc)
        return true;
    if (spec->last >= 0) {
        end = ROAN_MIN(first + (size_t)spec->last + 1, argc);
    } else {
        size_t cut = (size_t)-spec->last - 1; /* words behind the last key */
        end = argc > cut ? argc - cut : 0;
        if (spec->last == -1 && spec->limit > 1)
            end = first + (argc - first) / (size_t)spec->limit;
    }
    for (size_t at = first; at < end; at += (size_t)spec->step)
        add(list, at);
    return true;
}

/* False when the number is none, or there are fewer words. */
static bool add_numbered(const roan_command_spec *spec, size_t begin, size_t argc, const roan_slice *argv,
                         key_list *list)
{
    size_t number_at = begin + (size_t)spec->last;
    size_t first = begin + (size_t)spec->first;
    int64_t number;

    if (number_at >= argc)
        return true; /* too short to be a call */
    if (!roan_parse_i64(argv[number_at], &number) || number < 0)
        return false;
    if (number == 0)
        return true;
    if (first >= argc || (uint64_t)number - 1 > (argc - 1 - first) / (size_t)spec->step)
        return false;
    for (size_t i = 0; i < (size_t)number; i++)
        add(list, first + i * (size_t)spec->step);
    return true;
}

static bool add_by_spec(const roan_command_spec *spec, size_t argc, const roan_slice *argv, key_list *list)
{
    size_t begin = (size_t)spec->at;

    if (spec->keyword != NULL) {
        begin = find_keyword(spec, argc, argv);
        if (begin == 0)
            return true;
    }
    return spec->find == ROAN_FIND_RANGE ? add_range(spec, begin, argc, list)
                                         : add_numbered(spec, begin, argc, argv, list);
}

static bool find_by_specs(const roan_command_row *row, size_t argc, const roan_slice *argv, key_list *list)
{
    for (unsigned i = 0; i < row->spec_count; i++) {
        if (!add_by_spec(&roan_command_specs[row->spec_first + i], argc, argv, list))
            return false;
    }
    return true;
}

/* --- by reading the options --- */

/* SORT key ... [STORE destination]; the last one counts. */
static void find_of_sort(size_t argc, const roan_slice *argv, key_list *list)
{
    size_t store = 0;

    if (argc < 2)
        return;
    add(list, 1);
    for (size_t i = 2; i < argc; i++) {
        if (roan_slice_is(argv[i], "LIMIT"))
            i += 2;
        else if (roan_slice_is(argv[i], "BY") || roan_slice_is(argv[i], "GET"))
            i++;
        else if (roan_slice_is(argv[i], "STORE") && i + 1 < argc)
            store = ++i;
    }
    if (store > 0)
        add(list, store);
}

/* GEORADIUS key lon lat radius unit, GEORADIUSBYMEMBER key member radius unit ... [STORE key] [STOREDIST key]; the last
 * one counts. */
static void find_of_georadius(const roan_command_row *row, size_t argc, const roan_slice *argv, key_list *list)
{
    size_t options = row->arity == -6 ? 6 : 5;
    size_t store = 0;

    if (argc < 2)
        return;
    add(list, 1);
    for (size_t i = options; i + 1 < argc; i++) {
        if (roan_slice_is(argv[i], "COUNT"))
            i++;
        else if (roan_slice_is(argv[i], "STORE") || roan_slice_is(argv[i], "STOREDIST"))
            store = ++i;
    }
    if (store > 0)
        add(list, store);
}

/* XREAD, XREADGROUP: options, STREAMS, keys, as many ids. */
static bool find_of_streams(size_t argc, const roan_slice *argv, key_list *list)
{
    for (size_t i = 1; i < argc; i++) {
        if (roan_slice_is(argv[i], "STREAMS")) {
            size_t count = argc - i - 1;
            for (size_t key = 0; key < count / 2; key++)
                add(list, i + 1 + key);
            return count % 2 == 0 && count > 0;
        }
        if (roan_slice_is(argv[i], "BLOCK") || roan_slice_is(argv[i], "COUNT") || roan_slice_is(argv[i], "CLAIM"))
            i++;
        else if (roan_slice_is(argv[i], "GROUP"))
            i += 2;
    }
    return argc < 4; /* too short to be a call, or options that we do not know */
}

/* MIGRATE host port key|"" db timeout ... [KEYS keys]; a password may be called KEYS. */
static void find_of_migrate(size_t argc, const roan_slice *argv, key_list *list)
{
    if (argc < 6)
        return;
    if (argv[3].bytes > 0) {
        add(list, 3);
        return;
    }
    for (size_t i = 6; i < argc; i++) {
        if (roan_slice_is(argv[i], "AUTH")) {
            i++;
        } else if (roan_slice_is(argv[i], "AUTH2")) {
            i += 2;
        } else if (roan_slice_is(argv[i], "KEYS")) {
            while (++i < argc)
                add(list, i);
        }
    }
}

/* DEBUG OBJECT key and its like. False for what makes keys by itself. */
static bool find_of_debug(size_t argc, const roan_slice *argv, key_list *list)
{
    static const char *const with_key[] = {"OBJECT", "LISTPACK", "ZIPLIST", "SDSLEN", "HTSTATS-KEY", "MODULE-KEY"};

    if (argc < 2)
        return true;
    if (roan_slice_is(argv[1], "DIGEST-VALUE")) {
        for (size_t i = 2; i < argc; i++)
            add(list, i);
        return true;
    }
    for (size_t i = 0; i < ROAN_COUNT_OF(with_key); i++) {
        if (argc > 2 && roan_slice_is(argv[1], with_key[i]))
            add(list, 2);
    }
    return !roan_slice_is(argv[1], "POPULATE");
}

size_t roan_command_key_positions(const roan_command_traits *traits, size_t argc, const roan_slice *argv,
                                  unsigned *positions, size_t positions_max)
{
    const roan_command_row *row = traits->inside;
    key_list list = {.positions = positions, .positions_max = positions_max};
    bool is_found = true;

    switch ((roan_command_keys)row->keys) {
    case ROAN_KEYS_SPECS:
        is_found = find_by_specs(row, argc, argv, &list);
        break;
    case ROAN_KEYS_CONTAINER:
        is_found = argc < 2;
        break;
    case ROAN_KEYS_SORT:
        find_of_sort(argc, argv, &list);
        break;
    case ROAN_KEYS_GEORADIUS:
        find_of_georadius(row, argc, argv, &list);
        break;
    case ROAN_KEYS_STREAMS:
        is_found = find_of_streams(argc, argv, &list);
        break;
    case ROAN_KEYS_MIGRATE:
        find_of_migrate(argc, argv, &list);
        break;
    case ROAN_KEYS_DEBUG:
        is_found = find_of_debug(argc, argv, &list);
        break;
    case ROAN_KEYS_UNKNOWN:
        is_found = false;
        break;
    }
    return is_found ? list.count : SIZE_MAX;
}
