// Jedis against a server: Flow HOST PORT.
//
// Promises that strings, keys, bits, pipelines, errors and the connection and server commands
// behave as Jedis expects, once over RESP2 and once over RESP3. Keys and values go through the
// pooled RedisClient, everything bound to one connection through Jedis. Prints each step; any
// surprise throws.

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import redis.clients.jedis.AbstractPipeline;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.Protocol.Command;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.RedisProtocol;
import redis.clients.jedis.Response;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.params.GetExParams;
import redis.clients.jedis.params.ScanParams;
import redis.clients.jedis.params.SetParams;
import redis.clients.jedis.resps.ScanResult;
import redis.clients.jedis.util.SafeEncoder;

public final class Flow {
    private static final int KEYS = 1000;
    private static final int BATCH = 500;
    private static final int BIG = 5 * 1024 * 1024;

    private final RedisClient r;
    private final Jedis one;
    private final RedisProtocol protocol;
    private final int port;

    private Flow(RedisClient pool, Jedis one, RedisProtocol protocol, int port) {
        this.r = pool;
        this.one = one;
        this.protocol = protocol;
        this.port = port;
    }

    private static void isTrue(boolean condition, String what) {
        if (!condition) throw new AssertionError(what);
    }

    private static void equal(Object got, Object want) {
        if (got instanceof Integer number) got = number.longValue();
        if (want instanceof Integer number) want = number.longValue();
        isTrue(want == null ? got == null : want.equals(got), "got " + got + ", want " + want);
    }

    private static void isTtl(long got, long max) {
        isTrue(0 < got && got <= max, "TTL " + got + ", want at most " + max);
    }

    /** The call must end in an error reply with all the words in it. */
    private static void fails(Runnable call, String... words) {
        try {
            call.run();
        } catch (JedisDataException error) {
            for (String word : words)
                isTrue(error.getMessage().contains(word), error.getMessage() + " lacks " + word);
            return;
        }
        throw new AssertionError("no error reply");
    }

    private void waitUntilGone(String key) throws InterruptedException {
        long start = System.nanoTime();
        while (r.get(key) != null) {
            isTrue(System.nanoTime() - start < 5_000_000_000L, key + " does not expire");
            Thread.sleep(10);
        }
    }

    private void strings() {
        equal(r.set("s", "one"), "OK");
        equal(r.get("s"), "one");
        equal(r.get("absent"), null);
        equal(r.set("s", "two", SetParams.setParams().nx()), null);
        equal(r.set("s", "two", SetParams.setParams().xx()), "OK");
        equal(r.setGet("s", "three"), "two");
        equal(r.set("s", "four", SetParams.setParams().ex(100)), "OK");
        equal(r.set("s", "five", SetParams.setParams().keepTtl()), "OK");
        isTtl(r.ttl("s"), 100);
        equal(r.set("s", "six"), "OK");
        equal(r.ttl("s"), -1);
        equal(r.getEx("s", GetExParams.getExParams().ex(50)), "six");
        isTtl(r.ttl("s"), 50);
        equal(r.getDel("s"), "six");
        equal(r.exists("s"), false);
        equal(r.setnx("n", "v"), 1);
        equal(r.type("n"), "string");
    }

    private void binary() {
        byte[] key = "bin\r\n\0\u00ff key".getBytes(StandardCharsets.ISO_8859_1);
        byte[] value = new byte[1024];
        for (int i = 0; i < value.length; i++) value[i] = (byte) i;
        equal(r.set(key, value), "OK");
        isTrue(Arrays.equals(r.get(key), value), "the binary value came back changed");
        equal(r.strlen(key), value.length);
        equal(r.set("empty", ""), "OK");
        equal(r.get("empty"), "");
    }

    private void counters() {
        equal(r.incr("c"), 1);
        equal(r.incrBy("c", 41), 42);
        equal(r.decr("c"), 41);
        equal(r.decrBy("c", 50), -9);
        equal(r.get("c"), "-9");
        equal(r.incrByFloat("f", 1.5), 1.5);
        equal(r.incrByFloat("f", 0.25), 1.75);
    }

    private void manyKeys() {
        List<String> pairs = new ArrayList<>(), names = new ArrayList<>(), want = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            pairs.addAll(List.of("m" + i, "v" + i));
            names.add("m" + i);
            want.add("v" + i);
        }
        names.add("absent");
        want.add(null);
        equal(r.mset(pairs.toArray(String[]::new)), "OK");
        equal(r.mget(names.toArray(String[]::new)), want);
        equal(r.msetnx("m0", "x", "fresh", "x"), 0);
        equal(r.exists("fresh"), false);
    }

    private void expiry() throws InterruptedException {
        r.set("e", "v");
        equal(r.ttl("e"), -1);
        equal(r.ttl("absent"), -2);
        equal(r.expire("e", 100), 1);
        isTtl(r.ttl("e"), 100);
        isTtl(r.pttl("e"), 100_000);
        equal(r.expire("absent", 100), 0);
        equal(r.persist("e"), 1);
        equal(r.ttl("e"), -1);
        equal(r.pexpire("e", 20), 1);
        waitUntilGone("e");
        r.set("e", "v", SetParams.setParams().px(20));
        waitUntilGone("e");
    }

    private void removal() {
        r.mset("d1", "1", "d2", "2", "d3", "3");
        equal(r.exists("d1", "d2", "d3", "d4"), 3);
        equal(r.del("d1", "d4"), 1);
        equal(r.unlink("d2", "d3", "d4"), 2);
        equal(r.exists("d1", "d2", "d3"), 0);
    }

    private Set<String> scanned(ScanParams params, String type) {
        Set<String> found = new HashSet<>();
        String cursor = ScanParams.SCAN_POINTER_START;
        do {
            ScanResult<String> page =
                type == null ? r.scan(cursor, params) : r.scan(cursor, params, type);
            found.addAll(page.getResult());
            cursor = page.getCursor();
        } while (!cursor.equals(ScanParams.SCAN_POINTER_START));
        return found;
    }

    private void scan() {
        Set<String> want =
            IntStream.range(0, KEYS).mapToObj(i -> "scan:" + i).collect(Collectors.toSet());
        r.mset(want.stream().flatMap(key -> List.of(key, "v").stream()).toArray(String[]::new));
        r.set("other", "v");
        Set<String> all = scanned(new ScanParams().count(50), null);
        isTrue(all.contains("other") && all.containsAll(want), "SCAN lost keys");
        equal(scanned(new ScanParams().match("scan:*").count(50), null), want);
        equal(scanned(new ScanParams().match("scan:*").count(50), "string"), want);
    }

    private void pipelines() {
        List<Response<Long>> sums = new ArrayList<>();
        List<Response<String>> values = new ArrayList<>();
        try (AbstractPipeline pipe = r.pipelined()) {
            for (int i = 0; i < BATCH; i++) {
                pipe.set("p" + i, "" + i);
                sums.add(pipe.incr("total"));
                values.add(pipe.get("p" + i));
            }
            pipe.sync();
        }
        for (int i = 0; i < BATCH; i++) {
            equal(sums.get(i).get(), i + 1);
            equal(values.get(i).get(), "" + i);
        }
    }

    private void errors() {
        r.set("word", "abc");
        fails(() -> r.incr("word"), "ERR", "not an integer");
        fails(() -> r.sendCommand(() -> SafeEncoder.encode("NOSUCHCOMMAND"), "x"),
            "unknown command", "NOSUCHCOMMAND");
        fails(() -> r.sendCommand(Command.GET), "wrong number of arguments");
        fails(() -> r.sendCommand(Command.SET, "a", "b", "NOSUCHOPTION"), "syntax error");
        try (AbstractPipeline pipe = r.pipelined()) {
            Response<String> before = pipe.get("word");
            Response<Long> middle = pipe.incr("word");
            Response<String> after = pipe.get("word");
            pipe.sync();
            equal(before.get(), "abc");
            fails(middle::get, "not an integer");
            equal(after.get(), "abc");
        }
    }

    private void bits() {
        equal(r.setbit("b", 7, true), false);
        equal(r.setbit("b", 7, true), true);
        equal(r.setbit("b", 100, true), false);
        equal(r.getbit("b", 7), true);
        equal(r.getbit("b", 8), false);
        equal(r.getbit("b", 5000), false);
        equal(r.bitcount("b"), 2);
        equal(r.bitcount("b", 0, 0), 1);
        equal(r.strlen("b"), 13);
    }

    private void ranges() {
        r.set("g", "Hello World");
        equal(r.getrange("g", 0, 4), "Hello");
        equal(r.getrange("g", -5, -1), "World");
        equal(r.getrange("g", 50, 60), "");
        equal(r.setrange("g", 6, "Redis"), 11);
        equal(r.append("g", "!"), 12);
        equal(r.get("g"), "Hello Redis!");
    }

    private void connection() {
        int version = protocol == RedisProtocol.RESP3 ? 3 : 2;
        // Jedis reads a RESP3 map as a list of pairs and a RESP2 one as a flat list.
        List<Object> flat = new ArrayList<>();
        for (Object part : (List<?>) one.sendCommand(Command.HELLO, "" + version)) {
            if (part instanceof Map.Entry<?, ?> pair) {
                flat.add(pair.getKey());
                flat.add(pair.getValue());
            } else {
                flat.add(part);
            }
        }
        Map<String, Object> hello = new HashMap<>();
        for (int i = 0; i < flat.size(); i += 2)
            hello.put(SafeEncoder.encode((byte[]) flat.get(i)), flat.get(i + 1));
        equal(hello.get("proto"), version);
        for (String field : List.of("server", "version", "id", "mode", "role"))
            isTrue(hello.containsKey(field), "HELLO lacks " + field);
        equal(one.ping(), "PONG");
        equal(one.echo("hi"), "hi");
        equal(one.clientSetname("flow"), "OK");
        equal(one.clientGetname(), "flow");
        equal(one.clientId(), hello.get("id"));
    }

    private static String field(String info, String pattern) {
        Matcher match = Pattern.compile("(?dm)^" + pattern).matcher(info);
        isTrue(match.find(), "INFO lacks " + pattern);
        return match.group(1);
    }

    private void server() {
        Map<String, String> limits = one.configGet("maxmemory");
        isTrue(Long.parseLong(limits.get("maxmemory")) >= 0, "CONFIG GET maxmemory");
        String info = one.info();
        field(info, "redis_version:(\\S+)\r$");
        field(info, "uptime_in_seconds:(\\d+)\r$");
        equal(field(info, "tcp_port:(\\d+)\r$"), "" + port);
        equal(field(one.info("keyspace"), "db0:keys=(\\d+),"), "" + one.dbSize());
    }

    private void databases() {
        long before = one.dbSize();
        isTrue(before > KEYS, "DBSIZE");
        equal(one.select(1), "OK");
        equal(one.dbSize(), 0);
        one.set("only", "here");
        equal(one.dbSize(), 1);
        equal(one.flushDB(), "OK");
        equal(one.dbSize(), 0);
        equal(one.select(0), "OK");
        equal(one.dbSize(), before);
        fails(() -> one.select(1_000_000), "out of range");
    }

    private void large() {
        byte[] value = "0123456789abcdef".repeat(BIG / 16).getBytes(StandardCharsets.US_ASCII);
        value[BIG - 1] = 0;
        byte[] key = SafeEncoder.encode("big");
        equal(r.set(key, value), "OK");
        equal(r.strlen(key), BIG);
        isTrue(Arrays.equals(r.get(key), value), "the large value came back changed");
        equal(r.getrange("big", BIG - 2, -1), "e\0");
        equal(r.unlink(key), 1);
    }

    private interface Step {
        void run() throws Exception;
    }

    private void step(String name, Step body) throws Exception {
        System.out.println(protocol + " " + name);
        body.run();
    }

    private void run() throws Exception {
        one.flushDB();
        step("strings", this::strings);
        step("binary", this::binary);
        step("counters", this::counters);
        step("many keys", this::manyKeys);
        step("expiry", this::expiry);
        step("removal", this::removal);
        step("scan", this::scan);
        step("pipelines", this::pipelines);
        step("errors", this::errors);
        step("bits", this::bits);
        step("ranges", this::ranges);
        step("connection", this::connection);
        step("server", this::server);
        step("databases", this::databases);
        step("large", this::large);
    }

    public static void main(String[] args) throws Exception {
        HostAndPort address = new HostAndPort(args[0], Integer.parseInt(args[1]));
        for (RedisProtocol protocol : List.of(RedisProtocol.RESP2, RedisProtocol.RESP3)) {
            JedisClientConfig config =
                DefaultJedisClientConfig.builder().protocol(protocol).build();
            try (RedisClient pool =
                     RedisClient.builder().hostAndPort(address).clientConfig(config).build();
                 Jedis one = new Jedis(address, config)) {
                new Flow(pool, one, protocol, address.getPort()).run();
            }
        }
    }
}
