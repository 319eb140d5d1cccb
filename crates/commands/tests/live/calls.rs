//! Calls at random, from the argument trees of the servers.

use crate::server::ServerKind;
use serde_json::Value;
use std::collections::BTreeMap;

/// What kind of calls.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Mode {
    /// As the argument tree has it, with keys that are no words of the grammar.
    Plain,
    /// Keys and other free words may be option words; options may come twice.
    Tricky,
    /// Tricky calls with words dropped, doubled, swapped or replaced.
    Malformed,
    /// Words of the command's own grammar, numbers and keys in any order.
    Soup,
}

/// Names of keys: there is one of each type, the rest does not exist.
const KEYS: [&str; 10] = [
    "string", "list", "set", "zset", "hash", "stream", "geo", "int", "none", "nil",
];

/// Words of grammars, as names of keys and the like.
const OPTIONS: [&str; 17] = [
    "store",
    "STOREDIST",
    "by",
    "get",
    "LIMIT",
    "streams",
    "STREAMS",
    "group",
    "count",
    "block",
    "keys",
    "auth",
    "GET",
    "copy",
    "noack",
    "desc",
    "withdist",
];

impl Mode {
    pub(crate) const ALL: [Self; 4] = [Self::Plain, Self::Tricky, Self::Malformed, Self::Soup];
}

pub(crate) struct Calls {
    rows: BTreeMap<String, Value>,
    seed: u64,
    state: u64,
}

/// A call as a person reads it.
pub(crate) fn as_text(call: &[Vec<u8>]) -> String {
    let word = |word: &Vec<u8>| match word.is_empty() {
        true => "\"\"".to_owned(),
        false => String::from_utf8_lossy(word).into_owned(),
    };
    call.iter().map(word).collect::<Vec<_>>().join(" ")
}

impl Calls {
    pub(crate) fn new(kind: ServerKind) -> Self {
        let text = match kind {
            ServerKind::Valkey => include_str!("../../data/valkey-9.jsonl"),
            ServerKind::Redis => include_str!("../../data/redis-7.jsonl"),
        };
        let rows = text.lines().skip(1).map(|line| {
            let row: Value = serde_json::from_str(line).expect("a line of the data file");
            (row["name"].as_str().expect("a name").to_owned(), row)
        });
        let seed = match std::env::var("KEYWARD_SEED") {
            Ok(text) => text.parse().expect("KEYWARD_SEED"),
            Err(_) => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                now.expect("after 1970").as_nanos() as u64 | 1
            }
        };
        eprintln!("{kind}: KEYWARD_SEED={seed}"); // shown when the test fails
        Self {
            rows: rows.collect(),
            seed,
            state: seed,
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Every command that can run, by the catalogue's name.
    pub(crate) fn commands(&self) -> Vec<String> {
        let runs = |row: &&Value| {
            row["container"].as_bool() != Some(true) || row["arity"].as_i64() == Some(-1)
        };
        self.rows
            .values()
            .filter(runs)
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A number below `limit` (xorshift64*).
    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// One call.
    pub(crate) fn call(&mut self, name: &str, mode: Mode) -> Vec<Vec<u8>> {
        let row = self.rows[name].clone();
        if mode == Mode::Soup {
            return self.soup(name, &row);
        }
        let arity = row["arity"].as_i64().expect("an arity");
        let mut words: Vec<String> = Vec::new();
        for _ in 0..20 {
            words = name.split('|').map(str::to_owned).collect();
            let mut number = None;
            let arguments = row["arguments"].as_array().cloned().unwrap_or_default();
            for argument in &arguments {
                self.argument(argument, mode, &mut words, &mut number);
            }
            // The trees of some commands allow fewer words than the command does.
            let count = words.len() as i64;
            if if arity < 0 {
                count >= -arity
            } else {
                count == arity
            } {
                break;
            }
        }
        let mut words: Vec<Vec<u8>> = words.into_iter().map(String::into_bytes).collect();
        if mode == Mode::Malformed {
            for _ in 0..1 + self.below(3) {
                self.spoil(&mut words, name.split('|').count());
            }
        }
        words
    }

    fn soup(&mut self, name: &str, row: &Value) -> Vec<Vec<u8>> {
        let mut tokens = Vec::new();
        let mut stack = vec![&row["arguments"]];
        while let Some(arguments) = stack.pop() {
            for argument in arguments.as_array().into_iter().flatten() {
                tokens.extend(argument["token"].as_str().filter(|token| !token.is_empty()));
                stack.push(&argument["arguments"]);
            }
        }
        let least = row["arity"].as_i64().expect("an arity").unsigned_abs() as usize;
        let mut words: Vec<Vec<u8>> = name.split('|').map(|word| word.into()).collect();
        let more = if row["arity"].as_i64() < Some(0) {
            self.below(8)
        } else {
            0
        };
        while words.len() < least + more {
            let word = match self.below(4) {
                0 if !tokens.is_empty() => self.pick(&tokens),
                1 => self.pick(&["", "0", "1", "2", "3", "-1", "01", "+1", "1.5", "*", "x"]),
                2 => self.pick(&OPTIONS),
                _ => self.pick(&KEYS),
            };
            words.push(word.into());
        }
        words
    }

    fn spoil(&mut self, words: &mut Vec<Vec<u8>>, fixed: usize) {
        if words.len() <= fixed {
            return;
        }
        let at = fixed + self.below(words.len() - fixed);
        let other = fixed + self.below(words.len() - fixed);
        match self.below(5) {
            0 => drop(words.remove(at)),
            1 => words.insert(at, words[other].clone()),
            2 => words.swap(at, other),
            3 => words[at] = self.pick(&OPTIONS).into(),
            _ => {
                words[at] = self
                    .pick(&["", "0", "1", "-1", "3", "01", "99999999999", "x"])
                    .into()
            }
        }
    }

    /// Adds an argument. `number` is the word that tells how many repetitions the next repeated
    /// argument has.
    fn argument(
        &mut self,
        argument: &Value,
        mode: Mode,
        words: &mut Vec<String>,
        number: &mut Option<usize>,
    ) {
        let flag = |flag| {
            argument["flags"]
                .as_array()
                .is_some_and(|all| all.contains(&flag))
        };
        let flag = |name: &str| flag(Value::from(name));
        if flag("optional") && self.chance(55) {
            return;
        }
        // An option may come twice where nobody wrote the grammar for it.
        let twice = mode != Mode::Plain && flag("optional") && self.chance(15);
        for _ in 0..1 + usize::from(twice) {
            let times = match flag("multiple") {
                true => 1 + self.below(3),
                false => 1,
            };
            if flag("multiple")
                && let Some(at) = number.take()
            {
                words[at] = times.to_string();
            }
            for time in 0..times {
                let token = argument["token"].as_str();
                let pure = argument["type"] == "pure-token";
                if let Some(token) = token
                    && (pure || time == 0 || flag("multiple_token"))
                {
                    words.push(match self.chance(50) {
                        true => token.to_owned(),
                        false => token.to_ascii_lowercase(),
                    });
                }
                if !pure {
                    self.value(argument, mode, words, number);
                }
            }
        }
    }

    fn value(
        &mut self,
        argument: &Value,
        mode: Mode,
        words: &mut Vec<String>,
        number: &mut Option<usize>,
    ) {
        let name = argument["name"].as_str().expect("a name");
        let empty = Vec::new();
        let below = argument["arguments"].as_array().unwrap_or(&empty);
        let odd = mode != Mode::Plain;
        match argument["type"].as_str().expect("a type") {
            "block" if name == "streams" => {
                let times = 1 + self.below(3);
                for _ in 0..times {
                    let key = self.key(odd);
                    words.push(key);
                }
                for _ in 0..times {
                    words.push(self.pick(&["0", "0-0", ">", "$"]).to_owned());
                }
            }
            "block" => {
                for argument in below {
                    self.argument(argument, mode, words, number);
                }
            }
            "oneof" => {
                let at = self.below(below.len());
                self.argument(&below[at], mode, words, number);
            }
            "key" => {
                let key = self.key(odd);
                words.push(key);
            }
            "integer" if name.starts_with("num") => {
                *number = Some(words.len());
                words.push("1".to_owned());
            }
            "integer" | "double" => {
                // Databases, counts, offsets, times: small, and mostly valid.
                words.push(self.pick(&["0", "1", "1", "2", "5", "1"]).to_owned());
            }
            "unix-time" => words.push(self.pick(&["1", "9999999999"]).to_owned()),
            "pattern" => words.push(self.pick(&["*", "w_*", "nosort", "#", "x"]).to_owned()),
            _ if name == "encoding" => words.push("u8".to_owned()),
            _ if odd && self.chance(30) => words.push(self.pick(&OPTIONS).to_owned()),
            _ => {
                let plain = ["a", "b", "f", "m1", "1", "0", "-", "+", "[a", "(b", "g"];
                words.push(self.pick(&plain).to_owned());
            }
        }
    }

    fn key(&mut self, odd: bool) -> String {
        if odd && self.chance(40) {
            return self.pick(&OPTIONS).to_owned();
        }
        self.pick(&KEYS).to_owned()
    }

    /// Calls that fill the keys so that some calls of this command succeed: those named after a
    /// type have it, and those named after options have the type that the command works on.
    pub(crate) fn prepare(&mut self, name: &str) -> Vec<Vec<Vec<u8>>> {
        let group = self.rows[name]["group"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let group = match name {
            "sort" | "move" | "copy" => "list",
            _ => &group,
        };
        let mut calls: Vec<String> = KEYS.iter().flat_map(|key| fill(key, key)).collect();
        for key in OPTIONS {
            // Half of them: some destinations exist, some do not.
            if self.chance(50) {
                calls.extend(fill(key, group));
            }
        }
        // Groups may have the name of an option as well.
        for key in OPTIONS
            .iter()
            .chain(&["stream"])
            .take(usize::from(group == "stream") * 18)
        {
            calls.push(format!("xgroup create {key} g 0"));
        }
        calls
            .iter()
            .map(|call| call.split(' ').map(|word| word.into()).collect())
            .collect()
    }

    /// Calls that make every key a stream with two groups, one of them named after an option.
    pub(crate) fn streams(&mut self) -> Vec<Vec<Vec<u8>>> {
        let group = self.pick(&OPTIONS);
        let keys = KEYS.iter().chain(&OPTIONS);
        let calls = keys.flat_map(|key| {
            [
                format!("xadd {key} 1-1 f v"),
                format!("xgroup create {key} {group} 0"),
                format!("xgroup create {key} g 0"),
            ]
        });
        calls
            .map(|call| call.split(' ').map(|word| word.into()).collect())
            .collect()
    }
}

/// Calls that make a key of a type, or of a group of commands.
fn fill(key: &str, kind: &str) -> Vec<String> {
    match kind {
        "string" | "bitmap" | "generic" | "hyperloglog" => vec![format!("set {key} 12")],
        "int" => vec![format!("set {key} 5")],
        "list" => vec![format!("rpush {key} 1 2 a b")],
        "set" => vec![format!("sadd {key} 1 2 a b")],
        "zset" | "sorted-set" => vec![format!("zadd {key} 1 a 2 b 3 m1")],
        "hash" => vec![format!("hset {key} a 1 b 2 f 3")],
        "stream" => vec![format!("xadd {key} 1-1 f v"), format!("xadd {key} 2-1 f v")],
        "geo" => vec![format!("geoadd {key} 1 1 a 1 1 b 0 0 m1")],
        _ => Vec::new(),
    }
}
