"""Random commands about strings, counters, bitmaps and HyperLogLogs."""

from pieces import FLOATS, WRONG_FLOATS, Pieces

TYPES = ["u1", "u2", "u7", "u8", "u16", "u31", "u32", "u63", "i1", "i2", "i8", "i16", "i32", "i63", "i64"]
WRONG_TYPES = ["u0", "u64", "i65", "x8", "8", "u", "", "u8x"]


class StringMaker(Pieces):
    def bit_offset(self):
        if self.chance(0.05):
            return self.random.choice([b"-1", b"abc", b"4294967296", b"9223372036854775807", b""])
        return b"%d" % self.random.randrange(self.random.choice([8, 64, 500, 5000]))

    # -- strings -----------------------------------------------------------------------------

    def make_set(self):
        options = []
        if self.chance(0.3):
            options.append(self.expiry_option() if self.chance(0.7) else ["KEEPTTL"])
        if self.chance(0.3):
            options.append([self.case(self.random.choice(["NX", "XX"]))])
        elif "ifeq" in self.features and self.chance(0.2):
            options.append(["IFEQ", self.value()])
        if self.chance(0.2):
            options.append(["GET"])
        if self.chance(0.05):
            options.append(self.random.choice([["NX"], ["XX"], ["KEEPTTL"], self.expiry_option(), ["GET"]]))
        self.random.shuffle(options)
        return ["SET", self.key(), self.value()] + [word for option in options for word in option]

    def make_get(self):
        return [self.random.choice(["GET", "GETDEL", "STRLEN", "EXISTS", "TYPE"]), self.key()]

    def make_getex(self):
        option = self.random.choice([[], ["PERSIST"], self.expiry_option(), self.expiry_option()])
        return ["GETEX", self.key()] + option

    def make_setnx(self):
        return [self.random.choice(["SETNX", "GETSET"]), self.key(), self.value()]

    def make_setex(self):
        word = self.random.choice(["SETEX", "PSETEX"])
        return [word, self.key(), self.relative(1 if word == "SETEX" else 1000), self.value()]

    def pairs(self):
        return [word for key in self.keys() for word in (key, self.value())]

    def make_mset(self):
        return [self.random.choice(["MSET", "MSETNX"])] + self.pairs()

    def make_msetex(self):
        pairs = self.pairs()
        options = [self.expiry_option()] if self.chance(0.5) else [["KEEPTTL"]] * self.chance(0.3)
        options += [[self.random.choice(["NX", "XX"])]] * self.chance(0.4)
        self.random.shuffle(options)
        count = len(pairs) // 2 if self.chance(0.95) else self.integer()
        return ["MSETEX", count] + pairs + [word for option in options for word in option]

    def make_mget(self):
        return ["MGET"] + self.keys(6)

    def make_append(self):
        return ["APPEND", self.key(), self.value()]

    def make_setrange(self):
        offset = self.random.choice([0, 1, 5, 20, 300, -1, 536870912])
        return ["SETRANGE", self.key(), offset if self.chance(0.95) else self.integer(), self.value()]

    def make_getrange(self):
        return [self.random.choice(["GETRANGE", "GETRANGE", "SUBSTR"]), self.key(), self.index(), self.index()]

    def make_counter(self):
        word = self.random.choice(["INCR", "DECR", "INCRBY", "DECRBY"])
        return [word, self.key()] + ([self.integer()] if word.endswith("BY") else [])

    def make_incrbyfloat(self):
        amount = self.random.choice(FLOATS if self.chance(0.9) else WRONG_FLOATS)
        return ["INCRBYFLOAT", self.key(), amount]

    def make_lcs(self):
        options = self.random.choice([[], ["LEN"], ["IDX"], ["IDX", "WITHMATCHLEN"],
                                      ["IDX", "MINMATCHLEN", self.index()], ["LEN", "IDX"], ["BOGUS"]])
        return [["MSET", "lcs{t}1", self.value(), "lcs{t}2", self.value()],
                ["LCS", "lcs{t}1", self.random.choice(["lcs{t}2", "missing"])] + options]

    def make_delifeq(self):
        return ["DELIFEQ", self.key(), self.value()]

    # -- bitmaps -----------------------------------------------------------------------------

    def make_setbit(self):
        return ["SETBIT", self.key(), self.bit_offset(), self.random.choice(["0", "1", "1", "2", "x"])]

    def make_getbit(self):
        return ["GETBIT", self.key(), self.random.choice([self.bit_offset(), b"4294967295"])]

    def make_bitcount(self):
        span = self.random.choice([[], [self.index(), self.index()],
                                   [self.index(), self.index(), self.random.choice(["BIT", "BYTE", "bit", "X"])]])
        return ["BITCOUNT", self.key()] + span

    def make_bitpos(self):
        span = [self.index(), self.index(), self.random.choice(["BIT", "BYTE", "X"])]
        return ["BITPOS", self.key(), self.random.choice("0112")] + span[:self.random.randint(0, 3)]

    def make_bitop(self):
        return ["BITOP", self.random.choice(["AND", "OR", "XOR", "NOT", "and", "BOGUS"]), self.key()] + self.keys()

    def bit_type(self):
        return self.random.choice(TYPES if self.chance(0.95) else WRONG_TYPES)

    def field_offset(self):
        return b"#%d" % self.random.randrange(20) if self.chance(0.3) else self.bit_offset()

    def make_bitfield(self):
        words = ["BITFIELD", self.key()]
        for _ in range(self.random.randint(0, 4)):
            kind = self.random.choice(["GET", "SET", "INCRBY", "OVERFLOW"])
            if kind == "OVERFLOW":
                words += [kind, self.random.choice(["WRAP", "SAT", "FAIL", "sat", "BOGUS"])]
            else:
                words += [self.case(kind), self.bit_type(), self.field_offset()]
                words += [self.integer()] if kind != "GET" else []
        return words

    def make_bitfield_ro(self):
        words = ["BITFIELD_RO", self.key()]
        for _ in range(self.random.randint(0, 3)):
            words += ["GET", self.bit_type(), self.field_offset()]
        return words + ["SET", "u8", "0", "1"] * self.chance(0.05)

    # -- HyperLogLogs ------------------------------------------------------------------------

    def make_pfadd(self):
        return ["PFADD", self.key("hll")] + (self.bulk() if self.chance(0.2) else self.members() * self.chance(0.95))

    def make_pfcount(self):
        return ["PFCOUNT"] + self.keys(3, "hll")

    def make_pfmerge(self):
        return ["PFMERGE"] + self.keys(4, "hll")

    def make_pfbytes(self):
        """The representation itself."""
        return [self.random.choice(["GET", "STRLEN"]), self.key("hll")]

    def make_pfdebug(self):
        return ["PFDEBUG", self.random.choice(["ENCODING", "DECODE", "BOGUS", "encoding"]), self.key("hll")]

    def make_pfbroken(self):
        """A HyperLogLog that was written into."""
        key = self.random.choice(["p1", "p2", "p3"])
        offset = self.random.choice([0, 3, 4, 5, 8, 15, 16, 17, 20])
        return [["SETRANGE", key, offset, self.random.choice(["x", "H", "\x00", "\x01", "\x7f\x7f", "\xff"])],
                ["PFCOUNT", key], ["PFADD", key, "m1"], ["DEL", key]]
