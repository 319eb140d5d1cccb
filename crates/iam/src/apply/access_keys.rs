//! Access keys.

use super::{ChangeError, Editor, MAX_ACTIVE_KEYS, MAX_KEYS, Outcome};
use crate::directory::Entity;
use crate::entities::{AccessKey, KeyStatus};
use crate::ids::{AccessKeyIx, IdentityIx, Kind};

impl Editor<'_> {
    pub(super) fn create_access_key(
        &mut self,
        identity: &str,
        key_id: &str,
        secret_hash: [u8; 32],
        description: Option<&str>,
    ) -> Outcome {
        let ix = self.identity_at(identity)?;
        let owner = self.identity(ix);
        if owner.kind != Kind::ProgrammaticIdentity {
            let reason =
                format!("access keys belong to programmatic identities; `{identity}` is none");
            return Err(ChangeError::Invalid { reason });
        }
        if owner.access_keys.len() >= MAX_KEYS {
            return Err(ChangeError::Limit {
                what: "access keys of one identity",
                max: MAX_KEYS,
            });
        }
        self.check_active_keys(ix)?;
        let path = format!("{identity}/access_key/{key_id}");
        if self.directory.key_ids.get(key_id).is_some() {
            return Err(ChangeError::NotAvailable { path });
        }
        self.claim(&path)?;
        let key = AccessKey {
            key_id: key_id.into(),
            identity: ix,
            secret_hash,
            status: KeyStatus::Active,
            description: description.map(Into::into),
            created: self.context.stamp(),
        };
        let key = AccessKeyIx(self.directory.access_keys.push(key));
        self.directory.key_ids.insert(key_id.into(), key);
        self.identity_mut(ix).access_keys.push(key);
        self.place(&path, Entity::AccessKey(key));
        Ok(())
    }

    pub(super) fn check_active_keys(&self, ix: IdentityIx) -> Outcome {
        let keys = self.identity(ix).access_keys.iter();
        let active = keys
            .filter_map(|key| self.directory.access_key_by_ix(*key))
            .filter(|key| key.status == KeyStatus::Active);
        if active.count() >= MAX_ACTIVE_KEYS {
            let what = "active access keys of one identity (disable or delete one first)";
            return Err(ChangeError::Limit {
                what,
                max: MAX_ACTIVE_KEYS,
            });
        }
        Ok(())
    }

    pub(super) fn access_key_at(&self, path: &str) -> Result<AccessKeyIx, ChangeError> {
        match self.directory.entity(path) {
            Some(Entity::AccessKey(ix)) => Ok(ix),
            _ => Err(ChangeError::NotFound {
                path: path.to_owned(),
            }),
        }
    }

    pub(super) fn update_access_key(&mut self, path: &str, status: KeyStatus) -> Outcome {
        let ix = self.access_key_at(path)?;
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        let key = self.directory.access_key_by_ix(ix).ok_or_else(missing)?;
        if status == KeyStatus::Active && key.status != KeyStatus::Active {
            self.check_active_keys(key.identity)?;
        }
        self.directory
            .access_keys
            .get_mut(ix.0)
            .ok_or_else(missing)?
            .status = status;
        self.changed(path);
        Ok(())
    }

    pub(super) fn delete_access_key(&mut self, path: &str) -> Outcome {
        let ix = self.access_key_at(path)?;
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        let owner = self
            .directory
            .access_key_by_ix(ix)
            .ok_or_else(missing)?
            .identity;
        self.remove_access_key(ix);
        self.identity_mut(owner)
            .access_keys
            .retain(|key| *key != ix);
        Ok(())
    }

    pub(super) fn remove_access_key(&mut self, ix: AccessKeyIx) {
        let Some(key) = self.directory.access_key_by_ix(ix) else {
            return;
        };
        let path = self.directory.access_key_path(key);
        if let Some(slot) = self.directory.access_keys.slot(ix.0) {
            *slot = None;
        }
        self.bury(&path);
    }
}
