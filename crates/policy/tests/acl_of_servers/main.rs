//! ACL users held against live servers: what they accept, and what `ACL DRYRUN` answers.
//!
//! Users and calls are made at random; the seed is printed, and `KEYWARD_SEED` repeats a run.
//! `KEYWARD_ACL_USERS` sets how many users are tried, each with `KEYWARD_ACL_CALLS` calls.

#![expect(
    clippy::unwrap_used,
    reason = "a test says by panicking what went wrong"
)]

#[expect(
    dead_code,
    reason = "shared with the tests of `commands`, which use the rest"
)]
#[path = "../../../commands/tests/live/calls.rs"]
mod calls;
#[expect(
    dead_code,
    reason = "shared with the tests of `commands`, which use the rest"
)]
#[path = "../../../commands/tests/live/server.rs"]
mod server;
mod users;

use calls::{Calls, Mode, as_text};
use keyward_commands::{CommandId, Servers, resolve};
use keyward_policy::{AclDenial, AclUser};
use server::{Reply, Server, ServerKind};
use users::Random;

fn setting(name: &str, usual: usize) -> usize {
    std::env::var(name)
        .ok()
        .map_or(usual, |text| text.parse().expect(name))
}

/// What a server answers to `ACL DRYRUN`, in our terms; `None` if it does not decide.
fn verdict(reply: &Reply, call: &[Vec<u8>]) -> Option<Result<(), AclDenial>> {
    let text = match reply {
        Reply::Error(_) => return None,
        Reply::Simple(text) => text.clone(),
        other => String::from_utf8_lossy(other.bytes()).into_owned(),
    };
    let word = |text: &str| {
        let quoted = text.rsplit_once("access the '").unwrap().1;
        let (name, _) = quoted.rsplit_once("' ").unwrap();
        let at = call.iter().position(|word| word == name.as_bytes());
        at.unwrap_or(0) as u32
    };
    Some(match &*text {
        "OK" => Ok(()),
        text if text.contains("access database") => Err(AclDenial::Database { word: 0 }),
        text if text.contains("to run the") => Err(AclDenial::Command),
        text if text.ends_with("key") => Err(AclDenial::Key { word: word(text) }),
        text if text.ends_with("channel") => Err(AclDenial::Channel { word: word(text) }),
        other => panic!("{other}"),
    })
}

/// Whether both denials have the same reason, and name the same word.
fn same(ours: Result<(), AclDenial>, theirs: Result<(), AclDenial>, call: &[Vec<u8>]) -> bool {
    let text = |word: u32| &call[word as usize];
    match (ours, theirs) {
        (Ok(()), Ok(())) => true,
        (Err(AclDenial::Key { word: a }), Err(AclDenial::Key { word: b }))
        | (Err(AclDenial::Channel { word: a }), Err(AclDenial::Channel { word: b })) => {
            text(a) == text(b)
        }
        (Err(AclDenial::Database { .. }), Err(AclDenial::Database { .. })) => true,
        (Err(AclDenial::Command), Err(AclDenial::Command)) => true,
        _ => false,
    }
}

fn of_valkey(id: CommandId) -> bool {
    id.command().servers.contains(Servers::VALKEY9)
}

/// Every verdict on random calls of random users, and what rules are accepted at all.
#[test]
fn verdicts_are_those_of_dryrun() {
    let mut server = Server::start(ServerKind::Valkey);
    let mut calls = Calls::new(ServerKind::Valkey);
    let mut random = Random::new(calls.seed());
    let commands = calls.commands();
    let (users, each) = (
        setting("KEYWARD_ACL_USERS", 60),
        setting("KEYWARD_ACL_CALLS", 60),
    );
    let (mut verdicts, mut allowed, mut refused, mut undecided) = (0, 0, 0, 0);
    for _ in 0..users {
        let rules = users::user(&mut random, true);
        let db_index = [0, 0, 1, 2, 5][random.below(5)];
        let number = db_index.to_string();
        let mut set: Vec<&[u8]> = vec![b"acl", b"setuser", b"u", b"reset"];
        set.extend(rules.iter().map(String::as_bytes));
        let select = vec![&b"select"[..], number.as_bytes()];
        let list = vec![&b"acl"[..], b"list"];
        let replies = server.pipeline(vec![select, set, list]);
        let text = rules.join(" ");
        let user = match (AclUser::parse(&text), &replies[1]) {
            (Ok(user), Reply::Simple(_)) => user,
            (Err(_), Reply::Error(_)) => {
                refused += 1;
                continue;
            }
            (ours, theirs) => panic!("`{text}`: {theirs:?}, ours {ours:?}"),
        };
        // What the server prints is the same user; but it prints `~*` for `%RW~*`, which is more.
        let Reply::Array(lines) = &replies[2] else {
            panic!("ACL LIST")
        };
        let line = lines
            .iter()
            .map(|line| String::from_utf8_lossy(line.bytes()))
            .find(|line| line.starts_with("user u "))
            .unwrap();
        let listed = AclUser::parse(&line).ok();
        let printed = AclUser::parse(&user.to_string()).unwrap();
        assert_eq!(printed.to_string(), user.to_string(), "`{text}`");
        let (possible, sure) = (user.possible(), user.sure());

        let called: Vec<Vec<Vec<u8>>> = (0..each)
            .map(|_| {
                let command = &commands[random.below(commands.len())];
                let mode = [Mode::Plain, Mode::Tricky, Mode::Malformed][random.below(3)];
                let mut call = calls.call(command, mode);
                if random.chance(5) {
                    call[0].make_ascii_uppercase();
                }
                call
            })
            .collect();
        let dryruns = called.iter().map(|call| {
            let words = [&b"acl"[..], b"dryrun", b"u"].into_iter();
            words.chain(call.iter().map(Vec::as_slice)).collect()
        });
        let replies = server.pipeline(dryruns.collect());
        for (call, reply) in called.iter().zip(&replies) {
            let Some(theirs) = verdict(reply, call) else {
                undecided += 1; // a wrong number of words, or no command
                continue;
            };
            let id = resolve(call).unwrap();
            assert!(of_valkey(id));
            let ours = user.allows(id, call, db_index);
            let context = || {
                format!(
                    "`{text}` in {db_index}: {}: {reply:?}, ours {ours:?}",
                    as_text(call)
                )
            };
            assert!(same(ours, theirs, call), "{}", context());
            assert_eq!(printed.allows(id, call, db_index), ours, "{}", context());
            if let Some(listed) = &listed
                && !text.contains('%')
            {
                assert_eq!(
                    listed.allows(id, call, db_index),
                    ours,
                    "{line}: {}",
                    context()
                );
            }
            assert!(
                ours.is_err() || possible.contains(id.action()),
                "{}",
                context()
            );
            assert!(ours.is_ok() || !sure.contains(id.action()), "{}", context());
            verdicts += 1;
            allowed += usize::from(ours.is_ok());
        }
    }
    println!(
        "seed {}: {verdicts} verdicts, {allowed} OK; {refused} users refused by both, {undecided} calls undecided",
        calls.seed()
    );
    assert!(allowed * 10 > verdicts && allowed * 10 < verdicts * 9);
}
