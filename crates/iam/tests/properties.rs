//! The properties that the design's section 3 ends with, over random directories.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use keyward_commands::{Touched, resolve};
use keyward_iam::{Directory, Outcome, Request, Session, UnixMillis};
use keyward_policy::{KeyUse, Touch};
use support::{COMMANDS, DATABASES, IDENTITIES, Line, Random, World, document, line, sessions};

const NOW: UnixMillis = UnixMillis(2);

/// Worlds a property is tried on. `KEYWARD_TEST_WORLDS` asks for more.
fn worlds() -> u64 {
    std::env::var("KEYWARD_TEST_WORLDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(200)
}

fn outcomes(directory: &Directory, session: &Session) -> Vec<Outcome> {
    let mut all = Vec::new();
    for path in DATABASES {
        let database = directory.database_at(path).unwrap();
        for words in COMMANDS {
            all.push(
                directory
                    .decide_command(session, database, words, false, &keyward_iam::Call::at(NOW))
                    .outcome,
            );
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
    for seed in 0..worlds() {
        let mut random = Random::new(seed * 7 + 1);
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
    for seed in 0..worlds() {
        let mut random = Random::new(seed * 7 + 2);
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
    for seed in 0..worlds() / 2 {
        let mut random = Random::new(seed * 7 + 3);
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
    for seed in 0..worlds() {
        let mut random = Random::new(seed * 7 + 4);
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
    for seed in 0..worlds() {
        let mut random = Random::new(seed * 7 + 5);
        let mut world = World::random(&mut random);
        world.acl = acl;
        let (directory, _) = world.build();
        let mut touched = Touched::default();
        for session in sessions(&directory) {
            for path in DATABASES {
                let database = directory.database_at(path).unwrap();
                let table = directory.table(&session, database, false, NOW);
                for words in COMMANDS {
                    let request = Request {
                        command: resolve(words).unwrap(),
                        words,
                        bytes: b"",
                        call: keyward_iam::Call::at(NOW),
                    };
                    let by_table = table.authorize(&request, &mut touched).is_ok();
                    let decision = directory.decide_command(
                        &session,
                        database,
                        words,
                        false,
                        &keyward_iam::Call::at(NOW),
                    );
                    allowed += u64::from(by_table);
                    assert_eq!(
                        by_table,
                        decision.is_allow(),
                        "seed {seed}: {words:?} on {path} by {}: {decision:#?}",
                        directory.principal_path(session.principal)
                    );
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
    for seed in 0..worlds() {
        let mut random = Random::new(seed * 7 + 3);
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
                    let call = keyward_iam::Call {
                        database_index: random.below(2) as u32,
                        client_name: None,
                        now: NOW,
                    };
                    let request = Request {
                        command: resolve(words).unwrap(),
                        words,
                        bytes: b"",
                        call,
                    };
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
    for seed in 0..worlds() {
        let mut random = Random::new(seed * 7 + 11);
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
                    let call = keyward_iam::Call {
                        database_index,
                        client_name,
                        now: NOW,
                    };
                    let request = Request {
                        command: resolve(words).unwrap(),
                        words,
                        bytes: b"",
                        call,
                    };
                    let by_table = table.authorize(&request, &mut touched).is_ok();
                    let decision =
                        directory.decide_command(&session, database, words, false, &call);
                    allowed += u64::from(by_table);
                    assert_eq!(
                        by_table,
                        decision.is_allow(),
                        "seed {seed}: {words:?} on {path} by {} {call:?}: {decision:#?}",
                        directory.principal_path(session.principal)
                    );
                }
            }
        }
    }
    assert!(allowed > 1000, "the worlds must allow something: {allowed}");
}

#[test]
fn rows_make_the_same_directory_again() {
    for seed in 0..worlds() / 4 {
        let mut random = Random::new(seed * 7 + 6);
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

/// The design's section 3 read naively: every path enumerated, every statement asked.
mod naive {
    use std::sync::Arc;

    use keyward_commands::{CONNECT, CommandClass, CommandId, Touched, Words};
    use keyward_iam::{Attachment, Directory, IdentityIx, Outcome, Principal, Session, TrustKind};
    use keyward_policy::{
        ChannelUse, Effect, IdentityPattern, KeyUse, Match, Policy, Statement, Touch,
    };

    pub(super) struct Case<'a> {
        pub(super) directory: &'a Directory,
        pub(super) session: &'a Session,
        pub(super) resource: &'a str,
    }

    type Path = Vec<keyward_iam::TrustIx>;

    impl Case<'_> {
        fn documents(&self, list: &[Attachment]) -> Vec<Arc<Policy>> {
            list.iter()
                .map(|attachment| match attachment {
                    Attachment::Inline(policy) => Arc::clone(policy),
                    Attachment::Named(_) | Attachment::System(..) => {
                        unreachable!("the worlds have none")
                    }
                })
                .collect()
        }

        fn verdict(
            &self,
            statements: &[&Statement],
            action: keyward_commands::ActionId,
            touch: &Touch<'_>,
        ) -> Option<Effect> {
            let matches = |effect| {
                statements.iter().any(|s| {
                    s.effect == effect
                        && s.matches(action, self.resource, touch, &keyward_policy::NoFacts)
                            == Match::Full
                })
            };
            if matches(Effect::Deny) {
                Some(Effect::Deny)
            } else if matches(Effect::Allow) {
                Some(Effect::Allow)
            } else {
                None
            }
        }

        fn list(
            &self,
            attachments: &[Attachment],
            action: keyward_commands::ActionId,
            touch: &Touch<'_>,
        ) -> Option<Effect> {
            let documents = self.documents(attachments);
            let statements: Vec<&Statement> =
                documents.iter().flat_map(|d| d.statements()).collect();
            self.verdict(&statements, action, touch)
        }

        /// All paths of trusts upwards from an identity, the empty one included.
        fn paths(&self, from: IdentityIx) -> Vec<(IdentityIx, Path)> {
            let mut all = vec![(from, Vec::new())];
            let mut at = 0;
            while at < all.len() {
                let (end, path) = all[at].clone();
                for (ix, trust) in self.directory.trusts() {
                    let standing = trust.kind != TrustKind::Assumable;
                    if trust.trustee == end && trust.accepted && standing {
                        let mut longer = path.clone();
                        longer.push(ix);
                        all.push((trust.trustor, longer));
                    }
                }
                at += 1;
            }
            all
        }

        fn session_layers(&self) -> Vec<Vec<Arc<Policy>>> {
            let Some(session) = &self.session.temporary else {
                return Vec::new();
            };
            let directory = self.directory;
            let trust = session.trust.as_ref().unwrap();
            let trust = directory.trust(directory.trust_at(trust).unwrap()).unwrap();
            let own = session.policies.iter().map(|policy| match policy {
                keyward_iam::SessionPolicy::Named(path) => {
                    let named = directory.policy_at(path).unwrap();
                    Arc::clone(directory.policy(named).unwrap().default())
                }
                keyward_iam::SessionPolicy::Text(_) => unreachable!("the worlds have none"),
            });
            let layers = [self.documents(&trust.policies), own.collect()];
            layers
                .into_iter()
                .filter(|layer| !layer.is_empty())
                .collect()
        }

        fn organisation(&self, ix: IdentityIx) -> Option<IdentityIx> {
            self.directory.identity(ix)?.organisation
        }

        fn guardrails(&self, organisation: Option<IdentityIx>) -> Vec<Attachment> {
            organisation
                .and_then(|ix| self.directory.identity(ix))
                .and_then(|o| o.organisation_details())
                .map(|details| details.guardrails.clone())
                .unwrap_or_default()
        }

        fn names(
            &self,
            statement: &Statement,
            identity: Option<IdentityIx>,
            by_itself: bool,
        ) -> bool {
            statement
                .identities
                .iter()
                .any(|pattern| match (pattern, identity) {
                    (IdentityPattern::Path(path), Some(ix)) => {
                        *self.directory.identity(ix).unwrap().path == **path
                    }
                    (IdentityPattern::Everyone, Some(_)) => by_itself,
                    (IdentityPattern::Unauthenticated, None) => true,
                    _ => false,
                })
        }

        fn evaluate(&self, action: keyward_commands::ActionId, touch: &Touch<'_>) -> Outcome {
            let directory = self.directory;
            let database = directory.database_at(self.resource).unwrap();
            let database = directory.database(database).unwrap();
            let owner = database.organisation;
            let policy = database.resource_policy.as_ref();
            let resource: Vec<&Statement> = policy
                .iter()
                .flat_map(|policy| policy.statements())
                .collect();
            let matches = |s: &Statement| {
                s.matches(action, self.resource, touch, &keyward_policy::NoFacts) == Match::Full
            };
            let Principal::Identity(principal) = self.session.principal else {
                let named = |effect| {
                    resource.iter().any(|s| {
                        s.effect == effect
                            && matches(s)
                            && (self.names(s, None, true)
                                || (effect == Effect::Deny
                                    && s.identities.contains(&IdentityPattern::Everyone)))
                    })
                };
                let guard = self.guardrails(Some(owner));
                let guard = (!guard.is_empty()).then(|| self.list(&guard, action, touch));
                return if named(Effect::Deny) || guard == Some(Some(Effect::Deny)) {
                    Outcome::ExplicitDeny
                } else if named(Effect::Allow) && guard.is_none_or(|g| g == Some(Effect::Allow)) {
                    Outcome::Allow
                } else {
                    Outcome::ImplicitDeny
                };
            };
            let own = self.organisation(principal);
            let paths = self.paths(principal);
            // What limits a session: the trust it was assumed through, its own policies.
            let session_layers = self.session_layers();
            let of_session = |effect: Effect| {
                let mut layers = session_layers.iter();
                layers.any(|layer| {
                    let statements: Vec<&Statement> =
                        layer.iter().flat_map(|d| d.statements()).collect();
                    let said = self.verdict(&statements, action, touch);
                    match effect {
                        Effect::Deny => said == Some(Effect::Deny),
                        Effect::Allow => said != Some(Effect::Allow),
                    }
                })
            };
            // Step 2.
            let mut denies = of_session(Effect::Deny);
            denies |= self.list(
                &directory.identity(principal).unwrap().boundary,
                action,
                touch,
            ) == Some(Effect::Deny);
            for organisation in [own, Some(owner)] {
                denies |=
                    self.list(&self.guardrails(organisation), action, touch) == Some(Effect::Deny);
            }
            for trust in paths.iter().flat_map(|(_, path)| path) {
                let trust = directory.trust(*trust).unwrap();
                let side = self.organisation(trust.trustor);
                if side.is_some() && (side == own || side == Some(owner)) {
                    denies |= self.list(&trust.policies, action, touch) == Some(Effect::Deny);
                }
            }
            for statement in resource
                .iter()
                .filter(|s| s.effect == Effect::Deny && matches(s))
            {
                let everyone = statement.identities.contains(&IdentityPattern::Everyone);
                denies |= everyone
                    || paths
                        .iter()
                        .any(|(end, _)| self.names(statement, Some(*end), false));
            }
            if denies {
                return Outcome::ExplicitDeny;
            }
            // Steps 3 and 4.
            if of_session(Effect::Allow) {
                return Outcome::ImplicitDeny;
            }
            for (end, path) in &paths {
                let mut identities = vec![principal];
                identities.extend(path.iter().map(|t| directory.trust(*t).unwrap().trustor));
                let trusts = path.iter().all(|ix| {
                    let trust = directory.trust(*ix).unwrap();
                    let condition = trust.conditions_text();
                    let known = |text: &str| {
                        let mut all = super::support::TRUST_CONDITIONS.iter();
                        all.any(|(known, holds)| *known == text && *holds)
                    };
                    condition.is_none_or(known)
                        && (trust.kind == TrustKind::Ownership
                            || (trust.kind == TrustKind::Membership && trust.policies.is_empty())
                            || self.list(&trust.policies, action, touch) == Some(Effect::Allow))
                });
                let accepted = *end == owner
                    || resource.iter().any(|s| {
                        s.effect == Effect::Allow
                            && matches(s)
                            && self.names(s, Some(*end), path.is_empty())
                    });
                let limits = |list: &[Attachment]| {
                    list.is_empty() || self.list(list, action, touch) == Some(Effect::Allow)
                };
                let bounded = identities.iter().all(|ix| {
                    limits(&directory.identity(*ix).unwrap().boundary)
                        && limits(&self.guardrails(self.organisation(*ix)))
                });
                if trusts && accepted && bounded && limits(&self.guardrails(Some(owner))) {
                    return Outcome::Allow;
                }
            }
            Outcome::ImplicitDeny
        }

        /// One command, with what is implied and what needs more than its own action.
        pub(super) fn decide(&self, words: &[&str]) -> Outcome {
            let command = keyward_commands::resolve(words).unwrap();
            let mut touched = Touched::default();
            keyward_commands::touched(command, words, &mut touched).unwrap();
            let keys: Vec<KeyUse<'_>> = touched
                .keys
                .iter()
                .map(|key| KeyUse {
                    key: words.word(key.word as usize),
                    reads: key.flags.reads(),
                    writes: key.flags.writes(),
                })
                .collect();
            let channels: Vec<ChannelUse<'_>> = touched
                .channels
                .iter()
                .map(|c| ChannelUse {
                    channel: words.word(c.word as usize),
                    pattern: c.pattern,
                })
                .collect();
            let tracks = command.command().channels == keyward_commands::ChannelRule::Tracking;
            let touch = match touched.scope {
                // It tells the names of keys.
                _ if tracks && words.contains(&"BCAST") => EVERY_NAME,
                _ if touched.every_channel => everything(command),
                keyward_commands::Scope::Keyless => Touch::Keyless,
                keyward_commands::Scope::Named => Touch::Named {
                    keys: &keys,
                    channels: &channels,
                },
                keyward_commands::Scope::EveryKey {
                    reads,
                    writes,
                    enumeration,
                } => Touch::EveryKey {
                    reads,
                    writes,
                    enumeration,
                },
            };
            let whole = || {
                CommandId::all().all(|id| {
                    let own = self.evaluate(id.action(), &everything(id));
                    match id.command().class {
                        CommandClass::Ordinary | CommandClass::WholeDatabase => {
                            own == Outcome::Allow
                        }
                        CommandClass::ConnectOnly => own != Outcome::ExplicitDeny,
                        _ => true,
                    }
                })
            };
            let own = self.evaluate(command.action(), &touch);
            match command.command().class {
                CommandClass::Administrative => Outcome::ImplicitDeny,
                CommandClass::ConnectOnly if own == Outcome::ImplicitDeny => {
                    let runs = |id: CommandId, touch: &Touch<'_>| {
                        let runnable = match id.command().class {
                            CommandClass::Ordinary => true,
                            CommandClass::WholeDatabase => whole(),
                            _ => false,
                        };
                        let touches = matches!(
                            touch,
                            Touch::Named { keys: [_, ..], .. } | Touch::EveryKey { .. }
                        );
                        let reads_keys =
                            !touches || id.command().scope == keyward_commands::CommandScope::Keyed;
                        runnable
                            && reads_keys
                            && self.evaluate(id.action(), touch) == Outcome::Allow
                    };
                    match self.evaluate(CONNECT, &Touch::None) {
                        Outcome::ExplicitDeny => return Outcome::ExplicitDeny,
                        Outcome::Allow => {}
                        // "some Execute action is allowed or conditional"
                        Outcome::ImplicitDeny => {
                            let some = CommandId::all().any(|id| {
                                SAMPLES.iter().any(|sample| runs(id, sample))
                                    || (id.command().channels
                                        != keyward_commands::ChannelRule::None
                                        && runs(id, &CHANNEL))
                                    || (self.is_keyless(id) && runs(id, &Touch::Keyless))
                            });
                            if !some {
                                return Outcome::ImplicitDeny;
                            }
                        }
                    }
                    let free = keys.is_empty() && !matches!(touch, Touch::EveryKey { .. });
                    if free || CommandId::all().any(|id| runs(id, &touch)) {
                        Outcome::Allow
                    } else {
                        Outcome::ImplicitDeny
                    }
                }
                _ if own == Outcome::Allow && touched.whole_database && !whole() => {
                    Outcome::ImplicitDeny
                }
                _ => own,
            }
        }

        fn is_keyless(&self, id: CommandId) -> bool {
            id.command().scope == keyward_commands::CommandScope::Keyless
        }
    }

    /// Keys that tell whether an action is possible for some keys in the worlds.
    const SAMPLES: [Touch<'static>; 4] = [
        Touch::Named {
            keys: &[KeyUse {
                key: b"a:1",
                reads: true,
                writes: false,
            }],
            channels: &[],
        },
        Touch::Named {
            keys: &[KeyUse {
                key: b"zz",
                reads: true,
                writes: false,
            }],
            channels: &[],
        },
        Touch::Named {
            keys: &[KeyUse {
                key: b"a:1",
                reads: false,
                writes: true,
            }],
            channels: &[],
        },
        Touch::Named {
            keys: &[KeyUse {
                key: b"zz",
                reads: false,
                writes: true,
            }],
            channels: &[],
        },
    ];
    const CHANNEL: Touch<'static> = Touch::Named {
        keys: &[],
        channels: &[ChannelUse {
            channel: b"a:1",
            pattern: false,
        }],
    };

    const EVERY_NAME: Touch<'static> = Touch::EveryKey {
        reads: true,
        writes: false,
        enumeration: false,
    };

    /// The hardest call of a command: all keys, all channels.
    fn everything(id: CommandId) -> Touch<'static> {
        const ALL_CHANNELS: &[ChannelUse<'static>] = &[ChannelUse {
            channel: b"*",
            pattern: true,
        }];
        match id.command().channels {
            keyward_commands::ChannelRule::None => Touch::of_action(id.action()),
            keyward_commands::ChannelRule::Tracking => EVERY_NAME,
            _ => Touch::Named {
                keys: &[],
                channels: ALL_CHANNELS,
            },
        }
    }
}

#[test]
fn the_evaluator_agrees_with_a_naive_reading_of_the_design() {
    for seed in 0..worlds() {
        let mut random = Random::new(seed * 7 + 8);
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
                    let decision = directory.decide_command(
                        &session,
                        database,
                        *words,
                        false,
                        &keyward_iam::Call::at(NOW),
                    );
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
