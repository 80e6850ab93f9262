"""Random commands for differential tests: mostly sensible, with edge values and mistakes mixed in.

Whatever depends on the moment of execution is avoided: relative expiries are long and all different, so
that GT and LT see the same order on both servers; nothing expires during a run unless it does at once.
Sizes stay small enough for any machine.
"""

KEYS = [b"a", b"b", b"c", b"d", b"e", b"n1", b"n2", b"n3", b"{t}1", b"{t}2", b"", b"bin\x00\xff"]
INTEGERS = [b"0", b"1", b"-1", b"2", b"10", b"-10", b"100", b"12345", b"9223372036854775807",
            b"-9223372036854775808", b"9223372036854775806", b"4294967296", b"2147483647", b"-2147483649"]
WRONG_INTEGERS = [b"abc", b"", b"1.5", b" 1", b"1 ", b"01", b"+1", b"-", b"9223372036854775808", b"1e3",
                  b"-9223372036854775809", b"0x10", b"99999999999999999999"]
FLOATS = [b"0", b"1.5", b"-1.5", b"0.1", b"3.0", b"1e3", b"-2.5e-3", b"1e17", b"100.000", b".5", b"5."]
WRONG_FLOATS = [b"abc", b"", b"nan", b"inf", b"-inf", b"1.5x", b" 1.5", b"1e5000"]
TYPES = ["u1", "u2", "u7", "u8", "u16", "u31", "u32", "u63", "i1", "i2", "i8", "i16", "i32", "i63", "i64"]
WRONG_TYPES = ["u0", "u64", "i65", "x8", "8", "u", "", "u8x"]
ABSOLUTE_SECONDS = [b"4102444800", b"4102444801", b"4000000000", b"1", b"0", b"-1"]


class CommandMaker:
    """`make()` returns a list of commands, usually one; each is a list of bytes."""

    def __init__(self, rng, features):
        self.random = rng
        self.features = features       # names of what both servers have: "ifeq", "msetex", ...
        self.expiries = 0
        names = [name[5:] for name in dir(self) if name.startswith("make_")]
        names = [name for name in names if OPTIONAL.get(name) is None or OPTIONAL[name] in features]
        self.weights = {name: rng.choice([0, 1, 1, 2, 5]) for name in names}
        self.weights["set"] = 5
        self.names = names

    def make(self):
        name = self.random.choices(self.names, [self.weights[name] for name in self.names])[0]
        commands = getattr(self, "make_" + name)()
        if isinstance(commands[0], (bytes, str)):
            commands = [commands]
        commands = [[as_bytes(word) for word in command] for command in commands]
        if self.chance(0.02):
            self.break_command(commands[-1])
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

    # -- pieces ------------------------------------------------------------------------------

    def chance(self, probability):
        return self.random.random() < probability

    def key(self):
        return self.random.choice(KEYS)

    def keys(self, most=4):
        return [self.key() for _ in range(self.random.randint(1, most))]

    def value(self):
        kind = self.random.randrange(8)
        if kind == 0:
            return self.random.choice(INTEGERS)
        if kind == 1:
            return self.random.choice(FLOATS + WRONG_FLOATS + WRONG_INTEGERS)
        if kind == 2:
            return b"%d" % self.random.randint(-1000, 1000)
        if kind == 3:
            return bytes(self.random.getrandbits(8) for _ in range(self.random.randint(0, 64)))
        if kind == 4:
            return self.random.choice([b"x", b"ab", b"\xff", b"\x00"]) * self.random.randint(0, 200)
        return self.random.choice([b"one", b"two", b"three", b"", b"v"])

    def integer(self):
        if self.chance(0.1):
            return self.random.choice(WRONG_INTEGERS)
        return self.random.choice(INTEGERS + [b"%d" % self.random.randint(-100, 100)] * 10)

    def index(self):
        if self.chance(0.03):
            return self.random.choice(WRONG_INTEGERS)
        return b"%d" % self.random.choice([0, 1, 2, 5, 10, 64, 1000, -1, -2, -5, -10, -1000])

    def bit_offset(self):
        if self.chance(0.05):
            return self.random.choice([b"-1", b"abc", b"4294967296", b"9223372036854775807", b""])
        return b"%d" % self.random.randrange(self.random.choice([8, 64, 500, 5000]))

    def relative(self, unit):
        """A relative expiry in seconds (1) or milliseconds (1000): long and never the same twice."""
        if self.chance(0.1):
            return self.random.choice([b"0", b"-1", b"abc", b"", b"9223372036854775807", b"-5",
                                       b"9223372036854775808"])
        self.expiries += 1
        return b"%d" % (unit * (100000 + 1000 * ((self.expiries * 7919) % 100003)))

    def absolute(self, unit):
        if self.chance(0.1):
            return self.random.choice([b"abc", b"", b"9223372036854775807", b"9223372036854775808"])
        value = self.random.choice(ABSOLUTE_SECONDS)
        return value + b"000" if unit == 1000 and len(value) > 2 else value

    def case(self, word):
        return word.lower() if self.chance(0.1) else word

    def expiry_option(self):
        """Not in the past: a new value with a past expiry goes at once or when next touched, as each likes."""
        word = self.random.choice(["EX", "PX", "EXAT", "PXAT"])
        unit = 1 if word.startswith("EX") else 1000
        when = self.absolute(unit) if word.endswith("AT") else self.relative(unit)
        return [self.case(word), b"4100000000000" if when == b"1" else when]

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

    # -- keys --------------------------------------------------------------------------------

    def make_delete(self):
        return [self.random.choice(["DEL", "UNLINK", "EXISTS", "TOUCH"])] + self.keys()

    def make_expire(self):
        word = self.random.choice(["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"])
        unit = 1000 if word.startswith("P") else 1
        when = self.absolute(unit) if word.endswith("AT") else self.relative(unit)
        options = self.random.choice([[], [], ["NX"], ["XX"], ["GT"], ["LT"], ["XX", "GT"], ["NX", "GT"],
                                      ["GT", "LT"], ["BOGUS"]])
        return [word, self.key(), when] + options

    def make_ttl(self):
        return [self.random.choice(["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "PERSIST"]), self.key()]

    def make_rename(self):
        return [self.random.choice(["RENAME", "RENAMENX"]), self.key(), self.key()]

    def database(self):
        return self.random.choice([0, 1, 2, 0, 1, 2, 15, 16, -1, "abc"])

    def make_copy(self):
        options = [["REPLACE"]] * self.chance(0.5) + [["DB", self.database()]] * self.chance(0.3)
        self.random.shuffle(options)
        return ["COPY", self.key(), self.key()] + [word for option in options for word in option]

    def make_move(self):
        return ["MOVE", self.key(), self.database()]

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
        options = self.random.choice([[], ["MATCH", "n*"], ["TYPE", "string"], ["TYPE", "list"], ["BOGUS", "x"]])
        return ["SCAN", 0, "COUNT", 100000] + options

    def make_randomkey(self):
        return ["RANDOMKEY"]

    def make_object(self):
        return ["OBJECT", self.random.choice(["ENCODING", "REFCOUNT", "BOGUS"]), self.key()]

    def make_other(self):
        return self.random.choice([["PING"], ["PING", self.value()], ["ECHO", self.value()], ["BOGUS", self.value()],
                                   ["COMMAND", "GETKEYS", "MSET", "a", "1", "b", "2"], ["FLUSHALL", "X"]])


OPTIONAL = {"msetex": "msetex", "delifeq": "delifeq"}  # generator -> feature it needs


def as_bytes(word):
    if isinstance(word, bytes):
        return word
    return str(word).encode("latin-1")
