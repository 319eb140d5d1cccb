//! The keys as one call sees them: its database, its time, what it changed.

use crate::failure::Failure;
use crate::hash::HashKey;
use crate::keyspace::{Keyspace, NEVER};
use crate::number::IntegerText;
use crate::sorted_set::SortedSet;
use crate::table::Table;
use crate::value::{Hash, List, Set, Text, Value};

/// Access to the keys for one call.
pub(crate) struct Space<'a> {
    keyspaces: &'a mut [Keyspace],
    selected: usize,
    now: i64,
    changes: u64,
}

/// Accessors of one type of value: to read, to change, and to change or create.
macro_rules! accessors {
    ($type:ty, $variant:ident, $read:ident, $change:ident, $create:ident, $new:expr) => {
        /// The value of `key`; `None` without such a key, an error if it is of another type.
        pub(crate) fn $read(&mut self, key: &[u8]) -> Result<Option<&$type>, Failure> {
            match self.find(key).map(|at| self.value_at(at)) {
                None => Ok(None),
                Some(Value::$variant(value)) => Ok(Some(value)),
                Some(_) => Err(Failure::WRONG_TYPE),
            }
        }

        /// As above, to be changed. Whoever empties it calls `remove_if_empty`.
        pub(crate) fn $change(&mut self, key: &[u8]) -> Result<Option<&mut $type>, Failure> {
            match self.find(key) {
                None => Ok(None),
                Some(at) => match self.value_at_mut(at) {
                    Value::$variant(value) => Ok(Some(value)),
                    _ => Err(Failure::WRONG_TYPE),
                },
            }
        }

        /// As above, created empty if it is not there. The caller puts something in.
        pub(crate) fn $create(&mut self, key: &[u8]) -> Result<&mut $type, Failure> {
            let at = match self.find(key) {
                Some(at) => at,
                None => {
                    let new: fn(HashKey) -> $type = $new;
                    let value = Value::$variant(Box::new(new(self.keyspace().hash_key())));
                    self.keyspace_mut().add(key, value)
                }
            };
            match self.value_at_mut(at) {
                Value::$variant(value) => Ok(value),
                _ => Err(Failure::WRONG_TYPE),
            }
        }
    };
}

impl<'a> Space<'a> {
    /// `selected` is one of the keyspaces.
    pub(crate) fn new(keyspaces: &'a mut [Keyspace], selected: usize, now: i64) -> Self {
        Self {
            keyspaces,
            selected,
            now,
            changes: 0,
        }
    }

    accessors!(List, List, list, list_mut, list_or_new, |_| List::new());
    accessors!(Set, Set, set, set_mut, set_or_new, Table::new);
    accessors!(Hash, Hash, hash, hash_mut, hash_or_new, Table::new);
    accessors!(
        SortedSet,
        SortedSet,
        sorted_set,
        sorted_set_mut,
        sorted_set_or_new,
        SortedSet::new
    );

    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    pub(crate) fn selected(&self) -> usize {
        self.selected
    }

    /// Goes to another keyspace; false if there is none of that number.
    #[must_use]
    pub(crate) fn select(&mut self, number: i64) -> bool {
        match usize::try_from(number) {
            Ok(number) if number < self.keyspaces.len() => {
                self.selected = number;
                true
            }
            _ => false,
        }
    }

    /// Number of changes so far, counted as the server counts them.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn keyspaces(&mut self) -> &mut [Keyspace] {
        self.keyspaces
    }

    pub(crate) fn keyspace(&self) -> &Keyspace {
        &self.keyspaces[self.selected]
    }

    pub(crate) fn keyspace_mut(&mut self) -> &mut Keyspace {
        &mut self.keyspaces[self.selected]
    }

    /// Number of a key, which holds until the next insertion or removal.
    #[inline]
    pub(crate) fn find(&mut self, key: &[u8]) -> Option<usize> {
        self.keyspaces[self.selected].find(key, self.now)
    }

    pub(crate) fn value_at(&self, at: usize) -> &Value {
        self.keyspace().value_at(at)
    }

    pub(crate) fn value_at_mut(&mut self, at: usize) -> &mut Value {
        self.keyspace_mut().value_at_mut(at)
    }

    pub(crate) fn contains(&mut self, key: &[u8]) -> bool {
        self.find(key).is_some()
    }

    /// The value of a key, without removing it if its time is over: for looking at several keys
    /// at the same time.
    pub(crate) fn peek(&self, key: &[u8]) -> Option<&Value> {
        self.keyspace().peek(key, self.now)
    }

    /// The string of `key`.
    pub(crate) fn string(&mut self, key: &[u8]) -> Result<Option<Text<'_>>, Failure> {
        match self.find(key).map(|at| self.value_at(at)) {
            None => Ok(None),
            Some(Value::Integer(value)) => Ok(Some(Text::Integer(IntegerText::new(*value)))),
            Some(Value::Bytes(bytes)) => Ok(Some(Text::Bytes(bytes))),
            Some(_) => Err(Failure::WRONG_TYPE),
        }
    }

    /// Sets a key to a string, whatever it held, without a deadline.
    #[inline]
    pub(crate) fn set_string(&mut self, key: &[u8], text: &[u8]) -> usize {
        let now = self.now;
        let keyspace = self.keyspace_mut();
        let hash = keyspace.hash(key);
        match keyspace.find_hashed(hash, key, now) {
            None => keyspace.add_hashed(hash, key, Value::string(text)),
            at => self.set_string_at(at, key, text),
        }
    }

    /// As `set_string`, for a key that was looked for already.
    #[inline]
    pub(crate) fn set_string_at(&mut self, at: Option<usize>, key: &[u8], text: &[u8]) -> usize {
        match at {
            Some(at) => {
                self.keyspace_mut().set_deadline(at, NEVER);
                match (self.value_at_mut(at), crate::number::parse_integer(text)) {
                    (value, Some(integer)) => *value = Value::Integer(integer),
                    // The old buffer serves again, unless it is far too large.
                    (Value::Bytes(bytes), None) if bytes.capacity() <= text.len() * 2 + 64 => {
                        bytes.clear();
                        bytes.extend_from_slice(text);
                    }
                    (value, None) => *value = Value::Bytes(text.to_vec()),
                }
                at
            }
            None => self.keyspace_mut().add(key, Value::string(text)),
        }
    }

    /// Sets a key to a value, whatever it held, without a deadline; its number.
    pub(crate) fn put(&mut self, key: &[u8], value: Value) -> usize {
        match self.find(key) {
            Some(at) => {
                self.keyspace_mut().set_deadline(at, NEVER);
                *self.value_at_mut(at) = value;
                at
            }
            None => self.keyspace_mut().add(key, value),
        }
    }

    /// Removes a key; false if it was not there.
    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        match self.find(key) {
            Some(at) => {
                self.keyspace_mut().remove_at(at);
                true
            }
            None => false,
        }
    }

    /// Removes a key whose list, set, hash or sorted set has become empty.
    pub(crate) fn remove_if_empty(&mut self, key: &[u8]) {
        if let Some(at) = self.find(key) {
            let empty = match self.value_at(at) {
                Value::Integer(_) | Value::Bytes(_) => false,
                Value::List(list) => list.is_empty(),
                Value::Set(set) => set.is_empty(),
                Value::Hash(hash) => hash.is_empty(),
                Value::SortedSet(set) => set.is_empty(),
            };
            if empty {
                self.keyspace_mut().remove_at(at);
            }
        }
    }

    /// Records that a key changed: `count` changes, as the server counts.
    #[inline]
    pub(crate) fn changed(&mut self, key: &[u8], count: usize) {
        self.changes += count as u64;
        self.keyspace_mut().touch(key);
    }

    /// Records changes of no key in particular.
    pub(crate) fn changed_many(&mut self, count: usize) {
        self.changes += count as u64;
    }
}
