//! Who can become more than it is: every path that is told is walked, and who is not told of walks
//! at random and gets nowhere.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/acme.rs"]
mod acme;
#[expect(dead_code, reason = "the properties use the rest of it")]
mod support;

use std::sync::Arc;

use acme::{build, database, identity, organisation, role, token_issuer};
use keyward_iam::{
    AssumeRole, Change, ChangeContext, Circumstances, Directory, Escalation, IdentityIx, Means,
    PolicyInput, Principal, Session, SnapshotState, UnixMillis,
};
use keyward_policy::Touch;
use support::Random;

const NOW: UnixMillis = UnixMillis(10);
const ACME: &str = "org/acme";

fn full(path: &str) -> String {
    match path {
        "" => ACME.to_owned(),
        path if path.starts_with("user/") => path.to_owned(),
        path => format!("{ACME}/{path}"),
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
fn world(statements: &[String], more: Vec<Change>) -> Directory {
    let mut changes = organisation("acme");
    changes.extend([
        database("main"),
        identity("admin"),
        identity("x"),
        group("ops"),
        trust(
            "admin",
            "",
            "programmatic_identity/admin",
            &document(&[allow("*", "**")]),
        ),
    ]);
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

/// A snapshot of `main`, and a database to restore it into.
fn snapshot_and_own() -> Vec<Change> {
    let main = full("kvdb/main");
    vec![
        database("own"),
        Change::CreateSnapshot {
            database: main.clone(),
            id: "nightly".into(),
            description: None,
        },
        Change::EndSnapshot {
            path: format!("{main}/snapshot/nightly"),
            state: SnapshotState::Ready {
                keys: 1,
                bytes: 1,
                sha256: [0; 32],
                server: "embedded".into(),
            },
        },
    ]
}

fn of<'a>(found: &'a [Escalation], id: &str) -> Vec<&'a Escalation> {
    let path = full(&format!("programmatic_identity/{id}"));
    found.iter().filter(|e| *e.identity == *path).collect()
}

/// A session of what is walked with: of a credential, or of a role, which remembers its caller's
/// factor and tags.
fn coming(when: &Circumstances, world: &Directory, known: &[Session], by: &str) -> Vec<Session> {
    let ix = world.identity_at(by);
    let of = |session: &&Session| Some(session.principal) == ix.map(Principal::Identity);
    let come = |session: &Session| match &session.temporary {
        None => ix.map(|ix| when.session(ix)),
        Some(_) => Some(Session {
            source: when.source,
            secure: !when.plain_text,
            ..session.clone()
        }),
    };
    known.iter().filter(of).filter_map(come).collect()
}

/// Walks a path with everything decided, and looks at what it promises.
#[track_caller]
fn walk(directory: &Directory, told: &Escalation) {
    let start = directory.identity_at(&told.identity).unwrap();
    let mut known = vec![Session::of_identity(start)];
    let mut world = directory.clone();
    let mut now = NOW;
    for step in &told.steps {
        let sessions = coming(&step.when, &world, &known, &step.by);
        let at = step.when.at;
        if let (Some(token), Some(ask)) = (&step.token, &step.ask) {
            let provider = world.identity_at(&step.by).unwrap();
            let found = world.assume_role_with_token(
                &step.by,
                token,
                ask,
                &step.when.session(provider),
                "KWTK",
                at,
            );
            let session = Arc::new(found.unwrap().session);
            known.push(world.session_of(&session, at).unwrap());
            continue;
        }
        assert!(!sessions.is_empty() && at >= now, "{told:?}");
        now = at;
        let Some(change) = &step.change else {
            let Some(ask) = &step.ask else { continue };
            let assumed = sessions.iter().find_map(|session| {
                let found = world.assume_role(session, ask, "KWTK", at).ok()?;
                world.session_of(&Arc::new(found.session), at).ok()
            });
            known.extend(assumed);
            assert!(known.len() > 1, "{told:?}");
            continue;
        };
        let approval = sessions
            .iter()
            .find_map(|session| world.authorise_change(session, change, at).ok());
        let context = ChangeContext {
            at,
            by: step.by.to_string(),
            accepts: approval.unwrap_or_else(|| panic!("{told:?}")).accepts,
        };
        world = world.apply(change, &context).unwrap().directory;
        let opened = step.opens.as_ref().and_then(|p| world.identity_at(p));
        known.extend(opened.map(Session::of_identity));
    }
    let Some(gain) = &told.gain else {
        return;
    };
    let action = keyward_commands::action(gain.action).unwrap();
    let allowed = |world: &Directory, sessions: Vec<Session>| {
        let names = keyward_iam::ContextNames {
            keys: gain.key.iter().cloned().collect(),
            ..Default::default()
        };
        sessions.iter().any(|session| {
            let decide = |touch: &Touch<'_>| {
                world.decide(session, action, &gain.resource, touch, gain.when.at)
            };
            names.ask(action, decide).is_allow()
        })
    };
    assert!(
        !allowed(directory, vec![gain.when.session(start)]),
        "{told:?}"
    );
    let end = coming(&gain.when, &world, &known, &gain.by);
    assert!(allowed(&world, end) && gain.when.at >= now, "{told:?}");
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
        (
            "from the office",
            vec![only_if(
                "iam:CreateAccessKey",
                "programmatic_identity/*",
                r#""IpAddress":{"keyward:SourceIp":"10.0.0.0/8"}"#,
            )],
            vec![],
            vec![Means::AccessKey],
        ),
        (
            "with a second factor, later",
            vec![only_if(
                "iam:PutResourcePolicy",
                "kvdb/main",
                r#""Bool":{"keyward:MultiFactorAuthPresent":"true"},
                   "DateGreaterThan":{"keyward:CurrentTime":"2030-01-01T00:00:00Z"}"#,
            )],
            vec![],
            vec![Means::ResourcePolicy],
        ),
        (
            "what is over is over",
            vec![only_if(
                "iam:PutResourcePolicy",
                "kvdb/main",
                r#""DateLessThan":{"keyward:CurrentTime":"1970-01-01T00:00:00Z"}"#,
            )],
            vec![],
            vec![],
        ),
        (
            "tags what it may then read",
            vec![
                only_if(
                    "kvdb:ExecuteGet",
                    "kvdb/*",
                    r#""StringEquals":{"keyward:ResourceTag/team":"x"}"#,
                ),
                allow("iam:TagDatabase", "kvdb/main"),
            ],
            vec![],
            vec![Means::Tag],
        ),
        (
            "tags itself",
            vec![
                only_if(
                    "kvdb:ExecuteGet",
                    "kvdb/*",
                    r#""StringEquals":{"keyward:PrincipalTag/team":"x"}"#,
                ),
                allow("iam:TagProgrammaticIdentity", x),
            ],
            vec![],
            vec![Means::Tag],
        ),
        (
            "takes the tag away that a Deny names",
            vec![
                allow("kvdb:ExecuteGet", "kvdb/*"),
                r#"{"Effect":"Deny","Actions":["kvdb:*"],"Resources":["kvdb/*"],
                    "Conditions":{"StringEquals":{"keyward:ResourceTag/state":"closed"}}}"#
                    .to_owned(),
                allow("iam:TagDatabase", "kvdb/main"),
            ],
            vec![tag("kvdb/main", "state", "closed")],
            vec![Means::Tag],
        ),
        (
            "its team's tag",
            vec![
                only_if(
                    "kvdb:ExecuteGet",
                    "kvdb/*",
                    r#""StringEquals":{"keyward:ResourceTag/team":"${keyward:PrincipalTag/team}"}"#,
                ),
                allow("iam:TagDatabase", "kvdb/main"),
            ],
            vec![tag(x, "team", "red"), tag("kvdb/main", "team", "blue")],
            vec![Means::Tag],
        ),
        (
            "scripts from the office",
            vec![only_if(
                "kvdb:Execute*",
                "kvdb/main",
                r#""IpAddress":{"keyward:SourceIp":"10.0.0.0/8"}"#,
            )],
            vec![],
            vec![Means::Scripts],
        ),
        (
            "restores into a database of its own",
            vec![
                allow("kvdb:RestoreSnapshot kvdb:@read", "kvdb/main/snapshot/*"),
                allow(
                    "kvdb:CreateSnapshot kvdb:RestoreSnapshot kvdb:@read kvdb:@write",
                    "kvdb/own",
                ),
            ],
            snapshot_and_own(),
            vec![Means::Snapshot],
        ),
        (
            "may not read what it restores",
            vec![
                allow("kvdb:RestoreSnapshot", "kvdb/main/snapshot/*"),
                allow("kvdb:@read kvdb:@write kvdb:RestoreSnapshot", "kvdb/own"),
            ],
            snapshot_and_own(),
            vec![],
        ),
        (
            "reads what it restores anyway",
            vec![allow(
                "kvdb:CreateSnapshot kvdb:RestoreSnapshot kvdb:@read kvdb:@write",
                "kvdb/*",
            )],
            snapshot_and_own(),
            vec![],
        ),
    ];
    for (what, statements, more, expected) in cases {
        let directory = world(&statements, more);
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
            answer.found.iter().all(|e| *e.identity != *"user/u-acme"),
            "{what}: the owner has everything"
        );
    }
}

/// Programs that nothing tells from each other cost no comparison each.
#[test]
fn a_thousand_programs_alike() {
    let reader = document(&[allow("kvdb:@read", "kvdb/main")]);
    let mut more = Vec::new();
    for n in 0..1_000 {
        let id = format!("app-{n}");
        more.push(identity(&id));
        more.push(trust(
            &id,
            "",
            &format!("programmatic_identity/{id}"),
            &reader,
        ));
    }
    more.push(identity("strong"));
    let everything = document(&[allow("kvdb:*", "kvdb/main")]);
    more.push(trust(
        "strong",
        "",
        "programmatic_identity/strong",
        &everything,
    ));
    let directory = world(
        &[allow("iam:CreateAccessKey", "programmatic_identity/*")],
        more,
    );
    let answer = directory.escalations("acme", false, NOW);
    assert!(!answer.truncated);
    let told = of(&answer.found, "x");
    let by_strong =
        |told: &&&Escalation| told.steps.iter().any(|step| step.text.contains("/strong "));
    assert!(told.iter().any(|told| by_strong(&told)), "{told:?}");
    let texts = told.iter().flat_map(|told| &told.steps);
    let apps: Vec<&str> = texts
        .map(|step| &*step.text)
        .filter(|text| text.contains("/app-"))
        .collect();
    assert_eq!(apps.len(), 1, "{apps:?}");
    assert!(apps[0].contains("or of 999 others like it"), "{apps:?}");
}

fn only_if(actions: &str, resource: &str, conditions: &str) -> String {
    let plain = allow(actions, resource);
    let plain = plain.strip_suffix('}').unwrap();
    format!(r#"{plain},"Conditions":{{{conditions}}}}}"#)
}

fn tag(path: &str, key: &str, value: &str) -> Change {
    Change::SetTags {
        path: full(path),
        set: [(key.to_owned(), value.to_owned())].into(),
        remove: Vec::new(),
    }
}

/// What must be so for a path is told in words.
#[test]
fn conditions_are_told_in_words() {
    let office = r#""IpAddress":{"keyward:SourceIp":"10.0.0.0/8"}"#;
    let factor = r#""Bool":{"keyward:MultiFactorAuthPresent":"true"}"#;
    let hours = r#""DateGreaterThan":{"keyward:CurrentTime":"2030-01-01T00:00:00Z"},
                   "DateLessThan":{"keyward:CurrentTime":"2030-01-02T00:00:00Z"}"#;
    let not_inner = r#""IpAddress":{"keyward:SourceIp":"10.0.0.0/8"},
                       "NotIpAddress":{"keyward:SourceIp":"10.0.0.0/9"}"#;
    let cases = [
        (String::new(), vec![]),
        (office.to_owned(), vec!["from an address in 10.0.0.0/8"]),
        (
            not_inner.to_owned(),
            vec!["from an address in 10.0.0.0/8 and not in 10.0.0.0/9"],
        ),
        (factor.to_owned(), vec!["with a second factor"]),
        (
            hours.to_owned(),
            vec!["between 2030-01-01T00:00:00Z and 2030-01-02T00:00:00Z"],
        ),
        (
            format!("{office},{factor}"),
            vec!["with a second factor", "from an address in 10.0.0.0/8"],
        ),
        (
            r#""Bool":{"keyward:SecureTransport":"false"}"#.to_owned(),
            vec!["without encryption"],
        ),
        // It tells that, but never two in one.
        (
            r#""IpAddress":{"keyward:SourceIp":["10.0.0.0/8","192.0.2.0/24"]}"#.to_owned(),
            vec!["from an address in 10.0.0.0/8"],
        ),
    ];
    for (conditions, expected) in cases {
        let on = full("programmatic_identity/admin");
        let statement = match &*conditions {
            "" => allow("iam:CreateAccessKey", &on),
            conditions => only_if("iam:CreateAccessKey", &on, conditions),
        };
        let directory = world(&[statement], Vec::new());
        let answer = directory.escalations("acme", false, NOW);
        let told = of(&answer.found, "x");
        let conditions: Vec<Vec<&str>> = told.iter().map(|e| e.conditions()).collect();
        assert_eq!(conditions.first(), Some(&expected), "{told:#?}");
        assert!(!answer.truncated);
        told.iter().for_each(|told| walk(&directory, told));
    }
}

/// Means that no list of moves within one organisation's trusts shows.
#[test]
fn less_common_means() {
    let issuer = token_issuer("ci");
    let mut lets_in = trust("ci", "role/deploy", "identity_provider/ci", "");
    if let Change::CreateTrust {
        conditions, kind, ..
    } = &mut lets_in
    {
        *kind = Some(keyward_iam::TrustKind::Assumable);
        *conditions = Some(
            r#"{"StringEquals":{"keyward:Token/aud":"https://kw.example/org/acme"},
                "StringLike":{"keyward:Token/sub":"repo:acme/*"}}"#
                .into(),
        );
    }
    let federation = vec![
        role("deploy"),
        issuer,
        lets_in,
        trust(
            "deploy",
            "",
            "role/deploy",
            &document(&[allow("kvdb:Delete", "kvdb/*")]),
        ),
    ];
    let reads_own = allow("kvdb:ExecuteGet", "kvdb/own");
    type Case = (&'static str, Vec<String>, Vec<Change>, Vec<Means>);
    let cases: Vec<Case> = vec![
        (
            // Which is why making one takes reading.
            "a copy of what it may not read",
            vec![
                reads_own.clone(),
                allow("kvdb:CreateSnapshot", "kvdb/main"),
                allow("kvdb:RestoreSnapshot", "kvdb/*"),
            ],
            vec![database("own")],
            vec![],
        ),
        (
            "a copy for which there is no place",
            vec![
                reads_own.clone(),
                allow("kvdb:CreateSnapshot", "kvdb/main"),
                allow("kvdb:RestoreSnapshot", "kvdb/main"),
            ],
            vec![database("own")],
            vec![],
        ),
        (
            "a copy of what it reads anyway",
            vec![
                allow("kvdb:ExecuteGet", "kvdb/*"),
                allow("kvdb:CreateSnapshot", "kvdb/main"),
                allow("kvdb:RestoreSnapshot", "kvdb/*"),
            ],
            vec![database("own")],
            vec![],
        ),
        (
            "makes the tokens of a provider",
            vec![
                allow("iam:UpdateIdentityProvider", "identity_provider/ci"),
                allow("iam:UpdateIdentityProvider", "role/deploy"),
            ],
            federation.clone(),
            vec![Means::Provider],
        ),
        (
            "may change the provider, and not what it feeds",
            vec![allow("iam:UpdateIdentityProvider", "identity_provider/ci")],
            federation,
            vec![],
        ),
    ];
    for (what, statements, more, expected) in cases {
        let directory = world(&statements, more);
        let answer = directory.escalations("acme", false, NOW);
        let told = of(&answer.found, "x");
        let means: Vec<Means> = told.iter().map(|e| e.means).collect();
        assert_eq!(means, expected, "{what}: {told:#?}");
        told.iter().for_each(|told| walk(&directory, told));
    }
    // A person who may invite becomes what was meant for somebody else.
    let directory = world(
        &[],
        vec![
            Change::CreateUser {
                id: "eve".into(),
                name: None,
            },
            Change::CreateOrganisationUser {
                organisation: "acme".into(),
                id: "chief".into(),
                name: None,
                user: None,
                invitation: Some(keyward_iam::Invitation {
                    token_hash: [7; 32],
                    expires_at: UnixMillis(1_000_000),
                    email: None,
                }),
            },
            trust(
                "chief",
                "",
                "org_user/chief",
                &document(&[allow("*", "**")]),
            ),
            trust(
                "eve",
                "",
                "user/eve",
                &document(&[allow("iam:UpdateOrgUser iam:CreateTrust", "org_user/chief")]),
            ),
        ],
    );
    let answer = directory.escalations("acme", false, NOW);
    let eve = answer.found.iter().filter(|e| *e.identity == *"user/eve");
    let eve: Vec<&Escalation> = eve.filter(|e| e.gain.is_some()).collect();
    assert!(eve.iter().any(|e| e.means == Means::Membership), "{eve:#?}");
    eve.iter().for_each(|told| walk(&directory, told));
}

/// A role that lets in whoever has a second factor, and asks for a tag of the session.
#[test]
fn roles_are_assumed_under_conditions() {
    let x = "programmatic_identity/x";
    let mut lets_in = trust("auditor", "role/auditor", x, "");
    if let Change::CreateTrust {
        conditions, kind, ..
    } = &mut lets_in
    {
        *kind = Some(keyward_iam::TrustKind::Assumable);
        *conditions = Some(
            r#"{"Bool":{"keyward:MultiFactorAuthPresent":"true"},
                "StringLike":{"keyward:RequestTag/ticket":"T-*"}}"#
                .into(),
        );
    }
    let power = only_if(
        "iam:CreateAccessKey",
        "programmatic_identity/admin",
        r#""StringLike":{"keyward:SessionTag/ticket":"T-*"}"#,
    );
    let directory = world(
        &[],
        vec![
            role("auditor"),
            lets_in,
            trust("power", "", "role/auditor", &document(&[power])),
        ],
    );
    let answer = directory.escalations("acme", false, NOW);
    let told = of(&answer.found, "x");
    assert!(!told.is_empty(), "{:#?}", answer.found);
    for told in told {
        walk(&directory, told);
        assert_eq!(told.conditions(), ["with a second factor"]);
        assert!(
            told.steps[0].text.contains("session tag ticket=T-x"),
            "{told:#?}"
        );
    }
}

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
    let number = |name: &str, default: usize| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (worlds, walks) = (
        number("KEYWARD_ESCALATION_WORLDS", 6),
        number("KEYWARD_ESCALATION_WALKS", 6),
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
