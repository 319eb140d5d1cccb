//! What a decision says to people: the documents and statements by name, and through whom.

#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "support/acme.rs"]
mod acme;

use acme::{build, database, identity, organisation, role};
use keyward_iam::{
    Asked, AskedAbout, Call, Change, Directory, PolicyInput, PolicyText, Session, UnixMillis,
};

const NOW: UnixMillis = UnixMillis(10);
const ALL: &str = r#"{"Sid":"All","Effect":"Allow","Actions":["*"],"Resources":["**"]}"#;
const NO_FLUSH: &str =
    r#"{"Sid":"NoFlush","Effect":"Deny","Actions":["kvdb:@flush"],"Resources":["kvdb/*"]}"#;
const TEAM: &str = r#"[{"Sid":"Team","Effect":"Allow","Actions":["kvdb:Execute*"],
    "Resources":["kvdb/x"],"Keys":["${keyward:PrincipalTag/team}:*"]}]"#;
const READ: &str =
    r#"[{"Sid":"Read","Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/x"]}]"#;

fn document(text: &str) -> PolicyInput {
    PolicyInput::Document(text.into())
}

fn named(name: &str) -> PolicyInput {
    PolicyInput::Named(name.into())
}

fn trust(id: &str, trustor: &str, trustee: &str, policies: Vec<PolicyInput>) -> Change {
    Change::CreateTrust {
        id: id.into(),
        trustor: format!("org/acme{trustor}"),
        trustee: format!("org/acme{trustee}"),
        policies,
        expires_at: None,
        kind: None,
        conditions: None,
    }
}

fn acme() -> Directory {
    let mut changes = organisation("acme");
    changes.extend([database("x"), role("deployer")]);
    for id in ["grouped", "carrier", "worker", "bounded", "team", "ci"] {
        changes.push(identity(id));
    }
    changes.extend([
        Change::CreateGroup {
            organisation: "acme".into(),
            id: "readers".into(),
            name: None,
        },
        Change::CreatePolicy {
            organisation: "acme".into(),
            id: "reads".into(),
            name: None,
            document: PolicyText {
                text: READ.into(),
                dialect: None,
            },
        },
        trust("readers", "", "/group/readers", vec![document(READ)]),
        trust(
            "member",
            "/group/readers",
            "/programmatic_identity/grouped",
            vec![],
        ),
        trust(
            "carrier",
            "",
            "/programmatic_identity/carrier",
            vec![named("reads")],
        ),
        trust(
            "worker",
            "",
            "/programmatic_identity/worker",
            vec![named("KvdbReadOnly"), document(&format!("[{NO_FLUSH}]"))],
        ),
        trust(
            "bounded",
            "",
            "/programmatic_identity/bounded",
            vec![document(&format!("[{ALL}]"))],
        ),
        Change::PutBoundary {
            identity: "org/acme/programmatic_identity/bounded".into(),
            policies: vec![document(READ)],
        },
        trust(
            "team",
            "",
            "/programmatic_identity/team",
            vec![document(TEAM)],
        ),
        trust(
            "ci-deployer",
            "/role/deployer",
            "/programmatic_identity/ci",
            vec![],
        ),
        trust("deployer", "", "/role/deployer", vec![document(READ)]),
    ]);
    build(changes)
}

fn told(directory: &Directory, principal: &str, words: &[&str]) -> String {
    let path = match principal.starts_with("org/") {
        true => principal.to_owned(),
        false => format!("org/acme/programmatic_identity/{principal}"),
    };
    let session = Session::of_path(directory, &path).unwrap();
    let database = directory.database_at("org/acme/kvdb/x").unwrap();
    let call = Call {
        now: NOW,
        ..Call::default()
    };
    let decision = directory.decide_command(&session, database, words, false, &call);
    decision.message
}

#[test]
fn an_allow_names_its_documents_and_the_way() {
    let directory = acme();
    let cases: [(&str, &[&str], &str); 7] = [
        (
            "grouped",
            &["GET", "k"],
            "allowed by statement 1 (Read) of trust org/acme/trust/readers, \
             through org/acme/group/readers",
        ),
        (
            "carrier",
            &["GET", "k"],
            "allowed by statement 1 (Read) of org/acme/policy/reads of trust org/acme/trust/carrier",
        ),
        (
            "worker",
            &["GET", "k"],
            "allowed by statement 1 (Read) of policy/system/kvdb-read-only of trust \
             org/acme/trust/worker",
        ),
        (
            "worker",
            &["FLUSHALL"],
            "denied by statement 1 (NoFlush) of policy 2 of trust org/acme/trust/worker",
        ),
        (
            "bounded",
            &["GET", "k"],
            "allowed by statement 1 (All) of trust org/acme/trust/bounded, within statement 1 (Read) \
             of the boundary of org/acme/programmatic_identity/bounded",
        ),
        (
            "team",
            &["GET", "k"],
            "statement 1 (Team) of trust org/acme/trust/team allows kvdb:ExecuteGet, but not on key \
             `k`, which is read; `${keyward:PrincipalTag/team}` has no value, and matches nothing",
        ),
        ("org/acme", &["GET", "k"], "allowed: the owner"),
    ];
    for (principal, words, expected) in cases {
        assert_eq!(told(&directory, principal, words), expected, "{principal}");
    }
}

/// Guardrails bind an organisation's identities and its resources: they are told of once.
#[test]
fn guardrails_are_told_of_once_and_why_nobody_can() {
    let guarded = |text: &str| Change::PutGuardrails {
        organisation: "org/acme".into(),
        policies: vec![document(text)],
    };
    let mut changes = organisation("acme");
    changes.extend([database("x"), guarded(&format!("[{ALL},{NO_FLUSH}]"))]);
    let directory = build(changes);
    assert_eq!(
        told(&directory, "org/acme", &["GET", "k"]),
        "allowed: the owner, within statement 1 (All) of the guardrails of org/acme"
    );
    let asked = |name: &str| Asked {
        action: keyward_commands::action(name).unwrap(),
        resource: "org/acme/kvdb/x".into(),
        about: AskedAbout::AnyCall,
        administration: false,
        known: Vec::new(),
    };
    let nobody = directory.who_can(&asked("kvdb:ExecuteFlushall"), NOW);
    assert_eq!(
        nobody.nobody_because.as_deref(),
        Some("denied by statement 2 (NoFlush) of the guardrails of org/acme")
    );
    let owner = directory.who_can(&asked("kvdb:ExecuteGet"), NOW);
    assert_eq!(owner.holders[0].ways[0].statements.len(), 1);
}

/// An assumable trust accepts by itself: no document of it has the statement.
#[test]
fn who_assumes_a_role_is_told_by_the_trust() {
    let directory = acme();
    let asked = Asked {
        action: keyward_commands::action("sts:AssumeRole").unwrap(),
        resource: "org/acme/role/deployer".into(),
        about: AskedAbout::AnyCall,
        administration: false,
        known: Vec::new(),
    };
    let holders = directory.who_can(&asked, NOW).holders;
    let ci = holders
        .iter()
        .find(|holder| holder.identity.ends_with("/ci"));
    let statement = &ci.unwrap().ways[0].statements[0];
    assert_eq!(
        statement.describe(),
        "assumable trust org/acme/trust/ci-deployer"
    );
}
