//! With which credential, and where, client commands work.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};

/// Where `keyward dev` keeps everything unless told otherwise.
pub(crate) const DATA_DIR: &str = ".keyward";

/// Name of the file in the data directory that has the secrets of `keyward dev`.
pub(crate) const CLI_FILE: &str = "cli.json";

/// Address of the API unless told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:6381";

/// Longest file that is read, in bytes.
const MAX_FILE_LEN: u64 = 1024 * 1024;

/// Who asks, and whom.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ProfileArguments {
    /// A profile of `profiles.json` in $XDG_CONFIG_HOME/keyward (or ~/.config/keyward).
    #[arg(long, global = true, env = "KEYWARD_PROFILE", value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The organisation that short names are of.
    #[arg(
        long,
        short = 'O',
        global = true,
        env = "KEYWARD_ORGANISATION",
        value_name = "ID"
    )]
    pub(crate) organisation: Option<String>,
    /// Directory of `keyward dev`, where its credentials are found, too.
    #[arg(long, global = true, env = "KEYWARD_DATA_DIR", default_value = DATA_DIR, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
}

/// What proves who asks.
#[derive(Clone)]
pub(crate) enum Credential {
    /// Nothing: for signing in.
    Nobody,
    /// An access key.
    Key {
        id: String,
        secret: Zeroizing<String>,
    },
    /// Temporary credentials: the key of a session, with its id.
    Session { id: String, key: Zeroizing<String> },
    /// A person's login session.
    Login(Zeroizing<String>),
}

/// A credential and the server that it is for.
#[derive(Clone)]
pub(crate) struct Profile {
    pub(crate) url: String,
    pub(crate) credential: Credential,
    pub(crate) organisation: Option<String>,
    /// The authorities that vouch for the server, in PEM form; the public ones without.
    pub(crate) ca_file: Option<PathBuf>,
}

/// A profile in `profiles.json`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum StoredProfile {
    Key(StoredKeyProfile),
    Login(StoredLogin),
}

/// An access key in a profile, and what `keyward dev` keeps.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoredKeyProfile {
    pub(crate) url: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Zeroizing<String>,
    #[serde(default)]
    pub(crate) organisation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// The session of a person in a profile.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoredLogin {
    pub(crate) url: String,
    pub(crate) login_token: Zeroizing<String>,
    /// Path of the user.
    pub(crate) user: String,
    #[serde(default)]
    pub(crate) session: Option<String>,
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
    #[serde(default)]
    pub(crate) organisation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// The file of `keyward dev`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct CliFile {
    /// The administrator's, which client commands use.
    #[serde(flatten)]
    pub(crate) admin: StoredKeyProfile,
    /// The application's, to be printed again.
    pub(crate) app: StoredKey,
}

/// An access key.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoredKey {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Zeroizing<String>,
}

impl From<StoredKeyProfile> for Profile {
    fn from(stored: StoredKeyProfile) -> Self {
        Self {
            url: stored.url,
            credential: Credential::Key {
                id: stored.access_key_id,
                secret: stored.secret_access_key,
            },
            organisation: stored.organisation,
            ca_file: stored.ca_file,
        }
    }
}

impl From<StoredProfile> for Profile {
    fn from(stored: StoredProfile) -> Self {
        match stored {
            StoredProfile::Key(key) => key.into(),
            StoredProfile::Login(login) => Self {
                url: login.url,
                credential: Credential::Login(login.login_token),
                organisation: login.organisation,
                ca_file: login.ca_file,
            },
        }
    }
}

impl ProfileArguments {
    /// The profile that was named, else that of the environment, else the session of whoever signed
    /// in, else the administrator of `keyward dev`. In a directory of `keyward dev` a session at
    /// another server is passed over.
    pub(crate) fn resolve(&self) -> Result<Profile, Failure> {
        let mut profile = match (&self.profile, from_environment()?) {
            (Some(name), _) => named(name)?,
            (None, Some(profile)) => profile,
            (None, None) => match (login(DEFAULT)?, self.of_dev()) {
                (Some(login), Ok(dev)) if login.url != dev.url => dev,
                (Some(login), _) => login,
                (None, dev) => dev?,
            },
        };
        if let Some(file) = ca_file() {
            profile.ca_file = Some(file);
        }
        if let Some(organisation) = &self.organisation {
            profile.organisation = Some(organisation.clone());
        }
        Ok(profile)
    }

    /// Address of the API for somebody who has no credential yet.
    pub(crate) fn url(&self) -> String {
        let stored = self.profile.as_deref().and_then(|name| named(name).ok());
        let dev = || self.of_dev().ok().map(|profile| profile.url);
        match (variable("KEYWARD_URL"), stored) {
            (Some(url), _) => url,
            (None, Some(profile)) => profile.url,
            (None, None) => dev().unwrap_or_else(|| DEFAULT_URL.to_owned()),
        }
    }

    fn of_dev(&self) -> Result<Profile, Failure> {
        let path = self.data_dir.join(CLI_FILE);
        let Some(text) = read_private(&path)? else {
            let text = format!(
                "no credential: `keyward login`, start `keyward dev` in this directory, or set \
                 KEYWARD_ACCESS_KEY_ID and KEYWARD_SECRET_ACCESS_KEY (no `{}`)",
                path.display()
            );
            return Err(Failure::new(Exit::Unauthenticated, text));
        };
        let file: CliFile = parse(&path, &text)?;
        let mut profile = Profile::from(file.admin);
        if let Some(url) = variable("KEYWARD_URL") {
            profile.url = url;
        }
        Ok(profile)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The file of authorities that the environment names.
pub(crate) fn ca_file() -> Option<PathBuf> {
    variable("KEYWARD_CA_FILE").map(PathBuf::from)
}

fn from_environment() -> Result<Option<Profile>, Failure> {
    let secret = variable("KEYWARD_SECRET_ACCESS_KEY").map(Zeroizing::new);
    let session = variable("KEYWARD_SESSION_KEY").map(Zeroizing::new);
    let credential = match (variable("KEYWARD_ACCESS_KEY_ID"), secret, session) {
        (Some(id), _, Some(key)) => Credential::Session { id, key },
        (Some(id), Some(secret), None) => Credential::Key { id, secret },
        (None, None, None) => return Ok(None),
        _ => {
            return Err(Failure::new(
                Exit::Usage,
                "KEYWARD_ACCESS_KEY_ID and KEYWARD_SECRET_ACCESS_KEY (or KEYWARD_SESSION_KEY) belong \
                 together: one is missing",
            ));
        }
    };
    Ok(Some(Profile {
        url: variable("KEYWARD_URL").unwrap_or_else(|| DEFAULT_URL.to_owned()),
        credential,
        organisation: None,
        ca_file: None,
    }))
}

/// Name of the profile of `keyward login` without a name.
pub(crate) const DEFAULT: &str = "default";

/// The session that a profile keeps; none if it is none, or an access key.
pub(crate) fn login(name: &str) -> Result<Option<Profile>, Failure> {
    let path = profiles_file();
    let Some(text) = read_private(&path)? else {
        return Ok(None);
    };
    let mut profiles: Profiles = parse(&path, &text)?;
    let found = profiles.remove(name);
    Ok(found
        .filter(|found| matches!(found, StoredProfile::Login(_)))
        .map(Profile::from))
}

/// Forgets a profile.
pub(crate) fn forget(name: &str) -> Result<(), Failure> {
    let path = profiles_file();
    if let Some(text) = read_private(&path)? {
        let mut profiles: Profiles = parse(&path, &text)?;
        if profiles.remove(name).is_some() {
            write(&path, &profiles)?;
        }
    }
    Ok(())
}

/// Profiles by name.
type Profiles = BTreeMap<String, StoredProfile>;

fn profiles_file() -> PathBuf {
    let base = match variable("XDG_CONFIG_HOME") {
        Some(base) => PathBuf::from(base),
        None => PathBuf::from(variable("HOME").unwrap_or_default()).join(".config"),
    };
    base.join("keyward").join("profiles.json")
}

fn named(name: &str) -> Result<Profile, Failure> {
    let path = profiles_file();
    let missing = || {
        let text = format!("no profile `{name}` in `{}`", path.display());
        Failure::new(Exit::Unauthenticated, text).with_hint(format!(
            "`keyward --profile {name} login` makes it, and so does `keyward key create \
             <identity> --save-profile {name}`"
        ))
    };
    let text = read_private(&path)?.ok_or_else(missing)?;
    let mut profiles: Profiles = parse(&path, &text)?;
    profiles.remove(name).map(Profile::from).ok_or_else(missing)
}

/// Keeps a profile under a name, in place of one that has it already. The file is its owner's
/// alone, and is replaced whole.
pub(crate) fn save(name: &str, profile: StoredProfile) -> Result<PathBuf, Failure> {
    let path = profiles_file();
    let mut profiles: Profiles = match read_private(&path)? {
        Some(text) => parse(&path, &text)?,
        None => Profiles::new(),
    };
    profiles.insert(name.to_owned(), profile);
    write(&path, &profiles)?;
    Ok(path)
}

fn write(path: &Path, profiles: &Profiles) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("`{}`: {error}", path.display()))
    };
    let text = serde_json::to_vec_pretty(profiles).map(Zeroizing::new);
    let text = text.map_err(|error| failed(error.into()))?;
    if let Some(parent) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(failed)?;
    }
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&fresh, path));
    if let Err(error) = written {
        let _ = std::fs::remove_file(&fresh);
        return Err(failed(error));
    }
    Ok(())
}

fn parse<T: for<'de> Deserialize<'de>>(path: &Path, text: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|error| {
        // Only the place: the message could quote what stands there.
        let place = format!("line {}, column {}", error.line(), error.column());
        let text = format!("`{}` is malformed ({place})", path.display());
        Failure::new(Exit::Failed, text)
    })
}

/// Reads a file that has secrets in it; `None` if there is none.
pub(crate) fn read_private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("`{}`: {error}", path.display()))
    };
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let metadata = file.metadata().map_err(failed)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        let text = format!("`{}` is open to others: `chmod 600` it", path.display());
        return Err(Failure::new(Exit::Failed, text));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(
        metadata.len().min(MAX_FILE_LEN) as usize + 1,
    ));
    file.take(MAX_FILE_LEN)
        .read_to_end(&mut text)
        .map_err(failed)?;
    Ok(Some(text))
}
