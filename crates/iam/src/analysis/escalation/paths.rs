//! Ways of one step and of several.

use std::sync::Arc;

use super::moves::key_of;
use super::{Escalation, EscalationStep, Gain, Means, Search, State};
use crate::change::Change;
use crate::directory::Directory;
use crate::ids::IdentityIx;

/// Paths that are told of one identity.
const MAX_PATHS: usize = 40;

/// Rounds of taking every step that gains something.
const MAX_ROUNDS: usize = 6;

impl Search<'_> {
    /// The steps, and how the role is assumed that has the gain, if it is one.
    fn told_with_role(
        &self,
        after: &State,
        mut steps: Vec<EscalationStep>,
        gain: &Gain,
    ) -> Vec<EscalationStep> {
        let mut actors = after.controlled.iter().filter(|actor| {
            let identity = after.directory.identity(actor.ix);
            self.circumstances[actor.when] == gain.when
                && identity.is_some_and(|identity| identity.path == gain.by)
        });
        let by = match actors.next() {
            Some(first) if first.assumed.is_empty() => None,
            first => first,
        };
        steps.extend(by.map_or(&[][..], |actor| &actor.assumed).iter().cloned());
        steps
    }

    /// Everything that can be told of one identity.
    pub(super) fn of(&mut self, directory: &Directory, ix: IdentityIx) -> Vec<Escalation> {
        let Some(identity) = directory.identity(ix) else {
            return Vec::new();
        };
        let path = Arc::clone(&identity.path);
        let mut start = State {
            directory: directory.clone(),
            controlled: self.of_credential(ix).collect(),
            providers: Vec::new(),
            now: self.at,
        };
        self.assume_roles(&mut start);
        let mut found: Vec<Escalation> = self.on_servers(&start, &path);
        if self.holds_everything(&start) {
            return found;
        }
        let mut single: Vec<State> = Vec::new();
        for found_move in self.moves(&start) {
            if self.is_spent() || found.len() >= MAX_PATHS {
                self.truncated = true;
                break;
            }
            for (change, opens) in &found_move.changes {
                let Some((after, steps)) =
                    self.make(&start, change, opens.as_ref(), &found_move.text)
                else {
                    continue;
                };
                if let Some(gain) = self.gain(&start, &after, true) {
                    let steps = self.told_with_role(&after, steps, &gain);
                    found.push(Escalation {
                        identity: Arc::clone(&path),
                        means: found_move.means,
                        steps,
                        gain: Some(gain),
                    });
                    single.push(after);
                    break;
                }
            }
        }
        found.extend(self.in_several_steps(&start, &path, &single));
        found
    }

    /// Takes every step that gains something until none is left.
    fn in_several_steps(
        &mut self,
        start: &State,
        path: &Arc<str>,
        single: &[State],
    ) -> Option<Escalation> {
        let mut steps: Vec<EscalationStep> = Vec::new();
        let mut state = start.clone();
        self.prepare(&mut state, &mut steps);
        for _ in 0..MAX_ROUNDS {
            let mut gained = false;
            for found_move in self.moves(&state) {
                if self.is_spent() {
                    self.truncated = true;
                    break;
                }
                for (change, opens) in &found_move.changes {
                    let Some((after, more)) =
                        self.make(&state, change, opens.as_ref(), &found_move.text)
                    else {
                        continue;
                    };
                    if self.gain(&state, &after, false).is_some() {
                        steps.extend(more);
                        state = after;
                        gained = true;
                        break;
                    }
                }
            }
            if !gained {
                break;
            }
        }
        // More than any single step gives?
        let mut known = vec![start];
        known.extend(single);
        let gain = self.gain_over_all(&known, &state)?;
        let steps = self.shortest(start, steps, &gain);
        let steps = self.told_with_role(&state, steps, &gain);
        if steps.len() < 2 {
            return None;
        }
        Some(Escalation {
            identity: Arc::clone(path),
            means: Means::Several,
            steps,
            gain: Some(gain),
        })
    }

    /// Makes an identity and a group of the attacker's own: they give nothing, but may be trusted
    /// where the attacker itself may not.
    fn prepare(&mut self, state: &mut State, steps: &mut Vec<EscalationStep>) {
        let organisation = self.organisation.to_owned();
        let id = "own-by-escalation";
        let identity: Arc<str> = format!("org/{organisation}/programmatic_identity/{id}").into();
        let group: Arc<str> = format!("org/{organisation}/group/{id}").into();
        let first = state.controlled.first().map(|actor| actor.ix);
        let me = first.and_then(|ix| state.directory.identity(ix).map(|i| i.path.to_string()));
        // Ownership moves to members only.
        let person = me.clone().filter(|path| path.starts_with("user/"));
        let membership = person.map(|user| {
            let change = Change::CreateOrganisationUser {
                organisation: organisation.clone(),
                id: id.to_owned(),
                name: None,
                user: Some(user),
                invitation: None,
            };
            (change, None, "makes itself a member".to_owned())
        });
        let changes = [
            (
                Change::CreateProgrammaticIdentity {
                    organisation: organisation.clone(),
                    id: id.to_owned(),
                    name: None,
                },
                None,
                format!("makes {identity}"),
            ),
            (
                key_of(&identity),
                Some(Arc::clone(&identity)),
                format!("makes an access key of {identity} and logs in with it"),
            ),
            (
                Change::CreateGroup {
                    organisation,
                    id: id.to_owned(),
                    name: None,
                },
                None,
                format!("makes {group}"),
            ),
            (
                Change::CreateTrust {
                    id: format!("{id}-member"),
                    trustor: group.to_string(),
                    trustee: me.unwrap_or_default(),
                    policies: Vec::new(),
                    expires_at: None,
                    kind: None,
                    conditions: None,
                },
                None,
                format!("joins {group}"),
            ),
        ];
        for (change, opens, text) in membership.into_iter().chain(changes) {
            if let Some((next, more)) = self.make(state, &change, opens.as_ref(), &text) {
                *state = next;
                steps.extend(more);
            }
        }
    }

    /// Leaves out every step without which the end is reached, too.
    fn shortest(
        &mut self,
        start: &State,
        mut steps: Vec<EscalationStep>,
        gain: &Gain,
    ) -> Vec<EscalationStep> {
        let mut at = steps.len();
        while at > 0 {
            at -= 1;
            let mut fewer = steps.clone();
            fewer.remove(at);
            if let Some(told) = self.replay(start, &fewer, gain) {
                steps = told;
            }
        }
        steps
    }

    /// Makes the changes of a path again; `None` if they do not lead to the gain.
    fn replay(
        &mut self,
        start: &State,
        steps: &[EscalationStep],
        gain: &Gain,
    ) -> Option<Vec<EscalationStep>> {
        let mut state = start.clone();
        let mut told = Vec::new();
        for step in steps {
            // Roles are assumed by whatever step needs them.
            let Some(change) = &step.change else { continue };
            // Signing in comes with the mapping that it needs.
            if matches!(change, Change::SyncSignIn { .. }) {
                continue;
            }
            // An acceptance comes with the trust it accepts, where it is needed.
            if matches!(change, Change::AcceptTrust { path } if state
                .directory
                .trust_at(path)
                .and_then(|ix| state.directory.trust(ix))
                .is_some_and(|trust| trust.accepted))
            {
                continue;
            }
            let (next, more) = self.make(&state, change, step.opens.as_ref(), &step.text)?;
            state = next;
            told.extend(more);
        }
        let action = keyward_commands::action(gain.action)?;
        let when = self
            .circumstances
            .iter()
            .position(|one| *one == gain.when)?;
        let key = gain.key.as_deref();
        self.confirm(start, &state, action, &gain.resource, key, when)?;
        Some(told)
    }
}
