/* cli/interrupt.c: Ctrl-C as a flag.
 *
 * A signal handler can reach nothing but a global, so this unit holds the only one of the program. The
 * handler is installed without SA_RESTART: whoever waits in a system call sees EINTR, looks at the flag
 * and decides what being interrupted means there.
 */
#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>

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
    set_handler(0);
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
