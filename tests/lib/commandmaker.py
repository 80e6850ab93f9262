"""Random commands for differential tests: mostly sensible, with edge values and mistakes mixed in.

The makers_*.py beside this file have a class each with methods `make_name`: one command (a list of words) or a
list of commands that belong together. Weights are drawn for every maker, so each seed is about something else;
commands that one of the servers does not know are left out.
"""

from makers_hashes import HashMaker
from makers_keys import KeyMaker
from makers_lists import ListMaker
from makers_sets import SetMaker
from makers_streams import StreamMaker
from makers_strings import StringMaker
from makers_zsets import TEXT_KEYS, ZsetMaker
from pieces import as_bytes

FAMILIES = (StringMaker, KeyMaker, ListMaker, HashMaker, SetMaker, ZsetMaker, StreamMaker)
# Commands that must not lose an argument: what is left would wait, or pick something by chance.
UNBREAKABLE = (b"BLPOP", b"BRPOP", b"BLMOVE", b"BRPOPLPUSH", b"BLMPOP", b"BZPOPMIN", b"BZPOPMAX", b"BZMPOP", b"XREAD",
               b"XREADGROUP", b"SPOP", b"SORT", b"SORT_RO")
# Small limits, so that values change their form often; a round draws some of them.
LIMITS = {
    "hash-max-listpack-entries": (1, 4, 16, 512), "hash-max-listpack-value": (0, 8, 64),
    "set-max-intset-entries": (0, 3, 16, 512), "set-max-listpack-entries": (0, 4, 16, 128),
    "set-max-listpack-value": (4, 16, 64), "zset-max-listpack-entries": (0, 4, 16, 128),
    "zset-max-listpack-value": (0, 8, 64), "list-max-listpack-size": (1, 3, 16, 128, -1, -2, -5),
    "list-compress-depth": (0, 1, 2), "stream-node-max-entries": (1, 3, 10, 100),
    "stream-node-max-bytes": (64, 200, 4096), "hll-sparse-max-bytes": (0, 100, 3000),
}


class CommandMaker(*FAMILIES):
    """`make()` returns a list of commands, usually one; each is a list of bytes."""

    def __init__(self, rng, features, commands):
        self.random = rng
        self.features = features       # names of what both servers have: "ifeq", ...
        self.commands = commands       # commands both servers know, in capitals
        self.expiries = 0
        self.last_id = 0
        self.is_extreme = self.chance(0.4)
        self.weights = {}
        for family in FAMILIES:
            share = rng.choice([0, 1, 1, 3])
            for name in vars(family):
                if name.startswith("make_"):
                    self.weights[name] = share * rng.choice([0, 1, 1, 2, 5])
        if self.is_extreme:            # sums of such scores depend on their order
            self.weights["make_zset_operation"] = 0
        self.weights["make_flush"] = min(self.weights["make_flush"], 0.2)
        self.weights["make_set"] += 1
        self.names = list(self.weights)

    def limits(self):
        """[(option, value)] for this round: half of the rounds keep the defaults."""
        if self.chance(0.5):
            return []
        return [(name, self.random.choice(values)) for name, values in LIMITS.items() if self.chance(0.7)]

    def make(self):
        while True:
            name = self.random.choices(self.names, self.weights.values())[0]
            commands = getattr(self, name)()
            if isinstance(commands[0], (bytes, str)):
                commands = [commands]
            commands = [[as_bytes(word) for word in command] for command in commands]
            unknown = [command for command in commands if command[0] not in self.commands | {b"BOGUS"}]
            if not unknown:
                break
            self.weights[name] *= 0.5  # those that may still fit come back
        if self.chance(0.02) and len(commands) == 1 and commands[0][0] not in UNBREAKABLE \
                and not set(commands[0]) & set(TEXT_KEYS):
            self.break_command(commands[0])
        return commands

    def break_command(self, command):
        """A wrong number of arguments, or a word that does not belong."""
        what = self.random.randrange(3)
        if what == 0 and len(command) > 1:
            command.pop()
        elif what == 1:
            command.append(self.random.choice([b"x", b"", b"NX", b"1"]))
        elif len(command) > 2:
            command[self.random.randrange(2, len(command))] = self.random.choice([b"BOGUS", b"", b"-1"])
