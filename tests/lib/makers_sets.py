"""Random commands about sets."""

from pieces import Pieces


class SetMaker(Pieces):
    def make_sadd(self):
        return ["SADD", self.key("set")] + self.members()

    def make_sadd_many(self):
        return ["SADD", self.key("set")] + self.bulk()

    def make_srem(self):
        return ["SREM", self.key("set")] + (self.bulk() if self.chance(0.1) else self.members())

    def make_set_read(self):
        key = self.key("set")
        return self.random.choice([["SCARD", key], ["SISMEMBER", key, self.member()], ["SMEMBERS", key],
                                   ["SMISMEMBER", key] + self.members()])

    def make_smove(self):
        return ["SMOVE", self.key("set"), self.key("set"), self.member()]

    def make_set_operation(self):
        verb = self.random.choice(["SINTER", "SUNION", "SDIFF"])
        if self.chance(0.4):
            return [verb + "STORE", self.key("set")] + self.keys(4, "set")
        return [verb] + self.keys(4, "set")

    def make_set_card(self):
        verb = self.random.choice(["SINTERCARD", "SINTERCARD", "SUNIONCARD", "SDIFFCARD"])
        return [verb] + self.counted(self.keys(3, "set")) + ["LIMIT", self.count()] * self.chance(0.4) + \
            ["BOGUS"] * self.chance(0.03)

    def make_spop(self):
        """Only what leaves nothing to chance: all of a set, nothing, or the one there is."""
        key = self.random.choice(["s1", "s2", "s3"])
        count = self.random.choice([[], [self.random.randint(1, 9)]])
        return self.random.choice([["SPOP", key, 1000000], ["SPOP", key, 0], ["SPOP", key, "-1"], ["SPOP", key, "abc"],
                                   ["SPOP", "missing"], ["SPOP", self.key("list"), 1000000],
                                   [["DEL", key], ["SADD", key, self.member()], ["SPOP", key] + count]])

    def make_srandmember(self):
        key = self.key("set")
        count = self.pick_count()
        options = self.random.choice([[], [count], [count], [1000000], ["-3"], [count, "x"]])
        return [["SRANDMEMBER", key] + options, ["SMEMBERS", key]]

    def make_sscan(self):
        return ["SSCAN", self.key("set"), 0 if self.chance(0.97) else "abc"] + self.scan_options("NOVALUES")
