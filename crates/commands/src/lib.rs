//! The command catalogue: every command of Valkey 9 and Redis 7, its action, and the keys and
//! channels that one call touches.
//!
//! Nobody below decides anything here: the policy asks [`action_pattern`] what a name in a document
//! means, the gateway asks [`resolve`] which command a request is and [`touched`] what it reaches.
//! What [`touched`] tells is a security boundary: the key checked must be the key used.
//!
//! The table is generated from what the servers say about themselves (`data/`); what they do not
//! say is in [`lists`].

mod actions;
mod arguments;
mod bits;
mod catalogue;
mod command;
mod hash;
mod history;
mod keys;
mod keyspec;
pub mod lists;
mod lookup;
mod patterns;
mod touched;

pub use actions::{
    ACTION_COUNT, ActionBits, ActionId, CONNECT, action, administrative_actions, always_actions,
    connect_only_actions, execute_actions,
};
pub use arguments::{
    Argument, ArgumentRules, Limit, blocking, count, expires_now, key_count, script, ttl,
    value_bytes,
};
pub use catalogue::{COMMAND_COUNT, CommandId, by_name};
pub use command::{
    Categories, ChannelRule, Command, CommandClass, CommandScope, Flags, KeyRule, Servers,
};
pub use history::{CATALOGUE_VERSION, grown};
pub use keyspec::{BeginSearch, FindKeys, KeyFlags, KeySpec};
pub use lookup::{ResolveError, resolve};
pub use patterns::{ActionPatternError, action_pattern, action_sets};
pub use touched::{Channel, Key, Scope, TouchError, Touched, touched};

/// The words of one request: the command's name first.
pub trait Words {
    /// How many words.
    fn len(&self) -> usize;

    /// One word, counted from 0.
    ///
    /// # Panics
    ///
    /// May panic if there is no such word.
    fn word(&self, at: usize) -> &[u8];

    /// Whether there is no word.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: AsRef<[u8]>> Words for [T] {
    #[inline]
    fn len(&self) -> usize {
        <[T]>::len(self)
    }

    #[inline]
    fn word(&self, at: usize) -> &[u8] {
        self[at].as_ref()
    }
}

impl<T: AsRef<[u8]>, const N: usize> Words for [T; N] {
    #[inline]
    fn len(&self) -> usize {
        N
    }

    #[inline]
    fn word(&self, at: usize) -> &[u8] {
        self[at].as_ref()
    }
}

impl<T: AsRef<[u8]>> Words for Vec<T> {
    #[inline]
    fn len(&self) -> usize {
        Vec::len(self)
    }

    #[inline]
    fn word(&self, at: usize) -> &[u8] {
        self[at].as_ref()
    }
}

impl<W: Words + ?Sized> Words for &W {
    #[inline]
    fn len(&self) -> usize {
        (**self).len()
    }

    #[inline]
    fn word(&self, at: usize) -> &[u8] {
        (**self).word(at)
    }
}

#[cfg(test)]
mod tests;
