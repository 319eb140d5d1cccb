//! Prints what matching costs, in nanoseconds: `cargo run --release -p keyward-policy --example bench`.
//!
//! Each figure is the best of several rounds over many different keys, half of which match.

use std::hint::black_box;
use std::time::Instant;

use keyward_policy::{Glob, KeyIndex, KeyPatterns, KeyUse, PolicyKind, Touch, read};

const ROUNDS: usize = 15;

fn main() {
    println!("one check of one key, ns");
    for (name, form) in FORMS {
        for count in [1, 10, 100, 10_000] {
            one_key(name, *form, count);
        }
    }
    glob("prefix `session:*`", "session:*", b"session:12345678");
    glob(
        "general `user:*:cart`",
        "user:*:cart",
        b"user:12345678:cart",
    );
    let many = "*a".repeat(400);
    glob(
        "hostile `*a*a*a…b`, 4 KiB key",
        &(many + "b*"),
        &[b'a'; 4096],
    );
    glob(
        "hostile `*aaaa…b*`, 4 KiB key",
        &format!("*{}b*", "a".repeat(400)),
        &[b'a'; 4096],
    );
    several_keys();
    reader();
}

type Form = fn(usize) -> (String, String);

/// A pattern and a key that it matches.
const FORMS: &[(&str, Form)] = &[
    ("prefix  app:<n>:*", |i| {
        (format!("app:{i}:*"), format!("app:{i}:user:42"))
    }),
    ("exact   app:<n>", |i| {
        (format!("app:{i}"), format!("app:{i}"))
    }),
    ("suffix  *:lock:<n>", |i| {
        (format!("*:lock:{i}"), format!("job:lock:{i}"))
    }),
    ("both    user:*:<n>", |i| {
        (format!("user:*:{i}"), format!("user:abc:{i}"))
    }),
    ("middle  *:<n>:*", |i| {
        (format!("*:{i}:*"), format!("job:{i}:done"))
    }),
    ("class   t[0-9]:<n>:?*", |i| {
        (format!("t[0-9]:{i}:?*"), format!("t7:{i}:x"))
    }),
];

fn statements(form: Form, count: usize) -> Vec<KeyPatterns> {
    (0..count)
        .map(|i| KeyPatterns {
            keys: [Glob::new(form(i).0.as_bytes())].into(),
            ..KeyPatterns::default()
        })
        .collect()
}

fn one_key(name: &str, form: Form, count: usize) {
    let statements = statements(form, count);
    let all: Vec<&KeyPatterns> = statements.iter().collect();
    let index = KeyIndex::for_allow(&all);
    let keys: Vec<Vec<u8>> = (0..1000)
        .map(|i| {
            let (_, key) = form(i * 7919 % count);
            if i % 2 == 0 {
                key.into_bytes()
            } else {
                format!("{key}:").into_bytes()
            }
        })
        .collect();
    let allow = best(keys.len(), || {
        keys.iter()
            .filter(|key| index.matches_key(black_box(key), true, false))
            .count()
    });
    let touch = best(keys.len(), || {
        keys.iter()
            .filter(|key| {
                let keys = [KeyUse {
                    key,
                    reads: true,
                    writes: true,
                }];
                index.matches(black_box(&Touch::Named {
                    keys: &keys,
                    channels: &[],
                }))
            })
            .count()
    });
    println!(
        "{name:24} {count:6} patterns: matches_key {allow:8.1}  matches {touch:8.1}  bytes/pattern {:6}",
        index.heap_bytes() / count
    );
}

fn glob(name: &str, pattern: &str, key: &[u8]) {
    let glob = Glob::new(pattern.as_bytes());
    let ns = best(1, || usize::from(black_box(&glob).matches(black_box(key))));
    println!("glob {name}: {ns:.1}");
}

fn several_keys() {
    let statements = statements(FORMS[0].1, 10_000);
    let all: Vec<&KeyPatterns> = statements.iter().collect();
    let index = KeyIndex::for_allow(&all);
    let names: Vec<String> = (0..100).map(|i| format!("app:77:user:{i}")).collect();
    let keys: Vec<KeyUse<'_>> = names
        .iter()
        .map(|name| KeyUse {
            key: name.as_bytes(),
            reads: true,
            writes: false,
        })
        .collect();
    let touch = Touch::Named {
        keys: &keys,
        channels: &[],
    };
    let ns = best(1, || usize::from(index.matches(black_box(&touch))));
    println!("MGET of 100 keys, 10,000 patterns: {ns:.1}");
}

fn reader() {
    let statement = |i: usize| {
        format!(
            r#"{{"Sid":"s{i}","Effect":"Allow","Actions":["kvdb:@read","kvdb:ExecuteSet"],"Resources":["kvdb/db-{i}"],"Keys":["app:{i}:*"]}}"#
        )
    };
    let list: Vec<String> = (0..8_000).map(statement).collect();
    let text = format!("[{}]", list.join(","));
    let mut bytes = 0;
    let ns = best(1, || match read(&text, PolicyKind::Identity, "acme") {
        Ok(policy) => {
            bytes = policy.heap_bytes();
            policy.statements().len()
        }
        Err(findings) => panic!("{findings}"),
    });
    println!(
        "read {} bytes, {} statements: {:.1} ms; {} bytes a statement in memory, its text included",
        text.len(),
        list.len(),
        ns / 1e6,
        bytes / list.len()
    );
}

/// Nanoseconds an operation, the best of several rounds.
fn best(operations: usize, mut run: impl FnMut() -> usize) -> f64 {
    let once = {
        let start = Instant::now();
        black_box(run());
        start.elapsed().as_nanos().max(1)
    };
    let repeat = (20_000_000 / once).clamp(1, 1_000_000) as usize;
    let mut least = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..repeat {
            black_box(run());
        }
        let ns = start.elapsed().as_nanos() as f64 / (repeat * operations) as f64;
        least = least.min(ns);
    }
    least
}
