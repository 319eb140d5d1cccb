//! Redis and Valkey ACL rules: one user as the server understands it.
//!
//! [`AclUser::parse`] reads the rules of one user, [`AclUser::parse_file`] a `users.acl` file or
//! what `ACL LIST` prints; both refuse what the server refuses. [`AclUser::allows`] answers as
//! `ACL DRYRUN` of Valkey 9 does, and nothing else: no rule of the native dialect applies.
//! Passwords are read over and never kept.
//!
//! Source: measured on Valkey 9.1 and Redis 7.0, and held against them by `tests/acl_of_servers`.

mod check;
mod commands;
mod from_policies;
mod keys;
mod policy;
mod print;
mod quotes;
mod rules;
mod selector;
mod selector_rules;
mod to_native;

use keyward_commands::{ActionBits, CommandId, Words};

pub use check::AclDenial;
pub use from_policies::{AclExport, AclGrant, AclLimit};
pub(crate) use policy::read;
use selector::Selector;

use crate::Touch;
pub use to_native::Translation;

/// How many databases a server has that nobody configured otherwise.
///
/// Source: the default of `databases` in Valkey and Redis.
pub const DEFAULT_DATABASES: u32 = 16;

/// Most selectors of one user, the unnamed one left out.
pub const MAX_SELECTORS: usize = 10_000;

/// One user of an ACL: what it may do after `reset` and its rules, in their order.
///
/// Of passwords it only knows how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclUser {
    /// The rules outside parentheses, then one for each pair of them. Never empty.
    selectors: Box<[Selector]>,
    login: AclLogin,
    possible: ActionBits,
    sure: ActionBits,
}

/// How a server would let a user in. Decisions do not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AclLogin {
    /// `on`: the user can log in.
    pub enabled: bool,
    /// `nopass`: any password is right.
    pub any_password: bool,
    /// How many passwords and hashes there are.
    pub passwords: usize,
}

/// How far one selector reaches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AclReach<'a> {
    /// The commands that it allows with any first argument.
    pub(crate) commands: &'a ActionBits,
    /// How many patterns of keys there are; `None`: all keys.
    pub(crate) key_patterns: Option<usize>,
    /// It allows every channel.
    pub(crate) every_channel: bool,
}

impl AclUser {
    fn new(selectors: Vec<Selector>, login: AclLogin) -> Self {
        let of = |test: &dyn Fn(&Selector, CommandId) -> bool| -> ActionBits {
            CommandId::all()
                .filter(|id| selectors.iter().any(|selector| test(selector, *id)))
                .map(CommandId::action)
                .collect()
        };
        Self {
            possible: of(&Selector::may_allow),
            sure: of(&Selector::always_allows),
            selectors: selectors.into(),
            login,
        }
    }

    /// How the server would let the user in.
    pub fn login(&self) -> AclLogin {
        self.login
    }

    /// Commands that some selector allows for some arguments: no other is ever allowed.
    pub fn possible(&self) -> ActionBits {
        self.possible.clone()
    }

    /// Commands that one selector allows whatever the arguments and the database.
    pub fn sure(&self) -> ActionBits {
        self.sure.clone()
    }

    /// Whether the number of the connection's database matters.
    pub fn reads_database_index(&self) -> bool {
        self.selectors
            .iter()
            .any(|selector| selector.databases.is_some())
    }

    /// How many patterns and lists a decision may have to compare with, at least one.
    pub fn weight(&self) -> usize {
        let patterns = |selector: &Selector| {
            selector.keys.as_ref().map_or(0, |keys| keys.len())
                + selector.channels.as_ref().map_or(0, |globs| globs.len())
        };
        self.selectors
            .iter()
            .map(|selector| 1 + patterns(selector))
            .sum()
    }

    /// What `ACL DRYRUN` of Valkey 9 answers on a connection to the database `db_index` of a
    /// server with [`DEFAULT_DATABASES`], for words that [`keyward_commands::resolve`] says are
    /// `command` and that are as many as it takes.
    ///
    /// # Errors
    ///
    /// Why not: the reason that went furthest.
    pub fn allows<W: Words + ?Sized>(
        &self,
        command: CommandId,
        words: &W,
        db_index: u32,
    ) -> Result<(), AclDenial> {
        self.allows_among(command, words, db_index, DEFAULT_DATABASES)
    }

    /// Whether calls of a command that use these keys and channels so are allowed; `None` if that
    /// depends on more: on the other arguments, on the database, on keys that are not told.
    pub fn allows_names(&self, command: CommandId, touch: &Touch<'_>) -> Option<bool> {
        check::check_names(&self.selectors, command, touch)
    }

    /// As [`Self::allows`], on a server with that many databases. A number in a command that is no
    /// database of the server is not looked at, since the command fails; with `u32::MAX` every
    /// number is.
    ///
    /// # Errors
    ///
    /// As [`Self::allows`].
    pub fn allows_among<W: Words + ?Sized>(
        &self,
        command: CommandId,
        words: &W,
        db_index: u32,
        databases: u32,
    ) -> Result<(), AclDenial> {
        check::check(&self.selectors, command, words, db_index, databases)
    }

    /// What each selector gives, without its patterns.
    pub(crate) fn reaches(&self) -> impl Iterator<Item = AclReach<'_>> {
        self.selectors.iter().map(|selector| AclReach {
            commands: &selector.commands,
            key_patterns: selector.keys.as_ref().map(|patterns| patterns.len()),
            every_channel: selector.channels.is_none(),
        })
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.selectors)
            + self
                .selectors
                .iter()
                .map(Selector::heap_bytes)
                .sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
