//! Worlds at random: what is told works, and who is not told of walks at random and gets nowhere.

use std::sync::Arc;

use keyward_iam::{
    AssumeRole, Change, ChangeContext, Circumstances, Directory, IdentityIx, PolicyInput, Session,
    UnixMillis,
};
use keyward_policy::Touch;
use keyward_test_cases::{Random, setting};

use super::{ACME, NOW, allow, document, full, group, statement, tag, trust, walk};
use crate::acme::{build, database, identity, organisation, role};

const ACTIONS: [&str; 28] = [
    "iam:TagProgrammaticIdentity",
    "iam:TagGroup",
    "iam:TagDatabase",
    "iam:TagRole",
    "iam:TagProgrammaticIdentity",
    "iam:TagDatabase",
    "kvdb:ExecuteGet",
    "kvdb:Execute*",
    "kvdb:Execute*",
    "iam:CreateAccessKey",
    "iam:CreateAccessKey",
    "iam:DeleteAccessKey",
    "iam:CreateTrust",
    "iam:CreateTrust",
    "iam:AcceptTrust",
    "iam:AcceptTrust",
    "iam:UpdateTrust",
    "iam:DeleteTrust",
    "iam:PutResourcePolicy",
    "iam:DeleteResourcePolicy",
    "iam:PutPermissionBoundary",
    "iam:CreateGroup",
    "iam:DeleteGroup",
    "iam:CreateProgrammaticIdentity",
    "iam:UpdatePolicy",
    "iam:SetDefaultPolicyVersion",
    "org:PutGuardrail",
    "iam:*",
];

const THINGS: [&str; 10] = [
    "org/acme",
    "org/acme",
    "programmatic_identity/*",
    "programmatic_identity/p",
    "programmatic_identity/q",
    "programmatic_identity/r",
    "group/*",
    "group/g",
    "kvdb/*",
    "policy/*",
];

const NODES: [&str; 7] = [
    "",
    "group/g",
    "group/h",
    "programmatic_identity/p",
    "programmatic_identity/q",
    "programmatic_identity/r",
    "role/x",
];

const CONDITIONS: [&str; 8] = [
    r#""IpAddress":{"keyward:SourceIp":"10.0.0.0/8"}"#,
    r#""NotIpAddress":{"keyward:SourceIp":"10.0.0.0/8"}"#,
    r#""Bool":{"keyward:MultiFactorAuthPresent":"true"}"#,
    r#""DateGreaterThan":{"keyward:CurrentTime":"1970-01-02T00:00:00Z"}"#,
    r#""DateLessThan":{"keyward:CurrentTime":"1970-01-02T00:00:00Z"}"#,
    r#""StringEquals":{"keyward:PrincipalTag/team":"a"}"#,
    r#""StringEquals":{"keyward:ResourceTag/team":"a"}"#,
    r#""StringNotEquals":{"keyward:ResourceTag/team":"a"}"#,
];

/// How the walkers come: what the conditions name, and what they do not.
fn contexts() -> Vec<Circumstances> {
    let mut all = Vec::new();
    for source in ["203.0.113.9", "10.1.2.3"] {
        for mfa in [false, true] {
            for at in [NOW, UnixMillis(86_500_000)] {
                all.push(Circumstances {
                    source: Some(source.parse().unwrap()),
                    mfa: mfa.then_some(at),
                    at,
                    ..Circumstances::default()
                });
            }
        }
    }
    all
}

fn random_document(random: &mut Random) -> String {
    let statements: Vec<String> = (0..1 + random.below(3))
        .map(|_| {
            let effect = if random.one_in(5) { "Deny" } else { "Allow" };
            let said = statement(effect, random.pick(&ACTIONS), random.pick(&THINGS));
            if !random.one_in(3) {
                return said;
            }
            let said = said.strip_suffix('}').unwrap();
            format!(r#"{said},"Conditions":{{{}}}}}"#, random.pick(&CONDITIONS))
        })
        .collect();
    document(&statements)
}

fn random_resource_policy(random: &mut Random) -> String {
    let who = full(random.pick(&NODES[1..]));
    let effect = if random.one_in(4) { "Deny" } else { "Allow" };
    let action = random.pick(&ACTIONS);
    format!(r#"[{{"Effect":"{effect}","Actions":["{action}"],"Identities":["{who}"]}}]"#)
}

fn random_change(random: &mut Random, n: usize) -> Change {
    let node = |random: &mut Random| full(random.pick(&NODES));
    let documents = |random: &mut Random| {
        vec![PolicyInput::Document(if random.one_in(3) {
            random_document(random)
        } else {
            document(&[allow("*", "org/acme/**")])
        })]
    };
    match random.below(17) {
        14..=16 => {
            let path = full(random.pick(&[
                "kvdb/main",
                "programmatic_identity/p",
                "programmatic_identity/q",
                "group/g",
                "role/x",
            ]));
            match random.below(3) {
                0 => Change::SetTags {
                    path,
                    set: Default::default(),
                    remove: vec!["team".into()],
                },
                value => {
                    let value = ["a", "b"][value - 1];
                    Change::SetTags {
                        path,
                        set: [("team".to_owned(), value.to_owned())].into(),
                        remove: Vec::new(),
                    }
                }
            }
        }
        0 | 1 => Change::CreateTrust {
            id: format!("n{n}"),
            trustor: node(random),
            trustee: node(random),
            policies: match random.one_in(3) {
                true => Vec::new(),
                false => documents(random),
            },
            expires_at: None,
            kind: None,
            conditions: None,
        },
        2 => Change::UpdateTrust {
            path: full(&format!("trust/t{}", random.below(7))),
            policies: Some(documents(random)),
            expires_at: None,
            conditions: None,
        },
        3 => Change::DeleteTrust {
            path: full(&format!("trust/t{}", random.below(7))),
        },
        4 => Change::AcceptTrust {
            path: full(&format!("trust/n{}", random.below(n.max(1)))),
        },
        5 | 6 => Change::CreateAccessKey {
            identity: full(random.pick(&NODES[3..])),
            key_id: format!("KWAKABCDEFGHIJKLM{n:03}"),
            secret_hash: [0; 32],
            description: None,
            expires_at: None,
            sealed_secret: None,
        },
        7 => Change::PutResourcePolicy {
            path: full(random.pick(&["kvdb/main", "", "programmatic_identity/p", "group/g"])),
            document: if random.one_in(2) {
                random_resource_policy(random).into()
            } else {
                let identity = full(random.pick(&NODES[1..]));
                format!(r#"[{{"Effect":"Allow","Actions":["*"],"Identities":["{identity}"]}}]"#)
                    .into()
            },
        },
        8 => Change::DeleteResourcePolicy {
            path: full(random.pick(&["kvdb/main", "", "programmatic_identity/p", "group/g"])),
        },
        9 => Change::DeleteBoundary {
            identity: node(random),
        },
        10 => Change::PutGuardrails {
            organisation: ACME.into(),
            policies: Vec::new(),
        },
        11 => Change::DeleteIdentity {
            path: node(random),
            cascade: true,
        },
        12 => Change::UpdatePolicy {
            path: full("policy/shared"),
            document: document(&[allow("*", "org/acme/**")]).into(),
            make_default: random.one_in(2),
        },
        _ => Change::SetDefaultPolicyVersion {
            path: full("policy/shared"),
            version: 1 + random.below(2) as u32,
        },
    }
}

fn random_world(random: &mut Random) -> Directory {
    let mut world = organisation("acme");
    world.extend([
        database("main"),
        group("g"),
        group("h"),
        identity("p"),
        identity("q"),
        identity("r"),
        role("x"),
        Change::CreatePolicy {
            organisation: "acme".into(),
            id: "shared".into(),
            name: None,
            document: random_document(random).into(),
        },
        Change::UpdatePolicy {
            path: full("policy/shared"),
            document: random_document(random).into(),
            make_default: true,
        },
    ]);
    let mut directory = build(world);
    let context = ChangeContext::system(UnixMillis(1));
    let mut changes = Vec::new();
    for n in 0..7 {
        // Mostly the organisation trusts somebody.
        let trustor = if random.one_in(2) {
            ""
        } else {
            random.pick(&NODES)
        };
        let mut change = trust(
            &format!("t{n}"),
            trustor,
            random.pick(&NODES),
            &random_document(random),
        );
        if random.one_in(5)
            && let Change::CreateTrust { policies, .. } = &mut change
        {
            *policies = vec![PolicyInput::Named("policy/shared".into())];
        }
        changes.push(change);
    }
    if random.one_in(3) {
        changes.push(Change::PutResourcePolicy {
            path: full(random.pick(&["kvdb/main", "", "programmatic_identity/p", "group/g"])),
            document: random_resource_policy(random).into(),
        });
    }
    for path in ["kvdb/main", "programmatic_identity/p", "group/g", "role/x"] {
        if random.one_in(3) {
            changes.push(tag(path, "team", random.pick(&["a", "b"])));
        }
    }
    if random.one_in(3) {
        changes.push(Change::PutBoundary {
            identity: full(random.pick(&NODES[1..])),
            policies: vec![PolicyInput::Document(document(&[
                allow("kvdb:Execute*", "kvdb/*"),
                allow(random.pick(&ACTIONS), "**"),
            ]))],
        });
    }
    if random.one_in(4) {
        changes.push(Change::PutGuardrails {
            organisation: ACME.into(),
            policies: vec![PolicyInput::Document(document(&[
                allow("*", "**"),
                statement("Deny", "kvdb:ExecuteFlushall", "kvdb/*"),
            ]))],
        });
    }
    for change in changes {
        if let Ok(applied) = directory.apply(&change, &context) {
            directory = applied.directory;
        }
    }
    directory
}

/// What can be asked of the world by whoever comes so, compared before and after.
fn held(
    world: &Directory,
    controlled: &[IdentityIx],
    when: &Circumstances,
) -> Vec<(&'static str, String)> {
    const NAMES: [&str; 12] = [
        "kvdb:ExecuteGet",
        "kvdb:ExecuteSet",
        "kvdb:Delete",
        "iam:CreateAccessKey",
        "iam:CreateTrust",
        "iam:UpdateTrust",
        "iam:PutResourcePolicy",
        "iam:PutPermissionBoundary",
        "iam:SetDefaultPolicyVersion",
        "iam:TagDatabase",
        "iam:CreateGroup",
        "org:PutGuardrail",
    ];
    let mut held = Vec::new();
    let nodes = NODES.iter().map(|n| full(n));
    let sessions = actors(world, controlled, when);
    for resource in nodes.chain([full("kvdb/main"), full("policy/shared")]) {
        for name in NAMES {
            let action = keyward_commands::action(name).unwrap();
            let allowed = sessions.iter().any(|session| {
                world
                    .decide(session, action, &resource, &Touch::None, when.at)
                    .is_allow()
            });
            if allowed {
                held.push((name, resource.clone()));
            }
        }
    }
    held
}

/// The sessions of whoever comes so: of the credentials, and of the role, if one of them may assume
/// it without limits, from wherever.
fn actors(world: &Directory, controlled: &[IdentityIx], when: &Circumstances) -> Vec<Session> {
    let mut sessions: Vec<Session> = controlled.iter().map(|ix| when.session(*ix)).collect();
    let ask = AssumeRole {
        role: full("role/x"),
        session_name: "walk".into(),
        ..AssumeRole::default()
    };
    let unlimited = |trust: Option<String>| {
        let trust = trust.and_then(|path| world.trust_at(&path));
        let trust = trust.and_then(|ix| world.trust(ix));
        trust.is_none_or(|trust| trust.policies.is_empty())
    };
    let elsewhere = contexts();
    let same = elsewhere
        .iter()
        .filter(|other| other.at == when.at && other.mfa.is_some() == when.mfa.is_some());
    let callers = same.flat_map(|other| controlled.iter().map(|ix| other.session(*ix)));
    let assumed = callers
        .filter_map(|caller| world.assume_role(&caller, &ask, "KWTK", when.at).ok())
        .find(|found| unlimited(found.session.trust.clone()));
    if let Some(found) = assumed {
        let session = world.session_of(&Arc::new(found.session), when.at).unwrap();
        sessions.push(Session {
            source: when.source,
            secure: true,
            ..session
        });
    }
    sessions
}

#[test]
fn told_paths_work_and_others_lead_nowhere() {
    let worlds = setting("KEYWARD_ESCALATION_WORLDS", 6);
    let walks = setting("KEYWARD_ESCALATION_WALKS", 6);
    let mut random = Random::new(setting("KEYWARD_ESCALATION_SEED", 5));
    let (mut told, mut silent) = (0, 0);
    for _ in 0..worlds {
        let directory = random_world(&mut random);
        let answer = directory.escalations("acme", false, NOW);
        for escalation in &answer.found {
            walk(&directory, escalation);
            told += 1;
        }
        for node in &NODES[3..6] {
            let start = directory.identity_at(&full(node)).unwrap();
            if answer
                .found
                .iter()
                .any(|e| *e.identity == *full(node) && e.gain.is_some())
            {
                continue;
            }
            silent += 1;
            let contexts = contexts();
            let before: Vec<_> = contexts
                .iter()
                .map(|when| held(&directory, &[start], when))
                .collect();
            for _ in 0..walks {
                let mut world = directory.clone();
                let mut controlled = vec![start];
                let mut trail = Vec::new();
                let mut now = NOW;
                for n in 0..60 {
                    let change = random_change(&mut random, n);
                    let when = &contexts[random.below(contexts.len())];
                    if when.at < now || world.identity(start).is_none() {
                        continue;
                    }
                    // Mostly early, so that there is time for more.
                    if when.at > now && !random.one_in(10) {
                        continue;
                    }
                    let sessions = actors(&world, &controlled, when);
                    let session = &sessions[random.below(sessions.len())];
                    let Ok(approval) = world.authorise_change(session, &change, when.at) else {
                        continue;
                    };
                    let context = ChangeContext {
                        at: when.at,
                        by: "walk".into(),
                        accepts: approval.accepts,
                    };
                    let Ok(applied) = world.apply(&change, &context) else {
                        continue;
                    };
                    world = applied.directory;
                    now = when.at;
                    if let Change::CreateAccessKey { identity, .. } = &change {
                        controlled.extend(world.identity_at(identity));
                    }
                    controlled.retain(|ix| world.identity(*ix).is_some());
                    trail.push((when.clone(), change));
                }
                if trail.is_empty() {
                    continue;
                }
                for (when, before) in contexts.iter().zip(&before) {
                    if when.at < now {
                        continue;
                    }
                    for (action, resource) in held(&world, &controlled, when) {
                        assert!(
                            before.contains(&(action, resource.clone())),
                            "{node} got {action} on {resource} as {when:?} by {trail:#?}"
                        );
                    }
                }
            }
        }
    }
    println!("{told} paths told, {silent} identities not");
    assert!(told > 0 && silent > 0, "{told} {silent}");
}
