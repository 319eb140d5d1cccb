//! The store, in SQLite.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use keyward_iam::{Applied, Directory, Row, UnixMillis};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior, params,
};

use crate::audit::{AuditEntry, AuditRecord};
use crate::error::{BindHashKeyError, CommitError, LoadDirectoryError, OpenError, ReadAuditError};
use crate::migration;

/// Most entries that one call of [`Store::audit_since`] returns.
pub const MAX_AUDIT_ENTRIES: usize = 10_000;

/// The directory on disk, and the audit of its changes.
///
/// One `Store` at a time has the file: it keeps an exclusive lock from opening to drop, and is the
/// one writer. Calls block; what [`Store::commit`] acknowledged is on the disk.
#[derive(Debug)]
pub struct Store {
    pub(crate) connection: Connection,
    revision: u64,
    /// Set when the disk failed in the middle of a commit: what it holds is unknown until the file
    /// is opened again, and until then nothing is acknowledged any more.
    in_doubt: bool,
}

impl Store {
    /// Opens the store in a file, or makes it there, readable by its owner alone. Durable, or
    /// refused: write-ahead log, synchronised at every commit.
    ///
    /// # Errors
    /// [`OpenError::InUse`] while another `Store` has the file, and whatever else speaks against
    /// taking the file for a store of this version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        prepare_file(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        // The lock is for as long as the store is open: nobody to wait for.
        connection.busy_timeout(Duration::ZERO)?;
        set(&connection, "locking_mode", "exclusive", "exclusive")?;
        set(&connection, "journal_mode", "wal", "wal")?;
        set(&connection, "synchronous", "full", "2")?;
        // Where the system has a stronger synchronisation than `fsync` (macOS), it is used.
        set(&connection, "fullfsync", "on", "1")?;
        set(&connection, "checkpoint_fullfsync", "on", "1")?;
        let store = Self::with(connection)?;
        sync_folder_of(path)?;
        Ok(store)
    }

    /// A store that forgets everything when it is dropped.
    ///
    /// # Errors
    /// SQLite has no memory.
    pub fn open_in_memory() -> Result<Self, OpenError> {
        Self::with(Connection::open_in_memory()?)
    }

    fn with(mut connection: Connection) -> Result<Self, OpenError> {
        // Nothing that is in the file runs code or is believed to be well-formed.
        set(&connection, "trusted_schema", "off", "0")?;
        set(&connection, "cell_size_check", "on", "1")?;
        migration::migrate(&mut connection)?;
        let revision = stored_revision(&connection)?;
        Ok(Self {
            connection,
            revision,
            in_doubt: false,
        })
    }

    /// The revision of the last change that was acknowledged.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// After a change that was written and has this revision.
    pub(crate) fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// Tells this deployment from others: 32 hexadecimal digits, not secret, never changing.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn deployment_id(&self) -> Result<String, rusqlite::Error> {
        const SQL: &str = "SELECT value FROM meta WHERE key = 'deployment_id'";
        self.connection.query_row(SQL, [], |row| row.get(0))
    }

    /// Makes sure that secrets are verified with the key that they were hashed with: the first call
    /// keeps the fingerprint, every later one compares.
    ///
    /// # Errors
    /// [`BindHashKeyError::Another`] if the key is another one.
    pub fn bind_hash_key(&mut self, fingerprint: &[u8; 32]) -> Result<(), BindHashKeyError> {
        const KEEP: &str = "INSERT INTO meta (key, value) VALUES ('hash_key_fingerprint', ?1)
                            ON CONFLICT (key) DO NOTHING";
        const SQL: &str = "SELECT value FROM meta WHERE key = 'hash_key_fingerprint'";
        let given: String = fingerprint
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.connection.execute(KEEP, [&given])?;
        let kept: String = self.connection.query_row(SQL, [], |row| row.get(0))?;
        if kept == given {
            Ok(())
        } else {
            Err(BindHashKeyError::Another)
        }
    }

    /// Reads the whole directory, at [`Store::revision`].
    ///
    /// # Errors
    /// Any row is unreadable, or the rows make no directory.
    pub fn load(&self) -> Result<Directory, LoadDirectoryError> {
        let mut statement = self
            .connection
            .prepare("SELECT path, kind, body, revision FROM entity ORDER BY rowid")?;
        let mut stored = statement.query([])?;
        let mut failure = None;
        let rows = std::iter::from_fn(|| {
            let row = stored
                .next()
                .map_err(LoadDirectoryError::from)
                .transpose()?;
            match row.and_then(|row| entity(row, self.revision)) {
                Ok(row) => Some(row),
                Err(error) => {
                    failure = Some(error);
                    None
                }
            }
        });
        let directory = Directory::load(rows, self.revision);
        // A row that failed ended the iteration: what was made of the rows before counts for nothing.
        match failure {
            Some(error) => Err(error),
            None => Ok(directory?),
        }
    }

    /// Stores one change and its audit record, both or neither. When it returns `Ok`, both are on
    /// the disk, and survive a crash of the process, the system or the power.
    ///
    /// # Errors
    /// The change does not follow the last one, or could not be written. It must not take effect
    /// then; after a failure of the disk every later call is refused, too.
    pub fn commit(&mut self, applied: &Applied, audit: &AuditRecord) -> Result<(), CommitError> {
        if self.in_doubt {
            return Err(CommitError::InDoubt);
        }
        let revision = applied.revision();
        if self.revision.checked_add(1) != Some(revision) {
            return Err(CommitError::Revision {
                found: revision,
                stored: self.revision,
            });
        }
        self.write(revision, &applied.rows, audit)
            .map_err(|source| {
                self.in_doubt = leaves_doubt(&source);
                CommitError::Sqlite { source }
            })?;
        self.revision = revision;
        Ok(())
    }

    fn write(
        &mut self,
        revision: u64,
        rows: &[Row],
        audit: &AuditRecord,
    ) -> Result<(), rusqlite::Error> {
        const UPSERT: &str =
            "INSERT INTO entity (path, kind, body, revision) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (path) DO UPDATE SET
                 kind = excluded.kind, body = excluded.body, revision = excluded.revision";
        let stored = integer(revision)?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut upsert = transaction.prepare_cached(UPSERT)?;
        for row in rows {
            let body = row.body.as_ref().map(serde_json::Value::to_string);
            upsert.execute(params![row.path, row.kind, body, stored])?;
        }
        drop(upsert);
        insert_audit(&transaction, revision, audit)?;
        transaction.commit()
    }

    /// The audit of the changes after a revision, oldest first, at most `limit` and
    /// [`MAX_AUDIT_ENTRIES`] of them: ask again from the last one for more.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn audit_since(
        &self,
        revision: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, ReadAuditError> {
        const SQL: &str = "SELECT revision, at, principal, actions, resource, summary, source,
                    request_id
             FROM audit WHERE revision > ?1 ORDER BY revision LIMIT ?2";
        let Ok(revision) = i64::try_from(revision) else {
            return Ok(Vec::new());
        };
        let limit = limit.min(MAX_AUDIT_ENTRIES) as i64;
        let mut statement = self.connection.prepare_cached(SQL)?;
        let entries = statement.query_map([revision, limit], audit_entry)?;
        Ok(entries.collect::<Result<_, _>>()?)
    }
}

/// Writes the audit record of a change beside it.
pub(crate) fn insert_audit(
    transaction: &rusqlite::Transaction<'_>,
    revision: u64,
    audit: &AuditRecord,
) -> Result<(), rusqlite::Error> {
    const SQL: &str =
        "INSERT INTO audit (revision, at, principal, actions, resource, summary, source, request_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let [actions, summary] = audit_columns(audit);
    transaction.prepare_cached(SQL)?.execute(params![
        integer(revision)?,
        integer(audit.at.0)?,
        audit.principal,
        actions,
        audit.resource,
        summary,
        audit.source.map(|source| source.to_string()),
        audit.request_id,
    ])?;
    Ok(())
}

/// What stands as JSON in an audit record's row: its actions and its summary.
pub(crate) fn audit_columns(audit: &AuditRecord) -> [String; 2] {
    let actions = serde_json::Value::from(audit.actions.clone());
    [actions.to_string(), audit.summary.to_string()]
}

/// Makes the file if there is none, and takes others' permissions away. SQLite gives the files
/// beside it the same permissions.
fn prepare_file(path: &Path) -> io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => drop(made?),
    }
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "the store was open to others: made private");
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Makes sure that a new file's name is on the disk, too.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Sets a pragma and reads it back: SQLite ignores what it cannot do without an error.
fn set(
    connection: &Connection,
    setting: &'static str,
    value: &str,
    expected: &str,
) -> Result<(), OpenError> {
    // Some pragmas answer with a row when they are set, others do not.
    connection
        .pragma_update_and_check(None, setting, value, |_| Ok(()))
        .optional()?;
    let found = connection.pragma_query_value(None, setting, |row| {
        Ok(match row.get_ref(0)? {
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            text => text.as_str().unwrap_or_default().to_owned(),
        })
    })?;
    if found == expected {
        Ok(())
    } else {
        Err(OpenError::NotDurable { setting, found })
    }
}

/// The revision of the last change, which is that of its audit record.
fn stored_revision(connection: &Connection) -> Result<u64, rusqlite::Error> {
    const SQL: &str = "SELECT coalesce(max(revision), 0) FROM audit";
    connection.query_row(SQL, [], |row| natural(row, 0))
}

/// Whether after this error nobody knows what is on the disk.
fn leaves_doubt(error: &rusqlite::Error) -> bool {
    use ErrorCode::{DatabaseCorrupt, NotADatabase, SystemIoFailure};
    let doubtful = [SystemIoFailure, DatabaseCorrupt, NotADatabase];
    error
        .sqlite_error_code()
        .is_some_and(|code| doubtful.contains(&code))
}

/// SQLite's integers have a sign.
pub(crate) fn integer(number: u64) -> Result<i64, rusqlite::Error> {
    i64::try_from(number).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// A number that is never negative.
pub(crate) fn natural(row: &rusqlite::Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// One row as the directory takes it.
fn entity(row: &rusqlite::Row<'_>, revision: u64) -> Result<Row, LoadDirectoryError> {
    let path: String = row.get(0)?;
    let found: i64 = row.get(3)?;
    if !u64::try_from(found).is_ok_and(|own| (1..=revision).contains(&own)) {
        return Err(LoadDirectoryError::Revision {
            path,
            found,
            revision,
        });
    }
    let body = match row
        .get_ref(2)?
        .as_str_or_null()
        .map_err(rusqlite::Error::from)?
    {
        None => None,
        Some(text) => match serde_json::from_str(text) {
            Ok(body) => Some(body),
            Err(source) => return Err(LoadDirectoryError::Body { path, source }),
        },
    };
    Ok(Row {
        path,
        kind: row.get(1)?,
        body,
    })
}

fn audit_entry(row: &rusqlite::Row<'_>) -> Result<AuditEntry, rusqlite::Error> {
    Ok(AuditEntry {
        revision: natural(row, 0)?,
        record: audit_record(row)?,
    })
}

/// An audit record out of the columns behind its number.
pub(crate) fn audit_record(row: &rusqlite::Row<'_>) -> Result<AuditRecord, rusqlite::Error> {
    let source: Option<String> = row.get(6)?;
    let source = source.map(|text| text.parse().map_err(|error| unreadable(6, error)));
    Ok(AuditRecord {
        at: UnixMillis(natural(row, 1)?),
        principal: row.get(2)?,
        actions: json(row, 3)?,
        resource: row.get(4)?,
        request_id: row.get(7)?,
        summary: json(row, 5)?,
        source: source.transpose()?,
    })
}

/// A column that holds JSON.
fn json<T: serde::de::DeserializeOwned>(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> Result<T, rusqlite::Error> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| unreadable(column, error))
}

fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_are_not_taken_are_noticed() {
        let connection = Connection::open_in_memory().unwrap();
        let cases = [
            ("synchronous", "full", "2", true),
            ("synchronous", "normal", "2", false),
            ("synchronous", "nonsense", "2", false),
            ("journal_mode", "wal", "wal", false), // memory has no log
            ("unheard_of", "on", "1", false),
        ];
        for (setting, value, expected, taken) in cases {
            let result = set(&connection, setting, value, expected);
            assert_eq!(result.is_ok(), taken, "{setting} {value}: {result:?}");
        }
    }

    #[test]
    fn a_store_in_a_file_synchronises_every_commit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("keyward.db")).unwrap();
        for (setting, value) in [("synchronous", "2"), ("fullfsync", "1")] {
            let found: i64 = store
                .connection
                .pragma_query_value(None, setting, |row| row.get(0))
                .unwrap();
            assert_eq!(found.to_string(), value, "{setting}");
        }
        let mode: String = store
            .connection
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "wal");
    }
}
