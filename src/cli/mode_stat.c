/* cli/mode_stat.c: --stat, one line of figures per second.
 *
 * Everything comes from INFO; a figure the server does not report is shown as 0. Keys are summed
 * over the databases. The column of requests shows the difference to the line before. The headline
 * is repeated every HEADLINE_EVERY lines. A lost connection ends the mode.
 */
#include "cli/mode.h"

#include "cli/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HEADLINE_EVERY 20

/* The number behind "name:" in a report, or 0. */
static int64_t find_figure(const char *report, const char *name)
{
    size_t bytes = strlen(name);

    for (const char *line = report; line != NULL && *line != '\0';) {
        if (strncmp(line, name, bytes) == 0 && line[bytes] == ':')
            return strtoll(line + bytes + 1, NULL, 10);
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return 0;
}

/* Sums "dbN:keys=M,..." over all databases. */
static int64_t count_keys(const char *report)
{
    int64_t keys = 0;

    for (const char *line = strstr(report, "\ndb"); line != NULL; line = strstr(line + 1, "\ndb")) {
        int64_t here;
        if (sscanf(line, "\ndb%*d:keys=%" SCNd64, &here) == 1)
            keys += here;
    }
    return keys;
}

static const char *name_child(const char *report)
{
    if (find_figure(report, "rdb_bgsave_in_progress") != 0)
        return "SAVE";
    if (find_figure(report, "aof_rewrite_in_progress") != 0)
        return "AOF";
    return find_figure(report, "loading") != 0 ? "LOAD" : "";
}

static void print_line(const char *report, int64_t *requests)
{
    char text[64];
    int64_t now = find_figure(report, "total_commands_processed");

    printf("%-11" PRId64, count_keys(report));
    printf("%-8s", roan_cli_human_size((uint64_t)find_figure(report, "used_memory"), text,
                                       sizeof text));
    printf(" %-8" PRId64, find_figure(report, "connected_clients"));
    printf("%-8" PRId64, find_figure(report, "blocked_clients"));
    snprintf(text, sizeof text, "%" PRId64 " (+%" PRId64 ")", now,
             *requests == 0 ? 0 : now - *requests);
    printf("%-19s", text);
    *requests = now;
    printf(" %-12" PRId64, find_figure(report, "total_connections_received"));
    printf("%s\n", name_child(report));
    roan_cli_flush();
}

int roan_cli_mode_stat(roan_cli_session *session)
{
    double pause_s = session->options->interval_s > 0 ? session->options->interval_s : 1;
    struct timespec pause = {.tv_sec = (time_t)pause_s};
    int64_t requests = 0;

    pause.tv_nsec = (long)((pause_s - (double)pause.tv_sec) * 1e9);
    for (uint64_t line = 0;; line++) {
        roan_value *report = roan_cli_session_must_call(session, "INFO", NULL);
        char *text = roan_cli_copy_slice(report->text);
        roan_value_free(report);
        if (line % HEADLINE_EVERY == 0)
            puts("------- data ------ --------------------- load -------------------- - child -\n"
                 "keys       mem      clients blocked requests            connections          ");
        print_line(text, &requests);
        free(text);
        nanosleep(&pause, NULL);
    }
}
