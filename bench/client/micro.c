/* bench/client/micro.c: nanoseconds that libroan takes to write a command and to read a reply, and what hooks cost that
 * are not set. micro_hiredis.c is the counterpart.
 *
 *     encode SET, GET     a request (21 bytes of key, 64 of value) into a buffer
 *     future SET, GET     the same into a new future, which is dropped
 *     prepare SET, GET    the same with all that roan_do() does before it sends: look-up, checks, deadline
 *     parse ...           a reply out of a stream that is fed in pieces of 16 KiB, and freed
 *     hooks unset         the question whether the program has hooks, once per command
 *
 * Looks inside of the library: link it statically, with -Isrc. */
#include "micro.h"

#include "client/handle.h"

static roan_slice set_words[] = {ROAN_LITERAL("SET"), {key, sizeof key - 1}, {value, sizeof value}};
static roan_slice get_words[] = {ROAN_LITERAL("GET"), {key, sizeof key - 1}};

/* A command and where it goes. */
typedef struct job {
    roan *handle;
    roan_future *future;
    size_t argc;
    const roan_slice *argv;
    roan_request_buffer buffer;
} job;

static void encode(void *argument)
{
    job *it = argument;

    it->buffer.bytes = 0;
    if (roan_request_append(&it->buffer, it->argc, it->argv) != ROAN_OK)
        exit(1);
}

static void encode_future(void *argument)
{
    job *it = argument;
    roan_future *future = roan_future_create(it->handle);

    if (!roan_future_encode(future, it->argc, it->argv))
        exit(1);
    roan_drop(future);
}

static void prepare(void *argument)
{
    job *it = argument;

    roan_drop(roan_future_prepare(it->handle, it->argc, it->argv, NULL));
}

static void ask_hooks(void *argument)
{
    job *it = argument;

    roan_future_tell_start(it->handle, it->future);
}

static void parse(void *argument)
{
    const replies *all = argument;
    roan_reply_reader *reader = roan_reply_reader_create();
    size_t count = 0;

    for (size_t at = 0; at < all->bytes; at += PIECE_BYTES) {
        size_t bytes = all->bytes - at < PIECE_BYTES ? all->bytes - at : PIECE_BYTES;
        roan_value *reply;
        if (roan_reply_reader_feed(reader, all->data + at, bytes) != ROAN_OK)
            exit(1);
        while (roan_reply_reader_next(reader, &reply, NULL) == ROAN_OK && reply != NULL) {
            roan_value_free(reply);
            count++;
        }
    }
    roan_reply_reader_free(reader);
    if (count != all->count)
        exit(1);
}

static void time_command(const char *name, roan *handle, size_t argc, const roan_slice *argv)
{
    job it = {.handle = handle, .argc = argc, .argv = argv};
    char title[64];

    snprintf(title, sizeof title, "encode %s", name);
    time_it(title, encode, &it, 1);
    snprintf(title, sizeof title, "future %s", name);
    time_it(title, encode_future, &it, 1);
    snprintf(title, sizeof title, "prepare %s", name);
    time_it(title, prepare, &it, 1);
    roan_request_buffer_done(&it.buffer);
}

int main(void)
{
    job hooks = {0};

    if (roan_open(&hooks.handle, "redis://127.0.0.1:1", NULL, NULL) != ROAN_OK) /* never connected */
        return 1;
    time_command("SET", hooks.handle, 3, set_words);
    time_command("GET", hooks.handle, 2, get_words);
    for (int kind = 0; kind < REPLY_KINDS; kind++) {
        replies all = replies_of_kind(kind);
        time_it(reply_names[kind], parse, &all, (double)all.count);
        free(all.data);
    }
    hooks.future = roan_future_prepare(hooks.handle, 2, get_words, NULL);
    time_it("hooks unset", ask_hooks, &hooks, 1);
    roan_drop(hooks.future);
    return roan_close(hooks.handle, 0) == ROAN_OK ? 0 : 1;
}
