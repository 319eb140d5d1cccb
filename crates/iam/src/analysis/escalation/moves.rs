//! The changes that may give an attacker more.

use std::collections::HashMap;
use std::sync::Arc;

use keyward_commands::ActionBits;
use keyward_policy::Effect;

use super::alike::given;
use super::suspects::says_any;
use super::{Means, Search, State};
use crate::analysis::ways::all_actions;
use crate::change::{Change, PolicyInput};
use crate::directory::Directory;
use crate::entities::{Attachment, Identity, Invitation, TrustKind};
use crate::ids::{IdentityIx, Kind, UnixMillis};
use crate::providers::Provider;

/// A change worth trying.
pub(super) struct Move {
    pub(super) means: Means,
    /// One of these is enough: the first that works.
    pub(super) changes: Vec<(Change, Option<Arc<str>>)>,
    pub(super) text: String,
}

impl Search<'_> {
    /// The changes that may give the attacker more.
    pub(super) fn moves(&self, state: &State) -> Vec<Move> {
        let directory = &state.directory;
        let controlled = &state.owned();
        let reached = directory.with_trustors(&state.identities());
        let path_of = |ix: &IdentityIx| directory.identity(*ix).map(|i| i.path.to_string());
        let reached_paths: Vec<String> = reached.iter().filter_map(path_of).collect();
        let own = format!("org/{}", self.organisation);
        let inside = |path: &str| path == own || path.starts_with(&format!("{own}/"));
        let everything = everything(&reached_organisations(directory, &own));
        let allowed_anywhere = self.held(state);
        let may = |names: &[&str]| {
            names.iter().any(|name| {
                keyward_commands::action(name).is_some_and(|a| allowed_anywhere.contains(a))
            })
        };
        let mut moves = Vec::new();
        let mut one = |means, change: Change, opens: Option<Arc<str>>, text: String| {
            moves.push(Move {
                means,
                changes: vec![(change, opens)],
                text,
            });
        };

        if may(&["org:TransferOwnership"]) {
            for ix in controlled {
                let user = directory.identity(*ix).filter(|i| i.kind == Kind::User);
                if let Some(user) = user {
                    let change = Change::TransferOwnership {
                        organisation: own.clone(),
                        owner: user.path.to_string(),
                    };
                    one(Means::Ownership, change, None, format!("takes {own}"));
                }
            }
        }
        if may(&["iam:CreateAccessKey"]) {
            let of_program = |(ix, identity): &(IdentityIx, &Identity)| {
                identity.kind == Kind::ProgrammaticIdentity
                    && inside(&identity.path)
                    && !controlled.contains(ix)
            };
            // Of those that are alike, also in what they are given, one is enough.
            let mut alike: HashMap<String, usize> = HashMap::new();
            let like = |identity: &Identity| {
                let plain = self.plain.contains(&identity.path);
                plain.then(|| given(directory, identity))
            };
            for (_, identity) in directory.identities().filter(of_program) {
                if let Some(like) = like(identity) {
                    *alike.entry(like).or_default() += 1;
                }
            }
            for (_, identity) in directory.identities().filter(of_program) {
                let count = match like(identity) {
                    None => 1,
                    Some(like) => match alike.remove(&like) {
                        Some(count) => count,
                        None => continue,
                    },
                };
                let others = match count {
                    1 => String::new(),
                    2 => " (or of one other like it)".to_owned(),
                    count => format!(" (or of {} others like it)", count - 1),
                };
                let text = format!(
                    "makes an access key of {}{others} and logs in with it",
                    identity.path
                );
                let opens = Some(Arc::clone(&identity.path));
                one(Means::AccessKey, key_of(&identity.path), opens, text);
            }
        }
        // Trusts that lead from the attacker, and what they carry.
        for (_, trust) in directory.trusts() {
            if trust.kind == TrustKind::Ownership
                || !reached.contains(&trust.trustee)
                || !inside(&trust.path)
            {
                continue;
            }
            let path = trust.path.to_string();
            if !trust.accepted {
                let change = Change::AcceptTrust { path: path.clone() };
                one(Means::Trust, change, None, format!("accepts {path}"));
                continue;
            }
            let change = Change::UpdateTrust {
                path: path.clone(),
                policies: Some(vec![PolicyInput::Document(everything.clone())]),
                expires_at: Some(None),
                conditions: Some(None),
            };
            one(Means::Trust, change, None, format!("widens {path}"));
            for policy in &trust.policies {
                if let Attachment::Named(ix) = policy
                    && let Some(named) = directory.policy(*ix)
                {
                    let change = Change::UpdatePolicy {
                        path: named.path.to_string(),
                        document: everything.clone().into(),
                        make_default: true,
                    };
                    let text = format!("widens {}, which {path} carries", named.path);
                    one(Means::Policy, change, None, text);
                    for version in named.versions.iter().map(|version| version.number) {
                        if version != named.default_version {
                            let change = Change::SetDefaultPolicyVersion {
                                path: named.path.to_string(),
                                version,
                            };
                            let text = format!(
                                "makes version {version} of {} the default, which {path} carries",
                                named.path
                            );
                            one(Means::Policy, change, None, text);
                        }
                    }
                }
            }
            let denies = says_any(
                &directory.documents(&trust.policies),
                Effect::Deny,
                &all_actions(),
            );
            if denies {
                let change = Change::DeleteTrust { path: path.clone() };
                let text = format!("ends {path}, and with it what it denies");
                one(Means::Trust, change, None, text);
            }
        }
        // Whom resources accept.
        if may(&["iam:PutResourcePolicy", "iam:DeleteResourcePolicy"]) {
            let accepted = reached_paths.iter().map(|path| format!("\"{path}\""));
            let accepted = accepted.collect::<Vec<_>>().join(",");
            let document =
                format!(r#"[{{"Effect":"Allow","Actions":["*"],"Identities":[{accepted}]}}]"#);
            for path in &self.resources {
                if directory.policy_at(path).is_some() {
                    continue;
                }
                let change = Change::PutResourcePolicy {
                    path: path.to_string(),
                    document: document.clone().into(),
                };
                let text = format!("makes {path} accept it for everything");
                one(Means::ResourcePolicy, change, None, text);
                if directory.resource_policy(path).is_some() {
                    let change = Change::DeleteResourcePolicy {
                        path: path.to_string(),
                    };
                    let text = format!("takes the resource policy of {path} away");
                    one(Means::ResourcePolicy, change, None, text);
                }
            }
        }
        // What limits the attacker.
        for ix in &reached {
            let Some(identity) = directory.identity(*ix) else {
                continue;
            };
            if !identity.boundary.is_empty() {
                let change = Change::DeleteBoundary {
                    identity: identity.path.to_string(),
                };
                let text = format!("takes the boundary of {} away", identity.path);
                one(Means::Limit, change, None, text);
            }
            let is_limited = identity
                .organisation_details()
                .is_some_and(|details| !details.guardrails.is_empty());
            if is_limited {
                let change = Change::PutGuardrails {
                    organisation: identity.path.to_string(),
                    policies: Vec::new(),
                };
                let text = format!("takes the guardrails of {} away", identity.path);
                one(Means::Limit, change, None, text);
            }
            if identity.kind == Kind::Group && may(&["iam:DeleteGroup"]) {
                let change = Change::DeleteIdentity {
                    path: identity.path.to_string(),
                    cascade: true,
                };
                let text = format!("deletes {}, and with it what denies", identity.path);
                one(Means::Trust, change, None, text);
            }
        }
        // Who vouches for others.
        if may(&["iam:UpdateIdentityProvider"]) {
            for (_, identity) in directory.identities() {
                let provider = identity
                    .provider
                    .as_deref()
                    .filter(|_| inside(&identity.path));
                let path = &identity.path;
                if let Some(provider @ Provider::Oidc(_)) = provider
                    && !state.providers.contains(path)
                {
                    let change = Change::UpdateIdentityProvider {
                        name: None,
                        path: path.to_string(),
                        provider: Box::new(provider.clone()),
                    };
                    let text = format!("gives {path} keys of its own, and makes its tokens");
                    one(Means::Provider, change, Some(Arc::clone(path)), text);
                }
            }
        }
        // Members that are nobody's yet.
        let person = controlled.iter().any(|ix| {
            directory
                .identity(*ix)
                .is_some_and(|i| i.kind == Kind::User)
        });
        if person && may(&["iam:UpdateOrgUser"]) {
            for (_, identity) in directory.identities() {
                if identity.kind != Kind::OrganisationUser || !inside(&identity.path) {
                    continue;
                }
                let invitation = Invitation {
                    token_hash: [0; 32],
                    expires_at: UnixMillis(state.now.0.saturating_add(3_600_000)),
                    email: None,
                };
                let change = Change::Invite {
                    path: identity.path.to_string(),
                    invitation,
                };
                let text = format!("makes an invitation for {}", identity.path);
                one(Means::Membership, change, None, text);
            }
        }
        // New trusts.
        if may(&["iam:CreateTrust"]) {
            let organisation = directory.organisation(self.organisation);
            for (ix, identity) in directory.identities() {
                let trusts = matches!(
                    identity.kind,
                    Kind::Organisation
                        | Kind::Group
                        | Kind::ProgrammaticIdentity
                        | Kind::Role
                        | Kind::OrganisationUser
                );
                if !trusts || identity.organisation != organisation || controlled.contains(&ix) {
                    continue;
                }
                let changes = reached_paths
                    .iter()
                    .filter(|path| **path != *identity.path)
                    .map(|trustee| {
                        let change = Change::CreateTrust {
                            id: format!("escalation-{}-{}", ix.0, directory.revision()),
                            trustor: identity.path.to_string(),
                            trustee: trustee.clone(),
                            policies: vec![PolicyInput::Document(everything.clone())],
                            expires_at: None,
                            kind: None,
                            conditions: None,
                        };
                        (change, None)
                    });
                moves.push(Move {
                    means: Means::Trust,
                    changes: changes.collect(),
                    text: format!("makes {} trust it with everything", identity.path),
                });
            }
        }
        moves.extend(self.mapping_moves(state));
        moves.extend(self.tag_moves(state));
        moves
    }

    /// Actions that some statement on the way from the attacker allows on something.
    pub(super) fn held(&self, state: &State) -> ActionBits {
        self.held_by(&state.directory, &state.identities())
    }

    /// The same, of these.
    pub(super) fn held_by(&self, directory: &Directory, by: &[IdentityIx]) -> ActionBits {
        let mut held = ActionBits::EMPTY;
        for ix in directory.with_trustors(by) {
            let Some(identity) = directory.identity(ix) else {
                continue;
            };
            for trust in identity
                .trusted_by
                .iter()
                .filter_map(|t| directory.trust(*t))
            {
                if trust.kind == TrustKind::Ownership {
                    return all_actions();
                }
                for policy in directory.documents(&trust.policies) {
                    for statement in policy.statements() {
                        if statement.effect == Effect::Allow {
                            held = held.union(&statement.actions);
                        }
                    }
                }
            }
        }
        let policies = self
            .resources
            .iter()
            .filter_map(|path| directory.resource_policy(path));
        for statement in policies.flat_map(|policy| policy.statements()) {
            if statement.effect == Effect::Allow {
                held = held.union(&statement.actions);
            }
        }
        held
    }
}

/// The organisations that one may speak for, so that a policy of it reaches into them.
fn reached_organisations(directory: &Directory, own: &str) -> Vec<String> {
    let start = directory.identity_at(own);
    let reached = directory.with_trustors(start.as_slice());
    let reached = reached.iter().filter_map(|ix| directory.identity(*ix));
    reached
        .filter(|identity| identity.kind == Kind::Organisation)
        .map(|identity| identity.path.to_string())
        .collect()
}

/// A document that allows everything on these organisations.
fn everything(organisations: &[String]) -> String {
    let resources = organisations.iter().map(|path| format!("\"{path}/**\""));
    let resources = resources.collect::<Vec<_>>().join(",");
    format!(r#"[{{"Effect":"Allow","Actions":["*"],"Resources":[{resources}]}}]"#)
}

/// An access key that nobody has the secret of: only what it opens matters.
pub(super) fn key_of(identity: &str) -> Change {
    Change::CreateAccessKey {
        identity: identity.to_owned(),
        key_id: "KWAKESCALATION222222".to_owned() + &short(identity),
        secret_hash: [0; 32],
        description: None,
        expires_at: None,
        sealed_secret: None,
    }
}

/// Letters that differ between identities.
fn short(text: &str) -> String {
    text.bytes()
        .map(|byte| char::from(b'A' + byte % 26))
        .collect()
}
