//! How a directory is made of rows again.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_policy::{Policy, PolicyKind};
use serde::Deserialize;
use serde_json::Value;

use super::{
    LoadError, NumberedVersion, RetiredOrganisation, Row, StoredAccessKey, StoredAttachment,
    StoredDatabase, StoredIdentity, StoredPolicy, StoredRole, StoredSnapshot, StoredTrust,
    StoredVersion, first_catalogue, unhex, unhex_hash,
};
use crate::conditions;
use crate::directory::{Directory, Entity, account_key, name_key};
use crate::documents::{self, StoredDocument};
use crate::entities::{
    AccessKey, Attachment, DEFAULT_SESSION_SECONDS, Database, Identity, Invitation, NamedPolicy,
    OrganisationDetails, PolicyVersion, Revocations, RoleDetails, Trust, TrustKind,
};
use crate::ids::{
    AccessKeyIx, DatabaseIx, IdentityIx, Kind, PathParts, PolicyIx, SnapshotIx, TrustIx,
};
use crate::people::{Person, linked_key, passkey_key, sign_in_key};
use crate::snapshots::Snapshot;
use crate::system::SystemPolicy;
use crate::tags::Tags;

/// Makes a directory of rows, in the order in which entities refer to each other.
struct Loader {
    directory: Directory,
}

type Loaded<T> = Result<T, LoadError>;

fn bad(path: &str, reason: impl ToString) -> LoadError {
    LoadError {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn parse<T: for<'a> Deserialize<'a>>(path: &str, body: &Value) -> Loaded<T> {
    T::deserialize(body).map_err(|error| bad(path, error))
}

/// What the index of paths has of a person.
fn person_keys(person: &Person) -> Vec<String> {
    let names = person.sign_in_name.iter().map(|name| sign_in_key(name));
    let linked = person.linked.iter();
    let linked = linked.map(|login| linked_key(&login.issuer, &login.subject));
    let passkeys = person.passkeys.iter();
    let passkeys = passkeys.map(|passkey| passkey_key(&passkey.credential));
    names.chain(linked).chain(passkeys).collect()
}

fn organisation_id(path: &str) -> &str {
    PathParts::of(path)
        .and_then(|parts| parts.organisation)
        .unwrap_or_default()
}

impl Loader {
    fn identity(&self, path: &str, wanted: &str) -> Loaded<IdentityIx> {
        let missing = || bad(path, format!("refers to `{wanted}`, which is not stored"));
        self.directory.identity_at(wanted).ok_or_else(missing)
    }

    fn tags(path: &str, stored: &BTreeMap<String, String>) -> Loaded<Tags> {
        Tags::default()
            .changed(stored, &[])
            .map_err(|error| bad(path, error))
    }

    fn role(kind: Kind, stored: &StoredIdentity) -> Option<Box<RoleDetails>> {
        let details = |stored: Option<&StoredRole>| RoleDetails {
            description: stored.and_then(|role| role.description.as_deref().map(Into::into)),
            max_session_seconds: stored.map_or(DEFAULT_SESSION_SECONDS, |r| r.max_session_seconds),
            assumable: Vec::new(),
        };
        (kind == Kind::Role).then(|| Box::new(details(stored.role.as_ref())))
    }

    fn invitation(path: &str, stored: &StoredIdentity) -> Loaded<Option<Box<Invitation>>> {
        let Some(invitation) = &stored.invitation else {
            return Ok(None);
        };
        let token_hash = unhex_hash(&invitation.token_hash);
        let token_hash = token_hash.ok_or_else(|| bad(path, "the hash is malformed"))?;
        Ok(Some(Box::new(Invitation {
            token_hash,
            expires_at: invitation.expires_at,
            email: invitation.email.as_deref().map(Into::into),
        })))
    }

    fn document(path: &str, stored: &StoredDocument, kind: PolicyKind) -> Loaded<Arc<Policy>> {
        let unknown = || bad(path, "is in a dialect that this version does not know");
        let (text, dialect) = stored.parts().ok_or_else(unknown)?;
        documents::read(Some(dialect), text, kind, organisation_id(path))
            .map_err(|findings| bad(path, findings))
    }

    fn version(path: &str, stored: &StoredDocument) -> Loaded<Arc<Policy>> {
        let unknown = || bad(path, "is in a dialect that this version does not know");
        let (text, dialect) = stored.parts().ok_or_else(unknown)?;
        documents::read_at(path, Some(dialect), text, organisation_id(path))
            .map_err(|findings| bad(path, findings))
    }

    fn attachments(
        &mut self,
        path: &str,
        stored: Vec<StoredAttachment>,
    ) -> Loaded<Vec<Attachment>> {
        let read = |attachment| match attachment {
            StoredAttachment::Document(document) => {
                Self::document(path, &document, PolicyKind::Identity).map(Attachment::Inline)
            }
            StoredAttachment::Policy(policy) => match SystemPolicy::at(&policy) {
                Some(policy) => self
                    .directory
                    .system_policy(policy, organisation_id(path))
                    .map_err(|findings| bad(path, findings)),
                None => self
                    .directory
                    .policy_at(&policy)
                    .map(Attachment::Named)
                    .ok_or_else(|| bad(path, format!("refers to `{policy}`, which is not stored"))),
            },
        };
        stored.into_iter().map(read).collect()
    }

    fn place(&mut self, path: &str, name: Option<&str>, entity: Entity) {
        self.directory.paths.insert(path.into(), entity);
        if let Some(name) = name {
            self.directory.paths.insert(name_key(path, name), entity);
        }
    }

    /// First pass: identities alone.
    fn bare_identity(&mut self, path: &str, kind: Kind, stored: &StoredIdentity) -> Loaded<()> {
        let organisation = match kind {
            Kind::User | Kind::Organisation => None,
            _ => Some(self.identity(path, &format!("org/{}", organisation_id(path)))?),
        };
        let ix = IdentityIx(self.directory.identities.push(Identity {
            tags: Self::tags(path, &stored.tags)?,
            name: stored.name.as_deref().map(Into::into),
            organisation,
            provider: stored.provider.clone(),
            role: Self::role(kind, stored),
            invitation: Self::invitation(path, stored)?,
            revocations: stored.revocations.as_ref().map(|r| {
                Box::new(Revocations {
                    before: r.before,
                    sessions: r
                        .sessions
                        .iter()
                        .map(|(id, end)| (id.as_str().into(), *end))
                        .collect(),
                })
            }),
            ..Identity::new(kind, path, stored.created.clone())
        }));
        if kind == Kind::Organisation
            && let Some(identity) = self.directory.identities.get_mut(ix.0)
        {
            identity.organisation = Some(ix);
        }
        self.directory
            .index_provider(ix, None, stored.provider.as_deref());
        // Two people may be called the same.
        let name = stored.name.as_deref().filter(|_| kind != Kind::User);
        self.place(path, name, Entity::Identity(ix));
        Ok(())
    }

    fn policy(&mut self, path: &str, stored: StoredPolicy) -> Loaded<()> {
        let mut versions: Vec<PolicyVersion> = Vec::new();
        for (position, version) in (1..).zip(stored.versions) {
            let NumberedVersion {
                version: number,
                document,
                created,
                catalogue,
            } = match version {
                StoredVersion::Text(text) => NumberedVersion {
                    version: position,
                    document: StoredDocument::Native(text),
                    created: stored.created.clone(),
                    catalogue: first_catalogue(),
                },
                StoredVersion::Numbered(version) => version,
            };
            if versions.last().is_some_and(|last| last.number >= number) {
                return Err(bad(path, "has versions out of order"));
            }
            let policy = Self::version(path, &document)?;
            versions.push(PolicyVersion {
                number,
                policy,
                created,
                catalogue,
            });
        }
        if !versions
            .iter()
            .any(|version| version.number == stored.default_version)
        {
            return Err(bad(path, "has no default version"));
        }
        let highest = versions.last().map_or(0, |last| last.number);
        let ix = self.directory.policies.push(NamedPolicy {
            path: path.into(),
            name: stored.name.as_deref().map(Into::into),
            versions,
            default_version: stored.default_version,
            last_version: stored.last_version.unwrap_or(highest).max(highest),
            created: stored.created,
        });
        self.place(path, stored.name.as_deref(), Entity::Policy(PolicyIx(ix)));
        Ok(())
    }

    fn database(&mut self, path: &str, stored: StoredDatabase) -> Loaded<()> {
        let organisation = self.identity(path, &format!("org/{}", organisation_id(path)))?;
        let resource_policy = match &stored.resource_policy {
            Some(text) => Some(Self::document(path, text, PolicyKind::Resource)?),
            None => None,
        };
        let ix = self.directory.databases.push(Database {
            path: path.into(),
            name: stored.name.as_deref().map(Into::into),
            organisation,
            description: stored.description.as_deref().map(Into::into),
            backend: stored.backend,
            administration: stored.administration,
            resource_policy,
            tags: Self::tags(path, &stored.tags)?,
            snapshots: Vec::new(),
            created: stored.created,
        });
        self.place(
            path,
            stored.name.as_deref(),
            Entity::Database(DatabaseIx(ix)),
        );
        Ok(())
    }

    fn snapshot(&mut self, path: &str, stored: StoredSnapshot) -> Loaded<()> {
        let (database, _) = path.split_once("/snapshot/").unwrap_or((path, ""));
        let of = self.directory.database_at(database);
        let of = of.ok_or_else(|| bad(path, "its database is not stored"))?;
        let ix = SnapshotIx(self.directory.snapshots.push(Snapshot {
            path: path.into(),
            database: of,
            description: stored.description.map(Into::into),
            state: stored.state,
            finished_at: stored.finished_at,
            last_restore: stored.last_restore,
            created: stored.created,
        }));
        if let Some(database) = self.directory.databases.get_mut(of.0) {
            database.snapshots.push(ix);
        }
        self.place(path, None, Entity::Snapshot(ix));
        Ok(())
    }

    /// Second pass: what identities refer to.
    fn complete_identity(&mut self, path: &str, stored: StoredIdentity) -> Loaded<()> {
        let ix = self.identity(path, path)?;
        let boundary = self.attachments(path, stored.boundary)?;
        let resource_policy = match &stored.resource_policy {
            Some(text) => Some(Self::document(path, text, PolicyKind::Resource)?),
            None => None,
        };
        let default_database = stored
            .default_database
            .and_then(|path| self.directory.database_at(&path));
        let details = match stored.organisation {
            None => None,
            Some(organisation) => {
                let account = account_key(&organisation.account);
                self.directory.paths.insert(account, Entity::Identity(ix));
                Some(Box::new(OrganisationDetails {
                    account: organisation.account.into(),
                    owner: self.identity(path, &organisation.owner)?,
                    guardrails: self.attachments(path, organisation.guardrails)?,
                    aliases: organisation.aliases,
                    max_key_lifetime_seconds: organisation.max_key_lifetime_seconds,
                    max_active_keys: organisation.max_active_keys,
                }))
            }
        };
        let missing = || bad(path, "vanished while it was read");
        let identity = self
            .directory
            .identities
            .get_mut(ix.0)
            .ok_or_else(missing)?;
        identity.boundary = boundary;
        identity.resource_policy = resource_policy;
        identity.default_database = default_database;
        identity.details = details;
        identity.person = stored.person;
        let keys = identity.person.as_deref().map(person_keys);
        for key in keys.unwrap_or_default() {
            self.directory
                .paths
                .insert(key.into(), Entity::Identity(ix));
        }
        Ok(())
    }

    fn access_key(&mut self, path: &str, stored: StoredAccessKey) -> Loaded<()> {
        let parts = PathParts::of(path).ok_or_else(|| bad(path, "no such kind of path"))?;
        let (identity, _) = path.split_once("/access_key/").unwrap_or((path, ""));
        let identity = self.identity(path, identity)?;
        let secret_hash =
            unhex_hash(&stored.secret_hash).ok_or_else(|| bad(path, "the hash is malformed"))?;
        let sealed_secret = match &stored.sealed_secret {
            None => None,
            Some(text) => {
                let bytes = unhex(text).ok_or_else(|| bad(path, "the secret is malformed"))?;
                Some(bytes.into())
            }
        };
        let ix = AccessKeyIx(self.directory.access_keys.push(AccessKey {
            key_id: parts.id.into(),
            identity,
            secret_hash,
            status: stored.status,
            description: stored.description.map(Into::into),
            expires_at: stored.expires_at,
            sealed_secret,
            enabled_revision: stored.enabled_revision,
            created: stored.created,
        }));
        self.directory.key_ids.insert(parts.id.into(), ix);
        self.place(path, None, Entity::AccessKey(ix));
        if let Some(identity) = self.directory.identities.get_mut(identity.0) {
            identity.access_keys.push(ix);
        }
        Ok(())
    }

    fn trust(&mut self, path: &str, stored: StoredTrust) -> Loaded<()> {
        let trustor = self.identity(path, &stored.trustor)?;
        let trustee = self.identity(path, &stored.trustee)?;
        let policies = self.attachments(path, stored.policies)?;
        let conditions = match &stored.conditions {
            None => None,
            Some(text) => {
                let read = conditions::read(text, &stored.trustee, organisation_id(path));
                Some(read.map_err(|findings| bad(path, findings))?)
            }
        };
        let ix = TrustIx(self.directory.trusts.push(Trust {
            path: path.into(),
            trustor,
            trustee,
            kind: stored.kind,
            policies,
            expires_at: stored.expires_at,
            conditions,
            conditions_revision: stored.conditions_revision,
            accepted: stored.accepted,
            created: stored.created,
        }));
        self.place(path, None, Entity::Trust(ix));
        if let Some(identity) = self.directory.identities.get_mut(trustee.0) {
            identity.trusted_by.push(ix);
        }
        if let Some(identity) = self.directory.identities.get_mut(trustor.0) {
            identity.trustees += 1;
            if stored.kind == TrustKind::Assumable
                && let Some(role) = &mut identity.role
            {
                role.assumable.push(ix);
            }
        }
        Ok(())
    }
}

impl Directory {
    /// Makes the directory of a store's rows, which may come in any order.
    ///
    /// # Errors
    /// A row that is malformed or refers to something that is not there.
    pub fn load(rows: impl IntoIterator<Item = Row>, revision: u64) -> Result<Self, LoadError> {
        let mut loader = Loader {
            directory: Self {
                revision,
                ..Self::default()
            },
        };
        let mut bodies: Vec<Vec<(String, Value)>> = vec![Vec::new(); Kind::ALL.len()];
        for row in rows {
            let Some(parts) = PathParts::of(&row.path) else {
                return Err(bad(&row.path, "no such kind of path"));
            };
            match row.body {
                // Key ids are unique for ever, also in another identity.
                None if parts.kind == Kind::AccessKey => {
                    loader.place(&row.path, None, Entity::Tombstone);
                    let gone = AccessKeyIx(u32::MAX);
                    loader.directory.key_ids.insert(parts.id.into(), gone);
                }
                None => loader.place(&row.path, None, Entity::Tombstone),
                Some(body) if body.get("retired_account").is_some() => {
                    let retired: RetiredOrganisation = parse(&row.path, &body)?;
                    let account = account_key(&retired.retired_account);
                    loader.directory.paths.insert(account, Entity::Tombstone);
                    loader.place(&row.path, None, Entity::Tombstone);
                }
                Some(body) => bodies[parts.kind as usize].push((row.path, body)),
            }
        }
        for kind in Kind::IDENTITIES {
            for (path, body) in &bodies[kind as usize] {
                loader.bare_identity(path, kind, &parse(path, body)?)?;
            }
        }
        for (path, body) in &bodies[Kind::Policy as usize] {
            loader.policy(path, parse(path, body)?)?;
        }
        for (path, body) in &bodies[Kind::Database as usize] {
            loader.database(path, parse(path, body)?)?;
        }
        // Oldest first, as they were before.
        let snapshots = &mut bodies[Kind::Snapshot as usize];
        let made = |body: &Value| body["created"]["at"].as_u64();
        snapshots.sort_by(|(a, x), (b, y)| made(x).cmp(&made(y)).then_with(|| a.cmp(b)));
        for (path, body) in &bodies[Kind::Snapshot as usize] {
            loader.snapshot(path, parse(path, body)?)?;
        }
        for kind in Kind::IDENTITIES {
            for (path, body) in &bodies[kind as usize] {
                loader.complete_identity(path, parse(path, body)?)?;
            }
        }
        for (path, body) in &bodies[Kind::AccessKey as usize] {
            loader.access_key(path, parse(path, body)?)?;
        }
        for (path, body) in &bodies[Kind::Trust as usize] {
            loader.trust(path, parse(path, body)?)?;
        }
        Ok(loader.directory)
    }
}
