/* client/scripted_redis.c: a small server for scripted peers: enough of Redis for the tests of a client to start from
 * something that works.
 *
 * The store belongs to the world and is shared by its peers: strings by database and key, each with a version for
 * WATCH. What a connection is (protocol, login, transaction, subscriptions) belongs to its peer. A command is a row
 * in COMMANDS and a function that appends its reply to `out`; the reply is sent when it returns. Names, error codes
 * and shapes of replies are Redis's; texts only where a client looks at them. */
#include "client/scripted_inside.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash_set.h"
#include "base/macros.h"
#include "base/number.h"

enum { DATABASES = 16 };

typedef struct entry {
    roan_hash_node node; /* first */
    unsigned database;
    roan_buffer key, value;
    uint64_t version;
    int64_t expires_us; /* INT64_MAX: never */
} entry;

struct roan_scripted_store {
    roan_hash_set entries;
    uint64_t version; /* of the last write */
    char *username, *password; /* NULL: as in the options */
    bool lacks_hello, lacks_resp3;
};

typedef enum topic_kind { TOPIC_CHANNEL, TOPIC_PATTERN, TOPIC_SHARD } topic_kind;

typedef struct topic {
    struct topic *next;
    topic_kind kind;
    roan_buffer name;
} topic;

typedef struct watched {
    struct watched *next;
    unsigned database;
    roan_buffer key;
    uint64_t version;
} watched;

struct roan_scripted_client {
    unsigned database;
    bool is_resp3, is_logged_in, is_blocked;
    bool is_multi, has_bad_queued;
    roan_scripted_request **queued;
    size_t queued_count;
    watched *watches;
    topic *topics; /* in the order of subscribing */
    roan_buffer name;
};

/* One request under way. */
typedef struct call {
    roan_peer *peer;
    roan_scripted_store *store;
    roan_scripted_client *client;
    size_t argc;
    const roan_slice *argv;
    roan_buffer out;
    int64_t after_us;
    bool is_in_exec, is_ending;
} call;

/* --- replies ------------------------------------------------------------------------------------------------------ */

static void reply_text(call *c, const char *line)
{
    roan_buffer_append_text(&c->out, line);
    roan_buffer_append_text(&c->out, "\r\n");
}

static void reply_integer(call *c, int64_t value)
{
    roan_buffer_printf(&c->out, ":%lld\r\n", (long long)value);
}

static void append_bulk(roan_buffer *out, roan_slice text)
{
    roan_buffer_printf(out, "$%zu\r\n", text.bytes);
    roan_buffer_append_slice(out, text);
    roan_buffer_append_text(out, "\r\n");
}

static void reply_bulk(call *c, roan_slice text)
{
    append_bulk(&c->out, text);
}

static void reply_null(call *c)
{
    reply_text(c, c->client->is_resp3 ? "_" : "$-1");
}

static void reply_null_array(call *c)
{
    reply_text(c, c->client->is_resp3 ? "_" : "*-1");
}

static void reply_array(call *c, size_t count)
{
    roan_buffer_printf(&c->out, "*%zu\r\n", count);
}

static void append_push(roan_buffer *out, bool is_resp3, size_t count)
{
    roan_buffer_printf(out, "%c%zu\r\n", is_resp3 ? '>' : '*', count);
}

/* --- the store ---------------------------------------------------------------------------------------------------- */

static uint64_t hash_of(unsigned database, roan_slice key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) + database;
    for (size_t i = 0; i < key.bytes; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void remove_entry(roan_scripted_store *store, entry *e)
{
    roan_hash_set_remove(&store->entries, &e->node);
    roan_buffer_done(&e->key);
    roan_buffer_done(&e->value);
    roan_free(e, sizeof *e);
}

static entry *find_in(roan_scripted_store *store, unsigned database, roan_slice key, int64_t now_us)
{
    roan_hash_node *node = roan_hash_set_first(&store->entries, hash_of(database, key));
    for (; node != NULL; node = roan_hash_node_next(node)) {
        entry *e = (entry *)node;
        if (e->database != database || !roan_slice_equal(roan_buffer_slice(&e->key), key))
            continue;
        if (e->expires_us > now_us)
            return e;
        remove_entry(store, e);
        return NULL;
    }
    return NULL;
}

static entry *find(call *c, roan_slice key)
{
    return find_in(c->store, c->client->database, key, c->peer->world->now_us);
}

/* The entry, made if need be, about to be changed. */
static entry *touch(call *c, roan_slice key)
{
    entry *e = find(c, key);
    if (e == NULL) {
        e = roan_alloc_zero(sizeof *e);
        e->database = c->client->database;
        e->expires_us = INT64_MAX;
        roan_buffer_append_slice(&e->key, key);
        roan_hash_set_insert(&c->store->entries, &e->node, hash_of(e->database, key));
    }
    e->version = ++c->store->version;
    return e;
}

static void set_value(entry *e, roan_slice value)
{
    e->value.bytes = 0;
    roan_buffer_append_slice(&e->value, value);
}

/* --- strings ------------------------------------------------------------------------------------------------------ */

static void run_get(call *c)
{
    const entry *e = find(c, c->argv[1]);
    if (e != NULL)
        reply_bulk(c, roan_buffer_slice(&e->value));
    else
        reply_null(c);
}

typedef struct set_options {
    bool is_nx, is_xx, has_get, keeps_ttl;
    int64_t expires_us;
} set_options;

static bool parse_set_options(const call *c, set_options *o)
{
    *o = (set_options){.expires_us = INT64_MAX};
    for (size_t i = 3; i < c->argc; i++) {
        bool is_ex = roan_slice_is(c->argv[i], "EX"), is_px = roan_slice_is(c->argv[i], "PX");
        int64_t amount;
        if (roan_slice_is(c->argv[i], "NX"))
            o->is_nx = true;
        else if (roan_slice_is(c->argv[i], "XX"))
            o->is_xx = true;
        else if (roan_slice_is(c->argv[i], "GET"))
            o->has_get = true;
        else if (roan_slice_is(c->argv[i], "KEEPTTL"))
            o->keeps_ttl = true;
        else if ((is_ex || is_px) && i + 1 < c->argc && roan_parse_i64(c->argv[++i], &amount) && amount > 0 &&
                 amount < INT64_MAX / 2000000)
            o->expires_us = c->peer->world->now_us + amount * (is_ex ? 1000000 : 1000);
        else
            return false;
    }
    return true;
}

static void run_set(call *c)
{
    set_options options;
    if (!parse_set_options(c, &options)) {
        reply_text(c, "-ERR syntax error");
        return;
    }
    bool exists = find(c, c->argv[1]) != NULL;
    bool is_done = exists ? !options.is_nx : !options.is_xx;
    if (options.has_get)
        run_get(c);
    if (is_done) {
        entry *e = touch(c, c->argv[1]);
        set_value(e, c->argv[2]);
        if (!options.keeps_ttl)
            e->expires_us = options.expires_us;
    }
    if (options.has_get)
        return;
    if (is_done)
        reply_text(c, "+OK");
    else
        reply_null(c);
}

static void run_del(call *c)
{
    int64_t count = 0;
    for (size_t i = 1; i < c->argc; i++) {
        entry *e = find(c, c->argv[i]);
        if (e == NULL)
            continue;
        remove_entry(c->store, e);
        count++;
    }
    reply_integer(c, count);
}

static void run_exists(call *c)
{
    int64_t count = 0;
    for (size_t i = 1; i < c->argc; i++)
        count += find(c, c->argv[i]) != NULL;
    reply_integer(c, count);
}

static void run_incr(call *c)
{
    int64_t by = 1, value = 0;
    const entry *e = find(c, c->argv[1]);
    if ((c->argc > 2 && !roan_parse_i64(c->argv[2], &by)) ||
        (e != NULL && !roan_parse_i64(roan_buffer_slice(&e->value), &value)) ||
        __builtin_add_overflow(value, by, &value)) {
        reply_text(c, "-ERR value is not an integer or out of range");
        return;
    }
    char digits[ROAN_I64_TEXT_MAX];
    set_value(touch(c, c->argv[1]), roan_slice_make(digits, roan_format_i64(digits, value)));
    reply_integer(c, value);
}

static void run_mget(call *c)
{
    reply_array(c, c->argc - 1);
    for (size_t i = 1; i < c->argc; i++) {
        const entry *e = find(c, c->argv[i]);
        if (e != NULL)
            reply_bulk(c, roan_buffer_slice(&e->value));
        else
            reply_null(c);
    }
}

static void run_mset(call *c)
{
    if (c->argc % 2 == 0) {
        reply_text(c, "-ERR wrong number of arguments for 'mset' command");
        return;
    }
    for (size_t i = 1; i < c->argc; i += 2) {
        entry *e = touch(c, c->argv[i]);
        set_value(e, c->argv[i + 1]);
        e->expires_us = INT64_MAX;
    }
    reply_text(c, "+OK");
}

static void run_append(call *c)
{
    entry *e = touch(c, c->argv[1]);
    roan_buffer_append_slice(&e->value, c->argv[2]);
    reply_integer(c, (int64_t)e->value.bytes);
}

static void run_strlen(call *c)
{
    const entry *e = find(c, c->argv[1]);
    reply_integer(c, e != NULL ? (int64_t)e->value.bytes : 0);
}

static void run_dbsize(call *c)
{
    int64_t count = 0;
    const roan_hash_node *node = NULL;
    while ((node = roan_hash_set_walk(&c->store->entries, node)) != NULL) {
        const entry *e = (const entry *)node;
        count += e->database == c->client->database && e->expires_us > c->peer->world->now_us;
    }
    reply_integer(c, count);
}

static void remove_all(roan_scripted_store *store)
{
    roan_hash_node *node = roan_hash_set_walk(&store->entries, NULL);
    while (node != NULL) {
        roan_hash_node *next = roan_hash_set_walk(&store->entries, node);
        remove_entry(store, (entry *)node);
        node = next;
    }
}

static void run_flushall(call *c)
{
    remove_all(c->store);
    reply_text(c, "+OK");
}

/* --- the connection ----------------------------------------------------------------------------------------------- */

static bool is_login(const roan_scripted_store *store, roan_slice username, roan_slice password)
{
    const char *wanted = store->username != NULL ? store->username : "default";
    return store->password == NULL ? roan_slice_equal(username, roan_slice_from_text(wanted))
                                   : roan_slice_equal(username, roan_slice_from_text(wanted)) &&
                                         roan_slice_equal(password, roan_slice_from_text(store->password));
}

static bool log_in(call *c, roan_slice username, roan_slice password)
{
    if (is_login(c->store, username, password)) {
        c->client->is_logged_in = true;
        return true;
    }
    reply_text(c, "-WRONGPASS invalid username-password pair or user is disabled.");
    return false;
}

static void run_auth(call *c)
{
    if (c->argc == 2 && c->store->password == NULL) {
        reply_text(c, "-ERR AUTH <password> called without any password configured for the default user.");
        return;
    }
    roan_slice username = c->argc == 3 ? c->argv[1] : ROAN_LITERAL("default");
    if (c->argc > 3)
        reply_text(c, "-ERR syntax error");
    else if (log_in(c, username, c->argv[c->argc - 1]))
        reply_text(c, "+OK");
}

static void set_name(call *c, roan_slice name)
{
    c->client->name.bytes = 0;
    roan_buffer_append_slice(&c->client->name, name);
}

static void describe_server(call *c)
{
    roan_buffer_append_text(&c->out, c->client->is_resp3 ? "%7\r\n" : "*14\r\n");
    reply_bulk(c, ROAN_LITERAL("server"));
    reply_bulk(c, ROAN_LITERAL("redis"));
    reply_bulk(c, ROAN_LITERAL("version"));
    reply_bulk(c, ROAN_LITERAL("7.4.0"));
    reply_bulk(c, ROAN_LITERAL("proto"));
    reply_integer(c, c->client->is_resp3 ? 3 : 2);
    reply_bulk(c, ROAN_LITERAL("id"));
    reply_integer(c, c->peer->index + 1);
    reply_bulk(c, ROAN_LITERAL("mode"));
    reply_bulk(c, ROAN_LITERAL("standalone"));
    reply_bulk(c, ROAN_LITERAL("role"));
    reply_bulk(c, ROAN_LITERAL("master"));
    reply_bulk(c, ROAN_LITERAL("modules"));
    reply_array(c, 0);
}

static void run_hello(call *c)
{
    int64_t protocol = c->client->is_resp3 ? 3 : 2;
    if (c->argc > 1 && (!roan_parse_i64(c->argv[1], &protocol) || protocol < 2 ||
                        protocol > (c->store->lacks_resp3 ? 2 : 3))) {
        reply_text(c, "-NOPROTO unsupported protocol version");
        return;
    }
    roan_slice name = {0};
    for (size_t i = 2; i < c->argc; i++) {
        if (roan_slice_is(c->argv[i], "AUTH") && i + 2 < c->argc) {
            if (!log_in(c, c->argv[i + 1], c->argv[i + 2]))
                return;
            i += 2;
        } else if (roan_slice_is(c->argv[i], "SETNAME") && i + 1 < c->argc) {
            name = c->argv[++i];
        } else {
            reply_text(c, "-ERR Syntax error in HELLO option");
            return;
        }
    }
    if (!c->client->is_logged_in) {
        reply_text(c, "-NOAUTH HELLO must be called with the client already authenticated, or with AUTH");
        return;
    }
    if (name.bytes > 0)
        set_name(c, name);
    c->client->is_resp3 = protocol == 3;
    describe_server(c);
}

static void run_select(call *c)
{
    int64_t database;
    if (!roan_parse_i64(c->argv[1], &database)) {
        reply_text(c, "-ERR value is not an integer or out of range");
    } else if (database < 0 || database >= DATABASES) {
        reply_text(c, "-ERR DB index is out of range");
    } else {
        c->client->database = (unsigned)database;
        reply_text(c, "+OK");
    }
}

static void run_client(call *c)
{
    static const char *const ACCEPTED[] = {"SETINFO", "NO-EVICT", "NO-TOUCH", "TRACKING", "CACHING"};
    roan_slice word = c->argv[1];
    if (roan_slice_is(word, "ID")) {
        reply_integer(c, c->peer->index + 1);
        return;
    }
    if (roan_slice_is(word, "GETNAME")) {
        if (c->client->name.bytes > 0)
            reply_bulk(c, roan_buffer_slice(&c->client->name));
        else
            reply_null(c);
        return;
    }
    bool is_known = roan_slice_is(word, "SETNAME") && c->argc == 3;
    if (is_known)
        set_name(c, c->argv[2]);
    for (size_t i = c->store->lacks_hello ? 1 : 0; i < ROAN_COUNT_OF(ACCEPTED); i++)
        is_known |= roan_slice_is(word, ACCEPTED[i]);
    if (is_known)
        reply_text(c, "+OK");
    else
        roan_buffer_printf(&c->out, "-ERR unknown subcommand '%.*s'. Try CLIENT HELP.\r\n", ROAN_SLICE_ARG(word));
}

static size_t count_topics(const roan_scripted_client *client, bool is_shard)
{
    size_t count = 0;
    for (const topic *t = client->topics; t != NULL; t = t->next)
        count += (t->kind == TOPIC_SHARD) == is_shard;
    return count;
}

static void run_ping(call *c)
{
    roan_slice text = c->argc > 1 ? c->argv[1] : roan_slice_make("", 0);
    if (!c->client->is_resp3 && c->client->topics != NULL) {
        reply_array(c, 2);
        reply_bulk(c, ROAN_LITERAL("pong"));
        reply_bulk(c, text);
    } else if (c->argc > 1) {
        reply_bulk(c, text);
    } else {
        reply_text(c, "+PONG");
    }
}

static void run_echo(call *c)
{
    reply_bulk(c, c->argv[1]);
}

static void run_quit(call *c)
{
    reply_text(c, "+OK");
    c->is_ending = true;
}

static void run_ok(call *c)
{
    reply_text(c, "+OK");
}

static void run_wait(call *c)
{
    reply_integer(c, 0);
}

/* Nothing is ever in a list here: nil when the time is up. */
static void run_blpop(call *c)
{
    double seconds;
    if (!roan_parse_double(c->argv[c->argc - 1], &seconds) || !(seconds < 1e9)) {
        reply_text(c, "-ERR timeout is not a float or out of range");
    } else if (seconds < 0) {
        reply_text(c, "-ERR timeout is negative");
    } else {
        c->client->is_blocked = seconds == 0 && !c->is_in_exec;
        c->after_us = c->is_in_exec ? 0 : (int64_t)(seconds * 1e6);
        reply_null_array(c);
    }
}

/* --- transactions ------------------------------------------------------------------------------------------------- */

static uint64_t version_of(call *c, unsigned database, roan_slice key)
{
    const entry *e = find_in(c->store, database, key, c->peer->world->now_us);
    return e != NULL ? e->version : 0;
}

static void drop_watches(roan_scripted_client *client)
{
    while (client->watches != NULL) {
        watched *w = client->watches;
        client->watches = w->next;
        roan_buffer_done(&w->key);
        roan_free(w, sizeof *w);
    }
}

/* Slots that are there for so many requests: the next power of two. */
static size_t queued_room(size_t count)
{
    size_t room = count > 0 ? 1 : 0;

    while (room < count)
        room *= 2;
    return room;
}

static void drop_transaction(roan_scripted_client *client)
{
    for (size_t i = 0; i < client->queued_count; i++)
        roan_scripted_request_free(client->queued[i]);
    roan_free(client->queued, queued_room(client->queued_count) * sizeof *client->queued);
    client->queued = NULL;
    client->queued_count = 0;
    client->is_multi = client->has_bad_queued = false;
    drop_watches(client);
}

static void run_multi(call *c)
{
    c->client->is_multi = true;
    reply_text(c, "+OK");
}

static void run_watch(call *c)
{
    for (size_t i = 1; i < c->argc; i++) {
        watched *w = roan_alloc_zero(sizeof *w);
        w->database = c->client->database;
        w->version = version_of(c, w->database, c->argv[i]);
        roan_buffer_append_slice(&w->key, c->argv[i]);
        w->next = c->client->watches;
        c->client->watches = w;
    }
    reply_text(c, "+OK");
}

static void run_unwatch(call *c)
{
    drop_watches(c->client);
    reply_text(c, "+OK");
}

static void run_discard(call *c)
{
    if (!c->client->is_multi) {
        reply_text(c, "-ERR DISCARD without MULTI");
        return;
    }
    drop_transaction(c->client);
    reply_text(c, "+OK");
}

static void queue_request(call *c)
{
    roan_scripted_client *client = c->client;
    size_t room = queued_room(client->queued_count);
    size_t wanted = queued_room(client->queued_count + 1);
    if (wanted > room)
        client->queued = roan_realloc(client->queued, room * sizeof *client->queued, wanted * sizeof *client->queued);
    client->queued[client->queued_count++] = roan_scripted_request_create(c->argc, c->argv, 0);
    reply_text(c, "+QUEUED");
}

static void run_command(call *c);

static void run_exec(call *c)
{
    roan_scripted_client *client = c->client;
    if (!client->is_multi) {
        reply_text(c, "-ERR EXEC without MULTI");
        return;
    }
    bool is_changed = false;
    for (const watched *w = client->watches; w != NULL; w = w->next)
        is_changed |= version_of(c, w->database, roan_buffer_slice(&w->key)) != w->version;
    client->is_multi = false;
    if (client->has_bad_queued) {
        reply_text(c, "-EXECABORT Transaction discarded because of previous errors.");
    } else if (is_changed) {
        reply_null_array(c);
    } else {
        reply_array(c, client->queued_count);
        c->is_in_exec = true;
        for (size_t i = 0; i < client->queued_count; i++) {
            c->argc = client->queued[i]->argc;
            c->argv = client->queued[i]->argv;
            run_command(c);
        }
    }
    drop_transaction(client);
}

/* --- publish and subscribe ---------------------------------------------------------------------------------------- */

/* '*' and '?' only. */
static bool is_match(roan_slice pattern, roan_slice text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_text = 0;
    while (t < text.bytes) {
        if (p < pattern.bytes && pattern.data[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < pattern.bytes && (pattern.data[p] == '?' || pattern.data[p] == text.data[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.bytes && pattern.data[p] == '*')
        p++;
    return p == pattern.bytes;
}

static topic **find_topic(roan_scripted_client *client, topic_kind kind, roan_slice name)
{
    topic **at = &client->topics;
    while (*at != NULL && ((*at)->kind != kind || !roan_slice_equal(roan_buffer_slice(&(*at)->name), name)))
        at = &(*at)->next;
    return at;
}

static void remove_topic(topic **at)
{
    topic *t = *at;
    *at = t->next;
    roan_buffer_done(&t->name);
    roan_free(t, sizeof *t);
}

static topic_kind kind_of(const call *c)
{
    char first = c->argv[0].data[0];
    if (first == 'p' || first == 'P')
        return TOPIC_PATTERN;
    return roan_slice_is(c->argv[0], "SSUBSCRIBE") || roan_slice_is(c->argv[0], "SUNSUBSCRIBE") ? TOPIC_SHARD
                                                                                               : TOPIC_CHANNEL;
}

static void confirm_topic(call *c, const char *word, topic_kind kind, const roan_slice *name)
{
    append_push(&c->out, c->client->is_resp3, 3);
    reply_bulk(c, roan_slice_from_text(word));
    if (name != NULL)
        reply_bulk(c, *name);
    else
        reply_null(c);
    reply_integer(c, (int64_t)count_topics(c->client, kind == TOPIC_SHARD));
}

static void run_subscribe(call *c)
{
    static const char *const WORDS[] = {"subscribe", "psubscribe", "ssubscribe"};
    topic_kind kind = kind_of(c);
    for (size_t i = 1; i < c->argc; i++) {
        topic **at = find_topic(c->client, kind, c->argv[i]);
        if (*at == NULL) {
            *at = roan_alloc_zero(sizeof **at);
            (*at)->kind = kind;
            roan_buffer_append_slice(&(*at)->name, c->argv[i]);
        }
        confirm_topic(c, WORDS[kind], kind, &c->argv[i]);
    }
}

static const topic *first_topic(const roan_scripted_client *client, topic_kind kind)
{
    const topic *t = client->topics;
    while (t != NULL && t->kind != kind)
        t = t->next;
    return t;
}

static void run_unsubscribe(call *c)
{
    static const char *const WORDS[] = {"unsubscribe", "punsubscribe", "sunsubscribe"};
    topic_kind kind = kind_of(c);
    for (size_t i = 1; i < c->argc; i++) {
        topic **at = find_topic(c->client, kind, c->argv[i]);
        if (*at != NULL)
            remove_topic(at);
        confirm_topic(c, WORDS[kind], kind, &c->argv[i]);
    }
    if (c->argc > 1)
        return;
    if (first_topic(c->client, kind) == NULL)
        confirm_topic(c, WORDS[kind], kind, NULL);
    for (const topic *t; (t = first_topic(c->client, kind)) != NULL;) {
        roan_buffer name = {0};
        roan_buffer_append_slice(&name, roan_buffer_slice(&t->name));
        roan_slice text = roan_buffer_slice(&name);
        remove_topic(find_topic(c->client, kind, text));
        confirm_topic(c, WORDS[kind], kind, &text);
        roan_buffer_done(&name);
    }
}

static void deliver(call *c, roan_peer *peer, const topic *t)
{
    roan_buffer own = {0}, *out = peer == c->peer ? &c->out : &own;
    append_push(out, peer->client->is_resp3, t->kind == TOPIC_PATTERN ? 4 : 3);
    append_bulk(out, t->kind == TOPIC_PATTERN ? ROAN_LITERAL("pmessage")
                     : t->kind == TOPIC_SHARD ? ROAN_LITERAL("smessage")
                                              : ROAN_LITERAL("message"));
    if (t->kind == TOPIC_PATTERN)
        append_bulk(out, roan_buffer_slice(&t->name));
    append_bulk(out, c->argv[1]);
    append_bulk(out, c->argv[2]);
    if (peer != c->peer)
        roan_peer_send(peer, 0, roan_buffer_slice(&own));
    roan_buffer_done(&own);
}

/* A subscriber that publishes gets the message before the answer, as it happens with Redis. */
static void run_publish(call *c)
{
    bool is_shard = roan_slice_is(c->argv[0], "SPUBLISH");
    const roan_scripted *world = c->peer->world;
    int64_t count = 0;
    for (unsigned i = 0; i < world->peer_count; i++) {
        roan_peer *peer = world->peers[i];
        if (peer == NULL || peer->client == NULL || peer->is_closed || peer->is_over)
            continue;
        for (const topic *t = peer->client->topics; t != NULL; t = t->next) {
            roan_slice name = roan_buffer_slice(&t->name);
            bool is_for = t->kind == TOPIC_PATTERN ? !is_shard && is_match(name, c->argv[1])
                                                   : (t->kind == TOPIC_SHARD) == is_shard &&
                                                         roan_slice_equal(name, c->argv[1]);
            if (is_for)
                deliver(c, peer, t);
            count += is_for;
        }
    }
    reply_integer(c, count);
}

static void clear_client(roan_scripted_client *client)
{
    drop_transaction(client);
    while (client->topics != NULL)
        remove_topic(&client->topics);
    roan_buffer_done(&client->name);
    memset(client, 0, sizeof *client);
}

static void run_reset(call *c)
{
    clear_client(c->client);
    c->client->is_logged_in = c->store->password == NULL;
    reply_text(c, "+RESET");
}

/* --- dispatch ----------------------------------------------------------------------------------------------------- */

enum {
    BEFORE_LOGIN = 1,
    IN_MULTI = 2,   /* runs instead of being queued */
    SUBSCRIBED = 4, /* allowed to a RESP2 subscriber */
    MODERN = 8,     /* unknown to a server without HELLO */
    NOT_IN_MULTI = 16,
};

static const struct command {
    const char *name;
    int words; /* with the name; negative: at least so many */
    unsigned flags;
    void (*run)(call *c);
} COMMANDS[] = {
    {"HELLO", -1, BEFORE_LOGIN | MODERN | NOT_IN_MULTI, run_hello},
    {"AUTH", -2, BEFORE_LOGIN, run_auth},
    {"QUIT", -1, BEFORE_LOGIN | SUBSCRIBED | IN_MULTI, run_quit},
    {"RESET", 1, BEFORE_LOGIN | SUBSCRIBED | IN_MULTI | MODERN, run_reset},
    {"SELECT", 2, 0, run_select},
    {"CLIENT", -2, 0, run_client},
    {"PING", -1, SUBSCRIBED, run_ping},
    {"ECHO", 2, 0, run_echo},
    {"READONLY", 1, 0, run_ok},
    {"ASKING", 1, 0, run_ok},
    {"WAIT", 3, 0, run_wait},
    {"GET", 2, 0, run_get},
    {"SET", -3, 0, run_set},
    {"DEL", -2, 0, run_del},
    {"EXISTS", -2, 0, run_exists},
    {"INCR", 2, 0, run_incr},
    {"INCRBY", 3, 0, run_incr},
    {"MGET", -2, 0, run_mget},
    {"MSET", -3, 0, run_mset},
    {"APPEND", 3, 0, run_append},
    {"STRLEN", 2, 0, run_strlen},
    {"DBSIZE", 1, 0, run_dbsize},
    {"FLUSHALL", -1, 0, run_flushall},
    {"BLPOP", -3, 0, run_blpop},
    {"BRPOP", -3, 0, run_blpop},
    {"MULTI", 1, NOT_IN_MULTI, run_multi},
    {"EXEC", 1, IN_MULTI, run_exec},
    {"DISCARD", 1, IN_MULTI, run_discard},
    {"WATCH", -2, NOT_IN_MULTI, run_watch},
    {"UNWATCH", 1, 0, run_unwatch},
    {"SUBSCRIBE", -2, SUBSCRIBED, run_subscribe},
    {"PSUBSCRIBE", -2, SUBSCRIBED, run_subscribe},
    {"SSUBSCRIBE", -2, SUBSCRIBED, run_subscribe},
    {"UNSUBSCRIBE", -1, SUBSCRIBED, run_unsubscribe},
    {"PUNSUBSCRIBE", -1, SUBSCRIBED, run_unsubscribe},
    {"SUNSUBSCRIBE", -1, SUBSCRIBED, run_unsubscribe},
    {"PUBLISH", 3, 0, run_publish},
    {"SPUBLISH", 3, 0, run_publish},
};

static const struct command *find_command(const call *c)
{
    for (size_t i = 0; i < ROAN_COUNT_OF(COMMANDS); i++) {
        bool is_known = (COMMANDS[i].flags & MODERN) == 0 || !c->store->lacks_hello;
        if (is_known && roan_slice_is(c->argv[0], COMMANDS[i].name))
            return &COMMANDS[i];
    }
    return NULL;
}

/* Writes why the request is refused before it is looked at closer; false: it is not. */
static bool refuse(call *c, const struct command *command)
{
    size_t before = c->out.bytes;
    roan_slice name = c->argv[0];
    if (command == NULL)
        roan_buffer_printf(&c->out, "-ERR unknown command '%.*s'\r\n", ROAN_SLICE_ARG(name));
    else if (command->words >= 0 ? c->argc != (size_t)command->words : c->argc < (size_t)-command->words)
        roan_buffer_printf(&c->out, "-ERR wrong number of arguments for '%.*s' command\r\n", ROAN_SLICE_ARG(name));
    else if (!c->client->is_logged_in && (command->flags & BEFORE_LOGIN) == 0)
        reply_text(c, "-NOAUTH Authentication required.");
    else if (!c->client->is_resp3 && c->client->topics != NULL && (command->flags & SUBSCRIBED) == 0)
        roan_buffer_printf(&c->out, "-ERR Can't execute '%.*s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
                           "RESET are allowed in this context\r\n", ROAN_SLICE_ARG(name));
    else if (c->client->is_multi && (command->flags & NOT_IN_MULTI) != 0)
        roan_buffer_printf(&c->out, "-ERR '%.*s' inside MULTI is not allowed\r\n", ROAN_SLICE_ARG(name));
    return c->out.bytes > before;
}

static void run_command(call *c)
{
    const struct command *command = find_command(c);
    if (refuse(c, command))
        c->client->has_bad_queued = c->client->is_multi;
    else if (c->client->is_multi && (command->flags & IN_MULTI) == 0)
        queue_request(c);
    else
        command->run(c);
}

static roan_scripted_store *store_of(roan_scripted *world)
{
    if (world->store == NULL)
        world->store = roan_alloc_zero(sizeof *world->store);
    return world->store;
}

void roan_scripted_redis(void *unused, roan_peer *peer, size_t argc, const roan_slice *argv)
{
    (void)unused;
    roan_scripted_lock(peer->world);
    call c = {.peer = peer, .store = store_of(peer->world), .argc = argc, .argv = argv};
    if (peer->client == NULL) {
        peer->client = roan_alloc_zero(sizeof *peer->client);
        peer->client->is_logged_in = c.store->password == NULL;
    }
    c.client = peer->client;
    if (!c.client->is_blocked && argc > 0 && argv[0].bytes > 0) {
        run_command(&c);
        if (!c.client->is_blocked)
            roan_peer_send(peer, c.after_us, roan_buffer_slice(&c.out));
        if (c.is_ending)
            roan_peer_end(peer, 0);
    }
    roan_buffer_done(&c.out);
    roan_scripted_unlock(peer->world);
}

static void set_text(char **text, const char *value)
{
    roan_text_free(*text);
    *text = value != NULL ? roan_text_dup(value) : NULL;
}

void roan_scripted_set_redis(roan_scripted *world, const roan_scripted_redis_options *options)
{
    ROAN_ASSERT(options->size == sizeof *options);
    roan_scripted_lock(world);
    roan_scripted_store *store = store_of(world);
    set_text(&store->username, options->username);
    set_text(&store->password, options->password);
    store->lacks_hello = options->lacks_hello;
    store->lacks_resp3 = options->lacks_resp3;
    roan_scripted_unlock(world);
}

void roan_scripted_client_free(roan_scripted_client *client)
{
    if (client == NULL)
        return;
    clear_client(client);
    roan_free(client, sizeof *client);
}

void roan_scripted_store_free(roan_scripted_store *store)
{
    if (store == NULL)
        return;
    remove_all(store);
    roan_hash_set_done(&store->entries);
    roan_text_free(store->username);
    roan_text_free(store->password);
    roan_free(store, sizeof *store);
}
