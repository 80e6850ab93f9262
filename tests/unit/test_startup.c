/* test_startup.c: what `roan server` understands before it starts: flags, files, includes, environment, and how it says
 * what is wrong; and replacing a file in one step.
 *
 * Every test runs in a folder of its own that is gone afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/files.h"
#include "server/startup.h"

#define WORDS_MAX 32

typedef struct fixture {
    char folder[64], start[4096];
    roan_startup startup;
    char *out, *err; /* what was printed */
    int exit_code;
    bool serves;
} fixture;

static int set_up(void **state)
{
    fixture *self = calloc(1, sizeof *self);
    assert_non_null(getcwd(self->start, sizeof self->start));
    snprintf(self->folder, sizeof self->folder, "/tmp/roan-test-startup-XXXXXX");
    assert_non_null(mkdtemp(self->folder));
    assert_int_equal(chdir(self->folder), 0);
    *state = self;
    return 0;
}

static void forget(fixture *self)
{
    roan_startup_done(&self->startup);
    free(self->out);
    free(self->err);
    self->out = self->err = NULL;
}

static int tear_down(void **state)
{
    fixture *self = *state;
    char command[128];
    assert_int_equal(chdir(self->start), 0);
    snprintf(command, sizeof command, "rm -rf '%s'", self->folder);
    assert_int_equal(system(command), 0);
    free(self);
    return 0;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static char *read_file(const char *name)
{
    roan_buffer text = {0};
    assert_int_equal(roan_file_read(name, 1 << 20, &text, NULL), ROAN_OK);
    char *copy = test_calloc(text.bytes + 1, 1);
    if (text.bytes > 0)
        memcpy(copy, text.data, text.bytes);
    roan_buffer_done(&text);
    return copy;
}

/* Runs the command line; the environment may be NULL. */
static void run(fixture *self, const char *const *words, const char *const *environment)
{
    char *argv[WORDS_MAX], *variables[WORDS_MAX] = {NULL};
    size_t out_bytes, err_bytes;
    int argc = 0;
    assert_int_equal(chdir(self->folder), 0); /* `dir` of the run before is forgotten */
    argv[argc++] = strdup("roan server");
    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = strdup(words[argc - 1]);
    for (int i = 0; environment != NULL && environment[i] != NULL; i++)
        variables[i] = strdup(environment[i]);
    FILE *out = open_memstream(&self->out, &out_bytes), *err = open_memstream(&self->err, &err_bytes);
    self->serves = roan_startup_read(&self->startup, argc, argv, variables, out, err, &self->exit_code);
    fclose(out);
    fclose(err);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    for (int i = 0; variables[i] != NULL; i++)
        free(variables[i]);
}

#define RUN(self, ...) run((self), (const char *const[]){__VA_ARGS__ __VA_OPT__(,) NULL}, NULL)

static void assert_refused(fixture *self, const char *message)
{
    char expected[1024];
    snprintf(expected, sizeof expected, "roan server: %s\n", message);
    assert_string_equal(self->err, expected);
    assert_string_equal(self->out, "");
    assert_false(self->serves);
    assert_int_equal(self->exit_code, 1);
    forget(self);
}

/* --- flags --- */

static void flags_are_options(void **state)
{
    fixture *self = *state;
    RUN(self, "--port", "7000", "--bind", "127.0.0.1", "::1", "--maxmemory 5mb", "--timeout=9", "--save", "900", "1",
        "--save", "60", "2", "--requirepass", "--a b", "--client-output-buffer-limit", "pubsub 1 2 3", "--daemonize ",
        "yes");
    if (!self->serves)
        fail_msg("%s", self->err);
    const roan_config *config = &self->startup.config;
    assert_int_equal(config->port, 7000);
    assert_string_equal(config->bind, "127.0.0.1 ::1");
    assert_int_equal(config->maxmemory, 5 << 20);
    assert_int_equal(config->timeout_s, 9);
    assert_string_equal(config->save, "900 1 60 2");
    assert_string_equal(config->requirepass.data, "--a b");
    assert_int_equal(config->output_limits[ROAN_CLIENT_PUBSUB].hard_bytes, 1);
    assert_true(config->daemonize);
    assert_string_equal(self->startup.config_path, "");
    forget(self);
}

static void save_without_a_value_saves_nothing(void **state)
{
    fixture *self = *state;
    static const char *const lines[][6] = {
        {"--save", "900", "1", "--save", NULL},
        {"--save", "900", "1", "--save", "", NULL},
        {"--save", "--port", "7000", NULL},
    };
    for (size_t i = 0; i < ROAN_COUNT_OF(lines); i++) {
        run(self, lines[i], NULL);
        if (!self->serves)
            fail_msg("%s", self->err);
        assert_string_equal(self->startup.config.save, "");
        forget(self);
    }
}

static void bad_flags_are_explained(void **state)
{
    fixture *self = *state;
    RUN(self, "--maxmemmory", "1gb");
    assert_refused(self, "command line: 'maxmemmory 1gb': unknown option; did you mean 'maxmemory'?");
    RUN(self, "--port");
    assert_refused(self, "command line: 'port': wrong number of arguments; it takes a whole number from 0 to 65535");
    RUN(self, "--port", "--bind", "127.0.0.1");
    assert_refused(self, "command line: 'port --bind 127.0.0.1': wrong number of arguments; it takes a whole number "
                         "from 0 to 65535");
    RUN(self, "-p", "7000");
    assert_refused(self, "unknown flag '-p'; options are written as --port 7000");
    write_file("a.conf", "");
    RUN(self, "a.conf", "b.conf");
    assert_refused(self, "unexpected argument 'b.conf'; the configuration file comes first, and there can be one");
    RUN(self, "--sentinel");
    assert_refused(self, "command line: 'sentinel': Sentinel mode is not available in this version");
    RUN(self, "--appendonly", "yes");
    assert_refused(self, "command line: 'appendonly yes': not available in this version: there is no append-only file "
                         "yet");
    RUN(self, "--port", "0");
    assert_refused(self, "nothing to listen on: port is 0 and there is no unixsocket; set one of them");
    RUN(self, "--dir", "/no/such/folder");
    assert_refused(self, "command line: 'dir /no/such/folder': No such file or directory");
    RUN(self, "--logfile", "/no/such/folder/log");
    assert_refused(self, "command line: 'logfile /no/such/folder/log': No such file or directory");
    RUN(self, "--logfile", "nowhere/log");
    assert_refused(self, "'logfile nowhere/log': No such file or directory");
}

/* --- files --- */

static void a_file_comes_before_flags(void **state)
{
    fixture *self = *state;
    write_file("a.conf", "port 7000\ntimeout 5\nsave 900 1\n");
    RUN(self, "a.conf", "--timeout", "6", "--save", "100", "100");
    assert_true(self->serves);
    assert_int_equal(self->startup.config.port, 7000);
    assert_int_equal(self->startup.config.timeout_s, 6);
    assert_string_equal(self->startup.config.save, "900 1 100 100");
    char path[128];
    snprintf(path, sizeof path, "%s/a.conf", self->folder);
    assert_string_equal(self->startup.config_path, path);
    assert_string_equal(self->startup.config.dir, self->folder);
    forget(self);
}

static void a_bad_file_is_explained(void **state)
{
    fixture *self = *state;
    RUN(self, "missing.conf");
    assert_refused(self, "cannot read 'missing.conf': No such file or directory");
    write_file("a.conf", "port 7000\n\nmaxmemmory 1gb\n");
    RUN(self, "a.conf");
    assert_refused(self, "a.conf line 3: 'maxmemmory 1gb': unknown option; did you mean 'maxmemory'?");
    write_file("a.conf", "dir /no/such/folder\n");
    RUN(self, "a.conf");
    assert_refused(self, "a.conf line 1: 'dir /no/such/folder': No such file or directory");
    write_file("a.conf", "include a.conf\n");
    RUN(self, "a.conf");
    assert_false(self->serves);
    assert_non_null(strstr(self->err, "a.conf line 1: "));
    forget(self);
    RUN(self, ".");
    assert_refused(self, "cannot read '.': Is a directory");
}

static void includes_may_be_patterns(void **state)
{
    fixture *self = *state;
    assert_int_equal(mkdir("conf.d", 0700), 0);
    write_file("conf.d/1.conf", "timeout 1\nhz 20\n");
    write_file("conf.d/2.conf", "timeout 2\n");
    write_file("a.conf", "include conf.d/*.conf\ninclude nothing/*.conf\n");
    RUN(self, "a.conf", "--include", "conf.d/1.conf");
    if (!self->serves)
        fail_msg("%s", self->err);
    assert_int_equal(self->startup.config.timeout_s, 1);
    assert_int_equal(self->startup.config.hz, 20);
    forget(self);
    write_file("conf.d/2.conf", "\ntimeout x\n");
    RUN(self, "a.conf");
    assert_refused(self, "a.conf line 1: conf.d/2.conf line 2: 'timeout x': argument couldn't be parsed into an "
                         "integer; it takes a whole number from 0 to 2147483647");
    write_file("a.conf", "include missing.conf\n");
    RUN(self, "a.conf");
    assert_refused(self, "a.conf line 1: cannot read 'missing.conf': No such file or directory");
}

static void the_working_directory_becomes_absolute(void **state)
{
    fixture *self = *state;
    char expected[128];
    assert_int_equal(mkdir("data", 0700), 0);
    write_file("a.conf", "dir ./data\nlogfile log\n");
    RUN(self, "a.conf");
    assert_true(self->serves);
    snprintf(expected, sizeof expected, "%s/data", self->folder);
    assert_string_equal(self->startup.config.dir, expected);
    assert_int_equal(access("../a.conf", F_OK), 0); /* and it is where we are */
    assert_int_not_equal(access("log", F_OK), 0);   /* looking made no file */
    forget(self);
}

static void standard_input_comes_after_the_file(void **state)
{
    fixture *self = *state;
    int kept = dup(STDIN_FILENO);
    write_file("a.conf", "port 7000\ntimeout 5\n");
    write_file("input", "timeout 6\nhz 20\n");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(chdir(self->folder), 0);
        assert_non_null(freopen("input", "r", stdin));
        if (i == 0)
            RUN(self, "a.conf", "-");
        else
            RUN(self, "a.conf", "--hz", "30", "-");
        if (!self->serves)
            fail_msg("%s", self->err);
        assert_int_equal(self->startup.config.port, 7000);
        assert_int_equal(self->startup.config.timeout_s, 6);
        assert_int_equal(self->startup.config.hz, i == 0 ? 20 : 30);
        forget(self);
    }
    dup2(kept, STDIN_FILENO);
    close(kept);
}

/* --- environment --- */

static void the_environment_is_stronger_than_the_file(void **state)
{
    fixture *self = *state;
    write_file("a.conf", "port 7000\ntimeout 5\nhz 20\n");
    run(self, (const char *const[]){"a.conf", "--hz", "40", NULL},
        (const char *const[]){"ROAN_TIMEOUT=6", "ROAN_HZ=30", "ROAN_TCP_KEEPALIVE=60", "ROAN_SAVE=", "HOME=/", "ROAN_",
                              "ROAN_SOMETHING_ELSE=1", NULL});
    if (!self->serves)
        fail_msg("%s", self->err);
    assert_int_equal(self->startup.config.port, 7000);
    assert_int_equal(self->startup.config.timeout_s, 6);
    assert_int_equal(self->startup.config.hz, 40);
    assert_int_equal(self->startup.config.tcp_keepalive_s, 60);
    assert_null(roan_startup_remark(&self->startup, NULL));
    forget(self);
}

static void bad_variables_are_explained(void **state)
{
    fixture *self = *state;
    const char *const nothing[] = {NULL};
    run(self, nothing, (const char *const[]){"ROAN_PORT=x", NULL});
    assert_refused(self, "environment variable ROAN_PORT: 'port x': argument couldn't be parsed into an integer; it "
                         "takes a whole number from 0 to 65535");
    run(self, nothing, (const char *const[]){"ROAN_PORT=tcp://10.0.0.1:6379", "ROAN_MAXMEMMORY=1gb", NULL});
    assert_true(self->serves);
    assert_int_equal(self->startup.config.port, 6379);
    const char *remark = roan_startup_remark(&self->startup, NULL);
    assert_string_equal(remark, "the environment variable ROAN_PORT is a service address, not a port: ignored");
    remark = roan_startup_remark(&self->startup, remark);
    assert_string_equal(remark, "the environment variable ROAN_MAXMEMMORY is no option; did you mean ROAN_MAXMEMORY?");
    assert_null(roan_startup_remark(&self->startup, remark));
    forget(self);
}

/* --- what does not start a server --- */

static void questions_are_answered(void **state)
{
    fixture *self = *state;
    static const struct {
        const char *words[3];
        const char *answer; /* contains this */
    } cases[] = {
        {{"--help"}, "Usage: roan server"},
        {{"-h", "--maxmemory"}, "Most memory"},
        {{"--version"}, "Roan server v="},
        {{"-v"}, "Roan server v="},
        {{"--print-config"}, "#port 6379\n"},
        {{"--print-config=markdown"}, "| `port` |"},
        {{"--check-config", "a.conf"}, "The configuration is right.\n"},
        {{"--check-config"}, "The configuration is right.\n"},
    };
    write_file("a.conf", "port 7000\n");
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++) {
        run(self, cases[i].words, NULL);
        assert_false(self->serves);
        assert_int_equal(self->exit_code, 0);
        assert_string_equal(self->err, "");
        if (strstr(self->out, cases[i].answer) == NULL)
            fail_msg("%s says: %s", cases[i].words[0], self->out);
        forget(self);
    }
    RUN(self, "--help", "prot");
    assert_refused(self, "there is no option 'prot'; did you mean 'port'?");
    RUN(self, "--check-config", "a.conf", "--hz", "x");
    assert_refused(self, "command line: 'hz x': argument couldn't be parsed into an integer; it takes a whole number "
                         "from 0 to 2147483647");
    RUN(self, "--check-config", "--io-threads", "4");
    assert_int_equal(self->exit_code, 0);
    assert_non_null(strstr(self->err, "option 'io-threads' has no effect."));
    forget(self);
}

/* --- replacing a file --- */

static void a_file_is_replaced_in_one_step(void **state)
{
    (void)state;
    struct stat status;
    roan_error error;
    write_file("a.conf", "old");
    assert_int_equal(chmod("a.conf", 0640), 0);
    assert_int_equal(symlink("a.conf", "link"), 0);
    assert_int_equal(roan_file_replace("link", ROAN_LITERAL("new text"), &error), ROAN_OK);
    char *text = read_file("a.conf");
    assert_string_equal(text, "new text");
    test_free(text);
    assert_int_equal(lstat("link", &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(stat("a.conf", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_equal(roan_file_replace("fresh", ROAN_LITERAL("x"), &error), ROAN_OK);
    assert_int_equal(stat("fresh", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(system("test $(ls | wc -l) = 3"), 0); /* nothing is left over */
    assert_int_not_equal(roan_file_replace("no/such/folder", ROAN_LITERAL("x"), &error), ROAN_OK);
}

static void a_configuration_file_is_rewritten(void **state)
{
    fixture *self = *state;
    roan_error error;
    write_file("a.conf", "# mine\ntimeout 5\n");
    RUN(self, "a.conf", "--hz", "20");
    assert_true(self->serves);
    self->startup.config.timeout_s = 6;
    roan_status status = roan_file_rewrite_config(self->startup.config_path, &self->startup.config, false, &error);
    assert_int_equal(status, ROAN_OK);
    char *text = read_file("a.conf"), expected[256];
    snprintf(expected, sizeof expected,
             "# mine\ntimeout 6\n\n# Generated by CONFIG REWRITE\ndir \"%s\"\nhz 20\n", self->folder);
    assert_string_equal(text, expected);
    test_free(text);
    forget(self);
}

#define TEST_IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(flags_are_options),
        TEST_IN_FOLDER(save_without_a_value_saves_nothing),
        TEST_IN_FOLDER(bad_flags_are_explained),
        TEST_IN_FOLDER(a_file_comes_before_flags),
        TEST_IN_FOLDER(a_bad_file_is_explained),
        TEST_IN_FOLDER(includes_may_be_patterns),
        TEST_IN_FOLDER(the_working_directory_becomes_absolute),
        TEST_IN_FOLDER(standard_input_comes_after_the_file),
        TEST_IN_FOLDER(the_environment_is_stronger_than_the_file),
        TEST_IN_FOLDER(bad_variables_are_explained),
        TEST_IN_FOLDER(questions_are_answered),
        TEST_IN_FOLDER(a_file_is_replaced_in_one_step),
        TEST_IN_FOLDER(a_configuration_file_is_rewritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
