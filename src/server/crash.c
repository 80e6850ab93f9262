/* server/crash.c: a report of version, signal and stack, and then the signal's usual effect.
 *
 * Whatever crashed may hold the heap's or the log's lock, so the handler uses nothing but write(2), open(2) and the
 * stack walker, which was called once before so that it need not be loaded. Each thread has a stack of its own for the
 * handler, as the ordinary one may be what overflowed. The variables are the process's, as its signal handlers are.
 *
 * The stack's addresses have the form TITLE(+0xOFFSET): `addr2line -e PROGRAM 0xOFFSET` makes lines of them.
 */
#include "server/crash.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "base/number.h"

#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define FRAMES_MAX 64
#define STACK_BYTES 65536

static const struct {
    int number;
    const char *name, *meaning;
} signals[] = {
    {SIGSEGV, "SIGSEGV", "an access to memory that is not there"},
    {SIGBUS, "SIGBUS", "an access to memory that cannot be had"},
    {SIGFPE, "SIGFPE", "arithmetic without a result"},
    {SIGILL, "SIGILL", "no instruction of this processor"},
    {SIGABRT, "SIGABRT", "the program gave up by itself"},
};

static char log_path[PATH_MAX];
static volatile sig_atomic_t has_begun; /* one report is enough, and a crash in the handler must end */
static _Thread_local char *own_stack;

static void put(int fd, const char *text)
{
    ROAN_IGNORE(write(fd, text, strlen(text))); /* nobody is left to tell */
}

static void put_number(int fd, const char *before, int64_t value)
{
    char text[ROAN_I64_TEXT_MAX + 1];
    text[roan_format_i64(text, value)] = '\0';
    put(fd, before);
    put(fd, text);
}

static void put_address(int fd, const char *before, uint64_t value)
{
    char text[2 + 16 + 1] = "0x";
    for (int i = 0; i < 16; i++)
        text[2 + i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
    put(fd, before);
    put(fd, text);
}

static void report(int fd, int number, const siginfo_t *info)
{
    void *frames[FRAMES_MAX];
    const char *name = "a signal", *meaning = "";
    for (size_t i = 0; i < ROAN_COUNT_OF(signals); i++)
        if (signals[i].number == number) {
            name = signals[i].name;
            meaning = signals[i].meaning;
        }
    put(fd, "\n=== Roan " ROAN_VERSION " crashed by ");
    put(fd, name);
    put(fd, ": ");
    put(fd, meaning);
    put(fd, " ===\n");
    put_number(fd, "process ", getpid());
    put_number(fd, ", thread ", gettid());
    if (info->si_code <= 0 && info->si_pid != 0)
        put_number(fd, ", sent by process ", info->si_pid);
    else if (info->si_code > 0)
        put_address(fd, ", address ", (uint64_t)(uintptr_t)info->si_addr);
    char program[PATH_MAX];
    ssize_t bytes = readlink("/proc/self/exe", program, sizeof program - 1);
    program[bytes < 0 ? 0 : bytes] = '\0';
    put(fd, ", program ");
    put(fd, program);
    put(fd, "\nstack:\n");
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), fd);
    put(fd, "=== Please report this with the lines above. ===\n");
}

static void on_crash(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (!has_begun) {
        has_begun = 1;
        int fd = log_path[0] == '\0' ? STDOUT_FILENO : open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        report(fd >= 0 ? fd : STDERR_FILENO, number, info);
    }
    ROAN_IGNORE(raise(number)); /* SA_RESETHAND has brought the usual effect back */
}

void roan_crash_watch(const char *path, bool is_enabled)
{
    void *frames[1];
    ROAN_IGNORE(backtrace(frames, 1)); /* loads the stack walker */
    if (is_enabled && strlen(path) < sizeof log_path)
        memcpy(log_path, path, strlen(path) + 1);
    struct sigaction watch = {.sa_sigaction = on_crash,
                              .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND | SA_NODEFER};
    struct sigaction leave = {.sa_handler = SIG_DFL}, now;
    for (size_t i = 0; i < ROAN_COUNT_OF(signals); i++) {
        ROAN_ASSERT(sigaction(signals[i].number, NULL, &now) == 0);
        bool is_ours = (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_crash;
        bool is_free = (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL;
        if (is_enabled ? is_free : is_ours)
            sigaction(signals[i].number, is_enabled ? &watch : &leave, NULL);
    }
}

void roan_crash_enter_thread(void)
{
    stack_t now;
    if (sigaltstack(NULL, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0)
        return; /* somebody (a sanitizer) gave it one */
    own_stack = roan_alloc(STACK_BYTES);
    stack_t stack = {.ss_sp = own_stack, .ss_size = STACK_BYTES};
    sigaltstack(&stack, NULL);
}

void roan_crash_leave_thread(void)
{
    stack_t none = {.ss_flags = SS_DISABLE};
    if (own_stack == NULL)
        return;
    sigaltstack(&none, NULL);
    roan_free(own_stack, STACK_BYTES);
    own_stack = NULL;
}
