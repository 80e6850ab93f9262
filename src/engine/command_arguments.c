/* engine/command_arguments.c: reads the language of `.arguments`.
 *
 *     sequence := item { ' ' item }                      alternatives := item { '|' item }
 *     item     := element | '[' element ']'              element := token | [ token ' ' ] value
 *     token    := WORD [ '@' name ] [ '=' text ] [ '^' version ] [ dots ]
 *     value    := name [ ':' type ] [ '#' digit ] [ '=' text ] [ '^' version ] [ parts ] [ dots ]
 *     parts    := '<' alternatives '>' | '{' sequence '}'
 *
 * A word without lower-case letters is a token. Every function returns false at the first thing it does not expect;
 * the reader then stands there. Nesting is bounded by ROAN_ARGUMENTS_MAX, since every level adds a node.
 */
#include "engine/command_arguments.h"

#include "base/macros.h"
#include "base/number.h"

#include <string.h>

#define ROAN_TYPE_NAME(name, text) [ROAN_ARGUMENT_##name] = text,
const char *const roan_argument_type_names[] = {ROAN_ARGUMENT_TYPE_LIST(ROAN_TYPE_NAME)};
#undef ROAN_TYPE_NAME

#define ROAN_FLAG_NAME(name, text) [ROAN_ARGUMENT_BIT_##name] = text,
const char *const roan_argument_flag_names[] = {ROAN_ARGUMENT_FLAG_LIST(ROAN_FLAG_NAME)};
#undef ROAN_FLAG_NAME

typedef struct syntax {
    const char *at;
    unsigned spec_count;
    unsigned key_count; /* keys read so far */
    roan_arguments *out;
} syntax;

static bool read_item(syntax *reader);

/* --- words --- */

static bool take(syntax *reader, char c)
{
    if (*reader->at != c)
        return false;
    reader->at++;
    return true;
}

/* The bytes up to one of `stops` or the end; at least one. */
static bool read_word(syntax *reader, const char *stops, roan_slice *ret_word)
{
    size_t bytes = strcspn(reader->at, stops);
    *ret_word = roan_slice_make(reader->at, bytes);
    reader->at += bytes;
    return bytes > 0;
}

#define WORD_STOPS " []<>{}|:@#^."

/* A name, type or token ends at '=' too, but "=" itself is a token of some streams commands. */
static bool read_name(syntax *reader, roan_slice *ret_name)
{
    if (*reader->at == '=')
        return read_word(reader, WORD_STOPS, ret_name);
    return read_word(reader, WORD_STOPS "=", ret_name);
}

static bool stands_at_token(const syntax *reader)
{
    size_t bytes = strcspn(reader->at, WORD_STOPS);
    for (size_t i = 0; i < bytes; i++)
        if (reader->at[i] >= 'a' && reader->at[i] <= 'z')
            return false;
    return bytes > 0;
}

/* --- suffixes --- */

static bool read_text(syntax *reader, roan_argument *argument)
{
    argument->text = argument->name;
    if (!take(reader, '='))
        return true;
    return read_word(reader, " []<>{}|@#^.", &argument->text);
}

static bool read_since(syntax *reader, roan_argument *argument)
{
    if (!take(reader, '^'))
        return true;
    size_t bytes = strspn(reader->at, "0123456789.");
    while (bytes > 0 && reader->at[bytes - 1] == '.') /* those are dots of a repetition */
        bytes--;
    argument->since = roan_slice_make(reader->at, bytes);
    reader->at += bytes;
    return bytes > 0;
}

static bool read_dots(syntax *reader, roan_argument *argument)
{
    size_t count = strspn(reader->at, ".");
    reader->at += count;
    if (count >= 3)
        argument->flags |= ROAN_ARGUMENT_MULTIPLE;
    if (count == 4)
        argument->flags |= ROAN_ARGUMENT_MULTIPLE_TOKEN;
    return count == 0 || count == 3 || count == 4;
}

static bool read_type(syntax *reader, roan_argument *argument)
{
    roan_slice word;
    if (!take(reader, ':'))
        return true;
    if (!read_name(reader, &word))
        return false;
    for (uint8_t type = 0; type < ROAN_ARGUMENT_PURE_TOKEN; type++) {
        if (roan_slice_is(word, roan_argument_type_names[type])) {
            argument->type = type;
            return true;
        }
    }
    return false;
}

static bool read_key_spec(syntax *reader, roan_argument *argument)
{
    if (argument->type == ROAN_ARGUMENT_KEY && reader->spec_count > 0) {
        unsigned spec = ROAN_MIN(reader->key_count, reader->spec_count - 1);
        argument->key_spec = (int16_t)spec;
    }
    reader->key_count += argument->type == ROAN_ARGUMENT_KEY;
    if (!take(reader, '#'))
        return true;
    if (*reader->at < '0' || *reader->at > '9')
        return false;
    argument->key_spec = (int16_t)(*reader->at - '0');
    reader->at++;
    return true;
}

/* --- elements --- */

static bool read_parts(syntax *reader, char separator, char end, unsigned *ret_count)
{
    unsigned count = 0;
    do {
        if (!read_item(reader))
            return false;
        count++;
    } while (take(reader, separator));
    *ret_count = count;
    return take(reader, end);
}

static bool read_pure_token(syntax *reader, roan_argument *argument)
{
    argument->type = ROAN_ARGUMENT_PURE_TOKEN;
    argument->name = argument->token;
    if (take(reader, '@') && !read_name(reader, &argument->name))
        return false;
    return read_text(reader, argument) && read_since(reader, argument) && read_dots(reader, argument);
}

/* `place` is where the argument stands in the list; its parts follow. */
static bool read_value(syntax *reader, unsigned place)
{
    roan_argument *argument = &reader->out->list[place];
    if (!read_name(reader, &argument->name) || !read_type(reader, argument) || !read_key_spec(reader, argument) ||
        !read_text(reader, argument) || !read_since(reader, argument))
        return false;
    bool is_oneof = *reader->at == '<', is_block = *reader->at == '{';
    if (is_oneof || is_block) {
        unsigned count;
        reader->at++;
        argument->type = is_oneof ? ROAN_ARGUMENT_ONEOF : ROAN_ARGUMENT_BLOCK;
        argument->text = roan_slice_make(NULL, 0);
        if (!read_parts(reader, is_oneof ? '|' : ' ', is_oneof ? '>' : '}', &count))
            return false;
        argument->child_count = (uint16_t)count;
    }
    return read_dots(reader, argument);
}

/* A token alone, a value alone, or a value behind its token. A token with a name of its own is always alone. */
static bool read_element(syntax *reader, unsigned place)
{
    roan_argument *argument = &reader->out->list[place];
    if (!stands_at_token(reader))
        return read_value(reader, place);
    if (!read_name(reader, &argument->token))
        return false;
    if (*reader->at == ' ') {
        syntax behind = *reader;
        behind.at++;
        if (strcspn(behind.at, WORD_STOPS) > 0 && !stands_at_token(&behind)) {
            reader->at++;
            return read_value(reader, place);
        }
    }
    return read_pure_token(reader, argument);
}

static bool read_item(syntax *reader)
{
    unsigned place = reader->out->count;
    if (place == ROAN_ARGUMENTS_MAX)
        return false;
    roan_argument *argument = &reader->out->list[place];
    *argument = (roan_argument){.type = ROAN_ARGUMENT_STRING, .key_spec = -1};
    reader->out->count++;
    bool is_optional = take(reader, '[');
    if (!read_element(reader, place))
        return false;
    if (is_optional && !take(reader, ']'))
        return false;
    if (is_optional)
        argument->flags |= ROAN_ARGUMENT_OPTIONAL;
    if (argument->token.data != NULL && argument->token.bytes == 2 && argument->token.data[0] == '\'')
        argument->token.bytes = 0; /* '' */
    argument->span = (uint16_t)(reader->out->count - place);
    return true;
}

bool roan_arguments_parse(const char *text, unsigned spec_count, roan_arguments *ret_arguments)
{
    syntax reader = {text, spec_count, 0, ret_arguments};
    ret_arguments->count = ret_arguments->top_count = 0;
    if (text == NULL || *text == '\0')
        return true;
    return read_parts(&reader, ' ', '\0', &ret_arguments->top_count);
}
