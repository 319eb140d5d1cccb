//! The file of a snapshot: a header and records, inside a sealed file.
//!
//! All numbers are little endian. The header is the mark, the length of the snapshot's path, the
//! path, the time of the snapshot in milliseconds, the length of the server's name, the name. Then
//! come records: a byte 1, the number of the keyspace (4 bytes), the expiry (8 bytes, 0 for none),
//! the lengths of key and payload (4 bytes each), key and payload. A byte 0 and the number of
//! records (8 bytes) end it. A payload is what `DUMP` answers.

use std::io::{Read, Write};

use keyward_auth::{MasterKey, SealedFile, SealedFileError, SealedReader, SealedWriter};

/// What the content begins with: a mark, and the version of the form.
const MARK: &[u8; 8] = b"KWSNAP\0\x01";

/// Longest path of a snapshot and longest name of a server in a header, in bytes.
const MAX_NAME: usize = 1024;

/// Longest key that a snapshot holds, in bytes. Keys are held in memory, payloads are not.
pub const MAX_KEY_LEN: usize = 16 * 1024 * 1024;

/// Bytes before key and payload of a record.
const RECORD_HEAD: usize = 4 + 8 + 4 + 4;

/// Why the file of a snapshot could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotFileError {
    /// The sealed file around it is not what was written.
    #[error(transparent)]
    Sealed(#[from] SealedFileError),
    /// The content is of another form or version.
    #[error("the content of the file is no snapshot that this version of keyward reads")]
    Form,
    /// It is another snapshot.
    #[error("the file is of the snapshot `{found}`")]
    Another {
        /// Which one.
        found: String,
    },
    /// Fewer or more records than it says.
    #[error("the file says that it has {said} keys, and has {found}")]
    Count {
        /// What stands at its end.
        said: u64,
        /// What was read.
        found: u64,
    },
}

/// What a sealed snapshot file opens for.
#[must_use]
pub fn snapshot_purpose(path: &str) -> String {
    format!("snapshot/{path}")
}

/// The beginning of a snapshot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SnapshotHeader {
    /// Path of the snapshot.
    pub path: String,
    /// When it was begun, in Unix milliseconds.
    pub created: u64,
    /// What it was taken from: `valkey 9.1.0`, `embedded`.
    pub server: String,
}

/// What is known of a key before its payload.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RecordHead {
    /// Number of the keyspace.
    pub database: u32,
    /// The key.
    pub key: Vec<u8>,
    /// When the key ends, in Unix milliseconds; 0 for never.
    pub expires_at: u64,
    /// Length of the payload, in bytes.
    pub payload: u32,
}

/// Writes a snapshot: for each key its head, and then its payload in pieces.
pub struct SnapshotWriter<W> {
    inner: SealedWriter<W>,
    records: u64,
    /// Bytes of the payload that are still missing.
    missing: u32,
}

impl<W: Write> SnapshotWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// It could not be written.
    pub fn new(inner: W, key: &MasterKey, header: &SnapshotHeader) -> std::io::Result<Self> {
        let mut inner = SealedWriter::new(inner, key, &snapshot_purpose(&header.path))?;
        inner.write_all(MARK)?;
        let mut name = |name: &str| {
            let name = &name.as_bytes()[..name.len().min(MAX_NAME)];
            // At most MAX_NAME.
            inner.write_all(&(name.len() as u32).to_le_bytes())?;
            inner.write_all(name)
        };
        name(&header.path)?;
        name(&header.server)?;
        inner.write_all(&header.created.to_le_bytes())?;
        Ok(Self {
            inner,
            records: 0,
            missing: 0,
        })
    }

    /// Begins a record; so many bytes of payload must follow.
    ///
    /// # Errors
    /// It could not be written, or the last payload is not whole.
    pub fn record(&mut self, head: &RecordHead) -> std::io::Result<()> {
        let length = u32::try_from(head.key.len())
            .ok()
            .filter(|_| head.key.len() <= MAX_KEY_LEN && self.missing == 0)
            .ok_or(std::io::ErrorKind::InvalidInput)?;
        self.inner.write_all(&[1])?;
        self.inner.write_all(&head.database.to_le_bytes())?;
        self.inner.write_all(&head.expires_at.to_le_bytes())?;
        self.inner.write_all(&length.to_le_bytes())?;
        self.inner.write_all(&head.payload.to_le_bytes())?;
        self.inner.write_all(&head.key)?;
        self.records += 1;
        self.missing = head.payload;
        Ok(())
    }

    /// Adds to the payload.
    ///
    /// # Errors
    /// It could not be written, or is longer than was said.
    pub fn payload(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let left = u32::try_from(bytes.len())
            .ok()
            .and_then(|length| self.missing.checked_sub(length));
        self.missing = left.ok_or(std::io::ErrorKind::InvalidInput)?;
        self.inner.write_all(bytes)
    }

    /// Length of the file so far, roughly.
    pub fn bytes(&self) -> u64 {
        self.inner.bytes()
    }

    /// Ends the file; hands back what was written to.
    ///
    /// # Errors
    /// It could not be written, or the last payload is not whole.
    pub fn finish(mut self) -> std::io::Result<(W, SealedFile)> {
        if self.missing != 0 {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        self.inner.write_all(&[0])?;
        self.inner.write_all(&self.records.to_le_bytes())?;
        self.inner.finish()
    }
}

/// Reads a snapshot, in pieces.
pub struct SnapshotReader<R> {
    inner: SealedReader<R>,
    header: SnapshotHeader,
    records: u64,
    /// Bytes of the payload that were not read yet.
    missing: u32,
}

impl<R: Read> SnapshotReader<R> {
    /// Opens the file of a snapshot.
    ///
    /// # Errors
    /// It is none, or that of another one.
    pub fn new(inner: R, key: &MasterKey, path: &str) -> Result<Self, SnapshotFileError> {
        let mut inner = SealedReader::new(inner, key, &snapshot_purpose(path))?;
        let mut mark = [0; MARK.len()];
        whole(&mut inner, &mut mark)?;
        if mark != *MARK {
            return Err(SnapshotFileError::Form);
        }
        let [found, server] = [name(&mut inner)?, name(&mut inner)?];
        let mut created = [0; 8];
        whole(&mut inner, &mut created)?;
        if found != path {
            return Err(SnapshotFileError::Another { found });
        }
        Ok(Self {
            inner,
            header: SnapshotHeader {
                path: found,
                server,
                created: u64::from_le_bytes(created),
            },
            records: 0,
            missing: 0,
        })
    }

    /// What stands at the beginning.
    #[must_use]
    pub fn header(&self) -> &SnapshotHeader {
        &self.header
    }

    /// The next key; what is left of the payload before it is passed over. `None` at the end of a
    /// file that is whole.
    ///
    /// # Errors
    /// The file is not what was written.
    pub fn record(&mut self) -> Result<Option<RecordHead>, SnapshotFileError> {
        while self.missing > 0 {
            let length = self.payload()?.len();
            self.consume(length);
        }
        let mut kind = [0];
        whole(&mut self.inner, &mut kind)?;
        match kind {
            [1] => {}
            [0] => {
                self.end()?;
                return Ok(None);
            }
            _ => return Err(SnapshotFileError::Form),
        }
        let mut head = [0; RECORD_HEAD];
        whole(&mut self.inner, &mut head)?;
        let number =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = number(12) as usize;
        if length > MAX_KEY_LEN {
            return Err(SnapshotFileError::Form);
        }
        let mut key = vec![0; length];
        whole(&mut self.inner, &mut key)?;
        self.records += 1;
        self.missing = number(16);
        Ok(Some(RecordHead {
            database: number(0),
            expires_at: u64::from(number(4)) | u64::from(number(8)) << 32,
            key,
            payload: self.missing,
        }))
    }

    /// What comes next of the payload; none at its end. The same comes again until
    /// [`Self::consume`] is called.
    ///
    /// # Errors
    /// The file is not what was written.
    pub fn payload(&mut self) -> Result<&[u8], SnapshotFileError> {
        if self.missing == 0 {
            return Ok(&[]);
        }
        let missing = self.missing as usize;
        let chunk = self.inner.chunk()?;
        if chunk.is_empty() {
            return Err(SnapshotFileError::Form);
        }
        Ok(&chunk[..chunk.len().min(missing)])
    }

    /// Adds what is left of the payload to `to`. Who calls it has looked at its length.
    ///
    /// # Errors
    /// As [`Self::payload`].
    pub fn payload_to(&mut self, to: &mut Vec<u8>) -> Result<(), SnapshotFileError> {
        loop {
            let chunk = self.payload()?;
            if chunk.is_empty() {
                return Ok(());
            }
            to.extend_from_slice(chunk);
            let length = chunk.len();
            self.consume(length);
        }
    }

    /// So many bytes of [`Self::payload`] were used.
    pub fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.missing as usize);
        // At most `missing`.
        self.missing -= bytes as u32;
        self.inner.consume(bytes);
    }

    /// Length and hash, once [`Self::record`] has said that there are no more.
    #[must_use]
    pub fn finish(self) -> Option<SealedFile> {
        self.inner.finish()
    }

    fn end(&mut self) -> Result<(), SnapshotFileError> {
        let mut said = [0; 8];
        whole(&mut self.inner, &mut said)?;
        let said = u64::from_le_bytes(said);
        if said != self.records {
            return Err(SnapshotFileError::Count {
                said,
                found: self.records,
            });
        }
        if self.inner.chunk()?.is_empty() {
            Ok(())
        } else {
            Err(SnapshotFileError::Form)
        }
    }
}

fn whole<R: Read>(inner: &mut SealedReader<R>, buffer: &mut [u8]) -> Result<(), SnapshotFileError> {
    if buffer.is_empty() || inner.read_exact(buffer)? {
        Ok(())
    } else {
        Err(SnapshotFileError::Form)
    }
}

fn name<R: Read>(inner: &mut SealedReader<R>) -> Result<String, SnapshotFileError> {
    let mut length = [0; 4];
    whole(inner, &mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_NAME {
        return Err(SnapshotFileError::Form);
    }
    let mut name = vec![0; length];
    whole(inner, &mut name)?;
    String::from_utf8(name).map_err(|_| SnapshotFileError::Form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATH: &str = "org/acme/kvdb/sessions/snapshot/one";

    fn header(path: &str) -> SnapshotHeader {
        SnapshotHeader {
            path: path.to_owned(),
            created: 1_700_000_000_000,
            server: "valkey 9.1.0".to_owned(),
        }
    }

    type Record = (RecordHead, Vec<u8>);

    fn written(key: &MasterKey, path: &str, records: &[Record]) -> Vec<u8> {
        let mut writer = SnapshotWriter::new(Vec::new(), key, &header(path)).unwrap();
        for (head, payload) in records {
            writer.record(head).unwrap();
            for piece in payload.chunks(1000) {
                writer.payload(piece).unwrap();
            }
        }
        writer.finish().unwrap().0
    }

    fn read(key: &MasterKey, path: &str, file: &[u8]) -> Result<Vec<Record>, SnapshotFileError> {
        let mut reader = SnapshotReader::new(file, key, path)?;
        let mut records = Vec::new();
        while let Some(head) = reader.record()? {
            let mut payload = Vec::new();
            reader.payload_to(&mut payload)?;
            records.push((head, payload));
        }
        assert!(reader.finish().is_some());
        Ok(records)
    }

    fn record() -> impl Strategy<Value = Record> {
        let payload = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..50),
            (0..200_000_usize).prop_map(|length| vec![7; length]),
        ];
        let key = prop::collection::vec(any::<u8>(), 0..20);
        (any::<u32>(), key, any::<u64>(), payload).prop_map(
            |(database, key, expires_at, payload)| {
                let head = RecordHead {
                    database,
                    key,
                    expires_at,
                    payload: payload.len() as u32,
                };
                (head, payload)
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_was_written_is_read(records in prop::collection::vec(record(), 0..20)) {
            let key = MasterKey::generate();
            let file = written(&key, PATH, &records);
            let mut reader = SnapshotReader::new(&file[..], &key, PATH).unwrap();
            prop_assert_eq!(reader.header(), &header(PATH));
            // Payloads that nobody reads are passed over.
            for (head, _) in &records {
                prop_assert_eq!(reader.record().unwrap(), Some(head.clone()));
            }
            prop_assert!(reader.record().unwrap().is_none());
            prop_assert!(read(&key, PATH, &file).unwrap() == records);
        }

        #[test]
        fn whatever_is_changed_is_an_error(
            records in prop::collection::vec(record(), 0..5),
            place in any::<prop::sample::Index>(),
            change in 1..=255_u8,
        ) {
            let key = MasterKey::generate();
            let mut file = written(&key, PATH, &records);
            let at = place.index(file.len());
            prop_assert!(read(&key, PATH, &file[..at]).is_err());
            file[at] ^= change;
            prop_assert!(read(&key, PATH, &file).is_err());
        }

        /// The content is authentic, but may come from a version with faults.
        #[test]
        fn any_content_is_read_or_refused(content in prop::collection::vec(any::<u8>(), 0..300)) {
            let key = MasterKey::generate();
            let mut writer = SealedWriter::new(Vec::new(), &key, &snapshot_purpose(PATH)).unwrap();
            let plain = SnapshotHeader { server: String::new(), ..header(PATH) };
            for part in [&MARK[..], &(PATH.len() as u32).to_le_bytes(), plain.path.as_bytes(),
                         &[0; 12], &content] {
                writer.write_all(part).unwrap();
            }
            let (file, _) = writer.finish().unwrap();
            let _ = read(&key, PATH, &file);
        }
    }

    #[test]
    fn faults_are_named() {
        let key = MasterKey::generate();
        let file = written(&key, PATH, &[]);
        let text = |result: Result<_, SnapshotFileError>| match result {
            Ok(_) => panic!("it was read"),
            Err(error) => error.to_string(),
        };
        let other = "org/acme/kvdb/sessions/snapshot/two";
        assert_eq!(
            text(read(&key, other, &file)),
            "the key of the file does not open"
        );
        let cut = text(read(&key, PATH, &file[..file.len() - 20]));
        assert_eq!(cut, "piece 0 of the file was changed, or belongs elsewhere");
        assert_eq!(text(read(&key, PATH, b"")), "this is no sealed file");
        assert_eq!(
            text(read(&key, PATH, b"REDIS0011xxxx")),
            "this is no sealed file"
        );
    }

    #[test]
    fn a_writer_takes_what_was_announced() {
        let key = MasterKey::generate();
        let mut writer = SnapshotWriter::new(Vec::new(), &key, &header(PATH)).unwrap();
        let head = RecordHead {
            payload: 3,
            ..RecordHead::default()
        };
        writer.record(&head).unwrap();
        assert!(writer.record(&head).is_err());
        assert!(writer.payload(b"four").is_err());
        let long = RecordHead {
            key: vec![0; MAX_KEY_LEN + 1],
            ..RecordHead::default()
        };
        assert!(
            SnapshotWriter::new(Vec::new(), &key, &header(PATH))
                .unwrap()
                .record(&long)
                .is_err()
        );
        assert!(writer.finish().is_err());
    }
}
