//! The written form of entities: what the store keeps, one row each, and how a directory is made
//! of rows again.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_policy::{Dialect, Policy, PolicyKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aliases::VendorAliases;
use crate::conditions;
use crate::directory::{Directory, Entity, account_key, name_key};
use crate::documents::{self, StoredDocument};
use crate::entities::{
    AccessKey, Attachment, Backend, DEFAULT_SESSION_SECONDS, Database, Identity, Invitation,
    KeyStatus, NamedPolicy, OrganisationDetails, PolicyVersion, Revocations, RoleDetails, Stamp,
    Trust, TrustKind,
};
use crate::ids::{
    AccessKeyIx, DatabaseIx, IdentityIx, Kind, PathParts, PolicyIx, SnapshotIx, TrustIx, UnixMillis,
};
use crate::people::{Person, linked_key, passkey_key, sign_in_key};
use crate::providers::Provider;
use crate::snapshots::{Restore, Snapshot, SnapshotState};
use crate::system::SystemPolicy;
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

    /// What an entity looks like to whoever may describe it: its row without hashes, its policies
    /// as JSON where they are JSON.
    #[must_use]
    pub fn describe(&self, path: &str) -> Option<Value> {
        let parts = PathParts::of(path)?;
        if let Some(policy) = SystemPolicy::at(path) {
            return Some(describe_system_policy(policy));
        }
        let mut body = self.body(path)?;
        let object = body.as_object_mut()?;
        object.remove("secret_hash");
        let sealed = object.remove("sealed_secret");
        if parts.kind == Kind::AccessKey {
            object.insert("signs_requests".to_owned(), sealed.is_some().into());
        }
        object.remove("conditions_revision");
        object.remove("enabled_revision");
        if let Some(Value::Object(invitation)) = object.get_mut("invitation") {
            invitation.remove("token_hash");
        }
        object.remove("person"); // shown to the person alone, and never whole
        let mut shown = serde_json::Map::new();
        shown.insert("id".to_owned(), parts.id.into());
        shown.insert("path".to_owned(), path.into());
        shown.insert("kind".to_owned(), parts.kind.as_str().into());
        for (field, value) in std::mem::take(object) {
            match (field.as_str(), value) {
                ("backend", Value::Object(mut backend)) => {
                    let password = backend.remove("password");
                    if backend.contains_key("address") {
                        let by_operator = backend.remove("operator").is_none();
                        backend.insert("has_password".to_owned(), password.is_some().into());
                        backend.insert("operator".to_owned(), by_operator.into());
                    }
                    shown.insert(field, Value::Object(backend));
                }
                ("state", Value::Object(state)) => shown.extend(state),
                ("last_restore", Value::Object(mut restore)) => {
                    if let Some(Value::Object(state)) = restore.remove("state") {
                        restore.extend(state);
                    }
                    shown.insert(field, Value::Object(restore));
                }
                ("resource_policy", _) => {} // has a URL and an action of its own
                ("last_version", _) => {}    // what the next version will be is nobody's concern
                ("policies" | "boundary", Value::Array(list)) => {
                    let list = list.into_iter().map(show_attachment).collect();
                    shown.insert(field, list);
                }
                ("versions", Value::Array(list)) => {
                    let list = list.into_iter().map(show_version).collect();
                    shown.insert(field, list);
                }
                ("conditions", Value::String(text)) => {
                    let json = serde_json::from_str(&text);
                    shown.insert(field, json.unwrap_or(Value::String(text)));
                }
                ("role", Value::Object(role)) => shown.extend(role),
                ("provider", Value::Object(provider)) => shown.extend(provider),
                ("organisation", Value::Object(mut organisation)) => {
                    organisation.remove("guardrails"); // likewise
                    shown.extend(organisation);
                }
                ("kind", kind) => {
                    shown.insert("trust_kind".to_owned(), kind);
                }
                (_, value) => {
                    shown.insert(field, value);
                }
            }
        }
        Some(Value::Object(shown))
    }
}

fn describe_system_policy(policy: SystemPolicy) -> Value {
    let (dialect, document) = show_document(policy.text().into());
    serde_json::json!({
        "id": policy.id(), "path": policy.path(), "kind": Kind::Policy.as_str(),
        "name": policy.name(), "description": policy.description(), "system": true,
        "grants": policy.grants(), "default_version": 1,
        "versions": [
            { "version": 1, "dialect": dialect, "document": document },
        ],
    })
}

/// `{"dialect": …, "document": …}` or `{"policy": path}`.
fn show_attachment(mut attachment: Value) -> Value {
    match attachment.get_mut("document").map(Value::take) {
        Some(document) => {
            let (dialect, document) = show_document(document);
            serde_json::json!({ "dialect": dialect, "document": document })
        }
        None => attachment,
    }
}

/// A version with its document as JSON.
fn show_version(mut version: Value) -> Value {
    if let Some(object) = version.as_object_mut() {
        let document = object.remove("document").unwrap_or_default();
        let (dialect, document) = show_document(document);
        object.insert("dialect".to_owned(), dialect);
        object.insert("document".to_owned(), document);
    }
    version
}

/// The dialect of a stored document, and the document: as JSON where it is JSON.
fn show_document(mut stored: Value) -> (Value, Value) {
    let (dialect, text) = match &mut stored {
        Value::Object(other) => (
            other.remove("dialect").unwrap_or_default(),
            other.remove("text").unwrap_or_default(),
        ),
        text => (Dialect::Native.name().into(), text.take()),
    };
    let json = text
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok());
    (dialect, json.unwrap_or(text))
}

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
