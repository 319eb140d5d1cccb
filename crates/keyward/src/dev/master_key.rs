//! Where the master key comes from, and how it is changed.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_auth::{
    MasterKey, MasterKeyError, PASSPHRASE_SALT_LEN, SealError, sealed_of_text, text_of_sealed,
};
use keyward_gateway::{add_snapshot_keys, settle_snapshot_keys};
use keyward_server::now;
use keyward_store::{AuditRecord, DataDir, Store};
use serde_json::json;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};

/// Name of the file that the master key is kept in, unless it comes from elsewhere.
const FILE: &str = "master.key";

/// Name of the folder with the files of snapshots.
const SNAPSHOTS: &str = "snapshots";

/// Name of the file with the salt of passphrases. Not secret.
const SALT_FILE: &str = "master.salt";

/// Longest passphrase file, in bytes.
const MAX_PASSPHRASE_LEN: u64 = 64 * 1024;

/// From where the master key comes. Without any of these it is made at the first start and kept in
/// the data directory, beside what it seals.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)] // two commands take it beside their own
pub(crate) struct Arguments {
    /// File with the passphrase of the master key; KEYWARD_MASTER_KEY (base64) and
    /// KEYWARD_MASTER_PASSPHRASE are taken, too.
    #[arg(long, value_name = "FILE", env = "KEYWARD_MASTER_PASSPHRASE_FILE")]
    master_passphrase_file: Option<PathBuf>,
    /// File with the master key in base64, as a supervisor hands secrets over.
    #[arg(
        long,
        value_name = "FILE",
        env = "KEYWARD_MASTER_KEY_FILE",
        conflicts_with = "master_passphrase_file"
    )]
    master_key_file: Option<PathBuf>,
}

/// Where a master key is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Keeper {
    /// A file in the data directory, which Keyward makes.
    File,
    /// KEYWARD_NEW_MASTER_KEY, base64; KEYWARD_MASTER_KEY from then on.
    Environment,
    /// KEYWARD_NEW_MASTER_PASSPHRASE; KEYWARD_MASTER_PASSPHRASE from then on.
    Passphrase,
}

/// A variable of the environment that holds a secret; an empty one counts as none.
fn variable(name: &str) -> Option<Zeroizing<String>> {
    let value = std::env::var(name).ok().map(Zeroizing::new);
    value.filter(|value| !value.is_empty())
}

/// The master key of a data directory, made if this is its first start.
pub(super) fn open(
    arguments: &Arguments,
    directory: &DataDir,
    store: &mut Store,
) -> Result<MasterKey, Failure> {
    let bound = store.master_key_id().map_err(|error| Failure::of(&error))?;
    let key = match given(arguments, directory)? {
        Some(key) => key,
        None => kept(directory, bound.as_deref())?,
    };
    store
        .bind_master_key(&key.id().to_string())
        .map_err(|error| Failure::of(&error))?;
    Ok(key)
}

/// The key that the environment or a passphrase gives.
fn given(arguments: &Arguments, directory: &DataDir) -> Result<Option<MasterKey>, Failure> {
    let passphrase = match &arguments.master_passphrase_file {
        Some(file) => Some(read_secret("--master-passphrase-file", file)?),
        None => variable("KEYWARD_MASTER_PASSPHRASE"),
    };
    let (what, key) = match &arguments.master_key_file {
        Some(file) => {
            let what = "--master-key-file";
            if variable("KEYWARD_MASTER_KEY").is_some() {
                let text = "the master key comes from KEYWARD_MASTER_KEY or from --master-key-file, \
                            not from both";
                return Err(Failure::new(Exit::Usage, text));
            }
            (what, Some(read_secret(what, file)?))
        }
        None => ("KEYWARD_MASTER_KEY", variable("KEYWARD_MASTER_KEY")),
    };
    match (key, passphrase) {
        (Some(_), Some(_)) => Err(Failure::new(
            Exit::Usage,
            format!("the master key comes from {what} or from a passphrase, not from both"),
        )),
        (Some(text), None) => MasterKey::parse(text.trim())
            .map(Some)
            .map_err(|error| unusable(what, error)),
        (None, Some(text)) => of_passphrase(&text, directory).map(Some),
        (None, None) => Ok(None),
    }
}

fn unusable(what: &str, error: MasterKeyError) -> Failure {
    Failure::new(Exit::Usage, format!("{what}: {error}"))
}

fn of_passphrase(text: &str, directory: &DataDir) -> Result<MasterKey, Failure> {
    let salt = salt(directory)?;
    MasterKey::of_passphrase(text.as_bytes(), &salt)
        .map_err(|error| unusable("the master key's passphrase", error))
}

fn read_secret(flag: &str, path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: std::io::Error| {
        let text = format!("{flag} `{}`: {error}", path.display());
        Failure::new(Exit::Failed, text)
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_PASSPHRASE_LEN)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(Zeroizing::new(
        text.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}

/// The salt of passphrases, made when it is first asked for.
fn salt(directory: &DataDir) -> Result<[u8; PASSPHRASE_SALT_LEN], Failure> {
    let found = directory
        .read_private(SALT_FILE)
        .map_err(|error| Failure::of(&error))?;
    if let Some(text) = found {
        let decoded = STANDARD.decode(text.trim_ascii()).ok();
        return decoded
            .and_then(|salt| salt.try_into().ok())
            .ok_or_else(|| {
                let path = directory.file(SALT_FILE);
                let text = format!(
                    "`{}` does not hold a salt: put it back from a backup",
                    path.display()
                );
                Failure::new(Exit::Failed, text)
            });
    }
    let salt = keyward_auth::random_bytes();
    directory
        .write_private(SALT_FILE, format!("{}\n", STANDARD.encode(salt)).as_bytes())
        .map_err(|error| Failure::of(&error))?;
    Ok(salt)
}

/// The key in the data directory. Two stand there if a change of the key was interrupted: the one
/// that the store is bound to is right, and the other one goes.
fn kept(directory: &DataDir, bound: Option<&str>) -> Result<MasterKey, Failure> {
    let Some(text) = directory
        .read_private(FILE)
        .map_err(|error| Failure::of(&error))?
    else {
        if bound.is_some() {
            let path = directory.file(FILE);
            let text = format!(
                "the master key is missing: give the one that was used before (KEYWARD_MASTER_KEY, \
                 KEYWARD_MASTER_PASSPHRASE), or put `{}` back from a backup",
                path.display()
            );
            return Err(Failure::new(Exit::Failed, text));
        }
        let key = MasterKey::generate();
        keep(directory, &[&key])?;
        return Ok(key);
    };
    let malformed = || {
        let path = directory.file(FILE);
        let text = format!(
            "`{}` does not hold a key: put it back from a backup",
            path.display()
        );
        Failure::new(Exit::Failed, text)
    };
    let text = std::str::from_utf8(&text).map_err(|_| malformed())?;
    let keys: Vec<MasterKey> = text
        .lines()
        .map(MasterKey::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| malformed())?;
    let right = keys
        .iter()
        .find(|key| bound.is_none_or(|bound| key.id().to_string() == bound))
        .or(keys.first())
        .ok_or_else(malformed)?;
    if keys.len() > 1 && bound.is_some_and(|bound| right.id().to_string() == bound) {
        keep(directory, &[right])?;
    }
    Ok(right.clone())
}

/// Writes keys into the file in the data directory.
fn keep(directory: &DataDir, keys: &[&MasterKey]) -> Result<(), Failure> {
    let mut text = Zeroizing::new(String::with_capacity(keys.len() * 45));
    for key in keys {
        text.push_str(&Zeroizing::new(STANDARD.encode(key.expose())));
        text.push('\n');
    }
    directory
        .write_private(FILE, text.as_bytes())
        .map_err(|error| Failure::of(&error))
}

/// What a change of the master key did.
pub(crate) struct Rotated {
    /// How many secrets were sealed again.
    pub(crate) secrets: usize,
    /// Id of the new key.
    pub(crate) key_id: String,
}

/// Changes everything sealed in a data directory to another master key. Crash-safe: the store is
/// changed in one transaction; both keys are kept until it is done, and files of snapshots open
/// under both.
pub(super) fn rotate(
    arguments: &Arguments,
    to: Keeper,
    directory: &DataDir,
    store: &mut Store,
) -> Result<Rotated, Failure> {
    let old = open(arguments, directory, store)?;
    let asked = |name: &str| {
        variable(name).ok_or_else(|| Failure::new(Exit::Usage, format!("{name} is not set")))
    };
    let new = match to {
        Keeper::File => MasterKey::generate(),
        Keeper::Environment => MasterKey::parse(&asked("KEYWARD_NEW_MASTER_KEY")?)
            .map_err(|error| unusable("KEYWARD_NEW_MASTER_KEY", error))?,
        Keeper::Passphrase => of_passphrase(&asked("KEYWARD_NEW_MASTER_PASSPHRASE")?, directory)?,
    };
    if new.id() == old.id() {
        let text = "the new master key is the one in use";
        return Err(Failure::new(Exit::Usage, text));
    }
    let was_in_file = given(arguments, directory)?.is_none();
    if to == Keeper::File {
        keep(directory, &[&new, &old])?;
    }
    let snapshots = directory.file(SNAPSHOTS);
    let unusable = add_snapshot_keys(&snapshots, &old, &new)?.unusable;
    if unusable > 0 {
        tracing::warn!(
            unusable,
            "files of snapshots do not open under the old master key"
        );
    }
    let secrets = reseal(store, &old, &new)?;
    settle_snapshot_keys(&snapshots, &new)?;
    match to {
        Keeper::File => keep(directory, &[&new])?,
        // A key that opens nothing any more only misleads.
        _ if was_in_file => std::fs::remove_file(directory.file(FILE))?,
        _ => {}
    }
    Ok(Rotated {
        secrets,
        key_id: new.id().to_string(),
    })
}

fn reseal(store: &mut Store, old: &MasterKey, new: &MasterKey) -> Result<usize, Failure> {
    let record = AuditRecord {
        at: now(),
        principal: "system".to_owned(),
        actions: Vec::new(),
        resource: "system".to_owned(),
        summary: json!({
            "change": "rotate_master_key",
            "former": old.id().to_string(),
            "key_id": new.id().to_string(),
        }),
        source: None,
        request_id: None,
    };
    store
        .reseal(&new.id().to_string(), &record, |text| {
            resealed_text(old, new, text)
        })
        .map_err(|error| Failure::of(&error))
}

/// A text of a row under the new key, if it is sealed: rows hold what is sealed as
/// [`text_of_sealed`] or in hexadecimal.
fn resealed_text(
    old: &MasterKey,
    new: &MasterKey,
    text: &str,
) -> Option<Result<String, SealError>> {
    if let Ok(sealed) = sealed_of_text(text) {
        let again = new.reseal(old, &sealed)?;
        return Some(again.map(|sealed| text_of_sealed(&sealed)));
    }
    let sealed = unhex(text)?;
    let again = new.reseal(old, &sealed)?;
    Some(again.map(|sealed| sealed.iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// Bytes from lower-case hexadecimal digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> (tempfile::TempDir, DataDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let directory = DataDir::lock(folder.path()).unwrap();
        let store = Store::open(directory.file("keyward.db")).unwrap();
        (folder, directory, store)
    }

    const NOTHING: Arguments = Arguments {
        master_passphrase_file: None,
        master_key_file: None,
    };

    #[test]
    fn made_once_and_missed() {
        let (_folder, directory, mut store) = places();
        let made = open(&NOTHING, &directory, &mut store).unwrap();
        let again = open(&NOTHING, &directory, &mut store).unwrap();
        assert_eq!(again.id(), made.id());
        std::fs::remove_file(directory.file(FILE)).unwrap();
        let missing = open(&NOTHING, &directory, &mut store).unwrap_err();
        assert!(missing.to_string().contains("missing"), "{missing}");
        keep(&directory, &[&MasterKey::generate()]).unwrap();
        let another = open(&NOTHING, &directory, &mut store).unwrap_err();
        assert!(another.to_string().contains("is not the one"), "{another}");
    }

    #[test]
    fn rotation_seals_everything_again() {
        let (_folder, directory, mut store) = places();
        let old = open(&NOTHING, &directory, &mut store).unwrap();
        let sealed = text_of_sealed(&old.seal("signing_keys", b"secret"));
        store.put_sealed("signing_keys", &sealed).unwrap();
        let header = keyward_gateway::SnapshotHeader {
            path: "org/acme/kvdb/db/snapshot/one".into(),
            created: 1,
            server: "embedded".into(),
        };
        std::fs::create_dir_all(directory.file("snapshots/acme/db")).unwrap();
        let file = directory.file("snapshots/acme/db/one.kws");
        let made = std::fs::File::create(&file).unwrap();
        let made = keyward_gateway::SnapshotWriter::new(made, &old, &header).unwrap();
        made.finish().unwrap();
        let revision = store.revision();
        let rotated = rotate(&NOTHING, Keeper::File, &directory, &mut store).unwrap();
        assert_eq!(rotated.secrets, 1);
        assert_eq!(store.revision(), revision + 1, "the audit knows of it");
        let new = open(&NOTHING, &directory, &mut store).unwrap();
        assert_ne!(new.id(), old.id());
        let sealed = store.sealed("signing_keys").unwrap().unwrap();
        let sealed = sealed_of_text(&sealed).unwrap();
        assert_eq!(**new.open("signing_keys", &sealed).unwrap(), *b"secret");
        assert!(old.open("signing_keys", &sealed).is_err());
        for (key, opens) in [(&old, false), (&new, true)] {
            let file = std::fs::File::open(&file).unwrap();
            let opened = keyward_gateway::SnapshotReader::new(file, key, &header.path);
            assert_eq!(opened.is_ok(), opens);
        }
    }

    #[test]
    fn a_crash_leaves_the_right_key() {
        for done in [false, true] {
            let (_folder, directory, mut store) = places();
            let old = open(&NOTHING, &directory, &mut store).unwrap();
            let new = MasterKey::generate();
            let sealed = text_of_sealed(&old.seal("p", b"secret"));
            store.put_sealed("p", &sealed).unwrap();
            keep(&directory, &[&new, &old]).unwrap();
            if done {
                reseal(&mut store, &old, &new).unwrap();
            }
            let found = open(&NOTHING, &directory, &mut store).unwrap();
            let sealed = sealed_of_text(&store.sealed("p").unwrap().unwrap()).unwrap();
            assert_eq!(**found.open("p", &sealed).unwrap(), *b"secret", "{done}");
            let text = directory.read_private(FILE).unwrap().unwrap();
            assert_eq!(text.len(), 45, "the other one is gone");
        }
    }

    #[test]
    fn what_does_not_open_changes_nothing() {
        let (_folder, directory, mut store) = places();
        let old = open(&NOTHING, &directory, &mut store).unwrap();
        let third = MasterKey::generate();
        let sealed = text_of_sealed(&third.seal("p", b"secret"));
        store.put_sealed("p", &sealed).unwrap();
        assert!(rotate(&NOTHING, Keeper::File, &directory, &mut store).is_err());
        assert_eq!(store.sealed("p").unwrap(), Some(sealed));
        let found = open(&NOTHING, &directory, &mut store).unwrap();
        assert_eq!(found.id(), old.id());
    }

    #[test]
    fn texts_in_rows() {
        let (old, new) = (MasterKey::generate(), MasterKey::generate());
        let sealed = old.seal("p", b"secret");
        let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        let again = resealed_text(&old, &new, &hex).unwrap().unwrap();
        assert_eq!(
            **new.open("p", &unhex(&again).unwrap()).unwrap(),
            *b"secret"
        );
        for other in ["", "kvdb/main", "S1dT", "4b5753", "00ff", "S1dTAdbKXISy9t"] {
            assert!(resealed_text(&old, &new, other).is_none(), "{other}");
        }
    }
}
