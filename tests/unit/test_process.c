/* test_process.c: the process as others see it: its title, what a supervisor hears, its log, its last words. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/crash.h"
#include "server/files.h"
#include "server/log.h"
#include "server/process.h"

static void assert_title(const roan_config *config, const char *expected)
{
    roan_buffer title = {0};
    roan_process_title(config, "/etc/roan.conf", &title);
    assert_int_equal(title.bytes, strlen(expected));
    assert_memory_equal(title.data, expected, title.bytes);
    roan_buffer_done(&title);
}

static void a_title_says_where_the_server_listens(void **state)
{
    (void)state;
    roan_config config;
    roan_config_init(&config);
    assert_title(&config, "roan-server 127.0.0.1:6379");
    roan_config_set_string(&config.bind, ROAN_LITERAL("-::1 127.0.0.1"));
    assert_title(&config, "roan-server ::1:6379");
    roan_config_set_string(&config.bind, ROAN_LITERAL("*"));
    assert_title(&config, "roan-server *:6379");
    roan_config_set_string(&config.unixsocket, ROAN_LITERAL("/run/roan.sock"));
    config.port = 0;
    assert_title(&config, "roan-server /run/roan.sock");
    roan_config_set_string(&config.proc_title_template,
                           ROAN_LITERAL("{{x} {port} {tls-port} {unixsocket} {config-file}"));
    assert_title(&config, "{x} 0 0 /run/roan.sock /etc/roan.conf");
    roan_config_done(&config);
}

static void a_title_is_shown_and_the_environment_stays(void **state)
{
    (void)state;
    roan_config config;
    roan_process process;
    roan_buffer shown = {0};
    assert_int_equal(setenv("ROAN_TEST_PROCESS", "kept", 1), 0);
    char *path = strdup(getenv("PATH"));
    roan_config_init(&config);
    roan_process_init(&process);
    assert_non_null(process.title_room);
    roan_process_show_title(&process, &config, "");
    assert_int_equal(roan_file_read("/proc/self/cmdline", 1 << 20, &shown, NULL), ROAN_OK);
    roan_buffer_append_char(&shown, '\0');
    assert_string_equal(shown.data, "roan-server 127.0.0.1:6379");
    assert_string_equal(getenv("ROAN_TEST_PROCESS"), "kept");
    assert_string_equal(getenv("PATH"), path);
    free(path);
    roan_buffer_done(&shown);
    roan_config_done(&config);
}

static void systemd_is_told(void **state)
{
    (void)state;
    char folder[] = "/tmp/roan-test-process-XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    roan_config config;
    roan_error error;
    char message[128];
    assert_non_null(mkdtemp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", folder);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    roan_config_init(&config);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("UPSTART_JOB");

    assert_int_equal(roan_process_tell_ready(&config, &error), ROAN_OK); /* supervised no */
    config.supervised = ROAN_SUPERVISED_AUTO;
    assert_int_equal(roan_process_tell_ready(&config, &error), ROAN_OK); /* nobody there */
    config.supervised = ROAN_SUPERVISED_SYSTEMD;
    assert_int_equal(roan_process_tell_ready(&config, &error), ROAN_E_NO_ENTRY);
    config.supervised = ROAN_SUPERVISED_UPSTART;
    assert_int_equal(roan_process_tell_ready(&config, &error), ROAN_E_NO_ENTRY);
    assert_true(recv(fd, message, sizeof message, MSG_DONTWAIT) < 0);

    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    config.supervised = ROAN_SUPERVISED_AUTO;
    assert_int_equal(roan_process_tell_ready(&config, &error), ROAN_OK);
    ssize_t bytes = recv(fd, message, sizeof message - 1, MSG_DONTWAIT);
    assert_true(bytes > 0);
    message[bytes] = '\0';
    assert_non_null(strstr(message, "READY=1\n"));
    unsetenv("NOTIFY_SOCKET");
    close(fd);
    unlink(address.sun_path);
    rmdir(folder);
    roan_config_done(&config);
}

static void a_score_is_raised_and_given_back(void **state)
{
    (void)state;
    roan_config config;
    roan_process process = {0};
    roan_buffer before = {0}, now = {0};
    roan_config_init(&config);
    assert_int_equal(roan_process_set_oom_score(&process, &config, NULL), ROAN_OK); /* "no" touches nothing */
    assert_int_equal(roan_file_read("/proc/self/oom_score_adj", 64, &before, NULL), ROAN_OK);
    config.oom_score_adj = ROAN_OOM_SCORE_ABSOLUTE;
    config.oom_score_adj_values[0] = 1000; /* the highest there is: raising needs no privilege */
    if (roan_process_set_oom_score(&process, &config, NULL) == ROAN_OK) {
        assert_int_equal(roan_file_read("/proc/self/oom_score_adj", 64, &now, NULL), ROAN_OK);
        assert_int_equal(now.bytes, 5);
        assert_memory_equal(now.data, "1000\n", 5);
        config.oom_score_adj = ROAN_OOM_SCORE_NO;
        now.bytes = 0;
        if (roan_process_set_oom_score(&process, &config, NULL) == ROAN_OK) { /* lowering may need one */
            assert_int_equal(roan_file_read("/proc/self/oom_score_adj", 64, &now, NULL), ROAN_OK);
            assert_int_equal(now.bytes, before.bytes);
            assert_memory_equal(now.data, before.data, now.bytes);
        }
    }
    roan_buffer_done(&before);
    roan_buffer_done(&now);
    roan_config_done(&config);
}

/* A sanitizer handles crashes by itself. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

static volatile int depth_max = 1 << 30;

static __attribute__((noinline)) int overflow(int depth)
{
    volatile char room[4096];
    room[0] = (char)depth;
    return depth >= depth_max ? 0 : overflow(depth + 1) + room[0];
}

static void *overflow_in_thread(void *unused)
{
    roan_crash_enter_thread();
    depth_max -= overflow(0);
    roan_crash_leave_thread();
    return unused;
}

static void an_overflowing_stack_is_reported(void **state)
{
    (void)state;
    char path[] = "/tmp/roan-test-crash-XXXXXX";
    int fd = mkstemp(path), end;
    assert_true(fd >= 0);
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        struct rlimit no_core = {0};
        setrlimit(RLIMIT_CORE, &no_core);
        for (int number = 1; number < 32; number++)
            signal(number, SIG_DFL); /* what the test library watches for */
        roan_crash_watch(path, true);
        if (pthread_create(&thread, NULL, overflow_in_thread, NULL) == 0)
            pthread_join(thread, NULL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &end, 0), child);
    assert_true(WIFSIGNALED(end));
    assert_int_equal(WTERMSIG(end), SIGSEGV);
    char text[16384];
    ssize_t bytes = read(fd, text, sizeof text - 1);
    assert_true(bytes > 0);
    text[bytes] = '\0';
    assert_non_null(strstr(text, "crashed by SIGSEGV"));
    assert_non_null(strstr(text, ", address 0x"));
    assert_non_null(strstr(text, "test_process\nstack:\n"));
    close(fd);
    unlink(path);
}
#define CRASH_TESTS cmocka_unit_test(an_overflowing_stack_is_reported),
#else
#define CRASH_TESTS
#endif

/* --- the log --- */

static void assert_line(const roan_config *config, int level, const char *text, const char *before_pid,
                        const char *after_pid)
{
    char wanted[512];
    roan_log log;
    roan_buffer line = {0};
    roan_log_init(&log, config);
    roan_log_format(&log, level, INT64_C(1795226501869000), text, &line);
    snprintf(wanted, sizeof wanted, "%s%d%s", before_pid, (int)getpid(), after_pid);
    assert_int_equal(line.bytes, strlen(wanted));
    assert_memory_equal(line.data, wanted, line.bytes);
    roan_buffer_done(&line);
    roan_log_done(&log);
}

static void log_lines_look_like_the_references(void **state)
{
    (void)state;
    roan_config config;
    roan_config_init(&config);
    setenv("TZ", "UTC", 1);
    tzset();
    assert_line(&config, ROAN_LOG_NOTICE, "text", "", ":M 21 Nov 2026 02:01:41.869 * text\n");
    config.log_timestamp_format = ROAN_LOG_TIME_MILLISECONDS;
    assert_line(&config, ROAN_LOG_WARNING, "a \"b\"", "", ":M 1795226501869 # a \"b\"\n");
    config.log_format = ROAN_LOG_FORMAT_LOGFMT;
    assert_line(&config, ROAN_LOG_DEBUG, "a \"b\"",
                "pid=", " role=primary timestamp=\"1795226501869\" level=debug message=\"a \\\"b\\\"\"\n");
    config.log_format = ROAN_LOG_FORMAT_JSON;
    config.log_timestamp_format = ROAN_LOG_TIME_ISO8601;
    assert_line(&config, ROAN_LOG_VERBOSE, "tab\tend\n\\",
                "{\"pid\":", ",\"role\":\"primary\",\"timestamp\":\"2026-11-21T02:01:41.869+00:00\",\"level\":\"info\","
                "\"message\":\"tab\\u0009end\\n\\\\\"}\n");
    setenv("TZ", "XST-5:30", 1);
    tzset();
    assert_line(&config, ROAN_LOG_VERBOSE, "",
                "{\"pid\":", ",\"role\":\"primary\",\"timestamp\":\"2026-11-21T07:31:41.869+05:30\",\"level\":\"info\","
                "\"message\":\"\"}\n");
    roan_config_done(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_title_says_where_the_server_listens),
        cmocka_unit_test(a_title_is_shown_and_the_environment_stays),
        cmocka_unit_test(systemd_is_told),
        cmocka_unit_test(a_score_is_raised_and_given_back),
        cmocka_unit_test(log_lines_look_like_the_references),
        CRASH_TESTS
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
