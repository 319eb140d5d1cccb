//! What a request says about the keys that conditions and variables read.

use std::net::IpAddr;

use keyward_commands::{ActionId, CommandId, Words};

use crate::condition::{ConditionKey, Fact};
use crate::number::Number;
use crate::{ChannelUse, Dialect, KeyUse, Touch};

/// One value of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Bytes, as on the wire or as a caller gave them.
    Text(&'a [u8]),
    /// A number, without a unit of its own.
    Number(Number),
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Time(i64),
    /// An address of a client; an IPv4 address inside IPv6 is IPv4.
    Address(IpAddr),
    /// A truth value.
    Boolean(bool),
}

/// Which uses of keys a condition key speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAccess {
    /// Every use.
    Any,
    /// Keys that are read.
    Read,
    /// Keys that are written.
    Write,
}

impl KeyAccess {
    /// Whether this use of a key is meant. Access that is not stated is full access.
    #[inline]
    pub fn includes(self, key: &KeyUse<'_>) -> bool {
        let (reads, writes) = crate::keys::access(key.reads, key.writes);
        match self {
            Self::Any => true,
            Self::Read => reads,
            Self::Write => writes,
        }
    }
}

/// What a request says about one key.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// Not known before the request comes: a partial evaluation leaves it open. Of an enumeration:
    /// the keys that it is going to show.
    Later,
    /// The request has no such key.
    Absent,
    /// One value.
    One(Value<'a>),
    /// Any number of values, none of which is the same as [`Found::Absent`].
    Texts(&'a [Vec<u8>]),
    /// Keys of a command, of which those with this access count.
    Keys {
        /// All keys of the command.
        keys: &'a [KeyUse<'a>],
        /// Which of them.
        access: KeyAccess,
    },
    /// Channels of a command, patterns among them.
    Channels(&'a [ChannelUse<'a>]),
    /// Every key: a command that touches all of them.
    Every,
}

/// A request, as conditions and variables see it.
pub trait Facts {
    /// What it says about a key.
    fn find(&self, key: &ConditionKey) -> Found<'_>;

    /// The call itself, where it is known: what ACL rules decide on.
    fn call(&self) -> Option<AclCall<'_>> {
        None
    }

    /// Whether it tells the names of keys: what is left open then is for these keys, one by one,
    /// to be allowed and denied.
    fn is_enumeration(&self) -> bool {
        false
    }
}

/// A call as ACL rules see it.
#[derive(Clone, Copy)]
pub struct AclCall<'a> {
    /// The command that the words name; they are as many as it takes.
    pub command: CommandId,
    /// The words, name first.
    pub words: &'a dyn Words,
    /// Another action that is asked for because of the call's arguments. The server knows nothing of
    /// it: what its rules say about the call is the answer.
    pub also: Option<ActionId>,
    /// Number of the connection's database.
    pub db_index: u32,
    /// How many databases the server has; `u32::MAX` if that is not known.
    pub databases: u32,
}

/// A request of which nothing is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFacts;

impl Facts for NoFacts {
    fn find(&self, _: &ConditionKey) -> Found<'_> {
        Found::Absent
    }
}

/// What `kvdb:Key`, `kvdb:ReadKey`, `kvdb:WriteKey` and `kvdb:Channel` are for what a command
/// touches; [`Found::Absent`] for any other fact.
#[inline]
pub fn touched<'a>(fact: &Fact, touch: &Touch<'a>) -> Found<'a> {
    let access = match fact {
        Fact::Key => KeyAccess::Any,
        Fact::ReadKey => KeyAccess::Read,
        Fact::WriteKey => KeyAccess::Write,
        Fact::Channel => {
            return match *touch {
                Touch::Named { channels, .. } if !channels.is_empty() => Found::Channels(channels),
                _ => Found::Absent,
            };
        }
        _ => return Found::Absent,
    };
    match *touch {
        Touch::None | Touch::Keyless => Found::Absent,
        // Asked again for each key, which is read.
        Touch::EveryKey {
            enumeration: true, ..
        } => match access {
            KeyAccess::Any | KeyAccess::Read => Found::Later,
            KeyAccess::Write => Found::Absent,
        },
        Touch::EveryKey { reads, writes, .. } => {
            let whole = KeyUse {
                key: b"",
                reads,
                writes,
            };
            match access.includes(&whole) {
                true => Found::Every,
                false => Found::Absent,
            }
        }
        Touch::Named {
            keys: [],
            channels: [],
        } => Found::Every,
        Touch::Named { keys, .. } => Found::Keys { keys, access },
    }
}

/// Facts given as a list of names and values: what a simulated request brings. It is complete: a
/// name that is not in it is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFacts {
    dialect: Dialect,
    facts: Vec<Listed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    key: ConditionKey,
    values: Vec<Vec<u8>>,
    /// Given as a list, however many values are in it.
    list: bool,
}

impl ListedFacts {
    /// `dialect` is the one whose names these are; they are compared as it compares them.
    pub fn new(dialect: Dialect, facts: impl IntoIterator<Item = (String, Vec<Vec<u8>>)>) -> Self {
        let one = |(name, values): (String, Vec<_>)| Listed {
            key: ConditionKey::new(dialect, &name),
            list: values.len() != 1,
            values,
        };
        Self {
            dialect,
            facts: facts.into_iter().map(one).collect(),
        }
    }

    /// Tells which names have a list of values even where it has one value only. AWS's plain
    /// operators do not match lists; of its keys that never have several values a list of one value
    /// is that value.
    #[must_use]
    pub fn with_lists(mut self, names: &[String]) -> Self {
        for name in names {
            let key = ConditionKey::new(self.dialect, name);
            let listed = self.facts.iter_mut().find(|known| known.key == key);
            if let Some(known) = listed {
                known.list |= !key.has_one_value();
            }
        }
        self
    }

    /// Two names that are one to the dialect.
    pub fn duplicate(&self) -> Option<(&str, &str)> {
        let mut seen: std::collections::HashMap<&str, &str> = std::collections::HashMap::new();
        self.facts.iter().find_map(|listed| {
            let name = listed.key.name();
            let earlier = seen.insert(listed.key.folded(), name)?;
            Some((earlier, name))
        })
    }

    /// The values of a key in the terms of any dialect.
    pub fn values(&self, key: &ConditionKey) -> Option<&[Vec<u8>]> {
        self.listed(key).map(|listed| &*listed.values)
    }

    fn listed(&self, key: &ConditionKey) -> Option<&Listed> {
        let same = |own: &ConditionKey| {
            if self.dialect == key.dialect() {
                own.folded() == key.folded()
            } else {
                own.fact() == key.fact() && *own.fact() != Fact::Other
            }
        };
        self.facts.iter().find(|listed| same(&listed.key))
    }
}

impl Facts for ListedFacts {
    fn find(&self, key: &ConditionKey) -> Found<'_> {
        let Some(listed) = self.listed(key) else {
            return Found::Absent;
        };
        match &*listed.values {
            [] => Found::Absent,
            [only] if !listed.list => Found::One(Value::Text(only)),
            values => Found::Texts(values),
        }
    }
}

impl Value<'_> {
    /// Calls `read` with the value as text: numbers in decimal, times as in
    /// `2026-01-02T03:04:05Z`, truth values as `true` and `false`.
    pub fn with_text<R>(self, read: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Self::Text(text) => read(text),
            Self::Number(number) => read(number.to_string().as_bytes()),
            Self::Time(time) => read(crate::time::format(time).as_bytes()),
            Self::Address(address) => read(address.to_string().as_bytes()),
            Self::Boolean(true) => read(b"true"),
            Self::Boolean(false) => read(b"false"),
        }
    }

    /// As a number; a time counts in seconds since 1970.
    pub fn number(self) -> Option<Number> {
        match self {
            Self::Text(text) => Number::parse(std::str::from_utf8(text).ok()?),
            Self::Number(number) => Some(number),
            Self::Time(time) => Some(Number::milli(time)),
            Self::Address(_) | Self::Boolean(_) => None,
        }
    }

    /// As milliseconds since 1970; a number counts in seconds.
    pub fn time(self) -> Option<i64> {
        match self {
            Self::Text(text) => crate::time::parse(std::str::from_utf8(text).ok()?),
            Self::Number(number) => number.to_milli(),
            Self::Time(time) => Some(time),
            Self::Address(_) | Self::Boolean(_) => None,
        }
    }

    /// As an address.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Text(text) => {
                let address: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
                Some(address.to_canonical())
            }
            Self::Address(address) => Some(address.to_canonical()),
            _ => None,
        }
    }

    /// As a truth value; letter case does not count.
    pub fn boolean(self) -> Option<bool> {
        match self {
            Self::Boolean(truth) => Some(truth),
            Self::Text(text) if text.eq_ignore_ascii_case(b"true") => Some(true),
            Self::Text(text) if text.eq_ignore_ascii_case(b"false") => Some(false),
            _ => None,
        }
    }
}
