//! Sessions of temporary credentials that may still be open, and the audit of how they were opened.

use rusqlite::{Connection, TransactionBehavior, params};

use crate::audit::{AuditRecord, EventEntry};
use crate::error::{ReadAuditError, StoreError};
use crate::sqlite::{MAX_AUDIT_ENTRIES, Store, audit_columns, audit_record, integer, natural};

/// Most sessions that are kept: those that end last.
pub const MAX_KEPT_SESSIONS: usize = 100_000;

/// A session as it is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionRow {
    /// Its id.
    pub id: String,
    /// When it ends at the latest, in milliseconds since 1970.
    pub expires: u64,
    /// What it is, as JSON. Nothing of its credentials.
    pub body: String,
}

impl Store {
    /// Keeps sessions, and the audit of what opened them: all of it or nothing. A session that is
    /// kept already is replaced. What `Ok` acknowledges is on the disk.
    ///
    /// # Errors
    /// They could not be written.
    pub fn put_sessions(
        &mut self,
        rows: &[SessionRow],
        audit: &[AuditRecord],
    ) -> Result<(), StoreError> {
        const KEEP: &str = "INSERT INTO session (id, expires, body) VALUES (?1, ?2, ?3)
                            ON CONFLICT (id) DO UPDATE SET
                                expires = excluded.expires, body = excluded.body";
        const TELL: &str = "INSERT INTO event
                (number, at, principal, actions, resource, summary, source, request_id)
            SELECT coalesce(max(number), 0) + 1, ?1, ?2, ?3, ?4, ?5, ?6, ?7 FROM event";
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut keep = transaction.prepare_cached(KEEP)?;
            for row in rows {
                keep.execute(params![row.id, integer(row.expires)?, row.body])?;
            }
            let mut tell = transaction.prepare_cached(TELL)?;
            for record in audit {
                let [actions, summary] = audit_columns(record);
                tell.execute(params![
                    integer(record.at.0)?,
                    record.principal,
                    actions,
                    record.resource,
                    summary,
                    record.source.map(|source| source.to_string()),
                    record.request_id,
                ])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Forgets sessions that have ended by `now`, and if there are too many, those that end first.
    ///
    /// # Errors
    /// The store could not be written.
    pub fn prune_sessions(&mut self, now: u64) -> Result<(), StoreError> {
        const OVER: &str = "DELETE FROM session WHERE expires <= ?1";
        const SPARE: &str = "DELETE FROM session WHERE id IN (
            SELECT id FROM session ORDER BY expires LIMIT max(0,
                (SELECT count(*) FROM session) - ?1))";
        self.connection.execute(OVER, [integer(now)?])?;
        if count(&self.connection)? > MAX_KEPT_SESSIONS {
            self.connection.execute(SPARE, [MAX_KEPT_SESSIONS as i64])?;
        }
        Ok(())
    }

    /// What is kept of sessions that have not ended by `now`: the bodies.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn sessions(&self, now: u64) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT body FROM session WHERE expires > ?1 ORDER BY id";
        let mut statement = self.connection.prepare(SQL)?;
        let rows = statement.query_map([integer(now)?], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What happened after an event without changing the directory, oldest first, at most `limit`
    /// and [`MAX_AUDIT_ENTRIES`].
    ///
    /// # Errors
    /// The store could not be read.
    pub fn events_since(
        &self,
        number: u64,
        limit: usize,
    ) -> Result<Vec<EventEntry>, ReadAuditError> {
        const SQL: &str = "SELECT number, at, principal, actions, resource, summary, source,
                    request_id
             FROM event WHERE number > ?1 ORDER BY number LIMIT ?2";
        let Ok(number) = i64::try_from(number) else {
            return Ok(Vec::new());
        };
        let limit = limit.min(MAX_AUDIT_ENTRIES) as i64;
        let mut statement = self.connection.prepare_cached(SQL)?;
        let entries = statement.query_map([number, limit], |row| {
            Ok(EventEntry {
                number: natural(row, 0)?,
                record: audit_record(row)?,
            })
        })?;
        Ok(entries.collect::<Result<_, _>>()?)
    }
}

fn count(connection: &Connection) -> Result<usize, rusqlite::Error> {
    let count: i64 = connection.query_row("SELECT count(*) FROM session", [], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use keyward_iam::UnixMillis;

    use super::*;

    fn row(id: &str, expires: u64, body: &str) -> SessionRow {
        SessionRow {
            id: id.to_owned(),
            expires,
            body: body.to_owned(),
        }
    }

    fn record(at: u64) -> AuditRecord {
        AuditRecord {
            at: UnixMillis(at),
            principal: "org/acme/programmatic_identity/ci".to_owned(),
            actions: vec!["sts:AssumeRole on org/acme/role/deployer".to_owned()],
            resource: "org/acme/role/deployer".to_owned(),
            summary: serde_json::json!({ "session": "KWTK1" }),
            source: "192.0.2.7".parse().ok(),
            request_id: Some("r-1".to_owned()),
        }
    }

    #[test]
    fn kept_until_they_end() {
        let mut store = Store::open_in_memory().unwrap();
        let rows = [row("A", 10, "a"), row("B", 20, "b")];
        store.put_sessions(&rows, &[record(1)]).unwrap();
        store.put_sessions(&[row("A", 30, "later")], &[]).unwrap();
        assert_eq!(store.sessions(0).unwrap(), ["later", "b"]);
        assert_eq!(store.sessions(20).unwrap(), ["later"]);
        store.prune_sessions(20).unwrap();
        assert_eq!(store.sessions(0).unwrap(), ["later"]);
    }

    #[test]
    fn events_follow_each_other() {
        let mut store = Store::open_in_memory().unwrap();
        store.put_sessions(&[], &[record(1), record(2)]).unwrap();
        store.put_sessions(&[], &[record(3)]).unwrap();
        let all = store.events_since(0, 10).unwrap();
        let numbers: Vec<u64> = all.iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!(all[0].record, record(1));
        assert_eq!(store.events_since(2, 10).unwrap().len(), 1);
        assert_eq!(store.events_since(0, 1).unwrap().len(), 1);
        assert_eq!(store.revision(), 0, "the directory has not changed");
        for sql in [
            "UPDATE event SET principal = 'q'",
            "DELETE FROM event",
            "INSERT INTO event VALUES (9, 1, 'p', '[]', 'r', '{}', NULL, NULL)",
        ] {
            assert!(store.connection.execute(sql, []).is_err(), "{sql}");
        }
    }
}
