//! Our glob against the matchers of live servers: random patterns, sent as `KEYS <pattern>`, must
//! find exactly the keys that we say they match.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use keyward_policy::Glob;
use keyward_test_cases::Random;
use keyward_test_servers::{ServerKind, ServerProcess};

const ROUNDS: usize = 40;
const PATTERNS: usize = 250;
const KEYS: usize = 60;

#[test]
fn redis_7_agrees() {
    compare(ServerKind::Redis, 7);
}

#[test]
fn valkey_9_agrees() {
    compare(ServerKind::Valkey, 9);
}

fn compare(kind: ServerKind, seed: u64) {
    let mut server = Server::start(kind);
    let mut maker = Maker(Random::new(seed));
    let mut matched = 0;
    for _ in 0..ROUNDS {
        let keys: Vec<Vec<u8>> = (0..KEYS).map(|_| maker.key()).collect();
        let patterns: Vec<Vec<u8>> = (0..PATTERNS).map(|_| maker.pattern(&keys)).collect();
        server.send(&[b"FLUSHALL"]);
        let mset: Vec<&[u8]> = std::iter::once(&b"MSET"[..])
            .chain(keys.iter().flat_map(|key| [&key[..], b""]))
            .collect();
        server.send(&mset);
        for pattern in &patterns {
            server.send(&[b"KEYS", pattern]);
        }
        assert_eq!(server.line(), "+OK");
        assert_eq!(server.line(), "+OK");
        for pattern in &patterns {
            let mut theirs = server.array();
            theirs.sort();
            let glob = Glob::new(pattern);
            let mut ours: Vec<_> = keys
                .iter()
                .filter(|key| glob.matches(key))
                .cloned()
                .collect();
            ours.sort();
            ours.dedup();
            matched += ours.len();
            assert_eq!(shown(&ours), shown(&theirs), "{}", pattern.escape_ascii());
        }
    }
    // Else the patterns would prove little.
    assert!(matched > ROUNDS * PATTERNS, "only {matched} matches");
}

fn shown(keys: &[Vec<u8>]) -> Vec<String> {
    keys.iter()
        .map(|key| key.escape_ascii().to_string())
        .collect()
}

/// Makes keys and patterns.
struct Maker(Random);

impl Maker {
    fn of(&mut self, bytes: &[u8]) -> u8 {
        self.0.pick(bytes)
    }

    fn key(&mut self) -> Vec<u8> {
        let len = self.0.below(9);
        (0..len)
            .map(|_| self.of(b"aaabbcd:]^-\\*\0\x7f\x80\xe9\xff"))
            .collect()
    }

    /// Half of them anything, half of them a key with parts of it made wild.
    fn pattern(&mut self, keys: &[Vec<u8>]) -> Vec<u8> {
        if self.0.below(2) == 0 {
            let len = self.0.below(11);
            return (0..len)
                .map(|_| self.of(b"**??[[]]^^--\\\\aabcd:\0\x80\xff"))
                .collect();
        }
        let mut pattern = Vec::new();
        for &byte in &keys[self.0.below(keys.len())] {
            match self.0.below(9) {
                0 => pattern.push(b'?'),
                1 => pattern.push(b'*'),
                2 => pattern.extend([byte, b'*']),
                3 => pattern.extend([b'[', self.of(b"ab\\^"), byte, b']']),
                4 => pattern.extend([b'[', byte, b'-', self.of(b"az\x80\xff]"), b']']),
                5 => pattern.extend([b'[', b'^', self.of(b"ab-"), b']']),
                6 => pattern.extend([b'\\', byte]),
                _ => pattern.push(byte),
            }
        }
        pattern
    }
}

struct Server {
    _process: ServerProcess,
    input: BufReader<TcpStream>,
    output: TcpStream,
}

impl Server {
    fn start(kind: ServerKind) -> Self {
        let process = ServerProcess::start(kind, &[]);
        let output = TcpStream::connect((Ipv4Addr::LOCALHOST, process.port())).unwrap();
        output
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let input = BufReader::new(output.try_clone().unwrap());
        Self {
            _process: process,
            input,
            output,
        }
    }

    fn send(&mut self, words: &[&[u8]]) {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n", word.len()).into_bytes());
            request.extend_from_slice(word);
            request.extend(b"\r\n");
        }
        self.output.write_all(&request).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.input.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn count(&mut self, kind: char) -> usize {
        let line = self.line();
        line.strip_prefix(kind)
            .and_then(|n| n.parse().ok())
            .unwrap_or_else(|| panic!("{line}"))
    }

    fn array(&mut self) -> Vec<Vec<u8>> {
        let count = self.count('*');
        let mut values = Vec::new();
        for _ in 0..count {
            let mut value = vec![0; self.count('$') + 2];
            self.input.read_exact(&mut value).unwrap();
            value.truncate(value.len() - 2);
            values.push(value);
        }
        values
    }
}
