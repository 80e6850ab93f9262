/* engine/config_file.c: reading redis.conf text: lines, words, directives.
 *
 * A line is split before anything is looked up, so quoting works the same for every option. Errors name the source and
 * the line; an included file's errors name the included file.
 */
#include "engine/config_file.h"

#include "base/number.h"

#include <string.h>

#define SOURCE_BYTES_SHOWN_MAX 60
#define LINE_BYTES_SHOWN_MAX 60

/* --- words -------------------------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char folded = (char)(c | 0x20);
    return folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
}

/* What stands behind a backslash in double quotes. Returns how many characters it took. */
static size_t read_escape(roan_slice rest, char *ret_char)
{
    static const char letters[] = "nrtba", meanings[] = "\n\r\t\b\a";
    if (rest.bytes >= 3 && rest.data[0] == 'x' && hex_digit(rest.data[1]) >= 0 && hex_digit(rest.data[2]) >= 0) {
        *ret_char = (char)(hex_digit(rest.data[1]) * 16 + hex_digit(rest.data[2]));
        return 3;
    }
    const char *found = memchr(letters, rest.data[0], sizeof letters - 1);
    *ret_char = found != NULL ? meanings[found - letters] : rest.data[0];
    return 1;
}

/* Reads from behind the opening quote to behind the closing one. Returns the position, or SIZE_MAX. */
static size_t read_quoted(roan_slice line, size_t at, char quote, roan_buffer *ret_bytes)
{
    while (at < line.bytes) {
        char c = line.data[at++];
        if (c == quote)
            return at == line.bytes || is_blank(line.data[at]) ? at : SIZE_MAX;
        if (c == '\\' && at < line.bytes && quote == '"')
            at += read_escape(roan_slice_make(line.data + at, line.bytes - at), &c);
        else if (c == '\\' && at < line.bytes && line.data[at] == '\'')
            c = line.data[at++];
        roan_buffer_append_char(ret_bytes, c);
    }
    return SIZE_MAX;
}

static void add_word(roan_config_words *words, size_t start)
{
    if (words->count == words->capacity) {
        size_t capacity = words->capacity == 0 ? 8 : words->capacity * 2;
        words->items = roan_realloc(words->items, words->capacity * sizeof *words->items,
                                    capacity * sizeof *words->items);
        words->capacity = capacity;
    }
    words->items[words->count++] = roan_slice_make(NULL, words->bytes.bytes - start);
}

bool roan_config_split(roan_slice line, roan_config_words *words)
{
    words->count = 0;
    words->bytes.bytes = 0;
    for (size_t at = 0; at < line.bytes;) {
        if (is_blank(line.data[at])) {
            at++;
            continue;
        }
        size_t start = words->bytes.bytes;
        while (at < line.bytes && !is_blank(line.data[at])) {
            char c = line.data[at++];
            if (c != '"' && c != '\'') {
                roan_buffer_append_char(&words->bytes, c);
                continue;
            }
            at = read_quoted(line, at, c, &words->bytes);
            if (at == SIZE_MAX)
                return false;
        }
        add_word(words, start);
    }
    const char *data = words->bytes.data != NULL ? words->bytes.data : "";
    for (size_t i = 0; i < words->count; i++) {
        words->items[i].data = data;
        data += words->items[i].bytes;
    }
    return true;
}

void roan_config_words_done(roan_config_words *words)
{
    roan_free(words->items, words->capacity * sizeof *words->items);
    roan_buffer_done(&words->bytes);
    *words = (roan_config_words){0};
}

/* --- directives --------------------------------------------------------------------------------------------------- */

static roan_status load_include(roan_config_loader *loader, size_t count, const roan_slice *words, roan_error *reterr)
{
    if (count != 2)
        return roan_error_set(reterr, ROAN_E_CONFIG, "'include': wrong number of arguments; it takes one path");
    if (loader->include == NULL)
        return roan_error_set(reterr, ROAN_E_CONFIG, "'include' is not possible here");
    if (loader->depth == ROAN_CONFIG_INCLUDE_DEPTH_MAX)
        return roan_error_set(reterr, ROAN_E_CONFIG,
                              "'include': files include each other more than %d levels deep; is one including itself?",
                              ROAN_CONFIG_INCLUDE_DEPTH_MAX);
    loader->depth++;
    roan_status status = loader->include(loader, words[1], reterr);
    loader->depth--;
    return status;
}

roan_status roan_config_load_words(roan_config_loader *loader, size_t count, const roan_slice *words,
                                   roan_error *reterr)
{
    ROAN_ASSERT(count > 0);
    if (roan_slice_is(words[0], "include"))
        return load_include(loader, count, words, reterr);
    if (roan_option_is_obsolete(words[0]))
        return ROAN_OK;
    roan_status status = roan_config_set_text(loader->config, words[0], count - 1, words + 1, reterr);
    if (status == ROAN_OK && loader->on_set != NULL)
        status = loader->on_set(loader, roan_option_find(words[0]), reterr);
    return status;
}

static roan_slice trim(roan_slice line)
{
    while (line.bytes > 0 && is_blank(line.data[0]))
        line = roan_slice_make(line.data + 1, line.bytes - 1);
    while (line.bytes > 0 && is_blank(line.data[line.bytes - 1]))
        line.bytes--;
    return line;
}

static roan_status load_line(roan_config_loader *loader, roan_slice line, roan_config_words *words, roan_error *reterr)
{
    line = trim(line);
    if (line.bytes == 0 || line.data[0] == '#')
        return ROAN_OK;
    if (memchr(line.data, '\0', line.bytes) != NULL)
        return roan_error_set(reterr, ROAN_E_CONFIG, "a zero byte; is this a text file?");
    if (!roan_config_split(line, words))
        return roan_error_set(reterr, ROAN_E_CONFIG, "'%.*s': unbalanced quotes",
                              (int)ROAN_MIN(line.bytes, (size_t)LINE_BYTES_SHOWN_MAX), line.data);
    return roan_config_load_words(loader, words->count, words->items, reterr);
}

roan_status roan_config_load(roan_config_loader *loader, const char *source, roan_slice text, roan_error *reterr)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    roan_config_words words = {0};
    roan_status status = ROAN_OK;
    roan_error error;
    if (text.bytes >= 3 && memcmp(text.data, byte_order_mark, 3) == 0)
        text = roan_slice_make(text.data + 3, text.bytes - 3);
    for (unsigned line_number = 1; text.bytes > 0 && status == ROAN_OK; line_number++) {
        const char *end = memchr(text.data, '\n', text.bytes);
        size_t bytes = end != NULL ? (size_t)(end - text.data) : text.bytes;
        unsigned depth = loader->depth;
        status = load_line(loader, roan_slice_make(text.data, bytes), &words, &error);
        ROAN_ASSERT(loader->depth == depth);
        if (status != ROAN_OK) {
            size_t source_bytes = strlen(source);
            bool is_cut = source_bytes > SOURCE_BYTES_SHOWN_MAX;
            status = roan_error_set(reterr, status, "%s%s line %u: %s", is_cut ? "..." : "",
                                    source + (is_cut ? source_bytes - SOURCE_BYTES_SHOWN_MAX : 0), line_number,
                                    error.text);
        }
        bytes += end != NULL;
        text = roan_slice_make(text.data + bytes, text.bytes - bytes);
    }
    roan_config_words_done(&words);
    return status;
}
