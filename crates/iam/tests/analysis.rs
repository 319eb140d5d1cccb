//! Questions about the whole directory, held against the decisions themselves.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/acme.rs"]
mod acme;
#[expect(dead_code, reason = "the properties use the rest of it")]
mod support;

use std::collections::HashSet;

use acme::{build, database, identity, organisation, role, token_issuer};
use keyward_commands::ActionId;
use keyward_iam::{
    Asked, AskedAbout, Call, Change, ContextNames, Directory, Outcome, PolicyInput, Session,
    UnixMillis,
};
use keyward_policy::Touch;
use keyward_test_cases::{Random, setting};
use support::{COMMANDS, DATABASES, PRINCIPALS, World};

const NOW: UnixMillis = UnixMillis(10);

/// How many random worlds; more by an environment variable.
fn worlds() -> u64 {
    setting("KEYWARD_WORLDS", 25)
}

fn action(name: &str) -> ActionId {
    keyward_commands::action(name).unwrap()
}

fn names(keys: &[&str]) -> ContextNames {
    ContextNames {
        keys: keys.iter().map(|key| key.as_bytes().to_vec()).collect(),
        ..ContextNames::default()
    }
}

const ASKED: [&str; 12] = [
    "kvdb:ExecuteGet",
    "kvdb:ExecuteSet",
    "kvdb:ExecuteMget",
    "kvdb:ExecuteCopy",
    "kvdb:ExecuteFlushall",
    "kvdb:ExecuteScan",
    "kvdb:ExecuteTime",
    "kvdb:ExecutePing",
    "kvdb:ExecuteWatch",
    "kvdb:Connect",
    "kvdb:Describe",
    "iam:PutResourcePolicy",
];

/// Whether a Deny of connecting lets an action be used at all.
fn connects(directory: &Directory, session: &Session, action: ActionId, resource: &str) -> bool {
    let connect = keyward_commands::CONNECT;
    let decision = directory.decide(session, connect, resource, &Touch::None, NOW);
    !action.is_execute() || decision.outcome != Outcome::ExplicitDeny
}

#[test]
fn who_can_agrees_with_the_decisions() {
    let mut random = Random::new(11);
    let mut holders = 0;
    for _ in 0..worlds() {
        let (directory, _) = World::random(&mut random).build();
        for resource in DATABASES {
            for name in ASKED {
                let keyed = !["Flushall", "Scan", "Time", "Ping"]
                    .iter()
                    .any(|end| name.ends_with(end));
                for keys in [&[][..], &["a:1"], &["b"], &["a:1", "b"]] {
                    if !keyed && !keys.is_empty() {
                        continue;
                    }
                    let asked = Asked {
                        action: action(name),
                        resource: resource.into(),
                        about: AskedAbout::Names(names(keys)),
                        administration: false,
                        known: Vec::new(),
                    };
                    let answer = directory.who_can(&asked, NOW);
                    for principal in PRINCIPALS {
                        let session = Session::of_path(&directory, principal).unwrap();
                        let decision = names(keys).ask(action(name), |touch| {
                            directory.decide(&session, action(name), resource, touch, NOW)
                        });
                        let own = principal.split('/').nth(1) == resource.split('/').nth(1);
                        let listed = answer
                            .holders
                            .iter()
                            .find(|holder| *holder.identity == *principal);
                        let runs = connects(&directory, &session, action(name), resource);
                        if own {
                            assert_eq!(
                                listed.is_some_and(|holder| holder.always),
                                decision.outcome == Outcome::Allow && runs,
                                "{principal} {name} {keys:?} {resource}: {decision:?} {listed:?}"
                            );
                            holders += usize::from(listed.is_some());
                        } else if decision.is_allow() && runs {
                            // It, or the identity through which it may.
                            let implied = decision.chain.is_empty() && !answer.holders.is_empty();
                            let known = answer.everyone
                                || implied
                                || answer
                                    .holders
                                    .iter()
                                    .any(|holder| decision.chain.contains(&holder.identity));
                            assert!(
                                known,
                                "{principal} {name} {resource}: {decision:?} {answer:?}"
                            );
                        }
                    }
                }
            }
        }
    }
    assert!(holders > 100, "{holders}");
}

#[test]
fn access_agrees_with_the_decisions() {
    let mut random = Random::new(12);
    let mut groups = 0;
    for _ in 0..worlds() {
        let (directory, _) = World::random(&mut random).build();
        for principal in PRINCIPALS {
            let session = Session::of_path(&directory, principal).unwrap();
            let access = directory.access(&session, &[], false, NOW);
            for resource in DATABASES {
                let found = access
                    .databases
                    .iter()
                    .find(|d| d.resources.iter().any(|r| **r == *resource));
                for action in ActionId::all().filter(|a| a.is_execute()) {
                    let class = action.command().unwrap().command().class;
                    let channels = action.command().unwrap().command().channels;
                    if class != keyward_commands::CommandClass::Ordinary
                        || channels != keyward_commands::ChannelRule::None
                    {
                        continue;
                    }
                    let mut told = found
                        .into_iter()
                        .flat_map(|d| &d.groups)
                        .filter(|group| group.actions.contains(&action.name()));
                    let told: Vec<_> = told.by_ref().collect();
                    let runs = connects(&directory, &session, action, resource);
                    let asked = |touch: &Touch<'_>| {
                        directory.decide(&session, action, resource, touch, NOW)
                    };
                    let scope = action.command().unwrap().command().scope;
                    let keys: &[&str] = match scope {
                        keyward_commands::CommandScope::Keyed => &["a:1", "b"],
                        _ => &[],
                    };
                    let on = |key: &&str| names(&[key]).ask(action, asked);
                    for decision in std::iter::once(asked(&Touch::None)).chain(keys.iter().map(on))
                    {
                        assert!(
                            !decision.is_allow() || !told.is_empty() || !runs,
                            "{principal} {action:?} {resource}: {decision:?} {found:?}"
                        );
                    }
                    if told.iter().any(|group| group.way.is_unlimited()) {
                        assert!(asked(&Touch::None).is_allow(), "{action:?} {told:?}");
                    }
                    groups += told.len();
                }
            }
        }
    }
    assert!(groups > 1_000, "{groups}");
}

fn trust(id: &str, trustor: &str, trustee: &str, document: &str) -> Change {
    Change::CreateTrust {
        id: id.into(),
        trustor: format!("org/acme{trustor}"),
        trustee: format!("org/acme{trustee}"),
        policies: vec![PolicyInput::Document(document.into())],
        expires_at: None,
        kind: None,
        conditions: None,
    }
}

/// (identity, policy on the trust of the organisation)
const PEOPLE: [(&str, &str); 5] = [
    (
        "reader",
        r#"[{"Sid":"Read","Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/x"],"ReadKeys":["user:*"]}]"#,
    ),
    (
        "writer",
        r#"[{"Sid":"Write","Effect":"Allow","Actions":["kvdb:ExecuteSet"],"Resources":["kvdb/*"],"WriteKeys":["user:*"]}]"#,
    ),
    (
        "all",
        r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/x"]}]"#,
    ),
    (
        "careful",
        r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/x"]},
            {"Effect":"Deny","Actions":["kvdb:@write"],"Resources":["kvdb/x"],"Keys":["user:1"]}]"#,
    ),
    (
        "nobody",
        r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/y"]}]"#,
    ),
];

fn acme() -> Directory {
    let mut changes = organisation("acme");
    changes.extend([database("x"), database("y")]);
    for (id, document) in PEOPLE {
        changes.push(identity(id));
        changes.push(trust(
            id,
            "",
            &format!("/programmatic_identity/{id}"),
            document,
        ));
    }
    build(changes)
}

#[test]
fn who_can_by_name() {
    let directory = acme();
    // (action, keys or any call, "identity[?][:only]" with `?` for a limit)
    let cases: [(&str, Option<&[&str]>, &str); 9] = [
        (
            "kvdb:ExecuteGet",
            Some(&["user:1"]),
            "all careful reader owner",
        ),
        ("kvdb:ExecuteGet", Some(&["other"]), "all careful owner"),
        ("kvdb:ExecuteGet", None, "all careful reader? owner"),
        (
            "kvdb:ExecuteSet",
            Some(&["user:1"]),
            "all writer?:write owner",
        ),
        (
            "kvdb:ExecuteSet",
            Some(&["user:2"]),
            "all careful writer?:write owner",
        ),
        ("kvdb:ExecuteSet", None, "all careful? writer? owner"),
        ("kvdb:ExecuteFlushall", None, "all owner"),
        ("kvdb:ExecuteEval", None, "all owner"),
        ("kvdb:Delete", None, "owner"),
    ];
    for (name, keys, expected) in cases {
        let about = match keys {
            Some(keys) => AskedAbout::Names(names(keys)),
            None => AskedAbout::AnyCall,
        };
        let asked = Asked {
            action: action(name),
            resource: "org/acme/kvdb/x".into(),
            about,
            administration: false,
            known: Vec::new(),
        };
        let answer = directory.who_can(&asked, NOW);
        let found: Vec<String> = answer
            .holders
            .iter()
            .map(|holder| {
                let id = holder.identity.rsplit('/').next().unwrap();
                let id = if id == "u-acme" { "owner" } else { id };
                let limit = if holder.always { "" } else { "?" };
                let only = holder.only.map(|only| format!(":{only}"));
                format!("{id}{limit}{}", only.unwrap_or_default())
            })
            .collect();
        assert_eq!(found.join(" "), expected, "{name} {keys:?}");
        for holder in &answer.holders {
            assert!(!holder.ways.is_empty(), "{name}: {holder:?}");
            assert_eq!(holder.ways[0].chain.first(), Some(&holder.identity));
        }
    }
    let asked = Asked {
        action: action("kvdb:ExecuteConfigSet"),
        resource: "org/acme/kvdb/x".into(),
        about: AskedAbout::AnyCall,
        administration: true,
        known: Vec::new(),
    };
    let answer = directory.who_can(&asked, NOW);
    assert!(answer.holders.is_empty());
    assert!(
        answer
            .nobody_because
            .unwrap()
            .contains("off for the database")
    );
}

#[test]
fn access_by_name() {
    let directory = acme();
    let told = |id: &str| {
        let session =
            Session::of_path(&directory, &format!("org/acme/programmatic_identity/{id}")).unwrap();
        let access = directory.access(&session, &[], false, NOW);
        assert_eq!(access.others, [], "{id}");
        let lines = access.databases.iter().flat_map(|database| {
            assert_eq!(database.connects, Some(true));
            let resource = database.resources[0].rsplit('/').next().unwrap();
            database.groups.iter().map(move |group| {
                let keys = group.way.keys.iter().flat_map(|keys| {
                    keys.keys
                        .iter()
                        .chain(&keys.read_keys)
                        .chain(&keys.write_keys)
                        .map(|glob| String::from_utf8_lossy(glob.text()).into_owned())
                });
                let complete = if group.complete { "all" } else { "some" };
                let keys: Vec<String> = keys.collect();
                format!(
                    "{resource} {} {complete} {}",
                    group.risk.as_str(),
                    keys.join(",")
                )
            })
        });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(told("nobody"), ["y read some "]);
    assert_eq!(
        told("writer"),
        ["x delete some user:*", "y delete some user:*"]
    );
    // What would read and write at once, and what reads every key, is not among it; enumerations
    // are, which show these keys.
    assert_eq!(
        told("reader"),
        [
            "x connection some user:*",
            "x read all user:*",
            "x whole_keyspace_read some user:*"
        ]
    );
    assert!(told("all").contains(&"x whole_keyspace_write some ".to_owned()));
    assert!(told("all").contains(&"x scripts all ".to_owned()));
    // A Deny on one key is enough to take the whole database away.
    assert!(!told("careful").iter().any(|line| line.contains("scripts")));
}

/// An organisation of everybody who may act: programs, a person, a role that a program, a person and
/// tokens may assume, one that nobody may, a partner, and whoever does not log in.
fn everybody() -> Directory {
    let mut changes = organisation("acme");
    changes.extend(organisation("other"));
    changes.extend([database("x"), identity("ci"), identity("idle")]);
    changes.push(Change::CreateProgrammaticIdentity {
        organisation: "other".into(),
        id: "partner".into(),
        name: None,
    });
    for id in ["ann", "bob"] {
        changes.push(Change::CreateUser {
            id: id.into(),
            name: None,
        });
    }
    changes.push(Change::CreateOrganisationUser {
        organisation: "acme".into(),
        id: "ann".into(),
        name: None,
        user: Some("user/ann".into()),
        invitation: None,
    });
    changes.push(Change::CreateGroup {
        organisation: "acme".into(),
        id: "ops".into(),
        name: None,
    });
    for id in ["deploy", "narrow", "lonely"] {
        changes.push(role(id));
    }
    changes.push(token_issuer("github"));
    let full = |path: &str| match path {
        path if path.starts_with("org/") || path.starts_with("user/") => path.to_owned(),
        path => format!("org/acme/{path}"),
    };
    let reads = r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/x"]}]"#;
    let writes = r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteSet"],"Resources":["kvdb/x"],"Keys":["app:*"]}]"#;
    let gets = r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["org/acme/kvdb/x"],"Keys":["app:*"]}]"#;
    let token = r#"{"StringEquals":{"keyward:Token/aud":"https://kw.example/org/acme","keyward:Token/sub":"main"}}"#;
    let factor = r#"{"Bool":{"keyward:MultiFactorAuthPresent":"true"}}"#;
    // (id, trustor, trustee, policy, assumable, conditions)
    let trusts = [
        (
            "t1",
            "org/acme",
            "programmatic_identity/ci",
            writes,
            false,
            "",
        ),
        ("t2", "org/acme", "group/ops", reads, false, ""),
        ("t3", "group/ops", "org_user/ann", "", false, ""),
        ("t4", "org/acme", "role/deploy", reads, false, ""),
        (
            "t5",
            "role/deploy",
            "programmatic_identity/ci",
            "",
            true,
            "",
        ),
        ("t6", "role/deploy", "org_user/ann", "", true, factor),
        (
            "t7",
            "role/deploy",
            "identity_provider/github",
            "",
            true,
            token,
        ),
        ("t8", "org/acme", "role/narrow", reads, false, ""),
        (
            "t9",
            "role/narrow",
            "programmatic_identity/idle",
            gets,
            true,
            "",
        ),
        ("t10", "org/acme", "role/lonely", reads, false, ""),
        (
            "t11",
            "org/acme",
            "org/other/programmatic_identity/partner",
            gets,
            false,
            "",
        ),
    ];
    for (id, trustor, trustee, policy, assumable, conditions) in trusts {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        changes.push(Change::CreateTrust {
            id: id.into(),
            trustor: full(trustor),
            trustee: full(trustee),
            policies: given(policy)
                .map(PolicyInput::Document)
                .into_iter()
                .collect(),
            expires_at: None,
            kind: assumable.then_some(keyward_iam::TrustKind::Assumable),
            conditions: given(conditions),
        });
    }
    changes.push(Change::PutResourcePolicy {
        path: "org/acme/kvdb/x".into(),
        document: r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteExists"],"Identities":["unauthenticated"]}]"#
            .to_owned()
            .into(),
    });
    build(changes)
}

#[test]
fn everybody_who_can_is_told_with_how_they_come() {
    let directory = everybody();
    // (action, resource, keys, holders: `?` under limits, `<` who assumes the role)
    let deploy = "deploy<ci,ann?,u-acme,github?";
    let cases: [(&str, &str, Option<&[&str]>, String); 10] = [
        (
            "kvdb:ExecuteGet",
            "kvdb/x",
            Some(&["app:1"]),
            format!("{deploy} lonely<u-acme narrow<idle,u-acme partner ann u-acme"),
        ),
        (
            "kvdb:ExecuteGet",
            "kvdb/x",
            None,
            format!("{deploy} lonely<u-acme narrow<idle?,u-acme partner? ann u-acme"),
        ),
        (
            "kvdb:ExecuteSet",
            "kvdb/x",
            Some(&["app:1"]),
            "ci u-acme".into(),
        ),
        ("kvdb:ExecuteSet", "kvdb/x", Some(&["b"]), "u-acme".into()),
        ("kvdb:ExecuteSet", "kvdb/x", None, "ci? u-acme".into()),
        ("kvdb:ExecuteFlushall", "kvdb/x", None, "u-acme".into()),
        (
            "kvdb:ExecuteExists",
            "kvdb/x",
            Some(&["b"]),
            format!("{deploy} lonely<u-acme narrow<u-acme unauthenticated ann u-acme"),
        ),
        (
            "sts:AssumeRole",
            "role/deploy",
            None,
            "ci ann? u-acme".into(),
        ),
        (
            "sts:AssumeRoleWithWebIdentity",
            "role/deploy",
            None,
            "github?".into(),
        ),
        ("sts:AssumeRole", "role/narrow", None, "idle u-acme".into()),
    ];
    for (name, resource, keys, expected) in cases {
        let asked = Asked {
            action: action(name),
            resource: format!("org/acme/{resource}"),
            about: match keys {
                Some(keys) => AskedAbout::Names(names(keys)),
                None => AskedAbout::AnyCall,
            },
            administration: false,
            known: Vec::new(),
        };
        let id = |path: &str| path.rsplit('/').next().unwrap().to_owned();
        let marked = |path: &str, always: bool| id(path) + if always { "" } else { "?" };
        let holders = directory.who_can(&asked, NOW).holders;
        let found = holders.iter().map(|holder| {
            let by: Vec<String> = holder
                .assumed_by
                .iter()
                .map(|by| marked(&by.identity, by.always))
                .collect();
            let by = if by.is_empty() {
                String::new()
            } else {
                format!("<{}", by.join(","))
            };
            format!("{}{by}", marked(&holder.identity, holder.always))
        });
        let found: Vec<String> = found.collect();
        assert_eq!(found.join(" "), expected, "{name} {keys:?}");
        // Each holder that always can is allowed by the decisions.
        for holder in holders.iter().filter(|holder| holder.always) {
            let session = Session::of_path(&directory, &holder.identity).unwrap();
            let ask = |touch: &Touch<'_>| {
                directory.decide(&session, asked.action, &asked.resource, touch, NOW)
            };
            let allowed = names(keys.unwrap_or(&[])).ask(asked.action, ask);
            assert!(allowed.is_allow(), "{name} {holder:?}");
            assert!(!holder.ways[0].chain.is_empty() && holder.ways[0].chain[0] == holder.identity);
        }
    }
}

#[test]
fn what_is_not_known_is_told_as_a_condition() {
    let mut changes = organisation("acme");
    changes.extend([database("x"), identity("office"), identity("own")]);
    let office = r#"[{"Sid":"Office","Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/x"],
        "Conditions":{"IpAddress":{"keyward:SourceIp":"10.0.0.0/8"}}},
        {"Sid":"Plain","Effect":"Deny","Actions":["kvdb:*"],"Resources":["kvdb/x"],
        "Conditions":{"Bool":{"keyward:SecureTransport":"false"}}},
        {"Sid":"Past","Effect":"Allow","Actions":["kvdb:@write"],"Resources":["kvdb/x"],
        "Conditions":{"DateLessThan":{"keyward:CurrentTime":"1970-01-01T00:00:00Z"}}}]"#;
    let own = r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/x"],
        "Keys":["${keyward:PrincipalId}:*"]}]"#;
    for (id, document) in [("office", office), ("own", own)] {
        changes.push(trust(
            id,
            "",
            &format!("/programmatic_identity/{id}"),
            document,
        ));
    }
    let directory = build(changes);
    let ask = |name: &str, key: &str, known: &[(&str, &str)]| {
        let asked = Asked {
            action: action(name),
            resource: "org/acme/kvdb/x".into(),
            about: AskedAbout::Names(names(&[key])),
            administration: false,
            known: known
                .iter()
                .map(|(name, value)| ((*name).to_owned(), vec![value.as_bytes().to_vec()]))
                .collect(),
        };
        let holders = directory.who_can(&asked, NOW).holders.into_iter();
        let programs = holders.filter(|holder| holder.identity.starts_with("org/"));
        programs.collect::<Vec<_>>()
    };
    let (inside, outside) = (
        ("keyward:SourceIp", "10.1.1.1"),
        ("keyward:SourceIp", "192.0.2.1"),
    );
    let (tls, plain) = (
        ("keyward:SecureTransport", "true"),
        ("keyward:SecureTransport", "false"),
    );
    // (known, whether `office` may read for sure, under conditions, or not)
    type Given<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Given<'_>, Option<bool>); 6] = [
        (&[], Some(false)),
        (&[inside], Some(false)),
        (&[inside, tls], Some(true)),
        (&[inside, plain], None),
        (&[outside], None),
        (&[tls], Some(false)),
    ];
    for (known, expected) in cases {
        let found = ask("kvdb:ExecuteGet", "a", known);
        assert_eq!(
            found.first().map(|h| h.always),
            expected,
            "{known:?}: {found:?}"
        );
    }
    let open = &ask("kvdb:ExecuteGet", "a", &[])[0].ways[0];
    assert_eq!(open.conditions[0].operator, "IpAddress");
    assert_eq!(&*open.conditions[0].values[0], "10.0.0.0/8");
    assert_eq!(
        &*open.exceptions[0].conditions[0].key,
        "keyward:SecureTransport"
    );
    // What is over is over.
    assert!(ask("kvdb:ExecuteSet", "a", &[]).is_empty());
    // The moment is not known where anything is said.
    assert_eq!(ask("kvdb:ExecuteSet", "a", &[tls]).len(), 1);
    // A variable of the principal is known.
    let own = ask("kvdb:ExecuteGet", "own:1", &[]);
    assert_eq!(own.len(), 2, "{own:?}");
    assert!(own[1].always);
    let text = String::from_utf8_lossy(own[1].ways[0].keys[0].keys[0].text()).into_owned();
    assert_eq!(text, "own:*");
}

/// An identity that carries one document.
fn carrying(document: PolicyInput) -> Directory {
    let mut changes = organisation("acme");
    changes.extend([database("x"), identity("p")]);
    changes.push(Change::CreateTrust {
        id: "p".to_owned(),
        trustor: "org/acme".to_owned(),
        trustee: "org/acme/programmatic_identity/p".to_owned(),
        policies: vec![document],
        expires_at: None,
        kind: None,
        conditions: None,
    });
    build(changes)
}

#[test]
fn a_command_that_writes_is_not_told_of_keys_that_are_only_read() {
    let document = r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/x"],
        "ReadKeys":["ro:*"],"WriteKeys":["wo:*"]}]"#;
    let directory = carrying(PolicyInput::Document(document.to_owned()));
    // (command, key, what calls may do; none: nothing)
    let cases = [
        ("Get", "ro:1", Some(None)),
        ("Get", "wo:1", None),
        ("Set", "ro:1", None),
        ("Set", "wo:1", Some(Some("write"))),
        ("Incr", "ro:1", None),
        ("Incr", "wo:1", None),
        ("Append", "wo:1", Some(None)),
        ("Bitfield", "ro:1", Some(Some("read"))),
        ("Bitfield", "wo:1", None),
        ("Copy", "ro:1", Some(Some("read"))),
        ("Copy", "wo:1", Some(Some("write"))),
    ];
    for (command, key, expected) in cases {
        let asked = Asked {
            action: action(&format!("kvdb:Execute{command}")),
            resource: "org/acme/kvdb/x".into(),
            about: AskedAbout::Names(names(&[key])),
            administration: false,
            known: Vec::new(),
        };
        let holders = directory.who_can(&asked, NOW).holders.into_iter();
        let mut programs = holders.filter(|holder| holder.identity.starts_with("org/"));
        let found = programs.next().map(|holder| holder.only);
        assert_eq!(found, expected, "{command} {key}");
    }
}

#[test]
fn nobody_runs_a_command_who_may_not_connect() {
    let denied = |conditions: &str| {
        format!(
            r#"[{{"Effect":"Allow","Actions":["kvdb:ExecuteGet","kvdb:Describe"],"Resources":["kvdb/x"]}},
            {{"Effect":"Deny","Actions":["kvdb:Connect"],"Resources":["kvdb/x"]{conditions}}}]"#
        )
    };
    let office = r#","Conditions":{"NotIpAddress":{"keyward:SourceIp":"10.0.0.0/8"}}"#;
    // (conditions of the Deny, whether GET is told, always)
    for (conditions, expected) in [("", None), (office, Some(false))] {
        let directory = carrying(PolicyInput::Document(denied(conditions)));
        let asked = Asked {
            action: action("kvdb:ExecuteGet"),
            resource: "org/acme/kvdb/x".into(),
            about: AskedAbout::Names(names(&["a"])),
            administration: false,
            known: Vec::new(),
        };
        let holders = directory.who_can(&asked, NOW).holders.into_iter();
        let programs: Vec<_> = holders.filter(|h| h.identity.starts_with("org/")).collect();
        let found = programs.first();
        assert_eq!(found.map(|holder| holder.always), expected, "{programs:?}");
        if let Some(holder) = found {
            assert_eq!(holder.ways[0].exceptions.len(), 1, "{programs:?}");
        }
        let session = Session::of_path(&directory, "org/acme/programmatic_identity/p").unwrap();
        let access = directory.access(&session, &[], false, NOW);
        let told = |name| {
            let mut groups = access.databases[0].groups.iter();
            groups.any(|group| group.actions.contains(&name))
        };
        assert!(told("kvdb:Describe"));
        assert_eq!(told("kvdb:ExecuteGet"), expected.is_some());
    }
}

/// However much a policy says, the answer to a question about it stays one for people.
/// A vendor's Deny that says the same of every call leaves nothing to tell of.
#[test]
fn who_a_vendor_denies_is_not_told() {
    let mut changes = organisation("acme");
    changes.extend([database("x"), identity("a"), identity("b")]);
    let all = r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/x"]}]"#;
    for id in ["a", "b"] {
        changes.push(trust(id, "", &format!("/programmatic_identity/{id}"), all));
    }
    let organisation = "arn:aws:iam::000000000004";
    let statement = |action: &str, condition: &str| {
        format!(
            r#"{{"Effect":"Deny","NotPrincipal":{{"AWS":["{organisation}:root","{organisation}:user/a"]}},
                "Action":"{action}","Resource":"*"{condition}}}"#
        )
    };
    let written = format!(
        r#"{{"Version":"2012-10-17","Statement":[{},{}]}}"#,
        statement("kvdb:ExecuteSet", ""),
        statement(
            "kvdb:ExecuteDel",
            r#","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#
        ),
    );
    changes.push(Change::PutResourcePolicy {
        path: "org/acme/kvdb/x".into(),
        document: written.into(),
    });
    let directory = build(changes);
    let who = |name: &str| -> Vec<String> {
        let asked = Asked {
            action: action(name),
            resource: "org/acme/kvdb/x".into(),
            about: AskedAbout::AnyCall,
            administration: false,
            known: Vec::new(),
        };
        let holders = directory.who_can(&asked, NOW).holders;
        let programs = holders.iter().map(|holder| holder.identity.to_string());
        programs.filter(|path| path.starts_with("org/")).collect()
    };
    let (a, b) = (
        "org/acme/programmatic_identity/a",
        "org/acme/programmatic_identity/b",
    );
    assert_eq!(who("kvdb:ExecuteGet"), [a, b]);
    assert_eq!(who("kvdb:ExecuteSet"), [a]);
    assert_eq!(who("kvdb:ExecuteDel"), [a, b], "not from everywhere");
    let b = Session::of_path(&directory, b).unwrap();
    let access = directory.access(&b, &[], false, NOW);
    let actions: Vec<&str> = access.databases[0]
        .groups
        .iter()
        .flat_map(|group| group.actions.iter().copied())
        .collect();
    assert!(actions.contains(&"kvdb:ExecuteGet") && actions.contains(&"kvdb:ExecuteDel"));
    assert!(!actions.contains(&"kvdb:ExecuteSet"));
}

#[test]
fn answers_about_large_policies_are_bounded() {
    let native = |count: usize| {
        let one = |n: usize| {
            let effect = if n.is_multiple_of(3) { "Deny" } else { "Allow" };
            format!(
                r#"{{"Effect":"{effect}","Actions":["kvdb:Execute*"],"Resources":["kvdb/x"],
                "Keys":["*a*{n}*","b{n}:*"]}}"#
            )
        };
        format!("[{}]", (0..count).map(one).collect::<Vec<_>>().join(","))
    };
    let patterns = {
        let one = |n: usize| format!("\"k{n}:*\"");
        let keys = (0..2_000).map(one).collect::<Vec<_>>().join(",");
        format!(
            r#"[{{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/x"],"Keys":[{keys}]}}]"#
        )
    };
    let vendor = {
        let one = |n: usize| {
            let effect = if n.is_multiple_of(3) { "Deny" } else { "Allow" };
            format!(
                r#"{{"Effect":"{effect}","NotAction":["kvdb:ExecuteGet"],
                "Resource":["arn:aws:elasticache:*:*:replicationgroup:x"],
                "Condition":{{"IpAddress":{{"aws:SourceIp":"10.0.{}.0/24"}}}}}}"#,
                n % 256
            )
        };
        let statements = (0..300).map(one).collect::<Vec<_>>().join(",");
        format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
    };
    for (name, document) in [
        ("native", native(300)),
        ("keys", patterns),
        ("vendor", vendor),
    ] {
        let directory = carrying(PolicyInput::Document(document));
        let session = Session::of_path(&directory, "org/acme/programmatic_identity/p").unwrap();
        let access = directory.access(&session, &[], false, NOW);
        let ways: Vec<_> = access
            .databases
            .iter()
            .flat_map(|database| &database.groups)
            .map(|group| &group.way)
            .collect();
        assert!(
            !ways.is_empty() && ways.len() <= 500,
            "{name}: {}",
            ways.len()
        );
        assert!(ways.iter().all(|way| way.exceptions.len() <= 16), "{name}");
        assert!(
            ways.iter()
                .all(|way| way.keys.iter().all(|keys| keys.keys.len() <= 64)),
            "{name}"
        );
        assert!(
            access.databases[0].truncated || ways.iter().any(|way| way.left_out > 0),
            "{name}: what is left out is said"
        );
        let asked = Asked {
            action: action("kvdb:ExecuteSet"),
            resource: "org/acme/kvdb/x".into(),
            about: AskedAbout::AnyCall,
            administration: false,
            known: Vec::new(),
        };
        let holders = directory.who_can(&asked, NOW).holders;
        let listed: usize = holders.iter().map(|holder| holder.ways.len()).sum();
        assert!(listed <= 510, "{name}: {listed}");
        let database = directory.database_at("org/acme/kvdb/x").unwrap();
        let rules = directory.acl_rules(&session, database, NOW);
        let told: HashSet<_> = rules.losses.iter().collect();
        assert_eq!(told.len(), rules.losses.len(), "{name}: each loss once");
    }
}

/// Rules that stand for an identity never allow what is not allowed, from anywhere and at any time.
#[test]
fn acl_rules_are_no_wider_than_the_decisions() {
    let mut random = Random::new(31);
    let (mut kept, mut lost) = (0, 0);
    for round in 0..worlds() * 4 {
        let mut world = match round % 2 {
            0 => World::random(&mut random),
            _ => World::conditional(&mut random),
        };
        world.acl = round % 3 == 0;
        let (directory, _) = world.build();
        for resource in DATABASES {
            let database = directory.database_at(resource).unwrap();
            for principal in PRINCIPALS {
                let session = Session::of_path(&directory, principal).unwrap();
                let rules = directory.acl_rules(&session, database, NOW);
                for words in COMMANDS {
                    let (command, name) = (keyward_commands::resolve(words).unwrap(), words[0]);
                    let held = rules.user.allows(command, words, 0).is_ok();
                    let mut all = true;
                    for address in ["10.0.0.1", "192.0.2.1"] {
                        for (index, client) in [(0, None), (0, Some(&b"p"[..]))] {
                            let session = Session {
                                source: Some(address.parse().unwrap()),
                                ..session.clone()
                            };
                            let call = Call {
                                database_index: index,
                                client_name: client,
                                now: NOW,
                            };
                            let decision =
                                directory.decide_command(&session, database, words, false, &call);
                            // Only some keys are shown: rules cannot do that.
                            let shows = |key: &&[u8]| {
                                let shown =
                                    directory.shows_key(&session, database, words, key, &call);
                                shown.is_none_or(|shown| shown)
                            };
                            let keys: [&[u8]; 3] = [b"a:1", b"b", b"z"];
                            let filtered = !keys.iter().all(shows);
                            let allowed = decision.is_allow();
                            all &= allowed;
                            assert!(
                                !held || (allowed && !filtered),
                                "{principal} on {resource}: {words:?}: {} : {decision:?}",
                                rules.user
                            );
                        }
                    }
                    kept += usize::from(held);
                    lost += usize::from(all && !held);
                    assert!(
                        held || !all || !rules.losses.is_empty(),
                        "{principal} on {resource}: {name}: {}",
                        rules.user
                    );
                }
            }
        }
    }
    assert!(kept > 300, "{kept} kept, {lost} lost");
}

/// What a command without keys touches may depend on its arguments: rules have it only where every
/// call is allowed.
#[test]
fn acl_rules_leave_out_what_touches_more_by_its_arguments() {
    let mut changes = organisation("acme");
    changes.extend([database("x"), identity("ci")]);
    let policies = [
        r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/x"],"Channels":["*"]}]"#,
        r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/x"],"Keys":["*"]}]"#,
        r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/x"],"ReadKeys":["*"]}]"#,
        r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/x"],"WriteKeys":["*"],
            "Channels":["news"]}]"#,
        r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/x"],"Keys":["a:*"],
            "Channels":["*"]}]"#,
    ];
    let calls: [&[&str]; 12] = [
        &["CLIENT", "TRACKING", "ON"],
        &["CLIENT", "TRACKING", "ON", "BCAST"],
        &["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a"],
        &["PUBSUB", "CHANNELS"],
        &["PUBSUB", "CHANNELS", "news"],
        &["PUBSUB", "NUMSUB", "secret"],
        &["SUBSCRIBE", "secret"],
        &["PSUBSCRIBE", "s*"],
        &["DBSIZE"],
        &["RANDOMKEY"],
        &["WAIT", "0", "1"],
        &["MEMORY", "STATS"],
    ];
    for policy in policies {
        let mut changes = changes.clone();
        changes.push(trust("ci", "", "/programmatic_identity/ci", policy));
        let directory = build(changes);
        let database = directory.database_at("org/acme/kvdb/x").unwrap();
        let session = Session::of_path(&directory, "org/acme/programmatic_identity/ci").unwrap();
        let user = directory.acl_rules(&session, database, NOW).user;
        for words in calls {
            let command = keyward_commands::resolve(words).unwrap();
            let call = Call {
                now: NOW,
                ..Call::default()
            };
            let decision = directory.decide_command(&session, database, words, false, &call);
            // Who may read every name may also be told every name that changes.
            let reads_all = policy.contains(r#"Keys":["*"]"#) && !policy.contains("WriteKeys");
            if reads_all && words[0] == "CLIENT" {
                assert!(decision.is_allow(), "{policy}: {words:?}: {decision:?}");
            }
            assert!(
                decision.is_allow() || user.allows(command, words, 0).is_err(),
                "{policy}: {words:?}: {user}: {decision:?}"
            );
        }
    }
}
