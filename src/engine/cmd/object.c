/* engine/cmd/object.c: OBJECT: how a value is kept, and how recently or often it was used. Looking does not count
 * as use. */
#include "engine/call.h"
#include "engine/command_keys.h"
#include "engine/evict.h"

ROAN_COMMAND(object, .arity = -2, .acl = ROAN_ACL_NO_GROUP, .lock = ROAN_LOCK_L,
             .group = ROAN_GROUP_GENERIC, .since = "2.2.3",
             .complexity = "Depends on the subcommand.",
             .summary = "Groups the commands that look inside a value.")
{
    roan_call_unknown_subcommand(call);
}

ROAN_SUBCOMMAND(object, encoding, .arity = 3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
                .keys = {ROAN_KEY(2, ROAN_KEY_RO)}, .group = ROAN_GROUP_GENERIC, .since = "2.2.3",
                .complexity = "O(1)", .summary = "Names the way a value is laid out in memory.",
                .arguments = "key:key", .tips = "nondeterministic_output")
{
    roan_place place;
    if (roan_call_find_unheard(call, 2, &place))
        roan_out_bulk_text(call->out, roan_entry_encoding_name(place.entry));
    else
        roan_out_null(call->out);
}

ROAN_SUBCOMMAND(object, refcount, .arity = 3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
                .keys = {ROAN_KEY(2, ROAN_KEY_RO)}, .group = ROAN_GROUP_GENERIC, .since = "2.2.3",
                .complexity = "O(1)",
                .summary = "Tells how many references the server holds to a value.",
                .arguments = "key:key", .tips = "nondeterministic_output")
{
    roan_place place;
    if (roan_call_find_unheard(call, 2, &place))
        roan_out_integer(call->out, 1);
    else
        roan_out_null(call->out);
}

ROAN_SUBCOMMAND(object, idletime, .arity = 3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
                .keys = {ROAN_KEY(2, ROAN_KEY_RO)}, .group = ROAN_GROUP_GENERIC, .since = "2.2.3",
                .complexity = "O(1)",
                .summary = "Tells for how many seconds a key has not been used.",
                .arguments = "key:key", .tips = "nondeterministic_output")
{
    roan_place place;
    if (!roan_call_find_unheard(call, 2, &place))
        roan_out_null(call->out);
    else if (roan_policy_is_lfu(call->engine->config.maxmemory_policy))
        roan_call_error(call, "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when "
                              "switching between policies at runtime LRU and LFU data will take some time to adjust.");
    else
        roan_out_integer(call->out, (int64_t)(roan_entry_idle_ms(call->lane, place.entry) / 1000));
}

ROAN_SUBCOMMAND(object, freq, .arity = 3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
                .keys = {ROAN_KEY(2, ROAN_KEY_RO)}, .group = ROAN_GROUP_GENERIC, .since = "4.0.0",
                .complexity = "O(1)",
                .summary = "Shows how often a key has been used, on a logarithmic scale.",
                .arguments = "key:key", .tips = "nondeterministic_output")
{
    roan_place place;
    if (!roan_call_find_unheard(call, 2, &place))
        roan_out_null(call->out);
    else if (!roan_policy_is_lfu(call->engine->config.maxmemory_policy))
        roan_call_error(call, "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note "
                              "that when switching between policies at runtime LRU and LFU data will take some time "
                              "to adjust.");
    else
        roan_out_integer(call->out, roan_entry_frequency(call->engine, call->lane, place.entry));
}

ROAN_SUBCOMMAND(object, help, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_GENERIC, .since = "6.2.0",
                .complexity = "O(1)", .summary = "Lists the subcommands of OBJECT.")
{
    static const char *const lines[] = {
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
        NULL,
    };
    roan_call_help(call, lines);
}
