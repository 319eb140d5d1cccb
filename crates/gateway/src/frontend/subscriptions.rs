//! What a connection has subscribed to.

use std::collections::HashSet;

use super::handling::Namespace;

/// The channels and patterns of one connection, as the server has them after everything that was
/// sent to it so far.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    names: [HashSet<Box<[u8]>>; 3],
    bytes: usize,
}

impl Subscriptions {
    /// Adds a channel or pattern.
    pub(crate) fn add(&mut self, namespace: Namespace, name: &[u8]) {
        if self.names[namespace as usize].insert(name.into()) {
            self.bytes += name.len() + 16;
        }
    }

    /// Takes one away.
    pub(crate) fn remove(&mut self, namespace: Namespace, name: &[u8]) {
        if self.names[namespace as usize].remove(name) {
            self.bytes -= name.len() + 16;
        }
    }

    /// Takes all of a kind away and tells how many there were.
    pub(crate) fn remove_all(&mut self, namespace: Namespace) -> usize {
        let names = std::mem::take(&mut self.names[namespace as usize]);
        self.bytes -= names.iter().map(|name| name.len() + 16).sum::<usize>();
        names.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.iter().all(HashSet::is_empty)
    }

    /// Bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many there are of a kind.
    pub(crate) fn count(&self, namespace: Namespace) -> usize {
        self.names[namespace as usize].len()
    }

    /// Each with its kind.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Namespace, &[u8])> {
        [Namespace::Channels, Namespace::Patterns, Namespace::Shards]
            .into_iter()
            .zip(&self.names)
            .flat_map(|(namespace, names)| names.iter().map(move |name| (namespace, &**name)))
    }
}
