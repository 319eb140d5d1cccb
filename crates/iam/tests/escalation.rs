//! Who can become more than it is: every path that is told is walked, and who is not told of walks
//! at random and gets nowhere.

#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "the properties use the rest of it")]
mod support;

use keyward_commands::ActionId;
use keyward_iam::{
    AssumeRole, Backend, Change, ChangeContext, Directory, Escalation, IdentityIx, Means,
    PolicyInput, Session, UnixMillis,
};
use keyward_policy::Touch;
use support::Random;

const NOW: UnixMillis = UnixMillis(10);
const ACME: &str = "org/acme";

fn build(changes: Vec<Change>) -> Directory {
    let context = ChangeContext::system(UnixMillis(1));
    let mut directory = Directory::empty();
    for change in changes {
        directory = match directory.apply(&change, &context) {
            Ok(applied) => applied.directory,
            Err(error) => panic!("{change:?}: {error}"),
        };
    }
    directory
}

fn full(path: &str) -> String {
    match path {
        "" => ACME.to_owned(),
        path if path.starts_with("user/") => path.to_owned(),
        path => format!("{ACME}/{path}"),
    }
}

fn identity(id: &str) -> Change {
    Change::CreateProgrammaticIdentity {
        organisation: "acme".into(),
        id: id.into(),
        name: None,
    }
}

fn group(id: &str) -> Change {
    Change::CreateGroup {
        organisation: "acme".into(),
        id: id.into(),
        name: None,
    }
}

fn trust(id: &str, trustor: &str, trustee: &str, document: &str) -> Change {
    let document = match document {
        "" => Vec::new(),
        document => vec![PolicyInput::Document(document.into())],
    };
    Change::CreateTrust {
        id: id.into(),
        trustor: full(trustor),
        trustee: full(trustee),
        policies: document,
        expires_at: None,
        kind: None,
        conditions: None,
    }
}

fn allow(actions: &str, resource: &str) -> String {
    statement("Allow", actions, resource)
}

fn statement(effect: &str, actions: &str, resource: &str) -> String {
    let actions: Vec<String> = actions.split(' ').map(|a| format!("\"{a}\"")).collect();
    format!(
        r#"{{"Effect":"{effect}","Actions":[{}],"Resources":["{resource}"]}}"#,
        actions.join(",")
    )
}

fn document(statements: &[String]) -> String {
    format!("[{}]", statements.join(","))
}

/// `acme` with its owner, a strong identity `admin`, and `x`, which has nothing but `statements`.
fn acme(statements: &[String], more: Vec<Change>) -> Directory {
    let mut changes = vec![
        Change::CreateUser {
            id: "boss".into(),
            name: None,
        },
        Change::CreateOrganisation {
            id: "acme".into(),
            name: None,
            owner: "user/boss".into(),
            account: "123456789012".into(),
            administrator: None,
        },
        Change::CreateDatabase {
            organisation: "acme".into(),
            id: "main".into(),
            name: None,
            backend: Backend::Embedded,
        },
        identity("admin"),
        identity("x"),
        group("ops"),
        trust(
            "admin",
            "",
            "programmatic_identity/admin",
            &document(&[allow("*", "**")]),
        ),
    ];
    if !statements.is_empty() {
        changes.push(trust(
            "x",
            "",
            "programmatic_identity/x",
            &document(statements),
        ));
    }
    changes.extend(more);
    build(changes)
}

fn of<'a>(found: &'a [Escalation], id: &str) -> Vec<&'a Escalation> {
    let path = full(&format!("programmatic_identity/{id}"));
    found.iter().filter(|e| *e.identity == *path).collect()
}

/// Walks a path with everything decided, and looks at what it promises.
#[track_caller]
fn walk(directory: &Directory, told: &Escalation) {
    let start = directory.identity_at(&told.identity).unwrap();
    let mut controlled = vec![start];
    let mut world = directory.clone();
    let Some(gain) = &told.gain else {
        return;
    };
    let action = keyward_commands::action(gain.action).unwrap();
    let allowed = |world: &Directory, controlled: &[IdentityIx]| {
        controlled.iter().any(|ix| {
            let session = Session::of_identity(*ix);
            let names = keyward_iam::ContextNames {
                keys: gain.key.iter().cloned().collect(),
                ..Default::default()
            };
            names
                .ask(action, |touch| {
                    world.decide(&session, action, &gain.resource, touch, NOW)
                })
                .is_allow()
        })
    };
    assert!(!allowed(&world, &controlled), "{told:?}");
    for step in &told.steps {
        let by = world.identity_at(&step.by).unwrap();
        assert!(controlled.contains(&by), "{told:?}");
        let Some(change) = &step.change else {
            let role = step.opens.as_ref().unwrap();
            let ask = AssumeRole {
                role: role.to_string(),
                session_name: "walk".into(),
                ..AssumeRole::default()
            };
            let found = world.assume_role(&Session::of_identity(by), &ask, "KWTK", NOW);
            assert!(found.is_ok(), "{told:?}: {found:?}");
            controlled.extend(world.identity_at(role));
            continue;
        };
        let session = Session::of_identity(by);
        let approval = world.authorise_change(&session, change, NOW).unwrap();
        let context = ChangeContext {
            at: NOW,
            by: step.by.to_string(),
            accepts: approval.accepts,
        };
        world = world.apply(change, &context).unwrap().directory;
        controlled.extend(step.opens.as_ref().and_then(|p| world.identity_at(p)));
    }
    assert!(allowed(&world, &controlled), "{told:?}");
}

#[test]
fn ways_to_more() {
    let x = "programmatic_identity/x";
    let admin = "programmatic_identity/admin";
    let reads = allow("kvdb:ExecuteGet", "kvdb/main");
    let deny_writes = statement("Deny", "kvdb:@write", "kvdb/*");
    let all = document(&[allow("*", "**")]);
    let member = |policy: &str| {
        vec![
            trust("ops", "", "group/ops", policy),
            trust("member", "group/ops", x, ""),
        ]
    };
    // (what, statements of x, other changes, the means that must be told)
    type Case = (&'static str, Vec<String>, Vec<Change>, Vec<Means>);
    let cases: Vec<Case> = vec![
        ("nothing", vec![], vec![], vec![]),
        ("only reads", vec![reads.clone()], vec![], vec![]),
        (
            "looks at everything",
            vec![allow("iam:ListTrust iam:DescribeTrust iam:Simulate", "**")],
            vec![],
            vec![],
        ),
        (
            "makes keys",
            vec![allow("iam:CreateAccessKey", "programmatic_identity/*")],
            vec![],
            vec![Means::AccessKey],
        ),
        (
            "makes keys of itself",
            vec![allow("iam:CreateAccessKey", x)],
            vec![],
            vec![],
        ),
        (
            "makes trusts of the organisation, and accepts for itself",
            vec![
                allow("iam:CreateTrust", "org/acme"),
                allow("iam:AcceptTrust", x),
            ],
            vec![],
            vec![],
        ),
        (
            "makes trusts of an identity",
            vec![allow("iam:CreateTrust", admin), allow("iam:AcceptTrust", x)],
            vec![],
            vec![Means::Trust],
        ),
        (
            "nobody accepts",
            vec![allow("iam:CreateTrust", admin)],
            vec![],
            vec![],
        ),
        (
            "changes the organisation's trusts",
            vec![reads.clone(), allow("iam:UpdateTrust", "org/acme")],
            vec![],
            vec![Means::Trust],
        ),
        (
            "changes resource policies",
            vec![allow("iam:PutResourcePolicy", "kvdb/main")],
            vec![],
            vec![Means::ResourcePolicy],
        ),
        (
            "may leave what denies",
            vec![deny_writes.clone()],
            member(&document(&[allow("kvdb:Execute*", "kvdb/*")])),
            vec![Means::Trust],
        ),
        (
            "has a boundary, and a friend",
            vec![allow("kvdb:Execute*", "kvdb/*")],
            vec![Change::PutBoundary {
                identity: full(x),
                policies: vec![PolicyInput::Document(document(std::slice::from_ref(
                    &reads,
                )))],
            }],
            vec![],
        ),
        (
            "two steps",
            vec![allow("iam:CreateAccessKey", "programmatic_identity/clerk")],
            vec![
                identity("clerk"),
                trust(
                    "clerk",
                    "",
                    "programmatic_identity/clerk",
                    &document(&[allow("iam:CreateAccessKey", admin)]),
                ),
            ],
            vec![Means::AccessKey, Means::Several],
        ),
        (
            "through a group of its own",
            vec![
                allow("iam:CreateTrust", "org/acme"),
                allow("iam:CreateGroup", "org/acme"),
                allow("iam:AcceptTrust", x),
                allow("iam:CreateTrust iam:AcceptTrust", "group/*"),
            ],
            vec![],
            vec![Means::Several],
        ),
        ("everything", vec![allow("*", "**")], vec![], vec![]),
        (
            "administers",
            vec![allow("kvdb:SetBackend", "kvdb/main")],
            vec![],
            vec![Means::Administration],
        ),
        (
            "scripts",
            vec![allow("kvdb:Execute*", "kvdb/main")],
            vec![],
            vec![Means::Scripts],
        ),
        ("a strong group", vec![], member(&all), vec![]),
    ];
    for (what, statements, more, expected) in cases {
        let directory = acme(&statements, more);
        let answer = directory.escalations("acme", false, NOW);
        assert!(!answer.truncated);
        let told = of(&answer.found, "x");
        let mut means: Vec<Means> = told.iter().map(|e| e.means).collect();
        means.dedup();
        let everything = what == "everything" || what == "a strong group";
        if everything {
            means.retain(|m| !matches!(m, Means::Scripts | Means::Administration));
        }
        assert_eq!(means, expected, "{what}: {told:#?}");
        for escalation in &answer.found {
            walk(&directory, escalation);
            for step in &escalation.steps {
                assert!(!step.needs.is_empty(), "{what}: {step:?}");
            }
        }
        assert!(
            answer.found.iter().all(|e| *e.identity != *"user/boss"),
            "{what}: the owner has everything"
        );
    }
}

const ACTIONS: [&str; 22] = [
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

fn random_document(random: &mut Random) -> String {
    let statements: Vec<String> = (0..1 + random.below(3))
        .map(|_| {
            let effect = if random.one_in(5) { "Deny" } else { "Allow" };
            statement(effect, random.pick(&ACTIONS), random.pick(&THINGS))
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
    match random.below(14) {
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
    let mut directory = build(vec![
        Change::CreateUser {
            id: "boss".into(),
            name: None,
        },
        Change::CreateOrganisation {
            id: "acme".into(),
            name: None,
            owner: "user/boss".into(),
            account: "123456789012".into(),
            administrator: None,
        },
        Change::CreateDatabase {
            organisation: "acme".into(),
            id: "main".into(),
            name: None,
            backend: Backend::Embedded,
        },
        group("g"),
        group("h"),
        identity("p"),
        identity("q"),
        identity("r"),
        Change::CreateRole {
            organisation: "acme".into(),
            id: "x".into(),
            name: None,
            description: None,
            max_session_seconds: None,
        },
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

/// What can be asked of the world, compared before and after.
fn held(world: &Directory, controlled: &[IdentityIx]) -> Vec<(ActionId, String)> {
    let mut held = Vec::new();
    let resources = NODES
        .iter()
        .map(|n| full(n))
        .chain([full("kvdb/main"), full("policy/shared")]);
    for resource in resources {
        for action in ActionId::all() {
            let ordinary = action
                .command()
                .is_none_or(|id| id.command().class == keyward_commands::CommandClass::Ordinary);
            // Of commands a few stand for all.
            let stands = action.command().is_none_or(|_| {
                ["kvdb:ExecuteGet", "kvdb:ExecuteSet", "kvdb:ExecuteFlushall"]
                    .contains(&action.name())
            });
            if !ordinary || !stands {
                continue;
            }
            let allowed = controlled.iter().any(|ix| {
                let session = Session::of_identity(*ix);
                world
                    .decide(&session, action, &resource, &Touch::None, NOW)
                    .is_allow()
            });
            if allowed {
                held.push((action, resource.clone()));
            }
        }
    }
    held
}

/// Adds the role, if one of the controlled may assume it without limits.
fn assume(world: &Directory, controlled: &mut Vec<IdentityIx>) {
    let role = full("role/x");
    let ask = AssumeRole {
        role: role.clone(),
        session_name: "walk".into(),
        ..AssumeRole::default()
    };
    let ix = world.identity_at(&role);
    if ix.is_none_or(|ix| controlled.contains(&ix)) {
        return;
    }
    let unlimited = |by: &IdentityIx| {
        let found = world.assume_role(&Session::of_identity(*by), &ask, "KWTK", NOW);
        found.is_ok_and(|found| {
            let trust = found.session.trust.and_then(|path| world.trust_at(&path));
            trust
                .and_then(|ix| world.trust(ix))
                .is_none_or(|trust| trust.policies.is_empty())
        })
    };
    if controlled.iter().any(unlimited) {
        controlled.extend(ix);
    }
}

#[test]
fn told_paths_work_and_others_lead_nowhere() {
    let number = |name: &str, default: usize| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (worlds, walks) = (
        number("KEYWARD_ESCALATION_WORLDS", 5),
        number("KEYWARD_ESCALATION_WALKS", 10),
    );
    let mut random = Random::new(number("KEYWARD_ESCALATION_SEED", 5) as u64);
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
            let mut roles = vec![start];
            assume(&directory, &mut roles);
            let before = held(&directory, &roles);
            for _ in 0..walks {
                let mut world = directory.clone();
                let mut controlled = vec![start];
                let mut trail = Vec::new();
                for n in 0..60 {
                    let change = random_change(&mut random, n);
                    let by = random.pick(&controlled);
                    let session = Session::of_identity(by);
                    if world.identity(by).is_none() {
                        break;
                    }
                    let Ok(approval) = world.authorise_change(&session, &change, NOW) else {
                        continue;
                    };
                    let context = ChangeContext {
                        at: NOW,
                        by: "walk".into(),
                        accepts: approval.accepts,
                    };
                    let Ok(applied) = world.apply(&change, &context) else {
                        continue;
                    };
                    world = applied.directory;
                    if let Change::CreateAccessKey { identity, .. } = &change {
                        controlled.extend(world.identity_at(identity));
                    }
                    assume(&world, &mut controlled);
                    trail.push(change);
                }
                if trail.is_empty() {
                    continue;
                }
                for (action, resource) in held(&world, &controlled) {
                    assert!(
                        before.contains(&(action, resource.clone())),
                        "{node} got {action:?} on {resource} by {trail:#?}"
                    );
                }
            }
        }
    }
    println!("{told} paths told, {silent} identities not");
    assert!(told > 0 && silent > 0, "{told} {silent}");
}
