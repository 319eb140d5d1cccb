//! The rules of change, one by one, and on what each change is decided.

mod aliases;
mod dialects;
mod members;
mod policies;
mod providers;
mod sessions;
mod snapshots;
mod tags;

use std::collections::BTreeMap;

use keyward_iam::{
    Backend, Change, ChangeContext, ChangeError, Directory, KeyStatus, PolicyInput, Row, Session,
    SessionEnded, UnixMillis,
};

const NOW: UnixMillis = UnixMillis(1_000);

/// `org/acme` and `org/partner`, owned by `user/owner`; `ci` and `admin` in acme.
/// With what a store would hold of it.
struct World(Directory, BTreeMap<String, Row>);

impl World {
    fn new() -> Self {
        let mut world = Self(Directory::empty(), BTreeMap::new());
        world.ok(&Change::CreateUser {
            id: "owner".into(),
            name: None,
        });
        for (id, account) in [("acme", "000000000001"), ("partner", "000000000002")] {
            world.ok(&organisation(id, account));
        }
        world.ok(&identity("acme", "ci"));
        world.ok(&identity("acme", "admin"));
        world.ok(&database("acme", "main"));
        world.ok(&trust("admin", "org/acme", ADMIN, EVERYTHING));
        world
    }

    fn ok(&mut self, change: &Change) {
        match self.0.apply(change, &ChangeContext::system(NOW)) {
            Ok(applied) => {
                assert_eq!(applied.revision(), self.0.revision() + 1);
                assert!(!applied.rows.is_empty(), "{change:?} must be stored");
                let rows = applied.rows.into_iter();
                self.1.extend(rows.map(|row| (row.path.clone(), row)));
                self.0 = applied.directory;
            }
            Err(error) => panic!("{change:?}: {error}"),
        }
    }

    fn refused(&self, change: &Change) -> ChangeError {
        match self.0.apply(change, &ChangeContext::system(NOW)) {
            Ok(_) => panic!("{change:?} must be refused"),
            Err(error) => error,
        }
    }

    /// The world after a restart.
    fn reloaded(&self) -> Self {
        let rows = self.1.values().cloned();
        let loaded = Directory::load(rows, self.0.revision()).expect("it was stored so");
        Self(loaded, self.1.clone())
    }

    fn may(&self, who: &str, change: &Change) -> bool {
        let session = Session::of_identity(self.0.identity_at(who).expect("it exists"));
        self.0.authorise_change(&session, change, NOW).is_ok()
    }
}

const CI: &str = "org/acme/programmatic_identity/ci";
const ADMIN: &str = "org/acme/programmatic_identity/admin";
const MAIN: &str = "org/acme/kvdb/main";
const EVERYTHING: &str = r#"[{"Effect":"Allow","Actions":["*"],"Resources":["**"]}]"#;

fn organisation(id: &str, account: &str) -> Change {
    Change::CreateOrganisation {
        id: id.into(),
        name: None,
        owner: "user/owner".into(),
        account: account.into(),
        administrator: None,
    }
}

fn identity(organisation: &str, id: &str) -> Change {
    Change::CreateProgrammaticIdentity {
        organisation: organisation.into(),
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

fn database(organisation: &str, id: &str) -> Change {
    Change::CreateDatabase {
        organisation: organisation.into(),
        id: id.into(),
        name: None,
        description: None,
        backend: Backend::Embedded,
    }
}

fn trust(id: &str, trustor: &str, trustee: &str, document: &str) -> Change {
    Change::CreateTrust {
        id: id.into(),
        trustor: trustor.into(),
        trustee: trustee.into(),
        policies: vec![PolicyInput::Document(document.into())],
        expires_at: None,
        kind: None,
        conditions: None,
    }
}

fn key(identity: &str, key_id: &str) -> Change {
    Change::CreateAccessKey {
        identity: identity.into(),
        key_id: key_id.into(),
        secret_hash: [7; 32],
        description: None,
        expires_at: None,
        sealed_secret: None,
    }
}

#[test]
fn an_id_is_never_used_again() {
    let mut world = World::new();
    world.ok(&database("acme", "old"));
    assert!(matches!(
        world.refused(&database("acme", "old")),
        ChangeError::NotAvailable { .. }
    ));
    world.ok(&Change::DeleteDatabase {
        path: "org/acme/kvdb/old".into(),
    });
    assert!(matches!(
        world.refused(&database("acme", "old")),
        ChangeError::NotAvailable { .. }
    ));
    world.ok(&database("partner", "old"));

    world.ok(&key(CI, "KWAKAAAAAAAAAAAAAAAA"));
    let path = format!("{CI}/access_key/KWAKAAAAAAAAAAAAAAAA");
    world.ok(&Change::DeleteAccessKey { path });
    for identity in [CI, ADMIN] {
        let again = key(identity, "KWAKAAAAAAAAAAAAAAAA");
        assert!(
            matches!(world.refused(&again), ChangeError::NotAvailable { .. }),
            "{identity}"
        );
    }
    for change in [database("acme", "old"), key(ADMIN, "KWAKAAAAAAAAAAAAAAAA")] {
        assert!(
            matches!(
                world.reloaded().refused(&change),
                ChangeError::NotAvailable { .. }
            ),
            "{change:?}"
        );
    }
}

#[test]
fn an_account_number_is_never_used_again() {
    let mut world = World::new();
    world.ok(&organisation("gone", "000000000003"));
    world.ok(&Change::DeleteOrganisation {
        path: "org/gone".into(),
    });
    for world in [&world, &world.reloaded(), &world.reloaded().reloaded()] {
        for (id, account) in [
            ("other", "000000000001"),
            ("other", "000000000003"),
            ("gone", "000000000004"),
        ] {
            assert!(
                matches!(
                    world.refused(&organisation(id, account)),
                    ChangeError::NotAvailable { .. }
                ),
                "{id} {account}"
            );
        }
    }
    world.reloaded().ok(&organisation("other", "000000000004"));
}

#[test]
fn names_are_unique_whatever_their_case_and_free_after_deletion() {
    let mut world = World::new();
    let named = |id: &str, name: &str| Change::CreateDatabase {
        organisation: "acme".into(),
        id: id.into(),
        name: Some(name.into()),
        description: None,
        backend: Backend::Embedded,
    };
    world.ok(&named("a", "Sessions"));
    assert!(matches!(
        world.refused(&named("b", "SESSIONS")),
        ChangeError::NameTaken { .. }
    ));
    let rename = |name: Option<&str>| Change::Rename {
        path: MAIN.into(),
        name: name.map(Into::into),
    };
    assert!(matches!(
        world.refused(&rename(Some("sessions"))),
        ChangeError::NameTaken { .. }
    ));
    world.ok(&rename(Some("Main")));
    world.ok(&rename(Some("MAIN")));
    world.ok(&Change::DeleteDatabase {
        path: "org/acme/kvdb/a".into(),
    });
    world.ok(&rename(Some("sessions")));
    world.ok(&named("c", "main"));
}

#[test]
fn trusts_form_no_circle_and_no_long_chain() {
    let mut world = World::new();
    for n in 0..10 {
        world.ok(&group(&format!("g{n}")));
    }
    let path = |n: usize| format!("org/acme/group/g{n}");
    // g1 trusts g0, g2 trusts g1, …: a chain of seven, and with `ci` below it eight.
    for n in 1..8 {
        world.ok(&trust(&format!("t{n}"), &path(n), &path(n - 1), EVERYTHING));
    }
    for n in [0, 3, 7] {
        let circle = trust("back", &path(0), &path(n), EVERYTHING);
        assert!(
            matches!(world.refused(&circle), ChangeError::Cycle { .. }),
            "{n}"
        );
    }
    world.ok(&trust("below", &path(0), CI, EVERYTHING));
    let above = trust("above", &path(8), &path(7), EVERYTHING);
    assert!(matches!(
        world.refused(&above),
        ChangeError::TooLong { found: 9 }
    ));
    let twin = trust("twin", &path(0), CI, EVERYTHING);
    assert!(matches!(world.refused(&twin), ChangeError::Exists { .. }));
    world.ok(&Change::DeleteTrust {
        path: "org/acme/trust/below".into(),
    });
    world.ok(&above);
}

#[test]
fn ownership_is_moved_never_edited() {
    let mut world = World::new();
    let path = "org/acme/trust/owner".to_owned();
    for change in [
        Change::DeleteTrust { path: path.clone() },
        Change::UpdateTrust {
            path: path.clone(),
            policies: Some(Vec::new()),
            expires_at: None,
            conditions: None,
        },
        Change::UpdateTrust {
            path,
            policies: None,
            expires_at: Some(Some(NOW)),
            conditions: None,
        },
    ] {
        assert!(
            matches!(world.refused(&change), ChangeError::Invalid { .. }),
            "{change:?}"
        );
    }
    world.ok(&Change::CreateUser {
        id: "heir".into(),
        name: None,
    });
    let moved = Change::TransferOwnership {
        organisation: "org/acme".into(),
        owner: "user/heir".into(),
    };
    assert!(!world.may("user/heir", &moved));
    assert!(world.may("user/owner", &moved));
    world.refused(&moved); // no member
    world.ok(&Change::CreateOrganisationUser {
        organisation: "acme".into(),
        id: "heir".into(),
        name: None,
        user: Some("user/heir".into()),
        invitation: None,
    });
    world.ok(&moved);
    assert!(world.may("user/heir", &database("acme", "x")));
    assert!(!world.may("user/owner", &database("acme", "x")));
}

#[test]
fn access_keys_are_limited_so_that_they_can_be_rotated() {
    let mut world = World::new();
    let id = |n: usize| format!("KWAKAAAAAAAAAAAAAAA{n}");
    let path = |n: usize| format!("{CI}/access_key/{}", id(n));
    let status = |n, status| Change::UpdateAccessKey {
        path: path(n),
        status: Some(status),
        description: None,
        expires_at: None,
    };
    world.ok(&key(CI, &id(0)));
    world.ok(&key(CI, &id(1)));
    assert!(matches!(
        world.refused(&key(CI, &id(2))),
        ChangeError::Limit { max: 2, .. }
    ));
    world.ok(&status(0, KeyStatus::Disabled));
    world.ok(&key(CI, &id(2)));
    assert!(matches!(
        world.refused(&status(0, KeyStatus::Active)),
        ChangeError::Limit { .. }
    ));
    for n in 3..5 {
        world.ok(&status(n - 2, KeyStatus::Disabled));
        world.ok(&key(CI, &id(n)));
    }
    world.ok(&status(4, KeyStatus::Disabled));
    assert!(matches!(
        world.refused(&key(CI, &id(5))),
        ChangeError::Limit { max: 5, .. }
    ));

    let (ix, _) = world.0.access_key(&id(3)).expect("it was made");
    let session = Session::of_key(ix, world.0.identity_at(CI).expect("it exists"));
    assert_eq!(world.0.check_session(&session, NOW), Ok(()));
    world.ok(&status(3, KeyStatus::Disabled));
    assert_eq!(
        world.0.check_session(&session, NOW),
        Err(SessionEnded::AccessKeyDisabled)
    );
    world.ok(&Change::DeleteAccessKey { path: path(3) });
    assert_eq!(
        world.0.check_session(&session, NOW),
        Err(SessionEnded::AccessKeyDeleted)
    );
}

#[test]
fn what_is_in_use_is_named_in_the_refusal() {
    let mut world = World::new();
    world.ok(&trust("ci", "org/acme", CI, EVERYTHING));
    let delete = |cascade| Change::DeleteIdentity {
        path: CI.into(),
        cascade,
    };
    match world.refused(&delete(false)) {
        ChangeError::Conflict { dependents, .. } => assert_eq!(dependents, ["org/acme/trust/ci"]),
        other => panic!("{other}"),
    }
    world.ok(&delete(true));
    assert!(world.0.trust_at("org/acme/trust/ci").is_none());
    let delete = |id: &str| Change::DeleteOrganisation {
        path: format!("org/{id}"),
    };
    assert!(matches!(
        world.refused(&delete("acme")),
        ChangeError::Conflict { .. }
    ));
    world.ok(&delete("partner"));

    world.ok(&Change::CreatePolicy {
        organisation: "acme".into(),
        id: "p".into(),
        name: None,
        document: EVERYTHING.into(),
    });
    world.ok(&Change::UpdateTrust {
        path: "org/acme/trust/admin".into(),
        policies: Some(vec![PolicyInput::Named("policy/p".into())]),
        expires_at: None,
        conditions: None,
    });
    let delete = Change::DeletePolicy {
        path: "org/acme/policy/p".into(),
    };
    assert!(matches!(
        world.refused(&delete),
        ChangeError::Conflict { .. }
    ));
}

#[test]
fn whoever_has_a_key_of_an_identity_or_a_policy_that_names_it_depends_on_it() {
    let mut world = World::new();
    let key_id = "KWAKAAAAAAAAAAAAAAAA";
    let path = format!("{CI}/access_key/{key_id}");
    world.ok(&key(CI, key_id));
    world.ok(&Change::PutResourcePolicy {
        path: MAIN.into(),
        document: r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Identities":["programmatic_identity/ci"]}]"#
            .into(),
    });
    let delete = |cascade| Change::DeleteIdentity {
        path: CI.into(),
        cascade,
    };
    let dependents = |world: &World| match world.refused(&delete(false)) {
        ChangeError::Conflict { dependents, .. } => dependents,
        other => panic!("{other}"),
    };
    let policy = format!("{MAIN}/resource_policy");
    assert_eq!(dependents(&world), [path.clone(), policy.clone()]);
    // Nobody gets in by a key that is disabled.
    world.ok(&Change::UpdateAccessKey {
        path: path.clone(),
        status: Some(KeyStatus::Disabled),
        description: None,
        expires_at: None,
    });
    assert_eq!(dependents(&world), [policy]);
    world.ok(&delete(true));
    assert!(world.0.access_key(key_id).is_none());
}

#[test]
fn what_an_organisation_gave_away_ends_with_it() {
    let mut world = World::new();
    world.ok(&trust("ci", "org/partner", CI, EVERYTHING));
    world.ok(&trust("back", "org/acme", "org/partner", EVERYTHING));
    let delete = Change::DeleteOrganisation {
        path: "org/partner".into(),
    };
    match world.refused(&delete) {
        ChangeError::Conflict { dependents, .. } => assert_eq!(dependents, ["org/acme/trust/back"]),
        other => panic!("{other}"),
    }
    world.ok(&Change::DeleteTrust {
        path: "org/acme/trust/back".into(),
    });
    world.ok(&delete);
    assert!(world.0.trust_at("org/partner/trust/ci").is_none());
}

#[test]
fn documents_mean_what_exists_when_they_are_written() {
    let world = World::new();
    let policy = |document: &str| Change::PutResourcePolicy {
        path: MAIN.into(),
        document: document.into(),
    };
    let naming = |effect: &str, identity: &str| {
        policy(&format!(
            r#"[{{"Effect":"{effect}","Actions":["kvdb:ExecuteGet"],"Identities":["{identity}"]}}]"#
        ))
    };
    let unknown = naming("Allow", "programmatic_identity/later");
    assert!(matches!(
        world.refused(&unknown),
        ChangeError::Invalid { .. }
    ));
    assert!(matches!(
        world.refused(&naming("Deny", "org/acme")),
        ChangeError::Invalid { .. }
    ));
    assert!(matches!(
        world.refused(&policy("[{}]")),
        ChangeError::Policy { .. }
    ));
    assert!(
        world
            .0
            .apply(&naming("Allow", CI), &ChangeContext::system(NOW))
            .is_ok()
    );
    let foreign = Change::PutBoundary {
        identity: CI.into(),
        policies: vec![PolicyInput::Named("org/partner/policy/p".into())],
    };
    assert!(matches!(
        world.refused(&foreign),
        ChangeError::Invalid { .. }
    ));
}

/// "An action that hands out power is decided on what it hands out."
#[test]
fn power_is_decided_on_what_is_handed_out() {
    let mut world = World::new();
    world.ok(&identity("acme", "helper"));
    world.ok(&group("dev"));
    let helper = "org/acme/programmatic_identity/helper";
    let grant = |document: &str| Change::UpdateTrust {
        path: "org/acme/trust/helper".into(),
        policies: Some(vec![PolicyInput::Document(document.into())]),
        expires_at: None,
        conditions: None,
    };
    // Manages one group, and may accept for whom it likes.
    let document = r#"[{"Effect":"Allow","Actions":["iam:*"],"Resources":["group/dev"]},
        {"Effect":"Allow","Actions":["iam:AcceptTrust"],"Resources":["**"]}]"#;
    world.ok(&trust("helper", "org/acme", helper, document));
    assert!(world.may(helper, &trust("t", "org/acme/group/dev", CI, EVERYTHING)));
    // Attack 9: not a trust of the organisation in itself, nor the keys of others.
    for change in [
        trust("t", "org/acme", helper, EVERYTHING),
        trust("t", "org/acme", "org/acme/group/dev", EVERYTHING),
        trust("t", ADMIN, helper, EVERYTHING),
        key(ADMIN, "KWAKAAAAAAAAAAAAAAAA"),
        Change::DeleteTrust {
            path: "org/acme/trust/admin".into(),
        },
        grant(EVERYTHING),
        Change::SetAdministration {
            path: MAIN.into(),
            on: true,
        },
        Change::PutGuardrails {
            organisation: "org/acme".into(),
            policies: Vec::new(),
        },
    ] {
        assert!(!world.may(helper, &change), "{change:?}");
        assert!(world.may(ADMIN, &change), "{change:?}");
    }

    // A policy's default version changes every trust that carries it.
    let document = r#"[{"Effect":"Allow","Actions":["iam:UpdatePolicy","iam:SetDefaultPolicyVersion"],
        "Resources":["policy/p"]}]"#;
    world.ok(&grant(document));
    world.ok(&Change::CreatePolicy {
        organisation: "acme".into(),
        id: "p".into(),
        name: None,
        document: EVERYTHING.into(),
    });
    let update = Change::UpdatePolicy {
        path: "org/acme/policy/p".into(),
        document: EVERYTHING.into(),
        make_default: true,
    };
    assert!(world.may(helper, &update));
    world.ok(&Change::UpdateTrust {
        path: "org/acme/trust/admin".into(),
        policies: Some(vec![PolicyInput::Named("policy/p".into())]),
        expires_at: None,
        conditions: None,
    });
    assert!(!world.may(helper, &update));
    world.ok(&update);
    let back = Change::SetDefaultPolicyVersion {
        path: "org/acme/policy/p".into(),
        version: 1,
    };
    assert!(!world.may(helper, &back));
    world.ok(&back);

    // `kvdb:Update` covers neither backend nor administration.
    let document = r#"[{"Effect":"Allow","Actions":["kvdb:Update"],"Resources":["kvdb/main"]}]"#;
    world.ok(&grant(document));
    assert!(world.may(
        helper,
        &Change::Rename {
            path: MAIN.into(),
            name: None
        }
    ));
    let backend = Backend::of_operator("10.0.0.5:6379", None);
    for change in [
        Change::SetAdministration {
            path: MAIN.into(),
            on: true,
        },
        Change::SetBackend {
            path: MAIN.into(),
            backend,
        },
    ] {
        assert!(!world.may(helper, &change), "{change:?}");
    }

    // Nobody sets or removes its own boundary, whatever a policy says.
    world.ok(&grant(EVERYTHING));
    let boundary = |identity: &str| Change::DeleteBoundary {
        identity: identity.into(),
    };
    assert!(!world.may(helper, &boundary(helper)));
    assert!(world.may(helper, &boundary(CI)));
}

#[test]
fn a_trust_across_organisations_waits_for_the_other_side() {
    let mut world = World::new();
    world.ok(&identity("partner", "visitor"));
    let visitor = "org/partner/programmatic_identity/visitor";
    let change = trust("visitor", "org/acme", visitor, EVERYTHING);
    let session = Session::of_identity(world.0.identity_at(ADMIN).expect("it exists"));
    let approval = world
        .0
        .authorise_change(&session, &change, NOW)
        .expect("it may offer");
    assert!(!approval.accepts);
    let context = ChangeContext {
        at: NOW,
        by: ADMIN.into(),
        accepts: approval.accepts,
    };
    world.0 = world
        .0
        .apply(&change, &context)
        .expect("it waits")
        .directory;
    let may_read = |world: &World| {
        let session = Session::of_identity(world.0.identity_at(visitor).expect("it exists"));
        let database = world.0.database_at(MAIN).expect("it exists");
        world
            .0
            .decide_command(
                &session,
                database,
                &["GET", "k"],
                false,
                &keyward_iam::Call::at(NOW),
            )
            .is_allow()
    };
    assert!(!may_read(&world));
    let accept = Change::AcceptTrust {
        path: "org/acme/trust/visitor".into(),
    };
    assert!(!world.may(ADMIN, &accept));
    assert!(world.may("user/owner", &accept));
    world.ok(&accept);
    assert!(may_read(&world));
    // A trustee may leave an organisation.
    let leave = Change::DeleteTrust {
        path: "org/acme/trust/visitor".into(),
    };
    assert!(world.may(visitor, &leave));
    assert!(!world.may(CI, &leave));
}

#[test]
fn a_trust_ends_when_it_says() {
    let mut world = World::new();
    let end = UnixMillis(5_000);
    world.ok(&Change::CreateTrust {
        id: "ci".into(),
        trustor: "org/acme".into(),
        trustee: CI.into(),
        policies: vec![PolicyInput::Document(EVERYTHING.into())],
        expires_at: Some(end),
        kind: None,
        conditions: None,
    });
    let session = Session::of_identity(world.0.identity_at(CI).expect("it exists"));
    let database = world.0.database_at(MAIN).expect("it exists");
    for (at, allowed) in [(4_999, true), (5_000, false)] {
        let at = UnixMillis(at);
        let decision = world.0.decide_command(
            &session,
            database,
            &["GET", "k"],
            false,
            &keyward_iam::Call::at(at),
        );
        assert_eq!(decision.is_allow(), allowed, "{decision:?}");
        let table = world.0.table(&session, database, false, at);
        assert_eq!(table.valid_until(), allowed.then_some(end));
    }
}

#[test]
fn a_command_with_too_many_keys_for_its_statements_is_refused_at_once() {
    let mut world = World::new();
    let statements: Vec<String> = (0..2_000)
        .map(|n| {
            format!(
                r#"{{"Effect":"Allow","Actions":["kvdb:ExecuteMget"],"Resources":["kvdb/main"],"Keys":["a*","b{n}"]}}"#
            )
        })
        .collect();
    world.ok(&trust(
        "ci",
        "org/acme",
        CI,
        &format!("[{}]", statements.join(",")),
    ));
    let session = Session::of_identity(world.0.identity_at(CI).expect("it exists"));
    let database = world.0.database_at(MAIN).expect("it exists");
    for (keys, allowed) in [(9_000, true), (11_000, false)] {
        let words: Vec<String> = std::iter::once("MGET".to_owned())
            .chain((0..keys).map(|n| format!("a{n}")))
            .collect();
        let start = std::time::Instant::now();
        let decision = world.0.decide_command(
            &session,
            database,
            &words,
            false,
            &keyward_iam::Call::at(NOW),
        );
        assert_eq!(decision.is_allow(), allowed, "{keys}: {}", decision.message);
        let table = world.0.table(&session, database, false, NOW);
        let command = keyward_commands::resolve(&words).expect("known");
        let request = keyward_iam::Request {
            command,
            words: &words,
            bytes: b"",
            call: keyward_iam::Call::at(NOW),
        };
        let mut touched = keyward_commands::Touched::default();
        assert_eq!(
            table.authorize(&request, &mut touched).is_ok(),
            allowed,
            "{keys}"
        );
        assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
    }
}
