/* engine/config.c: from text to a field of roan_config and back.
 *
 * A value passes three stations: text --read_value--> roan_number or text, checked --store_value--> field, and back by
 * print_value. Options of type SPECIAL have functions of their own for the whole way; everybody else shares these.
 * Nothing is stored before everything is checked, so a refused value leaves the config as it was.
 *
 * The texts of errors are the reference's where it has one: clients and its test suite compare them.
 */
#include "engine/config.h"

#include "base/number.h"

#include <string.h>

#define WORDS_MAX 1024

/* A parsed value that is not SPECIAL: number for all types but TEXT and BYTES. */
typedef struct option_value {
    int64_t number;
    roan_slice text;
} option_value;

static roan_slice initial_of(const roan_option *option)
{
    return roan_slice_from_text(option->initial);
}

/* --- text to value ------------------------------------------------------------------------------------------------ */

static roan_status out_of_range(const roan_option *option, roan_error *reterr)
{
    if (option->type == ROAN_OPTION_OCTAL)
        return roan_error_set(reterr, ROAN_E_INVALID, "argument must be between %llo and %llo inclusive",
                              (unsigned long long)option->min, (unsigned long long)option->max);
    return roan_error_set(reterr, ROAN_E_INVALID, "argument must be between %lld and %llu inclusive",
                          (long long)option->min, (unsigned long long)option->max);
}

static roan_status read_bool(roan_slice text, int64_t *ret_number, roan_error *reterr)
{
    if (!roan_slice_is(text, "yes") && !roan_slice_is(text, "no"))
        return roan_error_set(reterr, ROAN_E_CONFIG, "argument must be 'yes' or 'no'");
    *ret_number = roan_slice_is(text, "yes");
    return ROAN_OK;
}

static bool parse_octal(roan_slice text, int64_t *ret_number)
{
    bool is_negative = text.bytes > 0 && text.data[0] == '-';
    int64_t number = 0;
    if (text.bytes == is_negative)
        return false;
    for (size_t i = is_negative; i < text.bytes; i++) {
        if (text.data[i] < '0' || text.data[i] > '7' || number > INT64_MAX / 16)
            return false;
        number = number * 8 + (text.data[i] - '0');
    }
    *ret_number = is_negative ? -number : number;
    return true;
}

static roan_status read_signed(const roan_option *option, roan_slice text, int64_t *ret_number, roan_error *reterr)
{
    int64_t number;
    if (option->type == ROAN_OPTION_OCTAL) {
        if (!parse_octal(text, &number))
            return roan_error_set(reterr, ROAN_E_CONFIG, "argument couldn't be parsed as an octal number");
    } else if (!roan_parse_i64(text, &number)) {
        return roan_error_set(reterr, ROAN_E_CONFIG, "argument couldn't be parsed into an integer");
    }
    if (number < option->min || (number > 0 && (uint64_t)number > option->max))
        return out_of_range(option, reterr);
    if (option->clamp_max != 0)
        number = ROAN_MAX(option->clamp_min, ROAN_MIN(option->clamp_max, number));
    *ret_number = number;
    return ROAN_OK;
}

/* N% with N from 0 to 100. */
static bool parse_percent(roan_slice text, int64_t *ret_percent)
{
    if (text.bytes < 2 || text.data[text.bytes - 1] != '%')
        return false;
    return roan_parse_i64(roan_slice_make(text.data, text.bytes - 1), ret_percent) && *ret_percent >= 0;
}

static roan_status read_memory(const roan_option *option, roan_slice text, int64_t *ret_number, roan_error *reterr)
{
    uint64_t bytes;
    int64_t other;
    if (roan_parse_memory(text, &bytes)) {
        if ((option->min > 0 && bytes < (uint64_t)option->min) || bytes > option->max)
            return out_of_range(option, reterr);
        if (option->clamp_max != 0 && bytes < (uint64_t)option->clamp_min)
            bytes = (uint64_t)option->clamp_min;
        *ret_number = (int64_t)bytes;
        return ROAN_OK;
    }
    if (option->type == ROAN_OPTION_PERCENT_OR_MEMORY) {
        if (!parse_percent(text, &other))
            return roan_error_set(reterr, ROAN_E_CONFIG, "argument must be a memory or percent value");
        if (other > 100)
            return roan_error_set(reterr, ROAN_E_INVALID, "percentage argument must be less or equal to 100");
        *ret_number = -other;
        return ROAN_OK;
    }
    if (option->type == ROAN_OPTION_MEMORY_OR_NEGATIVE && roan_parse_i64(text, &other) && other < 0) {
        if (other < option->min)
            return out_of_range(option, reterr);
        *ret_number = other;
        return ROAN_OK;
    }
    return roan_error_set(reterr, ROAN_E_CONFIG, "argument must be a memory value");
}

static roan_status not_a_choice(const roan_option *option, roan_error *reterr)
{
    roan_buffer names = {0};
    for (const roan_option_choice *choice = option->choices; choice->name != NULL; choice++)
        roan_buffer_printf(&names, "%s%s", names.bytes > 0 ? ", " : "", choice->name);
    roan_status status = roan_error_set(reterr, ROAN_E_CONFIG, "argument(s) must be one of the following: %.*s",
                                        ROAN_SLICE_ARG(roan_buffer_slice(&names)));
    roan_buffer_done(&names);
    return status;
}

static const roan_option_choice *find_choice(const roan_option *option, roan_slice name)
{
    for (const roan_option_choice *choice = option->choices; choice->name != NULL; choice++)
        if (roan_slice_is(name, choice->name))
            return choice;
    return NULL;
}

static roan_status read_choices(const roan_option *option, size_t argc, const roan_slice *argv, int64_t *ret_number,
                                roan_error *reterr)
{
    int64_t number = 0;
    if (argc == 0)
        return not_a_choice(option, reterr);
    for (size_t i = 0; i < argc; i++) {
        const roan_option_choice *choice = find_choice(option, argv[i]);
        if (choice == NULL)
            return not_a_choice(option, reterr);
        number |= choice->value;
    }
    *ret_number = number;
    return ROAN_OK;
}

static roan_status read_value(const roan_option *option, size_t argc, const roan_slice *argv, option_value *ret_value,
                              roan_error *reterr)
{
    option_value value = {0, argc > 0 ? argv[0] : ROAN_LITERAL("")};
    roan_status status = ROAN_OK;
    switch (option->type) {
    case ROAN_OPTION_BOOL:
        status = read_bool(value.text, &value.number, reterr);
        break;
    case ROAN_OPTION_INTEGER:
    case ROAN_OPTION_OCTAL:
        status = read_signed(option, value.text, &value.number, reterr);
        break;
    case ROAN_OPTION_MEMORY:
    case ROAN_OPTION_MEMORY_OR_NEGATIVE:
    case ROAN_OPTION_PERCENT_OR_MEMORY:
        status = read_memory(option, value.text, &value.number, reterr);
        break;
    case ROAN_OPTION_ENUM:
    case ROAN_OPTION_CHOICES:
        status = read_choices(option, argc, argv, &value.number, reterr);
        break;
    case ROAN_OPTION_TEXT:
    case ROAN_OPTION_BYTES:
        break;
    case ROAN_OPTION_SPECIAL:
        ROAN_UNREACHABLE("special options parse themselves");
    }
    if (status == ROAN_OK && option->check != NULL)
        status = option->check(option, value.text, value.number, reterr);
    if (status == ROAN_OK)
        *ret_value = value;
    return status;
}

/* --- value to field and back -------------------------------------------------------------------------------------- */

void roan_config_set_string(char **field, roan_slice text)
{
    char *copy = roan_text_dup_bytes(text.data, text.bytes); /* first: text may point into the old one */
    roan_text_free(*field);
    *field = copy;
}

static void free_bytes(roan_slice bytes)
{
    if (bytes.data != NULL)
        roan_free((void *)bytes.data, bytes.bytes + 1);
}

static roan_slice dup_bytes(roan_slice bytes)
{
    return roan_slice_make(roan_text_dup_bytes(bytes.data, bytes.bytes), bytes.bytes);
}

static void set_bytes(roan_slice *field, roan_slice bytes)
{
    roan_slice copy = dup_bytes(bytes); /* first: they may point into the old ones */
    free_bytes(*field);
    *field = copy;
}

static void store_value(roan_config *config, const roan_option *option, const option_value *value)
{
    char *field = (char *)config + option->offset;
    switch (option->type) {
    case ROAN_OPTION_BOOL:
        *(bool *)field = value->number != 0;
        break;
    case ROAN_OPTION_TEXT:
        roan_config_set_string((char **)(void *)field, value->text);
        break;
    case ROAN_OPTION_BYTES:
        set_bytes((roan_slice *)(void *)field, value->text);
        break;
    case ROAN_OPTION_INTEGER:
    case ROAN_OPTION_OCTAL:
    case ROAN_OPTION_ENUM:
    case ROAN_OPTION_CHOICES:
    case ROAN_OPTION_MEMORY:
    case ROAN_OPTION_MEMORY_OR_NEGATIVE:
    case ROAN_OPTION_PERCENT_OR_MEMORY:
        memcpy(field, &value->number, sizeof value->number);
        break;
    case ROAN_OPTION_SPECIAL:
        ROAN_UNREACHABLE("special options store themselves");
    }
}

static option_value load_value(const roan_config *config, const roan_option *option)
{
    const char *field = (const char *)config + option->offset;
    option_value value = {0};
    if ((option->flags & ROAN_OPTION_FIXED) != 0) {
        roan_slice initial = initial_of(option);
        ROAN_ASSERT(read_value(option, 1, &initial, &value, NULL) == ROAN_OK);
    } else if (option->type == ROAN_OPTION_BOOL) {
        value.number = *(const bool *)field;
    } else if (option->type == ROAN_OPTION_TEXT) {
        value.text = roan_slice_from_text(*(char *const *)(const void *)field);
    } else if (option->type == ROAN_OPTION_BYTES) {
        value.text = *(const roan_slice *)(const void *)field;
    } else {
        memcpy(&value.number, field, sizeof value.number);
    }
    return value;
}

static void print_choices(const roan_option *option, int64_t number, roan_buffer *ret_text)
{
    size_t start = ret_text->bytes;
    for (const roan_option_choice *choice = option->choices; choice->name != NULL; choice++) {
        if (choice->value == number) {
            ret_text->bytes = start;
            roan_buffer_append_text(ret_text, choice->name);
            return;
        }
        if (option->type == ROAN_OPTION_CHOICES && (choice->value & number) != 0)
            roan_buffer_printf(ret_text, "%s%s", ret_text->bytes > start ? " " : "", choice->name);
    }
    ROAN_ASSERT(ret_text->bytes > start);
}

void roan_format_memory(uint64_t bytes, roan_buffer *ret_text)
{
    static const char *const units[] = {"", "kb", "mb", "gb"};
    unsigned unit = 0;
    while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < ROAN_COUNT_OF(units)) {
        bytes /= 1024;
        unit++;
    }
    roan_buffer_printf(ret_text, "%llu%s", (unsigned long long)bytes, units[unit]);
}

static void print_value(const roan_option *option, const option_value *value, bool for_file, roan_buffer *ret_text)
{
    switch (option->type) {
    case ROAN_OPTION_BOOL:
        roan_buffer_append_text(ret_text, value->number != 0 ? "yes" : "no");
        break;
    case ROAN_OPTION_TEXT:
    case ROAN_OPTION_BYTES:
        if (for_file)
            roan_buffer_append_quoted(ret_text, value->text);
        else
            roan_buffer_append_slice(ret_text, value->text);
        break;
    case ROAN_OPTION_INTEGER:
        roan_buffer_printf(ret_text, "%lld", (long long)value->number);
        break;
    case ROAN_OPTION_OCTAL:
        roan_buffer_printf(ret_text, "%llo", (unsigned long long)value->number);
        break;
    case ROAN_OPTION_PERCENT_OR_MEMORY:
    case ROAN_OPTION_MEMORY_OR_NEGATIVE:
    case ROAN_OPTION_MEMORY:
        if (option->type == ROAN_OPTION_PERCENT_OR_MEMORY && value->number < 0)
            roan_buffer_printf(ret_text, "%lld%%", -(long long)value->number);
        else if (option->type == ROAN_OPTION_MEMORY_OR_NEGATIVE && value->number < 0)
            roan_buffer_printf(ret_text, "%lld", (long long)value->number);
        else if (for_file)
            roan_format_memory((uint64_t)value->number, ret_text);
        else
            roan_buffer_printf(ret_text, "%llu", (unsigned long long)value->number);
        break;
    case ROAN_OPTION_ENUM:
    case ROAN_OPTION_CHOICES:
        print_choices(option, value->number, ret_text);
        break;
    case ROAN_OPTION_SPECIAL:
        ROAN_UNREACHABLE("special options print themselves");
    }
}

void roan_option_format(const roan_config *config, const roan_option *option, roan_buffer *ret_text)
{
    if (option->type == ROAN_OPTION_SPECIAL) {
        option->format(config, option, ret_text);
        return;
    }
    option_value value = load_value(config, option);
    print_value(option, &value, false, ret_text);
}

bool roan_option_format_line(const roan_config *config, const roan_option *option, unsigned line,
                             roan_buffer *ret_text)
{
    if (option->format_line != NULL)
        return option->format_line(config, line, ret_text);
    if (line > 0)
        return false;
    if (option->type == ROAN_OPTION_SPECIAL) {
        size_t start = ret_text->bytes;
        option->format(config, option, ret_text);
        if (ret_text->bytes == start)
            roan_buffer_append_text(ret_text, "\"\"");
    } else {
        option_value value = load_value(config, option);
        print_value(option, &value, true, ret_text);
    }
    return true;
}

/* --- setting ------------------------------------------------------------------------------------------------------ */

/* A feature that is not there: its option takes the default, however it is written, and nothing else. */
static roan_status set_fixed(const roan_option *option, size_t argc, const roan_slice *argv, roan_error *reterr)
{
    option_value wanted, fixed;
    roan_slice initial = initial_of(option);
    ROAN_ASSERT(read_value(option, 1, &initial, &fixed, NULL) == ROAN_OK);
    roan_status status = read_value(option, argc, argv, &wanted, reterr);
    if (status != ROAN_OK)
        return status;
    bool is_same = option->type == ROAN_OPTION_TEXT ? roan_slice_equal(wanted.text, fixed.text)
                                                    : wanted.number == fixed.number;
    if (!is_same)
        return roan_error_set(reterr, ROAN_E_UNSUPPORTED, "not available in this version: there is no %s yet",
                              option->needs);
    return ROAN_OK;
}

static roan_status set_words(roan_config *config, const roan_option *option, bool at_start, size_t argc,
                             const roan_slice *argv, roan_error *reterr)
{
    for (size_t i = 0; i < argc && option->type != ROAN_OPTION_BYTES; i++)
        if (argv[i].bytes > 0 && memchr(argv[i].data, '\0', argv[i].bytes) != NULL)
            return roan_error_set(reterr, ROAN_E_CONFIG, "argument must not contain a zero byte");
    if (option->type == ROAN_OPTION_SPECIAL)
        return option->parse(config, option, at_start, argc, argv, reterr);
    if ((option->flags & ROAN_OPTION_FIXED) != 0)
        return set_fixed(option, argc, argv, reterr);
    option_value value;
    roan_status status = read_value(option, argc, argv, &value, reterr);
    if (status == ROAN_OK)
        store_value(config, option, &value);
    return status;
}

roan_status roan_option_set(roan_config *config, const roan_option *option, bool at_start, size_t argc,
                            const roan_slice *argv, roan_error *reterr)
{
    bool takes_several = (option->flags & ROAN_OPTION_SEVERAL) != 0;
    if (argc == 0 || (argc > 1 && !takes_several) || argc > WORDS_MAX)
        return roan_error_set(reterr, ROAN_E_CONFIG, "wrong number of arguments");
    if (argc > 1 || !takes_several)
        return set_words(config, option, at_start, argc, argv, reterr);

    roan_slice words[WORDS_MAX], rest = argv[0];
    size_t count = 0;
    while (rest.bytes > 0) {
        const char *space = memchr(rest.data, ' ', rest.bytes);
        size_t bytes = space != NULL ? (size_t)(space - rest.data) : rest.bytes;
        if (bytes > 0) {
            if (count == WORDS_MAX)
                return roan_error_set(reterr, ROAN_E_CONFIG, "wrong number of arguments");
            words[count++] = roan_slice_make(rest.data, bytes);
        }
        bytes += space != NULL;
        rest = roan_slice_make(rest.data + bytes, rest.bytes - bytes);
    }
    return set_words(config, option, at_start, count, words, reterr);
}

/* --- the struct --------------------------------------------------------------------------------------------------- */

void roan_config_init(roan_config *config)
{
    *config = (roan_config){.save_is_default = true};
    for (const roan_option *option = roan_option_next(NULL); option != NULL; option = roan_option_next(option)) {
        roan_slice initial = initial_of(option);
        ROAN_ASSERT(roan_option_set(config, option, false, 1, &initial, NULL) == ROAN_OK);
    }
}

/* The option's text in `config`, or NULL when it has none. */
static char **text_of(roan_config *config, const roan_option *option)
{
    bool has_text = option->type == ROAN_OPTION_TEXT || (option->flags & ROAN_OPTION_OWNS_TEXT) != 0;
    if (!has_text || (option->flags & ROAN_OPTION_FIXED) != 0)
        return NULL;
    return (char **)(void *)((char *)config + option->offset);
}

static roan_slice *bytes_of(roan_config *config, const roan_option *option)
{
    bool has_bytes = option->type == ROAN_OPTION_BYTES;
    return has_bytes ? (roan_slice *)(void *)((char *)config + option->offset) : NULL;
}

void roan_config_done(roan_config *config)
{
    for (const roan_option *option = roan_option_next(NULL); option != NULL; option = roan_option_next(option)) {
        char **text = text_of(config, option);
        roan_slice *bytes = bytes_of(config, option);
        if (text != NULL)
            roan_text_free(*text);
        if (bytes != NULL)
            free_bytes(*bytes);
    }
    *config = (roan_config){0};
}

void roan_config_copy(roan_config *target, const roan_config *source)
{
    *target = *source;
    for (const roan_option *option = roan_option_next(NULL); option != NULL; option = roan_option_next(option)) {
        char **text = text_of(target, option);
        roan_slice *bytes = bytes_of(target, option);
        if (text != NULL)
            *text = roan_text_dup(*text);
        if (bytes != NULL)
            *bytes = dup_bytes(*bytes);
    }
}

uint64_t roan_config_maxmemory_clients(const roan_config *config)
{
    int64_t value = (int64_t)config->maxmemory_clients;
    if (value >= 0)
        return config->maxmemory_clients;
    return config->maxmemory / 100 * (uint64_t)-value + config->maxmemory % 100 * (uint64_t)-value / 100;
}
