"""Random commands about keys of any type, and SORT."""

from pieces import KEYS, Pieces


class KeyMaker(Pieces):

    def make_delete(self):
        return [self.random.choice(["DEL", "UNLINK", "EXISTS", "TOUCH"])] + self.any_keys()

    def make_expire(self):
        word = self.random.choice(["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"])
        unit = 1000 if word.startswith("P") else 1
        when = self.absolute(unit) if word.endswith("AT") else self.relative(unit)
        options = self.random.choice([[], [], ["NX"], ["XX"], ["GT"], ["LT"], ["XX", "GT"], ["NX", "GT"],
                                      ["GT", "LT"], ["BOGUS"]])
        return [word, self.any_key(), when] + options

    def make_ttl(self):
        return [self.random.choice(["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "PERSIST"]), self.any_key()]

    def make_rename(self):
        return [self.random.choice(["RENAME", "RENAMENX"])] + self.two_keys()

    def database(self):
        return self.random.choice([0, 1, 2, 0, 1, 2, 15, 16, -1, "abc"])

    def make_copy(self):
        options = [["REPLACE"]] * self.chance(0.5) + [["DB", self.database()]] * self.chance(0.3)
        self.random.shuffle(options)
        return ["COPY"] + self.two_keys() + [word for option in options for word in option]

    def make_move(self):
        return ["MOVE", self.any_key(), self.database()]

    def make_select(self):
        if self.chance(0.2):
            return ["SWAPDB", self.random.choice([0, 1, 2]), self.database()]
        return ["SELECT", self.database()]

    def make_flush(self):
        if self.chance(0.8):
            return ["DBSIZE"]
        return [self.random.choice(["FLUSHDB", "FLUSHALL"])] + self.random.choice([[], ["ASYNC"], ["SYNC"], ["X"]])

    def make_keys(self):
        return ["KEYS", self.random.choice(["*", "?", "[a-c]", "[^a]", "n?", "{t}*", "", "a", "\\a", "[", "*\xff"])]

    def make_scan(self):
        kind = self.random.choice(["string", "list", "zset", "stream", "hash", "set", "LIST"])
        options = self.random.choice([[], ["MATCH", "n*"], ["TYPE", kind], ["TYPE", kind], ["BOGUS", "x"]])
        return ["SCAN", 0, "COUNT", 100000] + options

    def make_randomkey(self):
        return ["RANDOMKEY"]

    def make_object(self):
        return ["OBJECT", self.random.choice(["ENCODING", "REFCOUNT", "BOGUS"]), self.any_key()]

    def make_other(self):
        return self.random.choice([["PING"], ["PING", self.value()], ["ECHO", self.value()], ["BOGUS", self.value()],
                                   ["COMMAND", "GETKEYS", "MSET", "a", "1", "b", "2"], ["FLUSHALL", "X"]])

    def make_type(self):
        return ["TYPE", self.any_key()]

    # -- sorting -----------------------------------------------------------------------------

    def sort_key(self):
        return self.key(self.random.choice(["list", "list", "set", "zset"]))

    def sort_options(self):
        get = [word for _ in range(self.random.randint(1, 2))
               for word in ("GET", self.random.choice(["#", "w_*", "o_*->f", "o_*->*", "o_*", "h1->*", "nothing"]))]
        options = self.some_of(["LIMIT", self.index(), self.index()], get, ["DESC"], ["ASC"])
        return options + ["BOGUS"] * self.chance(0.02)

    def make_sort(self):
        """Weights are numbers, texts and missing ones. Equal texts have no order, so ALPHA goes without BY."""
        patterns = ["w_*", "w_*", "o_*->w", "o_*->", "missing_*"] + self.having("modern", ["t_*"])
        words = self.random.choice([self.plain_sort(), ["ALPHA"], ["ALPHA"], ["BY", self.random.choice(patterns)]])
        words = words + self.sort_options()
        verb = self.random.choice(["SORT", "SORT", "SORT_RO"])
        can_store = "BY" not in words or "modern" in self.features
        return [verb, self.sort_key()] + words + ["STORE", self.key("list")] * (can_store and self.chance(0.25))

    def make_sort_by_nothing(self):
        """In the order of the list or sorted set; STORE puts sets in order as well."""
        store = ["STORE", self.key("list")]
        by = ["BY", self.random.choice(["nosort", "h1->w", ""])]
        key = self.random.choice(["l1", "l2"])
        return self.random.choice([
            [["DEL", key], ["RPUSH", key] + self.members(9),
             [self.random.choice(["SORT", "SORT_RO"]), key] + by + self.sort_options()],
            [["DEL", "z1"], ["ZADD", "z1"] + [word for at in range(6) for word in (at % 4, b"m%d" % at)],
             ["SORT", "z1"] + by + self.sort_options() + store * self.chance(0.3)],
            ["SORT", self.random.choice(KEYS["set"] + KEYS["list"])] + by + self.sort_options() + store])

    def plain_sort(self):
        """Older servers take an empty text for a number."""
        return [] if "modern" in self.features else ["ALPHA"]

    def make_sort_by_text(self):
        """All weights differ."""
        names = [b"m%d" % number for number in range(6)]
        texts = [self.random.choice([b"a", b"B", b"\xff", b""]) + b"%d" % self.random.randrange(100) + b"%d" % number
                 for number in range(6)]
        pairs = [word for name, text in zip(names, texts) for word in (b"t_" + name, text)]
        self.random.shuffle(names)
        return [["DEL", "s1"], ["SADD", "s1"] + names, ["MSET"] + pairs,
                ["SORT", "s1", "BY", "t_*", "ALPHA"] + self.sort_options()]

    def make_weights(self):
        """What patterns refer to."""
        name = b"%d" % self.random.randrange(-5, 12) if self.chance(0.6) else b"m%d" % self.random.randrange(12)
        return self.random.choice([
            ["SET", b"w_" + name, self.random.choice([b"1", b"2.5", b"-3", b"10", b"1e2", b"7", b"inf", b"-0"])],
            ["SET", b"t_" + name, self.value()],
            ["HSET", b"o_" + name, "w", self.random.randint(-9, 9), "f", self.value()],
            ["DEL", b"w_" + name]])
