//! What one call touches: its keys with what happens to them, its channels, and what it reaches
//! beyond what it names.

use crate::Words;
use crate::catalogue::CommandId;
use crate::command::{ChannelRule, Command, CommandClass, CommandScope, Flags, KeyRule};
use crate::keys;
use crate::keyspec::{BeginSearch, FindKeys, KeyFlags, KeySpec};

/// What one call touches. Reused between calls: no allocation when warm.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// The keys, in the order of their words; a key named twice is there twice.
    pub keys: Vec<Key>,
    /// The channels, in the order of their words. Leaving a channel does not touch it.
    pub channels: Vec<Channel>,
    /// What else the call reaches.
    pub scope: Scope,
    /// Whether the call reaches keys and commands that cannot be seen from its words: scripts,
    /// functions, and `SORT` with a `BY` or `GET` pattern that names other keys.
    pub whole_database: bool,
    /// Whether the call concerns every channel (`PUBSUB CHANNELS` without a pattern). The scope is
    /// [`Scope::EveryKey`] then, so that who does not look here refuses too much, not too little.
    pub every_channel: bool,
}

/// A key of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key {
    /// The word that is the key.
    pub word: u32,
    /// What happens to it.
    pub flags: KeyFlags,
}

/// A channel of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Channel {
    /// The word that is the channel.
    pub word: u32,
    /// Whether it is a pattern; of `CLIENT TRACKING` a prefix.
    pub pattern: bool,
}

/// What a call reaches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Exactly the listed keys and channels.
    Named,
    /// No key and no channel.
    Keyless,
    /// Every key, besides those listed.
    EveryKey {
        /// Reads data, or tells something about it.
        reads: bool,
        /// Changes data.
        writes: bool,
        /// Tells the names of keys, and nothing else about them.
        enumeration: bool,
    },
}

impl Default for Scope {
    /// What must be assumed of a call that nobody has looked at.
    fn default() -> Self {
        Self::EveryKey {
            reads: true,
            writes: true,
            enumeration: false,
        }
    }
}

/// Why it cannot be told what a call touches. The call must not run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TouchError {
    /// The command takes another number of words.
    #[error("wrong number of arguments for '{command}' command")]
    Arity {
        /// The catalogue's name.
        command: &'static str,
    },
    /// Where the keys should be, there is something else.
    #[error("invalid arguments for '{command}' command: {reason}")]
    Malformed {
        /// The catalogue's name.
        command: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Why the specifications of a command do not fit a call.
pub(crate) type Malformed = &'static str;

/// Tells what a call touches. Clears `out` first.
///
/// A key is reported with the flags that `COMMAND GETKEYSANDFLAGS` gives for these words; where
/// servers are known to look at another word than the one they use, both are reported.
///
/// # Errors
///
/// If the command does not take that many words, or its keys cannot be found. `out` then says that
/// the call touches every key.
pub fn touched<W: Words + ?Sized>(
    id: CommandId,
    words: &W,
    out: &mut Touched,
) -> Result<(), TouchError> {
    let command = id.command();
    out.keys.clear();
    out.channels.clear();
    out.scope = Scope::default();
    out.whole_database = matches!(command.class, CommandClass::WholeDatabase);
    out.every_channel = false;
    if !command.arity_fits(words.len()) {
        return Err(TouchError::Arity {
            command: command.name,
        });
    }
    let malformed = |reason| TouchError::Malformed {
        command: command.name,
        reason,
    };
    if u32::try_from(words.len()).is_err() {
        return Err(malformed("too many words"));
    }
    let all_found = match find_keys(command, words, out) {
        Ok(all_found) => all_found,
        Err(reason) => {
            out.keys.clear();
            return Err(malformed(reason));
        }
    };
    let all_found = find_channels(command, words, out) && all_found;
    out.scope = match command.scope {
        CommandScope::Keyed if all_found && !out.keys.is_empty() => Scope::Named,
        CommandScope::Keyless if all_found && out.channels.is_empty() => Scope::Keyless,
        CommandScope::Keyless if all_found => Scope::Named,
        CommandScope::WholeKeyspace if !out.channels.is_empty() => Scope::Named,
        CommandScope::Enumeration => Scope::EveryKey {
            reads: true,
            writes: false,
            enumeration: true,
        },
        _ => every_key(command),
    };
    Ok(())
}

/// Every key, with the access that the command's flags tell; both, if they tell none.
fn every_key(command: &Command) -> Scope {
    let reads = command.flags.contains(Flags::READONLY);
    let writes = command.flags.contains(Flags::WRITE);
    Scope::EveryKey {
        reads: reads || !writes,
        writes: writes || !reads,
        enumeration: false,
    }
}

/// Lists the keys. Tells whether these are all that the call can name.
fn find_keys<W: Words + ?Sized>(
    command: &Command,
    words: &W,
    out: &mut Touched,
) -> Result<bool, Malformed> {
    match command.keys {
        KeyRule::One(at) => {
            if usize::from(at) >= words.len() {
                return Err("no key is named");
            }
            out.keys.push(Key {
                word: u32::from(at),
                flags: command.key_specs[0].flags,
            });
            Ok(true)
        }
        KeyRule::BySpecs => {
            if command.key_specs.is_empty() {
                return Ok(true);
            }
            let all_found = by_specs(command, words, &mut out.keys)?;
            let optional = !matches!(command.scope, CommandScope::Keyed)
                || command.flags.contains(Flags::NO_MANDATORY_KEYS);
            if out.keys.is_empty() && !optional {
                return Err("no key is named");
            }
            Ok(all_found)
        }
        KeyRule::Set => {
            keys::set(words, &mut out.keys);
            Ok(true)
        }
        KeyRule::Bitfield => {
            keys::bitfield(words, &mut out.keys);
            Ok(true)
        }
        KeyRule::Sort => {
            out.whole_database = keys::sort(words, true, &mut out.keys);
            Ok(true)
        }
        KeyRule::SortReadOnly => {
            out.whole_database = keys::sort(words, false, &mut out.keys);
            Ok(true)
        }
        KeyRule::GeoRadius { options } => {
            keys::georadius(command, words, usize::from(options), &mut out.keys)?;
            Ok(true)
        }
        KeyRule::Streams => {
            keys::streams(command, words, &mut out.keys)?;
            Ok(true)
        }
        KeyRule::Migrate => {
            keys::migrate(words, &mut out.keys)?;
            Ok(true)
        }
        KeyRule::Script => {
            match by_specs(command, words, &mut out.keys) {
                Ok(all_found) => Ok(all_found),
                // The server refuses it; whatever it would do, it needs every key.
                Err(_) => {
                    out.keys.clear();
                    Ok(false)
                }
            }
        }
    }
}

/// Lists the keys that the specifications find. Tells whether none of them is incomplete or unknown.
pub(crate) fn by_specs<W: Words + ?Sized>(
    command: &Command,
    words: &W,
    keys: &mut Vec<Key>,
) -> Result<bool, Malformed> {
    let mut all_found = true;
    for spec in command.key_specs {
        if !spec.flags.contains(KeyFlags::NOT_KEY) {
            all_found &= by_spec(spec, words, keys)?;
        }
    }
    Ok(all_found)
}

#[inline]
fn by_spec<W: Words + ?Sized>(
    spec: &KeySpec,
    words: &W,
    keys: &mut Vec<Key>,
) -> Result<bool, Malformed> {
    let count = words.len();
    let begin = match spec.begin {
        BeginSearch::Index(at) => usize::from(at),
        BeginSearch::Keyword { word, start } => match find_keyword(words, word, start) {
            Some(at) => at + 1,
            None => return Ok(true),
        },
        BeginSearch::Unknown => return Ok(false),
    };
    if begin >= count {
        return Ok(true); // these keys were left out
    }
    // One past the last word that can be a key.
    let (first, end, step) = match spec.find {
        FindKeys::Range { last, step, limit } => {
            let end = match usize::try_from(last) {
                Ok(last) => begin + last + 1,
                Err(_) => {
                    let before = usize::from(last.unsigned_abs()) - 1;
                    let rest = (count - begin) / usize::from(limit).max(1);
                    (begin + rest).saturating_sub(before)
                }
            };
            (begin, end, usize::from(step))
        }
        FindKeys::KeyNum {
            count: at,
            first,
            step,
        } => {
            let at = begin + usize::from(at);
            let first = begin + usize::from(first);
            let step = usize::from(step);
            let number = if at < count {
                number(words.word(at))
            } else {
                None
            };
            let number = number.ok_or("the number of keys is not a number of at least 0")?;
            if number == 0 {
                return Err("no key is named");
            }
            // The value of the last key (MSETEX) may be missing: then the server refuses the call.
            let too_few = "fewer keys than their number says";
            let span = (number - 1).checked_mul(step).ok_or(too_few)?;
            let end = first.checked_add(span).ok_or(too_few)?.checked_add(1);
            let end = end.filter(|end| *end <= count).ok_or(too_few)?;
            (first, end, step)
        }
        FindKeys::Unknown => return Ok(false),
    };
    if end > count {
        return Err("a key is missing");
    }
    let mut at = first;
    while at < end {
        keys.push(Key {
            word: at as u32,
            flags: spec.flags,
        });
        at += step;
    }
    Ok(!spec.flags.contains(KeyFlags::INCOMPLETE))
}

/// The word that is a keyword in any letter case, searched from `start`; negative: counted from the
/// end, and searched backwards.
pub(crate) fn find_keyword<W: Words + ?Sized>(
    words: &W,
    keyword: &str,
    start: i16,
) -> Option<usize> {
    let is = |at: &usize| words.word(*at).eq_ignore_ascii_case(keyword.as_bytes());
    let distance = usize::from(start.unsigned_abs());
    if start >= 0 {
        (distance..words.len()).find(is)
    } else {
        let from = words.len().checked_sub(distance)?;
        (1..=from).rev().find(is)
    }
}

/// A number of keys, of at least 0. Servers that look for keys read it as C's `atoi` does: as much as is
/// a number after blanks (` 1`, `01`, `+1`, `1.5`), cut to 32 bits. The call is refused when it runs,
/// unless the whole word is a number that fits.
fn number(word: &[u8]) -> Option<usize> {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let word = &word[word.iter().position(|byte| !blank(byte)).unwrap_or(0)..];
    let (negative, digits) = match word {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, word),
    };
    let end = digits.iter().position(|byte| !byte.is_ascii_digit());
    let digits = &digits[..end.unwrap_or(digits.len())];
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().fold(0_i64, |number, digit| {
        let digit = i64::from(digit - b'0');
        let digit = if negative { -digit } else { digit };
        number.saturating_mul(10).saturating_add(digit)
    });
    usize::try_from(number as i32).ok()
}

/// Lists the channels. Tells whether the call stays within them.
fn find_channels<W: Words + ?Sized>(command: &Command, words: &W, out: &mut Touched) -> bool {
    let channels = &mut out.channels;
    match command.channels {
        ChannelRule::None => true,
        ChannelRule::One(at) => {
            channels.push(Channel {
                word: u32::from(at),
                pattern: false,
            });
            true
        }
        ChannelRule::From { first, pattern } => {
            let words = u32::from(first)..words.len() as u32;
            channels.extend(words.map(|word| Channel { word, pattern }));
            true
        }
        ChannelRule::Listing => {
            if words.len() > 2 {
                channels.push(Channel {
                    word: 2,
                    pattern: true,
                });
            } else {
                out.every_channel = true;
            }
            !out.every_channel
        }
        ChannelRule::Tracking => tracking(words, channels),
    }
}

/// `CLIENT TRACKING ON|OFF [REDIRECT id] [PREFIX p]… [BCAST] …`. In broadcast mode it tells the names
/// of keys that others change, so it touches every key.
fn tracking<W: Words + ?Sized>(words: &W, channels: &mut Vec<Channel>) -> bool {
    let mut broadcast = false;
    let mut at = 3;
    while at < words.len() {
        let word = words.word(at);
        if word.eq_ignore_ascii_case(b"redirect") {
            at += 1;
        } else if word.eq_ignore_ascii_case(b"prefix") && at + 1 < words.len() {
            at += 1;
            channels.push(Channel {
                word: at as u32,
                pattern: true,
            });
        } else if word.eq_ignore_ascii_case(b"bcast") {
            broadcast = true;
        }
        at += 1;
    }
    !broadcast
}
