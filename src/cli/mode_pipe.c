/* cli/mode_pipe.c: --pipe, loading data as fast as the server takes it.
 *
 *   stdin --> outgoing --> socket        both ways at once, whichever is ready
 *   socket --> reply reader --> counted
 *
 * Standard input is sent as it is. Behind its end goes an ECHO of random bytes; the reply that
 * equals them is the last one, whatever number of replies the input produced. Error replies are
 * shown on stderr. When nothing comes for --pipe-timeout seconds after everything was sent, the
 * mode fails.
 */
#include "cli/mode.h"

#include "cli/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK_BYTES (256 * 1024)
#define MARK_BYTES 20

typedef struct pipe_state {
    roan_cli_session *session;
    roan_cli_text outgoing;
    size_t sent;
    bool is_input_over;
    bool is_answered; /* the mark came back */
    char mark[MARK_BYTES];
    uint64_t replies;
    uint64_t errors;
    int64_t last_reply_ms;
} pipe_state;

static void make_mark(pipe_state *state)
{
    unsigned char noise[MARK_BYTES];

    if (getrandom(noise, sizeof noise, 0) != (ssize_t)sizeof noise)
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (unsigned char)(roan_cli_now_us() >> (i % 8));
    for (size_t i = 0; i < sizeof noise; i++)
        state->mark[i] = (char)('a' + noise[i] % 26);
}

/* Everything was read: send the mark. The line end in front ends an unfinished inline command. */
static void end_input(pipe_state *state)
{
    state->is_input_over = true;
    roan_cli_text_printf(&state->outgoing, "\r\n*2\r\n$4\r\nECHO\r\n$%d\r\n%.*s\r\n", MARK_BYTES,
                         MARK_BYTES, state->mark);
    state->last_reply_ms = roan_cli_now_ms();
    puts("All data transferred. Waiting for the last reply...");
    roan_cli_flush();
}

static bool read_input(pipe_state *state)
{
    char *chunk = roan_cli_alloc(CHUNK_BYTES);
    ssize_t bytes = read(STDIN_FILENO, chunk, CHUNK_BYTES);
    bool is_good = true;

    if (bytes > 0) {
        roan_cli_text_append(&state->outgoing, chunk, (size_t)bytes);
    } else if (bytes == 0) {
        end_input(state);
    } else if (errno != EINTR && errno != EAGAIN) {
        fprintf(stderr, "Error reading from stdin: %s\n", strerror(errno));
        is_good = false;
    }
    free(chunk);
    return is_good;
}

static bool send_some(pipe_state *state)
{
    ssize_t bytes = send(state->session->connection.fd, state->outgoing.data + state->sent,
                         state->outgoing.bytes - state->sent, MSG_NOSIGNAL);

    if (bytes < 0 && errno != EAGAIN && errno != EINTR) {
        fprintf(stderr, "Error writing to the server: %s\n", strerror(errno));
        return false;
    }
    if (bytes > 0)
        state->sent += (size_t)bytes;
    if (state->sent == state->outgoing.bytes) {
        state->sent = 0;
        roan_cli_text_clear(&state->outgoing);
    }
    return true;
}

static void take_reply(pipe_state *state, const roan_value *reply)
{
    state->last_reply_ms = roan_cli_now_ms();
    if (reply->type == ROAN_REPLY_PUSH)
        return;
    if (state->is_input_over && reply->type == ROAN_REPLY_BULK && reply->text.bytes == MARK_BYTES &&
        memcmp(reply->text.data, state->mark, MARK_BYTES) == 0) {
        state->is_answered = true;
        puts("Last reply received from server.");
        return;
    }
    state->replies++;
    if (reply->type == ROAN_REPLY_ERROR) {
        state->errors++;
        fprintf(stderr, "%.*s\n", ROAN_SLICE_ARG(reply->text));
    }
}

static bool take_replies(pipe_state *state)
{
    for (;;) {
        roan_value *reply;
        roan_error error;
        if (roan_cli_connection_poll(&state->session->connection, &reply, &error) != ROAN_OK) {
            fprintf(stderr, "Error: %s\n", error.text);
            return false;
        }
        if (reply == NULL)
            return true;
        take_reply(state, reply);
        roan_value_free(reply);
    }
}

/* Milliseconds that may still pass without a reply; -1 for any number. */
static int wait_limit(const pipe_state *state)
{
    int64_t timeout_s = state->session->options->pipe_timeout_s;
    int64_t left;

    if (timeout_s <= 0 || !state->is_input_over || state->outgoing.bytes > 0)
        return -1;
    left = state->last_reply_ms + timeout_s * 1000 - roan_cli_now_ms();
    return left < 0 ? 0 : left > 1000000 ? 1000000 : (int)left;
}

/* One round of waiting and moving what can move. False when the mode has failed. */
static bool run_round(pipe_state *state)
{
    bool is_hungry = !state->is_input_over && state->outgoing.bytes < CHUNK_BYTES;
    bool is_sending = state->outgoing.bytes > 0;
    struct pollfd entries[2] = {
        {.fd = state->session->connection.fd,
         .events = (short)(POLLIN | (is_sending ? POLLOUT : 0))},
        {.fd = is_hungry ? STDIN_FILENO : -1, .events = POLLIN},
    };
    int limit = wait_limit(state);
    int ready = poll(entries, 2, limit);

    if (ready < 0)
        return errno == EINTR;
    if (ready == 0 && limit >= 0 && wait_limit(state) == 0) {
        fprintf(stderr, "No replies for %" PRId64 " seconds: exiting.\n",
                state->session->options->pipe_timeout_s);
        return false;
    }
    if ((entries[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !take_replies(state))
        return false;
    if (is_sending && (entries[0].revents & POLLOUT) != 0 && !send_some(state))
        return false;
    return !(is_hungry && entries[1].revents != 0) || read_input(state);
}

int roan_cli_mode_pipe(roan_cli_session *session)
{
    pipe_state state = {.session = session};
    bool is_good = true;

    make_mark(&state);
    while (is_good && !state.is_answered)
        is_good = run_round(&state);
    if (is_good || state.is_input_over)
        printf("errors: %" PRIu64 ", replies: %" PRIu64 "\n", state.errors, state.replies);
    roan_cli_text_done(&state.outgoing);
    return is_good && state.errors == 0 ? 0 : 1;
}
