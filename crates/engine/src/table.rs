//! Hash table from bytes to values: dense storage for random choice, a cursor that survives growth.
//!
//! Entries lie in one vector, so that a random entry is one index away, and removal moves the last
//! entry into the gap. Buckets are chains of entry numbers. The table grows and shrinks by one
//! bucket at a time (linear hashing), so that no single call pays for a whole rehash.
//!
//! The cursor counts in reversed bit order. A bucket covers the hashes that end in its number, which
//! in reversed order is one interval; splitting a bucket halves its interval and merging joins two.
//! A cursor is the point up to which everything was returned, so it stays right whatever happened to
//! the buckets in between: what was there all the time is returned at least once.

use crate::hash::HashKey;

/// End of a chain.
const NONE: u32 = u32::MAX;
/// Tables up to this size have no buckets: comparing a few hashes is faster and smaller.
const WITHOUT_BUCKETS: usize = 8;

#[derive(Clone)]
struct Entry<V> {
    hash: u64,
    next: u32,
    key: Box<[u8]>,
    value: V,
}

/// Map from byte strings to `V`; see the module's page.
#[derive(Clone)]
pub(crate) struct Table<V> {
    hash_key: HashKey,
    entries: Vec<Entry<V>>,
    /// First entry of each chain; empty for small tables.
    buckets: Vec<u32>,
}

impl<V> Table<V> {
    pub(crate) fn new(hash_key: HashKey) -> Self {
        Self {
            hash_key,
            entries: Vec::new(),
            buckets: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn hash_key(&self) -> HashKey {
        self.hash_key
    }

    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.hash_key.hash(key)
    }

    /// Number of the entry with this key. Numbers hold until the next insertion or removal.
    pub(crate) fn find(&self, key: &[u8]) -> Option<usize> {
        self.find_hashed(self.hash(key), key)
    }

    /// As `find`, for a hash that is known already.
    #[inline]
    pub(crate) fn find_hashed(&self, hash: u64, key: &[u8]) -> Option<usize> {
        if self.buckets.is_empty() {
            return self
                .entries
                .iter()
                .position(|e| e.hash == hash && *e.key == *key);
        }
        let mut at = self.buckets[self.bucket_of(hash)];
        while at != NONE {
            let entry = &self.entries[at as usize];
            if entry.hash == hash && *entry.key == *key {
                return Some(at as usize);
            }
            at = entry.next;
        }
        None
    }

    /// Number of some entry with this hash that satisfies `wanted`.
    pub(crate) fn find_by_hash(&self, hash: u64, wanted: impl Fn(&V) -> bool) -> Option<usize> {
        if self.buckets.is_empty() {
            return self
                .entries
                .iter()
                .position(|e| e.hash == hash && wanted(&e.value));
        }
        let mut at = self.buckets[self.bucket_of(hash)];
        while at != NONE {
            let entry = &self.entries[at as usize];
            if entry.hash == hash && wanted(&entry.value) {
                return Some(at as usize);
            }
            at = entry.next;
        }
        None
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.find(key).is_some()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        self.find(key).map(|at| &self.entries[at].value)
    }

    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        self.find(key).map(|at| &mut self.entries[at].value)
    }

    pub(crate) fn key_at(&self, at: usize) -> &[u8] {
        &self.entries[at].key
    }

    pub(crate) fn hash_at(&self, at: usize) -> u64 {
        self.entries[at].hash
    }

    pub(crate) fn value_at(&self, at: usize) -> &V {
        &self.entries[at].value
    }

    pub(crate) fn value_at_mut(&mut self, at: usize) -> &mut V {
        &mut self.entries[at].value
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &V)> {
        self.entries.iter().map(|e| (&*e.key, &e.value))
    }

    /// Sets the value of `key`; the value before, if there was one.
    pub(crate) fn insert(&mut self, key: &[u8], value: V) -> Option<V> {
        let hash = self.hash(key);
        match self.find_hashed(hash, key) {
            Some(at) => Some(std::mem::replace(&mut self.entries[at].value, value)),
            None => {
                self.insert_new(hash, key.into(), value);
                None
            }
        }
    }

    /// Adds an entry whose key is not in the table yet; its number.
    pub(crate) fn insert_new(&mut self, hash: u64, key: Box<[u8]>, value: V) -> usize {
        let at = self.entries.len();
        let number = u32::try_from(at)
            .ok()
            .filter(|number| *number != NONE)
            .expect("memory ends before 2^32 entries of 40 bytes and more");
        self.entries.push(Entry {
            hash,
            next: NONE,
            key,
            value,
        });
        if self.buckets.is_empty() {
            if at >= WITHOUT_BUCKETS {
                self.build_buckets();
            }
        } else {
            self.link(number);
            if self.entries.len() > self.buckets.len() {
                self.split_bucket();
            }
        }
        at
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<(Box<[u8]>, V)> {
        self.find(key).map(|at| self.remove_at(at))
    }

    /// Removes an entry by number. The last entry takes its number.
    pub(crate) fn remove_at(&mut self, at: usize) -> (Box<[u8]>, V) {
        let last = self.entries.len() - 1;
        if !self.buckets.is_empty() {
            self.replace_link(at as u32, self.entries[at].next);
            if at != last {
                self.replace_link(last as u32, at as u32);
            }
        }
        let entry = self.entries.swap_remove(at);
        if !self.buckets.is_empty() {
            if self.entries.len() <= WITHOUT_BUCKETS / 2 {
                self.buckets = Vec::new();
            } else if self.entries.len() < self.buckets.len() / 4 {
                // Two for one: shrinking keeps ahead of removal.
                self.merge_bucket();
                self.merge_bucket();
            }
        }
        if self.entries.capacity() > 64 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.capacity() / 2);
        }
        (entry.key, entry.value)
    }

    /// Visits the entries of the next bucket after `cursor`, which is 0 at the start; the cursor
    /// for the next call, 0 when everything was visited.
    pub(crate) fn scan<'t>(&'t self, cursor: u64, mut visit: impl FnMut(&'t [u8], &'t V)) -> u64 {
        self.scan_hashed(cursor, |_, key, value| visit(key, value))
    }

    /// As `scan`, with the hash of each key. A key was visited, or was not there when its turn came,
    /// exactly if its hash in reversed bit order is below the cursor in that order.
    pub(crate) fn scan_hashed<'t>(
        &'t self,
        cursor: u64,
        mut visit: impl FnMut(u64, &'t [u8], &'t V),
    ) -> u64 {
        if self.buckets.is_empty() {
            for entry in &self.entries {
                visit(entry.hash, &entry.key, &entry.value);
            }
            return 0;
        }
        let (bucket, mask) = self.bucket_and_mask(cursor);
        let mut at = self.buckets[bucket];
        while at != NONE {
            let entry = &self.entries[at as usize];
            visit(entry.hash, &entry.key, &entry.value);
            at = entry.next;
        }
        (cursor | !mask)
            .reverse_bits()
            .wrapping_add(1)
            .reverse_bits()
    }

    /// Bytes of the table itself, without what keys and values own.
    pub(crate) fn own_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<V>>() + self.buckets.capacity() * 4
    }

    fn bucket_of(&self, hash: u64) -> usize {
        self.bucket_and_mask(hash).0
    }

    /// The bucket that holds a hash, and the mask of the bits that decide it.
    #[inline]
    fn bucket_and_mask(&self, hash: u64) -> (usize, u64) {
        let count = self.buckets.len() as u64;
        // `low` is the greatest power of two not above the number of buckets; those buckets were
        // split already whose other half is there.
        let low = 1u64 << count.ilog2();
        let bucket = hash & (low - 1);
        if bucket < count - low {
            ((hash & (low * 2 - 1)) as usize, low * 2 - 1)
        } else {
            (bucket as usize, low - 1)
        }
    }

    fn link(&mut self, number: u32) {
        let bucket = self.bucket_of(self.entries[number as usize].hash);
        self.entries[number as usize].next = self.buckets[bucket];
        self.buckets[bucket] = number;
    }

    /// Makes whatever points to entry `from` point to `to`.
    fn replace_link(&mut self, from: u32, to: u32) {
        let bucket = self.bucket_of(self.entries[from as usize].hash);
        let mut at = self.buckets[bucket];
        if at == from {
            self.buckets[bucket] = to;
            return;
        }
        while at != NONE {
            let next = self.entries[at as usize].next;
            if next == from {
                self.entries[at as usize].next = to;
                return;
            }
            at = next;
        }
    }

    fn build_buckets(&mut self) {
        self.buckets = vec![NONE; self.entries.len().next_power_of_two()];
        for number in 0..self.entries.len() as u32 {
            self.link(number);
        }
    }

    /// Adds one bucket, which takes its share of the bucket that it splits.
    fn split_bucket(&mut self) {
        let new = self.buckets.len();
        let split = new - (1 << new.ilog2());
        let mut at = std::mem::replace(&mut self.buckets[split], NONE);
        self.buckets.push(NONE);
        while at != NONE {
            let next = self.entries[at as usize].next;
            self.link(at);
            at = next;
        }
    }

    /// Removes the last bucket, whose entries go back to where they were split from.
    fn merge_bucket(&mut self) {
        if self.buckets.len() <= WITHOUT_BUCKETS {
            return;
        }
        if let Some(mut at) = self.buckets.pop() {
            while at != NONE {
                let next = self.entries[at as usize].next;
                self.link(at);
                at = next;
            }
        }
        if self.buckets.len() < self.buckets.capacity() / 4 {
            self.buckets.shrink_to(self.buckets.capacity() / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Table;
    use crate::hash::HashKey;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn table<V>() -> Table<V> {
        Table::new(HashKey::new([7, 11]))
    }

    fn name(number: u32) -> Vec<u8> {
        format!("key:{number}").into_bytes()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((0u8..3, 0u32..200), 0..2000)) {
            let mut table = table();
            let mut model = BTreeMap::new();
            for (step, number) in steps {
                let key = name(number);
                if step == 0 {
                    prop_assert_eq!(table.remove(&key).map(|(_, v)| v), model.remove(&key));
                } else {
                    prop_assert_eq!(table.insert(&key, number), model.insert(key, number));
                }
                prop_assert_eq!(table.len(), model.len());
            }
            for (key, value) in &model {
                prop_assert_eq!(table.get(key), Some(value));
            }
            let found: BTreeMap<_, _> = table.iter().map(|(k, v)| (k.to_vec(), *v)).collect();
            prop_assert_eq!(found, model);
        }

        /// What is in the table during the whole scan is returned, whatever else comes and goes.
        #[test]
        fn scan_returns_what_stays(
            stays in 0u32..400,
            others in prop::collection::vec((any::<bool>(), 0u32..3000, 1u32..400), 0..300),
        ) {
            let mut table = table();
            for number in 0..stays {
                table.insert(&name(number), ());
            }
            let mut seen = BTreeSet::new();
            let mut cursor = 0;
            let mut others = others.into_iter();
            loop {
                cursor = table.scan(cursor, |key, ()| {
                    seen.insert(key.to_vec());
                });
                if cursor == 0 {
                    break;
                }
                if let Some((insert, from, count)) = others.next() {
                    for number in from..from + count {
                        let key = name(100_000 + number);
                        if insert {
                            table.insert(&key, ());
                        } else {
                            table.remove(&key);
                        }
                    }
                }
            }
            for number in 0..stays {
                prop_assert!(seen.contains(&name(number)), "{}", number);
            }
        }
    }

    #[test]
    fn a_scan_of_an_unchanged_table_returns_everything_once() {
        for size in [0, 1, 8, 9, 10, 100, 1000, 1025] {
            let mut table = table();
            for number in 0..size {
                table.insert(&name(number), ());
            }
            let (mut seen, mut cursor) = (Vec::new(), 0);
            loop {
                cursor = table.scan(cursor, |key, ()| seen.push(key.to_vec()));
                if cursor == 0 {
                    break;
                }
            }
            seen.sort();
            let mut expected: Vec<_> = (0..size).map(name).collect();
            expected.sort();
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn memory_is_given_back() {
        let mut table = table();
        for number in 0..100_000 {
            table.insert(&name(number), number);
        }
        let full = table.own_bytes();
        for number in 0..100_000 {
            assert!(table.remove(&name(number)).is_some());
        }
        assert!(
            table.own_bytes() < full / 100,
            "{} of {full}",
            table.own_bytes()
        );
    }
}
