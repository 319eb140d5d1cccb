//! What can be changed, and on what each change is decided.

use std::collections::BTreeMap;

use crate::aliases::VendorAliases;
use crate::documents::PolicyText;
use crate::entities::{Backend, Invitation, KeyStatus, TrustKind};
use crate::ids::UnixMillis;
use crate::people::PersonChange;
use crate::providers::Provider;
use crate::snapshots::{Existing, RestoreState, SnapshotState};

/// A policy as it is handed in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PolicyInput {
    /// The text of a document, whose form tells the dialect.
    Document(String),
    /// A document of which somebody says what dialect it is.
    Written(PolicyText),
    /// A named policy of the same organisation or of the system: path, shorthand, id or name.
    Named(String),
}

/// One change of the directory. Paths are full.
#[derive(Clone, Debug)]
pub enum Change {
    /// A person; made by the operator, never through an organisation.
    CreateUser {
        /// Generated id.
        id: String,
        /// What people call the user.
        name: Option<String>,
    },
    /// A person with a way to sign in; made by the operator, or for whoever has an invitation.
    RegisterUser {
        /// Generated id.
        id: String,
        /// What people call the user.
        name: Option<String>,
        /// What is typed at the sign-in page.
        sign_in_name: String,
        /// Hash of the password, as a PHC string.
        password: Option<String>,
    },
    /// Deletes a person; the operator's alone.
    DeleteUser {
        /// Path of the user.
        path: String,
        /// Whether memberships go with it; otherwise they are named in a refusal. Organisations
        /// that the user owns are named in any case.
        cascade: bool,
    },
    /// How a person signs in, or where she is signed in.
    Person {
        /// Path of the user.
        user: String,
        /// What changes.
        change: PersonChange,
    },
    /// An organisation, with the ownership trust from it to its owner.
    CreateOrganisation {
        /// Its id, unique in the deployment for ever.
        id: String,
        /// What people call it.
        name: Option<String>,
        /// Path of the user that owns it.
        owner: String,
        /// Twelve random digits.
        account: String,
        /// Path of the identity that made it, if that is not the owner: the organisation trusts
        /// it with everything, by a trust like any other that can be narrowed or ended.
        administrator: Option<String>,
    },
    /// Renames an organisation, identity, group, database or policy; the id never changes.
    Rename {
        /// What is renamed.
        path: String,
        /// Its new name; `None` takes the name away.
        name: Option<String>,
    },
    /// An organisation without anything in it.
    DeleteOrganisation {
        /// Its path.
        path: String,
    },
    /// A non-human actor; starts with no permissions.
    CreateProgrammaticIdentity {
        /// Id of the organisation.
        organisation: String,
        /// Its id.
        id: String,
        /// What people call it.
        name: Option<String>,
    },
    /// An identity that trusts its members.
    CreateGroup {
        /// Id of the organisation.
        organisation: String,
        /// Its id.
        id: String,
        /// What people call it.
        name: Option<String>,
    },
    /// An identity that is assumed for a limited time.
    CreateRole {
        /// Id of the organisation.
        organisation: String,
        /// Its id.
        id: String,
        /// What people call it.
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// Seconds that a session of it lasts at most; `None`: an hour.
        max_session_seconds: Option<u32>,
    },
    /// Changes a role; `None` leaves as it is.
    UpdateRole {
        /// Its path.
        path: String,
        /// Its new name; `Some(None)` takes it away.
        name: Option<Option<String>>,
        /// What it is for; `Some(None)` takes it away.
        description: Option<Option<String>>,
        /// Seconds that a session of it lasts at most.
        max_session_seconds: Option<u32>,
    },
    /// A person's membership of an organisation: for a user who is known, or for whoever accepts an
    /// invitation. Either accepts before it counts.
    CreateOrganisationUser {
        /// Id of the organisation.
        organisation: String,
        /// Its id.
        id: String,
        /// What people call the member.
        name: Option<String>,
        /// Path of the user.
        user: Option<String>,
        /// For somebody who is not known yet.
        invitation: Option<Invitation>,
    },
    /// Offers an organisation user again that nobody has accepted, or that was left.
    Invite {
        /// Path of the organisation user.
        path: String,
        /// The new invitation.
        invitation: Invitation,
    },
    /// Takes an organisation user that was offered.
    AcceptInvitation {
        /// Path of the organisation user.
        path: String,
        /// Path of the user who accepts.
        user: String,
        /// SHA-256 of the token.
        token_hash: [u8; 32],
    },
    /// Turns down an organisation user that was offered: whoever has the token may, nobody else.
    DeclineInvitation {
        /// Path of the organisation user.
        path: String,
        /// Hash of the token.
        token_hash: [u8; 32],
    },
    /// Ends all sessions of an identity that were issued before a moment.
    RevokeSessions {
        /// Path of the identity.
        identity: String,
        /// The moment.
        before: UnixMillis,
    },
    /// Ends one session of an identity.
    RevokeSession {
        /// Path of the identity.
        identity: String,
        /// Id of the session.
        id: String,
        /// When it would have ended.
        expires: UnixMillis,
    },
    /// Sets what holds for the access keys of an organisation.
    SetKeyLimits {
        /// Path of the organisation.
        organisation: String,
        /// Seconds after which a key opens nothing; `None`: no limit.
        max_key_lifetime_seconds: Option<u64>,
        /// Active keys of one identity; `None`: two.
        max_active_keys: Option<u8>,
    },
    /// An identity provider: an issuer of tokens, a certificate authority, or what an organisation
    /// makes of a sign-in of the deployment.
    CreateIdentityProvider {
        /// Id of the organisation.
        organisation: String,
        /// Its id.
        id: String,
        /// What people call it.
        name: Option<String>,
        /// What it is.
        provider: Box<Provider>,
    },
    /// Replaces what a provider says; its type and its issuer stay.
    UpdateIdentityProvider {
        /// Its path.
        path: String,
        /// Its new name; `Some(None)` takes it away.
        name: Option<Option<String>>,
        /// What it is.
        provider: Box<Provider>,
    },
    /// Gives a person who has signed in what organisations make of the claims, and takes what the
    /// claims no longer give. Made by Keyward itself, after it has verified them.
    SyncSignIn {
        /// Path of the user.
        user: String,
        /// Id of the provider in the deployment's configuration.
        sign_in: String,
        /// What it says of the person.
        claims: BTreeMap<String, Vec<String>>,
    },
    /// Deletes a programmatic identity, group, role, organisation user or identity provider; its
    /// access keys go with it.
    DeleteIdentity {
        /// Its path.
        path: String,
        /// Whether its trusts go with it; otherwise they are named in a refusal.
        cascade: bool,
    },
    /// Sets and removes tags of an identity or a database; the others stay.
    SetTags {
        /// What is tagged.
        path: String,
        /// Keys with their new values.
        set: BTreeMap<String, String>,
        /// Keys that go.
        remove: Vec<String>,
    },
    /// Where connections of an identity go that name no database.
    SetDefaultDatabase {
        /// Path of the identity.
        identity: String,
        /// Path of the database; `None` takes the default away.
        database: Option<String>,
    },
    /// A credential of a programmatic identity.
    CreateAccessKey {
        /// Path of the identity.
        identity: String,
        /// `KWAK…`
        key_id: String,
        /// Keyed hash of the secret.
        secret_hash: [u8; 32],
        /// What it is for.
        description: Option<String>,
        /// When it opens nothing any more.
        expires_at: Option<UnixMillis>,
        /// The secret under the master key, where requests are to be signed with it.
        sealed_secret: Option<Vec<u8>>,
    },
    /// Changes a credential; `None` leaves as it is.
    UpdateAccessKey {
        /// Path of the key.
        path: String,
        /// Its new status.
        status: Option<KeyStatus>,
        /// What it is for; `Some(None)` takes it away.
        description: Option<Option<String>>,
        /// When it opens nothing any more; `Some(None)` takes it away.
        expires_at: Option<Option<UnixMillis>>,
    },
    /// Deletes a credential.
    DeleteAccessKey {
        /// Path of the key.
        path: String,
    },
    /// A database.
    CreateDatabase {
        /// Id of the organisation.
        organisation: String,
        /// Its id.
        id: String,
        /// What people call it.
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// Where its data is.
        backend: Backend,
    },
    /// Where a database's data is, from now on.
    SetBackend {
        /// Path of the database.
        path: String,
        /// Its new backend.
        backend: Backend,
    },
    /// Turns administrative commands on or off.
    SetAdministration {
        /// Path of the database.
        path: String,
        /// On or off.
        on: bool,
    },
    /// Changes what people read of a database; `None` leaves as it is.
    UpdateDatabase {
        /// Its path.
        path: String,
        /// Its new name; `Some(None)` takes it away.
        name: Option<Option<String>>,
        /// What it is for; `Some(None)` takes it away.
        description: Option<Option<String>>,
    },
    /// Deletes a database that has no snapshots.
    DeleteDatabase {
        /// Its path.
        path: String,
    },
    /// A snapshot of a database: its keys are read from now on.
    CreateSnapshot {
        /// Path of the database.
        database: String,
        /// Its id.
        id: String,
        /// What it is for.
        description: Option<String>,
    },
    /// How the making of a snapshot ended, or that its file was lost. Made by Keyward itself.
    EndSnapshot {
        /// Path of the snapshot.
        path: String,
        /// Ready or failed.
        state: SnapshotState,
    },
    /// Changes what people read of a snapshot.
    UpdateSnapshot {
        /// Its path.
        path: String,
        /// What it is for; `None` takes it away.
        description: Option<String>,
    },
    /// Puts the keys of a snapshot into a database: they are written from now on.
    RestoreSnapshot {
        /// Path of the snapshot.
        path: String,
        /// Path of the database.
        target: String,
        /// What happens to the keys that are there.
        existing: Existing,
    },
    /// How a restore ended. Made by Keyward itself.
    EndRestore {
        /// Path of the snapshot.
        path: String,
        /// Done or failed.
        state: RestoreState,
    },
    /// Deletes a snapshot: what is in it is gone.
    DeleteSnapshot {
        /// Its path.
        path: String,
    },
    /// A trust.
    CreateTrust {
        /// Its id in the organisation of the trustor.
        id: String,
        /// Path of the identity whose power it gives away.
        trustor: String,
        /// Path of the identity that may act as the trustor.
        trustee: String,
        /// Read as one list of statements.
        policies: Vec<PolicyInput>,
        /// When it ends.
        expires_at: Option<UnixMillis>,
        /// Standing or assumable; `None`: what the trustor makes of it, a role assumable, a group
        /// membership, others standing.
        kind: Option<TrustKind>,
        /// A `Conditions` object of the native dialect, as text.
        conditions: Option<String>,
    },
    /// Changes a trust; `None` leaves as it is.
    UpdateTrust {
        /// Path of the trust.
        path: String,
        /// Its new policies.
        policies: Option<Vec<PolicyInput>>,
        /// Its new expiry; `Some(None)` takes it away.
        expires_at: Option<Option<UnixMillis>>,
        /// Its new conditions; `Some(None)` takes them away.
        conditions: Option<Option<String>>,
    },
    /// The trustee's side agrees.
    AcceptTrust {
        /// Path of the trust.
        path: String,
    },
    /// Ends a trust.
    DeleteTrust {
        /// Path of the trust.
        path: String,
    },
    /// Sets the resource policy of a database, an identity or an organisation.
    PutResourcePolicy {
        /// Path of the resource.
        path: String,
        /// The document.
        document: PolicyText,
    },
    /// Takes a resource policy away.
    DeleteResourcePolicy {
        /// Path of the resource.
        path: String,
    },
    /// Limits what is done by or as an identity.
    PutBoundary {
        /// Path of the identity.
        identity: String,
        /// One of them must allow, none may deny.
        policies: Vec<PolicyInput>,
    },
    /// Takes a boundary away.
    DeleteBoundary {
        /// Path of the identity.
        identity: String,
    },
    /// Sets the guardrails of an organisation; an empty list takes them away.
    PutGuardrails {
        /// Path of the organisation.
        organisation: String,
        /// One of them must allow, none may deny.
        policies: Vec<PolicyInput>,
    },
    /// Sets what vendors call an organisation; what is left out has its default again.
    SetVendorAliases {
        /// Path of the organisation.
        organisation: String,
        /// Its names.
        aliases: VendorAliases,
    },
    /// Moves an organisation to another user.
    TransferOwnership {
        /// Path of the organisation.
        organisation: String,
        /// Path of the user.
        owner: String,
    },
    /// A named policy, with its first version.
    CreatePolicy {
        /// Id of the organisation.
        organisation: String,
        /// Its id.
        id: String,
        /// What people call it.
        name: Option<String>,
        /// The document.
        document: PolicyText,
    },
    /// Adds a version.
    UpdatePolicy {
        /// Its path.
        path: String,
        /// The document.
        document: PolicyText,
        /// Whether it becomes the default.
        make_default: bool,
    },
    /// Makes an existing version the default: roll back or forward.
    SetDefaultPolicyVersion {
        /// Its path.
        path: String,
        /// Which version, from 1.
        version: u32,
    },
    /// Deletes a version that is not the default.
    DeletePolicyVersion {
        /// Path of the policy.
        path: String,
        /// Which version, from 1.
        version: u32,
    },
    /// Adds a policy to those of a trust, by reference; nothing if it is there.
    AttachPolicy {
        /// Path of the trust.
        trust: String,
        /// Path, id or name of a named policy of the same organisation or of the system.
        policy: String,
    },
    /// Takes a policy by reference from those of a trust.
    DetachPolicy {
        /// Path of the trust.
        trust: String,
        /// Path, id or name of the policy.
        policy: String,
    },
    /// Deletes a named policy that nothing carries.
    DeletePolicy {
        /// Its path.
        path: String,
    },
}
