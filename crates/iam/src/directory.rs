//! The directory: an immutable value that holds every entity.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_policy::{Findings, Policy};

use crate::entities::{AccessKey, Attachment, Database, Identity, NamedPolicy, Trust};
use crate::ids::{
    AccessKeyIx, DatabaseIx, IdentityIx, Kind, PathParts, PolicyIx, SnapshotIx, TrustIx,
};
use crate::paged::{PagedMap, PagedTable};
use crate::snapshots::Snapshot;
use crate::system::SystemPolicy;
use crate::tags::Tags;

/// What a full path leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entity {
    /// An organisation, user, programmatic identity or group.
    Identity(IdentityIx),
    /// A database.
    Database(DatabaseIx),
    /// A snapshot of a database.
    Snapshot(SnapshotIx),
    /// A trust.
    Trust(TrustIx),
    /// An access key.
    AccessKey(AccessKeyIx),
    /// A named policy.
    Policy(PolicyIx),
    /// Something that was deleted. Its id is refused for ever.
    Tombstone,
}

/// Every entity at one revision. An immutable value: [`Directory::apply`] makes a new one that
/// shares all pages that did not change, so that readers keep theirs as long as they like.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    pub(crate) revision: u64,
    pub(crate) identities: PagedTable<Identity>,
    pub(crate) databases: PagedTable<Database>,
    pub(crate) snapshots: PagedTable<Snapshot>,
    pub(crate) trusts: PagedTable<Trust>,
    pub(crate) access_keys: PagedTable<AccessKey>,
    pub(crate) policies: PagedTable<NamedPolicy>,
    /// Full paths, and names as `<collection path>?<lower-case name>`.
    pub(crate) paths: PagedMap<Arc<str>, Entity>,
    pub(crate) key_ids: PagedMap<Box<str>, AccessKeyIx>,
    /// Identity providers by what they speak for: few beside everything else.
    pub(crate) providers: Arc<BTreeMap<Box<str>, Vec<IdentityIx>>>,
    /// Policies of the system as they read in an organisation: `<organisation>/<id of the policy>`.
    pub(crate) system_policies: PagedMap<Box<str>, Arc<Policy>>,
}

/// Where the index of paths keeps the name of what is at a path: unique in its collection, ignoring
/// case. No path has a `?`.
pub(crate) fn name_key(path: &str, name: &str) -> Arc<str> {
    let collection = path
        .rsplit_once('/')
        .map_or("", |(collection, _)| collection);
    format!("{collection}?{}", name.to_lowercase()).into()
}

/// Where the index of paths keeps an account number.
pub(crate) fn account_key(account: &str) -> Arc<str> {
    format!("account?{account}").into()
}

impl Directory {
    /// A directory without anything in it, at revision 0.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The number of changes that made it.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What a full path leads to, tombstones included.
    #[must_use]
    pub fn entity(&self, path: &str) -> Option<Entity> {
        self.paths.get(path).copied()
    }

    /// An identity by index; `None` once it is deleted.
    #[must_use]
    pub fn identity(&self, ix: IdentityIx) -> Option<&Identity> {
        self.identities.get(ix.0)
    }

    /// An identity by full path.
    #[must_use]
    pub fn identity_at(&self, path: &str) -> Option<IdentityIx> {
        match self.entity(path)? {
            Entity::Identity(ix) => Some(ix),
            _ => None,
        }
    }

    /// A database by index; `None` once it is deleted.
    #[must_use]
    pub fn database(&self, ix: DatabaseIx) -> Option<&Database> {
        self.databases.get(ix.0)
    }

    /// A database by full path.
    #[must_use]
    pub fn database_at(&self, path: &str) -> Option<DatabaseIx> {
        match self.entity(path)? {
            Entity::Database(ix) => Some(ix),
            _ => None,
        }
    }

    /// A snapshot by index; `None` once it is deleted.
    #[must_use]
    pub fn snapshot(&self, ix: SnapshotIx) -> Option<&Snapshot> {
        self.snapshots.get(ix.0)
    }

    /// A snapshot by full path.
    #[must_use]
    pub fn snapshot_at(&self, path: &str) -> Option<SnapshotIx> {
        match self.entity(path)? {
            Entity::Snapshot(ix) => Some(ix),
            _ => None,
        }
    }

    /// Every snapshot.
    pub fn snapshots(&self) -> impl Iterator<Item = (SnapshotIx, &Snapshot)> {
        self.snapshots
            .iter()
            .map(|(ix, snapshot)| (SnapshotIx(ix), snapshot))
    }

    /// A trust by index; `None` once it is deleted.
    #[must_use]
    pub fn trust(&self, ix: TrustIx) -> Option<&Trust> {
        self.trusts.get(ix.0)
    }

    /// A trust by full path.
    #[must_use]
    pub fn trust_at(&self, path: &str) -> Option<TrustIx> {
        match self.entity(path)? {
            Entity::Trust(ix) => Some(ix),
            _ => None,
        }
    }

    /// A named policy by index; `None` once it is deleted.
    #[must_use]
    pub fn policy(&self, ix: PolicyIx) -> Option<&NamedPolicy> {
        self.policies.get(ix.0)
    }

    /// A named policy by full path.
    #[must_use]
    pub fn policy_at(&self, path: &str) -> Option<PolicyIx> {
        match self.entity(path)? {
            Entity::Policy(ix) => Some(ix),
            _ => None,
        }
    }

    /// An access key by its key id (`KWAK…`), disabled ones included.
    #[must_use]
    pub fn access_key(&self, key_id: &str) -> Option<(AccessKeyIx, &AccessKey)> {
        let ix = *self.key_ids.get(key_id)?;
        Some((ix, self.access_keys.get(ix.0)?))
    }

    /// An access key by index; `None` once it is deleted.
    #[must_use]
    pub fn access_key_by_ix(&self, ix: AccessKeyIx) -> Option<&AccessKey> {
        self.access_keys.get(ix.0)
    }

    /// Every organisation.
    pub fn organisations(&self) -> impl Iterator<Item = (IdentityIx, &Identity)> {
        self.identities()
            .filter(|(_, i)| i.kind == Kind::Organisation)
    }

    /// Every identity.
    pub fn identities(&self) -> impl Iterator<Item = (IdentityIx, &Identity)> {
        self.identities
            .iter()
            .map(|(ix, identity)| (IdentityIx(ix), identity))
    }

    /// Every database.
    pub fn databases(&self) -> impl Iterator<Item = (DatabaseIx, &Database)> {
        self.databases
            .iter()
            .map(|(ix, database)| (DatabaseIx(ix), database))
    }

    /// Every trust.
    pub fn trusts(&self) -> impl Iterator<Item = (TrustIx, &Trust)> {
        self.trusts.iter().map(|(ix, trust)| (TrustIx(ix), trust))
    }

    /// Every named policy.
    pub fn policies(&self) -> impl Iterator<Item = (PolicyIx, &NamedPolicy)> {
        self.policies
            .iter()
            .map(|(ix, policy)| (PolicyIx(ix), policy))
    }

    /// The organisation with this id.
    #[must_use]
    pub fn organisation(&self, id: &str) -> Option<IdentityIx> {
        self.identity_at(&format!("org/{id}"))
    }

    /// Full path of an access key.
    #[must_use]
    pub fn access_key_path(&self, key: &AccessKey) -> String {
        let identity = self.identity(key.identity).map_or("deleted", |i| &i.path);
        format!("{identity}/access_key/{}", key.key_id)
    }

    /// The documents of a list of attachments, in order, each as its default version.
    pub(crate) fn documents(&self, attachments: &[Attachment]) -> Vec<Arc<Policy>> {
        let document = |attachment: &Attachment| match attachment {
            Attachment::Inline(policy) | Attachment::System(_, policy) => Arc::clone(policy),
            Attachment::Named(ix) => {
                let named = self.policy(*ix);
                Arc::clone(
                    named
                        .expect("a policy that something carries is not deleted")
                        .default(),
                )
            }
        };
        attachments.iter().map(document).collect()
    }

    /// A policy of the system as it reads in an organisation (by id): one value for all that carry
    /// it there.
    pub(crate) fn system_policy(
        &mut self,
        policy: SystemPolicy,
        organisation: &str,
    ) -> Result<Attachment, Findings> {
        let key = format!("{organisation}/{}", policy.id());
        if let Some(known) = self.system_policies.get(&*key) {
            return Ok(Attachment::System(policy, Arc::clone(known)));
        }
        let read = policy.read(organisation)?;
        self.system_policies.insert(key.into(), Arc::clone(&read));
        Ok(Attachment::System(policy, read))
    }

    /// The resource policy of what is at a path.
    pub(crate) fn resource_policy(&self, path: &str) -> Option<&Arc<Policy>> {
        match self.entity(path)? {
            Entity::Identity(ix) => self.identity(ix)?.resource_policy.as_ref(),
            Entity::Database(ix) => self.database(ix)?.resource_policy.as_ref(),
            // A key is part of its identity.
            Entity::AccessKey(ix) => {
                let key = self.access_key_by_ix(ix)?;
                self.identity(key.identity)?.resource_policy.as_ref()
            }
            // So is a snapshot of its database.
            Entity::Snapshot(ix) => {
                let database = self.database(self.snapshot(ix)?.database)?;
                database.resource_policy.as_ref()
            }
            Entity::Trust(_) | Entity::Policy(_) | Entity::Tombstone => None,
        }
    }

    /// The tags of the identity or database at a full path. What lies below (an access key, a
    /// snapshot) has those of what it lies in.
    #[must_use]
    pub fn tags_of(&self, path: &str) -> Option<&Tags> {
        match self.entity(path)? {
            Entity::Identity(ix) => self.identity(ix).map(|identity| &identity.tags),
            Entity::Database(ix) => self.database(ix).map(|database| &database.tags),
            Entity::AccessKey(ix) => {
                let key = self.access_key_by_ix(ix)?;
                self.identity(key.identity).map(|identity| &identity.tags)
            }
            Entity::Snapshot(ix) => {
                let database = self.database(self.snapshot(ix)?.database)?;
                Some(&database.tags)
            }
            Entity::Trust(_) | Entity::Policy(_) | Entity::Tombstone => None,
        }
    }

    /// The organisation that a full path belongs to, whether or not the thing itself exists.
    pub(crate) fn organisation_of(&self, path: &str) -> Option<IdentityIx> {
        let rest = path.strip_prefix("org/")?;
        self.organisation(rest.split('/').next()?)
    }

    /// The owner of what a full path names: the organisation for everything in it, its owner for
    /// an organisation, a user for itself.
    pub(crate) fn owner_of(&self, path: &str) -> Option<IdentityIx> {
        let organisation = self.organisation_of(path);
        match PathParts::of(path).map(|parts| parts.kind) {
            Some(Kind::User) => self.identity_at(path),
            Some(Kind::Organisation) => {
                Some(self.identity(organisation?)?.organisation_details()?.owner)
            }
            _ => organisation,
        }
    }
}
