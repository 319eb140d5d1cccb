//! `DUMP` and `RESTORE` beside live servers, in both directions: random values of every type, in
//! every form that a server has for them.
//!
//! `KEYWARD_DUMP_CASES` sets another number of cases.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "../differential/server.rs"]
mod server;

use keyward_engine::{Engine, EngineSession, Settings, UnixMillis};
use keyward_resp::Value;
use keyward_test_cases::setting;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use server::{Client, Server, ServerKind};
use std::cell::RefCell;

/// The engine, as a client sees it.
struct Own {
    engine: Engine,
    session: EngineSession,
}

impl Own {
    fn new() -> Self {
        let settings = Settings {
            hash_seed: [5, 6],
            started_at: UnixMillis(0),
        };
        Self {
            engine: Engine::new(settings),
            session: EngineSession::new(),
        }
    }

    fn send<T: AsRef<[u8]>>(&mut self, words: &[T]) -> Value {
        let words: Vec<&[u8]> = words.iter().map(AsRef::as_ref).collect();
        let id = keyward_commands::resolve(&words).unwrap();
        let mut out = Vec::new();
        let _ = self.engine.apply(
            &mut self.session,
            id,
            &words,
            UnixMillis(1000),
            &mut || 1,
            &mut out,
        );
        Value::decode(&out).unwrap().unwrap().0
    }
}

type Words = Vec<Vec<u8>>;

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        10 => prop::collection::vec(any::<u8>(), 0..12),
        10 => "[a-c]{1,3}".prop_map(String::into_bytes),
        6 => any::<i64>().prop_map(|integer| integer.to_string().into()),
        6 => (-300_i64..70_000).prop_map(|integer| integer.to_string().into()),
        3 => (60..70_usize).prop_map(|length| vec![b'y'; length]),
        // Compressed by servers.
        2 => (20..9000_usize, any::<u16>()).prop_map(|(length, step)| {
            (0..length).map(|at| (at % (usize::from(step) + 1)) as u8).collect()
        }),
        1 => prop::collection::vec(any::<u8>(), 4000..20_000),
    ]
}

fn score() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (-100_i64..100).prop_map(|score| score.to_string()),
        4 => any::<f64>().prop_filter_map("a number", |score| {
            (!score.is_nan() && score != 0.0 && score.is_normal()).then(|| format!("{score:e}"))
        }),
        1 => Just("inf".to_owned()),
        1 => Just("-inf".to_owned()),
    ]
    .prop_map(String::into_bytes)
}

/// A command that makes the key `k`, and its type.
fn command() -> impl Strategy<Value = Words> {
    let many = || prop_oneof![4 => 1..20_usize, 1 => 100..700_usize];
    let texts = || many().prop_flat_map(|count| prop::collection::vec(text(), count));
    let integers = many().prop_flat_map(|count| {
        let integer = prop_oneof![
            (-100_i64..30_000).boxed(),
            any::<i32>().prop_map(i64::from).boxed(),
            any::<i64>().boxed(),
        ];
        prop::collection::vec(integer.prop_map(|i| i.to_string().into_bytes()), count)
    });
    let command = |name: &str, words: Vec<Vec<u8>>| {
        let head = [name, "k"].map(|word| word.as_bytes().to_vec());
        head.into_iter().chain(words).collect::<Words>()
    };
    prop_oneof![
        text().prop_map(move |text| command("SET", vec![text])),
        texts().prop_map(move |texts| command("RPUSH", texts)),
        texts().prop_map(move |texts| command("SADD", texts)),
        integers.prop_map(move |integers| command("SADD", integers)),
        prop::collection::vec((text(), text()), 1..300).prop_map(move |pairs| {
            command(
                "HSET",
                pairs.into_iter().flat_map(|(f, v)| [f, v]).collect(),
            )
        }),
        prop::collection::vec((score(), text()), 1..200).prop_map(move |pairs| {
            command(
                "ZADD",
                pairs.into_iter().flat_map(|(s, m)| [s, m]).collect(),
            )
        }),
    ]
}

/// What the key `k` holds, in an order of its own.
fn contents(send: &mut dyn FnMut(&[&str]) -> Value) -> (Value, Vec<String>) {
    let kind = send(&["TYPE", "k"]);
    let words: &[&str] = match &kind {
        Value::Simple(name) => match name.as_slice() {
            b"string" => &["GET", "k"],
            b"list" => &["LRANGE", "k", "0", "-1"],
            b"set" => &["SMEMBERS", "k"],
            b"hash" => &["HGETALL", "k"],
            _ => &["ZRANGE", "k", "0", "-1", "WITHSCORES"],
        },
        _ => panic!("{kind:?}"),
    };
    let group = if words[0] == "HGETALL" { 2 } else { 1 };
    let mut found = match send(words) {
        // A server does not always write a score in the fewest digits: numbers are compared.
        Value::Array(all) if words[0] == "ZRANGE" => all
            .chunks(2)
            .map(|pair| match pair {
                [member, Value::Bulk(score)] => {
                    let score: f64 = std::str::from_utf8(score).unwrap().parse().unwrap();
                    format!("{member:?} {score:?}")
                }
                other => panic!("{other:?}"),
            })
            .collect(),
        Value::Array(all) => all.chunks(group).map(|part| format!("{part:?}")).collect(),
        other => vec![format!("{other:?}")],
    };
    if matches!(words[0], "SMEMBERS" | "HGETALL") {
        found.sort();
    }
    found.push(format!("{:?}", send(&["PEXPIRETIME", "k"])));
    (kind, found)
}

fn payload(value: Value) -> Vec<u8> {
    match value {
        Value::Bulk(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

/// One value, from server to engine and from engine to server.
fn both_ways(client: &mut Client, own: &mut Own, command: &Words) -> Result<(), TestCaseError> {
    let ok = Value::Simple(b"OK".to_vec());
    for side in 0..2 {
        client.send(&["FLUSHALL"]);
        own.send(&["FLUSHALL"]);
        let expiry = ["PEXPIREAT", "k", "4000000000123"];
        let time = b"4000000000123".to_vec();
        let restore = |payload: Vec<u8>| -> Words {
            vec![
                b"RESTORE".to_vec(),
                b"k".to_vec(),
                time.clone(),
                payload,
                b"ABSTTL".to_vec(),
            ]
        };
        if side == 0 {
            client.send(command);
            client.send(&expiry);
            let payload = payload(client.send(&["DUMP", "k"]));
            prop_assert_eq!(own.send(&restore(payload)), ok.clone());
        } else {
            own.send(command);
            own.send(&expiry);
            let payload = payload(own.send(&["DUMP", "k"]));
            prop_assert_eq!(client.send(&restore(payload)), ok.clone());
        }
        let theirs = contents(&mut |words| client.send(words));
        let ours = contents(&mut |words| own.send(words));
        prop_assert_eq!(theirs, ours);
    }
    Ok(())
}

#[test]
fn values_are_the_same_on_both_sides() {
    let cases = setting("KEYWARD_DUMP_CASES", 60);
    for server in ServerKind::ALL.map(Server::start) {
        for setting in [
            &["CONFIG", "SET", "list-max-listpack-size", "-2"],
            &["CONFIG", "SET", "list-max-listpack-size", "3"],
        ] {
            let mut client = server.connect();
            client.send(setting);
            let both = RefCell::new((client, Own::new()));
            let config = Config {
                cases,
                failure_persistence: None,
                ..Config::default()
            };
            let mut runner = TestRunner::new(config);
            let run = runner.run(&command(), |command| {
                let (client, own) = &mut *both.borrow_mut();
                both_ways(client, own, &command)
            });
            run.unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

/// What is wrong is refused by both in the same words.
#[test]
fn refusals_are_the_servers() {
    for server in ServerKind::ALL.map(Server::start) {
        let mut client = server.connect();
        let mut own = Own::new();
        own.send(&["SET", "k", "v"]);
        client.send(&["SET", "k", "v"]);
        let good = payload(own.send(&["DUMP", "k"]));
        let mut changed = good.clone();
        changed[1] ^= 1;
        let mut later = good[..good.len() - 10].to_vec();
        later.extend_from_slice(&[0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
        let cases: [&[&[u8]]; 16] = [
            &[b"k", b"0", &good],
            &[b"new", b"-1", &good],
            &[b"new", b"x", &good],
            &[b"new", b"0", b""],
            &[b"new", b"0", b"short"],
            &[b"new", b"0", &changed],
            &[b"new", b"0", &later],
            &[b"new", b"0", &good, b"NOSUCH"],
            &[b"new", b"0", &good, b"IDLETIME"],
            &[b"new", b"0", &good, b"IDLETIME", b"-1"],
            &[b"new", b"0", &good, b"FREQ", b"256"],
            &[b"new", b"0", &good, b"FREQ", b"1", b"IDLETIME", b"1"],
            &[b"new", b"1", &good, b"ABSTTL", b"REPLACE"],
            &[b"k", b"1", &good, b"ABSTTL", b"REPLACE"],
            // A time that overflows the clock is over; as a moment, it is far away.
            &[b"k", b"9223372036854775807", &good, b"REPLACE"],
            &[b"k", b"9223372036854775807", &good, b"ABSTTL", b"REPLACE"],
        ];
        for words in cases {
            let words: Vec<&[u8]> = std::iter::once(&b"RESTORE"[..])
                .chain(words.iter().copied())
                .collect();
            assert_eq!(client.send(&words), own.send(&words), "{words:?}");
            for key in ["k", "new"] {
                assert_eq!(
                    client.send(&["GET", key]),
                    own.send(&["GET", key]),
                    "{words:?}"
                );
            }
        }
    }
}
