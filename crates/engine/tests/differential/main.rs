//! The engine beside a real server: the same random commands to both, every reply compared.
//!
//! `KEYWARD_DIFFERENTIAL_SEED` and `KEYWARD_DIFFERENTIAL_COMMANDS` choose another run.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod compare;
mod generator;
mod server;

use compare::{Comparison, leaves};
use generator::Words;
use keyward_engine::{Engine, EngineSession, Settings, UnixMillis, supports};
use keyward_resp::{Protocol, Value};
use keyward_test_cases::{Random, setting};
use server::{Client, Server, ServerKind};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a run begins with unless the environment says otherwise: the same each time, so that a
/// failure belongs to the change that is tested. To look further, run it with other seeds.
const SEED: u64 = 9;
/// Commands sent in each protocol unless the environment says otherwise.
const COMMANDS: usize = 15_000;
/// After how many commands the whole contents are compared.
const CONTENTS_EVERY: usize = 500;
/// After how many commands everything is deleted.
const FLUSH_EVERY: usize = 3_000;
/// Differences after which a run ends.
const MAX_DIFFERENCES: usize = 20;

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// One session at both sides.
struct Pair {
    client: Client,
    session: EngineSession,
}

/// The server, the engine, and two sessions on each.
struct Bench {
    engine: Engine,
    pairs: Vec<Pair>,
    random: Random,
    history: Vec<String>,
    differences: Vec<String>,
    counts: BTreeMap<String, usize>,
    errors: usize,
}

impl Bench {
    fn new(server: &Server, protocol: Protocol, seed: u64) -> Self {
        let settings = Settings {
            hash_seed: [seed, 1],
            started_at: UnixMillis(now()),
        };
        let pairs = (0..2).map(|_| {
            let mut client = server.connect();
            let mut session = EngineSession::new();
            if protocol == Protocol::Resp3 {
                client.send(&["HELLO", "3"]);
                session.set_protocol(Protocol::Resp3);
            }
            Pair { client, session }
        });
        let mut bench = Self {
            engine: Engine::new(settings),
            pairs: pairs.collect(),
            random: Random::new(seed),
            history: Vec::new(),
            differences: Vec::new(),
            counts: BTreeMap::new(),
            errors: 0,
        };
        bench.flush();
        bench
    }

    fn flush(&mut self) {
        for pair in 0..2 {
            for words in [["SELECT", "0"].as_slice(), &["FLUSHALL"]] {
                let words: Words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
                self.pairs[pair].client.send(&words);
                self.engine(pair, &words);
            }
        }
        self.history.clear();
    }

    fn engine(&mut self, pair: usize, words: &Words) -> Value {
        let command = keyward_commands::resolve(words).unwrap();
        let mut out = Vec::new();
        let Self {
            engine,
            pairs,
            random,
            ..
        } = self;
        let mut draw = || random.draw();
        let session = &mut pairs[pair].session;
        let effects = engine.apply(
            session,
            command,
            words,
            UnixMillis(now()),
            &mut draw,
            &mut out,
        );
        let value = whole(&out);
        if matches!(value, Value::Error(_)) {
            assert_eq!(
                effects.changes,
                0,
                "a failed command changed something: {}",
                text(words)
            );
        }
        value
    }

    fn differ(&mut self, what: &str, server: &str, engine: &str) {
        let from = self.history.len().saturating_sub(12);
        let history = self.history[from..].join("\n    ");
        self.differences.push(format!(
            "{what}\n  server {server}\n  engine {engine}\n  after\n    {history}"
        ));
        self.flush();
    }

    /// One command at both sides.
    fn step(&mut self, pair: usize, words: &Words) {
        let known = keyward_commands::resolve(words).is_ok_and(supports);
        if !known {
            return;
        }
        if self.is_undefined(pair, words) {
            return;
        }
        let comparison = Comparison::of(words);
        self.history.push(format!("[{pair}] {}", text(words)));
        *self
            .counts
            .entry(String::from_utf8_lossy(&words[0]).to_uppercase())
            .or_default() += 1;
        let mut server = self.pairs[pair].client.send(words);
        let mut engine = self.engine(pair, words);
        if words[0].eq_ignore_ascii_case(b"DBSIZE") && matches!(server, Value::Integer(_)) {
            // The server counts keys whose time is over until it happens to remove them.
            let keys = leaves(&self.pairs[pair].client.send(&["KEYS", "*"]));
            server = Value::Integer(keys.len() as i64);
        }
        self.errors += usize::from(matches!(server, Value::Error(_)));
        if let Some(place) = comparison.cursor_word()
            && let (Value::Array(s), Value::Array(e)) = (&server, &engine)
            && s.len() == 2
            && e.len() == 2
        {
            if words[place] != b"0" {
                return; // A cursor from nowhere: what it yields is each side's own.
            }
            server = self.iterate(words, place, server, |bench, w| {
                bench.pairs[pair].client.send(w)
            });
            engine = self.iterate(words, place, engine, |bench, w| bench.engine(pair, w));
        }
        if let Err(why) = comparison.same(&server, &engine) {
            self.differ(
                &format!("{why}: {}", text(words)),
                &print(&server),
                &print(&engine),
            );
            return;
        }
        match comparison {
            Comparison::RandomChoice { listing, distinct } => {
                let all = self.pairs[pair].client.send(&listing);
                let (chosen, all) = (leaves(&engine), leaves(&all));
                let known: BTreeSet<_> = all.iter().collect();
                if !chosen.iter().all(|one| known.contains(one))
                    && !matches!(engine, Value::Error(_))
                {
                    self.differ(
                        &format!("not a member: {}", text(words)),
                        &format!("{all:?}"),
                        &format!("{chosen:?}"),
                    );
                } else if distinct && chosen.iter().collect::<BTreeSet<_>>().len() != chosen.len() {
                    self.differ(
                        &format!("not distinct: {}", text(words)),
                        &format!("{all:?}"),
                        &format!("{chosen:?}"),
                    );
                }
            }
            Comparison::RandomRemoval if !matches!(server, Value::Error(_)) => {
                // Each side took other members: give the engine the server's choice.
                let key = &words[1];
                for (name, members) in [("SADD", leaves(&engine)), ("SREM", leaves(&server))] {
                    let exists = self.engine(pair, &vec![b"EXISTS".to_vec(), key.clone()]);
                    if !members.is_empty() && exists == Value::Integer(1) {
                        let mut repair = vec![name.as_bytes().to_vec(), key.clone()];
                        repair.extend(members);
                        self.engine(pair, &repair);
                    }
                }
            }
            _ => {}
        }
    }

    /// Ranges by text over different scores are not defined; in its large form the server's answer
    /// depends on random heights.
    fn is_undefined(&mut self, pair: usize, words: &Words) -> bool {
        let by_text = |word: &Vec<u8>| {
            word.to_ascii_lowercase().ends_with(b"lex") || word.eq_ignore_ascii_case(b"ZLEXCOUNT")
        };
        let client = &mut self.pairs[pair].client;
        words.iter().any(by_text)
            && words.iter().skip(1).take(2).any(|key| {
                let encoding = client.send(&[b"OBJECT", &b"ENCODING"[..], key]);
                encoding == Value::Bulk(b"skiplist".to_vec())
            })
    }

    /// Goes on with an iteration whose first reply is there, and joins what it yields.
    fn iterate(
        &mut self,
        words: &Words,
        place: usize,
        first: Value,
        mut send: impl FnMut(&mut Self, &Words) -> Value,
    ) -> Value {
        let mut all = Vec::new();
        let mut reply = first;
        loop {
            let Value::Array(mut parts) = reply else {
                return reply;
            };
            let (Some(Value::Array(elements)), Some(Value::Bulk(cursor))) =
                (parts.pop(), parts.pop())
            else {
                return Value::Error(b"no cursor".to_vec());
            };
            all.extend(elements);
            if cursor == b"0" {
                return Value::Array(all);
            }
            let mut words = words.clone();
            words[place] = cursor;
            reply = send(self, &words);
        }
    }

    /// Session 0 watches keys, session 1 perhaps changes something, session 0 runs a transaction.
    fn transaction(&mut self) {
        let keys: Vec<Vec<u8>> = (0..self.random.below(3))
            .map(|_| {
                generator::command(&mut self.random, now())
                    .get(1)
                    .cloned()
                    .unwrap_or_default()
            })
            .collect();
        if !keys.is_empty() {
            let mut watch = vec![b"WATCH".to_vec()];
            watch.extend(keys.iter().cloned());
            self.history.push(format!("[0] {}", text(&watch)));
            self.pairs[0].client.send(&watch);
            for key in &keys {
                self.engine
                    .watch(&mut self.pairs[0].session, key, UnixMillis(now()));
            }
        }
        for _ in 0..self.random.below(4) {
            let words = generator::command(&mut self.random, now());
            let pair = self.random.below(2);
            self.step(pair, &words);
        }
        if self.random.percent(10) {
            self.pairs[0].client.send(&["UNWATCH"]);
            self.engine.unwatch(&mut self.pairs[0].session);
            self.history.push("[0] UNWATCH".to_owned());
        }
        let mut queued = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            let words = generator::command(&mut self.random, now());
            let fits = keyward_commands::resolve(&words)
                .is_ok_and(|id| supports(id) && id.command().arity_fits(words.len()));
            let plain = matches!(Comparison::of(&words), Comparison::Exact)
                && !words[0].eq_ignore_ascii_case(b"DBSIZE")
                && !self.is_undefined(0, &words);
            if fits && plain {
                queued.push(words);
            }
        }
        let client = &mut self.pairs[0].client;
        client.send(&["MULTI"]);
        for words in &queued {
            client.send(words);
            self.history.push(format!("[0] queued {}", text(words)));
        }
        let server = client.send(&["EXEC"]);
        let mut out = Vec::new();
        let Self {
            engine,
            pairs,
            random,
            ..
        } = self;
        let commands: Vec<_> = queued
            .iter()
            .map(|words| (keyward_commands::resolve(words).unwrap(), words))
            .collect();
        let _ = engine.transaction(
            &mut pairs[0].session,
            commands.into_iter(),
            UnixMillis(now()),
            &mut || random.draw(),
            &mut out,
        );
        let engine = whole(&out);
        *self.counts.entry("EXEC".to_owned()).or_default() += 1;
        if let Err(why) = Comparison::Exact.same(&server, &engine) {
            self.differ(&format!("{why}: EXEC"), &print(&server), &print(&engine));
        }
    }

    /// Compares every key of the selected keyspace with its value and deadline.
    fn contents(&mut self) {
        let words = |text: &str| -> Words { text.split(' ').map(|w| w.into()).collect() };
        self.step(0, &words("KEYS *"));
        let Value::Array(keys) = self.pairs[0].client.send(&["KEYS", "*"]) else {
            return;
        };
        for key in leaves(&Value::Array(keys)) {
            for command in ["TYPE", "PEXPIRETIME", "GET", "HGETALL", "SMEMBERS"] {
                self.step(0, &vec![command.as_bytes().to_vec(), key.clone()]);
            }
            for command in ["LRANGE", "ZRANGE", "ZREVRANGE"] {
                let mut words = words(&format!("{command} key 0 -1 WITHSCORES"));
                words[1] = key.clone();
                if command == "LRANGE" {
                    words.pop();
                }
                self.step(0, &words);
            }
        }
    }

    fn run(&mut self, commands: usize) {
        for number in 0..commands {
            if self.differences.len() >= MAX_DIFFERENCES {
                break;
            }
            if number % FLUSH_EVERY == FLUSH_EVERY - 1 {
                self.flush();
            }
            if number % CONTENTS_EVERY == CONTENTS_EVERY - 1 {
                self.contents();
            }
            match self.random.below(100) {
                0..=2 => self.transaction(),
                3 if self.random.percent(20) => self.short_life(),
                _ => {
                    let words = generator::command(&mut self.random, now());
                    let pair = usize::from(self.random.percent(10));
                    self.step(pair, &words);
                }
            }
        }
    }

    /// A key that ends soon, and both sides after its end.
    fn short_life(&mut self) {
        let key = generator::command(&mut self.random, now())
            .get(1)
            .cloned()
            .unwrap_or_default();
        self.step(0, &vec![b"PEXPIRE".to_vec(), key.clone(), b"5".to_vec()]);
        std::thread::sleep(Duration::from_millis(15));
        self.step(0, &vec![b"EXISTS".to_vec(), key]);
    }
}

/// A reply for people.
fn print(value: &Value) -> String {
    match value {
        Value::Simple(text) => format!("+{}", text.escape_ascii()),
        Value::Error(text) => format!("-{}", text.escape_ascii()),
        Value::Bulk(text) => format!("\"{}\"", text.escape_ascii()),
        Value::Array(all) => format!("[{}]", all.iter().map(print).collect::<Vec<_>>().join(", ")),
        Value::Set(all) => format!(
            "~[{}]",
            all.iter().map(print).collect::<Vec<_>>().join(", ")
        ),
        other => format!("{other:?}"),
    }
}

fn whole(bytes: &[u8]) -> Value {
    match Value::decode(bytes) {
        Ok(Some((value, len))) if len == bytes.len() => value,
        other => panic!(
            "not one reply: {other:?} in {:?}",
            String::from_utf8_lossy(bytes)
        ),
    }
}

fn text(words: &Words) -> String {
    let words = words.iter().map(|word| word.escape_ascii().to_string());
    words
        .map(|word| {
            if word.is_empty() {
                "\"\"".to_owned()
            } else {
                word
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn replies_equal(protocol: Protocol) {
    let seed = setting("KEYWARD_DIFFERENTIAL_SEED", SEED);
    let commands = setting("KEYWARD_DIFFERENTIAL_COMMANDS", COMMANDS as u64) as usize;
    let server = Server::start(ServerKind::Valkey);
    let mut bench = Bench::new(&server, protocol, seed);
    println!("KEYWARD_DIFFERENTIAL_SEED={seed}");
    bench.run(commands);
    let total: usize = bench.counts.values().sum();
    println!(
        "{protocol:?}: {total} commands, {} different ones, {} error replies, {} differences",
        bench.counts.len(),
        bench.errors,
        bench.differences.len(),
    );
    assert!(
        bench.differences.is_empty(),
        "KEYWARD_DIFFERENTIAL_SEED={seed} {protocol:?}\n{}",
        bench.differences.join("\n\n")
    );
}

/// A command that nothing is compared for would be a claim without proof.
#[test]
fn every_supported_command_is_generated() {
    // The text of INFO is each server's own.
    let mut missing: Vec<_> = keyward_engine::supported()
        .filter(|name| *name != "info")
        .collect();
    missing.retain(|name| {
        let words = name.to_uppercase().replace('|', " ");
        !generator::FORMS
            .iter()
            .any(|form| form.words == words || form.words.starts_with(&format!("{words} ")))
    });
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn replies_equal_the_servers_in_resp2() {
    replies_equal(Protocol::Resp2);
}

#[test]
fn replies_equal_the_servers_in_resp3() {
    replies_equal(Protocol::Resp3);
}
