"""What random commands are made of: keys, values, numbers and expiries, with edge values and mistakes mixed in.

Every type has a few key names of its own, so that commands mostly meet the type they want; now and then any other key
takes their place. Whatever depends on the moment of execution is avoided: relative expiries are long and all
different, so that GT and LT see the same order on both servers; nothing expires during a run unless it does at once.
Sizes stay small enough for any machine.
"""

STRING_KEYS = [b"a", b"b", b"c", b"d", b"e", b"n1", b"n2", b"n3", b"{t}1", b"{t}2", b"", b"bin\x00\xff"]
KEYS = {
    "string": STRING_KEYS,
    "list": [b"l1", b"l2", b"l3", b"l4"],
    "hash": [b"h1", b"h2", b"h3"],
    "set": [b"s1", b"s2", b"s3", b"s4"],
    "zset": [b"z1", b"z2", b"z3", b"z4"],
    "stream": [b"x1", b"x2"],
    "hll": [b"p1", b"p2", b"p3"],
    "geo": [b"g1", b"g2"],
}
# Whole numbers as places lie on each other: distances would be equal. A PFADD that finds a broken HyperLogLog may leave
# changes behind on the reference.
APART = {"geo": "zset", "zset": "geo", "string": "hll", "hll": "string"}
ALL_KEYS = [key for keys in KEYS.values() for key in keys]
INTEGERS = [b"0", b"1", b"-1", b"2", b"10", b"-10", b"100", b"12345", b"9223372036854775807",
            b"-9223372036854775808", b"9223372036854775806", b"4294967296", b"2147483647", b"-2147483649"]
WRONG_INTEGERS = [b"abc", b"", b"1.5", b" 1", b"1 ", b"01", b"+1", b"-", b"9223372036854775808", b"1e3",
                  b"-9223372036854775809", b"0x10", b"99999999999999999999"]
FLOATS = [b"0", b"1.5", b"-1.5", b"0.1", b"3.0", b"1e3", b"-2.5e-3", b"1e17", b"100.000", b".5", b"5."]
WRONG_FLOATS = [b"abc", b"", b"nan", b"inf", b"-inf", b"1.5x", b" 1.5", b"1e5000"]
ABSOLUTE_SECONDS = [b"4102444800", b"4102444801", b"4000000000", b"1", b"0", b"-1"]
COUNTS = [0, 1, 1, 2, 3, 5, 10, 100, -1, -2, -5]
ABSURD_COUNTS = [b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"4294967296",
                 b"-9223372036854775807", b"2147483648", b"abc", b"", b"1.0", b"-0"]


class Pieces:
    """What the makers share; `random` is theirs."""

    def having(self, feature, words):
        """The words (a list), when both servers know that option."""
        return words if feature in self.features else []

    def chance(self, probability):
        return self.random.random() < probability

    def key(self, kind="string"):
        if self.chance(0.95):
            return self.random.choice(KEYS[kind])
        return self.random.choice([key for key in ALL_KEYS if key not in KEYS.get(APART.get(kind), ())])

    def keys(self, most=4, kind="string"):
        return [self.key(kind) for _ in range(self.random.randint(1, most))]

    def any_key(self):
        return self.random.choice(STRING_KEYS if self.chance(0.4) else ALL_KEYS)

    def any_keys(self, most=4):
        return [self.any_key() for _ in range(self.random.randint(1, most))]

    def two_keys(self):
        """A source and a destination, mostly of one type."""
        keys = KEYS[self.random.choice(list(KEYS))]
        others = [key for key in ALL_KEYS if key not in KEYS["geo"] + KEYS["zset"]] if keys != KEYS["hll"] else keys
        return [self.random.choice(keys), self.random.choice(others if self.chance(0.2) else keys)]

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

    def member(self):
        """An element of an aggregate: from a small pool, so that it is often there already. Only one has a NUL: SORT
        ALPHA takes it for the end of a text, and equal texts have no order.
        """
        kind = self.random.randrange(10)
        if kind < 4:
            return b"m%d" % self.random.randrange(12)
        if kind < 7:
            return b"%d" % self.random.randrange(-5, 12)
        if kind == 7:
            return self.random.choice(INTEGERS + WRONG_INTEGERS)
        if kind == 8:
            return self.random.choice([b"x", b"\xff", b"y"]) * self.random.choice([3, 64, 65, 66, 300])
        return self.value().replace(b"\x00", b"y") if self.chance(0.9) else b"nul\x00"

    def members(self, most=5):
        return [self.member() for _ in range(self.random.randint(1, most))]

    def bulk(self):
        """Many elements at once, of one kind: what makes small forms large."""
        count = self.random.choice([10, 40, 130, 200, 520])
        start = self.random.choice([0, 0, 100, -50, 70000, 5000000000])
        form = self.random.choice([b"%d", b"%d", b"m%d", b"member:%d"])
        return [form % number for number in range(start, start + count)]

    def integer(self):
        if self.chance(0.1):
            return self.random.choice(WRONG_INTEGERS)
        return self.random.choice(INTEGERS + [b"%d" % self.random.randint(-100, 100)] * 10)

    def index(self):
        if self.chance(0.03):
            return self.random.choice(WRONG_INTEGERS)
        return b"%d" % self.random.choice([0, 1, 2, 5, 10, 64, 1000, -1, -2, -5, -10, -1000])

    def count(self):
        count = self.random.choice(ABSURD_COUNTS if self.chance(0.06) else COUNTS)
        return "abc" if count == b"-9223372036854775808" and "modern" not in self.features else count

    def pick_count(self):
        """For random picks: a server may be told to repeat itself for ever."""
        count = self.count()
        return count if count != b"-9223372036854775807" else b"-9223372036854775808"

    def counted(self, words):
        """The number of words and the words; the number is wrong now and then."""
        count = len(words) if self.chance(0.96) else self.random.choice([0, -1, len(words) + 1, "abc", 1])
        return [count] + words

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

    def some_of(self, *options):
        """Some of the options (lists of words), shuffled and joined."""
        chosen = [option for option in options if self.chance(0.3)]
        self.random.shuffle(chosen)
        return [word for option in chosen for word in option]

    def scan_options(self, *words):
        """For SCAN, HSCAN, SSCAN and ZSCAN: one call that returns everything."""
        match = ["MATCH", self.random.choice(["*", "m*", "*1*", "[0-9]*", "", "\\m1", "m?", "*x*"])]
        return ["COUNT", 1000000] + self.some_of(match, *[self.having(word.lower(), [word]) for word in words],
                                                 ["COUNT", self.random.choice([0, -1, "abc", 1000000])])


def as_bytes(word):
    if isinstance(word, bytes):
        return word
    return str(word).encode("latin-1")
