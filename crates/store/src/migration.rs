//! The schema, as the list of steps that lead to it.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use sha2::{Digest as _, Sha256};

use crate::error::OpenError;

/// Marks an SQLite file as a store of Keyward, so that no other file is taken for one: `KWRD`.
const APPLICATION_ID: u32 = 0x4B57_5244;

/// One step. What was released is never edited: a change of the schema is a further step.
struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// Every step, in order; the first leads to version 1.
const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "initial",
        sql: include_str!("../migrations/0001-initial.sql"),
    },
    Migration {
        name: "sealed and last used",
        sql: include_str!("../migrations/0002-sealed-and-last-used.sql"),
    },
    Migration {
        name: "request-id",
        sql: include_str!("../migrations/0003-request-id.sql"),
    },
    Migration {
        name: "sessions",
        sql: include_str!("../migrations/0004-sessions.sql"),
    },
];

/// The version of the schema that this program reads and writes.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

impl Migration {
    /// SHA-256 of the text, in hexadecimal.
    fn checksum(&self) -> String {
        Sha256::digest(self.sql)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// Brings the schema up to [`SCHEMA_VERSION`], one transaction a step, after making sure that the
/// file is a store, is not newer, and came to be by these very steps.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    for version in applied(connection)? + 1..=SCHEMA_VERSION {
        let migration = &MIGRATIONS[version as usize - 1];
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if version == 1 {
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.execute_batch(
                "CREATE TABLE migration (
                    version    INTEGER PRIMARY KEY NOT NULL,
                    name       TEXT NOT NULL,
                    checksum   TEXT NOT NULL,
                    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
                ) STRICT;",
            )?;
        }
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO migration (version, name, checksum) VALUES (?1, ?2, ?3)",
            params![version, migration.name, migration.checksum()],
        )?;
        transaction.commit()?;
        tracing::info!(version, name = migration.name, "store migrated");
    }
    Ok(())
}

/// The version that the file is at; 0 for an empty one.
fn applied(connection: &Connection) -> Result<u32, OpenError> {
    let application_id: u32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application_id != APPLICATION_ID {
        let tables: u32 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let empty = application_id == 0 && tables == 0;
        return if empty {
            Ok(0)
        } else {
            Err(OpenError::NotAStore)
        };
    }
    let found: u32 = connection
        .query_row("SELECT max(version) FROM migration", [], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    if found > SCHEMA_VERSION {
        return Err(OpenError::NewerSchema {
            found,
            supported: SCHEMA_VERSION,
        });
    }
    for (version, migration) in (1..=found).zip(MIGRATIONS) {
        let checksum: Option<String> = connection
            .query_row(
                "SELECT checksum FROM migration WHERE version = ?1",
                [version],
                |row| row.get(0),
            )
            .optional()?;
        if checksum != Some(migration.checksum()) {
            return Err(OpenError::ChangedMigration {
                version,
                name: migration.name,
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_steps_are_never_edited() {
        let released = [
            "2762b7bdb16b5fe1890a6269e9cfeeb78d1e9a55b14bc8f8755ddf0b57eacb91",
            "927cfcb2aa6b0b040811525fa07018991776c843a1222a79f11e1a9a931533c3",
            "d1904a70c5e2b2a0086d7084b93398c46aa415bd5f16bf89e33beee2027c3df0",
            "f4382d4c34e8081d57f90acd3b9f687ddc6f9e3f3eaecc2b91c7afe3c30b9646",
        ];
        let checksums: Vec<String> = MIGRATIONS.iter().map(Migration::checksum).collect();
        assert_eq!(checksums, released);
    }

    #[test]
    fn what_is_refused() {
        type Check = fn(&OpenError) -> bool;
        let cases: [(&str, &str, Check); 5] = [
            ("nothing wrong", "", |_| false),
            (
                "of a later program",
                "INSERT INTO migration VALUES (999, 'x', 'x', 'x')",
                |error| {
                    matches!(
                        error,
                        OpenError::NewerSchema {
                            found: 999,
                            supported: SCHEMA_VERSION
                        }
                    )
                },
            ),
            (
                "edited step",
                "UPDATE migration SET checksum = 'x' WHERE version = 1",
                |error| {
                    matches!(
                        error,
                        OpenError::ChangedMigration {
                            version: 1,
                            name: "initial"
                        }
                    )
                },
            ),
            ("another program's", "PRAGMA application_id = 1", |error| {
                matches!(error, OpenError::NotAStore)
            }),
            ("nobody's", "PRAGMA application_id = 0", |error| {
                matches!(error, OpenError::NotAStore)
            }),
        ];
        for (name, sql, expected) in cases {
            let mut connection = Connection::open_in_memory().unwrap();
            migrate(&mut connection).unwrap();
            connection.execute_batch(sql).unwrap();
            match migrate(&mut connection) {
                Ok(()) => assert_eq!(sql, "", "{name}"),
                Err(error) => assert!(expected(&error), "{name}: {error}"),
            }
        }
    }

    #[test]
    fn what_the_schema_itself_refuses() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let audit = "INSERT INTO audit VALUES (?, 1, 'p', '[]', 'r', '{}', NULL, NULL)";
        connection.execute(audit, [1]).unwrap();
        connection
            .execute("INSERT INTO entity VALUES ('p', 'k', NULL, 1)", [])
            .unwrap();
        let cases = [
            (
                "gap",
                "INSERT INTO audit VALUES (3, 1, 'p', '[]', 'r', '{}', NULL, NULL)",
            ),
            (
                "twice",
                "INSERT INTO audit VALUES (1, 1, 'p', '[]', 'r', '{}', NULL, NULL)",
            ),
            (
                "zero",
                "INSERT INTO audit VALUES (0, 1, 'p', '[]', 'r', '{}', NULL, NULL)",
            ),
            ("audit changed", "UPDATE audit SET principal = 'q'"),
            ("audit deleted", "DELETE FROM audit"),
            ("tombstone deleted", "DELETE FROM entity"),
            ("another type", "UPDATE entity SET revision = 'x'"),
        ];
        for (name, sql) in cases {
            assert!(connection.execute(sql, []).is_err(), "{name}");
        }
    }
}
