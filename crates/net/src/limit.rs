//! A cap on open connections that all workers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts open connections and refuses those above the cap. Clones share the count.
#[derive(Clone, Debug)]
pub struct ConnectionLimit {
    open: Arc<AtomicUsize>,
    cap: usize,
}

/// One counted connection; dropping it gives the place back.
#[derive(Debug)]
pub struct ConnectionSlot {
    open: Arc<AtomicUsize>,
}

impl ConnectionLimit {
    /// At most `cap` connections at a time.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self {
            open: Arc::default(),
            cap,
        }
    }

    /// Takes a place; `None` means that all are taken.
    #[must_use]
    pub fn take(&self) -> Option<ConnectionSlot> {
        self.open
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |open| {
                (open < self.cap).then_some(open + 1)
            })
            .ok()
            .map(|_| ConnectionSlot {
                open: Arc::clone(&self.open),
            })
    }

    /// How many connections are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many connections may be open.
    #[must_use]
    pub fn cap(&self) -> usize {
        self.cap
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back_when_its_slot_is_dropped() {
        let limit = ConnectionLimit::new(2);
        let first = limit.take().unwrap();
        let _second = limit.take().unwrap();
        assert!(limit.take().is_none());
        assert_eq!(limit.open(), 2);
        drop(first);
        assert_eq!(limit.open(), 1);
        assert!(limit.take().is_some());
    }
}
