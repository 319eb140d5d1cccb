//! Sealed secrets in the store, and their change to another master key.

use rusqlite::{OptionalExtension as _, TransactionBehavior, params};

use crate::audit::AuditRecord;
use crate::error::{BindMasterKeyError, ResealError, StoreError};
use crate::sqlite::{Store, insert_audit, integer};

impl Store {
    /// Id of the master key that secrets in the store are sealed under; `None` before the first.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn master_key_id(&self) -> Result<Option<String>, StoreError> {
        const SQL: &str = "SELECT value FROM meta WHERE key = 'master_key_id'";
        let found = self.connection.query_row(SQL, [], |row| row.get(0));
        Ok(found.optional()?)
    }

    /// Makes sure that secrets are opened with the key that they were sealed under: the first call
    /// keeps its id, every later one compares.
    ///
    /// # Errors
    /// [`BindMasterKeyError::Another`] if the key is another one.
    pub fn bind_master_key(&mut self, id: &str) -> Result<(), BindMasterKeyError> {
        const KEEP: &str = "INSERT INTO meta (key, value) VALUES ('master_key_id', ?1)
                            ON CONFLICT (key) DO NOTHING";
        self.connection.execute(KEEP, [id])?;
        match self.master_key_id()? {
            Some(kept) if kept == id => Ok(()),
            _ => Err(BindMasterKeyError::Another),
        }
    }

    /// A sealed secret of the deployment itself.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn sealed(&self, name: &str) -> Result<Option<String>, StoreError> {
        const SQL: &str = "SELECT body FROM sealed WHERE name = ?1";
        let found = self.connection.query_row(SQL, [name], |row| row.get(0));
        Ok(found.optional()?)
    }

    /// Keeps a sealed secret of the deployment itself, in the place of what it was before.
    ///
    /// # Errors
    /// The store could not be written.
    pub fn put_sealed(&mut self, name: &str, body: &str) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO sealed (name, body) VALUES (?1, ?2)
                           ON CONFLICT (name) DO UPDATE SET body = excluded.body";
        self.connection.execute(SQL, [name, body])?;
        Ok(())
    }

    /// What was stored of the last uses of access keys: the key's id and the note.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn last_used(&self) -> Result<Vec<(String, String)>, StoreError> {
        let mut statement = self
            .connection
            .prepare("SELECT key_id, body FROM last_used ORDER BY key_id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Stores last uses: the key's id, the moment, the note. A later one replaces an earlier one.
    ///
    /// # Errors
    /// They could not be written.
    pub fn put_last_used(&mut self, rows: &[(String, u64, String)]) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO last_used (key_id, at, body) VALUES (?1, ?2, ?3)
                           ON CONFLICT (key_id) DO UPDATE SET at = excluded.at, body = excluded.body
                           WHERE excluded.at >= last_used.at";
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut statement = transaction.prepare_cached(SQL)?;
            for (key_id, at, body) in rows {
                statement.execute(params![key_id, integer(*at)?, body])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Changes everything sealed to another master key, all or nothing: `reseal` is given every
    /// string of every entity and of the deployment's own secrets, and returns what to put in its
    /// place (`None` for what is not sealed). The change has an audit record, and its own revision.
    /// Returns how many secrets it were.
    ///
    /// # Errors
    /// `reseal` failed on one, or the store could not be written. Nothing has changed then.
    pub fn reseal<E>(
        &mut self,
        new_id: &str,
        audit: &AuditRecord,
        mut reseal: impl FnMut(&str) -> Option<Result<String, E>>,
    ) -> Result<usize, ResealError<E>> {
        let revision = self.revision() + 1;
        let stored = integer(revision)?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut resealed = 0;
        let mut rows: Vec<(String, String)> = Vec::new();
        {
            let mut statement =
                transaction.prepare("SELECT path, body FROM entity WHERE body IS NOT NULL")?;
            let mut found = statement.query([])?;
            while let Some(row) = found.next()? {
                let (path, body): (String, String) = (row.get(0)?, row.get(1)?);
                let mut value: serde_json::Value =
                    serde_json::from_str(&body).map_err(|source| ResealError::Body {
                        path: path.clone(),
                        source,
                    })?;
                let before = resealed;
                strings(&mut value, &mut |text| {
                    if let Some(new) = reseal(text) {
                        *text = new.map_err(|source| ResealError::Secret {
                            path: path.clone(),
                            source,
                        })?;
                        resealed += 1;
                    }
                    Ok::<(), ResealError<E>>(())
                })?;
                if resealed > before {
                    rows.push((path, value.to_string()));
                }
            }
        }
        for (path, body) in rows {
            const SQL: &str = "UPDATE entity SET body = ?2, revision = ?3 WHERE path = ?1";
            transaction.execute(SQL, params![path, body, stored])?;
        }
        let own: Vec<(String, String)> = transaction
            .prepare("SELECT name, body FROM sealed")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (name, body) in own {
            // What stands here is sealed, or it is nothing that a key opens.
            if let Some(new) = reseal(&body) {
                let new = new.map_err(|source| ResealError::Secret {
                    path: name.clone(),
                    source,
                })?;
                transaction.execute("UPDATE sealed SET body = ?2 WHERE name = ?1", [name, new])?;
                resealed += 1;
            }
        }
        transaction.execute(
            "INSERT INTO meta (key, value) VALUES ('master_key_id', ?1)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [new_id],
        )?;
        insert_audit(&transaction, revision, audit)?;
        transaction.commit()?;
        self.set_revision(revision);
        Ok(resealed)
    }
}

/// Every string of a value, in place.
fn strings<E>(
    value: &mut serde_json::Value,
    each: &mut impl FnMut(&mut String) -> Result<(), E>,
) -> Result<(), E> {
    match value {
        serde_json::Value::String(text) => each(text),
        serde_json::Value::Array(items) => {
            items.iter_mut().try_for_each(|item| strings(item, each))
        }
        serde_json::Value::Object(fields) => fields
            .iter_mut()
            .try_for_each(|(_, field)| strings(field, each)),
        _ => Ok(()),
    }
}
