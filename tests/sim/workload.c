/* workload.c: requests of all kinds from templates; see workload.h.
 *
 * In a template %s, %l, %h, %z, %e, %x name a key that holds a string, list, hash, sorted set, set or stream; %k any
 * key; %v a new value, %d a small number, %t a timeout in seconds (often none), %m one in milliseconds, %c a client.
 * Nothing random is asked of the server, so that the same requests in the same order have the same answers. */
#include "workload.h"

#include <stdio.h>
#include <string.h>

static const char *const plain[] = {
    "GET %s", "SET %s %v", "SET %s %v GET", "GETDEL %s", "SETNX %s %v", "INCR n", "APPEND %s %v", "MGET %s %s %s",
    "MSET %s %v %s %v", "MSETNX %s %v %s %v", "RENAME %s %s", "RENAMENX %s %s", "COPY %s %s REPLACE", "DEL %s %k",
    "EXISTS %k %k", "TYPE %k", "RENAME %l %l", "RPUSH %l %v", "RPUSH %l %v %v", "LPUSH %l %v", "LPOP %l",
    "RPOP %l 2", "LLEN %l", "LRANGE %l 0 -1", "LMOVE %l %l LEFT RIGHT", "RPOPLPUSH %l %l", "LREM %l 1 %v", "DEL %l %l",
    "SORT %l ALPHA STORE %l", "COPY %l %l REPLACE", "SADD %e %d %d", "SREM %e %d", "SMOVE %e %e %d", "SCARD %e",
    "SISMEMBER %e %d", "SINTERSTORE %e %e %e", "SUNIONSTORE %e %e %e", "HSET %h %d %v", "HGET %h %d", "HDEL %h %d",
    "HINCRBY %h total 1", "HLEN %h", "ZADD %z %d %v", "ZADD %z %d a", "ZPOPMIN %z", "ZRANGE %z 0 -1 WITHSCORES",
    "ZUNIONSTORE %z 2 %z %z", "ZCARD %z", "XADD %x * f %v", "XLEN %x", "XRANGE %x - +", "XTRIM %x MAXLEN 2",
    "XREADGROUP GROUP g %d STREAMS %x >", "XGROUP CREATE %x g $ MKSTREAM", "XGROUP DESTROY %x g", "OBJECT ENCODING %k",
    "MOVE %k 1", "SINTERCARD 2 %e %e", "ZMPOP 2 %z %z MIN", "LMPOP 2 %l %l LEFT", "PING", "SELECT 1", "SELECT 0",
};

static const char *const blocking[] = {
    "BLPOP %l %t", "BRPOP %l %l %t", "BLPOP %l %l %l %t", "BLMOVE %l %l LEFT RIGHT %t", "BRPOPLPUSH %l %l %t",
    "BLMPOP %t 2 %l %l LEFT COUNT 2", "BZPOPMIN %z %t", "BZPOPMAX %z %z %t", "BZMPOP %t 2 %z %z MAX",
    "XREAD BLOCK %m STREAMS %x $", "XREAD BLOCK %m STREAMS %x %x $ $", "XREADGROUP GROUP g me BLOCK %m STREAMS %x >",
};

/* They shut the gate. CLIENT UNBLOCK takes part in the races about who ends a waiting. */
static const char *const alone[] = {
    "SWAPDB 0 1", "FLUSHDB", "FLUSHALL", "KEYS *", "CLIENT UNBLOCK %c", "CLIENT UNBLOCK %c ERROR", "CLIENT UNBLOCK %c",
    "CLIENT UNBLOCK %c",
};

/* They shut it, too, and count what has expired and is still there. Not where somebody waits and keys expire: whether
 * a retry of his comes across a key and takes it away is a matter of the stripes that are held. */
static const char *const counting[] = {"DBSIZE", "DBSIZE", "KEYS *"};

/* Keys change their type. Not where somebody waits and they expire as well: a retry does not reach all keys, so one that
 * it takes for expired may still be there for a lane whose clock is behind. */
static const char *const mixing[] = {"RENAME %k %k", "COPY %k %k REPLACE", "SET %k %v"};

static const char *const expiring[] = {
    "SET %s %v PX %m", "PEXPIRE %k %m", "PERSIST %k", "PTTL %k", "GETEX %s PX %m", "HPEXPIRE %h %m FIELDS 2 1 2",
};

/* No writes for a while; not together with expiry, which stops, too. */
static const char *const pausing[] = {"CLIENT PAUSE 3 WRITE", "CLIENT PAUSE 2", "CLIENT UNPAUSE", "CLIENT UNPAUSE"};

static unsigned draw(workload *w, unsigned bound)
{
    return (unsigned)roan_random_below(w->random, bound);
}

static bool is_chance(workload *w, unsigned permille)
{
    return draw(w, 1000) < permille;
}

static size_t write_part(workload *w, char kind, char *at, size_t room)
{
    int bytes;
    switch (kind) {
    case 'v':
        bytes = snprintf(at, room, "v%u", w->values++);
        break;
    case 'd':
        bytes = snprintf(at, room, "%u", 1 + draw(w, 4));
        break;
    case 't':
        bytes = draw(w, 2) ? snprintf(at, room, "0") : snprintf(at, room, "0.%03u", 1 + draw(w, 8));
        break;
    case 'm':
        bytes = snprintf(at, room, "%u", 1 + draw(w, 8));
        break;
    case 'c':
        bytes = snprintf(at, room, "%u", 1 + draw(w, w->session_count));
        break;
    case 'k':
        kind = WORKLOAD_KINDS[draw(w, WORKLOAD_TYPES)];
        bytes = snprintf(at, room, "%c%u", kind, draw(w, w->keys));
        break;
    default:
        bytes = snprintf(at, room, "%c%u", kind, draw(w, w->keys));
    }
    return (size_t)bytes;
}

static void fill_in(workload *w, const char *template, char line[WORKLOAD_LINE_MAX])
{
    size_t used = 0;
    for (const char *at = template; *at != '\0'; at++) {
        if (*at != '%')
            line[used++] = *at;
        else
            used += write_part(w, *++at, line + used, WORKLOAD_LINE_MAX - used);
    }
    line[used] = '\0';
}

#define PICK(w, templates) ((templates)[draw((w), sizeof(templates) / sizeof *(templates))])

static void write_one(workload *w, char line[WORKLOAD_LINE_MAX])
{
    const char *template = PICK(w, plain);
    if (is_chance(w, w->blocking))
        template = PICK(w, blocking);
    else if (is_chance(w, w->alone))
        template = PICK(w, alone);
    else if ((w->blocking == 0 || !w->has_expiry) && is_chance(w, w->alone / 4))
        template = PICK(w, counting);
    else if (w->has_expiry && is_chance(w, 150))
        template = PICK(w, expiring);
    else if (!w->has_expiry && w->alone > 0 && is_chance(w, 15))
        template = PICK(w, pausing);
    else if ((w->blocking == 0 || !w->has_expiry) && is_chance(w, 50))
        template = PICK(w, mixing);
    fill_in(w, template, line);
}

bool workload_mixes(const char *line)
{
    static const char *const names[] = {"RENAME ", "COPY ", "SET ", "DEL ", "MOVE ", "EXEC", "SWAPDB ", "FLUSH"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(line, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

bool workload_end(workload_client *client, char line[WORKLOAD_LINE_MAX])
{
    if (!client->is_in_multi)
        return false;
    *client = (workload_client){0};
    snprintf(line, WORKLOAD_LINE_MAX, "EXEC");
    return true;
}

void workload_next(workload *w, workload_client *client, char line[WORKLOAD_LINE_MAX])
{
    if (client->is_in_multi && client->left == 0) {
        bool gives_up = is_chance(w, 50);
        workload_end(client, line);
        if (gives_up)
            snprintf(line, WORKLOAD_LINE_MAX, "DISCARD");
    } else if (client->is_in_multi) {
        client->left--;
        write_one(w, line);
    } else if (client->left > 0) { /* between WATCH and MULTI */
        if (--client->left > 0) {
            write_one(w, line);
            return;
        }
        *client = (workload_client){.is_in_multi = true, .left = 1 + draw(w, 4)};
        snprintf(line, WORKLOAD_LINE_MAX, "MULTI");
    } else if (is_chance(w, w->transactions)) {
        client->left = 1 + draw(w, 3);
        fill_in(w, draw(w, 2) ? "WATCH %k" : "WATCH %k %s %l", line);
    } else {
        write_one(w, line);
    }
}
