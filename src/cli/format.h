/* cli/format.h: replies as text, in the shapes redis-cli made familiar. */
#pragma once

#include "cli/options.h"
#include "cli/text.h"

#include "roan/resp.h"

/* For people: types shown, strings quoted, elements numbered and indented. Ends with a line end. */
void roan_cli_format_tty(roan_cli_text *out, const roan_value *value);

/* For scripts: bytes as they are, elements joined by `delimiter`. No line end. */
void roan_cli_format_raw(roan_cli_text *out, const roan_value *value, const char *delimiter);

/* One comma-separated line however deep the reply is. No line end. */
void roan_cli_format_csv(roan_cli_text *out, const roan_value *value);

/* JSON. `is_ascii` escapes every byte of strings that is not printable ASCII. No line end. */
void roan_cli_format_json(roan_cli_text *out, const roan_value *value, bool is_ascii);

/* A whole reply in the format the options ask for, with what ends it. `is_verbatim` is for reports
 * such as INFO, which bring their own line ends: every format shows their text and nothing else. */
void roan_cli_format_reply(roan_cli_text *out, const roan_value *value,
                           const roan_cli_options *options, bool is_verbatim);
