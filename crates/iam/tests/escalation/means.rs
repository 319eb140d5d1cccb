//! Each means to become more, and what is none.

use keyward_iam::{Change, Escalation, Means, PolicyInput, Provider, SignInMapping, UnixMillis};

use super::{
    NOW, allow, document, full, of, only_if, snapshot_and_own, statement, tag, trust, walk, world,
};
use crate::acme::{database, identity, role, token_issuer};

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

/// Whoever may change what a claim leads to leads its own tokens, and its own sign-in, there.
#[test]
fn mappings_of_claims() {
    let all = document(&[allow("*", "**")]);
    let group = |id: &str| Change::CreateGroup {
        organisation: "acme".into(),
        id: id.into(),
        name: None,
    };
    let chief = vec![role("chief"), trust("chief", "", "role/chief", &all)];
    let cases = [
        (
            "a provider of its own",
            vec![
                allow("iam:CreateIdentityProvider", "org/acme"),
                allow("iam:UpdateIdentityProvider", "role/chief"),
            ],
            vec![Means::Provider],
        ),
        (
            "a provider of its own that leads nowhere",
            vec![allow("iam:CreateIdentityProvider", "org/acme")],
            vec![],
        ),
        (
            "a provider that there is",
            vec![
                allow("iam:UpdateIdentityProvider", "role/chief"),
                allow("iam:UpdateIdentityProvider", "identity_provider/ci"),
            ],
            vec![Means::Provider],
        ),
        (
            "a provider, and nothing to lead to",
            vec![allow("iam:UpdateIdentityProvider", "identity_provider/ci")],
            vec![],
        ),
    ];
    for (what, statements, expected) in cases {
        let mut more = chief.clone();
        more.push(token_issuer("ci"));
        let directory = world(&statements, more);
        let answer = directory.escalations("acme", false, NOW);
        let told = of(&answer.found, "x");
        let means: Vec<Means> = told.iter().map(|e| e.means).collect();
        assert_eq!(means, expected, "{what}: {told:#?}");
        told.iter().for_each(|told| walk(&directory, told));
    }
    // A member who may change what a sign-in leads to.
    let member = |needs: &[&str]| {
        let rights: Vec<String> = needs
            .iter()
            .map(|path| allow("iam:UpdateIdentityProvider", path))
            .collect();
        let sign_in = Provider::SignIn(SignInMapping {
            sign_in: "okta".into(),
            mappings: Vec::new(),
        });
        vec![
            Change::CreateUser {
                id: "eve".into(),
                name: None,
            },
            Change::CreateOrganisationUser {
                organisation: "acme".into(),
                id: "eve".into(),
                name: None,
                user: Some("user/eve".into()),
                invitation: None,
            },
            Change::AcceptTrust {
                path: full("trust/member-eve"),
            },
            group("chiefs"),
            trust("chiefs", "", "group/chiefs", &all),
            Change::CreateIdentityProvider {
                organisation: "acme".into(),
                id: "okta".into(),
                name: None,
                provider: Box::new(sign_in),
            },
            trust("eve", "", "org_user/eve", &document(&rights)),
        ]
    };
    let cases: [(&[&str], bool); 3] = [
        (&["identity_provider/okta", "group/chiefs"], true),
        (&["identity_provider/okta"], false),
        (&["group/chiefs"], false),
    ];
    for (needs, expected) in cases {
        let directory = world(&[], member(needs));
        let answer = directory.escalations("acme", false, NOW);
        let eve = answer.found.iter().filter(|e| *e.identity == *"user/eve");
        let eve: Vec<&Escalation> = eve.filter(|e| e.gain.is_some()).collect();
        let means: Vec<Means> = eve.iter().map(|e| e.means).collect();
        let wanted = if expected {
            vec![Means::Provider]
        } else {
            vec![]
        };
        assert_eq!(means, wanted, "{needs:?}: {eve:#?}");
        eve.iter().for_each(|told| walk(&directory, told));
    }
}
