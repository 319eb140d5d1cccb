//! A first look at a snapshot, before anything is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use super::error::SnapshotError;
use super::file::SnapshotReader;
use super::progress::SnapshotProgress;

/// Longest value that is kept as an example of its type, in bytes.
const MAX_SAMPLE: usize = 64 * 1024;

/// Kinds of values of which an example is kept.
const MAX_SAMPLES: usize = 64;

/// What stands behind the value in a payload: the version of the format and a checksum.
pub(super) const FOOTER: usize = 10;

/// The smallest value of one type.
pub(super) struct Sample {
    /// The byte that a payload begins with.
    pub(super) kind: u8,
    /// Version of the format.
    pub(super) version: u16,
    pub(super) payload: Vec<u8>,
}

/// What is in a snapshot that is whole.
#[derive(Default)]
pub(super) struct Survey {
    keys: u64,
    databases: BTreeSet<u32>,
    samples: BTreeMap<(u8, u16), Vec<u8>>,
}

impl Survey {
    /// Reads all of a file, so that a damaged one is noticed before anything is changed.
    pub(super) fn of(
        reader: &mut SnapshotReader<File>,
        progress: &SnapshotProgress,
    ) -> Result<Self, SnapshotError> {
        let mut survey = Self::default();
        let mut payload = Vec::new();
        while let Some(head) = reader.record()? {
            if progress.is_cancelled() {
                return Err(SnapshotError::Cancelled);
            }
            survey.keys += 1;
            survey.databases.insert(head.database);
            let length = head.payload as usize;
            if !(FOOTER..=MAX_SAMPLE).contains(&length) {
                continue;
            }
            payload.clear();
            reader.payload_to(&mut payload)?;
            survey.sample(&payload);
        }
        progress.expect(survey.keys);
        Ok(survey)
    }

    fn sample(&mut self, payload: &[u8]) {
        let footer = payload.len() - FOOTER;
        let version = u16::from_le_bytes([payload[footer], payload[footer + 1]]);
        let kind = (payload[0], version);
        let room = self.samples.len() < MAX_SAMPLES;
        match self.samples.get_mut(&kind) {
            Some(known) if payload.len() < known.len() => payload.clone_into(known),
            None if room => {
                self.samples.insert(kind, payload.to_vec());
            }
            _ => {}
        }
    }

    /// Records in the file.
    pub(super) fn keys(&self) -> u64 {
        self.keys
    }

    /// Numbers of the keyspaces that have keys.
    pub(super) fn databases(&self) -> impl Iterator<Item = u32> {
        self.databases.iter().copied()
    }

    /// One value of each type, if there is a small one.
    pub(super) fn samples(&self) -> impl Iterator<Item = Sample> {
        self.samples
            .iter()
            .map(|((kind, version), payload)| Sample {
                kind: *kind,
                version: *version,
                payload: payload.clone(),
            })
    }
}

/// What the first byte of a payload says, for people.
///
/// Source: the types of values in the servers' `rdb.h`.
pub(super) fn type_name(kind: u8) -> &'static str {
    match kind {
        0 => "strings",
        1 | 10 | 14 | 18 => "lists",
        2 | 11 | 20 => "sets",
        3 | 5 | 12 | 17 => "sorted sets",
        4 | 9 | 13 | 16 => "hashes",
        6 | 7 => "type of that module",
        15 | 19 | 21 => "streams",
        22..=25 => "hashes whose fields expire",
        _ => "values of that type",
    }
}
