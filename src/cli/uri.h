/* cli/uri.h: where a server is, as a URI. */
#pragma once

#include "cli/options.h"

/* Reads redis://[user:]password@]host[:port][/db], the same with valkey://, or
 * unix://[…@]path[?db=n] into `options`. False after printing what is wrong. */
bool roan_cli_uri_parse(const char *uri, roan_cli_options *options);
