/* cli/mode_scan.c: --scan, the names of the keys, one per line.
 *
 * At a terminal names are quoted; elsewhere they are written as they are, so that they can be piped
 * into other programs. A key may be shown twice when the table is resized meanwhile: that is SCAN's
 * contract.
 */
#include "cli/mode.h"

#include "cli/scan.h"
#include "cli/text.h"

#include <stdio.h>

int roan_cli_mode_scan(roan_cli_session *session)
{
    bool is_quoted = session->options->format == ROAN_CLI_FORMAT_TTY;
    roan_cli_scan scan = {0};
    roan_cli_text out = {0};
    roan_value *reply;

    snprintf(scan.cursor, sizeof scan.cursor, "%.31s", session->options->cursor);
    while ((reply = roan_cli_scan_next(session, &scan)) != NULL) {
        const roan_value *keys = &reply->elements[1];
        roan_cli_text_clear(&out);
        for (size_t i = 0; i < keys->count; i++) {
            if (is_quoted)
                roan_cli_text_quote(&out, keys->elements[i].text);
            else
                roan_cli_text_put_slice(&out, keys->elements[i].text);
            roan_cli_text_put_char(&out, '\n');
        }
        roan_value_free(reply);
        roan_cli_text_write(&out, stdout);
        roan_cli_flush();
        roan_cli_scan_pause(session, &scan, 1);
    }
    roan_cli_text_done(&out);
    return 0;
}
