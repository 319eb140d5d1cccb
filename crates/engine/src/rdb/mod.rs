//! The servers' form of one value, as `DUMP` gives it and `RESTORE` takes it.
//!
//! A byte for the type and its form, the value, the version of the format and a checksum. Read is
//! every form of the engine's types that Redis 7 and Valkey 7.2 to 9 write; written is one form of
//! each that all of them read.

mod crc64;
mod listpack;
mod lzf;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use read::read;
pub(crate) use write::{body, finish};

/// Version of the format that is written: that of Redis 7.0, which later servers read, too.
pub(crate) const VERSION: u16 = 10;

/// Latest version that is read: that of Valkey 9. A form of a value that is new has a type of its
/// own, and is refused by that.
const MAX_VERSION: u16 = 80;

/// Version and checksum.
const FOOTER: usize = 2 + 8;

/// The byte that a payload begins with. Source: the servers' `rdb.h`.
mod kind {
    pub(super) const STRING: u8 = 0;
    pub(super) const LIST: u8 = 1;
    pub(super) const SET: u8 = 2;
    pub(super) const HASH: u8 = 4;
    pub(super) const ZSET_2: u8 = 5;
    pub(super) const SET_INTSET: u8 = 11;
    pub(super) const HASH_LISTPACK: u8 = 16;
    pub(super) const ZSET_LISTPACK: u8 = 17;
    pub(super) const LIST_QUICKLIST_2: u8 = 18;
    pub(super) const SET_LISTPACK: u8 = 20;

    /// The part of a list is one element.
    pub(super) const NODE_PLAIN: u64 = 1;
    /// The part of a list is a listpack.
    pub(super) const NODE_PACKED: u64 = 2;

    /// What the engine does not have, for people.
    pub(super) fn name(kind: u8) -> &'static str {
        match kind {
            6 | 7 => "types of modules",
            15 | 19 | 21 => "streams",
            22..=25 => "hashes whose fields expire",
            3 | 9 | 10 | 12..=14 => "values in the form of servers before Redis 7",
            _ => "values of that type",
        }
    }
}

/// Why a payload could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The version is later than what is known, or the checksum is wrong.
    #[error("its version or checksum is wrong")]
    Version,
    /// The engine has no such type.
    #[error("the embedded engine has no {name}")]
    Type {
        /// Which type, in the plural.
        name: &'static str,
    },
    /// The value is not what its type says.
    #[error("its value is not what its type says")]
    Format,
}
