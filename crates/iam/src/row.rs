//! The written form of entities: what the store keeps, one row each.

mod describe;
mod load;

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_policy::Policy;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aliases::VendorAliases;
use crate::directory::{Directory, Entity};
use crate::documents::StoredDocument;
use crate::entities::{Attachment, Backend, KeyStatus, PolicyVersion, Stamp, TrustKind};
use crate::ids::{IdentityIx, Kind, PathParts, UnixMillis};
use crate::people::Person;
use crate::providers::Provider;
use crate::snapshots::{Restore, SnapshotState};
use crate::tags::Tags;

/// One entity as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Full path.
    pub path: String,
    /// The type segment of its path.
    pub kind: String,
    /// Everything else; `None` for what was deleted, whose row stays for ever (of an organisation
    /// with its account number).
    pub body: Option<Value>,
}

/// What stays of an organisation that was deleted.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetiredOrganisation {
    retired_account: String,
}

impl Row {
    /// The row of an organisation that was deleted: its account number is never given again.
    pub(crate) fn retired_organisation(path: &str, account: &str) -> Self {
        Self {
            path: path.to_owned(),
            kind: Kind::Organisation.as_str().to_owned(),
            body: Some(serde_json::json!({ "retired_account": account })),
        }
    }
}

/// Why rows make no directory: the store was damaged, or written by a newer version.
#[derive(Debug, thiserror::Error)]
#[error("stored entity `{path}`: {reason}")]
pub struct LoadError {
    path: String,
    reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredAttachment {
    Document(StoredDocument),
    Policy(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredIdentity {
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    boundary: Vec<StoredAttachment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource_policy: Option<StoredDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_database: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    organisation: Option<StoredOrganisation>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<Box<Provider>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<StoredRole>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invitation: Option<StoredInvitation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revocations: Option<StoredRevocations>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    person: Option<Box<Person>>,
    created: Stamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRole {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    max_session_seconds: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredInvitation {
    token_hash: String,
    expires_at: UnixMillis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRevocations {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sessions: Vec<(String, UnixMillis)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredOrganisation {
    account: String,
    owner: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    guardrails: Vec<StoredAttachment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aliases: Option<Box<VendorAliases>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_key_lifetime_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_active_keys: Option<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredAccessKey {
    secret_hash: String,
    status: KeyStatus,
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed_secret: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    enabled_revision: u64,
    created: Stamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredDatabase {
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    backend: Backend,
    administration: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource_policy: Option<StoredDocument>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    created: Stamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSnapshot {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    state: SnapshotState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finished_at: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_restore: Option<Box<Restore>>,
    created: Stamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTrust {
    trustor: String,
    trustee: String,
    kind: TrustKind,
    policies: Vec<StoredAttachment>,
    expires_at: Option<UnixMillis>,
    /// A `Conditions` object, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conditions: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    conditions_revision: u64,
    accepted: bool,
    created: Stamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPolicy {
    name: Option<String>,
    versions: Vec<StoredVersion>,
    default_version: u32,
    /// None while no version was ever deleted, and in rows from before versions could be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_version: Option<u32>,
    created: Stamp,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredVersion {
    /// From before versions had numbers: numbered from 1, made with the policy.
    Text(String),
    Numbered(NumberedVersion),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NumberedVersion {
    version: u32,
    document: StoredDocument,
    created: Stamp,
    /// In rows from before it was kept: the first, so that nothing that grew goes untold.
    #[serde(default = "first_catalogue")]
    catalogue: u32,
}

fn first_catalogue() -> u32 {
    1
}

fn stored_version(version: &PolicyVersion) -> StoredVersion {
    StoredVersion::Numbered(NumberedVersion {
        version: version.number,
        document: StoredDocument::of(&version.policy),
        created: version.created.clone(),
        catalogue: version.catalogue,
    })
}

fn stored_tags(tags: &Tags) -> BTreeMap<String, String> {
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    tags.iter().map(owned).collect()
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Sealed bytes as hexadecimal digits, which a change of the master key finds and seals again.
pub(crate) mod sealed {
    use serde::de::{Deserialize as _, Error as _};

    #[expect(clippy::ref_option, reason = "what serde calls")]
    pub(crate) fn serialize<S: serde::Serializer>(
        sealed: &Option<Box<[u8]>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match sealed {
            None => serializer.serialize_none(),
            Some(bytes) => serializer.serialize_some(&super::hex(bytes)),
        }
    }

    pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Box<[u8]>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let bytes = text.map(|text| super::unhex(&text).ok_or_else(|| D::Error::custom("not hex")));
        Ok(bytes.transpose()?.map(Into::into))
    }
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
            u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()
        }
        _ => None,
    };
    pairs.map(byte).collect()
}

/// A hash of 32 bytes.
pub(crate) fn unhex_hash(text: &str) -> Option<[u8; 32]> {
    unhex(text)?.try_into().ok()
}

impl Directory {
    fn stored(&self, attachments: &[Attachment]) -> Vec<StoredAttachment> {
        let one = |attachment: &Attachment| match attachment {
            Attachment::Inline(policy) => StoredAttachment::Document(StoredDocument::of(policy)),
            Attachment::Named(ix) => StoredAttachment::Policy(
                self.policy(*ix)
                    .map_or_else(|| "deleted".to_owned(), |p| p.path.to_string()),
            ),
            Attachment::System(policy, _) => StoredAttachment::Policy(policy.path()),
        };
        attachments.iter().map(one).collect()
    }

    fn path_of(&self, ix: IdentityIx) -> String {
        self.identity(ix)
            .map_or_else(|| "deleted".to_owned(), |i| i.path.to_string())
    }

    /// The row of what is, or was, at a path.
    pub(crate) fn row(&self, path: &str) -> Row {
        let kind = PathParts::of(path).map_or("", |parts| parts.kind.as_str());
        Row {
            path: path.to_owned(),
            kind: kind.to_owned(),
            body: self.body(path),
        }
    }

    fn body(&self, path: &str) -> Option<Value> {
        let stored = |policy: &Option<Arc<Policy>>| policy.as_deref().map(StoredDocument::of);
        let name = |name: &Option<Box<str>>| name.as_ref().map(ToString::to_string);
        let value = match self.entity(path)? {
            Entity::Tombstone => return None,
            Entity::Identity(ix) => {
                let identity = self.identity(ix)?;
                let organisation = identity.organisation_details().map(|o| StoredOrganisation {
                    account: o.account.to_string(),
                    owner: self.path_of(o.owner),
                    guardrails: self.stored(&o.guardrails),
                    aliases: o.aliases.clone(),
                    max_key_lifetime_seconds: o.max_key_lifetime_seconds,
                    max_active_keys: o.max_active_keys,
                });
                let database = identity.default_database.and_then(|ix| self.database(ix));
                serde_json::to_value(StoredIdentity {
                    name: name(&identity.name),
                    boundary: self.stored(&identity.boundary),
                    resource_policy: stored(&identity.resource_policy),
                    default_database: database.map(|database| database.path.to_string()),
                    organisation,
                    tags: stored_tags(&identity.tags),
                    provider: identity.provider.clone(),
                    role: identity.role.as_deref().map(|role| StoredRole {
                        description: name(&role.description),
                        max_session_seconds: role.max_session_seconds,
                    }),
                    invitation: identity.invitation.as_deref().map(|i| StoredInvitation {
                        token_hash: hex(&i.token_hash),
                        expires_at: i.expires_at,
                        email: name(&i.email),
                    }),
                    revocations: identity.revocations.as_deref().map(|r| StoredRevocations {
                        before: r.before,
                        sessions: r
                            .sessions
                            .iter()
                            .map(|(id, end)| (id.to_string(), *end))
                            .collect(),
                    }),
                    person: identity.person.clone(),
                    created: identity.created.clone(),
                })
            }
            Entity::AccessKey(ix) => {
                let key = self.access_key_by_ix(ix)?;
                serde_json::to_value(StoredAccessKey {
                    secret_hash: hex(&key.secret_hash),
                    status: key.status,
                    description: name(&key.description),
                    expires_at: key.expires_at,
                    sealed_secret: key.sealed_secret.as_deref().map(hex),
                    enabled_revision: key.enabled_revision,
                    created: key.created.clone(),
                })
            }
            Entity::Database(ix) => {
                let database = self.database(ix)?;
                serde_json::to_value(StoredDatabase {
                    name: name(&database.name),
                    description: name(&database.description),
                    backend: database.backend.clone(),
                    administration: database.administration,
                    resource_policy: stored(&database.resource_policy),
                    tags: stored_tags(&database.tags),
                    created: database.created.clone(),
                })
            }
            Entity::Snapshot(ix) => {
                let snapshot = self.snapshot(ix)?;
                serde_json::to_value(StoredSnapshot {
                    description: name(&snapshot.description),
                    state: snapshot.state.clone(),
                    finished_at: snapshot.finished_at,
                    last_restore: snapshot.last_restore.clone(),
                    created: snapshot.created.clone(),
                })
            }
            Entity::Trust(ix) => {
                let trust = self.trust(ix)?;
                serde_json::to_value(StoredTrust {
                    trustor: self.path_of(trust.trustor),
                    trustee: self.path_of(trust.trustee),
                    kind: trust.kind,
                    policies: self.stored(&trust.policies),
                    expires_at: trust.expires_at,
                    conditions: trust.conditions_text().map(str::to_owned),
                    conditions_revision: trust.conditions_revision,
                    accepted: trust.accepted,
                    created: trust.created.clone(),
                })
            }
            Entity::Policy(ix) => {
                let policy = self.policy(ix)?;
                serde_json::to_value(StoredPolicy {
                    name: name(&policy.name),
                    versions: policy.versions.iter().map(stored_version).collect(),
                    default_version: policy.default_version,
                    last_version: policy
                        .versions
                        .last()
                        .is_none_or(|last| last.number < policy.last_version)
                        .then_some(policy.last_version),
                    created: policy.created.clone(),
                })
            }
        };
        Some(value.expect("maps with text keys are always JSON"))
    }

    /// Every row, for a store that starts from a directory.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        let identities = self.identities().map(|(_, i)| i.path.to_string());
        let keys = self
            .access_keys
            .iter()
            .map(|(_, key)| self.access_key_path(key));
        let databases = self.databases().map(|(_, d)| d.path.to_string());
        let snapshots = self.snapshots().map(|(_, s)| s.path.to_string());
        let trusts = self.trusts().map(|(_, t)| t.path.to_string());
        let policies = self.policies().map(|(_, p)| p.path.to_string());
        identities
            .chain(policies)
            .chain(databases)
            .chain(snapshots)
            .chain(keys)
            .chain(trusts)
            .map(|p| self.row(&p))
    }
}
