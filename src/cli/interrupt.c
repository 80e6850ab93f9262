/* cli/interrupt.c: Ctrl-C as a flag.
 *
 * A signal handler can reach nothing but a global, so this unit holds the only one of the program.
 * The handler is installed without SA_RESTART: whoever waits sees EINTR, looks at the flag and
 * decides what being interrupted means there. In an interactive session SIGINT is blocked except
 * while polling: a Ctrl-C between the look at the flag and the wait would otherwise be noticed only
 * after the wait.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* ppoll */
#endif

#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>

static volatile sig_atomic_t is_interrupted;

static void on_signal(int signal_number)
{
    (void)signal_number;
    is_interrupted = 1;
}

static void set_handler(int flags)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

void roan_cli_interrupt_catch(void)
{
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    set_handler(0);
}

int roan_cli_interrupt_poll(struct pollfd *entries, nfds_t count, int timeout_ms)
{
    struct timespec timeout = {.tv_sec = timeout_ms / 1000,
                               .tv_nsec = (long)(timeout_ms % 1000) * 1000000};
    sigset_t mask;

    sigprocmask(SIG_BLOCK, NULL, &mask);
    sigdelset(&mask, SIGINT);
    return ppoll(entries, count, timeout_ms < 0 ? NULL : &timeout, &mask);
}

void roan_cli_interrupt_catch_once(void)
{
    set_handler((int)SA_RESETHAND);
}

bool roan_cli_interrupt_is_set(void)
{
    return is_interrupted != 0;
}

void roan_cli_interrupt_clear(void)
{
    is_interrupted = 0;
}
