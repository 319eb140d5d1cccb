//! Snapshots: all keys of a database in a sealed file, and back.
//!
//! Everything here blocks: a snapshot has a thread of its own. Neither all keys nor all of a value
//! of a server are ever in memory.

pub(crate) mod connection;
mod embedded;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod progress;
mod rotation;
mod seen;
mod server;
mod survey;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Seek as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use keyward_auth::SealedFile;
use keyward_iam::{Backend, Existing, SnapshotAction, SnapshotPermit};

use self::connection::Connection;
pub use self::error::{Answer, SnapshotError};
pub use self::file::{
    MAX_KEY_LEN, RecordHead, SnapshotFileError, SnapshotHeader, SnapshotReader, SnapshotWriter,
    snapshot_purpose,
};
pub use self::progress::SnapshotProgress;
pub use self::rotation::{ResealedSnapshots, add_snapshot_keys, settle_snapshot_keys};
use self::survey::Survey;
use crate::shared::{Shared, now};

/// Largest file of a snapshot, in bytes: a server that never ends must not fill the disk.
const MAX_FILE: u64 = 1 << 40;

/// What came of a snapshot or a restore.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SnapshotSummary {
    /// How many keys.
    pub keys: u64,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file without the sealed key at its beginning.
    pub sha256: [u8; 32],
    /// What was read or written: `valkey 9.1.0`, `embedded`.
    pub server: String,
}

impl Shared {
    /// Writes all keys of a database to a new file, for its owner alone. Until it is whole it has
    /// `.part` behind its name; it never takes the place of another. Folders that are missing are
    /// made.
    ///
    /// # Errors
    /// Keys could not be read, or the file not be written; there is no file then.
    pub fn create_snapshot(
        &self,
        permit: &SnapshotPermit,
        file: &Path,
        progress: &SnapshotProgress,
    ) -> Result<SnapshotSummary, SnapshotError> {
        if permit.action() != SnapshotAction::Create {
            return Err(SnapshotError::Permit);
        }
        let directory = self.directory.load_full();
        let database = directory.database(permit.database());
        let backend = &database.ok_or(SnapshotError::Gone)?.backend;
        let mut part = PartFile::new(file)?;
        let mut header = SnapshotHeader {
            path: permit.snapshot().to_owned(),
            created: now().0,
            server: String::new(),
        };
        let key = &self.verifier.master_key;
        let begin = |part: &mut PartFile, header: &SnapshotHeader| {
            SnapshotWriter::new(part.take()?, key, header).map_err(SnapshotError::File)
        };
        let sealed = match backend {
            Backend::Embedded => {
                embedded::NAME.clone_into(&mut header.server);
                let mut writer = begin(&mut part, &header)?;
                let engine = self.engine(permit.database());
                embedded::create(&engine, &mut writer, MAX_FILE, progress)?;
                writer.finish()
            }
            Backend::Server { .. } => {
                let mut connection = Connection::open(self, permit.database(), progress)?;
                header.server.clone_from(&connection.server);
                let mut writer = begin(&mut part, &header)?;
                server::create(&mut connection, &mut writer, MAX_FILE, progress)?;
                writer.finish()
            }
        };
        let (written, SealedFile { bytes, sha256 }) = sealed.map_err(SnapshotError::File)?;
        part.keep(written)?;
        Ok(SnapshotSummary {
            keys: progress.keys_done(),
            bytes,
            sha256,
            server: header.server,
        })
    }

    /// Puts the keys of a file into a database. The file is read to its end before anything is
    /// changed, and that the target knows the types of its values is made sure of.
    ///
    /// # Errors
    /// The file is not what was written, or keys could not be written: [`SnapshotError::Partly`] if
    /// the target was changed by then.
    pub fn restore_snapshot(
        &self,
        permit: &SnapshotPermit,
        file: &Path,
        progress: &SnapshotProgress,
    ) -> Result<SnapshotSummary, SnapshotError> {
        let SnapshotAction::Restore(existing) = permit.action() else {
            return Err(SnapshotError::Permit);
        };
        let mut file = File::open(file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SnapshotError::Missing,
            _ => SnapshotError::File(error),
        })?;
        let key = &self.verifier.master_key;
        let open = |file: &mut File| -> Result<_, SnapshotError> {
            file.rewind().map_err(SnapshotError::File)?;
            let file = file.try_clone().map_err(SnapshotError::File)?;
            Ok(SnapshotReader::new(file, key, permit.snapshot())?)
        };
        let mut reader = open(&mut file)?;
        let survey = Survey::of(&mut reader, progress)?;
        let origin = reader.header().server.clone();
        let mut reader = open(&mut file)?;
        let directory = self.directory.load_full();
        let database = directory.database(permit.database());
        let mut target = String::new();
        let restored = match &database.ok_or(SnapshotError::Gone)?.backend {
            Backend::Embedded => {
                embedded::NAME.clone_into(&mut target);
                let engine = self.engine(permit.database());
                embedded::probe(&engine, &survey, &origin)?;
                embedded::prepare(&engine, existing, progress)
                    .and_then(|()| embedded::restore(&engine, &mut reader, existing, progress))
            }
            Backend::Server { .. } => {
                let mut connection = Connection::open(self, permit.database(), progress)?;
                target.clone_from(&connection.server);
                server::probe(&mut connection, &survey, &origin)?;
                server::prepare(&mut connection, existing).map_err(|error| match existing {
                    // Whether a server that is lost has removed its keys is not known.
                    Existing::Flush if !matches!(error, SnapshotError::Refused { .. }) => {
                        partly(error, &survey, progress)
                    }
                    _ => error,
                })?;
                server::restore(&mut connection, &mut reader, existing, progress)
            }
        };
        restored.map_err(|error| partly(error, &survey, progress))?;
        let sealed = reader.finish();
        let SealedFile { bytes, sha256 } = sealed.ok_or(SnapshotFileError::Form)?;
        Ok(SnapshotSummary {
            keys: progress.keys_done(),
            bytes,
            sha256,
            server: target,
        })
    }
}

/// Says how far a restore came that had begun to change the target.
fn partly(error: SnapshotError, survey: &Survey, progress: &SnapshotProgress) -> SnapshotError {
    if matches!(error, SnapshotError::NotEmpty { .. }) {
        return error; // found before the first key was written
    }
    SnapshotError::Partly {
        keys: progress.keys_done(),
        all: survey.keys(),
        source: Box::new(error),
    }
}

/// A file that is being written. Dropping it removes it.
struct PartFile {
    part: PathBuf,
    whole: PathBuf,
    file: Option<File>,
    kept: bool,
}

impl PartFile {
    fn new(whole: &Path) -> Result<Self, SnapshotError> {
        let mut part = whole.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        if let Some(folder) = whole.parent() {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(folder).map_err(SnapshotError::File)?;
        }
        // Whoever has made the `.part` is the only one to make the file itself.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => SnapshotError::Exists,
            _ => SnapshotError::File(error),
        })?;
        let made = Self {
            part,
            whole: whole.to_owned(),
            file: Some(file),
            kept: false,
        };
        match fs::symlink_metadata(whole) {
            Ok(_) => Err(SnapshotError::Exists),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(made),
            Err(error) => Err(SnapshotError::File(error)),
        }
    }

    fn take(&mut self) -> Result<File, SnapshotError> {
        self.file.take().ok_or(SnapshotError::Exists)
    }

    /// The file is whole: gives it its name. It is there after a crash, too.
    fn keep(mut self, file: File) -> Result<(), SnapshotError> {
        let kept = file
            .sync_all()
            .and_then(|()| fs::rename(&self.part, &self.whole))
            .and_then(|()| match self.whole.parent() {
                Some(folder) => File::open(folder)?.sync_all(),
                None => Ok(()),
            });
        kept.map_err(SnapshotError::File)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody to tell; what is left over is removed when the process starts again.
            let _ = fs::remove_file(&self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_has_its_name_once_it_is_whole_and_takes_no_others_place() {
        let folder = std::env::temp_dir().join(keyward_auth::decision_id());
        let name = folder.join("a/one.kws");
        let mut part = PartFile::new(&name).unwrap();
        assert!(matches!(PartFile::new(&name), Err(SnapshotError::Exists)));
        let file = part.take().unwrap();
        assert!(!name.exists());
        part.keep(file).unwrap();
        let mode = fs::metadata(&name).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let parts = || fs::read_dir(folder.join("a")).unwrap().count();
        assert!(matches!(PartFile::new(&name), Err(SnapshotError::Exists)));
        assert_eq!(parts(), 1);
        drop(PartFile::new(&folder.join("a/two.kws")).unwrap());
        assert_eq!(parts(), 1, "what is given up is removed");
        fs::remove_dir_all(&folder).unwrap();
    }
}
