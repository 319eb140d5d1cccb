//! Calls at random, from the argument trees of the servers.

use crate::server::ServerKind;
use keyward_test_cases::{Random, setting};
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
    /// A form that somebody thought of who wants a key to be overlooked; tricky where there is none.
    Formed,
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
    pub(crate) const ALL: [Self; 5] = [
        Self::Plain,
        Self::Tricky,
        Self::Malformed,
        Self::Soup,
        Self::Formed,
    ];
}

/// Numbers as servers read some and refuse others: signs, zeros, blanks, ends of types.
const NUMBERS: [&str; 28] = [
    "0",
    "1",
    "1",
    "1",
    "2",
    "2",
    "3",
    "-1",
    "-0",
    "01",
    "+1",
    "002",
    " 1",
    "1 ",
    "\t1",
    "1.0",
    "1e0",
    "0x1",
    "",
    "x",
    "2147483647",
    "2147483648",
    "4294967297",
    "-4294967295",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551617",
    "99999999999999999999",
];

/// Names of keys that are bytes, and not text.
const BINARY: [&[u8]; 5] = [b"", b"\xff\xfe", b"\x00", b"a\r\nb", b"\xc3\x28{x}"];

/// Forms of irregular commands. `K`: a key, an option word or bytes; `N`: a number, mostly a small
/// one; `P`: a pattern; `W`: any word; `?` after a word: perhaps; `*`: not at all or several times.
const FORMS: [&str; 119] = [
    "sort K BY P GET P* STORE K",
    "sort K STORE K STORE K",
    "sort K STORE K BY STORE GET STORE",
    "sort K GET STORE K LIMIT N N? STORE K",
    "sort K BY nosort GET # DESC? ALPHA? STORE K?",
    "sort K LIMIT STORE K STORE K?",
    "sort K W* STORE K W*",
    "sort_ro K BY P GET P* LIMIT N N DESC?",
    "sort_ro K STORE K",
    "sort_ro K GET STORE GET K",
    "georadius K 0 0 1 m STORE K STORE K",
    "georadius K 0 0 1 m STORE K STOREDIST K",
    "georadius K 0 0 1 m COUNT STORE K STORE K?",
    "georadius K 0 0 1 m COUNT N ANY? W* STOREDIST K W*",
    "georadius K 0 0 STORE m STORE K",
    "georadius_ro K 0 0 1 m W* STORE K",
    "georadiusbymember K m1 1 m STORE K STORE K?",
    "georadiusbymember K STORE 1 m STOREDIST K",
    "georadiusbymember K m1 1 m W* STORE K W*",
    "georadiusbymember_ro K STORE 1 m W* STORE K?",
    "geosearchstore K K FROMMEMBER m1 BYRADIUS 1 m STOREDIST?",
    "geosearchstore K K FROMLONLAT 0 0 BYBOX 1 1 m W*",
    "geosearch K FROMMEMBER STORE BYRADIUS 1 m W*",
    "xread STREAMS K K 0 0",
    "xread COUNT N STREAMS K 0",
    "xread COUNT STREAMS K 0",
    "xread COUNT STREAMS STREAMS K 0",
    "xread BLOCK STREAMS STREAMS K K 0 0",
    "xread BLOCK N COUNT N STREAMS K* 0*",
    "xread STREAMS STREAMS STREAMS K 0 0 0",
    "xread STREAMS K STREAMS 0",
    "xread W* STREAMS K* W*",
    "xreadgroup GROUP g c STREAMS K >",
    "xreadgroup GROUP STREAMS c STREAMS K >",
    "xreadgroup GROUP g STREAMS STREAMS K >",
    "xreadgroup GROUP STREAMS STREAMS STREAMS K >",
    "xreadgroup GROUP g c NOACK? COUNT N BLOCK N STREAMS K* >*",
    "xreadgroup GROUP g c CLAIM N STREAMS K >",
    "xreadgroup COUNT STREAMS GROUP g c STREAMS K 0",
    "xreadgroup BLOCK N GROUP g c W* STREAMS K K > >",
    "xreadgroup GROUP g c GROUP g c STREAMS K >",
    "xreadgroup NOACK STREAMS GROUP g c STREAMS K 0",
    "migrate h 1 K 0 5",
    "migrate h 1 \"\" 0 5 KEYS K K*",
    "migrate h 1 K 0 5 KEYS K",
    "migrate h 1 \"\" 0 5 COPY REPLACE KEYS K*",
    "migrate h 1 \"\" 0 5 AUTH KEYS KEYS K K",
    "migrate h 1 \"\" 0 5 AUTH2 KEYS KEYS KEYS K",
    "migrate h 1 \"\" 0 5 AUTH2 u KEYS KEYS K",
    "migrate h 1 \"\" KEYS 5 KEYS K",
    "migrate h 1 \"\" 0 5 W* KEYS K*",
    "eval x N K*",
    "eval x N K K K",
    "eval_ro x N K* W*",
    "evalsha x N K K",
    "evalsha_ro x N K*",
    "fcall f N K*",
    "fcall_ro f N K K W*",
    "zunionstore K N K*",
    "zunionstore K N K K WEIGHTS 1 1 AGGREGATE? MAX?",
    "zunionstore K N K K W*",
    "zinterstore K N K K W*",
    "zdiffstore K N K*",
    "zrangestore K K 0 -1 W*",
    "zunion N K K WITHSCORES?",
    "zinter N K* WITHSCORES?",
    "zdiff N K* WITHSCORES?",
    "zintercard N K* LIMIT N",
    "sintercard N K* LIMIT N",
    "sintercard N K K LIMIT K",
    "lmpop N K* LEFT COUNT N",
    "lmpop N K* LEFT? W*",
    "blmpop 0.01 N K* LEFT COUNT N",
    "blmpop N N K* RIGHT",
    "zmpop N K* MIN COUNT N",
    "bzmpop 0.01 N K* MAX W*",
    "blpop K* 0.01",
    "bzpopmin K K* 0.01",
    "blmove K K LEFT RIGHT 0.01",
    "object encoding K",
    "object freq K W*",
    "memory usage K SAMPLES N",
    "memory usage K SAMPLES K",
    "memory usage K W* SAMPLES K",
    "bitfield K GET u8 N SET u8 N N INCRBY u8 N N",
    "bitfield K OVERFLOW SAT W*",
    "bitfield K GET u8 0 GET u8",
    "bitfield K GET u8 0 OVERFLOW FAIL SET u8 0 1",
    "bitfield K SET u8 SET u8",
    "bitfield_ro K GET u8 0 W*",
    "bitop AND K K K*",
    "bitop NOT K K",
    "set K v GET",
    "set K v W* GET W*",
    "set K GET GET",
    "set K v NX GET EX N",
    "set K v IFEQ GET GET?",
    "set K v EX GET KEEPTTL",
    "copy K K DB N",
    "copy K K DB N REPLACE",
    "copy K K REPLACE DB K DB N",
    "copy K K W*",
    "move K N",
    "hsetex K N FIELDS N f v FVS?",
    "hsetex K FXX? EX N FIELDS N f v",
    "hgetex K PERSIST FIELDS N f f",
    "hgetex K EX N FIELDS N f*",
    "hexpire K N NX? FIELDS N f*",
    "hpexpireat K N FIELDS N f W*",
    "httl K FIELDS N f*",
    "hgetdel K FIELDS N f*",
    "hpersist K FIELDS N f f",
    "mset K v K v",
    "mset K v K",
    "msetex N K v K v NX? EX? N?",
    "msetnx K v K v",
    "pfmerge K K*",
    "pfcount K K*",
    "xautoclaim K g c 0 0 COUNT N JUSTID?",
];

pub(crate) struct Calls {
    rows: BTreeMap<String, Value>,
    seed: u64,
    random: Random,
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
        // The same each time: a failure belongs to the change that is tested.
        let seed = setting("KEYWARD_SEED", 9);
        eprintln!("{kind}: KEYWARD_SEED={seed}"); // shown when the test fails
        Self {
            rows: rows.collect(),
            seed,
            random: Random::new(seed),
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

    /// One call.
    pub(crate) fn call(&mut self, name: &str, mode: Mode) -> Vec<Vec<u8>> {
        let row = self.rows[name].clone();
        if mode == Mode::Soup {
            return self.soup(name, &row);
        }
        if mode == Mode::Formed {
            if let Some(call) = self.formed(name) {
                return call;
            }
            return self.call(name, Mode::Tricky);
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
            for _ in 0..1 + self.random.below(3) {
                self.spoil(&mut words, name.split('|').count());
            }
        }
        words
    }

    /// A call of one of the forms that there are for a command.
    fn formed(&mut self, name: &str) -> Option<Vec<Vec<u8>>> {
        let spoken = name.replace('|', " ");
        let of_command = |form: &&&str| {
            let rest = form.strip_prefix(&*spoken);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        let forms: Vec<&str> = FORMS.iter().filter(of_command).copied().collect();
        if forms.is_empty() {
            return None;
        }
        let form = self.random.pick(&forms);
        let options: Vec<&str> = form
            .split(' ')
            .skip(1)
            .map(|word| word.trim_end_matches(['?', '*']))
            .filter(|word| word.len() > 1 && word.bytes().all(|b| b.is_ascii_uppercase()))
            .collect();
        let fixed = spoken.split(' ').count();
        let mut words: Vec<Vec<u8>> = Vec::new();
        for (at, word) in form.split(' ').enumerate() {
            let (word, times) = match word {
                word if at < fixed => (word, 1),
                "*" | "?" => (word, 1),
                word => match word.as_bytes().last() {
                    Some(b'?') => (&word[..word.len() - 1], self.random.below(2)),
                    Some(b'*') => (&word[..word.len() - 1], self.random.below(4)),
                    _ => (word, 1),
                },
            };
            for _ in 0..times {
                let mut next = self.of_form(word, &options);
                if self.random.percent(40) {
                    next.make_ascii_lowercase();
                }
                words.push(next);
            }
        }
        let row = &self.rows[name];
        let least = row["arity"].as_i64().expect("an arity").unsigned_abs() as usize;
        while words.len() < least {
            words.push(b"K".to_vec());
        }
        if self.random.percent(25) {
            self.spoil(&mut words, fixed);
        }
        Some(words)
    }

    fn of_form(&mut self, word: &str, options: &[&str]) -> Vec<u8> {
        match word {
            "\"\"" => Vec::new(),
            "K" => match self.random.below(8) {
                0 if !options.is_empty() => self.random.pick(options).into(),
                1 => self.random.pick(&OPTIONS).into(),
                2 => BINARY[self.random.below(BINARY.len())].to_vec(),
                _ => self.random.pick(&KEYS).into(),
            },
            "N" if self.random.percent(60) => self.random.pick(&["1", "2", "3"]).into(),
            "N" => self.random.pick(&NUMBERS).into(),
            "P" => self
                .random
                .pick(&["*", "w_*", "nosort", "#", "h*->f", "store", "get"])
                .into(),
            "W" if !options.is_empty() && self.random.percent(50) => {
                self.random.pick(options).into()
            }
            "W" if self.random.percent(40) => self.random.pick(&NUMBERS).into(),
            "W" => self.random.pick(&OPTIONS).into(),
            word => word.into(),
        }
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
            self.random.below(8)
        } else {
            0
        };
        while words.len() < least + more {
            let word = match self.random.below(4) {
                0 if !tokens.is_empty() => self.random.pick(&tokens),
                1 if self.random.percent(30) => self.random.pick(&NUMBERS),
                1 => self
                    .random
                    .pick(&["", "0", "1", "2", "3", "-1", "01", "+1", "1.5", "*", "x"]),
                2 => self.random.pick(&OPTIONS),
                _ => self.random.pick(&KEYS),
            };
            words.push(word.into());
        }
        words
    }

    fn spoil(&mut self, words: &mut Vec<Vec<u8>>, fixed: usize) {
        if words.len() <= fixed {
            return;
        }
        let at = fixed + self.random.below(words.len() - fixed);
        let other = fixed + self.random.below(words.len() - fixed);
        match self.random.below(7) {
            5 => words[at] = self.random.pick(&NUMBERS).into(),
            6 => words[at] = BINARY[self.random.below(BINARY.len())].to_vec(),
            0 => drop(words.remove(at)),
            1 => words.insert(at, words[other].clone()),
            2 => words.swap(at, other),
            3 => words[at] = self.random.pick(&OPTIONS).into(),
            _ => {
                words[at] = self
                    .random
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
        if flag("optional") && self.random.percent(55) {
            return;
        }
        // An option may come twice where nobody wrote the grammar for it.
        let twice = mode != Mode::Plain && flag("optional") && self.random.percent(15);
        for _ in 0..1 + usize::from(twice) {
            let times = match flag("multiple") {
                true => 1 + self.random.below(3),
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
                    words.push(match self.random.percent(50) {
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
                let times = 1 + self.random.below(3);
                for _ in 0..times {
                    let key = self.key(odd);
                    words.push(key);
                }
                for _ in 0..times {
                    words.push(self.random.pick(&["0", "0-0", ">", "$"]).to_owned());
                }
            }
            "block" => {
                for argument in below {
                    self.argument(argument, mode, words, number);
                }
            }
            "oneof" => {
                let at = self.random.below(below.len());
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
                words.push(self.random.pick(&["0", "1", "1", "2", "5", "1"]).to_owned());
            }
            "unix-time" => words.push(self.random.pick(&["1", "9999999999"]).to_owned()),
            "pattern" => words.push(
                self.random
                    .pick(&["*", "w_*", "nosort", "#", "x"])
                    .to_owned(),
            ),
            _ if name == "encoding" => words.push("u8".to_owned()),
            _ if odd && self.random.percent(30) => {
                words.push(self.random.pick(&OPTIONS).to_owned())
            }
            _ => {
                let plain = ["a", "b", "f", "m1", "1", "0", "-", "+", "[a", "(b", "g"];
                words.push(self.random.pick(&plain).to_owned());
            }
        }
    }

    fn key(&mut self, odd: bool) -> String {
        if odd && self.random.percent(40) {
            return self.random.pick(&OPTIONS).to_owned();
        }
        self.random.pick(&KEYS).to_owned()
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
            if self.random.percent(50) {
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
        let group = self.random.pick(&OPTIONS);
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
