//! What a key can hold.

use crate::number::IntegerText;
use crate::sorted_set::SortedSet;
use crate::table::Table;
use std::collections::VecDeque;

/// Elements in order.
pub(crate) type List = VecDeque<Box<[u8]>>;
/// Members without order.
pub(crate) type Set = Table<()>;
/// Values by field.
pub(crate) type Hash = Table<Box<[u8]>>;

/// The value of one key. Lists, sets, hashes and sorted sets are never empty.
#[derive(Clone)]
pub(crate) enum Value {
    /// A string that is the canonical spelling of an integer.
    Integer(i64),
    /// Any other string.
    Bytes(Vec<u8>),
    List(Box<List>),
    Set(Box<Set>),
    Hash(Box<Hash>),
    SortedSet(Box<SortedSet>),
}

impl Value {
    /// A string, in the form that fits.
    pub(crate) fn string(text: &[u8]) -> Self {
        match crate::number::parse_integer(text) {
            Some(integer) => Self::Integer(integer),
            None => Self::Bytes(text.to_vec()),
        }
    }

    /// The answer of `TYPE`.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Integer(_) | Self::Bytes(_) => "string",
            Self::List(_) => "list",
            Self::Set(_) => "set",
            Self::Hash(_) => "hash",
            Self::SortedSet(_) => "zset",
        }
    }

    /// Estimate of the bytes in memory. Constant time: looks at a few elements of a large value.
    pub(crate) fn bytes(&self) -> usize {
        /// Bytes that the allocator adds to each allocation, roughly.
        const ALLOCATION: usize = 16;
        let sampled = |len: usize, sample: usize| {
            if len <= SAMPLE {
                sample
            } else {
                sample * (len / SAMPLE)
            }
        };
        match self {
            Self::Integer(_) => 0,
            Self::Bytes(bytes) => bytes.capacity() + ALLOCATION,
            Self::List(list) => {
                let sample = list.iter().take(SAMPLE).map(|e| e.len() + ALLOCATION).sum();
                list.capacity() * size_of::<Box<[u8]>>() + sampled(list.len(), sample)
            }
            Self::Set(set) => {
                let sample = set
                    .iter()
                    .take(SAMPLE)
                    .map(|(m, ())| m.len() + ALLOCATION)
                    .sum();
                set.own_bytes() + sampled(set.len(), sample)
            }
            Self::Hash(hash) => {
                let texts = hash.iter().take(SAMPLE).map(|(f, v)| f.len() + v.len());
                let sample = texts.map(|bytes| bytes + 2 * ALLOCATION).sum();
                hash.own_bytes() + sampled(hash.len(), sample)
            }
            Self::SortedSet(set) => {
                let sample = set
                    .iter()
                    .take(SAMPLE)
                    .map(|(m, _)| m.len() + ALLOCATION)
                    .sum();
                set.own_bytes() + sampled(set.len(), sample)
            }
        }
    }
}

/// Elements looked at to estimate the memory of a value.
const SAMPLE: usize = 16;

/// Bytes of a string value, which may be stored as an integer.
pub(crate) enum Text<'a> {
    Integer(IntegerText),
    Bytes(&'a [u8]),
}

impl Text<'_> {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Integer(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}
