//! How far a snapshot or a restore is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What stands for "not known yet".
const UNKNOWN: u64 = u64::MAX;

/// How far a snapshot or a restore is: shared between the one who works and those who ask.
#[derive(Debug)]
pub struct SnapshotProgress {
    keys: AtomicU64,
    total: AtomicU64,
    bytes: AtomicU64,
    longest_pause: AtomicU64,
    cancelled: AtomicBool,
}

impl Default for SnapshotProgress {
    fn default() -> Self {
        Self {
            keys: AtomicU64::new(0),
            total: AtomicU64::new(UNKNOWN),
            bytes: AtomicU64::new(0),
            longest_pause: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
        }
    }
}

impl SnapshotProgress {
    /// Keys that are in the file, or in the target, by now.
    #[must_use]
    pub fn keys_done(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }

    /// Keys that there are, once that is known: of a database that is being written to, an
    /// estimate.
    #[must_use]
    pub fn keys_total(&self) -> Option<u64> {
        let total = self.total.load(Ordering::Relaxed);
        (total != UNKNOWN).then_some(total)
    }

    /// Bytes of keys and values by now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Longest time for which commands on an embedded engine had to wait so far.
    #[must_use]
    pub fn longest_pause(&self) -> Duration {
        Duration::from_micros(self.longest_pause.load(Ordering::Relaxed))
    }

    /// Asks the one who works to stop; that takes a second at most.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(crate) fn expect(&self, keys: u64) {
        self.total.store(keys.min(UNKNOWN - 1), Ordering::Relaxed);
    }

    /// One more key is done.
    pub(crate) fn done(&self, bytes: u64) {
        self.keys.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn paused(&self, pause: Duration) {
        let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        self.longest_pause.fetch_max(micros, Ordering::Relaxed);
    }
}
