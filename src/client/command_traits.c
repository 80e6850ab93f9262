/* client/command_traits.c: what a call means for its connection: may it be done again, may it block, what may be said
 * of it.
 *
 * The table says most of it. What depends on the arguments is looked for here: words that change the retry class, a
 * destination that is a source, the time to wait. None of this checks a call: what the server would refuse may get any
 * answer that does no harm.
 */
#include "client/command_traits.h"

#include "base/macros.h"
#include "base/number.h"
#include "client/command_row.h"

#include <math.h>
#include <stdio.h>

#define KEYS_COMPARED_MAX 256
#define NAME_SHOWN_MAX 40
#define US_PER_MS 1000

static const roan_command_row unknown_row = {
    .traits = {.name = "", .retry = ROAN_RETRY_NEVER, .states = ROAN_STATE_UNKNOWN, .inside = &unknown_row},
    .arity = -1,
    .keys = ROAN_KEYS_UNKNOWN,
};

static const roan_command_row *row_of(const roan_command_traits *traits)
{
    return traits->inside;
}

const roan_command_traits *roan_command_traits_find(size_t argc, const roan_slice *argv)
{
    const roan_command_row *row = roan_command_row_find(argc, argv);

    return row != NULL ? &row->traits : &unknown_row.traits;
}

/* --- again? --- */

static bool has_word(const roan_command_row *row, size_t argc, const roan_slice *argv)
{
    for (size_t i = row->retry_from; i < argc; i++) {
        for (unsigned word = 0; word < row->word_count; word++) {
            if (roan_slice_is(argv[i], roan_command_words[row->word_first + word]))
                return true;
        }
    }
    return false;
}

/* Of a command that may store: a read when it does not, never when it overwrites one of its sources. */
static roan_retry_class class_of_store(const roan_command_row *row, size_t argc, const roan_slice *argv)
{
    unsigned positions[KEYS_COMPARED_MAX];
    size_t count = roan_command_key_positions(&row->traits, argc, argv, positions, KEYS_COMPARED_MAX);
    bool is_destination_last = row->keys != ROAN_KEYS_SPECS;
    size_t destination;

    if (count == 0 || count > KEYS_COMPARED_MAX)
        return ROAN_RETRY_NEVER;
    if (is_destination_last && count == 1)
        return ROAN_RETRY_READ;
    destination = is_destination_last ? count - 1 : 0;
    for (size_t i = 0; i < count; i++) {
        if (i != destination && roan_slice_equal(argv[positions[i]], argv[positions[destination]]))
            return ROAN_RETRY_NEVER;
    }
    return ROAN_RETRY_IDEMPOTENT;
}

roan_retry_class roan_command_retry_class(const roan_command_traits *traits, size_t argc, const roan_slice *argv)
{
    const roan_command_row *row = row_of(traits);

    if (row->is_store)
        return class_of_store(row, argc, argv);
    if (row->word_count > 0 && has_word(row, argc, argv))
        return (roan_retry_class)row->retry_other;
    return traits->retry;
}

/* --- waiting --- */

static int64_t us_from_seconds(roan_slice word)
{
    double seconds;
    double ms;

    if (!roan_parse_double(word, &seconds) || !(seconds >= 0) || isinf(seconds))
        return 0;
    if (seconds == 0)
        return INT64_MAX;
    ms = ceil(seconds * 1000);
    return ms >= (double)(INT64_MAX / US_PER_MS) ? INT64_MAX : (int64_t)ms * US_PER_MS;
}

/* `zero_us` is what 0 means. */
static int64_t us_from_ms(roan_slice word, int64_t zero_us)
{
    int64_t ms;

    if (!roan_parse_i64(word, &ms) || ms < 0)
        return 0;
    if (ms == 0)
        return zero_us;
    return ms > INT64_MAX / US_PER_MS ? INT64_MAX : ms * US_PER_MS;
}

/* BLOCK ms among the options of XREAD and XREADGROUP; the names of streams are not options. */
static int64_t us_from_option(size_t argc, const roan_slice *argv)
{
    int64_t us = -1;

    for (size_t i = 1; i < argc && !roan_slice_is(argv[i], "STREAMS"); i++) {
        if (roan_slice_is(argv[i], "GROUP")) {
            i += 2;
        } else if (roan_slice_is(argv[i], "COUNT")) {
            i++;
        } else if (roan_slice_is(argv[i], "BLOCK")) {
            us = i + 1 < argc ? us_from_ms(argv[i + 1], INT64_MAX) : 0;
            i++;
        }
    }
    return us;
}

int64_t roan_command_block_us(const roan_command_traits *traits, size_t argc, const roan_slice *argv)
{
    switch ((roan_command_block)row_of(traits)->block) {
    case ROAN_BLOCK_NONE:
        return -1;
    case ROAN_BLOCK_FIRST_S:
        return argc > 1 ? us_from_seconds(argv[1]) : 0;
    case ROAN_BLOCK_LAST_S:
        return argc > 1 ? us_from_seconds(argv[argc - 1]) : 0;
    case ROAN_BLOCK_LAST_MS:
        return argc > 1 ? us_from_ms(argv[argc - 1], INT64_MAX) : 0;
    case ROAN_BLOCK_OPTION_MS:
        return us_from_option(argc, argv);
    case ROAN_BLOCK_MIGRATE:
        return argc > 5 ? us_from_ms(argv[5], 1000 * US_PER_MS) : 0;
    }
    ROAN_UNREACHABLE("a kind of blocking");
}

/* --- telling --- */

/* A name that may be shown though we do not know it: short, and nothing but letters, digits and ._- */
static bool looks_like_name(roan_slice word)
{
    if (word.bytes == 0 || word.bytes > NAME_SHOWN_MAX)
        return false;
    for (size_t i = 0; i < word.bytes; i++) {
        char c = word.data[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                        c == '_' || c == '-';
        if (!is_plain)
            return false;
    }
    return true;
}

void roan_command_describe(const roan_command_traits *traits, size_t argc, const roan_slice *argv, char *text,
                           size_t text_bytes)
{
    roan_slice name = roan_slice_from_text(traits->name);
    size_t keys = roan_command_key_positions(traits, argc, argv, NULL, 0);
    size_t bytes = 0;
    char key_text[32] = "";

    if (!traits->is_known)
        name = argc > 0 && looks_like_name(argv[0]) ? argv[0] : ROAN_LITERAL("unknown command");
    for (size_t i = 0; i < argc; i++)
        bytes += argv[i].bytes;
    if (keys > 0 && keys != SIZE_MAX)
        snprintf(key_text, sizeof key_text, "%zu key%s, ", keys, keys == 1 ? "" : "s");
    snprintf(text, text_bytes, "%.*s: %s%zu word%s, %zu bytes", ROAN_SLICE_ARG(name), key_text, argc,
             argc == 1 ? "" : "s", bytes);
}
