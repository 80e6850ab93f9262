/* cli/subscribe.h: commands that are answered with a message per channel, and the messages after
 * them. */
#pragma once

#include "cli/execute.h"

/* True for SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE and their opposites. */
bool roan_cli_is_subscription(const roan_cli_words *words);

/* Sends such a command and shows its confirmations. Outside an interactive session it then shows
 * messages until the connection ends. */
roan_cli_outcome roan_cli_subscribe(roan_cli_session *session, const roan_cli_words *words);

/* Shows the messages that are here. False when the connection broke, after saying so. */
bool roan_cli_show_messages(roan_cli_session *session);
