//! The two access keys of `keyward dev`, and the file that keeps their secrets.

use keyward_auth::{AccessKeyId, AccessKeySecret, HashKey, hash_secret};
use keyward_iam::{Change, KeyStatus};
use keyward_server::{ControlPlane, now};
use keyward_store::DataDir;
use zeroize::Zeroizing;

use super::ApiAddress;
use super::setup::{ADMIN, APP, ORGANISATION};
use crate::failure::Failure;
use crate::profile::{CLI_FILE, CliFile, StoredKey, StoredKeyProfile};

/// The keys; `None` for an identity that was deleted.
pub(super) struct Keys {
    pub(super) app: Option<AccessKeySecret>,
    pub(super) admin: Option<AccessKeySecret>,
}

/// Where the secrets are kept: the data directory, which stays locked with it, or nowhere.
pub(super) struct Keeper(Option<DataDir>);

impl Keeper {
    pub(super) fn nowhere() -> Self {
        Self(None)
    }

    pub(super) fn in_directory(directory: DataDir) -> Self {
        Self(Some(directory))
    }

    /// The data directory, if there is one.
    pub(super) fn directory(&self) -> Option<&DataDir> {
        self.0.as_ref()
    }

    /// The keys that were kept, as far as they are still good; new ones in the place of others.
    pub(super) fn keys(
        &mut self,
        control: &ControlPlane,
        hash_key: &HashKey,
        api: &ApiAddress,
    ) -> Result<Keys, Failure> {
        let kept = self.read()?;
        let of = |secret: &Zeroizing<String>| AccessKeySecret::parse(secret.as_bytes()).ok();
        let app = kept
            .as_ref()
            .and_then(|file| of(&file.app.secret_access_key));
        let admin = kept
            .as_ref()
            .and_then(|file| of(&file.admin.secret_access_key));
        let keys = Keys {
            app: key(control, hash_key, APP, app)?,
            admin: key(control, hash_key, ADMIN, admin)?,
        };
        self.write(&keys, api)?;
        Ok(keys)
    }

    fn read(&self) -> Result<Option<CliFile>, Failure> {
        let Some(directory) = &self.0 else {
            return Ok(None);
        };
        let text = directory
            .read_private(CLI_FILE)
            .map_err(|error| Failure::of(&error))?;
        // What cannot be read is replaced like what is gone.
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    fn write(&self, keys: &Keys, api: &ApiAddress) -> Result<(), Failure> {
        let Some(directory) = &self.0 else {
            return Ok(());
        };
        let stored = |secret: &Option<AccessKeySecret>| StoredKey {
            access_key_id: secret
                .as_ref()
                .map(|secret| secret.key_id().to_string())
                .unwrap_or_default(),
            secret_access_key: Zeroizing::new(
                secret
                    .as_ref()
                    .map(|secret| secret.expose().to_owned())
                    .unwrap_or_default(),
            ),
        };
        let admin = stored(&keys.admin);
        let file = CliFile {
            admin: StoredKeyProfile {
                url: api.url.clone(),
                ca_file: api.ca_file.clone(),
                access_key_id: admin.access_key_id,
                secret_access_key: admin.secret_access_key,
                organisation: Some(ORGANISATION.to_owned()),
            },
            app: stored(&keys.app),
        };
        let text = Zeroizing::new(
            serde_json::to_string_pretty(&file).map_err(|error| Failure::of(&error))?,
        );
        directory
            .write_private(CLI_FILE, text.as_bytes())
            .map_err(|error| Failure::of(&error))
    }
}

/// The key of an identity: the kept one if it is still good, else a new one in the place of those
/// that an earlier start made.
fn key(
    control: &ControlPlane,
    hash_key: &HashKey,
    identity: &str,
    kept: Option<AccessKeySecret>,
) -> Result<Option<AccessKeySecret>, Failure> {
    let directory = control.directory();
    let Some(ix) = directory.identity_at(identity) else {
        return Ok(None);
    };
    if let Some(secret) = kept {
        let stored = directory.access_key(secret.key_id().as_str());
        let good = stored.is_some_and(|(_, key)| {
            key.identity == ix
                && key.status == KeyStatus::Active
                && key.secret_hash == hash_secret(hash_key, &secret)
        });
        if good {
            return Ok(Some(secret));
        }
    }
    let make = |change: Change| {
        control
            .change_as_operator(&change, now())
            .map_err(|error| Failure::of(&error))
    };
    let old = directory
        .identity(ix)
        .map(|identity| identity.access_keys.clone());
    for key in old.into_iter().flatten() {
        let Some(key) = directory.access_key_by_ix(key) else {
            continue;
        };
        if &*key.created.by == "system" {
            let path = directory.access_key_path(key);
            make(Change::DeleteAccessKey { path })?;
        }
    }
    let key_id = AccessKeyId::generate();
    let secret = AccessKeySecret::generate(key_id);
    make(Change::CreateAccessKey {
        identity: identity.to_owned(),
        key_id: key_id.to_string(),
        secret_hash: hash_secret(hash_key, &secret),
        description: Some("keyward dev".to_owned()),
        expires_at: None,
        sealed_secret: None,
    })?;
    Ok(Some(secret))
}

#[cfg(test)]
mod tests {
    use keyward_store::Store;

    use super::*;

    fn ids(keys: &Keys) -> [String; 2] {
        [&keys.app, &keys.admin].map(|key| key.as_ref().unwrap().key_id().to_string())
    }

    #[test]
    fn kept_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let directory = DataDir::lock(folder.path()).unwrap();
        let file = directory.file(CLI_FILE);
        let control = ControlPlane::open(Store::open_in_memory().unwrap()).unwrap();
        crate::dev::setup::run(&control, false, None).unwrap();
        let hash_key = HashKey::generate();
        let mut keeper = Keeper::in_directory(directory);
        let mut start = || {
            let api = ApiAddress {
                url: "http://127.0.0.1:6381".into(),
                ca_file: None,
            };
            ids(&keeper.keys(&control, &hash_key, &api).unwrap())
        };
        let first = start();
        assert_eq!(start(), first, "found again");

        std::fs::remove_file(&file).unwrap();
        let second = start();
        assert!(first.iter().all(|id| !second.contains(id)), "replaced");
        let directory = control.directory();
        for id in &first {
            assert!(
                directory.access_key(id).is_none(),
                "the old key opens nothing"
            );
        }

        let app = directory.access_key(&second[0]).unwrap().1;
        let change = Change::DeleteAccessKey {
            path: directory.access_key_path(app),
        };
        control.change_as_operator(&change, now()).unwrap();
        let third = start();
        assert_ne!(third[0], second[0], "one that was deleted is replaced");
        assert_eq!(third[1], second[1]);
    }
}
