//! Mappings of claims: whoever changes them leads its own sign-in, or tokens of its own making, to
//! groups and roles.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::moves::Move;
use super::{EscalationStep, Means, Search, State};
use crate::apply::ChangeContext;
use crate::change::Change;
use crate::directory::Directory;
use crate::entities::Identity;
use crate::ids::Kind;
use crate::providers::{ClaimMapping, OidcProvider, Provider, SignInMapping, SignatureAlgorithm};

/// What the attacker's own token says of it, and its sign-in.
const SUBJECT: &str = "escalation";

/// Id of a provider of the attacker's own.
const OWN: &str = "own-by-escalation";

fn to(target: &str) -> ClaimMapping {
    ClaimMapping {
        claim: "sub".to_owned(),
        values: vec![SUBJECT.to_owned()],
        to: vec![target.to_owned()],
    }
}

fn with_mapping(provider: &Provider, target: &str) -> Option<Provider> {
    let mut provider = provider.clone();
    match &mut provider {
        Provider::Oidc(OidcProvider { mappings, .. })
        | Provider::SignIn(SignInMapping { mappings, .. }) => mappings.push(to(target)),
        Provider::CertificateAuthority(_) => return None,
    }
    Some(provider)
}

/// An issuer of the attacker's own, whose tokens open a role.
fn own_issuer(target: &str) -> Provider {
    Provider::Oidc(OidcProvider {
        issuer: format!("https://{OWN}.invalid"),
        audiences: vec![OWN.to_owned()],
        algorithms: SignatureAlgorithm::DEFAULT.to_vec(),
        jwks: None,
        shared: false,
        max_token_age_seconds: None,
        mappings: vec![to(target)],
    })
}

impl Search<'_> {
    /// Mappings that lead the attacker to groups and roles that it does not have.
    pub(super) fn mapping_moves(&self, state: &State) -> Vec<Move> {
        let directory = &state.directory;
        let held = self.held(state);
        let may =
            |name: &str| keyward_commands::action(name).is_some_and(|action| held.contains(action));
        if !may("iam:UpdateIdentityProvider") {
            return Vec::new();
        }
        let reached = directory.with_trustors(&state.identities());
        let own = format!("org/{}/", self.organisation);
        let inside = |identity: &Identity| identity.path.starts_with(&own);
        let providers: Vec<&Identity> = directory
            .identities()
            .map(|(_, identity)| identity)
            .filter(|identity| inside(identity) && identity.provider.is_some())
            .collect();
        let signs_in = !self.people(state).is_empty();
        let mut moves = Vec::new();
        for (ix, target) in directory.identities() {
            let leads_to = matches!(target.kind, Kind::Group | Kind::Role);
            if !leads_to || !inside(target) || reached.contains(&ix) {
                continue;
            }
            let mut changes = Vec::new();
            for known in &providers {
                let Some(provider) = known.provider.as_deref() else {
                    continue;
                };
                // Whoever makes the tokens of this one is let in already.
                let lets_in = directory
                    .assumable_trusts(&target.path, state.now)
                    .any(|trust| Some(trust.trustee) == directory.identity_at(&known.path));
                if lets_in {
                    continue;
                }
                let opens = match provider {
                    Provider::Oidc(_) if target.kind == Kind::Role => Some(Arc::clone(&known.path)),
                    Provider::SignIn(_) if signs_in => None,
                    _ => continue,
                };
                if let Some(changed) = with_mapping(provider, &target.path) {
                    let change = Change::UpdateIdentityProvider {
                        path: known.path.to_string(),
                        name: None,
                        provider: Box::new(changed),
                    };
                    changes.push((change, opens));
                }
            }
            if target.kind == Kind::Role && may("iam:CreateIdentityProvider") {
                let change = Change::CreateIdentityProvider {
                    organisation: self.organisation.to_owned(),
                    id: OWN.to_owned(),
                    name: None,
                    provider: Box::new(own_issuer(&target.path)),
                };
                changes.push((change, Some(format!("{own}identity_provider/{OWN}").into())));
            }
            if !changes.is_empty() {
                moves.push(Move {
                    means: Means::Provider,
                    changes,
                    text: format!("maps a claim of its own to {}", target.path),
                });
            }
        }
        moves
    }

    /// The people that the attacker signs in as.
    fn people(&self, state: &State) -> Vec<Arc<str>> {
        let owned = state.owned();
        let owned = owned.iter().filter_map(|ix| state.directory.identity(*ix));
        owned
            .filter(|identity| identity.kind == Kind::User)
            .map(|identity| Arc::clone(&identity.path))
            .collect()
    }

    /// Signs the attacker in after a mapping of sign-ins has changed.
    pub(super) fn sign_in(
        &self,
        state: &State,
        change: &Change,
        when: &super::Circumstances,
    ) -> Option<(Directory, EscalationStep)> {
        let Change::UpdateIdentityProvider { path, provider, .. } = change else {
            return None;
        };
        let Provider::SignIn(mapping) = &**provider else {
            return None;
        };
        let user = self.people(state).into_iter().next()?;
        let sync = Change::SyncSignIn {
            user: user.to_string(),
            sign_in: mapping.sign_in.clone(),
            claims: claims(&state.directory, path, mapping, &user),
        };
        let context = ChangeContext::system(when.at);
        let applied = state.directory.apply(&sync, &context).ok()?;
        let step = EscalationStep {
            by: user,
            needs: Vec::new(),
            statements: Vec::new(),
            text: format!("signs in at `{}`", mapping.sign_in),
            change: Some(sync),
            opens: None,
            ask: None,
            token: None,
            when: when.clone(),
        };
        Some((applied.directory, step))
    }
}

/// What a provider says of a person: what its mappings have led it to, and the new claim.
fn claims(
    directory: &Directory,
    provider: &str,
    mapping: &SignInMapping,
    user: &str,
) -> BTreeMap<String, Vec<String>> {
    let mut claims = BTreeMap::from([("sub".to_owned(), vec![SUBJECT.to_owned()])]);
    let reached = directory.identity_at(user);
    let reached = directory.with_trustors(reached.as_slice());
    let led: Vec<&str> = directory
        .trusts()
        .map(|(_, trust)| trust)
        .filter(|trust| trust.managed_by() == Some(provider) && reached.contains(&trust.trustee))
        .filter_map(|trust| Some(&*directory.identity(trust.trustor)?.path))
        .collect();
    for known in &mapping.mappings {
        let value = known.values.first();
        if known.to.iter().any(|target| led.contains(&&**target))
            && let Some(value) = value
        {
            let values: &mut Vec<String> = claims.entry(known.claim.clone()).or_default();
            if !values.contains(value) {
                values.push(value.clone());
            }
        }
    }
    claims
}
