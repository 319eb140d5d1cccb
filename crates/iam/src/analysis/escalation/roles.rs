//! The roles that an attacker can assume, by what it acts as already.

use std::sync::Arc;

use keyward_policy::{Conditions, Fact, Operator};

use super::{Actor, EscalationStep, Search, State};
use crate::assume::AssumeRole;
use crate::directory::Directory;
use crate::entities::Trust;
use crate::ids::Kind;

/// Roles and sessions that are looked at in one state.
const MAX_ROLES: usize = 64;

impl Search<'_> {
    /// Adds the sessions of roles that the attacker can open, along chains of roles, too.
    pub(super) fn assume_roles(&self, state: &mut State) {
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
        let mut known: Vec<(Arc<str>, Option<String>)> = Vec::new();
        let mut at = 0;
        while at < state.controlled.len() && known.len() < MAX_ROLES {
            let caller = state.controlled[at].clone();
            at += 1;
            for role in &roles {
                for ask in asks(directory, role, self) {
                    let id = "KWTKESCALATION222222";
                    let found = directory.assume_role(&caller.session, &ask, id, self.at);
                    let Ok(found) = found else { continue };
                    let through = (Arc::clone(role), found.session.trust.clone());
                    if known.contains(&through) {
                        continue;
                    }
                    let session = Arc::new(found.session);
                    let Ok(session) = directory.session_of(&session, self.at) else {
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
                        text: format!("assumes {role}"),
                        change: None,
                        opens: Some(Arc::clone(role)),
                    });
                    known.push(through);
                    state.controlled.push(Actor {
                        ix,
                        session,
                        assumed,
                    });
                }
            }
        }
    }
}

/// What a caller may ask for: each trust by name, with what its conditions want of the caller's own
/// words, and the role itself.
fn asks(directory: &Directory, role: &Arc<str>, search: &Search<'_>) -> Vec<AssumeRole> {
    let plain = AssumeRole {
        role: role.to_string(),
        session_name: "escalation".to_owned(),
        ..AssumeRole::default()
    };
    let of_trust = |trust: &Trust| guess(trust, &plain);
    let trusts = directory.assumable_trusts(role, search.at).take(MAX_ROLES);
    let mut all: Vec<AssumeRole> = trusts.map(of_trust).collect();
    all.push(plain);
    all
}

/// What a caller says of itself is no obstacle to it.
fn guess(trust: &Trust, plain: &AssumeRole) -> AssumeRole {
    let mut ask = AssumeRole {
        trust: Some(trust.path.to_string()),
        ..plain.clone()
    };
    let statements = trust.conditions.iter().flat_map(|c| c.statements());
    let clauses = statements.flat_map(|statement| {
        let conditions = statement.conditions.as_ref();
        conditions.map_or(&[][..], Conditions::clauses)
    });
    for clause in clauses {
        let equals = matches!(
            clause.operator,
            Operator::StringEquals | Operator::StringEqualsIgnoreCase | Operator::StringLike
        );
        let Some(value) = clause.values().first().filter(|_| equals) else {
            continue;
        };
        let value = value.text().to_owned();
        match clause.key.fact() {
            Fact::ExternalId => ask.external_id = Some(value),
            Fact::SourceIdentity => ask.source_identity = Some(value),
            Fact::RoleSessionName => ask.session_name = value,
            Fact::RequestTag(key) => {
                ask.tags.insert(key.to_string(), value);
            }
            _ => {}
        }
    }
    ask
}
