/* engine/options_memory.c: options about memory, housekeeping, and the limits of the compact encodings. */
#include "engine/options_rows.h"

static const roan_option_choice policies[] = {
    {"volatile-lru", ROAN_POLICY_VOLATILE_LRU},       {"volatile-lfu", ROAN_POLICY_VOLATILE_LFU},
    {"volatile-random", ROAN_POLICY_VOLATILE_RANDOM}, {"volatile-ttl", ROAN_POLICY_VOLATILE_TTL},
    {"allkeys-lru", ROAN_POLICY_ALLKEYS_LRU},         {"allkeys-lfu", ROAN_POLICY_ALLKEYS_LFU},
    {"allkeys-random", ROAN_POLICY_ALLKEYS_RANDOM},   {"noeviction", ROAN_POLICY_NOEVICTION},
    {NULL, 0},
};
static const roan_option_choice sanitize_modes[] = {{"no", 0}, {"yes", 1}, {"clients", 2}, {NULL, 0}};

#define DEFRAG "active defragmentation"

static const roan_option memory_rows[] = {
    {.name = "maxmemory", ROAN_ROW_MEMORY(maxmemory, 0, UINT64_MAX), .apply = ROAN_APPLY_MAXMEMORY, .initial = "0",
     .text = "Most memory the data may take. Above it keys are evicted by maxmemory-policy, and where that is not "
             "possible writes are refused. 0 is no limit."},
    {.name = "maxmemory-policy", ROAN_ROW_ENUM(maxmemory_policy, policies), .apply = ROAN_APPLY_MAXMEMORY,
     .initial = "noeviction",
     .text = "What to evict at maxmemory. allkeys-*: any key; volatile-*: only keys that expire. lru: what was not "
             "used for longest; lfu: what is used least often; random; ttl: what expires next. noeviction: nothing."},
    {.name = "maxmemory-samples", ROAN_ROW_INTEGER(maxmemory_samples, 1, 64), .initial = "5",
     .text = "Keys compared to find the one to evict. More are more exact and slower; 10 is very close to true LRU."},
    {.name = "maxmemory-eviction-tenacity", ROAN_ROW_INTEGER(maxmemory_eviction_tenacity, 0, 100), .initial = "10",
     .text = "How long one command may be kept waiting for eviction: 0 hardly at all, 100 until memory is below the "
             "limit."},
    {.name = "maxmemory-clients", ROAN_ROW_AT(PERCENT_OR_MEMORY, maxmemory_clients, uint64_t), .max = INT64_MAX,
     .apply = ROAN_APPLY_CLIENT_MEMORY, .initial = "0",
     .text = "Most memory all connections together may take, as a size or as a share of maxmemory (5%). Above it the "
             "largest are closed. 0 is no limit."},
    {.name = "lfu-log-factor", ROAN_ROW_INTEGER(lfu_log_factor, 0, INT_MAX), .initial = "10",
     .text = "How slowly the frequency counter of the lfu policies grows; with 10 a million uses fill it."},
    {.name = "lfu-decay-time", ROAN_ROW_INTEGER(lfu_decay_time, 0, INT_MAX), .initial = "1",
     .text = "Minutes without use after which the frequency counter drops by one. 0: it never does."},
    {.name = "active-expire-effort", ROAN_ROW_INTEGER(active_expire_effort, 1, 10),
     .initial = "1", .text = "How much work goes into freeing expired keys that nobody asks for, from 1 to 10."},
    {.name = "lazyfree-lazy-eviction", ROAN_ROW_BOOL(lazyfree_lazy_eviction), .initial = "yes",
     .text = "Free evicted values in the background."},
    {.name = "lazyfree-lazy-expire", ROAN_ROW_BOOL(lazyfree_lazy_expire), .initial = "yes",
     .text = "Free expired values in the background."},
    {.name = "lazyfree-lazy-server-del", ROAN_ROW_BOOL(lazyfree_lazy_server_del), .initial = "yes",
     .text = "Free values that a command replaces, such as those under RENAME's new name, in the background."},
    {.name = "lazyfree-lazy-user-del", ROAN_ROW_BOOL(lazyfree_lazy_user_del), .initial = "yes",
     .text = "Let DEL free values in the background, as UNLINK does."},
    {.name = "lazyfree-lazy-user-flush", ROAN_ROW_BOOL(lazyfree_lazy_user_flush), .initial = "yes",
     .text = "Let FLUSHALL and FLUSHDB work in the background when they are told neither SYNC nor ASYNC."},
    {.name = "tracking-table-max-keys", ROAN_ROW_INTEGER(tracking_table_max_keys, 0, INT64_MAX),
     .needs = "client-side caching", .initial = "1000000",
     .text = "Keys remembered for CLIENT TRACKING. When there are more, some clients are told early that keys they "
             "cached are gone. 0 is no limit."},
    {.name = "activedefrag", ROAN_ROW_FIXED_BOOL(0, DEFRAG), .initial = "no",
     .text = "Move values together while the server runs, to give memory back."},
    {.name = "active-defrag-ignore-bytes", ROAN_ROW_MEMORY(active_defrag_ignore_bytes, 1, INT64_MAX), .needs = DEFRAG,
     .initial = "100mb", .text = "Least waste worth moving values for."},
    {.name = "active-defrag-threshold-lower", ROAN_ROW_INTEGER(active_defrag_threshold_lower, 0, 1000),
     .needs = DEFRAG, .initial = "10", .text = "Least percentage of waste worth moving values for."},
    {.name = "active-defrag-threshold-upper", ROAN_ROW_INTEGER(active_defrag_threshold_upper, 0, 1000),
     .needs = DEFRAG, .initial = "100", .text = "Percentage of waste at which the effort is greatest."},
    {.name = "active-defrag-cycle-min", ROAN_ROW_INTEGER(active_defrag_cycle_min, 1, 99), .needs = DEFRAG,
     .initial = "1", .text = "Least share of processor time for moving, in percent."},
    {.name = "active-defrag-cycle-max", ROAN_ROW_INTEGER(active_defrag_cycle_max, 1, 99), .needs = DEFRAG,
     .initial = "25", .text = "Greatest share of processor time for moving, in percent."},
    {.name = "active-defrag-cycle-us", ROAN_ROW_INTEGER(active_defrag_cycle_us, 0, 100000), .needs = DEFRAG,
     .initial = "500", .text = "Microseconds of moving at a time."},
    {.name = "active-defrag-max-scan-fields", ROAN_ROW_INTEGER(active_defrag_max_scan_fields, 1, INT64_MAX),
     .needs = DEFRAG, .initial = "1000", .text = "Elements of a large value that are moved at a time."},
    {.name = "activerehashing", ROAN_ROW_BOOL(activerehashing), .flags = ROAN_OPTION_IDLE, .initial = "yes",
     .text = "In the reference: move entries of a growing table in idle time. Tables here grow a segment at a time, "
             "and there is nothing left to move."},
    {.name = "jemalloc-bg-thread", ROAN_ROW_BOOL(jemalloc_bg_thread), .flags = ROAN_OPTION_IDLE, .initial = "yes",
     .text = "In the reference: let the allocator give memory back from a thread of its own. It always does here."},
};

static const roan_option type_rows[] = {
    {.name = "hash-max-listpack-entries", .alias = "hash-max-ziplist-entries",
     ROAN_ROW_INTEGER(hash_max_listpack_entries, 0, INT64_MAX), .initial = "512",
     .text = "Most fields of a hash in the compact encoding."},
    {.name = "hash-max-listpack-value", .alias = "hash-max-ziplist-value",
     ROAN_ROW_MEMORY(hash_max_listpack_value, 0, INT64_MAX), .initial = "64",
     .text = "Longest field or value of a hash in the compact encoding."},
    {.name = "list-max-listpack-size", .alias = "list-max-ziplist-size",
     ROAN_ROW_INTEGER(list_max_listpack_size, INT_MIN, INT_MAX), .initial = "-2",
     .text = "Size of a list's chunks: a number of elements, or -1 to -5 for 4, 8, 16, 32 or 64 kB."},
    {.name = "list-compress-depth", ROAN_ROW_INTEGER(list_compress_depth, 0, INT_MAX), .flags = ROAN_OPTION_IDLE,
     .initial = "0", .text = "Chunks at either end of a list that are never compressed. 0: none is."},
    {.name = "set-max-intset-entries", ROAN_ROW_INTEGER(set_max_intset_entries, 0, INT64_MAX),
     .initial = "512", .text = "Most members of a set of integers in the compact encoding."},
    {.name = "set-max-listpack-entries", ROAN_ROW_INTEGER(set_max_listpack_entries, 0, INT64_MAX),
     .initial = "128", .text = "Most members of a set in the compact encoding."},
    {.name = "set-max-listpack-value", ROAN_ROW_INTEGER(set_max_listpack_value, 0, INT64_MAX), .initial = "64",
     .text = "Longest member of a set in the compact encoding, in bytes."},
    {.name = "zset-max-listpack-entries", .alias = "zset-max-ziplist-entries",
     ROAN_ROW_INTEGER(zset_max_listpack_entries, 0, INT64_MAX), .initial = "128",
     .text = "Most members of a sorted set in the compact encoding."},
    {.name = "zset-max-listpack-value", .alias = "zset-max-ziplist-value",
     ROAN_ROW_MEMORY(zset_max_listpack_value, 0, INT64_MAX), .initial = "64",
     .text = "Longest member of a sorted set in the compact encoding."},
    {.name = "stream-node-max-bytes", ROAN_ROW_MEMORY(stream_node_max_bytes, 0, INT64_MAX), .initial = "4096",
     .text = "Most bytes in one node of a stream. 0 is no limit."},
    {.name = "stream-node-max-entries", ROAN_ROW_INTEGER(stream_node_max_entries, 0, INT64_MAX),
     .initial = "100", .text = "Most entries in one node of a stream. 0 is no limit."},
    {.name = "hll-sparse-max-bytes", ROAN_ROW_MEMORY(hll_sparse_max_bytes, 0, INT64_MAX),
     .initial = "3000",
     .text = "Largest HyperLogLog in the sparse form; from 16000 on the dense form is never larger."},
    {.name = "sanitize-dump-payload", ROAN_ROW_ENUM(sanitize_dump_payload, sanitize_modes), .initial = "no",
     .needs = "RESTORE", .text = "Check the inside of values that RESTORE and replication bring: no, yes, or clients "
                                 "for those of ordinary clients. (Redis; Valkey has dropped it.)"},
};

const roan_option_group roan_options_memory = ROAN_OPTION_GROUP("Memory", "", memory_rows);
const roan_option_group roan_options_types = ROAN_OPTION_GROUP(
    "Encodings",
    "Small values are packed into one block of memory. These limits say how small, and OBJECT ENCODING tells which "
    "form a value has.",
    type_rows);
