//! Changing the directory: every rule of change is here, and nowhere else.

mod access_keys;
mod aliases;
mod databases;
mod identities;
mod limits;
mod members;
mod people;
mod policies;
mod providers;
mod roles;
mod snapshots;
mod tags;
mod trusts;

use keyward_policy::Findings;

use self::access_keys::NewKey;
use self::trusts::Terms;
use crate::aliases::AliasError;
use crate::change::Change;
use crate::directory::{Directory, Entity, name_key};
use crate::entities::{Database, Identity, NamedPolicy, Stamp, Trust, TrustKind};
use crate::ids::{
    DatabaseIx, IdentityIx, Kind, PathParts, PolicyIx, SlugError, TrustIx, UnixMillis,
};
use crate::providers::TrustRuleError;
use crate::row::Row;
use crate::system::SystemPolicy;
use crate::tags::TagError;

/// Active access keys of one identity, where its organisation says nothing else: two, so that keys
/// can be rotated.
pub const ACTIVE_KEYS: usize = 2;

/// Active access keys of one identity that an organisation may permit.
pub const MAX_ACTIVE_KEYS: usize = 5;

/// Access keys of one identity, disabled ones included.
pub const MAX_KEYS: usize = 5;

/// Trusts on the longest path of standing trusts.
pub const MAX_CHAIN: usize = 8;

/// Versions of one named policy.
pub const MAX_VERSIONS: usize = 20;

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
    /// A name of a vendor that is none.
    #[error(transparent)]
    Alias(#[from] AliasError),
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
    /// Conditions of a trust that validation refuses.
    #[error("conditions: {findings}")]
    Conditions {
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
    /// There is one already.
    #[error("{reason}")]
    Exists {
        /// What, and what to do.
        reason: String,
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
    /// A provider, or a trust in one, that would take anybody's tokens.
    #[error(transparent)]
    TrustRule(#[from] TrustRuleError),
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
    /// Path of the principal, `operator`, or `system`.
    pub by: String,
    /// Whether the caller may also accept for the trustee; otherwise a new trust waits.
    pub accepts: bool,
}

impl ChangeContext {
    /// Keyward itself, as when it starts.
    #[must_use]
    pub fn system(at: UnixMillis) -> Self {
        Self {
            at,
            by: "system".to_owned(),
            accepts: true,
        }
    }

    /// The operator on the machine itself.
    #[must_use]
    pub fn operator(at: UnixMillis) -> Self {
        Self {
            by: "operator".to_owned(),
            ..Self::system(at)
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
    /// Paths of organisations that were deleted, with their account numbers: these stay taken.
    retired: Vec<(String, std::sync::Arc<str>)>,
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
            retired: Vec::new(),
            context,
        };
        editor.make(change)?;
        let Editor {
            mut directory,
            changed,
            retired,
            ..
        } = editor;
        directory.revision += 1;
        let row = |path: &String| {
            let account = retired.iter().find(|(gone, _)| gone == path);
            match account {
                Some((path, account)) => Row::retired_organisation(path, account),
                None => directory.row(path),
            }
        };
        let rows = changed.iter().map(row).collect();
        Ok(Applied { directory, rows })
    }
}

impl Editor<'_> {
    fn make(&mut self, change: &Change) -> Outcome {
        match change {
            Change::CreateUser { id, name } => self.create_user(id, name.as_deref()),
            Change::RegisterUser {
                id,
                name,
                sign_in_name,
                password,
            } => self.register_user(id, name.as_deref(), sign_in_name, password.as_deref()),
            Change::DeleteUser { path, cascade } => self.delete_user(path, *cascade),
            Change::DeclineInvitation { path, token_hash } => {
                self.decline_invitation(path, *token_hash)
            }
            Change::Person { user, change } => self.change_person(user, change),
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
            } => {
                let kind = Kind::ProgrammaticIdentity;
                self.create_member(kind, organisation, id, name.as_deref())?;
                Ok(())
            }
            Change::CreateGroup {
                organisation,
                id,
                name,
            } => {
                self.create_member(Kind::Group, organisation, id, name.as_deref())?;
                Ok(())
            }
            Change::CreateRole {
                organisation,
                id,
                name,
                description,
                max_session_seconds,
            } => self.create_role(
                organisation,
                id,
                name.as_deref(),
                description.as_deref(),
                *max_session_seconds,
            ),
            Change::UpdateRole {
                path,
                name,
                description,
                max_session_seconds,
            } => self.update_role(
                path,
                name.as_ref().map(Option::as_deref),
                description.as_ref().map(Option::as_deref),
                *max_session_seconds,
            ),
            Change::CreateOrganisationUser {
                organisation,
                id,
                name,
                user,
                invitation,
            } => self.create_organisation_user(
                organisation,
                id,
                name.as_deref(),
                user.as_deref(),
                invitation.as_ref(),
            ),
            Change::Invite { path, invitation } => self.invite(path, invitation),
            Change::AcceptInvitation {
                path,
                user,
                token_hash,
            } => self.accept_invitation(path, user, token_hash),
            Change::RevokeSessions { identity, before } => self.revoke_sessions(identity, *before),
            Change::RevokeSession {
                identity,
                id,
                expires,
            } => self.revoke_session(identity, id, *expires),
            Change::SetKeyLimits {
                organisation,
                max_key_lifetime_seconds,
                max_active_keys,
            } => self.set_key_limits(organisation, *max_key_lifetime_seconds, *max_active_keys),
            Change::CreateIdentityProvider {
                organisation,
                id,
                name,
                provider,
            } => self.create_provider(organisation, id, name.as_deref(), provider),
            Change::UpdateIdentityProvider {
                path,
                name,
                provider,
            } => {
                self.update_provider(path, provider)?;
                match name {
                    Some(name) => self.rename(path, name.as_deref()),
                    None => Ok(()),
                }
            }
            Change::SyncSignIn {
                user,
                sign_in,
                claims,
            } => self.sync_sign_in(user, sign_in, claims),
            Change::DeleteIdentity { path, cascade } => self.delete_identity(path, *cascade),
            Change::SetDefaultDatabase { identity, database } => {
                self.set_default_database(identity, database.as_deref())
            }
            Change::CreateAccessKey {
                identity,
                key_id,
                secret_hash,
                description,
                expires_at,
                sealed_secret,
            } => self.create_access_key(
                identity,
                key_id,
                NewKey {
                    secret_hash: *secret_hash,
                    description: description.as_deref(),
                    expires_at: *expires_at,
                    sealed_secret: sealed_secret.as_deref(),
                },
            ),
            Change::UpdateAccessKey {
                path,
                status,
                description,
                expires_at,
            } => self.update_access_key(
                path,
                *status,
                description.as_ref().map(Option::as_deref),
                *expires_at,
            ),
            Change::DeleteAccessKey { path } => self.delete_access_key(path),
            Change::CreateDatabase {
                organisation,
                id,
                name,
                description,
                backend,
            } => self.create_database(
                organisation,
                id,
                name.as_deref(),
                description.as_deref(),
                backend,
            ),
            Change::SetBackend { path, backend } => self.set_backend(path, backend),
            Change::SetAdministration { path, on } => {
                let (_, database) = self.database_mut(path)?;
                database.administration = *on;
                self.changed(path);
                Ok(())
            }
            Change::UpdateDatabase {
                path,
                name,
                description,
            } => self.update_database(
                path,
                name.as_ref().map(|name| name.as_deref()),
                description.as_ref().map(|text| text.as_deref()),
            ),
            Change::DeleteDatabase { path } => self.delete_database(path),
            Change::CreateSnapshot {
                database,
                id,
                description,
            } => self.create_snapshot(database, id, description.as_deref()),
            Change::EndSnapshot { path, state } => self.end_snapshot(path, state),
            Change::UpdateSnapshot { path, description } => {
                self.update_snapshot(path, description.as_deref())
            }
            Change::RestoreSnapshot {
                path,
                target,
                existing,
            } => self.restore_snapshot(path, target, *existing),
            Change::EndRestore { path, state } => self.end_restore(path, state),
            Change::DeleteSnapshot { path } => self.delete_snapshot(path),
            Change::CreateTrust {
                id,
                trustor,
                trustee,
                policies,
                expires_at,
                kind,
                conditions,
            } => self.create_trust(
                id,
                (trustor, trustee),
                *kind,
                &Terms {
                    policies,
                    expires_at: *expires_at,
                    conditions: conditions.as_deref(),
                },
            ),
            Change::UpdateTrust {
                path,
                policies,
                expires_at,
                conditions,
            } => self.update_trust(
                path,
                policies.as_deref(),
                *expires_at,
                conditions.as_ref().map(Option::as_deref),
            ),
            Change::AcceptTrust { path } => {
                let (ix, trust) = self.trust_at(path)?;
                if trust.kind != TrustKind::Assumable {
                    self.check_chain(trust.trustor, trust.trustee)?;
                }
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
            Change::SetVendorAliases {
                organisation,
                aliases,
            } => self.set_aliases(organisation, aliases),
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
            Change::UpdatePolicy {
                path,
                document,
                make_default,
            } => self.update_policy(path, document, *make_default),
            Change::SetDefaultPolicyVersion { path, version } => {
                self.set_default_version(path, *version)
            }
            Change::DeletePolicyVersion { path, version } => self.delete_version(path, *version),
            Change::AttachPolicy { trust, policy } => self.attach_policy(trust, policy),
            Change::DetachPolicy { trust, policy } => self.detach_policy(trust, policy),
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
            if PathParts::of(path).is_some_and(|parts| parts.kind == Kind::User) {
                return Ok(()); // two people may be called the same
            }
            let same = old.is_some_and(|old| key(old) == key(new));
            let taken = !matches!(
                self.directory.paths.get(&*key(new)),
                None | Some(Entity::Tombstone)
            );
            let is_policy = PathParts::of(path).is_some_and(|parts| parts.kind == Kind::Policy);
            let is_system = is_policy && SystemPolicy::named(new).is_some();
            if (taken && !same) || is_system {
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
}
