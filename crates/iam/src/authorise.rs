//! On what each change is decided: an action that hands out power is decided on what it hands out.

use keyward_commands::ActionId;
use keyward_policy::{Dialect, Touch};

use crate::change::Change;
use crate::decision::{Decision, Outcome, Subject};
use crate::directory::Directory;
use crate::entities::{Backend, Identity, TrustKind};
use crate::graph::PolicyCarrier;
use crate::ids::{Kind, PathParts, UnixMillis};
use crate::people::{AskedBy, FRESH_LOGIN, PersonChange};
use crate::providers::Provider;
use crate::session::{Principal, Session};
use crate::snapshots::Existing;
use crate::tags::Tags;

/// An action that must be allowed on a resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Requirement {
    /// Name of the action.
    pub action: &'static str,
    /// Full path of the resource.
    pub resource: String,
}

/// A change that its maker may make.
#[derive(Clone, Debug)]
pub struct ChangeApproval {
    /// Whether the maker may also accept for the trustee.
    pub accepts: bool,
    /// What was decided, for the audit record.
    pub requirements: Vec<Requirement>,
}

fn needs(action: &'static str, resource: impl Into<String>) -> Requirement {
    Requirement {
        action,
        resource: resource.into(),
    }
}

/// The action that changes what is at a path.
fn update_action(path: &str) -> &'static str {
    match PathParts::of(path).map(|parts| parts.kind) {
        Some(Kind::Organisation) => "org:Update",
        Some(Kind::User) => "iam:UpdateUser",
        Some(Kind::Group) => "iam:UpdateGroup",
        Some(Kind::Role) => "iam:UpdateRole",
        Some(Kind::OrganisationUser) => "iam:UpdateOrgUser",
        Some(Kind::IdentityProvider) => "iam:UpdateIdentityProvider",
        Some(Kind::Database) => "kvdb:Update",
        Some(Kind::Policy) => "iam:UpdatePolicy",
        _ => "iam:UpdateProgrammaticIdentity",
    }
}

/// The action that deletes what is at a path.
fn delete_action(path: &str) -> &'static str {
    match PathParts::of(path).map(|parts| parts.kind) {
        Some(Kind::Organisation) => "org:Delete",
        Some(Kind::User) => "iam:DeleteUser",
        Some(Kind::Group) => "iam:DeleteGroup",
        Some(Kind::Role) => "iam:DeleteRole",
        Some(Kind::OrganisationUser) => "iam:DeleteOrgUser",
        Some(Kind::IdentityProvider) => "iam:DeleteIdentityProvider",
        Some(Kind::Database) => "kvdb:Delete",
        Some(Kind::Snapshot) => "kvdb:DeleteSnapshot",
        Some(Kind::Policy) => "iam:DeletePolicy",
        _ => "iam:DeleteProgrammaticIdentity",
    }
}

/// The action that tags what is at a path.
fn tag_action(path: &str) -> &'static str {
    match PathParts::of(path).map(|parts| parts.kind) {
        Some(Kind::Organisation) => "org:Tag",
        Some(Kind::User) => "iam:TagUser",
        Some(Kind::Group) => "iam:TagGroup",
        Some(Kind::Role) => "iam:TagRole",
        Some(Kind::OrganisationUser) => "iam:TagOrgUser",
        Some(Kind::IdentityProvider) => "iam:TagIdentityProvider",
        Some(Kind::Database) => "iam:TagDatabase",
        _ => "iam:TagProgrammaticIdentity",
    }
}

/// Whether `keyward:PrincipalName` may be the name of what is at a path.
fn has_read_name(path: &str) -> bool {
    let kind = PathParts::of(path).map(|parts| parts.kind);
    matches!(kind, Some(Kind::ProgrammaticIdentity | Kind::Role))
}

impl Directory {
    /// Of a trust that does not exist: its own path, so that the answer names it.
    fn trustor_path(&self, path: &str) -> String {
        let trust = self.trust_at(path).and_then(|ix| self.trust(ix));
        let trustor = trust.and_then(|trust| self.identity(trust.trustor));
        trustor.map_or(path, |identity| &identity.path).to_owned()
    }

    /// As above.
    fn trustee_path(&self, path: &str) -> String {
        let trust = self.trust_at(path).and_then(|ix| self.trust(ix));
        let trustee = trust.and_then(|trust| self.identity(trust.trustee));
        trustee.map_or(path, |identity| &identity.path).to_owned()
    }

    /// What a provider feeds, before and after a change of it. A certificate opens its identity
    /// like an access key.
    fn provider_requirements(
        &self,
        path: Option<&str>,
        new: Option<&Provider>,
        organisation: &str,
    ) -> Vec<Requirement> {
        let old = path.and_then(|path| self.identity_at(path));
        let old = old.filter(|ix| self.provider(*ix).is_some());
        let mut fed = old.map(|ix| self.fed_by_provider(ix)).unwrap_or_default();
        let new = new.map(|new| new.clone().with_full_paths(organisation));
        let mut targets = new.as_ref().map(Provider::targets).unwrap_or_default();
        // Nothing of another organisation is ever fed: that is refused, whoever asks.
        let own = format!("org/{organisation}/");
        targets.retain(|path| path.starts_with(&own));
        let keys = match new {
            Some(Provider::CertificateAuthority(_)) => targets.clone(),
            _ => Vec::new(),
        };
        fed.extend(targets);
        fed.sort();
        fed.dedup();
        let fed = fed.into_iter();
        fed.map(|path| needs("iam:UpdateIdentityProvider", path))
            .chain(
                keys.into_iter()
                    .map(|path| needs("iam:CreateAccessKey", path)),
            )
            .collect()
    }

    /// What a policy hands out when its default version changes.
    fn default_version_requirements(&self, path: &str) -> Vec<Requirement> {
        let mut all = vec![needs("iam:SetDefaultPolicyVersion", path)];
        for carrier in self.policy_carriers(path, None) {
            let requirement = match carrier {
                PolicyCarrier::Trust { trustor, .. } => needs("iam:UpdateTrust", trustor),
                PolicyCarrier::Guardrails { organisation } => {
                    needs("org:PutGuardrail", organisation)
                }
                PolicyCarrier::Boundary { identity } => {
                    needs("iam:PutPermissionBoundary", identity)
                }
            };
            if !all.contains(&requirement) {
                all.push(requirement);
            }
        }
        all
    }

    /// Whether a new longest life of an organisation's access keys is longer than the one it has.
    fn keys_would_live_longer(&self, organisation: &str, new: Option<u64>) -> bool {
        let known = self.identity_at(organisation);
        let known = known.and_then(|ix| self.identity(ix)?.organisation_details());
        let old = known.and_then(|details| details.max_key_lifetime_seconds);
        old.is_some_and(|old| new.is_none_or(|new| new > old))
    }

    /// What vendors call an organisation decides what all its documents in their dialects mean: its
    /// trusts, its guardrails, resource policies, and boundaries.
    fn alias_requirements(&self, organisation: &str) -> Vec<Requirement> {
        let mut all = vec![
            needs("org:Update", organisation),
            needs("iam:UpdateTrust", organisation),
            needs("iam:PutResourcePolicy", organisation),
            needs("org:PutGuardrail", organisation),
        ];
        let own = self.identity_at(organisation);
        let bounded = self.identities().filter(|(_, identity)| {
            let documents = self.documents(&identity.boundary);
            identity.organisation == own && documents.iter().any(|p| p.dialect() != Dialect::Native)
        });
        let path = |(_, identity): (_, &Identity)| identity.path.to_string();
        all.extend(
            bounded
                .map(path)
                .map(|path| needs("iam:PutPermissionBoundary", path)),
        );
        all
    }

    /// Every (action, resource) that must be allowed for a change. `caller` is the path of the
    /// principal's organisation, or of the user itself.
    #[must_use]
    pub fn requirements(&self, change: &Change, caller: &str) -> Vec<Requirement> {
        let organisation = |id: &str| format!("org/{id}");
        match change {
            // Decided on a resource that nobody owns: only the operator makes people.
            Change::CreateUser { id, .. } | Change::RegisterUser { id, .. } => {
                vec![needs("iam:CreateUser", format!("deployment/{id}"))]
            }
            // As above: a person does not delete itself by mistake, nor do organisations.
            Change::DeleteUser { path, .. } => {
                vec![needs("iam:DeleteUser", format!("deployment/{path}"))]
            }
            Change::Person { user, .. } => vec![needs("iam:UpdateUser", user)],
            Change::CreateOrganisation { administrator, .. } => {
                let mut all = vec![needs("org:Create", caller)];
                all.extend(
                    administrator
                        .as_ref()
                        .map(|path| needs("iam:AcceptTrust", path)),
                );
                all
            }
            // Conditions read the name of what acts as they read its tags.
            Change::Rename { path, .. } => {
                let mut all = vec![needs(update_action(path), path)];
                if has_read_name(path) {
                    all.push(needs(tag_action(path), path));
                }
                all
            }
            Change::SetTags { path, .. } => vec![needs(tag_action(path), path)],
            Change::DeleteOrganisation { path } => vec![needs("org:Delete", path)],
            Change::CreateProgrammaticIdentity {
                organisation: id, ..
            } => {
                vec![needs("iam:CreateProgrammaticIdentity", organisation(id))]
            }
            Change::CreateGroup {
                organisation: id, ..
            } => {
                vec![needs("iam:CreateGroup", organisation(id))]
            }
            Change::CreateRole {
                organisation: id, ..
            } => vec![needs("iam:CreateRole", organisation(id))],
            Change::UpdateRole { path, name, .. } => {
                let mut all = vec![needs("iam:UpdateRole", path)];
                if name.is_some() {
                    all.push(needs("iam:TagRole", path));
                }
                all
            }
            Change::CreateOrganisationUser {
                organisation: id, ..
            } => vec![needs("iam:CreateOrgUser", organisation(id))],
            // Whoever takes it acts as the organisation user: a trust, offered to a stranger.
            Change::Invite { path, .. } => vec![
                needs("iam:UpdateOrgUser", path),
                needs("iam:CreateTrust", path),
            ],
            // Who holds the token accepts, for itself and nobody else: what is asked of it is what
            // only a user has over itself.
            Change::AcceptInvitation { user, .. } => vec![needs("iam:AcceptTrust", user)],
            // Whoever has the token needs no session; by any other way it is a change like others.
            Change::DeclineInvitation { path, .. } => vec![needs("iam:UpdateOrgUser", path)],
            Change::RevokeSessions { identity, .. } | Change::RevokeSession { identity, .. } => {
                vec![needs("iam:RevokeSession", identity)]
            }
            Change::SetKeyLimits {
                organisation,
                max_key_lifetime_seconds,
                ..
            } => {
                let mut all = vec![needs("org:Update", organisation)];
                // Keys that were too old open their identities again.
                if self.keys_would_live_longer(organisation, *max_key_lifetime_seconds) {
                    all.push(needs("iam:UpdateAccessKey", organisation));
                }
                all
            }
            Change::CreateIdentityProvider {
                organisation: id,
                provider,
                ..
            } => {
                let mut all = vec![needs("iam:CreateIdentityProvider", organisation(id))];
                all.extend(self.provider_requirements(None, Some(provider), id));
                all
            }
            Change::UpdateIdentityProvider { path, provider, .. } => {
                let mut all = vec![needs("iam:UpdateIdentityProvider", path)];
                let organisation = PathParts::of(path).and_then(|parts| parts.organisation);
                let organisation = organisation.unwrap_or_default();
                all.extend(self.provider_requirements(Some(path), Some(provider), organisation));
                all
            }
            // Decided on a resource that nobody owns: only Keyward itself signs people in.
            Change::SyncSignIn { user, .. } => {
                vec![needs("iam:UpdateUser", format!("deployment/{user}"))]
            }
            Change::DeleteIdentity { path, cascade } => {
                let mut all = vec![needs(delete_action(path), path)];
                all.extend(self.provider_requirements(Some(path), None, ""));
                if *cascade && let Some(ix) = self.identity_at(path) {
                    for trust in self.trusts_of_identity(ix) {
                        all.push(needs("iam:DeleteTrust", self.trustor_path(&trust)));
                    }
                }
                all
            }
            Change::SetDefaultDatabase { identity, .. } => {
                vec![needs(update_action(identity), identity)]
            }
            Change::CreateAccessKey { identity, .. } => {
                vec![needs("iam:CreateAccessKey", identity)]
            }
            // Enabling a key opens the identity like making one.
            Change::UpdateAccessKey { path, .. } => {
                let identity = path.split_once("/access_key/").map_or(&**path, |(i, _)| i);
                vec![needs("iam:UpdateAccessKey", identity)]
            }
            Change::DeleteAccessKey { path } => vec![needs("iam:DeleteAccessKey", path)],
            Change::CreateDatabase {
                organisation: id,
                id: database,
                backend,
                ..
            } => {
                let mut all = vec![needs("kvdb:Create", organisation(id))];
                if *backend != Backend::Embedded {
                    all.push(needs(
                        "kvdb:SetBackend",
                        format!("org/{id}/kvdb/{database}"),
                    ));
                }
                all
            }
            Change::SetBackend { path, .. } => vec![needs("kvdb:SetBackend", path)],
            Change::SetAdministration { path, .. } => vec![needs("kvdb:SetAdministration", path)],
            Change::UpdateDatabase { path, .. } => vec![needs("kvdb:Update", path)],
            Change::DeleteDatabase { path } => vec![needs("kvdb:Delete", path)],
            Change::CreateSnapshot { database, .. } => {
                vec![needs("kvdb:CreateSnapshot", database)]
            }
            Change::UpdateSnapshot { path, .. } => {
                let database = path.split_once("/snapshot/").map_or(&**path, |(d, _)| d);
                vec![needs("kvdb:Update", database)]
            }
            Change::RestoreSnapshot {
                path,
                target,
                existing,
            } => {
                let mut all = vec![
                    needs("kvdb:RestoreSnapshot", path),
                    needs("kvdb:RestoreSnapshot", target),
                ];
                if *existing == Existing::Flush {
                    all.push(needs("kvdb:ExecuteFlushall", target));
                }
                all
            }
            Change::DeleteSnapshot { path } => vec![needs("kvdb:DeleteSnapshot", path)],
            // Decided on a resource that nobody owns: Keyward itself says how its work ended.
            Change::EndSnapshot { path, .. } => {
                vec![needs("kvdb:CreateSnapshot", format!("deployment/{path}"))]
            }
            Change::EndRestore { path, .. } => {
                vec![needs("kvdb:RestoreSnapshot", format!("deployment/{path}"))]
            }
            Change::CreateTrust { trustor, .. } => vec![needs("iam:CreateTrust", trustor)],
            Change::UpdateTrust { path, .. } => {
                vec![needs("iam:UpdateTrust", self.trustor_path(path))]
            }
            Change::AcceptTrust { path } => {
                vec![needs("iam:AcceptTrust", self.trustee_path(path))]
            }
            Change::DeleteTrust { path } => {
                vec![needs("iam:DeleteTrust", self.trustor_path(path))]
            }
            Change::PutResourcePolicy { path, .. } => vec![needs("iam:PutResourcePolicy", path)],
            Change::DeleteResourcePolicy { path } => {
                vec![needs("iam:DeleteResourcePolicy", path)]
            }
            Change::PutBoundary { identity, .. } | Change::DeleteBoundary { identity } => {
                vec![needs("iam:PutPermissionBoundary", identity)]
            }
            Change::PutGuardrails { organisation, .. } => {
                vec![needs("org:PutGuardrail", organisation)]
            }
            Change::SetVendorAliases { organisation, .. } => self.alias_requirements(organisation),
            Change::TransferOwnership { organisation, .. } => {
                vec![needs("org:TransferOwnership", organisation)]
            }
            Change::CreatePolicy {
                organisation: id, ..
            } => {
                vec![needs("iam:CreatePolicy", organisation(id))]
            }
            Change::UpdatePolicy {
                path, make_default, ..
            } => {
                let mut all = vec![needs("iam:UpdatePolicy", path)];
                if *make_default {
                    all.extend(self.default_version_requirements(path));
                }
                all
            }
            Change::DeletePolicyVersion { path, .. } => vec![needs("iam:UpdatePolicy", path)],
            Change::AttachPolicy { trust, .. } | Change::DetachPolicy { trust, .. } => {
                vec![needs("iam:UpdateTrust", self.trustor_path(trust))]
            }
            Change::SetDefaultPolicyVersion { path, .. } => self.default_version_requirements(path),
            Change::DeletePolicy { path } => vec![needs("iam:DeletePolicy", path)],
        }
    }

    /// Whether a session may make a change: every requirement must be allowed.
    ///
    /// # Errors
    /// The decision that refused.
    pub fn authorise_change(
        &self,
        session: &Session,
        change: &Change,
        at: UnixMillis,
    ) -> Result<ChangeApproval, Box<Decision>> {
        let principal = match session.principal {
            Principal::Identity(ix) => self.identity(ix),
            Principal::Unauthenticated => None,
        };
        let caller = principal
            .map(|p| p.organisation.and_then(|ix| self.identity(ix)).unwrap_or(p))
            .map_or("unauthenticated", |identity| &identity.path);
        let requirements = self.requirements(change, caller);
        // Also not by another version of a policy that its boundary carries.
        // Nor through a role.
        let origins = session.temporary.as_deref().map_or(&[][..], |t| &t.origins);
        let is_caller = |path: &str| {
            principal.is_some_and(|principal| *principal.path == *path)
                || origins.iter().any(|origin| origin.principal == path)
        };
        let own_boundary = requirements.iter().find(|requirement| {
            requirement.action == "iam:PutPermissionBoundary" && is_caller(&requirement.resource)
        });
        if let Some(requirement) = own_boundary {
            let text =
                "no identity sets, changes or removes its own boundary, whatever a policy says";
            return Err(Box::new(refuse(requirement, text)));
        }
        if let Change::AcceptInvitation { user, .. } = change
            && (principal.is_none_or(|principal| *principal.path != **user)
                || session.temporary.is_some())
        {
            let text = "an invitation is accepted by the user itself";
            return Err(Box::new(refuse(&requirements[0], text)));
        }
        if let Change::Person { user, change } = change {
            self.may_change_person(session, user, change, &requirements[0], at)?;
        }
        match change {
            Change::SetTags { path, .. } => {
                self.may_tag(session, path, change, &requirements, at)?;
            }
            Change::Rename { path, .. }
            | Change::UpdateRole {
                path,
                name: Some(_),
                ..
            } if has_read_name(path) => {
                self.may_tag(session, path, change, &requirements, at)?;
            }
            _ => {}
        }
        for requirement in &requirements {
            let decision = self.decide_change(session, requirement, Some(change), at);
            if !decision.is_allow() && !self.may_leave(session, change, at) {
                return Err(Box::new(decision));
            }
        }
        let accepts = match change {
            Change::CreateTrust { trustee, .. }
            | Change::CreateOrganisationUser {
                user: Some(trustee),
                ..
            } => self
                .decide_named(session, &needs("iam:AcceptTrust", trustee), at)
                .is_allow(),
            _ => true,
        };
        Ok(ChangeApproval {
            accepts,
            requirements,
        })
    }

    /// How a person signs in is for the person alone, who has signed in directly; the operator does
    /// not come here.
    fn may_change_person(
        &self,
        session: &Session,
        user: &str,
        change: &PersonChange,
        requirement: &Requirement,
        at: UnixMillis,
    ) -> Result<(), Box<Decision>> {
        let itself = self.identity_at(user).map(Principal::Identity);
        let login = match (session.principal, &session.login, &session.temporary) {
            (Principal::Identity(ix), Some(id), None) if itself == Some(session.principal) => {
                self.login_session(ix, id, at)
            }
            _ => None,
        };
        let refused = match (change.asked_by(), login) {
            (AskedBy::User, Some(_)) => return Ok(()),
            (AskedBy::FreshUser, Some(login))
                if login
                    .authenticated
                    .is_some_and(|then| at.0.saturating_sub(then.0) <= FRESH_LOGIN) =>
            {
                return Ok(());
            }
            (AskedBy::FreshUser, Some(_)) => {
                "your sign-in here is not of the last 15 minutes: sign in again to change how you sign in"
            }
            (AskedBy::Operator, _) => "only the operator does this",
            (_, None) => {
                "how a person signs in is changed by that person alone, signed in directly"
            }
        };
        Err(Box::new(refuse(requirement, refused)))
    }

    /// Tagging is never granted on oneself by one's own tags: what an identity's tags give it does
    /// not count while it tags itself (what they deny, does). A person's tags would count in every
    /// organisation, and a person owns itself: only the operator tags people.
    fn may_tag(
        &self,
        session: &Session,
        path: &str,
        change: &Change,
        requirements: &[Requirement],
        at: UnixMillis,
    ) -> Result<(), Box<Decision>> {
        let Some(tagged) = self.identity_at(path) else {
            return Ok(());
        };
        if self.identity(tagged).is_some_and(|i| i.kind == Kind::User) {
            let text = "a person's tags count in every organisation: only the operator sets them";
            return Err(Box::new(refuse(&requirements[0], text)));
        }
        if session.principal != Principal::Identity(tagged) {
            return Ok(());
        }
        let mut untagged = self.clone();
        if let Some(identity) = untagged.identities.get_mut(tagged.0) {
            identity.tags = Tags::default();
        }
        for requirement in requirements {
            let decision = untagged.decide_change(session, requirement, Some(change), at);
            if !decision.is_allow() {
                return Err(Box::new(decision));
            }
        }
        Ok(())
    }

    fn decide_named(
        &self,
        session: &Session,
        requirement: &Requirement,
        at: UnixMillis,
    ) -> Decision {
        self.decide_change(session, requirement, None, at)
    }

    /// The same, of a change that may set and remove tags.
    fn decide_change(
        &self,
        session: &Session,
        requirement: &Requirement,
        change: Option<&Change>,
        at: UnixMillis,
    ) -> Decision {
        let Some(action) = keyward_commands::action(requirement.action) else {
            return refuse(requirement, "the action is not in the catalogue");
        };
        let resource = &requirement.resource;
        let Some(Change::SetTags { set, remove, .. }) = change else {
            return self.decide(session, action, resource, &Touch::None, at);
        };
        let tags = Tags::unchecked(set);
        let keys = set.keys().chain(remove).map(String::as_str);
        let keys: Vec<&str> = keys.collect();
        let asked = Some((&tags, &keys[..]));
        self.decide_tagging(session, action, resource, &Touch::None, asked, at)
    }

    /// "A trustee may leave organisations, not groups": by itself, or by whoever may delete the
    /// trusts of the trustee. A role is like an organisation: whoever may no longer assume it sheds
    /// nothing. What waits, and a role, is declined by whoever may accept, too.
    fn may_leave(&self, session: &Session, change: &Change, at: UnixMillis) -> bool {
        let Change::DeleteTrust { path } = change else {
            return false;
        };
        let Some(trust) = self.trust_at(path).and_then(|ix| self.trust(ix)) else {
            return false;
        };
        let leaves_organisation = trust.kind != TrustKind::Ownership
            && self
                .identity(trust.trustor)
                .is_some_and(|i| matches!(i.kind, Kind::Organisation | Kind::OrganisationUser));
        let Some(trustee) = self.identity(trust.trustee) else {
            return false;
        };
        // One that waits gives nothing yet: its trustee's side declines it.
        let sheds_nothing = trust.kind == TrustKind::Assumable || !trust.accepted;
        let allows = |action| {
            let needed = needs(action, &*trustee.path);
            self.decide_named(session, &needed, at).is_allow()
        };
        (leaves_organisation || sheds_nothing)
            && (session.principal == Principal::Identity(trust.trustee)
                || allows("iam:DeleteTrust")
                || (sheds_nothing && allows("iam:AcceptTrust")))
    }
}

pub(crate) fn refuse(requirement: &Requirement, text: &str) -> Decision {
    Decision {
        outcome: Outcome::ImplicitDeny,
        subject: Subject::Command,
        action: keyward_commands::action(requirement.action).map_or("", ActionId::name),
        resource: requirement.resource.as_str().into(),
        chain: Vec::new(),
        statements: Vec::new(),
        message: text.to_owned(),
        public_message: text.to_owned(),
    }
}
