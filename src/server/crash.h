/* server/crash.h: a last word in the log when the process dies of a signal. */
#pragma once

#include <stdbool.h>

/* From now on SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT are reported to the file (absolute path; "": standard output)
 * before they take their usual effect. For the whole process; again with is_enabled false to end it. Signals that
 * somebody else handles (a sanitizer) are left alone. */
void roan_crash_watch(const char *log_path, bool is_enabled);

/* Lets the calling thread report that its stack overflowed. Pair with roan_crash_leave_thread at its end. */
void roan_crash_enter_thread(void);
void roan_crash_leave_thread(void);
