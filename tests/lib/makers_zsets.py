"""Random commands about sorted sets and places on the earth.

Scores are halves and quarters, whose sums do not depend on their order. Ranges of texts are only asked of sets with one
score. Distances are all different.
"""

from pieces import Pieces

SCORES = ["0", "1", "2", "3", "-1", "0.5", "-2.25", "10", "100", "4096.75", "1e3", "-0", "5.0", "1048576"]
EXTREMES = ["inf", "-inf", "+inf", "Infinity", "1e308", "-1e-300", "9007199254740993", "0.1", "3.14159265358979",
            "1e17", "123456789012345678"]
WRONG_SCORES = ["abc", "", "nan", "1.5x", " 1", "1e5000", "--1", "(1"]
BOUNDS = ["-inf", "+inf", "(0", "0", "(1", "1", "2", "(3", "10", "(-1", "-1", "1e3", "(inf", "(-inf"]
WRONG_BOUNDS = ["abc", "", "(", "nan", "((1", "[1"]
TEXT_BOUNDS = ["-", "+", "[a", "(a", "[m", "(m1", "[m5", "[", "(", "[zz", "[\xff", "(member:20"]
WRONG_TEXT_BOUNDS = ["a", "", "1", "*", "-inf"]
TEXT_KEYS = [b"zt1", b"zt2"]
UNITS = ["m", "km", "mi", "ft", "KM", "cm"]


class ZsetMaker(Pieces):
    def score(self):
        if self.chance(0.03):
            return self.random.choice(WRONG_SCORES + self.having("modern", ["0x10"]))
        if self.chance(0.15) and self.is_extreme:
            return self.random.choice(EXTREMES)
        return self.random.choice(SCORES + [str(self.random.randint(-20, 20))] * 6)

    def scored(self, most=4):
        return [word for _ in range(self.random.randint(1, most)) for word in (self.score(), self.member())]

    def make_zadd(self):
        options = self.some_of([self.random.choice(["NX", "XX"])], [self.random.choice(["GT", "LT"])], ["CH"])
        return ["ZADD", self.key("zset")] + options + self.scored() + ["odd"] * self.chance(0.03)

    def make_zadd_incr(self):
        options = self.some_of([self.random.choice(["NX", "XX"])], [self.random.choice(["GT", "LT"])], ["CH"])
        return ["ZADD", self.key("zset")] + options + ["INCR"] + self.scored(2 if self.chance(0.05) else 1)

    def make_zadd_many(self):
        spread = self.random.choice([1, 10, 1000])
        pairs = [word for member in self.bulk() for word in (self.random.randrange(spread), member)]
        return ["ZADD", self.key("zset")] + pairs

    def make_zincrby(self):
        return ["ZINCRBY", self.key("zset"), self.score(), self.member()]

    def make_zrem(self):
        return ["ZREM", self.key("zset")] + (self.bulk() if self.chance(0.05) else self.members())

    def make_zset_read(self):
        key = self.key("zset")
        withscore = self.having("withscore", ["WITHSCORE"] * self.chance(0.3))
        return self.random.choice([
            ["ZCARD", key], ["ZSCORE", key, self.member()], ["ZMSCORE", key] + self.members(),
            ["ZCOUNT", key] + self.bounds(),
            [self.random.choice(["ZRANK", "ZREVRANK"]), key, self.member()] + withscore])

    def bounds(self):
        wrong = WRONG_BOUNDS if self.chance(0.05) else []
        return [self.random.choice(wrong or BOUNDS), self.random.choice(BOUNDS)]

    def limit(self):
        offset = self.index() if "modern" in self.features else self.random.choice(["0", "1", "5"])
        return ["LIMIT", offset, self.index()] * self.chance(0.3)

    def withscores(self):
        return [self.case("WITHSCORES")] * self.chance(0.4)

    def make_zrange(self):
        key = self.key("zset")
        verb = self.random.choice(["ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE"])
        if verb.endswith("BYSCORE"):
            return [verb, key] + self.bounds() + self.withscores() + self.limit()
        return [verb, key, self.index(), self.index()] + self.withscores()

    def zrange_words(self):
        if self.chance(0.5):
            words = self.bounds() + ["BYSCORE"] + self.limit()
        else:
            words = [self.index(), self.index()] + ["LIMIT", 0, 1] * self.chance(0.03)
        return words + ["REV"] * self.chance(0.3) + ["BOGUS"] * self.chance(0.03)

    def make_zrange_options(self):
        if self.chance(0.3):
            return ["ZRANGESTORE", self.key("zset"), self.key("zset")] + self.zrange_words()
        return ["ZRANGE", self.key("zset")] + self.zrange_words() + self.withscores()

    def make_zremrange(self):
        key = self.key("zset")
        return self.random.choice([["ZREMRANGEBYRANK", key, self.index(), self.index()],
                                   ["ZREMRANGEBYSCORE", key] + self.bounds()])

    def make_zpop(self):
        return [self.random.choice(["ZPOPMIN", "ZPOPMAX"]), self.key("zset")] + [self.count()] * self.chance(0.5)

    def make_zmpop(self):
        where = self.random.choice(["MIN", "MAX", "max", "LEFT"])
        count = ["COUNT", self.count()] * self.chance(0.5)
        if self.chance(0.2):
            return ["BZMPOP", self.timeout()] + self.counted(self.keys(3, "zset")) + [where] + count
        return ["ZMPOP"] + self.counted(self.keys(3, "zset")) + [where] + count

    def make_bzpop(self):
        return [self.random.choice(["BZPOPMIN", "BZPOPMAX"])] + self.keys(3, "zset") + [self.timeout()]

    def make_zset_operation(self):
        verb = self.random.choice(["ZUNION", "ZINTER", "ZDIFF"])
        keys = self.keys(3, self.random.choice(["zset", "zset", "set"]))
        weights = ["WEIGHTS"] + [self.random.choice(["1", "2", "0.5", "-1", "0", "abc"]) for _ in keys]
        options = self.some_of(weights, ["AGGREGATE", self.random.choice(["SUM", "MIN", "MAX", "sum", "AVG"])]) \
            if verb != "ZDIFF" or self.chance(0.05) else []
        if self.chance(0.5):
            extra = ["WITHSCORES"] * self.chance(0.03)
            return [verb + "STORE", self.key("zset")] + self.counted(keys) + options + extra
        return [verb] + self.counted(keys) + options + self.withscores()

    def make_zintercard(self):
        return ["ZINTERCARD"] + self.counted(self.keys(3, "zset")) + ["LIMIT", self.count()] * self.chance(0.4)

    def make_zrandmember(self):
        key = self.key("zset")
        count = self.pick_count()
        options = self.random.choice([[], [count], [count, "WITHSCORES"], [1000000], ["-3", "withscores"],
                                      [count, "BOGUS"]])
        return [["ZRANDMEMBER", key] + options, ["ZRANGE", key, 0, -1, "WITHSCORES"]]

    def make_zscan(self):
        cursor = 0 if self.chance(0.97) else "abc"
        return ["ZSCAN", self.key("zset"), cursor] + self.scan_options("NOSCORES", "NOVALUES")

    # -- ranges of texts: keys that nothing else touches ---------------------------------------

    def make_lex(self):
        key, other = self.random.choice(TEXT_KEYS), self.random.choice(TEXT_KEYS)
        first, last = (self.random.choice(WRONG_TEXT_BOUNDS if self.chance(0.03) else TEXT_BOUNDS) for _ in "12")
        add = ["ZADD", key] + [word for member in self.members(8) for word in ("0", member)]
        return self.random.choice([
            add, add, ["ZREM", key] + self.members(), ["ZRANGE", key, 0, -1], ["DEL", key],
            ["ZADD", key] + [word for member in self.bulk() for word in ("0", member)],
            ["ZLEXCOUNT", key, first, last], ["ZREMRANGEBYLEX", key, first, last],
            [self.random.choice(["ZRANGEBYLEX", "ZREVRANGEBYLEX"]), key, first, last] + self.limit(),
            ["ZRANGE", key, first, last, "BYLEX"] + self.limit() + self.some_of(["REV"], ["REV"], ["WITHSCORES"]),
            ["ZRANGESTORE", other, key, first, last, "BYLEX"] + self.limit() + ["REV"] * self.chance(0.3)])

    # -- geo ----------------------------------------------------------------------------------

    def longitude(self):
        if self.chance(0.04):
            return self.random.choice(["181", "-180", "180", "abc", "", "nan", "200"])
        return "%.6f" % self.random.uniform(-30, 30)

    def latitude(self):
        if self.chance(0.04):
            return self.random.choice(["86", "-85.05112878", "85.05112878", "abc", "-90"])
        return "%.6f" % self.random.uniform(-20, 20)

    def place(self):
        return b"m%d" % self.random.randrange(40)

    def make_geoadd(self):
        options = self.some_of([self.random.choice(["NX", "XX"])], ["CH"])
        places = [word for _ in range(self.random.randint(1, 6))
                  for word in (self.longitude(), self.latitude(), self.place())]
        return ["GEOADD", self.key("geo")] + options + places

    def make_geo_read(self):
        members = [self.place() for _ in range(self.random.randint(0, 3))]
        unit = [self.random.choice(UNITS)] * self.chance(0.5)
        return self.random.choice([
            [self.random.choice(["GEOPOS", "GEOHASH"]), self.key("geo")] + members,
            ["GEODIST", self.key("geo"), self.place(), self.place()] + unit])

    def center(self):
        if self.chance(0.5):
            return ["FROMMEMBER", self.place()]
        return ["FROMLONLAT", self.longitude(), self.latitude()]

    def size(self):
        return self.random.choice(["-1", "abc", "0"]) if self.chance(0.04) else "%.3f" % self.random.uniform(1, 4000)

    def area(self):
        kind = self.random.randrange(9)
        if kind < 4:
            return ["BYRADIUS", self.size(), self.random.choice(UNITS)]
        if kind < 7 or "bypolygon" not in self.features:
            return ["BYBOX", self.size(), self.size(), self.random.choice(UNITS)]
        count = self.random.choice([3, 3, 4, 5, 2])
        corners = [word for _ in range(count) for word in (self.longitude(), self.latitude())]
        return ["BYPOLYGON"] + self.counted_corners(corners)

    def counted_corners(self, corners):
        return [len(corners) // 2 if self.chance(0.97) else self.count()] + corners

    def geo_options(self):
        count = ["COUNT", self.random.choice([1, 2, 5, 100, 0, "abc"])]
        return self.some_of([self.random.choice(["ASC", "DESC"])], count)

    def make_geosearch(self):
        area = self.area()
        center = self.center() if area[0] != "BYPOLYGON" or self.chance(0.05) else []
        options = self.geo_options()
        if self.chance(0.3):
            return ["GEOSEARCHSTORE", self.key("zset"), self.key("geo")] + center + area + options + \
                ["STOREDIST"] * self.chance(0.3)
        return ["GEOSEARCH", self.key("geo")] + center + area + options + \
            self.some_of(["WITHCOORD"], ["WITHDIST"], ["WITHHASH"])

    def make_georadius(self):
        unit, options = self.random.choice(UNITS), self.geo_options()
        extra = self.some_of(["WITHCOORD"], ["WITHDIST"], ["WITHHASH"])
        ending = self.random.choice(["", "_RO"])
        if self.chance(0.2):
            extra = [self.random.choice(["STORE", "STOREDIST"]), self.key("zset")] + extra * self.chance(0.1)
        if self.chance(0.5):
            return ["GEORADIUS" + ending, self.key("geo"), self.longitude(), self.latitude(), self.size(), unit] + \
                options + extra
        return ["GEORADIUSBYMEMBER" + ending, self.key("geo"), self.place(), self.size(), unit] + \
            options + extra
