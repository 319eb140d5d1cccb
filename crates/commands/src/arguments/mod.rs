//! What a call says beside its keys: how long what it writes may live, how much it writes, how many
//! elements and keys it asks for, how long it may wait, which script it runs.
//!
//! Conditions of a policy ask for one of these facts at a time; none of them allocates. They follow
//! one rule: a limit that a command leaves open is [`Limit::Infinite`] (no expiry on a command that
//! could set one, a time out of 0, a range to the end), and so is one that cannot be read, since the
//! server refuses the call then; [`Limit::Absent`] means that the command has no such argument.

mod count;
pub(crate) mod rules;
mod ttl;
mod value;

use crate::touched::{Scope, Touched};
use crate::{CommandId, Words};
use rules::{BlockingRule, CountRule, TtlRule, ValueRule};

/// A fact about the arguments of a call that a condition may ask for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Argument {
    /// `kvdb:TtlSeconds`: [`ttl`].
    Ttl,
    /// `kvdb:ValueBytes`: [`value_bytes`].
    ValueBytes,
    /// `kvdb:KeyCount`: [`key_count`].
    KeyCount,
    /// `kvdb:Count`: [`count`].
    Count,
    /// `kvdb:BlockingSeconds`: [`blocking`].
    Blocking,
    /// `kvdb:ScriptSha256`: [`script`].
    Script,
}

impl Argument {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Ttl,
        Self::ValueBytes,
        Self::KeyCount,
        Self::Count,
        Self::Blocking,
        Self::Script,
    ];
}

/// What a call says about something that can be limited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// The command has no such argument.
    Absent,
    /// The call sets no limit, or one that cannot be read.
    Infinite,
    /// That much, in the unit of the fact.
    At(i64),
}

impl Limit {
    /// A number that was read, or no limit.
    fn of(number: Option<i64>) -> Self {
        number.map_or(Self::Infinite, Self::At)
    }
}

/// What a command's words mean, beside keys and channels. Part of [`crate::Command`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ArgumentRules {
    pub(crate) ttl: Option<TtlRule>,
    pub(crate) value: Option<ValueRule>,
    pub(crate) count: Option<CountRule>,
    pub(crate) blocking: Option<BlockingRule>,
    /// The word that is a script's text.
    pub(crate) script: Option<u16>,
    /// Whether its calls name keys, or touch all of them.
    pub(crate) keys: bool,
}

impl ArgumentRules {
    /// No such arguments.
    pub(crate) const NONE: Self = Self {
        ttl: None,
        value: None,
        count: None,
        blocking: None,
        script: None,
        keys: false,
    };
}

impl CommandId {
    /// Whether some call of the command can have a fact. Of every other command it is always
    /// [`Limit::Absent`] or `None`, so that a condition on it is decided without the call.
    #[must_use]
    pub fn can_have(self, argument: Argument) -> bool {
        let rules = &self.command().arguments;
        match argument {
            Argument::Ttl => rules.ttl.is_some(),
            Argument::ValueBytes => rules.value.is_some(),
            Argument::KeyCount => rules.keys,
            Argument::Count => rules.count.is_some(),
            Argument::Blocking => rules.blocking.is_some(),
            Argument::Script => rules.script.is_some(),
        }
    }

    /// What some calls of the command also are: see [`expires_now`].
    #[must_use]
    pub fn expiring_deletes_as(self) -> Option<Self> {
        self.command().arguments.ttl?;
        let name = self.command().name;
        // Asked of every call that is decided: most of them (`SET`, `SETEX`, …) are none of these.
        if !matches!(name.as_bytes(), [b'e' | b'p' | b'g' | b'h', ..]) {
            return None;
        }
        let deletes = match name {
            "expire" | "expireat" | "pexpire" | "pexpireat" | "getex" => "del",
            "hexpire" | "hexpireat" | "hpexpire" | "hpexpireat" | "hgetex" => "hdel",
            _ => return None,
        };
        crate::by_name(deletes)
    }
}

/// `kvdb:TtlSeconds`, in milliseconds: for how long what the call writes is to live, or the key that
/// it is about. Zero or less deletes it at once.
///
/// Infinite without an expiry on a command that could set one, `KEEPTTL` and `PERSIST` among its
/// options included, since what is there may have none. Absent for commands that have no such
/// argument, also where they take an expiry away (`PERSIST`, `GETSET`, `MSET`). `now`, in
/// milliseconds since 1970, is for times that are given as a date.
#[must_use]
pub fn ttl<W: Words + ?Sized>(id: CommandId, words: &W, now: i64) -> Limit {
    limit(id, words, id.command().arguments.ttl, |rule| {
        Limit::of(ttl::find(rule, words, now))
    })
}

/// What a call that only sets an expiry also is, if that is now or in the past: `DEL` of the key, or
/// `HDEL` of its fields. `None` for every other call; what writes a value in the same breath (`SET`,
/// `RESTORE`) replaces what was there in any case, and the server refuses such a time in most of them.
#[must_use]
pub fn expires_now<W: Words + ?Sized>(id: CommandId, words: &W, now: i64) -> Option<CommandId> {
    let deletes = id.expiring_deletes_as()?;
    matches!(ttl(id, words, now), Limit::At(time) if time <= 0).then_some(deletes)
}

/// `kvdb:ValueBytes`: the longest piece of data that the call stores, in bytes: a value, an element, a
/// member, a field. Where it is stored at an offset (`SETRANGE`, `SETBIT`, `BITFIELD`), up to its
/// end.
///
/// Absent also for messages and for the arguments of scripts, which are no values.
#[must_use]
pub fn value_bytes<W: Words + ?Sized>(id: CommandId, words: &W) -> Limit {
    limit(id, words, id.command().arguments.value, |rule| {
        value::find(rule, words)
    })
}

/// `kvdb:KeyCount`: how many keys the call names, one named twice counted twice. Infinite if it
/// touches every key; absent for keyless commands and for enumerations, which name none.
#[must_use]
pub fn key_count(touched: &Touched) -> Limit {
    match touched.scope {
        Scope::Named if touched.keys.is_empty() => Limit::Absent,
        Scope::Named => Limit::of(i64::try_from(touched.keys.len()).ok()),
        Scope::Keyless
        | Scope::EveryKey {
            enumeration: true, ..
        } => Limit::Absent,
        Scope::EveryKey { .. } => Limit::Infinite,
    }
}

/// `kvdb:Count`: how many elements the call asks for. Where the server has a number of its own for
/// calls that say none (`SCAN` 10, `LPOP` 1), that one; infinite where it then takes all (`XRANGE`), or
/// the end of a range depends on how much there is (`LRANGE 0 -1`).
///
/// Absent for commands that always take the whole (`HGETALL`, `SMEMBERS`); `KEYS` is infinite.
#[must_use]
pub fn count<W: Words + ?Sized>(id: CommandId, words: &W) -> Limit {
    limit(id, words, id.command().arguments.count, |rule| {
        count::find(rule, words)
    })
}

/// `kvdb:BlockingSeconds`, in milliseconds: how long the call may wait. A time out of 0 is infinite;
/// `XREAD` without `BLOCK` does not wait, so it is absent there.
#[must_use]
pub fn blocking<W: Words + ?Sized>(id: CommandId, words: &W) -> Limit {
    limit(id, words, id.command().arguments.blocking, |rule| {
        count::blocking(rule, words)
    })
}

/// `kvdb:ScriptSha256`: the word whose SHA-256 it is: the text of a script (`EVAL`, `SCRIPT LOAD`) or of a
/// library (`FUNCTION LOAD`). `None` for calls that name a script whose text they do not have
/// (`EVALSHA`, `FCALL`).
#[must_use]
pub fn script<W: Words + ?Sized>(id: CommandId, words: &W) -> Option<usize> {
    let at = usize::from(id.command().arguments.script?);
    let at = match id.command().name {
        // FUNCTION LOAD [REPLACE] code
        "function|load" => words.len().checked_sub(1)?,
        _ => at,
    };
    (at < words.len()).then_some(at)
}

/// What a rule finds. A call of a wrong length is one that cannot be read.
#[inline]
fn limit<R: Copy, W: Words + ?Sized>(
    id: CommandId,
    words: &W,
    rule: Option<R>,
    find: impl FnOnce(R) -> Limit,
) -> Limit {
    match rule {
        None => Limit::Absent,
        Some(_) if !id.command().arity_fits(words.len()) => Limit::Infinite,
        Some(rule) => find(rule),
    }
}

/// A whole number as the server reads it: no sign but `-`, no blanks, no leading zero.
fn integer(word: &[u8]) -> Option<i64> {
    let (negative, digits) = match word {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {
            let mut number: i64 = 0;
            for digit in digits {
                let digit = i64::from(digit.wrapping_sub(b'0'));
                if !(0..=9).contains(&digit) {
                    return None;
                }
                // Negative, so that the least number fits.
                number = number.checked_mul(10)?.checked_sub(digit)?;
            }
            if negative {
                Some(number)
            } else {
                number.checked_neg()
            }
        }
        _ => None,
    }
}

/// Whether that word is `option`, given in lower case.
fn is<W: Words + ?Sized>(words: &W, at: usize, option: &str) -> bool {
    words.word(at).eq_ignore_ascii_case(option.as_bytes())
}

#[cfg(test)]
mod tests;
