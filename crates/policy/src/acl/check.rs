//! The decision on one call.

use keyward_commands::{CommandId, Words};

use super::commands::{self, Databases};
use super::keys::{self, Checked};
use super::selector::{Selector, matches};
use crate::{ChannelUse, KeyUse, Touch};

/// Why a call is refused. Of several selectors, the one whose check went furthest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum AclDenial {
    /// The database is not allowed.
    #[error("no permissions to access the database")]
    Database {
        /// The word that names it, 0 for the database of the connection.
        word: u32,
    },
    /// The command is not allowed.
    #[error("no permissions to run the command")]
    Command,
    /// A key is not allowed.
    #[error("no permissions to access a key")]
    Key {
        /// The word that is the key.
        word: u32,
    },
    /// A channel is not allowed.
    #[error("no permissions to access a channel")]
    Channel {
        /// The word that is the channel.
        word: u32,
    },
}

/// A call, with what is found in it once for all selectors.
struct Call<'a, W: ?Sized> {
    command: CommandId,
    words: &'a W,
    db_index: u32,
    databases: u32,
    keys: Option<Vec<Checked>>,
}

pub(super) fn check<W: Words + ?Sized>(
    selectors: &[Selector],
    command: CommandId,
    words: &W,
    db_index: u32,
    databases: u32,
) -> Result<(), AclDenial> {
    let mut call = Call {
        command,
        words,
        db_index,
        databases,
        keys: None,
    };
    let mut furthest = AclDenial::Database { word: 0 };
    for selector in selectors {
        match call.check(selector) {
            Ok(()) => return Ok(()),
            Err(denial) => furthest = furthest.max(denial),
        }
    }
    Err(furthest)
}

/// Whether some selector allows calls of a command with these keys and channels; `None` if that
/// depends on more.
pub(super) fn check_names(
    selectors: &[Selector],
    command: CommandId,
    touch: &Touch<'_>,
) -> Option<bool> {
    let mut answer = Some(false);
    for selector in selectors {
        match allows_names(selector, command, touch) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => answer = None,
        }
    }
    answer
}

fn allows_names(selector: &Selector, command: CommandId, touch: &Touch<'_>) -> Option<bool> {
    let row = command.command();
    // The number of the database is not known.
    let mut open = selector.databases.is_some();
    if !commands::is_always_allowed(row) && !selector.commands.contains(command.action()) {
        if selector.first_arguments(command).is_empty() {
            return Some(false);
        }
        open = true;
    }
    let (keys, channels) = match *touch {
        Touch::Named { keys, channels } => (keys, channels),
        _ => Default::default(),
    };
    if let Some(patterns) = selector.keys.as_deref().filter(|_| commands::has_keys(row)) {
        let any = commands::needs_any_pattern(row);
        let covered = |key: &KeyUse<'_>| {
            let mut patterns = patterns.iter();
            patterns.any(|pattern| pattern.covers(key.key, key.reads && !any, key.writes && !any))
        };
        if !keys.iter().all(covered) {
            return Some(false);
        }
        open |= keys.is_empty();
    }
    if let (Some(patterns), Some((_, literal, _))) = (&selector.channels, commands::channels(row)) {
        let covered = |channel: &ChannelUse<'_>| {
            let mut patterns = patterns.iter();
            patterns.any(|glob| match literal {
                true => glob.text() == channel.channel,
                false => matches(glob, channel.channel),
            })
        };
        if !channels.iter().all(covered) {
            return Some(false);
        }
        open |= channels.is_empty();
    }
    (!open).then_some(true)
}

impl<W: Words + ?Sized> Call<'_, W> {
    fn check(&mut self, selector: &Selector) -> Result<(), AclDenial> {
        if let Some(allowed) = &selector.databases {
            self.check_databases(allowed)?;
        }
        self.check_command(selector)?;
        let row = self.command.command();
        if let Some(patterns) = &selector.keys {
            let (command, words) = (row, self.words);
            let keys = self
                .keys
                .get_or_insert_with(|| keys::checked(command, words));
            for key in keys {
                let text = words.word(key.word);
                let covered = |pattern: &super::selector::KeyPattern| {
                    pattern.covers(text, key.reads, key.writes)
                };
                if !patterns.iter().any(covered) {
                    return Err(AclDenial::Key {
                        word: key.word as u32,
                    });
                }
            }
        }
        if let Some(patterns) = &selector.channels
            && let Some((first, literal, single)) = commands::channels(row)
        {
            let first = usize::from(first);
            let end = if single { first + 1 } else { self.words.len() };
            for word in first..end.min(self.words.len()) {
                let channel = self.words.word(word);
                let allowed = patterns.iter().any(|glob| {
                    if literal {
                        glob.text() == keys::until_nul(channel)
                    } else {
                        matches(glob, channel)
                    }
                });
                if !allowed {
                    return Err(AclDenial::Channel { word: word as u32 });
                }
            }
        }
        Ok(())
    }

    fn check_command(&self, selector: &Selector) -> Result<(), AclDenial> {
        let row = self.command.command();
        if commands::is_always_allowed(row) || selector.commands.contains(self.command.action()) {
            return Ok(());
        }
        let arguments = selector.first_arguments(self.command);
        let at = row.name_words();
        let allowed = self.words.len() > at
            && arguments
                .iter()
                .any(|argument| keys::equals(self.words.word(at), argument));
        if allowed {
            Ok(())
        } else {
            Err(AclDenial::Command)
        }
    }

    fn check_databases(&self, allowed: &[u32]) -> Result<(), AclDenial> {
        let current = || {
            if allowed.binary_search(&self.db_index).is_ok() {
                Ok(())
            } else {
                Err(AclDenial::Database { word: 0 })
            }
        };
        match commands::databases(self.command) {
            Databases::None => Ok(()),
            Databases::All => Err(AclDenial::Database { word: 0 }),
            Databases::Current => current(),
            Databases::Select => self.check_named(allowed, &[1]),
            Databases::Swap => self.check_named(allowed, &[1, 2]),
            Databases::Move => {
                self.check_named(allowed, &[2])?;
                current()
            }
            Databases::Copy => {
                self.check_named(allowed, &self.copied_to())?;
                current()
            }
        }
    }

    /// The words of `COPY source destination [DB number] [REPLACE]` that name databases; none if
    /// the server does not understand the call.
    fn copied_to(&self) -> Vec<usize> {
        let mut found = Vec::new();
        let mut at = 3;
        while at < self.words.len() {
            let word = self.words.word(at);
            if keys::equals(word, "replace") {
                at += 1;
            } else if keys::equals(word, "db") && at + 1 < self.words.len() {
                found.push(at + 1);
                at += 2;
            } else {
                return Vec::new();
            }
        }
        found
    }

    /// Words that name databases. If one of them is no number of a database, the server does not
    /// look at any: the command fails.
    fn check_named(&self, allowed: &[u32], words: &[usize]) -> Result<(), AclDenial> {
        let number = |word: &usize| {
            let text = (*word < self.words.len()).then(|| self.words.word(*word))?;
            let number = u32::try_from(keys::strict_number(text)?).ok()?;
            (number < self.databases).then_some(number)
        };
        let Some(numbers) = words.iter().map(number).collect::<Option<Vec<u32>>>() else {
            return Ok(());
        };
        let denied = words
            .iter()
            .zip(numbers)
            .find(|(_, number)| allowed.binary_search(number).is_err());
        match denied {
            Some((word, _)) => Err(AclDenial::Database { word: *word as u32 }),
            None => Ok(()),
        }
    }
}
