//! Tables and maps that share their pages: a change copies one page and leaves the rest alone, so
//! that an old directory stays readable while the new one is used.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash};
use std::sync::Arc;

/// Entries of a page. Small enough to copy in a microsecond, large enough that a million entries
/// make few pages.
const PAGE: usize = 64;

/// Pages are grouped, so that copying the outer list does not grow with the number of entries:
/// a million entries are 245 groups of 64 pages.
const GROUP: usize = 64;

type Page<T> = Arc<Vec<Option<T>>>;

/// A table by dense index; removed entries leave a gap and their index is never used again.
#[derive(Debug)]
pub(crate) struct PagedTable<T> {
    groups: Vec<Arc<Vec<Page<T>>>>,
    len: usize,
}

impl<T> Clone for PagedTable<T> {
    fn clone(&self) -> Self {
        Self {
            groups: self.groups.clone(),
            len: self.len,
        }
    }
}

impl<T> Default for PagedTable<T> {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
            len: 0,
        }
    }
}

impl<T: Clone> PagedTable<T> {
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let index = index as usize;
        let page = self
            .groups
            .get(index / (PAGE * GROUP))?
            .get(index / PAGE % GROUP)?;
        page.get(index % PAGE)?.as_ref()
    }

    /// Appends and returns the new index.
    ///
    /// # Panics
    /// After 2^32 entries, which memory ends long before.
    pub(crate) fn push(&mut self, value: T) -> u32 {
        let index = self.len;
        self.len += 1;
        if index / (PAGE * GROUP) == self.groups.len() {
            self.groups.push(Arc::new(Vec::new()));
        }
        let group = Arc::make_mut(&mut self.groups[index / (PAGE * GROUP)]);
        if index / PAGE % GROUP == group.len() {
            group.push(Arc::new(Vec::new()));
        }
        Arc::make_mut(&mut group[index / PAGE % GROUP]).push(Some(value));
        u32::try_from(index).expect("fewer than 2^32 entities fit in memory")
    }

    /// The place of an index that was pushed, for changing or emptying it.
    pub(crate) fn slot(&mut self, index: u32) -> Option<&mut Option<T>> {
        let index = index as usize;
        let group = Arc::make_mut(self.groups.get_mut(index / (PAGE * GROUP))?);
        Arc::make_mut(group.get_mut(index / PAGE % GROUP)?).get_mut(index % PAGE)
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.get(index)?; // a gap must not copy its page
        self.slot(index)?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0u32..)
            .zip(
                self.groups
                    .iter()
                    .flat_map(|g| g.iter())
                    .flat_map(|p| p.iter()),
            )
            .filter_map(|(index, value)| value.as_ref().map(|value| (index, value)))
    }
}

/// Groups and shards of a [`PagedMap`]: 64 × 64 shards, so that a change copies two lists of 64
/// and one shard (about 250 entries at a million).
const FANOUT: usize = 64;

type Hasher = BuildHasherDefault<std::hash::DefaultHasher>;
type Shard<K, V> = Arc<HashMap<K, V, Hasher>>;

/// A hash map in shared shards.
#[derive(Debug)]
pub(crate) struct PagedMap<K, V> {
    groups: Vec<Arc<Vec<Shard<K, V>>>>,
}

impl<K, V> Clone for PagedMap<K, V> {
    fn clone(&self) -> Self {
        Self {
            groups: self.groups.clone(),
        }
    }
}

impl<K, V> Default for PagedMap<K, V> {
    fn default() -> Self {
        let shard = Arc::new(HashMap::default());
        let group = Arc::new(vec![shard; FANOUT]);
        Self {
            groups: vec![group; FANOUT],
        }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> PagedMap<K, V> {
    fn place<Q: Hash + ?Sized>(key: &Q) -> (usize, usize) {
        // The shards' own tables use the low bits; take high ones here.
        let hash = Hasher::default().hash_one(key) as usize;
        (hash >> 58 & (FANOUT - 1), hash >> 52 & (FANOUT - 1))
    }

    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let (group, shard) = Self::place(key);
        self.groups[group][shard].get(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        let (group, shard) = Self::place(&key);
        let shards = Arc::make_mut(&mut self.groups[group]);
        Arc::make_mut(&mut shards[shard]).insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_keeps_old_versions() {
        let mut table = PagedTable::default();
        for n in 0..40_000u32 {
            assert_eq!(table.push(n), n);
        }
        let old = table.clone();
        *table.slot(17).unwrap() = None;
        *table.get_mut(39_999).unwrap() = 1;
        assert_eq!((old.get(17), table.get(17)), (Some(&17), None));
        assert_eq!(
            (old.get(39_999), table.get(39_999)),
            (Some(&39_999), Some(&1))
        );
        assert_eq!(table.get(40_000), None);
        assert!(table.get_mut(17).is_none());
        assert_eq!(table.iter().count(), 39_999);
    }

    #[test]
    fn map_keeps_old_versions() {
        let mut map: PagedMap<Box<str>, u32> = PagedMap::default();
        for n in 0..10_000u32 {
            map.insert(format!("k{n}").into(), n);
        }
        let old = map.clone();
        map.insert("k5".into(), 0);
        assert_eq!((old.get("k5"), map.get("k5")), (Some(&5), Some(&0)));
        assert_eq!(map.get("nope"), None);
    }
}
