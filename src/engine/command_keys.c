/* engine/command_keys.c: finds the keys of a command line.
 *
 * A spec says where to begin (at an index, or behind a keyword) and how to go on from there (a range, or a count that
 * stands among the words). The specs of a row are followed one after the other; a keyword that is missing contributes
 * nothing. Anything out of bounds means that the line is no valid command, and then it has no keys at all.
 *
 * A few commands need a look at their options: their rows name one of the functions at the end of this file, which
 * then stands in for the specs, flags included.
 */
#include "engine/command_keys.h"

#include "base/alloc.h"
#include "base/number.h"

enum {
    READS = ROAN_KEY_RO | ROAN_KEY_ACCESS,
    OVERWRITES = ROAN_KEY_OW | ROAN_KEY_UPDATE,
    CHANGES = ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE,
    TAKES = ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE,
};

/* --- the list --- */

static ROAN_NOINLINE void grow_list(roan_key_list *list)
{
    unsigned capacity = list->capacity > 0 ? list->capacity * 2 : ROAN_KEY_LIST_ROOM * 2;
    roan_key_ref *grown = roan_realloc(list->grown, list->capacity * sizeof(*grown), capacity * sizeof(*grown));
    if (list->capacity == 0)
        memcpy(grown, list->room, sizeof(list->room));
    list->grown = grown;
    list->capacity = capacity;
}

void roan_key_list_add(roan_key_list *list, size_t index, uint16_t flags)
{
    ROAN_ASSERT(index > 0);
    if (list->count == (list->capacity > 0 ? list->capacity : ROAN_KEY_LIST_ROOM))
        grow_list(list);
    roan_key_ref *refs = list->capacity > 0 ? list->grown : list->room;
    refs[list->count++] = (roan_key_ref){(uint32_t)index, flags};
}

void roan_key_list_done(roan_key_list *list)
{
    if (list->capacity > 0)
        roan_free(list->grown, list->capacity * sizeof(*list->grown));
    roan_key_list_init(list);
}

/* --- specs --- */

/* The words behind the keyword; 0 when it is missing. As in the reference, a keyword that is the last word is none. */
static size_t begin_at_keyword(const roan_key_spec *spec, size_t argc, const roan_slice *argv)
{
    if (spec->index > 0) {
        for (size_t i = (size_t)spec->index; i + 1 < argc; i++)
            if (roan_slice_is(argv[i], spec->keyword))
                return i + 1;
        return 0;
    }
    ROAN_ASSERT(argc >= (size_t)-spec->index);
    for (size_t i = argc - (size_t)-spec->index; i > 1; i--)
        if (roan_slice_is(argv[i], spec->keyword))
            return i + 1;
    return 0;
}

/* Indexes from first to last, both included. Signed, so that a line too short for its spec shows in the bounds. */
typedef struct key_run {
    int64_t first, last;
} key_run;

static bool find_run(const roan_key_spec *spec, size_t argc, const roan_slice *argv, size_t begin, key_run *ret_run)
{
    int64_t words = (int64_t)argc;
    key_run run = {(int64_t)begin, 0};
    if (spec->find == ROAN_FIND_RANGE) {
        if (spec->last >= 0)
            run.last = run.first + spec->last;
        else if (spec->limit <= 1)
            run.last = words + spec->last;
        else
            run.last = run.first + (words - run.first) / spec->limit + spec->last;
    } else if (spec->find == ROAN_FIND_KEYNUM) {
        size_t at = begin + (size_t)spec->keynum;
        int64_t count;
        if (at >= argc || !roan_parse_i64(argv[at], &count) || count <= 0 || count > words)
            return false;
        run.first += spec->first;
        run.last = run.first + (count - 1) * spec->step;
    } else {
        return false;
    }
    *ret_run = run;
    return run.first <= run.last && run.last < words;
}

static bool follow_spec(const roan_key_spec *spec, size_t argc, const roan_slice *argv, roan_key_list *list)
{
    if (spec->flags & ROAN_KEY_NOT_KEY)
        return true;
    size_t begin = (size_t)spec->index;
    if (spec->begin == ROAN_BEGIN_KEYWORD) {
        begin = begin_at_keyword(spec, argc, argv);
        if (begin == 0)
            return true;
    } else if (spec->begin != ROAN_BEGIN_INDEX) {
        return false;
    }
    key_run run;
    if (!find_run(spec, argc, argv, begin, &run))
        return false;
    ROAN_ASSERT(run.first > 0);
    ROAN_ASSERT(spec->step > 0);
    for (int64_t i = run.first; i <= run.last; i += spec->step)
        roan_key_list_add(list, (size_t)i, spec->flags);
    return (spec->flags & ROAN_KEY_INCOMPLETE) == 0;
}

static bool follow_specs(const roan_command *command, size_t argc, const roan_slice *argv, roan_key_list *list)
{
    for (int i = 0; i < ROAN_KEY_SPECS_MAX && command->keys[i].begin != ROAN_BEGIN_NONE; i++)
        if (!follow_spec(&command->keys[i], argc, argv, list))
            return false;
    return true;
}

bool roan_command_find_keys(const roan_command *command, size_t argc, const roan_slice *argv, roan_key_list *list)
{
    roan_key_list_clear(list);
    bool is_valid = command->find_keys != NULL ? command->find_keys(argc, argv, list)
                                               : follow_specs(command, argc, argv, list);
    if (!is_valid)
        roan_key_list_clear(list);
    return is_valid;
}

bool roan_command_has_keys(const roan_command *command)
{
    if (command->find_keys != NULL)
        return true;
    for (int i = 0; i < ROAN_KEY_SPECS_MAX && command->keys[i].begin != ROAN_BEGIN_NONE; i++)
        if ((command->keys[i].flags & ROAN_KEY_NOT_KEY) == 0)
            return true;
    return false;
}

/* --- commands whose options decide --- */

static bool add_key(roan_key_list *list, size_t argc, size_t index, uint16_t flags)
{
    if (index >= argc)
        return false;
    roan_key_list_add(list, index, flags);
    return true;
}

bool roan_find_keys_set(size_t argc, const roan_slice *argv, roan_key_list *list)
{
    uint16_t flags = OVERWRITES;
    for (size_t i = 3; i < argc; i++)
        if (roan_slice_is(argv[i], "get"))
            flags = CHANGES;
    return add_key(list, argc, 1, flags);
}

/* How many words follow this operation of BITFIELD; -1 when it writes, is unknown or lacks words. */
static int bitfield_skip(roan_slice word, size_t rest)
{
    if (roan_slice_is(word, "get") && rest >= 2)
        return 2;
    if (roan_slice_is(word, "overflow") && rest >= 1)
        return 1;
    return -1;
}

bool roan_find_keys_bitfield(size_t argc, const roan_slice *argv, roan_key_list *list)
{
    uint16_t flags = READS;
    for (size_t i = 2; i < argc && flags == READS; i++) {
        int skip = bitfield_skip(argv[i], argc - i - 1);
        if (skip < 0)
            flags = CHANGES;
        else
            i += (size_t)skip;
    }
    return add_key(list, argc, 1, flags);
}

bool roan_find_keys_sort_ro(size_t argc, ROAN_MAYBE_UNUSED const roan_slice *argv, roan_key_list *list)
{
    return add_key(list, argc, 1, READS);
}

bool roan_find_keys_sort(size_t argc, const roan_slice *argv, roan_key_list *list)
{
    size_t stored = 0;
    for (size_t i = 2; i < argc; i++) {
        if (roan_slice_is(argv[i], "limit"))
            i += 2;
        else if (roan_slice_is(argv[i], "get") || roan_slice_is(argv[i], "by"))
            i += 1;
        else if (roan_slice_is(argv[i], "store") && i + 1 < argc)
            stored = i + 1;
    }
    return add_key(list, argc, 1, READS) && (stored == 0 || add_key(list, argc, stored, OVERWRITES));
}

bool roan_find_keys_georadius(size_t argc, const roan_slice *argv, roan_key_list *list)
{
    size_t stored = 0;
    for (size_t i = 5; i + 1 < argc; i++)
        if (roan_slice_is(argv[i], "store") || roan_slice_is(argv[i], "storedist"))
            stored = ++i;
    return add_key(list, argc, 1, READS) && (stored == 0 || add_key(list, argc, stored, OVERWRITES));
}

bool roan_find_keys_xread(size_t argc, const roan_slice *argv, roan_key_list *list)
{
    size_t i = 1;
    while (i < argc && !roan_slice_is(argv[i], "streams")) {
        if (roan_slice_is(argv[i], "block") || roan_slice_is(argv[i], "count"))
            i += 2;
        else if (roan_slice_is(argv[i], "group"))
            i += 3;
        else if (roan_slice_is(argv[i], "noack"))
            i += 1;
        else
            return false;
    }
    if (i + 2 >= argc || (argc - i - 1) % 2 != 0)
        return false;
    for (size_t key = i + 1; key <= i + (argc - i - 1) / 2; key++)
        roan_key_list_add(list, key, READS);
    return true;
}

bool roan_find_keys_migrate(size_t argc, const roan_slice *argv, roan_key_list *list)
{
    for (size_t i = 6; i < argc; i++) {
        if (roan_slice_is(argv[i], "auth")) {
            i += 1;
        } else if (roan_slice_is(argv[i], "auth2")) {
            i += 2;
        } else if (roan_slice_is(argv[i], "keys") && i + 1 < argc) {
            if (argv[3].bytes > 0)
                return false;
            for (size_t key = i + 1; key < argc; key++)
                roan_key_list_add(list, key, TAKES);
            return true;
        }
    }
    return add_key(list, argc, 3, TAKES);
}
