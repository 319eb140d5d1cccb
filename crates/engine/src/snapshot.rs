//! Snapshots: all keys of one moment, taken a piece at a time while commands go on.
//!
//! A snapshot goes over each keyspace in the order of a scan, so it knows of every key whether it
//! has passed it. What is about to change and was not passed yet is given to it first: memory grows
//! by what changes while it lasts, as with a server that forks, and no command waits for longer than
//! one piece, or the copy of the one value that it changes. A keyspace that is emptied as a whole
//! is put aside as it is.

use crate::engine::{DATABASES, Engine, UnixMillis};
use crate::hash::HashKey;
use crate::keyspace::{Item, Keyspace, NEVER};
use crate::rdb::{self, PayloadError};
use crate::table::Table;
use crate::value::Value;

/// A key of a snapshot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SnapshotRecord {
    /// Number of the keyspace.
    pub database: usize,
    /// The key.
    pub key: Box<[u8]>,
    /// When the key ends, in Unix milliseconds; 0 for never.
    pub expires_at: u64,
    /// The value, without version and checksum.
    body: Vec<u8>,
}

impl SnapshotRecord {
    fn of(database: usize, key: &[u8], item: &Item) -> Self {
        Self {
            database,
            key: key.into(),
            expires_at: match item.deadline() {
                NEVER => 0,
                // 0 would mean that it never ends.
                deadline => u64::try_from(deadline).unwrap_or(0).max(1),
            },
            body: rdb::body(&item.value),
        }
    }

    fn bytes(&self) -> usize {
        self.key.len() + self.body.len()
    }

    /// The value as `DUMP` gives it.
    #[must_use]
    pub fn into_payload(mut self) -> Vec<u8> {
        rdb::finish(&mut self.body);
        self.body
    }
}

/// How far one piece of a snapshot goes.
pub(crate) struct Step {
    /// Entries that may still be looked at.
    entries: usize,
    /// Bytes that may still be given.
    bytes: usize,
}

impl Step {
    fn is_over(&self) -> bool {
        self.entries == 0 || self.bytes == 0
    }

    fn gave(&mut self, record: &SnapshotRecord) {
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(record.bytes());
    }
}

/// What a snapshot still needs of the keys of one keyspace.
pub(crate) struct Capture {
    /// Number of the keyspace when the snapshot began.
    database: usize,
    /// The moment of the snapshot, in Unix milliseconds.
    moment: i64,
    /// Where the scan is; see `Table::scan_hashed`.
    cursor: u64,
    scanned: bool,
    /// Keys before the scan that it has nothing to do with: given already, or not there at the
    /// moment of the snapshot.
    settled: Table<()>,
    /// What was about to change, and is to be given next.
    kept: Vec<SnapshotRecord>,
}

/// The keys of a keyspace that was emptied.
pub(crate) struct Frozen {
    pub(crate) items: Table<Item>,
    pub(crate) capture: Box<Capture>,
}

impl Capture {
    pub(crate) fn new(database: usize, moment: i64, hash_key: HashKey) -> Self {
        Self {
            database,
            moment,
            cursor: 0,
            scanned: false,
            settled: Table::new(hash_key),
            kept: Vec::new(),
        }
    }

    fn passed(&self, hash: u64) -> bool {
        self.scanned || hash.reverse_bits() < self.cursor.reverse_bits()
    }

    /// Whether the scan is to pass over this key from now on, and was not before.
    fn settle(&mut self, hash: u64, key: &[u8]) -> bool {
        if self.passed(hash) || self.settled.find_hashed(hash, key).is_some() {
            return false;
        }
        self.settled.insert_new(hash, key.into(), ());
        true
    }

    /// A key is about to be added.
    pub(crate) fn added(&mut self, hash: u64, key: &[u8]) {
        self.settle(hash, key);
    }

    /// An item is about to change.
    pub(crate) fn keep(&mut self, items: &Table<Item>, at: usize) {
        let (hash, key, item) = (items.hash_at(at), items.key_at(at), items.value_at(at));
        if self.settle(hash, key) && item.lives(self.moment) {
            self.kept.push(SnapshotRecord::of(self.database, key, item));
        }
    }

    /// Adds records to `out` as far as `step` goes; false if there are no more.
    pub(crate) fn advance(
        &mut self,
        items: &Table<Item>,
        step: &mut Step,
        out: &mut Vec<SnapshotRecord>,
    ) -> bool {
        while !step.is_over() {
            if let Some(record) = self.kept.pop() {
                step.gave(&record);
                out.push(record);
                continue;
            }
            if self.scanned {
                // A list that was long once takes no memory until the end.
                self.kept = Vec::new();
                return false;
            }
            let (cursor, moment, database) = (self.cursor, self.moment, self.database);
            let (settled, mut passed) = (&self.settled, Vec::new());
            step.entries = step.entries.saturating_sub(1);
            let next = items.scan_hashed(cursor, |hash, key, item| {
                if hash.reverse_bits() < cursor.reverse_bits() || !item.lives(moment) {
                    return;
                }
                match settled.find_hashed(hash, key) {
                    Some(_) => passed.push(key),
                    None => {
                        let record = SnapshotRecord::of(database, key, item);
                        step.gave(&record);
                        out.push(record);
                    }
                }
            });
            for key in passed {
                self.settled.remove(key);
            }
            self.cursor = next;
            self.scanned = next == 0;
        }
        true
    }
}

impl Engine {
    /// Begins a snapshot of all keys at `now`, and tells how many there are, roughly. `None` while
    /// another one is being taken. Takes no longer than a command.
    pub fn begin_snapshot(&mut self, now: UnixMillis) -> Option<usize> {
        if self.captured {
            return None;
        }
        self.captured = true;
        for (database, keyspace) in self.keyspaces.iter_mut().enumerate() {
            keyspace.begin_capture(database, now.0);
        }
        Some(self.key_count())
    }

    /// Adds the next records of the snapshot to `out`, in no order: about so many keys, or so many
    /// bytes, whatever comes first. False if there are no more.
    pub fn continue_snapshot(
        &mut self,
        keys: usize,
        bytes: usize,
        out: &mut Vec<SnapshotRecord>,
    ) -> bool {
        let mut step = Step {
            entries: keys.max(1),
            bytes: bytes.max(1),
        };
        self.captured
            && self
                .keyspaces
                .iter_mut()
                .any(|keyspace| keyspace.capture(&mut step, out))
    }

    /// Ends a snapshot, whole or not: nothing is kept for it any more. What was kept is handed over,
    /// as by [`Engine::remove_all`].
    pub fn end_snapshot(&mut self) -> Removed {
        self.captured = false;
        let kept = self.keyspaces.iter_mut().flat_map(Keyspace::end_capture);
        Removed {
            _items: kept.collect(),
        }
    }

    /// What reads payloads for this engine, and can do that elsewhere, while commands go on.
    #[must_use]
    pub fn payload_reader(&self) -> PayloadReader {
        PayloadReader {
            hash_key: self.keyspaces[0].hash_key(),
        }
    }

    /// Sets a key, as `RESTORE` does; `expires_at` is Unix time in milliseconds, or 0 for never.
    ///
    /// # Errors
    /// There is no such keyspace, or the key is there and is not to be replaced.
    pub fn put(
        &mut self,
        database: usize,
        key: &[u8],
        value: RestoredValue,
        expires_at: u64,
        replace: bool,
        now: UnixMillis,
    ) -> Result<(), PutError> {
        let keyspace = self.keyspaces.get_mut(database).ok_or(PutError::Keyspace)?;
        let deadline = match expires_at {
            0 => NEVER,
            at => i64::try_from(at).unwrap_or(NEVER).min(NEVER - 1),
        };
        match keyspace.find(key, now.0) {
            Some(_) if !replace => return Err(PutError::Exists),
            Some(at) => drop(keyspace.remove_at(at)),
            None => {}
        }
        if deadline > now.0 {
            let at = keyspace.add(key, value.0);
            keyspace.set_deadline(at, deadline);
        }
        keyspace.touch(key);
        Ok(())
    }

    /// Removes all keys. They are handed over, so that whoever holds a lock on the engine can give
    /// their memory back without it.
    pub fn remove_all(&mut self) -> Removed {
        let removed = self.keyspaces.iter_mut().map(Keyspace::take);
        Removed {
            _items: removed.collect(),
        }
    }
}

/// Keys that were removed from an engine; dropping them takes time.
#[must_use]
pub struct Removed {
    _items: Vec<Table<Item>>,
}

/// Reads payloads for one engine.
#[derive(Clone, Copy)]
pub struct PayloadReader {
    hash_key: HashKey,
}

impl PayloadReader {
    /// The value in what `DUMP` of a server, or of an engine, has given.
    ///
    /// # Errors
    /// It is none, or of a type that the engine does not have.
    pub fn read(&self, payload: &[u8]) -> Result<RestoredValue, PayloadError> {
        rdb::read(payload, self.hash_key).map(RestoredValue)
    }
}

/// A value that was read from a payload. For the engine whose [`PayloadReader`] has read it.
pub struct RestoredValue(Value);

/// Why a key could not be set.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// There are 16 keyspaces.
    #[error("the embedded engine has {DATABASES} keyspaces")]
    Keyspace,
    /// The key is there already.
    #[error("the key is there already")]
    Exists,
}

#[cfg(test)]
mod tests;
