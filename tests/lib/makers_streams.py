"""Random commands about streams and their consumer groups. Ids are given, not taken from the clock."""

from pieces import KEYS, Pieces

GROUPS = ["g1", "g2", "g3"]
CONSUMERS = ["alice", "bob", "carol"]
WRONG_IDS = ["abc", "", "1-2-3", "-", "+", "$", ">", "1-", "-1", "18446744073709551616", "1-18446744073709551616", "(",
             "0-0"]
LAST_ID = "18446744073709551615-18446744073709551615"
FOREVER = "1000000000"                       # milliseconds that nothing has been idle for


class StreamMaker(Pieces):
    def stream_id(self):
        if self.chance(0.03):
            return self.random.choice(WRONG_IDS + [LAST_ID] * self.chance(0.1))
        number = self.random.randint(0, max(2, self.last_id))
        return self.random.choice(["%d" % number, "%d-0" % number, "%d-1" % number, "0", "0-1"])

    def stream_ids(self, most=4):
        return [self.stream_id() for _ in range(self.random.randint(1, most))]

    def new_id(self):
        """Mostly a larger one than before."""
        if self.chance(0.08):
            return self.random.choice(WRONG_IDS + [LAST_ID] * self.chance(0.1))
        if self.chance(0.85):
            self.last_id += self.random.choice([0, 1, 1, 1, 7])
        return self.random.choice(["%d-*", "%d-*", "%d-%d" % (0, 0) if self.chance(0.02) else "%d-1", "%d"]).replace(
            "%d", "%d" % self.last_id)

    def trim(self):
        """Approximate trimming depends on how a server cuts its streams, except where nothing is to go."""
        how = self.random.choice([[], ["="], ["~"]])
        if how == ["~"]:
            return self.random.choice([["MAXLEN", "~", "1000000"], ["MINID", "~", "0"],
                                       ["MAXLEN", "~", "1000000", "LIMIT", self.count()]])
        if self.chance(0.05):
            return ["MAXLEN"] + how + [self.count(), "LIMIT", 5]
        if self.chance(0.5):
            return ["MAXLEN"] + how + [self.random.choice([0, 5, 20, 100, 1000, self.count()])]
        return ["MINID"] + how + [self.stream_id()]

    def fields(self):
        count = self.random.randint(1, 3)
        return [word for _ in range(count) for word in (self.random.choice(["f", "g", "h"]), self.value())]

    def make_xadd(self):
        options = ["NOMKSTREAM"] * self.chance(0.1) + (self.trim() if self.chance(0.2) else [])
        fields = self.fields() if self.chance(0.5) else ["f", self.member()]
        return ["XADD", self.key("stream")] + options + [self.new_id()] + fields + ["odd"] * self.chance(0.02)

    def make_xadd_many(self):
        key = self.random.choice(KEYS["stream"])
        return [["XADD", key, self.new_id(), "f", b"%d" % number] for number in range(self.random.choice([5, 30, 120]))]

    def make_xlen(self):
        return ["XLEN", self.key("stream")]

    def make_xrange(self):
        def bound():
            return self.random.choice(["-", "+", self.stream_id(), "(" + self.stream_id()])
        return [self.random.choice(["XRANGE", "XREVRANGE"]), self.key("stream"), bound(), bound()] + \
            ["COUNT", self.count()] * self.chance(0.4)

    def make_xdel(self):
        return ["XDEL", self.key("stream")] + self.stream_ids()

    def make_xtrim(self):
        return ["XTRIM", self.key("stream")] + self.trim()

    def make_xsetid(self):
        if "xclaim" not in self.features:  # older servers look at less, or leave other consumers behind
            return self.make_xlen()
        return ["XSETID", self.key("stream"), self.stream_id()] + \
            self.some_of(["ENTRIESADDED", self.count()], ["MAXDELETEDID", self.stream_id()])

    def make_xread(self):
        keys = self.keys(2, "stream")
        ids = [self.random.choice(["$", "0"] + self.having("xread +", ["+"]) + [self.stream_id()] * 3) for _ in keys]
        ids = [one if one != "+" or "xread +" in self.features else "0" for one in ids]
        options = self.some_of(["COUNT", self.count()], ["BLOCK", self.random.choice([1, 1, "-1", "abc"])])
        return ["XREAD"] + options + ["STREAMS"] + keys + (ids if self.chance(0.97) else ids[1:])

    # -- groups -------------------------------------------------------------------------------

    def group(self):
        return self.random.choice(GROUPS)

    def consumer(self):
        return self.random.choice(CONSUMERS)

    def make_xgroup(self):
        key, group = self.key("stream"), self.group()
        entries = ["ENTRIESREAD", self.count()] * self.chance(0.2)
        start = self.random.choice(["0", "$", "$", self.stream_id()])
        return self.random.choice([
            ["XGROUP", "CREATE", key, group, start] + ["MKSTREAM"] * self.chance(0.4) + entries,
            ["XGROUP", "CREATE", key, group, "0", "MKSTREAM"],
            ["XGROUP", "SETID", key, group, start] + entries,
            ["XGROUP", "CREATECONSUMER", key, group, self.consumer()],
            ["XGROUP", "DELCONSUMER", key, group, self.consumer()],
            ["XGROUP", "DESTROY", key, group]][:6 if self.chance(0.2) else 4])

    def make_xreadgroup(self):
        keys = self.keys(2, "stream")
        ids = [self.random.choice([">", ">", ">", "0", self.stream_id()]) for _ in keys]
        options = self.some_of(["COUNT", self.count()], ["NOACK"], ["BLOCK", self.random.choice([1, "-1"])])
        group, consumer = self.group(), self.consumer()
        command = ["XREADGROUP", "GROUP", group, consumer] + options + ["STREAMS"] + keys + ids
        if "xclaim" in self.features:
            return command
        return [["XGROUP", "CREATECONSUMER", key, group, consumer] for key in keys] + [command]

    def make_xack(self):
        return ["XACK", self.key("stream"), self.group()] + self.stream_ids()

    def make_xackdel(self):
        policy = [self.random.choice(["KEEPREF", "DELREF", "ACKED", "BOGUS"])] * self.chance(0.7)
        ids = ["IDS"] + self.counted(self.stream_ids())
        if self.chance(0.5):
            return ["XDELEX", self.key("stream")] + policy + ids
        return ["XACKDEL", self.key("stream"), self.group()] + policy + ids

    def make_xpending(self):
        words = ["XPENDING", self.key("stream"), self.group()]
        if self.chance(0.3):
            return words
        idle = ["IDLE", self.random.choice([0, FOREVER, "abc"])] * self.chance(0.3)
        bounds = [self.random.choice(["-", self.stream_id(), "(" + self.stream_id()]),
                  self.random.choice(["+", self.stream_id()])]
        return words + idle + bounds + [self.count()] + [self.consumer()] * self.chance(0.4)

    def make_xclaim(self):
        if "xclaim" not in self.features:
            return self.make_xpending()
        options = self.some_of(["IDLE", 0], ["TIME", "1600000000000"], ["RETRYCOUNT", self.count()], ["FORCE"],
                               ["JUSTID"], ["LASTID", self.stream_id()], ["BOGUS"] if self.chance(0.1) else [])
        return ["XCLAIM", self.key("stream"), self.group(), self.consumer(),
                self.random.choice([0, 0, FOREVER, "abc"])] + self.stream_ids() + options

    def make_xautoclaim(self):
        if "xclaim" not in self.features:
            return self.make_xpending()
        count = self.count()
        if count in (b"4294967296", b"2147483648"):  # whether there is memory for it depends on the machine
            count = b"9223372036854775807"
        return ["XAUTOCLAIM", self.key("stream"), self.group(), self.consumer(), self.random.choice([0, 0, FOREVER]),
                self.random.choice(["0", "-", self.stream_id(), "(" + self.stream_id()])] + \
            ["COUNT", count] * self.chance(0.4) + ["JUSTID"] * self.chance(0.3)

    def make_xinfo(self):
        key = self.key("stream")
        full = self.random.choice([[], ["FULL"], ["FULL", "COUNT", self.count()], ["BOGUS"]])
        return self.random.choice([["XINFO", "STREAM", key] + full, ["XINFO", "GROUPS", key],
                                   ["XINFO", "CONSUMERS", key, self.group()]])
