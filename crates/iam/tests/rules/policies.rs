//! Named policies with their versions, policies of the system, boundaries and guardrails.

use keyward_iam::{
    Change, ChangeError, Directory, MAX_VERSIONS, PolicyCarrier, PolicyInput, Row, SystemPolicy,
};
use serde_json::json;

use crate::{ADMIN, CI, EVERYTHING, World, group, trust};

const READS: &str = "org/acme/policy/reads";
const READ: &str = r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/*"]}]"#;

fn create(id: &str, name: Option<&str>) -> Change {
    Change::CreatePolicy {
        organisation: "acme".into(),
        id: id.into(),
        name: name.map(Into::into),
        document: READ.into(),
    }
}

fn update(document: &str, make_default: bool) -> Change {
    Change::UpdatePolicy {
        path: READS.into(),
        document: document.into(),
        make_default,
    }
}

fn default_version(version: u32) -> Change {
    Change::SetDefaultPolicyVersion {
        path: READS.into(),
        version,
    }
}

fn delete_version(version: u32) -> Change {
    Change::DeletePolicyVersion {
        path: READS.into(),
        version,
    }
}

fn attach(trust: &str, policy: &str) -> Change {
    Change::AttachPolicy {
        trust: format!("org/acme/trust/{trust}"),
        policy: policy.into(),
    }
}

fn detach(trust: &str, policy: &str) -> Change {
    Change::DetachPolicy {
        trust: format!("org/acme/trust/{trust}"),
        policy: policy.into(),
    }
}

fn boundary(identity: &str, policy: &str) -> Change {
    Change::PutBoundary {
        identity: identity.into(),
        policies: vec![PolicyInput::Named(policy.into())],
    }
}

fn guardrails(policy: &str) -> Change {
    Change::PutGuardrails {
        organisation: "org/acme".into(),
        policies: vec![PolicyInput::Named(policy.into())],
    }
}

/// Numbers of the versions, and the default.
fn versions(directory: &Directory) -> (Vec<u32>, u32) {
    let ix = directory.policy_at(READS).expect("it exists");
    let policy = directory.policy(ix).expect("it exists");
    let numbers = policy.versions.iter().map(|version| version.number);
    (numbers.collect(), policy.default_version)
}

#[test]
fn numbers_of_versions_are_never_used_again() {
    let mut world = World::new();
    world.ok(&create("reads", None));
    world.ok(&update(EVERYTHING, true));
    world.ok(&update(READ, false));
    assert_eq!(versions(&world.0), (vec![1, 2, 3], 2));
    world.ok(&default_version(1));
    world.ok(&delete_version(3));
    world.ok(&delete_version(2));
    for world in [&world, &world.reloaded()] {
        assert_eq!(versions(&world.0), (vec![1], 1));
        for change in [default_version(3), default_version(0), delete_version(2)] {
            assert!(
                matches!(world.refused(&change), ChangeError::Invalid { .. }),
                "{change:?}"
            );
        }
        // The default is never deleted.
        assert!(matches!(
            world.refused(&delete_version(1)),
            ChangeError::Invalid { .. }
        ));
    }
    let mut world = world.reloaded();
    world.ok(&update(EVERYTHING, false));
    assert_eq!(versions(&world.0), (vec![1, 4], 1));
    assert!(matches!(
        world.refused(&update("[{}]", true)),
        ChangeError::Policy { .. }
    ));
}

#[test]
fn versions_are_limited_and_tell_who_made_them() {
    let mut world = World::new();
    world.ok(&create("reads", None));
    for _ in 1..MAX_VERSIONS {
        world.ok(&update(READ, false));
    }
    assert!(matches!(
        world.refused(&update(READ, false)),
        ChangeError::Limit { .. }
    ));
    world.ok(&delete_version(7));
    world.ok(&update(EVERYTHING, true));
    assert_eq!(versions(&world.0).1, 21);
    let shown = world.0.describe(READS).expect("it exists");
    let last = &shown["versions"][MAX_VERSIONS - 1];
    assert_eq!(last["version"], 21);
    assert_eq!(last["created"], json!({ "at": 1000, "by": "system" }));
    assert_eq!(last["document"][0]["Actions"], json!(["*"]));
}

/// Rows written before versions had numbers.
#[test]
fn old_rows_of_policies_are_read() {
    let mut world = World::new();
    world.ok(&create("reads", None));
    let mut rows: Vec<Row> = world.1.values().cloned().collect();
    let row = rows
        .iter_mut()
        .find(|row| row.path == READS)
        .expect("it was stored");
    let body = row.body.as_mut().expect("it exists");
    body["versions"] = json!([READ, EVERYTHING]);
    body["default_version"] = json!(2);
    let loaded = Directory::load(rows, 1).expect("it was stored so");
    assert_eq!(versions(&loaded), (vec![1, 2], 2));
    let catalogues = |directory: &Directory| -> Vec<u32> {
        let policy = directory.policy(directory.policy_at(READS).unwrap());
        let versions = policy.unwrap().versions.iter();
        versions.map(|version| version.catalogue).collect()
    };
    assert_eq!(catalogues(&loaded), [1, 1]);
    let mut rows: Vec<Row> = loaded.rows().collect();
    assert!(Directory::load(rows.clone(), 1).is_ok());
    // Those of the time before the catalogue was kept.
    for row in rows.iter_mut().filter(|row| row.path == READS) {
        for version in row.body.as_mut().unwrap()["versions"]
            .as_array_mut()
            .unwrap()
        {
            version
                .as_object_mut()
                .unwrap()
                .remove("catalogue")
                .unwrap();
        }
    }
    assert_eq!(catalogues(&Directory::load(rows, 1).unwrap()), [1, 1]);
    let mut world = World::new();
    world.ok(&create("reads", None));
    let today = keyward_commands::CATALOGUE_VERSION;
    assert_eq!(catalogues(&world.0), [today]);
    assert_eq!(catalogues(&world.reloaded().0), [today]);
}

#[test]
fn attached_by_reference() {
    let mut world = World::new();
    world.ok(&create("reads", Some("ReadEverything")));
    world.ok(&trust("ci", "org/acme", CI, EVERYTHING));
    for reference in [
        "policy/reads",
        READS,
        "reads",
        "readeverything",
        "policy/system/kvdb-monitoring",
        "KvdbMonitoring",
    ] {
        world.ok(&attach("ci", reference));
    }
    let carried = |world: &World| {
        let shown = world.0.describe("org/acme/trust/ci").expect("it exists");
        let list = shown["policies"].as_array().cloned().unwrap_or_default();
        let paths = list
            .iter()
            .filter_map(|one| one["policy"].as_str().map(str::to_owned));
        paths.collect::<Vec<_>>()
    };
    let both = [READS, "policy/system/kvdb-monitoring"];
    assert_eq!(carried(&world), both);
    assert_eq!(carried(&world.reloaded()), both);
    let carriers = world
        .0
        .policy_carriers("policy/system/kvdb-monitoring", None);
    let expected = PolicyCarrier::Trust {
        path: "org/acme/trust/ci".into(),
        trustor: "org/acme".into(),
    };
    assert_eq!(carriers, [expected]);
    world.ok(&detach("ci", "ReadEverything"));
    world.ok(&detach("ci", "policy/system/kvdb-monitoring"));
    assert!(carried(&world).is_empty());
    for reference in [
        "reads",
        "policy/none",
        "NoSuchPolicy",
        "policy/system/none",
        "org/partner/policy/x",
        "kvdb/main",
    ] {
        world.refused(&detach("ci", reference));
    }
    for (trust, reference) in [
        ("ci", "policy/none"),
        ("ci", "NoSuchPolicy"),
        ("ci", "policy/system/none"),
        ("ci", "org/partner/policy/x"),
        ("ci", "own-organisation-only"),
        ("ci", "OwnOrganisationOnly"),
        ("owner", "policy/reads"),
        ("none", "policy/reads"),
    ] {
        world.refused(&attach(trust, reference));
    }
}

/// A membership without a policy passes everything on.
#[test]
fn detaching_never_widens() {
    let mut world = World::new();
    world.ok(&group("dev"));
    world.ok(&create("reads", None));
    world.ok(&Change::CreateTrust {
        id: "member".into(),
        trustor: "org/acme/group/dev".into(),
        trustee: CI.into(),
        policies: vec![PolicyInput::Named("policy/reads".into())],
        expires_at: None,
        kind: None,
        conditions: None,
    });
    assert!(matches!(
        world.refused(&detach("member", "policy/reads")),
        ChangeError::Invalid { .. }
    ));
    world.ok(&attach("member", "KvdbReadOnly"));
    world.ok(&detach("member", "policy/reads"));
}

#[test]
fn policies_of_the_system_are_nobodys_to_change() {
    let mut world = World::new();
    for name in ["KvdbReadOnly", "kvdbreadonly"] {
        assert!(matches!(
            world.refused(&create("mine", Some(name))),
            ChangeError::NameTaken { .. }
        ));
    }
    assert!(
        world
            .0
            .apply(
                &create("system", None),
                &keyward_iam::ChangeContext::system(crate::NOW)
            )
            .is_err()
    );
    for policy in SystemPolicy::all() {
        let path = policy.path();
        for change in [
            Change::UpdatePolicy {
                path: path.clone(),
                document: READ.into(),
                make_default: true,
            },
            Change::SetDefaultPolicyVersion {
                path: path.clone(),
                version: 1,
            },
            Change::DeletePolicy { path: path.clone() },
            Change::Rename {
                path: path.clone(),
                name: None,
            },
        ] {
            world.refused(&change);
            assert!(!world.may(ADMIN, &change), "{change:?}");
            assert!(!world.may("user/owner", &change), "{change:?}");
        }
        let shown = world.0.describe(&path).expect("it exists");
        assert_eq!(shown["name"], policy.name());
        world.ok(&boundary(CI, &path));
        world.ok(&guardrails(policy.name()));
    }
    // A name that is no policy's yet may be taken by another collection.
    world.ok(&Change::Rename {
        path: CI.into(),
        name: Some("KvdbReadOnly".into()),
    });
}

/// "Make a version of a policy the default: … on the trustor of every trust that carries it", and
/// what it means where it is a boundary or a guardrail.
#[test]
fn a_new_default_is_decided_on_what_it_changes() {
    let helper = "org/acme/programmatic_identity/helper";
    let on = |actions: &str, resource: &str| {
        format!(r#"{{"Effect":"Allow","Actions":["{actions}"],"Resources":["{resource}"]}}"#)
    };
    let policies = [
        on("iam:UpdatePolicy", "policy/*"),
        on("iam:SetDefaultPolicyVersion", "policy/*"),
    ];
    type Carry<'a> = &'a dyn Fn(&mut World);
    let cases: [(Carry<'_>, Vec<String>); 4] = [
        (&|_| {}, vec![]),
        (
            &|world| {
                world.ok(&trust("ci", "org/acme", CI, READ));
                world.ok(&attach("ci", "policy/reads"));
            },
            vec![on("iam:UpdateTrust", "org/acme")],
        ),
        (
            &|world| world.ok(&boundary(CI, "policy/reads")),
            vec![on("iam:PutPermissionBoundary", "programmatic_identity/ci")],
        ),
        (
            &|world| {
                world.ok(&Change::PutGuardrails {
                    organisation: "org/acme".into(),
                    policies: vec![
                        PolicyInput::Document(EVERYTHING.into()),
                        PolicyInput::Named("policy/reads".into()),
                    ],
                });
            },
            vec![on("org:PutGuardrail", "org/acme")],
        ),
    ];
    for (number, (carry, needed)) in cases.into_iter().enumerate() {
        for with in [false, true] {
            let mut world = World::new();
            world.ok(&crate::identity("acme", "helper"));
            world.ok(&create("reads", None));
            world.ok(&update(EVERYTHING, false));
            carry(&mut world);
            let granted = if with { &needed[..] } else { &[] };
            let document = format!("[{}]", [&policies[..], granted].concat().join(","));
            world.ok(&trust("helper", "org/acme", helper, &document));
            let allowed = with || needed.is_empty();
            assert_eq!(
                world.may(helper, &default_version(2)),
                allowed,
                "{number} {with}"
            );
            assert_eq!(
                world.may(helper, &update(READ, true)),
                allowed,
                "{number} {with}"
            );
            // A version that nobody uses hands nothing out.
            assert!(world.may(helper, &update(READ, false)));
            assert!(world.may(helper, &delete_version(2)));
        }
    }
}

/// Not even by another version of the policy that the boundary carries.
#[test]
fn no_identity_changes_its_own_boundary() {
    let mut world = World::new();
    world.ok(&create("reads", None));
    world.ok(&update(EVERYTHING, false));
    world.ok(&trust("ci", "org/acme", CI, EVERYTHING));
    assert!(world.may(CI, &default_version(2)));
    world.ok(&boundary(CI, "OrgAdministrator"));
    let others = boundary(ADMIN, "KvdbReadOnly");
    assert!(world.may(CI, &others));
    for change in [
        boundary(CI, "KvdbReadOnly"),
        Change::DeleteBoundary {
            identity: CI.into(),
        },
    ] {
        assert!(!world.may(CI, &change), "{change:?}");
        assert!(world.may(ADMIN, &change), "{change:?}");
    }
    world.ok(&Change::PutBoundary {
        identity: CI.into(),
        policies: vec![
            PolicyInput::Named("OrgAdministrator".into()),
            PolicyInput::Named("policy/reads".into()),
        ],
    });
    for change in [default_version(2), update(READ, true)] {
        assert!(!world.may(CI, &change), "{change:?}");
        assert!(world.may(ADMIN, &change), "{change:?}");
    }
}

#[test]
fn a_policy_that_is_carried_stays() {
    let mut world = World::new();
    let delete = Change::DeletePolicy { path: READS.into() };
    world.ok(&create("reads", None));
    world.ok(&boundary(CI, "policy/reads"));
    assert!(matches!(
        world.refused(&delete),
        ChangeError::Conflict { .. }
    ));
    world.ok(&Change::DeleteBoundary {
        identity: CI.into(),
    });
    world.ok(&guardrails("policy/reads"));
    assert!(matches!(
        world.refused(&delete),
        ChangeError::Conflict { .. }
    ));
    world.ok(&Change::PutGuardrails {
        organisation: "org/acme".into(),
        policies: vec![],
    });
    world.ok(&delete);
}
