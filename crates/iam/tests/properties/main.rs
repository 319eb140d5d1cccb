//! The properties that the design's section 3 ends with, over random directories.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod naive;
#[path = "../support/mod.rs"]
mod support;

use keyward_commands::{Touched, resolve};
use keyward_iam::{Call, DecisionTable, Directory, Outcome, Request, Session, UnixMillis};
use keyward_policy::{KeyUse, Touch};
use keyward_test_cases::{Random, setting};
use support::{COMMANDS, DATABASES, IDENTITIES, Line, World, document, line, sessions};

const NOW: UnixMillis = UnixMillis(2);

/// Worlds a property is tried on. `KEYWARD_TEST_WORLDS` asks for more.
fn worlds() -> u64 {
    setting("KEYWARD_TEST_WORLDS", 200)
}

/// The seeds of a property's worlds, each with its numbers; `property` tells those of several apart.
fn seeds(count: u64, property: u64) -> impl Iterator<Item = (u64, Random)> {
    (0..count).map(move |seed| (seed, Random::new(seed * 7 + property)))
}

fn request<'a, 'c>(words: &'a [&'static str], call: Call<'c>) -> Request<'a, 'c, [&'static str]> {
    Request {
        command: resolve(words).unwrap(),
        words,
        bytes: b"",
        call,
    }
}

/// Whether a table allows a call, and the evaluator, too.
fn agreed(
    directory: &Directory,
    session: &Session,
    (path, table): (&str, &DecisionTable),
    request: &Request<'_, '_, [&'static str]>,
    touched: &mut Touched,
    seed: u64,
) -> bool {
    let by_table = table.authorize(request, touched).is_ok();
    let (database, words, call) = (
        directory.database_at(path).unwrap(),
        request.words,
        &request.call,
    );
    let decision = directory.decide_command(session, database, words, false, call);
    assert_eq!(
        by_table,
        decision.is_allow(),
        "seed {seed}: {words:?} on {path} by {} {call:?}: {decision:#?}",
        directory.principal_path(session.principal)
    );
    by_table
}

fn outcomes(directory: &Directory, session: &Session) -> Vec<Outcome> {
    let mut all = Vec::new();
    for path in DATABASES {
        let database = directory.database_at(path).unwrap();
        for words in COMMANDS {
            let call = Call::at(NOW);
            let decision = directory.decide_command(session, database, words, false, &call);
            all.push(decision.outcome);
        }
    }
    all
}

fn name(number: usize) -> String {
    let (database, command) = (number / COMMANDS.len(), number % COMMANDS.len());
    format!("{:?} on {}", COMMANDS[command], DATABASES[database])
}

/// Compares the outcomes of two worlds request by request.
fn compare(before: &World, after: &World, seed: u64, fits: impl Fn(Outcome, Outcome) -> bool) {
    let ((old, refused_before), (new, refused)) = (before.build(), after.build());
    if refused != refused_before {
        return; // the change made a policy that is refused
    }
    for (old_session, new_session) in sessions(&old).iter().zip(sessions(&new)) {
        let pairs = outcomes(&old, old_session)
            .into_iter()
            .zip(outcomes(&new, &new_session));
        for (number, (was, is)) in pairs.enumerate() {
            assert!(
                fits(was, is),
                "seed {seed}: {} by {}: {was:?} became {is:?}\nbefore {before:#?}\nafter {after:#?}",
                name(number),
                old.principal_path(old_session.principal)
            );
        }
    }
}

/// Adds a line to a list that has some already, or to a trust's or a resource's policy.
fn add(world: &mut World, random: &mut Random, allow: bool) {
    let mut fresh = |resource_policy: bool| Line {
        allow,
        ..line(random, resource_policy, true)
    };
    let (for_resource, for_identity) = (fresh(true), fresh(false));
    let at = random.below(4);
    match at {
        0 => {
            let index = random.below(world.resource_policies.len());
            world.resource_policies[index].push(for_resource);
        }
        1 | 2 => {
            let lists: Vec<&mut Vec<Line>> = world
                .boundaries
                .iter_mut()
                .chain(&mut world.guardrails)
                .chain(&mut world.session)
                .filter(|l| !l.is_empty())
                .collect();
            if let Some(list) = lists.into_iter().nth(random.below(3)) {
                list.push(for_identity);
            }
        }
        _ => {
            let index = random.below(world.trusts.len());
            world.trusts[index].2[0].push(for_identity);
        }
    }
}

#[test]
fn an_allow_added_anywhere_never_denies_and_one_removed_never_permits() {
    for (seed, mut random) in seeds(worlds(), 1) {
        let world = World::random(&mut random);
        let mut more = world.clone();
        add(&mut more, &mut random, true);
        compare(&world, &more, seed, |was, is| {
            was != Outcome::Allow || is == Outcome::Allow
        });
        compare(&world, &more, seed, |was, is| {
            (was == Outcome::ExplicitDeny) == (is == Outcome::ExplicitDeny)
        });
    }
}

#[test]
fn a_deny_added_anywhere_never_permits() {
    for (seed, mut random) in seeds(worlds(), 2) {
        let world = World::random(&mut random);
        let mut more = world.clone();
        add(&mut more, &mut random, false);
        compare(&world, &more, seed, |was, is| {
            was == Outcome::Allow || is != Outcome::Allow
        });
    }
}

#[test]
fn order_changes_nothing() {
    for (seed, mut random) in seeds(worlds() / 2, 3) {
        let world = World::random(&mut random);
        let mut turned = world.clone();
        let lists = turned
            .resource_policies
            .iter_mut()
            .chain(&mut turned.boundaries)
            .chain(&mut turned.session)
            .chain(&mut turned.guardrails);
        lists.for_each(|list| list.reverse());
        for (_, _, policies) in &mut turned.trusts {
            policies.reverse();
            policies.iter_mut().for_each(|list| list.reverse());
        }
        compare(&world, &turned, seed, |was, is| was == is);
    }
}

#[test]
fn a_third_organisation_cannot_cause_a_denial() {
    for (seed, mut random) in seeds(worlds(), 4) {
        let world = World::random(&mut random);
        // Everything of organisation c is taken away; or only what its policies say.
        let mut without = world.clone();
        without
            .trusts
            .retain(|(from, _, _)| IDENTITIES[*from] != "org/c");
        without.guardrails[2].clear();
        without.boundaries[2].clear();
        let mut silent = world.clone();
        silent.guardrails[2].clear();
        silent.boundaries[2].clear();
        for (from, _, policies) in &mut silent.trusts {
            if IDENTITIES[*from] == "org/c" {
                policies.clear();
            }
        }
        let (all, refused) = world.build();
        if refused > 0 {
            continue; // a trust that one world refused may stand in the other
        }
        let (few, quiet) = (without.build().0, silent.build().0);
        for (at, session) in sessions(&all).iter().enumerate() {
            let was = outcomes(&few, &sessions(&few)[at]);
            let mute = outcomes(&quiet, &sessions(&quiet)[at]);
            for (number, is) in outcomes(&all, session).into_iter().enumerate() {
                let (was, mute) = (was[number], mute[number]);
                if DATABASES[number / COMMANDS.len()] != "org/c/kvdb/f" {
                    // A trust of c that was accepted can reach a Deny that the others wrote.
                    let own_deny = mute != Outcome::Allow;
                    assert!(
                        was != Outcome::Allow || is == Outcome::Allow || own_deny,
                        "seed {seed}: {}: {was:?} became {is:?}\n{world:#?}",
                        name(number)
                    );
                }
            }
        }
    }
}

#[test]
fn table_and_evaluator_agree() {
    compare_table_and_evaluator(false);
}

#[test]
fn table_and_evaluator_agree_on_acl_rules() {
    compare_table_and_evaluator(true);
}

fn compare_table_and_evaluator(acl: bool) {
    let mut allowed = 0u64;
    for (seed, mut random) in seeds(worlds(), 5) {
        let mut world = World::random(&mut random);
        world.acl = acl;
        let (directory, _) = world.build();
        let mut touched = Touched::default();
        for session in sessions(&directory) {
            for path in DATABASES {
                let database = directory.database_at(path).unwrap();
                let table = directory.table(&session, database, false, NOW);
                for words in COMMANDS {
                    let request = request(words, Call::at(NOW));
                    let at = (path, &*table);
                    let both = agreed(&directory, &session, at, &request, &mut touched, seed);
                    allowed += u64::from(both);
                }
            }
        }
    }
    assert!(allowed > 1000, "the worlds must allow something: {allowed}");
}

/// Key fields and conditions that decide which keys an enumeration shows.
const KEY_RULES: [&str; 16] = [
    "",
    r#""Keys":["a:*"]"#,
    r#""Keys":["*"]"#,
    r#""ReadKeys":["a:*","b"],"WriteKeys":["*"]"#,
    r#""WriteKeys":["a:*"]"#,
    r#""Channels":["*"]"#,
    r#""Conditions":{"StringLike":{"kvdb:Key":["a:*","c"]}}"#,
    r#""Conditions":{"StringEquals":{"kvdb:ReadKey":"b"}}"#,
    r#""Conditions":{"GlobNotLike":{"kvdb:Key":"a:[12]"}}"#,
    r#""Conditions":{"ForAllValues:StringLike":{"kvdb:ReadKey":"b*"}}"#,
    r#""Conditions":{"ForAnyValue:StringLike":{"kvdb:Key":"a:1"}}"#,
    r#""Conditions":{"Null":{"kvdb:Key":"false"}}"#,
    r#""Conditions":{"Null":{"kvdb:WriteKey":"true"}}"#,
    r#""Conditions":{"StringLikeIfExists":{"kvdb:WriteKey":"x"}}"#,
    r#""Keys":["a:*"],"Conditions":{"NumericLessThanEquals":{"kvdb:Count":"100"}}"#,
    r#""Keys":["${keyward:PrincipalName,'a'}:*"],"Conditions":{"NumericEquals":{"kvdb:DatabaseIndex":"0"}}"#,
];

const KEYS_SHOWN: [&str; 6] = ["a:1", "a:2", "b", "c", "", "a:*"];

/// Which keys an enumeration shows: by the table's filter, and by the evaluator for each key. Where
/// the evaluator shows one, the command is allowed.
#[test]
fn enumerations_show_what_they_could_read() {
    let commands: [&[&str]; 5] = [
        &["SCAN", "0"],
        &["SCAN", "0", "COUNT", "1000"],
        &["KEYS", "*"],
        &["RANDOMKEY"],
        &["CLUSTER", "GETKEYSINSLOT", "0", "5"],
    ];
    let (mut shown, mut hidden, mut unfiltered) = (0_u64, 0_u64, 0_u64);
    for (seed, mut random) in seeds(worlds(), 3) {
        let mut world = World::random(&mut random);
        let lists = world.trusts.iter_mut().flat_map(|(_, _, lists)| lists);
        let others = world
            .resource_policies
            .iter_mut()
            .chain(&mut world.boundaries)
            .chain(&mut world.session);
        for list in lists.chain(others).chain(&mut world.guardrails) {
            for line in list {
                line.keys = random.pick(&KEY_RULES);
            }
        }
        let (directory, _) = world.build();
        let mut touched = Touched::default();
        for session in sessions(&directory) {
            for path in DATABASES {
                let database = directory.database_at(path).unwrap();
                let table = directory.table(&session, database, false, NOW);
                for words in commands {
                    let call = Call {
                        database_index: random.below(2) as u32,
                        client_name: None,
                        now: NOW,
                    };
                    let request = request(words, call);
                    let context = || {
                        let who = directory.principal_path(session.principal);
                        format!("seed {seed}: {words:?} on {path} by {who}: {world:#?}")
                    };
                    let permit = table.authorize(&request, &mut touched);
                    let decision =
                        directory.decide_command(&session, database, words, false, &call);
                    assert_eq!(permit.is_ok(), decision.is_allow(), "{}", context());
                    let Ok(permit) = permit else {
                        for key in KEYS_SHOWN {
                            let key = KeyUse {
                                key: key.as_bytes(),
                                reads: true,
                                writes: false,
                            };
                            let touch = Touch::Named {
                                keys: &[key],
                                channels: &[],
                            };
                            let action = request.command.action();
                            let alone = directory.decide(&session, action, path, &touch, NOW);
                            assert!(!alone.is_allow(), "{key:?}: {}", context());
                        }
                        continue;
                    };
                    unfiltered += u64::from(permit.filter().is_none());
                    for key in KEYS_SHOWN {
                        let key = key.as_bytes();
                        let by_table = permit.filter().is_none_or(|filter| filter.shows(key));
                        let by_evaluator =
                            directory.shows_key(&session, database, words, key, &call);
                        assert_eq!(Some(by_table), by_evaluator, "{key:?}: {}", context());
                        shown += u64::from(by_table);
                        hidden += u64::from(!by_table);
                    }
                }
            }
        }
    }
    assert!(
        shown > 200 && hidden > 200 && unfiltered > 10,
        "{shown} shown, {hidden} hidden, {unfiltered} unfiltered"
    );
}

/// As above, with conditions and variables, from several places and under several names.
#[test]
fn table_and_evaluator_agree_under_conditions() {
    let more: [&[&str]; 7] = [
        &["SET", "a:1", "value", "EX", "30"],
        &["SET", "p:1", "v", "EX", "90"],
        &["GET", "q:1"],
        &["MSET", "a:1", "v", "p:1", "v"],
        &["LRANGE", "a:1", "0", "-1"],
        &["SPOP", "a:1", "3"],
        &["SUBSCRIBE", "a:x", "b"],
    ];
    let calls = [(0, None), (1, Some(&b"p"[..])), (1, Some(b"a"))];
    let mut allowed = 0u64;
    for (seed, mut random) in seeds(worlds(), 11) {
        let (directory, _) = World::conditional(&mut random).build();
        let cache = keyward_iam::TableCache::default();
        let mut touched = Touched::default();
        for (at, session) in sessions(&directory).into_iter().enumerate() {
            let address = if at % 2 == 0 { "10.0.0.1" } else { "192.0.2.1" };
            let session = Session {
                source: Some(address.parse().unwrap()),
                ..session
            };
            for path in DATABASES {
                let database = directory.database_at(path).unwrap();
                let table = cache.table(&directory, &session, database, false, NOW);
                for (words, (database_index, client_name)) in COMMANDS
                    .iter()
                    .chain(&more)
                    .flat_map(|words| calls.map(|call| (*words, call)))
                {
                    let call = Call {
                        database_index,
                        client_name,
                        now: NOW,
                    };
                    let request = request(words, call);
                    let at = (path, &*table);
                    let both = agreed(&directory, &session, at, &request, &mut touched, seed);
                    allowed += u64::from(both);
                }
            }
        }
    }
    assert!(allowed > 1000, "the worlds must allow something: {allowed}");
}

#[test]
fn rows_make_the_same_directory_again() {
    for (seed, mut random) in seeds(worlds() / 4, 6) {
        let (directory, _) = World::random(&mut random).build();
        let again = Directory::load(directory.rows(), directory.revision()).unwrap();
        for (one, other) in sessions(&directory).iter().zip(sessions(&again)) {
            assert_eq!(
                outcomes(&directory, one),
                outcomes(&again, &other),
                "seed {seed}"
            );
        }
        let rows = |d: &Directory| {
            let mut rows: Vec<_> = d.rows().collect();
            rows.sort_by(|a, b| a.path.cmp(&b.path));
            rows
        };
        assert_eq!(rows(&directory), rows(&again), "seed {seed}");
    }
}

#[test]
fn the_evaluator_agrees_with_a_naive_reading_of_the_design() {
    for (seed, mut random) in seeds(worlds(), 8) {
        let (directory, _) = World::random(&mut random).build();
        for session in sessions(&directory) {
            for resource in DATABASES {
                let case = naive::Case {
                    directory: &directory,
                    session: &session,
                    resource,
                };
                let database = directory.database_at(resource).unwrap();
                // Connect, its implications and scripts ask every command: a few worlds of them do.
                let words = COMMANDS.iter().filter(|words| {
                    seed % 8 == 0
                        || !matches!(
                            words[0],
                            "PING" | "WATCH" | "EVAL" | "SORT" | "TIME" | "CLIENT"
                        )
                });
                for words in words {
                    let decision =
                        directory.decide_command(&session, database, *words, false, &Call::at(NOW));
                    let expected = case.decide(words);
                    // Whether an action is conditional is an upper bound: `Keys` of two layers
                    // may have no key in common.
                    let implied = decision.is_allow() && decision.message.contains("implied");
                    if implied && expected == Outcome::ImplicitDeny {
                        continue;
                    }
                    assert_eq!(
                        decision.outcome,
                        expected,
                        "seed {seed}: {words:?} on {resource} by {}: {decision:#?}",
                        directory.principal_path(session.principal),
                    );
                }
            }
        }
    }
}

#[test]
fn documents_of_the_worlds_are_documents() {
    let mut random = Random::new(1);
    for _ in 0..100 {
        let text = document(&[line(&mut random, false, true)], "Resources");
        keyward_policy::read(&text, keyward_policy::PolicyKind::Identity, "a").unwrap();
    }
}
