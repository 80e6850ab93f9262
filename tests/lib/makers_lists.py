"""Random commands about lists."""

from pieces import Pieces

ENDS = ["LEFT", "RIGHT", "LEFT", "RIGHT", "left", "MIDDLE"]


class ListMaker(Pieces):
    def make_push(self):
        verb = self.random.choice(["LPUSH", "RPUSH", "LPUSH", "RPUSH", "LPUSHX", "RPUSHX"])
        return [verb, self.key("list")] + self.members()

    def make_push_many(self):
        return [self.random.choice(["LPUSH", "RPUSH"]), self.key("list")] + self.bulk()

    def make_push_large(self):
        """Elements that do not fit into a node of the usual size."""
        large = self.random.choice([b"y", b"\xff"]) * self.random.choice([4000, 8191, 8192, 9000])
        return [self.random.choice(["LPUSH", "RPUSH"]), self.key("list"), large] + self.members(2)

    def make_pop(self):
        return [self.random.choice(["LPOP", "RPOP"]), self.key("list")] + [self.count()] * self.chance(0.4)

    def make_list_read(self):
        return self.random.choice([["LLEN", self.key("list")], ["LINDEX", self.key("list"), self.index()],
                                   ["LRANGE", self.key("list"), self.index(), self.index()],
                                   ["LRANGE", self.key("list"), 0, -1]])

    def make_list_change(self):
        key = self.key("list")
        return self.random.choice([
            ["LSET", key, self.index(), self.member()],
            ["LTRIM", key, self.index(), self.index()],
            ["LREM", key, self.count(), self.member()],
            ["LINSERT", key, self.random.choice(["BEFORE", "AFTER", "after", "BESIDE"]), self.member(), self.member()]])

    def make_move_elements(self):
        return self.random.choice([
            ["RPOPLPUSH", self.key("list"), self.key("list")],
            ["LMOVE", self.key("list"), self.key("list"), self.random.choice(ENDS), self.random.choice(ENDS)]])

    def make_lpos(self):
        options = self.some_of(["RANK", self.count()], ["COUNT", self.count()], ["MAXLEN", self.count()], ["BOGUS", 1])
        return ["LPOS", self.key("list"), self.member()] + options

    def make_lmpop(self):
        return ["LMPOP"] + self.counted(self.keys(3, "list")) + [self.random.choice(ENDS)] + \
            ["COUNT", self.count()] * self.chance(0.5) + ["BOGUS"] * self.chance(0.03)

    def make_blocking_list(self):
        """Blocking forms that find something, or give up at once."""
        key, other, wait = self.key("list"), self.key("list"), self.timeout()
        return self.random.choice([
            [self.random.choice(["BLPOP", "BRPOP"]), key, other, wait],
            ["BRPOPLPUSH", key, other, wait],
            ["BLMOVE", key, other, self.random.choice(ENDS), self.random.choice(ENDS), wait],
            ["BLMPOP", wait] + self.counted([key, other]) + [self.random.choice(ENDS)] +
            ["COUNT", self.count()] * self.chance(0.4)])

    def timeout(self):
        return self.random.choice(["0.001", "0.001", "1e-3", "-1", "abc", "", "nan", "9223372036854775807", "-0.5"]
                                  if self.chance(0.3) else ["0.001"])
