/* base/assert.c: what happens when one of our own invariants is broken: say which, then abort.
 *
 * The message goes to standard error with write(2), because the heap and stdio may be what is broken.
 */
#include "base/macros.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void roan_assert_failed(const char *condition, const char *file, int line, const char *function)
{
    char text[512];
    int bytes = snprintf(text, sizeof text, "roan: assertion failed: %s\n  at %s:%d in %s\n", condition, file, line,
                         function);
    if (bytes > 0)
        ROAN_IGNORE(write(STDERR_FILENO, text, ROAN_MIN((size_t)bytes, sizeof text - 1))); /* nobody left to tell */
    abort();
}
