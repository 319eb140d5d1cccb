//! Snapshots of servers: every key with `DUMP`, and back with `RESTORE`.

use std::collections::VecDeque;
use std::fs::File;

use keyward_iam::Existing;

use super::connection::{Connection, Head};
use super::error::SnapshotError;
use super::file::{MAX_KEY_LEN, RecordHead, SnapshotReader, SnapshotWriter};
use super::progress::SnapshotProgress;
use super::seen::SeenKeys;
use super::survey::Survey;

/// Keys that are asked for, or restored, without having been answered, at most.
const WINDOW: usize = 64;

/// Bytes of values that a server may hold ready for us, as far as sizes can be foreseen, and that
/// are sent without an answer.
const AHEAD: u64 = 4 * 1024 * 1024;

/// Keys that a server is asked to list at a time.
const LISTED_AT_ONCE: &[u8] = b"500";

/// Longest list of keys that is taken, in bytes.
const MAX_LISTED: usize = 4 * MAX_KEY_LEN;

/// Answers to `SCAN` without end: far more than any server needs.
const MAX_LISTS: u64 = 100_000_000;

/// What a reply belongs to.
enum Asked {
    List,
    Key(Vec<u8>),
}

/// How many keys are asked for ahead: fewer after large values, since the server holds the answers
/// ready.
struct Window {
    /// Size of the values of late: the largest, fading.
    size: u64,
}

impl Window {
    fn new() -> Self {
        Self { size: AHEAD / 8 }
    }

    fn saw(&mut self, size: u64) {
        self.size = size.max(self.size - self.size / 8);
    }

    fn keys(&self) -> usize {
        usize::try_from(AHEAD / self.size.max(1)).map_or(WINDOW, |keys| keys.clamp(1, WINDOW))
    }
}

/// Keys of all keyspaces, as a server says that it has them.
fn all_keys(keyspaces: &[(u32, u64)]) -> u64 {
    let keys = keyspaces.iter().map(|(_, keys)| *keys);
    keys.fold(0, u64::saturating_add)
}

/// Writes every key of a server to a file.
///
/// `SCAN` returns whatever is there all the time at least once. Value and expiry of a key are read
/// in one transaction, so they belong to one moment.
pub(super) fn create(
    connection: &mut Connection<'_>,
    writer: &mut SnapshotWriter<File>,
    most: u64,
    progress: &SnapshotProgress,
) -> Result<(), SnapshotError> {
    let keyspaces = connection.keyspaces()?;
    let total = all_keys(&keyspaces);
    progress.expect(total);
    let mut reading = Reading {
        connection,
        writer,
        progress,
        window: Window::new(),
        most,
        patience: total.saturating_mul(4).saturating_add(50_000_000),
        listed: 0,
        lists: 0,
    };
    for (database, _) in keyspaces {
        reading.keyspace(database)?;
    }
    Ok(())
}

struct Reading<'a, 'c> {
    connection: &'a mut Connection<'c>,
    writer: &'a mut SnapshotWriter<File>,
    progress: &'a SnapshotProgress,
    window: Window,
    most: u64,
    /// Keys that may be listed, with those that are added meanwhile.
    patience: u64,
    listed: u64,
    lists: u64,
}

impl Reading<'_, '_> {
    fn keyspace(&mut self, database: u32) -> Result<(), SnapshotError> {
        let number = database.to_string();
        self.connection.send(&[b"SELECT", number.as_bytes()])?;
        self.connection.expect_line("SELECT")?;
        let mut cursor = Some(b"0".to_vec());
        let mut listed: VecDeque<Vec<u8>> = VecDeque::new();
        let mut asked: VecDeque<Asked> = VecDeque::new();
        let mut listing = false;
        loop {
            while asked.len() < self.window.keys()
                && let Some(key) = listed.pop_front()
            {
                self.ask(&key)?;
                asked.push_back(Asked::Key(key));
            }
            if listed.is_empty()
                && !listing
                && let Some(cursor) = &cursor
            {
                self.connection
                    .request(&[b"SCAN", cursor, b"COUNT", LISTED_AT_ONCE])?;
                asked.push_back(Asked::List);
                listing = true;
            }
            let Some(next) = asked.pop_front() else {
                return Ok(());
            };
            if !self.connection.has_input() {
                self.connection.flush()?;
            }
            match next {
                Asked::List => {
                    cursor = self.list(&mut listed)?;
                    listing = false;
                }
                Asked::Key(key) => self.take(database, key)?,
            }
        }
    }

    /// Asks for expiry and value of a key, of one moment.
    fn ask(&mut self, key: &[u8]) -> Result<(), SnapshotError> {
        self.connection.request(&[b"MULTI"])?;
        self.connection.request(&[b"PEXPIRETIME", key])?;
        self.connection.request(&[b"DUMP", key])?;
        self.connection.request(&[b"EXEC"])
    }

    /// Reads an answer to `SCAN`: the cursor that is next, if there is one.
    fn list(&mut self, listed: &mut VecDeque<Vec<u8>>) -> Result<Option<Vec<u8>>, SnapshotError> {
        const COMMAND: &str = "SCAN";
        let no_server = SnapshotError::NoServer { command: COMMAND };
        if self.connection.expect_array(COMMAND)? != 2 {
            return Err(no_server);
        }
        let cursor = self.connection.text(COMMAND)?;
        if cursor.is_empty() || cursor.len() > 20 || !cursor.iter().all(u8::is_ascii_digit) {
            return Err(no_server);
        }
        let count = self.connection.expect_array(COMMAND)?;
        let mut bytes = 0;
        for _ in 0..count {
            let key = self.connection.text(COMMAND)?;
            bytes += key.len() + size_of::<Vec<u8>>();
            if bytes > MAX_LISTED {
                return Err(SnapshotError::LongKey { most: MAX_KEY_LEN });
            }
            listed.push_back(key);
        }
        self.listed += count;
        self.lists += 1;
        if self.listed > self.patience || self.lists > MAX_LISTS {
            return Err(SnapshotError::Endless {
                listed: self.listed,
            });
        }
        Ok((cursor != b"0").then_some(cursor))
    }

    /// Reads the answers about one key, and writes the key, if it is still there.
    fn take(&mut self, database: u32, key: Vec<u8>) -> Result<(), SnapshotError> {
        for command in ["MULTI", "PEXPIRETIME", "DUMP"] {
            self.connection.expect_line(command)?;
        }
        let no_server = |command| SnapshotError::NoServer { command };
        if self.connection.expect_array("EXEC")? != 2 {
            return Err(no_server("EXEC"));
        }
        let expires_at = match self.connection.head("PEXPIRETIME")? {
            Head::Integer(at) => at,
            other => return Err(other.unexpected("PEXPIRETIME")),
        };
        let length = match self.connection.head("DUMP")? {
            Head::Null => return Ok(()), // gone meanwhile
            Head::Bulk(length) => length,
            other => return Err(other.unexpected("DUMP")),
        };
        let expires_at = match expires_at {
            -1 => 0,
            // 0 would mean that it never ends.
            at => u64::try_from(at)
                .map_err(|_| no_server("PEXPIRETIME"))?
                .max(1),
        };
        let head = RecordHead {
            database,
            key,
            expires_at,
            payload: u32::try_from(length).map_err(|_| SnapshotError::LongValue)?,
        };
        self.writer.record(&head).map_err(SnapshotError::File)?;
        let mut missing = length;
        while missing > 0 {
            let chunk = self.connection.chunk()?;
            let taken = chunk
                .len()
                .min(usize::try_from(missing).unwrap_or(chunk.len()));
            self.writer
                .payload(&chunk[..taken])
                .map_err(SnapshotError::File)?;
            self.connection.consume(taken);
            missing -= taken as u64;
            if self.writer.bytes() > self.most {
                return Err(SnapshotError::TooLarge { most: self.most });
            }
        }
        self.connection.text_end("DUMP")?;
        self.window.saw(length);
        self.progress.done(head.key.len() as u64 + length);
        Ok(())
    }
}

/// Makes sure, without changing anything, that a server takes what is in a snapshot.
///
/// A value whose time is over is checked by `RESTORE` like any other, and then not stored: so one
/// value of each type tells whether the server knows the format.
pub(super) fn probe(
    connection: &mut Connection<'_>,
    survey: &Survey,
    origin: &str,
) -> Result<(), SnapshotError> {
    let incompatible = |target: &str, why: String| SnapshotError::Incompatible {
        target: target.to_owned(),
        origin: origin.to_owned(),
        why,
    };
    for database in survey.databases() {
        let number = database.to_string();
        connection.send(&[b"SELECT", number.as_bytes()])?;
        match connection.head("SELECT")? {
            Head::Line(_) => {}
            Head::Error(answer) if answer.is("ERR") => {
                let why = format!("it has no keyspace {database}");
                return Err(incompatible(&connection.server, why));
            }
            other => return Err(other.unexpected("SELECT")),
        }
    }
    let name = format!("keyward:probe:{}", keyward_auth::decision_id());
    for sample in survey.samples() {
        connection.send(&[
            b"RESTORE",
            name.as_bytes(),
            b"1",
            &sample.payload,
            b"ABSTTL",
        ])?;
        match connection.head("RESTORE")? {
            Head::Line(_) => {}
            Head::Error(answer) if answer.is("VERSION") => {
                let why = format!(
                    "values are in version {} of the format, and it reads older versions only",
                    sample.version
                );
                return Err(incompatible(&connection.server, why));
            }
            Head::Error(answer) if answer.is("FORMAT") => {
                let why = format!("it has no {}", super::survey::type_name(sample.kind));
                return Err(incompatible(&connection.server, why));
            }
            other => return Err(other.unexpected("RESTORE")),
        }
    }
    Ok(())
}

/// Removes everything, or makes sure that nothing is there, as was asked for.
pub(super) fn prepare(
    connection: &mut Connection<'_>,
    existing: Existing,
) -> Result<(), SnapshotError> {
    match existing {
        Existing::Replace => Ok(()),
        Existing::Refuse => match all_keys(&connection.keyspaces()?) {
            0 => Ok(()),
            keys => Err(SnapshotError::NotEmpty { keys }),
        },
        Existing::Flush => {
            connection.send(&[b"FLUSHALL", b"SYNC"])?;
            connection.wait_for_long_command(true);
            connection.expect_line("FLUSHALL")?;
            connection.wait_for_long_command(false);
            Ok(())
        }
    }
}

/// Puts every key of a file into a server.
pub(super) fn restore(
    connection: &mut Connection<'_>,
    reader: &mut SnapshotReader<File>,
    existing: Existing,
    progress: &SnapshotProgress,
) -> Result<(), SnapshotError> {
    let mut writing = Writing {
        connection,
        progress,
        waiting: VecDeque::new(),
        ahead: 0,
    };
    let mut seen = SeenKeys::new();
    let mut selected = None;
    while let Some(head) = reader.record()? {
        if selected != Some(head.database) {
            let number = head.database.to_string();
            writing
                .connection
                .request(&[b"SELECT", number.as_bytes()])?;
            writing.waiting.push_back(None);
            selected = Some(head.database);
        }
        // A key that the snapshot has twice is not one that somebody else has written.
        let seen = seen.insert(head.database, &head.key);
        let replace = seen || existing != Existing::Refuse;
        writing.put(&head, reader, replace)?;
        writing.settle(WINDOW, AHEAD)?;
    }
    writing.settle(0, 0)
}

struct Writing<'a, 'c> {
    connection: &'a mut Connection<'c>,
    progress: &'a SnapshotProgress,
    /// Requests without an answer: sizes of keys, or a `SELECT`.
    waiting: VecDeque<Option<u64>>,
    /// Bytes of them.
    ahead: u64,
}

impl Writing<'_, '_> {
    fn put(
        &mut self,
        head: &RecordHead,
        reader: &mut SnapshotReader<File>,
        replace: bool,
    ) -> Result<(), SnapshotError> {
        let words = if replace { 6 } else { 5 };
        let expires_at = head.expires_at.to_string();
        let (key, digits) = (head.key.len(), expires_at.len());
        let begin = format!("*{words}\r\n$7\r\nRESTORE\r\n${key}\r\n");
        self.connection.write(begin.as_bytes())?;
        self.connection.write(&head.key)?;
        let middle = format!("\r\n${digits}\r\n{expires_at}\r\n${}\r\n", head.payload);
        self.connection.write(middle.as_bytes())?;
        loop {
            let chunk = reader.payload()?;
            if chunk.is_empty() {
                break;
            }
            self.connection.write(chunk)?;
            let length = chunk.len();
            reader.consume(length);
        }
        self.connection.write(b"\r\n$6\r\nABSTTL\r\n")?;
        if replace {
            self.connection.write(b"$7\r\nREPLACE\r\n")?;
        }
        let size = key as u64 + u64::from(head.payload);
        self.waiting.push_back(Some(size));
        self.ahead += size;
        Ok(())
    }

    /// Waits until at most so many requests, and bytes of them, have no answer.
    fn settle(&mut self, requests: usize, bytes: u64) -> Result<(), SnapshotError> {
        while self.waiting.len() > requests || self.ahead > bytes {
            let Some(next) = self.waiting.front() else {
                break;
            };
            let size = *next;
            if !self.connection.has_input() {
                self.connection.flush()?;
            }
            let command = if size.is_some() { "RESTORE" } else { "SELECT" };
            match self.connection.head(command)? {
                Head::Line(_) => {}
                Head::Error(answer) if answer.is("BUSYKEY") => {
                    let why = "the key is there already: somebody else writes to the target";
                    return Err(SnapshotError::Key { why: why.into() });
                }
                other => return Err(other.unexpected(command)),
            }
            self.waiting.pop_front();
            if let Some(size) = size {
                self.ahead -= size;
                self.progress.done(size);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_keys_are_asked_for_after_large_values() {
        let mut window = Window::new();
        assert_eq!(window.keys(), 8);
        for _ in 0..40 {
            window.saw(100);
        }
        assert_eq!(window.keys(), WINDOW);
        window.saw(100 << 20);
        assert_eq!(window.keys(), 1);
        for _ in 0..20 {
            window.saw(100);
        }
        assert!((1..5).contains(&window.keys()));
        window.saw(u64::MAX);
        window.saw(0);
        assert_eq!(window.keys(), 1);
    }
}
