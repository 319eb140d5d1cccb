//! Snapshots: their life, on what each change of it is decided, and the proof that lets somebody read
//! or write all keys.

use keyward_iam::{Existing, RestoreState, SnapshotAction, SnapshotState};

use super::*;

const NIGHTLY: &str = "org/acme/kvdb/main/snapshot/nightly";

fn create(id: &str) -> Change {
    Change::CreateSnapshot {
        database: MAIN.into(),
        id: id.into(),
        description: Some("before the move".into()),
    }
}

fn ended(path: &str, state: SnapshotState) -> Change {
    Change::EndSnapshot {
        path: path.into(),
        state,
    }
}

fn ready() -> SnapshotState {
    SnapshotState::Ready {
        keys: 3,
        bytes: 500,
        sha256: [7; 32],
        server: "valkey 9.1.0".into(),
    }
}

fn restore(target: &str, existing: Existing) -> Change {
    Change::RestoreSnapshot {
        path: NIGHTLY.into(),
        target: target.into(),
        existing,
    }
}

fn restored(state: RestoreState) -> Change {
    Change::EndRestore {
        path: NIGHTLY.into(),
        state,
    }
}

fn delete(path: &str) -> Change {
    Change::DeleteSnapshot { path: path.into() }
}

#[test]
fn a_snapshot_is_made_restored_and_deleted() {
    let mut world = World::new();
    world.ok(&database("acme", "copy"));
    let copy = "org/acme/kvdb/copy";
    world.ok(&create("nightly"));
    let state = |world: &World, of: &str| {
        let shown = world.0.describe(of).unwrap();
        shown["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(&world, NIGHTLY), "creating");
    // Not before it is ready.
    world.refused(&restore(copy, Existing::Refuse));
    world.ok(&ended(NIGHTLY, ready()));
    assert_eq!(state(&world, NIGHTLY), "ready");
    world.refused(&ended(NIGHTLY, ready()));
    world.refused(&restored(RestoreState::Done { keys: 3 }));
    world.refused(&restore("org/acme/kvdb/none", Existing::Refuse));

    world.ok(&restore(copy, Existing::Replace));
    // One at a time, and not deleted under it.
    world.refused(&restore(copy, Existing::Replace));
    let error = world.refused(&delete(NIGHTLY));
    assert!(matches!(error, ChangeError::Conflict { .. }), "{error}");
    let world_again = world.reloaded();
    let snapshot = world_again.0.snapshot_at(NIGHTLY).unwrap();
    assert!(
        world_again
            .0
            .snapshot(snapshot)
            .unwrap()
            .is_being_restored()
    );
    world.ok(&restored(RestoreState::Done { keys: 3 }));
    let shown = world.0.describe(NIGHTLY).unwrap();
    assert_eq!(shown["last_restore"]["state"], "done");
    assert_eq!(shown["last_restore"]["target"], copy);
    assert_eq!(shown["last_restore"]["started"]["by"], "system");
    assert_eq!(shown["sha256"], "07".repeat(32));
    assert_eq!(world.reloaded().0.describe(NIGHTLY).unwrap(), shown);

    // Perhaps the last copy: the database does not go before it.
    let main = Change::DeleteDatabase { path: MAIN.into() };
    match world.refused(&main) {
        ChangeError::Conflict { dependents, .. } => assert_eq!(dependents, [NIGHTLY]),
        error => panic!("{error}"),
    }
    world.ok(&delete(NIGHTLY));
    assert!(world.reloaded().0.snapshot_at(NIGHTLY).is_none());
    assert!(matches!(
        world.reloaded().refused(&create("nightly")),
        ChangeError::NotAvailable { .. }
    ));
    world.ok(&main);
    assert!(matches!(
        world.refused(&create("later")),
        ChangeError::NotFound { .. }
    ));
}

#[test]
fn what_is_no_snapshot_is_refused() {
    let mut world = World::new();
    for id in ["", "A", "a/b", "..", "system", "a."] {
        world.refused(&create(id));
    }
    for n in 0..keyward_iam::MAX_SNAPSHOTS {
        world.ok(&create(&format!("s{n}")));
    }
    let error = world.refused(&create("more"));
    assert!(matches!(error, ChangeError::Limit { .. }), "{error}");
    let long = Change::UpdateSnapshot {
        path: format!("{MAIN}/snapshot/s0"),
        description: Some("x".repeat(2000)),
    };
    world.refused(&long);
    for change in [
        delete(NIGHTLY),
        ended(NIGHTLY, ready()),
        restore(MAIN, Existing::Refuse),
        Change::Rename {
            path: format!("{MAIN}/snapshot/s0"),
            name: Some("S".into()),
        },
        Change::PutResourcePolicy {
            path: format!("{MAIN}/snapshot/s0"),
            document: EVERYTHING.to_owned().into(),
        },
    ] {
        world.refused(&change);
    }
    // A long reason is cut, not refused: the failure must be kept.
    let path = format!("{MAIN}/snapshot/s1");
    let reason = "ö".repeat(2000);
    world.ok(&ended(&path, SnapshotState::Failed { reason }));
    let shown = world.reloaded().0.describe(&path).unwrap();
    assert_eq!(shown["reason"].as_str().unwrap().len(), 1024);
}

#[test]
fn a_permit_is_of_who_may_read_all_of_it_and_write_all_of_the_target() {
    let mut world = World::new();
    world.ok(&database("acme", "own"));
    let own = "org/acme/kvdb/own";
    world.ok(&create("nightly"));
    world.ok(&ended(NIGHTLY, ready()));
    world.ok(&trust(
        "ci",
        "org/acme",
        CI,
        r#"[{"Effect":"Allow","Actions":["kvdb:*"],"Resources":["kvdb/own"]},
            {"Effect":"Allow","Actions":["kvdb:*"],"Resources":["kvdb/main"],"Keys":["app:*"]}]"#,
    ));
    let permit = |world: &World, who: &str, change: &Change| {
        let session = Session::of_identity(world.0.identity_at(who).unwrap());
        world.0.permit_snapshot(&session, change, NOW)
    };
    for change in [create("mine"), restore(own, Existing::Refuse)] {
        assert!(!world.may(CI, &change), "{change:?}");
        let refused = permit(&world, CI, &change).unwrap_err();
        assert!(refused.message.contains("every key"), "{refused:?}");
    }
    let permitted = permit(&world, ADMIN, &create("mine")).unwrap();
    assert_eq!(permitted.action(), SnapshotAction::Create);
    assert_eq!(permitted.snapshot(), format!("{MAIN}/snapshot/mine"));
    assert_eq!(permitted.database(), world.0.database_at(MAIN).unwrap());
    let permitted = permit(&world, ADMIN, &restore(own, Existing::Flush)).unwrap();
    assert_eq!(permitted.action(), SnapshotAction::Restore(Existing::Flush));
    assert_eq!(permitted.database(), world.0.database_at(own).unwrap());
    // Nothing else has such a proof.
    assert!(permit(&world, ADMIN, &delete(NIGHTLY)).is_err());
    // Nobody but Keyward itself says how it ended.
    for change in [
        ended(NIGHTLY, ready()),
        restored(RestoreState::Done { keys: 1 }),
    ] {
        assert!(!world.may(ADMIN, &change), "{change:?}");
        assert!(!world.may("user/owner", &change), "{change:?}");
    }

    // To remove everything first is to flush.
    let mut world = world;
    world.ok(&identity("acme", "operator"));
    let operator = "org/acme/programmatic_identity/operator";
    world.ok(&trust(
        "operator",
        "org/acme",
        operator,
        r#"[{"Effect":"Allow","Actions":["kvdb:*"],"Resources":["kvdb/*"]},
            {"Effect":"Deny","Actions":["kvdb:@flush"],"Resources":["kvdb/own"]}]"#,
    ));
    assert!(world.may(operator, &restore(own, Existing::Replace)));
    assert!(!world.may(operator, &restore(own, Existing::Flush)));
    assert!(world.may(operator, &restore(MAIN, Existing::Flush)));
}

/// What vendors call it, on paths as they are: their names allow, and reading all keys is what the same
/// documents say of commands.
#[test]
fn documents_of_vendors() {
    let mut world = World::new();
    world.ok(&create("nightly"));
    world.ok(&ended(NIGHTLY, ready()));
    world.ok(&trust("ci", "org/acme", CI, EVERYTHING));
    let aws = |actions: &str, resource: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":[{actions}],"Resource":"{resource}"}}]}}"#
        )
    };
    let tencent = |actions: &str| {
        format!(
            r#"{{"version":"2.0","statement":[{{"effect":"allow","action":[{actions}],"resource":["*"]}}]}}"#
        )
    };
    let alibaba = |actions: &str| {
        format!(
            r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":[{actions}],"Resource":"*"}}]}}"#
        )
    };
    let asked = [
        ("kvdb:CreateSnapshot", MAIN),
        ("kvdb:ListSnapshot", MAIN),
        ("kvdb:DescribeSnapshot", NIGHTLY),
        ("kvdb:DeleteSnapshot", NIGHTLY),
        ("kvdb:RestoreSnapshot", NIGHTLY),
        ("kvdb:RestoreSnapshot", MAIN),
    ];
    let snapshot = "arn:aws:elasticache:*:000000000001:snapshot:main/*";
    let reads = r#""elasticache:CreateSnapshot","kvdb:ExecuteDump","kvdb:ExecuteScan""#;
    // A letter for each that is allowed: create, list, describe, delete, restore it, restore into.
    let cases = [
        (aws(r#""*""#, "*"), "cldsrt"),
        (aws(r#""elasticache:*""#, "*"), "lds"),
        (aws(reads, "*"), "c"),
        (aws(r#""elasticache:DescribeSnapshots""#, "*"), "ld"),
        (
            aws(
                r#""elasticache:DescribeSnapshots","elasticache:DeleteSnapshot""#,
                snapshot,
            ),
            "ds",
        ),
        (
            aws(
                r#""elasticache:DeleteSnapshot""#,
                "arn:aws:elasticache:*:000000000001:snapshot:other/*",
            ),
            "",
        ),
        (tencent(r#""*""#), "cldsrt"),
        (tencent(r#""redis:DescribeInstanceBackups""#), "ld"),
        (tencent(r#""redis:ManualBackupInstance""#), ""),
        (alibaba(r#""*""#), "cldsrt"),
        (alibaba(r#""kvstore:*""#), "lds"),
        (alibaba(r#""kvstore:DeleteBackup""#), "s"),
    ];
    for (document, expected) in cases {
        world.ok(&Change::UpdateTrust {
            path: "org/acme/trust/ci".into(),
            policies: Some(vec![PolicyInput::Document(document.clone())]),
            expires_at: None,
            conditions: None,
        });
        let session = Session::of_identity(world.0.identity_at(CI).unwrap());
        let mut found = String::new();
        for ((action, resource), letter) in asked.iter().zip("cldsrt".chars()) {
            let action = keyward_commands::action(action).unwrap();
            let touch = &keyward_policy::Touch::None;
            let decision = world.0.decide(&session, action, resource, touch, NOW);
            found.extend(decision.is_allow().then_some(letter));
        }
        assert_eq!(found, expected, "{document}");
    }
}
