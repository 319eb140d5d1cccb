//! Identity providers, and what trusts in them must say.

use std::collections::BTreeMap;

use keyward_iam::{CertificateNameKind, Change, ChangeError, Provider, Session, TrustKind};
use serde_json::{Value, json};

use crate::{ADMIN, CI, NOW, World, group, identity, trust};

const GITHUB: &str = "https://token.actions.githubusercontent.com";
pub(super) const AUDIENCE: &str = "https://kw.example/org/acme";
const PROVIDER: &str = "org/acme/identity_provider/github";

fn provider(value: Value) -> Box<Provider> {
    Box::new(serde_json::from_value(value).expect("it is a provider"))
}

pub(super) fn create(id: &str, value: Value) -> Change {
    Change::CreateIdentityProvider {
        organisation: "acme".into(),
        id: id.into(),
        name: None,
        provider: provider(value),
    }
}

pub(super) fn update(id: &str, value: Value) -> Change {
    Change::UpdateIdentityProvider {
        name: None,
        path: format!("org/acme/identity_provider/{id}"),
        provider: provider(value),
    }
}

pub(super) fn oidc(issuer: &str) -> Value {
    json!({ "type": "oidc", "issuer": issuer, "audiences": [AUDIENCE] })
}

fn with(mut value: Value, name: &str, field: Value) -> Value {
    value[name] = field;
    value
}

fn role(id: &str) -> Change {
    Change::CreateRole {
        organisation: "acme".into(),
        id: id.into(),
        name: None,
        description: None,
        max_session_seconds: None,
    }
}

fn assumable(id: &str, trustor: &str, trustee: &str, conditions: Option<&str>) -> Change {
    Change::CreateTrust {
        id: id.into(),
        trustor: trustor.into(),
        trustee: trustee.into(),
        policies: Vec::new(),
        expires_at: None,
        kind: Some(TrustKind::Assumable),
        conditions: conditions.map(str::to_owned),
    }
}

fn world() -> World {
    let mut world = World::new();
    world.ok(&role("deployer"));
    world.ok(&group("dev"));
    world
}

#[test]
fn what_a_provider_must_be() {
    let world = world();
    let ok = || oidc("https://gitlab.acme.example");
    let cases = [
        ("ok", ok(), ""),
        ("github", oidc(GITHUB), ""),
        ("plain", oidc("http://gitlab.acme.example"), "https"),
        ("local", oidc("http://127.0.0.1:4000"), ""),
        ("query", oidc("https://gitlab.acme.example?x"), "query"),
        (
            "no-audience",
            with(ok(), "audiences", json!([])),
            "at least one audience",
        ),
        (
            "generic",
            with(ok(), "audiences", json!(["sts.amazonaws.com"])),
            "other services",
        ),
        (
            "abroad",
            with(ok(), "audiences", json!(["https://kw.example/org/partner"])),
            "names the organisation `partner`",
        ),
        (
            "algorithms",
            with(ok(), "algorithms", json!([])),
            "at least one algorithm",
        ),
        (
            "age",
            with(ok(), "max_token_age_seconds", json!(10)),
            "60 to 86400",
        ),
        ("keys", with(ok(), "jwks", json!("x")), "set of keys"),
        (
            "mapping",
            with(
                ok(),
                "mappings",
                json!([{ "claim": "groups", "values": ["x"], "to": ["role/deployer"] }]),
            ),
            "",
        ),
        (
            "mapping-to-group",
            with(
                ok(),
                "mappings",
                json!([{ "claim": "groups", "values": ["x"], "to": ["group/dev"] }]),
            ),
            "leads to a role",
        ),
        (
            "mapping-abroad",
            with(
                ok(),
                "mappings",
                json!([{ "claim": "groups", "values": ["x"], "to": ["org/partner"] }]),
            ),
            "not of the provider's organisation",
        ),
        (
            "mapping-abroad-unknown",
            with(
                ok(),
                "mappings",
                json!([{ "claim": "groups", "values": ["x"], "to": ["org/nobody/role/x"] }]),
            ),
            "not of the provider's organisation",
        ),
        (
            "mapping-shared",
            with(
                oidc(GITHUB),
                "mappings",
                json!([{ "claim": "environment", "values": ["x"], "to": ["role/deployer"] }]),
            ),
            "fixes the subject",
        ),
        (
            "variable",
            with(
                ok(),
                "mappings",
                json!([{ "claim": "a", "values": ["${keyward:SourceIp}"], "to": ["role/deployer"] }]),
            ),
            "variable",
        ),
        (
            "sign-in",
            json!({ "type": "sign_in", "sign_in": "okta", "mappings": [{ "claim": "groups", "values": ["x"], "to": ["group/dev", "role/deployer"] }] }),
            "",
        ),
        (
            "sign-in-identity",
            json!({ "type": "sign_in", "sign_in": "okta", "mappings": [{ "claim": "groups", "values": ["x"], "to": [CI] }] }),
            "leads to a group or role",
        ),
        (
            "secret",
            json!({ "type": "certificate_authority", "pem": "-----BEGIN PRIVATE KEY-----", "mappings": [] }),
            "never a private key",
        ),
        (
            "wild",
            json!({ "type": "certificate_authority", "pem": "-----BEGIN CERTIFICATE-----", "mappings": [{ "name": "dns", "value": "*.acme.example", "identity": CI }] }),
            "looks like a pattern",
        ),
    ];
    for (id, value, refused) in cases {
        let change = create(id, value);
        match refused {
            "" => world
                .0
                .apply(&change, &keyward_iam::ChangeContext::system(NOW))
                .map(drop)
                .unwrap_or_else(|error| panic!("{id}: {error}")),
            part => {
                let error = world.refused(&change).to_string();
                assert!(error.contains(part), "{id}: {error}");
            }
        }
    }
    for algorithm in ["none", "HS256", "rs256"] {
        let value = with(ok(), "algorithms", json!([algorithm]));
        assert!(
            serde_json::from_value::<Provider>(value).is_err(),
            "{algorithm}"
        );
    }
}

#[test]
fn trusts_in_a_provider_fix_audience_and_subject() {
    let mut world = world();
    world.ok(&create("github", oidc(GITHUB)));
    world.ok(&create("own", oidc("https://gitlab.acme.example")));
    let aud = format!(r#""StringEquals":{{"keyward:Token/aud":"{AUDIENCE}"}}"#);
    let only_aud = format!("{{{aud}}}");
    let both = format!(r#"{{{aud},"StringLike":{{"keyward:Token/sub":"repo:acme/app:*"}}}}"#);
    let open = format!(r#"{{{aud},"StringLike":{{"keyward:Token/sub":"repo:*"}}}}"#);
    let own = "org/acme/identity_provider/own";
    let deployer = "org/acme/role/deployer";
    let cases = [
        ("a", PROVIDER, None, "keyward:Token/aud"),
        ("b", PROVIDER, Some(&only_aud), "repo:acme/app:*"),
        ("c", PROVIDER, Some(&open), "does not fix"),
        ("d", own, None, "keyward:Token/aud"),
    ];
    for (id, trustee, conditions, part) in cases {
        let change = assumable(id, deployer, trustee, conditions.map(String::as_str));
        let error = world.refused(&change);
        assert!(matches!(error, ChangeError::TrustRule(_)), "{id}: {error}");
        assert!(error.to_string().contains(part), "{id}: {error}");
    }
    world.ok(&assumable("e", deployer, PROVIDER, Some(&both)));
    world.ok(&assumable("f", deployer, own, Some(&only_aud)));
    // Nor can what was fixed be loosened afterwards, from either end.
    let loosen = |conditions: Option<&str>| Change::UpdateTrust {
        path: "org/acme/trust/e".into(),
        policies: None,
        expires_at: None,
        conditions: Some(conditions.map(str::to_owned)),
    };
    for conditions in [None, Some(&*only_aud), Some(&*open)] {
        assert!(matches!(
            world.refused(&loosen(conditions)),
            ChangeError::TrustRule(_)
        ));
    }
    let shared = with(oidc("https://gitlab.acme.example"), "shared", json!(true));
    assert!(matches!(
        world.refused(&update("own", shared)),
        ChangeError::TrustRule(_)
    ));
    let other = with(oidc(GITHUB), "audiences", json!(["client-7"]));
    assert!(matches!(
        world.refused(&update("github", other)),
        ChangeError::TrustRule(_)
    ));
    assert!(
        world
            .refused(&update("github", oidc("https://gitlab.com")))
            .to_string()
            .contains("keeps its issuer")
    );
    // A provider speaks for identities of its own organisation, and only to roles.
    let abroad = assumable("g", "org/partner", PROVIDER, Some(&both));
    world.refused(&abroad);
    world.refused(&trust(
        "h",
        "org/acme/group/dev",
        PROVIDER,
        crate::EVERYTHING,
    ));
    let delete = |cascade| Change::DeleteIdentity {
        path: PROVIDER.into(),
        cascade,
    };
    assert!(matches!(
        world.refused(&delete(false)),
        ChangeError::Conflict { .. }
    ));
    world.ok(&delete(true));
    assert!(world.0.providers_of_issuer(GITHUB).is_empty());
    assert!(world.0.trust_at("org/acme/trust/e").is_none());
}

#[test]
fn whoever_feeds_power_must_have_it() {
    let mut world = world();
    world.ok(&role("admin"));
    world.ok(&identity("acme", "helper"));
    let helper = "org/acme/programmatic_identity/helper";
    let allow = r#"[{"Effect":"Allow","Actions":["iam:UpdateIdentityProvider","iam:CreateIdentityProvider"],"Resources":["identity_provider/*","org/acme/identity_provider/*","role/deployer"]},
        {"Effect":"Allow","Actions":["iam:CreateIdentityProvider","iam:DeleteIdentityProvider"],"Resources":["org/acme","identity_provider/*"]}]"#;
    world.ok(&trust("helper", "org/acme", helper, allow));
    let mapped = |to: &str| {
        let mapping = json!([{ "claim": "groups", "values": ["x"], "to": [to] }]);
        with(oidc("https://gitlab.acme.example"), "mappings", mapping)
    };
    let plain = create("p", oidc("https://gitlab.acme.example"));
    assert!(world.may(helper, &plain));
    assert!(world.may(helper, &create("p", mapped("role/deployer"))));
    assert!(!world.may(helper, &create("p", mapped("role/admin"))));
    assert!(world.may(ADMIN, &create("p", mapped("role/admin"))));
    world.ok(&create("p", mapped("role/admin")));
    // Not even to take it away: what it feeds now counts, too.
    assert!(!world.may(helper, &update("p", mapped("role/deployer"))));
    let delete = Change::DeleteIdentity {
        path: "org/acme/identity_provider/p".into(),
        cascade: false,
    };
    assert!(!world.may(helper, &delete));
    world.ok(&update("p", mapped("role/deployer")));
    assert!(world.may(helper, &update("p", mapped("role/deployer"))));
    assert!(world.may(helper, &delete));
    // A certificate opens an identity like an access key.
    let authority = json!({ "type": "certificate_authority", "pem": "-----BEGIN CERTIFICATE-----",
        "mappings": [{ "name": "uri", "value": "spiffe://acme/ci", "identity": CI }] });
    assert!(!world.may(helper, &create("ca", authority.clone())));
    assert!(world.may(ADMIN, &create("ca", authority)));
    let sync = Change::SyncSignIn {
        user: "user/owner".into(),
        sign_in: "okta".into(),
        claims: BTreeMap::new(),
    };
    for who in [helper, ADMIN, "user/owner"] {
        assert!(!world.may(who, &sync), "{who}");
    }
}

#[test]
fn a_mapping_of_claims_to_a_role_is_a_trust() {
    let mut world = world();
    let mapped = |values: Value| {
        let mapping = json!([{ "claim": "https://acme.example/groups", "values": values, "to": ["role/deployer"] }]);
        with(oidc("https://gitlab.acme.example"), "mappings", mapping)
    };
    let managed = |world: &World| {
        let all = world
            .0
            .trusts()
            .filter(|(_, trust)| trust.managed_by().is_some());
        all.map(|(_, trust)| trust.path.to_string())
            .collect::<Vec<_>>()
    };
    world.ok(&create("p", mapped(json!(["ops"]))));
    let first = managed(&world);
    assert_eq!(first.len(), 1);
    world.ok(&update("p", mapped(json!(["dev"]))));
    let second = managed(&world);
    assert!(second.len() == 1 && second != first);
    // The same mapping is the same trust again.
    world.ok(&update("p", mapped(json!(["ops"]))));
    assert_eq!(managed(&world), first);
    assert_eq!(managed(&world.reloaded()), first);
    let by_hand = Change::UpdateTrust {
        path: first[0].clone(),
        policies: None,
        expires_at: None,
        conditions: Some(None),
    };
    assert!(world.refused(&by_hand).to_string().contains("change that"));
    world.ok(&Change::DeleteIdentity {
        path: "org/acme/identity_provider/p".into(),
        cascade: false,
    });
    assert!(managed(&world).is_empty());
    assert!(
        world
            .0
            .providers_of_issuer("https://gitlab.acme.example")
            .is_empty()
    );
}

#[test]
fn people_have_what_their_claims_give_while_they_give_it() {
    let mut world = world();
    world.ok(&Change::CreateUser {
        id: "bob".into(),
        name: None,
    });
    world.ok(&Change::CreateOrganisationUser {
        organisation: "acme".into(),
        id: "bob".into(),
        name: None,
        user: Some("user/bob".into()),
        invitation: None,
    });
    world.ok(&group("ops"));
    let mapped = |values: Value| {
        json!({ "type": "sign_in", "sign_in": "okta", "mappings": [
            { "claim": "groups", "values": values, "to": ["group/dev", "role/deployer"] },
            { "claim": "realm.roles", "values": ["ops"], "to": ["group/ops"] },
        ]})
    };
    world.ok(&create("okta", mapped(json!(["dev", "Developers"]))));
    let sync = |claims: &[(&str, &[&str])]| Change::SyncSignIn {
        user: "user/bob".into(),
        sign_in: "okta".into(),
        claims: claims
            .iter()
            .map(|(name, values)| {
                (
                    (*name).to_owned(),
                    values.iter().map(|v| (*v).to_owned()).collect(),
                )
            })
            .collect(),
    };
    let has = |world: &World| {
        let bob = world
            .0
            .identity_at("org/acme/org_user/bob")
            .expect("a member");
        let mut all = world
            .0
            .trusts()
            .filter(|(_, trust)| {
                trust.trustee == bob
                    && trust.managed_by() == Some("org/acme/identity_provider/okta")
            })
            .map(|(_, trust)| {
                world
                    .0
                    .identity(trust.trustor)
                    .expect("it exists")
                    .id()
                    .to_owned()
            })
            .collect::<Vec<_>>();
        all.sort();
        all
    };
    let none: [&str; 0] = [];
    world.ok(&sync(&[("groups", &["everyone", "dev"])]));
    assert_eq!(has(&world), ["deployer", "dev"]);
    world.ok(&sync(&[
        ("groups", &["Developers"]),
        ("realm.roles", &["ops"]),
    ]));
    assert_eq!(has(&world), ["deployer", "dev", "ops"]);
    assert_eq!(has(&world.reloaded()), ["deployer", "dev", "ops"]);
    world.ok(&sync(&[("realm.roles", &["ops"])]));
    assert_eq!(has(&world), ["ops"]);
    world.ok(&sync(&[]));
    assert_eq!(has(&world), none);
    world.ok(&sync(&[("groups", &["dev"])]));
    assert_eq!(has(&world), ["deployer", "dev"]);
    // A mapping that asks for more ends what it gave; one that gives to more people does not.
    world.ok(&update("okta", mapped(json!(["dev", "Developers", "all"]))));
    assert_eq!(has(&world), ["deployer", "dev"]);
    world.ok(&update("okta", mapped(json!(["Developers"]))));
    assert_eq!(has(&world), none);
    world.ok(&sync(&[("groups", &["Developers"])]));
    assert_eq!(has(&world), ["deployer", "dev"]);
    // Another sign-in says nothing here, and a membership by hand is not the provider's to end.
    let other = Change::SyncSignIn {
        user: "user/bob".into(),
        sign_in: "google".into(),
        claims: BTreeMap::new(),
    };
    let applied = world
        .0
        .apply(&other, &keyward_iam::ChangeContext::system(NOW))
        .expect("nothing to do");
    assert!(applied.rows.is_empty());
    world.ok(&trust(
        "hand",
        "org/acme/group/ops",
        "org/acme/org_user/bob",
        crate::EVERYTHING,
    ));
    world.ok(&sync(&[("realm.roles", &["ops"])]));
    assert_eq!(has(&world), none);
    assert!(world.0.trust_at("org/acme/trust/hand").is_some());
    world.ok(&sync(&[("groups", &["Developers"])]));
    world.ok(&Change::DeleteIdentity {
        path: "org/acme/identity_provider/okta".into(),
        cascade: false,
    });
    assert_eq!(has(&world), none);
}

#[test]
fn who_is_no_member_gets_nothing() {
    let mut world = world();
    world.ok(&Change::CreateUser {
        id: "eve".into(),
        name: None,
    });
    world.ok(&create(
        "okta",
        json!({ "type": "sign_in", "sign_in": "okta", "mappings": [
            { "claim": "groups", "values": ["dev"], "to": ["group/dev"] },
        ]}),
    ));
    let claims = BTreeMap::from([("groups".to_owned(), vec!["dev".to_owned()])]);
    let sync = Change::SyncSignIn {
        user: "user/eve".into(),
        sign_in: "okta".into(),
        claims,
    };
    let applied = world
        .0
        .apply(&sync, &keyward_iam::ChangeContext::system(NOW))
        .expect("nothing to do");
    assert!(applied.rows.is_empty());
}

#[test]
fn names_of_certificates_lead_to_identities_of_the_authoritys_organisation() {
    let mut world = world();
    let authority = |value: &str, to: &str| {
        json!({ "type": "certificate_authority",
        "pem": "-----BEGIN CERTIFICATE-----", "mappings": [
            { "name": "uri", "value": value, "identity": to },
            { "name": "dns", "value": "admin.acme.example", "identity": ADMIN },
        ]})
    };
    world.ok(&create("ca", authority("spiffe://acme/ci", CI)));
    world.ok(&identity("partner", "x"));
    world.ok(&Change::CreateIdentityProvider {
        organisation: "partner".into(),
        id: "ca".into(),
        name: None,
        provider: provider(json!({ "type": "certificate_authority", "pem": "-----BEGIN CERTIFICATE-----",
            "mappings": [{ "name": "uri", "value": "spiffe://acme/ci", "identity": "programmatic_identity/x" }] })),
    });
    let claims = |kind, name: &str| {
        let names = [(kind, name.to_owned())];
        let found = world.0.certificate_claims(&names);
        let found = found.map(|claim| {
            let identity = world.0.identity(claim.identity).expect("it exists");
            (claim.provider.to_owned(), identity.path.to_string())
        });
        found.collect::<Vec<_>>()
    };
    let (uri, dns) = (CertificateNameKind::Uri, CertificateNameKind::Dns);
    let (own, partners) = (
        "org/acme/identity_provider/ca",
        "org/partner/identity_provider/ca",
    );
    let (of_ci, of_admin) = (
        (own.to_owned(), CI.to_owned()),
        (own.to_owned(), ADMIN.to_owned()),
    );
    let of_x = (
        partners.to_owned(),
        "org/partner/programmatic_identity/x".to_owned(),
    );
    let cases = [
        (uri, "spiffe://acme/ci", vec![of_ci, of_x]),
        (uri, "spiffe://acme/ci/x", vec![]),
        (uri, "SPIFFE://acme/ci", vec![]),
        (dns, "spiffe://acme/ci", vec![]),
        (dns, "ADMIN.acme.example", vec![of_admin]),
        (uri, "admin.acme.example", vec![]),
        (dns, "x.admin.acme.example", vec![]),
    ];
    for (kind, name, expected) in cases {
        assert_eq!(claims(kind, name), expected, "{kind:?} {name}");
    }
}

/// Lines of a corpus file.
fn corpus(name: &str) -> Vec<Value> {
    let path = format!(
        "{}/../../corpus/federation/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).expect(&path);
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

/// `OpenSubject { … }` is `open_subject`.
fn name_of<T>(found: &Result<T, keyward_iam::TrustRuleError>) -> String {
    let Err(error) = found else {
        return "ok".to_owned();
    };
    let shown = format!("{error:?}");
    let name = shown.split([' ', '(']).next().unwrap_or_default();
    let mut snake = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[test]
fn corpus_of_trusts() {
    for case in corpus("trusts.jsonl") {
        let mut value = oidc(case["issuer"].as_str().expect("a text"));
        value["audiences"] = json!([AUDIENCE, "client-7"]);
        value["shared"] = json!(case["shared"].as_bool().unwrap_or(false));
        let Provider::Oidc(oidc) = *provider(value) else {
            panic!("it is one");
        };
        let conditions = Some(&case["conditions"]).filter(|value| !value.is_null());
        let found = keyward_iam::check_token_conditions(conditions, &oidc);
        assert_eq!(
            name_of(&found),
            case["expect"].as_str().expect("a text"),
            "{case}"
        );
    }
}

#[test]
fn corpus_of_audiences() {
    for case in corpus("audiences.jsonl") {
        let text = |name: &str| case[name].as_str().expect("a text");
        let found = keyward_iam::check_audience(text("audience"), text("organisation"));
        assert_eq!(name_of(&found), text("expect"), "{case}");
    }
}

#[test]
fn a_resource_policy_lets_no_token_in() {
    let mut world = world();
    world.ok(&create("github", oidc(GITHUB)));
    world.ok(&Change::PutResourcePolicy {
        path: "org/acme/role/deployer".into(),
        document: keyward_iam::PolicyText {
            text: r#"[{"Effect":"Allow","Actions":["sts:AssumeRoleWithWebIdentity"],"Identities":["identity_provider/github"]}]"#.into(),
            dialect: None,
        },
    });
    let claims = [("aud", AUDIENCE), ("sub", "repo:evil/app:x")];
    let claims = claims.map(|(name, value)| (name.to_owned(), vec![value.to_owned()]));
    let token = std::sync::Arc::new(keyward_iam::TokenFacts {
        issuer: GITHUB.into(),
        subject: "repo:evil/app:x".into(),
        audiences: vec![AUDIENCE.into()],
        claims: claims.into(),
        token_id: None,
    });
    let ask = keyward_iam::AssumeRole {
        role: "org/acme/role/deployer".into(),
        session_name: "evil".into(),
        ..keyward_iam::AssumeRole::default()
    };
    let opened = |world: &World| {
        let stranger = Session::unauthenticated();
        let id = "KWTKAAAAAAAAAAAAAAAA";
        let asked = world
            .0
            .assume_role_with_token(PROVIDER, &token, &ask, &stranger, id, NOW);
        asked.map(drop).map_err(|error| error.to_string())
    };
    let refused = opened(&world).expect_err("a policy alone must not do");
    assert!(refused.contains("assumable trust"), "{refused}");
    let conditions = format!(
        r#"{{"StringEquals":{{"keyward:Token/aud":"{AUDIENCE}","keyward:Token/sub":"repo:evil/app:x"}}}}"#
    );
    world.ok(&assumable(
        "t",
        "org/acme/role/deployer",
        PROVIDER,
        Some(&conditions),
    ));
    assert_eq!(opened(&world), Ok(()));
}
