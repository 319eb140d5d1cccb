//! Changing the directory: every rule of change is here, and nowhere else.

mod tags;

use std::sync::Arc;

use keyward_policy::{Effect, Findings, IdentityPattern, Policy, PolicyKind};

use crate::change::{Change, PolicyInput};
use crate::directory::{Directory, Entity, account_key, name_key};
use crate::entities::{
    AccessKey, Attachment, Backend, Database, Identity, KeyStatus, NamedPolicy,
    OrganisationDetails, Stamp, Trust, TrustKind,
};
use crate::ids::{
    AccessKeyIx, DatabaseIx, IdentityIx, Kind, PathParts, PolicyIx, Slug, SlugError, TrustIx,
    UnixMillis, full_path,
};
use crate::row::Row;
use crate::tags::{TagError, Tags};

/// Active access keys of one identity: two, so that keys can be rotated.
pub const MAX_ACTIVE_KEYS: usize = 2;

/// Access keys of one identity, disabled ones included.
pub const MAX_KEYS: usize = 5;

/// Trusts on the longest path of standing trusts.
pub const MAX_CHAIN: usize = 8;

/// Policies in one list.
pub const MAX_POLICIES: usize = 20;

/// Why a change was refused. Whoever asked may do it; the change itself breaks a rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The id is or was taken.
    #[error("`{path}` is not available; choose another id")]
    NotAvailable {
        /// The path that was asked for.
        path: String,
    },
    /// The name is taken, whatever its letter case.
    #[error("the name `{name}` is taken")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// There is no such thing.
    #[error("`{path}` does not exist")]
    NotFound {
        /// What was looked for.
        path: String,
    },
    /// A malformed id.
    #[error(transparent)]
    Id(#[from] SlugError),
    /// A tag that breaks a rule.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// Something else in the request is wrong.
    #[error("{reason}")]
    Invalid {
        /// What, and what to do.
        reason: String,
    },
    /// A document that validation refuses.
    #[error("policy {}: {findings}", number + 1)]
    Policy {
        /// Position in the list of policies.
        number: usize,
        /// Where and why.
        findings: Findings,
    },
    /// Other things depend on it.
    #[error("`{path}` is in use by {}", dependents.join(", "))]
    Conflict {
        /// What was to be deleted.
        path: String,
        /// What depends on it.
        dependents: Vec<String>,
    },
    /// The trust would close a circle.
    #[error(
        "`{trustee}` is trusted already, directly or not, to act as `{trustor}`'s trustor: the trust would close a cycle"
    )]
    Cycle {
        /// The trustor.
        trustor: String,
        /// The trustee.
        trustee: String,
    },
    /// A path of trusts would be too long.
    #[error("the trust would make a chain of {found} trusts; the longest allowed is {MAX_CHAIN}")]
    TooLong {
        /// Length of the longest path through the trust.
        found: usize,
    },
    /// A quota.
    #[error("{what}: the limit is {max}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// How many are allowed.
        max: usize,
    },
}

/// A change that was made.
#[derive(Debug)]
pub struct Applied {
    /// The new directory.
    pub directory: Directory,
    /// What the store has to write.
    pub rows: Vec<Row>,
}

impl Applied {
    /// The revision that the change made.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.directory.revision()
    }
}

/// By whom, when, and with what rights a change is made.
#[derive(Clone, Debug)]
pub struct ChangeContext {
    /// When.
    pub at: UnixMillis,
    /// Path of the principal, or `system`.
    pub by: String,
    /// Whether the caller may also accept for the trustee; otherwise a new trust waits.
    pub accepts: bool,
}

impl ChangeContext {
    /// The operator on the machine itself.
    #[must_use]
    pub fn system(at: UnixMillis) -> Self {
        Self {
            at,
            by: "system".to_owned(),
            accepts: true,
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            at: self.at,
            by: self.by.as_str().into(),
        }
    }
}

type Outcome = Result<(), ChangeError>;

/// A directory that is being changed, and the paths of what changed.
struct Editor<'a> {
    directory: Directory,
    changed: Vec<String>,
    context: &'a ChangeContext,
}

impl Directory {
    /// Makes a change. Nobody's rights are looked at here: see [`Directory::authorise_change`].
    ///
    /// # Errors
    /// The rule that the change would break; the directory stays as it is.
    pub fn apply(&self, change: &Change, context: &ChangeContext) -> Result<Applied, ChangeError> {
        let mut editor = Editor {
            directory: self.clone(),
            changed: Vec::new(),
            context,
        };
        editor.make(change)?;
        let Editor {
            mut directory,
            changed,
            ..
        } = editor;
        directory.revision += 1;
        let rows = changed.iter().map(|path| directory.row(path)).collect();
        Ok(Applied { directory, rows })
    }
}

impl Editor<'_> {
    fn make(&mut self, change: &Change) -> Outcome {
        match change {
            Change::CreateUser { id, name } => self.create_user(id, name.as_deref()),
            Change::CreateOrganisation {
                id,
                name,
                owner,
                account,
                administrator,
            } => {
                self.create_organisation(id, name.as_deref(), owner, account)?;
                match administrator {
                    Some(identity) => self.trust_with_everything(id, identity),
                    None => Ok(()),
                }
            }
            Change::Rename { path, name } => self.rename(path, name.as_deref()),
            Change::SetTags { path, set, remove } => self.set_tags(path, set, remove),
            Change::DeleteOrganisation { path } => self.delete_organisation(path),
            Change::CreateProgrammaticIdentity {
                organisation,
                id,
                name,
            } => self.create_member(
                Kind::ProgrammaticIdentity,
                organisation,
                id,
                name.as_deref(),
            ),
            Change::CreateGroup {
                organisation,
                id,
                name,
            } => self.create_member(Kind::Group, organisation, id, name.as_deref()),
            Change::DeleteIdentity { path, cascade } => self.delete_identity(path, *cascade),
            Change::SetDefaultDatabase { identity, database } => {
                self.set_default_database(identity, database.as_deref())
            }
            Change::CreateAccessKey {
                identity,
                key_id,
                secret_hash,
                description,
            } => self.create_access_key(identity, key_id, *secret_hash, description.as_deref()),
            Change::UpdateAccessKey { path, status } => self.update_access_key(path, *status),
            Change::DeleteAccessKey { path } => self.delete_access_key(path),
            Change::CreateDatabase {
                organisation,
                id,
                name,
                backend,
            } => self.create_database(organisation, id, name.as_deref(), backend),
            Change::SetBackend { path, backend } => self.set_backend(path, backend),
            Change::SetAdministration { path, on } => {
                let (_, database) = self.database_mut(path)?;
                database.administration = *on;
                self.changed(path);
                Ok(())
            }
            Change::DeleteDatabase { path } => self.delete_database(path),
            Change::CreateTrust {
                id,
                trustor,
                trustee,
                policies,
                expires_at,
            } => self.create_trust(id, trustor, trustee, policies, *expires_at),
            Change::UpdateTrust {
                path,
                policies,
                expires_at,
            } => self.update_trust(path, policies.as_deref(), *expires_at),
            Change::AcceptTrust { path } => {
                let (ix, trust) = self.trust_at(path)?;
                self.check_chain(trust.trustor, trust.trustee)?;
                self.trust_mut(ix).accepted = true;
                self.changed(path);
                Ok(())
            }
            Change::DeleteTrust { path } => self.delete_trust(path),
            Change::PutResourcePolicy { path, document } => {
                self.put_resource_policy(path, Some(document))
            }
            Change::DeleteResourcePolicy { path } => self.put_resource_policy(path, None),
            Change::PutBoundary { identity, policies } => self.put_boundary(identity, policies),
            Change::DeleteBoundary { identity } => self.put_boundary(identity, &[]),
            Change::PutGuardrails {
                organisation,
                policies,
            } => self.put_guardrails(organisation, policies),
            Change::TransferOwnership {
                organisation,
                owner,
            } => self.transfer_ownership(organisation, owner),
            Change::CreatePolicy {
                organisation,
                id,
                name,
                document,
            } => self.create_policy(organisation, id, name.as_deref(), document),
            Change::UpdatePolicy { path, document } => self.update_policy(path, document),
            Change::SetDefaultPolicyVersion { path, version } => {
                let ix = self.policy_at(path)?;
                let policy = self.policy_mut(ix);
                if *version == 0 || *version as usize > policy.versions.len() {
                    let last = policy.versions.len();
                    let reason = format!("`{path}` has versions 1 to {last}, not {version}");
                    return Err(ChangeError::Invalid { reason });
                }
                policy.default_version = *version;
                self.changed(path);
                Ok(())
            }
            Change::DeletePolicy { path } => self.delete_policy(path),
        }
    }

    // ---- what several changes need ----

    fn changed(&mut self, path: &str) {
        if !self.changed.iter().any(|known| known == path) {
            self.changed.push(path.to_owned());
        }
    }

    /// Refuses a path that is or was taken.
    fn claim(&self, path: &str) -> Outcome {
        match self.directory.entity(path) {
            None => Ok(()),
            Some(_) => Err(ChangeError::NotAvailable {
                path: path.to_owned(),
            }),
        }
    }

    fn place(&mut self, path: &str, entity: Entity) {
        self.directory.paths.insert(path.into(), entity);
        self.changed(path);
    }

    fn bury(&mut self, path: &str) {
        self.place(path, Entity::Tombstone);
    }

    /// Takes a name in a collection, ignoring case, and gives the old one back.
    fn claim_name(&mut self, path: &str, old: Option<&str>, new: Option<&str>) -> Outcome {
        let key = |name: &str| name_key(path, name);
        if let Some(new) = new {
            if new.is_empty() || new.len() > 128 || new.chars().any(char::is_control) {
                let reason = "a name has 1 to 128 bytes and no control characters".to_owned();
                return Err(ChangeError::Invalid { reason });
            }
            let same = old.is_some_and(|old| key(old) == key(new));
            let taken = !matches!(
                self.directory.paths.get(&*key(new)),
                None | Some(Entity::Tombstone)
            );
            if taken && !same {
                return Err(ChangeError::NameTaken {
                    name: new.to_owned(),
                });
            }
        }
        if let Some(old) = old {
            self.directory.paths.insert(key(old), Entity::Tombstone);
        }
        if let (Some(new), Some(entity)) = (new, self.directory.entity(path)) {
            self.directory.paths.insert(key(new), entity);
        }
        Ok(())
    }

    fn organisation(&self, id: &str) -> Result<IdentityIx, ChangeError> {
        let missing = || ChangeError::NotFound {
            path: format!("org/{id}"),
        };
        self.directory.organisation(id).ok_or_else(missing)
    }

    fn identity_at(&self, path: &str) -> Result<IdentityIx, ChangeError> {
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        self.directory.identity_at(path).ok_or_else(missing)
    }

    fn identity(&self, ix: IdentityIx) -> &Identity {
        self.directory
            .identity(ix)
            .expect("the path index holds only what exists")
    }

    fn identity_mut(&mut self, ix: IdentityIx) -> &mut Identity {
        self.directory
            .identities
            .get_mut(ix.0)
            .expect("the path index holds only what exists")
    }

    fn database_mut(&mut self, path: &str) -> Result<(DatabaseIx, &mut Database), ChangeError> {
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        let ix = self.directory.database_at(path).ok_or_else(missing)?;
        Ok((
            ix,
            self.directory.databases.get_mut(ix.0).ok_or_else(missing)?,
        ))
    }

    fn trust_at(&self, path: &str) -> Result<(TrustIx, Trust), ChangeError> {
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        let ix = self.directory.trust_at(path).ok_or_else(missing)?;
        Ok((ix, self.directory.trust(ix).ok_or_else(missing)?.clone()))
    }

    fn trust_mut(&mut self, ix: TrustIx) -> &mut Trust {
        self.directory
            .trusts
            .get_mut(ix.0)
            .expect("the path index holds only what exists")
    }

    fn policy_at(&self, path: &str) -> Result<PolicyIx, ChangeError> {
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        self.directory.policy_at(path).ok_or_else(missing)
    }

    fn policy_mut(&mut self, ix: PolicyIx) -> &mut NamedPolicy {
        self.directory
            .policies
            .get_mut(ix.0)
            .expect("the path index holds only what exists")
    }

    /// Reads a list of policies in the scope of an organisation.
    fn attachments(
        &self,
        policies: &[PolicyInput],
        organisation: &str,
    ) -> Result<Vec<Attachment>, ChangeError> {
        if policies.len() > MAX_POLICIES {
            return Err(ChangeError::Limit {
                what: "policies in one list",
                max: MAX_POLICIES,
            });
        }
        let read = |(number, input): (usize, &PolicyInput)| match input {
            PolicyInput::Document(text) => {
                keyward_policy::read(text, PolicyKind::Identity, organisation)
                    .map(|policy| Attachment::Inline(Arc::new(policy)))
                    .map_err(|findings| ChangeError::Policy { number, findings })
            }
            PolicyInput::Named(reference) => {
                let path = full_path(reference, organisation);
                if PathParts::of(&path).and_then(|p| p.organisation) != Some(organisation) {
                    let reason =
                        format!("`{path}` belongs to another organisation and cannot be attached");
                    return Err(ChangeError::Invalid { reason });
                }
                Ok(Attachment::Named(self.policy_at(&path)?))
            }
        };
        policies.iter().enumerate().map(read).collect()
    }

    // ---- users, organisations, identities ----

    fn new_identity(&self, kind: Kind, path: &str) -> Identity {
        Identity::new(kind, path, self.context.stamp())
    }

    fn add_identity(
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

    fn create_user(&mut self, id: &str, name: Option<&str>) -> Outcome {
        let path = format!("user/{}", id.parse::<Slug>()?);
        self.add_identity(self.new_identity(Kind::User, &path), name)?;
        Ok(())
    }

    fn create_organisation(
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

    fn claim_account(&self, account: &str) -> Outcome {
        match self.directory.paths.get(&*account_key(account)) {
            None => Ok(()),
            Some(_) => Err(ChangeError::NotAvailable {
                path: format!("account {account}"),
            }),
        }
    }

    fn trust_with_everything(&mut self, organisation: &str, identity: &str) -> Outcome {
        let everything =
            r#"[{"Sid":"Everything","Effect":"Allow","Actions":["*"],"Resources":["**"]}]"#;
        let policies = [PolicyInput::Document(everything.to_owned())];
        self.create_trust(
            "creator",
            &format!("org/{organisation}"),
            identity,
            &policies,
            None,
        )
    }

    fn create_member(
        &mut self,
        kind: Kind,
        organisation: &str,
        id: &str,
        name: Option<&str>,
    ) -> Outcome {
        let owner = self.organisation(organisation)?;
        let path = format!(
            "org/{organisation}/{}/{}",
            kind.as_str(),
            id.parse::<Slug>()?
        );
        let mut identity = self.new_identity(kind, &path);
        identity.organisation = Some(owner);
        self.add_identity(identity, name)?;
        Ok(())
    }

    fn rename(&mut self, path: &str, name: Option<&str>) -> Outcome {
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        let place = match self.directory.entity(path).ok_or_else(missing)? {
            Entity::Identity(ix) => self.directory.identities.get_mut(ix.0).map(|i| &mut i.name),
            Entity::Database(ix) => self.directory.databases.get_mut(ix.0).map(|d| &mut d.name),
            Entity::Policy(ix) => self.directory.policies.get_mut(ix.0).map(|p| &mut p.name),
            Entity::Trust(_) | Entity::AccessKey(_) => {
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

    fn delete_organisation(&mut self, path: &str) -> Outcome {
        let ix = self.identity_at(path)?;
        if self.identity(ix).kind != Kind::Organisation {
            return Err(ChangeError::NotFound {
                path: path.to_owned(),
            });
        }
        let below = format!("{path}/");
        let ownership = format!("{path}/trust/owner");
        let directory = &self.directory;
        let dependents: Vec<String> = directory
            .identities()
            .map(|(_, identity)| &identity.path)
            .chain(directory.databases().map(|(_, database)| &database.path))
            .chain(directory.policies().map(|(_, policy)| &policy.path))
            .chain(
                directory
                    .trusts()
                    .filter(|(_, t)| t.trustor == ix || t.trustee == ix)
                    .map(|(_, t)| &t.path),
            )
            .filter(|found| ***found != *ownership)
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
        self.remove_trust(&ownership)?;
        self.remove_identity(ix);
        Ok(())
    }

    fn remove_identity(&mut self, ix: IdentityIx) {
        let identity = self.identity(ix).clone();
        for key in &identity.access_keys {
            self.remove_access_key(*key);
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

    fn delete_identity(&mut self, path: &str, cascade: bool) -> Outcome {
        let ix = self.identity_at(path)?;
        let identity = self.identity(ix);
        if !matches!(identity.kind, Kind::ProgrammaticIdentity | Kind::Group) {
            let reason = format!("`{path}` is neither a programmatic identity nor a group");
            return Err(ChangeError::Invalid { reason });
        }
        let trusts = self.directory.trusts_of_identity(ix);
        if !trusts.is_empty() && !cascade {
            return Err(ChangeError::Conflict {
                path: path.to_owned(),
                dependents: trusts,
            });
        }
        for trust in trusts {
            self.remove_trust(&trust)?;
        }
        self.remove_identity(ix);
        Ok(())
    }

    fn set_default_database(&mut self, identity: &str, database: Option<&str>) -> Outcome {
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

    // ---- access keys ----

    fn create_access_key(
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

    fn check_active_keys(&self, ix: IdentityIx) -> Outcome {
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

    fn access_key_at(&self, path: &str) -> Result<AccessKeyIx, ChangeError> {
        match self.directory.entity(path) {
            Some(Entity::AccessKey(ix)) => Ok(ix),
            _ => Err(ChangeError::NotFound {
                path: path.to_owned(),
            }),
        }
    }

    fn update_access_key(&mut self, path: &str, status: KeyStatus) -> Outcome {
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

    fn delete_access_key(&mut self, path: &str) -> Outcome {
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

    fn remove_access_key(&mut self, ix: AccessKeyIx) {
        let Some(key) = self.directory.access_key_by_ix(ix) else {
            return;
        };
        let path = self.directory.access_key_path(key);
        if let Some(slot) = self.directory.access_keys.slot(ix.0) {
            *slot = None;
        }
        self.bury(&path);
    }

    // ---- databases ----

    fn create_database(
        &mut self,
        organisation: &str,
        id: &str,
        name: Option<&str>,
        backend: &Backend,
    ) -> Outcome {
        let owner = self.organisation(organisation)?;
        let path = format!("org/{organisation}/kvdb/{}", id.parse::<Slug>()?);
        self.claim(&path)?;
        self.check_backend(&path, backend)?;
        let ix = self.directory.databases.push(Database {
            path: path.as_str().into(),
            name: name.map(Into::into),
            organisation: owner,
            backend: backend.clone(),
            administration: false,
            resource_policy: None,
            tags: Tags::default(),
            created: self.context.stamp(),
        });
        self.place(&path, Entity::Database(DatabaseIx(ix)));
        self.claim_name(&path, None, name)
    }

    /// "A backend belongs to one database."
    fn check_backend(&self, path: &str, backend: &Backend) -> Outcome {
        let Backend::Server { address, .. } = backend else {
            return Ok(());
        };
        let other = self.directory.databases().find(|(_, database)| {
            *database.path != *path
                && matches!(&database.backend, Backend::Server { address: taken, .. } if taken == address)
        });
        match other {
            None => Ok(()),
            Some((_, database)) => Err(ChangeError::Conflict {
                path: address.clone(),
                dependents: vec![database.path.to_string()],
            }),
        }
    }

    fn set_backend(&mut self, path: &str, backend: &Backend) -> Outcome {
        self.check_backend(path, backend)?;
        let (_, database) = self.database_mut(path)?;
        database.backend = backend.clone();
        self.changed(path);
        Ok(())
    }

    fn delete_database(&mut self, path: &str) -> Outcome {
        let (ix, database) = self.database_mut(path)?;
        let name = database.name.clone();
        if name.is_some() {
            self.claim_name(path, name.as_deref(), None)?;
        }
        if let Some(slot) = self.directory.databases.slot(ix.0) {
            *slot = None;
        }
        self.bury(path);
        Ok(())
    }

    // ---- trusts ----

    fn new_trust(
        &self,
        path: &str,
        trustor: IdentityIx,
        trustee: IdentityIx,
        kind: TrustKind,
    ) -> Trust {
        Trust {
            path: path.into(),
            trustor,
            trustee,
            kind,
            policies: Vec::new(),
            expires_at: None,
            accepted: true,
            created: self.context.stamp(),
        }
    }

    fn create_trust(
        &mut self,
        id: &str,
        trustor: &str,
        trustee: &str,
        policies: &[PolicyInput],
        expires_at: Option<UnixMillis>,
    ) -> Outcome {
        let id: Slug = id.parse()?;
        let (from, to) = (self.identity_at(trustor)?, self.identity_at(trustee)?);
        let kind = match self.identity(from).kind {
            Kind::Group => TrustKind::Membership,
            Kind::User => {
                let reason = format!("`{trustor}` is a person: nobody else acts as a person");
                return Err(ChangeError::Invalid { reason });
            }
            _ => TrustKind::Standing,
        };
        let organisation = PathParts::of(trustor)
            .and_then(|p| p.organisation)
            .unwrap_or_default();
        let path = format!("org/{organisation}/trust/{id}");
        self.claim(&path)?;
        let twin = self
            .identity(to)
            .trusted_by
            .iter()
            .filter_map(|ix| self.directory.trust(*ix));
        if let Some(twin) = twin.into_iter().find(|twin| twin.trustor == from) {
            let reason = format!(
                "`{trustor}` trusts `{trustee}` already ({}): change that trust",
                twin.path
            );
            return Err(ChangeError::Invalid { reason });
        }
        let mut trust = self.new_trust(&path, from, to, kind);
        trust.policies = self.attachments(policies, organisation)?;
        trust.expires_at = expires_at;
        trust.accepted = self.context.accepts;
        self.check_chain(from, to)?;
        self.add_trust(trust)
    }

    /// "Standing trusts form no cycle and no path longer than 8."
    fn check_chain(&self, trustor: IdentityIx, trustee: IdentityIx) -> Outcome {
        let above = self.directory.longest_above(trustor);
        if trustor == trustee || above.reaches(trustee) {
            let path = |ix| self.identity(ix).path.to_string();
            return Err(ChangeError::Cycle {
                trustor: path(trustor),
                trustee: path(trustee),
            });
        }
        let found = above.longest() + 1 + self.directory.longest_below(trustee);
        if found > MAX_CHAIN {
            return Err(ChangeError::TooLong { found });
        }
        Ok(())
    }

    fn add_trust(&mut self, trust: Trust) -> Outcome {
        let (path, from, to) = (trust.path.clone(), trust.trustor, trust.trustee);
        self.claim(&path)?;
        let ix = TrustIx(self.directory.trusts.push(trust));
        self.identity_mut(to).trusted_by.push(ix);
        self.identity_mut(from).trustees += 1;
        self.place(&path, Entity::Trust(ix));
        Ok(())
    }

    fn update_trust(
        &mut self,
        path: &str,
        policies: Option<&[PolicyInput]>,
        expires_at: Option<Option<UnixMillis>>,
    ) -> Outcome {
        let (ix, trust) = self.trust_at(path)?;
        if trust.kind == TrustKind::Ownership {
            let reason = "ownership is moved, never edited".to_owned();
            return Err(ChangeError::Invalid { reason });
        }
        if let Some(policies) = policies {
            let organisation = PathParts::of(path)
                .and_then(|p| p.organisation)
                .unwrap_or_default();
            let policies = self.attachments(policies, organisation)?;
            self.trust_mut(ix).policies = policies;
        }
        if let Some(expires_at) = expires_at {
            self.trust_mut(ix).expires_at = expires_at;
        }
        self.changed(path);
        Ok(())
    }

    fn delete_trust(&mut self, path: &str) -> Outcome {
        let (_, trust) = self.trust_at(path)?;
        if trust.kind == TrustKind::Ownership {
            let reason = "ownership is moved, never deleted".to_owned();
            return Err(ChangeError::Invalid { reason });
        }
        self.remove_trust(path)
    }

    fn remove_trust(&mut self, path: &str) -> Outcome {
        let (ix, trust) = self.trust_at(path)?;
        self.identity_mut(trust.trustee)
            .trusted_by
            .retain(|found| *found != ix);
        self.identity_mut(trust.trustor).trustees -= 1;
        if let Some(slot) = self.directory.trusts.slot(ix.0) {
            *slot = None;
        }
        self.bury(path);
        Ok(())
    }

    fn transfer_ownership(&mut self, organisation: &str, owner: &str) -> Outcome {
        let (from, to) = (self.identity_at(organisation)?, self.identity_at(owner)?);
        if self.identity(to).kind != Kind::User {
            let reason = format!("an organisation belongs to a user, and `{owner}` is none");
            return Err(ChangeError::Invalid { reason });
        }
        let path = format!("{organisation}/trust/owner");
        let (ix, trust) = self.trust_at(&path)?;
        self.identity_mut(trust.trustee)
            .trusted_by
            .retain(|found| *found != ix);
        self.identity_mut(to).trusted_by.push(ix);
        self.trust_mut(ix).trustee = to;
        if let Some(details) = self.identity_mut(from).details.as_mut() {
            details.owner = to;
        }
        self.changed(&path);
        self.changed(organisation);
        Ok(())
    }

    // ---- policies ----

    fn put_resource_policy(&mut self, path: &str, document: Option<&str>) -> Outcome {
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        let entity = self.directory.entity(path).ok_or_else(missing)?;
        let organisation = PathParts::of(path)
            .and_then(|p| p.organisation)
            .unwrap_or_default();
        let policy = match document {
            None => None,
            Some(text) => {
                let policy = keyward_policy::read(text, PolicyKind::Resource, organisation)
                    .map_err(|findings| ChangeError::Policy {
                        number: 0,
                        findings,
                    })?;
                self.check_identities(path, &policy)?;
                Some(Arc::new(policy))
            }
        };
        match entity {
            Entity::Identity(ix) => self.identity_mut(ix).resource_policy = policy,
            Entity::Database(_) => self.database_mut(path)?.1.resource_policy = policy,
            Entity::Tombstone => return Err(missing()),
            Entity::AccessKey(_) | Entity::Trust(_) | Entity::Policy(_) => {
                let reason = format!("`{path}` has no resource policy of its own");
                return Err(ChangeError::Invalid { reason });
            }
        }
        self.changed(path);
        Ok(())
    }

    /// Names in a resource policy mean entities that exist when it is written, and a Deny does
    /// not name the owner.
    fn check_identities(&self, resource: &str, policy: &Policy) -> Outcome {
        let owner = self.directory.owner_of(resource);
        for (number, statement) in policy.statements().iter().enumerate() {
            for identity in &statement.identities {
                let IdentityPattern::Path(path) = identity else {
                    continue;
                };
                let Some(ix) = self.directory.identity_at(path) else {
                    let reason = format!(
                        "statement {}: identity `{path}` does not exist; a name means what it \
                         means when the policy is written",
                        number + 1
                    );
                    return Err(ChangeError::Invalid { reason });
                };
                if statement.effect == Effect::Deny && Some(ix) == owner {
                    let reason = format!(
                        "statement {}: a Deny that names the owner itself (`{path}`) would lock \
                         everyone out; use a guardrail to bind the owner",
                        number + 1
                    );
                    return Err(ChangeError::Invalid { reason });
                }
            }
        }
        Ok(())
    }

    fn put_boundary(&mut self, identity: &str, policies: &[PolicyInput]) -> Outcome {
        let ix = self.identity_at(identity)?;
        let Some(organisation) = PathParts::of(identity).and_then(|p| p.organisation) else {
            let reason = "the boundary of a person belongs to no organisation".to_owned();
            return Err(ChangeError::Invalid { reason });
        };
        let boundary = self.attachments(policies, organisation)?;
        self.identity_mut(ix).boundary = boundary;
        self.changed(identity);
        Ok(())
    }

    fn put_guardrails(&mut self, organisation: &str, policies: &[PolicyInput]) -> Outcome {
        let ix = self.identity_at(organisation)?;
        let id = PathParts::of(organisation)
            .map(|parts| parts.id)
            .unwrap_or_default();
        let guardrails = self.attachments(policies, id)?;
        let missing = || ChangeError::NotFound {
            path: organisation.to_owned(),
        };
        self.identity_mut(ix)
            .details
            .as_mut()
            .ok_or_else(missing)?
            .guardrails = guardrails;
        self.changed(organisation);
        Ok(())
    }

    fn read_named(&self, organisation: &str, document: &str) -> Result<Arc<Policy>, ChangeError> {
        keyward_policy::read(document, PolicyKind::Identity, organisation)
            .map(Arc::new)
            .map_err(|findings| ChangeError::Policy {
                number: 0,
                findings,
            })
    }

    fn create_policy(
        &mut self,
        organisation: &str,
        id: &str,
        name: Option<&str>,
        document: &str,
    ) -> Outcome {
        self.organisation(organisation)?;
        let path = format!("org/{organisation}/policy/{}", id.parse::<Slug>()?);
        self.claim(&path)?;
        let version = self.read_named(organisation, document)?;
        let ix = self.directory.policies.push(NamedPolicy {
            path: path.as_str().into(),
            name: name.map(Into::into),
            versions: vec![version],
            default_version: 1,
            created: self.context.stamp(),
        });
        self.place(&path, Entity::Policy(PolicyIx(ix)));
        self.claim_name(&path, None, name)
    }

    fn update_policy(&mut self, path: &str, document: &str) -> Outcome {
        let ix = self.policy_at(path)?;
        let organisation = PathParts::of(path)
            .and_then(|p| p.organisation)
            .unwrap_or_default();
        let version = self.read_named(organisation, document)?;
        let policy = self.policy_mut(ix);
        policy.versions.push(version);
        policy.default_version = u32::try_from(policy.versions.len()).unwrap_or(u32::MAX);
        self.changed(path);
        Ok(())
    }

    fn delete_policy(&mut self, path: &str) -> Outcome {
        let ix = self.policy_at(path)?;
        let dependents: Vec<String> = self.directory.carriers(ix).collect();
        if !dependents.is_empty() {
            return Err(ChangeError::Conflict {
                path: path.to_owned(),
                dependents,
            });
        }
        let name = self.policy_mut(ix).name.clone();
        if name.is_some() {
            self.claim_name(path, name.as_deref(), None)?;
        }
        if let Some(slot) = self.directory.policies.slot(ix.0) {
            *slot = None;
        }
        self.bury(path);
        Ok(())
    }
}
