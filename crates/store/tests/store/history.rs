//! A history of changes that is the same every time: change `n` leads to revision `n`.

use std::collections::BTreeMap;

use keyward_iam::{
    Applied, Backend, Change, ChangeContext, Directory, Entity, KeyStatus, PolicyInput, Row,
    UnixMillis,
};
use keyward_store::{AuditRecord, Store};

/// The change that leads to revision `n`, from 1. After a user and an organisation, eight changes
/// again and again: everything is created, changed and deleted in them.
pub(crate) fn change(n: u64) -> Change {
    let (round, step) = (n.saturating_sub(3) / 8, n.saturating_sub(3) % 8);
    let identity = format!("org/acme/programmatic_identity/p{round}");
    let key_id = format!("KWAK{}", base32(round));
    let database = format!("org/acme/kvdb/d{round}");
    let allow = r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/*"]}]"#;
    match (n, step) {
        (1, _) => Change::CreateUser {
            id: "u-1".into(),
            name: Some("Ada".into()),
        },
        (2, _) => Change::CreateOrganisation {
            id: "acme".into(),
            name: None,
            owner: "user/u-1".into(),
            account: "123456789012".into(),
            administrator: None,
        },
        (_, 0) => Change::CreateProgrammaticIdentity {
            organisation: "acme".into(),
            id: format!("p{round}"),
            name: None,
        },
        (_, 1) => Change::CreateAccessKey {
            identity,
            key_id,
            secret_hash: [round as u8; 32],
            description: Some("x".repeat(round as usize % 3000)),
            expires_at: None,
            sealed_secret: None,
        },
        (_, 2) => Change::CreateDatabase {
            organisation: "acme".into(),
            id: format!("d{round}"),
            name: None,
            description: None,
            backend: Backend::Embedded,
        },
        (_, 3) => Change::CreateTrust {
            id: format!("t{round}"),
            trustor: "org/acme".into(),
            trustee: identity,
            policies: vec![PolicyInput::Document(allow.into())],
            expires_at: None,
            kind: None,
            conditions: None,
        },
        (_, 4) => Change::PutResourcePolicy {
            path: database,
            document: r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Identities":["*"]}]"#
                .into(),
        },
        (_, 5) => Change::UpdateAccessKey {
            path: format!("{identity}/access_key/{key_id}"),
            status: Some(KeyStatus::Disabled),
            description: None,
            expires_at: None,
        },
        (_, 6) => Change::DeleteAccessKey {
            path: format!("{identity}/access_key/{key_id}"),
        },
        _ => Change::DeleteDatabase { path: database },
    }
}

pub(crate) fn base32(mut number: u64) -> String {
    let mut text = [b'A'; 16];
    for byte in text.iter_mut().rev() {
        *byte = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[number as usize % 32];
        number /= 32;
    }
    String::from_utf8(text.to_vec()).unwrap()
}

/// Makes the change that follows the directory's revision.
pub(crate) fn apply_next(directory: &Directory) -> Applied {
    let n = directory.revision() + 1;
    directory
        .apply(&change(n), &ChangeContext::system(at(n)))
        .unwrap()
}

fn at(n: u64) -> UnixMillis {
    UnixMillis(1_800_000_000_000 + n)
}

/// The audit record of change `n`.
pub(crate) fn audit(n: u64) -> AuditRecord {
    AuditRecord {
        at: at(n),
        principal: "user/u-1".into(),
        actions: vec![format!("test:Change{}", n % 8), "iam:Second".into()],
        resource: format!("org/acme/thing/{n}"),
        request_id: n.is_multiple_of(3).then(|| format!("r-{n}")),
        summary: serde_json::json!({ "revision": n, "text": "ü\u{0}\"" }),
        source: n.is_multiple_of(2).then(|| "2001:db8::1".parse().unwrap()),
    }
}

/// What the store must hold at a revision.
pub(crate) struct Expected {
    pub(crate) directory: Directory,
    /// The newest row of every path, tombstones included.
    pub(crate) rows: BTreeMap<String, Row>,
}

impl Expected {
    pub(crate) fn new() -> Self {
        Self {
            directory: Directory::empty(),
            rows: BTreeMap::new(),
        }
    }

    /// Makes the next change here.
    pub(crate) fn advance(&mut self) -> Applied {
        let applied = apply_next(&self.directory);
        for row in &applied.rows {
            self.rows.insert(row.path.clone(), row.clone());
        }
        self.directory = applied.directory.clone();
        applied
    }

    /// Makes the next change here and in the store.
    pub(crate) fn commit(&mut self, store: &mut Store) {
        let applied = self.advance();
        store.commit(&applied, &audit(applied.revision())).unwrap();
    }

    /// Holds a store against this: every entity, every tombstone, and the audit after a revision.
    pub(crate) fn check(&self, store: &Store, audit_after: u64) {
        let revision = self.directory.revision();
        assert_eq!(store.revision(), revision);
        let loaded = store.load().unwrap();
        assert_eq!(loaded.revision(), revision);
        let found: BTreeMap<String, Row> =
            loaded.rows().map(|row| (row.path.clone(), row)).collect();
        for (path, row) in &self.rows {
            match row.body {
                Some(_) => assert_eq!(found.get(path), Some(row)),
                None => assert_eq!(loaded.entity(path), Some(Entity::Tombstone), "{path}"),
            }
        }
        let alive = self.rows.values().filter(|row| row.body.is_some()).count();
        assert_eq!(found.len(), alive);
        let mut next = audit_after;
        while next < revision {
            let entries = store.audit_since(next, 700).unwrap();
            assert!(!entries.is_empty(), "no audit after {next}");
            for entry in entries {
                next += 1;
                assert_eq!((entry.revision, &entry.record), (next, &audit(next)));
            }
        }
    }
}
