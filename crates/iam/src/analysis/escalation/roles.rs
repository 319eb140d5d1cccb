//! The roles that an attacker can assume, by what it acts as already.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_policy::{Clause, Conditions, Dialect, Fact, Operator, Policy};

use super::{Actor, EscalationStep, Search, State};
use crate::assume::AssumeRole;
use crate::directory::Directory;
use crate::entities::Trust;
use crate::ids::{IdentityIx, Kind, UnixMillis};
use crate::providers::{OidcProvider, Provider};
use crate::session::Session;
use crate::temporary::TokenFacts;

/// Roles and sessions that are looked at in one state.
const MAX_ROLES: usize = 64;

/// Different things that callers say of themselves.
const MAX_PROFILES: usize = 6;

/// What sessions are called where nothing asks for a name.
const SESSION_NAME: &str = "escalation";

impl Search<'_> {
    /// Adds the sessions of roles that the attacker can open, along chains of roles, too.
    pub(super) fn assume_roles(&mut self, state: &mut State) {
        state.controlled.retain(|actor| actor.assumed.is_empty());
        let directory = &state.directory;
        let own = format!("org/{}/", self.organisation);
        let roles = directory
            .identities()
            .filter(|(_, identity)| identity.kind == Kind::Role && identity.path.starts_with(&own));
        let roles: Vec<Arc<str>> = roles
            .map(|(_, identity)| Arc::clone(&identity.path))
            .take(MAX_ROLES)
            .collect();
        let mut known: Vec<Known> = Vec::new();
        let mut at = 0;
        while at < state.controlled.len() && known.len() < MAX_ROLES {
            let caller = state.controlled[at].clone();
            at += 1;
            let when = &self.circumstances[caller.when].clone();
            if when.at < state.now {
                continue;
            }
            let reached = directory.with_trustors(&[caller.ix]);
            let assume = keyward_commands::action("sts:AssumeRole");
            let held = self.held_by(directory, &[caller.ix]);
            let holds = assume.is_some_and(|assume| held.contains(assume));
            for role in &roles {
                for ask in asks(directory, role, self, when.at, &reached, holds) {
                    if self.is_spent() {
                        self.truncated = true;
                        break;
                    }
                    self.compared += 1;
                    let id = "KWTKESCALATION222222";
                    let found = directory.assume_role(&caller.session, &ask, id, when.at);
                    let Ok(found) = found else { continue };
                    let through = Known {
                        role: Arc::clone(role),
                        trust: found.session.trust.clone(),
                        says: (found.session.name.clone(), found.session.tags.clone()),
                        source_identity: found.session.source_identity.clone(),
                        at: when.at,
                        mfa: found.session.mfa,
                    };
                    if known.contains(&through) {
                        continue;
                    }
                    let session = Arc::new(found.session);
                    let Ok(session) = directory.session_of(&session, when.at) else {
                        continue;
                    };
                    let (Some(ix), Some(by)) =
                        (directory.identity_at(role), directory.identity(caller.ix))
                    else {
                        continue;
                    };
                    let mut assumed = caller.assumed.clone();
                    assumed.push(EscalationStep {
                        by: Arc::clone(&by.path),
                        needs: vec![("sts:AssumeRole", role.to_string())],
                        statements: found.decision.statements,
                        text: format!("assumes {role}{}", said(&ask)),
                        change: None,
                        opens: Some(Arc::clone(role)),
                        ask: Some(ask),
                        token: None,
                        when: when.clone(),
                    });
                    known.push(through);
                    let added = self.wherever(ix, &session, caller.when, &assumed);
                    state.controlled.extend(added);
                }
            }
        }
        self.present_tokens(state, &roles);
    }

    /// Adds the sessions of roles that a provider of the attacker's tokens opens.
    fn present_tokens(&self, state: &mut State, roles: &[Arc<str>]) {
        let directory = &state.directory;
        let mut added = Vec::new();
        for (path, role) in state
            .providers
            .iter()
            .flat_map(|path| roles.iter().map(move |role| (path, role)))
        {
            let (Some(provider), Some(ix)) =
                (directory.identity_at(path), directory.identity_at(role))
            else {
                continue;
            };
            let Some(Provider::Oidc(issuer)) = directory.provider(provider) else {
                continue;
            };
            for (place, when) in self.circumstances.iter().enumerate() {
                let trusts = directory.assumable_trusts(role, when.at);
                for trust in trusts.filter(|trust| trust.trustee == provider) {
                    let plain = AssumeRole {
                        role: role.to_string(),
                        session_name: SESSION_NAME.to_owned(),
                        ..AssumeRole::default()
                    };
                    let ask = guess(trust, &plain);
                    let token = Arc::new(token_for(trust, issuer));
                    let id = "KWTKESCALATION222222";
                    let connection = &when.session(provider);
                    let found = directory
                        .assume_role_with_token(path, &token, &ask, connection, id, when.at);
                    let Some((found, session)) = found.ok().and_then(|found| {
                        let session = Arc::new(found.session.clone());
                        Some((found, directory.session_of(&session, when.at).ok()?))
                    }) else {
                        continue;
                    };
                    let step = EscalationStep {
                        by: Arc::clone(path),
                        needs: vec![("sts:AssumeRoleWithWebIdentity", role.to_string())],
                        statements: found.decision.statements,
                        text: format!("assumes {role} with a token of its own making"),
                        change: None,
                        opens: Some(Arc::clone(role)),
                        ask: Some(ask),
                        token: Some(token),
                        when: when.clone(),
                    };
                    added.extend(self.wherever(ix, &session, place, &[step]));
                }
            }
        }
        state.controlled.extend(added);
    }

    /// A session of a role in all circumstances in which it is used: from anywhere, at that moment,
    /// with the caller's factor.
    fn wherever(
        &self,
        ix: IdentityIx,
        session: &Session,
        opened: usize,
        assumed: &[EscalationStep],
    ) -> Vec<Actor> {
        let at = self.circumstances[opened].at;
        let places = self.circumstances.iter().enumerate();
        let same = places
            .filter(|(_, other)| other.at == at && other.mfa.is_some() == session.mfa.is_some());
        same.map(|(when, other)| Actor {
            ix,
            session: other.of(session.clone()),
            when,
            assumed: assumed.to_vec(),
        })
        .collect()
    }

    /// What callers may say of themselves so that conditions of these documents hold.
    pub(super) fn profiles(&mut self, documents: &[Arc<Policy>]) {
        let mut found: Vec<Profile> = Vec::new();
        for statement in documents.iter().flat_map(|policy| policy.statements()) {
            let mut profile = Profile::default();
            statement
                .conditions
                .iter()
                .for_each(|conditions| profile.add(conditions));
            if profile != Profile::default() && !found.contains(&profile) {
                found.push(profile);
            }
        }
        if found.len() > MAX_PROFILES {
            self.truncated = true;
            found.truncate(MAX_PROFILES);
        }
        self.profiles = found;
    }
}

/// What one caller says so that a session differs from others.
#[derive(PartialEq)]
struct Known {
    role: Arc<str>,
    trust: Option<String>,
    says: (String, BTreeMap<String, String>),
    source_identity: Option<String>,
    at: UnixMillis,
    mfa: Option<UnixMillis>,
}

/// What a caller may say of itself when it assumes a role.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Profile {
    external_id: Option<String>,
    source_identity: Option<String>,
    session_name: Option<String>,
    tags: BTreeMap<String, String>,
}

impl Profile {
    /// Adds what conditions want.
    fn add(&mut self, conditions: &Conditions) {
        for clause in conditions.clauses() {
            let Some(value) = wanted_text(clause) else {
                continue;
            };
            match clause.key.fact() {
                Fact::ExternalId => self.external_id = Some(value),
                Fact::SourceIdentity => self.source_identity = Some(value),
                Fact::RoleSessionName => self.session_name = Some(value),
                Fact::RequestTag(key) | Fact::SessionTag(key) => {
                    self.tags.insert(key.to_string(), value);
                }
                // AWS reads session tags over those of the principal.
                Fact::PrincipalTag(key) if clause.dialect() == Dialect::Aws => {
                    self.tags.insert(key.to_string(), value);
                }
                _ => {}
            }
        }
    }

    /// The same request, saying this, too.
    fn on(&self, ask: &AssumeRole) -> AssumeRole {
        let mut ask = ask.clone();
        ask.external_id = self.external_id.clone().or(ask.external_id);
        ask.source_identity = self.source_identity.clone().or(ask.source_identity);
        if let Some(name) = &self.session_name {
            ask.session_name = name.clone();
        }
        ask.tags.extend(self.tags.clone());
        ask
    }
}

/// A text that a clause wants, if it wants one.
pub(super) fn wanted_text(clause: &Clause) -> Option<String> {
    let value = clause.values().first()?.text();
    match clause.operator {
        Operator::StringEquals | Operator::StringEqualsIgnoreCase => Some(value.to_owned()),
        Operator::StringLike => Some(value.replace(['*', '?'], "x")),
        _ => None,
    }
}

/// What a request says that not every request says, in words.
fn said(ask: &AssumeRole) -> String {
    let mut words: Vec<String> = ask
        .tags
        .iter()
        .map(|(key, value)| format!("with the session tag {key}={value}"))
        .collect();
    let named = Some(&ask.session_name).filter(|name| **name != SESSION_NAME);
    words.extend(named.map(|name| format!("under the session name {name}")));
    let external = ask.external_id.iter();
    words.extend(external.map(|id| format!("with the external id {id}")));
    let source = ask.source_identity.iter();
    words.extend(source.map(|id| format!("with the source identity {id}")));
    match words.is_empty() {
        true => String::new(),
        false => format!(", {}", words.join(", ")),
    }
}

/// What a caller may ask for: each trust that it reaches by name, with what its conditions want of the
/// caller's own words, and the role itself, where something lets it in; each also with what other
/// documents want.
fn asks(
    directory: &Directory,
    role: &Arc<str>,
    search: &Search<'_>,
    at: UnixMillis,
    reached: &[IdentityIx],
    holds: bool,
) -> Vec<AssumeRole> {
    let plain = AssumeRole {
        role: role.to_string(),
        session_name: SESSION_NAME.to_owned(),
        ..AssumeRole::default()
    };
    let of_trust = |trust: &Trust| guess(trust, &plain);
    let trusts = directory.assumable_trusts(role, at).take(MAX_ROLES);
    let trusts = trusts.filter(|trust| reached.contains(&trust.trustee));
    let mut all: Vec<AssumeRole> = trusts.map(of_trust).collect();
    if holds || directory.resource_policy(role).is_some() {
        all.push(plain);
    }
    let others: Vec<AssumeRole> = all
        .iter()
        .flat_map(|ask| search.profiles.iter().map(|profile| profile.on(ask)))
        .filter(|other| !all.contains(other))
        .collect();
    all.extend(others);
    all
}

/// What a caller says of itself is no obstacle to it.
fn guess(trust: &Trust, plain: &AssumeRole) -> AssumeRole {
    let mut profile = Profile::default();
    let statements = trust.conditions.iter().flat_map(|c| c.statements());
    let conditions = statements.filter_map(|statement| statement.conditions.as_ref());
    conditions.for_each(|conditions| profile.add(conditions));
    let plain = AssumeRole {
        trust: Some(trust.path.to_string()),
        ..plain.clone()
    };
    profile.on(&plain)
}

/// A token as a trust in its issuer wants it.
fn token_for(trust: &Trust, issuer: &OidcProvider) -> TokenFacts {
    let mut token = TokenFacts {
        issuer: issuer.issuer.clone(),
        subject: "escalation".to_owned(),
        audiences: issuer.audiences.iter().take(1).cloned().collect(),
        ..TokenFacts::default()
    };
    let statements = trust.conditions.iter().flat_map(|c| c.statements());
    let conditions = statements.filter_map(|statement| statement.conditions.as_ref());
    for clause in conditions.flat_map(Conditions::clauses) {
        let claim = match clause.key.fact() {
            Fact::Token(claim) => claim,
            Fact::IssuerToken(name) => name.rsplit_once(':').map_or(&**name, |(_, claim)| claim),
            _ => continue,
        };
        let Some(value) = wanted_text(clause) else {
            continue;
        };
        match claim {
            "sub" => token.subject = value,
            "aud" => token.audiences = vec![value],
            claim => drop(token.claims.insert(claim.to_owned(), vec![value])),
        }
    }
    token
}
