//! Snapshots of the engine inside Keyward: all keys of one moment.

use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use keyward_engine::{Engine, PutError, UnixMillis};
use keyward_iam::Existing;

use super::error::SnapshotError;
use super::file::{MAX_KEY_LEN, RecordHead, SnapshotReader, SnapshotWriter};
use super::progress::SnapshotProgress;
use super::seen::SeenKeys;
use super::survey::Survey;
use crate::shared::now;

/// What is written of an embedded engine as its name and version.
pub(super) const NAME: &str = "embedded";

/// Keys, and bytes of values, that are taken at a time: commands wait for so long.
const PIECE: (usize, usize) = (128, 64 * 1024);

/// Keys whose time is over that are removed at a time.
const EXPIRE_AT_ONCE: usize = 2_000;

fn lock(engine: &Mutex<Engine>) -> MutexGuard<'_, Engine> {
    engine.lock().unwrap_or_else(PoisonError::into_inner)
}

fn engine_time() -> UnixMillis {
    UnixMillis(i64::try_from(now().0).unwrap_or(i64::MAX))
}

/// Runs something on the engine, and notes for how long it kept commands waiting.
fn with<T>(
    engine: &Mutex<Engine>,
    progress: &SnapshotProgress,
    run: impl FnOnce(&mut Engine) -> T,
) -> T {
    let mut engine = lock(engine);
    let since = Instant::now();
    let result = run(&mut engine);
    progress.paused(since.elapsed());
    result
}

/// Ends the engine's snapshot, whatever happens.
struct Ending<'a>(&'a Mutex<Engine>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        // What was kept for the snapshot is given back without the lock.
        let kept = lock(self.0).end_snapshot();
        drop(kept);
    }
}

/// Writes every key of an engine, as of now, to a file.
pub(super) fn create(
    engine: &Mutex<Engine>,
    writer: &mut SnapshotWriter<File>,
    most: u64,
    progress: &SnapshotProgress,
) -> Result<(), SnapshotError> {
    let begun = with(engine, progress, |engine| {
        engine.begin_snapshot(engine_time())
    });
    progress.expect(begun.ok_or(SnapshotError::Busy)? as u64);
    let _ending = Ending(engine);
    let mut records = Vec::new();
    loop {
        let more = with(engine, progress, |engine| {
            engine.continue_snapshot(PIECE.0, PIECE.1, &mut records)
        });
        for record in records.drain(..) {
            if record.key.len() > MAX_KEY_LEN {
                return Err(SnapshotError::LongKey { most: MAX_KEY_LEN });
            }
            let database = u32::try_from(record.database).unwrap_or(u32::MAX);
            let (key, expires_at) = (record.key.to_vec(), record.expires_at);
            let payload = record.into_payload();
            let head = RecordHead {
                database,
                key,
                expires_at,
                payload: u32::try_from(payload.len()).map_err(|_| SnapshotError::LongValue)?,
            };
            let written = writer.record(&head).and_then(|()| writer.payload(&payload));
            written.map_err(SnapshotError::File)?;
            progress.done((head.key.len() + payload.len()) as u64);
        }
        if progress.is_cancelled() {
            return Err(SnapshotError::Cancelled);
        }
        if writer.bytes() > most {
            return Err(SnapshotError::TooLarge { most });
        }
        if !more {
            return Ok(());
        }
        // Whoever waits for the engine comes first.
        std::thread::yield_now();
    }
}

/// Makes sure, without changing anything, that an engine takes what is in a snapshot.
pub(super) fn probe(
    engine: &Mutex<Engine>,
    survey: &Survey,
    origin: &str,
) -> Result<(), SnapshotError> {
    let incompatible = |why: String| SnapshotError::Incompatible {
        target: NAME.to_owned(),
        origin: origin.to_owned(),
        why,
    };
    let count = keyward_engine::DATABASES as u32;
    if let Some(database) = survey.databases().find(|database| *database >= count) {
        return Err(incompatible(format!("it has no keyspace {database}")));
    }
    let reader = lock(engine).payload_reader();
    for sample in survey.samples() {
        if let Err(error) = reader.read(&sample.payload) {
            let version = sample.version;
            return Err(incompatible(format!(
                "{error} (version {version} of the format)"
            )));
        }
    }
    Ok(())
}

/// Removes everything, or makes sure that nothing is there, as was asked for.
pub(super) fn prepare(
    engine: &Mutex<Engine>,
    existing: Existing,
    progress: &SnapshotProgress,
) -> Result<(), SnapshotError> {
    match existing {
        Existing::Replace => Ok(()),
        Existing::Refuse => {
            while with(engine, progress, |engine| {
                engine.expire_some(engine_time(), EXPIRE_AT_ONCE)
            }) > 0
            {}
            match lock(engine).key_count() as u64 {
                0 => Ok(()),
                keys => Err(SnapshotError::NotEmpty { keys }),
            }
        }
        Existing::Flush => {
            let removed = with(engine, progress, Engine::remove_all);
            drop(removed);
            Ok(())
        }
    }
}

/// Puts every key of a file into an engine.
pub(super) fn restore(
    engine: &Mutex<Engine>,
    reader: &mut SnapshotReader<File>,
    existing: Existing,
    progress: &SnapshotProgress,
) -> Result<(), SnapshotError> {
    let payloads = lock(engine).payload_reader();
    let mut seen = SeenKeys::new();
    let mut payload = Vec::new();
    while let Some(head) = reader.record()? {
        if progress.is_cancelled() {
            return Err(SnapshotError::Cancelled);
        }
        payload.clear();
        payload.shrink_to(MAX_KEY_LEN);
        reader.payload_to(&mut payload)?;
        let value = payloads
            .read(&payload)
            .map_err(|error| SnapshotError::Key {
                why: error.to_string(),
            })?;
        let seen = seen.insert(head.database, &head.key);
        let replace = seen || existing != Existing::Refuse;
        let database = head.database as usize;
        let put = with(engine, progress, |engine| {
            let now = engine_time();
            engine.put(database, &head.key, value, head.expires_at, replace, now)
        });
        put.map_err(|error| SnapshotError::Key {
            why: match error {
                PutError::Exists => {
                    format!("{error}: somebody else writes to the target")
                }
                _ => error.to_string(),
            },
        })?;
        progress.done((head.key.len() + payload.len()) as u64);
    }
    Ok(())
}
