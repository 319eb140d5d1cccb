//! Users, organisations, and what all identities have in common.

use std::sync::Arc;

use keyward_policy::{IdentityPattern, Policy};

use super::trusts::Terms;
use super::{ChangeError, Editor, Outcome};
use crate::change::PolicyInput;
use crate::directory::{Entity, account_key};
use crate::entities::{Identity, KeyStatus, OrganisationDetails, TrustKind};
use crate::ids::{IdentityIx, Kind, Slug};

impl Editor<'_> {
    pub(super) fn new_identity(&self, kind: Kind, path: &str) -> Identity {
        Identity::new(kind, path, self.context.stamp())
    }

    pub(super) fn add_identity(
        &mut self,
        mut identity: Identity,
        name: Option<&str>,
    ) -> Result<IdentityIx, ChangeError> {
        let path = identity.path.clone();
        self.claim(&path)?;
        identity.name = name.map(Into::into);
        let ix = IdentityIx(self.directory.identities.push(identity));
        self.place(&path, Entity::Identity(ix));
        self.claim_name(&path, None, name)?;
        Ok(ix)
    }

    pub(super) fn create_user(&mut self, id: &str, name: Option<&str>) -> Outcome {
        let path = format!("user/{}", id.parse::<Slug>()?);
        self.add_identity(self.new_identity(Kind::User, &path), name)?;
        Ok(())
    }

    pub(super) fn create_organisation(
        &mut self,
        id: &str,
        name: Option<&str>,
        owner: &str,
        account: &str,
    ) -> Outcome {
        let path = format!("org/{}", id.parse::<Slug>()?);
        let owner_ix = self.identity_at(owner)?;
        if self.identity(owner_ix).kind != Kind::User {
            let reason = format!("an organisation belongs to a user, and `{owner}` is none");
            return Err(ChangeError::Invalid { reason });
        }
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            let reason = "an account number has twelve digits".to_owned();
            return Err(ChangeError::Invalid { reason });
        }
        self.claim_account(account)?;
        let ix = self.add_identity(self.new_identity(Kind::Organisation, &path), name)?;
        let organisation = self.identity_mut(ix);
        organisation.organisation = Some(ix);
        organisation.details = Some(Box::new(OrganisationDetails {
            account: account.into(),
            owner: owner_ix,
            guardrails: Vec::new(),
            aliases: None,
            max_key_lifetime_seconds: None,
            max_active_keys: None,
        }));
        self.directory
            .paths
            .insert(account_key(account), Entity::Identity(ix));
        let trust = self.new_trust(
            &format!("{path}/trust/owner"),
            ix,
            owner_ix,
            TrustKind::Ownership,
        );
        self.add_trust(trust)
    }

    pub(super) fn claim_account(&self, account: &str) -> Outcome {
        match self.directory.paths.get(&*account_key(account)) {
            None => Ok(()),
            Some(_) => Err(ChangeError::NotAvailable {
                path: format!("account {account}"),
            }),
        }
    }

    pub(super) fn trust_with_everything(&mut self, organisation: &str, identity: &str) -> Outcome {
        let everything =
            r#"[{"Sid":"Everything","Effect":"Allow","Actions":["*"],"Resources":["**"]}]"#;
        let policies = [PolicyInput::Document(everything.to_owned())];
        let terms = Terms {
            policies: &policies,
            ..Terms::default()
        };
        let organisation = format!("org/{organisation}");
        self.create_trust("creator", (&organisation, identity), None, &terms)
    }

    pub(super) fn create_member(
        &mut self,
        kind: Kind,
        organisation: &str,
        id: &str,
        name: Option<&str>,
    ) -> Result<IdentityIx, ChangeError> {
        let owner = self.organisation(organisation)?;
        let path = format!(
            "org/{organisation}/{}/{}",
            kind.as_str(),
            id.parse::<Slug>()?
        );
        let mut identity = self.new_identity(kind, &path);
        identity.organisation = Some(owner);
        self.add_identity(identity, name)
    }

    pub(super) fn rename(&mut self, path: &str, name: Option<&str>) -> Outcome {
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        let place = match self.directory.entity(path).ok_or_else(missing)? {
            Entity::Identity(ix) => self.directory.identities.get_mut(ix.0).map(|i| &mut i.name),
            Entity::Database(ix) => self.directory.databases.get_mut(ix.0).map(|d| &mut d.name),
            Entity::Policy(ix) => self.directory.policies.get_mut(ix.0).map(|p| &mut p.name),
            Entity::Trust(_) | Entity::AccessKey(_) | Entity::Snapshot(_) => {
                let reason = format!("`{path}` has no name");
                return Err(ChangeError::Invalid { reason });
            }
            Entity::Tombstone => None,
        };
        let old = std::mem::replace(place.ok_or_else(missing)?, name.map(Into::into));
        self.claim_name(path, old.as_deref(), name)?;
        self.changed(path);
        Ok(())
    }

    pub(super) fn delete_organisation(&mut self, path: &str) -> Outcome {
        let ix = self.identity_at(path)?;
        if self.identity(ix).kind != Kind::Organisation {
            return Err(ChangeError::NotFound {
                path: path.to_owned(),
            });
        }
        let below = format!("{path}/");
        let directory = &self.directory;
        let dependents: Vec<String> = directory
            .identities()
            .map(|(_, identity)| &identity.path)
            .chain(directory.databases().map(|(_, database)| &database.path))
            .chain(directory.policies().map(|(_, policy)| &policy.path))
            .chain(
                // What it gives to others ends with it: without all that is above, that is nothing.
                directory
                    .trusts()
                    .filter(|(_, t)| t.trustee == ix)
                    .map(|(_, t)| &t.path),
            )
            .filter(|found| found.starts_with(&below) || self.directory.trust_at(found).is_some())
            .take(20)
            .map(ToString::to_string)
            .collect();
        if !dependents.is_empty() {
            return Err(ChangeError::Conflict {
                path: path.to_owned(),
                dependents,
            });
        }
        for trust in self.directory.trusts_of_identity(ix) {
            self.remove_trust(&trust)?;
        }
        self.remove_identity(ix);
        Ok(())
    }

    pub(super) fn remove_identity(&mut self, ix: IdentityIx) {
        let identity = self.identity(ix).clone();
        for key in &identity.access_keys {
            self.remove_access_key(*key);
        }
        if let Some(details) = &identity.details {
            let account = account_key(&details.account);
            self.directory.paths.insert(account, Entity::Tombstone);
            let retired = (identity.path.to_string(), details.account.clone());
            self.retired.push(retired);
        }
        if let Some(name) = &identity.name {
            // A name is free again: nothing refers to it.
            let _ = self.claim_name(&identity.path, Some(name), None);
        }
        if let Some(slot) = self.directory.identities.slot(ix.0) {
            *slot = None;
        }
        self.bury(&identity.path);
    }

    pub(super) fn delete_identity(&mut self, path: &str, cascade: bool) -> Outcome {
        let ix = self.identity_at(path)?;
        let kind = self.identity(ix).kind;
        if matches!(kind, Kind::User | Kind::Organisation) {
            let reason = format!("`{path}` is not deleted like this: it lies in no organisation");
            return Err(ChangeError::Invalid { reason });
        }
        if kind == Kind::IdentityProvider {
            self.forget_provider(ix)?;
        }
        let is_member = kind == Kind::OrganisationUser;
        let trusts = self.directory.trusts_of_identity(ix);
        // What makes an organisation user a person's goes with it, as access keys do.
        let own = |path: &String| {
            let trust = self.directory.trust_at(path);
            let trust = trust.and_then(|ix| self.directory.trust(ix));
            is_member && trust.is_some_and(|trust| trust.trustor == ix)
        };
        let mut dependents: Vec<String> =
            trusts.iter().filter(|path| !own(path)).cloned().collect();
        if !cascade {
            dependents.extend(self.keys_in_force(ix));
            dependents.extend(self.policies_that_name(ix));
        }
        if !dependents.is_empty() && !cascade {
            return Err(ChangeError::Conflict {
                path: path.to_owned(),
                dependents,
            });
        }
        for trust in trusts {
            self.remove_trust(&trust)?;
        }
        self.remove_identity(ix);
        Ok(())
    }

    /// The access keys of an identity that open it: whoever has one depends on it.
    fn keys_in_force(&self, ix: IdentityIx) -> Vec<String> {
        let (directory, now) = (&self.directory, self.context.at);
        let keys = self.identity(ix).access_keys.iter();
        let keys = keys.filter_map(|key| directory.access_key_by_ix(*key));
        keys.filter(|key| key.status == KeyStatus::Active)
            .filter(|key| directory.access_key_end(key).is_none_or(|end| now < end))
            .map(|key| directory.access_key_path(key))
            .collect()
    }

    /// The resource policies of its organisation that name an identity. Those of others say nothing
    /// to this one.
    fn policies_that_name(&self, ix: IdentityIx) -> Vec<String> {
        let (directory, identity) = (&self.directory, self.identity(ix));
        let names = |policy: &Option<Arc<Policy>>| {
            let statements = policy.iter().flat_map(|policy| policy.statements());
            let mut named = statements.flat_map(|statement| &statement.identities);
            named.any(
                |named| matches!(named, IdentityPattern::Path(path) if **path == *identity.path),
            )
        };
        let identities = directory.identities().filter(|(other, found)| {
            *other != ix
                && found.organisation == identity.organisation
                && names(&found.resource_policy)
        });
        let databases = directory.databases().filter(|(_, found)| {
            Some(found.organisation) == identity.organisation && names(&found.resource_policy)
        });
        let identities = identities.map(|(_, found)| &found.path);
        identities
            .chain(databases.map(|(_, found)| &found.path))
            .map(|path| format!("{path}/resource_policy"))
            .collect()
    }

    pub(super) fn set_default_database(
        &mut self,
        identity: &str,
        database: Option<&str>,
    ) -> Outcome {
        let ix = self.identity_at(identity)?;
        let database = match database {
            None => None,
            Some(path) => {
                let (found, database) = self.database_mut(path)?;
                let organisation = database.organisation;
                if self.identity(ix).organisation != Some(organisation) {
                    let reason = "a default database is one of the identity's own organisation";
                    return Err(ChangeError::Invalid {
                        reason: reason.to_owned(),
                    });
                }
                Some(found)
            }
        };
        self.identity_mut(ix).default_database = database;
        self.changed(identity);
        Ok(())
    }
}
