//! One selector: commands, keys, channels and databases that go together.

use keyward_commands::{ActionBits, CommandId};

use super::commands::{self, Databases};
use crate::Glob;

/// What one pair of parentheses allows, or what stands outside of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    /// The commands that it allows with any first argument.
    pub(super) commands: ActionBits,
    /// `+@all` came last: commands that nobody knows yet are allowed, but for those taken out.
    pub(super) future: bool,
    /// `+command|argument`: further commands with one of these as the first argument, in the order
    /// of commands.
    pub(super) first_arguments: Box<[FirstArguments]>,
    /// Patterns of keys; `None`: all keys.
    pub(super) keys: Option<Box<[KeyPattern]>>,
    /// Patterns of channels; `None`: all channels.
    pub(super) channels: Option<Box<[Glob]>>,
    /// Numbers of databases, sorted; `None`: all databases.
    pub(super) databases: Option<Box<[u32]>>,
}

/// First arguments with which a command is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FirstArguments {
    pub(super) command: CommandId,
    pub(super) words: Box<[Box<str>]>,
}

/// A pattern of keys, with what may be done to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyPattern {
    pub(super) glob: Glob,
    pub(super) reads: bool,
    pub(super) writes: bool,
}

impl KeyPattern {
    /// Whether it covers this use of this key.
    pub(super) fn covers(&self, key: &[u8], reads: bool, writes: bool) -> bool {
        (self.reads || !reads) && (self.writes || !writes) && matches(&self.glob, key)
    }
}

/// The server's glob where it has no shortcut for the lone `*`: that does not match the empty key.
pub(super) fn matches(glob: &Glob, text: &[u8]) -> bool {
    glob.matches(text) && !(text.is_empty() && glob.is_everything())
}

impl Selector {
    /// What a new user has: nothing, in all databases.
    pub(super) fn nothing() -> Self {
        Self {
            commands: ActionBits::EMPTY,
            future: false,
            first_arguments: Box::default(),
            keys: Some(Box::default()),
            channels: Some(Box::default()),
            databases: None,
        }
    }

    /// The first arguments with which it allows a command.
    pub(super) fn first_arguments(&self, command: CommandId) -> &[Box<str>] {
        match self
            .first_arguments
            .binary_search_by_key(&command, |known| known.command)
        {
            Ok(at) => &self.first_arguments[at].words,
            Err(_) => &[],
        }
    }

    /// Whether it may allow the command for some arguments; wrong only towards `true`.
    pub(super) fn may_allow(&self, command: CommandId) -> bool {
        commands::is_always_allowed(command.command())
            || self.commands.contains(command.action())
            || !self.first_arguments(command).is_empty()
    }

    /// Whether it allows the command whatever the arguments and the database; wrong only towards
    /// `false`.
    pub(super) fn always_allows(&self, command: CommandId) -> bool {
        let row = command.command();
        (commands::is_always_allowed(row) || self.commands.contains(command.action()))
            && (self.keys.is_none() || !commands::has_keys(row))
            && (self.channels.is_none() || commands::channels(row).is_none())
            && (self.databases.is_none() || commands::databases(command) == Databases::None)
    }

    /// Bytes on the heap, about.
    pub(super) fn heap_bytes(&self) -> usize {
        let arguments = self.first_arguments.iter().map(|known| {
            size_of_val(&*known.words) + known.words.iter().map(|word| word.len()).sum::<usize>()
        });
        let keys = self.keys.iter().flatten();
        let channels = self.channels.iter().flatten();
        size_of_val(&*self.first_arguments)
            + arguments.sum::<usize>()
            + keys
                .map(|key| size_of_val(key) + key.glob.heap_bytes())
                .sum::<usize>()
            + channels
                .map(|glob| size_of_val(glob) + glob.heap_bytes())
                .sum::<usize>()
            + self.databases.as_ref().map_or(0, |ids| size_of_val(&**ids))
    }
}
