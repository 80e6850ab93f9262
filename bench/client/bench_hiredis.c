/* bench/client/bench_hiredis.c: what a GET costs a program that uses hiredis: the figure a client library is measured
 * by.
 *
 *     bench_hiredis [--port N] [--host H] [--unix PATH] [--threads T] [--depth N] [--bytes N] [--seconds S]
 *                   [--only NAME]
 *
 * Three measurements, a line each:
 *
 *     sync        T threads, one connection each, redisCommand("GET %b") in a loop
 *     pipelined   one thread appends `depth` GETs and then takes their replies, over and over
 *     argv        as pipelined, with redisAppendCommandArgv(): no format to read
 *
 * with the commands per second, the client's processor time per command (user and system, getrusage) and the median and
 * 99th percentile of a round (one command, or one pipeline). Every reply's type and length are looked at.
 *
 * The same source measures the original, libroan-hiredis and libvalkey:
 *
 *     cc -O2 bench_hiredis.c -o bench_hiredis -lhiredis -lpthread
 *     cc -O2 -Iinclude/roan-hiredis bench_hiredis.c -o bench_roan_hiredis -lroan-hiredis -lpthread
 *     cc -O2 -DWITH_LIBVALKEY bench_hiredis.c -o bench_libvalkey -lvalkey -lpthread */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "hiredis_or_valkey.h"
#include "measure.h"

static void die_with(const char *what, const redisContext *context)
{
    die(what, context != NULL ? context->errstr : "out of memory");
}

static void *connect_server(void)
{
    redisContext *context = opt.path != NULL ? redisConnectUnix(opt.path) : redisConnect(opt.host, opt.port);

    if (context == NULL || context->err != 0)
        die_with("cannot connect", context);
    return context;
}

static void disconnect_server(void *connection)
{
    redisFree(connection);
}

static void check(redisContext *context, redisReply *reply)
{
    if (reply == NULL)
        die_with("no reply", context);
    if (reply->type != REDIS_REPLY_STRING || reply->len != opt.bytes)
        die("the reply is not the value", reply->str != NULL ? reply->str : "");
    freeReplyObject(reply);
}

/* ---- the loops --------------------------------------------------------------------------------------------------- */

static void *run_sync(void *argument)
{
    worker *self = argument;

    while (must_go_on()) {
        uint64_t started = now_ns();
        check(self->connection, redisCommand(self->connection, "GET %b", KEY, sizeof KEY - 1));
        self->commands++;
        end_round(self, started);
    }
    return NULL;
}

static void take_pipeline(worker *self, uint64_t started)
{
    for (int i = 0; i < opt.depth; i++) {
        redisReply *reply = NULL;
        if (redisGetReply(self->connection, (void **)&reply) != REDIS_OK)
            die_with("no reply", self->connection);
        check(self->connection, reply);
    }
    self->commands += (uint64_t)opt.depth;
    end_round(self, started);
}

static void *run_pipelined(void *argument)
{
    worker *self = argument;

    while (must_go_on()) {
        uint64_t started = now_ns();
        for (int i = 0; i < opt.depth; i++)
            if (redisAppendCommand(self->connection, "GET %b", KEY, sizeof KEY - 1) != REDIS_OK)
                die_with("cannot append", self->connection);
        take_pipeline(self, started);
    }
    return NULL;
}

static void *run_argv(void *argument)
{
    static const char *words[] = {"GET", KEY};
    static const size_t lengths[] = {3, sizeof KEY - 1};
    worker *self = argument;

    while (must_go_on()) {
        uint64_t started = now_ns();
        for (int i = 0; i < opt.depth; i++)
            if (redisAppendCommandArgv(self->connection, 2, words, lengths) != REDIS_OK)
                die_with("cannot append", self->connection);
        take_pipeline(self, started);
    }
    return NULL;
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static void store_value(void)
{
    redisContext *context = connect_server();
    char *value = calloc(1, opt.bytes + 1);
    redisReply *reply;

    if (value == NULL)
        die("cannot start", "out of memory");
    memset(value, 'v', opt.bytes);
    reply = redisCommand(context, "SET %s %b", KEY, value, opt.bytes);
    if (reply == NULL || reply->type != REDIS_REPLY_STATUS)
        die_with("SET failed", context);
    freeReplyObject(reply);
    free(value);
    redisFree(context);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    store_value();
    if (is_chosen("sync"))
        measure("sync", run_sync, opt.threads, 1, connect_server, disconnect_server);
    if (is_chosen("pipelined"))
        measure("pipelined", run_pipelined, 1, opt.depth, connect_server, disconnect_server);
    if (is_chosen("argv"))
        measure("argv", run_argv, 1, opt.depth, connect_server, disconnect_server);
    return 0;
}
