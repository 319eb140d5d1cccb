//! What a store keeps, and what it refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use keyward_auth::{AccessKeyId, AccessKeySecret, HashKey, hash_secret};
use keyward_iam::{Change, ChangeContext, Directory, UnixMillis};
use keyward_store::{
    BindHashKeyError, CommitError, LoadDirectoryError, MAX_AUDIT_ENTRIES, OpenError, Store,
};
use rusqlite::Connection;

use crate::history::{self, Expected, apply_next, audit};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("keyward.db")
    }

    /// A store with this many changes in it, closed again.
    fn with_changes(count: u64) -> (Self, Expected) {
        let (folder, mut expected) = (Self::new(), Expected::new());
        let mut store = Store::open(folder.store()).unwrap();
        (0..count).for_each(|_| expected.commit(&mut store));
        (folder, expected)
    }

    /// Changes the file behind the store's back.
    fn tamper(&self, sql: &str) {
        Connection::open(self.store())
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }
}

#[test]
fn what_is_committed_is_loaded() {
    let (folder, mut expected) = (Folder::new(), Expected::new());
    for opening in 0..12 {
        let mut store = Store::open(folder.store()).unwrap();
        let before = store.revision();
        expected.check(&store, 0);
        (0..opening * 3).for_each(|_| expected.commit(&mut store));
        expected.check(&store, before);
    }
}

#[test]
fn in_memory_is_the_same() {
    let mut expected = Expected::new();
    let mut store = Store::open_in_memory().unwrap();
    for _ in 0..40 {
        expected.commit(&mut store);
    }
    expected.check(&store, 0);
}

#[test]
fn changes_follow_each_other() {
    let (folder, expected) = Folder::with_changes(5);
    let mut store = Store::open(folder.store()).unwrap();
    let sixth = apply_next(&expected.directory);
    let seventh = apply_next(&sixth.directory);
    let refused = |result| matches!(result, Err(CommitError::Revision { stored: 5, .. }));
    assert!(
        refused(store.commit(&seventh, &audit(7))),
        "one was left out"
    );
    let first = apply_next(&Directory::empty());
    assert!(refused(store.commit(&first, &audit(1))), "an old one");
    expected.check(&store, 0);
    store.commit(&sixth, &audit(6)).unwrap();
    let again = store.commit(&sixth, &audit(6));
    assert!(
        matches!(
            again,
            Err(CommitError::Revision {
                found: 6,
                stored: 6
            })
        ),
        "twice"
    );
    store.commit(&seventh, &audit(7)).unwrap();
}

#[test]
fn a_change_without_its_audit_is_no_change() {
    let (folder, mut expected) = Folder::with_changes(20);
    folder.tamper(
        "CREATE TRIGGER fail BEFORE INSERT ON audit WHEN NEW.revision > 20
         BEGIN SELECT RAISE(ABORT, 'no audit'); END",
    );
    let mut store = Store::open(folder.store()).unwrap();
    let next = apply_next(&expected.directory);
    let error = store.commit(&next, &audit(21)).unwrap_err();
    assert!(matches!(error, CommitError::Sqlite { .. }), "{error}");
    expected.check(&store, 0);
    drop(store);
    folder.tamper("DROP TRIGGER fail");
    let mut store = Store::open(folder.store()).unwrap();
    expected.check(&store, 0);
    expected.commit(&mut store);
    expected.check(&store, 20);
}

#[test]
fn one_process_at_a_time() {
    let (folder, expected) = Folder::with_changes(3);
    let first = Store::open(folder.store()).unwrap();
    assert!(matches!(Store::open(folder.store()), Err(OpenError::InUse)));
    expected.check(&first, 0);
    drop(first);
    expected.check(&Store::open(folder.store()).unwrap(), 0);
}

#[test]
fn files_are_their_owners() {
    let (folder, mut expected) = Folder::with_changes(1);
    fs::set_permissions(folder.store(), fs::Permissions::from_mode(0o644)).unwrap();
    let mut store = Store::open(folder.store()).unwrap();
    expected.commit(&mut store);
    let files: Vec<_> = fs::read_dir(folder.0.path())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(files.len(), 2, "the database and its log: {files:?}");
    for file in files {
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{file:?}"
        );
    }
}

#[test]
fn audit_by_pages() {
    let (folder, _) = Folder::with_changes(30);
    let store = Store::open(folder.store()).unwrap();
    let cases: [(u64, usize, std::ops::Range<u64>); 8] = [
        (0, 10, 1..11),
        (10, 10, 11..21),
        (25, 10, 26..31),
        (30, 10, 0..0),
        (31, 10, 0..0),
        (0, 0, 0..0),
        (29, usize::MAX, 30..31),
        (u64::MAX, MAX_AUDIT_ENTRIES, 0..0),
    ];
    for (since, limit, expected) in cases {
        let found = store.audit_since(since, limit).unwrap();
        let revisions: Vec<u64> = found.iter().map(|entry| entry.revision).collect();
        assert_eq!(revisions, expected.collect::<Vec<_>>(), "{since} {limit}");
    }
}

#[test]
fn the_deployment_and_its_hash_key() {
    let folder = Folder::new();
    let mut store = Store::open(folder.store()).unwrap();
    let id = store.deployment_id().unwrap();
    assert_eq!(id.len(), 32);
    store.bind_hash_key(&[1; 32]).unwrap();
    drop(store);
    let mut store = Store::open(folder.store()).unwrap();
    assert_eq!(store.deployment_id().unwrap(), id);
    store.bind_hash_key(&[1; 32]).unwrap();
    assert!(matches!(
        store.bind_hash_key(&[2; 32]),
        Err(BindHashKeyError::Another)
    ));
    assert_ne!(
        Store::open_in_memory().unwrap().deployment_id().unwrap(),
        id
    );
}

#[test]
fn other_files_are_left_alone() {
    let contents: [(&str, Vec<u8>); 3] = [
        (
            "text",
            b"not a database, but long enough to look at ".repeat(100),
        ),
        ("zeros", vec![0; 8192]),
        ("another program's", {
            let folder = Folder::new();
            folder.tamper("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
            fs::read(folder.store()).unwrap()
        }),
    ];
    for (name, content) in contents {
        let folder = Folder::new();
        fs::write(folder.store(), &content).unwrap();
        assert!(Store::open(folder.store()).is_err(), "{name}");
        assert_eq!(
            fs::read(folder.store()).unwrap().len(),
            content.len(),
            "{name}"
        );
    }
    let folder = Folder::new();
    fs::write(folder.store(), "").unwrap();
    assert!(
        Store::open(folder.store()).is_ok(),
        "an empty file is a new store"
    );
    assert!(Store::open(folder.0.path()).is_err(), "a folder");
    assert!(
        Store::open(folder.0.path().join("absent/keyward.db")).is_err(),
        "no folder"
    );
}

#[test]
fn nothing_unreadable_is_skipped() {
    type Check = fn(&LoadDirectoryError) -> bool;
    let body: Check = |error| matches!(error, LoadDirectoryError::Body { .. });
    let revision: Check = |error| matches!(error, LoadDirectoryError::Revision { .. });
    let directory: Check = |error| matches!(error, LoadDirectoryError::Directory { .. });
    let cases: [(&str, &str, Check); 7] = [
        (
            "no JSON",
            "UPDATE entity SET body = '{' WHERE path = 'org/acme'",
            body,
        ),
        (
            "another body",
            "UPDATE entity SET body = '[]' WHERE path = 'org/acme'",
            directory,
        ),
        (
            "no path",
            "UPDATE entity SET path = 'nowhere' WHERE path = 'org/acme'",
            directory,
        ),
        (
            "unknown kind",
            "INSERT INTO entity VALUES ('org/acme/x/y', 'x', '{}', 1)",
            directory,
        ),
        (
            "missing",
            "UPDATE entity SET body = NULL WHERE path = 'user/u-1'",
            directory,
        ),
        (
            "later",
            "UPDATE entity SET revision = 999 WHERE path = 'org/acme'",
            revision,
        ),
        (
            "earlier",
            "INSERT INTO entity VALUES ('a', 'b', NULL, -1)",
            |_| false,
        ),
    ];
    for (name, sql, expected) in cases {
        let (folder, _) = Folder::with_changes(30);
        if name == "earlier" {
            let refused = Connection::open(folder.store()).unwrap().execute_batch(sql);
            assert!(refused.is_err(), "{name}: the schema refuses it");
            continue;
        }
        folder.tamper(sql);
        let error = Store::open(folder.store()).unwrap().load().unwrap_err();
        assert!(expected(&error), "{name}: {error:?}");
    }
}

#[test]
fn damage_is_an_error_or_harmless() {
    // Bytes changed at random: opening, loading and committing answer, whatever they answer.
    let (folder, expected) = Folder::with_changes(60);
    let intact = fs::read(folder.store()).unwrap();
    let next = apply_next(&expected.directory);
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    let mut noticed = 0;
    for round in 0..150 {
        let mut damaged = intact.clone();
        match round % 3 {
            0 => damaged.truncate(random(intact.len())),
            1 => (0..20).for_each(|_| damaged[random(intact.len())] = random(256) as u8),
            _ => {
                let page = random(intact.len() / 4096) * 4096;
                damaged[page..page + 4096].fill(random(256) as u8);
            }
        }
        let folder = Folder::new();
        fs::write(folder.store(), damaged).unwrap();
        let loads = Store::open(folder.store()).is_ok_and(|mut store| {
            let loads = store.load().is_ok();
            let _ = store.commit(&next, &audit(61));
            loads
        });
        noticed += usize::from(!loads);
    }
    assert!(noticed > 75, "only {noticed} of 150 were noticed");
}

#[test]
fn no_secret_is_in_any_file() {
    let folder = Folder::new();
    let hash_key = HashKey::generate();
    let mut store = Store::open(folder.store()).unwrap();
    store.bind_hash_key(&hash_key.fingerprint()).unwrap();
    let mut directory = Directory::empty();
    let mut secrets = Vec::new();
    for n in 1..=40 {
        let secret = AccessKeySecret::generate(AccessKeyId::generate());
        let change = match history::change(n) {
            Change::CreateAccessKey { identity, .. } => Change::CreateAccessKey {
                identity,
                key_id: secret.key_id().to_string(),
                secret_hash: hash_secret(&hash_key, &secret),
                description: None,
                expires_at: None,
                sealed_secret: None,
            },
            Change::UpdateAccessKey { .. } | Change::DeleteAccessKey { .. } => Change::CreateUser {
                id: format!("u-x{n}"),
                name: None,
            },
            change => change,
        };
        let context = ChangeContext::system(UnixMillis(n));
        let applied = directory.apply(&change, &context).unwrap();
        store.commit(&applied, &audit(n)).unwrap();
        directory = applied.directory;
        secrets.push(secret);
    }
    assert!(
        is_in_files(folder.0.path(), b"acme"),
        "the search finds what is there"
    );
    let stored = secrets
        .iter()
        .filter(|s| directory.access_key(s.key_id().as_str()).is_some());
    assert!(stored.clone().count() >= 4);
    for secret in stored {
        assert!(is_in_files(
            folder.0.path(),
            secret.key_id().as_str().as_bytes()
        ));
        let random = &secret.expose()[25..68];
        assert!(!is_in_files(folder.0.path(), &random.as_bytes()[..8]));
    }
    assert!(!is_in_files(folder.0.path(), &hash_key.expose()[..8]));
}

fn is_in_files(folder: &Path, wanted: &[u8]) -> bool {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| fs::read(file.unwrap().path()).unwrap());
    files
        .into_iter()
        .any(|file| file.windows(wanted.len()).any(|window| window == wanted))
}
