//! One numbered keyspace: keys, their deadlines, and who watches them.

use crate::hash::HashKey;
use crate::snapshot::{Capture, Frozen, SnapshotRecord, Step};
use crate::table::Table;
use crate::value::Value;
use std::collections::BTreeSet;

/// The deadline of a key that has none.
pub(crate) const NEVER: i64 = i64::MAX;

/// A value and when it ends.
pub(crate) struct Item {
    pub(crate) value: Value,
    /// Unix time in milliseconds after which the key is gone, or `NEVER`.
    deadline: i64,
}

/// Changes of a key that some session watches.
struct Watched {
    version: u64,
    sessions: u32,
}

/// Keys and values. Whatever looks for a key removes it first if its time is over.
pub(crate) struct Keyspace {
    items: Table<Item>,
    /// Deadline and hash of every key that has one. Two keys that share both share an element: if
    /// one goes, the other one is removed only when it is looked for.
    deadlines: BTreeSet<(i64, u64)>,
    watched: Table<Watched>,
    /// Keys with a deadline.
    volatile: usize,
    /// Keys removed because their time was over.
    expired: u64,
    /// What a snapshot still needs of the keys that are here.
    capture: Option<Box<Capture>>,
    /// Keys that were removed all together, of which a snapshot still needs some.
    frozen: Vec<Frozen>,
}

// INVARIANT: whatever changes or removes an item, or its deadline, calls `keep` before, and whatever
// adds one tells `capture`: a snapshot has what was there when it began.
impl Keyspace {
    pub(crate) fn new(hash_key: HashKey) -> Self {
        Self {
            items: Table::new(hash_key),
            deadlines: BTreeSet::new(),
            watched: Table::new(hash_key),
            volatile: 0,
            expired: 0,
            capture: None,
            frozen: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Keys with a deadline.
    pub(crate) fn volatile(&self) -> usize {
        self.volatile
    }

    /// Keys removed so far because their time was over.
    pub(crate) fn expired(&self) -> u64 {
        self.expired
    }

    /// Mean remaining time in milliseconds of the keys that end next.
    pub(crate) fn mean_time_to_live(&self, now: i64) -> i64 {
        let sample = self.deadlines.iter().take(16);
        let count = sample.len() as i64;
        let sum = sample.fold(0i64, |sum, (at, _)| {
            sum.saturating_add(at.saturating_sub(now).max(0))
        });
        if count == 0 { 0 } else { sum / count }
    }

    pub(crate) fn hash_key(&self) -> HashKey {
        self.items.hash_key()
    }

    /// Number of a key, which holds until the next insertion or removal.
    #[inline]
    pub(crate) fn find(&mut self, key: &[u8], now: i64) -> Option<usize> {
        self.find_hashed(self.items.hash(key), key, now)
    }

    /// Hash of a key, for `find_hashed` and `add_hashed`.
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.items.hash(key)
    }

    /// As `find`, for a hash that is known already.
    #[inline]
    pub(crate) fn find_hashed(&mut self, hash: u64, key: &[u8], now: i64) -> Option<usize> {
        let at = self.items.find_hashed(hash, key)?;
        if self.items.value_at(at).deadline < now {
            self.expire(at);
            return None;
        }
        Some(at)
    }

    /// Removes an entry if its time is over.
    pub(crate) fn remove_if_over(&mut self, at: usize, now: i64) -> bool {
        let over = !self.items.value_at(at).lives(now);
        if over {
            self.expire(at);
        }
        over
    }

    /// The value of a key whose time is not over. Removes nothing.
    pub(crate) fn peek(&self, key: &[u8], now: i64) -> Option<&Value> {
        self.items
            .get(key)
            .filter(|item| item.lives(now))
            .map(|item| &item.value)
    }

    pub(crate) fn key_at(&self, at: usize) -> &[u8] {
        self.items.key_at(at)
    }

    pub(crate) fn value_at(&self, at: usize) -> &Value {
        &self.items.value_at(at).value
    }

    pub(crate) fn value_at_mut(&mut self, at: usize) -> &mut Value {
        self.keep(at);
        &mut self.items.value_at_mut(at).value
    }

    pub(crate) fn deadline_at(&self, at: usize) -> i64 {
        self.items.value_at(at).deadline
    }

    pub(crate) fn set_deadline(&mut self, at: usize, deadline: i64) {
        if self.items.value_at(at).deadline != deadline {
            self.keep(at);
        }
        let hash = self.items.hash_at(at);
        let item = self.items.value_at_mut(at);
        let before = std::mem::replace(&mut item.deadline, deadline);
        if before == deadline {
            return;
        }
        if before != NEVER {
            self.deadlines.remove(&(before, hash));
            self.volatile -= 1;
        }
        if deadline != NEVER {
            self.deadlines.insert((deadline, hash));
            self.volatile += 1;
        }
    }

    /// Adds a key that `find` did not find; its number.
    pub(crate) fn add(&mut self, key: &[u8], value: Value) -> usize {
        self.add_hashed(self.items.hash(key), key, value)
    }

    /// As `add`, for a hash that is known already.
    pub(crate) fn add_hashed(&mut self, hash: u64, key: &[u8], value: Value) -> usize {
        let item = Item {
            value,
            deadline: NEVER,
        };
        if let Some(capture) = &mut self.capture {
            capture.added(hash, key);
        }
        self.items.insert_new(hash, key.into(), item)
    }

    pub(crate) fn remove_at(&mut self, at: usize) -> Value {
        self.keep(at);
        self.set_deadline(at, NEVER);
        self.items.remove_at(at).1.value
    }

    /// Removes everything. Watchers of keys that were there learn of it.
    pub(crate) fn clear(&mut self) {
        drop(self.take());
    }

    /// As `clear`; what was there is handed over, unless a snapshot needs it.
    pub(crate) fn take(&mut self) -> Table<Item> {
        self.touch_watched_that_exist();
        let empty = Table::new(self.hash_key());
        let items = std::mem::replace(&mut self.items, empty);
        self.deadlines.clear();
        self.volatile = 0;
        match self.capture.take() {
            Some(capture) => {
                self.frozen.push(Frozen { items, capture });
                Table::new(self.hash_key())
            }
            None => items,
        }
    }

    /// Begins to keep what is here at `now` for a snapshot, as keyspace `database`.
    pub(crate) fn begin_capture(&mut self, database: usize, now: i64) {
        self.capture = Some(Box::new(Capture::new(database, now, self.hash_key())));
    }

    /// Adds records to a snapshot, as far as `step` goes; false if there are no more.
    pub(crate) fn capture(&mut self, step: &mut Step, out: &mut Vec<SnapshotRecord>) -> bool {
        for frozen in &mut self.frozen {
            if frozen.capture.advance(&frozen.items, step, out) {
                return true;
            }
        }
        match &mut self.capture {
            Some(capture) => capture.advance(&self.items, step, out),
            None => false,
        }
    }

    /// Keeps nothing for a snapshot any more; hands over what it kept.
    pub(crate) fn end_capture(&mut self) -> impl Iterator<Item = Table<Item>> {
        self.capture = None;
        std::mem::take(&mut self.frozen)
            .into_iter()
            .map(|frozen| frozen.items)
    }

    /// An item is about to change: gives it to the snapshot that is being taken.
    #[inline]
    fn keep(&mut self, at: usize) {
        if let Some(capture) = &mut self.capture {
            capture.keep(&self.items, at);
        }
    }

    /// Exchanges the keys of two keyspaces, but not who watches which name where.
    pub(crate) fn swap_keys(&mut self, other: &mut Self) {
        for keyspace in [&mut *self, &mut *other] {
            keyspace.touch_watched_that_exist();
        }
        std::mem::swap(&mut self.items, &mut other.items);
        std::mem::swap(&mut self.deadlines, &mut other.deadlines);
        std::mem::swap(&mut self.volatile, &mut other.volatile);
        std::mem::swap(&mut self.capture, &mut other.capture);
        for keyspace in [self, other] {
            keyspace.touch_watched_that_exist();
        }
    }

    pub(crate) fn items(&self) -> impl ExactSizeIterator<Item = (&[u8], &Item)> {
        self.items.iter()
    }

    /// Visits the keys of the next bucket; see `Table::scan`. Keys whose time is over are left out.
    pub(crate) fn scan<'t>(
        &'t self,
        cursor: u64,
        now: i64,
        mut visit: impl FnMut(&'t [u8], &'t Value),
    ) -> u64 {
        self.items.scan(cursor, |key, item| {
            if item.deadline >= now {
                visit(key, &item.value);
            }
        })
    }

    /// Removes up to `limit` keys whose time is over; how many were removed.
    pub(crate) fn expire_some(&mut self, now: i64, limit: usize) -> usize {
        let mut removed = 0;
        while removed < limit {
            match self.deadlines.first() {
                Some((deadline, hash)) if *deadline < now => {
                    let (deadline, hash) = (*deadline, *hash);
                    match self
                        .items
                        .find_by_hash(hash, |item| item.deadline == deadline)
                    {
                        Some(at) => {
                            self.expire(at);
                            removed += 1;
                        }
                        None => {
                            self.deadlines.remove(&(deadline, hash));
                        }
                    }
                }
                _ => break,
            }
        }
        removed
    }

    /// Estimate of the bytes in memory, from a few keys spread over all of them.
    pub(crate) fn bytes(&self) -> usize {
        const SAMPLE: usize = 64;
        let count = self.items.len();
        let step = (count / SAMPLE).max(1);
        let (mut sampled, mut bytes) = (0, 0);
        for at in (0..count).step_by(step) {
            sampled += 1;
            bytes += self.items.key_at(at).len() + 16 + self.value_at(at).bytes();
        }
        let mean = bytes as f64 / f64::from(sampled.max(1));
        self.items.own_bytes() + (mean * count as f64) as usize + self.deadlines.len() * 24
    }

    /// Begins to watch a key; its version.
    pub(crate) fn watch(&mut self, key: &[u8], now: i64) -> u64 {
        // A key whose time is over is gone already, so that its removal is no change.
        self.find(key, now);
        if let Some(watched) = self.watched.get_mut(key) {
            watched.sessions += 1;
            return watched.version;
        }
        self.watched.insert(
            key,
            Watched {
                version: 0,
                sessions: 1,
            },
        );
        0
    }

    /// Ends one watch; the key's version.
    pub(crate) fn unwatch(&mut self, key: &[u8], now: i64) -> Option<u64> {
        self.find(key, now);
        let watched = self.watched.get_mut(key)?;
        let version = watched.version;
        watched.sessions -= 1;
        if watched.sessions == 0 {
            self.watched.remove(key);
        }
        Some(version)
    }

    /// Tells the watchers of a key that it changed.
    #[inline]
    pub(crate) fn touch(&mut self, key: &[u8]) {
        if !self.watched.is_empty()
            && let Some(watched) = self.watched.get_mut(key)
        {
            watched.version += 1;
        }
    }

    fn touch_watched_that_exist(&mut self) {
        for at in 0..self.watched.len() {
            if self.items.contains(self.watched.key_at(at)) {
                self.watched.value_at_mut(at).version += 1;
            }
        }
    }

    fn expire(&mut self, at: usize) {
        self.keep(at);
        self.set_deadline(at, NEVER);
        let (key, _) = self.items.remove_at(at);
        self.touch(&key);
        self.expired += 1;
    }
}

impl Item {
    pub(crate) fn deadline(&self) -> i64 {
        self.deadline
    }

    /// Is its time not over?
    pub(crate) fn lives(&self, now: i64) -> bool {
        self.deadline >= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyspace() -> Keyspace {
        Keyspace::new(HashKey::new([1, 2]))
    }

    #[test]
    fn a_key_is_gone_after_its_deadline_and_not_at_it() {
        let mut keyspace = keyspace();
        let at = keyspace.add(b"k", Value::Integer(1));
        keyspace.set_deadline(at, 100);
        assert!(keyspace.find(b"k", 100).is_some());
        assert!(keyspace.find(b"k", 101).is_none());
        assert_eq!(
            (keyspace.len(), keyspace.volatile(), keyspace.expired()),
            (0, 0, 1)
        );
    }

    #[test]
    fn expiry_in_steps_removes_what_is_due_and_nothing_else() {
        let mut keyspace = keyspace();
        for number in 0..100 {
            let at = keyspace.add(format!("k{number}").as_bytes(), Value::Integer(number));
            keyspace.set_deadline(at, number);
        }
        assert_eq!(keyspace.expire_some(50, 30), 30);
        assert_eq!(keyspace.expire_some(50, 30), 20);
        assert_eq!(keyspace.expire_some(50, 30), 0);
        assert_eq!((keyspace.len(), keyspace.volatile()), (50, 50));
        assert!(keyspace.find(b"k50", 50).is_some());
    }

    #[test]
    fn watchers_see_changes_expiry_included() {
        let mut keyspace = keyspace();
        let at = keyspace.add(b"k", Value::Integer(1));
        keyspace.set_deadline(at, 10);
        let version = keyspace.watch(b"k", 5);
        keyspace.touch(b"other");
        assert_eq!(keyspace.unwatch(b"k", 10), Some(version));
        let version = keyspace.watch(b"k", 10);
        assert_ne!(keyspace.unwatch(b"k", 11), Some(version));
        // Gone before it was watched: no change.
        let version = keyspace.watch(b"k", 11);
        assert_eq!(keyspace.unwatch(b"k", 12), Some(version));
    }
}
