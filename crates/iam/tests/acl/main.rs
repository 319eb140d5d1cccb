//! Translations between ACL rules and native documents, held against the decisions on both sides;
//! exported rules also against a live server. And the decision table against the evaluator, on every
//! command.
//!
//! Users, documents and calls are made at random; the seed is printed, and `KEYWARD_SEED` repeats a
//! run. `KEYWARD_ACL_USERS` sets how many are tried, each with `KEYWARD_ACL_CALLS` calls.

#![expect(
    clippy::unwrap_used,
    reason = "a test says by panicking what went wrong"
)]

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "../support/acme.rs"]
mod acme;
#[expect(
    dead_code,
    reason = "shared with the tests of `commands`, which use the rest"
)]
#[path = "../../../commands/tests/live/calls.rs"]
mod calls;
mod documents;
#[expect(
    dead_code,
    reason = "shared with the tests of `commands`, which use the rest"
)]
#[path = "../../../commands/tests/live/server.rs"]
mod server;
#[expect(
    dead_code,
    reason = "shared with the tests of `policy`, which use the rest"
)]
#[path = "../../../policy/tests/acl_of_servers/users.rs"]
mod users;

use calls::{Calls, Mode, as_text};
use keyward_commands::{Touched, execute_actions, resolve, touched};
use keyward_iam::{
    Call, Case, CaseDocument, CaseRequest, Change, PolicyInput, Request, Session, UnixMillis,
};
use keyward_policy::{AclUser, Policy, PolicyKind, read};
use keyward_test_cases::{Random, acl_cases, setting};
use server::{Reply, Server, ServerKind};

/// A command in a world with these documents on the one trust.
fn case(dialect: &str, texts: &[&str], call: &[Vec<u8>], db_index: u32) -> Case {
    let document = |text: &&str| CaseDocument {
        dialect: Some(dialect.into()),
        text: (*text).into(),
        policy: None,
    };
    let number = db_index.to_string().into_bytes();
    Case {
        policies: texts.iter().map(document).collect(),
        resource_policies: Vec::new(),
        boundaries: Vec::new(),
        principal: "programmatic_identity/ci".into(),
        request: CaseRequest::Command {
            words: call.to_vec(),
            database: "kvdb/main".into(),
            db_index,
        },
        context: vec![("kvdb:DatabaseIndex".into(), vec![number])],
        lists: Vec::new(),
        aliases: keyward_iam::VendorAliases::default(),
    }
}

/// Whether native documents let this call pass.
fn allows(texts: &[&str], call: &[Vec<u8>], db_index: u32) -> bool {
    let decision = case("native", texts, call, db_index).decide();
    decision
        .unwrap_or_else(|error| panic!("{texts:?}: {error}"))
        .is_allow()
}

/// Whether they let it show only some keys, which a server cannot.
fn filters(texts: &[&str], call: &[Vec<u8>]) -> bool {
    let decision = case("native", texts, call, 0).decide();
    decision.is_ok_and(|decision| decision.message.contains("it shows only the keys"))
}

/// Documents of the dialect `acl` are decided as the server decides.
#[test]
fn the_corpus_is_simulated_as_the_server_decides() {
    for expected in acl_cases() {
        let texts = [&*expected.user];
        let decision = case("acl", &texts, &expected.call, expected.db_index);
        let allowed = match decision.decide() {
            Ok(decision) => decision.is_allow(),
            Err(_) => {
                assert_eq!(expected.expected, "refused", "{}", expected.place);
                continue;
            }
        };
        assert_eq!(allowed, expected.expected == "ok", "{}", expected.place);
    }
}

/// A call at random that has the right number of words and whose keys can be found.
fn call(calls: &mut Calls, random: &mut Random, commands: &[String], mode: Mode) -> Vec<Vec<u8>> {
    loop {
        let command = &commands[random.below(commands.len())];
        let call = calls.call(command, mode);
        let id = resolve(&call).unwrap();
        if touched(id, &call, &mut Touched::default()).is_ok() {
            return call;
        }
    }
}

/// A native document that was made of ACL rules never allows more; where nothing is said to be lost,
/// it allows the same.
#[test]
fn rules_become_documents_that_are_no_wider() {
    let mut calls = Calls::new(ServerKind::Valkey);
    let mut random = Random::new(calls.seed());
    let commands = calls.commands();
    let (mut decided, mut allowed, mut kept, mut faithful, mut users) = (0, 0, 0, 0, 0);
    for _ in 0..setting("KEYWARD_ACL_USERS", 40) {
        let rules = users::user(&mut random, true).join(" ");
        let db_index = [0, 0, 1, 2, 5][random.below(5)];
        let Ok(user) = AclUser::parse(&rules) else {
            continue;
        };
        let translation = user.to_native("kvdb/main");
        let text = &translation.text;
        users += 1;
        faithful += usize::from(translation.losses.is_empty());
        for _ in 0..setting("KEYWARD_ACL_CALLS", 40) {
            let call = call(&mut calls, &mut random, &commands, Mode::Plain);
            let id = resolve(&call).unwrap();
            let before = user.allows(id, &call, db_index).is_ok();
            let after = allows(&[text], &call, db_index);
            let context = || {
                format!(
                    "`{rules}`: {}: {before}, then {after}: {text}",
                    as_text(&call)
                )
            };
            assert!(before || !after, "wider: {}", context());
            assert!(
                !before || after || !translation.losses.is_empty(),
                "lost: {}",
                context()
            );
            decided += 1;
            allowed += usize::from(before);
            kept += usize::from(after);
        }
    }
    println!(
        "seed {}: {users} users, {faithful} faithful; of {decided} calls {allowed} allowed, then {kept}",
        calls.seed()
    );
    assert!(kept * 4 > allowed);
}

/// ACL rules that were made of native documents never allow more, as a live server reads them.
#[test]
fn documents_become_rules_that_are_no_wider() {
    let mut server = Server::start(ServerKind::Valkey);
    let mut calls = Calls::new(ServerKind::Valkey);
    let mut random = Random::new(calls.seed());
    let commands = calls.commands();
    let (mut decided, mut allowed, mut kept) = (0, 0, 0);
    for _ in 0..setting("KEYWARD_ACL_USERS", 40) {
        let texts: Vec<String> = (0..1 + random.below(2))
            .map(|_| documents::document(&mut random))
            .collect();
        let policies: Vec<Policy> = texts
            .iter()
            .map(|text| {
                read(text, PolicyKind::Identity, "test").unwrap_or_else(|e| panic!("{text}: {e}"))
            })
            .collect();
        let export = AclUser::of_policies(&policies, "org/test/kvdb/main", execute_actions());
        let rules = export.user.to_string();
        let read_back = AclUser::parse(&rules).unwrap();
        assert!(read_back == export.user, "{rules}");
        let words: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
        let set = [&b"acl"[..], b"setuser", b"u", b"reset"].into_iter();
        let reply = server.call(&set.chain(words).collect::<Vec<_>>());
        assert!(matches!(reply, Reply::Simple(_)), "{rules}: {reply:?}");

        let called: Vec<Vec<Vec<u8>>> = (0..setting("KEYWARD_ACL_CALLS", 40))
            .map(|_| call(&mut calls, &mut random, &commands, Mode::Plain))
            .collect();
        let dryruns = called.iter().map(|call| {
            let words = [&b"acl"[..], b"dryrun", b"u"].into_iter();
            words.chain(call.iter().map(Vec::as_slice)).collect()
        });
        let replies = server.pipeline(dryruns.collect());
        for (call, reply) in called.iter().zip(replies) {
            if matches!(reply, Reply::Error(_)) {
                continue; // not a command of this server
            }
            let after = reply.bytes() == b"OK";
            let documents: Vec<&str> = texts.iter().map(String::as_str).collect();
            let before = allows(&documents, call, 0);
            assert!(
                (before && !filters(&documents, call)) || !after,
                "wider: {}: {texts:?}: `{rules}`",
                as_text(call)
            );
            let lost = before && !after;
            assert!(
                !lost || !export.losses.is_empty(),
                "lost: {}: {texts:?}: `{rules}`",
                as_text(call)
            );
            decided += 1;
            allowed += usize::from(before);
            kept += usize::from(after);
        }
    }
    println!(
        "seed {}: of {decided} calls {allowed} allowed, then {kept}",
        calls.seed()
    );
    assert!(kept * 4 > allowed);
}

/// What a call touches may depend on its arguments: the table, which decides by bits where it can, asks
/// for no less than the evaluator.
#[test]
fn every_call_is_decided_alike_by_table_and_evaluator() {
    const NOW: UnixMillis = UnixMillis(1_767_225_600_000);
    let mut calls = Calls::new(ServerKind::Valkey);
    let mut random = Random::new(calls.seed());
    let commands = calls.commands();
    let (mut decided, mut allowed) = (0, 0);
    for _ in 0..setting("KEYWARD_ACL_USERS", 40) {
        let text = documents::document(&mut random);
        if read(&text, PolicyKind::Identity, "acme").is_err() {
            continue;
        }
        let mut changes = acme::organisation("acme");
        changes.extend([
            acme::database("main"),
            acme::identity("ci"),
            Change::CreateTrust {
                id: "ci".into(),
                trustor: "org/acme".into(),
                trustee: "org/acme/programmatic_identity/ci".into(),
                policies: vec![PolicyInput::Document(text.clone())],
                expires_at: None,
                kind: None,
                conditions: None,
            },
        ]);
        let directory = acme::build(changes);
        let session = Session::of_path(&directory, "org/acme/programmatic_identity/ci").unwrap();
        let database = directory.database_at("org/acme/kvdb/main").unwrap();
        let table = directory.table(&session, database, false, NOW);
        let mut room = Touched::default();
        for command in &commands {
            for mode in [Mode::Plain, Mode::Formed] {
                let words = calls.call(command, mode);
                let Ok(command) = resolve(&words) else {
                    continue;
                };
                // What the table does not allow whatever the call is, it refuses then.
                let malformed = touched(command, &words, &mut room).is_err();
                if malformed || !command.command().arity_fits(words.len()) {
                    continue;
                }
                let request = Request {
                    command,
                    words: &words,
                    bytes: b"",
                    call: Call::at(NOW),
                };
                let by_table = table.authorize(&request, &mut room).is_ok();
                let decision =
                    directory.decide_command(&session, database, &words, false, &Call::at(NOW));
                decided += 1;
                allowed += usize::from(by_table);
                assert_eq!(
                    by_table,
                    decision.is_allow(),
                    "{}: {decision:?}\n{text}",
                    as_text(&words)
                );
            }
        }
    }
    println!("seed {}: {decided} calls, {allowed} allowed", calls.seed());
    assert!(allowed > decided / 20);
}
