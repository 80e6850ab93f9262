/* bench/client/micro_hiredis.c: nanoseconds that hiredis (or with -DWITH_LIBVALKEY libvalkey) takes to write a command
 * and to read a reply; see micro.c.
 *
 *     cc -O2 micro_hiredis.c -o micro_hiredis -lhiredis */
#include "hiredis_or_valkey.h"
#include "micro.h"

static const char *set_words[] = {"SET", key, value};
static const size_t set_lengths[] = {3, sizeof key - 1, sizeof value};

static void encode_format(void *unused)
{
    char *command;

    (void)unused;
    if (redisFormatCommand(&command, "SET %b %b", key, sizeof key - 1, value, sizeof value) < 0)
        exit(1);
    redisFreeCommand(command);
}

static void encode_argv(void *count)
{
    char *command;

    if (redisFormatCommandArgv(&command, *(const int *)count, set_words, set_lengths) < 0)
        exit(1);
    redisFreeCommand(command);
}

static void parse(void *argument)
{
    const replies *all = argument;
    redisReader *reader = redisReaderCreate();
    size_t count = 0;

    for (size_t at = 0; at < all->bytes; at += PIECE_BYTES) {
        size_t bytes = all->bytes - at < PIECE_BYTES ? all->bytes - at : PIECE_BYTES;
        void *reply;
        if (redisReaderFeed(reader, all->data + at, bytes) != REDIS_OK)
            exit(1);
        while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply != NULL) {
            freeReplyObject(reply);
            count++;
        }
    }
    redisReaderFree(reader);
    if (count != all->count)
        exit(1);
}

int main(void)
{
    int three = 3;
    int two = 2;

    time_it("encode SET with a format", encode_format, NULL, 1);
    time_it("encode SET", encode_argv, &three, 1);
    set_words[0] = "GET";
    time_it("encode GET", encode_argv, &two, 1);
    for (int kind = 0; kind < REPLY_KINDS; kind++) {
        replies all = replies_of_kind(kind);
        time_it(reply_names[kind], parse, &all, (double)all.count);
        free(all.data);
    }
    return 0;
}
