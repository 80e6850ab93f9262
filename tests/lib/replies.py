"""When two servers' replies to the same command are the same: what has no order is sorted, what is picked by chance or
depends on the time is checked for its form, and differences between released servers that are meant are listed.
"""

import re

from resp import NIL, Reply

TIME_SLACK_MS = {b"TTL": 2, b"EXPIRETIME": 2, b"PTTL": 3000, b"PEXPIRETIME": 3000, b"HTTL": 2, b"HEXPIRETIME": 2,
                 b"HPTTL": 3000, b"HPEXPIRETIME": 3000}
UNORDERED = {b"KEYS", b"SMEMBERS", b"SINTER", b"SUNION", b"SDIFF", b"HKEYS", b"HVALS"}
PICKED = {b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER"}
GEO = {b"GEOSEARCH", b"GEORADIUS", b"GEORADIUSBYMEMBER", b"GEORADIUS_RO", b"GEORADIUSBYMEMBER_RO"}
# Fields of XINFO whose values are times, or a matter of each server's own structures.
XINFO_OWN = {b"idle", b"inactive", b"radix-tree-keys", b"radix-tree-nodes", b"seen-time", b"active-time"}


def sort_key(reply):
    return repr(reply)


def flat(reply):
    """The items of an aggregate; a map's keys and values one after the other."""
    if reply.kind == "map":
        return [item for pair in reply.value for item in pair]
    return reply.value


def is_aggregate(reply):
    return reply.kind in ("array", "set", "map")


def sorted_items(reply, stride=1):
    items = flat(reply)
    groups = [items[at:at + stride] for at in range(0, len(items), stride)]
    return Reply(reply.kind, sorted(groups, key=sort_key))


# -- per command ---------------------------------------------------------------------------------------

def normalise_scan(command, reply):
    """One call saw everything; a page may hold something twice."""
    items = flat(reply.value[1])
    without = {word.upper() for word in command[3:]} & {b"NOVALUES", b"NOSCORES"}
    stride = 1 if command[0] in (b"SCAN", b"SSCAN") or without else 2
    return Reply("array", [reply.value[0], sorted_items(Reply("array", items), stride)])


def normalise_picked(command, reply):
    """How many were picked; all that there are, when more were wanted."""
    count = command[2] if len(command) > 2 else b"1"
    if reply.kind == "bulk":
        return Reply("bulk", b"one of them")
    if is_aggregate(reply) and count == b"1000000":
        return sorted_items(reply)
    if is_aggregate(reply):
        return Reply(reply.kind, len(reply.value))
    return reply


def normalise_geo(command, reply):
    """Without an order (COUNT gives one) places come as each server finds them."""
    words = {word.upper() for word in command}
    if is_aggregate(reply) and not words & {b"ASC", b"DESC", b"COUNT"}:
        return sorted_items(reply)
    return reply


def normalise_object(command, reply):
    return Reply("integer", 1) if reply.kind == "integer" else reply  # Redis shares small integers


def normalise_pending(command, reply):
    """How long something has been pending is replaced."""
    if len(command) > 3 and reply.kind == "array":
        return Reply("array", [Reply("array", row.value[:2] + row.value[3:]) for row in reply.value])
    return reply


def normalise_xinfo(command, reply):
    """Times are replaced, at every depth: values of named fields, and the third item of pending entries."""
    if reply.kind == "integer":
        return Reply("integer", "a time") if reply.value > 1500000000000 else reply
    if not is_aggregate(reply):
        return reply
    items = [normalise_xinfo(command, item) for item in flat(reply)]
    for at in range(0, len(items) - 1, 2):
        if items[at].kind == "bulk" and items[at].value in XINFO_OWN:
            items[at + 1] = Reply("integer", "own")
    return Reply(reply.kind, items)


NORMALISERS = {b"SCAN": normalise_scan, b"HSCAN": normalise_scan, b"SSCAN": normalise_scan, b"ZSCAN": normalise_scan,
               b"OBJECT": normalise_object, b"XPENDING": normalise_pending, b"XINFO": normalise_xinfo}
NORMALISERS.update({name: normalise_picked for name in PICKED})
NORMALISERS.update({name: normalise_geo for name in GEO})


def normalise(command, reply):
    verb = command[0].upper()
    if reply.kind in ("error", "nil", "nil-array"):
        return reply
    if verb in NORMALISERS:
        return NORMALISERS[verb](command, reply)
    if verb in UNORDERED or (verb == b"SPOP" and is_aggregate(reply)):
        return sorted_items(reply)
    if verb == b"HGETALL":
        return sorted_items(reply, 2)
    if verb == b"RANDOMKEY" and reply.kind == "bulk":
        return Reply("bulk", b"some key")
    return reply


def in_slack(command, one, other):
    """Remaining times, or a list of them, that are nearly the same."""
    slack = TIME_SLACK_MS.get(command[0].upper())
    if slack is None or one.kind != other.kind:
        return False
    if one.kind == "array":
        return len(one.value) == len(other.value) and \
            all(a == b or in_slack(command, a, b) for a, b in zip(one.value, other.value))
    return one.kind == "integer" and min(one.value, other.value) >= 0 and abs(one.value - other.value) <= slack


def as_numbers(reply):
    """The same with texts that are numbers as numbers: servers print doubles in different ways."""
    if isinstance(reply, (list, tuple)) and not isinstance(reply, Reply):
        return [as_numbers(item) for item in reply]
    if isinstance(reply, Reply) and isinstance(reply.value, list):
        return as_numbers(reply.value)
    if isinstance(reply, Reply) and reply.kind in ("bulk", "double"):
        try:
            number = float(reply.value)
        except ValueError:
            return reply.value
        return "%.14g" % (number + 0.0) if number == number else reply.value  # without -0
    return reply


def is_equal(command, one, other):
    """Whether two normalised replies are the same."""
    return one == other or in_slack(command, one, other)


# -- picked by chance ----------------------------------------------------------------------------------

def check_picks(command, reply, everything):
    """What is wrong with a pick, given the whole value; empty when nothing is."""
    if reply.kind in ("error", "nil") or not is_aggregate(everything):
        return ""
    verb = command[0].upper()
    known = flat(everything)
    whole = known if verb == b"SRANDMEMBER" else known[::2] if everything.kind != "array" or not known or \
        not is_aggregate(known[0]) else [pair.value[0] for pair in known]
    texts = [one.value for one in whole]
    with_values = len(command) > 3
    picked = [reply] if reply.kind == "bulk" else flat(reply)
    if with_values:
        picked = [pair.value[0] for pair in picked] if picked and is_aggregate(picked[0]) else picked[::2]
    names = [one.value for one in picked]
    strangers = set(names) - set(texts)
    if strangers:
        return "%r is no member" % sorted(strangers)[:3]
    if is_aggregate(reply) and not command[2].startswith(b"-"):
        if len(set(names)) != len(names):
            return "a member twice"
    return ""


# -- differences that are meant ------------------------------------------------------------------------

def kinds_of(replies):
    return sorted(reply.kind for reply in replies)


def is_missing_getex(command, replies):
    """Redis looks at GETEX's expiry only when the key exists."""
    return command[0].upper() == b"GETEX" and kinds_of(replies) == ["error", "nil"]


def is_start_only(command, replies):
    """BITCOUNT with a start and no end came with Valkey 8.0."""
    return command[0].upper() == b"BITCOUNT" and len(command) == 3


def is_missing_bits(command, replies):
    """Redis 7.0 does not check all arguments of BITCOUNT and BITPOS; 8.0 checks in another order."""
    return command[0].upper() in (b"BITCOUNT", b"BITPOS") and kinds_of(replies) in (["error", "integer"], ["error"] * 2)


def is_embedding(command, replies):
    """Where short strings end (embstr, raw) is each server's own business."""
    values = {reply.value for reply in replies if reply.kind == "bulk"}
    return command[:2] == [b"OBJECT", b"ENCODING"] and values == {b"embstr", b"raw"}


def is_scan_type(command, replies):
    """Redis 7.0 and 8.0 answer an unknown TYPE with nothing."""
    return command[0] == b"SCAN" and b"TYPE" in command and "error" in [reply.kind for reply in replies]


def is_scan_cursor(command, replies):
    """Redis 7.0 reads -1 and an empty text as cursors."""
    cursor = command[1:2] if command[0] == b"SCAN" else command[2:3]
    return command[0].endswith(b"SCAN") and cursor in ([b"-1"], [b""])


def is_wording(command, replies):
    """Redis and Valkey tell the same mistakes in other words, or notice another one first."""
    return kinds_of(replies) == ["error", "error"] and command[0].upper().startswith(WORDED)


WORDED = (b"X", b"Z", b"H", b"GEO", b"GETEX", b"B", b"SSCAN")
def is_encoding(command, replies):
    """Redis before 7.2 has no listpacks for lists and sets; ZADD XX looks at what it does not add, too."""
    return command[:2] == [b"OBJECT", b"ENCODING"] and sorted(str(reply.value) for reply in replies) in (
        ["b'listpack'", "b'quicklist'"], ["b'hashtable'", "b'listpack'"], ["b'listpack'", "b'skiplist'"])


def is_earlier_overflow(command, replies):
    """Redis before 7.2 refuses a weight when some number before it was too large."""
    return command[0].startswith(b"SORT") and any(b"scores can't be converted" in reply.value for reply in replies
                                                  if reply.kind == "error")


def is_lowest_rank(command, replies):
    """Redis 7.0 takes a RANK whose opposite is no number."""
    return command[0] == b"LPOS" and b"-9223372036854775808" in command


def is_stream_info(command, replies):
    """What is told about streams grew with the versions."""
    return command[0].upper() == b"XINFO" and kinds_of(replies)[0] != "error"


def is_printing(command, replies):
    """Redis before 7.2 prints doubles with 17 digits; GEOPOS of later ones in the shortest form."""
    return as_numbers(normalise(command, replies[0])) == as_numbers(normalise(command, replies[1]))


def is_negative_offset(command, replies):
    """Redis takes LIMIT with a negative offset as one from the start."""
    words = [word.upper() for word in command]
    return b"LIMIT" in words and words[words.index(b"LIMIT") + 1:][:1][0].startswith(b"-")


def redis(identity):
    return identity[0] == "redis"


def old_redis(identity):
    return identity[0] == "redis" and identity[1] < (7, 2)


def every(identity):
    return True


KNOWN = ((is_missing_getex, redis), (is_start_only, redis), (is_missing_bits, redis), (is_embedding, every),
         (is_scan_type, redis), (is_scan_cursor, redis), (is_wording, redis),
         (is_encoding, redis), (is_negative_offset, redis), (is_stream_info, redis),
         (is_printing, redis), (is_lowest_rank, old_redis),
         (is_earlier_overflow, old_redis))


def is_known(command, replies, identities):
    """A known difference needs one of the servers it is of; Roan against Valkey has none but its own."""
    return any(rule(command, replies) and any(applies(one) for one in identities) for rule, applies in KNOWN)
