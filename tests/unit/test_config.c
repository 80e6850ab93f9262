/* test_config.c: options: every row is sound, texts of values and errors are the reference's, CONFIG SET changes all or
 * nothing, files are read and rewritten.
 *
 * Expected values and errors were recorded from Valkey 9.1.2, except where a comment says why Roan differs.
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
#include "config_reference.h"
#include "engine/config_file.h"

#define TEXT_MAX 16384

/* --- helpers --- */

static const char *text_of(const roan_config *config, const char *name)
{
    static char text[TEXT_MAX];
    roan_buffer buffer = {0};
    const roan_option *option = roan_option_find(roan_slice_from_text(name));
    assert_non_null(option);
    roan_option_format(config, option, &buffer);
    assert_true(buffer.bytes < sizeof text);
    if (buffer.bytes > 0)
        memcpy(text, buffer.data, buffer.bytes);
    text[buffer.bytes] = '\0';
    roan_buffer_done(&buffer);
    return text;
}

/* CONFIG SET of name, value, name, value ... NULL. Returns the reply as the client sees it, without a dash. */
static const char *change_with(roan_config *config, roan_change *change, const char *const *words)
{
    static char reply[TEXT_MAX];
    roan_slice slices[32];
    size_t count = 0;
    for (; words[count] != NULL; count++)
        slices[count] = roan_slice_from_text(words[count]);
    switch (roan_config_change(config, change, count / 2, slices)) {
    case ROAN_CHANGE_DONE:
        return "OK";
    case ROAN_CHANGE_LOADING:
        return "LOADING";
    case ROAN_CHANGE_UNKNOWN:
        snprintf(reply, sizeof reply, "unknown '%.*s'", ROAN_SLICE_ARG(change->name));
        return reply;
    case ROAN_CHANGE_REFUSED:
        snprintf(reply, sizeof reply, "'%.*s' - %s", ROAN_SLICE_ARG(change->name), change->error.text);
        return reply;
    }
    return NULL;
}

#define CHANGE(config, ...) \
    change_with((config), &(roan_change){.allow_protected = true}, (const char *const[]){__VA_ARGS__, NULL})

static roan_status load(roan_config *config, const char *text, roan_error *reterr)
{
    roan_config_loader loader = {.config = config};
    return roan_config_load(&loader, "a.conf", roan_slice_from_text(text), reterr);
}

/* --- rows --- */

static void every_default_is_what_the_row_says(void **state)
{
    (void)state;
    roan_config config;
    roan_config_init(&config);
    for (const roan_option *option = roan_option_next(NULL); option != NULL; option = roan_option_next(option)) {
        roan_config other;
        roan_slice initial = roan_slice_from_text(option->initial);
        roan_config_init(&other);
        assert_int_equal(roan_option_set(&other, option, false, 1, &initial, NULL), ROAN_OK);
        char text[TEXT_MAX];
        snprintf(text, sizeof text, "%s", text_of(&config, option->name));
        assert_string_equal(text, text_of(&other, option->name));
        roan_config_done(&other);
    }
    roan_config_done(&config);
}

static void every_row_is_sound(void **state)
{
    (void)state;
    for (const roan_option *option = roan_option_next(NULL); option != NULL; option = roan_option_next(option)) {
        const char *name = option->name;
        size_t bytes = strlen(option->text);
        assert_true(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name));
        if (bytes < 5 || option->text[bytes - 1] != '.')
            if (option->text[bytes - 1] != ')')
                fail_msg("the text of '%s' is no sentence", name);
        assert_ptr_equal(roan_option_find(roan_slice_from_text(name)), option);
        if (option->alias != NULL)
            assert_ptr_equal(roan_option_find(roan_slice_from_text(option->alias)), option);
        if ((option->flags & ROAN_OPTION_FIXED) != 0 && option->needs == NULL)
            fail_msg("'%s' is fixed without a reason", name);
        if (option->type == ROAN_OPTION_SPECIAL)
            assert_true(option->parse != NULL && option->format != NULL);
        if (option->type == ROAN_OPTION_ENUM || option->type == ROAN_OPTION_CHOICES)
            assert_non_null(option->choices);
        if (option->type == ROAN_OPTION_INTEGER)
            assert_true(option->max > 0);
        if (option->type == ROAN_OPTION_CHOICES)
            assert_true(option->flags & ROAN_OPTION_SEVERAL);
    }
}

/* The invariant of config.h, which rolling back relies on. */
static void what_is_printed_can_be_set_again(void **state)
{
    (void)state;
    static const char *const tries[] = {
        "yes", "no", "1", "7", "100", "70000", "1mb", "5gb", "33%", "-1", "-3", "a b", "x", "0", "c\"d\\e", "C",
        "save now", "volatile-lru", "always", "AKn", "KEg$", "900 1 300 10", "1 2 3", "0.5 99.99",
        "normal 1 2 3 pubsub 4kb 5mb 6", "127.0.0.1 -::1", "::1", "10.0.0.1", "local", "no one", "",
    };
    for (const roan_option *option = roan_option_next(NULL); option != NULL; option = roan_option_next(option)) {
        for (size_t i = 0; i < ROAN_COUNT_OF(tries); i++) {
            roan_config config;
            roan_slice value = roan_slice_from_text(tries[i]);
            char first[TEXT_MAX];
            roan_config_init(&config);
            if (roan_option_set(&config, option, false, 1, &value, NULL) == ROAN_OK) {
                snprintf(first, sizeof first, "%s", text_of(&config, option->name));
                value = roan_slice_from_text(first);
                assert_int_equal(roan_option_set(&config, option, false, 1, &value, NULL), ROAN_OK);
                assert_string_equal(first, text_of(&config, option->name));
            }
            roan_config_done(&config);
        }
    }
}

static void names_and_defaults_are_the_references(void **state)
{
    (void)state;
    static const char *const different[][2] = {
        {"bind", "127.0.0.1 -::1"}, /* reachable from this machine alone, unless asked */
        {"save", ""},               /* there is no persistence yet, so nothing is saved */
        {"syslog-ident", "roan"},
        {"disable-thp", "no"},      /* keys lie in huge pages, and nothing forks yet */
    };
    roan_config config;
    roan_config_init(&config);
    for (size_t i = 0; i < ROAN_COUNT_OF(reference_options); i++) {
        const char *name = reference_options[i].name, *value = reference_options[i].value;
        for (size_t j = 0; j < ROAN_COUNT_OF(different); j++)
            if (strcmp(name, different[j][0]) == 0)
                value = different[j][1];
        if (roan_option_find(roan_slice_from_text(name)) == NULL)
            fail_msg("'%s' is missing", name);
        if (strcmp(text_of(&config, name), value) != 0)
            fail_msg("%s: '%s', should be '%s'", name, text_of(&config, name), value);
    }
    assert_string_equal(text_of(&config, "threads"), "1");
    assert_string_equal(text_of(&config, "io"), "auto");
    roan_config_done(&config);
}

static void a_copy_shares_nothing(void **state)
{
    (void)state;
    roan_config first, second;
    roan_config_init(&first);
    assert_string_equal(CHANGE(&first, "requirepass", "secret", "save", "900 1"), "OK");
    roan_config_copy(&second, &first);
    assert_string_equal(CHANGE(&first, "requirepass", "other", "save", ""), "OK");
    roan_config_done(&first);
    assert_string_equal(second.requirepass.data, "secret");
    assert_string_equal(second.save, "900 1");
    roan_config_done(&second);
}

/* --- values --- */

typedef struct value_case {
    const char *name, *value;
    const char *error; /* NULL: accepted */
    const char *shown; /* by CONFIG GET afterwards; NULL: as given */
} value_case;

#define NOT_MEMORY "argument must be a memory value"
#define NOT_NUMBER "argument couldn't be parsed into an integer"
#define LOG_LEVELS "argument(s) must be one of the following: debug, verbose, notice, warning, nothing"
#define SHUTDOWN_WORDS \
    "argument(s) must be one of the following: default, save, nosave, now, force, safe, failover"
#define BAD_LIMITS "Error in hard, soft or soft_seconds setting in buffer limit configuration."
#define BAD_EVENTS "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
#define BAD_TITLE "template format is invalid or contains unknown variables"

static const value_case value_cases[] = {
    {"maxmemory", "1gb", NULL, "1073741824"},
    {"maxmemory", "1GB", NULL, "1073741824"},
    {"maxmemory", "1g", NULL, "1000000000"},
    {"maxmemory", "01", NULL, "1"},
    {"maxmemory", "18446744073709551615", NULL, NULL},
    {"maxmemory", "18446744073709551616", NOT_MEMORY, NULL},
    {"maxmemory", "-1", NOT_MEMORY, NULL},
    {"maxmemory", "1.5gb", NOT_MEMORY, NULL},
    {"maxmemory", " 1", NOT_MEMORY, NULL},
    {"maxmemory", "1tb", NOT_MEMORY, NULL},
    {"maxmemory", "+5", NOT_MEMORY, NULL},
    {"maxmemory", "", NOT_MEMORY, NULL}, /* the reference takes it for 0; an unset variable is no wish for no limit */
    {"maxmemory-clients", "10%", NULL, NULL},
    {"maxmemory-clients", "0%", NULL, "0"},
    {"maxmemory-clients", "100%", NULL, NULL},
    {"maxmemory-clients", "5mb", NULL, "5242880"},
    {"maxmemory-clients", "101%", "percentage argument must be less or equal to 100", NULL},
    {"maxmemory-clients", "-5", "argument must be a memory or percent value", NULL},
    {"maxmemory-clients", "%", "argument must be a memory or percent value", NULL},
    {"maxmemory-clients", "-5%", "argument must be a memory or percent value", NULL},
    {"proto-max-bulk-len", "1mb", NULL, "1048576"},
    {"proto-max-bulk-len", "1048575", "argument must be between 1048576 and 9223372036854775807 inclusive", NULL},
    {"proto-max-bulk-len", "9223372036854775808", "argument must be between 1048576 and 9223372036854775807 inclusive",
     NULL},
    {"repl-backlog-size", "0", "argument must be between 1 and 9223372036854775807 inclusive", NULL},
    {"repl-backlog-size", "1", NULL, "16384"},
    {"slot-migration-max-failover-repl-bytes", "-1", NULL, NULL},
    {"slot-migration-max-failover-repl-bytes", "-2", "argument must be between -1 and 9223372036854775807 inclusive",
     NULL},
    {"hz", "1000", NULL, "500"},
    {"hz", "0", NULL, "1"},
    {"hz", "-1", "argument must be between 0 and 2147483647 inclusive", NULL},
    {"hz", "1e2", NOT_NUMBER, NULL},
    {"hz", "010", NOT_NUMBER, NULL},
    {"hz", " 5", NOT_NUMBER, NULL},
    {"hz", "+5", NOT_NUMBER, NULL},
    {"timeout", "2147483648", "argument must be between 0 and 2147483647 inclusive", NULL},
    {"maxclients", "0", "argument must be between 1 and 4294967295 inclusive", NULL},
    {"list-max-listpack-size", "-5", NULL, NULL},
    {"list-max-listpack-size", "-2147483649", "argument must be between -2147483648 and 2147483647 inclusive", NULL},
    {"cluster-blacklist-ttl", "-1", "argument must be between 0 and 18446744073709551615 inclusive", NULL},
    {"unixsocketperm", "770", NULL, NULL},
    {"unixsocketperm", "0770", NULL, "770"},
    {"unixsocketperm", "999", "argument couldn't be parsed as an octal number", NULL},
    {"unixsocketperm", "-1", "argument must be between 0 and 777 inclusive", NULL},
    {"unixsocketperm", "1777", "argument must be between 0 and 777 inclusive", NULL},
    {"protected-mode", "NO", NULL, "no"},
    {"protected-mode", "true", "argument must be 'yes' or 'no'", NULL},
    {"loglevel", "WARNING", NULL, "warning"},
    {"loglevel", "warnings", LOG_LEVELS, NULL},
    {"loglevel", "", LOG_LEVELS, NULL},
    {"oom-score-adj", "relative", NULL, "yes"},
    {"shutdown-on-sigterm", "nosave now", NULL, NULL},
    {"shutdown-on-sigterm", "force now save", NULL, "save now force"},
    {"shutdown-on-sigterm", "default save", NULL, "save"},
    {"shutdown-on-sigterm", "SAVE", NULL, "save"},
    {"shutdown-on-sigterm", "", SHUTDOWN_WORDS, NULL},
    {"shutdown-on-sigterm", "save nosave", "shutdown options SAVE and NOSAVE can't be used simultaneously", NULL},
    {"notify-keyspace-events", "KEA", NULL, "AKE"},
    {"notify-keyspace-events", "Elg", NULL, "glE"},
    {"notify-keyspace-events", "xmn", NULL, "xnm"},
    {"notify-keyspace-events", "zset", NULL, "szet"},
    {"notify-keyspace-events", "KEdn", NULL, "dnKE"},
    {"notify-keyspace-events", "KEg$lshzxetd", NULL, "AKE"},
    {"notify-keyspace-events", "AKEmn", NULL, "AnKEm"}, /* the reference loses the n here */
    {"notify-keyspace-events", "Q", BAD_EVENTS, NULL},
    {"save", "900 1 300 10", NULL, NULL},
    {"save", "", NULL, NULL},
    {"save", "10 0", NULL, NULL},
    {"save", "+10 01", NULL, "10 1"},
    {"save", "900", "Invalid save parameters", NULL},
    {"save", "0 1", "Invalid save parameters", NULL},
    {"save", "10 -1", "Invalid save parameters", NULL},
    {"save", "x y", "Invalid save parameters", NULL},
    {"save", "99999999999999999999 1", "Invalid save parameters", NULL}, /* the reference cuts it */
    {"client-output-buffer-limit", "replica 1mb 2 3", NULL,
     "normal 0 0 0 slave 1048576 2 3 pubsub 33554432 8388608 60"},
    {"client-output-buffer-limit", "slave 4 5 6 NORMAL 7 8 9", NULL,
     "normal 7 8 9 slave 4 5 6 pubsub 33554432 8388608 60"},
    {"client-output-buffer-limit", "", NULL, "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"},
    {"client-output-buffer-limit", "pubsub 1 2", "Wrong number of arguments in buffer limit configuration.", NULL},
    {"client-output-buffer-limit", "master 1 2 3", "Invalid client class specified in buffer limit configuration.",
     NULL},
    {"client-output-buffer-limit", "normal -1 2 3", BAD_LIMITS, NULL},
    {"client-output-buffer-limit", "normal 1 2 3x", BAD_LIMITS, NULL},
    {"client-output-buffer-limit", "normal 1 2 -3", BAD_LIMITS, NULL},
    {"oom-score-adj-values", "1 2 3", NULL, NULL},
    {"oom-score-adj-values", "1 2", "wrong number of arguments", NULL},
    {"oom-score-adj-values", "-2001 0 0",
     "Invalid oom-score-adj-values, elements must be between -2000 and 2000.", NULL},
    {"latency-tracking-info-percentiles", "0.001 100", NULL, NULL},
    {"latency-tracking-info-percentiles", "99.99999999", NULL, "100"},
    {"latency-tracking-info-percentiles", "1.50 1e1", NULL, "1.5 10"},
    {"latency-tracking-info-percentiles", "", NULL, NULL},
    {"latency-tracking-info-percentiles", "101",
     "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]", NULL},
    {"latency-tracking-info-percentiles", "x", "Invalid latency-tracking-info-percentiles parameters", NULL},
    {"proc-title-template", "{title} {port}", NULL, NULL},
    {"proc-title-template", "plain {{x}", NULL, NULL},
    {"proc-title-template", "{bad}", BAD_TITLE, NULL},
    {"proc-title-template", "{title", BAD_TITLE, NULL},
    {"proc-title-template", "", BAD_TITLE, NULL},
    {"dbfilename", "a/b", "dbfilename can't be a path, just a filename", NULL},
    {"dbfilename", "", "dbfilename can't be empty", NULL},
    {"appenddirname", "a/b", "appenddirname can't be a path, just a dirname", NULL},
    {"cluster-config-file", "", "cluster-config-file can't be empty", NULL},
    {"cluster-announce-hostname", "a_b", "Hostnames may only contain alphanumeric characters, hyphens or dots", NULL},
    {"cluster-announce-client-ipv4", "::1", "Invalid IPv4 address", NULL},
    {"cluster-announce-client-ipv6", "::1", NULL, NULL},
    {"cluster-announce-ip", "a b", "cluster-announce-ip contains invalid character", NULL},
    {"cluster-announce-human-nodename", "a,b", "Announced human node name contained invalid character", NULL},
    {"cluster-announce-human-nodename", "a.b-c_d:e/f`", NULL, NULL},
    {"bind", "", NULL, NULL},
    {"bind", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "Too many bind addresses specified.", NULL},
    {"appendonly", "yes", "not available in this version: there is no append-only file yet", NULL},
    {"appendonly", "NO", NULL, "no"},
    {"appendonly", "maybe", "argument must be 'yes' or 'no'", NULL},
    {"activedefrag", "yes", "not available in this version: there is no active defragmentation yet", NULL},
    {"cluster-enabled", "yes", "not available in this version: there is no cluster mode yet", NULL},
    {"replicaof", "no one", NULL, ""},
    {"replicaof", "x", "wrong number of arguments", NULL},
    {"replicaof", "x 70000", "Invalid primary port", NULL},
    {"replicaof", "x 6379", "not available in this version: there is no replication yet", NULL},
};

static void values_and_errors_are_the_references(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROAN_COUNT_OF(value_cases); i++) {
        const value_case *expected = &value_cases[i];
        roan_slice value = roan_slice_from_text(expected->value);
        const roan_option *option = roan_option_find(roan_slice_from_text(expected->name));
        roan_config config;
        roan_error error;
        char before[TEXT_MAX];
        roan_config_init(&config);
        snprintf(before, sizeof before, "%s", text_of(&config, expected->name));
        roan_status status = roan_option_set(&config, option, false, 1, &value, &error);
        if ((status == ROAN_OK) != (expected->error == NULL))
            fail_msg("%s '%s': %s", expected->name, expected->value, status == ROAN_OK ? "accepted" : error.text);
        if (status != ROAN_OK)
            assert_string_equal(error.text, expected->error);
        const char *shown = expected->shown != NULL ? expected->shown : expected->value;
        assert_string_equal(text_of(&config, expected->name), status == ROAN_OK ? shown : before);
        roan_config_done(&config);
    }
}

static void a_zero_byte_is_refused(void **state)
{
    (void)state;
    roan_config config;
    roan_error error;
    roan_slice value = roan_slice_make("a\0b", 3);
    roan_config_init(&config);
    const roan_option *option = roan_option_find(ROAN_LITERAL("availability-zone"));
    assert_int_equal(roan_option_set(&config, option, false, 1, &value, &error), ROAN_E_CONFIG);
    assert_string_equal(config.availability_zone, "");
    roan_config_done(&config);
}

static void a_password_may_have_zero_bytes(void **state)
{
    (void)state;
    roan_config config, copy;
    roan_slice value = roan_slice_make("a\0b", 3);
    roan_buffer line = {0};
    roan_config_init(&config);
    const roan_option *option = roan_option_find(ROAN_LITERAL("requirepass"));
    assert_int_equal(roan_option_set(&config, option, false, 1, &value, NULL), ROAN_OK);
    roan_config_copy(&copy, &config);
    roan_config_done(&config);
    assert_true(roan_slice_equal(copy.requirepass, value));
    roan_option_format(&copy, option, &line);
    assert_true(roan_slice_equal(roan_buffer_slice(&line), value));
    roan_config_done(&copy);
    roan_buffer_done(&line);
}

static void a_share_of_maxmemory_is_worked_out(void **state)
{
    (void)state;
    roan_config config;
    roan_config_init(&config);
    assert_int_equal(roan_config_maxmemory_clients(&config), 0);
    assert_string_equal(CHANGE(&config, "maxmemory", "1000", "maxmemory-clients", "5%"), "OK");
    assert_int_equal(roan_config_maxmemory_clients(&config), 50);
    assert_string_equal(CHANGE(&config, "maxmemory", "18446744073709551615", "maxmemory-clients", "100%"), "OK");
    assert_true(roan_config_maxmemory_clients(&config) == UINT64_MAX);
    assert_string_equal(CHANGE(&config, "maxmemory-clients", "7"), "OK");
    assert_int_equal(roan_config_maxmemory_clients(&config), 7);
    roan_config_done(&config);
}

static void misspelt_names_are_guessed(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"maxmemmory", "maxmemory"}, {"max_memory", "maxmemory"},  {"prot", "port"},      {"databses", "databases"},
        {"tcpkeepalive", "tcp-keepalive"}, {"slow-log-max-len", "slowlog-max-len"}, {"thread", "threads"},
    };
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++) {
        const char *found = roan_option_suggest(roan_slice_from_text(cases[i][0]));
        assert_non_null(found);
        assert_string_equal(found, cases[i][1]);
    }
    assert_null(roan_option_suggest(ROAN_LITERAL("something-else-entirely")));
    assert_null(roan_option_suggest(ROAN_LITERAL("")));
    assert_null(roan_option_suggest(ROAN_LITERAL("q")));
}

/* --- CONFIG SET --- */

static void a_change_is_whole_or_nothing(void **state)
{
    (void)state;
    roan_config config;
    roan_config_init(&config);
    assert_string_equal(CHANGE(&config, "maxmemory", "10000002", "save", "3000 5"), "OK");
    assert_string_equal(
        CHANGE(&config, "maxmemory", "1", "save", "", "maxmemory-clients", "200%", "client-query-buffer-limit", "bad"),
        "'maxmemory-clients' - percentage argument must be less or equal to 100");
    assert_string_equal(text_of(&config, "maxmemory"), "10000002");
    assert_string_equal(text_of(&config, "save"), "3000 5");
    assert_string_equal(text_of(&config, "client-query-buffer-limit"), "1073741824");
    roan_config_done(&config);
}

static void errors_name_what_the_client_wrote(void **state)
{
    (void)state;
    roan_config config;
    roan_config_init(&config);
    assert_string_equal(CHANGE(&config, "foo", "bar"), "unknown 'foo'");
    assert_string_equal(CHANGE(&config, "maxmemory", "1", "foo", "2"), "unknown 'foo'");
    assert_string_equal(CHANGE(&config, "foo", "1", "daemonize", "yes"), "unknown 'foo'");
    assert_string_equal(CHANGE(&config, "Daemonize", "yes", "foo", "1"), "'Daemonize' - can't set immutable config");
    assert_string_equal(CHANGE(&config, "slaveof", "x y"), "'slaveof' - can't set immutable config");
    assert_string_equal(CHANGE(&config, "maxmemory", "1", "MAXMEMORY", "2"), "'MAXMEMORY' - duplicate parameter");
    assert_string_equal(CHANGE(&config, "MaxMemory", "x"), "'maxmemory' - " NOT_MEMORY);
    assert_string_equal(CHANGE(&config, "SLAVE-priority", "x"), "'slave-priority' - " NOT_NUMBER);
    assert_string_equal(CHANGE(&config, "hash-max-ziplist-entries", "5", "hash-max-listpack-entries", "6"), "OK");
    assert_string_equal(text_of(&config, "hash-max-ziplist-entries"), "6");
    assert_string_equal(text_of(&config, "maxmemory"), "0");
    roan_config_done(&config);
}

static void protected_and_loading_are_refused(void **state)
{
    (void)state;
    const char *const words[] = {"dir", "/tmp", NULL}, *const name[] = {"dbfilename", "x", NULL};
    roan_config config;
    roan_change change = {0};
    roan_config_init(&config);
    assert_string_equal(change_with(&config, &change, words), "'dir' - can't set protected config");
    assert_string_equal(change_with(&config, &change, name), "'dbfilename' - can't set protected config");
    change = (roan_change){.allow_protected = true, .is_loading = true};
    assert_string_equal(change_with(&config, &change, words), "LOADING");
    assert_string_equal(change_with(&config, &change, name), "OK");
    roan_config_done(&config);
}

/* Hooks that write down what they were called with, and one that fails. */
typedef struct hook_log {
    char text[256];
    bool fails;
} hook_log;

static roan_status note_memory(void *context, roan_config *config, roan_error *reterr)
{
    hook_log *log = context;
    size_t used = strlen(log->text);
    (void)reterr;
    snprintf(log->text + used, sizeof log->text - used, "memory=%llu ", (unsigned long long)config->maxmemory);
    return ROAN_OK;
}

static roan_status note_port(void *context, roan_config *config, roan_error *reterr)
{
    hook_log *log = context;
    size_t used = strlen(log->text);
    snprintf(log->text + used, sizeof log->text - used, "port=%lld ", (long long)config->port);
    if (log->fails)
        return roan_error_set(reterr, ROAN_E_SYSTEM, "127.0.0.1:1: Address already in use");
    return ROAN_OK;
}

static void hooks_run_once_and_again_when_undone(void **state)
{
    (void)state;
    hook_log log = {.fails = false};
    roan_config_hooks hooks = {
        .at = {[ROAN_APPLY_MAXMEMORY] = {note_memory, &log}, [ROAN_APPLY_LISTEN] = {note_port, &log}}};
    roan_change change = {.hooks = &hooks};
    roan_config config;
    roan_config_init(&config);

    assert_string_equal(change_with(&config, &change,
                                    (const char *const[]){"maxmemory", "5", "port", "7000", "maxmemory-policy",
                                                          "allkeys-lru", "bind", "127.0.0.1", NULL}), "OK");
    assert_string_equal(log.text, "memory=5 port=7000 ");

    log = (hook_log){.fails = false};
    assert_string_equal(change_with(&config, &change, (const char *const[]){"port", "7000", NULL}), "OK");
    assert_string_equal(log.text, ""); /* nothing changed */

    log = (hook_log){.fails = true};
    assert_string_equal(change_with(&config, &change, (const char *const[]){"maxmemory", "6", "port", "1", "timeout",
                                                                            "9", NULL}),
                        "'port' - Unable to listen on this port. Check server logs.");
    assert_string_equal(log.text, "memory=6 port=1 memory=5 ");
    assert_string_equal(change.hook_error.text, "127.0.0.1:1: Address already in use"); /* for the log */
    assert_int_equal(config.maxmemory, 5);
    assert_int_equal(config.port, 7000);
    assert_int_equal(config.timeout_s, 0);
    roan_config_done(&config);
}

/* --- files --- */

static void lines_are_split_like_the_references(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *words; /* each in brackets; NULL: unbalanced */
    } cases[] = {
        {"a b  c", "[a][b][c]"},
        {"", ""},
        {" \t ", ""},
        {"\"a b\" c", "[a b][c]"},
        {"'a b' c", "[a b][c]"},
        {"\"\\x41\\n\\\"\\q\"", "[A\n\"q]"},
        {"'it\\'s' '\\n'", "[it's][\\n]"},
        {"a\"b c\"", "[ab c]"},
        {"\"\" ''", "[][]"},
        {"\"\\xzz\"", "[xzz]"},
        {"\"a", NULL},
        {"'a", NULL},
        {"\"a\"b", NULL},
        {"\"a\\\"", NULL},
    };
    roan_config_words words = {0};
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++) {
        bool is_good = roan_config_split(roan_slice_from_text(cases[i].line), &words);
        assert_int_equal(is_good, cases[i].words != NULL);
        char shown[256] = "";
        for (size_t j = 0; is_good && j < words.count; j++) {
            size_t used = strlen(shown);
            snprintf(shown + used, sizeof shown - used, "[%.*s]", ROAN_SLICE_ARG(words.items[j]));
        }
        if (is_good)
            assert_string_equal(shown, cases[i].words);
    }
    roan_config_words_done(&words);
}

static void a_file_is_read(void **state)
{
    (void)state;
    roan_config config;
    roan_config_init(&config);
    assert_int_equal(load(&config,
                          "\xef\xbb\xbf# a comment\r\n"
                          "\r\n"
                          "   PORT 7000\r\n"
                          "bind 127.0.0.1 ::1\n"
                          "requirepass \"a b\\x41\"\n"
                          "save 900 1\n"
                          "save 300 10\n"
                          "client-output-buffer-limit \"pubsub 1 2 3\"\n"
                          "client-output-buffer-limit normal 4 5 6\n"
                          "slave-priority 5\n"
                          "list-max-ziplist-entries 512\n"
                          "daemonize yes\n"
                          "logfile ''\n"
                          "replicaof no one\n"
                          "maxmemory 100mb",
                          NULL), ROAN_OK);
    assert_int_equal(config.port, 7000);
    assert_string_equal(config.bind, "127.0.0.1 ::1");
    assert_string_equal(config.requirepass.data, "a bA");
    assert_string_equal(config.save, "900 1 300 10");
    assert_int_equal(config.output_limits[ROAN_CLIENT_PUBSUB].soft_seconds, 3);
    assert_int_equal(config.output_limits[ROAN_CLIENT_NORMAL].hard_bytes, 4);
    assert_int_equal(config.replica_priority, 5);
    assert_true(config.daemonize);
    assert_int_equal(config.maxmemory, 100 << 20);
    roan_config_done(&config);
}

static void save_lines_add_up_after_the_first(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"save 100 100\n", "100 100"},
        {"save 900 1\nsave 100 100\n", "900 1 100 100"},
        {"save 900 1\nsave ''\n", ""},
        {"save ''\nsave 900 1\n", "900 1"},
        {"save 900 1 300 10\nsave \"60 10000\"\n", "900 1 300 10 60 10000"},
    };
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++) {
        roan_config config;
        roan_config_init(&config);
        assert_int_equal(load(&config, cases[i][0], NULL), ROAN_OK);
        assert_string_equal(config.save, cases[i][1]);
        assert_string_equal(CHANGE(&config, "save", "1 1"), "OK");
        assert_string_equal(config.save, "1 1");
        roan_config_done(&config);
    }
}

static void errors_name_line_option_and_remedy(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"port 1\n\nmaxmemmory 1gb\n",
         "a.conf line 3: 'maxmemmory 1gb': unknown option; did you mean 'maxmemory'?"},
        {"something-else 1\n", "a.conf line 1: 'something-else 1': unknown option"},
        {"maxmemory lots\n",
         "a.conf line 1: 'maxmemory lots': argument must be a memory value; it takes a size such as 1048576, 100mb or "
         "2gb"},
        {"port x\n", "a.conf line 1: 'port x': argument couldn't be parsed into an integer; it takes a whole number "
                     "from 0 to 65535"},
        {"port 70000\n", "a.conf line 1: 'port 70000': argument must be between 0 and 65535 inclusive"},
        {"port\n", "a.conf line 1: 'port': wrong number of arguments; it takes a whole number from 0 to 65535"},
        {"bind\n", "a.conf line 1: 'bind': wrong number of arguments"},
        {"appendonly maybe\n", "a.conf line 1: 'appendonly maybe': argument must be 'yes' or 'no'"},
        {"appendonly yes\n", "a.conf line 1: 'appendonly yes': not available in this version: there is no append-only "
                             "file yet"},
        {"timeout \"10\n", "a.conf line 1: 'timeout \"10': unbalanced quotes"},
        {"tls-port 6380\n", "a.conf line 1: 'tls-port 6380': TLS is not available in this version"},
        {"rename-command CONFIG ''\n",
         "a.conf line 1: 'rename-command CONFIG \"\"': renaming commands is not available in this version"},
        {"user\n", "a.conf line 1: 'user': wrong number of arguments"},
        {"user a on >x ~k nosuch\n", "a.conf line 1: 'user (hidden)': rule 4: Syntax error"},
        {"user a on ( +get\n", "a.conf line 1: 'user (hidden)': rule 2: the parenthesis is not closed"},
        {"user \"a b\" on\n", "a.conf line 1: 'user (hidden)': Spaces not allowed in ACL usernames"},
        {"user a on\nuser b\nuser a off\n",
         "a.conf line 3: 'user (hidden)': Duplicate user found. A user can only be defined once in config files"},
        {"include x\n", "a.conf line 1: 'include' is not possible here"},
        {"include\n", "a.conf line 1: 'include': wrong number of arguments; it takes one path"},
        {"requirepass my secret\n", "a.conf line 1: 'requirepass (hidden)': wrong number of arguments"},
        {"reqirepass secret\n",
         "a.conf line 1: 'reqirepass (hidden)': unknown option; did you mean 'requirepass'?"},
    };
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++) {
        roan_config config;
        roan_error error;
        roan_config_init(&config);
        assert_int_not_equal(load(&config, cases[i][0], &error), ROAN_OK);
        assert_string_equal(error.text, cases[i][1]);
        roan_config_done(&config);
    }
}

static void a_zero_byte_in_a_file_is_refused(void **state)
{
    (void)state;
    roan_config config;
    roan_error error;
    roan_config_init(&config);
    roan_config_loader loader = {.config = &config};
    roan_slice text = roan_slice_make("port 1\nhz \0 2\n", 14);
    assert_int_not_equal(roan_config_load(&loader, "a.conf", text, &error), ROAN_OK);
    assert_string_equal(error.text, "a.conf line 2: a zero byte; is this a text file?");
    roan_config_done(&config);
}

/* Files by name, for include. */
static roan_status include_text(roan_config_loader *loader, roan_slice pattern, roan_error *reterr)
{
    static const char *const files[][2] = {
        {"timeout.conf", "timeout 7\n"}, {"bad.conf", "\nprot 7\n"}, {"loop.conf", "include loop.conf\n"}};
    for (size_t i = 0; i < ROAN_COUNT_OF(files); i++)
        if (roan_slice_is(pattern, files[i][0]))
            return roan_config_load(loader, files[i][0], roan_slice_from_text(files[i][1]), reterr);
    return roan_error_set(reterr, ROAN_E_NO_ENTRY, "no '%.*s'", ROAN_SLICE_ARG(pattern));
}

static void includes_are_read_in_their_place(void **state)
{
    (void)state;
    roan_config config;
    roan_error error;
    roan_config_init(&config);
    roan_config_loader loader = {.config = &config, .include = include_text};
    assert_int_equal(roan_config_load(&loader, "a", ROAN_LITERAL("timeout 1\ninclude timeout.conf\nhz 20\n"), &error),
                     ROAN_OK);
    assert_int_equal(config.timeout_s, 7);
    assert_int_equal(config.hz, 20);
    assert_int_equal(roan_config_load(&loader, "a", ROAN_LITERAL("hz 1\ninclude bad.conf\n"), &error),
                     ROAN_E_NO_ENTRY);
    assert_string_equal(error.text, "a line 2: bad.conf line 2: 'prot 7': unknown option; did you mean 'port'?");
    assert_int_not_equal(roan_config_load(&loader, "a", ROAN_LITERAL("include loop.conf\n"), &error), ROAN_OK);
    assert_int_equal(loader.depth, 0);
    roan_config_done(&config);
}

/* --- CONFIG REWRITE --- */

static char *rewritten(const roan_config *config, const char *old_text, bool is_full)
{
    roan_buffer text = {0};
    roan_config_rewrite(config, roan_slice_from_text(old_text), is_full, &text);
    char *copy = test_malloc(text.bytes + 1);
    if (text.bytes > 0)
        memcpy(copy, text.data, text.bytes);
    copy[text.bytes] = '\0';
    roan_buffer_done(&text);
    return copy;
}

static void assert_rewrite(const char *old_text, const char *const *words, const char *new_text)
{
    roan_config config;
    roan_config_init(&config);
    assert_int_equal(load(&config, old_text, NULL), ROAN_OK);
    roan_config_set_string(&config.dir, ROAN_LITERAL("."));
    if (words[0] != NULL)
        assert_string_equal(change_with(&config, &(roan_change){.allow_protected = true}, words), "OK");
    char *text = rewritten(&config, old_text, false);
    assert_string_equal(text, new_text);
    char *again = rewritten(&config, text, false);
    assert_string_equal(again, text);
    test_free(again);
    test_free(text);
    roan_config_done(&config);
}

#define ASSERT_REWRITE(old_text, new_text, ...) \
    assert_rewrite((old_text), (const char *const[]){__VA_ARGS__, NULL}, (new_text))

static void a_rewrite_keeps_what_is_still_true(void **state)
{
    (void)state;
    const char *file = "# top\n   port   6379   \n\n\n'maxmemory' \"0\"\nslave-priority 100\nsave 900 1\nsave 300 10\n"
                       "client-output-buffer-limit normal 0 0 0\nlist-max-ziplist-entries 5\n# end";
    char expected[512];
    snprintf(expected, sizeof expected, "%s\n", file);
    ASSERT_REWRITE(file, expected, NULL);
    ASSERT_REWRITE("", "", NULL);
}

static void a_rewrite_changes_what_changed(void **state)
{
    (void)state;
    ASSERT_REWRITE("# a\nmaxmemory 1gb\n# b\nhz 10\n", "# a\nmaxmemory 200mb\n# b\nhz 10\n", "maxmemory", "200mb");
    ASSERT_REWRITE("slave-priority 5\n", "replica-priority 6\n", "replica-priority", "6");
    ASSERT_REWRITE("hash-max-ziplist-entries 20\nhash-max-listpack-entries 21\n", "hash-max-listpack-entries 100\n",
                   "hash-max-ziplist-entries", "100");
    ASSERT_REWRITE("save 900 1\n# x\nsave 300 10\n", "save 5 5 6 6\n# x\n", "save", "5 5 6 6");
    ASSERT_REWRITE("save 900 1\n", "save \"\"\n", "save", "");
    ASSERT_REWRITE("requirepass a\n", "requirepass \"b \\\"c\\\"\"\n", "requirepass", "b \"c\"");
    ASSERT_REWRITE("requirepass a\n", "requirepass \"\"\n", "requirepass", "");
    ASSERT_REWRITE("requirepass \"a\\x00b\"\nhz 10\n", "requirepass \"a\\x00b\"\nhz 11\n", "hz", "11");
    ASSERT_REWRITE("client-output-buffer-limit replica 1mb 1mb 1\nhz 10\n",
                   "client-output-buffer-limit normal 1 2 3\nclient-output-buffer-limit replica 1mb 1mb 1\n"
                   "client-output-buffer-limit pubsub 32mb 8mb 60\nhz 10\n",
                   "client-output-buffer-limit", "normal 1 2 3");
}

static void a_rewrite_adds_what_is_new(void **state)
{
    (void)state;
    ASSERT_REWRITE("port 6379\n", "port 6379\n\n# Generated by CONFIG REWRITE\ntcp-keepalive 77\nmaxmemory 1gb\n",
                   "maxmemory", "1073741824", "tcp-keepalive", "77");
    ASSERT_REWRITE("# Generated by CONFIG REWRITE\ntcp-keepalive 77\n",
                   "# Generated by CONFIG REWRITE\ntcp-keepalive 77\nmaxmemory-clients 5%\n",
                   "maxmemory-clients", "5%");
    ASSERT_REWRITE("", "# Generated by CONFIG REWRITE\nclient-output-buffer-limit pubsub 1 2 3\n",
                   "client-output-buffer-limit", "pubsub 1 2 3");
}

static void a_rewrite_comments_out_what_it_does_not_know(void **state)
{
    (void)state;
    roan_config config;
    roan_config_init(&config);
    char *text = rewritten(&config, "what is this\n\v\f\ninclude x.conf\nhz \"1\nrename-command a b\nhz bad\n", false);
    assert_string_equal(text, "# ??? what is this\n\v\f\ninclude x.conf\n# ??? hz \"1\nrename-command a b\nhz 10\n");
    test_free(text);
    roan_config_done(&config);
}

static void a_rewrite_writes_the_users(void **state)
{
    (void)state;
    roan_config config;
    roan_config_init(&config);
    roan_config_set_string(&config.users, ROAN_LITERAL("a on ~\"x\" -@all\nb off resetchannels -@all (~* &* +get)\n"));
    static const char expected[] = "port 6379\nuser a on \"~\\\"x\\\"\" -@all\n"
                                   "user b off resetchannels -@all (~* &* +get)\nhz 10\n";
    char *text = rewritten(&config, "port 6379\nuser c on\nhz 10\n", false);
    assert_string_equal(text, expected);
    test_free(text);
    text = rewritten(&config, expected, false);
    assert_string_equal(text, expected);
    test_free(text);
    roan_config_set_string(&config.users, ROAN_LITERAL(""));
    text = rewritten(&config, expected, false);
    assert_string_equal(text, "port 6379\nhz 10\n");
    test_free(text);
    roan_config_done(&config);
}

static void a_full_rewrite_gives_the_same_configuration(void **state)
{
    (void)state;
    roan_config first, second;
    roan_error error;
    roan_config_init(&first);
    roan_config_init(&second);
    assert_string_equal(CHANGE(&first, "maxmemory", "123456", "requirepass", "a \"b\" \\c", "save", "1 2 3 4",
                               "notify-keyspace-events", "AKEn", "shutdown-on-sigterm", "nosave now", "hz", "77",
                               "client-output-buffer-limit", "normal 1 2 3 pubsub 4 5 6", "maxmemory-clients", "7%",
                               "latency-tracking-info-percentiles", "", "bind", ""), "OK");
    char *text = rewritten(&first, "", true);
    if (load(&second, text, &error) != ROAN_OK)
        fail_msg("%s", error.text);
    for (const roan_option *option = roan_option_next(NULL); option != NULL; option = roan_option_next(option)) {
        char shown[TEXT_MAX];
        snprintf(shown, sizeof shown, "%s", text_of(&first, option->name));
        assert_string_equal(shown, text_of(&second, option->name));
    }
    test_free(text);
    roan_config_done(&first);
    roan_config_done(&second);
}

/* --- documents --- */

static void the_sample_is_a_configuration_with_the_defaults(void **state)
{
    (void)state;
    roan_buffer sample = {0}, active = {0};
    roan_config config, defaults;
    roan_error error;
    roan_config_print_sample(&sample);
    for (size_t i = 0; i < sample.bytes; i++) { /* remove the # of lines that are settings */
        bool is_setting = sample.data[i] == '#' && (i == 0 || sample.data[i - 1] == '\n') && i + 1 < sample.bytes &&
                          sample.data[i + 1] != ' ' && sample.data[i + 1] != '\n';
        if (!is_setting)
            roan_buffer_append_char(&active, sample.data[i]);
    }
    roan_config_init(&config);
    roan_config_init(&defaults);
    roan_config_loader loader = {.config = &config};
    if (roan_config_load(&loader, "sample", roan_buffer_slice(&active), &error) != ROAN_OK)
        fail_msg("%s", error.text);
    assert_string_equal(config.bind, defaults.bind);
    assert_string_equal(config.proc_title_template, defaults.proc_title_template);
    roan_buffer reference = {0};
    roan_config_print_reference(&reference);
    assert_true(reference.bytes > 10000);
    roan_buffer_done(&reference);
    roan_buffer_done(&sample);
    roan_buffer_done(&active);
    roan_config_done(&config);
    roan_config_done(&defaults);
}

static void count_remark(void *context, const char *text)
{
    unsigned *count = context;
    assert_true(strlen(text) > 10);
    ++*count;
}

static void what_has_no_effect_is_remarked_on(void **state)
{
    (void)state;
    roan_config config;
    unsigned count = 0;
    roan_config_init(&config);
    roan_config_remarks(&config, count_remark, &count);
    assert_int_equal(count, 0);
    assert_int_equal(load(&config, "io-threads 4\nsave 900 1\nrepl-timeout 5\n", NULL), ROAN_OK);
    roan_config_remarks(&config, count_remark, &count);
    assert_int_equal(count, 2); /* io-threads, and one for all that is kept */
    roan_config_done(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_is_what_the_row_says),
        cmocka_unit_test(every_row_is_sound),
        cmocka_unit_test(what_is_printed_can_be_set_again),
        cmocka_unit_test(names_and_defaults_are_the_references),
        cmocka_unit_test(a_copy_shares_nothing),
        cmocka_unit_test(values_and_errors_are_the_references),
        cmocka_unit_test(a_zero_byte_is_refused),
        cmocka_unit_test(a_password_may_have_zero_bytes),
        cmocka_unit_test(a_share_of_maxmemory_is_worked_out),
        cmocka_unit_test(misspelt_names_are_guessed),
        cmocka_unit_test(a_change_is_whole_or_nothing),
        cmocka_unit_test(errors_name_what_the_client_wrote),
        cmocka_unit_test(protected_and_loading_are_refused),
        cmocka_unit_test(hooks_run_once_and_again_when_undone),
        cmocka_unit_test(lines_are_split_like_the_references),
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(save_lines_add_up_after_the_first),
        cmocka_unit_test(errors_name_line_option_and_remedy),
        cmocka_unit_test(a_zero_byte_in_a_file_is_refused),
        cmocka_unit_test(includes_are_read_in_their_place),
        cmocka_unit_test(a_rewrite_keeps_what_is_still_true),
        cmocka_unit_test(a_rewrite_changes_what_changed),
        cmocka_unit_test(a_rewrite_adds_what_is_new),
        cmocka_unit_test(a_rewrite_comments_out_what_it_does_not_know),
        cmocka_unit_test(a_rewrite_writes_the_users),
        cmocka_unit_test(a_full_rewrite_gives_the_same_configuration),
        cmocka_unit_test(the_sample_is_a_configuration_with_the_defaults),
        cmocka_unit_test(what_has_no_effect_is_remarked_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
