//! Whether what one set of patterns describes lies within what others describe, with a witness
//! where it does not.

use super::formula::{Formula, Languages};
use super::product::{Exhausted, Work};
use crate::{ChannelUse, Effect, Glob, KeyPatterns, KeyUse, Touch};

/// Work for one question: some milliseconds.
const WORK: u64 = 5_000_000;

/// Whether one pattern lies within others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inclusion {
    /// Whatever it matches, one of the others matches.
    Included,
    /// It matches this, which none of the others does: a shortest such string.
    Outside(Vec<u8>),
    /// The patterns are too entangled to tell.
    Undecided,
}

/// Whether two patterns have a string in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// No string matches both.
    Disjoint,
    /// This one does: a shortest such string.
    Common(Vec<u8>),
    /// The patterns are too entangled to tell.
    Undecided,
}

/// Whether key fields cover what others cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Covers {
    /// They do.
    Yes,
    /// Not of a call that touches this.
    No(KeyWitness),
    /// The patterns are too entangled to tell.
    Undecided,
}

/// What a call would touch, in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyWitness {
    /// One key.
    Key {
        /// The key.
        key: Vec<u8>,
        /// It is read.
        reads: bool,
        /// It is written.
        writes: bool,
    },
    /// Every key.
    EveryKey {
        /// They are read.
        reads: bool,
        /// They are written.
        writes: bool,
    },
    /// One channel.
    Channel {
        /// The channel, or the pattern.
        channel: Vec<u8>,
        /// It is a pattern.
        pattern: bool,
    },
}

impl KeyWitness {
    /// Asks with it as what a call touches.
    pub fn ask<R>(&self, ask: impl FnOnce(&Touch<'_>) -> R) -> R {
        match self {
            Self::Key { key, reads, writes } => ask(&Touch::Named {
                keys: &[KeyUse {
                    key,
                    reads: *reads,
                    writes: *writes,
                }],
                channels: &[],
            }),
            Self::EveryKey { reads, writes } => ask(&Touch::EveryKey {
                reads: *reads,
                writes: *writes,
                enumeration: false,
            }),
            Self::Channel { channel, pattern } => ask(&Touch::Named {
                keys: &[],
                channels: &[ChannelUse {
                    channel,
                    pattern: *pattern,
                }],
            }),
        }
    }
}

/// Does every string that matches `glob` match one of `others`, too?
pub fn glob_included(glob: &Glob, others: &[&Glob]) -> Inclusion {
    let mut languages = Languages::default();
    let inside = languages.globs([glob]);
    let outside = languages.globs(others.iter().copied()).negated();
    match languages.find(&all([inside, outside]), &mut Work::new(WORK)) {
        Ok(None) => Inclusion::Included,
        Ok(Some(key)) => Inclusion::Outside(key),
        Err(Exhausted) => Inclusion::Undecided,
    }
}

/// Is there a string that matches both? [`Glob::may_overlap`] is quicker and has no witness.
pub fn glob_overlap(a: &Glob, b: &Glob) -> Overlap {
    let mut languages = Languages::default();
    let both = all([languages.globs([a]), languages.globs([b])]);
    match languages.find(&both, &mut Work::new(WORK)) {
        Ok(None) => Overlap::Disjoint,
        Ok(Some(key)) => Overlap::Common(key),
        Err(Exhausted) => Overlap::Undecided,
    }
}

/// On an Allow: do the fields `allow` cover every call that the fields `other`, on an Allow, cover?
pub fn covers(allow: &KeyPatterns, other: &KeyPatterns) -> Covers {
    answer(compare(allow, Effect::Allow, other))
}

/// Do the fields `deny`, on a Deny, meet every call with a key or a channel that the fields `allow`,
/// on an Allow, cover? (A keyless call is never met.)
pub fn meets_all(deny: &KeyPatterns, allow: &KeyPatterns) -> Covers {
    answer(compare(deny, Effect::Deny, allow))
}

fn answer(found: Result<Option<KeyWitness>, Exhausted>) -> Covers {
    match found {
        Ok(None) => Covers::Yes,
        Ok(Some(witness)) => Covers::No(witness),
        Err(Exhausted) => Covers::Undecided,
    }
}

fn all<const N: usize>(parts: [Formula; N]) -> Formula {
    Formula::All(parts.into())
}

/// A call with one key, with all keys or with one channel that `allow` covers, and `fields`, in a
/// statement of that effect, do not match. More keys make no difference: an Allow covers them one
/// by one, and a Deny that meets every single one meets them together.
fn compare(
    fields: &KeyPatterns,
    effect: Effect,
    allow: &KeyPatterns,
) -> Result<Option<KeyWitness>, Exhausted> {
    let matches = |touch: &Touch<'_>| match effect {
        Effect::Allow => fields.allows(touch),
        Effect::Deny => fields.denies(touch),
    };
    let witness = |witness: KeyWitness| {
        let is_one = witness.ask(|touch| allow.allows(touch) && !matches(touch));
        is_one.then_some(witness)
    };
    let mut work = Work::new(WORK);
    let mut languages = Languages::default();
    for (reads, writes) in [(true, false), (false, true), (true, true)] {
        let inside = languages.key(allow, Effect::Allow, reads, writes);
        let outside = languages.key(fields, effect, reads, writes).negated();
        if let Some(key) = languages.find(&all([inside, outside]), &mut work)? {
            return Ok(Some(KeyWitness::Key { key, reads, writes }));
        }
        if let Some(found) = witness(KeyWitness::EveryKey { reads, writes }) {
            return Ok(Some(found));
        }
    }
    let inside = languages.globs(&allow.channels);
    let outside = languages.globs(&fields.channels).negated();
    if let Some(channel) = languages.find(&all([inside, outside]), &mut work)? {
        let pattern = false;
        return Ok(Some(KeyWitness::Channel { channel, pattern }));
    }
    // A pattern is allowed by one that equals it, or by `*`: any pattern then, above all `*`.
    let patterns = allow.channels.iter().map(|glob| KeyWitness::Channel {
        channel: glob.text().to_vec(),
        pattern: true,
    });
    let mut found = None;
    for candidate in patterns {
        work.spend(64 * (1 + fields.channels.len()))?;
        found = found.or_else(|| witness(candidate));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
