/* engine/cmd/sort.c: SORT and SORT_RO: the elements of a list, a set or a sorted set in order, or what they lead to.
 *
 * All elements are copied first, as looking up the keys of BY may delete keys that expired. An element then has a
 * number to be sorted by, or a text; the first few that LIMIT asks for are sorted, and GET looks up what is shown for
 * each.
 *
 *   texts  | element \0 | element \0 | ... | weight \0 | ...       items  | score, or place of the text | element |
 *
 * Patterns lead to keys that nobody declared, so these commands run alone.
 */
#include "engine/call.h"

#include "base/sort.h"
#include "engine/acl.h"
#include "engine/cmd/hash_edit.h"
#include "engine/command_keys.h"
#include "types/list.h"
#include "types/set.h"
#include "types/zset.h"

#define NO_TEXT SIZE_MAX /* the key of BY is missing */
#define TEXT_BYTES_EXPECTED 8
#define STORED_AT_ONCE 64

/* What stands for the element is between the two parts; with a field the key is a hash. */
typedef struct sort_pattern {
    bool is_element; /* "#": the element itself */
    bool is_fixed;   /* without "*": never leads to anything */
    roan_slice before, after, field;
} sort_pattern;

typedef struct sort_options {
    bool is_descending, is_alpha;
    bool keeps_order;     /* BY without "*" */
    bool has_weights;     /* BY with "*" */
    sort_pattern by;
    sort_pattern *gets;
    size_t get_count, get_capacity;
    int64_t offset, limit; /* a negative limit: all */
    size_t store_index;    /* argument; 0: the results are sent */
} sort_options;

typedef struct sort_item {
    union {
        double score;
        struct {
            size_t at, bytes;
        } text; /* what is sorted by, in the texts */
    };
    size_t at; /* the element, in the texts */
    uint32_t bytes;
    uint32_t found; /* elements before it */
} sort_item;

typedef struct sort_work {
    roan_call *call;
    sort_options options;
    sort_item *items;
    size_t count, capacity;
    roan_buffer texts; /* each is followed by a NUL */
    roan_buffer name;  /* of the key that is looked up */
    locale_t collation; /* 0: by bytes */
    bool has_bad_score;
} sort_work;

/* ---- arguments ---- */

static sort_pattern parse_pattern(roan_slice text)
{
    sort_pattern pattern = {.is_element = text.bytes == 1 && text.data[0] == '#'};
    const char *star = text.bytes == 0 ? NULL : memchr(text.data, '*', text.bytes), *end = text.data + text.bytes;
    pattern.is_fixed = star == NULL;
    if (star == NULL)
        return pattern;
    const char *arrow = memmem(star + 1, (size_t)(end - star) - 1, "->", 2);
    if (arrow != NULL && end - arrow > 2) {
        pattern.field = roan_slice_make(arrow + 2, (size_t)(end - arrow) - 2);
        end = arrow;
    }
    pattern.before = roan_slice_make(text.data, (size_t)(star - text.data));
    pattern.after = roan_slice_make(star + 1, (size_t)(end - star) - 1);
    return pattern;
}

static void add_get(const roan_call *call, sort_options *options, roan_slice text)
{
    if (options->gets == NULL) {
        options->get_capacity = call->argc / 2;
        options->gets = roan_alloc(options->get_capacity * sizeof *options->gets);
    }
    options->gets[options->get_count++] = parse_pattern(text);
}

/* Options of one word. */
static bool parse_flag(const roan_call *call, size_t index, sort_options *options)
{
    if (roan_call_is(call, index, "ASC"))
        options->is_descending = false;
    else if (roan_call_is(call, index, "DESC"))
        options->is_descending = true;
    else if (roan_call_is(call, index, "ALPHA"))
        options->is_alpha = true;
    else
        return false;
    return true;
}

/* Patterns may lead to any key: who may not read them all may have none. False after an error was sent. */
static bool may_have_patterns(roan_call *call, const char *option)
{
    if (ROAN_LIKELY(roan_acl_call_may_read_all(call)))
        return true;
    roan_call_error_printf(call, "ERR %s option of SORT denied due to insufficient ACL permissions.", option);
    return false;
}

/* Options with arguments: how many there are; 0 when it is none of these, or after an error was sent. */
static size_t parse_option(roan_call *call, size_t index, bool may_store, sort_options *options)
{
    size_t words = call->argc - index - 1;
    if (words >= 2 && roan_call_is(call, index, "LIMIT")) {
        bool is_good = roan_call_integer(call, index + 1, &options->offset, NULL) &&
                       roan_call_integer(call, index + 2, &options->limit, NULL);
        return is_good ? 2 : 0;
    }
    if (words < 1)
        return 0;
    if (may_store && roan_call_is(call, index, "STORE")) {
        options->store_index = index + 1;
    } else if (roan_call_is(call, index, "BY")) {
        options->by = parse_pattern(call->argv[index + 1]);
        options->keeps_order |= options->by.is_fixed;
        options->has_weights = !options->by.is_fixed;
        if (options->has_weights && !may_have_patterns(call, "BY"))
            return 0;
    } else if (roan_call_is(call, index, "GET")) {
        if (!may_have_patterns(call, "GET"))
            return 0;
        add_get(call, options, call->argv[index + 1]);
    } else {
        return 0;
    }
    return 1;
}

static bool parse(roan_call *call, bool may_store, sort_options *options)
{
    options->limit = -1;
    for (size_t i = 2; i < call->argc; i++) {
        if (parse_flag(call, i, options))
            continue;
        size_t words = parse_option(call, i, may_store, options);
        if (words == 0) {
            if (!call->has_failed)
                roan_call_syntax_error(call);
            return false;
        }
        i += words;
    }
    return true;
}

/* ---- what elements lead to ---- */

/* What the pattern finds for the element; false: nothing. Borrowed, an integer is written to `scratch`. */
static bool look_up(sort_work *work, const sort_pattern *pattern, roan_slice element, char scratch[ROAN_I64_TEXT_MAX],
                    roan_slice *ret_text)
{
    roan_place place;
    if (pattern->is_element || pattern->is_fixed) {
        *ret_text = element;
        return pattern->is_element;
    }
    work->name.bytes = 0;
    roan_buffer_append_slice(&work->name, pattern->before);
    roan_buffer_append_slice(&work->name, element);
    roan_buffer_append_slice(&work->name, pattern->after);
    if (!roan_call_find_name_read(work->call, roan_buffer_slice(&work->name), &place))
        return false;
    if (pattern->field.bytes > 0)
        return place.entry->type == ROAN_TYPE_HASH && roan_hash_get(roan_place_value(&place), pattern->field,
                                                                   roan_hash_now(work->call), scratch, ret_text);
    if (place.entry->type != ROAN_TYPE_STRING)
        return false;
    *ret_text = roan_entry_string(place.entry, scratch);
    return true;
}

/* ---- loading ---- */

static size_t add_text(sort_work *work, roan_slice text)
{
    size_t at = work->texts.bytes;
    roan_buffer_append_slice(&work->texts, text);
    roan_buffer_append_char(&work->texts, '\0');
    return at;
}

static roan_slice element_of(const sort_work *work, const sort_item *item)
{
    return roan_slice_make(work->texts.data + item->at, item->bytes);
}

/* A number is read up to the first NUL. */
static double read_score(sort_work *work, roan_slice text)
{
    double score = 0;
    text.bytes = strnlen(text.data, text.bytes);
    work->has_bad_score |= !roan_parse_double(text, &score);
    return score;
}

/* Adds an element, which is its own weight if there are no others. */
static void add_item(sort_work *work, roan_slice text, const roan_packed *packed)
{
    ROAN_ASSERT(work->count < work->capacity && text.bytes <= UINT32_MAX && work->count <= UINT32_MAX);
    sort_item *item = &work->items[work->count];
    *item = (sort_item){.at = add_text(work, text), .bytes = (uint32_t)text.bytes, .found = (uint32_t)work->count};
    work->count++;
    if (work->options.keeps_order || work->options.has_weights)
        return;
    if (work->options.is_alpha) {
        item->text.at = item->at;
        item->text.bytes = item->bytes;
    } else if (packed != NULL && packed->is_integer) {
        item->score = (double)packed->integer;
    } else {
        item->score = read_score(work, text);
    }
}

static void load_list(sort_work *work, roan_value list, uint64_t from, bool is_backwards)
{
    roan_list_iterator it;
    roan_packed item;
    char scratch[ROAN_I64_TEXT_MAX];
    roan_list_iterator_init(&it, list, from, is_backwards);
    while (work->count < work->capacity && roan_list_next(&it, &item))
        add_item(work, roan_packed_text(&item, scratch), &item);
}

static void load_zset(sort_work *work, roan_value zset, uint64_t from, bool is_backwards)
{
    roan_zset_iterator it;
    roan_zset_item item;
    roan_zset_iterator_init(&it, zset, from, is_backwards);
    while (work->count < work->capacity && roan_zset_next(&it, &item))
        add_item(work, item.member, NULL);
}

static bool load_members(void *context, const roan_packed *items, size_t count)
{
    sort_work *work = context;
    char scratch[ROAN_I64_TEXT_MAX];
    for (size_t i = 0; i < count; i++)
        add_item(work, roan_packed_text(&items[i], scratch), &items[i]);
    return true;
}

/* A sorted set that was sorted is a large one from then on, as the reference has it. */
static void enlarge_zset(roan_call *call, roan_place *place)
{
    roan_value value = roan_place_value(place);
    roan_zset_expect(&value, &call->engine->types, SIZE_MAX, 0);
    roan_place_store(call, place, value);
}

static uint64_t count_elements(const roan_place *place)
{
    roan_value value = roan_place_value(place);
    switch (place->entry->type) {
    case ROAN_TYPE_LIST:
        return roan_list_count(value);
    case ROAN_TYPE_SET:
        return roan_set_count(value);
    default:
        return roan_zset_count(value);
    }
}

/* The part of `count` elements that is asked for. */
typedef struct sort_window {
    size_t first, count;
} sort_window;

static sort_window choose_window(const sort_options *options, uint64_t count)
{
    uint64_t first = options->offset < 0 ? 0 : ROAN_MIN((uint64_t)options->offset, count), left = count - first;
    return (sort_window){first, options->limit < 0 ? left : ROAN_MIN((uint64_t)options->limit, left)};
}

/* Loads the elements and says which of them are shown. Of a list or a sorted set that stays as it is, they are the only
 * ones that are loaded, from the end when descending. */
static sort_window load(sort_work *work, const roan_place *place)
{
    const sort_options *options = &work->options;
    uint64_t count = count_elements(place), from = 0;
    sort_window window = choose_window(options, count);
    roan_value value = roan_place_value(place);
    bool is_backwards = false;
    work->capacity = count;
    if (options->keeps_order && place->entry->type != ROAN_TYPE_SET) {
        is_backwards = options->is_descending;
        from = is_backwards ? count - window.first - 1 : window.first;
        work->capacity = window.count;
        window.first = 0;
    }
    if (work->capacity == 0)
        return window;
    work->items = roan_alloc(work->capacity * sizeof *work->items);
    roan_buffer_reserve(&work->texts, work->capacity * TEXT_BYTES_EXPECTED);
    if (place->entry->type == ROAN_TYPE_LIST)
        load_list(work, value, from, is_backwards);
    else if (place->entry->type == ROAN_TYPE_ZSET)
        load_zset(work, value, from, is_backwards);
    else
        roan_set_each_batch(value, load_members, work);
    return window;
}

/* Looks up what BY names for each element. What is missing counts as 0, or comes first. */
static void load_weights(sort_work *work)
{
    char scratch[ROAN_I64_TEXT_MAX];
    for (size_t i = 0; i < work->count; i++) {
        sort_item *item = &work->items[i];
        roan_slice text;
        bool is_there = look_up(work, &work->options.by, element_of(work, item), scratch, &text);
        if (!work->options.is_alpha) {
            item->score = is_there ? read_score(work, text) : 0;
        } else {
            item->text.bytes = is_there ? text.bytes : 0;
            item->text.at = is_there ? add_text(work, text) : NO_TEXT;
        }
    }
}

/* ---- order ---- */

static int compare_bytes(roan_slice a, roan_slice b)
{
    size_t common = ROAN_MIN(a.bytes, b.bytes);
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    return order != 0 ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static int finish_comparison(const sort_work *work, int order, const sort_item *a, const sort_item *b)
{
    if (order == 0)
        return a->found < b->found ? -1 : a->found > b->found;
    return (order < 0) != work->options.is_descending ? -1 : 1;
}

/* By number, then by the elements themselves. */
static int compare_scores(const void *left, const void *right, void *context)
{
    const sort_work *work = context;
    const sort_item *a = left, *b = right;
    int order = (a->score > b->score) - (a->score < b->score);
    return finish_comparison(work, order == 0 ? compare_bytes(element_of(work, a), element_of(work, b)) : order, a, b);
}

/* As the locale has it; what is stored is the same everywhere. */
static int compare_texts(const void *left, const void *right, void *context)
{
    const sort_work *work = context;
    const sort_item *a = left, *b = right;
    const char *texts = work->texts.data;
    int order;
    if (a->text.at == NO_TEXT || b->text.at == NO_TEXT)
        order = (a->text.at != NO_TEXT) - (b->text.at != NO_TEXT);
    else if (work->options.store_index == 0)
        order = work->collation == (locale_t)0 ? strcmp(texts + a->text.at, texts + b->text.at)
                                               : strcoll_l(texts + a->text.at, texts + b->text.at, work->collation);
    else
        order = compare_bytes(roan_slice_make(texts + a->text.at, a->text.bytes),
                              roan_slice_make(texts + b->text.at, b->text.bytes));
    return finish_comparison(work, order, a, b);
}

#define KEYS_MIN 64  /* fewer are compared, */
#define KEYS_SHARE 4 /* or less than that part of all */

/* Sorts those with the same number by their texts. */
static void order_equals(sort_work *work)
{
    sort_item *items = work->items;
    for (size_t i = 0, next; i < work->count; i = next) {
        for (next = i + 1; next < work->count && items[next].score == items[i].score; next++)
            ;
        if (next - i > 1)
            roan_sort_first(items + i, next - i, sizeof *items, next - i, compare_scores, work);
    }
}

/* Sorts all items by their numbers. */
static void order_by_keys(sort_work *work)
{
    roan_sort_key *keys = roan_alloc(2 * work->count * sizeof *keys);
    sort_item *sorted = roan_alloc(work->capacity * sizeof *sorted);
    for (size_t i = 0; i < work->count; i++) {
        uint64_t key = roan_sort_key_of_double(work->items[i].score);
        keys[i] = (roan_sort_key){work->options.is_descending ? ~key : key, i};
    }
    roan_sort_keys(keys, keys + work->count, work->count);
    for (size_t i = 0; i < work->count; i++)
        sorted[i] = work->items[keys[i].index];
    roan_free(keys, 2 * work->count * sizeof *keys);
    roan_free(work->items, work->capacity * sizeof *work->items);
    work->items = sorted;
    order_equals(work);
}

/* The first `wanted` items come to the front, in order. */
static void order(sort_work *work, size_t wanted)
{
    if (!work->options.is_alpha && wanted >= KEYS_MIN && wanted >= work->count / KEYS_SHARE)
        order_by_keys(work);
    else
        roan_sort_first(work->items, work->count, sizeof *work->items, wanted,
                        work->options.is_alpha ? compare_texts : compare_scores, work);
}

/* ---- results ---- */

static void send_results(sort_work *work, const sort_item *items, size_t count)
{
    const sort_options *options = &work->options;
    roan_out *out = work->call->out;
    char scratch[ROAN_I64_TEXT_MAX];
    roan_out_array(out, count * ROAN_MAX(options->get_count, 1u));
    for (size_t i = 0; i < count; i++) {
        if (options->get_count == 0)
            roan_out_bulk(out, element_of(work, &items[i]));
        for (size_t j = 0; j < options->get_count; j++) {
            roan_slice text;
            if (look_up(work, &options->gets[j], element_of(work, &items[i]), scratch, &text))
                roan_out_bulk(out, text);
            else
                roan_out_null(out);
        }
    }
}

static roan_value make_list_of_elements(sort_work *work, const sort_item *items, size_t count)
{
    const roan_type_context *types = &work->call->engine->types;
    roan_value list = roan_list_create(types);
    roan_slice texts[STORED_AT_ONCE];
    for (size_t i = 0, part; i < count; i += part) {
        part = ROAN_MIN(count - i, STORED_AT_ONCE);
        for (size_t j = 0; j < part; j++)
            texts[j] = element_of(work, &items[i + j]);
        roan_list_push_all(&list, types, texts, part, true);
    }
    return list;
}

/* What GET finds for each element. What is missing is stored as an empty string. */
static roan_value make_list(sort_work *work, const sort_item *items, size_t count)
{
    const sort_options *options = &work->options;
    const roan_type_context *types = &work->call->engine->types;
    if (options->get_count == 0)
        return make_list_of_elements(work, items, count);
    roan_value list = roan_list_create(types);
    char scratch[ROAN_I64_TEXT_MAX];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < options->get_count; j++) {
            roan_slice text;
            if (!look_up(work, &options->gets[j], element_of(work, &items[i]), scratch, &text))
                text = roan_slice_make("", 0);
            roan_list_push(&list, types, text, true);
        }
    }
    return list;
}

/* The results as a list, in place of whatever the key held; without results the key goes. */
static void store_results(sort_work *work, const sort_item *items, size_t count)
{
    roan_call *call = work->call;
    roan_place place;
    roan_value list;
    if (count > 0)
        list = make_list(work, items, count);
    roan_call_find_write(call, work->options.store_index, &place);
    if (count > 0) {
        count *= ROAN_MAX(work->options.get_count, 1u);
        roan_place_create(call, &place, ROAN_TYPE_LIST, list, ROAN_EXPIRY_NONE);
        roan_call_changed(call, &place, ROAN_EVENT_LIST, "sortstore");
        call->dirty += count - 1;
    } else if (place.entry != NULL) {
        roan_place_delete(call, &place, call->engine->config.lazyfree_lazy_server_del);
        roan_call_changed(call, &place, ROAN_EVENT_GENERIC, "del");
    }
    roan_out_integer(call->out, (int64_t)count);
}

/* ---- commands ---- */

/* False after WRONGTYPE was sent. */
static bool find_elements(roan_call *call, roan_place *place)
{
    roan_call_find_read(call, 1, place);
    if (place->entry == NULL || place->entry->type == ROAN_TYPE_LIST || place->entry->type == ROAN_TYPE_SET)
        return true;
    return roan_call_is_type(call, place, ROAN_TYPE_ZSET);
}

static void sort_elements(sort_work *work)
{
    sort_options *options = &work->options;
    roan_place place;
    if (!find_elements(work->call, &place))
        return;
    bool is_kept = options->store_index != 0 || roan_call_is_in_script(work->call);
    if (options->keeps_order && is_kept && place.entry != NULL && place.entry->type == ROAN_TYPE_SET) {
        options->keeps_order = options->has_weights = false; /* the order of a set is not to be kept */
        options->is_alpha = true;
    }
    if (place.entry != NULL && place.entry->type == ROAN_TYPE_ZSET)
        enlarge_zset(work->call, &place);
    sort_window window = place.entry == NULL ? (sort_window){0} : load(work, &place);
    if (!options->keeps_order) {
        if (options->has_weights)
            load_weights(work);
        if (work->has_bad_score) {
            roan_call_error(work->call, "ERR One or more scores can't be converted into double");
            return;
        }
        order(work, window.first + window.count);
    }
    const sort_item *first = window.count == 0 ? NULL : work->items + window.first;
    if (options->store_index == 0)
        send_results(work, first, window.count);
    else
        store_results(work, first, window.count);
}

static void sort(roan_call *call, bool may_store)
{
    sort_work work = {.call = call, .collation = call->engine->collation};
    if (parse(call, may_store, &work.options))
        sort_elements(&work);
    roan_free(work.options.gets, work.options.get_capacity * sizeof *work.options.gets);
    roan_free(work.items, work.capacity * sizeof *work.items);
    roan_buffer_done(&work.texts);
    roan_buffer_done(&work.name);
}

#define PATTERN_KEYS                                                                                       \
    {.flags = ROAN_KEY_RO | ROAN_KEY_ACCESS, .begin = ROAN_BEGIN_UNKNOWN, .find = ROAN_FIND_UNKNOWN,       \
     .notes = "Keys that the patterns of BY and GET lead to, which depend on the elements."}

ROAN_COMMAND(sort, .arity = -2, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_X,
             .acl = ROAN_ACL_SET | ROAN_ACL_SORTEDSET | ROAN_ACL_LIST | ROAN_ACL_DANGEROUS | ROAN_ACL_NO_GROUP,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS), PATTERN_KEYS,
                      {.flags = ROAN_KEY_OW | ROAN_KEY_UPDATE, .begin = ROAN_BEGIN_UNKNOWN,
                       .find = ROAN_FIND_UNKNOWN, .notes = "The key behind STORE, which may stand anywhere."}},
             .find_keys = roan_find_keys_sort, .group = ROAN_GROUP_GENERIC, .since = "1.0.0",
             .complexity = "O(N+M*log(M)) for N elements of which M are shown; O(N) when they are not sorted.",
             .summary = "Sorts the elements of a list, a set or a sorted set, and stores them if asked.",
             .arguments = "key:key [BY by-pattern:pattern#1=pattern] [LIMIT limit{offset:integer count:integer}] "
                          "[GET get-pattern:pattern#1=pattern....] [order<ASC|DESC>] [ALPHA@sorting] "
                          "[STORE destination:key#2]")
{
    sort(call, true);
}

ROAN_COMMAND(sort_ro, .arity = -2, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_X,
             .acl = ROAN_ACL_SET | ROAN_ACL_SORTEDSET | ROAN_ACL_LIST | ROAN_ACL_DANGEROUS | ROAN_ACL_NO_GROUP,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS), PATTERN_KEYS}, .find_keys = roan_find_keys_sort_ro,
             .group = ROAN_GROUP_GENERIC, .since = "7.0.0",
             .complexity = "O(N+M*log(M)) for N elements of which M are shown; O(N) when they are not sorted.",
             .summary = "Sorts the elements of a list, a set or a sorted set.",
             .arguments = "key:key [BY by-pattern:pattern#1=pattern] [LIMIT limit{offset:integer count:integer}] "
                          "[GET get-pattern:pattern#1=pattern....] [order<ASC|DESC>] [ALPHA@sorting]")
{
    sort(call, false);
}
