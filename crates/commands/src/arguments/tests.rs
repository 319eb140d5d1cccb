use super::*;
use crate::{resolve, touched};

const NOW: i64 = 1_000_000_000;

fn words(line: &str) -> Vec<Vec<u8>> {
    let word = |word: &str| {
        if word == "\"\"" {
            Vec::new()
        } else {
            word.into()
        }
    };
    line.split_whitespace().map(word).collect()
}

/// Every fact of a call, as the cases write it.
fn told(call: &[Vec<u8>]) -> String {
    let id = resolve(call).unwrap();
    let mut touch = Touched::default();
    if touched(id, call, &mut touch).is_err() {
        return "error".to_owned();
    }
    let limits = [
        ("ttl", ttl(id, call, NOW)),
        ("value", value_bytes(id, call)),
        ("blocking", blocking(id, call)),
        ("count", count(id, call)),
        ("keys", key_count(&touch)),
    ];
    let facts = limits.iter().filter_map(|(name, limit)| match limit {
        Limit::Absent => None,
        Limit::Infinite => Some(format!("{name} inf")),
        Limit::At(number) => Some(format!("{name} {number}")),
    });
    let script = script(id, call).map(|at| format!("script {at}"));
    facts.chain(script).collect::<Vec<_>>().join(", ")
}

/// The facts of a call in the order of [`told`].
fn in_order(expected: &str) -> String {
    let order = [
        "ttl", "value", "blocking", "count", "keys", "script", "error",
    ];
    let mut facts: Vec<&str> = expected
        .split(", ")
        .filter(|fact| !fact.is_empty())
        .collect();
    facts.sort_by_key(|fact| order.iter().position(|name| fact.starts_with(name)));
    facts.join(", ")
}

#[test]
fn arguments_are_those_of_the_cases() {
    let lines = include_str!("cases.txt").lines();
    let mut seen = 0;
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (call, expected) = line.split_once("=>").unwrap();
        assert_eq!(told(&words(call)), in_order(expected.trim()), "{call}");
        seen += 1;
    }
    assert!(seen > 150);
}

/// What a command cannot have, no call of it has; any words are read without a panic.
#[test]
fn a_command_has_only_what_it_can_have() {
    let pool = [
        "",
        "0",
        "1",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "99999999999999999999",
        "streams",
        "fields",
        "count",
        "limit",
        "ex",
        "bypolygon",
        "byscore",
        "block",
        "maxlen",
        "#9",
        "u64",
        "set",
        "1e9",
        "1e-999",
        ".",
        "group",
        "x",
    ];
    let mut state: u64 = 42;
    let mut below = |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % limit
    };
    for id in CommandId::all() {
        for _ in 0..200 {
            let mut call: Vec<&str> = id.command().name.split('|').collect();
            for _ in 0..below(9) {
                call.push(pool[below(pool.len())]);
            }
            let found = |limit: Limit| limit != Limit::Absent;
            let facts = [
                (Argument::Ttl, found(ttl(id, &call, NOW))),
                (Argument::ValueBytes, found(value_bytes(id, &call))),
                (Argument::Count, found(count(id, &call))),
                (Argument::Blocking, found(blocking(id, &call))),
                (Argument::Script, script(id, &call).is_some()),
            ];
            for (argument, has) in facts {
                assert!(!has || id.can_have(argument), "{argument:?}: {call:?}");
            }
            let mut touch = Touched::default();
            if touched(id, &call, &mut touch).is_ok() && found(key_count(&touch)) {
                assert!(id.can_have(Argument::KeyCount), "{call:?}");
            }
        }
    }
}

/// The servers' argument trees name no expiry, count or time out that the table does not have.
#[test]
fn the_table_has_every_argument_that_servers_name() {
    /// Numbers of these names that are no such limits.
    const OTHERS: &[&str] = &[
        "client|pause timeout",              // stops others
        "client|unblock timeout",            // a word
        "cluster|setslot timeout",           // administers
        "cluster|slot-stats limit",          // of slots
        "config|set value",                  // of no key
        "delifeq value",                     // compared
        "failover milliseconds",             // administers
        "function|restore serialized-value", // no script's text
        "lpos element",                      // searched
        "lrem element",                      // searched
        "memory|usage count",                // samples
        "migrate timeout",                   // of a connection to elsewhere
        "module|loadex value",               // of no key
        "pfadd element",                     // counted, not stored
        "xadd count",                        // effort of trimming
        "xclaim count",                      // of deliveries
        "xclaim unix-time-milliseconds",     // of deliveries
        "xtrim count",                       // effort of trimming
    ];
    let mut missing = std::collections::BTreeSet::new();
    for text in [
        include_str!("../../data/valkey-9.jsonl"),
        include_str!("../../data/redis-7.jsonl"),
    ] {
        for line in text.lines().skip(1) {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let name = row["name"].as_str().unwrap();
            let Some(id) = crate::by_name(name) else {
                continue;
            };
            let mut stack = vec![&row["arguments"]];
            while let Some(arguments) = stack.pop() {
                for argument in arguments.as_array().into_iter().flatten() {
                    stack.push(&argument["arguments"]);
                    let of = argument["name"].as_str().unwrap();
                    let fact = match of {
                        "seconds"
                        | "milliseconds"
                        | "unix-time-seconds"
                        | "unix-time-milliseconds"
                            if argument["token"].as_str() != Some("BLOCK") =>
                        {
                            Argument::Ttl
                        }
                        "timeout" | "milliseconds" => Argument::Blocking,
                        "count" | "num-matches" | "limit" => Argument::Count,
                        "script" | "function-code" => Argument::Script,
                        "value" | "element" | "serialized-value" => Argument::ValueBytes,
                        _ => continue,
                    };
                    if !id.can_have(fact) {
                        missing.insert(format!("{name} {of}"));
                    }
                }
            }
        }
    }
    assert_eq!(missing.iter().collect::<Vec<_>>(), OTHERS);
}

#[test]
fn an_expiry_that_is_over_deletes() {
    let cases = [
        ("EXPIRE k -1", Some("del")),
        ("EXPIRE k 0 NX", Some("del")),
        ("EXPIRE k 1", None),
        ("EXPIRE k -9223372036854775808", None), // the server refuses it
        ("EXPIRE k", None),
        ("PEXPIRE k -9223372036854775808", Some("del")),
        ("EXPIREAT k 1000000", Some("del")), // now
        ("EXPIREAT k 1000001", None),
        ("PEXPIREAT k -9223372036854775808", Some("del")),
        ("GETEX k EXAT 999999", Some("del")),
        ("GETEX k EX 0", None), // the server refuses it
        ("GETEX k PERSIST", None),
        ("HEXPIRE k 0 FIELDS 1 f", Some("hdel")),
        ("HGETEX k PXAT 1 FIELDS 1 f", Some("hdel")),
        ("SET k v EXAT 1", None), // replaces the value in any case
        ("DEL k", None),
    ];
    for (call, expected) in cases {
        let call = words(call);
        let found = expires_now(resolve(&call).unwrap(), &call, NOW);
        let found = found.map(|id| id.command().name);
        assert_eq!(
            found,
            expected,
            "{:?}",
            String::from_utf8_lossy(&call.join(&b' '))
        );
    }
}
