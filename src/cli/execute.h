/* cli/execute.h: runs commands a person or a script asks for, and shows what comes back. */
#pragma once

#include "cli/session.h"

typedef enum roan_cli_outcome {
    ROAN_CLI_DONE,        /* the server answered, and not with an error */
    ROAN_CLI_ERROR_REPLY, /* the server answered with an error */
    ROAN_CLI_FAILED,      /* no answer; said so on stderr */
    ROAN_CLI_INTERRUPTED  /* Ctrl-C, in an interactive session */
} roan_cli_outcome;

/* Runs `words` as a command `repeat` times (without end when negative), connecting first where
 * needed, and shows the replies. Stops at the first that fails. */
roan_cli_outcome roan_cli_execute(roan_cli_session *session, const roan_cli_words *words,
                                  int64_t repeat);

/* Shows one message that came while the session is subscribed and keeps count of subscriptions. */
void roan_cli_take_message(roan_cli_session *session, const roan_value *message);
