/* test_embedded.c: servers inside this process, reached by name, by transport and by descriptor: what they answer, what
 * the clock does, what reset leaves, and that nothing of the process is touched or left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "roan/batch.h"
#include "roan/embedded.h"
#include "roan/lease.h"
#include "roan/transport.h"

#define WORDS_MAX 16
#define START_US INT64_C(1700000000000000)
#define SECOND_US INT64_C(1000000)
#define STOPS_IN_MS 3000 /* with time to spare for a busy machine */

/* ---- helpers ---- */

static roan_embedded *start(const roan_embedded_options *options)
{
    roan_embedded *server;
    roan_error error = {0};
    if (roan_embedded_start(&server, options, &error) != ROAN_OK)
        fail_msg("start: %s", error.text);
    return server;
}

static roan *open_handle(const char *uri, const roan_options *options)
{
    roan *client;
    roan_error error = {0};
    if (roan_open(&client, uri, options, &error) != ROAN_OK)
        fail_msg("%s: %s", uri, error.text);
    return client;
}

/* Words are cut at spaces. */
static roan_status try_command(roan *client, const char *line, roan_value **ret_reply)
{
    char copy[512];
    char *rest = copy;
    roan_slice words[WORDS_MAX];
    size_t count = 0;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word; (word = strsep(&rest, " ")) != NULL && count < WORDS_MAX;)
        words[count++] = roan_slice_from_text(word);
    return roan_do(client, count, words, ret_reply, NULL);
}

static void print_value(const roan_value *value, char *text, size_t room)
{
    size_t bytes = 0;
    switch (value->type) {
    case ROAN_REPLY_INTEGER:
        snprintf(text, room, "%lld", (long long)value->integer);
        break;
    case ROAN_REPLY_NULL:
        snprintf(text, room, "null");
        break;
    case ROAN_REPLY_ARRAY:
    case ROAN_REPLY_SET:
    case ROAN_REPLY_PUSH:
    case ROAN_REPLY_MAP:
        text[0] = '\0';
        for (size_t i = 0; i < value->count * (value->type == ROAN_REPLY_MAP ? 2 : 1) && bytes + 2 < room; i++) {
            if (i > 0)
                text[bytes++] = ' ';
            print_value(&value->elements[i], text + bytes, room - bytes);
            bytes += strlen(text + bytes);
        }
        break;
    default:
        snprintf(text, room, "%.*s", ROAN_SLICE_ARG(value->text));
    }
}

/* What the command answers, as text; arrays with spaces between. A failure: its text. */
static void answer(roan *client, const char *line, char *text, size_t room)
{
    roan_value *reply = NULL;
    roan_status status = try_command(client, line, &reply);
    if (status == ROAN_NIL)
        snprintf(text, room, "null");
    else if (status != ROAN_OK)
        snprintf(text, room, "%s", roan_last_failure()->text);
    else
        print_value(reply, text, room);
    roan_value_free(reply);
}

static void assert_answer(roan *client, const char *line, const char *expected)
{
    char text[1024];
    answer(client, line, text, sizeof text);
    if (strcmp(text, expected) != 0)
        fail_msg("%s: '%s', not '%s'", line, text, expected);
}

static void assert_fails(roan *client, const char *line, const char *part)
{
    char text[1024];
    answer(client, line, text, sizeof text);
    if (strstr(text, part) == NULL)
        fail_msg("%s: '%s' does not say '%s'", line, text, part);
}

static void assert_ok(roan_status status, const roan_error *error)
{
    if (status != ROAN_OK)
        fail_msg("%s", error->text);
}

static void advance(roan_embedded *server, int64_t us)
{
    roan_error error = {0};
    assert_ok(roan_embedded_clock_advance(server, us, &error), &error);
}

static size_t count_entries(const char *path)
{
    size_t count = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static size_t descriptor_count(void)
{
    return count_entries("/proc/self/fd");
}

/* A joined thread's entry goes a moment later. */
static size_t thread_count(size_t expected)
{
    struct timespec moment = {.tv_nsec = 1000000};
    size_t count = count_entries("/proc/self/task");
    for (int i = 0; i < 2000 && count != expected; i++) {
        nanosleep(&moment, NULL);
        count = count_entries("/proc/self/task");
    }
    return count;
}

static int64_t real_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Raw bytes over a descriptor of roan_embedded_connect. */
static void send_text(int fd, const char *text)
{
    size_t bytes = strlen(text);
    assert_int_equal(send(fd, text, bytes, MSG_NOSIGNAL), bytes);
}

static void expect_text(int fd, const char *expected)
{
    char text[1024];
    size_t bytes = 0, wanted = strlen(expected);
    struct timeval limit = {.tv_sec = 10};
    assert_true(wanted < sizeof text);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    while (bytes < wanted) {
        ssize_t received = recv(fd, text + bytes, wanted - bytes, 0);
        if (received <= 0)
            fail_msg("'%.*s' came, not '%s'", (int)bytes, text, expected);
        bytes += (size_t)received;
    }
    text[bytes] = '\0';
    assert_string_equal(text, expected);
}

static int connect_raw(roan_embedded *server)
{
    int fd;
    roan_error error = {0};
    assert_ok(roan_embedded_connect(server, &fd, &error), &error);
    return fd;
}

/* ---- reaching it ---- */

static void a_handle_reaches_a_server_by_name(void **state)
{
    (void)state;
    roan_embedded *server = start(ROAN_EMBEDDED(.name = "test"));
    roan *client = open_handle("embedded://test", NULL);
    assert_answer(client, "SET greeting hello", "OK");
    assert_answer(client, "GET greeting", "hello");
    roan *other = open_handle("embedded://test/3?client_name=other&protocol=2", NULL);
    assert_answer(other, "GET greeting", "null");
    assert_answer(other, "CLIENT GETNAME", "other");
    roan *prefixed = open_handle("embedded://test", ROAN_OPTIONS(.key_prefix = ROAN_LITERAL("gree")));
    assert_answer(prefixed, "GET ting", "hello");
    roan *threaded = open_handle("embedded://test?drive=thread", NULL);
    assert_answer(threaded, "GET greeting", "hello");
    roan_close(client, 1000);
    roan_close(other, 1000);
    roan_close(prefixed, 1000);
    roan_close(threaded, 1000);
    roan_embedded_stop(server);
}

static void a_server_without_a_name_is_reached_by_its_transport(void **state)
{
    (void)state;
    roan_embedded *server = start(NULL);
    roan *client = open_handle("redis://nowhere.invalid", ROAN_OPTIONS(.transport = roan_embedded_transport(server)));
    assert_answer(client, "PING", "PONG");
    assert_answer(client, "CONFIG GET port", "port 0");
    roan_close(client, 1000);
    roan_embedded_stop(server);
}

static void the_empty_name_is_embedded_alone(void **state)
{
    (void)state;
    roan_embedded *server = start(ROAN_EMBEDDED(.name = ""));
    roan *client = open_handle("embedded://", NULL);
    assert_answer(client, "ECHO alone", "alone");
    roan_close(client, 1000);
    roan_embedded_stop(server);
}

static void names_that_lead_nowhere_are_refused(void **state)
{
    (void)state;
    roan *client;
    roan_error error;
    roan_embedded *server = start(ROAN_EMBEDDED(.name = "here")), *second;
    assert_int_equal(roan_open(&client, "embedded://there", NULL, &error), ROAN_E_NO_ENTRY);
    assert_non_null(strstr(error.text, "embedded://there"));
    assert_non_null(strstr(error.text, "roan_embedded_start"));
    assert_int_equal(roan_embedded_start(&second, ROAN_EMBEDDED(.name = "here"), &error), ROAN_E_USAGE);
    assert_null(second);
    assert_non_null(strstr(error.text, "another name"));
    assert_int_equal(roan_embedded_start(&second, ROAN_EMBEDDED(.name = "no/name"), &error), ROAN_E_INVALID);
    roan_embedded_stop(server);
    assert_int_equal(roan_open(&client, "embedded://here", NULL, &error), ROAN_E_NO_ENTRY);
}

static void a_handle_finds_the_successor_of_its_server(void **state)
{
    (void)state;
    roan_embedded *server = start(ROAN_EMBEDDED(.name = "phoenix"));
    roan *client = open_handle("embedded://phoenix?backoff_first_ms=1&request_timeout_ms=5000", NULL);
    assert_answer(client, "SET old 1", "OK");
    roan_embedded_stop(server);
    roan_slice ping[] = {ROAN_LITERAL("PING")};
    assert_int_not_equal(roan_do(client, 1, ping, NULL, ROAN_WITH(.timeout_ms = 50)), ROAN_OK);
    server = start(ROAN_EMBEDDED(.name = "phoenix"));
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    assert_answer(client, "GET old", "null");
    roan_close(client, 1000);
    roan_embedded_stop(server);
}

static void servers_side_by_side_share_nothing(void **state)
{
    (void)state;
    roan_embedded *one = start(ROAN_EMBEDDED(.name = "one", .databases = 2));
    roan_embedded *two = start(ROAN_EMBEDDED(.name = "two", .clock_us = START_US, .is_stopped = true));
    roan *first = open_handle("embedded://one", NULL), *second = open_handle("embedded://two", NULL);
    assert_answer(first, "SET key of-one", "OK");
    assert_answer(second, "GET key", "null");
    assert_answer(second, "SET key of-two", "OK");
    assert_answer(first, "CONFIG SET hash-max-listpack-entries 7", "OK");
    assert_answer(second, "CONFIG GET hash-max-listpack-entries", "hash-max-listpack-entries 512");
    assert_answer(second, "TIME", "1700000000 0");
    assert_answer(first, "CONFIG GET databases", "databases 2");
    roan_close(first, 1000);
    roan_embedded_stop(one);
    assert_answer(second, "GET key", "of-two");
    roan_close(second, 1000);
    roan_embedded_stop(two);
}

static void descriptors_speak_resp(void **state)
{
    (void)state;
    roan_embedded *server = start(ROAN_EMBEDDED(.threads = 2));
    int subscriber = connect_raw(server), publisher = connect_raw(server);
    send_text(subscriber, "SUBSCRIBE news\r\n");
    expect_text(subscriber, "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    send_text(publisher, "PUBLISH news hello\r\n");
    expect_text(publisher, ":1\r\n");
    expect_text(subscriber, "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
    send_text(publisher, "QUIT\r\n");
    expect_text(publisher, "+OK\r\n");
    char byte;
    assert_int_equal(recv(publisher, &byte, 1, 0), 0);
    roan_embedded_stop(server);
    assert_int_equal(recv(subscriber, &byte, 1, 0), 0);
    close(subscriber);
    close(publisher);
}

static void too_many_clients_are_told(void **state)
{
    (void)state;
    const char *arguments[] = {"--maxclients", "1"};
    roan_embedded *server = start(ROAN_EMBEDDED(.arguments = arguments, .argument_count = 2));
    int first = connect_raw(server);
    send_text(first, "PING\r\n");
    expect_text(first, "+PONG\r\n");
    int second = connect_raw(server);
    expect_text(second, "-ERR max number of clients reached\r\n");
    close(first);
    close(second);
    roan_embedded_stop(server);
}

static void after_shutdown_there_are_clear_errors(void **state)
{
    (void)state;
    roan_error error;
    int fd;
    char byte;
    roan_embedded *server = start(NULL);
    int raw = connect_raw(server);
    send_text(raw, "SHUTDOWN NOSAVE\r\n");
    assert_int_equal(recv(raw, &byte, 1, 0), 0);
    close(raw);
    assert_int_equal(roan_embedded_connect(server, &fd, &error), ROAN_E_CONNECT);
    assert_int_equal(fd, -1);
    assert_non_null(strstr(error.text, "SHUTDOWN"));
    assert_int_equal(roan_embedded_clock_advance(server, 1, &error), ROAN_E_CLOSED);
    assert_int_equal(roan_embedded_reset(server, &error), ROAN_E_CLOSED);
    roan_embedded_stop(server);
}

/* ---- options ---- */

static void assert_refused(const roan_embedded_options *options, roan_status status, const char *part)
{
    roan_embedded *server;
    roan_error error = {0};
    size_t threads = count_entries("/proc/self/task"), descriptors = descriptor_count();
    assert_int_equal(roan_embedded_start(&server, options, &error), status);
    assert_int_equal(error.code, status);
    assert_null(server);
    if (strstr(error.text, part) == NULL)
        fail_msg("'%s' does not say '%s'", error.text, part);
    assert_int_equal(thread_count(threads), threads);
    assert_int_equal(descriptor_count(), descriptors);
}

static void bad_options_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *config, *part;
    } configs[] = {
        {"maxmemmory 1gb", "maxmemory"},
        {"# fine\nmaxmemory lots", "line 2"},
        {"port 7000", "does not listen"},
        {"unixsocket /tmp/x", "does not listen"},
        {"dir /tmp", "working directory"},
        {"daemonize yes", "daemonize"},
        {"supervised systemd", "supervised"},
        {"pidfile /tmp/pid", "pidfile"},
        {"syslog-enabled yes", "syslog-enabled"},
        {"include /nowhere/at/all", "/nowhere/at/all"},
        {"logfile /nowhere/at/all", "/nowhere/at/all"},
        {"aclfile /nowhere/at/all", "/nowhere/at/all"},
        {"requirepass 'open", "quotes"},
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++)
        assert_refused(ROAN_EMBEDDED(.config = configs[i].config), ROAN_E_CONFIG, configs[i].part);
    const char *arguments[] = {"--databases", "0"}, *file[] = {"roan.conf"};
    assert_refused(ROAN_EMBEDDED(.arguments = arguments, .argument_count = 2), ROAN_E_CONFIG, "databases");
    assert_refused(ROAN_EMBEDDED(.arguments = file, .argument_count = 1), ROAN_E_CONFIG, "roan.conf");
    assert_refused(ROAN_EMBEDDED(.argument_count = 1), ROAN_E_INVALID, "arguments");
    assert_refused(ROAN_EMBEDDED(.threads = -1), ROAN_E_INVALID, "threads");
    assert_refused(ROAN_EMBEDDED(.threads = 100000), ROAN_E_CONFIG, "threads");
    assert_refused(ROAN_EMBEDDED(.databases = -1), ROAN_E_INVALID, "databases");
    assert_refused(ROAN_EMBEDDED(.clock_us = -1), ROAN_E_INVALID, "clock_us");
    assert_refused(&(roan_embedded_options){.threads = 1}, ROAN_E_INVALID, "size");
}

static void what_asks_for_nothing_is_accepted(void **state)
{
    (void)state;
    roan_embedded *server = start(ROAN_EMBEDDED(.config = "port 0\ndaemonize no\nunixsocket ''\nsupervised no\ndir .\n"));
    roan_embedded_stop(server);
}

static void later_options_are_stronger(void **state)
{
    (void)state;
    const char *arguments[] = {"--maxmemory", "3mb", "--maxmemory-policy=allkeys-lru"};
    roan_embedded *server = start(ROAN_EMBEDDED(.name = "o", .maxmemory = 1 << 20, .threads = 2,
                                                .config = "maxmemory 2mb\nrequirepass secret\nthreads 3\n",
                                                .arguments = arguments, .argument_count = 3));
    roan *client = open_handle("embedded://:secret@o", NULL), *stranger = open_handle("embedded://o", NULL);
    assert_answer(client, "CONFIG GET maxmemory", "maxmemory 3145728");
    assert_answer(client, "CONFIG GET maxmemory-policy", "maxmemory-policy allkeys-lru");
    assert_answer(client, "CONFIG GET threads", "threads 3");
    assert_fails(stranger, "GET key", "NOAUTH");
    roan_close(client, 1000);
    roan_close(stranger, 1000);
    roan_embedded_stop(server);
}

typedef struct log_lines {
    pthread_mutex_t lock;
    size_t count;
    char last[256];
} log_lines;

static void keep_line(void *argument, int level, const char *line)
{
    log_lines *lines = argument;
    pthread_mutex_lock(&lines->lock);
    lines->count += level == 3;
    snprintf(lines->last, sizeof lines->last, "%s", line);
    pthread_mutex_unlock(&lines->lock);
}

static void the_log_goes_to_who_asks(void **state)
{
    (void)state;
    log_lines lines = {.lock = PTHREAD_MUTEX_INITIALIZER};
    roan_embedded *server = start(ROAN_EMBEDDED(.name = "log", .on_log = keep_line, .log_argument = &lines));
    roan *client = open_handle("embedded://log", NULL);
    assert_answer(client, "SET big 0123456789", "OK");
    lines.count = 0;
    assert_answer(client, "CONFIG SET maxmemory 1", "OK");
    assert_int_equal(lines.count, 1);
    assert_non_null(strstr(lines.last, "maxmemory is now 1 bytes"));
    assert_answer(client, "CONFIG SET loglevel nothing maxmemory 0", "OK");
    lines.count = 0;
    assert_answer(client, "CONFIG SET maxmemory 1", "OK");
    assert_int_equal(lines.count, 0);
    roan_close(client, 1000);
    roan_embedded_stop(server);
}

/* ---- the process ---- */

static void read_file(const char *path, char *text, size_t room)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t bytes = fread(text, 1, room - 1, file);
    text[bytes] = '\0';
    fclose(file);
}

typedef struct process_marks {
    struct {
        void (*handler)(int);
        int flags;
    } actions[32];
    bool is_blocked[32];
    struct rlimit files;
    char folder[256], title[256], oom_score[32], locale[64];
    mode_t mask_of_files;
    char **environment;
} process_marks;

extern char **environ;

static void mark_process(process_marks *marks)
{
    memset(marks, 0, sizeof *marks);
    sigset_t mask;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    for (int i = 1; i < 32; i++) {
        struct sigaction action;
        assert_int_equal(sigaction(i, NULL, &action), 0);
        marks->actions[i].handler = action.sa_handler;
        marks->actions[i].flags = action.sa_flags;
        marks->is_blocked[i] = sigismember(&mask, i) == 1;
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &marks->files), 0);
    assert_non_null(getcwd(marks->folder, sizeof marks->folder));
    read_file("/proc/self/cmdline", marks->title, sizeof marks->title);
    read_file("/proc/self/oom_score_adj", marks->oom_score, sizeof marks->oom_score);
    snprintf(marks->locale, sizeof marks->locale, "%s", setlocale(LC_ALL, NULL));
    marks->mask_of_files = umask(0);
    umask(marks->mask_of_files);
    marks->environment = environ;
}

static void nothing_of_the_process_changes(void **state)
{
    (void)state;
    static process_marks before, during, after;
    struct rlimit small = {.rlim_cur = 256, .rlim_max = 0}, usual;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    small.rlim_max = usual.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
    mark_process(&before);
    roan_embedded *server = start(ROAN_EMBEDDED(.name = "guest", .threads = 2, .config = "oom-score-adj absolute\n"));
    roan *client = open_handle("embedded://guest", NULL);
    assert_answer(client, "PING", "PONG");
    assert_answer(client, "CONFIG GET maxclients", "maxclients 10000");
    assert_answer(client, "CONFIG SET maxclients 20000", "OK");
    assert_answer(client, "CONFIG SET crash-log-enabled yes", "OK");
    assert_answer(client, "CONFIG SET proc-title-template x{port}", "OK");
    assert_answer(client, "CONFIG SET oom-score-adj yes", "OK");
    assert_answer(client, "CONFIG SET locale-collate C", "OK");
    assert_fails(client, "CONFIG SET locale-collate nowhere", "Invalid locale name");
    assert_fails(client, "CONFIG SET port 7000", "Unable to listen");
    assert_fails(client, "CONFIG SET dir /", "CONFIG SET failed");
    assert_fails(client, "CONFIG REWRITE", "without a config file");
    mark_process(&during);
    roan_close(client, 1000);
    roan_embedded_stop(server);
    mark_process(&after);
    assert_memory_equal(&before, &during, sizeof before);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
}

static _Atomic int signals_seen;
static pthread_t signal_thread;

static void note_signal(int number)
{
    (void)number;
    if (pthread_equal(pthread_self(), signal_thread))
        signals_seen++;
}

static void signals_are_for_the_program(void **state)
{
    (void)state;
    roan_embedded *server = start(ROAN_EMBEDDED(.threads = 3));
    struct sigaction action = {.sa_handler = note_signal}, before;
    signals_seen = 0;
    signal_thread = pthread_self();
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(kill(getpid(), SIGUSR1), 0); /* handled before kill() returns, if it is ours */
    assert_int_equal(signals_seen, 50);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    roan_embedded_stop(server);
}

/* A peer that is gone when its answer comes: EPIPE, not SIGPIPE. */
static void a_peer_that_leaves_harms_nobody(void **state)
{
    (void)state;
    roan_embedded *server = start(ROAN_EMBEDDED(.config = "maxclients 3\n"));
    for (int i = 0; i < 100; i++) {
        int fd = connect_raw(server);
        const char text[] = "PING\r\nPING\r\n";
        ssize_t sent = send(fd, text, sizeof text - 1, MSG_NOSIGNAL); /* refused ones may be closed already */
        assert_true(sent == sizeof text - 1 || errno == EPIPE);
        close(fd);
    }
    roan_embedded_stop(server);
}

static void a_forked_child_is_told(void **state)
{
    (void)state;
    roan_embedded *server = start(ROAN_EMBEDDED(.name = "parent"));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd;
        roan_error error;
        bool is_told = roan_embedded_connect(server, &fd, &error) == ROAN_E_FORKED;
        roan_embedded_stop(server);
        roan *client;
        bool is_gone = roan_open(&client, "embedded://parent", NULL, &error) == ROAN_E_NO_ENTRY;
        _exit(is_told && is_gone ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    roan *client = open_handle("embedded://parent", NULL);
    assert_answer(client, "PING", "PONG");
    roan_close(client, 1000);
    roan_embedded_stop(server);
}

static void nothing_is_left_after_many_lives(void **state)
{
    (void)state;
    size_t threads = 0, descriptors = 0;
    for (int i = 0; i < 100; i++) {
        roan_embedded *server = start(ROAN_EMBEDDED(.name = "again", .threads = 1 + i % 3));
        roan *client = open_handle("embedded://again", NULL);
        assert_answer(client, "RPUSH list 1 2 3", "3");
        assert_answer(client, "EVAL return(redis.call('llen','list')) 0", "3");
        int fd = connect_raw(server); /* never read, and open when the server ends */
        send_text(fd, "BLPOP nothing 0\r\n");
        if (i % 2 == 0)
            roan_close(client, 1000);
        roan_embedded_stop(server);
        if (i % 2 != 0)
            roan_close(client, 1000);
        close(fd);
        if (i == 0) {
            threads = count_entries("/proc/self/task");
            descriptors = descriptor_count();
        }
    }
    assert_int_equal(thread_count(threads), threads);
    assert_int_equal(descriptor_count(), descriptors);
}

/* ---- the clock ---- */

static void keys_expire_when_the_test_says_so(void **state)
{
    (void)state;
    roan_error error;
    roan_embedded *server = start(ROAN_EMBEDDED(.name = "clock", .clock_us = START_US, .is_stopped = true,
                                                .config = "notify-keyspace-events Ex\n"));
    roan *client = open_handle("embedded://clock", NULL);
    int listener = connect_raw(server);
    send_text(listener, "SUBSCRIBE __keyevent@0__:expired\r\n");
    expect_text(listener, "*3\r\n$9\r\nsubscribe\r\n$22\r\n__keyevent@0__:expired\r\n:1\r\n");
    assert_answer(client, "SET session 1 EX 60", "OK");
    assert_answer(client, "HSET hash a 1 b 2", "2");
    assert_answer(client, "HEXPIRE hash 100 FIELDS 1 a", "1");
    advance(server, 60 * SECOND_US - 1000);
    assert_answer(client, "PTTL session", "1");
    assert_answer(client, "DBSIZE", "2");
    advance(server, 1000);
    assert_answer(client, "DBSIZE", "1"); /* it is gone, not only not found */
    expect_text(listener, "*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:expired\r\n$7\r\nsession\r\n");
    advance(server, 40 * SECOND_US);
    assert_answer(client, "HLEN hash", "1");
    assert_answer(client, "TIME", "1700000100 0");
    assert_int_equal(roan_embedded_clock_us(server), START_US + 100 * SECOND_US);
    assert_answer(client, "XADD stream * field value", "1700000100000-0");
    assert_answer(client, "OBJECT IDLETIME hash", "0");
    advance(server, 3600 * SECOND_US);
    assert_answer(client, "OBJECT IDLETIME stream", "3600");
    assert_ok(roan_embedded_clock_set(server, START_US, &error), &error);
    assert_answer(client, "SET back 1 PXAT 1700000000001", "OK");
    assert_answer(client, "PTTL back", "1");
    assert_int_equal(roan_embedded_clock_advance(server, -1, &error), ROAN_E_INVALID);
    assert_int_equal(roan_embedded_clock_set(server, -1, &error), ROAN_E_INVALID);
    assert_int_equal(roan_embedded_clock_set(server, INT64_MAX, &error), ROAN_E_INVALID);
    assert_answer(client, "PTTL back", "1");
    close(listener);
    roan_close(client, 1000);
    roan_embedded_stop(server);
}

static void a_clock_goes_stands_and_goes_on(void **state)
{
    (void)state;
    roan_error error;
    roan_embedded *server = start(NULL);
    int64_t first = roan_embedded_clock_us(server);
    struct timespec moment = {.tv_nsec = 2000000}, now;
    clock_gettime(CLOCK_REALTIME, &now);
    assert_true(llabs(first - (now.tv_sec * SECOND_US + now.tv_nsec / 1000)) < 10 * SECOND_US);
    nanosleep(&moment, NULL);
    assert_true(roan_embedded_clock_us(server) > first);
    roan_embedded_clock_freeze(server);
    int64_t stands = roan_embedded_clock_us(server);
    roan_embedded_clock_freeze(server);
    nanosleep(&moment, NULL);
    assert_int_equal(roan_embedded_clock_us(server), stands);
    roan_embedded_clock_thaw(server);
    roan_embedded_clock_thaw(server);
    nanosleep(&moment, NULL);
    int64_t goes = roan_embedded_clock_us(server);
    assert_true(goes > stands && goes < stands + 10 * SECOND_US);
    assert_ok(roan_embedded_clock_set(server, START_US, &error), &error);
    nanosleep(&moment, NULL);
    goes = roan_embedded_clock_us(server);
    assert_true(goes > START_US && goes < START_US + 10 * SECOND_US);
    roan_embedded_stop(server);
}

/* A hundred thousand keys that expire at once are gone when advance returns, on all workers. */
static void everything_that_is_due_is_done(void **state)
{
    (void)state;
    roan_embedded *server =
        start(ROAN_EMBEDDED(.name = "many", .threads = 3, .clock_us = START_US, .is_stopped = true));
    roan *client = open_handle("embedded://many", NULL);
    roan_slice words[] = {ROAN_LITERAL("EVAL"),
                          ROAN_LITERAL("for i=1,100000 do redis.call('set','k'..i,i,'ex',i%50+1) end"),
                          ROAN_LITERAL("0")};
    assert_int_equal(roan_do(client, 3, words, NULL, ROAN_WITH(.timeout_ms = 60000)), ROAN_NIL);
    advance(server, 25 * SECOND_US);
    assert_answer(client, "DBSIZE", "50000");
    advance(server, 25 * SECOND_US);
    assert_answer(client, "DBSIZE", "0");
    roan_close(client, 1000);
    roan_embedded_stop(server);
}

static void blocking_commands_follow_the_clock(void **state)
{
    (void)state;
    roan_embedded *server = start(ROAN_EMBEDDED(.name = "wait", .threads = 2, .is_stopped = true));
    roan *client = open_handle("embedded://wait", NULL);
    int waiting = connect_raw(server);
    send_text(waiting, "PING\r\nBLPOP nothing 600\r\n");
    expect_text(waiting, "+PONG\r\n");
    int64_t began = real_ms();
    char clients[1024] = "";
    while (strstr(clients, "blocked_clients:1") == NULL && real_ms() - began < 10000) /* until it waits */
        answer(client, "INFO clients", clients, sizeof clients);
    assert_non_null(strstr(clients, "blocked_clients:1"));
    advance(server, 599 * SECOND_US);
    char byte;
    assert_int_equal(recv(waiting, &byte, 1, MSG_DONTWAIT), -1);
    advance(server, SECOND_US);
    expect_text(waiting, "*-1\r\n");
    assert_true(real_ms() - began < 60000);
    close(waiting);
    roan_close(client, 1000);
    roan_embedded_stop(server);
}

/* ---- work ---- */

static void *pop(void *argument)
{
    assert_answer(argument, "BLPOP list 20", "list served");
    return NULL;
}

static void one_handle_serves_who_waits_on_another(void **state)
{
    (void)state;
    roan_embedded *server = start(ROAN_EMBEDDED(.name = "pop", .threads = 2));
    roan *first = open_handle("embedded://pop", NULL), *second = open_handle("embedded://pop", NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, pop, first), 0);
    assert_answer(second, "RPUSH list served", "1");
    pthread_join(thread, NULL);
    assert_answer(second, "LLEN list", "0");
    roan_close(first, 1000);
    roan_close(second, 1000);
    roan_embedded_stop(server);
}

static void transactions_are_whole(void **state)
{
    (void)state;
    roan_embedded *server = start(ROAN_EMBEDDED(.name = "multi"));
    roan *client = open_handle("embedded://multi", NULL);
    roan_slice increment[] = {ROAN_LITERAL("INCR"), ROAN_LITERAL("n")};
    roan_value *replies;
    roan_batch *batch = roan_batch_create(client, true);
    for (int i = 0; i < 3; i++)
        roan_batch_add(batch, 2, increment);
    assert_int_equal(roan_batch_run(batch, &replies, NULL), ROAN_OK);
    assert_int_equal(replies->count, 3);
    assert_int_equal(replies->elements[2].integer, 3);
    roan_value_free(replies);
    roan_lease *lease;
    assert_int_equal(roan_lease_take(client, &lease, 0), ROAN_OK);
    assert_answer(roan_lease_client(lease), "WATCH n", "OK");
    assert_answer(client, "SET n 7", "OK");
    assert_answer(roan_lease_client(lease), "MULTI", "OK");
    assert_answer(roan_lease_client(lease), "INCR n", "QUEUED");
    assert_answer(roan_lease_client(lease), "EXEC", "null");
    roan_lease_return(lease);
    roan_close(client, 1000);
    roan_embedded_stop(server);
}

typedef struct worker_part {
    roan *client;
    int number, commands;
    size_t wrong;
} worker_part;

static void *work(void *argument)
{
    worker_part *part = argument;
    char line[64], text[64], expected[32];
    for (int i = 0; i < part->commands; i += 3) {
        snprintf(line, sizeof line, "SET key:%d:%d %d", part->number, i % 50, i);
        answer(part->client, line, text, sizeof text);
        part->wrong += strcmp(text, "OK") != 0;
        snprintf(line, sizeof line, "GET key:%d:%d", part->number, i % 50);
        snprintf(expected, sizeof expected, "%d", i);
        answer(part->client, line, text, sizeof text);
        part->wrong += strcmp(text, expected) != 0;
        answer(part->client, "INCR shared", text, sizeof text);
        part->wrong += text[0] < '1' || text[0] > '9';
    }
    return NULL;
}

static void run_threads(const char *uri, int thread_count_wanted, int commands, bool shares_handle)
{
    enum { THREADS_MAX = 8 };
    pthread_t threads[THREADS_MAX];
    worker_part parts[THREADS_MAX];
    char total[32];
    roan *shared = open_handle(uri, NULL);
    for (int i = 0; i < thread_count_wanted; i++) {
        roan *client = shares_handle ? shared : open_handle(uri, NULL);
        parts[i] = (worker_part){.client = client, .number = i, .commands = commands};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &parts[i]), 0);
    }
    for (int i = 0; i < thread_count_wanted; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(parts[i].wrong, 0);
        if (!shares_handle)
            roan_close(parts[i].client, 1000);
    }
    snprintf(total, sizeof total, "%d", thread_count_wanted * ((commands + 2) / 3));
    assert_answer(shared, "GET shared", total);
    roan_close(shared, 1000);
}

static void four_threads_meet_four_workers(void **state)
{
    (void)state;
    roan_embedded *server = start(ROAN_EMBEDDED(.name = "four", .threads = 4));
    run_threads("embedded://four", 4, 3000, false);
    roan_embedded_stop(server);
}

static void eight_threads_send_ten_thousand_commands(void **state)
{
    (void)state;
    roan_embedded *server = start(ROAN_EMBEDDED(.name = "eight", .threads = 2));
    run_threads("embedded://eight", 8, 1250, true);
    roan_embedded_stop(server);
}

/* Clock and resets come in between from other threads. */
static void *disturb(void *argument)
{
    roan_error error;
    for (int i = 0; i < 50; i++) {
        if (roan_embedded_clock_advance(argument, 1000, &error) != ROAN_OK ||
            (i % 10 == 0 && roan_embedded_reset(argument, &error) != ROAN_OK))
            return argument;
        roan_embedded_clock_freeze(argument);
        roan_embedded_clock_thaw(argument);
    }
    return NULL;
}

static void clock_and_reset_come_between_commands(void **state)
{
    (void)state;
    roan_embedded *server = start(ROAN_EMBEDDED(.name = "busy", .threads = 2));
    roan *client = open_handle("embedded://busy", NULL);
    pthread_t threads[2];
    void *failed;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, disturb, server), 0);
    for (int i = 0; i < 1000; i++) {
        assert_answer(client, "SET key value EX 100", "OK");
        assert_answer(client, "EVAL return(redis.call('ping')) 0", "PONG");
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    roan_close(client, 1000);
    roan_embedded_stop(server);
}

/* ---- chance ---- */

static void draw(const char *name, uint64_t seed, char *text, size_t room)
{
    roan_embedded *server = start(ROAN_EMBEDDED(.name = name, .seed = seed));
    char uri[64];
    roan_error error = {0};
    snprintf(uri, sizeof uri, "embedded://%s", name);
    roan *client = open_handle(uri, NULL);
    size_t bytes = 0;
    for (int round = 0; round < 2; round++) { /* a reset begins anew */
        size_t start_of_round = bytes;
        for (int i = 0; i < 30; i++) {
            char line[64];
            snprintf(line, sizeof line, "SADD set member:%d", i);
            assert_answer(client, line, "1");
            snprintf(line, sizeof line, "SET key:%d x", i);
            assert_answer(client, line, "OK");
        }
        answer(client, "SRANDMEMBER set 5", text + bytes, room - bytes);
        bytes += strlen(text + bytes);
        answer(client, "RANDOMKEY", text + bytes, room - bytes);
        bytes += strlen(text + bytes);
        answer(client, "SPOP set 3", text + bytes, room - bytes);
        bytes += strlen(text + bytes);
        assert_ok(roan_embedded_reset(server, &error), &error);
        if (round == 1 && seed != 0) {
            assert_int_equal(bytes - start_of_round, start_of_round);
            assert_memory_equal(text, text + start_of_round, start_of_round);
        }
    }
    roan_close(client, 1000);
    roan_embedded_stop(server);
}

static void equal_seeds_give_equal_answers(void **state)
{
    (void)state;
    char first[2048], second[2048], third[2048];
    draw("a", 42, first, sizeof first);
    draw("b", 42, second, sizeof second);
    draw("c", 43, third, sizeof third);
    assert_string_equal(first, second);
    assert_string_not_equal(first, third);
}

/* ---- reset ---- */

static void a_reset_leaves_connections_and_nothing_else(void **state)
{
    (void)state;
    roan_error error = {0};
    roan_embedded *server = start(ROAN_EMBEDDED(.name = "reset", .threads = 2,
                                                .config = "user kept on nopass ~* +@all\nmaxmemory-policy allkeys-lfu\n"));
    roan *client = open_handle("embedded://reset", NULL), *guest, *tenant;
    int subscriber = connect_raw(server), watcher = connect_raw(server);
    send_text(subscriber, "SUBSCRIBE news\r\n");
    expect_text(subscriber, "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    assert_answer(client, "SET key value", "OK");
    send_text(watcher, "WATCH key\r\nMULTI\r\nPING\r\n");
    expect_text(watcher, "+OK\r\n+OK\r\n+QUEUED\r\n");
    assert_answer(client, "EVAL return(1) 0", "1");
    roan_slice library[] = {
        ROAN_LITERAL("FUNCTION"), ROAN_LITERAL("LOAD"),
        ROAN_LITERAL("#!lua name=lib\nredis.register_function('f', function() return 1 end)")};
    assert_int_equal(roan_do(client, 3, library, NULL, NULL), ROAN_OK);
    assert_answer(client, "CONFIG SET maxmemory-policy noeviction hash-max-listpack-entries 9", "OK");
    assert_answer(client, "CONFIG SET requirepass secret", "OK");
    assert_answer(client, "ACL SETUSER gone on nopass ~* +@all", "OK");
    assert_answer(client, "ACL SETUSER kept -set", "OK");
    assert_answer(client, "CONFIG SET slowlog-log-slower-than 0", "OK");
    guest = open_handle("embedded://gone@reset", NULL);
    tenant = open_handle("embedded://kept@reset", NULL);
    assert_answer(guest, "PING", "PONG");
    assert_fails(tenant, "SET a b", "permissions");
    assert_answer(client, "CLIENT PAUSE 100000 WRITE", "OK");
    assert_ok(roan_embedded_reset(server, &error), &error);
    assert_answer(client, "DBSIZE", "0");
    assert_answer(client, "FUNCTION LIST", "");
    assert_answer(client, "CONFIG GET maxmemory-policy", "maxmemory-policy allkeys-lfu");
    assert_answer(client, "CONFIG GET hash-max-listpack-entries", "hash-max-listpack-entries 512");
    assert_answer(client, "CONFIG GET requirepass", "requirepass ");
    assert_answer(client, "CONFIG GET slowlog-log-slower-than", "slowlog-log-slower-than 10000");
    assert_answer(client, "SLOWLOG LEN", "0");
    assert_answer(client, "ACL USERS", "default kept");
    assert_answer(tenant, "SET a b", "OK"); /* not paused, either */
    assert_fails(guest, "PING", "WRONGPASS");
    send_text(watcher, "EXEC\r\n");
    expect_text(watcher, "*-1\r\n");
    assert_answer(client, "PUBLISH news still", "1");
    expect_text(subscriber, "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nstill\r\n");
    close(subscriber);
    close(watcher);
    roan_close(client, 1000);
    roan_close(guest, 1000);
    roan_close(tenant, 1000);
    roan_embedded_stop(server);
}

/* ---- stopping ---- */

static void stopping_does_not_wait_for_clients(void **state)
{
    (void)state;
    roan_embedded *server = start(ROAN_EMBEDDED(.threads = 2, .config = "busy-reply-threshold 50\n"));
    int deaf = connect_raw(server), busy = connect_raw(server), waiting = connect_raw(server);
    send_text(deaf, "SETRANGE big 8000000 x\r\nGET big\r\nGET big\r\n");
    send_text(waiting, "BLPOP nothing 0\r\n");
    send_text(busy, "EVAL 'while true do end' 0\r\n");
    struct timespec moment = {.tv_nsec = 100000000};
    nanosleep(&moment, NULL); /* the loop runs by now, or stopping is only easier */
    int64_t began = real_ms();
    roan_embedded_stop(server);
    assert_true(real_ms() - began < STOPS_IN_MS);
    close(deaf);
    close(busy);
    close(waiting);
    roan_embedded_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handle_reaches_a_server_by_name),
        cmocka_unit_test(a_server_without_a_name_is_reached_by_its_transport),
        cmocka_unit_test(the_empty_name_is_embedded_alone),
        cmocka_unit_test(names_that_lead_nowhere_are_refused),
        cmocka_unit_test(a_handle_finds_the_successor_of_its_server),
        cmocka_unit_test(servers_side_by_side_share_nothing),
        cmocka_unit_test(descriptors_speak_resp),
        cmocka_unit_test(too_many_clients_are_told),
        cmocka_unit_test(after_shutdown_there_are_clear_errors),
        cmocka_unit_test(bad_options_are_named),
        cmocka_unit_test(what_asks_for_nothing_is_accepted),
        cmocka_unit_test(later_options_are_stronger),
        cmocka_unit_test(the_log_goes_to_who_asks),
        cmocka_unit_test(nothing_of_the_process_changes),
        cmocka_unit_test(signals_are_for_the_program),
        cmocka_unit_test(a_peer_that_leaves_harms_nobody),
        cmocka_unit_test(a_forked_child_is_told),
        cmocka_unit_test(nothing_is_left_after_many_lives),
        cmocka_unit_test(keys_expire_when_the_test_says_so),
        cmocka_unit_test(a_clock_goes_stands_and_goes_on),
        cmocka_unit_test(everything_that_is_due_is_done),
        cmocka_unit_test(blocking_commands_follow_the_clock),
        cmocka_unit_test(one_handle_serves_who_waits_on_another),
        cmocka_unit_test(transactions_are_whole),
        cmocka_unit_test(four_threads_meet_four_workers),
        cmocka_unit_test(eight_threads_send_ten_thousand_commands),
        cmocka_unit_test(clock_and_reset_come_between_commands),
        cmocka_unit_test(equal_seeds_give_equal_answers),
        cmocka_unit_test(a_reset_leaves_connections_and_nothing_else),
        cmocka_unit_test(stopping_does_not_wait_for_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
