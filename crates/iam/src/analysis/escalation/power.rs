//! What an attacker may do in one state, and what it may do in another that it could not before.

use std::sync::Arc;

use keyward_commands::{ActionBits, ActionId, CommandClass};
use keyward_policy::{KeyUse, Touch};

use super::{Gain, Search, State};
use crate::analysis::open::OpenFacts;
use crate::analysis::risk::Risk;
use crate::analysis::ways::{Ways, all_actions};
use crate::grounds::PolicySource;
use crate::ids::{IdentityIx, Kind, PathParts};

/// What asking about a small organisation's policies costs, as [`Ways::spent`] counts.
const EFFORT: u64 = 500;

/// As how many comparisons asking counts. Of large policies it is most of the work.
fn comparisons(spent: u64) -> usize {
    let large = spent.saturating_sub(10 * EFFORT) / (EFFORT / 8);
    usize::try_from(1 + spent / EFFORT + large).unwrap_or(usize::MAX / 2)
}

/// What one attacker may do to one resource, by the circumstances in which it comes.
#[derive(Clone)]
pub(super) struct Power(Vec<Held>);

/// What it may do in one of them.
#[derive(Clone)]
struct Held {
    every: ActionBits,
    /// By the keys that powers are compared on.
    some: Vec<ActionBits>,
}

impl Held {
    fn on(&self, sample: usize) -> &ActionBits {
        self.some.get(sample).unwrap_or(&ActionBits::EMPTY)
    }
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
        let nothing = Held {
            every: ActionBits::EMPTY,
            some: Vec::new(),
        };
        let mut power = Power(vec![nothing; self.circumstances.len()]);
        let source = PolicySource::ResourcePolicy(Arc::clone(resource));
        for actor in &state.controlled {
            let how = self.circumstances[actor.when].clone();
            let at = how.at;
            let held = &mut power.0[actor.when];
            let grounds = state.directory.grounds(&actor.session, resource, false, at);
            let ways = Ways::of(
                &grounds,
                &source,
                OpenFacts::early(&grounds, how.connection()),
            );
            for way in &ways.ways {
                for action in way.actions.iter() {
                    if counts(action)
                        && !held.every.contains(action)
                        && ways.permits(way, action, &Touch::of_action(action)) == Some(true)
                    {
                        held.every.insert(action);
                    }
                }
                for place in way.allows.iter().chain(&way.breaks) {
                    self.sample(place.statement.keys.as_ref());
                }
            }
            for (_, deny) in &ways.denies {
                self.sample(deny.statement.keys.as_ref());
            }
            if ways.truncated || ways.is_exhausted() {
                self.truncated = true;
            }
            for (n, sample) in self.samples.iter().enumerate() {
                if held.some.len() <= n {
                    held.some.push(ActionBits::EMPTY);
                }
                self.touches(Some(sample), |touch| {
                    let Some(touch) = touch else { return };
                    for way in &ways.ways {
                        // What is held on every key is compared as that.
                        let left = way.actions.subtract(&held.every);
                        for action in left.iter().filter(|a| is_keyed(*a)) {
                            if !held.some[n].contains(action)
                                && ways.permits(way, action, touch) == Some(true)
                            {
                                held.some[n].insert(action);
                            }
                        }
                    }
                });
            }
            self.compared += comparisons(ways.spent());
        }
        power
    }

    /// The same, with all keys that it is compared on.
    fn power_on_all(&mut self, state: &State, resource: &Arc<str>) -> Power {
        loop {
            let known = self.samples.len();
            let power = self.power(state, resource);
            if self.samples.len() == known {
                return power;
            }
        }
    }

    /// The same of the state that others are compared with, which stays the same.
    fn known_power(&mut self, state: &State, resource: &Arc<str>) -> Power {
        if let Some((samples, power)) = self.known.get(resource)
            && *samples == self.samples.len()
        {
            return power.clone();
        }
        let power = self.power_on_all(state, resource);
        let known = (self.samples.len(), power.clone());
        self.known.insert(Arc::clone(resource), known);
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

    /// Something that the second state allows and the first does not. `start`: the first is the
    /// state that the search begins with.
    pub(super) fn gain(&mut self, before: &State, after: &State, start: bool) -> Option<Gain> {
        for resource in self.resources.clone() {
            if self.is_spent() {
                self.truncated = true;
                return None;
            }
            // This look finds the keys on which both are compared.
            let mut now = self.power_on_all(after, &resource);
            let samples = self.samples.len();
            let then = match start {
                true => self.known_power(before, &resource),
                false => self.power_on_all(before, &resource),
            };
            if self.samples.len() > samples {
                now = self.power_on_all(after, &resource);
            }
            for (when, (now, then)) in now.0.iter().zip(&then.0).enumerate() {
                if self.circumstances[when].at < after.now {
                    continue;
                }
                let every = now.every.subtract(&then.every);
                let witness = most_telling(&every, &resource)
                    .and_then(|action| self.confirm(before, after, action, &resource, None, when));
                if witness.is_some() {
                    return witness;
                }
                for (n, sample) in self.samples.iter().enumerate() {
                    let more = now.on(n).subtract(then.on(n)).subtract(&then.every);
                    let witness = more.iter().find_map(|action| {
                        self.confirm(before, after, action, &resource, Some(sample), when)
                    });
                    if witness.is_some() {
                        return witness;
                    }
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
        when: usize,
    ) -> Option<Gain> {
        let how = &self.circumstances[when];
        let allowed = |state: &State| -> Option<IdentityIx> {
            let mut actors = state.controlled.iter().filter(|actor| actor.when == when);
            let found = actors.find(|actor| {
                self.touches(sample, |touch| {
                    let touch = touch.unwrap_or(&Touch::None);
                    let (directory, session) = (&state.directory, &actor.session);
                    let decision = match action.is_execute() {
                        true => directory.decide_on_connection(
                            session,
                            action,
                            resource,
                            touch,
                            how.connection(),
                            how.at,
                        ),
                        false => directory.decide(session, action, resource, touch, how.at),
                    };
                    decision.is_allow()
                })
            });
            found.map(|actor| actor.ix)
        };
        if how.at < after.now || allowed(before).is_some() {
            return None;
        }
        let by = allowed(after)?;
        Some(Gain {
            action: action.name(),
            resource: Arc::clone(resource),
            key: sample.map(<[u8]>::to_vec),
            by: Arc::clone(&after.directory.identity(by)?.path),
            when: how.clone(),
        })
    }

    /// Something that the last state allows and none of the others.
    pub(super) fn gain_over_all(&mut self, known: &[&State], end: &State) -> Option<Gain> {
        for resource in self.resources.clone() {
            if self.is_spent() {
                self.truncated = true;
                return None;
            }
            let now = self.power(end, &resource);
            let known_powers: Vec<Power> = known
                .iter()
                .map(|state| self.power(state, &resource))
                .collect();
            for (when, now) in now.0.iter().enumerate() {
                let held = known_powers.iter().map(|power| &power.0[when].every);
                let more = held.fold(now.every.clone(), |more, held| more.subtract(held));
                if let Some(action) = most_telling(&more, &resource) {
                    let gain = known
                        .iter()
                        .map(|state| self.confirm(state, end, action, &resource, None, when))
                        .collect::<Option<Vec<_>>>();
                    if let Some(gain) = gain.and_then(|all| all.into_iter().next()) {
                        return Some(gain);
                    }
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
            if self.is_spent() {
                self.truncated = true;
                return false;
            }
            let power = self.power(state, resource);
            let mut held = power.0.iter().map(|held| &held.every);
            held.all(|held| all.subtract(held).is_empty())
        })
    }
}

/// The action that says best what was gained: one that is decided on such a resource and leads on,
/// else the most dangerous one.
fn most_telling(actions: &ActionBits, resource: &str) -> Option<ActionId> {
    let kind = PathParts::of(resource).map(|parts| parts.kind);
    let leading: &[&str] = match kind {
        Some(Kind::Organisation) => &[
            "iam:CreateTrust",
            "org:TransferOwnership",
            "org:PutGuardrail",
        ],
        Some(Kind::Database) => &[
            "kvdb:ExecuteFlushall",
            "kvdb:ExecuteSet",
            "kvdb:ExecuteGet",
            "iam:PutResourcePolicy",
        ],
        Some(Kind::ProgrammaticIdentity) => &["iam:CreateAccessKey", "iam:CreateTrust"],
        Some(Kind::Role) => &["sts:AssumeRole", "iam:CreateTrust"],
        Some(Kind::Policy) => &["iam:UpdatePolicy", "iam:SetDefaultPolicyVersion"],
        Some(Kind::IdentityProvider) => &["iam:UpdateIdentityProvider"],
        Some(_) => &["iam:CreateTrust"],
        None => &[],
    };
    let mut leading = leading
        .iter()
        .filter_map(|name| keyward_commands::action(name));
    leading
        .find(|action| actions.contains(*action))
        .or_else(|| actions.iter().max_by_key(|action| Risk::of(*action)))
}

/// What is compared: scripts, administration and snapshots follow from other rights, and what needs
/// only a connection from any.
fn counts(action: ActionId) -> bool {
    let ordinary = |class| class == CommandClass::Ordinary;
    let command = action.command();
    command.map_or(!action.uses_keyspace(), |id| ordinary(id.command().class))
}

fn is_keyed(action: ActionId) -> bool {
    counts(action)
        && action.command().is_some_and(|id| {
            id.command().scope == keyward_commands::CommandScope::Keyed
                && !id.command().key_specs.is_empty()
        })
}
