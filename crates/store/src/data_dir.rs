//! The folder that everything of one deployment is in.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::sqlite::sync_folder_of;

/// Length of a key that [`DataDir::key`] keeps, in bytes.
pub const KEY_LEN: usize = 32;

/// Longest private file that is read, in bytes.
const MAX_PRIVATE_LEN: u64 = 1024 * 1024;

/// Name of the file that is locked, and that holds the pid of who locked it.
const LOCK: &str = "lock";

/// A data directory that belongs to this process until it is dropped.
///
/// The lock is the operating system's, on an open file: it ends with the process, however that
/// ends, so that nothing has to be cleaned up after a crash.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// What is wrong with a data directory, or with a file in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// Another process has it.
    #[error("data directory `{}` is in use by {}", path.display(), process(*pid))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process, if it has said who it is.
        pid: Option<u32>,
    },
    /// Others could put files of theirs in the place of ours.
    #[error("data directory `{}` can be written by others: take that away with `chmod go-w`", path.display())]
    Writable {
        /// The directory.
        path: PathBuf,
    },
    /// Others could have read a file that should be private.
    #[error(
        "`{}` is open to others (mode {mode:o}): if nobody has read it, `chmod 600` it",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file of a key does not hold one.
    #[error("`{}` does not hold a key: put it back from a backup", path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// A file or the directory could not be read or written.
    #[error("`{}` could not be read or written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn process(pid: Option<u32>) -> String {
    pid.map_or("another process".to_owned(), |pid| {
        format!("the process with pid {pid}")
    })
}

/// Adds the path to what the system said.
fn at(path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    |source| DataDirError::File {
        path: path.to_owned(),
        source,
    }
}

impl DataDir {
    /// Takes a directory for this process; makes it, for its owner alone, if it is not there.
    ///
    /// # Errors
    /// [`DataDirError::InUse`] while another process has it.
    pub fn lock(path: impl AsRef<Path>) -> Result<Self, DataDirError> {
        let asked = path.as_ref();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(asked)
            .map_err(at(asked))?;
        let path = asked.canonicalize().map_err(at(asked))?;
        let mode = fs::metadata(&path).map_err(at(&path))?.permissions().mode();
        if mode & 0o022 != 0 {
            return Err(DataDirError::Writable { path });
        }
        let file = path.join(LOCK);
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut lock = options.open(&file).map_err(at(&file))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::InUse {
                    pid: pid_in(&mut lock),
                    path,
                });
            }
            Err(TryLockError::Error(error)) => return Err(at(&file)(error)),
        }
        // What a process that crashed has left there is overwritten.
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(at(&file))?;
        Ok(Self { path, _lock: lock })
    }

    /// The directory, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in the directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file that only its owner may read, all or nothing: whoever reads it finds the old
    /// content or the new, also after a crash, and after `Ok` the new.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn write_private(&self, name: &str, content: &[u8]) -> Result<(), DataDirError> {
        let (path, new) = (self.file(name), self.file(&format!("{name}.new")));
        // Left behind by a crash; nobody else writes here.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&new)(error)),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&new).map_err(at(&new))?;
        file.write_all(content)
            .and_then(|()| file.sync_all())
            .map_err(at(&new))?;
        fs::rename(&new, &path)
            .and_then(|()| sync_folder_of(&path))
            .map_err(at(&path))
    }

    /// Reads a private file, as [`read_private`] does.
    ///
    /// # Errors
    /// As [`read_private`].
    pub fn read_private(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, DataDirError> {
        read_private(self.file(name))
    }

    /// The key in a private file; `make` makes a new one if there is no file.
    ///
    /// # Errors
    /// The file is there and holds no key, or could not be read or written.
    pub fn key(
        &self,
        name: &str,
        make: impl FnOnce() -> Zeroizing<[u8; KEY_LEN]>,
    ) -> Result<Zeroizing<[u8; KEY_LEN]>, DataDirError> {
        if let Some(text) = self.read_private(name)? {
            return key_of_text(&text).ok_or_else(|| DataDirError::Key {
                path: self.file(name),
            });
        }
        let key = make();
        let mut text = Zeroizing::new(Vec::with_capacity(2 * KEY_LEN + 1));
        for byte in key.iter() {
            text.extend(
                [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]),
            );
        }
        text.push(b'\n');
        self.write_private(name, &text)?;
        Ok(key)
    }
}

/// Reads a file that only its owner may read, also one in a data directory that another process
/// has; `None` if there is none. The content is wiped when it is dropped.
///
/// # Errors
/// [`DataDirError::Exposed`] if others may read or write it too.
pub fn read_private(path: impl AsRef<Path>) -> Result<Option<Zeroizing<Vec<u8>>>, DataDirError> {
    let path = path.as_ref();
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(at(path))?,
    };
    let metadata = file.metadata().map_err(at(path))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(DataDirError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    if metadata.len() > MAX_PRIVATE_LEN {
        return Err(at(path)(io::ErrorKind::FileTooLarge.into()));
    }
    // With room for all of it from the start, it is in one place only.
    let mut content = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    file.take(MAX_PRIVATE_LEN)
        .read_to_end(&mut content)
        .map_err(at(path))?;
    Ok(Some(content))
}

/// A key from its hexadecimal digits.
fn key_of_text(text: &[u8]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let text = text.trim_ascii_end();
    let mut key = Zeroizing::new([0; KEY_LEN]);
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != KEY_LEN {
        return None;
    }
    for (byte, &[high, low]) in key.iter_mut().zip(pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(key)
}

/// Who has locked the file: `None` in the moment between locking and writing it down.
fn pid_in(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.rewind().ok()?;
    lock.take(16).read_to_string(&mut text).ok()?;
    text.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn one_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = DataDir::lock(&path).unwrap();
        assert_eq!((mode(&path), mode(&first.file("lock"))), (0o700, 0o600));
        let error = DataDir::lock(&path).unwrap_err();
        let pid = std::process::id();
        assert!(matches!(error, DataDirError::InUse { pid: Some(found), .. } if found == pid));
        assert!(
            error
                .to_string()
                .ends_with(&format!("in use by the process with pid {pid}"))
        );
        drop(first);
        let second = DataDir::lock(&path).unwrap();
        assert_eq!(second.path(), path.canonicalize().unwrap());
    }

    #[test]
    fn what_a_crash_left_is_no_obstacle() {
        for left in ["", "1\n", "999999999\n", "nonsense"] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(LOCK), left).unwrap();
            let locked = DataDir::lock(folder.path()).unwrap();
            let pid = fs::read_to_string(locked.file(LOCK)).unwrap();
            assert_eq!(pid, format!("{}\n", std::process::id()), "{left:?}");
        }
    }

    #[test]
    fn folders_that_others_can_write_are_refused() {
        for (bits, accepted) in [(0o700, true), (0o755, true), (0o770, false), (0o777, false)] {
            let folder = tempfile::tempdir().unwrap();
            set_mode(folder.path(), bits);
            assert_eq!(DataDir::lock(folder.path()).is_ok(), accepted, "{bits:o}");
        }
    }

    #[test]
    fn private_files() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::lock(folder.path()).unwrap();
        assert!(data.read_private("f").unwrap().is_none());
        fs::write(data.file("f.new"), "left by a crash").unwrap();
        for content in ["one", "", "three"] {
            data.write_private("f", content.as_bytes()).unwrap();
            assert_eq!(mode(&data.file("f")), 0o600);
            assert_eq!(
                **data.read_private("f").unwrap().unwrap(),
                *content.as_bytes()
            );
        }
        assert!(!data.file("f.new").exists());
        set_mode(&data.file("f"), 0o640);
        let error = data.read_private("f").unwrap_err();
        assert!(
            matches!(error, DataDirError::Exposed { mode: 0o640, .. }),
            "{error}"
        );
        set_mode(&data.file("f"), 0o600);
        fs::write(data.file("f"), vec![0; MAX_PRIVATE_LEN as usize + 1]).unwrap();
        assert!(matches!(
            data.read_private("f"),
            Err(DataDirError::File { .. })
        ));
    }

    #[test]
    fn keys_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::lock(folder.path()).unwrap();
        let made = Zeroizing::new(std::array::from_fn(|at| at as u8 * 7));
        assert_eq!(data.key("k", || made.clone()).unwrap(), made);
        assert_eq!(
            data.key("k", || unreachable!("there is one")).unwrap(),
            made
        );
        assert_eq!(mode(&data.file("k")), 0o600);
        let text = fs::read_to_string(data.file("k")).unwrap();
        assert_eq!(text.len(), 65);
        for bad in [
            "",
            "00",
            &text[1..],
            &text.replace('0', "g"),
            &format!("{}00", text.trim()),
        ] {
            fs::write(data.file("k"), bad).unwrap();
            let error = data.key("k", || unreachable!("not replaced")).unwrap_err();
            assert!(
                matches!(error, DataDirError::Key { .. }),
                "{bad:?}: {error}"
            );
        }
    }
}
