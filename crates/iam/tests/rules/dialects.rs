//! Documents of every dialect, attached and stored.

use keyward_iam::{
    AwsAlias, Change, ChangeError, Outcome, PolicyInput, PolicyText, Session, VendorAliases,
};
use keyward_policy::Dialect;

use crate::{ADMIN, CI, MAIN, NOW, World, identity, trust};

fn attach(documents: &[&str]) -> Change {
    let documents = documents.iter();
    Change::UpdateTrust {
        path: "org/acme/trust/ci".into(),
        policies: Some(
            documents
                .map(|text| PolicyInput::Document((*text).into()))
                .collect(),
        ),
        expires_at: None,
        conditions: None,
    }
}

fn decide(world: &World, who: &str, database: &str, words: &[&str]) -> Outcome {
    let session = Session::of_identity(world.0.identity_at(who).expect("it exists"));
    let database = world.0.database_at(database).expect("it exists");
    let decision = world.0.decide_command(
        &session,
        database,
        words,
        false,
        &keyward_iam::Call::at(NOW),
    );
    decision.outcome
}

fn world() -> World {
    let mut world = World::new();
    world.ok(&trust("ci", "org/acme", CI, "[]"));
    world
}

fn aws(account: &str, kind: &str, region: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",
            "Action":["kvdb:ExecuteGet","elasticache:Connect"],
            "Resource":["arn:aws:elasticache:{region}:{account}:{kind}:main",
                        "arn:aws:elasticache:{region}:{account}:user:*"]}}]}}"#
    )
}

#[test]
fn each_dialect_is_attached_stored_and_decides() {
    let aws = aws("000000000001", "replicationgroup", "us-east-1");
    let tencent = r#"{"version":"2.0","statement":[{"effect":"allow","action":["kvdb:ExecuteGet"],
        "resource":["qcs::redis:ap-guangzhou:uin/000000000001:instance/main"]}]}"#;
    let alibaba = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":["kvdb:ExecuteGet"],
        "Resource":["acs:kvstore:cn-hangzhou:000000000001:instance/main"]}]}"#;
    for (dialect, document) in [
        ("aws", &*aws),
        ("tencent", tencent),
        ("alibaba", alibaba),
        ("acl", "on ~* +get"),
    ] {
        let mut world = world();
        world.ok(&attach(&[document]));
        for world in [&world, &world.reloaded()] {
            let shown = world.0.describe("org/acme/trust/ci").expect("it exists");
            assert_eq!(shown["policies"][0]["dialect"], dialect);
            assert_eq!(
                decide(world, CI, MAIN, &["GET", "k"]),
                Outcome::Allow,
                "{dialect}"
            );
            let refused = decide(world, CI, MAIN, &["SET", "k", "v"]);
            assert_eq!(refused, Outcome::ImplicitDeny, "{dialect}");
        }
        // Named, too.
        world.ok(&Change::CreatePolicy {
            organisation: "acme".into(),
            id: "p".into(),
            name: None,
            document: document.into(),
        });
        let reloaded = world.reloaded();
        let shown = reloaded.0.describe("org/acme/policy/p").expect("it exists");
        assert_eq!(shown["versions"][0]["dialect"], dialect);
    }
}

#[test]
fn the_dialect_that_is_said_holds() {
    let world = world();
    let written = |dialect, text: &str| Change::PutBoundary {
        identity: CI.into(),
        policies: vec![PolicyInput::Written(PolicyText {
            text: text.into(),
            dialect: Some(dialect),
        })],
    };
    for (dialect, text) in [
        (Dialect::Aws, "[]"),
        (
            Dialect::Native,
            r#"{"Version":"2012-10-17","Statement":[]}"#,
        ),
        (Dialect::Acl, "[]"),
    ] {
        assert!(
            matches!(
                world.refused(&written(dialect, text)),
                ChangeError::Policy { .. }
            ),
            "{dialect} {text}"
        );
    }
}

/// An organisation's documents mean it by its alias, others' by the number that it was given.
#[test]
fn documents_mean_an_organisation_by_its_alias() {
    let mut world = world();
    let (given, alias) = (
        aws("000000000001", "replicationgroup", "us-east-1"),
        aws("111122223333", "serverlesscache", "eu-west-1"),
    );
    world.ok(&Change::SetVendorAliases {
        organisation: "org/acme".into(),
        aliases: VendorAliases {
            aws: AwsAlias {
                account: Some("111122223333".into()),
                region: Some("eu-west-1".into()),
                kind: Some(keyward_policy::DatabaseKind::ServerlessCache),
            },
            ..VendorAliases::default()
        },
    });
    world.ok(&attach(&[&given]));
    assert_eq!(
        decide(&world, CI, MAIN, &["GET", "k"]),
        Outcome::ImplicitDeny
    );
    world.ok(&attach(&[&alias]));
    assert_eq!(decide(&world, CI, MAIN, &["GET", "k"]), Outcome::Allow);
    // Partner's documents do not know the alias: acme cannot take anybody's name there.
    let reader = "org/partner/programmatic_identity/reader";
    world.ok(&identity("partner", "reader"));
    world.ok(&Change::PutResourcePolicy {
        path: MAIN.into(),
        document: r#"[{"Effect":"Allow","Actions":["kvdb:*"],"Identities":["org/partner"]}]"#
            .into(),
    });
    world.ok(&trust("reader", "org/partner", reader, &alias));
    assert_eq!(
        decide(&world, reader, MAIN, &["GET", "k"]),
        Outcome::ImplicitDeny
    );
    world.ok(&Change::DeleteTrust {
        path: "org/partner/trust/reader".into(),
    });
    let given = given.replace("us-east-1", "*");
    world.ok(&trust("reader-2", "org/partner", reader, &given));
    assert_eq!(decide(&world, reader, MAIN, &["GET", "k"]), Outcome::Allow);
}

/// Whatever the organisation is called, its own resources are of its own account.
#[test]
fn the_account_of_a_resource_is_that_of_its_owner() {
    let text = |effect: &str, operator: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"kvdb:*","Resource":"*"}},
                {{"Effect":"{effect}","Action":"kvdb:*","Resource":"*",
                  "Condition":{{"{operator}":{{"aws:ResourceAccount":"${{aws:PrincipalAccount}}"}}}}}}]}}"#
        )
    };
    let mut world = world();
    for account in [None, Some("111122223333".to_owned())] {
        world.ok(&Change::SetVendorAliases {
            organisation: "org/acme".into(),
            aliases: VendorAliases {
                aws: AwsAlias {
                    account,
                    ..AwsAlias::default()
                },
                ..VendorAliases::default()
            },
        });
        world.ok(&attach(&[&text("Deny", "StringNotEquals")]));
        assert_eq!(decide(&world, CI, MAIN, &["GET", "k"]), Outcome::Allow);
        world.ok(&attach(&[&text("Deny", "StringEquals")]));
        assert_eq!(
            decide(&world, CI, MAIN, &["GET", "k"]),
            Outcome::ExplicitDeny
        );
    }
}

/// Attack 30, and a Deny that names the owner.
#[test]
fn principals_of_vendors_are_somebody() {
    let world = world();
    let policy = |effect: &str, principal: &str| Change::PutResourcePolicy {
        path: MAIN.into(),
        document: format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Principal":{principal},
                "Action":"kvdb:ExecuteGet","Resource":"*"}}]}}"#
        )
        .into(),
    };
    let ok = |change: &Change| {
        let made = world
            .0
            .apply(change, &keyward_iam::ChangeContext::system(NOW));
        made.map(|_| ()).map_err(|error| error.to_string())
    };
    for principal in [
        r#"{"AWS":"arn:aws:iam::000000000001:user/ci"}"#,
        r#"{"AWS":"000000000002"}"#,
        r#"{"AWS":"arn:aws:iam::000000000002:root"}"#,
    ] {
        assert_eq!(ok(&policy("Allow", principal)), Ok(()), "{principal}");
    }
    for principal in [
        r#"{"AWS":"arn:aws:iam::000000000001:user/nobody"}"#,
        r#"{"AWS":"arn:aws:iam::999988887777:user/ci"}"#,
        r#"{"AWS":"999988887777"}"#,
    ] {
        for effect in ["Allow", "Deny"] {
            assert!(
                ok(&policy(effect, principal)).is_err(),
                "{effect} {principal}"
            );
        }
    }
    assert!(ok(&policy("Deny", r#"{"AWS":"000000000001"}"#)).is_err());
    assert_eq!(ok(&policy("Deny", r#"{"AWS":"000000000002"}"#)), Ok(()));
}

/// What vendors call an organisation changes what its boundaries in their dialects mean.
#[test]
fn nobody_renames_the_organisation_under_its_own_boundary() {
    let mut world = world();
    let change = Change::SetVendorAliases {
        organisation: "org/acme".into(),
        aliases: VendorAliases::default(),
    };
    assert!(world.may(ADMIN, &change));
    world.ok(&Change::PutBoundary {
        identity: ADMIN.into(),
        policies: vec![
            PolicyInput::Named("OrgAdministrator".into()),
            PolicyInput::Document(aws("000000000001", "replicationgroup", "us-east-1")),
        ],
    });
    assert!(!world.may(ADMIN, &change));
}

/// Attack 30: whoever names itself like somebody's partner is let in nowhere.
#[test]
fn an_alias_deceives_no_condition_of_others() {
    let mut world = world();
    let alias = |account: Option<&str>| Change::SetVendorAliases {
        organisation: "org/acme".into(),
        aliases: VendorAliases {
            aws: AwsAlias {
                account: account.map(Into::into),
                ..AwsAlias::default()
            },
            ..VendorAliases::default()
        },
    };
    world.ok(&alias(Some("111122223333")));
    world.ok(&crate::database("partner", "shared"));
    let shared = "org/partner/kvdb/shared";
    let accepts = |condition: &str| Change::PutResourcePolicy {
        path: shared.into(),
        document: format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":"*",
                "Action":"kvdb:ExecuteGet","Resource":"*","Condition":{{{condition}}}}}]}}"#
        )
        .into(),
    };
    for (condition, expected) in [
        (
            r#""StringEquals":{"aws:PrincipalAccount":"111122223333"}"#,
            Outcome::ImplicitDeny,
        ),
        (
            r#""StringEquals":{"aws:PrincipalAccount":"000000000001"}"#,
            Outcome::Allow,
        ),
        (
            r#""ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/*"}"#,
            Outcome::ImplicitDeny,
        ),
        (
            r#""ArnLike":{"aws:PrincipalArn":"arn:aws:iam::000000000001:user/*"}"#,
            Outcome::Allow,
        ),
    ] {
        world.ok(&accepts(condition));
        assert_eq!(
            decide(&world, CI, shared, &["GET", "k"]),
            expected,
            "{condition}"
        );
    }
}
