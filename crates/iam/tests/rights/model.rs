//! Who may make which change, read naively from the design: its section 3 for what an identity
//! holds, the table at the end of that section for what a change needs. Slow, and small enough to
//! compare with the page by eye; it shares the matching of one statement with the product, and
//! nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use keyward_iam::{
    Attachment, Backend, Change, Directory, Existing, FRESH_LOGIN, Identity, IdentityIx, Kind,
    PathParts, PersonChange, Principal, Provider, Session, Tags, TrustIx, TrustKind, UnixMillis,
};
use keyward_policy::{
    ConditionKey, Dialect, Effect, Fact, Facts, Found, IdentityPattern, Match, Policy, Touch, Value,
};

/// Conditions of trusts in the worlds; the model knows no others.
pub(crate) const WITH_MFA: &str = r#"{"Bool":{"keyward:MultiFactorAuthPresent":"true"}}"#;
pub(crate) const WHEN_RED: &str = r#"{"StringEquals":{"keyward:PrincipalTag/team":"red"}}"#;

/// The actions of the table in section 3: whoever holds one of them on something administers it.
pub(crate) const ADMINISTER: [&str; 24] = [
    "iam:CreateTrust",
    "iam:UpdateTrust",
    "iam:DeleteTrust",
    "iam:AcceptTrust",
    "iam:SetDefaultPolicyVersion",
    "iam:CreateAccessKey",
    "iam:UpdateAccessKey",
    "iam:UpdateIdentityProvider",
    "iam:TagProgrammaticIdentity",
    "iam:TagGroup",
    "iam:TagRole",
    "iam:TagOrgUser",
    "iam:TagIdentityProvider",
    "iam:TagDatabase",
    "org:Tag",
    "iam:PutPermissionBoundary",
    "iam:PutResourcePolicy",
    "iam:DeleteResourcePolicy",
    "org:PutGuardrail",
    "org:TransferOwnership",
    "kvdb:SetBackend",
    "kvdb:SetAdministration",
    "kvdb:CreateSnapshot",
    "kvdb:RestoreSnapshot",
];

/// What a request says to conditions.
struct Said<'a> {
    principal: &'a Identity,
    mfa: bool,
    principal_tags: &'a Tags,
    resource_tags: Option<&'a Tags>,
}

fn text(text: Option<&str>) -> Found<'_> {
    text.map_or(Found::Absent, |text| {
        Found::One(Value::Text(text.as_bytes()))
    })
}

impl Facts for Said<'_> {
    fn find(&self, key: &ConditionKey) -> Found<'_> {
        match key.fact() {
            Fact::MultiFactorAuthPresent => Found::One(Value::Boolean(self.mfa)),
            // What people call themselves says nothing of them.
            Fact::PrincipalName if self.principal.kind != Kind::User => {
                text(self.principal.name.as_deref())
            }
            Fact::PrincipalTag(tag) => text(self.principal_tags.exact(tag)),
            Fact::ResourceTag(tag) => text(self.resource_tags.and_then(|tags| tags.exact(tag))),
            _ => Found::Absent,
        }
    }
}

/// What a change asks of whoever makes it.
enum Asks {
    /// That it holds every action on its resource.
    All(Vec<(String, String)>),
    /// To be the operator.
    Operator,
    /// To be this user, signed in directly; `true`: a short time ago.
    Login(String, bool),
}

pub(crate) struct Model<'a> {
    pub(crate) world: &'a Directory,
    pub(crate) at: UnixMillis,
}

impl<'a> Model<'a> {
    fn identity(&self, ix: IdentityIx) -> &'a Identity {
        self.world.identity(ix).unwrap()
    }

    fn documents(&self, list: &[Attachment]) -> Vec<Arc<Policy>> {
        list.iter()
            .map(|attachment| match attachment {
                Attachment::Inline(policy) | Attachment::System(_, policy) => Arc::clone(policy),
                Attachment::Named(ix) => Arc::clone(self.world.policy(*ix).unwrap().default()),
            })
            .collect()
    }

    /// All paths of standing trusts upwards from an identity, the empty one included.
    fn chains(&self, from: IdentityIx) -> Vec<Vec<TrustIx>> {
        let mut all = vec![(from, Vec::new())];
        let mut at = 0;
        while at < all.len() {
            let (end, path) = all[at].clone();
            for (ix, trust) in self.world.trusts() {
                let standing = trust.kind != TrustKind::Assumable;
                if trust.trustee == end && trust.accepted && standing {
                    let mut longer: Vec<TrustIx> = path.clone();
                    longer.push(ix);
                    all.push((trust.trustor, longer));
                }
            }
            at += 1;
        }
        all.into_iter().map(|(_, path)| path).collect()
    }

    fn owner(&self, resource: &str) -> Option<IdentityIx> {
        let mut segments = resource.split('/');
        match (segments.next(), segments.next(), segments.next()) {
            (Some("user"), Some(_), None) => self.world.identity_at(resource),
            (Some("org"), Some(id), None) => {
                let organisation = self.world.organisation(id)?;
                Some(self.identity(organisation).organisation_details()?.owner)
            }
            (Some("org"), Some(id), Some(_)) => self.world.organisation(id),
            _ => None,
        }
    }

    fn resource_policy(&self, resource: &str) -> Option<Arc<Policy>> {
        let of_identity = self.world.identity_at(resource);
        let of_identity = of_identity.and_then(|ix| self.identity(ix).resource_policy.clone());
        let of_database = self.world.database_at(resource);
        let of_database =
            of_database.and_then(|ix| self.world.database(ix)?.resource_policy.clone());
        of_identity.or(of_database)
    }

    /// Whether a session holds an action on a resource. `own_tags`: whether its own tags count.
    fn allows(&self, session: &Session, action: &str, resource: &str, own_tags: bool) -> bool {
        let none = Tags::default();
        let Some(action) = keyward_commands::action(action) else {
            return false; // nothing allows what is no action
        };
        let Principal::Identity(principal) = session.principal else {
            return false;
        };
        let itself = self.identity(principal);
        let said = Said {
            principal: itself,
            mfa: session.mfa.is_some(),
            principal_tags: if own_tags { &itself.tags } else { &none },
            resource_tags: match own_tags || *itself.path != *resource {
                true => self.world.tags_of(resource),
                false => Some(&none),
            },
        };
        let matches = |statement: &keyward_policy::Statement| {
            statement.matches(action, resource, &Touch::None, &said) == Match::Full
        };
        let verdict = |documents: &[Arc<Policy>]| {
            let said = |effect| {
                let mut all = documents.iter().flat_map(|policy| policy.statements());
                all.any(|statement| statement.effect == effect && matches(statement))
            };
            match (said(Effect::Deny), said(Effect::Allow)) {
                (true, _) => Some(Effect::Deny),
                (false, true) => Some(Effect::Allow),
                (false, false) => None,
            }
        };
        // Layers grant nothing: one without documents allows.
        let limits = |list: &[Attachment]| {
            list.is_empty() || verdict(&self.documents(list)) == Some(Effect::Allow)
        };
        let denies = |list: &[Attachment]| verdict(&self.documents(list)) == Some(Effect::Deny);
        let organisation_of = |path: &str| {
            let id = path.strip_prefix("org/")?.split('/').next()?;
            self.world.organisation(id)
        };
        let owner = self.owner(resource);
        let side = organisation_of(resource);
        let exempt = ["org:PutGuardrail", "org:DescribeGuardrail"].contains(&action.name())
            && session.temporary.is_none()
            && owner == Some(principal);
        let guardrails = |organisation: Option<IdentityIx>| -> Vec<Attachment> {
            let details = organisation.and_then(|ix| self.identity(ix).organisation_details());
            let excused = exempt && organisation == side;
            let details = details.filter(|_| !excused);
            details.map(|d| d.guardrails.clone()).unwrap_or_default()
        };
        let assumed = session.temporary.as_ref().and_then(|session| {
            let trust = self.world.trust_at(session.trust.as_deref()?)?;
            Some(self.world.trust(trust)?.policies.clone())
        });
        let assumed = assumed.unwrap_or_default();
        // Step 1.
        let chains = self.chains(principal);
        let trust = |ix: &TrustIx| self.world.trust(*ix).unwrap();
        let reached: BTreeSet<&str> = chains
            .iter()
            .flatten()
            .map(|ix| &*self.identity(trust(ix).trustor).path)
            .chain([&*itself.path])
            .collect();
        let policy = self.resource_policy(resource);
        let of_resource: Vec<_> = policy
            .iter()
            .flat_map(|policy| policy.statements())
            .collect();
        // Step 2.
        let denied_by_resource = of_resource.iter().any(|statement| {
            let named = statement.identities.iter().any(|pattern| match pattern {
                IdentityPattern::Path(path) => reached.contains(&**path),
                IdentityPattern::Everyone => true,
                IdentityPattern::Unauthenticated => false,
            });
            statement.effect == Effect::Deny && named && matches(statement)
        });
        let denied_by_trust = chains.iter().flatten().any(|ix| {
            let of = self.identity(trust(ix).trustor).organisation;
            let has_a_say = of.is_some() && (of == itself.organisation || of == side);
            has_a_say && denies(&trust(ix).policies)
        });
        if denied_by_resource
            || denied_by_trust
            || denies(&assumed)
            || denies(&itself.boundary)
            || denies(&guardrails(itself.organisation))
            || denies(&guardrails(side))
        {
            return false;
        }
        // Steps 3 and 4.
        chains.iter().any(|chain| {
            let on_it: Vec<&Identity> = [itself]
                .into_iter()
                .chain(chain.iter().map(|ix| self.identity(trust(ix).trustor)))
                .collect();
            let in_force = chain.iter().map(trust).all(|trust| {
                let holds = match trust.conditions_text() {
                    None => true,
                    Some(WITH_MFA) => said.mfa,
                    Some(WHEN_RED) => said.principal_tags.exact("team") == Some("red"),
                    Some(other) => panic!("{other}"),
                };
                let passes = match trust.kind {
                    TrustKind::Ownership => true,
                    TrustKind::Membership if trust.policies.is_empty() => true,
                    _ => verdict(&self.documents(&trust.policies)) == Some(Effect::Allow),
                };
                holds && passes && trust.expires_at.is_none_or(|end| self.at < end)
            });
            let last = *on_it.last().unwrap();
            let is_owner = owner.is_some_and(|ix| *self.identity(ix).path == *last.path);
            // "An organisation also accepts itself."
            let is_itself = last.kind == Kind::Organisation && *last.path == *resource;
            let accepted = of_resource.iter().any(|statement| {
                let named = statement.identities.iter().any(|pattern| match pattern {
                    IdentityPattern::Path(path) => **path == *last.path,
                    IdentityPattern::Everyone => chain.is_empty(),
                    IdentityPattern::Unauthenticated => false,
                });
                statement.effect == Effect::Allow && named && matches(statement)
            });
            in_force
                && (is_owner || is_itself || accepted)
                && limits(&assumed)
                && limits(&guardrails(side))
                && on_it.iter().all(|identity| {
                    limits(&identity.boundary) && limits(&guardrails(identity.organisation))
                })
        })
    }

    pub(crate) fn holds(&self, session: &Session, action: &str, resource: &str) -> bool {
        self.allows(session, action, resource, true)
    }

    /// The ends of a trust; of one that is not there, its own path.
    fn ends(&self, path: &str) -> (String, String) {
        let trust = self
            .world
            .trust_at(path)
            .and_then(|ix| self.world.trust(ix));
        let of = |ix| self.identity(ix).path.to_string();
        trust.map_or((path.to_owned(), path.to_owned()), |trust| {
            (of(trust.trustor), of(trust.trustee))
        })
    }

    /// What a provider leads to: what its mappings say, and who trusts it.
    fn fed(&self, path: Option<&str>, new: Option<&Provider>, organisation: &str) -> Vec<String> {
        let full = |text: &String| match text.starts_with("org/") {
            true => text.clone(),
            false => format!("org/{organisation}/{text}"),
        };
        let targets = |provider: &Provider| -> Vec<String> {
            match provider {
                Provider::Oidc(oidc) => {
                    oidc.mappings.iter().flat_map(|m| &m.to).map(full).collect()
                }
                Provider::SignIn(of) => of.mappings.iter().flat_map(|m| &m.to).map(full).collect(),
                Provider::CertificateAuthority(of) => {
                    of.mappings.iter().map(|m| full(&m.identity)).collect()
                }
            }
        };
        let mut fed: Vec<String> = new.map(targets).unwrap_or_default();
        // Nothing of another organisation is ever fed: that is refused, whoever asks.
        let own = format!("org/{organisation}/");
        fed.retain(|path| path.starts_with(&own));
        let old = path.and_then(|path| self.world.identity_at(path));
        if let Some(ix) = old
            && let Some(provider) = &self.identity(ix).provider
        {
            fed.extend(targets(provider));
            for (_, trust) in self.world.trusts().filter(|(_, trust)| trust.trustee == ix) {
                fed.push(self.identity(trust.trustor).path.to_string());
            }
        }
        fed
    }

    /// What carries a named policy, and what changing it there needs.
    fn carried(&self, path: &str) -> Vec<(String, String)> {
        let Some(policy) = self.world.policy_at(path) else {
            return Vec::new();
        };
        let carries = |list: &[Attachment]| {
            let is_it = |a: &Attachment| matches!(a, Attachment::Named(ix) if *ix == policy);
            list.iter().any(is_it)
        };
        let mut needs = Vec::new();
        for (_, trust) in self
            .world
            .trusts()
            .filter(|(_, trust)| carries(&trust.policies))
        {
            let trustor = self.identity(trust.trustor).path.to_string();
            needs.push(("iam:UpdateTrust".to_owned(), trustor));
        }
        for (_, identity) in self.world.identities() {
            let path = identity.path.to_string();
            if carries(&identity.boundary) {
                needs.push(("iam:PutPermissionBoundary".to_owned(), path.clone()));
            }
            if identity
                .organisation_details()
                .is_some_and(|d| carries(&d.guardrails))
            {
                needs.push(("org:PutGuardrail".to_owned(), path));
            }
        }
        needs
    }

    /// What each change asks, `caller` being the organisation of who makes it, or the user.
    fn asks(&self, change: &Change, caller: &str) -> Asks {
        let kind = |path: &str| match PathParts::of(path).map(|parts| parts.kind) {
            Some(Kind::Organisation) => "org",
            Some(Kind::Database) => "Database",
            Some(Kind::User) => "User",
            Some(Kind::Group) => "Group",
            Some(Kind::Role) => "Role",
            Some(Kind::OrganisationUser) => "OrgUser",
            Some(Kind::IdentityProvider) => "IdentityProvider",
            Some(Kind::Policy) => "Policy",
            _ => "ProgrammaticIdentity",
        };
        // Of organisations and databases the verbs are in services of their own.
        let verb = |verb: &str, path: &str| match kind(path) {
            "org" => format!("org:{verb}"),
            "Database" if verb != "Tag" => format!("kvdb:{verb}"),
            kind => format!("iam:{verb}{kind}"),
        };
        let one = |action: &str, path: &str| vec![(action.to_owned(), path.to_owned())];
        let organisation = |id: &str| format!("org/{id}");
        let carriers_too = |action: &str, path: &str| {
            let mut all = one(action, path);
            all.extend(self.carried(path));
            all
        };
        let feeds_too = |mut all: Vec<(String, String)>,
                         fed: Vec<String>,
                         opens: Option<&Provider>| {
            let opened = match opens {
                Some(Provider::CertificateAuthority(_)) => self.fed(None, opens, &caller_of(&all)),
                _ => Vec::new(),
            };
            all.extend(
                fed.into_iter()
                    .map(|p| ("iam:UpdateIdentityProvider".to_owned(), p)),
            );
            all.extend(
                opened
                    .into_iter()
                    .map(|p| ("iam:CreateAccessKey".to_owned(), p)),
            );
            all
        };
        Asks::All(match change {
            // Only the operator makes and unmakes people, and only Keyward itself signs them in.
            Change::CreateUser { .. }
            | Change::RegisterUser { .. }
            | Change::DeleteUser { .. }
            | Change::SyncSignIn { .. } => return Asks::Operator,
            Change::Person { user, change } => return of_person(user, change),
            Change::CreateOrganisation { administrator, .. } => {
                let mut all = one("org:Create", caller);
                all.extend(
                    administrator
                        .iter()
                        .flat_map(|path| one("iam:AcceptTrust", path)),
                );
                all
            }
            // Conditions read the name of an identity as they read a tag.
            Change::Rename { path, .. } => {
                let mut all = one(&verb("Update", path), path);
                if ["Role", "ProgrammaticIdentity"].contains(&kind(path)) {
                    all.extend(one(&verb("Tag", path), path));
                }
                all
            }
            Change::SetTags { path, .. } => one(&verb("Tag", path), path),
            Change::DeleteOrganisation { path } => one("org:Delete", path),
            Change::CreateProgrammaticIdentity {
                organisation: id, ..
            } => one("iam:CreateProgrammaticIdentity", &organisation(id)),
            Change::CreateGroup {
                organisation: id, ..
            } => one("iam:CreateGroup", &organisation(id)),
            Change::CreateRole {
                organisation: id, ..
            } => one("iam:CreateRole", &organisation(id)),
            Change::UpdateRole { path, name, .. } => {
                let mut all = one("iam:UpdateRole", path);
                if name.is_some() {
                    all.extend(one("iam:TagRole", path));
                }
                all
            }
            Change::CreateOrganisationUser {
                organisation: id, ..
            } => one("iam:CreateOrgUser", &organisation(id)),
            // Whoever takes it may act as the organisation user: a trust that is offered.
            Change::Invite { path, .. } => {
                let mut all = one("iam:UpdateOrgUser", path);
                all.extend(one("iam:CreateTrust", path));
                all
            }
            Change::AcceptInvitation { user, .. } => one("iam:AcceptTrust", user),
            Change::DeclineInvitation { path, .. } => one("iam:UpdateOrgUser", path),
            Change::RevokeSessions { identity, .. } | Change::RevokeSession { identity, .. } => {
                one("iam:RevokeSession", identity)
            }
            // Keys that the limit ended open their identities again.
            Change::SetKeyLimits {
                organisation: path,
                max_key_lifetime_seconds: longest,
                ..
            } => {
                let known = self.world.identity_at(path);
                let known = known.and_then(|ix| self.identity(ix).organisation_details());
                let known = known.and_then(|details| details.max_key_lifetime_seconds);
                let longer = match (known, *longest) {
                    (None, _) => false,
                    (Some(_), None) => true,
                    (Some(old), Some(new)) => new > old,
                };
                let mut all = one("org:Update", path);
                if longer {
                    all.extend(one("iam:UpdateAccessKey", path));
                }
                all
            }
            Change::CreateIdentityProvider {
                organisation: id,
                provider,
                ..
            } => feeds_too(
                one("iam:CreateIdentityProvider", &organisation(id)),
                self.fed(None, Some(provider), id),
                Some(provider),
            ),
            Change::UpdateIdentityProvider { path, provider, .. } => {
                let id = path.split('/').nth(1).unwrap_or_default();
                feeds_too(
                    one("iam:UpdateIdentityProvider", path),
                    self.fed(Some(path), Some(provider), id),
                    Some(provider),
                )
            }
            Change::DeleteIdentity { path, cascade } => {
                let all = one(&verb("Delete", path), path);
                let mut all = feeds_too(all, self.fed(Some(path), None, ""), None);
                let ix = self.world.identity_at(path).filter(|_| *cascade);
                let trusts = self.world.trusts();
                let at_it = trusts.filter(|(_, t)| Some(t.trustor) == ix || Some(t.trustee) == ix);
                all.extend(at_it.map(|(_, trust)| {
                    let trustor = self.identity(trust.trustor).path.to_string();
                    ("iam:DeleteTrust".to_owned(), trustor)
                }));
                all
            }
            Change::SetDefaultDatabase { identity, .. } => one(&verb("Update", identity), identity),
            Change::CreateAccessKey { identity, .. } => one("iam:CreateAccessKey", identity),
            Change::UpdateAccessKey { path, .. } => {
                let (identity, _) = path.split_once("/access_key/").unwrap();
                one("iam:UpdateAccessKey", identity)
            }
            Change::DeleteAccessKey { path } => one("iam:DeleteAccessKey", path),
            Change::CreateDatabase {
                organisation: id,
                id: database,
                backend,
                ..
            } => {
                let mut all = one("kvdb:Create", &organisation(id));
                if *backend != Backend::Embedded {
                    all.extend(one("kvdb:SetBackend", &format!("org/{id}/kvdb/{database}")));
                }
                all
            }
            // "As a read of all of it": see below for the keys.
            Change::CreateSnapshot { database, .. } => one("kvdb:CreateSnapshot", database),
            Change::UpdateSnapshot { path, .. } => one(
                "kvdb:Update",
                path.split("/snapshot/").next().unwrap_or_default(),
            ),
            // "The snapshot and the target"; to empty it first flushes it.
            Change::RestoreSnapshot {
                path,
                target,
                existing,
            } => {
                let mut all = one("kvdb:RestoreSnapshot", path);
                all.extend(one("kvdb:RestoreSnapshot", target));
                if *existing == Existing::Flush {
                    all.extend(one("kvdb:ExecuteFlushall", target));
                }
                all
            }
            Change::DeleteSnapshot { path } => one("kvdb:DeleteSnapshot", path),
            // Keyward itself says how its own work ended.
            Change::EndSnapshot { .. } | Change::EndRestore { .. } => return Asks::Operator,
            Change::SetBackend { path, .. } => one("kvdb:SetBackend", path),
            Change::SetAdministration { path, .. } => one("kvdb:SetAdministration", path),
            Change::UpdateDatabase { path, .. } => one("kvdb:Update", path),
            Change::DeleteDatabase { path } => one("kvdb:Delete", path),
            Change::CreateTrust { trustor, .. } => one("iam:CreateTrust", trustor),
            Change::UpdateTrust { path, .. } => one("iam:UpdateTrust", &self.ends(path).0),
            Change::AcceptTrust { path } => one("iam:AcceptTrust", &self.ends(path).1),
            Change::DeleteTrust { path } => one("iam:DeleteTrust", &self.ends(path).0),
            Change::AttachPolicy { trust, .. } | Change::DetachPolicy { trust, .. } => {
                one("iam:UpdateTrust", &self.ends(trust).0)
            }
            Change::PutResourcePolicy { path, .. } => one("iam:PutResourcePolicy", path),
            Change::DeleteResourcePolicy { path } => one("iam:DeleteResourcePolicy", path),
            Change::PutBoundary { identity, .. } | Change::DeleteBoundary { identity } => {
                one("iam:PutPermissionBoundary", identity)
            }
            Change::PutGuardrails { organisation, .. } => one("org:PutGuardrail", organisation),
            // All documents in vendors' dialects mean something else afterwards.
            Change::SetVendorAliases { organisation, .. } => {
                let mut all = one("org:Update", organisation);
                all.extend(one("iam:UpdateTrust", organisation));
                all.extend(one("iam:PutResourcePolicy", organisation));
                all.extend(one("org:PutGuardrail", organisation));
                for (_, identity) in self.world.identities() {
                    let documents = self.documents(&identity.boundary);
                    let below = format!("{organisation}/");
                    if identity.path.starts_with(&below)
                        && documents
                            .iter()
                            .any(|policy| policy.dialect() != Dialect::Native)
                    {
                        all.extend(one("iam:PutPermissionBoundary", &identity.path));
                    }
                }
                all
            }
            Change::TransferOwnership { organisation, .. } => {
                one("org:TransferOwnership", organisation)
            }
            Change::CreatePolicy {
                organisation: id, ..
            } => one("iam:CreatePolicy", &organisation(id)),
            Change::UpdatePolicy {
                path, make_default, ..
            } => {
                let mut all = one("iam:UpdatePolicy", path);
                if *make_default {
                    all.extend(carriers_too("iam:SetDefaultPolicyVersion", path));
                }
                all
            }
            Change::SetDefaultPolicyVersion { path, .. } => {
                carriers_too("iam:SetDefaultPolicyVersion", path)
            }
            Change::DeletePolicyVersion { path, .. } => one("iam:UpdatePolicy", path),
            Change::DeletePolicy { path } => one("iam:DeletePolicy", path),
        })
    }

    /// Whether a session may make a change, and for a trust whether it accepts for the trustee, too.
    pub(crate) fn may(&self, session: &Session, change: &Change) -> Option<bool> {
        let Principal::Identity(principal) = session.principal else {
            return None;
        };
        let itself = self.identity(principal);
        let caller = itself.organisation.map_or(itself, |ix| self.identity(ix));
        let needs = match self.asks(change, &caller.path) {
            Asks::Operator => return None,
            Asks::Login(user, fresh) => {
                let login = session.login.as_deref().filter(|_| *itself.path == *user);
                let login = login.filter(|_| session.temporary.is_none());
                let login =
                    login.and_then(|id| self.world.login_session(principal, id, self.at))?;
                let recent = login
                    .authenticated
                    .is_some_and(|then| self.at.0 - then.0 <= FRESH_LOGIN);
                return (!fresh || recent).then_some(true);
            }
            Asks::All(needs) => needs,
        };
        let came_from = session
            .temporary
            .iter()
            .flat_map(|session| &session.origins);
        let is_itself = |path: &str| {
            *itself.path == *path || came_from.clone().any(|origin| origin.principal == path)
        };
        // "Never by itself", whatever the way.
        let own_limit = |(action, path): &(String, String)| {
            action == "iam:PutPermissionBoundary" && is_itself(path)
        };
        if needs.iter().any(own_limit) {
            return None;
        }
        if let Change::AcceptInvitation { user, .. } = change
            && (*itself.path != **user || session.temporary.is_some())
        {
            return None;
        }
        // "Never granted on oneself by one's own tags"; a person owns itself.
        let mut own_tags = true;
        if let Change::SetTags { path, .. } = change {
            let person = PathParts::of(path).is_some_and(|parts| parts.kind == Kind::User);
            if person && self.world.identity_at(path).is_some() {
                return None;
            }
            own_tags = *itself.path != **path;
        }
        if let Change::Rename { path, .. }
        | Change::UpdateRole {
            path,
            name: Some(_),
            ..
        } = change
        {
            own_tags = *itself.path != **path;
        }
        let all = needs.iter().all(|(action, on)| {
            self.holds(session, action, on) && self.allows(session, action, on, own_tags)
        });
        if !all && !self.may_leave(session, change) {
            return None;
        }
        Some(match change {
            Change::CreateTrust { trustee, .. } => self.holds(session, "iam:AcceptTrust", trustee),
            Change::CreateOrganisationUser {
                user: Some(user), ..
            } => self.holds(session, "iam:AcceptTrust", user),
            _ => true,
        })
    }

    /// "A trustee may leave organisations, not groups", and decline what it was offered; a role is
    /// like an organisation.
    fn may_leave(&self, session: &Session, change: &Change) -> bool {
        let Change::DeleteTrust { path } = change else {
            return false;
        };
        let trust = self
            .world
            .trust_at(path)
            .and_then(|ix| self.world.trust(ix));
        trust.is_some_and(|trust| {
            let from = self.identity(trust.trustor).kind;
            let to = &*self.identity(trust.trustee).path;
            let accepts = || self.holds(session, "iam:AcceptTrust", to);
            let for_it = session.principal == Principal::Identity(trust.trustee)
                || self.holds(session, "iam:DeleteTrust", to);
            match (trust.kind, from) {
                (TrustKind::Assumable, _) => for_it || accepts(),
                (TrustKind::Ownership, _) => false,
                _ if !trust.accepted => for_it || accepts(),
                (_, Kind::Organisation | Kind::OrganisationUser) => for_it,
                _ => false,
            }
        })
    }
}

/// The organisation of the first thing that is needed.
fn caller_of(needs: &[(String, String)]) -> String {
    needs[0].1.split('/').nth(1).unwrap_or_default().to_owned()
}

/// "A user's password, factors and linked logins are changed by the user alone (or the operator)."
fn of_person(user: &str, change: &PersonChange) -> Asks {
    let fresh = match change {
        PersonChange::EndLogin(_) | PersonChange::EndLogins { .. } => false,
        PersonChange::SetSignInName(_)
        | PersonChange::SetPassword { .. }
        | PersonChange::SetTotp { .. }
        | PersonChange::RemoveTotp
        | PersonChange::SetRecoveryCodes(_)
        | PersonChange::AddPasskey(_)
        | PersonChange::RemovePasskey(_)
        | PersonChange::RenamePasskey { .. }
        | PersonChange::Link(_)
        | PersonChange::Unlink { .. } => true,
        PersonChange::BeginLogin { .. }
        | PersonChange::SetSetupLink(_)
        | PersonChange::UseSetupLink { .. }
        | PersonChange::ResetFactors => return Asks::Operator,
    };
    Asks::Login(user.to_owned(), fresh)
}
