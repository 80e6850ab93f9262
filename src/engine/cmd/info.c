/* engine/cmd/info.c: INFO: which sections to show, and in which order. Their fields are in info_server.c and
 * info_stats.c.
 */
#include "engine/cmd/info_sections.h"

#include "base/macros.h"

/* Sets of sections by name. */
enum {
    IN_DEFAULT = 1, /* INFO without arguments, or "default" */
    IN_ALL = 2,     /* "all" and "everything" */
};

typedef struct section_row {
    const char *name, *title;
    roan_info_section *write; /* NULL: nothing to tell */
    unsigned sets;
} section_row;

static const section_row sections[] = {
    {"server", "Server", roan_info_server, IN_DEFAULT | IN_ALL},
    {"clients", "Clients", roan_info_clients, IN_DEFAULT | IN_ALL},
    {"memory", "Memory", roan_info_memory, IN_DEFAULT | IN_ALL},
    {"persistence", "Persistence", roan_info_persistence, IN_DEFAULT | IN_ALL},
    {"stats", "Stats", roan_info_stats, IN_DEFAULT | IN_ALL},
    {"replication", "Replication", roan_info_replication, IN_DEFAULT | IN_ALL},
    {"cpu", "CPU", roan_info_cpu, IN_DEFAULT | IN_ALL},
    {"modules", "Modules", NULL, IN_DEFAULT | IN_ALL},
    {"commandstats", "Commandstats", roan_info_commandstats, IN_ALL},
    {"errorstats", "Errorstats", roan_info_errorstats, IN_DEFAULT | IN_ALL},
    {"latencystats", "Latencystats", roan_info_latencystats, IN_ALL},
    {"cluster", "Cluster", roan_info_cluster, IN_DEFAULT | IN_ALL},
    {"keyspace", "Keyspace", roan_info_keyspace, IN_DEFAULT | IN_ALL},
    {"debug", "Debug", roan_info_debug, 0},
};

_Static_assert(ROAN_COUNT_OF(sections) <= 32, "a set of sections fits into 32 bits");

static uint32_t sections_of_set(unsigned set)
{
    uint32_t wanted = 0;
    for (unsigned i = 0; i < ROAN_COUNT_OF(sections); i++)
        if (sections[i].sets & set)
            wanted |= UINT32_C(1) << i;
    return wanted;
}

/* The sections that one argument asks for; none for a name nobody knows. */
static uint32_t sections_named(roan_slice name)
{
    if (roan_slice_is(name, "default"))
        return sections_of_set(IN_DEFAULT);
    if (roan_slice_is(name, "all") || roan_slice_is(name, "everything"))
        return sections_of_set(IN_ALL);
    for (unsigned i = 0; i < ROAN_COUNT_OF(sections); i++)
        if (roan_slice_is(name, sections[i].name))
            return UINT32_C(1) << i;
    return 0;
}

static void write_sections(const roan_info *info, uint32_t wanted)
{
    const char *separator = "";
    for (unsigned i = 0; i < ROAN_COUNT_OF(sections); i++) {
        if (!(wanted >> i & 1))
            continue;
        roan_buffer_printf(info->out, "%s# %s\r\n", separator, sections[i].title);
        if (sections[i].write != NULL)
            sections[i].write(info);
        separator = "\r\n";
    }
}

ROAN_COMMAND(info, .arity = -1, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
             .acl = ROAN_ACL_DANGEROUS, .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER,
             .since = "1.0.0", .complexity = "O(1)",
             .summary = "Reports the state and the counters of the server, section by section.",
             .arguments = "[section...]",
             .tips = "nondeterministic_output request_policy:all_shards response_policy:special",
             .history = "7.0.0|Takes several sections.")
{
    size_t used = roan_alloc_used_bytes();
    uint32_t wanted = call->argc == 1 ? sections_of_set(IN_DEFAULT) : 0;
    for (size_t i = 1; i < call->argc; i++)
        wanted |= sections_named(call->argv[i]);
    roan_buffer text = {0};
    roan_info info = {
        .call = call,
        .engine = call->engine,
        .config = &call->engine->config,
        .used = used,
        .stats = roan_stats_sum(call->engine),
        .out = &text,
    };
    roan_info_read_host(call->engine, &info.host);
    roan_info_read_clients(call->engine, &info.clients);
    write_sections(&info, wanted);
    roan_out_verbatim(call->out, "txt", roan_buffer_slice(&text));
    roan_stats_free(info.stats);
    roan_buffer_done(&text);
}
