//! What an attacker may do in one state, and what it may do in another that it could not before.

use std::sync::Arc;

use keyward_commands::{ActionBits, ActionId, CommandClass};
use keyward_policy::{KeyUse, Touch};

use super::{Gain, Search, State};
use crate::analysis::open::OpenFacts;
use crate::analysis::risk::Risk;
use crate::analysis::ways::{Ways, all_actions};
use crate::grounds::PolicySource;
use crate::ids::IdentityIx;

/// What one attacker may do to one resource.
#[derive(Clone)]
struct Power {
    every: ActionBits,
    some: Vec<ActionBits>,
}

impl Search<'_> {
    fn touches<R>(&self, sample: Option<&[u8]>, ask: impl FnOnce(Option<&Touch<'_>>) -> R) -> R {
        match sample {
            None => ask(None),
            Some(key) => {
                let keys = [KeyUse {
                    key,
                    reads: true,
                    writes: true,
                }];
                ask(Some(&Touch::Named {
                    keys: &keys,
                    channels: &[],
                }))
            }
        }
    }

    /// What the attacker may do to a resource.
    fn power(&mut self, state: &State, resource: &Arc<str>) -> Power {
        self.compared += 1;
        let mut power = Power {
            every: ActionBits::EMPTY,
            some: Vec::new(),
        };
        let source = PolicySource::ResourcePolicy(Arc::clone(resource));
        for actor in &state.controlled {
            let session = &actor.session;
            let grounds = state.directory.grounds(session, resource, false, self.at);
            let ways = Ways::of(&grounds, &source, OpenFacts::early(&grounds));
            for way in &ways.ways {
                for action in way.actions.iter() {
                    if counts(action)
                        && !power.every.contains(action)
                        && ways.permits(way, action, &Touch::of_action(action)) == Some(true)
                    {
                        power.every.insert(action);
                    }
                }
                for place in way.allows.iter().chain(&way.breaks) {
                    self.sample(place.statement.keys.as_ref());
                }
            }
            for (_, deny) in &ways.denies {
                self.sample(deny.statement.keys.as_ref());
            }
            for (n, sample) in self.samples.iter().enumerate() {
                if power.some.len() <= n {
                    power.some.push(ActionBits::EMPTY);
                }
                self.touches(Some(sample), |touch| {
                    let Some(touch) = touch else { return };
                    for way in &ways.ways {
                        for action in way.actions.iter().filter(|a| is_keyed(*a)) {
                            if !power.some[n].contains(action)
                                && ways.permits(way, action, touch) == Some(true)
                            {
                                power.some[n].insert(action);
                            }
                        }
                    }
                });
            }
        }
        power
    }

    /// Keeps a key that fits some pattern, to compare powers on.
    fn sample(&mut self, keys: Option<&keyward_policy::KeyPatterns>) {
        let Some(keys) = keys else { return };
        let lists = [&keys.keys, &keys.read_keys, &keys.write_keys];
        for glob in lists.into_iter().flat_map(|list| list.iter()) {
            if self.samples.len() >= 16 {
                return;
            }
            let key: Vec<u8> = glob
                .text()
                .iter()
                .filter(|byte| !b"*?[]^\\".contains(byte))
                .copied()
                .collect();
            if !self.samples.contains(&key) {
                self.samples.push(key);
            }
        }
    }

    /// Something that the second state allows and the first does not.
    pub(super) fn gain(&mut self, before: &State, after: &State) -> Option<Gain> {
        for resource in self.resources.clone() {
            // Twice: the first look finds the keys on which both are compared.
            let _ = self.power(after, &resource);
            let then = self.power(before, &resource);
            let now = self.power(after, &resource);
            let every = now.every.subtract(&then.every);
            let witness = every
                .iter()
                .max_by_key(|action| Risk::of(*action))
                .and_then(|action| self.confirm(before, after, action, &resource, None));
            if witness.is_some() {
                return witness;
            }
            for (n, sample) in self.samples.clone().iter().enumerate() {
                let none = ActionBits::EMPTY;
                let more = now
                    .some
                    .get(n)
                    .unwrap_or(&none)
                    .subtract(then.some.get(n).unwrap_or(&none))
                    .subtract(&then.every);
                let witness = more.iter().find_map(|action| {
                    self.confirm(before, after, action, &resource, Some(sample))
                });
                if witness.is_some() {
                    return witness;
                }
            }
        }
        None
    }

    /// The witness, if the decisions themselves agree.
    pub(super) fn confirm(
        &self,
        before: &State,
        after: &State,
        action: ActionId,
        resource: &Arc<str>,
        sample: Option<&[u8]>,
    ) -> Option<Gain> {
        let allowed = |state: &State| -> Option<IdentityIx> {
            let mut actors = state.controlled.iter();
            let found = actors.find(|actor| {
                self.touches(sample, |touch| {
                    let touch = touch.unwrap_or(&Touch::None);
                    state
                        .directory
                        .decide(&actor.session, action, resource, touch, self.at)
                        .is_allow()
                })
            });
            found.map(|actor| actor.ix)
        };
        if allowed(before).is_some() {
            return None;
        }
        let by = allowed(after)?;
        Some(Gain {
            action: action.name(),
            resource: Arc::clone(resource),
            key: sample.map(<[u8]>::to_vec),
            by: Arc::clone(&after.directory.identity(by)?.path),
        })
    }

    /// Something that the last state allows and none of the others.
    pub(super) fn gain_over_all(&mut self, known: &[&State], end: &State) -> Option<Gain> {
        for resource in self.resources.clone() {
            let now = self.power(end, &resource).every;
            let mut more = now;
            for state in known {
                more = more.subtract(&self.power(state, &resource).every);
            }
            let action = more.iter().max_by_key(|action| Risk::of(*action));
            if let Some(action) = action {
                let gain = known
                    .iter()
                    .map(|state| self.confirm(state, end, action, &resource, None))
                    .collect::<Option<Vec<_>>>();
                if let Some(gain) = gain.and_then(|all| all.into_iter().next()) {
                    return Some(gain);
                }
            }
        }
        None
    }

    /// Whether nobody could hold more.
    pub(super) fn holds_everything(&mut self, state: &State) -> bool {
        let mut all = all_actions();
        for action in ActionId::all().filter(|action| !counts(*action)) {
            all.remove(action);
        }
        self.resources.clone().iter().all(|resource| {
            let held = self.power(state, resource).every;
            all.subtract(&held).is_empty()
        })
    }
}

/// What is compared: scripts and administration follow from other rights, and what needs only a
/// connection from any.
fn counts(action: ActionId) -> bool {
    action
        .command()
        .is_none_or(|id| id.command().class == CommandClass::Ordinary)
}

fn is_keyed(action: ActionId) -> bool {
    counts(action)
        && action.command().is_some_and(|id| {
            id.command().scope == keyward_commands::CommandScope::Keyed
                && !id.command().key_specs.is_empty()
        })
}
