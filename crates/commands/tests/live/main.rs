//! Key extraction held against live servers: what they say a call's keys are, and which keys it
//! really changes.
//!
//! Calls are made at random from the servers' own argument trees; the seed is printed, and
//! `KEYWARD_SEED` repeats a run. `KEYWARD_ROUNDS` sets how many calls of each command are made.

#![expect(
    clippy::unwrap_used,
    reason = "a test says by panicking what went wrong"
)]

mod arguments;
mod calls;
mod server;

use calls::{Calls, Mode, as_text};
use keyward_commands::{
    CommandClass, CommandScope, Flags, KeyFlags, Scope, Touched, action, action_pattern, by_name,
    resolve, touched,
};
use keyward_test_cases::setting;
use server::{Reply, Server, ServerKind};

/// Calls of each command in each mode.
fn rounds() -> usize {
    setting("KEYWARD_ROUNDS", 40)
}

/// A key of a call and what happens to it.
type KeyUse = (Vec<u8>, KeyFlags);

/// What a server says the keys of a call are, or its error.
fn asked(reply: Reply) -> Result<Vec<KeyUse>, String> {
    match reply {
        Reply::Error(text) => Err(text),
        Reply::Array(keys) => Ok(keys
            .into_iter()
            .map(|pair| {
                let Reply::Array(pair) = pair else {
                    panic!("{pair:?}")
                };
                let [Reply::Bulk(key), Reply::Array(names)] = &pair[..] else {
                    panic!("{pair:?}")
                };
                let flags = names.iter().fold(KeyFlags::EMPTY, |flags, name| {
                    let name = String::from_utf8(name.bytes().to_vec()).unwrap();
                    flags.union(KeyFlags::by_name(&name).unwrap_or_else(|| panic!("{name}")))
                });
                (key.clone(), flags)
            })
            .collect()),
        other => panic!("{other:?}"),
    }
}

/// What we say, and whether the scope covers keys beyond them.
fn ours(call: &[Vec<u8>]) -> Result<(Vec<KeyUse>, bool), String> {
    let id = resolve(call).map_err(|error| error.to_string())?;
    let mut out = Touched::default();
    touched(id, call, &mut out).map_err(|error| error.to_string())?;
    let keys = out
        .keys
        .iter()
        .map(|key| (call[key.word as usize].clone(), key.flags))
        .collect();
    Ok((keys, matches!(out.scope, Scope::EveryKey { .. })))
}

/// Whether every key of `theirs` is among `ours`, with at least the same access.
fn covers(ours: &[KeyUse], theirs: &[KeyUse]) -> bool {
    theirs.iter().all(|(key, flags)| {
        ours.iter().any(|(known, ours)| {
            // No flags at all: the server did not go by its specifications.
            known == key && *flags == KeyFlags::EMPTY
                || known == key
                    && (ours.reads() || !flags.reads())
                    && (ours.writes() || !flags.writes())
        })
    })
}

/// Where a server is known to answer something else than what it executes, or than the others.
fn may_differ(kind: ServerKind, call: &[Vec<u8>]) -> bool {
    // Redis 7 says RW where the value is overwritten; corrected since.
    kind == ServerKind::Redis && call[0].eq_ignore_ascii_case(b"sinterstore")
}

#[test]
fn keys_are_those_that_servers_tell() {
    for kind in ServerKind::ALL {
        let mut server = Server::start(kind);
        let mut calls = Calls::new(kind);
        let mut counts = std::collections::BTreeMap::new();
        for mode in Mode::ALL {
            for command in calls.commands() {
                let batch: Vec<_> = (0..rounds()).map(|_| calls.call(&command, mode)).collect();
                let asked_for = batch.iter().map(|call| {
                    let words: [&[u8]; 2] = [b"command", b"getkeysandflags"];
                    words
                        .into_iter()
                        .chain(call.iter().map(Vec::as_slice))
                        .collect()
                });
                let replies = server.pipeline(asked_for.collect());
                for (call, reply) in batch.iter().zip(replies) {
                    let theirs = asked(reply);
                    let ours = ours(call);
                    let kept = check(kind, mode, call, &theirs, &ours);
                    *counts.entry((mode, kept)).or_insert(0) += 1;
                }
            }
        }
        println!("{kind}: seed {}", calls.seed());
        for ((mode, kept), count) in counts {
            println!("{kind}: {mode:?}: {kept}: {count}");
        }
    }
}

/// Compares one answer. Tells which rule it kept.
fn check(
    kind: ServerKind,
    mode: Mode,
    call: &[Vec<u8>],
    theirs: &Result<Vec<KeyUse>, String>,
    ours: &Result<(Vec<KeyUse>, bool), String>,
) -> &'static str {
    let context = || {
        format!(
            "{kind}: {}\ntheirs {theirs:?}\nours {ours:?}",
            as_text(call)
        )
    };
    match (theirs, ours) {
        (Ok(theirs), Ok((ours, every))) => {
            assert!(
                *every || covers(ours, theirs),
                "a key is missing: {}",
                context()
            );
            if ours == theirs {
                return "equal";
            }
            assert!(
                mode != Mode::Plain || may_differ(kind, call),
                "not equal: {}",
                context()
            );
            "more than theirs"
        }
        (Ok(theirs), Err(_)) => {
            assert!(theirs.is_empty(), "refused: {}", context());
            "refused here only"
        }
        (Err(theirs), Ok((ours, _))) if theirs.contains("no key arguments") => {
            assert!(ours.is_empty(), "there are keys: {}", context());
            "no keys"
        }
        (Err(theirs), Ok(_)) => {
            // Redis asks for three words at least; ZRANK took fewer arguments. The specifications of
            // PFMERGE miss that a call without sources is valid; those of the others are stricter
            // than other servers' where the call fails anyway.
            let looser: [&[u8]; 4] = [b"pfmerge", b"xreadgroup", b"migrate", b"msetex"];
            let known = theirs.contains("number of arguments") || looser.contains(&&call[0][..]);
            assert!(known, "refused there only: {}", context());
            "refused there only"
        }
        (Err(_), Err(_)) => "refused by both",
    }
}

/// The oracle that does not trust what servers say: a call is executed, and what changed must be
/// among the keys that it writes. A command after which a key is gone is in `kvdb:@delete`.
#[test]
fn every_key_that_changes_is_listed() {
    let delete = action_pattern("kvdb:@delete").unwrap();
    for kind in ServerKind::ALL {
        let mut server = Server::start(kind);
        let mut calls = Calls::new(kind);
        let (mut executed, mut changed) = (0, 0);
        for command in calls.commands() {
            let known = by_name(&command)
                .expect("a command of the catalogue")
                .command();
            let runs = known.scope == CommandScope::Keyed
                && known.class == CommandClass::Ordinary
                && known.flags.contains(Flags::WRITE);
            if !runs {
                continue;
            }
            for round in 0..rounds() {
                let mode = Mode::ALL[round % Mode::ALL.len()];
                let call = calls.call(&command, mode);
                let prepare = calls.prepare(&command);
                let before = server.prepare(&prepare);
                // In a transaction nothing blocks.
                let words: Vec<&[u8]> = call.iter().map(Vec::as_slice).collect();
                let replies = server.pipeline(vec![vec![b"multi"], words, vec![b"exec"]]);
                executed += usize::from(matches!(&replies[2], Reply::Array(items)
                    if !matches!(items[..], [Reply::Error(_)])));
                let after = server.contents();
                let ours = ours(&call);
                let moved: Vec<_> = before
                    .keys()
                    .chain(after.keys())
                    .filter(|key| before.get(*key) != after.get(*key))
                    .collect();
                changed += usize::from(!moved.is_empty());
                let vanished = before.keys().any(|key| !after.contains_key(key));
                let listed = delete.contains(action(known.action).unwrap());
                assert!(!vanished || listed, "not in @delete: {}", as_text(&call));
                for key in moved {
                    let context =
                        || format!("{kind}: {}\n{key:?} changed, ours {ours:?}", as_text(&call));
                    let Ok((keys, every)) = &ours else {
                        panic!("{}", context())
                    };
                    let written = keys
                        .iter()
                        .any(|(known, flags)| known == key && flags.writes());
                    assert!(*every || written, "{}", context());
                }
            }
        }
        println!(
            "{kind}: seed {}: {executed} executed, {changed} changed something",
            calls.seed()
        );
        assert!(
            changed > rounds(),
            "the calls change too little to prove anything"
        );
    }
}

/// Streams that are read are listed, also where the name of a group or an option's value is an
/// option word.
#[test]
fn every_stream_that_is_read_is_listed() {
    for kind in ServerKind::ALL {
        let mut server = Server::start(kind);
        let mut calls = Calls::new(kind);
        let mut read = 0;
        for round in 0..rounds() * 20 {
            let mode = Mode::ALL[round % Mode::ALL.len()];
            let command = ["xread", "xreadgroup"][round % 2];
            let call = calls.call(command, mode);
            server.prepare(&calls.streams());
            let words: Vec<&[u8]> = call.iter().map(Vec::as_slice).collect();
            let replies = server.pipeline(vec![vec![b"multi"], words, vec![b"exec"]]);
            let Reply::Array(replies) = &replies[2] else {
                continue;
            };
            let Some(Reply::Array(streams)) = replies.first() else {
                continue;
            };
            for stream in streams {
                let Reply::Array(stream) = stream else {
                    panic!("{stream:?}")
                };
                let name = stream[0].bytes();
                let ours = ours(&call);
                let (keys, _) = ours.unwrap_or_else(|error| panic!("{}: {error}", as_text(&call)));
                let listed = keys.iter().any(|(key, flags)| key == name && flags.reads());
                assert!(listed, "{kind}: {}: {keys:?}", as_text(&call));
                read += 1;
            }
        }
        println!("{kind}: seed {}: {read} streams read", calls.seed());
        assert!(
            read > rounds(),
            "the calls read too little to prove anything"
        );
    }
}

/// Whoever has every key and no channel is refused exactly where a channel is listed.
#[test]
fn channels_are_those_that_servers_check() {
    /// Channels are listed for these, and the server checks none: it has no right to see them.
    const BEYOND: [&str; 5] = [
        "client|tracking",
        "pubsub|channels",
        "pubsub|numsub",
        "pubsub|shardchannels",
        "pubsub|shardnumsub",
    ];
    for kind in ServerKind::ALL {
        let mut server = Server::start(kind);
        let user = [
            &b"acl"[..],
            b"setuser",
            b"u",
            b"reset",
            b"+@all",
            b"~*",
            b"resetchannels",
        ];
        server.call(&user);
        let mut calls = Calls::new(kind);
        let (mut refused, mut allowed) = (0, 0);
        for command in calls.commands() {
            let channels = by_name(&command).is_some_and(|id| {
                let flags = id.command().flags;
                flags.contains(Flags::PUBSUB)
            });
            let times = if channels {
                rounds() * 4
            } else {
                rounds().min(20)
            };
            for round in 0..times {
                let mode = Mode::ALL[round % Mode::ALL.len()];
                let call = calls.call(&command, mode);
                let words = [&b"acl"[..], b"dryrun", b"u"];
                let words: Vec<&[u8]> = words
                    .into_iter()
                    .chain(call.iter().map(Vec::as_slice))
                    .collect();
                let reply = server.call(&words);
                let mut out = Touched::default();
                let Ok(id) = resolve(&call) else { continue };
                if matches!(reply, Reply::Error(_)) || touched(id, &call, &mut out).is_err() {
                    continue; // a wrong number of words
                }
                let checks = String::from_utf8_lossy(reply.bytes()).contains("channel");
                let listed = !out.channels.is_empty();
                let beyond = BEYOND.contains(&command.as_str());
                assert!(
                    checks == listed || beyond,
                    "{kind}: {}: {reply:?}",
                    as_text(&call)
                );
                refused += usize::from(checks);
                allowed += usize::from(!checks);
            }
        }
        println!(
            "{kind}: seed {}: {refused} with channels, {allowed} without",
            calls.seed()
        );
        assert!(refused > 0);
    }
}

/// No command that a server has is missing from the catalogue, and their arity is allowed.
#[test]
fn the_catalogue_has_every_command() {
    for kind in ServerKind::ALL {
        let mut server = Server::start(kind);
        let Reply::Array(rows) = server.call(&[b"command"]) else {
            panic!("COMMAND")
        };
        let mut seen = 0;
        for row in rows {
            let Reply::Array(row) = row else {
                panic!("{row:?}")
            };
            let Reply::Array(subcommands) = &row[9] else {
                panic!("{row:?}")
            };
            let rows = subcommands.iter().map(|row| {
                let Reply::Array(row) = row else {
                    panic!("{row:?}")
                };
                row
            });
            for row in rows.chain(subcommands.is_empty().then_some(&row)) {
                let name = String::from_utf8(row[0].bytes().to_vec()).unwrap();
                let Reply::Integer(arity) = row[1] else {
                    panic!("{row:?}")
                };
                let command = by_name(&name)
                    .unwrap_or_else(|| panic!("{kind}: {name}"))
                    .command();
                assert!(
                    command.arity_fits(arity.unsigned_abs() as usize),
                    "{kind}: {name}"
                );
                seen += 1;
            }
        }
        println!("{kind}: {seen} commands and subcommands");
    }
}
