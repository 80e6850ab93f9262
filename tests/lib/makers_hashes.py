"""Random commands about hashes and the expiry of their fields."""

from pieces import FLOATS, WRONG_FLOATS, Pieces


class HashMaker(Pieces):
    def fields(self, most=4):
        return [self.member() for _ in range(self.random.randint(1, most))]

    def field_pairs(self, most=4):
        return [word for field in self.fields(most) for word in (field, self.value())]

    def make_hset(self):
        verb = self.random.choice(["HSET", "HSET", "HSET", "HMSET"])
        return [verb, self.key("hash")] + self.field_pairs() + ["odd"] * self.chance(0.03)

    def make_hset_many(self):
        return ["HSET", self.key("hash")] + [word for field in self.bulk() for word in (field, self.member())]

    def make_hsetnx(self):
        return ["HSETNX", self.key("hash"), self.member(), self.value()]

    def make_hget(self):
        key = self.key("hash")
        return self.random.choice([["HGET", key, self.member()], ["HMGET", key] + self.fields(),
                                   ["HEXISTS", key, self.member()], ["HSTRLEN", key, self.member()], ["HLEN", key]])

    def make_hdel(self):
        return ["HDEL", self.key("hash")] + (self.bulk() if self.chance(0.05) else self.fields())

    def make_hash_all(self):
        return [self.random.choice(["HGETALL", "HKEYS", "HVALS"]), self.key("hash")]

    def make_hincrby(self):
        return ["HINCRBY", self.key("hash"), self.member(), self.integer()]

    def make_hincrbyfloat(self):
        amount = self.random.choice(FLOATS if self.chance(0.9) else WRONG_FLOATS)
        return ["HINCRBYFLOAT", self.key("hash"), self.member(), amount]

    def make_hrandfield(self):
        key = self.key("hash")
        count = self.pick_count()
        options = self.random.choice([[], [count], [count, "WITHVALUES"], [1000000], ["-3", "withvalues"],
                                      [count, "BOGUS"]])
        return [["HRANDFIELD", key] + options, ["HGETALL", key]]

    def make_hscan(self):
        cursor = 0 if self.chance(0.97) else "abc"
        return ["HSCAN", self.key("hash"), cursor] + self.scan_options("NOVALUES", "NOSCORES")

    # -- expiry of fields ---------------------------------------------------------------------

    def field_list(self):
        return ["FIELDS" if self.chance(0.97) else "FIELD"] + self.counted(self.fields())

    def make_hexpire(self):
        if "modern" not in self.features:  # Redis and Valkey differ in order and wording of checks
            return self.make_httl()
        word = self.random.choice(["HEXPIRE", "HPEXPIRE", "HEXPIREAT", "HPEXPIREAT"])
        unit = 1000 if word.startswith("HP") else 1
        when = self.absolute(unit) if word.endswith("AT") else self.relative(unit)
        options = self.random.choice([[], [], ["NX"], ["XX"], ["GT"], ["LT"], ["gt"], ["BOGUS"]])
        return [word, self.key("hash"), when] + options + self.field_list()

    def make_httl(self):
        verb = self.random.choice(["HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME", "HPERSIST"])
        return [verb, self.key("hash")] + self.field_list()

    def make_hgetex(self):
        if "modern" not in self.features:  # Redis and Valkey differ in order and wording of checks
            return self.make_httl()
        option = self.random.choice([[], ["PERSIST"], self.expiry_option(), self.expiry_option()])
        return ["HGETEX", self.key("hash")] + option + self.field_list()

    def make_hsetex(self):
        if "modern" not in self.features:  # Redis and Valkey differ in order and wording of checks
            return self.make_httl()
        options = self.some_of([self.random.choice(["FNX", "FXX"])], ["KEEPTTL"], self.expiry_option(),
                               self.expiry_option(), [self.random.choice(["NX", "XX", "BOGUS"])])
        pairs = self.field_pairs()
        count = len(pairs) // 2 if self.chance(0.95) else self.pick_count()
        return ["HSETEX", self.key("hash")] + options + ["FIELDS", count] + pairs

    def make_hgetdel(self):
        return ["HGETDEL", self.key("hash")] + self.field_list()
