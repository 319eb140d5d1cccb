//! Files of snapshots while the master key is changed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use keyward_auth::{MasterKey, SealedFileError, SealedKeys};

use super::file::snapshot_purpose;

/// What came of the files of snapshots.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ResealedSnapshots {
    /// Files that open under the new master key.
    pub files: usize,
    /// Files that did not open under the old one: damaged, or of another deployment.
    pub unusable: usize,
}

/// Seals the keys of all snapshots below a folder under a new master key, too. Before the old one
/// is given up: a crash leaves files that open under it.
///
/// # Errors
/// A file could not be read or written.
pub fn add_snapshot_keys(
    folder: &Path,
    former: &MasterKey,
    new: &MasterKey,
) -> io::Result<ResealedSnapshots> {
    reseal(folder, |keys, purpose| {
        Ok(vec![keys.with_second(former, new, purpose)?])
    })
}

/// Removes what is sealed under an older master key from all snapshots below a folder.
///
/// # Errors
/// A file could not be read or written.
pub fn settle_snapshot_keys(folder: &Path, key: &MasterKey) -> io::Result<ResealedSnapshots> {
    reseal(folder, |keys, purpose| keys.settled(key, purpose))
}

fn reseal(
    folder: &Path,
    beginnings: impl Fn(&SealedKeys, &str) -> Result<Vec<SealedKeys>, SealedFileError>,
) -> io::Result<ResealedSnapshots> {
    let mut resealed = ResealedSnapshots::default();
    for (file, path) in files(folder)? {
        let mut file = OpenOptions::new().read(true).write(true).open(file)?;
        let keys = SealedKeys::read(&mut file);
        let written = keys.and_then(|keys| beginnings(&keys, &snapshot_purpose(&path)));
        match written {
            Ok(beginnings) => {
                for keys in beginnings {
                    write_beginning(&mut file, &keys.beginning())?;
                }
                resealed.files += 1;
            }
            Err(SealedFileError::Read(error)) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, snapshot = path, "the file of a snapshot cannot be used");
                resealed.unusable += 1;
            }
        }
    }
    Ok(resealed)
}

fn write_beginning(file: &mut File, beginning: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(beginning)?;
    file.sync_all()
}

/// Files of snapshots, and the paths of those: `<organisation>/<database>/<snapshot>.kws`.
fn files(folder: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for (organisation, name) in entries(folder)? {
        for (database, database_name) in entries(&organisation)? {
            for (file, snapshot) in entries(&database)? {
                let Some(id) = snapshot.strip_suffix(".kws") else {
                    continue;
                };
                found.push((
                    file,
                    format!("org/{name}/kvdb/{database_name}/snapshot/{id}"),
                ));
            }
        }
    }
    Ok(found)
}

/// What is in a folder; nothing if it is not there.
fn entries(folder: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    entries
        .map(|entry| {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok((entry.path(), name))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{SnapshotHeader, SnapshotReader, SnapshotWriter};

    #[test]
    fn snapshots_open_under_the_new_key_alone_when_it_is_done() {
        let folder = std::env::temp_dir().join(keyward_auth::decision_id());
        let (former, new) = (MasterKey::generate(), MasterKey::generate());
        let place = folder.join("acme/db");
        fs::create_dir_all(&place).unwrap();
        let header = SnapshotHeader {
            path: "org/acme/kvdb/db/snapshot/one".into(),
            created: 1,
            server: "embedded".into(),
        };
        let file = place.join("one.kws");
        let writer = SnapshotWriter::new(File::create(&file).unwrap(), &former, &header).unwrap();
        writer.finish().unwrap();
        fs::write(place.join("bad.kws"), b"KWF").unwrap();
        fs::write(place.join("two.kws.part"), b"").unwrap();
        fs::write(folder.join("note"), b"").unwrap();
        let opens = |key| {
            let reader = SnapshotReader::new(File::open(&file).unwrap(), key, &header.path);
            reader.is_ok_and(|mut reader| reader.record().is_ok_and(|record| record.is_none()))
        };
        let expected = ResealedSnapshots {
            files: 1,
            unusable: 1,
        };
        assert_eq!(add_snapshot_keys(&folder, &former, &new).unwrap(), expected);
        assert!(opens(&former) && opens(&new));
        assert_eq!(settle_snapshot_keys(&folder, &new).unwrap(), expected);
        assert!(!opens(&former) && opens(&new));
        fs::remove_dir_all(&folder).unwrap();
        let none = ResealedSnapshots::default();
        assert_eq!(add_snapshot_keys(&folder, &former, &new).unwrap(), none);
    }
}
