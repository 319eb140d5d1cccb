//! Access keys.

use super::{ACTIVE_KEYS, ChangeError, Editor, MAX_ACTIVE_KEYS, MAX_KEYS, Outcome};
use crate::directory::Entity;
use crate::entities::{AccessKey, KeyStatus, OrganisationDetails};
use crate::ids::{AccessKeyIx, IdentityIx, Kind, UnixMillis};

/// What a new key is.
pub(super) struct NewKey<'a> {
    pub(super) secret_hash: [u8; 32],
    pub(super) description: Option<&'a str>,
    pub(super) expires_at: Option<UnixMillis>,
    pub(super) sealed_secret: Option<&'a [u8]>,
}

impl Editor<'_> {
    pub(super) fn set_key_limits(
        &mut self,
        organisation: &str,
        max_key_lifetime_seconds: Option<u64>,
        max_active_keys: Option<u8>,
    ) -> Outcome {
        let refuse = |reason: &str| {
            let reason = reason.to_owned();
            Err(ChangeError::Invalid { reason })
        };
        if max_key_lifetime_seconds == Some(0) {
            return refuse("keys that live no second open nothing: disable them instead");
        }
        if max_active_keys.is_some_and(|max| !(1..=MAX_ACTIVE_KEYS).contains(&usize::from(max))) {
            return refuse("an identity has 1 to 5 active access keys");
        }
        let ix = self.identity_at(organisation)?;
        let missing = || ChangeError::NotFound {
            path: organisation.to_owned(),
        };
        let details = self.identity_mut(ix).details.as_mut().ok_or_else(missing)?;
        details.max_key_lifetime_seconds = max_key_lifetime_seconds;
        details.max_active_keys = max_active_keys;
        self.changed(organisation);
        Ok(())
    }

    pub(super) fn create_access_key(
        &mut self,
        identity: &str,
        key_id: &str,
        new: NewKey<'_>,
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
        let expires_at = self.key_end(ix, self.context.at, new.expires_at)?;
        let key = AccessKey {
            key_id: key_id.into(),
            identity: ix,
            secret_hash: new.secret_hash,
            status: KeyStatus::Active,
            description: new.description.map(Into::into),
            expires_at,
            sealed_secret: new.sealed_secret.map(Into::into),
            enabled_revision: 0,
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
        let details = self.organisation_details(ix);
        let max = details.and_then(|details| details.max_active_keys);
        let max = max.map_or(ACTIVE_KEYS, usize::from);
        if active.count() >= max {
            let what = "active access keys of one identity (disable or delete one first)";
            return Err(ChangeError::Limit { what, max });
        }
        Ok(())
    }

    /// What the organisation of an identity says.
    fn organisation_details(&self, ix: IdentityIx) -> Option<&OrganisationDetails> {
        let organisation = self.identity(ix).organisation?;
        self.identity(organisation).organisation_details()
    }

    /// When a key of an identity ends that was made at a moment and is to end at another: not later
    /// than its organisation permits.
    fn key_end(
        &self,
        ix: IdentityIx,
        made: UnixMillis,
        asked: Option<UnixMillis>,
    ) -> Result<Option<UnixMillis>, ChangeError> {
        if asked.is_some_and(|end| end <= self.context.at) {
            let reason = "the key would have expired already".to_owned();
            return Err(ChangeError::Invalid { reason });
        }
        let details = self.organisation_details(ix);
        let Some(seconds) = details.and_then(|details| details.max_key_lifetime_seconds) else {
            return Ok(asked);
        };
        let latest = UnixMillis(made.0.saturating_add(seconds.saturating_mul(1000)));
        match asked {
            Some(end) if end > latest => Err(ChangeError::Invalid {
                reason: format!("keys of this organisation live {seconds} seconds at most"),
            }),
            asked => Ok(Some(asked.unwrap_or(latest))),
        }
    }

    pub(super) fn access_key_at(&self, path: &str) -> Result<AccessKeyIx, ChangeError> {
        match self.directory.entity(path) {
            Some(Entity::AccessKey(ix)) => Ok(ix),
            _ => Err(ChangeError::NotFound {
                path: path.to_owned(),
            }),
        }
    }

    pub(super) fn update_access_key(
        &mut self,
        path: &str,
        status: Option<KeyStatus>,
        description: Option<Option<&str>>,
        expires_at: Option<Option<UnixMillis>>,
    ) -> Outcome {
        let ix = self.access_key_at(path)?;
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        let key = self.directory.access_key_by_ix(ix).ok_or_else(missing)?;
        if status == Some(KeyStatus::Active) && key.status != KeyStatus::Active {
            self.check_active_keys(key.identity)?;
        }
        let (owner, made) = (key.identity, key.created.at);
        let expires_at = match expires_at {
            None => None,
            Some(asked) => Some(self.key_end(owner, made, asked)?),
        };
        let revision = self.directory.revision + 1;
        let keys = &mut self.directory.access_keys;
        let key = keys.get_mut(ix.0).ok_or_else(missing)?;
        if status == Some(KeyStatus::Active) && key.status != KeyStatus::Active {
            key.enabled_revision = revision;
        }
        key.status = status.unwrap_or(key.status);
        if let Some(description) = description {
            key.description = description.map(Into::into);
        }
        if let Some(expires_at) = expires_at {
            key.expires_at = expires_at;
        }
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
