//! What can go wrong with a store.

use std::io;

use keyward_iam::LoadError;
use rusqlite::ErrorCode;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file belongs to another process, or is open twice in this one.
    #[error("the store is in use by another process")]
    InUse,
    /// The file is something else.
    #[error("the file is not a store of Keyward")]
    NotAStore,
    /// A later program was here before.
    #[error(
        "the store has schema version {found}, this program knows {supported}: use the later program"
    )]
    NewerSchema {
        /// Version of the file.
        found: u32,
        /// Highest version that this program knows.
        supported: u32,
    },
    /// The file came to be by another step than the one this program knows under that number.
    #[error("the store was made by another version of migration {version} (`{name}`)")]
    ChangedMigration {
        /// Number of the step.
        version: u32,
        /// Its name.
        name: &'static str,
    },
    /// SQLite did not take a setting that durability depends on.
    #[error("the store cannot be made durable here: `{setting}` is `{found}`")]
    NotDurable {
        /// Name of the pragma.
        setting: &'static str,
        /// What it is after it was set.
        found: String,
    },
    /// The file could not be made, or its permissions not be set.
    #[error("the store's file could not be made ready")]
    File {
        /// What the system said.
        #[from]
        source: io::Error,
    },
    /// The file could not be read or written.
    #[error("the store could not be opened")]
    Sqlite {
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl From<rusqlite::Error> for OpenError {
    fn from(source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse,
            Some(ErrorCode::NotADatabase) => Self::NotAStore,
            _ => Self::Sqlite { source },
        }
    }
}

/// Why the directory could not be loaded. Nothing is skipped: one bad row fails the whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadDirectoryError {
    /// A row's body is not JSON.
    #[error("the stored entity `{path}` is not readable")]
    Body {
        /// Path of the entity.
        path: String,
        /// Where.
        source: serde_json::Error,
    },
    /// A row is of a change that the audit does not know.
    #[error("the stored entity `{path}` has revision {found}, the store is at {revision}")]
    Revision {
        /// Path of the entity.
        path: String,
        /// Its revision.
        found: i64,
        /// Revision of the store.
        revision: u64,
    },
    /// The rows make no directory.
    #[error("the stored entities make no directory")]
    Directory {
        /// Which rule they break.
        #[from]
        source: LoadError,
    },
    /// The rows could not be read.
    #[error("the stored entities could not be read")]
    Sqlite {
        /// What SQLite said.
        #[from]
        source: rusqlite::Error,
    },
}

/// Why a change was not stored. It must not take effect then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The change was made on another revision than the store is at.
    #[error("the change leads to revision {found}, and the store is at {stored}")]
    Revision {
        /// Revision of the change.
        found: u64,
        /// Revision of the store.
        stored: u64,
    },
    /// The disk failed earlier. Only opening the store again tells what it holds.
    #[error("the disk failed in an earlier change: restart to go on from what it holds")]
    InDoubt,
    /// The change could not be written.
    #[error("the change could not be written")]
    Sqlite {
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// Why a hash key is not the store's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindHashKeyError {
    /// The hashes in the store were made with another key.
    #[error(
        "the hash key is not the one that the store's secrets were hashed with: \
         put the key's file back from a backup"
    )]
    Another,
    /// The store could not be read or written.
    #[error("the store could not be asked for its hash key's fingerprint")]
    Sqlite {
        /// What SQLite said.
        #[from]
        source: rusqlite::Error,
    },
}

/// Why audit entries could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadAuditError {
    /// The store could not be read.
    #[error("the audit could not be read")]
    Sqlite {
        /// What SQLite said.
        #[from]
        source: rusqlite::Error,
    },
}

/// Why a master key is not the store's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindMasterKeyError {
    /// The secrets in the store were sealed under another key.
    #[error(
        "the master key is not the one that the store's secrets are sealed under: \
         give the key that was used before, or put its file back from a backup"
    )]
    Another,
    /// The store could not be read or written.
    #[error("the store could not be asked for its master key's id")]
    Store(#[source] StoreError),
}

impl<E: Into<StoreError>> From<E> for BindMasterKeyError {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

/// Why secrets were not sealed under another key. All are as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResealError<E> {
    /// A secret does not open with the key that it should be sealed under.
    #[error("a secret of `{path}` could not be sealed again")]
    Secret {
        /// The entity, or the name of the deployment's own secret.
        path: String,
        /// Why.
        source: E,
    },
    /// A row is no JSON.
    #[error("the row of `{path}` is not readable")]
    Body {
        /// Path of the entity.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The store could not be read or written.
    #[error("the store could not be read or written")]
    Sqlite {
        /// What SQLite said.
        #[from]
        source: rusqlite::Error,
    },
}

/// Why something beside the directory could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the store could not be read or written")]
pub struct StoreError {
    /// What SQLite said.
    #[from]
    source: rusqlite::Error,
}
