/* test_client_options.c: what a URI and roan_options together make of a handle: the grammar of the URI, bounds and
 * defaults of every option, structs of other sizes, running out of memory, and that no secret gets into an error's text
 * or stays in memory that was given back. malloc, calloc and free are wrapped by the linker for the last two.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/options.h"
#include "roan/transport.h"

/* ---- wrapped by the linker ---- */

static volatile int allocations_until_failure = -1; /* -1: none fails */
static const char *volatile secret; /* must not be in what is freed */
static volatile int secrets_freed, blocks_in_use; /* the compiler thinks that it knows what malloc and free do */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void __real_free(void *memory);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void __wrap_free(void *memory);

static bool is_refused(void)
{
    return allocations_until_failure >= 0 && allocations_until_failure-- == 0;
}

void *__wrap_malloc(size_t bytes)
{
    void *memory = is_refused() ? NULL : __real_malloc(bytes);
    blocks_in_use += memory != NULL;
    return memory;
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    void *memory = is_refused() ? NULL : __real_calloc(count, bytes);
    blocks_in_use += memory != NULL;
    return memory;
}

void __wrap_free(void *memory)
{
    if (memory != NULL && secret != NULL && memmem(memory, malloc_usable_size(memory), secret, strlen(secret)) != NULL)
        secrets_freed++;
    blocks_in_use -= memory != NULL;
    __real_free(memory);
}

/* ---- helpers ---- */

static roan_settings *make(const char *uri, const roan_options *options)
{
    roan_settings *settings = NULL;
    roan_error error = {.text = ""};
    roan_status status = roan_settings_create(&settings, uri, options, &error);
    if (status != ROAN_OK)
        fail_msg("%s: %s", uri, error.text);
    assert_non_null(settings);
    return settings;
}

/* The URI, or the options, are refused with `code` and a text that holds `words`. */
static void refuse_both(const char *uri, const roan_options *options, roan_status code, const char *words)
{
    roan_settings *settings = NULL;
    roan_error error = {.text = ""};
    roan_status status = roan_settings_create(&settings, uri, options, &error);
    if (status != code || error.code != code || strstr(error.text, words) == NULL)
        fail_msg("%s: %s '%s', expected %s '%s'", uri, roan_status_name(status), error.text, roan_status_name(code),
                 words);
    assert_null(settings);
}

static void refuse(const char *uri, const char *words)
{
    refuse_both(uri, NULL, ROAN_E_CONFIG, words);
}

static void refuse_options(const roan_options *options, const char *words)
{
    refuse_both("redis://h", options, ROAN_E_CONFIG, words);
}

static void same_text(const char *uri, const char *what, const char *found, const char *expected)
{
    if (found == NULL ? expected != NULL : expected == NULL || strcmp(found, expected) != 0)
        fail_msg("%s: %s is '%s', expected '%s'", uri, what, found != NULL ? found : "(none)",
                 expected != NULL ? expected : "(none)");
}

/* ---- the URI ---- */

static void test_places(void **state)
{
    static const struct {
        const char *uri;
        roan_address_kind kind;
        const char *host, *path;
        unsigned port;
        int database;
        const char *username, *password, *node;
    } rows[] = {
        {"redis://", ROAN_ADDRESS_TCP, "localhost", NULL, 6379, 0, NULL, NULL, "localhost:6379"},
        {"redis:///", ROAN_ADDRESS_TCP, "localhost", NULL, 6379, 0, NULL, NULL, "localhost:6379"},
        {"redis:///3", ROAN_ADDRESS_TCP, "localhost", NULL, 6379, 3, NULL, NULL, "localhost:6379"},
        {"redis://:7000", ROAN_ADDRESS_TCP, "localhost", NULL, 7000, 0, NULL, NULL, "localhost:7000"},
        {"valkey://h", ROAN_ADDRESS_TCP, "h", NULL, 6379, 0, NULL, NULL, "h:6379"},
        {"roan://h:1", ROAN_ADDRESS_TCP, "h", NULL, 1, 0, NULL, NULL, "h:1"},
        {"REDIS://H.example:65535/", ROAN_ADDRESS_TCP, "H.example", NULL, 65535, 0, NULL, NULL, "H.example:65535"},
        {"redis://127.0.0.1:6380/15", ROAN_ADDRESS_TCP, "127.0.0.1", NULL, 6380, 15, NULL, NULL, "127.0.0.1:6380"},
        {"redis://a_b-c.d/0", ROAN_ADDRESS_TCP, "a_b-c.d", NULL, 6379, 0, NULL, NULL, "a_b-c.d:6379"},
        {"redis://[::1]", ROAN_ADDRESS_TCP, "::1", NULL, 6379, 0, NULL, NULL, "[::1]:6379"},
        {"redis://[::1]:7/2?db_=", ROAN_ADDRESS_TCP, NULL, NULL, 0, 0, NULL, NULL, NULL},
        {"redis://u:p@[2001:db8::1]:7/2", ROAN_ADDRESS_TCP, "2001:db8::1", NULL, 7, 2, "u", "p", "[2001:db8::1]:7"},
        {"redis://[fe80::1%25eth0]:7", ROAN_ADDRESS_TCP, "fe80::1%eth0", NULL, 7, 0, NULL, NULL, "[fe80::1%eth0]:7"},
        {"redis://[::ffff:1.2.3.4]", ROAN_ADDRESS_TCP, "::ffff:1.2.3.4", NULL, 6379, 0, NULL, NULL,
         "[::ffff:1.2.3.4]:6379"},
        {"redis://u@h", ROAN_ADDRESS_TCP, "h", NULL, 6379, 0, "u", "", "h:6379"},
        {"redis://u:@h", ROAN_ADDRESS_TCP, "h", NULL, 6379, 0, "u", "", "h:6379"},
        {"redis://:p@h", ROAN_ADDRESS_TCP, "h", NULL, 6379, 0, NULL, "p", "h:6379"},
        {"redis://:@h", ROAN_ADDRESS_TCP, "h", NULL, 6379, 0, NULL, NULL, "h:6379"},
        {"redis://@h", ROAN_ADDRESS_TCP, "h", NULL, 6379, 0, NULL, NULL, "h:6379"},
        {"redis://u:p@", ROAN_ADDRESS_TCP, "localhost", NULL, 6379, 0, "u", "p", "localhost:6379"},
        {"redis://u%40x:p%3A%2F%3f%25+@h", ROAN_ADDRESS_TCP, "h", NULL, 6379, 0, "u@x", "p:/?%+", "h:6379"},
        {"redis://u:a:b@c@h:8/1", ROAN_ADDRESS_TCP, "h", NULL, 8, 1, "u", "a:b@c", "h:8"},
        {"redis://u:\xc3\xa4%C3%A4@h", ROAN_ADDRESS_TCP, "h", NULL, 6379, 0, "u", "\xc3\xa4\xc3\xa4", "h:6379"},
        {"redis://h?", ROAN_ADDRESS_TCP, "h", NULL, 6379, 0, NULL, NULL, "h:6379"},
        {"redis://h?db=4", ROAN_ADDRESS_TCP, "h", NULL, 6379, 4, NULL, NULL, "h:6379"},
        {"redis://h/?database=5", ROAN_ADDRESS_TCP, "h", NULL, 6379, 5, NULL, NULL, "h:6379"},
        {"redis://h?username=a%26b&password=c+d=e%20", ROAN_ADDRESS_TCP, "h", NULL, 6379, 0, "a&b", "c+d=e ", "h:6379"},
        {"redis://u@h?password=p@q", ROAN_ADDRESS_TCP, "h", NULL, 6379, 0, "u", "p@q", "h:6379"},
        {"unix:///run/r.sock", ROAN_ADDRESS_UNIX, NULL, "/run/r.sock", 0, 0, NULL, NULL, "/run/r.sock"},
        {"unix:///run/r.sock?db=1", ROAN_ADDRESS_UNIX, NULL, "/run/r.sock", 0, 1, NULL, NULL, "/run/r.sock"},
        {"redis+unix:///a%20b/%3F?db=2", ROAN_ADDRESS_UNIX, NULL, "/a b/?", 0, 2, NULL, NULL, "/a b/?"},
        {"unix://%40roan?db=3", ROAN_ADDRESS_UNIX, NULL, "@roan", 0, 3, NULL, NULL, "@roan"},
        {"unix://%2Fa", ROAN_ADDRESS_UNIX, NULL, "/a", 0, 0, NULL, NULL, "/a"},
        {"valkey+unix://u:p@/a", ROAN_ADDRESS_UNIX, NULL, "/a", 0, 0, "u", "p", "/a"},
        {"roan+unix:///a@b", ROAN_ADDRESS_UNIX, NULL, "/a@b", 0, 0, NULL, NULL, "/a@b"},
        {"embedded://", ROAN_ADDRESS_EMBEDDED, NULL, "", 0, 0, NULL, NULL, "embedded://"},
        {"embedded:///7?", ROAN_ADDRESS_EMBEDDED, NULL, "", 0, 7, NULL, NULL, "embedded://"},
        {"embedded://main", ROAN_ADDRESS_EMBEDDED, NULL, "main", 0, 0, NULL, NULL, "embedded://main"},
        {"embedded://u:p@main/3?client_name=x", ROAN_ADDRESS_EMBEDDED, NULL, "main", 0, 3, "u", "p",
         "embedded://main"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *uri = rows[i].uri;
        if (rows[i].node == NULL) {
            refuse(uri, "there is no option 'db_'");
            continue;
        }
        roan_settings *settings = make(uri, NULL);
        assert_int_equal(settings->kind, rows[i].kind);
        same_text(uri, "host", settings->host, rows[i].host);
        same_text(uri, "path", settings->path, rows[i].path);
        same_text(uri, "node", settings->node, rows[i].node);
        same_text(uri, "username", settings->options.username, rows[i].username);
        same_text(uri, "password", settings->options.password, rows[i].password);
        assert_int_equal(settings->port, rows[i].port);
        assert_int_equal(settings->options.database, rows[i].database);
        settings = roan_settings_free(settings);
        assert_null(settings);
    }
}

static void test_bad_uris(void **state)
{
    static const char *const rows[][2] = {
        {"", "is empty"},
        {"localhost", "no scheme"},
        {"localhost:6379", "no scheme"},
        {"//h", "no scheme"},
        {"://h", "no scheme"},
        {"redis:/h", "no scheme"},
        {"redis+cluster//h", "no scheme"},
        {"http://h", "the scheme http:// is not known"},
        {"redis+tcp://h", "the scheme redis+tcp:// is not known"},
        {"averyveryverylongscheme://h", "no scheme"},
        {"redis://h h", "blank"},
        {"redis://h\n", "control character"},
        {"redis://h\x7f", "control character"},
        {"redis://h#x", "fragment"},
        {"redis://:p#w@h", "%23"},
        {"redis://h?client_name=a#b", "fragment"},
        {"redis://a%zz@h", "the user: a % without"},
        {"redis://u:a%4@h", "the password: a % without"},
        {"redis://u:%@h", "the password: a % without"},
        {"redis://u:a%00b@h", "the password: holds a NUL"},
        {"redis://%00@h", "the user: holds a NUL"},
        {"redis://h:", "port"},
        {"redis://h:0", "port"},
        {"redis://h:65536", "port"},
        {"redis://h:99999999999999999999", "port"},
        {"redis://h:+1", "port"},
        {"redis://h:01", "port"},
        {"redis://h:1x", "port"},
        {"redis://::1", "brackets"},
        {"redis://2001:db8::1:6379", "brackets"},
        {"redis://h%41", "host"},
        {"redis://h\xc3\xa4", "host"},
        {"redis://h$", "host"},
        {"redis://[::1", "']'"},
        {"redis://[::1/]", "']'"},
        {"redis://[]", "not an IPv6 address"},
        {"redis://[h]", "not an IPv6 address"},
        {"redis://[1.2.3.4]", "not an IPv6 address"},
        {"redis://[::1%25]", "not an IPv6 address"},
        {"redis://[::1%25a b]", "blank"},
        {"redis://[::1%25a%20b]", "not an IPv6 address"},
        {"redis://[::1%eth0]", "without two hexadecimal"},
        {"redis://[::1]x", "behind the ']'"},
        {"redis://[::1]6379", "behind the ']'"},
        {"redis://h/x", "path"},
        {"redis://h/-1", "path"},
        {"redis://h/1/", "path"},
        {"redis://h/1/2", "path"},
        {"redis://h/01", "database must be"},
        {"redis://h/2147483648", "database must be"},
        {"redis://h/1?db=1", "database is given twice"},
        {"redis://h?db=1&database=1", "database is given twice"},
        {"redis://u@h?username=u", "username is given twice"},
        {"redis://h?client_name=a&client_name=a", "client_name is given twice"},
        {"redis://h?nonsense=1", "there is no option 'nonsense'"},
        {"redis://h?Database=1", "there is no option 'Database'"},
        {"redis://h?size=1", "there is no option 'size'"},
        {"redis://h?hooks=1", "there is no option 'hooks'"},
        {"redis://h?db", "name=value"},
        {"redis://h?=1", "name=value"},
        {"redis://h?&db=1", "name=value"},
        {"redis://h?db=1&", "name=value"},
        {"redis://h?db=1&&drive=auto", "name=value"},
        {"redis://h?db=%", "the query"},
        {"redis://h?db=%0", "the query"},
        {"redis://h?client_name=%00", "the query: holds a NUL"},
        {"redis://h?d%00b=1", "the query: holds a NUL"},
        {"redis://h?db=", "database must be 0 or more"},
        {"redis://h?db=1.5", "database must be"},
        {"redis://h?db=-1", "database must be"},
        {"redis://h?request_timeout_ms=0", "request_timeout_ms must be 1 or more; -1: no deadline"},
        {"redis://h?request_timeout_ms=-2", "request_timeout_ms must be"},
        {"redis://h?request_timeout_ms=5s", "request_timeout_ms must be"},
        {"redis://h?request_timeout_ms=99999999999", "request_timeout_ms must be"},
        {"redis://h?queue_bytes_max=9223372036854775808", "queue_bytes_max must be"},
        {"redis://h?connect_timeout_ms=-1", "connect_timeout_ms must be 1 or more"},
        {"redis://h?reconnect=0", "reconnect must be 1; -1:"},
        {"redis://h?protocol=0", "protocol must be 2 to 3"},
        {"redis://h?protocol=4", "protocol must be 2 to 3"},
        {"redis://h?drive=fast", "drive must be one of auto, thread, loop"},
        {"redis://h?drive=", "drive must be one of"},
        {"redis://h?late=AUTO", "late must be one of auto, reset, abandon"},
        {"redis://h?on_dirty=1", "on_dirty must be one of destroy, cleanup"},
        {"redis://h?client_name=a%20b", "client_name must consist of"},
        {"redis://h?client_name=%C3%A4", "client_name must consist of"},
        {"redis://h?backoff_first_ms=60001", "backoff_first_ms is above backoff_max_ms (60000)"},
        {"redis://h?leases_min=17", "leases_min is above leases_max (16)"},
        {"redis://h?leases_max=65536", "leases_max must be 1 to 65535"},
        {"unix://", "unix:///run"},
        {"unix://run/x", "unix:///run"},
        {"unix://localhost/x", "unix:///run"},
        {"unix://@name", "unix:///run"},
        {"unix://%40", "missing"},
        {"unix:///", "missing"},
        {"unix:////", "missing"},
        {"unix:///a%00", "the path: holds a NUL"},
        {"unix:///a?path=x", "there is no option 'path'"},
        {"embedded:///x", "path"},
        {"embedded://a:1", "the name of an embedded server"},
        {"embedded://a/b", "path"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        refuse(rows[i][0], rows[i][1]);
    refuse(NULL, "there is none");
}

static void test_what_is_not_built_in(void **state)
{
    static const char *const rows[][2] = {
        {"rediss://h", "rediss://: TLS is not built in yet"},
        {"valkeys://h", "valkeys://: TLS is not built in yet"},
        {"roans://h", "TLS"},
        {"rediss+cluster://h", "rediss+cluster://: TLS"},
        {"valkeys+unix:///h", "TLS"},
        {"redis+cluster://a,b", "redis+cluster://: cluster routing is not built in yet"},
        {"valkey+cluster://a", "cluster"},
        {"redis+sentinel://a/main", "Sentinel"},
        {"redis://a:1,b:2", "several hosts"},
        {"redis://a,b", "several hosts"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        refuse_both(rows[i][0], NULL, ROAN_E_UNSUPPORTED, rows[i][1]);
}

static void test_long_uris(void **state)
{
    size_t room = ROAN_URI_BYTES_MAX + 2;
    char *uri = malloc(room);
    (void)state;
    memset(uri, 'a', room);
    memcpy(uri, "redis://:", 9);
    memcpy(uri + ROAN_URI_BYTES_MAX - 2, "@h", 3);
    roan_settings *settings = make(uri, NULL);
    assert_int_equal(strlen(settings->options.password), ROAN_URI_BYTES_MAX - 11);
    roan_settings_free(settings);

    uri[ROAN_URI_BYTES_MAX - 2] = 'a';
    memcpy(uri + ROAN_URI_BYTES_MAX - 1, "@h", 3);
    refuse(uri, "longer than 64 KiB");

    memset(uri, 'a', room);
    memcpy(uri, "redis://", 8);
    uri[8 + ROAN_URI_HOST_BYTES_MAX] = '\0';
    settings = make(uri, NULL);
    assert_int_equal(strlen(settings->node), ROAN_NODE_MAX - (int)sizeof "embedded://" + 5); /* cut, with its port */
    assert_string_equal(settings->node + strlen(settings->node) - 5, ":6379");
    roan_settings_free(settings);
    uri[8 + ROAN_URI_HOST_BYTES_MAX] = 'a';
    uri[9 + ROAN_URI_HOST_BYTES_MAX] = '\0';
    refuse(uri, "too long");

    memset(uri, 'a', room);
    memcpy(uri, "redis://[::1%25", 15);
    memcpy(uri + 11 + ROAN_URI_HOST_BYTES_MAX, "]", 2);
    settings = make(uri, NULL);
    assert_int_equal(strlen(settings->host), ROAN_URI_HOST_BYTES_MAX);
    roan_settings_free(settings);
    memcpy(uri + 11 + ROAN_URI_HOST_BYTES_MAX, "a]", 3);
    refuse(uri, "too long");

    memset(uri, 'a', room);
    memcpy(uri, "unix:///", 8);
    uri[7 + ROAN_URI_PATH_BYTES_MAX] = '\0';
    roan_settings_free(make(uri, NULL));
    uri[7 + ROAN_URI_PATH_BYTES_MAX] = 'a';
    uri[8 + ROAN_URI_PATH_BYTES_MAX] = '\0';
    refuse(uri, "longer than the address");

    uri[0] = '\0';
    strcat(uri, "redis://h?a=1");
    for (int i = 0; i < ROAN_URI_PAIRS_MAX; i++)
        strcat(uri, "&a=1");
    refuse(uri, "too many options");
    free(uri);
}

static void test_uri_bytes_may_be_anything(void **state)
{
    roan_uri uri;
    roan_error error;
    (void)state;
    assert_int_equal(roan_uri_parse(roan_slice_make("redis://h\0x", 11), &uri, &error), ROAN_E_CONFIG);
    assert_non_null(strstr(error.text, "NUL"));
    assert_null(uri.storage);
    assert_int_equal(roan_uri_parse(roan_slice_make(NULL, 0), &uri, NULL), ROAN_E_CONFIG);
    roan_uri_done(&uri);
}

/* What stands in a text that no error may show. */
static void test_errors_hold_no_secret(void **state)
{
    static const char *const rows[] = {
        "hunter2hunter2",
        "hunter2hunter2@h",
        "u:hunter2hunter2@h",
        "redis:u:hunter2hunter2@h",
        "u:hunter2hunter2@h://",
        "redis://u:hunter2hunter2%zz@h",
        "redis://u:hunter2hunter2@h:x",
        "redis://u:hunter2hunter2@h/x",
        "redis://u:hunter2hunter2@h?x=1",
        "redis://u:1/hunter2hunter2@h",
        "redis://u:/hunter2hunter2@h",
        "redis://u:1?hunter2hunter2@h",
        "redis://u:1?hunter2hunter2=1@h",
        "redis://u:1?hunter2hunter2=1&db=1@h",
        "redis://u:1?db=hunter2hunter2@h",
        "redis://u:1#hunter2hunter2@h",
        "redis://u:1[hunter2hunter2@h#",
        "redis://[hunter2hunter2",
        "redis://[hunter2hunter2]",
        "redis://h?password=hunter2hunter2&password=hunter2hunter2",
        "redis://h?password=hunter2hunter2&db=hunter2hunter2",
        "redis://h?password=hunter2hunter2&client_name=hunter2%20hunter2hunter2",
        "redis://h?hunter2hunter2!=1",
        "rediss://u:hunter2hunter2@h",
        "unix://u:hunter2hunter2@h/x",
        "unix://u:p@hunter2hunter2",
        "embedded://u:hunter2hunter2@!",
        "redis://u:hunter2hunter2@h,i",
        "redis://u:hunter2hunter2@h i",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        roan_settings *settings = NULL;
        roan_error error = {.text = ""};
        assert_int_not_equal(roan_settings_create(&settings, rows[i], NULL, &error), ROAN_OK);
        if (error.text[0] == '\0' || strstr(error.text, "hunter2") != NULL)
            fail_msg("%s: %s", rows[i], error.text);
    }
}

/* ---- the options ---- */

static int64_t number_of(const roan_options *options, const roan_setting *row)
{
    int64_t wide;
    int narrow;
    if (row->kind == ROAN_SETTING_INT64) {
        memcpy(&wide, (const char *)options + row->offset, sizeof wide);
        return wide;
    }
    memcpy(&narrow, (const char *)options + row->offset, sizeof narrow);
    return narrow;
}

static void put_number(roan_options *options, const roan_setting *row, int64_t value)
{
    int narrow = (int)value;
    if (row->kind == ROAN_SETTING_INT64)
        memcpy((char *)options + row->offset, &value, sizeof value);
    else
        memcpy((char *)options + row->offset, &narrow, sizeof narrow);
}

static bool is_number(const roan_setting *row)
{
    return row->kind == ROAN_SETTING_INT || row->kind == ROAN_SETTING_INT64;
}

/* Between the size and the first callback there is a row for every byte that is not padding. */
static void test_every_field_is_a_row(void **state)
{
    size_t at = sizeof(size_t);
    (void)state;
    for (unsigned i = 0; i < roan_setting_count; i++) {
        const roan_setting *row = &roan_setting_rows[i];
        size_t alignment = row->bytes > sizeof(void *) ? sizeof(void *) : row->bytes;
        assert_int_equal(row->offset, (at + alignment - 1) / alignment * alignment);
        at = row->offset + row->bytes;
        assert_ptr_equal(roan_setting_find(row->name), row);
        assert_true(row->text != NULL && strlen(row->text) > 10);
        assert_true(!row->may_be_none || row->none_text != NULL);
        assert_true(is_number(row) ? row->min <= row->max : true);
    }
    assert_int_equal((at + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *), offsetof(roan_options, retry));
    assert_string_equal(roan_setting_rows[0].name, "username");
    assert_null(roan_setting_find(""));
    assert_null(roan_setting_find("retry"));
}

static void test_defaults(void **state)
{
    roan_settings *settings = make("redis://h", NULL);
    const roan_options *options = &settings->options;
    (void)state;
    assert_int_equal(options->size, sizeof *options);
    assert_null(options->username);
    assert_null(options->password);
    assert_null(options->client_name);
    assert_null(options->key_prefix.data);
    assert_int_equal(options->key_prefix.bytes, 0);
    assert_int_equal(options->database, 0);
    assert_int_equal(options->protocol, 0);
    assert_int_equal(options->drive, ROAN_DRIVE_AUTO);
    assert_int_equal(options->connect_timeout_ms, 10000);
    assert_int_equal(options->request_timeout_ms, 5000);
    assert_int_equal(options->silence_timeout_ms, 30000);
    assert_int_equal(options->write_timeout_ms, 30000);
    assert_int_equal(options->blocking_grace_ms, 2000);
    assert_int_equal(options->late, ROAN_LATE_AUTO);
    assert_int_equal(options->reconnect, 1);
    assert_int_equal(options->backoff_first_ms, 100);
    assert_int_equal(options->backoff_max_ms, 60000);
    assert_int_equal(options->backoff_jitter_percent, 25);
    assert_int_equal(options->queue_commands_max, 1000);
    assert_int_equal(options->queue_bytes_max, 64 << 20);
    assert_int_equal(options->reply_bytes_max, -1);
    assert_int_equal(options->retries_max, 3);
    assert_int_equal(options->leases_min, 0);
    assert_int_equal(options->leases_max, 16);
    assert_int_equal(options->lease_idle_ms, 60000);
    assert_int_equal(options->lease_timeout_ms, 5000);
    assert_int_equal(options->lease_check_idle_ms, 5000);
    assert_int_equal(options->on_dirty, ROAN_ON_DIRTY_DESTROY);
    assert_null(options->retry);
    assert_null(options->credentials);
    assert_null(options->transport);
    assert_ptr_equal(options->hooks, &settings->hooks);
    assert_int_equal(settings->hooks.size, sizeof settings->hooks);
    assert_null(settings->hooks.on_event);
    roan_settings_free(settings);
    assert_null(roan_settings_free(NULL));
}

static roan_status give_credentials(void *argument, const char *node, const char **ret_username,
                                    const char **ret_password)
{
    (void)argument, (void)node, (void)ret_username, (void)ret_password;
    return ROAN_OK;
}

static int wait_before_retry(void *argument, unsigned attempt, const roan_failure *failure, const char *command)
{
    (void)argument, (void)attempt, (void)failure, (void)command;
    return -1;
}

static void hear_line(void *argument, int level, const char *line)
{
    (void)argument, (void)level, (void)line;
}

static void test_texts_and_callbacks_are_copied(void **state)
{
    int here;
    char username[] = "u", password[] = "p", name[] = "shop", prefix[] = {'a', '\0', ':'};
    roan_hooks hooks = {.size = sizeof hooks, .argument = &here, .on_log = hear_line};
    roan_settings *settings = make("redis://h", ROAN_OPTIONS(.username = username, .password = password,
                                                             .client_name = name, .key_prefix = {prefix, 3},
                                                             .retry = wait_before_retry, .retry_argument = &here,
                                                             .credentials = give_credentials,
                                                             .credentials_argument = &here, .hooks = &hooks));
    (void)state;
    memset(username, 'x', sizeof username - 1);
    memset(password, 'x', sizeof password - 1);
    memset(name, 'x', sizeof name - 1);
    memset(prefix, 'x', sizeof prefix);
    memset(&hooks, 0, sizeof hooks);
    assert_string_equal(settings->options.username, "u");
    assert_string_equal(settings->options.password, "p");
    assert_string_equal(settings->options.client_name, "shop");
    assert_int_equal(settings->options.key_prefix.bytes, 3);
    assert_memory_equal(settings->options.key_prefix.data, "a\0:", 3);
    assert_ptr_equal(settings->options.retry, wait_before_retry);
    assert_ptr_equal(settings->options.retry_argument, &here);
    assert_ptr_equal(settings->options.credentials, give_credentials);
    assert_ptr_equal(settings->options.credentials_argument, &here);
    assert_ptr_equal(settings->options.hooks->argument, &here);
    assert_ptr_equal(settings->options.hooks->on_log, hear_line);
    assert_null(settings->options.hooks->on_end);
    roan_settings_free(settings);
}

static void test_uri_wins(void **state)
{
    roan_settings *settings = make(
        "redis://b:q@h/3?client_name=two&request_timeout_ms=-1&drive=loop&key_prefix=x%3A&queue_bytes_max=1",
        ROAN_OPTIONS(.username = "a", .password = "p", .client_name = "one", .database = 1, .request_timeout_ms = 9,
                     .drive = ROAN_DRIVE_THREAD, .key_prefix = ROAN_LITERAL("long:"), .late = ROAN_LATE_RESET));
    (void)state;
    assert_string_equal(settings->options.username, "b");
    assert_string_equal(settings->options.password, "q");
    assert_string_equal(settings->options.client_name, "two");
    assert_int_equal(settings->options.database, 3);
    assert_int_equal(settings->options.request_timeout_ms, -1);
    assert_int_equal(settings->options.drive, ROAN_DRIVE_LOOP);
    assert_int_equal(settings->options.key_prefix.bytes, 2);
    assert_string_equal(settings->options.key_prefix.data, "x:");
    assert_int_equal(settings->options.queue_bytes_max, 1);
    assert_int_equal(settings->options.late, ROAN_LATE_RESET);
    roan_settings_free(settings);

    settings = make("redis://b@h?client_name=&key_prefix=",
                    ROAN_OPTIONS(.password = "p", .client_name = "one", .key_prefix = ROAN_LITERAL("x")));
    assert_string_equal(settings->options.username, "b");
    assert_string_equal(settings->options.password, "p");
    assert_null(settings->options.client_name);
    assert_null(settings->options.key_prefix.data);
    roan_settings_free(settings);

    settings = make("redis://b:@h", ROAN_OPTIONS(.username = "a", .password = "p"));
    assert_string_equal(settings->options.username, "b");
    assert_string_equal(settings->options.password, "");
    roan_settings_free(settings);
}

/* Both ways in, both ends of every range, and one step beyond. Ends that another option forbids move that option. */
static void try_number(const roan_setting *row, int64_t value, bool is_good)
{
    roan_options options = {.size = sizeof options, .backoff_max_ms = INT32_MAX, .leases_max = 65535};
    char uri[200];
    bool is_backoff_max = row->offset == offsetof(roan_options, backoff_max_ms);
    options.backoff_first_ms = is_backoff_max ? 1 : 0;
    snprintf(uri, sizeof uri, "redis://h?%s=%lld", row->name, (long long)value);
    if (is_good) {
        roan_settings *settings = make(uri, &options);
        assert_int_equal(number_of(&settings->options, row), value);
        roan_settings_free(settings);
    } else {
        refuse_both(uri, &options, ROAN_E_CONFIG, row->name);
    }
    if (value == 0 || (row->kind == ROAN_SETTING_INT && value != (int)value))
        return;
    put_number(&options, row, value);
    if (is_good) {
        roan_settings *settings = make("redis://h", &options);
        assert_int_equal(number_of(&settings->options, row), value);
        roan_settings_free(settings);
    } else {
        refuse_options(&options, row->name);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    for (unsigned i = 0; i < roan_setting_count; i++) {
        const roan_setting *row = &roan_setting_rows[i];
        if (!is_number(row))
            continue;
        try_number(row, row->min, true);
        try_number(row, row->max, true);
        try_number(row, -1, row->may_be_none);
        try_number(row, -2, false);
        if (row->min > 1)
            try_number(row, row->min - 1, false);
        if (row->max < INT64_MAX)
            try_number(row, row->max + 1, false);
    }
}

static void test_choices(void **state)
{
    roan_options options = {.size = sizeof options};
    char uri[100];
    (void)state;
    for (unsigned i = 0; i < roan_setting_count; i++) {
        const roan_setting *row = &roan_setting_rows[i];
        if (row->kind != ROAN_SETTING_CHOICE)
            continue;
        int64_t count = 0;
        for (; row->choices[count] != NULL; count++) {
            snprintf(uri, sizeof uri, "redis://h?%s=%s", row->name, row->choices[count]);
            roan_settings *settings = make(uri, NULL);
            assert_int_equal(number_of(&settings->options, row), count);
            roan_settings_free(settings);
        }
        put_number(&options, row, count);
        refuse_options(&options, row->name);
        put_number(&options, row, -1);
        refuse_options(&options, row->name);
        put_number(&options, row, 0);
    }
    assert_string_equal(roan_setting_find("drive")->choices[ROAN_DRIVE_LOOP], "loop");
    assert_string_equal(roan_setting_find("late")->choices[ROAN_LATE_ABANDON], "abandon");
    assert_string_equal(roan_setting_find("on_dirty")->choices[ROAN_ON_DIRTY_CLEANUP], "cleanup");
}

static void test_bad_options(void **state)
{
    char *text = malloc(ROAN_URI_BYTES_MAX + 2);
    (void)state;
    memset(text, 'x', ROAN_URI_BYTES_MAX + 1);
    text[ROAN_URI_BYTES_MAX + 1] = '\0';
    refuse_options(ROAN_OPTIONS(.password = text), "password is longer than 65536 bytes");
    refuse_options(ROAN_OPTIONS(.key_prefix = {text, ROAN_URI_BYTES_MAX + 1}), "key_prefix is longer");
    text[ROAN_URI_BYTES_MAX] = '\0';
    roan_settings_free(make("redis://h", ROAN_OPTIONS(.password = text)));
    free(text);
    refuse_options(ROAN_OPTIONS(.key_prefix = {NULL, 1}), "key_prefix has a length");
    refuse_options(ROAN_OPTIONS(.client_name = "a b"), "client_name must");
    refuse_options(ROAN_OPTIONS(.backoff_first_ms = 10, .backoff_max_ms = 9), "above backoff_max_ms (9)");
    refuse_options(ROAN_OPTIONS(.leases_min = 2, .leases_max = 1), "above leases_max (1)");
}

/* ---- structs of other versions ---- */

static void test_older_and_newer_structs(void **state)
{
    struct {
        roan_options options;
        char tail[64];
    } newer = {.options = {.size = sizeof newer, .database = 4}};
    roan_options older = {.size = offsetof(roan_options, client_name), .username = "u", .client_name = "not there",
                          .database = 7, .hooks = (const roan_hooks *)1};
    roan_settings *settings = make("redis://h", &newer.options);
    (void)state;
    assert_int_equal(settings->options.database, 4);
    assert_int_equal(settings->options.size, sizeof settings->options);
    roan_settings_free(settings);
    newer.tail[sizeof newer.tail - 1] = 1;
    refuse_options(&newer.options, "newer version");
    newer.options.size = sizeof newer - 1;
    settings = make("redis://h", &newer.options);
    roan_settings_free(settings);

    settings = make("redis://h", &older);
    assert_string_equal(settings->options.username, "u");
    assert_null(settings->options.client_name);
    assert_int_equal(settings->options.database, 0);
    assert_int_equal(settings->options.request_timeout_ms, 5000);
    assert_ptr_equal(settings->options.hooks, &settings->hooks);
    roan_settings_free(settings);
    older.size = sizeof(size_t); /* nothing but the size */
    settings = make("redis://h", &older);
    assert_null(settings->options.username);
    roan_settings_free(settings);

    for (size_t size = sizeof(size_t); size <= sizeof older; size++) { /* never more than it says */
        char *exact = malloc(size);
        roan_options whole = {.size = size, .database = 3};
        memcpy(exact, &whole, size);
        roan_settings_free(make("redis://h", (const roan_options *)(const void *)exact));
        free(exact);
    }
    older.size = 0;
    refuse_options(&older, "options: size is not set");
    older.size = 1 << 20;
    refuse_options(&older, "options: size is not set");
}

static void test_hooks_of_other_versions(void **state)
{
    struct {
        roan_hooks hooks;
        void *tail;
    } newer = {.hooks = {.size = sizeof newer, .on_log = hear_line}};
    roan_hooks older = {.size = offsetof(roan_hooks, on_log), .on_log = hear_line, .argument = &newer};
    roan_settings *settings = make("redis://h", ROAN_OPTIONS(.hooks = &newer.hooks));
    (void)state;
    assert_ptr_equal(settings->hooks.on_log, hear_line);
    roan_settings_free(settings);
    newer.tail = &newer;
    refuse_options(ROAN_OPTIONS(.hooks = &newer.hooks), "hooks: uses fields of a newer");
    settings = make("redis://h", ROAN_OPTIONS(.hooks = &older));
    assert_null(settings->hooks.on_log);
    assert_ptr_equal(settings->hooks.argument, &newer);
    assert_int_equal(settings->hooks.size, sizeof settings->hooks);
    roan_settings_free(settings);
    older.size = 0;
    refuse_options(ROAN_OPTIONS(.hooks = &older), "hooks: size is not set: write .size = sizeof(roan_hooks)");
}

static void test_incomplete_transport(void **state)
{
    roan_transport transport = {.size = sizeof transport};
    (void)state;
    refuse_options(ROAN_OPTIONS(.transport = &transport), "transport: a function is missing");
    transport.size = 8;
    refuse_options(ROAN_OPTIONS(.transport = &transport), "transport: size is not set");
}

/* ---- memory ---- */

static const char full_uri[] = "redis://alice:hunter2hunter2@h:1/2?client_name=shop&key_prefix=a%3A";
static const char weak_uri[] = "redis://:hunter2hunter2@h?client_name=shop&nonsense=1";

static void test_secrets_are_wiped(void **state)
{
    roan_settings *settings = NULL;
    (void)state;
    secret = "hunter2hunter2";
    secrets_freed = 0;
    free(strdup(secret));
    assert_int_equal(secrets_freed, 1); /* the net catches */
    roan_settings_free(make(full_uri, NULL));
    roan_settings_free(make("redis://h?password=hunter2hunter2&username=hunter2hunter2", NULL));
    roan_settings_free(make("redis://:x@h", ROAN_OPTIONS(.password = secret)));
    roan_settings_free(make("redis://h", ROAN_OPTIONS(.password = secret)));
    assert_int_equal(roan_settings_create(&settings, weak_uri, NULL, NULL), ROAN_E_CONFIG);
    assert_int_equal(roan_settings_create(&settings, "redis://u:hunter2hunter2%zz@h", NULL, NULL), ROAN_E_CONFIG);
    assert_int_equal(roan_settings_create(&settings, "redis://h?password=hunter2hunter2%", NULL, NULL), ROAN_E_CONFIG);
    assert_int_equal(secrets_freed, 1);
    secret = NULL;
}

static void test_out_of_memory(void **state)
{
    roan_settings *settings = NULL;
    roan_error error;
    roan_status status = ROAN_E_NOMEM;
    int before = blocks_in_use, failures = 0;
    (void)state;
    for (; status != ROAN_OK; failures++) {
        const roan_options *options = ROAN_OPTIONS(.username = "u", .password = "p", .client_name = "c",
                                                   .key_prefix = ROAN_LITERAL("x"));
        allocations_until_failure = failures;
        status = roan_settings_create(&settings, full_uri, options, &error);
        allocations_until_failure = -1;
        if (status != ROAN_OK) {
            assert_int_equal(status, ROAN_E_NOMEM);
            assert_int_equal(error.code, ROAN_E_NOMEM);
            assert_null(settings);
            assert_int_equal(blocks_in_use, before);
        }
    }
    assert_int_equal(failures - 1, 1 + 4 + 1 + 4 + 1); /* settings, texts, the URI, its texts, host */
    roan_settings_free(settings);
    settings = NULL;
    allocations_until_failure = 4; /* settings, username, URI, host, and the password that goes with a username */
    status = roan_settings_create(&settings, "redis://h", ROAN_OPTIONS(.username = "u"), NULL);
    allocations_until_failure = -1;
    assert_int_equal(status, ROAN_E_NOMEM);
    assert_int_equal(blocks_in_use, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_bad_uris),
        cmocka_unit_test(test_what_is_not_built_in),
        cmocka_unit_test(test_long_uris),
        cmocka_unit_test(test_uri_bytes_may_be_anything),
        cmocka_unit_test(test_errors_hold_no_secret),
        cmocka_unit_test(test_every_field_is_a_row),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_texts_and_callbacks_are_copied),
        cmocka_unit_test(test_uri_wins),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_older_and_newer_structs),
        cmocka_unit_test(test_hooks_of_other_versions),
        cmocka_unit_test(test_incomplete_transport),
        cmocka_unit_test(test_secrets_are_wiped),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
