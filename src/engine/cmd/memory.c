/* engine/cmd/memory.c: MEMORY: who has the memory: the whole server (STATS, DOCTOR, MALLOC-STATS) and one key
 * (USAGE). */
#include "engine/call.h"

#include "base/macros.h"
#include "engine/info.h"

#define USAGE_SAMPLES_DEFAULT 5
#define LITTLE_BYTES ((size_t)5 << 20)      /* below, DOCTOR has nothing to say */
#define NOTABLE_BYTES ((size_t)10 << 20)
#define LARGE_CLIENT_BYTES ((size_t)200 << 10)

ROAN_COMMAND(memory, .arity = -2, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "4.0.0",
             .complexity = "Depends on the subcommand.",
             .summary = "Groups the commands about memory use.")
{
    roan_call_unknown_subcommand(call);
}

ROAN_SUBCOMMAND(memory, usage, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
                .keys = {ROAN_KEY(2, ROAN_KEY_RO)}, .group = ROAN_GROUP_SERVER, .since = "4.0.0",
                .complexity = "O(N) for N elements sampled.",
                .summary = "Estimates how many bytes a key and its value take.",
                .arguments = "key:key [SAMPLES count:integer]")
{
    int64_t samples = USAGE_SAMPLES_DEFAULT;
    roan_place place;
    for (size_t i = 3; i < call->argc; i += 2) {
        if (!roan_call_is(call, i, "SAMPLES") || i + 1 == call->argc) {
            roan_call_syntax_error(call);
            return;
        }
        if (!roan_call_integer(call, i + 1, &samples, NULL))
            return;
        if (samples < 0) {
            roan_call_syntax_error(call);
            return;
        }
    }
    if (!roan_call_find_quiet(call, 2, &place)) {
        roan_out_null(call->out);
        return;
    }
    roan_out_integer(call->out, (int64_t)roan_entry_memory(place.entry, samples == 0 ? SIZE_MAX : (size_t)samples));
}

/* ---- STATS ---- */

static void reply_bytes(roan_out *out, const char *name, size_t bytes)
{
    roan_out_bulk_text(out, name);
    roan_out_integer(out, (int64_t)bytes);
}

static void reply_difference(roan_out *out, const char *name, size_t larger, size_t smaller)
{
    roan_out_bulk_text(out, name);
    roan_out_integer(out, (int64_t)larger - (int64_t)smaller);
}

static void reply_ratio(roan_out *out, const char *name, double ratio)
{
    roan_out_bulk_text(out, name);
    roan_out_double(out, ratio);
}

/* One pair per database with keys; returns how many. */
static size_t reply_databases(roan_call *call)
{
    roan_engine *engine = call->engine;
    size_t pairs = 0;
    for (int64_t i = 0; i < engine->config.databases; i++) {
        const roan_db *db = roan_engine_db_if_used(engine, (unsigned)i);
        if (db == NULL || roan_db_count(engine, db) == 0)
            continue;
        size_t bytes = 0;
        for (unsigned stripe = 0; stripe < engine->stripe_count; stripe++)
            bytes += roan_table_overhead_bytes(&db->tables[stripe]);
        roan_out_bulk_printf(call->out, "db.%lld", (long long)i);
        roan_out_map(call->out, 2);
        reply_bytes(call->out, "overhead.hashtable.main", bytes);
        reply_bytes(call->out, "overhead.hashtable.expires", 0); /* times stand in the same tables */
        pairs++;
    }
    return pairs;
}

/* Returns the number of pairs. */
static size_t reply_totals(roan_out *out, const roan_memory_info *memory)
{
    size_t beyond_startup = memory->used - ROAN_MIN(memory->startup, memory->used);
    reply_bytes(out, "overhead.db.hashtable.lut", memory->tables);
    reply_bytes(out, "overhead.db.hashtable.rehashing", 0);
    reply_bytes(out, "overhead.total", memory->overhead);
    reply_bytes(out, "db.dict.rehashing.count", 0);
    reply_bytes(out, "keys.count", memory->keys);
    reply_bytes(out, "keys.bytes-per-key", memory->keys == 0 ? 0 : beyond_startup / memory->keys);
    reply_bytes(out, "dataset.bytes", memory->dataset);
    reply_ratio(out, "dataset.percentage", 100 * roan_ratio(memory->dataset, beyond_startup));
    reply_ratio(out, "peak.percentage", 100 * roan_ratio(memory->used, memory->peak));
    return 9;
}

/* From bytes allocated to bytes resident, step by step. Returns the number of pairs. */
static size_t reply_allocator(roan_out *out, const roan_memory_info *memory)
{
    reply_bytes(out, "allocator.allocated", memory->allocated);
    reply_bytes(out, "allocator.active", memory->active);
    reply_bytes(out, "allocator.resident", memory->resident);
    reply_bytes(out, "allocator.muzzy", memory->muzzy);
    reply_ratio(out, "allocator-fragmentation.ratio", roan_ratio(memory->active, memory->allocated));
    reply_difference(out, "allocator-fragmentation.bytes", memory->active, memory->allocated);
    reply_ratio(out, "allocator-rss.ratio", roan_ratio(memory->resident, memory->active));
    reply_difference(out, "allocator-rss.bytes", memory->resident, memory->active);
    reply_ratio(out, "rss-overhead.ratio", roan_ratio(memory->rss, memory->resident));
    reply_difference(out, "rss-overhead.bytes", memory->rss, memory->resident);
    reply_ratio(out, "fragmentation", roan_ratio(memory->rss, memory->used));
    reply_difference(out, "fragmentation.bytes", memory->rss, memory->used);
    return 12;
}

static void read_memory(roan_call *call, roan_memory_info *memory, roan_client_info *clients)
{
    roan_host_info host;
    size_t used = roan_alloc_used_bytes();
    roan_info_read_host(call->engine, &host);
    roan_info_read_memory(call->engine, &host, used, memory);
    roan_info_read_clients(call->engine, clients);
}

ROAN_SUBCOMMAND(memory, stats, .arity = 2, .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER,
                .since = "4.0.0", .complexity = "O(1)",
                .summary = "Breaks the server's memory use down by purpose.",
                .tips = "nondeterministic_output request_policy:all_shards response_policy:special")
{
    static const char *const idle[] = {"replication.backlog", "replicas.repl.buffer", "clients.slaves"};
    static const char *const idle_too[] = {"cluster.links", "cluster.slot_import", "cluster.slot_export",
                                           "aof.buffer",    "lua.caches",          "functions.caches"};
    roan_memory_info memory;
    roan_client_info clients;
    read_memory(call, &memory, &clients);
    roan_out *out = call->out;
    roan_out_mark mark = roan_out_open(out);
    size_t pairs = 4 + ROAN_COUNT_OF(idle) + ROAN_COUNT_OF(idle_too);
    reply_bytes(out, "peak.allocated", memory.peak);
    reply_bytes(out, "total.allocated", memory.used);
    reply_bytes(out, "startup.allocated", memory.startup);
    for (size_t i = 0; i < ROAN_COUNT_OF(idle); i++)
        reply_bytes(out, idle[i], 0);
    reply_bytes(out, "clients.normal", memory.clients);
    for (size_t i = 0; i < ROAN_COUNT_OF(idle_too); i++)
        reply_bytes(out, idle_too[i], 0);
    pairs += reply_databases(call);
    pairs += reply_totals(out, &memory);
    pairs += reply_allocator(out, &memory);
    roan_out_close_map(out, mark, pairs);
}

/* ---- DOCTOR ---- */

/* Appends what is unusual; nothing when all is well. */
static void diagnose(const roan_memory_info *memory, const roan_client_info *clients, roan_buffer *text)
{
    if (memory->peak > memory->used + memory->used / 2)
        roan_buffer_printf(
            text,
            "- The peak was %.1f times of what is used now. Memory that was freed is given back to the\n"
            "  system within seconds; what stays resident is shown by rss. MEMORY PURGE gives back the rest.\n",
            roan_ratio(memory->peak, memory->used));
    if (memory->rss > memory->used + memory->used / 2 && memory->rss - memory->used > NOTABLE_BYTES)
        roan_buffer_printf(text,
                           "- The process has %.2f times the memory that is used (fragmentation). INFO memory tells\n"
                           "  whether the allocator (allocator_frag_bytes, allocator_rss_bytes) or the rest has it.\n",
                           roan_ratio(memory->rss, memory->used));
    if (clients->count > 0 && clients->normal_bytes / clients->count > LARGE_CLIENT_BYTES)
        roan_buffer_printf(text, "- Connections hold %zu KB each on average. CLIENT LIST shows which (tot-mem);\n"
                                 "  maxmemory-clients sets a limit.\n",
                           clients->normal_bytes / clients->count / 1024);
}

ROAN_SUBCOMMAND(memory, doctor, .arity = 2, .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER,
                .since = "4.0.0", .complexity = "O(1)",
                .summary = "Explains what is unusual about the server's memory use.",
                .tips = "nondeterministic_output request_policy:all_shards response_policy:special")
{
    roan_memory_info memory;
    roan_client_info clients;
    roan_buffer text = {0};
    read_memory(call, &memory, &clients);
    if (memory.used < LITTLE_BYTES) {
        roan_buffer_append_text(&text, "Almost no memory is used: there is nothing to examine.\n");
    } else {
        diagnose(&memory, &clients, &text);
        if (text.bytes == 0)
            roan_buffer_append_text(&text, "Memory use shows nothing unusual.\n");
    }
    roan_out_verbatim(call->out, "txt", roan_buffer_slice(&text));
    roan_buffer_done(&text);
}

/* ---- the allocator ---- */

static void append_report(void *context, const char *text)
{
    roan_buffer_append_text(context, text);
}

ROAN_SUBCOMMAND(memory, malloc_stats, .name = "memory|malloc-stats", .arity = 2,
                .flags = ROAN_CMD_LOADING, .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER,
                .since = "4.0.0", .complexity = "O(M) for M allocated blocks; may be slow.",
                .summary = "Shows the allocator's own statistics.",
                .tips = "nondeterministic_output request_policy:all_shards response_policy:special")
{
    roan_buffer text = {0};
    roan_alloc_report(append_report, &text);
    roan_out_verbatim(call->out, "txt", roan_buffer_slice(&text));
    roan_buffer_done(&text);
}

ROAN_SUBCOMMAND(memory, purge, .arity = 2, .flags = ROAN_CMD_LOADING, .lock = ROAN_LOCK_X,
                .group = ROAN_GROUP_SERVER, .since = "4.0.0",
                .complexity = "O(M) for M allocated blocks; may be slow.",
                .summary = "Asks the allocator to give unused memory back.",
                .tips = "request_policy:all_shards response_policy:all_succeeded")
{
    roan_alloc_purge();
    roan_out_ok(call->out);
}

ROAN_SUBCOMMAND(memory, help, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "4.0.0",
                .complexity = "O(1)", .summary = "Lists the subcommands of MEMORY.")
{
    static const char *const lines[] = {
        "DOCTOR",
        "    Explain what is unusual about memory use.",
        "MALLOC-STATS",
        "    Show the allocator's own report.",
        "PURGE",
        "    Give memory that is not used back to the system.",
        "STATS",
        "    Break memory use down by purpose.",
        "USAGE <key> [SAMPLES <count>]",
        "    Estimate the bytes of a key and its value; of a large value, look at <count> elements",
        "    (5 when not given, 0 for all).",
        NULL,
    };
    roan_call_help(call, lines);
}
