/* test_faults.c: the client against a real server through a line that fails at every single byte.
 *
 *     test_faults PROGRAM        starts `PROGRAM server` on a free port
 *
 * A run is a dialogue of ten commands through a proxy of its own, with one fault at one byte of one direction on the
 * first connection; later connections are clean. The dialogue is held in four ways: one synchronous call after the
 * other; all at once with futures; these driven by the library's thread, or by a loop of this program. Writes are INCRs
 * of keys that only this run knows, so that afterwards the server tells how often each has run. Whatever the fault:
 *
 *     every call returns by its deadline (and what a busy machine adds), and so does closing the handle
 *     no write ran twice; one that was answered ran once; one that is said not to have been sent did not run, and not a
 *     byte of its key came out of the process
 *     after it the handle works again
 *     nothing leaks
 *
 * When a connection is lost, reads are repeated by the client and all succeed, as the second connection is good; only
 * calls that wait for the very first connection share its failure. Runs go on in several threads, since those with
 * stalls do nothing but wait.
 * ROAN_TEST_STRIDE=n tries only every n-th byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault_proxy.h"
#include "roan/client.h"

enum {
    COMMANDS = 10,
    WORKERS = 24,
    KEY_MAX = 16,
    PATIENT_MS = 10000,  /* a deadline that only a failure reaches */
    SHORT_MS = 120,      /* where the fault is silence */
    MARGIN_MS = 3000,    /* what a busy machine may add */
    START_TRIES = 2000,  /* for the server, 5 ms each */
};

/* What each command does with the key of that number: 'w' INCR, 'r' GET. */
static const struct {
    char kind;
    unsigned key;
} DIALOGUE[COMMANDS] = {{'w', 0}, {'r', 0}, {'w', 2}, {'r', 2}, {'w', 4},
                       {'w', 5}, {'r', 4}, {'w', 7}, {'w', 8}, {'r', 8}};

typedef enum dialogue_mode {
    MODE_ONE_BY_ONE,
    MODE_PIPELINED,
    MODE_THREAD, /* pipelined, driven by a thread of the library */
    MODE_LOOP,   /* pipelined, driven by this program */
    MODES
} dialogue_mode;

static const char *const MODE_NAMES[MODES] = {"one by one", "pipelined", "by a thread", "by a loop"};

typedef struct run {
    fault fault;
    dialogue_mode mode;
    unsigned id;
    char keys[COMMANDS][KEY_MAX];
    roan_status status[COMMANDS];
    roan_fate fate[COMMANDS];
    int64_t integer[COMMANDS]; /* of a write's answer */
    char text[COMMANDS][128];  /* of a failure */
} run;

/* A sweep: runs for bytes at 0, stride, ... of a direction. */
typedef struct sweep {
    fault_kind kind;
    fault_side side;
    unsigned char mask;
    dialogue_mode mode;
    uint64_t bytes;
    unsigned stride;
    _Atomic uint64_t next;
    _Atomic unsigned fired, runs;
} sweep;

static const char *program;
static pid_t server_pid = -1;
static uint16_t server_port;
static char server_folder[] = "/tmp/roan-faults-XXXXXX";
static uint64_t lengths[FAULT_SIDES]; /* of the dialogue */
static atomic_uint next_id;

static pthread_mutex_t complaint_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool has_complaint;
static char complaint[1024]; /* the first one; cmocka's own assertions are for the main thread */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

__attribute__((format(printf, 2, 3))) static void complain(const run *r, const char *format, ...)
{
    pthread_mutex_lock(&complaint_lock);
    if (!atomic_exchange(&has_complaint, true)) {
        int used = snprintf(complaint, sizeof complaint, "%s at byte %llu to the %s, %s: ",
                            r->fault.kind < FAULT_KINDS ? fault_kind_name(r->fault.kind) : "no fault",
                            (unsigned long long)r->fault.at, r->fault.side == FAULT_TO_SERVER ? "server" : "client",
                            MODE_NAMES[r->mode]);
        va_list arguments;
        va_start(arguments, format);
        used += vsnprintf(complaint + used, sizeof complaint - (size_t)used, format, arguments);
        va_end(arguments);
        for (unsigned i = 0; i < COMMANDS && used >= 0 && (size_t)used < sizeof complaint; i++)
            used += snprintf(complaint + used, sizeof complaint - (size_t)used, "%s%d:%u",
                             i == 0 ? "\n  status:fate " : " ", (int)r->status[i], (unsigned)r->fate[i]);
    }
    pthread_mutex_unlock(&complaint_lock);
}

/* Once the workers are gone; the next test starts anew. */
static void fail_with_complaint(void)
{
    char text[sizeof complaint];
    memcpy(text, complaint, sizeof text);
    atomic_store(&has_complaint, false);
    fail_msg("%s", text);
}

/* --- one run ------------------------------------------------------------------------------------------------------ */

static bool is_silent(const run *r)
{
    return r->fault.kind == FAULT_STALL || r->fault.kind == FAULT_CORRUPT;
}

static int timeout_of(const run *r)
{
    return is_silent(r) ? SHORT_MS : PATIENT_MS;
}

static roan *open_handle(uint16_t port, const run *r)
{
    char uri[64];
    snprintf(uri, sizeof uri, "redis://127.0.0.1:%u", (unsigned)port);
    static const roan_drive drives[MODES] = {[MODE_THREAD] = ROAN_DRIVE_THREAD, [MODE_LOOP] = ROAN_DRIVE_LOOP};
    roan *client = NULL;
    roan_error error;
    if (roan_open(&client, uri,
                  ROAN_OPTIONS(.request_timeout_ms = timeout_of(r), .connect_timeout_ms = timeout_of(r) / 2,
                               .backoff_first_ms = 1, .backoff_max_ms = 5, .drive = drives[r->mode]),
                  &error) != ROAN_OK)
        complain(r, "roan_open: %s", error.text);
    return client;
}

static void make_words(const run *r, unsigned i, roan_slice words[2])
{
    words[0] = DIALOGUE[i].kind == 'w' ? ROAN_LITERAL("INCR") : ROAN_LITERAL("GET");
    words[1] = roan_slice_from_text(r->keys[DIALOGUE[i].key]);
}

static void note_result(run *r, unsigned i, roan_status status, roan_value *reply, const roan_failure *failure)
{
    r->status[i] = status;
    r->fate[i] = status < 0 ? failure->fate : ROAN_FATE_RAN;
    snprintf(r->text[i], sizeof r->text[i], "%.100s", status < 0 ? failure->text : "");
    r->integer[i] = reply != NULL && reply->type == ROAN_REPLY_INTEGER ? reply->integer : -1;
    if (status < 0 && failure->code != status)
        complain(r, "command %u: status %d, but the failure says %d", i, (int)status, (int)failure->code);
    roan_value_free(reply);
}

static void check_time(const run *r, const char *what, unsigned i, int64_t began_ms, int64_t limit_ms)
{
    int64_t took_ms = now_ms() - began_ms;
    if (took_ms > limit_ms + MARGIN_MS)
        complain(r, "%s %u took %lld ms, allowed were %lld", what, i, (long long)took_ms, (long long)limit_ms);
}

static void call_one_by_one(roan *client, run *r)
{
    for (unsigned i = 0; i < COMMANDS; i++) {
        roan_slice words[2];
        make_words(r, i, words);
        roan_value *reply = NULL;
        int64_t began_ms = now_ms();
        roan_status status = roan_do(client, 2, words, &reply, NULL);
        check_time(r, "command", i, began_ms, timeout_of(r));
        note_result(r, i, status, reply, roan_last_failure());
    }
}

/* As a program's event loop does it, with nothing but the descriptor and the due time. */
static void turn_until_settled(roan *client, const roan_future *future)
{
    while (!roan_is_settled(future)) {
        struct pollfd item = {.fd = roan_fd(client), .events = POLLIN};
        poll(&item, 1, roan_turn_due_ms(client));
        if (roan_turn(client, 0) != ROAN_OK)
            abort();
    }
}

static void call_pipelined(roan *client, run *r)
{
    roan_future *futures[COMMANDS];
    int64_t began_ms = now_ms();
    for (unsigned i = 0; i < COMMANDS; i++) {
        roan_slice words[2];
        make_words(r, i, words);
        futures[i] = roan_go(client, 2, words, NULL);
    }
    for (unsigned i = 0; i < COMMANDS; i++) {
        roan_value *reply = NULL;
        roan_failure failure = {0};
        if (r->mode == MODE_LOOP)
            turn_until_settled(client, futures[i]);
        roan_status status = roan_take(futures[i], &reply, &failure);
        check_time(r, "future", i, began_ms, timeout_of(r));
        note_result(r, i, status, reply, &failure);
    }
}

/* The handle has come back when a call succeeds. */
static void check_recovery(roan *client, const run *r)
{
    int64_t until_ms = now_ms() + PATIENT_MS;
    roan_slice ping[] = {ROAN_LITERAL("PING")};
    for (;;) {
        roan_failure failure = {0};
        roan_future *future = roan_go(client, 1, ping, ROAN_WITH(.timeout_ms = timeout_of(r)));
        if (r->mode == MODE_LOOP)
            turn_until_settled(client, future);
        if (roan_take(future, NULL, &failure) == ROAN_OK)
            return;
        if (now_ms() > until_ms) {
            complain(r, "it does not recover: %s", failure.text);
            return;
        }
    }
}

/* --- what became of it -------------------------------------------------------------------------------------------- */

static bool fetch_counts(roan *direct, const run *r, int64_t counts[COMMANDS])
{
    roan_slice words[COMMANDS + 1] = {ROAN_LITERAL("MGET")};
    for (unsigned i = 0; i < COMMANDS; i++)
        words[i + 1] = roan_slice_from_text(r->keys[i]);
    roan_value *reply = NULL;
    if (roan_do(direct, COMMANDS + 1, words, &reply, NULL) != ROAN_OK || reply->count != COMMANDS) {
        complain(r, "asking the server: %s", roan_last_failure()->text);
        roan_value_free(reply);
        return false;
    }
    for (unsigned i = 0; i < COMMANDS; i++) {
        char digits[24] = "0";
        const roan_slice text = reply->elements[i].text;
        if (reply->elements[i].type == ROAN_REPLY_BULK && text.bytes < sizeof digits)
            memcpy(digits, text.data, text.bytes);
        counts[i] = strtoll(digits, NULL, 10);
    }
    roan_value_free(reply);
    return true;
}

static void check_write(const run *r, unsigned i, int64_t count, const char *sent)
{
    char request[64]; /* without its beginning: keys are the run's own, but others read them */
    snprintf(request, sizeof request, "INCR\r\n$9\r\n%s", r->keys[DIALOGUE[i].key]);
    bool is_corrupted = r->fault.kind == FAULT_CORRUPT;
    if (count > 1 && !is_corrupted)
        complain(r, "command %u ran %lld times", i, (long long)count);
    if (r->status[i] == ROAN_OK && !is_corrupted && (count != 1 || r->integer[i] != 1))
        complain(r, "command %u succeeded with %lld and ran %lld times", i, (long long)r->integer[i], (long long)count);
    bool has_run = count != 0 && (!is_corrupted || r->fault.side == FAULT_TO_CLIENT);
    if (r->status[i] < 0 && r->fate[i] == ROAN_FATE_NOT_SENT && (has_run || strstr(sent, request) != NULL))
        complain(r, "command %u (%s) is said not to have been sent; it %s", i, r->text[i],
                 has_run ? "ran" : "left the process");
    if (r->status[i] < 0 && r->fate[i] == ROAN_FATE_RAN && r->status[i] != ROAN_E_SERVER && !is_corrupted)
        complain(r, "command %u (%s) is said to have run, but with status %d", i, r->text[i], (int)r->status[i]);
}

/* Calls that wait for the very first connection share its failure; none was sent before them. */
static void check_read(const run *r, unsigned i)
{
    bool is_first = true;
    for (unsigned j = 0; j <= i; j++)
        is_first &= r->status[j] < 0 && r->fate[j] == ROAN_FATE_NOT_SENT;
    if (r->status[i] < 0 && !is_silent(r) && !is_first)
        complain(r, "command %u, a read, failed: %s", i, r->text[i]);
}

/* Corruption may name other keys, or look like other answers: counts say nothing then. */
static void check_run(roan *direct, const run *r, const char *sent)
{
    int64_t counts[COMMANDS];
    if (!fetch_counts(direct, r, counts))
        return;
    unsigned failed = 0, last = 0;
    for (unsigned i = 0; i < COMMANDS; i++) {
        if (DIALOGUE[i].kind == 'w')
            check_write(r, i, counts[DIALOGUE[i].key], sent);
        else
            check_read(r, i);
        failed += r->status[i] < 0;
        last = r->status[i] < 0 ? i : last;
    }
    if (failed > 0 && (r->fault.kind == FAULT_SPLIT || r->fault.kind == FAULT_KINDS))
        complain(r, "%u commands failed for nothing: %s", failed, r->text[last]);
    if (failed > 1 && !is_silent(r) && r->mode == MODE_ONE_BY_ONE)
        complain(r, "%u commands failed after one loss: %s", failed, r->text[last]);
}

static void do_run(fault_proxy *proxy, roan *direct, run *r)
{
    r->id = atomic_fetch_add(&next_id, 1);
    /* corrupted keys may be those of another run, hence a name space of their own */
    char space = r->fault.kind == FAULT_CORRUPT && r->fault.side == FAULT_TO_SERVER ? 'c' : 'r';
    for (unsigned i = 0; i < COMMANDS; i++)
        snprintf(r->keys[i], KEY_MAX, "%c%06x.%u", space, r->id, i);
    fault_proxy_forget(proxy);
    fault_proxy_plan(proxy, &r->fault, r->fault.kind < FAULT_KINDS ? 1 : 0, 1);
    roan *client = open_handle(fault_proxy_port(proxy), r);
    if (client == NULL)
        return;
    if (r->mode == MODE_ONE_BY_ONE)
        call_one_by_one(client, r);
    else
        call_pipelined(client, r);
    check_recovery(client, r);
    int64_t began_ms = now_ms();
    roan_close(client, 100);
    check_time(r, "closing", 0, began_ms, 100);
    size_t bytes;
    char *sent = fault_proxy_sent(proxy, FAULT_TO_SERVER, &bytes);
    check_run(direct, r, sent);
    free(sent);
}

/* --- sweeps ------------------------------------------------------------------------------------------------------- */

static void *work(void *argument)
{
    sweep *s = argument;
    fault_proxy *proxy = fault_proxy_create(0, server_port);
    run r = {.fault = {.kind = FAULT_KINDS}};
    roan *direct = open_handle(server_port, &r);
    for (;;) {
        uint64_t at = atomic_fetch_add(&s->next, s->stride);
        if (at > s->bytes || atomic_load(&has_complaint))
            break;
        r = (run){.fault = {.kind = s->kind, .side = s->side, .at = at, .mask = s->mask}, .mode = s->mode};
        do_run(proxy, direct, &r);
        atomic_fetch_add(&s->runs, 1);
    }
    atomic_fetch_add(&s->fired, fault_proxy_fired(proxy));
    roan_close(direct, 1000);
    fault_proxy_free(proxy);
    return NULL;
}

static unsigned stride_of(unsigned usual)
{
    const char *text = getenv("ROAN_TEST_STRIDE");
    unsigned long stride = text != NULL ? strtoul(text, NULL, 10) : usual;
    return stride > 0 && stride < 10000 ? (unsigned)stride : usual;
}

static unsigned count_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    unsigned count = 0;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void do_sweep(fault_kind kind, fault_side side, dialogue_mode mode, unsigned char mask, unsigned stride)
{
    sweep s = {.kind = kind, .side = side, .mode = mode, .mask = mask, .stride = stride_of(stride),
               .bytes = lengths[side]};
    unsigned fds = count_fds();
    pthread_t threads[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &s), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    if (atomic_load(&has_complaint))
        fail_with_complaint();
    /* almost every fault came into effect; the last bytes may not be there in each run, PING's are in all */
    assert_true(s.runs > s.bytes / s.stride);
    assert_true(s.fired + 2 + s.runs / 10 >= s.runs); /* the busier the machine, the fewer bytes there are */
    assert_int_equal(count_fds(), fds);
}

/* Every byte for the caller's own thread; the other two share nearly everything with it. */
static void sweep_all(fault_kind kind, unsigned char mask, unsigned stride)
{
    static const unsigned strides[MODES] = {1, 1, 5, 5};
    for (int mode = 0; mode < MODES; mode++) {
        do_sweep(kind, FAULT_TO_SERVER, (dialogue_mode)mode, mask, stride * strides[mode]);
        do_sweep(kind, FAULT_TO_CLIENT, (dialogue_mode)mode, mask, stride * strides[mode]);
    }
}

static void test_a_clean_line_and_its_length(void **state)
{
    (void)state;
    fault_proxy *proxy = fault_proxy_create(0, server_port);
    run r = {.fault = {.kind = FAULT_KINDS}};
    roan *direct = open_handle(server_port, &r);
    for (int mode = 0; mode < MODES; mode++) {
        r = (run){.fault = {.kind = FAULT_KINDS}, .mode = (dialogue_mode)mode};
        do_run(proxy, direct, &r);
        for (int side = 0; side < FAULT_SIDES; side++) {
            size_t bytes;
            free(fault_proxy_sent(proxy, (fault_side)side, &bytes));
            if (mode > 0 && lengths[side] != bytes)
                complain(&r, "%zu bytes instead of %llu", bytes, (unsigned long long)lengths[side]);
            lengths[side] = bytes;
        }
    }
    roan_close(direct, 1000);
    fault_proxy_free(proxy);
    if (atomic_load(&has_complaint))
        fail_with_complaint();
    assert_true(lengths[FAULT_TO_SERVER] > 250 && lengths[FAULT_TO_CLIENT] > 50);
}

static void test_cut_at_every_byte(void **state)
{
    (void)state;
    sweep_all(FAULT_CUT, 0, 1);
}

static void test_end_at_every_byte(void **state)
{
    (void)state;
    sweep_all(FAULT_END, 0, 1);
}

static void test_half_close_at_every_byte(void **state)
{
    (void)state;
    sweep_all(FAULT_HALF_CLOSE, 0, 1);
}

static void test_stall_at_every_byte(void **state)
{
    (void)state;
    sweep_all(FAULT_STALL, 0, 1);
}

static void test_split_at_every_byte(void **state)
{
    (void)state;
    sweep_all(FAULT_SPLIT, 0, 5);
}

static void test_corruption_of_every_byte(void **state)
{
    (void)state;
    sweep_all(FAULT_CORRUPT, 0x01, 1);
    sweep_all(FAULT_CORRUPT, 0x80, 7);
}

/* --- the server --------------------------------------------------------------------------------------------------- */

static uint16_t free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, bytes), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static bool is_up(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(server_port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool is_connected = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    close(fd);
    return is_connected;
}

static int start_server(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(server_folder));
    server_port = free_port();
    char port[16];
    snprintf(port, sizeof port, "%u", (unsigned)server_port);
    server_pid = fork();
    assert_true(server_pid >= 0);
    if (server_pid == 0) {
        int nowhere = open("/dev/null", O_RDWR);
        dup2(nowhere, STDIN_FILENO);
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
        execl(program, "roan", "server", "--port", port, "--bind", "127.0.0.1", "--dir", server_folder, "--save", "",
              (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < START_TRIES && !is_up(); i++) {
        assert_int_equal(waitpid(server_pid, NULL, WNOHANG), 0);
        usleep(5000);
    }
    return is_up() ? 0 : -1;
}

static int stop_server(void **state)
{
    (void)state;
    if (server_pid > 0) {
        kill(server_pid, SIGTERM);
        waitpid(server_pid, NULL, 0);
    }
    rmdir(server_folder);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: test_faults PROGRAM\n");
        return 2;
    }
    program = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_clean_line_and_its_length),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_end_at_every_byte),
        cmocka_unit_test(test_half_close_at_every_byte),
        cmocka_unit_test(test_stall_at_every_byte),
        cmocka_unit_test(test_split_at_every_byte),
        cmocka_unit_test(test_corruption_of_every_byte),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
