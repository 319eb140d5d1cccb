//! Snapshots: what the directory knows of a copy of a database's keys, and the proof that one may be
//! made or put back.

use std::sync::Arc;

use crate::authorise::refuse;
use crate::change::Change;
use crate::decision::Decision;
use crate::directory::Directory;
use crate::entities::Stamp;
use crate::ids::{DatabaseIx, UnixMillis};
use crate::session::Session;

/// Snapshots of one database, failed ones included.
pub const MAX_SNAPSHOTS: usize = 100;

/// Longest description of a snapshot, and longest reason of a failure that is kept, in bytes.
pub const MAX_SNAPSHOT_TEXT: usize = 1024;

/// A copy of all keys of a database at about one moment. The keys are in a file that only Keyward
/// reads; the directory has what is known of it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Full path: below its database.
    pub path: Arc<str>,
    /// What it is a copy of.
    pub database: DatabaseIx,
    /// What it is for, in its maker's words.
    pub description: Option<Box<str>>,
    /// Whether it can be restored.
    pub state: SnapshotState,
    /// When it was ready, or had failed.
    pub finished_at: Option<UnixMillis>,
    /// Where it was put last.
    pub last_restore: Option<Box<Restore>>,
    /// By whom and when.
    pub created: Stamp,
}

impl Snapshot {
    /// The id: the last segment of the path.
    #[must_use]
    pub fn id(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether a restore of it has not ended yet.
    #[must_use]
    pub fn is_being_restored(&self) -> bool {
        let last = self.last_restore.as_deref();
        last.is_some_and(|last| last.state == RestoreState::Running)
    }
}

/// How far a snapshot is.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum SnapshotState {
    /// Keys are still read.
    Creating,
    /// The file is whole.
    Ready {
        /// How many keys it has.
        keys: u64,
        /// Size of its file.
        bytes: u64,
        /// SHA-256 of its file.
        #[serde(with = "hex_hash")]
        sha256: [u8; 32],
        /// What the keys come from: `valkey 9.1.0`, `embedded`.
        server: String,
    },
    /// It cannot be restored, and never will.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What happens to keys that are in the target of a restore.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, PartialEq, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// The target must be empty.
    #[default]
    Refuse,
    /// Keys of the snapshot replace those of the same name; others stay.
    Replace,
    /// Everything in the target is removed first.
    Flush,
}

impl Existing {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Refuse, Self::Replace, Self::Flush];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Replace => "replace",
            Self::Flush => "flush",
        }
    }
}

/// A restore of a snapshot.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// Path of the database that its keys were put into.
    pub target: String,
    /// What happened to the keys that were there.
    pub existing: Existing,
    /// How it went.
    pub state: RestoreState,
    /// By whom and when.
    pub started: Stamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<UnixMillis>,
}

/// How far a restore is.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum RestoreState {
    /// Keys are still written.
    Running,
    /// All keys are there.
    Done {
        /// How many.
        keys: u64,
    },
    /// Not all keys are there.
    Failed {
        /// Why, and how many are.
        reason: String,
    },
}

/// Proof that somebody may make a snapshot, or put one into a database: that the session may read
/// all of the one, and write all of the other. [`Directory::permit_snapshot`] is the only place that
/// makes one, and what reads or writes all keys of a server accepts nothing else.
#[derive(Debug)]
#[must_use]
pub struct SnapshotPermit {
    action: SnapshotAction, // private: no literal, no `Clone`
    database: DatabaseIx,
    snapshot: Arc<str>,
}

/// What a [`SnapshotPermit`] permits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SnapshotAction {
    /// Reading all keys of the database.
    Create,
    /// Writing keys to the database.
    Restore(Existing),
}

impl SnapshotPermit {
    /// What it permits.
    #[must_use]
    pub fn action(&self) -> SnapshotAction {
        self.action
    }

    /// The database that is read, or written to.
    #[must_use]
    pub fn database(&self) -> DatabaseIx {
        self.database
    }

    /// Full path of the snapshot.
    #[must_use]
    pub fn snapshot(&self) -> &str {
        &self.snapshot
    }
}

impl Directory {
    /// Decides whether a session may make a snapshot ([`Change::CreateSnapshot`]) or put one into a
    /// database ([`Change::RestoreSnapshot`]); no other change has such a proof.
    ///
    /// # Errors
    /// The decision that refused.
    pub fn permit_snapshot(
        &self,
        session: &Session,
        change: &Change,
        at: UnixMillis,
    ) -> Result<SnapshotPermit, Box<Decision>> {
        let approval = self.authorise_change(session, change, at)?;
        let none = |text: &str| match approval.requirements.first() {
            Some(requirement) => Box::new(refuse(requirement, text)),
            None => unreachable!("every change requires something"),
        };
        let (action, database, snapshot) = match change {
            Change::CreateSnapshot { database, id, .. } => {
                let snapshot = format!("{database}/snapshot/{id}");
                (SnapshotAction::Create, database, snapshot)
            }
            Change::RestoreSnapshot {
                path,
                target,
                existing,
            } => (SnapshotAction::Restore(*existing), target, path.clone()),
            _ => return Err(none("no snapshot is made or restored by it")),
        };
        let ix = self.database_at(database);
        Ok(SnapshotPermit {
            action,
            database: ix.ok_or_else(|| none("the database does not exist"))?,
            snapshot: snapshot.into(),
        })
    }
}

mod hex_hash {
    use serde::Deserialize as _;
    use serde::de::Error as _;

    pub(super) fn serialize<S: serde::Serializer>(
        hash: &[u8; 32],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::row::hex(hash))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        crate::row::unhex_hash(&text).ok_or_else(|| D::Error::custom("not 32 bytes in hex"))
    }
}
