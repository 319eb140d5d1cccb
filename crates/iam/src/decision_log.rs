//! The denials that `keyward why` explains, and what `keyward tail` shows.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::decision::Decision;
use crate::ids::UnixMillis;

/// Records kept: the last ten thousand of a process.
pub const KEPT_DECISIONS: usize = 10_000;

/// One decision on a command, without the values that the command carried.
#[derive(Clone, Debug)]
pub struct DecisionRecord {
    /// 32 hex digits, random: cannot be guessed or walked.
    pub id: String,
    /// When.
    pub at: UnixMillis,
    /// Path of the principal.
    pub principal: String,
    /// Address of the peer.
    pub source: Option<IpAddr>,
    /// Full path of the database.
    pub database: String,
    /// The catalogue's name of the command; for an unknown one what the client sent, shortened.
    pub command: String,
    /// Its keys, at most eight.
    pub keys: Vec<String>,
    /// What was decided.
    pub decision: Decision,
}

#[derive(Debug, Default)]
struct Records {
    kept: VecDeque<DecisionRecord>,
    /// Sequence number of the first kept record.
    first: u64,
    by_id: HashMap<String, u64>,
}

/// Keeps the last denials and, while somebody watches, every decision.
#[derive(Debug, Default)]
pub struct DecisionLog {
    records: Mutex<Records>,
    watched_until: AtomicU64,
}

impl DecisionLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether allowed commands are to be recorded, too. One relaxed load.
    #[must_use]
    pub fn watched(&self, now: UnixMillis) -> bool {
        now.0 < self.watched_until.load(Ordering::Relaxed)
    }

    /// Asks for every decision until then.
    pub fn watch_until(&self, until: UnixMillis) {
        self.watched_until.fetch_max(until.0, Ordering::Relaxed);
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a record, and forgets the oldest beyond [`KEPT_DECISIONS`].
    pub fn record(&self, record: DecisionRecord) {
        let mut records = self.records();
        if records.kept.len() == KEPT_DECISIONS
            && let Some(oldest) = records.kept.pop_front()
        {
            records.by_id.remove(&oldest.id);
            records.first += 1;
        }
        let sequence = records.first + records.kept.len() as u64;
        records.by_id.insert(record.id.clone(), sequence);
        records.kept.push_back(record);
    }

    /// The record with this id, if it is still known.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<DecisionRecord> {
        let records = self.records();
        let sequence = *records.by_id.get(id)?;
        let position = usize::try_from(sequence - records.first).ok()?;
        records.kept.get(position).cloned()
    }

    /// Sequence number that the next record will have.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        let records = self.records();
        records.first + records.kept.len() as u64
    }

    /// At most `limit` records from a sequence number on, each with its number.
    #[must_use]
    pub fn since(&self, sequence: u64, limit: usize) -> Vec<(u64, DecisionRecord)> {
        let records = self.records();
        let skip = usize::try_from(sequence.saturating_sub(records.first)).unwrap_or(usize::MAX);
        let first = records.first;
        let kept = records.kept.iter().enumerate().skip(skip).take(limit);
        kept.map(|(position, record)| (first + position as u64, record.clone()))
            .collect()
    }
}
