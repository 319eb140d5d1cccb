//! What the catalogue knows of one command.

use crate::arguments::ArgumentRules;
use crate::keyspec::KeySpec;

crate::bits::bits! {
    /// The flags of a command, as `COMMAND INFO` tells them.
    Flags: u32, values in flag;
    /// Changes data.
    WRITE F_WRITE = "write",
    /// Reads data, changes none.
    READONLY F_READONLY = "readonly",
    /// May need memory; refused when there is none.
    DENYOOM F_DENYOOM = "denyoom",
    /// Administers the server.
    ADMIN F_ADMIN = "admin",
    /// Concerns channels.
    PUBSUB F_PUBSUB = "pubsub",
    /// Not allowed in scripts.
    NOSCRIPT F_NOSCRIPT = "noscript",
    /// May wait for something.
    BLOCKING F_BLOCKING = "blocking",
    /// Works while the data set is loaded.
    LOADING F_LOADING = "loading",
    /// Works on a replica without a link to its primary.
    STALE F_STALE = "stale",
    /// Not shown by `MONITOR`.
    SKIP_MONITOR F_SKIP_MONITOR = "skip_monitor",
    /// Works on a slot that is being imported.
    ASKING F_ASKING = "asking",
    /// Takes constant or logarithmic time.
    FAST F_FAST = "fast",
    /// Works before login.
    NO_AUTH F_NO_AUTH = "no_auth",
    /// Not allowed inside `MULTI`.
    NO_MULTI F_NO_MULTI = "no_multi",
    /// The old key range does not tell all keys.
    MOVABLEKEYS F_MOVABLEKEYS = "movablekeys",
    /// Works while a script runs too long.
    ALLOW_BUSY F_ALLOW_BUSY = "allow_busy",
    /// A call may have no keys.
    NO_MANDATORY_KEYS F_NO_MANDATORY_KEYS = "no_mandatory_keys",
    /// Not allowed while the data set is loaded in the background.
    NO_ASYNC_LOADING F_NO_ASYNC_LOADING = "no_async_loading",
}

crate::bits::bits! {
    /// The ACL categories of a command, names without `@`.
    Categories: u32, values in category;
    /// `@keyspace`
    KEYSPACE C_KEYSPACE = "keyspace",
    /// `@read`
    READ C_READ = "read",
    /// `@write`
    WRITE C_WRITE = "write",
    /// `@set`
    SET C_SET = "set",
    /// `@sortedset`
    SORTEDSET C_SORTEDSET = "sortedset",
    /// `@list`
    LIST C_LIST = "list",
    /// `@hash`
    HASH C_HASH = "hash",
    /// `@string`
    STRING C_STRING = "string",
    /// `@bitmap`
    BITMAP C_BITMAP = "bitmap",
    /// `@hyperloglog`
    HYPERLOGLOG C_HYPERLOGLOG = "hyperloglog",
    /// `@geo`
    GEO C_GEO = "geo",
    /// `@stream`
    STREAM C_STREAM = "stream",
    /// `@pubsub`
    PUBSUB C_PUBSUB = "pubsub",
    /// `@admin`
    ADMIN C_ADMIN = "admin",
    /// `@fast`
    FAST C_FAST = "fast",
    /// `@slow`
    SLOW C_SLOW = "slow",
    /// `@blocking`
    BLOCKING C_BLOCKING = "blocking",
    /// `@dangerous`
    DANGEROUS C_DANGEROUS = "dangerous",
    /// `@connection`
    CONNECTION C_CONNECTION = "connection",
    /// `@transaction`
    TRANSACTION C_TRANSACTION = "transaction",
    /// `@scripting`
    SCRIPTING C_SCRIPTING = "scripting",
}

crate::bits::bits! {
    /// The servers that know a command.
    Servers: u8, values in server;
    /// Valkey 9.
    VALKEY9 S_VALKEY9 = "valkey9",
    /// Redis 7.
    REDIS7 S_REDIS7 = "redis7",
}

impl Categories {
    /// Every category: its bit and its name without `@`.
    pub fn all() -> impl Iterator<Item = (Self, &'static str)> {
        Self::ALL.iter().copied()
    }
}

/// One command or subcommand that can run.
#[derive(Debug)]
pub struct Command {
    /// The catalogue's name: `get`, `config|get`.
    pub name: &'static str,
    /// `kvdb:ExecuteGet`, `kvdb:ExecuteConfigGet`.
    pub action: &'static str,
    /// Positive: exact number of words, the name included (a subcommand counts as two); negative:
    /// at least that many. Where servers differ, what either accepts.
    pub arity: i16,
    /// Flags; where servers differ, of both.
    pub flags: Flags,
    /// ACL categories; where servers differ, of both.
    pub categories: Categories,
    /// Key specifications.
    pub key_specs: &'static [KeySpec],
    /// How the keys of a call are found.
    pub keys: KeyRule,
    /// How the channels of a call are found.
    pub channels: ChannelRule,
    /// Which other facts a call's words tell.
    pub arguments: ArgumentRules,
    /// What a call touches that names no key.
    pub scope: CommandScope,
    /// Which rule beside the policy decides.
    pub class: CommandClass,
    /// Whether it may run on a connection that several sessions share.
    pub stateless: bool,
    /// The servers that know it.
    pub servers: Servers,
    /// The group in the server's documentation: `string`, `sorted-set`, `server`, …
    pub group: &'static str,
    /// The server version that had it first.
    pub since: &'static str,
}

impl Command {
    /// Whether a call of that many words, name included, has an allowed length.
    #[must_use]
    #[inline]
    pub const fn arity_fits(&self, words: usize) -> bool {
        let least = self.arity.unsigned_abs() as usize;
        if self.arity < 0 {
            words >= least
        } else {
            words == least
        }
    }

    /// The words of its name: 1, or 2 for a subcommand.
    #[must_use]
    pub fn name_words(&self) -> usize {
        if self.name.contains('|') { 2 } else { 1 }
    }
}

/// How the keys of a call are found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyRule {
    /// By the key specifications alone.
    BySpecs,
    /// By the key specifications, which say: this word. Most commands.
    One(u16),
    /// `SET`: read too where `GET` is among the options.
    Set,
    /// `BITFIELD`: read only where every operation is `GET`.
    Bitfield,
    /// `SORT`: `STORE` names a key; `BY` and `GET` may reach any.
    Sort,
    /// `SORT_RO`: as `SORT` without `STORE`.
    SortReadOnly,
    /// `GEORADIUS` and `GEORADIUSBYMEMBER`: `STORE` and `STOREDIST` name keys.
    GeoRadius {
        /// The first word that can be an option.
        options: u16,
    },
    /// `XREAD` and `XREADGROUP`: the first half of what follows `STREAMS`.
    Streams,
    /// `MIGRATE`: one key, or those after `KEYS`.
    Migrate,
    /// Scripts and functions: they reach more than the keys they declare.
    Script,
}

/// How the channels of a call are found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChannelRule {
    /// It has none.
    None,
    /// This word.
    One(u16),
    /// This word and all that follow.
    From {
        /// The first channel.
        first: u16,
        /// Whether they are patterns.
        pattern: bool,
    },
    /// `PUBSUB CHANNELS [pattern]`: every channel if there is no pattern.
    Listing,
    /// `CLIENT TRACKING`: the prefixes.
    Tracking,
}

/// What a call touches that names no key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CommandScope {
    /// Its calls name keys; one that names none (a script) touches every key.
    Keyed,
    /// No key at all.
    Keyless,
    /// Every key.
    WholeKeyspace,
    /// It tells the names of keys.
    Enumeration,
}

/// Which rule beside the policy decides about a command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CommandClass {
    /// Always possible, before login too.
    Always,
    /// Needs only `kvdb:Connect`, unless denied by name.
    ConnectOnly,
    /// Decided by the policy alone.
    Ordinary,
    /// Administers the server: refused unless administration is on for the database.
    Administrative,
    /// Reaches or changes what the gateway cannot see: needs the whole database.
    WholeDatabase,
}
