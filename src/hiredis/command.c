/* hiredis/command.c: commands as they are sent: from formats (format.c) and from words.
 *
 *     *3 CRLF  $3 CRLF SET CRLF  $3 CRLF key CRLF  $5 CRLF value CRLF
 *
 * The length is computed first, with overflow checked, so that each command is one allocation and one pass.
 */
#include "hiredis/internal.h"
#include "hiredis/format.h"

#include <limits.h>
#include <string.h>

#define WORD_BYTES_MAX (SIZE_MAX / 4) /* two of them and what stands around them fit a long long */

static size_t count_digits(size_t value)
{
    size_t count = 1;

    while (value >= 10) {
        value /= 10;
        count++;
    }
    return count;
}

/* Adds "$n CRLF text CRLF" of a text of so many bytes; false: too much for a size_t. */
static bool add_word_bytes(size_t *total, size_t bytes)
{
    size_t around = 1 + count_digits(bytes) + 2 + 2;

    if (bytes > WORD_BYTES_MAX || *total > WORD_BYTES_MAX)
        return false;
    *total += bytes + around;
    return true;
}

static char *put_head(char *out, char type, size_t value)
{
    size_t digits = count_digits(value);

    *out++ = type;
    for (size_t i = digits; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
    out += digits;
    *out++ = '\r';
    *out++ = '\n';
    return out;
}

static char *put_word(char *out, const char *bytes, size_t count)
{
    out = put_head(out, '$', count);
    if (count > 0)
        memcpy(out, bytes, count);
    out += count;
    *out++ = '\r';
    *out++ = '\n';
    return out;
}

/* ---- from words -------------------------------------------------------------------------------------------------- */

static size_t word_bytes(const char *const *argv, const size_t *argvlen, int index)
{
    return argvlen != NULL ? argvlen[index] : strlen(argv[index]);
}

/* 0: it is more than a long long can say, or there are no words to count. */
static size_t measure_words(int argc, const char *const *argv, const size_t *argvlen)
{
    size_t total = 1 + count_digits((size_t)argc) + 2;

    for (int i = 0; i < argc; i++)
        if (!add_word_bytes(&total, word_bytes(argv, argvlen, i)))
            return 0;
    return total;
}

static void put_words(char *out, int argc, const char *const *argv, const size_t *argvlen)
{
    out = put_head(out, '*', (size_t)argc);
    for (int i = 0; i < argc; i++)
        out = put_word(out, argv[i], word_bytes(argv, argvlen, i));
    *out = '\0';
}

long long redisFormatCommandArgv(char **target, int argc, const char **argv, const size_t *argvlen)
{
    size_t total;
    char *command;

    if (target == NULL || argc < 0)
        return -1;
    total = measure_words(argc, argv, argvlen);
    command = total == 0 ? NULL : hi_malloc(total + 1);
    if (command == NULL)
        return -1;
    put_words(command, argc, argv, argvlen);
    *target = command;
    return (long long)total;
}

long long redisFormatSdsCommandArgv(sds *target, int argc, const char **argv, const size_t *argvlen)
{
    size_t total;
    sds command, sized;

    if (target == NULL || argc < 0)
        return -1;
    total = measure_words(argc, argv, argvlen);
    command = total == 0 ? NULL : sdsempty();
    if (command == NULL)
        return -1;
    sized = sdsMakeRoomFor(command, total);
    if (sized == NULL) {
        sdsfree(command);
        return -1;
    }
    put_words(sized, argc, argv, argvlen);
    sdssetlen(sized, total);
    *target = sized;
    return (long long)total;
}

/* ---- from formats ------------------------------------------------------------------------------------------------ */

static int write_words(char **target, const roan_hiredis_words *words)
{
    size_t total = 1 + count_digits(words->count) + 2;
    size_t start = 0;
    char *command;
    char *out;

    for (size_t i = 0; i < words->count; start = words->ends[i++])
        if (!add_word_bytes(&total, words->ends[i] - start))
            return ROAN_HIREDIS_FORMAT_NOMEM;
    command = total > INT_MAX ? NULL : hi_malloc(total + 1);
    if (command == NULL)
        return ROAN_HIREDIS_FORMAT_NOMEM;
    out = put_head(command, '*', words->count);
    start = 0;
    for (size_t i = 0; i < words->count; start = words->ends[i++])
        out = put_word(out, words->bytes + start, words->ends[i] - start);
    *out = '\0';
    *target = command;
    return (int)total;
}

int redisvFormatCommand(char **target, const char *format, va_list arguments)
{
    roan_hiredis_words words = {0};
    int result;

    if (target == NULL)
        return -1;
    result = roan_hiredis_words_read(&words, format, arguments);
    if (result == 0)
        result = write_words(target, &words);
    roan_hiredis_words_done(&words);
    return result;
}

int redisFormatCommand(char **target, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = redisvFormatCommand(target, format, arguments);
    va_end(arguments);
    return length < 0 ? -1 : length;
}

void redisFreeCommand(char *command)
{
    hi_free(command);
}

void redisFreeSdsCommand(sds command)
{
    sdsfree(command);
}
