/* engine/monitor.c: one line per command to every monitoring session: appended directly for sessions of this lane, by
 * mail for those of others. A lane's mailbox is first in, first out, which keeps the order. */
#include "engine/monitor.h"

#include "base/macros.h"

typedef struct monitor_mail {
    roan_mail mail;
    roan_lane *lane;
    size_t bytes;
    char line[];
} monitor_mail;

static void format_line(roan_call *call, roan_buffer *line)
{
    int64_t now_us = roan_clock_wall_us(call->engine->clock);
    roan_transport_info info = {.peer = ""};
    if (call->session->ops->describe != NULL)
        call->session->ops->describe(call->session, &info);
    roan_buffer_printf(line, "+%lld.%06lld [%u %s", (long long)(now_us / 1000000), (long long)(now_us % 1000000),
                       call->session->db, info.is_unix ? "unix:" : "");
    roan_buffer_printf(line, "%s]", info.is_unix ? call->engine->config.unixsocket : info.peer);
    for (size_t i = 0; i < call->argc; i++) {
        roan_buffer_append_char(line, ' ');
        roan_buffer_append_quoted(line, roan_call_shown_argument(call, i));
    }
    roan_buffer_append_text(line, "\r\n");
}

static void append_to_monitors(roan_lane *lane, const char *line, size_t bytes)
{
    size_t left = lane->monitor_count;
    for (roan_session *s = lane->sessions; s != NULL && left > 0; s = s->next) {
        if (!(s->modes & ROAN_MODE_MONITOR))
            continue;
        left--;
        if (s->is_closing)
            continue;
        roan_out_raw(&s->out, line, bytes);
        s->ops->output_ready(s);
    }
}

static void deliver_line(roan_mail *mail, void *receiver)
{
    (void)receiver;
    monitor_mail *message = (monitor_mail *)mail;
    append_to_monitors(message->lane, message->line, message->bytes);
    roan_free(message, sizeof *message + message->bytes);
}

void roan_monitor_feed(roan_call *call)
{
    roan_engine *engine = call->engine;
    roan_buffer *line = &call->lane->scratch;
    line->bytes = 0;
    format_line(call, line);
    for (unsigned i = 0; i < engine->lane_count; i++) {
        roan_lane *lane = &engine->lanes[i];
        if (lane == call->lane) {
            append_to_monitors(lane, line->data, line->bytes);
            continue;
        }
        monitor_mail *message = roan_alloc(sizeof *message + line->bytes);
        *message = (monitor_mail){.mail.deliver = deliver_line, .lane = lane, .bytes = line->bytes};
        memcpy(message->line, line->data, line->bytes);
        roan_lane_send(lane, &message->mail);
    }
    line->bytes = 0;
}

void roan_monitor_start(roan_session *session)
{
    if (session->modes & ROAN_MODE_MONITOR)
        return;
    session->modes |= ROAN_MODE_MONITOR;
    session->lane->monitor_count++;
    atomic_fetch_add(&session->lane->engine->monitor_count, 1);
}
