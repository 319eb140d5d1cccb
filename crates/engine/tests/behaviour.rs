//! The engine alone, where a live server cannot follow: a clock moved by hand, hostile input,
//! iteration while things change, randomness.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use keyward_commands::CommandId;
use keyward_engine::{Effects, Engine, EngineSession, Settings, UnixMillis, supports};
use keyward_resp::{Protocol, Value};
use keyward_test_cases::Random;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// An engine with one session and a clock moved by hand.
struct Bench {
    engine: Engine,
    session: EngineSession,
    now: i64,
    random: Random,
}

impl Bench {
    fn new() -> Self {
        let settings = Settings {
            hash_seed: [1, 2],
            started_at: UnixMillis(0),
        };
        Self {
            engine: Engine::new(settings),
            session: EngineSession::new(),
            now: 1000,
            random: Random::new(1),
        }
    }

    fn run<T: AsRef<[u8]>>(&mut self, words: &[T]) -> (Vec<u8>, Effects) {
        let id = keyward_commands::resolve(words).unwrap();
        self.run_id(id, words)
    }

    fn run_id<T: AsRef<[u8]>>(&mut self, id: CommandId, words: &[T]) -> (Vec<u8>, Effects) {
        let mut out = Vec::new();
        let Self {
            engine,
            session,
            now,
            random,
        } = self;
        let mut draw = || random.draw();
        let effects = engine.apply(session, id, words, UnixMillis(*now), &mut draw, &mut out);
        (out, effects)
    }

    /// The reply to a command written in one line.
    fn ask(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        String::from_utf8(self.run(&words).0)
            .unwrap()
            .replace("\r\n", " ")
            .trim_end()
            .to_owned()
    }

    fn value(&mut self, line: &str) -> Value {
        let words: Vec<&str> = line.split(' ').collect();
        let out = self.run(&words).0;
        let (value, len) = Value::decode(&out).unwrap().unwrap();
        assert_eq!(len, out.len(), "{line}");
        value
    }

    fn transaction(&mut self, lines: &[&str]) -> String {
        let mut out = Vec::new();
        let words: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
        let commands = words.iter().map(|words| {
            (
                keyward_commands::resolve(words.as_slice()).unwrap(),
                words.as_slice(),
            )
        });
        let _ = self.engine.transaction(
            &mut self.session,
            commands,
            UnixMillis(self.now),
            &mut || 0,
            &mut out,
        );
        String::from_utf8(out)
            .unwrap()
            .replace("\r\n", " ")
            .trim_end()
            .to_owned()
    }
}

/// What a script does.
enum Do {
    /// A command, and its reply with spaces for line ends.
    Ask(&'static str, &'static str),
    /// Milliseconds that pass.
    Wait(i64),
}
use Do::{Ask, Wait};

#[test]
fn scripts() {
    let scripts: &[(&str, &[Do])] = &[
        (
            "a key lives up to its deadline and not longer",
            &[
                Ask("SET k v PX 100", "+OK"),
                Ask("PTTL k", ":100"),
                Wait(100),
                Ask("GET k", "$1 v"),
                Wait(1),
                Ask("GET k", "$-1"),
                Ask("DBSIZE", ":0"),
                Ask("PTTL k", ":-2"),
            ],
        ),
        (
            "what ends does not count and is not listed",
            &[
                Ask("SET a 1 EX 1", "+OK"),
                Ask("SADD b x", ":1"),
                Ask("PEXPIRE b 1500", ":1"),
                Wait(1001),
                Ask("DBSIZE", ":1"),
                Ask("KEYS *", "*1 $1 b"),
                Ask("SCAN 0", "*2 $1 0 *1 $1 b"),
                Ask("RANDOMKEY", "$1 b"),
                Wait(1000),
                Ask("RANDOMKEY", "$-1"),
                Ask("SUNION b", "*0"),
                Ask("COPY b c", ":0"),
            ],
        ),
        (
            "times are rounded to the nearest second",
            &[
                Ask("SET k v PX 1499", "+OK"),
                Ask("TTL k", ":1"),
                Ask("PEXPIRE k 1500", ":1"),
                Ask("TTL k", ":2"),
                Ask("EXPIRETIME k", ":3"),
                Ask("PEXPIRETIME k", ":2500"),
            ],
        ),
        (
            "changes of a value keep its deadline, a new value has none",
            &[
                Ask("SET k 1 PX 5000", "+OK"),
                Ask("INCR k", ":2"),
                Ask("APPEND k 0", ":2"),
                Ask("PTTL k", ":5000"),
                Ask("SET k 1 KEEPTTL", "+OK"),
                Ask("PTTL k", ":5000"),
                Ask("RENAME k other", "+OK"),
                Ask("PTTL other", ":5000"),
                Ask("GETSET other 5", "$1 1"),
                Ask("PTTL other", ":-1"),
            ],
        ),
        (
            "times that overflow or lie in the past",
            &[
                Ask("SET k v", "+OK"),
                Ask(
                    "EXPIRE k 9223372036854775",
                    "-ERR invalid expire time in 'expire' command",
                ),
                Ask("PEXPIREAT k 9223372036854775807", ":1"),
                Wait(i64::MAX / 2),
                Ask("EXISTS k", ":1"),
                Ask("EXPIRE k -1", ":1"),
                Ask("EXISTS k", ":0"),
            ],
        ),
        (
            "strings have a greatest length",
            &[
                Ask(
                    "SETRANGE k 536870912 x",
                    "-ERR string exceeds maximum allowed size (proto-max-bulk-len)",
                ),
                Ask(
                    "SETRANGE k 9223372036854775807 x",
                    "-ERR string exceeds maximum allowed size (proto-max-bulk-len)",
                ),
                Ask("EXISTS k", ":0"),
            ],
        ),
        (
            "integers overflow with an error and stay",
            &[
                Ask("SET k 9223372036854775807", "+OK"),
                Ask("INCR k", "-ERR increment or decrement would overflow"),
                Ask("GET k", "$19 9223372036854775807"),
                Ask(
                    "DECRBY k -9223372036854775808",
                    "-ERR decrement would overflow",
                ),
            ],
        ),
        (
            "repetition has a limit",
            &[
                Ask("SADD t x", ":1"),
                Ask("SRANDMEMBER t -99999999999", "-ERR value is out of range"),
            ],
        ),
        (
            "what is missing says so",
            &[
                Ask(
                    "XADD s * f v",
                    "-ERR keyward: the embedded engine has no 'xadd' yet",
                ),
                Ask(
                    "XADD s",
                    "-ERR wrong number of arguments for 'xadd' command",
                ),
            ],
        ),
        (
            "keyspaces are apart",
            &[
                Ask("SET k v", "+OK"),
                Ask("SELECT 1", "+OK"),
                Ask("GET k", "$-1"),
                Ask("SELECT 16", "-ERR DB index is out of range"),
                Ask("DBSIZE", ":0"),
                Ask("SWAPDB 0 1", "+OK"),
                Ask("GET k", "$1 v"),
                Ask("FLUSHALL", "+OK"),
                Ask("GET k", "$-1"),
            ],
        ),
    ];
    for (name, script) in scripts {
        let mut bench = Bench::new();
        for step in *script {
            match step {
                Ask(line, expected) => assert_eq!(bench.ask(line), *expected, "{name}: {line}"),
                Wait(millis) => bench.now += millis,
            }
        }
    }
}

#[test]
fn expiry_in_steps_gives_memory_back() {
    let mut bench = Bench::new();
    for number in 0..1000 {
        bench.ask(&format!("SET key:{number} value PX {}", 1 + number));
    }
    bench.now += 501;
    let removed: Vec<usize> = (0..4)
        .map(|_| bench.engine.expire_some(UnixMillis(bench.now), 200))
        .collect();
    assert_eq!(removed, [200, 200, 100, 0]);
    assert_eq!(bench.engine.key_count(), 500);
    let half = bench.engine.memory_estimate();
    bench.now += 1000;
    assert_eq!(
        bench.engine.expire_some(UnixMillis(bench.now), usize::MAX),
        500
    );
    assert!(bench.engine.memory_estimate() < half / 4);
}

#[test]
fn a_transaction_runs_only_if_nothing_watched_has_changed() {
    // What another session does between WATCH and EXEC, and whether EXEC runs.
    let cases = [
        ("GET k", true),
        ("SET other v", true),
        ("SET k v", false),
        ("SET k v NX", true),
        ("DEL k", false),
        ("EXPIRE k 100", false),
        ("FLUSHALL", false),
        ("SWAPDB 0 1", false),
        ("RENAME other k", false),
        ("COPY other k REPLACE", false),
    ];
    for (between, runs) in cases {
        let mut bench = Bench::new();
        bench.ask("SET k 1");
        bench.ask("SET other 2");
        bench
            .engine
            .watch(&mut bench.session, b"k", UnixMillis(bench.now));
        let mut watching = std::mem::take(&mut bench.session);
        bench.ask(between);
        std::mem::swap(&mut watching, &mut bench.session);
        let expected = if runs { "*2 +PONG :4" } else { "*-1" };
        assert_eq!(
            bench.transaction(&["PING", "INCRBY fresh 4"]),
            expected,
            "{between}"
        );
        assert!(!bench.session.is_watching());
        // The next one is not held up.
        assert_eq!(bench.transaction(&["PING"]), "*1 +PONG", "{between}");
    }
}

#[test]
fn a_watched_key_that_ends_is_changed_unless_it_had_ended_before() {
    for (wait_before, wait_after, runs) in [(0, 50, true), (0, 200, false), (200, 200, true)] {
        let mut bench = Bench::new();
        bench.ask("SET k 1 PX 100");
        bench.now += wait_before;
        bench
            .engine
            .watch(&mut bench.session, b"k", UnixMillis(bench.now));
        bench.now += wait_after;
        let expected = if runs { "*1 +PONG" } else { "*-1" };
        assert_eq!(bench.transaction(&["PING"]), expected);
    }
}

/// As Valkey 9 has it: a time that is over stores nothing, which is a change only where a key was.
#[test]
fn what_changes_nothing_is_not_seen_by_watch() {
    for (before, change, runs) in [
        ("PING", "SET k w PXAT 1", true),
        ("SET k v", "SET k w PXAT 1", false),
        ("RPUSH k v", "LTRIM k 0 -1", true),
        ("RPUSH k v w", "LTRIM k 0 0", false),
    ] {
        let mut bench = Bench::new();
        bench.ask(before);
        bench
            .engine
            .watch(&mut bench.session, b"k", UnixMillis(bench.now));
        assert_eq!(bench.ask(change), "+OK");
        let expected = if runs { "*1 +PONG" } else { "*-1" };
        assert_eq!(bench.transaction(&["PING"]), expected, "{before} {change}");
    }
}

#[test]
fn a_transaction_selects_and_goes_on_after_errors() {
    let mut bench = Bench::new();
    let reply = bench.transaction(&["SELECT 3", "SET k v", "INCR k", "GET k"]);
    assert_eq!(
        reply,
        "*4 +OK +OK -ERR value is not an integer or out of range $1 v"
    );
    assert_eq!(bench.session.database(), 3);
}

#[test]
fn a_closed_session_leaves_nothing_behind() {
    let mut bench = Bench::new();
    bench.engine.watch(&mut bench.session, b"k", UnixMillis(0));
    let session = std::mem::take(&mut bench.session);
    bench.engine.close(session);
    bench.ask("SET k v");
    assert_eq!(bench.transaction(&["PING"]), "*1 +PONG");
}

#[test]
fn effects_count_changes() {
    let cases = [
        ("SET k v", 1),
        ("GET k", 0),
        ("SET k v NX", 0),
        ("MSET a 1 b 2", 2),
        ("SADD t x y x", 2),
        ("SADD t x", 0),
        ("DEL a b c", 2),
        ("EXPIRE nokey 10", 0),
        ("LPUSH k x", 0),
        ("ZADD z 1 a 2 b", 2),
        ("ZADD z 1 a 3 b", 1),
    ];
    let mut bench = Bench::new();
    for (line, expected) in cases {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(bench.run(&words).1.changes, expected, "{line}");
    }
}

/// All pages of an iteration, with `between` called before every next one.
fn scan_all(
    bench: &mut Bench,
    command: &str,
    tail: &str,
    mut between: impl FnMut(&mut Bench, usize),
) -> BTreeSet<Vec<u8>> {
    let (mut seen, mut cursor, mut page) = (BTreeSet::new(), "0".to_owned(), 0);
    loop {
        let Value::Array(parts) = bench.value(&format!("{command} {cursor} COUNT 7{tail}")) else {
            panic!("no array");
        };
        let [Value::Bulk(next), Value::Array(elements)] = parts.as_slice() else {
            panic!("no page");
        };
        seen.extend(elements.iter().map(|element| match element {
            Value::Bulk(bytes) => bytes.clone(),
            other => panic!("{other:?}"),
        }));
        cursor = String::from_utf8(next.clone()).unwrap();
        if cursor == "0" {
            return seen;
        }
        page += 1;
        between(bench, page);
    }
}

#[test]
fn an_iteration_returns_what_is_there_all_the_time() {
    let forms = [
        ("SET stay:# x", "SET come:# x", "DEL come:#", "SCAN", ""),
        (
            "SADD k stay:#",
            "SADD k come:#",
            "SREM k come:#",
            "SSCAN k",
            "",
        ),
        (
            "HSET k stay:# v",
            "HSET k come:# v",
            "HDEL k come:#",
            "HSCAN k",
            " NOVALUES",
        ),
        (
            "ZADD k 1 stay:#",
            "ZADD k 2 come:#",
            "ZREM k come:#",
            "ZSCAN k",
            " NOSCORES",
        ),
    ];
    for (stay, come, go, scan, tail) in forms {
        let mut bench = Bench::new();
        let with = |form: &str, number: usize| form.replace('#', &number.to_string());
        (0..300).for_each(|number| _ = bench.ask(&with(stay, number)));
        // Grows to many times its size and shrinks again while it is iterated.
        let seen = scan_all(&mut bench, scan, tail, |bench, page| {
            let form = if page % 20 < 10 { come } else { go };
            let from = page % 10 * 150;
            (from..from + 150).for_each(|number| _ = bench.ask(&with(form, number)));
        });
        for number in 0..300 {
            assert!(
                seen.contains(format!("stay:{number}").as_bytes()),
                "{scan} {number}"
            );
        }
    }
}

#[test]
fn a_small_request_cannot_ask_for_more_than_a_gibibyte() {
    let mut bench = Bench::new();
    bench.ask("SETRANGE k 2097151 x");
    let mget = format!("MGET{}", " k".repeat(600));
    let expected = "-ERR keyward: the reply would be larger than 1 GiB";
    assert_eq!(bench.ask(&mget), expected);
    assert_eq!(bench.ask("STRLEN k"), ":2097152");
}

#[test]
fn an_engine_can_be_handed_to_another_thread() {
    fn check<T: Send>() {}
    check::<Engine>();
    check::<EngineSession>();
}

#[test]
fn random_choices_reach_everything_about_equally() {
    let mut bench = Bench::new();
    (0..50).for_each(|number| _ = bench.ask(&format!("SADD t {number}")));
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..10_000 {
        *counts.entry(bench.ask("SRANDMEMBER t")).or_default() += 1;
    }
    assert_eq!(counts.len(), 50);
    assert!(
        counts.values().all(|count| (100..=320).contains(count)),
        "{counts:?}"
    );
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "k",
        "l",
        "h",
        "t",
        "z",
        "0",
        "1",
        "-1",
        "2",
        "9223372036854775807",
        "-9223372036854775808",
        "1e308",
        "-inf",
        "nan",
        "",
        "*",
        "[",
        "\\",
        "(",
        "(1",
        "+",
        "-",
        "NX",
        "XX",
        "GET",
        "EX",
        "PX",
        "LIMIT",
        "COUNT",
        "MATCH",
        "WEIGHTS",
        "AGGREGATE",
        "SUM",
        "BYLEX",
        "BYSCORE",
        "REV",
        "WITHSCORES",
        "LEFT",
        "RIGHT",
        "STORE",
        "RANK",
        "MAXLEN",
        "BEFORE",
        "1e4932",
        "DB",
        "REPLACE",
        "INCR",
        "CH",
        "KEEPTTL",
        "PERSIST",
        "TYPE",
        "string",
        "WITHVALUES",
    ];
    prop_oneof![
        6 => prop::sample::select(known.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
    ]
}

/// A sum of -0 and 0 is 0, as the servers have it.
#[test]
fn unions_of_nothing_below_zero() {
    let mut bench = Bench::new();
    bench.ask("ZADD z 0 b");
    let union = bench.ask("ZUNION 2 z z WEIGHTS -1 3 WITHSCORES");
    assert_eq!(union, "*2 $1 b $1 0");
    let negative = bench.ask("ZUNION 1 z WEIGHTS -1 WITHSCORES");
    assert_eq!(negative, "*2 $1 b $2 -0");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the words: no panic, exactly one reply, and a failed command changes nothing.
    #[test]
    fn any_words_get_one_reply(
        commands in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::collection::vec(word(), 0..9)), 1..60),
        resp3 in any::<bool>(),
        wait in 0i64..5000,
    ) {
        let all: Vec<CommandId> = CommandId::all().filter(|id| supports(*id)).collect();
        let mut bench = Bench::new();
        bench.session.set_protocol(if resp3 { Protocol::Resp3 } else { Protocol::Resp2 });
        for (which, tail) in commands {
            let id = all[which.index(all.len())];
            let mut words: Vec<Vec<u8>> =
                id.command().name.split('|').map(|word| word.as_bytes().to_vec()).collect();
            words.extend(tail);
            // Half a gigabyte for nothing would slow the test down.
            if id.command().name == "setrange" && words.get(2).is_some_and(|offset| offset.len() > 6) {
                continue;
            }
            let (out, effects) = bench.run_id(id, &words);
            match Value::decode(&out) {
                Ok(Some((value, len))) => {
                    prop_assert_eq!(len, out.len());
                    prop_assert!(!matches!(value, Value::Error(_)) || effects.changes == 0);
                }
                other => prop_assert!(false, "{:?} {:?}", other, words),
            }
            bench.now += wait;
        }
    }
}
