//! Making one change on a copy of the directory, as whoever of the controlled may.

use std::sync::Arc;

use keyward_policy::Touch;

use super::{Actor, EscalationStep, Search, State};
use crate::apply::{ChangeContext, ChangeError};
use crate::change::Change;
use crate::entities::KeyStatus;
use crate::ids::Kind;

impl Search<'_> {
    /// Makes one change as whoever of the controlled may; the state afterwards and the step.
    pub(super) fn make(
        &mut self,
        state: &State,
        change: &Change,
        opens: Option<&Arc<str>>,
        text: &str,
    ) -> Option<(State, Vec<EscalationStep>)> {
        self.tried += 1;
        // Those that come in the plainest way first.
        let mut actors: Vec<&Actor> = state.controlled.iter().collect();
        actors.sort_by_key(|actor| actor.when);
        for actor in actors {
            let session = &actor.session;
            let when_at = actor.when;
            let when = self.circumstances[when_at].clone();
            let at = when.at;
            if at < state.now {
                continue;
            }
            let Ok(approval) = state.directory.authorise_change(session, change, at) else {
                continue;
            };
            let path = Arc::clone(&state.directory.identity(actor.ix)?.path);
            let context = ChangeContext {
                at,
                by: path.to_string(),
                accepts: approval.accepts,
            };
            let applied = match state.directory.apply(change, &context) {
                Ok(applied) => applied,
                Err(ChangeError::Limit { .. }) => {
                    return self.make_room(state, change, opens, text);
                }
                Err(_) => return None,
            };
            let mut statements = Vec::new();
            for requirement in &approval.requirements {
                if let Some(action) = keyward_commands::action(requirement.action) {
                    let decision = state.directory.decide(
                        session,
                        action,
                        &requirement.resource,
                        &Touch::None,
                        at,
                    );
                    statements.extend(decision.statements);
                }
            }
            statements.dedup();
            let mut next = State {
                directory: applied.directory,
                controlled: state.controlled.clone(),
                providers: state.providers.clone(),
                now: at,
            };
            if let Some(path) = opens
                && let Some(ix) = next.directory.identity_at(path)
            {
                if next.directory.provider(ix).is_some() {
                    next.providers.push(Arc::clone(path));
                } else if !next.owned().contains(&ix) {
                    next.controlled.extend(self.of_credential(ix));
                }
            }
            self.assume_roles(&mut next);
            let needs = approval.requirements.into_iter();
            let mut steps = actor.assumed.clone();
            steps.push(EscalationStep {
                by: path,
                needs: needs.map(|need| (need.action, need.resource)).collect(),
                statements,
                text: text.to_owned(),
                change: Some(change.clone()),
                opens: opens.cloned(),
                ask: None,
                token: None,
                when,
            });
            if let Some((directory, step)) =
                self.sign_in(&next, change, &self.circumstances[when_at])
            {
                next.directory = directory;
                self.assume_roles(&mut next);
                steps.push(step);
            }
            // Whoever makes an invitation knows what accepts it.
            if let Change::Invite { path, invitation } = change {
                let people = state.owned();
                let mut people = people.iter().filter_map(|ix| next.directory.identity(*ix));
                let user = people.find(|identity| identity.kind == Kind::User)?;
                let accept = Change::AcceptInvitation {
                    path: path.clone(),
                    user: user.path.to_string(),
                    token_hash: invitation.token_hash,
                };
                let text = format!("accepts it, and is {path}");
                let (accepted, more) = self.make(&next, &accept, None, &text)?;
                steps.extend(more);
                next = accepted;
            }
            // A trust may wait for its trustee: another controlled identity may accept it.
            if !approval.accepts
                && let Change::CreateTrust { id, trustor, .. } = change
            {
                let organisation = trustor.split('/').nth(1).unwrap_or_default();
                let path = format!("org/{organisation}/trust/{id}");
                let accept = Change::AcceptTrust { path };
                let (accepted, more) =
                    self.make(&next, &accept, None, "accepts the trust for its trustee")?;
                steps.extend(more);
                next = accepted;
            }
            return Some((next, steps));
        }
        None
    }

    /// Deletes a key where there are as many as there may be.
    fn make_room(
        &mut self,
        state: &State,
        change: &Change,
        opens: Option<&Arc<str>>,
        text: &str,
    ) -> Option<(State, Vec<EscalationStep>)> {
        let Change::CreateAccessKey { identity, .. } = change else {
            return None;
        };
        let ix = state.directory.identity_at(identity)?;
        let keys = state.directory.identity(ix)?.access_keys.iter();
        let keys: Vec<String> = keys
            .filter_map(|key| state.directory.access_key_by_ix(*key))
            .filter(|key| key.status == KeyStatus::Active)
            .map(|key| state.directory.access_key_path(key))
            .collect();
        for path in keys {
            let delete = Change::DeleteAccessKey { path: path.clone() };
            let disable = Change::UpdateAccessKey {
                path: path.clone(),
                status: Some(KeyStatus::Disabled),
                description: None,
                expires_at: None,
            };
            for (room, verb) in [(delete, "deletes"), (disable, "disables")] {
                let text_of_room = format!("{verb} {path} to make room for another");
                if let Some((next, mut steps)) = self.make(state, &room, None, &text_of_room)
                    && let Some((end, more)) = self.make_once(&next, change, opens, text)
                {
                    steps.extend(more);
                    return Some((end, steps));
                }
            }
        }
        None
    }

    /// As [`Self::make`], without making room a second time.
    fn make_once(
        &mut self,
        state: &State,
        change: &Change,
        opens: Option<&Arc<str>>,
        text: &str,
    ) -> Option<(State, Vec<EscalationStep>)> {
        let context = ChangeContext::system(state.now);
        state.directory.apply(change, &context).ok()?;
        self.make(state, change, opens, text)
    }
}
