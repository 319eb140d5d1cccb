//! What one call touches, and what the key fields of one statement say about it.

use crate::{Effect, Glob};

/// The keys and channels that one call uses, in the evaluator's terms.
#[derive(Clone, Copy, Debug)]
pub enum Touch<'a> {
    /// Nothing is known: an action that was asked for without a command. A control-plane action
    /// has no keys; a command's action stands for a call that names none
    /// (see [`crate::Statement::matches`]).
    None,
    /// A command that the catalogue lists as keyless.
    Keyless,
    /// Names no key and is not keyless: touches all of them.
    EveryKey {
        /// Reads what is there.
        reads: bool,
        /// Changes what is there.
        writes: bool,
        /// Tells the names of keys (`SCAN`, `KEYS`, `RANDOMKEY`), and those only that the same
        /// command would be allowed to read as an argument: an Allow on some keys covers it, and a
        /// Deny on keys does not meet it. Which keys are shown is asked key by key.
        enumeration: bool,
    },
    /// Exactly these. Without any it counts as [`Touch::EveryKey`].
    Named {
        /// Keys in the order of the arguments.
        keys: &'a [KeyUse<'a>],
        /// Channels in the order of the arguments.
        channels: &'a [ChannelUse<'a>],
    },
}

impl Touch<'_> {
    /// Whether it stands for a call that tells the names of keys.
    pub fn is_enumeration(&self) -> bool {
        matches!(
            self,
            Self::EveryKey {
                enumeration: true,
                ..
            }
        )
    }

    /// Whether what is not known counts as matched. An Allow does not match then and a Deny does; but where a
    /// call tells the names of keys, that is for its keys, one by one.
    pub(crate) fn counts_unknown(&self, effect: Effect) -> bool {
        match effect {
            Effect::Allow => self.is_enumeration(),
            Effect::Deny => !self.is_enumeration(),
        }
    }
}

/// One key of a call and what is done to it. Neither reading nor writing counts as both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse<'a> {
    /// The key, in bytes as on the wire.
    pub key: &'a [u8],
    /// Its value, or whether it exists, is read.
    pub reads: bool,
    /// It is made, changed or deleted.
    pub writes: bool,
}

/// One channel of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelUse<'a> {
    /// The channel, or the pattern, in bytes as on the wire.
    pub channel: &'a [u8],
    /// It is a pattern itself (`PSUBSCRIBE`, tracking prefixes).
    pub pattern: bool,
}

/// The key fields of a statement that has at least one of them; a missing one is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPatterns {
    /// `Keys`: any access.
    pub keys: Box<[Glob]>,
    /// `ReadKeys`: reading only.
    pub read_keys: Box<[Glob]>,
    /// `WriteKeys`: writing only.
    pub write_keys: Box<[Glob]>,
    /// `Channels`.
    pub channels: Box<[Glob]>,
}

impl KeyPatterns {
    /// On an Allow: do the fields cover the whole of what is touched?
    ///
    /// [`Touch::None`] is never covered: what it stands for depends on the action.
    pub fn allows(&self, touch: &Touch<'_>) -> bool {
        match *touch {
            Touch::None => false,
            Touch::Keyless => true,
            Touch::EveryKey {
                enumeration: true, ..
            } => !self.keys.is_empty() || !self.read_keys.is_empty(),
            Touch::EveryKey { reads, writes, .. } => {
                let (reads, writes) = access(reads, writes);
                let has = |globs: &[Glob]| globs.iter().any(Glob::is_everything);
                let all = has(&self.keys);
                (!reads || all || has(&self.read_keys)) && (!writes || all || has(&self.write_keys))
            }
            Touch::Named {
                keys: [],
                channels: [],
            } => self.allows(&EVERY_KEY),
            Touch::Named { keys, channels } => {
                keys.iter().all(|key| self.allows_key(key))
                    && channels.iter().all(|channel| self.allows_channel(channel))
            }
        }
    }

    /// On a Deny: do the fields meet any of what is touched?
    ///
    /// [`Touch::None`] is always met: what it stands for depends on the action.
    pub fn denies(&self, touch: &Touch<'_>) -> bool {
        match *touch {
            Touch::None => true,
            Touch::Keyless
            | Touch::EveryKey {
                enumeration: true, ..
            } => false,
            Touch::EveryKey { reads, writes, .. } => {
                let (reads, writes) = access(reads, writes);
                !self.keys.is_empty()
                    || (reads && !self.read_keys.is_empty())
                    || (writes && !self.write_keys.is_empty())
            }
            Touch::Named {
                keys: [],
                channels: [],
            } => self.denies(&EVERY_KEY),
            Touch::Named { keys, channels } => {
                keys.iter().any(|key| self.denies_key(key))
                    || channels.iter().any(|channel| self.denies_channel(channel))
            }
        }
    }

    /// Do the fields cover every use of every key and channel?
    pub fn covers_everything(&self) -> bool {
        self.allows(&EVERY_KEY) && self.channels.iter().any(Glob::is_everything)
    }

    pub(crate) fn allows_key(&self, key: &KeyUse<'_>) -> bool {
        let (reads, writes) = access(key.reads, key.writes);
        any_matches(&self.keys, key.key)
            || ((!reads || any_matches(&self.read_keys, key.key))
                && (!writes || any_matches(&self.write_keys, key.key)))
    }

    pub(crate) fn denies_key(&self, key: &KeyUse<'_>) -> bool {
        let (reads, writes) = access(key.reads, key.writes);
        any_matches(&self.keys, key.key)
            || (reads && any_matches(&self.read_keys, key.key))
            || (writes && any_matches(&self.write_keys, key.key))
    }

    pub(crate) fn allows_channel(&self, channel: &ChannelUse<'_>) -> bool {
        if channel.pattern {
            // As text, `news:*` matches `news:?`, but it reaches further: only equality is safe.
            let equal = |glob: &Glob| glob.is_everything() || glob.text() == channel.channel;
            return self.channels.iter().any(equal);
        }
        any_matches(&self.channels, channel.channel)
    }

    pub(crate) fn denies_channel(&self, channel: &ChannelUse<'_>) -> bool {
        if channel.pattern {
            return Glob::any_may_overlap(&self.channels, channel.channel);
        }
        any_matches(&self.channels, channel.channel)
    }
}

/// What a call counts as that names neither key nor channel and is not keyless.
pub(crate) const EVERY_KEY: Touch<'static> = Touch::EveryKey {
    reads: true,
    writes: true,
    enumeration: false,
};

/// Access that is not stated is full access.
pub(crate) fn access(reads: bool, writes: bool) -> (bool, bool) {
    if reads || writes {
        (reads, writes)
    } else {
        (true, true)
    }
}

fn any_matches(globs: &[Glob], key: &[u8]) -> bool {
    globs.iter().any(|glob| glob.matches(key))
}

#[cfg(test)]
mod tests;
