//! Persistence of the directory: SQLite in a directory of files that belong to one process.
//!
//! [`Store`] keeps what `Directory::apply` hands out, one transaction a change together with its
//! audit record, in the order of revisions, on the disk before it is acknowledged. It holds no
//! rules. [`DataDir`] is the folder, locked, with the files beside the store.

mod audit;
mod data_dir;
mod error;
mod migration;
mod sealed;
mod sessions;
mod sqlite;

pub use audit::{AuditEntry, AuditRecord, EventEntry};
pub use data_dir::{DataDir, DataDirError, KEY_LEN, read_private};
pub use error::{
    BindHashKeyError, BindMasterKeyError, CommitError, LoadDirectoryError, OpenError,
    ReadAuditError, ResealError, StoreError,
};
pub use migration::SCHEMA_VERSION;
pub use sessions::{MAX_KEPT_SESSIONS, SessionRow};
pub use sqlite::{MAX_AUDIT_ENTRIES, Store};
