//! What the directory holds.

use std::sync::Arc;

use keyward_policy::Policy;

use crate::aliases::VendorAliases;
use crate::ids::{AccessKeyIx, DatabaseIx, IdentityIx, Kind, PolicyIx, SnapshotIx, UnixMillis};
use crate::people::Person;
use crate::providers::Provider;
use crate::system::SystemPolicy;
use crate::tags::Tags;

/// By whom and when something was made.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Stamp {
    /// When.
    pub at: UnixMillis,
    /// Path of the principal, or `system`.
    pub by: Arc<str>,
}

/// One policy of a list: written in place, or a reference to a named one.
#[derive(Clone, Debug)]
pub enum Attachment {
    /// Written in place.
    Inline(Arc<Policy>),
    /// A named policy of the same organisation; its default version counts.
    Named(PolicyIx),
    /// A policy of the system, as it reads in the organisation.
    System(SystemPolicy, Arc<Policy>),
}

/// An identity: one of [`Kind::IDENTITIES`]. What trusts connect, what chains consist of, and what
/// resource policies name.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Which of them.
    pub kind: Kind,
    /// Full path.
    pub path: Arc<str>,
    /// What people call it, if they gave it a name.
    pub name: Option<Box<str>>,
    /// The organisation it belongs to; an organisation belongs to itself, a user to none.
    pub organisation: Option<IdentityIx>,
    /// Trusts in which this identity is the trustee: the next steps of chains.
    pub(crate) trusted_by: Vec<crate::TrustIx>,
    /// In how many trusts this identity is the trustor.
    pub(crate) trustees: u32,
    /// Limits what is done by it or as it; grants nothing. Empty: no limit.
    pub boundary: Vec<Attachment>,
    /// Who may act on this identity (make keys for it, accept trusts, …) besides its owner.
    pub resource_policy: Option<Arc<Policy>>,
    /// Where its connections go when they name no database.
    pub default_database: Option<DatabaseIx>,
    /// Its credentials.
    pub access_keys: Vec<AccessKeyIx>,
    /// What conditions on `PrincipalTag/…` and `ResourceTag/…` read.
    pub tags: Tags,
    /// What only organisations have.
    pub(crate) details: Option<Box<OrganisationDetails>>,
    /// What only identity providers have.
    pub provider: Option<Box<Provider>>,
    /// What only roles have.
    pub role: Option<Box<RoleDetails>>,
    /// To whom an organisation user is offered that nobody has accepted yet.
    pub invitation: Option<Box<Invitation>>,
    /// Which of its sessions were ended early.
    pub revocations: Option<Box<Revocations>>,
    /// How a user signs in.
    pub person: Option<Box<Person>>,
    /// By whom and when.
    pub created: Stamp,
}

/// What an organisation has beyond an identity.
#[derive(Clone, Debug)]
pub struct OrganisationDetails {
    /// Random 12-digit number for AWS-style ARNs; never chosen, never reused.
    pub account: Arc<str>,
    /// The user to whom it belongs.
    pub owner: IdentityIx,
    /// Bind every request by its identities and on its resources. Empty: no limit.
    pub guardrails: Vec<Attachment>,
    /// What vendors call it, where that was set.
    pub aliases: Option<Box<VendorAliases>>,
    /// Seconds after which an access key of its identities opens nothing, whenever it was made.
    pub max_key_lifetime_seconds: Option<u64>,
    /// Active access keys that one of its identities may have.
    pub max_active_keys: Option<u8>,
}

/// Seconds that a session of a role lasts at most, where nobody said otherwise.
pub const DEFAULT_SESSION_SECONDS: u32 = 3600;

/// What a role has beyond an identity.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RoleDetails {
    /// What it is for, in its maker's words.
    pub description: Option<Box<str>>,
    /// Seconds that a session of it lasts at most.
    pub max_session_seconds: u32,
    /// The assumable trusts in which it is the trustor.
    pub(crate) assumable: Vec<crate::TrustIx>,
}

/// An organisation user that waits for somebody to accept it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invitation {
    /// SHA-256 of the token that accepts it.
    pub token_hash: [u8; 32],
    /// When it can no longer be accepted.
    pub expires_at: UnixMillis,
    /// Where it was sent. Tells nobody apart: who has the token may accept.
    pub email: Option<Box<str>>,
}

/// Sessions that were ended before their time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Revocations {
    /// Sessions issued before it have ended.
    pub before: Option<UnixMillis>,
    /// Ids of sessions that have ended, with the moment at which they would have ended anyway.
    pub sessions: Vec<(Box<str>, UnixMillis)>,
}

impl Identity {
    /// An identity of no organisation, without credentials, trusts or policies.
    pub(crate) fn new(kind: Kind, path: &str, created: Stamp) -> Self {
        Self {
            kind,
            path: path.into(),
            name: None,
            organisation: None,
            trusted_by: Vec::new(),
            trustees: 0,
            boundary: Vec::new(),
            resource_policy: None,
            default_database: None,
            access_keys: Vec::new(),
            tags: Tags::default(),
            details: None,
            provider: None,
            role: None,
            invitation: None,
            revocations: None,
            person: None,
            created,
        }
    }

    /// The id: the last segment of the path.
    #[must_use]
    pub fn id(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// What only organisations have.
    #[must_use]
    pub fn organisation_details(&self) -> Option<&OrganisationDetails> {
        self.details.as_deref()
    }
}

/// Whether a credential may be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// May be used.
    Active,
    /// Kept, and refused.
    Disabled,
}

/// A credential of a programmatic identity. Never an actor: what it may do is what the identity
/// may do.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// `KWAK…`, unique in the deployment for ever.
    pub key_id: Box<str>,
    /// Whose credential it is.
    pub identity: IdentityIx,
    /// Keyed hash of the secret.
    pub secret_hash: [u8; 32],
    /// Whether it may be used.
    pub status: KeyStatus,
    /// What it is for, in its maker's words.
    pub description: Option<Box<str>>,
    /// When it opens nothing any more, by its own setting.
    pub expires_at: Option<UnixMillis>,
    /// The secret under the master key, where requests are to be signed with it.
    pub sealed_secret: Option<Box<[u8]>>,
    /// Revision of the directory at which it was enabled again, 0 if it never was: what it opened
    /// before has ended.
    pub(crate) enabled_revision: u64,
    /// By whom and when.
    pub created: Stamp,
}

/// Where a database's data is.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Backend {
    /// The engine inside Keyward.
    Embedded,
    /// One Valkey or Redis server, which belongs to this database alone.
    Server {
        /// `host:port`
        address: String,
        /// Native user; none means the server's default user.
        user: Option<String>,
        /// The password, sealed under the master key; the one of the operator's own backend is not
        /// in the directory.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::row::sealed"
        )]
        password: Option<Box<[u8]>>,
        /// Whether the operator set it, who alone is not asked whether the address is permitted.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        operator: bool,
    },
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_yes(value: &bool) -> bool {
    *value
}

impl Backend {
    /// A server that the operator named.
    #[must_use]
    pub fn of_operator(address: impl Into<String>, user: Option<String>) -> Self {
        Self::Server {
            address: address.into(),
            user,
            password: None,
            operator: true,
        }
    }
}

/// A Redis-compatible database.
#[derive(Clone, Debug)]
pub struct Database {
    /// Full path.
    pub path: Arc<str>,
    /// What people call it, if they gave it a name.
    pub name: Option<Box<str>>,
    /// Its owner.
    pub organisation: IdentityIx,
    /// What it is for, in its maker's words.
    pub description: Option<Box<str>>,
    /// Where its data is.
    pub backend: Backend,
    /// Whether administrative commands are turned on (the operator must permit them, too).
    pub administration: bool,
    /// Which identities it accepts besides its owner.
    pub resource_policy: Option<Arc<Policy>>,
    /// What conditions on `ResourceTag/…` read.
    pub tags: Tags,
    /// Its snapshots, oldest first.
    pub snapshots: Vec<SnapshotIx>,
    /// By whom and when.
    pub created: Stamp,
}

impl Database {
    /// The id: the last segment of the path.
    #[must_use]
    pub fn id(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// How a trust came to be, and what it passes on without a policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustKind {
    /// Always on. Without a policy it passes nothing on.
    Standing,
    /// A group trusting a member: without a policy it passes everything on.
    Membership,
    /// An organisation trusting its owner with everything: moved, never edited.
    Ownership,
    /// A role trusting who may assume it; without a policy it passes everything on to the session.
    Assumable,
}

/// The trustor trusts the trustee: the trustee may act as the trustor, within the policies.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Full path, in the organisation of the trustor.
    pub path: Arc<str>,
    /// Whose power it gives away.
    pub trustor: IdentityIx,
    /// Who may act as the trustor.
    pub trustee: IdentityIx,
    /// How it came to be.
    pub kind: TrustKind,
    /// Read as one list of statements.
    pub policies: Vec<Attachment>,
    /// When it ends.
    pub expires_at: Option<UnixMillis>,
    /// What must hold of a request for the trust to count: one `Allow` statement, see
    /// [`Trust::conditions_text`].
    pub conditions: Option<Arc<Policy>>,
    /// Revision of the directory at which the conditions were changed last: sessions assumed under
    /// others have ended.
    pub(crate) conditions_revision: u64,
    /// Whether the trustee's side has agreed; before that it counts for nothing.
    pub accepted: bool,
    /// By whom and when.
    pub created: Stamp,
}

/// One version of a named policy.
#[derive(Clone, Debug)]
pub struct PolicyVersion {
    /// From 1, in the order in which they were made.
    pub number: u32,
    /// What it says.
    pub policy: Arc<Policy>,
    /// By whom and when.
    pub created: Stamp,
    /// Version of the catalogue of actions when it was written: its wildcards and action sets may have
    /// grown since.
    pub catalogue: u32,
}

/// A named, reusable document of an organisation, with its versions.
#[derive(Clone, Debug)]
pub struct NamedPolicy {
    /// Full path.
    pub path: Arc<str>,
    /// What people call it, if they gave it a name.
    pub name: Option<Box<str>>,
    /// The versions that were not deleted, oldest first; never empty.
    pub versions: Vec<PolicyVersion>,
    /// Number of the version that counts.
    pub default_version: u32,
    /// Highest number that a version ever had: numbers are never used again.
    pub last_version: u32,
    /// By whom and when.
    pub created: Stamp,
}

impl NamedPolicy {
    /// The version that counts.
    #[must_use]
    pub fn default(&self) -> &Arc<Policy> {
        let default = self.version(self.default_version);
        let version = default.expect("the default version is never deleted");
        &version.policy
    }

    /// A version by its number.
    #[must_use]
    pub fn version(&self, number: u32) -> Option<&PolicyVersion> {
        self.versions
            .iter()
            .find(|version| version.number == number)
    }
}
