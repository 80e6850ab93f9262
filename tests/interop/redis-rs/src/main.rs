//! redis-rs against a server: flow HOST PORT.
//!
//! Promises that strings, keys, bits, pipelines, errors and the connection and server commands
//! behave as redis-rs expects, once over RESP2 and once over RESP3. Prints each step; any
//! surprise panics.

use std::collections::{HashMap, HashSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use redis::{
    cmd, pipe, Client, Commands, Connection, ExistenceCheck, Expiry, InfoDict, RedisError,
    RedisResult, ScanOptions, SetExpiry, SetOptions, Value,
};

const KEYS: usize = 1000;
const BATCH: i64 = 500;
const BIG: usize = 5 * 1024 * 1024;

type Outcome = RedisResult<()>;

/// What every step gets.
struct Session {
    link: Connection,
    protocol: i64,
    port: u16,
}

const STEPS: &[(&str, fn(&mut Session) -> Outcome)] = &[
    ("strings", strings),
    ("binary", binary),
    ("counters", counters),
    ("many keys", many_keys),
    ("expiry", expiry),
    ("removal", removal),
    ("scan", scan),
    ("pipelines", pipelines),
    ("errors", errors),
    ("bits", bits),
    ("ranges", ranges),
    ("connection", connection),
    ("server", server),
    ("databases", databases),
    ("large", large),
];

/// `equal!(reply as type, wanted)`
macro_rules! equal {
    ($reply:expr => $kind:ty, $wanted:expr) => {{
        let reply: $kind = $reply?;
        assert_eq!(reply, $wanted);
    }};
}

fn text(reply: RedisResult<Option<String>>) -> RedisResult<String> {
    reply.map(|value| value.unwrap_or_else(|| "(nil)".into()))
}

/// The result must be an error reply with all the words in it.
fn fails(result: RedisResult<Value>, words: &[&str]) {
    let error: RedisError = result.expect_err("no error reply");
    let shown = error.to_string();
    for word in words {
        assert!(shown.contains(word), "'{shown}' lacks '{word}'");
    }
}

fn assert_ttl(ttl: i64, max: i64) {
    assert!(0 < ttl && ttl <= max, "TTL {ttl}, want at most {max}");
}

fn wait_until_gone(r: &mut Connection, key: &str) -> Outcome {
    let start = Instant::now();
    while r.get::<_, Option<String>>(key)?.is_some() {
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{key} does not expire"
        );
        sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn strings(s: &mut Session) -> Outcome {
    let r = &mut s.link;
    let options = SetOptions::default;
    equal!(r.set("s", "one") => String, "OK");
    equal!(text(r.get("s")) => String, "one");
    equal!(r.get("absent") => Option<String>, None);
    let nx = options().conditional_set(ExistenceCheck::NX);
    equal!(r.set_options("s", "two", nx) => Option<String>, None);
    let xx = options().conditional_set(ExistenceCheck::XX);
    equal!(r.set_options("s", "two", xx) => String, "OK");
    equal!(r.set_options("s", "three", options().get(true)) => String, "two");
    let ex = options().with_expiration(SetExpiry::EX(100));
    equal!(r.set_options("s", "four", ex) => String, "OK");
    let keep = options().with_expiration(SetExpiry::KEEPTTL);
    equal!(r.set_options("s", "five", keep) => String, "OK");
    assert_ttl(r.ttl("s")?, 100);
    equal!(r.set("s", "six") => String, "OK");
    equal!(r.ttl("s") => i64, -1);
    equal!(text(r.get_ex("s", Expiry::EX(50))) => String, "six");
    assert_ttl(r.ttl("s")?, 50);
    equal!(text(r.get_del("s")) => String, "six");
    equal!(r.exists("s") => bool, false);
    equal!(r.set_nx("n", "v") => bool, true);
    equal!(cmd("TYPE").arg("n").query(r) => String, "string");
    Ok(())
}

fn binary(s: &mut Session) -> Outcome {
    let r = &mut s.link;
    let value: Vec<u8> = (0..1024).map(|i| (i % 256) as u8).collect();
    let key: &[u8] = b"bin\r\n\x00\xff key";
    equal!(r.set(key, &value) => String, "OK");
    equal!(r.get(key) => Vec<u8>, value);
    equal!(r.strlen(key) => usize, value.len());
    equal!(r.set("empty", "") => String, "OK");
    equal!(r.get("empty") => Option<String>, Some(String::new()));
    Ok(())
}

fn counters(s: &mut Session) -> Outcome {
    let r = &mut s.link;
    equal!(r.incr("c", 1) => i64, 1);
    equal!(r.incr("c", 41) => i64, 42);
    equal!(cmd("INCR").arg("c").query(r) => i64, 43);
    equal!(cmd("DECR").arg("c").query(r) => i64, 42);
    equal!(r.decr("c", 51) => i64, -9);
    equal!(text(r.get("c")) => String, "-9");
    equal!(r.incr("f", 1.5) => f64, 1.5);
    equal!(r.incr("f", 0.25) => f64, 1.75);
    Ok(())
}

fn many_keys(s: &mut Session) -> Outcome {
    let r = &mut s.link;
    let pairs: Vec<_> = (0..50)
        .map(|i| (format!("m{i}"), format!("v{i}")))
        .collect();
    let names: Vec<_> = pairs
        .iter()
        .map(|pair| pair.0.as_str())
        .chain(["absent"])
        .collect();
    let wanted: Vec<_> = pairs
        .iter()
        .map(|pair| Some(pair.1.clone()))
        .chain([None])
        .collect();
    equal!(r.mset(&pairs) => String, "OK");
    equal!(r.mget(&names) => Vec<Option<String>>, wanted);
    equal!(r.mset_nx(&[("m0", "x"), ("fresh", "x")]) => bool, false);
    equal!(r.exists("fresh") => bool, false);
    Ok(())
}

fn expiry(s: &mut Session) -> Outcome {
    let r = &mut s.link;
    let _: () = r.set("e", "v")?;
    equal!(r.ttl("e") => i64, -1);
    equal!(r.ttl("absent") => i64, -2);
    equal!(r.expire("e", 100) => bool, true);
    assert_ttl(r.ttl("e")?, 100);
    assert_ttl(r.pttl("e")?, 100_000);
    equal!(r.expire("absent", 100) => bool, false);
    equal!(r.persist("e") => bool, true);
    equal!(r.ttl("e") => i64, -1);
    equal!(r.pexpire("e", 20) => bool, true);
    wait_until_gone(r, "e")?;
    let _: () = r.pset_ex("e", "v", 20)?;
    wait_until_gone(r, "e")
}

fn removal(s: &mut Session) -> Outcome {
    let r = &mut s.link;
    let _: () = r.mset(&[("d1", 1), ("d2", 2), ("d3", 3)])?;
    equal!(r.exists(&["d1", "d2", "d3", "d4"]) => i64, 3);
    equal!(r.del(&["d1", "d4"]) => i64, 1);
    equal!(r.unlink(&["d2", "d3", "d4"]) => i64, 2);
    equal!(r.exists(&["d1", "d2", "d3"]) => i64, 0);
    Ok(())
}

fn scanned(r: &mut Connection, options: ScanOptions) -> RedisResult<HashSet<Vec<u8>>> {
    r.scan_options::<Vec<u8>>(options)?.collect()
}

fn scan(s: &mut Session) -> Outcome {
    let r = &mut s.link;
    let pairs: Vec<_> = (0..KEYS).map(|i| (format!("scan:{i}"), i)).collect();
    let wanted: HashSet<Vec<u8>> = pairs.iter().map(|pair| pair.0.clone().into()).collect();
    let _: () = r.mset(&pairs)?;
    let _: () = r.set("other", 1)?;
    let options = || ScanOptions::default().with_count(50);
    let all = scanned(r, options())?;
    assert!(
        all.contains(b"other".as_slice()) && wanted.is_subset(&all),
        "SCAN lost keys"
    );
    assert_eq!(scanned(r, options().with_pattern("scan:*"))?, wanted);
    assert_eq!(
        scanned(r, options().with_pattern("scan:*").with_type("string"))?,
        wanted
    );
    Ok(())
}

fn pipelines(s: &mut Session) -> Outcome {
    let mut batch = pipe();
    for i in 0..BATCH {
        let key = format!("p{i}");
        batch.set(&key, i).ignore().incr("total", 1).get(&key);
    }
    let wanted: Vec<i64> = (0..BATCH).flat_map(|i| [i + 1, i]).collect();
    equal!(batch.query(&mut s.link) => Vec<i64>, wanted);
    Ok(())
}

fn errors(s: &mut Session) -> Outcome {
    let r = &mut s.link;
    let _: () = r.set("word", "abc")?;
    fails(r.incr("word", 1), &["not an integer"]);
    fails(cmd("INCR").arg("word").query(r), &["not an integer"]);
    fails(
        cmd("NOSUCHCOMMAND").arg("x").query(r),
        &["unknown command", "NOSUCHCOMMAND"],
    );
    fails(cmd("GET").query(r), &["wrong number of arguments"]);
    fails(
        cmd("SET").arg(&["a", "b", "NOSUCHOPTION"]).query(r),
        &["syntax error"],
    );
    let mixed: RedisResult<Value> = pipe().get("word").incr("word", 1).get("word").query(r);
    fails(mixed, &["not an integer"]);
    equal!(text(r.get("word")) => String, "abc");
    Ok(())
}

fn bits(s: &mut Session) -> Outcome {
    let r = &mut s.link;
    equal!(r.setbit("b", 7, true) => bool, false);
    equal!(r.setbit("b", 7, true) => bool, true);
    equal!(r.setbit("b", 100, true) => bool, false);
    equal!(r.getbit("b", 7) => bool, true);
    equal!(r.getbit("b", 8) => bool, false);
    equal!(r.getbit("b", 5000) => bool, false);
    equal!(r.bitcount("b") => i64, 2);
    equal!(r.bitcount_range("b", 0, 0) => i64, 1);
    equal!(r.strlen("b") => i64, 13);
    Ok(())
}

fn ranges(s: &mut Session) -> Outcome {
    let r = &mut s.link;
    let _: () = r.set("g", "Hello World")?;
    equal!(r.getrange("g", 0, 4) => String, "Hello");
    equal!(r.getrange("g", -5, -1) => String, "World");
    equal!(r.getrange("g", 50, 60) => String, "");
    equal!(r.setrange("g", 6, "Redis") => i64, 11);
    equal!(r.append("g", "!") => i64, 12);
    equal!(text(r.get("g")) => String, "Hello Redis!");
    Ok(())
}

fn connection(s: &mut Session) -> Outcome {
    let r = &mut s.link;
    let hello: HashMap<String, Value> = cmd("HELLO").arg(s.protocol).query(r)?;
    assert_eq!(hello["proto"], Value::Int(s.protocol));
    for field in ["server", "version", "id", "mode", "role"] {
        assert!(hello.contains_key(field), "HELLO lacks {field}");
    }
    equal!(r.ping() => String, "PONG");
    equal!(cmd("ECHO").arg("hi").query(r) => String, "hi");
    equal!(r.client_setname("flow") => String, "OK");
    equal!(text(r.client_getname()) => String, "flow");
    equal!(cmd("CLIENT").arg("ID").query(r) => Value, hello["id"]);
    Ok(())
}

fn server(s: &mut Session) -> Outcome {
    let r = &mut s.link;
    let limits: HashMap<String, u64> = cmd("CONFIG").arg("GET").arg("maxmemory").query(r)?;
    assert!(
        limits.contains_key("maxmemory"),
        "CONFIG GET gave {limits:?}"
    );
    let info: InfoDict = cmd("INFO").query(r)?;
    assert!(
        info.get::<String>("redis_version").is_some(),
        "INFO redis_version"
    );
    assert_eq!(info.get::<u16>("tcp_port"), Some(s.port));
    assert!(
        info.get::<u64>("uptime_in_seconds").is_some(),
        "INFO uptime_in_seconds"
    );
    let keyspace: InfoDict = cmd("INFO").arg("keyspace").query(r)?;
    let db0: String = keyspace.get("db0").expect("INFO keyspace lacks db0");
    let count: i64 = cmd("DBSIZE").query(r)?;
    assert!(
        db0.starts_with(&format!("keys={count},")),
        "{db0}, DBSIZE {count}"
    );
    Ok(())
}

fn databases(s: &mut Session) -> Outcome {
    let r = &mut s.link;
    let before: usize = cmd("DBSIZE").query(r)?;
    assert!(before > KEYS, "DBSIZE {before}");
    equal!(cmd("SELECT").arg(1).query(r) => String, "OK");
    equal!(cmd("DBSIZE").query(r) => i64, 0);
    let _: () = r.set("only", "here")?;
    equal!(cmd("DBSIZE").query(r) => i64, 1);
    equal!(r.flushdb() => String, "OK");
    equal!(cmd("DBSIZE").query(r) => i64, 0);
    equal!(cmd("SELECT").arg(0).query(r) => String, "OK");
    equal!(cmd("DBSIZE").query(r) => usize, before);
    fails(cmd("SELECT").arg(1_000_000).query(r), &["out of range"]);
    Ok(())
}

fn large(s: &mut Session) -> Outcome {
    let r = &mut s.link;
    let mut value = b"0123456789abcdef".repeat(BIG / 16);
    value[BIG - 1] = 0;
    equal!(r.set("big", &value) => String, "OK");
    equal!(r.strlen("big") => usize, BIG);
    let back: Vec<u8> = r.get("big")?;
    assert!(back == value, "the large value came back changed");
    equal!(r.getrange("big", BIG as isize - 2, -1) => String, "e\0");
    equal!(r.unlink("big") => i64, 1);
    Ok(())
}

fn flow(host: &str, port: u16, protocol: i64) -> Outcome {
    let link = Client::open(format!("redis://{host}:{port}/?protocol=resp{protocol}"))?
        .get_connection()?;
    let mut session = Session {
        link,
        protocol,
        port,
    };
    let _: () = session.link.flushdb()?;
    for (name, step) in STEPS {
        println!("RESP{protocol} {name}");
        step(&mut session)?;
    }
    Ok(())
}

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().collect();
    let port = args[2].parse().expect("PORT is a number");
    flow(&args[1], port, 2)?;
    flow(&args[1], port, 3)
}
